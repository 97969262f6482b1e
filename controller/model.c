// SPDX-License-Identifier: Apache-2.0
// Carries a checked object into the store: references, claims, consequences.
#include "controller/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define DESCRIPTION_MAX 1024

const struct kind *const model_kinds[] = {&tenant_kind,
					  &cluster_kind,
					  &node_kind,
					  &host_kind,
					  &vpc_kind,
					  &subnet_kind,
					  &port_kind,
					  &route_table_kind,
					  &security_group_kind,
					  &network_acl_kind,
					  &load_balancer_kind,
					  &nat_kind,
					  &peering_kind,
					  &view_kind,
					  &function_kind,
					  &service_chain_kind,
					  NULL};

// revision in a replacement is a guard: it must be the one that is replaced.
static const struct field common_fields[] = {
	{.name = "id", .type = FIELD_WORD},
	{.name = "name", .type = FIELD_WORD},
	{.name = "description", .type = FIELD_TEXT, .max = DESCRIPTION_MAX, .fallback = "\"\""},
	{.name = "revision", .type = FIELD_INTEGER, .min = 1, .max = INT64_MAX},
	{}};

const struct kind *model_kind(const char *name)
{
	const struct kind *const *kind;

	for (kind = model_kinds; *kind; kind++)
		if (!strcmp((*kind)->name, name))
			return *kind;
	return NULL;
}

static const char *one_of(const char *kind)
{
	const struct kind *found = model_kind(kind);

	return found ? found->one : kind;
}

