// SPDX-License-Identifier: Apache-2.0
// Random networks, rules and packets: what real nodes do is what a slow reading of the documents
// says (blueprint.h), with the packet, with its answer, and with all of both that follow. By turns
// all is IPv4, and IPv6 (odd seeds).
//
//   blueprint_test OBJECTS [flat] [seed [rounds]]
#include "datapath/blueprint.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "datapath/gateway_nodes.h"
#include "lib/address.h"
#include "lib/log.h"
#include "modules/function/pushing.h"
#include "modules/loadbalancer/loadbalancer.h"
#include "modules/nat/nat.h"
#include "modules/route/route.h"
#include "shared/address.h"
#include "shared/key.h"
#include "wire/icmp.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"

#define ROUNDS 40
#define PACKETS 150 // of a round
#define SYN 0x02
#define ACK 0x10
#define GRE 47
#define INNER 50 // a tenant's frame begins there, behind the tunnel
#define IP (INNER + ETH_HLEN)

enum { RED, BLUE, PUBLIC };
enum { FWD, FTN, NODES = 3 }; // two flow table nodes, each a chain of its own
enum { REFUSES = FUNCTION_FIRST_FREE + EVERY_FUNCTIONS, DONE }; // slots

struct world {
	struct node node[NODES];
	struct pushing pushing[NODES];
	struct blueprint b;
};

static uint64_t state;

static uint32_t any(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

static const char *text_of(uint32_t address, char out[16])
{
	snprintf(out, 16, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
		 address & 255);
	return out;
}

// What each family has: the protocol, an echo, and a question without an identifier.
static const struct icmp {
	uint8_t protocol, request, reply, query;
} icmps[] = {{IPPROTO_ICMP, ICMP_ECHO_REQUEST, ICMP_ECHO_REPLY, 13},
	     {IPPROTO_ICMPV6, ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY, 139}};

static const struct icmp *icmp_of(const struct blueprint *b)
{
	return &icmps[b->six ? 1 : 0];
}

static int is_icmp(const struct blueprint_packet *p)
{
	return p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6;
}

// Which has no ports, nor an identifier.
static int is_query(const struct blueprint_packet *p)
{
	return is_icmp(p) && (p->type == icmps[0].query || p->type == icmps[1].query);
}

#define ADDRESS(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define HOST(endpoint) ADDRESS(192, 168, 0, 10 + (endpoint)->number)

// ---- what is random: networks

static const struct blueprint_prefix inside[] = {{ADDRESS(10, 0, 0, 0), 26},
						 {ADDRESS(10, 0, 0, 64), 26},
						 {ADDRESS(10, 0, 0, 128), 25},
						 {ADDRESS(10, 0, 1, 0), 24},
						 {ADDRESS(10, 0, 2, 0), 23}};
static const struct blueprint_prefix outside[] = {{ADDRESS(198, 51, 100, 0), 25},
						  {ADDRESS(198, 51, 100, 128), 25},
						  {ADDRESS(203, 0, 113, 0), 24}};
static const struct blueprint_prefix away[] = {{ADDRESS(0, 0, 0, 0), 0},
					       {ADDRESS(10, 0, 0, 0), 8},
					       {ADDRESS(172, 16, 0, 0), 12},
					       {ADDRESS(172, 20, 0, 0), 16},
					       {ADDRESS(8, 8, 8, 0), 24}};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t any_of(const struct blueprint_prefix *p)
{
	uint32_t host = p->bits ? (1u << (32 - p->bits)) - 1 : 0xFFFFFFFF;

	return p->address | (any(0x7FFFFFFF) & host);
}

static int is_taken(const struct blueprint *b, const struct blueprint_vpc *vpc, uint32_t address)
{
	return blueprint_endpoint_of(vpc, address) || blueprint_balancer_of(vpc, address) ||
	       (vpc == b->external && blueprint_is_nats(b, address));
}

// An address of a subnet that nobody has: neither its first nor one of its last two.
static uint32_t any_free(const struct blueprint *b, const struct blueprint_vpc *vpc)
{
	for (;;) {
		const struct blueprint_subnet *s = &vpc->subnet[any(vpc->subnets)];
		uint32_t address = any_of(&s->prefix);

		if (address != s->prefix.address && address < s->gateway &&
		    !is_taken(b, vpc, address))
			return address;
	}
}

static void any_chains(struct blueprint_vpc *vpc)
{
	static const uint16_t ports[] = {80, 80, 443, 8000, 8001, 53, 22, 2221, 2222};

	vpc->done = any(2);
	while (vpc->chains < MOST_CHAINS) {
		struct blueprint_chain *c = &vpc->chain[vpc->chains++];

		c->number = vpc->vni % 256 * 16 + vpc->chains;
		c->port = ports[any(COUNT(ports))];
		c->functions = 1 + any(MOST_LATER);
		// Never the same one twice.
		for (unsigned int i = 0, at = any(2) ? BLUEPRINT_REFUSES : any(4); i < c->functions;
		     i++)
			c->function[i] = (at + i) % 4;
	}
}

// One in so many has one.
static const struct blueprint_chain *any_chain(const struct blueprint_vpc *vpc, uint32_t in)
{
	return any(in) ? NULL : &vpc->chain[any(vpc->chains)];
}

static void any_subnets(struct blueprint_vpc *vpc, const struct blueprint_prefix *prefixes,
			size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct blueprint_subnet *s = &vpc->subnet[vpc->subnets];

		if (i + vpc->subnets && !any(4))
			continue;
		s->prefix = prefixes[i];
		s->gateway = prefixes[i].address + (1u << (32 - prefixes[i].bits)) - 2;
		s->number = vpc->vni % 256 * 16 + vpc->subnets + 1;
		s->acl = any(3) ? 0 : 1 + any(MOST_ACLS);
		s->chain = any_chain(vpc, 2);
		vpc->subnets++;
	}
}

