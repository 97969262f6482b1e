// SPDX-License-Identifier: Apache-2.0
// What is done with a cloud that is up: taken down, entered, listed, its daemons restarted.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/inventory.h"
#include "cli/lab.h"
#include "cli/lab_ready.h"
#include "cli/output.h"
#include "lib/own.h"

int command_lab_down(struct cli *cli)
{
	struct cloud cloud = {.lock = -1};
	int err, found = 0;

	err = cloud_lock(&cloud, cli->argv[0]);
	if (!err)
		err = cloud_destroy(&cloud, &found);
	if (!err && !found)
		err = sorry(-ENOENT, "there is no cloud %s", cli->argv[0]);
	if (!err)
		printf("cloud %s is down\n", cli->argv[0]);
	cloud_close(&cloud);
	return err ? FAILED : DONE;
}

// So that `zetactl` is found in a cloud, too: after all that the caller's own PATH has.
static void lab_path(void)
{
	char self[CLOUD_PATH], path[8192];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *had = getenv("PATH");

	if (length < 0)
		return;
	self[length] = 0;
	if (snprintf(path, sizeof(path), "%s%s%s", had ? had : "", had && *had ? ":" : "",
		     dirname(self)) < (int)sizeof(path))
		setenv("PATH", path, 1);
}

// Only the network namespace: files, bpffs and processes stay those of the caller.
int command_lab_exec(struct cli *cli)
{
	struct cloud cloud = {.lock = -1};
	char path[CLOUD_PATH];
	int net;

	if (cloud_open(&cloud, cli->argv[0]))
		return FAILED;
	if (strchr(cli->argv[1], '/'))
		net = -1;
	else
		net = open(cloud_path(&cloud, path, "net", cli->argv[1]), O_RDONLY | O_CLOEXEC);
	cloud_close(&cloud);
	if (net < 0) {
		complain("cloud %s has no machine or endpoint %s", cli->argv[0], cli->argv[1]);
		return FAILED;
	}
	if (setns(net, CLONE_NEWNET)) {
		complain("cannot enter %s: %s", path, strerror(errno));
		return FAILED;
	}
	lab_path();
	execvp(cli->argv[2], cli->argv + 2);
	complain("cannot run %s: %s", cli->argv[2], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

static int restart(struct cloud *cloud, char **names, int count)
{
	json_t *process;
	int err = 0, n;
	size_t i;

	for (n = 0; !err && n < count; n++)
		err = cloud_restart(cloud, names[n]);
	json_array_foreach (json_object_get(cloud->state, "processes"), i, process)
		if (!err && !count)
			err = cloud_restart(cloud, object_text(process, "name"));
	return err;
}

static int await_cloud(struct waiting *waiting)
{
	const struct cloud *cloud = waiting->cloud;
	struct netns controller = NETNS_NONE;
	char path[CLOUD_PATH];
	int err;

	err = netns_open(&controller, cloud_path(cloud, path, "net", "controller"));
	if (err)
		return sorry(err, "cannot open %s: %s", path, strerror(-err));
	err = await_controller(waiting, controller.fd);
	if (!err)
		err = await_ready(waiting);
	progress_done();
	rest_freep(&waiting->rest);
	netns_close(&controller);
	return err;
}

int command_lab_restart(struct cli *cli)
{
	struct cloud cloud = {.lock = -1};
	struct waiting waiting = {.cloud = &cloud};
	int err;

	clock_gettime(CLOCK_MONOTONIC, &waiting.began);
	err = cloud_lock(&cloud, cli->argv[0]);
	if (!err)
		err = cloud_load(&cloud);
	if (!err)
		err = restart(&cloud, cli->argv + 1, cli->argc - 1);
	await_news(&waiting);
	if (!err)
		err = await_cloud(&waiting);
	cloud_close(&cloud);
	return err ? FAILED : DONE;
}

static json_t *describe(const char *name)
{
	struct cloud cloud = {.lock = -1};
	json_t *process, *answer = NULL, *processes;
	size_t i, lives = 0;

	if (!cloud_exists(&cloud, name)) {
		processes = json_object_get(cloud.state, "processes");
		json_array_foreach (processes, i, process)
			lives += (size_t)process_lives(process);
		answer = json_pack("{s:s, s:s, s:i, s:i, s:i}", "name", name, "state",
				   lives < json_array_size(processes)
					   ? "broken"
					   : object_text(cloud.state, "state"),
				   "daemons", (int)json_array_size(processes), "running",
				   (int)lives, "endpoints",
				   (int)json_array_size(json_object_get(cloud.state, "endpoints")));
		if (json_object_get(cloud.state, "controller"))
			json_object_set(answer, "controller",
					json_object_get(cloud.state, "controller"));
	}
	cloud_close(&cloud);
	return answer;
}

static json_t *list_clouds(void)
{
	json_t *clouds = json_array(), *cloud;
	struct dirent **entry;
	int count, i;

	count = scandir(LAB_DIR, &entry, NULL, alphasort);
	for (i = 0; i < count; i++) {
		cloud = entry[i]->d_name[0] == '.' ? NULL : describe(entry[i]->d_name);
		if (cloud)
			json_array_append_new(clouds, cloud);
		free(entry[i]);
	}
	if (count >= 0)
		free(entry);
	return clouds;
}

int command_lab_list(struct cli *cli)
{
	json_t *clouds = list_clouds(), *cloud;
	struct table *table;
	size_t i;

	if (cli->output == OUTPUT_JSON) {
		print_json(clouds, stdout);
	} else if (cli->output == OUTPUT_YAML) {
		print_yaml(clouds, stdout);
	} else {
		table = table_new();
		table_cell(table, "CLOUD");
		table_cell(table, "STATE");
		table_cell(table, "DAEMONS");
		table_cell(table, "ENDPOINTS");
		json_array_foreach (clouds, i, cloud) {
			table_row(table);
			table_cell(table, "%s", object_text(cloud, "name"));
			table_cell(table, "%s", object_text(cloud, "state"));
			table_cell(
				table, "%lld of %lld",
				(long long)json_integer_value(json_object_get(cloud, "running")),
				(long long)json_integer_value(json_object_get(cloud, "daemons")));
			table_number(table,
				     json_integer_value(json_object_get(cloud, "endpoints")));
		}
		table_print(&table, stdout, 0);
	}
	json_decref(clouds);
	return DONE;
}
