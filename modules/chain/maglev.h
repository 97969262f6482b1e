/* SPDX-License-Identifier: Apache-2.0 */
// Which chain has which bucket: consistent hashing after Eisenbud et al., "Maglev: A Fast and
// Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
//
// Balance: the chains take turns, so their shares differ by one bucket at most, however many
// there are. Disruption: where one of n chains comes or goes, the n-th part of the buckets has to
// move; of the others a few move too (about 1 % of all buckets, see the test), because a chain's
// favourite bucket may have become free, or been taken before its turn.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/limits.h"

struct maglev_chain {
	const char *id;	 // decides which buckets it gets, whatever its number and place
	uint16_t number; // below MAX_CHAINS
};

// Fills table with chain number + 1, or with 0 everywhere where there are no chains. The result
// depends on nothing but the set of chains. Ids are unique.
// Returns 0; -EINVAL: more than MAX_CHAINS, or a number of MAX_CHAINS or above; -ENOMEM.
int maglev_fill(uint16_t table[BUCKETS], const struct maglev_chain *chains, size_t count);
