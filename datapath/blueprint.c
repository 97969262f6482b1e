// SPDX-License-Identifier: Apache-2.0
#include "datapath/blueprint.h"

#include <arpa/inet.h>
#include <stddef.h>

#include "shared/address.h"

// ---- who and where

int blueprint_covers(const struct blueprint_prefix *prefix, uint32_t address)
{
	return !prefix->bits || !((prefix->address ^ address) >> (32 - prefix->bits));
}

const struct blueprint_endpoint *blueprint_endpoint_of(const struct blueprint_vpc *vpc,
						       uint32_t address)
{
	for (unsigned int i = 0; i < vpc->endpoints; i++)
		if (vpc->endpoint[i].address == address)
			return &vpc->endpoint[i];
	return NULL;
}

const struct blueprint_subnet *blueprint_subnet_of(const struct blueprint_vpc *vpc,
						   uint32_t address)
{
	for (unsigned int i = 0; i < vpc->subnets; i++)
		if (blueprint_covers(&vpc->subnet[i].prefix, address))
			return &vpc->subnet[i];
	return NULL;
}

struct in6_addr blueprint_address(const struct blueprint *b, uint32_t address)
{
	const struct in6_addr six = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
						 address >> 24, address >> 16 & 255,
						 address >> 8 & 255, address & 255}};

	return b->six ? six : address_of_v4(htonl(address));
}

const struct blueprint_balancer *blueprint_balancer_of(const struct blueprint_vpc *vpc,
						       uint32_t address)
{
	for (unsigned int i = 0; i < vpc->balancers; i++)
		if (vpc->balancer[i].address == address)
			return &vpc->balancer[i];
	return NULL;
}

// The longest of a VPC's routes.
static const struct blueprint_route *route_of(const struct blueprint_vpc *vpc, uint32_t address)
{
	const struct blueprint_route *best = NULL;

	for (unsigned int i = 0; i < vpc->routes; i++)
		if (blueprint_covers(&vpc->route[i].prefix, address) &&
		    (!best || vpc->route[i].prefix.bits > best->prefix.bits))
			best = &vpc->route[i];
	return best;
}

// And where no subnet is longer.
static const struct blueprint_route *counting_route_of(const struct blueprint_vpc *vpc,
						       uint32_t address)
{
	const struct blueprint_subnet *subnet = blueprint_subnet_of(vpc, address);
	const struct blueprint_route *route = route_of(vpc, address);

	return route && subnet && subnet->prefix.bits > route->prefix.bits ? NULL : route;
}

static int leads_to(const struct blueprint_route *route, const struct blueprint_endpoint *router)
{
	for (unsigned int i = 0; route && i < route->hops; i++)
		if (route->hop[i] == router)
			return 1;
	return 0;
}

// docs/provider.md "What leaves": those of a route that are not down, or all, where all are.
static unsigned int takers_of(const struct blueprint_route *route,
			      const struct blueprint_endpoint *taker[MOST_HOPS])
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < route->hops; i++)
		if (!route->hop[i]->down)
			taker[count++] = route->hop[i];
	for (unsigned int i = 0; !count && i < route->hops; i++)
		taker[i] = route->hop[i];
	return count ? count : route->hops;
}

unsigned int blueprint_homes(const struct blueprint_packet *p,
			     const struct blueprint_endpoint *home[MOST_HOPS])
{
	const struct blueprint_route *route = counting_route_of(p->vpc, p->source);

	if (!blueprint_endpoint_of(p->vpc, p->source) && leads_to(route, p->sender))
		return takers_of(route, home);
	home[0] = p->sender;
	return 1;
}

static const struct blueprint_floating *floating_of(const struct blueprint_nat *nat,
						    uint32_t address)
{
	for (unsigned int i = 0; i < nat->floatings; i++)
		if (nat->floating[i].address == address)
			return &nat->floating[i];
	return NULL;
}

static int in_pool(const struct blueprint_nat *nat, uint32_t address)
{
	for (unsigned int i = 0; i < nat->pooled; i++)
		if (nat->pool[i] == address)
			return 1;
	return 0;
}

// The VPC behind an address outside; NULL: it is no NAT's.
static const struct blueprint_vpc *behind(const struct blueprint *b, uint32_t address)
{
	for (int i = 0; i < MOST_VPCS; i++)
		if (floating_of(&b->vpc[i].nat, address) || in_pool(&b->vpc[i].nat, address))
			return &b->vpc[i];
	return NULL;
}

int blueprint_is_nats(const struct blueprint *b, uint32_t address)
{
	return behind(b, address) != NULL;
}

