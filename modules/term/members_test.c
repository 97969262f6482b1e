// SPDX-License-Identifier: Apache-2.0
// Seven nodes in one process, with a network that loses, a clock that the test winds, and a kernel
// that does what XDP does with heartbeats and leases. Questions: is nothing said before it is kept
// and fenced, does a chain go on without any node, and does a node that comes back come back
// rightly?
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modules/term/members.h"
#include "shared/config.h"

#define NODES 8 // 1 to 7; 7 is a forwarder
#define FORWARDER 7
#define CHAINS 2
#define CHAIN 1 // of most tests
#define CLUSTER 3
#define MS 1000000ull
#define STEP_NS (MS / 2)
#define PACKETS 4096
#define BEAT_MS 10

struct packet {
	__u64 when;
	__u32 from, to;
	size_t size;
	unsigned char bytes[sizeof(struct term_known)];
};

struct node {
	__u32 boot;
	int up;	    // the machine, with its kernel
	int daemon; // runs
	int cut;    // from all others
	struct members *members;
	__u64 tick_ns;

	// The kernel's.
	struct peer_value peers[MAX_NODES];
	struct grant_value grants[MAX_CHAINS];
	struct lease_value leases[MAX_CHAINS];
	struct copy_value copies[MAX_CHAINS];
	struct departure_value departures[MAX_CHAINS];
	struct register_value registers[MAX_CHAINS];
	struct fence_value fences[MAX_CHAINS];
	struct chain_value chains[CHAINS];

	int full[CHAINS];    // has records
	__u32 floor[CHAINS]; // that it was wiped to
	int wipes;	     // asked for
	int wipe_slow;	     // times to say that it is not done yet
	int refuses;	     // the loader refuses to write
	int records_at_begin;
};

static struct node *node; // [NODES]
static struct packet *packets;
static size_t waiting;
static __u64 now;
static __u64 beat_ns;
static __u32 parted[2]; // these two do not reach each other; 0: nobody
static __u64 dice;
static unsigned int loss; // of a thousand
static unsigned int ballots, said;
static void (*before_fence)(struct node *n, __u32 chain); // what the kernel does just then

static __u32 pick(__u32 below)
{
	dice ^= dice >> 12;
	dice ^= dice << 25;
	dice ^= dice >> 27;
	return (__u32)((dice * 0x2545F4914F6CDD1Dull >> 33) % below);
}

static __u32 index_of(const struct node *n)
{
	return (__u32)(n - node);
}

static __u64 term_of(const struct chain_value *c)
{
	return TERM_WORD(c->epoch, c->term);
}

static int in_path(const struct chain_value *c, __u32 index, __u32 boot)
{
	__u32 i;

	for (i = 0; i < (__u32)c->live + c->learner; i++)
		if (c->node[i] == index && c->boot[i] == boot)
			return (int)i;
	return -1;
}

// ---- the kernel's part

static int leased(const struct node *n, __u32 chain)
{
	const struct chain_value *c = &n->chains[chain];
	const struct lease_value *l = &n->leases[chain];

	return n->up && in_path(c, index_of(n), n->boot) >= 0 &&
	       n->fences[chain].promised <= term_of(c) && l->term == term_of(c) && now < l->end_ns;
}

static void grant(struct node *voter, struct node *asks, __u32 chain)
{
	const struct chain_value *c = &asks->chains[chain];
	const struct fence_value *f = &voter->fences[chain];
	struct lease_value *l = &asks->leases[chain];
	__u64 sent[MAX_VOTERS], best = 0;
	__u32 i, k, count;

	if (f->promised > term_of(c))
		return;
	for (i = 0; i < MAX_HOLDERS && f->holder[i] != index_of(asks) + 1; i++)
		;
	if (i == MAX_HOLDERS)
		return;
	voter->grants[chain].granted_ns[i] = now;
	if (l->term != term_of(c))
		*l = (struct lease_value){.term = term_of(c)};
	for (i = 0; i < c->voters; i++) {
		if (c->voter[i].node == index_of(voter) && c->voter[i].boot == voter->boot)
			l->granted_ns[i] = now;
		sent[i] = c->voter[i].node == index_of(asks) && c->voter[i].boot == asks->boot
				  ? now
				  : l->granted_ns[i];
	}
	for (i = 0; i < c->voters; i++) {
		for (k = 0, count = 0; k < c->voters; k++)
			count += sent[k] >= sent[i];
		if (count > c->voters / 2 && sent[i] > best)
			best = sent[i];
	}
	l->end_ns = best ? best + BEAT_MS * MS * LEASE_HALF_BEATS / 2 : 0;
}

static int reaches(const struct node *a, const struct node *b)
{
	if ((index_of(a) == parted[0] && index_of(b) == parted[1]) ||
	    (index_of(a) == parted[1] && index_of(b) == parted[0]))
		return 0;
	return a->up && b->up && !a->cut && !b->cut;
}

// A heartbeat of everybody to everybody, and its answer.
static void beat(void)
{
	__u32 a, b, chain;

	for (a = 1; a < NODES; a++)
		for (b = 1; b < NODES; b++) {
			if (a == b || !reaches(&node[a], &node[b]))
				continue;
			node[b].peers[a] = (struct peer_value){.boot = node[a].boot,
							       .received_ns = now,
							       .heard_ns = now,
							       .alive = 1};
			for (chain = 0; chain < CHAINS; chain++)
				if (in_path(&node[a].chains[chain], a, node[a].boot) >= 0)
					grant(&node[b], &node[a], chain);
		}
}

