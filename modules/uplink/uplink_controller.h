/* SPDX-License-Identifier: Apache-2.0 */
// Uplinks: ports of an external VPC whose host tells its routing daemon which addresses the cluster
// answers for.
#pragma once

#include <netinet/in.h>

#include "controller/field.h"

struct change;
struct model;
struct store;

extern const struct field uplink_fields[];

// For a port's complete(): whether it may be an uplink, where it says so. vpc and host: their
// bodies. Returns 0, or what refuse() says.
int uplink_settle(struct change *port, const json_t *vpc, const json_t *host);
// The address that the uplink has outside, and its subnet's gateway. Returns 0; -ENOENT: it has no
// IPv4 address in a subnet with a gateway; -EIO.
int uplink_addresses(struct store *store, const json_t *port, struct in6_addr *ip,
		     struct in6_addr *gateway);
// For a port's answer(): which flow table nodes find that it leads outside.
int uplink_answer(struct model *model, json_t *body);
