// SPDX-License-Identifier: Apache-2.0
// Pushed network functions: at most two versions on every node, of which one may run; and which
// functions a VPC's first packets go through.
#include "modules/function/function_controller.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "lib/base64.h"
#include "lib/hash.h"
#include "modules/function/config.h"
#include "modules/vpc/transfer.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/function.h"

#define OBJECT_TEXT ((json_int_t)(ZETA_OBJECT_BYTES + 2) / 3 * 4) // in base64

static const struct field version_fields[] = {
	{.name = "version", .type = FIELD_WORD, .required = true},
	{.name = "object", .type = FIELD_TEXT, .max = OBJECT_TEXT, .nullable = true},
	{}};

static const struct field fields[] = {{.name = "cluster",
				       .type = FIELD_REFERENCE,
				       .kind = "clusters",
				       .required = true,
				       .fixed = true},
				      {.name = "running", .type = FIELD_WORD, .nullable = true},
				      {.name = "versions",
				       .type = FIELD_OBJECT,
				       .fields = version_fields,
				       .list = true,
				       .required = true,
				       .min_items = 1,
				       .max_items = FUNCTION_PLACES},
				      {}};

enum { DIVIDER, BOUNCER, ACL, SECURITY_GROUP, LOAD_BALANCER, NAT, PEERING, BUILT_IN };

#define AFTER 3

static const struct built_in {
	const char *name;
	const char *without; // what a chain without it would lack
	struct {
		int place;	 // here
		const char *why; // NULL: of nothing
	} after[AFTER];		 // what has to have run before
	const char *only_with;	 // a VPC that has none of this kind needs no such function
	bool own;		 // .. of its own: that one names it alone is nothing
} built_in[BUILT_IN] = {
	[DIVIDER] = {.name = "divider",
		     .without = "no packet goes to another subnet",
		     .after = {{LOAD_BALANCER, "the way between subnets is the backend's"},
			       {NAT, "the way between subnets is that of what is translated"},
			       {PEERING, "the way between subnets ends in the peer's"}}},
	[BOUNCER] = {.name = "bouncer",
		     .without = "nobody says where packets go",
		     .after = {{DIVIDER, "the way between subnets is chosen before the host"}}},
	[ACL] = {.name = "acl",
		 .without = "no network ACL would count",
		 .after = {{LOAD_BALANCER, "its rules are about backends"},
			   {NAT, "its rules are about what is translated"},
			   {PEERING, "its rules are also the peer's"}}},
	[SECURITY_GROUP] = {.name = "security-group",
			    .without = "no security group would count",
			    .after = {{BOUNCER, "it needs the destination's groups, which bouncer "
						"finds"}}},
	[LOAD_BALANCER] = {.name = "load-balancer",
			   .without = "no load balancer would be served",
			   .after = {{PEERING, "a peer's load balancers are served too"}},
			   .only_with = "load-balancers"},
	[NAT] = {.name = "nat",
		 .without = "nothing would be translated",
		 .after = {{LOAD_BALANCER, "what a load balancer sends to a backend stays inside"},
			   {PEERING, "what goes to a peer keeps its address"}},
		 .only_with = "nats"},
	[PEERING] = {.name = "peering",
		     .without = "no peer would be reached",
		     .only_with = "peerings",
		     .own = true},
};

static int built_in_place(const char *name)
{
	for (size_t i = 0; i < BUILT_IN; i++)
		if (!strcmp(built_in[i].name, name))
			return (int)i;
	return -1;
}

const json_t *function_version(const json_t *function, const char *version)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(function, "versions"), i, item)
		if (!strcmp(text_or_empty(item, "version"), version))
			return item;
	return NULL;
}

int function_read(const json_t *version, struct function_object *out, uint8_t **bytes, size_t *size,
		  char why[OBJECT_WHY])
{
	auto_(freep) uint8_t *decoded = NULL;
	size_t length;
	int err = base64_decode(text_or_empty(version, "object"), &decoded, &length);

	if (err == -EINVAL)
		snprintf(why, OBJECT_WHY, "the object is not in base64");
	if (!err)
		err = object_read(decoded, length, 1, out, why);
	if (err || !bytes)
		return err;
	*bytes = take_ptr(decoded);
	*size = length;
	return 0;
}

