/* SPDX-License-Identifier: Apache-2.0 */
// What the loader of a border host keeps in the kernel: for each uplink, in its routing table, one
// route for each address that the cluster answers for, to the gateway of the uplink's subnet. A
// routing daemon announces what stands there.
//
// Routes are there as long as the uplink reaches its gateway, which is the cluster: the kernel
// itself asks by ARP, through the tunnel, once per second. They stay when zetad stops, and are
// known by their protocol when it begins.
//
// One zetad that is an edge is in a network namespace.
#pragma once

#include "node/messages.h"

struct uplink {
	struct interface_name name;
	struct uplink_value value;
	unsigned int ifindex; // when it was last looked at
	int leads;	      // the gateway answers, as far as is known; -1: nothing is known
	__u64 unknown_ms;     // since when no look has told; 0: the last one did
	int written;	      // all its routes are in the kernel; -1: perhaps some
	int ready;	      // it leads, and the table has a default route of somebody's
	int complained;
};

struct uplinks {
	__u32 count;
	__u32 changes; // grows when one becomes ready or stops being ready
	struct uplink uplink[MAX_HOST_UPLINKS];
	__u32 announced;
	// Sorted. VNI 0: found in the kernel, and not said anew by anybody yet.
	struct endpoint_key *address;
	__u32 tables; // that routes were found in
	__u32 table[MAX_HOST_UPLINKS];
};

// Takes over the routes that a former zetad left.
void uplinks_open(struct uplinks *uplinks);
// Routes stay.
void uplinks_close(struct uplinks *uplinks);
// Each carries out a checked PUT, REMOVE, KEYS or READY of TABLE_UPLINKS or TABLE_ANNOUNCED, as
// their namesakes in node/datapath.h. READY: uplinks that lead outside.
int uplinks_put(struct uplinks *uplinks, struct message *message, __u32 *done);
int uplinks_remove(struct uplinks *uplinks, struct message *message, __u32 *done);
void uplinks_keys(const struct uplinks *uplinks, struct message *message, int only_ready);
// Has routes follow what uplinks reach. Call it once per second, and when interfaces changed: the
// kernel takes the routes of one that was down, and says nothing of it.
void uplinks_follow(struct uplinks *uplinks, int changed);
// Removes all routes that any zetad wrote.
void uplinks_unload(void);
