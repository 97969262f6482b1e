/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Bouncer: finds the host of the destination endpoint, or of the router that the packet goes to.
#include "datapath/evaluation.bpf.h"
#include "modules/port/endpoint.bpf.h"

SEC("xdp")
int bouncer(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct endpoint_value *to;

	if (!e)
		return finish(ctx, BUG);
	to = endpoint_find(e->vni, e->routed ? &e->next_hop : &e->destination);
	if (!to)
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_ENDPOINT);
	decide_for(&e->forth, to, e->vni);
	__builtin_memcpy(e->destination_group, to->group, sizeof(e->destination_group));

	e->forth.action = DECIDE_FORWARD;
	e->back.action = DECIDE_FORWARD;
	e->forth.flags |= DECISION_DIRECT;
	e->back.flags |= DECISION_DIRECT;
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
