/* SPDX-License-Identifier: Apache-2.0 */
// Whether a VPC may go to another cluster, and how it goes there.
#pragma once

#include "controller/model.h"
#include "modules/vpc/transfer.h"

// For a VPC's complete(): it keeps its move, or begins one. Fills "move" in change->after.
int transfer_complete(struct change *change);
// For its changed(): what a move keeps from going.
int transfer_changed(struct change *change);
// For its answer(): who is waited for.
int transfer_answer(struct model *model, json_t *body);

// Goes on with every move that is under way. Within a transaction. Returns 0 or a negative errno.
int transfer_watch(struct store *store, struct status *status);