// ---- what members ask of the machine

static int host_write(void *context, __u32 chain, const struct membership_change *change)
{
	struct node *n = context;

	if (n->refuses)
		return -EIO;
	if (change->kept)
		n->registers[chain] = *change->kept;
	if (change->fence) {
		if (before_fence && change->fence->promised > n->fences[chain].promised)
			before_fence(n, chain);
		// A promise is never taken back.
		assert_true(change->fence->promised >= n->fences[chain].promised);
		n->fences[chain] = *change->fence;
	}
	if (change->chain) {
		const struct chain_value *c = change->chain;
		int place = in_path(c, index_of(n), n->boot);

		assert_true(term_of(c) >= term_of(&n->chains[chain]));
		// Nothing of an older term is acted in while this is written.
		assert_true(n->fences[chain].promised >= term_of(c));
		// M5: a learner begins empty.
		if (place == c->live && term_of(c) != term_of(&n->chains[chain]))
			n->records_at_begin += n->full[chain];
		if (place >= 0)
			n->full[chain] = 1;
		n->chains[chain] = *c;
	}
	return 0;
}

static int host_wipe(void *context, __u32 chain, __u32 floor)
{
	struct node *n = context;

	n->wipes++;
	// Nothing may be stored while it goes on: it acts in no term.
	assert_false(in_path(&n->chains[chain], index_of(n), n->boot) >= 0 &&
		     n->fences[chain].promised <= term_of(&n->chains[chain]));
	if (n->wipe_slow && n->wipe_slow--)
		return -EINPROGRESS;
	n->full[chain] = 0;
	n->floor[chain] = floor;
	return 0;
}

// A heartbeat comes at any time, also between two looks at the clock.
static int beats_meanwhile;

static __u64 host_now(void *context)
{
	struct node *n = context;
	__u64 looked = now;

	if (!beats_meanwhile)
		return looked;
	now++;
	if (n->peers[1].heard_ns)
		n->peers[1].received_ns = n->peers[1].heard_ns = now;
	return looked;
}

static void host_send(void *context, __u32 to, const void *bytes, size_t size)
{
	struct node *n = context;
	struct dft_term_message m;
	struct packet *p;
	__u32 chain;

	assert_in_range(to, 1, NODES - 1);
	assert_ptr_not_equal(&node[to], n);
	if (!message_read(bytes, size, CLUSTER, &chain, &m)) {
		const struct register_value *r = &n->registers[chain];
		__u64 term = TERM_WORD(m.term.epoch, m.term.number);

		said++;
		assert_true(dft_name_equal(r->self, m.from));
		// Nobody hears of what would be lost, nor of what the kernel does not know yet.
		switch (m.kind) {
		case DFT_PREPARE:
			ballots++;
			/* fallthrough */
		case DFT_PROMISE:
		case DFT_ACCEPT:
			assert_true(TERM_WORD(r->promised.epoch, r->promised.number) >= term);
			assert_true(n->fences[chain].promised >= term);
			break;
		case DFT_ACCEPTED:
			assert_true(n->fences[chain].promised >= term);
			assert_false(dft_term_compare(r->accepted.term, m.term));
			break;
		case DFT_CHOSEN:
			assert_true(dft_term_compare(r->active.term, m.term) >= 0);
			break;
		default:
			break;
		}
	}
	if (!reaches(n, &node[to]) || pick(1000) < loss)
		return;
	assert_true(waiting < PACKETS);
	p = &packets[waiting++];
	*p = (struct packet){now + MS / 10 + pick(MS / 2), index_of(n), to, size, {}};
	memcpy(p->bytes, bytes, size);
}

// ---- the world

static void daemon_start(struct node *n, __u32 beat_ms)
{
	const struct members_host host = {host_write, host_wipe,    host_send, host_now,
					  n,	      n->peers,	    n->grants, n->leases,
					  n->copies,  n->departures};
	__u32 i;

	n->members = members_new(&host, (struct dft_name){index_of(n), n->boot}, beat_ms, CLUSTER);
	assert_non_null(n->members);
	for (i = 0; i < MAX_CHAINS; i++)
		members_restore(n->members, i, &n->registers[i], &n->fences[i]);
	for (i = 1; i < NODES; i++)
		members_node(n->members, i, 1);
	n->daemon = 1;
}

static void daemon_kill(struct node *n)
{
	members_free(n->members);
	n->members = NULL;
	n->daemon = 0;
}

// It loses all it had, and comes back as another one.
static void reboot(struct node *n)
{
	const __u32 boot = n->boot + 100;

	daemon_kill(n);
	memset(n, 0, sizeof(*n));
	n->boot = boot;
	n->up = 1;
	daemon_start(n, BEAT_MS);
}

static int setup(void **state)
{
	__u32 i;

	node = calloc(NODES, sizeof(*node));
	packets = calloc(PACKETS, sizeof(*packets));
	if (!node || !packets)
		return -1;
	now = 1000000 * MS;
	dice = 88172645463325252ull;
	waiting = loss = ballots = said = 0;
	before_fence = NULL;
	parted[0] = parted[1] = 0;
	for (i = 1; i < NODES; i++) {
		node[i].boot = i * 1000;
		node[i].up = 1;
		daemon_start(&node[i], BEAT_MS);
	}
	return 0;
}

