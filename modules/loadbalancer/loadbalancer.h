/* SPDX-License-Identifier: Apache-2.0 */
// A load balancer, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int loadbalancer_entries(const Zeta__Node__V1__LoadBalancer *balancer, struct entries *entries);
