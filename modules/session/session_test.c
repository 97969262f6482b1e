// SPDX-License-Identifier: Apache-2.0
// The flat table beside the kernel maps that are its reference: the same random ops in the kernel
// on both, and every answer the same. Few pages, so that sessions spill; keys and records that a
// slot cannot have; and in the end the tables' contents by their digests, read from the mapping.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bench/sessions.h"
#include "datapath/testing.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/session/flat_map.h"
#include "modules/session/probe.h"
#include "modules/session/session.h"
#include "shared/address.h"
#include "shared/config.h"
#include "shared/limits.h"

// After the types that it names.
#include "session_probe.skel.h"

#define SESSION_PAGES 4 // for 124 sessions
#define CACHE_PAGES 64	// nothing is evicted: what each keeps is its own affair
#define KEYS 200
#define TURNS 60000

struct side {
	struct session_probe *probe;
	int program;
};

struct test {
	struct side flat, kernel;
	struct dft_stamp stamp[KEYS], incarnation[KEYS]; // what was seen last
	__u32 sort[KEYS]; // session_sort() of what each key's record must be
	__u32 floor;
	uint64_t random, seen[16][8];
};

static uint32_t random_of(struct test *t, uint32_t below)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (t->random >> 32) * below >> 32;
}

static void load(struct side *side, const char *name, uint32_t flat)
{
	char pins[64];
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = testing_pins(name, pins));
	struct gateway_config *cfg;

	side->probe = session_probe__open_opts(&options);
	if (!side->probe)
		fatal("the probe does not open");
	cfg = (struct gateway_config *)&side->probe->rodata->cfg;
	if (flat) {
		cfg->session_pages = SESSION_PAGES;
		cfg->cache_pages = CACHE_PAGES;
		bpf_map__set_max_entries(side->probe->maps.flat_sessions, SESSION_PAGES);
		bpf_map__set_max_entries(side->probe->maps.flat_cache, CACHE_PAGES);
	}
	bpf_map__set_max_entries(side->probe->maps.sessions, 4096);
	bpf_map__set_max_entries(side->probe->maps.cache, 4096);
	if (session_probe__load(side->probe))
		fatal("the probe does not load");
	side->program = bpf_program__fd(side->probe->progs.probe);
}

static struct session_key key_of(uint32_t i)
{
	struct session_key key = {.a = address_of_v4(0x0A000000 + i),
				  .b = address_of_v4(0x0B000000 + i % 7),
				  .a_port = i,
				  .b_port = 80,
				  .vni = {0, 0, 1 + i % 2},
				  .protocol = 6};

	if (i % 16 == 15)
		key.b.s6_addr[0] = 0x20; // IPv6
	return key;
}

static struct decision random_decision(struct test *t, int plain)
{
	struct decision d = {.action = random_of(t, 4),
			     .flags = random_of(t, 16),
			     .reason = random_of(t, 200),
			     .vni = {0, 0, random_of(t, 3)}};

	if (random_of(t, 8))
		d.host = address_of_v4(1 + random_of(t, 1000));
	d.host_mac[5] = random_of(t, 256);
	d.to_mac[0] = random_of(t, 256);
	d.from_mac[3] = random_of(t, 256);
	if (plain || random_of(t, 8))
		return d;
	// What no slot has.
	switch (random_of(t, 4)) {
	case 0:
		d.host.s6_addr[0] = 0x20;
		break;
	case 1:
		d.flags |= 0x10;
		break;
	case 2:
		d.action = 4;
		break;
	default:
		d.host = address_of_v4(0);
	}
	return d;
}

static struct probe random_probe(struct test *t, uint32_t i)
{
	struct probe p = {.key = key_of(i)};
	int plain;

	p.op = random_of(t, PROBE_RECORD + 1);
	// A cache need not keep what no slot has. What was in the kernel map once stays there, so
	// it is a few keys only.
	plain = p.op == PROBE_STORE || i % 8;
	if (!random_of(t, 50))
		t->floor++;
	p.floor = t->floor;
	p.asked_ms = random_of(t, 1000);
	p.stateful = random_of(t, 2);
	p.direction = random_of(t, 2);
	p.seen = random_of(t, 4) ? t->stamp[i] : (struct dft_stamp){t->floor, 0};
	if (p.op == PROBE_UPDATE && random_of(t, 4))
		p.seen = t->incarnation[i];
	p.told = t->floor - random_of(t, 2) + random_of(t, 2);
	p.record.stamp = t->stamp[i];
	p.record.stamp.counter += random_of(t, 3);
	p.record.incarnation = t->incarnation[i];
	p.record.policy = random_of(t, 5);
	p.record.state = 1u << random_of(t, 16) & DFT_STATE_BITS;
	p.record.life = random_of(t, 3) ? DFT_LIVE : DFT_TOMBSTONE;
	p.record.towards[0] = random_decision(t, plain);
	p.record.towards[1] = random_decision(t, plain);
	return p;
}

static void run(const struct side *side, struct probe *p)
{
	struct bpf_test_run_opts options = {
		.sz = sizeof(options),
		.data_in = p,
		.data_size_in = sizeof(*p),
		.data_out = p,
		.data_size_out = sizeof(*p),
	};

	if (bpf_prog_test_run_opts(side->program, &options))
		fatal("the probe does not run");
	if (options.retval != 2) // XDP_PASS
		fatalx("the probe gave %u", options.retval);
}

// The state and the life of what a cache has are not its to say.
static void normalize(struct probe *p)
{
	if (p->op == PROBE_RECORD && p->result)
		p->record.state = p->record.life = 0;
}