static int teardown(void **state)
{
	__u32 i;

	for (i = 1; i < NODES; i++)
		if (node[i].daemon)
			daemon_kill(&node[i]);
	free(node);
	free(packets);
	return 0;
}

// No two nodes hold a lease as tails of different terms.
static void check_tails(void)
{
	__u64 term[CHAINS] = {};
	__u32 i, chain;

	for (chain = 0; chain < CHAINS; chain++)
		for (i = 1; i < NODES; i++) {
			const struct chain_value *c = &node[i].chains[chain];

			if (!leased(&node[i], chain) ||
			    in_path(c, i, node[i].boot) != (int)c->live - 1)
				continue;
			assert_true(!term[chain] || term[chain] == term_of(c));
			term[chain] = term_of(c);
		}
}

static void deliver(void)
{
	size_t i = 0;

	while (i < waiting) {
		struct packet p = packets[i];

		if (p.when > now) {
			i++;
			continue;
		}
		packets[i] = packets[--waiting];
		if (node[p.to].daemon && reaches(&node[p.from], &node[p.to]))
			members_take(node[p.to].members, p.from, p.bytes, p.size);
	}
}

static void step(void)
{
	__u32 i;

	now += STEP_NS;
	if (now - beat_ns >= BEAT_MS * MS) {
		beat_ns = now;
		beat();
	}
	deliver();
	for (i = 1; i < NODES; i++) {
		if (!node[i].daemon || !node[i].up || now < node[i].tick_ns)
			continue;
		members_tick(node[i].members);
		node[i].tick_ns = now + members_pace(node[i].members);
	}
	check_tails();
}

// Steps until the condition holds, for at most so many milliseconds. Returns after how many, or -1.
static int until(int (*is_so)(void), unsigned int most_ms)
{
	const __u64 begun = now;

	for (;;) {
		if (is_so())
			return (int)((now - begun) / MS);
		if (now - begun > most_ms * MS)
			return -1;
		step();
	}
}

static int never(void)
{
	return 0;
}

static void pass(unsigned int ms)
{
	until(never, ms);
}

// The first voters of a list that ends with 0.
static struct chain_wish wish_of(__u32 epoch, __u32 founded, __u32 replicas, const __u32 *voters)
{
	struct chain_wish wish = {
		.voters = {.epoch = epoch, .replicas = replicas, .founded = founded},
		.listed = founded};

	while (*voters) {
		wish.voters.voter[wish.voters.count++] =
			(struct dft_name){*voters, node[*voters].boot};
		voters++;
	}
	return wish;
}

static void wish_all(const struct chain_wish *wish)
{
	__u32 i;

	for (i = 1; i < NODES; i++)
		if (node[i].daemon)
			members_wish(node[i].members, CHAIN, wish);
}

static const __u32 five[] = {1, 2, 3, 4, 5, 0};

static void found_five(void)
{
	struct chain_wish wish = wish_of(1, 1, 3, five);

	wish_all(&wish);
	pass(200);
}

static int live_is(__u32 at, const __u32 *live)
{
	const struct chain_value *c = &node[at].chains[CHAIN];
	__u32 i;

	for (i = 0; live[i]; i++)
		if (i >= c->live || c->node[i] != live[i])
			return 0;
	return c->live == i;
}

// The live list that all the other nodes shall know, and who does not count.
static const __u32 *expected;
static __u32 absent;

static int all_know(void)
{
	__u32 i;

	for (i = 1; i < NODES; i++)
		if (i != absent && (!live_is(i, expected) || node[i].chains[CHAIN].learner))
			return 0;
	return 1;
}

static int tail_is_leased(void)
{
	__u32 length = 0;

	while (expected[length])
		length++;
	return all_know() && leased(&node[expected[length - 1]], CHAIN);
}

static int waits_for(const __u32 *live, __u32 without, unsigned int ms)
{
	expected = live;
	absent = without;
	return until(all_know, ms);
}

// The bulk copy of whichever node is tail with a learner.
static void copy(void)
{
	__u32 i;

	for (i = 1; i < NODES; i++) {
		const struct chain_value *c = &node[i].chains[CHAIN];

		if (c->learner && in_path(c, i, node[i].boot) == (int)c->live - 1 &&
		    node[c->node[c->live]].chains[CHAIN].term == c->term)
			node[i].copies[CHAIN] = (struct copy_value){term_of(c), 1, 7, 7};
	}
}

static int all_know_copying(void)
{
	copy();
	return all_know();
}

static int never_copying(void)
{
	copy();
	return 0;
}

// ---- tests

static void is_founded(void **state)
{
	const __u32 live[] = {1, 2, 3, 0};

	found_five();
	assert_int_equal(waits_for(live, 0, 0), 0);
	assert_int_equal(until(tail_is_leased, 0), 0);
	assert_int_equal(node[7].chains[CHAIN].voters, 5);
	pass(6000);
	// Nobody is discontent.
	assert_int_equal(ballots, 0);
	assert_int_equal(node[1].chains[CHAIN].term, 0);
}

// What is left to hand over is told of the head's own term only.
static void tells_of_departures(void **state)
{
	const __u32 live[] = {1, 2, 3, 0};
	struct departure_value *told = &node[1].departures[CHAIN];
	struct member_state of = {};

	found_five();
	assert_int_equal(waits_for(live, 0, 0), 0);
	*told = (struct departure_value){term_of(&node[1].chains[CHAIN]), 9, 70};
	assert_int_equal(members_states(node[1].members, &of, 1), 1);
	assert_int_equal(of.move, 9);
	assert_int_equal(of.to_move, 70);
	told->term++;
	assert_int_equal(members_states(node[1].members, &of, 1), 1);
	assert_int_equal(of.move, 0);
	assert_int_equal(of.to_move, 0);
}

