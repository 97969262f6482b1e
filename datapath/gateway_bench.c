// SPDX-License-Identifier: Apache-2.0
// What each step of the gateway costs: nanoseconds of one program run, as the kernel measures it
// (PROG_TEST_RUN), beside a run that only reads the outer headers and passes.
//
//   gateway_bench [-j] [-r | -R | -c] [-n runs] [-f flows]      -j: JSON; -r, -R, -c: what rules,
//                                                               routes or functions cost instead
#include "datapath/gateway_nodes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "shared/address.h"
#include "shared/limits.h"

#define VNI 4711
#define HOUR_NS 3600000000000ull
#define RST 0x04
#define SYN 0x02
#define ACK 0x10

enum { FWD, HEAD, MIDDLE, TAIL, NODES };

struct bench {
	struct node node[NODES];
	uint32_t runs, flows;
	int json, rules, routes, functions;
	uint32_t *ns;  // of each run
	uint32_t pass; // median of the run that only passes
};

// With so much time between the VPC's first packets; 0: no limit.
static void put_vpc(const struct node *n, uint64_t ask_ns)
{
	struct vpc_value vpc = {
		.policy = 1,
		.functions = 3,
		.function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_SECURITY_GROUP},
		.ask_ns = ask_ns};
	uint32_t vni = VNI;

	node_put(n, "vpcs", &vni, &vpc);
}

// With a chain of so many.
static void put_functions(const struct node *n, uint8_t functions)
{
	static const uint8_t all[MAX_SERVICE_CHAIN] = {
		FUNCTION_BOUNCER, FUNCTION_LOAD_BALANCER,  FUNCTION_NAT, FUNCTION_DIVIDER,
		FUNCTION_ACL,	  FUNCTION_SECURITY_GROUP, FUNCTION_ACL, FUNCTION_SECURITY_GROUP};
	struct vpc_value vpc = {.policy = 1, .functions = functions};
	uint32_t vni = VNI;

	memcpy(vpc.function, all, sizeof(all));
	node_put(n, "vpcs", &vni, &vpc);
}

// With so many in chains of the sender's and the taker's subnet, after a VPC's chain of two.
static void put_later_functions(const struct node *n, uint8_t functions)
{
	static const uint8_t all[] = {FUNCTION_ACL, FUNCTION_SECURITY_GROUP, FUNCTION_ACL,
				      FUNCTION_SECURITY_GROUP};
	const struct vpc_value vpc = {
		.policy = 1, .functions = 2, .function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER}};
	uint32_t vni = VNI;

	node_put(n, "vpcs", &vni, &vpc);
	for (uint32_t i = 0; i < 2; i++) {
		const uint8_t before = i * MAX_LATER_CHAIN;
		struct subnet_key key = {.prefix_bits = 32 + 127, .vni = htonl(VNI)};
		struct subnet_value subnet = {.subnet = i + 1, .bits = 127};
		struct service_chain_value chain = {};

		key.address = address_must(i ? "10.0.0.2" : "10.0.0.0");
		if (functions > before) {
			subnet.chain = i + 1;
			chain.functions = functions - before < MAX_LATER_CHAIN ? functions - before
									       : MAX_LATER_CHAIN;
			memcpy(chain.function, all, sizeof(all));
		}
		node_put(n, "service_chains", &subnet.subnet, &chain);
		node_put(n, "subnets", &key, &subnet);
	}
}

static void put_view(const struct node *n)
{
	struct chain_value chain = {.epoch = 1, .term = 1, .live = 3, .node = {HEAD, MIDDLE, TAIL}};
	struct entrance_value entrance = {.ip = address_must("192.168.0.201"),
					  .mac = {2, 14, 0, 0, 0, 1},
					  .live = 1,
					  .owner = FWD};
	uint32_t zero = 0;

	node_peers(n, NODES);
	node_chain(n, 0, &chain);
	node_entrance(n, zero, &entrance);
	node_put(n, "entrance_by_ip", &entrance.ip, &zero);
	put_vpc(n, 0);
	node_buckets(n, 0);
}

