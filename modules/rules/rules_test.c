// SPDX-License-Identifier: Apache-2.0
// Random rules and packets: what the real functions decide is what a slow reading of the rules
// says.
// And packets while rules change: they meet what was before, or what is after.
//
//   rules_test [seed]
#include "datapath/gateway_nodes.h"

#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/rules/rules_model.h"
#include "shared/limits.h"

#define VNI 4711
#define ROUNDS 60
#define PACKETS 250 // of a round
#define LARGE 10000 // rules of a round that has many

#define SYN 0x02
#define ACK 0x10

enum { FWD, HEAD, TAIL, NODES };

enum { SUBNETS = 4, ACLS = 3, GROUPS = 6, ENDPOINTS = 24 };

struct endpoint {
	char ip[16], mac[18];
	uint32_t address; // host byte order
	uint32_t subnet;
	uint32_t group[MAX_PORT_GROUPS]; // 0: none; else 1 and up
};

struct world {
	struct node node[NODES];
	struct rules_set group[GROUPS + 1], acl[ACLS + 1];
	uint32_t subnet_acl[SUBNETS];
	struct endpoint endpoint[ENDPOINTS];
};

struct sent {
	const struct endpoint *from, *to;
	uint8_t protocol, flags, type;
	uint16_t from_port, to_port;
	int fragment; // the first one of its packet, of which it counts alone
};

static uint64_t state;

static uint32_t any(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) % below;
}

// ---- the specification, read slowly ----

static struct rules_packet packet_of(const struct sent *p)
{
	return (struct rules_packet){
		.from = address_must(p->from->ip),
		.to = address_must(p->to->ip),
		.from_group = p->from->group,
		.to_group = p->to->group,
		.protocol = p->protocol,
		.tcp_flags = p->flags,
		.icmp_type = p->type,
		.to_port = p->to_port,
	};
}

static enum verdict expected(const struct world *w, const struct sent *p)
{
	uint32_t leaves = w->subnet_acl[p->from->subnet], enters = w->subnet_acl[p->to->subnet];
	const struct rules_packet r = packet_of(p);
	int grouped = 0, stateful = 0;

	for (int i = 0; i < MAX_PORT_GROUPS; i++)
		grouped |= p->from->group[i] || p->to->group[i];
	if (p->from->subnet != p->to->subnet && (leaves || enters)) {
		if (!rules_begins(&r))
			return NO_SESSION;
		if (!rules_acl_permits(w->acl, leaves, &r, RULE_EGRESS) ||
		    !rules_acl_permits(w->acl, enters, &r, RULE_INGRESS))
			return NETWORK_ACL;
		stateful = 1;
	}
	if (grouped) {
		if (!rules_begins(&r))
			return NO_SESSION;
		if (!rules_groups_permit(w->group, &r, RULE_EGRESS) ||
		    !rules_groups_permit(w->group, &r, RULE_INGRESS))
			return SECURITY_GROUP;
		stateful = 1;
	}
	return stateful ? INSERTED : REPLIED;
}

// ---- what is random ----

// Few values, so that rules meet, and those at the ends.
static uint16_t any_port(void)
{
	static const uint16_t ports[] = {0, 1, 8, 22, 80, 443, 1023, 1024, 32767, 65534, 65535};

	return any(3) ? ports[any(11)] : any(4) ? any(64) : any(65536);
}

static struct in6_addr any_remote(const struct world *w, uint8_t *bits)
{
	struct in6_addr address = address_must(w->endpoint[any(ENDPOINTS)].ip);
	static const uint8_t usual[] = {0, 96, 97, 104, 118, 120, 127, 128};

	*bits = any(3) ? usual[any(8)] : any(129);
	if (!any(4))
		address.s6_addr[12 + any(4)] ^= 1 << any(8);
	if (!any(8))
		address.s6_addr[any(16)] ^= 1 << any(8);
	if (!any(8))
		address.s6_addr[12] ^= 0x80;
	for (uint32_t i = *bits; i < 128; i++)
		address.s6_addr[i / 8] &= ~(0x80 >> i % 8);
	return address;
}

