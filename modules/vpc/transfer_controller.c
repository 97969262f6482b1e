// SPDX-License-Identifier: Apache-2.0
// One phase after the other, each of which is over when nobody is waited for any more.
#include "modules/vpc/transfer_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"
#include "modules/cluster/cluster_controller.h"
#include "modules/host/host_controller.h"
#include "shared/limits.h"

#define CLAIM "moving" // by the VPC: both of its clusters

static const char *const phases[] = {
	[TRANSFER_PREPARE] = "prepare", [TRANSFER_HAND_OVER] = "hand-over",
	[TRANSFER_TURN] = "turn",	[TRANSFER_REST] = "rest",
	[TRANSFER_CLEAR] = "clear",
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))

enum transfer_phase transfer_phase(const json_t *vpc)
{
	const char *phase = text_or_empty(json_object_get(vpc, "move"), "phase");
	size_t i;

	for (i = TRANSFER_PREPARE; i < PHASES; i++)
		if (!strcmp(phases[i], phase))
			return (enum transfer_phase)i;
	return TRANSFER_NONE;
}

// A clock that goes on while the controller does not run; after the machine has, it begins anew.
static json_int_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---- whether it may begin

static int claim(struct change *change, const char *cluster)
{
	auto_(json_decrefp) json_t *body = NULL;
	struct holder holder;
	int err = store_claim(change->store, CLAIM, cluster, "vpcs", change->id, &holder);

	if (err != -EEXIST)
		return err;
	body = store_body(change->store, "clusters", cluster);
	return refuse(change->problem, 409, "cluster",
		      "cluster \"%s\" takes part in the move of vpc \"%s\": one after the other",
		      text_or_empty(body, "name"), holder.name);
}

static int check_chains(struct change *change, const json_t *cluster)
{
	auto_(json_decrefp) json_t *view =
		store_body(change->store, "views", text_in(cluster, "id"));
	const json_t *chains = json_object_get(view, "chains");
	const json_t *spread = json_object_get(view, "spread");
	size_t i;

	if (json_is_true(json_object_get(spread, "moving")) ||
	    integer_in(spread, "chains") != (json_int_t)json_array_size(chains))
		return refuse(change->problem, 409, "cluster",
			      "cluster \"%s\" changes its number of chains: not before it has",
			      text_in(cluster, "name"));
	for (i = 0; i < json_array_size(chains); i++)
		if (!integer_in(json_array_get(chains, i), "founded"))
			break;
	if (i && i == json_array_size(chains))
		return 0;
	return refuse(change->problem, 409, "cluster", "cluster \"%s\" has no chains that work yet",
		      text_in(cluster, "name"));
}

struct addresses {
	struct change *change;
	json_t *seen; // address: name of the node
};

static int differs(const struct object *node, void *arg)
{
	struct addresses *a = arg;
	const char *ip = text_in(json_object_get(node->body, "zgc"), "ip");
	const char *other = text_in(a->seen, ip);

	if (other)
		return refuse(a->change->problem, 409, "cluster",
			      "nodes \"%s\" and \"%s\" of the two clusters both have %s on their "
			      "cluster networks, which must reach each other",
			      other, node->name, ip);
	return json_object_set_new(a->seen, ip, json_string(node->name));
}

static int check_addresses(struct change *change, const char *from, const char *to)
{
	auto_(json_decrefp) json_t *seen = json_object();
	struct addresses a = {change, seen};
	int err = store_list_referring(change->store, "nodes", "clusters", from, differs, &a);

	return err ? err
		   : store_list_referring(change->store, "nodes", "clusters", to, differs, &a);
}

static int has_address(const struct object *node, void *arg)
{
	const struct change *change = arg;
	const json_t *zgc = json_object_get(change->after, "zgc");

	if (!json_equal(json_object_get(json_object_get(node->body, "zgc"), "ip"),
			json_object_get(zgc, "ip")))
		return 0;
	return refuse(change->problem, 409, "zgc.ip",
		      "zgc.ip %s is node \"%s\"'s, of a cluster that a vpc goes to or from: not "
		      "before it is there",
		      text_in(zgc, "ip"), node->name);
}

