// SPDX-License-Identifier: Apache-2.0
// Views: stored beside their cluster, rewritten with it, with its nodes, and when nodes come, go or
// report that something is done; never by clients.
#include "modules/chain/chain_controller.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/address.h"
#include "lib/log.h"
#include "modules/chain/buckets.h"
#include "modules/chain/view.h"
#include "modules/vpc/transfer_controller.h"
#include "modules/health/health_controller.h"
#include "modules/nat/nat_controller.h"
#include "wire/beat.h"

// Nodes report every second. One whose stream is open, that says nothing for so long, and that no
// other node hears, is not there: TCP takes longer to notice. Where most say nothing it may be
// ours that was away, and they wait to be read.
#define SILENT_MS 1500
#define MOST_SILENT_MS 3000
// Whom others hear serves without its daemon, which starts again or another version of it: so long
// nothing is copied for that.
#define RESTART_MS 30000
#define LOADING_MS 60000 // a node that is connected may take so long to load its programs
#define REPAIR_AFTER_S 5 // of a cluster that does not say
#define HEARTBEAT_MS 10	 // as above
#define STUCK_MS                                                                                   \
	10000 // nothing was copied to a learner, or nobody took up new voters, for so long,
	      // or a node that is here got no further with what it is told

// Alarms are known by these.
#define ALARM_KEY 160
#define NEEDS_FORCE "chain-needs-force"
#define NODE_BEHIND "node-behind"

// The cluster's nodes in order of index.
struct members {
	size_t count;
	struct view_node node[MAX_NODES];
	struct sighting sighting[MAX_NODES];
	bool lacks[MAX_NODES]; // what it needs of the view that is, though it is here
	char id[MAX_NODES][OBJECT_ID];
	char name[MAX_NODES][OBJECT_ID];
};

// What is known of a chain, beyond what its next view follows from.
struct progress {
	uint32_t leased; // bits of the newest term's path: those hold a lease
	uint64_t copied; // to the learner, as its tail counts
	uint64_t to_copy;
};

struct build {
	struct status *status;
	struct members members;
	struct view_cluster cluster;
	char id[OBJECT_ID], name[OBJECT_ID]; // of the cluster
	unsigned int leaving;		     // buckets of the move that is under way
	json_int_t repair_after_s, heartbeat_ms;
	bool has_before;
	struct view before;
	struct view after;
	struct view_report report[MAX_CHAINS];
	struct progress progress[MAX_CHAINS];
	json_t *body; // of the view
};

static void build_freep(struct build **build)
{
	if (*build)
		json_decref((*build)->body);
	free(*build);
}

// ---- reading: nodes, the view that is, reports

static int add_member(const struct object *object, void *arg)
{
	struct build *build = arg;
	struct members *members = &build->members;
	struct view_node *node = &members->node[members->count];
	json_t *role;
	size_t i;

	if (members->count == MAX_NODES)
		return -ENOMEM;
	*node = (struct view_node){.index = object->number};
	json_array_foreach (json_object_get(object->body, "roles"), i, role) {
		node->roles |= strcmp(json_string_value(role), "fwd") ? ROLE_FTN : ROLE_FWD;
	}
	node->drain = json_is_true(json_object_get(object->body, "drain"));
	status_sighting(build->status, object->name, &members->sighting[members->count]);
	node->boot = members->sighting[members->count].boot;
	node->cleared = members->sighting[members->count].cleared;
	snprintf(members->id[members->count], OBJECT_ID, "%s", object->id);
	snprintf(members->name[members->count++], OBJECT_ID, "%s", object->name);
	return 0;
}

// The place among the members of a node's index; -1: there is none.
static int place_of(const struct members *members, uint32_t index)
{
	const struct view_node *node = view_node_find(members->node, members->count, index);

	return node ? (int)(node - members->node) : -1;
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
	int place = place_of(members, index);

	return place < 0 ? json_null() : json_string(members->id[place]);
}

// People read names. Of a node that was taken out there is none any more.
static json_t *name_of(const struct members *members, uint32_t index)
{
	int place = place_of(members, index);

	return place < 0 ? json_sprintf("node-%u", index) : json_string(members->name[place]);
}

// How long a node has to say nothing until that means something.
static uint64_t silence_of(const struct members *members)
{
	size_t connected = 0, silent = 0, n;

	for (n = 0; n < members->count; n++) {
		const struct sighting *s = &members->sighting[n];

		connected += !s->missing_ms;
		silent += !s->missing_ms && s->silent_ms > SILENT_MS;
	}
	return silent * 2 < connected ? SILENT_MS : MOST_SILENT_MS;
}

// Who is heard by others that report themselves, and who is not.
static void find_heard(const struct build *build, uint64_t silence_ms, bool *heard, bool *unheard)
{
	const struct members *members = &build->members;
	json_t *peer;
	size_t n, i;
	int place;

	for (n = 0; n < members->count; n++) {
		auto_(json_decrefp) json_t *peers = NULL;

		if (members->sighting[n].silent_ms > silence_ms)
			continue;
		peers = status_peers(build->status, members->name[n]);
		json_array_foreach (peers, i, peer) {
			place = place_of(members, (uint32_t)integer_in(peer, "node"));
			if (place >= 0)
				(json_is_true(json_object_get(peer, "alive")) ? heard
									      : unheard)[place] =
					true;
		}
	}
}

