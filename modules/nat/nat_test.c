// SPDX-License-Identifier: Apache-2.0
// What leaves a VPC through a NAT, and what comes back, at real nodes: a forwarder and two flow
// table nodes, each a chain of its own that has every other bucket.
#include "datapath/gateway_nodes.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/nat/nat.h"
#include "modules/nat/refusals.h"
#include "shared/address.h"
#include "shared/key.h"
#include "shared/mapping.h"
#include "wire/arp.h"
#include "wire/icmp.h"

#define RED 0x0100A1
#define BLUE 0x0200A2
#define PUBLIC 0x0300A3

// Endpoint i is 10.0.0.i in each VPC: inside up to 60 in the first subnet, from 65 on in the
// second, which no NAT has; outside from 129 on. ADDRESS and SECOND are of a NAT's pool.
#define INSIDE 70
#define OUTSIDE 160
#define GATEWAY 62
#define SECOND_GATEWAY 126
#define PUBLIC_GATEWAY 190
#define CLIENT 1
#define SERVER 130
#define ADDRESS 170
#define SECOND 171
#define NOBODY 180

#define FIRST_SUBNET 1 // of RED; of BLUE 11
#define PUBLIC_SUBNET 3

#define SYN 0x02
#define ACK 0x10

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

static void set_vni(uint8_t out[3], uint32_t vni)
{
	out[0] = (uint8_t)(vni >> 16);
	out[1] = (uint8_t)(vni >> 8);
	out[2] = (uint8_t)vni;
}

// ---- what the nodes know ----

static void put_subnet(const struct node *n, uint32_t vni, uint32_t number, unsigned int first,
		       unsigned int gateway)
{
	struct subnet_key key = {
		.prefix_bits = 32 + 96 + 26, .vni = htonl(vni), .address = endpoint_ip(first)};
	struct subnet_value value = {.subnet = number,
				     .gateway = endpoint_ip(gateway),
				     .gateway_mac = {2, 0xf, 0, 0, 0, (uint8_t)number}};

	node_put(n, "subnets", &key, &value);
}

static void put_policy(const struct world *w, uint32_t vni, uint32_t policy)
{
	const struct vpc_value vpc = {.policy = policy,
				      .functions = 5,
				      .function = {FUNCTION_NAT, FUNCTION_DIVIDER, FUNCTION_BOUNCER,
						   FUNCTION_ACL, FUNCTION_SECURITY_GROUP}};

	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "vpcs", &vni, &vpc);
}

static void put_inner(const struct node *n, uint32_t vni, uint32_t first)
{
	node_tenant(n, vni, INSIDE);
	put_subnet(n, vni, first, 0, GATEWAY);
	put_subnet(n, vni, first + 1, 64, SECOND_GATEWAY);
}

static void put_tenants(const struct node *n)
{
	put_inner(n, RED, FIRST_SUBNET);
	put_inner(n, BLUE, 10 + FIRST_SUBNET);
	node_tenant(n, PUBLIC, OUTSIDE);
	for (unsigned int i = 1; i <= 128; i++) {
		const struct endpoint_key key = {PUBLIC, endpoint_ip(i)};

		node_remove(n, "endpoints", &key);
	}
	put_subnet(n, PUBLIC, PUBLIC_SUBNET, 128, PUBLIC_GATEWAY);
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

static uint32_t chain_of_key(const struct session_key *key)
{
	return (uint32_t)key_hash(key) % BUCKETS % 2;
}

// As zetad would.
struct storing {
	struct entries entries;
	const struct world *w;
};

static int store_entry(struct entries *entries, enum table table, const void *key,
		       const void *value)
{
	struct storing *storing = (void *)entries;

	for (int i = FTN; i < NODES; i++)
		node_put(&storing->w->node[i], tables[table].map, key, value);
	return 0;
}

// How the NATs are.
static bool maps, opens;

// addresses: endpoints' numbers, 0 after the last.
static void put_nat(const struct world *w, uint32_t vni, uint32_t subnet,
		    const unsigned int *addresses)
{
	Zeta__Node__V1__Nat nat = ZETA__NODE__V1__NAT__INIT;
	struct storing storing = {{.put = store_entry}, w};
	ProtobufCBinaryData address[4];
	struct in6_addr ip[4];

	nat.vni = vni;
	nat.external_vni = PUBLIC;
	nat.maps = maps;
	nat.open = opens;
	nat.address = address;
	nat.subnet = &subnet;
	nat.n_subnet = 1;
	for (; addresses[nat.n_address]; nat.n_address++) {
		ip[nat.n_address] = endpoint_ip(addresses[nat.n_address]);
		address[nat.n_address] = (ProtobufCBinaryData){16, (uint8_t *)&ip[nat.n_address]};
	}
	must(nat_entries(&nat, &storing.entries), storing.entries.why);
}

// Endpoint inside has the address outside; 0: none. TCP port 2222 of ADDRESS is port 22 of forward.
static void put_ways_in(const struct world *w, uint32_t vni, uint32_t subnet, unsigned int inside,
			unsigned int outside, unsigned int forward)
{
	struct in6_addr ip[] = {endpoint_ip(outside), endpoint_ip(inside), endpoint_ip(ADDRESS),
				endpoint_ip(forward)};
	Zeta__Node__V1__FloatingIp floating = ZETA__NODE__V1__FLOATING_IP__INIT,
				   *all_floating[] = {&floating};
	Zeta__Node__V1__Forward f = ZETA__NODE__V1__FORWARD__INIT, *all_forwards[] = {&f};
	Zeta__Node__V1__Nat nat = ZETA__NODE__V1__NAT__INIT;
	struct storing storing = {{.put = store_entry}, w};
	ProtobufCBinaryData bytes[4];

	for (size_t i = 0; i < 4; i++)
		bytes[i] = (ProtobufCBinaryData){16, (uint8_t *)&ip[i]};
	floating.address = bytes[0];
	floating.inside = bytes[1];
	f.address = bytes[2];
	f.inside = bytes[3];
	f.protocol = IPPROTO_TCP;
	f.port = 2222;
	f.inside_port = 22;
	nat.vni = vni;
	nat.external_vni = PUBLIC;
	nat.maps = maps;
	nat.open = opens;
	nat.floating_ip = all_floating;
	nat.n_floating_ip = inside != 0;
	nat.forward = all_forwards;
	nat.n_forward = forward != 0;
	nat.address = &bytes[2];
	nat.n_address = forward != 0;
	nat.subnet = &subnet;
	nat.n_subnet = 1;
	must(nat_entries(&nat, &storing.entries), storing.entries.why);
}

static const unsigned int one[] = {ADDRESS, 0}, two[] = {ADDRESS, SECOND, 0};

// ---- packets ----

// Of ICMP from_port is the identifier, and flags are the type.
struct packet {
	uint32_t vni;
	unsigned int from, to; // endpoints
	uint8_t protocol;      // 0: ARP
	uint8_t flags;
	uint16_t from_port, to_port;
	uint16_t fragment;
};

static const struct packet first = {RED, CLIENT, SERVER, IPPROTO_TCP, SYN, 1000, 80, 0};

static void write_frame(struct frame *f, const struct packet *p)
{
	char from[16], to[16], mac[18], host[16];

	snprintf(from, sizeof(from), "10.0.0.%u", p->from % 256);
	snprintf(to, sizeof(to), "10.0.0.%u", p->to % 256);
	snprintf(mac, sizeof(mac), "02:01:00:00:00:%02x", p->from % 256);
	snprintf(host, sizeof(host), "192.168.0.%u", (10 + p->from) % 256);
	frame_clear(f);
	if (!p->protocol) {
		frame_arp(f, (struct arp_message){"ff:ff:ff:ff:ff:ff", mac, ARP_REQUEST, mac, from,
						  "00:00:00:00:00:00", to});
	} else {
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
						   .fragment = p->fragment});
		frame_ethernet(f, "02:0f:00:00:00:01", mac, ETH_P_IP);
	}
	frame_vxlan(f, p->vni);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = host, .to = "192.168.0.201", .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:00", "02:0a:00:00:00:01", ETH_P_IP);
}

