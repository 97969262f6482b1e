/* SPDX-License-Identifier: Apache-2.0 */
// The process that speaks to the controller: it turns what should be true into messages to the
// loader, and what is into reports.
#pragma once

#include "lib/rpc.h"
#include "node/rights.h"

struct agent {
	const char *name;	// of the node or host
	const char *controller; // HOST:PORT
	struct rpc_tls tls;
	struct user user; // whom it becomes
	int socket;	  // to the loader
	int ballots;	  // to the loader, too: for ballots alone
	int door;	  // listens for middleboxes; -1: none may come
};

// Gives up its rights, then serves until the loader is gone. Returns the exit status.
int agent_run(const struct agent *agent);
