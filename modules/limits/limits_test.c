// SPDX-License-Identifier: Apache-2.0
// What one VPC may cost the others, at real nodes: a forwarder, and a chain of head and tail. Time
// stands still as far as limits go: a packet is paid for by hours.
#include "datapath/gateway_nodes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/address.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "modules/limits/limits.h"
#include "shared/limits.h"

#define ROOM 512 // sessions of a node
#define RED 0x0100A1
#define BLUE 0x0200A2
#define HOUR_NS (3600 * 1000000000ull)

#define SYN 0x02
#define FIN 0x01
#define RST 0x04
#define ACK 0x10

enum { FWD, HEAD, TAIL, NODES };

struct world {
	struct node node[NODES];
	struct vpc_value red;
};

static void own_entrances(const struct node *n, uint32_t first, uint32_t second)
{
	for (uint8_t i = 0; i < 2; i++) {
		struct entrance_value entrance = {
			.mac = {2, 14, 0, 0, 0, i}, .live = 1, .owner = i ? second : first};
		char ip[16];
		uint32_t index = i;

		snprintf(ip, sizeof(ip), "192.168.0.%u", 201u + i);
		entrance.ip = address_must(ip);
		node_put(n, "entrances", &index, &entrance);
		node_put(n, "entrance_by_ip", &entrance.ip, &index);
	}
}

static void put_view(const struct node *n)
{
	node_peers(n, NODES);
	own_entrances(n, FWD, FWD);
	node_buckets(n, 0);
}

static void put_vpc(const struct world *w, uint32_t vni, const struct vpc_value *value)
{
	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "vpcs", &vni, value);
}

static struct vpc_value unlimited(void)
{
	return (struct vpc_value){
		.policy = 1,
		.functions = 3,
		.function = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, FUNCTION_SECURITY_GROUP}};
}

// ---- packets ----

struct packet {
	uint32_t vni, entrance;
	uint8_t protocol, flags;
	uint8_t back; // from the second endpoint to the first
	uint16_t port;
};

static void write_frame(struct frame *f, const struct packet *p)
{
	const char *first = "10.0.0.1", *second = "10.0.0.2";
	const char *mac[] = {"02:01:00:00:00:01", "02:01:00:00:00:02"};
	char entrance[16];

	snprintf(entrance, sizeof(entrance), "192.168.0.%u", 201 + p->entrance);
	frame_clear(f);
	if (!p->protocol) {
		frame_arp(f, (struct arp_message){"ff:ff:ff:ff:ff:ff", mac[0], 1, mac[0], first,
						  "00:00:00:00:00:00", second});
	} else {
		frame_fill(f, 10);
		if (p->protocol == IPPROTO_TCP)
			frame_tcp(f, p->back ? 80 : p->port, p->back ? p->port : 80, p->flags);
		else
			frame_udp(f, p->back ? 80 : p->port, p->back ? p->port : 80, 0);
		frame_ipv4(f, (struct ipv4_header){.from = p->back ? second : first,
						   .to = p->back ? first : second,
						   .protocol = p->protocol});
		frame_ethernet(f, mac[!p->back], mac[p->back], ETH_P_IP);
	}
	frame_vxlan(f, p->vni);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){.from = p->back ? "192.168.0.12" : "192.168.0.11",
					   .to = entrance,
					   .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:01", "02:0a:00:00:00:01", ETH_P_IP);
}

// What the forwarder does with a packet; it goes no further.
static enum verdict at_forwarder(const struct world *w, const struct packet *p)
{
	struct frame f;

	write_frame(&f, p);
	return node_run(&w->node[FWD], &f);
}

// A frame through the cluster, to the verdict that it ends with.
static enum verdict carry(const struct world *w, const struct node *n, struct frame *f)
{
	static const int next[VERDICTS] = {
		[LOOKED_UP] = TAIL + 1,	      [REFRESHING] = HEAD + 1, [INSERTED] = HEAD + 1,
		[UPDATED] = HEAD + 1,	      [REPLICATED] = TAIL + 1, [REPLIED] = FWD + 1,
		[LOOKED_UP_AGAIN] = TAIL + 1,
	};
	enum verdict v;
	int next_node;

	do {
		v = node_run(n, f);
		next_node = next[v] - 1;
		n = &w->node[next_node < 0 ? 0 : next_node];
	} while (next_node >= 0);
	return v;
}

static enum verdict travel(const struct world *w, const struct packet *p)
{
	struct frame f;