int transfer_admits_node(struct change *change)
{
	const char *cluster = text_in(change->after, "cluster"), *from, *to;
	auto_(json_decrefp) json_t *vpc = NULL;
	struct holder holder;
	int err = store_holder(change->store, CLAIM, cluster, &holder);

	if (err)
		return err == -ENOENT ? 0 : err;
	vpc = store_body(change->store, "vpcs", holder.id);
	from = text_in(json_object_get(vpc, "move"), "from");
	to = text_in(vpc, "cluster");
	if (!from || !to)
		return -EIO;
	return store_list_referring(change->store, "nodes", "clusters",
				    strcmp(from, cluster) ? from : to, has_address, change);
}

static int is_ready(const struct object *port, void *arg)
{
	struct change *change = arg;
	auto_(json_decrefp) json_t *host =
		store_body(change->store, "hosts", text_in(port->body, "host"));
	const char *lacks;

	if (!host)
		return -EIO;
	lacks = host_lacks(host, change->after);
	if (lacks) {
		auto_(json_decrefp) json_t *cluster = store_body(change->store, "clusters", lacks);

		return refuse(change->problem, 409, "cluster",
			      "host \"%s\" carries port \"%s\", and does not have cluster \"%s\" "
			      "in other_clusters",
			      text_in(host, "name"), port->name, text_or_empty(cluster, "name"));
	}
	if (!host_is_told(host))
		return refuse(change->problem, 409, "cluster",
			      "host \"%s\" carries port \"%s\", and its agent is told of no move",
			      text_in(host, "name"), port->name);
	return 0;
}

static int is_nat(const struct object *nat, void *arg)
{
	struct change *change = arg;

	return refuse(change->problem, 409, "cluster",
		      "nat \"%s\" is of one cluster: the vpc does not move while it has it",
		      nat->name);
}

static int is_service_chain(const struct object *chain, void *arg)
{
	struct change *change = arg;

	return refuse(
		change->problem, 409, "cluster",
		"service chain \"%s\" is of one cluster: the vpc does not move while it has it",
		chain->name);
}

static int is_peering(const struct object *peering, void *arg)
{
	struct change *change = arg;

	return refuse(
		change->problem, 409, "cluster",
		"peering \"%s\" is within one cluster: the vpc does not move while it is there",
		peering->name);
}

static int begin(struct change *change)
{
	const char *from_id = text_in(change->before, "cluster");
	const char *to_id = text_in(change->after, "cluster");
	auto_(json_decrefp) json_t *from = store_body(change->store, "clusters", from_id);
	auto_(json_decrefp) json_t *to = store_body(change->store, "clusters", to_id);
	int err;

	if (!from || !to)
		return -EIO;
	if (transfer_phase(change->before))
		return refuse(
			change->problem, 409, "cluster",
			"the vpc moves from another cluster to \"%s\": not before it is there",
			text_in(from, "name"));
	if ((err = store_list_referring(change->store, "peerings", "vpcs", change->id, is_peering,
					change)) ||
	    (err = clusters_agree(change->problem, "cluster", from, to)) ||
	    (err = check_chains(change, from)) || (err = check_chains(change, to)) ||
	    (err = check_addresses(change, from_id, to_id)) ||
	    (err = store_list_referring(change->store, "nats", "vpcs", change->id, is_nat,
					change)) ||
	    (err = store_list(change->store, "service-chains", change->id, is_service_chain,
			      change)) ||
	    (err = store_list_referring(change->store, "ports", "vpcs", change->id, is_ready,
					change)))
		return err;
	return json_object_set_new(change->after, "move",
				   json_pack("{s:s, s:I, s:s, s:I}", "from", from_id, "number",
					     (json_int_t)store_next_revision(change->store),
					     "phase", phases[TRANSFER_PREPARE], "since_ms",
					     now_ms()));
}

// Nobody has begun, and nobody but the old cluster was asked about it.
static bool is_cancelled(const struct change *change)
{
	return transfer_phase(change->before) == TRANSFER_PREPARE &&
	       !strcmp(text_in(json_object_get(change->before, "move"), "from"),
		       text_in(change->after, "cluster"));
}

int transfer_complete(struct change *change)
{
	json_t *move = json_object_get(change->before, "move");
	int err;

	if (is_cancelled(change))
		return json_object_set(change->after, "move", json_null());
	err = json_object_set(change->after, "move", move ?: json_null());
	if (!err && change->before &&
	    strcmp(text_in(change->before, "cluster"), text_in(change->after, "cluster")))
		err = begin(change);
	if (err || !transfer_phase(change->after))
		return err;
	move = json_object_get(change->after, "move");
	err = claim(change, text_in(change->after, "cluster"));
	return err ? err : claim(change, text_in(move, "from"));
}

