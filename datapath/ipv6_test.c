// SPDX-License-Identifier: Apache-2.0
// Tenants' IPv6 at real nodes: a forwarder and a chain of one flow table node. What is read and
// what is refused, what is sent on and what the gateway says itself.
#include <linux/if_ether.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "datapath/gateway_nodes.h"
#include "datapath/translator.h"
#include "lib/address.h"
#include "lib/log.h"
#include "shared/address.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"
#include "wire/neighbor.h"
#include "wire/oam.h"

#define RED 0x0100A1
#define BLUE 0x0100A2 // which it is peered with, and has 2001:db8:8::/64

#define SYN 0x02
#define ACK 0x10
#define INNER 50	 // a tenant's frame begins there, behind the tunnel
#define IP (INNER + 14)	 // .. and its IPv6 header
#define BEHIND (IP + 40) // .. and what that carries

// Subnet i is 2001:db8:i::/64, its gateway ::1 with the MAC 02:0f:00:00:00:i. Endpoint e of it has
// the MAC 02:01:00:00:i:e and lives on host 192.168.0.(10 * i + e).
#define A1 "2001:db8:1::a"
#define B1 "2001:db8:1::b"
#define WEB1 "2001:db8:1::c" // has a security group
#define A2 "2001:db8:2::a"

enum { FWD, FTN, NODES };

struct world {
	struct node node[NODES];
};

static const struct {
	const char *ip;
	uint8_t subnet, number, group;
} endpoints[] = {{A1, 1, 0xa, 0}, {B1, 1, 0xb, 0}, {WEB1, 1, 0xc, 1}, {A2, 2, 0xa, 0}};

#define COUNT(rows) (sizeof(rows) / sizeof(rows[0]))

// ---- what the nodes know ----

static void put_subnet(const struct node *n, uint8_t number)
{
	struct subnet_key key = {.prefix_bits = 32 + 64, .vni = htonl(RED)};
	struct subnet_value value = {
		.subnet = number, .bits = 64, .gateway_mac = {2, 0xf, 0, 0, 0, number}};
	char text[32];

	snprintf(text, sizeof(text), "2001:db8:%u::", number);
	key.address = address_must(text);
	snprintf(text, sizeof(text), "2001:db8:%u::1", number);
	value.gateway = address_must(text);
	node_put(n, "subnets", &key, &value);
}

