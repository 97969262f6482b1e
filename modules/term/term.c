// SPDX-License-Identifier: Apache-2.0
// The thread: datagrams, time, and what the loader is asked to write. Everything is done with the
// lock held but waiting.
#include "modules/term/term.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/own.h"
#include "shared/config.h"
#include "wire/beat.h"

#define PRIORITY 1	       // of the thread, SCHED_RR: any is above all that has none
#define RUNAWAY_US 1000000     // it is ended where it never waits for so long
#define DATAGRAMS 64	       // handled before time is looked at again
#define NETWORK_CONTROL 0xC0   // IP precedence 6 (RFC 791)
#define HEARD_MS 0xFFFFFFFFull // silence is counted up to that

// One array of the kernel's, as it is now.
struct mapping {
	const void *memory;
	size_t size;
};

struct term {
	pthread_mutex_t lock;
	pthread_t thread;
	int wake; // eventfd: the socket is another one now
	int loader;
	int network; // -1: none
	in_addr_t bound;
	int warned;		       // that it cannot be
	struct node_settings settings; // roles 0: none yet
	__u32 boot;
	__u32 loads;
	struct members *members; // NULL: no settings of a gateway yet
	struct mapping array[ARRAYS];
	struct in6_addr address[MAX_NODES]; // :: where there is no such node
	__u64 tick_ns;			    // when the next one is due
	struct message message;
};

static const size_t array_sizes[ARRAYS] = {
	[ARRAY_PEERS] = MAX_NODES * sizeof(struct peer_value),
	[ARRAY_GRANTS] = MAX_CHAINS * sizeof(struct grant_value),
	[ARRAY_LEASES] = MAX_CHAINS * sizeof(struct lease_value),
	[ARRAY_COPIES] = MAX_CHAINS * sizeof(struct copy_value),
	[ARRAY_DEPARTURES] = MAX_CHAINS * sizeof(struct departure_value),
	[ARRAY_REGISTERS] = MAX_CHAINS * sizeof(struct register_value),
	[ARRAY_FENCES] = MAX_CHAINS * sizeof(struct fence_value),
	[ARRAY_SETTINGS] = SETTINGS_BYTES,
	[ARRAY_ADDRESSES] = MAX_NODES * sizeof(struct in6_addr),
};

// The kernel rounds the size of an array's values up to 8 bytes.
_Static_assert(!(sizeof(struct peer_value) % 8) && !(sizeof(struct grant_value) % 8) &&
		       !(sizeof(struct lease_value) % 8) && !(sizeof(struct copy_value) % 8) &&
		       !(sizeof(struct register_value) % 8) && !(sizeof(struct fence_value) % 8) &&
		       !(sizeof(struct departure_value) % 8) && !(SETTINGS_BYTES % 8),
	       "mapped arrays");

static __u64 boot_ns(void *context)
{
	struct timespec now;

	(void)context;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
}

// ---- the loader

// Without the loader there is no agent. Not exit(): other threads are still at work.
_Noreturn static void end(int err)
{
	if (err == -EPIPE)
		_exit(0);
	fatalx("the loader does not answer ballots as it should: %s", strerror(-err));
}

static void begin(struct term *t, enum message_type type, enum table table)
{
	memset(&t->message, 0, MESSAGE_HEAD);
	t->message.type = (__u16)type;
	t->message.table = (__u16)table;
}

static void say(struct term *t)
{
	int err = message_send(t->loader, &t->message);

	if (err)
		end(err);
}

// The answer replaces the message.
static void hear(struct term *t)
{
	size_t size;
	int err = message_receive(t->loader, &t->message, &size);

	if (!err && !message_is_answer(&t->message, size))
		err = -EPROTO;
	if (err)
		end(err);
}

static void say_put(struct term *t, enum table table, __u32 key, const void *value)
{
	__u8 *at;

	begin(t, MESSAGE_PUT, table);
	t->message.count = 1;
	at = message_at(&t->message, 0);
	memcpy(at, &key, sizeof(key));
	memcpy(at + sizeof(key), value, tables[table].value_size);
	say(t);
}

