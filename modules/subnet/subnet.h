/* SPDX-License-Identifier: Apache-2.0 */
// A prefix inside a VPC, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int subnet_entries(const Zeta__Node__V1__Subnet *subnet, struct entries *entries);
