/* SPDX-License-Identifier: Apache-2.0 */
// Chains of replicas and which bucket each serves, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int chain_entries(const Zeta__Node__V1__Chain *chain, struct entries *entries);
int transfer_entries(const Zeta__Node__V1__Transfer *transfer, struct entries *entries);
int buckets_entries(const Zeta__Node__V1__Buckets *buckets, struct entries *entries);