// What the flow table decided last about a packet on its way.
static struct dft_packet last_op;

// To the end: the verdict at the forwarder, and the frame that leaves it.
static enum verdict travel(const struct world *w, const struct packet *p, struct frame *f)
{
	write_frame(f, p);
	return node_travel(w->node, NODES, FWD, f, &last_op);
}

// The packet that a host is given.
static struct packet packet_in(const struct frame *f)
{
	struct packet p = {.vni = vni_of(f->byte + 46)};
	const uint8_t *l4 = f->byte + 50 + 14 + sizeof(struct iphdr);
	struct iphdr ip;

	memcpy(&ip, f->byte + 50 + 14, sizeof(ip));
	p.from = ntohl(ip.saddr) & 0xFF;
	p.to = ntohl(ip.daddr) & 0xFF;
	p.protocol = ip.protocol;
	if (ip.protocol == IPPROTO_ICMP) {
		p.flags = l4[0];
		p.from_port = (uint16_t)(l4[4] << 8 | l4[5]);
	} else {
		p.from_port = (uint16_t)(l4[0] << 8 | l4[1]);
		p.to_port = (uint16_t)(l4[2] << 8 | l4[3]);
		p.flags = ip.protocol == IPPROTO_TCP ? l4[13] : 0;
	}
	return p;
}

// A packet that goes, with what the host is given in *out; to_port and such as it says.
static int goes(const struct world *w, const char *what, const struct packet *p, enum verdict want,
		struct packet *out, uint8_t gateway)
{
	struct frame f;
	int wrong = is_verdict(what, travel(w, p, &f), want);

	*out = (struct packet){};
	if (f.length < 50 + 14 + 28)
		return wrong + is_number(what, (long)f.length, 104);
	*out = packet_in(&f);
	wrong += is_number(what, f.byte[50 + 5], (long)out->to); // whose MAC it is
	wrong += is_number(what, f.byte[50 + 6 + 5], gateway);
	return wrong + is_number(what, f.byte[50 + 14 + 8], 63); // TTL
}

static int packet_is(const char *what, const struct packet *p, uint32_t vni, unsigned int from,
		     uint16_t from_port, unsigned int to, uint16_t to_port)
{
	return is_number(what, p->vni, vni) + is_number(what, p->from, from) +
	       is_number(what, p->from_port, from_port) + is_number(what, p->to, to) +
	       is_number(what, p->to_port, to_port);
}

// What answers a packet, from where it arrived.
static struct packet answer_to(const struct packet *p)
{
	struct packet back = {p->vni,	p->to,	    p->from,	  p->protocol,
			      p->flags, p->to_port, p->from_port, 0};

	if (p->protocol == IPPROTO_TCP)
		back.flags = p->flags == SYN ? SYN | ACK : ACK;
	if (p->protocol == IPPROTO_ICMP) {
		back.flags = ICMP_ECHO_REPLY;
		back.from_port = p->from_port;
		back.to_port = 0;
	}
	return back;
}

static int is_choice(const char *what, uint16_t port)
{
	return is_number(what, port >= NAT_FIRST_PORT, 1);
}

// What arrived as there is answered, and the answer is p's sender's.
static int comes_home(const struct world *w, const char *what, const struct packet *p,
		      const struct packet *there, uint8_t gateway)
{
	const int echo = p->protocol == IPPROTO_ICMP;
	const struct packet back = answer_to(there);
	struct packet home;
	int wrong = goes(w, what, &back, FORWARDED, &home, gateway);

	return wrong + packet_is(what, &home, p->vni, p->to, echo ? p->from_port : p->to_port,
				 p->from, echo ? 0 : p->from_port);
}

// There and back, twice: the second time as the forwarder remembers it.
static int converses(const struct world *w, const char *what, struct packet p,
		     struct packet *outside)
{
	struct packet there;
	int wrong = 0;