// The loader carries out one message after the other, so that nothing need be waited for in
// between; when the last answer is here, everything is in the kernel.
static int host_write(void *context, __u32 chain, const struct membership_change *change)
{
	struct term *t = context;
	int asked = 0, err = 0;

	if (change->kept && ++asked)
		say_put(t, TABLE_REGISTERS, chain, change->kept);
	if (change->fence && ++asked)
		say_put(t, TABLE_FENCES, chain, change->fence);
	if (change->chain && ++asked) {
		log_debug("chain %u: term %u.%u, %u live, head %u, tail %u, %u learners", chain,
			  change->chain->epoch, change->chain->term, change->chain->live,
			  change->chain->node[0], change->chain->node[change->chain->live - 1],
			  change->chain->learner);
		say_put(t, TABLE_CHAINS, chain, change->chain);
	}
	while (asked--) {
		hear(t);
		if (t->message.error && !err) {
			err = t->message.error;
			log_warnx("chain %u: %s", chain, t->message.text);
		}
	}
	return err;
}

static int host_wipe(void *context, __u32 chain, __u32 floor)
{
	struct term *t = context;

	begin(t, MESSAGE_WIPE, 0);
	t->message.wipe.chain = chain;
	t->message.wipe.floor = floor;
	say(t);
	hear(t);
	return t->message.error;
}

static void close_arrays(struct term *t)
{
	int i;

	for (i = 0; i < ARRAYS; i++) {
		if (t->array[i].memory)
			munmap((void *)t->array[i].memory, t->array[i].size);
		t->array[i] = (struct mapping){};
	}
}

// Maps what the kernel writes. Returns 0; -ENOENT: no programs are loaded.
static int open_arrays(struct term *t)
{
	int fds[ARRAYS], i, err;
	size_t size;

	close_arrays(t);
	begin(t, MESSAGE_ARRAYS, 0);
	say(t);
	err = message_receive_arrays(t->loader, &t->message, &size, fds);
	if (!err && !message_is_answer(&t->message, size))
		err = -EPROTO;
	if (err)
		end(err);
	if (t->message.type != MESSAGE_ARRAYS_ARE)
		return -ENOENT;
	t->boot = t->message.arrays.boot;
	t->loads = t->message.arrays.loads;
	for (i = 0; i < ARRAYS; i++) {
		void *memory = mmap(NULL, array_sizes[i], PROT_READ, MAP_SHARED, fds[i], 0);

		closep(&fds[i]);
		if (memory == MAP_FAILED)
			err = -errno;
		else
			t->array[i] = (struct mapping){memory, array_sizes[i]};
	}
	if (err) {
		close_arrays(t);
		log_warnx("what the kernel knows of other nodes cannot be mapped: %s",
			  strerror(-err));
	}
	return err;
}

// ---- the network

// The socket stays where the address does: one that the thread waits for just now keeps its port
// for a while after it is closed.
static void open_network(struct term *t)
{
	const int precedence = NETWORK_CONTROL, yes = 1;
	struct sockaddr_in own = {
		.sin_family = AF_INET,
		.sin_port = htons(TERM_PORT),
		.sin_addr.s_addr = t->settings.zgc_ip.s6_addr32[3],
	};
	int fd;

	if (t->network >= 0 && t->bound == own.sin_addr.s_addr)
		return;
	closep(&t->network);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	// The address may come later than its interface.
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes)) ||
	    bind(fd, (const struct sockaddr *)&own, sizeof(own))) {
		// A former daemon may have it for a moment longer.
		if (!t->warned)
			log_warn("no ballots yet: UDP port %d of the cluster's address", TERM_PORT);
		t->warned = 1;
		closep(&fd);
		return;
	}
	if (setsockopt(fd, IPPROTO_IP, IP_TOS, &precedence, sizeof(precedence)))
		log_warn("ballots go as any datagram");
	t->network = fd;
	t->bound = own.sin_addr.s_addr;
	t->warned = 0;
}

