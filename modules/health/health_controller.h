/* SPDX-License-Identifier: Apache-2.0 */
// What flow table nodes take backends for, put together.
#pragma once

#include "controller/model.h"

// For a load balancer's answer(): adds status {checked, up, down [names], backends [{protocol,
// port, backend, name, state, up [node names], down [node names], why}]}.
int health_answer(struct model *model, json_t *body);

struct health_trouble {
	unsigned int listeners; // that have no backend that is up
	char balancer[OBJECT_ID];
	char protocol[8];
	unsigned int port; // of one of them
};
// Whether there are such in a cluster, as its nodes report. Fills *out then.
bool health_troubled(struct store *store, struct status *status, const char *cluster,
		     struct health_trouble *out);