// Who was heard after the clock was looked at was not silent for ever.
static void hears_meanwhile(void **state)
{
	found_five();
	beats_meanwhile = 1;
	pass(6000);
	beats_meanwhile = 0;
	assert_int_equal(ballots, 0);
}

// Nodes come up one after the other, before what was founded is taken for lost.
static void assembles(void **state)
{
	const __u32 live[] = {1, 2, 3, 0};
	struct chain_wish wish = wish_of(1, 1, 3, five);
	__u32 i;

	for (i = 1; i < NODES; i++) {
		members_wish(node[i].members, CHAIN, &wish);
		pass(700);
	}
	assert_int_equal(waits_for(live, 0, 0), 0);
	assert_int_equal(ballots, 0);
}

static void goes_on_without(__u32 lost, const __u32 *live)
{
	int took;

	found_five();
	node[lost].up = 0;
	took = waits_for(live, lost, 1000);
	assert_in_range(took, 20, 60);
	absent = lost;
	assert_in_range(until(tail_is_leased, 100), 0, 15);
	printf("without node %u: a new term after %d ms\n", lost, took);
}

static void goes_on_without_head(void **state)
{
	goes_on_without(1, (const __u32[]){2, 3, 0});
}

static void goes_on_without_middle(void **state)
{
	goes_on_without(2, (const __u32[]){1, 3, 0});
}

static void goes_on_without_tail(void **state)
{
	goes_on_without(3, (const __u32[]){1, 2, 0});
}

// What the promise is worth: it is in the registers and the fence when the first one hears of it,
// and a node whose daemon dies right after it is held to it.
static void promise_outlives_daemon(void **state)
{
	struct register_value kept;
	__u32 i;

	found_five();
	node[3].up = 0;
	// Until the second voter has promised, and nobody accepted.
	for (i = 0; i < 1000 && node[2].registers[CHAIN].promised.number == 0; i++)
		step();
	kept = node[2].registers[CHAIN];
	assert_int_not_equal(kept.promised.number, 0);
	assert_int_equal(kept.accepted.term.number, 0);
	daemon_kill(&node[2]);
	daemon_start(&node[2], BEAT_MS);
	// It would found the chain, did it not remember; and tells a lower proposer what it
	// promised.
	struct chain_wish wish = wish_of(1, 1, 3, five);
	struct dft_term_message m = {.kind = DFT_PREPARE,
				     .from = {4, node[4].boot},
				     .to = {2, node[2].boot},
				     .term = {1, 1},
				     .voters = wish.voters};
	struct term_message bytes;

	members_wish(node[2].members, CHAIN, &wish);
	assert_memory_equal(&node[2].registers[CHAIN].promised, &kept.promised,
			    sizeof(kept.promised));
	message_write(&bytes, CLUSTER, CHAIN, &m);
	members_take(node[2].members, 4, &bytes, sizeof(bytes));
	assert_memory_equal(&node[2].registers[CHAIN].promised, &kept.promised,
			    sizeof(kept.promised));
	assert_true(waits_for((const __u32[]){1, 2, 0}, 3, 2000) >= 0);
}

// A lease that the kernel grants just as the fence is being written is seen, and waited for.
static void grant_at_last_moment(struct node *n, __u32 chain)
{
	grant(n, &node[3], chain);
}

static void accept_sees_last_grant(void **state)
{
	const __u32 old[] = {1, 2, 3, 4, 5, 0};
	struct chain_wish wish = wish_of(1, 1, 3, old);
	struct dft_term_message m = {.kind = DFT_PREPARE,
				     .from = {2, node[2].boot},
				     .to = {1, node[1].boot},
				     .term = {1, 1 << DFT_ROUND_SHIFT | 1},
				     .voters = wish.voters};
	struct term_message bytes;
	__u64 granted;

	found_five();
	node[3].cut = 1;
	now += 20 * MS; // a former grant would do for less
	before_fence = grant_at_last_moment;
	message_write(&bytes, CLUSTER, CHAIN, &m);
	members_take(node[1].members, 2, &bytes, sizeof(bytes));
	before_fence = NULL;
	granted = now;
	assert_int_equal(node[1].registers[CHAIN].promised.number, m.term.number);
	// Its lease runs: nothing without it is accepted before its end.
	m.kind = DFT_ACCEPT;
	m.configuration = (struct dft_configuration){
		.term = m.term, .live = 2, .path = {{1, node[1].boot}, {2, node[2].boot}}};
	message_write(&bytes, CLUSTER, CHAIN, &m);
	for (; now < granted + 29 * MS; now += MS) {
		members_take(node[1].members, 2, &bytes, sizeof(bytes));
		assert_int_equal(node[1].registers[CHAIN].accepted.term.number, 0);
	}
	now += 2 * MS;
	members_take(node[1].members, 2, &bytes, sizeof(bytes));
	assert_int_equal(node[1].registers[CHAIN].accepted.term.number, m.term.number);
}

