// SPDX-License-Identifier: Apache-2.0
// What a table of fields cannot say about limits.
#include "modules/limits/limits_controller.h"

#include <string.h>

#include "lib/address.h"
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

static const char *const directions[] = {"egress", "ingress", "both", NULL};

const struct field mirror_fields[] = {
	{.name = "collector", .type = FIELD_ADDRESS, .required = true},
	{.name = "vni", .type = FIELD_INTEGER, .max = 0xFFFFFF, .fallback = "0"},
	{.name = "direction", .type = FIELD_CHOICE, .choices = directions, .fallback = "\"both\""},
	{.name = "bytes",
	 .type = FIELD_INTEGER,
	 .min = MIN_MIRROR_BYTES,
	 .max = MAX_MIRROR_BYTES,
	 .fallback = "65535"},
	{.name = "bits_per_s",
	 .type = FIELD_INTEGER,
	 .min = MIN_BITS_PER_S,
	 .max = MAX_BITS_PER_S,
	 .fallback = "100000000"},
	{}};

static const char *const of_edges[] = {"egress_limit", "ingress_limit", "connections_per_s", "dscp",
				       "mirror"};

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

int limits_something(struct change *change, const char *field)
{
	const json_t *limit = json_object_get(change->after, field);

	if (!json_is_object(limit) || json_is_integer(json_object_get(limit, "bits_per_s")) ||
	    json_is_integer(json_object_get(limit, "packets_per_s")))
		return 0;
	return refuse(change->problem, 400, field,
		      "%s has neither bits_per_s nor packets_per_s: null is no limit", field);
}

static int mirrors_somewhere(struct change *change)
{
	const char *text = text_in(json_object_get(change->after, "mirror"), "collector");
	struct in6_addr collector;

	if (!text || address_parse(text, &collector) || IN6_IS_ADDR_V4MAPPED(&collector))
		return 0;
	return refuse(change->problem, 400, "mirror.collector",
		      "mirror.collector must be an IPv4 address");
}

int limits_admit(struct change *change, const json_t *host)
{
	const char *asked = limits_asked(change->after);
	int err;

	if ((err = limits_something(change, "egress_limit")) ||
	    (err = limits_something(change, "ingress_limit")) || (err = mirrors_somewhere(change)))
		return err;
	if (asked && strcmp(text_in(host, "kind"), "edge") != 0)
		return refuse(change->problem, 409, asked,
			      "%s: host \"%s\" is no edge host, so nobody there would see to it",
			      asked, text_in(host, "name"));
	return 0;
}
