/* SPDX-License-Identifier: Apache-2.0 */
// The truth of the controller: objects as JSON in one SQLite file, changed in whole transactions.
//
// Schema (SQLite, WAL, synchronous=FULL: what was answered 201 survives power loss):
//   objects(kind, id, name, scope, number, revision, body, extra)   PRIMARY KEY(kind, id),
//       UNIQUE(kind, scope, name). kind is the plural word of api/README.md. scope is the VPC's id
//       for subnets, ports and security-groups, else ''. number counts from 1 within the kind and
//       is never used again: of a node its index in the view, of a subnet or a security group the
//       number that the data path knows it by. body is the object as REST answers it, without what
//       REST computes anew each time (status; a cluster's entrances); references are ids and every
//       field of the kind is there (null where it may be absent). extra is what only the published
//       Zeta API remembers, or NULL.
//   claims(what, value, kind, id)   PRIMARY KEY(what, value): what may be taken once, and by whom:
//       "vni", "member" (name of a node or host, as in its certificate), "underlay:<cluster id>"
//       (entrance, node and host addresses on the tenant side), "zgc:<cluster id>" (node
//       addresses), "address:<vpc id>", "prefix:<vpc id>", "mac:<vpc id>", "interface:<host id>",
//       "function-slot:<cluster id>", "peering:<vpc id>" (ids of VPCs that it has a peering to),
//       "moving" (id of a cluster that a VPC goes to or comes from).
//   refs(kind, id, to_kind, to_id)   who refers to whom; keeps what is referred to from going.
//   counters(kind, last, live)   the last number given, and how many objects there are.
//   changes(revision, kind, id, removed)   the last change of each object, PRIMARY KEY(kind, id).
//   meta(key, value)   "revision" of the last change, "pruned": changes up to it may be missing.
//
// Bodies, beyond the fields of api/README.md:
//   views   {id: cluster id, name, description, epoch, entrances [{index, ip, mac, owner: node id
//           or null, preference [node ids]}], chains [{number (from 0), epoch, founded (0: not
//           yet), replicas: how many of the voters, voters [{node: index, boot}]}], revision}
//   functions   versions[]: object in base64, place 0 or 1; slot in the nodes' table
//   vpcs    service_chain may be null; policy: integer, grows with every change that may alter a
//           decision of the VPC; functions: names of the network functions in order, as
//           service_chain has them; else "divider" and "bouncer", before them "peering",
//           "load-balancer" and "nat", and after them "acl" and "security-group" where it has any;
//           peers: ids of the VPCs with which it has a peering that both sides have, in order;
//           tenant may be null; move: null, or as modules/vpc/transfer.h says
//   security-groups   rules[]: every rule has direction, protocol (word or number), port_min,
//           port_max (0..65535: any), remote_cidr and remote_group (id), at most one not null
//   ports   interface may be null (OVS hosts); subnets: gateway may be null
// A port's addresses on the underlay are its host's: a change of a host is one of its ports too,
// although only the host is in changes.
//
// Threads: a store may be used by all of them. One recursive lock guards the one connection; it is
// held from store_begin() to store_commit() or store_rollback(), and between store_lock() and
// store_unlock(), which readers use where several reads must agree. Callbacks run under the lock.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/own.h"

struct store;

#define OBJECT_ID 65 // ids and names are 1 to 64 characters

// Borrowed by a callback while it runs. json_incref(body) keeps the body; it must not be changed.
struct object {
	const char *kind;
	const char *id;
	const char *name;
	const char *scope;
	uint32_t number;
	uint64_t revision; // of its last change
	json_t *body;
};

// Opens or creates the file, for this program alone; the caller owns *out. ":memory:" is a store of
// its own that is lost. Returns 0; -EINVAL: not a store, of another version, or in use; -EIO,
// -ENOMEM.
int store_open(struct store **out, const char *path);
void store_freep(struct store **store);

void store_lock(struct store *store);
void store_unlock(struct store *store);

// The revision of the last committed change; 0: nothing was ever stored.
uint64_t store_revision(struct store *store);

// Returns what ends the walk: not 0 stops it and is what the reading function returns.
typedef int (*object_fn)(const struct object *object, void *arg);

