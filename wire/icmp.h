/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// ICMP, RFC 792: what a gateway reads and says. (<linux/icmp.h> pulls in the C library.)
#pragma once

#include <linux/types.h>

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |     Type      |     Code      |          Checksum             |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  echo: Identifier  |  Sequence Number; too big: 0 | MTU       |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12

#define ICMP_UNREACHABLE_NET 0 // codes of ICMP_UNREACHABLE
#define ICMP_UNREACHABLE_HOST 1
#define ICMP_UNREACHABLE_PORT 3
#define ICMP_FRAGMENTATION_NEEDED 4 // RFC 1191: with the next hop's MTU

struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	union {
		struct {
			__be16 identifier;
			__be16 sequence;
		} echo;
		struct {
			__be16 unused;
			__be16 mtu;
		} too_big;
	};
};
_Static_assert(sizeof(struct icmp_header) == 8, "RFC 792");
