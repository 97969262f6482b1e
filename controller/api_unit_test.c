// SPDX-License-Identifier: Apache-2.0
// Answers and views that depend on what nodes and hosts reported, without a network.
#include "controller/api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "controller/repair.h"
#include "shared/limits.h"

static int open_model(void **state)
{
	struct model *model = calloc(1, sizeof(*model));

	*state = model;
	return store_open(&model->store, ":memory:") || status_new(&model->status);
}

static int close_model(void **state)
{
	struct model *model = *state;

	store_freep(&model->store);
	status_freep(&model->status);
	free(model);
	return 0;
}

// The caller owns what is answered. Bodies are written with ' for ".
static json_t *ask(struct model *model, int status, const char *method, const char *path,
		   const char *body)
{
	char copy[512] = "", *quote;
	struct api_request request = {.method = method, .path = path, .body = copy};
	struct api_answer answer;
	json_t *json;

	snprintf(copy, sizeof(copy), "%s", body ? body : "");
	while ((quote = strchr(copy, '\'')))
		*quote = '"';
	request.size = strlen(copy);
	api_handle(model, &request, &answer);
	if (answer.status != status)
		fail_msg("%s %s: %d: %s", method, path, answer.status, answer.text);
	json = answer.text ? json_loadb(answer.text, answer.size, 0, NULL) : NULL;
	api_answer_free(&answer);
	return json;
}

static void make(struct model *model, const char *path, const char *body)
{
	json_decref(ask(model, 201, "POST", path, body));
}

static void make_world(struct model *model)
{
	make(model, "/v1/clusters",
	     "{'name': 'c', 'entrance_first': '10.0.0.1', 'entrance_last': '10.0.0.2'}");
	make(model, "/v1/nodes",
	     "{'name': 'gw', 'cluster': 'c', 'roles': ['fwd', 'ftn'],"
	     " 'tenant': {'interface': 'a', 'ip': '10.0.1.1', 'mac': '02:00:00:00:00:01'},"
	     " 'zgc': {'interface': 'b', 'ip': '10.0.2.1', 'mac': '02:00:00:00:00:02'}}");
	make(model, "/v1/hosts",
	     "{'name': 'h', 'cluster': 'c', 'ip': '10.0.3.1', 'mac': '02:00:00:00:00:03',"
	     " 'interface': 'a'}");
	make(model, "/v1/vpcs", "{'name': 'v', 'tenant': null, 'cluster': 'c'}");
	make(model, "/v1/ports",
	     "{'id': 'p1', 'vpc': 'v', 'host': 'h', 'mac': '02:00:00:00:01:01', 'ips': ['10.9.0.1'],"
	     " 'interface': 'p1'}");
	make(model, "/v1/ports",
	     "{'id': 'p2', 'vpc': 'v', 'host': 'h', 'mac': '02:00:00:00:01:02', 'ips': ['10.9.0.2'],"
	     " 'interface': 'p2'}");
}

static json_t *reported(struct model *model, const char *path)
{
	json_t *object = ask(model, 200, "GET", path, NULL);
	json_t *status = json_incref(json_object_get(object, "status"));

	json_decref(object);
	return status;
}

static int is_ready(struct model *model, const char *path)
{
	json_t *status = reported(model, path);
	int ready = json_is_true(json_object_get(status, "ready"));

	json_decref(status);
	return ready;
}

static int is_connected(struct model *model, const char *path)
{
	json_t *status = reported(model, path);
	int connected = json_is_true(json_object_get(status, "connected"));

	json_decref(status);
	return connected;
}

static void test_reports(void **state)
{
	struct model *model = *state;
	json_t *status;

	make_world(model);
	assert_false(is_connected(model, "/v1/nodes/gw"));
	assert_int_equal(status_report(model->status, "gw",
				       json_pack("{s:b, s:I, s:{s:{s:i, s:i}}}", "connected", 1,
						 "sessions", (json_int_t)7, "verdicts", "PASS",
						 "packets", 1, "bytes", 60)),
			 0);
	status = reported(model, "/v1/nodes/gw");
	assert_int_equal(integer_in(status, "sessions"), 7);
	assert_non_null(text_in(status, "reported_at"));
	json_decref(status);
	assert_false(is_connected(model, "/v1/hosts/h"));
	status_disconnected(model->status, "gw");
	status = reported(model, "/v1/nodes/gw");
	assert_true(json_is_false(json_object_get(status, "connected")));
	assert_int_equal(integer_in(status, "sessions"), 7);
	json_decref(status);
	// Who never reported cannot go.
	status_disconnected(model->status, "nobody");
	assert_int_equal(status_report(model->status, "h", NULL), -EINVAL);
	assert_int_equal(status_report(model->status, "h", json_pack("{s:[i]}", "ready_ports", 1)),
			 -EINVAL);
	assert_false(is_connected(model, "/v1/hosts/h"));
}

// Who was never heard of is missing from the first look on, also where the clock ticks during it.
static void test_sightings(void **state)
{
	struct model *model = *state;
	struct sighting sighting;
	char name[32];

	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		status_sighting(model->status, name, &sighting);
		assert_true(sighting.missing_ms > 0);
		assert_true(sighting.silent_ms < 60000);
	}
}

static void test_ready_ports(void **state)
{
	struct model *model = *state;
	json_t *status;

	make_world(model);
	assert_false(is_ready(model, "/v1/ports/p1"));
	assert_int_equal(
		status_report(model->status, "h",
			      json_pack("{s:b, s:[s]}", "connected", 1, "ready_ports", "p1")),
		0);
	assert_true(is_ready(model, "/v1/ports/p1"));
	assert_false(is_ready(model, "/v1/ports/p2"));
	status = reported(model, "/v1/hosts/h");
	assert_null(json_object_get(status, "ready_ports"));
	json_decref(status);
	status = ask(model, 200, "GET", "/v1/status", NULL);
	assert_int_equal(integer_in(json_object_get(status, "counts"), "ports_ready"), 1);
	json_decref(status);
	// A host that is away cannot vouch for its ports.
	status_disconnected(model->status, "h");
	assert_false(is_ready(model, "/v1/ports/p1"));
	// A report replaces the one before, whole.
	assert_int_equal(status_report(model->status, "h", json_pack("{s:b}", "connected", 1)), 0);
	assert_false(is_ready(model, "/v1/ports/p1"));
}

static void count_commit(uint64_t revision, void *arg)
{
	++*(int *)arg;
}

// What nodes have room for, however many VPCs share it.
static void test_routes_of_all(void **state)
{
	struct model *model = *state;
	struct holder holder;
	char prefix[32];

	make_world(model);
	for (unsigned int i = 0; i < MAX_ROUTES - 1; i++) {
		snprintf(prefix, sizeof(prefix), "%u", i);
		assert_int_equal(store_claim(model->store, "prefix:others", prefix, "route-tables",
					     "others", &holder),
				 0);
	}
	json_decref(ask(model, 409, "POST", "/v1/route-tables",
			"{'name': 't', 'vpc': 'v', 'routes': ["
			"{'prefix': '10.1.0.0/16', 'blackhole': true},"
			"{'prefix': '10.2.0.0/16', 'blackhole': true}]}"));
	make(model, "/v1/route-tables",
	     "{'name': 't', 'vpc': 'v', 'routes': [{'prefix': '10.1.0.0/16', 'blackhole': true}]}");
}