static void put_endpoint(const struct node *n, size_t i)
{
	struct endpoint_key key = {.vni = RED, .address = address_must(endpoints[i].ip)};
	struct endpoint_value value = {
		.host_mac = {2, 0xa, 0, 0, endpoints[i].subnet, endpoints[i].number},
		.mac = {2, 1, 0, 0, endpoints[i].subnet, endpoints[i].number},
		.group = {endpoints[i].group}};
	struct allowed_key linked = {.prefix_bits = 32 + 64 + 64, .vni = htonl(RED)};
	char host[16];

	snprintf(host, sizeof(host), "192.168.0.%u",
		 (10u * endpoints[i].subnet + endpoints[i].number) % 256);
	value.host = address_must(host);
	node_put(n, "endpoints", &key, &value);
	memcpy(linked.mac, value.mac, sizeof(linked.mac));
	linked.address = address_must("fe80::");
	node_put(n, "allowed", &linked, &key.address);
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

static void put_all(const struct node *n)
{
	const struct vpc_value vpc = {.policy = 1,
				      .functions = 5,
				      .function = {FUNCTION_TRANSLATOR, FUNCTION_PEERING,
						   FUNCTION_DIVIDER, FUNCTION_BOUNCER,
						   FUNCTION_SECURITY_GROUP}};
	const struct subnet_key theirs = {
		.prefix_bits = 32 + 64, .vni = htonl(RED), .address = address_must("2001:db8:8::")};
	const struct peer_subnet_value peer = {.vni = BLUE, .bits = 64};
	const uint32_t vni = RED;
	struct rule rules[] = {
		{RULE_INGRESS, IPPROTO_TCP, 64, 80, 80, 0, RULE_ALLOW, {}},
		{RULE_INGRESS, IPPROTO_ICMPV6, 64, 128, 128, 0, RULE_ALLOW, {}},
	};

	for (size_t i = 0; i < COUNT(rules); i++)
		rules[i].remote = address_must("2001:db8:1::");
	put_view(n);
	node_put(n, "vpcs", &vni, &vpc);
	put_subnet(n, 1);
	put_subnet(n, 2);
	node_put(n, "peer_subnets", &theirs, &peer);
	for (size_t i = 0; i < COUNT(endpoints); i++)
		put_endpoint(n, i);
	node_rules(n, 0, 1, rules, COUNT(rules));
}

static void forget(const struct world *w)
{
	const uint64_t none = 0;
	const uint32_t key = 0;

	node_clear(&w->node[FWD], "cache");
	node_clear(&w->node[FTN], "sessions");
	node_put(&w->node[FTN], "records", &key, &none);
}

// ---- packets ----

// An extension header: of so many bytes, with its third to fourth byte.
struct extension {
	uint8_t is, bytes, third, fourth;
};

#define EMPTY SIZE_MAX

struct sent {
	const char *from, *to;
	uint8_t protocol;
	uint8_t flags; // TCP
	uint8_t type;  // ICMPv6: 0 is echo request
	uint8_t hops;  // 0: 64
	uint16_t from_port, to_port;
	size_t payload;		       // 0: 64
	struct extension extension[6]; // until one of 0 bytes
	const char *mac;	       // the sender's, where it is another
};

static size_t place(const char *ip)
{
	for (size_t i = 0; i < COUNT(endpoints); i++)
		if (!strcmp(endpoints[i].ip, ip))
			return i;
	return 0;
}

static int same_subnet(const char *a, const char *b)
{
	return !strncmp(a, b, strlen("2001:db8:1:"));
}

static void write_tunnel(struct frame *f, size_t from)
{
	char host[16];

	snprintf(host, sizeof(host), "192.168.0.%u",
		 (10u * endpoints[from].subnet + endpoints[from].number) % 256);
	frame_vxlan(f, RED);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = host, .to = "192.168.0.201", .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:00", "02:0a:00:00:00:01", ETH_P_IP);
}

static int later(const struct extension *e)
{
	return e->is == IPV6_FRAGMENT && (e->third || e->fourth & 0xF8);
}

static void write_packet(struct frame *f, const struct sent *s)
{
	size_t from = place(s->from), extensions = 0, i;
	char mac[18], to[18];
	int headless = 0;
	uint8_t next = s->protocol;

	while (extensions < COUNT(s->extension) && s->extension[extensions].bytes)
		headless |= later(&s->extension[extensions++]);
	frame_clear(f);
	frame_fill(f, s->payload == EMPTY ? 0 : s->payload ? s->payload : 64);
	if (!headless && s->protocol == IPPROTO_TCP)
		frame_tcp(f, s->from_port, s->to_port, s->flags);
	else if (!headless && s->protocol == IPPROTO_UDP)
		frame_udp(f, s->from_port, s->to_port, 0);
	else if (!headless && s->protocol == IPPROTO_ICMPV6)
		frame_icmpv6(f, s->type ? s->type : ICMPV6_ECHO_REQUEST, 0,
			     (uint32_t)s->from_port << 16 | 1, s->from, s->to);
	for (i = extensions; i--;) {
		const struct extension *e = &s->extension[i];
		uint8_t bytes[256] = {next, e->bytes / 8 - 1, e->third, e->fourth};

		if (e->is == IPV6_FRAGMENT)
			bytes[1] = 0;
		frame_prepend(f, bytes, e->bytes);
		next = e->is;
	}
	frame_ipv6(f, (struct ipv6_start){s->from, s->to, next, s->hops});
	snprintf(mac, sizeof(mac), "02:01:00:00:%02x:%02x", endpoints[from].subnet,
		 endpoints[from].number);
	snprintf(to, sizeof(to), "02:0f:00:00:00:%02x", endpoints[from].subnet);
	if (same_subnet(s->from, s->to))
		snprintf(to, sizeof(to), "02:01:00:00:%02x:%02x", endpoints[place(s->to)].subnet,
			 endpoints[place(s->to)].number);
	frame_ethernet(f, to, s->mac ? s->mac : mac, ETH_P_IPV6);
}

// What the flow table decided last about a packet on its way.
static struct dft_packet last_op;

static enum verdict travel(const struct world *w, const struct sent *s, struct frame *f)
{
	write_packet(f, s);
	write_tunnel(f, place(s->from));
	return node_travel(w->node, NODES, FWD, f, &last_op);
}

#define UDP_(...)                                                                                  \
	(struct sent)                                                                              \
	{                                                                                          \
		.protocol = IPPROTO_UDP, .from_port = 1000, .to_port = 2000, __VA_ARGS__           \
	}
#define TCP_(port, flags_, ...)                                                                    \
	(struct sent)                                                                              \
	{                                                                                          \
		.protocol = IPPROTO_TCP, .from_port = 1000, .to_port = port, .flags = flags_,      \
		__VA_ARGS__                                                                        \
	}
#define PING_(...)                                                                                 \
	(struct sent)                                                                              \
	{                                                                                          \
		.protocol = IPPROTO_ICMPV6, .from_port = 7, __VA_ARGS__                            \
	}

// What is delivered is the packet that was sent, one hop older where it is routed.
static int delivered(const struct world *w, const char *what, const struct sent *s,
		     enum verdict want)
{
	size_t to = place(s->to), from = place(s->from);
	int routed = !same_subnet(s->from, s->to), wrong;
	struct frame sent, f;
	uint8_t mac[6] = {2, 1, 0, 0, endpoints[to].subnet, endpoints[to].number};
	uint8_t by[6] = {2, 1, 0, 0, endpoints[from].subnet, endpoints[from].number};

	write_packet(&sent, s);
	wrong = is_verdict(what, travel(w, s, &f), want);
	if (wrong)
		return wrong;
	memcpy(sent.byte, mac, 6);
	if (routed) {
		by[1] = 0xf;
		by[4] = 0;
		by[5] = endpoints[to].subnet;
		sent.byte[14 + 7]--;
	}
	memcpy(sent.byte + 6, by, 6);
	wrong += is_number(what, f.length, sent.length + INNER);
	return wrong + is_number(what, memcmp(f.byte + INNER, sent.byte, sent.length), 0);
}

// ---- the tests ----

static int test_forwarded(struct world *w)
{
	const struct {
		const char *name;
		struct sent sent;
	} rows[] = {
		{"UDP", UDP_(.from = A1, .to = B1)},
		{"UDP, the sender sorts last", UDP_(.from = B1, .to = A1)},
		{"UDP, routed", UDP_(.from = A1, .to = A2)},
		{"UDP, routed, hop limit 2", UDP_(.from = A2, .to = A1, .hops = 2)},
		{"UDP, hop limit 1 within a subnet", UDP_(.from = A1, .to = B1, .hops = 1)},
		{"TCP", TCP_(80, SYN, .from = A1, .to = A2)},
		{"echo", PING_(.from = A1, .to = B1)},
		{"an ICMPv6 query", PING_(.from = A1, .to = B1, .type = 139)},
		{"a protocol without ports", {.from = A1, .to = A2, .protocol = 47, .payload = 30}},
		{"the largest", UDP_(.from = A1, .to = A2, .payload = TENANT_MTU - 48)},
		{"options",
		 UDP_(.from = A1, .to = A2,
		      .extension = {{IPV6_HOP_BY_HOP, 8, 5, 2}, {IPV6_DESTINATION, 24, 0, 0}})},
		{"a routing header that is used up",
		 UDP_(.from = A1, .to = A2, .extension = {{IPV6_ROUTING, 24, 2, 0}})},
		{"as long as may be",
		 UDP_(.from = A1, .to = A2,
		      .extension = {{IPV6_DESTINATION, 32, 0, 0}, {IPV6_DESTINATION, 32, 0, 0}})},
	};
	int wrong = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		forget(w);
		wrong += delivered(w, rows[i].name, &rows[i].sent, FORWARDED_FIRST);
		wrong += delivered(w, rows[i].name, &rows[i].sent, FORWARDED);
	}
	return wrong;
}

