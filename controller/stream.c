// SPDX-License-Identifier: Apache-2.0
// The nodes' side of the controller: who is connected, and how far each has been told.
//
// Three kinds of threads meet here. gRPC's one (lib/rpc.h) reads reports and notes who came, who
// went and who can take more. The store's committers note that there is something new. One worker
// does the rest: it alone has the desired state, and sends.
#include "controller/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controller/desired.h"
#include "controller/status.h"
#include "controller/store.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "lib/rpc.h"
#include "node.pb-c.h"
#include "shared/function.h"
#include "shared/limits.h"

#define METHOD "/zeta.node.v1.Controller/Stream"
#define RETRY_MS 1000 // when the store or memory fails
#define REASON_MAX 256
#define TEXT_MOST 4096 // of a report's version and error
#define FUNCTIONS_MOST ((size_t)PUSHED_FUNCTIONS * FUNCTION_PLACES)
#define WHY_MOST 4096	  // of what a verifier says, as nodes cut it
#define VERDICTS_MOST 256 // there are fewer (shared/verdicts.def)

typedef Zeta__Node__V1__Report Report;

// A connected node or host.
struct peer {
	struct rpc_stream *stream;
	char name[OBJECT_ID]; // as in its certificate

	// gRPC's thread.
	struct peer *next_open;

	// Under the stream's lock.
	bool spoke;   // its first report came
	bool loaded;  // that said that it has programs loaded
	bool blocked; // its queue is full
	bool closed;  // the worker frees it

	// The worker's.
	struct peer *next;
	bool told;		  // it has a snapshot, as a member or as nobody
	bool member;		  // it was known when it was told
	struct membership groups; // then
	uint64_t sent;		  // revision, with what is unsent
	uint64_t changed;	  // revision of the last update that had something for it
	struct update *unsent;	  // what its queue did not take yet
};

struct stream {
	struct store *store;
	struct status *status;
	struct rpc_server *server;
	pthread_t worker;

	struct peer *open; // gRPC's thread

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool work;    // something of what follows changed, or a peer's flags
	bool changed; // the store
	bool stopping;
	struct peer *arrived;

	// The worker's.
	struct desired *desired;
	struct peer *peers;
};

