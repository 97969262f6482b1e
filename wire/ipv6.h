/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// IPv6, RFC 8200: the header, and those that may stand behind it. (<linux/ipv6.h> has bit-fields.)
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |Version| Traffic Class |           Flow Label                  |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |         Payload Length        |  Next Header  |   Hop Limit   |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                   Source Address, 16 bytes                    |
// |                 Destination Address, 16 bytes                 |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

struct ipv6_header {
	__u8 version_class[2]; // 4 bits, then the traffic class's 8
	__be16 label;
	__be16 payload; // bytes behind this header
	__u8 next;
	__u8 hops;
	struct in6_addr source;
	struct in6_addr destination;
};
_Static_assert(sizeof(struct ipv6_header) == 40, "RFC 8200 section 3");

#define IPV6_VERSION 0x60 // the first byte's upper half
#define IPV6_MIN_MTU 1280

// What stands before TCP and the like: sections 4.3, 4.4 and 4.6. Of a routing header the third and
// fourth byte are its type and the number of segments left.
struct ipv6_extension {
	__u8 next;
	__u8 length; // in units of 8 bytes, the first 8 not counted
	__u8 type;
	__u8 left;
	__u8 rest[4];
};
_Static_assert(sizeof(struct ipv6_extension) == 8, "RFC 8200 section 4");

struct ipv6_fragment {
	__u8 next;
	__u8 reserved;
	__be16 place; // 13 bits of offset, in units of 8 bytes; 2 of nothing; whether more follow
	__be32 identification;
};
_Static_assert(sizeof(struct ipv6_fragment) == 8, "RFC 8200 section 4.5");

#define IPV6_FRAGMENT_OFFSET 0xFFF8
#define IPV6_FRAGMENT_MORE 0x0001

#define IPV6_HOP_BY_HOP 0 // next header
#define IPV6_ROUTING 43
#define IPV6_FRAGMENT 44
#define IPV6_DESTINATION 60
