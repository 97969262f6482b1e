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