static void test_one_commit_per_change(void **state)
{
	struct model *model = *state;
	int commits = 0;

	assert_int_equal(store_listen(model->store, count_commit, &commits), 0);
	make_world(model);
	assert_int_equal(commits, 6);
	json_decref(
		ask(model, 409, "POST", "/v1/clusters",
		    "{'name': 'c', 'entrance_first': '10.7.0.1', 'entrance_last': '10.7.0.2'}"));
	json_decref(ask(model, 400, "POST", "/v1/clusters", "{'name': 'd'}"));
	json_decref(ask(model, 200, "GET", "/v1/ports", NULL));
	assert_int_equal(commits, 6);
	// The port goes and the policy of its VPC grows at once.
	assert_null(ask(model, 204, "DELETE", "/v1/ports/p1", NULL));
	assert_int_equal(commits, 7);
	store_unlisten(model->store, count_commit, &commits);
}

static void test_broken_store(void **state)
{
	struct model *model = *state;
	json_t *error;

	make_world(model);
	// A body that was damaged on disk is our failure, said as such.
	assert_int_equal(store_begin(model->store), 0);
	error = json_pack("{s:s, s:s}", "id", "x", "name", "x");
	assert_int_equal(store_put(model->store, "vpcs", "", error, NULL), 0);
	json_decref(error);
	assert_int_equal(store_commit(model->store), 0);
	error = ask(model, 500, "GET", "/vpcs/x", NULL);
	assert_int_equal(integer_in(json_object_get(error, "error"), "status"), 500);
	json_decref(error);
}

static int copy_older(const struct object *object, void *arg)
{
	json_t **body = arg;

	*body = json_deep_copy(object->body);
	// Which is how it was before there was such a field.
	return json_object_del(*body, "direct_return");
}

// What was stored before there was a field that cannot be changed is what it is where that is
// absent, and not another.
static void test_older_than_a_field(void **state)
{
	static const char *const same[] = {
		"{'name': 'lb', 'vpc': 'v', 'ip': '10.9.0.100', 'listeners': []}",
		"{'name': 'lb', 'vpc': 'v', 'ip': '10.9.0.100', 'listeners': [],"
		" 'direct_return': false}",
	};
	static const char other[] = "{'name': 'lb', 'vpc': 'v', 'ip': '10.9.0.100',"
				    " 'listeners': [], 'direct_return': true}";
	struct model *model = *state;
	json_t *made, *older = NULL;
	char path[128];

	make_world(model);
	make(model, "/v1/subnets",
	     "{'name': 's', 'vpc': 'v', 'cidr': '10.9.0.0/24', 'gateway': '10.9.0.254'}");
	made = ask(model, 201, "POST", "/v1/load-balancers", same[0]);
	snprintf(path, sizeof(path), "/v1/load-balancers/%s", text_in(made, "id"));
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(store_begin(model->store), 0);
		assert_int_equal(store_get(model->store, "load-balancers", text_in(made, "id"),
					   copy_older, &older),
				 0);
		assert_int_equal(store_put(model->store, "load-balancers", text_in(older, "vpc"),
					   older, NULL),
				 0);
		json_decref(older);
		assert_int_equal(store_commit(model->store), 0);
		json_decref(ask(model, 409, "PUT", path, other));
		json_decref(ask(model, 200, "PUT", path, same[i]));
	}
	json_decref(made);
}

// ---- a cluster that is watched over: six nodes, and voters that carry out at once what they are
// told

#define NODES 6
#define FORWARDER 5 // the others are flow table nodes

struct watched {
	struct model *model;
	uint32_t boot[NODES]; // 0: not connected
	bool deaf;	      // voters take up nothing
	bool slow;	      // learners are not filled
	json_int_t silent;    // the node, from 1, that does not report of chains
	uint32_t still;	      // bits: nodes that do not report at all
	bool hearing;	      // all others say whom they hear ..
	json_int_t unheard;   // .. and that this node, from 1, is none of these
	json_int_t move;      // what heads say of this one ..
	json_int_t left[7];   // .. of each chain
	json_int_t cleared;   // what nodes have cleared after
	json_int_t late;      // number + 1 of one who has yet to hear of the view
	json_int_t failing;   // that could not apply it
	json_int_t unswept;   // that has not removed ..
	json_int_t swept;     // .. what is left of this move
	json_int_t newer;     // that knows a later term of chain 0, whose head has not begun
	json_t *chains;	      // number: what its nodes say of it
	const char *side;     // what the forwarder says of it besides, JSON; NULL: nothing
};

static const char *node_name(int n)
{
	static const char *const names[] = {"n1", "n2", "n3", "n4", "n5", "n6"};

	return names[n];
}

static json_t *view_of(struct watched *w)
{
	return ask(w->model, 200, "GET", "/v1/views/c", NULL);
}

static bool is_name_alive(const struct watched *w, const json_t *name)
{
	json_int_t node = integer_in(name, "node");

	return w->boot[node - 1] == integer_in(name, "boot");
}

static bool is_listed(const json_t *list, const json_t *name)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		if (json_equal(item, name))
			return true;
	}
	return false;
}

// What the chain's nodes have made of what they were told: its next state, a new reference.
static json_t *carry_out(const struct watched *w, const json_t *told, const json_t *before)
{
	json_t *live = json_array(), *voters = json_object_get(told, "voters"), *name,
	       *learner = NULL;
	size_t i, replicas = (size_t)integer_in(told, "replicas");
	bool founded = integer_in(before, "founded") != integer_in(told, "founded") ||
		       integer_in(before, "forced") != integer_in(told, "forced");

	json_array_foreach (json_object_get(before, "live"), i, name) {
		if (!founded && is_name_alive(w, name))
			json_array_append(live, name);
	}
	json_array_foreach (voters, i, name) {
		if (i >= replicas || !is_name_alive(w, name) || is_listed(live, name))
			continue;
		if (founded || !w->slow)
			json_array_append(live, name);
		else if (!learner)
			learner = name;
	}
	for (i = json_array_size(live); i-- > 0 && json_array_size(live) > replicas;) {
		bool wanted = false;

		for (size_t k = 0; k < replicas; k++)
			wanted |= json_equal(json_array_get(voters, k), json_array_get(live, i));
		if (!wanted)
			json_array_remove(live, i);
	}
	return json_pack("{s:O, s:O, s:i, s:o, s:O?, s:O, s:O, s:O, s:O, s:b, s:I, s:I}", "number",
			 json_object_get(told, "number"), "epoch", json_object_get(told, "epoch"),
			 "term", 8, "live", live, "learner", learner, "voters_epoch",
			 json_object_get(told, "epoch"), "founded",
			 json_object_get(told, "founded"), "forced",
			 json_object_get(told, "forced"), "voters", voters, "leased", 1, "move",
			 w->move, "to_move", w->left[integer_in(told, "number")]);
}

static json_int_t revision_of(const struct watched *w)
{
	return (json_int_t)store_revision(w->model->store);
}

static json_t *peers_of(const struct watched *w, int of)
{
	json_t *peers = json_array();

	for (int n = 0; n < NODES; n++)
		if (n != of)
			json_array_append_new(peers, json_pack("{s:i, s:b}", "node", n + 1, "alive",
							       w->unheard != n + 1));
	return peers;
}

// Everybody reports; then the controller looks.
static void look(struct watched *w)
{
	auto_(json_decrefp) json_t *view = store_body(w->model->store, "views", "c");
	json_t *told;
	size_t i;

	json_array_foreach (json_object_get(view, "chains"), i, told) {
		if (i == json_array_size(w->chains))
			json_array_append_new(w->chains, json_object());
		if (!w->deaf && integer_in(told, "founded"))
			json_array_set_new(w->chains, i,
					   carry_out(w, told, json_array_get(w->chains, i)));
	}
	for (int n = 0; n < NODES; n++) {
		const bool late = w->late == n + 1;
		json_t *report = json_pack("{s:b, s:I, s:I, s:I, s:s, s:I}", "connected", 1, "boot",
					   (json_int_t)w->boot[n], "cleared", w->cleared,
					   "revision", late ? 0 : revision_of(w), "error",
					   w->failing == n + 1 ? "no room" : "", "swept",
					   w->unswept == n + 1 ? 0 : w->swept);
		json_t *chains = json_deep_copy(w->chains);

		if (n == FORWARDER && w->side) {
			auto_(json_decrefp) json_t *side = json_loads(w->side, 0, NULL);

			json_object_update(report, side);
		}
		if (w->newer == n + 1) {
			json_object_set_new(json_array_get(chains, 0), "term", json_integer(9));
			json_object_set_new(json_array_get(chains, 0), "move", json_integer(0));
		}
		if (w->hearing)
			json_object_set_new(report, "peers", peers_of(w, n));
		if (w->silent != n + 1)
			json_object_set(report, "chains", chains);
		json_decref(chains);
		if (w->boot[n] && !(w->still >> n & 1))
			assert_int_equal(status_report(w->model->status, node_name(n), report), 0);
		else
			json_decref(report);
	}
	assert_int_equal(repair_look(w->model->store, w->model->status), 0);
}

