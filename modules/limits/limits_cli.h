/* SPDX-License-Identifier: Apache-2.0 */
// What VPCs use of what they may have, in `zetactl status`.
#pragma once

#include "cli/inventory.h"

// Sums what members report, by VPC: [{vpc, vni, sessions, half_open, refused_first_packets,
// refused_sessions, refused_half_open, refused_packets}], a new reference. Returns 0, or an error
// that was said.
int limits_sum(struct inventory *inventory, const json_t *members, json_t **out);
// Prints them as a table; nothing where there are none.
void limits_print(const json_t *vpcs);