static void digest_text(const json_t *version, char text[17])
{
	auto_(freep) uint8_t *bytes = NULL;
	size_t size = 0;
	uint64_t digest = 0;

	if (!base64_decode(text_or_empty(version, "object"), &bytes, &size))
		digest = hash_bytes(bytes, size, 0);
	snprintf(text, 17, "%016" PRIx64, digest);
}

// ---- the kind's rules

// A version that came without its object is the one that is there.
static int settle_object(struct change *change, json_t *version, size_t at)
{
	const char *name = text_or_empty(version, "version");
	const json_t *before = change->before ? function_version(change->before, name) : NULL;
	const char *given = text_in(version, "object");
	char field[48];

	snprintf(field, sizeof(field), "versions[%zu].object", at);
	if (!given && !before)
		return refuse(change->problem, 400, field, "%s is missing: there is no version %s",
			      field, name);
	if (given && before && strcmp(given, text_or_empty(before, "object")) != 0)
		return refuse(change->problem, 409, field,
			      "version %s is there with another object: push under a new name",
			      name);
	return given ? 0 : json_object_set(version, "object", json_object_get(before, "object"));
}

// A version stays at its place on the nodes; a new one has the place that is left.
static int settle_places(struct change *change)
{
	json_t *versions = json_object_get(change->after, "versions"), *version;
	json_int_t taken = 0, place;
	const json_t *before;
	size_t i;

	json_array_foreach (versions, i, version) {
		before = change->before ? function_version(change->before,
							   text_or_empty(version, "version"))
					: NULL;
		if (!before)
			continue;
		taken |= 1 << integer_in(before, "place");
		json_object_set(version, "place", json_object_get(before, "place"));
	}
	json_array_foreach (versions, i, version) {
		if (json_object_get(version, "place"))
			continue;
		for (place = 0; taken >> place & 1; place++)
			;
		taken |= 1 << place;
		if (json_object_set_new(version, "place", json_integer(place)))
			return -ENOMEM;
	}
	return 0;
}

static int check_versions(struct change *change, bool *every)
{
	json_t *version;
	struct function_object read;
	char field[48], why[OBJECT_WHY];
	size_t i, k;
	int err;

	*every = false;
	json_array_foreach (json_object_get(change->after, "versions"), i, version) {
		for (k = 0; k < i; k++)
			if (!strcmp(text_or_empty(version, "version"),
				    text_or_empty(
					    json_array_get(
						    json_object_get(change->after, "versions"), k),
					    "version")))
				return refuse(change->problem, 400, "versions",
					      "version %s is there twice",
					      text_or_empty(version, "version"));
		if ((err = settle_object(change, version, i)))
			return err;
		snprintf(field, sizeof(field), "versions[%zu].object", i);
		err = function_read(version, &read, NULL, NULL, why);
		if (err == -EINVAL)
			return refuse(change->problem, 400, field, "%s: version %s: %s", field,
				      text_or_empty(version, "version"), why);
		if (err)
			return err;
		*every = *every || read.every;
	}
	return settle_places(change);
}

// Functions that see every packet need a bit of each decision: they have the first slots.
static int settle_slot(struct change *change, bool every)
{
	const json_t *before = change->before ? json_object_get(change->before, "slot") : NULL;
	uint32_t first = every ? 0 : EVERY_FUNCTIONS, slot, tries;
	char what[OBJECT_ID + 32], text[16];
	struct holder holder;
	int err = -EEXIST;

	snprintf(what, sizeof(what), "function-slot:%s", text_in(change->after, "cluster"));
	if (before && every && json_integer_value(before) >= FUNCTION_FIRST_FREE + EVERY_FUNCTIONS)
		return refuse(change->problem, 409, "versions",
			      "the function sees first packets only, and this version sees every "
			      "packet: push it under another name");
	for (tries = 0; err == -EEXIST && tries < PUSHED_FUNCTIONS; tries++) {
		slot = before ? (uint32_t)json_integer_value(before)
			      : FUNCTION_FIRST_FREE + (first + tries) % PUSHED_FUNCTIONS;
		if (every && slot >= FUNCTION_FIRST_FREE + EVERY_FUNCTIONS)
			break;
		snprintf(text, sizeof(text), "%u", slot);
		err = store_claim(change->store, what, text, change->kind->name, change->id,
				  &holder);
	}
	if (err == -EEXIST)
		return refuse(change->problem, 409, NULL,
			      every ? "the cluster has %u functions that see every packet, there "
				      "can be no more"
				    : "the cluster has %u functions, there can be no more",
			      every ? EVERY_FUNCTIONS : PUSHED_FUNCTIONS);
	return err ? err : json_object_set_new(change->after, "slot", json_integer(slot));
}

