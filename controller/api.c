// SPDX-License-Identifier: Apache-2.0
// The logical API's routes, and what both APIs share: methods, bodies, transactions, errors.
#include "controller/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"

static const unsigned char openapi[] = {
#include "openapi.inc"
};

static const struct {
	const char *name;
	enum api_method method;
} methods[] = {{"GET", API_GET}, {"POST", API_POST}, {"PUT", API_PUT}, {"DELETE", API_DELETE}};

const char *api_argument(const struct api_request *request, const char *name)
{
	size_t i;

	for (i = 0; i < request->arguments; i++)
		if (!strcmp(request->argument[i].name, name))
			return request->argument[i].value;
	return NULL;
}

int api_check_arguments(struct api_call *call, const char *const *names)
{
	const struct api_request *request = call->request;
	size_t i, k;

	for (i = 0; i < request->arguments; i++) {
		for (k = 0; names[k]; k++)
			if (!strcmp(names[k], request->argument[i].name))
				break;
		if (!names[k])
			return refuse(&call->problem, 400, "query",
				      "query has an argument that is not known here");
	}
	return 0;
}

void api_answer_free(struct api_answer *answer)
{
	free(answer->text);
	answer->text = NULL;
}

static void answer_json(struct api_answer *answer, int status, const json_t *json)
{
	answer->status = status;
	answer->type = "application/json";
	answer->text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	answer->size = answer->text ? strlen(answer->text) : 0;
	if (json && !answer->text)
		answer->status = 500;
}

void api_refuse(struct api_answer *answer, const struct problem *problem)
{
	auto_(json_decrefp) json_t *error =
		json_pack("{s:{s:i, s:s?, s:s}}", "error", "status", problem->status, "field",
			  *problem->field ? problem->field : NULL, "message", problem->message);

	answer_json(answer, problem->status, error);
	// Text from outside that is not UTF-8 cannot be repeated.
	if (!error)
		answer->status = problem->status;
}

// How the collection is filtered: by name, and by what its objects refer to.
struct filter {
	struct api_call *call;
	const struct kind *kind;
	const char *name;
	size_t count;
	struct {
		const char *field;
		char id[OBJECT_ID];
	} reference[API_ARGUMENTS];
	json_t *items;
};

static const struct field *reference_field(const struct kind *kind, const char *name)
{
	const struct field *field;

	for (field = kind->fields; field->name; field++)
		if (field->type == FIELD_REFERENCE && !field->list && !strcmp(field->name, name))
			return field;
	return NULL;
}

static int add_reference(struct filter *filter, const struct field *field, const char *value)
{
	auto_(json_decrefp) json_t *object = NULL;
	struct api_call *call = filter->call;
	int err = model_find(call->model, model_kind(field->kind), NULL, value, &call->problem,
			     &object);

	if (err)
		return err;
	filter->reference[filter->count].field = field->name;
	snprintf(filter->reference[filter->count++].id, OBJECT_ID, "%s", text_in(object, "id"));
	return 0;
}

static int read_filter(struct filter *filter)
{
	const struct api_request *request = filter->call->request;
	const struct field *field;
	size_t i;
	int err;

	for (i = 0; i < request->arguments; i++) {
		if (!strcmp(request->argument[i].name, "name")) {
			filter->name = request->argument[i].value;
			continue;
		}
		field = reference_field(filter->kind, request->argument[i].name);
		if (!field)
			return refuse(&filter->call->problem, 400, "query",
				      "%s cannot be filtered by an argument of this query",
				      filter->kind->name);
		if ((err = add_reference(filter, field, request->argument[i].value)))
			return err;
	}
	return 0;
}

static int add_item(const struct object *object, void *arg)
{
	struct filter *filter = arg;
	const char *id;
	size_t i;

	if (filter->name && strcmp(object->name, filter->name))
		return 0;
	for (i = 0; i < filter->count; i++) {
		id = text_in(object->body, filter->reference[i].field);
		if (!id || strcmp(id, filter->reference[i].id))
			return 0;
	}
	return json_array_append_new(filter->items,
				     model_answer(filter->call->model, filter->kind, object->body));
}

static int list(struct api_call *call, const struct kind *kind)
{
	struct filter filter = {.call = call, .kind = kind};
	auto_(json_decrefp) json_t *items = json_array();
	int err;

	filter.items = items;
	if ((err = read_filter(&filter)) ||
	    (err = store_list(call->model->store, kind->name, NULL, add_item, &filter)))
		return err;
	call->out = json_pack("{s:O, s:I}", "items", items, "revision",
			      (json_int_t)store_revision(call->model->store));
	return 200;
}

