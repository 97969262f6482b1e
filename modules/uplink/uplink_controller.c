// SPDX-License-Identifier: Apache-2.0
// An uplink is a port's own affair: what is announced there follows from NATs and load balancers.
#include "modules/uplink/uplink_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "lib/address.h"
#include "modules/health/judge.h"
#include "shared/limits.h"

#define TABLE_LOCAL 255 // the kernel's own: it decides what the host itself gets

const struct field uplink_fields[] = {
	{.name = "interface", .type = FIELD_INTERFACE, .required = true},
	{.name = "table", .type = FIELD_INTEGER, .min = 1, .max = UINT32_MAX, .required = true},
	{}};

struct home {
	const struct in6_addr *ip;
	struct in6_addr *gateway;
	bool found;
};

static int look_at_subnet(const struct object *subnet, void *arg)
{
	struct home *home = arg;
	struct in6_addr prefix;
	unsigned int bits;

	if (prefix_parse(text_or_empty(subnet->body, "cidr"), &prefix, &bits))
		return -EIO;
	if (prefix_covers(&prefix, bits, home->ip) &&
	    !address_parse(text_or_empty(subnet->body, "gateway"), home->gateway))
		home->found = true;
	return 0;
}

int uplink_addresses(struct store *store, const json_t *port, struct in6_addr *ip,
		     struct in6_addr *gateway)
{
	const char *first = json_string_value(json_array_get(json_object_get(port, "ips"), 0));
	struct home home = {ip, gateway, false};
	int err;

	// The first one: routers are known by it.
	if (!first || address_parse(first, ip) || !IN6_IS_ADDR_V4MAPPED(ip))
		return -ENOENT;
	err = store_list(store, "subnets", text_in(port, "vpc"), look_at_subnet, &home);
	return err ? err : home.found ? 0 : -ENOENT;
}

// One of the host's for all: a routing daemon reads all of a table, and a host hears of a VPC's
// addresses once.
static int claim_on_host(struct change *change, const char *field, const char *what,
			 const char *host, const char *value, const char *says)
{
	char key[OBJECT_ID + 32];
	struct holder holder;
	int err;

	snprintf(key, sizeof(key), "%s:%s", what, host);
	err = store_claim(change->store, key, value, change->kind->name, change->id, &holder);
	if (err != -EEXIST)
		return err;
	return refuse(change->problem, 409, field, says, field, holder.name);
}

static int count_uplink(const char *value, const char *kind, const char *id, void *arg)
{
	++*(unsigned int *)arg;
	return 0;
}

static int claim_uplink(struct change *change, const json_t *uplink, const char *vpc,
			const char *host)
{
	unsigned int uplinks = 0;
	char key[OBJECT_ID + 32], table[16];
	int err;

	snprintf(table, sizeof(table), "%lld", (long long)integer_in(uplink, "table"));
	if ((err = claim_on_host(change, "uplink.interface", "interface", host,
				 text_in(uplink, "interface"),
				 "%s is an interface of port \"%s\"")) ||
	    (err = claim_on_host(change, "uplink.table", "uplink table", host, table,
				 "%s is the table of uplink \"%s\"")) ||
	    (err = claim_on_host(change, "uplink", "uplink of", host, vpc,
				 "%s: the host has one of this vpc, \"%s\"")))
		return err;
	snprintf(key, sizeof(key), "uplink of:%s", host);
	if ((err = store_claims(change->store, key, count_uplink, &uplinks)))
		return err;
	if (uplinks > MAX_HOST_UPLINKS)
		return refuse(change->problem, 409, "uplink",
			      "the host has %u uplinks already, there can be no more",
			      MAX_HOST_UPLINKS);
	return 0;
}

int uplink_settle(struct change *change, const json_t *vpc, const json_t *host)
{
	const json_t *uplink = json_object_get(change->after, "uplink");
	struct in6_addr ip, gateway;
	int err;

	if (!json_is_object(uplink))
		return 0;
	if (!json_is_true(json_object_get(vpc, "external")))
		return refuse(change->problem, 409, "uplink",
			      "vpc \"%s\" is not external, and has no uplinks",
			      text_in(vpc, "name"));
	if (strcmp(text_or_empty(host, "kind"), "edge") != 0)
		return refuse(change->problem, 409, "uplink",
			      "host \"%s\" is no edge host: nobody there tells of addresses",
			      text_in(host, "name"));
	if (json_equal(json_object_get(uplink, "interface"),
		       json_object_get(change->after, "interface")))
		return refuse(
			change->problem, 400, "uplink.interface",
			"uplink.interface is the port's own interface, not the other end of it");
	if (integer_in(uplink, "table") == TABLE_LOCAL)
		return refuse(change->problem, 400, "uplink.table",
			      "uplink.table %d is the kernel's own", TABLE_LOCAL);
	err = uplink_addresses(change->store, change->after, &ip, &gateway);
	if (err == -ENOENT)
		return refuse(change->problem, 400, "ips[0]",
			      "ips[0] of an uplink is an IPv4 address in a subnet with a gateway");
	return err ? err
		   : claim_uplink(change, uplink, text_in(change->after, "vpc"),
				  text_in(change->after, "host"));
}

struct sought {
	struct status *status;
	const char *port;
	json_t *up, *down;
};

static int add_node(const struct object *object, void *arg)
{
	const char *node = text_or_empty(object->body, "name");
	struct sought *sought = arg;
	auto_(json_decrefp) json_t *all = status_backends(sought->status, node);
	json_t *state;
	size_t i;

	json_array_foreach (json_object_get(all, ""), i, state) {
		json_int_t health = integer_in(state, "health");

		if (strcmp(text_or_empty(state, "backend"), sought->port) != 0 ||
		    health == HEALTH_UNKNOWN)
			continue;
		if (json_array_append_new(health == HEALTH_UP ? sought->up : sought->down,
					  json_string(node)))
			return -ENOMEM;
	}
	return 0;
}

int uplink_answer(struct model *model, json_t *body)
{
	auto_(json_decrefp) json_t *vpc = NULL;
	struct sought sought = {model->status, text_in(body, "id"), json_array(), json_array()};
	json_t *status = json_object_get(body, "status"), *uplink;

	if (!json_is_object(json_object_get(body, "uplink"))) {
		json_decref(sought.up);
		json_decref(sought.down);
		return 0;
	}
	uplink = json_pack("{s:o, s:o}", "up", sought.up, "down", sought.down);
	if (!uplink || json_object_set_new(status, "uplink", uplink))
		return -ENOMEM;
	vpc = store_body(model->store, "vpcs", text_in(body, "vpc"));
	return vpc ? store_list_referring(model->store, "nodes", "clusters",
					  text_or_empty(vpc, "cluster"), add_node, &sought)
		   : 0;
}