static void connect_node(struct watched *w, int n, uint32_t boot)
{
	w->boot[n] = boot;
	if (!boot)
		status_disconnected(w->model->status, node_name(n));
}

static void node_body(char body[512], int n, const char *more)
{
	snprintf(body, 512,
		 "{'name': 'n%d', 'cluster': 'c', 'roles': ['%s'],"
		 " 'tenant': {'interface': 'a', 'ip': '10.0.1.%d', 'mac': '02:00:00:00:00:%02x'},"
		 " 'zgc': {'interface': 'b', 'ip': '10.0.2.%d', 'mac': '02:00:00:00:01:%02x'}%s}",
		 n + 1, n == FORWARDER ? "fwd" : "ftn", n + 1, n + 1, n + 1, n + 1, more);
}

static void watched_begin(struct watched *w, struct model *model)
{
	char body[512];

	*w = (struct watched){.model = model, .chains = json_array()};
	for (int i = 0; i < 5; i++)
		json_array_append_new(w->chains, json_object());
	make(model, "/v1/clusters",
	     "{'id': 'c', 'name': 'c', 'entrance_first': '10.0.0.1', 'entrance_last': '10.0.0.2',"
	     " 'replicas': 3, 'repair_after_s': 1}");
	for (int n = 0; n < NODES; n++) {
		node_body(body, n, "");
		make(model, "/v1/nodes", body);
	}
}

static void watched_new(struct watched *w, struct model *model)
{
	watched_begin(w, model);
	for (int n = 0; n < NODES; n++)
		connect_node(w, n, (uint32_t)n + 101);
	look(w);
	for (int i = 0; i < 3; i++)
		look(w);
}

static void watched_gone(struct watched *w)
{
	json_decref(w->chains);
}

// Looks until the condition holds; the test fails where it never does.
#define look_until(w, condition)                                                                   \
	do {                                                                                       \
		struct timespec begin_, now_;                                                      \
		clock_gettime(CLOCK_MONOTONIC, &begin_);                                           \
		look(w);                                                                           \
		while (!(condition)) {                                                             \
			clock_gettime(CLOCK_MONOTONIC, &now_);                                     \
			assert_true(now_.tv_sec - begin_.tv_sec < 300);                            \
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);                  \
			look(w);                                                                   \
		}                                                                                  \
	} while (0)

static json_int_t node_number(struct watched *w, int n, const char *field)
{
	auto_(json_decrefp) json_t *view = view_of(w);

	return integer_in(json_array_get(json_object_get(view, "nodes"), (size_t)n), field);
}

static bool is_presence(struct watched *w, int n, const char *presence)
{
	auto_(json_decrefp) json_t *view = view_of(w);

	return !strcmp(text_or_empty(json_array_get(json_object_get(view, "nodes"), (size_t)n),
				     "presence"),
		       presence);
}

static bool is_gone(struct watched *w, int n)
{
	return is_presence(w, n, "gone");
}

static json_int_t chain_number(struct watched *w, size_t chain, const char *field)
{
	auto_(json_decrefp) json_t *view = view_of(w);

	return integer_in(json_array_get(json_object_get(view, "chains"), chain), field);
}

// The sum of all chains' epochs: grows by one with each change of voters.
static json_int_t epochs(struct watched *w)
{
	json_int_t sum = 0;

	for (size_t i = 0; i < 5; i++)
		sum += chain_number(w, i, "epoch");
	return sum;
}

// How many alarms of this kind there are.
static unsigned int alarms(struct watched *w, const char *what)
{
	auto_(json_decrefp) json_t *answer = ask(w->model, 200, "GET", "/v1/alarms", NULL);
	unsigned int count = 0;
	json_t *alarm;
	size_t i;

	json_array_foreach (json_object_get(answer, "items"), i, alarm) {
		count += !strcmp(text_or_empty(alarm, "what"), what);
	}
	return count;
}

static void test_founding(void **state)
{
	struct watched w;

	watched_new(&w, *state);
	assert_int_equal(epochs(&w), 5);
	assert_int_equal(chain_number(&w, 4, "founded"), 1);
	for (int n = 0; n < FORWARDER; n++)
		assert_int_equal(node_number(&w, n, "replicas"), 3);
	assert_int_equal(node_number(&w, FORWARDER, "entrances"), 2);
	assert_int_equal(node_number(&w, FORWARDER, "votes"), 4); // 10 witnesses, 15 replicas
	assert_int_equal(alarms(&w, "chain-short-of-replicas"), 0);
	assert_int_equal(alarms(&w, "chain-stuck"), 0);
	watched_gone(&w);
}

static void want_chains(struct watched *w, int chains)
{
	char body[256];

	snprintf(body, sizeof(body),
		 "{'entrance_first': '10.0.0.1', 'entrance_last': '10.0.0.2', 'chains': %d,"
		 " 'repair_after_s': 1}",
		 chains);
	json_decref(ask(w->model, 200, "PUT", "/v1/clusters/c", body));
}

static json_int_t spread(struct watched *w, const char *field)
{
	auto_(json_decrefp) json_t *view = view_of(w);
	const json_t *value = json_object_get(json_object_get(view, "spread"), field);

	return json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
}

static size_t count_chains(struct watched *w)
{
	auto_(json_decrefp) json_t *view = view_of(w);

	return json_array_size(json_object_get(view, "chains"));
}

static void look_often(struct watched *w)
{
	for (int i = 0; i < 5; i++)
		look(w);
}