// Finds the object that the path names, in the VPC that the query names.
static int find(struct api_call *call, const struct kind *kind, json_t **out)
{
	static const char *const in_vpc[] = {"vpc", NULL}, *const none[] = {NULL};
	const char *vpc_ref = api_argument(call->request, "vpc");
	auto_(json_decrefp) json_t *vpc = NULL;
	int err = api_check_arguments(call, kind->in_vpc ? in_vpc : none);

	if (err)
		return err;
	if (vpc_ref &&
	    (err = model_find(call->model, &vpc_kind, NULL, vpc_ref, &call->problem, &vpc)))
		return err;
	return model_find(call->model, kind, vpc ? text_in(vpc, "id") : NULL, call->id,
			  &call->problem, out);
}

static int read_one(struct api_call *call, const struct kind *kind)
{
	auto_(json_decrefp) json_t *body = NULL;
	int err = find(call, kind, &body);

	if (err)
		return err;
	call->out = model_answer(call->model, kind, body);
	return call->out ? 200 : -ENOMEM;
}

static int write_one(struct api_call *call, const struct kind *kind, enum api_method method,
		     const json_t *given)
{
	static const char *const none[] = {NULL};
	auto_(json_decrefp) json_t *before = NULL, *after = NULL, *extra = NULL;
	const char *id;
	int err;

	if (method == API_POST) {
		if ((err = api_check_arguments(call, none)) ||
		    (err = model_create(call->model, kind, given, NULL, &call->problem, &after)))
			return err;
		call->out = model_answer(call->model, kind, after);
		return call->out ? 201 : -ENOMEM;
	}
	if ((err = find(call, kind, &before)))
		return err;
	id = text_in(before, "id");
	if (method == API_DELETE) {
		err = model_remove(call->model, kind, id, &call->problem);
		return err ? err : 204;
	}
	extra = store_extra(call->model->store, kind->name, id);
	if ((err = model_replace(call->model, kind, id, given, extra, &call->problem, &after)))
		return err;
	call->out = model_answer(call->model, kind, after);
	return call->out ? 200 : -ENOMEM;
}

static json_t *all(struct model *model, const struct kind *kind)
{
	static const struct api_request everything;
	struct api_call call = {.model = model, .request = &everything};
	auto_(json_decrefp) json_t *out = NULL;

	if (list(&call, kind) != 200)
		return NULL;
	out = call.out;
	return json_incref(json_object_get(out, "items"));
}

static int count_ready(const struct object *port, void *arg)
{
	struct filter *filter = arg;
	auto_(json_decrefp) json_t *answer =
		model_answer(filter->call->model, &port_kind, port->body);

	filter->count += json_is_true(json_object_get(json_object_get(answer, "status"), "ready"));
	return answer ? 0 : -ENOMEM;
}

// Everything that a person asks first: who is there, who is connected, how much there is.
static int read_status(struct api_call *call)
{
	static const char *const none[] = {NULL};
	auto_(json_decrefp) json_t *counts = json_object();
	struct store *store = call->model->store;
	struct filter ready = {.call = call};
	const struct kind *const *kind;
	uint64_t count;
	int err;

	if ((err = api_check_arguments(call, none)) ||
	    (err = store_list(store, "ports", NULL, count_ready, &ready)))
		return err;
	for (kind = model_kinds; *kind; kind++) {
		if ((err = store_count(store, (*kind)->name, &count)))
			return err;
		json_object_set_new(counts, (*kind)->name, json_integer((json_int_t)count));
	}
	json_object_set_new(counts, "ports_ready", json_integer((json_int_t)ready.count));
	call->out = json_pack("{s:s, s:I, s:O, s:o, s:o, s:o, s:o, s:o}", "version", ZETA_VERSION,
			      "revision", (json_int_t)store_revision(store), "counts", counts,
			      "clusters", all(call->model, &cluster_kind), "views",
			      all(call->model, &view_kind), "nodes", all(call->model, &node_kind),
			      "hosts", all(call->model, &host_kind), "alarms",
			      status_alarms(call->model->status, NULL));
	return call->out ? 200 : -ENOMEM;
}

// What is wrong now.
static int read_alarms(struct api_call *call)
{
	static const char *const none[] = {NULL};
	int err = api_check_arguments(call, none);

	if (err)
		return err;
	call->out = json_pack("{s:o, s:I}", "items", status_alarms(call->model->status, NULL),
			      "revision", (json_int_t)store_revision(call->model->store));
	return call->out ? 200 : -ENOMEM;
}

// Where a path leads.
struct route {
	const struct kind *kind;	    // of the logical API
	const char *zeta;		    // collection of the published API
	int (*read)(struct api_call *call); // /v1/status, /v1/alarms
	unsigned int methods; // that it has, of enum api_method; 0: there is no such path
};

