// SPDX-License-Identifier: Apache-2.0
// Starting the circling frame, watching it, and the lists that its rounds work through.
#include "modules/heartbeat/pacemaker.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/own.h"
#include "node/messages.h"
#include "node/pins.h"
#include "node/veth.h"
#include "shared/heartbeat.h"
#include "shared/membership.h"
#include "shared/view.h"

// A node beats to all others where they are few: each costs it some 2 us of every interval, to
// beat, to answer and to hear (heartbeat_test), so that these take some hundredth of a processor.
// Else to those it shares something with, and so many after it in the ring of indices, through whom
// news reach everybody.
#define FEW_OTHERS 64
#define SUCCESSORS 3

#define LOOK_MS 1000
#define FOLLOW_MS 5 // what changes together is one list

static const __u32 only = 0;

// ---- the pair of interfaces

// A name that no other node of this network namespace has.
static struct interface_name end_name(const char *dir, char end)
{
	struct interface_name name = {};

	snprintf(name.text, sizeof(name.text), "zclk%08x%c", (__u32)hash_text(dir, 0), end);
	return name;
}

// The frame as the pacemaker leaves it after a round, run through a program. Returns what that
// does, or a negative errno.
static int run_frame(int program, __u32 generation)
{
	__u8 frame[PACE_BYTES] = {};
	const struct pace_frame begin = {.eth.h_proto = htons(PACE_PROTOCOL),
					 .generation = generation};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1);
	int err;

	memcpy(frame, &begin, sizeof(begin));
	err = bpf_prog_test_run_opts(program, &run);
	return err ? err : (int)run.retval;
}

static int seed(const struct pacer *p, __u32 generation)
{
	int did = run_frame(p->seed, generation);

	return did > 0 ? -ENETDOWN : did;
}

static int put_pacer(const char *dir, const struct pacer_value *value)
{
	auto_(closep) int map = pin_open(dir, "pacer");

	if (map < 0)
		return map;
	return bpf_map_update_elem(map, &only, value, BPF_ANY) ? -errno : 0;
}

static struct pacer_value get_pacer(const char *dir)
{
	auto_(closep) int map = pin_open(dir, "pacer");
	struct pacer_value value = {};

	if (map >= 0)
		bpf_map_lookup_elem(map, &only, &value);
	return value;
}

static struct pulse_value get_pulse(const char *dir)
{
	auto_(closep) int map = pin_open(dir, "pulse");
	struct pulse_value value = {};

	if (map >= 0)
		bpf_map_lookup_elem(map, &only, &value);
	return value;
}

static int begin(struct pacer *p)
{
	const struct interface_name first = end_name(p->dir, 'a'), second = end_name(p->dir, 'b');
	struct pacer_value told = get_pacer(p->dir);
	int err;

	// The kernel's own packets there have no place: no room for IPv6, which begins at 1280.
	if ((err = veth_make(&first, &second, PACE_BYTES - ETH_HLEN)) ||
	    (err = veth_pace(&first, PACE_BYTES, p->beat_ms)))
		return err;
	err = link_place(p->dir, "clock", HOOK_TCX_INGRESS, if_nametoindex(second.text), p->round,
			 XDP_MODE_NATIVE);
	if (err)
		return err;
	told.ifindex = if_nametoindex(first.text);
	// Another one than before, also where the map is new and the frame is not.
	told.generation = (__u32)now_ms() ^ told.generation << 1;
	if ((err = put_pacer(p->dir, &told)))
		return err;
	return seed(p, told.generation);
}

int pacemaker_start(struct pacer *p, struct bpf_object *object)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, "pacemaker");
	const struct bpf_program *seeding = bpf_object__find_program_by_name(object, "seed");
	const struct bpf_program *hastening = bpf_object__find_program_by_name(object, "hasten");
	int err;

	if (!program || !seeding || !hastening)
		return -ENOENT;
	p->round = bpf_program__fd(program);
	p->seed = bpf_program__fd(seeding);
	p->hasten = bpf_program__fd(hastening);
	if ((err = pacemaker_follow(p)))
		return err;
	p->rounds = get_pulse(p->dir).rounds;
	return begin(p);
}

void pacemaker_stop(const char *dir)
{
	unsigned int ifindex = link_ifindex(dir, "clock");

	link_drop(dir, "clock");
	if (ifindex)
		veth_delete(ifindex);
}

void pacemaker_look(struct pacer *p)
{
	__u64 rounds;
	int err;

	if (!p->beat_ms)
		return;
	rounds = get_pulse(p->dir).rounds;
	if (rounds == p->rounds) {
		err = begin(p);
		log_warnx("the pacemaker stood still: %s",
			  err ? strerror(-err) : "it was started anew");
	}
	p->rounds = rounds;
}

