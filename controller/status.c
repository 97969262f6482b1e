// SPDX-License-Identifier: Apache-2.0
// Reported state by name, behind one lock; readers get copies.
#include "controller/status.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "lib/own.h"

struct status {
	pthread_mutex_t lock;
	json_t *reports; // name: what REST answers
	json_t *ready;	 // name: {port id: true}
};

int status_new(struct status **out)
{
	auto_(status_freep) struct status *status = calloc(1, sizeof(*status));

	if (!status)
		return -ENOMEM;
	pthread_mutex_init(&status->lock, NULL);
	status->reports = json_object();
	status->ready = json_object();
	if (!status->reports || !status->ready)
		return -ENOMEM;
	*out = take_ptr(status);
	return 0;
}

void status_freep(struct status **pointer)
{
	struct status *status = *pointer;

	if (!status)
		return;
	json_decref(status->reports);
	json_decref(status->ready);
	pthread_mutex_destroy(&status->lock);
	free(status);
	*pointer = NULL;
}

static json_t *now(void)
{
	time_t seconds = time(NULL);
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

int status_report(struct status *status, const char *name, json_t *report)
{
	auto_(json_decrefp) json_t *given = report;
	auto_(json_decrefp) json_t *ready = json_object();
	json_t *port;
	size_t i;
	int err;

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
	if (json_object_set_new(given, "reported_at", now()))
		return -ENOMEM;
	pthread_mutex_lock(&status->lock);
	err = json_object_set(status->reports, name, given) ||
	      json_object_set(status->ready, name, ready);
	pthread_mutex_unlock(&status->lock);
	return err ? -ENOMEM : 0;
}

void status_disconnected(struct status *status, const char *name)
{
	json_t *report;

	pthread_mutex_lock(&status->lock);
	report = json_object_get(status->reports, name);
	if (report)
		json_object_set_new(report, "connected", json_false());
	pthread_mutex_unlock(&status->lock);
}

json_t *status_get(struct status *status, const char *name)
{
	json_t *report, *copy;

	pthread_mutex_lock(&status->lock);
	report = json_object_get(status->reports, name);
	copy = report ? json_deep_copy(report) : json_pack("{s:b}", "connected", 0);
	pthread_mutex_unlock(&status->lock);
	return copy;
}

bool status_port_ready(struct status *status, const char *host, const char *port_id)
{
	bool ready;

	pthread_mutex_lock(&status->lock);
	ready = json_is_true(
			json_object_get(json_object_get(status->reports, host), "connected")) &&
		json_object_get(json_object_get(status->ready, host), port_id);
	pthread_mutex_unlock(&status->lock);
	return ready;
}