// More chains are founded and whole before buckets come; buckets are gone before chains are taken
// away; and one move is over, everywhere, before the next begins.
static void test_scaling(void **state)
{
	struct watched w;
	json_int_t before;

	watched_new(&w, *state);
	w.slow = w.deaf = true;
	want_chains(&w, 6);
	look_often(&w);
	assert_int_equal(count_chains(&w), 6);
	assert_true(chain_number(&w, 5, "founded") > 1);
	assert_int_equal(spread(&w, "chains"), 5);
	assert_int_equal(chain_number(&w, 5, "buckets"), 0);
	w.deaf = false;
	w.left[0] = 1; // of no move yet
	look_often(&w);
	assert_int_equal(spread(&w, "moving"), 1);
	assert_int_equal(spread(&w, "chains"), 6);
	assert_in_range(chain_number(&w, 5, "buckets"), 65537 / 6, 65537 / 6 + 1);
	assert_in_range(spread(&w, "leaving"), 65537 / 6, 65537 / 5);
	assert_int_equal(spread(&w, "left"), spread(&w, "leaving"));

	// What is said of another move says nothing of this one; what all but one say is not all.
	w.move = spread(&w, "move") - 1;
	w.left[0] = 0;
	look_often(&w);
	assert_int_equal(spread(&w, "left"), spread(&w, "leaving"));
	w.move++;
	w.left[3] = 70;
	look_often(&w);
	assert_int_equal(spread(&w, "left"), 70);
	assert_int_equal(spread(&w, "moving"), 1);
	// Another request waits; a voter that forgot is replaced; and a controller that starts
	// again knows what goes on.
	want_chains(&w, 2);
	before = epochs(&w);
	connect_node(&w, 1, 302);
	status_freep(&w.model->status);
	assert_int_equal(status_new(&w.model->status), 0);
	look_until(&w, epochs(&w) > before);
	assert_int_equal(spread(&w, "chains"), 6);
	assert_int_equal(spread(&w, "moving"), 1);
	w.slow = false;
	w.left[3] = 0;
	look_often(&w);
	assert_int_equal(spread(&w, "moving"), 0);
	assert_int_equal(spread(&w, "chains"), 6);
	// Nobody has cleared up yet.
	look_often(&w);
	assert_int_equal(spread(&w, "moving"), 0);
	w.cleared = w.move;
	look_until(&w, spread(&w, "moving"));
	assert_true(spread(&w, "move") > w.move);
	assert_int_equal(spread(&w, "chains"), 2);
	assert_int_equal(spread(&w, "left"), spread(&w, "leaving"));
	assert_int_equal(count_chains(&w), 6);
	assert_int_equal(chain_number(&w, 5, "buckets"), 0);

	w.move = spread(&w, "move");
	look_often(&w);
	assert_int_equal(spread(&w, "moving"), 0);
	assert_int_equal(count_chains(&w), 6);
	// A forwarder that is gone may still ask where it asked before.
	connect_node(&w, FORWARDER, 0);
	w.cleared = w.move;
	look_until(&w, is_gone(&w, FORWARDER));
	look_often(&w);
	assert_int_equal(count_chains(&w), 6);
	connect_node(&w, FORWARDER, 106);
	look_until(&w, count_chains(&w) == 2);
	// Chains that never had buckets go at once.
	w.deaf = true;
	want_chains(&w, 3);
	look_until(&w, count_chains(&w) == 3);
	want_chains(&w, 2);
	look_until(&w, count_chains(&w) == 2);
	// The same number as before begins another life.
	w.deaf = false;
	before = spread(&w, "move");
	want_chains(&w, 3);
	look_until(&w, spread(&w, "moving"));
	assert_true(chain_number(&w, 2, "founded") > before);
	watched_gone(&w);
}

// As a VPC is that goes from cluster c to d, and has only begun.
static void set_under_way(struct store *store, bool under_way)
{
	auto_(json_decrefp) json_t *vpc = store_body(store, "vpcs", "v");
	json_t *move = json_pack("{s:s, s:i, s:s, s:i}", "from", "c", "number", 7, "phase",
				 "prepare", "since_ms", 0);
	struct holder holder;

	assert_int_equal(store_begin(store), 0);
	json_object_set(vpc, "move", under_way ? move : json_null());
	json_object_set_new(vpc, "cluster", json_string(under_way ? "d" : "c"));
	assert_int_equal(store_put(store, "vpcs", "", vpc, NULL), 0);
	assert_int_equal(under_way ? store_claim(store, "moving", "c", "vpcs", "v", &holder)
				   : store_release(store, "vpcs", "v"),
			 0);
	assert_int_equal(store_commit(store), 0);
	json_decref(move);
}

// Buckets move, or a VPC does: one after the other.
static void test_moves_exclude_each_other(void **state)
{
	auto_(json_decrefp) json_t *answer = NULL;
	struct watched w;

	watched_new(&w, *state);
	make(w.model, "/v1/clusters",
	     "{'id': 'd', 'name': 'd', 'entrance_first': '10.0.0.3', 'entrance_last': '10.0.0.3'}");
	make(w.model, "/v1/vpcs", "{'id': 'v', 'name': 'v', 'tenant': null, 'cluster': 'c'}");
	set_under_way(w.model->store, true);
	want_chains(&w, 4);
	look_often(&w);
	assert_int_equal(spread(&w, "wanted"), 4);
	assert_int_equal(spread(&w, "moving"), 0);
	assert_int_equal(spread(&w, "chains"), 5);
	want_chains(&w, 6);
	look_often(&w);
	assert_int_equal(count_chains(&w), 5);
	set_under_way(w.model->store, false);
	w.deaf = true;
	for (int round = 0; round < 2; round++) {
		// Chains are there that have no buckets yet; then they get them.
		look_until(&w, round ? spread(&w, "moving") : count_chains(&w) == 6);
		json_decref(answer);
		answer = ask(w.model, 409, "PUT", "/v1/vpcs/v",
			     "{'name': 'v', 'tenant': null, 'cluster': 'd'}");
		assert_non_null(strstr(text_or_empty(json_object_get(answer, "error"), "message"),
				       "changes its number of chains"));
		w.deaf = false;
	}
	watched_gone(&w);
}

// A VPC that goes from cluster c to d, which has the node x. Host h carries it.
struct moving {
	struct watched w;
	bool absent; // x is
	bool late;   // h has not heard
	uint32_t number;
};

static void report_alone(struct moving *m, const char *name, json_int_t revision)
{
	json_t *report =
		json_pack("{s:b, s:i, s:I, s:[{s:i, s:i, s:i, s:[{s:i, s:i}]}]}", "connected", 1,
			  "boot", 901, "revision", revision, "chains", "number", 0, "epoch", 1,
			  "term", 2, "live", "node", NODES + 1, "boot", 901);

	assert_int_equal(status_report(m->w.model->status, name, report), 0);
}

// Everybody has heard of all that is stored, but who is said not to have.
static void look_on(struct moving *m)
{
	const json_int_t revision = revision_of(&m->w);

	if (m->absent)
		status_disconnected(m->w.model->status, "x");
	else
		report_alone(m, "x", revision);
	report_alone(m, "h", m->late ? 0 : revision);
	look(&m->w);
}

// Its move as it is stored, a new reference.
static json_t *move_of(struct moving *m)
{
	auto_(json_decrefp) json_t *vpc = store_body(m->w.model->store, "vpcs", "v");

	return json_incref(json_object_get(vpc, "move"));
}

static json_int_t boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (json_int_t)now.tv_sec * 1000;
}

static void set_since(struct moving *m, json_int_t ms)
{
	auto_(json_decrefp) json_t *vpc = store_body(m->w.model->store, "vpcs", "v");
	json_t *move = json_object_get(vpc, "move");

	json_object_set_new(move, "since_ms", json_integer(boot_ms() + ms));
	assert_int_equal(store_begin(m->w.model->store), 0);
	assert_int_equal(store_put(m->w.model->store, "vpcs", "", vpc, NULL), 0);
	assert_int_equal(store_commit(m->w.model->store), 0);
}

static void is_in(struct moving *m, const char *phase, const char *waits_for)
{
	auto_(json_decrefp) json_t *vpc = ask(m->w.model, 200, "GET", "/v1/vpcs/v", NULL);
	const json_t *move = json_object_get(vpc, "move");
	char text[128] = "";
	json_t *name;
	size_t i;

	json_array_foreach (json_object_get(move, "waiting"), i, name) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? ", " : "",
			 json_string_value(name));
	}
	assert_string_equal(text_or_empty(move, "phase"), phase);
	assert_string_equal(text, waits_for);
}

// It goes nowhere while this is waited for.
static void waits_for(struct moving *m, const char *phase, const char *whom)
{
	for (int i = 0; i < 4; i++)
		look_on(m);
	is_in(m, phase, whom);
}

static void refused(struct moving *m, const char *method, const char *path, const char *body,
		    const char *why)
{
	auto_(json_decrefp) json_t *answer = ask(m->w.model, 409, method, path, body);
	const char *message = text_or_empty(json_object_get(answer, "error"), "message");

	if (!strstr(message, why))
		fail_msg("%s %s: %s", method, path, message);
}

