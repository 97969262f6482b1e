/* SPDX-License-Identifier: Apache-2.0 */
// Which VPCs may have ports on a host.
#pragma once

#include "controller/model.h"

// Both are bodies of stored objects.
bool host_carries(const json_t *host, const json_t *vpc);
