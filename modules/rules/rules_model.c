// SPDX-License-Identifier: Apache-2.0
#include "modules/rules/rules_model.h"

#include <netinet/in.h>

#include "wire/icmp.h"
#include "wire/icmpv6.h"

#define SYN 0x02

int rules_begins(const struct rules_packet *p)
{
	if (p->protocol == IPPROTO_ICMP)
		return p->icmp_type == ICMP_ECHO_REQUEST;
	if (p->protocol == IPPROTO_ICMPV6)
		return p->icmp_type == ICMPV6_ECHO_REQUEST;
	return p->protocol != IPPROTO_TCP || p->tcp_flags == SYN;
}

static int same_bits(const struct in6_addr *a, const struct in6_addr *b, __u32 bits)
{
	for (__u32 i = 0; i < bits; i++)
		if ((a->s6_addr[i / 8] ^ b->s6_addr[i / 8]) >> (7 - i % 8) & 1)
			return 0;
	return 1;
}

static int matches(const struct rule *r, const struct rules_packet *p,
		   enum rule_direction direction)
{
	const int egress = direction == RULE_EGRESS;
	const __u32 *peers = egress ? p->to_group : p->from_group;
	const int icmp = p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6;
	__u16 port = icmp ? p->icmp_type : p->to_port;

	if (r->direction != direction || (r->protocol && r->protocol != p->protocol))
		return 0;
	if (port < r->port_min || port > r->port_max)
		return 0;
	if (!r->remote_group)
		return same_bits(&r->remote, egress ? &p->to : &p->from, r->remote_bits);
	for (int i = 0; i < MAX_PORT_GROUPS; i++)
		if (peers[i] == r->remote_group)
			return 1;
	return 0;
}

int rules_groups_permit(const struct rules_set *set, const struct rules_packet *p,
			enum rule_direction direction)
{
	const __u32 *group = direction == RULE_EGRESS ? p->from_group : p->to_group;
	int member = 0, filters = 0;

	for (int i = 0; i < MAX_PORT_GROUPS; i++) {
		const struct rules_set *g = &set[group[i]];

		if (!group[i])
			continue;
		member = 1;
		filters |= !g->known;
		for (size_t k = 0; g->known && k < g->count; k++) {
			filters |= g->rule[k].direction == RULE_EGRESS;
			if (matches(&g->rule[k], p, direction))
				return 1;
		}
	}
	return !member || (direction == RULE_EGRESS && !filters);
}

int rules_acl_permits(const struct rules_set *set, __u32 number, const struct rules_packet *p,
		      enum rule_direction direction)
{
	const struct rules_set *acl = &set[number];
	const struct rule *first = NULL;

	if (!number)
		return 1;
	for (size_t i = 0; acl->known && i < acl->count; i++)
		if (matches(&acl->rule[i], p, direction) &&
		    (!first || acl->rule[i].outcome < first->outcome))
			first = &acl->rule[i];
	return first && !RULE_DENIES(first->outcome);
}