static void any_rule(const struct world *w, int of_acl, struct rule *r)
{
	static const uint8_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 47, 255};
	uint16_t a = any_port(), b = any_port();

	*r = (struct rule){.direction = any(2), .protocol = protocols[any(6)], .port_max = 65535};
	r->remote = any_remote(w, &r->remote_bits);
	if (!of_acl && !any(4))
		r->remote_group = 1 + any(GROUPS);
	r->outcome = of_acl ? rule_outcome(any(3) ? any(40) : any(MAX_PRIORITY + 1), any(2))
			    : RULE_ALLOW;
	if (!r->protocol || !any(3))
		return;
	if (!any(3))
		b = a;
	r->port_min = a < b ? a : b;
	r->port_max = a < b ? b : a;
}

static void any_set(const struct world *w, int of_acl, size_t most, struct rules_set *set)
{
	free(set->rule);
	set->known = any(12) > 0;
	set->count = most == LARGE ? LARGE : any(most);
	set->rule = calloc(set->count + 1, sizeof(*set->rule));
	if (!set->rule)
		fatal("no memory");
	for (size_t i = 0; i < set->count; i++)
		any_rule(w, of_acl, &set->rule[i]);
}

static void put_endpoint(const struct node *n, const struct endpoint *e, uint8_t number)
{
	struct endpoint_key key = {.vni = VNI, .address = address_must(e->ip)};
	struct endpoint_value value = {.host_mac = {2, 10, 0, 0, 0, number}};

	value.host = address_must("192.168.0.11");
	mac_must(value.mac, e->mac);
	memcpy(value.group, e->group, sizeof(value.group));
	node_put(n, "endpoints", &key, &value);
}

static void any_endpoint(struct endpoint *e, uint8_t number)
{
	*e = (struct endpoint){.subnet = any(SUBNETS)};
	e->address = 10u << 24 | e->subnet << 8 | (number * 10 + 1 + any(10));
	snprintf(e->ip, sizeof(e->ip), "10.0.%u.%u", e->subnet, e->address & 255);
	snprintf(e->mac, sizeof(e->mac), "02:01:00:00:00:%02x", number);
	for (int i = 0; i < MAX_PORT_GROUPS; i++)
		if (!any(3))
			e->group[i] = 1 + any(GROUPS);
}

static void put_subnet(const struct node *n, uint32_t number, uint32_t acl)
{
	char prefix[16];
	struct subnet_key key = {.prefix_bits = 32 + 96 + 24, .vni = htonl(VNI)};
	struct subnet_value value = {.subnet = 1 + number, .acl = acl};

	snprintf(prefix, sizeof(prefix), "10.0.%u.0", number);
	key.address = address_must(prefix);
	node_put(n, "subnets", &key, &value);
}

static void put_set(const struct node *n, uint32_t of, uint32_t number, const struct rules_set *set)
{
	if (set->known)
		node_rules(n, of, number, set->rule, set->count);
	else
		node_remove(n, of ? "network_acls" : "security_groups", &number);
}

static void any_world(struct world *w, size_t most)
{
	const struct node *n = &w->node[TAIL];

	node_clear(n, "endpoints");
	for (unsigned int i = 0; i < ENDPOINTS; i++) {
		any_endpoint(&w->endpoint[i], (uint8_t)i);
		put_endpoint(n, &w->endpoint[i], (uint8_t)i);
	}
	for (uint32_t i = 1; i <= GROUPS; i++) {
		any_set(w, 0, i > 1 && most == LARGE ? 30 : most, &w->group[i]);
		put_set(n, 0, i, &w->group[i]);
	}
	for (uint32_t i = 1; i <= ACLS; i++) {
		any_set(w, 1, i > 1 && most == LARGE ? 30 : most, &w->acl[i]);
		put_set(n, RULES_OF_ACL, i, &w->acl[i]);
	}
	for (uint32_t i = 0; i < SUBNETS; i++) {
		w->subnet_acl[i] = any(3) ? 1 + any(ACLS) : 0;
		put_subnet(n, i, w->subnet_acl[i]);
		put_subnet(&w->node[FWD], i, 0);
	}
}

