/* SPDX-License-Identifier: Apache-2.0 */
// What the controller has, listed once per kind and kept: names for ids and ids for names.
#pragma once

#include <jansson.h>

#include "cli/kind.h"
#include "cli/rest.h"
#include "lib/json.h"

struct inventory {
	struct rest *rest; // lent
	json_t *lists;	   // kind's path -> array of objects
};

// The list of a kind, asked for the first time only; lent. Returns 0 or what rest_call() returned.
int inventory_list(struct inventory *inventory, const struct kind *kind, json_t **list);
// Replaces or appends an object that the controller has answered; consumes it.
void inventory_keep(struct inventory *inventory, const struct kind *kind, json_t *object);
void inventory_drop(struct inventory *inventory, const struct kind *kind, const char *id);
void inventory_free(struct inventory *inventory);

// The object with this id or name, lent; *object is NULL where there is none. vpc (id or name, may
// be NULL) narrows kinds whose names are unique per VPC. Returns 0; -EEXIST: several have the name;
// what rest_call() returned.
int inventory_find(struct inventory *inventory, const struct kind *kind, const char *name,
		   const char *vpc, json_t **object);

// A copy of an object with names where it had ids of others. Returns 0 or what rest_call()
// returned.
int inventory_named(struct inventory *inventory, const struct kind *kind, const json_t *object,
		    json_t **named);
