// SPDX-License-Identifier: Apache-2.0
// What a table of fields cannot say about a port's limits.
#include "modules/limits/limits_controller.h"

#include <string.h>

#include "shared/limits.h"

const struct field limit_fields[] = {{.name = "bits_per_s",
				      .type = FIELD_INTEGER,
				      .nullable = true,
				      .min = MIN_BITS_PER_S,
				      .max = MAX_BITS_PER_S},
				     {.name = "packets_per_s",
				      .type = FIELD_INTEGER,
				      .nullable = true,
				      .min = 1,
				      .max = MAX_PACKETS_PER_S},
				     {.name = "burst_ms",
				      .type = FIELD_INTEGER,
				      .min = 1,
				      .max = MAX_BURST_MS,
				      .fallback = "100"},
				     {}};

static const char *const of_edges[] = {"egress_limit", "ingress_limit", "dscp"};

const char *limits_asked(const json_t *port)
{
	const json_t *value;

	for (size_t i = 0; i < sizeof(of_edges) / sizeof(of_edges[0]); i++) {
		value = json_object_get(port, of_edges[i]);
		if (value && !json_is_null(value))
			return of_edges[i];
	}
	return NULL;
}

static int limits_something(struct change *change, const char *field)
{
	const json_t *limit = json_object_get(change->after, field);

	if (!json_is_object(limit) || json_is_integer(json_object_get(limit, "bits_per_s")) ||
	    json_is_integer(json_object_get(limit, "packets_per_s")))
		return 0;
	return refuse(change->problem, 400, field,
		      "%s has neither bits_per_s nor packets_per_s: null is no limit", field);
}

int limits_admit(struct change *change, const json_t *host)
{
	const char *asked = limits_asked(change->after);
	int err;

	if ((err = limits_something(change, "egress_limit")) ||
	    (err = limits_something(change, "ingress_limit")))
		return err;
	if (asked && strcmp(text_in(host, "kind"), "edge") != 0)
		return refuse(change->problem, 409, asked,
			      "%s: host \"%s\" is no edge host, so nobody there would see to it",
			      asked, text_in(host, "name"));
	return 0;
}
