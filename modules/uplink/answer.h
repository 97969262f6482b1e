/* SPDX-License-Identifier: Apache-2.0 */
// The agent of a border host answers flow table nodes for each uplink that leads outside: it
// accepts connections at the uplink's address, and closes them. Where nobody does, the host's
// kernel says so.
#pragma once

#include <poll.h>

#include "node/messages.h"

struct answer {
	struct interface_name name;
	struct in6_addr ip;
	int fd;
	int wanted;
};

// Zeroed is empty.
struct answers {
	size_t count;
	struct answer answer[MAX_HOST_UPLINKS];
};

// Between these two all that are to be answered for; what is not said again is not any more.
void answers_begin(struct answers *answers);
// Returns 0 or a negative errno: then it is tried again when it is said again.
int answers_want(struct answers *answers, const struct interface_name *name,
		 const struct in6_addr *ip);
void answers_end(struct answers *answers);

// What to poll: returns how many.
size_t answers_polls(const struct answers *answers, struct pollfd polls[MAX_HOST_UPLINKS]);
// Answers who has asked.
void answers_serve(const struct answers *answers);
