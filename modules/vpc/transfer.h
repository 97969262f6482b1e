/* SPDX-License-Identifier: Apache-2.0 */
// A VPC goes from one cluster to another under traffic (docs/dft.md M8). It is in its body, as
// "move": null, or {from: the old cluster's id, number, phase, since_ms, lists: {cluster's id:
// {chain's number: [indices of the nodes in its list, head first]}}, as reported}; "cluster" is the
// new one from the beginning. A cluster takes part in one move at a time.
#pragma once

#include "controller/store.h"

enum transfer_phase {
	TRANSFER_NONE,
	TRANSFER_PREPARE,   // all nodes of both clusters hear of it, and of all of the VPC
	TRANSFER_HAND_OVER, // the old chains hand over
	TRANSFER_TURN,	    // hosts turn to the new entrances
	TRANSFER_REST,	    // until nobody believes what the old cluster has said
	TRANSFER_CLEAR,	    // the old cluster forgets
};

enum transfer_phase transfer_phase(const json_t *vpc);

// Whether a VPC goes to the cluster, or comes from it. Returns 0 or a negative errno.
int transfer_holds(struct store *store, const char *cluster, bool *holds);

// Calls fn for each VPC that moves. Returns 0, or what ended the walk.
int transfer_list(struct store *store, object_fn fn, void *arg);
