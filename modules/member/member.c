// SPDX-License-Identifier: Apache-2.0
// A member is found by its index, and by its cluster address when it speaks to us.
#include "modules/member/member.h"

int member_entries(const Zeta__Node__V1__Member *member, struct entries *entries)
{
	const __u32 index = member->index | (member->foreign ? NODE_FOREIGN : 0);
	struct node_value node = {.foreign = member->foreign != 0,
				  .forwarder = member->forwarder != 0};
	int err;

	if (member->index >= MAX_NODES)
		return entries_refuse(entries, "index %u is beyond %u", member->index, MAX_NODES);
	if ((err = entries_ip(entries, "zgc_ip", member->zgc_ip, &node.zgc_ip)) ||
	    (err = entries_mac(entries, "zgc_mac", member->zgc_mac, node.zgc_mac)) ||
	    (member->forwarder &&
	     ((err = entries_ip(entries, "tenant_ip", member->tenant_ip, &node.tenant_ip)) ||
	      (err = entries_mac(entries, "tenant_mac", member->tenant_mac, node.tenant_mac)))) ||
	    (err = entries->put(entries, TABLE_NODES, &member->index, &node)))
		return err;
	return entries->put(entries, TABLE_NODE_BY_IP, &node.zgc_ip, &index);
}
