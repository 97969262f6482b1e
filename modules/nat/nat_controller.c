// SPDX-License-Identifier: Apache-2.0
// NATs: what leaves a VPC for an external VPC comes from addresses of that one, and some of these
// lead inside.
#include "modules/nat/nat_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "lib/address.h"
#include "modules/function/function_controller.h"
#include "modules/subnet/subnet_controller.h"
#include "modules/vpc/transfer.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const char *const protocols[] = {"tcp", "udp", NULL};

static const char *const mappings[] = {"address-and-port", "endpoint-independent", NULL};
static const char *const filterings[] = {"address-and-port", "endpoint-independent", NULL};

static const struct field floating_fields[] = {
	{.name = "ip", .type = FIELD_ADDRESS, .required = true},
	{.name = "target", .type = FIELD_REFERENCE, .kind = "ports", .required = true},
	{.name = "service_chain",
	 .type = FIELD_REFERENCE,
	 .kind = "service-chains",
	 .nullable = true},
	{}};

static const struct field forward_fields[] = {
	{.name = "protocol", .type = FIELD_CHOICE, .choices = protocols, .required = true},
	{.name = "ip", .type = FIELD_ADDRESS, .required = true},
	{.name = "port", .type = FIELD_INTEGER, .min = 1, .max = 65535, .required = true},
	{.name = "target", .type = FIELD_REFERENCE, .kind = "ports", .required = true},
	{.name = "target_port", .type = FIELD_INTEGER, .min = 1, .max = 65535},
	{.name = "service_chain",
	 .type = FIELD_REFERENCE,
	 .kind = "service-chains",
	 .nullable = true},
	{}};

static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "external_vpc",
	 .type = FIELD_REFERENCE,
	 .kind = "vpcs",
	 .required = true,
	 .fixed = true},
	{.name = "addresses",
	 .type = FIELD_ADDRESS,
	 .list = true,
	 .max_items = MAX_NAT_ADDRESSES,
	 .fallback = "[]"},
	{.name = "subnets",
	 .type = FIELD_REFERENCE,
	 .kind = "subnets",
	 .list = true,
	 .max_items = MAX_SUBNETS_OF_NAT,
	 .fallback = "[]"},
	{.name = "mapping",
	 .type = FIELD_CHOICE,
	 .choices = mappings,
	 .fallback = "\"address-and-port\""},
	{.name = "filtering",
	 .type = FIELD_CHOICE,
	 .choices = filterings,
	 .fallback = "\"address-and-port\""},
	{.name = "floating_ips",
	 .type = FIELD_OBJECT,
	 .fields = floating_fields,
	 .list = true,
	 .max_items = MAX_FLOATING_IPS,
	 .fallback = "[]"},
	{.name = "forwards",
	 .type = FIELD_OBJECT,
	 .fields = forward_fields,
	 .list = true,
	 .max_items = MAX_FORWARDS,
	 .fallback = "[]"},
	{}};

// A service chain that a VPC says itself must have the function, or nothing would be translated.
static int check_chain(struct change *change, const char *field, const json_t *vpc)
{
	if (!json_is_array(json_object_get(vpc, "service_chain")) || service_chain_has(vpc, "nat"))
		return 0;
	return refuse(change->problem, 409, field, "the service_chain of vpc \"%s\" has no nat",
		      text_in(vpc, "name"));
}

// The two VPCs: sessions are in the flow table of the one and their aliases in that of the other,
// so it is one cluster's.
static int check_vpcs(struct change *change)
{
	auto_(json_decrefp) json_t *inner =
		store_body(change->store, "vpcs", text_in(change->after, "vpc"));
	auto_(json_decrefp) json_t *outer =
		store_body(change->store, "vpcs", text_in(change->after, "external_vpc"));
	const json_t *moves;
	int err;

	if (!inner || !outer)
		return -EIO;
	if (json_is_true(json_object_get(inner, "external")))
		return refuse(change->problem, 409, "vpc", "vpc \"%s\" is external",
			      text_in(inner, "name"));
	if (!json_is_true(json_object_get(outer, "external")))
		return refuse(change->problem, 409, "external_vpc", "vpc \"%s\" is not external",
			      text_in(outer, "name"));
	if (!json_equal(json_object_get(inner, "cluster"), json_object_get(outer, "cluster")))
		return refuse(change->problem, 409, "external_vpc",
			      "vpcs \"%s\" and \"%s\" are of two clusters", text_in(inner, "name"),
			      text_in(outer, "name"));
	moves = transfer_phase(inner) ? inner : transfer_phase(outer) ? outer : NULL;
	if (moves && !change->before)
		return refuse(change->problem, 409, moves == inner ? "vpc" : "external_vpc",
			      "vpc \"%s\" moves to another cluster: not before it is there",
			      text_in(moves, "name"));
	err = check_chain(change, "vpc", inner);
	return err ? err : check_chain(change, "external_vpc", outer);
}