	write_frame(&f, p);
	return carry(w, &w->node[FWD], &f);
}

// A packet that the forwarder sends twice: once to its host, and the copy tells the flow table.
static enum verdict travel_twice(const struct world *w, const struct packet *p)
{
	struct node copies = w->node[FWD];
	struct frame f;

	copies.entry = copies.oam;
	write_frame(&f, p);
	if (node_run(&w->node[FWD], &f) != FORWARDED)
		return BUG;
	return carry(w, &copies, &f);
}

// ---- all packets ----

static struct vpc_bucket bucket(const struct world *w)
{
	uint32_t key = RED;
	struct vpc_bucket value = {};

	bpf_map_lookup_elem(node_map(&w->node[FWD], "vpc_buckets"), &key, &value);
	return value;
}

static void bucket_put(const struct world *w, struct vpc_bucket value)
{
	uint32_t key = RED;

	node_put(&w->node[FWD], "vpc_buckets", &key, &value);
}

static void rate_red(struct world *w, struct rate rate)
{
	w->red.rate = rate;
	put_vpc(w, RED, &w->red);
}

// How many of the same packets pass, until one does not.
static unsigned int pass_all(const struct world *w, struct packet p, enum verdict v)
{
	unsigned int passed = 0;

	while (passed < 100 && at_forwarder(w, &p) == v)
		passed++;
	return passed;
}

#define HOUR_OF_RATE (HOUR_NS << RATE_TIME_BITS)
#define EMPTY ((struct vpc_bucket){})

static int test_rate(struct world *w)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	const struct rate packets = {.per_packet = HOUR_OF_RATE, .burst = 3 * HOUR_OF_RATE};
	struct packet other = udp, arp = {.vni = RED};
	struct vpc_bucket value;
	struct frame f;
	int wrong = is_verdict("known before", travel(w, &udp), FORWARDED_FIRST);

	wrong += is_number("no limit", pass_all(w, udp, FORWARDED), 100);
	rate_red(w, packets);
	// The one more: it is paid for afterwards.
	wrong += is_number("burst", pass_all(w, udp, FORWARDED), 4);
	wrong += is_verdict("known", at_forwarder(w, &udp), VPC_RATE);
	wrong += is_verdict("ARP", at_forwarder(w, &arp), VPC_RATE);
	other.port = 3000;
	wrong += is_verdict("unknown", at_forwarder(w, &other), VPC_RATE);
	other = udp;
	other.entrance = 1;
	wrong += is_verdict("by another entrance", at_forwarder(w, &other), VPC_RATE);
	wrong += is_number("refused", bucket(w).refused, 5);
	other.vni = BLUE;
	wrong += is_number("another VPC", pass_all(w, other, LOOKED_UP), 100);
	// What the daemon writes about the VPC is no new burst.
	w->red.policy++;
	put_vpc(w, RED, &w->red);
	wrong += is_verdict("new policy", at_forwarder(w, &udp), VPC_RATE);
	w->red.policy--;
	// Two hours later two more.
	value = bucket(w);
	value.bucket.packets_until -= 2 * HOUR_OF_RATE;
	bucket_put(w, value);
	wrong += is_number("later", pass_all(w, udp, FORWARDED), 2);
	// Of bytes: so many as the frame has, inside.
	write_frame(&f, &udp);
	rate_red(w, (struct rate){.per_byte = (HOUR_OF_RATE << RATE_BYTE_BITS) / 1000,
				  .burst = 3 * HOUR_OF_RATE});
	bucket_put(w, EMPTY);
	wrong += is_verdict("by bytes", at_forwarder(w, &udp), FORWARDED);
	value = bucket(w);
	wrong += is_number("bytes paid",
			   (value.bucket.bytes_until - (now_ms() * 1000000 << RATE_TIME_BITS) +
			    HOUR_OF_RATE / 2000) /
				   (HOUR_OF_RATE / 1000),
			   f.length - 50);
	rate_red(w, (struct rate){});
	return wrong + is_number("no limit any more", pass_all(w, udp, FORWARDED), 100);
}

