/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The view: which chain a key belongs to, who is in it; and ops on their way between nodes.
#pragma once

#include "datapath/evaluation.bpf.h"
#include "dft/core.h"
#include "modules/chain/outbox.bpf.h"
#include "modules/chain/rights.bpf.h"
#include "modules/overlay/overlay.bpf.h"
#include "shared/move.h"
#include "shared/view.h"
#include "wire/dft.h"

extern const volatile struct gateway_config cfg;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NODES);
	__type(key, __u32);
	__type(value, struct node_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NODES);
	__type(key, struct in6_addr);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} node_by_ip SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KNOWN_CHAINS);
	__type(key, __u32);
	__type(value, struct chain_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} chains SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} buckets SEC(".maps");

// A chain by its number; NULL where the view names none, or none of its replicas is left: then
// there is no head and no tail, and whoever is first in the list is neither.
inlined const struct chain_value *chain_find(__u32 number)
{
	const struct chain_value *c = bpf_map_lookup_elem(&chains, &number);

	return c && c->live ? c : NULL;
}

// The chain of a bucket, and its number; NULL as above.
inlined const struct chain_value *chain_of(__u32 bucket, __u32 *number)
{
	const __u32 *entry = bpf_map_lookup_elem(&buckets, &bucket);

	if (!entry || !*entry)
		return NULL;
	*number = *entry - 1;
	return chain_find(*number);
}

inlined __u32 chain_head(const struct chain_value *c)
{
	return c->node[0];
}

inlined __u32 chain_tail(const struct chain_value *c)
{
	__u32 last = c->live - 1;

	return c->node[last < MAX_CHAIN_LENGTH ? last : 0];
}

// Where this node, in this life of its (M4), stands in the path: the live list, then the learner.
// -1: nowhere.
inlined int chain_place(const struct chain_value *c)
{
	int place = -1;
	__u32 i;

	UNROLLED
	for (i = 0; i < MAX_CHAIN_LENGTH + 1; i++)
		if (i < (__u32)c->live + c->learner && c->node[i] == cfg.node &&
		    (!cfg.beat_ms || c->boot[i] == cfg.boot))
			place = i;
	return place;
}

// M2: whether this node has promised a later term. Then it acts in this one no more.
inlined int chain_fenced(__u32 number, const struct chain_value *c)
{
	const struct fence_value *f;

	if (!cfg.beat_ms)
		return 0;
	f = bpf_map_lookup_elem(&fences, &number);
	return !f || *(const volatile __u64 *)&f->promised > TERM_WORD(c->epoch, c->term);
}

// M3: whether this node's lease of the term runs. Who writes it ends the old one before it changes
// the term.
inlined int chain_leased(__u32 number, const struct chain_value *c)
{
	const volatile struct lease_value *l;

	if (!cfg.beat_ms)
		return 1;
	l = bpf_map_lookup_elem(&leases, &number);
	return l && l->term == TERM_WORD(c->epoch, c->term) && bpf_ktime_get_boot_ns() < l->end_ns;
}

// O9: since when this node is the tail of this term; now_s: now, by the same clock.
inlined __u32 chain_tail_since(__u32 number, const struct chain_value *c, __u32 now_s)
{
	__u64 term = TERM_WORD(c->epoch, c->term);
	volatile struct tail_value *t = bpf_map_lookup_elem(&tails, &number);

	if (!t)
		return now_s;
	if (t->term != term) {
		t->since_s = now_s;
		t->term = term;
	}
	return t->since_s;
}

#define NODE_NOBODY 0xFFFFFFFF

// What is heard of a node; NULL: it is not heard. Of one that heartbeats are exchanged with only
// these count, whatever others say.
inlined const struct peer_value *node_heard(__u32 node)
{
	const struct peer_value *p = bpf_map_lookup_elem(&peers, &node);

	return p && p->alive ? p : NULL;
}

// The same of one of its lives.
inlined int node_heard_as(__u32 node, __u32 boot)
{
	const struct peer_value *p = node_heard(node);

	return p && p->boot == boot;
}

// Whether what is for a node goes straight to it. Those of another cluster nobody here hears (M8).
inlined int node_straight(__u32 node)
{
	return node == cfg.node || node & NODE_FOREIGN || node_heard(node);
}

