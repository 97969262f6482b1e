/* SPDX-License-Identifier: Apache-2.0 */
// The process that may touch the kernel. It answers the agent's messages, follows interfaces, and
// reads nothing else from anybody.
#pragma once

#include <sys/types.h>

#include "node/datapath.h"

struct loader {
	const char *dir; // of pins
	enum xdp_mode mode;
	enum session_table table;
	__u32 sessions; // that a flow table has room for
	int doors;	// middleboxes may come
	int socket;	// to the agent
	int ballots;	// the agent's second one
	pid_t agent;
};

// Serves until SIGTERM or SIGINT, or until the agent ends, which it then says. SIGTERM, SIGINT and
// SIGCHLD must be blocked. Returns the exit status.
int loader_run(const struct loader *loader);
