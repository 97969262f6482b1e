// SPDX-License-Identifier: Apache-2.0
// What the edge's programs cost per frame, as the kernel measures each run: ns, its own clock
// reading of some 20 to 30 included. Every run comes from a system call, so that caches are colder
// than under load. Prints a table; run it on a quiet machine and compare within one run only.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "datapath/testing.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "shared/config.h"
#include "shared/edge.h"
#include "shared/limits.h"
#include "wire/oam.h"
#include "edge.skel.h"

#define HOST "192.0.2.1"
#define OTHER "192.0.2.2"
#define MAC "02:00:00:00:00:01" // of everything: who is who does not matter here
#define VNI 77
#define RUNS 100000

#define put(map, key, value)                                                                       \
	must(bpf_map__update_elem(map, key, sizeof(*(key)), value, sizeof(*(value)), BPF_ANY), #map)

static struct edge *load(void)
{
	struct edge *edge = edge__open();
	struct edge_config *cfg;
	struct edge_entrances entrances = {.count = 1};
	struct local_port port = {.vni = VNI};
	struct local_mac_key mac = {.vni = VNI};
	uint32_t loopback = 1, cluster = 0;

	if (!edge)
		fatal("edge object");
	cfg = (struct edge_config *)&edge->rodata->cfg;
	cfg->underlay_ifindex = 2;
	cfg->tenant_mtu = 1450;
	cfg->oam_port = htons(OAM_PORT);
	cfg->host_ip = address_must(HOST);
	must(edge__load(edge), "load");
	mac_must(port.mac, MAC);
	mac_must(mac.mac, MAC);
	mac_must(entrances.entrance[0].mac, MAC);
	entrances.entrance[0].ip = address_must(OTHER);
	put(edge->maps.port_by_ifindex, &loopback, &port);
	put(edge->maps.port_by_mac, &mac, &loopback);
	put(edge->maps.edge_entrances, &cluster, &entrances);
	return edge;
}

// Flow n: one of 10.x.y.z to the same server.
static void flow_address(uint32_t n, char text[INET_ADDRSTRLEN])
{
	snprintf(text, INET_ADDRSTRLEN, "10.%u.%u.%u", n >> 16 & 0xFF, n >> 8 & 0xFF, n & 0xFF);
}

static void learn(const struct edge *edge, uint32_t flows, uint32_t flags)
{
	struct direct_key key = {
		.destination = address_must("172.16.0.1"),
		.source_port = htons(1000),
		.destination_port = htons(80),
		.vni = {0, 0, VNI},
		.protocol = IPPROTO_UDP,
	};
	struct direct_value value = {.host = address_must(OTHER), .idle_ms = 60000, .flags = flags};
	char text[INET_ADDRSTRLEN];
	struct timespec now;

	mac_must(value.host_mac, MAC);
	mac_must(value.instance_mac, MAC);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	// Ahead of the clock: stays fresh however long the runs take.
	value.learned_ms = now.tv_sec * 1000 + 600000;
	value.used_ms = value.learned_ms;
	for (uint32_t n = 0; n < flows; n++) {
		flow_address(n, text);
		key.source = address_must(text);
		put(edge->maps.direct, &key, &value);
	}
}

static void sent(struct frame *f, uint32_t flow)
{
	char text[INET_ADDRSTRLEN];

	flow_address(flow, text);
	frame_clear(f);
	frame_fill(f, 22);
	frame_udp(f, 1000, 80, 0);
	frame_ipv4(f, (struct ipv4_header){.from = text, .to = "172.16.0.1", .protocol = 17});
	frame_ethernet(f, MAC, MAC, ETH_P_IP);
}

static void received(struct frame *f)
{
	sent(f, 0);
	frame_vxlan(f, VNI);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){.from = OTHER, .to = HOST, .protocol = 17});
	frame_ethernet(f, MAC, MAC, ETH_P_IP);
}

static struct bpf_prog_info info_of(int program)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	must(bpf_obj_get_info_by_fd(program, &info, &size), "program's numbers");
	return info;
}

static uint64_t counted(const struct edge *edge, enum verdict v)
{
	struct verdict_count sum[VERDICTS];

	must(verdicts_read(bpf_map__fd(edge->maps.verdicts), sum), "verdicts");
	return sum[v].packets;
}

// frames: as many as there are flows, taken in a random order. All must have the one verdict.
static void measure(const char *name, const struct edge *edge, const struct bpf_program *what,
		    enum verdict verdict, const struct frame *frames, uint32_t flows)
{
	const int program = bpf_program__fd(what);
	const uint64_t counted_before = counted(edge, verdict);
	struct bpf_prog_info before = info_of(program), after;
	struct target t = {.program = program};
	uint64_t state = 88172645463325252ULL;
	struct frame out = {0};
	uint32_t action;

	for (int i = 0; i < RUNS; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		must(target_run(&t, &frames[state % flows], &action, &out), name);
	}
	after = info_of(program);
	if (counted(edge, verdict) - counted_before != RUNS)
		fatalx("%s: not %s", name, verdict_name(verdict));
	printf("%-32s %6llu ns\n", name,
	       (after.run_time_ns - before.run_time_ns) / (after.run_cnt - before.run_cnt));
}

int main(void)
{
	static const uint32_t flows[] = {1, 1000, 10000};
	auto_(closep) int statistics = -1;
	static struct frame frames[10000];
	struct edge *edge;
	char name[64];

	testing_begin();
	edge = load();
	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	must(statistics < 0 ? statistics : 0, "statistics");

	frame_clear(&frames[0]);
	frame_fill(&frames[0], 46);
	frame_ethernet(&frames[0], MAC, MAC, ETH_P_ARP);
	measure("ingress, not ours", edge, edge->progs.edge_ingress, PASS, frames, 1);
	received(&frames[0]);
	measure("ingress, delivered", edge, edge->progs.edge_ingress, EDGE_DELIVERED, frames, 1);
	for (uint32_t n = 0; n < 10000; n++)
		sent(&frames[n], n);
	measure("egress, to an entrance", edge, edge->progs.edge_egress, EDGE_TO_ENTRANCE, frames,
		1);
	for (size_t i = 0; i < sizeof(flows) / sizeof(*flows); i++) {
		learn(edge, flows[i], 0);
		snprintf(name, sizeof(name), "egress, direct, %u flows", flows[i]);
		measure(name, edge, edge->progs.edge_egress, EDGE_DIRECT, frames, flows[i]);
	}
	learn(edge, 1, OAM_ROUTED);
	measure("egress, direct, routed", edge, edge->progs.edge_egress, EDGE_DIRECT, frames, 1);
	edge__destroy(edge);
	return 0;
}
