// SPDX-License-Identifier: Apache-2.0
// What a session hit costs, with the flat table and with kernel maps, beside what it cannot be
// cheaper than: nanoseconds by PROG_TEST_RUN, sessions in random order, the rows of one table taken
// in turn so that what the machine does meanwhile meets all of them.
//
//   session_bench [-q] [-o file.json]      -q: in a minute
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "bench/sessions.h"
#include "datapath/gateway_nodes.h"
#include "gateway.skel.h"
#include "drive.skel.h"
#include "floor.skel.h"
#include "session_probe.skel.h"
#include "memory.skel.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/session/flat.h"
#include "modules/session/flat_map.h"
#include "shared/limits.h"

#define MAX_ROWS 16
#define MAX_ROUNDS 64
#define ACK 0x10
#define TICK_Q10 1 // the clock of the programs goes slowly: nothing is ever old
#define FWD 1

// A program, and what it took in each round.
struct row {
	const char *name;
	int program; // called by the driving one
	int alone;   // or a program that makes its packets itself
	double ns[MAX_ROUNDS];
};

struct bench {
	int quick;
	int rounds;
	json_t *results;
	struct row row[MAX_ROWS];
	int rows;
};

// tick_ms() of the programs, or a little less: jiffies begin 300 s before they overflow 32 bits.
static __u32 slow_clock(void)
{
	struct timespec now, tick;
	double hz;

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	hz = 1e9 / tick.tv_nsec;
	return ((__u64)(__u32)(-300 * (int)hz) + (__u64)(now.tv_sec * hz)) * TICK_Q10 >> 10;
}

static void row_add(struct bench *b, const char *name, const struct bpf_program *program, int alone)
{
	b->row[b->rows++] =
		(struct row){.name = name, .program = bpf_program__fd(program), .alone = alone};
}

