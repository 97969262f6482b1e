// SPDX-License-Identifier: Apache-2.0
// Each flow table node says for itself what it takes backends for; here they are laid side by side.
#include "modules/health/health_controller.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "controller/status.h"
#include "modules/health/judge.h"

#define LISTENER 128 // of a load balancer: its id, protocol and port

static const char *protocol_word(const json_t *state)
{
	return integer_in(state, "protocol") == IPPROTO_UDP ? "udp" : "tcp";
}

// ---- one load balancer

struct sought {
	struct status *status;
	const char *id;
	json_t *backends; // of the answer
};

// The backend of a listener, as the answer has it; NULL: it has none such.
static json_t *find(json_t *backends, const json_t *state)
{
	json_t *backend;
	size_t i;

	json_array_foreach (backends, i, backend)
		if (!strcmp(text_or_empty(backend, "backend"), text_or_empty(state, "backend")) &&
		    !strcmp(text_or_empty(backend, "protocol"), protocol_word(state)) &&
		    integer_in(backend, "port") == integer_in(state, "port"))
			return backend;
	return NULL;
}

static int add_state(json_t *backend, const json_t *state, const char *node)
{
	json_int_t health = integer_in(state, "health");
	const char *why = text_or_empty(state, "why");

	if (health == HEALTH_UNKNOWN)
		return 0;
	if (*why && health == HEALTH_DOWN)
		json_object_set_new(backend, "why", json_string(why));
	return json_array_append_new(json_object_get(backend, health == HEALTH_UP ? "up" : "down"),
				     json_string(node));
}

static int add_node(const struct object *object, void *arg)
{
	const char *node = text_or_empty(object->body, "name");
	struct sought *sought = arg;
	auto_(json_decrefp) json_t *all = status_backends(sought->status, node);
	json_t *state, *backend;
	size_t i;

	json_array_foreach (json_object_get(all, sought->id), i, state) {
		backend = find(sought->backends, state);
		if (backend && add_state(backend, state, node))
			return -ENOMEM;
	}
	return 0;
}

static int add_backend(struct model *model, json_t *list, const json_t *listener,
		       const json_t *backend)
{
	const char *port = text_or_empty(backend, "port");
	auto_(json_decrefp) json_t *body = store_body(model->store, "ports", port);

	return json_array_append_new(list,
				     json_pack("{s:O, s:O, s:s, s:s, s:s, s:[], s:[], s:n}",
					       "protocol", json_object_get(listener, "protocol"),
					       "port", json_object_get(listener, "port"), "backend",
					       port, "name", text_or_empty(body, "name"), "state",
					       "unknown", "up", "down", "why"));
}

// Of listeners that have their backends checked.
static int add_backends(struct model *model, json_t *list, const json_t *body)
{
	json_t *listener, *backend;
	size_t i, k;

	json_array_foreach (json_object_get(body, "listeners"), i, listener) {
		if (!json_is_object(json_object_get(listener, "check")))
			continue;
		json_array_foreach (json_object_get(listener, "backends"), k, backend)
			if (add_backend(model, list, listener, backend))
				return -ENOMEM;
	}
	return 0;
}

static int sum_up(json_t *status, json_t *backends)
{
	json_t *backend, *down = json_object_get(status, "down");
	json_int_t up = 0;
	size_t i;
	int err = 0;

	json_array_foreach (backends, i, backend) {
		const size_t ups = json_array_size(json_object_get(backend, "up"));
		const size_t downs = json_array_size(json_object_get(backend, "down"));

		up += ups && !downs;
		if (downs)
			err |= json_array_append(down, json_object_get(backend, "name"));
		if (ups || downs)
			err |= json_object_set_new(backend, "state",
						   json_string(!downs ? "up"
							       : ups  ? "differs"
								      : "down"));
	}
	if (json_array_size(backends))
		err |= json_object_set_new(status, "up", json_integer(up));
	return err ? -ENOMEM : 0;
}

int health_answer(struct model *model, json_t *body)
{
	auto_(json_decrefp) json_t *vpc = store_body(model->store, "vpcs", text_in(body, "vpc"));
	struct sought sought = {model->status, text_in(body, "id"), json_array()};
	json_t *status = json_pack("{s:n, s:[], s:o}", "up", "down", "backends", sought.backends);
	int err;

	if (!status || json_object_set_new(body, "status", status))
		return -ENOMEM;
	if ((err = add_backends(model, sought.backends, body)))
		return err;
	if (vpc && (err = store_list_referring(model->store, "nodes", "clusters",
					       text_or_empty(vpc, "cluster"), add_node, &sought)))
		return err;
	return sum_up(status, sought.backends);
}

// ---- all of a cluster

struct watched {
	struct status *status;
	json_t *listeners; // {listener: whether it has a backend that is up}
};

// Of no state but DOWN: who does not know yet complains of nothing.
static int watch_node(const struct object *object, void *arg)
{
	struct watched *w = arg;
	auto_(json_decrefp) json_t *all =
		status_backends(w->status, text_or_empty(object->body, "name"));
	char listener[LISTENER];
	json_t *states, *state;
	const char *id;
	size_t i;

	json_object_foreach (all, id, states) {
		if (!*id) // uplinks
			continue;
		json_array_foreach (states, i, state) {
			int up = integer_in(state, "health") != HEALTH_DOWN;

			snprintf(listener, sizeof(listener), "%s %s %lld", id, protocol_word(state),
				 (long long)integer_in(state, "port"));
			up |= json_is_true(json_object_get(w->listeners, listener));
			if (json_object_set_new(w->listeners, listener, json_boolean(up)))
				return -ENOMEM;
		}
	}
	return 0;
}

bool health_troubled(struct store *store, struct status *status, const char *cluster,
		     struct health_trouble *out)
{
	auto_(json_decrefp) json_t *listeners = json_object(), *body = NULL;
	struct watched w = {status, listeners};
	char id[OBJECT_ID] = "";
	const char *listener;
	json_t *up;

	*out = (struct health_trouble){};
	if (store_list_referring(store, "nodes", "clusters", cluster, watch_node, &w))
		return false;
	json_object_foreach (listeners, listener, up) {
		if (json_is_true(up))
			continue;
		if (!out->listeners++)
			(void)!sscanf(listener, "%64s %7s %u", id, out->protocol, &out->port);
	}
	if (!out->listeners)
		return false;
	body = store_body(store, "load-balancers", id);
	snprintf(out->balancer, sizeof(out->balancer), "%s", text_or_empty(body, "name"));
	return body != NULL;
}