// An address of the external VPC, for this NAT alone.
static int take_address(struct change *change, const char *field, const char *ip)
{
	const char *outer = text_in(change->after, "external_vpc");
	struct in6_addr address;
	int err;

	if (address_parse(ip, &address))
		return -EINVAL;
	if (!IN6_IS_ADDR_V4MAPPED(&address))
		return refuse(change->problem, 400, field, "%s %s is not an IPv4 address", field,
			      ip);
	err = change_claim(change, field, "address", outer, ip);
	return err ? err : subnet_serves(change, outer, field, ip);
}

static int take_addresses(struct change *change)
{
	const json_t *addresses = json_object_get(change->after, "addresses");
	json_t *ip;
	char field[32];
	size_t i, k;
	int err;

	json_array_foreach (addresses, i, ip) {
		snprintf(field, sizeof(field), "addresses[%zu]", i);
		for (k = 0; k < i; k++)
			if (json_equal(ip, json_array_get(addresses, k)))
				return refuse(change->problem, 400, field, "%s: %s is there twice",
					      field, json_string_value(ip));
		if ((err = take_address(change, field, json_string_value(ip))))
			return err;
	}
	return 0;
}

static int check_family(struct change *change, const char *field, const char *id)
{
	auto_(json_decrefp) json_t *subnet = store_body(change->store, "subnets", id);
	struct in6_addr prefix;
	unsigned int bits;

	if (!subnet || prefix_parse(text_or_empty(subnet, "cidr"), &prefix, &bits))
		return -EIO;
	if (IN6_IS_ADDR_V4MAPPED(&prefix))
		return 0;
	return refuse(change->problem, 400, field,
		      "%s: subnet \"%s\" is IPv6 (%s), and a NAT translates IPv4", field,
		      text_in(subnet, "name"), text_in(subnet, "cidr"));
}

// A subnet's connections leave by one NAT.
static int take_subnet(struct change *change, const char *field, const char *id)
{
	struct holder holder;
	int err = store_claim(change->store, "nat", id, change->kind->name, change->id, &holder);

	if (err != -EEXIST)
		return err;
	return refuse(change->problem, 409, field, "%s: the subnet is one of nat \"%s\"", field,
		      holder.name);
}

static int take_subnets(struct change *change)
{
	const json_t *subnets = json_object_get(change->after, "subnets");
	json_t *subnet;
	char field[32];
	size_t i;
	int err;

	json_array_foreach (subnets, i, subnet) {
		snprintf(field, sizeof(field), "subnets[%zu]", i);
		if ((err = check_family(change, field, json_string_value(subnet))) ||
		    (err = take_subnet(change, field, json_string_value(subnet))))
			return err;
	}
	if (json_array_size(subnets) &&
	    !json_array_size(json_object_get(change->after, "addresses")))
		return refuse(change->problem, 400, "addresses",
			      "addresses is empty, and subnets is not");
	return 0;
}

// Whether an address is among the first so many of the list.
static bool has_address(const json_t *list, size_t count, const char *ip)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (i < count && !strcmp(json_is_object(item) ? text_or_empty(item, "ip")
							      : json_string_value(item) ?: "",
					 ip))
			return true;
	return false;
}

// An endpoint has one floating IP at most: what it sends comes from it.
static int take_floating(struct change *change, size_t i, const json_t *floating)
{
	const json_t *all = json_object_get(change->after, "floating_ips");
	const char *ip = text_in(floating, "ip"), *target = text_in(floating, "target");
	struct holder holder;
	char field[48];
	json_t *other;
	size_t k;
	int err;

	snprintf(field, sizeof(field), "floating_ips[%zu].target", i);
	json_array_foreach (all, k, other)
		if (k < i && !strcmp(text_or_empty(other, "target"), target))
			return refuse(change->problem, 400, field, "%s: the port is there twice",
				      field);
	err = store_claim(change->store, "floating", target, change->kind->name, change->id,
			  &holder);
	if (err == -EEXIST)
		return refuse(change->problem, 409, field,
			      "%s: the port has a floating IP of nat \"%s\"", field, holder.name);
	if (err)
		return err;
	snprintf(field, sizeof(field), "floating_ips[%zu].ip", i);
	if (has_address(all, i, ip) ||
	    has_address(json_object_get(change->after, "addresses"), MAX_NAT_ADDRESSES, ip))
		return refuse(change->problem, 400, field, "%s: %s is there twice", field, ip);
	return take_address(change, field, ip);
}

