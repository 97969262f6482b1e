/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Buckets that go from one chain to another, as this node sees it: who serves a bucket now, and
// what a later word about it changes (docs/dft.md M7, dft/move.h).
#pragma once

#include "modules/chain/chain.bpf.h"
#include "modules/session/session.bpf.h"
#include "shared/move.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct origin_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} origins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct move_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} moves SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CHAINS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct departure_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} departures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} transfer SEC(".maps");

#define MOVE_TRIES 16 // above how many others may learn of one bucket at the same time

inlined struct transfer transfer_now(void)
{
	__u32 zero = 0;
	const __u64 *word = bpf_map_lookup_elem(&transfer, &zero);

	return transfer_unpack(word ? *(const volatile __u64 *)word : 0);
}

// Where what is known of a VPC's keys in a bucket stands (M8).
inlined __u32 move_place(__u32 bucket, __u32 vni)
{
	const struct transfer t = transfer_now();

	return t.vni == vni && !t.over ? bucket + BUCKETS : bucket;
}

inlined __u32 move_bucket_of(__u32 place)
{
	return place < BUCKETS ? place : place - BUCKETS;
}

// M8: of a transfer that this node has not heard of it does not know whose keys are meant. Who says
// something of it says it again.
inlined int move_place_known(__u32 place, __u32 number)
{
	return place < BUCKETS || transfer_now().number == number;
}

// What this node knows of the last move of a place: by the view, or by what ops told it, whichever
// speaks of a later one.
inlined struct move move_of(__u32 place)
{
	const struct origin_value *origin = bpf_map_lookup_elem(&origins, &place);
	const struct move_value *value = bpf_map_lookup_elem(&moves, &place);
	const __u32 *now = bpf_map_lookup_elem(&buckets, &place);
	struct move m = {};

	if (!origin || !value || !now)
		return m;
	m = move_unpack(*(const volatile __u64 *)&value->word);
	if (origin->move > m.number)
		m = (struct move){.number = origin->move, .from = origin->from, .to = *now};
	if (!m.number)
		m.to = *now;
	// The view says that it is over; or not yet where the bucket goes to.
	if ((m.number == origin->move && !origin->from) || m.from == m.to)
		m.from = 0;
	return m;
}

// The chain + 1 that serves the bucket where this chain does not; 0: this one does.
inlined __u32 move_elsewhere(const struct move *m, __u32 chain)
{
	if (chain + 1 == m->from)
		return m->state & MOVE_FENCED ? m->to : 0;
	if (chain + 1 != m->to)
		return m->to;
	return !m->from || m->state & MOVE_OWNED ? 0 : m->from;
}

// Whether the chain, which serves the bucket, may lack what the old one has.
inlined int move_incomplete(const struct move *m, __u32 chain)
{
	return m->from && chain + 1 == m->to && !(m->state & MOVE_COMPLETE);
}

// Knowledge only grows: a later move is another matter, of the same one states add up. told: as
// move_pack(). Returns 0 where there is no such place.
verified int move_learn(__u32 place, __u64 told, __u64 owned)
{
	struct move_value *value = bpf_map_lookup_elem(&moves, &place);
	__u32 number = move_unpack(told).number, tries;
	__u64 was, found;

	if (!value)
		return 0;
	was = *(volatile __u64 *)&value->word;
	// Before the state that says so: who reads that finds this. Of an older move it means
	// nothing.
	if (owned > *(volatile __u64 *)&value->owned || move_unpack(was).number < number)
		*(volatile __u64 *)&value->owned = owned;
	LOOPED
	for (tries = 0; tries < MOVE_TRIES; tries++) {
		__u64 now = told;

		if (move_unpack(was).number > number)
			break;
		if (move_unpack(was).number == number)
			now = was | move_unpack(told).state;
		found = __sync_val_compare_and_swap(&value->word, was, now);
		if (found == was)
			break;
		was = found;
	}
	return 1;
}

inlined __u64 move_owned(__u32 place)
{
	const struct move_value *value = bpf_map_lookup_elem(&moves, &place);

	return value ? *(const volatile __u64 *)&value->owned : 0;
}

// Whether a tenant's packet goes along with what is said of its bucket.
inlined int move_along_is(const struct dft_packet *d)
{
	return d->geneve.protocol == bpf_htons(GENEVE_ETHERNET);
}

inlined void move_write(struct dft_bucket_wire *w, const struct move *m, __u64 owned)
{
	__builtin_memset(w, 0, sizeof(*w));
	w->move = bpf_htonl(m->number);
	w->from = bpf_htons(m->from);
	w->to = bpf_htons(m->to);
	w->state = m->state;
	w->owned_epoch = bpf_htonl(owned >> 32);
	w->owned_term = bpf_htonl((__u32)owned);
}