static int test_refused(struct world *w)
{
#define OPTIONS                                                                                    \
	{                                                                                          \
		IPV6_DESTINATION, 8, 0, 0                                                          \
	}
	const struct {
		const char *name;
		struct sent sent;
		enum verdict verdict;
	} rows[] = {
		{"multicast", UDP_(.from = A1, .to = "ff02::fb"), INNER_BROADCAST},
		{"from multicast", UDP_(.from = "ff02::1", .to = B1), INNER_ADDRESS},
		{"from nowhere", UDP_(.from = "::", .to = B1), INNER_ADDRESS},
		{"to itself", UDP_(.from = A1, .to = "::1"), INNER_ADDRESS},
		{"in an IPv4 endpoint's name", UDP_(.from = "::ffff:10.0.0.1", .to = B1),
		 INNER_ADDRESS},
		{"link-local", UDP_(.from = "fe80::1", .to = B1), LINK_LOCAL},
		{"to link-local", UDP_(.from = A1, .to = "febf::1"), LINK_LOCAL},
		{"no such sender", UDP_(.from = "2001:db8:1::77", .to = B1), NO_SOURCE},
		{"another's MAC", UDP_(.from = A1, .to = B1, .mac = "02:01:00:00:01:0b"), SPOOFED},
		{"routes", UDP_(.from = A1, .to = A2, .extension = {{IPV6_ROUTING, 24, 2, 1}}),
		 INNER_EXTENSION},
		{"hop-by-hop options that come late",
		 UDP_(.from = A1, .to = A2, .extension = {OPTIONS, {IPV6_HOP_BY_HOP, 8, 5, 2}}),
		 INNER_EXTENSION},
		{"too many",
		 UDP_(.from = A1, .to = A2,
		      .extension = {OPTIONS, OPTIONS, OPTIONS, OPTIONS, OPTIONS}),
		 INNER_EXTENSION},
		{"too long",
		 UDP_(.from = A1, .to = A2, .extension = {OPTIONS, {IPV6_DESTINATION, 64, 0, 0}}),
		 INNER_EXTENSION},
		{"both ports 0", {.from = A1, .to = B1, .protocol = IPPROTO_UDP}, INNER_MALFORMED},
		{"a neighbour's word", PING_(.from = A1, .to = B1, .type = 136, .hops = 255),
		 NEIGHBOR_MALFORMED},
		{"a router's, behind options",
		 PING_(.from = A1, .to = B1, .type = 134, .hops = 255, .extension = {OPTIONS}),
		 NEIGHBOR_MALFORMED},
		{"a router's, its first piece",
		 PING_(.from = A1, .to = B1, .type = 134, .hops = 255,
		       .extension = {{IPV6_FRAGMENT, 8, 0, 1}}),
		 NEIGHBOR_MALFORMED},
		{"options in pieces",
		 UDP_(.from = A1, .to = A2, .extension = {{IPV6_FRAGMENT, 8, 0, 1}, OPTIONS}),
		 INNER_EXTENSION},
		{"the last of them",
		 UDP_(.from = A1, .to = A2, .extension = {{IPV6_FRAGMENT, 8, 0, 64}, OPTIONS}),
		 INNER_EXTENSION},
		{"the gateway by UDP", UDP_(.from = A1, .to = "2001:db8:1::1"), GATEWAY_PROTOCOL},
	};
	int wrong = 0;
	struct frame f;

	for (size_t i = 0; i < COUNT(rows); i++) {
		forget(w);
		wrong += is_verdict(rows[i].name, travel(w, &rows[i].sent, &f), rows[i].verdict);
	}
	// Cut, or lying about lengths.
	for (size_t length = IP; length < BEHIND + 8; length++) {
		write_packet(&f, &UDP_(.from = A1, .to = B1, .payload = EMPTY));
		write_tunnel(&f, 0);
		f.length = length;
		f.byte[16] = 0;
		f.byte[17] = length - 14;
		if (length >= BEHIND)
			f.byte[IP + 5] = length - BEHIND;
		wrong += is_verdict("cut", node_travel(w->node, NODES, FWD, &f, NULL),
				    length < BEHIND ? TRUNCATED : INNER_MALFORMED);
	}
	write_packet(&f, &UDP_(.from = A1, .to = B1));
	write_tunnel(&f, 0);
	f.byte[IP + 5]++;
	return wrong + is_verdict("longer than it is", node_travel(w->node, NODES, FWD, &f, NULL),
				  TRUNCATED);
}

