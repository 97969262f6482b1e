// SPDX-License-Identifier: Apache-2.0
// What goes between VPCs that are peered, at real nodes: a forwarder and two flow table nodes, each
// a chain of its own that has every other bucket.
#include "datapath/gateway_nodes.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/subnet/subnet.h"
#include "node/messages.h"
#include "shared/address.h"
#include "shared/key.h"
#include "wire/icmp.h"

// Red and blue are peered, and blue and green. Endpoint i is 10.0.0.i, in the VPC whose subnet that
// is: red's up to 60, blue's from 65 and, in its second subnet, from 193 on, green's from 129 on.
#define RED 0x0100A1
#define BLUE 0x0200A2
#define GREEN 0x0300A3

#define CLIENT 1
#define ROUTER 2 // of red
#define SERVER 65
#define OTHER 66
#define VIP 100
#define SECOND 193
#define FAR 129

// Subnets by number, which is also the last byte of their gateways' MACs.
#define RED_SUBNET 1
#define BLUE_SUBNET 11
#define SECOND_SUBNET 12
#define GREEN_SUBNET 21

#define RED_POLICY 1000
#define BLUE_POLICY 3000

#define SYN 0x02
#define ACK 0x10
#define INNER 50 // a tenant's frame begins there, behind the tunnel

enum { FWD, FTN, NODES = 3 };

struct world {
	struct node node[NODES];
};

static struct in6_addr endpoint_ip(unsigned int i)
{
	char text[16];

	snprintf(text, sizeof(text), "10.0.0.%u", i % 256);
	return address_must(text);
}

// ---- what the nodes know ----

// As zetad would.
struct storing {
	struct entries entries;
	const struct node *node;
};

static int store_entry(struct entries *entries, enum table table, const void *key,
		       const void *value)
{
	node_put(((struct storing *)entries)->node, tables[table].map, key, value);
	return 0;
}

// peers: VNIs, 0 after the last.
static void put_subnet(const struct world *w, uint32_t vni, uint32_t number, uint32_t acl,
		       unsigned int first, const uint32_t *peers)
{
	Zeta__Node__V1__Subnet subnet = ZETA__NODE__V1__SUBNET__INIT;
	struct in6_addr prefix = endpoint_ip(first), gateway = endpoint_ip(first + 62);
	uint8_t mac[6] = {2, 0xf, 0, 0, 0, (uint8_t)number};
	uint32_t peer[MAX_VPC_PEERINGS];

	subnet.number = number;
	subnet.vni = vni;
	subnet.acl = acl;
	subnet.prefix = (ProtobufCBinaryData){sizeof(prefix), (uint8_t *)&prefix};
	subnet.prefix_length = 96 + 26;
	subnet.gateway = (ProtobufCBinaryData){sizeof(gateway), (uint8_t *)&gateway};
	subnet.gateway_mac = (ProtobufCBinaryData){sizeof(mac), mac};
	subnet.peer_vni = peer;
	for (; peers[subnet.n_peer_vni]; subnet.n_peer_vni++)
		peer[subnet.n_peer_vni] = peers[subnet.n_peer_vni];
	for (int i = 0; i < NODES; i++) {
		struct storing storing = {
			{.put = store_entry, .roles = i == FWD ? NODE_FWD : NODE_FTN}, &w->node[i]};

		must(subnet_entries(&subnet, &storing.entries), storing.entries.why);
	}
}

static const uint32_t blue_alone[] = {BLUE, 0}, red_and_green[] = {RED, GREEN, 0},
		      green_alone[] = {GREEN, 0};

static void put_subnets(const struct world *w)
{
	put_subnet(w, RED, RED_SUBNET, 0, 0, blue_alone);
	put_subnet(w, BLUE, BLUE_SUBNET, 0, 64, red_and_green);
	put_subnet(w, BLUE, SECOND_SUBNET, 0, 192, red_and_green);
	put_subnet(w, GREEN, GREEN_SUBNET, 0, 128, blue_alone);
}

static void put_policy(const struct world *w, uint32_t vni, uint32_t policy)
{
	const struct vpc_value vpc = {.policy = policy,
				      .functions = 7,
				      .function = {FUNCTION_PEERING, FUNCTION_LOAD_BALANCER,
						   FUNCTION_NAT, FUNCTION_DIVIDER, FUNCTION_BOUNCER,
						   FUNCTION_ACL, FUNCTION_SECURITY_GROUP}};

	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "vpcs", &vni, &vpc);
}

// As decisions see it, at flow table nodes.
static void put(const struct world *w, const char *map, const void *key, const void *value)
{
	for (int i = FTN; i < NODES; i++)
		node_put(&w->node[i], map, key, value);
}

