/* SPDX-License-Identifier: Apache-2.0 */
// The loader's part of the pacemaker: it makes the pair of interfaces, puts the frame into it, and
// says to whom heartbeats go. All of it goes on when the loader ends.
#pragma once

#include <bpf/libbpf.h>
#include <linux/types.h>

#include "node/tables.h"

struct pacer {
	const char *dir; // of the pins, lent
	__u32 node;
	__u32 boot;
	__u32 roles;   // NODE_*
	__u32 beat_ms; // 0: there is none
	struct interface_name tenant;
	struct interface_name zgc;
	int seed;	 // program, lent from the object
	int round;	 // ..
	int hasten;	 // ..
	__u64 rounds;	 // that were, when it was last looked at
	__u64 look_ms;	 // when it is looked at next
	__u64 follow_ms; // when the lists follow; 0: they do
};

// Has the programs of the loaded object run from now on; what a former loader started is taken
// over. Both ends of the pair are in the network namespace that the caller is in. Returns 0 or a
// negative errno.
int pacemaker_start(struct pacer *pacer, struct bpf_object *object);
// Ends it, in whichever state it is.
void pacemaker_stop(const char *dir);

// Nodes, chains, entrances or interfaces changed: the lists follow with the next step, so that who
// tells of many changes waits for none.
void pacemaker_changed(struct pacer *pacer);
// A chain has another term: where this node is in it, it asks for its lease at once, not when its
// next round is due. The chain is in the kernel already.
void pacemaker_hasten(const struct pacer *pacer, __u32 number, const struct chain_value *chain);
// Does what is due. Returns in how many milliseconds it wants to be called again.
int pacemaker_step(struct pacer *pacer);

// What a step does. Every second: whether rounds go on; if not, it begins anew and says so.
void pacemaker_look(struct pacer *pacer);
// Whom to beat to, for which chains, and whether this node is fit to serve. Returns 0 or a negative
// errno.
int pacemaker_follow(const struct pacer *pacer);
