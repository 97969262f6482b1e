/* SPDX-License-Identifier: Apache-2.0 */
// What security groups and network ACLs have in common: a list "rules".
#pragma once

#include "controller/model.h"

extern const char *const rule_directions[];

// Makes the rules' ranges of ports whole, and refuses more rules than a VPC may have in objects of
// this kind. Returns 0, or what refuse() says.
int rules_settle(struct change *change);