	for (int i = 0; i < 2; i++) {
		wrong += goes(w, what, &p, i ? FORWARDED : FORWARDED_FIRST, &there, PUBLIC_SUBNET);
		wrong += packet_is(what, &there, PUBLIC, there.from, there.from_port, p.to,
				   p.to_port);
		wrong += is_choice(what, there.from_port);
		if (i)
			wrong += packet_is(what, &there, PUBLIC, outside->from, outside->from_port,
					   p.to, p.to_port);
		*outside = there;
		wrong += comes_home(w, what, &p, &there, FIRST_SUBNET);
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
		node_clear(&w->node[i], "used_up");
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

// ---- the tests ----

static int test_out(struct world *w)
{
	struct packet p = first, outside;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	wrong += converses(w, "TCP", p, &outside);
	wrong += is_number("its address", outside.from, ADDRESS);
	p.protocol = IPPROTO_UDP;
	p.flags = 0;
	wrong += converses(w, "UDP", p, &outside);
	p.protocol = IPPROTO_ICMP;
	p.flags = ICMP_ECHO_REQUEST;
	p.to_port = 0;
	wrong += converses(w, "echo", p, &outside);
	p = (struct packet){RED, 1, SERVER, IPPROTO_UDP, 0, 1000, 53, 0x2000};
	wrong += goes(w, "a fragment", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	wrong += is_number("a fragment", outside.from, ADDRESS);
	wrong += is_choice("of a fragment", outside.from_port);
	p.fragment = 6;
	wrong += goes(w, "the next one", &p, FORWARDED, &outside, PUBLIC_SUBNET);
	return wrong + is_number("the next one", outside.from, ADDRESS);
}

#define MANY 1000

// Whoever they are of, no two have the same port; each keeps its own.
static int test_ports(struct world *w)
{
	static uint8_t taken[65536];
	struct packet p = first, outside, there;
	int wrong = 0, same = 0;

	memset(taken, 0, sizeof(taken));
	put_nat(w, RED, FIRST_SUBNET, one);
	for (unsigned int i = 0; i < MANY; i++) {
		p.from = 1 + i % 60;
		p.from_port = (uint16_t)(40000 + i / 60);
		wrong += goes(w, "one of many", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
		wrong += is_choice("of many", outside.from_port);
		wrong += is_number("taken", taken[outside.from_port], 0);
		taken[outside.from_port] = 1;
		same += outside.from_port == p.from_port;
	}
	wrong += is_number("kept", same < 5, 1);
	// To another server the same ports may be used again.
	p.to = SERVER + 1;
	wrong += goes(w, "another server", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
	return wrong;
}

// All connections of an endpoint have one address; endpoints have all addresses.
static int test_pool(struct world *w)
{
	unsigned int of[2] = {};
	struct packet p = first, outside;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, two);
	for (p.from = 1; p.from <= 60; p.from++) {
		unsigned int address = 0;

		for (p.from_port = 2000; p.from_port < 2003; p.from_port++) {
			wrong += goes(w, "pool", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
			wrong += is_number("of the pool",
					   outside.from == ADDRESS || outside.from == SECOND, 1);
			if (address)
				wrong += is_number("one address", outside.from, address);
			address = outside.from;
			p.to = p.to == SERVER ? SERVER + 1 : SERVER;
		}
		of[address == SECOND]++;
	}
	return wrong + is_number("both are used", of[0] > 15 && of[1] > 15, 1);
}

// What is written into the table as other sessions' aliases: towards first's destination.
static void take_port(struct world *w, uint32_t port)
{
	struct session_key key = {.a = endpoint_ip(SERVER),
				  .b = endpoint_ip(ADDRESS),
				  .a_port = htons(80),
				  .b_port = htons((uint16_t)port),
				  .protocol = IPPROTO_TCP};
	const struct dft_record record = {.stamp = {0, 1},
					  .incarnation = {0, 1},
					  .life = DFT_LIVE,
					  .state = DFT_ALIAS,
					  .translation = {.flags = TRANSLATION_IS}};

	set_vni(key.vni, PUBLIC);
	node_session_put(&w->node[FTN + chain_of_key(&key)], &key, &record);
}

#define REQUIRED 60000 // sessions of one address to one destination

// What the nodes tell of the address: so many packets that were refused lately; 0: nothing.
static int is_told(const struct world *w, uint64_t refused)
{
	const struct in6_addr address = endpoint_ip(ADDRESS);
	uint64_t sum = 0;
	int wrong = 0;

	for (int i = FTN; i < NODES; i++) {
		const struct datapath d = {
			.own = {[MAP_NAT_REFUSING] = node_map(&w->node[i], "nat_refusing")}};
		struct nat_refusals refusals = {};
		struct node_status status = {};

		nat_tell(&refusals, &d, &status);
		for (uint32_t k = 0; k < status.nats; k++) {
			wrong += is_number("external VPC", status.nat[k].vni, PUBLIC);
			wrong += is_number("its address",
					   address_equal(&status.nat[k].address, &address), 1);
			sum += status.nat[k].refused;
		}
	}
	return wrong + is_number("told of", sum, refused);
}

// As if that had been so long ago.
static void wait_ms(const struct world *w, uint64_t ms)
{
	const struct endpoint_key key = {.vni = PUBLIC, .address = endpoint_ip(ADDRESS)};

	for (int i = FTN; i < NODES; i++) {
		struct nat_refusing_value value;

		if (bpf_map_lookup_elem(node_map(&w->node[i], "nat_refusing"), &key, &value))
			continue;
		value.last_ns -= ms * 1000000;
		node_put(&w->node[i], "nat_refusing", &key, &value);
	}
}

static int test_exhausted(struct world *w)
{
	static uint16_t ports[NAT_PORTS];
	struct packet p = first, outside;
	struct frame f;
	int wrong = 0;
	uint32_t i;

	put_nat(w, RED, FIRST_SUBNET, one);
	wrong += is_told(w, 0);
	srandom(1);
	for (i = 0; i < NAT_PORTS; i++) {
		uint32_t at = (uint32_t)random() % (i + 1);

		ports[i] = ports[at];
		ports[at] = (uint16_t)(NAT_FIRST_PORT + i);
	}
	for (i = 0; i < REQUIRED - 100; i++)
		take_port(w, ports[i]);
	for (; i < REQUIRED; i++) {
		p.from = 1 + i % 60;
		p.from_port = (uint16_t)(1000 + i % 30000);
		wrong += goes(w, "up to the last of them", &p, FORWARDED_FIRST, &outside,
			      PUBLIC_SUBNET);
	}
	// All the others, too.
	for (i = 0; i < NAT_PORTS; i++)
		take_port(w, NAT_FIRST_PORT + i);
	p = first;
	wrong += refused(w, "exhausted", &p, UNREACHABLE, NAT_EXHAUSTED);
	travel(w, &p, &f);
	// In the tunnel Ethernet and IPv4 stand before the ICMP error (RFC 6888 REQ-11).
	wrong += is_number("ICMP", f.byte[50 + 14 + 20], ICMP_UNREACHABLE);
	wrong += is_number("ICMP", f.byte[50 + 14 + 20 + 1], ICMP_UNREACHABLE_HOST);
	wrong += is_told(w, 1);
	// But only there.
	p.to = SERVER + 1;
	wrong += goes(w, "another server", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	p = first;
	p.to_port = 81;
	wrong += goes(w, "another port", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	wait_ms(w, NAT_QUIET_MS / 2);
	wrong += is_told(w, 1);
	wait_ms(w, NAT_QUIET_MS / 2);
	return wrong + is_told(w, 0);
}

// A node knows the free ports of its own chain only; of the others it takes one as it comes.
static int test_other_chain(struct world *w)
{
	struct session_key key = {.a = endpoint_ip(SERVER),
				  .b = endpoint_ip(ADDRESS),
				  .a_port = htons(80),
				  .protocol = IPPROTO_TCP};
	struct packet p = first, outside;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	set_vni(key.vni, PUBLIC);
	for (uint32_t port = NAT_FIRST_PORT; port < 65536; port++) {
		key.b_port = htons((uint16_t)port);
		if (!chain_of_key(&key))
			take_port(w, port);
	}
	for (p.from_port = 3000; p.from_port < 3100; p.from_port++) {
		wrong += goes(w, "other chain", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
		key.b_port = htons(outside.from_port);
		wrong += is_number("of the other chain", chain_of_key(&key), 1);
	}
	return wrong;
}

static int test_refused(struct world *w)
{
	const struct rows {
		const char *name;
		struct packet p;
		enum verdict want, reason;
	} rows[] = {
		{"a subnet without",
		 {RED, 66, SERVER, IPPROTO_TCP, SYN, 1000, 80, 0},
		 UNREACHABLE,
		 NO_ROUTE},
		{"a VPC without",
		 {BLUE, 1, SERVER, IPPROTO_TCP, SYN, 1000, 80, 0},
		 UNREACHABLE,
		 NO_ROUTE},
		{"another protocol", {RED, 1, SERVER, 47, 0, 0, 0, 0}, UNREACHABLE, NAT_NO_PORT},
		{"the middle",
		 {RED, 1, SERVER, IPPROTO_TCP, ACK, 1000, 80, 0},
		 NO_SESSION,
		 NO_SESSION},
		{"nobody outside",
		 {RED, 1, NOBODY, IPPROTO_TCP, SYN, 1000, 80, 0},
		 UNREACHABLE,
		 NO_ENDPOINT},
		{"not asked for",
		 {PUBLIC, SERVER, ADDRESS, IPPROTO_TCP, SYN, 80, 5000, 0},
		 NAT_UNSOLICITED,
		 NAT_UNSOLICITED},
		{"a ping",
		 {PUBLIC, SERVER, ADDRESS, IPPROTO_ICMP, ICMP_ECHO_REQUEST, 7, 0, 0},
		 NAT_UNSOLICITED,
		 NAT_UNSOLICITED},
		{"inside an address of outside",
		 {PUBLIC, SERVER, 2, IPPROTO_TCP, SYN, 80, 1, 0},
		 UNREACHABLE,
		 NO_ROUTE},
	};
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		wrong += refused(w, rows[i].name, &rows[i].p, rows[i].want, rows[i].reason);
		for (int n = FTN; n < NODES; n++)
			wrong += is_number("no session", node_count(&w->node[n], "sessions"), 0);
	}
	return wrong;
}

// What was refused from outside is not remembered: a moment later it may be an answer.
static int test_answer_after_refusal(struct world *w)
{
	struct session_key key = {.a = endpoint_ip(SERVER),
				  .b = endpoint_ip(ADDRESS),
				  .a_port = htons(80),
				  .b_port = htons(5000),
				  .protocol = IPPROTO_TCP};
	struct packet p = first, back = {PUBLIC, SERVER, ADDRESS, IPPROTO_TCP, SYN, 80, 5000, 0},
		      outside, home;
	struct cache_value cached;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	set_vni(key.vni, PUBLIC);
	for (uint32_t port = NAT_FIRST_PORT; port < NAT_FIRST_PORT + NAT_PORTS; port++)
		if (port != 5000)
			take_port(w, port);
	wrong += refused(w, "nobody's", &back, NAT_UNSOLICITED, NAT_UNSOLICITED);
	wrong += is_number("remembered", node_cached(&w->node[FWD], &key, &cached), 0);
	// Far from all ports are looked at: the one that is left is found after a while.
	for (int i = 0; i < 1000; i++) {
		struct frame f;

		node_clear(&w->node[FTN], "used_up");
		node_clear(&w->node[FTN + 1], "used_up");
		forget_cached(w);
		if (travel(w, &p, &f) != FORWARDED_FIRST)
			continue;
		outside = packet_in(&f);
		wrong += is_number("what is left", outside.from_port, 5000);
		back = answer_to(&outside);
		return wrong + goes(w, "its answer", &back, FORWARDED, &home, FIRST_SUBNET);
	}
	return wrong + is_number("found", 0, 1);
}

static int test_tenants(struct world *w)
{
	struct packet p = first, red, blue, home;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	put_nat(w, BLUE, 10 + FIRST_SUBNET, (unsigned int[]){SECOND, 0});
	wrong += goes(w, "red", &p, FORWARDED_FIRST, &red, PUBLIC_SUBNET);
	p.vni = BLUE;
	wrong += goes(w, "blue", &p, FORWARDED_FIRST, &blue, PUBLIC_SUBNET);
	wrong += is_number("red's address", red.from, ADDRESS);
	wrong += is_number("blue's address", blue.from, SECOND);
	p = answer_to(&blue);
	wrong += goes(w, "back to blue", &p, FORWARDED, &home, 10 + FIRST_SUBNET);
	wrong += packet_is("back to blue", &home, BLUE, SERVER, 80, CLIENT, 1000);
	p = answer_to(&red);
	wrong += goes(w, "back to red", &p, FORWARDED, &home, FIRST_SUBNET);
	return wrong + packet_is("back to red", &home, RED, SERVER, 80, CLIENT, 1000);
}

// The endpoint is in a security group that has this rule; 0: in none.
static void put_group(const struct world *w, uint32_t vni, uint32_t endpoint, uint32_t group,
		      const struct rule *rule)
{
	const struct endpoint_key key = {vni, endpoint_ip(endpoint)};

	for (int i = FTN; i < NODES; i++)
		node_group(&w->node[i], &key, group, rule);
}

// Rules see the address inside where it leaves, and outside where it arrives.
static int test_rules(struct world *w)
{
	const struct rule only = {.protocol = IPPROTO_TCP,
				  .port_min = 443,
				  .port_max = 443,
				  .outcome = RULE_ALLOW,
				  .direction = RULE_EGRESS},
			  from = {.port_max = 65535,
				  .outcome = RULE_ALLOW,
				  .remote = endpoint_ip(ADDRESS),
				  .remote_bits = 128};
	struct packet p = first, outside;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	put_group(w, RED, CLIENT, 7, &only);
	wrong += refused(w, "egress", &p, SECURITY_GROUP, SECURITY_GROUP);
	p.to_port = 443;
	wrong += goes(w, "egress", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	put_group(w, RED, CLIENT, 0, NULL);
	put_group(w, PUBLIC, SERVER, 8, &from);
	p.from_port++;
	wrong += goes(w, "ingress", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	put_group(w, PUBLIC, SERVER, 0, NULL);
	return wrong;
}

// Where the session is that `first` begins, whose key becomes *key.
static const struct node *node_of_first(const struct world *w, struct session_key *key)
{
	*key = (struct session_key){.a = endpoint_ip(CLIENT),
				    .b = endpoint_ip(SERVER),
				    .a_port = htons(1000),
				    .b_port = htons(80),
				    .protocol = IPPROTO_TCP};
	set_vni(key->vni, RED);
	return &w->node[FTN + chain_of_key(key)];
}

// A policy that changes on either side has it asked about; it stands as long as the address is the
// pool's.
static int test_policy(struct world *w)
{
	struct packet p = first, outside, back, home;
	struct dft_record record;
	struct frame f;
	int wrong = 0;
	struct session_key key;
	const struct node *n = node_of_first(w, &key);

	put_nat(w, RED, FIRST_SUBNET, one);
	wrong += goes(w, "SYN", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	back = answer_to(&outside);
	p.flags = ACK;
	wrong += is_number("a session", node_session(n, &key, &record), 1);
	wrong += is_number("of both", record.policy, 1000 + 5000);
	put_policy(w, PUBLIC, 5001);
	forget_cached(w);
	wrong += goes(w, "outside", &back, FORWARDED_FIRST, &home, FIRST_SUBNET);
	wrong += is_number("a session", node_session(n, &key, &record), 1);
	wrong += is_number("decided again", record.policy, 1000 + 5001);
	put_nat(w, RED, FIRST_SUBNET, two);
	put_policy(w, RED, 1001);
	forget_cached(w);
	wrong += goes(w, "inside", &p, FORWARDED_FIRST, &home, PUBLIC_SUBNET);
	wrong += packet_is("as before", &home, PUBLIC, ADDRESS, outside.from_port, SERVER, 80);
	node_session(n, &key, &record);
	wrong += is_number("decided again", record.policy, 1001 + 5001);
	put_nat(w, RED, FIRST_SUBNET, (unsigned int[]){SECOND, 0});
	put_policy(w, RED, 1002);
	forget_cached(w);
	wrong += is_verdict("not the pool's", travel(w, &p, &f), NO_SESSION);
	return wrong;
}

// Who begins a closed session anew under a later policy keeps address and port, as long as they are
// what he would get; else it ends, and nobody is answered before no cache knows it.
static int test_anew(struct world *w)
{
	struct packet p = first, outside, again;
	struct dft_record record;
	struct frame f;
	int wrong = 0;
	struct session_key key;
	const struct node *n = node_of_first(w, &key);

	put_nat(w, RED, FIRST_SUBNET, one);
	wrong += goes(w, "SYN", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	for (uint32_t i = 1; i < 4; i++) {
		wrong += is_number("a session", node_session(n, &key, &record), 1);
		record.state |= DFT_RST;
		node_session_put(n, &key, &record);
		node_session_mark(n, &key, 1, 0);
		put_policy(w, i & 1 ? RED : PUBLIC, i & 1 ? 1000 + i : 5000 + i);
		if (i < 3) {
			wrong += goes(w, "anew", &p, FORWARDED_FIRST, &again, PUBLIC_SUBNET);
			wrong += packet_is("the same", &again, PUBLIC, ADDRESS, outside.from_port,
					   SERVER, 80);
			wrong += comes_home(w, "anew", &p, &again, FIRST_SUBNET);
		}
	}
	put_nat(w, RED, FIRST_SUBNET, (unsigned int[]){SECOND, 0});
	travel(w, &p, &f);
	wrong += is_number("it has ended", node_session(n, &key, &record), 1);
	wrong += is_number("it has ended", record.life, DFT_TOMBSTONE);
	wrong += is_verdict("another address", travel(w, &p, &f), SESSION_OTHERWISE);
	node_session_mark(n, &key, (2 * REFRESH_MS + PACKET_LIFE_MS) / 1000 + 1, 0);
	wrong += goes(w, "forgotten", &p, FORWARDED_FIRST, &again, PUBLIC_SUBNET);
	return wrong + is_number("another address", again.from, SECOND);
}

// Without the NAT a session ends, also where the external VPC went with it.
static int test_external_gone(struct world *w)
{
	const uint32_t vni = PUBLIC;
	struct packet p = first, outside;
	struct frame f;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	wrong += goes(w, "SYN", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	p.flags = ACK;
	for (int i = 0; i < NODES; i++) {
		node_clear(&w->node[i], "nat_sources");
		node_clear(&w->node[i], "nat_addresses");
		node_remove(&w->node[i], "vpcs", &vni);
	}
	put_policy(w, RED, 1001);
	forget_cached(w);
	wrong += is_verdict("asked about", travel(w, &p, &f), NO_ROUTE);
	put_policy(w, PUBLIC, 5000);
	return wrong;
}

// What crosses from one VPC to another is paid for by both, where they have a rate.
static int test_rates(struct world *w)
{
	static const uint32_t limited[] = {RED, PUBLIC};
	struct packet p = first, outside, back;
	struct frame f;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	wrong += goes(w, "SYN", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
	back = answer_to(&outside);
	wrong += is_verdict("back", travel(w, &back, &f), FORWARDED);
	p.flags = ACK;
	for (int i = 0; i < 2; i++) {
		const struct packet *into = i ? &p : &back, *from = i ? &back : &p;
		struct vpc_value vpc;

		// One packet, and no other one for an hour.
		node_clear(&w->node[FWD], "vpc_buckets");
		bpf_map_lookup_elem(node_map(&w->node[FWD], "vpcs"), &limited[i], &vpc);
		vpc.rate = rate_of(0, 1, 0);
		vpc.rate.per_packet *= 3600;
		node_put(&w->node[FWD], "vpcs", &limited[i], &vpc);
		wrong += is_verdict("into it", travel(w, into, &f), FORWARDED);
		wrong += is_verdict("into it again", travel(w, into, &f), VPC_RATE);
		wrong += is_verdict("from it", travel(w, from, &f), VPC_RATE);
		vpc.rate = (struct rate){};
		node_put(&w->node[FWD], "vpcs", &limited[i], &vpc);
		wrong += is_verdict("without", travel(w, from, &f), FORWARDED);
	}
	return wrong;
}

static int test_arp(struct world *w)
{
	struct packet p = {.vni = PUBLIC, .from = SERVER, .to = ADDRESS};
	const uint8_t gateway[6] = {2, 0xf, 0, 0, 0, PUBLIC_SUBNET};
	struct arp_ipv4 arp;
	struct frame f;
	int wrong = 0;

	wrong += is_verdict("before", travel(w, &p, &f), ARP_UNKNOWN);
	put_nat(w, RED, FIRST_SUBNET, one);
	wrong += is_verdict("who has it", travel(w, &p, &f), ENDPOINT_ARP);
	memcpy(&arp, f.byte + 50 + 14, sizeof(arp));
	wrong += is_number("a reply", ntohs(arp.op), ARP_REPLY);
	wrong += is_number("of the gateway", memcmp(arp.sender_mac, gateway, 6), 0);
	p.vni = RED;
	p.from = CLIENT;
	return wrong + is_verdict("in another VPC", travel(w, &p, &f), ARP_UNKNOWN);
}

// There and back, twice, between two whom gateways' numbers belong to: what arrives, and what comes
// back to who began.
static int leads(const struct world *w, const char *what, struct packet p,
		 const struct packet *arrives, uint8_t far_gateway, uint8_t near_gateway)
{
	struct packet there;
	int wrong = 0;

	for (int i = 0; i < 2; i++) {
		wrong += goes(w, what, &p, i ? FORWARDED : FORWARDED_FIRST, &there, far_gateway);
		wrong += packet_is(what, &there, arrives->vni, arrives->from,
				   arrives->from_port ?: there.from_port, arrives->to,
				   arrives->to_port);
		wrong += comes_home(w, what, &p, &there, near_gateway);
		if (p.protocol == IPPROTO_TCP)
			p.flags = ACK;
	}
	return wrong;
}

#define FLOATING 172
#define HOLDER 5

// One address for one endpoint: both begin, ports stay, fragments pass.
static int test_floating(struct world *w)
{
	const struct packet in = {PUBLIC, SERVER, FLOATING, IPPROTO_TCP, SYN, 3000, 22, 0},
			    ping = {PUBLIC, SERVER, FLOATING, IPPROTO_ICMP, ICMP_ECHO_REQUEST,
				    7,	    0,	    0},
			    out = {RED, HOLDER, SERVER, IPPROTO_UDP, 0, 53, 53, 0};
	struct packet p, there;
	int wrong = 0;

	put_ways_in(w, RED, FIRST_SUBNET, HOLDER, FLOATING, 0);
	wrong += leads(w, "in", in, &(struct packet){RED, SERVER, HOLDER, 0, 0, 3000, 22, 0},
		       FIRST_SUBNET, PUBLIC_SUBNET);
	wrong += leads(w, "a ping", ping, &(struct packet){RED, SERVER, HOLDER, 0, 0, 7, 0, 0},
		       FIRST_SUBNET, PUBLIC_SUBNET);
	wrong += leads(w, "out", out, &(struct packet){PUBLIC, FLOATING, SERVER, 0, 0, 53, 53, 0},
		       PUBLIC_SUBNET, FIRST_SUBNET);
	p = (struct packet){RED, HOLDER, SERVER, IPPROTO_UDP, 0, 54, 54, 0x2000};
	wrong += goes(w, "a fragment", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
	wrong += is_number("a fragment", there.from, FLOATING);
	// It is nobody else's.
	p = first;
	wrong += refused(w, "another endpoint", &p, UNREACHABLE, NO_ROUTE);
	return wrong;
}

static int test_forward(struct world *w)
{
	const struct packet in = {PUBLIC, SERVER, ADDRESS, IPPROTO_TCP, SYN, 3000, 2222, 0};
	struct packet p = in, outside;
	int wrong = 0;

	put_ways_in(w, RED, FIRST_SUBNET, 0, 0, HOLDER);
	wrong += leads(w, "in", in, &(struct packet){RED, SERVER, HOLDER, 0, 0, 3000, 22, 0},
		       FIRST_SUBNET, PUBLIC_SUBNET);
	p.from_port = 3001;
	p.to_port = 22;
	wrong += refused(w, "another port", &p, NAT_UNSOLICITED, NAT_UNSOLICITED);
	p.to_port = 2222;
	p.protocol = IPPROTO_UDP;
	wrong += refused(w, "another protocol", &p, NAT_UNSOLICITED, NAT_UNSOLICITED);
	return wrong + converses(w, "out by the same address", first, &outside);
}

// What comes in obeys the rules of whom it comes to, and ends with what leads to it.
static int test_in_rules(struct world *w)
{
	const struct endpoint_key outside = {PUBLIC, endpoint_ip(ADDRESS)};
	const struct rule other = {.port_max = 65535,
				   .outcome = RULE_ALLOW,
				   .remote = endpoint_ip(SERVER + 1),
				   .remote_bits = 128};
	struct packet p = {PUBLIC, SERVER, ADDRESS, IPPROTO_TCP, SYN, 3000, 2222, 0}, there;
	struct frame f;
	int wrong = 0;

	put_ways_in(w, RED, FIRST_SUBNET, 0, 0, HOLDER);
	put_group(w, RED, HOLDER, 9, &other);
	wrong += refused(w, "ingress", &p, SECURITY_GROUP, SECURITY_GROUP);
	p.from = SERVER + 1;
	wrong += goes(w, "ingress", &p, FORWARDED_FIRST, &there, FIRST_SUBNET);
	// The inner VPC's policy has it asked about.
	put_group(w, RED, HOLDER, 0, NULL);
	for (int i = FTN; i < NODES; i++) {
		node_clear(&w->node[i], "nat_forwards");
		node_remove(&w->node[i], "nat_addresses", &outside);
	}
	put_policy(w, RED, 1001);
	forget_cached(w);
	p.flags = ACK;
	return wrong + is_verdict("not there any more", travel(w, &p, &f), NO_ENDPOINT);
}

// From inside to an address outside that leads inside.
static int test_hairpin(struct world *w)
{
	struct packet p = {RED, CLIENT, ADDRESS, IPPROTO_TCP, SYN, 1000, 2222, 0};
	int wrong = 0;

	put_ways_in(w, RED, FIRST_SUBNET, HOLDER, FLOATING, 66);
	put_ways_in(w, BLUE, 10 + FIRST_SUBNET, HOLDER, SECOND, 0);
	wrong += leads(w, "to a forward", p, &(struct packet){RED, ADDRESS, 66, 0, 0, 0, 22, 0},
		       FIRST_SUBNET + 1, FIRST_SUBNET);
	p.to = SECOND;
	p.to_port = 80;
	wrong += leads(w, "to another tenant's floating IP", p,
		       &(struct packet){BLUE, ADDRESS, HOLDER, 0, 0, 0, 80, 0}, 10 + FIRST_SUBNET,
		       FIRST_SUBNET);
	p.from = HOLDER;
	wrong += leads(w, "from one to another", p,
		       &(struct packet){BLUE, FLOATING, HOLDER, 0, 0, 1000, 80, 0},
		       10 + FIRST_SUBNET, FIRST_SUBNET);
	p = (struct packet){RED, CLIENT, ADDRESS, IPPROTO_TCP, SYN, 1001, 80, 0};
	return wrong + refused(w, "nowhere", &p, NAT_UNSOLICITED, NAT_UNSOLICITED);
}

static void put_router(const struct world *w, uint32_t vni, uint8_t mac)
{
	const struct endpoint_key key = {vni, endpoint_ip(2)};
	struct endpoint_value value = {.host_mac = {2, 0xa, 0, 0, 0, mac},
				       .mac = {2, 1, 0, 0, 0, mac}};

	value.host = address_must("192.168.0.99");
	for (int i = FTN; i < NODES; i++)
		node_put(&w->node[i], "endpoints", &key, &value);
}

// Who is behind a router goes out through another VPC's, which has the same address.
static int test_routers(struct world *w)
{
	const struct endpoint_key behind = {RED, endpoint_ip(61)};
	const struct allowed_key allowed = {.prefix_bits = 32 + 64 + 128,
					    .vni = htonl(RED),
					    .mac = {2, 1, 0, 0, 0, 61},
					    .address = endpoint_ip(61)};
	const struct subnet_key far = {
		.prefix_bits = 32 + 128, .vni = htonl(PUBLIC), .address = endpoint_ip(200)};
	const struct route_value route = {
		.next_hop = endpoint_ip(2), .kind = ROUTE_VIA, .bits = 128};
	struct packet p = {RED, 61, 200, IPPROTO_TCP, SYN, 1000, 80, 0}, outside, home;
	int wrong = 0;

	put_nat(w, RED, FIRST_SUBNET, one);
	put_router(w, RED, 61);
	put_router(w, PUBLIC, 200);
	for (int i = 0; i < NODES; i++) {
		put_subnet(&w->node[i], PUBLIC, 9, 0, GATEWAY);
		node_put(&w->node[i], "routes", &far, &route);
		node_put(&w->node[i], "allowed", &allowed, &route.next_hop);
		node_remove(&w->node[i], "endpoints", &behind);
	}
	wrong += goes(w, "out", &p, FORWARDED_FIRST, &outside, 9);
	wrong += packet_is("out", &outside, PUBLIC, ADDRESS, outside.from_port, 200, 80);
	outside = answer_to(&outside);
	forget_cached(w);
	wrong += goes(w, "back", &outside, FORWARDED_FIRST, &home, FIRST_SUBNET);
	return wrong + packet_is("back", &home, RED, 200, 80, 61, 1000);
}

#define PEERS 20

// The endpoint's port is outside what it is, whomever it speaks to, and as long as one of its
// sessions is there.
static int test_mapping(struct world *w)
{
	struct packet p = first, outside, there;
	int wrong = 0;

	maps = true;
	put_nat(w, RED, FIRST_SUBNET, two);
	for (int udp = 0; udp < 2; udp++) {
		if (udp) {
			p.protocol = IPPROTO_UDP;
			p.flags = 0;
		}
		p.to = SERVER;
		p.to_port = 80;
		wrong += converses(w, "the first of them", p, &outside);
		for (unsigned int i = 1; i < PEERS; i++) {
			p.to = SERVER + i % 20;
			p.to_port = (uint16_t)(80 + i);
			wrong += goes(w, "another", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
			wrong += packet_is("the same port", &there, PUBLIC, outside.from,
					   outside.from_port, p.to, p.to_port);
			wrong += comes_home(w, "and back", &p, &there, FIRST_SUBNET);
		}
	}
	// Who was not asked does not reach it.
	there = (struct packet){PUBLIC, SERVER + 25, outside.from,	IPPROTO_UDP,
				0,	99,	     outside.from_port, 0};
	wrong += refused(w, "from a stranger", &there, NAT_UNSOLICITED, NAT_UNSOLICITED);
	// Another port of its has another one.
	p.from_port++;
	wrong += goes(w, "another port", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
	wrong += is_number("is another outside", there.from_port != outside.from_port, 1);
	wrong += is_number("of the same address", there.from, outside.from);
	p.protocol = IPPROTO_ICMP;
	p.flags = ICMP_ECHO_REQUEST;
	p.to_port = 0;
	return wrong + converses(w, "a ping", p, &outside);
}

// What the rules deny takes no port; where they allow some of it, that has the port then.
static int test_mapping_denied(struct world *w)
{
	const struct rule only = {.protocol = IPPROTO_UDP,
				  .port_min = 443,
				  .port_max = 443,
				  .outcome = RULE_ALLOW,
				  .direction = RULE_EGRESS};
	struct packet p = first, outside, there;
	int wrong = 0;

	maps = opens = true;
	put_nat(w, RED, FIRST_SUBNET, one);
	put_group(w, RED, CLIENT, 7, &only);
	p.protocol = IPPROTO_UDP;
	p.flags = 0;
	for (p.from_port = 6000; p.from_port < 6020; p.from_port++)
		wrong += refused(w, "denied", &p, SECURITY_GROUP, SECURITY_GROUP);
	// Nor what goes to an address that leads inside.
	p.to = ADDRESS;
	wrong += refused(w, "to nobody", &p, NAT_UNSOLICITED, NAT_UNSOLICITED);
	for (int n = FTN; n < NODES; n++)
		wrong += is_number("no mapping", node_count(&w->node[n], "sessions"), 0);
	for (p.from_port = 6000; p.from_port < 6020; p.from_port++) {
		p.to = SERVER;
		p.to_port = 443;
		wrong += goes(w, "allowed", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
		p.to_port = 444;
		wrong += refused(w, "denied still", &p, SECURITY_GROUP, SECURITY_GROUP);
		p.to = SERVER + 1;
		p.to_port = 443;
		wrong += goes(w, "and so is this", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
		wrong += packet_is("by the same port", &there, PUBLIC, ADDRESS, outside.from_port,
				   p.to, 443);
	}
	put_group(w, RED, CLIENT, 0, NULL);
	return wrong;
}

// A mapping keeps its address where the pool has others. Rules outside that are of these do not
// count for it, though a new one would have one of them.
static int test_mapping_of_pool(struct world *w)
{
	const struct rule from = {.port_max = 65535,
				  .outcome = RULE_ALLOW,
				  .remote = endpoint_ip(SECOND),
				  .remote_bits = 128};
	struct packet p = first, outside, there;
	int wrong = 0;

	maps = true;
	p.protocol = IPPROTO_UDP;
	p.flags = 0;
	for (p.from = 1; p.from <= 40; p.from++) {
		put_nat(w, RED, FIRST_SUBNET, one);
		p.to = SERVER;
		p.to_port = 80;
		wrong += goes(w, "out", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
		put_nat(w, RED, FIRST_SUBNET, two);
		p.to = SERVER + 1;
		wrong += goes(w, "as before", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
		wrong += packet_is("as before", &there, PUBLIC, ADDRESS, outside.from_port, p.to,
				   80);
		put_group(w, PUBLIC, SERVER + 1, 8, &from);
		p.to_port = 81;
		wrong += refused(w, "by the other", &p, SECURITY_GROUP, SECURITY_GROUP);
		put_group(w, PUBLIC, SERVER + 1, 0, NULL);
	}
	return wrong;
}

// Whoever sends to what a port is outside begins a session with it.
static int test_open(struct world *w)
{
	struct packet p = first, outside, in, inside, there;
	int wrong = 0;

	maps = opens = true;
	put_nat(w, RED, FIRST_SUBNET, one);
	p.protocol = IPPROTO_UDP;
	p.flags = 0;
	wrong += converses(w, "out", p, &outside);
	in = (struct packet){PUBLIC, SERVER + 25, ADDRESS,	     IPPROTO_UDP,
			     0,	     99,	  outside.from_port, 0};
	wrong += goes(w, "in", &in, FORWARDED_FIRST, &inside, FIRST_SUBNET);
	wrong += packet_is("in", &inside, RED, SERVER + 25, 99, p.from, p.from_port);
	wrong += comes_home(w, "answered", &in, &inside, PUBLIC_SUBNET);
	forget_cached(w);
	p.to = SERVER + 25;
	p.to_port = 99;
	wrong += goes(w, "out, to the stranger", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
	wrong += packet_is("as it knows", &there, PUBLIC, ADDRESS, outside.from_port, SERVER + 25,
			   99);
	in.to_port = outside.from_port == 5000 ? 5001 : 5000;
	wrong += refused(w, "to nobody's", &in, NAT_UNSOLICITED, NAT_UNSOLICITED);
	in.to_port = outside.from_port;
	in.protocol = IPPROTO_TCP;
	in.flags = SYN;
	wrong += refused(w, "of the other protocol", &in, NAT_UNSOLICITED, NAT_UNSOLICITED);
	return wrong;
}

// Whose subnet is taken out of an open NAT, which others have still, is not reached by what he was
// outside.
static int test_subnet_removed(struct world *w)
{
	struct packet p = first, outside, in, inside;
	const uint32_t subnet = FIRST_SUBNET;
	struct frame f;
	int wrong = 0;

	maps = opens = true;
	p.protocol = IPPROTO_UDP;
	p.flags = 0;
	for (int others = 0; others < 2; others++) {
		forget(w);
		put_nat(w, RED, FIRST_SUBNET, one);
		put_nat(w, RED, FIRST_SUBNET + 1, one);
		put_policy(w, RED, 1000);
		wrong += goes(w, "out", &p, FORWARDED_FIRST, &outside, PUBLIC_SUBNET);
		in = (struct packet){PUBLIC, SERVER + 25, ADDRESS,	     IPPROTO_UDP,
				     0,	     99,	  outside.from_port, 0};
		wrong += goes(w, "in", &in, FORWARDED_FIRST, &inside, FIRST_SUBNET);
		for (int i = FTN; i < NODES; i++)
			node_remove(&w->node[i], "nat_sources", &subnet);
		// Or it has another NAT.
		if (others) {
			opens = false;
			put_nat(w, RED, FIRST_SUBNET, (unsigned int[]){SECOND, 0});
			opens = true;
		}
		put_policy(w, RED, 1001);
		forget_cached(w);
		wrong += is_verdict("what came in", travel(w, &in, &f), NAT_UNSOLICITED);
		in.from_port++;
		wrong += refused(w, "a new one", &in, NAT_UNSOLICITED, NAT_UNSOLICITED);
	}
	return wrong;
}

// From inside, too, by what both are outside; whoever speaks first.
static int test_mapped_hairpin(struct world *w)
{
	struct packet a = first, b = first, a_outside, b_outside, there, back;
	struct frame f;
	int wrong = 0;

	maps = opens = true;
	put_nat(w, RED, FIRST_SUBNET, one);
	b.from = CLIENT + 1;
	a.protocol = b.protocol = IPPROTO_UDP;
	a.flags = b.flags = 0;
	for (a.from_port = 3000; a.from_port < 3008; a.from_port++) {
		b.from_port = a.from_port;
		a.to = b.to = SERVER;
		a.to_port = b.to_port = 80;
		wrong += goes(w, "one", &a, FORWARDED_FIRST, &a_outside, PUBLIC_SUBNET);
		wrong += goes(w, "the other", &b, FORWARDED_FIRST, &b_outside, PUBLIC_SUBNET);
		a.to = b.to = ADDRESS;
		a.to_port = b_outside.from_port;
		b.to_port = a_outside.from_port;
		wrong += is_verdict("to the other", travel(w, &a, &f), FORWARDED_FIRST);
		there = packet_in(&f);
		wrong += packet_is("to the other", &there, RED, ADDRESS, a_outside.from_port,
				   b.from, b.from_port);
		wrong += is_verdict("from there", travel(w, &b, &f), FORWARDED);
		back = packet_in(&f);
		wrong += packet_is("from there", &back, RED, ADDRESS, b_outside.from_port, a.from,
				   a.from_port);
	}
	return wrong;
}

// On its way, from this node on, until this op is sent, for this table. Returns whom to; below 0:
// to the same node, or never.
static int travel_until(const struct world *w, struct frame *f, int at, enum dft_op op,
			enum dft_table table)
{
	struct dft_packet d;

	while (at >= 0) {
		node_run(&w->node[at], f);
		memcpy(&d, f->byte + sizeof(struct ethhdr), sizeof(d));
		if (f->length < DFT_HEADERS_BYTES || d.udp.dest != htons(6081) ||
		    d.op.op == DFT_REPLY)
			return -1;
		at = (int)(ntohl(d.ip.daddr) & 0xFF) - 1;
		if (d.op.op == op && d.op.table == table)
			return at;
	}
	return at;
}

#define CROSSINGS 4

// Both speak first at the same moment: each session has reserved the other's key. One of them
// begins, and it is both's.
static int test_crossing(struct world *w)
{
	struct packet a = first, b = first, a_outside, b_outside, there;
	int wrong = 0, crossed = 0, at_a, at_b;
	struct frame f_a, f_b, f;
	struct dft_packet op;

	maps = opens = true;
	put_nat(w, RED, FIRST_SUBNET, one);
	b.from = CLIENT + 1;
	a.protocol = b.protocol = IPPROTO_UDP;
	a.flags = b.flags = 0;
	for (uint16_t port = 5000; crossed < CROSSINGS && port < 5200; port++) {
		a.from_port = b.from_port = port;
		a.to = b.to = SERVER;
		a.to_port = b.to_port = 80;
		wrong += goes(w, "one", &a, FORWARDED_FIRST, &a_outside, PUBLIC_SUBNET);
		wrong += goes(w, "the other", &b, FORWARDED_FIRST, &b_outside, PUBLIC_SUBNET);
		a.to = b.to = ADDRESS;
		a.to_port = b_outside.from_port;
		b.to_port = a_outside.from_port;
		write_frame(&f_a, &a);
		write_frame(&f_b, &b);
		at_a = travel_until(w, &f_a, FWD, DFT_INSERT, DFT_ALIASES);
		at_b = travel_until(w, &f_b, FWD, DFT_INSERT, DFT_ALIASES);
		at_a = travel_until(w, &f_a, at_a, DFT_INSERT, DFT_SESSIONS);
		at_b = travel_until(w, &f_b, at_b, DFT_INSERT, DFT_SESSIONS);
		if (at_a < 0 || at_b < 0)
			continue;
		crossed++;
		node_travel(w->node, NODES, at_a, &f_a, &op);
		node_travel(w->node, NODES, at_b, &f_b, &op);
		for (int i = 0; i < 2; i++) {
			const struct packet *from = i ? &b : &a, *to = i ? &a : &b;
			enum verdict v = travel(w, from, &f);

			wrong += is_number("arrives", v == FORWARDED || v == FORWARDED_FIRST, 1);
			there = packet_in(&f);
			wrong += packet_is("arrives", &there, RED, ADDRESS, to->to_port, to->from,
					   to->from_port);
		}
	}
	return wrong + is_number("crossings", crossed, CROSSINGS);
}

// While the mapping of one is asked for at another node, others are decided about.
static int test_between(struct world *w)
{
	struct packet p = first, other = first, there;
	int wrong = 0, between = 0, at;
	struct dft_packet op;
	struct frame f, o;

	maps = true;
	put_nat(w, RED, FIRST_SUBNET, one);
	other.from = CLIENT + 1;
	other.to = SERVER + 1;
	p.protocol = other.protocol = IPPROTO_UDP;
	p.flags = other.flags = 0;
	for (p.from_port = 5000; between < CROSSINGS && p.from_port < 5200; p.from_port++) {
		write_frame(&f, &p);
		at = travel_until(w, &f, FWD, DFT_LOOKUP, DFT_MAPPINGS);
		if (at < 0)
			continue;
		between++;
		for (int i = 0; i < 8; i++) {
			other.from_port++;
			wrong += is_verdict("another", travel(w, &other, &o), FORWARDED_FIRST);
		}
		wrong += is_verdict("the one", node_travel(w->node, NODES, at, &f, &op),
				    FORWARDED_FIRST);
		there = packet_in(&f);
		wrong += packet_is("the one", &there, PUBLIC, ADDRESS, there.from_port, SERVER, 80);
		wrong += comes_home(w, "the one", &p, &there, FIRST_SUBNET);
	}
	return wrong + is_number("between", between, CROSSINGS);
}

// What a forward has no mapping gets, and where all ports are taken there is none.
static int test_mapping_exhausted(struct world *w)
{
	struct session_key key = {.protocol = IPPROTO_TCP};
	const struct dft_record record = {.stamp = {0, 1},
					  .incarnation = {0, 1},
					  .life = DFT_LIVE,
					  .state = DFT_ALIAS,
					  .translation = {.flags = TRANSLATION_IS}};
	const struct in6_addr outside = endpoint_ip(ADDRESS);
	const uint8_t vni[3] = {PUBLIC >> 16, PUBLIC >> 8 & 0xFF, PUBLIC & 0xFF};
	struct packet p = first, there;
	int wrong = 0;

	maps = opens = true;
	put_ways_in(w, RED, FIRST_SUBNET, 0, 0, CLIENT + 1);
	for (int i = FTN; i < NODES; i++)
		node_clear(&w->node[i], "nat_refusing");
	wrong += is_told(w, 0);
	// All but 2222, which leads elsewhere.
	for (uint32_t port = NAT_FIRST_PORT; port < 65536; port++) {
		mapping_key(&key, &outside, htons((uint16_t)port), vni, IPPROTO_TCP);
		if (port != 2222)
			node_session_put(&w->node[FTN + chain_of_key(&key)], &key, &record);
	}
	wrong += refused(w, "no port is left", &p, UNREACHABLE, NAT_EXHAUSTED);
	wrong += is_told(w, 1);
	p.protocol = IPPROTO_UDP;
	p.flags = 0;
	return wrong + goes(w, "of UDP there is", &p, FORWARDED_FIRST, &there, PUBLIC_SUBNET);
}

static const struct test {
	const char *name;
	int (*run)(struct world *w);
} tests[] = {
	{"out and back", test_out},
	{"ports", test_ports},
	{"a pool", test_pool},
	{"exhausted", test_exhausted},
	{"another chain's", test_other_chain},
	{"refused", test_refused},
	{"an answer after a refusal", test_answer_after_refusal},
	{"two tenants", test_tenants},
	{"rules", test_rules},
	{"policy", test_policy},
	{"begun anew", test_anew},
	{"the external VPC gone", test_external_gone},
	{"rates", test_rates},
	{"ARP", test_arp},
	{"a floating IP", test_floating},
	{"a forward", test_forward},
	{"rules of what comes in", test_in_rules},
	{"hairpin", test_hairpin},
	{"a mapping", test_mapping},
	{"an open mapping", test_open},
	{"a subnet removed", test_subnet_removed},
	{"a mapping of what is denied", test_mapping_denied},
	{"a mapping of a pool", test_mapping_of_pool},
	{"mapped hairpin", test_mapped_hairpin},
	{"both speak first", test_crossing},
	{"others between", test_between},
	{"mappings exhausted", test_mapping_exhausted},
	{"routers", test_routers}, // the last: endpoints are others' then
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
							  .sessions = 131072,
							  .cached = 4096,
							  .flat = argc == 2 ? 4096 : 0});
		put_tenants(&w.node[i]);
		put_view(&w.node[i]);
	}
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++) {
		int failed;

		forget(&w);
		maps = opens = false;
		put_policy(&w, RED, 1000);
		put_policy(&w, BLUE, 3000);
		put_policy(&w, PUBLIC, 5000);
		for (int i = FTN; i < NODES; i++) {
			node_clear(&w.node[i], "nat_sources");
			node_clear(&w.node[i], "nat_addresses");
			node_clear(&w.node[i], "nat_floating");
			node_clear(&w.node[i], "nat_forwards");
		}
		failed = tests[t].run(&w);
		printf("%s %s\n", failed ? "FAILED" : "ok    ", tests[t].name);
		wrong += failed;
	}
	for (int i = 0; i < NODES; i++)
		node_free(&w.node[i]);
	return wrong ? 1 : 0;
}