// Whoever counts what comes and goes misses nothing: each change begins where the last one ended.
static int is_counted(struct test *t, uint32_t i, const struct probe *p)
{
	const __u32 was = t->sort[i], is = (__u32)p->record.life << 16 | p->record.state;

	if (p->op == PROBE_READ)
		return p->result ? was == is : !was;
	if (p->op > PROBE_COPY_READ || p->result)
		return 1;
	t->sort[i] = p->after;
	return p->before == was;
}

static int differ(struct test *t, uint32_t i)
{
	struct probe flat = random_probe(t, i), kernel = flat, asked = flat;

	run(&t->flat, &flat);
	run(&t->kernel, &kernel);
	normalize(&flat);
	normalize(&kernel);
	t->seen[kernel.op][kernel.op == PROBE_READ || kernel.op > PROBE_COPY_READ
				   ? kernel.result
				   : kernel.outcome]++;
	if (kernel.op <= PROBE_COPY_READ && kernel.record.life &&
	    (kernel.op == PROBE_READ ? kernel.result : !kernel.result)) {
		t->stamp[i] = kernel.record.stamp;
		t->incarnation[i] = kernel.record.incarnation;
	}
	if (!is_counted(t, i, &kernel)) {
		fprintf(stderr, "op %u on key %u: before %x, after %x, read %x %x\n", kernel.op, i,
			kernel.before, kernel.after, kernel.record.life, kernel.record.state);
		return 1;
	}
	if (!memcmp(&flat, &kernel, sizeof(flat)))
		return 0;
	fprintf(stderr, "op %u on key %u: flat %u, outcome %u; kernel %u, outcome %u\n", asked.op,
		i, flat.result, flat.outcome, kernel.result, kernel.outcome);
	return 1;
}

// Count and digest of a kernel map of sessions, added to what there is.
static void sum_kernel(int map, uint64_t *count, uint64_t *digest)
{
	struct session_key key, *last = NULL;
	struct session_value value;

	for (; !bpf_map_get_next_key(map, last, &key); last = &key) {
		if (bpf_map_lookup_elem(map, &key, &value))
			continue;
		++*count;
		*digest += session_digest(&key, &value.record);
	}
}

static int compare_tables(const struct test *t)
{
	auto_(flat_map_close) struct flat_map map = {};
	uint64_t count[2] = {}, digest[2] = {}, slots = 0;
	struct flat_session s;

	if (flat_map_open(&map, bpf_map__fd(t->flat.probe->maps.flat_sessions)))
		fatal("the flat table cannot be mapped");
	for (uint32_t page = 0; page < map.pages; page++) {
		slots += flat_map_count(&map, page);
		for (uint32_t slot = 1; slot <= FLAT_SLOTS; slot++)
			if (flat_map_get(&map, page, slot, &s)) {
				count[0]++;
				digest[0] += session_digest(&s.key, &s.record);
			}
	}
	printf("%ju sessions in slots, ", (uintmax_t)slots);
	if (slots != count[0])
		return 1;
	sum_kernel(bpf_map__fd(t->flat.probe->maps.sessions), &count[0], &digest[0]);
	sum_kernel(bpf_map__fd(t->kernel.probe->maps.sessions), &count[1], &digest[1]);
	printf("%ju spilled; %ju in the kernel map\n", (uintmax_t)(count[0] - slots),
	       (uintmax_t)count[1]);
	// There must have been some of each kind.
	return count[0] != count[1] || digest[0] != digest[1] || count[0] == slots || !slots;
}

// User space ends sessions that it saw, and only as it saw them; packets then begin them anew.
static int test_remove(struct test *t)
{
	auto_(flat_map_close) struct flat_map map = {};
	struct flat_session s;
	int wrong = 0, ended = 0;

	if (flat_map_open(&map, bpf_map__fd(t->flat.probe->maps.flat_sessions)))
		fatal("the flat table cannot be mapped");
	for (uint32_t page = 0; page < map.pages; page++)
		for (uint32_t slot = 1; slot <= FLAT_SLOTS; slot++) {
			struct probe p = {.op = PROBE_READ};

			if (!flat_map_get(&map, page, slot, &s))
				continue;
			s.version += FLAT_STEP;
			wrong += flat_map_remove(&map, page, slot, &s);
			s.version -= FLAT_STEP;
			wrong += !flat_map_remove(&map, page, slot, &s);
			wrong += flat_map_remove(&map, page, slot, &s);
			p.key = s.key;
			run(&t->flat, &p);
			wrong += p.result;
			p = (struct probe){.op = PROBE_COPY, .key = s.key, .record = s.record};
			p.record.stamp.floor = t->floor;
			p.record.life = DFT_LIVE;
			p.floor = t->floor;
			run(&t->flat, &p);
			wrong += p.result || p.outcome;
			p.op = PROBE_READ;
			run(&t->flat, &p);
			wrong += !p.result;
			ended++;
		}
	printf("%d sessions ended and begun anew, %d wrong\n", ended, wrong);
	return wrong || !ended;
}

int main(void)
{
	static struct test test = {.random = 88172645463325252ull, .floor = 1};
	int wrong = 0;

	testing_begin();
	load(&test.flat, "flat", 1);
	load(&test.kernel, "kernel", 0);
	for (int turn = 0; turn < TURNS && wrong < 10; turn++)
		wrong += differ(&test, random_of(&test, KEYS));
	for (int op = 0; op <= PROBE_RECORD; op++) {
		printf("op %d:", op);
		for (int i = 0; i < 8; i++)
			printf(" %ju", (uintmax_t)test.seen[op][i]);
		printf("\n");
	}
	wrong += compare_tables(&test);
	wrong += test_remove(&test);
	session_probe__destroy(test.flat.probe);
	session_probe__destroy(test.kernel.probe);
	return wrong ? 1 : 0;
}