// Extension headers and fragments say nothing about whose packet it is.
static int test_flows(struct world *w)
{
	const struct sent plain = UDP_(.from = A1, .to = A2);
	struct sent options = plain, atomic = plain, first = plain, last = plain;
	int wrong;

	options.extension[0] = (struct extension){IPV6_HOP_BY_HOP, 16, 0, 0};
	atomic.extension[0] = (struct extension){IPV6_FRAGMENT, 8, 0, 0};
	first.extension[0] = (struct extension){IPV6_FRAGMENT, 8, 0, 1};
	last.extension[0] = (struct extension){IPV6_FRAGMENT, 8, 0, 64};
	forget(w);
	wrong = delivered(w, "plain", &plain, FORWARDED_FIRST);
	wrong += delivered(w, "with options", &options, FORWARDED);
	wrong += delivered(w, "a fragment that is all", &atomic, FORWARDED);
	wrong += delivered(w, "the last fragment first", &last, FORWARDED_FIRST);
	wrong += delivered(w, "the first", &first, FORWARDED);
	return wrong;
}

static int test_guarded(struct world *w)
{
	const struct sent open = TCP_(80, SYN, .from = A1, .to = WEB1);
	struct sent part = TCP_(80, SYN, .from = A1, .to = WEB1);
	const struct sent back = {.protocol = IPPROTO_TCP,
				  .from = WEB1,
				  .to = A1,
				  .from_port = 80,
				  .to_port = 1000,
				  .flags = ACK,
				  .payload = 40};
	int wrong = 0;
	struct frame f;

	forget(w);
	wrong += is_verdict("another port", travel(w, &TCP_(81, SYN, .from = A1, .to = WEB1), &f),
			    SECURITY_GROUP);
	wrong += is_verdict("another subnet", travel(w, &TCP_(80, SYN, .from = A2, .to = WEB1), &f),
			    SECURITY_GROUP);
	wrong += is_verdict("in the middle", travel(w, &TCP_(80, ACK, .from = B1, .to = WEB1), &f),
			    NO_SESSION);
	wrong += is_verdict("an echo reply",
			    travel(w, &PING_(.from = B1, .to = WEB1, .type = 129), &f), NO_SESSION);
	part.extension[0] = (struct extension){IPV6_FRAGMENT, 8, 0, 1};
	wrong += is_verdict("a fragment, of which nobody knows whether it begins anything",
			    travel(w, &part, &f), NO_SESSION);
	wrong += delivered(w, "what is allowed", &open, FORWARDED_FIRST);
	wrong += delivered(w, "its answer", &back, FORWARDED);
	wrong += is_number("recorded", node_count(&w->node[FTN], "sessions"), 1);
	wrong += delivered(w, "a ping", &PING_(.from = A1, .to = WEB1), FORWARDED_FIRST);
	wrong += delivered(w, "its answer", &PING_(.from = WEB1, .to = A1, .type = 129), FORWARDED);
	return wrong;
}

// ---- what the gateway says ----

// An error to the sender of s.
static int told(const char *what, const struct sent *s, const struct frame *f, uint8_t type,
		uint8_t code, uint32_t mtu, size_t quoted)
{
	struct in6_addr to = address_must(s->from), from = address_must("2001:db8:1::1");
	struct frame sent;
	uint32_t word;
	int wrong;

	write_packet(&sent, s);
	memcpy(&word, f->byte + BEHIND + 4, sizeof(word));
	wrong = is_number(what, f->length, BEHIND + 8 + quoted);
	wrong += is_number(what, f->byte[BEHIND], type);
	wrong += is_number(what, f->byte[BEHIND + 1], code);
	wrong += is_number(what, ntohl(word), mtu);
	wrong += is_number(what, memcmp(f->byte + IP + 8, &from, 16), 0);
	wrong += is_number(what, memcmp(f->byte + IP + 24, &to, 16), 0);
	wrong += is_number(what, memcmp(f->byte + INNER, sent.byte + 6, 6), 0);
	wrong += is_number(what, f->byte[INNER + 7], 0xf);
	wrong += is_number(what, f->byte[IP + 5] | f->byte[IP + 4] << 8, 8 + quoted);
	wrong += is_number(what, icmpv6_check(f->byte + IP, 8 + quoted), 0);
	return wrong + is_number(what, memcmp(f->byte + BEHIND + 8, sent.byte + 14, quoted), 0);
}

