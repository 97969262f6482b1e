/* SPDX-License-Identifier: Apache-2.0 */
// Makes the controller have what documents say.
#pragma once

#include "cli/document.h"
#include "cli/inventory.h"

struct apply_error {
	size_t document; // index of the document that could not be applied
	char text[1024]; // one sentence, with the object's kind and name
};

// Called for each object that is settled: "created", "configured", "unchanged" or "deleted".
typedef void apply_told(void *context, const struct kind *kind, const char *name,
			const char *outcome);

// Creates or updates what each document describes ({kind: .., name: .., fields}), kinds that others
// refer to first; deletes in the opposite order, and what is not there is no error. Stops at the
// first failure: what was done before stays. told may be NULL.
// Returns 0; -EINVAL: a document makes no sense; what rest_call() returned.
int apply_documents(struct inventory *inventory, const struct documents *documents,
		    apply_told *told, void *context, struct apply_error *error);
int delete_documents(struct inventory *inventory, const struct documents *documents,
		     apply_told *told, void *context, struct apply_error *error);