static void any_endpoints(struct blueprint *b, struct blueprint_vpc *vpc, uint8_t first)
{
	while (vpc->endpoints < MOST_ENDPOINTS) {
		struct blueprint_endpoint *e = &vpc->endpoint[vpc->endpoints];

		e->address = any_free(b, vpc);
		e->number = first + vpc->endpoints++;
		for (int i = 0; i < MAX_PORT_GROUPS; i++)
			if (!any(9))
				e->group[i] = 1 + any(MOST_GROUPS);
		e->down = !any(4);
		while (any(5) == 0 && e->alloweds < MOST_ALLOWED)
			e->allowed[e->alloweds++] = away[any(COUNT(away))];
	}
}

static int has_prefix(const struct blueprint_vpc *vpc, const struct blueprint_prefix *p)
{
	for (unsigned int i = 0; i < vpc->routes; i++)
		if (!memcmp(&vpc->route[i].prefix, p, sizeof(*p)))
			return 1;
	for (unsigned int i = 0; i < vpc->subnets; i++)
		if (!memcmp(&vpc->subnet[i].prefix, p, sizeof(*p)))
			return 1;
	return 0;
}

static void any_routes(struct blueprint_vpc *vpc)
{
	unsigned int count = any(MOST_ROUTES + 1);

	while (vpc->routes < count) {
		struct blueprint_route *r = &vpc->route[vpc->routes];

		r->prefix = away[any(COUNT(away))];
		if (any(2)) { // in a subnet, or around it
			const struct blueprint_prefix *in = &vpc->subnet[any(vpc->subnets)].prefix;

			r->prefix.bits = any(4) ? in->bits + any(33 - in->bits) : 20;
			r->prefix.address = any_of(in) & ~0u << (32 - r->prefix.bits);
		}
		if (has_prefix(vpc, &r->prefix))
			continue;
		if (any(4))
			r->hops = any(2) ? 1 : 1 + any(MOST_HOPS);
		// Never the same one twice; some may send as who is behind them.
		for (unsigned int i = 0, at = any(vpc->endpoints); i < r->hops; i++) {
			struct blueprint_endpoint *e =
				&vpc->endpoint[(at + i * 3) % vpc->endpoints];

			r->hop[i] = e;
			if (any(2) && e->alloweds < MOST_ALLOWED)
				e->allowed[e->alloweds++] = r->prefix;
		}
		vpc->routes++;
	}
}

static void any_balancers(struct blueprint *b, struct blueprint_vpc *vpc)
{
	static const uint16_t ports[MOST_LISTENERS] = {80, 443, 53};

	for (unsigned int i = any(MOST_BALANCERS + 1); i; i--) {
		struct blueprint_balancer *balancer = &vpc->balancer[vpc->balancers];

		balancer->address = any_free(b, vpc);
		balancer->by_source = any(2);
		balancer->chain = any_chain(vpc, 2);
		balancer->direct = !any(3);
		balancer->listeners = any(MOST_LISTENERS) + 1;
		for (unsigned int k = 0; k < balancer->listeners; k++) {
			struct blueprint_listener *l = &balancer->listener[k];

			l->protocol = ports[k] == 53 ? IPPROTO_UDP : IPPROTO_TCP;
			l->port = ports[k];
			l->backend_port = balancer->direct || any(2) ? ports[k] : 8000 + k;
			l->backends = any(MOST_BACKENDS + 1);
			// Never the same one twice.
			for (unsigned int j = 0, at = any(MOST_ENDPOINTS); j < l->backends; j++) {
				l->backend[j] = &vpc->endpoint[(at + j * 3) % MOST_ENDPOINTS];
				l->weight[j] = any(4);
			}
		}
		vpc->balancers++;
	}
}

static void any_nat(struct blueprint *b, struct blueprint_vpc *vpc)
{
	struct blueprint_nat *nat = &vpc->nat;
	unsigned int first = any(MOST_ENDPOINTS);

	if (!any(4) || b->six)
		return;
	for (unsigned int i = any(MOST_POOL) + 1; i; i--)
		nat->pool[nat->pooled++] = any_free(b, b->external);
	for (unsigned int i = 0; i < vpc->subnets; i++)
		nat->serves[i] = any(3) > 0;
	for (unsigned int i = any(MOST_FLOATING + 1); i; i--) {
		const struct blueprint_floating f = {any_free(b, b->external),
						     &vpc->endpoint[first++ % MOST_ENDPOINTS],
						     any_chain(vpc, 2)};

		nat->floating[nat->floatings++] = f;
	}
	for (unsigned int i = any(MOST_FORWARDS + 1); i; i--)
		nat->forward[nat->forwards++] =
			(struct blueprint_forward){nat->pool[any(nat->pooled)],
						   i % 2 ? IPPROTO_TCP : IPPROTO_UDP,
						   2220 + i,
						   any(2) ? 22 : 2220 + i,
						   &vpc->endpoint[any(MOST_ENDPOINTS)],
						   any_chain(vpc, 2)};
}

// ---- what is random: rules

static void any_rule(const struct blueprint *b, int of_acl, struct rule *r)
{
	const uint8_t protocols[] = {0, 0, IPPROTO_TCP, IPPROTO_UDP, icmp_of(b)->protocol, GRE};
	static const uint16_t ports[] = {0, 8, 22, 53, 80, 443, 8000, 8001, 65535};
	const struct blueprint_vpc *vpc = &b->vpc[any(MOST_VPCS)];
	uint32_t length = any(3) ? any(2) * 32 : any(33);
	uint32_t address = any(2) ? vpc->endpoint[any(vpc->endpoints)].address
				  : any_of(&vpc->subnet[any(vpc->subnets)].prefix);
	uint16_t one = ports[any(COUNT(ports))], other = ports[any(COUNT(ports))];

	*r = (struct rule){
		.direction = any(2),
		.protocol = protocols[any(COUNT(protocols))],
		.port_max = 65535,
		.remote_bits = 96 + length,
		.remote = blueprint_address(b, length ? address & ~0u << (32 - length) : 0)};
	if (!of_acl && !any(4))
		r->remote_group = 1 + any(MOST_GROUPS);
	r->outcome = of_acl ? rule_outcome(any(40), any(3) == 0) : RULE_ALLOW;
	if (r->protocol && r->protocol != GRE && any(2)) {
		r->port_min = one < other ? one : other;
		r->port_max = one < other ? other : one;
	}
}