static void goes_to(struct moving *m, const char *cluster)
{
	char body[128];

	snprintf(body, sizeof(body), "{'name': 'v', 'tenant': null, 'cluster': '%s'}", cluster);
	json_decref(ask(m->w.model, 200, "PUT", "/v1/vpcs/v", body));
}

static void moving_begin(struct moving *m, struct model *model)
{
	*m = (struct moving){};
	watched_new(&m->w, model);
	make(model, "/v1/clusters",
	     "{'id': 'd', 'name': 'd', 'entrance_first': '10.0.0.3', 'entrance_last': '10.0.0.3'}");
	make(model, "/v1/nodes",
	     "{'name': 'x', 'cluster': 'd', 'roles': ['fwd', 'ftn'],"
	     " 'tenant': {'interface': 'a', 'ip': '10.0.1.9', 'mac': '02:00:00:00:00:09'},"
	     " 'zgc': {'interface': 'b', 'ip': '10.0.2.9', 'mac': '02:00:00:00:01:09'}}");
	make(model, "/v1/hosts",
	     "{'id': 'h', 'name': 'h', 'cluster': 'c', 'ip': '10.0.3.1', 'mac':"
	     " '02:00:00:00:00:03', 'interface': 'a', 'other_clusters': ['d']}");
	make(model, "/v1/hosts",
	     "{'id': 'o', 'name': 'o', 'cluster': 'd', 'ip': '10.0.3.2', 'mac':"
	     " '02:00:00:00:00:04', 'kind': 'ovs', 'other_clusters': ['c']}");
	make(model, "/v1/vpcs",
	     "{'id': 'v', 'name': 'v', 'tenant': null, 'cluster': 'c', 'vni': 77}");
	make(model, "/v1/ports",
	     "{'id': 'p', 'vpc': 'v', 'host': 'h', 'mac': '02:00:00:00:01:01', 'ips': ['10.9.0.1'],"
	     " 'interface': 'p'}");
	for (int i = 0; i < 4; i++)
		look_on(m);
	goes_to(m, "d");
}

static void moving_goes_on(struct moving *m)
{
	auto_(json_decrefp) json_t *move = move_of(m);

	m->number = (uint32_t)integer_in(move, "number");
	for (int i = 0; i < 4; i++)
		look_on(m);
}

static int any(const struct object *object, void *arg)
{
	return 1;
}

// docs/dft.md M8: each phase ends when all have done what the next one relies on, and not before.
static void test_phases(void **state)
{
	struct model *model = *state;
	auto_(json_decrefp) json_t *move = NULL, *again = NULL;
	struct holder holder;
	struct moving m;

	moving_begin(&m, model);
	is_in(&m, "prepare", "x, n1, n2, n3, n4, n5, n6");
	connect_node(&m.w, 2, 0);
	waits_for(&m, "prepare", "n3");
	connect_node(&m.w, 2, 103);
	m.w.late = 4;
	waits_for(&m, "prepare", "n4");
	m.w.late = 0;
	m.absent = true;
	waits_for(&m, "prepare", "x");
	m.absent = false;
	m.w.failing = 5;
	waits_for(&m, "prepare", "n5: no room");
	m.w.failing = 0;

	// Who is in the chains, as was said last, is for the other cluster's nodes.
	move = move_of(&m);
	assert_int_equal(json_object_size(json_object_get(json_object_get(move, "lists"), "c")), 5);
	again = json_object_get(json_object_get(json_object_get(move, "lists"), "d"), "0");
	assert_int_equal(json_integer_value(json_array_get(again, 0)), NODES + 1);
	again = NULL;

	m.number = (uint32_t)integer_in(move, "number");
	m.w.left[3] = 70;
	waits_for(&m, "hand-over",
		  "chain 0, chain 1, chain 2, chain 3, chain 4"); // of another move
	m.w.move = m.number;
	waits_for(&m, "hand-over", "chain 3");
	m.w.newer = 2;
	m.w.left[3] = 0;
	waits_for(&m, "hand-over", "chain 0");
	m.w.newer = 0;
	m.w.boot[1] = 0;
	status_disconnected(model->status, "n2");
	waits_for(&m, "hand-over", "n2");
	connect_node(&m.w, 1, 102);
	m.late = true;
	waits_for(&m, "turn", "h");
	m.late = false;
	waits_for(&m, "rest", "what is still cached");

	// The machine has started anew meanwhile, and with it the clock.
	set_since(&m, 1000000);
	look_on(&m);
	again = move_of(&m);
	assert_true(integer_in(again, "since_ms") < boot_ms() + 10000);
	waits_for(&m, "rest", "what is still cached");
	m.w.unswept = 6;
	m.w.swept = m.number;
	set_since(&m, -20000);
	waits_for(&m, "clear", "n6");
	refused(&m, "PUT", "/v1/vpcs/v", "{'name': 'v', 'tenant': null, 'cluster': 'c'}",
		"not before it is there");
	assert_int_equal(store_holder(model->store, "moving", "c", &holder), 0);
	m.w.unswept = 0;
	waits_for(&m, "", "");

	// It holds nothing of the old cluster, and all that it had of the new one.
	assert_int_equal(store_holder(model->store, "moving", "c", &holder), -ENOENT);
	assert_int_equal(store_holder(model->store, "moving", "d", &holder), -ENOENT);
	refused(&m, "POST", "/v1/vpcs", "{'name': 'u', 'tenant': null, 'cluster': 'c', 'vni': 77}",
		"vni");
	assert_int_equal(store_list_referring(model->store, "vpcs", "clusters", "c", any, NULL), 0);
	assert_int_equal(store_list_referring(model->store, "vpcs", "clusters", "d", any, NULL), 1);
	watched_gone(&m.w);
}

// Until the old cluster is told to begin, it may stay.
static void test_given_up(void **state)
{
	struct model *model = *state;
	struct holder holder;
	struct moving m;

	moving_begin(&m, model);
	m.w.failing = 1;
	waits_for(&m, "prepare", "n1: no room");
	assert_true(status_raised_ms(model->status, "d", "vpc-move-stuck/-1/0") > 0);
	assert_int_equal(status_raised_ms(model->status, "c", "vpc-move-stuck/-1/0"), 0);
	goes_to(&m, "c");
	waits_for(&m, "", "");
	assert_int_equal(status_raised_ms(model->status, "d", "vpc-move-stuck/-1/0"), 0);
	assert_int_equal(store_holder(model->store, "moving", "d", &holder), -ENOENT);
	m.w.failing = 0;
	goes_to(&m, "d");
	moving_goes_on(&m);
	is_in(&m, "hand-over", "chain 0, chain 1, chain 2, chain 3, chain 4");
	refused(&m, "PUT", "/v1/vpcs/v", "{'name': 'v', 'tenant': null, 'cluster': 'c'}",
		"not before it is there");
	watched_gone(&m.w);
}

