/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// ICMPv6, RFC 4443: what a gateway reads and says.
#pragma once

#include <linux/types.h>

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |     Type      |     Code      |          Checksum             |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |  echo: Identifier  |  Sequence Number; too big: MTU           |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

#define ICMPV6_UNREACHABLE 1
#define ICMPV6_TOO_BIG 2
#define ICMPV6_TIME_EXCEEDED 3
#define ICMPV6_PARAMETER 4
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY 129
#define ICMPV6_ROUTER_SOLICITATION 133 // RFC 4861
#define ICMPV6_ROUTER_ADVERTISEMENT 134
#define ICMPV6_NEIGHBOR_SOLICITATION 135
#define ICMPV6_NEIGHBOR_ADVERTISEMENT 136
#define ICMPV6_REDIRECT 137

#define ICMPV6_NO_ROUTE 0 // codes of ICMPV6_UNREACHABLE
#define ICMPV6_NO_ADDRESS 3
#define ICMPV6_NO_PORT 4

struct icmpv6_header {
	__u8 type;
	__u8 code;
	__sum16 checksum; // of the pseudo header too: RFC 8200 section 8.1
	union {
		struct {
			__be16 identifier;
			__be16 sequence;
		} echo;
		__be32 mtu;
		__be32 word;
	};
};
_Static_assert(sizeof(struct icmpv6_header) == 8, "RFC 4443");
