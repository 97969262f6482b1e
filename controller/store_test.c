// SPDX-License-Identifier: Apache-2.0
// The object store: what it keeps, what it refuses, what it tells, and what survives.
#include "controller/store.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

struct context {
	char directory[32];
	char path[64];
	struct store *store;
};

static int open_store(void **state)
{
	struct context *c = calloc(1, sizeof(*c));

	if (!c)
		return -1;
	*state = c;
	snprintf(c->directory, sizeof(c->directory), "/tmp/zeta-store-XXXXXX");
	if (!mkdtemp(c->directory))
		return -1;
	snprintf(c->path, sizeof(c->path), "%s/store.db", c->directory);
	return store_open(&c->store, c->path);
}

static int close_store(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	struct context *c = *state;
	char path[80];
	size_t i;

	store_freep(&c->store);
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", c->path, ends[i]);
		unlink(path);
	}
	rmdir(c->directory);
	free(c);
	return 0;
}

static void reopen(struct context *c)
{
	store_freep(&c->store);
	assert_int_equal(store_open(&c->store, c->path), 0);
}

static int put_extra(struct store *store, const char *kind, const char *scope, const char *id,
		     const char *name, const json_t *extra)
{
	json_t *body = json_pack("{s:s, s:s}", "id", id, "name", name);
	int err = store_put(store, kind, scope, body, extra);

	json_decref(body);
	return err;
}

static void put(struct store *store, const char *kind, const char *scope, const char *id,
		const char *name)
{
	assert_int_equal(store_begin(store), 0);
	assert_int_equal(put_extra(store, kind, scope, id, name, NULL), 0);
	assert_int_equal(store_commit(store), 0);
}

struct seen {
	int count;
	char ids[256];
	uint32_t number;
	uint64_t revision;
};

static int see(const struct object *object, void *arg)
{
	struct seen *seen = arg;
	size_t used;

	assert_string_equal(json_string_value(json_object_get(object->body, "id")), object->id);
	assert_int_equal(json_integer_value(json_object_get(object->body, "revision")),
			 object->revision);
	seen->count++;
	used = strlen(seen->ids);
	snprintf(seen->ids + used, sizeof(seen->ids) - used, "%s ", object->id);
	seen->number = object->number;
	seen->revision = object->revision;
	return 0;
}

