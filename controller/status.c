// SPDX-License-Identifier: Apache-2.0
// Reported state by name, behind one lock; readers get copies, or what is never changed.
#include "controller/status.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "lib/hash.h"
#include "lib/json.h"
#include "lib/own.h"

// A node or a host.
struct seen {
	struct hash_entry entry; // by name
	json_t *report;		 // what REST answers; NULL: nothing yet
	json_t *ready;		 // {port id: true}
	json_t *chains, *peers, *functions, *backends, *nats; // as reported, or NULL
	bool connected;
	uint32_t boot, swept, cleared;
	uint32_t side;
	bool away;
	uint64_t told, current; // revisions: see status_told()
	uint64_t reported_ms;	// when
	uint64_t missing_ms;	// since when it is not here; 0: it is
	char name[];
};

struct status {
	pthread_mutex_t lock;
	struct hash seen;
	json_t *alarms; // cluster id: list of raised, each with since, since_ms and cluster
	void (*listener)(void *arg);
	void *listener_arg;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static json_t *now_text(void)
{
	time_t seconds = time(NULL);
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

int status_new(struct status **out)
{
	auto_(status_freep) struct status *status = calloc(1, sizeof(*status));

	if (!status)
		return -ENOMEM;
	pthread_mutex_init(&status->lock, NULL);
	status->alarms = json_object();
	if (!status->alarms)
		return -ENOMEM;
	*out = take_ptr(status);
	return 0;
}

static void seen_clear(struct seen *seen)
{
	json_decref(seen->report);
	json_decref(seen->ready);
	json_decref(seen->chains);
	json_decref(seen->peers);
	json_decref(seen->functions);
	json_decref(seen->backends);
	json_decref(seen->nats);
	seen->report = seen->ready = seen->chains = seen->peers = seen->functions = NULL;
	seen->backends = seen->nats = NULL;
}

void status_freep(struct status **pointer)
{
	struct status *status = *pointer;
	struct hash_walk walk = {};
	struct hash_entry *entry;

	if (!status)
		return;
	while ((entry = hash_walk(&status->seen, &walk))) {
		struct seen *seen = container_of_entry(entry, struct seen, entry);

		hash_remove(&status->seen, entry);
		seen_clear(seen);
		free(seen);
	}
	hash_free(&status->seen);
	json_decref(status->alarms);
	pthread_mutex_destroy(&status->lock);
	free(status);
	*pointer = NULL;
}

void status_listen(struct status *status, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&status->lock);
	status->listener = fn;
	status->listener_arg = arg;
	pthread_mutex_unlock(&status->lock);
}

// Under the lock, which the listener therefore must not take.
static void tell(struct status *status)
{
	if (status->listener)
		status->listener(status->listener_arg);
}

static struct seen *find(struct status *status, const char *name)
{
	struct hash_entry *entry = hash_first(&status->seen, hash_text(name, 0));

	for (; entry; entry = hash_next(entry)) {
		struct seen *seen = container_of_entry(entry, struct seen, entry);

		if (!strcmp(seen->name, name))
			return seen;
	}
	return NULL;
}

static struct seen *get(struct status *status, const char *name)
{
	struct seen *seen = find(status, name);

