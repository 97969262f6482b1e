/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Bouncer: finds the host of the destination endpoint, and of the source for the way back.
#include "datapath/evaluation.bpf.h"
#include "modules/port/endpoint.bpf.h"

SEC("xdp")
int bouncer(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct endpoint_value *from, *to;

	if (!e)
		return finish(ctx, BUG);
	from = endpoint_find(e->vni, &e->source);
	if (!from) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SOURCE);
	}
	// An ICMP error may come from a router on the way, not from the endpoint it speaks for.
	// What a liar sends must not decide about the packets of whom he claims to be.
	if (!e->icmp_error && !mac_equal(from->mac, e->frame_from_mac)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, SPOOFED);
	}
	decide_for(&e->back, from, e->vni);
	__builtin_memcpy(e->source_group, from->group, sizeof(e->source_group));

	to = endpoint_find(e->vni, &e->destination);
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
