// SPDX-License-Identifier: Apache-2.0
// Two real nodes with a wire between them: what a flow table node's loader does by itself. Ops
// leave the one as live frames, are handled by the other's programs and are answered. The clock of
// the programs runs a thousand times as fast, so that sessions age while one waits.
//
//   [near zgcA]====[zgcB far]
//
//   upkeep_test [flat]         the tests
//   upkeep_test bench [flat]   what it costs, with a million sessions
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/sessions.h"
#include "datapath/gateway_nodes.h"
#include "gateway.skel.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/session/flat.h"
#include "modules/session/session.h"
#include "modules/session/timeout.h"
#include "node/emitter.h"
#include "node/pins.h"
#include "node/upkeep.h"
#include "node/veth.h"
#include "shared/key.h"
#include "shared/membership.h"
#include "shared/move.h"
#include "shared/tenant.h"

#define FAST 1000
#define WAIT_MS 60000
#define NODES 2

enum { NEAR, FAR };

struct side {
	struct node node;
	unsigned int ifindex;
	char pins[64];
	struct datapath datapath;
	struct upkeep upkeep;
};

struct test {
	struct side side[NODES];
	uint32_t flat, sessions;
	uint32_t term;
};

// As the loader has it after it loaded its programs.
static void adopt(struct side *s, uint32_t flat)
{
	static const struct {
		enum own_map own;
		const char *name;
	} maps[] = {
		{MAP_SESSIONS, "sessions"},	  {MAP_FLAT_SESSIONS, "flat_sessions"},
		{MAP_FLOORS, "floors"},		  {MAP_OUTBOX, "outbox"},
		{MAP_OUTBOX_NEXT, "outbox_next"}, {MAP_COPIES, "copies"},
		{MAP_DEPARTURES, "departures"},	  {MAP_USAGE, "usage"},
	};
	struct datapath *d = &s->datapath;

	*d = (struct datapath){
		.table = flat ? SESSIONS_FLAT : SESSIONS_KERNEL,
		.dir = s->pins,
		.settings = {.roles = NODE_FTN, .index = s->node.index, .tenant_mtu = 1450},
		.loads = 1,
	};
	memset(d->tables, -1, sizeof(d->tables));
	memset(d->own, -1, sizeof(d->own));
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		d->own[maps[i].own] = node_map(&s->node, maps[i].name);
	d->tables[TABLE_CHAINS] = node_map(&s->node, "chains");
	d->tables[TABLE_BUCKETS] = node_map(&s->node, "buckets");
	d->tables[TABLE_ORIGINS] = node_map(&s->node, "origins");
	d->tables[TABLE_TRANSFER] = node_map(&s->node, "transfer");
	d->objects[0] = s->node.gw->obj;
	must(upkeep_open(&s->upkeep, d), "upkeep");
}

static void hear(const struct side *s, int on)
{
	must(bpf_xdp_attach(s->ifindex, on ? bpf_program__fd(s->node.gw->progs.gateway) : -1,
			    XDP_FLAGS_DRV_MODE, NULL),
	     "the gateway at its interface");
}

static void zero(const struct side *s, const char *map, uint32_t entries)
{
	static const uint8_t zeros[4096];
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	must(bpf_obj_get_info_by_fd(node_map(&s->node, map), &info, &size), map);
	// Of each CPU one.
	must((size_t)info.value_size * (size_t)libbpf_num_possible_cpus() > sizeof(zeros), map);
	for (uint32_t i = 0; i < entries; i++)
		node_put(&s->node, map, &i, zeros);
}

// As after loading, without the time that takes: programs and maps are the same.
static void start_again(struct test *t)
{
	for (int i = 0; i < NODES; i++) {
		struct side *s = &t->side[i];

		upkeep_close(&s->upkeep);
		node_clear(&s->node, "chains");
		node_clear(&s->node, "sessions");
		node_buckets(&s->node, 0);
		zero(s, "floors", BUCKETS);
		zero(s, "copies", MAX_CHAINS);
		zero(s, "origins", PLACES);
		zero(s, "moves", PLACES);
		zero(s, "departures", MAX_CHAINS);
		node_clear(&s->node, "usage");
		zero(s, "verdicts", VERDICTS);
		hear(s, 1);
		adopt(s, t->flat);
	}
}

static void set_up(struct test *t, uint32_t tick_q10)
{
	static const char *const names[NODES] = {"near", "far"};
	static const struct interface_name ends[NODES] = {{"zgcA"}, {"zgcB"}}, like = {"lo"};

	must(veth_make(&ends[NEAR], &ends[FAR], veth_mtu(&like)), "a pair of interfaces");
	for (uint32_t i = 0; i < NODES; i++) {
		struct side *s = &t->side[i];

		s->ifindex = if_nametoindex(ends[i].text);
		testing_pins(names[i], s->pins);
		must(pins_make(s->pins), "a folder for links");
		node_load(&s->node, &(struct node_wish){.name = names[i],
							.index = i,
							.roles = ROLE_FTN,
							.sessions = t->sessions,
							.flat = t->flat,
							.zgc_ifindex = s->ifindex,
							.tick_q10 = tick_q10});
		node_peers(&s->node, NODES);
		node_buckets(&s->node, 0);
		hear(s, 1);
		adopt(s, t->flat);
	}
}

static void tear_down(struct test *t)
{
	for (int i = 0; i < NODES; i++) {
		upkeep_close(&t->side[i].upkeep);
		emitter_stop(t->side[i].pins);
		pins_remove(t->side[i].pins);
		node_free(&t->side[i].node);
	}
	veth_delete(t->side[NEAR].ifindex);
}

// A new term of a chain for both: these nodes in this order, then perhaps a learner.
static void path_of(struct test *t, uint32_t number, uint32_t live, const uint32_t *node,
		    uint32_t learner)
{
	struct chain_value c = {.epoch = 1, .term = ++t->term, .live = live, .learner = learner};

	for (uint32_t i = 0; i < live + learner; i++)
		c.node[i] = node[i];
	for (int i = 0; i < NODES; i++)
		node_put(&t->side[i].node, "chains", &number, &c);
}

static void path(struct test *t, uint32_t live, const uint32_t *node, uint32_t learner)
{
	path_of(t, 0, live, node, learner);
}

static uint64_t counted(const struct side *s, enum verdict v)
{
	struct verdict_count sum[VERDICTS];

	must(verdicts_read(node_map(&s->node, "verdicts"), sum), "verdicts");
	return sum[v].packets;
}

// ---- records

static struct session_key key_of(uint32_t i, uint8_t protocol)
{
	struct session_key key;

	bench_key(&key, i);
	key.protocol = protocol;
	return key;
}

static struct dft_record record_of(uint32_t i, uint16_t state)
{
	return (struct dft_record){
		.stamp = {0, 1 + i % 3},
		.incarnation = {0, 1},
		.policy = 1,
		.state = state,
		.life = DFT_LIVE,
		.towards = {{.host = address_of_v4(0x0A0000C0 + i), .action = DECIDE_FORWARD},
			    {.host = address_of_v4(0x0A0000C1), .action = DECIDE_FORWARD}},
	};
}

static uint32_t clock_of(struct side *s)
{
	uint32_t now_s = 0;

	must(upkeep_step(&s->upkeep) < 0, "upkeep");
	must(outbox_clock(&s->upkeep.outbox, &now_s), "the clock");
	return now_s;
}

struct slot {
	struct flat_map map;
	uint32_t page, slot;
};

// Where a flat table has a key. The caller closes the map.
static struct slot slot_of(const struct side *s, const struct session_key *key)
{
	struct slot at = {};
	struct flat_session session;

	must(flat_map_open(&at.map, node_map(&s->node, "flat_sessions")), "the flat table");
	for (at.page = 0; at.page < at.map.pages; at.page++)
		for (at.slot = 1; at.slot <= FLAT_SLOTS; at.slot++)
			if (flat_map_get(&at.map, at.page, at.slot, &session) &&
			    !memcmp(&session.key, key, sizeof(*key)))
				return at;
	fatalx("%s has no such session", s->node.name);
}

static void set_used(const struct side *s, const struct session_key *key, uint32_t used_s)
{
	struct session_value value;

	if (s->node.flat) {
		struct slot at = slot_of(s, key);

		at.map.page[at.page].slot[at.slot].half[0].used_s = used_s;
		flat_map_close(&at.map);
		return;
	}
	must(bpf_map_lookup_elem(node_map(&s->node, "sessions"), key, &value), "a session");
	value.used_s = used_s;
	node_put(&s->node, "sessions", key, &value);
}