struct rollout {
	struct change *change;
	const json_t *version;
	struct function_object read;
	char digest[17];
};

// What a node that is connected reported of the version; NULL: nothing.
static json_t *state_on(struct status *status, const char *node, json_int_t slot,
			const json_t *version, const char *digest)
{
	auto_(json_decrefp) json_t *states = status_functions(status, node);
	json_t *state;
	size_t i;

	json_array_foreach (states, i, state)
		if (integer_in(state, "slot") == slot &&
		    integer_in(state, "place") == integer_in(version, "place") &&
		    !strcmp(text_or_empty(state, "digest"), digest))
			return json_incref(state);
	return NULL;
}

// The last line says what is wrong; those before it how the verifier got there.
static void last_words(const char *log, char out[160])
{
	const char *at = log, *line = log, *end;

	for (; *at; at = *end ? end + 1 : end) {
		end = strchrnul(at, '\n');
		if (end > at && strncmp(at, "processed ", 10) != 0)
			line = at;
	}
	snprintf(out, 160, "%.*s", (int)strcspn(line, "\n"), line);
}

static int check_node(const struct object *node, void *arg)
{
	struct rollout *r = arg;
	struct change *change = r->change;
	auto_(json_decrefp) json_t *state = NULL;
	struct sighting sighting;
	char why[160];

	status_sighting(change->status, node->name, &sighting);
	if (!sighting.connected)
		return 0; // it loads before it serves
	state = state_on(change->status, node->name, integer_in(change->after, "slot"), r->version,
			 r->digest);
	if (!state)
		return refuse(change->problem, 409, "running",
			      "version %s has not come to node %s yet",
			      text_or_empty(r->version, "version"), node->name);
	if (json_is_true(json_object_get(state, "loaded")))
		return 0;
	last_words(text_or_empty(state, "why"), why);
	return refuse(change->problem, 409, "running", "node %s cannot load version %s: %s",
		      node->name, text_or_empty(r->version, "version"), why);
}

// chain: a VPC's or a service chain's list.
static const json_t *chain_entry(const json_t *chain, const char *function)
{
	json_t *entry;
	size_t i;

	json_array_foreach (chain, i, entry)
		if (!strcmp(text_or_empty(entry, "function"), function))
			return entry;
	return NULL;
}

// What chains tell the function must mean something to the version, too.
static int check_config(struct rollout *r, const char *kind, const struct object *owner,
			const json_t *chain)
{
	struct change *change = r->change;
	const json_t *entry = chain_entry(chain, text_or_empty(change->after, "name"));
	uint8_t bytes[ZETA_CONFIG_BYTES];
	char why[OBJECT_WHY];

	if (!config_bytes(&r->read, json_object_get(entry, "config"), bytes, why))
		return 0;
	return refuse(change->problem, 409, "running",
		      "version %s does not take the configuration of %s \"%s\": %s",
		      text_or_empty(r->version, "version"), kind, owner->name, why);
}

static int check_vpc(const struct object *vpc, void *arg)
{
	return check_config(arg, vpc_kind.one, vpc, json_object_get(vpc->body, "service_chain"));
}

static int check_later_chain(const struct object *chain, void *arg)
{
	return check_config(arg, service_chain_kind.one, chain,
			    json_object_get(chain->body, "functions"));
}