static void says_nothing_unwritten(void **state)
{
	unsigned int before;

	found_five();
	node[3].up = 0;
	node[1].refuses = 1;
	before = said;
	pass(100);
	// The other one tries; this one does not say a word.
	assert_true(said > before);
	assert_int_equal(node[1].registers[CHAIN].promised.number, 0);
	node[1].refuses = 0;
	expected = (const __u32[]){2, 1, 0};
	absent = 3;
	assert_true(until(all_know_copying, 3000) >= 0);
}

// M4.
static void other_life_is_nobody(void **state)
{
	struct chain_wish wish = wish_of(1, 1, 3, five);
	struct register_value left;

	found_five();
	left = node[2].registers[CHAIN];
	reboot(&node[2]);
	// Even what a former life left in the arrays is not its own.
	daemon_kill(&node[2]);
	node[2].registers[CHAIN] = left;
	daemon_start(&node[2], BEAT_MS);
	members_wish(node[2].members, CHAIN, &wish);
	assert_int_equal(node[2].registers[CHAIN].self.boot, node[2].boot);
	assert_int_equal(node[2].registers[CHAIN].accepted.term.epoch, 0);
	assert_true(waits_for((const __u32[]){1, 3, 0}, 0, 1000) >= 0);
	// It knows the term, has no part in it, and no lease.
	assert_false(leased(&node[2], CHAIN));
	assert_int_equal(node[2].full[CHAIN], 0);
}

static void returns_as_learner(void **state)
{
	const __u32 shrunk[] = {1, 3, 0}, whole[] = {1, 3, 2, 0};

	found_five();
	node[2].cut = 1;
	assert_true(waits_for(shrunk, 2, 1000) >= 0);
	assert_int_equal(node[2].full[CHAIN], 1);
	node[2].wipe_slow = 20;
	node[2].cut = 0;
	expected = whole;
	absent = 0;
	assert_true(until(all_know_copying, 2000) >= 0);
	assert_true(node[2].wipes > 20);
	assert_int_equal(node[2].records_at_begin, 0);
	assert_int_equal(node[1].copies[CHAIN].complete, 0);
	assert_true(until(tail_is_leased, 100) >= 0);
}

// A learner whose daemon ends goes on where it was: what was copied stays, what was not to stay
// goes.
static void learner_restarts(void **state)
{
	const __u32 whole[] = {1, 3, 2, 0};
	struct chain_wish wish = wish_of(1, 1, 3, five);
	__u32 i;
	int wipes;

	found_five();
	node[2].cut = 1;
	assert_true(waits_for((const __u32[]){1, 3, 0}, 2, 1000) >= 0);
	node[2].cut = 0;
	for (i = 0; i < 2000 && !node[2].chains[CHAIN].learner; i++)
		step();
	assert_int_equal(node[2].chains[CHAIN].learner, 1);
	wipes = node[2].wipes;
	daemon_kill(&node[2]);
	daemon_start(&node[2], BEAT_MS);
	members_wish(node[2].members, CHAIN, &wish);
	pass(50);
	assert_int_equal(node[2].wipes, wipes);
	assert_int_equal(node[2].full[CHAIN], 1);
	expected = whole;
	absent = 0;
	assert_true(until(all_know_copying, 2000) >= 0);

	// Killed before it began: then it begins.
	node[2].cut = 1;
	assert_true(waits_for((const __u32[]){1, 3, 0}, 2, 1000) >= 0);
	node[2].cut = 0;
	node[2].wipe_slow = 1000000;
	pass(200);
	daemon_kill(&node[2]);
	daemon_start(&node[2], BEAT_MS);
	members_wish(node[2].members, CHAIN, &wish);
	pass(200);
	assert_int_equal(node[2].full[CHAIN], 1);
	node[2].wipe_slow = 0;
	absent = 0;
	expected = whole;
	assert_true(until(all_know_copying, 2000) >= 0);
	assert_int_equal(node[2].records_at_begin, 0);
}

// M6: the voters themselves change the view; nobody else is asked.
static void view_changes(void **state)
{
	const __u32 next[] = {1, 2, 6, 4, 5, 0};
	struct chain_wish wish;
	__u32 i;

	found_five();
	node[3].up = 0;
	wish = wish_of(2, 1, 3, next);
	wish_all(&wish);
	expected = (const __u32[]){1, 2, 6, 0};
	absent = 3;
	assert_true(until(all_know_copying, 3000) >= 0);
	for (i = 1; i < NODES; i++)
		if (i != 3)
			assert_int_equal(node[i].chains[CHAIN].epoch, 2);
	assert_int_equal(node[6].records_at_begin, 0);
	assert_true(until(tail_is_leased, 100) >= 0);
	// The new one counts: now two more may go.
	node[4].up = node[2].up = 0;
	pass(500);
	assert_true(live_is(1, (const __u32[]){1, 6, 0}));
	assert_true(live_is(FORWARDER, (const __u32[]){1, 6, 0}));
}

// What a node missed it hears from any other.
static void missed_is_asked_for(void **state)
{
	found_five();
	node[FORWARDER].cut = 1;
	node[3].up = 0;
	assert_int_equal(waits_for((const __u32[]){1, 2, 0}, 3, 1000), -1);
	assert_true(live_is(FORWARDER, (const __u32[]){1, 2, 3, 0}));
	node[FORWARDER].cut = 0;
	assert_in_range(waits_for((const __u32[]){1, 2, 0}, 3, 10000), 0, 6000);
}