// A forwarder has as much of the rate as it has of the entrances that are there.
static int test_rate_share(struct world *w)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	const struct rate rate = {.per_packet = HOUR_OF_RATE, .burst = 7 * HOUR_OF_RATE};
	struct vpc_bucket value;
	int wrong = is_verdict("known before", travel(w, &udp), FORWARDED_FIRST);

	rate_red(w, rate);
	own_entrances(&w->node[FWD], FWD, HEAD);
	wrong += is_number("one of two", pass_all(w, udp, FORWARDED), 4);
	// The other forwarder has died: no new burst, but twice as much from now on.
	own_entrances(&w->node[FWD], FWD, FWD);
	value = bucket(w);
	value.bucket.packets_until -= 4 * HOUR_OF_RATE;
	value.share_until_ns = 0;
	bucket_put(w, value);
	wrong += is_number("both of two", pass_all(w, udp, FORWARDED), 4);
	// A new rate is followed likewise.
	w->red.rate.per_packet = 2 * HOUR_OF_RATE;
	put_vpc(w, RED, &w->red);
	bucket_put(w, EMPTY);
	wrong += is_number("half the rate", pass_all(w, udp, FORWARDED), 4);
	return wrong;
}

// Where packets of a VPC with a rate go host to host nobody would count them.
static int test_rate_direct(struct world *w)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	struct node copies = w->node[FWD];
	struct frame f;
	int wrong = is_verdict("begun", travel(w, &udp), FORWARDED_FIRST);

	copies.entry = copies.oam;
	write_frame(&f, &udp);
	wrong += is_verdict("forwarded", node_run(&w->node[FWD], &f), FORWARDED);
	wrong += is_verdict("no limit", node_run(&copies, &f), FLOW_TOLD);
	rate_red(w, (struct rate){.per_packet = 1, .burst = HOUR_OF_RATE});
	write_frame(&f, &udp);
	wrong += is_verdict("forwarded", node_run(&w->node[FWD], &f), FORWARDED);
	return wrong + is_verdict("with a limit", node_run(&copies, &f), FLOW_LIMITED);
}

// ---- first packets ----

static struct asking_value asking(const struct world *w, uint32_t vni, uint32_t entrance)
{
	uint32_t key = vni << 8 | entrance;
	struct asking_value value = {};

	bpf_map_lookup_elem(node_map(&w->node[FWD], "asking"), &key, &value);
	return value;
}

static void asking_put(const struct world *w, uint32_t vni, struct asking_value value)
{
	uint32_t key = vni << 8;

	node_put(&w->node[FWD], "asking", &key, &value);
}

// RED may have a packet per hour, and nobody has asked yet.
static void limit_red(struct world *w)
{
	w->red.ask_ns = HOUR_NS;
	put_vpc(w, RED, &w->red);
	node_clear(&w->node[FWD], "asking");
}

// Asks as often as it is let, with a port of its own each time. Returns how often that was.
static unsigned int ask_all(const struct world *w, struct packet p)
{
	unsigned int asked = 0;

	while (asked < 1000 && at_forwarder(w, &p) == LOOKED_UP) {
		asked++;
		p.port++;
	}
	return asked;
}

// What unknown packets get at once. The one more: it is paid for afterwards.
#define BURST_UNKNOWN (ASK_BURST - ASK_BURST / ASK_RESERVE + 1)

static int test_first_packets(struct world *w)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	struct packet other = udp, arp = {.vni = RED};
	int wrong = is_number("no limit", ask_all(w, udp), 1000);

	wrong += is_verdict("known before", travel(w, &udp), FORWARDED_FIRST);
	limit_red(w);
	other.port = 3000;
	wrong += is_number("burst", ask_all(w, other), BURST_UNKNOWN);
	wrong += is_number("refused", asking(w, RED, 0).refused, 1);
	wrong += is_verdict("unknown", at_forwarder(w, &other), MISS_RATE);
	wrong += is_verdict("ARP", at_forwarder(w, &arp), MISS_RATE);
	wrong += is_number("refused", asking(w, RED, 0).refused, 3);
	wrong += is_verdict("cached", at_forwarder(w, &udp), FORWARDED);
	other.vni = BLUE;
	wrong += is_number("another VPC", ask_all(w, other), 1000);
	// Each entrance has its share.
	other = udp;
	other.entrance = 1;
	other.port = 3000;
	wrong += is_number("another entrance", ask_all(w, other), BURST_UNKNOWN);
	// What the daemon writes about the VPC is no new burst.
	w->red.policy++;
	put_vpc(w, RED, &w->red);
	other.entrance = 0;
	wrong += is_verdict("new policy", at_forwarder(w, &other), MISS_RATE);
	return wrong;
}

