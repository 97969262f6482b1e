// SPDX-License-Identifier: Apache-2.0
#include "modules/rules/rules_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"
#include "shared/limits.h"

const char *const rule_directions[] = {"ingress", "egress", NULL};

static int has_ports(const json_t *rule)
{
	const char *word = text_in(rule, "protocol");

	return word && strcmp(word, "any");
}

// Makes the range of ports whole. Of ICMP it is the range of types.
static int settle_ports(struct change *change, json_t *rule, size_t place)
{
	json_t *min = json_object_get(rule, "port_min"), *max = json_object_get(rule, "port_max");
	json_int_t low = 0, high = 65535;
	char field[48];

	if (json_is_integer(min) || json_is_integer(max)) {
		low = json_integer_value(json_is_integer(min) ? min : max);
		high = json_integer_value(json_is_integer(max) ? max : min);
	}
	snprintf(field, sizeof(field), "rules[%zu].%s", place,
		 json_is_integer(min) ? "port_min" : "port_max");
	if ((low > 0 || high < 65535) && !has_ports(rule))
		return refuse(change->problem, 400, field,
			      "%s can be set for tcp, udp, icmp and icmpv6 only", field);
	if (low > high)
		return refuse(change->problem, 400, field, "%s is above port_max", field);
	json_object_set_new(rule, "port_min", json_integer(low));
	return json_object_set_new(rule, "port_max", json_integer(high));
}

// ICMP is IPv4's alone and ICMPv6 IPv6's; and a prefix of IPv6 that IPv4's addresses lie in would
// allow those too.
static int settle_remote(struct change *change, const json_t *rule, size_t place)
{
	const char *cidr = text_in(rule, "remote_cidr"),
		   *protocol = text_or_empty(rule, "protocol");
	struct in6_addr address;
	unsigned int bits;
	char field[48];
	int six;

	if (!cidr)
		return 0;
	if (prefix_parse(cidr, &address, &bits))
		return -EINVAL;
	snprintf(field, sizeof(field), "rules[%zu].remote_cidr", place);
	six = bits < V4_PREFIX_BITS || !IN6_IS_ADDR_V4MAPPED(&address);
	if (six && bits <= 64 && address_odd_name(&address) && !IN6_IS_ADDR_LINKLOCAL(&address) &&
	    !IN6_IS_ADDR_MULTICAST(&address))
		return refuse(change->problem, 400, field,
			      "%s %s has all of IPv4 inside: 2000::/3 and fc00::/7 are IPv6, "
			      "0.0.0.0/0 is IPv4, and null is both",
			      field, cidr);
	if (six ? !strcmp(protocol, "icmp") : !strcmp(protocol, "icmpv6"))
		return refuse(change->problem, 400, field, "%s %s is %s, and protocol is %s", field,
			      cidr, six ? "IPv6" : "IPv4", protocol);
	return 0;
}

struct sum {
	const char *except;
	size_t rules;
};

static int add_rules(const struct object *object, void *arg)
{
	struct sum *sum = arg;

	if (strcmp(object->id, sum->except))
		sum->rules += json_array_size(json_object_get(object->body, "rules"));
	return 0;
}

int rules_settle(struct change *change)
{
	json_t *rules = json_object_get(change->after, "rules"), *rule;
	struct sum sum = {change->id, json_array_size(rules)};
	size_t i;
	int err;

	json_array_foreach (rules, i, rule) {
		if ((err = settle_ports(change, rule, i)) || (err = settle_remote(change, rule, i)))
			return err;
	}
	if ((err = store_list(change->store, change->kind->name, text_in(change->after, "vpc"),
			      add_rules, &sum)))
		return err;
	if (sum.rules > MAX_RULES)
		return refuse(change->problem, 409, "rules",
			      "the %s of the vpc would have %zu rules, more than %u",
			      change->kind->name, sum.rules, MAX_RULES);
	return 0;
}