static void find_presence(struct build *build)
{
	const uint64_t silence_ms = silence_of(&build->members);
	struct members *members = &build->members;
	bool heard[MAX_NODES] = {}, unheard[MAX_NODES] = {};
	size_t n;

	find_heard(build, silence_ms, heard, unheard);
	for (n = 0; n < members->count; n++) {
		const struct sighting *s = &members->sighting[n];
		uint64_t patience_ms = (uint64_t)build->repair_after_s * 1000;
		uint64_t missing_ms = s->missing_ms;

		if (!missing_ms && s->silent_ms > silence_ms && unheard[n] && !heard[n])
			missing_ms = s->silent_ms;
		else if (s->connected && !s->boot && patience_ms < LOADING_MS)
			patience_ms = LOADING_MS;
		else if (heard[n] && patience_ms < RESTART_MS)
			patience_ms = RESTART_MS;
		members->node[n].presence = !missing_ms		       ? PRESENCE_HERE
					    : missing_ms < patience_ms ? PRESENCE_AWAITED
								       : PRESENCE_GONE;
	}
}

static struct view_name read_name(const json_t *name)
{
	return (struct view_name){(uint32_t)integer_in(name, "node"),
				  (uint32_t)integer_in(name, "boot")};
}

static void read_chain(const json_t *item, struct view_chain *chain)
{
	json_t *voter;
	size_t i;

	chain->epoch = (uint32_t)integer_in(item, "epoch");
	chain->founded = (uint32_t)integer_in(item, "founded");
	chain->forced = (uint32_t)integer_in(item, "forced");
	chain->forced_s = (uint32_t)integer_in(item, "forced_s");
	json_array_foreach (json_object_get(item, "voters"), i, voter) {
		if (chain->voters < MAX_VOTERS)
			chain->voter[chain->voters++] = read_name(voter);
	}
	chain->replicas = (unsigned int)integer_in(item, "replicas");
	if (chain->replicas > chain->voters)
		chain->replicas = chain->voters;
}

// A view that says nothing of it is of a former controller: all of its chains have buckets.
static void read_spread(const json_t *view, struct view_spread *out)
{
	const json_t *spread = json_object_get(view, "spread");

	out->chains = (unsigned int)integer_in(spread, "chains")
			      ?: (unsigned int)json_array_size(json_object_get(view, "chains"));
	out->before = (unsigned int)integer_in(spread, "before");
	out->move = (uint32_t)integer_in(spread, "move");
	out->moving = json_is_true(json_object_get(spread, "moving"));
}

static void read_view(const json_t *body, const struct members *members, struct view *view)
{
	struct view_entrance *entrance;
	json_t *item;
	size_t i;

	read_spread(body, &view->spread);
	view->epoch = (uint32_t)integer_in(body, "epoch");
	json_array_foreach (json_object_get(body, "entrances"), i, item) {
		if (i == MAX_ENTRANCES)
			break;
		entrance = &view->entrance[view->entrances++];
		address_parse(text_in(item, "ip"), &entrance->ip);
		entrance->owner = index_of(members, text_in(item, "owner"));
	}
	json_array_foreach (json_object_get(body, "chains"), i, item) {
		if (i == MAX_CHAINS)
			break;
		read_chain(item, &view->chain[view->chains++]);
	}
}

static int voter_place(const struct view_chain *chain, struct view_name name)
{
	unsigned int i;

	for (i = 0; i < chain->voters; i++)
		if (chain->voter[i].node == name.node && chain->voter[i].boot == name.boot)
			return (int)i;
	return -1;
}

static int path_place(const struct view_report *report, struct view_name name)
{
	unsigned int i;

	for (i = 0; i < report->live + report->learner; i++)
		if (report->path[i].node == name.node && report->path[i].boot == name.boot)
			return (int)i;
	return -1;
}

static bool is_newer(const json_t *state, const struct view_report *report)
{
	json_int_t epoch = integer_in(state, "epoch"), term = integer_in(state, "term");

	return epoch > report->epoch || (epoch == report->epoch && term > report->term);
}

static void read_path(const json_t *state, struct view_report *report)
{
	const json_t *learner = json_object_get(state, "learner");
	json_t *name;
	size_t i;

	report->epoch = (uint32_t)integer_in(state, "epoch");
	report->term = (uint32_t)integer_in(state, "term");
	report->live = 0;
	json_array_foreach (json_object_get(state, "live"), i, name) {
		if (report->live < MAX_CHAIN_LENGTH)
			report->path[report->live++] = read_name(name);
	}
	report->voters = 0;
	json_array_foreach (json_object_get(state, "voters"), i, name) {
		if (report->voters < MAX_VOTERS)
			report->voter[report->voters++] = read_name(name);
	}
	report->learner = json_is_object(learner);
	if (report->learner)
		report->path[report->live] = read_name(learner);
}

// What one node says of one chain. Twice for each: first who knows the newest term, then of that
// term who may act.
static void read_state(struct build *build, struct view_name self, const json_t *state, bool first)
{
	json_int_t number = integer_in(state, "number");
	struct view_report *report;
	struct progress *progress;
	struct view_chain *chain;
	int place;

	if (number < 0 || number >= build->before.chains)
		return;
	chain = &build->before.chain[number];
	report = &build->report[number];
	progress = &build->progress[number];
	if (first) {
		place = voter_place(chain, self);
		if (place >= 0) {
			report->heard |= 1u << place;
			if (integer_in(state, "voters_epoch") == chain->epoch)
				report->settled |= 1u << place;
		}
		if (is_newer(state, report))
			read_path(state, report);
		return;
	}
	place = path_place(report, self);
	if (place < 0 || integer_in(state, "epoch") != report->epoch ||
	    integer_in(state, "term") != report->term)
		return;
	if (json_is_true(json_object_get(state, "leased")))
		progress->leased |= 1u << place;
	// What is wholly the new chain's stays so, whoever is head then.
	if (place == 0 && build->before.spread.move == (uint32_t)integer_in(state, "move"))
		report->left = (unsigned int)integer_in(state, "to_move");
	if (place == (int)report->live - 1) {
		progress->copied = (uint64_t)integer_in(state, "copied");
		progress->to_copy = (uint64_t)integer_in(state, "to_copy");
	}
}

