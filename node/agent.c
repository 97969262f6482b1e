// SPDX-License-Identifier: Apache-2.0
// One thread owns all state: it takes mail from the stream's thread, converges, and reports.
#include "node/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/door/doorkeeper.h"
#include "modules/health/health.h"
#include "modules/term/term.h"
#include "modules/uplink/answer.h"
#include "node/desired.h"
#include "node/mailbox.h"
#include "node/messages.h"

#define METHOD "/zeta.node.v1.Controller/Stream"
#define LOOK_MS 200	   // how soon something that became ready is reported, or waited for
#define REPORT_MS 1000	   // how often the node reports without any reason
#define BACKENDS_TOLD 4096 // of which the controller is told
#define RETRY_MS 2000	   // what failed may cost: loading programs takes a while

struct state {
	const struct agent *agent;
	struct mailbox *mailbox;
	struct rpc_client *client;
	struct desired *desired;
	struct term *term;
	struct health_checks *health;
	int connected;
	int begun;		       // a snapshot began on this connection
	int heard;		       // a whole one came since the agent started
	uint64_t revision;	       // of desired
	uint64_t applied;	       // of the maps
	char error[256];	       // why they differ
	struct node_settings settings; // that the loader carried out
	int configured;		       // it did
	__u32 loads;		       // of the loader, when it did; the maps are the same since
	int swept;		       // what the maps held before us is gone unless desired
	uint64_t retry_ms;	       // what failed is tried again from then on
	struct node_status status;
	__u32 ports_told; // status.ports of the last report
	struct answers answers;
	struct doorkeeper door;
	struct message message;
};

// Asks the loader; the answer replaces the message. Without the loader there is no agent.
static void ask(struct state *s)
{
	size_t size;
	int err = message_send(s->agent->socket, &s->message);

	if (!err)
		err = message_receive(s->agent->socket, &s->message, &size);
	if (!err && !message_is_answer(&s->message, size))
		err = -EPROTO;
	// Not exit(): other threads are still at work on what it would take down.
	if (err == -EPIPE)
		_exit(0);
	if (err)
		fatalx("the loader does not answer as it should: %s", strerror(-err));
}

static void begin(struct state *s, enum message_type type, enum table table)
{
	memset(&s->message, 0, MESSAGE_HEAD);
	s->message.type = (__u16)type;
	s->message.table = (__u16)table;
}

static void look(struct state *s)
{
	begin(s, MESSAGE_STATUS, 0);
	ask(s);
	s->status = s->message.status;
}

static void set_error(struct state *s, const char *error)
{
	if (*error && strcmp(s->error, error) != 0)
		log_warnx("%s", error);
	snprintf(s->error, sizeof(s->error), "%s", error);
}

// ---- settings

static int copy_bytes(ProtobufCBinaryData bytes, void *out, size_t size)
{
	// An empty one is left zero: the check of the whole says whether it had to be there.
	if (bytes.len && bytes.len != size)
		return -EINVAL;
	if (bytes.len)
		memcpy(out, bytes.data, size);
	return 0;
}

static int copy_name(const char *from, struct interface_name *out)
{
	size_t length = strlen(from);

	if (length >= sizeof(out->text))
		return -EINVAL;
	memcpy(out->text, from, length);
	return 0;
}

static int read_settings(const Zeta__Node__V1__NodeSettings *from, struct node_settings *to)
{
	*to = (struct node_settings){
		.roles = (from->forwarder ? NODE_FWD : 0) | (from->flow_table ? NODE_FTN : 0) |
			 (from->edge ? NODE_EDGE : 0),
		.overlay = from->overlay,
		.index = from->index,
		.tenant_mtu = from->tenant_mtu,
		.oam_port = from->oam_port,
		.beat_ms = from->beat_ms,
		.cluster = from->cluster_number,
	};
	if (copy_name(from->tenant_interface, &to->tenant_interface) ||
	    copy_name(from->zgc_interface, &to->zgc_interface) ||
	    copy_bytes(from->tenant_ip, &to->tenant_ip, sizeof(to->tenant_ip)) ||
	    copy_bytes(from->zgc_ip, &to->zgc_ip, sizeof(to->zgc_ip)) ||
	    copy_bytes(from->tenant_mac, to->tenant_mac, sizeof(to->tenant_mac)) ||
	    copy_bytes(from->zgc_mac, to->zgc_mac, sizeof(to->zgc_mac)))
		return -EINVAL;
	return 0;
}

