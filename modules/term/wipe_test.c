// SPDX-License-Identifier: Apache-2.0
// Real maps without programs: of the chains that are asked about nothing stays, of others
// everything; and no step keeps the loader for long.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/own.h"
#include "modules/session/flat.h"
#include "modules/session/flat_map.h"
#include "modules/term/wipe.h"
#include "shared/key.h"
#include "shared/move.h"
#include "shared/view.h"

#define CHAINS 4
#define SESSIONS 200000
#define FLAT_SESSIONS 100000
#define PAGES 8192

static struct datapath datapath;
static struct wipe wipe;
static __u32 left[CHAINS]; // records of each chain

static int array(__u32 value_size, __u32 entries, __u32 flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "", sizeof(__u32), value_size, entries, &options);
}

static struct session_key key_of(__u32 i)
{
	return (struct session_key){.a = address_of_v4(i),
				    .b = address_of_v4(1),
				    .a_port = 7,
				    .b_port = 9,
				    .vni[2] = 5};
}

static __u32 chain_of(const struct session_key *key)
{
	return (__u32)key_hash(key) % BUCKETS % CHAINS;
}

static void put_flat(struct flat_map *map, const struct session_key *key)
{
	struct dft_record record = {.life = DFT_LIVE};
	struct flat_place place = flat_place_of(key_hash(key));
	struct flat_content content = {
		.key = flat_key_of(key), .life = record.life, .tag = place.tag};
	union flat_page *page = &map->page[flat_page_of(key_hash(key), map->pages)];
	__u32 slot = flat_free(page, place);
	union flat_half room;

	if (slot && flat_write(page, slot, &content, &record, &room))
		left[chain_of(key)]++;
}

static int set_up(void **state)
{
	auto_(flat_map_close) struct flat_map flat = {};
	struct session_value value = {.record.life = DFT_LIVE};
	__u32 i, chain;

	memset(datapath.tables, -1, sizeof(datapath.tables));
	memset(datapath.own, -1, sizeof(datapath.own));
	memset(left, 0, sizeof(left));
	datapath.tables[TABLE_BUCKETS] = array(sizeof(__u32), BUCKETS, 0);
	datapath.tables[TABLE_ORIGINS] = array(sizeof(struct origin_value), BUCKETS, 0);
	datapath.tables[TABLE_CHAINS] = array(sizeof(struct chain_value), CHAINS, 0);
	datapath.own[MAP_FLOORS] = array(sizeof(__u32), BUCKETS, 0);
	datapath.own[MAP_FLAT_SESSIONS] = array(sizeof(union flat_page), PAGES, BPF_F_MMAPABLE);
	datapath.own[MAP_SESSIONS] = bpf_map_create(
		BPF_MAP_TYPE_HASH, "", sizeof(struct session_key), sizeof(value), SESSIONS, NULL);
	for (i = 0; i < BUCKETS; i++) {
		chain = i % CHAINS + 1;
		if (bpf_map_update_elem(datapath.tables[TABLE_BUCKETS], &i, &chain, BPF_ANY) ||
		    bpf_map_update_elem(datapath.own[MAP_FLOORS], &i, &i, BPF_ANY))
			return -1;
	}
	for (i = 0; i < SESSIONS; i++) {
		const struct session_key key = key_of(i);

		if (bpf_map_update_elem(datapath.own[MAP_SESSIONS], &key, &value, BPF_ANY))
			return -1;
		left[chain_of(&key)]++;
	}
	if (flat_map_open(&flat, datapath.own[MAP_FLAT_SESSIONS]))
		return -1;
	for (i = 0; i < FLAT_SESSIONS; i++) {
		const struct session_key key = key_of(SESSIONS + i);

		put_flat(&flat, &key);
	}
	return wipe_open(&wipe, &datapath);
}

static int tear_down(void **state)
{
	wipe_close(&wipe);
	close(datapath.tables[TABLE_BUCKETS]);
	close(datapath.tables[TABLE_ORIGINS]);
	close(datapath.tables[TABLE_CHAINS]);
	close(datapath.own[MAP_FLOORS]);
	close(datapath.own[MAP_FLAT_SESSIONS]);
	close(datapath.own[MAP_SESSIONS]);
	return 0;
}

