// SPDX-License-Identifier: Apache-2.0
// The flat table's page with threads in place of CPUs: two that put and change sessions, two that
// read them, and one that ages them without a lock, all at once on two pages. Every field of a
// record follows from its key and one number, so a record made of two shows itself. Built once more
// under the thread sanitizer.
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "modules/session/flat.h"

#ifndef TURNS
#define TURNS 200000
#endif
#define PAGES 2
#define KEYS 120 // about twice as many as there is room for

struct test {
	_Alignas(FLAT_PAGE_BYTES) union flat_page page[PAGES];
	int evict;  // a cache: what is full gives something up; else it refuses
	int ageing; // sessions end without notice
	int blind;  // reads without looking at versions: torn records must be seen
	int writing;
	uint64_t torn, read, missed, written, refused, removed;
};

struct thread {
	struct test *test;
	uint64_t random;
	uint64_t torn, done, other;
};

static uint32_t random_of(struct thread *t, uint32_t below)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return (t->random >> 32) * below >> 32;
}

// Some are met much more often than others.
static uint32_t random_key(struct thread *t)
{
	return random_of(t, 4) ? random_of(t, 3) : random_of(t, KEYS);
}

static struct session_key key_of(uint32_t i)
{
	struct session_key key = {.a = address_of_v4(i + 1),
				  .b = address_of_v4(~i),
				  .a_port = i * 7,
				  .b_port = i * 3,
				  .vni = {1, 2, 3},
				  .protocol = 17};
	return key;
}

static void fill(void *field, size_t size, uint32_t i, uint32_t number)
{
	uint8_t *byte = field;
	uint32_t x = (i * 2654435761u) ^ (number * 40503u);

	while (size--) {
		x = x * 1664525 + 1013904223;
		*byte++ = x >> 24;
	}
}

static struct decision decision_of(uint32_t i, uint32_t number, uint32_t direction)
{
	struct decision d = {};

	// Never 0.0.0.0, which a slot takes for no address.
	d.host = address_of_v4((i + 1) << 24 | (number & 0xFFFF) << 1 | direction);
	fill(d.host_mac, 6, i, number);
	fill(d.to_mac, 6, i + 1, number);
	fill(d.from_mac, 6, i + 2, number + direction);
	fill(d.vni, 3, i, number);
	d.action = number & FLAT_ACTION;
	d.flags = number >> 2 & FLAT_FLAGS;
	d.reason = number >> 6;
	return d;
}

static struct dft_record record_of(uint32_t i, uint32_t number)
{
	return (struct dft_record){
		.stamp = {i, number},
		.incarnation = {~i, number},
		.policy = number * 31,
		.state = number & FLAT_STATE,
		.life = DFT_LIVE,
		.towards = {decision_of(i, number, 0), decision_of(i, number, 1)},
	};
}

static union flat_page *page_of(struct test *test, uint32_t i, struct session_key *key,
				struct flat_place *place)
{
	uint64_t hash;

	*key = key_of(i);
	hash = key_hash(key);
	*place = flat_place_of(hash);
	return &test->page[flat_page_of(hash, PAGES)];
}

// Puts a session, or a newer number into the one that is there.
static int put(struct thread *t, uint32_t i, uint32_t number)
{
	struct dft_record record = record_of(i, number);
	struct flat_content content = {.asked = (number & FLAT_STATE) << 16 | i, .life = DFT_LIVE};
	struct flat_place place;
	struct session_key key;
	union flat_page *page = page_of(t->test, i, &key, &place);
	union flat_half room;
	uint32_t slot;
	int done;

	content.key = flat_key_of(&key);
	content.tag = place.tag;
	content.second = record.policy;
	while (!flat_lock(page))
		sched_yield();
	slot = flat_find_locked(page, &content.key, place);
	if (!slot)
		slot = flat_free(page, place);
	if (!slot && t->test->evict)
		slot = flat_victim(page, place, number << 16);
	done = slot && flat_write(page, slot, &content, &record, &room);
	flat_unlock(page);
	return done;
}

