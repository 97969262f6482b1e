/* SPDX-License-Identifier: Apache-2.0 */
// Networks of tenants, as they are described, and what that says about a packet: written from the
// documents (docs/routing.md, docs/provider.md, docs/nat.md, docs/loadbalancer.md,
// docs/functions.md), without regard to speed. Tests compare real nodes with it. Addresses and
// ports are in host byte order; of IPv6 an address' last 32 bits.
#pragma once

#include <stdint.h>

#include "modules/rules/rules_model.h"
#include "shared/verdict.h"

enum {
	MOST_VPCS = 3,
	MOST_SUBNETS = 5,
	MOST_ENDPOINTS = 16,
	MOST_ALLOWED = 2,
	MOST_ROUTES = 8,
	MOST_HOPS = 3,
	MOST_BALANCERS = 2,
	MOST_LISTENERS = 3,
	MOST_BACKENDS = 4,
	MOST_POOL = 2,
	MOST_FLOATING = 3,
	MOST_FORWARDS = 3,
	MOST_GROUPS = 6,
	MOST_ACLS = 3,
	MOST_CHAINS = 3, // of a VPC, beside its own
	MOST_LATER = 3,	 // functions of one of these
};

struct blueprint_prefix {
	uint32_t address;
	uint32_t bits;
};

enum blueprint_function {
	BLUEPRINT_REFUSES, // a port; the rest is remembered
	BLUEPRINT_DONE,
	BLUEPRINT_ACL,
	BLUEPRINT_GROUPS,
};

// docs/functions.md: of subnets and addresses.
struct blueprint_chain {
	uint32_t number; // 1 and up, unique
	enum blueprint_function function[MOST_LATER];
	uint16_t port; // that it refuses
	unsigned int functions;
};

struct blueprint_subnet {
	struct blueprint_prefix prefix;
	uint32_t gateway;
	uint32_t number; // 1 and up, unique
	uint32_t acl;	 // 0: none
	const struct blueprint_chain *chain;
};

struct blueprint_endpoint {
	uint32_t address;
	uint8_t number; // 1 and up, unique: of its MAC and host
	uint32_t group[MAX_PORT_GROUPS];
	struct blueprint_prefix allowed[MOST_ALLOWED]; // as whom a router may send
	unsigned int alloweds;
	int down; // it leads nowhere: it has no part in routes that others share
};

struct blueprint_route {
	struct blueprint_prefix prefix;
	const struct blueprint_endpoint *hop[MOST_HOPS];
	unsigned int hops; // 0: a blackhole
};

struct blueprint_listener {
	uint8_t protocol;
	uint16_t port, backend_port;
	const struct blueprint_endpoint *backend[MOST_BACKENDS];
	uint32_t weight[MOST_BACKENDS];
	unsigned int backends;
};

struct blueprint_balancer {
	uint32_t address;
	int by_source;
	int direct; // backends answer clients themselves
	struct blueprint_listener listener[MOST_LISTENERS];
	unsigned int listeners;
	const struct blueprint_chain *chain;
};

struct blueprint_floating {
	uint32_t address;
	const struct blueprint_endpoint *target;
	const struct blueprint_chain *chain;
};

struct blueprint_forward {
	uint32_t address;
	uint8_t protocol;
	uint16_t port, target_port;
	const struct blueprint_endpoint *target;
	const struct blueprint_chain *chain;
};

// Between its VPC and the external one.
struct blueprint_nat {
	uint32_t pool[MOST_POOL];
	unsigned int pooled;
	int serves[MOST_SUBNETS]; // the VPC's subnets, by place
	struct blueprint_floating floating[MOST_FLOATING];
	unsigned int floatings;
	struct blueprint_forward forward[MOST_FORWARDS];
	unsigned int forwards;
};

struct blueprint_vpc {
	uint32_t vni;
	struct blueprint_subnet subnet[MOST_SUBNETS];
	unsigned int subnets;
	struct blueprint_endpoint endpoint[MOST_ENDPOINTS];
	unsigned int endpoints;
	struct blueprint_route route[MOST_ROUTES];
	unsigned int routes;
	struct blueprint_balancer balancer[MOST_BALANCERS];
	unsigned int balancers;
	struct blueprint_nat nat;
	struct blueprint_chain chain[MOST_CHAINS];
	unsigned int chains;
	int done; // its own chain ends before rules are asked
};

struct blueprint {
	struct blueprint_vpc vpc[MOST_VPCS];
	const struct blueprint_vpc *external;
	int six; // all of it is IPv6: there are no NATs, and no fragments
	struct rules_set group[MOST_GROUPS + 1]; // by number, from 1 on
	struct rules_set acl[MOST_ACLS + 1];
};

struct blueprint_packet {
	const struct blueprint_vpc *vpc;
	const struct blueprint_endpoint *sender; // whose MAC and host it comes from
	uint32_t source, destination;
	uint8_t protocol;
	uint8_t flags;				// TCP
	uint8_t type;				// ICMP
	uint16_t source_port, destination_port; // ICMP echo: both are the identifier
	int fragment;				// the first one of its packet
};

struct blueprint_outcome {
	enum verdict reason; // FORWARDED, or why not
	int told;	     // not: its sender is, by ICMP
	// The rest is said where it is forwarded.
	int remembered; // there is a session
	int translated;
	int chosen; // it has a source port that is free, of 1024 and up
	const struct blueprint_vpc *vpc;
	const struct blueprint_endpoint *taker;
	uint32_t source, destination;
	uint16_t source_port, destination_port;
	uint32_t gateway; // number of the subnet whose gateway it comes from; 0: not routed
};

// What may become of a packet that belongs to no session: one of *out, as which of several
// backends, addresses or routers it is is nobody's business. Returns how many.
enum { MOST_OUTCOMES = MOST_BACKENDS * MOST_HOPS };
unsigned int blueprint_decide(const struct blueprint *b, const struct blueprint_packet *p,
			      struct blueprint_outcome out[MOST_OUTCOMES]);

// Who may get the answer to a packet of a session: who sent it, or, where a route that several
// share leads back to that one, any of them. Returns how many.
unsigned int blueprint_homes(const struct blueprint_packet *p,
			     const struct blueprint_endpoint *home[MOST_HOPS]);

// What it is on the wire.
struct in6_addr blueprint_address(const struct blueprint *b, uint32_t address);

// NULL: nobody.
const struct blueprint_endpoint *blueprint_endpoint_of(const struct blueprint_vpc *vpc,
						       uint32_t address);
const struct blueprint_subnet *blueprint_subnet_of(const struct blueprint_vpc *vpc,
						   uint32_t address);
const struct blueprint_balancer *blueprint_balancer_of(const struct blueprint_vpc *vpc,
						       uint32_t address);
int blueprint_covers(const struct blueprint_prefix *prefix, uint32_t address);
// Whether it is an address of some NAT, in the external VPC.
int blueprint_is_nats(const struct blueprint *b, uint32_t address);
