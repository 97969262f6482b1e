/* SPDX-License-Identifier: Apache-2.0 */
// Clusters whose VPCs one host carries.
#pragma once

#include "controller/model.h"

// Whether one host can know both clusters: its edge has one tunnel and one OAM port, a workload one
// MTU, and an entrance is told by its address. Returns 0, or -EEXIST with *problem filled: field,
// or where that is NULL the one in which they differ.
int clusters_agree(struct problem *problem, const char *field, const json_t *one,
		   const json_t *other);