// Calls back once. Returns what it returned; -ENOENT: no such object; -EIO, -ENOMEM.
int store_get(struct store *store, const char *kind, const char *id, object_fn fn, void *arg);
int store_get_by_name(struct store *store, const char *kind, const char *scope, const char *name,
		      object_fn fn, void *arg);
// Every object of the kind, in order of number. scope NULL: all of them.
int store_list(struct store *store, const char *kind, const char *scope, object_fn fn, void *arg);
// Every object of kind that refers to the object (to_kind, to_id), in order of number.
int store_list_referring(struct store *store, const char *kind, const char *to_kind,
			 const char *to_id, object_fn fn, void *arg);

// The body of an object, a new reference; NULL: not there, or it could not be read.
json_t *store_body(struct store *store, const char *kind, const char *id);
// The extra of an object, a new reference; NULL: it has none.
json_t *store_extra(struct store *store, const char *kind, const char *id);
// How many objects of the kind there are. Returns 0 or -EIO.
int store_count(struct store *store, const char *kind, uint64_t *out);

// Every object changed after the revision, once, in order of its last change, up to *now, which
// the caller passes next time. Returns 0, what the callback returned, or -ESTALE: the changes since
// then are not all there any more, a snapshot is needed; -EIO.
typedef int (*change_fn)(uint64_t revision, const char *kind, const char *id, bool removed,
			 void *arg);
int store_changes_since(struct store *store, uint64_t revision, uint64_t *now, change_fn fn,
			void *arg);

// fn runs after each committed change, on the thread that committed, without the store's lock held.
// Two commits may be told in either order: fn asks store_changes_since(). It must not block.
// Listeners are added before other threads use the store, or removed with the same fn and arg
// when no commit is under way. Returns 0 or -ENOMEM.
typedef void (*store_fn)(uint64_t revision, void *arg);
int store_listen(struct store *store, store_fn fn, void *arg);
void store_unlisten(struct store *store, store_fn fn, void *arg);

// Writing, for REST alone. All that happens up to store_commit() has one revision, which
// store_next_revision() tells; a transaction in which no object changed takes none.
int store_begin(struct store *store);
int store_commit(struct store *store);
void store_rollback(struct store *store);
uint64_t store_next_revision(const struct store *store);

// The number that the next new object of the kind will have. Returns 0 or -EIO.
int store_next_number(struct store *store, const char *kind, uint32_t *out);
// Adds or replaces; sets "revision" in body, whose "id" and "name" it uses. extra may be NULL.
// Returns 0; -EEXIST: the name is taken in this scope; -EIO, -ENOMEM.
int store_put(struct store *store, const char *kind, const char *scope, json_t *body,
	      const json_t *extra);
// Takes its claims and references away too. Returns 0; -ENOENT; -EIO.
int store_remove(struct store *store, const char *kind, const char *id);

struct holder {
	char kind[32];
	char id[OBJECT_ID];
	char name[OBJECT_ID];
};

// Takes value for the object. Returns 0 (also where it had it); -EEXIST: *holder has it; -EIO.
int store_claim(struct store *store, const char *what, const char *value, const char *kind,
		const char *id, struct holder *holder);
// Returns 0 and who holds value; -ENOENT: nobody; -EIO.
int store_holder(struct store *store, const char *what, const char *value, struct holder *holder);
// Every value held of what, in no order.
typedef int (*claim_fn)(const char *value, const char *kind, const char *id, void *arg);
int store_claims(struct store *store, const char *what, claim_fn fn, void *arg);
// How many values objects of a kind hold together, of whatever. Returns 0; -EIO.
int store_count_held(struct store *store, const char *kind, uint64_t *out);
// Forgets what the object holds and whom it refers to; a replacement claims anew.
int store_release(struct store *store, const char *kind, const char *id);

int store_refer(struct store *store, const char *kind, const char *id, const char *to_kind,
		const char *to_id);
// Returns 0 and one who refers to the object, itself aside; -ENOENT: nobody; -EIO.
int store_referrer(struct store *store, const char *to_kind, const char *to_id,
		   struct holder *holder);
