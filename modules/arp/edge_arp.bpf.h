/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A workload's ARP goes to the cluster, which answers it: here it only needs an entrance.
#pragma once

#include <linux/if_arp.h>

#include "datapath/edge_packet.bpf.h"

// What follows struct arphdr where it is about IPv4 over Ethernet (RFC 826).
struct arp_ipv4 {
	__u8 sender_mac[ETH_ALEN];
	__u8 sender[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target[4];
};

// Requests for one address go to one entrance.
always_inline enum verdict edge_read_arp(struct packet *p, struct flow *f)
{
	struct arphdr *arp = take(p, sizeof(*arp));
	struct arp_ipv4 *about = take(p, sizeof(*about));

	if (!arp || !about)
		return TRUNCATED;
	__builtin_memcpy(&f->source, about->sender, sizeof(f->source));
	__builtin_memcpy(&f->destination, about->target, sizeof(f->destination));
	make_key(f, p->vni, 0);
	return GO_ON;
}
