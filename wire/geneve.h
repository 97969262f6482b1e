/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Geneve, RFC 8926 section 3: a host's frames (no options) and the cluster's own (with the
// options of wire/dft.h).
#pragma once

#include <linux/types.h>

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |        Virtual Network Identifier (VNI)       |    Reserved   |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                    Variable-Length Options                    ~
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

#define GENEVE_PORT 6081       // UDP destination, IANA
#define GENEVE_ETHERNET 0x6558 // protocol type: Trans Ether Bridging
#define GENEVE_CONTROL 0x80    // the O flag: not a tenant's data
#define GENEVE_CRITICAL 0x40   // the C flag: some option must be understood

struct geneve_header {
	__u8 version_length; // version in the upper 2 bits (0), options' length / 4 in the lower 6
	__u8 flags;
	__be16 protocol;
	__u8 vni[3];
	__u8 reserved;
};
_Static_assert(sizeof(struct geneve_header) == 8, "RFC 8926: 8 bytes");

// RFC 8926 section 3.5: option header, then length * 4 bytes of data, at most 124.
struct geneve_option {
	__be16 class;
	__u8 type;   // upper bit: critical
	__u8 length; // of the data, in 4 bytes; upper 3 bits reserved
};
_Static_assert(sizeof(struct geneve_option) == 4, "RFC 8926: 4 bytes");
