// SPDX-License-Identifier: Apache-2.0
// `lab up`: the cloud's fabric, its daemons, what the controller is told, and the wait until all of
// it is true. Whatever goes wrong on the way, Ctrl-C too, ends with nothing left.
#include <errno.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/apply.h"
#include "cli/cli.h"
#include "cli/inventory.h"
#include "cli/lab.h"
#include "cli/lab_certificate.h"
#include "cli/output.h"
#include "lib/address.h"
#include "lib/own.h"

#define REST_PORT 8080
#define STREAM_PORT 8443
#define WAIT_S 120 // for the controller, and for all daemons: slow machines run many of them

struct up {
	struct cloud cloud;
	struct topology topology;
	struct netns controller;
	struct rest *rest;
	int tty; // progress may overwrite its line
	struct timespec began;
	json_int_t revision; // the controller's, when everything was told
};

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

__attribute__((format(printf, 2, 3))) static void progress(const struct up *up, const char *format,
							   ...)
{
	va_list args;

	fprintf(stderr, "%s%5.1f s  ", up->tty ? "\r\033[K" : "", seconds_since(&up->began));
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (!up->tty)
		fputc('\n', stderr);
	fflush(stderr);
}

static void progress_done(const struct up *up)
{
	if (up->tty)
		fputs("\r\033[K", stderr);
}

static void catch_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

int lab_pause(unsigned int ms)
{
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000L};
	sigset_t set;

	catch_signals(&set);
	if (sigtimedwait(&set, NULL, &wait) > 0)
		return sorry(-EINTR, "interrupted");
	return 0;
}

// Daemons are next to zetactl where it is installed, and in their own folders of a build tree.
static int find_daemon(char path[CLOUD_PATH], const char *folder, const char *name)
{
	char self[CLOUD_PATH];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *dir;

	if (length < 0)
		return sorry(-errno, "cannot read /proc/self/exe: %s", strerror(errno));
	self[length] = 0;
	dir = dirname(self);
	snprintf(path, CLOUD_PATH, "%.200s/../%s/%s", dir, folder, name);
	if (!access(path, X_OK))
		return 0;
	snprintf(path, CLOUD_PATH, "%.200s/%s", dir, name);
	if (!access(path, X_OK))
		return 0;
	return sorry(-ENOENT, "cannot find %s next to zetactl (%.200s)", name, dir);
}

// Where a daemon does not come up its own words say why: the last lines of its log.
static void show_log(const struct up *up, const char *name)
{
	char path[CLOUD_PATH], file[128], line[512], last[4][512] = {};
	unsigned int lines = 0, i;
	FILE *log;

	snprintf(file, sizeof(file), "%s.log", name);
	log = fopen(cloud_path(&up->cloud, path, "log", file), "re");
	if (!log)
		return;
	while (fgets(line, sizeof(line), log))
		memcpy(last[lines++ % 4], line, sizeof(line));
	fclose(log);
	for (i = lines > 4 ? lines - 4 : 0; i < lines; i++)
		fprintf(stderr, "  %s: %s", name, last[i % 4]);
}

static int issue_certificates(struct up *up)
{
	auto_(authority_freep) struct authority *authority = NULL;
	char dir[CLOUD_PATH], address[ADDRESS_TEXT];
	size_t i;
	int err;

	address_text(&up->topology.controller_ip, address);
	err = authority_new(&authority, cloud_path(&up->cloud, dir, "certs", NULL));
	if (!err)
		err = authority_issue(authority, "controller", address);
	for (i = 0; !err && i < up->topology.machines; i++)
		err = authority_issue(authority, up->topology.machine[i].name, NULL);
	return err ? sorry(err, "cannot make certificates in %s: %s", dir, strerror(-err)) : 0;
}

static int start_controller(struct up *up)
{
	char ca[CLOUD_PATH], cert[CLOUD_PATH], key[CLOUD_PATH], store[CLOUD_PATH];
	char daemon[CLOUD_PATH], rest[64], stream[64];
	const char *const argv[] = {daemon,   "--store", store,	 "--rest", rest,
				    "--grpc", stream,	 "--ca", ca,	   "--cert",
				    cert,     "--key",	 key,	 NULL};
	int err;

	err = find_daemon(daemon, "controller", "zeta-controller");
	if (err)
		return err;
	snprintf(rest, sizeof(rest), "0.0.0.0:%d", REST_PORT);
	snprintf(stream, sizeof(stream), "0.0.0.0:%d", STREAM_PORT);
	cloud_path(&up->cloud, ca, "certs", "ca.crt");
	cloud_path(&up->cloud, cert, "certs", "controller.crt");
	cloud_path(&up->cloud, key, "certs", "controller.key");
	cloud_path(&up->cloud, store, "store", "zeta.db");
	return cloud_start(&up->cloud, "controller", &up->controller, argv);
}

