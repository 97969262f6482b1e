// SPDX-License-Identifier: Apache-2.0
// Network ACLs: what may begin a connection between subnets, by the first rule that matches.
#include "controller/model.h"
#include "modules/rules/rules_controller.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const char *const actions[] = {"allow", "deny", NULL};

static const struct field rule_fields[] = {
	{.name = "priority", .type = FIELD_INTEGER, .max = MAX_PRIORITY, .required = true},
	{.name = "action", .type = FIELD_CHOICE, .choices = actions, .required = true},
	{.name = "direction", .type = FIELD_CHOICE, .choices = rule_directions, .required = true},
	{.name = "protocol", .type = FIELD_PROTOCOL, .fallback = "\"any\""},
	{.name = "port_min", .type = FIELD_INTEGER, .max = 65535},
	{.name = "port_max", .type = FIELD_INTEGER, .max = 65535},
	{.name = "remote_cidr", .type = FIELD_PREFIX, .nullable = true},
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

const struct kind network_acl_kind = {
	.name = "network-acls",
	.one = "network ACL",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_NETWORK_ACLS,
	.complete = rules_settle,
	.changed = vpc_object_changed,
};
