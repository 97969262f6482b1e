/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Fragments of tenants' IPv4 packets at a forwarder: the first one is a packet of its session,
// whose ports are remembered for the others, and these wait where they come before that is known.
#pragma once

#include "modules/session/session.bpf.h"
#include "shared/fragment.h"
#include "shared/rate.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FRAGMENTED);
	__type(key, struct fragment_key);
	__type(value, struct fragment_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct waiting_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} waiting SEC(".maps");

// What of each VPC has come there. Who is forgotten may have its share twice.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_WAITING_VPCS);
	__type(key, __u32);
	__type(value, struct bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} waiting_vpcs SEC(".maps");

inlined struct fragment_key fragment_key_of(const struct packet *p)
{
	const struct iphdr *ip = p->inner.ip;
	struct fragment_key key = {
		.source = ip->saddr,
		.destination = ip->daddr,
		.id = ip->id,
		.protocol = ip->protocol,
	};

	vni_put(key.vni, p->vni);
	return key;
}

// Of a first fragment, whose flow was read.
called void fragment_remember(const struct packet *p, const struct flow *f)
{
	const struct fragment_key key = fragment_key_of(p);
	const struct fragment_value value = {
		.source_port = f->source_port,
		.destination_port = f->destination_port,
		.seen_ms = tick_ms(),
		.no_echo = f->no_echo,
	};

	bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
}

// The flow of a later one, if its first one has been here. *f is what was read of it.
inlined int fragment_recall(const struct packet *p, struct flow *f)
{
	const struct fragment_key key = fragment_key_of(p);
	const struct fragment_value *first = bpf_map_lookup_elem(&fragments, &key);

	if (!first || tick_ms() - first->seen_ms >= FRAGMENTED_MS)
		return 0;
	f->source_port = first->source_port;
	f->destination_port = first->destination_port;
	f->no_echo = first->no_echo;
	f->portless = 0;
	make_key(f, (struct ends){key.source, key.destination}, p->vni, key.protocol);
	return 1;
}

static const struct bucket waiting_vpc_new; // not on the stack, which is short

// Whether a frame of so many bytes may come to those who wait.
inlined int waiting_allowed(struct waiting_value *all, __u32 vni, __u32 length)
{
	const __u32 bytes = length + WAITING_OVERHEAD;
	const struct rate rate = WAITING_RATE_OF(1), share = WAITING_RATE_OF(WAITING_SHARE);
	struct bucket *own = bpf_map_lookup_elem(&waiting_vpcs, &vni);
	__u64 now = bpf_ktime_get_ns();

	if (!own) {
		bpf_map_update_elem(&waiting_vpcs, &vni, &waiting_vpc_new, BPF_NOEXIST);
		own = bpf_map_lookup_elem(&waiting_vpcs, &vni);
	}
	return (!own || rate_allows(&share, own, now, 1, bytes)) &&
	       rate_allows(&rate, &all->bucket, now, 1, bytes);
}

// A fragment comes to those who wait, or, where it has waited, goes on to. When it came, its outer
// header says, in a field that has no other use in a packet that is in one piece (RFC 6864).
inlined int fragment_wait(struct xdp_md *ctx, struct packet *p, const int waited)
{
	__u16 now = tick_ms();
	struct waiting_value *all;
	__u32 only = 0;

	all = bpf_map_lookup_elem(&waiting, &only);
	if (!all || !all->ifindex)
		return finish(ctx, NO_FIRST_FRAGMENT);
	if (waited) {
		if ((__u16)(now - bpf_ntohs(p->outer.ip->id)) >= WAITING_MS)
			return finish(ctx, NO_FIRST_FRAGMENT);
		// It is counted already.
		return (int)bpf_redirect(all->ifindex, 0);
	}
	if (!waiting_allowed(all, p->vni, p->end - p->data))
		return finish(ctx, FRAGMENT_RATE);
	p->outer.ip->id = bpf_htons(now);
	bpf_redirect(all->ifindex, 0);
	return finish(ctx, FRAGMENT_WAITS);
}