// What a move relies on stays while it goes on.
static void test_kept_while_it_moves(void **state)
{
	static const char node[] =
		"{'name': 'n7', 'cluster': 'c', 'roles': ['fwd'],"
		" 'tenant': {'interface': 'a', 'ip': '10.0.1.7', 'mac': '02:00:00:00:00:07'},"
		" 'zgc': {'interface': 'b', 'ip': '10.0.2.9', 'mac': '02:00:00:00:01:07'}}";
	struct model *model = *state;
	struct moving m;

	moving_begin(&m, model);
	refused(&m, "POST", "/v1/nodes", node, "node \"x\"'s");
	refused(&m, "POST", "/v1/ports",
		"{'vpc': 'v', 'host': 'o', 'mac': '02:00:00:00:01:02', 'ips': ['10.9.0.2']}",
		"told of no move");
	refused(&m, "PUT", "/v1/hosts/h",
		"{'name': 'h', 'cluster': 'c', 'ip': '10.0.3.1', 'mac': '02:00:00:00:00:03',"
		" 'interface': 'a'}",
		"needs \"d\"");
	refused(&m, "PUT", "/v1/hosts/h",
		"{'name': 'h', 'cluster': 'c', 'ip': '10.0.3.1', 'mac': '02:00:00:00:00:03',"
		" 'interface': 'a', 'other_clusters': ['d'], 'kind': 'ovs'}",
		"moves to another cluster");
	// Of the old cluster, too, a host has to know, and it is said which one is missing.
	make(model, "/v1/hosts",
	     "{'name': 'k', 'cluster': 'd', 'ip': '10.0.3.3', 'mac': '02:00:00:00:00:05',"
	     " 'interface': 'a'}");
	refused(&m, "POST", "/v1/ports",
		"{'vpc': 'v', 'host': 'k', 'mac': '02:00:00:00:01:02', 'ips': ['10.9.0.2'],"
		" 'interface': 'q'}",
		"does not have \"c\"");
	goes_to(&m, "c");
	make(model, "/v1/nodes", node);
	make(model, "/v1/ports",
	     "{'vpc': 'v', 'host': 'o', 'mac': '02:00:00:00:01:02', 'ips': ['10.9.0.2']}");
	// Now these two share an address, and one that carries it is told of no move.
	refused(&m, "PUT", "/v1/vpcs/v", "{'name': 'v', 'tenant': null, 'cluster': 'd'}",
		"both have 10.0.2.9");
	watched_gone(&m.w);
}

// Programs take longer to load than a node may be away: who is connected is waited for.
static void test_founding_waits_for_loading(void **state)
{
	struct watched w;
	struct timespec begin, now;

	watched_begin(&w, *state);
	for (int n = 0; n < NODES; n++)
		connect_node(&w, n, n == FORWARDER ? 0 : (uint32_t)n + 101);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		assert_int_equal(status_report(w.model->status, node_name(FORWARDER),
					       json_pack("{s:b, s:i}", "connected", 1, "boot", 0)),
				 0);
		look(&w);
		assert_int_equal(chain_number(&w, 0, "founded"), 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	} while (now.tv_sec - begin.tv_sec < 2); // repair_after_s is 1
	connect_node(&w, FORWARDER, 106);
	look_until(&w, chain_number(&w, 0, "founded") == 1);
	assert_int_equal(node_number(&w, FORWARDER, "votes"), 4);
	watched_gone(&w);
}

// What the alarm says of the forwarder's side; "" where there is none.
static const char *side_alarm(struct watched *w, char out[256])
{
	auto_(json_decrefp) json_t *answer = ask(w->model, 200, "GET", "/v1/alarms", NULL);
	json_t *alarm;
	size_t i;

	*out = 0;
	json_array_foreach (json_object_get(answer, "items"), i, alarm) {
		if (strcmp(text_or_empty(alarm, "what"), "tenant-side-broken") != 0)
			continue;
		assert_string_equal(text_or_empty(alarm, "node"), node_name(FORWARDER));
		snprintf(out, 256, "%s: %s", text_or_empty(alarm, "severity"),
			 text_or_empty(alarm, "message"));
	}
	return out;
}

// A forwarder's side towards hosts, as it reports of it.
static void test_tenant_side(void **state)
{
	static const struct {
		const char *report, *side, *alarm;
		int is_away;
		size_t misses;
	} rows[] = {
		{NULL, "none", "", 0, 0},
		{"{\"side\": 3}", "works", "", 0, 0},
		{"{\"side\": 2}", "works", "", 0, 0},
		{"{\"side\": 1, \"away\": true}", "down",
		 "warning: no carrier on the tenants' network has node n6, others have its "
		 "entrances",
		 1, 0},
		// Nobody lives whom it calls.
		{"{\"side\": 255, \"peers\": [{\"node\": 1, \"alive\": false, \"called\": true}]}",
		 "none", "", 0, 0},
		{"{\"side\": 255, \"peers\": [{\"node\": 1, \"alive\": true, \"called\": true}]}",
		 "silent",
		 "critical: no forwarder on the tenants' network answers node n6, no other "
		 "forwarder is better off",
		 0, 1},
		{"{\"side\": 3, \"peers\": [{\"node\": 1, \"alive\": true, \"called\": true},"
		 " {\"node\": 2, \"alive\": true, \"called\": true, \"answers\": true},"
		 " {\"node\": 3, \"alive\": true}]}",
		 "works", "", 0, 1},
	};
	struct watched w;
	char said[256];

	watched_new(&w, *state);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w.side = rows[i].report;
		look(&w);
		auto_(json_decrefp) json_t *view = view_of(&w);
		const json_t *node = json_array_get(json_object_get(view, "nodes"), FORWARDER);

		assert_string_equal(text_or_empty(node, "name"), node_name(FORWARDER));
		assert_string_equal(text_or_empty(node, "tenant_side"), rows[i].side);
		assert_int_equal(json_is_true(json_object_get(node, "away")), rows[i].is_away);
		assert_int_equal(json_array_size(json_object_get(node, "tenant_misses")),
				 rows[i].misses);
		assert_string_equal(side_alarm(&w, said), rows[i].alarm);
	}
	// What it says when it is gone says nothing.
	w.side = rows[3].report;
	look(&w);
	connect_node(&w, FORWARDER, 0);
	look(&w);
	assert_string_equal(side_alarm(&w, said), "");
	watched_gone(&w);
}

// What alarms say of NATs, one after the other.
static const char *nat_alarms(struct watched *w, char out[512])
{
	auto_(json_decrefp) json_t *answer = ask(w->model, 200, "GET", "/v1/alarms", NULL);
	json_t *alarm;
	size_t i, length = 0;

	*out = 0;
	json_array_foreach (json_object_get(answer, "items"), i, alarm) {
		if (!strcmp(text_or_empty(alarm, "what"), "nat-exhausted"))
			length += (size_t)snprintf(out + length, 512 - length, "%s: %s\n",
						   text_or_empty(alarm, "severity"),
						   text_or_empty(alarm, "message"));
	}
	return out;
}

// Of the addresses that nodes tell about each has an alarm of its own, while they do.
static void test_nat_exhausted(void **state)
{
#define SAYS(nat, vpc, address, count)                                                             \
	"warning: nat " nat " of vpc " vpc ": no port of " address                                 \
	" is free towards some destination, new connections are refused (" count " so far)\n"
	struct watched w;
	char said[512];

	watched_new(&w, *state);
	make(w.model, "/v1/vpcs", "{'id': 'red', 'name': 'red', 'tenant': null, 'cluster': 'c'}");
	make(w.model, "/v1/vpcs",
	     "{'id': 'p', 'name': 'public', 'tenant': null, 'cluster': 'c', 'vni': 300,"
	     " 'external': true}");
	make(w.model, "/v1/subnets", "{'name': 'internet', 'vpc': 'p', 'cidr': '198.51.100.0/24'}");
	make(w.model, "/v1/nats",
	     "{'name': 'out', 'vpc': 'red', 'external_vpc': 'p',"
	     " 'addresses': ['198.51.100.10', '198.51.100.11']}");
	look(&w);
	assert_string_equal(nat_alarms(&w, said), "");
	// The second is nobody's, and there is no VPC with that VNI.
	w.side = "{\"nats\": [{\"vni\": 300, \"address\": \"198.51.100.10\", \"refused\": 3},"
		 " {\"vni\": 300, \"address\": \"198.51.100.12\", \"refused\": 4},"
		 " {\"vni\": 301, \"address\": \"198.51.100.10\", \"refused\": 5}]}";
	look(&w);
	assert_string_equal(nat_alarms(&w, said), SAYS("out", "red", "198.51.100.10", "3"));
	w.side = "{\"nats\": [{\"vni\": 300, \"address\": \"198.51.100.10\", \"refused\": 9},"
		 " {\"vni\": 300, \"address\": \"198.51.100.11\", \"refused\": 1}]}";
	look(&w);
	assert_string_equal(nat_alarms(&w, said), SAYS("out", "red", "198.51.100.10", "9")
							  SAYS("out", "red", "198.51.100.11", "1"));
	w.side = "{\"nats\": []}";
	look(&w);
	assert_string_equal(nat_alarms(&w, said), "");
	watched_gone(&w);
}

