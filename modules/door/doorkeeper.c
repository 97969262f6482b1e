// SPDX-License-Identifier: Apache-2.0
// A listening socket, and at most one who has come.
#include "modules/door/doorkeeper.h"

#include "lib/clock.h"
#include "lib/own.h"

#define PATIENCE_MS 500

void doorkeeper_open(struct doorkeeper *keeper, int listening)
{
	*keeper = (struct doorkeeper){.listening = listening, .guest = -1};
}

size_t doorkeeper_polls(const struct doorkeeper *keeper, struct pollfd polls[DOORKEEPER_POLLS])
{
	size_t count = 0;

	if (keeper->listening >= 0 && keeper->guest < 0 && now_ms() >= keeper->next_ms)
		polls[count++] = (struct pollfd){.fd = keeper->listening, .events = POLLIN};
	if (keeper->guest >= 0)
		polls[count++] = (struct pollfd){.fd = keeper->guest, .events = POLLIN};
	return count;
}

int doorkeeper_serve(struct doorkeeper *keeper, struct zeta_hello *hello)
{
	struct zeta_welcome no = {
		.version = ZETA_DOOR_VERSION, .error = -EPROTO, .why = "this is no hello"};
	ssize_t got;

	if (keeper->listening < 0)
		return 0;
	if (keeper->guest < 0) {
		keeper->guest =
			accept4(keeper->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		keeper->until_ms = now_ms() + PATIENCE_MS;
	}
	if (keeper->guest < 0) {
		// Who waits where there are no descriptors would be there again at once.
		if (errno != EAGAIN)
			keeper->next_ms = keeper->until_ms;
		return 0;
	}
	// One byte more: a longer one is none.
	struct {
		struct zeta_hello hello;
		char more;
	} said;

	got = recv(keeper->guest, &said, sizeof(said), 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR) && now_ms() < keeper->until_ms)
		return 0;
	if (got != (ssize_t)sizeof(said.hello) || said.hello.version != ZETA_DOOR_VERSION ||
	    !memchr(said.hello.function, 0, sizeof(said.hello.function))) {
		doorkeeper_answer(keeper, &no, NULL);
		return 0;
	}
	*hello = said.hello;
	return 1;
}

void doorkeeper_answer(struct doorkeeper *keeper, const struct zeta_welcome *welcome,
		       const int fds[DOOR_FDS])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int) * DOOR_FDS)];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS,
				.cmsg_len = CMSG_LEN(sizeof(int) * DOOR_FDS)}};
	struct iovec bytes = {(void *)welcome, sizeof(*welcome)};
	struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

	if (fds) {
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * DOOR_FDS);
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	// He may have gone: then the socket ends with what was sent.
	(void)!sendmsg(keeper->guest, &message, MSG_NOSIGNAL);
	closep(&keeper->guest);
}
