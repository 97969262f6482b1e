/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A middlebox of function gate.c: says no to connections to addresses, and to DNS queries for
// names, that are in a file, one in a line; of a name also to what is below it. A file that changed
// is read again. It runs at each flow table node:
//
//   cc -Wall -I/usr/include -o gatekeeper gatekeeper.c
//   ./gatekeeper /run/zeta/gw1.door gate denied.txt
#include <zeta/middlebox.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#define LINE 256
#define DNS 53
#define ETHERNET 14 // bytes of headers
#define UDP 8
#define QUERY 12
#define QUESTIONS 4 // how many, in a query's header
#define ADDRESS 1   // question->reason
#define NAME 2

struct list {
	const char *path;
	struct timespec changed;
	size_t count;
	char (*line)[LINE];
};

static void read_list(struct list *list)
{
	FILE *file = fopen(list->path, "r");
	char line[LINE];

	list->count = 0;
	while (file && fgets(line, sizeof(line), file)) {
		char(*more)[LINE] = realloc(list->line, (list->count + 1) * LINE);

		line[strcspn(line, " \t\r\n#")] = 0;
		if (!more)
			break;
		list->line = more;
		if (line[0])
			strcpy(list->line[list->count++], line);
	}
	if (file)
		fclose(file);
}

// What is no more there denies nothing.
static void follow(struct list *list)
{
	struct stat is = {};

	stat(list->path, &is);
	if (is.st_mtim.tv_sec == list->changed.tv_sec &&
	    is.st_mtim.tv_nsec == list->changed.tv_nsec)
		return;
	list->changed = is.st_mtim;
	read_list(list);
}

static int has_address(const struct list *list, const struct in6_addr *address)
{
	char text[INET6_ADDRSTRLEN];

	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr[12], text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	for (size_t i = 0; i < list->count; i++)
		if (!strcmp(list->line[i], text))
			return 1;
	return 0;
}

static int has_name(const struct list *list, const char *name)
{
	size_t length = strlen(name), i;

	for (i = 0; i < list->count; i++) {
		size_t tail = strlen(list->line[i]);

		if (tail <= length && !strcasecmp(name + length - tail, list->line[i]) &&
		    (tail == length || name[length - tail - 1] == '.'))
			return 1;
	}
	return 0;
}

// Where in the frame UDP begins: behind Ethernet, IP, and what IPv6 has between (RFC 8200 section
// 4, RFC 4302 section 2.2). Every byte is a stranger's, here and below. 0: it is not there.
static size_t udp_at(const struct zeta_question *q)
{
	const __u8 *frame = zeta_question_frame(q);
	size_t at = ETHERNET;
	__u8 header;

	if (q->bytes < at + 20)
		return 0;
	if (frame[at] >> 4 == 4)
		return frame[at + 9] == IPPROTO_UDP ? at + (frame[at] & 15) * 4u : 0;
	header = frame[at + 6];
	at += 40;
	while (header != IPPROTO_UDP) {
		if (q->bytes < at + 8)
			return 0;
		switch (header) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			header = frame[at];
			at += (frame[at + 1] + 1) * 8u;
			break;
		case IPPROTO_FRAGMENT:
			header = frame[at];
			at += 8;
			break;
		case IPPROTO_AH:
			header = frame[at];
			at += (frame[at + 1] + 2) * 4u;
			break;
		default:
			return 0;
		}
	}
	return at;
}

// The name that a DNS query asks for (RFC 1035 section 4.1), dots between labels; of the root an
// empty one. Returns 0 where it is not one question for one name.
static int read_name(const struct zeta_question *q, char name[LINE])
{
	const __u8 *frame = zeta_question_frame(q);
	size_t at = udp_at(q), length = 0;

	if (!at || q->bytes < at + UDP + QUERY)
		return 0;
	at += UDP;
	if (frame[at + QUESTIONS] || frame[at + QUESTIONS + 1] != 1)
		return 0;
	at += QUERY;
	while (at < q->bytes && frame[at]) {
		size_t label = frame[at];

		if (label > 63 || at + 1 + label > q->bytes || length + label + 2 > LINE)
			return 0;
		if (length)
			name[length++] = '.';
		memcpy(name + length, frame + at + 1, label);
		length += label;
		at += 1 + label;
	}
	name[length] = 0;
	return at < q->bytes && strlen(name) == length;
}

static enum zeta_answer decide(const struct list *list, struct zeta_question *q)
{
	char name[LINE];

	q->reason = ADDRESS;
	if (has_address(list, &q->destination))
		return ZETA_DROP;
	q->reason = NAME;
	// What this does not understand a server might.
	if (q->protocol == IPPROTO_UDP && q->destination_port == htons(DNS) &&
	    (!read_name(q, name) || has_name(list, name)))
		return ZETA_DROP;
	q->reason = 0;
	return ZETA_NEXT;
}

static int serve(struct zeta_middlebox *box, struct list *list)
{
	struct zeta_question *q;
	int err;

	while (!(err = zeta_middlebox_next(box, -1, &q))) {
		follow(list);
		if ((err = zeta_middlebox_answer(box, q, decide(list, q))))
			break;
	}
	return err;
}

int main(int argc, char **argv)
{
	struct zeta_middlebox box;
	struct list list = {};
	int err;

	if (argc != 4) {
		fprintf(stderr, "usage: %s SOCKET FUNCTION FILE\n", argv[0]);
		return 2;
	}
	list.path = argv[3];
	// zetad may come later, and go; the function, too.
	for (;;) {
		err = zeta_middlebox_open(&box, argv[1], argv[2]);
		if (!err) {
			fprintf(stderr, "%s: asked for %s\n", argv[0], argv[2]);
			err = serve(&box, &list);
			zeta_middlebox_close(&box);
		}
		fprintf(stderr, "%s: %s %s\n", argv[0], strerror(-err), box.welcome.why);
		sleep(1);
	}
}
