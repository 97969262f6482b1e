/* SPDX-License-Identifier: Apache-2.0 */
// The stored view of a cluster, for the concepts that make it change and for who watches over it.
#pragma once

#include <jansson.h>

#include "controller/model.h"
#include "controller/status.h"
#include "controller/store.h"

// Computes the cluster's view from what is stored and what nodes reported; stores it, with the next
// epoch, where it is another; takes it away where the cluster is gone. Within a transaction.
// Returns 0, -EIO or -ENOMEM.
int view_rewrite(struct store *store, struct status *status, const char *cluster);
// The same, and raises the alarms that are due.
int view_watch(struct store *store, struct status *status, const char *cluster);

// Refuses where the removed node still has places and is not gone for long. Within changed().
int view_check_removal(struct change *change);

// [{ip, mac, owner: a node's name or null, preference [names]}], a new reference; NULL: the view
// cannot be read.
json_t *view_entrances(struct store *store, const char *cluster);