// Two hours later two more may ask.
static int test_refill(struct world *w)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	struct asking_value value;
	int wrong;

	limit_red(w);
	wrong = is_number("burst", ask_all(w, udp), BURST_UNKNOWN);
	value = asking(w, RED, 0);
	value.until_ns -= 2 * HOUR_NS;
	asking_put(w, RED, value);
	wrong += is_number("later", ask_all(w, udp), 2);
	// However long nobody asked: no more than the burst.
	value.until_ns = 0;
	asking_put(w, RED, value);
	return wrong + is_number("much later", ask_all(w, udp), BURST_UNKNOWN);
}

static struct session_key key_of(const struct packet *p)
{
	return (struct session_key){.a = address_must("10.0.0.1"),
				    .b = address_must("10.0.0.2"),
				    .a_port = htons(p->port),
				    .b_port = htons(80),
				    .vni = {p->vni >> 16, p->vni >> 8 & 0xFF, p->vni & 0xFF},
				    .protocol = p->protocol};
}

static void age(const struct world *w, const struct packet *p)
{
	struct session_key key = key_of(p);
	struct cache_value value;

	if (!node_cached(&w->node[FWD], &key, &value))
		fatalx("it is not cached");
	value.asked_ms -= REFRESH_MS;
	node_cached_put(&w->node[FWD], &key, &value);
}

// Sessions that are known do without what a flood of unknown ones has used up.
static int test_known(struct world *w)
{
	struct packet tcp = {.vni = RED, .protocol = IPPROTO_TCP, .flags = SYN, .port = 1000},
		      flood = {.vni = RED, .protocol = IPPROTO_UDP, .port = 2000};
	int wrong = is_verdict("SYN", travel(w, &tcp), FORWARDED_FIRST);

	limit_red(w);
	wrong += is_number("flood", ask_all(w, flood), BURST_UNKNOWN);
	wrong += is_verdict("SYN again", at_forwarder(w, &tcp), MISS_RATE);
	tcp.flags = ACK;
	wrong += is_verdict("ACK", at_forwarder(w, &tcp), FORWARDED);
	tcp.flags = RST;
	wrong += is_verdict("RST", at_forwarder(w, &tcp), UPDATED);
	tcp.flags = SYN | ACK;
	tcp.back = 1;
	wrong += is_verdict("SYN and ACK", at_forwarder(w, &tcp), FORWARDED);
	tcp.back = 0;
	tcp.flags = RST;
	wrong += is_verdict("the RST again", at_forwarder(w, &tcp), UPDATED);
	// But who does nothing else is held up too.
	for (int i = 0; i < ASK_BURST / ASK_RESERVE; i++)
		at_forwarder(w, &tcp);
	wrong += is_verdict("RST once more", at_forwarder(w, &tcp), MISS_RATE);
	age(w, &tcp);
	tcp.flags = ACK;
	for (int i = 0; i < 100; i++)
		wrong += is_verdict("too old", at_forwarder(w, &tcp), LOOKED_UP);
	return wrong;
}

// What is denied may be asked about once a second, for each key: that is no refresh.
static int test_denied(struct world *w)
{
	struct packet denied = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000},
		      flood = {.vni = RED, .protocol = IPPROTO_UDP, .port = 2000};
	uint32_t group = 1;
	int wrong;

	node_rules(&w->node[TAIL], 0, group, NULL, 0);
	wrong = is_verdict("denied", travel(w, &denied), SECURITY_GROUP);
	node_tenant(&w->node[TAIL], RED, 2);
	limit_red(w);
	wrong += is_number("flood", ask_all(w, flood), BURST_UNKNOWN);
	age(w, &denied);
	return wrong + is_verdict("old denial", at_forwarder(w, &denied), MISS_RATE);
}

#define RACERS 2
#define RACES 40000

struct racer {
	const struct world *w;
	pthread_barrier_t *barrier;
	int cpu;
	uint32_t asked;
};

static void *race(void *argument)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	struct racer *r = argument;
	struct frame in, out;
	cpu_set_t cpus;
	uint32_t action;

	CPU_ZERO(&cpus);
	CPU_SET(r->cpu, &cpus);
	must(pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus), "taking a CPU");
	write_frame(&in, &udp);
	pthread_barrier_wait(r->barrier);
	for (int i = 0; i < RACES; i++) {
		must(target_run(&r->w->node[FWD].entry, &in, &action, &out), "running");
		r->asked += action == XDP_REDIRECT;
	}
	return NULL;
}

