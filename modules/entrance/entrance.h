/* SPDX-License-Identifier: Apache-2.0 */
// Virtual addresses of the cluster, as map entries of a gateway and of an edge.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

// On a gateway: the entrance by index and by address. On an edge: nothing, see below.
int entrance_entries(const Zeta__Node__V1__Entrance *entrance, struct entries *entries);
// On an edge: a list of entrances for each cluster, in the order of their indices so that every
// host sends a flow to the same one. Those that are malformed are left out.
int entrance_edge_entries(const Zeta__Node__V1__Entrance *const *all, size_t count,
			  struct entries *entries);
