// SPDX-License-Identifier: Apache-2.0
// Views: stored beside their cluster, rewritten with it and with its nodes, never by clients.
#include "modules/chain/chain_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "lib/address.h"
#include "modules/chain/maglev.h"
#include "modules/chain/view.h"

// The cluster's nodes in order of index, and their ids.
struct members {
	size_t count;
	struct view_node node[MAX_NODES];
	char id[MAX_NODES][OBJECT_ID];
};

static int add_member(const struct object *node, void *arg)
{
	struct members *members = arg;
	json_t *role;
	size_t i;

	if (members->count == MAX_NODES)
		return -ENOMEM;
	members->node[members->count].index = node->number;
	json_array_foreach (json_object_get(node->body, "roles"), i, role) {
		members->node[members->count].roles |=
			strcmp(json_string_value(role), "fwd") ? ROLE_FTN : ROLE_FWD;
	}
	snprintf(members->id[members->count++], OBJECT_ID, "%s", node->id);
	return 0;
}

static uint32_t index_of(const struct members *members, const char *id)
{
	size_t i;

	for (i = 0; id && i < members->count; i++)
		if (!strcmp(members->id[i], id))
			return members->node[i].index;
	return 0;
}

static json_t *id_of(const struct members *members, uint32_t index)
{
	size_t i;

	for (i = 0; i < members->count; i++)
		if (members->node[i].index == index)
			return json_string(members->id[i]);
	return json_null();
}

// Reads what the next view keeps: the epoch and who owned which entrance.
static void read_view(const json_t *body, const struct members *members, struct view *view)
{
	struct view_entrance *entrance;
	json_t *item;
	size_t i;

	view->epoch = (uint32_t)integer_in(body, "epoch");
	json_array_foreach (json_object_get(body, "entrances"), i, item) {
		if (i == MAX_ENTRANCES)
			break;
		entrance = &view->entrance[view->entrances++];
		address_parse(text_in(item, "ip"), &entrance->ip);
		entrance->owner = index_of(members, text_in(item, "owner"));
	}
}

static json_t *write_entrances(const struct view *view, const struct members *members)
{
	auto_(json_decrefp) json_t *list = json_array();
	char ip[ADDRESS_TEXT], mac[ADDRESS_TEXT];
	const struct view_entrance *entrance;
	unsigned int i;

	for (i = 0; i < view->entrances; i++) {
		entrance = &view->entrance[i];
		if (json_array_append_new(list,
					  json_pack("{s:i, s:s, s:s, s:o}", "index", (int)i, "ip",
						    address_text(&entrance->ip, ip), "mac",
						    mac_text(entrance->mac, mac), "owner",
						    id_of(members, entrance->owner))))
			return NULL;
	}
	return take_ptr(list);
}

static json_t *write_chains(const struct view *view, const struct members *members)
{
	auto_(json_decrefp) json_t *list = json_array();
	const struct view_chain *chain;
	unsigned int i, k;
	json_t *replicas;

	for (i = 0; i < view->chains; i++) {
		chain = &view->chain[i];
		replicas = json_array();
		for (k = 0; k < chain->replicas; k++)
			json_array_append_new(replicas, id_of(members, chain->replica[k]));
		if (json_array_append_new(list,
					  json_pack("{s:i, s:i, s:o}", "number", (int)i, "term",
						    (int)chain->term, "replicas", replicas)))
			return NULL;
	}
	return take_ptr(list);
}

struct build {
	struct members members;
	struct view_cluster cluster;
	struct view before;
	struct view after;
	json_t *body; // of the view
};

static int read_cluster(const struct object *object, void *arg)
{
	struct build *build = arg;

	if (address_parse(text_in(object->body, "entrance_first"),
			  &build->cluster.entrance_first) ||
	    address_parse(text_in(object->body, "entrance_last"), &build->cluster.entrance_last))
		return -EIO;
	build->cluster.number = object->number;
	build->cluster.replicas = (unsigned int)integer_in(object->body, "replicas");
	build->cluster.chains = (unsigned int)integer_in(object->body, "chains");
	build->body = json_pack("{s:s, s:s, s:s}", "id", object->id, "name", object->name,
				"description", "");
	return build->body ? 0 : -ENOMEM;
}

static void free_build(struct build **build)
{
	if (*build)
		json_decref((*build)->body);
	free(*build);
}

