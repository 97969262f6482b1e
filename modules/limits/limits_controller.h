/* SPDX-License-Identifier: Apache-2.0 */
// What a port and a VPC may send and get, as the API has it (docs/limits.md): the port's host's
// edge sees to it, and the VPC's forwarders.
#pragma once

#include "controller/model.h"

// Fields of a limit: bits and packets per second, and the burst.
extern const struct field limit_fields[];
// .. of a mirror: where copies go, of what, and how much.
extern const struct field mirror_fields[];

// Whether the field, a limit, is of anything. Returns 0 or -errno with change->problem filled.
int limits_something(struct change *change, const char *field);
// Which field of a port asks something of its host that only our edge does; NULL: none.
const char *limits_asked(const json_t *port);
// Whether the changed port's limits make sense, and its host keeps them. Returns 0 or -errno with
// change->problem filled.
int limits_admit(struct change *change, const json_t *host);
