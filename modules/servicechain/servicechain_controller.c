// SPDX-License-Identifier: Apache-2.0
// Service chains beside the VPC's own: of subnets, load balancers, floating IPs and forwards, which
// name them.
#include <errno.h>

#include "controller/model.h"
#include "modules/function/function_controller.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const struct field chain_fields[] = {
	{.name = "function", .type = FIELD_WORD, .required = true},
	{.name = "config", .type = FIELD_FREE, .nullable = true},
	{}};

static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "functions",
	 .type = FIELD_OBJECT,
	 .fields = chain_fields,
	 .list = true,
	 .required = true,
	 .min_items = 1,
	 .max_items = MAX_LATER_CHAIN},
	{}};

static int complete(struct change *change)
{
	auto_(json_decrefp) json_t *vpc =
		store_body(change->store, vpc_kind.name, text_in(change->after, "vpc"));

	return vpc ? later_chain_settle(change, vpc) : -EIO;
}

const struct kind service_chain_kind = {
	.name = "service-chains",
	.one = "service chain",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_SERVICE_CHAINS,
	.complete = complete,
	.changed = vpc_object_changed,
};
