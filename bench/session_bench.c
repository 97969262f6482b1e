// SPDX-License-Identifier: Apache-2.0
// What a session hit costs, with the flat table and with kernel maps, beside what it cannot be
// cheaper than: nanoseconds by PROG_TEST_RUN, sessions in random order, the rows of one table taken
// in turn so that what the machine does meanwhile meets all of them.
//
//   session_bench [-c] [-q] [-o file.json]      -q: in a minute; -c: in seconds, only whether a
//                                               hit became much dearer: exit 1
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/tracked.h"
#include "bench/values.h"
#include "bench/world.h"
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

// A program, and what it took in each round.
struct row {
	const char *name;
	int program; // called by the driving one
	int alone;   // or a program that makes its packets itself
	double ns[MOST_ROUNDS];
};

struct bench {
	int quick;
	int check;  // only whether something became much dearer
	int missed; // it did
	int rounds;
	json_t *results;
	struct row row[MAX_ROWS];
	int rows;
};

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

static const struct row *row_named(const struct bench *b, const char *name)
{
	for (int i = 0; i < b->rows; i++)
		if (!strcmp(b->row[i].name, name))
			return &b->row[i];
	fatalx("no row %s", name);
}

// base NULL: nothing is taken off.
static double ratio(const struct bench *b, const char *over, const char *under, const char *base)
{
	return values_ratio(row_named(b, over)->ns, row_named(b, under)->ns,
			    base ? row_named(b, base)->ns : NULL, b->rounds);
}

