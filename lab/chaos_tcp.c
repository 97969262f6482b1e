// SPDX-License-Identifier: Apache-2.0
// TCP: each byte of a connection follows from the connection, its direction and its position, so a
// byte that is lost, doubled or another's is seen where it arrives.
//
//   stream   the client names it in the first 8 bytes; then both sides send STEP bytes each PACE
//            until the client has no more to send; then so does the server
//   short    ASKED bytes one way, TOLD bytes back, each with the name first; the server closes
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lab/chaos_load.h"
#include "lib/log.h"
#include "lib/own.h"

#define PACE (20 * MILLISECOND)
#define STEP 1000
#define ASKED 64
#define TOLD 4000
#define STALL (500 * MILLISECOND) // without a byte is said
#define LATE (900 * MILLISECOND)  // to open: its SYN was sent again
#define RETRY SECOND

enum kind { STREAM, SHORT };

static const char *const kinds[] = {"stream", "short"};

struct connection {
	struct watched watched; // fd -1: closed, freed at the end of the turn
	LIST_ENTRY(connection) entry;
	enum kind kind;
	int client, named, finished;
	const char *ip;	  // client: whom it asks
	uint64_t name;	  // 0: not known yet
	uint64_t to_send; // so many bytes in all, for now
	uint64_t sent, got;
	uint64_t began_ns, opened_ns, got_ns, next_ns;
	uint64_t longest_ns; // without a byte
};

LIST_HEAD(connections, connection);

struct listener {
	struct watched watched;
	enum kind kind;
};

struct asker {
	char ip[32];
	enum kind kind;
	uint64_t period_ns, next_ns; // streams: when to try again
	unsigned int wanted, open;   // streams
};

struct tcp {
	struct listener listener[2];
	struct asker asker[16];
	size_t askers;
	struct connections all, buried;
	size_t clients;
	uint64_t names;
	uint64_t done, late, broken, unopened; // of short connections
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
	x = (x ^ x >> 27) * 0x94D049BB133111EB;
	return x ^ x >> 31;
}

// The byte at a position of what one side sends.
static uint8_t byte_at(uint64_t name, int client, uint64_t position)
{
	uint64_t word = position < 8 ? name : mix(name + (position / 8) * 2 + (uint64_t)client);

	return (uint8_t)(word >> position % 8 * 8);
}

static int is_open(const struct connection *c)
{
	return c->opened_ns != 0;
}

static struct asker *asker_of(struct tcp *tcp, const struct connection *c)
{
	for (struct asker *asker = tcp->asker; asker < tcp->asker + tcp->askers; asker++)
		if (asker->ip == c->ip)
			return asker;
	return NULL;
}

static void close_it(struct load *load, struct connection *c)
{
	struct asker *asker = asker_of(load->tcp, c);

	closep(&c->watched.fd);
	LIST_REMOVE(c, entry);
	LIST_INSERT_HEAD(&load->tcp->buried, c, entry);
	load->tcp->clients -= (size_t)c->client;
	if (asker && c->kind == STREAM) {
		asker->open--;
		asker->next_ns = load->now_ns + RETRY;
	}
}

static void say_end(const struct load *load, const struct connection *c, const char *how)
{
	say("\"what\":\"%s\",\"how\":\"%s\",\"side\":\"%s\",\"name\":\"%016" PRIx64
	    "\",\"with\":\"%s\",\"from\":%" PRIu64 ",\"to\":%" PRIu64 ",\"sent\":%" PRIu64
	    ",\"got\":%" PRIu64 ",\"longest_ms\":%.0f",
	    kinds[c->kind], how, c->client ? "client" : "server", c->name, c->ip ? c->ip : "",
	    c->got_ns, load->now_ns, c->sent, c->got, (double)c->longest_ns / (double)MILLISECOND);
}

