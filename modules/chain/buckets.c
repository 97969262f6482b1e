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

int view_buckets(const json_t *view, uint16_t table[BUCKETS])
{
	const json_t *chains = json_object_get(view, "chains");
	size_t count = json_array_size(chains), i;
	auto_(freep) struct maglev_chain *all = calloc(count + 1, sizeof(*all));
	auto_(freep) char(*ids)[CHAIN_ID] = calloc(count + 1, sizeof(*ids));
	json_int_t number;

	if (!all || !ids)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		number = integer_in(json_array_get(chains, i), "number");
		if (number < 0 || number >= MAX_CHAINS)
			return -EINVAL;
		chain_id(ids[i], text_in(view, "id"), (uint32_t)number);
		all[i] = (struct maglev_chain){.id = ids[i], .number = (uint16_t)number};
	}
	return maglev_fill(table, all, count);
}
