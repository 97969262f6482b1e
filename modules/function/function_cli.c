// SPDX-License-Identifier: Apache-2.0
// `zetactl nf`: builds, pushes and rolls out network functions, and shows what they cost.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/output.h"
#include "lib/base64.h"
#include "lib/file.h"
#include "lib/own.h"
#include "modules/function/object.h"

#define POLL_MS 200
#define PATIENCE_MS 60000

extern char **environ;

static const char header[] = {
#include "nf.inc"
	0,
};

// ---- build

static int run(const char *const *argv)
{
	int status;
	pid_t child;
	int err = posix_spawnp(&child, argv[0], NULL, NULL, (char *const *)argv, environ);

	if (err)
		return sorry(-err, "%s cannot be run: %s", argv[0], strerror(err));
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EPROTO;
}

// The header that belongs to this zetactl, in a directory of its own: built against exactly that.
static int write_header(char dir[PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX + 16];
	FILE *f;

	snprintf(dir, PATH_MAX, "%s/zeta-nf.XXXXXX", tmp && strlen(tmp) < 1000 ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return sorry(-errno, "no directory for the header: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s/zeta", dir);
	if (mkdir(path, 0700))
		return -errno;
	snprintf(path, sizeof(path), "%s/zeta/nf.h", dir);
	f = fopen(path, "we");
	if (!f || fputs(header, f) < 0 || fclose(f))
		return sorry(-EIO, "the header cannot be written to %s", path);
	return 0;
}

static void remove_header(const char *dir)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/zeta/nf.h", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/zeta", dir);
	rmdir(path);
	rmdir(dir);
}

// Where the kernel's headers find those of the architecture.
static const char multiarch[] = "/usr/include/" ZETA_MULTIARCH;

static int compile(const char *source, const char *object)
{
	char dir[PATH_MAX], include[PATH_MAX + 2];
	int err = write_header(dir);

	snprintf(include, sizeof(include), "-I%s", dir);
	if (!err)
		err = run((const char *[]){"clang", "-target", "bpf", "-mcpu=v3", "-std=gnu17",
					   "-g", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter",
					   include, "-idirafter", multiarch, "-c", source, "-o",
					   object, NULL});
	if (!err)
		err = run((const char *[]){"llvm-strip", "-g", object, NULL});
	remove_header(dir);
	return err;
}

// The caller frees *text.
static int read_object(const char *path, char **text, size_t *size)
{
	int err = file_read(path, ZETA_OBJECT_BYTES, text, size);

	return err ? sorry(err, "%s: %s", path, strerror(-err)) : 0;
}

static int examine(const char *path, struct function_object *out)
{
	auto_(freep) char *bytes = NULL;
	char why[OBJECT_WHY];
	size_t size;
	int err = read_object(path, &bytes, &size);

	if (err)
		return err;
	err = object_read(bytes, size, 1, out, why);
	return err == -EINVAL ? sorry(err, "%s: %s", path, why) : err;
}

int command_nf_build(struct cli *cli)
{
	const char *source = cli->argv[0], *name = strrchr(source, '/');
	size_t length = strlen(source);
	struct function_object read;
	char object[PATH_MAX];
	uint32_t i;

	if (length < 3 || length >= sizeof(object) || strcmp(source + length - 2, ".c") != 0) {
		complain("%s is not named as a C file is", source);
		return USAGE;
	}
	name = name ? name + 1 : source;
	snprintf(object, sizeof(object), "%.*so", (int)strlen(name) - 1, name);
	if (compile(source, object) || examine(object, &read))
		return FAILED;
	printf("%s sees %s%s%s\n", object, read.first ? "first packets" : "",
	       read.first && read.every ? " and " : "", read.every ? "every packet" : "");
	for (i = 0; i < read.fields; i++)
		printf("%s%s", i ? ", " : "  configuration: ", read.field[i].name);
	if (read.fields)
		putchar('\n');
	return DONE;
}

// ---- the controller's

struct nf {
	struct inventory inventory;
	const char *name;
	json_t *function; // as the controller has it; NULL: it has none
};

