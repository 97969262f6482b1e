/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What one VPC may cost the others: how much it may send, how often its packets may ask the flow
// table, and how many sessions it may have there.
#pragma once

#include "modules/entrance/entrance.bpf.h"
#include "modules/session/session.bpf.h"
#include "modules/vpc/vpc.bpf.h"
#include "shared/tenant.h"

// The kernel forgets who asks the least: at worst that gives one more burst.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_ASKING);
	__type(key, __u32);
	__type(value, struct asking_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} asking SEC(".maps");

// Why a packet asks the flow table.
enum asks {
	ASKS_UNKNOWN, // nothing is known of its session, or it may begin another one
	ASKS_CHANGE,  // of a known session's state
	ASKS_REFRESH, // of what is known, because it is too old; never refused
};

#define ASK_TRIES 8 // of taking a packet's share while other CPUs take theirs

inlined struct asking_value *asking_of(__u32 vni, __u32 entrance)
{
	__u32 key = vni << 8 | (entrance & 0xFF);
	struct asking_value *a = bpf_map_lookup_elem(&asking, &key);

	if (a)
		return a;
	bpf_map_update_elem(&asking, &key, &(struct asking_value){}, BPF_NOEXIST);
	return bpf_map_lookup_elem(&asking, &key);
}

// What a packet asks for of whose session the forwarder knows something. A denial is nothing to
// refresh: there may be any number of them, and each ends in a second.
inlined enum asks asks_known(const struct cached *c, const struct flow *f)
{
	if (c->decision.action != DECIDE_FORWARD)
		return ASKS_UNKNOWN;
	if (!c->stateful || f->icmp_error)
		return ASKS_REFRESH;
	if ((f->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return ASKS_UNKNOWN;
	return f->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) ? ASKS_CHANGE : ASKS_REFRESH;
}

// Whether a packet may ask. A token bucket in one word (GCRA, ITU-T I.371): each packet is paid for
// by ask_ns of time, and until_ns may be ahead of the clock by the burst. One compare-and-swap, so
// that CPUs need no lock. The VPC's share is that of one entrance: hosts spread flows evenly over
// them, and who takes over an entrance takes over its share.
called int ask_allowed(const struct vpc_value *vpc, __u32 vni, __u32 entrance, enum asks why)
{
	__u64 ask = vpc->ask_ns, now = bpf_ktime_get_coarse_ns(), until, from;
	__u64 burst = ASK_BURST_MS * 1000000ull;
	struct asking_value *a;

	if (!ask)
		return 1;
	if (burst < ask * ASK_BURST)
		burst = ask * ASK_BURST;
	if (why == ASKS_UNKNOWN)
		burst -= burst / ASK_RESERVE;
	a = asking_of(vni, entrance);
	if (!a)
		return 1;
	for (int i = 0; i < ASK_TRIES; i++) {
		until = *(volatile __u64 *)&a->until_ns;
		from = until > now ? until : now;
		if (from - now > burst)
			break;
		if (__sync_val_compare_and_swap(&a->until_ns, until, from + ask) == until)
			return 1;
	}
	if (why == ASKS_REFRESH)
		return 1;
	__sync_fetch_and_add(&a->refused, 1);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VPCS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct vpc_bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} vpc_buckets SEC(".maps");

struct entrances_count {
	__u64 all, own;
};

static long entrance_count(__u32 i, struct entrances_count *c)
{
	const struct entrance_value *e = entrance_at(i);

	if (e && e->live) {
		c->all++;
		c->own += e->owner == cfg.node;
	}
	return 0;
}

// Hosts spread flows evenly over entrances: of a VPC's rate a forwarder has as much as it has of
// them. So the shares of all together are the rate, whoever is alive.
called void vpc_share(struct vpc_bucket *b, const struct vpc_value *vpc, __u64 now)
{
	struct entrances_count c = {};

	bpf_loop(MAX_ENTRANCES, entrance_count, &c, 0);
	// What still comes to who has just given its last entrance away.
	if (!c.own)
		c.own = 1;
	b->share.per_byte = vpc->rate.per_byte * c.all / c.own;
	b->share.per_packet = vpc->rate.per_packet * c.all / c.own;
	b->share.burst = vpc->rate.burst;
	b->share_until_ns = now + SHARE_MS * 1000000ull;
}

static const struct vpc_bucket vpc_bucket_new; // not on the stack, which is short

// Whether the VPC, which has a rate, may send or get a frame of so many bytes.
called int vpc_allowed(const struct vpc_value *vpc, __u32 vni, __u32 bytes)
{
	struct vpc_bucket *b = bpf_map_lookup_elem(&vpc_buckets, &vni);
	__u64 now = bpf_ktime_get_ns();

	if (!b) {
		bpf_map_update_elem(&vpc_buckets, &vni, &vpc_bucket_new, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&vpc_buckets, &vni);
	}
	if (!b)
		return 1;
	if (now >= b->share_until_ns)
		vpc_share(b, vpc, now);
	if (rate_allows(&b->share, &b->bucket, now, 1, bytes))
		return 1;
	__sync_fetch_and_add(&b->refused, 1);
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_USAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct usage_key);
	__type(value, struct usage_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} usage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __s64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} chain_count SEC(".maps");

