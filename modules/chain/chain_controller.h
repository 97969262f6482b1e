/* SPDX-License-Identifier: Apache-2.0 */
// The stored view of a cluster, for the concepts that make it change.
#pragma once

#include <jansson.h>

#include "controller/store.h"

// Computes the cluster's view anew and stores it with the next epoch; takes it away where the
// cluster is gone. Within a transaction. Returns 0, -EIO or -ENOMEM.
int view_rewrite(struct store *store, const char *cluster);

// [{ip, mac, owner: a node's name or null}], a new reference; NULL: the view cannot be read.
json_t *view_entrances(struct store *store, const char *cluster);
