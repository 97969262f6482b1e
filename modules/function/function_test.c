// SPDX-License-Identifier: Apache-2.0
// Pushed functions, from object files through the loader's own code into a real node: what they are
// told, what follows from their answers, what they may not, and what is not even loaded.
#include "modules/function/pushing.h"

#include <bpf/btf.h>
#include <elf.h>
#include <bpf/bpf.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "datapath/gateway_nodes.h"
#include "lib/file.h"
#include "lib/hash.h"
#include "lib/log.h"
#include "lib/own.h"
#include "shared/limits.h"
#include "shared/loadbalancer.h"
#include "shared/nat.h"

#define VNI 0x0100A1
#define SLOT FUNCTION_FIRST_FREE
#define DENIED_PORT 7
#define SYN 0x02
#define ACK 0x10
#define OUTER 50 // bytes before the tenant's frame: Ethernet, IPv4, UDP, VXLAN

// A node that is forwarder and flow table in one: a packet's whole way is one run.
struct world {
	struct node node;
	struct pushing pushing;
	const char *objects; // the directory
};

// ---- the node

static void put_vpc(const struct world *w, uint32_t policy, const uint8_t *function, uint8_t count)
{
	struct vpc_value vpc = {.policy = policy, .functions = count};
	uint32_t vni = VNI;

	memcpy(vpc.function, function, count);
	node_put(&w->node, "vpcs", &vni, &vpc);
}

static void put_endpoint(const struct node *n, uint8_t i)
{
	struct endpoint_key key = {.vni = VNI};
	struct endpoint_value value = {.host_mac = {2, 10, 0, 0, 0, i}, .mac = {2, 1, 0, 0, 0, i}};
	char ip[16];

	snprintf(ip, sizeof(ip), "192.168.0.%u", 10u + i);
	value.host = address_must(ip);
	snprintf(ip, sizeof(ip), "10.0.0.%u", i);
	key.address = address_must(ip);
	node_put(n, "endpoints", &key, &value);
}

static void begin(struct world *w)
{
	struct chain_value chain = {.epoch = 1, .term = 1, .live = 1};
	struct entrance_value entrance = {
		.ip = address_must("192.168.0.201"), .mac = {2, 14, 0, 0, 0, 1}, .live = 1};
	struct node *n = &w->node;
	uint32_t zero = 0;

	node_load(n, &(struct node_wish){.name = "one", .roles = ROLE_FWD | ROLE_FTN});
	node_peers(n, 1);
	node_chain(n, 0, &chain);
	node_entrance(n, 0, &entrance);
	node_put(n, "entrance_by_ip", &entrance.ip, &zero);
	node_buckets(n, 0);
	put_endpoint(n, 1);
	put_endpoint(n, 2);
	pushing_begin(&w->pushing, "one", w->objects);
}

static void end(struct world *w)
{
	pushing_end(&w->pushing);
	node_free(&w->node);
	testing_unpin("one");
}

// ---- what it says of them

static struct function_state state_of(struct world *w, uint32_t slot, uint32_t place)
{
	memset(&w->pushing.message, 0, sizeof(w->pushing.message));
	do
		functions_tell(&w->pushing.functions, &w->pushing.message);
	while (w->pushing.message.function.next && (w->pushing.message.function.slot != slot ||
						    w->pushing.message.function.place != place));
	return w->pushing.message.function;
}

// ---- packets

struct sent {
	uint16_t to;
	uint8_t flags; // 0: UDP
	uint8_t back;
	uint8_t tos;
	uint8_t payload;
	uint16_t fragment;
};

static void write_frame(struct frame *f, const struct sent *s)
{
	const char *ip[] = {"10.0.0.1", "10.0.0.2"};
	const char *mac[] = {"02:01:00:00:00:01", "02:01:00:00:00:02"};
	uint16_t source = s->back ? s->to : 5000, destination = s->back ? 5000 : s->to;
	struct iphdr *inner;

	frame_clear(f);
	frame_fill(f, s->payload ? s->payload : 10);
	if (s->flags)
		frame_tcp(f, source, destination, s->flags);
	else if (!(s->fragment & 0x1FFF))
		frame_udp(f, source, destination, 0);
	frame_ipv4(f, (struct ipv4_header){.from = ip[s->back],
					   .to = ip[!s->back],
					   .protocol = s->flags ? IPPROTO_TCP : IPPROTO_UDP,
					   .fragment = s->fragment});
	inner = (void *)f->byte;
	inner->tos = s->tos;
	inner->check = 0;
	inner->check = checksum_of(inner, sizeof(*inner));
	frame_ethernet(f, mac[!s->back], mac[s->back], ETH_P_IP);
	frame_vxlan(f, VNI);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){.from = s->back ? "192.168.0.12" : "192.168.0.11",
					   .to = "192.168.0.201",
					   .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:01", "02:0a:00:00:00:01", ETH_P_IP);
}

// The one verdict that a packet ends with. What it was told itself on the way does not count.
static enum verdict carry(struct world *w, const struct sent *s, struct frame *out)
{
	struct verdict_count before[VERDICTS], after[VERDICTS];
	struct frame in;
	uint32_t action;