static int start_node(struct up *up, const struct machine *machine, const char *daemon)
{
	char ca[CLOUD_PATH], cert[CLOUD_PATH], key[CLOUD_PATH], bpf[CLOUD_PATH], run[CLOUD_PATH];
	char controller[ADDRESS_TEXT + 8], path[CLOUD_PATH], file[128], address[ADDRESS_TEXT];
	const char *const argv[] = {
		daemon, "--name", machine->name, "--controller", controller, "--ca",  ca,  "--cert",
		cert,	"--key",  key,		 "--bpf",	 bpf,	     "--run", run, NULL};
	struct netns netns = NETNS_NONE;
	int err;

	snprintf(controller, sizeof(controller), "%s:%d",
		 address_text(&up->topology.controller_ip, address), STREAM_PORT);
	cloud_path(&up->cloud, ca, "certs", "ca.crt");
	snprintf(file, sizeof(file), "%s.crt", machine->name);
	cloud_path(&up->cloud, cert, "certs", file);
	snprintf(file, sizeof(file), "%s.key", machine->name);
	cloud_path(&up->cloud, key, "certs", file);
	cloud_path(&up->cloud, bpf, "bpf", NULL);
	cloud_path(&up->cloud, run, "run", NULL);
	err = netns_open(&netns, cloud_path(&up->cloud, path, "net", machine->name));
	if (err)
		return sorry(err, "cannot open %s: %s", path, strerror(-err));
	err = cloud_start(&up->cloud, machine->name, &netns, argv);
	netns_close(&netns);
	return err;
}

static int start_nodes(struct up *up)
{
	char daemon[CLOUD_PATH];
	size_t i;
	int err;

	err = find_daemon(daemon, "node", "zetad");
	for (i = 0; !err && i < up->topology.machines; i++)
		err = start_node(up, &up->topology.machine[i], daemon);
	return err;
}

static int still_there(const struct up *up, const char *name)
{
	if (process_lives(cloud_process(&up->cloud, name)))
		return 0;
	progress_done(up);
	show_log(up, name);
	return sorry(-ECHILD, "%s ended", name);
}

// From here on this process is where the controller is; what else it needs of the network is open.
static int meet_controller(struct up *up)
{
	char url[64];
	double patience = seconds_since(&up->began) + WAIT_S;
	int err;

	if (setns(up->controller.fd, CLONE_NEWNET))
		return sorry(-errno, "cannot enter the controller's namespace: %s",
			     strerror(errno));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", REST_PORT);
	json_object_set_new(up->cloud.state, "controller", json_string(url));
	err = rest_open(&up->rest, url, NULL);
	while (!err) {
		err = rest_call(up->rest, "GET", "/v1/tenants", NULL, NULL);
		if (!err)
			return 0;
		if (err != -ECONNREFUSED || seconds_since(&up->began) > patience)
			return sorry(err, "%s", rest_message(up->rest));
		err = still_there(up, "controller");
		if (!err)
			err = lab_pause(20);
	}
	return err;
}

static int tell_controller(struct up *up)
{
	struct inventory inventory = {.rest = up->rest};
	struct apply_error error = {};
	json_t *answer = NULL;
	int err;

	err = apply_documents(&inventory, &up->topology.objects, NULL, NULL, &error);
	inventory_free(&inventory);
	if (err)
		return sorry(err, "%s", error.text);
	err = rest_call(up->rest, "GET", "/v1/nodes", NULL, &answer);
	if (err)
		return sorry(err, "%s", rest_message(up->rest));
	up->revision = json_integer_value(json_object_get(answer, "revision"));
	json_decref(answer);
	return 0;
}

// How many of a kind are ready. A node is when it applied what it was told last, a port when its
// host attached it. *late: one that is not.
static int count_ready(struct up *up, const char *kind, size_t *ready, size_t *all, char late[64])
{
	json_t *answer, *items, *item;
	char path[64];
	size_t i;
	int err;

	snprintf(path, sizeof(path), "/v1/%s", kind);
	err = rest_call(up->rest, "GET", path, NULL, &answer);
	if (err)
		return sorry(err, "%s", rest_message(up->rest));
	items = json_object_get(answer, "items");
	json_array_foreach (items, i, item) {
		const json_t *status = json_object_get(item, "status");

		++*all;
		if (!strcmp(kind, "ports")
			    ? json_is_true(json_object_get(status, "ready"))
			    : json_is_true(json_object_get(status, "connected")) &&
				      !*object_text(status, "error") &&
				      json_integer_value(json_object_get(status, "revision")) >=
					      up->revision)
			++*ready;
		else
			snprintf(late, 64, "%s", object_text(item, "name"));
	}
	json_decref(answer);
	return 0;
}