static int fetch(struct nf *nf)
{
	auto_(freep) char *path = rest_path(nf->inventory.rest, "functions", nf->name);
	json_t *answer = NULL;
	int err = rest_call(nf->inventory.rest, "GET", path, NULL, &answer);

	if (err && err != -ENOENT)
		return sorry(err, "%s", rest_message(nf->inventory.rest));
	json_decref(nf->function);
	nf->function = answer;
	return 0;
}

static int begin(struct cli *cli, struct nf *nf)
{
	int err = controller_connect(cli, &nf->inventory);

	nf->name = cli->argv[0];
	return err ? err : fetch(nf);
}

static int begin_existing(struct cli *cli, struct nf *nf)
{
	int err = begin(cli, nf);

	if (!err && !nf->function)
		return sorry(-ENOENT, "there is no function %s", nf->name);
	return err;
}

static int end(struct nf *nf, int err)
{
	json_decref(nf->function);
	controller_leave(&nf->inventory);
	return err ? FAILED : DONE;
}

static const char *running_of(const json_t *function)
{
	return json_string_value(json_object_get(function, "running"));
}

static json_t *version_json(const char *version, json_t *object)
{
	return json_pack("{s:s, s:o}", "version", version, "object", object);
}

// Sends what the function shall be; consumes versions.
static int put(struct nf *nf, const json_t *cluster, const char *running, json_t *versions)
{
	auto_(json_decrefp) json_t *body =
		json_pack("{s:s, s:O, s:s?, s:o}", "name", nf->name, "cluster", cluster, "running",
			  running, "versions", versions);
	auto_(freep) char *path =
		rest_path(nf->inventory.rest, "functions", nf->function ? nf->name : NULL);
	json_t *answer = NULL;
	int err;

	if (nf->function)
		json_object_set(body, "description", json_object_get(nf->function, "description"));
	err = rest_call(nf->inventory.rest, nf->function ? "PUT" : "POST", path, body, &answer);
	if (err)
		return sorry(err, "function %s: %s", nf->name, rest_message(nf->inventory.rest));
	json_decref(nf->function);
	nf->function = answer;
	return 0;
}

// The cluster of a function that is new, a new reference.
static int choose_cluster(struct nf *nf, const char *named, json_t **out)
{
	json_t *list;
	int err = inventory_list(&nf->inventory, kind_of_path("clusters"), &list);

	if (err)
		return sorry(err, "%s", rest_message(nf->inventory.rest));
	if (!named && json_array_size(list) != 1)
		return sorry(-EINVAL, "there are %zu clusters: --cluster says which",
			     json_array_size(list));
	*out = named ? json_string(named)
		     : json_incref(json_object_get(json_array_get(list, 0), "id"));
	return 0;
}

// Prints why a node does not load the version. Returns 1: all that are connected have; 0: not yet.
static int look(struct nf *nf, const char *version)
{
	json_t *node, *state;
	int missing = 0;
	size_t i;

	json_array_foreach (json_object_get(nf->function, "nodes"), i, node) {
		if (!json_is_true(json_object_get(node, "connected")))
			continue;
		state = json_object_get(json_object_get(node, "versions"), version);
		if (!state) {
			missing++;
		} else if (!json_is_true(json_object_get(state, "loaded"))) {
			fprintf(stderr, "%s\n", text_or_empty(state, "why"));
			return sorry(-EPROTO, "node %s cannot load version %s of function %s",
				     text_or_empty(node, "node"), version, nf->name);
		}
	}
	return !missing;
}

static int poll_until(struct nf *nf, const char *version,
		      int (*done)(struct nf *nf, const char *version), const char *what)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	int waited = 0, state;

	while (!(state = done(nf, version))) {
		if (waited >= PATIENCE_MS)
			return sorry(-ETIMEDOUT, "after %d s not all nodes have %s version %s",
				     PATIENCE_MS / 1000, what, version);
		nanosleep(&pause, NULL);
		waited += POLL_MS;
		if ((state = fetch(nf)) || !nf->function)
			return state ? state : sorry(-ENOENT, "function %s is gone", nf->name);
	}
	return state < 0 ? state : 0;
}

