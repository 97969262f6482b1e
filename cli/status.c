// SPDX-License-Identifier: Apache-2.0
// `zetactl status`: one page that tells how the cluster is, and why each packet left as it did.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/output.h"
#include "lib/json.h"
#include "lib/own.h"
#include "modules/limits/limits_cli.h"

// {NAME: {packets, bytes}} of one member is added to that of all.
static void add_verdicts(json_t *sum, const json_t *verdicts)
{
	static const char *const counters[] = {"packets", "bytes"};
	json_t *count, *total;
	const char *name;
	size_t i;

	json_object_foreach ((json_t *)verdicts, name, count) {
		total = json_object_get(sum, name);
		if (!total) {
			total = json_object();
			json_object_set_new(sum, name, total);
		}
		for (i = 0; i < 2; i++)
			json_object_set_new(total, counters[i],
					    json_integer(integer_in(total, counters[i]) +
							 integer_in(count, counters[i])));
	}
}

static json_t *member_status(const json_t *object, int is_host)
{
	static const char *const fields[] = {
		"connected",	  "boot",   "version",	   "revision", "error", "sessions",
		"session_digest", "cached", "reported_at", "vpcs",     NULL};
	const json_t *status = json_object_get(object, "status");
	json_t *member = json_object(), *verdicts = json_object_get(status, "verdicts");
	size_t i;

	json_object_set(member, "name", json_object_get(object, "name"));
	if (is_host)
		json_object_set_new(member, "roles",
				    json_pack("[s]", text_or_empty(object, "kind")));
	else
		json_object_set(member, "roles", json_object_get(object, "roles"));
	for (i = 0; fields[i]; i++)
		if (json_object_get(status, fields[i]))
			json_object_set(member, fields[i], json_object_get(status, fields[i]));
	json_object_set_new(member, "verdicts",
			    verdicts ? json_deep_copy(verdicts) : json_object());
	return member;
}

// The members of a cluster, nodes then hosts; their verdicts are summed on the way.
static int add_members(struct inventory *inventory, const char *cluster, json_t *members,
		       json_t *verdicts)
{
	static const char *const paths[] = {"nodes", "hosts"};
	json_t *list, *object, *named, *member;
	size_t kind, i;
	int err;

	for (kind = 0; kind < 2; kind++) {
		err = inventory_list(inventory, kind_of_path(paths[kind]), &list);
		if (err)
			return err;
		json_array_foreach (list, i, object) {
			err = inventory_named(inventory, kind_of_path(paths[kind]), object, &named);
			if (err)
				return err;
			if (!strcmp(text_or_empty(named, "cluster"), cluster)) {
				member = member_status(named, (int)kind);
				add_verdicts(verdicts, json_object_get(member, "verdicts"));
				json_array_append_new(members, member);
			}
			json_decref(named);
		}
	}
	return 0;
}

static int cluster_status(struct inventory *inventory, const json_t *cluster, json_t **out)
{
	static const char *const parts[] = {"alarms", "nodes", "entrances", "chains", "spread"};
	auto_(freep) char *path = NULL;
	json_t *status, *view = NULL, *members = json_array(), *verdicts = json_object();
	json_t *vpcs = NULL;
	size_t i;
	int err;

	status = json_pack("{s:s, s:O?, s:o, s:o}", "name", text_or_empty(cluster, "name"),
			   "overlay", json_object_get(cluster, "overlay"), "members", members,
			   "verdicts", verdicts);
	path = rest_path(inventory->rest, "views", text_or_empty(cluster, "id"));
	err = rest_call(inventory->rest, "GET", path, NULL, &view);
	if (!err) {
		json_object_set(status, "epoch", json_object_get(view, "epoch"));
		for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
			json_object_set(status, parts[i], json_object_get(view, parts[i]));
		err = add_members(inventory, text_or_empty(cluster, "name"), members, verdicts);
	}
	if (!err && !(err = limits_sum(inventory, members, &vpcs)))
		json_object_set_new(status, "vpcs", vpcs);
	json_decref(view);
	if (err)
		json_decref(status);
	else
		*out = status;
	return err;
}

static void text_or_dash(struct table *table, const char *text)
{
	table_cell(table, "%s", *text ? text : "-");
}