static void read_reports(struct build *build)
{
	struct members *members = &build->members;
	json_t *state;
	size_t n, i;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		for (n = 0; n < members->count; n++) {
			auto_(json_decrefp) json_t *chains = NULL;

			if (members->node[n].presence != PRESENCE_HERE)
				continue;
			chains = status_chains(build->status, members->name[n]);
			json_array_foreach (chains, i, state) {
				read_state(build,
					   (struct view_name){members->node[n].index,
							      members->node[n].boot},
					   state, pass == 0);
			}
		}
	}
}

static void alarm_key(char key[ALARM_KEY], const char *what, int chain, uint32_t node,
		      const char *of)
{
	snprintf(key, ALARM_KEY, "%s/%d/%u%s%s", what, chain, node, *of ? "/" : "", of);
}

// M6, by force: whether for the time of a ballot and of two guards this was the last hope, so that
// all leases have ended and what was proposed is decided or dead; and whether all who are here have
// said since what they know: a late accept may have removed who was to keep everything.
static void find_ripe(struct build *build)
{
	const uint64_t wait_ms = (uint64_t)build->heartbeat_ms * (BALLOT_BEATS + 2 * GUARD_BEATS);
	const struct members *members = &build->members;
	uint64_t last_ms = 0;
	unsigned int i;
	char key[ALARM_KEY];
	size_t n;

	for (n = 0; n < members->count; n++)
		if (members->node[n].presence == PRESENCE_HERE &&
		    members->sighting[n].silent_ms > last_ms)
			last_ms = members->sighting[n].silent_ms;
	for (i = 0; i < build->before.chains; i++) {
		alarm_key(key, NEEDS_FORCE, (int)i, 0, "");
		build->report[i].ripe =
			status_raised_ms(build->status, build->id, key) > wait_ms + last_ms;
	}
}

// Until its head says otherwise, nothing has left a chain.
static int count_leaving(struct build *build, const json_t *before)
{
	auto_(freep) uint16_t *table = calloc(2, BUCKETS * sizeof(*table));
	uint16_t *from = table ? table + BUCKETS : NULL;
	size_t i;
	int err;

	if (!build->before.spread.moving)
		return 0;
	if (!table)
		return -ENOMEM;
	if ((err = view_buckets(before, table)) || (err = view_origins(before, table, from)))
		return err;
	for (i = 0; i < BUCKETS; i++) {
		if (!from[i])
			continue;
		build->report[from[i] - 1].left++;
		build->leaving++;
	}
	return 0;
}

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
	build->repair_after_s = integer_in(object->body, "repair_after_s") ?: REPAIR_AFTER_S;
	build->heartbeat_ms = integer_in(object->body, "heartbeat_ms") ?: HEARTBEAT_MS;
	snprintf(build->id, sizeof(build->id), "%s", object->id);
	snprintf(build->name, sizeof(build->name), "%s", object->name);
	return 0;
}

// Who has yet to hear of the view that is. Who cannot do what it is told is not waited for, nor who
// does not get on with it: what is planned meanwhile costs flows that are new to a forwarder a
// packet, and no more.
static void find_behind(struct build *build, uint64_t revision)
{
	struct members *members = &build->members;
	char key[ALARM_KEY];
	size_t n;

	for (n = 0; n < members->count; n++) {
		struct view_node *node = &members->node[n];

		members->lacks[n] =
			node->presence == PRESENCE_HERE && members->sighting[n].revision < revision;
		alarm_key(key, NODE_BEHIND, -1, node->index, "");
		node->behind = members->lacks[n] && !members->sighting[n].failing &&
			       status_raised_ms(build->status, build->id, key) < STUCK_MS;
	}
}

// Everything that the next view follows from. Returns 0; -ENOENT: no such cluster; -EIO; -ENOMEM.
static int gather(struct store *store, struct status *status, const char *cluster,
		  struct build **out)
{
	auto_(json_decrefp) json_t *before = store_body(store, "views", cluster);
	// Too big for the stack of a server's thread.
	auto_(build_freep) struct build *build = calloc(1, sizeof(*build));
	int err;

	if (!build)
		return -ENOMEM;
	build->status = status;
	if ((err = store_get(store, "clusters", cluster, read_cluster, build)) ||
	    (err = store_list_referring(store, "nodes", "clusters", cluster, add_member, build)) ||
	    (err = transfer_holds(store, cluster, &build->cluster.held)))
		return err;
	find_presence(build);
	if (before) {
		build->has_before = true;
		find_behind(build, (uint64_t)integer_in(before, "revision"));
		read_view(before, &build->members, &build->before);
		if ((err = count_leaving(build, before)))
			return err;
		read_reports(build);
		find_ripe(build);
	}
	*out = take_ptr(build);
	return 0;
}

// ---- writing