static void host_send(void *context, __u32 node, const void *bytes, size_t size)
{
	struct term *t = context;
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(TERM_PORT),
		.sin_addr.s_addr = node < MAX_NODES ? t->address[node].s6_addr32[3] : 0,
	};

	// What cannot be sent now is lost, as anything on a network may be.
	if (to.sin_addr.s_addr && t->network >= 0)
		(void)!sendto(t->network, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL,
			      (const struct sockaddr *)&to, sizeof(to));
}

// A datagram counts as a node's only where it comes from that node's address.
static void receive(struct term *t)
{
	unsigned char bytes[sizeof(struct term_known) + 1];
	struct sockaddr_in from = {};
	struct term_head head;
	int i;

	for (i = 0; i < DATAGRAMS; i++) {
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(t->network, bytes, sizeof(bytes), MSG_DONTWAIT,
				       (struct sockaddr *)&from, &length);
		__u32 node;

		if (got < 0)
			return;
		if ((size_t)got < sizeof(head) || length != sizeof(from) ||
		    from.sin_family != AF_INET)
			continue;
		memcpy(&head, bytes, sizeof(head));
		node = ntohl(head.from.node);
		if (node < MAX_NODES && from.sin_addr.s_addr &&
		    t->address[node].s6_addr32[3] == from.sin_addr.s_addr)
			members_take(t->members, node, bytes, (size_t)got);
	}
}

// ---- what this node is

// Writes what a daemon that finds no controller begins with.
static void keep(struct term *t, enum table table, __u32 key, const void *value)
{
	say_put(t, table, key, value);
	hear(t);
	if (t->message.error)
		log_warnx("%s", t->message.text);
}

static void open_members(struct term *t)
{
	const struct register_value *kept = t->array[ARRAY_REGISTERS].memory;
	const struct fence_value *fences = t->array[ARRAY_FENCES].memory;
	const struct members_host host = {
		.write = host_write,
		.wipe = host_wipe,
		.send = host_send,
		.now = boot_ns,
		.context = t,
		.peers = t->array[ARRAY_PEERS].memory,
		.grants = t->array[ARRAY_GRANTS].memory,
		.leases = t->array[ARRAY_LEASES].memory,
		.copies = t->array[ARRAY_COPIES].memory,
		.departures = t->array[ARRAY_DEPARTURES].memory,
	};
	const struct dft_name self = {t->settings.index, t->boot};
	__u32 i;

	t->members = members_new(&host, self, t->settings.beat_ms, t->settings.cluster);
	if (!t->members)
		fatalx("no memory for ballots");
	for (i = 0; i < MAX_CHAINS; i++)
		members_restore(t->members, i, &kept[i], &fences[i]);
	for (i = 0; i < MAX_NODES; i++)
		members_node(t->members, i, t->address[i].s6_addr32[3] != 0);
}

static int is_gateway(const struct node_settings *settings)
{
	return (settings->roles & (NODE_FWD | NODE_FTN)) != 0;
}

void term_configure(struct term *t, const struct node_settings *settings)
{
	pthread_mutex_lock(&t->lock);
	// All that this node promised and knows is in the registers, so it begins anew from there.
	members_free(t->members);
	t->members = NULL;
	t->settings = *settings;
	// Nodes and wishes are told again.
	memset(t->address, 0, sizeof(t->address));
	if (is_gateway(settings) && !open_arrays(t)) {
		keep(t, TABLE_SETTINGS, 0, settings);
		open_network(t);
		open_members(t);
	}
	t->tick_ns = 0;
	eventfd_write(t->wake, 1);
	pthread_mutex_unlock(&t->lock);
}