// Has the loader run what the settings say. Returns 0, or why not is in error.
static int configure(struct state *s)
{
	const Zeta__Node__V1__NodeSettings *from = desired_settings(s->desired);
	struct node_settings settings = {};
	const char *why = "the node's settings are malformed";

	if (from && (read_settings(from, &settings) || node_settings_check(&settings, &why))) {
		set_error(s, why);
		return -EINVAL;
	}
	if (s->configured && !memcmp(&settings, &s->settings, sizeof(settings)))
		return 0;
	begin(s, MESSAGE_CONFIGURE, 0);
	s->message.settings = settings;
	ask(s);
	if (s->message.error) {
		set_error(s, s->message.text);
		return s->message.error;
	}
	s->settings = settings;
	s->configured = 1;
	s->swept = 0;
	look(s);
	s->loads = s->status.loads;
	term_configure(s->term, &settings);
	health_configure(s->health, settings.index, !!(settings.roles & NODE_FTN));
	if (desired_reload(s->desired, settings.roles))
		fatalx("no memory for the desired state");
	return 0;
}

// ---- entries

// A chain of the map is the controller's, or follows from the ballots about what it wishes.
static int is_wanted(const struct state *s, enum table table, const void *key)
{
	return desired_wants(s->desired, table, key) ||
	       (table == TABLE_CHAINS && desired_wants(s->desired, TABLE_WISHES, key));
}

// Keeps only those keys of a REMOVE that really are to go.
static void keep_wanted(const struct state *s, struct message *message)
{
	size_t size = tables[message->table].key_size;
	__u32 i, count = 0;

	for (i = 0; i < message->count; i++)
		if (!is_wanted(s, message->table, message_at(message, i)))
			memmove(message_at(message, count++), message_at(message, i), size);
	message->count = count;
}

// Hands a batch to the loader, and to the ballots what is for them. Their word about a chain ends
// with the wish for it, and with that its entry. Leaves how it went in the message.
static void put_batch(struct state *s)
{
	const __u32 count = s->message.count;

	if (s->message.table == TABLE_WISHES || s->message.table == TABLE_NODES)
		term_take(s->term, &s->message);
	if (s->message.type == MESSAGE_REMOVE) {
		if (s->message.table == TABLE_WISHES)
			s->message.table = TABLE_CHAINS;
		keep_wanted(s, &s->message);
	}
	if (s->message.table != TABLE_WISHES && s->message.count)
		ask(s);
	else
		s->message.error = 0;
	if (!s->message.error)
		s->message.count = count;
}

// Returns 0 when the maps hold all that they should; else why not is in error.
static int flush(struct state *s)
{
	int err = 0, checks_err = 0;
	enum table table;

	while (desired_batch(s->desired, &s->message)) {
		table = s->message.table;
		put_batch(s);
		desired_done(s->desired, s->message.count);
		if (table == TABLE_CHECKED && s->message.error)
			checks_err = s->message.error;
		if (s->message.error && !err) {
			err = s->message.error;
			set_error(s, s->message.text);
		}
	}
	// Whatever else is missing in the maps.
	if (!checks_err)
		health_reachable(s->health);
	return err;
}

// Asks for the keys after the last of keys, which holds count of a table.
static void ask_keys(struct state *s, struct message *keys, enum message_type type,
		     enum table table)
{
	begin(s, type, table);
	if (keys->count) {
		s->message.count = 1;
		memcpy(message_at(&s->message, 0), message_at(keys, keys->count - 1),
		       tables[table].key_size);
	}
	ask(s);
	if (s->message.error)
		s->message.count = 0;
	memcpy(keys, &s->message, sizeof(*keys));
}

static int sweep_table(struct state *s, enum table table, struct message *keys,
		       struct message *unwanted)
{
	__u32 i;

	memset(unwanted, 0, MESSAGE_HEAD);
	unwanted->type = MESSAGE_REMOVE;
	unwanted->table = (__u16)table;
	for (i = 0; i < keys->count; i++)
		if (!is_wanted(s, table, message_at(keys, i)))
			memcpy(message_at(unwanted, unwanted->count++), message_at(keys, i),
			       tables[table].key_size);
	if (!unwanted->count)
		return 0;
	memcpy(&s->message, unwanted, message_size(unwanted));
	ask(s);
	if (s->message.error)
		set_error(s, s->message.text);
	return s->message.error;
}

