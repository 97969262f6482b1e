/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A workload's ARP goes to the cluster, which answers it: here it only needs an entrance.
#pragma once

#include "datapath/edge_packet.bpf.h"
#include "wire/arp.h"

// Requests for one address go to one entrance.
inlined enum verdict edge_read_arp(struct packet *p, struct flow *f)
{
	struct arp_ipv4 *arp = take(p, sizeof(*arp));

	if (!arp)
		return TRUNCATED;
	make_key(f, (struct ends){arp->sender_ip, arp->target_ip}, p->vni, 0);
	return GO_ON;
}
