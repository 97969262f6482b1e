/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A workload's solicitations go to the cluster, which answers them: here they only need an
// entrance.
#pragma once

#include "datapath/edge_packet.bpf.h"

// Of ICMPv6 behind an IPv6 header that was read: whether it is such a one; *v is then what becomes
// of it. Those for one address go to one entrance.
inlined int edge_read_neighbor(struct packet *p, struct flow *f, enum verdict *v)
{
	const struct ipv6_header *ip = p->inner.ip6;
	const struct icmpv6_header *icmp = p->at;

	if (ip->next != IPPROTO_ICMPV6 || (void *)(icmp + 1) > p->end ||
	    !icmpv6_is_neighbor(icmp->type))
		return 0;
	*v = icmp->type == ICMPV6_ROUTER_SOLICITATION || icmp->type == ICMPV6_NEIGHBOR_SOLICITATION
		     ? GO_ON
		     : NEIGHBOR_MALFORMED;
	f->no_echo = 1;
	make_key6(f, &ip->source, &ip->destination, p->vni, IPPROTO_ICMPV6);
	return 1;
}
