// SPDX-License-Identifier: Apache-2.0
// The ends of a measured path: answers, connections and small datagrams, counted.
//
//   traffic serve PORT                    until killed: TCP: each 64 bytes are answered by 64
//                                         ("!" as the first byte: and then closed); UDP, on the
//                                         FILL_PORTS after it too: counted
//   traffic ask ADDRESS PORT SECONDS      one connection, one request at a time
//   traffic connect ADDRESS PORT SECONDS  new connections, WINDOW at once, one request each
//   traffic users ADDRESS PORT SECONDS    the same without a pause, but who is not answered within
//                                         LATE_MS holds up nobody: another one comes; a line for
//                                         each TELL_MS
//   traffic send ADDRESS PORT SECONDS     64-byte datagrams as fast as they go
//   traffic first ADDRESS PORT COUNT      UDP: round trip of new flows' first packets, one at a
//   time
//   traffic fill ADDRESS PORT COUNT       UDP: new flows, each asked until answered, WINDOW at once
// Each prints JSON, one line but for users.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

#define BYTES 64
#define WINDOW 32
#define BATCH 64
#define DATAGRAM (64 - 14 - 20 - 8) // payload of a frame of 64 bytes, without its checksum
#define USERS 8192 // at once, of whom most wait: so many come while nobody is answered for seconds
#define LATE_MS 50 // what a first packet may take at the worst, by any node's death
#define TELL_MS 10
#define MOST_SAMPLES 2000000
#define ASKS_COUNT 'c' // a datagram that wants to know how many came
#define LOST_MS 1000L
#define FILL_PORTS 32 // of the server: to each of them go FILL_FLOWS
#define FILL_FLOWS 50000
#define FILL_FIRST 10000 // the lowest port of these flows
#define FILL_TRIES 20

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in address_of(const char *ip, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1 || !a.sin_port)
		fatalx("%s port %s is no address", ip, port);
	return a;
}

static int socket_must(int type)
{
	const int one = 1;
	int s = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (s < 0)
		fatal("socket");
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if ((type & 0xf) == SOCK_STREAM)
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return s;
}

#define DATAGRAMS (1ull << 32) // beside a descriptor: it is no connection

static void watch(int poll, uint64_t fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = fd};

	if (epoll_ctl(poll, EPOLL_CTL_ADD, (int)fd, &event))
		fatal("epoll_ctl");
}

// All of BYTES, or less where the other side ended.
static ssize_t read_whole(int fd, char *bytes)
{
	size_t done = 0;
	ssize_t n;

	while (done < BYTES && (n = read(fd, bytes + done, BYTES - done)) > 0)
		done += (size_t)n;
	return (ssize_t)done;
}

static void answer(int fd)
{
	char bytes[BYTES];

	if (read_whole(fd, bytes) < BYTES || write(fd, bytes, BYTES) != BYTES || bytes[0] == '!')
		close(fd);
}

static uint64_t count_datagrams(int udp, uint64_t came)
{
	static char room[BATCH][BYTES];
	struct mmsghdr messages[BATCH] = {};
	struct iovec parts[BATCH];
	struct sockaddr_in from[BATCH];
	int i, n;

	for (i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){room[i], BYTES};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
						      .msg_namelen = sizeof(from[i]),
						      .msg_iov = &parts[i],
						      .msg_iovlen = 1};
	}
	n = recvmmsg(udp, messages, BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < n; i++) {
		if (room[i][0] != ASKS_COUNT) {
			came++;
			continue;
		}
		if (sendto(udp, &came, sizeof(came), 0, (struct sockaddr *)&from[i],
			   sizeof(from[i])) < 0)
			log_warn("an answer");
	}
	return came;
}

static int serve_datagrams(struct sockaddr_in at)
{
	int udp = socket_must(SOCK_DGRAM), room = 8 << 20;

	setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (bind(udp, (struct sockaddr *)&at, sizeof(at)))
		fatal("port %u", ntohs(at.sin_port));
	return udp;
}

