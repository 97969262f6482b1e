// SPDX-License-Identifier: Apache-2.0
// Ordinary sockets that connect, ask, and are closed. What a backend says is read as far as the
// status of its first line.
#include "modules/health/health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "lib/address.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/own.h"
#include "shared/address.h"
#include "shared/health.h"

#define TICK_MS 5 // what is due at about the same time is done together

struct backend {
	LIST_ENTRY(backend) next;
	struct balancer *balancer;
	struct health_target target;
	struct judgement judgement;
	char why[HEALTH_WHY];
	__u32 place;
	__u32 checks; // how many began: what epoll says of an older one is late
	int wanted;
	int reachable; // the maps have it
	int fd;	       // of the check that is under way; -1: none is
	int asked;     // HTTP: the request was sent
	__u64 begun_ms;
	__u64 next_ms; // when the next one begins
	char answer[HTTP_STATUS_BYTES];
	size_t answered; // bytes
};

struct balancer {
	LIST_ENTRY(balancer) next;
	LIST_HEAD(backends, backend) backends;
	int changed;
	enum health_of of;
	char id[HEALTH_NAME];
};

struct health_checks {
	pthread_mutex_t lock;
	pthread_t thread;
	void (*changed)(void *context);
	void *context;
	int events, wake; // epoll, and an eventfd in it
	LIST_HEAD(balancers, balancer) balancers;
	struct balancer *current; // between health_begin() and health_end()
	struct backend *place[MAX_CHECKED];
	__u32 next_place;
	__u32 next_port;
	__u32 index;
	int is_checking;
};

// ---- one check

static void end_check(struct backend *b)
{
	closep(&b->fd);
	b->asked = 0;
	b->answered = 0;
}

// After the first one any part of the pause, so that not all are always due together.
static __u32 pause_ms(const struct backend *b)
{
	__u32 pause = judge_pause_ms(&b->judgement, &b->target.check);

	return b->checks == 1 ? 1 + (__u32)random() % pause : pause;
}

static void conclude(struct health_checks *h, struct backend *b, int passed, const char *why)
{
	end_check(b);
	if (!passed)
		snprintf(b->why, sizeof(b->why), "%s", why);
	if (judge(&b->judgement, &b->target.check, passed)) {
		if (b->balancer->of == HEALTH_OF_UPLINK)
			log_info("uplink %s %s%s%s", b->target.backend,
				 passed ? "leads outside" : "does not lead outside",
				 passed ? "" : ": ", passed ? "" : why);
		else
			log_info("load balancer %s, %s %u: backend %s is %s%s%s", b->balancer->id,
				 b->target.protocol == IPPROTO_UDP ? "udp" : "tcp", b->target.port,
				 b->target.backend, passed ? "up" : "down", passed ? "" : ": ",
				 passed ? "" : why);
		b->balancer->changed = 1;
		h->changed(h->context);
	}
	b->next_ms = b->begun_ms + pause_ms(b);
}

// Closing says so at once (RST): nothing is kept of a check here or there.
static int check_socket(const struct health_checks *h)
{
	const struct linger at_once = {1, 0};
	const int on = 1;
	char interface[IF_NAMESIZE];
	auto_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int length = snprintf(interface, sizeof(interface), CHECK_INTERFACE, h->index, 'a');

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)length))
		return -errno;
	return take_fd(fd);
}

static int bind_and_connect(struct health_checks *h, int fd, const struct backend *b)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(CHECK_OWN)};
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(b->target.check_port),
		.sin_addr.s_addr = htonl(CHECK_NETWORK + CHECK_FIRST + b->place),
	};
	int tries;

	for (tries = 0; tries < CHECK_PORTS; tries++) {
		own.sin_port = htons((__u16)(CHECK_FIRST_PORT + h->index * CHECK_PORTS +
					     h->next_port++ % CHECK_PORTS));
		if (bind(fd, (const struct sockaddr *)&own, sizeof(own)))
			continue;
		if (!connect(fd, (const struct sockaddr *)&to, sizeof(to)) || errno == EINPROGRESS)
			return 0;
		return -errno;
	}
	return -errno;
}

// What this node cannot do itself says nothing of a backend: it is left as it was.
static void begin_check(struct health_checks *h, struct backend *b, __u64 now)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	auto_(closep) int fd = check_socket(h);

	b->begun_ms = now;
	b->next_ms = now + judge_pause_ms(&b->judgement, &b->target.check);
	b->checks++;
	event.data.u64 = (__u64)b->checks << 32 | (b->place + 1);
	if (fd < 0 || bind_and_connect(h, fd, b) || epoll_ctl(h->events, EPOLL_CTL_ADD, fd, &event))
		return;
	b->fd = take_fd(fd);
}

static int ask(const struct backend *b)
{
	const int six = !address_is_v4(&b->target.address);
	char request[MAX_CHECK_PATH + 192], host[ADDRESS_TEXT];
	int length;

	// Of IPv6 in brackets: RFC 3986 section 3.2.2.
	address_text(&b->target.address, host);
	length =
		snprintf(request, sizeof(request),
			 "GET %s HTTP/1.0\r\nHost: %s%s%s\r\nUser-Agent: zeta-health-check\r\n\r\n",
			 b->target.path, six ? "[" : "", host, six ? "]" : "");
	return send(b->fd, request, (size_t)length, MSG_NOSIGNAL) == length ? 0 : -EIO;
}