// Before the controller is heard: a node that was one goes on with what it was.
static void resume(struct term *t)
{
	struct node_settings settings;
	const char *why;
	__u32 i;

	if (open_arrays(t))
		return;
	memcpy(&settings, t->array[ARRAY_SETTINGS].memory, sizeof(settings));
	if (!is_gateway(&settings) || node_settings_check(&settings, &why))
		return;
	t->settings = settings;
	memcpy(t->address, t->array[ARRAY_ADDRESSES].memory, sizeof(t->address));
	open_network(t);
	open_members(t);
	for (i = 0; i < MAX_CHAINS; i++)
		members_resume(t->members, i);
}

static void take_node(struct term *t, __u32 node, const struct node_value *value)
{
	const struct in6_addr *kept;

	if (node >= MAX_NODES)
		return;
	// Another cluster's has no part in ours.
	if (value && value->foreign)
		value = NULL;
	t->address[node] = value ? value->zgc_ip : (struct in6_addr){};
	if (!t->members)
		return;
	kept = t->array[ARRAY_ADDRESSES].memory;
	if (memcmp(&kept[node], &t->address[node], sizeof(*kept)) != 0)
		keep(t, TABLE_ADDRESSES, node, &t->address[node]);
	members_node(t->members, node, value != NULL);
}

static void take_wish(struct term *t, __u32 chain, const struct chain_wish *wish)
{
	if (chain >= MAX_CHAINS)
		return;
	if (t->members && wish)
		members_wish(t->members, chain, wish);
	else if (t->members)
		members_forget(t->members, chain);
}

void term_take(struct term *t, struct message *message)
{
	struct chain_wish wish;
	struct node_value value;
	__u32 i, key;

	for (i = 0; i < message->count; i++) {
		const __u8 *at = message_at(message, i);
		int put = message->type == MESSAGE_PUT;

		// Ballots go on in between.
		pthread_mutex_lock(&t->lock);
		memcpy(&key, at, sizeof(key));
		if (message->table == TABLE_NODES) {
			memcpy(&value, at + sizeof(key), put ? sizeof(value) : 0);
			take_node(t, key, put ? &value : NULL);
		} else {
			memcpy(&wish, at + sizeof(key), put ? sizeof(wish) : 0);
			take_wish(t, key, put ? &wish : NULL);
		}
		pthread_mutex_unlock(&t->lock);
	}
	eventfd_write(t->wake, 1);
}

size_t term_states(struct term *t, struct member_state *out, size_t most)
{
	size_t count;

	pthread_mutex_lock(&t->lock);
	count = t->members ? members_states(t->members, out, most) : 0;
	pthread_mutex_unlock(&t->lock);
	return count;
}

__u32 term_cleared(struct term *t)
{
	__u32 move;

	pthread_mutex_lock(&t->lock);
	move = t->members ? members_cleared(t->members) : 0;
	pthread_mutex_unlock(&t->lock);
	return move;
}

// Whether it was not before the silence by which a node is taken for dead, and some rounds.
static int is_recent(const struct term *t, const __u64 *ns, __u64 now)
{
	const __u64 when = __atomic_load_n(ns, __ATOMIC_ACQUIRE);
	const __u64 patience = (__u64)t->settings.beat_ms * 2 * SUSPECT_BEATS * 1000000;

	return when && (when >= now || now - when < patience);
}

size_t term_peers(struct term *t, struct peer_state *out, size_t most)
{
	const struct peer_value *peers;
	__u64 now = boot_ns(NULL);
	size_t count = 0;
	__u32 i;

	pthread_mutex_lock(&t->lock);
	peers = t->array[ARRAY_PEERS].memory;
	for (i = 0; peers && i < MAX_NODES && count < most; i++) {
		const __u64 received = __atomic_load_n(&peers[i].received_ns, __ATOMIC_ACQUIRE);
		const __u64 heard = __atomic_load_n(&peers[i].heard_ns, __ATOMIC_ACQUIRE);
		const __u64 silent = received && now > received ? (now - received) / 1000000 : 0;
		const __u64 deaf = (__u64)t->settings.beat_ms * SUSPECT_BEATS * 1000000;

		if (!peers[i].boot)
			continue;
		out[count++] = (struct peer_state){
			.node = i,
			.boot = peers[i].boot,
			.alive = peers[i].alive != 0,
			.hears_us = heard && (heard >= now || now - heard < deaf),
			.silent_ms = (__u32)(silent < HEARD_MS ? silent : HEARD_MS),
			.is_called = is_recent(t, &peers[i].called_ns[0], now),
			.answers = is_recent(t, &peers[i].echo_ns, now),
		};
	}
	pthread_mutex_unlock(&t->lock);
	return count;
}