static uint32_t mark_of(const struct side *s, const struct session_key *key)
{
	struct session_value value;
	uint32_t asked;

	if (s->node.flat) {
		struct slot at = slot_of(s, key);

		asked = at.map.page[at.page].slot[at.slot].half[0].asked;
		flat_map_close(&at.map);
		return asked >> FLAT_DYING_SHIFT;
	}
	must(bpf_map_lookup_elem(node_map(&s->node, "sessions"), key, &value), "a session");
	return value.dying;
}

// A session that was used so many seconds ago.
static void put(struct side *s, const struct session_key *key, const struct dft_record *record,
		uint32_t unused_s)
{
	node_session_put(&s->node, key, record);
	set_used(s, key, clock_of(s) - unused_s);
}

static uint32_t floor_of(const struct side *s, uint32_t bucket)
{
	uint32_t floor;

	must(bpf_map_lookup_elem(node_map(&s->node, "floors"), &bucket, &floor), "a floor");
	return floor;
}

static struct copy_value copy_of(const struct side *s, uint32_t chain)
{
	struct copy_value value;

	must(bpf_map_lookup_elem(node_map(&s->node, "copies"), &chain, &value), "a copy");
	return value;
}

// The sum of the digests of all sessions.
static uint64_t digest_of(const struct side *s, uint32_t *count)
{
	uint64_t sum = 0;
	struct scan scan;

	*count = 0;
	must(scan_open(&scan), "a scan");
	scan_begin(&scan, node_map(&s->node, "sessions"),
		   s->node.flat ? node_map(&s->node, "flat_sessions") : -1);
	while (scan_next(&scan) > 0)
		for (uint32_t i = 0; i < scan.count; i++, ++*count)
			sum += session_digest(&scan.seen[i].key, &scan.seen[i].record);
	scan_close(&scan);
	return sum;
}

// ---- running

static void step(struct side *s)
{
	int wait = upkeep_step(&s->upkeep);

	if (wait)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

// Whole looks at the table, one after the other.
static void rounds(struct side *s, int count)
{
	while (count--) {
		s->upkeep.survey.next_ms = 0;
		do
			step(s);
		while (s->upkeep.survey.round >= 0);
	}
}

static int is(const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	fprintf(stderr, "%s: %llu, not %llu\n", what, (unsigned long long)got,
		(unsigned long long)want);
	return 1;
}

static int holds(const char *what, int so)
{
	if (!so)
		fprintf(stderr, "not so: %s\n", what);
	return !so;
}

// Lets both loaders go on, without rest, until the condition holds. Returns 1 where it never does.
#define until(t, what, condition)                                                                  \
	({                                                                                         \
		uint64_t end_ = now_ms() + WAIT_MS;                                                \
		int so_;                                                                           \
		while (!(so_ = (condition)) && now_ms() < end_)                                    \
			for (int i_ = 0; i_ < NODES; i_++) {                                       \
				(t)->side[i_].upkeep.survey.next_ms = 0;                           \
				step(&(t)->side[i_]);                                              \
			}                                                                          \
		holds(what, so_);                                                                  \
	})

// ---- tests

// O9: sessions are ended by their tail only, and by it they are.
static int test_tail_alone(struct test *t)
{
	const struct session_key key = key_of(1, IPPROTO_UDP);
	const struct dft_record r = record_of(1, 0);
	struct side *near = &t->side[NEAR];
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	put(near, &key, &r, 2 * UDP_UNANSWERED_S);
	for (uint32_t begun = clock_of(near); clock_of(near) - begun < 2 * UDP_UNANSWERED_S;)
		rounds(near, 1);
	rounds(near, 1);
	wrong += is("asked by the head", near->upkeep.ageing.deletes, 0);
	wrong += is("sent by the head", counted(near, EMITTED_DELETE), 0);
	path(t, 2, (uint32_t[]){FAR, NEAR}, 0);
	wrong += until(t, "the tail asks for its end", counted(near, EMITTED_DELETE));
	return wrong;
}

// O9: a new tail does not know who was answered, so timers begin anew with the term.
static int test_timers_begin_anew(struct test *t)
{
	const struct session_key key = key_of(2, IPPROTO_UDP);
	const struct dft_record r = record_of(2, DFT_ANSWERED);
	struct side *near = &t->side[NEAR];
	uint32_t begun;
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	put(near, &key, &r, 2 * UDP_S);
	rounds(near, 1);
	begun = clock_of(near);
	path(t, 2, (uint32_t[]){FAR, NEAR}, 0);
	wrong += until(t, "it ends at last", near->upkeep.ageing.deletes);
	wrong += holds("not before its time", near->upkeep.ageing.now_s - begun >= UDP_S);
	return wrong;
}

// What was used after the loader looked does not end, and what is going to end is not used.
static int test_used_meanwhile(struct test *t)
{
	const struct session_key key = key_of(3, IPPROTO_ICMP);
	const struct dft_record r = record_of(3, 0);
	struct side *near = &t->side[NEAR];
	struct upkeep *u = &near->upkeep;
	struct session_seen seen = {.key = key, .record = r};
	int wrong = 0;

	path(t, 2, (uint32_t[]){FAR, NEAR}, 0);
	put(near, &key, &r, 0);
	for (uint32_t begun = clock_of(near); clock_of(near) - begun <= ICMP_S + 2;)
		continue;
	seen.used_s = clock_of(near) - ICMP_S - 2;
	set_used(near, &key, seen.used_s);
	if (t->flat)
		seen.used_s &= 0xFFFF;
	u->ageing.now_s = clock_of(near);

	ageing_look(&u->ageing, &seen);
	set_used(near, &key, seen.used_s + 1);
	must(outbox_send(&u->outbox), "sending");
	wrong += holds("all is sent", outbox_idle(&u->outbox));
	wrong += is("asked", u->ageing.deletes, 1);
	wrong += is("not sent", counted(near, EMIT_VOID), 1);
	wrong += is("sent", counted(near, EMITTED_DELETE), 0);
	wrong += is("marked", mark_of(near, &key), 0);

	seen.used_s++;
	while (u->ageing.deletes < 2) {
		u->ageing.now_s = clock_of(near);
		ageing_look(&u->ageing, &seen);
	}
	while (!outbox_idle(&u->outbox))
		must(outbox_send(&u->outbox), "sending");
	wrong += is("sent", counted(near, EMITTED_DELETE), 1);
	wrong += holds("marked", mark_of(near, &key) != 0);
	return wrong;
}

// What is marked ends, however lately it was used: the rule that allowed it is gone.
static int test_marked_ends(struct test *t)
{
	const struct session_key key = key_of(5, IPPROTO_TCP), other = key_of(6, IPPROTO_TCP);
	const struct dft_record r = record_of(5, DFT_ANSWERED);
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	struct dft_record left = {};
	uint64_t term;
	int wrong = 0;

	path(t, 2, (uint32_t[]){FAR, NEAR}, 0);
	put(near, &key, &r, 0);
	put(far, &key, &r, 0);
	put(near, &other, &r, 0);
	rounds(near, 1);
	wrong += is("asked", near->upkeep.ageing.deletes, 0);
	term = near->upkeep.roles.role[0].term;
	node_session_mark(&near->node, &other, 0, session_mark((uint32_t)(term >> 32), term - 1));
	node_session_mark(&near->node, &key, 0, session_mark((uint32_t)(term >> 32), term));
	rounds(near, 1);
	wrong += is("asked at once", near->upkeep.ageing.deletes, 1);
	wrong += until(t, "a tombstone at the tail",
		       node_session(&near->node, &key, &left) && left.life == DFT_TOMBSTONE);
	wrong += holds("at the head too",
		       !node_session(&far->node, &key, &left) || left.life == DFT_TOMBSTONE);
	wrong += holds("another term's mark is none",
		       node_session(&near->node, &other, &left) && left.life == DFT_LIVE);
	return wrong;
}

// A session's whole end: unused, deleted at the head, at all of the path, collected after 2R + D.
static int test_whole_end(struct test *t)
{
	const struct session_key key = key_of(4, IPPROTO_TCP);
	const struct dft_record r = record_of(4, DFT_FIN_FROM_A | DFT_FIN_FROM_B);
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	const uint32_t bucket = roles_bucket(&key);
	struct dft_record left = {};
	int wrong = 0;

	path(t, 2, (uint32_t[]){FAR, NEAR}, 0);
	put(near, &key, &r, 0);
	put(far, &key, &r, 0);
	wrong += until(t, "a tombstone at the tail",
		       node_session(&near->node, &key, &left) && left.life == DFT_TOMBSTONE);
	wrong += holds("at the head too",
		       !node_session(&far->node, &key, &left) || left.life == DFT_TOMBSTONE);
	wrong += until(t, "nothing is left",
		       !node_session(&near->node, &key, &left) &&
			       !node_session(&far->node, &key, &left));
	wrong += holds("the floors rose", floor_of(near, bucket) && floor_of(far, bucket));
	return wrong;
}

static void fill(struct test *t, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct session_key key = key_of(i, IPPROTO_TCP);
		const struct dft_record r = record_of(i, DFT_ANSWERED);

		node_session_put(&t->side[NEAR].node, &key, &r);
	}
}