static int check_rollout(struct change *change)
{
	const char *running = text_in(change->after, "running");
	const char *before = change->before ? text_in(change->before, "running") : NULL;
	struct rollout r = {.change = change};
	char why[OBJECT_WHY];
	struct holder holder;
	int err;

	if (!running) {
		if (!before || store_referrer(change->store, "functions", change->id, &holder))
			return 0;
		return refuse(change->problem, 409, "running",
			      "the function is in the chain of %s \"%s\": one version must run",
			      model_kind(holder.kind)->one, holder.name);
	}
	r.version = function_version(change->after, running);
	if (!r.version)
		return refuse(change->problem, 409, "running",
			      "version %s runs: it is not among the versions", running);
	if (before && !strcmp(before, running))
		return 0;
	digest_text(r.version, r.digest);
	if ((err = function_read(r.version, &r.read, NULL, NULL, why)) ||
	    (err = store_list_referring(change->store, "nodes", "clusters",
					text_in(change->after, "cluster"), check_node, &r)))
		return err;
	err = store_list_referring(change->store, "vpcs", "functions", change->id, check_vpc, &r);
	return err ? err
		   : store_list_referring(change->store, "service-chains", "functions", change->id,
					  check_later_chain, &r);
}

static int complete(struct change *change)
{
	const char *name = text_or_empty(change->after, "name");
	bool every;
	int err;

	if (built_in_place(name) >= 0)
		return refuse(change->problem, 409, "name", "%s is a function of every cluster",
			      name);
	if (change->before && strcmp(name, text_or_empty(change->before, "name")) != 0)
		return refuse(change->problem, 409, "name",
			      "the name of a function cannot be changed: service chains have it");
	if ((err = check_versions(change, &every)) || (err = settle_slot(change, every)))
		return err;
	return check_rollout(change);
}

static int add_id(const struct object *vpc, void *arg)
{
	return json_array_append_new(arg, json_string(vpc->id));
}

static int add_vpc(const struct object *chain, void *arg)
{
	return json_array_append(arg, json_object_get(chain->body, "vpc"));
}

// Another version may decide otherwise about what begins now.
static int changed(struct change *change)
{
	auto_(json_decrefp) json_t *vpcs = json_array();
	json_t *id;
	size_t i;
	int err;

	if (!change->before || !change->after ||
	    json_equal(json_object_get(change->before, "running"),
		       json_object_get(change->after, "running")))
		return 0;
	if ((err = store_list_referring(change->store, "vpcs", "functions", change->id, add_id,
					vpcs)) ||
	    (err = store_list_referring(change->store, "service-chains", "functions", change->id,
					add_vpc, vpcs)))
		return err;
	json_array_foreach (vpcs, i, id)
		if ((err = vpc_policy_changed(change->store, json_string_value(id))))
			return err;
	return 0;
}

// ---- what is answered

static json_t *may_json(uint32_t may)
{
	static const char *const words[] = {"drop", "end", "remember", "hold", "mark", "ask"};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (may >> i & 1)
			json_array_append_new(list, json_string(words[i]));
	return list;
}

static int answer_version(json_t *version)
{
	struct function_object read;
	char why[OBJECT_WHY], digest[17];
	json_t *sees = json_array();
	int err = function_read(version, &read, NULL, NULL, why);

	if (err)
		return err;
	if (read.first)
		json_array_append_new(sees, json_string("first"));
	if (read.every)
		json_array_append_new(sees, json_string("every"));
	digest_text(version, digest);
	json_object_set_new(version, "object", json_null());
	json_object_set_new(version, "digest", json_string(digest));
	json_object_set_new(version, "sees", sees);
	json_object_set_new(version, "may", may_json(read.may));
	return json_object_set_new(version, "fields", config_fields(&read));
}

struct answering {
	struct model *model;
	json_t *body;
	json_t *nodes;
};

static int answer_node(const struct object *node, void *arg)
{
	struct answering *a = arg;
	json_t *states = json_object(), *version, *state;
	struct sighting sighting;
	size_t i;

	json_array_foreach (json_object_get(a->body, "versions"), i, version) {
		state = state_on(a->model->status, node->name, integer_in(a->body, "slot"), version,
				 text_or_empty(version, "digest"));
		if (!state)
			continue;
		json_object_set_new(states, text_or_empty(version, "version"), json_copy(state));
		json_decref(state);
		state = json_object_get(states, text_or_empty(version, "version"));
		json_object_del(state, "slot");
		json_object_del(state, "place");
		json_object_del(state, "digest");
	}
	status_sighting(a->model->status, node->name, &sighting);
	return json_array_append_new(a->nodes,
				     json_pack("{s:s, s:b, s:o}", "node", node->name, "connected",
					       sighting.connected, "versions", states));
}