// Whom to give what is for a node that is not heard here: one of the chain's voters that is. tries
// left: with each of them it is another one, where there are several.
inlined __u32 chain_relay(const struct chain_value *c, __u32 to, __u32 tries)
{
	__u32 whom = NODE_NOBODY, best = MAX_VOTERS, i;

	for (i = 0; i < MAX_VOTERS && i < c->voters; i++) {
		__u32 node = c->voter[i].node, turn = (i + tries) % MAX_VOTERS;

		if (turn >= best || node == to || node == cfg.node ||
		    !node_heard_as(node, c->voter[i].boot))
			continue;
		best = turn;
		whom = node;
	}
	return whom;
}

// M8: nobody here hears another cluster's nodes, or knows its terms. So that it does not matter who
// of them is dead, whom to ask is, as often as not, any of the list: who is asked in vain
// redirects.
inlined __u32 chain_any(const struct chain_value *c, __u32 should)
{
	__u32 chance = bpf_get_prandom_u32(), any = (chance >> 1) % (c->live ?: 1);

	return chance & 1 && any < MAX_CHAIN_LENGTH ? c->node[any] : should;
}

// O1: whom to ask, by what this node hears: the last of the live list for a lookup, for what
// changes something the first. others: but for this node itself. Where it hears none of them, who
// asks first tries a voter; else it is whoever should be asked, as they may live all the same.
verified __u32 chain_whom(const struct chain_value *c, int lookup, int others)
{
	__u32 should, whom = NODE_NOBODY, i;

	if (!c)
		return NODE_NOBODY;
	should = lookup ? chain_tail(c) : chain_head(c);
	if (!c->voters && !c->term)
		return chain_any(c, should);
	for (i = 0; cfg.beat_ms && i < MAX_CHAIN_LENGTH && i < c->live; i++) {
		__u32 node = c->node[i], boot = c->boot[i];
		int able =
			node == cfg.node ? !others && boot == cfg.boot : node_heard_as(node, boot);

		if (able && (lookup || whom == NODE_NOBODY))
			whom = node;
	}
	if (cfg.beat_ms && whom == NODE_NOBODY && !others)
		whom = chain_relay(c, should, 0);
	if (whom == NODE_NOBODY && !(others && should == cfg.node))
		whom = should;
	return whom;
}

inlined struct dft_packet *op_of(struct packet *p)
{
	p->outer.eth = take(p, sizeof(*p->outer.eth));
	return p->outer.eth ? take(p, sizeof(struct dft_packet)) : NULL;
}

inlined void option_write(struct geneve_option *o, __u8 type, __u32 bytes)
{
	o->class = bpf_htons(DFT_CLASS);
	o->type = type;
	o->length = (bytes - sizeof(*o)) / 4;
}

// Puts an op in front of the tenant's frame that begins at inner_offset. Returns the op with
// everything constant filled in and the rest 0; NULL: the kernel gave no room.
inlined struct dft_packet *op_begin(struct xdp_md *ctx, __u32 inner_offset, __u32 vni, __u32 hash)
{
	struct dft_packet *d;
	struct packet p;

	if (bpf_xdp_adjust_head(ctx, (int)inner_offset - (int)DFT_HEADERS_BYTES))
		return NULL;
	p = packet_of(ctx);
	d = op_of(&p);
	if (!d)
		return NULL;
	__builtin_memset(d, 0, sizeof(*d));
	d->udp.source = entropy_port(hash);
	d->geneve.version_length = DFT_OPTIONS_BYTES / 4;
	d->geneve.flags = GENEVE_CRITICAL;
	d->geneve.protocol = bpf_htons(GENEVE_ETHERNET);
	vni_put(d->geneve.vni, vni);
	option_write(&d->op.header, DFT_OPTION_OP, sizeof(d->op));
	option_write(&d->towards[0].header, DFT_OPTION_DECISION, sizeof(d->towards[0]));
	option_write(&d->towards[1].header, DFT_OPTION_DECISION, sizeof(d->towards[1]));
	option_write(&d->translation.header, DFT_OPTION_TRANSLATION, sizeof(d->translation));
	d->op.version = DFT_VERSION;
	d->op.hops = MAX_HOPS;
	return d;
}

inlined int option_is(const struct geneve_option *o, __u8 type, __u32 bytes)
{
	return o->class == bpf_htons(DFT_CLASS) && o->type == type &&
	       o->length == (bytes - sizeof(*o)) / 4;
}

// Whether an op of this kind has no packet, but a key.
inlined int op_keyed(__u8 op)
{
	return op == DFT_DELETE || op == DFT_TOUCH ||
	       (op >= DFT_COLLECT && op != DFT_ASK && op != DFT_CHECKED);
}