// It ended otherwise than it should. The other side is told, so that it does not wait.
static void fail(struct load *load, struct connection *c, const char *how)
{
	struct linger reset = {1, 0};

	if (c->kind == SHORT && c->client)
		*(is_open(c) ? &load->tcp->broken : &load->tcp->unopened) += 1;
	// A server that nobody named anything to has seen a connection that its client gave up.
	if (c->client || c->name)
		say_end(load, c, how);
	setsockopt(c->watched.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_it(load, c);
}

static void succeed(struct load *load, struct connection *c)
{
	if (c->kind == SHORT)
		load->tcp->done += (uint64_t)c->client;
	else
		say_end(load, c, "done");
	close_it(load, c);
}

// As much as there is to send and the kernel takes. Returns 0, or -errno where the connection is
// over.
static int send_some(struct connection *c)
{
	uint8_t bytes[4096];
	ssize_t sent;
	size_t i, length;

	while (c->sent < c->to_send) {
		length = c->to_send - c->sent < sizeof(bytes) ? (size_t)(c->to_send - c->sent)
							      : sizeof(bytes);
		for (i = 0; i < length; i++)
			bytes[i] = byte_at(c->name, c->client, c->sent + i);
		sent = send(c->watched.fd, bytes, length, 0);
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		c->sent += (uint64_t)sent;
	}
	return 0;
}

// Whether what came is what the other side has sent. A server learns the name from it.
static int is_right(struct connection *c, const uint8_t *bytes, size_t length)
{
	uint64_t at = c->got;
	size_t i;

	for (i = 0; i < length; i++, at++) {
		if (!c->client && at < 8)
			c->name |= (uint64_t)bytes[i] << at * 8;
		else if (bytes[i] != byte_at(c->name, !c->client, at))
			return 0;
	}
	return 1;
}

// A server has heard enough to begin.
static void heard(struct load *load, struct connection *c)
{
	if (c->client || c->named || c->got < (c->kind == SHORT ? ASKED : 8))
		return;
	c->named = 1;
	c->to_send = c->kind == SHORT ? TOLD : STEP;
	c->next_ns = load->now_ns + PACE;
}

static void finish_sending(struct connection *c)
{
	if (c->finished || c->sent < c->to_send)
		return;
	c->finished = 1;
	shutdown(c->watched.fd, SHUT_WR);
}

// The other side sends no more.
static void got_end(struct load *load, struct connection *c)
{
	if (c->kind == SHORT && !c->client)
		return succeed(load, c); // it was closed before
	if (c->kind == SHORT && c->got == TOLD)
		return succeed(load, c);
	if (c->kind == STREAM && (!c->client || c->finished))
		return succeed(load, c); // what the kernel has taken still goes out
	fail(load, c, "cut short");
}

static const char *word_of(int err)
{
	return err == ECONNRESET || err == EPIPE	   ? "reset"
	       : err == ECONNREFUSED			   ? "refused"
	       : err == ETIMEDOUT			   ? "timed out"
	       : err == EHOSTUNREACH || err == ENETUNREACH ? "unreachable"
							   : "error";
}

static void progress(struct load *load, struct connection *c)
{
	uint64_t quiet = load->now_ns - c->got_ns;

	if (quiet > c->longest_ns)
		c->longest_ns = quiet;
	if (quiet > STALL && c->kind == STREAM && c->name)
		say("\"what\":\"stall\",\"side\":\"%s\",\"name\":\"%016" PRIx64
		    "\",\"from\":%" PRIu64 ",\"to\":%" PRIu64,
		    c->client ? "client" : "server", c->name, c->got_ns, load->now_ns);
	c->got_ns = load->now_ns;
}

static void receive(struct load *load, struct connection *c)
{
	uint8_t bytes[16384];
	ssize_t got;
	int err;

	for (;;) {
		got = recv(c->watched.fd, bytes, sizeof(bytes), 0);
		if (got < 0 && errno == EAGAIN)
			break;
		if (got < 0)
			return fail(load, c, word_of(errno));
		if (!got)
			return got_end(load, c);
		if (!is_right(c, bytes, (size_t)got))
			return fail(load, c, "corrupt");
		c->got += (uint64_t)got;
		progress(load, c);
		heard(load, c);
	}
	err = send_some(c);
	if (err)
		return fail(load, c, word_of(-err));
	if (c->kind == SHORT && !c->client && c->named)
		finish_sending(c);
}

static void opened(struct load *load, struct connection *c)
{
	socklen_t length = sizeof(int);
	int err = 0;

	getsockopt(c->watched.fd, SOL_SOCKET, SO_ERROR, &err, &length);
	if (err)
		return fail(load, c, word_of(err));
	if (load->now_ns - c->began_ns > LATE) {
		say("\"what\":\"late\",\"kind\":\"%s\",\"with\":\"%s\",\"from\":%" PRIu64
		    ",\"to\":%" PRIu64,
		    kinds[c->kind], c->ip, c->began_ns, load->now_ns);
		load->tcp->late += c->kind == SHORT;
	}
	c->opened_ns = c->got_ns = load->now_ns;
	c->to_send = c->kind == SHORT ? ASKED : STEP;
	c->next_ns = load->now_ns + PACE;
	watch(load, &c->watched, EPOLLIN);
	err = send_some(c);
	if (err)
		fail(load, c, word_of(-err));
}

static void ready(struct load *load, struct watched *watched, uint32_t events)
{
	struct connection *c = (struct connection *)watched;

	if (is_open(c))
		receive(load, c);
	else
		opened(load, c);
}

static struct connection *connection_new(struct load *load, enum kind kind, int fd)
{
	struct connection *c = zeroed(sizeof(*c));
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->watched = (struct watched){fd, ready};
	c->kind = kind;
	c->began_ns = c->got_ns = load->now_ns;
	LIST_INSERT_HEAD(&load->tcp->all, c, entry);
	return c;
}

static void taken(struct load *load, struct watched *watched, uint32_t events)
{
	const struct listener *listener = (const struct listener *)watched;
	struct connection *c;
	int fd;

	while ((fd = accept4(watched->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = connection_new(load, listener->kind, fd);
		c->opened_ns = load->now_ns;
		watch(load, &c->watched, EPOLLIN);
	}
}

static void listen_at(struct load *load, struct listener *listener, enum kind kind,
		      unsigned int port)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) || listen(fd, 1024))
		fatal("TCP port %u", port);
	*listener = (struct listener){{fd, taken}, kind};
	watch(load, &listener->watched, EPOLLIN);
}

