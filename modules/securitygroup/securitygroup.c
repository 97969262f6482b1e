// SPDX-License-Identifier: Apache-2.0
// A group and its rules are one entry: a packet never meets half of a changed group.
#include "modules/securitygroup/securitygroup.h"

static int read_rule(const Zeta__Node__V1__Rule *from, struct entries *entries, struct rule *to)
{
	*to = (struct rule){
		.direction = from->egress ? RULE_EGRESS : RULE_INGRESS,
		.protocol = (__u8)from->protocol,
		.remote_bits = (__u8)from->remote_length,
		.port_min = (__u16)from->port_min,
		.port_max = (__u16)from->port_max,
		.remote_group = from->remote_group,
	};
	if (from->protocol > 255)
		return entries_refuse(entries, "protocol %u is above 255", from->protocol);
	if (from->port_max > 65535 || from->port_min > from->port_max)
		return entries_refuse(entries, "ports %u to %u are no range", from->port_min,
				      from->port_max);
	if (from->remote_length > 128)
		return entries_refuse(entries, "remote length %u is above 128",
				      from->remote_length);
	// Only a rule for anybody, or for a group, needs no remote prefix.
	if (!from->remote.len && !from->remote_length)
		return 0;
	return entries_ip(entries, "remote", from->remote, &to->remote);
}

int securitygroup_entries(const Zeta__Node__V1__SecurityGroup *group, struct entries *entries)
{
	struct security_group_value value = {.rules = (__u16)group->n_rule};
	size_t i;
	int err;

	if (!group->number)
		return entries_refuse(entries, "number is 0");
	if (group->n_rule > MAX_RULES)
		return entries_refuse(entries, "%zu rules are more than %u", group->n_rule,
				      MAX_RULES);
	for (i = 0; i < group->n_rule; i++) {
		if ((err = read_rule(group->rule[i], entries, &value.rule[i])))
			return err;
		value.egress_rules += value.rule[i].direction == RULE_EGRESS;
	}
	return entries->put(entries, TABLE_SECURITY_GROUPS, &group->number, &value);
}
