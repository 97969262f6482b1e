// SPDX-License-Identifier: Apache-2.0
// Exhaustive search of small worlds: every state that can be reached, in every order of events. A
// state is bytes; who has them steps the protocol's own core. States are remembered by 128 bits of
// hash, breadth first, so a trace is a shortest one.
//
//   model.c        the explorer, the list of worlds, the bugs that each must find
//   model_chain.c  a chain: ops, terms, leases, learners, views, forced lists (O1 to O8, M1 to M6)
//   model_alias.c  sessions and aliases, and a path that has an alias (A1 to A5)
//   model_move.c   a bucket that moves (M7)
#pragma once

#include "dft/core.h"
#include "dft/move.h"
#include "dft/term.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct search;

struct model {
	const char *name;
	size_t bytes; // of a state
	void (*begin)(void *state, const void *plan);
	void (*step)(struct search *s, const void *state, const void *plan); // calls came()
	const void *plan;
	const char *bugs; // names of those that it must find, with a blank after each
};

// A state that follows. wrong: the invariant that broke on the way; NULL.
void came(struct search *s, const void *state, const char *wrong);

// Messages on their way: an array of bytes, sorted, as it means nothing in which order they were
// sent. The first byte of each is its kind; 0: there is none.

// Twice the same is a doubling, which has its own event. Returns 0 where there is no room.
bool message_put(void *messages, size_t room, const void *message, size_t bytes);
void message_take(void *messages, size_t room, size_t at, size_t bytes);

// What happened, for the trace; costs nothing where none is told.
bool telling(const struct search *s);
char *event_text(struct search *s);
#define event(s, ...)                                                                              \
	do {                                                                                       \
		if (telling(s))                                                                    \
			snprintf(event_text(s), 120, __VA_ARGS__);                                 \
	} while (0)

extern const struct model chain_models[], alias_models[], move_models[]; // the last has no name