// Removes what the maps held before this agent and nobody wants. A page's keys are removed only
// after the next page was asked for, so that the last of it still shows where to go on.
static int sweep(struct state *s)
{
	auto_(freep) struct message *page = calloc(1, sizeof(*page));
	auto_(freep) struct message *next = calloc(1, sizeof(*next));
	auto_(freep) struct message *unwanted = calloc(1, sizeof(*unwanted));
	int table, err;

	if (!page || !next || !unwanted)
		return -ENOMEM;
	for (table = TABLES - 1; table >= 0; table--) {
		if (tables[table].kind == TABLE_IS_KEPT || tables[table].kind == TABLE_IS_WISHES)
			continue;
		page->count = 0;
		ask_keys(s, page, MESSAGE_KEYS, table);
		while (page->count) {
			memcpy(next, page, sizeof(*next));
			ask_keys(s, next, MESSAGE_KEYS, table);
			if ((err = sweep_table(s, table, page, unwanted)))
				return err;
			memcpy(page, next, sizeof(*page));
		}
	}
	return 0;
}

// Programs were loaded again without our asking, as an interface was made anew.
static void follow_loader(struct state *s)
{
	if (!s->configured || s->loads == s->status.loads)
		return;
	s->loads = s->status.loads;
	s->swept = 0;
	term_configure(s->term, &s->settings);
	if (desired_reload(s->desired, s->settings.roles))
		fatalx("no memory for the desired state");
}

// Brings the maps as near to the desired state as they come.
static void converge(struct state *s)
{
	const char *refused;
	int err;

	// Before the first snapshot nothing is known: what was pinned goes on as it is.
	if (!s->heard)
		return;
	err = configure(s);
	if (!err) {
		desired_retry(s->desired);
		err = flush(s);
	}
	if (!err && !s->swept)
		err = sweep(s);
	if (err) {
		s->retry_ms = now_ms() + (err == -EAGAIN ? LOOK_MS : RETRY_MS);
		return;
	}
	s->swept = 1;
	refused = desired_refused(s->desired);
	set_error(s, refused ? refused : "");
	if (!refused)
		s->applied = s->revision;
}

// ---- reports

static void send_report(struct state *s, Zeta__Node__V1__Report *report)
{
	size_t size = zeta__node__v1__report__get_packed_size(report);
	auto_(freep) uint8_t *bytes = malloc(size);
	int err = -ENOMEM;

	if (bytes) {
		zeta__node__v1__report__pack(report, bytes);
		err = rpc_client_send(s->client, bytes, size);
	}
	if (err && err != -ENOTCONN)
		log_warnx("a report was not sent: %s", strerror(-err));
}

// Ids of the local ports that are attached, lent. Returns how many.
static size_t ready_ports(struct state *s, char **ids, size_t most)
{
	auto_(freep) struct message *keys = calloc(1, sizeof(*keys));
	const char *id;
	size_t count = 0;
	__u32 i;

	if (!keys)
		return 0;
	do {
		ask_keys(s, keys, MESSAGE_READY, TABLE_LOCAL_PORTS);
		for (i = 0; i < keys->count && count < most; i++) {
			id = desired_local_port(s->desired, message_at(keys, i));
			if (id)
				ids[count++] = (char *)id;
		}
	} while (keys->count);
	return count;
}

struct states {
	struct member_state member[MAX_CHAINS];
	struct peer_state known[MAX_NODES];
	Zeta__Node__V1__ChainState chain[MAX_CHAINS], *chains[MAX_CHAINS];
	Zeta__Node__V1__PeerState peer[MAX_NODES], *peers[MAX_NODES];
	Zeta__Node__V1__Name name[MAX_CHAINS][DFT_PATH_MOST], *names[MAX_CHAINS][DFT_PATH_MOST];
	Zeta__Node__V1__Name voter[MAX_CHAINS][MAX_VOTERS], *voters[MAX_CHAINS][MAX_VOTERS];
};

static void write_names(const struct dft_name *from, size_t count, Zeta__Node__V1__Name *to,
			Zeta__Node__V1__Name **list)
{
	size_t i;

	for (i = 0; i < count; i++) {
		zeta__node__v1__name__init(&to[i]);
		to[i].node = from[i].node;
		to[i].boot = from[i].boot;
		list[i] = &to[i];
	}
}

