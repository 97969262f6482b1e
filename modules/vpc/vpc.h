/* SPDX-License-Identifier: Apache-2.0 */
// A tenant's private network, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int vpc_entries(const Zeta__Node__V1__Vpc *vpc, struct entries *entries);