static int push(struct cli *cli, struct nf *nf, const char *version, const char *file)
{
	auto_(freep) char *bytes = NULL;
	auto_(freep) char *text = NULL;
	auto_(json_decrefp) json_t *cluster = NULL;
	const char *running = running_of(nf->function);
	json_t *versions = json_array();
	size_t size;
	int err = read_object(file, &bytes, &size);

	if (!err && !(text = base64_encode((const uint8_t *)bytes, size)))
		err = -ENOMEM;
	if (!err && nf->function)
		cluster = json_incref(json_object_get(nf->function, "cluster"));
	else if (!err)
		err = choose_cluster(nf, cli->cluster, &cluster);
	if (err) {
		json_decref(versions);
		return err;
	}
	// What runs stays; the other one, if any, goes.
	if (running && strcmp(running, version) != 0)
		json_array_append_new(versions, version_json(running, json_null()));
	json_array_append_new(versions, version_json(version, json_string(text)));
	if ((err = put(nf, cluster, running, versions)) || cli->no_wait)
		return err;
	return poll_until(nf, version, look, "loaded");
}

int command_nf_push(struct cli *cli)
{
	struct function_object read;
	struct nf nf = {};
	int err;

	if (examine(cli->argv[2], &read))
		return FAILED;
	err = begin(cli, &nf);
	if (!err)
		err = push(cli, &nf, cli->argv[1], cli->argv[2]);
	if (!err)
		printf("function/%s version %s %s\n", nf.name, cli->argv[1],
		       cli->no_wait ? "pushed" : "loaded");
	return end(&nf, err);
}

// Whether the nodes that are connected follow what the controller said last.
static int follow(struct nf *nf, const char *version)
{
	auto_(json_decrefp) json_t *answer = NULL;
	const json_t *status;
	json_t *node;
	size_t i;

	if (rest_call(nf->inventory.rest, "GET", "/v1/nodes", NULL, &answer))
		return sorry(-EPROTO, "%s", rest_message(nf->inventory.rest));
	json_array_foreach (json_object_get(answer, "items"), i, node) {
		status = json_object_get(node, "status");
		if (!strcmp(text_or_empty(node, "cluster"),
			    text_or_empty(nf->function, "cluster")) &&
		    json_is_true(json_object_get(status, "connected")) &&
		    integer_in(status, "revision") < integer_in(nf->function, "revision"))
			return 0;
	}
	return 1;
}

static int roll_out(struct cli *cli, struct nf *nf, const char *version)
{
	json_t *versions = json_array(), *item;
	size_t i;
	int err;

	json_array_foreach (json_object_get(nf->function, "versions"), i, item)
		json_array_append_new(versions,
				      version_json(text_or_empty(item, "version"), json_null()));
	err = put(nf, json_object_get(nf->function, "cluster"), version, versions);
	return err || cli->no_wait ? err : poll_until(nf, version, follow, "taken up");
}

int command_nf_rollout(struct cli *cli)
{
	struct nf nf = {};
	int err = begin_existing(cli, &nf);

	if (!err)
		err = roll_out(cli, &nf, cli->argv[1]);
	if (!err)
		printf("function/%s runs version %s\n", nf.name, cli->argv[1]);
	return end(&nf, err);
}

int command_nf_rollback(struct cli *cli)
{
	const char *running, *other = NULL;
	char version[128] = "";
	struct nf nf = {};
	int err = begin_existing(cli, &nf);
	json_t *item;
	size_t i;

	running = running_of(nf.function);
	json_array_foreach (json_object_get(nf.function, "versions"), i, item)
		if (running && strcmp(running, text_or_empty(item, "version")) != 0)
			other = text_or_empty(item, "version");
	if (!err && !other)
		err = sorry(-ENOENT, "function %s has no other version than what runs", nf.name);
	if (!err) {
		snprintf(version, sizeof(version), "%s", other);
		err = roll_out(cli, &nf, version);
	}
	if (!err)
		printf("function/%s runs version %s\n", nf.name, version);
	return end(&nf, err);
}

// ---- what there is, and what it costs