static double run(int program, int repeat, __u32 *action)
{
	__u8 frame[BENCH_FRAME] = {}, out[4096];
	struct bpf_test_run_opts options = {
		.sz = sizeof(options),
		.data_in = frame,
		.data_size_in = sizeof(frame),
		.data_out = out,
		.data_size_out = sizeof(out),
		.repeat = repeat,
	};

	if (bpf_prog_test_run_opts(program, &options))
		fatal("a program does not run");
	*action = options.retval;
	return options.duration;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quantile(const struct row *row, int rounds, double q)
{
	double sorted[MAX_ROUNDS];

	memcpy(sorted, row->ns, rounds * sizeof(*sorted));
	qsort(sorted, rounds, sizeof(*sorted), compare_doubles);
	return sorted[(int)(q * (rounds - 1) + 0.5)];
}

static double median(const struct bench *b, const char *name)
{
	for (int i = 0; i < b->rows; i++)
		if (!strcmp(b->row[i].name, name))
			return quantile(&b->row[i], b->rounds, 0.5);
	fatalx("no row %s", name);
}

// The median of the rows' ratio in each round: what the machine did meanwhile met both.
static double ratio(const struct bench *b, const char *over, const char *under, const char *base)
{
	const struct row *row[3] = {};
	struct row each = {};

	for (int i = 0; i < b->rows; i++) {
		if (!strcmp(b->row[i].name, over))
			row[0] = &b->row[i];
		if (!strcmp(b->row[i].name, under))
			row[1] = &b->row[i];
		if (!strcmp(b->row[i].name, base))
			row[2] = &b->row[i];
	}
	if (!row[0] || !row[1] || !row[2])
		fatalx("no rows %s, %s, %s", over, under, base);
	for (int i = 0; i < b->rounds; i++)
		each.ns[i] = (row[0]->ns[i] - row[2]->ns[i]) / (row[1]->ns[i] - row[2]->ns[i]);
	return quantile(&each, b->rounds, 0.5);
}

static void report(struct bench *b, const char *title, __u32 sessions, const char *base)
{
	double floor = median(b, base);

	printf("\n%s, %u sessions\n%-44s %8s %8s %8s %8s\n", title, sessions, "", "median", "p10",
	       "p90", "net");
	for (int i = 0; i < b->rows; i++) {
		struct row *row = &b->row[i];
		double middle = quantile(row, b->rounds, 0.5);
		double low = quantile(row, b->rounds, 0.1), high = quantile(row, b->rounds, 0.9);

		printf("%-44s %8.0f %8.0f %8.0f %8.0f\n", row->name, middle, low, high,
		       middle - floor);
		json_array_append_new(b->results,
				      json_pack("{s:s, s:i, s:s, s:f, s:f, s:f, s:f}", "what",
						title, "sessions", (int)sessions, "row", row->name,
						"median_ns", middle, "p10_ns", low, "p90_ns", high,
						"net_ns", middle - floor));
	}
	fflush(stdout);
}

static void judge(struct bench *b, const char *what, __u32 sessions, double value, double target,
		  int most)
{
	int met = most ? value <= target : value >= target;

	printf("%-44s %8.2f   target %s %.2f: %s\n", what, value, most ? "at most" : "at least",
	       target, met ? "met" : "MISSED");
	json_array_append_new(b->results, json_pack("{s:s, s:i, s:f, s:f, s:b}", "ratio", what,
						    "sessions", (int)sessions, "value", value,
						    "target", target, "met", met));
}

// Runs each row in turn. action: what each must give; a row that gives another one is wrong.
static void measure(struct bench *b, struct driving *driving, int driver, int target, int times)
{
	const __u32 zero = 0;
	__u32 action;

	// The first round warms up.
	for (int round = -1; round < b->rounds; round++)
		for (int i = 0; i < b->rows; i++) {
			struct row *row = &b->row[i];
			double ns;

			if (!row->alone &&
			    bpf_map_update_elem(target, &zero, &row->program, BPF_ANY))
				fatal("%s cannot be measured", row->name);
			driving->random = 88172645463325252ull + round;
			ns = run(row->alone ? row->program : driver, times, &action);
			if (action != XDP_DROP && action != XDP_REDIRECT)
				fatalx("%s: action %u", row->name, action);
			if (round >= 0)
				row->ns[round] = ns;
		}
}

static void put_world(const struct node *n)
{
	struct entrance_value entrance = {.ip = address_must("192.168.0.201"),
					  .mac = {2, 14, 0, 0, 0, 1},
					  .live = 1,
					  .owner = FWD};
	struct vpc_value vpc = {.policy = 1};
	uint32_t zero = 0, vni = BENCH_VNI;

	node_put(n, "entrances", &zero, &entrance);
	node_put(n, "entrance_by_ip", &entrance.ip, &zero);
	node_put(n, "vpcs", &vni, &vpc);
}

static struct dft_record bench_record(void)
{
	struct decision d = {
		.host = address_must("192.168.0.11"),
		.host_mac = {2, 10, 0, 0, 0, 1},
		.to_mac = {2, 1, 0, 0, 0, 1},
		.from_mac = {2, 1, 0, 0, 0, 2},
		.action = DECIDE_FORWARD,
		.flags = DECISION_ROUTED,
		.vni = {BENCH_VNI >> 16, BENCH_VNI >> 8 & 0xFF, BENCH_VNI & 0xFF},
	};

	return (struct dft_record){
		.stamp = {1, 1}, .incarnation = {1, 1}, .policy = 1, .towards = {d, d}};
}

static void put_frame(struct driving *driving)
{
	static struct frame f;

	frame_clear(&f);
	frame_fill(&f, BENCH_FRAME - BENCH_HEADERS);
	frame_tcp(&f, 1, 2, ACK);
	frame_ipv4(&f, (struct ipv4_header){
			       .from = "10.1.0.0", .to = "10.2.0.0", .protocol = IPPROTO_TCP});
	frame_ethernet(&f, "02:00:00:00:00:01", "02:00:00:00:00:02", ETH_P_IP);
	frame_vxlan(&f, BENCH_VNI);
	frame_udp(&f, 50000, 4789, 0);
	frame_ipv4(&f, (struct ipv4_header){.from = "192.168.0.12",
					    .to = "192.168.0.201",
					    .protocol = IPPROTO_UDP});
	frame_ethernet(&f, "02:0e:00:00:00:01", "02:0a:00:00:00:02", ETH_P_IP);
	if (f.length != BENCH_FRAME)
		fatalx("the frame has %zu bytes", f.length);
	memcpy(driving->frame, f.byte, BENCH_HEADERS);
}

static void fill_flat(const struct node *n, __u32 sessions)
{
	auto_(flat_map_close) struct flat_map map = {};
	struct dft_record record = bench_record();
	struct flat_content content = {.asked = slow_clock(), .life = FLAT_STATEFUL};
	union flat_half room;
	__u32 full = 0, home = 0;

	if (flat_map_open(&map, node_map(n, "flat_cache")))
		fatal("the flat table cannot be mapped");
	for (__u32 i = 0; i < sessions; i++) {
		struct session_key key;
		union flat_page *page;
		struct flat_place place;
		__u64 hash;
		__u32 slot;

		bench_key(&key, i);
		hash = key_hash(&key);
		page = &map.page[flat_page_of(hash, map.pages)];
		place = flat_place_of(hash);
		content.key = flat_key_of(&key);
		content.tag = place.tag;
		slot = flat_free(page, place);
		full += !slot;
		home += slot == place.home;
		if (slot)
			flat_write(page, slot, &content, &record, &room);
	}
	printf("flat table: %u pages, %.0f %% full, %.1f %% of the sessions at home, %u left out\n",
	       map.pages, 100.0 * sessions / map.pages / FLAT_SLOTS, 100.0 * home / sessions, full);
}

#define BATCH 65536

static void fill_kernel(const struct node *n, __u32 sessions)
{
	auto_(freep) struct session_key *keys = calloc(BATCH, sizeof(*keys));
	auto_(freep) struct cache_value *values = calloc(BATCH, sizeof(*values));
	const struct cache_value value = {
		.record = bench_record(), .asked_ms = slow_clock(), .stateful = 1};

	if (!keys || !values)
		fatal("no memory");
	for (__u32 i = 0; i < sessions; i += BATCH) {
		__u32 count = sessions - i < BATCH ? sessions - i : BATCH;

		for (__u32 k = 0; k < count; k++) {
			bench_key(&keys[k], i + k);
			values[k] = value;
		}
		if (bpf_map_update_batch(node_map(n, "cache"), keys, values, &count, NULL))
			fatal("the cache cannot be filled");
	}
}

static __u32 pages_for(__u32 sessions)
{
	__u32 pages = 1;

	while ((__u64)pages * FLAT_SLOTS * 2 < (__u64)sessions * 3)
		pages *= 2;
	return pages;
}

static struct floor *load_floor(const struct node *n, const char *pins, __u32 pages)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = pins);
	struct floor *f = floor__open_opts(&options);
	struct dft_record record = bench_record();
	struct flat_content content = {.asked = slow_clock(), .life = FLAT_STATEFUL};
	struct flat_slot slot;
	union flat_page *memory;
	union flat_half room;
	size_t size = (size_t)(pages ? pages : 1) * FLAT_PAGE_BYTES;

	if (!f)
		fatal("the floor does not open");
	*(struct gateway_config *)&f->rodata->cfg = n->gw->rodata->cfg;
	((struct gateway_config *)&f->rodata->cfg)->cache_pages = pages;
	bpf_map__set_max_entries(f->maps.lines, size / 64);
	bpf_map__set_max_entries(f->maps.flat_cache, bpf_map__max_entries(n->gw->maps.flat_cache));
	bpf_map__set_max_entries(f->maps.flat_sessions,
				 bpf_map__max_entries(n->gw->maps.flat_sessions));
	bpf_map__set_max_entries(f->maps.cache, bpf_map__max_entries(n->gw->maps.cache));
	bpf_map__set_max_entries(f->maps.sessions, bpf_map__max_entries(n->gw->maps.sessions));
	if (floor__load(f))
		fatal("the floor does not load");
	flat_write_half(&slot.half[0], &content, &record, 0, &room);
	memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(f->maps.lines), 0);
	if (memory == MAP_FAILED)
		fatal("the floor cannot be mapped");
	for (size_t i = 0; i < size / 64; i++)
		((union flat_half *)memory)[i] = slot.half[0];
	munmap(memory, size);
	return f;
}