static int test_errors(struct world *w)
{
	const struct {
		const char *name;
		struct sent sent;
		enum verdict verdict;
		uint8_t type, code;
		uint32_t mtu;
		size_t quoted;
	} rows[] = {
		{"hop limit", UDP_(.from = A1, .to = A2, .hops = 1, .payload = 24), TIME_EXCEEDED,
		 ICMPV6_TIME_EXCEEDED, 0, 0, 48},
		{"hop limit, a longer packet", UDP_(.from = A1, .to = A2, .hops = 1, .payload = 81),
		 TIME_EXCEEDED, ICMPV6_TIME_EXCEEDED, 0, 0, 128},
		{"too big", UDP_(.from = A1, .to = A2, .payload = TENANT_MTU - 47),
		 FRAGMENTATION_NEEDED, ICMPV6_TOO_BIG, 0, TENANT_MTU, 128},
		{"nobody", UDP_(.from = A1, .to = "2001:db8:1::99", .payload = 0), UNREACHABLE,
		 ICMPV6_UNREACHABLE, ICMPV6_NO_ADDRESS, 0, 48},
		{"nowhere", UDP_(.from = A1, .to = "2001:db8:9::1"), UNREACHABLE,
		 ICMPV6_UNREACHABLE, ICMPV6_NO_ROUTE, 0, 48},
		{"a peer's", UDP_(.from = A1, .to = "2001:db8:8::a"), UNREACHABLE,
		 ICMPV6_UNREACHABLE, ICMPV6_NO_ROUTE, 0, 48},
	};
	int wrong = 0;
	struct frame f;

	for (size_t i = 0; i < COUNT(rows); i++)
		for (int again = 0; again < 2; again++) {
			if (!again)
				forget(w);
			wrong += is_verdict(rows[i].name, travel(w, &rows[i].sent, &f),
					    rows[i].verdict);
			wrong += told(rows[i].name, &rows[i].sent, &f, rows[i].type, rows[i].code,
				      rows[i].mtu, rows[i].quoted);
		}
	// Too little to quote.
	return wrong + is_verdict("short",
				  travel(w,
					 &(struct sent){.from = A1,
							.to = A2,
							.protocol = 47,
							.hops = 1,
							.payload = 7},
					 &f),
				  NOT_ANSWERED);
}

// A peering is of IPv4, and says so.
static int test_peers(struct world *w)
{
	const struct sent s = TCP_(80, SYN, .from = A1, .to = "2001:db8:8::a");
	struct frame f;
	int wrong;

	forget(w);
	wrong = is_verdict("to a peer's", travel(w, &s, &f), UNREACHABLE);
	wrong += is_number("why", last_op.towards[0].decision.reason, PEER_IPV6);
	return wrong + is_number("sessions", node_count(&w->node[FTN], "sessions"), 0);
}

static int test_echo(struct world *w)
{
	const struct sent ping = PING_(.from = A1, .to = "2001:db8:1::1");
	struct frame f;
	int wrong = is_verdict("the gateway pinged", travel(w, &ping, &f), GATEWAY_ECHO);

	wrong += is_number("a reply", f.byte[BEHIND], ICMPV6_ECHO_REPLY);
	return wrong + is_number("its checksum", icmpv6_check(f.byte + IP, 8 + 64), 0);
}

// An error from a router on the way, about what the endpoint was sent: it goes where its flow goes.
static int test_errors_steered(struct world *w)
{
	const struct sent open = TCP_(80, SYN, .from = A1, .to = WEB1);
	struct frame f, about;
	int wrong = 0;

	forget(w);
	wrong += delivered(w, "a connection", &open, FORWARDED_FIRST);
	for (int options = 0; options < 2; options++) {
		struct sent answered = {.protocol = IPPROTO_TCP,
					.from = WEB1,
					.to = A1,
					.from_port = 80,
					.to_port = 1000,
					.flags = ACK,
					.payload = 40};

		if (options)
			answered.extension[0] = (struct extension){IPV6_DESTINATION, 16, 0, 0};
		write_packet(&about, &answered);
		frame_clear(&f);
		frame_append(&f, about.byte + 14, about.length - 14);
		frame_icmpv6(&f, ICMPV6_TOO_BIG, 0, 1280, A1, WEB1);
		frame_ipv6(&f, (struct ipv6_start){A1, WEB1, IPPROTO_ICMPV6, 0});
		frame_ethernet(&f, "02:01:00:00:01:0c", "02:01:00:00:01:0a", ETH_P_IPV6);
		write_tunnel(&f, 0);
		wrong += is_verdict("an error about it", node_travel(w->node, NODES, FWD, &f, NULL),
				    FORWARDED);
	}
	// About nothing that is known: of another port.
	about.byte[14 + 40 + 16 + 1]++;
	frame_clear(&f);
	frame_append(&f, about.byte + 14, about.length - 14);
	frame_icmpv6(&f, ICMPV6_TOO_BIG, 0, 1280, A1, WEB1);
	frame_ipv6(&f, (struct ipv6_start){A1, WEB1, IPPROTO_ICMPV6, 0});
	frame_ethernet(&f, "02:01:00:00:01:0c", "02:01:00:00:01:0a", ETH_P_IPV6);
	write_tunnel(&f, 0);
	return wrong + is_verdict("an error about nothing",
				  node_travel(w->node, NODES, FWD, &f, NULL), NO_SESSION);
}

// ---- translated sessions ----

#define E1 "2001:db8:1::e" // nobody's: what is sent there goes to B1

// source NULL: it stays.
static void translate(const struct world *w, uint8_t protocol, uint16_t port, const char *source,
		      uint16_t to_port)
{
	const struct translator_key key = {
		.address = address_must(E1), .port = htons(port), .protocol = protocol};
	struct translation t = {.source_port = protocol == IPPROTO_ICMPV6 ? htons(to_port) : 0,
				.destination = address_must(B1),
				.destination_port = htons(to_port)};

	if (source)
		t.source = address_must(source);
	node_put(&w->node[FTN], "translations", &key, &t);
}

