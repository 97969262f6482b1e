// SPDX-License-Identifier: Apache-2.0
// Which backend a connection gets, and what else is sent to a load balancer's address, at real
// nodes: a forwarder and a chain of one flow table node. All of it by IPv4, and by IPv6.
#include "datapath/gateway_nodes.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/address.h"
#include "lib/log.h"
#include "modules/loadbalancer/loadbalancer.h"
#include "modules/shield/shield.h"
#include "node/messages.h"
#include "shared/address.h"
#include "shared/health.h"
#include "shared/cookie.h"
#include "wire/arp.h"
#include "wire/icmp.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"
#include "wire/neighbor.h"

#define RED 0x0100A1
#define BLUE 0x0200A2

// Endpoint i is 10.0.0.i, and 2001:db8::i (in hex): up to 60 in the first subnet, from 65 on in the
// second; the last has a security group. VIP is nobody's; nor is OTHER, which no load balancer has
// either.
#define ENDPOINTS 70
#define VIP 61
#define GATEWAY 62
#define SECOND_GATEWAY 126
#define OTHER 63
#define CLIENT 1

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

enum { FWD, FTN, NODES };

struct world {
	struct node node[NODES];
	int six; // which family is meant
};

#define INNER (50 + (int)sizeof(struct ethhdr)) // a tenant's packet in its tunnel

static void endpoint_text(int six, unsigned int i, char out[ADDRESS_TEXT])
{
	snprintf(out, ADDRESS_TEXT, six ? "2001:db8::%x" : "10.0.0.%u", i % 256);
}

static struct in6_addr endpoint_ip(int six, unsigned int i)
{
	char text[ADDRESS_TEXT];

	endpoint_text(six, i, text);
	return address_must(text);
}

static size_t ip_bytes(int six)
{
	return six ? sizeof(struct ipv6_header) : sizeof(struct iphdr);
}

// ---- what the nodes know ----

static void put_subnet(const struct node *n, int six, uint32_t vni, uint32_t number,
		       unsigned int first, unsigned int gateway)
{
	struct subnet_key key = {
		.prefix_bits = 32 + 96 + 26, .vni = htonl(vni), .address = endpoint_ip(six, first)};
	struct subnet_value value = {.subnet = number,
				     .gateway = endpoint_ip(six, gateway),
				     .gateway_mac = {2, 0xf, 0, 0, 0, (uint8_t)number}};

	node_put(n, "subnets", &key, &value);
}

static void put_family(const struct node *n, uint32_t vni, int six)
{
	struct endpoint_key key = {.vni = vni};
	struct endpoint_value value;

	for (unsigned int i = 1; i <= ENDPOINTS; i++) {
		key.address = endpoint_ip(0, i);
		must(bpf_map_lookup_elem(node_map(n, "endpoints"), &key, &value), "an endpoint");
		key.address = endpoint_ip(six, i);
		node_put(n, "endpoints", &key, &value);
	}
	for (unsigned int i = VIP; i < 65; i++) {
		key.address = endpoint_ip(six, i);
		node_remove(n, "endpoints", &key);
	}
	put_subnet(n, six, vni, 1, 0, GATEWAY);
	put_subnet(n, six, vni, 2, 64, SECOND_GATEWAY);
}

