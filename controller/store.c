// SPDX-License-Identifier: Apache-2.0
// The object store on SQLite: one connection, one lock, one revision per transaction.
#include "controller/store.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

#define SCHEMA_VERSION 1
// Removals that are remembered for readers that were away; beyond it they take a snapshot.
#define CHANGES_KEPT 100000
#define STATEMENTS 48 // more than this file has
#define PRUNE_EVERY 1024

struct listener {
	store_fn fn;
	void *arg;
	struct listener *next;
};

// A prepared statement. Preparing costs more than most of ours take to run, so they are kept; the
// same text is in use twice only where a callback asks again, and then the second is not kept.
struct statement {
	sqlite3_stmt *s;
	const char *sql; // the literal itself: its address names it
	bool kept;
	bool in_use;
};

struct store {
	sqlite3 *db;
	struct statement kept[STATEMENTS];
	pthread_mutex_t lock;
	struct listener *listeners;
	uint64_t revision; // of the last committed change
	bool dirty;	   // something changed in the open transaction
};

static const char schema[] =
	"CREATE TABLE objects(kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,"
	" scope TEXT NOT NULL, number INTEGER NOT NULL, revision INTEGER NOT NULL,"
	" body TEXT NOT NULL, extra TEXT, PRIMARY KEY(kind, id), UNIQUE(kind, scope, name))"
	" WITHOUT ROWID;"
	"CREATE UNIQUE INDEX objects_number ON objects(kind, number);"
	"CREATE TABLE claims(what TEXT NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL,"
	" id TEXT NOT NULL, PRIMARY KEY(what, value)) WITHOUT ROWID;"
	"CREATE INDEX claims_holder ON claims(kind, id);"
	"CREATE TABLE refs(kind TEXT NOT NULL, id TEXT NOT NULL, to_kind TEXT NOT NULL,"
	" to_id TEXT NOT NULL, PRIMARY KEY(kind, id, to_kind, to_id)) WITHOUT ROWID;"
	"CREATE INDEX refs_to ON refs(to_kind, to_id);"
	"CREATE TABLE counters(kind TEXT PRIMARY KEY, last INTEGER NOT NULL, live INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE TABLE changes(revision INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,"
	" removed INTEGER NOT NULL, PRIMARY KEY(kind, id)) WITHOUT ROWID;"
	"CREATE INDEX changes_revision ON changes(revision);"
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES('revision', 0), ('pruned', 0);";

static int failed(struct store *store, const char *doing)
{
	log_warnx("store: %s: %s", doing, sqlite3_errmsg(store->db));
	return -EIO;
}

static void donep(struct statement **pointer)
{
	struct statement *statement = *pointer;

	if (!statement)
		return;
	if (statement->kept) {
		sqlite3_reset(statement->s);
		sqlite3_clear_bindings(statement->s);
		statement->in_use = false;
	} else {
		sqlite3_finalize(statement->s);
		free(statement);
	}
	*pointer = NULL;
}

// Where the statement is kept, or will be; NULL: it is in use, or there is no more room.
static struct statement *find_kept(struct store *store, const char *sql)
{
	int i;

	for (i = 0; i < STATEMENTS; i++) {
		if (!store->kept[i].sql)
			return &store->kept[i];
		if (store->kept[i].sql == sql)
			return store->kept[i].in_use ? NULL : &store->kept[i];
	}
	return NULL;
}

static struct statement *take_statement(struct store *store, const char *sql)
{
	struct statement *statement = find_kept(store, sql);
	bool kept = statement;

	if (!statement)
		statement = calloc(1, sizeof(*statement));
	if (!statement)
		return NULL;
	if (!statement->s &&
	    sqlite3_prepare_v3(store->db, sql, -1, kept ? SQLITE_PREPARE_PERSISTENT : 0,
			       &statement->s, NULL) != SQLITE_OK) {
		failed(store, sql);
		if (!kept)
			free(statement);
		return NULL;
	}
	*statement = (struct statement){statement->s, sql, kept, true};
	return statement;
}