static struct sent any_packet(const struct world *w)
{
	static const uint8_t protocols[] = {IPPROTO_TCP,  IPPROTO_TCP, IPPROTO_UDP,
					    IPPROTO_ICMP, 47,	       1 + IPPROTO_UDP};
	struct sent p = {
		.from = &w->endpoint[any(ENDPOINTS)],
		.protocol = protocols[any(6)],
		.flags = any(8) ? SYN : SYN | ACK,
		.type = any(4) ? 8 : 13,
		.from_port = 1 + any(65535),
		.fragment = !any(10),
	};

	do
		p.to = &w->endpoint[any(ENDPOINTS)];
	while (p.to == p.from);
	p.to_port = p.protocol == IPPROTO_TCP || p.protocol == IPPROTO_UDP ? any_port() : 0;
	return p;
}

static void write_frame(struct frame *f, const struct sent *p)
{
	frame_clear(f);
	frame_fill(f, p->protocol == IPPROTO_TCP ? 20 : 16); // steps of 8 bytes
	if (p->protocol == IPPROTO_TCP)
		frame_tcp(f, p->from_port, p->to_port, p->flags);
	else if (p->protocol == IPPROTO_UDP)
		frame_udp(f, p->from_port, p->to_port, 0);
	else if (p->protocol == IPPROTO_ICMP)
		frame_icmp(f, p->type, 0, (uint32_t)p->from_port << 16);
	frame_ipv4(f, (struct ipv4_header){.from = p->from->ip,
					   .to = p->to->ip,
					   .protocol = p->protocol,
					   .fragment = p->fragment ? 0x2000 : 0});
	frame_ethernet(f, p->to->mac, p->from->mac, ETH_P_IP);
	frame_vxlan(f, VNI);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){.from = "192.168.0.11",
					   .to = "192.168.0.201",
					   .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:01", "02:0a:00:00:00:01", ETH_P_IP);
}

// What the tail decides: INSERTED or REPLIED, or why not.
static enum verdict decided(const struct world *w, const struct sent *p)
{
	struct dft_packet d;
	struct frame f;
	enum verdict v;

	write_frame(&f, p);
	v = node_run(&w->node[FWD], &f);
	if (v != LOOKED_UP)
		return v;
	v = node_run(&w->node[TAIL], &f);
	memcpy(&d, f.byte + sizeof(struct ethhdr), sizeof(d));
	for (int i = 0; v == REPLIED && i < 2; i++)
		if (d.towards[i].decision.action == DECIDE_DROP)
			return d.towards[i].decision.reason;
	return v;
}

static int check(const struct world *w, const struct sent *p, uint64_t seed)
{
	enum verdict want = expected(w, p), got = decided(w, p);

	if (got == want)
		return 0;
	fprintf(stderr, "seed %lu: %s to %s, protocol %u, port %u, type %u%s: %s, not %s\n",
		(unsigned long)seed, p->from->ip, p->to->ip, p->protocol, p->to_port, p->type,
		p->fragment ? ", a fragment" : "", verdict_name(got), verdict_name(want));
	return 1;
}

// ---- while rules change ----

#define CHANGES 300
#define OTHERS 300 // rules that match neither packet

struct changing {
	const struct node *node;
	struct rule rule[2][OTHERS + 1];
	atomic_int over;
};

static void *change(void *arg)
{
	struct changing *c = arg;

	for (int i = 0; i < CHANGES; i++)
		node_rules(c->node, 0, 1, c->rule[i % 2], OTHERS + 1);
	c->over = 1;
	return NULL;
}

// Whether the tail lets a lookup's packet begin a session.
static int is_inserted(const struct node *n, const struct frame *op)
{
	struct dft_packet d;
	struct frame out;
	uint32_t action;

	must(target_run(&n->entry, op, &action, &out), n->name);
	memcpy(&d, out.byte + sizeof(struct ethhdr), sizeof(d));
	return d.op.op == DFT_INSERT;
}