static void find_route(const char *path, struct api_call *call, struct route *route, char *copy)
{
	char *save = NULL, *part[4];
	int parts = 0;

	for (; parts < 4; parts++, copy = NULL) {
		part[parts] = strtok_r(parts ? NULL : copy, "/", &save);
		if (!part[parts])
			break;
	}
	// One slash before each part and none after: otherwise one thing would have many names.
	if (parts == 0 || parts == 4 || strstr(path, "//") || path[strlen(path) - 1] == '/')
		return;
	if (strcmp(part[0], "v1")) {
		if (parts > 2)
			return;
		route->zeta = part[0];
		route->methods = zeta_methods(part[0], parts == 2);
		call->id = parts == 2 ? part[1] : NULL;
		return;
	}
	if (parts < 2)
		return;
	if (parts == 2)
		route->read = !strcmp(part[1], "status")   ? read_status
			      : !strcmp(part[1], "alarms") ? read_alarms
							   : NULL;
	route->kind = model_kind(part[1]);
	call->id = parts == 3 ? part[2] : NULL;
	if (route->read)
		route->methods = API_GET;
	else if (route->kind)
		route->methods = route->kind->read_only ? API_GET
				 : call->id		? API_GET | API_PUT | API_DELETE
							: API_GET | API_POST;
}

static int dispatch(struct api_call *call, const struct route *route, enum api_method method,
		    const json_t *body)
{
	if (route->zeta)
		return zeta_call(call, route->zeta, method, body);
	if (route->read)
		return route->read(call);
	if (method != API_GET)
		return write_one(call, route->kind, method, body);
	return call->id ? read_one(call, route->kind) : list(call, route->kind);
}

// Changes are made in one transaction, whole or not at all; reads see one revision.
static int run(struct api_call *call, const struct route *route, enum api_method method,
	       const json_t *body)
{
	struct store *store = call->model->store;
	int status;

	if (method == API_GET) {
		store_lock(store);
		status = dispatch(call, route, method, body);
		store_unlock(store);
		return status;
	}
	if (store_begin(store))
		return -EIO;
	status = dispatch(call, route, method, body);
	if (status < 0)
		store_rollback(store);
	else if (store_commit(store))
		status = -EIO;
	return status;
}

static const char *allowed(unsigned int allowed_methods)
{
	switch (allowed_methods) {
	case API_GET | API_POST:
		return "GET, HEAD, POST";
	case API_GET | API_POST | API_PUT:
		return "GET, HEAD, POST, PUT";
	case API_GET | API_PUT | API_DELETE:
		return "GET, HEAD, PUT, DELETE";
	case API_GET | API_DELETE:
		return "GET, HEAD, DELETE";
	default:
		return "GET, HEAD";
	}
}

static void answer_problem(struct api_call *call, const struct api_request *request, int err,
			   struct api_answer *answer)
{
	if (!call->problem.status) {
		log_warnx("%s %s: %s", request->method, request->path, strerror(-err));
		refuse(&call->problem, 500, NULL, "the controller could not do this: %s",
		       err == -ENOMEM ? "no memory" : "the store failed");
	}
	api_refuse(answer, &call->problem);
}

// Two paths that are not of the APIs.
static void answer_plain(const char *path, struct api_answer *answer)
{
	if (!strcmp(path, "/healthz")) {
		answer->text = strdup("{\"status\":\"ok\"}");
		answer->type = "application/json";
	} else {
		answer->text = strndup((const char *)openapi, sizeof(openapi));
		answer->type = "application/yaml";
	}
	answer->status = answer->text ? 200 : 500;
	answer->size = answer->text ? strlen(answer->text) : 0;
}

static enum api_method method_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (!strcmp(methods[i].name, name))
			return methods[i].method;
	return 0;
}

void api_handle(struct model *model, const struct api_request *request, struct api_answer *answer)
{
	struct api_call call = {.model = model, .request = request};
	enum api_method method = method_of(request->method);
	auto_(freep) char *copy = strdup(request->path);
	auto_(json_decrefp) json_t *body = NULL;
	struct route route = {};
	int plain, status;

	*answer = (struct api_answer){};
	if (!copy) {
		answer->status = 500;
		return;
	}
	plain = !strcmp(request->path, "/healthz") || !strcmp(request->path, "/openapi.yaml");
	if (plain)
		route.methods = API_GET;
	else
		find_route(request->path, &call, &route, copy);
	if (!route.methods) {
		status = refuse(&call.problem, 404, NULL, "there is no such path");
	} else if (!(route.methods & method)) {
		answer->allow = allowed(route.methods);
		status = refuse(&call.problem, 405, NULL, "this path takes %s only", answer->allow);
	} else if (plain) {
		answer_plain(request->path, answer);
		return;
	} else {
		if (method & (API_POST | API_PUT))
			body = field_parse(request->body ? request->body : "", request->size,
					   &call.problem);
		status = call.problem.status ? -EINVAL : run(&call, &route, method, body);
	}
	if (status < 0)
		answer_problem(&call, request, status, answer);
	else
		answer_json(answer, status, call.out);
	json_decref(call.out);
}
