/* SPDX-License-Identifier: Apache-2.0 */
// What this node should be, as its controller told: objects, the map entries they stand for, and
// which of these the maps do not hold yet. Pure memory: the agent carries messages between this
// and the loader.
//
// An entry belongs to the object that put it last. So an address that moves from one port to
// another in one update is put once and never removed in between.
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "api/node.pb-c.h"
#include "node/messages.h"

struct desired;
struct health_checks;

// NULL: no memory.
struct desired *desired_new(void);
void desired_free(struct desired *desired);
void desired_freep(struct desired **desired);

// Takes an update, which is the callee's from then on, whatever comes of it. One that says more
// only waits for those that follow it: they take effect together, so that the maps never follow
// half of a step. A snapshot takes the place of whatever waited. After it, objects that it does not
// name are gone. A refused object is kept as refused: see desired_refused(). Returns 0; -ENOMEM:
// part of it may be missing, ask for a snapshot.
int desired_update(struct desired *desired, Zeta__Node__V1__Update *update);
// Forgets updates that wait for more, which will not come: the connection was lost.
void desired_break_off(struct desired *desired);

// The node's settings, or NULL: the controller gave none. Lent until the next update.
const Zeta__Node__V1__NodeSettings *desired_settings(const struct desired *desired);
// The sentence about an object that was refused, or NULL: there is none.
const char *desired_refused(const struct desired *desired);
// Ids of the wanted LocalPort whose interface has this name, or NULL.
const char *desired_local_port(const struct desired *desired, const struct interface_name *name);
// The uplink of this interface, lent until the next change; NULL: there is none.
const struct uplink_value *desired_uplink(const struct desired *desired,
					  const struct interface_name *name);

// The slot of a pushed function, by its name or id, and its hash, as in struct function_run. 0:
// there is none.
__u32 desired_function(const struct desired *desired, const char *function, __u64 *hash);

// Who checks the backends of load balancers, lent for good.
void desired_check(struct desired *desired, struct health_checks *health);
// Has the entries of load balancers follow whose backends are taken for something else now. Returns
// how many there were, or -ENOMEM.
int desired_follow_health(struct desired *desired);

// The loader has loaded programs for these roles (NODE_*): every object is translated for them, and
// every entry is to be put again, as the maps may be new ones.
int desired_reload(struct desired *desired, __u32 roles);
// Whether some object wants this key to be there.
int desired_wants(const struct desired *desired, enum table table, const void *key);

// Fills the next PUT or REMOVE of what the maps lack. Returns 1; 0: nothing (more) to do now.
int desired_batch(struct desired *desired, struct message *message);
// How that message went: its first done entries are in the maps; if there were more, the one
// after them failed and waits for desired_retry().
void desired_done(struct desired *desired, size_t done);
void desired_retry(struct desired *desired);
// How many entries the maps still lack, or hold too many of.
size_t desired_pending(const struct desired *desired);