void pacemaker_changed(struct pacer *p)
{
	if (!p->follow_ms)
		p->follow_ms = now_ms() + FOLLOW_MS;
}

int pacemaker_step(struct pacer *p)
{
	__u64 now = now_ms();
	int err;

	if (!p->beat_ms)
		return LOOK_MS;
	if (now >= p->look_ms) {
		pacemaker_look(p);
		p->look_ms = now + LOOK_MS + 2ull * p->beat_ms;
		// What nobody heard of, or could not be done when it was due.
		pacemaker_changed(p);
	}
	if (p->follow_ms && now >= p->follow_ms) {
		p->follow_ms = 0;
		err = pacemaker_follow(p);
		if (err)
			log_warnx("the list of heartbeats does not follow: %s", strerror(-err));
	}
	return p->follow_ms ? FOLLOW_MS : LOOK_MS;
}

// ---- whom to beat to

static int is_in_path(const struct pacer *p, const struct chain_value *chain)
{
	__u32 length = chain->live + chain->learner, i;

	for (i = 0; i < length && i <= MAX_CHAIN_LENGTH; i++)
		if (chain->node[i] == p->node && chain->boot[i] == p->boot)
			return 1;
	return 0;
}

void pacemaker_hasten(const struct pacer *p, __u32 number, const struct chain_value *chain)
{
	int did = p->beat_ms && is_in_path(p, chain) ? run_frame(p->hasten, number) : 0;

	// The next round asks.
	if (did < 0)
		log_debug("no lease of chain %u is asked for before its time: %s", number,
			  strerror(-did));
}

struct lists {
	const struct pacer *pacer;
	__u8 is_node[MAX_NODES]; // there is such a node
	__u8 is_forwarder[MAX_NODES];
	__u8 is_peer[MAX_NODES]; // it is beaten to
	struct beat_to_value beat[MAX_BEATS];
	__u32 beats;
	__u32 others;
	__u32 chains;
	__u32 lacking;		  // leases that nobody will ask for
	__u32 number[MAX_CHAINS]; // of chain[]
	struct chain_value chain[MAX_CHAINS];
};

static void read_nodes(struct lists *l, int map)
{
	__u32 index, *before = NULL;
	struct node_value node;

	while (!bpf_map_get_next_key(map, before, &index)) {
		if (index < MAX_NODES && !bpf_map_lookup_elem(map, &index, &node)) {
			l->is_node[index] = !node.foreign;
			l->is_forwarder[index] = !node.foreign && node.forwarder;
		}
		before = &index;
	}
}

static void add_peer(struct lists *l, __u32 node)
{
	if (node < MAX_NODES && l->is_node[node] && node != l->pacer->node)
		l->is_peer[node] = 1;
}

// A lease of the chain is asked of the voter: with a heartbeat to it that has room.
static void add_lease(struct lists *l, __u32 voter, __u32 number)
{
	struct beat_to_value *beat;
	__u32 i;

	if (voter >= MAX_NODES || !l->is_node[voter])
		return;
	add_peer(l, voter);
	for (i = 0; i < l->beats; i++)
		if (l->beat[i].node == voter && l->beat[i].chains < BEAT_CHAINS)
			break;
	if (i == MAX_BEATS) {
		l->lacking++;
		return;
	}
	beat = &l->beat[i];
	if (i == l->beats)
		l->beat[l->beats++].node = voter;
	beat->chain[beat->chains++] = number;
}

static void add_leases(struct lists *l, __u32 number, const struct chain_value *chain)
{
	__u32 i;

	for (i = 0; i < chain->voters && i < MAX_VOTERS && is_in_path(l->pacer, chain); i++)
		add_lease(l, chain->voter[i].node, number);
}

static void read_chains(struct lists *l, int map)
{
	__u32 at = 0, count, i;
	int err, more = 0;

	do {
		count = MAX_CHAINS;
		err = bpf_map_lookup_batch(map, more ? &at : NULL, &at, l->number, l->chain, &count,
					   NULL);
		for (i = 0; (!err || err == -ENOENT) && i < count; i++)
			add_leases(l, l->number[i], &l->chain[i]);
		l->chains += i;
		more = 1;
	} while (!err);
}

