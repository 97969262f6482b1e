/* SPDX-License-Identifier: Apache-2.0 */
// An address with SYN protection, as map entries of forwarders.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int shield_entries(const Zeta__Node__V1__Shield *shield, struct entries *entries);