static void report(struct bench *b, const char *title, __u32 sessions, const char *base)
{
	double floor = values_quantile(row_named(b, base)->ns, b->rounds, 0.5);

	printf("\n%s, %u sessions\n%-44s %8s %8s %8s %8s\n", title, sessions, "", "median", "p10",
	       "p90", "net");
	for (int i = 0; i < b->rows; i++) {
		struct row *row = &b->row[i];
		double middle = values_quantile(row->ns, b->rounds, 0.5);
		double low = values_quantile(row->ns, b->rounds, 0.1);
		double high = values_quantile(row->ns, b->rounds, 0.9);

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

// Whether everything was forwarded: a table without its sessions would be fast.
static void must_forward(const struct node *n, __u64 runs)
{
	struct verdict_count sum[VERDICTS];

	if (verdicts_read(node_map(n, "verdicts"), sum) || sum[FORWARDED].packets < runs)
		fatalx("%s forwarded %ju of %ju packets", n->name,
		       (uintmax_t)sum[FORWARDED].packets, (uintmax_t)runs);
}

// A row's time, the driving program's included, in those of parsing alone: as good as free of what
// the machine is and does meanwhile.
static void bound(struct bench *b, const char *name, double most)
{
	double value = ratio(b, name, "parse only", NULL);

	printf("%-44s %8.2f   times parsing; at most %.1f: %s\n", name, value, most,
	       value <= most ? "ok" : "TOO MUCH");
	b->missed |= value > most;
}

static void bench_hits(struct bench *b, struct drive *drive, __u32 sessions)
{
	const __u32 pages = flat_pages_for(sessions);
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
	world_put(&flat);
	world_fill_flat(&flat, sessions);
	floor = world_floor(&flat, testing_pins(names[0], pins), pages);
	fixed = world_floor(&flat, testing_pins(names[0], pins), 0);
	wish.name = names[1];
	wish.flat = 0;
	wish.cached = pages * FLAT_SLOTS;
	node_load(&kernel, &wish);
	world_put(&kernel);
	world_fill_kernel(&kernel, sessions);

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
	if (b->check) {
		// With a margin of a half over what was measured (docs/performance.md).
		bound(b, "the gateway, nothing looked up", 6);
		bound(b, "flat table", 8);
		bound(b, "kernel LRU hash", 9);
	}
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
	bpf_map__set_max_entries(p->maps.sessions, pages ? flat_beside_for(sessions) : sessions);
	bpf_map__set_max_entries(p->maps.cache, 16);
	if (session_probe__load(p))
		fatal("the probe does not load");
	p->bss->driving.sessions = sessions;
	p->bss->driving.random = 88172645463325252ull;
	return p;
}

// What the kernel holds for a map.
static double bytes_of(const struct bpf_map *map)
{
	char path[64], line[128];
	double bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %lf", &bytes) == 1)
			break;
	if (f)
		fclose(f);
	if (!(bytes > 0))
		fatalx("how large %s is, is not told", bpf_map__name(map));
	return bytes;
}

static void report_bytes(struct bench *b, const char *name, __u32 sessions, double bytes)
{
	printf("%-44s %8.1f\n", name, bytes);
	json_array_append_new(b->results,
			      json_pack("{s:s, s:i, s:s, s:f}", "what", "memory", "sessions",
					(int)sessions, "row", name, "bytes_per_session", bytes));
}

// Of tables that have all sessions, as large as zetad makes them for so many, beside conntrack.
static void bench_bytes(struct bench *b, struct session_probe *const probe[2], __u32 sessions)
{
	const __u32 tracked = b->quick ? 50000 : 200000;
	double bytes[2], conntrack = tracked_bytes(tracked);

	for (int k = 0; k < 2; k++)
		bytes[k] = (bytes_of(probe[k]->maps.flat_sessions) +
			    bytes_of(probe[k]->maps.sessions)) /
			   sessions;
	printf("\nBytes of memory per session and replica, both directions, %u sessions\n",
	       sessions);
	report_bytes(b, "flat table", sessions, bytes[0]);
	report_bytes(b, "kernel hash", sessions, bytes[1]);
	if (conntrack > 0)
		report_bytes(b, "nf_conntrack, NAT", tracked, conntrack);
	else
		printf("nf_conntrack: tracks fewer than %u connections here\n", tracked);
	judge(b, "bytes per session, flat table", sessions, bytes[0], 256, 1);
	judge(b, "bytes per session, kernel hash", sessions, bytes[1], 256, 1);
}

// Inserts all sessions, in parts that are timed in turn; then lookups and newer copies.
static void bench_table(struct bench *b, __u32 sessions)
{
	static const char *const names[] = {"flat", "kernel hash"};
	struct session_probe *probe[2] = {
		load_probe("probe-flat", flat_pages_for(sessions), sessions),
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
	bench_bytes(b, probe, sessions);
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
	const __u32 lines = flat_pages_for(sessions) * (FLAT_PAGE_BYTES / LINE);
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
				 .flat = flat_pages_for(sessions)};
	auto_(flat_map_close) struct flat_map map = {};
	struct timespec begin, end;
	struct flat_session session;
	struct node n;
	__u64 found = 0;
	double ms;

	node_load(&n, &wish);
	world_fill_flat(&n, sessions);
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

int main(int argc, char **argv)
{
	static struct bench bench = {.rounds = 21};
	const char *path = NULL;
	struct drive *drive;
	json_t *all;
	int option, memory_only = 0;

	while ((option = getopt(argc, argv, "cqmo:")) != -1)
		if (option == 'q')
			bench.quick = 1;
		else if (option == 'c')
			bench.quick = bench.check = 1;
		else if (option == 'm')
			memory_only = 1;
		else if (option == 'o')
			path = optarg;
		else
			fatalx("usage: %s [-c] [-q] [-o file.json]", argv[0]);
	if (bench.quick)
		bench.rounds = 9;
	testing_begin();
	drive = drive__open_and_load();
	if (!drive)
		fatal("the driving program does not load");
	world_frame(&drive->bss->driving);
	bench.results = json_array();
	all = values_heading(
		"ns by PROG_TEST_RUN, the rows of a table in turn; net: over the first",
		bench.rounds);
	if (memory_only)
		goto memory;
	bench_hits(&bench, drive, 1024);
	if (bench.check)
		goto end;
	bench_hits(&bench, drive, 65536);
	bench_hits(&bench, drive, 1048576);
	if (!bench.quick)
		bench_hits(&bench, drive, 10000000);
	bench_table(&bench, 1048576);
	bench_scan(&bench, 1048576);
memory:
	bench_memory(&bench, 65536);
	bench_memory(&bench, 1048576);
end:
	drive__destroy(drive);
	json_object_set_new(all, "results", bench.results);
	if (path && json_dump_file(all, path, JSON_INDENT(1)))
		fatal("cannot write %s", path);
	json_decref(all);
	return bench.missed;
}