// Whether everything was forwarded: a table without its sessions would be fast.
static void must_forward(const struct node *n, __u64 runs)
{
	struct verdict_count sum[VERDICTS];

	if (verdicts_read(node_map(n, "verdicts"), sum) || sum[FORWARDED].packets < runs)
		fatalx("%s forwarded %ju of %ju packets", n->name,
		       (uintmax_t)sum[FORWARDED].packets, (uintmax_t)runs);
}

static void bench_hits(struct bench *b, struct drive *drive, __u32 sessions)
{
	const __u32 pages = pages_for(sessions);
	const int times = b->quick ? 100000 : 300000;
	struct node_wish wish = {.index = FWD,
				 .roles = ROLE_FWD,
				 .sessions = 16,
				 .cached = 16,
				 .flat = pages,
				 .tick_q10 = TICK_Q10};
	static const char title[] = "A session hit";
	struct floor *floor, *fixed;
	struct node flat, kernel;
	char pins[64], names[2][32];

	// Each with maps, that is with pins, of its own.
	snprintf(names[0], sizeof(names[0]), "flat-%u", sessions);
	snprintf(names[1], sizeof(names[1]), "kernel-%u", sessions);
	wish.name = names[0];
	node_load(&flat, &wish);
	put_world(&flat);
	fill_flat(&flat, sessions);
	floor = load_floor(&flat, testing_pins(names[0], pins), pages);
	fixed = load_floor(&flat, testing_pins(names[0], pins), 0);
	wish.name = names[1];
	wish.flat = 0;
	wish.cached = pages * FLAT_SLOTS;
	node_load(&kernel, &wish);
	put_world(&kernel);
	fill_kernel(&kernel, sessions);

	b->rows = 0;
	row_add(b, "make a packet, XDP_DROP", drive->progs.drop, 0);
	row_add(b, "parse only", floor->progs.parse, 0);
	row_add(b, "the gateway, nothing looked up", fixed->progs.gateway, 0);
	row_add(b, "floor: the gateway, one line of an array", floor->progs.gateway, 0);
	row_add(b, "flat table", flat.gw->progs.gateway, 0);
	row_add(b, "kernel LRU hash", kernel.gw->progs.gateway, 0);
	drive->bss->driving.sessions = sessions;
	measure(b, &drive->bss->driving, bpf_program__fd(drive->progs.run),
		bpf_map__fd(drive->maps.target), times);
	must_forward(&flat, (__u64)times * b->rounds * 3);
	must_forward(&kernel, (__u64)times * b->rounds);
	report(b, title, sessions, "make a packet, XDP_DROP");
	judge(b, "flat table over floor", sessions,
	      ratio(b, "flat table", "floor: the gateway, one line of an array",
		    "make a packet, XDP_DROP"),
	      sessions < 10000 ? 1.6 : 1.35, 1);
	judge(b, "kernel LRU hash over flat table", sessions,
	      ratio(b, "kernel LRU hash", "flat table", "make a packet, XDP_DROP"),
	      sessions < 10000	   ? 1
	      : sessions < 5000000 ? 2
				   : 2.5,
	      0);
	floor__destroy(floor);
	floor__destroy(fixed);
	node_free(&flat);
	node_free(&kernel);
	testing_unpin(names[0]);
	testing_unpin(names[1]);
}