static void empty(const struct world *w, const char *map)
{
	for (int i = FTN; i < NODES; i++)
		node_clear(&w->node[i], map);
}

static void put_endpoints(const struct node *n, uint32_t vni)
{
	node_tenant(n, vni, 240);
	for (unsigned int i = 1; i <= 240; i++) {
		const struct endpoint_key key = {vni, endpoint_ip(i)};
		const int is = i % 64 < 61 && i % 64 && i != VIP &&
			       (i < 64	  ? vni == RED
				: i < 128 ? vni == BLUE
				: i < 192 ? vni == GREEN
					  : vni == BLUE);

		if (!is)
			node_remove(n, "endpoints", &key);
	}
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

// hop: an endpoint; 0: a blackhole.
static void put_route(const struct world *w, uint32_t vni, unsigned int first, unsigned int bits,
		      unsigned int hop)
{
	const struct subnet_key key = {.prefix_bits = 32 + 96 + bits,
				       .vni = htonl(vni),
				       .address =
					       bits ? endpoint_ip(first) : address_must("0.0.0.0")};
	struct route_value value = {.kind = hop ? ROUTE_VIA : ROUTE_BLACKHOLE,
				    .bits = (uint8_t)(96 + bits)};

	if (hop)
		value.next_hop = endpoint_ip(hop);
	put(w, "routes", &key, &value);
}

// Of one address, which two endpoints share.
static void put_shared(const struct world *w, uint32_t vni, unsigned int i, unsigned int one,
		       unsigned int other)
{
	const struct subnet_key key = {
		.prefix_bits = 32 + 128, .vni = htonl(vni), .address = endpoint_ip(i)};
	const struct route_value value = {
		.next_hop = endpoint_ip(i), .kind = ROUTE_SHARED, .bits = 128};
	const struct next_hops_value hops = {2, {endpoint_ip(one), endpoint_ip(other)}};

	put(w, "next_hops", &key, &hops);
	put(w, "routes", &key, &value);
}

// An endpoint's security group, of one rule; 0: none.
static void put_group(const struct world *w, uint32_t vni, unsigned int i, uint32_t group,
		      const struct rule *rule)
{
	const struct endpoint_key key = {vni, endpoint_ip(i)};

	for (int n = FTN; n < NODES; n++)
		node_group(&w->node[n], &key, group, rule);
}

// The load balancer's only backend; 0: there is no load balancer.
static void put_balancer(const struct world *w, unsigned int backend)
{
	static struct listener_value listener; // every slot is its first backend's
	const struct endpoint_key address = {BLUE, endpoint_ip(VIP)};
	const struct listener_key key = {.vni = BLUE,
					 .address = endpoint_ip(VIP),
					 .port = htons(80),
					 .protocol = IPPROTO_TCP};
	const struct load_balancer_value balancer = {};

	empty(w, "listeners");
	empty(w, "load_balancers");
	if (!backend)
		return;
	listener.backend_port = htons(8080);
	listener.backends = 1;
	listener.backend[0] = endpoint_ip(backend);
	put(w, "listeners", &key, &listener);
	put(w, "load_balancers", &address, &balancer);
}

// ---- packets ----

// Of ICMP from_port is the identifier, and flags are the type.
struct packet {
	uint32_t vni;
	unsigned int from, to; // endpoints
	uint8_t protocol;
	uint8_t flags;
	uint16_t from_port, to_port;
	uint16_t fragment;
	unsigned int sender; // whose MAC and host it comes from; 0: from's
	uint8_t ttl;	     // 0: 64
};

static const struct packet first = {RED, CLIENT, SERVER, IPPROTO_TCP, SYN, 1000, 80, 0, 0, 0};

// What the flow table decided last about a packet on its way.
static struct dft_packet last_op;

// To the end: the verdict at the forwarder, and the frame that leaves it.
static enum verdict travel(const struct world *w, const struct packet *p, struct frame *f)
{
	const unsigned int sender = p->sender ?: p->from;
	char from[16], to[16], mac[18], host[16];

	snprintf(from, sizeof(from), "10.0.0.%u", p->from % 256);
	snprintf(to, sizeof(to), "10.0.0.%u", p->to % 256);
	snprintf(mac, sizeof(mac), "02:01:00:00:00:%02x", sender % 256);
	snprintf(host, sizeof(host), "192.168.0.%u", (10 + sender) % 256);
	frame_clear(f);
	frame_fill(f, 40);
	if (p->protocol == IPPROTO_TCP)
		frame_tcp(f, p->from_port, p->to_port, p->flags);
	else if (p->protocol == IPPROTO_UDP)
		frame_udp(f, p->from_port, p->to_port, 0);
	else if (p->protocol == IPPROTO_ICMP)
		frame_icmp(f, p->flags, 0, (uint32_t)p->from_port << 16);
	frame_ipv4(f, (struct ipv4_header){.from = from,
					   .to = to,
					   .protocol = p->protocol,
					   .ttl = p->ttl,
					   .fragment = p->fragment});
	frame_ethernet(f, "02:0f:00:00:00:01", mac, ETH_P_IP);
	frame_vxlan(f, p->vni);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = host, .to = "192.168.0.201", .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:00", "02:0a:00:00:00:01", ETH_P_IP);
	return node_travel(w->node, NODES, FWD, f, &last_op);
}

// A packet that goes: the host of the endpoint `taker`, in that one's VPC, is given this.
static int goes(const struct world *w, const char *what, const struct packet *p, enum verdict want,
		const struct packet *there, unsigned int taker, uint8_t gateway)
{
	struct in6_addr from = endpoint_ip(there->from), to = endpoint_ip(there->to);
	const uint8_t *l4;
	struct iphdr ip;
	struct frame f;
	int wrong = is_verdict(what, travel(w, p, &f), want);

	if (f.length < INNER + 14 + 28)
		return wrong + is_number(what, (long)f.length, INNER + 14 + 28);
	memcpy(&ip, f.byte + INNER + 14, sizeof(ip));
	l4 = f.byte + INNER + 14 + sizeof(ip);
	wrong += is_number(what, f.byte[46] << 16 | f.byte[47] << 8 | f.byte[48], there->vni);
	wrong += is_number(what, f.byte[INNER + 5], taker);
	wrong += is_number(what, f.byte[INNER + 6 + 5], gateway);
	wrong += is_number(what, ip.ttl, 63);
	wrong += is_number(what, ip.saddr, from.s6_addr32[3]);
	wrong += is_number(what, ip.daddr, to.s6_addr32[3]);
	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
		return wrong;
	wrong += is_number(what, l4[0] << 8 | l4[1], there->from_port);
	return wrong + is_number(what, l4[2] << 8 | l4[3], there->to_port);
}

static uint8_t gateway_of(unsigned int i)
{
	return i < 64 ? RED_SUBNET : i < 128 ? BLUE_SUBNET : i < 192 ? GREEN_SUBNET : SECOND_SUBNET;
}

static uint32_t vpc_of(unsigned int i)
{
	return i < 64 ? RED : i < 128 || i >= 192 ? BLUE : GREEN;
}

// There and back, twice: the second time as the forwarder remembers it. backend: who gets it, and
// answers, on port 8080, in the destination's place; 0: the destination.
static int converses(const struct world *w, const char *what, struct packet p, unsigned int backend)
{
	struct packet there, back, home;
	int wrong = 0;

	for (int i = 0; i < 2; i++) {
		there = p;
		there.vni = vpc_of(p.to);
		if (backend) {
			there.to = backend;
			there.to_port = 8080;
		}
		wrong += goes(w, what, &p, i ? FORWARDED : FORWARDED_FIRST, &there, there.to,
			      gateway_of(p.to));
		back = there;
		back.from = there.to;
		back.to = there.from;
		back.from_port = p.protocol == IPPROTO_ICMP ? p.from_port : there.to_port;
		back.to_port = there.from_port;
		back.flags = p.protocol == IPPROTO_TCP ? p.flags | ACK : ICMP_ECHO_REPLY; // UDP: 0
		home = back;
		home.vni = p.vni;
		home.from = p.to;
		home.from_port = p.to_port;
		wrong += goes(w, what, &back, FORWARDED, &home, p.from, gateway_of(p.from));
		if (p.protocol == IPPROTO_TCP)
			p.flags = ACK;
	}
	return wrong;
}

static void forget_cached(const struct world *w)
{
	node_clear(&w->node[FWD], "cache");
}

static void forget(const struct world *w)
{
	const uint64_t none = 0;
	const uint32_t key = 0;

	for (int i = 0; i < NODES; i++) {
		node_clear(&w->node[i], "sessions");
		node_clear(&w->node[i], "cache");
		node_put(&w->node[i], "records", &key, &none);
	}
}

static int refused(const struct world *w, const char *what, const struct packet *p,
		   enum verdict want, enum verdict reason)
{
	const struct in6_addr from = endpoint_ip(p->from), to = endpoint_ip(p->to);
	const int from_b = memcmp(&from, &to, sizeof(from)) > 0;
	struct frame f;
	int wrong = is_verdict(what, travel(w, p, &f), want);

	return wrong + is_number(what, last_op.towards[from_b].decision.reason, reason);
}

// Who sends these hears by ICMP that there is no way.
static int no_way(const struct world *w, const char *what, const struct packet *p,
		  enum verdict reason)
{
	struct frame f;
	int wrong = refused(w, what, p, UNREACHABLE, reason);

	forget_cached(w);
	travel(w, p, &f);
	wrong += is_number(what, f.byte[INNER + 14 + 20], ICMP_UNREACHABLE);
	return wrong + is_number(what, f.byte[INNER + 14 + 20 + 1], ICMP_UNREACHABLE_NET);
}

// The record of first's session.
static int session(const struct world *w, struct dft_record *record)
{
	struct session_key key = {.a = endpoint_ip(CLIENT),
				  .b = endpoint_ip(SERVER),
				  .a_port = htons(1000),
				  .b_port = htons(80),
				  .vni = {RED >> 16 & 0xFF, RED >> 8 & 0xFF, RED & 0xFF},
				  .protocol = IPPROTO_TCP};

	return node_session(&w->node[FTN + (uint32_t)key_hash(&key) % BUCKETS % 2], &key, record);
}

// ---- the tests ----

static int test_both_ways(struct world *w)
{
	static const struct {
		const char *name;
		struct packet p;
	} rows[] = {
		{"TCP", {RED, CLIENT, SERVER, IPPROTO_TCP, SYN, 1000, 80, 0, 0, 0}},
		{"UDP", {RED, CLIENT, SERVER, IPPROTO_UDP, 0, 1000, 53, 0, 0, 0}},
		{"echo", {RED, CLIENT, SERVER, IPPROTO_ICMP, ICMP_ECHO_REQUEST, 7, 0, 0, 0, 0}},
		{"a fragment", {RED, CLIENT, SERVER, IPPROTO_UDP, 0, 1000, 54, 0x2000, 0, 0}},
		{"GRE", {RED, CLIENT, SERVER, 47, 0, 0, 0, 0, 0, 0}},
		{"TCP back", {BLUE, OTHER, CLIENT, IPPROTO_TCP, SYN, 1000, 80, 0, 0, 0}},
		{"echo back",
		 {BLUE, OTHER, CLIENT, IPPROTO_ICMP, ICMP_ECHO_REQUEST, 7, 0, 0, 0, 0}},
		{"the second subnet", {RED, CLIENT, SECOND, IPPROTO_TCP, SYN, 1000, 80, 0, 0, 0}},
		{"from there", {BLUE, SECOND, CLIENT, IPPROTO_TCP, SYN, 1001, 80, 0, 0, 0}},
		{"another peer", {BLUE, SERVER, FAR, IPPROTO_TCP, SYN, 1000, 80, 0, 0, 0}},
		{"from that", {GREEN, FAR, SECOND, IPPROTO_UDP, 0, 1000, 53, 0, 0, 0}},
	};
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		wrong += converses(w, rows[i].name, rows[i].p, 0);
	return wrong;
}

// Who is a peer of a peer is nobody.
static int test_not_transitive(struct world *w)
{
	struct packet p = {RED, CLIENT, FAR, IPPROTO_TCP, SYN, 1000, 80, 0, 0, 0};
	int wrong = no_way(w, "red to green", &p, NO_ROUTE);

	p.vni = GREEN;
	p.from = FAR;
	p.to = CLIENT;
	return wrong + no_way(w, "green to red", &p, NO_ROUTE);
}

static int test_refused(struct world *w)
{
	struct packet p = first;
	struct frame f;
	int wrong = 0;

	p.flags = ACK;
	wrong += refused(w, "the middle", &p, NO_SESSION, NO_SESSION);
	for (int n = FTN; n < NODES; n++)
		wrong += is_number("no session", node_count(&w->node[n], "sessions"), 0);
	// It was refused once, and not remembered.
	wrong += converses(w, "the beginning", first, 0);
	p = first;
	p.to = 61 + 64;
	wrong += refused(w, "nobody there", &p, UNREACHABLE, NO_ENDPOINT);
	p.to = 126;
	wrong += refused(w, "the peer's gateway", &p, UNREACHABLE, NO_ENDPOINT);
	p = first;
	p.from_port++;
	p.ttl = 1;
	wrong += is_verdict("TTL 1", travel(w, &p, &f), TIME_EXCEEDED);
	wrong += is_number("its own gateway says so", f.byte[INNER + 14 + 12 + 3], 62);
	p = first;
	p.from = SERVER;
	p.sender = CLIENT;
	p.to = ROUTER;
	return wrong + is_verdict("as somebody of the peer", travel(w, &p, &f), NO_SOURCE);
}

// Both sides', with the packets' own addresses.
static int test_rules(struct world *w)
{
	const struct rule only_443 = {.protocol = IPPROTO_TCP,
				      .port_min = 443,
				      .port_max = 443,
				      .outcome = RULE_ALLOW,
				      .direction = RULE_EGRESS},
			  from_router = {.port_max = 65535,
					 .outcome = RULE_ALLOW,
					 .remote = endpoint_ip(ROUTER),
					 .remote_bits = 128},
			  in_443 = {.protocol = IPPROTO_TCP,
				    .port_min = 443,
				    .port_max = 443,
				    .outcome = rule_outcome(1, 0)},
			  out_444 = {.protocol = IPPROTO_TCP,
				     .port_min = 444,
				     .port_max = 444,
				     .outcome = rule_outcome(1, 0),
				     .direction = RULE_EGRESS};
	struct packet p = first;
	int wrong = 0;

	put_group(w, RED, CLIENT, 7, &only_443);
	wrong += refused(w, "the sender's group", &p, SECURITY_GROUP, SECURITY_GROUP);
	p.to_port = 443;
	wrong += converses(w, "the sender's group", p, 0);
	put_group(w, RED, CLIENT, 0, NULL);
	put_group(w, BLUE, SERVER, 8, &from_router);
	p.from_port++;
	wrong += refused(w, "the receiver's group", &p, SECURITY_GROUP, SECURITY_GROUP);
	p.from = ROUTER;
	wrong += converses(w, "the receiver's group", p, 0);
	put_group(w, BLUE, SERVER, 0, NULL);
	p = first;
	forget(w); // what was refused is so for a second
	for (int n = FTN; n < NODES; n++) {
		node_rules(&w->node[n], RULES_OF_ACL, 5, &in_443, 1);
		node_rules(&w->node[n], RULES_OF_ACL, 6, &out_444, 1);
	}
	put_subnet(w, BLUE, BLUE_SUBNET, 5, 64, red_and_green);
	wrong += refused(w, "what enters", &p, NETWORK_ACL, NETWORK_ACL);
	p.to_port = 443;
	p.from_port++;
	wrong += converses(w, "what enters", p, 0);
	put_subnet(w, RED, RED_SUBNET, 6, 0, blue_alone);
	p.from_port++;
	wrong += refused(w, "what leaves", &p, NETWORK_ACL, NETWORK_ACL);
	return wrong;
}

// The longest prefix of subnets, routes and peers' subnets; then the routes of whom it goes to.
static int test_longest(struct world *w)
{
	struct packet p = first, back;
	struct frame f;
	int wrong = 0;

	put_route(w, RED, 0, 0, ROUTER);
	wrong += converses(w, "beside a default route", p, 0);
	put_route(w, RED, 64, 26, 0);
	p.from_port++;
	wrong += refused(w, "as long", &p, UNREACHABLE, BLACKHOLE);
	empty(w, "routes");
	put_route(w, RED, SERVER, 32, ROUTER);
	p.from_port++;
	wrong += is_verdict("longer", travel(w, &p, &f), FORWARDED_FIRST);
	wrong += is_number("longer: to the router", f.byte[INNER + 5], ROUTER);
	wrong += is_number("longer: of the VPC", f.byte[48], RED & 0xFF);
	p.to = OTHER;
	wrong += converses(w, "but not the others", p, 0);
	empty(w, "routes");
	put_route(w, BLUE, SERVER, 32, 0);
	p = first;
	p.from_port += 9;
	wrong += refused(w, "the peer's blackhole", &p, UNREACHABLE, BLACKHOLE);
	// What goes back goes to who began, whatever routes his VPC has.
	put_route(w, RED, CLIENT, 32, 0);
	p.to = OTHER;
	wrong += converses(w, "back", p, 0);
	back = (struct packet){BLUE, OTHER, CLIENT, IPPROTO_TCP, SYN, 2000, 80, 0, 0, 0};
	return wrong + refused(w, "to a blackhole", &back, UNREACHABLE, BLACKHOLE);
}

// Of the peer's, in its subnet: each of its routers has a part, any of them may answer, and while
// one is down the other has all, also of what has begun.
static int test_shared_route(struct world *w)
{
	const unsigned int routers[] = {SERVER, OTHER}, behind = 253;
	struct packet p = {RED, CLIENT, behind, IPPROTO_TCP, SYN, 0, 80, 0, 0, 0}, back, home;
	const struct endpoint_key down[] = {{BLUE, endpoint_ip(SERVER)},
					    {BLUE, endpoint_ip(OTHER)}};
	const uint32_t is = 1;
	struct frame f;
	int wrong = 0, part[2] = {};

	put_shared(w, BLUE, behind, SERVER, OTHER);
	for (uint16_t i = 0; i < 32; i++) {
		p.from_port = 1000 + i;
		p.flags = SYN;
		wrong += is_verdict("begins", travel(w, &p, &f), FORWARDED_FIRST);
		wrong += is_number("in the peer's VPC", f.byte[48], BLUE & 0xFF);
		for (int k = 0; k < 2; k++) {
			part[k] += f.byte[INNER + 5] == routers[k];
			back = (struct packet){BLUE, behind,	  CLIENT, IPPROTO_TCP, SYN | ACK,
					       80,   p.from_port, 0,	  routers[k],  0};
			home = back;
			home.vni = RED;
			forget_cached(w);
			wrong += goes(w, "whoever answers", &back, FORWARDED_FIRST, &home, CLIENT,
				      RED_SUBNET);
		}
		p.flags = ACK;
		for (int k = 0; k < 2; k++) {
			put(w, "routers_down", &down[k], &is);
			forget_cached(w);
			wrong += is_verdict("one is down", travel(w, &p, &f), FORWARDED_FIRST);
			wrong += is_number("by the other", f.byte[INNER + 5], routers[!k]);
			empty(w, "routers_down");
		}
	}
	wrong += is_number("both have a part", part[0] > 4 && part[1] > 4, 1);
	return wrong + is_number("and nobody else", part[0] + part[1], 32);
}

// A VPC's NAT has nothing to do with it.
static int test_beside_nat(struct world *w)
{
	struct nat_source_value pool = {.vni = GREEN, .addresses = 1};
	const uint32_t subnet = RED_SUBNET;
	struct packet p = first;

	pool.address[0] = endpoint_ip(180);
	put(w, "nat_sources", &subnet, &pool);
	return converses(w, "as it is", p, 0);
}

// Its policy moves on either side, and it stands; without the peering it ends.
static int test_policy(struct world *w)
{
	struct packet p = first, there = p, back, home;
	struct dft_record record;
	struct frame f;
	int wrong = 0;

	wrong += converses(w, "begins", p, 0);
	wrong += is_number("a session", session(w, &record), 1);
	wrong += is_number("of both", record.policy, RED_POLICY + BLUE_POLICY);
	p.flags = ACK;
	there.vni = BLUE;
	put_policy(w, RED, RED_POLICY + 1);
	forget_cached(w);
	wrong += goes(w, "red's", &p, FORWARDED_FIRST, &there, SERVER, BLUE_SUBNET);
	session(w, &record);
	wrong += is_number("decided again", record.policy, RED_POLICY + 1 + BLUE_POLICY);
	put_policy(w, BLUE, BLUE_POLICY + 1);
	forget_cached(w);
	back = (struct packet){BLUE, SERVER, CLIENT, IPPROTO_TCP, ACK, 80, 1000, 0, 0, 0};
	home = back;
	home.vni = RED;
	wrong += goes(w, "blue's", &back, FORWARDED_FIRST, &home, CLIENT, RED_SUBNET);
	session(w, &record);
	wrong += is_number("decided again", record.policy, RED_POLICY + 1 + BLUE_POLICY + 1);
	// The end.
	empty(w, "peer_subnets");
	put_policy(w, RED, RED_POLICY + 2);
	put_policy(w, BLUE, BLUE_POLICY + 2);
	forget_cached(w);
	wrong += is_verdict("asked about from there", travel(w, &back, &f), NO_ROUTE);
	forget_cached(w);
	wrong += is_verdict("and from here", travel(w, &p, &f), SESSION_ENDING);
	p.from_port++;
	p.flags = SYN;
	wrong += no_way(w, "a new one", &p, NO_ROUTE);
	back.flags = SYN;
	back.to_port = 81;
	return wrong + no_way(w, "and from there", &back, NO_ROUTE);
}

// The same where a route would have it then, and where the chain lacks the function.
static int test_end_beside_a_route(struct world *w)
{
	const struct vpc_value without = {
		.policy = RED_POLICY + 1,
		.functions = 2,
		.function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER},
	};
	const uint32_t red = RED;
	struct packet p = first;
	struct frame f;
	int wrong = 0;

	put_route(w, RED, 0, 0, ROUTER);
	wrong += converses(w, "begins", p, 0);
	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "vpcs", &red, &without);
	forget_cached(w);
	p.flags = ACK;
	wrong += is_verdict("asked about", travel(w, &p, &f), NO_SESSION);
	// What went by the route before goes on to the peer at no time.
	p = first;
	p.from_port++;
	wrong += is_verdict("by the route", travel(w, &p, &f), FORWARDED_FIRST);
	wrong += is_number("to the router", f.byte[INNER + 5], ROUTER);
	put_policy(w, RED, RED_POLICY + 2);
	p.flags = ACK;
	wrong += refused(w, "the middle", &p, NO_SESSION, NO_SESSION);
	return wrong;
}