static void put_tenant(const struct node *n, uint32_t vni)
{
	const struct vpc_value vpc = {.policy = 1,
				      .functions = 4,
				      .function = {FUNCTION_LOAD_BALANCER, FUNCTION_DIVIDER,
						   FUNCTION_BOUNCER, FUNCTION_SECURITY_GROUP}};

	node_put(n, "vpcs", &vni, &vpc);
	node_tenant(n, vni, ENDPOINTS);
	put_family(n, vni, 1);
	put_family(n, vni, 0);
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

// As zetad would: backends are endpoints, with weights.
struct backends {
	uint32_t endpoint, weight; // weight 0 in the first unused place
};

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

enum kind { BY_CONNECTION, BY_SOURCE, DIRECT };

static void put_listener(const struct world *w, uint32_t vni, uint8_t protocol, uint16_t port,
			 enum kind kind, const struct backends *given)
{
	Zeta__Node__V1__LoadBalancer balancer = ZETA__NODE__V1__LOAD_BALANCER__INIT;
	Zeta__Node__V1__Listener listener = ZETA__NODE__V1__LISTENER__INIT,
				 *listeners[] = {&listener};
	Zeta__Node__V1__Backend backend[8], *pointers[8];
	struct in6_addr ip[8], vip = endpoint_ip(w->six, VIP);
	uint8_t mac[8][6];
	char id[8][16];
	struct {
		struct entries entries;
		const struct world *w;
	} stored = {{.put = store_entry}, w};

	balancer.vni = vni;
	balancer.ip = (ProtobufCBinaryData){sizeof(vip), (uint8_t *)&vip};
	balancer.by_source = kind == BY_SOURCE;
	balancer.direct = kind == DIRECT;
	balancer.listener = listeners;
	balancer.n_listener = 1;
	listener.protocol = protocol;
	listener.port = port;
	listener.backend_port = kind == DIRECT ? port : 8000 + port;
	listener.backend = pointers;
	for (size_t i = 0; i < 8 && given[i].endpoint; i++) {
		zeta__node__v1__backend__init(&backend[i]);
		ip[i] = endpoint_ip(w->six, given[i].endpoint);
		snprintf(id[i], sizeof(id[i]), "port-%u", given[i].endpoint);
		backend[i].id = id[i];
		backend[i].ip = (ProtobufCBinaryData){sizeof(ip[i]), (uint8_t *)&ip[i]};
		backend[i].weight = given[i].weight;
		memcpy(mac[i], (uint8_t[]){2, 1, 0, 0, 0, (uint8_t)given[i].endpoint}, 6);
		backend[i].mac = (ProtobufCBinaryData){sizeof(mac[i]), mac[i]};
		pointers[listener.n_backend++] = &backend[i];
	}
	must(loadbalancer_entries(&balancer, &stored.entries), stored.entries.why);
}

// ---- packets ----

struct packet {
	uint32_t vni;
	unsigned int from, to; // endpoints
	uint8_t protocol;      // 0: who has the address?
	uint8_t flags;
	uint16_t from_port, to_port;
	uint16_t extra;	     // PIECE, OPTIONS
	unsigned int sender; // 0: from
};

#define PIECE 0x2000 // the first fragment, as IPv4's header has it
#define OPTIONS 1    // of IPv6, in a header of their own

static uint16_t words_sum(const void *bytes, size_t length, uint32_t sum)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8; // NOLINT: all was written
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

// What is behind an IP header, with its pseudo header: 0xFFFF where its checksum is right. (Of IPv4
// what stands before its addresses, as they are here, adds nothing to it.)
static uint16_t pseudo_sum(const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
			   const void *bytes, size_t length)
{
	uint32_t sum = (uint32_t)(protocol + length);

	sum = words_sum(from, sizeof(*from), sum);
	return words_sum(bytes, length, words_sum(to, sizeof(*to), sum));
}

// The frame, which begins with TCP or UDP, gets its checksum.
static void seal(struct frame *f, const char *from, const char *to, uint8_t protocol)
{
	const struct in6_addr source = address_must(from), destination = address_must(to);
	const size_t at = protocol == IPPROTO_TCP ? 16 : 6;
	__be16 sum =
		htons((uint16_t)~pseudo_sum(&source, &destination, protocol, f->byte, f->length));

	memcpy(f->byte + at, &sum, sizeof(sum));
}

static void write_solicitation(struct frame *f, const char *from, const char *mac, const char *to)
{
	const struct in6_addr target = address_must(to);
	uint8_t link[8] = {OPTION_SOURCE_LINK, 1};

	mac_must(link + 2, mac);
	frame_append(f, &target, sizeof(target));
	frame_append(f, link, sizeof(link));
	frame_icmpv6(f, ICMPV6_NEIGHBOR_SOLICITATION, 0, 0, from, "ff02::1:ff00:1");
	frame_ipv6(f, (struct ipv6_start){from, "ff02::1:ff00:1", IPPROTO_ICMPV6, 255});
	frame_ethernet(f, "33:33:ff:00:00:01", mac, ETH_P_IPV6);
}

// Who has the address?
static void write_question(struct frame *f, int six, const char *from, const char *mac,
			   const char *to)
{
	if (six)
		write_solicitation(f, from, mac, to);
	else
		frame_arp(f, (struct arp_message){"ff:ff:ff:ff:ff:ff", mac, ARP_REQUEST, mac, from,
						  "00:00:00:00:00:00", to});
}

// The IP header; what it is of IPv4, where IPv6 has another number for it.
static void write_header(struct frame *f, int six, const struct packet *p, const char *from,
			 const char *to)
{
	const uint8_t of_icmp = p->protocol == IPPROTO_ICMP ? IPPROTO_ICMPV6 : p->protocol;
	const uint8_t piece[8] = {of_icmp, 0, 0, IPV6_FRAGMENT_MORE},
		      options[8] = {of_icmp, 0, 1, 4}; // PadN: RFC 8200 section 4.2

	if (!six) {
		frame_ipv4(f, (struct ipv4_header){.from = from,
						   .to = to,
						   .protocol = p->protocol,
						   .fragment = p->extra & PIECE});
		return;
	}
	if (p->extra == PIECE)
		frame_prepend(f, piece, sizeof(piece));
	if (p->extra == OPTIONS)
		frame_prepend(f, options, sizeof(options));
	frame_ipv6(f, (struct ipv6_start){from, to,
					  p->extra == PIECE	? IPV6_FRAGMENT
					  : p->extra == OPTIONS ? IPV6_DESTINATION
								: of_icmp,
					  0});
}

// Around what the sender's workload sends, on its way to the forwarder.
static void write_tunnel(struct frame *f, uint32_t vni, unsigned int sender)
{
	char host[16];

	snprintf(host, sizeof(host), "192.168.0.%u", (10 + sender) % 256);
	frame_vxlan(f, vni);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = host, .to = "192.168.0.201", .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:00", "02:0a:00:00:00:01", ETH_P_IP);
}

static void write_frame(struct frame *f, int six, const struct packet *p)
{
	const unsigned int sender = p->sender ?: p->from;
	char from[ADDRESS_TEXT], to[ADDRESS_TEXT], mac[18], gateway[18];

	endpoint_text(six, p->from, from);
	endpoint_text(six, p->to, to);
	snprintf(mac, sizeof(mac), "02:01:00:00:00:%02x", sender % 256);
	snprintf(gateway, sizeof(gateway), "02:0f:00:00:00:%02x", sender < 64 ? 1 : 2);
	frame_clear(f);
	if (!p->protocol) {
		write_question(f, six, from, mac, to);
	} else {
		// So that its first part can be a fragment.
		frame_fill(f, p->protocol == IPPROTO_TCP ? 44 : 40);
		if (p->protocol == IPPROTO_TCP)
			frame_tcp(f, p->from_port, p->to_port, p->flags);
		else if (p->protocol == IPPROTO_UDP)
			frame_udp(f, p->from_port, p->to_port, 0);
		else if (six)
			frame_icmpv6(f, ICMPV6_ECHO_REQUEST, 0, (uint32_t)p->from_port << 16, from,
				     to);
		else
			frame_icmp(f, ICMP_ECHO_REQUEST, 0, (uint32_t)p->from_port << 16);
		if (p->protocol != IPPROTO_ICMP)
			seal(f, from, to, p->protocol);
		write_header(f, six, p, from, to);
		frame_ethernet(f, gateway, mac, six ? ETH_P_IPV6 : ETH_P_IP);
	}
	write_tunnel(f, p->vni, sender);
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

// What the flow table decides about a first packet, in the op as it leaves: the decision towards
// the destination, and the other one. Returns whether there is one.
static int decide(const struct world *w, const struct packet *p, struct decision *forth,
		  struct decision *back)
{
	struct in6_addr from = endpoint_ip(w->six, p->from), to = endpoint_ip(w->six, p->to);
	char what[64];
	struct frame f;

	write_frame(&f, w->six, p);
	snprintf(what, sizeof(what), "%u to %u", p->from, p->to);
	return node_decides(&w->node[FWD], &w->node[FTN], &f, memcmp(&from, &to, sizeof(from)) > 0,
			    what, forth, back);
}

// The endpoint that a connection begins with; 0: none.
static unsigned int backend_of(const struct world *w, const struct packet *p)
{
	struct decision forth = {}, back = {};

	if (!decide(w, p, &forth, &back) || forth.action != DECIDE_FORWARD)
		return 0;
	return forth.to_mac[5];
}

static int reason_is(const struct world *w, const char *what, const struct packet *p,
		     enum decision_action action, enum verdict reason)
{
	struct decision forth = {}, back = {};

	if (!decide(w, p, &forth, &back))
		return is_number(what, 0, 1);
	return is_number(what, forth.action, action) + is_number(what, forth.reason, reason);
}

// To the end: the verdict at the forwarder, and the frame that leaves it.
static enum verdict travel(const struct world *w, const struct packet *p, struct frame *f)
{
	write_frame(f, w->six, p);
	return node_travel(w->node, NODES, FWD, f, NULL);
}

static const struct backends three[] = {{3, 2}, {4, 1}, {66, 1}, {}};
static const struct packet first = {RED, CLIENT, VIP, IPPROTO_TCP, SYN, 1000, 80, 0, 0};

// ---- the tests ----

#define MANY 2000

// By their weights, and each always to the same.
static int test_spread(struct world *w)
{
	unsigned int share[256] = {}, backend[MANY], moved = 0;
	struct packet p = first;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, three);
	for (unsigned int i = 0; i < MANY; i++) {
		p.from_port = (uint16_t)(1000 + i);
		if (i % 256 == 0)
			forget(w);
		backend[i] = backend_of(w, &p);
		share[backend[i]]++;
	}
	for (int i = 0; i < 3; i++) {
		unsigned int due = MANY * three[i].weight / 4;

		if (share[three[i].endpoint] < due * 9 / 10 ||
		    share[three[i].endpoint] > due * 11 / 10)
			wrong += is_number("share", share[three[i].endpoint], due);
	}
	wrong += is_number("all are somebody's", share[3] + share[4] + share[66], MANY);
	// One drains: what was the others' mostly stays so.
	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{3, 2}, {4, 0}, {66, 1}, {}});
	for (unsigned int i = 0; i < MANY; i++) {
		unsigned int now;

		p.from_port = (uint16_t)(1000 + i);
		if (i % 256 == 0)
			forget(w);
		now = backend_of(w, &p);
		wrong += is_number("drained", now == 4, 0);
		moved += backend[i] != 4 && now != backend[i];
	}
	if (moved > MANY / 20)
		wrong += is_number("moved", moved, 0);
	return wrong;
}

static int test_by_source(struct world *w)
{
	unsigned int others = 0;
	struct packet p = first;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 1, three);
	put_listener(w, RED, IPPROTO_UDP, 53, 1, three);
	for (p.from = 5; p.from < 55; p.from++) {
		unsigned int of = backend_of(w, &p);

		others += of != 3;
		for (p.from_port = 2000; p.from_port < 2010; p.from_port++)
			wrong += is_number("by source", backend_of(w, &p), of);
		// On all its listeners.
		p.protocol = IPPROTO_UDP;
		p.to_port = 53;
		wrong += is_number("by source, another listener", backend_of(w, &p), of);
		p = (struct packet){RED, p.from, VIP, IPPROTO_TCP, SYN, 1000, 80, 0, 0};
		forget(w);
	}
	if (others < 12 || others > 38)
		wrong += is_number("clients of the lighter ones", others, 25);
	return wrong;
}

// The way is the backend's: its subnet, its groups.
static int test_way(struct world *w)
{
	const struct rule open = {.port_max = 65535, .outcome = RULE_ALLOW};
	const uint8_t of_first[6] = {2, 0xf, 0, 0, 0, 1}, of_second[6] = {2, 0xf, 0, 0, 0, 2};
	struct decision forth = {}, back = {};
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{3, 1}, {}});
	wrong += is_number("same subnet", decide(w, &first, &forth, &back), 1);
	wrong += is_number("same subnet, not routed", forth.flags & DECISION_ROUTED, 0);
	wrong += is_number("back to the client", back.to_mac[5], CLIENT);
	forget(w);
	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{ENDPOINTS, 1}, {}});
	wrong += is_number("other subnet", decide(w, &first, &forth, &back), 1);
	wrong += is_number("other subnet, to", forth.to_mac[5], ENDPOINTS);
	wrong += is_number("other subnet, routed", forth.flags & back.flags & DECISION_ROUTED,
			   DECISION_ROUTED);
	wrong += is_number("its gateway", memcmp(forth.from_mac, of_second, 6), 0);
	wrong += is_number("the client's gateway", memcmp(back.from_mac, of_first, 6), 0);
	forget(w);
	node_rules(&w->node[FTN], 0, 1, NULL, 0);
	wrong += reason_is(w, "its security group", &first, DECIDE_DROP, SECURITY_GROUP);
	node_rules(&w->node[FTN], 0, 1, &open, 1);
	return wrong;
}

