// SPDX-License-Identifier: Apache-2.0
// What is waited for is read from the controller, as anybody could; that the daemons still live is
// seen from their processes.
#include "cli/lab_ready.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/inventory.h"
#include "cli/lab.h"
#include "lib/own.h"

// How long nothing may become ready. On a slow machine the kernel's look at the programs of many
// nodes takes minutes, and all are ready at the end of it.
#define STANDSTILL_S 600

double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

void progress(const struct waiting *waiting, const char *format, ...)
{
	int tty = isatty(2);
	va_list args;

	fprintf(stderr, "%s%5.1f s  ", tty ? "\r\033[K" : "", seconds_since(&waiting->began));
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (!tty)
		fputc('\n', stderr);
	fflush(stderr);
}

void progress_done(void)
{
	if (isatty(2))
		fputs("\r\033[K", stderr);
}

// Where a daemon does not come up its own words say why: the last lines of its log.
static void show_log(const struct waiting *waiting, const char *name)
{
	char path[CLOUD_PATH], file[128], line[512], last[4][512] = {};
	unsigned int lines = 0, i;
	FILE *log;

	progress_done();
	snprintf(file, sizeof(file), "%s.log", name);
	log = fopen(cloud_path(waiting->cloud, path, "log", file), "re");
	if (!log)
		return;
	while (fgets(line, sizeof(line), log))
		memcpy(last[lines++ % 4], line, sizeof(line));
	fclose(log);
	for (i = lines > 4 ? lines - 4 : 0; i < lines; i++)
		fprintf(stderr, "  %s: %s", name, last[i % 4]);
}

static int all_there(const struct waiting *waiting)
{
	json_t *process;
	size_t i;

	json_array_foreach (json_object_get(waiting->cloud->state, "processes"), i, process) {
		if (!process_lives(process)) {
			show_log(waiting, text_or_empty(process, "name"));
			return sorry(-ECHILD, "%s ended", text_or_empty(process, "name"));
		}
	}
	return 0;
}

int await_controller(struct waiting *waiting, int net)
{
	double patience = seconds_since(&waiting->began) + STANDSTILL_S;
	int err;

	if (setns(net, CLONE_NEWNET))
		return sorry(-errno, "cannot enter the controller's namespace: %s",
			     strerror(errno));
	err = rest_open(&waiting->rest, text_or_empty(waiting->cloud->state, "controller"), NULL);
	while (!err) {
		err = rest_call(waiting->rest, "GET", "/v1/tenants", NULL, NULL);
		if (!err)
			return 0;
		if (err != -ECONNREFUSED || seconds_since(&waiting->began) > patience)
			return sorry(err, "%s", rest_message(waiting->rest));
		err = all_there(waiting);
		if (!err)
			err = lab_pause(20);
	}
	return err;
}

struct count {
	json_int_t revision; // the controller's
	size_t machines, machines_ready, ports, ports_ready, chains, chains_ready;
	char late[64]; // one that is not ready
};

void await_news(struct waiting *waiting)
{
	time_t seconds = time(NULL);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(waiting->after, sizeof(waiting->after), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

// Text of this form is in the order of time.
static int member_is_ready(const struct waiting *waiting, const json_t *status, json_int_t revision)
{
	json_int_t applied = integer_in(status, "revision");

	if (!json_is_true(json_object_get(status, "connected")) || *text_or_empty(status, "error"))
		return 0;
	if (*waiting->after)
		return applied > 0 &&
		       strcmp(text_or_empty(status, "reported_at"), waiting->after) > 0;
	return applied >= revision;
}

// A node is ready when it applied what it was told last, a port when its host attached it.
static int count_ready(struct waiting *waiting, const char *kind, struct count *count)
{
	int ports = !strcmp(kind, "ports");
	json_t *answer, *items, *item;
	char path[64];
	size_t i;
	int err;

	snprintf(path, sizeof(path), "/v1/%s", kind);
	err = rest_call(waiting->rest, "GET", path, NULL, &answer);
	if (err)
		return sorry(err, "%s", rest_message(waiting->rest));
	count->revision = integer_in(answer, "revision");
	items = json_object_get(answer, "items");
	json_array_foreach (items, i, item) {
		const json_t *status = json_object_get(item, "status");
		int ready = ports ? json_is_true(json_object_get(status, "ready"))
				  : member_is_ready(waiting, status, count->revision);

		*(ports ? &count->ports : &count->machines) += 1;
		*(ports ? &count->ports_ready : &count->machines_ready) += (size_t)ready;
		if (!ready)
			snprintf(count->late, sizeof(count->late), "%s",
				 text_or_empty(item, "name"));
	}
	json_decref(answer);
	return 0;
}

// A chain is ready when it was founded, and everybody who is to have its sessions has them and a
// lease: who has one knows the term and is heard.
static int count_chains(struct waiting *waiting, struct count *count)
{
	json_t *answer, *view, *chain;
	size_t i, k;
	int err;

	err = rest_call(waiting->rest, "GET", "/v1/views", NULL, &answer);
	if (err)
		return sorry(err, "%s", rest_message(waiting->rest));
	json_array_foreach (json_object_get(answer, "items"), i, view) {
		json_array_foreach (json_object_get(view, "chains"), k, chain) {
			const json_t *state = json_object_get(chain, "state");
			size_t live = json_array_size(json_object_get(state, "live"));

			count->chains++;
			count->chains_ready +=
				integer_in(chain, "founded") && live &&
				live >= json_array_size(json_object_get(chain, "replicas")) &&
				json_array_size(json_object_get(state, "leased")) >= live;
		}
	}
	json_decref(answer);
	return 0;
}

int await_ready(struct waiting *waiting)
{
	double since = seconds_since(&waiting->began); // the last that became ready
	size_t told = (size_t)-1, most = 0, ready;
	int err;

	for (;;) {
		struct count count = {};

		// Chains first: that they are founded is a revision that nodes have to apply.
		if ((err = all_there(waiting)) || (err = count_chains(waiting, &count)) ||
		    (err = count_ready(waiting, "ports", &count)) ||
		    (err = count_ready(waiting, "nodes", &count)) ||
		    (err = count_ready(waiting, "hosts", &count)))
			return err;
		ready = count.machines_ready + count.ports_ready + count.chains_ready;
		if (told != ready)
			progress(waiting,
				 "waiting for daemons: %zu of %zu machines, %zu of %zu ports, "
				 "%zu of %zu chains",
				 count.machines_ready, count.machines, count.ports_ready,
				 count.ports, count.chains_ready, count.chains);
		told = ready;
		if (ready > most) {
			most = ready;
			since = seconds_since(&waiting->began);
		}
		if (told == count.machines + count.ports + count.chains)
			return 0;
		if (seconds_since(&waiting->began) > since + STANDSTILL_S) {
			if (*count.late)
				show_log(waiting, count.late);
			return sorry(-ETIMEDOUT,
				     "%s not ready, and nothing else was for %d seconds",
				     *count.late ? count.late : "the chains are", STANDSTILL_S);
		}
		err = lab_pause(100);
		if (err)
			return err;
	}
}