// Two CPUs take their packets' shares from one word, and none is lost: what was allowed is paid
// for.
static int test_race(struct world *w)
{
	struct asking_value value = {};
	struct racer racers[RACERS] = {};
	pthread_t thread[RACERS];
	pthread_barrier_t barrier;
	uint64_t asked = 0, before, paid;
	struct timespec now;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) || CPU_COUNT(&cpus) < RACERS)
		return 0; // nothing is parallel here
	w->red.ask_ns = 2500;
	put_vpc(w, RED, &w->red);
	pthread_barrier_init(&barrier, NULL, RACERS);
	// Ahead of the clock, which then only adds to what is paid for if it catches up.
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	before = value.until_ns = now.tv_sec * 1000000000ull + now.tv_nsec + 50000000;
	asking_put(w, RED, value);
	for (int found = 0, cpu = 0; found < RACERS; cpu++)
		if (CPU_ISSET(cpu, &cpus)) {
			racers[found] = (struct racer){w, &barrier, cpu, 0};
			if (pthread_create(&thread[found], NULL, race, &racers[found]))
				fatal("no thread");
			found++;
		}
	for (int i = 0; i < RACERS; i++) {
		pthread_join(thread[i], NULL);
		asked += racers[i].asked;
	}
	pthread_barrier_destroy(&barrier);
	paid = (asking(w, RED, 0).until_ns - before) / w->red.ask_ns;
	if (paid >= asked && asked > 1000)
		return 0;
	fprintf(stderr, "%" PRIu64 " packets asked, and %" PRIu64 " are paid for\n", asked, paid);
	return 1;
}

// ---- sessions ----

static struct usage_value usage(const struct world *w, int node, uint32_t vni, uint32_t chain)
{
	struct usage_key key = {.vni = vni, .chain = chain};
	struct usage_value value = {};

	bpf_map_lookup_elem(node_map(&w->node[node], "usage"), &key, &value);
	return value;
}

static int64_t records(const struct world *w, int node)
{
	uint32_t only = 0;
	int64_t value = -1;

	bpf_map_lookup_elem(node_map(&w->node[node], "records"), &only, &value);
	return value;
}

static void records_put(const struct world *w, int node, int64_t value)
{
	uint32_t only = 0;

	node_put(&w->node[node], "records", &only, &value);
}

static void chains_put(const struct world *w, uint32_t count)
{
	uint32_t only = 0;

	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "chain_count", &only, &count);
}

static void chain_put(const struct world *w, const struct chain_value *chain)
{
	uint32_t zero = 0;

	for (int i = 0; i < NODES; i++)
		node_put(&w->node[i], "chains", &zero, chain);
}

// Begins sessions until one does not. Returns how many did; *v is what happened to the other.
static unsigned int begin_all(const struct world *w, struct packet p, enum verdict *v)
{
	unsigned int begun = 0;

	while ((*v = travel(w, &p)) == FORWARDED_FIRST) {
		begun++;
		p.port++;
	}
	return begun;
}

// Replicas have counted what they have.
static int counted(const struct world *w, int64_t red, int64_t half_open)
{
	int wrong = 0;

	for (int i = HEAD; i <= TAIL; i++) {
		wrong += is_number("sessions", usage(w, i, RED, 0).sessions, red);
		wrong += is_number("half open", usage(w, i, RED, 0).half_open, half_open);
		wrong += is_number("records", records(w, i), node_count(&w->node[i], "sessions"));
	}
	return wrong;
}

// All replicas have the session's tombstone; what they count is as before.
static void entomb(const struct world *w, const struct packet *p)
{
	struct session_key key = key_of(p);
	struct dft_record record;

	for (int i = HEAD; i <= TAIL; i++) {
		if (!node_session(&w->node[i], &key, &record))
			fatalx("there is no such session");
		record.life = DFT_TOMBSTONE;
		node_session_put(&w->node[i], &key, &record);
	}
}