// What an ICMP error says, by its code.
static int told(const struct world *w, const char *what, const struct frame *f, uint8_t code)
{
	const uint8_t type = w->six ? ICMPV6_UNREACHABLE : ICMP_UNREACHABLE;
	const uint8_t *icmp = f->byte + INNER + ip_bytes(w->six);

	if (w->six)
		code = code == ICMP_UNREACHABLE_PORT ? ICMPV6_NO_PORT : ICMPV6_NO_ADDRESS;
	return is_number(what, icmp[0], type) + is_number(what, icmp[1], code);
}

static int test_refused(struct world *w)
{
	const struct rows {
		const char *name;
		struct packet p;
		enum decision_action action;
		enum verdict reason;
		uint8_t code;
	} rows[] = {
		{"another port",
		 {RED, CLIENT, VIP, IPPROTO_TCP, SYN, 1000, 81, 0, 0},
		 DECIDE_UNREACHABLE,
		 NO_LISTENER,
		 ICMP_UNREACHABLE_PORT},
		{"another protocol",
		 {RED, CLIENT, VIP, IPPROTO_UDP, 0, 1000, 80, 0, 0},
		 DECIDE_UNREACHABLE,
		 NO_LISTENER,
		 ICMP_UNREACHABLE_PORT},
		{"an echo request",
		 {RED, CLIENT, VIP, IPPROTO_ICMP, 0, 1000, 0, 0, 0},
		 DECIDE_UNREACHABLE,
		 NO_LISTENER,
		 ICMP_UNREACHABLE_PORT},
		{"all drain",
		 {RED, CLIENT, VIP, IPPROTO_TCP, SYN, 1000, 443, 0, 0},
		 DECIDE_UNREACHABLE,
		 NO_BACKEND,
		 ICMP_UNREACHABLE_HOST},
		{"no backends",
		 {RED, CLIENT, VIP, IPPROTO_UDP, 0, 1000, 443, 0, 0},
		 DECIDE_UNREACHABLE,
		 NO_BACKEND,
		 ICMP_UNREACHABLE_HOST},
		{"oneself",
		 {RED, 3, VIP, IPPROTO_TCP, SYN, 1000, 80, 0, 0},
		 DECIDE_UNREACHABLE,
		 HAIRPIN,
		 ICMP_UNREACHABLE_HOST},
		{"a backend that is gone",
		 {RED, CLIENT, VIP, IPPROTO_TCP, SYN, 1000, 22, 0, 0},
		 DECIDE_UNREACHABLE,
		 NO_ENDPOINT,
		 ICMP_UNREACHABLE_HOST},
		{"the address in another VPC",
		 {BLUE, CLIENT, VIP, IPPROTO_TCP, SYN, 1000, 80, 0, 0},
		 DECIDE_UNREACHABLE,
		 NO_ENDPOINT,
		 ICMP_UNREACHABLE_HOST},
		{"the middle of no connection",
		 {RED, CLIENT, VIP, IPPROTO_TCP, ACK, 1000, 80, 0, 0},
		 DECIDE_DROP,
		 NO_SESSION,
		 0},
	};
	const struct packet fragment = {RED, CLIENT, VIP, IPPROTO_UDP, 0, 1000, 53, PIECE, 0};
	struct frame f;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{3, 1}, {}});
	put_listener(w, RED, IPPROTO_UDP, 53, 0, (struct backends[]){{3, 1}, {}});
	// Of IPv4 it has its ports.
	if (w->six)
		wrong += reason_is(w, "a fragment", &fragment, DECIDE_UNREACHABLE, NO_LISTENER);
	else
		wrong += is_number("a fragment is not", backend_of(w, &fragment), 3);
	forget(w);
	put_listener(w, RED, IPPROTO_TCP, 22, 0, (struct backends[]){{OTHER, 1}, {}});
	put_listener(w, RED, IPPROTO_TCP, 443, 0, (struct backends[]){{3, 0}, {4, 0}, {}});
	put_listener(w, RED, IPPROTO_UDP, 443, 0, (struct backends[]){{}});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		wrong += reason_is(w, rows[i].name, &rows[i].p, rows[i].action, rows[i].reason);
		forget(w);
		if (rows[i].action != DECIDE_UNREACHABLE)
			continue;
		wrong += is_verdict(rows[i].name, travel(w, &rows[i].p, &f), UNREACHABLE);
		wrong += told(w, rows[i].name, &f, rows[i].code);
		wrong += is_number("no session", node_count(&w->node[FTN], "sessions"), 0);
	}
	return wrong;
}

// A backend that asks gets the others, evenly.
static int test_hairpin(struct world *w)
{
	unsigned int share[256] = {};
	struct packet p = first;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, three);
	p.from = 3;
	for (unsigned int i = 0; i < 400; i++) {
		p.from_port = (uint16_t)(1000 + i);
		if (i % 200 == 0)
			forget(w);
		share[backend_of(w, &p)]++;
	}
	wrong += is_number("itself", share[3], 0);
	wrong += is_number("the others", share[4] + share[66], 400);
	if (share[4] < 150 || share[66] < 150)
		wrong += is_number("a share", share[4], 200);
	return wrong;
}

// Whose MAC an answer to a question says.
static const uint8_t *answered_mac(const struct world *w, const struct frame *f)
{
	return w->six ? f->byte + INNER + ip_bytes(1) + sizeof(struct neighbor_message) + 2
		      : f->byte + INNER + offsetof(struct arp_ipv4, sender_mac);
}

static int test_question(struct world *w)
{
	const enum verdict known = w->six ? ENDPOINT_NEIGHBOR : ENDPOINT_ARP;
	const enum verdict unknown = w->six ? NEIGHBOR_UNKNOWN : ARP_UNKNOWN;
	struct packet p = {.vni = RED, .from = CLIENT, .to = VIP};
	const uint8_t of_first[6] = {2, 0xf, 0, 0, 0, 1};
	struct frame f;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, three);
	wrong += is_verdict("who has it", travel(w, &p, &f), known);
	wrong += is_number("of the gateway", memcmp(answered_mac(w, &f), of_first, 6), 0);
	if (w->six)
		wrong += is_number("a reply", f.byte[INNER + ip_bytes(1)],
				   ICMPV6_NEIGHBOR_ADVERTISEMENT);
	else
		wrong += is_number("a reply", f.byte[INNER + 7], ARP_REPLY);
	p.from = 66;
	wrong += is_verdict("from another subnet", travel(w, &p, &f), unknown);
	p.from = CLIENT;
	p.vni = BLUE;
	wrong += is_verdict("in another VPC", travel(w, &p, &f), unknown);
	p.vni = RED;
	p.to = OTHER;
	wrong += is_verdict("of nobody", travel(w, &p, &f), unknown);
	return wrong;
}

// The same address of two tenants is two load balancers.
static int test_tenants(struct world *w)
{
	struct packet p = first;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{3, 1}, {}});
	put_listener(w, BLUE, IPPROTO_TCP, 80, 0, (struct backends[]){{4, 1}, {}});
	put_listener(w, BLUE, IPPROTO_TCP, 81, 0, (struct backends[]){{4, 1}, {}});
	wrong += is_number("red", backend_of(w, &p), 3);
	p.vni = BLUE;
	wrong += is_number("blue", backend_of(w, &p), 4);
	p.to_port = 81;
	wrong += is_number("blue alone", backend_of(w, &p), 4);
	p.vni = RED;
	wrong += reason_is(w, "not red", &p, DECIDE_UNREACHABLE, NO_LISTENER);
	return wrong;
}

// The addresses of the IP header that begins there.
static void addresses_at(const uint8_t *ip, struct in6_addr *from, struct in6_addr *to)
{
	struct ipv6_header six;
	struct iphdr four;

	memcpy(&four, ip, sizeof(four));
	memcpy(&six, ip, sizeof(six));
	*from = four.version == 4 ? address_of_v4(four.saddr) : six.source;
	*to = four.version == 4 ? address_of_v4(four.daddr) : six.destination;
}

