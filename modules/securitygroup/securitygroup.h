/* SPDX-License-Identifier: Apache-2.0 */
// A security group, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int securitygroup_entries(const Zeta__Node__V1__SecurityGroup *group, struct entries *entries);
