/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Leases (docs/dft.md M3): what a voter grants, and what a replica makes of the voters' answers.
#pragma once

#include "modules/chain/chain.bpf.h"
#include "modules/chain/rights.bpf.h"
#include "shared/inlined.h"
#include "wire/beat.h"

#define BEAT_NS ((__u64)cfg.beat_ms * 1000000)

// Of a time that is not later than now, in what a heartbeat says.
inlined __u8 beat_age(__u64 then, __u64 now)
{
	__u64 age = then < now ? (now - then) * AGE_SHARE / BEAT_NS : 0;

	return then && age < AGE_LONG_AGO ? age : AGE_LONG_AGO;
}

// The most that it stands for.
inlined __u64 beat_age_ns(__u8 age)
{
	return (age + 1) * BEAT_NS / AGE_SHARE;
}

// Answers of two voters may come on two CPUs at once. The lock is not in the lease: a map with a
// lock in it cannot be mapped into memory.
struct lease_lock {
	struct bpf_spin_lock lock;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CHAINS);
	__type(key, __u32);
	__type(value, struct lease_lock);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} lease_locks SEC(".maps");

// As a voter, at the request of a node that acts in this term: whether it may go on. The grant is
// written before the promise is read again, with the full barrier of an exchange in between; who
// promises writes first and reads the grants after. So one of the two sees the other.
verified int lease_grant(__u32 number, __u64 term, __u32 node, __u64 now)
{
	volatile struct fence_value *fence = bpf_map_lookup_elem(&fences, &number);
	struct grant_value *grant = bpf_map_lookup_elem(&grants, &number);

	if (!fence || !grant || fence->promised > term)
		return 0;
	UNROLLED
	for (int i = 0; i < MAX_HOLDERS; i++) {
		if (fence->holder[i] != node + 1)
			continue;
		__sync_lock_test_and_set(&grant->granted_ns[i], now);
		return fence->promised <= term && fence->holder[i] == node + 1;
	}
	return 0;
}

// Whether this node, in this life, is in the path of the chain.
verified int lease_wanted(const struct chain_value *c)
{
	if (!c)
		return 0;
	UNROLLED
	for (int i = 0; i < MAX_CHAIN_LENGTH + 1; i++)
		if (i < c->live + c->learner && c->node[i] == cfg.node && c->boot[i] == cfg.boot)
			return 1;
	return 0;
}

// Sent at granted_ns and answered by a majority of the voters: the youngest such time. Among them
// this node itself, which answers itself now. 0: there is none.
inlined __u64 lease_majority(const struct chain_value *c, const struct lease_value *l, __u64 now)
{
	__u64 sent[MAX_VOTERS], best = 0, older, count;

	UNROLLED
	for (__u32 i = 0; i < MAX_VOTERS; i++) {
		sent[i] = l->granted_ns[i];
		if (c->voter[i].node == cfg.node && c->voter[i].boot == cfg.boot)
			sent[i] = now;
		if (i >= c->voters)
			sent[i] = 0;
	}
	UNROLLED
	for (__u32 i = 0; i < MAX_VOTERS; i++) {
		count = 0;
		UNROLLED
		for (__u32 j = 0; j < MAX_VOTERS; j++) {
			// Twenty branches would be a million ways for the verifier.
			older = sent[j] - sent[i];
			asm volatile("" : "+r"(older));
			count += 1 - (older >> 63);
		}
		if (count > c->voters / 2 && sent[i] > best)
			best = sent[i];
	}
	return best;
}

// The voter answered the heartbeat that was sent at sent_ns with a grant for this term.
verified int lease_answered(__u32 number, __u64 term, __u64 voter, __u64 sent_ns, __u64 now)
{
	const struct chain_value *c = chain_find(number);
	struct lease_value *l = bpf_map_lookup_elem(&leases, &number);
	struct lease_lock *lock = bpf_map_lookup_elem(&lease_locks, &number);
	int place = -1;
	__u64 best;

	if (!c || !l || !lock || TERM_WORD(c->epoch, c->term) != term || !lease_wanted(c))
		return 0;
	UNROLLED
	for (__u32 i = 0; i < MAX_VOTERS; i++)
		if (i < c->voters && TERM_WORD(c->voter[i].node, c->voter[i].boot) == voter)
			place = i;
	if (place < 0)
		return 0;
	bpf_spin_lock(&lock->lock);
	if (l->term != term) {
		// Who reads without the lock reads the term first: it must never see the new one
		// with the end of the old.
		__sync_lock_test_and_set(&l->end_ns, 0);
		UNROLLED
		for (__u32 i = 0; i < MAX_VOTERS; i++)
			l->granted_ns[i] = 0;
		__sync_lock_test_and_set(&l->term, term);
	}
	UNROLLED
	for (__u32 i = 0; i < MAX_VOTERS; i++)
		if ((int)i == place && l->granted_ns[i] < sent_ns)
			l->granted_ns[i] = sent_ns;
	best = lease_majority(c, l, now);
	if (best)
		*(volatile __u64 *)&l->end_ns = best + BEAT_NS * LEASE_HALF_BEATS / 2;
	bpf_spin_unlock(&lock->lock);
	return 0;
}
