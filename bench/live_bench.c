// SPDX-License-Identifier: Apache-2.0
// Packets per second through one gateway node on one core, live: from a generator through a veth
// pair to the measured program, by a second pair to a counter. Beside it, over the same way: a
// plain redirect, the gateway's work with one line of an array (the floor), kernel forwarding, and
// conntrack with NAT. Rows in turn, sessions in random order.
//
//   live_bench [-q] [-o file.json]      -q: in a minute
//
//   generate --> live0 | live1: row --> live2 | live3: sink, counts
#include <bpf/bpf.h>
#include <errno.h>
#include <jansson.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/values.h"
#include "bench/world.h"
#include "gateway.skel.h"
#include "floor.skel.h"
#include "live.skel.h"
#include "lib/log.h"
#include "shared/flat.h"

#define MOST_ROWS 8
#define BATCH 64
#define PLAIN_FRAME 60

struct row {
	const char *name;
	int program;	   // at live1
	int plain;	   // packets without a tunnel
	const char *begin; // what a shell makes of the kernel for it, and back
	const char *end;
	double rate[MOST_ROUNDS];
};

struct live_bench {
	struct live *live;
	int rounds, packets;
	unsigned int ifindex[4];
	struct row row[MOST_ROWS];
	int rows;
	json_t *results;
};

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	// NOLINTNEXTLINE(cert-env33-c): the commands are this file's own
	if (system(command))
		fatalx("failed: %s", command);
}

static void attach(unsigned int ifindex, int program)
{
	if (bpf_xdp_attach((int)ifindex, program, XDP_FLAGS_DRV_MODE, NULL))
		fatal("a program cannot be attached");
}

static void make_wires(struct live_bench *b)
{
	char name[] = "live0";

	shell("ip link add live0 address 02:00:00:00:00:01 type veth peer name live1 address "
	      "02:0e:00:00:00:01");
	shell("ip link add live2 address 02:00:00:00:00:02 type veth peer name live3 address "
	      "02:00:00:00:00:03");
	for (int i = 0; i < 4; i++) {
		name[4] = (char)('0' + i);
		shell("ip link set %s up && sysctl -q -w net.ipv4.conf.%s.rp_filter=0", name, name);
		b->ifindex[i] = if_nametoindex(name);
	}
	shell("ip address add 192.168.1.1/24 dev live1 && ip address add 192.168.2.1/24 dev live2 "
	      "&& ip neighbour add 192.168.2.2 lladdr 02:00:00:00:00:03 dev live2 && "
	      "ip route add 10.2.0.0/16 via 192.168.2.2 && "
	      "sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.ip_forward=1");
	attach(b->ifindex[0], bpf_program__fd(b->live->progs.pass));
	attach(b->ifindex[2], bpf_program__fd(b->live->progs.pass));
	attach(b->ifindex[3], bpf_program__fd(b->live->progs.sink));
}

// Sends, and returns how many came out per second.
static double send_packets(struct live_bench *b, int plain, int count)
{
	__u8 frame[BENCH_FRAME] = {};
	struct timespec begin, end;
	struct bpf_test_run_opts options = {
		.sz = sizeof(options),
		.data_in = frame,
		.data_size_in = plain ? PLAIN_FRAME : sizeof(frame),
		.repeat = count,
		.batch_size = BATCH,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
	};
	const struct bpf_program *generate =
		plain ? b->live->progs.generate_plain : b->live->progs.generate;

	b->live->bss->came = 0;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	if (bpf_prog_test_run_opts(bpf_program__fd(generate), &options))
		fatal("packets cannot be made");
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (double)b->live->bss->came * 1e9 /
	       ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec));
}