// What the ballots and the heartbeats say, lent to the report.
static void report_membership(struct state *s, struct states *all, Zeta__Node__V1__Report *report)
{
	size_t i;

	report->n_chain = term_states(s->term, all->member, MAX_CHAINS);
	report->chain = all->chains;
	for (i = 0; i < report->n_chain; i++) {
		Zeta__Node__V1__ChainState *chain = all->chains[i] = &all->chain[i];
		const struct member_state *member = &all->member[i];
		const struct dft_configuration *active = &member->active;

		zeta__node__v1__chain_state__init(chain);
		write_names(active->path, active->live + active->learner, all->name[i],
			    all->names[i]);
		write_names(member->voters.voter, member->voters.count, all->voter[i],
			    all->voters[i]);
		chain->number = member->chain;
		chain->epoch = active->term.epoch;
		chain->term = active->term.number;
		chain->n_live = active->live;
		chain->live = all->names[i];
		chain->learner = active->learner ? &all->name[i][active->live] : NULL;
		chain->acts = member->acts;
		chain->leased = member->leased;
		chain->copied = member->copied;
		chain->to_copy = member->to_copy;
		chain->move = member->move;
		chain->to_move = member->to_move;
		chain->voters_epoch = member->voters.epoch;
		chain->n_voter = member->voters.count;
		chain->voter = all->voters[i];
	}
	report->cleared = term_cleared(s->term);
	report->n_peer = term_peers(s->term, all->known, MAX_NODES);
	report->peer = all->peers;
	for (i = 0; i < report->n_peer; i++) {
		Zeta__Node__V1__PeerState *peer = all->peers[i] = &all->peer[i];

		zeta__node__v1__peer_state__init(peer);
		peer->node = all->known[i].node;
		peer->boot = all->known[i].boot;
		peer->alive = all->known[i].alive;
		peer->hears_us = all->known[i].hears_us;
		peer->silent_ms = all->known[i].silent_ms;
		peer->is_called = all->known[i].is_called;
		peer->answers = all->known[i].answers;
	}
	term_side(s->term, &report->side, &report->away);
}

struct function_states {
	struct function_state state[PUSHED_FUNCTIONS * FUNCTION_PLACES];
	Zeta__Node__V1__FunctionState said[PUSHED_FUNCTIONS * FUNCTION_PLACES];
	Zeta__Node__V1__FunctionState *all[PUSHED_FUNCTIONS * FUNCTION_PLACES];
};

// What the loader has of pushed functions, lent to the report.
static void report_functions(struct state *s, struct function_states *all,
			     Zeta__Node__V1__Report *report)
{
	__u32 next = 0;

	report->function = all->all;
	while (report->n_function < sizeof(all->state) / sizeof(all->state[0])) {
		struct function_state *state = &all->state[report->n_function];
		Zeta__Node__V1__FunctionState *said = &all->said[report->n_function];

		begin(s, MESSAGE_FUNCTION, 0);
		s->message.function.next = next;
		ask(s);
		next = s->message.function.next;
		if (!next)
			return;
		*state = s->message.function;
		zeta__node__v1__function_state__init(said);
		said->slot = state->slot;
		said->place = state->place;
		said->digest = state->digest;
		said->loaded = state->loaded;
		said->why = state->why;
		said->runs = state->count.runs;
		said->dropped = state->count.dropped;
		said->beyond = state->count.beyond;
		said->timed = state->count.timed;
		said->timed_ns = state->count.timed_ns;
		said->longest_ns = state->count.longest_ns;
		said->n_reason = ZETA_REASONS;
		said->reason = (uint64_t *)state->count.reason;
		all->all[report->n_function++] = said;
	}
}

struct backend_states {
	struct health_state state[BACKENDS_TOLD];
	Zeta__Node__V1__BackendState said[BACKENDS_TOLD], *all[BACKENDS_TOLD];
};

// What backends are taken for, lent to the report.
static void report_backends(struct state *s, struct backend_states *all,
			    Zeta__Node__V1__Report *report)
{
	size_t i;

	report->n_backend = health_tell(s->health, all->state, BACKENDS_TOLD);
	report->backend = all->all;
	for (i = 0; i < report->n_backend; i++) {
		Zeta__Node__V1__BackendState *said = all->all[i] = &all->said[i];

		zeta__node__v1__backend_state__init(said);
		said->load_balancer = all->state[i].balancer;
		said->protocol = all->state[i].protocol;
		said->port = all->state[i].port;
		said->backend = all->state[i].backend;
		said->health = all->state[i].health;
		said->why = all->state[i].why;
	}
}