static int same_sessions(const struct test *t)
{
	uint32_t near_count, far_count;
	const uint64_t near = digest_of(&t->side[NEAR], &near_count);
	const uint64_t far = digest_of(&t->side[FAR], &far_count);

	return is("sessions of the learner", far_count, near_count) + is("their digest", far, near);
}

#define COPIED 3000

// M5: everything that the tail has, and its floors.
static int test_copy(struct test *t)
{
	struct side *near = &t->side[NEAR];
	const uint32_t bucket = 4711, floor = 7;
	struct copy_value told;
	int wrong = 0;

	fill(t, COPIED);
	node_put(&near->node, "floors", &bucket, &floor);
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "the copy is complete", copy_of(near, 0).complete);
	told = copy_of(near, 0);
	wrong += is("of term", told.term, TERM_WORD(1, t->term));
	wrong += is("records and a floor", told.all, COPIED + 1);
	wrong += is("confirmed", told.done, COPIED + 1);
	wrong += same_sessions(t);
	wrong += is("the floor", floor_of(&t->side[FAR], bucket), floor);
	wrong += holds("several go in a frame", counted(near, EMITTED_COPY) < COPIED / 5);
	return wrong;
}

// The tail's loader ends when some of it is copied: the next one completes what it began.
static int test_copy_resumed(struct test *t)
{
	struct side *near = &t->side[NEAR];
	struct copy_value told;
	int wrong = 0;

	fill(t, COPIED);
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "some is confirmed", copy_of(near, 0).done);
	wrong += holds("not all", copy_of(near, 0).done < COPIED);
	upkeep_close(&near->upkeep);
	adopt(near, t->flat);
	wrong += holds("nobody calls it complete", !copy_of(near, 0).complete);
	wrong += until(t, "the copy is complete", copy_of(near, 0).complete);
	told = copy_of(near, 0);
	wrong += is("of the same term", told.term, TERM_WORD(1, t->term));
	wrong += is("confirmed", told.done, COPIED);
	return wrong + same_sessions(t);
}

// As if the kernel had counted so, and a while ago nothing.
static void put_spare(struct spare *spare, int file, const char *line)
{
	must(ftruncate(file, 0) || pwrite(file, line, strlen(line), 0) < 0, "a file");
	spare->stat = file;
	spare->at_ms = now_ms() - 200;
	spare->idle = spare->all = 0;
}

// Sends some of what waits, where the processors are like that; returns how many things were wrong.
static int sends_at(struct side *s, int file, const char *line, uint32_t per_ms)
{
	struct outbox *o = &s->upkeep.outbox;
	uint64_t allowed;
	uint32_t next;

	do {
		put_spare(&s->upkeep.spare, file, line);
		next = o->place->next;
		allowed = o->allowance - o->allowed_ms * per_ms;
		must(upkeep_step(&s->upkeep) < 0, "upkeep");
	} while (o->per_ms != per_ms && !outbox_idle(o));
	allowed += o->allowed_ms * per_ms;
	if (allowed > 2048)
		allowed = 2048;
	return is("in a millisecond", o->per_ms, per_ms) +
	       is("sent and to be sent", o->place->next - next + o->allowance, allowed);
}

// With so many copies of one session.
static void fill_outbox(struct test *t, struct side *near, uint32_t count)
{
	const struct session_key key = key_of(1, IPPROTO_TCP);

	for (uint32_t i = 0; i < count; i++)
		outbox_add(&near->upkeep.outbox,
			   &(struct outbox_entry){.op = DFT_COPY,
						  .bucket = roles_bucket(&key),
						  .epoch = 1,
						  .term = t->term,
						  .key = key},
			   0);
}

// Where processors are short, packets have them.
static int test_yields(struct test *t)
{
	struct side *near = &t->side[NEAR];
	const int kernel = near->upkeep.spare.stat, file = memfd_create("stat", MFD_CLOEXEC);
	int wrong = 0;

	must(file < 0, "a file");
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	clock_of(near);
	fill_outbox(t, near, MAX_OUTBOX / 2);
	wrong += sends_at(near, file, "cpu 60 0 30 10 0 0 0 0\n", OUTBOX_SHORT_PER_MS);
	wrong += sends_at(near, file, "cpu 20 0 20 60 0 0 0 0\n", OUTBOX_PER_MS);
	wrong += sends_at(near, file, "cpu 60 0 30 10 0 0 0 0\n", OUTBOX_SHORT_PER_MS);
	near->upkeep.spare.stat = kernel;
	close(file);
	return wrong;
}

// Only what the learner confirms counts; what it does not is sent again.
static int test_deaf_learner(struct test *t)
{
	struct side *near = &t->side[NEAR];
	int wrong = 0;

	fill(t, COPIED);
	hear(&t->side[FAR], 0);
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "it is tried again", counted(near, EMITTED_COPY) > COPIED);
	wrong += is("confirmed by nobody", copy_of(near, 0).done, 0);
	wrong += is("complete", copy_of(near, 0).complete, 0);
	hear(&t->side[FAR], 1);
	wrong += until(t, "the copy is complete", copy_of(near, 0).complete);
	wrong += same_sessions(t);
	return wrong;
}

// A new term begins anew, and one without a learner ends it.
static int test_copy_of_another_term(struct test *t)
{
	struct side *near = &t->side[NEAR];
	uint64_t sent;
	int wrong = 0;

	fill(t, COPIED);
	hear(&t->side[FAR], 0);
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "it begins", copy_of(near, 0).all);
	path(t, 1, (uint32_t[]){NEAR}, 0);
	wrong += until(t, "what was on its way is given up",
		       !near->upkeep.copying.active &&
			       outbox_room(&near->upkeep.outbox) == MAX_OUTBOX);
	sent = counted(near, EMITTED_COPY);
	rounds(near, 2);
	wrong += is("sent after that", counted(near, EMITTED_COPY), sent);
	wrong += is("complete", copy_of(near, 0).complete, 0);
	hear(&t->side[FAR], 1);
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "the copy is complete", copy_of(near, 0).complete);
	wrong += is("of term", copy_of(near, 0).term, TERM_WORD(1, t->term));
	wrong += is("confirmed", copy_of(near, 0).done, COPIED);
	wrong += same_sessions(t);
	return wrong;
}

// Every second bucket is chain 1's.
static void share_buckets(struct test *t)
{
	static uint32_t key[BUCKETS], value[BUCKETS];
	uint32_t count = BUCKETS;

	for (uint32_t i = 0; i < BUCKETS; i++) {
		key[i] = i;
		value[i] = 1 + i % 2;
	}
	for (int i = 0; i < NODES; i++)
		must(bpf_map_update_batch(node_map(&t->side[i].node, "buckets"), key, value, &count,
					  NULL),
		     "buckets");
}

// Chains with the same learner share a scan, and what goes in one frame is of one of them.
static int test_one_learner_of_two(struct test *t)
{
	struct side *near = &t->side[NEAR];
	int wrong = 0;

	share_buckets(t);
	fill(t, COPIED);
	path_of(t, 1, 1, (uint32_t[]){NEAR, FAR}, 1);
	path_of(t, 0, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "both are complete",
		       copy_of(near, 0).complete && copy_of(near, 1).complete);
	wrong += is("records", copy_of(near, 0).all + copy_of(near, 1).all, COPIED);
	wrong += holds("of both", copy_of(near, 0).all && copy_of(near, 1).all);
	wrong += holds("several go in a frame", counted(near, EMITTED_COPY) < COPIED / 5);
	return wrong + same_sessions(t);
}

// Chains share what is sent: one whose learner never answers does not hold up another's.
static int test_two_learners(struct test *t)
{
	const struct chain_value absent = {
		.epoch = 1, .term = 9, .live = 1, .learner = 1, .node = {NEAR, 5}};
	const struct node_value nobody = {.zgc_mac = {2, 1, 1, 1, 1, 1},
					  .zgc_ip = address_of_v4(0x0A0A0A0A)};
	const uint32_t number = 1, node = 5;
	struct side *near = &t->side[NEAR];
	int wrong = 0;

	share_buckets(t);
	fill(t, COPIED);
	node_put(&near->node, "nodes", &node, &nobody);
	node_put(&near->node, "chains", &number, &absent);
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "the one is complete", copy_of(near, 0).complete);
	wrong += is("the other", copy_of(near, 1).complete, 0);
	wrong += holds("there were others", copy_of(near, 1).all > COPIED / 4);
	wrong += is("of which confirmed", copy_of(near, 1).done, 0);
	return wrong;
}