// One that is told of a chain in a later epoch waits for others to say what its term is.
// A forwarder begins, with nothing, when the chain is past its first terms.
static void comes_late(int cut)
{
	const __u32 same[] = {1, 2, 3, 4, 6, 0};
	struct chain_wish wish;

	daemon_kill(&node[FORWARDER]);
	memset(node[FORWARDER].registers, 0, sizeof(node[0].registers));
	memset(node[FORWARDER].chains, 0, sizeof(node[0].chains));
	memset(node[FORWARDER].fences, 0, sizeof(node[0].fences));
	wish = wish_of(2, 1, 3, same);
	wish_all(&wish);
	pass(500);
	daemon_start(&node[FORWARDER], BEAT_MS);
	node[FORWARDER].cut = cut;
	members_wish(node[FORWARDER].members, CHAIN, &wish);
	assert_int_equal(node[FORWARDER].chains[CHAIN].live, 0);
}

static void late_comer_learns(void **state)
{
	found_five();
	comes_late(0);
	assert_in_range(waits_for((const __u32[]){1, 2, 3, 0}, 0, 100), 0, 10);
	assert_int_equal(node[FORWARDER].chains[CHAIN].epoch, 2);
}

// Nobody heard it ask, as its cable was pulled just then. More than once: rumours may be as fast.
static void late_comer_asks_again(void **state)
{
	int i;

	found_five();
	for (i = 0; i < 8; i++) {
		comes_late(1);
		pass(3000);
		assert_int_equal(node[FORWARDER].chains[CHAIN].live, 0);
		node[FORWARDER].cut = 0;
		assert_in_range(waits_for((const __u32[]){1, 2, 3, 0}, 0, 2000), 0, 120);
		assert_int_equal(node[FORWARDER].chains[CHAIN].epoch, 2);
	}
}

// A chain that its controller founds again begins above all that was, and with nothing.
static void is_founded_again(void **state)
{
	const __u32 others[] = {4, 5, 6, 0};
	struct chain_wish wish;

	found_five();
	node[1].up = node[2].up = node[3].up = 0;
	pass(500);
	assert_true(live_is(4, (const __u32[]){1, 2, 3, 0}));
	wish = wish_of(2, 2, 3, others);
	wish_all(&wish);
	pass(200);
	assert_true(live_is(4, others));
	assert_true(live_is(FORWARDER, others));
	assert_true(leased(&node[6], CHAIN));
	assert_int_equal(node[4].chains[CHAIN].epoch, 2);
}

// A list that begins by force in this epoch.
static struct chain_wish forced_of(__u32 epoch, __u32 replicas, const __u32 *voters)
{
	struct chain_wish wish = wish_of(epoch, 1, replicas, voters);

	wish.listed = epoch;
	return wish;
}

// M6: a majority is gone for good; who is left of the list goes on with what it has, and the view
// after that makes the chain whole.
static void begins_by_force(void **state)
{
	const __u32 left[] = {3, 5, 6, 0}, whole[] = {3, 5, 6, 1, 2, 0};
	const __u32 dead[] = {1, 2, 4};
	struct chain_wish wish;
	int wipes;
	__u32 i;

	found_five();
	for (i = 0; i < 3; i++)
		node[dead[i]].up = 0;
	pass(500);
	// Nobody can go on by himself.
	assert_true(live_is(3, (const __u32[]){1, 2, 3, 0}));
	assert_false(leased(&node[3], CHAIN));
	wipes = node[3].wipes;
	wish = forced_of(2, 1, left);
	wish_all(&wish);
	expected = (const __u32[]){3, 0};
	pass(100);
	assert_true(live_is(3, expected));
	assert_true(live_is(FORWARDER, expected));
	assert_true(leased(&node[3], CHAIN));
	assert_int_equal(node[3].chains[CHAIN].epoch, 2);
	assert_int_equal(node[3].wipes, wipes);
	assert_int_equal(node[3].full[CHAIN], 1);
	assert_int_equal(node[3].registers[CHAIN].founded, 1);

	// The dead come back as somebody else, and the next view wants three.
	for (i = 0; i < 3; i++)
		reboot(&node[dead[i]]);
	wish = wish_of(3, 1, 3, whole);
	wish.listed = 2;
	wish_all(&wish);
	absent = 0;
	expected = (const __u32[]){3, 5, 6, 0};
	assert_true(until(all_know_copying, 3000) >= 0);
	assert_true(until(tail_is_leased, 100) >= 0);
	assert_int_equal(node[3].full[CHAIN], 1);
	for (i = 1; i < NODES; i++)
		assert_int_equal(node[i].records_at_begin, 0);
}

// Who missed the beginning is told by others, and meanwhile asks nobody for votes.
static void force_is_missed(void **state)
{
	const __u32 left[] = {3, 5, 6, 0};
	struct chain_wish wish;
	unsigned int before;

	found_five();
	node[1].up = node[2].up = 0;
	node[4].cut = 1;
	wish = forced_of(2, 1, left);
	pass(500);
	members_wish(node[3].members, CHAIN, &wish);
	members_wish(node[5].members, CHAIN, &wish);
	members_wish(node[6].members, CHAIN, &wish);
	pass(200);
	assert_true(leased(&node[3], CHAIN));
	// It is told only of a view that follows.
	wish = wish_of(3, 1, 2, left);
	wish.listed = 2;
	before = ballots;
	members_wish(node[4].members, CHAIN, &wish);
	pass(500);
	assert_int_equal(ballots, before);
	assert_int_equal(node[4].registers[CHAIN].next.epoch, 0);
	node[4].cut = 0;
	assert_true(waits_for((const __u32[]){3, 0}, 0, 0) < 0);
	pass(3000);
	assert_true(live_is(4, (const __u32[]){3, 0}));
	assert_int_equal(node[4].registers[CHAIN].next.epoch, 3);
	assert_int_equal(node[4].full[CHAIN], 0);
}

