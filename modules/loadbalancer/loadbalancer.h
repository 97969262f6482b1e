/* SPDX-License-Identifier: Apache-2.0 */
// A load balancer, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int loadbalancer_entries(const Zeta__Node__V1__LoadBalancer *balancer, struct entries *entries);
// What is known of each backend (enum health): which of it those have that get new connections, the
// best that there is of any with a weight.
int loadbalancer_takes(const Zeta__Node__V1__Listener *listener, const int health[MAX_BACKENDS]);
// It goes: nobody checks its backends any more.
void loadbalancer_forget(const Zeta__Node__V1__LoadBalancer *balancer,
			 struct health_checks *health);