	if (seen)
		return seen;
	seen = calloc(1, sizeof(*seen) + strlen(name) + 1);
	if (!seen)
		return NULL;
	memcpy(seen->name, name, strlen(name) + 1);
	seen->missing_ms = seen->reported_ms = now_ms();
	if (hash_add(&status->seen, &seen->entry, hash_text(name, 0))) {
		free(seen);
		return NULL;
	}
	return seen;
}

static json_t *take_out(json_t *report, const char *name)
{
	json_t *part = json_incref(json_object_get(report, name));

	json_object_del(report, name);
	return part;
}

static bool is_same(const json_t *a, const json_t *b)
{
	return a && b ? json_equal(a, b) : a == b;
}

// Takes over report and ready.
static void keep(struct status *status, struct seen *seen, json_t *report, json_t *ready)
{
	json_t *chains = take_out(report, "chains"), *peers = take_out(report, "peers");
	json_t *functions = take_out(report, "functions");
	json_t *backends = take_out(report, "backends"), *nats = take_out(report, "nats");
	uint32_t boot = (uint32_t)integer_in(report, "boot");
	uint32_t cleared = (uint32_t)integer_in(report, "cleared");
	uint32_t swept = (uint32_t)integer_in(report, "swept");
	uint32_t side = (uint32_t)integer_in(report, "side");
	bool away = json_is_true(json_object_get(report, "away"));
	bool connected = json_is_true(json_object_get(report, "connected"));
	bool changed = seen->connected != connected || seen->boot != boot ||
		       seen->cleared != cleared || seen->swept != swept || seen->side != side ||
		       seen->away != away || !is_same(seen->chains, chains);

	json_object_del(report, "cleared");
	json_object_del(report, "swept");
	json_object_del(report, "side");
	json_object_del(report, "away");
	seen_clear(seen);
	seen->report = report;
	seen->ready = ready;
	seen->chains = chains;
	seen->peers = peers;
	seen->functions = functions;
	seen->backends = backends;
	seen->nats = nats;
	seen->connected = connected;
	seen->boot = boot;
	seen->cleared = cleared;
	seen->side = side;
	seen->away = away;
	seen->swept = swept;
	seen->reported_ms = now_ms();
	if (connected && boot)
		seen->missing_ms = 0;
	else if (!seen->missing_ms)
		seen->missing_ms = seen->reported_ms;
	if (changed)
		tell(status);
}

int status_report(struct status *status, const char *name, json_t *report)
{
	auto_(json_decrefp) json_t *given = report;
	auto_(json_decrefp) json_t *ready = json_object();
	struct seen *seen;
	json_t *port;
	size_t i;

	if (!json_is_object(given))
		return -EINVAL;
	if (!ready)
		return -ENOMEM;
	json_array_foreach (json_object_get(given, "ready_ports"), i, port) {
		if (!json_is_string(port))
			return -EINVAL;
		if (json_object_set_new(ready, json_string_value(port), json_true()))
			return -ENOMEM;
	}
	json_object_del(given, "ready_ports");
	if (json_object_set_new(given, "reported_at", now_text()))
		return -ENOMEM;
	pthread_mutex_lock(&status->lock);
	seen = get(status, name);
	if (seen)
		keep(status, seen, take_ptr(given), take_ptr(ready));
	pthread_mutex_unlock(&status->lock);
	return seen ? 0 : -ENOMEM;
}

void status_disconnected(struct status *status, const char *name)
{
	struct seen *seen;

	pthread_mutex_lock(&status->lock);
	seen = find(status, name);
	if (seen) {
		seen->connected = false;
		if (!seen->missing_ms)
			seen->missing_ms = now_ms();
		if (seen->report)
			json_object_set_new(seen->report, "connected", json_false());
		tell(status);
	}
	pthread_mutex_unlock(&status->lock);
}

int status_told(struct status *status, const char *name, uint64_t told, uint64_t now)
{
	struct seen *seen;

	pthread_mutex_lock(&status->lock);
	seen = get(status, name);
	if (seen) {
		seen->told = told;
		seen->current = now;
	}
	pthread_mutex_unlock(&status->lock);
	return seen ? 0 : -ENOMEM;
}

// Of the store: what was applied, or what nothing was changed since that it would have to hear of.
static uint64_t revision_of(const struct seen *seen)
{
	const uint64_t applied = (uint64_t)integer_in(seen->report, "revision");

	return seen->told && applied >= seen->told && applied < seen->current ? seen->current
									      : applied;
}

json_t *status_get(struct status *status, const char *name)
{
	struct seen *seen;
	json_t *copy;

	pthread_mutex_lock(&status->lock);
	seen = find(status, name);
	copy = seen && seen->report ? json_deep_copy(seen->report)
				    : json_pack("{s:b}", "connected", 0);
	if (seen && json_object_get(copy, "revision"))
		json_object_set_new(copy, "revision", json_integer((json_int_t)revision_of(seen)));
	pthread_mutex_unlock(&status->lock);
	return copy;
}

bool status_port_ready(struct status *status, const char *host, const char *port_id)
{
	struct seen *seen;
	bool ready;

	pthread_mutex_lock(&status->lock);
	seen = find(status, host);
	ready = seen && seen->connected && json_object_get(seen->ready, port_id);
	pthread_mutex_unlock(&status->lock);
	return ready;
}

void status_sighting(struct status *status, const char *name, struct sighting *out)
{
	struct seen *seen;
	uint64_t now;

	*out = (struct sighting){};
	pthread_mutex_lock(&status->lock);
	seen = get(status, name);
	now = now_ms(); // no earlier than what is known
	if (seen)
		*out = (struct sighting){
			.connected = seen->connected,
			.boot = seen->boot,
			.revision = revision_of(seen),
			.failing = *text_or_empty(seen->report, "error") != 0,
			.swept = seen->swept,
			.cleared = seen->cleared,
			.side = seen->connected ? seen->side : 0,
			.away = seen->connected && seen->away,
			.silent_ms = now - seen->reported_ms,
			.missing_ms = seen->missing_ms ? now - seen->missing_ms + 1 : 0,
		};
	pthread_mutex_unlock(&status->lock);
}

enum part { CHAINS, PEERS, FUNCTIONS, BACKENDS, NATS };

static json_t *part_of(struct status *status, const char *name, enum part which)
{
	struct seen *seen;
	json_t *part = NULL;

	pthread_mutex_lock(&status->lock);
	seen = find(status, name);
	if (seen && seen->connected)
		part = json_incref(which == CHAINS	? seen->chains
				   : which == PEERS	? seen->peers
				   : which == FUNCTIONS ? seen->functions
				   : which == BACKENDS	? seen->backends
							: seen->nats);
	pthread_mutex_unlock(&status->lock);
	return part;
}

json_t *status_chains(struct status *status, const char *name)
{
	return part_of(status, name, CHAINS);
}

json_t *status_peers(struct status *status, const char *name)
{
	return part_of(status, name, PEERS);
}

json_t *status_functions(struct status *status, const char *name)
{
	return part_of(status, name, FUNCTIONS);
}

json_t *status_backends(struct status *status, const char *name)
{
	return part_of(status, name, BACKENDS);
}

json_t *status_nats(struct status *status, const char *name)
{
	return part_of(status, name, NATS);
}

static const json_t *raised_before(const json_t *list, const char *key)
{
	json_t *alarm;
	size_t i;

	json_array_foreach (list, i, alarm) {
		if (!strcmp(text_or_empty(alarm, "key"), key))
			return alarm;
	}
	return NULL;
}

int status_raise(struct status *status, const char *cluster, const char *name, json_t *raised)
{
	auto_(json_decrefp) json_t *list = raised;
	const json_t *before;
	json_t *alarm;
	int err = 0;
	size_t i;

	if (!list)
		return -ENOMEM;
	pthread_mutex_lock(&status->lock);
	json_array_foreach (list, i, alarm) {
		before = raised_before(json_object_get(status->alarms, cluster),
				       text_or_empty(alarm, "key"));
		err |= json_object_set_new(alarm, "cluster", json_string(name));
		if (before &&
		    json_equal(json_object_get(before, "mark"), json_object_get(alarm, "mark"))) {
			err |= json_object_set(alarm, "since", json_object_get(before, "since"));
			err |= json_object_set(alarm, "since_ms",
					       json_object_get(before, "since_ms"));
		} else {
			err |= json_object_set_new(alarm, "since", now_text());
			err |= json_object_set_new(alarm, "since_ms",
						   json_integer((json_int_t)now_ms()));
		}
	}
	if (json_array_size(list))
		err |= json_object_set(status->alarms, cluster, list);
	else
		json_object_del(status->alarms, cluster);
	pthread_mutex_unlock(&status->lock);
	return err ? -ENOMEM : 0;
}

uint64_t status_raised_ms(struct status *status, const char *cluster, const char *key)
{
	const json_t *alarm;
	uint64_t ms = 0;

	pthread_mutex_lock(&status->lock);
	alarm = raised_before(json_object_get(status->alarms, cluster), key);
	if (alarm)
		ms = now_ms() - (uint64_t)integer_in(alarm, "since_ms");
	pthread_mutex_unlock(&status->lock);
	return ms;
}

static int add_sounding(json_t *to, const json_t *list, uint64_t now)
{
	json_t *alarm;
	size_t i;

	json_array_foreach (list, i, alarm) {
		if (now - (uint64_t)integer_in(alarm, "since_ms") <
		    (uint64_t)integer_in(alarm, "patience_ms"))
			continue;
		if (json_array_append_new(to,
					  json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "since",
						    json_object_get(alarm, "since"), "severity",
						    json_object_get(alarm, "severity"), "what",
						    json_object_get(alarm, "what"), "cluster",
						    json_object_get(alarm, "cluster"), "chain",
						    json_object_get(alarm, "chain"), "node",
						    json_object_get(alarm, "node"), "message",
						    json_object_get(alarm, "message"))))
			return -ENOMEM;
	}
	return 0;
}

json_t *status_alarms(struct status *status, const char *cluster)
{
	auto_(json_decrefp) json_t *sounding = json_array();
	const char *id;
	json_t *list;
	uint64_t now;
	int err = 0;

	pthread_mutex_lock(&status->lock);
	now = now_ms(); // no earlier than what is known
	json_object_foreach (status->alarms, id, list) {
		if (!err && (!cluster || !strcmp(cluster, id)))
			err = add_sounding(sounding, list, now);
	}
	pthread_mutex_unlock(&status->lock);
	return err ? NULL : take_ptr(sounding);
}