// 64 bytes and the tunnel, from whom has the first endpoint's MAC.
static void write_frame_between(struct frame *f, const char *from, const char *to, uint16_t port,
				uint16_t to_port, uint8_t flags)
{
	frame_clear(f);
	frame_fill(f, 10);
	frame_tcp(f, port, to_port, flags);
	frame_ipv4(f, (struct ipv4_header){.from = from, .to = to, .protocol = IPPROTO_TCP});
	frame_ethernet(f, "02:01:00:00:00:02", "02:01:00:00:00:01", ETH_P_IP);
	frame_vxlan(f, VNI);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){.from = "192.168.0.11",
					   .to = "192.168.0.201",
					   .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:01", "02:0a:00:00:00:01", ETH_P_IP);
}

// From the first endpoint to another.
static void write_frame(struct frame *f, const char *to, uint16_t port, uint8_t flags)
{
	write_frame_between(f, "10.0.0.1", to, port, 80, flags);
}

static uint32_t run(const struct node *n, const struct frame *in, struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->byte, .data_size_in = in->length,
		    .data_out = out->byte, .data_size_out = sizeof(out->byte), .repeat = 1);

	if (bpf_prog_test_run_opts(n->entry.program, &options))
		fatal("%s cannot run", n->name);
	out->length = options.data_size_out;
	return options.duration;
}

