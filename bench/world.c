// SPDX-License-Identifier: Apache-2.0
// The gateway nodes that are measured, and their sessions.
#include "bench/world.h"

#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "gateway.skel.h"
#include "floor.skel.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/session/flat.h"
#include "modules/session/flat_map.h"

#define ACK 0x10

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

void world_put(const struct node *n)
{
	struct entrance_value entrance = {.ip = address_must("192.168.0.201"),
					  .mac = {2, 14, 0, 0, 0, 1},
					  .live = 1,
					  .owner = FWD};
	struct vpc_value vpc = {.policy = 1};
	uint32_t zero = 0, vni = BENCH_VNI;

	node_entrance(n, zero, &entrance);
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

void world_frame(struct driving *driving)
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

void world_fill_flat(const struct node *n, __u32 sessions)
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

void world_fill_kernel(const struct node *n, __u32 sessions)
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

struct floor *world_floor(const struct node *n, const char *pins, __u32 pages)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = pins);
	struct floor *f = floor__open_opts(&options);
	struct dft_record record = bench_record();
	struct flat_content content = {.asked = slow_clock(), .life = FLAT_STATEFUL};
	struct flat_slot slot;
	struct bpf_program *program = NULL;
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
	// The other programs of the gateway take no part in a hit.
	while ((program = bpf_object__next_program(f->obj, program)))
		bpf_program__set_autoload(program,
					  program == f->progs.gateway || program == f->progs.parse);
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