// ---- buckets that move (M7)

#define FEW 500	    // buckets of one round
#define MOVES 20000 // more than one round has

// The view says that the first so many buckets went from chain 0 to chain 1.
static void move_buckets(struct test *t, uint32_t count, uint32_t move)
{
	static uint32_t key[BUCKETS], chain[BUCKETS];
	static struct origin_value origin[BUCKETS];

	for (uint32_t i = 0; i < count; i++) {
		key[i] = i;
		chain[i] = 1 + 1;
		origin[i] = (struct origin_value){.move = move, .from = 0 + 1};
	}
	for (int i = 0; i < NODES; i++) {
		const struct node *n = &t->side[i].node;

		must(bpf_map_update_batch(node_map(n, "origins"), key, origin, &count, NULL),
		     "origins");
		must(bpf_map_update_batch(node_map(n, "buckets"), key, chain, &count, NULL),
		     "buckets");
	}
}

static void end_move(struct test *t, uint32_t move)
{
	static uint32_t key[BUCKETS];
	static struct origin_value origin[BUCKETS];
	uint32_t count = BUCKETS;

	for (uint32_t i = 0; i < count; i++) {
		key[i] = i;
		origin[i] = (struct origin_value){.move = move};
	}
	for (int i = 0; i < NODES; i++)
		must(bpf_map_update_batch(node_map(&t->side[i].node, "origins"), key, origin,
					  &count, NULL),
		     "origins");
}

// So many sessions of the first buckets. Returns of how many keys they are.
static uint32_t fill_buckets(struct test *t, uint32_t buckets, uint32_t count)
{
	uint32_t last = 0;

	for (uint32_t i = 0; count; i++) {
		const struct session_key key = key_of(i, IPPROTO_TCP);
		const struct dft_record r = record_of(i, DFT_ANSWERED);

		if (roles_bucket(&key) >= buckets)
			continue;
		node_session_put(&t->side[NEAR].node, &key, &r);
		count--;
		last = i;
	}
	return last + 1;
}

static struct departure_value departure_of(const struct side *s)
{
	const uint32_t chain = 0;
	struct departure_value value;

	must(bpf_map_lookup_elem(node_map(&s->node, "departures"), &chain, &value), "a departure");
	return value;
}

// Of how many of the first buckets a node knows this.
static uint32_t known_of(const struct side *s, uint32_t count, enum move_state state)
{
	struct move_value value;
	uint32_t known = 0;

	for (uint32_t i = 0; i < count; i++) {
		must(bpf_map_lookup_elem(node_map(&s->node, "moves"), &i, &value), "a move");
		known += (move_unpack(value.word).state & state) != 0;
	}
	return known;
}

static int departed(const struct side *s, uint64_t term, uint32_t move)
{
	const struct departure_value value = departure_of(s);

	return value.term == term && value.move == move && !value.left;
}

// What near had of the first buckets far has, of others nothing.
static int are_handed_over(const struct test *t, uint32_t buckets, uint32_t keys)
{
	const struct node *near = &t->side[NEAR].node, *far = &t->side[FAR].node;
	uint32_t lacks = 0, differ = 0, extra = 0;

	for (uint32_t i = 0; i < keys; i++) {
		const struct session_key key = key_of(i, IPPROTO_TCP);
		struct dft_record mine = {}, other = {};
		const int had = node_session(near, &key, &mine);
		const int has = node_session(far, &key, &other);

		if (roles_bucket(&key) >= buckets) {
			extra += has;
			continue;
		}
		lacks += had && !has;
		differ += had && has &&
			  (mine.life != other.life || mine.state != other.state ||
			   memcmp(&mine.towards, &other.towards, sizeof(mine.towards)));
	}
	return is("records that far lacks", lacks, 0) + is("that differ", differ, 0) +
	       is("of other buckets", extra, 0);
}

// M5, M7: the old chain's learner is told of buckets that move, too, and of what is known of that.
static int test_copy_while_moving(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	int wrong = 0;

	fill(t, COPIED);
	path_of(t, 1, 1, (uint32_t[]){5}, 0); // nobody: nothing gets there
	path(t, 1, (uint32_t[]){NEAR}, 0);
	move_buckets(t, MOVES, 1);
	wrong += until(t, "some are fenced", known_of(near, MOVES, MOVE_FENCED));
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "the copy is complete", copy_of(near, 0).complete);
	wrong += is("records and buckets", copy_of(near, 0).all, COPIED + MOVES);
	wrong += same_sessions(t);
	wrong += holds("it knows what is fenced", known_of(far, MOVES, MOVE_FENCED) != 0);
	return wrong;
}

static struct usage_key usage_key_of(uint32_t chain)
{
	const struct session_key key = key_of(0, IPPROTO_TCP);

	return (struct usage_key){.vni = (uint32_t)key.vni[0] << 16 | (uint32_t)key.vni[1] << 8 |
					 key.vni[2],
				  .chain = chain};
}

static int64_t usage_of(const struct side *s, uint32_t chain)
{
	const struct usage_key key = usage_key_of(chain);
	struct usage_value value = {};

	bpf_map_lookup_elem(node_map(&s->node, "usage"), &key, &value);
	return value.sessions;
}

// A node that is in both chains counts for the new one what it has of it, when the move is over.
static int test_move_counted(struct test *t)
{
	struct side *near = &t->side[NEAR];
	const struct usage_key key = usage_key_of(0);
	const struct usage_value counted_before = {.sessions = COPIED, .refused = 5};
	struct usage_value after;
	uint32_t moved = 0;
	uint64_t term;
	int wrong = 0;

	for (uint32_t i = 0; i < COPIED; i++) {
		const struct session_key k = key_of(i, IPPROTO_TCP);

		moved += roles_bucket(&k) < MOVES;
	}
	fill(t, COPIED);
	node_put(&near->node, "usage", &key, &counted_before);
	path(t, 1, (uint32_t[]){NEAR}, 0);
	term = TERM_WORD(1, t->term);
	path_of(t, 1, 2, (uint32_t[]){FAR, NEAR}, 0);
	move_buckets(t, MOVES, 1);
	wrong += until(t, "all are handed over", departed(near, term, 1));
	rounds(near, 2);
	wrong += is("of the old chain", (uint64_t)usage_of(near, 0), COPIED);
	end_move(t, 1);
	wrong += until(t, "it is counted", usage_of(near, 0) != COPIED);
	wrong += is("of the old chain", (uint64_t)usage_of(near, 0), COPIED - moved);
	wrong += is("of the new one", (uint64_t)usage_of(near, 1), moved);
	must(bpf_map_lookup_elem(node_map(&near->node, "usage"), &key, &after), "usage");
	wrong += is("what was refused", after.refused, 5);
	return wrong;
}

// From one node to a path of two, in more than one round; far adopts, near has it back as its
// replica.
static int test_move(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	uint64_t term;
	int wrong = 0;

	fill(t, COPIED);
	path(t, 1, (uint32_t[]){NEAR}, 0);
	term = TERM_WORD(1, t->term);
	path_of(t, 1, 2, (uint32_t[]){FAR, NEAR}, 0);
	move_buckets(t, MOVES, 1);
	wrong += until(t, "all are handed over", departed(near, term, 1));
	wrong += is("fenced", known_of(near, MOVES + 1, MOVE_FENCED), MOVES);
	wrong += is("complete at the head", known_of(far, MOVES + 1, MOVE_COMPLETE), MOVES);
	wrong += is("complete at the tail", known_of(near, MOVES + 1, MOVE_COMPLETE), MOVES);
	wrong += are_handed_over(t, MOVES, COPIED);
	wrong += holds("of which there are some", node_count(&far->node, "sessions") || t->flat);
	return wrong;
}

