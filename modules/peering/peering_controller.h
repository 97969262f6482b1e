/* SPDX-License-Identifier: Apache-2.0 */
// What other concepts ask of peerings.
#pragma once

#include "controller/model.h"

// The VPCs whose peerings with this one both sides have: ids in order, a new reference in *out.
// Returns 0, -EIO or -ENOMEM.
int peering_peers(struct store *store, const char *vpc, json_t **out);
// Whether a subnet's VPC may have it as it will be: no subnet overlaps it that is reached from
// where it will be. Returns 0, or what refuse() says.
int peering_admits_subnet(struct change *subnet);
// A VPC's subnets are others now: decisions of its peers follow from them too.
int peering_subnets_changed(struct store *store, const char *vpc);
