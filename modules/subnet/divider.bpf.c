/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Divider: routes between the subnets of a VPC, from those of one VPC to those of another, as
// functions before it have translated, by the next hop that one of them has said, and by a VPC's
// routes, the longest prefix first. Sets, in both directions, whether the packet is routed and
// which gateway's MAC it then comes from, and who gets it in its destination's place. The service
// chains of both subnets are the later ones.
#include "datapath/evaluation.bpf.h"
#include "modules/route/route.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "shared/key.h"

// What a router sent for others. Where a route leads back to it the way is the same both ways, and
// follows from the VPC's routes alone; else it has to be remembered, or, in the middle of what is
// not known, is good for this packet only. from: the router's subnet.
inlined void from_router(struct evaluation *e, const struct subnet_value *from)
{
	const struct in6_addr origin = evaluation_origin(e);
	const __u32 vni = vni_of(e->key.vni);
	const struct route_value *back;

	e->back.flags |= DECISION_ROUTED;
	__builtin_memcpy(e->back.from_mac, from->gateway_mac, 6);
	back = route_of(vni, &origin, subnet_of(vni, &origin));
	if (route_leads_to(vni, back, &e->router))
		return;
	if (evaluation_begins(e))
		e->stateful = 1;
	else
		e->undecidable = 1;
}

// To e->next_hop; from: the subnet that the packet comes from.
inlined int to_hop(struct xdp_md *ctx, struct evaluation *e, const struct subnet_value *from)
{
	const struct subnet_value *hop = subnet_of(e->vni, &e->next_hop);

	if (!hop || !subnet_has_gateway(hop))
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ROUTE);
	e->routed = 1;
	e->later[LATER_TAKER] = hop->chain;
	e->forth.flags |= DECISION_ROUTED;
	__builtin_memcpy(e->forth.from_mac, hop->gateway_mac, 6);
	if (hop->subnet != from->subnet) {
		e->back.flags |= DECISION_ROUTED;
		__builtin_memcpy(e->back.from_mac, from->gateway_mac, 6);
	}
	return function_next(ctx, e);
}

// To a router of the VPC; from: the subnet that the packet comes from.
inlined int by_route(struct xdp_md *ctx, struct evaluation *e, const struct route_value *route,
		     const struct subnet_value *from)
{
	const struct in6_addr origin = evaluation_origin(e);

	if (route->kind == ROUTE_BLACKHOLE)
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, BLACKHOLE);
	if (!route_hop(e->vni, route, (__u32)key_hash(&e->key), &e->next_hop))
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ROUTE);
	// Who sent it would get it back, or those would who share the route with him. (Of another
	// VPC the same address is another's.)
	if (e->vni == vni_of(e->key.vni) &&
	    route_leads_to(e->vni, route, e->from_router ? &e->router : &origin)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ROUTE);
	}
	return to_hop(ctx, e, from);
}

SEC("xdp")
int divider(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct subnet_value *from, *to;
	const struct route_value *route;
	struct in6_addr origin;

	if (!e)
		return finish(ctx, BUG);
	origin = evaluation_origin(e);
	from = subnet_of(vni_of(e->key.vni), e->from_router ? &e->router : &origin);
	to = subnet_of(e->vni, &e->destination);

	if (!from) {
		// A VPC without subnets is a single segment: nothing to route. (The two are not
		// tested in one expression: compilers merge that into arithmetic on pointers.)
		if (!to)
			return function_next(ctx, e);
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ROUTE);
	}
	if (e->from_router)
		from_router(e, from);
	e->later[LATER_SENDER] = from->chain;
	if (e->routed)
		return to_hop(ctx, e, from);
	route = route_of(e->vni, &e->destination, to);
	if (route)
		return by_route(ctx, e, route, from);
	if (!to)
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ROUTE);
	e->later[LATER_TAKER] = to->chain;
	if (from->subnet == to->subnet)
		return function_next(ctx, e);

	e->forth.flags |= DECISION_ROUTED;
	e->back.flags |= DECISION_ROUTED;
	__builtin_memcpy(e->forth.from_mac, to->gateway_mac, 6);
	__builtin_memcpy(e->back.from_mac, from->gateway_mac, 6);
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
