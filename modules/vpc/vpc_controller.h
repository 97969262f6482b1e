/* SPDX-License-Identifier: Apache-2.0 */
// What other concepts change of a VPC.
#pragma once

#include "controller/model.h"
#include "controller/store.h"

// Something that may alter a decision of the VPC changed: raises its policy, so that no decision
// made before is used for long, and has its functions follow. Within a transaction. Returns 0,
// -ENOENT, -EIO or -ENOMEM.
int vpc_policy_changed(struct store *store, const char *vpc);

// For kinds whose every object is of one VPC and may alter its decisions: struct kind.changed.
int vpc_object_changed(struct change *change);
