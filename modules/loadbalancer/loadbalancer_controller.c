// SPDX-License-Identifier: Apache-2.0
// Load balancers: an address of a VPC that no port has, whose connections go to ports.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "modules/function/function_controller.h"
#include "modules/health/health_controller.h"
#include "modules/subnet/subnet_controller.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const char *const affinities[] = {"none", "source", NULL};
static const char *const checks[] = {"tcp", "http", NULL};
static const char *const protections[] = {"never", "under-attack", "always", NULL};
static const char *const protocols[] = {"tcp", "udp", NULL};

static const struct field backend_fields[] = {
	{.name = "port", .type = FIELD_REFERENCE, .kind = "ports", .required = true},
	{.name = "weight", .type = FIELD_INTEGER, .max = MAX_WEIGHT, .fallback = "1"},
	{}};

static const struct field check_fields[] = {
	{.name = "type", .type = FIELD_CHOICE, .choices = checks, .required = true},
	{.name = "port", .type = FIELD_INTEGER, .min = 1, .max = 65535},
	{.name = "path", .type = FIELD_TEXT, .min = 1, .max = MAX_CHECK_PATH},
	{.name = "interval_ms",
	 .type = FIELD_INTEGER,
	 .min = MIN_CHECK_MS,
	 .max = MAX_CHECK_MS,
	 .fallback = "2000"},
	{.name = "timeout_ms",
	 .type = FIELD_INTEGER,
	 .min = 1,
	 .max = MAX_CHECK_MS,
	 .fallback = "500"},
	{.name = "up_after",
	 .type = FIELD_INTEGER,
	 .min = 1,
	 .max = MAX_CHECK_TIMES,
	 .fallback = "2"},
	{.name = "down_after",
	 .type = FIELD_INTEGER,
	 .min = 1,
	 .max = MAX_CHECK_TIMES,
	 .fallback = "2"},
	{}};

static const struct field listener_fields[] = {
	{.name = "protocol", .type = FIELD_CHOICE, .choices = protocols, .required = true},
	{.name = "port", .type = FIELD_INTEGER, .min = 1, .max = 65535, .required = true},
	{.name = "backend_port", .type = FIELD_INTEGER, .min = 1, .max = 65535},
	{.name = "check", .type = FIELD_OBJECT, .fields = check_fields, .nullable = true},
	{.name = "backends",
	 .type = FIELD_OBJECT,
	 .fields = backend_fields,
	 .list = true,
	 .max_items = MAX_BACKENDS,
	 .fallback = "[]"},
	{}};

static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "ip", .type = FIELD_ADDRESS, .required = true, .fixed = true},
	{.name = "affinity", .type = FIELD_CHOICE, .choices = affinities, .fallback = "\"none\""},
	{.name = "direct_return", .type = FIELD_BOOLEAN, .fallback = "false", .fixed = true},
	{.name = "syn_protection",
	 .type = FIELD_CHOICE,
	 .choices = protections,
	 .fallback = "\"never\""},
	{.name = "syn_rate",
	 .type = FIELD_INTEGER,
	 .min = 1,
	 .max = MAX_CONNECTIONS_PER_S,
	 .fallback = "1000"},
	{.name = "listeners",
	 .type = FIELD_OBJECT,
	 .fields = listener_fields,
	 .list = true,
	 .max_items = MAX_VPC_LISTENERS,
	 .fallback = "[]"},
	{.name = "service_chain",
	 .type = FIELD_REFERENCE,
	 .kind = "service-chains",
	 .nullable = true},
	{}};

// Each port at most once: its share is its weight.
static int settle_backends(struct change *change, const json_t *listener, size_t place)
{
	const json_t *backends = json_object_get(listener, "backends");
	json_t *backend;
	char field[96];
	size_t i, k;

	json_array_foreach (backends, i, backend)
		for (k = 0; k < i; k++) {
			if (!json_equal(json_object_get(backend, "port"),
					json_object_get(json_array_get(backends, k), "port")))
				continue;
			snprintf(field, sizeof(field), "listeners[%zu].backends[%zu].port", place,
				 i);
			return refuse(change->problem, 400, field, "%s: the port is there twice",
				      field);
		}
	return 0;
}