// Whether what is there of IP and TCP or UDP at so many bytes has the right checksums, and says
// this.
static int is_packet(const char *what, const struct frame *f, size_t at,
		     const struct in6_addr *from, uint16_t from_port, const struct in6_addr *to,
		     uint16_t to_port)
{
	const uint8_t *ip = f->byte + at;
	const int six = ip[0] >> 4 == 6, options = six && ip[6] == IPV6_DESTINATION;
	const size_t behind = ip_bytes(six) + (options ? 8 : 0);
	const uint8_t protocol = options ? ip[ip_bytes(1)] : six ? ip[6] : ip[9];
	struct in6_addr source, destination;
	__be16 ports[2];
	int wrong = 0;

	if (f->length < at + behind + 8)
		return is_number(what, f->length, at + behind + 8);
	addresses_at(ip, &source, &destination);
	memcpy(ports, ip + behind, sizeof(ports));
	wrong += is_number(what, memcmp(&source, from, sizeof(source)), 0);
	wrong += is_number(what, memcmp(&destination, to, sizeof(destination)), 0);
	wrong += is_number(what, ntohs(ports[0]), from_port);
	wrong += is_number(what, ntohs(ports[1]), to_port);
	if (!six)
		wrong += is_number(what, words_sum(ip, sizeof(struct iphdr), 0), 0xFFFF);
	return wrong + is_number("its checksum",
				 pseudo_sum(&source, &destination, protocol, ip + behind,
					    f->length - at - behind),
				 0xFFFF);
}

// What a host is given: whom it is for, and what its headers say.
static int delivered(const struct world *w, const char *what, const struct packet *p,
		     enum verdict want, unsigned int from, uint16_t from_port, unsigned int to,
		     uint16_t to_port, unsigned int taker)
{
	struct in6_addr source = endpoint_ip(w->six, from), destination = endpoint_ip(w->six, to);
	struct frame f;
	int wrong = is_verdict(what, travel(w, p, &f), want);

	wrong += is_number(what, f.byte[50 + 5], (long)taker); // its MAC
	return wrong + is_packet(what, &f, INNER, &source, from_port, &destination, to_port);
}

static void forget_cached(const struct world *w)
{
	node_clear(&w->node[FWD], "cache");
}

static void put_policy(const struct world *w, uint32_t policy)
{
	struct vpc_value vpc;
	uint32_t vni = RED;

	for (int i = 0; i < NODES; i++) {
		must(bpf_map_lookup_elem(node_map(&w->node[i], "vpcs"), &vni, &vpc), "vpcs");
		vpc.policy = policy;
		node_put(&w->node[i], "vpcs", &vni, &vpc);
	}
}

// There and back, which the forwarder caches together; and what goes on when the listener is
// another, and ends without the address.
static int test_session(struct world *w)
{
	const struct endpoint_key vip = {RED, endpoint_ip(w->six, VIP)};
	struct packet there = first,
		      back = {RED, 66, CLIENT, IPPROTO_TCP, SYN | ACK, 8080, 1000, 0, 0};
	struct frame f;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{66, 1}, {}});
	wrong += delivered(w, "SYN", &there, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
	wrong += delivered(w, "its answer", &back, FORWARDED, VIP, 80, CLIENT, 1000, CLIENT);
	there.flags = back.flags = ACK;
	wrong += delivered(w, "cached", &there, FORWARDED, CLIENT, 1000, 66, 8080, 66);
	wrong += delivered(w, "cached, back", &back, FORWARDED, VIP, 80, CLIENT, 1000, CLIENT);
	// It drains, it is removed, the listener is.
	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{66, 0}, {3, 1}, {}});
	put_policy(w, 2);
	forget_cached(w);
	wrong += delivered(w, "drains", &there, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
	wrong += delivered(w, "drains, back", &back, FORWARDED, VIP, 80, CLIENT, 1000, CLIENT);
	node_clear(&w->node[FTN], "listeners");
	put_policy(w, 3);
	forget_cached(w);
	wrong += delivered(w, "removed, back", &back, FORWARDED_FIRST, VIP, 80, CLIENT, 1000,
			   CLIENT);
	wrong += delivered(w, "removed", &there, FORWARDED, CLIENT, 1000, 66, 8080, 66);
	// Without the address it ends.
	node_remove(&w->node[FTN], "load_balancers", &vip);
	put_policy(w, 4);
	forget_cached(w);
	wrong += is_verdict("no load balancer", travel(w, &there, &f), NO_ENDPOINT);
	put_policy(w, 1);
	return wrong;
}

// An ICMP error about what p was, from an endpoint.
static void write_error(struct frame *f, int six, unsigned int by, const struct packet *p)
{
	char from[ADDRESS_TEXT], to[ADDRESS_TEXT], speaker[ADDRESS_TEXT], mac[18];

	endpoint_text(six, p->from, from);
	endpoint_text(six, p->to, to);
	endpoint_text(six, by, speaker);
	snprintf(mac, sizeof(mac), "02:01:00:00:00:%02x", p->to % 256);
	frame_clear(f);
	frame_fill(f, 40);
	frame_udp(f, p->from_port, p->to_port, 0);
	seal(f, from, to, IPPROTO_UDP);
	write_header(f, six, p, from, to);
	if (six) {
		frame_icmpv6(f, ICMPV6_TOO_BIG, 0, IPV6_MIN_MTU, speaker, from);
		frame_ipv6(f, (struct ipv6_start){speaker, from, IPPROTO_ICMPV6, 0});
	} else {
		frame_icmp(f, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, 1280);
		frame_ipv4(f, (struct ipv4_header){
				      .from = speaker, .to = from, .protocol = IPPROTO_ICMP});
	}
	frame_ethernet(f, "02:0f:00:00:00:01", mac, six ? ETH_P_IPV6 : ETH_P_IP);
	write_tunnel(f, RED, p->to);
}

// Such an error is delivered as if from one about what another packet was.
static int error_delivered(struct world *w, const char *what, unsigned int by,
			   const struct packet *about, unsigned int from, const struct packet *was)
{
	const size_t icmp = INNER + ip_bytes(w->six);
	struct in6_addr source, destination, to = endpoint_ip(w->six, was->from),
					     speaker = endpoint_ip(w->six, from),
					     other = endpoint_ip(w->six, was->to);
	struct frame f;
	int wrong;

	write_error(&f, w->six, by, about);
	wrong = is_verdict(what, node_travel(w->node, NODES, FWD, &f, NULL), FORWARDED);
	if (f.length < icmp + 8 + ip_bytes(1) + 8)
		return wrong + is_number(what, f.length, 0);
	addresses_at(f.byte + INNER, &source, &destination);
	wrong += is_number("whose error", memcmp(&source, &speaker, sizeof(source)), 0);
	wrong += is_number("to whom", memcmp(&destination, &to, sizeof(to)), 0);
	if (w->six)
		wrong +=
			is_number("its checksum", icmpv6_check(f.byte + INNER, f.length - icmp), 0);
	else
		wrong += is_number("its checksum", words_sum(f.byte + icmp, f.length - icmp, 0),
				   0xFFFF);
	return wrong + is_packet(what, &f, icmp + 8, &to, was->from_port, &other, was->to_port);
}

// What a client, a backend and a router between them say of a connection's packets is about those
// that the other one knows.
static int test_errors(struct world *w)
{
	struct packet asks = {RED, CLIENT, VIP, IPPROTO_UDP, 0, 1000, 53, 0, 0},
		      asked = {RED, CLIENT, 66, IPPROTO_UDP, 0, 1000, 8053, 0, 0},
		      answers = {RED, 66, CLIENT, IPPROTO_UDP, 0, 8053, 1000, 0, 0},
		      answered = {RED, VIP, CLIENT, IPPROTO_UDP, 0, 53, 1000, 0, 0};
	int wrong = 0;

	put_listener(w, RED, IPPROTO_UDP, 53, 0, (struct backends[]){{66, 1}, {}});
	wrong += delivered(w, "asks", &asks, FORWARDED_FIRST, CLIENT, 1000, 66, 8053, 66);
	for (int options = 0; options <= w->six; options++) {
		asks.extra = asked.extra = answers.extra = answered.extra = options ? OPTIONS : 0;
		wrong += delivered(w, "asks", &asks, FORWARDED, CLIENT, 1000, 66, 8053, 66);
		wrong +=
			delivered(w, "answers", &answers, FORWARDED, VIP, 53, CLIENT, 1000, CLIENT);
		wrong += error_delivered(w, "a backend's", 66, &asked, VIP, &asks);
		wrong += error_delivered(w, "a client's", CLIENT, &answered, CLIENT, &answers);
		wrong += error_delivered(w, "a router's", 50, &asked, 50, &asks);
	}
	return wrong;
}

