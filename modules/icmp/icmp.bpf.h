/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What a gateway says by ICMP: echo replies, and errors to who sent what cannot go on.
#pragma once

#include "datapath/packet.bpf.h"
#include "modules/overlay/overlay.bpf.h"
#include "modules/subnet/subnet.bpf.h"

// An error to be sent, from one program to the next.
struct complaint {
	struct in6_addr host; // of the sender
	__u8 host_mac[6];
	__u8 type;
	__u8 code;
	__u16 mtu; // with fragmentation needed
	__u16 verdict;
	__u32 entrance;
	__u32 inner_offset;
	__u32 vni;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct complaint);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} complaints SEC(".maps");

// What stands before the packet that the error is about.
struct icmp_error_headers {
	struct iphdr ip;
	struct icmp_header icmp;
};
_Static_assert(sizeof(struct icmp_error_headers) == 28, "20 + 8");

#define EMBEDDED 28 // RFC 792: the IPv4 header and 8 bytes of the datagram

// The same of IPv6: of the packet either so much, with all headers that most packets have, or the
// least of which a sender finds what sent it: its IPv6 header and 8 bytes. (RFC 4443 section 2.4 c
// asks for as much as fits into 1280 bytes.)
struct icmpv6_error_headers {
	struct ipv6_header ip;
	struct icmpv6_header icmp;
};
_Static_assert(sizeof(struct icmpv6_error_headers) == 48, "40 + 8");

#define EMBEDDED6 128
#define EMBEDDED6_LEAST 48

// What an ICMPv6 message of so many bytes, a multiple of 4, that begins with its checksum 0 has for
// a checksum (RFC 4443 section 2.3).
inlined __sum16 icmpv6_checksum(const struct ipv6_header *ip, const struct icmpv6_header *icmp,
				const __u32 bytes)
{
	__u32 sum = bpf_htons(bytes) + bpf_htons(IPPROTO_ICMPV6), i;

	UNROLLED
	for (i = 0; i < 8; i++)
		sum += ip->source.in6_u.u6_addr16[i] + ip->destination.in6_u.u6_addr16[i];
	return fold(bpf_csum_diff(NULL, 0, (__be32 *)icmp, bytes, sum));
}

// What a complaint says, in ICMPv6's words.
inlined void icmpv6_error(struct icmpv6_header *icmp, const struct complaint *c)
{
	*icmp = (struct icmpv6_header){.type = ICMPV6_UNREACHABLE, .code = ICMPV6_NO_ADDRESS};
	if (c->type == ICMP_TIME_EXCEEDED) {
		icmp->type = ICMPV6_TIME_EXCEEDED;
		icmp->code = 0;
	} else if (c->code == ICMP_FRAGMENTATION_NEEDED) {
		icmp->type = ICMPV6_TOO_BIG;
		icmp->code = 0;
		icmp->mtu = bpf_htonl(c->mtu);
	} else if (c->code == ICMP_UNREACHABLE_NET) {
		icmp->code = ICMPV6_NO_ROUTE;
	} else if (c->code == ICMP_UNREACHABLE_PORT) {
		icmp->code = ICMPV6_NO_PORT;
	}
}

inlined __sum16 icmp_error_checksum(const struct icmp_error_headers *h)
{
	const __u16 *word = (const void *)&h->icmp;
	__u32 sum = 0;

#pragma unroll
	for (unsigned int i = 0; i < (sizeof(h->icmp) + EMBEDDED) / 2; i++)
		sum += word[i];
	return fold(sum);
}

// Turns an echo request to the gateway into its reply, in place.
inlined void echo_reply(struct packet *p, struct icmp_header *icmp)
{
	struct iphdr *ip = p->inner.ip;
	__be32 from = ip->saddr;
	__u8 mac[6];
	__u32 check;

	ip->saddr = ip->daddr;
	ip->daddr = from;
	ip->ttl = 64;
	ip->check = 0;
	ip->check = ipv4_checksum(ip);
	// Type 8 becomes 0: the checksum grows by what the type lost (RFC 1624).
	icmp->type = ICMP_ECHO_REPLY;
	check = icmp->checksum + bpf_htons(ICMP_ECHO_REQUEST << 8);
	icmp->checksum = (__sum16)(check + (check >> 16));
	__builtin_memcpy(mac, p->inner.eth->h_source, 6);
	__builtin_memcpy(p->inner.eth->h_source, p->inner.eth->h_dest, 6);
	__builtin_memcpy(p->inner.eth->h_dest, mac, 6);
}

// The same of IPv6.
inlined void echo_reply6(struct packet *p, struct icmpv6_header *icmp)
{
	struct ipv6_header *ip = p->inner.ip6;
	const struct in6_addr from = ip->source;
	__u8 mac[6];
	__u32 check;

	ip->source = ip->destination;
	ip->destination = from;
	ip->hops = 64;
	// Type 128 becomes 129: the checksum loses what the type grew by (RFC 1624).
	icmp->type = ICMPV6_ECHO_REPLY;
	check = icmp->checksum + (__u16)~bpf_htons(1 << 8);
	icmp->checksum = (__sum16)(check + (check >> 16));
	__builtin_memcpy(mac, p->inner.eth->h_source, 6);
	__builtin_memcpy(p->inner.eth->h_source, p->inner.eth->h_dest, 6);
	__builtin_memcpy(p->inner.eth->h_dest, mac, 6);
}
