/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Security groups: who may begin a connection. Runs on first packets only, so replies need no rule:
// they match the session.
#include "datapath/evaluation.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SECURITY_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct security_group_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} security_groups SEC(".maps");

inlined int prefix_matches(const struct in6_addr *prefix, __u32 bits,
			   const struct in6_addr *address)
{
	__u32 word, mask;

#pragma unroll
	for (word = 0; word < 4; word++) {
		mask = bits >= 32 ? ~0u : bits ? ~0u << (32 - bits) : 0;
		if ((prefix->in6_u.u6_addr32[word] ^ address->in6_u.u6_addr32[word]) &
		    bpf_htonl(mask))
			return 0;
		bits = bits >= 32 ? bits - 32 : 0;
	}
	return 1;
}

inlined int in_group(const __u32 group[MAX_PORT_GROUPS], __u32 number)
{
	int found = 0;

#pragma unroll
	for (int i = 0; i < MAX_PORT_GROUPS; i++)
		found |= group[i] == number;
	return found;
}

// Any of the places may be the one that is taken.
inlined int has_group(const __u32 group[MAX_PORT_GROUPS])
{
	__u32 any = 0;

#pragma unroll
	for (int i = 0; i < MAX_PORT_GROUPS; i++)
		any |= group[i];
	return any != 0;
}

inlined int rule_allows(const struct rule *r, const struct evaluation *e, __u32 direction)
{
	const struct in6_addr *peer = direction == RULE_EGRESS ? &e->destination : &e->source;
	__u16 port = bpf_ntohs(e->destination_port);

	if (r->direction != direction)
		return 0;
	if (r->protocol && r->protocol != e->protocol)
		return 0;
	// Of a fragment neither port nor type is known: only a rule for all of them allows it.
	if (e->fragment && (r->port_min || r->port_max != 65535))
		return 0;
	// An echo's key has its identifier for a port.
	if (e->protocol == IPPROTO_ICMP)
		port = e->icmp_type;
	if (port < r->port_min || port > r->port_max)
		return 0;
	if (r->remote_group)
		return in_group(direction == RULE_EGRESS ? e->destination_group : e->source_group,
				r->remote_group);
	return prefix_matches(&r->remote, r->remote_bits, peer);
}

// Whether the groups of one port let the connection begin in that direction.
inlined int groups_allow(const struct evaluation *e, const __u32 group[MAX_PORT_GROUPS],
			 __u32 direction)
{
	int any = 0, egress_rules = 0;

	for (int i = 0; i < MAX_PORT_GROUPS; i++) {
		const struct security_group_value *g;
		__u32 number = group[i];

		if (!number)
			continue;
		any = 1;
		g = bpf_map_lookup_elem(&security_groups, &number);
		if (!g) {
			egress_rules = 1; // named, but not here yet: allows nothing
			continue;
		}
		egress_rules += g->egress_rules;
		for (int k = 0; k < MAX_RULES; k++) {
			if (k >= g->rules)
				break;
			if (rule_allows(&g->rule[k], e, direction))
				return 1;
		}
	}
	return !any || (direction == RULE_EGRESS && !egress_rules);
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

	// Of ICMP, a rule lets nothing in but an echo request.
	if (!evaluation_begins(e)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	}
	if (!groups_allow(e, e->source_group, RULE_EGRESS) ||
	    !groups_allow(e, e->destination_group, RULE_INGRESS))
		return function_refuse(ctx, e, DECIDE_DROP, SECURITY_GROUP);
	e->stateful = 1;
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
