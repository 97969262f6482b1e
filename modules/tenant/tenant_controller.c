// SPDX-License-Identifier: Apache-2.0
// Tenants own VPCs; the controller knows nothing else of them.
#include "controller/model.h"

static const struct field fields[] = {{}};

const struct kind tenant_kind = {.name = "tenants", .one = "tenant", .fields = fields};