static void read_answer(struct health_checks *h, struct backend *b)
{
	ssize_t got = recv(b->fd, b->answer + b->answered, sizeof(b->answer) - b->answered, 0);
	char why[HEALTH_WHY] = "no HTTP answer";
	int is;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		conclude(h, b, 0, got ? "reset" : why);
		return;
	}
	b->answered += (size_t)got;
	is = judge_http(b->answer, b->answered);
	if (is < 0)
		return;
	if (!is && b->answered == sizeof(b->answer) && strspn(b->answer + 9, "0123456789") >= 3)
		snprintf(why, sizeof(why), "HTTP %.3s", b->answer + 9);
	conclude(h, b, is, why);
}

// Something happened to the check that is under way.
static void go_on(struct health_checks *h, struct backend *b)
{
	socklen_t size = sizeof(int);
	int err = 0;

	if (getsockopt(b->fd, SOL_SOCKET, SO_ERROR, &err, &size) || err) {
		conclude(h, b, 0, err == ECONNREFUSED ? "refused" : strerror(err));
	} else if (!b->target.http) {
		conclude(h, b, 1, "");
	} else if (!b->asked && ask(b)) {
		conclude(h, b, 0, "reset");
	} else {
		b->asked = 1;
		read_answer(h, b);
	}
}

// ---- the thread

static void take_event(struct health_checks *h, __u64 data)
{
	const __u32 place = (__u32)data - 1;
	struct backend *b;
	eventfd_t times;

	if (!data) {
		(void)!eventfd_read(h->wake, &times);
		return;
	}
	b = place < MAX_CHECKED ? h->place[place] : NULL;
	if (b && b->fd >= 0 && b->checks == (__u32)(data >> 32))
		go_on(h, b);
}

// Begins and ends what is due. Returns in how many milliseconds something is; -1: never.
static int look(struct health_checks *h)
{
	const __u64 now = now_ms();
	__u64 soonest = UINT64_MAX;
	struct balancer *balancer;
	struct backend *b;

	if (!h->is_checking)
		return -1;
	LIST_FOREACH(balancer, &h->balancers, next)
	LIST_FOREACH(b, &balancer->backends, next)
	{
		__u64 due;

		if (!b->reachable)
			continue;
		if (b->fd >= 0 && now >= b->begun_ms + b->target.check.timeout_ms)
			conclude(h, b, 0, "timed out");
		if (b->fd < 0 && now >= b->next_ms)
			begin_check(h, b, now);
		due = b->fd < 0 ? b->next_ms : b->begun_ms + b->target.check.timeout_ms;
		soonest = due < soonest ? due : soonest;
	}
	if (soonest == UINT64_MAX)
		return -1;
	return soonest < now + TICK_MS ? TICK_MS : (int)(soonest - now);
}

static void *run(void *context)
{
	struct health_checks *h = context;
	struct epoll_event events[64];
	int wait = -1, count, i;

	for (;;) {
		// What has been answered meanwhile comes before what is late.
		count = epoll_wait(h->events, events, sizeof(events) / sizeof(events[0]), wait);
		pthread_mutex_lock(&h->lock);
		for (i = 0; i < count; i++)
			take_event(h, events[i].data.u64);
		wait = count == sizeof(events) / sizeof(events[0]) ? 0 : look(h);
		pthread_mutex_unlock(&h->lock);
	}
	return NULL;
}

struct health_checks *health_start(void (*changed)(void *context), void *context)
{
	struct health_checks *h = calloc(1, sizeof(*h));
	struct epoll_event woken = {.events = EPOLLIN};

	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	LIST_INIT(&h->balancers);
	h->changed = changed;
	h->context = context;
	h->events = epoll_create1(EPOLL_CLOEXEC);
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->events >= 0 && h->wake >= 0 &&
	    !epoll_ctl(h->events, EPOLL_CTL_ADD, h->wake, &woken) &&
	    !pthread_create(&h->thread, NULL, run, h))
		return h;
	closep(&h->events);
	closep(&h->wake);
	free(h);
	return NULL;
}

void health_configure(struct health_checks *h, __u32 index, int is_checking)
{
	struct balancer *balancer;
	struct backend *b;

	pthread_mutex_lock(&h->lock);
	h->index = index;
	h->is_checking = is_checking;
	LIST_FOREACH(balancer, &h->balancers, next)
	LIST_FOREACH(b, &balancer->backends, next)
	{
		end_check(b);
		b->reachable = 0;
	}
	pthread_mutex_unlock(&h->lock);
	eventfd_write(h->wake, 1);
}

void health_reachable(struct health_checks *h)
{
	struct balancer *balancer;
	struct backend *b;

	pthread_mutex_lock(&h->lock);
	LIST_FOREACH(balancer, &h->balancers, next)
	LIST_FOREACH(b, &balancer->backends, next)
	b->reachable = 1;
	pthread_mutex_unlock(&h->lock);
	eventfd_write(h->wake, 1);
}