static void measure_row(struct live_bench *b, struct row *row, int round)
{
	struct driving *driving = &b->live->bss->driving;

	attach(b->ifindex[1], row->program);
	if (row->begin)
		shell("%s", row->begin);
	if (row->end) {
		// What keeps state knows all sessions before it is measured.
		b->live->bss->in_turn = 1;
		send_packets(b, row->plain, (int)driving->sessions);
		b->live->bss->in_turn = 0;
	}
	driving->random = 88172645463325252ull + (unsigned int)round;
	row->rate[round] = send_packets(b, row->plain, b->packets);
	if (row->end)
		shell("%s", row->end);
	if (!(row->rate[round] > 0))
		fatalx("%s: nothing came through", row->name);
}

static void report(struct live_bench *b, __u32 sessions)
{
	const struct row *base = &b->row[0];

	printf("\nThrough one node, one core, %u sessions\n%-52s %8s %8s %8s %14s\n", sessions, "",
	       "Mpps", "least", "most", "to the first");
	for (int i = 0; i < b->rows; i++) {
		const struct row *row = &b->row[i];
		const double middle = values_quantile(row->rate, b->rounds, 0.5);
		const double least = values_quantile(row->rate, b->rounds, 0);
		const double most = values_quantile(row->rate, b->rounds, 1);
		const double ratio = values_ratio(row->rate, base->rate, NULL, b->rounds);

		printf("%-52s %8.2f %8.2f %8.2f %14.2f\n", row->name, middle / 1e6, least / 1e6,
		       most / 1e6, ratio);
		json_array_append_new(b->results,
				      json_pack("{s:s, s:i, s:s, s:f, s:f, s:f, s:f}", "what",
						"live", "sessions", (int)sessions, "row", row->name,
						"packets_per_second", middle, "least", least,
						"most", most, "to_redirect", ratio));
	}
	fflush(stdout);
}

static void judge(struct live_bench *b, __u32 sessions, const struct row *ours,
		  const struct row *floor)
{
	const double value = values_ratio(ours->rate, floor->rate, NULL, b->rounds);

	printf("%-52s %8.2f   target at least 0.85: %s\n", "flat table's rate to the floor's",
	       value, value >= 0.85 ? "met" : "MISSED");
	json_array_append_new(b->results,
			      json_pack("{s:s, s:i, s:f, s:f, s:b}", "ratio",
					"live, flat table to floor", "sessions", (int)sessions,
					"value", value, "target", 0.85, "met", value >= 0.85));
}

static struct row *row_add(struct live_bench *b, const char *name,
			   const struct bpf_program *program)
{
	struct row *row = &b->row[b->rows++];

	*row = (struct row){.name = name, .program = bpf_program__fd(program)};
	return row;
}

// How many connections this kernel may track.
static __u32 most_tracked(void)
{
	FILE *f = fopen("/proc/sys/net/netfilter/nf_conntrack_max", "re");
	__u32 most = 0;

	if (f && fscanf(f, "%u", &most) != 1)
		most = 0;
	if (f)
		fclose(f);
	return most;
}

#define SPARE_BYTES 2e9		 // for others
#define KERNEL_ENTRY_BYTES 320.0 // of an LRU hash, at most

// Whether there is memory for the tables of so many sessions: three of pages, one of the kernel's.
static int fits(__u32 sessions)
{
	const double pages = flat_pages_for(sessions);
	const double bytes =
		pages * (3 * FLAT_PAGE_BYTES + FLAT_SLOTS * KERNEL_ENTRY_BYTES) + SPARE_BYTES;
	double free_kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lf kB", &free_kb) == 1)
			break;
	if (f)
		fclose(f);
	if (free_kb * 1024 >= bytes)
		return 1;
	printf("\n%u sessions need %.1f GB, and %.1f are free: not measured\n", sessions,
	       bytes / 1e9, free_kb * 1024 / 1e9);
	return 0;
}

