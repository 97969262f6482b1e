// SPDX-License-Identifier: Apache-2.0
// Route tables: some of a VPC's routes, each of a prefix that no other route and no subnet of the
// VPC has. Several tables of a VPC are one: so many routes do not go into one request.
#include "modules/route/route_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"
#include "modules/subnet/subnet_controller.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const struct field route_fields[] = {
	{.name = "prefix", .type = FIELD_PREFIX, .required = true},
	{.name = "next_hop", .type = FIELD_ADDRESS, .nullable = true},
	{.name = "next_hops",
	 .type = FIELD_ADDRESS,
	 .list = true,
	 .max_items = MAX_NEXT_HOPS,
	 .fallback = "[]"},
	{.name = "blackhole", .type = FIELD_BOOLEAN, .fallback = "false"},
	{}};

static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "routes",
	 .type = FIELD_OBJECT,
	 .fields = route_fields,
	 .list = true,
	 .max_items = MAX_TABLE_ROUTES,
	 .fallback = "[]"},
	{}};

#define SHARED "shared route"

struct settling {
	struct change *change;
	const char *vpc;
	json_t *next_hops; // those that are a port's address: set
	size_t others;	   // routes of other tables
};

static bool is_ipv6(const char *text)
{
	return strchr(text, ':') != NULL;
}

// A port's address, in a subnet whose gateway sends packets on to it.
static int settle_next_hop(struct settling *s, const char *field, const char *prefix,
			   const char *next_hop)
{
	struct change *change = s->change;
	char what[OBJECT_ID + 16];
	struct holder holder = {};
	int err;

	if (is_ipv6(prefix) != is_ipv6(next_hop))
		return refuse(change->problem, 400, field, "%s %s is not of the family of %s",
			      field, next_hop, prefix);
	if (json_object_get(s->next_hops, next_hop))
		return 0;
	snprintf(what, sizeof(what), "address:%s", s->vpc);
	err = store_holder(change->store, what, next_hop, &holder);
	if (err && err != -ENOENT)
		return err;
	if (err || strcmp(holder.kind, port_kind.name) != 0)
		return refuse(change->problem, 409, field,
			      "%s %s is not an address of a port of the vpc", field, next_hop);
	if ((err = subnet_serves(change, s->vpc, field, next_hop)) ||
	    (err = store_refer(change->store, change->kind->name, change->id, port_kind.name,
			       holder.id)))
		return err;
	return json_object_set_new(s->next_hops, next_hop, json_true());
}

static int settle_next_hops(struct settling *s, const char *list, const char *prefix,
			    const json_t *next_hops)
{
	char field[96];
	json_t *hop;
	size_t i, k;
	int err;

	json_array_foreach (next_hops, i, hop) {
		snprintf(field, sizeof(field), "%s[%zu]", list, i);
		for (k = 0; k < i; k++)
			if (json_equal(hop, json_array_get(next_hops, k)))
				return refuse(s->change->problem, 400, field,
					      "%s: %s is there twice", field,
					      json_string_value(hop));
		if ((err = settle_next_hop(s, field, prefix, json_string_value(hop))))
			return err;
	}
	return 0;
}

// So that nodes have room for all of them, whatever VPC they are of.
static int claim_shared(struct settling *s, const char *field, const char *prefix)
{
	char value[OBJECT_ID + 64];
	struct holder holder;
	int err;

	snprintf(value, sizeof(value), "%s %s", s->vpc, prefix);
	err = store_claim(s->change->store, SHARED, value, s->change->kind->name, s->change->id,
			  &holder);
	// Its prefix will be found to be somebody's.
	return err == -EEXIST ? 0 : err;
}

static int settle_route(struct settling *s, const json_t *route, json_t *prefixes, size_t place)
{
	const char *prefix = text_in(route, "prefix"), *next_hop = text_in(route, "next_hop");
	const json_t *next_hops = json_object_get(route, "next_hops");
	bool blackhole = json_is_true(json_object_get(route, "blackhole"));
	char field[64];
	int err;

	snprintf(field, sizeof(field), "routes[%zu].next_hops", place);
	if (json_array_size(next_hops)) {
		if (blackhole || next_hop)
			return refuse(s->change->problem, 400, field,
				      "%s and %s cannot both be set", field,
				      blackhole ? "blackhole" : "next_hop");
		if ((err = settle_next_hops(s, field, prefix, next_hops)) ||
		    (err = claim_shared(s, field, prefix)))
			return err;
	}
	snprintf(field, sizeof(field), "routes[%zu].next_hop", place);
	if (!json_array_size(next_hops) && blackhole == (next_hop != NULL))
		return refuse(s->change->problem, 400, field,
			      blackhole ? "%s of a blackhole cannot be set"
					: "%s is missing, and the route is no blackhole",
			      field);
	if (next_hop && (err = settle_next_hop(s, field, prefix, next_hop)))
		return err;
	snprintf(field, sizeof(field), "routes[%zu].prefix", place);
	if (json_object_get(prefixes, prefix))
		return refuse(s->change->problem, 400, field, "%s %s is there twice", field,
			      prefix);
	if (json_object_set_new(prefixes, prefix, json_true()))
		return -ENOMEM;
	return change_claim(s->change, field, "prefix", s->vpc, prefix);
}