// The probe with a table of its own: flat, or a kernel map.
static struct session_probe *load_probe(const char *name, __u32 pages, __u32 sessions)
{
	char pins[64];
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = testing_pins(name, pins));
	struct session_probe *p = session_probe__open_opts(&options);
	struct gateway_config *cfg;

	if (!p)
		fatal("the probe does not open");
	cfg = (struct gateway_config *)&p->rodata->cfg;
	cfg->session_pages = pages;
	cfg->tick_q10 = 4096;
	bpf_map__set_max_entries(p->maps.flat_sessions, pages ? pages : 1);
	bpf_map__set_max_entries(p->maps.sessions, pages ? 1024 : sessions);
	bpf_map__set_max_entries(p->maps.cache, 16);
	if (session_probe__load(p))
		fatal("the probe does not load");
	p->bss->driving.sessions = sessions;
	p->bss->driving.random = 88172645463325252ull;
	return p;
}

// Inserts all sessions, in parts that are timed in turn; then lookups and newer copies.
static void bench_table(struct bench *b, __u32 sessions)
{
	static const char *const names[] = {"flat", "kernel hash"};
	struct session_probe *probe[2] = {load_probe("probe-flat", pages_for(sessions), sessions),
					  load_probe("probe-kernel", 0, sessions)};
	const int times = b->quick ? 50000 : 200000;
	struct row row[2] = {};
	int rounds = b->rounds;
	__u32 action;

	b->rows = 0;
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < 2; k++) {
			row[k].ns[i] = run(bpf_program__fd(probe[k]->progs.time_insert),
					   sessions / rounds, &action);
			if (action != XDP_DROP)
				fatalx("%s takes no session %u", names[k],
				       probe[k]->bss->driving.next);
		}
	for (int k = 0; k < 2; k++)
		while (probe[k]->bss->driving.next < sessions)
			run(bpf_program__fd(probe[k]->progs.time_insert), 1, &action);

	row_add(b, "choose a session, hash its key", probe[0]->progs.time_nothing, 1);
	row_add(b, "lookup, flat table", probe[0]->progs.time_read, 1);
	row_add(b, "lookup, kernel hash", probe[1]->progs.time_read, 1);
	row_add(b, "replicate a change, flat table", probe[0]->progs.time_copy, 1);
	row_add(b, "replicate a change, kernel hash", probe[1]->progs.time_copy, 1);
	measure(b, &probe[0]->bss->driving, -1, -1, times);
	for (int k = 0; k < 2; k++) {
		row[k].name = k ? "insert, kernel hash" : "insert, flat table";
		b->row[b->rows++] = row[k];
	}
	report(b, "A flow table node's table", sessions, "choose a session, hash its key");
	judge(b, "insert, flat table over kernel hash", sessions,
	      ratio(b, "insert, flat table", "insert, kernel hash",
		    "choose a session, hash its key"),
	      1.5, 1);
	for (int k = 0; k < 2; k++)
		session_probe__destroy(probe[k]);
}

