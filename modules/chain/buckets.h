/* SPDX-License-Identifier: Apache-2.0 */
// What follows from a stored view beyond what it says: the ids of its chains, and which of them has
// which bucket. Nodes are given this, and REST tells of it.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "controller/store.h"
#include "shared/limits.h"

#define CHAIN_ID (OBJECT_ID + 16)

// "cluster/7": a chain of the view with this id.
void chain_id(char id[CHAIN_ID], const char *view, uint32_t number);

// Fills table with chain number + 1, or with 0 everywhere where there are no chains.
// Returns 0; -EINVAL: more chains than there may be; -ENOMEM.
int view_buckets(const json_t *view, uint16_t table[BUCKETS]);
// Fills from with the chain that each bucket came from in the last move, likewise, and with 0 where
// it stayed. Returns the same.
int view_origins(const json_t *view, const uint16_t table[BUCKETS], uint16_t from[BUCKETS]);
