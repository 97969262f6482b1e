// SPDX-License-Identifier: Apache-2.0
// `lab up`: the cloud's fabric, its daemons, what the controller is told, and the wait until all of
// it is true. Whatever goes wrong on the way, Ctrl-C too, ends with nothing left.
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/apply.h"
#include "cli/cli.h"
#include "cli/inventory.h"
#include "cli/lab.h"
#include "cli/lab_certificate.h"
#include "cli/lab_ready.h"
#include "cli/output.h"
#include "lib/address.h"
#include "lib/own.h"

#define REST_PORT 8080
#define STREAM_PORT 8443

struct up {
	struct cloud cloud;
	struct topology topology;
	struct netns controller;
	struct waiting waiting;
};

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
	const char *argv[15 + MAX_OPTIONS + 1] = {
		daemon, "--name", machine->name, "--controller", controller, "--ca",  ca, "--cert",
		cert,	"--key",  key,		 "--bpf",	 bpf,	     "--run", run};
	struct netns netns = NETNS_NONE;
	size_t i;
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
	for (i = 0; i < json_array_size(machine->options); i++)
		argv[15 + i] = json_string_value(json_array_get(machine->options, i));
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

static int meet_controller(struct up *up)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d", REST_PORT);
	json_object_set_new(up->cloud.state, "controller", json_string(url));
	return await_controller(&up->waiting, up->controller.fd);
}

static int tell_controller(struct up *up)
{
	struct inventory inventory = {.rest = up->waiting.rest};
	struct apply_error error = {};
	int err;

	err = apply_documents(&inventory, &up->topology.objects, NULL, NULL, &error);
	inventory_free(&inventory);
	if (err)
		return sorry(err, "%s", error.text);
	return lab_pause(0);
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
	       up->topology.machines, up->topology.endpoints, seconds_since(&up->waiting.began));
	table_print(&table, stdout, 0);
}

static int bring_up(struct up *up)
{
	int err;

	progress(&up->waiting, "building the fabric");
	if ((err = cloud_create(&up->cloud)) ||
	    (err = fabric_build(&up->cloud, &up->topology, &up->controller)) ||
	    (err = issue_certificates(up)))
		return err;
	progress(&up->waiting, "starting the controller");
	if ((err = start_controller(up)) || (err = meet_controller(up)))
		return err;
	progress(&up->waiting, "telling the controller about %zu objects",
		 up->topology.objects.count);
	if ((err = tell_controller(up)) || (err = start_nodes(up)) ||
	    (err = await_ready(&up->waiting)))
		return err;
	remember_endpoints(up);
	json_object_set_new(up->cloud.state, "state", json_string("up"));
	err = cloud_save(&up->cloud);
	progress_done();
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
		lives = !strcmp(text_or_empty(old.state, "state"), "up");
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
	struct up up = {.cloud.lock = -1, .controller = NETNS_NONE};
	const char *name;
	sigset_t set;
	int err;

	up.waiting.cloud = &up.cloud;
	clock_gettime(CLOCK_MONOTONIC, &up.waiting.began);
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
	rest_freep(&up.waiting.rest);
	topology_free(&up.topology);
	cloud_close(&up.cloud);
	return err ? FAILED : DONE;
}