#define PIECE 28672 // bench/memory.bpf.c
#define LINE 64
#define PIECES_AT_ONCE 256 // descriptors that are open at a time

static void make_pieces(int outer, __u32 count)
{
	int fd[PIECES_AT_ONCE];
	__u32 key[PIECES_AT_ONCE];

	for (__u32 i = 0; i < count; i += PIECES_AT_ONCE) {
		const __u32 some = count - i < PIECES_AT_ONCE ? count - i : PIECES_AT_ONCE;
		__u32 done = some;

		for (__u32 k = 0; k < some; k++) {
			key[k] = i + k;
			fd[k] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "piece", 4, PIECE, 1, NULL);
			if (fd[k] < 0)
				fatal("no piece of memory");
		}
		if (bpf_map_update_batch(outer, key, fd, &done, NULL))
			fatal("pieces cannot be put together");
		for (__u32 k = 0; k < some; k++)
			close(fd[k]);
	}
}

// What one miss costs, in memory that can be mapped and in the kernel's own.
static void bench_memory(struct bench *b, __u32 sessions)
{
	const __u32 lines = pages_for(sessions) * (FLAT_PAGE_BYTES / LINE);
	const __u32 pieces = lines / (PIECE / LINE - 1) + 1;
	struct memory *m = memory__open();
	__u32 action;

	if (!m)
		fatal("the memory's programs do not open");
	bpf_map__set_max_entries(m->maps.mapped, lines);
	bpf_map__set_max_entries(m->maps.pieces, pieces);
	if (memory__load(m))
		fatal("the memory's programs do not load");
	make_pieces(bpf_map__fd(m->maps.pieces), pieces);
	run(bpf_program__fd(m->progs.place), 1, &action);
	m->bss->misplaced %= LINE;
	m->bss->driving.sessions = lines;
	b->rows = 0;
	row_add(b, "choose a line", m->progs.read_nothing, 1);
	row_add(b, "an array that can be mapped", m->progs.read_mapped, 1);
	row_add(b, "arrays of 28 KiB in an array of maps", m->progs.read_pieces, 1);
	measure(b, &m->bss->driving, -1, -1, b->quick ? 100000 : 300000);
	report(b, "One line at random, of as much memory as a table has", sessions,
	       "choose a line");
	memory__destroy(m);
}