static int test_quota(struct world *w)
{
	const struct chain_value orphan = {.epoch = 1, .term = 2, .live = 1, .node = {TAIL}};
	struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000}, other = udp;
	enum verdict v;
	int wrong;

	w->red.sessions = 10;
	put_vpc(w, RED, &w->red);
	wrong = is_number("begun", begin_all(w, udp, &v), 10);
	wrong += is_verdict("over the quota", v, SESSION_QUOTA);
	wrong += counted(w, 10, 0);
	wrong += is_number("refused", usage(w, HEAD, RED, 0).refused, 1);
	other.port = 2000;
	wrong += is_verdict("another one", travel(w, &other), SESSION_QUOTA);
	// What is there is there, though every forwarder forgets it.
	node_clear(&w->node[FWD], "cache");
	wrong += is_verdict("one of before", travel(w, &udp), FORWARDED_FIRST);
	other.vni = BLUE;
	wrong += is_verdict("another VPC", travel(w, &other), FORWARDED_FIRST);
	wrong += is_number("its sessions", usage(w, HEAD, BLUE, 0).sessions, 1);
	// Who goes on with one that has ended has one more.
	node_clear(&w->node[FWD], "cache");
	entomb(w, &udp);
	wrong += is_verdict("one that has ended", travel(w, &udp), SESSION_QUOTA);
	// A new head has counted all the time.
	chain_put(w, &orphan);
	other.vni = RED;
	wrong += is_verdict("at the new head", travel(w, &other), SESSION_QUOTA);
	w->red.sessions = 11;
	put_vpc(w, RED, &w->red);
	wrong += is_verdict("a larger quota", travel(w, &udp), FORWARDED_FIRST);
	return wrong + is_number("its sessions", usage(w, TAIL, RED, 0).sessions, 11);
}

// A chain's share is what no chain passes by chance as long as the VPC keeps its quota.
static int test_shares(struct world *w)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	enum verdict v;
	int wrong;

	chains_put(w, 8);
	w->red.sessions = 250; // 32 each, and 2, and 64
	put_vpc(w, RED, &w->red);
	wrong = is_number("begun", begin_all(w, udp, &v), 98);
	return wrong + is_verdict("over the share", v, SESSION_QUOTA);
}

// Those that nobody answers take a quarter of the quota, and no more.
static int test_half_open(struct world *w)
{
	struct packet syn = {.vni = RED, .protocol = IPPROTO_TCP, .flags = SYN, .port = 1000},
		      udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	enum verdict v;
	int wrong;

	w->red.sessions = 40;
	put_vpc(w, RED, &w->red);
	wrong = is_number("begun", begin_all(w, syn, &v), 40 / HALF_OPEN_SHARE);
	wrong += is_verdict("half open", v, HALF_OPEN);
	wrong += counted(w, 10, 10);
	wrong += is_number("refused", usage(w, HEAD, RED, 0).refused_half_open, 1);
	// Whoever is answered makes room: his ACK says so.
	syn.flags = ACK;
	for (int i = 0; i < 3; i++) {
		wrong += is_verdict("an answer", travel_twice(w, &syn), REFRESHED);
		syn.port++;
	}
	wrong += counted(w, 10, 7);
	syn.flags = SYN;
	syn.port = 2000;
	wrong += is_number("begun", begin_all(w, syn, &v), 3);
	wrong += is_verdict("half open again", v, HALF_OPEN);
	wrong += is_number("UDP", begin_all(w, udp, &v), 40 - 13);
	// So does a whole connection whose ACK went another way.
	syn.port = 1009;
	for (syn.back = 0; syn.back < 2; syn.back++) {
		wrong += counted(w, 40, 10);
		syn.flags = FIN | ACK;
		wrong += is_verdict("an end", travel(w, &syn),
				    syn.back ? FORWARDED_FIRST : FORWARDED);
	}
	syn.back = 0;
	wrong += counted(w, 40, 9);
	udp.port = 3000;
	return wrong + is_verdict("over the quota", travel(w, &udp), SESSION_QUOTA);
}

// A full table refuses by name, and what it has it keeps: session by session, at both replicas.
static int test_full(struct world *w)
{
	struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	unsigned int begun, kept;
	enum verdict v;
	int wrong;

	begun = begin_all(w, udp, &v);
	wrong = is_verdict("full", v, TABLE_FULL);
	kept = node_count(&w->node[HEAD], "sessions");
	for (int i = 0; i < 1000; i++) {
		udp.port++;
		travel(w, &udp);
	}
	for (int i = HEAD; i <= TAIL; i++)
		wrong += is_number("kept", node_count(&w->node[i], "sessions"), kept);
	wrong += counted(w, kept, 0);
	node_clear(&w->node[FWD], "cache");
	udp.port = 1000;
	for (unsigned int i = 0; i < begun; i++) {
		wrong += is_verdict("one of them", travel(w, &udp), FORWARDED_FIRST);
		udp.port++;
	}
	return wrong;
}

