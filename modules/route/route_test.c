// SPDX-License-Identifier: Apache-2.0
// By which routes of a VPC packets go, at real nodes: a forwarder and a chain of one flow table
// node; for random routes beside a slow search through a list.
#include "modules/route/route.h"

#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>

#include "datapath/gateway_nodes.h"
#include "lib/address.h"
#include "lib/log.h"
#include "shared/address.h"
#include "wire/arp.h"
#include "wire/icmp.h"

#define RED 0x0100A1
#define BLUE 0x0200A2

// Endpoint i is 10.0.0.i: up to 60 in the first subnet, from 65 on in the second; the last has a
// security group.
#define ENDPOINTS 70
#define CLIENT 1
#define ROUTER 3
#define OTHER_ROUTER 66 // in the second subnet
#define GUARDED 70
#define NOBODY 0

#define SYN 0x02
#define ACK 0x10
#define INNER 50 // a tenant's frame begins there, behind the tunnel

enum { FWD, FTN, NODES };

struct world {
	struct node node[NODES];
};

// ---- what the nodes know ----

static struct in6_addr endpoint_ip(unsigned int i)
{
	char text[16];

	snprintf(text, sizeof(text), "10.0.0.%u", i % 256);
	return address_must(text);
}

static void put_subnet(const struct node *n, uint32_t vni, uint32_t number, unsigned int first)
{
	struct subnet_key key = {
		.prefix_bits = 32 + 96 + 26, .vni = htonl(vni), .address = endpoint_ip(first)};
	struct subnet_value value = {.subnet = number,
				     .bits = 96 + 26,
				     .gateway = endpoint_ip(first + 62),
				     .gateway_mac = {2, 0xf, 0, 0, 0, (uint8_t)number}};

	node_put(n, "subnets", &key, &value);
}

static void put_policy(const struct world *w, uint32_t vni, uint32_t policy)
{
	const struct vpc_value vpc = {
		.policy = policy,
		.functions = 3,
		.function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_SECURITY_GROUP}};

	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "vpcs", &vni, &vpc);
}

static void put_tenant(const struct node *n, uint32_t vni)
{
	struct endpoint_key key = {.vni = vni};

	node_tenant(n, vni, ENDPOINTS);
	for (unsigned int i = 61; i < 65; i++) {
		key.address = endpoint_ip(i);
		node_remove(n, "endpoints", &key);
	}
	put_subnet(n, vni, 1, 0);
	put_subnet(n, vni, 2, 64);
}

static void put_view(const struct node *n)
{
	const struct chain_value alone = {.epoch = 1, .term = 1, .live = 1, .node = {FTN}};
	struct entrance_value entrance = {.mac = {2, 14}, .live = 1, .owner = FWD};
	uint32_t index = 0;

	entrance.ip = address_must("192.168.0.201");
	node_put(n, "entrances", &index, &entrance);
	node_put(n, "entrance_by_ip", &entrance.ip, &index);
	node_peers(n, NODES);
	node_buckets(n, 0);
	node_chain(n, 0, &alone);
}

static int store_entry(struct entries *entries, enum table table, const void *key,
		       const void *value)
{
	struct stored {
		struct entries entries;
		const struct world *w;
	} *stored = (void *)entries;

	node_put(&stored->w->node[FTN], tables[table].map, key, value);
	return 0;
}

// As zetad would. hop: an endpoint; NOBODY: a blackhole.
static void put_route_of(const struct world *w, uint32_t vni, const struct in6_addr *prefix,
			 unsigned int bits, unsigned int hop)
{
	Zeta__Node__V1__RouteBlock block = ZETA__NODE__V1__ROUTE_BLOCK__INIT;
	Zeta__Node__V1__Route route = ZETA__NODE__V1__ROUTE__INIT, *routes[] = {&route};
	struct in6_addr next_hop = endpoint_ip(hop);
	struct {
		struct entries entries;
		const struct world *w;
	} stored = {{.put = store_entry}, w};

	block.vni = vni;
	block.route = routes;
	block.n_route = 1;
	route.prefix = (ProtobufCBinaryData){sizeof(*prefix), (uint8_t *)prefix};
	route.prefix_length = bits;
	if (hop != NOBODY)
		route.next_hop = (ProtobufCBinaryData){sizeof(next_hop), (uint8_t *)&next_hop};
	must(route_block_entries(&block, &stored.entries), stored.entries.why);
}

