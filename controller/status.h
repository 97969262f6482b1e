/* SPDX-License-Identifier: Apache-2.0 */
// What nodes and hosts last reported, by name, in memory: lost with the controller, told anew soon.
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct status;

// The caller owns *out. Returns 0 or -ENOMEM.
int status_new(struct status **out);
void status_freep(struct status **status);

// Replaces what the member (a node's or host's name) is known to be. report is a new object that is
// taken over, NULL too: {connected, boot, version, revision, error, verdicts: {NAME: {packets,
// bytes}}, sessions, session_digest (hex string), cached, ready_ports [ids]}; reported_at is set
// here. Any thread. Returns 0, -EINVAL: not an object, or -ENOMEM.
int status_report(struct status *status, const char *name, json_t *report);
// The stream of the member ended: connected is false from now on, the rest is as last reported.
void status_disconnected(struct status *status, const char *name);

// What REST answers of the member, without ready_ports: a new reference, {"connected": false} where
// nothing was reported. NULL: out of memory.
json_t *status_get(struct status *status, const char *name);
// Whether the host of this name last reported the port as attached, and is connected.
bool status_port_ready(struct status *status, const char *host, const char *port_id);