static void any_rules(const struct blueprint *b, int of_acl, struct rules_set *set)
{
	free(set->rule);
	set->known = any(12) > 0;
	set->count = 1 + any(14);
	set->rule = calloc(set->count, sizeof(*set->rule));
	if (!set->rule)
		fatal("no memory");
	for (size_t i = 0; i < set->count; i++)
		any_rule(b, of_acl, &set->rule[i]);
}

static void any_blueprint(struct blueprint *b, int six)
{
	b->six = six;
	for (int i = 0; i < MOST_VPCS; i++)
		b->vpc[i] = (struct blueprint_vpc){.vni = 0x0100A0u + i};
	for (int i = 0; i < MOST_VPCS; i++)
		any_chains(&b->vpc[i]);
	b->external = &b->vpc[PUBLIC];
	any_subnets(&b->vpc[RED], inside, COUNT(inside));
	any_subnets(&b->vpc[BLUE], inside, COUNT(inside));
	any_subnets(&b->vpc[PUBLIC], outside, COUNT(outside));
	for (int i = 0; i < MOST_VPCS; i++) {
		any_endpoints(b, &b->vpc[i], (uint8_t)(1 + i * MOST_ENDPOINTS));
		any_routes(&b->vpc[i]);
	}
	any_balancers(b, &b->vpc[RED]);
	any_balancers(b, &b->vpc[BLUE]);
	any_nat(b, &b->vpc[RED]);
	any_nat(b, &b->vpc[BLUE]);
	for (int i = 1; i <= MOST_GROUPS; i++)
		any_rules(b, 0, &b->group[i]);
	for (int i = 1; i <= MOST_ACLS; i++)
		any_rules(b, 1, &b->acl[i]);
}

// ---- what the nodes know, as zetad would have it

struct storing {
	struct entries entries;
	const struct world *w;
};

static int store_entry(struct entries *entries, enum table table, const void *key,
		       const void *value)
{
	const struct storing *storing = (void *)entries;

	for (int i = FTN; i < NODES; i++)
		node_put(&storing->w->node[i], tables[table].map, key, value);
	return 0;
}

// Its memory lasts until the next so many of them.
static ProtobufCBinaryData bytes_of(const struct world *w, uint32_t address)
{
	static struct in6_addr ring[64];
	static unsigned int at;
	struct in6_addr *a = &ring[at++ % COUNT(ring)];

	*a = blueprint_address(&w->b, address);
	return (ProtobufCBinaryData){sizeof(*a), (uint8_t *)a};
}

static void put_everywhere(const struct world *w, const char *map, const void *key,
			   const void *value)
{
	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], map, key, value);
}

static void put_endpoint(const struct world *w, const struct blueprint_vpc *vpc,
			 const struct blueprint_endpoint *e)
{
	const struct endpoint_key key = {vpc->vni, blueprint_address(&w->b, e->address)};
	struct endpoint_value value = {.host = address_of_v4(htonl(HOST(e))),
				       .host_mac = {2, 10, 0, 0, 0, e->number},
				       .mac = {2, 1, 0, 0, 0, e->number}};

	memcpy(value.group, e->group, sizeof(value.group));
	put_everywhere(w, "endpoints", &key, &value);
	if (e->down)
		put_everywhere(w, "routers_down", &key, &(uint32_t){1});
	for (unsigned int i = 0; i < e->alloweds; i++) {
		const struct allowed_key may = {
			.prefix_bits = 32 + 64 + 96 + e->allowed[i].bits,
			.vni = htonl(vpc->vni),
			.mac = {2, 1, 0, 0, 0, e->number},
			.address = blueprint_address(&w->b, e->allowed[i].address)};

		put_everywhere(w, "allowed", &may, &key.address);
	}
}

static void put_subnet(const struct world *w, const struct blueprint_vpc *vpc,
		       const struct blueprint_subnet *s)
{
	const struct subnet_key key = {.prefix_bits = 32 + 96 + s->prefix.bits,
				       .vni = htonl(vpc->vni),
				       .address = blueprint_address(&w->b, s->prefix.address)};
	const struct subnet_value value = {.gateway = blueprint_address(&w->b, s->gateway),
					   .gateway_mac = {2, 0xf, 0, 0, 0, (uint8_t)s->number},
					   .bits = 96 + s->prefix.bits,
					   .subnet = s->number,
					   .acl = s->acl,
					   .chain = s->chain ? s->chain->number : 0};

	put_everywhere(w, "subnets", &key, &value);
}

static void put_routes(const struct world *w, const struct blueprint_vpc *vpc)
{
	struct storing storing = {{.put = store_entry}, w};
	Zeta__Node__V1__RouteBlock block = ZETA__NODE__V1__ROUTE_BLOCK__INIT;
	Zeta__Node__V1__Route route[MOST_ROUTES], *routes[MOST_ROUTES];
	ProtobufCBinaryData hops[MOST_ROUTES][MOST_HOPS];

	for (unsigned int i = 0; i < vpc->routes; i++) {
		const struct blueprint_route *r = &vpc->route[i];

		zeta__node__v1__route__init(&route[i]);
		route[i].prefix = bytes_of(w, r->prefix.address);
		route[i].prefix_length = 96 + r->prefix.bits;
		// One alone is said either way; down or not, it is the one.
		if (r->hops == 1 && i % 2)
			route[i].next_hop = bytes_of(w, r->hop[0]->address);
		else
			route[i].n_next_hops = r->hops;
		for (unsigned int k = 0; k < r->hops; k++)
			hops[i][k] = bytes_of(w, r->hop[k]->address);
		route[i].next_hops = hops[i];
		routes[i] = &route[i];
	}
	block.vni = vpc->vni;
	block.route = routes;
	block.n_route = vpc->routes;
	must(route_block_entries(&block, &storing.entries), storing.entries.why);
}

