/* SPDX-License-Identifier: Apache-2.0 */
// What VPCs use of what they may have, as the loader reads it from the kernel's counters.
#pragma once

#include "node/datapath.h"

struct limits {
	__u64 next_ms; // when they are read again
	__u32 vpcs;
	struct vpc_usage vpc[VPCS_TOLD];
};

// Has status say what VPCs use: of all those that have anything here, the ones that were refused
// most, then those with the most sessions. Reads at most once a second, and a tenth of the time.
// Forgets the counters of VPCs that are gone.
void limits_tell(struct limits *limits, const struct datapath *datapath,
		 struct node_status *status);

// User space has removed so many records, all there were of what is_wiped says 1 of.
void limits_wiped(const struct datapath *datapath, __u64 removed,
		  int (*is_wiped)(const void *context, const struct usage_key *key),
		  const void *context);

// Calls fn for every entry of the map "usage".
void limits_each_usage(const struct datapath *datapath,
		       void (*fn)(void *context, const void *key, const void *value),
		       void *context);
