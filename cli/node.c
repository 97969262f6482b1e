// SPDX-License-Identifier: Apache-2.0
// `zetactl node`: takes a gateway node out of use without anybody noticing, and puts it back.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/connect.h"
#include "lib/own.h"
#include "shared/config.h"

#define POLL_MS 200
#define LINE 256 // bytes of what is said while one waits

struct node {
	struct inventory inventory;
	json_t *object; // lent
	const char *name;
};

static int find(struct cli *cli, struct node *node)
{
	int err = controller_connect(cli, &node->inventory);

	if (err)
		return err;
	err = inventory_find(&node->inventory, kind_of_path("nodes"), cli->argv[0], NULL,
			     &node->object);
	if (err)
		return sorry(err, "%s", rest_message(node->inventory.rest));
	if (!node->object)
		return sorry(-ENOENT, "there is no node %s", cli->argv[0]);
	node->name = text_or_empty(node->object, "name");
	return 0;
}

static int call(struct node *node, const char *method, json_t *body)
{
	auto_(freep) char *path =
		rest_path(node->inventory.rest, "nodes", text_or_empty(node->object, "id"));
	int err = rest_call(node->inventory.rest, method, path, body, NULL);

	return err ? sorry(err, "node %s: %s", node->name, rest_message(node->inventory.rest)) : 0;
}

static int set_drain(struct node *node, int drain)
{
	auto_(json_decrefp) json_t *body = json_copy(node->object);

	// What the controller computes is not for us to say.
	json_object_del(body, "status");
	json_object_del(body, "revision");
	json_object_set_new(body, "drain", json_boolean(drain));
	return call(node, "PUT", body);
}

// What the node has in its cluster's view, lent by *view.
static int read_places(struct node *node, json_t **view, const json_t **places)
{
	auto_(freep) char *path =
		rest_path(node->inventory.rest, "views", text_or_empty(node->object, "cluster"));
	int err = rest_call(node->inventory.rest, "GET", path, NULL, view);
	json_t *item;
	size_t i;

	if (err)
		return sorry(err, "%s", rest_message(node->inventory.rest));
	json_array_foreach (json_object_get(*view, "nodes"), i, item) {
		if (!strcmp(text_or_empty(item, "name"), node->name)) {
			*places = item;
			return 0;
		}
	}
	json_decref(*view);
	*view = NULL;
	return sorry(-ENOENT, "node %s is gone", node->name);
}

// Says what is waited for, where that is not what was said last.
static void say(const struct node *node, char told[LINE], const char *text)
{
	if (!strcmp(text, told))
		return;
	snprintf(told, LINE, "%s", text);
	printf("node/%s %s\n", node->name, text);
	fflush(stdout);
}

// Returns 1 where the node has nothing any more, 0 where it has.
static int look(struct node *node, char told[LINE])
{
	auto_(json_decrefp) json_t *view = NULL;
	const json_t *places;
	char text[LINE];
	int err = read_places(node, &view, &places);

	if (err)
		return err;
	if (!json_is_true(json_object_get(places, "drain")))
		return sorry(-ECANCELED, "node %s is not drained any more", node->name);
	if (!integer_in(places, "entrances") && !integer_in(places, "votes") &&
	    !integer_in(places, "holds"))
		return 1;
	snprintf(text, sizeof(text),
		 "%lld entrances, votes in %lld chains, has the sessions of %lld",
		 (long long)integer_in(places, "entrances"), (long long)integer_in(places, "votes"),
		 (long long)integer_in(places, "holds"));
	say(node, told, text);
	return 0;
}

// Whether entrances of the view are to be the node's.
static int owns(const json_t *view, const char *name)
{
	const json_t *entrance;
	size_t i;

	json_array_foreach (json_object_get(view, "entrances"), i, entrance) {
		if (!strcmp(text_or_empty(entrance, "owner"), name))
			return 1;
	}
	return 0;
}