// ---- the functions, one after the other

// A packet on its way through them.
struct passage {
	const struct blueprint *b;
	const struct blueprint_packet *p;
	int by_router;	  // who sends does so for another
	unsigned int hop; // of the routers that may get it, of which there are hops
	unsigned int hops;
	const struct blueprint_chain *address;	  // of the address that it was sent to
	const struct blueprint_endpoint *backend; // that gets it as it is; NULL: no one
	struct blueprint_outcome out;
};

static int begins(const struct blueprint_packet *p)
{
	return rules_begins(&(struct rules_packet){
		.protocol = p->protocol, .tcp_flags = p->flags, .icmp_type = p->type});
}

// These return whether the packet goes on.
static int refuse(struct passage *w, enum verdict reason, int told)
{
	w->out = (struct blueprint_outcome){.reason = reason, .told = told};
	return 0;
}

// docs/routing.md "Routers"
static int comes_from_whom_it_says(struct passage *w)
{
	const struct blueprint_packet *p = w->p;
	const struct blueprint_endpoint *owner = blueprint_endpoint_of(p->vpc, p->source);
	const struct blueprint_subnet *subnet = blueprint_subnet_of(p->vpc, p->source);

	if (owner)
		return owner == p->sender || refuse(w, SPOOFED, 0);
	if ((subnet && subnet->gateway == p->source) || blueprint_balancer_of(p->vpc, p->source) ||
	    (p->vpc == w->b->external && behind(w->b, p->source)))
		return refuse(w, NO_SOURCE, 0);
	for (unsigned int i = 0; i < p->sender->alloweds; i++)
		w->by_router |= blueprint_covers(&p->sender->allowed[i], p->source);
	return w->by_router || refuse(w, NO_SOURCE, 0);
}

// docs/loadbalancer.md. The listener whose backends the packet may go to; NULL: none, and *goes
// says whether the packet does.
static const struct blueprint_listener *balanced(struct passage *w, int *goes)
{
	const struct blueprint_packet *p = w->p;
	const struct blueprint_balancer *balancer = blueprint_balancer_of(p->vpc, p->destination);

	*goes = 1;
	if (!balancer)
		return NULL;
	*goes = 0;
	if (!begins(p)) {
		refuse(w, NO_SESSION, 0);
		return NULL;
	}
	for (unsigned int i = 0; i < balancer->listeners; i++) {
		const struct blueprint_listener *listener = &balancer->listener[i];

		if (listener->protocol == p->protocol && listener->port == w->out.destination_port)
			return listener;
	}
	refuse(w, NO_LISTENER, 1);
	return NULL;
}

// docs/nat.md: out of the VPC. Returns whether the packet is translated; *without_port: it should
// be, and cannot.
static int goes_out(struct passage *w, int *without_port)
{
	const struct blueprint_packet *p = w->p;
	const struct blueprint_nat *nat = &p->vpc->nat;
	const struct blueprint_subnet *subnet = blueprint_subnet_of(p->vpc, p->source);

	*without_port = 0;
	if (!subnet || blueprint_subnet_of(p->vpc, p->destination) ||
	    route_of(p->vpc, p->destination))
		return 0;
	for (unsigned int i = 0; i < nat->floatings; i++) {
		if (nat->floating[i].target->address != p->source)
			continue;
		w->out.source = nat->floating[i].address;
		w->out.vpc = w->b->external;
		return 1;
	}
	if (!nat->serves[subnet - p->vpc->subnet] || !nat->pooled)
		return 0;
	*without_port = p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP &&
			p->protocol != IPPROTO_ICMP;
	w->out.source = 0; // one of the pool
	w->out.chosen = 1;
	w->out.vpc = w->b->external;
	return 1;
}

// And in, from there or from the external VPC itself. *nobody: the address stands for nobody.
static int comes_in(struct passage *w, int *nobody)
{
	struct blueprint_outcome *out = &w->out;
	const struct blueprint_vpc *vpc =
		out->vpc == w->b->external ? behind(w->b, out->destination) : NULL;
	const struct blueprint_floating *floating;

	*nobody = 0;
	if (!vpc)
		return 0;
	out->vpc = vpc;
	floating = floating_of(&vpc->nat, out->destination);
	if (floating) {
		out->destination = floating->target->address;
		w->address = floating->chain;
		return 1;
	}
	for (unsigned int i = 0; i < vpc->nat.forwards; i++) {
		const struct blueprint_forward *f = &vpc->nat.forward[i];

		if (f->address != out->destination || f->protocol != w->p->protocol ||
		    f->port != out->destination_port)
			continue;
		out->destination = f->target->address;
		out->destination_port = f->target_port;
		w->address = f->chain;
		return 1;
	}
	*nobody = 1;
	return 1;
}

