// SPDX-License-Identifier: Apache-2.0
#include "modules/securitygroup/securitygroup.h"

#include "modules/rules/rules_entries.h"

int securitygroup_entries(const Zeta__Node__V1__SecurityGroup *group, struct entries *entries)
{
	if (!group->number || group->number >= RULES_OF_ACL)
		return entries_refuse(entries, "number %u is not 1 to 2147483647", group->number);
	return rules_entries(entries, TABLE_SECURITY_GROUPS, group->number,
			     (struct rule_page_key){group->number, group->version, 0}, group->rule,
			     group->n_rule);
}
