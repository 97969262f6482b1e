/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Neighbour discovery, RFC 4861: what a gateway reads and says. All of it begins with type, code
// and checksum, as ICMPv6 does.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#define NEIGHBOR_HOPS 255 // what comes from another link has fewer

struct neighbor_message { // a solicitation or an advertisement
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 flags; // of an advertisement
	struct in6_addr target;
};
_Static_assert(sizeof(struct neighbor_message) == 24, "RFC 4861 section 4.3");

#define NEIGHBOR_ROUTER 0x80000000
#define NEIGHBOR_SOLICITED 0x40000000
#define NEIGHBOR_OVERRIDE 0x20000000

struct router_advertisement {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__u8 hops;
	__u8 flags; // managed, other: 0
	__be16 lifetime_s;
	__be32 reachable_ms;
	__be32 retransmit_ms;
};
_Static_assert(sizeof(struct router_advertisement) == 16, "RFC 4861 section 4.2");

#define ROUTER_LIFETIME_S 0xFFFF // RFC 8319: the longest

// Options: length in units of 8 bytes.
#define OPTION_SOURCE_LINK 1
#define OPTION_TARGET_LINK 2
#define OPTION_PREFIX 3
#define OPTION_MTU 5
#define OPTION_ROUTE 24 // RFC 4191

struct link_option {
	__u8 option;
	__u8 length;
	__u8 mac[6];
};
_Static_assert(sizeof(struct link_option) == 8, "RFC 4861 section 4.6.1");

struct mtu_option {
	__u8 option;
	__u8 length;
	__be16 reserved;
	__be32 mtu;
};
_Static_assert(sizeof(struct mtu_option) == 8, "RFC 4861 section 4.6.4");

struct prefix_option {
	__u8 option;
	__u8 length;
	__u8 bits;
	__u8 flags;
	__be32 valid_s;
	__be32 preferred_s;
	__be32 reserved;
	struct in6_addr prefix;
};
_Static_assert(sizeof(struct prefix_option) == 32, "RFC 4861 section 4.6.2");

#define PREFIX_ON_LINK 0x80
#define FOREVER_S 0xFFFFFFFF

struct route_option { // of a prefix of 0 bits: the default route
	__u8 option;
	__u8 length;
	__u8 bits;
	__u8 preference;
	__be32 lifetime_s;
};
_Static_assert(sizeof(struct route_option) == 8, "RFC 4191 section 2.3");
