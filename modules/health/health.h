/* SPDX-License-Identifier: Apache-2.0 */
// Whether backends are there: a thread of the agent that connects to them, through the pair of
// interfaces of shared/health.h. Every flow table node checks all backends for itself, as each of
// them decides about connections: so there is nobody whose word has to be waited for.
//
// The agent's other thread says what is to be checked, and asks what came of it.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>
#include <stddef.h>

#include "modules/health/judge.h"
#include "shared/limits.h"

struct health_checks;

// Starts the thread. changed is called on it when a backend is taken for something else. NULL: no
// memory, or no thread.
struct health_checks *health_start(void (*changed)(void *context), void *context);
// This node's index; is_checking: it is a flow table node with programs loaded.
void health_configure(struct health_checks *health, __u32 index, int is_checking);
// The maps hold all targets that there are now; until this is said it is not checked.
void health_reachable(struct health_checks *health);

#define HEALTH_NAME 65 // an id with its NUL
#define HEALTH_WHY 32

// A backend of a listener, and how it is checked.
struct health_target {
	char backend[HEALTH_NAME];
	__u8 protocol; // of the listener
	__u8 http;
	__u8 pad;
	__u16 port;	  // of the listener
	__u16 check_port; // where it is checked
	__u32 vni;
	struct in6_addr address;
	struct check check;
	char path[MAX_CHECK_PATH + 4]; // HTTP
};
_Static_assert(sizeof(struct health_target) == 240, "compared whole: no padding");

// What targets belong to: a load balancer, or an uplink's port, which is its own target.
enum health_of {
	HEALTH_OF_BALANCER,
	HEALTH_OF_UPLINK,
};

// All targets of such a one (its id), between these two; what is not wanted again is checked no
// more. place: which entry of map "checked" it has. Returns what it is taken for; -ENOSPC: there
// is no place; -ENOMEM.
void health_begin(struct health_checks *health, enum health_of of, const char *id);
int health_want(struct health_checks *health, const struct health_target *target, __u32 *place);
void health_end(struct health_checks *health);

// One whose targets are not what they were when it was last asked about; 0: none.
int health_changed(struct health_checks *health, enum health_of *of, char id[HEALTH_NAME]);

struct health_state {
	char balancer[HEALTH_NAME]; // empty: the backend is an uplink's port
	char backend[HEALTH_NAME];
	__u8 protocol;
	__u16 port;
	enum health health;
	char why[HEALTH_WHY]; // how the last check failed that did
};

// For reports: up to most, those first that are not up. Returns how many.
size_t health_tell(struct health_checks *health, struct health_state *out, size_t most);