// What is delivered is an echo between these, of this identifier, with its checksum.
static int echoed(const struct world *w, const char *what, const struct sent *s, enum verdict want,
		  const char *from, const char *to, uint16_t identifier)
{
	const struct in6_addr source = address_must(from), destination = address_must(to);
	struct frame f;
	int wrong = is_verdict(what, travel(w, s, &f), want);

	wrong += is_number(what, memcmp(f.byte + IP + 8, &source, 16), 0);
	wrong += is_number(what, memcmp(f.byte + IP + 24, &destination, 16), 0);
	wrong += is_number(what, f.byte[BEHIND + 4] << 8 | f.byte[BEHIND + 5], identifier);
	return wrong + is_number(what, icmpv6_check(f.byte + IP, f.length - BEHIND), 0);
}

// An echo, by its identifier. (Of TCP, UDP and errors: the load balancer's tests.) What has no
// ports where it should is not, and nothing is of two families.
static int test_translated(struct world *w)
{
	const struct sent ping = PING_(.from = A1, .to = E1), pong = {.from = B1,
								      .to = A1,
								      .protocol = IPPROTO_ICMPV6,
								      .type = ICMPV6_ECHO_REPLY,
								      .from_port = 9};
	struct sent piece = UDP_(.from = A1, .to = E1);
	struct frame f;
	int wrong = 0;

	piece.extension[0] = (struct extension){IPV6_FRAGMENT, 8, 0, 1};
	forget(w);
	translate(w, IPPROTO_ICMPV6, 7, NULL, 9);
	translate(w, IPPROTO_UDP, 0, NULL, 0);
	translate(w, IPPROTO_UDP, 2000, "10.0.0.1", 2000);
	wrong += echoed(w, "an echo", &ping, FORWARDED_FIRST, A1, B1, 9);
	wrong += echoed(w, "again", &ping, FORWARDED, A1, B1, 9);
	wrong += echoed(w, "its answer", &pong, FORWARDED, E1, A1, 7);
	wrong += is_verdict("a fragment", travel(w, &piece, &f), TRANSLATION_INVALID);
	wrong += is_verdict("from IPv4", travel(w, &UDP_(.from = A1, .to = E1), &f),
			    TRANSLATION_INVALID);
	node_clear(&w->node[FTN], "translations");
	return wrong;
}

// ---- neighbours and routers ----

#define GATEWAY1_LINK "fe80::f:ff:fe00:1"
#define NONE "::"

// What an endpoint asks for.
struct asked {
	size_t by; // whose MAC and host it comes from
	const char *from;
	const char *target; // NULL: a router
	const char *link;   // the MAC that it says it has; NULL: it says none
	uint8_t hops;	    // 0: 255
	int wrong_sum;
	uint8_t code;
};

static void write_asked(struct frame *f, const struct asked *a)
{
	const char *to = a->target ? "ff02::1:ff00:1" : "ff02::2";
	uint8_t link[8] = {OPTION_SOURCE_LINK, 1};
	char mac[18];

	snprintf(mac, sizeof(mac), "02:01:00:00:%02x:%02x", endpoints[a->by].subnet,
		 endpoints[a->by].number);
	frame_clear(f);
	if (a->target) {
		struct in6_addr target = address_must(a->target);

		frame_append(f, &target, sizeof(target));
	}
	if (a->link) {
		mac_must(link + 2, a->link);
		frame_append(f, link, sizeof(link));
	}
	frame_icmpv6(f, a->target ? ICMPV6_NEIGHBOR_SOLICITATION : ICMPV6_ROUTER_SOLICITATION,
		     a->code, 0, a->from, to);
	f->byte[2] ^= a->wrong_sum;
	frame_ipv6(f, (struct ipv6_start){a->from, to, IPPROTO_ICMPV6, a->hops ? a->hops : 255});
	frame_ethernet(f, "33:33:ff:00:00:01", mac, ETH_P_IPV6);
	write_tunnel(f, a->by);
}

// The advertisement: what a neighbour's says, and to whom.
static int answered(const char *what, const struct asked *a, const struct frame *f, const char *mac,
		    uint32_t flags)
{
	struct in6_addr to = address_must(strcmp(a->from, NONE) ? a->from : "ff02::1"),
			target = address_must(a->target);
	struct neighbor_message m;
	uint8_t option[8] = {OPTION_TARGET_LINK, 1};
	int wrong = is_number(what, f->length, BEHIND + 32);

	mac_must(option + 2, mac);
	memcpy(&m, f->byte + BEHIND, sizeof(m));
	wrong += is_number(what, m.type, ICMPV6_NEIGHBOR_ADVERTISEMENT);
	wrong += is_number(what, ntohl(m.flags), flags);
	wrong += is_number(what, memcmp(&m.target, &target, 16), 0);
	wrong += is_number(what, memcmp(f->byte + IP + 8, &target, 16), 0);
	wrong += is_number(what, memcmp(f->byte + IP + 24, &to, 16), 0);
	wrong += is_number(what, f->byte[IP + 7], 255);
	wrong += is_number(what, memcmp(f->byte + BEHIND + 24, option, 8), 0);
	wrong += is_number(what, memcmp(f->byte + INNER + 6, option + 2, 6), 0);
	wrong += is_number(what, f->byte[INNER + 4], endpoints[a->by].subnet);
	wrong += is_number(what, f->byte[INNER + 5], endpoints[a->by].number);
	return wrong + is_number(what, icmpv6_check(f->byte + IP, 32), 0);
}

#define MAC_A1 "02:01:00:00:01:0a"
#define MAC_B1 "02:01:00:00:01:0b"
#define MAC_GATEWAY1 "02:0f:00:00:00:01"
#define OF_ROUTER (NEIGHBOR_ROUTER | NEIGHBOR_SOLICITED | NEIGHBOR_OVERRIDE)
#define OF_HOST (NEIGHBOR_SOLICITED | NEIGHBOR_OVERRIDE)