static void report(struct state *s)
{
	static const char *const names[VERDICTS] = {
#define VERDICT(name, kind, meaning) [name] = #name,
#include "shared/verdicts.def"
#undef VERDICT
	};
	Zeta__Node__V1__VerdictCount counts[VERDICTS], *verdicts[VERDICTS];
	Zeta__Node__V1__VpcUsage usages[VPCS_TOLD], *vpcs[VPCS_TOLD];
	Zeta__Node__V1__NatRefusal refusals[NATS_TOLD], *nats[NATS_TOLD];
	Zeta__Node__V1__Report report = ZETA__NODE__V1__REPORT__INIT;
	auto_(freep) char **ready = calloc(MAX_LOCAL_PORTS, sizeof(*ready));
	auto_(freep) struct states *states = malloc(sizeof(*states));
	auto_(freep) struct function_states *functions = malloc(sizeof(*functions));
	auto_(freep) struct backend_states *backends = malloc(sizeof(*backends));
	int i;

	if (!s->connected || !ready || !states || !functions || !backends)
		return;
	look(s);
	s->ports_told = s->status.ports;
	report.name = (char *)s->agent->name;
	report.boot = s->status.boot;
	report.version = (char *)ZETA_VERSION;
	report.revision = s->applied;
	report.error = s->error;
	report.sessions = s->status.sessions;
	report.session_digest = s->status.session_digest;
	report.cached = s->status.cached;
	report.swept = s->status.swept;
	report.verdicts = verdicts;
	for (i = GO_ON + 1; i < VERDICTS; i++) {
		Zeta__Node__V1__VerdictCount *count = &counts[report.n_verdicts];

		if (!s->status.verdicts[i].packets)
			continue;
		zeta__node__v1__verdict_count__init(count);
		count->name = (char *)names[i];
		count->packets = s->status.verdicts[i].packets;
		count->bytes = s->status.verdicts[i].bytes;
		verdicts[report.n_verdicts++] = count;
	}
	report_functions(s, functions, &report);
	report.nat = nats;
	for (i = 0; i < (int)s->status.nats && i < NATS_TOLD; i++) {
		struct nat_refusal *nat = &s->status.nat[i];

		refusals[i] = (Zeta__Node__V1__NatRefusal){
			PROTOBUF_C_MESSAGE_INIT(&zeta__node__v1__nat_refusal__descriptor),
			.vni = nat->vni,
			.address = {sizeof(nat->address), (uint8_t *)&nat->address},
			.refused = nat->refused,
		};
		nats[report.n_nat++] = &refusals[i];
	}
	report.vpc = vpcs;
	for (i = 0; i < (int)s->status.vpcs && i < VPCS_TOLD; i++) {
		const struct vpc_usage *vpc = &s->status.vpc[i];

		usages[i] = (Zeta__Node__V1__VpcUsage){
			PROTOBUF_C_MESSAGE_INIT(&zeta__node__v1__vpc_usage__descriptor),
			.vni = vpc->vni,
			.sessions = vpc->sessions,
			.half_open = vpc->half_open,
			.refused_first_packets = vpc->refused_first_packets,
			.refused_sessions = vpc->refused_sessions,
			.refused_half_open = vpc->refused_half_open,
			.refused_packets = vpc->refused_packets,
		};
		vpcs[report.n_vpc++] = &usages[i];
	}
	report.ready_port = ready;
	report.n_ready_port = ready_ports(s, ready, MAX_LOCAL_PORTS);
	report_membership(s, states, &report);
	report_backends(s, backends, &report);
	send_report(s, &report);
}

// ---- health of backends

// On the thread that checks them.
static void on_health(void *context)
{
	mailbox_put(((struct state *)context)->mailbox, MAIL_HEALTH, NULL, 0);
}

// What is wrong with other entries waits for its own time.
static void follow_health(struct state *s)
{
	int changes = desired_follow_health(s->desired);

	if (changes < 0)
		fatalx("no memory for the desired state");
	if (changes && s->configured)
		flush(s);
}

// ---- uplinks

