/* SPDX-License-Identifier: Apache-2.0 */
// What flow table nodes say of NATs.
#pragma once

#include "controller/status.h"
#include "controller/store.h"
#include "lib/address.h"

struct nat_trouble {
	char id[OBJECT_ID];
	char nat[OBJECT_ID], vpc[OBJECT_ID]; // names
	char address[ADDRESS_TEXT];
	uint64_t refused; // connections' packets, on all nodes that still tell of it
};

// Calls fn for each address of a NAT that had no port left lately, as the cluster's nodes report.
// Returns 0 or a negative errno.
int nat_troubles(struct store *store, struct status *status, const char *cluster,
		 void (*fn)(const struct nat_trouble *trouble, void *arg), void *arg);

// Whether what an inside port has outside it has towards everybody; and whether who sends there
// reaches it.
bool nat_maps(const json_t *nat);
bool nat_is_open(const json_t *nat);
