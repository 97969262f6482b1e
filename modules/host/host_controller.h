/* SPDX-License-Identifier: Apache-2.0 */
// Which VPCs may have ports on a host.
#pragma once

#include "controller/model.h"

// All are bodies of stored objects. The id, lent, of a cluster that carrying the VPC takes and that
// the host does not know; NULL: it may carry it.
const char *host_lacks(const json_t *host, const json_t *vpc);
// Whether an agent of ours hears there which cluster serves a VPC.
bool host_is_told(const json_t *host);
