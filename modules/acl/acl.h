/* SPDX-License-Identifier: Apache-2.0 */
// A network ACL, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int acl_entries(const Zeta__Node__V1__NetworkAcl *acl, struct entries *entries);
