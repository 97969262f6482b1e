/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// ARP, RFC 826, for Ethernet and IPv4.
#pragma once

#include <linux/types.h>

#define ARP_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2

struct arp_ipv4 {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 op;
	__u8 sender_mac[6];
	__be32 sender_ip;
	__u8 target_mac[6];
	__be32 target_ip;
} __attribute__((packed));
_Static_assert(sizeof(struct arp_ipv4) == 28, "RFC 826");