static int test_neighbors(struct world *w)
{
	const struct {
		const char *name;
		struct asked asked;
		enum verdict verdict;
		const char *mac; // that is answered
		uint32_t flags;
	} rows[] = {
		{"its gateway",
		 {.by = 0, .from = A1, .target = "2001:db8:1::1", .link = MAC_A1},
		 GATEWAY_NEIGHBOR,
		 MAC_GATEWAY1,
		 OF_ROUTER},
		{"its gateway, as link-local",
		 {.by = 0, .from = "fe80::1234", .target = "2001:db8:1::1", .link = MAC_A1},
		 GATEWAY_NEIGHBOR,
		 MAC_GATEWAY1,
		 OF_ROUTER},
		{"its gateway, no MAC said",
		 {.by = 0, .from = A1, .target = "2001:db8:1::1"},
		 GATEWAY_NEIGHBOR,
		 MAC_GATEWAY1,
		 OF_ROUTER},
		{"its gateway's link-local address",
		 {.by = 0, .from = A1, .target = GATEWAY1_LINK, .link = MAC_A1},
		 ENDPOINT_NEIGHBOR,
		 MAC_GATEWAY1,
		 OF_ROUTER},
		{"another's",
		 {.by = 3, .from = A2, .target = GATEWAY1_LINK, .link = "02:01:00:00:02:0a"},
		 NEIGHBOR_UNKNOWN,
		 NULL,
		 0},
		{"a neighbour",
		 {.by = 0, .from = A1, .target = B1, .link = MAC_A1},
		 ENDPOINT_NEIGHBOR,
		 MAC_B1,
		 OF_HOST},
		{"a neighbour, as link-local",
		 {.by = 0, .from = "fe80::77", .target = B1, .link = MAC_A1},
		 ENDPOINT_NEIGHBOR,
		 MAC_B1,
		 OF_HOST},
		{"of another subnet",
		 {.by = 0, .from = A1, .target = A2, .link = MAC_A1},
		 NEIGHBOR_UNKNOWN,
		 NULL,
		 0},
		{"nobody",
		 {.by = 0, .from = A1, .target = "2001:db8:1::99", .link = MAC_A1},
		 NEIGHBOR_UNKNOWN,
		 NULL,
		 0},
		{"a neighbour's link-local address",
		 {.by = 0, .from = A1, .target = "fe80::1:ff:fe00:10b", .link = MAC_A1},
		 NEIGHBOR_UNKNOWN,
		 NULL,
		 0},
		{"his own address, to be sure",
		 {.by = 0, .from = NONE, .target = A1},
		 NEIGHBOR_UNKNOWN,
		 NULL,
		 0},
		{"his own link-local one",
		 {.by = 0, .from = NONE, .target = "fe80::1:ff:fe00:10a"},
		 NEIGHBOR_UNKNOWN,
		 NULL,
		 0},
		{"another's address, to be sure",
		 {.by = 0, .from = NONE, .target = B1},
		 ENDPOINT_NEIGHBOR,
		 MAC_B1,
		 NEIGHBOR_OVERRIDE},
		{"the gateway's address, to be sure",
		 {.by = 0, .from = NONE, .target = "2001:db8:1::1"},
		 GATEWAY_NEIGHBOR,
		 MAC_GATEWAY1,
		 NEIGHBOR_ROUTER | NEIGHBOR_OVERRIDE},
		{"in another's name",
		 {.by = 0, .from = B1, .target = A1, .link = MAC_A1},
		 SPOOFED,
		 NULL,
		 0},
		{"another's MAC",
		 {.by = 0, .from = A1, .target = B1, .link = MAC_B1},
		 SPOOFED,
		 NULL,
		 0},
		{"in nobody's name",
		 {.by = 0, .from = "2001:db8:1::77", .target = B1, .link = MAC_A1},
		 NO_SOURCE,
		 NULL,
		 0},
		{"from another link",
		 {.by = 0, .from = A1, .target = B1, .link = MAC_A1, .hops = 254},
		 NEIGHBOR_MALFORMED,
		 NULL,
		 0},
		{"with a wrong sum",
		 {.by = 0, .from = A1, .target = B1, .link = MAC_A1, .wrong_sum = 1},
		 NEIGHBOR_MALFORMED,
		 NULL,
		 0},
		{"with a code",
		 {.by = 0, .from = A1, .target = B1, .link = MAC_A1, .code = 1},
		 NEIGHBOR_MALFORMED,
		 NULL,
		 0},
		{"from nowhere, with a MAC",
		 {.by = 0, .from = NONE, .target = B1, .link = MAC_A1},
		 NEIGHBOR_MALFORMED,
		 NULL,
		 0},
		{"a group",
		 {.by = 0, .from = A1, .target = "ff02::1", .link = MAC_A1},
		 NEIGHBOR_MALFORMED,
		 NULL,
		 0},
	};
	int wrong = 0;
	struct frame f;

	for (size_t i = 0; i < COUNT(rows); i++) {
		write_asked(&f, &rows[i].asked);
		wrong += is_verdict(rows[i].name, node_travel(w->node, NODES, FWD, &f, NULL),
				    rows[i].verdict);
		if (rows[i].mac)
			wrong += answered(rows[i].name, &rows[i].asked, &f, rows[i].mac,
					  rows[i].flags);
	}
	return wrong;
}

