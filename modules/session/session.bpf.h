/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Sessions: the flow table of a node that holds one, and the cache of a forwarder. All access to
// either goes through here, so that what implements them can change.
#pragma once

#include "datapath/packet.bpf.h"
#include "dft/core.h"
#include "shared/limits.h"
#include "shared/session.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SESSIONS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct session_key);
	__type(value, struct session_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sessions SEC(".maps");

// The floor of each bucket (docs/dft.md): never falls.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUCKETS);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} floors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CACHED);
	__type(key, struct session_key);
	__type(value, struct cache_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} cache SEC(".maps");

// What an op does to a key's record.
enum session_step {
	SESSION_INSERT, // at the head
	SESSION_UPDATE, // at the head
	SESSION_COPY,	// at the others
};

struct session_change {
	enum session_step step;
	__u32 floor;
	struct dft_stamp seen;	  // insert: what the evaluator observed; update: the incarnation
	struct dft_record record; // in: what the op says; out: what goes on
};

// A value as it is built before it is put into the map: the lock's place is 0.
struct session_draft {
	__u32 lock;
	__u32 used_s;
	struct dft_record record;
};
_Static_assert(sizeof(struct session_draft) == sizeof(struct session_value), "same layout");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct session_draft);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} drafts SEC(".maps");

inlined __u32 session_floor(__u32 bucket)
{
	const __u32 *floor = bpf_map_lookup_elem(&floors, &bucket);

	return floor ? *floor : 0;
}

inlined void session_raise_floor(__u32 bucket, __u32 to)
{
	__u32 *floor = bpf_map_lookup_elem(&floors, &bucket);

	if (floor && *floor < to)
		*floor = to;
}

inlined enum dft_outcome session_step(struct dft_record *mine, struct session_change *c)
{
	switch (c->step) {
	case SESSION_INSERT:
		return dft_insert_at_head(mine, &c->floor, c->seen, &c->record);
	case SESSION_UPDATE:
		return dft_update_at_head(mine, c->floor, c->seen, c->record.state, &c->record);
	default:
		return dft_copy(mine, c->floor, &c->record);
	}
}

// Copies a record out of the table. Returns 0 where there is none.
inlined int session_read(const struct session_key *key, struct dft_record *out)
{
	struct session_value *s = bpf_map_lookup_elem(&sessions, key);

	if (!s)
		return 0;
	bpf_spin_lock(&s->lock);
	*out = s->record;
	bpf_spin_unlock(&s->lock);
	s->used_s = clock_ms() / 1000;
	return 1;
}

// Carries a change out, in one piece, whatever other CPUs do to the key. Returns GO_ON and
// *outcome; TABLE_FULL: there was no record, and no room for one.
inlined enum verdict session_change(const struct session_key *key, struct session_change *c,
				    enum dft_outcome *outcome)
{
	struct session_draft *draft;
	struct session_value *s;
	__u32 zero = 0;
	long err;

	s = bpf_map_lookup_elem(&sessions, key);
	if (!s) {
		draft = bpf_map_lookup_elem(&drafts, &zero);
		if (!draft)
			return BUG;
		__builtin_memset(draft, 0, sizeof(*draft));
		draft->used_s = clock_ms() / 1000;
		*outcome = session_step(&draft->record, c);
		if (*outcome != DFT_STORED)
			return GO_ON;
		err = bpf_map_update_elem(&sessions, key, draft, BPF_NOEXIST);
		if (!err)
			return GO_ON;
		// Another CPU put the key meanwhile: its record is what counts.
		s = bpf_map_lookup_elem(&sessions, key);
		if (!s)
			return TABLE_FULL;
	}
	bpf_spin_lock(&s->lock);
	*outcome = session_step(&s->record, c);
	bpf_spin_unlock(&s->lock);
	s->used_s = clock_ms() / 1000;
	return GO_ON;
}

// Whether a cached decision for one direction may still be used (O10).
inlined int cache_fresh(const struct cache_value *c, const struct decision *d, __u32 now,
			__u32 policy)
{
	__u32 life = d->action == DECIDE_FORWARD ? REFRESH_MS : DENIAL_MS;

	return d->action != DECIDE_NOTHING && now - c->asked_ms < life &&
	       (c->stateful || c->record.policy >= policy);
}
