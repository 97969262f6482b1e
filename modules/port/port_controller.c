// SPDX-License-Identifier: Apache-2.0
// Ports: MAC and addresses in a VPC, and the host that carries them.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "modules/host/host_controller.h"
#include "modules/limits/limits_controller.h"
#include "modules/route/route_controller.h"
#include "modules/subnet/subnet_controller.h"
#include "modules/uplink/uplink_controller.h"
#include "modules/vpc/transfer.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/edge.h"
#include "shared/limits.h"

#define MAX_PORT_ADDRESSES 16 // each is an entry of "endpoints" on every flow table node

static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "host", .type = FIELD_REFERENCE, .kind = "hosts", .required = true},
	{.name = "mac", .type = FIELD_MAC, .required = true},
	{.name = "ips",
	 .type = FIELD_ADDRESS,
	 .required = true,
	 .list = true,
	 .min_items = 1,
	 .max_items = MAX_PORT_ADDRESSES},
	{.name = "interface", .type = FIELD_INTERFACE, .nullable = true},
	{.name = "security_groups",
	 .type = FIELD_REFERENCE,
	 .kind = "security-groups",
	 .list = true,
	 .max_items = MAX_PORT_GROUPS,
	 .fallback = "[]"},
	{.name = "allowed_prefixes",
	 .type = FIELD_PREFIX,
	 .list = true,
	 .max_items = MAX_PORT_ALLOWED,
	 .fallback = "[]"},
	{.name = "egress_limit", .type = FIELD_OBJECT, .fields = limit_fields, .nullable = true},
	{.name = "ingress_limit", .type = FIELD_OBJECT, .fields = limit_fields, .nullable = true},
	{.name = "connections_per_s",
	 .type = FIELD_INTEGER,
	 .nullable = true,
	 .min = 1,
	 .max = MAX_CONNECTIONS_PER_S},
	{.name = "dscp", .type = FIELD_INTEGER, .nullable = true, .max = MAX_DSCP},
	{.name = "mirror", .type = FIELD_OBJECT, .fields = mirror_fields, .nullable = true},
	{.name = "uplink", .type = FIELD_OBJECT, .fields = uplink_fields, .nullable = true},
	{}};

static int check_host(struct change *change, const json_t *vpc, const json_t *host)
{
	const char *interface = text_in(change->after, "interface"), *lacks;
	int err;

	if (!vpc || !host)
		return -EIO;
	lacks = host_lacks(host, vpc);
	if (lacks) {
		auto_(json_decrefp) json_t *cluster = store_body(change->store, "clusters", lacks);

		return refuse(
			change->problem, 409, "host",
			"host \"%s\" is of another cluster than vpc \"%s\", and does not have "
			"\"%s\" in other_clusters",
			text_in(host, "name"), text_in(vpc, "name"),
			text_or_empty(cluster, "name"));
	}
	if (transfer_phase(vpc) && !host_is_told(host))
		return refuse(change->problem, 409, "host",
			      "host \"%s\" is told of no move, and vpc \"%s\" moves to another "
			      "cluster",
			      text_in(host, "name"), text_in(vpc, "name"));
	if (!interface && !strcmp(text_in(host, "kind"), "edge"))
		return refuse(change->problem, 400, "interface",
			      "interface is missing: host \"%s\" is an edge host",
			      text_in(host, "name"));
	if ((err = limits_admit(change, host)))
		return err;
	return interface ? change_claim(change, "interface", "interface", text_in(host, "id"),
					interface)
			 : 0;
}

static bool has_family(const json_t *list, bool six)
{
	json_t *ip;
	size_t i;

	json_array_foreach (list, i, ip)
		if ((strchr(json_string_value(ip) ?: "", ':') != NULL) == six)
			return true;
	return false;
}

// Who sends as others has an address of their family, by which they are reached.
static int check_allowed(struct change *change)
{
	const json_t *ips = json_object_get(change->after, "ips");
	char field[48];
	json_t *prefix;
	size_t i;

	json_array_foreach (json_object_get(change->after, "allowed_prefixes"), i, prefix) {
		const char *text = json_string_value(prefix) ?: "";
		bool six = strchr(text, ':') != NULL;

		if (has_family(ips, six))
			continue;
		snprintf(field, sizeof(field), "allowed_prefixes[%zu]", i);
		return refuse(change->problem, 400, field, "%s %s is %s, and no address in ips is",
			      field, text, six ? "IPv6" : "IPv4");
	}
	return 0;
}

// Who is a load balancer's backend keeps an address of its family.
static int check_balanced(const struct object *object, void *arg)
{
	const char *ip = text_or_empty(object->body, "ip");
	const bool six = strchr(ip, ':') != NULL;
	struct change *change = arg;

	if (has_family(json_object_get(change->after, "ips"), six))
		return 0;
	return refuse(change->problem, 409, "ips",
		      "ips has no %s address, and load balancer \"%s\", which has %s, needs one",
		      six ? "IPv6" : "IPv4", text_or_empty(object->body, "name"), ip);
}

static int complete(struct change *change)
{
	const char *vpc_id = text_in(change->after, "vpc"), *mac = text_in(change->after, "mac");
	auto_(json_decrefp) json_t *vpc = store_body(change->store, "vpcs", vpc_id);
	auto_(json_decrefp) json_t *host =
		store_body(change->store, "hosts", text_in(change->after, "host"));
	char field[32];
	json_t *ip;
	size_t i;
	int err;

	if ((err = check_host(change, vpc, host)) ||
	    (err = subnet_admits_mac(change, vpc_id, mac)) ||
	    (err = change_claim(change, "mac", "mac", vpc_id, mac)))
		return err;
	json_array_foreach (json_object_get(change->after, "ips"), i, ip) {
		snprintf(field, sizeof(field), "ips[%zu]", i);
		if ((err = change_claim(change, field, "address", vpc_id, json_string_value(ip))) ||
		    (err = subnet_admits(change, vpc_id, field, json_string_value(ip))))
			return err;
	}
	if ((err = check_allowed(change)) ||
	    (err = store_list_referring(change->store, "load-balancers", "ports", change->id,
					check_balanced, change)) ||
	    (err = uplink_settle(change, vpc, host)))
		return err;
	return routes_admit(change);
}

// A new port alters no decision: until now there was none for its addresses but a refusal, which
// is not remembered. Nor does what its host's edge alone sees to.
static int changed(struct change *change)
{
	static const char *const decides[] = {"host", "mac", "ips", "security_groups",
					      "allowed_prefixes"};

	if (!change->before)
		return 0;
	for (size_t i = 0; i < sizeof(decides) / sizeof(decides[0]); i++)
		if (!json_equal(json_object_get(change->before, decides[i]),
				json_object_get(change->after, decides[i])))
			return vpc_object_changed(change);
	return 0;
}

static int answer(struct model *model, json_t *body)
{
	auto_(json_decrefp) json_t *host = store_body(model->store, "hosts", text_in(body, "host"));
	bool ready = host &&
		     status_port_ready(model->status, text_in(host, "name"), text_in(body, "id"));

	if (json_object_set_new(body, "status", json_pack("{s:b}", "ready", ready)))
		return -ENOMEM;
	return uplink_answer(model, body);
}

const struct kind port_kind = {
	.name = "ports",
	.one = "port",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_ENDPOINTS,
	.complete = complete,
	.changed = changed,
	.answer = answer,
};
