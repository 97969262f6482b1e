// SPDX-License-Identifier: Apache-2.0
// Subnets: prefixes of a VPC that do not overlap, each with a gateway address or none.
#include "modules/subnet/subnet_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"
#include "modules/peering/peering_controller.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

#define IPV6_LEAST_MTU 1280

// Where gateway is absent the first address is meant, so null cannot stand for both.
static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "cidr", .type = FIELD_PREFIX, .required = true},
	{.name = "gateway", .type = FIELD_ADDRESS, .nullable = true, .fallback = "\"\""},
	{.name = "gateway_mac", .type = FIELD_MAC},
	{.name = "network_acl", .type = FIELD_REFERENCE, .kind = "network-acls", .nullable = true},
	{.name = "service_chain",
	 .type = FIELD_REFERENCE,
	 .kind = "service-chains",
	 .nullable = true},
	{}};

struct prefix {
	struct in6_addr address;
	unsigned int bits;
};

static int prefix_of(const json_t *subnet, struct prefix *out)
{
	return prefix_parse(text_in(subnet, "cidr"), &out->address, &out->bits);
}

static int is_covered(const struct prefix *prefix, const struct in6_addr *address)
{
	return prefix_covers(&prefix->address, prefix->bits, address);
}

// Neither the network's own address nor, in IPv4, the broadcast address.
static int is_host_address(const struct prefix *prefix, const struct in6_addr *address)
{
	int zeros = 1, ones = 1;
	unsigned int bit;

	for (bit = prefix->bits; bit < 128; bit++) {
		if (address->s6_addr[bit / 8] & (0x80 >> bit % 8))
			zeros = 0;
		else
			ones = 0;
	}
	return is_covered(prefix, address) && !zeros &&
	       !(ones && IN6_IS_ADDR_V4MAPPED(&prefix->address));
}

struct search {
	struct change *change;
	struct prefix prefix;
	struct in6_addr address;
	const char *text;
	const char *field;
	unsigned int subnets;
	int found;
	int served; // .. and that subnet has a gateway
};

static int check_overlap(const struct object *other, void *arg)
{
	struct search *search = arg;
	struct prefix theirs;

	if (!strcmp(other->id, search->change->id))
		return 0;
	if (prefix_of(other->body, &theirs))
		return -EIO;
	if (is_covered(&search->prefix, &theirs.address) ||
	    is_covered(&theirs, &search->prefix.address))
		return refuse(search->change->problem, 409, "cidr",
			      "cidr %s overlaps subnet \"%s\" (%s)", search->text, other->name,
			      text_in(other->body, "cidr"));
	return 0;
}

// The port, a new reference, where it is an uplink and the gateway is to be another one.
static json_t *uplink_behind(struct change *change, const char *id)
{
	auto_(json_decrefp) json_t *port = NULL;

	if (json_equal(json_object_get(change->before, "gateway"),
		       json_object_get(change->after, "gateway")))
		return NULL;
	port = store_body(change->store, port_kind.name, id);
	return json_is_object(json_object_get(port, "uplink")) ? take_ptr(port) : NULL;
}

// An address in the subnet as it was must be in the subnet as it will be; that of a load balancer
// or a NAT needs the gateway too.
static int check_covered(const char *value, const char *kind, const char *id, void *arg)
{
	struct search *search = arg;
	struct change *change = search->change;
	int served = !strcmp(kind, load_balancer_kind.name) || !strcmp(kind, nat_kind.name),
	    covered;
	auto_(json_decrefp) json_t *owner = NULL;
	struct in6_addr address;
	struct prefix before;

	if ((!served && strcmp(kind, port_kind.name) != 0) || address_parse(value, &address) ||
	    prefix_of(change->before, &before) || !is_covered(&before, &address))
		return 0;
	covered = change->after && is_host_address(&search->prefix, &address);
	if (covered && !served && (owner = uplink_behind(change, id)))
		return refuse(change->problem, 409, "gateway",
			      "gateway is where uplink \"%s\" sends its packets, and cannot be "
			      "changed",
			      text_in(owner, "name"));
	if (covered && (!served || !json_is_null(json_object_get(change->after, "gateway"))))
		return 0;
	owner = store_body(change->store, kind, id);
	return refuse(change->problem, 409,
		      covered	      ? "gateway"
		      : change->after ? "cidr"
				      : NULL,
		      "%s \"%s\" has address %s of subnet \"%s\"%s", model_kind(kind)->one,
		      owner ? text_in(owner, "name") : id, value, text_in(change->before, "name"),
		      covered ? ", and needs its gateway" : "");
}

static int check_addresses(struct search *search)
{
	char what[OBJECT_ID + 16];

	snprintf(what, sizeof(what), "address:%s", text_in(search->change->before, "vpc"));
	return store_claims(search->change->store, what, check_covered, search);
}

static int choose_gateway(struct change *change, const struct prefix *prefix)
{
	struct in6_addr first = prefix->address;
	char text[ADDRESS_TEXT];

	first.s6_addr[15] |= 1;
	return json_object_set_new(change->after, "gateway",
				   json_string(address_text(&first, text)));
}

static int claim_gateway(struct change *change, const struct prefix *prefix)
{
	const char *vpc = text_in(change->after, "vpc"), *gateway;
	struct in6_addr address;
	int err;

	gateway = text_in(change->after, "gateway");
	if (gateway && !*gateway) {
		if ((err = choose_gateway(change, prefix)))
			return err;
		gateway = text_in(change->after, "gateway");
	}
	if (!gateway)
		return 0;
	if (address_parse(gateway, &address) || !is_host_address(prefix, &address))
		return refuse(change->problem, 400, "gateway",
			      "gateway %s is not an address of a host in %s", gateway,
			      text_in(change->after, "cidr"));
	return change_claim(change, "gateway", "address", vpc, gateway);
}

