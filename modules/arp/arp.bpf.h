/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// ARP requests and how they become replies.
#pragma once

#include "datapath/packet.bpf.h"
#include "wire/arp.h"

inlined int arp_is(const struct arp_ipv4 *arp, __u16 op)
{
	return arp->hardware == bpf_htons(ARP_ETHERNET) && arp->protocol == bpf_htons(ETH_P_IP) &&
	       arp->hardware_length == 6 && arp->protocol_length == 4 && arp->op == bpf_htons(op);
}

inlined int arp_is_request(const struct arp_ipv4 *arp)
{
	return arp_is(arp, ARP_REQUEST);
}

inlined int arp_is_reply(const struct arp_ipv4 *arp)
{
	return arp_is(arp, ARP_REPLY);
}

// The request of who is us, an address and a MAC, for the MAC of an address.
inlined void arp_request(struct arp_ipv4 *arp, __be32 us, const __u8 mac[6], __be32 asked)
{
	*arp = (struct arp_ipv4){
		.hardware = bpf_htons(ARP_ETHERNET),
		.protocol = bpf_htons(ETH_P_IP),
		.hardware_length = 6,
		.protocol_length = 4,
		.op = bpf_htons(ARP_REQUEST),
		.sender_ip = us,
		.target_ip = asked,
	};
	__builtin_memcpy(arp->sender_mac, mac, 6);
}

// Turns a request into the reply that names mac, in place.
inlined void arp_reply(struct ethhdr *eth, struct arp_ipv4 *arp, const __u8 mac[6])
{
	__be32 asked = arp->target_ip;

	arp->op = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, 6);
	arp->target_ip = arp->sender_ip;
	__builtin_memcpy(arp->sender_mac, mac, 6);
	arp->sender_ip = asked;
	__builtin_memcpy(eth->h_dest, arp->target_mac, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
}