static void notify(struct stream *s, bool *flag)
{
	pthread_mutex_lock(&s->lock);
	*flag = true;
	s->work = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

static void store_changed(uint64_t revision, void *arg)
{
	struct stream *s = arg;

	notify(s, &s->changed);
}

// ---- gRPC's thread

static int peer_opened(void *context, struct rpc_stream *stream, const char *name, void **user)
{
	struct stream *s = context;
	struct peer *peer;

	if (strlen(name) >= sizeof(peer->name))
		return -EACCES;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	// It came anew before we noticed that it was gone; or two run with one certificate, which
	// both will see in their logs.
	for (struct peer *old = s->open; old; old = old->next_open)
		if (!strcmp(old->name, name))
			rpc_stream_close(old->stream, "another stream came with this certificate");
	memcpy(peer->name, name, strlen(name) + 1);
	peer->stream = rpc_stream_ref(stream);
	peer->next_open = s->open;
	s->open = peer;
	pthread_mutex_lock(&s->lock);
	peer->next = s->arrived;
	s->arrived = peer;
	pthread_mutex_unlock(&s->lock);
	log_info("%s: connected", name);
	*user = peer;
	return 0;
}

static json_t *verdicts_json(const Report *report)
{
	json_t *verdicts = json_object();

	for (size_t i = 0; verdicts && i < report->n_verdicts; i++) {
		const Zeta__Node__V1__VerdictCount *v = report->verdicts[i];

		if (json_object_set_new(verdicts, v->name,
					json_pack("{s:I, s:I}", "packets", (json_int_t)v->packets,
						  "bytes", (json_int_t)v->bytes))) {
			json_decref(verdicts);
			return NULL;
		}
	}
	return verdicts;
}

static json_t *ports_json(const Report *report)
{
	json_t *ports = json_array();

	for (size_t i = 0; ports && i < report->n_ready_port; i++) {
		if (json_array_append_new(ports, json_string(report->ready_port[i]))) {
			json_decref(ports);
			return NULL;
		}
	}
	return ports;
}

static json_t *name_json(const Zeta__Node__V1__Name *name)
{
	return json_pack("{s:I, s:I}", "node", (json_int_t)name->node, "boot",
			 (json_int_t)name->boot);
}

static json_t *names_json(Zeta__Node__V1__Name *const *names, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++) {
		if (json_array_append_new(list, name_json(names[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *chain_json(const Zeta__Node__V1__ChainState *chain)
{
	json_t *live = names_json(chain->live, chain->n_live);

	return json_pack("{s:I, s:I, s:I, s:o, s:o, s:b, s:b, s:I, s:I, s:I, s:o, s:I, s:I}",
			 "number", (json_int_t)chain->number, "epoch", (json_int_t)chain->epoch,
			 "term", (json_int_t)chain->term, "live", live, "learner",
			 chain->learner ? name_json(chain->learner) : json_null(), "acts",
			 chain->acts, "leased", chain->leased, "copied", (json_int_t)chain->copied,
			 "to_copy", (json_int_t)chain->to_copy, "voters_epoch",
			 (json_int_t)chain->voters_epoch, "voters",
			 names_json(chain->voter, chain->n_voter), "move", (json_int_t)chain->move,
			 "to_move", (json_int_t)chain->to_move);
}

static json_t *chains_json(const Report *report)
{
	json_t *chains = json_array();

	for (size_t i = 0; chains && i < report->n_chain; i++) {
		if (json_array_append_new(chains, chain_json(report->chain[i]))) {
			json_decref(chains);
			return NULL;
		}
	}
	return chains;
}

static json_t *peers_json(const Report *report)
{
	json_t *peers = json_array();

	for (size_t i = 0; peers && i < report->n_peer; i++) {
		const Zeta__Node__V1__PeerState *peer = report->peer[i];

		if (json_array_append_new(
			    peers, json_pack("{s:I, s:I, s:b, s:b, s:I, s:b, s:b}", "node",
					     (json_int_t)peer->node, "boot", (json_int_t)peer->boot,
					     "alive", peer->alive, "hears_us", peer->hears_us,
					     "silent_ms", (json_int_t)peer->silent_ms, "called",
					     peer->is_called, "answers", peer->answers))) {
			json_decref(peers);
			return NULL;
		}
	}
	return peers;
}

static json_t *reasons_json(const Zeta__Node__V1__FunctionState *f)
{
	json_t *reasons = json_array();

	for (size_t i = 0; reasons && i < f->n_reason; i++) {
		if (json_array_append_new(reasons, json_integer((json_int_t)f->reason[i]))) {
			json_decref(reasons);
			return NULL;
		}
	}
	return reasons;
}

static json_t *functions_json(const Report *report)
{
	json_t *functions = json_array();
	char digest[17];

	for (size_t i = 0; functions && i < report->n_function; i++) {
		const Zeta__Node__V1__FunctionState *f = report->function[i];

		snprintf(digest, sizeof(digest), "%016" PRIx64, f->digest);
		if (json_array_append_new(
			    functions,
			    json_pack(
				    "{s:I, s:I, s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
				    "slot", (json_int_t)f->slot, "place", (json_int_t)f->place,
				    "digest", digest, "loaded", f->loaded, "why",
				    json_string(f->why) ?: json_string("not text"), "runs",
				    (json_int_t)f->runs, "dropped", (json_int_t)f->dropped,
				    "beyond", (json_int_t)f->beyond, "timed", (json_int_t)f->timed,
				    "timed_ns", (json_int_t)f->timed_ns, "longest_ns",
				    (json_int_t)f->longest_ns, "reasons", reasons_json(f)))) {
			json_decref(functions);
			return NULL;
		}
	}
	return functions;
}

// A node may err, or lie: nothing that it says makes us keep more than a node can have.
static bool is_bounded(const Report *report)
{
	if (report->n_verdicts > VERDICTS_MOST || report->n_ready_port > MAX_LOCAL_PORTS ||
	    report->n_chain > MAX_CHAINS || report->n_peer > MAX_NODES ||
	    strlen(report->version) > TEXT_MOST || strlen(report->error) > TEXT_MOST)
		return false;
	for (size_t i = 0; i < report->n_verdicts; i++)
		if (strlen(report->verdicts[i]->name) >= OBJECT_ID)
			return false;
	for (size_t i = 0; i < report->n_ready_port; i++)
		if (strlen(report->ready_port[i]) >= OBJECT_ID)
			return false;
	if (report->n_function > FUNCTIONS_MOST)
		return false;
	for (size_t i = 0; i < report->n_function; i++)
		if (strlen(report->function[i]->why) > WHY_MOST ||
		    report->function[i]->n_reason > ZETA_REASONS)
			return false;
	for (size_t i = 0; i < report->n_nat; i++)
		if (report->nat[i]->address.len != sizeof(struct in6_addr))
			return false;
	if (report->n_backend > MAX_CHECKED)
		return false;
	for (size_t i = 0; i < report->n_backend; i++)
		if (strlen(report->backend[i]->load_balancer) >= OBJECT_ID ||
		    strlen(report->backend[i]->backend) >= OBJECT_ID ||
		    strlen(report->backend[i]->why) > TEXT_MOST)
			return false;
	for (size_t i = 0; i < report->n_chain; i++)
		if (report->chain[i]->number >= MAX_CHAINS ||
		    report->chain[i]->n_live > MAX_CHAIN_LENGTH ||
		    report->chain[i]->n_voter > MAX_VOTERS)
			return false;
	return true;
}

static json_t *vpcs_json(const Report *report)
{
	json_t *vpcs = json_array();

	for (size_t i = 0; vpcs && i < report->n_vpc; i++) {
		const Zeta__Node__V1__VpcUsage *v = report->vpc[i];

		if (json_array_append_new(
			    vpcs,
			    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "vni",
				      (json_int_t)v->vni, "sessions", (json_int_t)v->sessions,
				      "half_open", (json_int_t)v->half_open,
				      "refused_first_packets", (json_int_t)v->refused_first_packets,
				      "refused_sessions", (json_int_t)v->refused_sessions,
				      "refused_half_open", (json_int_t)v->refused_half_open,
				      "refused_packets", (json_int_t)v->refused_packets))) {
			json_decref(vpcs);
			return NULL;
		}
	}
	return vpcs;
}

static json_t *nats_json(const Report *report)
{
	json_t *nats = json_array();
	char text[ADDRESS_TEXT];
	struct in6_addr address;

	for (size_t i = 0; nats && i < report->n_nat; i++) {
		const Zeta__Node__V1__NatRefusal *nat = report->nat[i];

		memcpy(&address, nat->address.data, sizeof(address));
		if (json_array_append_new(nats,
					  json_pack("{s:I, s:s, s:I}", "vni", (json_int_t)nat->vni,
						    "address", address_text(&address, text),
						    "refused", (json_int_t)nat->refused))) {
			json_decref(nats);
			return NULL;
		}
	}
	return nats;
}

static json_t *backend_json(const Zeta__Node__V1__BackendState *b)
{
	return json_pack("{s:I, s:I, s:s, s:I, s:s}", "protocol", (json_int_t)b->protocol, "port",
			 (json_int_t)b->port, "backend", b->backend, "health",
			 (json_int_t)b->health, "why", b->why);
}

// {load balancer: its backends}
static json_t *backends_json(const Report *report)
{
	json_t *all = json_object(), *list;

	for (size_t i = 0; all && i < report->n_backend; i++) {
		const Zeta__Node__V1__BackendState *b = report->backend[i];

		list = json_object_get(all, b->load_balancer);
		if (!list) {
			list = json_array();
			if (json_object_set_new(all, b->load_balancer, list))
				list = NULL;
		}
		if (!list || json_array_append_new(list, backend_json(b))) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}

// What status_report() takes. NULL: no memory, too much of something, or text that is not UTF-8.
static json_t *report_json(const Report *report)
{
	char digest[17];

	if (!is_bounded(report))
		return NULL;
	snprintf(digest, sizeof(digest), "%016" PRIx64, report->session_digest);
	return json_pack(
		"{s:b, s:I, s:s, s:I, s:s, s:o, s:I, s:s, s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:I, "
		"s:b, s:o, s:o}",
		"connected", 1, "boot", (json_int_t)report->boot, "version", report->version,
		"revision", (json_int_t)report->revision, "error", report->error, "verdicts",
		verdicts_json(report), "sessions", (json_int_t)report->sessions, "session_digest",
		digest, "cached", (json_int_t)report->cached, "vpcs", vpcs_json(report),
		"ready_ports", ports_json(report), "chains", chains_json(report), "swept",
		(json_int_t)report->swept, "cleared", (json_int_t)report->cleared, "peers",
		peers_json(report), "functions", functions_json(report), "side",
		(json_int_t)report->side, "away", report->away, "backends", backends_json(report),
		"nats", nats_json(report));
}

static void report_came(struct stream *s, struct peer *peer, const Report *report)
{
	char why[REASON_MAX];
	json_t *json;
	bool first;

	if (strcmp(report->name, peer->name) != 0) {
		snprintf(why, sizeof(why),
			 "the certificate is for \"%s\", the report from \"%.64s\"", peer->name,
			 report->name);
		log_warnx("%s: refused: %s", peer->name, why);
		rpc_stream_close(peer->stream, why);
		return;
	}
	json = report_json(report);
	if (!json || status_report(s->status, peer->name, json)) {
		log_warnx("%s: refused: its report makes no sense", peer->name);
		rpc_stream_close(peer->stream, "the report makes no sense");
		return;
	}
	if (report->error[0])
		log_warnx("%s: cannot apply what it should be: %s", peer->name, report->error);
	pthread_mutex_lock(&s->lock);
	first = !peer->spoke;
	if (first)
		peer->loaded = report->boot != 0;
	pthread_mutex_unlock(&s->lock);
	if (first)
		notify(s, &peer->spoke);
}

static void peer_message(void *context, struct rpc_stream *stream, void *user, const void *bytes,
			 size_t size)
{
	struct stream *s = context;
	struct peer *peer = user;
	Report *report = zeta__node__v1__report__unpack(NULL, size, bytes);

	if (!report) {
		log_warnx("%s: refused: its report cannot be read", peer->name);
		rpc_stream_close(stream, "the report cannot be read");
		return;
	}
	report_came(s, peer, report);
	zeta__node__v1__report__free_unpacked(report, NULL);
}

static void peer_writable(void *context, struct rpc_stream *stream, void *user)
{
	struct stream *s = context;
	struct peer *peer = user;

	pthread_mutex_lock(&s->lock);
	peer->blocked = false;
	s->work = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

static void peer_closed(void *context, struct rpc_stream *stream, void *user)
{
	struct stream *s = context;
	struct peer *peer = user, **at = &s->open, *other;

	while (*at != peer)
		at = &(*at)->next_open;
	*at = peer->next_open;
	for (other = s->open; other && strcmp(other->name, peer->name) != 0;)
		other = other->next_open;
	if (!other) {
		status_disconnected(s->status, peer->name);
		log_info("%s: disconnected", peer->name);
	}
	notify(s, &peer->closed);
}

// ---- the worker

// What the others noted of a peer.
struct flags {
	bool ready; // to be sent something
	bool loaded;
	bool closed;
};

static void set_blocked(struct stream *s, struct peer *peer, bool blocked)
{
	pthread_mutex_lock(&s->lock);
	peer->blocked = blocked;
	pthread_mutex_unlock(&s->lock);
}

static struct flags flags_of(struct stream *s, const struct peer *peer)
{
	struct flags flags;

	pthread_mutex_lock(&s->lock);
	flags = (struct flags){.ready = peer->spoke && !peer->blocked && !peer->closed,
			       .loaded = peer->loaded,
			       .closed = peer->closed};
	pthread_mutex_unlock(&s->lock);
	return flags;
}

// Sends what there is for the peer, as far as its queue takes it; the rest when it has room.
static int send_unsent(struct stream *s, struct peer *peer)
{
	struct update *update;
	int err = 0;

	while (!err && (update = peer->unsent)) {
		// Set before, because the queue may tell of room before we know that it was full.
		set_blocked(s, peer, true);
		err = rpc_stream_send(peer->stream, update->bytes, update->size);
		if (err == -EAGAIN)
			return 0;
		set_blocked(s, peer, false);
		if (!err) {
			peer->unsent = update->next;
			free(update);
		}
	}
	if (err == -EMSGSIZE) {
		log_warnx("%s: an object is larger than a message can be", peer->name);
		rpc_stream_close(peer->stream, "an object is larger than a message can be");
	}
	// It is going, and gets a snapshot when it comes again.
	if (err == -ENOTCONN || err == -EMSGSIZE)
		return 0;
	return err;
}

// Finds what the peer lacks of the desired state, which may be nothing.
static int prepare(struct stream *s, struct peer *peer, bool loaded)
{
	uint64_t revision = desired_revision(s->desired);
	struct membership groups;
	int err = desired_membership(s->desired, peer->name, &groups);
	bool member = !err, snapshot;

	if (err && err != -ENOENT)
		return err;
	if (!member) {
		// Not known yet, or not any more. What it still has loaded it has to let go of; but
		// not on the word of a controller that lost its store and knows nothing at all.
		if (peer->told ? !peer->member : !loaded || !revision)
			return 0;
		err = desired_snapshot(s->desired, NULL, RPC_MESSAGE_MAX, &peer->unsent);
		snapshot = true;
	} else {
		snapshot = !peer->told || !peer->member ||
			   memcmp(&groups, &peer->groups, sizeof(groups)) != 0;
		if (!snapshot && peer->sent == revision)
			return 0;
		err = snapshot ? desired_snapshot(s->desired, &groups, RPC_MESSAGE_MAX,
						  &peer->unsent)
			       : desired_delta(s->desired, &groups, peer->sent, RPC_MESSAGE_MAX,
					       &peer->unsent);
	}
	if (err)
		return err;
	if (peer->unsent)
		log_debug("%s: %s of revision %" PRIu64, peer->name,
			  snapshot ? "a snapshot" : "what changed", revision);
	peer->told = true;
	peer->member = member;
	peer->sent = revision;
	if (peer->unsent)
		peer->changed = revision;
	if (member)
		peer->groups = groups;
	return status_told(s->status, peer->name, peer->changed, revision);
}

// Brings one peer up to the desired state, or does nothing where it is.
static int tell(struct stream *s, struct peer *peer, bool loaded)
{
	int err = 0;

	do {
		if (!peer->unsent && ((err = prepare(s, peer, loaded)) || !peer->unsent))
			return err;
		err = send_unsent(s, peer);
	} while (!err && !peer->unsent); // what was left over is sent: there may be newer
	return err;
}

static void peer_free(struct peer *peer)
{
	rpc_stream_unref(peer->stream);
	updates_freep(&peer->unsent);
	free(peer);
}

// Tells everybody, and forgets what nobody needs any more. Returns what failed first, if anything.
static int tell_all(struct stream *s)
{
	uint64_t oldest = desired_revision(s->desired);
	struct peer **at = &s->peers, *peer;
	struct flags flags;
	int err, first = 0;

	while ((peer = *at)) {
		flags = flags_of(s, peer);
		if (flags.closed) {
			*at = peer->next;
			peer_free(peer);
			continue;
		}
		err = flags.ready ? tell(s, peer, flags.loaded) : 0;
		first = first ? first : err;
		if (peer->told && peer->sent < oldest)
			oldest = peer->sent;
		at = &peer->next;
	}
	desired_forget(s->desired, oldest);
	return first;
}

static void *work(void *argument)
{
	struct stream *s = argument;
	bool changed = false;
	int err = 0;

	for (;;) {
		struct timespec retry;

		clock_gettime(CLOCK_MONOTONIC, &retry);
		retry.tv_sec += RETRY_MS / 1000;
		pthread_mutex_lock(&s->lock);
		while (!s->work && !s->stopping)
			if (!err)
				pthread_cond_wait(&s->wake, &s->lock);
			else if (pthread_cond_timedwait(&s->wake, &s->lock, &retry) == ETIMEDOUT)
				break;
		changed = changed || s->changed;
		s->work = s->changed = false;
		for (struct peer *peer; (peer = s->arrived);) {
			s->arrived = peer->next;
			peer->next = s->peers;
			s->peers = peer;
		}
		if (s->stopping) {
			pthread_mutex_unlock(&s->lock);
			return NULL;
		}
		pthread_mutex_unlock(&s->lock);

		err = changed ? desired_update(s->desired) : 0;
		changed = err != 0;
		if (!err)
			err = tell_all(s);
		if (err)
			log_warnx("cannot tell the nodes, tries again: %s", strerror(-err));
	}
}

// ---- start and stop

static void stream_free(struct stream *s)
{
	struct peer *peer;

	while ((peer = s->arrived)) {
		s->arrived = peer->next;
		peer_free(peer);
	}
	while ((peer = s->peers)) {
		s->peers = peer->next;
		peer_free(peer);
	}
	desired_freep(&s->desired);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
	free(s);
}

static struct stream *stream_new(struct store *store, struct status *status)
{
	struct stream *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (!s)
		return NULL;
	s->store = store;
	s->status = status;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return s;
}

static void worker_stop(struct stream *s)
{
	notify(s, &s->stopping);
	pthread_join(s->worker, NULL);
}

int stream_start(struct stream **out, struct store *store, struct status *status,
		 const struct stream_config *config)
{
	struct stream *s = stream_new(store, status);
	struct rpc_server_config server = {
		.listen = config->listen,
		.method = METHOD,
		.tls = {config->ca, config->cert, config->key},
		.opened = peer_opened,
		.message = peer_message,
		.writable = peer_writable,
		.closed = peer_closed,
		.context = s,
	};
	int err;

	if (!s)
		return -ENOMEM;
	// First listen, then read: so no change falls in between.
	if ((err = store_listen(store, store_changed, s)))
		goto free;
	if ((err = desired_new(&s->desired, store)))
		goto unlisten;
	if ((err = -pthread_create(&s->worker, NULL, work, s)))
		goto unlisten;
	if ((err = rpc_server_start(&s->server, &server)))
		goto stop;
	*out = s;
	return 0;
stop:
	worker_stop(s);
unlisten:
	store_unlisten(store, store_changed, s);
free:
	stream_free(s);
	return err;
}

unsigned int stream_port(const struct stream *stream)
{
	return rpc_server_port(stream->server);
}

void stream_stop(struct stream **pointer)
{
	struct stream *s = *pointer;

	if (!s)
		return;
	rpc_server_stop(s->server);
	worker_stop(s);
	store_unlisten(s->store, store_changed, s);
	stream_free(s);
	*pointer = NULL;
}
