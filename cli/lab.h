/* SPDX-License-Identifier: Apache-2.0 */
// Bringing a cloud up, step by step.
#pragma once

#include "cli/lab_cloud.h"
#include "cli/lab_topology.h"

// Namespaces, bridges, links and addresses of a topology. On success *controller is the
// controller's namespace, open. Says what was wrong. Returns 0 or -errno.
int fabric_build(const struct cloud *cloud, const struct topology *topology,
		 struct netns *controller);

// Waits for at most ms, or until SIGINT, SIGTERM or SIGHUP, which are blocked, arrives.
// Returns 0, or -EINTR: one did.
int lab_pause(unsigned int ms);