static int await_ready(struct up *up)
{
	double patience = seconds_since(&up->began) + WAIT_S;
	size_t machines_ready, machines, ports_ready, ports, i;
	char late[64], late_port[64];
	int err;

	for (;;) {
		machines_ready = machines = ports_ready = ports = 0;
		for (i = 0; i < up->topology.machines; i++) {
			err = still_there(up, up->topology.machine[i].name);
			if (err)
				return err;
		}
		if ((err = count_ready(up, "nodes", &machines_ready, &machines, late)) ||
		    (err = count_ready(up, "hosts", &machines_ready, &machines, late)) ||
		    (err = count_ready(up, "ports", &ports_ready, &ports, late_port)))
			return err;
		progress(up, "waiting for daemons: %zu of %zu machines, %zu of %zu ports",
			 machines_ready, machines, ports_ready, ports);
		if (machines_ready == machines && ports_ready == ports)
			return 0;
		if (seconds_since(&up->began) > patience) {
			progress_done(up);
			if (machines_ready < machines)
				show_log(up, late);
			return sorry(-ETIMEDOUT, "%s is not ready after %d seconds",
				     machines_ready < machines ? late : late_port, WAIT_S);
		}
		err = lab_pause(200);
		if (err)
			return err;
	}
}

// What `lab list` and `lab exec` tell of endpoints later.
static void remember_endpoints(struct up *up)
{
	json_t *endpoints = json_array();
	char address[ADDRESS_TEXT];
	size_t i;

	for (i = 0; i < up->topology.endpoints; i++) {
		const struct endpoint *endpoint = &up->topology.endpoint[i];

		json_array_append_new(endpoints,
				      json_pack("{s:s, s:s, s:s, s:s}", "name", endpoint->name,
						"vpc", endpoint->vpc, "ip",
						address_text(&endpoint->ip, address), "host",
						endpoint->host->name));
	}
	json_object_set_new(up->cloud.state, "endpoints", endpoints);
}

static void print_cloud(const struct up *up)
{
	struct table *table = table_new();
	char address[ADDRESS_TEXT];
	size_t i;

	table_cell(table, "ENDPOINT");
	table_cell(table, "VPC");
	table_cell(table, "IP");
	table_cell(table, "HOST");
	for (i = 0; i < up->topology.endpoints; i++) {
		const struct endpoint *endpoint = &up->topology.endpoint[i];

		table_row(table);
		table_cell(table, "%s", endpoint->name);
		table_cell(table, "%s", endpoint->vpc);
		table_cell(table, "%s", address_text(&endpoint->ip, address));
		table_cell(table, "%s", endpoint->host->name);
	}
	printf("cloud %s is up: %zu machines, %zu endpoints, %.1f seconds\n\n", up->cloud.name,
	       up->topology.machines, up->topology.endpoints, seconds_since(&up->began));
	table_print(&table, stdout, 0);
}

static int bring_up(struct up *up)
{
	int err;

	progress(up, "building the fabric");
	if ((err = cloud_create(&up->cloud)) ||
	    (err = fabric_build(&up->cloud, &up->topology, &up->controller)) ||
	    (err = issue_certificates(up)))
		return err;
	progress(up, "starting the controller");
	if ((err = start_controller(up)) || (err = meet_controller(up)))
		return err;
	progress(up, "telling the controller about %zu objects", up->topology.objects.count);
	if ((err = tell_controller(up)) || (err = start_nodes(up)) || (err = await_ready(up)))
		return err;
	remember_endpoints(up);
	json_object_set_new(up->cloud.state, "state", json_string("up"));
	err = cloud_save(&up->cloud);
	progress_done(up);
	return err;
}

// A cloud that is up is left alone; what is left of one that is not goes.
static int make_room(struct up *up)
{
	struct cloud old = {.lock = -1};
	json_t *process;
	int found, lives = 0;
	size_t i;

	if (!cloud_exists(&old, up->cloud.name)) {
		lives = !strcmp(object_text(old.state, "state"), "up");
		json_array_foreach (json_object_get(old.state, "processes"), i, process)
			lives = lives && process_lives(process);
	}
	cloud_close(&old);
	if (lives)
		return sorry(-EEXIST, "cloud %s is up already; `zetactl lab down %s` takes it down",
			     up->cloud.name, up->cloud.name);
	return cloud_destroy(&up->cloud, &found);
}

int command_lab_up(struct cli *cli)
{
	struct up up = {.cloud.lock = -1, .controller = NETNS_NONE, .tty = isatty(2)};
	const char *name;
	sigset_t set;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &up.began);
	err = topology_read(&up.topology, cli->argv[0]);
	if (err)
		return FAILED;
	name = cli->name ? cli->name : up.topology.name;
	err = cloud_lock(&up.cloud, name);
	// From here on signals wait for lab_pause(), so that what was begun is undone.
	catch_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!err)
		err = make_room(&up);
	if (!err) {
		err = bring_up(&up);
		if (err)
			cloud_destroy(&up.cloud, NULL);
		else
			print_cloud(&up);
	}
	netns_close(&up.controller);
	rest_freep(&up.rest);
	topology_free(&up.topology);
	cloud_close(&up.cloud);
	return err ? FAILED : DONE;
}