static void put_balancer(const struct world *w, const struct blueprint_vpc *vpc,
			 const struct blueprint_balancer *balancer)
{
	struct storing storing = {{.put = store_entry}, w};
	Zeta__Node__V1__LoadBalancer message = ZETA__NODE__V1__LOAD_BALANCER__INIT;
	Zeta__Node__V1__Listener listener[MOST_LISTENERS], *listeners[MOST_LISTENERS];
	Zeta__Node__V1__Backend backend[MOST_LISTENERS][MOST_BACKENDS];
	Zeta__Node__V1__Backend *backends[MOST_LISTENERS][MOST_BACKENDS];
	char id[MOST_LISTENERS][MOST_BACKENDS][16];
	uint8_t mac[MOST_LISTENERS][MOST_BACKENDS][6];

	for (unsigned int i = 0; i < balancer->listeners; i++) {
		const struct blueprint_listener *l = &balancer->listener[i];

		zeta__node__v1__listener__init(&listener[i]);
		listener[i].protocol = l->protocol;
		listener[i].port = l->port;
		listener[i].backend_port = l->backend_port;
		listener[i].backend = backends[i];
		listener[i].n_backend = l->backends;
		listeners[i] = &listener[i];
		for (unsigned int k = 0; k < l->backends; k++) {
			zeta__node__v1__backend__init(&backend[i][k]);
			snprintf(id[i][k], sizeof(id[i][k]), "port-%u", l->backend[k]->number);
			backend[i][k].id = id[i][k];
			backend[i][k].ip = bytes_of(w, l->backend[k]->address);
			backend[i][k].weight = l->weight[k];
			memcpy(mac[i][k], (uint8_t[]){2, 1, 0, 0, 0, l->backend[k]->number}, 6);
			backend[i][k].mac = (ProtobufCBinaryData){6, mac[i][k]};
			backends[i][k] = &backend[i][k];
		}
	}
	message.vni = vpc->vni;
	message.ip = bytes_of(w, balancer->address);
	message.by_source = balancer->by_source;
	message.chain = balancer->chain ? balancer->chain->number : 0;
	message.direct = balancer->direct;
	message.listener = listeners;
	message.n_listener = balancer->listeners;
	must(loadbalancer_entries(&message, &storing.entries), storing.entries.why);
}

static void put_nat(const struct world *w, const struct blueprint_vpc *vpc)
{
	const struct blueprint_nat *nat = &vpc->nat;
	struct storing storing = {{.put = store_entry}, w};
	Zeta__Node__V1__Nat message = ZETA__NODE__V1__NAT__INIT;
	Zeta__Node__V1__FloatingIp floating[MOST_FLOATING], *floatings[MOST_FLOATING];
	Zeta__Node__V1__Forward forward[MOST_FORWARDS], *forwards[MOST_FORWARDS];
	ProtobufCBinaryData address[MOST_POOL];
	uint32_t subnet[MOST_SUBNETS];

	message.vni = vpc->vni;
	message.external_vni = w->b.external->vni;
	message.address = address;
	for (unsigned int i = 0; i < nat->pooled; i++)
		address[message.n_address++] = bytes_of(w, nat->pool[i]);
	message.subnet = subnet;
	for (unsigned int i = 0; i < vpc->subnets; i++)
		if (nat->serves[i])
			subnet[message.n_subnet++] = vpc->subnet[i].number;
	message.floating_ip = floatings;
	for (unsigned int i = 0; i < nat->floatings; i++) {
		zeta__node__v1__floating_ip__init(&floating[i]);
		floating[i].address = bytes_of(w, nat->floating[i].address);
		floating[i].inside = bytes_of(w, nat->floating[i].target->address);
		floating[i].chain = nat->floating[i].chain ? nat->floating[i].chain->number : 0;
		floatings[message.n_floating_ip++] = &floating[i];
	}
	message.forward = forwards;
	for (unsigned int i = 0; i < nat->forwards; i++) {
		const struct blueprint_forward *f = &nat->forward[i];

		zeta__node__v1__forward__init(&forward[i]);
		forward[i].protocol = f->protocol;
		forward[i].address = bytes_of(w, f->address);
		forward[i].port = f->port;
		forward[i].inside = bytes_of(w, f->target->address);
		forward[i].inside_port = f->target_port;
		forward[i].chain = f->chain ? f->chain->number : 0;
		forwards[message.n_forward++] = &forward[i];
	}
	must(nat_entries(&message, &storing.entries), storing.entries.why);
}

static void put_rules(const struct world *w, uint32_t of, uint32_t number,
		      const struct rules_set *set)
{
	for (int i = FTN; i < NODES; i++)
		if (set->known)
			node_rules(&w->node[i], of, number, set->rule, set->count);
		else
			node_remove(&w->node[i], of ? "network_acls" : "security_groups", &number);
}

static void forget(const struct world *w)
{
	static const char *const maps[] = {"sessions", "cache", "used_up"};
	const uint64_t none = 0;
	const uint32_t key = 0;

	for (int i = 0; i < NODES; i++) {
		for (size_t m = 0; m < COUNT(maps); m++)
			node_clear(&w->node[i], maps[m]);
		node_put(&w->node[i], "records", &key, &none);
	}
}

