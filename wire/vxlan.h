/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// VXLAN, RFC 7348 section 5: how a host and an entrance exchange a tenant's frames.
#pragma once

#include <linux/types.h>

//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |R|R|R|R|I|R|R|R|            Reserved                           |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
// |                VXLAN Network Identifier (VNI) |   Reserved    |
// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

#define VXLAN_PORT 4789	   // UDP destination, IANA
#define VXLAN_HAS_VNI 0x08 // the I flag

struct vxlan_header {
	__u8 flags;
	__u8 reserved[3];
	__u8 vni[3];
	__u8 reserved2;
};
_Static_assert(sizeof(struct vxlan_header) == 8, "RFC 7348: 8 bytes");