static int serve(const char *port)
{
	struct sockaddr_in any = address_of("0.0.0.0", port);
	int poll = epoll_create1(EPOLL_CLOEXEC), tcp = socket_must(SOCK_STREAM), fd, i, n;
	struct epoll_event events[BATCH];
	const int one = 1;
	uint64_t came = 0;

	if (poll < 0 || bind(tcp, (struct sockaddr *)&any, sizeof(any)) || listen(tcp, 1024))
		fatal("port %s", port);
	watch(poll, (uint64_t)tcp);
	for (i = 0; i <= FILL_PORTS; i++) {
		watch(poll, DATAGRAMS | (uint64_t)serve_datagrams(any));
		any.sin_port = htons((uint16_t)(ntohs(any.sin_port) + 1));
	}
	for (;;) {
		n = epoll_wait(poll, events, BATCH, -1);
		for (i = 0; i < n; i++) {
			fd = events[i].data.fd;
			if (events[i].data.u64 & DATAGRAMS) {
				came = count_datagrams(fd, came);
			} else if (fd != tcp) {
				answer(fd);
			} else if ((fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
				watch(poll, (uint64_t)fd);
			}
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void print_samples(uint32_t *ns, size_t n, uint64_t took, uint64_t lost)
{
	uint32_t middle, worst;

	qsort(ns, n, sizeof(*ns), compare);
	middle = n ? ns[n / 2] : 0;
	worst = n ? ns[n * 99 / 100] : 0;
	printf("{\"per_second\": %.1f, \"p50_us\": %.2f, \"p99_us\": %.2f, \"lost\": %llu}\n",
	       took ? (double)n * 1e9 / (double)took : 0, middle / 1e3, worst / 1e3,
	       (unsigned long long)lost);
}

static uint32_t *samples_new(void)
{
	uint32_t *samples = calloc(MOST_SAMPLES, sizeof(*samples));

	if (!samples)
		fatal("memory");
	return samples;
}

static int ask(const struct sockaddr_in *to, uint64_t for_ns)
{
	uint32_t *ns = samples_new();
	uint64_t began, sent, now;
	char bytes[BYTES] = "?";
	int s = socket_must(SOCK_STREAM);
	size_t n = 0;

	if (connect(s, (const struct sockaddr *)to, sizeof(*to)))
		fatal("connect");
	began = sent = now_ns();
	while (sent - began < for_ns && n < MOST_SAMPLES) {
		if (write(s, bytes, BYTES) != BYTES || read_whole(s, bytes) < BYTES)
			fatal("the connection broke after %zu answers", n);
		now = now_ns();
		ns[n++] = (uint32_t)(now - sent);
		sent = now;
	}
	print_samples(ns, n, sent - began, 0);
	free(ns);
	close(s);
	return 0;
}

struct attempt {
	int fd;
	int asked;
	int late;
	uint64_t began;
	struct attempt *next; // that is not in use
};

static void attempt_begin(struct attempt *a, int poll, const struct sockaddr_in *to)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = a};

	*a = (struct attempt){.fd = socket_must(SOCK_STREAM | SOCK_NONBLOCK), .began = now_ns()};
	if (connect(a->fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS)
		fatal("connect");
	if (epoll_ctl(poll, EPOLL_CTL_ADD, a->fd, &event))
		fatal("epoll_ctl");
}

// Says how a connection ended before it was answered: who it was, when, and what the socket says.
static void attempt_broke(const struct attempt *a, ssize_t got)
{
	struct sockaddr_in from = {};
	socklen_t size = sizeof(from);
	int why = got < 0 ? errno : 0;

	if (getsockname(a->fd, (struct sockaddr *)&from, &size))
		from.sin_port = 0;
	fprintf(stderr, "from port %u: %s after %.1f ms: %s\n", ntohs(from.sin_port),
		a->asked ? "not answered" : "not connected", (double)(now_ns() - a->began) / 1e6,
		why ? strerror(why) : "the other side ended");
}

// Returns 1 when it is over: answered, or broken (then *lost grows).
static int attempt_go_on(struct attempt *a, int poll, uint64_t *lost)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = a};
	char bytes[BYTES] = "!";
	ssize_t got;

	if (!a->asked) {
		got = write(a->fd, bytes, BYTES);
		a->asked = got == BYTES;
		if (a->asked && !epoll_ctl(poll, EPOLL_CTL_MOD, a->fd, &event))
			return 0;
	} else {
		got = read(a->fd, bytes, BYTES);
		if (got == BYTES)
			return 1;
	}
	attempt_broke(a, got);
	(*lost)++;
	return 1;
}

static int connections(const struct sockaddr_in *to, uint64_t for_ns)
{
	struct attempt attempts[WINDOW] = {};
	struct epoll_event events[WINDOW];
	int poll = epoll_create1(EPOLL_CLOEXEC), i, n;
	uint32_t *ns = samples_new();
	uint64_t began = now_ns(), now = began, lost = 0;
	struct attempt *a;
	size_t done = 0;

	for (i = 0; i < WINDOW; i++)
		attempt_begin(&attempts[i], poll, to);
	while (now - began < for_ns && done < MOST_SAMPLES - WINDOW) {
		n = epoll_wait(poll, events, WINDOW, (int)LOST_MS);
		now = now_ns();
		for (i = 0; i < n; i++) {
			a = events[i].data.ptr;
			if (!attempt_go_on(a, poll, &lost))
				continue;
			ns[done++] = (uint32_t)(now - a->began);
			close(a->fd);
			attempt_begin(a, poll, to);
		}
	}
	print_samples(ns, done - lost, now - began, lost);
	free(ns);
	return 0;
}

// Attempts of which at most WINDOW are neither late nor over.
struct users {
	int poll;
	const struct sockaddr_in *to;
	struct attempt attempt[USERS];
	struct attempt *free;
	struct attempt *now[WINDOW];
	uint64_t answered, late, broken, waiting;
};

static void users_come(struct users *u, uint64_t now)
{
	int i;

	for (i = 0; i < WINDOW; i++) {
		if (u->now[i] && now - u->now[i]->began > LATE_MS * 1000000ull && u->free) {
			u->now[i]->late = 1;
			u->waiting++;
			u->now[i] = NULL;
		}
		if (u->now[i] || !u->free)
			continue;
		u->now[i] = u->free;
		u->free = u->free->next;
		attempt_begin(u->now[i], u->poll, u->to);
	}
}

static void user_leaves(struct users *u, struct attempt *a)
{
	int i;

	close(a->fd);
	u->late += (uint64_t)a->late;
	u->waiting -= (uint64_t)a->late;
	for (i = 0; i < WINDOW; i++)
		if (u->now[i] == a)
			u->now[i] = NULL;
	a->next = u->free;
	u->free = a;
}

// at_s: when, by the clock that does not jump. late: of those that were answered.
static void users_tell(struct users *u, uint64_t now, uint64_t since)
{
	printf("{\"at_s\": %.4f, \"for_s\": %.4f, \"answered\": %llu, \"late\": %llu, "
	       "\"waiting\": %llu, \"broken\": %llu}\n",
	       (double)now / 1e9, (double)(now - since) / 1e9,
	       (unsigned long long)(u->answered - u->broken), (unsigned long long)u->late,
	       (unsigned long long)u->waiting, (unsigned long long)u->broken);
	fflush(stdout);
	u->answered = u->late = u->broken = 0;
}

static int users(const struct sockaddr_in *to, uint64_t for_ns)
{
	const struct rlimit files = {USERS + BATCH, USERS + BATCH};
	struct users *u = calloc(1, sizeof(*u));
	struct epoll_event events[BATCH];
	uint64_t began = now_ns(), now, told = began;
	int i, n;

	if (!u)
		fatal("memory");
	if (setrlimit(RLIMIT_NOFILE, &files))
		fatal("so many connections");
	u->poll = epoll_create1(EPOLL_CLOEXEC);
	u->to = to;
	for (i = 0; i < USERS; i++) {
		u->attempt[i].next = u->free;
		u->free = &u->attempt[i];
	}
	for (now = began; now - began < for_ns; now = now_ns()) {
		users_come(u, now);
		n = epoll_wait(u->poll, events, BATCH, TELL_MS / 2);
		for (i = 0; i < n; i++) {
			if (!attempt_go_on(events[i].data.ptr, u->poll, &u->broken))
				continue;
			u->answered++;
			user_leaves(u, events[i].data.ptr);
		}
		now = now_ns();
		if (now - told < TELL_MS * 1000000ull)
			continue;
		users_tell(u, now, told);
		told = now;
	}
	free(u);
	return 0;
}

// What the server counted so far.
static uint64_t ask_count(int udp)
{
	const struct timeval patience = {.tv_usec = 200000};
	const char question[DATAGRAM] = {ASKS_COUNT};
	uint64_t count;
	int i;

	setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (i = 0; i < 25; i++)
		if (send(udp, question, sizeof(question), 0) > 0 &&
		    recv(udp, &count, sizeof(count), 0) == sizeof(count))
			return count;
	fatalx("the server does not say how many came");
}

static int send_small(const struct sockaddr_in *to, uint64_t for_ns)
{
	struct mmsghdr messages[BATCH] = {};
	char bytes[DATAGRAM] = {};
	struct iovec part = {bytes, sizeof(bytes)};
	int udp = socket_must(SOCK_DGRAM), i, n;
	uint64_t began, now, before, sent = 0, came;

	if (connect(udp, (const struct sockaddr *)to, sizeof(*to)))
		fatal("connect");
	for (i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
	before = ask_count(udp);
	began = now = now_ns();
	while (now - began < for_ns) {
		n = sendmmsg(udp, messages, BATCH, 0);
		if (n > 0)
			sent += (uint64_t)n;
		now = now_ns();
	}
	came = ask_count(udp) - before;
	printf("{\"per_second\": %.1f, \"sent_per_second\": %.1f}\n",
	       (double)came * 1e9 / (double)(now - began),
	       (double)sent * 1e9 / (double)(now - began));
	close(udp);
	return 0;
}

static int first_packets(const struct sockaddr_in *to, uint64_t count)
{
	const struct timeval patience = {.tv_usec = LOST_MS * 1000};
	const char question[DATAGRAM] = {ASKS_COUNT};
	uint32_t *ns = samples_new();
	uint64_t i, began, lost = 0, n = 0, all = now_ns();
	uint64_t answered;
	int udp;

	for (i = 0; i < count && i < MOST_SAMPLES; i++) {
		udp = socket_must(SOCK_DGRAM);
		setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		if (connect(udp, (const struct sockaddr *)to, sizeof(*to)))
			fatal("connect");
		began = now_ns();
		if (send(udp, question, sizeof(question), 0) < 0 ||
		    recv(udp, &answered, sizeof(answered), 0) != sizeof(answered))
			lost++;
		else
			ns[n++] = (uint32_t)(now_ns() - began);
		close(udp);
	}
	print_samples(ns, n, now_ns() - all, lost);
	free(ns);
	return 0;
}

// A flow of its own: asks, and waits for nothing.
static int flow_begin(const struct sockaddr_in *server, uint64_t number)
{
	const struct timeval patience = {.tv_usec = LOST_MS * 1000 / 5};
	struct sockaddr_in from = {.sin_family = AF_INET}, to = *server;
	int udp = socket_must(SOCK_DGRAM);

	from.sin_port = htons((uint16_t)(FILL_FIRST + number % FILL_FLOWS));
	to.sin_port = htons((uint16_t)(ntohs(to.sin_port) + 1 + number / FILL_FLOWS));
	setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (bind(udp, (struct sockaddr *)&from, sizeof(from)) ||
	    connect(udp, (struct sockaddr *)&to, sizeof(to)))
		fatal("flow %llu", (unsigned long long)number);
	return udp;
}

static int fill(const struct sockaddr_in *to, uint64_t count)
{
	const char question[DATAGRAM] = {ASKS_COUNT};
	uint64_t began = now_ns(), flow, lost = 0, answered;
	int udp[WINDOW], i, tries, some;

	for (flow = 0; flow < count; flow += WINDOW) {
		for (i = 0; i < WINDOW && flow + i < count; i++) {
			udp[i] = flow_begin(to, flow + i);
			if (send(udp[i], question, sizeof(question), 0) < 0)
				lost++;
		}
		some = i;
		for (i = 0; i < some; i++) {
			for (tries = 0; tries < FILL_TRIES; tries++) {
				if (recv(udp[i], &answered, sizeof(answered), 0) ==
				    sizeof(answered))
					break;
				lost++;
				if (send(udp[i], question, sizeof(question), 0) < 0)
					break;
			}
			if (tries == FILL_TRIES)
				fatalx("flow %llu is never answered", (unsigned long long)flow + i);
			close(udp[i]);
		}
	}
	printf("{\"per_second\": %.1f, \"sent_again\": %llu}\n",
	       (double)count * 1e9 / (double)(now_ns() - began), (unsigned long long)lost);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to;
	uint64_t count, for_ns;
	double number;

	// Nobody is left behind where a run is killed.
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc != 5 || !((number = strtod(argv[4], NULL)) > 0) ||
	    number > (double)FILL_PORTS * FILL_FLOWS)
		fatalx("usage: traffic serve PORT | traffic ask|connect|users|send|first|fill "
		       "ADDRESS PORT NUMBER");
	to = address_of(argv[2], argv[3]);
	count = (uint64_t)number;
	for_ns = (uint64_t)(number * 1e9);
	if (!strcmp(argv[1], "first"))
		return first_packets(&to, count);
	if (!strcmp(argv[1], "fill"))
		return fill(&to, count);
	if (!strcmp(argv[1], "ask"))
		return ask(&to, for_ns);
	if (!strcmp(argv[1], "connect"))
		return connections(&to, for_ns);
	if (!strcmp(argv[1], "users"))
		return users(&to, for_ns);
	if (!strcmp(argv[1], "send"))
		return send_small(&to, for_ns);
	fatalx("no such test: %s", argv[1]);
}