// Whether this one has, where some of its kind have a packet.
inlined int op_has_key(const struct dft_packet *d)
{
	return d->geneve.protocol == bpf_htons(DFT_KEYED);
}

// Whether an op of this kind comes as this one says: what a bucket's old chain tells goes with the
// packet that asked, or without any; so do its fence and what follows from it, and the end of a
// session that the packet's takes the place of.
inlined int op_protocol_valid(const struct dft_packet *d)
{
	int either = d->op.op == DFT_TOLD || d->op.op == DFT_FENCE || d->op.op == DFT_YOURS ||
		     d->op.op == DFT_DELETE;

	if (either && d->geneve.protocol == bpf_htons(GENEVE_ETHERNET))
		return 1;
	if (d->geneve.protocol == bpf_htons(DFT_BULK))
		return d->op.op == DFT_COPY || d->op.op == DFT_COPIED;
	return d->geneve.protocol == bpf_htons(op_keyed(d->op.op) ? DFT_KEYED : GENEVE_ETHERNET);
}

// Whether what arrived is an op as we write them, so that its fields may be read.
inlined int op_valid(const struct dft_packet *d)
{
	return d->geneve.version_length == DFT_OPTIONS_BYTES / 4 &&
	       d->geneve.flags == GENEVE_CRITICAL && op_protocol_valid(d) &&
	       option_is(&d->op.header, DFT_OPTION_OP, sizeof(d->op)) &&
	       option_is(&d->towards[0].header, DFT_OPTION_DECISION, sizeof(d->towards[0])) &&
	       option_is(&d->towards[1].header, DFT_OPTION_DECISION, sizeof(d->towards[1])) &&
	       option_is(&d->translation.header, DFT_OPTION_TRANSLATION, sizeof(d->translation)) &&
	       d->op.version == DFT_VERSION && d->op.op >= DFT_LOOKUP && d->op.op < DFT_OPS;
}

inlined struct dft_stamp stamp_read(const struct dft_stamp_wire *w)
{
	return (struct dft_stamp){bpf_ntohl(w->floor), bpf_ntohl(w->counter)};
}

inlined void stamp_write(struct dft_stamp_wire *w, struct dft_stamp s)
{
	w->floor = bpf_htonl(s.floor);
	w->counter = bpf_htonl(s.counter);
}

inlined void record_read(const struct dft_packet *d, struct dft_record *r)
{
	__u16 state = bpf_ntohs(d->op.state);

	r->stamp = stamp_read(&d->op.stamp);
	r->incarnation = stamp_read(&d->op.incarnation);
	r->policy = bpf_ntohl(d->op.policy);
	r->state = state & DFT_STATE_BITS;
	r->life = state >> DFT_LIFE_SHIFT;
	r->towards[0] = d->towards[0].decision;
	r->towards[1] = d->towards[1].decision;
	r->translation = d->translation.translation;
}

verified int record_write(struct dft_packet *d, const struct dft_record *r)
{
	if (!d || !r)
		return 0;
	stamp_write(&d->op.stamp, r->stamp);
	stamp_write(&d->op.incarnation, r->incarnation);
	d->op.policy = bpf_htonl(r->policy);
	d->op.state = bpf_htons(r->state | r->life << DFT_LIFE_SHIFT);
	d->towards[0].decision = r->towards[0];
	d->towards[1].decision = r->towards[1];
	d->translation.translation = r->translation;
	return 1;
}

inlined void item_read(const struct dft_item *item, struct dft_record *r)
{
	__u16 state = bpf_ntohs(item->state);

	r->stamp = stamp_read(&item->stamp);
	r->incarnation = stamp_read(&item->incarnation);
	r->policy = bpf_ntohl(item->policy);
	r->state = state & DFT_STATE_BITS;
	r->life = state >> DFT_LIFE_SHIFT;
	r->towards[0] = item->towards[0];
	r->towards[1] = item->towards[1];
	r->translation = item->translation;
}

inlined void item_write(struct dft_item *item, const struct dft_record *r)
{
	stamp_write(&item->stamp, r->stamp);
	stamp_write(&item->incarnation, r->incarnation);
	item->policy = bpf_htonl(r->policy);
	item->state = bpf_htons(r->state | r->life << DFT_LIFE_SHIFT);
	__builtin_memset(item->zero, 0, sizeof(item->zero));
	item->towards[0] = r->towards[0];
	item->towards[1] = r->towards[1];
	item->translation = r->translation;
}