void term_side(struct term *t, __u32 *side, int *away)
{
	const struct peer_value *own;

	*side = SIDE_UNKNOWN;
	*away = 0;
	pthread_mutex_lock(&t->lock);
	own = t->array[ARRAY_PEERS].memory;
	if (own && t->settings.beat_ms) {
		own += t->settings.index;
		*side = __atomic_load_n(&own->side, __ATOMIC_RELAXED);
		*away = __atomic_load_n(&own->away, __ATOMIC_RELAXED);
		if (*side == SIDE_CALLS && !is_recent(t, &own->answered_ns, boot_ns(NULL)))
			*side = SIDE_LONG_AGO;
	}
	pthread_mutex_unlock(&t->lock);
}

// ---- the thread

static void wait_for(struct pollfd polls[2], __u64 until, __u64 now)
{
	const __u64 wait = until > now ? until - now : 0;
	const struct timespec timeout = {(time_t)(wait / 1000000000), (long)(wait % 1000000000)};

	if (ppoll(polls, 2, &timeout, NULL) < 0 && errno != EINTR)
		fatal("ppoll");
}

static void *run(void *context)
{
	struct term *t = context;
	struct sched_param priority;
	struct pollfd polls[2] = {{.fd = t->wake, .events = POLLIN}, {.events = POLLIN}};
	eventfd_t count;
	__u64 now;

	// What the starter had, for this thread and none that it may start.
	if (!sched_getparam(0, &priority))
		(void)!sched_setscheduler(0, sched_getscheduler(0) | SCHED_RESET_ON_FORK,
					  &priority);
	pthread_mutex_lock(&t->lock);
	if (!t->settings.roles)
		resume(t);
	for (;;) {
		polls[1].fd = t->members ? t->network : -1;
		pthread_mutex_unlock(&t->lock);
		wait_for(polls, t->tick_ns, boot_ns(NULL));
		pthread_mutex_lock(&t->lock);
		if (polls[0].revents)
			eventfd_read(t->wake, &count);
		now = boot_ns(NULL);
		if (!t->members) {
			t->tick_ns = now + 1000000000;
			continue;
		}
		if (t->network >= 0)
			receive(t);
		now = boot_ns(NULL);
		if (now < t->tick_ns)
			continue;
		if (t->network < 0)
			open_network(t);
		members_tick(t->members);
		t->tick_ns = now + members_pace(t->members);
	}
	return NULL;
}

void term_prepare(void)
{
	const struct sched_param priority = {.sched_priority = PRIORITY};
	const struct rlimit runaway = {RUNAWAY_US, RUNAWAY_US};

	// Who took the agent over could else keep a CPU for himself.
	if (setrlimit(RLIMIT_RTTIME, &runaway) || sched_setscheduler(0, SCHED_RR, &priority))
		log_info("ballots have no real-time priority: %s", strerror(errno));
}

struct term *term_start(int socket)
{
	struct term *t = calloc(1, sizeof(*t));
	const struct sched_param ordinary = {};
	pthread_mutexattr_t attributes;

	if (!t)
		return NULL;
	t->loader = socket;
	t->network = -1;
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	// Who holds the lock while the thread waits for it runs with the thread's priority.
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&t->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	if (t->wake < 0 || pthread_create(&t->thread, NULL, run, t)) {
		closep(&t->wake);
		free(t);
		return NULL;
	}
	// The thread has inherited it.
	(void)!sched_setscheduler(0, SCHED_OTHER, &ordinary);
	return t;
}
