// SPDX-License-Identifier: Apache-2.0
// Security groups: lists of what ports may accept and send.
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const char *const directions[] = {"ingress", "egress", NULL};

static const struct field rule_fields[] = {
	{.name = "direction", .type = FIELD_CHOICE, .choices = directions, .required = true},
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

static int has_ports(const json_t *rule)
{
	const char *word = text_in(rule, "protocol");

	return word && strcmp(word, "any");
}

// Makes the range of ports whole. Of ICMP it is the range of types.
static int settle_ports(struct change *change, json_t *rule, size_t place)
{
	json_t *min = json_object_get(rule, "port_min"), *max = json_object_get(rule, "port_max");
	json_int_t low = 0, high = 65535;
	char field[48];

	if (json_is_integer(min) || json_is_integer(max)) {
		low = json_integer_value(json_is_integer(min) ? min : max);
		high = json_integer_value(json_is_integer(max) ? max : min);
	}
	snprintf(field, sizeof(field), "rules[%zu].%s", place,
		 json_is_integer(min) ? "port_min" : "port_max");
	if ((low > 0 || high < 65535) && !has_ports(rule))
		return refuse(change->problem, 400, field,
			      "%s can be set for tcp, udp and icmp only", field);
	if (low > high)
		return refuse(change->problem, 400, field, "%s is above port_max", field);
	json_object_set_new(rule, "port_min", json_integer(low));
	return json_object_set_new(rule, "port_max", json_integer(high));
}

static int complete(struct change *change)
{
	char field[48];
	json_t *rule;
	size_t i;
	int err;

	json_array_foreach (json_object_get(change->after, "rules"), i, rule) {
		if ((err = settle_ports(change, rule, i)))
			return err;
		snprintf(field, sizeof(field), "rules[%zu].remote_group", i);
		if (text_in(rule, "remote_cidr") && text_in(rule, "remote_group"))
			return refuse(change->problem, 400, field,
				      "%s cannot be set beside remote_cidr", field);
	}
	return 0;
}

static int changed(struct change *change)
{
	return vpc_policy_changed(change->store,
				  text_in(change->after ? change->after : change->before, "vpc"));
}

const struct kind security_group_kind = {
	.name = "security-groups",
	.one = "security group",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_SECURITY_GROUPS,
	.complete = complete,
	.changed = changed,
};
