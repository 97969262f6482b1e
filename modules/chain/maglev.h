/* SPDX-License-Identifier: Apache-2.0 */
// Which chain has which bucket, and which backend of a load balancer: consistent hashing after
// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
// section 3.4.
//
// Balance: the members take turns, so shares of those with one weight differ by one bucket at most,
// however many there are. Disruption: where one of n members comes or goes, the n-th part of the
// buckets has to move; of the others a few move too (about 1 % of all buckets, see the test),
// because a member's favourite bucket may have become free, or been taken before its turn.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/limits.h"

struct maglev_member {
	const char *id;	 // decides which buckets it gets, whatever its number and place
	uint16_t number; // below MAX_CHAINS
	uint16_t weight; // it takes a turn in so many of every round of the heaviest; 0: none
};

// Fills table with member number + 1, or with 0 everywhere where there are none that take turns.
// size is a prime. The result depends on nothing but the set of members. Ids are unique.
// Returns 0; -EINVAL: more than MAX_CHAINS, or a number of MAX_CHAINS or above; -ENOMEM.
int maglev_fill(uint16_t *table, uint32_t size, const struct maglev_member *members, size_t count);