static int test_routers(struct world *w)
{
	const struct asked rows[] = {{.from = "fe80::1234", .link = MAC_A1}, {.from = NONE}};
	const uint8_t want[] = {ICMPV6_ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0, 0xFF, 0xFF,
				// nothing is said of reachability
				0, 0, 0, 0, 0, 0, 0, 0, OPTION_SOURCE_LINK, 1, 2, 0xf, 0, 0, 0, 1,
				OPTION_MTU, 1, 0, 0, 0, 0, TENANT_MTU >> 8, TENANT_MTU & 255,
				OPTION_PREFIX, 4, 64, PREFIX_ON_LINK, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
				0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0,
				0, 0, 0, 0, 0, 0, OPTION_ROUTE, 1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
	struct in6_addr gateway = address_must(GATEWAY1_LINK), to;
	struct asked stranger = {.from = "fe80::1"};
	struct allowed_key linked = {
		.prefix_bits = 32 + 64 + 64, .vni = htonl(RED), .mac = {2, 1, 0, 0, 1, 0xa}};
	struct frame f;
	int wrong = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		to = address_must(i ? "ff02::1" : rows[i].from);
		write_asked(&f, &rows[i]);
		wrong += is_verdict("a router", node_travel(w->node, NODES, FWD, &f, NULL),
				    ENDPOINT_NEIGHBOR);
		wrong += is_number("long", f.length, BEHIND + sizeof(want));
		wrong += is_number("sum", icmpv6_check(f.byte + IP, sizeof(want)), 0);
		f.byte[BEHIND + 2] = f.byte[BEHIND + 3] = 0;
		wrong += is_number("says", memcmp(f.byte + BEHIND, want, sizeof(want)), 0);
		wrong += is_number("from", memcmp(f.byte + IP + 8, &gateway, 16), 0);
		wrong += is_number("to", memcmp(f.byte + IP + 24, &to, 16), 0);
		wrong += is_number("to whom", f.byte[INNER + 5], 0xa);
	}
	// Without an IPv6 address.
	linked.address = address_must("fe80::");
	node_remove(&w->node[FTN], "allowed", &linked);
	write_asked(&f, &stranger);
	wrong += is_verdict("a stranger", node_travel(w->node, NODES, FWD, &f, NULL), NO_SOURCE);
	to = address_must(A1);
	node_put(&w->node[FTN], "allowed", &linked, &to);
	return wrong;
}

// ---- the direct path ----

static int test_direct(struct world *w)
{
	const struct sent sent = UDP_(.from = A1, .to = A2);
	struct oam_inject6 o;
	struct frame f;
	int wrong;

	forget(w);
	wrong = is_verdict("first", travel(w, &sent, &f), FORWARDED_FIRST);
	// What is sent beside it is the packet as it left the forwarder, for the host that sent it.
	wrong += is_number("run",
			   target_check(&w->node[FWD].oam, &f,
					&(struct expected){.name = "the OAM frame",
							   .verdict = FLOW_TOLD,
							   .action = XDP_REDIRECT},
					&f),
			   0);
	wrong += is_number("long", f.length, 14 + 28 + sizeof(o));
	if (wrong)
		return wrong;
	memcpy(&o, f.byte + 14 + 28, sizeof(o));
	wrong += is_number("op", ntohl(o.flow.op), OAM_INJECT6);
	wrong += is_number("from", memcmp(&o.flow.source, &(struct in6_addr){}, 16) != 0, 1);
	wrong += is_number("to", o.flow.destination.s6_addr[5], 2);
	wrong += is_number(
		"ports",
		ntohs(o.flow.source_port) == 1000 && ntohs(o.flow.destination_port) == 2000, 1);
	wrong += is_number("protocol", o.flow.protocol, IPPROTO_UDP);
	wrong += is_number("host", ntohl(o.host), 0xC0A80000 + 30);
	wrong += is_number("whose MAC", o.instance_mac[4] << 8 | o.instance_mac[5], 0x020a);
	return wrong + is_number("routed", ntohs(o.flags), OAM_ROUTED);
}

static const struct {
	const char *name;
	int (*run)(struct world *w);
} tests[] = {
	{"forwarded", test_forwarded},
	{"refused", test_refused},
	{"flows", test_flows},
	{"guarded", test_guarded},
	{"errors", test_errors},
	{"peers", test_peers},
	{"the gateway's echo", test_echo},
	{"errors of others", test_errors_steered},
	{"translated", test_translated},
	{"neighbours", test_neighbors},
	{"routers", test_routers},
	{"the direct path", test_direct},
};

int main(int argc, char **argv)
{
	static struct world w;
	int wrong = 0;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "flat")))
		fatalx("usage: %s [flat]", argv[0]);
	testing_begin();
	for (int i = 0; i < NODES; i++) {
		const struct node_wish wish = {.name = i == FWD ? "fwd" : "ftn",
					       .index = i,
					       .roles = i == FWD ? ROLE_FWD : ROLE_FTN,
					       .flat = argc == 2 ? 4 : 0};

		node_load(&w.node[i], &wish);
		put_all(&w.node[i]);
	}
	for (size_t i = 0; i < COUNT(tests); i++) {
		int failed = tests[i].run(&w);

		printf("%s %s\n", failed ? "FAILED" : "ok    ", tests[i].name);
		wrong += failed;
	}
	for (int i = 0; i < NODES; i++)
		node_free(&w.node[i]);
	return wrong ? 1 : 0;
}