static void bench_sessions(struct live_bench *b, __u32 sessions)
{
	const __u32 pages = flat_pages_for(sessions);
	struct node_wish wish = {.index = FWD,
				 .roles = ROLE_FWD,
				 .sessions = 16,
				 .cached = 16,
				 .flat = pages,
				 .tick_q10 = TICK_Q10,
				 .tenant_ifindex = b->ifindex[2]};
	struct row *ours, *bound, *kernel;
	struct node flat, hash;
	struct floor *floor;
	char pins[64], names[2][32];

	snprintf(names[0], sizeof(names[0]), "live-flat-%u", sessions);
	snprintf(names[1], sizeof(names[1]), "live-kernel-%u", sessions);
	wish.name = names[0];
	node_load(&flat, &wish);
	world_put(&flat);
	world_fill_flat(&flat, sessions);
	floor = world_floor(&flat, testing_pins(names[0], pins), pages);
	wish.name = names[1];
	wish.flat = 0;
	wish.cached = pages * FLAT_SLOTS;
	node_load(&hash, &wish);
	world_put(&hash);
	world_fill_kernel(&hash, sessions);

	b->rows = 0;
	b->live->bss->driving.sessions = sessions;
	row_add(b, "XDP redirect, nothing read", b->live->progs.forward);
	bound = row_add(b, "floor: the gateway, one line of an array", floor->progs.gateway);
	ours = row_add(b, "the gateway, flat table", flat.gw->progs.gateway);
	row_add(b, "the gateway, kernel LRU hash", hash.gw->progs.gateway);
	kernel = row_add(b, "kernel forwarding", b->live->progs.pass);
	kernel->plain = 1;
	if (most_tracked() > sessions) {
		kernel = row_add(b, "kernel forwarding, conntrack, NAT", b->live->progs.pass);
		kernel->plain = 1;
		kernel->begin = "sysctl -q -w net.netfilter.nf_conntrack_checksum=0 && "
				"nft add table ip n && nft 'add chain ip n out { type nat hook "
				"postrouting priority 100 ; }' && nft add rule ip n out oifname "
				"live2 snat to 192.168.3.1-192.168.3.254";
		kernel->end = "nft delete table ip n";
	} else {
		printf("\nconntrack tracks %u connections here: no row with %u\n", most_tracked(),
		       sessions);
	}
	for (int round = 0; round < b->rounds; round++)
		for (int i = 0; i < b->rows; i++)
			measure_row(b, &b->row[i], round);
	report(b, sessions);
	judge(b, sessions, ours, bound);

	attach(b->ifindex[1], bpf_program__fd(b->live->progs.pass));
	floor__destroy(floor);
	node_free(&flat);
	node_free(&hash);
	testing_unpin(names[0]);
	testing_unpin(names[1]);
}

int main(int argc, char **argv)
{
	struct live_bench b = {.rounds = 11, .packets = 2000000};
	const char *path = NULL;
	json_t *all;
	cpu_set_t one;
	int option, quick = 0;

	while ((option = getopt(argc, argv, "qo:")) != -1) {
		if (option == 'q') {
			quick = 1;
			b.rounds = 3;
			b.packets = 300000;
		} else if (option == 'o') {
			path = optarg;
		} else {
			fatalx("usage: %s [-q] [-o file.json]", argv[0]);
		}
	}
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		fatal("a core of its own");
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	testing_begin();
	b.live = live__open_and_load();
	b.results = json_array();
	if (!b.live || !b.results)
		fatal("the programs do not load");
	all = values_heading("packets per second, live; the rows of a table in turn", b.rounds);
	world_frame(&b.live->bss->driving);
	make_wires(&b);
	b.live->bss->out_ifindex = b.ifindex[0];
	b.live->bss->forward_ifindex = b.ifindex[2];
	bench_sessions(&b, 1024);
	bench_sessions(&b, 65536);
	bench_sessions(&b, 1048576);
	if (!quick && fits(10000000))
		bench_sessions(&b, 10000000);
	live__destroy(b.live);
	json_object_set_new(all, "results", b.results);
	if (path && json_dump_file(all, path, JSON_INDENT(1)))
		fatal("cannot write %s", path);
	json_decref(all);
	return 0;
}
