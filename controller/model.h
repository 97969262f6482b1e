/* SPDX-License-Identifier: Apache-2.0 */
// What may be stored: kinds of objects, their fields and rules. Both HTTP interfaces change the
// store through here, between store_begin() and store_commit(), and answer from here.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/field.h"
#include "controller/status.h"
#include "controller/store.h"

struct model {
	struct store *store;
	struct status *status;
};

struct kind;

// One object on its way to being added, replaced or removed.
struct change {
	struct store *store;
	struct status *status;
	struct problem *problem;
	const struct kind *kind;
	const char *id;
	uint32_t number;
	const json_t *before; // NULL: it is new
	json_t *after;	      // NULL: it goes
};

struct kind {
	const char *name;	    // as in the path: "ports"
	const char *one;	    // as in sentences: "port"
	const struct field *fields; // beside id, name and description, which every kind has
	bool read_only;
	bool in_vpc;	// named within the VPC that its field "vpc" refers to
	uint64_t limit; // how many there may be, 0: any number
	// Checks what a table cannot, chooses what was left out, claims what may be taken once.
	// Runs for additions and replacements, when references are ids.
	int (*complete)(struct change *change);
	// Carries the consequences to other objects, after the object was stored or removed; for
	// removals it may still refuse.
	int (*changed)(struct change *change);
	// Adds to body (a copy) what is computed for each answer.
	int (*answer)(struct model *model, json_t *body);
};

extern const struct kind tenant_kind;
extern const struct kind cluster_kind;
extern const struct kind node_kind;
extern const struct kind host_kind;
extern const struct kind vpc_kind;
extern const struct kind subnet_kind;
extern const struct kind route_table_kind;
extern const struct kind port_kind;
extern const struct kind security_group_kind;
extern const struct kind network_acl_kind;
extern const struct kind load_balancer_kind;
extern const struct kind nat_kind;
extern const struct kind peering_kind;
extern const struct kind view_kind;
extern const struct kind function_kind;
extern const struct kind service_chain_kind;

extern const struct kind *const model_kinds[]; // all of them, NULL ends

// NULL: there is no such kind.
const struct kind *model_kind(const char *name);

// All of these return 0 or a negative errno with *problem filled (refuse()); errors of ours leave
// problem->status 0. Objects returned are new references, for the caller alone.

// ref is an id or else a name; vpc (an id) narrows names of kinds in VPCs, NULL: any VPC.
int model_find(struct model *model, const struct kind *kind, const char *vpc, const char *ref,
	       struct problem *problem, json_t **out);
// given is as it came; it is checked. extra: see store.h, may be NULL.
int model_create(struct model *model, const struct kind *kind, const json_t *given,
		 const json_t *extra, struct problem *problem, json_t **out);
int model_replace(struct model *model, const struct kind *kind, const char *id, const json_t *given,
		  const json_t *extra, struct problem *problem, json_t **out);
int model_remove(struct model *model, const struct kind *kind, const char *id,
		 struct problem *problem);
// What REST answers for a body out of the store: a new reference, or NULL.
json_t *model_answer(struct model *model, const struct kind *kind, const json_t *body);

// For the concepts' complete(): takes value, which stands in the field, for the changed object.
// scope may be NULL; else what becomes "what:scope".
int change_claim(struct change *change, const char *field, const char *what, const char *scope,
		 const char *value);

// For the concepts' answer(): adds what the node or host of this name reported.
int answer_status(struct model *model, json_t *body);
