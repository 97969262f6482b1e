// SPDX-License-Identifier: Apache-2.0
// Gateway nodes: the members of a cluster, their roles and their two interfaces.
#include "controller/model.h"
#include "modules/chain/chain_controller.h"
#include "modules/vpc/transfer_controller.h"
#include "shared/limits.h"

static const char *const roles[] = {"fwd", "ftn", NULL};

static const struct field side_fields[] = {
	{.name = "interface", .type = FIELD_INTERFACE, .required = true},
	{.name = "ip", .type = FIELD_UNDERLAY, .required = true},
	{.name = "mac", .type = FIELD_MAC, .required = true},
	{}};

static const struct field fields[] = {
	{.name = "cluster",
	 .type = FIELD_REFERENCE,
	 .kind = "clusters",
	 .required = true,
	 .fixed = true},
	{.name = "roles",
	 .type = FIELD_CHOICE,
	 .choices = roles,
	 .required = true,
	 .list = true,
	 .min_items = 1,
	 .max_items = 2},
	{.name = "control_ip", .type = FIELD_ADDRESS, .nullable = true},
	{.name = "tenant", .type = FIELD_OBJECT, .fields = side_fields, .required = true},
	{.name = "zgc", .type = FIELD_OBJECT, .fields = side_fields, .required = true},
	{.name = "drain", .type = FIELD_BOOLEAN, .fallback = "false"},
	{}};

static int complete(struct change *change)
{
	const char *cluster = text_in(change->after, "cluster");
	const json_t *tenant = json_object_get(change->after, "tenant");
	const json_t *zgc = json_object_get(change->after, "zgc");
	int err;

	// An index fits 16 bits in the view and is never given twice.
	if (change->number > UINT16_MAX)
		return refuse(change->problem, 409, NULL, "all %d node numbers were used",
			      UINT16_MAX);
	if ((err = change_claim(change, "name", "member", NULL, text_in(change->after, "name"))) ||
	    (err = change_claim(change, "tenant.ip", "underlay", cluster, text_in(tenant, "ip"))) ||
	    (err = change_claim(change, "zgc.ip", "zgc", cluster, text_in(zgc, "ip"))) ||
	    (err = transfer_admits_node(change)))
		return err;
	return change_claim(change, "zgc.mac", "zgc-mac", cluster, text_in(zgc, "mac"));
}

static int changed(struct change *change)
{
	int err = change->after ? 0 : view_check_removal(change);

	return err ? err
		   : view_rewrite(
			     change->store, change->status,
			     text_in(change->after ? change->after : change->before, "cluster"));
}

const struct kind node_kind = {
	.name = "nodes",
	.one = "node",
	.fields = fields,
	.limit = MAX_NODES,
	.complete = complete,
	.changed = changed,
	.answer = answer_status,
};
