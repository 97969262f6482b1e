/* SPDX-License-Identifier: Apache-2.0 */
// For tests: objects of pushed functions, through the loader's own code into a node of
// datapath/gateway_nodes.h.
#pragma once

#include "modules/function/functions.h"

struct pushing {
	struct datapath datapath;
	struct functions functions;
	struct message message;
	const char *objects; // the directory of sample_*.o
	char pins[64];
};

// node: the name that it was loaded with. A failure ends the process, here as below.
void pushing_begin(struct pushing *p, const char *node, const char *objects);
void pushing_end(struct pushing *p);

size_t pushing_read(const struct pushing *p, const char *sample, uint8_t bytes[ZETA_OBJECT_BYTES]);
void pushing_bytes(struct pushing *p, const uint8_t *bytes, size_t size, uint32_t slot,
		   uint32_t place);
void pushing_sample(struct pushing *p, const char *sample, uint32_t slot, uint32_t place);
void pushing_runs(struct pushing *p, uint32_t slot, uint32_t place);
