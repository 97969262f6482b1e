/* SPDX-License-Identifier: Apache-2.0 */
// Ballots, in a thread of their own of the agent: the membership of this node in every chain
// (members.h), a UDP socket to the daemons of the others, and a socket to the loader.
//
// The agent's other thread says what the controller wants. Its calls wait for what the thread is
// doing just now, and are done when they return.
#pragma once

#include "modules/term/members.h"
#include "node/messages.h"

struct term;

// Starts the thread. socket: to the loader, for ballots alone; the callee's from then on. NULL: no
// memory, or no thread.
struct term *term_start(int socket);
// To be called before rights are given up: the thread of term_start(), which then is called soon,
// shall have a real-time priority, as a vote that comes late stops a chain for as long. Where that
// is not permitted, it has none.
void term_prepare(void);

// The loader carried these settings out; or again, as programs were loaded anew. NODES and WISHES
// are to be told from the beginning.
void term_configure(struct term *term, const struct node_settings *settings);
// Takes a PUT or REMOVE of WISHES or NODES.
void term_take(struct term *term, struct message *message);

// For reports: of up to most chains. Returns how many.
size_t term_states(struct term *term, struct member_state *out, size_t most);

// members_cleared().
__u32 term_cleared(struct term *term);

struct peer_state {
	__u32 node;
	__u32 boot;
	int alive;
	int hears_us;
	__u32 silent_ms;
	int answers, is_called; // on the tenants' network
};

// Of other nodes that were ever heard.
size_t term_peers(struct term *term, struct peer_state *out, size_t most);

// How this node is on the tenants' network: enum beat_side, SIDE_LONG_AGO where its calls are not
// answered; and whether it has given its entrances away.
void term_side(struct term *term, __u32 *side, int *away);
