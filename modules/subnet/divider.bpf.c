/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Divider: routes between the subnets of a VPC, and from those of one VPC to those of another, as
// functions before it have translated. Sets, in both directions, whether the packet crosses subnets
// and which gateway's MAC it then comes from.
#include "datapath/evaluation.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "shared/key.h"

SEC("xdp")
int divider(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct subnet_value *from, *to;
	struct in6_addr origin;

	if (!e)
		return finish(ctx, BUG);
	origin = evaluation_origin(e);
	from = subnet_of(vni_of(e->key.vni), &origin);
	to = subnet_of(e->vni, &e->destination);

	if (!from) {
		// A VPC without subnets is a single segment: nothing to route. (The two are not
		// tested in one expression: compilers merge that into arithmetic on pointers.)
		if (!to)
			return function_next(ctx, e);
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ROUTE);
	}
	if (!to)
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ROUTE);
	if (from->subnet == to->subnet)
		return function_next(ctx, e);

	e->forth.flags |= DECISION_ROUTED;
	e->back.flags |= DECISION_ROUTED;
	__builtin_memcpy(e->forth.from_mac, to->gateway_mac, 6);
	__builtin_memcpy(e->back.from_mac, from->gateway_mac, 6);
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