// Shared by two endpoints.
static void put_shared(const struct world *w, uint32_t vni, const char *text, unsigned int one,
		       unsigned int other)
{
	Zeta__Node__V1__RouteBlock block = ZETA__NODE__V1__ROUTE_BLOCK__INIT;
	Zeta__Node__V1__Route route = ZETA__NODE__V1__ROUTE__INIT, *routes[] = {&route};
	struct in6_addr prefix, hop[] = {endpoint_ip(one), endpoint_ip(other)};
	ProtobufCBinaryData hops[] = {{sizeof(hop[0]), (uint8_t *)&hop[0]},
				      {sizeof(hop[1]), (uint8_t *)&hop[1]}};
	struct {
		struct entries entries;
		const struct world *w;
	} stored = {{.put = store_entry}, w};
	unsigned int bits;

	must(prefix_parse(text, &prefix, &bits), text);
	block.vni = vni;
	block.route = routes;
	block.n_route = 1;
	route.prefix = (ProtobufCBinaryData){sizeof(prefix), (uint8_t *)&prefix};
	route.prefix_length = bits;
	route.next_hops = hops;
	route.n_next_hops = 2;
	must(route_block_entries(&block, &stored.entries), stored.entries.why);
}

// Whether an uplink leads outside, as health checks would find.
static void set_down(const struct world *w, uint32_t vni, unsigned int endpoint, int down)
{
	const struct endpoint_key key = {vni, endpoint_ip(endpoint)};
	const uint32_t is = 1;

	if (down)
		node_put(&w->node[FTN], "routers_down", &key, &is);
	else
		node_remove(&w->node[FTN], "routers_down", &key);
}

static void put_route(const struct world *w, uint32_t vni, const char *prefix, unsigned int hop)
{
	struct in6_addr address;
	unsigned int bits;

	must(prefix_parse(prefix, &address, &bits), prefix);
	put_route_of(w, vni, &address, bits, hop);
}

// The endpoint may send as these too.
static void allow(const struct world *w, uint32_t vni, unsigned int endpoint, const char *prefix)
{
	struct allowed_key key = {.vni = htonl(vni), .mac = {2, 1, 0, 0, 0, (uint8_t)endpoint}};
	struct in6_addr own = endpoint_ip(endpoint);
	unsigned int bits;

	must(prefix_parse(prefix, &key.address, &bits), prefix);
	key.prefix_bits = 32 + 64 + bits;
	node_put(&w->node[FTN], "allowed", &key, &own);
}

// ---- packets ----

struct packet {
	uint32_t vni;
	const char *from, *to;
	unsigned int sender; // the endpoint whose MAC and host it comes from
	uint8_t protocol;    // 0: ARP
	uint8_t flags;
	uint16_t from_port, to_port;
};

static void write_frame(struct frame *f, const struct packet *p)
{
	char mac[18], gateway[18], host[16];

	snprintf(mac, sizeof(mac), "02:01:00:00:00:%02x", p->sender % 256);
	snprintf(gateway, sizeof(gateway), "02:0f:00:00:00:%02x", p->sender < 64 ? 1 : 2);
	snprintf(host, sizeof(host), "192.168.0.%u", (10 + p->sender) % 256);
	frame_clear(f);
	if (!p->protocol) {
		frame_arp(f, (struct arp_message){"ff:ff:ff:ff:ff:ff", mac, ARP_REQUEST, mac,
						  p->from, "00:00:00:00:00:00", p->to});
	} else {
		frame_fill(f, 40);
		frame_tcp(f, p->from_port, p->to_port, p->flags);
		frame_ipv4(f, (struct ipv4_header){
				      .from = p->from, .to = p->to, .protocol = IPPROTO_TCP});
		frame_ethernet(f, gateway, mac, ETH_P_IP);
	}
	frame_vxlan(f, p->vni);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = host, .to = "192.168.0.201", .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:00", "02:0a:00:00:00:01", ETH_P_IP);
}

static void forget_cached(const struct world *w)
{
	node_clear(&w->node[FWD], "cache");
}

static void forget(const struct world *w)
{
	const uint64_t none = 0;
	const uint32_t key = 0;

	forget_cached(w);
	node_clear(&w->node[FTN], "sessions");
	node_put(&w->node[FTN], "records", &key, &none);
}

// What the flow table decides about a first packet, in the op as it leaves: the decision towards
// the destination, and the other one. Returns whether there is one.
static int decide(const struct world *w, const struct packet *p, struct decision *forth,
		  struct decision *back)
{
	struct in6_addr from = address_must(p->from), to = address_must(p->to);
	char what[64];
	struct frame f;