static uint64_t counted(const struct node *n, enum verdict v)
{
	struct verdict_count sum[VERDICTS];

	verdicts_read(n->entry.verdicts, sum);
	return sum[v].packets;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

// Where a run leaves something behind that the next must not find: a session, and that it is
// counted.
static void forget(struct bench *b, int node, const char *map)
{
	const uint32_t only = 0;
	const int64_t none = 0;

	if (!map)
		return;
	node_clear(&b->node[node], map);
	node_put(&b->node[node], "records", &only, &none);
}

// ns: of each run.
static void print(struct bench *b, const char *name, enum verdict v, uint32_t *ns)
{
	uint32_t median;

	qsort(ns, b->runs, sizeof(*ns), ascending);
	median = ns[b->runs / 2];
	if (!b->pass)
		b->pass = median;
	if (b->json)
		printf("%s\n  {\"name\": \"%s\", \"verdict\": \"%s\", \"ns\": %u, \"p10\": %u, "
		       "\"p90\": %u, \"over_pass\": %d}",
		       v == PASS ? "[" : ",", name, verdict_name(v), median, ns[b->runs / 10],
		       ns[b->runs * 9 / 10], (int)(median - b->pass));
	else
		printf("%-44s %-16s %6u %6u %6u %+8d\n", name, verdict_name(v), median,
		       ns[b->runs / 10], ns[b->runs * 9 / 10], (int)(median - b->pass));
}

// Runs frame i % frames of `in` at a node; each must be counted as v. A program edits the frame it
// is given, so the kernel cannot repeat it by itself, and each run is a call of its own.
static void measure(struct bench *b, const char *name, int node, const struct frame *in,
		    uint32_t frames, enum verdict v, const char *map)
{
	const struct node *n = &b->node[node];
	uint64_t before;
	struct frame out;
	uint32_t at = 0;

	for (uint32_t i = 0; i < 100; i++) {
		forget(b, node, map);
		run(n, &in[i % frames], &out);
	}
	before = counted(n, v);
	for (uint32_t i = 0; i < b->runs; i++) {
		forget(b, node, map);
		at = (at * 1664525 + 1013904223) % frames;
		b->ns[i] = run(n, &in[at], &out);
	}
	if (counted(n, v) - before != b->runs)
		fatalx("%s: not all were %s", name, verdict_name(v));
	print(b, name, v, b->ns);
}

// Many sessions in the cache, each with a frame of its own.
static struct frame *fill_cache(struct bench *b)
{
	const struct node *n = &b->node[FWD];
	struct frame *frames = calloc(b->flows, sizeof(*frames)), op, out;

	if (!frames)
		fatal("no memory");
	for (uint32_t i = 0; i < b->flows; i++) {
		write_frame(&frames[i], "10.0.0.2", 1024 + i % 64000, ACK);
		run(n, &frames[i], &op);
		run(&b->node[TAIL], &op, &out);
		run(n, &out, &op);
	}
	return frames;
}

// A flow that is known becomes one of a load balancer's.
static void balance(const struct bench *b, uint16_t port)
{
	const struct node *n = &b->node[FWD];
	struct session_key key = {.a = address_must("10.0.0.1"),
				  .b = address_must("10.0.0.2"),
				  .a_port = htons(port),
				  .b_port = htons(80),
				  .vni = {VNI >> 16, VNI >> 8 & 255, VNI & 255},
				  .protocol = IPPROTO_TCP};
	struct cache_value value;

	if (!node_cached(n, &key, &value))
		fatalx("a flow is not cached");
	value.record.translation = (struct translation){.source = key.a,
							.destination = address_must("10.0.0.3"),
							.source_port = key.a_port,
							.destination_port = htons(8080),
							.flags = TRANSLATION_IS};
	memcpy(value.record.translation.vni, key.vni, sizeof(key.vni));
	for (int i = 0; i < 2; i++)
		value.record.towards[i].flags |= DECISION_TRANSLATED;
	node_cached_put(n, &key, &value);
}

static void bench_all(struct bench *b)
{
	struct frame balanced, open, pass, guarded, reset, lookup, insert, head, middle, reply,
		update;
	const uint32_t runs = b->runs;
	auto_(freep) struct frame *many = NULL;

	write_frame(&open, "10.0.0.2", 1000, ACK);
	write_frame(&guarded, "10.0.0.3", 1000, SYN);
	pass = open;
	pass.byte[36]++; // another port
	measure(b, "headers read, passed", FWD, &pass, 1, PASS, NULL);

	measure(b, "miss: lookup sent", FWD, &open, 1, LOOKED_UP, NULL);
	put_vpc(&b->node[FWD], 1);
	measure(b, "miss: lookup sent, first packets limited", FWD, &open, 1, LOOKED_UP, NULL);
	put_vpc(&b->node[FWD], HOUR_NS);
	node_clear(&b->node[FWD], "asking");
	for (uint32_t i = 0; i < ASK_BURST; i++)
		run(&b->node[FWD], &open, &lookup);
	measure(b, "miss: refused, too many first packets", FWD, &open, 1, MISS_RATE, NULL);
	put_vpc(&b->node[FWD], 0);
	run(&b->node[FWD], &open, &lookup);
	measure(b, "table: no record, evaluated, stateless", TAIL, &lookup, 1, REPLIED, NULL);
	// A reply is good for so long only: few runs of a fresh one.
	b->runs = runs < 2000 ? runs : 2000;
	run(&b->node[FWD], &open, &lookup);
	run(&b->node[TAIL], &lookup, &reply);
	measure(b, "reply: cached, forwarded", FWD, &reply, 1, FORWARDED_FIRST, NULL);
	b->runs = runs;
	measure(b, "hit: forwarded, one flow", FWD, &open, 1, FORWARDED, NULL);
	write_frame(&balanced, "10.0.0.2", 999, ACK);
	run(&b->node[FWD], &balanced, &lookup);
	run(&b->node[TAIL], &lookup, &reply);
	run(&b->node[FWD], &reply, &lookup);
	balance(b, 999);
	measure(b, "hit: balanced, forwarded, one flow", FWD, &balanced, 1, FORWARDED, NULL);
	many = fill_cache(b);
	measure(b, "hit: forwarded, many flows at random", FWD, many, b->flows, FORWARDED, NULL);

	run(&b->node[FWD], &guarded, &lookup);
	measure(b, "table: no record, evaluated, stateful", TAIL, &lookup, 1, INSERTED, NULL);
	run(&b->node[TAIL], &lookup, &insert);
	measure(b, "insert at the head", HEAD, &insert, 1, REPLICATED, "sessions");
	run(&b->node[HEAD], &insert, &head);
	measure(b, "copy at a replica, new", MIDDLE, &head, 1, REPLICATED, "sessions");
	measure(b, "copy at a replica, the same", MIDDLE, &head, 1, REPLICATED, NULL);
	run(&b->node[MIDDLE], &head, &middle);
	measure(b, "copy at the end, new, released", TAIL, &middle, 1, REPLIED, "sessions");
	measure(b, "table: record found", TAIL, &lookup, 1, REPLIED, NULL);
	run(&b->node[TAIL], &lookup, &reply);
	run(&b->node[FWD], &reply, &update);
	write_frame(&reset, "10.0.0.3", 1000, RST | ACK);
	run(&b->node[FWD], &reset, &update);
	measure(b, "update at the head: RST", HEAD, &update, 1, REPLICATED, NULL);
}

// ---- rules: what a first packet costs by how many rules the group it goes to has ----

#define MEMBERS 1000 // of the remote group that rules name
#define SAMPLES 512
#define REMOTE_GROUP 2

static uint32_t any(uint32_t below)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)state * below >> 32);
}