// Takes the statement and binds what types names: 's' text that outlives its use, 'i' int64_t.
static struct statement *prepare(struct store *store, const char *sql, const char *types, ...)
{
	auto_(donep) struct statement *statement = take_statement(store, sql);
	va_list args;
	int i, rc = SQLITE_OK;

	if (!statement)
		return NULL;
	va_start(args, types);
	for (i = 0; types[i] && rc == SQLITE_OK; i++) {
		if (types[i] == 's')
			rc = sqlite3_bind_text(statement->s, i + 1, va_arg(args, const char *), -1,
					       SQLITE_STATIC);
		else
			rc = sqlite3_bind_int64(statement->s, i + 1, va_arg(args, int64_t));
	}
	va_end(args);
	if (rc != SQLITE_OK) {
		failed(store, sql);
		return NULL;
	}
	return take_ptr(statement);
}

static const char *text_of(struct statement *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement->s, column);

	return text ? text : "";
}

// Returns 1: a row; 0: no (more) row; -EEXIST: a constraint; -EIO.
static int step(struct store *store, struct statement *statement)
{
	switch (sqlite3_step(statement->s)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	default:
		return failed(store, statement->sql);
	}
}

static int run(struct store *store, const char *sql)
{
	if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return failed(store, sql);
	return 0;
}

static int read_integer(struct store *store, const char *sql, const char *key, int64_t *out)
{
	auto_(donep) struct statement *s = prepare(store, sql, "s", key);
	int rc;

	if (!s)
		return -EIO;
	rc = step(store, s);
	if (rc < 0)
		return rc;
	*out = rc ? sqlite3_column_int64(s->s, 0) : 0;
	return 0;
}

static int read_meta(struct store *store, const char *key, int64_t *out)
{
	return read_integer(store, "SELECT value FROM meta WHERE key = ?1", key, out);
}

// Creates the tables in an empty file, or checks that these are ours.
static int adopt(struct store *store)
{
	auto_(donep) struct statement *s = prepare(store, "PRAGMA user_version", "");
	int64_t revision;
	char mark[64];
	int version;

	if (!s || step(store, s) != 1)
		return -EINVAL;
	version = sqlite3_column_int(s->s, 0);
	sqlite3_reset(s->s);
	if (version == 0) {
		snprintf(mark, sizeof(mark), "PRAGMA user_version = %d", SCHEMA_VERSION);
		if (run(store, "BEGIN IMMEDIATE") || run(store, schema) || run(store, mark) ||
		    run(store, "COMMIT"))
			return -EINVAL;
	} else if (version != SCHEMA_VERSION) {
		log_warnx("store: version %d, this program knows %d", version, SCHEMA_VERSION);
		return -EINVAL;
	}
	if (read_meta(store, "revision", &revision))
		return -EINVAL;
	store->revision = (uint64_t)revision;
	return 0;
}

int store_open(struct store **out, const char *path)
{
	auto_(store_freep) struct store *store = calloc(1, sizeof(*store));
	pthread_mutexattr_t recursive;
	int err;

	if (!store)
		return -ENOMEM;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&store->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	if (sqlite3_open_v2(path, &store->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
			    NULL) != SQLITE_OK)
		return store->db ? failed(store, path) : -ENOMEM;
	// A predecessor may still be stopping.
	sqlite3_busy_timeout(store->db, 5000);
	// One program at a time: another's changes would not be in our revision.
	if (run(store, "PRAGMA locking_mode = EXCLUSIVE") ||
	    run(store, "PRAGMA journal_mode = WAL") || run(store, "PRAGMA synchronous = FULL"))
		return -EINVAL;
	if ((err = adopt(store)))
		return err;
	*out = take_ptr(store);
	return 0;
}