// ---- what is checked

static void drop(struct health_checks *h, struct backend *b)
{
	end_check(b);
	h->place[b->place] = NULL;
	LIST_REMOVE(b, next);
	free(b);
}

static struct balancer *find(struct health_checks *h, enum health_of of, const char *id)
{
	struct balancer *balancer;

	LIST_FOREACH(balancer, &h->balancers, next)
	if (balancer->of == of && !strcmp(balancer->id, id))
		return balancer;
	balancer = calloc(1, sizeof(*balancer));
	if (!balancer)
		return NULL;
	balancer->of = of;
	snprintf(balancer->id, sizeof(balancer->id), "%s", id);
	LIST_INIT(&balancer->backends);
	LIST_INSERT_HEAD(&h->balancers, balancer, next);
	return balancer;
}

void health_begin(struct health_checks *h, enum health_of of, const char *id)
{
	struct backend *b;

	pthread_mutex_lock(&h->lock);
	h->current = find(h, of, id);
	if (!h->current)
		return;
	h->current->changed = 0;
	LIST_FOREACH(b, &h->current->backends, next)
	b->wanted = 0;
}

static int is_same(const struct health_target *a, const struct health_target *b)
{
	return !strcmp(a->backend, b->backend) && a->protocol == b->protocol && a->port == b->port;
}

// A place that nobody has, not the one that was free last: what is late is for nobody then.
static int free_place(struct health_checks *h, __u32 *place)
{
	__u32 tries;

	for (tries = 0; tries < MAX_CHECKED; tries++) {
		*place = h->next_place++ % MAX_CHECKED;
		if (!h->place[*place])
			return 0;
	}
	return -ENOSPC;
}

static int add(struct health_checks *h, const struct health_target *target, struct backend **out)
{
	struct backend *b;
	__u32 place;

	if (free_place(h, &place))
		return -ENOSPC;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->balancer = h->current;
	b->target = *target;
	b->place = place;
	b->fd = -1;
	h->place[place] = b;
	LIST_INSERT_HEAD(&h->current->backends, b, next);
	*out = b;
	return 0;
}

int health_want(struct health_checks *h, const struct health_target *target, __u32 *place)
{
	struct backend *b;
	int err;

	if (!h->current)
		return -ENOMEM;
	LIST_FOREACH(b, &h->current->backends, next)
	if (is_same(&b->target, target))
		break;
	// Of one that is elsewhere, or is to be asked something else, nothing is known.
	if (b && memcmp(&b->target, target, sizeof(*target)) != 0) {
		drop(h, b);
		b = NULL;
	}
	if (!b && (err = add(h, target, &b)))
		return err;
	b->wanted = 1;
	*place = b->place;
	return (int)b->judgement.health;
}

void health_end(struct health_checks *h)
{
	struct backend *b, *next;

	if (h->current) {
		for (b = LIST_FIRST(&h->current->backends); b; b = next) {
			next = LIST_NEXT(b, next);
			if (!b->wanted)
				drop(h, b);
		}
		if (LIST_EMPTY(&h->current->backends)) {
			LIST_REMOVE(h->current, next);
			free(h->current);
		}
		h->current = NULL;
	}
	pthread_mutex_unlock(&h->lock);
}

int health_changed(struct health_checks *h, enum health_of *of, char id[HEALTH_NAME])
{
	struct balancer *balancer;

	pthread_mutex_lock(&h->lock);
	LIST_FOREACH(balancer, &h->balancers, next)
	if (balancer->changed)
		break;
	if (balancer) {
		balancer->changed = 0;
		*of = balancer->of;
		memcpy(id, balancer->id, sizeof(balancer->id));
	}
	pthread_mutex_unlock(&h->lock);
	return balancer != NULL;
}

static size_t tell(struct health_checks *h, int up, struct health_state *out, size_t most)
{
	struct balancer *balancer;
	struct backend *b;
	size_t count = 0;

	LIST_FOREACH(balancer, &h->balancers, next)
	LIST_FOREACH(b, &balancer->backends, next)
	{
		struct health_state *state = &out[count];

		if (count == most || (b->judgement.health == HEALTH_UP) != up)
			continue;
		memset(state->balancer, 0, sizeof(state->balancer));
		if (balancer->of == HEALTH_OF_BALANCER)
			memcpy(state->balancer, balancer->id, sizeof(state->balancer));
		memcpy(state->backend, b->target.backend, sizeof(state->backend));
		memcpy(state->why, b->why, sizeof(state->why));
		state->protocol = b->target.protocol;
		state->port = b->target.port;
		state->health = b->judgement.health;
		count++;
	}
	return count;
}

size_t health_tell(struct health_checks *h, struct health_state *out, size_t most)
{
	size_t count;

	pthread_mutex_lock(&h->lock);
	count = tell(h, 0, out, most);
	count += tell(h, 1, out + count, most - count);
	pthread_mutex_unlock(&h->lock);
	return count;
}
