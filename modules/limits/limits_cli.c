// SPDX-License-Identifier: Apache-2.0
// One line per VPC that uses anything of what it may have.
#include "modules/limits/limits_cli.h"

#include <errno.h>
#include <stdio.h>

#include "cli/output.h"

static const char *const counts[] = {
	"sessions",	    "half_open",	 "refused_first_packets",
	"refused_sessions", "refused_half_open", "refused_packets"};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

static json_t *sum_of(json_t *sums, json_int_t vni)
{
	json_t *sum;
	size_t i;

	json_array_foreach (sums, i, sum)
		if (integer_in(sum, "vni") == vni)
			return sum;
	sum = json_pack("{s:s, s:I}", "vpc", "", "vni", vni);
	json_array_append_new(sums, sum);
	return sum;
}

int limits_sum(struct inventory *inventory, const json_t *members, json_t **out)
{
	json_t *list, *member, *usage, *vpc, *sum;
	size_t i, k, c;
	int err = inventory_list(inventory, kind_of_path("vpcs"), &list);

	if (err)
		return err;
	*out = json_array();
	json_array_foreach (members, i, member) {
		json_array_foreach (json_object_get(member, "vpcs"), k, usage) {
			sum = sum_of(*out, integer_in(usage, "vni"));
			for (c = 0; c < COUNTS; c++)
				json_object_set_new(sum, counts[c],
						    json_integer(integer_in(sum, counts[c]) +
								 integer_in(usage, counts[c])));
		}
	}
	json_array_foreach (*out, i, sum) {
		json_array_foreach (list, k, vpc)
			if (integer_in(vpc, "vni") == integer_in(sum, "vni"))
				json_object_set(sum, "vpc", json_object_get(vpc, "name"));
	}
	return 0;
}

void limits_print(const json_t *vpcs)
{
	static const char *const titles[] = {"VPC",
					     "VNI",
					     "SESSIONS",
					     "HALF-OPEN",
					     "REFUSED FIRST-PACKETS",
					     "REFUSED SESSIONS",
					     "REFUSED HALF-OPEN",
					     "REFUSED PACKETS"};
	struct table *table;
	json_t *sum;
	size_t i, c;

	if (!json_array_size(vpcs))
		return;
	table = table_new();
	for (i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		table_cell(table, "%s", titles[i]);
	json_array_foreach (vpcs, i, sum) {
		const char *name = text_or_empty(sum, "vpc");

		table_row(table);
		table_cell(table, "%s", *name ? name : "-");
		table_number(table, integer_in(sum, "vni"));
		for (c = 0; c < COUNTS; c++)
			table_number(table, integer_in(sum, counts[c]));
	}
	table_print(&table, stdout, 2);
	putchar('\n');
}