static int translates(struct passage *w)
{
	int without_port, nobody, out = goes_out(w, &without_port), in = comes_in(w, &nobody);

	if (!out && !in)
		return 1;
	if (!begins(w->p))
		return refuse(w, NO_SESSION, 0);
	if (without_port)
		return refuse(w, NAT_NO_PORT, 1);
	if (nobody)
		return refuse(w, NAT_UNSOLICITED, 0);
	w->out.translated = w->out.remembered = 1;
	return 1;
}

// docs/routing.md "Which way a packet goes". A subnet and a route never have the same prefix.
static int finds_its_way(struct passage *w)
{
	const struct blueprint_packet *p = w->p;
	struct blueprint_outcome *out = &w->out;
	const struct blueprint_subnet *from =
		blueprint_subnet_of(p->vpc, w->by_router ? p->sender->address : p->source);
	const struct blueprint_subnet *to = blueprint_subnet_of(out->vpc, out->destination);
	const struct blueprint_route *route = counting_route_of(out->vpc, out->destination);
	const struct blueprint_endpoint *taker[MOST_HOPS];

	if (w->by_router && !leads_to(counting_route_of(p->vpc, p->source), p->sender) && begins(p))
		out->remembered = 1;
	if (w->backend) {
		out->taker = w->backend;
		out->gateway = blueprint_subnet_of(out->vpc, w->backend->address)->number;
		return 1;
	}
	if (!route && !to)
		return refuse(w, NO_ROUTE, 1);
	if (route && !route->hops)
		return refuse(w, BLACKHOLE, 1);
	if (leads_to(route, p->sender))
		return refuse(w, NO_ROUTE, 1);
	if (route) {
		w->hops = takers_of(route, taker);
		out->taker = taker[w->hop];
		out->gateway = blueprint_subnet_of(out->vpc, out->taker->address)->number;
		return 1;
	}
	out->taker = blueprint_endpoint_of(out->vpc, out->destination);
	out->gateway = to == from ? 0 : to->number;
	return out->taker || refuse(w, NO_ENDPOINT, 1);
}

// As security groups and network ACLs see it.
static struct rules_packet seen_by_rules(const struct passage *w)
{
	const struct blueprint_outcome *out = &w->out;

	return (struct rules_packet){
		.from = blueprint_address(w->b, out->source),
		.to = blueprint_address(w->b, out->destination),
		.from_group = w->p->sender->group,
		.to_group = out->taker->group,
		.protocol = w->p->protocol,
		.tcp_flags = w->p->flags,
		.icmp_type = w->p->type,
		.to_port = out->destination_port,
	};
}

static int acls_permit(struct passage *w)
{
	const struct blueprint_packet *p = w->p;
	const struct blueprint_subnet *from = blueprint_subnet_of(p->vpc, p->source);
	const struct blueprint_subnet *to = blueprint_subnet_of(w->out.vpc, w->out.destination);
	const uint32_t leaves = from && from != to ? from->acl : 0;
	const uint32_t enters = to && from != to ? to->acl : 0;
	const struct rules_packet r = seen_by_rules(w);

	if (!leaves && !enters)
		return 1;
	if (!begins(p))
		return refuse(w, NO_SESSION, 0);
	if (!rules_acl_permits(w->b->acl, leaves, &r, RULE_EGRESS) ||
	    !rules_acl_permits(w->b->acl, enters, &r, RULE_INGRESS))
		return refuse(w, NETWORK_ACL, 0);
	w->out.remembered = 1;
	return 1;
}

static int groups_permit(struct passage *w)
{
	const struct blueprint_packet *p = w->p;
	const struct rules_packet r = seen_by_rules(w);
	int grouped = 0;

	for (int i = 0; i < MAX_PORT_GROUPS; i++)
		grouped |= p->sender->group[i] || w->out.taker->group[i];
	if (!grouped)
		return 1;
	if (!begins(p))
		return refuse(w, NO_SESSION, 0);
	if (!rules_groups_permit(w->b->group, &r, RULE_EGRESS) ||
	    !rules_groups_permit(w->b->group, &r, RULE_INGRESS))
		return refuse(w, SECURITY_GROUP, 0);
	w->out.remembered = 1;
	return 1;
}

// docs/functions.md "Done": then rules do not count.
static int passes_own_chain(struct passage *w)
{
	return w->p->vpc->done || (acls_permit(w) && groups_permit(w));
}