// Members live in 10.1.0.0/16, others in 10.2.0.0/16.
static void member_ip(char out[16], uint32_t number, int member)
{
	snprintf(out, 16, "10.%u.%u.%u", member ? 1u : 2u, number >> 8, number & 255);
}

static void put_members(const struct node *n)
{
	for (uint32_t i = 0; i < 2 * MEMBERS; i++) {
		struct endpoint_key key = {.vni = VNI};
		struct endpoint_value value = {
			.host = address_must("192.168.0.11"),
			.host_mac = {2, 10, 0, 0, 0, 1},
			.mac = {2, 1, 0, 0, 0, 1},
			.group = {i < MEMBERS ? REMOTE_GROUP : 0},
		};
		char ip[16];

		member_ip(ip, i % MEMBERS, i < MEMBERS);
		key.address = address_must(ip);
		node_put(n, "endpoints", &key, &value);
	}
}

// One rule of ten is for the remote group, the others for hosts and networks; half are for single
// ports, the others for a few.
static void any_rules(struct rule *rules, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct rule *r = &rules[i];
		char ip[16];

		*r = (struct rule){.protocol = i % 2 ? IPPROTO_UDP : IPPROTO_TCP,
				   .port_min = any(60000),
				   .remote_bits = 96 + 16 + any(17),
				   .outcome = RULE_ALLOW};
		r->port_max = r->port_min + (any(2) ? 0 : any(16));
		member_ip(ip, any(MEMBERS), any(2));
		r->remote = address_must(ip);
		r->remote_group = any(10) ? 0 : REMOTE_GROUP;
	}
}

// A packet that the rule matches.
static void write_match(struct frame *f, const struct rule *rule)
{
	char ip[ADDRESS_TEXT];

	address_text(&rule->remote, ip);
	if (rule->remote_group)
		member_ip(ip, any(MEMBERS), 1);
	write_frame_between(f, ip, "10.0.0.3", 1024 + any(60000), rule->port_min, SYN);
}

static void write_any(struct frame *f)
{
	char ip[16];

	member_ip(ip, any(MEMBERS), any(2));
	write_frame_between(f, ip, "10.0.0.3", 1024 + any(60000), any(60000), SYN);
}

// Packets as the tail gets them, which it is to let in, or not.
static void sample(struct bench *b, const struct rule *rules, uint32_t count, enum verdict v,
		   struct frame ops[SAMPLES])
{
	const struct node *tail = &b->node[TAIL];
	struct frame in, out;

	for (uint32_t i = 0; i < SAMPLES;) {
		uint64_t before = counted(tail, v);

		if (v == INSERTED)
			write_match(&in, &rules[any(count) & ~1u]);
		else
			write_any(&in);
		run(&b->node[FWD], &in, &ops[i]);
		run(tail, &ops[i], &out);
		i += counted(tail, v) != before;
	}
}