// All slots of a table that is half full, as survey and ageing do.
static void bench_scan(struct bench *b, __u32 sessions)
{
	struct node_wish wish = {.name = "scan",
				 .roles = ROLE_FWD,
				 .sessions = 16,
				 .cached = 16,
				 .flat = pages_for(sessions)};
	auto_(flat_map_close) struct flat_map map = {};
	struct timespec begin, end;
	struct flat_session session;
	struct node n;
	__u64 found = 0;
	double ms;

	node_load(&n, &wish);
	fill_flat(&n, sessions);
	if (flat_map_open(&map, node_map(&n, "flat_cache")))
		fatal("the flat table cannot be mapped");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (__u32 page = 0; page < map.pages; page++)
		for (__u32 slot = 1; slot <= FLAT_SLOTS; slot++)
			found += flat_map_get(&map, page, slot, &session);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	ms = (end.tv_sec - begin.tv_sec) * 1e3 + (end.tv_nsec - begin.tv_nsec) / 1e6;
	printf("\nScanned %u slots, %ju sessions copied out, in %.0f ms of a core\n",
	       map.pages * FLAT_SLOTS, (uintmax_t)found, ms);
	judge(b, "ms of a core to scan 10 million slots", sessions,
	      ms * 1e7 / ((double)map.pages * FLAT_SLOTS), 1000, 1);
	node_free(&n);
}

static void say_where(struct bench *b, json_t *all)
{
	char line[256], cpu[128] = "unknown";
	struct utsname system;
	FILE *f = fopen("/proc/cpuinfo", "re");

	uname(&system);
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %127[^\n]", cpu) == 1)
			break;
	if (f)
		fclose(f);
	printf("%s, %ld CPUs, Linux %s; %d rounds of each row in turn, ns by PROG_TEST_RUN; net: over "
	       "the first row\n",
	       cpu, sysconf(_SC_NPROCESSORS_ONLN), system.release, b->rounds);
	json_object_set_new(all, "cpu", json_string(cpu));
	json_object_set_new(all, "kernel", json_string(system.release));
	json_object_set_new(all, "rounds", json_integer(b->rounds));
}

int main(int argc, char **argv)
{
	static struct bench bench = {.rounds = 21};
	json_t *all = json_object();
	const char *path = NULL;
	struct drive *drive;
	int option, memory_only = 0;

	while ((option = getopt(argc, argv, "qmo:")) != -1)
		if (option == 'q')
			bench.quick = 1;
		else if (option == 'm')
			memory_only = 1;
		else if (option == 'o')
			path = optarg;
		else
			fatalx("usage: %s [-q] [-o file.json]", argv[0]);
	if (bench.quick)
		bench.rounds = 9;
	testing_begin();
	drive = drive__open_and_load();
	if (!drive || !all)
		fatal("the driving program does not load");
	put_frame(&drive->bss->driving);
	bench.results = json_array();
	say_where(&bench, all);
	if (memory_only)
		goto memory;
	bench_hits(&bench, drive, 1024);
	bench_hits(&bench, drive, 65536);
	bench_hits(&bench, drive, 1048576);
	if (!bench.quick)
		bench_hits(&bench, drive, 10000000);
	bench_table(&bench, 1048576);
	bench_scan(&bench, 1048576);
memory:
	bench_memory(&bench, 65536);
	bench_memory(&bench, 1048576);
	drive__destroy(drive);
	json_object_set_new(all, "results", bench.results);
	if (path && json_dump_file(all, path, JSON_INDENT(1)))
		fatal("cannot write %s", path);
	json_decref(all);
	return 0;
}