// Until the new chain says that it has a record, the bucket is not whole; who is not heard is asked
// again.
static int test_move_unheard(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	struct moving *moving = &near->upkeep.moving;
	const uint32_t records = 100;
	uint32_t keys, there;
	uint64_t term, sent;
	int wrong = 0;

	keys = fill_buckets(t, FEW, records);
	path(t, 1, (uint32_t[]){NEAR}, 0);
	term = TERM_WORD(1, t->term);
	path_of(t, 1, 1, (uint32_t[]){FAR}, 0);
	hear(far, 0);
	move_buckets(t, FEW, 1);
	wrong += until(t, "fences are sent again", counted(near, EMITTED_MOVE) > (uint64_t)3 * FEW);
	wrong += is("left", departure_of(near).left, FEW);
	hear(far, 1);
	wrong += until(t, "they are heard", near->upkeep.moving.stage == MOVE_WAITS);
	hear(near, 0);
	sent = counted(near, EMITTED_MOVE);
	wrong += until(t, "records are sent again",
		       counted(near, EMITTED_MOVE) > sent + (uint64_t)3 * records);
	digest_of(far, &there);
	wrong += is("records that came", there, records);
	wrong += is("whole", known_of(far, FEW, MOVE_COMPLETE), 0);
	// A word about what an earlier round sent says nothing of this one.
	moving_told(moving, &(struct outbox_entry){.op = DFT_TOLD}, moving->number - 1, 1);
	wrong += is("on the way", moving->on_way, records);
	wrong += is("left", departure_of(near).left, FEW);
	hear(near, 1);
	wrong += until(t, "all are handed over", departed(near, term, 1));
	wrong += is("whole", known_of(far, FEW, MOVE_COMPLETE), FEW);
	return wrong + are_handed_over(t, FEW, keys);
}

// ---- a VPC that goes to another cluster (M8)

#define TRANSFER 40

static struct session_key key_in(uint32_t i, uint8_t vni)
{
	struct session_key key = key_of(i, IPPROTO_TCP);

	key.vni[2] = vni;
	return key;
}

// Near and far are clusters of one node each, chain 0 of its own; near hands the VNI over to far.
static void part(struct test *t, uint32_t vni)
{
	static uint32_t place[BUCKETS], chain[BUCKETS];
	static struct origin_value origin[BUCKETS];
	const uint32_t foreign = chain_mirror(0), only = 0;
	uint32_t count = BUCKETS;

	for (uint32_t self = 0; self < NODES; self++) {
		const struct transfer begun = {
			.number = TRANSFER, .vni = vni, .begun = self == NEAR};
		const struct node *n = &t->side[self].node;
		const uint64_t word = transfer_pack(&begun);

		for (uint32_t i = 0; i < NODES; i++) {
			const struct chain_value c = {
				.epoch = 1, .term = 9 + i, .live = 1, .node = {i}};
			const uint32_t index = i == self ? i : i | NODE_FOREIGN;
			struct node_value value;

			must(bpf_map_lookup_elem(node_map(n, "nodes"), &i, &value), "a node");
			node_put(n, "node_by_ip", &value.zgc_ip, &index);
			node_put(n, "chains", i == self ? &only : &foreign, &c);
		}
		for (uint32_t i = 0; i < BUCKETS; i++) {
			place[i] = i + BUCKETS;
			chain[i] = 1 + (self == NEAR ? foreign : 0);
			origin[i] = (struct origin_value){
				.move = TRANSFER,
				.from = (uint16_t)(1 + (self == NEAR ? 0 : foreign))};
		}
		must(bpf_map_update_batch(node_map(n, "origins"), place, origin, &count, NULL),
		     "origins");
		must(bpf_map_update_batch(node_map(n, "buckets"), place, chain, &count, NULL),
		     "buckets");
		node_put(n, "transfer", &only, &word);
	}
}

static void join(struct test *t)
{
	const uint64_t none = 0;
	const uint32_t only = 0;

	for (uint32_t self = 0; self < NODES; self++) {
		node_put(&t->side[self].node, "transfer", &only, &none);
		for (uint32_t i = 0; i < NODES; i++) {
			const struct node *n = &t->side[self].node;
			struct node_value value;

			must(bpf_map_lookup_elem(node_map(n, "nodes"), &i, &value), "a node");
			node_put(n, "node_by_ip", &value.zgc_ip, &i);
		}
	}
}

// However long this takes: no session ends meanwhile for having been of no use, whose time goes by
// so fast.
static void keep_young(struct test *t)
{
	for (int i = 0; i < NODES; i++)
		t->side[i].upkeep.ageing.moved_s = t->side[i].upkeep.ageing.now_s;
}

static int transferred(struct test *t)
{
	keep_young(t);
	return departed(&t->side[NEAR], TERM_WORD(1, 9), TRANSFER);
}

// Of one VPC all goes, of another nothing. Not before all have heard of it.
static int test_transfer(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	const struct session_key first = key_in(0, 7);
	const uint32_t records = 300, only = 0;
	struct departure_value left;
	uint32_t lacks = 0, extra = 0;
	struct transfer early;
	uint64_t word;
	int wrong = 0;

	for (uint32_t i = 0; i < records; i++)
		for (uint8_t vni = 7; vni <= 8; vni++) {
			const struct session_key key = key_in(i, vni);
			const struct dft_record r = record_of(i, DFT_ANSWERED);

			node_session_put(&near->node, &key, &r);
		}
	part(t, (uint32_t)(first.vni[0] << 16 | first.vni[1] << 8 | first.vni[2]));
	must(bpf_map_lookup_elem(node_map(&near->node, "transfer"), &only, &word), "the transfer");
	early = transfer_unpack(word);
	early.begun = 0;
	word = transfer_pack(&early);
	node_put(&near->node, "transfer", &only, &word);
	for (int i = 0; i < 2; i++) {
		near->upkeep.survey.next_ms = 0;
		do {
			keep_young(t);
			step(near);
		} while (near->upkeep.survey.round >= 0);
	}
	wrong += is("sent before it has begun", counted(near, EMITTED_MOVE), 0);
	early.begun = 1;
	word = transfer_pack(&early);
	node_put(&near->node, "transfer", &only, &word);
	wrong += until(t, "all is handed over", transferred(t));
	left = departure_of(far);
	wrong += is("what far has to hand over", left.left, 0);
	for (uint32_t i = 0; i < records; i++) {
		const struct session_key goes = key_in(i, 7), stays = key_in(i, 8);
		struct dft_record r;

		lacks += !node_session(&far->node, &goes, &r);
		extra += node_session(&far->node, &stays, &r);
	}
	wrong += is("records that far lacks", lacks, 0);
	wrong += is("records of the other VPC", extra, 0);
	join(t);
	return wrong;
}

// Of chain 0, near's and far's, that so many places of a transfer went to it, which far knows no
// more; on_near: near does.
static void put_arrived(struct test *t, uint32_t places, int on_near)
{
	const struct move m = {.number = TRANSFER,
			       .from = (uint16_t)(chain_mirror(0) + 1),
			       .to = 1,
			       .state = MOVE_OWNED | MOVE_COMPLETE};
	const struct origin_value origin = {.move = m.number, .from = m.from};
	const struct transfer known = {.number = TRANSFER, .vni = 7};
	const struct move_value value = {.word = move_pack(&m), .owned = TERM_WORD(1, 9)};
	const uint32_t to = places ? 1 : 0, only = 0;

	for (uint32_t i = 0; i < NODES; i++) {
		const struct node *n = &t->side[i].node;
		const uint64_t word = i == NEAR && on_near ? transfer_pack(&known) : 0;

		for (uint32_t k = 0; k < FEW; k++) {
			const uint32_t place = BUCKETS + k;

			if (i == NEAR)
				node_put(n, "moves", &place, &value);
			node_put(n, "origins", &place, &origin);
			node_put(n, "buckets", &place, &to);
		}
		node_put(n, "transfer", &only, &word);
	}
}

// The word of a transfer that is over at the learner is not waited for once it is over at the tail.
static int test_copy_over(struct test *t)
{
	struct side *near = &t->side[NEAR];
	int wrong = 0;

	fill(t, COPIED);
	put_arrived(t, FEW, 1);
	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	wrong += until(t, "places are told again",
		       counted(near, EMITTED_COPY) > COPIED + 2ull * FEW);
	wrong += is("complete", copy_of(near, 0).complete, 0);
	put_arrived(t, FEW, 0);
	wrong += until(t, "the copy is complete", copy_of(near, 0).complete);
	wrong += same_sessions(t);
	put_arrived(t, 0, 0);
	return wrong;
}

// What is stored until all of the old chain is fenced is handed over, too.
static int test_move_of_what_comes(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	const uint32_t records = 100;
	uint64_t term, sent;
	uint32_t keys;
	int wrong = 0;

	fill_buckets(t, FEW, records);
	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	term = TERM_WORD(1, t->term);
	path_of(t, 1, 1, (uint32_t[]){FAR}, 0);
	hear(far, 0);
	move_buckets(t, FEW, 1);
	wrong += until(t, "fences are sent", counted(near, EMITTED_MOVE) > FEW);
	sent = counted(near, EMITTED_MOVE);
	wrong += until(t, "and again", counted(near, EMITTED_MOVE) > sent + (uint64_t)2 * FEW);
	keys = fill_buckets(t, FEW, 3 * records);
	hear(far, 1);
	wrong += until(t, "all are handed over", departed(near, term, 1));
	return wrong + are_handed_over(t, FEW, keys);
}

