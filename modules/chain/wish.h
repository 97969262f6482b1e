/* SPDX-License-Identifier: Apache-2.0 */
// What the controller wants of a chain: its voters, and how many of them shall hold its data. Terms
// are the voters' to choose (modules/term).
#pragma once

#include "dft/term.h"

struct chain_wish {
	struct dft_voters voters; // in order of preference; of the epoch that it is
	// The epoch whose first term follows from this: in which the chain began, or later, by
	// force (M6).
	__u32 listed;
	__u32 move;   // of the cluster: number of the last move of buckets (M7)
	__u32 moving; // it is under way
};
