/* SPDX-License-Identifier: Apache-2.0 */
// A NAT, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int nat_entries(const Zeta__Node__V1__Nat *nat, struct entries *entries);
