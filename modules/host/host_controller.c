// SPDX-License-Identifier: Apache-2.0
// Hosts carry ports. Their addresses are part of what flow table nodes decide.
#include "modules/host/host_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "modules/limits/limits_controller.h"
#include "modules/cluster/cluster_controller.h"
#include "modules/vpc/transfer.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const char *const kinds[] = {"edge", "ovs", NULL};

static const struct field fields[] = {
	{.name = "cluster",
	 .type = FIELD_REFERENCE,
	 .kind = "clusters",
	 .required = true,
	 .fixed = true},
	{.name = "other_clusters",
	 .type = FIELD_REFERENCE,
	 .kind = "clusters",
	 .list = true,
	 .max_items = MAX_HOST_CLUSTERS - 1,
	 .fallback = "[]"},
	{.name = "ip", .type = FIELD_UNDERLAY, .required = true},
	{.name = "mac", .type = FIELD_MAC, .required = true},
	{.name = "interface", .type = FIELD_INTERFACE, .nullable = true},
	{.name = "kind", .type = FIELD_CHOICE, .choices = kinds, .fallback = "\"edge\""},
	{}};

// Its address is one on the underlay of each cluster; and each agrees with those before it.
static int complete_clusters(struct change *change)
{
	const json_t *others = json_object_get(change->after, "other_clusters");
	auto_(json_decrefp) json_t *known = json_pack(
		"[o]", store_body(change->store, "clusters", text_in(change->after, "cluster")));
	const char *ip = text_in(change->after, "ip");
	json_t *id, *before, *other;
	char field[48];
	size_t i, k;
	int err;

	if (!known)
		return -EIO;
	if ((err = change_claim(change, "ip", "underlay", text_in(change->after, "cluster"), ip)))
		return err;
	json_array_foreach (others, i, id) {
		snprintf(field, sizeof(field), "other_clusters[%zu]", i);
		other = store_body(change->store, "clusters", json_string_value(id));
		if (json_array_append_new(known, other))
			return -EIO;
		json_array_foreach (known, k, before) {
			if (k > i)
				break;
			if (json_equal(before, other))
				return refuse(change->problem, 409, field,
					      "%s: cluster \"%s\" is there twice", field,
					      text_in(other, "name"));
			if ((err = clusters_agree(change->problem, field, before, other)))
				return err;
		}
		if ((err = change_claim(change, "ip", "underlay", json_string_value(id), ip)))
			return err;
	}
	return 0;
}

static bool knows(const json_t *host, const char *cluster)
{
	json_t *other;
	size_t i;

	if (!strcmp(cluster, text_in(host, "cluster")))
		return true;
	json_array_foreach (json_object_get(host, "other_clusters"), i, other)
		if (!strcmp(cluster, json_string_value(other)))
			return true;
	return false;
}

const char *host_lacks(const json_t *host, const json_t *vpc)
{
	const char *from = text_in(json_object_get(vpc, "move"), "from");
	const char *cluster = text_in(vpc, "cluster");

	if (!knows(host, cluster))
		return cluster;
	return from && !knows(host, from) ? from : NULL;
}

bool host_is_told(const json_t *host)
{
	return !strcmp(text_in(host, "kind"), "edge");
}

// No port may be left whose VPC's entrances the host would not know any more.
static int still_carries(const struct object *port, void *arg)
{
	struct change *change = arg;
	auto_(json_decrefp) json_t *vpc =
		store_body(change->store, "vpcs", text_in(port->body, "vpc"));

	const char *lacks, *asks;

	if (!vpc)
		return -EIO;
	lacks = host_lacks(change->after, vpc);
	if (lacks) {
		auto_(json_decrefp) json_t *cluster = store_body(change->store, "clusters", lacks);

		return refuse(change->problem, 409, "other_clusters",
			      "other_clusters: port \"%s\" here is of vpc \"%s\", which needs "
			      "\"%s\" among them",
			      port->name, text_in(vpc, "name"), text_or_empty(cluster, "name"));
	}
	if (transfer_phase(vpc) && !host_is_told(change->after))
		return refuse(change->problem, 409, "kind",
			      "port \"%s\" here is of vpc \"%s\", which moves to another cluster: "
			      "not before it is there",
			      port->name, text_in(vpc, "name"));
	asks = limits_asked(port->body);
	if (asks && strcmp(text_in(change->after, "kind"), "edge") != 0)
		return refuse(change->problem, 409, "kind",
			      "port \"%s\" here has %s, which nobody but our edge would see to",
			      port->name, asks);
	return 0;
}

static int complete(struct change *change)
{
	const char *interface = text_in(change->after, "interface");
	int err;

	// Our edge attaches to the interface; what Open vSwitch does with its own is not our
	// business.
	if (!strcmp(text_in(change->after, "kind"), "edge") && !interface)
		return refuse(change->problem, 400, "interface",
			      "interface is missing: an edge host needs one");
	if ((err = change_claim(change, "name", "member", NULL, text_in(change->after, "name"))))
		return err;
	// A port there would have the host's own frames dropped.
	if (interface &&
	    (err = change_claim(change, "interface", "interface", change->id, interface)))
		return err;
	if ((err = complete_clusters(change)) || !change->before ||
	    (json_equal(json_object_get(change->before, "other_clusters"),
			json_object_get(change->after, "other_clusters")) &&
	     json_equal(json_object_get(change->before, "kind"),
			json_object_get(change->after, "kind"))))
		return err;
	return store_list_referring(change->store, "ports", "hosts", change->id, still_carries,
				    change);
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

const struct kind host_kind = {
	.name = "hosts",
	.one = "host",
	.fields = fields,
	.complete = complete,
	.changed = changed,
	.answer = answer_status,
};