static json_t *write_preference(const struct build *build, unsigned int entrance)
{
	const struct members *members = &build->members;
	auto_(freep) uint32_t *order = calloc(MAX_NODES, sizeof(*order));
	auto_(json_decrefp) json_t *list = json_array();
	unsigned int i, count;

	if (!order)
		return NULL;
	count = view_preference(&build->after, entrance, members->node, members->count, order);
	for (i = 0; i < count; i++)
		if (json_array_append_new(list, id_of(members, order[i])))
			return NULL;
	return take_ptr(list);
}

static json_t *write_entrances(const struct build *build)
{
	auto_(json_decrefp) json_t *list = json_array();
	char ip[ADDRESS_TEXT], mac[ADDRESS_TEXT];
	const struct view_entrance *entrance;
	unsigned int i;

	for (i = 0; i < build->after.entrances; i++) {
		entrance = &build->after.entrance[i];
		if (json_array_append_new(list,
					  json_pack("{s:i, s:s, s:s, s:o, s:o}", "index", (int)i,
						    "ip", address_text(&entrance->ip, ip), "mac",
						    mac_text(entrance->mac, mac), "owner",
						    id_of(&build->members, entrance->owner),
						    "preference", write_preference(build, i))))
			return NULL;
	}
	return take_ptr(list);
}

static json_t *write_chains(const struct view *view)
{
	auto_(json_decrefp) json_t *list = json_array();
	const struct view_chain *chain;
	unsigned int i, k;
	json_t *voters;

	for (i = 0; i < view->chains; i++) {
		chain = &view->chain[i];
		voters = json_array();
		for (k = 0; k < chain->voters; k++)
			json_array_append_new(voters,
					      json_pack("{s:I, s:I}", "node",
							(json_int_t)chain->voter[k].node, "boot",
							(json_int_t)chain->voter[k].boot));
		if (json_array_append_new(list,
					  json_pack("{s:i, s:I, s:I, s:I, s:I, s:i, s:o}", "number",
						    (int)i, "epoch", (json_int_t)chain->epoch,
						    "founded", (json_int_t)chain->founded, "forced",
						    (json_int_t)chain->forced, "forced_s",
						    (json_int_t)chain->forced_s, "replicas",
						    (int)chain->replicas, "voters", voters)))
			return NULL;
	}
	return take_ptr(list);
}

static json_t *write_spread(const struct view_spread *spread)
{
	return json_pack("{s:i, s:i, s:I, s:b}", "chains", (int)spread->chains, "before",
			 (int)spread->before, "move", (json_int_t)spread->move, "moving",
			 spread->moving);
}

static void log_spread(const struct build *build)
{
	const struct view_spread *before = &build->before.spread, *after = &build->after.spread;

	if (after->move != before->move)
		log_info("cluster %s: buckets move from %u chains to %u, move %u", build->name,
			 after->before, after->chains, after->move);
	else if (before->moving && !after->moving)
		log_info("cluster %s: move %u is over", build->name, after->move);
	if (build->after.chains < build->before.chains)
		log_info("cluster %s: chains from %u on are taken away", build->name,
			 build->after.chains);
}

static void note_changes(struct build *build)
{
	const struct view_chain *before;
	struct view_chain *after;
	unsigned int i;

	log_spread(build);
	for (i = 0; i < build->after.chains; i++) {
		before = &build->before.chain[i];
		after = &build->after.chain[i];
		if (after->epoch == before->epoch)
			continue;
		if (after->forced != before->forced)
			after->forced_s = (uint32_t)time(NULL);
		if (after->forced != before->forced && after->founded == before->founded)
			log_warnx("cluster %s: chain %u begins anew by force, with what %u nodes "
				  "have, epoch %u",
				  build->name, i, after->replicas, after->epoch);
		else if (after->founded == before->founded)
			log_info("cluster %s: chain %u gets other voters, epoch %u", build->name, i,
				 after->epoch);
		else if (!before->founded)
			log_info("cluster %s: chain %u is founded", build->name, i);
		else
			log_warnx("cluster %s: chain %u begins anew: nobody has its sessions",
				  build->name, i);
	}
}

static int store_next(struct store *store, struct build *build)
{
	auto_(json_decrefp) json_t *before = store_body(store, "views", build->id);
	auto_(json_decrefp) json_t *entrances = NULL, *chains = NULL, *spread = NULL;

	view_build(&build->after, build->has_before ? &build->before : NULL, &build->cluster,
		   build->members.node, build->members.count, build->report);
	note_changes(build);
	entrances = write_entrances(build);
	chains = write_chains(&build->after);
	spread = write_spread(&build->after.spread);
	if (!entrances || !chains || !spread)
		return -ENOMEM;
	if (json_equal(json_object_get(before, "entrances"), entrances) &&
	    json_equal(json_object_get(before, "chains"), chains) &&
	    json_equal(json_object_get(before, "spread"), spread) &&
	    !strcmp(text_or_empty(before, "name"), build->name))
		return 0;
	build->body =
		json_pack("{s:s, s:s, s:s, s:I, s:O, s:O, s:O}", "id", build->id, "name",
			  build->name, "description", "", "epoch", (json_int_t)build->after.epoch,
			  "entrances", entrances, "chains", chains, "spread", spread);
	if (!build->body)
		return -ENOMEM;
	return store_put(store, "views", "", build->body, NULL);
}

static int rewrite(struct store *store, struct status *status, const char *cluster,
		   struct build **out)
{
	int err = gather(store, status, cluster, out);