// Port 5000 is allowed before and after, by another rule each time; port 7000 never is.
static int check_changes(struct world *w)
{
	struct endpoint *from = &w->endpoint[0], *to = &w->endpoint[1];
	struct sent allowed = {from, to, IPPROTO_TCP, SYN, 0, 1000, 5000, 0}, refused = allowed;
	static struct changing c;
	struct frame ops[2];
	uint32_t sent = 0;
	pthread_t thread;
	int wrong = 0;

	refused.to_port = 7000;
	for (uint32_t i = 0; i < SUBNETS; i++)
		put_subnet(&w->node[TAIL], i, 0);
	memset(from->group, 0, sizeof(from->group));
	memcpy(to->group, (uint32_t[MAX_PORT_GROUPS]){1}, sizeof(to->group));
	put_endpoint(&w->node[TAIL], from, 0);
	put_endpoint(&w->node[TAIL], to, 1);
	c.node = &w->node[TAIL];
	for (unsigned int i = 0; i < 2 * OTHERS + 2; i++) {
		struct rule *r = &c.rule[i % 2][i / 2];

		*r = (struct rule){RULE_INGRESS,       IPPROTO_TCP,	      i % 2 ? 128 : 96,
				   (__u16)(10000 + i), (__u16)(10000 + i),    0,
				   RULE_ALLOW,	       address_must(from->ip)};
		r->remote.s6_addr[13] += i / 2 % 50;
	}
	c.rule[0][0].port_min = 4000;
	c.rule[0][0].port_max = 6000;
	c.rule[1][0].port_min = c.rule[1][0].port_max = 5000;
	node_rules(c.node, 0, 1, c.rule[1], OTHERS + 1);
	for (int i = 0; i < 2; i++) {
		write_frame(&ops[i], i ? &refused : &allowed);
		node_run(&w->node[FWD], &ops[i]);
	}
	if (pthread_create(&thread, NULL, change, &c))
		fatal("no thread");
	for (; !c.over && !wrong; sent++)
		wrong += is_inserted(c.node, &ops[0]) != 1 || is_inserted(c.node, &ops[1]) != 0;
	pthread_join(thread, NULL);
	printf("%u packets while rules changed %d times%s\n", 2 * sent, CHANGES,
	       wrong ? ": one met a change half done" : "");
	return wrong;
}

static void put_view(const struct node *n)
{
	struct chain_value chain = {.epoch = 1, .term = 1, .live = 2, .node = {HEAD, TAIL}};
	struct entrance_value entrance = {.ip = address_must("192.168.0.201"),
					  .mac = {2, 14, 0, 0, 0, 1},
					  .live = 1,
					  .owner = FWD};
	struct vpc_value vpc = {.policy = 1,
				.functions = 4,
				.function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_ACL,
					     FUNCTION_SECURITY_GROUP}};
	uint32_t zero = 0, vni = VNI;

	node_peers(n, NODES);
	node_chain(n, 0, &chain);
	node_entrance(n, zero, &entrance);
	node_put(n, "entrance_by_ip", &entrance.ip, &zero);
	node_put(n, "vpcs", &vni, &vpc);
	node_buckets(n, 0);
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL), seed;
	uint32_t counts[VERDICTS] = {}, rounds = argc > 1 ? 1 : ROUNDS;
	static struct world w;
	int wrong = 0;

	testing_begin();
	for (uint32_t i = 0; i < NODES; i++) {
		static const char *const names[] = {"fwd", "head", "tail"};

		node_load(&w.node[i], &(struct node_wish){.name = names[i],
							  .index = i,
							  .roles = i == FWD ? ROLE_FWD : ROLE_FTN,
							  .beat_ms = 10});
		put_view(&w.node[i]);
	}
	for (seed = first; seed < first + rounds && !wrong; seed++) {
		state = seed * 2654435761u + 1;
		any_world(&w, seed % 20 ? seed % 3 ? 30 : 300 : LARGE);
		for (int i = 0; i < PACKETS; i++) {
			struct sent p = any_packet(&w);

			wrong += check(&w, &p, seed);
			counts[expected(&w, &p)]++;
		}
	}
	printf("seeds %lu to %lu:", (unsigned long)first, (unsigned long)seed - 1);
	for (int v = 0; v < VERDICTS; v++)
		if (counts[v])
			printf(" %u %s", counts[v], verdict_name(v));
	puts("");
	wrong += check_changes(&w);
	for (uint32_t i = 0; i < NODES; i++)
		node_free(&w.node[i]);
	for (uint32_t i = 1; i <= GROUPS; i++)
		free(w.group[i].rule);
	for (uint32_t i = 1; i <= ACLS; i++)
		free(w.acl[i].rule);
	return wrong != 0;
}