static void put_chain(const struct world *w, const struct blueprint_chain *c)
{
	static const uint8_t slots[] = {[BLUEPRINT_REFUSES] = REFUSES,
					[BLUEPRINT_DONE] = DONE,
					[BLUEPRINT_ACL] = FUNCTION_ACL,
					[BLUEPRINT_GROUPS] = FUNCTION_SECURITY_GROUP};
	const struct function_config_key key = {c->number | FUNCTION_LATER, REFUSES, 0};
	struct service_chain_value value = {.functions = (uint8_t)c->functions};
	struct function_config config = {};
	const uint16_t port = htons(c->port);

	for (unsigned int i = 0; i < c->functions; i++)
		value.function[i] = slots[c->function[i]];
	memcpy(config.bytes, &port, sizeof(port));
	for (int i = FTN; i < NODES; i++) {
		node_put(&w->node[i], "service_chains", &c->number, &value);
		node_put(&w->node[i], "function_configs", &key, &config);
	}
}

// To a node that begins: DONE is told nothing, and says it always.
static void put_functions(struct world *w, int node, const char *name, const char *objects)
{
	struct pushing *p = &w->pushing[node];

	pushing_begin(p, name, objects);
	pushing_sample(p, "PORT", REFUSES, 0);
	pushing_sample(p, "END", DONE, 0);
	pushing_runs(p, REFUSES, 0);
	pushing_runs(p, DONE, 0);
}

static void put_blueprint(const struct world *w)
{
	static const char *const maps[] = {
		"endpoints",	 "allowed",	   "subnets",	  "routes",	     "next_hops",
		"routers_down",	 "load_balancers", "listeners",	  "direct_backends", "nat_sources",
		"nat_addresses", "nat_floating",   "nat_forwards"};
	const struct blueprint *b = &w->b;
	const struct vpc_value plain = {.policy = 1,
					.functions = 6,
					.function = {FUNCTION_LOAD_BALANCER, FUNCTION_NAT,
						     FUNCTION_DIVIDER, FUNCTION_BOUNCER,
						     FUNCTION_ACL, FUNCTION_SECURITY_GROUP}};
	const struct vpc_value done = {.policy = 1,
				       .functions = 7,
				       .function = {FUNCTION_LOAD_BALANCER, FUNCTION_NAT,
						    FUNCTION_DIVIDER, FUNCTION_BOUNCER, DONE,
						    FUNCTION_ACL, FUNCTION_SECURITY_GROUP}};

	for (int i = 0; i < NODES; i++)
		for (size_t m = 0; m < COUNT(maps); m++)
			node_clear(&w->node[i], maps[m]);
	forget(w);
	for (uint32_t i = 1; i <= MOST_GROUPS; i++)
		put_rules(w, 0, i, &b->group[i]);
	for (uint32_t i = 1; i <= MOST_ACLS; i++)
		put_rules(w, RULES_OF_ACL, i, &b->acl[i]);
	for (int i = 0; i < MOST_VPCS; i++) {
		const struct blueprint_vpc *vpc = &b->vpc[i];

		put_everywhere(w, "vpcs", &vpc->vni, vpc->done ? &done : &plain);
		for (unsigned int k = 0; k < vpc->chains; k++)
			put_chain(w, &vpc->chain[k]);
		for (unsigned int k = 0; k < vpc->subnets; k++)
			put_subnet(w, vpc, &vpc->subnet[k]);
		for (unsigned int k = 0; k < vpc->endpoints; k++)
			put_endpoint(w, vpc, &vpc->endpoint[k]);
		for (unsigned int k = 0; k < vpc->balancers; k++)
			put_balancer(w, vpc, &vpc->balancer[k]);
		put_routes(w, vpc);
		if (vpc->nat.pooled)
			put_nat(w, vpc);
	}
}

// ---- what is random: packets

// Somebody's, in the sender's VPC or where its NAT leads, or nobody's.
static uint32_t any_destination(const struct blueprint *b, const struct blueprint_vpc *vpc)
{
	const struct blueprint_nat *nat = &b->vpc[any(2)].nat;

	switch (any(8)) {
	case 0:
	case 1:
	case 2:
		return vpc->endpoint[any(vpc->endpoints)].address;
	case 3:
		if (vpc->balancers)
			return vpc->balancer[any(vpc->balancers)].address;
		return b->external->endpoint[any(MOST_ENDPOINTS)].address;
	case 4:
		return b->external->endpoint[any(MOST_ENDPOINTS)].address;
	case 5:
		if (nat->floatings && any(2))
			return nat->floating[any(nat->floatings)].address;
		return nat->pooled ? nat->pool[any(nat->pooled)] : ADDRESS(8, 8, 8, 8);
	case 6:
		if (vpc->routes)
			return any_of(&vpc->route[any(vpc->routes)].prefix);
		return ADDRESS(172, 20, 0, 1 + any(250));
	default:
		return any_of(any(2) ? &away[2 + any(3)] : &vpc->subnet[any(vpc->subnets)].prefix);
	}
}

static int is_unicast(uint32_t address)
{
	return address >> 24 && address >> 24 != 127 && address >> 24 < 224;
}

static uint32_t any_source(const struct blueprint_vpc *vpc, const struct blueprint_endpoint *e)
{
	uint32_t address;

	if (any(8) && !(e->alloweds && any(2)))
		return e->address;
	if (e->alloweds && any(2)) {
		address = any_of(&e->allowed[any(e->alloweds)]);
		if (is_unicast(address))
			return address;
	}
	if (any(8))
		return any_of(&away[1 + any(4)]);
	return any(2) ? vpc->endpoint[any(vpc->endpoints)].address
		      : vpc->subnet[any(vpc->subnets)].gateway;
}

// Who is asked by people, and no gateway: those answer themselves.
static int is_asked(const struct blueprint *b, uint32_t address)
{
	for (int i = 0; i < MOST_VPCS; i++)
		for (unsigned int k = 0; k < b->vpc[i].subnets; k++)
			if (b->vpc[i].subnet[k].gateway == address)
				return 0;
	return is_unicast(address);
}

