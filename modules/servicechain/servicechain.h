/* SPDX-License-Identifier: Apache-2.0 */
// A service chain beside the VPCs' own, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int service_chain_entries(const Zeta__Node__V1__ServiceChain *chain, struct entries *entries);
