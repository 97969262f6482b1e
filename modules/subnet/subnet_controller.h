/* SPDX-License-Identifier: Apache-2.0 */
// What ports ask of the subnets of their VPC.
#pragma once

#include <netinet/in.h>

#include "controller/model.h"

// Whether a port of the VPC may have the address: it is a host's address in one of the subnets, or
// the VPC has none (the published Zeta API knows no subnets). Returns 0, or what refuse() says.
int subnet_admits(struct change *port, const char *vpc, const char *field, const char *text);
// Whether the address is a host's in one of the VPC's subnets, and that has a gateway, whose MAC
// answers for it. Returns 0, or what refuse() says.
int subnet_serves(struct change *change, const char *vpc, const char *field, const char *text);
// Whether a port of the VPC may have the MAC: no subnet's gateway has it.
int subnet_admits_mac(struct change *port, const char *vpc, const char *mac);