static void test_gone_is_replaced(void **state)
{
	struct watched w;
	json_int_t before;

	watched_new(&w, *state);
	before = epochs(&w);
	assert_int_equal(alarms(&w, "chain-short-of-replicas"), 0);
	connect_node(&w, 0, 0);
	look(&w);
	assert_int_equal(epochs(&w), before); // it may be back at once
	assert_int_equal(alarms(&w, "chain-short-of-replicas"), 3);
	look_until(&w, !node_number(&w, 0, "votes"));
	assert_true(is_gone(&w, 0));
	assert_int_equal(alarms(&w, "node-gone"), 1);
	look_until(&w, !alarms(&w, "chain-short-of-replicas"));
	// It comes back and has nothing to do with what it was; it gets its share again.
	connect_node(&w, 0, 101);
	look_until(&w, node_number(&w, 0, "replicas") == 3);
	assert_int_equal(alarms(&w, "node-gone"), 0);
	look_until(&w, node_number(&w, 0, "holds") == 3);
	watched_gone(&w);
}

static long ms_since(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / 1000000;
}

// Looks for as long. Returns how long that was.
static long look_for(struct watched *w, long ms)
{
	struct timespec begin;
	long took;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		look(w);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	} while ((took = ms_since(&begin)) < ms);
	return took;
}

// Its power is gone: TCP does not notice. Two reports are missing, and nobody hears it: not the one
// without the other.
static void test_silent_is_replaced(void **state)
{
	struct timespec silent, before;
	long longest = 0, took;
	struct watched w;

	watched_new(&w, *state);
	w.hearing = true;
	w.unheard = 1;
	look_for(&w, 2000);
	assert_true(is_presence(&w, 0, "here"));
	w.unheard = 0;
	w.still = 1 << 0;
	look_for(&w, 2000);
	assert_true(is_presence(&w, 0, "here"));

	w.still = 0;
	look(&w);
	w.still = 1 << 0;
	w.unheard = 1;
	clock_gettime(CLOCK_MONOTONIC, &silent);
	do {
		clock_gettime(CLOCK_MONOTONIC, &before);
		look_for(&w, 0);
		took = ms_since(&before);
		if (took > longest)
			longest = took;
	} while (!is_gone(&w, 0) && ms_since(&silent) < 300000);
	// No later, but for looks that were late.
	took = ms_since(&silent);
	assert_in_range(took, 1400, 1600 + 2 * longest);
	look_until(&w, !node_number(&w, 0, "votes"));
	watched_gone(&w);
}

// Where most say nothing, it was the controller that heard nothing.
static void test_most_are_silent(void **state)
{
	struct watched w;

	watched_new(&w, *state);
	w.hearing = true;
	look(&w);
	w.unheard = 2;
	w.still = 0x3e;
	if (look_for(&w, 2000) < 2800)
		assert_true(is_presence(&w, 1, "here"));
	look_until(&w, is_gone(&w, 1));
	watched_gone(&w);
}

// A daemon that is away, while its node serves on, starts again: nothing is copied for that.
static void test_restart_is_awaited(void **state)
{
	struct watched w;
	json_int_t before;

	watched_new(&w, *state);
	w.hearing = true;
	look(&w);
	before = epochs(&w);
	connect_node(&w, 0, 0);
	look_for(&w, 2000); // repair_after_s is 1
	assert_true(is_presence(&w, 0, "awaited"));
	assert_int_equal(epochs(&w), before);
	assert_int_equal(alarms(&w, "node-gone"), 0);
	w.unheard = 1;
	look_until(&w, !node_number(&w, 0, "votes"));
	watched_gone(&w);
}

static void test_another_boot_is_another_voter(void **state)
{
	struct watched w;
	json_int_t before, first, second;

	watched_new(&w, *state);
	before = epochs(&w);
	first = node_number(&w, 0, "votes");
	second = node_number(&w, 1, "votes");
	w.deaf = true;
	connect_node(&w, 0, 999);
	look(&w);
	look(&w);
	// One change of each of its chains, and no other of these before that is in force.
	assert_int_equal(epochs(&w), before + first);
	connect_node(&w, 1, 998);
	for (int i = 0; i < 5; i++)
		look(&w);
	assert_int_equal(epochs(&w), before + first);
	w.deaf = false;
	w.silent = 3; // a voter that nothing is heard of is not waited for
	for (int i = 0; i < 20; i++)
		look(&w);
	assert_int_equal(epochs(&w), before + first + second);
	assert_int_equal(node_number(&w, 0, "holds"), 3);
	watched_gone(&w);
}

static void test_drain(void **state)
{
	struct watched w;
	json_int_t before, left;
	char body[512];

	watched_new(&w, *state);
	json_decref(ask(w.model, 409, "DELETE", "/v1/nodes/n2", NULL));
	node_body(body, 1, ", 'drain': true");
	json_decref(ask(w.model, 200, "PUT", "/v1/nodes/n2", body));
	// One chain, and the next when that has its new replica.
	w.slow = true;
	for (int i = 0; i < 10; i++)
		look(&w);
	assert_int_equal(node_number(&w, 1, "replicas"), 2);
	w.slow = false;
	for (left = 2; left; left--) {
		before = node_number(&w, 1, "replicas");
		look_until(&w, node_number(&w, 1, "replicas") < before);
		assert_int_equal(node_number(&w, 1, "replicas"), before - 1);
	}
	look_until(&w, !node_number(&w, 1, "votes") && !node_number(&w, 1, "holds"));
	assert_int_equal(alarms(&w, "chain-short-of-replicas"), 0);
	assert_null(ask(w.model, 204, "DELETE", "/v1/nodes/n2", NULL));
	look(&w);
	watched_gone(&w);
}

// Where entrances change hands, flows ask chains about all of their packets: no ballot is planned
// before all nodes know. A forwarder votes, too.
static void test_entrances_go_before_votes(void **state)
{
	struct watched w;
	char body[512];

	watched_new(&w, *state);
	assert_int_equal(node_number(&w, FORWARDER, "votes"), 4);
	w.late = 1;
	look(&w);
	node_body(body, FORWARDER, ", 'drain': true");
	json_decref(ask(w.model, 200, "PUT", "/v1/nodes/n6", body));
	for (int i = 0; i < 10; i++)
		look(&w);
	assert_int_equal(node_number(&w, FORWARDER, "votes"), 4);
	w.late = 0;
	look_until(&w, !node_number(&w, FORWARDER, "votes"));
	watched_gone(&w);
}

// A node that is here and does not apply the view holds up what is planned for a while only, and is
// named.
static void test_behind_is_not_waited_for(void **state)
{
	struct watched w;
	char body[512];

	watched_new(&w, *state);
	w.late = 1;
	look(&w);
	node_body(body, FORWARDER, ", 'drain': true");
	json_decref(ask(w.model, 200, "PUT", "/v1/nodes/n6", body));
	for (int i = 0; i < 10; i++)
		look(&w);
	assert_int_equal(node_number(&w, FORWARDER, "votes"), 4);
	assert_int_equal(alarms(&w, "node-behind"), 0);
	look_until(&w, alarms(&w, "node-behind") == 1);
	look_until(&w, !node_number(&w, FORWARDER, "votes"));
	assert_int_equal(alarms(&w, "node-behind"), 1);
	w.late = 0;
	look(&w);
	assert_int_equal(alarms(&w, "node-behind"), 0);
	watched_gone(&w);
}