// O11: what a head accepts, its replicas have room for, as they accept less of their own before.
static int test_reserve(struct world *w)
{
	struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	const int64_t most = ROOM - ROOM / HEAD_RESERVE;
	int wrong = is_verdict("before", travel(w, &udp), FORWARDED_FIRST);

	records_put(w, TAIL, most);
	udp.port++;
	wrong += is_verdict("a replica's reserve", travel(w, &udp), FORWARDED_FIRST);
	records_put(w, HEAD, most - 1);
	udp.port++;
	wrong += is_verdict("the last one", travel(w, &udp), FORWARDED_FIRST);
	udp.port++;
	wrong += is_verdict("a head's reserve", travel(w, &udp), TABLE_FULL);
	node_clear(&w->node[FWD], "cache");
	udp.port = 1000;
	return wrong + is_verdict("one of before", travel(w, &udp), FORWARDED_FIRST);
}

// What the loader of a node sees of its maps.
static struct datapath datapath_of(const struct world *w, uint32_t node)
{
	struct datapath d = {.settings.index = node};

	memset(d.tables, -1, sizeof(d.tables));
	memset(d.own, -1, sizeof(d.own));
	d.tables[TABLE_CHAINS] = node_map(&w->node[node], "chains");
	d.tables[TABLE_VPCS] = node_map(&w->node[node], "vpcs");
	d.own[MAP_ASKING] = node_map(&w->node[node], "asking");
	d.own[MAP_VPC_BUCKETS] = node_map(&w->node[node], "vpc_buckets");
	d.own[MAP_USAGE] = node_map(&w->node[node], "usage");
	d.own[MAP_RECORDS] = node_map(&w->node[node], "records");
	return d;
}

static struct node_status told_of(const struct world *w, uint32_t node)
{
	const struct datapath d = datapath_of(w, node);
	struct limits limits = {};
	struct node_status status = {};

	limits_tell(&limits, &d, &status);
	return status;
}

// The loader tells of whom the kernel counted, the worst first, and forgets who is gone.
static int test_told(struct world *w)
{
	const struct packet red = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000},
			    flood = {.vni = RED, .protocol = IPPROTO_UDP, .port = 2000},
			    blue = {.vni = BLUE, .protocol = IPPROTO_TCP, .flags = SYN, .port = 1};
	const struct usage_key gone = {.vni = 77, .chain = 0}, left = {.vni = 78, .chain = 0};
	const struct usage_value none = {.refused = 9}, one = {.sessions = 1};
	struct node_status s;
	uint32_t vnis[2 * VPCS_TOLD];
	enum verdict v;
	int wrong;

	w->red.sessions = 3;
	put_vpc(w, RED, &w->red);
	begin_all(w, red, &v);
	travel(w, &blue);
	node_put(&w->node[HEAD], "usage", &gone, &none);
	node_put(&w->node[HEAD], "usage", &left, &one);
	s = told_of(w, HEAD);
	wrong = is_number("VPCs at the head", s.vpcs, 3);
	wrong += is_number("the worst", s.vpc[0].vni, RED);
	wrong += is_number("its sessions", s.vpc[0].sessions, 3);
	wrong += is_number("its refusals", s.vpc[0].refused_sessions, 1);
	wrong += is_number("the next", s.vpc[1].vni, 78);
	wrong += is_number("the last", s.vpc[2].vni, BLUE);
	wrong += is_number("its half open", s.vpc[2].half_open, 1);
	// Who is not the head has counted, and does not tell.
	s = told_of(w, TAIL);
	wrong += is_number("VPCs at the tail", s.vpcs, 2);
	wrong += is_number("sessions at the tail", s.vpc[0].sessions + s.vpc[1].sessions, 0);
	limit_red(w);
	ask_all(w, flood);
	s = told_of(w, FWD);
	wrong += is_number("VPCs at the forwarder", s.vpcs, 1);
	wrong += is_number("refused there", s.vpc[0].refused_first_packets, 1);
	rate_red(w, (struct rate){.per_packet = HOUR_OF_RATE, .burst = 1});
	wrong += is_verdict("the first packet", at_forwarder(w, &flood), MISS_RATE);
	wrong += is_verdict("over the rate", at_forwarder(w, &flood), VPC_RATE);
	node_put(&w->node[FWD], "vpc_buckets", &gone.vni, &EMPTY);
	s = told_of(w, FWD);
	wrong += is_number("refused packets", s.vpc[0].refused_packets, 1);
	wrong += is_number("another's bucket is gone",
			   -bpf_map_lookup_elem(node_map(&w->node[FWD], "vpc_buckets"), &gone.vni,
						&(struct vpc_bucket){}),
			   ENOENT);
	// Of many the worst are told, in order.
	for (uint32_t i = 0; i < 2 * VPCS_TOLD; i++) {
		const struct asking_value value = {.refused = 1000 + i * 37 % (2 * VPCS_TOLD)};
		uint32_t key = (1000 + i) << 8;

		vnis[i * 37 % (2 * VPCS_TOLD)] = 1000 + i;
		node_put(&w->node[FWD], "asking", &key, &value);
	}
	s = told_of(w, FWD);
	wrong += is_number("VPCs told", s.vpcs, VPCS_TOLD);
	for (uint32_t i = 0; i < VPCS_TOLD; i++)
		wrong += is_number("in order", s.vpc[i].vni, vnis[2 * VPCS_TOLD - 1 - i]);
	return wrong;
}

