/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Solicitations of neighbours and routers, and how they become advertisements. No router speaks
// unasked, and none that is a tenant's is heard.
#pragma once

#include "datapath/packet.bpf.h"
#include "modules/icmp/icmp.bpf.h"
#include "shared/tenant.h"
#include "wire/neighbor.h"

// What becomes of a solicitation, from one program to the next.
struct advertisement {
	struct in6_addr host; // of who asked
	__u8 host_mac[6];
	__u8 mac[6];	       // of the address that was asked for
	struct in6_addr about; // a router is asked for by whose address this is
	__u32 entrance;
	__u32 inner_offset;
	__u32 vni;
	__u32 verdict;
	__u32 router; // the address is the gateway's
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct advertisement);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} advertisements SEC(".maps");

inlined struct advertisement *advertisement_now(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&advertisements, &zero);
}

// RFC 4291 appendix A: what a gateway's address is on the link.
inlined struct in6_addr link_address(const __u8 mac[6])
{
	return (struct in6_addr){.in6_u.u6_addr8 = {0xFE, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2,
						    mac[1], mac[2], 0xFF, 0xFE, mac[3], mac[4],
						    mac[5]}};
}

inlined int address_is_none(const struct in6_addr *a)
{
	return !(address_half(a, 0) | address_half(a, 8));
}

// Whether it is of neighbour discovery; of a packet whose IPv6 header was read.
inlined int is_neighbor(struct packet p)
{
	const struct icmpv6_header *icmp = take(&p, sizeof(*icmp));

	return p.inner.ip6->next == IPPROTO_ICMPV6 && icmp && icmpv6_is_neighbor(icmp->type);
}

#define SOLICITATION_MOST 6 // of 8 bytes: with options, of which the first is looked at

// A solicitation: GO_ON and *message where it is sound (RFC 4861 sections 6.1.1 and 7.1.1). What it
// says of its sender's MAC is the frame's. Of a router's solicitation there are 8 bytes only.
inlined enum verdict read_solicitation(struct packet *p, const struct neighbor_message **message)
{
	const struct ipv6_header *ip = p->inner.ip6;
	const __u32 bytes = bpf_ntohs(ip->payload);
	const int anonymous = address_is_none(&ip->source);
	struct neighbor_message *m = p->at;
	struct link_option *link;
	__u32 sum = ip->payload + bpf_htons(IPPROTO_ICMPV6), i;
	int router;

	UNROLLED
	for (i = 0; i < 8; i++)
		sum += ip->source.in6_u.u6_addr16[i] + ip->destination.in6_u.u6_addr16[i];
	LOOPED
	for (i = 0; i < SOLICITATION_MOST; i++) {
		const __u16 *word = (void *)m + i * 8;

		if (i * 8 >= bytes)
			break;
		if ((void *)(word + 4) > p->end)
			return NEIGHBOR_MALFORMED;
		sum += word[0] + word[1] + word[2] + word[3];
	}
	if (bytes % 8 || bytes < 8 || bytes > 8 * SOLICITATION_MOST || fold(sum))
		return NEIGHBOR_MALFORMED;
	if ((void *)m + 8 > p->end)
		return NEIGHBOR_MALFORMED;
	router = m->type == ICMPV6_ROUTER_SOLICITATION;
	if (ip->hops != NEIGHBOR_HOPS || m->code ||
	    (!router && m->type != ICMPV6_NEIGHBOR_SOLICITATION))
		return NEIGHBOR_MALFORMED;
	if (!router &&
	    ((void *)(m + 1) > p->end || bytes < sizeof(*m) || m->target.in6_u.u6_addr8[0] == 0xFF))
		return NEIGHBOR_MALFORMED;
	link = (void *)m + (router ? 8 : sizeof(*m));
	if (bytes >= (router ? 16 : sizeof(*m) + 8) && (void *)(link + 1) <= p->end &&
	    link->option == OPTION_SOURCE_LINK) {
		if (anonymous || link->length != 1)
			return NEIGHBOR_MALFORMED;
		if (!mac_equal(link->mac, p->inner.eth->h_source))
			return SPOOFED;
	}
	*message = m;
	return GO_ON;
}

