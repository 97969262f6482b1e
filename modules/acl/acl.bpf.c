/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Network ACLs: what may begin a connection between subnets, by the first rule that matches: of the
// subnet that it leaves, and of the one that it enters. What no rule of an ACL matches is denied.
#include "datapath/evaluation.bpf.h"
#include "modules/rules/rules.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "shared/key.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NETWORK_ACLS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct rule_set);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} network_acls SEC(".maps");

// One that is named, but not here yet, denies all.
verified int acl_denies(const struct evaluation *e, __u32 number, __u32 direction)
{
	struct rule_answer answer = {};

	if (!e || !rules_ask(&network_acls, number, number | RULES_OF_ACL, e, direction, &answer))
		return 1;
	return !answer.outcome || RULE_DENIES(answer.outcome);
}

SEC("xdp")
int acl(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct subnet_value *subnet;
	__u32 from = 0, to = 0, leaves = 0, enters = 0;
	struct in6_addr origin;

	if (!e)
		return finish(ctx, BUG);
	origin = evaluation_origin(e);
	subnet = subnet_of(vni_of(e->key.vni), &origin);
	if (subnet) {
		from = subnet->subnet;
		leaves = subnet->acl;
	}
	subnet = subnet_of(e->vni, &e->destination);
	if (subnet) {
		to = subnet->subnet;
		enters = subnet->acl;
	}
	if (from == to || (!leaves && !enters))
		return function_next(ctx, e);
	if (!evaluation_begins(e)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	}
	if ((leaves && acl_denies(e, leaves, RULE_EGRESS_BIT)) ||
	    (enters && acl_denies(e, enters, 0)))
		return function_refuse(ctx, e, DECIDE_DROP, NETWORK_ACL);
	e->stateful = 1;
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