static int count_other(const char *value, const char *kind, const char *id, void *arg)
{
	struct settling *s = arg;

	s->others += !strcmp(kind, route_table_kind.name) && strcmp(id, s->change->id) != 0;
	return 0;
}

static int count_shared(const char *value, const char *kind, const char *id, void *arg)
{
	++*(uint64_t *)arg;
	return 0;
}

static int complete(struct change *change)
{
	const json_t *routes = json_object_get(change->after, "routes");
	auto_(json_decrefp) json_t *prefixes = json_object(), *next_hops = json_object();
	struct settling s = {change, text_in(change->after, "vpc"), next_hops, 0};
	char what[OBJECT_ID + 16];
	json_t *route;
	uint64_t all, shared = 0;
	size_t i;
	int err;

	if (!prefixes || !next_hops)
		return -ENOMEM;
	json_array_foreach (routes, i, route) {
		if ((err = settle_route(&s, route, prefixes, i)))
			return err;
	}
	snprintf(what, sizeof(what), "prefix:%s", s.vpc);
	if ((err = store_claims(change->store, what, count_other, &s)))
		return err;
	if (s.others + json_array_size(routes) > MAX_VPC_ROUTES)
		return refuse(change->problem, 409, "routes",
			      "the route tables of the vpc would have %zu routes, more than %u",
			      s.others + json_array_size(routes), MAX_VPC_ROUTES);
	// Whatever cluster they are of.
	if (store_count_held(change->store, change->kind->name, &all) ||
	    store_claims(change->store, SHARED, count_shared, &shared))
		return -EIO;
	all -= shared;
	if (shared > MAX_SHARED_ROUTES)
		return refuse(change->problem, 409, "routes",
			      "all route tables would have %ju routes with next_hops, more than %u",
			      (uintmax_t)shared, MAX_SHARED_ROUTES);
	if (all > MAX_ROUTES)
		return refuse(change->problem, 409, "routes",
			      "all route tables would have %ju routes, more than %u",
			      (uintmax_t)all, MAX_ROUTES);
	return 0;
}

// What a port loses of its addresses.
struct loss {
	struct change *port;
	const json_t *after;
};

static bool is_listed(const json_t *list, const char *text)
{
	json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry)
		if (!strcmp(json_string_value(entry) ?: "", text))
			return true;
	return false;
}

static int check_next_hop(const struct loss *loss, const struct object *table, const char *next_hop)
{
	const json_t *before = json_object_get(loss->port->before, "ips");

	if (!next_hop || !is_listed(before, next_hop) || is_listed(loss->after, next_hop))
		return 0;
	return refuse(loss->port->problem, 409, "ips",
		      "ips lacks %s, the next hop of a route of route table \"%s\"", next_hop,
		      table->name);
}

static int check_table(const struct object *table, void *arg)
{
	struct loss *loss = arg;
	json_t *route, *hop;
	size_t i, k;
	int err;

	json_array_foreach (json_object_get(table->body, "routes"), i, route) {
		if ((err = check_next_hop(loss, table, text_in(route, "next_hop"))))
			return err;
		json_array_foreach (json_object_get(route, "next_hops"), k, hop)
			if ((err = check_next_hop(loss, table, json_string_value(hop))))
				return err;
	}
	return 0;
}

int routes_admit(struct change *port)
{
	struct loss loss = {port, json_object_get(port->after, "ips")};

	if (!port->before || json_equal(json_object_get(port->before, "ips"), loss.after))
		return 0;
	return store_list_referring(port->store, route_table_kind.name, port_kind.name, port->id,
				    check_table, &loss);
}

const struct kind route_table_kind = {
	.name = "route-tables",
	.one = "route table",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_ROUTES,
	.complete = complete,
	.changed = vpc_object_changed,
};