// Nobody of the list was left: all begin with nothing, also who hears of it late, and of a term
// that came after; and floors are above all that was before.
static void begins_empty_by_force(void **state)
{
	const __u32 others[] = {4, 5, 6, 0}, next[] = {4, 5, 6, 1, 2, 0};
	struct chain_wish wish;
	__u32 i;

	found_five();
	for (i = 1; i <= 3; i++)
		node[i].up = 0;
	pass(500);
	node[6].cut = 1;
	node[4].wipe_slow = 10;
	wish = wish_of(2, 2, 3, others);
	for (i = 4; i <= 5; i++)
		members_wish(node[i].members, CHAIN, &wish);
	pass(5500); // 6 is waited for that long
	assert_true(live_is(4, (const __u32[]){4, 5, 0}));
	assert_true(leased(&node[5], CHAIN));
	assert_int_equal(node[4].floor[CHAIN], dft_founding_floor(2));
	for (i = 1; i <= 3; i++)
		reboot(&node[i]);
	wish = wish_of(3, 2, 3, next);
	wish_all(&wish);
	node[6].cut = 0;
	absent = 0;
	expected = (const __u32[]){4, 5, 6, 0};
	assert_true(until(all_know_copying, 3000) >= 0);
	assert_true(until(tail_is_leased, 100) >= 0);
	assert_int_equal(node[6].registers[CHAIN].founded, 2);
	for (i = 1; i < NODES; i++)
		assert_int_equal(node[i].records_at_begin, 0);
}

// Who learns of an epoch that began with nothing from another node forgets too, though that node's
// term names it as one of the list; and also where a term comes on top before it has.
static void learns_late_that_it_began_empty(void **state)
{
	struct dft_term_message m = {.kind = DFT_CHOSEN, .from = {4, node[4].boot}};
	const __u32 list[] = {3, 4, 5, 0};
	struct term_message bytes;
	unsigned int round;

	found_five();
	assert_int_equal(node[3].full[CHAIN], 1);
	node[1].up = node[2].up = node[4].cut = node[5].cut = 0;
	node[3].wipe_slow = 1000000;
	for (round = 1; round <= 2; round++) {
		m.to = (struct dft_name){3, node[3].boot};
		m.term = (struct dft_term){2, round << DFT_ROUND_SHIFT};
		m.voters = wish_of(2, 2, 3, list).voters;
		m.configuration = (struct dft_configuration){
			.term = m.term, .live = 2, .path = {{3, node[3].boot}, {4, node[4].boot}}};
		message_write(&bytes, CLUSTER, CHAIN, &m);
		members_take(node[3].members, 4, &bytes, sizeof(bytes));
		// It does not act before it has forgotten.
		assert_int_equal(node[3].chains[CHAIN].epoch, 1);
		assert_int_equal(node[3].full[CHAIN], 1);
	}
	// Not even a daemon that starts again forgets that.
	daemon_kill(&node[3]);
	daemon_start(&node[3], BEAT_MS);
	members_resume(node[3].members, CHAIN);
	assert_int_equal(node[3].chains[CHAIN].epoch, 1);
	node[3].wipe_slow = 0;
	members_tick(node[3].members);
	assert_int_equal(node[3].chains[CHAIN].epoch, 2);
	assert_int_equal(node[3].floor[CHAIN], dft_founding_floor(2));
	assert_int_equal(node[3].registers[CHAIN].founded, 2);
}

static int nothing_lacks(void)
{
	__u32 i;

	copy();
	for (i = 1; i < NODES; i++) {
		const struct chain_value *c = &node[i].chains[CHAIN];

		if (c->learner || c->live != 3 || term_of(c) != term_of(&node[1].chains[CHAIN]))
			return 0;
	}
	return 1;
}

// M7. Who was lost comes back when the move is over; and what is here of chains that this node is
// not in is removed then, once more where that had begun before.
static void nobody_joins_while_buckets_move(void **state)
{
	const __u32 two[] = {1, 2, 0};
	struct chain_wish wish = wish_of(1, 1, 3, five);
	int wipes;

	found_five();
	assert_int_equal(members_cleared(node[1].members), 0);
	node[3].cut = 1;
	assert_true(waits_for(two, 3, 1000) >= 0);
	wish.move = 7;
	wish.moving = 1;
	wish_all(&wish);
	node[3].cut = 0;
	pass(3000);
	assert_true(live_is(1, two));
	assert_int_equal(node[1].chains[CHAIN].learner, 0);
	assert_int_equal(members_cleared(node[1].members), 0);
	assert_int_equal(members_cleared(node[4].members), 0);
	wish.moving = 0;
	wipes = node[4].wipes;
	node[4].wipe_slow = 10;
	wish_all(&wish);
	assert_int_equal(members_cleared(node[1].members), 7);
	assert_int_equal(members_cleared(node[4].members), 0);
	while (node[4].wipes < wipes + 3)
		step();
	wish.move = 8;
	wish_all(&wish);
	pass(3000);
	assert_int_equal(node[4].wipes, wipes + 10 + 2);
	assert_int_equal(members_cleared(node[4].members), 8);
	assert_true(until(nothing_lacks, 10000) >= 0);
}