// {version: {nodes, loaded, runs, ..}} summed over the nodes.
static json_t *sums_of(const json_t *function, const char *version)
{
	static const char *const counts[] = {"runs", "dropped", "beyond", "timed", "timed_ns"};
	json_t *sum = json_object(), *node, *state;
	json_int_t connected = 0, loaded = 0, longest = 0;
	size_t i, k;

	json_array_foreach (json_object_get(function, "nodes"), i, node) {
		connected += json_is_true(json_object_get(node, "connected"));
		state = json_object_get(json_object_get(node, "versions"), version);
		loaded += json_is_true(json_object_get(state, "loaded"));
		for (k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
			json_object_set_new(sum, counts[k],
					    json_integer(integer_in(sum, counts[k]) +
							 integer_in(state, counts[k])));
		if (integer_in(state, "longest_ns") > longest)
			longest = integer_in(state, "longest_ns");
	}
	json_object_set_new(sum, "connected", json_integer(connected));
	json_object_set_new(sum, "loaded", json_integer(loaded));
	json_object_set_new(sum, "longest_ns", json_integer(longest));
	return sum;
}

static void words_cell(struct table *table, const json_t *words)
{
	char text[128] = "";
	size_t i, used = 0;
	json_t *word;

	json_array_foreach (words, i, word)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? "," : "",
					 json_string_value(word));
	table_cell(table, "%s", *text ? text : "-");
}

static void list_row(struct table *table, const json_t *function, const json_t *version)
{
	const char *name = text_or_empty(version, "version"), *running = running_of(function);
	auto_(json_decrefp) json_t *sum = sums_of(function, name);

	table_row(table);
	table_cell(table, "%s", text_or_empty(function, "name"));
	table_cell(table, "%s", name);
	table_cell(table, "%s", running && !strcmp(running, name) ? "yes" : "no");
	words_cell(table, json_object_get(version, "sees"));
	words_cell(table, json_object_get(version, "may"));
	table_cell(table, "%lld of %lld", (long long)integer_in(sum, "loaded"),
		   (long long)integer_in(sum, "connected"));
}

static void top_row(struct table *table, const json_t *function, const json_t *version)
{
	const char *name = text_or_empty(version, "version"), *running = running_of(function);
	auto_(json_decrefp) json_t *sum = sums_of(function, name);
	json_int_t timed = integer_in(sum, "timed");
	json_int_t mean = timed ? integer_in(sum, "timed_ns") / timed : 0;

	table_row(table);
	table_cell(table, "%s", text_or_empty(function, "name"));
	table_cell(table, "%s", name);
	table_cell(table, "%s", running && !strcmp(running, name) ? "yes" : "no");
	table_number(table, integer_in(sum, "runs"));
	table_number(table, integer_in(sum, "dropped"));
	table_number(table, integer_in(sum, "beyond"));
	table_number(table, mean);
	table_number(table, integer_in(sum, "longest_ns"));
	table_number(table, mean * integer_in(sum, "runs") / 1000000);
}

static int show(struct cli *cli, const char *const *titles,
		void (*row)(struct table *, const json_t *, const json_t *))
{
	struct table *table = table_new();
	struct nf nf = {};
	json_t *list = NULL, *function, *version;
	int err = controller_connect(cli, &nf.inventory);
	size_t i, k;

	if (!err && (err = inventory_list(&nf.inventory, kind_of_path("functions"), &list)))
		complain("%s", rest_message(nf.inventory.rest));
	for (; *titles; titles++)
		table_cell(table, "%s", *titles);
	json_array_foreach (list, i, function) {
		json_array_foreach (json_object_get(function, "versions"), k, version)
			row(table, function, version);
	}
	if (!err && cli->output == OUTPUT_JSON)
		print_json(list, stdout);
	else if (!err && cli->output == OUTPUT_YAML)
		print_yaml(list, stdout);
	else if (!err)
		table_print(&table, stdout, 0);
	return end(&nf, err);
}

int command_nf_list(struct cli *cli)
{
	static const char *const titles[] = {"NAME", "VERSION", "RUNS", "SEES",
					     "MAY",  "LOADED",	NULL};

	return show(cli, titles, list_row);
}

int command_nf_top(struct cli *cli)
{
	static const char *const titles[] = {"NAME",	  "VERSION", "RUNNING", "RUNS",
					     "DROPPED",	  "BEYOND",  "NS/RUN",	"LONGEST NS",
					     "MS IN ALL", NULL};

	return show(cli, titles, top_row);
}