void store_freep(struct store **pointer)
{
	struct store *store = *pointer;
	struct listener *next;
	int i;

	if (!store)
		return;
	while (store->listeners) {
		next = store->listeners->next;
		free(store->listeners);
		store->listeners = next;
	}
	for (i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(store->kept[i].s);
	sqlite3_close(store->db);
	pthread_mutex_destroy(&store->lock);
	free(store);
	*pointer = NULL;
}

void store_lock(struct store *store)
{
	pthread_mutex_lock(&store->lock);
}

void store_unlock(struct store *store)
{
	pthread_mutex_unlock(&store->lock);
}

static struct store *hold(struct store *store)
{
	store_lock(store);
	return store;
}

static void unholdp(struct store **store)
{
	store_unlock(*store);
}

// Holds the lock until the scope ends. Declared before statements, so that it is released last.
#define LOCKED(store) auto_(unholdp) __attribute__((unused)) struct store *locked_ = hold(store)

uint64_t store_revision(struct store *store)
{
	LOCKED(store);

	return store->revision;
}

#define OBJECT_COLUMNS "o.kind, o.id, o.name, o.scope, o.number, o.revision, o.body"

static int call_back(struct statement *s, object_fn fn, void *arg)
{
	auto_(json_decrefp) json_t *body = json_loads(text_of(s, 6), 0, NULL);
	struct object object = {
		.kind = text_of(s, 0),
		.id = text_of(s, 1),
		.name = text_of(s, 2),
		.scope = text_of(s, 3),
		.number = (uint32_t)sqlite3_column_int64(s->s, 4),
		.revision = (uint64_t)sqlite3_column_int64(s->s, 5),
		.body = body,
	};

	if (!body) {
		log_warnx("store: the body of %s %s cannot be read", object.kind, object.id);
		return -EIO;
	}
	return fn(&object, arg);
}

static int call_back_once(struct store *store, struct statement *s, object_fn fn, void *arg)
{
	int rc;

	if (!s)
		return -EIO;
	rc = step(store, s);
	if (rc == 0)
		return -ENOENT;
	return rc < 0 ? rc : call_back(s, fn, arg);
}

static int call_back_each(struct store *store, struct statement *s, object_fn fn, void *arg)
{
	int rc;

	if (!s)
		return -EIO;
	while ((rc = step(store, s)) == 1)
		if ((rc = call_back(s, fn, arg)))
			return rc;
	return rc;
}

int store_get(struct store *store, const char *kind, const char *id, object_fn fn, void *arg)
{
	LOCKED(store);
	auto_(donep) struct statement *s = prepare(
		store, "SELECT " OBJECT_COLUMNS " FROM objects o WHERE kind = ?1 AND id = ?2", "ss",
		kind, id);

	return call_back_once(store, s, fn, arg);
}

int store_get_by_name(struct store *store, const char *kind, const char *scope, const char *name,
		      object_fn fn, void *arg)
{
	LOCKED(store);
	auto_(donep) struct statement *s = prepare(store,
						   "SELECT " OBJECT_COLUMNS " FROM objects o"
						   " WHERE kind = ?1 AND scope = ?2 AND name = ?3",
						   "sss", kind, scope, name);

	return call_back_once(store, s, fn, arg);
}

int store_list(struct store *store, const char *kind, const char *scope, object_fn fn, void *arg)
{
	LOCKED(store);
	auto_(donep) struct statement *s =
		scope ? prepare(store,
				"SELECT " OBJECT_COLUMNS " FROM objects o"
				" WHERE kind = ?1 AND scope = ?2 ORDER BY number",
				"ss", kind, scope)
		      : prepare(store,
				"SELECT " OBJECT_COLUMNS " FROM objects o"
				" WHERE kind = ?1 ORDER BY number",
				"s", kind);

	return call_back_each(store, s, fn, arg);
}

int store_list_referring(struct store *store, const char *kind, const char *to_kind,
			 const char *to_id, object_fn fn, void *arg)
{
	LOCKED(store);
	auto_(donep) struct statement *s =
		prepare(store,
			"SELECT " OBJECT_COLUMNS " FROM refs r JOIN objects o USING(kind, id)"
			" WHERE r.kind = ?1 AND r.to_kind = ?2 AND r.to_id = ?3 ORDER BY o.number",
			"sss", kind, to_kind, to_id);

	return call_back_each(store, s, fn, arg);
}

static int keep_body(const struct object *object, void *arg)
{
	*(json_t **)arg = json_incref(object->body);
	return 0;
}

json_t *store_body(struct store *store, const char *kind, const char *id)
{
	json_t *body = NULL;

	return store_get(store, kind, id, keep_body, &body) ? NULL : body;
}

json_t *store_extra(struct store *store, const char *kind, const char *id)
{
	LOCKED(store);
	auto_(donep) struct statement *s = prepare(
		store, "SELECT extra FROM objects WHERE kind = ?1 AND id = ?2", "ss", kind, id);

	if (!s || step(store, s) != 1 || sqlite3_column_type(s->s, 0) == SQLITE_NULL)
		return NULL;
	return json_loads(text_of(s, 0), 0, NULL);
}

int store_count(struct store *store, const char *kind, uint64_t *out)
{
	LOCKED(store);
	int64_t live;
	int err = read_integer(store, "SELECT live FROM counters WHERE kind = ?1", kind, &live);

	if (!err)
		*out = (uint64_t)live;
	return err;
}

int store_changes_since(struct store *store, uint64_t revision, uint64_t *now, change_fn fn,
			void *arg)
{
	LOCKED(store);
	auto_(donep) struct statement *s =
		prepare(store,
			"SELECT revision, kind, id, removed FROM changes WHERE revision > ?1"
			" ORDER BY revision, kind, id",
			"i", (int64_t)revision);
	int64_t pruned;
	int rc;

	if (!s || read_meta(store, "pruned", &pruned))
		return -EIO;
	// A reader that is ahead saw another life of this store.
	if (revision < (uint64_t)pruned || revision > store->revision)
		return -ESTALE;
	while ((rc = step(store, s)) == 1)
		if ((rc = fn((uint64_t)sqlite3_column_int64(s->s, 0), text_of(s, 1), text_of(s, 2),
			     sqlite3_column_int(s->s, 3) != 0, arg)))
			return rc;
	if (!rc)
		*now = store->revision;
	return rc;
}

int store_listen(struct store *store, store_fn fn, void *arg)
{
	LOCKED(store);
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return -ENOMEM;
	*listener = (struct listener){.fn = fn, .arg = arg, .next = store->listeners};
	store->listeners = listener;
	return 0;
}

void store_unlisten(struct store *store, store_fn fn, void *arg)
{
	LOCKED(store);
	struct listener **at = &store->listeners, *gone;

	while (*at && ((*at)->fn != fn || (*at)->arg != arg))
		at = &(*at)->next;
	if (!*at)
		return;
	gone = *at;
	*at = gone->next;
	free(gone);
}

int store_begin(struct store *store)
{
	store_lock(store);
	if (run(store, "BEGIN IMMEDIATE")) {
		store_unlock(store);
		return -EIO;
	}
	store->dirty = false;
	return 0;
}

void store_rollback(struct store *store)
{
	// SQLite may have rolled back by itself (disk full): then there is nothing to undo.
	if (!sqlite3_get_autocommit(store->db))
		run(store, "ROLLBACK");
	store_unlock(store);
}

uint64_t store_next_revision(const struct store *store)
{
	return store->revision + 1;
}

static int set_meta(struct store *store, const char *key, uint64_t value)
{
	auto_(donep) struct statement *s = prepare(
		store, "UPDATE meta SET value = ?2 WHERE key = ?1", "si", key, (int64_t)value);

	return s ? step(store, s) : -EIO;
}

static int prune(struct store *store, uint64_t next)
{
	auto_(donep) struct statement *s = NULL;

	if (next % PRUNE_EVERY || next <= CHANGES_KEPT)
		return 0;
	s = prepare(store, "DELETE FROM changes WHERE removed AND revision <= ?1", "i",
		    (int64_t)(next - CHANGES_KEPT));
	if (!s || step(store, s))
		return -EIO;
	return set_meta(store, "pruned", next - CHANGES_KEPT);
}

int store_commit(struct store *store)
{
	uint64_t next = store_next_revision(store);
	struct listener *listener;

	if (!store->dirty) {
		store_rollback(store);
		return 0;
	}
	if (prune(store, next) || set_meta(store, "revision", next) || run(store, "COMMIT")) {
		store_rollback(store);
		return -EIO;
	}
	store->revision = next;
	store_unlock(store);
	for (listener = store->listeners; listener; listener = listener->next)
		listener->fn(next, listener->arg);
	return 0;
}

int store_next_number(struct store *store, const char *kind, uint32_t *out)
{
	LOCKED(store);
	int64_t last;
	int err = read_integer(store, "SELECT last FROM counters WHERE kind = ?1", kind, &last);

	if (!err)
		*out = (uint32_t)last + 1;
	return err;
}

static int count(struct store *store, const char *kind, int created, int64_t live)
{
	auto_(donep) struct statement *s =
		prepare(store,
			"INSERT INTO counters VALUES(?1, ?2, ?3) ON CONFLICT(kind) DO UPDATE"
			" SET last = last + ?2, live = live + ?3",
			"sii", kind, (int64_t)created, live);

	return s ? step(store, s) : -EIO;
}

static int note_change(struct store *store, const char *kind, const char *id, int removed)
{
	auto_(donep) struct statement *s =
		prepare(store, "INSERT OR REPLACE INTO changes VALUES(?1, ?2, ?3, ?4)", "issi",
			(int64_t)store_next_revision(store), kind, id, (int64_t)removed);

	store->dirty = true;
	return s ? step(store, s) : -EIO;
}

int store_put(struct store *store, const char *kind, const char *scope, json_t *body,
	      const json_t *extra)
{
	const char *id = json_string_value(json_object_get(body, "id"));
	const char *name = json_string_value(json_object_get(body, "name"));
	auto_(freep) char *text = NULL, *extra_text = NULL;
	auto_(donep) struct statement *update = NULL, *insert = NULL;
	int64_t revision = (int64_t)store_next_revision(store);
	uint32_t number;
	int rc;

	if (!id || !name || json_object_set_new(body, "revision", json_integer(revision)))
		return -ENOMEM;
	text = json_dumps(body, JSON_COMPACT);
	extra_text = extra ? json_dumps(extra, JSON_COMPACT) : NULL;
	if (!text || (extra && !extra_text))
		return -ENOMEM;
	update = prepare(store,
			 "UPDATE objects SET name = ?3, scope = ?4, revision = ?5, body = ?6,"
			 " extra = ?7 WHERE kind = ?1 AND id = ?2",
			 "ssssiss", kind, id, name, scope, revision, text, extra_text);
	if (!update)
		return -EIO;
	if ((rc = step(store, update)) < 0)
		return rc;
	if (sqlite3_changes(store->db) == 0) {
		if (store_next_number(store, kind, &number))
			return -EIO;
		insert =
			prepare(store, "INSERT INTO objects VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
				"ssssiiss", kind, id, name, scope, (int64_t)number, revision, text,
				extra_text);
		if (!insert)
			return -EIO;
		if ((rc = step(store, insert)) < 0)
			return rc;
		if (count(store, kind, 1, 1))
			return -EIO;
	}
	return note_change(store, kind, id, 0);
}

int store_release(struct store *store, const char *kind, const char *id)
{
	auto_(donep) struct statement *claims =
		prepare(store, "DELETE FROM claims WHERE kind = ?1 AND id = ?2", "ss", kind, id);
	auto_(donep) struct statement *refs =
		prepare(store, "DELETE FROM refs WHERE kind = ?1 AND id = ?2", "ss", kind, id);

	if (!claims || !refs || step(store, claims) || step(store, refs))
		return -EIO;
	return 0;
}

int store_remove(struct store *store, const char *kind, const char *id)
{
	auto_(donep) struct statement *s =
		prepare(store, "DELETE FROM objects WHERE kind = ?1 AND id = ?2", "ss", kind, id);

	if (!s || step(store, s))
		return -EIO;
	if (sqlite3_changes(store->db) == 0)
		return -ENOENT;
	if (store_release(store, kind, id) || count(store, kind, 0, -1))
		return -EIO;
	return note_change(store, kind, id, 1);
}

static int read_holder(struct store *store, struct statement *s, struct holder *holder)
{
	int rc;

	if (!s)
		return -EIO;
	rc = step(store, s);
	if (rc < 1)
		return rc ? rc : -ENOENT;
	snprintf(holder->kind, sizeof(holder->kind), "%s", text_of(s, 0));
	snprintf(holder->id, sizeof(holder->id), "%s", text_of(s, 1));
	snprintf(holder->name, sizeof(holder->name), "%s", text_of(s, 2));
	return 0;
}

int store_holder(struct store *store, const char *what, const char *value, struct holder *holder)
{
	LOCKED(store);
	auto_(donep) struct statement *s =
		prepare(store,
			"SELECT c.kind, c.id, o.name FROM claims c LEFT JOIN objects o"
			" USING(kind, id) WHERE c.what = ?1 AND c.value = ?2",
			"ss", what, value);

	return read_holder(store, s, holder);
}

int store_claim(struct store *store, const char *what, const char *value, const char *kind,
		const char *id, struct holder *holder)
{
	auto_(donep) struct statement *s = prepare(
		store, "INSERT INTO claims VALUES(?1, ?2, ?3, ?4)", "ssss", what, value, kind, id);
	int err;

	if (!s)
		return -EIO;
	err = step(store, s);
	if (err != -EEXIST)
		return err;
	if ((err = store_holder(store, what, value, holder)))
		return err == -ENOENT ? -EIO : err;
	return strcmp(holder->kind, kind) || strcmp(holder->id, id) ? -EEXIST : 0;
}

int store_count_held(struct store *store, const char *kind, uint64_t *out)
{
	LOCKED(store);
	int64_t held = 0;
	int err = read_integer(store, "SELECT count(*) FROM claims WHERE kind = ?1", kind, &held);

	*out = (uint64_t)held;
	return err;
}

int store_claims(struct store *store, const char *what, claim_fn fn, void *arg)
{
	LOCKED(store);
	auto_(donep) struct statement *s =
		prepare(store, "SELECT value, kind, id FROM claims WHERE what = ?1", "s", what);
	int rc;

	if (!s)
		return -EIO;
	while ((rc = step(store, s)) == 1)
		if ((rc = fn(text_of(s, 0), text_of(s, 1), text_of(s, 2), arg)))
			return rc;
	return rc;
}

int store_refer(struct store *store, const char *kind, const char *id, const char *to_kind,
		const char *to_id)
{
	auto_(donep) struct statement *s =
		prepare(store, "INSERT OR IGNORE INTO refs VALUES(?1, ?2, ?3, ?4)", "ssss", kind,
			id, to_kind, to_id);

	return s ? step(store, s) : -EIO;
}

int store_referrer(struct store *store, const char *to_kind, const char *to_id,
		   struct holder *holder)
{
	LOCKED(store);
	auto_(donep) struct statement *s =
		prepare(store,
			"SELECT o.kind, o.id, o.name FROM refs r JOIN objects o USING(kind, id)"
			" WHERE r.to_kind = ?1 AND r.to_id = ?2"
			" AND NOT (r.kind = ?1 AND r.id = ?2) ORDER BY o.kind, o.number LIMIT 1",
			"ss", to_kind, to_id);

	return read_holder(store, s, holder);
}