	write_frame(&f, p);
	snprintf(what, sizeof(what), "%s to %s", p->from, p->to);
	return node_decides(&w->node[FWD], &w->node[FTN], &f, memcmp(&from, &to, sizeof(from)) > 0,
			    what, forth, back);
}

// Who gets a first packet from the client to there; NOBODY: it is refused, for *reason.
static unsigned int taker(const struct world *w, uint32_t vni, const char *to, enum verdict *reason)
{
	const struct packet p = {vni, "10.0.0.1", to, CLIENT, IPPROTO_TCP, SYN, 1000, 80};
	struct decision forth = {}, back = {};

	forget_cached(w);
	*reason = BUG;
	if (!decide(w, &p, &forth, &back))
		return NOBODY;
	*reason = forth.reason;
	return forth.action == DECIDE_FORWARD ? forth.to_mac[5] : NOBODY;
}

// To the end: the verdict at the forwarder, and the frame that leaves it.
static enum verdict travel(const struct world *w, const struct packet *p, struct frame *f)
{
	write_frame(f, p);
	return node_travel(w->node, NODES, FWD, f, NULL);
}

// A packet is delivered to this endpoint, whatever its addresses are.
static int delivered(const struct world *w, const char *what, const struct packet *p,
		     enum verdict want, unsigned int to)
{
	struct frame f;
	int wrong = is_verdict(what, travel(w, p, &f), want);

	return wrong + is_number(what, f.byte[INNER + 5], to);
}

// ---- the tests ----

static int test_longest(struct world *w)
{
	static const struct {
		const char *to;
		unsigned int taker;
		enum verdict reason;
	} rows[] = {
		{"10.0.0.2", 2, 0},		// the subnet
		{"10.0.0.67", 67, 0},		// the other one
		{"10.0.0.41", OTHER_ROUTER, 0}, // longer than the subnet's
		{"10.0.0.200", ROUTER, 0},	// shorter ones count where no subnet is
		{"10.9.1.1", OTHER_ROUTER, 0},
		{"10.9.255.1", NOBODY, BLACKHOLE},
		{"10.9.255.7", ROUTER, 0},	    // through the hole
		{"10.0.0.61", NOBODY, NO_ENDPOINT}, // a subnet's, and nobody's
		{"11.0.0.1", NOBODY, NO_ENDPOINT},  // whose next hop is gone
		{"12.0.0.1", NOBODY, NO_ROUTE},
	};
	enum verdict reason;
	int wrong = 0;

	put_route(w, RED, "10.0.0.0/8", ROUTER);
	put_route(w, RED, "10.0.0.40/30", OTHER_ROUTER);
	put_route(w, RED, "10.9.0.0/16", OTHER_ROUTER);
	put_route(w, RED, "10.9.255.0/24", NOBODY);
	put_route(w, RED, "10.9.255.7/32", ROUTER);
	put_route(w, RED, "11.0.0.0/8", 61);
	put_route(w, RED, "::/0", ROUTER); // of IPv6 alone
	put_route(w, BLUE, "0.0.0.0/0", OTHER_ROUTER);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		wrong += is_number(rows[i].to, taker(w, RED, rows[i].to, &reason), rows[i].taker);
		wrong += is_number(rows[i].to, reason, rows[i].reason);
	}
	wrong += is_number("default", taker(w, BLUE, "12.0.0.1", &reason), OTHER_ROUTER);
	wrong += is_number("default, a subnet's", taker(w, BLUE, "10.0.0.2", &reason), 2);
	return wrong;
}

// Which gateways it passes.
static int test_way(struct world *w)
{
	const uint8_t of_first[6] = {2, 0xf, 0, 0, 0, 1}, of_second[6] = {2, 0xf, 0, 0, 0, 2};
	struct packet p = {RED, "10.0.0.1", "20.0.0.1", CLIENT, IPPROTO_TCP, SYN, 1000, 80};
	struct decision forth = {}, back = {};
	struct frame f;
	int wrong = 0;

	put_route(w, RED, "20.0.0.0/8", ROUTER);
	put_route(w, RED, "30.0.0.0/8", OTHER_ROUTER);
	wrong += is_number("decided", decide(w, &p, &forth, &back), 1);
	wrong += is_number("to the router, routed", forth.flags & DECISION_ROUTED, DECISION_ROUTED);
	wrong += is_number("from the gateway", memcmp(forth.from_mac, of_first, 6), 0);
	wrong += is_number("back on the segment", back.flags & DECISION_ROUTED, 0);
	wrong += is_number("straight from host to host", forth.flags & back.flags & DECISION_DIRECT,
			   DECISION_DIRECT);
	p.to = "30.0.0.1";
	wrong += is_number("decided", decide(w, &p, &forth, &back), 1);
	wrong += is_number("both routed", forth.flags & back.flags & DECISION_ROUTED,
			   DECISION_ROUTED);
	wrong += is_number("from the router's gateway", memcmp(forth.from_mac, of_second, 6), 0);
	wrong += is_number("back from the client's", memcmp(back.from_mac, of_first, 6), 0);
	wrong += is_verdict("carried out", travel(w, &p, &f), FORWARDED_FIRST);
	wrong += is_number("its TTL", f.byte[INNER + 14 + 8], 63);
	return wrong;
}