// Whether an op with a key is about a bucket as a whole: struct dft_bucket_wire is in the key's
// place.
inlined int op_of_bucket(const struct dft_packet *d)
{
	return d->op.op == DFT_COPY || d->op.op == DFT_COPIED;
}

// What follows an op without a packet. Only a copy of a bucket's floor alone has no key.
inlined enum verdict op_key(struct packet *p, const struct dft_packet *d, struct session_key *key,
			    __u32 *serial)
{
	const struct dft_keyed *keyed = take(p, sizeof(*keyed));

	if (!keyed)
		return TRUNCATED;
	__builtin_memcpy(key, keyed->key, sizeof(*key));
	*serial = bpf_ntohl(keyed->serial);
	if (op_of_bucket(d))
		return GO_ON;
	if (!key_canonical(key) || vni_of(key->vni) != vni_of(d->geneve.vni))
		return DFT_MALFORMED;
	if (d->op.op >= DFT_COPY && !(bpf_ntohs(d->op.state) >> DFT_LIFE_SHIFT))
		return GO_ON;
	return (__u32)key_hash(key) % BUCKETS == bpf_ntohl(d->op.bucket) ? GO_ON : DFT_MALFORMED;
}

inlined int op_of_term(const struct dft_packet *d, const struct chain_value *c)
{
	return bpf_ntohl(d->op.epoch) == c->epoch && bpf_ntohl(d->op.term) == c->term;
}

// O2: what goes down a path counts only under exactly the active term. GO_ON: this node, which has
// this place, takes it.
inlined enum verdict op_admitted(const struct dft_packet *d, const struct chain_value *c,
				 __u32 number, int place)
{
	if (place < 0)
		return NOT_MEMBER;
	return chain_fenced(number, c) || !op_of_term(d, c) ? STALE_TERM : GO_ON;
}

// Whether an op is about an alias as such. (Its record is copied, deleted and collected as any.)
inlined int op_of_alias(const struct dft_packet *d)
{
	if (d->op.op == DFT_VERIFY || d->op.op == DFT_VERIFIED)
		return 1;
	return (d->op.table == DFT_ALIASES || d->op.table == DFT_MAPPING_ALIASES) &&
	       (d->op.op == DFT_INSERT || d->op.op == DFT_ASK || d->op.op == DFT_TOLD);
}

// Whether an op asks for a mapping, or says that it is in use.
inlined int op_of_mapping(const struct dft_packet *d)
{
	if (d->op.op == DFT_TOUCH)
		return 1;
	return (d->op.table == DFT_MAPPINGS || d->op.table == DFT_MAPPED) &&
	       d->op.op == DFT_LOOKUP && !(d->op.flags & DFT_REPLICATION);
}

// Points an op at the chain of a key. NULL: it has none.
inlined const struct chain_value *op_point(struct dft_packet *d, const struct session_key *key)
{
	__u32 bucket = (__u32)key_hash(key) % BUCKETS, number;
	const struct chain_value *c = chain_of(bucket, &number);

	if (!c)
		return NULL;
	d->op.bucket = bpf_htonl(bucket);
	d->op.chain = bpf_htonl(number);
	d->op.epoch = bpf_htonl(c->epoch);
	d->op.term = bpf_htonl(c->term);
	return c;
}

// Whether an op goes back to another node than this one.
inlined int op_is_passing(const struct dft_packet *d)
{
	return (d->op.op == DFT_REPLY || d->op.op == DFT_TAKEN) &&
	       address_v4(&d->op.forwarder) != cfg.zgc_ip.in6_u.u6_addr32[3];
}

// Hands an op to the program that it is for, also at a node that only passes it on.
inlined int op_enter(struct xdp_md *ctx, const struct dft_packet *d)
{
	if (op_is_passing(d))
		return go_to(ctx, STEP_RELAY);
	if (d->op.op == DFT_REPLY)
		return cfg.roles & ROLE_FWD ? go_to(ctx, STEP_REPLY) : finish(ctx, NOT_MEMBER);
	return go_to(ctx, d->geneve.protocol == bpf_htons(DFT_BULK) ? STEP_COPY_IN
			  : d->op.op == DFT_FULL		    ? STEP_REFUSAL
			  : op_of_alias(d)			    ? STEP_ALIASES
			  : op_of_mapping(d)			    ? STEP_MAPPING
			  : d->op.op == DFT_CHECKED		    ? STEP_CHECK_IN
			  : d->op.op >= DFT_FENCE		    ? STEP_MOVING
								    : STEP_TABLE);
}