// Backends that answer clients themselves get packets as they are, and nothing else may come from
// the address.
static int test_direct(struct world *w)
{
	const struct backends two[] = {{66, 1}, {3, 0}, {}};
	const int map = node_map(&w->node[FTN], "endpoints");
	struct packet there = {RED, CLIENT, VIP, IPPROTO_TCP, SYN, 1000, 80, 0, 0},
		      back = {RED, VIP, CLIENT, IPPROTO_TCP, SYN | ACK, 80, 1000, 0, 66},
		      asking = {.vni = RED, .from = VIP, .to = CLIENT, .sender = 3},
		      forged = {RED, VIP, CLIENT, IPPROTO_TCP, SYN, 80, 2000, 0, 66};
	const struct endpoint_key moved = {RED, endpoint_ip(w->six, 66)};
	struct decision forth = {}, other = {};
	struct endpoint_value value;
	struct frame f;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, DIRECT, two);
	wrong += is_number("decided", decide(w, &there, &forth, &other), 1);
	wrong += is_number("to the backend", forth.to_mac[5], 66);
	wrong += is_number("straight, too", forth.flags & other.flags & DECISION_DIRECT,
			   DECISION_DIRECT);
	forget(w);
	wrong += delivered(w, "SYN", &there, FORWARDED_FIRST, CLIENT, 1000, VIP, 80, 66);
	wrong += delivered(w, "its answer", &back, FORWARDED, VIP, 80, CLIENT, 1000, CLIENT);
	there.flags = back.flags = ACK;
	wrong += delivered(w, "cached", &there, FORWARDED, CLIENT, 1000, VIP, 80, 66);
	wrong += is_verdict("it begins nothing", travel(w, &forged, &f), NO_SOURCE);
	wrong += is_verdict("it asks for a MAC", travel(w, &asking, &f),
			    w->six ? ENDPOINT_NEIGHBOR : ENDPOINT_ARP);
	asking.sender = 4;
	wrong += is_verdict("another asks as it", travel(w, &asking, &f), NO_SOURCE);
	// The backend has moved, and gets nothing new: what goes on goes there.
	must(bpf_map_lookup_elem(map, &moved, &value), "an endpoint");
	value.host = address_must("192.168.0.99");
	node_put(&w->node[FTN], "endpoints", &moved, &value);
	put_listener(w, RED, IPPROTO_TCP, 80, DIRECT, (struct backends[]){{66, 0}, {67, 1}, {}});
	put_policy(w, 2);
	forget_cached(w);
	wrong += delivered(w, "drains", &there, FORWARDED_FIRST, CLIENT, 1000, VIP, 80, 66);
	wrong += delivered(w, "drains, back", &back, FORWARDED, VIP, 80, CLIENT, 1000, CLIENT);
	wrong += is_verdict("moved", travel(w, &there, &f), FORWARDED);
	wrong += is_number("to its host", f.byte[14 + 19], 99);
	// So does what begins anew only where it gets new connections.
	there.flags = RST;
	wrong += delivered(w, "its end", &there, FORWARDED_FIRST, CLIENT, 1000, VIP, 80, 66);
	there.flags = SYN;
	put_policy(w, 3);
	travel(w, &there, &f);
	wrong += is_verdict("anew, it drains", travel(w, &there, &f), SESSION_OTHERWISE);
	put_listener(w, RED, IPPROTO_TCP, 80, DIRECT, (struct backends[]){{66, 1}, {67, 100}, {}});
	put_policy(w, 4);
	wrong += delivered(w, "anew", &there, FORWARDED_FIRST, CLIENT, 1000, VIP, 80, 66);
	there.flags = ACK;
	// It is no backend any more.
	node_clear(&w->node[FTN], "direct_backends");
	put_listener(w, RED, IPPROTO_TCP, 80, DIRECT, (struct backends[]){{3, 1}, {}});
	put_policy(w, 5);
	forget_cached(w);
	wrong += is_verdict("removed", travel(w, &there, &f), NO_SESSION);
	node_clear(&w->node[FTN], "direct_backends");
	value.host = address_must("192.168.0.76");
	node_put(&w->node[FTN], "endpoints", &moved, &value);
	put_policy(w, 1);
	return wrong;
}

// Who begins anew where his connection has just ended goes to the same backend while that takes new
// connections, by source to the one that all of his go to; else he waits, and goes to another.
static int test_anew(struct world *w)
{
	static const struct backends only[] = {{66, 1}, {}}, both[] = {{66, 1}, {3, 100}, {}},
				     drains[] = {{66, 0}, {3, 1}, {}};
	struct packet there = first, reset = first;
	struct session_key key = {.a = endpoint_ip(w->six, CLIENT),
				  .b = endpoint_ip(w->six, VIP),
				  .a_port = htons(1000),
				  .b_port = htons(80),
				  .vni = {RED >> 16, RED >> 8 & 255, RED & 255},
				  .protocol = IPPROTO_TCP};
	struct dft_record record;
	uint32_t policy = 1;
	struct frame f;
	int wrong = 0;

	reset.flags = RST;
	for (unsigned int by_source = 0; by_source < 2; by_source++) {
		forget(w);
		put_listener(w, RED, IPPROTO_TCP, 80, by_source ? BY_SOURCE : BY_CONNECTION, only);
		wrong += delivered(w, "SYN", &there, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
		wrong += delivered(w, "its end", &reset, FORWARDED_FIRST, CLIENT, 1000, 66, 8080,
				   66);
		put_listener(w, RED, IPPROTO_TCP, 80, by_source ? BY_SOURCE : BY_CONNECTION, both);
		put_policy(w, ++policy);
		if (by_source) {
			travel(w, &there, &f);
			wrong += is_verdict("by source", travel(w, &there, &f), SESSION_OTHERWISE);
			continue;
		}
		wrong += delivered(w, "anew", &there, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
		wrong += delivered(w, "its end", &reset, FORWARDED_FIRST, CLIENT, 1000, 66, 8080,
				   66);
		put_listener(w, RED, IPPROTO_TCP, 80, by_source ? BY_SOURCE : BY_CONNECTION,
			     drains);
		put_policy(w, ++policy);
		travel(w, &there, &f);
		wrong += is_number("a session", node_session(&w->node[FTN], &key, &record), 1);
		wrong += is_number("it has ended", record.life, DFT_TOMBSTONE);
		wrong += is_verdict("it drains", travel(w, &there, &f), SESSION_OTHERWISE);
		node_session_mark(&w->node[FTN], &key, (2 * REFRESH_MS + PACKET_LIFE_MS) / 1000 + 1,
				  0);
		wrong += delivered(w, "another", &there, FORWARDED_FIRST, CLIENT, 1000, 3, 8080, 3);
	}
	put_policy(w, 1);
	return wrong;
}

// The address is an endpoint's now, which all may reach: not whom the connection goes to.
static int test_endpoint_instead(struct world *w)
{
	const struct endpoint_key vip = {RED, endpoint_ip(w->six, VIP)},
				  other = {RED, endpoint_ip(w->six, 67)};
	const int endpoints = node_map(&w->node[FTN], "endpoints");
	struct packet there = first;
	struct endpoint_value value;
	struct frame f;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{66, 1}, {}});
	wrong += delivered(w, "SYN", &there, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
	there.flags = ACK;
	node_remove(&w->node[FTN], "load_balancers", &vip);
	must(bpf_map_lookup_elem(endpoints, &other, &value), "an endpoint");
	node_put(&w->node[FTN], "endpoints", &vip, &value);
	put_policy(w, 2);
	forget_cached(w);
	wrong += is_verdict("an endpoint instead", travel(w, &there, &f), NO_SESSION);
	node_remove(&w->node[FTN], "endpoints", &vip);
	put_policy(w, 1);
	return wrong;
}

// So much time has passed.
static void age_cached(struct world *w, uint32_t ms)
{
	const int map = node_map(&w->node[FWD], "cache");
	struct session_key key, *last = NULL;
	struct cache_value value;

	for (; !bpf_map_get_next_key(map, last, &key); last = &key) {
		must(bpf_map_lookup_elem(map, &key, &value), "what is cached");
		value.asked_ms -= ms;
		must(bpf_map_update_elem(map, &key, &value, BPF_EXIST), "what is cached");
	}
}

// The copy of what went to a host asks the flow table beside it.
static int asks_beside(const struct world *w, const char *what, struct frame *f)
{
	const struct expected asks = {.name = what, .verdict = REFRESHING, .action = XDP_REDIRECT};
	int wrong = target_check(&w->node[FWD].oam, f, &asks, f);

	return wrong + is_verdict(what, node_travel(w->node, NODES, FTN, f, NULL), REFRESHED);
}

// What a backend sends by UDP says that its session is answered; and what either side sends that it
// is in use, when what is cached of it grows old.
static int test_beside(struct world *w)
{
	const struct packet sides[] = {{RED, CLIENT, VIP, IPPROTO_UDP, 0, 1000, 53, 0, 0},
				       {RED, 66, CLIENT, IPPROTO_UDP, 0, 8053, 1000, 0, 0}};
	const struct session_key key = {.a = endpoint_ip(w->six, CLIENT),
					.b = endpoint_ip(w->six, VIP),
					.a_port = htons(1000),
					.b_port = htons(53),
					.vni = {RED >> 16, RED >> 8 & 255, RED & 255},
					.protocol = IPPROTO_UDP};
	struct dft_record record = {};
	struct frame f;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_UDP, 53, 0, (struct backends[]){{66, 1}, {}});
	wrong += is_verdict("asks", travel(w, &sides[0], &f), FORWARDED_FIRST);
	node_session(&w->node[FTN], &key, &record);
	wrong += is_number("not answered", record.state & DFT_ANSWERED, 0);
	wrong += is_verdict("answers", travel(w, &sides[1], &f), FORWARDED);
	wrong += asks_beside(w, "answers", &f);
	node_session(&w->node[FTN], &key, &record);
	wrong += is_number("answered", record.state & DFT_ANSWERED, DFT_ANSWERED);
	for (size_t i = 0; i < 2; i++) {
		age_cached(w, REFRESH_DUE_MS);
		node_session_mark(&w->node[FTN], &key, 3000, 0);
		wrong += is_verdict("in use", travel(w, &sides[i], &f), FORWARDED);
		wrong += asks_beside(w, "in use", &f);
		wrong += is_number("it is seen", node_session_idle_s(&w->node[FTN], &key) < 10, 1);
	}
	return wrong;
}