static int test_blackhole(struct world *w)
{
	const struct packet p = {RED, "10.0.0.1", "20.0.0.1", CLIENT, IPPROTO_TCP, SYN, 1000, 80};
	struct frame f;

	put_route(w, RED, "20.0.0.0/8", NOBODY);
	return is_verdict("refused", travel(w, &p, &f), UNREACHABLE) +
	       is_number("ICMP", f.byte[INNER + 14 + 20], ICMP_UNREACHABLE) +
	       is_number("net", f.byte[INNER + 14 + 20 + 1], ICMP_UNREACHABLE_NET) +
	       is_number("to the client", f.byte[INNER + 5], CLIENT);
}

// A part of a subnet that a route has is behind its gateway.
static int test_arp(struct world *w)
{
	const uint8_t of_first[6] = {2, 0xf, 0, 0, 0, 1};
	struct packet p = {.vni = RED, .from = "10.0.0.1", .to = "10.0.0.61", .sender = CLIENT};
	struct arp_ipv4 arp;
	struct frame f;
	int wrong = 0;

	put_route(w, RED, "10.0.0.0/8", ROUTER);
	wrong += is_verdict("a shorter route", travel(w, &p, &f), ARP_UNKNOWN);
	put_route(w, RED, "10.0.0.61/32", ROUTER);
	wrong += is_verdict("a longer route", travel(w, &p, &f), ENDPOINT_ARP);
	memcpy(&arp, f.byte + INNER + 14, sizeof(arp));
	wrong += is_number("the gateway's", memcmp(arp.sender_mac, of_first, 6), 0);
	p.vni = BLUE;
	wrong += is_verdict("of another VPC", travel(w, &p, &f), ARP_UNKNOWN);
	return wrong;
}

// A session goes on by the route that there is now, and ends where there is none.
static int test_session(struct world *w)
{
	struct packet p = {RED, "10.0.0.70", "20.0.0.1", GUARDED, IPPROTO_TCP, SYN, 1000, 80};
	const uint8_t of_first[6] = {2, 0xf, 0, 0, 0, 1};
	struct frame f;
	int wrong = 0;

	put_route(w, RED, "20.0.0.0/8", OTHER_ROUTER);
	wrong += delivered(w, "begun", &p, FORWARDED_FIRST, OTHER_ROUTER);
	wrong += is_number("recorded", node_count(&w->node[FTN], "sessions"), 1);
	p.flags = ACK;
	put_route(w, RED, "20.0.0.0/8", ROUTER);
	put_policy(w, RED, 2);
	forget_cached(w);
	wrong += delivered(w, "another router", &p, FORWARDED_FIRST, ROUTER);
	wrong += is_verdict("cached", travel(w, &p, &f), FORWARDED);
	wrong += is_number("from its gateway", memcmp(f.byte + INNER + 6, of_first, 6), 0);
	put_route(w, RED, "20.0.0.0/8", NOBODY);
	put_policy(w, RED, 3);
	forget_cached(w);
	wrong += is_verdict("a blackhole", travel(w, &p, &f), BLACKHOLE);
	put_policy(w, RED, 1);
	return wrong;
}