static void bench_rules(struct bench *b)
{
	static const enum verdict verdicts[] = {INSERTED, REPLIED};
	static struct frame ops[SAMPLES];
	static struct rule rules[MAX_RULES];
	char name[48];

	put_members(&b->node[TAIL]);
	write_any(ops);
	ops->byte[36]++; // another port
	measure(b, "headers read, passed", FWD, ops, 1, PASS, NULL);
	for (uint32_t count = 10; count <= MAX_RULES; count *= 10) {
		any_rules(rules, count);
		node_rules(&b->node[TAIL], 0, 1, rules, count);
		for (int i = 0; i < 2; i++) {
			sample(b, rules, count, verdicts[i], ops);
			snprintf(name, sizeof(name), "%u rules: %s", count,
				 i ? "refused" : "allowed");
			measure(b, name, TAIL, ops, SAMPLES, verdicts[i], NULL);
		}
	}
}

// ---- routes: what a first packet costs by how many routes its VPC has ----

// In 16.0.0.0/4, of all lengths from 9 to 28, so that many lie inside of others.
static struct in6_addr any_route(uint32_t *bits)
{
	uint32_t length = 9 + any(20), address = 0x10000000 | any(1u << 28);

	*bits = 96 + length;
	return address_of_v4(htonl(address & ~0u << (32 - length)));
}

static void put_any_route(const struct node *n)
{
	struct route_value value = {.kind = ROUTE_VIA, .next_hop = address_must("10.0.0.2")};
	struct subnet_key key = {.vni = htonl(VNI)};
	uint32_t bits;

	key.address = any_route(&bits);
	key.prefix_bits = 32 + bits;
	value.bits = (uint8_t)bits;
	node_put(n, "routes", &key, &value);
}

static void bench_routes(struct bench *b)
{
	const struct node *tail = &b->node[TAIL];
	const struct subnet_value subnet = {.subnet = 1, .bits = 96 + 24};
	struct subnet_key key = {.prefix_bits = 32 + 96 + 24,
				 .vni = htonl(VNI),
				 .address = address_must("10.0.0.0")};
	struct route_value all = {
		.kind = ROUTE_VIA, .bits = 96, .next_hop = address_must("10.0.0.2")};
	static struct frame ops[SAMPLES];
	struct frame in;
	char name[48], to[ADDRESS_TEXT];
	uint32_t bits, have = 1;

	node_put(tail, "subnets", &key, &subnet);
	key = (struct subnet_key){.prefix_bits = 32 + 96, .vni = htonl(VNI)};
	key.address = address_must("0.0.0.0");
	node_put(tail, "routes", &key, &all);
	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct in6_addr address = any_route(&bits);

		address_text(&address, to);
		write_frame(&in, to, 1024 + any(60000), SYN);
		run(&b->node[FWD], &in, &ops[i]);
	}
	in.byte[36]++; // another port
	measure(b, "headers read, passed", FWD, &in, 1, PASS, NULL);
	for (uint32_t count = 1; count <= MAX_VPC_ROUTES; count *= count == 1 ? 1000 : 100) {
		for (; have < count; have++)
			put_any_route(tail);
		snprintf(name, sizeof(name), "%u routes: evaluated, stateless", count);
		measure(b, name, TAIL, ops, SAMPLES, REPLIED, NULL);
	}
}

// ---- functions: what a packet costs by how many of them its VPC's chain has ----

#define CHAINS 4