// So that some ask for themselves.
static void ask_as_backend(struct blueprint_packet *p)
{
	const struct blueprint_balancer *balancer = blueprint_balancer_of(p->vpc, p->destination);
	const struct blueprint_listener *l;

	if (!balancer || any(3))
		return;
	l = &balancer->listener[any(balancer->listeners)];
	p->protocol = l->protocol;
	p->destination_port = l->port;
	p->flags = l->protocol == IPPROTO_TCP ? SYN : 0;
	p->type = 0;
	p->fragment = 0;
	if (l->backends)
		p->sender = l->backend[0];
	p->source = p->sender->address;
}

static struct blueprint_packet any_packet(const struct blueprint *b, uint16_t unique)
{
	const struct icmp *icmp = icmp_of(b);
	const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_TCP,	  IPPROTO_TCP, IPPROTO_UDP,
				     IPPROTO_UDP, icmp->protocol, GRE};
	static const uint16_t ports[] = {80, 443, 53, 22, 2221, 2222, 2223, 8000, 9};
	struct blueprint_packet p = {.vpc = &b->vpc[any(MOST_VPCS)]};

	p.sender = &p.vpc->endpoint[any(MOST_ENDPOINTS)];
	p.source = any_source(p.vpc, p.sender);
	p.protocol = protocols[any(COUNT(protocols))];
	p.fragment = !any(16) && !b->six;
	do
		p.destination = any_destination(b, p.vpc);
	while (p.destination == p.source || !is_asked(b, p.destination));
	if (p.protocol == IPPROTO_TCP)
		p.flags = any(8) ? SYN : any(2) ? ACK : SYN | ACK;
	if (is_icmp(&p))
		p.type = any(8) ? icmp->request : icmp->query;
	if (p.protocol == GRE || is_query(&p))
		return p;
	p.source_port = unique;
	p.destination_port = is_icmp(&p) ? p.source_port : ports[any(COUNT(ports))];
	ask_as_backend(&p);
	return p;
}

static void write_frame(struct frame *f, const struct blueprint *b,
			const struct blueprint_packet *p)
{
	const struct blueprint_subnet *s = blueprint_subnet_of(p->vpc, p->sender->address);
	const struct in6_addr source = blueprint_address(b, p->source),
			      destination = blueprint_address(b, p->destination);
	char from[ADDRESS_TEXT], to[ADDRESS_TEXT], mac[18], gateway[18], host[16];

	address_text(&source, from);
	address_text(&destination, to);
	snprintf(mac, sizeof(mac), "02:01:00:00:00:%02x", p->sender->number);
	snprintf(gateway, sizeof(gateway), "02:0f:00:00:00:%02x", s->number);
	frame_clear(f);
	frame_fill(f, p->protocol == IPPROTO_TCP ? 44 : 40); // steps of 8 bytes
	if (p->protocol == IPPROTO_TCP)
		frame_tcp(f, p->source_port, p->destination_port, p->flags);
	else if (p->protocol == IPPROTO_UDP)
		frame_udp(f, p->source_port, p->destination_port, 0);
	else if (p->protocol == IPPROTO_ICMP)
		frame_icmp(f, p->type, 0, (uint32_t)p->source_port << 16);
	else if (p->protocol == IPPROTO_ICMPV6)
		frame_icmpv6(f, p->type, 0, (uint32_t)p->source_port << 16, from, to);
	if (b->six)
		frame_ipv6(f, (struct ipv6_start){from, to, p->protocol, 64});
	else
		frame_ipv4(f, (struct ipv4_header){.from = from,
						   .to = to,
						   .protocol = p->protocol,
						   .fragment = p->fragment ? 0x2000 : 0});
	frame_ethernet(f, gateway, mac, b->six ? ETH_P_IPV6 : ETH_P_IP);
	frame_vxlan(f, p->vpc->vni);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){.from = text_of(HOST(p->sender), host),
					   .to = "192.168.0.201",
					   .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:00", "02:0a:00:00:00:01", ETH_P_IP);
}

// ---- what becomes of them

// As blueprint_outcome has it, where a frame was forwarded.
struct seen {
	enum verdict verdict; // the last one, at the forwarder
	enum verdict reason;  // of the decision, where it was not forwarded
	uint32_t vni;
	uint32_t source, destination;
	uint16_t source_port, destination_port;
	uint8_t host, to, from; // last bytes of MACs
	uint8_t by_gateway;	// it comes from one
	uint32_t ttl;
};
_Static_assert(sizeof(struct seen) == 32, "no padding: they are compared as bytes");

static uint16_t number_at(const struct frame *f, int at)
{
	return (uint16_t)(f->byte[at] << 8 | f->byte[at + 1]);
}

// The last 32 bits of the address that ends there.
static uint32_t address_before(const struct frame *f, int at)
{
	return (uint32_t)number_at(f, at - 4) << 16 | number_at(f, at - 2);
}

static int is_forwarded(enum verdict v)
{
	return v == FORWARDED || v == FORWARDED_FIRST;
}

static struct seen look(const struct world *w, const struct blueprint_packet *p)
{
	const int six = w->b.six, addresses = six ? 8 : 12, each = six ? 16 : 4;
	const int l4 = IP + addresses + 2 * each;
	int from_b = p->source > p->destination;
	struct dft_packet op = {};
	struct seen s = {};
	struct frame f;