// Who began has the answers, whatever a route or a router's prefixes say of its address.
static int test_who_began(struct world *w)
{
	struct packet p = {RED, "10.0.0.41", "10.0.0.70", 41, IPPROTO_TCP, SYN, 1000, 80},
		      back = {RED, "10.0.0.70", "10.0.0.41", GUARDED, IPPROTO_TCP, ACK, 80, 1000};
	const struct endpoint_key virtual = {RED, endpoint_ip(41)},
				  other = {RED, endpoint_ip(OTHER_ROUTER)};
	const struct allowed_key all = {.prefix_bits = 32 + 64 + 96,
					.vni = htonl(RED),
					.mac = {2, 1, 0, 0, 0, 41},
					.address = address_must("0.0.0.0")};
	const struct in6_addr first = endpoint_ip(ROUTER);
	struct endpoint_value was, moved;
	int wrong = 0;

	put_route(w, RED, "10.0.0.40/31", OTHER_ROUTER);
	wrong += delivered(w, "begun", &p, FORWARDED_FIRST, GUARDED);
	wrong += is_number("recorded", node_count(&w->node[FTN], "sessions"), 1);
	wrong += delivered(w, "answered", &back, FORWARDED, 41);
	forget_cached(w);
	wrong += delivered(w, "a longer route", &back, FORWARDED_FIRST, 41);
	// One of a router's addresses goes to another router.
	node_clear(&w->node[FTN], "routes");
	node_put(&w->node[FTN], "allowed", &all, &first);
	must(bpf_map_lookup_elem(node_map(&w->node[FTN], "endpoints"), &virtual, &was), "41");
	must(bpf_map_lookup_elem(node_map(&w->node[FTN], "endpoints"), &other, &moved), "other");
	node_put(&w->node[FTN], "endpoints", &virtual, &moved);
	forget_cached(w);
	wrong += delivered(w, "moved", &back, FORWARDED_FIRST, OTHER_ROUTER);
	node_put(&w->node[FTN], "endpoints", &virtual, &was);
	return wrong;
}

// What a router sends for others, and what comes back; its route being there or not.
static int test_router(struct world *w)
{
	struct packet p = {RED, "20.0.0.1", "10.0.0.2", ROUTER, IPPROTO_TCP, SYN, 1000, 80},
		      back = {RED, "10.0.0.2", "20.0.0.1", 2, IPPROTO_TCP, SYN | ACK, 80, 1000};
	const struct endpoint_key router = {RED, endpoint_ip(ROUTER)};
	struct endpoint_value moved;
	struct frame f;
	int wrong = 0;

	allow(w, RED, ROUTER, "0.0.0.0/0");
	p.flags = ACK;
	wrong += delivered(w, "the middle, no route back", &p, FORWARDED_FIRST, 2);
	wrong += delivered(w, "not cached", &p, FORWARDED_FIRST, 2);
	wrong += is_number("nor recorded", node_count(&w->node[FTN], "sessions"), 0);
	p.flags = SYN;
	wrong += delivered(w, "begun", &p, FORWARDED_FIRST, 2);
	p.flags = ACK;
	wrong += is_verdict("goes on", travel(w, &p, &f), FORWARDED);
	wrong += is_number("on the segment", f.byte[INNER + 6 + 5], ROUTER);
	wrong += is_number("recorded", node_count(&w->node[FTN], "sessions"), 1);
	wrong += delivered(w, "its answer", &back, FORWARDED, ROUTER);
	forget_cached(w);
	back.flags = ACK;
	wrong += delivered(w, "from the record", &back, FORWARDED_FIRST, ROUTER);
	// Its own way, whatever others have.
	put_route(w, RED, "20.0.0.0/8", OTHER_ROUTER);
	put_policy(w, RED, 2);
	forget_cached(w);
	wrong += delivered(w, "a route elsewhere", &back, FORWARDED_FIRST, ROUTER);
	must(bpf_map_lookup_elem(node_map(&w->node[FTN], "endpoints"), &router, &moved), "router");
	moved.host = address_must("192.168.0.77");
	node_put(&w->node[FTN], "endpoints", &router, &moved);
	forget_cached(w);
	wrong += is_verdict("another host", travel(w, &back, &f), FORWARDED_FIRST);
	wrong += is_number("goes there", f.byte[14 + 19], 77);
	node_clear(&w->node[FTN], "allowed");
	put_policy(w, RED, 3);
	forget_cached(w);
	wrong += is_verdict("it may not any more", travel(w, &back, &f), NO_SOURCE);
	put_policy(w, RED, 1);
	moved.host = address_must("192.168.0.13");
	node_put(&w->node[FTN], "endpoints", &router, &moved);
	// With a route back nothing has to be remembered.
	forget(w);
	allow(w, RED, ROUTER, "20.0.0.0/8");
	put_route(w, RED, "20.0.0.0/8", ROUTER);
	p.flags = ACK;
	wrong += delivered(w, "a route back", &p, FORWARDED_FIRST, 2);
	wrong += is_number("not recorded", node_count(&w->node[FTN], "sessions"), 0);
	wrong += delivered(w, "a route back, answered", &back, FORWARDED, ROUTER);
	forget_cached(w);
	wrong += delivered(w, "decided from there", &back, FORWARDED_FIRST, ROUTER);
	wrong += delivered(w, "decided from there, back", &p, FORWARDED, 2);
	p.to = "10.0.0.67";
	wrong += is_verdict("to another subnet", travel(w, &p, &f), FORWARDED_FIRST);
	wrong += is_number("routed", f.byte[INNER + 14 + 8], 63);
	return wrong;
}