static int random_id(char id[OBJECT_ID])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (uint8_t)((b[6] & 0x0F) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
	snprintf(id, OBJECT_ID,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	return 0;
}

struct found {
	json_t *body;
	uint32_t number;
	int count;
};

static int keep(const struct object *object, void *arg)
{
	struct found *found = arg;

	json_decref(found->body);
	found->body = json_incref(object->body);
	found->number = object->number;
	found->count++;
	return 0;
}

struct named {
	const char *name;
	struct found found;
};

static int keep_named(const struct object *object, void *arg)
{
	struct named *named = arg;

	return strcmp(object->name, named->name) ? 0 : keep(object, &named->found);
}

// Finds by id, then by name. *found is empty on entry and, where it fails, empty again.
static int look_up(struct store *store, const struct kind *kind, const char *vpc, const char *ref,
		   struct problem *problem, struct found *found)
{
	struct named named = {.name = ref};
	int err;

	if (!field_is_word(ref))
		return refuse(problem, 404, NULL, "there is no %s of such a name", kind->one);
	err = store_get(store, kind->name, ref, keep, found);
	if (err != -ENOENT)
		return err;
	if (!kind->in_vpc || vpc) {
		err = store_get_by_name(store, kind->name, kind->in_vpc ? vpc : "", ref, keep,
					found);
		if (err != -ENOENT)
			return err;
	} else {
		err = store_list(store, kind->name, NULL, keep_named, &named);
		if (!err && named.found.count == 1) {
			*found = named.found;
			return 0;
		}
		json_decref(named.found.body);
		if (err)
			return err;
		if (named.found.count > 1)
			return refuse(problem, 409, "vpc",
				      "%d of the %s are named \"%s\": say which with ?vpc=",
				      named.found.count, kind->name, ref);
	}
	return refuse(problem, 404, NULL, "there is no %s \"%s\"", kind->one, ref);
}

int model_find(struct model *model, const struct kind *kind, const char *vpc, const char *ref,
	       struct problem *problem, json_t **out)
{
	struct found found = {};
	int err = look_up(model->store, kind, vpc, ref, problem, &found);

	if (err)
		return err;
	if (vpc && kind->in_vpc && strcmp(text_in(found.body, "vpc"), vpc)) {
		json_decref(found.body);
		return refuse(problem, 404, NULL, "there is no %s \"%s\" in this vpc", kind->one,
			      ref);
	}
	*out = found.body;
	return 0;
}

int change_claim(struct change *change, const char *field, const char *what, const char *scope,
		 const char *value)
{
	char key[OBJECT_ID + 32];
	struct holder holder;
	int err;

	snprintf(key, sizeof(key), "%s%s%s", what, scope ? ":" : "", scope ? scope : "");
	err = store_claim(change->store, key, value, change->kind->name, change->id, &holder);
	if (err == -EEXIST)
		return refuse(change->problem, 409, field, "%s %s is used by %s \"%s\"", field,
			      value, one_of(holder.kind), holder.name);
	return err;
}

static json_t *resolve(const struct field *field, const char *path, const char *text, void *arg)
{
	struct change *change = arg;
	const struct kind *kind = model_kind(field->kind);
	const char *vpc = kind->in_vpc ? text_in(change->after, "vpc") : NULL;
	struct problem nowhere = {};
	struct found found = {};
	json_t *id;

	// A security group may name itself before it exists.
	if (kind == change->kind &&
	    (!strcmp(text, change->id) || !strcmp(text, text_in(change->after, "name"))))
		return json_string(change->id);
	if (look_up(change->store, kind, vpc, text, &nowhere, &found)) {
		if (nowhere.status)
			refuse(change->problem, 404, path,
			       "%s refers to %s \"%s\", which does not exist%s", path, kind->one,
			       text, vpc ? " in this vpc" : "");
		return NULL;
	}
	if (vpc && strcmp(text_in(found.body, "vpc"), vpc)) {
		refuse(change->problem, 409, path,
		       "%s refers to %s \"%s\", which is of another vpc", path, kind->one, text);
		json_decref(found.body);
		return NULL;
	}
	id = json_copy(json_object_get(found.body, "id"));
	json_decref(found.body);
	return id;
}

static json_t *refer(const struct field *field, const char *path, const char *text, void *arg)
{
	struct change *change = arg;

	if (store_refer(change->store, change->kind->name, change->id, field->kind, text))
		return NULL;
	return json_string(text);
}

// Of a stored body, which may be from before there was such a field: a new reference.
static json_t *stored_field(const struct field *field, const json_t *body)
{
	json_t *value = json_object_get(body, field->name);

	return value ? json_incref(value) : field_fallback(field);
}

static int check_fixed(struct change *change)
{
	const struct field *field;

	for (field = change->kind->fields; change->before && field->name; field++) {
		auto_(json_decrefp) json_t *before = stored_field(field, change->before);

		if (field->fixed &&
		    !json_equal(before, json_object_get(change->after, field->name)))
			return refuse(change->problem, 409, field->name,
				      "%s of a %s cannot be changed", field->name,
				      change->kind->one);
	}
	return 0;
}

static bool is_unchanged(const struct change *change)
{
	auto_(json_decrefp) json_t *before = NULL;

	if (!change->before)
		return false;
	before = json_copy((json_t *)change->before);
	json_object_del(before, "revision");
	return json_equal(before, change->after);
}

static bool is_same_extra(struct change *change, const json_t *extra)
{
	auto_(json_decrefp) json_t *before =
		store_extra(change->store, change->kind->name, change->id);

	return before && extra ? json_equal(before, extra) : before == extra;
}

// From a checked body to the store. change->after has id, name, description and the kind's fields.
static int put(struct change *change, const json_t *extra)
{
	const struct kind *kind = change->kind;
	const char *name = text_in(change->after, "name");
	char scope[OBJECT_ID] = "";
	struct found same = {};
	bool taken;
	int err;

	if ((err = field_references(kind->fields, change->after, "", resolve, change)))
		return err;
	if (kind->in_vpc)
		snprintf(scope, sizeof(scope), "%s", text_in(change->after, "vpc"));
	err = store_get_by_name(change->store, kind->name, scope, name, keep, &same);
	taken = !err && strcmp(text_in(same.body, "id"), change->id);
	json_decref(same.body);
	if (taken)
		return refuse(change->problem, 409, "name", "there is a %s named \"%s\" already",
			      kind->one, name);
	if (err && err != -ENOENT)
		return err;
	if ((err = store_release(change->store, kind->name, change->id)) ||
	    (kind->complete && (err = kind->complete(change))) || (err = check_fixed(change)) ||
	    (err = field_references(kind->fields, change->after, "", refer, change)))
		return err;
	if (is_unchanged(change) && is_same_extra(change, extra))
		return json_object_set(change->after, "revision",
				       json_object_get(change->before, "revision"));
	if ((err = store_put(change->store, kind->name, scope, change->after, extra)))
		return err;
	return kind->changed ? kind->changed(change) : 0;
}

// Splits what came into what every kind has and the kind's own, checks both, joins them in order.
static json_t *check(const struct kind *kind, const json_t *given, struct problem *problem)
{
	auto_(json_decrefp) json_t *own = json_copy((json_t *)given);
	auto_(json_decrefp) json_t *common = json_object();
	auto_(json_decrefp) json_t *after = NULL, *checked = NULL;
	const struct field *field;
	json_t *value;

	if (!json_is_object(given)) {
		refuse(problem, 400, "body", "body must be an object");
		return NULL;
	}
	for (field = common_fields; field->name; field++) {
		value = json_object_get(own, field->name);
		if (!value)
			continue;
		json_object_set(common, field->name, value);
		json_object_del(own, field->name);
	}
	after = field_check(common_fields, common, "", problem);
	checked = after ? field_check(kind->fields, own, "", problem) : NULL;
	if (!checked || json_object_update(after, checked))
		return NULL;
	return take_ptr(after);
}

static int check_limit(struct store *store, const struct kind *kind, struct problem *problem)
{
	uint64_t count;

	if (!kind->limit)
		return 0;
	if (store_count(store, kind->name, &count))
		return -EIO;
	if (count >= kind->limit)
		return refuse(problem, 409, NULL, "there are %llu %s already, there can be no more",
			      (unsigned long long)count, kind->name);
	return 0;
}

int model_create(struct model *model, const struct kind *kind, const json_t *given,
		 const json_t *extra, struct problem *problem, json_t **out)
{
	auto_(json_decrefp) json_t *after = check(kind, given, problem);
	struct change change = {
		.store = model->store, .status = model->status, .problem = problem, .kind = kind};
	char id[OBJECT_ID];
	struct found same = {};
	int err;

	if (!after)
		return problem->status ? -EINVAL : -ENOMEM;
	if (!json_is_null(json_object_get(after, "revision")))
		return refuse(problem, 400, "revision", "revision is given by the controller");
	json_object_del(after, "revision");
	if (text_in(after, "id"))
		snprintf(id, sizeof(id), "%s", text_in(after, "id"));
	else if ((err = random_id(id)) || (err = json_object_set_new(after, "id", json_string(id))))
		return err;
	if (!text_in(after, "name"))
		json_object_set_new(after, "name", json_string(id));
	err = store_get(model->store, kind->name, id, keep, &same);
	json_decref(same.body);
	if (!err)
		return refuse(problem, 409, "id", "there is a %s \"%s\" already", kind->one, id);
	if (err != -ENOENT || (err = check_limit(model->store, kind, problem)) ||
	    (err = store_next_number(model->store, kind->name, &change.number)))
		return err;
	change.id = id;
	change.after = after;
	if ((err = put(&change, extra)))
		return err;
	*out = take_ptr(after);
	return 0;
}

int model_replace(struct model *model, const struct kind *kind, const char *id, const json_t *given,
		  const json_t *extra, struct problem *problem, json_t **out)
{
	auto_(json_decrefp) json_t *after = check(kind, given, problem);
	auto_(json_decrefp) json_t *before = NULL;
	struct change change = {.store = model->store,
				.status = model->status,
				.problem = problem,
				.kind = kind,
				.id = id};
	struct found found = {};
	const json_t *guard;
	int err;

	if (!after)
		return problem->status ? -EINVAL : -ENOMEM;
	err = store_get(model->store, kind->name, id, keep, &found);
	before = found.body;
	if (err == -ENOENT)
		return refuse(problem, 404, NULL, "there is no %s \"%s\"", kind->one, id);
	if (err)
		return err;
	guard = json_object_get(after, "revision");
	if (!json_is_null(guard) && !json_equal(guard, json_object_get(before, "revision")))
		return refuse(problem, 409, "revision", "%s \"%s\" is at revision %lld by now",
			      kind->one, id, (long long)integer_in(before, "revision"));
	json_object_del(after, "revision");
	if (text_in(after, "id") && strcmp(text_in(after, "id"), id))
		return refuse(problem, 400, "id", "id must be \"%s\" as in the path", id);
	json_object_set_new(after, "id", json_string(id));
	if (!text_in(after, "name"))
		json_object_set(after, "name", json_object_get(before, "name"));
	change.number = found.number;
	change.before = before;
	change.after = after;
	if ((err = put(&change, extra)))
		return err;
	*out = take_ptr(after);
	return 0;
}

int model_remove(struct model *model, const struct kind *kind, const char *id,
		 struct problem *problem)
{
	auto_(json_decrefp) json_t *before = NULL;
	struct change change = {.store = model->store,
				.status = model->status,
				.problem = problem,
				.kind = kind,
				.id = id};
	struct found found = {};
	struct holder holder;
	int err = store_get(model->store, kind->name, id, keep, &found);

	before = found.body;
	if (err == -ENOENT)
		return refuse(problem, 404, NULL, "there is no %s \"%s\"", kind->one, id);
	if (err)
		return err;
	err = store_referrer(model->store, kind->name, id, &holder);
	if (!err)
		return refuse(problem, 409, NULL, "%s \"%s\" is referred to by %s \"%s\"",
			      kind->one, text_in(before, "name"), one_of(holder.kind), holder.name);
	if (err != -ENOENT || (err = store_remove(model->store, kind->name, id)))
		return err;
	change.number = found.number;
	change.before = before;
	return kind->changed ? kind->changed(&change) : 0;
}

json_t *model_answer(struct model *model, const struct kind *kind, const json_t *body)
{
	auto_(json_decrefp) json_t *answer = json_copy((json_t *)body);

	if (!answer || (kind->answer && kind->answer(model, answer)))
		return NULL;
	return take_ptr(answer);
}

int answer_status(struct model *model, json_t *body)
{
	return json_object_set_new(body, "status",
				   status_get(model->status, text_in(body, "name")));
}