	if (err != -ENOENT)
		return err ? err : store_next(store, *out);
	err = store_remove(store, "views", cluster);
	return err == -ENOENT ? 0 : err;
}

int view_rewrite(struct store *store, struct status *status, const char *cluster)
{
	auto_(build_freep) struct build *build = NULL;

	return rewrite(store, status, cluster, &build);
}

// ---- alarms

enum severity { WARNING, CRITICAL };

struct alarm {
	enum severity severity;
	const char *what;
	int chain;	     // -1: of none
	uint32_t node;	     // index, 0: of none
	const char *of;	     // what else tells it from others; NULL: nothing
	json_int_t mark;     // an alarm with another one is another alarm
	json_int_t patience; // ms
};

static void raise(const struct build *build, json_t *list, struct alarm alarm, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));

static void raise(const struct build *build, json_t *list, struct alarm alarm, const char *format,
		  ...)
{
	char key[ALARM_KEY], message[256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	alarm_key(key, alarm.what, alarm.chain, alarm.node, alarm.of ?: "");
	json_array_append_new(
		list,
		json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:I, s:I}", "key", key, "severity",
			  alarm.severity == CRITICAL ? "critical" : "warning", "what", alarm.what,
			  "chain", alarm.chain < 0 ? json_null() : json_integer(alarm.chain),
			  "node", alarm.node ? name_of(&build->members, alarm.node) : json_null(),
			  "message", message, "mark", alarm.mark, "patience_ms", alarm.patience));
}

static const char *member_name(const struct build *build, uint32_t index)
{
	int place = place_of(&build->members, index);

	return place < 0 ? "a node that was taken out" : build->members.name[place];
}

static void alarms_of_nodes(const struct build *build, json_t *list)
{
	const struct members *members = &build->members;
	size_t n;

	for (n = 0; n < members->count; n++)
		if (members->node[n].presence == PRESENCE_GONE)
			raise(build, list,
			      (struct alarm){.what = "node-gone",
					     .chain = -1,
					     .node = members->node[n].index},
			      "node %s is not connected for more than %lld s", members->name[n],
			      (long long)build->repair_after_s);
}

// How far it has got is the mark: who gets on is only slow.
static void alarms_of_behind(const struct build *build, json_t *list)
{
	const struct members *members = &build->members;
	size_t n;

	for (n = 0; n < members->count; n++)
		if (members->lacks[n])
			raise(build, list,
			      (struct alarm){.what = NODE_BEHIND,
					     .chain = -1,
					     .node = members->node[n].index,
					     .mark = (json_int_t)members->sighting[n].revision,
					     .patience = STUCK_MS},
			      "node %s is here but %s the view: nobody waits for it",
			      members->name[n],
			      members->sighting[n].failing ? "cannot apply" : "does not apply");
}

static void alarms_of_entrances(const struct build *build, json_t *list)
{
	const struct view *view = &build->after;
	char ip[ADDRESS_TEXT];
	unsigned int i;
	int place;

	for (i = 0; i < view->entrances; i++) {
		place = place_of(&build->members, view->entrance[i].owner);
		if (place >= 0 && build->members.node[place].presence != PRESENCE_GONE)
			continue;
		raise(build, list,
		      (struct alarm){.severity = CRITICAL,
				     .what = "entrance-without-forwarder",
				     .chain = -1,
				     .mark = i},
		      "entrance %s has no forwarder", address_text(&view->entrance[i].ip, ip));
		return; // where one has none, all have none
	}
}

// How a node is on the tenants' network; NULL: it is no forwarder there, or nothing is known. Who
// is answered by nobody, but has called nobody who lives, may be whole.
static const char *side_of(const struct build *build, size_t n)
{
	const struct sighting *s = &build->members.sighting[n];
	auto_(json_decrefp) json_t *peers = NULL;
	json_t *peer;
	size_t i;

	if (s->side == SIDE_DOWN)
		return "down";
	if (s->side != SIDE_LONG_AGO)
		return s->side ? "works" : NULL;
	peers = status_peers(build->status, build->members.name[n]);
	json_array_foreach (peers, i, peer) {
		if (json_is_true(json_object_get(peer, "called")) &&
		    json_is_true(json_object_get(peer, "alive")))
			return "silent";
	}
	return NULL;
}

static void alarms_of_sides(const struct build *build, json_t *list)
{
	const struct members *members = &build->members;
	const char *side;
	size_t n;

	for (n = 0; n < members->count; n++) {
		side = side_of(build, n);
		if (!side || !strcmp(side, "works"))
			continue;
		raise(build, list,
		      (struct alarm){.severity = members->sighting[n].away ? WARNING : CRITICAL,
				     .what = "tenant-side-broken",
				     .chain = -1,
				     .node = members->node[n].index},
		      "%s on the tenants' network %s node %s, %s",
		      strcmp(side, "down") ? "no forwarder" : "no carrier",
		      strcmp(side, "down") ? "answers" : "has", members->name[n],
		      members->sighting[n].away ? "others have its entrances"
						: "no other forwarder is better off");
	}
}

static unsigned int count_over(const struct build *build, const struct view_chain *chain)
{
	unsigned int i, over = 0;

	for (i = 0; i < chain->voters; i++)
		over += view_is_over(build->members.node, build->members.count, chain->voter[i]);
	return over;
}

static void alarm_of_force(const struct build *build, json_t *list, unsigned int number,
			   enum view_force force)
{
	const struct view_chain *chain = &build->after.chain[number];

