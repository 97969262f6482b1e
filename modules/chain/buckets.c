// SPDX-License-Identifier: Apache-2.0
// From the chains of a stored view to its Maglev table.
#include "modules/chain/buckets.h"

#include <errno.h>
#include <stdio.h>

#include "controller/field.h"
#include "modules/chain/maglev.h"

void chain_id(char id[CHAIN_ID], const char *view, uint32_t number)
{
	snprintf(id, CHAIN_ID, "%s/%u", view, number);
}

// With so many chains, from number 0 on.
static int fill(const json_t *view, json_int_t count, uint16_t table[BUCKETS])
{
	auto_(freep) struct maglev_member *all = NULL;
	auto_(freep) char(*ids)[CHAIN_ID] = NULL;
	json_int_t i;

	if (count < 0 || count > MAX_CHAINS)
		return -EINVAL;
	all = calloc((size_t)count + 1, sizeof(*all));
	ids = calloc((size_t)count + 1, sizeof(*ids));
	if (!all || !ids)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		chain_id(ids[i], text_in(view, "id"), (uint32_t)i);
		all[i] = (struct maglev_member){.id = ids[i], .number = (uint16_t)i, .weight = 1};
	}
	return maglev_fill(table, BUCKETS, all, (size_t)count);
}

int view_buckets(const json_t *view, uint16_t table[BUCKETS])
{
	const json_int_t chains = integer_in(json_object_get(view, "spread"), "chains");

	return fill(view, chains ?: (json_int_t)json_array_size(json_object_get(view, "chains")),
		    table);
}

int view_origins(const json_t *view, const uint16_t table[BUCKETS], uint16_t from[BUCKETS])
{
	size_t i;
	int err;

	err = fill(view, integer_in(json_object_get(view, "spread"), "before"), from);
	for (i = 0; !err && i < BUCKETS; i++)
		if (from[i] == table[i])
			from[i] = 0;
	return err;
}
