/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Peering: what goes to a subnet of a VPC that this one is peered with is that VPC's from here on,
// as it is. Runs first, so that all functions after it see the destination's VPC: its load
// balancers, routes, network ACLs and security groups.
#include "datapath/evaluation.bpf.h"
#include "modules/loadbalancer/loadbalancer.bpf.h"
#include "modules/route/route.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "shared/tenant.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_PEER_SUBNETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct subnet_key);
	__type(value, struct peer_subnet_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} peer_subnets SEC(".maps");

// The peer's subnet that a packet goes to; NULL: what the VPC itself has is as near, or nearer.
inlined const struct peer_subnet_value *peer_of(__u32 vni, const struct in6_addr *address)
{
	struct subnet_key key = {
		.prefix_bits = 32 + 128,
		.vni = bpf_htonl(vni),
		.address = *address,
	};
	const struct peer_subnet_value *peer = bpf_map_lookup_elem(&peer_subnets, &key);
	const struct subnet_value *own;
	const struct route_value *route;

	if (!peer)
		return NULL;
	own = subnet_of(vni, address);
	if (own && own->bits >= peer->bits)
		return NULL;
	route = route_of(vni, address, NULL);
	return route && route->bits >= peer->bits ? NULL : peer;
}

// Whether a session's translation is what this function and a load balancer of the peer's make of
// its packets.
inlined int stands(const struct evaluation *e, const struct peer_subnet_value *peer)
{
	const struct translation *was = &e->translation;

	if (!was->flags || vni_of(was->vni) != peer->vni)
		return 0;
	return address_equal(&was->destination, &e->destination) ||
	       load_balancer_find(peer->vni, &e->destination);
}

SEC("xdp")
int peering(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct peer_subnet_value *peer;

	if (!e)
		return finish(ctx, BUG);
	peer = e->translated ? NULL : peer_of(e->vni, &e->destination);
	if (!peer)
		return function_next(ctx, e);
	// Only its VNI would tell an alias from its session, and what translates knows IPv4 alone.
	if (!address_is_v4(&e->destination))
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, PEER_IPV6);
	// Who is behind a router is no peer: nothing would lead back to him, and he might have an
	// address of the peer's.
	if (e->from_router && !subnet_of(e->vni, &e->source)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, PEER_SOURCE);
	}
	if (e->again && !stands(e, peer))
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	if (!e->again && !evaluation_begins(e)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	}
	evaluation_enter(e, peer->vni);
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
