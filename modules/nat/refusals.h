/* SPDX-License-Identifier: Apache-2.0 */
// Which addresses of NATs have had no port left lately, as the loader reads it from the kernel.
#pragma once

#include "node/datapath.h"

struct nat_refusals {
	__u64 next_ms; // when they are read again
	__u32 count;
	struct nat_refusal told[NATS_TOLD];
};

// Has status say for which addresses a connection was refused in the last NAT_QUIET_MS: those where
// that was last. Reads at most once a second.
void nat_tell(struct nat_refusals *refusals, const struct datapath *datapath,
	      struct node_status *status);