// A new term of the old chain, and another move of the same buckets, begin anew.
static int test_move_anew(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	uint64_t term;
	uint32_t keys;
	int wrong = 0;

	keys = fill_buckets(t, FEW, 100);
	path_of(t, 1, 1, (uint32_t[]){FAR}, 0);
	path(t, 1, (uint32_t[]){NEAR}, 0);
	move_buckets(t, FEW, 1);
	wrong += until(t, "they are read", near->upkeep.moving.stage == MOVE_WAITS);
	hear(far, 0);
	path(t, 1, (uint32_t[]){NEAR}, 0);
	term = TERM_WORD(1, t->term);
	wrong += until(t, "the term is seen", departure_of(near).term == term);
	wrong += until(t, "it begins anew", near->upkeep.moving.stage == MOVE_FENCES);
	wrong += is("left", departure_of(near).left, FEW);
	hear(far, 1);
	wrong += until(t, "all are handed over", departed(near, term, 1));
	wrong += are_handed_over(t, FEW, keys);

	hear(far, 0);
	move_buckets(t, FEW, 3);
	wrong += until(t, "another move is seen", departure_of(near).move == 3);
	wrong += is("left", departure_of(near).left, FEW);
	hear(far, 1);
	wrong += until(t, "all are handed over again", departed(near, term, 3));
	path(t, 1, (uint32_t[]){FAR}, 0);
	return wrong + until(t, "no head, no word", !departure_of(near).term);
}

// Nobody ends what the new chain does not own yet, and it does not wait for what is void.
static int test_move_ages_nothing(struct test *t)
{
	const struct session_key key = key_of(4, IPPROTO_TCP);
	const struct dft_record r = record_of(4, DFT_FIN_FROM_A | DFT_FIN_FROM_B);
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	struct dft_record left = {};
	uint64_t term;
	int wrong = 0;

	path(t, 1, (uint32_t[]){NEAR}, 0);
	term = TERM_WORD(1, t->term);
	path_of(t, 1, 2, (uint32_t[]){FAR, NEAR}, 0);
	put(near, &key, &r, 0);
	hear(far, 0);
	move_buckets(t, roles_bucket(&key) + 1, 1);
	wrong += until(t, "it would end", near->upkeep.ageing.deletes > 3);
	wrong += is("sent", counted(near, EMITTED_DELETE), 0);
	hear(far, 1);
	// A node that is in both was not told who was answered: timers begin with the move's end.
	wrong += until(t, "it is handed over", departed(near, term, 1));
	end_move(t, 1);
	wrong += until(t, "it ends in the new chain",
		       !node_session(&far->node, &key, &left) &&
			       !node_session(&near->node, &key, &left) &&
			       counted(near, EMITTED_DELETE));
	return wrong;
}

// As the kernel's table has it, which has all aliases.
static uint32_t used_of(const struct side *s, const struct session_key *key)
{
	struct session_value value;

	must(bpf_map_lookup_elem(node_map(&s->node, "sessions"), key, &value), "a session");
	return value.used_s;
}

// As the data path has them (A1): the session of key i, sent by its a, becomes one to another port.
static void put_translated(struct side *s, uint32_t i, int session, struct session_key *key,
			   struct session_key *other)
{
	struct dft_record r = record_of(i, DFT_ANSWERED), alias = r;
	struct session_value value = {};

	*key = *other = key_of(i, IPPROTO_TCP);
	other->b_port = htons(8080);
	r.translation = (struct translation){.source = key->a,
					     .destination = key->b,
					     .source_port = key->a_port,
					     .destination_port = other->b_port,
					     .flags = TRANSLATION_IS};
	memcpy(r.translation.vni, key->vni, 3);
	alias.translation = (struct translation){.source = key->b,
						 .destination = key->a,
						 .source_port = key->b_port,
						 .destination_port = key->a_port,
						 .flags = TRANSLATION_IS | TRANSLATION_FROM_B};
	memcpy(alias.translation.vni, key->vni, 3);
	alias.state = DFT_ALIAS;
	alias.alias = (struct dft_alias){.owner = r.incarnation};
	memcpy(alias.alias.key, key, sizeof(*key));
	node_session_put(&s->node, other, &alias);
	value = (struct session_value){
		.used_s = clock_of(s), .check = key_hash(other) >> 32, .record = alias};
	node_put(&s->node, "sessions", other, &value);
	if (!session)
		return;
	node_session_put(&s->node, key, &r);
	value = (struct session_value){
		.used_s = clock_of(s), .check = key_hash(key) >> 32, .record = r};
	node_put(&s->node, "sessions", key, &value);
}

// A5: an alias is asked about for as long as it is there, and ends when its session is gone; not
// because nobody uses it.
static int test_alias(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	struct dft_record left = {};
	struct session_key key, other, orphan, its_owner;
	uint32_t before;
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	for (int i = 0; i < NODES; i++) {
		put_translated(&t->side[i], 7, 1, &key, &other);
		put_translated(&t->side[i], 8, 0, &its_owner, &orphan);
	}
	before = used_of(near, &other);
	wrong += until(t, "the orphan is gone",
		       !node_session(&near->node, &orphan, &left) &&
			       !node_session(&far->node, &orphan, &left));
	wrong += holds("its owner can never be", floor_of(near, roles_bucket(&its_owner)) &&
							 floor_of(far, roles_bucket(&its_owner)));
	wrong += until(t, "the other is asked about", counted(near, ALIAS_KEPT) >= 3);
	wrong += holds("it is there", node_session(&near->node, &other, &left) &&
					      left.life == DFT_LIVE && left.state & DFT_ALIAS);
	return wrong + holds("that is its use", used_of(near, &other) - before >= VERIFY_S);
}

static void put_old(struct side *s, const struct session_key *key, struct dft_record r,
		    uint32_t unused_s)
{
	const struct session_value value = {
		.used_s = clock_of(s) - unused_s, .check = key_hash(key) >> 32, .record = r};

	node_session_put(&s->node, key, &r);
	node_put(&s->node, "sessions", key, &value);
}

// A mapping is in use for as long as sessions of its are there, also where these say nothing.
static int test_mapping(struct test *t)
{
	struct session_key used, unused, key = key_of(7, IPPROTO_TCP);
	struct dft_record r = record_of(7, DFT_ANSWERED), mapping = r, left;
	struct side *near = &t->side[NEAR];
	uint32_t before;
	int wrong = 0;

	path(t, 1, (uint32_t[]){NEAR}, 0);
	// Timers begin with the term.
	sleep(3);
	mapping_key(&used, &key.a, key.a_port, key.vni, IPPROTO_TCP);
	mapping_key(&unused, &key.a, htons(ntohs(key.a_port) + 1), key.vni, IPPROTO_TCP);
	mapping.translation.flags = r.translation.flags = TRANSLATION_IS;
	put_old(near, &used, mapping, 30);
	put_old(near, &unused, mapping, 30);
	r.towards[0].flags = r.towards[1].flags = DECISION_MAPS_SOURCE;
	put_old(near, &key, r, 10);
	before = used_of(near, &used);
	wrong += until(t, "it is told", counted(near, MAPPING_USED) > 0);
	wrong += holds("it is in use", used_of(near, &used) >= before + 30);
	wrong += holds("the other is not", node_session(&near->node, &unused, &left) &&
						   used_of(near, &unused) <= before + 1);
	return wrong + holds("its time is a mapping's",
			     session_timeout_s(&used, DFT_ANSWERED) == MAPPING_TCP_S);
}

static void put_ended(struct side *s, const struct session_key *key)
{
	struct dft_record r = {};

	must(!node_session(&s->node, key, &r), "an alias");
	r.life = DFT_TOMBSTONE;
	r.stamp.counter++;
	node_session_put(&s->node, key, &r);
}

