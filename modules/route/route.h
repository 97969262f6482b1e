/* SPDX-License-Identifier: Apache-2.0 */
// Routes of a VPC, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int route_block_entries(const Zeta__Node__V1__RouteBlock *block, struct entries *entries);