	write_frame(&f, &w->b, p);
	s.verdict = node_travel(w->node, NODES, FWD, &f, &op);
	s.reason = op.towards[from_b].decision.reason;
	if (!is_forwarded(s.verdict) || f.length < (size_t)l4 + 8)
		return s;
	s.vni = vni_of(f.byte + INNER - 4);
	s.host = f.byte[5];
	s.to = f.byte[INNER + 5];
	s.from = f.byte[INNER + 11];
	s.by_gateway = f.byte[INNER + 7] == 0xf;
	s.source = address_before(&f, l4 - each);
	s.destination = address_before(&f, l4);
	s.ttl = f.byte[IP + (six ? 7 : 8)];
	if (p->protocol == GRE)
		return s;
	s.source_port = number_at(&f, l4 + (is_icmp(p) ? 4 : 0));
	s.destination_port = number_at(&f, l4 + (is_icmp(p) ? 4 : 2));
	return s;
}

static int is_outcome(const struct seen *s, const struct blueprint_packet *p,
		      const struct blueprint_outcome *o)
{
	uint16_t to_port = o->chosen && is_icmp(p) ? s->source_port : o->destination_port;

	if (o->reason != FORWARDED)
		return o->told ? s->verdict == UNREACHABLE && s->reason == o->reason
			       : s->verdict == o->reason;
	return is_forwarded(s->verdict) && s->vni == o->vpc->vni && s->host == o->taker->number &&
	       s->to == o->taker->number && s->source == o->source &&
	       s->destination == o->destination &&
	       (o->chosen ? s->source_port >= 1024 : s->source_port == o->source_port) &&
	       s->destination_port == to_port && s->ttl == (o->gateway ? 63 : 64) &&
	       s->by_gateway == (o->gateway != 0) &&
	       s->from == (o->gateway ? (uint8_t)o->gateway : p->sender->number);
}

static void print_packet(const struct blueprint_packet *p)
{
	char from[16], to[16];

	fprintf(stderr,
		"  VNI %x, from port %u: %s:%u to %s:%u, protocol %u, flags %x, type %u%s\n",
		p->vpc->vni, p->sender->number, text_of(p->source, from), p->source_port,
		text_of(p->destination, to), p->destination_port, p->protocol, p->flags, p->type,
		p->fragment ? ", a fragment" : "");
}

static void print_seen(const struct seen *s)
{
	char from[16], to[16];

	fprintf(stderr, "  seen: %s, reason %s\n", verdict_name(s->verdict),
		verdict_name(s->reason));
	if (is_forwarded(s->verdict))
		fprintf(stderr,
			"    VNI %x, to port %u at host %u: %s:%u to %s:%u, TTL %u, by %s %u\n",
			s->vni, s->to, s->host, text_of(s->source, from), s->source_port,
			text_of(s->destination, to), s->destination_port, s->ttl,
			s->by_gateway ? "gateway" : "port", s->from);
}

static void print_outcome(const struct blueprint_outcome *o)
{
	char from[16], to[16];

	if (o->reason != FORWARDED) {
		fprintf(stderr, "  said: %s%s\n", verdict_name(o->reason),
			o->told ? ", and the sender is told" : "");
		return;
	}
	fprintf(stderr, "  said: VNI %x, to port %u: %s:%u%s to %s:%u, gateway %u%s\n", o->vpc->vni,
		o->taker->number, text_of(o->source, from), o->source_port,
		o->chosen ? " (chosen)" : "", text_of(o->destination, to), o->destination_port,
		o->gateway & 255, o->remembered ? ", remembered" : "");
}

// Returns which of the outcomes it is, -1 after printing all where it is none.
static int which(const char *what, const struct seen *s, const struct blueprint_packet *p,
		 const struct blueprint_outcome *out, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (is_outcome(s, p, &out[i]))
			return (int)i;
	fprintf(stderr, "%s:\n", what);
	print_packet(p);
	print_seen(s);
	for (unsigned int i = 0; i < count; i++)
		print_outcome(&out[i]);
	return -1;
}

// What the taker of such a packet answers.
static struct blueprint_packet answer_to(const struct blueprint *b,
					 const struct blueprint_packet *p,
					 const struct blueprint_outcome *o, const struct seen *s)
{
	struct blueprint_packet back = {
		.vpc = o->vpc,
		.sender = o->taker,
		.source = s->destination,
		.destination = s->source,
		.protocol = p->protocol,
		.flags = p->protocol == IPPROTO_TCP ? (p->flags == SYN ? SYN | ACK : ACK) : 0,
		.type = p->type == icmp_of(b)->request ? icmp_of(b)->reply : p->type,
		.source_port = s->destination_port,
		.destination_port = s->source_port,
		.fragment = p->fragment,
	};

	return back;
}

static int is_home(const struct blueprint_packet *p, const struct seen *s)
{
	const struct blueprint_endpoint *home[MOST_HOPS];

	for (unsigned int i = blueprint_homes(p, home); i; i--)
		if (s->host == home[i - 1]->number && s->to == s->host)
			return 1;
	return 0;
}

// What belongs to a session comes back to who began it, as from whom he spoke to.
static int comes_home(const struct world *w, const struct blueprint_packet *p,
		      const struct blueprint_packet *back)
{
	const struct seen s = look(w, back);

	if (is_forwarded(s.verdict) && s.vni == p->vpc->vni && is_home(p, &s) &&
	    s.source == p->destination && s.destination == p->source &&
	    s.source_port == p->destination_port && s.destination_port == p->source_port)
		return 0;
	fprintf(stderr, "the answer:\n");
	print_packet(back);
	print_seen(&s);
	fprintf(stderr, "  to:\n");
	print_packet(p);
	return 1;
}

static int is_remembered(const struct world *w, const struct blueprint_packet *p)
{
	struct session_key key = {.protocol = p->protocol};
	struct in6_addr from = blueprint_address(&w->b, p->source),
			to = blueprint_address(&w->b, p->destination);
	int from_b = p->source > p->destination;
	struct dft_record record;

	key.a = from_b ? to : from;
	key.b = from_b ? from : to;
	key.a_port = htons(from_b ? p->destination_port : p->source_port);
	key.b_port = htons(from_b ? p->source_port : p->destination_port);
	if (is_query(p))
		key.b_port = 0xFFFF;
	key.vni[0] = (uint8_t)(p->vpc->vni >> 16);
	key.vni[1] = (uint8_t)(p->vpc->vni >> 8);
	key.vni[2] = (uint8_t)p->vpc->vni;
	for (int i = FTN; i < NODES; i++)
		if (node_session(&w->node[i], &key, &record))
			return record.life == DFT_LIVE;
	return 0;
}