static int answer(struct model *model, json_t *body)
{
	struct answering a = {model, body, json_array()};
	json_t *version, *versions = json_deep_copy(json_object_get(body, "versions"));
	size_t i;
	int err;

	// The body is a copy whose lists are the store's.
	if (json_object_set_new(body, "versions", versions) ||
	    json_object_set_new(body, "nodes", a.nodes))
		return -ENOMEM;
	json_array_foreach (versions, i, version)
		if ((err = answer_version(version)))
			return err;
	return store_list_referring(model->store, "nodes", "clusters",
				    text_or_empty(body, "cluster"), answer_node, &a);
}

const struct kind function_kind = {
	.name = "functions",
	.one = "function",
	.fields = fields,
	.complete = complete,
	.changed = changed,
	.answer = answer,
};

// ---- service chains

static int keep(const struct object *object, void *arg)
{
	*(json_t **)arg = json_incref(object->body);
	return 0;
}

json_t *function_named(struct store *store, const char *name)
{
	json_t *body = NULL;

	store_get_by_name(store, "functions", "", name, keep, &body);
	return body;
}

// Who may see every packet does so once, as one chain has told it. (Whoever has such a slot: its
// next version may.)
static int claim_every(struct change *change, const json_t *vpc, const json_t *function,
		       const char *field)
{
	char what[OBJECT_ID + 16];
	struct holder holder;
	int err;

	if (integer_in(function, "slot") >= FUNCTION_FIRST_FREE + EVERY_FUNCTIONS)
		return 0;
	snprintf(what, sizeof(what), "every:%s", text_or_empty(vpc, "id"));
	err = store_claim(change->store, what, text_or_empty(function, "id"), change->kind->name,
			  change->id, &holder);
	if (err != -EEXIST)
		return err;
	return refuse(
		change->problem, 409, field,
		"%s: function \"%s\" may see every packet, so it is once in a vpc, and is in the "
		"chain of %s \"%s\"",
		field, text_or_empty(function, "name"), model_kind(holder.kind)->one, holder.name);
}

// A function that was pushed: it is there, runs, and takes what it is told. vpc: whose chain it is.
static int settle_pushed(struct change *change, const json_t *vpc, const json_t *entry,
			 const char *field)
{
	const char *name = text_or_empty(entry, "function");
	auto_(json_decrefp) json_t *function = function_named(change->store, name);
	const char *running = function ? text_in(function, "running") : NULL;
	uint8_t bytes[ZETA_CONFIG_BYTES];
	struct function_object read;
	char why[OBJECT_WHY];
	int err;

	if (!function)
		return refuse(change->problem, 404, field, "%s: there is no function \"%s\"", field,
			      name);
	if (strcmp(text_or_empty(function, "cluster"), text_or_empty(vpc, "cluster")) != 0)
		return refuse(change->problem, 409, field,
			      "%s: function \"%s\" is of another cluster", field, name);
	if (transfer_phase(vpc))
		return refuse(change->problem, 409, field,
			      "%s: function \"%s\" is of one cluster, and the vpc goes to another",
			      field, name);
	if (!running)
		return refuse(change->problem, 409, field,
			      "%s: no version of function \"%s\" runs: roll one out first", field,
			      name);
	if ((err = function_read(function_version(function, running), &read, NULL, NULL, why)))
		return err;
	if (config_bytes(&read, json_object_get(entry, "config"), bytes, why))
		return refuse(change->problem, 400, field, "%s: configuration of %s: %s", field,
			      name, why);
	if ((err = claim_every(change, vpc, function, field)))
		return err;
	return store_refer(change->store, change->kind->name, change->id, "functions",
			   text_or_empty(function, "id"));
}

static int found(const struct object *object, void *arg)
{
	return 1;
}