	raise(build, list,
	      (struct alarm){.severity = CRITICAL,
			     .what = NEEDS_FORCE,
			     .chain = (int)number,
			     .mark = chain->epoch},
	      "chain %u: %u of its %u voters have forgotten; %s", number, count_over(build, chain),
	      chain->voters,
	      force == FORCE_WAITS
		      ? "it waits for those that are away: start them, or take them out"
	      : force == FORCE_LIST ? "what is left of its list begins anew"
				    : "nobody has its sessions, and it begins anew");
}

static void alarms_of_chain(const struct build *build, json_t *list, unsigned int number)
{
	const struct members *members = &build->members;
	const struct view_chain *chain = &build->after.chain[number];
	const struct view_report *report = &build->report[number];
	const struct progress *progress = &build->progress[number];
	unsigned int living = view_living_voters(chain, members->node, members->count);
	unsigned int wanted = build->cluster.replicas, k, live = 0;
	enum view_force force = view_force(chain, report, members->node, members->count);

	if (force) {
		alarm_of_force(build, list, number, force);
		return;
	}
	if (living * 2 <= chain->voters) {
		raise(build, list,
		      (struct alarm){.severity = CRITICAL,
				     .what = "chain-without-majority",
				     .chain = (int)number,
				     .mark = living},
		      "chain %u: %u of its %u voters are here", number, living, chain->voters);
		return;
	}
	if (chain->epoch == build->before.chain[number].epoch &&
	    (unsigned int)__builtin_popcount(report->settled) * 2 <= chain->voters) {
		raise(build, list,
		      (struct alarm){.what = "chain-stuck",
				     .chain = (int)number,
				     .mark = chain->epoch,
				     .patience = STUCK_MS},
		      "chain %u: its voters of epoch %u are not in force", number, chain->epoch);
	}
	if (!report->epoch)
		return;
	for (k = 0; k < report->live; k++)
		live += view_lives(members->node, members->count, report->path[k]);
	if (!live)
		raise(build, list,
		      (struct alarm){.severity = CRITICAL,
				     .what = "chain-without-data",
				     .chain = (int)number},
		      "chain %u: nobody that has its sessions is here", number);
	else if (live < wanted)
		raise(build, list,
		      (struct alarm){.severity = live == 1 ? CRITICAL : WARNING,
				     .what = "chain-short-of-replicas",
				     .chain = (int)number,
				     .mark = live},
		      "chain %u: %u of %u replicas", number, live, wanted);
	if (report->learner)
		raise(build, list,
		      (struct alarm){.what = "learner-not-filling",
				     .chain = (int)number,
				     .node = report->path[report->live].node,
				     .mark = (json_int_t)progress->copied,
				     .patience = STUCK_MS},
		      "chain %u: %s has %llu of %llu records, and gets no more", number,
		      member_name(build, report->path[report->live].node),
		      (unsigned long long)progress->copied, (unsigned long long)progress->to_copy);
}

static unsigned int count_left(const struct build *build)
{
	unsigned int left = 0, i;

	for (i = 0; i < build->before.chains; i++)
		left += build->report[i].left;
	return left;
}

static void alarms_of_spread(const struct build *build, json_t *list)
{
	if (build->before.spread.moving)
		raise(build, list,
		      (struct alarm){.what = "buckets-stuck",
				     .chain = -1,
				     .mark = count_left(build),
				     .patience = STUCK_MS},
		      "%u buckets do not get to their new chains, and nobody joins a chain meanwhile",
		      count_left(build));
}

static void alarm_of_transfer(const struct build *build, struct store *store, json_t *list)
{
	struct transfer_wait wait;

	if (transfer_waits(store, build->status, build->id, &wait))
		raise(build, list,
		      (struct alarm){.what = "vpc-move-stuck",
				     .chain = -1,
				     .mark = wait.mark,
				     .patience = STUCK_MS},
		      "the move of vpc %s does not go on (%s): it waits for %s", wait.vpc,
		      wait.phase, wait.names);
}

static void alarm_of_health(const struct build *build, struct store *store, json_t *list)
{
	struct health_trouble trouble;

	if (health_troubled(store, build->status, build->id, &trouble))
		raise(build, list,
		      (struct alarm){.severity = CRITICAL,
				     .what = "no-healthy-backend",
				     .chain = -1,
				     .mark = trouble.listeners},
		      "load balancer %s, %s %u: no backend passes its checks, new connections go to "
		      "all (%u such listeners)",
		      trouble.balancer, trouble.protocol, trouble.port, trouble.listeners);
}

struct raising {
	const struct build *build;
	json_t *list;
};

static void alarm_of_nat(const struct nat_trouble *trouble, void *arg)
{
	const struct raising *r = arg;
	char of[OBJECT_ID + ADDRESS_TEXT];

	snprintf(of, sizeof(of), "%s %s", trouble->id, trouble->address);
	raise(r->build, r->list, (struct alarm){.what = "nat-exhausted", .chain = -1, .of = of},
	      "nat %s of vpc %s: no port of %s is free towards some destination, new connections are "
	      "refused (%llu so far)",
	      trouble->nat, trouble->vpc, trouble->address, (unsigned long long)trouble->refused);
}