// A5: a reservation was lost on its way down, an alias' end as well, and one after the other.
static int test_alias_lost(struct test *t)
{
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	struct session_key owner, begun, ended, never;
	struct dft_record left = {};
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	put_translated(near, 7, 0, &owner, &begun);
	for (int i = 0; i < NODES; i++)
		put_translated(&t->side[i], 8, 0, &owner, &ended);
	put_translated(near, 9, 0, &owner, &never);
	put_ended(near, &ended);
	put_ended(near, &never);
	wrong += until(t, "what only the head has is gone",
		       !node_session(&near->node, &begun, &left) &&
			       !node_session(&far->node, &begun, &left));
	wrong += until(t, "what has ended at the head is gone",
		       !node_session(&near->node, &ended, &left) &&
			       !node_session(&far->node, &ended, &left));
	wrong += until(t, "what has ended before the tail had it is gone",
		       !node_session(&near->node, &never, &left) &&
			       !node_session(&far->node, &never, &left));
	return wrong;
}

// ---- what was lost on its way down

// That its head alone has a session, begun so many seconds ago: as it counts.
static void put_lost(struct side *s, const struct session_key *key, uint32_t unused_s)
{
	const struct usage_key of = usage_key_of(0);
	const struct usage_value one = {.sessions = 1, .half_open = 1};
	const struct dft_record r = record_of(1, 0);

	put(s, key, &r, unused_s);
	node_put(&s->node, "usage", &of, &one);
}

static struct usage_value counts_of(const struct side *s)
{
	const struct usage_key of = usage_key_of(0);
	struct usage_value value = {};

	bpf_map_lookup_elem(node_map(&s->node, "usage"), &of, &value);
	return value;
}

static int has(const struct side *s, const struct session_key *key)
{
	struct dft_record r;

	return node_session(&s->node, key, &r);
}

// O9: nobody sends it again, so its tail never hears of it but by its head. Then it ends as any.
static int test_lost(struct test *t)
{
	const struct session_key key = key_of(1, IPPROTO_TCP);
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	rounds(near, 3);
	put_lost(near, &key, 0);
	wrong += until(t, "it has ended", !has(near, &key));
	wrong += holds("it was sent down", counted(near, EMITTED_PUSH));
	wrong += holds("the tail asked for it",
		       counted(far, EMITTED_DELETE) && counted(far, EMITTED_COLLECT));
	wrong += until(t, "nothing is left of it", !has(near, &key) && !has(far, &key));
	for (int i = 0; i < NODES; i++) {
		const struct usage_value left = counts_of(&t->side[i]);

		wrong += is("sessions counted", (uint64_t)left.sessions, 0);
		wrong += is("half open", (uint64_t)left.half_open, 0);
	}
	return wrong;
}

// O8: the tail knows of a later floor. Nothing that may be a former life comes back; what the head
// stamps anew does.
static int test_lost_under_floor(struct test *t)
{
	const struct session_key key = key_of(1, IPPROTO_TCP);
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	const uint32_t bucket = roles_bucket(&key), floor = 9;
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	put_lost(near, &key, 0);
	node_put(&far->node, "floors", &bucket, &floor);
	wrong += until(t, "it is refused", counted(far, OLD_INCARNATION) >= 2);
	wrong += is("the tail has it", (uint64_t)has(far, &key), 0);
	wrong += is("the tail has asked for its end", far->upkeep.ageing.deletes, 0);
	node_put(&near->node, "floors", &bucket, &floor);
	wrong += until(t, "nothing is left of it", !has(near, &key) && !has(far, &key));
	wrong += is("half open", (uint64_t)counts_of(near).half_open, 0);
	return wrong + holds("by the tail", far->upkeep.ageing.collects);
}

// As the table has it.
static uint32_t use_of(const struct side *s, const struct session_key *key)
{
	uint32_t used_s;

	if (s->node.flat) {
		struct slot at = slot_of(s, key);

		used_s = at.map.page[at.page].slot[at.slot].half[0].used_s;
		flat_map_close(&at.map);
		return used_s;
	}
	return used_of(s, key);
}

// Lets the head's loader alone go on until so many have come to the end of its path.
static int come_down(struct side *head, const struct side *end, uint64_t pushes)
{
	const uint64_t end_ms = now_ms() + WAIT_MS;

	while (counted(end, OP_DONE) < pushes && now_ms() < end_ms)
		rounds(head, 1);
	return holds("pushes come down", counted(end, OP_DONE) >= pushes);
}

// What a head sends again says nothing of a session's use.
static int test_push_is_no_use(struct test *t)
{
	const struct session_key key = key_of(3, IPPROTO_ICMP);
	const struct dft_record r = record_of(3, DFT_ANSWERED);
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	const uint32_t bucket = roles_bucket(&key), floor = 9;
	struct dft_record left = {};
	uint32_t before;
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	put(near, &key, &r, 0);
	put(far, &key, &r, 5);
	before = use_of(far, &key);
	wrong += come_down(near, far, 2);
	wrong += holds("the tail has what it had", node_session(&far->node, &key, &left) &&
							   !dft_stamp_compare(left.stamp, r.stamp));
	node_put(&near->node, "floors", &bucket, &floor);
	wrong += come_down(near, far, 3);
	wrong += holds("stamped anew",
		       node_session(&far->node, &key, &left) && left.stamp.floor == floor);
	return wrong + is("last used", use_of(far, &key), before);
}

// One scan over so many sessions of a head, that many seconds after the one before: how many it
// has sent down. The clock is the test's.
static uint64_t scan_after(struct side *head, uint32_t seconds, uint32_t count, uint32_t used_s)
{
	struct ageing *ageing = &head->upkeep.ageing;
	const uint64_t before = ageing->pushes;

	ageing->now_s += seconds;
	ageing_begin(ageing);
	for (uint32_t i = 0; i < count; i++) {
		struct session_seen seen = {.key = key_of(i, IPPROTO_UDP),
					    .record = record_of(i, 0),
					    .used_s = ageing->narrow ? used_s & 0xFFFF : used_s};

		ageing_look(ageing, &seen);
	}
	return ageing->pushes - before;
}

#define SCAN_S 6

// A session once its time-out is well over; and each once in a while. Who becomes the head, or
// begins as its loader, goes on in turn: of old records no flood.
static int test_push_in_turn(struct test *t)
{
	const uint32_t most = COPIED * SCAN_S / PUSH_S * 4, due = UDP_UNANSWERED_S + PUSH_AFTER_S;
	struct side *near = &t->side[NEAR];
	struct ageing *ageing = &near->upkeep.ageing;
	uint32_t begun, after;
	uint64_t all = 0, in_scan;
	int wrong = 0;

	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	wrong += until(t, "it is the head", near->upkeep.roles.head[0]);
	ageing->scan_s = ageing->last_s = 0;
	begun = ageing->now_s;
	wrong += is("a loader's first scan", scan_after(near, 0, COPIED, begun - 20000), 0);
	scan_after(near, 0, 0, 0);
	for (uint32_t s = 0; s < PUSH_S; s += SCAN_S) {
		in_scan = scan_after(near, SCAN_S, COPIED, begun - 20000);
		wrong += holds("no more than their turn has come", in_scan <= most);
		all += in_scan;
	}
	wrong += is("each had its turn", all, COPIED);

	// Those few whose turn it is besides are not what is looked for.
	begun = ageing->now_s;
	for (after = SCAN_S; scan_after(near, SCAN_S, COPIED, begun) < COPIED; after += SCAN_S)
		if (after > 2 * due)
			return wrong + holds("it is due", 0);
	return wrong + holds("when it is due", after >= due && after < due + SCAN_S);
}

// Has the kernel send that entry. Returns how many were sent.
static uint64_t sent_as(struct side *s, const struct outbox_entry *entry)
{
	const uint64_t before = counted(s, EMITTED_PUSH);

	outbox_add(&s->upkeep.outbox, entry, 0);
	while (!outbox_idle(&s->upkeep.outbox))
		must(outbox_send(&s->upkeep.outbox), "sending");
	return counted(s, EMITTED_PUSH) - before;
}

