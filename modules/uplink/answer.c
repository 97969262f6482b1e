// SPDX-License-Identifier: Apache-2.0
// Ordinary listening sockets, one for each uplink.
#include "modules/uplink/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/own.h"

#define WAITING 4096 // while the agent waits for the loader, which loads programs

static int listen_at(const struct interface_name *name, const struct in6_addr *ip)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(UPLINK_PORT)};
	auto_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	own.sin_addr.s_addr = ip->s6_addr32[3];
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name->text,
		       (socklen_t)strlen(name->text)) ||
	    bind(fd, (const struct sockaddr *)&own, sizeof(own)) || listen(fd, WAITING))
		return -errno;
	return take_fd(fd);
}

void answers_begin(struct answers *answers)
{
	for (size_t i = 0; i < answers->count; i++)
		answers->answer[i].wanted = 0;
}

int answers_want(struct answers *answers, const struct interface_name *name,
		 const struct in6_addr *ip)
{
	struct answer *answer;
	size_t i;
	int fd;

	for (i = 0; i < answers->count; i++) {
		answer = &answers->answer[i];
		if (memcmp(&answer->name, name, sizeof(*name)) != 0 ||
		    memcmp(&answer->ip, ip, sizeof(*ip)) != 0)
			continue;
		answer->wanted = 1;
		return 0;
	}
	if (answers->count == MAX_HOST_UPLINKS)
		return -ENOSPC;
	fd = listen_at(name, ip);
	if (fd < 0)
		return fd;
	answers->answer[answers->count++] =
		(struct answer){.name = *name, .ip = *ip, .fd = fd, .wanted = 1};
	return 0;
}

void answers_end(struct answers *answers)
{
	size_t i, kept = 0;

	for (i = 0; i < answers->count; i++) {
		if (answers->answer[i].wanted)
			answers->answer[kept++] = answers->answer[i];
		else
			close(answers->answer[i].fd);
	}
	answers->count = kept;
}

size_t answers_polls(const struct answers *answers, struct pollfd polls[MAX_HOST_UPLINKS])
{
	for (size_t i = 0; i < answers->count; i++)
		polls[i] = (struct pollfd){.fd = answers->answer[i].fd, .events = POLLIN};
	return answers->count;
}

// That it was accepted is all that there is to say.
void answers_serve(const struct answers *answers)
{
	size_t i;
	int fd;

	for (i = 0; i < answers->count; i++)
		while ((fd = accept4(answers->answer[i].fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			close(fd);
}