static void *writes(void *context)
{
	struct thread *t = context;

	for (int turn = 0; turn < TURNS; turn++) {
		if (put(t, random_key(t), turn))
			t->done++;
		else
			t->other++;
	}
	__atomic_fetch_sub(&t->test->writing, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int half_is_whole(const union flat_half *half, uint32_t i, uint32_t direction)
{
	struct dft_record want = record_of(i, half->stamp.counter);
	struct dft_stamp stamp = direction ? want.incarnation : want.stamp;
	struct decision got;

	flat_decision_of(half, &got);
	return !memcmp(&stamp, &half->stamp, sizeof(stamp)) && half->policy == want.policy &&
	       half->state == want.state && half->what >> FLAT_LIFE_SHIFT == DFT_LIVE &&
	       !memcmp(&got, &want.towards[direction], sizeof(got));
}

// One direction as the forwarder reads it. Returns whether the key was there.
static int read_one(struct thread *t, uint32_t i, uint32_t direction)
{
	struct flat_place place;
	struct session_key key;
	union flat_page *page = page_of(t->test, i, &key, &place);
	union flat_key k = flat_key_of(&key);
	uint32_t slot = flat_find(page, &k, place, direction);
	union flat_half half;

	if (!slot)
		return 0;
	if (t->test->blind) {
		const union flat_half *from = &flat_slot_of(page, slot)->half[direction];

		half.asked = flat_load(&from->asked);
		for (int w = 1; w < 8; w++)
			half.word[w] = flat_load(&from->word[w]);
	} else if (!flat_read_half(page, slot, direction, &k, &half)) {
		return 0;
	}
	t->torn += !half_is_whole(&half, i, direction);
	return 1;
}

static int read_both(struct thread *t, uint32_t i)
{
	struct flat_place place;
	struct session_key key;
	union flat_page *page = page_of(t->test, i, &key, &place);
	union flat_key k = flat_key_of(&key);
	uint32_t slot = flat_find(page, &k, place, 0), asked;
	struct dft_record record, want;
	union flat_half room;

	if (!slot || !flat_read(page, slot, &k, &room, &record, &asked))
		return 0;
	want = record_of(i, record.stamp.counter);
	t->torn += memcmp(&record, &want, sizeof(want)) != 0;
	return 1;
}

static void *reads(void *context)
{
	struct thread *t = context;

	while (__atomic_load_n(&t->test->writing, __ATOMIC_ACQUIRE)) {
		uint32_t i = random_key(t), how = random_of(t, 3);
		int found = how == 2 && !t->test->blind ? read_both(t, i) : read_one(t, i, how & 1);

		if (found)
			t->done++;
		else
			t->other++;
	}
	return NULL;
}

static void *ages(void *context)
{
	struct thread *t = context;

	for (int turn = 0; __atomic_load_n(&t->test->writing, __ATOMIC_ACQUIRE); turn++) {
		union flat_page *page = &t->test->page[random_of(t, PAGES)];
		uint32_t slot = 1 + random_of(t, FLAT_SLOTS);
		uint32_t version = flat_load(&flat_slot_of(page, slot)->half[0].version);

		if (flat_remove(page, slot, version))
			t->done++;
		if (turn % 64 == 0)
			sched_yield();
	}
	return NULL;
}

// Afterwards: no lock is held, no slot is being written, and no key is there twice.
static int check_rest(struct test *test)
{
	int wrong = 0, count[KEYS] = {};

	for (int p = 0; p < PAGES; p++) {
		wrong += test->page[p].head.lock != 0;
		for (uint32_t slot = 1; slot <= FLAT_SLOTS; slot++) {
			const union flat_half *half = test->page[p].slot[slot].half;
			uint32_t i = half[0].key.a - 1;

			wrong += (half[0].version & FLAT_BUSY) || (half[1].version & FLAT_BUSY);
			wrong += half[0].version != half[1].version;
			if (!(half[0].version & FLAT_HELD))
				continue;
			wrong += i >= KEYS || count[i]++;
			wrong += memcmp(&half[0].key, &half[1].key, sizeof(half[0].key)) != 0;
			wrong += !half_is_whole(&half[0], i, 0) || !half_is_whole(&half[1], i, 1);
		}
	}
	return wrong;
}

static int run(struct test *test, const char *name)
{
	void *(*const jobs[])(void *) = {writes, writes, reads, reads, ages};
	const int threads = test->ageing ? 5 : 4;
	struct thread thread[5] = {};
	pthread_t id[5];
	int wrong;

	test->writing = 2;
	for (int i = 0; i < threads; i++) {
		thread[i] = (struct thread){.test = test, .random = 88172645463325252ull * (i + 1)};
		if (pthread_create(&id[i], NULL, jobs[i], &thread[i]))
			fatalx("no thread");
	}
	for (int i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	test->written += thread[0].done + thread[1].done;
	test->refused += thread[0].other + thread[1].other;
	test->read += thread[2].done + thread[3].done;
	test->missed += thread[2].other + thread[3].other;
	test->torn += thread[2].torn + thread[3].torn;
	test->removed += thread[4].done;
	wrong = check_rest(test);
	printf("%s: %ju written, %ju refused, %ju read, %ju not found, %ju removed, %ju torn, %d wrong\n",
	       name, (uintmax_t)test->written, (uintmax_t)test->refused, (uintmax_t)test->read,
	       (uintmax_t)test->missed, (uintmax_t)test->removed, (uintmax_t)test->torn, wrong);
	return wrong;
}

// A session that is there is found while others come, go and change, and it itself changes.
static int test_stays(void)
{
	static struct test test;
	struct thread t = {.test = &test, .random = 1};
	int wrong = 0;

	for (uint32_t i = 0; i < KEYS; i++) {
		int done = put(&t, i, 1);

		for (uint32_t k = 0; k <= i; k++)
			if (read_one(&t, k, k & 1) != read_both(&t, k))
				wrong++;
		if (done != read_both(&t, i))
			wrong++;
	}
	return wrong + (t.torn != 0) + check_rest(&test);
}

int main(void)
{
	static struct test cache = {.evict = 1, .ageing = 1}, table = {.ageing = 1},
			   still = {.evict = 1}, blind = {.evict = 1, .blind = 1};
	int wrong = test_stays();

	wrong += run(&cache, "cache");
	wrong += run(&table, "flow table");
	wrong += run(&still, "cache that nobody ages");
	wrong += cache.torn || table.torn || still.torn;
	wrong += !cache.removed || !table.removed || !table.refused || cache.refused ||
		 still.refused;
	// The detector is one: who does not look at versions reads torn records.
	for (int tries = 0; tries < 20 && !blind.torn; tries++)
		wrong += run(&blind, "reading blindly");
	wrong += !blind.torn;
	return wrong ? 1 : 0;
}