// Whether another node of the cluster hears it, by what the controller was told.
static int is_heard(const json_t *view, const char *name)
{
	const json_t *node, *heard;
	size_t i, k;

	json_array_foreach (json_object_get(view, "nodes"), i, node) {
		json_array_foreach (json_object_get(node, "hears"), k, heard) {
			if (json_is_string(heard) && !strcmp(json_string_value(heard), name))
				return 1;
		}
	}
	return 0;
}

// Whether a node of the cluster has yet to hear of this revision. Who cannot do what it is told is
// not waited for; who is away only where others take it for the owner of an entrance, which nobody
// would serve.
static int lags(const struct node *node, const json_t *view, const json_t *other,
		json_int_t revision)
{
	const json_t *status = json_object_get(other, "status");

	return !strcmp(text_or_empty(other, "cluster"), text_or_empty(node->object, "cluster")) &&
	       (json_is_true(json_object_get(status, "connected")) ||
		(owns(view, text_or_empty(other, "name")) &&
		 is_heard(view, text_or_empty(other, "name")))) &&
	       !*text_or_empty(status, "error") && integer_in(status, "revision") < revision;
}

// Returns 1 where all nodes know what was true at this revision, 0 where not; *revision 0: it is
// that of now.
static int all_know(struct node *node, json_int_t *revision, char told[LINE])
{
	char text[LINE] = "has nothing; not told yet:";
	const size_t first = strlen(text);
	size_t length = first;
	auto_(freep) char *path = rest_path(node->inventory.rest, "nodes", NULL);
	auto_(json_decrefp) json_t *list = NULL, *view = NULL;
	int err = rest_call(node->inventory.rest, "GET", path, NULL, &list);
	const json_t *places;
	json_t *item;
	size_t i;

	if (err)
		return sorry(err, "%s", rest_message(node->inventory.rest));
	if ((err = read_places(node, &view, &places)))
		return err;
	if (!*revision)
		*revision = integer_in(list, "revision");
	json_array_foreach (json_object_get(list, "items"), i, item) {
		if (lags(node, view, item, *revision) && length < sizeof(text))
			length += (size_t)snprintf(text + length, sizeof(text) - length, " %s",
						   text_or_empty(item, "name"));
	}
	if (length == first)
		return 1;
	say(node, told, text);
	return 0;
}

static int drain(struct cli *cli, struct node *node)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	const struct timespec handover = {.tv_sec = 2 * HANDOVER_MS / 1000};
	json_int_t revision = 0;
	char told[LINE] = "";
	int state = set_drain(node, 1);

	if (state || cli->no_wait)
		return state;
	while (!(state = look(node, told)))
		nanosleep(&pause, NULL);
	if (state < 0)
		return state;
	// The view says so; it is true when all nodes know.
	while (!(state = all_know(node, &revision, told)))
		nanosleep(&pause, NULL);
	if (state < 0)
		return state;
	// What still reaches it, until the last host has heard of its entrances' new owners, it
	// serves. (They may be others' at the first look already.)
	nanosleep(&handover, NULL);
	return 0;
}

// Ends every command: says what was done, gives everything back.
static int leave(struct node *node, int err, const char *outcome)
{
	if (!err)
		printf("node/%s %s\n", node->name, outcome);
	controller_leave(&node->inventory);
	return err ? FAILED : DONE;
}

int command_node_drain(struct cli *cli)
{
	struct node node = {};
	int err = find(cli, &node);

	return leave(&node, err ? err : drain(cli, &node), cli->no_wait ? "leaves" : "drained");
}

int command_node_undrain(struct cli *cli)
{
	struct node node = {};
	int err = find(cli, &node);

	return leave(&node, err ? err : set_drain(&node, 0), "in use");
}

int command_node_delete(struct cli *cli)
{
	struct node node = {};
	int err = find(cli, &node);

	// One that is gone for long has nothing that could be moved off it.
	if (!err &&
	    json_is_true(json_object_get(json_object_get(node.object, "status"), "connected")))
		err = drain(cli, &node);
	return leave(&node, err ? err : call(&node, "DELETE", NULL), "deleted");
}