// Returns 0 where it says nothing that can be.
inlined int move_read(const struct dft_bucket_wire *w, struct move *m, __u64 *owned)
{
	*m = (struct move){
		.number = bpf_ntohl(w->move),
		.from = bpf_ntohs(w->from),
		.to = bpf_ntohs(w->to),
		.state = w->state & (MOVE_FENCED | MOVE_OWNED | MOVE_COMPLETE),
	};
	*owned = TERM_WORD((__u64)bpf_ntohl(w->owned_epoch), bpf_ntohl(w->owned_term));
	return m->number && m->from && m->to && m->from <= KNOWN_CHAINS && m->to <= KNOWN_CHAINS &&
	       m->from != m->to;
}

// Where an op that is about a bucket says what of it. NULL: it is cut off.
inlined struct dft_bucket_wire *move_wire(struct packet *p, struct dft_packet *d)
{
	struct dft_keyed *keyed;

	if (move_along_is(d))
		return (struct dft_bucket_wire *)&d->towards[0].decision;
	keyed = take(p, sizeof(*keyed));
	return keyed ? (struct dft_bucket_wire *)keyed->key : NULL;
}

// M8: an op of another cluster's node, which knows our chains by other numbers.
inlined void move_mirror(struct packet *p, struct dft_packet *d)
{
	struct dft_bucket_wire *wire;

	d->op.chain = bpf_htonl(chain_mirror(bpf_ntohl(d->op.chain)));
	if (d->op.op != DFT_YOURS && d->op.op != DFT_WHOLE)
		return;
	wire = move_wire(p, d);
	if (!wire)
		return;
	wire->from = bpf_htons(chain_mirror(bpf_ntohs(wire->from) - 1u) + 1);
	wire->to = bpf_htons(chain_mirror(bpf_ntohs(wire->to) - 1u) + 1);
}

// A place that is fenced here, of which its new chain has not heard: a packet has it fenced once
// more, and goes along, down this path and that. So it comes nowhere before what has to be known
// there. asks: what is done at the end.
inlined int move_along(struct xdp_md *ctx, struct dft_packet *d, const struct move *m, __u32 number,
		       __u32 place, __u8 asks)
{
	struct dft_bucket_wire *wire = (struct dft_bucket_wire *)&d->towards[0].decision;
	const struct chain_value *c = chain_find(number);

	if (!c)
		return finish(ctx, NO_VIEW);
	move_write(wire, m, 0);
	wire->asks = asks;
	d->op.op = DFT_FENCE;
	d->op.table = DFT_SESSIONS;
	d->op.bucket = bpf_htonl(place);
	d->op.flags &= DFT_OF_PACKET;
	return op_redirect(ctx, d, chain_whom(c, 0, 0), REDIRECTED);
}

// The other chain serves the bucket: what is asked goes there; where that has sent it back already,
// along with the fence.
inlined int move_over(struct xdp_md *ctx, struct dft_packet *d, const struct move *m, __u32 number,
		      __u32 elsewhere)
{
	int request = !(d->op.flags & DFT_REPLICATION), fenced = number + 1 == m->from;
	// What the new chain does not own it has not decided either: the old one has, whose
	// alias is reserved.
	int insert = d->op.op == DFT_INSERT && request && !fenced;
	int lookup = !insert && (d->op.op != DFT_UPDATE || !request);
	__u8 kept = DFT_OF_PACKET | (insert ? DFT_OBSERVED : 0);
	const struct chain_value *c;

	if (op_has_key(d))
		return finish(ctx, UPKEEP_WAITS);
	if (fenced && d->op.flags & DFT_BACK)
		return move_along(ctx, d, m, number,
				  move_place(bpf_ntohl(d->op.bucket), vni_of(d->geneve.vni)),
				  lookup ? DFT_LOOKUP : DFT_UPDATE);
	// What was seen in one chain says nothing in another.
	if (lookup)
		d->op.op = DFT_LOOKUP;
	c = chain_find(elsewhere);
	if (!c)
		return finish(ctx, NO_VIEW);
	d->op.flags = (d->op.flags & kept) | (fenced ? 0 : DFT_BACK);
	d->op.chain = bpf_htonl(elsewhere);
	return op_redirect(ctx, d, chain_whom(c, lookup, 0), REDIRECTED);
}

// Said where the packet that went along waits for an alias in the bucket: its own key is of
// another.
#define MOVE_WAITED (-1)

// The packet that went along has come to the end of the new path, which has the bucket.
inlined int move_arrived(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
			 __u32 bucket)
{
	struct dft_bucket_wire *wire = (struct dft_bucket_wire *)&d->towards[0].decision;
	int lookup = wire->asks != DFT_UPDATE, waited = wire->asks == DFT_INSERT;

	__builtin_memset(wire, 0, sizeof(*wire));
	if (waited)
		return MOVE_WAITED;
	d->op.bucket = bpf_htonl(bucket);
	d->op.op = lookup ? DFT_LOOKUP : DFT_UPDATE;
	d->op.flags &= DFT_OF_PACKET;
	// Mostly this is the tail.
	if (lookup && chain_tail(c) == cfg.node)
		return go_to(ctx, STEP_TABLE);
	return op_redirect(ctx, d, chain_whom(c, lookup, 0), LOOKED_UP_AGAIN);
}