// It stands in a request line: one word of what RFC 9110 has there.
static int is_path(const char *path)
{
	if (*path != '/')
		return 0;
	for (; *path; path++)
		if (*path <= ' ' || *path > '~' || *path == '#')
			return 0;
	return 1;
}

static int settle_path(struct change *change, json_t *check, size_t place)
{
	const char *path = text_in(check, "path");
	char field[48];

	snprintf(field, sizeof(field), "listeners[%zu].check.path", place);
	if (strcmp(text_or_empty(check, "type"), "http") != 0)
		return path ? refuse(change->problem, 400, field,
				     "%s: only a check of type http asks for a path", field)
			    : 0;
	if (!path)
		return json_object_set_new(check, "path", json_string("/")) ? -ENOMEM : 0;
	return is_path(path) ? 0
			     : refuse(change->problem, 400, field,
				      "%s: \"%s\" is no path that can be asked for", field, path);
}

static int settle_check(struct change *change, json_t *listener, size_t place)
{
	json_t *check = json_object_get(listener, "check");
	const json_int_t interval = integer_in(check, "interval_ms");
	const json_int_t failing =
		integer_in(check, "timeout_ms") * integer_in(check, "down_after");
	char field[56];

	if (!json_is_object(check))
		return 0;
	if (!json_is_integer(json_object_get(check, "port"))) {
		snprintf(field, sizeof(field), "listeners[%zu].check.port", place);
		if (strcmp(text_or_empty(listener, "protocol"), "tcp") != 0)
			return refuse(change->problem, 400, field,
				      "%s is missing: the listener's own is not of TCP", field);
		if (json_object_set(check, "port", json_object_get(listener, "backend_port")))
			return -ENOMEM;
	}
	snprintf(field, sizeof(field), "listeners[%zu].check.interval_ms", place);
	if (failing >= interval)
		return refuse(change->problem, 400, field,
			      "%s: %lld is not more than timeout_ms times down_after, %lld: a dead "
			      "backend shall be found within it",
			      field, (long long)interval, (long long)failing);
	return settle_path(change, check, place);
}

static int settle_listeners(struct change *change)
{
	const json_t *listeners = json_object_get(change->after, "listeners");
	json_t *listener;
	const json_t *other;
	char field[48];
	size_t i, k;
	int err;

	json_array_foreach (listeners, i, listener) {
		for (k = 0; k < i; k++) {
			other = json_array_get(listeners, k);
			if (strcmp(text_or_empty(other, "protocol"),
				   text_or_empty(listener, "protocol")) != 0 ||
			    integer_in(other, "port") != integer_in(listener, "port"))
				continue;
			snprintf(field, sizeof(field), "listeners[%zu].port", i);
			return refuse(change->problem, 400, field, "%s: %s %lld is there twice",
				      field, text_or_empty(listener, "protocol"),
				      (long long)integer_in(listener, "port"));
		}
		if (!json_is_integer(json_object_get(listener, "backend_port")) &&
		    json_object_set(listener, "backend_port", json_object_get(listener, "port")))
			return -ENOMEM;
		if ((err = settle_backends(change, listener, i)) ||
		    (err = settle_check(change, listener, i)))
			return err;
	}
	return 0;
}

struct sum {
	const char *except;
	size_t listeners;
};

static int add_listeners(const struct object *object, void *arg)
{
	struct sum *sum = arg;

	if (strcmp(object->id, sum->except) != 0)
		sum->listeners += json_array_size(json_object_get(object->body, "listeners"));
	return 0;
}

