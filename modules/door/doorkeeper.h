/* SPDX-License-Identifier: Apache-2.0 */
// Middleboxes at the agent, which holds no rights: who comes says for which function, and gets what
// the loader has for it. One after the other; who says nothing is not waited for long.
#pragma once

#include <poll.h>
#include <stdint.h>

#include "include/zeta/middlebox.h"
#include "node/messages.h"

struct doorkeeper {
	int listening;	   // lent for good; -1: nobody may come
	int guest;	   // -1: nobody is there
	uint64_t until_ms; // .. is waited for
	uint64_t next_ms;  // until then nobody is let in
};

#define DOORKEEPER_POLLS 2

void doorkeeper_open(struct doorkeeper *keeper, int listening);
// What to poll: returns how many.
size_t doorkeeper_polls(const struct doorkeeper *keeper, struct pollfd polls[DOORKEEPER_POLLS]);
// Returns whether somebody has said for which function he comes: then he is to be answered.
int doorkeeper_serve(struct doorkeeper *keeper, struct zeta_hello *hello);
// fds: what he gets, which stays the caller's; NULL where he is refused.
void doorkeeper_answer(struct doorkeeper *keeper, const struct zeta_welcome *welcome,
		       const int fds[DOOR_FDS]);
