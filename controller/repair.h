/* SPDX-License-Identifier: Apache-2.0 */
// Watches over clusters: replaces who is gone, moves things off who leaves, spreads what came
// together, and raises alarms. What changes is a view, which the stream tells the nodes.
#pragma once

struct repair;
struct status;
struct store;

// Works in a thread of its own until repair_stop(). The caller owns *out; store and status outlive
// it. Returns 0 or -ENOMEM.
int repair_start(struct repair **out, struct store *store, struct status *status);
// Leaves NULL; NULL inside is allowed.
void repair_stop(struct repair **repair);

// One look at everything, as the thread does it again and again. Returns 0 or what failed.
int repair_look(struct store *store, struct status *status);