static void join(char *text, size_t room, const json_t *list)
{
	json_t *item;
	size_t i;

	*text = 0;
	json_array_foreach (list, i, item)
		if (json_is_string(item) && strlen(text) + json_string_length(item) + 2 < room)
			sprintf(text + strlen(text), "%s%s", i ? "," : "", json_string_value(item));
}

static void print_members(const json_t *members)
{
	static const char *const title[] = {"MEMBER",	"ROLES",  "CONNECTED", "REVISION",
					    "SESSIONS", "DIGEST", "CACHED",    "ERROR"};
	struct table *table = table_new();
	json_t *member;
	char roles[64];
	size_t i;

	for (i = 0; i < sizeof(title) / sizeof(title[0]); i++)
		table_cell(table, "%s", title[i]);
	json_array_foreach (members, i, member) {
		join(roles, sizeof(roles), json_object_get(member, "roles"));
		table_row(table);
		table_cell(table, "%s", text_or_empty(member, "name"));
		table_cell(table, "%s", roles);
		table_cell(table, "%s",
			   json_is_true(json_object_get(member, "connected")) ? "yes" : "NO");
		table_number(table, integer_in(member, "revision"));
		table_number(table, integer_in(member, "sessions"));
		text_or_dash(table, text_or_empty(member, "session_digest"));
		table_number(table, integer_in(member, "cached"));
		text_or_dash(table, text_or_empty(member, "error"));
	}
	table_print(&table, stdout, 2);
}

static void titles(struct table *table, const char *const *title)
{
	for (; *title; title++)
		table_cell(table, "%s", *title);
}

static void print_alarms(const json_t *alarms)
{
	struct table *table = table_new();
	json_t *alarm;
	size_t i;

	if (!json_array_size(alarms))
		puts("  no alarms");
	json_array_foreach (alarms, i, alarm) {
		if (i)
			table_row(table);
		table_cell(table, "%s", text_or_empty(alarm, "severity"));
		table_cell(table, "%s", text_or_empty(alarm, "since"));
		table_cell(table, "%s", text_or_empty(alarm, "what"));
		table_cell(table, "%s", text_or_empty(alarm, "message"));
	}
	table_print(&table, stdout, 2);
}

static void list_or_dash(struct table *table, const json_t *list)
{
	char text[512];

	join(text, sizeof(text), list);
	text_or_dash(table, text);
}

// "all" where that is everybody else.
static void hears_cell(struct table *table, const json_t *node, size_t nodes)
{
	const json_t *hears = json_object_get(node, "hears");

	if (json_array_size(hears) && json_array_size(hears) + 1 == nodes)
		table_cell(table, "all");
	else
		list_or_dash(table, hears);
}

// "works" alone, where it is so.
static void side_cell(struct table *table, const json_t *node)
{
	const char *side = text_or_empty(node, "tenant_side");
	char misses[256];

	join(misses, sizeof(misses), json_object_get(node, "tenant_misses"));
	table_cell(table, "%s%s%s%s", strcmp(side, "none") ? side : "-",
		   json_is_true(json_object_get(node, "away")) ? ", away" : "",
		   *misses ? ", misses " : "", misses);
}

static void print_nodes(const json_t *nodes)
{
	static const char *const title[] = {"NODE",	"IS",	       "BOOT",	"ENTRANCES",
					    "REPLICAS", "VOTES",       "HOLDS", "HEARS",
					    "MISSES",	"TENANT SIDE", NULL};
	static const char *const counts[] = {"entrances", "replicas", "votes", "holds"};
	struct table *table = table_new();
	json_t *node;
	size_t i, k;

	titles(table, title);
	json_array_foreach (nodes, i, node) {
		table_row(table);
		table_cell(table, "%s", text_or_empty(node, "name"));
		table_cell(table, "%s%s", text_or_empty(node, "presence"),
			   json_is_true(json_object_get(node, "drain")) ? ", leaves" : "");
		table_cell(table, "%08llx", (long long)integer_in(node, "boot"));
		for (k = 0; k < sizeof(counts) / sizeof(counts[0]); k++)
			table_number(table, integer_in(node, counts[k]));
		hears_cell(table, node, json_array_size(nodes));
		list_or_dash(table, json_object_get(node, "misses"));
		side_cell(table, node);
	}
	table_print(&table, stdout, 2);
}