static void assert_left(const __u32 expected[CHAINS])
{
	auto_(flat_map_close) struct flat_map flat = {};
	struct session_key key, *before = NULL;
	struct flat_session session;
	__u32 count[CHAINS] = {}, page, slot;

	while (!bpf_map_get_next_key(datapath.own[MAP_SESSIONS], before, &key)) {
		count[chain_of(&key)]++;
		before = &key;
	}
	assert_int_equal(flat_map_open(&flat, datapath.own[MAP_FLAT_SESSIONS]), 0);
	for (page = 0; page < flat.pages; page++)
		for (slot = 1; slot <= FLAT_SLOTS; slot++)
			if (flat_map_get(&flat, page, slot, &session))
				count[chain_of(&session.key)]++;
	assert_memory_equal(count, expected, sizeof(count));
}

static __u32 floor_of(__u32 bucket)
{
	__u32 floor;

	assert_int_equal(bpf_map_lookup_elem(datapath.own[MAP_FLOORS], &bucket, &floor), 0);
	return floor;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Has the loader's loop go round until the chain is done.
static void finish(__u32 chain, __u32 floor)
{
	double begun = seconds(), longest = 0, step;
	unsigned int steps;

	for (steps = 0; wipe_chain(&wipe, chain, floor) == -EINPROGRESS; steps++) {
		int wait;

		step = seconds();
		wait = wipe_step(&wipe);
		step = seconds() - step;
		longest = step > longest ? step : longest;
		assert_in_range(steps, 0, 100000);
		nanosleep(&(struct timespec){.tv_nsec = wait * 1000000l % 1000000000}, NULL);
	}
	printf("chain %u: %u steps in %.0f ms, the longest %.1f ms\n", chain, steps,
	       (seconds() - begun) * 1e3, longest * 1e3);
}

static void others_stay(void **state)
{
	assert_true(left[1] > SESSIONS / CHAINS);
	assert_left(left);
	finish(1, 0);
	left[1] = 0;
	assert_left(left);
	assert_int_equal(floor_of(4 * 7 + 1), 0);
	assert_int_equal(floor_of(4 * 7 + 2), 4 * 7 + 2);
	// Again, as if for the first time: what came meanwhile goes too.
	finish(1, 9);
	assert_int_equal(floor_of(4 * 7 + 1), 9);
	assert_left(left);
	assert_int_equal(wipe_step(&wipe), 1000);
}

// One that is asked about while another's scan goes on is not said to be done with that.
static void each_is_scanned_whole(void **state)
{
	int i;

	assert_int_equal(wipe_chain(&wipe, 0, 0), -EINPROGRESS);
	while (wipe_step(&wipe))
		;
	for (i = 0; i < 20; i++)
		assert_int_equal(wipe_step(&wipe), 0);
	assert_int_equal(wipe_chain(&wipe, 2, 0), -EINPROGRESS);
	finish(0, 0);
	left[0] = 0;
	finish(2, 0);
	left[2] = 0;
	assert_left(left);
}

// Another floor than is being set is another question.
static void floor_counts(void **state)
{
	assert_int_equal(wipe_chain(&wipe, 3, 0), -EINPROGRESS);
	wipe_step(&wipe);
	wipe_step(&wipe);
	finish(3, 1 << 20);
	assert_int_equal(floor_of(3), 1 << 20);
	left[3] = 0;
	assert_left(left);
}

static void put_transfer(const struct transfer *t)
{
	const __u64 word = transfer_pack(t);
	const __u32 only = 0;

	assert_int_equal(
		bpf_map_update_elem(datapath.tables[TABLE_TRANSFER], &only, &word, BPF_ANY), 0);
}

// M8: of a VPC that went to another cluster nothing is left, of another all.
static void gone(void **state)
{
	struct transfer t = {.number = 9, .vni = 6};
	int round;

	datapath.tables[TABLE_TRANSFER] = array(sizeof(__u64), 1, 0);
	for (round = 0; round < 3; round++) {
		// Not over yet; another VPC; this one.
		t.over = round > 0;
		t.number += (__u32)round;
		t.vni = round < 2 ? 6 : 5;
		put_transfer(&t);
		while (round && wipe.swept != t.number)
			usleep((__u32)wipe_step(&wipe) % 1000 * 1000);
		assert_int_equal(wipe_step(&wipe), 1000);
		if (round == 2)
			memset(left, 0, sizeof(left));
		assert_left(left);
	}
	assert_int_equal(floor_of(4 * 7 + 1), 4 * 7 + 1);
	close(datapath.tables[TABLE_TRANSFER]);
}

// M8: the VPC comes back while what it left is being removed, and after that: what is there from
// then on stays, whoever has started anew.
static void comes_back(void **state)
{
	struct transfer t = {.number = 9, .vni = 5, .over = 1};
	struct session_value value = {.record.life = DFT_LIVE};
	struct session_key key, first;
	__u32 count = 0;
	int i;

	datapath.tables[TABLE_TRANSFER] = array(sizeof(__u64), 1, 0);
	put_transfer(&t);
	while (wipe_step(&wipe))
		;
	while (!wipe.removed)
		wipe_step(&wipe);
	put_transfer(&(struct transfer){.number = 11, .vni = 5});
	assert_int_equal(bpf_map_get_next_key(datapath.own[MAP_SESSIONS], NULL, &first), 0);
	while (wipe.running)
		wipe_step(&wipe);
	assert_int_not_equal(wipe.swept, 9);
	assert_int_equal(bpf_map_lookup_elem(datapath.own[MAP_SESSIONS], &first, &value), 0);
	for (key = first; !bpf_map_get_next_key(datapath.own[MAP_SESSIONS], &key, &key);)
		count++;
	assert_true(count > SESSIONS / 2);

	// The word of the end is not what it was when the daemon starts that had removed it all.
	t.number = 12;
	put_transfer(&t);
	while (wipe.swept != 12)
		usleep((__u32)wipe_step(&wipe) % 1000 * 1000);
	assert_int_not_equal(bpf_map_get_next_key(datapath.own[MAP_SESSIONS], NULL, &key), 0);
	assert_int_equal(bpf_map_update_elem(datapath.own[MAP_SESSIONS], &first, &value, BPF_ANY),
			 0);
	wipe_close(&wipe);
	assert_int_equal(wipe_open(&wipe, &datapath), 0);
	for (i = 0; i < 1000 && (wipe.running || !i); i++)
		usleep((__u32)wipe_step(&wipe) % 1000 * 1000);
	assert_int_equal(bpf_map_lookup_elem(datapath.own[MAP_SESSIONS], &first, &value), 0);
	assert_int_equal(wipe.swept, 12);
	close(datapath.tables[TABLE_TRANSFER]);
}

// M7: of a bucket that moves from chain 1 to chain 2 the records are this node's where it is in the
// path of the one that is not wiped, else nobody's.
static void buckets_that_move(void **state)
{
	const struct origin_value origin = {.move = 3, .from = 1 + 1};
	struct chain_value chain = {.live = 1, .node = {7}};
	const __u32 one = 1, two = 2;
	__u32 i;

	datapath.settings.index = 7;
	for (i = 0; i < BUCKETS; i++)
		if (i % CHAINS == 2)
			bpf_map_update_elem(datapath.tables[TABLE_ORIGINS], &i, &origin, BPF_ANY);
	bpf_map_update_elem(datapath.tables[TABLE_CHAINS], &one, &chain, BPF_ANY);
	finish(2, 9);
	assert_left(left);
	assert_int_equal(floor_of(4 * 7 + 2), 4 * 7 + 2);
	chain.node[0] = 6;
	bpf_map_update_elem(datapath.tables[TABLE_CHAINS], &one, &chain, BPF_ANY);
	chain.node[0] = 7;
	bpf_map_update_elem(datapath.tables[TABLE_CHAINS], &two, &chain, BPF_ANY);
	finish(1, 9);
	left[1] = 0;
	assert_left(left);
	chain.node[0] = 6;
	bpf_map_update_elem(datapath.tables[TABLE_CHAINS], &two, &chain, BPF_ANY);
	finish(1, 9);
	left[2] = 0;
	assert_left(left);
	assert_int_equal(floor_of(4 * 7 + 2), 9);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(others_stay), TEST(each_is_scanned_whole), TEST(floor_counts), TEST(gone),
		TEST(comes_back),  TEST(buckets_that_move),
	};

	if (geteuid()) {
		fprintf(stderr, "skipped: needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
