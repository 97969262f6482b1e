/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What a session hit cannot be cheaper than: the gateway itself, but what it knows about a session
// is read from a plain array at the place that the key's hash names, one cache line and no
// questions asked. Every line of it says the same. cfg.cache_pages 0: always from the first line.
#include "modules/session/session.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, union flat_half);
} lines SEC(".maps");

inlined int floor_find(const struct session_key *key __attribute__((unused)), __u64 hash,
		       __u32 direction __attribute__((unused)), struct cached *out)
{
	__u32 pages = cfg.cache_pages, w;
	__u32 line = (hash >> 32) * pages * (FLAT_PAGE_BYTES / sizeof(union flat_half)) >> 32;
	union flat_half *from = bpf_map_lookup_elem(&lines, &line);
	union flat_half half;

	if (!from)
		return 0;
#pragma unroll
	for (w = 0; w < 8; w++)
		half.word[w] = flat_load(&from->word[w]);
	flat_settle();
	flat_decision_of(&half, &out->decision);
	out->asked_ms = half.asked;
	out->policy = half.policy;
	out->stateful = half.what >> FLAT_LIFE_SHIFT & FLAT_STATEFUL;
	out->told_ms = NULL;
	out->told = &from->told;
	return 1;
}

#define cache_find floor_find
#include "datapath/gateway.bpf.c"

// Everything is read that the gateway reads of a packet, and nothing is done.
SEC("xdp")
int parse(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct flow f = {};

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	p.outer.ip = take(&p, sizeof(*p.outer.ip));
	p.udp = take(&p, sizeof(*p.udp));
	if (!p.outer.eth || !p.outer.ip || !p.udp || p.outer.ip->ihl != 5 ||
	    p.udp->dest != overlay_port(cfg.overlay))
		return XDP_ABORTED;
	if (overlay_open(&p, cfg.overlay) || read_inner_ipv4(&p) || read_flow(&p, &f))
		return XDP_ABORTED;
	return f.key.protocol == IPPROTO_TCP ? XDP_DROP : XDP_ABORTED;
}