static void put_floors(struct world *w, uint32_t floor)
{
	for (uint32_t bucket = 0; bucket < BUCKETS; bucket++)
		node_put(&w->node[FTN], "floors", &bucket, &floor);
}

// A forwarder may still have the other key of a connection that is over, by its owner's stamps.
static int test_straight_after(struct world *w)
{
	struct packet straight = {RED, CLIENT, ENDPOINTS, IPPROTO_TCP, SYN, 1000, 8080, 0, 0};
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, (struct backends[]){{ENDPOINTS, 1}, {}});
	put_floors(w, 9);
	wrong += delivered(w, "SYN", &first, FORWARDED_FIRST, CLIENT, 1000, ENDPOINTS, 8080,
			   ENDPOINTS);
	put_floors(w, 0);
	node_clear(&w->node[FTN], "sessions");
	age_cached(w, REFRESH_MS + 1);
	wrong += delivered(w, "straight", &straight, FORWARDED_FIRST, CLIENT, 1000, ENDPOINTS, 8080,
			   ENDPOINTS);
	return wrong;
}

// What was somebody's session before the address became a load balancer's ends.
static int test_former(struct world *w)
{
	const struct endpoint_key now = {RED, endpoint_ip(w->six, ENDPOINTS)};
	const struct load_balancer_value value = {};
	struct packet p = first;
	struct frame f;
	int wrong = 0;

	p.to = ENDPOINTS;
	wrong += is_verdict("an endpoint's", travel(w, &p, &f), FORWARDED_FIRST);
	node_put(&w->node[FTN], "load_balancers", &now, &value);
	put_policy(w, 2);
	forget_cached(w);
	p.flags = ACK;
	wrong += is_verdict("a load balancer's", travel(w, &p, &f), NO_SESSION);
	put_policy(w, 1);
	return wrong;
}

// ---- health checks

#define PLACE 7
#define CHECKER_PORT (CHECK_FIRST_PORT + FTN * CHECK_PORTS + 5)

// A frame of TCP as its sender would write it.
static void tcp_frame(struct frame *f, const char *from, const char *from_mac, uint16_t from_port,
		      const char *to, const char *to_mac, uint16_t to_port, uint8_t flags)
{
	const struct packet p = {.protocol = IPPROTO_TCP};
	const int six = strchr(from, ':') != NULL;

	frame_clear(f);
	frame_fill(f, 40);
	frame_tcp(f, from_port, to_port, flags);
	seal(f, from, to, IPPROTO_TCP);
	write_header(f, six, &p, from, to);
	frame_ethernet(f, to_mac, from_mac, six ? ETH_P_IPV6 : ETH_P_IP);
}

static void put_checked(const struct world *w, uint32_t vni, unsigned int endpoint)
{
	const struct checked_value backend = {vni, endpoint_ip(w->six, endpoint)};
	const struct check_ends_value ends = {.second = 1, .first_mac = {2, 0xc, 0, 0, 0, 1}};
	const uint32_t place = PLACE, only = 0;

	node_clear(&w->node[FTN], "checks");
	node_put(&w->node[FTN], "checked", &place, &backend);
	node_put(&w->node[FTN], "check_ends", &only, &ends);
}

static enum verdict check_out(const struct world *w, struct frame *f, const char *from)
{
	static const uint8_t room[CHECK_ROOM];
	enum verdict v;

	tcp_frame(f, from, "02:0c:00:00:00:01", CHECKER_PORT, "240.0.0.9", "02:0c:00:00:00:01",
		  8080, SYN);
	frame_prepend(f, room, sizeof(room));
	v = node_check(&w->node[FTN], f);
	return v == CHECK_SENT ? node_run(&w->node[FWD], f) : v;
}

// To the backend in its tunnel, from its gateway.
static int test_check(struct world *w)
{
	const struct in6_addr gateway = endpoint_ip(w->six, SECOND_GATEWAY),
			      backend = endpoint_ip(w->six, 66);
	const uint32_t place = PLACE;
	struct frame f;
	int wrong = 0;

	put_checked(w, RED, 66);
	wrong += is_verdict("out", check_out(w, &f, "240.0.0.1"), CHECK_PASSED);
	wrong += is_number(
		"its VNI",
		f.length > 50 ? (uint64_t)f.byte[46] << 16 | f.byte[47] << 8 | f.byte[48] : 0, RED);
	wrong += is_number("its MAC", f.byte[50 + 5], 66);
	wrong += is_number("its gateway's", f.byte[50 + 11], 2);
	wrong += is_number("its family", f.byte[50 + 12] << 8 | f.byte[50 + 13],
			   w->six ? ETH_P_IPV6 : ETH_P_IP);
	wrong += is_packet("out", &f, INNER, &gateway, CHECKER_PORT, &backend, 8080);
	wrong += is_verdict("not the node's own address", check_out(w, &f, "240.0.0.4"),
			    CHECK_UNKNOWN);
	put_checked(w, RED, OTHER);
	wrong += is_verdict("no endpoint", check_out(w, &f, "240.0.0.1"), NO_ENDPOINT);
	node_remove(&w->node[FTN], "checked", &place);
	wrong += is_verdict("no place", check_out(w, &f, "240.0.0.1"), CHECK_UNKNOWN);
	return wrong;
}

// What the endpoint with this MAC sends to its gateway's address in another's name, at the
// forwarder, and then, if it goes there, at the flow table node.
static enum verdict answered(const struct world *w, struct frame *f, uint32_t vni,
			     unsigned int from, unsigned int mac, uint16_t from_port,
			     uint16_t to_port)
{
	char from_mac[18], source[ADDRESS_TEXT], gateway[ADDRESS_TEXT];
	enum verdict v;

	endpoint_text(w->six, from, source);
	endpoint_text(w->six, SECOND_GATEWAY, gateway);
	snprintf(from_mac, sizeof(from_mac), "02:01:00:00:00:%02x", mac);
	tcp_frame(f, source, from_mac, from_port, gateway, "02:0f:00:00:00:02", to_port, SYN | ACK);
	write_tunnel(f, vni, 66);
	v = node_run(&w->node[FWD], f);
	return v == CHECK_ANSWERED ? node_run(&w->node[FTN], f) : v;
}

// Only what was asked, from whom it was asked, gets to the socket that asked: to that all of it is
// IPv4.
static int test_check_answer(struct world *w)
{
	const struct {
		const char *what;
		uint32_t vni;
		unsigned int from, mac;
		uint16_t from_port, to_port;
		enum verdict verdict;
	} others[] = {
		{"another tenant's", BLUE, 66, 66, 8080, CHECKER_PORT, CHECK_UNKNOWN},
		{"another endpoint's", RED, 67, 67, 8080, CHECKER_PORT, CHECK_UNKNOWN},
		{"as if it were the backend's", RED, 66, 67, 8080, CHECKER_PORT, SPOOFED},
		{"another port's", RED, 66, 66, 8081, CHECKER_PORT, CHECK_UNKNOWN},
		{"to another port", RED, 66, 66, 8080, CHECKER_PORT + 1, CHECK_UNKNOWN},
		{"to nobody's port", RED, 66, 66, 8080, 1023, GATEWAY_PROTOCOL},
		{"to no node's", RED, 66, 66, 8080, 65535, NO_VIEW},
	};
	const struct in6_addr place = address_must("240.0.0.9"), own = address_must("240.0.0.1");
	struct frame f;
	int wrong = 0;

	put_checked(w, RED, 66);
	wrong += is_verdict("nothing asked", answered(w, &f, RED, 66, 66, 8080, CHECKER_PORT),
			    CHECK_UNKNOWN);
	wrong += is_verdict("asked", check_out(w, &f, "240.0.0.1"), CHECK_PASSED);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		wrong += is_verdict(others[i].what,
				    answered(w, &f, others[i].vni, others[i].from, others[i].mac,
					     others[i].from_port, others[i].to_port),
				    others[i].verdict);
	wrong += is_verdict("answered", answered(w, &f, RED, 66, 66, 8080, CHECKER_PORT),
			    CHECK_TAKEN);
	wrong += is_number("to the first end", f.byte[1], 0xc);
	wrong += is_number("its family", f.byte[12] << 8 | f.byte[13], ETH_P_IP);
	return wrong +
	       is_packet("answered", &f, sizeof(struct ethhdr), &place, 8080, &own, CHECKER_PORT);
}