static void test_majority_is_needed(void **state)
{
	struct watched w;
	json_int_t before;

	watched_new(&w, *state);
	before = epochs(&w);
	for (int n = 0; n < 4; n++)
		connect_node(&w, n, 0);
	look_until(&w, is_gone(&w, 0) && is_gone(&w, 3));
	for (int i = 0; i < 5; i++)
		look(&w);
	assert_int_equal(epochs(&w), before);
	assert_int_equal(alarms(&w, "chain-without-majority"), 5);
	assert_int_equal(alarms(&w, "node-gone"), 4);
	// Two of them are enough again.
	connect_node(&w, 0, 101);
	connect_node(&w, 1, 102);
	look_until(&w, !alarms(&w, "chain-without-majority"));
	look_until(&w, !node_number(&w, 3, "replicas"));
	// Three nodes that are gone for good: deleted as they are, nobody has to wait for them.
	assert_null(ask(w.model, 204, "DELETE", "/v1/nodes/n4", NULL));
	look(&w);
	watched_gone(&w);
}

static void test_founded_anew(void **state)
{
	struct watched w;

	watched_new(&w, *state);
	// All that had anything forgot it, but one, which may come back.
	for (int n = 1; n < NODES; n++)
		connect_node(&w, n, (uint32_t)n + 201);
	connect_node(&w, 0, 0);
	w.deaf = true;
	for (size_t i = 0; i < 5; i++)
		json_array_set_new(w.chains, i, json_object());
	look_until(&w, is_gone(&w, 0));
	for (int i = 0; i < 5; i++)
		look(&w);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(chain_number(&w, i, "founded"), 1);
	assert_int_equal(alarms(&w, "chain-needs-force"), 5);
	connect_node(&w, 0, 201);
	look_until(&w, epochs(&w) == 10);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(chain_number(&w, i, "founded"), 2);
		assert_int_equal(chain_number(&w, i, "forced"), 2);
		assert_int_equal(chain_number(&w, i, "epoch"), 2);
	}
	w.deaf = false;
	look(&w);
	look(&w);
	assert_int_equal(alarms(&w, "chain-needs-force"), 0);
	assert_int_equal(epochs(&w), 10);
	watched_gone(&w);
}

static bool is_forced(struct watched *w)
{
	for (size_t i = 0; i < 5; i++)
		if (chain_number(w, i, "forced"))
			return true;
	return false;
}

static bool has_voter(const json_t *chain, const char *node)
{
	json_t *name = json_string(node);
	bool is_so = is_listed(json_object_get(chain, "replicas"), name) ||
		     is_listed(json_object_get(chain, "witnesses"), name);

	json_decref(name);
	return is_so;
}

static void assert_not_forced_for(struct watched *w, time_t seconds)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		look(w);
		assert_false(is_forced(w));
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < seconds);
}

// A majority has forgotten: those of the lists that are left begin anew, when nothing can come any
// more of what was under way, and everybody who is left has said since what he knows.
static void test_by_force(void **state)
{
	auto_(json_decrefp) json_t *view = NULL, *before = NULL;
	unsigned int kept = 0, forced = 0, asked = 0;
	struct watched w;
	json_t *chain;
	size_t i;

	watched_new(&w, *state);
	before = view_of(&w);
	w.deaf = true;
	for (int n = 0; n < 3; n++)
		connect_node(&w, n, (uint32_t)n + 201);
	// What a node said before does not count, be it of chains or of nothing.
	w.still = 1 << 4;
	assert_not_forced_for(&w, 2);
	assert_true(alarms(&w, "chain-needs-force") > 2);
	w.still = 0;
	w.silent = 4;
	for (int n = 0; n < 5; n++)
		look(&w);
	json_array_foreach (json_object_get(before, "chains"), i, chain) {
		if (has_voter(chain, "n4"))
			assert_int_equal(chain_number(&w, i, "forced"), 0);
	}
	w.silent = 0;
	look_until(&w, !alarms(&w, "chain-needs-force"));
	view = view_of(&w);
	json_array_foreach (json_object_get(view, "chains"), i, chain) {
		json_t *replicas = json_object_get(chain, "replicas"), *name;
		bool is_kept = integer_in(chain, "founded") == 1;
		size_t k;

		if (!integer_in(chain, "forced"))
			continue;
		forced++;
		kept += is_kept;
		asked += has_voter(json_array_get(json_object_get(before, "chains"), i), "n4");
		assert_int_equal(integer_in(chain, "forced"), 2);
		assert_int_equal(integer_in(chain, "epoch"), 2);
		assert_true(json_is_string(json_object_get(chain, "forced_at")));
		json_array_foreach (replicas, k, name) {
			if (is_kept)
				assert_true(!strcmp(json_string_value(name), "n4") ||
					    !strcmp(json_string_value(name), "n5"));
		}
	}
	assert_true(kept > 1 && forced > kept && asked);
	// Not again while the nodes do not know it; and when they do, every chain becomes whole.
	for (int n = 0; n < 5; n++)
		look(&w);
	assert_int_equal(chain_number(&w, 0, "epoch"), 2);
	w.deaf = false;
	look_until(&w, !alarms(&w, "chain-short-of-replicas"));
	assert_int_equal(alarms(&w, "chain-needs-force"), 0);
	watched_gone(&w);
}

// An alarm that has patience sounds when nothing has moved for so long.
static void test_patience(void **state)
{
	struct model *model = *state;
	json_t *raised, *sounding;
	size_t count = 0;

	for (int mark = 0; mark < 5; mark++) {
		raised = json_pack("[{s:s, s:s, s:s, s:n, s:n, s:s, s:i, s:i}]", "key", "k",
				   "severity", "warning", "what", "w", "chain", "node", "message",
				   "m", "mark", mark, "patience_ms", 600000);
		assert_int_equal(status_raise(model->status, "c", "c", raised), 0);
		sounding = status_alarms(model->status, NULL);
		count += json_array_size(sounding);
		json_decref(sounding);
	}
	assert_int_equal(count, 0);
	while (!count) {
		raised = json_pack("[{s:s, s:s, s:s, s:n, s:n, s:s, s:i, s:i}]", "key", "k",
				   "severity", "warning", "what", "w", "chain", "node", "message",
				   "m", "mark", 7, "patience_ms", 50);
		assert_int_equal(status_raise(model->status, "c", "c", raised), 0);
		sounding = status_alarms(model->status, "c");
		count += json_array_size(sounding);
		json_decref(sounding);
	}
	sounding = status_alarms(model->status, "another");
	assert_int_equal(json_array_size(sounding), 0);
	json_decref(sounding);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reports, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_sightings, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_ready_ports, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_routes_of_all, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_one_commit_per_change, open_model,
						close_model),
		cmocka_unit_test_setup_teardown(test_broken_store, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_older_than_a_field, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_founding, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_scaling, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_moves_exclude_each_other, open_model,
						close_model),
		cmocka_unit_test_setup_teardown(test_phases, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_given_up, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_kept_while_it_moves, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_founding_waits_for_loading, open_model,
						close_model),
		cmocka_unit_test_setup_teardown(test_tenant_side, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_nat_exhausted, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_gone_is_replaced, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_silent_is_replaced, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_most_are_silent, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_restart_is_awaited, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_another_boot_is_another_voter, open_model,
						close_model),
		cmocka_unit_test_setup_teardown(test_drain, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_entrances_go_before_votes, open_model,
						close_model),
		cmocka_unit_test_setup_teardown(test_behind_is_not_waited_for, open_model,
						close_model),
		cmocka_unit_test_setup_teardown(test_majority_is_needed, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_founded_anew, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_by_force, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_patience, open_model, close_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
