/* SPDX-License-Identifier: Apache-2.0 */
// The gateway nodes that are measured, and their sessions. A failure ends the process.
#pragma once

#include "bench/sessions.h"
#include "datapath/gateway_nodes.h"

struct floor;

#define TICK_Q10 1 // the clock of the programs goes slowly: nothing is ever old
#define FWD 1

// One entrance, owned by node FWD, and the VPC of the sessions.
void world_put(const struct node *n);
// What a driving program makes its packets of.
void world_frame(struct driving *driving);
// Has the node's cache know sessions 0 to so many: its flat table, or its kernel map.
void world_fill_flat(const struct node *n, __u32 sessions);
void world_fill_kernel(const struct node *n, __u32 sessions);
// The floor (floor.bpf.c) with the node's maps but for its own lines. The caller destroys it.
struct floor *world_floor(const struct node *n, const char *pins, __u32 pages);
