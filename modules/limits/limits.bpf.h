/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What one VPC may cost the others: how often its packets may ask the flow table.
#pragma once

#include "modules/session/session.bpf.h"
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
