// SPDX-License-Identifier: Apache-2.0
// Security groups: lists of what ports may accept and send.
#include <stdio.h>

#include "controller/model.h"
#include "modules/rules/rules_controller.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const struct field rule_fields[] = {
	{.name = "direction", .type = FIELD_CHOICE, .choices = rule_directions, .required = true},
	{.name = "protocol", .type = FIELD_PROTOCOL, .fallback = "\"any\""},
	{.name = "port_min", .type = FIELD_INTEGER, .max = 65535},
	{.name = "port_max", .type = FIELD_INTEGER, .max = 65535},
	{.name = "remote_cidr", .type = FIELD_PREFIX, .nullable = true},
	{.name = "remote_group",
	 .type = FIELD_REFERENCE,
	 .kind = "security-groups",
	 .nullable = true},
	{}};

static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "rules",
	 .type = FIELD_OBJECT,
	 .fields = rule_fields,
	 .list = true,
	 .max_items = MAX_RULES,
	 .fallback = "[]"},
	{}};

static int complete(struct change *change)
{
	char field[48];
	json_t *rule;
	size_t i;
	int err;

	if ((err = rules_settle(change)))
		return err;
	json_array_foreach (json_object_get(change->after, "rules"), i, rule) {
		snprintf(field, sizeof(field), "rules[%zu].remote_group", i);
		if (text_in(rule, "remote_cidr") && text_in(rule, "remote_group"))
			return refuse(change->problem, 400, field,
				      "%s cannot be set beside remote_cidr", field);
	}
	return 0;
}

const struct kind security_group_kind = {
	.name = "security-groups",
	.one = "security group",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_SECURITY_GROUPS,
	.complete = complete,
	.changed = vpc_object_changed,
};
