/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The class of service (DSCP, RFC 2474) of what a port sends.
#pragma once

#include "datapath/edge_packet.bpf.h"

#define ECN_BITS 0x03 // of the same byte, RFC 3168: they stay what they are

// What the whole byte is outside, where the port has a class: its own, so that networks between
// hosts need not look inside (RFC 2983). No workload chooses that by itself. Congestion is told
// inside alone, as nobody at the tunnel's end would copy it (RFC 6040 section 4.3).
inlined __u8 outer_tos(const struct local_port *port)
{
	return port->marks ? port->dscp << 2 : 0;
}

// Marks the frame, if its port says so and it has an IP header. IPv4's checksum follows (RFC 1624
// equation 3).
inlined void edge_mark(struct packet *p, const struct local_port *port)
{
	struct iphdr *ip = p->inner.ip;
	__u16 before, after;
	__u32 sum;

	if (!port->marks)
		return;
	if (p->inner.ip6)
		ipv6_class_put(p->inner.ip6,
			       outer_tos(port) | (ipv6_class(p->inner.ip6) & ECN_BITS));
	if (!ip)
		return;
	before = *(__u16 *)ip;
	ip->tos = port->dscp << 2 | (ip->tos & ECN_BITS);
	after = *(__u16 *)ip;
	sum = (__u16)~ip->check;
	sum += (__u16)~before;
	sum += after;
	ip->check = fold(sum);
}
