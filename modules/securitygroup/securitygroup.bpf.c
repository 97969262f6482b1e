/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Security groups: who may begin a connection. Runs on first packets only, so replies need no rule:
// they match the session. A port accepts what some ingress rule of any of its groups allows, and
// sends what some egress rule allows; where none of its groups has an egress rule it may send
// anything.
#include "datapath/evaluation.bpf.h"
#include "modules/rules/rules.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SECURITY_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct rule_set);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} security_groups SEC(".maps");

// Any of the places may be the one that is taken.
inlined int has_group(const __u32 group[MAX_PORT_GROUPS])
{
	__u32 any = 0;

#pragma unroll
	for (int i = 0; i < MAX_PORT_GROUPS; i++)
		any |= group[i];
	return any != 0;
}

#define GROUP_ALLOWS 1
#define GROUP_FILTERS_EGRESS 2 // or it is named, but not here yet: then it allows nothing

verified int group_says(const struct evaluation *e, __u32 number, __u32 direction)
{
	struct rule_answer answer = {};

	if (!e || !rules_ask(&security_groups, number, number, e, direction, &answer))
		return GROUP_FILTERS_EGRESS;
	return (answer.outcome ? GROUP_ALLOWS : 0) |
	       (answer.traits & RULES_EGRESS ? GROUP_FILTERS_EGRESS : 0);
}

// Whether the groups of one port let the connection begin in that direction.
inlined int groups_allow(const struct evaluation *e, const __u32 group[MAX_PORT_GROUPS],
			 __u32 direction)
{
	int any = 0, says = 0;

	for (int i = 0; i < MAX_PORT_GROUPS; i++) {
		if (!group[i])
			continue;
		any = 1;
		says |= group_says(e, group[i], direction);
		if (says & GROUP_ALLOWS)
			return 1;
	}
	return !any || (direction && !(says & GROUP_FILTERS_EGRESS));
}

SEC("xdp")
int securitygroup(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();

	if (!e)
		return finish(ctx, BUG);
	// Ports without groups are not filtered, and their flows leave no state anywhere.
	if (!has_group(e->source_group) && !has_group(e->destination_group))
		return function_next(ctx, e);
	if (!evaluation_begins(e)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	}
	if (!groups_allow(e, e->source_group, RULE_EGRESS_BIT) ||
	    !groups_allow(e, e->destination_group, 0))
		return function_refuse(ctx, e, DECIDE_DROP, SECURITY_GROUP);
	e->stateful = 1;
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