static int test_load_balancer(struct world *w)
{
	struct packet p = first, other;
	struct endpoint_key key = {BLUE, endpoint_ip(VIP)};
	struct endpoint_value endpoint;
	struct frame f;
	int wrong = 0;

	p.to = VIP;
	put_balancer(w, OTHER);
	wrong += converses(w, "to a backend", p, OTHER);
	other = p;
	other.to_port = 81;
	wrong += refused(w, "no listener", &other, UNREACHABLE, NO_LISTENER);
	// A session keeps its backend, also where new ones have others.
	put_balancer(w, SERVER);
	put_policy(w, BLUE, BLUE_POLICY + 1);
	forget_cached(w);
	p.flags = ACK;
	wrong += is_verdict("asked about", travel(w, &p, &f), FORWARDED_FIRST);
	wrong += is_number("its backend", f.byte[INNER + 5], OTHER);
	p.from_port++;
	p.flags = SYN;
	wrong += converses(w, "to another backend", p, SERVER);
	// Not somebody's who has the address afterwards.
	put_balancer(w, 0);
	must(bpf_map_lookup_elem(node_map(&w->node[FTN], "endpoints"),
				 &(struct endpoint_key){BLUE, endpoint_ip(OTHER)}, &endpoint),
	     "endpoint");
	put(w, "endpoints", &key, &endpoint);
	put_policy(w, BLUE, BLUE_POLICY + 2);
	forget_cached(w);
	p.flags = ACK;
	wrong += is_verdict("another's", travel(w, &p, &f), NO_SESSION);
	for (int i = FTN; i < NODES; i++)
		node_remove(&w->node[i], "endpoints", &key);
	return wrong;
}

