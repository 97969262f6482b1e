/* SPDX-License-Identifier: Apache-2.0 */
// What rules say, read slowly, one after the other: what tests compare the data path's search with.
#pragma once

#include <stddef.h>

#include "modules/rules/rules.h"
#include "shared/limits.h"

// A security group's or a network ACL's.
struct rules_set {
	struct rule *rule;
	size_t count;
	int known; // else it is named, and nowhere to be found
};

struct rules_packet {
	struct in6_addr from, to;
	const __u32 *from_group, *to_group; // of MAX_PORT_GROUPS; 0: none
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u16 to_port;
};

// Whether it may begin a connection.
int rules_begins(const struct rules_packet *p);
// Whether the groups of the port on that side let it; set: of all groups, by number.
int rules_groups_permit(const struct rules_set *set, const struct rules_packet *p,
			enum rule_direction direction);
// Number 0: no ACL.
int rules_acl_permits(const struct rules_set *set, __u32 number, const struct rules_packet *p,
		      enum rule_direction direction);
