// SPDX-License-Identifier: Apache-2.0
// The gateway in the kernel: a cluster of real programs, one frame at a time, every byte compared.
//
//   hosts 192.168.0.n     entrances 192.168.0.201 ..      gateway nodes 172.16.0.n
//   (red, blue: the same  fwd1 fwd2 (VXLAN), gnv (Geneve)  chain 0: ftn1 ftn2 ftn3 (or others)
//    tenant addresses)    both: forwarder and table        chain 1: both alone
#include "datapath/gateway_nodes.h"

#include <inttypes.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "datapath/translator.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/session/flat.h"
#include "shared/address.h"
#include "shared/fragment.h"
#include "shared/limits.h"
#include "shared/move.h"
#include "shared/outbox.h"
#include "shared/shield.h"
#include "wire/arp.h"
#include "wire/geneve.h"
#include "wire/icmp.h"
#include "wire/oam.h"
#include "wire/vxlan.h"

#include <linux/bpf.h>

#define RED 0x0100A1
#define BLUE 0x0200A2
#define NOBODY 0x0300A3
#define FLAT 0x0400A4	// a VPC without subnets
#define EMPTY 0x0500A5	// its service chain has no function
#define BROKEN 0x0600A6 // its service chain names a function that is not loaded
#define FENCED 0x0700A7 // its subnets have network ACLs
#define NATTED 0x0800A8 // some of what it sends is translated

#define SYN 0x02
#define FIN 0x01
#define RST 0x04
#define ACK 0x10

enum {
	FWD1,
	FWD2,
	GNV,
	FTN1,
	FTN2,
	FTN3,
	FTN8 = FTN1 + 7,
	BOTH,
	NODES,
};

#define FEW_SESSIONS 32 // that ftn8 has room for

static const struct node_wish node_wishes[NODES] = {
	{.name = "fwd1", .index = FWD1, .roles = ROLE_FWD},
	{.name = "fwd2", .index = FWD2, .roles = ROLE_FWD},
	{.name = "gnv", .index = GNV, .roles = ROLE_FWD, .overlay = OVERLAY_GENEVE},
	{.name = "ftn1", .index = FTN1, .roles = ROLE_FTN},
	{.name = "ftn2", .index = FTN2, .roles = ROLE_FTN},
	{.name = "ftn3", .index = FTN3, .roles = ROLE_FTN},
	{.name = "ftn4", .index = FTN1 + 3, .roles = ROLE_FTN},
	{.name = "ftn5", .index = FTN1 + 4, .roles = ROLE_FTN},
	{.name = "ftn6", .index = FTN1 + 5, .roles = ROLE_FTN},
	{.name = "ftn7", .index = FTN1 + 6, .roles = ROLE_FTN},
	{.name = "ftn8", .index = FTN8, .roles = ROLE_FTN, .sessions = FEW_SESSIONS},
	{.name = "both", .index = BOTH, .roles = ROLE_FWD | ROLE_FTN},
};

// Entrance i has the address 192.168.0.(201 + i) and the MAC 02:0e:00:00:00:(1 + i).
enum {
	OF_FWD1,
	OF_FWD2,
	OF_GNV,
	OF_BOTH,
	DEAD, // known by its address, but not live
	ENTRANCES,
};

static const struct {
	uint32_t owner;
	int live;
} entrance_rows[ENTRANCES] = {
	[OF_FWD1] = {FWD1, 1}, [OF_FWD2] = {FWD2, 1}, [OF_GNV] = {GNV, 1},
	[OF_BOTH] = {BOTH, 1}, [DEAD] = {FWD1, 0},
};

enum { WEB = 1, CLIENTS, LIMITED, NOTHING, OPEN, UNKNOWN = 77 }; // security groups
enum { GATE = 1 };						 // network ACLs

static const struct subnet_row {
	uint32_t vni, subnet;
	const char *prefix, *gateway, *mac;
	uint32_t acl;
} subnet_rows[] = {
	{RED, 1, "10.0.1.0/24", "10.0.1.1", "02:f1:00:00:01:01", 0},
	{RED, 2, "10.0.2.0/24", "10.0.2.1", "02:f1:00:00:02:01", 0},
	{RED, 3, "10.0.3.0/24", NULL, NULL, 0},
	{BLUE, 4, "10.0.1.0/24", "10.0.1.1", "02:f2:00:00:01:01", 0},
	{BLUE, 5, "10.0.2.0/24", "10.0.2.254", "02:f2:00:00:02:01", 0},
	{EMPTY, 6, "10.0.1.0/24", "10.0.1.1", "02:f5:00:00:01:01", 0},
	{BROKEN, 7, "10.0.1.0/24", "10.0.1.1", "02:f6:00:00:01:01", 0},
	{FENCED, 8, "10.0.1.0/24", "10.0.1.1", "02:f7:00:00:01:01", GATE},
	{FENCED, 9, "10.0.2.0/24", "10.0.2.1", "02:f7:00:00:02:01", 0},
	{FENCED, 10, "10.0.3.0/24", "10.0.3.1", "02:f7:00:00:03:01", UNKNOWN},
	{NATTED, 11, "10.0.1.0/24", "10.0.1.1", "02:f1:00:00:01:01", 0},
	{NATTED, 12, "10.0.2.0/24", "10.0.2.1", "02:f1:00:00:02:01", 0},
};

// host n is 192.168.0.n with the MAC 02:0a:00:00:00:n.
static const struct endpoint_row {
	uint32_t vni;
	const char *ip, *mac;
	unsigned int host;
	uint32_t group[MAX_PORT_GROUPS];
} endpoint_rows[] = {
	{RED, "10.0.1.10", "02:01:00:00:01:0a", 11, {}},
	{RED, "10.0.1.11", "02:01:00:00:01:0b", 12, {}},
	{RED, "10.0.1.12", "02:01:00:00:01:0c", 11, {}},
	{RED, "10.0.2.10", "02:01:00:00:02:0a", 13, {}},
	{RED, "10.0.3.10", "02:01:00:00:03:0a", 13, {}},
	{RED, "10.0.1.20", "02:01:00:00:01:14", 12, {WEB}},
	{RED, "10.0.1.21", "02:01:00:00:01:15", 11, {CLIENTS}},
	{RED, "10.0.1.22", "02:01:00:00:01:16", 13, {0, CLIENTS}},
	{RED, "10.0.1.23", "02:01:00:00:01:17", 13, {0, 0, WEB}},
	{RED, "10.0.1.24", "02:01:00:00:01:18", 13, {UNKNOWN}},
	{RED, "10.0.1.25", "02:01:00:00:01:19", 13, {LIMITED}},
	{RED, "10.0.1.26", "02:01:00:00:01:1a", 13, {NOTHING, UNKNOWN, CLIENTS, WEB}},
	{RED, "10.0.1.27", "02:01:00:00:01:1b", 13, {OPEN}},
	{RED, "10.0.2.20", "02:01:00:00:02:14", 12, {WEB}},
	// The same addresses and, for those who send, the same MACs: only the VNI tells them apart.
	{BLUE, "10.0.1.10", "02:01:00:00:01:0a", 21, {}},
	{BLUE, "10.0.1.11", "02:02:00:00:01:0b", 22, {}},
	{BLUE, "10.0.2.10", "02:02:00:00:02:0a", 23, {}},
	{BLUE, "10.0.1.20", "02:02:00:00:01:14", 21, {}},
	{BLUE, "10.0.1.21", "02:02:00:00:01:15", 21, {}},
	{BLUE, "10.0.1.24", "02:02:00:00:01:18", 22, {OPEN}},
	{BLUE, "10.0.1.99", "02:02:00:00:01:63", 22, {}},
	{FLAT, "10.0.1.10", "02:01:00:00:01:0a", 11, {}},
	{FLAT, "172.20.0.1", "02:04:00:00:01:0b", 12, {}},
	{EMPTY, "10.0.1.10", "02:01:00:00:01:0a", 11, {}},
	{BROKEN, "10.0.1.10", "02:01:00:00:01:0a", 11, {}},
	{FENCED, "10.0.1.10", "02:01:00:00:01:0a", 11, {}},
	{FENCED, "10.0.1.11", "02:01:00:00:01:0b", 12, {}},
	{FENCED, "10.0.2.10", "02:01:00:00:02:0a", 13, {}},
	{FENCED, "10.0.3.10", "02:01:00:00:03:0a", 13, {}},
	{NATTED, "10.0.1.10", "02:01:00:00:01:0a", 11, {}},
	{NATTED, "10.0.1.12", "02:01:00:00:01:0c", 11, {}},
	{NATTED, "10.0.2.10", "02:01:00:00:02:0a", 13, {}},
	{NATTED, "10.0.2.20", "02:01:00:00:02:14", 12, {WEB}},
};

static const struct {
	uint32_t group;
	struct rule rule;
	const char *remote;
} rule_rows[] = {
	{WEB, {RULE_INGRESS, IPPROTO_TCP, .port_min = 80, .port_max = 88}, NULL},
	{WEB, {RULE_INGRESS, IPPROTO_UDP, .port_min = 1000, .port_max = 2000}, "10.0.1.20/30"},
	{WEB, {RULE_INGRESS, IPPROTO_UDP, .port_min = 0, .port_max = 65534}, "10.0.1.22/32"},
	{WEB,
	 {RULE_INGRESS, IPPROTO_TCP, .port_min = 22, .port_max = 22, .remote_group = CLIENTS},
	 NULL},
	{WEB, {RULE_INGRESS, IPPROTO_ICMP, .port_min = 8, .port_max = 8}, NULL},
	{LIMITED, {RULE_EGRESS, IPPROTO_TCP, .port_min = 443, .port_max = 443}, "10.0.1.0/24"},
	{LIMITED,
	 {RULE_EGRESS, IPPROTO_TCP, .port_min = 80, .port_max = 80, .remote_group = WEB},
	 NULL},
	{OPEN, {RULE_INGRESS, 0, .port_max = 65535}, NULL},
	{NOTHING, {}, NULL},
	{CLIENTS, {}, NULL},
};

#define RULES(group_) (group_ == NOTHING || group_ == CLIENTS ? 0 : 1)

static const struct {
	uint32_t vni;
	struct vpc_value value;
} vpc_rows[] = {
	{RED,
	 {.policy = 5,
	  .functions = 3,
	  .function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_SECURITY_GROUP}}},
	{BLUE,
	 {.policy = 9,
	  .functions = 3,
	  .function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_SECURITY_GROUP}}},
	{FLAT,
	 {.policy = 1,
	  .functions = 3,
	  .function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_SECURITY_GROUP}}},
	{EMPTY, {.policy = 1, .functions = 0, .function = {}}},
	{BROKEN,
	 {.policy = 1,
	  .functions = 3,
	  .function = {FUNCTION_DIVIDER, FUNCTION_FIRST_FREE, FUNCTION_BOUNCER}}},
	{FENCED,
	 {.policy = 1,
	  .functions = 3,
	  .function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_ACL}}},
	{NATTED,
	 {.policy = 1,
	  .functions = 4,
	  .function = {FUNCTION_DIVIDER, FUNCTION_TRANSLATOR, FUNCTION_BOUNCER,
		       FUNCTION_SECURITY_GROUP}}},
};

#define EPOCH 3
#define TERM 7
#define NOW_TERM TERM_WORD(EPOCH, TERM)

struct world {
	uint32_t flat; // pages of the flat session tables; 0: kernel maps instead
	struct node node[NODES];
	uint32_t chain_length; // of chain 0: ftn1 ..
	int learner;	       // its last one is
	uint32_t clock;	       // ms, of the last step
	int stood_still;       // between two steps, or all in all: ops may have become too old
};

#define COUNT(rows) (sizeof(rows) / sizeof(rows[0]))

// ---- what the world is made of ----

// Chain 0 is the first `length` table nodes, the last a learner or not; on all nodes.
static void set_chain(struct world *w, uint32_t length, int learner)
{
	struct chain_value value = {.epoch = EPOCH, .term = TERM, .learner = learner};

	w->chain_length = length;
	w->learner = learner;
	value.live = length - learner;
	for (uint32_t i = 0; i < length; i++)
		value.node[i] = FTN1 + i;
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], 0, &value);
}

static void put_entrances(const struct node *n)
{
	for (uint32_t i = 0; i < ENTRANCES; i++) {
		struct entrance_value value = {
			.mac = {2, 0x0e, 0, 0, 0, i + 1},
			.live = entrance_rows[i].live,
			.owner = entrance_rows[i].owner,
		};
		char ip[16];

		snprintf(ip, sizeof(ip), "192.168.0.%u", 201 + i);
		value.ip = address_must(ip);
		node_entrance(n, i, &value);
		node_put(n, "entrance_by_ip", &value.ip, &i);
	}
}

static void put_vpc(const struct node *n, uint32_t vni, uint32_t policy)
{
	for (size_t i = 0; i < COUNT(vpc_rows); i++)
		if (vpc_rows[i].vni == vni) {
			struct vpc_value value = vpc_rows[i].value;

			if (policy)
				value.policy = policy;
			node_put(n, "vpcs", &vni, &value);
		}
}

static void put_subnets(const struct node *n)
{
	for (size_t i = 0; i < COUNT(subnet_rows); i++) {
		const struct subnet_row *row = &subnet_rows[i];
		struct subnet_key key = {.vni = htonl(row->vni)};
		struct subnet_value value = {.subnet = row->subnet, .acl = row->acl};
		unsigned int bits;

		if (prefix_parse(row->prefix, &key.address, &bits))
			fatalx("%s is no prefix", row->prefix);
		key.prefix_bits = 32 + bits;
		if (row->gateway) {
			value.gateway = address_must(row->gateway);
			mac_parse(row->mac, value.gateway_mac);
		}
		node_put(n, "subnets", &key, &value);
	}
}

static void host_text(unsigned int host, char ip[16], char mac[18])
{
	snprintf(ip, 16, "192.168.0.%u", host % 256);
	snprintf(mac, 18, "02:0a:00:00:00:%02x", host % 256);
}

static void put_endpoint(const struct node *n, const struct endpoint_row *row)
{
	struct endpoint_key key = {.vni = row->vni, .address = address_must(row->ip)};
	struct endpoint_value value = {};
	char ip[16], mac[18];

	host_text(row->host, ip, mac);
	value.host = address_must(ip);
	mac_parse(mac, value.host_mac);
	mac_parse(row->mac, value.mac);
	memcpy(value.group, row->group, sizeof(value.group));
	node_put(n, "endpoints", &key, &value);
}

static void put_groups(const struct node *n)
{
	for (uint32_t group = WEB; group <= OPEN; group++) {
		struct rule rules[COUNT(rule_rows)];
		size_t count = 0;

		for (size_t i = 0; i < COUNT(rule_rows); i++) {
			struct rule *rule = &rules[count];
			unsigned int bits = 0;

			if (rule_rows[i].group != group || !RULES(group))
				continue;
			*rule = rule_rows[i].rule;
			if (rule_rows[i].remote &&
			    prefix_parse(rule_rows[i].remote, &rule->remote, &bits))
				fatalx("%s is no prefix", rule_rows[i].remote);
			rule->remote_bits = bits;
			rule->outcome = RULE_ALLOW;
			count++;
		}
		node_rules(n, 0, group, rules, count);
	}
}

// What may enter the first subnet; all may leave it.
static void put_acl(const struct node *n)
{
	struct rule rules[] = {
		{RULE_INGRESS, IPPROTO_TCP, 96, 80, 80, 0, rule_outcome(100, 0), {}},
		{RULE_INGRESS, IPPROTO_UDP, 128, 1500, 1500, 0, rule_outcome(10, 1), {}},
		{RULE_INGRESS, IPPROTO_UDP, 96, 0, 65535, 0, rule_outcome(20, 0), {}},
		{RULE_INGRESS, IPPROTO_UDP, 128, 1501, 1501, 0, rule_outcome(21, 1), {}},
		{RULE_EGRESS, 0, 0, 0, 65535, 0, rule_outcome(0, 0), {}},
	};

	for (size_t i = 0; i < COUNT(rules); i++)
		rules[i].remote = address_must("10.0.2.10");
	node_rules(n, RULES_OF_ACL, GATE, rules, COUNT(rules));
}

static void fill(const struct node *n)
{
	struct chain_value alone = {.epoch = EPOCH, .term = TERM, .live = 1, .node = {BOTH}};

	node_peers(n, NODES);
	put_entrances(n);
	put_subnets(n);
	put_groups(n);
	put_acl(n);
	for (size_t i = 0; i < COUNT(vpc_rows); i++)
		put_vpc(n, vpc_rows[i].vni, 0);
	for (size_t i = 0; i < COUNT(endpoint_rows); i++)
		put_endpoint(n, &endpoint_rows[i]);
	node_chain(n, 1, &alone);
	// Without heartbeats nobody has a lease, or needs one.
	node_lease(n, 1, 0, 0);
	node_buckets(n, n->index == BOTH ? 1 : 0);
}

// Everybody forgets every session.
static void forget(const struct world *w)
{
	for (int i = 0; i < NODES; i++) {
		node_clear(&w->node[i], "sessions");
		node_clear(&w->node[i], "cache");
		node_clear(&w->node[i], "fragments");
	}
}

static void begin(struct world *w)
{
	for (int i = 0; i < NODES; i++) {
		struct node_wish wish = node_wishes[i];

		wish.flat = w->flat;
		wish.beat_ms = i == BOTH ? 0 : 10;
		node_load(&w->node[i], &wish);
		fill(&w->node[i]);
	}
	set_chain(w, 3, 0);
}

static void end(struct world *w)
{
	for (int i = 0; i < NODES; i++)
		node_free(&w->node[i]);
}

static const struct endpoint_row *endpoint(uint32_t vni, const char *ip)
{
	for (size_t i = 0; i < COUNT(endpoint_rows); i++)
		if (endpoint_rows[i].vni == vni && !strcmp(endpoint_rows[i].ip, ip))
			return &endpoint_rows[i];
	return NULL;
}

static const struct subnet_row *subnet(uint32_t vni, const char *ip)
{
	struct in6_addr address = address_must(ip), prefix;
	unsigned int bits;

	for (size_t i = 0; i < COUNT(subnet_rows); i++)
		if (subnet_rows[i].vni == vni &&
		    !prefix_parse(subnet_rows[i].prefix, &prefix, &bits) &&
		    prefix_covers(&prefix, bits, &address))
			return &subnet_rows[i];
	return NULL;
}

// ---- frames ----

// What an endpoint sends. MACs follow from RED's data unless they are given.
struct inner {
	const char *from, *to;
	uint8_t protocol; // 0: ARP, from is the sender, to the target
	uint8_t flags;	  // TCP
	uint8_t type, code;
	uint8_t ttl;		     // 0: 64
	uint16_t from_port, to_port; // ICMP echo: the identifier in both
	uint16_t fragment, id;	     // id 0: 77
	uint8_t raw;		     // the payload is all of it, but for ports
	size_t payload;
	const char *from_mac, *to_mac;
};

static const char *mac_of(uint32_t vni, const char *ip)
{
	const struct endpoint_row *e = endpoint(vni, ip);

	return e ? e->mac : "02:99:99:99:99:99";
}

static int routed(uint32_t vni, const struct inner *in)
{
	const struct subnet_row *from = subnet(vni, in->from), *to = subnet(vni, in->to);

	return from && to && from != to;
}

// Behind Ethernet; ttl as given.
static void write_ip(struct frame *f, const struct inner *in, uint8_t ttl)
{
	frame_clear(f);
	frame_fill(f, in->payload);
	if (!(in->fragment & 0x1FFF) && !in->raw) {
		if (in->protocol == IPPROTO_TCP)
			frame_tcp(f, in->from_port, in->to_port, in->flags);
		else if (in->protocol == IPPROTO_UDP)
			frame_udp(f, in->from_port, in->to_port, 0);
		else if (in->protocol == IPPROTO_ICMP)
			frame_icmp(f, in->type, in->code, (uint32_t)in->from_port << 16 | 1);
	}
	frame_ipv4(f, (struct ipv4_header){.from = in->from,
					   .to = in->to,
					   .protocol = in->protocol,
					   .ttl = ttl,
					   .fragment = in->fragment,
					   .id = in->id ? in->id : 77});
}

static void write_inner(struct frame *f, const struct inner *in)
{
	const char *from = in->from_mac ? in->from_mac : mac_of(RED, in->from);
	const char *to = in->to_mac;
	const struct subnet_row *net = subnet(RED, in->from);

	if (!in->protocol) {
		frame_clear(f);
		frame_arp(f, (struct arp_message){.to = "ff:ff:ff:ff:ff:ff",
						  .from = from,
						  .operation = ARP_REQUEST,
						  .sender_mac = from,
						  .sender = in->from,
						  .target_mac = "00:00:00:00:00:00",
						  .target = in->to});
		return;
	}
	if (!to && net && net->mac && (routed(RED, in) || !subnet(RED, in->to)))
		to = net->mac;
	write_ip(f, in, in->ttl);
	frame_ethernet(f, to ? to : mac_of(RED, in->to), from, ETH_P_IP);
}

static void write_tunnel(struct frame *f, enum overlay overlay, uint32_t vni, uint16_t source_port)
{
	if (overlay == OVERLAY_VXLAN)
		frame_vxlan(f, vni);
	else
		frame_geneve(f, vni, 0, "", 0);
	frame_udp(f, source_port, overlay == OVERLAY_VXLAN ? VXLAN_PORT : GENEVE_PORT, 0);
}

static enum overlay overlay_of(int entrance)
{
	return entrance == OF_GNV ? OVERLAY_GENEVE : OVERLAY_VXLAN;
}

static void entrance_text(int entrance, char ip[16], char mac[18])
{
	snprintf(ip, 16, "192.168.0.%d", (201 + entrance) % 256);
	snprintf(mac, 18, "02:0e:00:00:00:%02x", (1 + entrance) % 256);
}

// From a host to an entrance, around the inner frame that *f holds.
static void wrap_from_host(struct frame *f, unsigned int host, int entrance, uint32_t vni)
{
	char ip[16], mac[18], host_ip[16], host_mac[18];

	entrance_text(entrance, ip, mac);
	host_text(host, host_ip, host_mac);
	write_tunnel(f, overlay_of(entrance), vni, 50000);
	frame_ipv4(f, (struct ipv4_header){.from = host_ip, .to = ip, .protocol = IPPROTO_UDP});
	frame_ethernet(f, mac, host_mac, ETH_P_IP);
}

// From an entrance to a host; by whoever may use its MAC, or not.
static void wrap_to_host(struct frame *f, unsigned int host, int entrance, uint32_t vni,
			 uint16_t hash, uint32_t node)
{
	char ip[16], mac[18], host_ip[16], host_mac[18];

	entrance_text(entrance, ip, mac);
	host_text(host, host_ip, host_mac);
	if (entrance_rows[entrance].owner != node)
		snprintf(mac, sizeof(mac), "02:0d:00:00:00:%02x", (1 + node) % 256);
	write_tunnel(f, overlay_of(entrance), vni, 0xC000 | (hash & 0x3FFF));
	frame_ipv4(f,
		   (struct ipv4_header){
			   .from = ip, .to = host_ip, .protocol = IPPROTO_UDP, .fragment = 0x4000});
	frame_ethernet(f, host_mac, mac, ETH_P_IP);
}

// The session's key, and the direction: 1 where the sender is b. (Of a later fragment in->type and
// the ports are its first one's.)
static struct session_key key_of(uint32_t vni, const struct inner *in, int *from_b)
{
	struct in6_addr from = address_must(in->from), to = address_must(in->to);
	uint16_t from_port = htons(in->from_port), to_port = htons(in->to_port);
	struct session_key key = {.vni = {vni >> 16, vni >> 8, vni}, .protocol = in->protocol};
	int order = memcmp(&from, &to, sizeof(from)), no_echo = 0;

	if (in->protocol == IPPROTO_ICMP) {
		no_echo = in->type != ICMP_ECHO_REQUEST && in->type != ICMP_ECHO_REPLY;
		to_port = from_port;
	}
	if (no_echo)
		from_port = to_port = 0;
	if (!order)
		order = memcmp(&from_port, &to_port, sizeof(from_port));
	*from_b = order > 0;
	key.a = *from_b ? to : from;
	key.b = *from_b ? from : to;
	key.a_port = *from_b ? to_port : from_port;
	key.b_port = *from_b ? from_port : to_port;
	if (no_echo)
		key.b_port = 0xFFFF;
	return key;
}

static uint64_t hash_of(const struct session_key *key)
{
	uint64_t word[5], h = 0x9E3779B97F4A7C15;

	memcpy(word, key, sizeof(word));
	for (int i = 0; i < 5; i++) {
		h = (h ^ word[i]) * 0xBF58476D1CE4E5B9;
		h ^= h >> 29;
	}
	h *= 0x94D049BB133111EB;
	return h ^ h >> 32;
}

static uint32_t hash_for(uint32_t vni, const struct inner *in)
{
	int from_b;
	struct session_key key = key_of(vni, in, &from_b);

	return hash_of(&key);
}

static uint32_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// ---- carrying a frame through the cluster ----

#define MAX_STEPS 64
#define PATH_ROOM 2048

struct journey {
	char path[PATH_ROOM]; // "fwd1 LOOKED_UP > ftn3 REPLIED > fwd1 FORWARDED_FIRST"
	struct frame out;     // of the last node
	uint32_t action;      // of the last node
	int last;	      // who it was
	int at;		      // with step(): the node that *out goes to, or -1
};

static uint32_t action_of(enum verdict v)
{
	enum { PASS_ = XDP_PASS, SENT_ = XDP_REDIRECT, DROP_ = XDP_DROP };

	switch (v) {
#define VERDICT(name, kind, meaning)                                                               \
	case name:                                                                                 \
		return kind##_;
#include "shared/verdicts.def"
#undef VERDICT
	default:
		return XDP_ABORTED;
	}
}

// Adds to a path; one that would get too long is cut.
__attribute__((format(printf, 2, 3))) static void path_add(struct journey *j, const char *format,
							   ...)
{
	size_t used = strlen(j->path);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(j->path + used, PATH_ROOM - used, format, arguments);
	va_end(arguments);
}

// Adds what the node counted to the path. Returns how many were wrong.
static int name_verdicts(struct journey *j, const char *node, const struct verdict_count *before,
			 const struct verdict_count *after)
{
	int counted = 0, right = 0, bytes = 1;

	path_add(j, "%s%s ", j->path[0] ? " > " : "", node);
	for (int v = 0; v < VERDICTS; v++)
		for (uint64_t i = before[v].packets; i < after[v].packets; i++) {
			path_add(j, "%s%s", counted++ ? "+" : "", verdict_name(v));
			right |= action_of(v) == j->action;
			bytes = after[v].bytes - before[v].bytes == j->out.length;
		}
	if (!counted)
		path_add(j, "nothing");
	if (counted == 1 && !bytes) {
		fprintf(stderr, "%s: bytes counted wrong\n", j->path);
		return 1;
	}
	if (!right) {
		fprintf(stderr, "%s: action %u\n", j->path, j->action);
		return 1;
	}
	return 0;
}

// Which node the frame is sent to by the cluster's own protocol, or -1.
static int addressed_to(const struct frame *f)
{
	struct dft_packet d;

	if (f->length < DFT_HEADERS_BYTES)
		return -1;
	memcpy(&d, f->byte + sizeof(struct ethhdr), sizeof(d));
	for (uint32_t i = 0; i < NODES; i++) {
		char ip[16];
		struct in6_addr address;

		node_ip_text(i, ip);
		address = address_must(ip);
		if (d.ip.daddr == address_v4(&address) && d.udp.dest == htons(GENEVE_PORT))
			return i;
	}
	return -1;
}

// How long ago the op's forwarder sent it; 0: it is no op with a packet. Many steps, none of which
// takes long, may together take longer than a packet lives.
static uint32_t op_age_ms(const struct frame *f)
{
	struct dft_packet d;

	if (f->length < DFT_HEADERS_BYTES)
		return 0;
	memcpy(&d, f->byte + sizeof(struct ethhdr), sizeof(d));
	if (d.udp.dest != htons(GENEVE_PORT) || d.geneve.version_length != DFT_OPTIONS_BYTES / 4 ||
	    !d.op.clock_ms)
		return 0;
	return clock_ms() - ntohl(d.op.clock_ms);
}

// One of a node's programs takes the frame in. Returns what was wrong.
static int step_of(struct world *w, int node, const struct target *t, const struct frame *in,
		   struct journey *j)
{
	const struct node *n = &w->node[node];
	struct verdict_count before[VERDICTS], after[VERDICTS];
	struct frame copy = *in; // in may be j->out
	int err;

	verdicts_read(n->entry.verdicts, before);
	err = target_run(t, &copy, &j->action, &j->out);
	verdicts_read(n->entry.verdicts, after);
	if (err) {
		fprintf(stderr, "%s cannot run: %s\n", n->name, strerror(-err));
		return 1;
	}
	if (clock_ms() - w->clock > PACKET_LIFE_MS / 4 || op_age_ms(&copy) > PACKET_LIFE_MS / 2)
		w->stood_still = 1;
	w->clock = clock_ms();
	j->last = node;
	j->at = j->action == XDP_REDIRECT ? addressed_to(&j->out) : -1;
	return name_verdicts(j, n->name, before, after);
}

static int step(struct world *w, int node, const struct frame *in, struct journey *j)
{
	return step_of(w, node, &w->node[node].entry, in, j);
}

// A first packet of host 11, red, as far as the chain's tail has decided it.
static int decided(struct world *w, const struct inner *in, struct journey *j)
{
	struct frame f;
	int wrong;

	write_inner(&f, in);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong = step(w, FWD1, &f, j);
	return wrong + step(w, FTN3, &j->out, j);
}

// On from where j is, until the frame leaves the cluster.
static int go_on(struct world *w, struct journey *j)
{
	int wrong = 0;

	for (int i = 0; j->at >= 0 && i < MAX_STEPS; i++)
		wrong |= step(w, j->at, &j->out, j);
	return wrong;
}

static int travel(struct world *w, int node, const struct frame *in, struct journey *j)
{
	j->path[0] = 0;
	return step(w, node, in, j) | go_on(w, j);
}

static int path_is(const char *name, const struct journey *j, const char *want)
{
	if (!strcmp(j->path, want))
		return 0;
	fprintf(stderr, "%s:\n  went %s\n  not  %s\n", name, j->path, want);
	return 1;
}

// ---- rows: what an endpoint sends, and what becomes of it ----

enum out {
	DROPPED,   // or left to the kernel: bytes do not matter
	DELIVERED, // to the destination's host
	TOLD,	   // an ICMP error to the sender
	ECHOED,	   // an echo reply to the sender
	ANSWERED,  // an ARP reply to the sender
};

// Chain 0 with three nodes.
#define FIRST "fwd1 LOOKED_UP > ftn3 REPLIED > fwd1 "
#define INSERTED_                                                                                  \
	"fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
#define DOWN_TO(fwd) " > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > " fwd " "
#define ASKED "fwd1 LOOKED_UP > ftn3 "

struct row {
	const char *name;
	struct inner inner;
	const char *red; // the path with RED's VNI
	enum out out;
	uint8_t type, code; // with TOLD
	const char *again;  // the same once more, right after; NULL: not done
	const char *blue;   // the very same bytes with BLUE's VNI
	enum out blue_out;
};

#define TCP(port, flags_, ...)                                                                     \
	{                                                                                          \
		.protocol = IPPROTO_TCP, .from_port = 40000, .to_port = port, .flags = flags_,     \
		__VA_ARGS__                                                                        \
	}
#define UDP(port, ...)                                                                             \
	{                                                                                          \
		.protocol = IPPROTO_UDP, .from_port = 40000, .to_port = port, __VA_ARGS__          \
	}
#define ECHO(type_, ...)                                                                           \
	{                                                                                          \
		.protocol = IPPROTO_ICMP, .type = type_, .from_port = 321, .payload = 40,          \
		__VA_ARGS__                                                                        \
	}
#define ARP(...)                                                                                   \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define PING ICMP_ECHO_REQUEST

static const struct row rows[] = {
	{"within a subnet", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.11"),
	 FIRST "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"across subnets", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.10", .ttl = 17),
	 FIRST "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"the sender sorts last", UDP(1500, .from = "10.0.1.11", .to = "10.0.1.10"),
	 FIRST "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED", .blue = FIRST "SPOOFED"},
	{"on one host", UDP(1500, .from = "10.0.1.10", .to = "10.0.1.12", .payload = 3),
	 FIRST "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED", .blue = FIRST "UNREACHABLE",
	 .blue_out = TOLD},
	{"echo", ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.11"), FIRST "FORWARDED_FIRST",
	 DELIVERED, .again = "fwd1 FORWARDED", .blue = FIRST "FORWARDED_FIRST",
	 .blue_out = DELIVERED},
	{"a protocol without ports",
	 {.from = "10.0.1.10", .to = "10.0.1.11", .protocol = 47, .payload = 30},
	 FIRST "FORWARDED_FIRST",
	 DELIVERED,
	 .again = "fwd1 FORWARDED",
	 .blue = FIRST "FORWARDED_FIRST",
	 .blue_out = DELIVERED},
	{"first fragment",
	 UDP(1500, .from = "10.0.1.10", .to = "10.0.1.11", .fragment = 0x2000, .payload = 64),
	 FIRST "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"the largest packet",
	 UDP(1500, .from = "10.0.1.10", .to = "10.0.1.11", .payload = TENANT_MTU - 28),
	 FIRST "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"one byte more",
	 UDP(1500, .from = "10.0.1.10", .to = "10.0.1.11", .payload = TENANT_MTU - 27),
	 "fwd1 FRAGMENTATION_NEEDED", TOLD, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED,
	 .blue = "fwd1 FRAGMENTATION_NEEDED", .blue_out = TOLD},
	{"one byte more, a later fragment",
	 UDP(1500, .from = "10.0.1.10", .to = "10.0.1.11", .fragment = 8,
	     .payload = TENANT_MTU - 19),
	 "fwd1 NOT_ANSWERED", .blue = "fwd1 NOT_ANSWERED"},
	{"no such endpoint", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.99"),
	 FIRST "UNREACHABLE", TOLD, ICMP_UNREACHABLE, ICMP_UNREACHABLE_HOST,
	 .again = "fwd1 UNREACHABLE", .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"no route", TCP(80, SYN, .from = "10.0.1.10", .to = "10.9.9.9"), FIRST "UNREACHABLE", TOLD,
	 ICMP_UNREACHABLE, ICMP_UNREACHABLE_NET, .again = "fwd1 UNREACHABLE",
	 .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"a route that the other tenant lacks",
	 TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.3.10"), FIRST "FORWARDED_FIRST", DELIVERED,
	 .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"too short for an error to embed",
	 {.from = "10.0.1.10", .to = "10.0.1.99", .protocol = 47, .payload = 7},
	 FIRST "NOT_ANSWERED",
	 .blue = FIRST "FORWARDED_FIRST",
	 .blue_out = DELIVERED},
	{"TTL used up", UDP(1500, .from = "10.0.1.10", .to = "10.0.2.10", .ttl = 1),
	 FIRST "TIME_EXCEEDED", TOLD, ICMP_TIME_EXCEEDED, 0, .again = "fwd1 TIME_EXCEEDED",
	 .blue = FIRST "TIME_EXCEEDED", .blue_out = TOLD},
	{"TTL 1 within a subnet", UDP(1500, .from = "10.0.1.10", .to = "10.0.1.11", .ttl = 1),
	 FIRST "FORWARDED_FIRST", DELIVERED, .blue = FIRST "FORWARDED_FIRST",
	 .blue_out = DELIVERED},
	{"no such sender", UDP(1500, .from = "10.0.1.77", .to = "10.0.1.11"), FIRST "NO_SOURCE",
	 .again = FIRST "NO_SOURCE", .blue = FIRST "NO_SOURCE"},
	{"another's MAC",
	 UDP(1500, .from = "10.0.1.10", .to = "10.0.1.11", .from_mac = "02:01:00:00:01:0b"),
	 FIRST "SPOOFED", .again = FIRST "SPOOFED", .blue = FIRST "SPOOFED"},
	{"the gateway pinged",
	 ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.1", .to_mac = "02:f1:00:00:01:01"),
	 "fwd1 GATEWAY_ECHO", ECHOED, .again = "fwd1 GATEWAY_ECHO", .blue = "fwd1 GATEWAY_ECHO",
	 .blue_out = ECHOED},
	{"another subnet's gateway pinged",
	 ECHO(PING, .from = "10.0.1.10", .to = "10.0.2.1", .to_mac = "02:f1:00:00:01:01"),
	 "fwd1 GATEWAY_ECHO", ECHOED, .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"the gateway by TCP", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.1"),
	 "fwd1 GATEWAY_PROTOCOL", .blue = "fwd1 GATEWAY_PROTOCOL"},
	{"an echo reply to the gateway",
	 ECHO(ICMP_ECHO_REPLY, .from = "10.0.1.10", .to = "10.0.1.1"), "fwd1 GATEWAY_PROTOCOL",
	 .blue = "fwd1 GATEWAY_PROTOCOL"},
	{"a fragment to the gateway",
	 ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.1", .fragment = 0x2000),
	 "fwd1 GATEWAY_PROTOCOL", .blue = "fwd1 GATEWAY_PROTOCOL"},
	{"multicast", UDP(1500, .from = "10.0.1.10", .to = "224.0.0.1"), "fwd1 INNER_BROADCAST",
	 .blue = "fwd1 INNER_BROADCAST"},
	{"broadcast", UDP(1500, .from = "10.0.1.10", .to = "255.255.255.255"),
	 "fwd1 INNER_BROADCAST", .blue = "fwd1 INNER_BROADCAST"},

	{"ARP for the gateway", ARP(.from = "10.0.1.10", .to = "10.0.1.1"), "fwd1 GATEWAY_ARP",
	 ANSWERED, .again = "fwd1 GATEWAY_ARP", .blue = "fwd1 GATEWAY_ARP", .blue_out = ANSWERED},
	{"ARP for an address that is the gateway's of one tenant only",
	 ARP(.from = "10.0.2.10", .to = "10.0.2.1"), "fwd1 GATEWAY_ARP", ANSWERED,
	 .blue = ASKED "SPOOFED"},
	{"ARP for an endpoint", ARP(.from = "10.0.1.10", .to = "10.0.1.11"), FIRST "ENDPOINT_ARP",
	 ANSWERED, .again = FIRST "ENDPOINT_ARP", .blue = FIRST "ENDPOINT_ARP",
	 .blue_out = ANSWERED},
	{"ARP for nobody", ARP(.from = "10.0.1.10", .to = "10.0.1.99"), ASKED "ARP_UNKNOWN",
	 .blue = FIRST "ENDPOINT_ARP", .blue_out = ANSWERED},
	{"ARP for another subnet's endpoint", ARP(.from = "10.0.1.10", .to = "10.0.2.10"),
	 ASKED "ARP_UNKNOWN", .blue = ASKED "ARP_UNKNOWN"},
	{"ARP for oneself", ARP(.from = "10.0.1.10", .to = "10.0.1.10"), ASKED "ARP_UNKNOWN",
	 .blue = ASKED "ARP_UNKNOWN"},
	{"ARP probe", ARP(.from = "0.0.0.0", .to = "10.0.1.10", .from_mac = "02:01:00:00:01:0a"),
	 ASKED "NO_SOURCE", .blue = ASKED "NO_SOURCE"},
	{"ARP in another's name",
	 ARP(.from = "10.0.1.10", .to = "10.0.1.11", .from_mac = "02:01:00:00:01:0c"),
	 ASKED "SPOOFED", .blue = ASKED "SPOOFED"},

	{"security group: a port of the range",
	 TCP(88, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), INSERTED_ "FORWARDED_FIRST",
	 DELIVERED, .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: the next port", TCP(89, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
	 FIRST "SECURITY_GROUP", .again = "fwd1 SECURITY_GROUP", .blue = FIRST "FORWARDED_FIRST",
	 .blue_out = DELIVERED},
	{"security group: the port before", TCP(79, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
	 FIRST "SECURITY_GROUP", .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: another protocol", UDP(80, .from = "10.0.1.10", .to = "10.0.1.20"),
	 FIRST "SECURITY_GROUP", .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: from the prefix", UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20"),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "NO_SOURCE"},
	{"security group: beside the prefix", UDP(1500, .from = "10.0.1.24", .to = "10.0.1.20"),
	 FIRST "SECURITY_GROUP", .blue = FIRST "SPOOFED"},
	{"security group: across subnets", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.20"),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"security group: from a member of the remote group",
	 TCP(22, SYN, .from = "10.0.1.21", .to = "10.0.1.20"), INSERTED_ "FORWARDED_FIRST",
	 DELIVERED, .blue = FIRST "SPOOFED"},
	{"security group: a member by its second group",
	 TCP(22, SYN, .from = "10.0.1.22", .to = "10.0.1.20"), INSERTED_ "FORWARDED_FIRST",
	 DELIVERED, .blue = FIRST "NO_SOURCE"},
	{"security group: from no member of the remote group",
	 TCP(22, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: only in the third place",
	 TCP(89, SYN, .from = "10.0.1.10", .to = "10.0.1.23"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"security group: one of several allows it",
	 TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.26"), INSERTED_ "FORWARDED_FIRST",
	 DELIVERED, .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"security group: none of several allows it",
	 TCP(23, SYN, .from = "10.0.1.10", .to = "10.0.1.26"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"security group: one without rules lets nothing in",
	 UDP(1500, .from = "10.0.1.10", .to = "10.0.1.21"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: one without egress rules lets all out",
	 UDP(1500, .from = "10.0.1.21", .to = "10.0.1.10"), INSERTED_ "FORWARDED_FIRST", DELIVERED,
	 .blue = FIRST "SPOOFED"},
	{"security group: not known here, in", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.24"),
	 FIRST "SECURITY_GROUP", .blue = INSERTED_ "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: not known here, out",
	 TCP(80, SYN, .from = "10.0.1.24", .to = "10.0.1.10"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "SPOOFED"},
	{"security group: egress allowed", TCP(443, SYN, .from = "10.0.1.25", .to = "10.0.1.10"),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .blue = FIRST "NO_SOURCE"},
	{"security group: egress not allowed",
	 TCP(444, SYN, .from = "10.0.1.25", .to = "10.0.1.10"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "NO_SOURCE"},
	{"security group: egress to another prefix",
	 TCP(443, SYN, .from = "10.0.1.25", .to = "10.0.2.10"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "NO_SOURCE"},
	{"security group: egress to a remote group",
	 TCP(80, SYN, .from = "10.0.1.25", .to = "10.0.1.20"), INSERTED_ "FORWARDED_FIRST",
	 DELIVERED, .blue = FIRST "NO_SOURCE"},
	{"security group: egress allowed, ingress not",
	 TCP(443, SYN, .from = "10.0.1.25", .to = "10.0.1.20"), FIRST "SECURITY_GROUP",
	 .blue = FIRST "NO_SOURCE"},
	{"security group: echo", ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.20"),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: all is allowed", ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.27"),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"security group: an echo reply that nobody asked for",
	 ECHO(ICMP_ECHO_REPLY, .from = "10.0.1.10", .to = "10.0.1.20"), FIRST "NO_SESSION",
	 .again = FIRST "NO_SESSION", .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: another ICMP type", ECHO(13, .from = "10.0.1.10", .to = "10.0.1.20"),
	 FIRST "NO_SESSION", .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: a fragment where echoes are allowed",
	 ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.20", .fragment = 0x2000),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: a fragment of what is no echo",
	 ECHO(13, .from = "10.0.1.10", .to = "10.0.1.20", .fragment = 0x2000), FIRST "NO_SESSION",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: a fragment where all of ICMP is allowed",
	 ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.27", .fragment = 0x2000),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "UNREACHABLE", .blue_out = TOLD},
	{"security group: the middle of no connection",
	 TCP(80, ACK, .from = "10.0.1.10", .to = "10.0.1.20"), FIRST "NO_SESSION",
	 .again = FIRST "NO_SESSION", .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: the answer to no SYN",
	 TCP(80, SYN | ACK, .from = "10.0.1.10", .to = "10.0.1.20"), FIRST "NO_SESSION",
	 .blue = FIRST "FORWARDED_FIRST", .blue_out = DELIVERED},
	{"security group: a fragment from the prefix",
	 UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20", .fragment = 0x2000, .payload = 64),
	 INSERTED_ "FORWARDED_FIRST", DELIVERED, .again = "fwd1 FORWARDED",
	 .blue = FIRST "NO_SOURCE"},
	{"security group: a fragment from beside it",
	 UDP(1500, .from = "10.0.1.24", .to = "10.0.1.20", .fragment = 0x2000, .payload = 64),
	 FIRST "SECURITY_GROUP", .blue = FIRST "SPOOFED"},
};

// The frame that must come out at the forwarder.
static int want_out(struct frame *f, const struct row *row, enum out out, uint32_t vni,
		    int entrance, uint32_t node)
{
	const struct inner *in = &row->inner;
	const struct endpoint_row *to = endpoint(vni, in->to), *from = endpoint(vni, in->from);
	const struct subnet_row *net = subnet(vni, in->from), *far = subnet(vni, in->to);
	const char *mac = in->from_mac ? in->from_mac : mac_of(RED, in->from);
	int host = from ? (int)from->host : 11;
	struct frame original;
	uint16_t hash = 0;

	switch (out) {
	case DELIVERED:
		write_ip(f, in, (in->ttl ? in->ttl : 64) - routed(vni, in));
		if (routed(vni, in))
			mac = far->mac ? far->mac : "00:00:00:00:00:00";
		frame_ethernet(f, to->mac, mac, ETH_P_IP);
		host = to->host;
		hash = hash_for(vni, in);
		break;
	case TOLD:
		write_ip(&original, in, in->ttl);
		frame_clear(f);
		frame_append(f, original.byte, 28);
		frame_icmp(f, row->type ? row->type : ICMP_UNREACHABLE,
			   row->type ? row->code
			   : far     ? ICMP_UNREACHABLE_HOST
				     : ICMP_UNREACHABLE_NET,
			   row->code == ICMP_FRAGMENTATION_NEEDED ? TENANT_MTU : 0);
		frame_ipv4(f, (struct ipv4_header){.from = net->gateway,
						   .to = in->from,
						   .protocol = IPPROTO_ICMP});
		frame_ethernet(f, mac, net->mac, ETH_P_IP);
		break;
	case ECHOED:
		frame_clear(f);
		frame_fill(f, in->payload);
		frame_icmp(f, ICMP_ECHO_REPLY, 0, (uint32_t)in->from_port << 16 | 1);
		frame_ipv4(f, (struct ipv4_header){.from = in->to,
						   .to = in->from,
						   .protocol = IPPROTO_ICMP,
						   .id = 77});
		frame_ethernet(f, mac, in->to_mac, ETH_P_IP);
		break;
	case ANSWERED: {
		const char *answer = to ? to->mac : net->mac;
		struct session_key key = {.b = address_must(in->to),
					  .vni = {vni >> 16, vni >> 8, vni}};

		frame_clear(f);
		frame_arp(f, (struct arp_message){.to = mac,
						  .from = answer,
						  .operation = ARP_REPLY,
						  .sender_mac = answer,
						  .sender = in->to,
						  .target_mac = mac,
						  .target = in->from});
		// The op's own source port, as its bytes are.
		if (to)
			hash = htons(0xC000 | (hash_of(&key) & 0x3FFF));
		break;
	}
	default:
		return 0;
	}
	wrap_to_host(f, host, entrance, vni, hash, node);
	return 1;
}

static int check_out(const char *name, const struct row *row, enum out out, uint32_t vni,
		     int entrance, uint32_t node, const struct journey *j)
{
	struct frame want;

	return want_out(&want, row, out, vni, entrance, node) ? frames_compare(name, &want, &j->out)
							      : 0;
}

// "fwd1" of a path becomes the forwarder's name.
static void path_for(const char *path, const char *forwarder, char out[PATH_ROOM])
{
	size_t used = 0;

	while (*path && used < PATH_ROOM - 8)
		if (!strncmp(path, "fwd1", 4)) {
			used += sprintf(out + used, "%s", forwarder);
			path += 4;
		} else {
			out[used++] = *path++;
		}
	out[used] = 0;
}

static int check_row(struct world *w, const struct row *row, int node, int entrance)
{
	const struct {
		uint32_t vni;
		const char *path, *again;
		enum out out;
	} each[] = {
		{RED, row->red, row->again, row->out},
		{BLUE, row->blue, NULL, row->blue_out},
		{NOBODY, "fwd1 NO_VPC", NULL, DROPPED},
	};
	int wrong = 0;

	forget(w);
	for (size_t i = 0; i < COUNT(each); i++) {
		const struct endpoint_row *from = endpoint(each[i].vni, row->inner.from);
		char name[160], path[PATH_ROOM];
		struct journey j;
		struct frame f;

		snprintf(name, sizeof(name), "%s, %s, VNI %06x", row->name, w->node[node].name,
			 each[i].vni);
		write_inner(&f, &row->inner);
		wrap_from_host(&f, from ? from->host : 11, entrance, each[i].vni);
		wrong |= travel(w, node, &f, &j);
		path_for(each[i].path, w->node[node].name, path);
		wrong |= path_is(name, &j, path);
		wrong |= check_out(name, row, each[i].out, each[i].vni, entrance, node, &j);
		if (!each[i].again)
			continue;
		snprintf(name, sizeof(name), "%s, again, %s, VNI %06x", row->name,
			 w->node[node].name, each[i].vni);
		wrong |= travel(w, node, &f, &j);
		path_for(each[i].again, w->node[node].name, path);
		wrong |= path_is(name, &j, path);
		wrong |= check_out(name, row, each[i].out, each[i].vni, entrance, node, &j);
	}
	return wrong;
}

static int test_rows(struct world *w)
{
	int wrong = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		wrong += check_row(w, &rows[i], FWD1, OF_FWD1);
		wrong += check_row(w, &rows[i], GNV, OF_GNV);
	}
	return wrong;
}

// A switch that does not know yet where an entrance is floods: only the owner may serve.
static int test_flooded(struct world *w)
{
	static const int foreign[] = {OF_FWD2, DEAD};
	int wrong = 0;

	for (size_t i = 0; i < COUNT(foreign); i++) {
		struct journey j;
		struct frame f;

		write_inner(&f, &rows[0].inner);
		wrap_from_host(&f, 11, foreign[i], RED);
		wrong |= travel(w, FWD1, &f, &j);
		wrong |= path_is("an entrance that is not this node's", &j, "fwd1 NOT_ENTRANCE");
	}
	return wrong;
}

// ---- malformed tunnels: a good frame with some bytes changed ----

// The offsets in a frame from a host: Ethernet, IPv4 at 14, UDP at 34, tunnel at 42, the tenant's
// Ethernet at 50, IPv4 at 64, TCP at 84.
struct broken {
	const char *name;
	int node;
	unsigned int at, length;
	uint8_t byte[4];
	unsigned int cut; // 0, or the frame's length; the outer IPv4 length goes with it
	const char *verdict;
	int after_vpc; // the VPC is looked up before
};

static const struct broken broken_frames[] = {
	{"IPv6 outside", FWD1, 12, 2, {0x86, 0xDD}, 0, "PASS", 0},
	{"version 6 outside", FWD1, 14, 1, {0x65}, 0, "PASS", 0},
	{"TCP outside", FWD1, 23, 1, {6}, 0, "PASS", 0},
	{"to somebody else", FWD1, 30, 4, {192, 168, 0, 1}, 0, "PASS", 0},
	{"to a port that is not the tunnel's", FWD1, 36, 2, {0x17, 0xC1}, 0, "PASS", 0},
	{"less than an IPv4 header outside", FWD1, 0, 0, {}, 33, "PASS", 0},
	{"outer options", FWD1, 14, 1, {0x46}, 0, "UNDERLAY_MALFORMED", 0},
	{"outer first fragment", FWD1, 20, 2, {0x20, 0}, 0, "UNDERLAY_MALFORMED", 0},
	{"outer last fragment", FWD1, 20, 2, {0, 9}, 0, "UNDERLAY_MALFORMED", 0},
	{"longer outside than it is", FWD1, 16, 2, {1, 0}, 0, "UNDERLAY_MALFORMED", 0},
	{"shorter outside than its headers", FWD1, 16, 2, {0, 27}, 0, "UNDERLAY_MALFORMED", 0},
	{"no UDP header", FWD1, 0, 0, {}, 41, "UNDERLAY_MALFORMED", 0},
	{"no VXLAN header", FWD1, 0, 0, {}, 49, "TRUNCATED", 0},
	{"no frame in VXLAN", FWD1, 0, 0, {}, 63, "TRUNCATED", 0},
	{"VXLAN without a VNI", FWD1, 42, 1, {0}, 0, "TUNNEL_MALFORMED", 0},
	{"no Geneve header", GNV, 0, 0, {}, 49, "TRUNCATED", 0},
	{"no frame in Geneve", GNV, 0, 0, {}, 63, "TRUNCATED", 0},
	{"Geneve version 1", GNV, 42, 1, {0x40}, 0, "TUNNEL_MALFORMED", 0},
	{"Geneve control packet", GNV, 43, 1, {0x80}, 0, "TUNNEL_MALFORMED", 0},
	{"IPv4 in Geneve", GNV, 44, 2, {8, 0}, 0, "TUNNEL_MALFORMED", 0},
	{"critical option", GNV, 42, 2, {1, 0x40}, 0, "TUNNEL_OPTION", 0},
	{"options past the end", GNV, 42, 1, {63}, 0, "TRUNCATED", 0},
	{"IPX inside", FWD1, 62, 2, {0x81, 0x37}, 0, "INNER_PROTOCOL", 1},
	{"IPv4 said to be IPv6", FWD1, 62, 2, {0x86, 0xDD}, 0, "INNER_MALFORMED", 1},
	{"VLAN inside", FWD1, 62, 2, {0x81, 0}, 0, "INNER_VLAN", 1},
	{"service VLAN inside", GNV, 62, 2, {0x88, 0xA8}, 0, "INNER_VLAN", 1},
	{"half an IPv4 header inside", FWD1, 0, 0, {}, 83, "TRUNCATED", 1},
	{"version 5 inside", FWD1, 64, 1, {0x55}, 0, "INNER_MALFORMED", 1},
	{"header of 16 bytes inside", FWD1, 64, 1, {0x44}, 0, "INNER_MALFORMED", 1},
	{"options inside", FWD1, 64, 1, {0x46}, 0, "INNER_OPTIONS", 1},
	{"longer inside than it is", FWD1, 66, 2, {0, 41}, 0, "TRUNCATED", 1},
	{"shorter inside than its header", FWD1, 66, 2, {0, 19}, 0, "TRUNCATED", 1},
	{"half a TCP header inside", FWD1, 66, 2, {0, 39}, 103, "INNER_MALFORMED", 1},
	{"less than an ARP message", FWD1, 62, 2, {8, 6}, 91, "ARP_MALFORMED", 1},
	{"ARP that is none", FWD1, 62, 2, {8, 6}, 0, "ARP_MALFORMED", 1},
};

static int test_broken_frames(struct world *w)
{
	int wrong = 0;

	for (size_t i = 0; i < COUNT(broken_frames); i++) {
		const struct broken *b = &broken_frames[i];
		const uint32_t vni[] = {RED, BLUE, NOBODY};
		const struct inner inner = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.11");

		for (int k = 0; k < 3; k++) {
			struct frame f;
			struct journey j;
			char path[64];

			write_inner(&f, &inner);
			wrap_from_host(&f, 11, b->node == GNV ? OF_GNV : OF_FWD1, vni[k]);
			memcpy(f.byte + b->at, b->byte, b->length);
			if (b->cut) {
				f.length = b->cut;
				f.byte[16] = 0;
				f.byte[17] = b->cut - sizeof(struct ethhdr);
			}
			snprintf(path, sizeof(path), "%s %s", w->node[b->node].name,
				 k == 2 && b->after_vpc ? "NO_VPC" : b->verdict);
			wrong |= travel(w, b->node, &f, &j);
			wrong += path_is(b->name, &j, path);
			if (j.action == XDP_PASS)
				wrong += frames_compare(b->name, &f, &j.out);
		}
	}
	return wrong;
}

// Options that a host adds and nobody here knows are stepped over: on the way to the table, from
// the cache, and where the gateway itself answers.
static int test_geneve_options(struct world *w)
{
	static const uint8_t options[12] = {0x01, 0x02, 0x03, 2, 1, 2, 3, 4, 5, 6, 7, 8};
	static const struct row sent[] = {
		{"options, routed", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		 "gnv LOOKED_UP > ftn3 REPLIED > gnv FORWARDED_FIRST", DELIVERED,
		 .again = "gnv FORWARDED"},
		{"options, TTL used up", UDP(7, .from = "10.0.1.10", .to = "10.0.2.10", .ttl = 1),
		 "gnv LOOKED_UP > ftn3 REPLIED > gnv TIME_EXCEEDED", TOLD, ICMP_TIME_EXCEEDED, 0,
		 .again = "gnv TIME_EXCEEDED"},
		{"options, the gateway pinged",
		 ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.1", .to_mac = "02:f1:00:00:01:01"),
		 "gnv GATEWAY_ECHO", ECHOED, .again = "gnv GATEWAY_ECHO"},
		{"options, ARP", ARP(.from = "10.0.1.10", .to = "10.0.1.1"), "gnv GATEWAY_ARP",
		 ANSWERED, .again = "gnv GATEWAY_ARP"},
	};
	char ip[16], mac[18];
	struct journey j;
	struct frame f;
	int wrong = 0;

	entrance_text(OF_GNV, ip, mac);
	for (size_t i = 0; i < COUNT(sent); i++) {
		const struct row *row = &sent[i];

		write_inner(&f, &row->inner);
		frame_geneve(&f, RED, 0, options, sizeof(options));
		frame_udp(&f, 50000, GENEVE_PORT, 0);
		frame_ipv4(&f, (struct ipv4_header){
				       .from = "192.168.0.11", .to = ip, .protocol = IPPROTO_UDP});
		frame_ethernet(&f, mac, "02:0a:00:00:00:0b", ETH_P_IP);
		wrong += travel(w, GNV, &f, &j);
		wrong += path_is(row->name, &j, row->red);
		wrong += check_out(row->name, row, row->out, RED, OF_GNV, GNV, &j);
		wrong += travel(w, GNV, &f, &j);
		wrong += path_is(row->name, &j, row->again);
		wrong += check_out(row->name, row, row->out, RED, OF_GNV, GNV, &j);
	}
	return wrong;
}

// A host asks for an entrance; its owner alone answers.
static int test_entrance_arp(struct world *w)
{
	static const struct {
		const char *name;
		int node;
		uint16_t operation;
		const char *target;
		const char *verdict;
	} asked[] = {
		{"own", FWD1, ARP_REQUEST, "192.168.0.201", "fwd1 ENTRANCE_ARP"},
		{"own, Geneve", GNV, ARP_REQUEST, "192.168.0.203", "gnv ENTRANCE_ARP"},
		{"another's", FWD1, ARP_REQUEST, "192.168.0.202", "fwd1 PASS"},
		{"dead", FWD1, ARP_REQUEST, "192.168.0.205", "fwd1 PASS"},
		{"no entrance", FWD1, ARP_REQUEST, "192.168.0.100", "fwd1 PASS"},
		{"a reply", FWD1, ARP_REPLY, "192.168.0.201", "fwd1 PASS"},
		{"not a forwarder's", FTN1, ARP_REQUEST, "192.168.0.201", "ftn1 PASS"},
	};
	int wrong = 0;

	for (size_t i = 0; i < COUNT(asked); i++) {
		char mac[18], ip[16];
		struct frame f = {}, want = {};
		struct journey j;

		frame_arp(&f, (struct arp_message){.to = "ff:ff:ff:ff:ff:ff",
						   .from = "02:0a:00:00:00:0b",
						   .operation = asked[i].operation,
						   .sender_mac = "02:0a:00:00:00:0b",
						   .sender = "192.168.0.11",
						   .target_mac = "00:00:00:00:00:00",
						   .target = asked[i].target});
		wrong += travel(w, asked[i].node, &f, &j);
		wrong += path_is(asked[i].name, &j, asked[i].verdict);
		if (j.action == XDP_PASS) {
			wrong += frames_compare(asked[i].name, &f, &j.out);
			continue;
		}
		entrance_text(asked[i].node == GNV ? OF_GNV : OF_FWD1, ip, mac);
		frame_arp(&want, (struct arp_message){.to = "02:0a:00:00:00:0b",
						      .from = mac,
						      .operation = ARP_REPLY,
						      .sender_mac = mac,
						      .sender = ip,
						      .target_mac = "02:0a:00:00:00:0b",
						      .target = "192.168.0.11"});
		wrong += frames_compare(asked[i].name, &want, &j.out);
	}
	return wrong;
}

// Known by its address, but nobody's: what would leave with it does not.
static int test_dead_entrance(struct world *w)
{
	struct inner ping =
		ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.1", .to_mac = "02:f1:00:00:01:01");
	const uint32_t vni[] = {RED, BLUE, NOBODY};
	int wrong = 0;

	for (int i = 0; i < 3; i++) {
		struct journey j;
		struct frame f;

		write_inner(&f, &ping);
		wrap_from_host(&f, 11, DEAD, vni[i]);
		wrong += travel(w, FWD1, &f, &j);
		wrong += path_is("dead entrance", &j, "fwd1 NOT_ENTRANCE");
	}
	return wrong;
}

// ---- ops ----

static struct dft_packet op_get(const struct frame *f)
{
	struct dft_packet d;

	memcpy(&d, f->byte + sizeof(struct ethhdr), sizeof(d));
	return d;
}

static void op_put(struct frame *f, const struct dft_packet *d)
{
	memcpy(f->byte + sizeof(struct ethhdr), d, sizeof(*d));
}

// An op that was kept back: as if its forwarder had sent it now. Whether it comes too late is
// another question.
static void op_renew(struct frame *f)
{
	struct dft_packet d = op_get(f);

	d.op.clock_ms = htonl(clock_ms());
	op_put(f, &d);
}

static void op_to(struct dft_packet *d, int node)
{
	struct in6_addr address;
	char ip[16];

	node_ip_text(node, ip);
	address = address_must(ip);
	d->ip.daddr = address_v4(&address);
}

static struct decision want_decision(uint32_t vni, const struct inner *in, int back)
{
	const struct endpoint_row *from = endpoint(vni, in->from), *to = endpoint(vni, in->to);
	const struct endpoint_row *target = back ? from : to;
	const struct subnet_row *net = subnet(vni, target->ip);
	struct decision d = {
		.action = DECIDE_FORWARD,
		.vni = {vni >> 16, vni >> 8, vni},
		.flags = DECISION_DIRECT | (routed(vni, in) ? DECISION_ROUTED : 0),
	};
	char ip[16], mac[18];

	host_text(target->host, ip, mac);
	d.host = address_must(ip);
	mac_parse(mac, d.host_mac);
	mac_parse(target->mac, d.to_mac);
	if (routed(vni, in))
		mac_parse(net->mac, d.from_mac);
	return d;
}

static void option_header(struct geneve_option *o, uint8_t type, size_t size)
{
	*o = (struct geneve_option){
		.class = htons(DFT_CLASS), .type = type, .length = (size - sizeof(*o)) / 4};
}

// A frame of the cluster's protocol, built from its fields; inner is the tenant's.
static void write_op(struct frame *f, int from, int to, uint32_t vni, uint16_t source_port,
		     const struct dft_packet *d, const struct frame *inner)
{
	char from_ip[16], to_ip[16], from_mac[18], to_mac[18];
	struct dft_packet copy = *d;

	option_header(&copy.op.header, DFT_OPTION_OP, sizeof(copy.op));
	for (int i = 0; i < 2; i++)
		option_header(&copy.towards[i].header, DFT_OPTION_DECISION,
			      sizeof(copy.towards[i]));
	option_header(&copy.translation.header, DFT_OPTION_TRANSLATION, sizeof(copy.translation));
	node_ip_text(from, from_ip);
	node_ip_text(to, to_ip);
	node_mac_text(from, from_mac);
	node_mac_text(to, to_mac);
	*f = *inner;
	frame_geneve(f, vni, GENEVE_CRITICAL, &copy.op, DFT_OPTIONS_BYTES);
	frame_udp(f, source_port, GENEVE_PORT, 0);
	frame_ipv4(f, (struct ipv4_header){.from = from_ip,
					   .to = to_ip,
					   .protocol = IPPROTO_UDP,
					   .fragment = 0x4000});
	frame_ethernet(f, to_mac, from_mac, ETH_P_IP);
}

// The op as a forwarder begins it.
static struct dft_packet want_asked(int forwarder, int entrance, const struct session_key *key)
{
	char ip[16], mac[18];
	struct dft_packet d = {
		.op = {.version = DFT_VERSION,
		       .op = DFT_LOOKUP,
		       .hops = MAX_HOPS,
		       .entrance = entrance,
		       .epoch = htonl(EPOCH),
		       .term = htonl(TERM),
		       .bucket = htonl((uint32_t)hash_of(key) % BUCKETS),
		       .boot = htonl(node_boot(forwarder))},
	};

	node_ip_text(forwarder, ip);
	node_mac_text(forwarder, mac);
	d.op.forwarder = address_must(ip);
	mac_parse(mac, d.op.forwarder_mac);
	return d;
}

// Every byte of every op of a first packet's way through chain 0.
static int check_ops(struct world *w, const char *name, uint32_t vni, uint32_t policy,
		     const struct inner *in, int stateful)
{
	int from_b, wrong = 0;
	struct session_key key = key_of(vni, in, &from_b);
	uint16_t port = 0xC000 | (hash_of(&key) & 0x3FFF);
	struct dft_packet d = want_asked(FWD1, OF_FWD1, &key);
	struct frame inner, f, want;
	struct journey j = {};
	uint32_t before, clock;

	forget(w);
	write_inner(&inner, in);
	f = inner;
	wrap_from_host(&f, endpoint(vni, in->from)->host, OF_FWD1, vni);
	before = clock_ms();
	wrong += step(w, FWD1, &f, &j);
	clock = ntohl(op_get(&j.out).op.clock_ms);
	if (clock - before > clock_ms() - before) {
		fprintf(stderr, "%s: clock %u\n", name, clock);
		wrong++;
	}
	d.op.clock_ms = htonl(clock);
	write_op(&want, FWD1, FTN3, vni, port, &d, &inner);
	wrong += frames_compare(name, &want, &j.out);

	wrong += step(w, FTN3, &j.out, &j);
	d.towards[from_b].decision = want_decision(vni, in, 0);
	d.towards[!from_b].decision = want_decision(vni, in, 1);
	d.op.policy = htonl(policy);
	d.op.op = DFT_REPLY;
	if (stateful) {
		d.op.op = DFT_INSERT;
		d.op.flags = DFT_OBSERVED;
		d.op.state = htons(DFT_LIVE << DFT_LIFE_SHIFT | (from_b ? DFT_BEGUN_BY_B : 0));
		write_op(&want, FTN3, FTN1, vni, port, &d, &inner);
		wrong += frames_compare(name, &want, &j.out);

		for (int i = FTN1; i < FTN3; i++) {
			wrong += step(w, i, &j.out, &j);
			d.op.flags = DFT_OBSERVED | DFT_REPLICATION;
			d.op.stamp = d.op.incarnation = (struct dft_stamp_wire){0, htonl(1)};
			write_op(&want, i, i + 1, vni, port, &d, &inner);
			wrong += frames_compare(name, &want, &j.out);
		}
		wrong += step(w, FTN3, &j.out, &j);
		d.op.op = DFT_REPLY;
		d.op.flags = DFT_STATEFUL;
	}
	write_op(&want, FTN3, FWD1, vni, port, &d, &inner);
	wrong += frames_compare(name, &want, &j.out);
	wrong += go_on(w, &j);
	return wrong +
	       path_is(name, &j, stateful ? INSERTED_ "FORWARDED_FIRST" : FIRST "FORWARDED_FIRST");
}

static int test_op_bytes(struct world *w)
{
	const struct inner within = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.11"),
			   across = UDP(53, .from = "10.0.2.10", .to = "10.0.1.10", .payload = 9),
			   guarded = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.20"),
			   backwards = TCP(80, SYN, .from = "10.0.1.25", .to = "10.0.1.20"),
			   open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.24"),
			   neighbours = UDP(7, .from = "10.0.1.10", .to = "10.0.1.12");

	return check_ops(w, "op, within a subnet", RED, 5, &within, 0) +
	       check_ops(w, "op, across subnets", RED, 5, &across, 0) +
	       check_ops(w, "op, on one host", RED, 5, &neighbours, 0) +
	       check_ops(w, "op, stateful across subnets", RED, 5, &guarded, 1) +
	       check_ops(w, "op, stateful, begun by b", RED, 5, &backwards, 1) +
	       check_ops(w, "op, the other tenant", BLUE, 9, &within, 0) +
	       check_ops(w, "op, stateful, the other tenant", BLUE, 9, &open, 1);
}

// An ARP request that a forwarder cannot answer, op by op.
static int test_arp_op(struct world *w)
{
	const struct inner arp = ARP(.from = "10.0.1.10", .to = "10.0.1.11");
	const uint32_t vni[] = {RED, BLUE};
	int wrong = 0;

	for (int i = 0; i < 2; i++) {
		struct session_key key = {.b = address_must(arp.to),
					  .vni = {vni[i] >> 16, vni[i] >> 8, vni[i]}};
		uint16_t port = 0xC000 | (hash_of(&key) & 0x3FFF);
		struct dft_packet d = want_asked(FWD1, OF_FWD1, &key);
		const char *mac = endpoint(vni[i], arp.to)->mac;
		struct frame f, inner, want;
		struct journey j = {};

		write_inner(&inner, &arp);
		f = inner;
		wrap_from_host(&f, endpoint(vni[i], arp.from)->host, OF_FWD1, vni[i]);
		wrong += step(w, FWD1, &f, &j);
		d.op.table = DFT_ENDPOINTS;
		d.op.clock_ms = op_get(&j.out).op.clock_ms;
		write_op(&want, FWD1, FTN3, vni[i], port, &d, &inner);
		wrong += frames_compare("ARP op", &want, &j.out);

		wrong += step(w, FTN3, &j.out, &j);
		d.op.op = DFT_REPLY;
		d.towards[0].decision = want_decision(vni[i], &arp, 1);
		d.towards[0].decision.flags = DECISION_UNCACHED;
		frame_clear(&inner);
		frame_arp(&inner, (struct arp_message){.to = mac_of(RED, arp.from),
						       .from = mac,
						       .operation = ARP_REPLY,
						       .sender_mac = mac,
						       .sender = arp.to,
						       .target_mac = mac_of(RED, arp.from),
						       .target = arp.from});
		write_op(&want, FTN3, FWD1, vni[i], port, &d, &inner);
		wrong += frames_compare("ARP reply op", &want, &j.out);

		// However late: nothing is cached of it, and the question is gone.
		d = op_get(&j.out);
		d.op.clock_ms = htonl(ntohl(d.op.clock_ms) - PACKET_LIFE_MS - 100);
		op_put(&j.out, &d);
		wrong += go_on(w, &j);
		wrong += path_is("ARP op", &j, FIRST "ENDPOINT_ARP");
	}
	return wrong;
}

// A good op with a field changed, at some node.
struct broken_op {
	const char *name;
	int op;	   // of LOOKUP_ ..
	int node;  // where it arrives
	size_t at; // in struct dft_packet
	unsigned int length;
	uint8_t byte[4];
	const char *red;
	const char *blue;   // NULL: as RED
	const char *nobody; // NULL: as RED
};

enum { LOOKUP_, INSERT_, REPLICATION_, REPLY_, STATEFUL_REPLY_, ARP_REPLY_, DENIAL_ };

#define AT(field) offsetof(struct dft_packet, field)
#define INNER(offset) (sizeof(struct dft_packet) + (offset))

static const struct broken_op broken_ops[] = {
	{"as it is",
	 LOOKUP_,
	 FTN3,
	 0,
	 0,
	 {},
	 .red = "ftn3 REPLIED > fwd1 FORWARDED_FIRST",
	 .nobody = "ftn3 NO_VPC"},
	{"from a stranger",
	 LOOKUP_,
	 FTN3,
	 AT(ip.saddr),
	 4,
	 {172, 16, 0, 99},
	 .red = "ftn3 DFT_FOREIGN"},
	{"from itself, on the wire",
	 LOOKUP_,
	 FTN3,
	 AT(ip.saddr),
	 4,
	 {172, 16, 0, 1 + FTN3},
	 .red = "ftn3 DFT_FOREIGN"},
	{"not Geneve", LOOKUP_, FTN3, AT(udp.dest), 2, {1, 1}, .red = "ftn3 PASS"},
	{"another length of options",
	 LOOKUP_,
	 FTN3,
	 AT(geneve.version_length),
	 1,
	 {41},
	 .red = "ftn3 DFT_MALFORMED"},
	{"not critical", LOOKUP_, FTN3, AT(geneve.flags), 1, {0}, .red = "ftn3 DFT_MALFORMED"},
	{"not Ethernet",
	 LOOKUP_,
	 FTN3,
	 AT(geneve.protocol),
	 2,
	 {8, 0},
	 .red = "ftn3 DFT_MALFORMED"},
	{"another class",
	 LOOKUP_,
	 FTN3,
	 AT(op.header.class),
	 2,
	 {0xFF, 0x5B},
	 .red = "ftn3 DFT_MALFORMED"},
	{"another type", LOOKUP_, FTN3, AT(op.header.type), 1, {0x82}, .red = "ftn3 DFT_MALFORMED"},
	{"another size", LOOKUP_, FTN3, AT(op.header.length), 1, {18}, .red = "ftn3 DFT_MALFORMED"},
	{"no first decision",
	 LOOKUP_,
	 FTN3,
	 AT(towards[0].header.type),
	 1,
	 {1},
	 .red = "ftn3 DFT_MALFORMED"},
	{"no second decision",
	 LOOKUP_,
	 FTN3,
	 AT(towards[1].header.length),
	 1,
	 {11},
	 .red = "ftn3 DFT_MALFORMED"},
	{"no translation",
	 LOOKUP_,
	 FTN3,
	 AT(translation.header.type),
	 1,
	 {2},
	 .red = "ftn3 DFT_MALFORMED"},
	{"another version", LOOKUP_, FTN3, AT(op.version), 1, {2}, .red = "ftn3 DFT_MALFORMED"},
	{"op 0", LOOKUP_, FTN3, AT(op.op), 1, {0}, .red = "ftn3 DFT_MALFORMED"},
	{"op 11", LOOKUP_, FTN3, AT(op.op), 1, {DFT_OPS}, .red = "ftn3 DFT_MALFORMED"},
	{"touch", LOOKUP_, FTN1, AT(op.op), 1, {DFT_TOUCH}, .red = "ftn1 DFT_MALFORMED"},
	{"a collect with a packet",
	 LOOKUP_,
	 FTN1,
	 AT(op.op),
	 1,
	 {DFT_COLLECT},
	 .red = "ftn1 DFT_MALFORMED"},
	{"a copy with a packet",
	 LOOKUP_,
	 FTN3,
	 AT(op.op),
	 1,
	 {DFT_COPY},
	 .red = "ftn3 DFT_MALFORMED"},
	{"a lookup with a key",
	 LOOKUP_,
	 FTN3,
	 AT(geneve.protocol),
	 2,
	 {DFT_KEYED >> 8, DFT_KEYED & 255},
	 .red = "ftn3 DFT_MALFORMED"},
	{"a lookup as replication, at no learner",
	 REPLICATION_,
	 FTN2,
	 AT(op.op),
	 1,
	 {DFT_LOOKUP},
	 .red = "ftn2 DFT_MALFORMED"},
	{"no such bucket",
	 INSERT_,
	 FTN1,
	 AT(op.bucket),
	 4,
	 {0, 1, 0, 1},
	 .red = "ftn1 DFT_MALFORMED"},
	{"aliases", LOOKUP_, FTN3, AT(op.table), 1, {DFT_ALIASES}, .red = "ftn3 DFT_MALFORMED"},
	{"insert without an observation",
	 INSERT_,
	 FTN1,
	 AT(op.flags),
	 1,
	 {0},
	 .red = "ftn1 DFT_MALFORMED"},
	{"insert into the directory",
	 INSERT_,
	 FTN1,
	 AT(op.table),
	 1,
	 {DFT_ENDPOINTS},
	 .red = "ftn1 DFT_MALFORMED"},
	{"lookup, at a forwarder",
	 LOOKUP_,
	 FWD2,
	 0,
	 0,
	 {},
	 .red = "fwd2 REDIRECTED > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
	 .nobody = "fwd2 REDIRECTED > ftn3 NO_VPC"},
	{"reply, at a table node",
	 REPLY_,
	 FTN2,
	 0,
	 0,
	 {},
	 .red = "ftn2 REPLIED > fwd1 FORWARDED_FIRST"},
	{"reply, to a table node",
	 REPLY_,
	 FTN2,
	 AT(op.forwarder) + 12,
	 4,
	 {172, 16, 0, 1 + FTN2},
	 .red = "ftn2 NOT_MEMBER"},
	{"reply, to a stranger",
	 REPLY_,
	 FTN2,
	 AT(op.forwarder) + 12,
	 4,
	 {172, 16, 0, 99},
	 .red = "ftn2 DFT_FOREIGN"},
	{"replication, at no member", REPLICATION_, FTN8, 0, 0, {}, .red = "ftn8 NOT_MEMBER"},
	{"unknown chain", LOOKUP_, FTN3, AT(op.chain), 4, {0, 0, 0, 99}, .red = "ftn3 NO_VIEW"},
	{"replication, as it is",
	 REPLICATION_,
	 FTN2,
	 0,
	 0,
	 {},
	 .red = "ftn2 REPLICATED > ftn3 REPLIED > fwd1 FORWARDED_FIRST"},
	{"replication, former term",
	 REPLICATION_,
	 FTN2,
	 AT(op.term),
	 4,
	 {0, 0, 0, TERM - 1},
	 .red = "ftn2 STALE_TERM"},
	{"replication, later term",
	 REPLICATION_,
	 FTN2,
	 AT(op.term),
	 4,
	 {0, 0, 0, TERM + 1},
	 .red = "ftn2 STALE_TERM"},
	{"replication, former epoch",
	 REPLICATION_,
	 FTN2,
	 AT(op.epoch),
	 4,
	 {0, 0, 0, EPOCH - 1},
	 .red = "ftn2 STALE_TERM"},
	{"replication of neither a live record nor a tombstone",
	 REPLICATION_,
	 FTN2,
	 AT(op.state),
	 1,
	 {0},
	 .red = "ftn2 DFT_MALFORMED"},
	{"replication of an unknown life",
	 REPLICATION_,
	 FTN2,
	 AT(op.state),
	 1,
	 {0x30},
	 .red = "ftn2 DFT_MALFORMED"},
	{"insert, former term",
	 INSERT_,
	 FTN1,
	 AT(op.term),
	 4,
	 {0, 0, 0, TERM - 1},
	 .red = "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 FORWARDED_FIRST"},
	{"lookup, not at the tail",
	 LOOKUP_,
	 FTN1,
	 0,
	 0,
	 {},
	 .red = "ftn1 REDIRECTED > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
	 .nobody = "ftn1 REDIRECTED > ftn3 NO_VPC"},
	{"lookup, at no member",
	 LOOKUP_,
	 FTN8,
	 0,
	 0,
	 {},
	 .red = "ftn8 REDIRECTED > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
	 .nobody = "ftn8 REDIRECTED > ftn3 NO_VPC"},
	{"insert, not at the head",
	 INSERT_,
	 FTN2,
	 0,
	 0,
	 {},
	 .red = "ftn2 REDIRECTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		"FORWARDED_FIRST"},
	{"lookup, no hops left", LOOKUP_, FTN1, AT(op.hops), 1, {0}, .red = "ftn1 HOPS_EXCEEDED"},
	{"lookup, the last hop",
	 LOOKUP_,
	 FTN1,
	 AT(op.hops),
	 1,
	 {1},
	 .red = "ftn1 REDIRECTED > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
	 .nobody = "ftn1 REDIRECTED > ftn3 NO_VPC"},
	{"insert, no hops left", INSERT_, FTN2, AT(op.hops), 1, {0}, .red = "ftn2 HOPS_EXCEEDED"},
	{"at the table: IPX inside",
	 LOOKUP_,
	 FTN3,
	 INNER(12),
	 2,
	 {0x81, 0x37},
	 .red = "ftn3 INNER_PROTOCOL"},
	{"at the table: options inside",
	 LOOKUP_,
	 FTN3,
	 INNER(14),
	 1,
	 {0x46},
	 .red = "ftn3 INNER_OPTIONS"},
	{"at the table: longer inside than it is",
	 LOOKUP_,
	 FTN3,
	 INNER(16),
	 2,
	 {0, 41},
	 .red = "ftn3 TRUNCATED"},
	{"at the table: no ARP",
	 LOOKUP_,
	 FTN3,
	 AT(op.table),
	 1,
	 {DFT_ENDPOINTS},
	 .red = "ftn3 ARP_MALFORMED"},
	{"reply, as it is", REPLY_, FWD1, 0, 0, {}, .red = "fwd1 FORWARDED_FIRST"},
	{"reply, another boot",
	 REPLY_,
	 FWD1,
	 AT(op.boot),
	 4,
	 {1, 2, 3, 4},
	 .red = "fwd1 STALE_REPLY"},
	{"reply, at a forwarder that did not ask",
	 REPLY_,
	 FWD2,
	 0,
	 0,
	 {},
	 .red = "fwd2 REPLIED > fwd1 FORWARDED_FIRST"},
	{"reply, late",
	 REPLY_,
	 FWD1,
	 AT(op.clock_ms),
	 2,
	 {0xFE, 0xFE},
	 .red = "fwd1 LOOKED_UP_AGAIN > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
	 .nobody = "fwd1 LOOKED_UP_AGAIN > ftn3 NO_VPC"},
	{"reply, no such entrance",
	 REPLY_,
	 FWD1,
	 AT(op.entrance),
	 1,
	 {ENTRANCES},
	 .red = "fwd1 NOT_ENTRANCE"},
	{"reply, impossible entrance",
	 REPLY_,
	 FWD1,
	 AT(op.entrance),
	 1,
	 {255},
	 .red = "fwd1 NOT_ENTRANCE"},
	{"reply, nothing decided",
	 REPLY_,
	 FWD1,
	 AT(towards[0].decision.action),
	 1,
	 {0},
	 .red = "fwd1 DFT_MALFORMED"},
	{"reply, unknown action",
	 REPLY_,
	 FWD1,
	 AT(towards[0].decision.action),
	 1,
	 {9},
	 .red = "fwd1 DFT_MALFORMED"},
	{"reply, drop without a reason",
	 REPLY_,
	 FWD1,
	 AT(towards[0].decision.action),
	 1,
	 {DECIDE_DROP},
	 .red = "fwd1 DFT_MALFORMED"},
	{"reply, drop for what is no drop",
	 DENIAL_,
	 FWD1,
	 AT(towards[0].decision.reason),
	 1,
	 {FORWARDED},
	 .red = "fwd1 DFT_MALFORMED"},
	{"reply, drop for an unknown reason",
	 DENIAL_,
	 FWD1,
	 AT(towards[0].decision.reason),
	 1,
	 {255},
	 .red = "fwd1 DFT_MALFORMED"},
	{"reply, drop", DENIAL_, FWD1, 0, 0, {}, .red = "fwd1 SECURITY_GROUP"},
	{"ARP reply, as it is", ARP_REPLY_, FWD1, 0, 0, {}, .red = "fwd1 ENDPOINT_ARP"},
	{"ARP reply, nothing decided",
	 ARP_REPLY_,
	 FWD1,
	 AT(towards[0].decision.action),
	 1,
	 {0},
	 .red = "fwd1 DFT_MALFORMED"},
	{"ARP reply, routed",
	 ARP_REPLY_,
	 FWD1,
	 AT(towards[0].decision.flags),
	 1,
	 {DECISION_ROUTED},
	 .red = "fwd1 DFT_MALFORMED"},
};

// What arrives somewhere on a first packet's way.
static int op_of_kind(struct world *w, int kind, uint32_t vni, struct frame *out)
{
	const struct inner open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
			   guarded = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
			   denied = TCP(99, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
			   arp = ARP(.from = "10.0.1.10", .to = "10.0.1.11");
	const struct inner *in = kind == DENIAL_		     ? &denied
				 : kind == ARP_REPLY_		     ? &arp
				 : kind == LOOKUP_ || kind == REPLY_ ? &open
								     : &guarded;
	static const int steps[] = {
		[LOOKUP_] = 1,	  [INSERT_] = 2, [REPLICATION_] = 3,   [REPLY_] = 2,
		[ARP_REPLY_] = 2, [DENIAL_] = 2, [STATEFUL_REPLY_] = 5};
	struct dft_packet d;
	struct journey j = {};
	struct frame f;
	int wrong;

	forget(w);
	write_inner(&f, in);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong = step(w, FWD1, &f, &j);
	for (int i = 1; i < steps[kind]; i++)
		wrong |= step(w, j.at, &j.out, &j);
	forget(w);
	d = op_get(&j.out);
	d.geneve.vni[0] = vni >> 16;
	d.geneve.vni[1] = vni >> 8;
	d.geneve.vni[2] = vni;
	op_put(&j.out, &d);
	*out = j.out;
	return wrong;
}

static int test_broken_ops(struct world *w)
{
	int wrong = 0;

	for (size_t i = 0; i < COUNT(broken_ops); i++) {
		const struct broken_op *b = &broken_ops[i];
		const struct {
			uint32_t vni;
			const char *path;
		} each[] = {
			{RED, b->red},
			{BLUE, b->blue ? b->blue : b->red},
			{NOBODY, b->nobody ? b->nobody : b->red},
		};

		for (size_t k = 0; k < COUNT(each); k++) {
			struct dft_packet d;
			struct journey j;
			struct frame f;

			wrong += op_of_kind(w, b->op, each[k].vni, &f);
			d = op_get(&f);
			op_to(&d, b->node);
			op_put(&f, &d);
			memcpy(f.byte + sizeof(struct ethhdr) + b->at, b->byte, b->length);
			wrong += travel(w, b->node, &f, &j);
			wrong += path_is(b->name, &j, each[k].path);
		}
	}
	return wrong;
}

// What a host sends in the name of a node, where nodes have a network of their own.
static int test_op_of_a_host(struct world *w)
{
	const struct node_wish wish = {
		.name = "apart", .index = FTN3, .roles = ROLE_FTN, .zgc_ifindex = 2};
	struct verdict_count before[VERDICTS], after[VERDICTS];
	uint32_t action, index = FWD1;
	struct frame f, out = {};
	struct in6_addr ip;
	struct node apart;
	char text[16];
	int wrong;

	wrong = op_of_kind(w, LOOKUP_, RED, &f);
	node_load(&apart, &wish);
	node_ip_text(FWD1, text);
	ip = address_must(text);
	node_put(&apart, "node_by_ip", &ip, &index);
	verdicts_read(apart.entry.verdicts, before);
	wrong |= target_run(&apart.entry, &f, &action, &out) != 0;
	verdicts_read(apart.entry.verdicts, after);
	if (after[DFT_FOREIGN].packets != before[DFT_FOREIGN].packets + 1) {
		fprintf(stderr, "an op of a host was taken\n");
		wrong++;
	}
	node_free(&apart);
	return wrong;
}

// Ops that end early: never anything but dropped, by name.
static int test_cut_ops(struct world *w)
{
	const int kinds[] = {LOOKUP_, INSERT_, REPLICATION_, REPLY_, ARP_REPLY_};
	const int node[] = {FTN3, FTN1, FTN2, FWD1, FWD1};
	int wrong = 0;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct frame whole, f;

		wrong += op_of_kind(w, kinds[i], RED, &whole);
		for (size_t length = sizeof(struct ethhdr); length < whole.length; length++) {
			uint16_t total = htons(length - sizeof(struct ethhdr));
			struct journey j;

			f = whole;
			f.length = length;
			memcpy(f.byte + 16, &total, sizeof(total));
			wrong += travel(w, node[i], &f, &j);
			if (length < 34 ? j.action != XDP_PASS
					: j.action != XDP_DROP || strstr(j.path, "BUG")) {
				fprintf(stderr, "cut to %zu: %s\n", length, j.path);
				wrong++;
			}
		}
	}
	return wrong;
}

// The redirected op has one hop less, and the redirecting node's addresses outside.
static int test_redirect_bytes(struct world *w)
{
	const struct inner open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11");
	struct frame f, inner, want;
	struct dft_packet d;
	struct journey j = {};
	int wrong = op_of_kind(w, LOOKUP_, RED, &f);

	d = op_get(&f);
	op_to(&d, FTN2);
	op_put(&f, &d);
	wrong += step(w, FTN2, &f, &j);
	write_inner(&inner, &open);
	d.op.hops--;
	write_op(&want, FTN2, FTN3, RED, ntohs(d.udp.source), &d, &inner);
	return wrong + frames_compare("redirected", &want, &j.out);
}

// ---- whole paths ----

// A packet of an endpoint to a forwarder, and on until it leaves the cluster.
static int sends(struct world *w, const char *name, int node, int entrance, uint32_t vni,
		 const struct inner *in, const char *path, enum out out, struct journey *j)
{
	const struct endpoint_row *from = endpoint(vni, in->from);
	struct row row = {.name = name, .inner = *in};
	char full[160];
	struct frame f;
	int wrong;

	snprintf(full, sizeof(full), "%s, VNI %06x", name, vni);
	write_inner(&f, in);
	wrap_from_host(&f, from ? from->host : 11, entrance, vni);
	wrong = travel(w, node, &f, j);
	wrong += path_is(full, j, path);
	return wrong + check_out(full, &row, out, vni, entrance, node, j);
}

// " > ftn1 REPLICATED > ftn2 .." of the nodes of chain 0 from `first` on, and the end's REPLIED.
static void chain_path(const struct world *w, uint32_t first, char out[PATH_ROOM])
{
	size_t used = 0;

	for (uint32_t i = first; i < w->chain_length; i++)
		used += snprintf(out + used, PATH_ROOM - used, " > %s %s", w->node[FTN1 + i].name,
				 i + 1 < w->chain_length ? "REPLICATED" : "REPLIED");
}

// All replicas have the same record, and nobody else has one.
static int replicas_equal(const struct world *w, const char *name, const struct session_key *key,
			  const struct dft_record *want)
{
	int wrong = 0;

	for (uint32_t i = 0; i < NODES; i++) {
		int member = i >= FTN1 && i < FTN1 + w->chain_length;
		struct dft_record r;

		if (node_session(&w->node[i], key, &r) != member) {
			fprintf(stderr, "%s: %s %s the session\n", name, w->node[i].name,
				member ? "lacks" : "has");
			wrong++;
		} else if (member && memcmp(&r, want, sizeof(r))) {
			fprintf(stderr, "%s: %s has stamp %u.%u, life %u.%u, state %x, life %u\n",
				name, w->node[i].name, r.stamp.floor, r.stamp.counter,
				r.incarnation.floor, r.incarnation.counter, r.state, r.life);
			wrong++;
		}
	}
	return wrong;
}

static int no_sessions(const struct world *w, const char *name)
{
	unsigned int count = 0;

	for (int i = 0; i < NODES; i++)
		count += node_count(&w->node[i], "sessions");
	if (count)
		fprintf(stderr, "%s: %u sessions\n", name, count);
	return count != 0;
}

static struct dft_record want_record(uint32_t vni, uint32_t policy, const struct inner *in,
				     uint32_t counter, uint16_t state)
{
	struct dft_record r = {
		.stamp = {0, counter},
		.incarnation = {0, 1},
		.policy = policy,
		.state = state,
		.life = DFT_LIVE,
	};
	int from_b;

	key_of(vni, in, &from_b);
	r.state |= from_b ? DFT_BEGUN_BY_B : 0;
	r.towards[from_b] = want_decision(vni, in, 0);
	r.towards[!from_b] = want_decision(vni, in, 1);
	return r;
}

static struct inner reversed(const struct inner *in, uint8_t flags)
{
	return (struct inner){.from = in->to,
			      .to = in->from,
			      .protocol = in->protocol,
			      .flags = flags,
			      .type = in->type,
			      .from_port = in->to_port,
			      .to_port = in->from_port};
}

// A connection's life over a chain of some length: begun, answered at another forwarder, closed.
static int check_chain(struct world *w, uint32_t length, int learner)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.20"), ack = syn,
		     fin = syn, answer = reversed(&syn, SYN | ACK),
		     fin_b = reversed(&syn, FIN | ACK), reset = reversed(&syn, RST);
	char name[64], chain[PATH_ROOM], path[2 * PATH_ROOM];
	uint32_t live = length - learner;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 1, 0);
	struct journey j;

	ack.flags = ACK;
	fin.flags = FIN | ACK;
	set_chain(w, length, learner);
	forget(w);
	snprintf(name, sizeof(name), "chain of %u%s", live, learner ? " and a learner" : "");

	// Insert: from the tail, which evaluates, to the head and down. A head that is the tail
	// goes on at once.
	chain_path(w, live == 1 ? 1 : 0, chain);
	if (length == 1)
		snprintf(path, sizeof(path),
			 "fwd1 LOOKED_UP > ftn1 REPLIED > fwd1 FORWARDED_FIRST");
	else
		snprintf(path, sizeof(path), "fwd1 LOOKED_UP > ftn%u %s%s > fwd1 FORWARDED_FIRST",
			 live, live == 1 ? "REPLICATED" : "INSERTED", chain);
	wrong += sends(w, name, FWD1, OF_FWD1, RED, &syn, path, DELIVERED, &j);
	wrong += replicas_equal(w, name, &key, &want);

	wrong += sends(w, name, FWD1, OF_FWD1, RED, &ack, "fwd1 FORWARDED", DELIVERED, &j);
	// A hit passes the learner.
	chain[0] = 0;
	if (learner)
		snprintf(chain, sizeof(chain), " > %s REPLIED", w->node[FTN1 + live].name);
	snprintf(path, sizeof(path), "fwd2 LOOKED_UP > ftn%u %s%s > fwd2 FORWARDED_FIRST", live,
		 learner ? "REPLICATED" : "REPLIED", chain);
	wrong += sends(w, name, FWD2, OF_FWD2, RED, &answer, path, DELIVERED, &j);
	wrong += replicas_equal(w, name, &key, &want);
	// A SYN of a session that is cached: perhaps another's beginning, so the table is asked.
	snprintf(path, sizeof(path), "fwd1 LOOKED_UP > ftn%u %s%s > fwd1 FORWARDED_FIRST", live,
		 learner ? "REPLICATED" : "REPLIED", chain);
	wrong += sends(w, name, FWD1, OF_FWD1, RED, &syn, path, DELIVERED, &j);

	// The first side's end is told with the other's. Updates: merged at the head.
	wrong += sends(w, name, FWD1, OF_FWD1, RED, &fin, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += replicas_equal(w, name, &key, &want);
	chain_path(w, 0, chain);
	snprintf(path, sizeof(path), "fwd1 UPDATED%s > fwd1 FORWARDED_FIRST", chain);
	wrong += sends(w, name, FWD1, OF_FWD1, RED, &fin_b, path, DELIVERED, &j);
	want.stamp.counter = 2;
	want.state |= DFT_FINS;
	wrong += replicas_equal(w, name, &key, &want);
	// Again: nothing new, so nothing is stamped, but it passes them all.
	wrong += sends(w, name, FWD1, OF_FWD1, RED, &fin, path, DELIVERED, &j);
	wrong += replicas_equal(w, name, &key, &want);
	snprintf(path, sizeof(path), "fwd2 UPDATED%s > fwd2 FORWARDED_FIRST", chain);
	wrong += sends(w, name, FWD2, OF_FWD2, RED, &reset, path, DELIVERED, &j);
	want.stamp.counter = 3;
	want.state |= DFT_RST;
	wrong += replicas_equal(w, name, &key, &want);

	// The same bytes of the other tenant meet none of it.
	snprintf(path, sizeof(path), "fwd1 LOOKED_UP > ftn%u REPLIED > fwd1 UNREACHABLE", live);
	wrong += sends(w, name, FWD1, OF_FWD1, BLUE, &fin, path, TOLD, &j);
	wrong += sends(w, name, FWD1, OF_FWD1, NOBODY, &fin, "fwd1 NO_VPC", DROPPED, &j);
	return wrong;
}

static int test_chains(struct world *w)
{
	int wrong = 0;

	for (uint32_t length = 1; length <= MAX_CHAIN_LENGTH; length++) {
		wrong += check_chain(w, length, 0);
		wrong += check_chain(w, length + 1, 1);
	}
	return wrong;
}

// Plain switching and routing leave nothing behind, whatever the flags say.
static int test_stateless(struct world *w)
{
	struct inner in = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.10");
	const uint8_t flags[] = {SYN, ACK, FIN | ACK, RST};
	struct inner back = reversed(&in, ACK);
	int wrong = 0;
	struct journey j;

	for (size_t i = 0; i < COUNT(flags); i++) {
		in.flags = flags[i];
		wrong += sends(w, "stateless", FWD1, OF_FWD1, RED, &in,
			       i ? "fwd1 FORWARDED" : FIRST "FORWARDED_FIRST", DELIVERED, &j);
		wrong += sends(w, "stateless", FWD1, OF_FWD1, BLUE, &in,
			       i ? "fwd1 FORWARDED" : FIRST "FORWARDED_FIRST", DELIVERED, &j);
	}
	wrong += sends(w, "stateless, back", FWD1, OF_FWD1, RED, &back, "fwd1 FORWARDED", DELIVERED,
		       &j);
	wrong += sends(w, "stateless, back", FWD2, OF_FWD2, RED, &back,
		       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	return wrong + no_sessions(w, "stateless");
}

// One SYN through two forwarders: whose insert reaches the head first decides for both.
static int test_concurrent_insert(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 1, 0);
	struct row row = {.inner = syn};
	struct journey one = {}, two = {};
	struct dft_packet d;
	struct frame f;

	wrong += decided(w, &syn, &one);
	write_inner(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD2, RED);
	wrong += step(w, FWD2, &f, &two);
	wrong += step(w, FTN3, &two.out, &two);
	// As if the second had been evaluated after the endpoint moved.
	d = op_get(&two.out);
	d.towards[from_b].decision.host_mac[5] = 99;
	op_put(&two.out, &d);

	wrong += step(w, FTN1, &one.out, &one);
	wrong += go_on(w, &two);
	wrong += path_is("second", &two,
			 "fwd2 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > "
			 "ftn3 REPLIED > fwd2 FORWARDED_FIRST");
	wrong += check_out("second", &row, DELIVERED, RED, OF_FWD2, FWD2, &two);
	wrong += go_on(w, &one);
	wrong += path_is("first", &one, INSERTED_ "FORWARDED_FIRST");
	wrong += check_out("first", &row, DELIVERED, RED, OF_FWD1, FWD1, &one);
	return wrong + replicas_equal(w, "concurrent insert", &key, &want);
}

// Both at the same time, on two processors of the head.
#define RACES 2000

struct racer {
	const struct target *head;
	pthread_barrier_t *barrier;
	const struct frame *in;
	struct frame out[RACES];
	uint32_t action[RACES];
	int cpu, err;
};

static void *race(void *argument)
{
	struct racer *r = argument;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(r->cpu, &cpus);
	r->err = pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	for (int i = 0; i < RACES; i++) {
		struct frame f = *r->in;
		uint16_t port = htons(20000 + i);

		// Each round has a key of its own.
		memcpy(f.byte + sizeof(struct ethhdr) + INNER(14 + 20), &port, sizeof(port));
		pthread_barrier_wait(r->barrier);
		r->err |= target_run(r->head, &f, &r->action[i], &r->out[i]);
	}
	return NULL;
}

static int test_parallel_inserts(struct world *w)
{
	static struct racer racers[2];
	pthread_barrier_t barrier;
	pthread_t thread[2];
	cpu_set_t cpus;
	struct verdict_count before[VERDICTS], after[VERDICTS];
	uint64_t dropped = 0;
	int cpu = 0;
	struct frame in[2];
	struct dft_packet d;
	int wrong = op_of_kind(w, INSERT_, RED, &in[0]);

	if (sched_getaffinity(0, sizeof(cpus), &cpus) || CPU_COUNT(&cpus) < 2)
		return wrong; // nothing is parallel here
	for (int found = 0; found < 2; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			racers[found++].cpu = cpu;
	in[1] = in[0];
	d = op_get(&in[1]);
	d.towards[0].decision.host_mac[5] = 99;
	op_put(&in[1], &d);
	wrong += verdicts_read(w->node[FTN1].entry.verdicts, before) != 0;
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 2; i++) {
		racers[i].head = &w->node[FTN1].entry;
		racers[i].barrier = &barrier;
		racers[i].in = &in[i];
		if (pthread_create(&thread[i], NULL, race, &racers[i]))
			fatal("no thread");
	}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	pthread_barrier_destroy(&barrier);
	if (racers[0].err || racers[1].err) {
		fprintf(stderr, "parallel inserts cannot run\n");
		return wrong + 1;
	}
	// Whoever was first: both carry the same record on, with the first stamp. (Or one of them
	// is dropped by name: the flat table waits for its page's lock only so long.)
	for (int i = 0; i < RACES; i++) {
		if ((racers[0].action[i] == XDP_DROP) != (racers[1].action[i] == XDP_DROP)) {
			dropped++;
			continue;
		}
		struct dft_packet a = op_get(&racers[0].out[i]), b = op_get(&racers[1].out[i]);

		if (a.op.op == DFT_INSERT && (a.op.flags & DFT_REPLICATION) &&
		    a.op.stamp.counter == htonl(1) && !memcmp(&a.op.stamp, &b.op.stamp, 16) &&
		    !memcmp(a.towards, b.towards, sizeof(a.towards)))
			continue;
		fprintf(stderr, "parallel inserts: round %d has two winners\n", i);
		wrong++;
	}
	wrong += verdicts_read(w->node[FTN1].entry.verdicts, after) != 0;
	if (after[TABLE_BUSY].packets - before[TABLE_BUSY].packets == dropped)
		return wrong;
	fprintf(stderr, "parallel inserts: %" PRIu64 " dropped without a word\n", dropped);
	return wrong + 1;
}

static void put_floor(struct world *w, int node, const struct session_key *key, uint32_t floor)
{
	uint32_t bucket = (uint32_t)hash_of(key) % BUCKETS;

	node_put(&w->node[node], "floors", &bucket, &floor);
}

static uint32_t get_floor(struct world *w, int node, const struct session_key *key)
{
	uint32_t bucket = (uint32_t)hash_of(key) % BUCKETS, floor = 0;

	bpf_map_lookup_elem(node_map(&w->node[node], "floors"), &bucket, &floor);
	return floor;
}

static void put_floors(struct world *w, const struct session_key *key, uint32_t floor)
{
	for (int i = FTN1; i <= FTN8; i++)
		put_floor(w, i, key, floor);
}

// Down the path with the news, looked up again at its end, and then accepted.
#define REFUSED                                                                                    \
	"fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "               \
	"INSERTED+LOOKED_UP_AGAIN > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "      \
	"FORWARDED_FIRST"

// An insert names what its evaluator saw; where the head knows better it is looked up again.
static int test_observations(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 1, 0), tombstone = want;
	struct journey j = {};
	struct dft_packet d;

	// The head's floor has risen since.
	put_floor(w, FTN1, &key, 5);
	wrong += decided(w, &syn, &j);
	wrong += step(w, FTN1, &j.out, &j);
	// It goes down the path, as what the head knows: nothing, at that floor.
	d = op_get(&j.out);
	if (d.op.op != DFT_INSERT || !(d.op.flags & DFT_REPLICATION) || d.op.state ||
	    d.op.stamp.floor != htonl(5) || d.op.stamp.counter) {
		fprintf(stderr, "risen floor: what goes down is something else\n");
		wrong++;
	}
	wrong += go_on(w, &j);
	wrong += path_is("risen floor", &j, REFUSED);
	for (int i = FTN1; i <= FTN3; i++)
		if (get_floor(w, i, &key) != 5) {
			fprintf(stderr, "risen floor: %u at %s\n", get_floor(w, i, &key),
				w->node[i].name);
			wrong++;
		}
	want.stamp = want.incarnation = (struct dft_stamp){5, 1};
	wrong += replicas_equal(w, "risen floor", &key, &want);

	// A tail whose floor is behind has learned it by that.
	forget(w);
	put_floor(w, FTN3, &key, 4);
	wrong += sends(w, "floors apart", FWD1, OF_FWD1, RED, &syn, REFUSED, DELIVERED, &j);
	forget(w);

	// The observed floor is above the head's: it rises.
	put_floor(w, FTN3, &key, 6);
	wrong += sends(w, "floor above", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	if (get_floor(w, FTN1, &key) != 6) {
		fprintf(stderr, "the head's floor is %u\n", get_floor(w, FTN1, &key));
		wrong++;
	}
	for (int i = FTN1; i <= FTN3; i++)
		put_floor(w, i, &key, 0);

	// Over a tombstone: one more than it.
	forget(w);
	tombstone.life = DFT_TOMBSTONE;
	tombstone.stamp.counter = 4;
	tombstone.incarnation = (struct dft_stamp){0, 2};
	for (int i = FTN1; i <= FTN3; i++)
		node_session_put(&w->node[i], &key, &tombstone);
	wrong += sends(w, "over a tombstone", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	want.stamp = want.incarnation = (struct dft_stamp){0, 5};
	wrong += replicas_equal(w, "over a tombstone", &key, &want);

	// The tombstone came after the observation.
	forget(w);
	j.path[0] = 0;
	wrong += decided(w, &syn, &j);
	for (int i = FTN1; i <= FTN3; i++)
		node_session_put(&w->node[i], &key, &tombstone);
	wrong += go_on(w, &j);
	wrong += path_is("a tombstone since", &j, REFUSED);
	wrong += replicas_equal(w, "a tombstone since", &key, &want);

	// Only the head and the one behind it have it: the rest learn it from the refused packet.
	forget(w);
	j.path[0] = 0;
	wrong += decided(w, &syn, &j);
	node_session_put(&w->node[FTN1], &key, &tombstone);
	wrong += step(w, FTN1, &j.out, &j);
	wrong += step(w, FTN2, &j.out, &j);
	wrong += step(w, FTN3, &j.out, &j);
	// Just told, the tail does not know for how long caches have not been: the same life goes
	// on.
	wrong +=
		path_is("a tombstone that only the head has", &j,
			"fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "
			"UPDATED+LOOKED_UP_AGAIN");
	return wrong + replicas_equal(w, "a tombstone that only the head has", &key, &tombstone);
}

// O5: what replicas do with a record that is older, newer, or the same but different.
static int test_copies(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record record = want_record(RED, 5, &syn, 1, 0), other = record, got;
	struct cache_value cached;
	struct journey j;

	// Equal stamps, other content: nothing goes on, and the replica keeps what it has.
	other.towards[0].flags ^= DECISION_ROUTED;
	node_session_put(&w->node[FTN2], &key, &other);
	wrong += sends(w, "conflict", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 STAMP_CONFLICT",
		       DROPPED, &j);
	if (!node_session(&w->node[FTN2], &key, &got) || memcmp(&got, &other, sizeof(got))) {
		fprintf(stderr, "conflict: the record was changed\n");
		wrong++;
	}
	// The other tenant's key is another one: no conflict.
	wrong += sends(w, "conflict", FWD1, OF_FWD1, BLUE, &syn, FIRST "FORWARDED_FIRST", DELIVERED,
		       &j);

	// A newer one wins, and is what is released. (It is routed.)
	forget(w);
	other.stamp.counter = 9;
	node_session_put(&w->node[FTN2], &key, &other);
	wrong += sends(w, "newer", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST", DROPPED,
		       &j);
	if (!node_session(&w->node[FTN3], &key, &got) || memcmp(&got, &other, sizeof(got)) ||
	    !node_cached(&w->node[FWD1], &key, &cached) ||
	    cached.record.towards[0].flags != other.towards[0].flags) {
		fprintf(stderr, "newer: did not win\n");
		wrong++;
	}

	// Below the floor of a replica that does not have the key: a former life.
	forget(w);
	put_floor(w, FTN2, &key, 3);
	wrong += sends(w, "below the floor", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 OLD_INCARNATION",
		       DROPPED, &j);
	wrong += sends(w, "below the floor", FWD1, OF_FWD1, BLUE, &syn, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	// The head's floor is known to have risen: what it has is stamped anew.
	put_floor(w, FTN1, &key, 3);
	put_floor(w, FTN3, &key, 3);
	wrong += sends(w, "stamped anew", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	record.stamp = (struct dft_stamp){3, 2};
	wrong += replicas_equal(w, "stamped anew", &key, &record);

	// So by an update that has nothing new to say: a replica may lack the key.
	node_clear(&w->node[FTN2], "sessions");
	for (int i = FTN1; i <= FTN3; i++)
		put_floor(w, i, &key, 4);
	syn.flags = RST;
	wrong += sends(w, "update under a risen floor", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	node_clear(&w->node[FTN2], "sessions");
	for (int i = FTN1; i <= FTN3; i++)
		put_floor(w, i, &key, 5);
	wrong += sends(w, "the same update again", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	for (int i = FTN1; i <= FTN3; i++)
		put_floor(w, i, &key, 0);
	return wrong;
}

// Updates meet the life that they name, or none.
static int test_updates(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), reset = syn;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record record = want_record(RED, 5, &syn, 8, 0);
	struct journey j;

	reset.flags = RST;
	// The session is gone: what follows is that there is none.
	wrong += sends(w, "begin", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	for (int i = FTN1; i <= FTN3; i++)
		node_clear(&w->node[i], "sessions");
	wrong += sends(w, "update of nothing", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 LOOKED_UP_AGAIN > ftn3 REPLIED > fwd1 NO_SESSION",
		       DROPPED, &j);
	wrong += no_sessions(w, "update of nothing");

	// Another life of the key: it is left alone, and the packet goes where that life says.
	record.incarnation.counter = 7;
	for (int i = FTN1; i <= FTN3; i++)
		node_session_put(&w->node[i], &key, &record);
	wrong += sends(w, "update of another life", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 LOOKED_UP_AGAIN > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += replicas_equal(w, "update of another life", &key, &record);
	// The forwarder has learned it.
	wrong += sends(w, "update of this life", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	record.stamp.counter = 9;
	record.state |= DFT_RST;
	return wrong + replicas_equal(w, "update of this life", &key, &record);
}

// Whether the three replicas of a chain are equal: with the key's record at this stamp, or, where
// it is 0, without any; and the floor of its bucket.
static int three_have(struct world *w, const char *name, const int node[3],
		      const struct session_key *key, uint32_t floor, uint32_t counter)
{
	struct dft_record r;
	int wrong = 0;

	for (int i = 0; i < 3; i++) {
		int has = node_session(&w->node[node[i]], key, &r);

		if (has != (counter > 0) ||
		    (has && (r.stamp.floor != floor || r.stamp.counter != counter ||
			     r.life != DFT_LIVE)) ||
		    get_floor(w, node[i], key) != floor) {
			fprintf(stderr, "%s: %s has %d, stamp %u.%u, floor %u; not %u.%u\n", name,
				w->node[node[i]].name, has, has ? r.stamp.floor : 0,
				has ? r.stamp.counter : 0, get_floor(w, node[i], key), floor,
				counter);
			wrong++;
		}
	}
	return wrong;
}

// A replica in the middle without room says so to the tail, and that to the head: nobody has the
// session then, whatever is lost, late or doubled.
static int test_replica_full(struct world *w)
{
	const struct chain_value chain = {
		.epoch = EPOCH, .term = TERM, .live = 3, .node = {FTN1, FTN8, FTN3}};
	const int node[] = {FTN1, FTN8, FTN3};
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	struct frame first, copied, told;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct journey j = {};

	put_floors(w, &key, 0);
	node_sessions_fill(&w->node[FTN8], FEW_SESSIONS);
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], 0, &chain);
	write_inner(&first, &syn);
	wrap_from_host(&first, 11, OF_FWD1, RED);
	for (uint32_t i = 1; i <= 2; i++) {
		wrong += sends(
			w, "full middle", FWD1, OF_FWD1, RED, &syn,
			"fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn8 REPLICA_FULL "
			"> ftn3 REPLICA_FULL > ftn1 REPLICATED > ftn8 REPLICATED > ftn3 "
			"TABLE_FULL",
			DROPPED, &j);
		wrong += three_have(w, "full middle", node, &key, i, 0);
	}

	// A copy of what was refused comes late, when there is room: it is of no life.
	put_floors(w, &key, 0);
	j.path[0] = 0;
	wrong += step(w, FWD1, &first, &j);
	wrong += step(w, FTN3, &j.out, &j);
	wrong += step(w, FTN1, &j.out, &j);
	copied = j.out;
	wrong += go_on(w, &j);
	node_clear(&w->node[FTN8], "sessions");
	wrong += travel(w, FTN8, &copied, &j);
	wrong += path_is("late copy", &j, "ftn8 OLD_INCARNATION");
	wrong += three_have(w, "late copy", node, &key, 1, 0);

	// The copy that there was room for was before: who asked has its answer, and it stays.
	put_floors(w, &key, 0);
	node_sessions_fill(&w->node[FTN8], FEW_SESSIONS);
	j.path[0] = 0;
	wrong += step(w, FWD1, &first, &j);
	wrong += step(w, FTN3, &j.out, &j);
	wrong += step(w, FTN1, &j.out, &j);
	copied = j.out;
	wrong += step(w, FTN8, &j.out, &j);
	told = j.out;
	node_clear(&w->node[FTN8], "sessions");
	wrong += travel(w, FTN8, &copied, &j);
	wrong += path_is("a copy that finds room", &j,
			 "ftn8 REPLICATED > ftn3 REPLIED > fwd1 FORWARDED_FIRST");
	wrong += travel(w, FTN3, &told, &j);
	wrong += path_is("told too late", &j, "ftn3 TABLE_FULL");
	wrong += three_have(w, "told too late", node, &key, 0, 1);
	forget(w);

	// The tail's word to the head is lost: what the head still has passes nobody as it is.
	node_sessions_fill(&w->node[FTN8], FEW_SESSIONS);
	j.path[0] = 0;
	wrong += step(w, FWD1, &first, &j);
	wrong += step(w, FTN3, &j.out, &j);
	wrong += step(w, FTN1, &j.out, &j);
	copied = j.out;
	wrong += step(w, FTN8, &j.out, &j);
	wrong += step(w, FTN3, &j.out, &j);
	told = j.out;
	node_clear(&w->node[FTN8], "sessions");
	wrong += travel(w, FTN8, &copied, &j);
	wrong += path_is("a word lost", &j, "ftn8 REPLICATED > ftn3 OLD_INCARNATION");
	// Sent again, it is the head's again, under the floor that the tail has seen.
	wrong += sends(w, "sent again", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn8 REPLICATED > ftn3 "
		       "REPLIED > fwd1 FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += travel(w, FTN1, &told, &j);
	wrong += path_is("a word about another", &j, "ftn1 TABLE_FULL");
	for (int i = 0; i < 3; i++) {
		struct dft_record r = {};

		wrong += node_session(&w->node[node[i]], &key, &r) != 1 || r.stamp.floor != 1 ||
			 r.stamp.counter != 2;
	}
	forget(w);
	put_floors(w, &key, 0);
	set_chain(w, 3, 0);
	return wrong;
}

// A replica without room: nothing is released, neither where it is the head nor where it is not.
static int test_table_full(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		     open = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.11"),
		     blue = UDP(7, .from = "10.0.1.10", .to = "10.0.1.24");
	const struct chain_value full = {.epoch = EPOCH, .term = TERM, .live = 1, .node = {FTN8}},
				 last = {.epoch = EPOCH,
					 .term = TERM,
					 .live = 2,
					 .node = {FTN1, FTN8}};
	struct dft_record r;
	struct journey j;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);

	node_sessions_fill(&w->node[FTN8], FEW_SESSIONS);
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], 0, &full);
	wrong += sends(w, "full head", FWD1, OF_FWD1, RED, &syn, "fwd1 LOOKED_UP > ftn8 TABLE_FULL",
		       DROPPED, &j);
	wrong += sends(w, "full head", FWD1, OF_FWD1, BLUE, &blue,
		       "fwd1 LOOKED_UP > ftn8 TABLE_FULL", DROPPED, &j);
	wrong += sends(w, "full, but nothing to store", FWD1, OF_FWD1, RED, &open,
		       "fwd1 LOOKED_UP > ftn8 REPLIED > fwd1 FORWARDED_FIRST", DELIVERED, &j);
	// Nobody waits for ever for another CPU.
	if (w->flat) {
		node_sessions_lock(&w->node[FTN8], 1);
		wrong += sends(w, "busy head", FWD1, OF_FWD1, RED, &syn,
			       "fwd1 LOOKED_UP > ftn8 TABLE_BUSY", DROPPED, &j);
		node_sessions_lock(&w->node[FTN8], 0);
	}
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], 0, &last);
	for (int i = 0; i < 2; i++)
		wrong += sends(
			w, "full tail", FWD1, OF_FWD1, RED, &syn,
			"fwd1 LOOKED_UP > ftn8 INSERTED > ftn1 REPLICATED > ftn8 REPLICA_FULL > "
			"ftn1 REPLICATED > ftn8 TABLE_FULL",
			DROPPED, &j);
	wrong += node_session(&w->node[FTN1], &key, &r) != 0;
	return wrong;
}

// ---- ops without a packet ----

// As the loader of `from` has it sent; op: what differs.
static void write_keyed(struct frame *f, int from, int to, const struct session_key *key,
			uint8_t op, struct dft_stamp stamp)
{
	struct dft_packet d = {
		.op = {.version = DFT_VERSION,
		       .op = op,
		       .hops = MAX_HOPS,
		       .epoch = htonl(EPOCH),
		       .term = htonl(TERM),
		       .bucket = htonl((uint32_t)hash_of(key) % BUCKETS),
		       .stamp = {htonl(stamp.floor), htonl(stamp.counter)}},
	};
	struct dft_keyed keyed = {};
	struct frame inner;

	memcpy(keyed.key, key, sizeof(keyed.key));
	frame_clear(&inner);
	frame_append(&inner, &keyed, sizeof(keyed));
	write_op(f, from, to, key->vni[0] << 16 | key->vni[1] << 8 | key->vni[2],
		 0xC000 | (hash_of(key) & 0x3FFF), &d, &inner);
	d = op_get(f);
	d.geneve.protocol = htons(DFT_KEYED);
	op_put(f, &d);
}

static void put_record(struct dft_packet *d, const struct dft_record *r)
{
	d->op.stamp = (struct dft_stamp_wire){htonl(r->stamp.floor), htonl(r->stamp.counter)};
	d->op.incarnation =
		(struct dft_stamp_wire){htonl(r->incarnation.floor), htonl(r->incarnation.counter)};
	d->op.policy = htonl(r->policy);
	d->op.state = htons(r->state | r->life << DFT_LIFE_SHIFT);
	for (int i = 0; i < 2; i++)
		d->towards[i].decision = r->towards[i];
	d->translation.translation = r->translation;
}

// The frame with what differs in its op.
static void edit_op(struct frame *f, int from, int to, const struct dft_packet *changed)
{
	struct frame again;
	struct dft_packet d;

	frame_clear(&again);
	frame_append(&again, f->byte + DFT_HEADERS_BYTES, f->length - DFT_HEADERS_BYTES);
	write_op(f, from, to,
		 changed->geneve.vni[0] << 16 | changed->geneve.vni[1] << 8 |
			 changed->geneve.vni[2],
		 ntohs(changed->udp.source), changed, &again);
	d = op_get(f);
	d.geneve.protocol = changed->geneve.protocol;
	op_put(f, &d);
}

// An op without a packet, through to its end.
static int asks(struct world *w, const char *name, const struct session_key *key, uint8_t op,
		struct dft_stamp stamp, const char *path)
{
	struct journey j;
	struct frame f;
	int wrong;

	write_keyed(&f, FTN3, FTN1, key, op, stamp);
	wrong = travel(w, FTN1, &f, &j);
	return wrong + path_is(name, &j, path);
}

static int floors_are(struct world *w, const char *name, const struct session_key *key,
		      uint32_t want)
{
	int wrong = 0;

	for (uint32_t i = FTN1; i < FTN1 + w->chain_length; i++)
		if (get_floor(w, i, key) != want) {
			fprintf(stderr, "%s: floor %u at %s\n", name, get_floor(w, i, key),
				w->node[i].name);
			wrong++;
		}
	return wrong;
}

#define DOWN "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 OP_DONE"

// O8: every byte of a delete and of a collect on their way.
static int check_keyed_bytes(struct world *w, const struct session_key *key, uint8_t op,
			     struct dft_stamp named, const struct dft_record *record,
			     uint32_t floor)
{
	struct journey j = {};
	struct frame f, want;
	struct dft_packet d;
	int wrong = 0;

	write_keyed(&f, FTN3, FTN1, key, op, named);
	want = f;
	wrong += step(w, FTN1, &f, &j);
	d = op_get(&want);
	d.op.flags = DFT_REPLICATION;
	d.op.floor = htonl(floor);
	if (record)
		put_record(&d, record);
	for (int i = FTN1; i < FTN3; i++) {
		edit_op(&want, i, i + 1, &d);
		wrong += frames_compare("keyed", &want, &j.out);
		wrong += step(w, i + 1, &j.out, &j);
	}
	return wrong + path_is("keyed", &j, DOWN);
}

static void raise_policy(struct world *w, uint32_t policy)
{
	for (int i = 0; i < NODES; i++)
		put_vpc(&w->node[i], RED, policy);
}

// O7: who began a session that has ended lately need not wait until caches have forgotten it: its
// life goes on, with its decision. *tombstone is of all replicas; then it is that of the same life.
static int test_begun_again(struct world *w, const struct inner *syn, const struct session_key *key,
			    struct dft_record *tombstone)
{
	struct dft_record live = *tombstone;
	struct inner ack = *syn;
	struct journey j;
	int wrong = 0;

	ack.flags = ACK;
	wrong += sends(w, "ended, a late packet", FWD2, OF_FWD2, RED, &ack,
		       "fwd2 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	put_floors(w, key, tombstone->stamp.floor + 1);
	wrong += sends(w, "ended, under a risen floor", FWD2, OF_FWD2, RED, syn,
		       "fwd2 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	put_floors(w, key, tombstone->stamp.floor);
	wrong += replicas_equal(w, "ended", key, tombstone);
	wrong += sends(w, "ended, begun again", FWD2, OF_FWD2, RED, syn,
		       "fwd2 LOOKED_UP > ftn3 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "
		       "REPLIED > fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	live.life = DFT_LIVE;
	live.stamp.counter++;
	live.state += 1 << DFT_GENERATION_SHIFT;
	wrong += replicas_equal(w, "ended, begun again", key, &live);
	if (node_session_idle_s(&w->node[FTN3], key) > 50) {
		fprintf(stderr, "ended, begun again: no use of it\n");
		wrong++;
	}
	wrong += asks(w, "ended again", key, DFT_DELETE, live.stamp, DOWN);
	*tombstone = live;
	tombstone->life = DFT_TOMBSTONE;
	tombstone->stamp.counter++;
	return wrong + replicas_equal(w, "ended again", key, tombstone);
}

static int test_deletes(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		     syn_b = reversed(&syn, SYN),
		     blue = UDP(7, .from = "10.0.1.10", .to = "10.0.1.24");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b), other = key_of(RED, &blue, &from_b);
	struct dft_record want, live;
	struct journey j = {};
	struct dft_packet d;
	struct frame f, insert;

	key_of(RED, &syn, &from_b);
	want = live = want_record(RED, 5, &syn, 1, 0);
	put_floors(w, &key, 0);
	put_floors(w, &other, 0);
	// What is not there cannot be ended.
	wrong += asks(w, "delete of nothing", &key, DFT_DELETE, want.stamp, "ftn1 OLD_INCARNATION");

	// Kept back until the session's next life: it saw that there was nothing.
	wrong += decided(w, &syn, &j);
	insert = j.out;

	wrong += sends(w, "begin", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	wrong += sends(w, "begin", FWD1, OF_FWD1, BLUE, &blue, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += asks(w, "delete of another stamp", &key, DFT_DELETE, (struct dft_stamp){0, 2},
		      DOWN);
	wrong += replicas_equal(w, "delete of another stamp", &key, &want);
	// Not by whom another term made the tail; not by who is not the head.
	write_keyed(&f, FTN3, FTN1, &key, DFT_DELETE, want.stamp);
	d = op_get(&f);
	d.op.term = htonl(TERM - 1);
	op_put(&f, &d);
	wrong += travel(w, FTN1, &f, &j);
	wrong += path_is("a former tail's delete", &j, "ftn1 STALE_TERM");
	write_keyed(&f, FTN3, FTN2, &key, DFT_DELETE, (struct dft_stamp){0, 7});
	wrong += travel(w, FTN2, &f, &j);
	wrong += path_is("delete, not at the head", &j, "ftn2 REDIRECTED > " DOWN);
	wrong += replicas_equal(w, "no delete", &key, &want);

	// One replica has missed something: it learns it.
	live.stamp.counter = 3;
	node_session_put(&w->node[FTN1], &key, &live);
	wrong += asks(w, "delete of a former stamp", &key, DFT_DELETE, want.stamp, DOWN);
	wrong += replicas_equal(w, "delete of a former stamp", &key, &live);
	want.stamp.counter = 4;
	want.life = DFT_TOMBSTONE;
	wrong += check_keyed_bytes(w, &key, DFT_DELETE, live.stamp, &want, 0);
	wrong += replicas_equal(w, "delete", &key, &want);
	wrong += check_keyed_bytes(w, &key, DFT_DELETE, live.stamp, &want, 0);
	wrong += replicas_equal(w, "the same delete again", &key, &want);

	// O10: what may be cached somewhere is neither answered nor followed. The tail has answered
	// for it just now.
	wrong += sends(w, "quarantine", FWD2, OF_FWD2, RED, &syn_b,
		       "fwd2 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	node_session_mark(&w->node[FTN3], &key, 2 * REFRESH_MS / 1000, 0);
	wrong += sends(w, "quarantine, the last of it", FWD2, OF_FWD2, RED, &syn_b,
		       "fwd2 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	// Who becomes the tail does not know who was answered before.
	node_session_mark(&w->node[FTN3], &key, 3600, 0);
	node_tail(&w->node[FTN3], 0, NOW_TERM, 2);
	wrong += sends(w, "quarantine of a new tail", FWD2, OF_FWD2, RED, &syn_b,
		       "fwd2 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	node_tail(&w->node[FTN3], 0, NOW_TERM - 1, 3600);
	wrong += sends(w, "quarantine of a newer tail", FWD2, OF_FWD2, RED, &syn_b,
		       "fwd2 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	wrong += test_begun_again(w, &syn, &key, &want);
	wrong += sends(w, "nothing else", FWD2, OF_FWD2, BLUE, &blue,
		       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	node_tail(&w->node[FTN3], 0, NOW_TERM, 3600);
	node_session_mark(&w->node[FTN3], &key, 2 * REFRESH_MS / 1000 + 1, 0);
	wrong += sends(w, "the next life", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "
		       "REPLIED > fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	live = want_record(RED, 5, &syn, want.stamp.counter + 1, 0);
	live.incarnation = live.stamp;
	wrong += replicas_equal(w, "the next life", &key, &live);

	// Collected: what is newer than that is not, and goes down.
	wrong += asks(w, "collect of a former life", &key, DFT_COLLECT, want.stamp, DOWN);
	wrong += replicas_equal(w, "collect of a former life", &key, &live);
	wrong += asks(w, "delete", &key, DFT_DELETE, live.stamp, DOWN);
	want = live;
	want.life = DFT_TOMBSTONE;
	want.stamp.counter++;
	wrong += floors_are(w, "not collected", &key, 0);
	wrong += check_keyed_bytes(w, &key, DFT_COLLECT, want.stamp, NULL, 1);
	for (int i = FTN1; i <= FTN3; i++)
		if (node_session(&w->node[i], &key, &live)) {
			fprintf(stderr, "collect: %s has it still\n", w->node[i].name);
			wrong++;
		}
	wrong += floors_are(w, "collect", &key, 1);
	wrong += check_keyed_bytes(w, &key, DFT_COLLECT, want.stamp, NULL, 1);
	// A replica has missed that, and is asked to delete.
	node_session_put(&w->node[FTN2], &key, &want);
	put_floor(w, FTN2, &key, 0);
	wrong += asks(w, "delete of what is collected", &key, DFT_DELETE, want.stamp, DOWN);
	wrong += floors_are(w, "delete of what is collected", &key, 1);
	if (node_session(&w->node[FTN2], &key, &live)) {
		fprintf(stderr, "delete of what is collected: ftn2 has it still\n");
		wrong++;
	}
	// What saw nothing before that is late.
	j = (struct journey){};
	op_renew(&insert);
	wrong += step(w, FTN1, &insert, &j);
	wrong += step(w, FTN2, &j.out, &j);
	wrong += step(w, FTN3, &j.out, &j);
	wrong += path_is("an old observation", &j,
			 "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 INSERTED+LOOKED_UP_AGAIN");
	wrong += go_on(w, &j);
	want = want_record(RED, 5, &syn, 1, 0);
	want.stamp = want.incarnation = (struct dft_stamp){1, 1};
	wrong += replicas_equal(w, "an old observation", &key, &want);
	other = key_of(BLUE, &blue, &from_b);
	want = want_record(BLUE, 9, &blue, 1, 0);
	wrong += replicas_equal(w, "nothing else", &other, &want);
	put_floors(w, &key, 0);
	return wrong;
}

// Only the first so many have the session.
static void only(struct world *w, uint32_t first, const struct session_key *key,
		 const struct dft_record *record)
{
	for (uint32_t i = FTN1; i <= FTN3; i++) {
		node_clear(&w->node[i], "sessions");
		if (i < FTN1 + first)
			node_session_put(&w->node[i], key, record);
	}
}

// O9: an insert was lost on its way down, before the second or before the third. By a delete that
// names no record its head sends it down again; what that brings may be late.
static int test_pushes(struct world *w)
{
	const struct dft_stamp none = {};
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 1, 0), ended, left;
	struct journey j = {}, late = {};
	struct frame f;

	put_floors(w, &key, 0);
	wrong += asks(w, "push of nothing", &key, DFT_DELETE, none, "ftn1 OLD_INCARNATION");
	for (uint32_t first = 1; first <= 3; first++) {
		only(w, first, &key, &want);
		wrong += asks(w, "push", &key, DFT_DELETE, none, DOWN);
		wrong += replicas_equal(w, "push", &key, &want);
	}
	// Of a tombstone, too.
	ended = want;
	ended.life = DFT_TOMBSTONE;
	ended.stamp.counter++;
	only(w, 1, &key, &ended);
	wrong += asks(w, "push of a tombstone", &key, DFT_DELETE, none, DOWN);
	wrong += replicas_equal(w, "push of a tombstone", &key, &ended);
	// What others know that is newer stays, and the head does not learn it so.
	only(w, 1, &key, &want);
	node_session_put(&w->node[FTN2], &key, &ended);
	wrong += asks(w, "push of what is older", &key, DFT_DELETE, none, DOWN);
	if (!node_session(&w->node[FTN3], &key, &left) || memcmp(&left, &ended, sizeof(left))) {
		fprintf(stderr, "push of what is older: not the newer one at ftn3\n");
		wrong++;
	}
	// A learner gets it like the others.
	set_chain(w, 3, 1);
	only(w, 2, &key, &want);
	wrong += asks(w, "push to a learner", &key, DFT_DELETE, none, DOWN);
	wrong += replicas_equal(w, "push to a learner", &key, &want);
	set_chain(w, 3, 0);

	// One on its way, while the session ends and is collected: it brings nothing back.
	only(w, 3, &key, &want);
	write_keyed(&f, FTN3, FTN1, &key, DFT_DELETE, none);
	wrong += step(w, FTN1, &f, &late);
	wrong += asks(w, "delete", &key, DFT_DELETE, want.stamp, DOWN);
	wrong += asks(w, "collect", &key, DFT_COLLECT, ended.stamp, DOWN);
	f = late.out;
	wrong += travel(w, FTN2, &f, &j);
	wrong += path_is("a late push", &j, "ftn2 OLD_INCARNATION");
	for (int i = FTN1; i <= FTN3; i++)
		if (node_session(&w->node[i], &key, &left)) {
			fprintf(stderr, "a late push: %s has it again\n", w->node[i].name);
			wrong++;
		}
	wrong += floors_are(w, "a late push", &key, 1);
	// What the head alone has under an earlier floor it stamps anew.
	only(w, 1, &key, &want);
	wrong += asks(w, "push under a risen floor", &key, DFT_DELETE, none, DOWN);
	want.stamp = (struct dft_stamp){1, want.stamp.counter + 1};
	wrong += replicas_equal(w, "push under a risen floor", &key, &want);
	put_floors(w, &key, 0);
	return wrong;
}

// O9: while its end is under way a session is not answered, by whatever op it comes to the tail.
static int test_dying(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), reset = syn;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 1, 0);
	const uint32_t mark = session_mark(EPOCH, TERM);
	struct journey j;
	struct frame f;

	reset.flags = RST;
	wrong += sends(w, "begin", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	// An answer is a use.
	node_session_mark(&w->node[FTN3], &key, 100, 0);
	wrong += sends(w, "used", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	if (node_session_idle_s(&w->node[FTN3], &key) > 50) {
		fprintf(stderr, "used: not noticed\n");
		wrong++;
	}
	// So is what goes by without changing anything; what has no packet is none.
	node_session_mark(&w->node[FTN3], &key, 100, 0);
	wrong += asks(w, "no use", &key, DFT_DELETE, (struct dft_stamp){0, 9}, DOWN);
	if (node_session_idle_s(&w->node[FTN3], &key) < 100) {
		fprintf(stderr, "no use: taken for one\n");
		wrong++;
	}
	write_inner(&f, &syn);
	wrong += sends(w, "update", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	node_session_mark(&w->node[FTN3], &key, 100, 0);
	wrong += sends(w, "the same update", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	if (node_session_idle_s(&w->node[FTN3], &key) > 50) {
		fprintf(stderr, "the same update: not noticed\n");
		wrong++;
	}

	node_session_mark(&w->node[FTN3], &key, 100, mark);
	syn.flags = ACK;
	node_clear(&w->node[FWD2], "cache");
	wrong += sends(w, "dying", FWD2, OF_FWD2, RED, &syn, "fwd2 LOOKED_UP > ftn3 SESSION_ENDING",
		       DROPPED, &j);
	wrong += sends(w, "dying", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 SESSION_ENDING",
		       DROPPED, &j);
	if (node_session_idle_s(&w->node[FTN3], &key) < 100) {
		fprintf(stderr, "dying: used\n");
		wrong++;
	}
	// What changes it makes it another record than the one that is to end.
	reset.flags = RST | FIN;
	wrong += sends(w, "dying, changed", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	// A mark of a former term, or at who is not the tail, means nothing.
	node_session_mark(&w->node[FTN3], &key, 100, session_mark(EPOCH, TERM - 1));
	node_clear(&w->node[FWD2], "cache");
	wrong += sends(w, "another term's mark", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	node_session_mark(&w->node[FTN2], &key, 100, mark);
	wrong += sends(w, "another's mark", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	want.stamp.counter = 3;
	want.state |= (from_b ? DFT_FIN_FROM_B : DFT_FIN_FROM_A) | DFT_RST;
	return wrong + replicas_equal(w, "dying", &key, &want);
}

static void outbox_put_at(struct world *w, int node, uint32_t serial, uint32_t state)
{
	struct outbox_entry e = {.serial = serial, .state = state};
	uint32_t at = serial % MAX_OUTBOX;

	node_put(&w->node[node], "outbox", &at, &e);
}

static int outbox_is_at(struct world *w, const char *name, int node, uint32_t serial,
			uint32_t state)
{
	struct outbox_entry e = {};
	uint32_t at = serial % MAX_OUTBOX;

	bpf_map_lookup_elem(node_map(&w->node[node], "outbox"), &at, &e);
	if (e.state == state)
		return 0;
	fprintf(stderr, "%s: outbox has state %u\n", name, e.state);
	return 1;
}

static void outbox_put(struct world *w, uint32_t serial, uint32_t state)
{
	outbox_put_at(w, FTN2, serial, state);
}

static int outbox_is(struct world *w, const char *name, uint32_t serial, uint32_t state)
{
	return outbox_is_at(w, name, FTN2, serial, state);
}

#define SERIAL (5 * MAX_OUTBOX + 77)

#define ITEM(i) (DFT_HEADERS_BYTES + sizeof(struct dft_bulk) + (i) * sizeof(struct dft_item))

// What the tail, ftn2, sends to the learner, ftn3: records that it read at a floor.
static void write_copies(struct frame *f, uint32_t count, const struct session_key *key,
			 const struct dft_record *record, uint32_t floor)
{
	struct dft_bulk bulk = {.serial = htonl(SERIAL), .which = htons((1u << count) - 1)};
	struct dft_packet d;

	write_keyed(f, FTN2, FTN3, key, DFT_COPY, (struct dft_stamp){0, 0});
	d = op_get(f);
	d.op.bucket = 0;
	d.geneve.protocol = htons(DFT_BULK);
	op_put(f, &d);
	f->length = DFT_HEADERS_BYTES;
	frame_append(f, &bulk, sizeof(bulk));
	for (uint32_t i = 0; i < count; i++) {
		const struct dft_record *r = &record[i];
		struct dft_item item = {
			.floor = htonl(floor),
			.stamp = {htonl(r->stamp.floor), htonl(r->stamp.counter)},
			.incarnation = {htonl(r->incarnation.floor), htonl(r->incarnation.counter)},
			.policy = htonl(r->policy),
			.state = htons(r->state | r->life << DFT_LIFE_SHIFT),
			.towards = {r->towards[0], r->towards[1]},
			.translation = r->translation,
		};

		memcpy(item.key, &key[i], sizeof(item.key));
		frame_append(f, &item, sizeof(item));
	}
	edit_op(f, FTN2, FTN3, &d);
}

static void write_copy(struct frame *f, const struct session_key *key,
		       const struct dft_record *record, uint32_t floor)
{
	write_copies(f, 1, key, record, floor);
}

// .. and the floor of a bucket.
static void write_floor(struct frame *f, uint32_t bucket, uint32_t floor)
{
	static const struct session_key none;
	uint32_t serial = htonl(SERIAL);
	struct dft_packet d;

	write_keyed(f, FTN2, FTN3, &none, DFT_COPY, (struct dft_stamp){0, 0});
	memcpy(f->byte + DFT_HEADERS_BYTES + offsetof(struct dft_keyed, serial), &serial,
	       sizeof(serial));
	d = op_get(f);
	d.op.floor = htonl(floor);
	d.op.bucket = htonl(bucket);
	edit_op(f, FTN2, FTN3, &d);
}

// The chain has the one, its learner the other, which the tail must not answer for.
static int looks_again(struct world *w, const char *what, const struct frame *f,
		       const struct session_key *key, const struct dft_record *chain,
		       const struct dft_record *learner)
{
	struct journey j = {};
	int wrong = 0;

	forget(w);
	for (int i = FTN1; i <= FTN3; i++)
		node_session_put(&w->node[i], key, i == FTN3 ? learner : chain);
	wrong += step(w, FWD1, f, &j);
	wrong += step(w, FTN2, &j.out, &j);
	wrong += step(w, FTN3, &j.out, &j);
	return wrong + path_is(what, &j, "fwd1 LOOKED_UP > ftn2 REPLICATED > ftn3 LOOKED_UP_AGAIN");
}

// What the learner answers: which of them are there.
static void write_copied(struct frame *f, const struct frame *copy, uint32_t which)
{
	struct dft_packet d = op_get(copy);
	const uint16_t bits = htons((uint16_t)which);

	*f = *copy;
	f->length = ITEM(0);
	memcpy(f->byte + DFT_HEADERS_BYTES + offsetof(struct dft_bulk, which), &bits, sizeof(bits));
	d.op.op = DFT_COPIED;
	edit_op(f, FTN3, FTN2, &d);
}

#define SEVERAL 9

// M5: several records go in one frame, and each of them is as if it came alone: what is wrong with
// one is no other's business, and the answer says which are there.
static int test_copied_together(struct world *w)
{
	struct session_key key[SEVERAL], wrong_key;
	struct dft_record want[SEVERAL], got;
	struct frame whole, f, copied;
	struct dft_packet d;
	struct journey j;
	int from_b, wrong = 0;

	set_chain(w, 3, 1);
	for (int i = 0; i < SEVERAL; i++) {
		const struct inner syn = TCP(80 + i, SYN, .from = "10.0.1.10", .to = "10.0.1.20");

		key[i] = key_of(RED, &syn, &from_b);
		want[i] = want_record(RED, 5, &syn, 1, 0);
		outbox_put(w, SERIAL + i, OUTBOX_SENT);
	}
	write_copies(&whole, SEVERAL, key, want, 0);
	j = (struct journey){};
	wrong += step(w, FTN3, &whole, &j);
	write_copied(&copied, &whole, (1u << SEVERAL) - 1);
	wrong += frames_compare("copied", &copied, &j.out);
	wrong += go_on(w, &j);
	wrong += path_is("several", &j, "ftn3 COPY_TAKEN > ftn2 COPY_CONFIRMED");
	for (int i = 0; i < SEVERAL; i++) {
		wrong += outbox_is(w, "several", SERIAL + i, OUTBOX_CONFIRMED);
		if (node_session(&w->node[FTN3], &key[i], &got) &&
		    !memcmp(&got, &want[i], sizeof(got)))
			continue;
		fprintf(stderr, "several: record %d is not there\n", i);
		wrong++;
	}

	// One is below the learner's floor, one contradicts what it has, of one the key is none.
	forget(w);
	for (int i = 0; i < SEVERAL; i++)
		outbox_put(w, SERIAL + i, OUTBOX_SENT);
	put_floor(w, FTN3, &key[0], 1);
	got = want[4];
	got.policy++;
	node_session_put(&w->node[FTN3], &key[4], &got);
	f = whole;
	wrong_key = key[7];
	wrong_key.a = key[7].b;
	wrong_key.b = key[7].a;
	memcpy(f.byte + ITEM(7), &wrong_key, sizeof(wrong_key));
	j = (struct journey){};
	wrong += step(w, FTN3, &f, &j);
	write_copied(&copied, &f, 0x16E);
	wrong += frames_compare("but for three", &copied, &j.out);
	wrong += go_on(w, &j);
	wrong += path_is("but for three", &j,
			 "ftn3 COPY_TAKEN+DFT_MALFORMED+OLD_INCARNATION+STAMP_CONFLICT > "
			 "ftn2 COPY_CONFIRMED");
	for (int i = 0; i < SEVERAL; i++) {
		const int there = i != 0 && i != 4 && i != 7;

		wrong += outbox_is(w, "but for three", SERIAL + i,
				   there ? OUTBOX_CONFIRMED : OUTBOX_SENT);
		if (node_session(&w->node[FTN3], &key[i], &got) != (there || i == 4)) {
			fprintf(stderr, "but for three: record %d\n", i);
			wrong++;
		}
	}
	put_floors(w, &key[0], 0);

	// Only what is meant; what is cut short says nothing.
	f = whole;
	f.byte[DFT_HEADERS_BYTES + offsetof(struct dft_bulk, which)] = 0;
	f.byte[DFT_HEADERS_BYTES + offsetof(struct dft_bulk, which) + 1] = 1 << 2;
	forget(w);
	wrong += travel(w, FTN3, &f, &j);
	wrong += path_is("the third alone", &j, "ftn3 COPY_TAKEN > ftn2 COPY_CONFIRMED");
	for (int i = 0; i < SEVERAL; i++)
		if (node_session(&w->node[FTN3], &key[i], &got) != (i == 2)) {
			fprintf(stderr, "the third alone: record %d\n", i);
			wrong++;
		}
	f.byte[DFT_HEADERS_BYTES + offsetof(struct dft_bulk, which) + 1] = 0;
	wrong += travel(w, FTN3, &f, &j);
	wrong += path_is("none", &j, "ftn3 DFT_MALFORMED");
	for (size_t length = DFT_HEADERS_BYTES; length < whole.length; length += 7) {
		f = whole;
		f.length = length;
		d = op_get(&f);
		edit_op(&f, FTN2, FTN3, &d);
		wrong += travel(w, FTN3, &f, &j);
		wrong += path_is("cut short", &j, "ftn3 TRUNCATED");
	}
	return wrong;
}

// M5: bulk copies, and what a hit does for the learner.
static int test_learner(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 1, 0), got, newer = want, ended = want;
	struct frame f, copy, bare;
	struct dft_packet d;
	struct journey j;
	const char *taken = "ftn3 COPY_TAKEN > ftn2 COPY_CONFIRMED";

	set_chain(w, 3, 1);
	put_floors(w, &key, 0);
	outbox_put(w, SERIAL, OUTBOX_SENT);
	write_copy(&copy, &key, &want, 0);
	j = (struct journey){};
	wrong += step(w, FTN3, &copy, &j);
	write_copied(&f, &copy, 1);
	wrong += frames_compare("copied", &f, &j.out);
	wrong += outbox_is(w, "not yet", SERIAL, OUTBOX_SENT);
	wrong += go_on(w, &j);
	wrong += path_is("copy", &j, taken);
	wrong += outbox_is(w, "copied", SERIAL, OUTBOX_CONFIRMED);
	if (!node_session(&w->node[FTN3], &key, &got) || memcmp(&got, &want, sizeof(got))) {
		fprintf(stderr, "copy: not there\n");
		wrong++;
	}
	// Again; what is newer stays; of another use of the entry it says nothing.
	newer.stamp.counter = 2;
	node_session_put(&w->node[FTN3], &key, &newer);
	outbox_put(w, SERIAL + MAX_OUTBOX, OUTBOX_SENT);
	wrong += travel(w, FTN3, &copy, &j);
	wrong += path_is("an older copy", &j, "ftn3 COPY_TAKEN > ftn2 OLD_INCARNATION");
	wrong += outbox_is(w, "another use", SERIAL, OUTBOX_SENT);
	outbox_put(w, SERIAL, OUTBOX_FREE);
	wrong += travel(w, FTN3, &copy, &j);
	wrong += outbox_is(w, "nobody waits", SERIAL, OUTBOX_FREE);
	if (!node_session(&w->node[FTN3], &key, &got) || memcmp(&got, &newer, sizeof(got))) {
		fprintf(stderr, "an older copy replaced a newer record\n");
		wrong++;
	}
	got = newer;
	got.policy++;
	write_copy(&f, &key, &got, 0);
	wrong += travel(w, FTN3, &f, &j);
	wrong += path_is("a copy that contradicts", &j, "ftn3 STAMP_CONFLICT");

	// What counts is the tail's floor as it read, not the record's.
	node_clear(&w->node[FTN3], "sessions");
	put_floor(w, FTN3, &key, 3);
	wrong += travel(w, FTN3, &copy, &j);
	wrong += path_is("read before the floor rose", &j, "ftn3 OLD_INCARNATION");
	write_copy(&f, &key, &want, 4);
	wrong += travel(w, FTN3, &f, &j);
	wrong += path_is("read since", &j, taken);
	if (!node_session(&w->node[FTN3], &key, &got) || memcmp(&got, &want, sizeof(got)) ||
	    get_floor(w, FTN3, &key) != 4) {
		fprintf(stderr, "read since: not there, or floor %u\n", get_floor(w, FTN3, &key));
		wrong++;
	}
	// The floor of a bucket alone.
	write_floor(&bare, (uint32_t)hash_of(&key) % BUCKETS, 9);
	wrong += travel(w, FTN3, &bare, &j);
	wrong += path_is("a floor", &j, taken);
	if (get_floor(w, FTN3, &key) != 9) {
		fprintf(stderr, "a floor: %u\n", get_floor(w, FTN3, &key));
		wrong++;
	}
	put_floors(w, &key, 0);

	// To nobody else, under no other term, and confirmed to nobody else.
	d = op_get(&copy);
	f = copy;
	edit_op(&f, FTN2, FTN1, &d);
	wrong += travel(w, FTN1, &f, &j);
	wrong += path_is("a copy for the head", &j, "ftn1 DFT_MALFORMED");
	d = op_get(&bare);
	f = bare;
	edit_op(&f, FTN2, FTN1, &d);
	wrong += travel(w, FTN1, &f, &j);
	wrong += path_is("a floor for the head", &j, "ftn1 DFT_MALFORMED");
	d = op_get(&copy);
	d.op.term = htonl(TERM + 1);
	f = copy;
	edit_op(&f, FTN2, FTN3, &d);
	wrong += travel(w, FTN3, &f, &j);
	wrong += path_is("another term's copy", &j, "ftn3 STALE_TERM");
	node_promised(&w->node[FTN3], 0, NOW_TERM + 1);
	wrong += travel(w, FTN3, &copy, &j);
	wrong += path_is("a copy after a promise", &j, "ftn3 STALE_TERM");
	set_chain(w, 3, 1);

	// A hit goes on to the learner, which may lack it, and have heard of a later floor.
	forget(w);
	for (int i = FTN1; i <= FTN2; i++)
		node_session_put(&w->node[i], &key, &want);
	put_floors(w, &key, 6);
	write_inner(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	j = (struct journey){};
	wrong += step(w, FWD1, &f, &j);
	wrong += step(w, FTN2, &j.out, &j);
	d = op_get(&j.out);
	if (d.op.op != DFT_LOOKUP || d.op.flags != DFT_REPLICATION || d.op.floor != htonl(6) ||
	    d.op.stamp.counter != htonl(1)) {
		fprintf(stderr, "a hit for the learner: op %u, flags %x\n", d.op.op, d.op.flags);
		wrong++;
	}
	wrong += go_on(w, &j);
	wrong += path_is("a hit for the learner", &j,
			 "fwd1 LOOKED_UP > ftn2 REPLICATED > ftn3 REPLIED > fwd1 FORWARDED_FIRST");
	wrong += replicas_equal(w, "a hit for the learner", &key, &want);

	// So does what is decided anew over a tombstone, which the learner may have missed.
	put_floors(w, &key, 0);
	forget(w);
	ended.life = DFT_TOMBSTONE;
	ended.stamp.counter = 2;
	for (int i = FTN1; i <= FTN2; i++)
		node_session_put(&w->node[i], &key, &ended);
	node_session_put(&w->node[FTN3], &key, &want);
	j = (struct journey){};
	wrong += step(w, FWD1, &f, &j);
	wrong += step(w, FTN2, &j.out, &j);
	wrong += step(w, FTN3, &j.out, &j);
	if (!node_session(&w->node[FTN3], &key, &got) || memcmp(&got, &ended, sizeof(got))) {
		fprintf(stderr, "a tombstone for the learner: not there\n");
		wrong++;
	}
	wrong += go_on(w, &j);
	wrong += path_is("a tombstone for the learner", &j,
			 "fwd1 LOOKED_UP > ftn2 REPLICATED > ftn3 INSERTED > ftn1 REPLICATED > "
			 "ftn2 REPLICATED > ftn3 REPLIED > fwd1 FORWARDED_FIRST");
	newer = want;
	newer.stamp.counter = newer.incarnation.counter = 3;
	wrong += replicas_equal(w, "a tombstone for the learner", &key, &newer);
	// Of what the learner has that is newer the tail has not said that its time is over.
	newer = ended;
	newer.stamp.counter = 4;
	wrong += looks_again(w, "a newer tombstone at the learner", &f, &key, &ended, &newer);
	// Nor has it answered for a session that began since it read.
	newer = want;
	newer.stamp.counter = newer.incarnation.counter = 3;
	return wrong + looks_again(w, "a newer session at the learner", &f, &key, &ended, &newer);
}

// ---- buckets that move ----

#define NEW_CHAIN 2
#define FTN4 (FTN1 + 3)
#define FTN5 (FTN1 + 4)
#define FTN6 (FTN1 + 5)
#define MOVE 9

static void put_view(struct world *w, int node, uint32_t bucket, uint32_t chain, uint16_t from)
{
	struct origin_value origin = {.move = from ? MOVE : 0, .from = from};
	uint32_t entry = chain + 1;

	node_put(&w->node[node], "origins", &bucket, &origin);
	node_put(&w->node[node], "buckets", &bucket, &entry);
}

// As the loader of the old head, ftn1, has it sent.
static void write_move(struct frame *f, int to, const struct session_key *key, uint8_t op,
		       uint32_t chain, uint32_t owned)
{
	struct dft_bucket_wire wire = {.move = htonl(MOVE),
				       .from = htons(1),
				       .to = htons(NEW_CHAIN + 1),
				       .owned_epoch = htonl(EPOCH),
				       .owned_term = htonl(owned)};
	// What a node sends to itself does not come in from outside.
	const int from = to == FTN1 ? FTN2 : FTN1;
	const uint32_t serial = htonl(SERIAL);
	struct dft_packet d;
	char text[18];

	write_keyed(f, from, to, key, op, (struct dft_stamp){0, 0});
	if (op != DFT_TOLD)
		memcpy(f->byte + DFT_HEADERS_BYTES, &wire, sizeof(wire));
	memcpy(f->byte + DFT_HEADERS_BYTES + offsetof(struct dft_keyed, serial), &serial,
	       sizeof(serial));
	d = op_get(f);
	d.op.chain = htonl(chain);
	node_ip_text(FTN1, text);
	d.op.forwarder = address_must(text);
	node_mac_text(FTN1, text);
	mac_parse(text, d.op.forwarder_mac);
	edit_op(f, from, to, &d);
}

static int moves(struct world *w, const char *name, const struct session_key *key, uint8_t op,
		 const char *path)
{
	int old = op == DFT_FENCE;
	struct journey j;
	struct frame f;
	int wrong;

	outbox_put_at(w, FTN1, SERIAL, OUTBOX_SENT);
	write_move(&f, old ? FTN1 : FTN4, key, op, old ? 0 : NEW_CHAIN, TERM);
	wrong = travel(w, old ? FTN1 : FTN4, &f, &j);
	wrong += path_is(name, &j, path);
	return wrong + outbox_is_at(w, name, FTN1, SERIAL, OUTBOX_CONFIRMED);
}

#define FROM_FTN2 "REPLICATED > ftn3 MOVE_TOLD > ftn4 REPLICATED > ftn5 REPLICATED > "
#define ALONG_ "REPLICATED > ftn2 " FROM_FTN2

static void unmoved(struct world *w, const struct session_key *key)
{
	uint32_t bucket = (uint32_t)hash_of(key) % BUCKETS;
	const struct move_value never = {};

	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "moves", &bucket, &never);
	forget(w);
}

// A fence that comes so far down the old path, or as "yours" down the new one, and there gets lost.
static int fence_comes(struct world *w, const struct session_key *key, int steps)
{
	struct journey j = {};
	struct frame f;
	int wrong;

	write_move(&f, FTN1, key, DFT_FENCE, 0, TERM);
	wrong = step(w, FTN1, &f, &j);
	for (int at = 1; at < steps; at++)
		wrong += step(w, FTN1 + at, &j.out, &j);
	return wrong;
}

static int fence_lost(struct world *w, const struct session_key *key, int steps)
{
	unmoved(w, key);
	return fence_comes(w, key, steps);
}

// Who comes while a fence goes down the old path, or the word of it down the new one, is not sent
// back and forth: it takes the fence along. fwd1 has the old view, fwd2 the new one.
static int between_fences(struct world *w, const struct session_key *key, const struct inner *syn)
{
	static const struct {
		int steps; // of the fence
		const char *from_fwd1, *from_fwd2;
	} rows[] = {
		// The old tail decides, and its head knows that it may not.
		{1,
		 "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REDIRECTED > ftn6 REDIRECTED > "
		 "ftn3 INSERTED > ftn1 REPLICATED+REDIRECTED > ftn2 " FROM_FTN2
		 "ftn6 MOVE_ASKED > ",
		 "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 INSERTED > ftn1 REPLICATED+REDIRECTED > "
		 "ftn2 " FROM_FTN2 "ftn6 MOVE_ASKED > "},
		// All of the old path is fenced, nobody else knows.
		{3,
		 "fwd1 LOOKED_UP > ftn3 REDIRECTED > ftn6 REDIRECTED > ftn3 REDIRECTED > "
		 "ftn1 " ALONG_ "ftn6 MOVE_ASKED > ",
		 "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 REDIRECTED > ftn1 " ALONG_
		 "ftn6 MOVE_ASKED > "},
		// The new tail does not know yet.
		{5,
		 "fwd1 LOOKED_UP > ftn3 REDIRECTED > ftn6 REDIRECTED > ftn3 REDIRECTED > "
		 "ftn1 " ALONG_ "ftn6 MOVE_ASKED > ",
		 "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 REDIRECTED > ftn1 " ALONG_
		 "ftn6 MOVE_ASKED > "},
	};
	static const char then[] = "ftn1 MOVE_TOLD > ftn4 LOOKED_UP_AGAIN > ftn6 INSERTED > "
				   "ftn4 REPLICATED > ftn5 REPLICATED > ftn6 REPLIED > ";
	const struct inner reset = TCP(80, RST, .from = "10.0.1.10", .to = "10.0.1.20");
	struct journey j;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char path[PATH_ROOM];

		wrong += fence_lost(w, key, rows[i].steps);
		snprintf(path, sizeof(path), "%s%sfwd1 FORWARDED_FIRST", rows[i].from_fwd1, then);
		wrong += sends(w, "between fences, old view", FWD1, OF_FWD1, RED, syn, path,
			       DELIVERED, &j);
		wrong += fence_lost(w, key, rows[i].steps);
		snprintf(path, sizeof(path), "%s%sfwd2 FORWARDED_FIRST", rows[i].from_fwd2, then);
		wrong += sends(w, "between fences, new view", FWD2, OF_FWD2, RED, syn, path,
			       DELIVERED, &j);
		// So the next one finds the new chain.
		forget(w);
		snprintf(path, sizeof(path),
			 "fwd2 LOOKED_UP > ftn6 MOVE_ASKED > %sfwd2 FORWARDED_FIRST", then);
		wrong += sends(w, "between fences, the next", FWD2, OF_FWD2, RED, syn, path,
			       DELIVERED, &j);
	}
	// The end of a connection that the old chain knows: an update goes along, too.
	forget(w);
	unmoved(w, key);
	put_floors(w, key, 0);
	wrong += sends(w, "before its end", FWD2, OF_FWD2, RED, syn,
		       "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 INSERTED > ftn1 REPLICATED > "
		       "ftn2 REPLICATED > ftn3 REPLIED > fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += fence_comes(w, key, 3);
	wrong += sends(w, "between fences, the end", FWD2, OF_FWD2, RED, &reset,
		       "fwd2 UPDATED > ftn4 REDIRECTED > ftn1 REPLICATED+REDIRECTED > "
		       "ftn2 " FROM_FTN2
		       "ftn6 LOOKED_UP_AGAIN > ftn4 LOOKED_UP_AGAIN > ftn6 MOVE_ASKED > "
		       "ftn1 MOVE_TOLD > ftn4 REPLICATED > ftn5 REPLICATED > ftn6 REPLIED > "
		       "fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	return wrong;
}

#define TOLD_ALL "REPLICATED > ftn5 REPLICATED > ftn6 MOVE_TAKEN > ftn1 COPY_CONFIRMED"

// M7: chain 0 (ftn1 to ftn3) hands a bucket over to chain 2 (ftn4 to ftn6).
static int test_moves(struct world *w)
{
	const struct chain_value new = {
		.epoch = EPOCH, .term = TERM, .live = 3, .node = {FTN4, FTN5, FTN6}};
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	uint32_t bucket = (uint32_t)hash_of(&key) % BUCKETS, place;
	struct dft_record got, want = want_record(RED, 5, &syn, 1, 0);
	struct frame f, insert;
	struct dft_packet d;
	struct journey j = {};

	put_floors(w, &key, 0);
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], NEW_CHAIN, &new);

	wrong += sends(w, "before", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	// Kept back: an insert that saw nothing, in the old chain.
	forget(w);
	write_inner(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	j = (struct journey){};
	wrong += step(w, FWD1, &f, &j);
	wrong += step(w, FTN3, &j.out, &j);
	insert = j.out;
	wrong += go_on(w, &j);

	// Where it comes from is told before where it goes to.
	for (int i = 0; i < NODES; i++)
		put_view(w, i, bucket, 0, 1);
	forget(w);
	wrong += sends(w, "half of a view", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	put_view(w, FWD1, bucket, 0, 0);

	// The view says so to all but fwd1. Until it is fenced the old chain serves.
	for (int i = 0; i < NODES; i++)
		if (i != FWD1)
			put_view(w, i, bucket, NEW_CHAIN, 1);
	wrong += sends(w, "not fenced, new view", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 REPLIED > fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	write_move(&f, FTN4, &key, DFT_TOLD, NEW_CHAIN, TERM);
	wrong += travel(w, FTN4, &f, &j);
	wrong += path_is("told too early", &j, "ftn4 BUCKET_MOVES");

	wrong += between_fences(w, &key, &syn);
	unmoved(w, &key);
	put_floors(w, &key, 0);
	wrong += sends(w, "still not fenced", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += moves(w, "fence", &key, DFT_FENCE,
		       "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 MOVE_TOLD > ftn4 " TOLD_ALL);
	wrong += moves(w, "fence again", &key, DFT_FENCE,
		       "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 MOVE_TOLD > ftn4 " TOLD_ALL);

	// The old chain ends nothing now, and what it is still asked goes over.
	wrong += asks(w, "delete in the old chain", &key, DFT_DELETE, want.stamp,
		      "ftn1 UPKEEP_WAITS");
	node_clear(&w->node[FWD1], "cache");
	wrong += sends(w, "fenced, old view", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 REDIRECTED > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > "
		       "ftn4 REPLICATED > ftn5 REPLICATED > ftn6 REPLIED > fwd1 FORWARDED_FIRST",
		       DELIVERED, &j);
	for (int i = FTN4; i <= FTN6; i++)
		if (!node_session(&w->node[i], &key, &got) || memcmp(&got, &want, sizeof(got))) {
			fprintf(stderr, "adopted: %s has another record\n", w->node[i].name);
			wrong++;
		}
	node_clear(&w->node[FWD2], "cache");
	wrong += sends(w, "adopted", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	op_renew(&insert);
	wrong += travel(w, FTN1, &insert, &j);
	wrong += path_is("an insert of before", &j,
			 "ftn1 REDIRECTED > ftn6 REPLIED > fwd1 FORWARDED_FIRST");
	// What it learned of in the old chain goes on there, but is not answered.
	wrong += asks(w, "collect before all is there", &key, DFT_COLLECT, want.stamp,
		      "ftn1 UPKEEP_WAITS");

	// Bulk: what nobody asks for.
	for (int i = FTN4; i <= FTN6; i++)
		node_clear(&w->node[i], "sessions");
	write_move(&f, FTN4, &key, DFT_TOLD, NEW_CHAIN, TERM);
	d = op_get(&f);
	put_record(&d, &want);
	edit_op(&f, FTN1, FTN4, &d);
	for (int again = 0; again < 2; again++) {
		outbox_put_at(w, FTN1, SERIAL, OUTBOX_SENT);
		wrong += travel(w, FTN4, &f, &j);
		wrong += path_is("bulk", &j, "ftn4 " TOLD_ALL);
		wrong += outbox_is_at(w, "bulk", FTN1, SERIAL, OUTBOX_CONFIRMED);
	}
	for (int i = FTN4; i <= FTN6; i++)
		if (!node_session(&w->node[i], &key, &got) || memcmp(&got, &want, sizeof(got))) {
			fprintf(stderr, "bulk: %s has another record\n", w->node[i].name);
			wrong++;
		}

	// Nowhere known: it is decided once the old chain has said that it knows nothing.
	forget(w);
	wrong += sends(w, "new", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 LOOKED_UP_AGAIN > "
		       "ftn6 INSERTED > ftn4 REPLICATED > ftn5 REPLICATED > ftn6 REPLIED > "
		       "fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	// A former head of the old chain must not answer: it missed what came after.
	forget(w);
	for (place = 0; place < 2; place++) {
		write_inner(&f, &syn);
		wrap_from_host(&f, 11, OF_FWD2, RED);
		j = (struct journey){};
		wrong += step(w, FWD2, &f, &j);
		wrong += step(w, FTN6, &j.out, &j);
		f = j.out;
		d = op_get(&f);
		d.op.stamp.counter = htonl(place ? TERM + 1 : TERM);
		edit_op(&f, FTN6, FTN1, &d);
		j = (struct journey){};
		wrong += step(w, FTN1, &f, &j);
		wrong += path_is("who answers", &j, place ? "ftn1 BUCKET_MOVES" : "ftn1 MOVE_TOLD");
	}

	wrong += moves(w, "whole", &key, DFT_WHOLE, "ftn4 " TOLD_ALL);
	wrong += sends(w, "all is there", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 INSERTED > ftn4 REPLICATED > ftn5 REPLICATED > "
		       "ftn6 REPLIED > fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	// The view says that it is over; one more who missed it all still finds the way.
	for (int i = 0; i < NODES; i++)
		if (i != FWD1)
			put_view(w, i, bucket, NEW_CHAIN, 0);
	node_clear(&w->node[FWD1], "cache");
	wrong += sends(w, "over, old view", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 REDIRECTED > ftn6 REPLIED > fwd1 FORWARDED_FIRST",
		       DELIVERED, &j);
	for (int i = 0; i < NODES; i++) {
		const struct move_value never = {};
		const uint32_t before = i == BOTH ? 2 : 1;

		node_put(&w->node[i], "moves", &bucket, &never);
		node_put(&w->node[i], "buckets", &bucket, &before);
	}
	return wrong;
}

// ---- a VPC that goes to another cluster ----

#define WEST_CHAIN 7 // as west numbers it
#define TRANSFER 12  // a later move than that of the bucket

// East has chain 0 (ftn1 to ftn3) and fwd1, west ftn4 to ftn6 and fwd2.
static int is_west(int node)
{
	return node == FWD2 || (node >= FTN4 && node <= FTN6);
}

static int is_east(int node)
{
	return node == FWD1 || (node >= FTN1 && node <= FTN3);
}

// What a node of one calls a chain.
static uint32_t chain_at(int node, int west)
{
	const uint32_t chain = west ? WEST_CHAIN : 0;

	return is_west(node) == west ? chain : chain_mirror(chain);
}

static void put_transfer(struct world *w, int node, uint32_t vni, uint32_t number, int over)
{
	const struct transfer t = {.number = number, .vni = vni, .over = over};
	uint64_t word = transfer_pack(&t);
	uint32_t zero = 0;

	node_put(&w->node[node], "transfer", &zero, &word);
}

// Where what is known of a transfer's keys in this bucket stands.
static void put_place(struct world *w, int node, uint32_t place)
{
	const struct origin_value origin = {.move = TRANSFER, .from = chain_at(node, 0) + 1};
	const uint32_t to = chain_at(node, 1) + 1;

	node_put(&w->node[node], "origins", &place, &origin);
	node_put(&w->node[node], "buckets", &place, &to);
}

// Of another cluster's chain nobody knows them. first: the first of three, or 0.
static void put_voters(struct chain_value *c, uint32_t first)
{
	c->voters = first ? 3 : 0;
	for (uint32_t i = 0; i < c->voters; i++) {
		c->voter[i].node = first + i;
		c->voter[i].boot = node_boot(first + i);
	}
}

// The two clusters: who is of the other one, and its chain. Nobody hears who is of the other one.
static void part(struct world *w)
{
	struct chain_value east = {
		.epoch = EPOCH, .term = TERM, .live = 3, .node = {FTN1, FTN2, FTN3}};
	struct chain_value west = {
		.epoch = EPOCH, .term = TERM, .live = 3, .node = {FTN4, FTN5, FTN6}};

	for (int i = 0; i < NODES; i++) {
		if (!is_west(i) && !is_east(i))
			continue;
		put_voters(&east, is_east(i) ? FTN1 : 0);
		put_voters(&west, is_west(i) ? FTN4 : 0);
		for (int k = 0; k < 2; k++) {
			const uint32_t chain = chain_at(i, k);

			if (chain < MAX_CHAINS)
				node_chain(&w->node[i], chain, k ? &west : &east);
			else
				node_put(&w->node[i], "chains", &chain, k ? &west : &east);
		}
		if (is_west(i))
			node_buckets(&w->node[i], WEST_CHAIN);
		for (uint32_t k = 0; k < NODES; k++) {
			const uint32_t flagged = is_west(i) != is_west(k) ? k | NODE_FOREIGN : k;
			struct in6_addr ip;
			char text[18];

			node_ip_text(k, text);
			ip = address_must(text);
			node_put(&w->node[i], "node_by_ip", &ip, &flagged);
			if (flagged != k)
				node_heard(&w->node[i], k, node_boot(k), 0);
		}
	}
}

static void join(struct world *w, const uint32_t place[2])
{
	for (int i = 0; i < NODES; i++) {
		put_transfer(w, i, 0, 0, 0);
		for (int k = 0; k < 2; k++) {
			const struct origin_value none = {};
			const struct move_value never = {};
			const uint32_t nowhere = 0;

			node_put(&w->node[i], "origins", &place[k], &none);
			node_put(&w->node[i], "moves", &place[k], &never);
			node_put(&w->node[i], "buckets", &place[k], &nowhere);
		}
		node_buckets(&w->node[i], i == BOTH ? 1 : 0);
		node_peers(&w->node[i], NODES);
	}
	set_chain(w, 3, 0);
}

// As ftn1's loader has it sent: a fence to itself, what is told and whole to ftn4.
static void write_transfer(struct frame *f, const struct session_key *key, uint8_t op)
{
	const int to = op == DFT_FENCE ? FTN1 : FTN4, from = op == DFT_FENCE ? FTN2 : FTN1;
	struct dft_bucket_wire *wire;
	struct dft_packet d;

	write_move(f, to, key, op, op == DFT_FENCE ? 0 : chain_mirror(WEST_CHAIN), TERM);
	if (op == DFT_TOLD)
		return;
	wire = (void *)(f->byte + DFT_HEADERS_BYTES);
	wire->move = htonl(TRANSFER);
	wire->from = htons(1);
	wire->to = htons(chain_mirror(WEST_CHAIN) + 1);
	d = op_get(f);
	d.op.bucket = htonl((uint32_t)hash_of(key) % BUCKETS + BUCKETS);
	edit_op(f, from, to, &d);
}

static int transfers(struct world *w, const char *name, const struct session_key *key, uint8_t op,
		     const char *path)
{
	struct journey j;
	struct frame f;
	int wrong;

	outbox_put_at(w, FTN1, SERIAL, OUTBOX_SENT);
	write_transfer(&f, key, op);
	wrong = travel(w, op == DFT_FENCE ? FTN1 : FTN4, &f, &j);
	return wrong + path_is(name, &j, path);
}

static int west_has(struct world *w, const char *name, const struct session_key *key,
		    const struct dft_record *want)
{
	struct dft_record got;
	int wrong = 0;

	for (int i = FTN4; i <= FTN6; i++)
		if (!node_session(&w->node[i], key, &got) || memcmp(&got, want, sizeof(got))) {
			fprintf(stderr, "%s: %s has another record\n", name, w->node[i].name);
			wrong++;
		}
	return wrong;
}

#define IN_WEST "REPLICATED > ftn5 REPLICATED > ftn6 REPLIED > "
#define FENCED_ "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 MOVE_TOLD > "

// What east knows of west's chain: its list, and not whether that is so any more.
static void put_founded(struct world *w, uint32_t term)
{
	const struct chain_value west = {
		.epoch = EPOCH, .term = term, .live = 3, .node = {FTN4, FTN5, FTN6}};
	const uint32_t chain = chain_mirror(WEST_CHAIN);

	for (int i = 0; i < NODES; i++)
		if (is_east(i))
			node_put(&w->node[i], "chains", &chain, &west);
}

// Whom of west ftn3 gives this to, whichever of them is dead: in the end each of them. right: whom
// it is for, as the others know.
static int tries_all(struct world *w, const char *name, const struct frame *f, int right)
{
	int tries, asked[NODES] = {}, wrong = 0;
	struct journey j;

	for (tries = 0; tries < 300; tries++) {
		j = (struct journey){};
		wrong += step(w, FTN3, f, &j);
		if (j.at < FTN4 || j.at > FTN6)
			return wrong + path_is(name, &j, "ftn3 to one of west");
		if (!asked[j.at]++ && j.at == FTN5) {
			wrong += step(w, FTN5, &j.out, &j);
			if (j.at != right)
				wrong += path_is(name, &j, "ftn3 to ftn5, which knows better");
		}
	}
	for (int i = FTN4; i <= FTN6; i++)
		if (!asked[i]) {
			fprintf(stderr, "%s: %s is never asked\n", name, w->node[i].name);
			wrong++;
		}
	return wrong;
}

// M8: a node of the other cluster dies, and who gives its chain something hears of nobody there.
static int test_dead_abroad(struct world *w, const struct session_key *key, const struct inner *syn)
{
	struct journey j = {};
	struct frame f;
	int wrong = 0;

	put_founded(w, 0);
	forget(w);
	node_clear(&w->node[FWD1], "cache");
	write_inner(&f, syn);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += step(w, FWD1, &f, &j);
	f = j.out;
	wrong += tries_all(w, "a tail that may be dead", &f, FTN6);
	write_transfer(&f, key, DFT_FENCE);
	j = (struct journey){};
	wrong += step(w, FTN1, &f, &j);
	wrong += step(w, FTN2, &j.out, &j);
	f = j.out;
	wrong += tries_all(w, "a head that may be dead", &f, FTN4);
	put_founded(w, TERM);
	forget(w);
	return wrong;
}

// M8: east hands RED over to west. BLUE stays, though its keys may be of the same buckets.
static int test_transfer(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	struct inner other = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.24");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b), blue = key_of(BLUE, &other, &from_b);
	const uint32_t place[] = {(uint32_t)hash_of(&key) % BUCKETS + BUCKETS,
				  (uint32_t)hash_of(&blue) % BUCKETS + BUCKETS};
	struct dft_record want = want_record(RED, 5, &syn, 1, 0);
	struct frame f, insert;
	struct journey j = {};
	struct dft_packet d;

	forget(w);
	put_floors(w, &key, 0);
	part(w);
	for (int i = 0; i < NODES; i++)
		for (int k = 0; k < 2 && (is_east(i) || is_west(i)); k++)
			put_place(w, i, place[k]);

	// West is told first, and all of what RED is; what it is asked, east knows.
	for (int i = 0; i < NODES; i++)
		if (is_west(i))
			put_transfer(w, i, RED, TRANSFER, 0);
	wrong += sends(w, "east alone", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "west asks east", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 REPLIED > fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "another VPC of west", FWD2, OF_FWD2, BLUE, &other,
		       "fwd2 LOOKED_UP > ftn6 INSERTED > ftn4 " IN_WEST "fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	node_clear(&w->node[FWD2], "cache");
	for (int i = FTN4; i <= FTN6; i++)
		node_clear(&w->node[i], "sessions");
	wrong += transfers(w, "told too early", &key, DFT_TOLD, "ftn4 BUCKET_MOVES");

	// Kept back: an insert that saw nothing, in east.
	forget(w);
	write_inner(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	j = (struct journey){};
	wrong += step(w, FWD1, &f, &j);
	wrong += step(w, FTN3, &j.out, &j);
	insert = j.out;
	wrong += go_on(w, &j);
	node_clear(&w->node[FWD1], "cache");

	// Who in east has not heard of it does not know whom to fence.
	for (int i = 0; i < NODES; i++)
		if (is_east(i) && i != FTN3)
			put_transfer(w, i, RED, TRANSFER, 0);
	wrong += transfers(w, "fence, one has not heard", &key, DFT_FENCE,
			   "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 BUCKET_MOVES");
	wrong += outbox_is_at(w, "fence, one has not heard", FTN1, SERIAL, OUTBOX_SENT);
	put_transfer(w, FTN3, RED, TRANSFER, 0);
	// West, too, may have to hear of it first.
	put_transfer(w, FTN4, RED, TRANSFER - 1, 0);
	wrong += transfers(w, "fence, west has not heard", &key, DFT_FENCE,
			   FENCED_ "ftn4 BUCKET_MOVES");
	put_transfer(w, FTN4, RED, TRANSFER, 0);
	// East is fenced: who comes now takes the word of it along.
	wrong += sends(
		w, "between fences", FWD1, OF_FWD1, RED, &syn,
		"fwd1 LOOKED_UP > ftn3 REDIRECTED > ftn6 REDIRECTED > ftn3 REDIRECTED > " FENCED_
		"ftn4 REPLICATED > ftn5 REPLICATED > ftn6 MOVE_ASKED > "
		"ftn1 MOVE_TOLD > ftn4 " IN_WEST "fwd1 FORWARDED_FIRST",
		DELIVERED, &j);
	wrong += west_has(w, "taken along", &key, &want);
	node_clear(&w->node[FWD1], "cache");
	for (int i = FTN4; i <= FTN6; i++) {
		const struct move_value never = {};

		node_clear(&w->node[i], "sessions");
		node_put(&w->node[i], "moves", &place[0], &never);
	}
	for (int again = 0; again < 2; again++) {
		wrong += transfers(w, "fence", &key, DFT_FENCE, FENCED_ "ftn4 " TOLD_ALL);
		wrong += outbox_is_at(w, "fence", FTN1, SERIAL, OUTBOX_CONFIRMED);
	}
	wrong += asks(w, "delete in east", &key, DFT_DELETE, want.stamp, "ftn1 UPKEEP_WAITS");
	wrong += asks(w, "another VPC's in east", &blue, DFT_DELETE, want.stamp,
		      "ftn1 OLD_INCARNATION");

	// Hosts that still send to east are served by west.
	wrong += sends(w, "fenced, through east", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 REDIRECTED > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > "
		       "ftn4 " IN_WEST "fwd1 FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += west_has(w, "adopted", &key, &want);
	wrong += sends(w, "adopted", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	op_renew(&insert);
	wrong += travel(w, FTN1, &insert, &j);
	wrong += path_is("an insert of before", &j,
			 "ftn1 REDIRECTED > ftn6 REPLIED > fwd1 FORWARDED_FIRST");
	wrong += sends(w, "another VPC of east", FWD1, OF_FWD1, BLUE, &other,
		       INSERTED_ "FORWARDED_FIRST", DELIVERED, &j);
	wrong += test_dead_abroad(w, &key, &syn);

	// Bulk, then whole: nobody asks east any more.
	for (int i = FTN4; i <= FTN6; i++)
		node_clear(&w->node[i], "sessions");
	outbox_put_at(w, FTN1, SERIAL, OUTBOX_SENT);
	write_transfer(&f, &key, DFT_TOLD);
	d = op_get(&f);
	put_record(&d, &want);
	edit_op(&f, FTN1, FTN4, &d);
	wrong += travel(w, FTN4, &f, &j);
	wrong += path_is("bulk", &j, "ftn4 " TOLD_ALL);
	wrong += west_has(w, "bulk", &key, &want);
	forget(w);
	wrong +=
		sends(w, "new", FWD1, OF_FWD1, RED, &syn,
		      "fwd1 LOOKED_UP > ftn3 REDIRECTED > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > "
		      "ftn4 LOOKED_UP_AGAIN > ftn6 INSERTED > ftn4 " IN_WEST "fwd1 FORWARDED_FIRST",
		      DELIVERED, &j);
	forget(w);
	wrong += transfers(w, "whole", &key, DFT_WHOLE, "ftn4 " TOLD_ALL);
	wrong += sends(w, "all is there", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 INSERTED > ftn4 " IN_WEST "fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);

	// Over: west is a cluster like any other.
	for (int i = 0; i < NODES; i++)
		if (is_west(i))
			put_transfer(w, i, 0, 0, 0);
	forget(w);
	wrong += sends(w, "over", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn6 INSERTED > ftn4 " IN_WEST "fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	forget(w);
	join(w, place);
	return wrong;
}

// Keys as they should not be, and ops that end early.
static int test_broken_keyed(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b), broken;
	struct frame whole, f;
	struct journey j;

	write_keyed(&whole, FTN3, FTN1, &key, DFT_COLLECT, (struct dft_stamp){0, 1});
	wrong += travel(w, FTN1, &whole, &j);
	wrong += path_is("as it is", &j, DOWN);
	for (size_t length = sizeof(struct ethhdr); length < whole.length; length++) {
		uint16_t total = htons(length - sizeof(struct ethhdr));

		f = whole;
		f.length = length;
		memcpy(f.byte + 16, &total, sizeof(total));
		wrong += travel(w, FTN1, &f, &j);
		if (length < 34 ? j.action != XDP_PASS
				: j.action != XDP_DROP || strstr(j.path, "BUG")) {
			fprintf(stderr, "keyed, cut to %zu: %s\n", length, j.path);
			wrong++;
		}
	}
	for (int i = 0; i < 4; i++) {
		broken = key;
		if (i == 0) {
			broken.a = key.b;
			broken.b = key.a;
		} else if (i == 1) {
			broken.b = key.a;
			broken.b_port = 0;
		}
		write_keyed(&f, FTN3, FTN1, &broken, DFT_COLLECT, (struct dft_stamp){0, 1});
		if (i == 2)
			f.byte[DFT_HEADERS_BYTES + 36]++; // the key's VNI, not Geneve's
		if (i == 3)
			f.byte[DFT_HEADERS_BYTES + 39]++; // its protocol: another bucket
		wrong += travel(w, FTN1, &f, &j);
		wrong += path_is("a key that none has", &j, "ftn1 DFT_MALFORMED");
	}
	write_keyed(&f, FTN3, FTN1, &key, DFT_DELETE, (struct dft_stamp){0, 1});
	f.byte[sizeof(struct ethhdr) + AT(op.table)] = DFT_ALIASES;
	wrong += travel(w, FTN1, &f, &j);
	wrong += path_is("delete of an alias", &j, "ftn1 DFT_MALFORMED");
	write_keyed(&f, FTN1, FTN2, &key, DFT_DELETE, (struct dft_stamp){0, 1});
	f.byte[sizeof(struct ethhdr) + AT(op.flags)] = DFT_REPLICATION;
	wrong += travel(w, FTN2, &f, &j);
	wrong += path_is("delete of no life", &j, "ftn2 DFT_MALFORMED");
	put_floors(w, &key, 0);
	return wrong;
}

// ---- who may act ----

// Sent from one to the other until the hops are used up, of which so many are.
static void bounced_on(char out[PATH_ROOM], const char *begin, int used_up, const char *first,
		       const char *second)
{
	size_t used = snprintf(out, PATH_ROOM, "%s", begin);
	int i;

	for (i = 0; i < MAX_HOPS - used_up; i++)
		used += snprintf(out + used, PATH_ROOM - used, " > %s REDIRECTED",
				 i % 2 ? second : first);
	snprintf(out + used, PATH_ROOM - used, " > %s HOPS_EXCEEDED", i % 2 ? second : first);
}

static void bounced(char out[PATH_ROOM], const char *begin, const char *first, const char *second)
{
	bounced_on(out, begin, 0, first, second);
}

static int path_begins(const char *name, const struct journey *j, const char *path)
{
	if (!strncmp(j->path, path, strlen(path)))
		return 0;
	fprintf(stderr, "%s: %s\n", name, j->path);
	return 1;
}

// What is stored in a new term before its tail's lease comes is on its way until then.
static int lease_comes(struct world *w)
{
	const struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	struct journey j = {};
	struct frame f;
	int wrong;

	set_chain(w, 3, 0);
	forget(w);
	write_inner(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong = step(w, FWD1, &f, &j);
	for (int i = 0; i < 3; i++)
		wrong += step(w, i ? FTN1 + i - 1 : FTN3, &j.out, &j);
	node_lease(&w->node[FTN3], 0, 0, 0);
	wrong += step(w, FTN3, &j.out, &j);
	node_lease(&w->node[FTN3], 0, NOW_TERM, UINT64_MAX);
	wrong += go_on(w, &j);
	return wrong +
	       path_is("a lease that comes", &j,
		       "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > "
		       "ftn3 REDIRECTED+LOOKED_UP_AGAIN > ftn2 REDIRECTED > ftn3 REPLIED > "
		       "fwd1 FORWARDED_FIRST");
}

#define BOUNCES_                                                                                   \
	"fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REDIRECTED+LOOKED_UP_AGAIN"

// O3: a tail answers, decides and releases only while it holds its lease.
static int test_leases(struct world *w)
{
	const struct chain_value alone = {.epoch = EPOCH, .term = TERM, .live = 1, .node = {FTN1}};
	static const struct {
		const char *name;
		uint64_t term, end_ns;
	} none[] = {
		{"no lease", 0, 0},
		{"a lease that has ended", NOW_TERM, 1},
		{"a former term's lease", NOW_TERM - 1, UINT64_MAX},
		{"a later term's lease", NOW_TERM + 1, UINT64_MAX},
	};
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		     open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
		     arp = ARP(.from = "10.0.1.10", .to = "10.0.1.11"), reset = syn;
	char path[PATH_ROOM], again[PATH_ROOM];
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 1, 0);
	struct journey j = {};
	struct frame f;

	reset.flags = RST;
	bounced(path, "fwd1 LOOKED_UP", "ftn3", "ftn2");
	bounced_on(again, BOUNCES_, 2, "ftn2", "ftn3");
	for (size_t i = 0; i < COUNT(none); i++) {
		const char *name = none[i].name;

		set_chain(w, 3, 0);
		forget(w);
		node_lease(&w->node[FTN3], 0, none[i].term, none[i].end_ns);
		// Neither what it would decide nor what it has.
		wrong += sends(w, name, FWD1, OF_FWD1, RED, &open, path, DROPPED, &j);
		wrong += sends(w, name, FWD1, OF_FWD1, RED, &syn, path, DROPPED, &j);
		wrong += no_sessions(w, name);
		wrong += sends(w, name, FWD1, OF_FWD1, BLUE, &open, path, DROPPED, &j);
		// The directory is no part of the chain.
		wrong += sends(w, name, FWD1, OF_FWD1, RED, &arp, FIRST "ENDPOINT_ARP", ANSWERED,
			       &j);
		// The others need none.
		set_chain(w, 3, 0);
		node_lease(&w->node[FTN1], 0, none[i].term, none[i].end_ns);
		node_lease(&w->node[FTN2], 0, none[i].term, none[i].end_ns);
		wrong += sends(w, name, FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
			       DELIVERED, &j);
		// Lost since: stored it is, released it is not, but for a lease that comes soon.
		node_lease(&w->node[FTN3], 0, none[i].term, none[i].end_ns);
		wrong += sends(w, name, FWD1, OF_FWD1, RED, &reset, again, DROPPED, &j);
		want.stamp.counter = 2;
		want.state = DFT_RST | (from_b ? DFT_BEGUN_BY_B : 0);
		wrong += replicas_equal(w, name, &key, &want);
		// Nobody to send it to.
		for (int k = 0; k < NODES; k++)
			node_chain(&w->node[k], 0, &alone);
		node_lease(&w->node[FTN1], 0, none[i].term, none[i].end_ns);
		wrong += sends(w, name, FWD1, OF_FWD1, RED, &open, "fwd1 LOOKED_UP > ftn1 NO_LEASE",
			       DROPPED, &j);
		wrong += sends(w, name, FWD1, OF_FWD1, BLUE, &open,
			       "fwd1 LOOKED_UP > ftn1 NO_LEASE", DROPPED, &j);
	}

	// The learner releases: by its own lease.
	set_chain(w, 3, 1);
	node_lease(&w->node[FTN3], 0, 0, 0);
	forget(w);
	write_inner(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_begins("a learner without a lease", &j,
			     "fwd1 LOOKED_UP > ftn2 INSERTED > ftn1 REPLICATED > ftn2 "
			     "REPLICATED > ftn3 LOOKED_UP_AGAIN > ftn2 REPLICATED > ftn3 "
			     "LOOKED_UP_AGAIN > ");
	return wrong + lease_comes(w);
}

// M2, M4: who promised a later term, or is not who is meant, does not act.
static int test_fences(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		     open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11");
	struct chain_value other = {
		.epoch = EPOCH, .term = TERM, .live = 3, .node = {FTN1, FTN2, FTN3}};
	const uint32_t vni[] = {RED, BLUE};
	const char *blue = FIRST "FORWARDED_FIRST";
	char path[PATH_ROOM], blue_path[PATH_ROOM];
	struct journey j;
	int wrong = 0;

	// What was promised is this very term: it acts. (So everywhere above.)
	bounced(path, "fwd1 LOOKED_UP", "ftn3", "ftn2");
	node_promised(&w->node[FTN3], 0, NOW_TERM + 1);
	for (int i = 0; i < 2; i++)
		wrong += sends(w, "a promise at the tail", FWD1, OF_FWD1, vni[i], &open, path,
			       DROPPED, &j);
	set_chain(w, 3, 0);
	node_promised(&w->node[FTN2], 0, TERM_WORD(EPOCH + 1, 0));
	wrong += sends(w, "a promise at a replica", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 STALE_TERM",
		       DROPPED, &j);
	wrong += sends(w, "a promise at a replica", FWD1, OF_FWD1, BLUE, &syn, blue, DELIVERED, &j);
	set_chain(w, 3, 0);
	forget(w);
	node_promised(&w->node[FTN1], 0, NOW_TERM + 8);
	bounced(path, "fwd1 LOOKED_UP > ftn3 INSERTED", "ftn1", "ftn2");
	wrong += sends(w, "a promise at the head", FWD1, OF_FWD1, RED, &syn, path, DROPPED, &j);
	wrong += no_sessions(w, "a promise at the head");
	wrong += sends(w, "a promise at the head", FWD1, OF_FWD1, BLUE, &syn, blue, DELIVERED, &j);

	// In its former life it was a member.
	forget(w);
	other.boot[2] = 4711;
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], 0, &other);
	bounced(path, "fwd1 LOOKED_UP", "ftn2", "ftn1");
	bounced(blue_path, "fwd1 LOOKED_UP", "ftn2", "ftn1");
	wrong += sends(w, "another life, the tail", FWD1, OF_FWD1, RED, &open, path, DROPPED, &j);
	wrong += sends(w, "another life, the tail", FWD1, OF_FWD1, BLUE, &open, blue_path, DROPPED,
		       &j);
	// Who believes that it is still the one asks it; it knows better.
	set_chain(w, 3, 0);
	node_chain(&w->node[FTN3], 0, &other);
	bounced(path, "fwd1 LOOKED_UP", "ftn3", "ftn2");
	wrong += sends(w, "another life, and asked", FWD1, OF_FWD1, RED, &open, path, DROPPED, &j);
	bounced(path, "fwd2 LOOKED_UP", "ftn3", "ftn2");
	wrong += sends(w, "another life, a replication", FWD2, OF_FWD2, BLUE, &open, path, DROPPED,
		       &j);
	set_chain(w, 3, 0);
	other.boot[1] = 4711;
	node_chain(&w->node[FTN2], 0, &other);
	wrong += sends(w, "another life, a replica", FWD1, OF_FWD1, RED, &syn,
		       "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 NOT_MEMBER",
		       DROPPED, &j);
	return wrong;
}

static void heard_by_all(struct world *w, uint32_t index, uint32_t boot, int alive)
{
	for (int i = 0; i < NODES; i++)
		node_heard(&w->node[i], index, boot, alive);
}

// O1: whom to ask is decided by who is alive.
static int test_liveness(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), reset = syn,
		     open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11");
	const uint32_t vni[] = {RED, BLUE};
	struct chain_value next = {
		.epoch = EPOCH, .term = TERM + 8, .live = 2, .node = {FTN1, FTN2}};
	struct journey j;
	int wrong = 0;

	reset.flags = RST;
	wrong += sends(w, "begin", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	// The tail died. The next in line knows of a new term, the forwarder does not.
	heard_by_all(w, FTN3, node_boot(FTN3), 0);
	for (int i = FTN1; i <= FTN2; i++)
		node_chain(&w->node[i], 0, &next);
	for (int i = 0; i < 2; i++)
		wrong += sends(w, "the tail is dead", FWD1, OF_FWD1, vni[i], &open,
			       "fwd1 LOOKED_UP > ftn2 REPLIED > fwd1 FORWARDED_FIRST", DELIVERED,
			       &j);
	wrong += sends(w, "the tail is dead", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn2 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	// Back in another life: not the one that is meant.
	forget(w);
	heard_by_all(w, FTN3, node_boot(FTN3) + 1, 1);
	for (int i = 0; i < 2; i++)
		wrong += sends(w, "the tail came back empty", FWD1, OF_FWD1, vni[i], &open,
			       "fwd1 LOOKED_UP > ftn2 REPLIED > fwd1 FORWARDED_FIRST", DELIVERED,
			       &j);
	// Whoever is asked redirects to who is alive.
	set_chain(w, 3, 0);
	forget(w);
	heard_by_all(w, FTN3, node_boot(FTN3), 1);
	wrong += sends(w, "begin again", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	heard_by_all(w, FTN1, node_boot(FTN1), 0);
	next.node[0] = FTN2;
	next.node[1] = FTN3;
	for (int i = FTN2; i <= FTN3; i++)
		node_chain(&w->node[i], 0, &next);
	wrong += sends(w, "the head is dead", FWD1, OF_FWD1, RED, &reset,
		       "fwd1 UPDATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
		       DELIVERED, &j);
	// All seem dead: that may be hearsay.
	heard_by_all(w, FTN2, node_boot(FTN2), 0);
	heard_by_all(w, FTN3, node_boot(FTN3), 0);
	for (int i = 0; i < 2; i++) {
		forget(w);
		wrong += sends(w, "all are dead", FWD1, OF_FWD1, vni[i], &open,
			       FIRST "FORWARDED_FIRST", DELIVERED, &j);
	}
	for (int i = FTN1; i <= FTN3; i++)
		heard_by_all(w, i, node_boot(i), 1);
	return wrong;
}

// O1, O6: two nodes that do not hear each other are no outage where others hear both. No frame goes
// from one of them to the other.
#define DOWN_TO_FTN3 "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "
static const struct parted {
	const char *name;
	uint32_t pair[4][2];
	const char *arp, *open; // open: a flow without a session
	const char *begin, *end;
} parted_rows[] = {
	{"forwarder and tail",
	 {{FWD1, FTN3}},
	 "fwd1 LOOKED_UP > ftn2 REPLIED > fwd1 ",
	 "fwd1 LOOKED_UP > ftn2 REDIRECTED > ftn3 RELAYED > ftn4 REPLIED > fwd1 ",
	 "fwd1 LOOKED_UP > ftn2 REDIRECTED > ftn3 INSERTED > " DOWN_TO_FTN3
	 "RELAYED > ftn4 REPLIED > fwd1 ",
	 "fwd1 UPDATED > " DOWN_TO_FTN3 "RELAYED > ftn4 REPLIED > fwd1 "},
	{"forwarder and head",
	 {{FWD1, FTN1}},
	 FIRST,
	 FIRST,
	 INSERTED_,
	 "fwd1 UPDATED > ftn2 REDIRECTED > " DOWN_TO_FTN3 "REPLIED > fwd1 "},
	{"forwarder and tail, and whom that gives the reply",
	 {{FWD1, FTN3}, {FWD1, FTN1 + 3}},
	 "fwd1 LOOKED_UP > ftn2 REPLIED > fwd1 ",
	 "fwd1 LOOKED_UP > ftn2 REDIRECTED > ftn3 RELAYED > ftn4 RELAYED > fwd2 REPLIED > fwd1 ",
	 "fwd1 LOOKED_UP > ftn2 REDIRECTED > ftn3 INSERTED > " DOWN_TO_FTN3
	 "RELAYED > ftn4 RELAYED > fwd2 REPLIED > fwd1 ",
	 "fwd1 UPDATED > " DOWN_TO_FTN3 "RELAYED > ftn4 RELAYED > fwd2 REPLIED > fwd1 "},
	{"forwarder and all that hold the table",
	 {{FWD1, FTN1}, {FWD1, FTN2}, {FWD1, FTN3}, {FWD1, FTN1 + 3}},
	 "fwd1 LOOKED_UP > fwd2 REDIRECTED > ftn3 RELAYED > ftn4 RELAYED > fwd2 REPLIED > fwd1 ",
	 "fwd1 LOOKED_UP > fwd2 REDIRECTED > ftn3 RELAYED > ftn4 RELAYED > fwd2 REPLIED > fwd1 ",
	 "fwd1 LOOKED_UP > fwd2 REDIRECTED > ftn3 INSERTED > " DOWN_TO_FTN3
	 "RELAYED > ftn4 RELAYED > fwd2 REPLIED > fwd1 ",
	 "fwd1 UPDATED > fwd2 REDIRECTED > " DOWN_TO_FTN3
	 "RELAYED > ftn4 RELAYED > fwd2 REPLIED > fwd1 "},
};

static void set_parted(struct world *w, const struct parted *row, int heard)
{
	for (size_t i = 0; i < COUNT(row->pair) && row->pair[i][0] != row->pair[i][1]; i++) {
		const uint32_t *pair = row->pair[i];

		node_heard(&w->node[pair[0]], pair[1], node_boot(pair[1]), heard);
		node_heard(&w->node[pair[1]], pair[0], node_boot(pair[0]), heard);
	}
}

// Nobody hears the forwarder, which may be hearsay: the last who may pass the reply on sends it.
static int check_unheard(struct world *w)
{
	struct inner open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11");
	struct journey j;
	struct frame f;
	int relayed = 0, wrong;

	forget(w);
	for (int i = 0; i < NODES; i++)
		node_heard(&w->node[i], FWD1, node_boot(FWD1), 0);
	write_inner(&f, &open);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong = travel(w, FWD1, &f, &j);
	for (const char *at = j.path; (at = strstr(at, "RELAYED")); at++)
		relayed++;
	if (relayed != MAX_HOPS || !strstr(j.path, "REPLIED > fwd1 FORWARDED_FIRST")) {
		fprintf(stderr, "nobody hears the forwarder: %s\n", j.path);
		wrong++;
	}
	for (int i = 0; i < NODES; i++)
		node_heard(&w->node[i], FWD1, node_boot(FWD1), 1);
	return wrong;
}

// M7: the other op that goes back.
static int check_taken(struct world *w)
{
	struct inner open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11");
	const uint32_t ftn6 = FTN1 + 5;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &open, &from_b);
	struct dft_packet d;
	struct journey j;
	char ip[16], mac[18];
	struct frame f;

	write_keyed(&f, FTN3, FTN2, &key, DFT_TAKEN, (struct dft_stamp){0, 1});
	d = op_get(&f);
	node_ip_text(ftn6, ip);
	node_mac_text(ftn6, mac);
	d.op.forwarder = address_must(ip);
	mac_must(d.op.forwarder_mac, mac);
	op_put(&f, &d);
	wrong += travel(w, FTN2, &f, &j);
	wrong += path_is("taken, to another", &j, "ftn2 MOVE_TAKEN > ftn6 COPY_CONFIRMED");
	node_heard(&w->node[FTN2], ftn6, node_boot(ftn6), 0);
	wrong += travel(w, FTN2, &f, &j);
	wrong += path_is("taken, to whom is not heard", &j,
			 "ftn2 RELAYED > ftn3 MOVE_TAKEN > ftn6 COPY_CONFIRMED");
	node_heard(&w->node[FTN2], ftn6, node_boot(ftn6), 1);
	return wrong;
}

static int test_parted(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), reset = syn,
		     open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
		     arp = ARP(.from = "10.0.1.10", .to = "10.0.1.11");
	const uint32_t voter[] = {FTN1, FTN2, FTN3, FTN1 + 3, FWD2};
	struct chain_value c = {
		.epoch = EPOCH, .term = TERM, .live = 3, .node = {FTN1, FTN2, FTN3}};
	char path[PATH_ROOM];
	struct journey j;
	int wrong = 0;

	reset.flags = RST;
	for (c.voters = 0; c.voters < COUNT(voter); c.voters++) {
		c.voter[c.voters].node = voter[c.voters];
		c.voter[c.voters].boot = node_boot(voter[c.voters]);
	}
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], 0, &c);
	for (size_t i = 0; i < COUNT(parted_rows); i++) {
		const struct parted *row = &parted_rows[i];

		forget(w);
		set_parted(w, row, 0);
		snprintf(path, sizeof(path), "%sFORWARDED_FIRST", row->open);
		wrong += sends(w, row->name, FWD1, OF_FWD1, RED, &open, path, DELIVERED, &j);
		snprintf(path, sizeof(path), "%sENDPOINT_ARP", row->arp);
		wrong += sends(w, row->name, FWD1, OF_FWD1, RED, &arp, path, ANSWERED, &j);
		snprintf(path, sizeof(path), "%sFORWARDED_FIRST", row->begin);
		wrong += sends(w, row->name, FWD1, OF_FWD1, RED, &syn, path, DELIVERED, &j);
		snprintf(path, sizeof(path), "%sFORWARDED_FIRST", row->end);
		wrong += sends(w, row->name, FWD1, OF_FWD1, RED, &reset, path, DELIVERED, &j);
		set_parted(w, row, 1);
	}
	return wrong + check_unheard(w) + check_taken(w);
}

// ---- the forwarder's cache ----

static struct cache_value cache_get(struct world *w, int node, const struct session_key *key)
{
	struct cache_value c = {};

	if (!node_cached(&w->node[node], key, &c))
		fatalx("%s does not cache it", w->node[node].name);
	return c;
}

// O10: a tail looks at its lease, stands still, and transmits its answer when the chain has gone on
// without it, and the session has had its end and another life.
static int test_stands_still(struct world *w)
{
	const struct chain_value next = {
		.epoch = EPOCH, .term = TERM + 1, .live = 2, .node = {FTN1, FTN2}};
	const struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	const struct dft_stamp life = {7, 1};
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_packet late;
	struct frame f, held;
	struct journey j = {};

	write_inner(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += step(w, FWD1, &f, &j);
	wrong += step(w, FTN3, &j.out, &j);
	wrong += step(w, FTN1, &j.out, &j);
	wrong += step(w, FTN2, &j.out, &j);
	wrong += step(w, FTN3, &j.out, &j);
	wrong += path_is("it answers", &j,
			 "fwd1 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > "
			 "ftn3 REPLIED");
	held = j.out;
	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], 0, &next);
	forget(w);
	put_floors(w, &key, life.floor);
	wrong += sends(w, "another life", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn2 INSERTED > ftn1 REPLICATED > ftn2 REPLIED > "
		       "fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	late = op_get(&held);
	late.op.clock_ms = htonl(ntohl(late.op.clock_ms) - PACKET_LIFE_MS - 100);
	op_put(&held, &late);
	wrong += travel(w, FWD1, &held, &j);
	wrong += path_is("its answer comes", &j,
			 "fwd1 LOOKED_UP_AGAIN > ftn2 REPLIED > fwd1 FORWARDED_FIRST");
	if (dft_stamp_compare(cache_get(w, FWD1, &key).record.incarnation, life) != 0) {
		fprintf(stderr, "its answer comes: it is remembered\n");
		wrong++;
	}
	put_floors(w, &key, 0);
	return wrong;
}

// As if it had been asked that long ago.
static void cache_age(struct world *w, int node, const struct session_key *key, uint32_t ms)
{
	struct cache_value c = cache_get(w, node, key);

	c.asked_ms = clock_ms() - ms;
	node_cached_put(&w->node[node], key, &c);
}

static int test_cache(struct world *w)
{
	struct inner open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
		     guarded = UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20"),
		     denied = UDP(7, .from = "10.0.1.10", .to = "10.0.1.20"),
		     nobody = UDP(7, .from = "10.0.1.10", .to = "10.0.1.99");
	int from_b, wrong = 0;
	struct session_key open_key = key_of(RED, &open, &from_b),
			   guarded_key = key_of(RED, &guarded, &from_b),
			   denied_key = key_of(RED, &denied, &from_b),
			   nobody_key = key_of(RED, &nobody, &from_b);
	struct journey j;

	// A policy that has changed: a pure decision is made anew, a session's stands.
	wrong += sends(w, "policy", FWD1, OF_FWD1, RED, &open, FIRST "FORWARDED_FIRST", DELIVERED,
		       &j);
	wrong += sends(w, "policy", FWD1, OF_FWD1, BLUE, &open, FIRST "FORWARDED_FIRST", DELIVERED,
		       &j);
	wrong += sends(w, "policy, stateful", FWD1, OF_FWD1, RED, &guarded,
		       INSERTED_ "FORWARDED_FIRST", DELIVERED, &j);
	wrong += sends(w, "policy, denied", FWD1, OF_FWD1, RED, &denied, FIRST "SECURITY_GROUP",
		       DROPPED, &j);
	raise_policy(w, 6);
	wrong += sends(w, "raised policy", FWD1, OF_FWD1, RED, &open, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "raised policy, again", FWD1, OF_FWD1, RED, &open, "fwd1 FORWARDED",
		       DELIVERED, &j);
	wrong += sends(w, "another tenant's policy", FWD1, OF_FWD1, BLUE, &open, "fwd1 FORWARDED",
		       DELIVERED, &j);
	wrong += sends(w, "raised policy, stateful", FWD1, OF_FWD1, RED, &guarded, "fwd1 FORWARDED",
		       DELIVERED, &j);
	wrong += sends(w, "raised policy, denied", FWD1, OF_FWD1, RED, &denied,
		       FIRST "SECURITY_GROUP", DROPPED, &j);
	raise_policy(w, 0);

	// O10: a decision is used for so long and no longer.
	cache_age(w, FWD1, &open_key, REFRESH_MS / 2);
	wrong += sends(w, "young", FWD1, OF_FWD1, RED, &open, "fwd1 FORWARDED", DELIVERED, &j);
	cache_age(w, FWD1, &open_key, REFRESH_MS);
	wrong += sends(w, "old", FWD1, OF_FWD1, RED, &open, FIRST "FORWARDED_FIRST", DELIVERED, &j);
	wrong += sends(w, "renewed", FWD1, OF_FWD1, RED, &open, "fwd1 FORWARDED", DELIVERED, &j);
	cache_age(w, FWD1, &guarded_key, REFRESH_MS);
	wrong += sends(w, "old, stateful", FWD1, OF_FWD1, RED, &guarded, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "renewed, stateful", FWD1, OF_FWD1, RED, &guarded, "fwd1 FORWARDED",
		       DELIVERED, &j);
	// A denial is kept briefly.
	wrong +=
		sends(w, "denied", FWD1, OF_FWD1, RED, &denied, "fwd1 SECURITY_GROUP", DROPPED, &j);
	cache_age(w, FWD1, &denied_key, 1000);
	wrong += sends(w, "denied, old", FWD1, OF_FWD1, RED, &denied, FIRST "SECURITY_GROUP",
		       DROPPED, &j);
	wrong += sends(w, "nobody", FWD1, OF_FWD1, RED, &nobody, FIRST "UNREACHABLE", TOLD, &j);
	cache_age(w, FWD1, &nobody_key, 1000);
	wrong +=
		sends(w, "nobody, old", FWD1, OF_FWD1, RED, &nobody, FIRST "UNREACHABLE", TOLD, &j);
	// The denied direction says nothing about the other.
	denied = reversed(&denied, 0);
	wrong += sends(w, "denied, the other way", FWD1, OF_FWD1, RED, &denied,
		       INSERTED_ "FORWARDED_FIRST", DELIVERED, &j);
	denied = reversed(&denied, 0);
	return wrong + sends(w, "and its answers", FWD1, OF_FWD1, RED, &denied, "fwd1 FORWARDED",
			     DELIVERED, &j);
}

// ---- beside the packets ----

// The copy of the packet that just left in j, at the forwarder, and on from there.
static int beside(struct world *w, const char *name, int node, struct journey *j, const char *path)
{
	struct frame f = j->out;
	int wrong;

	j->path[0] = 0;
	wrong = step_of(w, node, &w->node[node].oam, &f, j) | go_on(w, j);
	return wrong + path_is(name, j, path);
}

static uint32_t refreshed_at(struct world *w, int node, const struct session_key *key)
{
	uint32_t at = hash_of(key) % 65536, when = 0;

	bpf_map_lookup_elem(node_map(&w->node[node], "refreshes"), &at, &when);
	return when;
}

static void never_refreshed(struct world *w, int node, const struct session_key *key)
{
	uint32_t at = hash_of(key) % 65536, never = 0;

	node_put(&w->node[node], "refreshes", &at, &never);
}

#define REFRESH_ "fwd1 REFRESHING > ftn3 REPLIED > fwd1 REFRESHED"

// A flow that is known goes on by what is known while the table is asked about it.
static int check_refresh(struct world *w, const char *name, uint32_t vni, struct inner in,
			 int stateful)
{
	int from_b, wrong = 0;
	struct session_key key = key_of(vni, &in, &from_b);
	struct dft_packet d;
	struct frame inner, want;
	struct journey j;
	uint32_t when;

	forget(w);
	never_refreshed(w, FWD1, &key);
	wrong += sends(w, name, FWD1, OF_FWD1, vni, &in,
		       stateful ? INSERTED_ "FORWARDED_FIRST" : FIRST "FORWARDED_FIRST", DELIVERED,
		       &j);
	in.flags = ACK;
	cache_age(w, FWD1, &key, REFRESH_DUE_MS / 2);
	if (in.protocol != IPPROTO_TCP || !stateful) {
		wrong += sends(w, name, FWD1, OF_FWD1, vni, &in, "fwd1 FORWARDED", DELIVERED, &j);
		if (refreshed_at(w, FWD1, &key)) {
			fprintf(stderr, "%s: refreshed too early\n", name);
			wrong++;
		}
		wrong += beside(w, name, FWD1, &j, "fwd1 FLOW_TOLD");
	}
	cache_age(w, FWD1, &key, REFRESH_DUE_MS);
	wrong += sends(w, name, FWD1, OF_FWD1, vni, &in, "fwd1 FORWARDED", DELIVERED, &j);
	when = refreshed_at(w, FWD1, &key);
	if (clock_ms() - when > REFRESH_REPEAT_MS) {
		fprintf(stderr, "%s: not refreshed\n", name);
		wrong++;
	}
	// Not for each packet.
	wrong += sends(w, name, FWD1, OF_FWD1, vni, &in, "fwd1 FORWARDED", DELIVERED, &j);
	if (refreshed_at(w, FWD1, &key) != when && clock_ms() - when < REFRESH_REPEAT_MS) {
		fprintf(stderr, "%s: refreshed too often\n", name);
		wrong++;
	}
	if (in.protocol == IPPROTO_TCP && stateful)
		return wrong + beside(w, name, FWD1, &j,
				      "fwd1 REFRESHING > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "
				      "REPLIED > fwd1 REFRESHED");

	// The copy is the packet as the endpoint sent it, but for the TTL of one that was routed.
	want = j.out;
	j.path[0] = 0;
	wrong += step_of(w, FWD1, &w->node[FWD1].oam, &want, &j);
	in.ttl = 64 - routed(vni, &in);
	write_inner(&inner, &in);
	d = want_asked(FWD1, OF_FWD1, &key);
	d.op.flags = DFT_REFRESH;
	d.op.clock_ms = op_get(&j.out).op.clock_ms;
	write_op(&want, FWD1, FTN3, vni, 0xC000 | (hash_of(&key) & 0x3FFF), &d, &inner);
	wrong += frames_compare(name, &want, &j.out);
	wrong += go_on(w, &j);
	wrong += path_is(name, &j, REFRESH_);
	if (clock_ms() - cache_get(w, FWD1, &key).asked_ms > REFRESH_DUE_MS / 2) {
		fprintf(stderr, "%s: the cache is as old as before\n", name);
		wrong++;
	}
	return wrong;
}

static int test_refresh(struct world *w)
{
	struct inner open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
		     across = UDP(7, .from = "10.0.1.10", .to = "10.0.2.10"),
		     blue_across = UDP(7, .from = "10.0.1.10", .to = "10.0.2.10",
				       .to_mac = "02:f2:00:00:01:01"),
		     guarded = UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20"),
		     blue = UDP(7, .from = "10.0.1.10", .to = "10.0.1.24",
				.to_mac = "02:02:00:00:01:18"),
		     tcp = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &guarded, &from_b),
			   open_key = key_of(RED, &open, &from_b);
	struct endpoint_row moved = *endpoint(RED, "10.0.1.11");
	struct dft_packet d;
	struct journey j;
	uint32_t asked;

	wrong += check_refresh(w, "refresh", RED, open, 0);
	wrong += check_refresh(w, "refresh, routed", RED, across, 0);
	wrong += check_refresh(w, "refresh, the other tenant", BLUE, blue_across, 0);
	wrong += check_refresh(w, "refresh, stateful", RED, guarded, 1);
	wrong += check_refresh(w, "refresh, stateful, the other tenant", BLUE, blue, 1);
	wrong += check_refresh(w, "refresh, with news", RED, tcp, 1);

	// Nobody answers: packets go their way until R.
	forget(w);
	wrong += sends(w, "no answer", FWD1, OF_FWD1, RED, &guarded, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	node_lease(&w->node[FTN3], 0, 0, 0);
	cache_age(w, FWD1, &key, REFRESH_MS - 1000);
	wrong += sends(w, "no answer", FWD1, OF_FWD1, RED, &guarded, "fwd1 FORWARDED", DELIVERED,
		       &j);
	set_chain(w, 3, 0);
	// It took too long: the next packet asks.
	asked = cache_get(w, FWD1, &key).asked_ms;
	j.path[0] = 0;
	wrong += step_of(w, FWD1, &w->node[FWD1].oam, &j.out, &j);
	wrong += step(w, FTN3, &j.out, &j);
	d = op_get(&j.out);
	d.op.clock_ms = htonl(ntohl(d.op.clock_ms) - PACKET_LIFE_MS - 100);
	op_put(&j.out, &d);
	wrong += go_on(w, &j);
	wrong += path_is("late", &j, "fwd1 REFRESHING > ftn3 REPLIED > fwd1 REFRESH_LATE");
	if (cache_get(w, FWD1, &key).asked_ms != asked) {
		fprintf(stderr, "late: applied\n");
		wrong++;
	}
	// The table has lost it: it is decided anew, and nothing is delivered twice.
	for (int i = FTN1; i <= FTN3; i++)
		node_clear(&w->node[i], "sessions");
	wrong += sends(w, "lost", FWD1, OF_FWD1, RED, &guarded, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += beside(w, "lost", FWD1, &j,
			"fwd1 REFRESHING > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > "
			"ftn3 REPLIED > fwd1 REFRESHED");
	// Refused at the head, and looked up again: still beside.
	node_clear(&w->node[FTN3], "sessions");
	for (int i = FTN1; i <= FTN2; i++)
		node_clear(&w->node[i], "sessions");
	put_floor(w, FTN1, &key, 2);
	cache_age(w, FWD1, &key, REFRESH_DUE_MS);
	wrong += sends(w, "refused", FWD1, OF_FWD1, RED, &guarded, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += beside(
		w, "refused", FWD1, &j,
		"fwd1 REFRESHING > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "
		"INSERTED+LOOKED_UP_AGAIN > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED "
		"> fwd1 REFRESHED");
	put_floors(w, &key, 0);
	// An answer that is good for one packet only changes nothing.
	wrong += sends(w, "moved", FWD1, OF_FWD1, RED, &open, FIRST "FORWARDED_FIRST", DELIVERED,
		       &j);
	moved.host = 13;
	for (int i = FTN1; i <= FTN3; i++)
		put_endpoint(&w->node[i], &moved);
	cache_age(w, FWD1, &open_key, REFRESH_DUE_MS);
	wrong += sends(w, "moved", FWD1, OF_FWD1, RED, &open, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += beside(w, "moved", FWD1, &j, REFRESH_);
	wrong += cache_get(w, FWD1, &open_key).record.towards[from_b].host_mac[5] != 13;
	for (int i = FTN1; i <= FTN3; i++)
		put_endpoint(&w->node[i], endpoint(RED, "10.0.1.11"));
	// What was denied since is denied from now on.
	for (int i = FTN1; i <= FTN3; i++) {
		struct endpoint_key gone = {.vni = RED, .address = address_must("10.0.1.11")};

		node_remove(&w->node[i], "endpoints", &gone);
	}
	cache_age(w, FWD1, &open_key, REFRESH_DUE_MS);
	wrong += sends(w, "gone", FWD1, OF_FWD1, RED, &open, "fwd1 FORWARDED", DROPPED, &j);
	wrong += beside(w, "gone", FWD1, &j, REFRESH_);
	wrong += sends(w, "gone", FWD1, OF_FWD1, RED, &open, "fwd1 UNREACHABLE", DROPPED, &j);
	for (int i = FTN1; i <= FTN3; i++)
		put_endpoint(&w->node[i], endpoint(RED, "10.0.1.11"));
	// Evicted before the copy came.
	forget(w);
	wrong += sends(w, "evicted", FWD1, OF_FWD1, RED, &open, FIRST "FORWARDED_FIRST", DELIVERED,
		       &j);
	forget(w);
	return wrong + beside(w, "evicted", FWD1, &j, "fwd1 FLOW_FORGOTTEN");
}

// O7: what the flow table hears of a connection's life.
static int test_lifecycle(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), ack = syn,
		     fin = syn, answer = reversed(&syn, SYN | ACK),
		     fin_b = reversed(&syn, FIN | ACK), syn_b = reversed(&syn, SYN),
		     udp = UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20"),
		     udp_b = reversed(&udp, 0);
	const char *told = "fwd1 REFRESHING > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > "
			   "fwd1 REFRESHED",
		   *updated = "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > "
			      "fwd1 FORWARDED_FIRST",
		   *reopened = "fwd1 LOOKED_UP > ftn3 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED "
			       "> ftn3 REPLIED > fwd1 FORWARDED_FIRST";
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b), udp_key;
	struct dft_record want = want_record(RED, 5, &syn, 1, 0);
	uint16_t fin_of_a = from_b ? DFT_FIN_FROM_B : DFT_FIN_FROM_A,
		 fin_of_b = from_b ? DFT_FIN_FROM_A : DFT_FIN_FROM_B, begun = want.state;
	struct cache_value c;
	struct journey j;

	ack.flags = ACK;
	fin.flags = FIN | ACK;
	never_refreshed(w, FWD1, &key);
	wrong += sends(w, "begun", FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	wrong += beside(w, "begun", FWD1, &j, "fwd1 FLOW_TOLD");
	wrong += sends(w, "answered", FWD1, OF_FWD1, RED, &answer, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += beside(w, "answered", FWD1, &j, "fwd1 FLOW_TOLD");
	wrong += sends(w, "established", FWD1, OF_FWD1, RED, &ack, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += refreshed_at(w, FWD1, &key) == 0;
	wrong += beside(w, "established", FWD1, &j, told);
	want.stamp.counter = 2;
	want.state = begun | DFT_ANSWERED;
	wrong += replicas_equal(w, "established", &key, &want);
	wrong += sends(w, "no news", FWD1, OF_FWD1, RED, &ack, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += beside(w, "no news", FWD1, &j, "fwd1 FLOW_TOLD");

	wrong += sends(w, "closed by one", FWD1, OF_FWD1, RED, &fin, "fwd1 FORWARDED", DELIVERED,
		       &j);
	wrong += replicas_equal(w, "closed by one", &key, &want);
	// It lasts: the table hears of it when it is asked.
	cache_age(w, FWD1, &key, REFRESH_DUE_MS);
	never_refreshed(w, FWD1, &key);
	wrong += sends(w, "closed by one", FWD1, OF_FWD1, RED, &ack, "fwd1 FORWARDED", DELIVERED,
		       &j);
	wrong += beside(w, "closed by one", FWD1, &j, told);
	want.stamp.counter = 3;
	want.state |= fin_of_a;
	wrong += replicas_equal(w, "closed by one", &key, &want);
	// Half closed is not closed: a SYN is somebody's mistake, to be answered by the other side.
	wrong += sends(w, "half closed", FWD1, OF_FWD1, RED, &syn, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	c = cache_get(w, FWD1, &key); // a forwarder that hears nothing of what follows
	wrong += sends(w, "closed by both", FWD1, OF_FWD1, RED, &fin_b, updated, DELIVERED, &j);
	want.stamp.counter = 4;
	want.state |= fin_of_b;
	wrong += replicas_equal(w, "closed by both", &key, &want);
	// Late packets find their way, but nobody else begins it again; nor is that a use.
	wrong += sends(w, "late", FWD2, OF_FWD2, RED, &ack,
		       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED, &j);
	node_session_mark(&w->node[FTN3], &key, 15, 0);
	wrong += sends(w, "begun by the other", FWD1, OF_FWD1, RED, &syn_b,
		       "fwd1 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	if (node_session_idle_s(&w->node[FTN3], &key) < 10) {
		fprintf(stderr, "begun by the other: taken for a use\n");
		wrong++;
	}
	wrong += replicas_equal(w, "begun by the other", &key, &want);

	wrong += sends(w, "begun again", FWD1, OF_FWD1, RED, &syn, reopened, DELIVERED, &j);
	want.stamp.counter = 5;
	want.state = begun | 1 << DFT_GENERATION_SHIFT;
	wrong += replicas_equal(w, "begun again", &key, &want);
	wrong += sends(w, "begun again, sent again", FWD1, OF_FWD1, RED, &syn,
		       FIRST "FORWARDED_FIRST", DELIVERED, &j);
	never_refreshed(w, FWD1, &key);
	wrong += sends(w, "established again", FWD1, OF_FWD1, RED, &ack, "fwd1 FORWARDED",
		       DELIVERED, &j);
	wrong += beside(w, "established again", FWD1, &j, told);
	want.stamp.counter = 6;
	want.state |= DFT_ANSWERED;
	wrong += replicas_equal(w, "established again", &key, &want);
	// What another forwarder saw of the generation before.
	node_cached_put(&w->node[FWD2], &key, &c);
	cache_age(w, FWD2, &key, 0);
	wrong += sends(w, "a former generation's end", FWD2, OF_FWD2, RED, &fin_b,
		       "fwd2 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd2 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += replicas_equal(w, "a former generation's end", &key, &want);
	wrong += sends(w, "this generation's end", FWD2, OF_FWD2, RED, &fin,
		       "fwd2 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd2 "
		       "FORWARDED_FIRST",
		       DELIVERED, &j);
	want.stamp.counter = 7;
	want.state |= DFT_FINS;
	wrong += replicas_equal(w, "this generation's end", &key, &want);

	// UDP: who is asked answers. A tenant's VNI tells two such flows apart.
	key_of(RED, &udp, &from_b);
	udp_key = key_of(RED, &udp, &from_b);
	never_refreshed(w, FWD1, &udp_key);
	wrong += sends(w, "UDP", FWD1, OF_FWD1, RED, &udp, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	wrong += sends(w, "UDP, again", FWD1, OF_FWD1, RED, &udp, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += beside(w, "UDP, again", FWD1, &j, "fwd1 FLOW_TOLD");
	wrong += sends(w, "UDP, answered", FWD1, OF_FWD1, RED, &udp_b, "fwd1 FORWARDED", DELIVERED,
		       &j);
	wrong += beside(w, "UDP, answered", FWD1, &j, told);
	want = want_record(RED, 5, &udp, 2, DFT_ANSWERED);
	wrong += replicas_equal(w, "UDP, answered", &udp_key, &want);
	want.life = DFT_TOMBSTONE;
	for (int i = FTN1; i <= FTN3; i++)
		node_session_put(&w->node[i], &udp_key, &want);
	node_clear(&w->node[FWD1], "cache");
	node_tail(&w->node[FTN3], 0, NOW_TERM, 2);
	wrong += sends(w, "UDP, ended, the other side", FWD1, OF_FWD1, RED, &udp_b,
		       "fwd1 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	wrong += sends(w, "UDP, ended, begun again", FWD1, OF_FWD1, RED, &udp, reopened, DELIVERED,
		       &j);
	node_tail(&w->node[FTN3], 0, NOW_TERM, 3600);
	want = want_record(RED, 5, &udp, 3, 1 << DFT_GENERATION_SHIFT);
	wrong += replicas_equal(w, "UDP, ended, begun again", &udp_key, &want);
	wrong += sends(w, "UDP, the other tenant", FWD1, OF_FWD1, BLUE, &udp, FIRST "NO_SOURCE",
		       DROPPED, &j);
	return wrong;
}

// O7: however the end of a connection comes to a forwarder, the flow table hears of it once both
// sides have said so.
static int test_ends(struct world *w)
{
	enum before { NOTHING, STALE, BEGUN_AGAIN, BESIDE, FORGOTTEN };
	static const struct {
		const char *name, *first, *second;
		enum before before, between;
	} rows[] = {
		{"held", "fwd1 FORWARDED", "fwd1 UPDATED", NOTHING, NOTHING},
		{"held, a SYN between", "fwd1 FORWARDED", "fwd1 UPDATED", NOTHING, BEGUN_AGAIN},
		{"held, asked about beside", "fwd1 FORWARDED", "fwd1 UPDATED", NOTHING, BESIDE},
		{"held for long", "fwd1 FORWARDED", "fwd1 UPDATED", NOTHING, STALE},
		{"after long", "fwd1 UPDATED" DOWN_TO("fwd1") "FORWARDED_FIRST", "fwd1 UPDATED",
		 STALE, NOTHING},
		{"looked up", FIRST "FORWARDED_FIRST", "fwd1 UPDATED", FORGOTTEN, NOTHING},
		{"looked up, a SYN between", FIRST "FORWARDED_FIRST", "fwd1 UPDATED", FORGOTTEN,
		 BEGUN_AGAIN},
	};
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"), ack = syn, end[2];
	struct session_key key;
	struct dft_record r;
	char path[PATH_ROOM];
	struct journey j;
	int from_b, wrong = 0;

	ack.flags = ACK;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *name = rows[i].name;

		// Either side may be the first.
		end[0] = syn;
		end[0].flags = FIN | ACK;
		end[1] = reversed(&syn, FIN | ACK);
		forget(w);
		key = key_of(RED, &syn, &from_b);
		wrong += sends(w, name, FWD1, OF_FWD1, RED, &syn, INSERTED_ "FORWARDED_FIRST",
			       DELIVERED, &j);
		for (int k = 0; k < 2; k++) {
			enum before b = k ? rows[i].between : rows[i].before;

			never_refreshed(w, FWD1, &key);
			if (b == STALE)
				cache_age(w, FWD1, &key, REFRESH_MS);
			if (b == FORGOTTEN)
				node_clear(&w->node[FWD1], "cache");
			if (b == BEGUN_AGAIN)
				wrong += sends(w, name, FWD1, OF_FWD1, RED, &syn,
					       FIRST "FORWARDED_FIRST", DELIVERED, &j);
			if (b == BESIDE) {
				wrong += sends(w, name, FWD1, OF_FWD1, RED, &ack, "fwd1 FORWARDED",
					       DELIVERED, &j);
				wrong += beside(w, name, FWD1, &j,
						"fwd1 REFRESHING" DOWN_TO("fwd1") "REFRESHED");
			}
			snprintf(path, sizeof(path), "%s" DOWN_TO("fwd1") "FORWARDED_FIRST",
				 rows[i].second);
			wrong += sends(w, name, FWD1, OF_FWD1, RED, &end[(k + i) % 2],
				       k ? path : rows[i].first, DELIVERED, &j);
		}
		for (int k = FTN1; k <= FTN3; k++)
			if (!node_session(&w->node[k], &key, &r) ||
			    (r.state & DFT_FINS) != DFT_FINS) {
				fprintf(stderr, "%s: state %x\n", name, r.state);
				wrong++;
			}
	}
	return wrong;
}

// O10: a reply about a former life is not carried out.
static int test_former_life(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want = want_record(RED, 5, &syn, 8, 0);
	struct journey late = {}, j;

	wrong += sends(w, "begin", FWD2, OF_FWD2, RED, &syn,
		       "fwd2 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "
		       "REPLIED > fwd2 FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += decided(w, &syn, &late);
	want.incarnation.counter = 7;
	for (int i = FTN1; i <= FTN3; i++)
		node_session_put(&w->node[i], &key, &want);
	wrong += sends(w, "the next life", FWD1, OF_FWD1, RED, &syn, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += go_on(w, &late);
	return wrong + path_is("the former life", &late,
			       FIRST "LOOKED_UP_AGAIN > ftn3 REPLIED > fwd1 FORWARDED_FIRST");
}

// O10: of one key an older stamp never replaces a newer one; what the table no longer holds does
// not stay cached for ever.
static int test_cache_order(struct world *w)
{
	struct inner in = UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20");
	struct endpoint_row plain[] = {*endpoint(RED, "10.0.1.23"), *endpoint(RED, "10.0.1.20")};
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &in, &from_b);
	struct dft_record r;
	struct cache_value c;
	struct journey j;

	wrong += sends(w, "begin", FWD1, OF_FWD1, RED, &in, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	c = cache_get(w, FWD1, &key);
	c.record.stamp.counter = 5;
	node_cached_put(&w->node[FWD1], &key, &c);
	cache_age(w, FWD1, &key, REFRESH_MS);
	wrong += sends(w, "an older stamp", FWD1, OF_FWD1, RED, &in, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	if (cache_get(w, FWD1, &key).record.stamp.counter != 5) {
		fprintf(stderr, "an older stamp replaced a newer one\n");
		wrong++;
	}

	// The ports lose their groups, and the session is gone from the table.
	for (int i = FTN1; i <= FTN3; i++) {
		node_clear(&w->node[i], "sessions");
		for (int k = 0; k < 2; k++) {
			memset(plain[k].group, 0, sizeof(plain[k].group));
			put_endpoint(&w->node[i], &plain[k]);
		}
	}
	wrong += sends(w, "no longer stateful", FWD1, OF_FWD1, RED, &in, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "no longer stateful, again", FWD1, OF_FWD1, RED, &in, "fwd1 FORWARDED",
		       DELIVERED, &j);
	if (node_session(&w->node[FTN1], &key, &r)) {
		fprintf(stderr, "a stateless flow was recorded\n");
		wrong++;
	}
	for (int i = FTN1; i <= FTN3; i++) {
		put_endpoint(&w->node[i], endpoint(RED, "10.0.1.23"));
		put_endpoint(&w->node[i], endpoint(RED, "10.0.1.20"));
	}
	return wrong;
}

// An endpoint goes to another host in the middle of a session: what was decided stays, and its
// packets come to where it is now.
static int test_moved_endpoint(struct world *w)
{
	struct inner there = UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20");
	struct endpoint_row elsewhere = *endpoint(RED, "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &there, &from_b);
	struct dft_record before, after;
	char ip[16], mac[18];
	struct in6_addr host;
	struct cache_value c;
	struct journey j;

	elsewhere.host = 11;
	elsewhere.mac = "02:01:00:00:01:1f";
	host_text(elsewhere.host, ip, mac);
	host = address_must(ip);
	wrong += sends(w, "begin", FWD1, OF_FWD1, RED, &there, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	node_session(&w->node[FTN3], &key, &before);
	for (int i = FTN1; i <= FTN3; i++)
		put_endpoint(&w->node[i], &elsewhere);
	cache_age(w, FWD1, &key, REFRESH_MS);
	wrong +=
		sends(w, "there", FWD1, OF_FWD1, RED, &there, FIRST "FORWARDED_FIRST", DROPPED, &j);
	if (memcmp(j.out.byte + ETH_HLEN + offsetof(struct iphdr, daddr), &host.s6_addr32[3], 4)) {
		fprintf(stderr, "not to the host where the endpoint lives now\n");
		wrong++;
	}
	c = cache_get(w, FWD1, &key);
	mac_parse(elsewhere.mac, (uint8_t *)mac);
	if (memcmp(c.record.towards[from_b].to_mac, mac, 6)) {
		fprintf(stderr, "not to the MAC that the endpoint has now\n");
		wrong++;
	}
	if (!node_session(&w->node[FTN3], &key, &after) || !dft_record_equal(&before, &after)) {
		fprintf(stderr, "the record is another one\n");
		wrong++;
	}
	for (int i = FTN1; i <= FTN3; i++)
		put_endpoint(&w->node[i], endpoint(RED, "10.0.1.20"));
	cache_age(w, FWD1, &key, REFRESH_MS);
	return wrong + sends(w, "back again", FWD1, OF_FWD1, RED, &there, FIRST "FORWARDED_FIRST",
			     DELIVERED, &j);
}

// ---- one node with both roles ----

static int test_both_roles(struct world *w)
{
	struct inner open = UDP(7, .from = "10.0.1.10", .to = "10.0.2.10"),
		     guarded = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		     reset = guarded, nobody = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.99"),
		     arp = ARP(.from = "10.0.1.10", .to = "10.0.1.11"),
		     answer = reversed(&guarded, ACK);
	struct journey j;
	int wrong = 0;

	reset.flags = RST;
	wrong += sends(w, "both, stateless", BOTH, OF_BOTH, RED, &open,
		       "both FORWARDED_FIRST+LOOKED_UP+REPLIED", DELIVERED, &j);
	wrong += sends(w, "both, hit", BOTH, OF_BOTH, RED, &open, "both FORWARDED", DELIVERED, &j);
	wrong += sends(w, "both, blue", BOTH, OF_BOTH, BLUE, &open,
		       "both FORWARDED_FIRST+LOOKED_UP+REPLIED", DELIVERED, &j);
	wrong += sends(w, "both, stateful", BOTH, OF_BOTH, RED, &guarded,
		       "both FORWARDED_FIRST+LOOKED_UP+REPLIED", DELIVERED, &j);
	wrong += sends(w, "both, answer", BOTH, OF_BOTH, RED, &answer, "both FORWARDED", DELIVERED,
		       &j);
	wrong += sends(w, "both, update", BOTH, OF_BOTH, RED, &reset,
		       "both FORWARDED_FIRST+UPDATED+REPLIED", DELIVERED, &j);
	wrong += sends(w, "both, unreachable", BOTH, OF_BOTH, RED, &nobody,
		       "both LOOKED_UP+REPLIED+UNREACHABLE", TOLD, &j);
	wrong += sends(w, "both, ARP", BOTH, OF_BOTH, RED, &arp,
		       "both LOOKED_UP+REPLIED+ENDPOINT_ARP", ANSWERED, &j);
	wrong += sends(w, "both, no VPC", BOTH, OF_BOTH, NOBODY, &open, "both NO_VPC", DROPPED, &j);
	if (node_count(&w->node[BOTH], "sessions") != 1) {
		fprintf(stderr, "both: %u sessions\n", node_count(&w->node[BOTH], "sessions"));
		wrong++;
	}
	return wrong;
}

// ---- other VPCs, and a view that lacks something ----

static int test_service_chains(struct world *w)
{
	struct inner in = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
		     flat = UDP(7, .from = "10.0.1.10", .to = "172.20.0.1",
				.to_mac = "02:f1:00:00:01:01"),
		     stray = UDP(7, .from = "10.0.1.10", .to = "172.20.0.9",
				 .to_mac = "02:f1:00:00:01:01");
	struct row row = {.inner = stray};
	struct journey j;
	struct frame original, want;
	int wrong = 0;

	wrong += sends(w, "no function", FWD1, OF_FWD1, EMPTY, &in, ASKED "NO_CHAIN_FUNCTION",
		       DROPPED, &j);
	wrong += sends(w, "a function that is not there", FWD1, OF_FWD1, BROKEN, &in,
		       ASKED "NO_CHAIN_FUNCTION", DROPPED, &j);
	wrong += sends(w, "no subnets", FWD1, OF_FWD1, FLAT, &flat, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "no subnets, RED", FWD1, OF_FWD1, RED, &flat, FIRST "UNREACHABLE", TOLD,
		       &j);
	// Without a gateway the error comes from whom the packet was for.
	wrong += sends(w, "no subnets, nobody", FWD1, OF_FWD1, FLAT, &stray, FIRST "UNREACHABLE",
		       DROPPED, &j);
	write_ip(&original, &row.inner, 64);
	frame_clear(&want);
	frame_append(&want, original.byte, 28);
	frame_icmp(&want, ICMP_UNREACHABLE, ICMP_UNREACHABLE_HOST, 0);
	frame_ipv4(&want, (struct ipv4_header){
				  .from = stray.to, .to = stray.from, .protocol = IPPROTO_ICMP});
	frame_ethernet(&want, mac_of(RED, stray.from), stray.to_mac, ETH_P_IP);
	wrap_to_host(&want, 11, OF_FWD1, FLAT, 0, FWD1);
	return wrong + frames_compare("no subnets, nobody", &want, &j.out);
}

static int test_acls(struct world *w)
{
	const struct {
		const char *name;
		struct inner in;
		const char *path;
	} rows[] = {
		{"ACL: allowed", TCP(80, SYN, .from = "10.0.2.10", .to = "10.0.1.10"),
		 INSERTED_ "FORWARDED_FIRST"},
		{"ACL: no rule", TCP(81, SYN, .from = "10.0.2.10", .to = "10.0.1.10"),
		 FIRST "NETWORK_ACL"},
		{"ACL: denied first", UDP(1500, .from = "10.0.2.10", .to = "10.0.1.10"),
		 FIRST "NETWORK_ACL"},
		{"ACL: allowed first", UDP(1501, .from = "10.0.2.10", .to = "10.0.1.10"),
		 INSERTED_ "FORWARDED_FIRST"},
		{"ACL: denied to another only", UDP(1500, .from = "10.0.3.10", .to = "10.0.1.10"),
		 FIRST "NETWORK_ACL"},
		{"ACL: out", TCP(81, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		 INSERTED_ "FORWARDED_FIRST"},
		{"ACL: within the subnet", TCP(81, SYN, .from = "10.0.1.10", .to = "10.0.1.11"),
		 FIRST "FORWARDED_FIRST"},
		{"ACL: the middle of no connection",
		 TCP(80, ACK, .from = "10.0.2.10", .to = "10.0.1.11"), FIRST "NO_SESSION"},
		{"ACL: not known here, in", TCP(80, SYN, .from = "10.0.2.10", .to = "10.0.3.10"),
		 FIRST "NETWORK_ACL"},
		{"ACL: not known here, out", TCP(80, SYN, .from = "10.0.3.10", .to = "10.0.2.10"),
		 FIRST "NETWORK_ACL"},
	};
	struct journey j;
	int wrong = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct inner answer = reversed(&rows[i].in, SYN | ACK);

		forget(w);
		wrong += sends(w, rows[i].name, FWD1, OF_FWD1, FENCED, &rows[i].in, rows[i].path,
			       strstr(rows[i].path, "FORWARDED") ? DELIVERED : DROPPED, &j);
		if (!strcmp(rows[i].path, INSERTED_ "FORWARDED_FIRST"))
			wrong += sends(w, rows[i].name, FWD2, OF_FWD2, FENCED, &answer,
				       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST",
				       DELIVERED, &j);
	}
	return wrong;
}

// ---- what is decided again about live sessions ----

#define AGAIN_                                                                                     \
	"fwd1 LOOKED_UP > ftn3 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "

// All of the chain has the session under this policy, and its decision is what it was.
static int stands(struct world *w, const char *name, const struct session_key *key, uint32_t policy,
		  const struct dft_record *was)
{
	struct dft_record is;
	int wrong = 0;

	for (int n = FTN1; n <= FTN3; n++)
		if (!node_session(&w->node[n], key, &is) || is.policy != policy ||
		    memcmp(is.towards, was->towards, sizeof(is.towards)) != 0 ||
		    memcmp(&is.incarnation, &was->incarnation, sizeof(is.incarnation)) != 0) {
			fprintf(stderr, "%s: %s has policy %u\n", name, w->node[n].name, is.policy);
			wrong++;
		}
	return wrong;
}

static int test_decided_again(struct world *w)
{
	struct inner rows[] = {
		TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		TCP(443, SYN, .from = "10.0.1.25", .to = "10.0.1.10"),
		UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20"),
		ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.20"),
		UDP(1500, .from = "10.0.1.10", .to = "10.0.1.27", .fragment = 0x2000,
		    .payload = 64),
	};
	uint32_t policy = 5;
	struct dft_record was;
	struct journey j;
	int from_b, wrong = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct session_key key = key_of(RED, &rows[i], &from_b);
		struct inner answer = reversed(&rows[i], ACK);

		answer.fragment = rows[i].fragment;
		answer.payload = rows[i].payload;
		if (rows[i].protocol == IPPROTO_ICMP)
			answer.from_port = rows[i].from_port;
		wrong += sends(w, "again: begun", FWD1, OF_FWD1, RED, &rows[i],
			       INSERTED_ "FORWARDED_FIRST", DELIVERED, &j);
		if (!node_session(&w->node[FTN3], &key, &was))
			return wrong + 1;
		rows[i].flags = rows[i].flags ? ACK : 0;
		raise_policy(w, ++policy);
		wrong += sends(w, "again: cached", FWD1, OF_FWD1, RED, &rows[i], "fwd1 FORWARDED",
			       DELIVERED, &j);
		// By whoever comes first, and once.
		node_clear(&w->node[FWD1], "cache");
		wrong += sends(w, "again: stands", FWD1, OF_FWD1, RED, &rows[i],
			       AGAIN_ "FORWARDED_FIRST", DELIVERED, &j);
		wrong += stands(w, "again: stands", &key, policy, &was);
		wrong += sends(w, "again: said already", FWD2, OF_FWD2, RED, &rows[i],
			       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED,
			       &j);
		raise_policy(w, ++policy);
		node_clear(&w->node[FWD1], "cache");
		wrong += sends(w, "again: by its answer", FWD1, OF_FWD1, RED, &answer,
			       AGAIN_ "FORWARDED_FIRST", DELIVERED, &j);
		wrong += stands(w, "again: by its answer", &key, policy, &was);
	}
	raise_policy(w, 0);
	return wrong;
}

static int test_revoked(struct world *w)
{
	struct inner guarded = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		     ending = TCP(80, SYN, .from = "10.0.1.11", .to = "10.0.1.20"),
		     other = UDP(1500, .from = "10.0.1.10", .to = "10.0.1.27"), answer;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &guarded, &from_b);
	struct journey j;

	answer = reversed(&guarded, ACK);
	wrong += sends(w, "revoked later", FWD1, OF_FWD1, RED, &ending, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "revoked", FWD1, OF_FWD1, RED, &guarded, INSERTED_ "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += sends(w, "beside the revoked", FWD1, OF_FWD1, RED, &other,
		       INSERTED_ "FORWARDED_FIRST", DELIVERED, &j);
	guarded.flags = ACK;
	never_refreshed(w, FWD1, &key);
	wrong +=
		sends(w, "answered", FWD1, OF_FWD1, RED, &guarded, "fwd1 FORWARDED", DELIVERED, &j);
	wrong += beside(w, "answered", FWD1, &j,
			"fwd1 REFRESHING > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > fwd1 "
			"REFRESHED");
	node_rules(&w->node[FTN3], 0, WEB, NULL, 0);
	raise_policy(w, 6);
	// What is cached goes on, until the table is asked beside it.
	cache_age(w, FWD1, &key, REFRESH_DUE_MS);
	never_refreshed(w, FWD1, &key);
	wrong += sends(w, "revoked, cached", FWD1, OF_FWD1, RED, &guarded, "fwd1 FORWARDED",
		       DELIVERED, &j);
	wrong += beside(w, "revoked, asked beside", FWD1, &j,
			"fwd1 REFRESHING > ftn3 REPLIED > fwd1 REFRESHED");
	wrong += sends(w, "revoked", FWD1, OF_FWD1, RED, &guarded, "fwd1 SECURITY_GROUP", DROPPED,
		       &j);
	wrong += sends(w, "revoked, its answer", FWD1, OF_FWD1, RED, &answer, "fwd1 SECURITY_GROUP",
		       DROPPED, &j);
	cache_age(w, FWD1, &key, DENIAL_MS);
	wrong += sends(w, "revoked, ending", FWD1, OF_FWD1, RED, &answer,
		       "fwd1 LOOKED_UP > ftn3 SESSION_ENDING", DROPPED, &j);
	// Who says that he ends is asked about, too.
	ending.flags = RST;
	wrong += sends(w, "revoked, at the end", FWD1, OF_FWD1, RED, &ending,
		       "fwd1 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > "
		       "ftn3 REPLIED+LOOKED_UP_AGAIN > fwd1 SECURITY_GROUP",
		       DROPPED, &j);
	node_clear(&w->node[FWD1], "cache");
	wrong += sends(w, "beside the revoked", FWD1, OF_FWD1, RED, &other,
		       AGAIN_ "FORWARDED_FIRST", DELIVERED, &j);
	put_groups(&w->node[FTN3]);
	raise_policy(w, 0);
	return wrong;
}

static void record_everywhere(struct world *w, const struct session_key *key,
			      const struct dft_record *record)
{
	for (int i = FTN1; i <= FTN3; i++)
		node_session_put(&w->node[i], key, record);
	node_session_mark(&w->node[FTN3], key, 1, 0);
}

// O7: who begins again under a later policy is decided about as if nothing were known; what stands
// goes on with its decision, in the next generation, under that policy.
static int test_begun_anew(struct world *w)
{
	struct inner rows[] = {
		TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		TCP(443, SYN, .from = "10.0.1.25", .to = "10.0.1.10"),
		TCP(80, SYN, .from = "10.0.1.11", .to = "10.0.1.20"),
		UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20"),
	};
	uint32_t policy = 5;
	struct dft_record want, was;
	struct journey j;
	int from_b, wrong = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct session_key key = key_of(RED, &rows[i], &from_b);
		struct inner liar = rows[i];

		wrong += sends(w, "anew: begun", FWD1, OF_FWD1, RED, &rows[i],
			       INSERTED_ "FORWARDED_FIRST", DELIVERED, &j);
		if (!node_session(&w->node[FTN3], &key, &want))
			return wrong + 1;
		// Closed by both; or ended lately.
		if (i < 2)
			want.state |= DFT_FINS;
		else
			want.life = DFT_TOMBSTONE;
		record_everywhere(w, &key, &want);
		was = want;
		node_clear(&w->node[FWD1], "cache");
		raise_policy(w, ++policy);
		// Who only claims to be who began it: nothing follows from him.
		liar.from_mac = "02:01:00:00:01:63";
		wrong += sends(w, "anew: a liar", FWD1, OF_FWD1, RED, &liar, FIRST "SPOOFED",
			       DROPPED, &j);
		wrong += replicas_equal(w, "anew: a liar", &key, &was);
		wrong += sends(w, "anew", FWD1, OF_FWD1, RED, &rows[i], AGAIN_ "FORWARDED_FIRST",
			       DELIVERED, &j);
		want.life = DFT_LIVE;
		want.stamp.counter++;
		want.policy = policy;
		want.state = (from_b ? DFT_BEGUN_BY_B : 0) | 1 << DFT_GENERATION_SHIFT;
		wrong += replicas_equal(w, "anew", &key, &want);
		// Once: then it is a session as any.
		wrong += sends(w, "anew, sent again", FWD2, OF_FWD2, RED, &rows[i],
			       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST", DELIVERED,
			       &j);
		// A node that has not heard of that policy yet decides nothing by the one before.
		want.state |= DFT_RST;
		was = want;
		if (rows[i].protocol != IPPROTO_TCP)
			continue;
		record_everywhere(w, &key, &want);
		put_vpc(&w->node[FTN3], RED, policy - 1);
		wrong += sends(w, "anew, who knows less", FWD1, OF_FWD1, RED, &rows[i],
			       AGAIN_ "FORWARDED_FIRST", DELIVERED, &j);
		want.stamp.counter++;
		want.state = (from_b ? DFT_BEGUN_BY_B : 0) | 2 << DFT_GENERATION_SHIFT;
		wrong += replicas_equal(w, "anew, who knows less", &key, &want);
		put_vpc(&w->node[FTN3], RED, policy);
	}
	raise_policy(w, 0);
	return wrong;
}

// The rules of now are asked, whatever let the session before begin.
static int test_begun_anew_denied(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &syn, &from_b);
	struct dft_record want, open;
	struct journey j;

	for (int ended = 0; ended < 2; ended++) {
		forget(w);
		wrong += sends(w, "denied anew: begun", FWD1, OF_FWD1, RED, &syn,
			       INSERTED_ "FORWARDED_FIRST", DELIVERED, &j);
		if (!node_session(&w->node[FTN3], &key, &want))
			return wrong + 1;
		open = want;
		if (ended)
			want.life = DFT_TOMBSTONE;
		else
			want.state |= DFT_RST;
		record_everywhere(w, &key, &want);
		node_rules(&w->node[FTN3], 0, WEB, NULL, 0);
		raise_policy(w, 6);
		wrong += sends(w, "denied anew", FWD2, OF_FWD2, RED, &syn,
			       "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 SECURITY_GROUP", DROPPED, &j);
		wrong += replicas_equal(w, "denied anew", &key, &want);
		put_groups(&w->node[FTN3]);
		raise_policy(w, 7);
		cache_age(w, FWD2, &key, DENIAL_MS);
		wrong += sends(w, "allowed anew", FWD2, OF_FWD2, RED, &syn,
			       "fwd2 LOOKED_UP > ftn3 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED "
			       "> ftn3 REPLIED > fwd2 FORWARDED_FIRST",
			       DELIVERED, &j);
		open.policy = 7;
		open.stamp.counter++;
		open.state |= 1 << DFT_GENERATION_SHIFT;
		wrong += replicas_equal(w, "allowed anew", &key, &open);
		raise_policy(w, 0);
	}
	return wrong;
}

static int test_no_view(struct world *w)
{
	struct inner in = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
		     arp = ARP(.from = "10.0.1.10", .to = "10.0.1.11");
	const uint32_t vni[] = {RED, BLUE};
	const struct chain_value gone = {.epoch = EPOCH, .term = TERM, .node = {FTN3}};
	uint32_t tail = FTN3, chain = 0;
	struct node_value node;
	struct frame f;
	struct journey j;
	int wrong = 0;

	for (int i = 0; i < 2; i++) {
		node_buckets(&w->node[FWD1], -1);
		wrong += sends(w, "no bucket", FWD1, OF_FWD1, vni[i], &in, "fwd1 NO_VIEW", DROPPED,
			       &j);
		wrong += sends(w, "no bucket, ARP", FWD1, OF_FWD1, vni[i], &arp, "fwd1 NO_VIEW",
			       DROPPED, &j);
		node_buckets(&w->node[FWD1], 0);
		node_remove(&w->node[FWD1], "chains", &chain);
		wrong += sends(w, "no chain", FWD1, OF_FWD1, vni[i], &in, "fwd1 NO_VIEW", DROPPED,
			       &j);
		set_chain(w, 3, 0);
		if (bpf_map_lookup_elem(node_map(&w->node[FWD1], "nodes"), &tail, &node))
			fatal("no node");
		node_remove(&w->node[FWD1], "nodes", &tail);
		wrong += sends(w, "no tail", FWD1, OF_FWD1, vni[i], &in, "fwd1 NO_VIEW", DROPPED,
			       &j);
		node_put(&w->node[FWD1], "nodes", &tail, &node);
		// Every replica is gone: nobody answers, not even who was first.
		set_chain(w, 0, 0);
		wrong += sends(w, "nobody live", FWD1, OF_FWD1, vni[i], &in, "fwd1 NO_VIEW",
			       DROPPED, &j);
		set_chain(w, 3, 0);
		wrong += op_of_kind(w, LOOKUP_, vni[i], &f);
		node_chain(&w->node[FTN3], 0, &gone);
		wrong += travel(w, FTN3, &f, &j);
		wrong += path_is("nobody live, at the table", &j, "ftn3 NO_VIEW");
		set_chain(w, 3, 0);
	}
	return wrong + sends(w, "no bucket, no VPC", FWD1, OF_FWD1, NOBODY, &in, "fwd1 NO_VPC",
			     DROPPED, &j);
}

// ---- ICMP errors, fragments ----

// An error that `by` sends to in->from about its packet *in; embeds 28 bytes.
static void write_error(struct frame *f, const struct inner *in, const char *by, const char *mac,
			const char *to_mac)
{
	struct frame original;

	write_ip(&original, in, 3);
	frame_clear(f);
	frame_append(f, original.byte, 28);
	frame_icmp(f, ICMP_UNREACHABLE, 3, 0);
	frame_ipv4(f, (struct ipv4_header){.from = by, .to = in->from, .protocol = IPPROTO_ICMP});
	frame_ethernet(f, to_mac, mac, ETH_P_IP);
}

static int test_icmp_errors(struct world *w)
{
	struct inner in = UDP(1500, .from = "10.0.1.23", .to = "10.0.1.20", .payload = 20),
		     open = UDP(7, .from = "10.0.1.10", .to = "10.0.1.11", .payload = 20);
	const char *sender = "02:01:00:00:01:17", *target = "02:01:00:00:01:14";
	struct journey j;
	struct frame f, inner, want;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &open, &from_b);

	// About no session.
	write_error(&inner, &in, in.to, target, sender);
	f = inner;
	wrap_from_host(&f, 12, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_is("an error about no session", &j, FIRST "NO_SESSION");

	// It goes the session's way back, from the endpoint or from a router on the way.
	wrong += sends(w, "begin", FWD1, OF_FWD1, RED, &in, INSERTED_ "FORWARDED_FIRST", DELIVERED,
		       &j);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_is("an error", &j, "fwd1 FORWARDED");
	want = inner;
	wrap_to_host(&want, 13, OF_FWD1, RED, hash_for(RED, &in), FWD1);
	wrong += frames_compare("an error", &want, &j.out);
	write_error(&inner, &in, "10.0.1.1", "02:f1:00:00:01:01", sender);
	f = inner;
	wrap_from_host(&f, 12, OF_FWD2, RED);
	wrong += travel(w, FWD2, &f, &j);
	wrong += path_is("a router's error", &j,
			 "fwd2 LOOKED_UP > ftn3 REPLIED > fwd2 FORWARDED_FIRST");
	want = inner;
	wrap_to_host(&want, 13, OF_FWD2, RED, hash_for(RED, &in), FWD2);
	wrong += frames_compare("a router's error", &want, &j.out);
	// The other tenant has neither that session nor that endpoint.
	f = inner;
	wrap_from_host(&f, 12, OF_FWD1, BLUE);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_is("an error, the other tenant", &j, FIRST "NOT_ANSWERED");

	// Without state: forwarded, but what it proves is for this packet only.
	write_error(&inner, &open, open.to, "02:01:00:00:01:0b", "02:01:00:00:01:0a");
	f = inner;
	wrap_from_host(&f, 12, OF_FWD1, RED);
	for (int i = 0; i < 2; i++) {
		wrong += travel(w, FWD1, &f, &j);
		wrong += path_is("an error, stateless", &j, FIRST "FORWARDED_FIRST");
		want = inner;
		wrap_to_host(&want, 11, OF_FWD1, RED, hash_of(&key), FWD1);
		wrong += frames_compare("an error, stateless", &want, &j.out);
	}

	// It embeds a packet that its receiver did not send, or less than there must be.
	f = inner;
	f.byte[14 + 28 + 15]++;
	wrap_from_host(&f, 12, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_is("an error about another's packet", &j, "fwd1 INNER_MALFORMED");
	f = inner;
	f.length -= 4;
	f.byte[14 + 3] -= 4;
	wrap_from_host(&f, 12, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	return wrong + path_is("an error that embeds little", &j, "fwd1 INNER_MALFORMED");
}

// ---- fragments ----

#define MORE 0x2000
#define PART(protocol_, from_, to_, id_, place_, payload_, ...)                                    \
	{                                                                                          \
		.protocol = protocol_, .from_port = (protocol_) == 47 ? 0 : 5000,                  \
		.to_port = (protocol_) == 47 ? 0 : 1500, .from = from_, .to = to_, .id = id_,      \
		.fragment = place_, .payload = payload_, __VA_ARGS__                               \
	}

static void put_waiting(struct world *w, uint32_t ifindex, uint64_t until)
{
	const struct waiting_value value = {.ifindex = ifindex, .bucket.bytes_until = until};
	const uint32_t only = 0;

	node_put(&w->node[FWD1], "waiting", &only, &value);
	node_clear(&w->node[FWD1], "waiting_vpcs");
}

// A fragment comes to those who wait: *f is it.
static int comes(struct world *w, const char *name, uint32_t vni, const struct inner *in,
		 struct frame *f)
{
	struct journey j;
	int wrong = sends(w, name, FWD1, OF_FWD1, vni, in, "fwd1 FRAGMENT_WAITS", DROPPED, &j);

	*f = j.out;
	return wrong;
}

static void came_before(struct frame *f, uint32_t ms)
{
	uint16_t then = clock_ms() - ms;

	f->byte[14 + 4] = then >> 8;
	f->byte[14 + 5] = then;
}

// It is looked at once more, a moment after it came. out: as of a row.
static int turns(struct world *w, const char *name, uint32_t vni, const struct inner *in,
		 const struct frame *waits, enum verdict want, enum out out)
{
	struct row row = {.name = name, .inner = *in};
	enum verdict v;
	struct journey j;
	uint32_t begin;
	int wrong;

	// (Where this machine did something else meanwhile it was longer ago.)
	do {
		begin = clock_ms();
		j.out = *waits;
		came_before(&j.out, 0);
		v = node_waited(&w->node[FWD1], &j.out);
	} while (clock_ms() - begin > WAITING_MS / 2);
	wrong = is_verdict(name, v, want);
	return wrong + check_out(name, &row, out, vni, OF_FWD1, FWD1, &j);
}

// In order: the first one is decided about by its ports, the others are what it is.
static int test_fragments(struct world *w)
{
	struct inner all[] = {
		PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.11", 1, MORE, 64),
		PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.11", 1, MORE | 9, 64),
		PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.11", 1, 17, 3),
		PART(IPPROTO_UDP, "10.0.1.10", "10.0.2.10", 2, MORE, 64),
		PART(IPPROTO_UDP, "10.0.1.10", "10.0.2.10", 2, 9, 64),
		PART(IPPROTO_ICMP, "10.0.1.10", "10.0.1.11", 3, MORE, 64, .type = PING),
		PART(IPPROTO_ICMP, "10.0.1.10", "10.0.1.11", 3, 9, 64, .type = PING),
		PART(47, "10.0.1.10", "10.0.1.11", 4, MORE, 64),
		PART(47, "10.0.1.10", "10.0.1.11", 4, 9, 64),
		PART(IPPROTO_TCP, "10.0.1.10", "10.0.1.11", 5, MORE, 68, .flags = ACK),
		PART(IPPROTO_TCP, "10.0.1.10", "10.0.1.11", 5, 11, 64, .flags = ACK),
		PART(IPPROTO_ICMP, "10.0.1.10", "10.0.1.11", 11, MORE, 64, .type = 13),
		PART(IPPROTO_ICMP, "10.0.1.10", "10.0.1.11", 11, 9, 64, .type = 13),
	};
	struct inner denied[] = {PART(IPPROTO_UDP, "10.0.1.24", "10.0.1.20", 6, MORE, 64),
				 PART(IPPROTO_UDP, "10.0.1.24", "10.0.1.20", 6, 9, 64)},
		     nobody[] = {PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.99", 7, MORE, 64),
				 PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.99", 7, 9, 64)},
		     ends[] = {PART(IPPROTO_UDP, "10.0.1.10", "10.0.2.10", 8, MORE, 64, .ttl = 2),
			       PART(IPPROTO_UDP, "10.0.1.10", "10.0.2.10", 8, 9, 64, .ttl = 1)},
		     gateway = PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.1", 9, 9, 64);
	const struct fragment_key key = {
		.source = htonl(0x0A00010A),
		.destination = htonl(0x0A00010B),
		.id = htons(1),
		.protocol = IPPROTO_UDP,
		.vni = {RED >> 16, (RED >> 8) & 0xFF, RED & 0xFF},
	};
	struct fragment_value first;
	struct journey j;
	struct frame f;
	int wrong = 0;

	for (size_t i = 0; i < COUNT(all); i++)
		wrong += sends(w, "in order", FWD1, OF_FWD1, RED, &all[i],
			       all[i].fragment == MORE ? FIRST "FORWARDED_FIRST" : "fwd1 FORWARDED",
			       DELIVERED, &j);
	// Decided about like any packet of the session, which has begun.
	all[0].fragment = 0;
	wrong += sends(w, "whole", FWD1, OF_FWD1, RED, &all[0], "fwd1 FORWARDED", DELIVERED, &j);

	wrong += sends(w, "denied", FWD1, OF_FWD1, RED, &denied[0], FIRST "SECURITY_GROUP", DROPPED,
		       &j);
	wrong += sends(w, "denied, later", FWD1, OF_FWD1, RED, &denied[1], "fwd1 SECURITY_GROUP",
		       DROPPED, &j);
	wrong += sends(w, "to nobody", FWD1, OF_FWD1, RED, &nobody[0], FIRST "UNREACHABLE", TOLD,
		       &j);
	wrong += sends(w, "to nobody, later", FWD1, OF_FWD1, RED, &nobody[1], "fwd1 NO_ENDPOINT",
		       DROPPED, &j);
	wrong += sends(w, "to its end", FWD1, OF_FWD1, RED, &ends[0], "fwd1 FORWARDED", DELIVERED,
		       &j);
	wrong += sends(w, "to its end, later", FWD1, OF_FWD1, RED, &ends[1], "fwd1 NOT_ANSWERED",
		       DROPPED, &j);
	wrong += sends(w, "to the gateway, later", FWD1, OF_FWD1, RED, &gateway,
		       "fwd1 GATEWAY_PROTOCOL", DROPPED, &j);

	// What is no part of that packet.
	struct inner others[] = {
		PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.11", 10, 9, 64),
		PART(IPPROTO_UDP, "10.0.1.12", "10.0.1.11", 1, 9, 64),
		PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.12", 1, 9, 64),
		PART(IPPROTO_ICMP, "10.0.1.10", "10.0.1.11", 1, 9, 64),
	};
	for (size_t i = 0; i < COUNT(others); i++)
		wrong += comes(w, "of another packet", RED, &others[i], &f);
	wrong += comes(w, "another tenant's", BLUE, &all[1], &f);
	// The number is used again some time.
	if (bpf_map_lookup_elem(node_map(&w->node[FWD1], "fragments"), &key, &first))
		fatal("no fragment is known");
	first.seen_ms -= FRAGMENTED_MS;
	node_put(&w->node[FWD1], "fragments", &key, &first);
	return wrong + comes(w, "long after", RED, &all[1], &f);
}

// Out of order: who comes early waits, for so long and no longer.
static int test_early_fragments(struct world *w)
{
	struct inner first = PART(IPPROTO_UDP, "10.0.1.10", "10.0.2.10", 1, MORE, 64),
		     later = PART(IPPROTO_UDP, "10.0.1.10", "10.0.2.10", 1, 9, 64),
		     next[] = {PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.11", 2, MORE, 64),
			       PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.11", 2, 9, 64)};
	const uint64_t never = UINT64_MAX / 4;
	struct entrance_value entrance, duty;
	const uint32_t number = OF_FWD1, only = 0;
	struct waiting_value waiting;
	struct frame f, early, asking;
	struct journey j;
	int wrong = 0;

	put_waiting(w, 1, 0);
	wrong += comes(w, "early", RED, &later, &early);
	wrong += turns(w, "early", RED, &later, &early, GO_ON, DROPPED);
	wrong += sends(w, "its first", FWD1, OF_FWD1, RED, &first, FIRST "FORWARDED_FIRST",
		       DELIVERED, &j);
	wrong += turns(w, "after its first", RED, &later, &early, FORWARDED, DELIVERED);

	// The first one is being asked about.
	write_inner(&f, &next[0]);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += step(w, FWD1, &f, &j);
	asking = j.out;
	wrong += comes(w, "nothing decided yet", RED, &next[1], &early);
	wrong += turns(w, "nothing decided yet", RED, &next[1], &early, GO_ON, DROPPED);
	j = (struct journey){.out = asking, .at = FTN3};
	wrong += go_on(w, &j);
	wrong += turns(w, "decided", RED, &next[1], &early, FORWARDED, DELIVERED);

	// What is cached has to be asked about again, by another first one.
	raise_policy(w, 7);
	wrong += turns(w, "another policy", RED, &next[1], &early, GO_ON, DROPPED);
	raise_policy(w, 0);

	forget(w);
	f = early;
	came_before(&f, WAITING_MS + 1);
	wrong += is_verdict("too long", node_waited(&w->node[FWD1], &f), NO_FIRST_FRAGMENT);
	if (bpf_map_lookup_elem(node_map(&w->node[FWD1], "entrances"), &number, &entrance) ||
	    bpf_map_lookup_elem(node_map(&w->node[FWD1], "duties"), &number, &duty))
		fatal("no entrance");
	duty.serves = 0;
	node_put(&w->node[FWD1], "duties", &number, &duty);
	wrong += turns(w, "the entrance goes", RED, &next[1], &early, NOT_ENTRANCE, DROPPED);
	node_entrance(&w->node[FWD1], OF_FWD1, &entrance);

	// A VPC may have a part of the room, all together have it all.
	put_waiting(w, 1, 0);
	wrong += comes(w, "room", RED, &later, &f);
	bpf_map_lookup_elem(node_map(&w->node[FWD1], "waiting"), &only, &waiting);
	wrong += is_number("paid for", waiting.bucket.bytes_until != 0, 1);
	const struct bucket full = {.bytes_until = never};
	const uint32_t vni = RED;
	node_put(&w->node[FWD1], "waiting_vpcs", &vni, &full);
	wrong += sends(w, "its share is used up", FWD1, OF_FWD1, RED, &later, "fwd1 FRAGMENT_RATE",
		       DROPPED, &j);
	wrong += comes(w, "another's is not", BLUE, &later, &f);
	put_waiting(w, 1, never);
	wrong +=
		sends(w, "no room", FWD1, OF_FWD1, BLUE, &later, "fwd1 FRAGMENT_RATE", DROPPED, &j);
	put_waiting(w, 0, 0);
	wrong += sends(w, "nowhere to wait", FWD1, OF_FWD1, RED, &later, "fwd1 NO_FIRST_FRAGMENT",
		       DROPPED, &j);
	put_waiting(w, 1, 0);
	return wrong;
}

// What nobody needs to send in pieces, or as such pieces.
static int test_odd_fragments(struct world *w)
{
#define PIECE(protocol_, place_, bytes_)                                                           \
	{                                                                                          \
		.from = "10.0.1.10", .to = "10.0.1.11", .protocol = protocol_, .id = 3,            \
		.fragment = place_, .payload = bytes_, .raw = 1                                    \
	}
	static const struct {
		const char *name;
		struct inner in;
		const char *path;
	} sent[] = {
		{"TCP, ports alone", PIECE(IPPROTO_TCP, MORE, 8), "fwd1 FRAGMENT_ODD"},
		{"TCP, flags", PIECE(IPPROTO_TCP, MORE, 16), "fwd1 FRAGMENT_ODD"},
		{"TCP, the header", PIECE(IPPROTO_TCP, MORE, 24), FIRST "FORWARDED_FIRST"},
		{"TCP, over its flags", PIECE(IPPROTO_TCP, 1, 24), "fwd1 FRAGMENT_ODD"},
		{"TCP, over its header", PIECE(IPPROTO_TCP, MORE | 2, 24), "fwd1 FRAGMENT_ODD"},
		{"TCP, behind it", PIECE(IPPROTO_TCP, 3, 24), "fwd1 FORWARDED"},
		{"UDP, the header", PIECE(IPPROTO_UDP, MORE, 8), FIRST "FORWARDED_FIRST"},
		{"UDP, behind it", PIECE(IPPROTO_UDP, MORE | 1, 8), "fwd1 FORWARDED"},
		{"UDP, nothing", PIECE(IPPROTO_UDP, MORE, 0), "fwd1 FRAGMENT_ODD"},
		{"nothing, later", PIECE(IPPROTO_UDP, 5, 0), "fwd1 FRAGMENT_ODD"},
		{"other steps", PIECE(IPPROTO_UDP, MORE, 20), "fwd1 FRAGMENT_ODD"},
		{"other steps, later", PIECE(IPPROTO_UDP, MORE | 5, 20), "fwd1 FRAGMENT_ODD"},
		{"the end", PIECE(IPPROTO_UDP, 5, 20), "fwd1 FORWARDED"},
		{"too far", PIECE(IPPROTO_UDP, 0x1FFF, 8), "fwd1 FRAGMENT_ODD"},
		{"as far as can be", PIECE(IPPROTO_UDP, 0x1FFC, 11), "fwd1 FORWARDED"},
		{"a byte too far", PIECE(IPPROTO_UDP, 0x1FFC, 12), "fwd1 FRAGMENT_ODD"},
	};
#undef PIECE
	struct inner in = PART(IPPROTO_UDP, "10.0.1.10", "10.0.1.11", 4, MORE, 64);
	struct frame f;
	struct journey j;
	int wrong = 0;

	for (size_t i = 0; i < COUNT(sent); i++)
		wrong += sends(w, sent[i].name, FWD1, OF_FWD1, RED, &sent[i].in, sent[i].path,
			       DROPPED, &j);
	// Padding is no header.
	write_inner(&f, &(struct inner)PART(IPPROTO_TCP, "10.0.1.10", "10.0.1.11", 5, MORE, 60));
	f.byte[14 + 3] = 20 + 8;
	f.byte[14 + 10] = f.byte[14 + 11] = 0;
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_is("padded", &j, "fwd1 FRAGMENT_ODD");

	// An error is about a first fragment, and is none.
	write_error(&f, &in, in.to, "02:01:00:00:01:0b", "02:01:00:00:01:0a");
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_is("an error about a first one", &j, FIRST "FORWARDED_FIRST");
	wrong += is_number("an error about a first one, its flow",
			   j.out.byte[14 + 20] << 8 | j.out.byte[14 + 21],
			   0xC000 | (hash_for(RED, &in) & 0x3FFF));
	write_error(&f, &in, in.to, "02:01:00:00:01:0b", "02:01:00:00:01:0a");
	f.byte[14 + 6] = MORE >> 8;
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	wrong += path_is("an error in pieces", &j, "fwd1 FRAGMENT_ODD");
	in.fragment = 9;
	write_error(&f, &in, in.to, "02:01:00:00:01:0b", "02:01:00:00:01:0a");
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	return wrong + path_is("an error about a later one", &j, "fwd1 INNER_MALFORMED");
}

// ---- translated sessions ----

// What is sent to .. becomes; what a translation does not say stays.
static const struct {
	const char *to;
	uint8_t protocol;
	uint16_t port;
	const char *source, *destination;
	uint16_t source_port, destination_port;
	uint8_t flags;
} translation_rows[] = {
	{"10.0.2.100", IPPROTO_TCP, 80, NULL, "10.0.2.10", 0, 8080, 0},
	{"10.0.2.100", IPPROTO_TCP, 81, NULL, "10.0.2.20", 0, 80, 0},
	{"10.0.2.100", IPPROTO_TCP, 82, NULL, "10.0.2.20", 0, 22, 0},
	{"10.0.2.100", IPPROTO_UDP, 53, NULL, "10.0.2.10", 0, 1053, 0},
	{"10.0.2.101", IPPROTO_UDP, 53, "10.0.2.50", "10.0.2.10", 5000, 1053, 0},
	{"10.0.2.100", IPPROTO_ICMP, 7, NULL, "10.0.2.10", 9, 9, 0},
	{"10.0.2.102", IPPROTO_TCP, 80, "10.0.2.50", "10.0.2.10", 5000, 80, 0},
	{"10.0.2.103", IPPROTO_TCP, 80, "10.0.2.50", "10.0.2.10", 5000, 80, TRANSLATION_CHOSEN},
	{"10.0.2.10", IPPROTO_TCP, 81, NULL, "10.0.2.10", 0, 81, 0}, // nothing else
};

static void put_translations(struct world *w)
{
	for (size_t i = 0; i < COUNT(translation_rows); i++) {
		struct translator_key key = {.address = address_must(translation_rows[i].to),
					     .port = htons(translation_rows[i].port),
					     .protocol = translation_rows[i].protocol};
		struct translation t = {
			.destination = address_must(translation_rows[i].destination),
			.source_port = htons(translation_rows[i].source_port),
			.destination_port = htons(translation_rows[i].destination_port),
			.flags = translation_rows[i].flags,
		};

		if (translation_rows[i].source)
			t.source = address_must(translation_rows[i].source);
		for (int n = 0; n < NODES; n++)
			node_put(&w->node[n], "translations", &key, &t);
	}
}

// The checksum of what is in an IPv4 packet, by its pseudo header where it has one.
static void seal(uint8_t *ip)
{
	size_t length = (ip[2] << 8 | ip[3]) - 20, at = ip[9] == IPPROTO_TCP ? 16 : 6;
	uint8_t copy[2048] = {};
	uint16_t sum;

	// (Of a packet in pieces it is in the first.)
	if ((ip[9] != IPPROTO_TCP && ip[9] != IPPROTO_UDP) || (ip[6] & 0x1F) || ip[7])
		return;
	memcpy(copy, ip + 12, 8);
	copy[9] = ip[9];
	copy[10] = length >> 8;
	copy[11] = length;
	memcpy(copy + 12, ip + 20, length);
	memset(copy + 12 + at, 0, 2);
	sum = checksum_of(copy, 12 + length);
	memcpy(ip + 20 + at, &sum, 2);
}

static void write_sealed(struct frame *f, const struct inner *in)
{
	write_inner(f, in);
	seal(f->byte + sizeof(struct ethhdr));
}

// As the gateway delivers it: routed, to the endpoint that has the address.
static void write_delivered(struct frame *f, const struct inner *in)
{
	struct inner out = *in;

	out.from_mac = subnet(RED, in->to)->mac;
	out.to_mac = mac_of(NATTED, in->to);
	out.ttl = 63;
	write_sealed(f, &out);
}

// An endpoint sends in; out NULL: it is dropped. asked: the key by whose hash it leaves.
static int nats(struct world *w, const char *name, int node, const struct inner *in,
		const char *path, const struct inner *out, const struct inner *asked,
		struct journey *j)
{
	int entrance = node == FWD1 ? OF_FWD1 : OF_FWD2, wrong;
	struct frame f, want;

	write_sealed(&f, in);
	wrap_from_host(&f, endpoint(NATTED, in->from) ? endpoint(NATTED, in->from)->host : 11,
		       entrance, NATTED);
	wrong = travel(w, node, &f, j);
	wrong += path_is(name, j, path);
	if (!out)
		return wrong;
	write_delivered(&want, out);
	wrap_to_host(&want, endpoint(NATTED, out->to)->host, entrance, NATTED,
		     hash_for(NATTED, asked), node);
	return wrong + frames_compare(name, &want, &j->out);
}

#define DOWN_ALIAS                                                                                 \
	"ftn3 RESERVED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 INSERTED > ftn1 REPLICATED > "   \
	"ftn2 REPLICATED > ftn3 REPLIED"
#define BEGUN "fwd1 LOOKED_UP > " DOWN_ALIAS " > fwd1 FORWARDED_FIRST"
#define UP_ALIAS "fwd2 LOOKED_UP > ftn3 REPLIED+ALIASED > fwd2 FORWARDED_FIRST"

static int check_translated(struct world *w, const char *name, struct inner sent,
			    struct inner becomes, uint8_t answer_type)
{
	struct inner answers = reversed(&becomes, ACK), arrives = reversed(&sent, ACK);
	struct journey j;
	int wrong = 0;

	forget(w);
	answers.type = arrives.type = answer_type;
	answers.payload = arrives.payload = 9;
	wrong += nats(w, name, FWD1, &sent, BEGUN, &becomes, &sent, &j);
	sent.flags = becomes.flags = ACK;
	sent.payload = becomes.payload = 31;
	wrong += nats(w, name, FWD1, &sent, "fwd1 FORWARDED", &becomes, &sent, &j);
	wrong += nats(w, name, FWD2, &answers, UP_ALIAS, &arrives, &arrives, &j);
	wrong += nats(w, name, FWD2, &answers, "fwd2 FORWARDED", &arrives, &answers, &j);
	// Each forwarder has learned of both sides.
	wrong += nats(w, name, FWD1, &answers, "fwd1 FORWARDED", &arrives, &answers, &j);
	wrong += nats(w, name, FWD2, &sent, "fwd2 FORWARDED", &becomes, &sent, &j);
	// What only the other side may send so.
	wrong += nats(w, name, FWD1, &arrives, "fwd1 WRONG_SIDE", NULL, NULL, &j);
	wrong += nats(w, name, FWD2, &becomes, "fwd2 WRONG_SIDE", NULL, NULL, &j);
	for (int i = 0; i < NODES; i++)
		node_clear(&w->node[i], "cache");
	wrong += nats(w, name, FWD1, &becomes, "fwd1 LOOKED_UP > ftn3 WRONG_SIDE", NULL, NULL, &j);
	arrives.from_mac = "02:00:00:00:00:99";
	return wrong + nats(w, name, FWD1, &arrives,
			    "fwd1 LOOKED_UP > ftn3 REPLIED > fwd1 WRONG_SIDE", NULL, NULL, &j);
}

static int test_translated(struct world *w)
{
	static const struct {
		const char *name;
		struct inner sent, becomes;
		uint8_t answer_type;
	} flows[] = {
		{"TCP", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		 TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10"), 0},
		{"TCP, the receiver's rules", TCP(81, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		 TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.20"), 0},
		{"UDP, both sides",
		 UDP(53, .from = "10.0.1.10", .to = "10.0.2.101"),
		 {.protocol = IPPROTO_UDP,
		  .from_port = 5000,
		  .to_port = 1053,
		  .from = "10.0.2.50",
		  .to = "10.0.2.10"},
		 0},
		{"echo",
		 {.protocol = IPPROTO_ICMP,
		  .type = ICMP_ECHO_REQUEST,
		  .from_port = 7,
		  .to_port = 7,
		  .from = "10.0.1.10",
		  .to = "10.0.2.100"},
		 {.protocol = IPPROTO_ICMP,
		  .type = ICMP_ECHO_REQUEST,
		  .from_port = 9,
		  .to_port = 9,
		  .from = "10.0.1.10",
		  .to = "10.0.2.10"},
		 ICMP_ECHO_REPLY},
	};
	struct inner denied = TCP(82, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		     same = TCP(81, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		     ack = flows[0].sent;
	struct frame f, none;
	struct journey j;
	int wrong = 0;

	put_translations(w);
	for (size_t i = 0; i < COUNT(flows); i++)
		wrong += check_translated(w, flows[i].name, flows[i].sent, flows[i].becomes,
					  flows[i].answer_type);
	forget(w);
	wrong += nats(w, "not allowed", FWD1, &denied, FIRST "SECURITY_GROUP", NULL, NULL, &j);
	wrong += nats(w, "to itself", FWD1, &same, ASKED "TRANSLATION_INVALID", NULL, NULL, &j);
	ack.flags = ACK;
	wrong += nats(w, "in the middle", FWD1, &ack, FIRST "NO_SESSION", NULL, NULL, &j);

	// A UDP checksum of 0 stays; a fragment's is in the first one.
	write_inner(&none, &flows[2].sent);
	wrap_from_host(&none, 11, OF_FWD1, NATTED);
	wrong += nats(w, "begin", FWD1, &flows[2].sent, BEGUN, &flows[2].becomes, &flows[2].sent,
		      &j);
	wrong += travel(w, FWD1, &none, &j);
	wrong += path_is("no checksum", &j, "fwd1 FORWARDED");
	write_delivered(&f, &flows[2].becomes);
	f.byte[14 + 26] = f.byte[14 + 27] = 0;
	wrap_to_host(&f, 13, OF_FWD1, NATTED, hash_for(NATTED, &flows[2].sent), FWD1);
	return wrong + frames_compare("no checksum", &f, &j.out);
}

static void age_both(struct world *w, int node, const struct inner *sent,
		     const struct inner *becomes)
{
	int from_b;
	struct session_key key = key_of(NATTED, sent, &from_b),
			   other = key_of(NATTED, becomes, &from_b);

	never_refreshed(w, node, &key);
	never_refreshed(w, node, &other);
	cache_age(w, node, &key, REFRESH_DUE_MS);
	cache_age(w, node, &other, REFRESH_DUE_MS);
}

// What either side's packets say of the session reaches it: its end, that it is in use and
// answered.
static int test_translated_state(struct world *w)
{
	struct inner sent = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		     becomes = TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		     answers = reversed(&becomes, ACK), arrives = reversed(&sent, ACK),
		     asks_udp = UDP(53, .from = "10.0.1.10", .to = "10.0.2.100"),
		     asked_udp = UDP(1053, .from = "10.0.1.10", .to = "10.0.2.10"),
		     answers_udp = reversed(&asked_udp, 0), arrives_udp = reversed(&asks_udp, 0);
	int from_b, wrong = 0;
	struct session_key key = key_of(NATTED, &sent, &from_b), other, udp;
	struct dft_record r = {};
	struct journey j;

	forget(w);
	put_translations(w);
	wrong += nats(w, "begin", FWD1, &sent, BEGUN, &becomes, &sent, &j);
	sent.flags = becomes.flags = ACK;
	// Of TCP who began it says that it is answered.
	wrong += nats(w, "answered", FWD1, &sent, "fwd1 FORWARDED", &becomes, &sent, &j);
	wrong += beside(w, "answered", FWD1, &j, "fwd1 REFRESHING" DOWN_TO("fwd1") "REFRESHED");
	node_session(&w->node[FTN2], &key, &r);
	if (!(r.state & DFT_ANSWERED) || r.state & DFT_ALIAS) {
		fprintf(stderr, "answered: state %x\n", r.state);
		wrong++;
	}
	// In use: each side asks for the same session.
	wrong += nats(w, "the other side", FWD2, &answers, UP_ALIAS, &arrives, &arrives, &j);
	age_both(w, FWD1, &sent, &becomes);
	age_both(w, FWD2, &sent, &becomes);
	other = key_of(NATTED, &becomes, &from_b);
	node_session_mark(&w->node[FTN3], &key, 3000, 0);
	wrong += nats(w, "in use", FWD1, &sent, "fwd1 FORWARDED", &becomes, &sent, &j);
	wrong += beside(w, "in use", FWD1, &j, "fwd1 REFRESHING > ftn3 REPLIED > fwd1 REFRESHED");
	if (node_session_idle_s(&w->node[FTN3], &key) > 10) {
		fprintf(stderr, "in use: not seen\n");
		wrong++;
	}
	node_session_mark(&w->node[FTN3], &key, 3000, 0);
	wrong += nats(w, "used", FWD2, &answers, "fwd2 FORWARDED", &arrives, &answers, &j);
	wrong += beside(w, "used", FWD2, &j, "fwd2 REFRESHING > ftn3 REPLIED > fwd2 REFRESHED");
	if (node_session_idle_s(&w->node[FTN3], &key) > 10 ||
	    clock_ms() - cache_get(w, FWD2, &key).asked_ms > REFRESH_DUE_MS / 2 ||
	    clock_ms() - cache_get(w, FWD2, &other).asked_ms > REFRESH_DUE_MS / 2) {
		fprintf(stderr, "used: not seen, or not refreshed\n");
		wrong++;
	}
	sent.flags = becomes.flags = answers.flags = arrives.flags = FIN | ACK;
	wrong += nats(w, "closed", FWD1, &sent, "fwd1 UPDATED" DOWN_TO("fwd1") "FORWARDED_FIRST",
		      &becomes, &sent, &j);
	wrong += nats(w, "closed there", FWD2, &answers,
		      "fwd2 UPDATED" DOWN_TO("fwd2") "FORWARDED_FIRST", &arrives, &arrives, &j);
	for (int i = FTN1; i <= FTN3; i++)
		if (!node_session(&w->node[i], &key, &r) || !dft_state_closed(r.state)) {
			fprintf(stderr, "closed: state %x\n", r.state);
			wrong++;
		}
	wrong += nats(w, "wrong side", FWD2, &arrives, "fwd2 WRONG_SIDE", NULL, NULL, &j);

	// Of UDP the other side says that it is answered.
	udp = key_of(NATTED, &asks_udp, &from_b);
	wrong += nats(w, "UDP", FWD1, &asks_udp, BEGUN, &asked_udp, &asks_udp, &j);
	wrong += nats(w, "UDP, first", FWD1, &answers_udp, "fwd1 FORWARDED", &arrives_udp,
		      &answers_udp, &j);
	wrong += beside(w, "UDP", FWD1, &j, "fwd1 REFRESHING" DOWN_TO("fwd1") "REFRESHED");
	node_session(&w->node[FTN1], &udp, &r);
	if (!(r.state & DFT_ANSWERED)) {
		fprintf(stderr, "UDP: state %x\n", r.state);
		wrong++;
	}
	return wrong;
}

// Where what is sent to there goes from now on.
static void translate_to(struct world *w, const struct inner *in, const char *destination,
			 uint16_t port)
{
	struct translator_key key = {.address = address_must(in->to),
				     .port = htons(in->to_port),
				     .protocol = in->protocol};
	struct translation t;

	for (int n = 0; n < NODES; n++) {
		if (bpf_map_lookup_elem(node_map(&w->node[n], "translations"), &key, &t))
			fatal("no translation");
		t.destination = address_must(destination);
		t.destination_port = htons(port);
		node_put(&w->node[n], "translations", &key, &t);
	}
}

// The end of the session before rides on the packet that begins another one.
#define ENDED_FIRST "fwd1 LOOKED_UP > ftn3 UPDATED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 "

// O7, O10: translated as before it is the next generation, with the alias that it has; otherwise
// the session ends now, and another one begins when no cache knows it any more: at once where it
// was closed for so long.
static int test_translated_anew(struct world *w)
{
	struct inner sent = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		     becomes = TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		     instead = TCP(85, SYN, .from = "10.0.1.10", .to = "10.0.2.20");
	int from_b, wrong = 0;
	struct session_key key = key_of(NATTED, &sent, &from_b), other;
	const uint32_t least = (2 * REFRESH_MS + PACKET_LIFE_MS) / 1000 + 1;
	struct dft_record r = {}, alias = {};
	uint32_t policy = 100;
	struct journey j;

	other = key_of(NATTED, &becomes, &from_b);
	for (int old = 0; old < 2; old++) {
		forget(w);
		put_translations(w);
		for (int n = 0; n < NODES; n++)
			put_vpc(&w->node[n], NATTED, policy);
		wrong += nats(w, "anew: begun", FWD1, &sent, BEGUN, &becomes, &sent, &j);
		if (!node_session(&w->node[FTN3], &key, &r) ||
		    !node_session(&w->node[FTN3], &other, &alias))
			return wrong + 1;
		r.state |= DFT_FINS;
		record_everywhere(w, &key, &r);
		for (int n = 0; n < NODES; n++)
			put_vpc(&w->node[n], NATTED, policy + 1);
		wrong +=
			nats(w, "anew", FWD1, &sent, AGAIN_ "FORWARDED_FIRST", &becomes, &sent, &j);
		r.stamp.counter++;
		r.policy = policy + 1;
		r.state &= ~DFT_FINS;
		r.state += 1 << DFT_GENERATION_SHIFT;
		wrong += replicas_equal(w, "anew", &key, &r);
		wrong += replicas_equal(w, "anew, its alias", &other, &alias);

		translate_to(w, &sent, "10.0.2.20", 85);
		for (int n = 0; n < NODES; n++)
			put_vpc(&w->node[n], NATTED, policy + 2);
		// Open it goes on: its decision is its own.
		sent.flags = becomes.flags = ACK;
		node_clear(&w->node[FWD1], "cache");
		wrong +=
			nats(w, "open", FWD1, &sent, AGAIN_ "FORWARDED_FIRST", &becomes, &sent, &j);
		sent.flags = becomes.flags = SYN;
		node_session(&w->node[FTN3], &key, &r);
		r.state |= DFT_RST;
		record_everywhere(w, &key, &r);
		for (int n = 0; n < NODES; n++)
			put_vpc(&w->node[n], NATTED, policy + 3);
		node_session_mark(&w->node[FTN3], &key, old ? least : 1, 0);
		if (old) {
			wrong += nats(w, "otherwise, long closed", FWD1, &sent,
				      ENDED_FIRST "RESERVED+LOOKED_UP_AGAIN > ftn1 REPLICATED > "
						  "ftn2 REPLICATED > ftn3 INSERTED" DOWN_TO(
							  "fwd1") "FORWARDED_FIRST",
				      &instead, &sent, &j);
		} else {
			wrong += nats(w, "otherwise", FWD1, &sent,
				      ENDED_FIRST "LOOKED_UP_AGAIN+SESSION_OTHERWISE", NULL, NULL,
				      &j);
			r.life = DFT_TOMBSTONE;
			r.stamp.counter++;
			wrong += replicas_equal(w, "otherwise", &key, &r);
			wrong += nats(w, "otherwise, sent again", FWD1, &sent,
				      "fwd1 LOOKED_UP > ftn3 SESSION_OTHERWISE", NULL, NULL, &j);
			node_session_mark(&w->node[FTN3], &key, least, 0);
			wrong += nats(w, "otherwise, forgotten", FWD1, &sent, BEGUN, &instead,
				      &sent, &j);
		}
		if (!node_session(&w->node[FTN1], &key, &alias) ||
		    dft_stamp_compare(alias.incarnation, r.stamp) <= 0) {
			fprintf(stderr, "otherwise: no other life\n");
			wrong++;
		}
		policy += 4;
	}
	put_translations(w);
	for (int n = 0; n < NODES; n++)
		put_vpc(&w->node[n], NATTED, 0);
	return wrong;
}

// An error about a packet as its sender's side knows it, by whoever has that address and MAC.
static void write_error_about(struct frame *f, const struct inner *about, const char *by,
			      const char *mac, const char *to_mac, uint8_t ttl)
{
	struct frame original;

	write_ip(&original, about, 3);
	seal(original.byte);
	frame_clear(f);
	frame_append(f, original.byte, 28);
	frame_icmp(f, ICMP_UNREACHABLE, 3, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = by, .to = about->from, .protocol = IPPROTO_ICMP, .ttl = ttl});
	frame_ethernet(f, to_mac, mac, ETH_P_IP);
}

// RFC 5508: the packet in an ICMP error is translated back, and who sent it.
static int test_translated_errors(struct world *w)
{
	static const struct {
		const char *name;
		struct inner sent, becomes;
	} flows[] = {
		{"TCP", TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		 TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10")},
		{"UDP, both sides",
		 UDP(53, .from = "10.0.1.10", .to = "10.0.2.101", .payload = 20),
		 {.protocol = IPPROTO_UDP,
		  .from_port = 5000,
		  .to_port = 1053,
		  .payload = 20,
		  .from = "10.0.2.50",
		  .to = "10.0.2.10"}},
		{"echo",
		 {.protocol = IPPROTO_ICMP,
		  .type = ICMP_ECHO_REQUEST,
		  .from_port = 7,
		  .to_port = 7,
		  .from = "10.0.1.10",
		  .to = "10.0.2.100"},
		 {.protocol = IPPROTO_ICMP,
		  .type = ICMP_ECHO_REQUEST,
		  .from_port = 9,
		  .to_port = 9,
		  .from = "10.0.1.10",
		  .to = "10.0.2.10"}},
	};
	const char *client = "02:01:00:00:01:0a", *server = "02:01:00:00:02:0a",
		   *gate1 = "02:f1:00:00:01:01", *gate2 = "02:f1:00:00:02:01";
	struct journey j;
	struct frame f, want;
	int wrong = 0;

	put_translations(w);
	for (size_t i = 0; i < COUNT(flows); i++) {
		const struct inner *sent = &flows[i].sent, *becomes = &flows[i].becomes;
		struct inner answers = reversed(becomes, ACK), arrives = reversed(sent, ACK);

		answers.payload = arrives.payload = 20;
		forget(w);
		wrong += nats(w, flows[i].name, FWD1, sent, BEGUN, becomes, sent, &j);
		// By whom it was sent to: from the cache, and by way of the alias.
		write_error_about(&f, becomes, becomes->to, server, gate2, 64);
		wrap_from_host(&f, 13, OF_FWD1, NATTED);
		wrong += travel(w, FWD1, &f, &j);
		wrong += path_is(flows[i].name, &j, "fwd1 FORWARDED");
		write_error_about(&want, sent, sent->to, gate1, client, 63);
		wrap_to_host(&want, 11, OF_FWD1, NATTED, hash_for(NATTED, becomes), FWD1);
		wrong += frames_compare(flows[i].name, &want, &j.out);
		write_error_about(&f, becomes, "10.0.2.1", gate2, gate2, 64);
		wrap_from_host(&f, 13, OF_FWD2, NATTED);
		wrong += travel(w, FWD2, &f, &j);
		wrong += path_is("a router's", &j, UP_ALIAS);
		write_error_about(&want, sent, "10.0.2.1", gate1, client, 63);
		wrap_to_host(&want, 11, OF_FWD2, NATTED, hash_for(NATTED, sent), FWD2);
		wrong += frames_compare("a router's", &want, &j.out);
		// By who began it.
		if (sent->protocol == IPPROTO_ICMP)
			arrives.type = answers.type = ICMP_ECHO_REPLY;
		write_error_about(&f, &arrives, arrives.to, client, gate1, 64);
		wrap_from_host(&f, 11, OF_FWD1, NATTED);
		wrong += travel(w, FWD1, &f, &j);
		wrong += path_is(flows[i].name, &j, "fwd1 FORWARDED");
		write_error_about(&want, &answers, answers.to, gate2, server, 63);
		wrap_to_host(&want, 13, OF_FWD1, NATTED, hash_for(NATTED, sent), FWD1);
		wrong += frames_compare("by who began it", &want, &j.out);
	}
	return wrong;
}

static struct dft_record alias_of(struct world *w, int node, const struct inner *becomes)
{
	struct dft_record r = {};
	struct session_key key;
	int from_b;

	key = key_of(NATTED, becomes, &from_b);
	if (!node_session(&w->node[node], &key, &r))
		r.life = DFT_ABSENT;
	return r;
}

static uint64_t live_sessions(struct world *w, int node)
{
	return node_count(&w->node[node], "sessions");
}

static void append(char path[PATH_ROOM], const char *more)
{
	const size_t length = strlen(path);

	if ((size_t)snprintf(path + length, PATH_ROOM - length, "%s", more) >= PATH_ROOM - length)
		must(-ENOSPC, "a path");
}

// A1: an alias is one session's.
static int test_alias_owner(struct world *w)
{
	struct inner first = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.102"),
		     becomes = {.protocol = IPPROTO_TCP,
				.from_port = 5000,
				.to_port = 80,
				.flags = SYN,
				.from = "10.0.2.50",
				.to = "10.0.2.10"},
		     second = first, third = first, plain = becomes;
	char again[PATH_ROOM] = ASKED;
	struct dft_record alias;
	struct journey j;
	int wrong = 0;

	forget(w);
	put_translations(w);
	second.from = "10.0.1.12";
	third.from = second.from;
	third.to = "10.0.2.103";
	wrong += nats(w, "first", FWD1, &first, BEGUN, &becomes, &first, &j);
	alias = alias_of(w, FTN1, &becomes);
	wrong += nats(w, "second", FWD1, &second, ASKED "RESERVED > ftn1 ALIAS_TAKEN", NULL, NULL,
		      &j);
	// The function may choose another: it is asked again, for as long as there are hops.
	for (int i = 0; i < MAX_HOPS; i++)
		append(again, "RESERVED > ftn1 LOOKED_UP_AGAIN > ftn3 ");
	append(again, "RESERVED > ftn1 HOPS_EXCEEDED");
	wrong += nats(w, "third", FWD1, &third, again, NULL, NULL, &j);
	for (int i = FTN1; i <= FTN3; i++) {
		struct dft_record r = alias_of(w, i, &becomes);

		if (memcmp(&r, &alias, sizeof(r)) || live_sessions(w, i) != 2) {
			fprintf(stderr, "the alias is another, or not alone\n");
			wrong++;
		}
	}
	// Nor does a session without one begin under that key.
	plain.from_mac = "02:01:00:00:01:0a";
	return wrong +
	       nats(w, "its key", FWD2, &plain, "fwd2 LOOKED_UP > ftn3 WRONG_SIDE", NULL, NULL, &j);
}

// A3: the alias first, on all of its path; and the session as the life that it names, or not at
// all.
static int test_alias_first(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		     becomes = TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		     answer = reversed(&becomes, SYN | ACK);
	struct dft_record alias, r;
	struct journey j = {};
	int from_b, wrong = 0;
	struct session_key key = key_of(NATTED, &syn, &from_b);
	struct dft_stamp life;
	struct frame f;

	forget(w);
	put_translations(w);
	put_floors(w, &key, 4);
	write_sealed(&f, &syn);
	wrap_from_host(&f, 11, OF_FWD1, NATTED);
	for (int i = 0, node = FWD1; i < 5; i++, node = j.at)
		wrong += step(w, node, i ? &j.out : &f, &j);
	wrong += path_is("alias", &j,
			 "fwd1 LOOKED_UP > ftn3 RESERVED > ftn1 REPLICATED > ftn2 REPLICATED > "
			 "ftn3 INSERTED");
	life = (struct dft_stamp){4, 1};
	for (int i = FTN1; i <= FTN3; i++) {
		alias = alias_of(w, i, &becomes);
		if (alias.life != DFT_LIVE || !(alias.state & DFT_ALIAS) ||
		    memcmp(alias.alias.key, &key, sizeof(key)) ||
		    dft_stamp_compare(alias.alias.owner, life) ||
		    node_session(&w->node[i], &key, &r)) {
			fprintf(stderr, "%s: not the alias alone\n", w->node[i].name);
			wrong++;
		}
	}
	f = j.out;
	// The floor rose since it was observed: that life never begins. The packet is looked up
	// again, and the next finds the alias taken until somebody asks for its owner.
	put_floor(w, FTN1, &key, 5);
	put_floor(w, FTN2, &key, 5);
	put_floor(w, FTN3, &key, 5);
	wrong += travel(w, FTN1, &f, &j);
	wrong += path_is("another life", &j,
			 "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 RESERVED+LOOKED_UP_AGAIN > "
			 "ftn1 ALIAS_TAKEN");
	for (int i = FTN1; i <= FTN3; i++)
		if (node_session(&w->node[i], &key, &r)) {
			fprintf(stderr, "%s: another life has begun\n", w->node[i].name);
			wrong++;
		}
	return wrong + nats(w, "no session", FWD2, &answer,
			    "fwd2 LOOKED_UP > ftn3 ALIASED+NO_OWNER", NULL, NULL, &j);
}

static void write_verify(struct frame *f, const struct inner *becomes,
			 const struct dft_record *alias)
{
	int from_b;
	struct session_key key = key_of(NATTED, becomes, &from_b), owner;
	struct dft_packet d;

	memcpy(&owner, alias->alias.key, sizeof(owner));
	write_keyed(f, FTN2, FTN1, &key, DFT_VERIFY, alias->stamp);
	d = op_get(f);
	put_record(&d, alias);
	d.op.bucket = htonl((uint32_t)hash_of(&owner) % BUCKETS);
	edit_op(f, FTN2, FTN1, &d);
}

static int verifies(struct world *w, const char *name, const struct inner *becomes,
		    const struct dft_record *alias, const char *path)
{
	struct journey j;
	struct frame f;
	int wrong;

	write_verify(&f, becomes, alias);
	wrong = travel(w, FTN1, &f, &j);
	return wrong + path_is(name, &j, path);
}

#define GONE                                                                                       \
	"ftn1 REPLICATED > ftn2 REPLICATED > ftn3 ALIAS_ORPHANED > ftn1 REPLICATED > ftn2 "        \
	"REPLICATED > ftn3 OP_DONE"

// A4, A5: an alias ends when its session's tombstone is collected, and then only.
static int test_alias_end(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		     becomes = TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		     another = TCP(8081, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		     answer = reversed(&becomes, SYN | ACK);
	int from_b, wrong = 0;
	struct session_key key = key_of(NATTED, &syn, &from_b);
	struct dft_record alias, other, r = {};
	struct journey j;

	forget(w);
	put_translations(w);
	put_floors(w, &key, 0);
	wrong += nats(w, "begin", FWD1, &syn, BEGUN, &becomes, &syn, &j);
	alias = alias_of(w, FTN1, &becomes);
	other = alias;
	wrong += verifies(w, "live", &becomes, &alias, "ftn1 ALIAS_KEPT");
	node_session(&w->node[FTN1], &key, &r);
	wrong += asks(w, "delete", &key, DFT_DELETE, r.stamp, DOWN);
	r.stamp.counter++;
	wrong += verifies(w, "a tombstone", &becomes, &alias, "ftn1 ALIAS_KEPT");
	wrong += nats(w, "the other side", FWD2, &answer,
		      "fwd2 LOOKED_UP > ftn3 ALIASED+SESSION_ENDING", NULL, NULL, &j);
	// Another life of it, and another alias of the same life, are nobody's.
	other.incarnation.counter = other.alias.owner.counter = 2;
	wrong += verifies(w, "another's", &becomes, &other,
			  "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 ALIAS_ORPHANED > ftn1 OP_DONE");
	wrong += verifies(w, "another of that life", &another, &alias,
			  "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 ALIAS_ORPHANED > ftn1 OP_DONE");
	if (alias_of(w, FTN1, &becomes).life != DFT_LIVE) {
		fprintf(stderr, "the alias went too early\n");
		wrong++;
	}
	wrong += asks(w, "collect", &key, DFT_COLLECT, r.stamp, DOWN);
	wrong += verifies(w, "collected", &becomes, &alias, GONE);
	for (int i = FTN1; i <= FTN3; i++)
		if (alias_of(w, i, &becomes).life != DFT_TOMBSTONE) {
			fprintf(stderr, "%s: the alias is still there\n", w->node[i].name);
			wrong++;
		}
	// It may be had again at once: who knew of it knows no more.
	return wrong + nats(w, "again", FWD1, &syn, BEGUN, &becomes, &syn, &j);
}

// A5: its end is lost on the way down, and who missed it asks again.
static int test_alias_end_lost(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		     becomes = TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10");
	int from_b, wrong = 0;
	struct session_key key = key_of(NATTED, &syn, &from_b);
	struct dft_record alias, r = {};
	struct journey j;
	struct frame f;

	forget(w);
	put_translations(w);
	put_floors(w, &key, 0);
	wrong += nats(w, "begin", FWD1, &syn, BEGUN, &becomes, &syn, &j);
	alias = alias_of(w, FTN1, &becomes);
	node_session(&w->node[FTN1], &key, &r);
	wrong += asks(w, "delete", &key, DFT_DELETE, r.stamp, DOWN);
	r.stamp.counter++;
	wrong += asks(w, "collect", &key, DFT_COLLECT, r.stamp, DOWN);
	for (int hops = 4, have = FTN1; hops <= 5; hops++, have++) {
		write_verify(&f, &becomes, &alias);
		j = (struct journey){};
		for (int i = 0, node = FTN1; i < hops && node >= 0; i++, node = j.at)
			wrong += step(w, node, i ? &j.out : &f, &j);
		for (int i = FTN1; i <= FTN3; i++)
			if (alias_of(w, i, &becomes).life !=
			    (i <= have ? DFT_TOMBSTONE : DFT_LIVE)) {
				fprintf(stderr, "%s: after %d hops\n", w->node[i].name, hops);
				wrong++;
			}
	}
	wrong += verifies(w, "once more", &becomes, &alias, GONE);
	for (int i = FTN1; i <= FTN3; i++)
		if (alias_of(w, i, &becomes).life != DFT_TOMBSTONE) {
			fprintf(stderr, "%s: the alias is still there\n", w->node[i].name);
			wrong++;
		}
	return wrong;
}

// A5: nobody who sends to an alias keeps it from being asked about.
static int test_alias_used(struct world *w)
{
	struct inner syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
		     becomes = TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
		     answer = reversed(&becomes, SYN | ACK);
	int from_b, wrong = 0;
	struct session_key key = key_of(NATTED, &syn, &from_b),
			   other = key_of(NATTED, &becomes, &from_b);
	struct journey j;

	forget(w);
	put_translations(w);
	wrong += nats(w, "begin", FWD1, &syn, BEGUN, &becomes, &syn, &j);
	node_session_mark(&w->node[FTN3], &key, 100, 0);
	node_session_mark(&w->node[FTN3], &other, 100, 0);
	wrong += nats(w, "the other side", FWD2, &answer,
		      "fwd2 LOOKED_UP > ftn3 REPLIED+ALIASED > fwd2 FORWARDED_FIRST", NULL, NULL,
		      &j);
	if (node_session_idle_s(&w->node[FTN3], &key) >= 100) {
		fprintf(stderr, "its session was not used\n");
		wrong++;
	}
	if (node_session_idle_s(&w->node[FTN3], &other) < 100) {
		fprintf(stderr, "the alias was used\n");
		wrong++;
	}
	return wrong;
}

// What a session and its alias are, as one node has them.
struct translated {
	struct inner syn, becomes, answer, arrives;
	struct session_key key[2]; // the alias' is the second
	struct dft_record record[2];
};

static const struct translated web = {
	.syn = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
	.becomes = TCP(8080, SYN, .from = "10.0.1.10", .to = "10.0.2.10"),
};

// To whom rules ask for a session.
static const struct translated ruled = {
	.syn = TCP(81, SYN, .from = "10.0.1.10", .to = "10.0.2.100"),
	.becomes = TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.2.20"),
};

static int translated_begins(struct world *w, const struct translated *which, struct translated *t,
			     const char *path)
{
	struct journey j;
	int from_b, wrong;

	*t = *which;
	t->answer = reversed(&t->becomes, SYN | ACK);
	t->arrives = reversed(&t->syn, SYN | ACK);
	t->key[0] = key_of(NATTED, &t->syn, &from_b);
	t->key[1] = key_of(NATTED, &t->becomes, &from_b);
	forget(w);
	put_translations(w);
	for (int i = 0; i < 2; i++)
		put_floors(w, &t->key[i], 0);
	wrong = nats(w, "begin", FWD1, &t->syn, path, &t->becomes, &t->syn, &j);
	for (int i = 0; i < 2; i++)
		must(!node_session(&w->node[FTN1], &t->key[i], &t->record[i]), "a session");
	node_clear(&w->node[FWD1], "cache");
	return wrong;
}

// what: bit 0: the session; bit 1: its alias.
static int translated_there(struct world *w, const char *name, int node, const struct translated *t,
			    int what)
{
	struct dft_record got;
	int wrong = 0;

	for (int i = 0; i < 2; i++)
		if (node_session(&w->node[node], &t->key[i], &got) != (what >> i & 1) ||
		    ((what >> i & 1) && memcmp(&got, &t->record[i], sizeof(got)))) {
			fprintf(stderr, "%s: %s has another %s\n", name, w->node[node].name,
				i ? "alias" : "session");
			wrong++;
		}
	return wrong;
}

#define BY_ALIAS                                                                                   \
	"fwd2 LOOKED_UP > ftn2 REPLICATED > ftn3 ALIASED > ftn2 REPLICATED > ftn3 REPLIED > "      \
	"fwd2 FORWARDED_FIRST"

// M5: an alias comes to a learner as sessions do, in bulk and with what is asked.
static int test_alias_learned(struct world *w)
{
	const char *router = "10.0.2.1", *client = "02:01:00:00:01:0a",
		   *gate1 = "02:f1:00:00:01:01", *gate2 = "02:f1:00:00:02:01";
	struct translated t;
	struct frame f, want;
	struct journey j;
	int wrong = 0;

	set_chain(w, 3, 1);
	wrong += translated_begins(
		w, &web, &t,
		"fwd1 LOOKED_UP > ftn2 RESERVED > ftn1 REPLICATED > ftn2 REPLICATED > "
		"ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > ftn3 REPLIED > "
		"fwd1 FORWARDED_FIRST");
	wrong += translated_there(w, "as it began", FTN3, &t, 3);

	node_clear(&w->node[FTN3], "sessions");
	write_copies(&f, 2, t.key, t.record, 0);
	for (int i = 0; i < 2; i++)
		outbox_put(w, SERIAL + i, OUTBOX_SENT);
	wrong += travel(w, FTN3, &f, &j);
	wrong += path_is("in bulk", &j, "ftn3 COPY_TAKEN > ftn2 COPY_CONFIRMED");
	wrong += translated_there(w, "in bulk", FTN3, &t, 3);

	node_clear(&w->node[FTN3], "sessions");
	wrong += nats(w, "with a packet", FWD2, &t.answer, BY_ALIAS, &t.arrives, &t.arrives, &j);
	wrong += translated_there(w, "with a packet", FTN3, &t, 3);
	node_clear(&w->node[FTN3], "sessions");
	node_clear(&w->node[FWD2], "cache");
	write_error_about(&f, &t.becomes, router, gate2, gate2, 64);
	wrap_from_host(&f, 13, OF_FWD2, NATTED);
	wrong += travel(w, FWD2, &f, &j);
	wrong += path_is("with an ICMP error", &j, BY_ALIAS);
	write_error_about(&want, &t.syn, router, gate1, client, 63);
	wrap_to_host(&want, 11, OF_FWD2, NATTED, hash_for(NATTED, &t.syn), FWD2);
	wrong += frames_compare("with an ICMP error", &want, &j.out);
	wrong += translated_there(w, "with an ICMP error", FTN3, &t, 3);

	// It becomes the tail.
	set_chain(w, 3, 0);
	node_clear(&w->node[FWD2], "cache");
	return wrong + nats(w, "promoted", FWD2, &t.answer, UP_ALIAS, &t.arrives, &t.arrives, &j);
}

// A single copy: an insert that meets the alias brings it to who has missed it. That is no use of
// it, either (A5).
static int test_alias_copied(struct world *w)
{
	struct frame f, insert;
	struct translated t;
	struct journey j;
	int wrong = 0;

	wrong += translated_begins(w, &ruled, &t, BEGUN);
	for (int i = FTN2; i <= FTN3; i++)
		must(bpf_map_delete_elem(node_map(&w->node[i], "sessions"), &t.key[1]), "an alias");
	wrong += nats(w, "by an insert", FWD2, &t.becomes,
		      "fwd2 LOOKED_UP > ftn3 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > "
		      "ftn3 WRONG_SIDE",
		      NULL, NULL, &j);
	for (int i = FTN1; i <= FTN3; i++)
		wrong += translated_there(w, "by an insert", i, &t, 3);

	// The same where all have it by now.
	must(bpf_map_delete_elem(node_map(&w->node[FTN3], "sessions"), &t.key[1]), "an alias");
	write_sealed(&f, &t.becomes);
	wrap_from_host(&f, 11, OF_FWD2, NATTED);
	j = (struct journey){};
	wrong += step(w, FWD2, &f, &j);
	wrong += step(w, FTN3, &j.out, &j);
	insert = j.out;
	node_session_put(&w->node[FTN3], &t.key[1], &t.record[1]);
	node_session_mark(&w->node[FTN3], &t.key[1], 100, 0);
	wrong += travel(w, FTN1, &insert, &j);
	wrong += path_is("an insert that came late", &j,
			 "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 WRONG_SIDE");
	if (node_session_idle_s(&w->node[FTN3], &t.key[1]) < 100) {
		fprintf(stderr, "an insert that came late: the alias was used\n");
		wrong++;
	}
	return wrong;
}

static void alias_moves_on(struct world *w, const struct session_key *key, uint32_t to,
			   uint16_t from)
{
	const uint32_t bucket = (uint32_t)hash_of(key) % BUCKETS;

	for (int i = 0; i < NODES; i++)
		put_view(w, i, bucket, to, from);
}

#define RESERVED_NEW                                                                               \
	"REPLICATED > ftn5 REPLICATED > ftn6 INSERTED > ftn1 REPLICATED > ftn2 REPLICATED > "      \
	"ftn3 REPLIED > fwd1 FORWARDED_FIRST"

// What the old chain answered counts once, and of this fence only; the new one knows of the alias.
static int reserves_again(struct world *w, const struct translated *t, int knows)
{
	struct dft_packet d;
	struct journey j = {};
	struct frame f;
	int wrong = 0;

	for (int i = FTN1; i <= (knows ? FTN3 : FTN6); i++)
		node_clear(&w->node[i], "sessions");
	node_clear(&w->node[FWD1], "cache");
	write_sealed(&f, &t->syn);
	wrap_from_host(&f, endpoint(NATTED, t->syn.from)->host, OF_FWD1, NATTED);
	wrong += step(w, FWD1, &f, &j);
	wrong += step(w, FTN3, &j.out, &j);
	wrong += step(w, FTN4, &j.out, &j);
	if (knows)
		return wrong + go_on(w, &j) +
		       path_is("known", &j, ASKED "RESERVED > ftn4 " RESERVED_NEW);
	wrong += step(w, FTN1, &j.out, &j);
	d = op_get(&j.out);
	d.op.incarnation.counter ^= htonl(1);
	edit_op(&j.out, FTN1, FTN4, &d);
	wrong += go_on(w, &j);
	return wrong + path_is("told of another fence", &j,
			       ASKED
			       "RESERVED > ftn4 MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 MOVE_ASKED > "
			       "ftn1 MOVE_TOLD > ftn4 " RESERVED_NEW);
}

// M7: the bucket of an alias goes to chain 2, its session's stays; then the other way round.
static int test_alias_moves(struct world *w)
{
	const struct chain_value new = {
		.epoch = EPOCH, .term = TERM, .live = 3, .node = {FTN4, FTN5, FTN6}};
	struct dft_record other;
	struct translated t;
	struct dft_packet d;
	struct journey j;
	struct frame f;
	int wrong = 0;

	for (int i = 0; i < NODES; i++)
		node_chain(&w->node[i], NEW_CHAIN, &new);
	wrong += translated_begins(w, &web, &t, BEGUN);
	alias_moves_on(w, &t.key[1], NEW_CHAIN, 1);
	wrong += nats(w, "not fenced", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 REPLIED+ALIASED > "
		      "fwd2 FORWARDED_FIRST",
		      &t.arrives, &t.arrives, &j);
	node_clear(&w->node[FWD2], "cache");
	wrong += moves(w, "fence", &t.key[1], DFT_FENCE,
		       "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 MOVE_TOLD > ftn4 " TOLD_ALL);
	wrong += nats(w, "fenced", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 REPLICATED > "
		      "ftn5 REPLICATED > ftn6 ALIASED > ftn3 REPLIED > fwd2 FORWARDED_FIRST",
		      &t.arrives, &t.arrives, &j);
	for (int i = FTN4; i <= FTN6; i++) {
		wrong += translated_there(w, "adopted", i, &t, 2);
		node_clear(&w->node[i], "sessions");
	}
	// Whose it is only the old chain knows: it is asked before anybody reserves it.
	node_clear(&w->node[FTN3], "sessions");
	wrong += nats(w, "reserved", FWD1, &t.syn,
		      ASKED "RESERVED > ftn4 MOVE_ASKED > ftn1 ALIAS_TAKEN", NULL, NULL, &j);
	for (int i = FTN1; i <= FTN3; i++)
		node_clear(&w->node[i], "sessions");
	wrong += nats(w, "nobody's", FWD1, &t.syn,
		      ASKED "RESERVED > ftn4 MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 " RESERVED_NEW,
		      &t.becomes, &t.syn, &j);
	// While the fence is under way neither chain has it: the packet goes along, for its alias.
	for (int steps = 1; steps <= 5; steps += 2) {
		wrong += fence_lost(w, &t.key[1], steps);
		for (int i = FTN1; i <= FTN6; i++)
			node_clear(&w->node[i], "sessions");
		node_clear(&w->node[FWD1], "cache");
		if (steps == 5) { // all but the new tail know
			wrong += nats(w, "before its tail knows", FWD1, &t.syn,
				      ASKED "RESERVED > ftn4 MOVE_ASKED > ftn1 MOVE_TOLD > "
					    "ftn4 " RESERVED_NEW,
				      &t.becomes, &t.syn, &j);
			break;
		}
		wrong += nats(w, "between fences", FWD1, &t.syn,
			      ASKED "RESERVED > ftn4 REDIRECTED > ftn1 REPLICATED+REDIRECTED > "
				    "ftn2 REPLICATED > ftn3 MOVE_TOLD > ftn4 REPLICATED > "
				    "ftn5 REPLICATED > ftn6 LOOKED_UP_AGAIN > ftn3 RESERVED > "
				    "ftn4 MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 " RESERVED_NEW,
			      &t.becomes, &t.syn, &j);
	}
	wrong += reserves_again(w, &t, 0);
	wrong += reserves_again(w, &t, 1);
	node_clear(&w->node[FWD1], "cache");
	for (int i = FTN1; i <= FTN6; i++)
		node_clear(&w->node[i], "sessions");
	for (int i = 0; i < 2 * (FTN3 - FTN1 + 1); i++)
		node_session_put(&w->node[FTN1 + i / 2], &t.key[i % 2], &t.record[i % 2]);
	d = (struct dft_packet){};
	write_move(&f, FTN4, &t.key[1], DFT_TOLD, NEW_CHAIN, TERM);
	d = op_get(&f);
	put_record(&d, &t.record[1]);
	edit_op(&f, FTN1, FTN4, &d);
	outbox_put_at(w, FTN1, SERIAL, OUTBOX_SENT);
	wrong += travel(w, FTN4, &f, &j);
	wrong += path_is("told", &j, "ftn4 " TOLD_ALL);
	for (int i = FTN4; i <= FTN6; i++)
		wrong += translated_there(w, "told", i, &t, 2);
	wrong += verifies(w, "its session is there", &t.becomes, &t.record[1], "ftn1 ALIAS_KEPT");
	for (int i = FTN1; i <= FTN3; i++)
		must(bpf_map_delete_elem(node_map(&w->node[i], "sessions"), &t.key[0]),
		     "a session");
	wrong += verifies(w, "before all is there", &t.becomes, &t.record[1],
			  "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 ALIAS_ORPHANED > "
			  "ftn4 UPKEEP_WAITS");
	for (int i = FTN4; i <= FTN6; i++)
		wrong += translated_there(w, "before all is there", i, &t, 2);
	wrong += moves(w, "whole", &t.key[1], DFT_WHOLE, "ftn4 " TOLD_ALL);
	wrong += verifies(w, "all is there", &t.becomes, &t.record[1],
			  "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 ALIAS_ORPHANED > "
			  "ftn4 REPLICATED > ftn5 REPLICATED > ftn6 OP_DONE");
	for (int i = FTN4; i <= FTN6; i++)
		if (alias_of(w, i, &t.becomes).life != DFT_TOMBSTONE) {
			fprintf(stderr, "all is there: %s has another alias\n", w->node[i].name);
			wrong++;
		}
	alias_moves_on(w, &t.key[1], 0, 0);
	unmoved(w, &t.key[1]);

	// The session's: what may be there nobody calls gone, and nobody decides what it was.
	wrong += translated_begins(w, &web, &t, BEGUN);
	// It begins in the chain that has decided, whatever of the view who has its alias knows.
	node_clear(&w->node[FWD1], "cache");
	for (int i = FTN1; i <= FTN3; i++)
		node_clear(&w->node[i], "sessions");
	alias_moves_on(w, &t.key[0], NEW_CHAIN, 1);
	wrong += nats(w, "its session will move", FWD1, &t.syn,
		      "fwd1 LOOKED_UP > ftn6 REDIRECTED > ftn3 RESERVED > ftn1 REPLICATED > "
		      "ftn2 REPLICATED > ftn3 INSERTED > ftn4 REDIRECTED > ftn1 REPLICATED > "
		      "ftn2 REPLICATED > ftn3 REPLIED > fwd1 FORWARDED_FIRST",
		      &t.becomes, &t.syn, &j);
	alias_moves_on(w, &t.key[0], 0, 0);
	wrong += translated_begins(w, &web, &t, BEGUN);
	other = t.record[0];
	other.incarnation.counter++;
	other.stamp.counter += 9;
	alias_moves_on(w, &t.key[0], NEW_CHAIN, 1);
	wrong += moves(w, "fence, its session", &t.key[0], DFT_FENCE,
		       "ftn1 REPLICATED > ftn2 REPLICATED > ftn3 MOVE_TOLD > ftn4 " TOLD_ALL);
	wrong += verifies(w, "its session moves", &t.becomes, &t.record[1], "ftn1 UPKEEP_WAITS");
	// What comes by the alias is for this very life, which only the old chain has.
	node_session_put(&w->node[FTN1], &t.key[0], &other);
	wrong += nats(w, "another life", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn3 ALIASED > ftn6 MOVE_ASKED > ftn1 NO_OWNER", NULL, NULL,
		      &j);
	node_session_put(&w->node[FTN1], &t.key[0], &t.record[0]);
	node_session_put(&w->node[FTN5], &t.key[0], &other);
	wrong += nats(w, "another life there", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn3 ALIASED > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > "
		      "ftn4 REPLICATED > ftn5 NO_OWNER",
		      NULL, NULL, &j);
	for (int i = FTN4; i <= FTN6; i++)
		node_clear(&w->node[i], "sessions");
	wrong += nats(w, "its session moves", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn3 ALIASED > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > "
		      "ftn4 REPLICATED > ftn5 REPLICATED > ftn6 REPLIED > fwd2 FORWARDED_FIRST",
		      &t.arrives, &t.arrives, &j);
	for (int i = FTN4; i <= FTN6; i++) {
		wrong += translated_there(w, "its session, by the alias", i, &t, 1);
		node_clear(&w->node[i], "sessions");
	}
	node_clear(&w->node[FWD2], "cache");
	wrong += nats(w, "its own packet", FWD1, &t.syn,
		      "fwd1 LOOKED_UP > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 REPLICATED > "
		      "ftn5 REPLICATED > ftn6 REPLIED > fwd1 FORWARDED_FIRST",
		      &t.becomes, &t.syn, &j);
	for (int i = FTN4; i <= FTN6; i++)
		wrong += translated_there(w, "its session", i, &t, 1);
	wrong += nats(w, "its session has come", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn3 ALIASED > ftn6 REPLIED > fwd2 FORWARDED_FIRST",
		      &t.arrives, &t.arrives, &j);
	wrong += moves(w, "whole, its session", &t.key[0], DFT_WHOLE, "ftn4 " TOLD_ALL);
	alias_moves_on(w, &t.key[0], 0, 0);
	unmoved(w, &t.key[0]);
	return wrong;
}

// M8: east hands NATTED over to west: both a session's key and its alias.
static int test_alias_transfer(struct world *w)
{
	struct translated t;
	uint32_t place[2];
	struct journey j;
	int wrong = 0;

	wrong += translated_begins(w, &web, &t, BEGUN);
	part(w);
	for (int k = 0; k < 2; k++)
		place[k] = (uint32_t)hash_of(&t.key[k]) % BUCKETS + BUCKETS;
	for (int i = 0; i < NODES; i++) {
		if (!is_east(i) && !is_west(i))
			continue;
		put_transfer(w, i, NATTED, TRANSFER, 0);
		for (int k = 0; k < 2; k++)
			put_place(w, i, place[k]);
	}
	wrong += nats(w, "west asks east", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn6 REDIRECTED > ftn3 REPLIED+ALIASED > "
		      "fwd2 FORWARDED_FIRST",
		      &t.arrives, &t.arrives, &j);
	node_clear(&w->node[FWD2], "cache");
	for (int k = 0; k < 2; k++)
		wrong += transfers(w, "fence", &t.key[k], DFT_FENCE, FENCED_ "ftn4 " TOLD_ALL);
	// A packet that comes by the alias brings both.
	wrong += nats(w, "the alias", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn6 MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 REPLICATED > "
		      "ftn5 REPLICATED > ftn6 ALIASED+MOVE_ASKED > ftn1 MOVE_TOLD > ftn4 " IN_WEST
		      "fwd2 FORWARDED_FIRST",
		      &t.arrives, &t.arrives, &j);
	for (int i = FTN4; i <= FTN6; i++)
		wrong += translated_there(w, "both", i, &t, 3);
	node_clear(&w->node[FWD2], "cache");
	wrong += nats(w, "in west", FWD2, &t.answer,
		      "fwd2 LOOKED_UP > ftn6 REPLIED+ALIASED > fwd2 FORWARDED_FIRST", &t.arrives,
		      &t.arrives, &j);
	for (int k = 0; k < 2; k++)
		wrong += transfers(w, "whole", &t.key[k], DFT_WHOLE, "ftn4 " TOLD_ALL);
	forget(w);
	join(w, place);
	return wrong;
}

// Fragments of a translated session: the first one has the ports and the checksum, the others are
// told by it.
static int test_translated_fragments(struct world *w)
{
	struct inner sent = UDP(53, .from = "10.0.1.10", .to = "10.0.2.101", .fragment = MORE,
				.payload = 40),
		     becomes = {.protocol = IPPROTO_UDP,
				.from_port = 5000,
				.to_port = 1053,
				.fragment = MORE,
				.payload = 40,
				.from = "10.0.2.50",
				.to = "10.0.2.10"},
		     answers = reversed(&becomes, 0), arrives = reversed(&sent, 0);
	struct journey j;
	int wrong = 0;

	forget(w);
	put_translations(w);
	wrong += nats(w, "first", FWD1, &sent, BEGUN, &becomes, &sent, &j);
	sent.fragment = becomes.fragment = MORE | 6;
	wrong += nats(w, "middle", FWD1, &sent, "fwd1 FORWARDED", &becomes, &sent, &j);
	sent.fragment = becomes.fragment = 11;
	wrong += nats(w, "last", FWD1, &sent, "fwd1 FORWARDED", &becomes, &sent, &j);
	// And by the alias.
	answers.fragment = arrives.fragment = 10;
	answers.payload = arrives.payload = 16;
	wrong += nats(w, "alone, by its alias", FWD2, &answers, "fwd2 FRAGMENT_WAITS", NULL, NULL,
		      &j);
	answers.fragment = arrives.fragment = MORE;
	wrong += nats(w, "first, by its alias", FWD2, &answers, UP_ALIAS, &arrives, &arrives, &j);
	answers.fragment = arrives.fragment = 3;
	wrong += nats(w, "by its alias", FWD2, &answers, "fwd2 FORWARDED", &arrives, &answers, &j);
	// Of the other side's packets none is so numbered.
	arrives.fragment = 3;
	return wrong +
	       nats(w, "as from inside", FWD2, &arrives, "fwd2 FRAGMENT_WAITS", NULL, NULL, &j);
}

// What has 0 for ports must not share a session with what has none.
static int test_no_ports(struct world *w)
{
#define WITHOUT_PORTS(protocol_, ...)                                                              \
	{                                                                                          \
		.from = "10.0.1.10", .to = "10.0.1.20", .protocol = protocol_, .payload = 40,      \
		__VA_ARGS__                                                                        \
	}
	static const struct {
		struct inner in;
		const char *path;
	} sent[] = {
		{WITHOUT_PORTS(IPPROTO_ICMP, .type = PING), INSERTED_ "FORWARDED_FIRST"},
		{WITHOUT_PORTS(IPPROTO_ICMP, .type = PING), "fwd1 FORWARDED"},
		{WITHOUT_PORTS(IPPROTO_ICMP, .type = 13), FIRST "NO_SESSION"},
		{WITHOUT_PORTS(IPPROTO_ICMP, .type = PING, .fragment = MORE), "fwd1 FORWARDED"},
		{WITHOUT_PORTS(IPPROTO_UDP), "fwd1 INNER_MALFORMED"},
		{WITHOUT_PORTS(IPPROTO_TCP, .flags = SYN), "fwd1 INNER_MALFORMED"},
	};
#undef WITHOUT_PORTS
	int wrong = 0;

	for (size_t i = 0; i < COUNT(sent); i++) {
		struct journey j;
		struct frame f;

		write_inner(&f, &sent[i].in);
		wrap_from_host(&f, 11, OF_FWD1, RED);
		wrong += travel(w, FWD1, &f, &j);
		wrong += path_is("without ports", &j, sent[i].path);
	}
	return wrong;
}

// ---- the direct path ----

static void put_told(struct world *w, const struct session_key *key, int direction, uint32_t ms)
{
	struct cache_value c = cache_get(w, FWD1, key);

	c.told_ms[direction] = ms;
	node_cached_put(&w->node[FWD1], key, &c);
}

// Whether the host was told then, as exactly as the cache has it.
static int told_at(struct world *w, const struct session_key *key, int direction, uint32_t ms)
{
	return cache_get(w, FWD1, key).told_ms[direction] ==
	       (w->flat ? (uint32_t)flat_told(ms) * FLAT_TOLD_MS : ms);
}

// When a sender's host is told: at first, and again after a while.
static int test_told(struct world *w)
{
	struct inner in = UDP(7, .from = "10.0.1.10", .to = "10.0.2.10"), part = in;
	int from_b, wrong = 0;
	struct session_key key = key_of(RED, &in, &from_b), part_key;
	struct journey j;
	uint32_t told;

	wrong += sends(w, "told", FWD1, OF_FWD1, RED, &in, FIRST "FORWARDED_FIRST", DELIVERED, &j);
	if (!cache_get(w, FWD1, &key).told_ms[from_b]) {
		fprintf(stderr, "told: not at the first packet\n");
		wrong++;
	}
	if (cache_get(w, FWD1, &key).told_ms[!from_b]) {
		fprintf(stderr, "told: the wrong direction\n");
		wrong++;
	}
	put_told(w, &key, from_b, told = clock_ms() - DIRECT_REPEAT_MS);
	wrong += sends(w, "told", FWD1, OF_FWD1, RED, &in, "fwd1 FORWARDED", DELIVERED, &j);
	if (told_at(w, &key, from_b, told)) {
		fprintf(stderr, "told: not again\n");
		wrong++;
	}
	// Not for each packet. (Where this machine slept meanwhile, it has to be.)
	do {
		put_told(w, &key, from_b, told = clock_ms() - DIRECT_REPEAT_MS / 4);
		wrong += sends(w, "told", FWD1, OF_FWD1, RED, &in, "fwd1 FORWARDED", DELIVERED, &j);
	} while (clock_ms() - told >= DIRECT_REPEAT_MS);
	if (!told_at(w, &key, from_b, told)) {
		fprintf(stderr, "told: too often\n");
		wrong++;
	}
	// A renewed entry remembers it.
	cache_age(w, FWD1, &key, REFRESH_MS);
	do {
		put_told(w, &key, from_b, told = clock_ms() - DIRECT_REPEAT_MS / 4);
		cache_age(w, FWD1, &key, REFRESH_MS);
		wrong += sends(w, "told", FWD1, OF_FWD1, RED, &in, FIRST "FORWARDED_FIRST",
			       DELIVERED, &j);
	} while (clock_ms() - told >= DIRECT_REPEAT_MS);
	if (!told_at(w, &key, from_b, told)) {
		fprintf(stderr, "told: forgotten when renewed\n");
		wrong++;
	}
	// A fragment cannot be told apart by its host either.
	part.fragment = MORE;
	part.payload = 64;
	part.to_port = 8;
	part_key = key_of(RED, &part, &from_b);
	wrong +=
		sends(w, "told", FWD1, OF_FWD1, RED, &part, FIRST "FORWARDED_FIRST", DELIVERED, &j);
	if (cache_get(w, FWD1, &part_key).told_ms[from_b]) {
		fprintf(stderr, "told: about a fragment\n");
		wrong++;
	}
	return wrong;
}

static void write_oam(struct frame *f, uint32_t vni, const struct inner *in, int entrance)
{
	const struct endpoint_row *to = endpoint(vni, in->to), *from = endpoint(vni, in->from);
	struct in6_addr source = address_must(in->from), destination = address_must(in->to), host;
	char ip[16], mac[18], entrance_ip[16], entrance_mac[18];
	struct oam_inject o = {
		.flow = {.op = htonl(OAM_INJECT),
			 .source = address_v4(&source),
			 .destination = address_v4(&destination),
			 .source_port = htons(in->from_port),
			 .destination_port =
				 htons(in->protocol == IPPROTO_ICMP ? in->from_port : in->to_port),
			 .protocol = in->protocol,
			 .vni = {vni >> 16, vni >> 8, vni}},
		.instance = address_v4(&destination),
		.idle_timeout_s = htons(DIRECT_IDLE_S),
		.flags = htons(routed(vni, in) ? OAM_ROUTED : 0),
	};

	host_text(to->host, ip, mac);
	host = address_must(ip);
	o.host = address_v4(&host);
	mac_parse(mac, o.host_mac);
	mac_parse(to->mac, o.instance_mac);
	host_text(from->host, ip, mac);
	entrance_text(entrance, entrance_ip, entrance_mac);
	frame_clear(f);
	frame_append(f, &o, sizeof(o));
	frame_udp(f, 8300, 8300, 0);
	frame_ipv4(f, (struct ipv4_header){.from = entrance_ip,
					   .to = ip,
					   .protocol = IPPROTO_UDP,
					   .fragment = 0x4000});
	frame_ethernet(f, mac, entrance_mac, ETH_P_IP);
}

// The copy of what was forwarded becomes the OAM frame.
static int test_oam(struct world *w)
{
	const struct inner sent[] = {
		TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.11"),
		UDP(53, .from = "10.0.1.10", .to = "10.0.2.10", .payload = 600),
		UDP(1, .from = "10.0.1.10", .to = "10.0.2.10"),
		ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.11"),
		{.from = "10.0.1.10", .to = "10.0.1.11", .protocol = 47},
	};
	const uint32_t vni[] = {RED, BLUE};
	const int forwarder[] = {FWD1, GNV}, entrance[] = {OF_FWD1, OF_GNV};
	struct frame want;
	struct journey j;
	int wrong = 0;

	for (size_t i = 0; i < COUNT(sent); i++)
		for (int t = 0; t < 4; t++) {
			const struct node *n = &w->node[forwarder[t / 2]];
			char path[PATH_ROOM];
			struct expected told = {.name = "OAM", FLOW_TOLD, XDP_REDIRECT, &want};

			struct session_key key;
			struct cache_value c;
			int from_b;

			path_for(FIRST "FORWARDED_FIRST", n->name, path);
			forget(w);
			wrong += sends(w, "before OAM", forwarder[t / 2], entrance[t / 2],
				       vni[t % 2], &sent[i], path, DELIVERED, &j);
			write_oam(&want, vni[t % 2], &sent[i], entrance[t / 2]);
			wrong += target_check(&n->oam, &j.out, &told, NULL);
			told = (struct expected){.name = "OAM, denied", FLOW_FORGOTTEN, XDP_DROP};
			key = key_of(vni[t % 2], &sent[i], &from_b);
			c = cache_get(w, forwarder[t / 2], &key);
			c.record.towards[from_b].action = DECIDE_DROP;
			c.record.towards[from_b].reason = SECURITY_GROUP;
			node_cached_put(n, &key, &c);
			wrong += target_check(&n->oam, &j.out, &told, NULL);
			told.name = "OAM, evicted";
			forget(w);
			wrong += target_check(&n->oam, &j.out, &told, NULL);
		}
	j.out.byte[37]++;
	return wrong + target_check(&w->node[GNV].oam, &j.out,
				    &(struct expected){.name = "not ours", PASS, XDP_PASS, &j.out},
				    NULL);
}

// ---- the kernel's limits ----

// Metadata in front of a frame takes the room that its new headers need.
static int test_no_room(struct world *w)
{
	const struct inner each[] = {
		UDP(7, .from = "10.0.1.10", .to = "10.0.1.11"),
		UDP(7, .from = "10.0.1.10", .to = "10.0.1.11", .payload = TENANT_MTU),
	};
	int wrong = 0;

	for (size_t i = 0; i < COUNT(each); i++)
		for (int t = 0; t < 2; t++) {
			static const uint8_t metadata[216]; // as much as the kernel lets there be
			struct verdict_count before[VERDICTS], after[VERDICTS];
			struct target target = w->node[FWD1].entry;
			struct xdp_md ctx = {.data = sizeof(metadata)};
			struct frame f, out = {};
			uint32_t action;

			write_inner(&f, &each[i]);
			wrap_from_host(&f, 11, OF_FWD1, t ? BLUE : RED);
			frame_prepend(&f, metadata, sizeof(metadata));
			ctx.data_end = f.length;
			target.ctx = &ctx;
			target.ctx_size = sizeof(ctx);
			verdicts_read(target.verdicts, before);
			if (target_run(&target, &f, &action, &out))
				fatal("no room: cannot run");
			verdicts_read(target.verdicts, after);
			if (action == XDP_DROP &&
			    after[NO_ROOM].packets == before[NO_ROOM].packets + 1)
				continue;
			fprintf(stderr, "no room: action %u\n", action);
			wrong++;
		}
	return wrong;
}

// ---- frames as nobody should send them ----

#define MUTATED 20000

static uint32_t random_below(uint64_t *random, uint32_t n)
{
	*random ^= *random >> 12;
	*random ^= *random << 25;
	*random ^= *random >> 27;
	return (uint64_t)(uint32_t)(*random * 0x2545F4914F6CDD1D >> 32) * n >> 32;
}

// Up to four things are wrong with it.
static void mutate(struct frame *f, uint64_t *random)
{
	static const uint8_t edges[] = {0, 1, 2, 0x45, 0x7F, 0x80, 0xFE, 0xFF};

	for (uint32_t i = 0, times = 1 + random_below(random, 4); i < times; i++) {
		uint32_t at = random_below(random, f->length), length;

		switch (random_below(random, 8)) {
		case 0:
			f->byte[at] ^= 1 << random_below(random, 8);
			break;
		case 1:
			f->byte[at] = edges[random_below(random, sizeof(edges))];
			break;
		case 2: // shorter, but never less than what the kernel runs a program on
			f->length = at < ETH_HLEN ? ETH_HLEN : at;
			break;
		case 3: // longer
			length = random_below(random, 300);
			while (length--)
				f->byte[f->length++] = random_below(random, 256);
			break;
		case 4: // one part over another
			length = random_below(random, f->length - at);
			memmove(f->byte + random_below(random, f->length - length), f->byte + at,
				length);
			break;
		default:
			f->byte[at] = random_below(random, 256);
		}
		if (f->length > 2000)
			f->length = 2000;
		// Else most would fall for their length before anything else is read.
		if (f->length > 18 && random_below(random, 4)) {
			f->byte[16] = (f->length - ETH_HLEN) >> 8;
			f->byte[17] = f->length - ETH_HLEN;
		}
	}
}

// Who is counted once more by each op that a node sends to itself.
static int is_op(int v)
{
	return v == LOOKED_UP || v == UPDATED || v == REPLIED || v == INSERTED || v == REPLICATED ||
	       v == REDIRECTED || v == LOOKED_UP_AGAIN;
}

// Whatever comes: the kernel runs it, one counter says what became of it, and it is no BUG.
static int run_mutated(const struct target *t, const struct frame *f, struct frame *out)
{
	struct verdict_count before[VERDICTS], after[VERDICTS];
	int counted = 0, ops = 0, right = 0;
	uint32_t action;
	int err;

	verdicts_read(t->verdicts, before);
	err = target_run(t, f, &action, out);
	verdicts_read(t->verdicts, after);
	for (int v = 0; v < VERDICTS; v++) {
		int times = after[v].packets - before[v].packets;

		counted += times;
		ops += is_op(v) ? times : 0;
		right |= times && action_of(v) == action && v != BUG && v != GO_ON;
	}
	if (!err && right && (counted == 1 || ops >= counted - 1) &&
	    after[BUG].packets == before[BUG].packets)
		return 0;
	fprintf(stderr, "err %d, action %u, counted", err, action);
	for (int v = 0; v < VERDICTS; v++)
		if (after[v].packets != before[v].packets)
			fprintf(stderr, " %s", verdict_name(v));
	fputs(":\n", stderr);
	frames_compare("the frame", f, &(struct frame){});
	return 1;
}

#define PROTECTED "10.0.1.99" // a SYN there is answered with a cookie

static int test_mutated(struct world *w)
{
	static const struct inner tenants[] = {
		TCP(80, SYN, .from = "10.0.1.10", .to = "10.0.1.20"),
		TCP(80, FIN, .from = "10.0.1.10", .to = "10.0.1.20"),
		UDP(7, .from = "10.0.1.10", .to = "10.0.2.10", .payload = 20),
		ECHO(PING, .from = "10.0.1.10", .to = "10.0.1.1"),
		UDP(7, .from = "10.0.1.10", .to = "10.0.1.99", .payload = 20),
		UDP(7, .from = "10.0.1.10", .to = "10.0.1.11", .payload = TENANT_MTU),
		ARP(.from = "10.0.1.10", .to = "10.0.1.11"),
		ARP(.from = "10.0.1.10", .to = "10.0.1.1"),
		TCP(80, SYN, .from = "10.0.1.10", .to = PROTECTED),
		TCP(80, RST, .from = "10.0.1.10", .to = PROTECTED),
	};
	static const struct {
		int kind, node;
	} ops[] = {{LOOKUP_, FTN3},	 {INSERT_, FTN1},	  {REPLICATION_, FTN2},
		   {REPLICATION_, FTN3}, {REPLY_, FWD1},	  {ARP_REPLY_, FWD1},
		   {DENIAL_, FWD1},	 {STATEFUL_REPLY_, FWD1}, {LOOKUP_, FTN1}};
	static const int entrances[] = {OF_FWD1, OF_GNV, OF_BOTH};
	const char *text = getenv("ZETA_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 1, random = seed * 0x9E3779B97F4A7C15 + 1;
	struct frame op[COUNT(ops)], error, forwarded, f, out;
	const struct endpoint_key protected = {RED, address_must(PROTECTED)};
	const struct shield_value shield = {};
	struct verdict_count sums[VERDICTS];
	struct journey j;
	int wrong = 0;

	for (size_t i = 0; i < COUNT(entrances); i++)
		node_put(&w->node[entrance_rows[entrances[i]].owner], "shields", &protected,
			 &shield);
	for (size_t i = 0; i < COUNT(ops); i++) {
		struct dft_packet d;

		wrong += op_of_kind(w, ops[i].kind, RED, &op[i]);
		d = op_get(&op[i]);
		op_to(&d, ops[i].node);
		op_put(&op[i], &d);
	}
	write_error(&error, &tenants[2], tenants[2].to, "02:01:00:00:02:0a", "02:01:00:00:01:0a");
	write_inner(&f, &tenants[2]);
	wrap_from_host(&f, 11, OF_FWD1, RED);
	wrong += travel(w, FWD1, &f, &j);
	forwarded = j.out;

	for (int i = 0; i < MUTATED && wrong < 5; i++) {
		uint32_t what = random_below(&random, 8);
		int entrance = entrances[random_below(&random, COUNT(entrances))];
		const struct target *t = &w->node[entrance_rows[entrance].owner].entry;
		uint32_t now = htonl(clock_ms());
		size_t k = random_below(&random, COUNT(ops));

		if (i % 500 == 0)
			forget(w);
		if (what == 0) {
			f = forwarded;
			t = &w->node[FWD1].oam;
		} else if (what <= 4) {
			f = op[k];
			memcpy(f.byte + sizeof(struct ethhdr) + AT(op.clock_ms), &now, sizeof(now));
			t = &w->node[ops[k].node].entry;
		} else {
			if (what == 5)
				f = error;
			else
				write_inner(&f, &tenants[random_below(&random, COUNT(tenants))]);
			wrap_from_host(&f, 11, entrance, random_below(&random, 9) ? RED : BLUE);
		}
		mutate(&f, &random);
		wrong += run_mutated(t, &f, &out);
		// What a forwarder takes in twice it takes from its cache.
		if (what > 4)
			wrong += run_mutated(t, &f, &out);
	}
	verdicts_read(w->node[FWD1].entry.verdicts, sums);
	wrong += is_number("some have to prove themselves", sums[COOKIE_SENT].packets != 0, 1);
	if (wrong)
		fprintf(stderr, "ZETA_TEST_SEED=%" PRIu64 "\n", seed);
	return wrong;
}

// Each verdict that a gateway can give was given, and BUG was not.
static int test_all_verdicts(struct world *w)
{
	static const enum verdict edges[] = {
		// Of what is sent without a packet: node/upkeep_test.c.
		EMITTED_DELETE, EMITTED_COLLECT, EMITTED_COPY, EMITTED_MOVE, EMITTED_VERIFY,
		EMITTED_PUSH, EMIT_VOID,
		// modules/function/function_test.c.
		FUNCTION_DROPPED, FUNCTION_BEYOND, FUNCTION_ANSWER, NO_SERVICE_CHAIN,
		TOO_MANY_FUNCTIONS,
		// modules/door/door_test.c.
		FUNCTION_ASKS, FUNCTION_ANSWERED, NO_MIDDLEBOX, TOO_MANY_ASKED, TOO_LONG_TO_ASK,
		NO_ANSWER, ANSWER_LATE, ANSWER_WRONG,
		// modules/loadbalancer/loadbalancer_test.c.
		NO_LISTENER, NO_BACKEND, HAIRPIN, CHECK_SENT, CHECK_PASSED, CHECK_ANSWERED,
		CHECK_TAKEN, CHECK_UNKNOWN, COOKIE_SENT, COOKIE_WRONG, COOKIE_PROVEN,
		// modules/nat/nat_test.c.
		NAT_EXHAUSTED, NAT_NO_PORT, NAT_UNSOLICITED, MAPPING_ASKED, MAPPING_KNOWN,
		// node/upkeep_test.c, too.
		MAPPING_USED, EMITTED_TOUCH,
		// modules/route/route_test.c.
		BLACKHOLE,
		// modules/peering/peering_test.c.
		PEER_SOURCE,
		// datapath/edge_test.c.
		PORT_EGRESS_RATE, PORT_INGRESS_RATE, PORT_CONNECTION_RATE, MIRROR_RATE,
		MIRROR_FAILED, MIRRORED,
		// datapath/ipv6_test.c.
		INNER_EXTENSION, INNER_ADDRESS, LINK_LOCAL, NEIGHBOR_MALFORMED, NEIGHBOR_UNKNOWN,
		GATEWAY_NEIGHBOR, ENDPOINT_NEIGHBOR, PEER_IPV6,
		// modules/limits/limits_test.c.
		VPC_RATE, FLOW_LIMITED, MISS_RATE, SESSION_QUOTA, HALF_OPEN, EDGE_TO_ENTRANCE,
		EDGE_DIRECT, EDGE_DELIVERED, FLOW_INJECTED, FLOW_DELETED, OAM_MALFORMED,
		OAM_FOREIGN, NO_LOCAL_PORT, NO_ENTRANCE,
		NO_ROUTE, // a reason of UNREACHABLE, not counted itself
	};
	// modules/heartbeat has its own test.
	static const enum verdict beats[] = {
		BEAT_ANSWERED, BEAT_MALFORMED, BEAT_FOREIGN, BEAT_HEARD, STALE_BEAT, NOT_FIT,
	};
	uint64_t sum[VERDICTS] = {};
	int wrong = 0;

	for (int i = 0; i < NODES; i++) {
		struct verdict_count each[VERDICTS];

		verdicts_read(w->node[i].entry.verdicts, each);
		for (int v = 0; v < VERDICTS; v++)
			sum[v] += each[v].packets;
	}
	for (int v = 0; v < VERDICTS; v++) {
		int none = v == GO_ON || v == BUG || (v == TABLE_BUSY && !w->flat);

		for (size_t i = 0; i < COUNT(edges); i++)
			none |= edges[i] == (enum verdict)v;
		for (size_t i = 0; i < COUNT(beats); i++)
			none |= beats[i] == (enum verdict)v;
		if (none == !sum[v])
			continue;
		fprintf(stderr, "%s was given %" PRIu64 " times\n", verdict_name(v), sum[v]);
		wrong++;
	}
	return wrong;
}

struct test {
	const char *name;
	int (*run)(struct world *w); // returns how many things were wrong
};

// All that are looked at are what a node takes to start, and the kernel refuses a program at a
// million. What calls for it belongs into a function that is looked at once: shared/inlined.h.
#define VERIFIED_MOST 400000

static int test_verified(struct world *w)
{
	int wrong = 0;

	for (int i = 0; i < NODES; i++) {
		const char *name = "";
		uint32_t most = node_verified(&w->node[i], &name);

		if (most && most <= VERIFIED_MOST)
			continue;
		fprintf(stderr, "the verifier looked at %" PRIu32 " instructions of %s\n", most,
			name);
		wrong++;
	}
	return wrong;
}

static const struct test tests[] = {
	{"rows", test_rows},
	{"flooded", test_flooded},
	{"broken frames", test_broken_frames},
	{"options of a host's Geneve", test_geneve_options},
	{"ARP for entrances", test_entrance_arp},
	{"a dead entrance", test_dead_entrance},
	{"every byte of the ops", test_op_bytes},
	{"every byte of an ARP request's ops", test_arp_op},
	{"broken ops", test_broken_ops},
	{"an op of a host", test_op_of_a_host},
	{"cut ops", test_cut_ops},
	{"a redirected op", test_redirect_bytes},
	{"chains of 1 to 8", test_chains},
	{"stateless flows", test_stateless},
	{"two inserts at once", test_concurrent_insert},
	{"inserts in parallel", test_parallel_inserts},
	{"observations", test_observations},
	{"copies", test_copies},
	{"updates", test_updates},
	{"full tables", test_table_full},
	{"a full replica", test_replica_full},
	{"deletes and collects", test_deletes},
	{"what a head sends again", test_pushes},
	{"what is dying", test_dying},
	{"copies of several records", test_copied_together},
	{"a learner", test_learner},
	{"buckets that move", test_moves},
	{"a VPC that goes to another cluster", test_transfer},
	{"broken ops without a packet", test_broken_keyed},
	{"leases", test_leases},
	{"a tail stands still", test_stands_still},
	{"fences", test_fences},
	{"who is alive", test_liveness},
	{"who does not hear whom", test_parted},
	{"the cache", test_cache},
	{"the cache's order", test_cache_order},
	{"an endpoint that moved", test_moved_endpoint},
	{"refreshing beside the packets", test_refresh},
	{"a connection's life", test_lifecycle},
	{"a connection's end", test_ends},
	{"a former life", test_former_life},
	{"both roles in one node", test_both_roles},
	{"service chains", test_service_chains},
	{"network ACLs", test_acls},
	{"decided again", test_decided_again},
	{"revoked", test_revoked},
	{"begun anew", test_begun_anew},
	{"begun anew, denied", test_begun_anew_denied},
	{"a view that lacks something", test_no_view},
	{"ICMP errors", test_icmp_errors},
	{"no ports", test_no_ports},
	{"translated", test_translated},
	{"translated, its state", test_translated_state},
	{"translated, begun anew", test_translated_anew},
	{"translated, ICMP errors", test_translated_errors},
	{"an alias is one session's", test_alias_owner},
	{"the alias first", test_alias_first},
	{"the end of an alias", test_alias_end},
	{"an alias' end is lost", test_alias_end_lost},
	{"an alias in use", test_alias_used},
	{"an alias is copied", test_alias_copied},
	{"an alias and a learner", test_alias_learned},
	{"an alias' bucket moves", test_alias_moves},
	{"an alias and its VPC go to another cluster", test_alias_transfer},
	{"translated, fragments", test_translated_fragments},
	{"fragments", test_fragments},
	{"fragments, early", test_early_fragments},
	{"fragments, odd", test_odd_fragments},
	{"whom OAM is due", test_told},
	{"OAM frames", test_oam},
	{"no room", test_no_room},
	{"all verdicts", test_all_verdicts}, // of the rows above
	{"the verifier's work", test_verified},
	{"mutated frames", test_mutated},
};

int main(int argc, char **argv)
{
	static struct world world;
	int wrong = 0;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "flat")))
		fatalx("usage: %s [flat]: with kernel maps, or with the flat session table",
		       argv[0]);
	// Few pages, so that what does not fit in is met.
	world.flat = argc == 2 ? 4 : 0;

	testing_begin();
	begin(&world);
	for (size_t i = 0; i < COUNT(tests); i++) {
		int failed, tries = 0;

		// Ops live for so long only, and denials. What fails because this machine did
		// something else meanwhile is done again.
		do {
			set_chain(&world, 3, 0);
			forget(&world);
			world.clock = clock_ms();
			world.stood_still = 0;
			failed = tests[i].run(&world);
		} while (failed && world.stood_still && ++tries < 20);
		printf("%s %s\n", failed ? "FAILED" : "ok    ", tests[i].name);
		wrong += failed;
	}
	end(&world);
	return wrong ? 1 : 0;
}
