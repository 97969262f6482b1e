/* SPDX-License-Identifier: Apache-2.0 */
// A gateway node of the cluster, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int member_entries(const Zeta__Node__V1__Member *member, struct entries *entries);