static int take_forward(struct change *change, size_t i, json_t *forward)
{
	const json_t *all = json_object_get(change->after, "forwards");
	const char *ip = text_in(forward, "ip");
	char field[48];
	json_t *other;
	size_t k;

	snprintf(field, sizeof(field), "forwards[%zu].ip", i);
	if (!has_address(json_object_get(change->after, "addresses"), MAX_NAT_ADDRESSES, ip))
		return refuse(change->problem, 400, field, "%s: %s is not one of addresses", field,
			      ip);
	snprintf(field, sizeof(field), "forwards[%zu].port", i);
	json_array_foreach (all, k, other)
		if (k < i && !strcmp(text_or_empty(other, "ip"), ip) &&
		    !strcmp(text_or_empty(other, "protocol"), text_in(forward, "protocol")) &&
		    integer_in(other, "port") == integer_in(forward, "port"))
			return refuse(change->problem, 400, field, "%s: %s %lld is there twice",
				      field, text_in(forward, "protocol"),
				      (long long)integer_in(forward, "port"));
	if (json_is_integer(json_object_get(forward, "target_port")))
		return 0;
	return json_object_set(forward, "target_port", json_object_get(forward, "port"));
}

static int take_ways_in(struct change *change)
{
	json_t *item;
	size_t i;
	int err;

	json_array_foreach (json_object_get(change->after, "floating_ips"), i, item)
		if ((err = take_floating(change, i, item)))
			return err;
	json_array_foreach (json_object_get(change->after, "forwards"), i, item)
		if ((err = take_forward(change, i, item)))
			return err;
	return 0;
}

bool nat_maps(const json_t *nat)
{
	return !strcmp(text_or_empty(nat, "mapping"), "endpoint-independent");
}

bool nat_is_open(const json_t *nat)
{
	return !strcmp(text_or_empty(nat, "filtering"), "endpoint-independent");
}

// What leads inside from everywhere has to be the same towards everybody.
static int check_mapping(struct change *change)
{
	if (!nat_is_open(change->after) || nat_maps(change->after))
		return 0;
	return refuse(change->problem, 400, "filtering",
		      "filtering is endpoint-independent, and mapping is not");
}

static int complete(struct change *change)
{
	int err;

	if ((err = check_mapping(change)) || (err = check_vpcs(change)) ||
	    (err = take_addresses(change)) || (err = take_ways_in(change)))
		return err;
	return take_subnets(change);
}

static int changed(struct change *change)
{
	const json_t *nat = change->after ? change->after : change->before;
	int err = vpc_policy_changed(change->store, text_in(nat, "vpc"));

	return err ? err : vpc_policy_changed(change->store, text_in(nat, "external_vpc"));
}

const struct kind nat_kind = {
	.name = "nats",
	.one = "nat",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_NATS,
	.complete = complete,
	.changed = changed,
};

// ---- what nodes say

struct sums {
	struct status *status;
	json_t *refused; // {VNI of the external VPC and address: packets that were refused}
};

static int add_node(const struct object *object, void *arg)
{
	auto_(json_decrefp) json_t *nats = NULL;
	struct sums *sums = arg;
	json_t *nat;
	char place[96];
	size_t i;

	nats = status_nats(sums->status, text_or_empty(object->body, "name"));
	json_array_foreach (nats, i, nat) {
		snprintf(place, sizeof(place), "%lld %s", (long long)integer_in(nat, "vni"),
			 text_or_empty(nat, "address"));
		if (json_object_set_new(sums->refused, place,
					json_integer(integer_in(sums->refused, place) +
						     integer_in(nat, "refused"))))
			return -ENOMEM;
	}
	return 0;
}

// Whose the address is. Returns false where it is nobody's any more.
static bool find_nat(struct store *store, const char *place, struct nat_trouble *out)
{
	auto_(json_decrefp) json_t *nat = NULL, *vpc = NULL;
	char vni[16], what[OBJECT_ID + 16];
	struct holder holder;

	if (sscanf(place, "%15s %63s", vni, out->address) != 2 ||
	    store_holder(store, "vni", vni, &holder))
		return false;
	snprintf(what, sizeof(what), "address:%s", holder.id);
	if (store_holder(store, what, out->address, &holder) || strcmp(holder.kind, nat_kind.name))
		return false;
	nat = store_body(store, nat_kind.name, holder.id);
	vpc = store_body(store, vpc_kind.name, text_or_empty(nat, "vpc"));
	snprintf(out->id, sizeof(out->id), "%s", holder.id);
	snprintf(out->nat, sizeof(out->nat), "%s", text_or_empty(nat, "name"));
	snprintf(out->vpc, sizeof(out->vpc), "%s", text_or_empty(vpc, "name"));
	return true;
}

int nat_troubles(struct store *store, struct status *status, const char *cluster,
		 void (*fn)(const struct nat_trouble *trouble, void *arg), void *arg)
{
	auto_(json_decrefp) json_t *refused = json_object();
	struct sums sums = {status, refused};
	struct nat_trouble trouble;
	const char *place;
	json_t *count;
	int err;

	if (!refused)
		return -ENOMEM;
	if ((err = store_list_referring(store, "nodes", "clusters", cluster, add_node, &sums)))
		return err;
	json_object_foreach (refused, place, count) {
		trouble.refused = (uint64_t)json_integer_value(count);
		if (find_nat(store, place, &trouble))
			fn(&trouble, arg);
	}
	return 0;
}
