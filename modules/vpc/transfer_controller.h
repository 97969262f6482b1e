/* SPDX-License-Identifier: Apache-2.0 */
// Whether a VPC may go to another cluster, and how it goes there.
#pragma once

#include "controller/model.h"
#include "modules/vpc/transfer.h"

// For a VPC's complete(): it keeps its move, or begins one; or gives up one that nothing was done
// of, where its cluster is the old one again. Fills "move" in change->after.
int transfer_complete(struct change *change);
// For its changed(): what a move keeps from going.
int transfer_changed(struct change *change);
// For its answer(): who is waited for.
int transfer_answer(struct model *model, json_t *body);
// For a node's complete(): while a VPC goes between clusters their nodes share no address.
int transfer_admits_node(struct change *change);

struct transfer_wait {
	json_int_t mark; // another one: it goes on
	const char *phase;
	char vpc[OBJECT_ID];
	char names[160];
};
// Whether a VPC goes to the cluster, and waits. Fills *out then.
bool transfer_waits(struct store *store, struct status *status, const char *cluster,
		    struct transfer_wait *out);

// Goes on with every move that is under way. Within a transaction. Returns 0 or a negative errno.
int transfer_watch(struct store *store, struct status *status);
