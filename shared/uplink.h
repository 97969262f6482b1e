/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Uplinks of an edge host: ports by which its kernel reaches an external VPC. No map has them; the
// loader writes routes of the kernel (modules/uplink/uplinks.h).
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

// By interface: the workload's end.
struct uplink_value {
	__u32 vni;
	__u32 table; // of the kernel's routing tables
	struct in6_addr ip;
	struct in6_addr gateway; // that its routes lead to
};
_Static_assert(sizeof(struct uplink_value) == 40, "compared whole: no padding");

// Who wrote a route, as `ip route` and routing daemons show it (rtm_protocol): the first number
// that neither the kernel nor iproute2's list of names gives to others.
#define UPLINK_PROTOCOL 122

// Where the agent of an uplink's host answers while the uplink leads outside. The next after the
// ballots' (modules/term).
#define UPLINK_PORT 8303

// How flow table nodes ask: one that does not lead outside any more is found within the interval,
// in which there are some four checks while all is well.
#define UPLINK_CHECK_MS 1000
#define UPLINK_TIMEOUT_MS 250
#define UPLINK_UP_AFTER 2
#define UPLINK_DOWN_AFTER 3