int transfer_changed(struct change *change)
{
	if (!change->after)
		return transfer_phase(change->before)
			       ? refuse(change->problem, 409, NULL,
					"the vpc moves to another cluster: not before it is there")
			       : 0;
	if (!transfer_phase(change->after))
		return 0;
	return store_refer(change->store, "vpcs", change->id, "clusters",
			   text_in(json_object_get(change->after, "move"), "from"));
}

// ---- how far it is

struct waiting {
	struct store *store;
	struct status *status;
	const json_t *vpc;
	json_t *names; // who is waited for
	json_t *hosts; // that were looked at
	uint32_t number;
	bool swept;	 // the old cluster's nodes shall have nothing left
	json_int_t left; // places that are not handed over yet
};

static int wait_for(struct waiting *w, const char *name)
{
	return json_array_append_new(w->names, json_string(name));
}

// Who could not apply it, or lives without a daemon, would act as if there were no move.
static int has_heard(const struct object *member, void *arg)
{
	struct waiting *w = arg;
	auto_(json_decrefp) json_t *report = NULL;
	struct sighting s;

	status_sighting(w->status, member->name, &s);
	if (s.connected && s.boot && !s.failing &&
	    s.revision >= (uint64_t)integer_in(w->vpc, "revision") &&
	    (!w->swept || s.swept == w->number))
		return 0;
	if (!s.connected || !s.failing)
		return wait_for(w, member->name);
	report = status_get(w->status, member->name);
	return json_array_append_new(
		w->names, json_sprintf("%s: %s", member->name, text_or_empty(report, "error")));
}

static int carrier_has_heard(const struct object *port, void *arg)
{
	struct waiting *w = arg;
	const char *id = text_in(port->body, "host"), *name;
	auto_(json_decrefp) json_t *body = store_body(w->store, "hosts", id);

	name = text_in(body, "name");
	if (!name)
		return -EIO;
	if (json_object_get(w->hosts, id))
		return 0;
	if (json_object_set_new(w->hosts, id, json_true()))
		return -ENOMEM;
	return has_heard(&(struct object){.name = name}, w);
}

struct newest {
	struct status *status;
	uint32_t move;	// which, as the transfer's number
	json_t *chains; // number: {term, live, done, left}
};

static json_t *indices(const json_t *names)
{
	json_t *list = json_array(), *name;
	size_t i;

	json_array_foreach (names, i, name)
		json_array_append(list, json_object_get(name, "node"));
	return list;
}

// Of each chain the newest term that anybody reports, who is in its list, and whether its head has
// handed all over.
static int note_chains(const struct object *node, void *arg)
{
	const struct newest *newest = arg;
	auto_(json_decrefp) json_t *chains = status_chains(newest->status, node->name);
	json_t *chain, *known;
	char number[16];
	size_t i;

	json_array_foreach (chains, i, chain) {
		const json_int_t term =
			integer_in(chain, "epoch") << 32 | integer_in(chain, "term");
		const bool heard = integer_in(chain, "move") == newest->move;
		const json_int_t left = heard ? integer_in(chain, "to_move") : 0;

		snprintf(number, sizeof(number), "%lld", (long long)integer_in(chain, "number"));
		known = json_object_get(newest->chains, number);
		if (known && (integer_in(known, "term") > term ||
			      (integer_in(known, "term") == term && (!heard || left))))
			continue;
		if (json_object_set_new(newest->chains, number,
					json_pack("{s:I, s:o, s:b, s:I}", "term", term, "live",
						  indices(json_object_get(chain, "live")), "done",
						  heard && !left, "left", left)))
			return -ENOMEM;
	}
	return 0;
}

static int read_chains(struct store *store, struct status *status, const char *cluster,
		       uint32_t move, json_t **out)
{
	struct newest newest = {status, move, json_object()};

	*out = newest.chains;
	if (!newest.chains)
		return -ENOMEM;
	return store_list_referring(store, "nodes", "clusters", cluster, note_chains, &newest);
}