static void test_objects(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	struct seen seen = {};
	uint64_t count;

	assert_int_equal(store_get(s, "hosts", "a", see, &seen), -ENOENT);
	put(s, "hosts", "", "b", "first");
	put(s, "hosts", "", "a", "second");
	put(s, "ports", "v1", "p", "same");
	put(s, "ports", "v2", "q", "same");
	assert_int_equal(store_get(s, "hosts", "a", see, &seen), 0);
	assert_int_equal(seen.number, 2);
	assert_int_equal(seen.revision, 2);
	seen = (struct seen){};
	assert_int_equal(store_get_by_name(s, "ports", "v2", "same", see, &seen), 0);
	assert_string_equal(seen.ids, "q ");
	assert_int_equal(seen.number, 2);
	assert_int_equal(store_get_by_name(s, "ports", "", "same", see, &seen), -ENOENT);
	seen = (struct seen){};
	assert_int_equal(store_list(s, "hosts", NULL, see, &seen), 0);
	assert_string_equal(seen.ids, "b a ");
	seen = (struct seen){};
	assert_int_equal(store_list(s, "ports", "v1", see, &seen), 0);
	assert_string_equal(seen.ids, "p ");

	// A replacement keeps its number.
	put(s, "hosts", "", "b", "renamed");
	seen = (struct seen){};
	assert_int_equal(store_get(s, "hosts", "b", see, &seen), 0);
	assert_int_equal(seen.number, 1);
	assert_int_equal(seen.revision, 5);
	assert_int_equal(store_count(s, "hosts", &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(store_count(s, "nothing", &count), 0);
	assert_int_equal(count, 0);
}

static int look_again(const struct object *object, void *arg)
{
	struct store *store = ((void **)arg)[0];
	struct seen *seen = ((void **)arg)[1];

	// The same question inside of its own answer, and an object that the walk is at.
	assert_int_equal(store_get(store, object->kind, object->id, see, seen), 0);
	return store_list(store, "hosts", NULL, see, seen);
}

static void test_nested_reads(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	struct seen seen = {};
	void *arg[] = {s, &seen};

	put(s, "hosts", "", "a", "a");
	put(s, "hosts", "", "b", "b");
	assert_int_equal(store_list(s, "hosts", NULL, look_again, arg), 0);
	assert_string_equal(seen.ids, "a a b b a b ");
}

static int stop_early(const struct object *object, void *arg)
{
	return 7;
}

static void test_walks_may_stop(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	struct seen seen = {};

	put(s, "hosts", "", "a", "a");
	put(s, "hosts", "", "b", "b");
	assert_int_equal(store_list(s, "hosts", NULL, stop_early, NULL), 7);
	// What was left in the middle begins anew, and keeps no transaction open.
	assert_int_equal(store_list(s, "hosts", NULL, see, &seen), 0);
	assert_string_equal(seen.ids, "a b ");
	put(s, "hosts", "", "c", "c");
}

static void test_names_are_unique(void **state)
{
	struct store *s = ((struct context *)*state)->store;

	put(s, "ports", "v1", "a", "same");
	put(s, "ports", "v2", "b", "same");
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(put_extra(s, "ports", "v1", "c", "same", NULL), -EEXIST);
	store_rollback(s);
}

static void test_numbers_are_not_reused(void **state)
{
	struct context *c = *state;
	uint32_t next;

	put(c->store, "nodes", "", "a", "a");
	put(c->store, "nodes", "", "b", "b");
	assert_int_equal(store_begin(c->store), 0);
	assert_int_equal(store_remove(c->store, "nodes", "b"), 0);
	assert_int_equal(store_remove(c->store, "nodes", "b"), -ENOENT);
	assert_int_equal(store_commit(c->store), 0);
	reopen(c);
	assert_int_equal(store_next_number(c->store, "nodes", &next), 0);
	assert_int_equal(next, 3);
}

static void test_rollback(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	struct holder holder;
	struct seen seen = {};
	uint32_t next;

	put(s, "hosts", "", "a", "a");
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(put_extra(s, "hosts", "", "b", "b", NULL), 0);
	assert_int_equal(store_claim(s, "ip", "1", "hosts", "b", &holder), 0);
	assert_int_equal(store_refer(s, "hosts", "b", "hosts", "a"), 0);
	assert_int_equal(store_remove(s, "hosts", "a"), 0);
	store_rollback(s);
	assert_int_equal(store_revision(s), 1);
	assert_int_equal(store_list(s, "hosts", NULL, see, &seen), 0);
	assert_string_equal(seen.ids, "a ");
	assert_int_equal(store_holder(s, "ip", "1", &holder), -ENOENT);
	assert_int_equal(store_referrer(s, "hosts", "a", &holder), -ENOENT);
	assert_int_equal(store_next_number(s, "hosts", &next), 0);
	assert_int_equal(next, 2);
}

static int count_claims(const char *value, const char *kind, const char *id, void *arg)
{
	assert_string_equal(value, "1");
	assert_string_equal(id, "a");
	++*(int *)arg;
	return 0;
}

static void test_claims(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	struct holder holder;
	int count = 0;

	put(s, "hosts", "", "a", "Anna");
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_claim(s, "ip", "1", "hosts", "a", &holder), 0);
	assert_int_equal(store_claim(s, "ip", "1", "hosts", "a", &holder), 0);
	assert_int_equal(store_claim(s, "ip", "1", "hosts", "b", &holder), -EEXIST);
	assert_string_equal(holder.name, "Anna");
	assert_string_equal(holder.id, "a");
	assert_int_equal(store_claim(s, "mac", "1", "hosts", "b", &holder), 0);
	assert_int_equal(store_claims(s, "ip", count_claims, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(store_release(s, "hosts", "a"), 0);
	assert_int_equal(store_holder(s, "ip", "1", &holder), -ENOENT);
	assert_int_equal(store_claim(s, "ip", "1", "hosts", "b", &holder), 0);
	assert_int_equal(store_remove(s, "hosts", "a"), 0);
	assert_int_equal(store_commit(s), 0);
}

static void test_references(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	struct holder holder;
	struct seen seen = {};

	put(s, "vpcs", "", "v", "v");
	put(s, "ports", "v", "p", "Paul");
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_refer(s, "ports", "p", "vpcs", "v"), 0);
	assert_int_equal(store_refer(s, "ports", "p", "vpcs", "v"), 0);
	assert_int_equal(store_refer(s, "vpcs", "v", "vpcs", "v"), 0);
	assert_int_equal(store_referrer(s, "vpcs", "v", &holder), 0);
	assert_string_equal(holder.name, "Paul");
	assert_int_equal(store_list_referring(s, "ports", "vpcs", "v", see, &seen), 0);
	assert_string_equal(seen.ids, "p ");
	assert_int_equal(store_remove(s, "ports", "p"), 0);
	assert_int_equal(store_referrer(s, "vpcs", "v", &holder), -ENOENT);
	assert_int_equal(store_commit(s), 0);
}

static void test_extra(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	json_t *extra = json_pack("{s:i}", "x", 1), *got;

	assert_null(store_extra(s, "hosts", "a"));
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(put_extra(s, "hosts", "", "a", "a", extra), 0);
	assert_int_equal(store_commit(s), 0);
	got = store_extra(s, "hosts", "a");
	assert_true(json_equal(got, extra));
	json_decref(got);
	put(s, "hosts", "", "a", "a");
	assert_null(store_extra(s, "hosts", "a"));
	json_decref(extra);
}

#define NOTES 256

static int note(uint64_t revision, const char *kind, const char *id, bool removed, void *arg)
{
	char *text = arg;
	size_t used = strlen(text);

	snprintf(text + used, NOTES - used, "%d%s%s ", (int)revision, removed ? "-" : "+", id);
	return 0;
}

static void test_changes(void **state)
{
	struct context *c = *state;
	char text[NOTES] = "";
	uint64_t now = 99;

	assert_int_equal(store_changes_since(c->store, 0, &now, note, text), 0);
	assert_int_equal(now, 0);
	put(c->store, "hosts", "", "a", "a");
	put(c->store, "hosts", "", "b", "b");
	put(c->store, "hosts", "", "a", "a");
	assert_int_equal(store_begin(c->store), 0);
	assert_int_equal(store_next_revision(c->store), 4);
	assert_int_equal(store_remove(c->store, "hosts", "b"), 0);
	assert_int_equal(put_extra(c->store, "hosts", "", "c", "c", NULL), 0);
	assert_int_equal(store_commit(c->store), 0);
	reopen(c);
	assert_int_equal(store_changes_since(c->store, 0, &now, note, text), 0);
	assert_string_equal(text, "3+a 4-b 4+c ");
	assert_int_equal(now, 4);
	*text = 0;
	assert_int_equal(store_changes_since(c->store, 3, &now, note, text), 0);
	assert_string_equal(text, "4-b 4+c ");
	*text = 0;
	assert_int_equal(store_changes_since(c->store, 4, &now, note, text), 0);
	assert_string_equal(text, "");
	// A reader from the future knows another store.
	assert_int_equal(store_changes_since(c->store, 5, &now, note, text), -ESTALE);

	// Nothing changed, no revision.
	assert_int_equal(store_begin(c->store), 0);
	assert_int_equal(store_commit(c->store), 0);
	assert_int_equal(store_revision(c->store), 4);
}

static void heard(uint64_t revision, void *arg)
{
	*(uint64_t *)arg = revision;
}

static void test_listeners(void **state)
{
	struct store *s = ((struct context *)*state)->store;
	uint64_t first = 0, second = 0;

	assert_int_equal(store_listen(s, heard, &first), 0);
	assert_int_equal(store_listen(s, heard, &second), 0);
	put(s, "hosts", "", "a", "a");
	assert_int_equal(first, 1);
	assert_int_equal(second, 1);
	store_unlisten(s, heard, &first);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(put_extra(s, "hosts", "", "b", "b", NULL), 0);
	store_rollback(s);
	assert_int_equal(second, 1);
	put(s, "hosts", "", "b", "b");
	assert_int_equal(first, 1);
	assert_int_equal(second, 2);
}

#define WRITES 50

struct writer {
	struct store *store;
	char name;
};

static void *write_many(void *arg)
{
	struct writer *writer = arg;
	char id[8];
	int i;

	for (i = 0; i < WRITES; i++) {
		snprintf(id, sizeof(id), "%c%d", writer->name, i);
		if (store_begin(writer->store))
			return arg;
		if (put_extra(writer->store, "hosts", "", id, id, NULL) ||
		    store_commit(writer->store))
			return arg;
	}
	return NULL;
}

static int count_each(const struct object *object, void *arg)
{
	++*(int *)arg;
	return 0;
}

static void test_threads(void **state)
{
	struct context *c = *state;
	struct writer writers[3] = {{c->store, 'a'}, {c->store, 'b'}, {c->store, 'c'}};
	pthread_t threads[3];
	void *failed;
	int i, count;

	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
	// Under the lock a revision and what it holds belong together.
	do {
		store_lock(c->store);
		count = 0;
		assert_int_equal(store_list(c->store, "hosts", NULL, count_each, &count), 0);
		assert_int_equal(count, store_revision(c->store));
		store_unlock(c->store);
	} while (count < 3 * WRITES);
	for (i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

// A disk that is full, as far as this process can tell.
static void set_room(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
	struct context *c = *state;
	uint64_t told = 0;
	struct seen seen = {};
	int err;

	put(c->store, "hosts", "", "a", "a");
	assert_int_equal(store_listen(c->store, heard, &told), 0);
	signal(SIGXFSZ, SIG_IGN);
	set_room(1);
	err = store_begin(c->store);
	if (!err) {
		err = put_extra(c->store, "hosts", "", "b", "b", NULL);
		if (err)
			store_rollback(c->store);
		else
			err = store_commit(c->store);
	}
	set_room(RLIM_INFINITY);
	assert_int_equal(err, -EIO);
	assert_int_equal(told, 0);
	assert_int_equal(store_revision(c->store), 1);
	assert_int_equal(store_list(c->store, "hosts", NULL, see, &seen), 0);
	assert_string_equal(seen.ids, "a ");
	// It goes on once there is room, and so does what is read after a crash.
	put(c->store, "hosts", "", "c", "c");
	assert_int_equal(told, 2);
	reopen(c);
	seen = (struct seen){};
	assert_int_equal(store_list(c->store, "hosts", NULL, see, &seen), 0);
	assert_string_equal(seen.ids, "a c ");
}

static void test_not_a_store(void **state)
{
	struct context *c = *state;
	struct store *other = NULL;
	char path[80];
	FILE *file;

	snprintf(path, sizeof(path), "%s/other", c->directory);
	file = fopen(path, "w");
	fputs("This was never a database, whatever it is called and however long it goes on.",
	      file);
	fclose(file);
	assert_true(store_open(&other, path) < 0);
	assert_null(other);
	unlink(path);
	assert_int_equal(store_open(&other, "/nonexistent/store.db"), -EIO);
	assert_null(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_objects, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_nested_reads, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_walks_may_stop, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_names_are_unique, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_numbers_are_not_reused, open_store,
						close_store),
		cmocka_unit_test_setup_teardown(test_rollback, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_claims, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_references, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_extra, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_changes, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_listeners, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_threads, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_full_disk, open_store, close_store),
		cmocka_unit_test_setup_teardown(test_not_a_store, open_store, close_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
