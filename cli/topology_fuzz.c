// SPDX-License-Identifier: Apache-2.0
// Feeds the lab's topologies anything: what is accepted must be whole.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/lab_topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Millions of complaints are of no use.
void complain(const char *format, ...)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct topology topology;
	size_t i;

	if (topology_parse(&topology, "fuzz", (const char *)data, size))
		return 0;
	for (i = 0; i < topology.endpoints; i++) {
		const struct endpoint *endpoint = &topology.endpoint[i];

		if (!endpoint->host->is_host || strchr(endpoint->name, '/') ||
		    strlen(endpoint->interface) > 15 || !*endpoint->interface)
			abort();
	}
	if (!topology.machines || !topology.objects.count)
		abort();
	topology_free(&topology);
	return 0;
}