// What a chain may have of a VPC's quota. Sessions are spread over chains by chance: of n sessions
// each of c chains has n/c on average, and as good as never four deviations, 4 sqrt(n/c), more. A
// sixteenth and 64 is at least that for every n/c; so nobody is refused below his quota.
inlined __u64 quota_share(__u32 quota, __u32 chains)
{
	__u32 even;

	if (chains <= 1)
		return quota;
	even = (quota + chains - 1) / chains;
	return (__u64)even + even / 16 + 64;
}

inlined struct usage_value *usage_of(const struct session_key *key, __u32 chain)
{
	struct usage_key k = {.vni = vni_of(key->vni), .chain = chain};
	struct usage_value *u = bpf_map_lookup_elem(&usage, &k);

	if (u)
		return u;
	bpf_map_update_elem(&usage, &k, &(struct usage_value){}, BPF_NOEXIST);
	return bpf_map_lookup_elem(&usage, &k);
}

// At the head: why a new session of this key must not begin, or GO_ON. What other CPUs begin at
// this moment is not seen: the quota may be passed by one session for each CPU.
verified int quota_refuses(const struct session_key *key, __u32 chain)
{
	__u32 only = 0, vni = key ? vni_of(key->vni) : 0;
	const struct vpc_value *vpc = bpf_map_lookup_elem(&vpcs, &vni);
	const __u32 *chains = bpf_map_lookup_elem(&chain_count, &only);
	const __s64 *all = bpf_map_lookup_elem(&records, &only);
	const struct usage_value *u;
	__s64 share;

	if (all && *all >= cfg.sessions - cfg.sessions / HEAD_RESERVE)
		return TABLE_FULL;
	if (!key || !vpc || !vpc->sessions || !chains)
		return GO_ON;
	u = usage_of(key, chain);
	share = quota_share(vpc->sessions, *chains);
	if (u && u->sessions >= share)
		return SESSION_QUOTA;
	if (u && key->protocol == IPPROTO_TCP && u->half_open >= share / HALF_OPEN_SHARE)
		return HALF_OPEN;
	return GO_ON;
}

// Counts what was refused for such a reason. Returns it.
inlined enum verdict quota_refused(const struct session_key *key, __u32 chain, enum verdict why)
{
	struct usage_value *u = why == TABLE_FULL ? NULL : usage_of(key, chain);

	if (u)
		__sync_fetch_and_add(why == HALF_OPEN ? &u->refused_half_open : &u->refused, 1);
	return why;
}

inlined int sort_is_live(__u32 sort)
{
	return sort >> 16 == DFT_LIVE;
}

inlined int sort_is_half_open(__u32 sort, __u8 protocol)
{
	return protocol == IPPROTO_TCP && sort_is_live(sort) && !(sort & DFT_ALIAS) &&
	       !dft_state_answered((__u16)sort);
}

// Counts what a change made of a key's record, at any replica: session_sort() before and after.
// Returns 0 where there is nobody to count it for.
verified int usage_change(const struct session_key *key, __u32 chain, __u32 before, __u32 after)
{
	int came = sort_is_live(after) - sort_is_live(before);
	int more = !!(after >> 16) - !!(before >> 16);
	struct usage_value *u;
	__u32 only = 0;
	__s64 *all;
	int opened;

	if (!key)
		return 0;
	opened = sort_is_half_open(after, key->protocol) - sort_is_half_open(before, key->protocol);
	if (more && (all = bpf_map_lookup_elem(&records, &only)))
		__sync_fetch_and_add(all, more);
	if (!came && !opened)
		return 1;
	u = usage_of(key, chain);
	if (!u)
		return 0;
	if (came)
		__sync_fetch_and_add(&u->sessions, came);
	if (opened)
		__sync_fetch_and_add(&u->half_open, opened);
	return 1;
}