// A service chain that a VPC says itself must have the function, or nobody would serve the address.
// Whom it is announced to, where the VPC is external, is reached by IPv4 alone.
static int check_vpc(struct change *change, const char *vpc_id, bool six)
{
	auto_(json_decrefp) json_t *vpc = store_body(change->store, "vpcs", vpc_id);

	if (!vpc)
		return -EIO;
	if (six && json_is_true(json_object_get(vpc, "external")))
		return refuse(change->problem, 400, "ip",
			      "ip %s is IPv6: what is outside of vpc \"%s\" is reached by IPv4",
			      text_in(change->after, "ip"), text_in(vpc, "name"));
	if (!json_is_array(json_object_get(vpc, "service_chain")) ||
	    service_chain_has(vpc, "load-balancer"))
		return 0;
	return refuse(change->problem, 409, "vpc",
		      "the service_chain of vpc \"%s\" has no load-balancer", text_in(vpc, "name"));
}

static bool is_ipv6(const char *text)
{
	return strchr(text, ':') != NULL;
}

// It has an address of the load balancer's family. Where it answers clients itself, what it gets
// comes from its subnet's gateway.
static int check_backend(struct change *change, bool direct, const char *field, const char *id)
{
	auto_(json_decrefp) json_t *port = store_body(change->store, "ports", id);
	const char *own = text_in(change->after, "ip"), *text;
	json_t *ip;
	size_t i;

	if (!port)
		return -EIO;
	json_array_foreach (json_object_get(port, "ips"), i, ip) {
		text = json_string_value(ip) ?: "";
		if (is_ipv6(text) != is_ipv6(own))
			continue;
		return direct ? subnet_serves(change, text_in(change->after, "vpc"), field, text)
			      : 0;
	}
	return refuse(change->problem, 400, field,
		      "%s: port \"%s\" has no %s address, and ip %s is one", field,
		      text_in(port, "name"), is_ipv6(own) ? "IPv6" : "IPv4", own);
}

static int check_backends(struct change *change)
{
	const bool direct = json_is_true(json_object_get(change->after, "direct_return"));
	const json_t *backend;
	json_t *listener;
	char field[96];
	size_t i, k;
	int err;

	json_array_foreach (json_object_get(change->after, "listeners"), i, listener) {
		if (direct &&
		    integer_in(listener, "backend_port") != integer_in(listener, "port")) {
			snprintf(field, sizeof(field), "listeners[%zu].backend_port", i);
			return refuse(change->problem, 400, field,
				      "%s: with direct_return it is the port, %lld", field,
				      (long long)integer_in(listener, "port"));
		}
		for (k = 0; k < json_array_size(json_object_get(listener, "backends")); k++) {
			backend = json_array_get(json_object_get(listener, "backends"), k);
			snprintf(field, sizeof(field), "listeners[%zu].backends[%zu].port", i, k);
			if ((err = check_backend(change, direct, field,
						 text_or_empty(backend, "port"))))
				return err;
		}
	}
	return 0;
}

static int complete(struct change *change)
{
	const char *vpc = text_in(change->after, "vpc"), *ip = text_in(change->after, "ip");
	struct sum sum = {change->id, json_array_size(json_object_get(change->after, "listeners"))};
	int err;

	if ((err = change_claim(change, "ip", "address", vpc, ip)) ||
	    (err = subnet_serves(change, vpc, "ip", ip)) || (err = settle_listeners(change)) ||
	    (err = check_backends(change)) || (err = check_vpc(change, vpc, is_ipv6(ip))) ||
	    (err = store_list(change->store, change->kind->name, vpc, add_listeners, &sum)))
		return err;
	if (sum.listeners > MAX_VPC_LISTENERS)
		return refuse(change->problem, 409, "listeners",
			      "the load balancers of the vpc would have %zu listeners, more than "
			      "%u",
			      sum.listeners, MAX_VPC_LISTENERS);
	return 0;
}

// What goes on, goes on where it is; but what ended and begins again from the same port is decided
// anew, and may be another backend's.
static int changed(struct change *change)
{
	return vpc_policy_changed(change->store,
				  text_in(change->after ? change->after : change->before, "vpc"));
}

const struct kind load_balancer_kind = {
	.name = "load-balancers",
	.one = "load balancer",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_LOAD_BALANCERS,
	.complete = complete,
	.changed = changed,
	.answer = health_answer,
};