// Subnets of a VPC may share a gateway MAC, so it is not claimed; but no port may have it.
static int settle_gateway_mac(struct change *change)
{
	char what[OBJECT_ID + 16], text[ADDRESS_TEXT];
	uint8_t mac[6] = {0x02, 0x5b};
	struct holder holder;
	int err;

	if (!text_in(change->after, "gateway_mac")) {
		mac[2] = (uint8_t)(change->number >> 24);
		mac[3] = (uint8_t)(change->number >> 16);
		mac[4] = (uint8_t)(change->number >> 8);
		mac[5] = (uint8_t)change->number;
		if (json_object_set_new(change->after, "gateway_mac",
					json_string(mac_text(mac, text))))
			return -ENOMEM;
	}
	snprintf(what, sizeof(what), "mac:%s", text_in(change->after, "vpc"));
	err = store_holder(change->store, what, text_in(change->after, "gateway_mac"), &holder);
	if (err == -ENOENT)
		return 0;
	return err ? err
		   : refuse(change->problem, 409, "gateway_mac",
			    "gateway_mac %s is used by port \"%s\"",
			    text_in(change->after, "gateway_mac"), holder.name);
}

// RFC 8200 section 5.
static int check_mtu(struct change *change, const struct prefix *prefix)
{
	auto_(json_decrefp) json_t *vpc =
		store_body(change->store, "vpcs", text_in(change->after, "vpc"));
	auto_(json_decrefp) json_t *cluster =
		vpc ? store_body(change->store, "clusters", text_or_empty(vpc, "cluster")) : NULL;

	if (IN6_IS_ADDR_V4MAPPED(&prefix->address) || !cluster ||
	    integer_in(cluster, "tenant_mtu") >= IPV6_LEAST_MTU)
		return 0;
	return refuse(
		change->problem, 409, "cidr",
		"cidr %s is IPv6, which needs an MTU of %d: cluster \"%s\" has tenant_mtu %lld",
		text_in(change->after, "cidr"), IPV6_LEAST_MTU, text_in(cluster, "name"),
		(long long)integer_in(cluster, "tenant_mtu"));
}

static int complete(struct change *change)
{
	struct search search = {.change = change, .text = text_in(change->after, "cidr")};
	int err;

	if (prefix_of(change->after, &search.prefix))
		return -EINVAL;
	if (address_odd_name(&search.prefix.address))
		return refuse(change->problem, 400, "cidr",
			      "cidr %s is %s: no port has such an address", search.text,
			      address_odd_name(&search.prefix.address));
	if ((err = check_mtu(change, &search.prefix)))
		return err;
	if (search.prefix.bits < 1 || search.prefix.bits > 126)
		return refuse(change->problem, 400, "cidr",
			      "cidr %s leaves no address for a gateway and a host", search.text);
	if ((err = store_list(change->store, "subnets", text_in(change->after, "vpc"),
			      check_overlap, &search)) ||
	    (err = peering_admits_subnet(change)) ||
	    (err = change_claim(change, "cidr", "prefix", text_in(change->after, "vpc"),
				search.text)) ||
	    (change->before && (err = check_addresses(&search))) ||
	    (err = claim_gateway(change, &search.prefix)))
		return err;
	return settle_gateway_mac(change);
}

static int changed(struct change *change)
{
	struct search search = {.change = change};
	int err;

	if (!change->after && (err = check_addresses(&search)))
		return err;
	if ((err = vpc_object_changed(change)))
		return err;
	return peering_subnets_changed(
		change->store, text_in(change->after ? change->after : change->before, "vpc"));
}

static int find_home(const struct object *subnet, void *arg)
{
	struct search *search = arg;
	struct prefix prefix;

	if (prefix_of(subnet->body, &prefix))
		return -EIO;
	search->subnets++;
	if (is_host_address(&prefix, &search->address)) {
		search->found = 1;
		search->served = text_in(subnet->body, "gateway") != NULL;
	}
	return 0;
}

int subnet_admits(struct change *port, const char *vpc, const char *field, const char *text)
{
	struct search search = {.change = port};
	int err;

	if (address_parse(text, &search.address))
		return -EINVAL;
	if ((err = store_list(port->store, "subnets", vpc, find_home, &search)))
		return err;
	if (search.found || !search.subnets)
		return 0;
	return refuse(port->problem, 400, field,
		      "%s %s is not an address of a host in a subnet of the vpc", field, text);
}

int subnet_serves(struct change *change, const char *vpc, const char *field, const char *text)
{
	struct search search = {.change = change};
	int err;

	if (address_parse(text, &search.address))
		return -EINVAL;
	if ((err = store_list(change->store, "subnets", vpc, find_home, &search)))
		return err;
	if (search.served)
		return 0;
	return refuse(change->problem, 400, field,
		      search.found ? "%s %s is in a subnet without a gateway, which would answer "
				     "for it"
				   : "%s %s is not an address of a host in a subnet of the vpc",
		      field, text);
}

static int find_gateway_mac(const struct object *subnet, void *arg)
{
	struct search *search = arg;

	if (strcmp(text_in(subnet->body, "gateway_mac"), search->text))
		return 0;
	return refuse(search->change->problem, 409, "mac", "mac %s is the gateway of subnet \"%s\"",
		      search->text, subnet->name);
}

int subnet_admits_mac(struct change *port, const char *vpc, const char *mac)
{
	struct search search = {.change = port, .text = mac};

	return store_list(port->store, "subnets", vpc, find_gateway_mac, &search);
}

const struct kind subnet_kind = {
	.name = "subnets",
	.one = "subnet",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_SUBNETS,
	.complete = complete,
	.changed = changed,
};
