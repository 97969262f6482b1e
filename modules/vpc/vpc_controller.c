// SPDX-License-Identifier: Apache-2.0
// VPCs: a VNI in a cluster, and the policy number that makes decisions go out of date.
#include "modules/vpc/vpc_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "modules/function/function_controller.h"
#include "modules/limits/limits_controller.h"
#include "modules/peering/peering_controller.h"
#include "modules/vpc/transfer_controller.h"
#include "shared/limits.h"

#define VNI_MAX 0xFFFFFF

static const struct field chain_fields[] = {
	{.name = "function", .type = FIELD_WORD, .required = true},
	{.name = "config", .type = FIELD_FREE, .nullable = true},
	{}};

static const struct field fields[] = {
	{.name = "tenant",
	 .type = FIELD_REFERENCE,
	 .kind = "tenants",
	 .required = true,
	 .nullable = true},
	{.name = "cluster", .type = FIELD_REFERENCE, .kind = "clusters", .required = true},
	{.name = "vni", .type = FIELD_INTEGER, .min = 1, .max = VNI_MAX, .fixed = true},
	{.name = "first_packets_per_s",
	 .type = FIELD_INTEGER,
	 .max = MAX_FIRST_PACKETS,
	 .fallback = "0"},
	{.name = "sessions", .type = FIELD_INTEGER, .max = MAX_QUOTA, .fallback = "0"},
	{.name = "limit", .type = FIELD_OBJECT, .fields = limit_fields, .nullable = true},
	{.name = "external", .type = FIELD_BOOLEAN, .fallback = "false", .fixed = true},
	{.name = "service_chain",
	 .type = FIELD_OBJECT,
	 .fields = chain_fields,
	 .list = true,
	 .nullable = true,
	 .min_items = 1,
	 .max_items = MAX_SERVICE_CHAIN},
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

static int found(const struct object *object, void *arg)
{
	return 1;
}

// Whether the VPC, or one that it exchanges packets with by a peering or a NAT, may have such
// objects. Both VPCs' network ACLs and security groups count, and a peer's load balancers.
static int may_have(struct store *store, const char *kind, const char *vpc, bool peered)
{
	int has;

	if (!strcmp(kind, peering_kind.name) || (peered && strcmp(kind, nat_kind.name) != 0))
		return peered;
	has = store_list_referring(store, kind, "vpcs", vpc, found, NULL);

	if (has || !strcmp(kind, load_balancer_kind.name))
		return has;
	return store_list_referring(store, nat_kind.name, "vpcs", vpc, found, NULL);
}

// The service chain of a VPC that says nothing: without peerings, load balancers, NATs, network
// ACLs and security groups where there are none. These functions ask for state, and such a VPC must
// not touch the chains.
static int set_functions(struct store *store, const char *vpc, json_t *body)
{
	static const struct {
		const char *kind, *function;
	} order[] = {{"peerings", "peering"},
		     {"load-balancers", "load-balancer"},
		     {"nats", "nat"},
		     {NULL, "divider"},
		     {NULL, "bouncer"},
		     {"network-acls", "acl"},
		     {"security-groups", "security-group"}};
	const bool peered = json_array_size(json_object_get(body, "peers")) > 0;
	auto_(json_decrefp) json_t *functions = json_array();

	if (json_is_array(json_object_get(body, "service_chain")))
		return 0; // it says itself
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		int has = order[i].kind ? may_have(store, order[i].kind, vpc, peered) : 1;

		if (has < 0)
			return has;
		if (has && json_array_append_new(functions, json_string(order[i].function)))
			return -ENOMEM;
	}
	return functions && !json_object_set(body, "functions", functions) ? 0 : -ENOMEM;
}

// What follows from other objects.
static int set_computed(struct store *store, const char *vpc, json_t *body)
{
	json_t *peers = NULL;
	int err = peering_peers(store, vpc, &peers);

	if (err)
		return err;
	if (json_object_set_new(body, "peers", peers))
		return -ENOMEM;
	return set_functions(store, vpc, body);
}

static int complete(struct change *change)
{
	json_int_t policy;
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
	if (json_is_true(json_object_get(change->after, "external")) &&
	    integer_in(change->after, "sessions"))
		return refuse(change->problem, 400, "sessions",
			      "sessions is not 0: what an external vpc has counts as others'");
	if ((err = limits_something(change, "limit")) ||
	    (err = set_computed(change->store, change->id, change->after)) ||
	    (err = transfer_complete(change)) || (err = service_chain_settle(change)))
		return err;
	// A policy number never passes the revision, as it grows once in a change at most: a new
	// VPC begins above all that forwarders may still cache of a former one with this VNI.
	if (!change->before)
		policy = (json_int_t)store_next_revision(change->store);
	else
		policy = integer_in(change->before, "policy") +
			 !json_equal(json_object_get(change->before, "service_chain"),
				     json_object_get(change->after, "service_chain"));
	return json_object_set_new(change->after, "policy", json_integer(policy));
}

int vpc_policy_changed(struct store *store, const char *vpc)
{
	auto_(json_decrefp) json_t *before = store_body(store, "vpcs", vpc);
	auto_(json_decrefp) json_t *extra = store_extra(store, "vpcs", vpc);
	auto_(json_decrefp) json_t *after = before ? json_copy(before) : NULL;
	json_int_t policy;
	int err;

	if (!before)
		return -ENOENT;
	if (!after)
		return -ENOMEM;
	policy = integer_in(before, "policy");
	// Once in a transaction is enough, however many ports it changes.
	policy += (uint64_t)integer_in(before, "revision") != store_next_revision(store);
	if (json_object_set_new(after, "policy", json_integer(policy)))
		return -ENOMEM;
	if ((err = set_computed(store, vpc, after)) || json_equal(before, after))
		return err;
	return store_put(store, "vpcs", "", after, extra);
}

int vpc_object_changed(struct change *change)
{
	const json_t *object = change->after ? change->after : change->before;

	return vpc_policy_changed(change->store, text_in(object, "vpc"));
}

const struct kind vpc_kind = {
	.name = "vpcs",
	.one = "vpc",
	.fields = fields,
	.limit = MAX_VPCS,
	.complete = complete,
	.changed = transfer_changed,
	.answer = transfer_answer,
};