static int refuses(struct passage *w, const struct blueprint_chain *chain, int as_sent)
{
	const struct blueprint_packet *p = w->p;
	uint16_t port = as_sent ? p->destination_port : w->out.destination_port;

	if (port == chain->port)
		return !refuse(w, FUNCTION_DROPPED, 0);
	if (!begins(p))
		return !refuse(w, NO_SESSION, 0);
	w->out.remembered = 1;
	return 0;
}

static int passes_chain(struct passage *w, const struct blueprint_chain *chain, int as_sent)
{
	for (unsigned int i = 0; i < chain->functions; i++) {
		enum blueprint_function f = chain->function[i];

		if (f == BLUEPRINT_DONE)
			return 1;
		if ((f == BLUEPRINT_REFUSES && refuses(w, chain, as_sent)) ||
		    (f == BLUEPRINT_ACL && !acls_permit(w)) ||
		    (f == BLUEPRINT_GROUPS && !groups_permit(w)))
			return 0;
	}
	return 1;
}

// docs/functions.md "In which order"
static int passes_other_chains(struct passage *w)
{
	const struct blueprint_packet *p = w->p;
	const struct blueprint_subnet *from =
		blueprint_subnet_of(p->vpc, w->by_router ? p->sender->address : p->source);
	const struct blueprint_subnet *to = blueprint_subnet_of(w->out.vpc, w->out.taker->address);
	const struct blueprint_chain *const met[] = {from->chain, w->address, to->chain};

	for (int i = 0; i < 3; i++) {
		int again = 0;

		for (int k = 0; k < i; k++)
			again |= met[k] == met[i];
		if (met[i] && !again && !passes_chain(w, met[i], i < 2))
			return 0;
	}
	return 1;
}

// From where all translation is done: one for each router that may get it.
static unsigned int rest(const struct passage *w, struct blueprint_outcome *out)
{
	struct passage each = {.hops = 1};
	unsigned int i;

	for (i = 0; i < each.hops; i++) {
		each = *w;
		each.hops = 1;
		each.hop = i;
		if (finds_its_way(&each) && passes_own_chain(&each))
			passes_other_chains(&each);
		out[i] = each.out;
	}
	return i;
}

// To one of several: each backend but the sender himself.
static unsigned int to_backends(struct passage *w, const struct blueprint_listener *listener,
				struct blueprint_outcome out[MOST_OUTCOMES])
{
	const int direct = blueprint_balancer_of(w->p->vpc, w->p->destination)->direct;
	unsigned int count = 0, taking = 0;
	struct passage each;

	for (unsigned int i = 0; i < listener->backends; i++) {
		if (!listener->weight[i])
			continue;
		taking++;
		if (listener->backend[i]->address == w->p->source)
			continue;
		each = *w;
		each.address = blueprint_balancer_of(w->p->vpc, w->p->destination)->chain;
		each.out.remembered = 1;
		if (direct) {
			each.backend = listener->backend[i];
		} else {
			each.out.destination = listener->backend[i]->address;
			each.out.destination_port = listener->backend_port;
			each.out.translated = 1;
		}
		count += rest(&each, &out[count]);
	}
	if (!count) {
		refuse(w, taking ? HAIRPIN : NO_BACKEND, 1);
		out[count++] = w->out;
	}
	return count;
}

// One for each address of the pool that it may have.
static unsigned int from_pool(struct passage *w, struct blueprint_outcome out[MOST_OUTCOMES])
{
	const struct blueprint_nat *nat = &w->p->vpc->nat;
	unsigned int count = 0;
	struct passage each;

	for (unsigned int i = 0; i < nat->pooled; i++) {
		each = *w;
		each.out.source = nat->pool[i];
		count += rest(&each, &out[count]);
	}
	return count;
}

unsigned int blueprint_decide(const struct blueprint *b, const struct blueprint_packet *p,
			      struct blueprint_outcome out[MOST_OUTCOMES])
{
	const struct blueprint_listener *listener;
	struct passage w = {.b = b, .p = p};
	int goes;

	w.out = (struct blueprint_outcome){
		.reason = FORWARDED,
		.vpc = p->vpc,
		.source = p->source,
		.destination = p->destination,
		.source_port = p->source_port,
		.destination_port = p->destination_port,
	};
	if (comes_from_whom_it_says(&w)) {
		listener = balanced(&w, &goes);
		if (listener)
			return to_backends(&w, listener, out);
		goes = goes && translates(&w);
		if (goes && w.out.chosen)
			return from_pool(&w, out);
		if (goes)
			return rest(&w, out);
	}
	out[0] = w.out;
	return 1;
}