static void print_entrances(const json_t *entrances)
{
	static const char *const title[] = {"ENTRANCE", "MAC", "OWNER, THEN", NULL};
	struct table *table = table_new();
	json_t *item;
	size_t i;

	titles(table, title);
	json_array_foreach (entrances, i, item) {
		table_row(table);
		table_cell(table, "%s", text_or_empty(item, "ip"));
		table_cell(table, "%s", text_or_empty(item, "mac"));
		list_or_dash(table, json_object_get(item, "preference"));
	}
	table_print(&table, stdout, 2);
}

// The term's number tells the ballot's round and its proposer apart (dft/term.h).
static void term_cell(struct table *table, const json_t *state)
{
	if (state)
		table_cell(table, "%lld.%lld", (long long)integer_in(state, "epoch"),
			   (long long)integer_in(state, "term"));
	else
		table_cell(table, "-");
}

static void learner_cell(struct table *table, const json_t *state)
{
	const char *learner = text_or_empty(state, "learner");

	if (*learner)
		table_cell(table, "%s %lld/%lld", learner, (long long)integer_in(state, "copied"),
			   (long long)integer_in(state, "to_copy"));
	else
		table_cell(table, "-");
}

static void print_chains(const json_t *chains)
{
	static const char *const title[] = {"CHAIN",	"EPOCH",     "TERM",
					    "BUCKETS",	"LEASED",    "LEARNER",
					    "REPLICAS", "WITNESSES", "LIVE (HEAD TO TAIL)",
					    NULL};
	struct table *table = table_new();
	json_t *item;
	size_t i;

	titles(table, title);
	json_array_foreach (chains, i, item) {
		const json_t *state = json_object_get(item, "state");

		state = json_is_object(state) ? state : NULL;
		table_row(table);
		table_number(table, integer_in(item, "number"));
		table_number(table, integer_in(item, "epoch"));
		term_cell(table, state);
		table_number(table, integer_in(item, "buckets"));
		list_or_dash(table, json_object_get(state, "leased"));
		learner_cell(table, state);
		list_or_dash(table, json_object_get(item, "replicas"));
		list_or_dash(table, json_object_get(item, "witnesses"));
		list_or_dash(table, json_object_get(state, "live"));
	}
	table_print(&table, stdout, 2);
}

// What nobody voted for is said, as long as the chain lives.
static void print_forced(const json_t *chains)
{
	json_t *item;
	size_t i;

	json_array_foreach (chains, i, item) {
		json_int_t forced = integer_in(item, "forced");

		if (forced)
			printf("  chain %lld began anew by force at %s, epoch %lld, with %s\n",
			       (long long)integer_in(item, "number"),
			       text_or_empty(item, "forced_at"), (long long)forced,
			       forced == integer_in(item, "founded")
				       ? "nothing: nobody had its sessions"
				       : "what was left of its list");
	}
}

// Nothing where the chains are as many as they shall be.
static void print_spread(const json_t *spread, size_t chains)
{
	const long long wanted = integer_in(spread, "wanted"), has = integer_in(spread, "chains");
	const long long leaving = integer_in(spread, "leaving"), left = integer_in(spread, "left");
	char nodes[512];

	join(nodes, sizeof(nodes), json_object_get(spread, "uncleared"));
	if (json_is_true(json_object_get(spread, "moving")))
		printf("  buckets move, to %lld chains: %lld of %lld left\n", has, left, leaving);
	else if (*nodes && integer_in(spread, "move"))
		printf("  buckets have moved, to %lld chains: %s still to be cleared\n", has,
		       nodes);
	if (wanted != has || (size_t)wanted != chains)
		printf("  %lld chains are wanted: %zu are there, %lld have buckets\n", wanted,
		       chains, has);
}

struct verdict_words {
	const char *name, *kind, *meaning;
};

// In the order of shared/verdicts.def, i.e. of a packet's way.
static const struct verdict_words known[] = {
#define VERDICT(name, kind, meaning) {#name, #kind, meaning},
#include "shared/verdicts.def"
#undef VERDICT
};

static const json_t *count_of(const json_t *member, const char *verdict)
{
	return json_object_get(json_object_get(member, "verdicts"), verdict);
}

// Begun with what every table of verdicts says first.
static struct table *verdict_table(void)
{
	struct table *table = table_new();

	table_cell(table, "VERDICT");
	table_cell(table, "KIND");
	table_cell(table, "PACKETS");
	table_cell(table, "BYTES");
	return table;
}