// Its backend gets packets as they are, and answers as the load balancer: also when either VPC's
// policy is another one.
static int test_direct(struct world *w)
{
	const struct load_balancer_value direct = {.direct = 1};
	const struct endpoint_key address = {BLUE, endpoint_ip(VIP)};
	const struct direct_backend_key backend = {
		.address = endpoint_ip(VIP), .vni = BLUE, .mac = {2, 1, 0, 0, 0, OTHER}};
	const struct in6_addr ip = endpoint_ip(OTHER);
	struct packet p = first, there, back, home;
	struct frame f;
	int wrong = 0;

	put_balancer(w, OTHER);
	put(w, "load_balancers", &address, &direct);
	put(w, "direct_backends", &backend, &ip);
	p.to = VIP;
	there = p;
	there.vni = BLUE;
	back = (struct packet){BLUE, VIP, CLIENT, IPPROTO_TCP, SYN | ACK, 80, 1000, 0, OTHER, 0};
	home = back;
	home.vni = RED;
	wrong += goes(w, "there", &p, FORWARDED_FIRST, &there, OTHER, BLUE_SUBNET);
	wrong += goes(w, "and back", &back, FORWARDED, &home, CLIENT, RED_SUBNET);
	p.flags = back.flags = ACK;
	for (uint32_t i = 1; i < 3; i++) {
		put_policy(w, RED, RED_POLICY + i);
		forget_cached(w);
		wrong += goes(w, "red's", &p, FORWARDED_FIRST, &there, OTHER, BLUE_SUBNET);
		put_policy(w, BLUE, BLUE_POLICY + i);
		forget_cached(w);
		wrong += goes(w, "blue's", &back, FORWARDED_FIRST, &home, CLIENT, RED_SUBNET);
	}
	empty(w, "direct_backends");
	put_policy(w, BLUE, BLUE_POLICY + 3);
	forget_cached(w);
	wrong += is_verdict("no backend any more", travel(w, &p, &f), NO_SESSION);
	put_balancer(w, 0);
	return wrong;
}