// By its head, in its term, and of what its chain has.
static int test_push_by_whom(struct test *t)
{
	const struct session_key key = key_of(1, IPPROTO_TCP);
	const struct dft_record r = record_of(1, DFT_ANSWERED);
	struct side *near = &t->side[NEAR], *far = &t->side[FAR];
	struct outbox_entry e = {
		.op = DFT_DELETE, .bucket = roles_bucket(&key), .epoch = 1, .key = key};
	struct transfer gone = {.number = 1, .vni = usage_key_of(0).vni, .begun = 1, .over = 1};
	const uint64_t over = transfer_pack(&gone);
	const uint32_t only = 0;
	uint64_t swept;
	int wrong = 0;

	gone.swept = 1;
	swept = transfer_pack(&gone);
	path(t, 2, (uint32_t[]){NEAR, FAR}, 0);
	put(near, &key, &r, 0);
	clock_of(far);
	e.term = t->term;
	wrong += is("by the tail", sent_as(far, &e), 0);
	e.term = t->term - 1;
	wrong += is("in another term", sent_as(near, &e), 0);
	wrong += is("the tail has it", (uint64_t)has(far, &key), 0);
	e.term = t->term;
	wrong += is("by the head", sent_as(near, &e), 1);
	wrong += until(t, "the tail has it", has(far, &key));
	wrong += is("marked", mark_of(near, &key), 0);
	node_put(&near->node, "transfer", &only, &over);
	wrong += is("of a VPC that has gone", sent_as(near, &e), 0);
	node_put(&near->node, "transfer", &only, &swept);
	wrong += is("of one that has come with its VNI", sent_as(near, &e), 1);
	node_put(&near->node, "transfer", &only, &(uint64_t){0});
	path_of(t, 1, 1, (uint32_t[]){FAR}, 0);
	move_buckets(t, e.bucket + 1, 1);
	wrong += until(t, "it is handed over", departed(near, TERM_WORD(1, e.term), 1));
	return wrong + is("of another chain's", sent_as(near, &e), 0);
}

static const struct {
	const char *name;
	int (*run)(struct test *t); // returns how many things were wrong
} tests[] = {
	{"sessions are ended by their tail alone", test_tail_alone},
	{"timers begin anew with a term", test_timers_begin_anew},
	{"used meanwhile", test_used_meanwhile},
	{"what is marked ends", test_marked_ends},
	{"a session's whole end", test_whole_end},
	{"an alias is asked about", test_alias},
	{"an alias that not all have", test_alias_lost},
	{"a mapping", test_mapping},
	{"what only the head has", test_lost},
	{"what only the head has, under a later floor", test_lost_under_floor},
	{"a push is no use", test_push_is_no_use},
	{"pushes in turn", test_push_in_turn},
	{"a push is its head's", test_push_by_whom},
	{"a copy", test_copy},
	{"a copy that is taken up", test_copy_resumed},
	{"a copy yields", test_yields},
	{"a learner that hears nothing", test_deaf_learner},
	{"a copy of another term", test_copy_of_another_term},
	{"one learner of two chains", test_one_learner_of_two},
	{"two learners", test_two_learners},
	{"buckets move", test_move},
	{"a copy while buckets move", test_copy_while_moving},
	{"what has moved is counted", test_move_counted},
	{"a move of what is not confirmed", test_move_unheard},
	{"a move of what comes meanwhile", test_move_of_what_comes},
	{"a move begins anew", test_move_anew},
	{"a move ages nothing", test_move_ages_nothing},
	{"a VPC goes to another cluster", test_transfer},
	{"a learner, a VPC that has come from another cluster", test_copy_over},
};

// A timer tick in 1/1024 ms.
static uint32_t tick_q10(void)
{
	struct timespec tick;

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	return (uint32_t)((uint64_t)tick.tv_nsec * 1024 / 1000000);
}

static int run_tests(struct test *t, const char *only)
{
	int failed = 0;

	set_up(t, tick_q10() * FAST);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		int wrong;

		if (only && !strstr(tests[i].name, only))
			continue;
		start_again(t);
		wrong = tests[i].run(t);
		printf("%s %s\n", wrong ? "FAILED" : "ok    ", tests[i].name);
		failed += wrong != 0;
	}
	tear_down(t);
	return failed;
}

// ---- what it costs

#define MANY 1000000

static double seconds_by(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(void)
{
	return seconds_by(CLOCK_MONOTONIC);
}

// One step of the loader. Returns what upkeep_step() does; *longest: of its own time, of any.
static int measured(struct side *s, double *longest)
{
	double before = seconds_by(CLOCK_THREAD_CPUTIME_ID), took;
	int wait = upkeep_step(&s->upkeep);

	took = seconds_by(CLOCK_THREAD_CPUTIME_ID) - before;
	if (took > *longest)
		*longest = took;
	return wait;
}

static void bench_emit(struct test *t)
{
	struct side *near = &t->side[NEAR];
	struct outbox *o = &near->upkeep.outbox;
	const uint32_t turns = 800, each = 256;
	double begun;

	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	clock_of(near);
	begun = seconds();
	for (uint32_t turn = 0; turn < turns; turn++) {
		fill_outbox(t, near, each);
		o->allowance = each;
		must(outbox_send(o), "sending");
		must(!outbox_idle(o), "sending all");
		o->first = o->next;
	}
	printf("emit: %.0f thousand frames in a second, %u with each call\n",
	       turns * each / (seconds() - begun) / 1000, each);
}

static void fill_many(struct test *t)
{
	const uint32_t at_once = 1000;
	struct session_key *key = calloc(at_once, sizeof(*key));
	struct session_value *value = calloc(at_once, sizeof(*value));
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct flat_map map = {};
	uint32_t now_s = clock_of(&t->side[NEAR]);

	if (t->flat)
		must(flat_map_open(&map, node_map(&t->side[NEAR].node, "flat_sessions")), "pages");
	for (uint32_t i = 0; i < MANY; i += at_once) {
		uint32_t count = at_once;

		for (uint32_t k = 0; k < at_once; k++) {
			key[k] = key_of(i + k, IPPROTO_TCP);
			value[k] = (struct session_value){.used_s = now_s,
							  .check = key_hash(&key[k]) >> 32,
							  .record = record_of(i + k, DFT_ANSWERED)};
			if (t->flat) {
				uint64_t hash = key_hash(&key[k]);
				union flat_page *page = &map.page[flat_page_of(hash, map.pages)];
				struct flat_place place = flat_place_of(hash);
				struct flat_content content = {.key = flat_key_of(&key[k]),
							       .asked = DFT_ANSWERED << 16 |
									(now_s & 0xFFFF),
							       .life = DFT_LIVE,
							       .tag = place.tag};
				union flat_half room;
				uint32_t slot = flat_free(page, place);

				if (slot)
					flat_write(page, slot, &content, &value[k].record, &room);
			}
		}
		if (!t->flat)
			must(bpf_map_update_batch(node_map(&t->side[NEAR].node, "sessions"), key,
						  value, &count, &options),
			     "sessions");
	}
	flat_map_close(&map);
	free(key);
	free(value);
}

static void bench_scan(struct test *t)
{
	struct side *near = &t->side[NEAR];
	double begun, used, longest = 0;

	rounds(near, 1);
	near->upkeep.survey.next_ms = 0;
	begun = seconds();
	used = seconds_by(CLOCK_THREAD_CPUTIME_ID);
	do
		measured(near, &longest);
	while (near->upkeep.survey.round >= 0);
	printf("scan: %llu sessions in %.2f s, of which at work %.2f s, at most %.1f ms at once\n",
	       (unsigned long long)near->upkeep.survey.sessions, seconds() - begun,
	       seconds_by(CLOCK_THREAD_CPUTIME_ID) - used, longest * 1000);
}

static int is_copied(const struct side *s, uint32_t term)
{
	const struct copy_value told = copy_of(s, 0);

	return told.term == TERM_WORD(1, term) && told.complete;
}

static void bench_copy(struct test *t)
{
	struct side *near = &t->side[NEAR];
	double begun, used, longest = 0;

	path(t, 1, (uint32_t[]){NEAR, FAR}, 1);
	begun = seconds();
	used = seconds_by(CLOCK_THREAD_CPUTIME_ID);
	while (!is_copied(near, t->term) && seconds() - begun < 120)
		if (measured(near, &longest))
			nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	printf("copy: %llu of %llu in %.1f s, of which at work %.2f s, at most %.1f ms at once; "
	       "%llu sent\n",
	       (unsigned long long)copy_of(near, 0).done, (unsigned long long)copy_of(near, 0).all,
	       seconds() - begun, seconds_by(CLOCK_THREAD_CPUTIME_ID) - used, longest * 1000,
	       (unsigned long long)counted(near, EMITTED_COPY));
}

static void bench(struct test *t)
{
	t->sessions = MANY + MANY / 16;
	set_up(t, tick_q10());
	bench_emit(t);
	fill_many(t);
	bench_scan(t);
	bench_copy(t);
	same_sessions(t);
	tear_down(t);
}

int main(int argc, char **argv)
{
	static struct test t;
	int many = argc > 1 && !strcmp(argv[1], "bench");
	int flat = argc > 1 + many && !strcmp(argv[1 + many], "flat");

	setvbuf(stdout, NULL, _IOLBF, 0);
	testing_begin();
	t.flat = !flat ? 0 : many ? FLAT_PAGES : 256;
	if (!many)
		return run_tests(&t, argc > 1 + flat ? argv[1 + flat] : NULL) != 0;
	bench(&t);
	return 0;
}
