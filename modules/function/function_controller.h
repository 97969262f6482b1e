/* SPDX-License-Identifier: Apache-2.0 */
// Pushed functions, and service chains that name them.
#pragma once

#include "controller/store.h"
#include "modules/function/object.h"

struct change; // controller/model.h

// The version of that name, lent; NULL: there is none.
const json_t *function_version(const json_t *function, const char *version);
// Reads a version's object; *bytes, unless NULL, is the caller's. Returns 0; -EINVAL: why is a
// sentence; -ENOMEM.
int function_read(const json_t *version, struct function_object *out, uint8_t **bytes, size_t *size,
		  char why[OBJECT_WHY]);
// The function of this name, a new reference; NULL: there is none.
json_t *function_named(struct store *store, const char *name);

// Whether the service_chain that the VPC says itself has a function of this name.
bool service_chain_has(const json_t *vpc, const char *function);

// The same of a chain that is not the VPC's own: change->after has its functions.
int later_chain_settle(struct change *change, const json_t *vpc);

// Checks the VPC's service_chain, refers to its functions, and sets the list "functions" that
// follows from it. Where the VPC has none it does nothing. Returns 0 or -errno, with *problem.
int service_chain_settle(struct change *vpc);