// How many of so many addresses outside go to each of two.
static int shares(const struct world *w, uint32_t vni, unsigned int one, unsigned int other)
{
	enum verdict reason;
	unsigned int got;
	char to[16];
	int part = 0;

	for (int i = 1; i <= 64; i++) {
		snprintf(to, sizeof(to), "20.0.0.%d", i);
		got = taker(w, vni, to, &reason);
		if (got != one && got != other)
			return -1;
		part += got == one;
	}
	return part;
}

// A route of two routers: each has its part, one that is down has none, both down are as both up.
static int test_shared(struct world *w)
{
	struct packet p = {RED, "20.0.0.1", "10.0.0.2", ROUTER, IPPROTO_TCP, ACK, 1000, 80},
		      back = {RED, "10.0.0.2", "20.0.0.1", 2, IPPROTO_TCP, ACK, 80, 1000};
	int wrong = 0, part;
	struct frame f;

	put_shared(w, RED, "20.0.0.0/8", ROUTER, OTHER_ROUTER);
	part = shares(w, RED, ROUTER, OTHER_ROUTER);
	wrong += is_number("both have a part", part > 16 && part < 48, 1);
	set_down(w, BLUE, ROUTER, 1);
	wrong += is_number("another VPC's is down", shares(w, RED, ROUTER, OTHER_ROUTER), part);
	set_down(w, BLUE, ROUTER, 0);
	set_down(w, RED, ROUTER, 1);
	wrong += is_number("one is down", shares(w, RED, ROUTER, OTHER_ROUTER), 0);
	set_down(w, RED, OTHER_ROUTER, 1);
	wrong += is_number("both are", shares(w, RED, ROUTER, OTHER_ROUTER), part);
	set_down(w, RED, ROUTER, 0);
	wrong += is_number("the other one is", shares(w, RED, ROUTER, OTHER_ROUTER), 64);
	set_down(w, RED, OTHER_ROUTER, 0);
	// What comes through either is answered by the route, and nothing is remembered.
	allow(w, RED, ROUTER, "0.0.0.0/0");
	allow(w, RED, OTHER_ROUTER, "0.0.0.0/0");
	forget(w);
	wrong += delivered(w, "through one", &p, FORWARDED_FIRST, 2);
	p.sender = OTHER_ROUTER;
	wrong += delivered(w, "through the other", &p, FORWARDED, 2);
	wrong += is_number("nothing is recorded", node_count(&w->node[FTN], "sessions"), 0);
	set_down(w, RED, ROUTER, 1);
	forget_cached(w);
	wrong += delivered(w, "back by who is up", &back, FORWARDED_FIRST, OTHER_ROUTER);
	set_down(w, RED, ROUTER, 0);
	set_down(w, RED, OTHER_ROUTER, 1);
	forget_cached(w);
	wrong += delivered(w, "by the other", &back, FORWARDED_FIRST, ROUTER);
	// None of them gets back what one of them sent.
	p.to = "20.0.0.2";
	p.flags = SYN;
	for (unsigned int i = 0; i < 2; i++) {
		p.sender = i ? ROUTER : OTHER_ROUTER;
		forget_cached(w);
		wrong += is_verdict("in a circle", travel(w, &p, &f), UNREACHABLE);
	}
	set_down(w, RED, OTHER_ROUTER, 0);
	return wrong;
}

// A session that began through one of them goes on by the other, when the first one is down;
// through a router that has no part in the route it goes back to that one.
static int test_shared_session(struct world *w)
{
	struct packet p = {RED, "20.0.0.1", "10.0.0.70", ROUTER, IPPROTO_TCP, SYN, 1000, 80},
		      back = {RED, "10.0.0.70", "20.0.0.1", GUARDED, IPPROTO_TCP, ACK, 80, 1000};
	const struct endpoint_key key = {RED, endpoint_ip(ROUTER)};
	int wrong = 0;

	put_shared(w, RED, "20.0.0.0/8", ROUTER, OTHER_ROUTER);
	allow(w, RED, ROUTER, "0.0.0.0/0");
	allow(w, RED, OTHER_ROUTER, "0.0.0.0/0");
	wrong += delivered(w, "begun", &p, FORWARDED_FIRST, 70);
	wrong += is_number("recorded", node_count(&w->node[FTN], "sessions"), 1);
	set_down(w, RED, ROUTER, 1);
	forget_cached(w);
	wrong += delivered(w, "the first is down", &back, FORWARDED_FIRST, OTHER_ROUTER);
	set_down(w, RED, ROUTER, 0);
	set_down(w, RED, OTHER_ROUTER, 1);
	forget_cached(w);
	wrong += delivered(w, "the other is", &back, FORWARDED_FIRST, ROUTER);
	set_down(w, RED, OTHER_ROUTER, 0);
	node_clear(&w->node[FTN], "next_hops");
	put_shared(w, RED, "20.0.0.0/8", OTHER_ROUTER, 66);
	set_down(w, RED, ROUTER, 1);
	forget_cached(w);
	wrong += delivered(w, "it has no part any more", &back, FORWARDED_FIRST, ROUTER);
	node_remove(&w->node[FTN], "routers_down", &key);
	return wrong;
}