// A router's port speaks to the peer as itself and for who is in its VPC's subnets, for nobody
// else: he might be called as somebody of the peer's.
static int test_routers(struct world *w)
{
	struct allowed_key allowed = {.prefix_bits = 32 + 64 + 96,
				      .vni = htonl(RED),
				      .mac = {2, 1, 0, 0, 0, ROUTER},
				      .address = address_must("0.0.0.0")};
	const struct in6_addr own = endpoint_ip(ROUTER);
	struct packet p = {RED, OTHER, SERVER, IPPROTO_TCP, SYN, 1000, 80, 0, ROUTER, 0}, there;
	int wrong = 0;

	put(w, "allowed", &allowed, &own);
	wrong += no_way(w, "as somebody of the peer", &p, PEER_SOURCE);
	p.from = 200;
	wrong += no_way(w, "as somebody of its second subnet", &p, PEER_SOURCE);
	p.from = FAR;
	wrong += no_way(w, "for who is elsewhere", &p, PEER_SOURCE);
	p.from = 61;
	there = p;
	there.vni = BLUE;
	wrong += goes(w, "for who is in its subnet", &p, FORWARDED_FIRST, &there, SERVER,
		      BLUE_SUBNET);
	p = (struct packet){BLUE, SERVER, 61, IPPROTO_TCP, SYN | ACK, 80, 1000, 0, 0, 0};
	there = p;
	there.vni = RED;
	wrong += goes(w, "and back to it", &p, FORWARDED, &there, ROUTER, RED_SUBNET);
	p = first;
	p.from = ROUTER;
	wrong += converses(w, "as itself", p, 0);
	empty(w, "allowed");
	return wrong;
}

