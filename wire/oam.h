/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// OAM frames: an entrance tells a host where a flow may go directly. UDP to the cluster's OAM
// port; the payload is the published layout of the Zeta gateway, all fields in network order.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

// +-------------------------------+
// | op code 4                     |  OAM_INJECT or OAM_DELETE
// | inner source IPv4 4           |  the flow, as the host's own endpoint sends it
// | inner destination IPv4 4      |
// | source port 2 | dest. port 2  |  ICMP echo: its identifier in both
// | protocol 1    | VNI 3         |
// +-------------------------------+  a delete ends here
// | destination instance IPv4 4   |  whom the flow reaches
// | destination host IPv4 4       |  where that one lives: the new outer destination
// | instance MAC 6                |  the new inner destination
// | host MAC 6                    |  the new outer Ethernet destination
// | idle timeout, seconds 2       |
// | flags 2                       |  reserved in the published layout; OAM_ROUTED is ours
// +-------------------------------+

#define OAM_PORT 8300 // default; a cluster may set another

enum oam_op {
	OAM_INJECT = 0,
	OAM_DELETE = 1,
	OAM_INJECT6 = 2, // ours: flows of IPv6
	OAM_DELETE6 = 3,
};

// The flow crosses subnets: the host decrements the TTL, and the frame's source MAC becomes the
// gateway's, i.e. the destination MAC that the workload had put there.
#define OAM_ROUTED 0x0001

struct oam_flow {
	__be32 op;
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 vni[3];
};
_Static_assert(sizeof(struct oam_flow) == 20, "published layout");

struct oam_inject {
	struct oam_flow flow;
	__be32 instance;
	__be32 host;
	__u8 instance_mac[6];
	__u8 host_mac[6];
	__be16 idle_timeout_s;
	__be16 flags;
};
_Static_assert(sizeof(struct oam_inject) == 44, "published layout");

// Of an IPv6 flow: the same, its two addresses of 16 bytes. Whom it reaches is its destination.
struct oam_flow6 {
	__be32 op;
	struct in6_addr source;
	struct in6_addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 vni[3];
};
_Static_assert(sizeof(struct oam_flow6) == 44, "4 + 2 * 16 + 8");

struct oam_inject6 {
	struct oam_flow6 flow;
	__be32 host;
	__u8 instance_mac[6];
	__u8 host_mac[6];
	__be16 idle_timeout_s;
	__be16 flags;
};
_Static_assert(sizeof(struct oam_inject6) == 64, "44 + 20");
