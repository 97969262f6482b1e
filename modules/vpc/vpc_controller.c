// SPDX-License-Identifier: Apache-2.0
// VPCs: a VNI in a cluster, and the policy number that makes decisions go out of date.
#include "modules/vpc/vpc_controller.h"

#include <errno.h>
#include <stdio.h>

#include "controller/model.h"
#include "shared/limits.h"

#define VNI_MAX 0xFFFFFF

static const struct field fields[] = {
	{.name = "tenant",
	 .type = FIELD_REFERENCE,
	 .kind = "tenants",
	 .required = true,
	 .nullable = true},
	{.name = "cluster",
	 .type = FIELD_REFERENCE,
	 .kind = "clusters",
	 .required = true,
	 .fixed = true},
	{.name = "vni", .type = FIELD_INTEGER, .min = 1, .max = VNI_MAX, .fixed = true},
	{}};

// Numbers grow, so the first try is nearly always free.
static int choose_vni(struct change *change)
{
	struct holder holder;
	uint32_t tries, vni;
	char text[16];
	int err;

	for (tries = 0; tries < VNI_MAX; tries++) {
		vni = (change->number - 1 + tries) % VNI_MAX + 1;
		snprintf(text, sizeof(text), "%u", vni);
		err = store_holder(change->store, "vni", text, &holder);
		if (err == -ENOENT)
			return json_object_set_new(change->after, "vni", json_integer(vni));
		if (err)
			return err;
	}
	return refuse(change->problem, 409, "vni", "every vni is used");
}

static int complete(struct change *change)
{
	char text[24];
	int err;

	if (json_is_null(json_object_get(change->after, "vni"))) {
		err = change->before ? json_object_set(change->after, "vni",
						       json_object_get(change->before, "vni"))
				     : choose_vni(change);
		if (err)
			return err;
	}
	snprintf(text, sizeof(text), "%lld", (long long)integer_in(change->after, "vni"));
	if ((err = change_claim(change, "vni", "vni", NULL, text)))
		return err;
	if (json_object_set_new(change->after, "functions",
				json_pack("[sss]", "divider", "bouncer", "security-group")))
		return -ENOMEM;
	// A policy number never passes the revision, as it grows once in a change at most: a new VPC
	// begins above all that forwarders may still cache of a former one with this VNI.
	return json_object_set_new(
		change->after, "policy",
		json_integer(change->before ? integer_in(change->before, "policy")
					    : (json_int_t)store_next_revision(change->store)));
}

int vpc_policy_changed(struct store *store, const char *vpc)
{
	auto_(json_decrefp) json_t *body = store_body(store, "vpcs", vpc);
	auto_(json_decrefp) json_t *extra = store_extra(store, "vpcs", vpc);
	json_int_t policy;

	if (!body)
		return -ENOENT;
	// Once in a transaction is enough, however many ports it changes.
	if ((uint64_t)integer_in(body, "revision") == store_next_revision(store))
		return 0;
	policy = integer_in(body, "policy") + 1;
	if (json_object_set_new(body, "policy", json_integer(policy)))
		return -ENOMEM;
	return store_put(store, "vpcs", "", body, extra);
}

const struct kind vpc_kind = {
	.name = "vpcs",
	.one = "vpc",
	.fields = fields,
	.limit = MAX_VPCS,
	.complete = complete,
};