// As nobody yet can (docs/nat.md, Limits): by his own floating IP from the port that he asks for.
static int talks_to_himself(const struct blueprint_packet *p, const struct blueprint_outcome *o)
{
	return o->reason == FORWARDED && o->translated && o->vpc == p->vpc &&
	       o->destination == p->source;
}

// counts: of what is said, by reason.
static int check(const struct world *w, struct blueprint_packet p, uint32_t counts[VERDICTS])
{
	struct blueprint_outcome out[MOST_OUTCOMES];
	unsigned int count = blueprint_decide(&w->b, &p, out);
	struct blueprint_packet back;
	struct seen s, again;
	int i, wrong = 0;

	for (unsigned int k = 0; k < count; k++)
		if (talks_to_himself(&p, &out[k]))
			return 0;
	// Of these two may have one key.
	if (p.protocol == GRE || is_query(&p))
		forget(w);
	s = look(w, &p);
	i = which("the first", &s, &p, out, count);
	if (i < 0)
		return 1;
	counts[out[i].reason]++;
	if (is_remembered(w, &p) != out[i].remembered) {
		fprintf(stderr, "%s remembered:\n", out[i].remembered ? "not" : "it is");
		print_packet(&p);
		print_outcome(&out[i]);
		wrong++;
	}
	if (out[i].reason != FORWARDED)
		return wrong;
	back = answer_to(&w->b, &p, &out[i], &s);
	if (out[i].remembered) {
		wrong += comes_home(w, &p, &back);
		if (p.protocol == IPPROTO_TCP)
			p.flags = ACK;
	} else {
		node_clear(&w->node[FWD], "cache");
	}
	again = look(w, &p);
	again.reason = s.reason;
	s.verdict = again.verdict = is_forwarded(again.verdict) ? FORWARDED : again.verdict;
	if (memcmp(&s, &again, sizeof(s)) != 0) {
		fprintf(stderr, "again, and now another way:\n");
		print_packet(&p);
		print_seen(&s);
		print_seen(&again);
		wrong++;
	}
	if (out[i].remembered)
		return wrong + comes_home(w, &p, &back);
	node_clear(&w->node[FWD], "cache");
	count = blueprint_decide(&w->b, &back, out);
	if (!is_asked(&w->b, back.destination))
		return wrong;
	s = look(w, &back);
	return wrong + (which("the answer, of its own", &s, &back, out, count) < 0);
}

static void put_view(const struct node *n)
{
	struct entrance_value entrance = {.mac = {2, 14}, .live = 1, .owner = FWD};
	uint32_t index = 0;

	entrance.ip = address_must("192.168.0.201");
	node_put(n, "entrances", &index, &entrance);
	node_put(n, "entrance_by_ip", &entrance.ip, &index);
	node_peers(n, NODES);
	for (uint16_t c = 0; c < 2; c++)
		node_chain(
			n, c,
			&(struct chain_value){.epoch = 1, .term = 1, .live = 1, .node = {FTN + c}});
	for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
		const uint32_t chain = 1 + bucket % 2;

		node_put(n, "buckets", &bucket, &chain);
	}
}

int main(int argc, char **argv)
{
	const int flat = argc > 2 && !strcmp(argv[2], "flat");
	const int given = argc > 2 + flat;
	uint64_t first = given ? strtoull(argv[2 + flat], NULL, 0) : (uint64_t)time(NULL), seed;
	uint64_t rounds = argc > 3 + flat ? strtoull(argv[3 + flat], NULL, 0) : given ? 1 : ROUNDS;
	uint32_t counts[VERDICTS] = {};
	static struct world w;
	int wrong = 0;

	if (argc < 2)
		fatalx("usage: %s OBJECTS [flat] [seed [rounds]]", argv[0]);
	testing_begin();
	for (uint32_t i = 0; i < NODES; i++) {
		static const char *const names[] = {"fwd", "one", "other"};

		node_load(&w.node[i], &(struct node_wish){.name = names[i],
							  .index = i,
							  .roles = i == FWD ? ROLE_FWD : ROLE_FTN,
							  .sessions = 2048,
							  .flat = flat ? 16 : 0});
		put_view(&w.node[i]);
		if (i != FWD)
			put_functions(&w, (int)i, names[i], argv[1]);
	}
	for (seed = first; seed < first + rounds && !wrong; seed++) {
		state = seed * 2654435761u + 1;
		any_blueprint(&w.b, seed % 2);
		put_blueprint(&w);
		for (unsigned int i = 0; i < PACKETS && !wrong; i++)
			wrong += check(&w, any_packet(&w.b, (uint16_t)(20000 + i)), counts);
		if (wrong)
			fprintf(stderr, "seed %lu\n", (unsigned long)seed);
	}
	printf("seeds %lu to %lu:", (unsigned long)first, (unsigned long)seed - 1);
	for (int v = 0; v < VERDICTS; v++)
		if (counts[v])
			printf(" %u %s", counts[v], verdict_name(v));
	puts("");
	for (uint32_t i = 0; i < NODES; i++) {
		if (i != FWD)
			pushing_end(&w.pushing[i]);
		node_free(&w.node[i]);
	}
	for (int i = 1; i <= MOST_GROUPS; i++)
		free(w.b.group[i].rule);
	for (int i = 1; i <= MOST_ACLS; i++)
		free(w.b.acl[i].rule);
	return wrong != 0;
}