	write_frame(&in, s);
	must(verdicts_read(w->node.entry.verdicts, before), "reading counters");
	must(target_run(&w->node.entry, &in, &action, out), "running");
	must(verdicts_read(w->node.entry.verdicts, after), "reading counters");
	for (int v = 0; v < VERDICTS; v++)
		if (after[v].packets != before[v].packets && v != LOOKED_UP && v != REPLIED &&
		    v != INSERTED)
			return v;
	return BUG;
}

static int ends(struct world *w, const char *what, const struct sent *s, enum verdict want)
{
	struct frame out;

	return is_verdict(what, carry(w, s, &out), want);
}

// The tenant's packet goes out with this type of service, and everything else as it was.
static int marked(struct world *w, const char *what, const struct sent *s, enum verdict v,
		  uint8_t tos)
{
	struct sent as = *s;
	struct frame want, got;
	enum verdict is = carry(w, s, &got);

	as.tos = tos;
	write_frame(&want, &as);
	if (is != v) {
		fprintf(stderr, "%s: %s, not %s\n", what, verdict_name(is), verdict_name(v));
		return 1;
	}
	if (got.length == want.length && !memcmp(got.byte + OUTER + sizeof(struct ethhdr),
						 want.byte + OUTER + sizeof(struct ethhdr),
						 want.length - OUTER - sizeof(struct ethhdr)))
		return 0;
	return frames_compare(what, &want, &got) + 1;
}

static void forget(struct world *w)
{
	node_clear(&w->node, "cache");
	node_clear(&w->node, "sessions");
}

// The VPC's chain is divider, bouncer, then this function.
static void chain_with(struct world *w, uint32_t slot)
{
	const uint8_t chain[] = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, (uint8_t)slot};

	put_vpc(w, 1, chain, 3);
	forget(w);
}

static void configure(struct world *w, uint32_t slot, uint32_t place, const void *bytes,
		      size_t size)
{
	struct function_config_key key = {VNI, slot, place};
	struct function_config value = {};

	memcpy(value.bytes, bytes, size);
	node_put(&w->node, "function_configs", &key, &value);
}

// ---- chains beside the VPC's own

enum { SENDERS = 5, TAKERS, ADDRESS }; // their numbers
#define FIRST_ONLY (SLOT + EVERY_FUNCTIONS)

static void put_later(struct world *w, uint32_t number, const uint8_t *function, uint8_t count)
{
	struct service_chain_value value = {.functions = count};

	memcpy(value.function, function, count);
	node_put(&w->node, "service_chains", &number, &value);
}

// One that has sample PORT alone, which refuses this port.
static void put_refusing(struct world *w, uint32_t number, uint16_t port)
{
	const struct function_config_key key = {number | FUNCTION_LATER, FIRST_ONLY, 0};
	struct function_config value = {};
	uint8_t slot = FIRST_ONLY;

	port = htons(port);
	memcpy(value.bytes, &port, sizeof(port));
	node_put(&w->node, "function_configs", &key, &value);
	put_later(w, number, &slot, 1);
}

// 10.0.0.0/31 and 10.0.0.2/31, with the numbers of their service chains and an ACL of both.
static void put_subnets(struct world *w, uint32_t first, uint32_t second, uint32_t acl)
{
	struct subnet_key key = {.prefix_bits = 32 + 127, .vni = htonl(VNI)};
	struct subnet_value value = {.subnet = 1, .bits = 127, .chain = first, .acl = acl};

	key.address = address_must("10.0.0.0");
	node_put(&w->node, "subnets", &key, &value);
	key.address = address_must("10.0.0.2");
	value.subnet = 2;
	value.chain = second;
	node_put(&w->node, "subnets", &key, &value);
}

// Both addresses are in one subnet, so that packets stay as they are.
static void put_whole(struct world *w, uint32_t chain)
{
	const struct subnet_key key = {
		.prefix_bits = 32 + 120, .vni = htonl(VNI), .address = address_must("10.0.0.0")};
	const struct subnet_value value = {.subnet = 1, .bits = 120, .chain = chain};

	node_put(&w->node, "subnets", &key, &value);
	forget(w);
}

// ---- tests

static struct session_key key_of(uint16_t port, uint8_t protocol)
{
	return (struct session_key){.a = address_must("10.0.0.1"),
				    .b = address_must("10.0.0.2"),
				    .a_port = htons(5000),
				    .b_port = htons(port),
				    .vni = {VNI >> 16, VNI >> 8 & 0xFF, VNI & 0xFF},
				    .protocol = protocol};
}

static int test_first(struct world *w)
{
	struct {
		uint16_t port;
		uint8_t small[3];
	} config = {htons(DENIED_PORT), {0, 0, 3}};
	const struct sent allowed = {.to = 80}, denied = {.to = DENIED_PORT},
			  syn = {.to = 443, .flags = SYN}, stray = {.to = 444, .flags = ACK};
	struct session_key key = key_of(80, IPPROTO_UDP);
	struct function_state state;
	struct dft_record record;
	int wrong = 0;

	chain_with(w, SLOT);
	wrong += ends(w, "not there", &allowed, NO_CHAIN_FUNCTION);
	pushing_sample(&w->pushing, "PORT", SLOT, 0);
	wrong += ends(w, "loaded, but does not run", &allowed, NO_CHAIN_FUNCTION);
	pushing_runs(&w->pushing, SLOT, 0);
	wrong += ends(w, "no configuration", &denied, FORWARDED_FIRST);
	configure(w, SLOT, 0, &config, sizeof(config));
	forget(w);
	wrong += ends(w, "allowed", &allowed, FORWARDED_FIRST);
	wrong += ends(w, "allowed again", &allowed, FORWARDED);
	wrong += is_number("a session", node_session(&w->node, &key, &record), 1);
	wrong += ends(w, "denied", &denied, FUNCTION_DROPPED);
	wrong += ends(w, "denied, cached", &denied, FUNCTION_DROPPED);
	wrong += ends(w, "SYN", &syn, FORWARDED_FIRST);
	wrong += ends(w, "no SYN", &stray, NO_SESSION);
	state = state_of(w, SLOT, 0);
	wrong += is_number("loaded", state.loaded, 1);
	wrong += is_number("runs", state.count.runs, 5);
	wrong += is_number("dropped", state.count.dropped, 1);
	wrong += is_number("reason 3", state.count.reason[3], 1);
	wrong += is_number(
		"timed",
		state.count.timed > 0 && state.count.timed_ns > 0 && state.count.longest_ns > 0, 1);
	return wrong;
}