static int test_spoofing(struct world *w)
{
	static const struct {
		const char *name, *from;
		unsigned int sender;
		uint32_t vni;
		enum verdict want;
	} rows[] = {
		{"an endpoint's address", "10.0.0.5", ROUTER, RED, SPOOFED},
		{"the gateway's", "10.0.0.62", ROUTER, RED, NO_SOURCE},
		{"another's router", "20.0.0.1", OTHER_ROUTER, RED, NO_SOURCE},
		{"another VPC's", "20.0.0.1", ROUTER, BLUE, NO_SOURCE},
		{"beyond its prefix", "31.0.0.1", OTHER_ROUTER, RED, NO_SOURCE},
		{"in its prefix", "30.0.0.1", OTHER_ROUTER, RED, FORWARDED_FIRST},
		{"anybody's", "31.0.0.1", ROUTER, RED, FORWARDED_FIRST},
	};
	const struct endpoint_key vip = {RED, address_must("40.0.0.1")};
	const struct load_balancer_value balancer = {};
	struct packet p = {.to = "10.0.0.2",
			   .protocol = IPPROTO_TCP,
			   .flags = SYN,
			   .from_port = 1000,
			   .to_port = 80};
	struct frame f;
	int wrong = 0;

	allow(w, RED, ROUTER, "0.0.0.0/0");
	allow(w, RED, OTHER_ROUTER, "30.0.0.0/8");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p.vni = rows[i].vni;
		p.from = rows[i].from;
		p.sender = rows[i].sender;
		wrong += is_verdict(rows[i].name, travel(w, &p, &f), rows[i].want);
	}
	p = (struct packet){RED, "40.0.0.1", "10.0.0.2", ROUTER, IPPROTO_TCP, SYN, 1, 2};
	node_put(&w->node[FTN], "load_balancers", &vip, &balancer);
	wrong += is_verdict("a load balancer's", travel(w, &p, &f), NO_SOURCE);
	node_remove(&w->node[FTN], "load_balancers", &vip);
	return wrong;
}

// A router is not handed what it sent.
static int test_bounce(struct world *w)
{
	struct packet p = {RED, "20.0.0.1", "30.0.0.1", ROUTER, IPPROTO_TCP, SYN, 1000, 80};
	struct frame f;
	int wrong = 0;

	allow(w, RED, ROUTER, "0.0.0.0/0");
	put_route(w, RED, "0.0.0.0/0", ROUTER);
	wrong += is_verdict("for others", travel(w, &p, &f), UNREACHABLE);
	p.from = "10.0.0.3";
	wrong += is_verdict("its own", travel(w, &p, &f), UNREACHABLE);
	put_route(w, RED, "30.0.0.0/8", OTHER_ROUTER);
	wrong += delivered(w, "to another", &p, FORWARDED_FIRST, OTHER_ROUTER);
	p.from = "20.0.0.1";
	wrong += delivered(w, "for others, to another", &p, FORWARDED_FIRST, OTHER_ROUTER);
	return wrong;
}

// ---- random routes, beside a list ----

#define RANDOM_ROUTES 3000
#define QUESTIONS 6000

struct listed {
	uint32_t vni, prefix, bits; // host byte order, of 32
	unsigned int hop;
};

static uint32_t any(uint32_t below)
{
	static uint32_t state = 7;

	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)state * below >> 32);
}

static uint32_t mask_of(uint32_t bits)
{
	return bits ? ~0u << (32 - bits) : 0;
}

// Near each other, so that they are inside of others; some inside of the subnets.
static uint32_t any_address(void)
{
	uint32_t bases[] = {0x0A000000, 0x0A000000, 0x0A800000, 0xC0A80000};

	return bases[any(4)] ^ any(1u << any(33 - 1)) ^ (any(8) ? 0 : any(0xFFFFFFFF));
}