// ---- SYN protection ----

static const struct shield_secret secret = {{0x0706050403020100, 0x0F0E0D0C0B0A0908}};

static int store_shield(struct entries *entries, enum table table, const void *key,
			const void *value)
{
	struct stored {
		struct entries entries;
		const struct world *w;
	} *stored = (void *)entries;

	node_put(&stored->w->node[FWD], tables[table].map, key, value);
	return 0;
}

// Of the load balancer's address; per_s 0: nobody passes without proof.
static void put_shield(const struct world *w, uint32_t vni, uint32_t per_s)
{
	Zeta__Node__V1__Shield shield = ZETA__NODE__V1__SHIELD__INIT;
	Zeta__Node__V1__Rate rate = ZETA__NODE__V1__RATE__INIT;
	struct in6_addr vip = endpoint_ip(w->six, VIP);
	const uint32_t only = 0;
	struct {
		struct entries entries;
		const struct world *w;
	} stored = {{.put = store_shield, .roles = NODE_FTN}, w};

	rate.packets_per_s = per_s;
	rate.burst_ms = SHIELD_BURST_MS;
	shield.vni = vni;
	shield.ip = (ProtobufCBinaryData){sizeof(vip), (uint8_t *)&vip};
	shield.rate = per_s ? &rate : NULL;
	// Other nodes have no use for it.
	must(shield_entries(&shield, &stored.entries), stored.entries.why);
	must(vni == RED && node_count(&w->node[FWD], "shields"), "told to another node");
	stored.entries.roles = NODE_FWD;
	must(shield_entries(&shield, &stored.entries), stored.entries.why);
	node_put(&w->node[FWD], "shield_secret", &only, &secret);
}

static void remove_shields(const struct world *w)
{
	node_clear(&w->node[FWD], "shields");
	node_clear(&w->node[FWD], "shield_paces");
	node_clear(&w->node[FWD], "proven");
}

// Where the sequence number of a frame of write_frame() stands, and of what it is answered with.
// The acknowledgment follows it.
static size_t sequence_at(const struct world *w)
{
	return INNER + ip_bytes(w->six) + 4;
}

static enum verdict run_numbered(const struct world *w, const struct packet *p, uint32_t number,
				 struct frame *f)
{
	const __be32 sequence = htonl(number);

	write_frame(f, w->six, p);
	memcpy(f->byte + sequence_at(w) + (p->extra == OPTIONS ? 8 : 0), &sequence,
	       sizeof(sequence));
	return node_travel(w->node, NODES, FWD, f, NULL);
}

static uint32_t word_at(const struct frame *f, size_t at)
{
	__be32 word;

	memcpy(&word, f->byte + at, sizeof(word));
	return ntohl(word);
}

// What a SYN is answered with.
static uint32_t cookie_in(const struct world *w, const struct frame *f)
{
	return word_at(f, sequence_at(w) + 4);
}

static uint32_t slot_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return cookie_slot((uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000));
}

// The client is the key's a, as its address sorts first.
static struct session_key client_key(const struct world *w, const struct packet *p)
{
	return (struct session_key){
		.a = endpoint_ip(w->six, p->from),
		.b = endpoint_ip(w->six, p->to),
		.a_port = htons(p->from_port),
		.b_port = htons(p->to_port),
		.vni = {(uint8_t)(p->vni >> 16), (uint8_t)(p->vni >> 8), (uint8_t)p->vni},
		.protocol = IPPROTO_TCP};
}

static uint32_t cookie_for(const struct world *w, const struct packet *p, uint32_t number,
			   uint32_t slot, const struct shield_secret *with)
{
	struct session_key key = client_key(w, p);

	return cookie_number(cookie_hash(with, &key, cookie_isn(number), slot), cookie_isn(number));
}

// That a reset with this cookie proves nothing. Two of 32,768 do by chance.
static int refused_cookie(const struct world *w, const char *what, const struct packet *reset,
			  uint32_t cookie)
{
	struct session_key key = client_key(w, reset);
	uint32_t slot = slot_now();
	struct frame f;

	for (uint32_t at = slot - 1; at != slot + 2; at++)
		if (cookie_right(&secret, &key, cookie, at)) {
			printf("%s: by chance it is right\n", what);
			return 0;
		}
	return is_verdict(what, run_numbered(w, reset, cookie, &f), COOKIE_WRONG);
}

// The first words' of the authors' test vectors, which are for this key.
static int test_siphash(struct world *w)
{
	static const uint64_t word[] = {0x0706050403020100, 0x0F0E0D0C0B0A0908};
	static const uint64_t want[] = {0x726FDB47DD0E0E31, 0x93F5F5799A932462, 0x3F2ACC7F57C29BDB};
	const __u64 *words = (const void *)word;
	int wrong = 0;

	(void)w;
	for (uint32_t i = 0; i < 3; i++)
		wrong += is_number("SipHash", siphash(secret.key, words, i), want[i]);
	return wrong;
}

// A SYN is answered, whatever its number, and nobody remembers it.
static int test_cookie(struct world *w)
{
	static const uint32_t numbers[] = {0,	       1,	   0x7FFF,     0x8000,
					   0x12345678, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
	const struct in6_addr vip = endpoint_ip(w->six, VIP), client = endpoint_ip(w->six, CLIENT);
	struct packet p = first, reset = first;
	struct frame f;
	int wrong = 0;

	reset.flags = RST;
	put_listener(w, RED, IPPROTO_TCP, 80, 0, three);
	put_shield(w, RED, 0);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		char what[32];
		uint32_t shown;

		snprintf(what, sizeof(what), "number %08x", numbers[i]);
		p.from_port = reset.from_port = (uint16_t)(1000 + i);
		wrong += is_verdict(what, run_numbered(w, &p, numbers[i], &f), COOKIE_SENT);
		wrong += is_number(what, f.length, INNER + ip_bytes(w->six) + 20);
		wrong += is_number(what, f.byte[14 + 19], 11); // the client's host
		wrong += is_number(what, f.byte[50 + 5], CLIENT);
		wrong += is_number(what, f.byte[50 + 6 + 1], 0xF); // from the gateway's MAC
		wrong += is_number(what, word_at(&f, INNER + (w->six ? 4 : 0)) & 0xFFFFFF,
				   w->six ? 20 << 16 | IPPROTO_TCP << 8 | 64 : 40);
		wrong += is_number(what, word_at(&f, sequence_at(w) + 8), 0x5012FFFF); // SYN, ACK
		wrong += is_packet(what, &f, INNER, &vip, 80, &client, p.from_port);
		shown = cookie_in(w, &f);
		// What firewalls on the way take for this connection's, and the client does not.
		if (numbers[i] - shown - 1 >= 65535)
			wrong += is_number(what, shown, numbers[i]);
		wrong += is_verdict(what, run_numbered(w, &reset, shown, &f), COOKIE_PROVEN);
		wrong += refused_cookie(w, what, &reset, shown ^ 1u << 20);
	}
	wrong += is_number("sessions", node_count(&w->node[FTN], "sessions"), 0);
	wrong += is_number("cached", node_count(&w->node[FWD], "cache"), 0);
	wrong += is_number("proven", node_count(&w->node[FWD], "proven"),
			   sizeof(numbers) / sizeof(numbers[0]));
	// What begins a connection in another way does not.
	p.flags = SYN | FIN;
	wrong += is_verdict("SYN and FIN", travel(w, &p, &f), COOKIE_SENT);
	p.flags = SYN | 0xC0; // RFC 3168 section 6.1.1
	wrong += is_verdict("SYN with ECN", travel(w, &p, &f), COOKIE_SENT);
	p.flags = SYN;
	if (w->six) {
		p.extra = OPTIONS;
		wrong += is_verdict("behind options", run_numbered(w, &p, 0x12345678, &f),
				    COOKIE_SENT);
		wrong += is_packet("without them", &f, INNER, &vip, 80, &client, p.from_port);
		wrong += is_number("its number", cookie_isn_shown(cookie_in(w, &f)),
				   cookie_isn(0x12345678));
	} else {
		p.extra = PIECE;
		wrong += is_verdict("a fragment", travel(w, &p, &f), COOKIE_SENT);
		wrong += is_number("whole", word_at(&f, INNER + 4), 0x4000); // it must not be one
	}
	remove_shields(w);
	return wrong;
}

