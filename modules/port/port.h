/* SPDX-License-Identifier: Apache-2.0 */
// An endpoint of a VPC, and a workload's interface on this host, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int port_entries(const Zeta__Node__V1__Port *port, struct entries *entries);
int local_port_entries(const Zeta__Node__V1__LocalPort *port, struct entries *entries);