// Sends the op that the packet begins with. To this very node it goes by calling what the entry
// would: the entry itself takes no op that says it is from here.
inlined int op_send(struct xdp_md *ctx, const struct in6_addr *to, const __u8 mac[6],
		    enum verdict v)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	__be32 from = cfg.zgc_ip.in6_u.u6_addr32[3];

	if (!d)
		return finish(ctx, BUG);
	__builtin_memcpy(p.outer.eth->h_dest, mac, 6);
	mac_of_config(p.outer.eth->h_source, cfg.zgc_mac);
	p.outer.eth->h_proto = bpf_htons(ETH_P_IP);
	underlay_write(&d->ip, &d->udp, from, address_v4(to), d->udp.source, bpf_htons(GENEVE_PORT),
		       p.end - (void *)(&d->udp + 1));
	if (address_v4(to) == from) {
		count(ctx, v);
		return op_enter(ctx, d);
	}
	bpf_redirect(cfg.zgc_ifindex, 0);
	return finish(ctx, v);
}

inlined int op_send_to_node(struct xdp_md *ctx, __u32 node, enum verdict v)
{
	const struct node_value *n = bpf_map_lookup_elem(&nodes, &node);

	if (!n)
		return finish(ctx, NO_VIEW);
	return op_send(ctx, &n->zgc_ip, n->zgc_mac, v);
}

// O1: being wrong about whom to ask costs a redirect.
inlined int op_redirect(struct xdp_md *ctx, struct dft_packet *d, __u32 node, enum verdict v)
{
	if (!d->op.hops)
		return finish(ctx, HOPS_EXCEEDED);
	if (node == NODE_NOBODY)
		return finish(ctx, NO_LEASE);
	d->op.hops--;
	return op_send_to_node(ctx, node, v);
}

// Back to whom the op says; where that node is not heard here, another one may hear it.
inlined int op_back(struct xdp_md *ctx, struct dft_packet *d, enum verdict v)
{
	struct in6_addr to = d->op.forwarder;
	const __u32 *node = cfg.beat_ms ? bpf_map_lookup_elem(&node_by_ip, &to) : NULL;
	__u8 mac[6];

	if (node && !node_straight(*node))
		return go_to(ctx, STEP_RELAY);
	__builtin_memcpy(mac, d->op.forwarder_mac, 6);
	return op_send(ctx, &to, mac, v);
}

// O6: what has passed the end of the path goes back to whom asked.
inlined int op_release(struct xdp_md *ctx, struct dft_packet *d)
{
	d->op.op = DFT_REPLY;
	d->op.flags &= DFT_STATEFUL | DFT_OF_PACKET;
	return op_back(ctx, d, REPLIED);
}

// What was asked for on another node's behalf is done: that node is told.
inlined int op_taken(struct xdp_md *ctx, struct dft_packet *d)
{
	d->op.op = DFT_TAKEN;
	d->op.flags = 0;
	return op_back(ctx, d, MOVE_TAKEN);
}

// The packet is asked about as if for the first time.
inlined int op_look_up_again(struct xdp_md *ctx, struct dft_packet *d)
{
	const struct chain_value *c = chain_find(bpf_ntohl(d->op.chain));

	if (!c)
		return finish(ctx, NO_VIEW);
	d->op.op = DFT_LOOKUP;
	d->op.flags &= DFT_OF_PACKET;
	return op_redirect(ctx, d, chain_whom(c, 1, 0), LOOKED_UP_AGAIN);
}

// Down the path, under the term.
inlined int op_replicate(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
			 __u32 to)
{
	d->op.flags |= DFT_REPLICATION;
	d->op.epoch = bpf_htonl(c->epoch);
	d->op.term = bpf_htonl(c->term);
	return op_send_to_node(ctx, c->node[to <= MAX_CHAIN_LENGTH ? to : 0], REPLICATED);
}

// A copy that the loader waits for has arrived.
inlined enum verdict outbox_confirm(__u32 serial)
{
	struct outbox_entry *e = outbox_at(serial);

	if (!e || *(volatile __u32 *)&e->serial != serial)
		return OLD_INCARNATION;
	__sync_val_compare_and_swap(&e->state, OUTBOX_SENT, OUTBOX_CONFIRMED);
	return COPY_CONFIRMED;
}