void tcp_serve(struct load *load)
{
	struct tcp *tcp = zeroed(sizeof(*tcp));

	load->tcp = tcp;
	// Names of two endpoints, or of two runs, differ.
	tcp->names = mix(clock_ns() ^ (uint64_t)getpid() << 40);
	listen_at(load, &tcp->listener[0], STREAM, STREAM_PORT);
	listen_at(load, &tcp->listener[1], SHORT, SHORT_PORT);
}

static struct asker *asker_add(struct load *load, const char *ip, enum kind kind)
{
	struct asker *asker = &load->tcp->asker[load->tcp->askers++];

	if (load->tcp->askers > sizeof(load->tcp->asker) / sizeof(load->tcp->asker[0]))
		fatalx("too many to ask");
	snprintf(asker->ip, sizeof(asker->ip), "%s", ip);
	asker->kind = kind;
	asker->next_ns = load->now_ns;
	return asker;
}

void streams_add(struct load *load, const char *ip, unsigned int count)
{
	asker_add(load, ip, STREAM)->wanted = count;
}

void shorts_add(struct load *load, const char *ip, double each_second)
{
	if (each_second <= 0)
		fatalx("no connections to %s", ip);
	asker_add(load, ip, SHORT)->period_ns = (uint64_t)((double)SECOND / each_second);
}