static json_t *alarms_of(const struct build *build, struct store *store)
{
	const struct view *view = &build->after;
	json_t *list = json_array();
	unsigned int i;

	alarms_of_nodes(build, list);
	alarms_of_behind(build, list);
	alarms_of_entrances(build, list);
	alarms_of_sides(build, list);
	alarms_of_spread(build, list);
	alarm_of_transfer(build, store, list);
	alarm_of_health(build, store, list);
	nat_troubles(store, build->status, build->id, alarm_of_nat, &(struct raising){build, list});
	if (!view->chains || !view->chain[0].founded) {
		raise(build, list,
		      (struct alarm){.severity = CRITICAL,
				     .what = "chains-not-founded",
				     .chain = -1,
				     .patience = build->repair_after_s * 1000},
		      view->chains ? "the chains wait for %u flow table nodes to connect"
				   : "there is no flow table node",
		      view_replicas(&build->cluster, build->members.node, build->members.count));
		return list;
	}
	for (i = 0; i < view->chains; i++)
		alarms_of_chain(build, list, i);
	return list;
}

int view_watch(struct store *store, struct status *status, const char *cluster)
{
	auto_(build_freep) struct build *build = NULL;
	int err = rewrite(store, status, cluster, &build);

	if (err)
		return err;
	return status_raise(status, cluster, build ? build->name : "",
			    build ? alarms_of(build, store) : json_array());
}

// ---- what REST asks

// Places that a node has in the view that is.
struct places {
	unsigned int entrances; // that it owns
	unsigned int replicas;	// chains whose data it is to hold
	unsigned int votes;	// chains in which it votes, those counted
	unsigned int holds;	// chains whose data it does hold
};

static struct places count_places(const struct build *build, uint32_t index)
{
	const struct view *view = &build->before;
	struct places places = {};
	unsigned int i, k;

	for (i = 0; i < view->entrances; i++)
		places.entrances += view->entrance[i].owner == index;
	for (i = 0; i < view->chains; i++) {
		const struct view_report *report = &build->report[i];

		for (k = 0; k < view->chain[i].voters; k++)
			if (view->chain[i].founded && view->chain[i].voter[k].node == index) {
				places.votes++;
				places.replicas += k < view->chain[i].replicas;
			}
		for (k = 0; k < report->live; k++)
			places.holds += report->path[k].node == index;
	}
	return places;
}

int view_check_removal(struct change *change)
{
	auto_(build_freep) struct build *build = NULL;
	const char *name = text_in(change->before, "name");
	struct sighting sighting;
	struct places places;
	int err;

	err = gather(change->store, change->status, text_in(change->before, "cluster"), &build);
	if (err)
		return err == -ENOENT ? 0 : err;
	status_sighting(change->status, name, &sighting);
	if (sighting.missing_ms >= (uint64_t)build->repair_after_s * 1000)
		return 0;
	places = count_places(build, change->number);
	if (places.votes || places.holds)
		return refuse(change->problem, 409, NULL,
			      "node \"%s\" votes in %u chains and has the sessions of %u: drain it "
			      "first, or stop it and wait %lld s",
			      name, places.votes, places.holds, (long long)build->repair_after_s);
	return 0;
}

static json_t *names_of(const struct members *members, const struct view_name *names,
			unsigned int count)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < count; i++)
		json_array_append_new(list, name_of(members, names[i].node));
	return list;
}

static json_t *name_by_id(struct store *store, const json_t *id)
{
	auto_(json_decrefp) json_t *node =
		json_is_string(id) ? store_body(store, "nodes", json_string_value(id)) : NULL;

	return node ? json_incref(json_object_get(node, "name")) : json_null();
}

static json_t *name_entrances(struct store *store, const json_t *view)
{
	auto_(json_decrefp) json_t *list = json_array();
	json_t *item, *id, *preference;
	size_t i, k;

	json_array_foreach (json_object_get(view, "entrances"), i, item) {
		preference = json_array();
		json_array_foreach (json_object_get(item, "preference"), k, id) {
			json_array_append_new(preference, name_by_id(store, id));
		}
		if (json_array_append_new(
			    list,
			    json_pack("{s:O, s:O, s:o, s:o}", "ip", json_object_get(item, "ip"),
				      "mac", json_object_get(item, "mac"), "owner",
				      name_by_id(store, json_object_get(item, "owner")),
				      "preference", preference)))
			return NULL;
	}
	return take_ptr(list);
}

json_t *view_entrances(struct store *store, const char *cluster)
{
	auto_(json_decrefp) json_t *view = store_body(store, "views", cluster);

	return view ? name_entrances(store, view) : NULL;
}

// How many buckets each chain has.
static int count_buckets(const json_t *view, json_int_t buckets[MAX_CHAINS])
{
	auto_(freep) uint16_t *table = calloc(BUCKETS, sizeof(*table));
	size_t i;
	int err;

	if (!table)
		return -ENOMEM;
	if ((err = view_buckets(view, table)))
		return err;
	for (i = 0; i < BUCKETS; i++)
		if (table[i])
			buckets[table[i] - 1]++;
	return 0;
}

// What the chain's nodes say of it now; null: nothing.
static json_t *chain_state(const struct build *build, unsigned int number)
{
	const struct view_report *report = &build->report[number];
	const struct progress *progress = &build->progress[number];
	json_t *leased = json_array();
	unsigned int i;

	if (!report->epoch) {
		json_decref(leased);
		return json_null();
	}
	for (i = 0; i < report->live + report->learner; i++)
		if (progress->leased >> i & 1)
			json_array_append_new(leased,
					      name_of(&build->members, report->path[i].node));
	return json_pack("{s:I, s:I, s:o, s:o, s:I, s:I, s:o}", "epoch", (json_int_t)report->epoch,
			 "term", (json_int_t)report->term, "live",
			 names_of(&build->members, report->path, report->live), "learner",
			 report->learner ? name_of(&build->members, report->path[report->live].node)
					 : json_null(),
			 "copied", (json_int_t)progress->copied, "to_copy",
			 (json_int_t)progress->to_copy, "leased", leased);
}

