/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Buckets that go from one chain to another, as this node sees it: who serves a bucket now, and
// what a later word about it changes (docs/dft.md M7, dft/move.h).
#pragma once

#include "modules/chain/chain.bpf.h"
#include "shared/move.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUCKETS);
	__type(key, __u32);
	__type(value, struct origin_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} origins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUCKETS);
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
	__type(value, struct handover_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} handovers SEC(".maps");

#define MOVE_TRIES 16 // above how many others may learn of one bucket at the same time

// What this node knows of a bucket's last move: by the view, or by what ops told it, whichever
// speaks of a later one.
inlined struct move move_of(__u32 bucket)
{
	const struct origin_value *origin = bpf_map_lookup_elem(&origins, &bucket);
	const struct move_value *value = bpf_map_lookup_elem(&moves, &bucket);
	const __u32 *now = bpf_map_lookup_elem(&buckets, &bucket);
	struct move m = {};

	if (!origin || !value || !now)
		return m;
	m = move_unpack(*(const volatile __u64 *)&value->word);
	if (origin->move > m.number)
		m = (struct move){.number = origin->move, .from = origin->from, .to = *now};
	if (!m.number)
		m.to = *now;
	// The view says that it is over.
	if (m.number == origin->move && !origin->from)
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

// Knowledge only grows: a later move is another matter, of the same one states add up.
inlined void move_learn(__u32 bucket, const struct move *told, __u64 owned)
{
	struct move_value *value = bpf_map_lookup_elem(&moves, &bucket);
	__u64 was, found;
	struct move m;
	__u32 tries;

	if (!value)
		return;
	was = *(volatile __u64 *)&value->word;
	// Before the state that says so: who reads that finds this. Of an older move it means nothing.
	if (owned > *(volatile __u64 *)&value->owned || move_unpack(was).number < told->number)
		*(volatile __u64 *)&value->owned = owned;
	LOOPED
	for (tries = 0; tries < MOVE_TRIES; tries++) {
		m = move_unpack(was);
		if (m.number > told->number)
			return;
		if (m.number == told->number)
			m.state |= told->state;
		else
			m = *told;
		found = __sync_val_compare_and_swap(&value->word, was, move_pack(&m));
		if (found == was)
			return;
		was = found;
	}
}

inlined __u64 move_owned(__u32 bucket)
{
	const struct move_value *value = bpf_map_lookup_elem(&moves, &bucket);

	return value ? *(const volatile __u64 *)&value->owned : 0;
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
	return m->number && m->from && m->to && m->from <= MAX_CHAINS && m->to <= MAX_CHAINS &&
	       m->from != m->to;
}