// Both begin, from the ports to which the other sends: the second is the first's answer.
static int test_both_begin(struct world *w)
{
	struct packet p = {RED, CLIENT, SERVER, IPPROTO_UDP, 0, 500, 500, 0, 0, 0};
	struct packet q = {BLUE, SERVER, CLIENT, IPPROTO_UDP, 0, 500, 500, 0, 0, 0}, home = q;
	int wrong = 0, count = 0;

	wrong += converses(w, "one", p, 0);
	forget_cached(w);
	home.vni = RED;
	wrong += goes(w, "the other", &q, FORWARDED_FIRST, &home, CLIENT, RED_SUBNET);
	for (int n = FTN; n < NODES; n++)
		count += (int)node_count(&w->node[n], "sessions");
	return wrong + is_number("a session and its alias", count, 2);
}

// The subnet of a peer's that is not told as such is none.
static int test_subnets(struct world *w)
{
	const struct subnet_key key = {
		.prefix_bits = 32 + 96 + 26, .vni = htonl(RED), .address = endpoint_ip(192)};
	struct packet p = first;

	p.to = SECOND;
	put_subnet(w, BLUE, SECOND_SUBNET, 0, 192, green_alone);
	for (int i = FTN; i < NODES; i++)
		node_remove(&w->node[i], "peer_subnets", &key);
	return no_way(w, "not red's", &p, NO_ROUTE) + converses(w, "but the other", first, 0);
}

