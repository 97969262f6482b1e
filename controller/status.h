/* SPDX-License-Identifier: Apache-2.0 */
// What nodes and hosts last reported, by name, and what is wrong with clusters; in memory: lost
// with the controller, told anew soon.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct status;

// The caller owns *out. Returns 0 or -ENOMEM.
int status_new(struct status **out);
void status_freep(struct status **status);

// fn runs after each change of who is connected, of a boot id or of what is known of chains, on the
// thread that told it. One listener; NULL: none any more.
void status_listen(struct status *status, void (*fn)(void *arg), void *arg);

// Replaces what the member (a node's or host's name) is known to be. report is a new object that is
// taken over, NULL too: {connected, boot, version, revision, error, verdicts: {NAME: {packets,
// bytes}}, sessions, session_digest (hex string), cached, ready_ports [ids], chains [{number,
// epoch, term, live [{node, boot}], learner ({node, boot} or null), acts, leased, copied, to_copy,
// voters_epoch, voters [{node, boot}], move, to_move}], swept, cleared, peers [{node, boot, alive,
// hears_us, silent_ms, called, answers}], side, away, functions [{slot, place, digest (hex string),
// loaded, why, ..}], backends {load balancer id: [{protocol, port, backend, health, why}]}, nats
// [{vni, address, refused}]}; the last eight may be missing; reported_at is set here. Any thread.
// Returns 0, -EINVAL: not an object, or -ENOMEM.
int status_report(struct status *status, const char *name, json_t *report);
// The stream of the member ended: connected is false from now on, the rest is as last reported.
void status_disconnected(struct status *status, const char *name);

// What the member was sent last is of the store's revision told; up to the revision now nothing was
// changed that it has to hear of. Where it applied the one, it has what it needs of the other: that
// is what is answered of it. Returns 0 or -ENOMEM.
int status_told(struct status *status, const char *name, uint64_t told, uint64_t now);

// What REST answers of the member, without ready_ports, chains, peers, functions, backends and
// nats: a new reference, {"connected": false} where nothing was reported. NULL: out of memory.
json_t *status_get(struct status *status, const char *name);
// Whether the host of this name last reported the port as attached, and is connected.
bool status_port_ready(struct status *status, const char *host, const char *port_id);

struct sighting {
	bool connected;
	uint32_t boot;	     // as last reported; 0: it has no programs loaded, or never spoke
	uint64_t revision;   // of the store: it has what it needs of that
	bool failing;	     // it could not apply something
	uint32_t swept;	     // as last reported
	uint32_t cleared;    // the same: the last move whose end left nothing there
	uint32_t side;	     // the same, while it is connected: as in api/node.proto
	bool away;	     // ..
	uint64_t silent_ms;  // since its last report
	uint64_t missing_ms; // since it is not connected with programs loaded, 0: it is. Of who
			     // never was: since it was first asked for
};
void status_sighting(struct status *status, const char *name, struct sighting *out);
// What a member that is connected reported of chains and peers: new references, which nobody
// changes; NULL: nothing.
json_t *status_chains(struct status *status, const char *name);
json_t *status_peers(struct status *status, const char *name);
// The same of pushed functions.
json_t *status_functions(struct status *status, const char *name);
// The same of the backends that it checks.
json_t *status_backends(struct status *status, const char *name);
// The same of the addresses of NATs that had no port left lately.
json_t *status_nats(struct status *status, const char *name);

// Replaces what is wrong with the cluster (its id). raised is a list of {key, severity, what, chain
// (number or null), node (name or null), message, mark, patience_ms} that is taken over: an alarm
// sounds when it has been raised, with the same key and mark, for so long. Returns 0 or -ENOMEM.
int status_raise(struct status *status, const char *cluster, const char *name, json_t *raised);
// For how long the alarm with that key has been raised, with the same mark; 0: it is not.
uint64_t status_raised_ms(struct status *status, const char *cluster, const char *key);
// [{since, severity, what, cluster (name), chain, node, message}] in the order in which they were
// raised; cluster NULL: of all. A new reference; NULL: out of memory.
json_t *status_alarms(struct status *status, const char *cluster);