static void verdict_cells(struct table *table, const struct verdict_words *verdict,
			  const json_t *count)
{
	table_row(table);
	table_cell(table, "%s", verdict->name);
	table_cell(table, "%s", verdict->kind);
	table_number(table, integer_in(count, "packets"));
	table_number(table, integer_in(count, "bytes"));
}

// One line per verdict: the sum, what it means, and which members have how many packets of it.
static void print_verdicts(const json_t *status)
{
	const json_t *members = json_object_get(status, "members"), *count;
	struct table *table = verdict_table();
	json_t *member;
	size_t v, i;

	table_cell(table, "MEANING, AND WHERE");
	for (v = 0; v < sizeof(known) / sizeof(known[0]); v++) {
		char where[512] = "";

		count = count_of(status, known[v].name);
		if (!count)
			continue;
		json_array_foreach (members, i, member) {
			const json_t *own = count_of(member, known[v].name);
			size_t used = strlen(where);

			if (own)
				snprintf(where + used, sizeof(where) - used, "%s%s %lld",
					 used ? ", " : "", text_or_empty(member, "name"),
					 (long long)integer_in(own, "packets"));
		}
		verdict_cells(table, &known[v], count);
		table_cell(table, "%s (%s)", known[v].meaning, where);
	}
	table_print(&table, stdout, 2);
}

// With -o wide: a column of packets for each member.
static void print_verdicts_wide(const json_t *status)
{
	const json_t *members = json_object_get(status, "members");
	struct table *table = verdict_table();
	json_t *member;
	size_t v, i;

	json_array_foreach (members, i, member)
		table_cell(table, "%s", text_or_empty(member, "name"));
	for (v = 0; v < sizeof(known) / sizeof(known[0]); v++) {
		const json_t *count = count_of(status, known[v].name);

		if (!count)
			continue;
		verdict_cells(table, &known[v], count);
		json_array_foreach (members, i, member)
			table_number(table, integer_in(count_of(member, known[v].name), "packets"));
	}
	table_print(&table, stdout, 2);
}

static void print_status(const json_t *status, int wide)
{
	printf("cluster %s: overlay %s, view epoch %lld\n\n", text_or_empty(status, "name"),
	       text_or_empty(status, "overlay"), (long long)integer_in(status, "epoch"));
	print_alarms(json_object_get(status, "alarms"));
	putchar('\n');
	print_members(json_object_get(status, "members"));
	putchar('\n');
	print_nodes(json_object_get(status, "nodes"));
	putchar('\n');
	print_entrances(json_object_get(status, "entrances"));
	putchar('\n');
	print_chains(json_object_get(status, "chains"));
	print_forced(json_object_get(status, "chains"));
	print_spread(json_object_get(status, "spread"),
		     json_array_size(json_object_get(status, "chains")));
	putchar('\n');
	limits_print(json_object_get(status, "vpcs"));
	if (wide)
		print_verdicts_wide(status);
	else
		print_verdicts(status);
}

static void print_all(const struct cli *cli, const json_t *clusters)
{
	json_t *whole, *cluster;
	size_t i;

	if (cli->output == OUTPUT_JSON || cli->output == OUTPUT_YAML) {
		whole = json_pack("{s:O}", "clusters", clusters);
		(cli->output == OUTPUT_JSON ? print_json : print_yaml)(whole, stdout);
		json_decref(whole);
		return;
	}
	json_array_foreach (clusters, i, cluster) {
		if (i)
			putchar('\n');
		print_status(cluster, cli->output == OUTPUT_WIDE);
	}
	if (!json_array_size(clusters))
		puts("no cluster");
}

int command_status(struct cli *cli)
{
	json_t *clusters = json_array(), *list, *cluster, *status;
	struct inventory inventory = {};
	size_t i;
	int err;

	err = controller_connect(cli, &inventory);
	if (err)
		goto out;
	err = inventory_list(&inventory, kind_of_path("clusters"), &list);
	json_array_foreach (list, i, cluster) {
		if (err)
			break;
		err = cluster_status(&inventory, cluster, &status);
		if (!err)
			json_array_append_new(clusters, status);
	}
	if (err)
		sorry(err, "%s", rest_message(inventory.rest));
	else
		print_all(cli, clusters);
out:
	json_decref(clusters);
	controller_leave(&inventory);
	return err ? FAILED : DONE;
}