static void bench_functions(struct bench *b)
{
	static const uint8_t lengths[CHAINS] = {0, 1, 4, MAX_SERVICE_CHAIN};
	static struct frame first[CHAINS], later[CHAINS];
	const struct node *fwd = &b->node[FWD], *tail = &b->node[TAIL];
	auto_(freep) uint32_t *ns = calloc((size_t)CHAINS * b->runs, sizeof(*ns));
	struct frame pass, op, out;
	uint64_t before;
	char name[48];

	if (!ns)
		fatal("no memory");
	for (int i = 0; i < CHAINS; i++) {
		write_frame(&later[i], "10.0.0.2", 1000 + i, ACK);
		run(fwd, &later[i], &first[i]);
	}
	pass = later[0];
	pass.byte[36]++; // another port
	measure(b, "headers read, passed", FWD, &pass, 1, PASS, NULL);
	for (int i = 0; i < CHAINS; i++) {
		// Without functions nothing is decided: another's decision then, as if it were.
		put_functions(tail, lengths[i] ? lengths[i] : 1);
		if (lengths[i]) {
			snprintf(name, sizeof(name), "first packet, functions: %u", lengths[i]);
			measure(b, name, TAIL, &first[i], 1, REPLIED, NULL);
		}
		run(fwd, &later[i], &op);
		run(tail, &op, &out);
		run(fwd, &out, &op);
	}
	before = counted(fwd, FORWARDED);
	// In turn, so that whatever else the machine does they all have of it.
	for (uint32_t k = 0; k < b->runs; k++)
		for (int i = 0; i < CHAINS; i++)
			ns[(size_t)i * b->runs + k] = run(fwd, &later[i], &out);
	if (counted(fwd, FORWARDED) - before != (uint64_t)CHAINS * b->runs)
		fatalx("not all were %s", verdict_name(FORWARDED));
	for (int i = 0; i < CHAINS; i++) {
		snprintf(name, sizeof(name), "later packet, functions: %u", lengths[i]);
		print(b, name, FORWARDED, ns + (size_t)i * b->runs);
	}
	for (int i = 0; i < CHAINS; i++) {
		put_later_functions(tail, lengths[i]);
		snprintf(name, sizeof(name), "first packet, subnets' functions: %u", lengths[i]);
		measure(b, name, TAIL, &first[0], 1, REPLIED, NULL);
	}
}

int main(int argc, char **argv)
{
	static struct bench b = {.runs = 20000, .flows = 32768};
	int option;

	while ((option = getopt(argc, argv, "jrRcn:f:")) != -1)
		if (option == 'j')
			b.json = 1;
		else if (option == 'r')
			b.rules = 1;
		else if (option == 'R')
			b.routes = 1;
		else if (option == 'c')
			b.functions = 1;
		else if (option == 'n' && atoi(optarg) >= 100)
			b.runs = atoi(optarg);
		else if (option == 'f' && atoi(optarg) > 0 && atoi(optarg) <= 64000)
			b.flows = atoi(optarg);
		else
			fatalx("usage: gateway_bench [-j] [-r | -R | -c] [-n runs, 100 or more] [-f flows, to 64000]");
	b.ns = calloc(b.runs, sizeof(*b.ns));
	if (!b.ns)
		fatal("no memory");
	testing_begin();
	for (uint32_t i = 0; i < NODES; i++) {
		static const char *const names[] = {"fwd", "head", "middle", "tail"};

		node_load(&b.node[i], &(struct node_wish){.name = names[i],
							  .index = i,
							  .roles = i == FWD ? ROLE_FWD : ROLE_FTN,
							  .beat_ms = 10,
							  .cached = i == FWD ? 2 * b.flows : 0});
		put_view(&b.node[i]);
		node_tenant(&b.node[i], VNI, 3);
	}
	if (!b.json)
		printf("%-44s %-16s %6s %6s %6s %8s\n", "ns per run", "verdict", "median", "p10",
		       "p90", "over pass");
	if (b.rules)
		bench_rules(&b);
	else if (b.routes)
		bench_routes(&b);
	else if (b.functions)
		bench_functions(&b);
	else
		bench_all(&b);
	if (b.json)
		puts("\n]");
	for (uint32_t i = 0; i < NODES; i++)
		node_free(&b.node[i]);
	free(b.ns);
	return 0;
}