static const struct listed *slowly(const struct listed *list, size_t count, uint32_t vni,
				   uint32_t address)
{
	const struct listed *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (list[i].vni == vni && (address & mask_of(list[i].bits)) == list[i].prefix &&
		    (!best || list[i].bits > best->bits))
			best = &list[i];
	return best;
}

static int same_prefix(const struct listed *list, size_t count, const struct listed *one)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].vni == one->vni && list[i].bits == one->bits &&
		    list[i].prefix == one->prefix)
			return 1;
	return 0;
}

static int expect_as_listed(const struct world *w, const struct listed *list, size_t count,
			    uint32_t vni, uint32_t address)
{
	const struct listed *route = slowly(list, count, vni, address);
	const uint32_t i = address & 127, in_subnet = (address & ~127u) == 0x0A000000;
	unsigned int want = NOBODY, got;
	enum verdict reason, why = NO_ROUTE;
	char text[16];

	snprintf(text, sizeof(text), "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
		 address >> 8 & 255, address & 255);
	if (in_subnet && (!route || route->bits <= 26)) {
		want = i < 61 || (i > 64 && i <= ENDPOINTS) ? i : NOBODY;
		why = NO_ENDPOINT;
	} else if (route) {
		want = route->hop;
		why = BLACKHOLE;
	}
	got = taker(w, vni, text, &reason);
	return is_number(text, got, want) + (want ? 0 : is_number(text, reason, why));
}

// The client itself, the gateways, and what is no unicast address are not asked about.
static int is_asked(uint32_t address)
{
	return address != 0x0A000001 && address != 0x0A00003E && address != 0x0A00007E &&
	       address >> 24 && address >> 24 != 127 && address >> 24 < 224;
}

static int test_random(struct world *w)
{
	static struct listed list[RANDOM_ROUTES];
	const unsigned int hops[] = {NOBODY, ROUTER, OTHER_ROUTER, 20, 67};
	size_t count = 0;
	int wrong = 0;

	while (count < RANDOM_ROUTES) {
		struct listed *l = &list[count];
		struct in6_addr prefix;

		*l = (struct listed){any(3) ? RED : BLUE, any_address(), any(33), hops[any(5)]};
		l->prefix &= mask_of(l->bits);
		if (same_prefix(list, count, l))
			continue;
		prefix = address_of_v4(htonl(l->prefix));
		put_route_of(w, l->vni, &prefix, 96 + l->bits, l->hop);
		count++;
	}
	for (uint32_t i = 0; i < QUESTIONS && wrong < 10; i++) {
		const struct listed *l = &list[any(RANDOM_ROUTES)];
		// In a route, at its edges, or anywhere.
		uint32_t address =
			any(4) ? l->prefix | (any(0xFFFFFFFF) & ~mask_of(l->bits)) : any_address();

		if (!any(8))
			address = l->prefix - 1 + any(2) * (~mask_of(l->bits) + 2);
		if (i % 1024 == 0)
			forget(w);
		if (is_asked(address))
			wrong += expect_as_listed(w, list, count, any(3) ? RED : BLUE, address);
	}
	return wrong;
}

static const struct test {
	const char *name;
	int (*run)(struct world *w);
} tests[] = {
	{"the longest prefix", test_longest},
	{"the way", test_way},
	{"a blackhole", test_blackhole},
	{"ARP", test_arp},
	{"a session", test_session},
	{"a router", test_router},
	{"spoofing", test_spoofing},
	{"a router's own", test_bounce},
	{"who began", test_who_began},
	{"several routers", test_shared},
	{"their sessions", test_shared_session},
	{"random routes", test_random},
};

int main(int argc, char **argv)
{
	static const char *const names[] = {"fwd", "ftn"};
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
							  .sessions = 2048,
							  .flat = argc == 2 ? 16 : 0});
		put_view(&w.node[i]);
		put_tenant(&w.node[i], RED);
		put_tenant(&w.node[i], BLUE);
	}
	put_policy(&w, RED, 1);
	put_policy(&w, BLUE, 1);
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++) {
		int failed;

		forget(&w);
		node_clear(&w.node[FTN], "routes");
		node_clear(&w.node[FTN], "next_hops");
		node_clear(&w.node[FTN], "allowed");
		failed = tests[t].run(&w);
		printf("%s %s\n", failed ? "FAILED" : "ok    ", tests[t].name);
		wrong += failed;
	}
	for (int i = 0; i < NODES; i++)
		node_free(&w.node[i]);
	return wrong ? 1 : 0;
}
