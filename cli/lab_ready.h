/* SPDX-License-Identifier: Apache-2.0 */
// Waiting for a cloud's daemons, and saying how far they are.
#pragma once

#include <time.h>

#include "cli/lab_cloud.h"
#include "cli/rest.h"

struct waiting {
	const struct cloud *cloud;
	struct rest *rest; // once the controller answers
	struct timespec began;
	char after[32]; // reports of this second or before do not count; "": all do
};

double seconds_since(const struct timespec *then);

// One line on standard error, which a terminal shows in place of the last one.
void progress(const struct waiting *waiting, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void progress_done(void);

// Moves this process into the controller's network namespace (what else it needs of the network
// must be open), and waits until the controller answers; then waiting->rest is the caller's. Says
// what was wrong. Returns 0 or -errno.
int await_controller(struct waiting *waiting, int net);
// What the controller heard before now does not count: daemons are being started anew.
void await_news(struct waiting *waiting);
// Waits until every node and host has applied what it was told (all that the controller has, unless
// await_news() was called: later changes need not concern every node), and every port is ready.
// Fails where nothing more becomes ready for long.
int await_ready(struct waiting *waiting);