// Answers for those that lead outside, as the loader says.
static void follow_uplinks(struct state *s)
{
	const struct interface_name *name;
	const struct uplink_value *uplink;
	__u32 i;

	if (!s->status.uplinks && !s->answers.count)
		return;
	begin(s, MESSAGE_READY, TABLE_UPLINKS);
	ask(s);
	answers_begin(&s->answers);
	for (i = 0; !s->message.error && i < s->message.count; i++) {
		name = message_at(&s->message, i);
		uplink = desired_uplink(s->desired, name);
		if (uplink)
			answers_want(&s->answers, name, &uplink->ip);
	}
	answers_end(&s->answers);
}

// ---- middleboxes

// Asks the loader for what a middlebox gets; the answer replaces the message. fds are the caller's,
// and -1 where there are none.
static void ask_door(struct state *s, const struct node_door *door, int fds[DOOR_FDS])
{
	size_t size;
	int err;

	begin(s, MESSAGE_DOOR, 0);
	s->message.door = *door;
	err = message_send(s->agent->socket, &s->message);
	if (!err)
		err = message_receive_door(s->agent->socket, &s->message, &size, fds);
	if (!err && !message_is_answer(&s->message, size))
		err = -EPROTO;
	if (err == -EPIPE)
		_exit(0);
	if (err)
		fatalx("the loader does not answer as it should: %s", strerror(-err));
}

static void welcome(struct state *s, const char *function)
{
	struct node_door door = {};
	const __u32 slot = desired_function(s->desired, function, &door.function);
	struct zeta_welcome answer = {.version = ZETA_DOOR_VERSION, .error = -ESRCH, .slot = slot};
	int fds[DOOR_FDS];

	if (!slot) {
		snprintf(answer.why, sizeof(answer.why), "this node has no function %s", function);
		doorkeeper_answer(&s->door, &answer, NULL);
		return;
	}
	door.slot = slot;
	ask_door(s, &door, fds);
	if (s->message.type == MESSAGE_DOOR_IS && fds[DOOR_MEMORY] >= 0) {
		answer.error = 0;
		answer.chunks = s->message.door.chunks;
		answer.chunk_bytes = s->message.door.chunk_bytes;
		doorkeeper_answer(&s->door, &answer, fds);
		log_info("function %s has a middlebox", function);
	} else {
		answer.error = s->message.error ? s->message.error : -EPROTO;
		snprintf(answer.why, sizeof(answer.why), "the door does not open: %s",
			 strerror(-answer.error));
		doorkeeper_answer(&s->door, &answer, NULL);
	}
	for (int i = 0; i < DOOR_FDS; i++)
		closep(&fds[i]);
}

static void serve_door(struct state *s)
{
	struct zeta_hello hello;

	if (doorkeeper_serve(&s->door, &hello))
		welcome(s, hello.function);
}

// ---- the stream

static void on_connected(void *context)
{
	mailbox_put(((struct state *)context)->mailbox, MAIL_CONNECTED, NULL, 0);
}

static void on_message(void *context, const void *bytes, size_t size)
{
	if (mailbox_put(((struct state *)context)->mailbox, MAIL_MESSAGE, bytes, size))
		fatalx("no memory for an update");
}

static void on_lost(void *context, const char *why)
{
	mailbox_put(((struct state *)context)->mailbox, MAIL_LOST, why, strlen(why) + 1);
}

static void take_update(struct state *s, const struct mail *mail)
{
	Zeta__Node__V1__Update *update =
		zeta__node__v1__update__unpack(NULL, mail->size, mail->bytes);
	uint64_t revision;
	int more;

	if (!update) {
		set_error(s, "the controller sent what is no update");
		return;
	}
	// A step counts with its last part: nothing of it is desired before.
	more = update->more;
	revision = update->revision;
	if (update->snapshot)
		s->begun = 1;
	// What came before the snapshot is not the whole: it says nothing yet.
	if (!s->begun) {
		zeta__node__v1__update__free_unpacked(update, NULL);
		return;
	}
	if (desired_update(s->desired, update))
		fatalx("no memory for the desired state");
	if (more)
		return;
	s->heard = 1;
	s->revision = revision;
	converge(s);
}