static int test_view(struct world *w)
{
	struct timespec now;
	struct {
		uint64_t since_s;
		struct in6_addr source, destination;
		uint16_t source_port, destination_port;
	} config = {.source = address_must("10.0.0.1"),
		    .destination = address_must("10.0.0.2"),
		    .source_port = htons(5000),
		    .destination_port = htons(80)};

	clock_gettime(CLOCK_REALTIME, &now);
	config.since_s = now.tv_sec - 50;
	pushing_sample(&w->pushing, "VIEW", SLOT, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	configure(w, SLOT, 0, &config, sizeof(config));
	chain_with(w, SLOT);
	return ends(w, "all that it is told", &(struct sent){.to = 80}, FORWARDED_FIRST) +
	       ends(w, "and of another", &(struct sent){.to = 81}, FUNCTION_DROPPED);
}

// From one version to the other and back: new packets follow, sessions do not.
static int test_versions(struct world *w)
{
	uint16_t first = htons(7), second = htons(8);
	const struct sent seven = {.to = 7}, eight = {.to = 8};
	uint32_t slot = SLOT + 3;
	int wrong = 0;

	pushing_sample(&w->pushing, "PORT", slot, 0);
	pushing_sample(&w->pushing, "PORT", slot, 1);
	configure(w, slot, 0, &first, sizeof(first));
	configure(w, slot, 1, &second, sizeof(second));
	pushing_runs(&w->pushing, slot, 0);
	chain_with(w, slot);
	wrong += ends(w, "first version, 7", &seven, FUNCTION_DROPPED);
	wrong += ends(w, "first version, 8", &eight, FORWARDED_FIRST);
	pushing_runs(&w->pushing, slot, 1);
	wrong += ends(w, "second version, session", &eight, FORWARDED);
	node_clear(&w->node, "cache");
	wrong += ends(w, "second version, recorded session", &eight, FORWARDED_FIRST);
	wrong += ends(w, "second version, 7", &seven, FORWARDED_FIRST);
	pushing_runs(&w->pushing, slot, 0);
	forget(w);
	wrong += ends(w, "first version again, 7", &seven, FUNCTION_DROPPED);
	// A version that cannot be loaded takes nobody's place.
	pushing_sample(&w->pushing, "OUTSIDE", slot, 1);
	pushing_runs(&w->pushing, slot, 1);
	forget(w);
	wrong += ends(w, "what ran goes on", &seven, FUNCTION_DROPPED);
	return wrong;
}

static int test_end_and_hold(struct world *w)
{
	const uint8_t chain[] = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, SLOT, SLOT + 1};
	struct session_key key = key_of(7, IPPROTO_UDP);
	const struct sent seven = {.to = 7};
	struct cache_value cached;
	uint16_t port = htons(7);
	int wrong = 0;

	pushing_sample(&w->pushing, "END", SLOT, 0);
	pushing_sample(&w->pushing, "PORT", SLOT + 1, 0);
	configure(w, SLOT + 1, 0, &port, sizeof(port));
	pushing_runs(&w->pushing, SLOT, 0);
	pushing_runs(&w->pushing, SLOT + 1, 0);
	put_vpc(w, 1, chain, 4);
	forget(w);
	wrong += ends(w, "the next one does not run", &seven, FORWARDED_FIRST);
	wrong += is_number("direct",
			   node_cached(&w->node, &key, &cached) &&
				   cached.record.towards[0].flags & DECISION_DIRECT,
			   1);
	pushing_sample(&w->pushing, "HOLD", SLOT, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	chain_with(w, SLOT);
	wrong += ends(w, "held", &seven, FORWARDED_FIRST);
	wrong += is_number("held",
			   node_cached(&w->node, &key, &cached) &&
				   !(cached.record.towards[0].flags & DECISION_DIRECT) &&
				   !(cached.record.towards[1].flags & DECISION_DIRECT),
			   1);
	return wrong;
}

static int test_every(struct world *w)
{
	const uint8_t both[] = {FUNCTION_DIVIDER, SLOT + 1, FUNCTION_BOUNCER, SLOT};
	const struct sent even = {.to = 80, .tos = 2}, back = {.to = 80, .back = 1},
			  odd = {.to = 80, .payload = 11};
	struct session_key key = key_of(80, IPPROTO_UDP);
	struct function_state state;
	struct cache_value cached;
	int wrong = 0;

	pushing_sample(&w->pushing, "EVERY", SLOT, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	chain_with(w, SLOT);
	// ECN bits stay.
	wrong += marked(w, "first", &even, FORWARDED_FIRST, 46 << 2 | 2);
	wrong += marked(w, "cached", &even, FORWARDED, 46 << 2 | 2);
	wrong += marked(w, "back", &back, FORWARDED, 46 << 2);
	wrong += ends(w, "odd", &odd, FUNCTION_DROPPED);
	state = state_of(w, SLOT, 0);
	wrong += is_number("runs: a first packet counts twice", state.count.runs, 5);
	wrong += is_number("reason 2", state.count.reason[2], 1);
	wrong += is_number("held",
			   node_cached(&w->node, &key, &cached) &&
				   !(cached.record.towards[0].flags & DECISION_DIRECT),
			   1);
	// Two, in the order of the chain.
	pushing_sample(&w->pushing, "MORE", SLOT + 1, 0);
	pushing_runs(&w->pushing, SLOT + 1, 0);
	put_vpc(w, 1, both, 4);
	forget(w);
	wrong += marked(w, "46 is last", &even, FORWARDED_FIRST, 46 << 2 | 2);
	wrong += is_number("both", state_of(w, SLOT + 1, 0).count.runs, 2);
	put_vpc(w, 1, (uint8_t[]){FUNCTION_DIVIDER, SLOT, FUNCTION_BOUNCER, SLOT + 1}, 4);
	forget(w);
	wrong += marked(w, "one more is last", &even, FORWARDED_FIRST, 47 << 2 | 2);
	// One that left the chain sees nothing more, also of flows that it wanted to see.
	chain_with(w, SLOT);
	wrong += marked(w, "in the chain", &even, FORWARDED_FIRST, 46 << 2 | 2);
	put_vpc(w, 1, (uint8_t[]){FUNCTION_DIVIDER, FUNCTION_BOUNCER}, 2);
	wrong += marked(w, "left the chain", &even, FORWARDED, 2);
	return wrong;
}

// The flow table is asked, whatever is cached.
static int asked(struct world *w, const char *what, const struct sent *s, enum verdict want)
{
	node_clear(&w->node, "cache");
	return ends(w, what, s, want);
}

static void begin_later(struct world *w)
{
	pushing_sample(&w->pushing, "PORT", FIRST_ONLY, 0);
	pushing_runs(&w->pushing, FIRST_ONLY, 0);
	put_vpc(w, 1, (uint8_t[]){FUNCTION_DIVIDER, FUNCTION_BOUNCER}, 2);
}

static int test_later(struct world *w)
{
	const struct sent seven = {.to = 7}, web = {.to = 80}, back = {.to = 80, .back = 1},
			  other = {.to = 81};
	int wrong = 0;

	begin_later(w);
	put_subnets(w, 0, 0, 0);
	forget(w);
	wrong += ends(w, "no chain", &seven, FORWARDED_FIRST);
	put_subnets(w, SENDERS, 0, 0);
	forget(w);
	wrong += ends(w, "a chain that was not told", &seven, NO_SERVICE_CHAIN);
	put_refusing(w, SENDERS, 7);
	wrong += ends(w, "the sender's subnet", &seven, FUNCTION_DROPPED);
	wrong += ends(w, "and another port", &web, FORWARDED_FIRST);
	wrong += ends(w, "whose answer follows", &back, FORWARDED);
	put_subnets(w, 0, SENDERS, 0);
	forget(w);
	wrong += ends(w, "the taker's subnet", &seven, FUNCTION_DROPPED);
	put_refusing(w, TAKERS, 80);
	put_subnets(w, SENDERS, TAKERS, 0);
	forget(w);
	wrong += ends(w, "one of two", &seven, FUNCTION_DROPPED);
	wrong += ends(w, "the other", &web, FUNCTION_DROPPED);
	wrong += is_number("runs", state_of(w, FIRST_ONLY, 0).count.runs, 6);
	wrong += ends(w, "neither", &other, FORWARDED_FIRST);
	wrong += is_number("one of each", state_of(w, FIRST_ONLY, 0).count.runs, 8);
	put_subnets(w, TAKERS, TAKERS, 0);
	forget(w);
	wrong += ends(w, "one for both", &other, FORWARDED_FIRST);
	wrong += is_number("runs once", state_of(w, FIRST_ONLY, 0).count.runs, 9);
	return wrong;
}

// A function that says "done" ends its own chain.
static int test_later_done(struct world *w)
{
	const uint8_t own[] = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FIRST_ONLY + 1, FIRST_ONLY};
	const struct sent seven = {.to = 7}, other = {.to = 81};
	struct session_key key = key_of(81, IPPROTO_UDP);
	const uint16_t port = htons(81);
	struct dft_record record;
	int wrong = 0;

	begin_later(w);
	pushing_sample(&w->pushing, "END", FIRST_ONLY + 1, 0);
	pushing_runs(&w->pushing, FIRST_ONLY + 1, 0);
	configure(w, FIRST_ONLY, 0, &port, sizeof(port));
	put_vpc(w, 1, own, 4);
	put_refusing(w, TAKERS, 7);
	put_subnets(w, 0, TAKERS, 0);
	forget(w);
	wrong += ends(w, "not the subnet's", &seven, FUNCTION_DROPPED);
	wrong += ends(w, "the VPC's", &other, FORWARDED_FIRST);
	wrong += is_number("with the last word",
			   node_session(&w->node, &key, &record) &&
				   record.towards[0].flags & DECISION_FINAL,
			   1);
	put_vpc(w, 1, own, 2);
	put_refusing(w, SENDERS, 81);
	put_later(w, SENDERS, own + 2, 2);
	put_subnets(w, SENDERS, TAKERS, 0);
	forget(w);
	wrong += ends(w, "the sender's subnet's", &other, FORWARDED_FIRST);
	wrong += is_number("without it",
			   node_session(&w->node, &key, &record) &&
				   !(record.towards[0].flags & DECISION_FINAL),
			   1);
	return wrong + ends(w, "not the taker's", &seven, FUNCTION_DROPPED);
}

// To a load balancer at 10.0.0.2, port 80; its backend is 10.0.0.3, port 8080.
static void put_balancer(struct world *w)
{
	static struct listener_value listener;
	struct listener_key at = {.vni = VNI, .port = htons(80), .protocol = IPPROTO_UDP};
	struct load_balancer_value balancer = {.chain = ADDRESS};
	struct endpoint_key key = {.vni = VNI, .address = address_must("10.0.0.2")};

	at.address = key.address;
	listener.backend_port = htons(8080);
	listener.backends = 1;
	listener.backend[0] = address_must("10.0.0.3");
	node_remove(&w->node, "endpoints", &key);
	put_endpoint(&w->node, 3);
	node_put(&w->node, "listeners", &at, &listener);
	node_put(&w->node, "load_balancers", &key, &balancer);
}

// What is translated is one thing to who stands before that, and another to who stands behind.
static int test_later_view(struct world *w)
{
	const uint8_t own[] = {FUNCTION_LOAD_BALANCER, FUNCTION_DIVIDER, FUNCTION_BOUNCER};
	static const struct {
		const char *what;
		uint16_t sender, address, taker;
		enum verdict v;
	} rows[] = {
		{"the sender's subnet, as sent", 80, 1, 1, FUNCTION_DROPPED},
		{"the address, as sent", 1, 80, 1, FUNCTION_DROPPED},
		{"the taker's subnet, translated", 1, 1, 8080, FUNCTION_DROPPED},
		{"and not otherwise", 8080, 8080, 80, FORWARDED_FIRST},
	};
	const struct sent web = {.to = 80};
	int wrong = 0;

	begin_later(w);
	put_vpc(w, 1, own, 3);
	put_balancer(w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_refusing(w, SENDERS, rows[i].sender);
		put_refusing(w, ADDRESS, rows[i].address);
		put_refusing(w, TAKERS, rows[i].taker);
		put_subnets(w, SENDERS, TAKERS, 0);
		forget(w);
		wrong += ends(w, rows[i].what, &web, rows[i].v);
	}
	return wrong;
}

// So many that the kernel would not call the last of them.
static int test_too_many(struct world *w)
{
	const uint8_t n = FIRST_ONLY + 1;
	const uint8_t own[MAX_SERVICE_CHAIN] = {
		FUNCTION_LOAD_BALANCER, FUNCTION_DIVIDER, FUNCTION_BOUNCER, n, n, n, n, n};
	const uint8_t later[MAX_LATER_CHAIN] = {n, n, n, n},
		      seen[MAX_LATER_CHAIN] = {n, n, n, SLOT};
	const struct sent web = {.to = 80};
	int wrong = 0;

	begin_later(w);
	pushing_sample(&w->pushing, "NOTHING", n, 0);
	pushing_sample(&w->pushing, "EVERY", SLOT, 0);
	pushing_runs(&w->pushing, n, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	put_vpc(w, 1, own, MAX_SERVICE_CHAIN);
	put_balancer(w);
	put_later(w, SENDERS, later, MAX_LATER_CHAIN);
	put_later(w, ADDRESS, later, MAX_LATER_CHAIN);
	put_later(w, TAKERS, later, MAX_LATER_CHAIN);
	put_subnets(w, SENDERS, TAKERS, 0);
	forget(w);
	wrong += ends(w, "20 functions", &web, FORWARDED_FIRST);
	put_later(w, SENDERS, seen, MAX_LATER_CHAIN);
	forget(w);
	return wrong + ends(w, "and one of them twice", &web, TOO_MANY_FUNCTIONS);
}

// Out of the VPC by an address that is shared, which takes the most calls beside the functions.
static int test_most(struct world *w)
{
	const uint8_t n = FIRST_ONLY + 1;
	const uint8_t own[MAX_SERVICE_CHAIN] = {
		FUNCTION_NAT, FUNCTION_DIVIDER, FUNCTION_BOUNCER, n,
		SLOT,	      SLOT + 1,		SLOT + 2,	  SLOT + 3};
	const uint8_t later[MAX_LATER_CHAIN] = {n, n, n, n};
	const uint32_t outside = VNI + 1, subnet = 1;
	struct vpc_value vpc = {.policy = 1};
	struct nat_source_value source = {.vni = outside, .addresses = 1};
	struct endpoint_key key = {.vni = outside, .address = address_must("10.0.0.2")};
	struct subnet_key of = {.prefix_bits = 32 + 127, .vni = htonl(outside)};
	const struct subnet_value away = {.subnet = 3, .bits = 127, .chain = TAKERS};
	const struct sent web = {.to = 80, .flags = SYN}, other = {.to = 81, .flags = SYN};
	struct endpoint_value server;
	int wrong = 0;

	begin_later(w);
	pushing_sample(&w->pushing, "NOTHING", n, 0);
	pushing_runs(&w->pushing, n, 0);
	for (uint32_t i = 0; i < 4; i++) {
		pushing_sample(&w->pushing, "MORE", SLOT + i, 0);
		pushing_runs(&w->pushing, SLOT + i, 0);
	}
	put_vpc(w, 1, own, MAX_SERVICE_CHAIN);
	node_put(&w->node, "vpcs", &outside, &vpc);
	put_subnets(w, SENDERS, 0, 0);
	of.address = address_must("10.0.0.2");
	node_put(&w->node, "subnets", &of, &away);
	of.vni = htonl(VNI);
	node_remove(&w->node, "subnets", &of);
	server = (struct endpoint_value){.host = address_must("192.168.0.12"),
					 .host_mac = {2, 10, 0, 0, 0, 2},
					 .mac = {2, 1, 0, 0, 0, 2}};
	node_put(&w->node, "endpoints", &key, &server);
	source.address[0] = address_must("10.0.0.3");
	node_put(&w->node, "nat_sources", &subnet, &source);
	put_later(w, SENDERS, later, MAX_LATER_CHAIN);
	put_later(w, TAKERS, later, MAX_LATER_CHAIN);
	forget(w);
	wrong += ends(w, "20, four of them twice", &web, FORWARDED_FIRST);
	for (uint32_t i = 0; i < 4; i++)
		wrong += is_number("saw it twice", state_of(w, SLOT + i, 0).count.runs, 2);
	// A mapping, too, is asked for at this node, and begins here; once is it known already.
	source.maps = 1;
	node_put(&w->node, "nat_sources", &subnet, &source);
	put_subnets(w, 0, 0, 0);
	node_remove(&w->node, "subnets", &of);
	forget(w);
	wrong += ends(w, "16, four of them twice", &web, FORWARDED_FIRST);
	wrong += ends(w, "and to another port", &other, FORWARDED_FIRST);
	for (uint32_t i = 0; i < 4; i++)
		wrong += is_number("before and after", state_of(w, SLOT + i, 0).count.runs, 6);
	put_later(w, SENDERS, later, 1);
	put_subnets(w, SENDERS, 0, 0);
	node_remove(&w->node, "subnets", &of);
	forget(w);
	return wrong + ends(w, "17", &web, TOO_MANY_FUNCTIONS);
}

// Of a chain that is not the VPC's own, too, as long as that chain has it.
static int test_later_every(struct world *w)
{
	const struct sent even = {.to = 80, .tos = 2}, back = {.to = 80, .back = 1};
	struct vpc_value vpc = {.policy = 1,
				.functions = 2,
				.function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER},
				.later = {SLOT + 1, SLOT}};
	const uint8_t both[] = {SLOT + 1, SLOT};
	uint32_t vni = VNI;
	int wrong = 0;

	pushing_sample(&w->pushing, "EVERY", SLOT, 0);
	pushing_sample(&w->pushing, "MORE", SLOT + 1, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	pushing_runs(&w->pushing, SLOT + 1, 0);
	node_put(&w->node, "vpcs", &vni, &vpc);
	put_later(w, TAKERS, both, 2);
	forget(w);
	wrong += marked(w, "of another subnet", &even, FORWARDED_FIRST, 2);
	put_whole(w, TAKERS);
	wrong += marked(w, "first", &even, FORWARDED_FIRST, 46 << 2 | 2);
	wrong += marked(w, "cached", &even, FORWARDED, 46 << 2 | 2);
	wrong += marked(w, "back", &back, FORWARDED, 46 << 2);
	vpc.later[0] = SLOT;
	vpc.later[1] = SLOT + 1;
	node_put(&w->node, "vpcs", &vni, &vpc);
	wrong += marked(w, "in the VPC's order", &even, FORWARDED, 47 << 2 | 2);
	vpc.later[0] = vpc.later[1] = 0;
	node_put(&w->node, "vpcs", &vni, &vpc);
	return wrong + marked(w, "left", &even, FORWARDED, 2);
}

// Rules changed: ours are asked again, in a subnet's chain too, and what people pushed is not.
static int test_later_again(struct world *w)
{
	const uint8_t chain[] = {FIRST_ONLY, FUNCTION_ACL};
	const uint8_t own[] = {FUNCTION_DIVIDER, FUNCTION_BOUNCER};
	const struct sent web = {.to = 80};
	int wrong = 0;

	begin_later(w);
	put_refusing(w, SENDERS, 7);
	put_later(w, SENDERS, chain, 2);
	put_subnets(w, SENDERS, 0, 0);
	forget(w);
	wrong += ends(w, "it begins", &web, FORWARDED_FIRST);
	put_refusing(w, SENDERS, 80);
	put_later(w, SENDERS, chain, 2);
	put_vpc(w, 2, own, 2);
	wrong += asked(w, "what was pushed is not asked", &web, FORWARDED_FIRST);
	put_subnets(w, SENDERS, 0, 9); // nobody has said what it allows
	put_vpc(w, 3, own, 2);
	return wrong + asked(w, "rules are", &web, NETWORK_ACL);
}

// A fragment is of its packet's session: the ports are its first one's.
static int test_fragments(struct world *w)
{
	const struct sent whole = {.to = 80}, first = {.to = 80, .fragment = 0x2000, .payload = 16},
			  last = {.to = 80, .fragment = 3, .payload = 16};
	int wrong = 0;

	pushing_sample(&w->pushing, "PARTS", SLOT, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	chain_with(w, SLOT);
	wrong += marked(w, "whole", &whole, FORWARDED_FIRST, 0);
	wrong += marked(w, "first", &first, FORWARDED, 10 << 2);
	wrong += marked(w, "last", &last, FORWARDED, 10 << 2);
	return wrong + is_number("a first packet counts twice", state_of(w, SLOT, 0).count.runs, 4);
}

// What it may not is its own loss: the packet's, and no later one's.
static int test_beyond(struct world *w)
{
	static const struct {
		const char *sample;
		enum verdict verdict;
	} rows[] = {
		{"EDITS", FUNCTION_BEYOND},	      {"UNDECLARED_DROP", FUNCTION_BEYOND},
		{"UNDECLARED_END", FUNCTION_BEYOND},  {"UNDECLARED_REMEMBER", FUNCTION_BEYOND},
		{"UNDECLARED_HOLD", FUNCTION_BEYOND}, {"REASON", FUNCTION_BEYOND},
		{"UNDECLARED_ASK", FUNCTION_BEYOND},  {"UNHEARD", FUNCTION_BEYOND},
		{"ANSWER", FUNCTION_ANSWER},	      {"EVERY_EDITS", FUNCTION_BEYOND},
		{"EVERY_MARKS", FUNCTION_BEYOND},     {"EVERY_DSCP", FUNCTION_BEYOND},
		{"EVERY_ANSWER", FUNCTION_ANSWER},
	};
	const struct sent packet = {.to = 80};
	struct session_key key = key_of(80, IPPROTO_UDP);
	struct cache_value cached;
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pushing_sample(&w->pushing, rows[i].sample, SLOT, 0);
		pushing_runs(&w->pushing, SLOT, 0);
		chain_with(w, SLOT);
		wrong += ends(w, rows[i].sample, &packet, rows[i].verdict);
		wrong += is_number(rows[i].sample, state_of(w, SLOT, 0).count.beyond, 1);
		if (strncmp(rows[i].sample, "EVERY", 5) != 0)
			wrong += is_number("cached", node_cached(&w->node, &key, &cached), 0);
		pushing_sample(&w->pushing, "NOTHING", SLOT, 0);
		pushing_runs(&w->pushing, SLOT, 0);
		forget(w);
		wrong += ends(w, "a good one in its place", &packet, FORWARDED_FIRST);
	}
	return wrong;
}

static int test_refused(struct world *w)
{
	static const struct {
		const char *sample, *why;
	} rows[] = {
		{"OUTSIDE", "invalid access to memory"},
		{"LONG", "instructions together"},
		{"HELPER", "calls helper 6"},
		{"GLOBAL", "\"visible\" is no entry point and no map"},
		{"UNDEFINED", "\"evaluations\" is used and is not in the object"},
		{"WEAK", "\"evaluations\" is weak"},
		{"SAME_MAP", "cannot be linked"},
		{"PINNED", "map mine sets \"pinning\""},
		{"KIND", "map programs is of kind 3"},
		{"MEMORY", "with map much the object's maps need more"},
		{"PROGRAM", "section \"xdp\""},
		{"CONFIG", "field negative of struct zeta_config"},
		{"NO_ENTRY", "neither zeta_first_packet nor zeta_every_packet"},
		{"LICENSE", "license"},
	};
	const struct sent packet = {.to = 80};
	struct function_state state;
	int wrong = 0;

	pushing_sample(&w->pushing, "NOTHING", SLOT, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	chain_with(w, SLOT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pushing_sample(&w->pushing, rows[i].sample, SLOT, 1);
		pushing_runs(&w->pushing, SLOT, 1);
		state = state_of(w, SLOT, 1);
		if (!state.loaded && strstr(state.why, rows[i].why))
			continue;
		fprintf(stderr, "%s: %s: \"%s\"\n", rows[i].sample,
			state.loaded ? "loaded" : "refused", state.why);
		wrong++;
	}
	return wrong + ends(w, "what ran before goes on", &packet, FORWARDED_FIRST);
}

// An object that is cut anywhere, or has any byte wrong, is refused or loaded; never more.
static int test_broken(struct world *w)
{
	const struct sent packet = {.to = 80};
	uint8_t bytes[ZETA_OBJECT_BYTES] = {};
	size_t size = pushing_read(&w->pushing, "PORT", bytes);
	struct function_state state;
	int wrong = 0;

	pushing_sample(&w->pushing, "NOTHING", SLOT, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	chain_with(w, SLOT);
	for (size_t round = 101; round < size; round += 101) {
		uint8_t before = bytes[round];

		bytes[round] ^= 1u << (round % 8);
		pushing_bytes(&w->pushing, bytes, round % 2 ? size : round, SLOT, 1);
		bytes[round] = before;
		state = state_of(w, SLOT, 1);
		if (state.loaded || state.why[0])
			continue;
		fprintf(stderr, "byte %zu: neither loaded nor refused\n", round);
		wrong++;
	}
	return wrong + ends(w, "what ran before goes on", &packet, FORWARDED_FIRST);
}

// Who links takes every section of a name, and the last of BTF's lists of it: what is checked must
// be all there is.
static int refused_as(struct world *w, const uint8_t *bytes, size_t size, const char *why)
{
	struct function_state state;

	pushing_bytes(&w->pushing, bytes, size, SLOT, 1);
	state = state_of(w, SLOT, 1);
	if (!state.loaded && strstr(state.why, why))
		return 0;
	fprintf(stderr, "%s: \"%s\"\n", state.loaded ? "loaded" : "refused", state.why);
	return 1;
}

static Elf64_Shdr *section_of(uint8_t *bytes, const char *name)
{
	const Elf64_Ehdr *h = (const void *)bytes;
	Elf64_Shdr *section = (void *)(bytes + h->e_shoff);
	const char *names = (const char *)bytes + section[h->e_shstrndx].sh_offset;

	for (size_t i = 1; i < h->e_shnum; i++)
		if (!strcmp(names + section[i].sh_name, name))
			return &section[i];
	fprintf(stderr, "no section %s\n", name);
	exit(1);
}

static int test_doubled(struct world *w)
{
	uint8_t bytes[ZETA_OBJECT_BYTES] = {};
	size_t size = pushing_read(&w->pushing, "MEMORY", bytes);
	Elf64_Shdr *other = section_of(bytes, ".BTF.ext"), *btf = section_of(bytes, ".BTF");
	const Elf64_Word name = other->sh_name;
	__u32 length = 0, maps = 0;
	const uint8_t *raw;
	struct btf *types;
	int wrong;

	other->sh_name = section_of(bytes, ".text")->sh_name;
	wrong = refused_as(w, bytes, size, "two sections \".text\"");
	other->sh_name = name;

	types = btf__new(bytes + btf->sh_offset, (__u32)btf->sh_size);
	raw = btf__raw_data(types, &length);
	for (__u32 i = 1; i < btf__type_cnt(types); i++) {
		const struct btf_type *t = btf__type_by_id(types, i);

		if (btf_is_datasec(t) && !strcmp(btf__name_by_offset(types, t->name_off), ".maps"))
			maps = t->name_off;
	}
	// All the others are called so, too.
	for (__u32 i = 1; i < btf__type_cnt(types); i++) {
		const struct btf_type *t = btf__type_by_id(types, i);
		struct btf_type *here =
			(void *)(bytes + btf->sh_offset + ((const uint8_t *)t - raw));

		if (btf_is_datasec(t))
			here->name_off = maps;
	}
	wrong += refused_as(w, bytes, size, "says twice what is in \".maps\"");
	btf__free(types);
	return wrong;
}

// What the next agent finds and may want to remove.
static int test_keys(struct world *w)
{
	struct message *m = &w->pushing.message;
	__u32 done;
	int wrong = 0;

	pushing_sample(&w->pushing, "NOTHING", SLOT + 5, 1);
	pushing_runs(&w->pushing, SLOT + 5, 1);
	memset(m, 0, MESSAGE_HEAD);
	m->type = MESSAGE_KEYS;
	m->table = TABLE_FUNCTION_RUNS;
	m->count = 1;
	*(__u32 *)message_at(m, 0) = SLOT + 4;
	functions_keys(&w->pushing.functions, m);
	wrong += is_number("one that runs", m->count, 1);
	wrong += is_number("its slot", *(__u32 *)message_at(m, 0), SLOT + 5);
	// Of a key that nobody can have, too.
	memset(m, 0, MESSAGE_HEAD);
	m->type = MESSAGE_KEYS;
	m->table = TABLE_FUNCTION_VERSIONS;
	m->count = 1;
	memset(message_at(m, 0), 0, sizeof(struct function_version_key));
	functions_keys(&w->pushing.functions, m);
	wrong += is_number("all versions", m->count, 1);
	memset(m, 0, MESSAGE_HEAD);
	m->table = TABLE_FUNCTION_RUNS;
	m->count = 1;
	*(__u32 *)message_at(m, 0) = SLOT + 5;
	m->type = MESSAGE_REMOVE;
	must(functions_remove(&w->pushing.functions, m, &done), "removing");
	m->type = MESSAGE_KEYS;
	functions_keys(&w->pushing.functions, m);
	wrong += is_number("none", m->count, 0);
	chain_with(w, SLOT + 5);
	return wrong + ends(w, "removed", &(struct sent){.to = 80}, NO_CHAIN_FUNCTION);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct world *w);
	} tests[] = {
		{"first packets", test_first},
		{"the view", test_view},
		{"versions", test_versions},
		{"end and hold", test_end_and_hold},
		{"every packet", test_every},
		{"fragments", test_fragments},
		{"beyond", test_beyond},
		{"refused", test_refused},
		{"broken objects", test_broken},
		{"doubled", test_doubled},
		{"keys", test_keys},
		{"later chains", test_later},
		{"later chains, done", test_later_done},
		{"later chains, the view", test_later_view},
		{"too many", test_too_many},
		{"the most", test_most},
		{"later chains, every packet", test_later_every},
		{"later chains, again", test_later_again},
	};
	static struct world w;
	int failed = 0;

	if (argc != 2)
		return 2;
	testing_begin();
	w.objects = argv[1];
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		int wrong;

		begin(&w);
		wrong = tests[i].run(&w);
		end(&w);
		if (wrong)
			fprintf(stderr, "%s: %d wrong\n", tests[i].name, wrong);
		failed += wrong != 0;
	}
	return failed != 0;
}