int view_rewrite(struct store *store, const char *cluster)
{
	auto_(json_decrefp) json_t *before = store_body(store, "views", cluster);
	// Too big for the stack of a server's thread.
	auto_(free_build) struct build *build = calloc(1, sizeof(*build));
	int err;

	if (!build)
		return -ENOMEM;
	err = store_get(store, "clusters", cluster, read_cluster, build);
	if (err == -ENOENT)
		return store_remove(store, "views", cluster);
	if (err || (err = store_list_referring(store, "nodes", "clusters", cluster, add_member,
					       &build->members)))
		return err;
	if (before)
		read_view(before, &build->members, &build->before);
	view_build(&build->after, before ? &build->before : NULL, &build->cluster,
		   build->members.node, build->members.count);
	if (json_object_set_new(build->body, "epoch", json_integer(build->after.epoch)) ||
	    json_object_set_new(build->body, "entrances",
				write_entrances(&build->after, &build->members)) ||
	    json_object_set_new(build->body, "chains",
				write_chains(&build->after, &build->members)))
		return -ENOMEM;
	return store_put(store, "views", "", build->body, NULL);
}

static json_t *name_of(struct store *store, const json_t *id)
{
	auto_(json_decrefp) json_t *node =
		json_is_string(id) ? store_body(store, "nodes", json_string_value(id)) : NULL;

	return node ? json_incref(json_object_get(node, "name")) : json_null();
}

static json_t *name_entrances(struct store *store, const json_t *view)
{
	auto_(json_decrefp) json_t *list = json_array();
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(view, "entrances"), i, item) {
		if (json_array_append_new(
			    list, json_pack("{s:O, s:O, s:o}", "ip", json_object_get(item, "ip"),
					    "mac", json_object_get(item, "mac"), "owner",
					    name_of(store, json_object_get(item, "owner")))))
			return NULL;
	}
	return take_ptr(list);
}

json_t *view_entrances(struct store *store, const char *cluster)
{
	auto_(json_decrefp) json_t *view = store_body(store, "views", cluster);

	return view ? name_entrances(store, view) : NULL;
}

// How many buckets each chain has, in the same table that the nodes get.
static int count_buckets(const json_t *view, json_int_t buckets[MAX_CHAINS])
{
	const json_t *chains = json_object_get(view, "chains");
	size_t count = json_array_size(chains), i;
	auto_(freep) struct maglev_chain *all = calloc(count + 1, sizeof(*all));
	auto_(freep) char(*ids)[OBJECT_ID + 16] = calloc(count + 1, sizeof(*ids));
	auto_(freep) uint16_t *table = calloc(BUCKETS, sizeof(*table));
	json_int_t number;
	int err;

	if (!all || !ids || !table)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		number = integer_in(json_array_get(chains, i), "number");
		snprintf(ids[i], sizeof(*ids), "%s/%lld", text_in(view, "id"), (long long)number);
		all[i] = (struct maglev_chain){.id = ids[i], .number = (uint16_t)number};
	}
	if ((err = maglev_fill(table, all, count)))
		return err;
	for (i = 0; i < BUCKETS; i++)
		if (table[i])
			buckets[table[i] - 1]++;
	return 0;
}

static json_t *name_chain(struct store *store, const json_t *chain, json_int_t buckets)
{
	json_t *replicas = json_array(), *replica;
	size_t i;

	json_array_foreach (json_object_get(chain, "replicas"), i, replica) {
		json_array_append_new(replicas, name_of(store, replica));
	}
	return json_pack("{s:O, s:O, s:o, s:I}", "number", json_object_get(chain, "number"), "term",
			 json_object_get(chain, "term"), "replicas", replicas, "buckets", buckets);
}

static json_t *name_chains(struct store *store, const json_t *view)
{
	auto_(freep) json_int_t *buckets = calloc(MAX_CHAINS, sizeof(*buckets));
	auto_(json_decrefp) json_t *list = json_array();
	json_t *chain;
	size_t i;

	if (!buckets || count_buckets(view, buckets))
		return NULL;
	json_array_foreach (json_object_get(view, "chains"), i, chain) {
		if (json_array_append_new(
			    list, name_chain(store, chain, buckets[integer_in(chain, "number")])))
			return NULL;
	}
	return take_ptr(list);
}

// The stored view speaks of ids, for programs; people read names.
static int answer(struct model *model, json_t *body)
{
	if (json_object_set_new(body, "entrances", name_entrances(model->store, body)) ||
	    json_object_set_new(body, "chains", name_chains(model->store, body)))
		return -ENOMEM;
	return 0;
}

static const struct field fields[] = {{}};

const struct kind view_kind = {
	.name = "views",
	.one = "view",
	.fields = fields,
	.read_only = true,
	.answer = answer,
};
