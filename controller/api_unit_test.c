// SPDX-License-Identifier: Apache-2.0
// Answers that depend on what nodes and hosts reported, without a network.
#include "controller/api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reports, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_ready_ports, open_model, close_model),
		cmocka_unit_test_setup_teardown(test_one_commit_per_change, open_model,
						close_model),
		cmocka_unit_test_setup_teardown(test_broken_store, open_model, close_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