static const struct test {
	const char *name;
	int (*run)(struct world *w);
} tests[] = {
	{"both ways", test_both_ways},
	{"not transitive", test_not_transitive},
	{"refused", test_refused},
	{"rules of both", test_rules},
	{"the longest prefix", test_longest},
	{"a shared route", test_shared_route},
	{"beside a NAT", test_beside_nat},
	{"policy", test_policy},
	{"its end beside a route", test_end_beside_a_route},
	{"a load balancer", test_load_balancer},
	{"answers of its own", test_direct},
	{"routers", test_routers},
	{"both begin", test_both_begin},
	{"subnets", test_subnets},
};

int main(int argc, char **argv)
{
	static const char *const names[] = {"fwd", "ftn1", "ftn2"};
	static struct world w;
	int wrong = 0;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "flat") != 0))
		fatalx("usage: %s [flat]: with kernel maps, or with the flat session table",
		       argv[0]);
	testing_begin();
	for (uint32_t i = 0; i < NODES; i++) {
		node_load(&w.node[i], &(struct node_wish){.name = names[i],
							  .index = i,
							  .roles = i == FWD ? ROLE_FWD : ROLE_FTN,
							  .flat = argc == 2 ? 1024 : 0});
		put_endpoints(&w.node[i], RED);
		put_endpoints(&w.node[i], BLUE);
		put_endpoints(&w.node[i], GREEN);
		put_view(&w.node[i]);
	}
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++) {
		int failed;

		forget(&w);
		put_policy(&w, RED, RED_POLICY);
		put_policy(&w, BLUE, BLUE_POLICY);
		put_policy(&w, GREEN, 5000);
		empty(&w, "routes");
		empty(&w, "next_hops");
		empty(&w, "nat_sources");
		empty(&w, "peer_subnets");
		put_subnets(&w);
		failed = tests[t].run(&w);
		printf("%s %s\n", failed ? "FAILED" : "ok    ", tests[t].name);
		wrong += failed;
	}
	for (int i = 0; i < NODES; i++)
		node_free(&w.node[i]);
	return wrong ? 1 : 0;
}