static int is_chain_0(const void *context, const struct usage_key *key)
{
	return key->chain == 0;
}

// A replica that begins empty has counted nothing.
static int test_wiped(struct world *w)
{
	const struct packet udp = {.vni = RED, .protocol = IPPROTO_UDP, .port = 1000};
	const struct usage_key other = {.vni = RED, .chain = 1};
	const struct usage_value one = {.sessions = 1};
	const struct datapath d = datapath_of(w, HEAD);
	enum verdict v;
	int wrong;

	w->red.sessions = 3;
	put_vpc(w, RED, &w->red);
	begin_all(w, udp, &v);
	node_put(&w->node[HEAD], "usage", &other, &one);
	limits_wiped(&d, 2, is_chain_0, NULL);
	wrong = is_number("of the chain", usage(w, HEAD, RED, 0).sessions, 0);
	wrong += is_number("of another", usage(w, HEAD, RED, 1).sessions, 1);
	return wrong + is_number("records", records(w, HEAD), 1);
}

struct test {
	const char *name;
	int (*run)(struct world *w); // returns how many things were wrong
};

static const struct test tests[] = {
	{"a VPC's rate", test_rate},
	{"a forwarder's share", test_rate_share},
	{"a rate, and no direct path", test_rate_direct},
	{"first packets", test_first_packets},
	{"refill", test_refill},
	{"known sessions", test_known},
	{"denials", test_denied},
	{"two CPUs", test_race},
	{"quota", test_quota},
	{"a chain's share", test_shares},
	{"half open", test_half_open},
	{"what is told", test_told},
	{"a wiped replica", test_wiped},
	{"a full table", test_full},
	{"a head's reserve", test_reserve},
};

int main(int argc, char **argv)
{
	static const char *const names[] = {"fwd", "head", "tail"};
	static struct world w;
	int wrong = 0;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "flat")))
		fatalx("usage: %s [flat]: with kernel maps, or with the flat session table",
		       argv[0]);
	testing_begin();
	for (uint32_t i = 0; i < NODES; i++) {
		node_load(&w.node[i], &(struct node_wish){.name = names[i],
							  .index = i,
							  .roles = i == FWD ? ROLE_FWD : ROLE_FTN,
							  .sessions = ROOM,
							  .flat = argc == 2 ? 16 : 0});
		put_view(&w.node[i]);
		node_tenant(&w.node[i], RED, 2);
		node_tenant(&w.node[i], BLUE, 2);
	}
	for (size_t t = 0; t < sizeof(tests) / sizeof(tests[0]); t++) {
		const struct chain_value both = {
			.epoch = 1, .term = 1, .live = 2, .node = {HEAD, TAIL}};
		const struct vpc_value blue = unlimited();
		int failed;

		for (int i = 0; i < NODES; i++) {
			node_clear(&w.node[i], "sessions");
			node_clear(&w.node[i], "cache");
			node_clear(&w.node[i], "usage");
			node_clear(&w.node[i], "asking");
			node_clear(&w.node[i], "vpc_buckets");
			own_entrances(&w.node[i], FWD, FWD);
			records_put(&w, i, 0);
		}
		chain_put(&w, &both);
		chains_put(&w, 1);
		w.red = unlimited();
		put_vpc(&w, RED, &w.red);
		put_vpc(&w, BLUE, &blue);
		failed = tests[t].run(&w);
		printf("%s %s\n", failed ? "FAILED" : "ok    ", tests[t].name);
		wrong += failed;
	}
	for (int i = 0; i < NODES; i++)
		node_free(&w.node[i]);
	return wrong ? 1 : 0;
}