// The forwarders of a list that this node is in depend on each other.
static void read_entrances(struct lists *l, int map)
{
	struct entrance_value entrance;
	__u32 index, i, mine;

	for (index = 0; index < MAX_ENTRANCES; index++) {
		if (bpf_map_lookup_elem(map, &index, &entrance) || !entrance.live)
			continue;
		mine = 0;
		for (i = 0; i < entrance.preferences && i < MAX_PREFERENCES; i++)
			mine |= entrance.preference[i] == l->pacer->node;
		for (i = 0; i < entrance.preferences && i < MAX_PREFERENCES && mine; i++)
			add_peer(l, entrance.preference[i]);
	}
}

static void add_others(struct lists *l)
{
	__u32 self = l->pacer->node, nodes = 0, most, i;

	for (i = 0; i < MAX_NODES; i++)
		nodes += l->is_node[i] && i != self;
	most = nodes <= FEW_OTHERS ? nodes : SUCCESSORS;
	for (i = 1; i < MAX_NODES && most; i++)
		if (l->is_node[(self + i) % MAX_NODES]) {
			add_peer(l, (self + i) % MAX_NODES);
			most--;
		}
}

// A forwarder calls those after it in the ring of indices that it also beats to, which is how it
// knows whether they hear anybody.
static void add_calls(const struct lists *l, struct pacer_value *told)
{
	const struct pacer *p = l->pacer;
	__u32 node, i;

	told->calls = 0;
	if (!(p->roles & NODE_FWD)) {
		told->side = SIDE_UNKNOWN;
		return;
	}
	if (!strcmp(p->tenant.text, p->zgc.text)) {
		told->side = SIDE_SAME;
		return;
	}
	for (i = 1; i < MAX_NODES && told->calls < MAX_CALLS; i++) {
		node = (p->node + i) % MAX_NODES;
		if (l->is_forwarder[node] && l->is_peer[node])
			told->call[told->calls++] = node;
	}
	told->side = !interface_runs(&p->tenant) ? SIDE_DOWN
		     : told->calls		 ? SIDE_CALLS
						 : SIDE_UNKNOWN;
}

// Everybody who is beaten to is in the list at least once.
static void complete(struct lists *l)
{
	__u32 node, i;

	for (node = 0; node < MAX_NODES; node++) {
		if (!l->is_peer[node])
			continue;
		l->others++;
		for (i = 0; i < l->beats && l->beat[i].node != node; i++)
			;
		if (i == l->beats && i < MAX_BEATS)
			l->beat[l->beats++].node = node;
	}
}

// Whether the node could serve if it were asked to. Tables are filled in order, those of entrances
// last (node/tables.def): a forwarder that knows them knows the tenants too.
static int is_fit(const struct lists *l, int entrance_by_ip)
{
	const struct pacer *p = l->pacer;
	struct in6_addr any;

	if (!l->is_node[p->node] || !interface_runs(&p->zgc))
		return 0;
	return !(p->roles & NODE_FWD) || !bpf_map_get_next_key(entrance_by_ip, NULL, &any);
}

// Ballots tell of chains, whenever they come to.
static int is_lacking(const struct lists *l, int chain_count)
{
	__u32 named;

	return !bpf_map_lookup_elem(chain_count, &only, &named) && l->chains < named;
}

int pacemaker_follow(const struct pacer *p)
{
	auto_(closep) int nodes = pin_open(p->dir, "nodes");
	auto_(closep) int chains = pin_open(p->dir, "chains");
	auto_(closep) int entrances = pin_open(p->dir, "entrances");
	auto_(closep) int by_ip = pin_open(p->dir, "entrance_by_ip");
	auto_(closep) int beat_to = pin_open(p->dir, "beat_to");
	auto_(closep) int count = pin_open(p->dir, "chain_count");
	auto_(freep) struct lists *l = calloc(1, sizeof(*l));
	struct pacer_value told = get_pacer(p->dir);
	__u32 i;
	int err;

	if (!p->beat_ms)
		return 0;
	if (!l)
		return -ENOMEM;
	if (nodes < 0 || chains < 0 || entrances < 0 || by_ip < 0 || beat_to < 0 || count < 0)
		return -ENOENT;
	l->pacer = p;
	read_nodes(l, nodes);
	read_chains(l, chains);
	read_entrances(l, entrances);
	add_others(l);
	complete(l);
	if (l->lacking)
		log_warnx(
			"more chains than heartbeats have room for: %u leases of this node cannot "
			"be held",
			l->lacking);
	for (i = 0; i < l->beats; i++)
		l->number[i] = i;
	if (i && (err = bpf_map_update_batch(beat_to, l->number, l->beat, &i, NULL)))
		return err;
	told.beats = l->beats;
	told.others = l->others;
	told.fit = (__u32)is_fit(l, by_ip);
	told.lacks = (__u32)is_lacking(l, count);
	add_calls(l, &told);
	return put_pacer(p->dir, &told);
}