// Which functions there must be, and what each needs to have run before it.
static int check_order(struct change *vpc, const int place[BUILT_IN])
{
	int has;

	for (size_t i = 0; i < BUILT_IN; i++) {
		if (place[i] >= 0)
			continue;
		has = !built_in[i].only_with ? 1
		      : built_in[i].own
			      ? store_list(vpc->store, built_in[i].only_with, vpc->id, found, NULL)
			      : store_list_referring(vpc->store, built_in[i].only_with,
						     vpc->kind->name, vpc->id, found, NULL);
		if (has < 0)
			return has;
		if (has)
			return refuse(vpc->problem, 409, "service_chain",
				      "service_chain needs %s: without it %s", built_in[i].name,
				      built_in[i].without);
	}
	for (size_t i = 0; i < BUILT_IN; i++) {
		for (size_t k = 0; k < AFTER && built_in[i].after[k].why; k++) {
			int before = built_in[i].after[k].place;

			if (place[i] >= 0 && place[i] < place[before])
				return refuse(vpc->problem, 409, "service_chain",
					      "service_chain has %s before %s: %s",
					      built_in[i].name, built_in[before].name,
					      built_in[i].after[k].why);
		}
	}
	return 0;
}

bool service_chain_has(const json_t *vpc, const char *function)
{
	return chain_entry(json_object_get(vpc, "service_chain"), function) != NULL;
}

// A function's place in a chain: once, and ours are told nothing. *which is built_in's, -1: pushed.
static int settle_place(struct change *change, const json_t *chain, size_t at, const char *field,
			int *which)
{
	const json_t *entry = json_array_get(chain, at);
	const char *name = text_or_empty(entry, "function");

	for (size_t k = 0; k < at; k++)
		if (!strcmp(text_or_empty(json_array_get(chain, k), "function"), name))
			return refuse(change->problem, 400, field, "%s: %s is there twice", field,
				      name);
	*which = built_in_place(name);
	if (*which >= 0 && json_is_object(json_object_get(entry, "config")))
		return refuse(change->problem, 400, field, "%s: %s takes no configuration", field,
			      name);
	return 0;
}

// What only says no may run again, where a function of the VPC's own chain had skipped it. What
// others follow from may not run after these.
static int check_later(struct change *change, int which, const char *field)
{
	for (size_t i = 0; which != ACL && which != SECURITY_GROUP && i < BUILT_IN; i++)
		for (size_t k = 0; k < AFTER && built_in[i].after[k].why; k++)
			if (built_in[i].after[k].place == which)
				return refuse(change->problem, 409, field,
					      "%s: %s cannot run after %s, which the vpc's own "
					      "chain has run before: %s",
					      field, built_in[which].name, built_in[i].name,
					      built_in[i].after[k].why);
	return 0;
}

int later_chain_settle(struct change *change, const json_t *vpc)
{
	const json_t *chain = json_object_get(change->after, "functions");
	json_t *entry;
	int which, err;
	char field[48];
	size_t i;

	json_array_foreach (chain, i, entry) {
		snprintf(field, sizeof(field), "functions[%zu].function", i);
		if ((err = settle_place(change, chain, i, field, &which)))
			return err;
		err = which < 0 ? settle_pushed(change, vpc, entry, field)
				: check_later(change, which, field);
		if (err)
			return err;
	}
	return 0;
}

int service_chain_settle(struct change *vpc)
{
	json_t *chain = json_object_get(vpc->after, "service_chain"), *entry;
	auto_(json_decrefp) json_t *names = json_array();
	int place[BUILT_IN], which, err;
	char field[48];
	size_t i;

	if (!json_is_array(chain))
		return 0;
	for (i = 0; i < BUILT_IN; i++)
		place[i] = -1;
	json_array_foreach (chain, i, entry) {
		const char *name = text_or_empty(entry, "function");

		snprintf(field, sizeof(field), "service_chain[%zu].function", i);
		if ((err = settle_place(vpc, chain, i, field, &which)))
			return err;
		if (which >= 0)
			place[which] = (int)i;
		else if ((err = settle_pushed(vpc, vpc->after, entry, field)))
			return err;
		if (json_array_append_new(names, json_string(name)))
			return -ENOMEM;
	}
	if ((err = check_order(vpc, place)))
		return err;
	return json_object_set(vpc->after, "functions", names);
}