// Sends an op to the head of a bucket's other chain.
inlined int move_send(struct xdp_md *ctx, struct dft_packet *d, __u8 op, __u32 chain,
		      enum verdict v)
{
	const struct chain_value *c = chain_find(chain);

	if (!c)
		return finish(ctx, NO_VIEW);
	d->op.op = op;
	d->op.flags &= DFT_OF_PACKET;
	d->op.chain = bpf_htonl(chain);
	return op_redirect(ctx, d, chain_whom(c, 0, 0), v);
}

// Nothing is known here, which means nothing: what did the old chain have? Its head must have
// learned of the term in which all of it was fenced.
inlined int move_ask(struct xdp_md *ctx, struct dft_packet *d, const struct move *m)
{
	__u64 owned = move_owned(move_place(bpf_ntohl(d->op.bucket), vni_of(d->geneve.vni)));

	stamp_write(&d->op.stamp, (struct dft_stamp){owned >> 32, (__u32)owned});
	return move_send(ctx, d, DFT_ASK, m->from - 1u, MOVE_ASKED);
}

// FENCE, YOURS, WHOLE: what a path learns of a bucket as a whole.
inlined int move_bucket(struct xdp_md *ctx, struct dft_packet *d, struct packet *p,
			const struct chain_value *c, __u32 place)
{
	__u32 where = bpf_ntohl(d->op.bucket), number = bpf_ntohl(d->op.chain);
	__u32 bucket = move_bucket_of(where);
	__u32 *floor = bpf_map_lookup_elem(&floors, &bucket);
	__u64 term = TERM_WORD(c->epoch, c->term), owned;
	struct dft_bucket_wire *wire = move_wire(p, d);
	struct move told;
	__u8 asks;

	if (!wire || !floor)
		return finish(ctx, DFT_MALFORMED);
	if (!move_read(wire, &told, &owned) ||
	    number + 1 != (d->op.op == DFT_FENCE ? told.from : told.to))
		return finish(ctx, DFT_MALFORMED);
	if (!move_place_known(where, told.number))
		return finish(ctx, BUCKET_MOVES);
	if (d->op.op == DFT_FENCE) {
		told.state = MOVE_FENCED;
		move_learn(where, move_pack(&told), 0);
		// From now on it does not rise at the head.
		if (!place)
			d->op.floor = bpf_htonl(session_floor(bucket));
	} else {
		told.state = d->op.op == DFT_WHOLE ? MOVE_OWNED | MOVE_COMPLETE : MOVE_OWNED;
		session_raise_floor(floor, bpf_ntohl(d->op.floor));
		move_learn(where, move_pack(&told), owned);
	}
	if (place + 1 < (__u32)c->live + c->learner)
		return op_replicate(ctx, d, c, place + 1);
	if (d->op.op != DFT_FENCE)
		return move_along_is(d) ? move_arrived(ctx, d, c, bucket) : op_taken(ctx, d);
	told.state = MOVE_OWNED;
	asks = wire->asks;
	move_write(wire, &told, term);
	wire->asks = asks;
	return move_send(ctx, d, DFT_YOURS, told.to - 1u, MOVE_TOLD);
}

// Whether an op's packet that was translated belongs to this very life, which uses that alias.
inlined int translated_for(const struct dft_packet *d, const struct dft_record *record)
{
	return !dft_stamp_compare(record->incarnation, stamp_read(&d->op.incarnation)) &&
	       translation_equal(&record->translation, &d->translation.translation);
}

// Whether this head of the old chain may say what it has: all of that was fenced in the term that
// is named, and who was replaced since may lack what came after.
inlined int move_answers(const struct move *m, __u32 number, const struct chain_value *c,
			 struct dft_stamp owned)
{
	return number + 1 == m->from && m->state & MOVE_FENCED &&
	       TERM_WORD(c->epoch, c->term) >= TERM_WORD((__u64)owned.floor, owned.counter);
}

// ASK, at the old chain: its head says what it has, to the new chain's.
inlined int move_answer(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
			const struct session_key *key, struct session_room *room)
{
	__u32 bucket = bpf_ntohl(d->op.bucket), number = bpf_ntohl(d->op.chain);
	struct dft_stamp owned = stamp_read(&d->op.stamp);
	struct dft_record *record = &room->draft.record;
	struct move m = move_of(move_place(bucket, vni_of(d->geneve.vni)));
	__u32 floor;

	if (!move_answers(&m, number, c, owned))
		return finish(ctx, BUCKET_MOVES);
	floor = session_floor(bucket);
	__builtin_memset(record, 0, sizeof(*record));
	if (session_peek(key, key_hash(key), record) < 0)
		return finish(ctx, TABLE_BUSY);
	// There it is this very life, or none.
	if (d->op.flags & DFT_TRANSLATED && !translated_for(d, record))
		return finish(ctx, NO_OWNER);
	record_write(d, record);
	d->op.floor = bpf_htonl(floor);
	return move_send(ctx, d, DFT_TOLD, m.to - 1u, MOVE_TOLD);
}