// When its list began by force, for people.
static json_t *forced_at(const struct view_chain *chain)
{
	time_t seconds = (time_t)chain->forced_s;
	char text[32];
	struct tm tm;

	if (!chain->forced)
		return json_null();
	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

// What people are told: how many chains have the buckets, are wanted, and how far a move is.
static json_t *answer_spread(const struct build *build)
{
	const struct view_spread *spread = &build->before.spread;
	const struct members *members = &build->members;
	json_t *uncleared = json_array();
	size_t n;

	for (n = 0; n < members->count; n++)
		if (members->node[n].presence == PRESENCE_HERE &&
		    members->node[n].cleared < spread->move)
			json_array_append_new(uncleared, json_string(members->name[n]));
	return json_pack("{s:i, s:i, s:I, s:b, s:i, s:i, s:o}", "wanted",
			 (int)(build->cluster.chains ?: spread->chains), "chains",
			 (int)spread->chains, "move", (json_int_t)spread->move, "moving",
			 spread->moving, "left", (int)count_left(build), "leaving",
			 (int)build->leaving, "uncleared", uncleared);
}

static json_t *answer_chains(const struct build *build, const json_int_t *buckets)
{
	auto_(json_decrefp) json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < build->before.chains; i++) {
		const struct view_chain *chain = &build->before.chain[i];

		if (json_array_append_new(
			    list,
			    json_pack("{s:i, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:o}", "number",
				      (int)i, "epoch", (json_int_t)chain->epoch, "founded",
				      (json_int_t)chain->founded, "forced",
				      (json_int_t)chain->forced, "forced_at", forced_at(chain),
				      "replicas",
				      names_of(&build->members, chain->voter, chain->replicas),
				      "witnesses",
				      names_of(&build->members, chain->voter + chain->replicas,
					       chain->voters - chain->replicas),
				      "buckets", buckets[i], "state", chain_state(build, i))))
			return NULL;
	}
	return take_ptr(list);
}

// Names of those that the node hears, and of those that it does not.
// deaf: forwarders that live and do not answer it on the tenants' network.
static void add_peers(const struct build *build, size_t n, json_t *hears, json_t *misses,
		      json_t *deaf)
{
	auto_(json_decrefp) json_t *peers = status_peers(build->status, build->members.name[n]);
	json_t *peer;
	size_t i;

	json_array_foreach (peers, i, peer) {
		json_array_append_new(json_is_true(json_object_get(peer, "alive")) ? hears : misses,
				      name_of(&build->members, (uint32_t)integer_in(peer, "node")));
		if (json_is_true(json_object_get(peer, "alive")) &&
		    json_is_true(json_object_get(peer, "called")) &&
		    !json_is_true(json_object_get(peer, "answers")))
			json_array_append_new(
				deaf, name_of(&build->members, (uint32_t)integer_in(peer, "node")));
	}
}

static json_t *answer_nodes(const struct build *build)
{
	static const char *const presences[] = {
		[PRESENCE_AWAITED] = "awaited", [PRESENCE_HERE] = "here", [PRESENCE_GONE] = "gone"};
	const struct members *members = &build->members;
	auto_(json_decrefp) json_t *list = json_array();
	size_t n;

	for (n = 0; n < members->count; n++) {
		const struct view_node *node = &members->node[n];
		struct places places = count_places(build, node->index);
		json_t *hears = json_array(), *misses = json_array(), *deaf = json_array();
		const char *side = side_of(build, n);

		add_peers(build, n, hears, misses, deaf);
		if (json_array_append_new(
			    list,
			    json_pack("{s:s, s:s, s:I, s:b, s:i, s:i, s:i, s:i, s:o, s:o, "
				      "s:s, s:b, s:o}",
				      "name", members->name[n], "presence",
				      presences[node->presence], "boot", (json_int_t)node->boot,
				      "drain", node->drain, "entrances", (int)places.entrances,
				      "replicas", (int)places.replicas, "votes", (int)places.votes,
				      "holds", (int)places.holds, "hears", hears, "misses", misses,
				      "tenant_side", side ?: "none", "away",
				      members->sighting[n].away, "tenant_misses", deaf)))
			return NULL;
	}
	return take_ptr(list);
}

// The stored view speaks of ids and indices, for programs; people read names.
static int answer(struct model *model, json_t *body)
{
	auto_(freep) json_int_t *buckets = calloc(MAX_CHAINS, sizeof(*buckets));
	auto_(build_freep) struct build *build = NULL;
	int err;

	if (!buckets || count_buckets(body, buckets))
		return -ENOMEM;
	err = gather(model->store, model->status, text_in(body, "id"), &build);
	if (err)
		return err;
	if (json_object_set_new(body, "entrances", name_entrances(model->store, body)) ||
	    json_object_set_new(body, "nodes", answer_nodes(build)) ||
	    json_object_set_new(body, "chains", answer_chains(build, buckets)) ||
	    json_object_set_new(body, "spread", answer_spread(build)) ||
	    json_object_set_new(body, "alarms", status_alarms(model->status, build->id)))
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