static int chains_are_done(struct waiting *w, const char *cluster)
{
	auto_(json_decrefp) json_t *view = store_body(w->store, "views", cluster);
	auto_(json_decrefp) json_t *newest = NULL;
	json_t *chain, *known;
	char text[32];
	size_t i;
	int err = read_chains(w->store, w->status, cluster, w->number, &newest);

	json_array_foreach (json_object_get(view, "chains"), i, chain) {
		snprintf(text, sizeof(text), "%lld", (long long)integer_in(chain, "number"));
		known = json_object_get(newest, text);
		if (json_is_true(json_object_get(known, "done")))
			continue;
		w->left += integer_in(known, "left");
		snprintf(text, sizeof(text), "chain %lld", (long long)integer_in(chain, "number"));
		if (!err)
			err = wait_for(w, text);
	}
	return err;
}

static bool is_at_rest(const json_t *move)
{
	return now_ms() - integer_in(move, "since_ms") >= REFRESH_MS + PACKET_LIFE_MS;
}

// Fills names with who, or what, the phase waits for; *left, which may be NULL: how much.
static int look(struct store *store, struct status *status, const json_t *vpc, json_t *names,
		json_int_t *left)
{
	const json_t *move = json_object_get(vpc, "move");
	const char *from = text_in(move, "from");
	const enum transfer_phase phase = transfer_phase(vpc);
	auto_(json_decrefp) json_t *hosts = json_object();
	struct waiting w = {.store = store,
			    .status = status,
			    .vpc = vpc,
			    .names = names,
			    .hosts = hosts,
			    .number = (uint32_t)integer_in(move, "number")};
	int err;

	if (phase == TRANSFER_REST)
		return is_at_rest(move) ? 0 : wait_for(&w, "what is still cached");
	if ((err = store_list_referring(store, "nodes", "clusters", text_in(vpc, "cluster"),
					has_heard, &w)))
		return err;
	w.swept = phase == TRANSFER_CLEAR;
	if ((err = store_list_referring(store, "nodes", "clusters", from, has_heard, &w)))
		return err;
	if (phase == TRANSFER_TURN)
		return store_list_referring(store, "ports", "vpcs", text_in(vpc, "id"),
					    carrier_has_heard, &w);
	err = phase == TRANSFER_HAND_OVER ? chains_are_done(&w, from) : 0;
	if (left)
		*left = w.left;
	return err;
}

int transfer_answer(struct model *model, json_t *body)
{
	json_t *move = json_object_get(body, "move"), *names;
	int err;

	if (!transfer_phase(body))
		return 0;
	move = json_copy(move);
	names = json_array();
	err = look(model->store, model->status, body, names, NULL);
	json_object_del(move, "since_ms");
	json_object_del(move, "lists");
	if (json_object_set_new(move, "waiting", names) || json_object_set_new(body, "move", move))
		return -ENOMEM;
	return err;
}

bool transfer_waits(struct store *store, struct status *status, const char *cluster,
		    struct transfer_wait *out)
{
	auto_(json_decrefp) json_t *names = json_array(), *vpc = NULL;
	struct holder holder;
	json_int_t left = 0;
	size_t used = 0, i;
	json_t *name;

	if (!names || store_holder(store, CLAIM, cluster, &holder))
		return false;
	vpc = store_body(store, "vpcs", holder.id);
	if (strcmp(text_or_empty(vpc, "cluster"), cluster) ||
	    look(store, status, vpc, names, &left) || !json_array_size(names))
		return false;
	*out = (struct transfer_wait){
		.mark = (json_int_t)transfer_phase(vpc) << 48 |
			(json_int_t)json_array_size(names) << 32 | left,
		.phase = phases[transfer_phase(vpc)],
	};
	snprintf(out->vpc, sizeof(out->vpc), "%s", text_or_empty(vpc, "name"));
	json_array_foreach (names, i, name)
		if (used < sizeof(out->names))
			used += (size_t)snprintf(out->names + used, sizeof(out->names) - used,
						 "%s%s", i ? ", " : "", json_string_value(name));
	return true;
}

// ---- going on

static int add_id(const char *value, const char *kind, const char *id, void *arg)
{
	return json_object_set_new(arg, id, json_true());
}

int transfer_holds(struct store *store, const char *cluster, bool *holds)
{
	struct holder holder;
	int err = store_holder(store, CLAIM, cluster, &holder);

	*holds = !err;
	return err == -ENOENT ? 0 : err;
}