static void take_mail(struct state *s)
{
	struct mail *mail;

	while ((mail = mailbox_take(s->mailbox))) {
		switch (mail->kind) {
		case MAIL_CONNECTED:
			log_info("connected to the controller at %s", s->agent->controller);
			s->connected = 1;
			break;
		case MAIL_MESSAGE:
			take_update(s, mail);
			break;
		case MAIL_LOST:
			log_warnx("the controller is away, packets go on: %s",
				  (const char *)mail->bytes);
			s->connected = s->begun = 0;
			desired_break_off(s->desired);
			break;
		case MAIL_HEALTH: // the loop looks for itself: mail is lost with a stream
			free(mail);
			continue;
		}
		free(mail);
		report(s);
	}
}

static int is_converged(const struct state *s)
{
	return !s->heard || (s->applied == s->revision && !*s->error);
}

static int loop(struct state *s)
{
	struct pollfd polls[2 + MAX_HOST_UPLINKS + DOORKEEPER_POLLS] = {
		{.fd = mailbox_fd(s->mailbox), .events = POLLIN},
		{.fd = s->agent->socket,
		 .events = 0}, // only its end: the loader never speaks first
	};
	uint64_t next_report = now_ms();
	size_t count;

	for (;;) {
		count = 2 + answers_polls(&s->answers, polls + 2);
		count += doorkeeper_polls(&s->door, polls + count);
		if (poll(polls, count, LOOK_MS) < 0 && errno != EINTR)
			fatal("poll");
		if (polls[1].revents)
			return 0;
		answers_serve(&s->answers);
		serve_door(s);
		take_mail(s);
		follow_health(s);
		look(s);
		follow_uplinks(s);
		follow_loader(s);
		if ((!is_converged(s) || desired_pending(s->desired)) && now_ms() >= s->retry_ms)
			converge(s);
		if (now_ms() < next_report && s->ports_told == s->status.ports)
			continue;
		next_report = now_ms() + REPORT_MS;
		report(s);
	}
}

// ---- files that only the starter may read

static int copy_of(const char *path)
{
	auto_(closep) int from = open(path, O_RDONLY | O_CLOEXEC);
	auto_(closep) int copy = memfd_create("pem", MFD_CLOEXEC);
	char bytes[4096];
	ssize_t got;

	if (from < 0 || copy < 0)
		return -errno;
	while ((got = read(from, bytes, sizeof(bytes))) > 0)
		if (write(copy, bytes, (size_t)got) != got)
			return -EIO;
	return got < 0 ? -errno : take_fd(copy);
}

// Where the user cannot read a file that the starter could, its path becomes that of the copy.
static const char *readable_path(const char *path, int copy, char text[32])
{
	if (!access(path, R_OK) || copy < 0)
		return path;
	snprintf(text, 32, "/proc/self/fd/%d", copy);
	return text;
}

int agent_run(const struct agent *agent)
{
	int copies[3] = {copy_of(agent->tls.ca), copy_of(agent->tls.cert), copy_of(agent->tls.key)};
	struct state *s = calloc(1, sizeof(*s));
	char paths[3][32];
	int err, status;

	// Only the loader stops the agent, by ending their socket.
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	term_prepare();
	if ((err = rights_agent(&agent->user)))
		fatalx("the agent cannot give up rights: %s", strerror(-err));
	if (!s || !(s->desired = desired_new()) || !(s->mailbox = mailbox_new())) {
		log_warnx("no memory for the agent");
		return 1;
	}
	s->agent = agent;
	doorkeeper_open(&s->door, agent->door);
	s->term = term_start(agent->ballots);
	if (!s->term)
		fatalx("no thread for ballots");
	s->health = health_start(on_health, s);
	if (!s->health)
		fatalx("no thread for health checks");
	desired_check(s->desired, s->health);
	look(s);
	err = rpc_client_start(&s->client,
			       &(struct rpc_client_config){
				       .target = agent->controller,
				       .method = METHOD,
				       .tls = {readable_path(agent->tls.ca, copies[0], paths[0]),
					       readable_path(agent->tls.cert, copies[1], paths[1]),
					       readable_path(agent->tls.key, copies[2], paths[2])},
				       .backoff_most_ms = 2000,
				       .connected = on_connected,
				       .message = on_message,
				       .lost = on_lost,
				       .context = s,
			       });
	if (err)
		fatalx("the certificate, its key or the CA cannot be used: %s", strerror(-err));
	status = loop(s);
	rpc_client_stop(s->client);
	desired_free(s->desired);
	mailbox_free(s->mailbox);
	free(s);
	return status;
}