// A reset proves nothing without the cookie of this connection, of now, and of this node.
static int test_cookie_wrong(struct world *w)
{
	static const struct shield_secret other = {{1, 2}};
	struct packet reset = first, syn = first;
	uint32_t number = 0x10203040, slot, wrong_one;
	enum verdict before;
	struct frame f;
	int wrong = 0;

	reset.flags = RST;
	put_listener(w, RED, IPPROTO_TCP, 80, 0, three);
	put_shield(w, RED, 0);
	put_shield(w, BLUE, 0);
	slot = slot_now();
	wrong += refused_cookie(w, "an old one", &reset,
				cookie_for(w, &first, number, slot - 2, &secret));
	wrong += refused_cookie(w, "another node's", &reset,
				cookie_for(w, &first, number, slot, &other));
	wrong_one = cookie_for(w, &first, number, slot, &secret);
	reset.from_port++;
	wrong += refused_cookie(w, "another port's", &reset, wrong_one);
	reset.from_port--;
	reset.vni = BLUE;
	wrong += refused_cookie(w, "another tenant's", &reset, wrong_one);
	reset.vni = RED;
	wrong += is_number("proven", node_count(&w->node[FWD], "proven"), 0);
	wrong += is_verdict("SYN", run_numbered(w, &syn, number, &f), COOKIE_SENT);
	do {
		slot = slot_now();
		before = run_numbered(w, &reset, cookie_for(w, &first, number, slot - 1, &secret),
				      &f);
	} while (slot != slot_now());
	wrong += is_verdict("of the slot before", before, COOKIE_PROVEN);
	remove_shields(w);
	return wrong;
}

// Who has proven himself begins a connection, which is one like any other; and only that one.
static int test_proven(struct world *w)
{
	struct packet there = first,
		      back = {RED, 66, CLIENT, IPPROTO_TCP, SYN | ACK, 8080, 1000, 0, 0},
		      reset = first;
	const struct backends one[] = {{66, 1}, {}};
	struct frame f;
	uint32_t shown;
	int wrong = 0;

	reset.flags = RST;
	put_listener(w, RED, IPPROTO_TCP, 80, 0, one);
	put_listener(w, BLUE, IPPROTO_TCP, 80, 0, one);
	put_shield(w, RED, 0);
	wrong += is_verdict("SYN", run_numbered(w, &there, 0, &f), COOKIE_SENT);
	wrong += is_verdict("its cookie", run_numbered(w, &reset, cookie_in(w, &f), &f),
			    COOKIE_PROVEN);
	wrong += is_number("no session yet", node_count(&w->node[FTN], "sessions"), 0);
	wrong += delivered(w, "SYN again", &there, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
	wrong += delivered(w, "its answer", &back, FORWARDED, VIP, 80, CLIENT, 1000, CLIENT);
	there.flags = back.flags = ACK;
	wrong += delivered(w, "a hit", &there, FORWARDED, CLIENT, 1000, 66, 8080, 66);
	wrong += delivered(w, "a hit back", &back, FORWARDED, VIP, 80, CLIENT, 1000, CLIENT);
	there.flags = SYN;
	wrong += delivered(w, "SYN once more", &there, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
	// Another beginning is another's to prove, and does not end what there is.
	wrong += is_verdict("another SYN", run_numbered(w, &there, 0x12345678, &f), COOKIE_SENT);
	shown = cookie_in(w, &f);
	wrong += is_verdict("its cookie", run_numbered(w, &reset, shown, &f), COOKIE_PROVEN);
	there.flags = ACK;
	wrong += delivered(w, "it goes on", &there, FORWARDED, CLIENT, 1000, 66, 8080, 66);
	// The session's own end is one.
	wrong += delivered(w, "a reset", &reset, FORWARDED_FIRST, CLIENT, 1000, 66, 8080, 66);
	// What does not begin one is answered as before: there is no session.
	there.from_port++;
	wrong += is_verdict("out of nowhere", travel(w, &there, &f), NO_SESSION);
	// Others' addresses are not protected.
	there = first;
	there.vni = BLUE;
	wrong += is_verdict("another tenant's", travel(w, &there, &f), FORWARDED_FIRST);
	there.flags = RST;
	there.from_port++;
	wrong += is_verdict("its reset", travel(w, &there, &f), NO_SESSION);
	there = first;
	there.to = 3;
	wrong += is_verdict("an endpoint's", travel(w, &there, &f), FORWARDED_FIRST);
	remove_shields(w);
	there = first;
	there.from_port += 2;
	wrong += is_verdict("no more", travel(w, &there, &f), FORWARDED_FIRST);
	// It is all the same where backends answer themselves.
	put_listener(w, RED, IPPROTO_TCP, 443, DIRECT, one);
	put_shield(w, RED, 0);
	there.to_port = reset.to_port = 443;
	reset.from_port = there.from_port;
	wrong += is_verdict("direct", run_numbered(w, &there, 0, &f), COOKIE_SENT);
	wrong += is_verdict("its cookie", run_numbered(w, &reset, cookie_in(w, &f), &f),
			    COOKIE_PROVEN);
	wrong += delivered(w, "as it is", &there, FORWARDED_FIRST, CLIENT, there.from_port, VIP,
			   443, 66);
	node_clear(&w->node[FTN], "direct_backends");
	remove_shields(w);
	return wrong;
}

// Where there are few nobody has to prove anything.
static int test_under_attack(struct world *w)
{
	struct packet p = first, reset = first;
	uint32_t passed = 0, asked = 0;
	struct frame f;
	int wrong = 0;

	put_listener(w, RED, IPPROTO_TCP, 80, 0, three);
	put_shield(w, RED, 1);
	for (uint16_t i = 0; i < 4 * SHIELD_BURST; i++) {
		enum verdict v;

		p.from_port = (uint16_t)(3000 + i);
		v = travel(w, &p, &f);
		passed += v == FORWARDED_FIRST;
		asked += v == COOKIE_SENT;
	}
	wrong += is_number("as many as may", passed >= SHIELD_BURST, 1);
	wrong += is_number("the others prove themselves", asked > SHIELD_BURST, 1);
	wrong += is_number("all of them", passed + asked, 4ul * SHIELD_BURST);
	reset.from_port = p.from_port;
	reset.flags = RST;
	wrong += is_verdict("its cookie", run_numbered(w, &reset, cookie_in(w, &f), &f),
			    COOKIE_PROVEN);
	wrong += is_verdict("SYN again", travel(w, &p, &f), FORWARDED_FIRST);
	remove_shields(w);
	return wrong;
}

static const struct test {
	const char *name;
	int (*run)(struct world *w);
} tests[] = {
	{"spread", test_spread},
	{"by source", test_by_source},
	{"the way", test_way},
	{"refused", test_refused},
	{"hairpin", test_hairpin},
	{"whose it is", test_question},
	{"two tenants", test_tenants},
	{"a session", test_session},
	{"errors", test_errors},
	{"told beside", test_beside},
	{"answers of their own", test_direct},
	{"begun anew", test_anew},
	{"an endpoint instead", test_endpoint_instead},
	{"straight after", test_straight_after},
	{"a former endpoint", test_former},
	{"a health check", test_check},
	{"a health check's answer", test_check_answer},
	{"SipHash", test_siphash},
	{"a SYN's cookie", test_cookie},
	{"a wrong cookie", test_cookie_wrong},
	{"who has proven himself", test_proven},
	{"under attack", test_under_attack},
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
	for (size_t t = 0; t < 2 * sizeof(tests) / sizeof(tests[0]); t++) {
		const struct test *test = &tests[t / 2];
		int failed;

		w.six = (int)(t % 2);
		forget(&w);
		node_clear(&w.node[FTN], "listeners");
		node_clear(&w.node[FTN], "load_balancers");
		failed = test->run(&w);
		printf("%s %s, %s\n", failed ? "FAILED" : "ok    ", test->name,
		       w.six ? "IPv6" : "IPv4");
		wrong += failed;
	}
	for (int i = 0; i < NODES; i++)
		node_free(&w.node[i]);
	return wrong ? 1 : 0;
}