int transfer_list(struct store *store, object_fn fn, void *arg)
{
	auto_(json_decrefp) json_t *ids = json_object();
	const char *id;
	json_t *unused;
	int err;

	if (!ids)
		return -ENOMEM;
	err = store_claims(store, CLAIM, add_id, ids);
	json_object_foreach (ids, id, unused)
		if (!err)
			err = store_get(store, "vpcs", id, fn, arg);
	return err;
}

static int keep(const struct object *object, void *arg)
{
	return json_array_append(arg, object->body);
}

// It holds nothing of the old cluster any more.
static int end(struct store *store, const json_t *vpc)
{
	const char *id = text_in(vpc, "id"), *tenant = text_in(vpc, "tenant");
	struct holder holder;
	char vni[24];
	int err;

	snprintf(vni, sizeof(vni), "%lld", (long long)integer_in(vpc, "vni"));
	if ((err = store_release(store, "vpcs", id)) ||
	    (err = store_claim(store, "vni", vni, "vpcs", id, &holder)) ||
	    (tenant && (err = store_refer(store, "vpcs", id, "tenants", tenant))))
		return err;
	return store_refer(store, "vpcs", id, "clusters", text_in(vpc, "cluster"));
}

// Who is in the chains of one of the clusters by now, as far as anybody has said: the other's nodes
// are told (M8). What nobody reports any more stays as it was.
static int note_lists(struct store *store, struct status *status, const char *cluster,
		      json_t *lists)
{
	auto_(json_decrefp) json_t *newest = NULL;
	json_t *list = json_object_get(lists, cluster), *chain, *live;
	const char *number;
	int err;

	if ((err = read_chains(store, status, cluster, 0, &newest)))
		return err;
	if (!list && json_object_set_new(lists, cluster, list = json_object()))
		return -ENOMEM;
	json_object_foreach (newest, number, chain) {
		live = json_object_get(chain, "live");
		if (json_array_size(live) && json_object_set(list, number, live))
			return -ENOMEM;
	}
	return 0;
}

// What is to be remembered of a move whose phase goes on.
static int stay(struct store *store, struct status *status, json_t *vpc)
{
	json_t *move = json_object_get(vpc, "move"), *lists = json_object_get(move, "lists");
	const enum transfer_phase phase = transfer_phase(vpc);
	int err;

	// The machine started anew since.
	if (phase == TRANSFER_REST && integer_in(move, "since_ms") > now_ms() &&
	    json_object_set_new(move, "since_ms", json_integer(now_ms())))
		return -ENOMEM;
	if (phase == TRANSFER_CLEAR)
		return 0;
	if (!lists && json_object_set_new(move, "lists", lists = json_object()))
		return -ENOMEM;
	err = note_lists(store, status, text_in(move, "from"), lists);
	return err ?: note_lists(store, status, text_in(vpc, "cluster"), lists);
}

static int go_on(struct store *store, struct status *status, const json_t *vpc)
{
	auto_(json_decrefp) json_t *names = json_array(), *after = json_deep_copy(vpc);
	auto_(json_decrefp) json_t *extra = store_extra(store, "vpcs", text_in(vpc, "id"));
	const enum transfer_phase next = transfer_phase(vpc) + 1;
	json_t *move = json_object_get(after, "move");
	int err;

	if (!names || !after)
		return -ENOMEM;
	if ((err = look(store, status, vpc, names, NULL)))
		return err;
	if (json_array_size(names)) {
		if ((err = stay(store, status, after)) || json_equal(vpc, after))
			return err;
	} else if (next == PHASES) {
		log_info("vpc %s has moved", text_in(vpc, "name"));
		if ((err = json_object_set(after, "move", json_null())) || (err = end(store, vpc)))
			return err;
	} else {
		log_info("vpc %s moves: %s", text_in(vpc, "name"), phases[next]);
		if (json_object_set_new(move, "phase", json_string(phases[next])) ||
		    json_object_set_new(move, "since_ms", json_integer(now_ms())))
			return -ENOMEM;
	}
	return store_put(store, "vpcs", "", after, extra);
}

int transfer_watch(struct store *store, struct status *status)
{
	auto_(json_decrefp) json_t *vpcs = json_array();
	json_t *vpc;
	size_t i;
	int err;

	if (!vpcs)
		return -ENOMEM;
	err = transfer_list(store, keep, vpcs);
	json_array_foreach (vpcs, i, vpc)
		if (!err)
			err = go_on(store, status, vpc);
	return err;
}