static void without_heartbeats_nothing_changes(void **state)
{
	struct chain_wish wish = wish_of(1, 1, 3, five);
	__u32 i;

	for (i = 1; i < NODES; i++) {
		daemon_kill(&node[i]);
		daemon_start(&node[i], 0);
		members_wish(node[i].members, CHAIN, &wish);
	}
	node[3].up = 0;
	pass(10000);
	assert_int_equal(ballots, 0);
	assert_true(live_is(1, (const __u32[]){1, 2, 3, 0}));
}

// What strangers send: nothing of it is believed.
static void strangers_are_ignored(void **state)
{
	struct register_value before;
	struct dft_term_message m = {
		.kind = DFT_PREPARE, .from = {2, 2000}, .to = {1, 1000}, .term = {1, 64}};
	struct term_message bytes;

	found_five();
	before = node[1].registers[CHAIN];
	m.voters = before.voters;
	// From another node than it says; of another cluster; to another life; of no chain.
	message_write(&bytes, CLUSTER, CHAIN, &m);
	members_take(node[1].members, 3, &bytes, sizeof(bytes));
	message_write(&bytes, CLUSTER + 1, CHAIN, &m);
	members_take(node[1].members, 2, &bytes, sizeof(bytes));
	message_write(&bytes, CLUSTER, CHAIN + 1, &m);
	members_take(node[1].members, 2, &bytes, sizeof(bytes));
	m.to.boot = 999;
	message_write(&bytes, CLUSTER, CHAIN, &m);
	members_take(node[1].members, 2, &bytes, sizeof(bytes));
	assert_memory_equal(&before, &node[1].registers[CHAIN], sizeof(before));
	m.to.boot = 1000;
	message_write(&bytes, CLUSTER, CHAIN, &m);
	members_take(node[1].members, 2, &bytes, sizeof(bytes));
	assert_int_equal(node[1].registers[CHAIN].promised.number, 64);
}

// Cuts, daemons that end, loss: never two leased tails (step() looks), and in the end it is whole.
// Two that do not hear each other, while others hear both: at most one of them leaves the chain, it
// goes on without strife, and is whole again when they do.
static void parts_with_one(void **state)
{
	static const struct {
		__u32 pair[2], live; // live: how many are left
	} rows[] = {{{1, 2}, 2}, {{2, 3}, 2}, {{1, 3}, 2}, {{1, 4}, 3}, {{3, 5}, 3}, {{4, 5}, 3}};
	const struct chain_value *c = &node[FORWARDER].chains[CHAIN];
	unsigned int before;
	__u32 term, i;

	found_five();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(parted, rows[i].pair, sizeof(parted));
		until(never_copying, 500);
		term = c->term;
		before = ballots;
		until(never_copying, 3000);
		assert_int_equal(c->live, rows[i].live);
		assert_int_equal(c->learner, 0);
		assert_int_equal(c->term, term);
		assert_int_equal(ballots, before);
		assert_true(leased(&node[c->node[c->live - 1]], CHAIN));
		parted[0] = 0;
		until(never_copying, 3000);
		assert_int_equal(c->live, 3);
		assert_int_equal(c->learner, 0);
	}
}

static void survives_chaos(void **state)
{
	struct chain_wish wish = wish_of(1, 1, 3, five);
	unsigned int round;
	__u32 i;

	found_five();
	loss = 50;
	for (round = 0; round < 150; round++) {
		struct node *n = &node[1 + pick(5)];

		switch (pick(3)) {
		case 0:
			n->cut = 1;
			break;
		case 1:
			daemon_kill(n);
			pass(pick(100));
			daemon_start(n, BEAT_MS);
			members_wish(n->members, CHAIN, &wish);
			break;
		default:
			n->wipe_slow = (int)pick(50);
			node[1 + pick(5)].cut = 1;
			break;
		}
		for (i = 0; i < 20; i++) {
			copy();
			pass(pick(20));
		}
		if (pick(2))
			for (i = 1; i < NODES; i++)
				node[i].cut = 0;
	}
	loss = 0;
	for (i = 1; i < NODES; i++)
		node[i].cut = 0;
	assert_true(until(nothing_lacks, 5000) >= 0);
	for (i = 1; i < NODES; i++)
		assert_int_equal(node[i].records_at_begin, 0);
	printf("chaos: %u ballots, term %u at the end\n", ballots, node[1].chains[CHAIN].term);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(is_founded),
		TEST(tells_of_departures),
		TEST(hears_meanwhile),
		TEST(assembles),
		TEST(goes_on_without_head),
		TEST(goes_on_without_middle),
		TEST(goes_on_without_tail),
		TEST(promise_outlives_daemon),
		TEST(accept_sees_last_grant),
		TEST(says_nothing_unwritten),
		TEST(other_life_is_nobody),
		TEST(returns_as_learner),
		TEST(learner_restarts),
		TEST(view_changes),
		TEST(missed_is_asked_for),
		TEST(late_comer_learns),
		TEST(late_comer_asks_again),
		TEST(is_founded_again),
		TEST(begins_by_force),
		TEST(force_is_missed),
		TEST(begins_empty_by_force),
		TEST(learns_late_that_it_began_empty),
		TEST(nobody_joins_while_buckets_move),
		TEST(without_heartbeats_nothing_changes),
		TEST(strangers_are_ignored),
		TEST(parts_with_one),
		TEST(survives_chaos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