// To who asked: from the address, and, where he has none yet, to all on the link, of whom only he
// gets it.
inlined void advertise_to(struct ethhdr *eth, struct ipv6_header *ip, const __u8 mac[6],
			  const struct in6_addr *from, __u16 bytes)
{
	const struct in6_addr all = {.in6_u.u6_addr8 = {0xFF, 2, [15] = 1}};
	const struct in6_addr to = address_is_none(&ip->source) ? all : ip->source;

	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	*ip = (struct ipv6_header){
		.version_class = {IPV6_VERSION},
		.payload = bpf_htons(bytes),
		.next = IPPROTO_ICMPV6,
		.hops = NEIGHBOR_HOPS,
		.source = *from,
		.destination = to,
	};
}

struct neighbor_answer {
	struct neighbor_message message;
	struct link_option link;
};
_Static_assert(sizeof(struct neighbor_answer) == 32, "24 + 8");

inlined void neighbor_answer(struct ethhdr *eth, struct ipv6_header *ip, struct neighbor_answer *n,
			     const struct advertisement *a)
{
	const struct in6_addr target = n->message.target;
	__u32 flags = NEIGHBOR_OVERRIDE | (address_is_none(&ip->source) ? 0 : NEIGHBOR_SOLICITED) |
		      (a->router ? NEIGHBOR_ROUTER : 0);

	advertise_to(eth, ip, a->mac, &target, sizeof(*n));
	*n = (struct neighbor_answer){
		.message = {.type = ICMPV6_NEIGHBOR_ADVERTISEMENT,
			    .flags = bpf_htonl(flags),
			    .target = target},
		.link = {.option = OPTION_TARGET_LINK, .length = 1},
	};
	__builtin_memcpy(n->link.mac, a->mac, 6);
	n->message.checksum = icmpv6_checksum(ip, (void *)n, sizeof(*n));
}

// Addresses are those that ports have: hosts make none of the prefix. As nothing is said unasked,
// nothing ends: routes as RFC 4191 has them last for ever, and the others as long as can be said.
struct router_answer {
	struct router_advertisement router;
	struct link_option link;
	struct mtu_option mtu;
	struct prefix_option prefix;
	struct route_option route;
};
_Static_assert(sizeof(struct router_answer) == 72, "16 + 8 + 8 + 32 + 8");

inlined void router_answer(struct ethhdr *eth, struct ipv6_header *ip, struct router_answer *r,
			   const struct advertisement *a, const struct subnet_value *subnet,
			   __u32 mtu)
{
	const struct in6_addr from = link_address(subnet->gateway_mac);
	__u32 i;

	advertise_to(eth, ip, subnet->gateway_mac, &from, sizeof(*r));
	*r = (struct router_answer){
		.router = {.type = ICMPV6_ROUTER_ADVERTISEMENT,
			   .hops = 64,
			   .lifetime_s = bpf_htons(ROUTER_LIFETIME_S)},
		.link = {.option = OPTION_SOURCE_LINK, .length = 1},
		.mtu = {.option = OPTION_MTU, .length = 1, .mtu = bpf_htonl(mtu)},
		.prefix = {.option = OPTION_PREFIX,
			   .length = 4,
			   .bits = subnet->bits,
			   .flags = PREFIX_ON_LINK,
			   .valid_s = bpf_htonl(FOREVER_S),
			   .preferred_s = bpf_htonl(FOREVER_S)},
		.route = {.option = OPTION_ROUTE, .length = 1, .lifetime_s = bpf_htonl(FOREVER_S)},
	};
	__builtin_memcpy(r->link.mac, subnet->gateway_mac, 6);
	UNROLLED
	for (i = 0; i < 4; i++) {
		__s32 bits = subnet->bits - 32 * (__s32)i;
		__u32 mask = bits >= 32 ? 0xFFFFFFFF : bits > 0 ? ~(0xFFFFFFFFu >> bits) : 0;

		r->prefix.prefix.in6_u.u6_addr32[i] = a->about.in6_u.u6_addr32[i] & bpf_htonl(mask);
	}
	r->router.checksum = icmpv6_checksum(ip, (void *)r, sizeof(*r));
}