static void ask(struct load *load, struct asker *asker)
{
	struct sockaddr_in to =
		address_at(asker->ip, asker->kind == STREAM ? STREAM_PORT : SHORT_PORT);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct connection *c;

	if (fd < 0)
		fatal("socket");
	c = connection_new(load, asker->kind, fd);
	c->client = 1;
	c->ip = asker->ip;
	c->name = mix(load->tcp->names++);
	load->tcp->clients++;
	asker->open += asker->kind == STREAM;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		return fail(load, c, word_of(errno));
	watch(load, &c->watched, EPOLLOUT);
}

int streams_flow(const struct load *load)
{
	const struct connection *c;
	size_t wanted = 0, flow = 0;

	for (size_t i = 0; i < load->tcp->askers; i++)
		wanted += load->tcp->asker[i].wanted;
	LIST_FOREACH(c, &load->tcp->all, entry)
	flow += c->kind == STREAM && c->client && c->got;
	return wanted == flow;
}

size_t clients_open(const struct load *load)
{
	return load->tcp->clients;
}

void tcp_stop(struct load *load)
{
	struct connection *c, *next;

	for (c = LIST_FIRST(&load->tcp->all); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (c->kind == STREAM && c->client && !is_open(c))
			close_it(load, c); // it was never one
		// The end is due, and so is its answer.
		c->next_ns = load->now_ns;
	}
}

static void begin_due(struct load *load, struct asker *asker)
{
	if (asker->kind == STREAM) {
		while (asker->open < asker->wanted && load->now_ns >= asker->next_ns)
			ask(load, asker);
	} else if (load->now_ns >= asker->next_ns) {
		asker->next_ns += asker->period_ns;
		if (load->now_ns > asker->next_ns)
			asker->next_ns = load->now_ns;
		ask(load, asker);
	}
}

// A stream's next bytes, or its end.
static void push(struct load *load, struct connection *c)
{
	int err;

	if (c->kind == STREAM && is_open(c) && c->name && c->to_send && !c->finished &&
	    load->now_ns >= c->next_ns) {
		c->next_ns = load->now_ns + PACE;
		// What the kernel does not take yet waits: a stall is not paid for with memory.
		if (c->sent == c->to_send && !(load->stopping && c->client))
			c->to_send += STEP;
		err = send_some(c);
		if (err)
			return fail(load, c, word_of(-err));
		if (load->stopping && c->client)
			finish_sending(c);
	}
	if (load->now_ns - c->got_ns <= load->patience_ns)
		return;
	if (is_open(c) && !c->client && c->kind == SHORT)
		close_it(load, c); // its client knows
	else
		fail(load, c, is_open(c) ? "stall" : "timed out");
}

void tcp_turn(struct load *load)
{
	struct connection *c, *next;
	size_t i;

	for (i = 0; i < load->tcp->askers && !load->stopping; i++)
		begin_due(load, &load->tcp->asker[i]);
	for (c = LIST_FIRST(&load->tcp->all); c; c = next) {
		next = LIST_NEXT(c, entry);
		push(load, c);
	}
}

void tcp_bury(struct load *load)
{
	struct connection *c;

	while ((c = LIST_FIRST(&load->tcp->buried))) {
		LIST_REMOVE(c, entry);
		free(c);
	}
}

void tcp_end(struct load *load)
{
	const struct tcp *tcp = load->tcp;
	const struct connection *c;

	LIST_FOREACH(c, &tcp->all, entry)
	if (c->kind == STREAM && c->name)
		say_end(load, c, "open");
	say("\"what\":\"shorts\",\"done\":%" PRIu64 ",\"late\":%" PRIu64 ",\"broken\":%" PRIu64
	    ",\"unopened\":%" PRIu64,
	    tcp->done, tcp->late, tcp->broken, tcp->unopened);
}
