/* SPDX-License-Identifier: Apache-2.0 */
// What ports ask of the routes of their VPC.
#pragma once

#include "controller/model.h"

// Whether a port keeps the addresses that routes name as next hops. Returns 0, or what refuse()
// says.
int routes_admit(struct change *port);
