// SPDX-License-Identifier: Apache-2.0
// What the edge's programs cost per frame, as the kernel measures each run, beside programs that do
// nothing, read only, or only have the tunnel's room made; rows in turn. Every run is a system call
// of its own, as a frame cannot be put into a tunnel twice: caches are colder than under load.
//
//   edge_bench [-q] [-o file.json]      -q: in seconds
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/values.h"
#include "datapath/testing.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "shared/config.h"
#include "shared/edge.h"
#include "shared/limits.h"
#include "wire/oam.h"
#include "edge_floor.skel.h"

#define HOST "192.0.2.1"
#define OTHER "192.0.2.2"
#define MAC "02:00:00:00:00:01" // of everything: who is who does not matter here
#define VNI 77
#define DIRECT 0x10000 // flows that have a direct path; the next one has none

// A program, and what it took in each round.
struct row {
	const char *name;
	const struct bpf_program *program;
	enum verdict verdict; // of every run; 0: it counts nothing and passes the frame on
	uint32_t direct; // frames of so many flows at random, which have a direct path; 0: of one
			 // without
	int in_tunnel;
	double ns[MOST_ROUNDS];
};

#define put(map, key, value)                                                                       \
	must(bpf_map__update_elem(map, key, sizeof(*(key)), value, sizeof(*(value)), BPF_ANY), #map)

static struct edge_floor *load(void)
{
	struct edge_floor *edge = edge_floor__open();
	struct edge_config *cfg;
	struct edge_entrances entrances = {.count = 1};
	struct local_port port = {.vni = VNI};
	struct local_mac_key mac = {.vni = VNI};
	uint32_t loopback = 1, cluster = 0;
	struct local_place place = {.ifindex = loopback};

	if (!edge)
		fatal("edge object");
	cfg = (struct edge_config *)&edge->rodata->cfg;
	cfg->underlay_ifindex = 2;
	cfg->tenant_mtu = 1450;
	cfg->oam_port = htons(OAM_PORT);
	cfg->host_ip = address_must(HOST);
	must(edge_floor__load(edge), "load");
	mac_must(port.mac, MAC);
	mac_must(mac.mac, MAC);
	mac_must(entrances.entrance[0].mac, MAC);
	entrances.entrance[0].ip = address_must(OTHER);
	put(edge->maps.port_by_ifindex, &loopback, &port);
	put(edge->maps.port_by_mac, &mac, &place);
	put(edge->maps.edge_entrances, &cluster, &entrances);
	return edge;
}

// Flow n: one of 10.x.y.z to the same server.
static void flow_address(uint32_t n, char text[INET_ADDRSTRLEN])
{
	snprintf(text, INET_ADDRSTRLEN, "10.%u.%u.%u", n >> 16 & 0xFF, n >> 8 & 0xFF, n & 0xFF);
}

static void learn(const struct edge_floor *edge)
{
	struct direct_key key = {
		.destination = address_must("172.16.0.1"),
		.source_port = htons(1000),
		.destination_port = htons(80),
		.vni = {0, 0, VNI},
		.protocol = IPPROTO_UDP,
	};
	struct direct_value value = {.host = address_must(OTHER), .idle_ms = 3600000};
	char text[INET_ADDRSTRLEN];
	struct timespec now;

	mac_must(value.host_mac, MAC);
	mac_must(value.instance_mac, MAC);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	// Ahead of the clock: stays fresh however long the runs take.
	value.learned_ms = now.tv_sec * 1000 + 3600000;
	value.used_ms = value.learned_ms;
	for (uint32_t n = 0; n < DIRECT; n++) {
		flow_address(n, text);
		key.source = address_must(text);
		put(edge->maps.direct, &key, &value);
	}
}

static void write_frame(struct frame *f, uint32_t flow, int in_tunnel)
{
	char text[INET_ADDRSTRLEN];

	flow_address(flow, text);
	frame_clear(f);
	frame_fill(f, 22);
	frame_udp(f, 1000, 80, 0);
	frame_ipv4(f, (struct ipv4_header){.from = text, .to = "172.16.0.1", .protocol = 17});
	frame_ethernet(f, MAC, MAC, ETH_P_IP);
	if (!in_tunnel)
		return;
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

static uint64_t counted(const struct edge_floor *edge, enum verdict v)
{
	struct verdict_count sum[VERDICTS];

	must(verdicts_read(bpf_map__fd(edge->maps.verdicts), sum), "verdicts");
	return sum[v].packets;
}

static void measure(const struct edge_floor *edge, struct row *row, int round, uint32_t times)
{
	const int program = bpf_program__fd(row->program);
	const uint64_t counted_before = counted(edge, row->verdict);
	struct bpf_prog_info before = info_of(program), after;
	struct target t = {.program = program};
	uint64_t random = 88172645463325252ULL + (uint64_t)round;
	struct frame in, out;
	uint32_t action;

	for (uint32_t i = 0; i < times; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		write_frame(&in, row->direct ? random % row->direct : DIRECT, row->in_tunnel);
		must(target_run(&t, &in, &action, &out), row->name);
		if (!row->verdict && action != TC_ACT_OK)
			fatalx("%s: action %u", row->name, action);
	}
	after = info_of(program);
	if (row->verdict && counted(edge, row->verdict) - counted_before != times)
		fatalx("%s: not %s", row->name, verdict_name(row->verdict));
	row->ns[round] = (double)(after.run_time_ns - before.run_time_ns) /
			 (double)(after.run_cnt - before.run_cnt);
}

static void report(const struct row *rows, int count, int rounds, json_t *results)
{
	const double base = values_quantile(rows[0].ns, rounds, 0.5);

	printf("\n%-44s %8s %8s %8s %8s\n", "An edge host", "median", "p10", "p90", "net");
	for (int i = 0; i < count; i++) {
		const double middle = values_quantile(rows[i].ns, rounds, 0.5);
		const double low = values_quantile(rows[i].ns, rounds, 0.1);
		const double high = values_quantile(rows[i].ns, rounds, 0.9);

		printf("%-44s %8.0f %8.0f %8.0f %8.0f\n", rows[i].name, middle, low, high,
		       middle - base);
		json_array_append_new(results,
				      json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "what", "edge",
						"row", rows[i].name, "median_ns", middle, "p10_ns",
						low, "p90_ns", high, "net_ns", middle - base));
	}
}

int main(int argc, char **argv)
{
	auto_(closep) int statistics = -1;
	json_t *all, *results = json_array();
	const char *path = NULL;
	struct edge_floor *edge;
	int option, rounds = 21;
	uint32_t times = 10000;

	while ((option = getopt(argc, argv, "qo:")) != -1) {
		if (option == 'q') {
			rounds = 9;
			times = 2000;
		} else if (option == 'o') {
			path = optarg;
		} else {
			fatalx("usage: %s [-q] [-o file.json]", argv[0]);
		}
	}
	testing_begin();
	edge = load();
	learn(edge);
	struct row rows[] = {
		{.name = "nothing", .program = edge->progs.nothing},
		{.name = "headers and flow read", .program = edge->progs.parse},
		{.name = "the tunnel's room made, nothing written", .program = edge->progs.room},
		{.name = "egress, to an entrance",
		 .program = edge->progs.edge_egress,
		 .verdict = EDGE_TO_ENTRANCE},
		{.name = "egress, direct path, one flow",
		 .program = edge->progs.edge_egress,
		 .verdict = EDGE_DIRECT,
		 .direct = 1},
		{.name = "egress, direct path, 65536 flows",
		 .program = edge->progs.edge_egress,
		 .verdict = EDGE_DIRECT,
		 .direct = DIRECT},
		{.name = "ingress, delivered",
		 .program = edge->progs.edge_ingress,
		 .verdict = EDGE_DELIVERED,
		 .in_tunnel = 1},
	};
	const int count = sizeof(rows) / sizeof(*rows);

	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	must(statistics < 0 ? statistics : 0, "statistics");
	all = values_heading("ns per run by the kernel's count, rows in turn; net: over the first",
			     rounds);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < count; i++)
			measure(edge, &rows[i], round, times);
	report(rows, count, rounds, results);
	edge_floor__destroy(edge);
	json_object_set_new(all, "results", results);
	if (path && json_dump_file(all, path, JSON_INDENT(1)))
		fatal("cannot write %s", path);
	json_decref(all);
	return 0;
}
