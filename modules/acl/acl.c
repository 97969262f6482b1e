// SPDX-License-Identifier: Apache-2.0
#include "modules/acl/acl.h"

#include "modules/rules/rules_entries.h"

int acl_entries(const Zeta__Node__V1__NetworkAcl *acl, struct entries *entries)
{
	if (!acl->number || acl->number >= RULES_OF_ACL)
		return entries_refuse(entries, "number %u is not 1 to 2147483647", acl->number);
	return rules_entries(entries, TABLE_NETWORK_ACLS, acl->number,
			     (struct rule_page_key){acl->number | RULES_OF_ACL, acl->version, 0},
			     acl->rule, acl->n_rule);
}
