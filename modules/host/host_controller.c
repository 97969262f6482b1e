// SPDX-License-Identifier: Apache-2.0
// Hosts carry ports. Their addresses are part of what flow table nodes decide.
#include <errno.h>
#include <string.h>

#include "controller/model.h"
#include "modules/vpc/vpc_controller.h"

static const char *const kinds[] = {"edge", "ovs", NULL};

static const struct field fields[] = {
	{.name = "cluster",
	 .type = FIELD_REFERENCE,
	 .kind = "clusters",
	 .required = true,
	 .fixed = true},
	{.name = "ip", .type = FIELD_ADDRESS, .required = true},
	{.name = "mac", .type = FIELD_MAC, .required = true},
	{.name = "interface", .type = FIELD_INTERFACE, .nullable = true},
	{.name = "kind", .type = FIELD_CHOICE, .choices = kinds, .fallback = "\"edge\""},
	{}};

static int complete(struct change *change)
{
	int err;

	// Our edge attaches to the interface; what Open vSwitch does with its own is not our
	// business.
	if (!strcmp(text_in(change->after, "kind"), "edge") && !text_in(change->after, "interface"))
		return refuse(change->problem, 400, "interface",
			      "interface is missing: an edge host needs one");
	if ((err = change_claim(change, "name", "member", NULL, text_in(change->after, "name"))))
		return err;
	return change_claim(change, "ip", "underlay", text_in(change->after, "cluster"),
			    text_in(change->after, "ip"));
}

static int note_vpc(const struct object *port, void *arg)
{
	return json_object_set_new(arg, text_in(port->body, "vpc"), json_true());
}

// Decisions name the host's addresses: those of every VPC with a port here are out of date.
static int changed(struct change *change)
{
	auto_(json_decrefp) json_t *vpcs = json_object();
	const char *vpc;
	json_t *unused;
	int err;

	if (!change->before || !change->after ||
	    (!strcmp(text_in(change->before, "ip"), text_in(change->after, "ip")) &&
	     !strcmp(text_in(change->before, "mac"), text_in(change->after, "mac"))))
		return 0;
	err = store_list_referring(change->store, "ports", "hosts", change->id, note_vpc, vpcs);
	if (err)
		return err;
	json_object_foreach (vpcs, vpc, unused) {
		if ((err = vpc_policy_changed(change->store, vpc)))
			return err;
	}
	return 0;
}

static int answer(struct model *model, json_t *body)
{
	return json_object_set_new(body, "status",
				   status_get(model->status, text_in(body, "name")));
}

const struct kind host_kind = {
	.name = "hosts",
	.one = "host",
	.fields = fields,
	.complete = complete,
	.changed = changed,
	.answer = answer,
};
