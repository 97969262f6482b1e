// SPDX-License-Identifier: Apache-2.0
// Bidirectional streams of byte messages over gRPC's C core, mutual TLS, reconnecting client.
#include "lib/rpc.h"

#include <errno.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/own.h"

#define PEM_MAX (1u << 20)     // bytes of a TLS file; more is not a certificate
#define KEEPALIVE_MS 10000     // a peer that vanished is noticed after this ...
#define KEEPALIVE_WAIT_MS 5000 // ... and this
#define CONNECT_MS 20000       // an attempt that takes longer is given up
#define BACKOFF_FIRST_MS 200
#define BACKOFF_MOST_MS 10000
#define BACKOFF_JITTER_PART 5 // a pause is longer or shorter by up to this part of it
#define REASON_MAX 512

// The server puts this into its initial metadata when it takes a stream. Without it a client
// cannot tell a stream that was taken from one refused at once: gRPC gives (empty) initial
// metadata for both.
#define TAKEN_KEY "zeta-stream"

// ---- TLS files

struct pem {
	char *ca;
	char *cert;
	char *key;
};

static void pem_free(struct pem *p)
{
	free(p->ca);
	free(p->cert);
	if (p->key)
		explicit_bzero(p->key, strlen(p->key));
	free(p->key);
	*p = (struct pem){};
}

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

static void x509_freep(X509 **certificate)
{
	X509_free(*certificate);
}

static void key_freep(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

// gRPC says no more than "failed" of bad files, and says it late.
static int pem_check(const struct pem *p)
{
	auto_(bio_freep) BIO *ca_bio = BIO_new_mem_buf(p->ca, -1);
	auto_(bio_freep) BIO *cert_bio = BIO_new_mem_buf(p->cert, -1);
	auto_(bio_freep) BIO *key_bio = BIO_new_mem_buf(p->key, -1);
	auto_(x509_freep) X509 *ca = ca_bio ? PEM_read_bio_X509(ca_bio, NULL, NULL, NULL) : NULL;
	auto_(x509_freep) X509 *cert =
		cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
	// The empty password: without one OpenSSL asks on the terminal.
	auto_(key_freep) EVP_PKEY *key =
		key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, (void *)"") : NULL;

	return ca && cert && key && X509_check_private_key(cert, key) == 1 ? 0 : -EINVAL;
}

static int pem_read(struct pem *out, const struct rpc_tls *tls)
{
	struct pem p = {};
	int err;

	if ((err = file_read(tls->ca, PEM_MAX, &p.ca, NULL)) ||
	    (err = file_read(tls->cert, PEM_MAX, &p.cert, NULL)) ||
	    (err = file_read(tls->key, PEM_MAX, &p.key, NULL)) || (err = pem_check(&p))) {
		pem_free(&p);
		return err;
	}
	*out = p;
	return 0;
}

// ---- a stream, as both sides have it

// What a completion is about. Its address is gRPC's tag.
enum event {
	EVENT_CALL,	// server: somebody calls
	EVENT_OPENED,	// the initial metadata was sent, or (client) received
	EVENT_RECEIVED, // a message came, or the peer sends no more
	EVENT_SENT,	// a message was sent
	EVENT_STATUS,	// server: the status was sent
	EVENT_ENDED,	// all is over
	EVENT_SHUTDOWN, // server: nothing new comes
	EVENTS,
};

struct tag {
	enum event event;
	struct rpc_stream *stream; // NULL: the server itself
};

struct unsent {
	struct unsent *next;
	grpc_byte_buffer *message;
	size_t size;
};

struct rpc_stream {
	pthread_mutex_t lock; // guards all that a send may touch: up to "the owning thread's"
	unsigned int references;
	grpc_call *call;
	unsigned int pending; // batches in flight
	bool open;	      // sending is allowed
	bool writing;	      // the head of the queue is in flight
	bool full;	      // somebody was refused and is to be told
	bool closing;	      // the status follows when the queue is empty
	char *why;	      // of the status
	struct unsent *first, **last;
	size_t queued, queue_max;

	// The owning thread's.
	struct tag tag[EVENTS];
	grpc_byte_buffer *received;
	grpc_metadata_array metadata, trailing;
	grpc_status_code status;
	grpc_slice details;
	int cancelled;
	bool taken; // server: the caller took it; client: connected was called
	void *user;
	struct rpc_stream *next, **previous; // server: list of streams
};

static struct rpc_stream *stream_new(size_t queue_max)
{
	struct rpc_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->references = 1;
	s->last = &s->first;
	s->queue_max = queue_max;
	s->details = grpc_empty_slice();
	grpc_metadata_array_init(&s->metadata);
	grpc_metadata_array_init(&s->trailing);
	for (int i = 0; i < EVENTS; i++)
		s->tag[i] = (struct tag){i, s};
	return s;
}

struct rpc_stream *rpc_stream_ref(struct rpc_stream *stream)
{
	__atomic_add_fetch(&stream->references, 1, __ATOMIC_RELAXED);
	return stream;
}

// Call with the lock held, and nothing in flight that uses the queue's head.
static void drop_unsent(struct rpc_stream *s)
{
	struct unsent *u;

	while ((u = s->first)) {
		s->first = u->next;
		grpc_byte_buffer_destroy(u->message);
		free(u);
	}
	s->last = &s->first;
	s->queued = 0;
}

void rpc_stream_unref(struct rpc_stream *stream)
{
	if (__atomic_sub_fetch(&stream->references, 1, __ATOMIC_ACQ_REL))
		return;
	drop_unsent(stream);
	grpc_metadata_array_destroy(&stream->metadata);
	grpc_metadata_array_destroy(&stream->trailing);
	grpc_slice_unref(stream->details);
	pthread_mutex_destroy(&stream->lock);
	free(stream->why);
	free(stream);
}

static void stream_unrefp(struct rpc_stream **stream)
{
	if (*stream)
		rpc_stream_unref(*stream);
}

// Call with the lock held, but for the first batches of a stream that nobody else knows yet. An
// error is a mistake of this file (see grpc_call_error), so it is fatal.
static void start(struct rpc_stream *s, enum event event, const grpc_op *ops, size_t count)
{
	grpc_call_error err = grpc_call_start_batch(s->call, ops, count, &s->tag[event], NULL);

	if (err != GRPC_CALL_OK)
		fatalx("rpc: batch %d: %s", event, grpc_call_error_to_string(err));
	s->pending++;
}

static void start_receiving(struct rpc_stream *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->received};

	start(s, EVENT_RECEIVED, &op, 1);
}

// With the lock held: sends the next message of the queue, or the status where that is next.
static void go_on_sending(struct rpc_stream *s)
{
	if (s->writing || !s->call)
		return;
	if (s->first) {
		grpc_op op = {.op = GRPC_OP_SEND_MESSAGE,
			      .data.send_message.send_message = s->first->message};

		s->writing = true;
		start(s, EVENT_SENT, &op, 1);
	} else if (s->closing) {
		grpc_slice why = grpc_slice_from_copied_string(s->why ? s->why : "");
		grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
			      .data.send_status_from_server = {.status = GRPC_STATUS_UNAVAILABLE,
							       .status_details = &why}};

		s->closing = false;
		start(s, EVENT_STATUS, &op, 1);
		grpc_slice_unref(why);
	}
}

int rpc_stream_send(struct rpc_stream *stream, const void *bytes, size_t size)
{
	struct unsent *u = NULL;
	grpc_slice slice;
	int err = 0;

	if (size > RPC_MESSAGE_MAX)
		return -EMSGSIZE;
	pthread_mutex_lock(&stream->lock);
	if (!stream->open) {
		err = -ENOTCONN;
	} else if (stream->queued && stream->queued + size > stream->queue_max) {
		stream->full = true;
		err = -EAGAIN;
	} else if (!(u = calloc(1, sizeof(*u)))) {
		err = -ENOMEM;
	} else {
		slice = grpc_slice_from_copied_buffer(bytes, size);
		u->message = grpc_raw_byte_buffer_create(&slice, 1);
		grpc_slice_unref(slice);
		u->size = size;
		*stream->last = u;
		stream->last = &u->next;
		stream->queued += size;
		go_on_sending(stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return err;
}

// The head of the queue was sent. Returns whether somebody waits for room, and there is room.
static bool sent(struct rpc_stream *s, bool success)
{
	struct unsent *u;
	bool tell;

	pthread_mutex_lock(&s->lock);
	s->writing = false;
	u = s->first;
	s->first = u->next;
	if (!s->first)
		s->last = &s->first;
	s->queued -= u->size;
	grpc_byte_buffer_destroy(u->message);
	free(u);
	if (!success)
		s->open = false;
	if (!s->open && !s->closing)
		drop_unsent(s); // shut while this one was in flight
	else if (success)
		go_on_sending(s);
	tell = s->open && s->full && s->queued <= s->queue_max / 2;
	if (tell)
		s->full = false;
	pthread_mutex_unlock(&s->lock);
	return tell;
}

// No send gets in from here on. What is in flight completes by itself.
static void stream_shut(struct rpc_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->open = false;
	s->closing = false;
	if (!s->writing)
		drop_unsent(s);
	pthread_mutex_unlock(&s->lock);
}

// Takes one completed batch off. Returns whether it was the last one.
static bool completed(struct rpc_stream *s)
{
	bool last;

	pthread_mutex_lock(&s->lock);
	last = !--s->pending;
	pthread_mutex_unlock(&s->lock);
	return last;
}

// Hands the message that came to message(), as one piece. Returns false where none came.
static bool received(struct rpc_stream *s,
		     void (*message)(void *, struct rpc_stream *, const void *, size_t),
		     void *context)
{
	grpc_byte_buffer_reader reader;
	grpc_slice whole;

	if (!s->received)
		return false;
	if (grpc_byte_buffer_reader_init(&reader, s->received)) {
		whole = grpc_byte_buffer_reader_readall(&reader);
		grpc_byte_buffer_reader_destroy(&reader);
		message(context, s, GRPC_SLICE_START_PTR(whole), GRPC_SLICE_LENGTH(whole));
		grpc_slice_unref(whole);
	}
	grpc_byte_buffer_destroy(s->received);
	s->received = NULL;
	return true;
}

static void receive_more(struct rpc_stream *s)
{
	pthread_mutex_lock(&s->lock);
	start_receiving(s);
	pthread_mutex_unlock(&s->lock);
}

// The call is over: nothing is in flight and nothing will be.
static void stream_end_call(struct rpc_stream *s)
{
	grpc_call *call;

	pthread_mutex_lock(&s->lock);
	call = s->call;
	s->call = NULL;
	pthread_mutex_unlock(&s->lock);
	if (call)
		grpc_call_unref(call);
}

// ---- both sides

// gRPC explains on standard error what it also reports to us. We say what matters ourselves.
static void explain(gpr_log_func_args *args)
{
	log_debug("grpc: %s", args->message);
}

static void library_start(void)
{
	gpr_set_log_function(explain);
	grpc_init();
}

// The blocking form: with the other one threads and memory outlive the caller for a while, and
// whatever looks for leaks at exit finds them.
static void library_stop(void)
{
	grpc_shutdown_blocking();
}

static grpc_arg number(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static void drain(grpc_completion_queue *queue)
{
	grpc_completion_queue_shutdown(queue);
	while (grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
	       GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(queue);
}

// ---- client

struct rpc_client {
	struct rpc_client_config config; // with strings of its own
	struct pem pem;			 // the thread's
	char *complained;		 // the thread's: the reason that was logged last
	grpc_completion_queue *queue;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake; // stopping was set
	bool stopping;
	struct rpc_stream *stream;  // connected, sending works
	struct rpc_stream *attempt; // there is a call
};

int rpc_client_send(struct rpc_client *client, const void *bytes, size_t size)
{
	auto_(stream_unrefp) struct rpc_stream *s = NULL;

	pthread_mutex_lock(&client->lock);
	if (client->stream)
		s = rpc_stream_ref(client->stream);
	pthread_mutex_unlock(&client->lock);
	return s ? rpc_stream_send(s, bytes, size) : -ENOTCONN;
}

static grpc_channel *channel_new(const struct rpc_client *c)
{
	grpc_ssl_pem_key_cert_pair pair = {c->pem.key, c->pem.cert};
	grpc_channel_credentials *credentials =
		grpc_ssl_credentials_create_ex(c->pem.ca, &pair, NULL, NULL);
	grpc_arg args[] = {
		number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_MAX),
		number(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_WAIT_MS),
		number(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		number(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS),
		// Every attempt is a connection of its own, with the certificates of now.
		number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
		// What these would do behind our back: send the stream through the proxy of the
		// environment, repeat calls, fetch settings from DNS.
		number(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
		number(GRPC_ARG_ENABLE_RETRIES, 0),
		number(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
	};
	grpc_channel_args all = {sizeof(args) / sizeof(args[0]), args};
	grpc_channel *channel;

	if (!credentials)
		return NULL;
	channel = grpc_channel_create(c->config.target, credentials, &all);
	grpc_channel_credentials_release(credentials);
	return channel;
}

static void call_start(struct rpc_client *c, struct rpc_stream *s, grpc_channel *channel)
{
	grpc_slice method = grpc_slice_from_copied_string(c->config.method);
	grpc_op opening[] = {
		{.op = GRPC_OP_SEND_INITIAL_METADATA},
		{.op = GRPC_OP_RECV_INITIAL_METADATA,
		 .data.recv_initial_metadata.recv_initial_metadata = &s->metadata},
	};
	grpc_op status = {
		.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
		.data.recv_status_on_client = {.trailing_metadata = &s->trailing,
					       .status = &s->status,
					       .status_details = &s->details},
	};

	s->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->queue, method,
					   NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	grpc_slice_unref(method);
	start(s, EVENT_OPENED, opening, 2);
	start(s, EVENT_ENDED, &status, 1);
}

static bool was_taken(const struct rpc_stream *s)
{
	for (size_t i = 0; i < s->metadata.count; i++)
		if (!grpc_slice_str_cmp(s->metadata.metadata[i].key, TAKEN_KEY))
			return true;
	return false;
}

static void client_message(void *context, struct rpc_stream *s, const void *bytes, size_t size)
{
	struct rpc_client *c = context;

	c->config.message(c->config.context, bytes, size);
}

static void client_opened(struct rpc_client *c, struct rpc_stream *s)
{
	s->taken = true;
	pthread_mutex_lock(&s->lock);
	s->open = true;
	start_receiving(s);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_lock(&c->lock);
	c->stream = s;
	pthread_mutex_unlock(&c->lock);
	freep(&c->complained);
	c->config.connected(c->config.context);
}

// Runs one call to its end.
static void run_call(struct rpc_client *c, struct rpc_stream *s)
{
	gpr_timespec give_up = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
					    gpr_time_from_millis(CONNECT_MS, GPR_TIMESPAN));
	bool last = false;

	while (!last) {
		grpc_event e = grpc_completion_queue_next(
			c->queue, s->taken ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : give_up, NULL);
		struct tag *tag = e.tag;

		if (e.type == GRPC_QUEUE_TIMEOUT) {
			grpc_call_cancel_with_status(s->call, GRPC_STATUS_DEADLINE_EXCEEDED,
						     "no answer in time", NULL);
			give_up = gpr_inf_future(GPR_CLOCK_MONOTONIC);
			continue;
		}
		switch (tag->event) {
		case EVENT_OPENED:
			if (e.success && was_taken(s))
				client_opened(c, s);
			break;
		case EVENT_RECEIVED:
			if (received(s, client_message, c))
				receive_more(s);
			break;
		case EVENT_SENT:
			sent(s, e.success);
			break;
		case EVENT_ENDED:
			stream_shut(s);
			break;
		default:
			break;
		}
		last = completed(s);
	}
}

// One attempt, and all that comes of it. Returns for how many milliseconds it was connected.
static uint64_t client_attempt(struct rpc_client *c)
{
	auto_(stream_unrefp) struct rpc_stream *s = stream_new(c->config.queue_max);
	auto_(freep) char *details = NULL;
	grpc_channel *channel;
	uint64_t begin, end;
	struct pem renewed;
	char why[REASON_MAX];
	bool stopping;

	if (!s)
		return 0;
	if (!pem_read(&renewed, &c->config.tls)) {
		pem_free(&c->pem);
		c->pem = renewed;
	}
	channel = channel_new(c);
	if (!channel)
		return 0;
	begin = now_ms();
	call_start(c, s, channel);
	pthread_mutex_lock(&c->lock);
	c->attempt = s;
	stopping = c->stopping;
	pthread_mutex_unlock(&c->lock);
	if (stopping)
		grpc_call_cancel(s->call, NULL);

	run_call(c, s);

	pthread_mutex_lock(&c->lock);
	c->stream = NULL;
	c->attempt = NULL;
	stopping = c->stopping;
	pthread_mutex_unlock(&c->lock);
	end = now_ms();
	details = grpc_slice_to_c_string(s->details);
	snprintf(why, sizeof(why), "%s", *details ? details : "the server ended the stream");
	if (s->taken) {
		c->config.lost(c->config.context, why);
	} else if (!stopping && (!c->complained || strcmp(c->complained, why) != 0)) {
		log_warnx("%s: cannot connect, and goes on trying: %s", c->config.target, why);
		free(c->complained);
		c->complained = strdup(why);
	}
	stream_end_call(s);
	grpc_channel_destroy(channel);
	return s->taken ? end - begin : 0;
}

// Waits for about ms, or until stopping. Returns false when stopping.
static bool pause_about(struct rpc_client *c, unsigned int ms)
{
	unsigned int part = ms / BACKOFF_JITTER_PART;
	struct timespec until;
	bool stopping;

	ms = ms - part + arc4random_uniform(2 * part + 1);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&c->lock);
	while (!c->stopping && pthread_cond_timedwait(&c->wake, &c->lock, &until) != ETIMEDOUT)
		;
	stopping = c->stopping;
	pthread_mutex_unlock(&c->lock);
	return !stopping;
}

static void *client_run(void *argument)
{
	struct rpc_client *c = argument;
	unsigned int pause = c->config.backoff_first_ms;

	do {
		// A server that takes streams and drops them at once is no reason to hurry.
		if (client_attempt(c) >= c->config.backoff_most_ms)
			pause = c->config.backoff_first_ms;
		if (!pause_about(c, pause))
			break;
		pause = pause * 2 < c->config.backoff_most_ms ? pause * 2
							      : c->config.backoff_most_ms;
	} while (true);
	return NULL;
}

static void client_free(struct rpc_client *c)
{
	free((char *)c->config.target);
	free((char *)c->config.method);
	free((char *)c->config.tls.ca);
	free((char *)c->config.tls.cert);
	free((char *)c->config.tls.key);
	free(c->complained);
	pem_free(&c->pem);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->wake);
	free(c);
}

static int tls_copy(struct rpc_tls *out, const struct rpc_tls *from)
{
	out->ca = strdup(from->ca);
	out->cert = strdup(from->cert);
	out->key = strdup(from->key);
	return out->ca && out->cert && out->key ? 0 : -ENOMEM;
}

int rpc_client_start(struct rpc_client **out, const struct rpc_client_config *config)
{
	struct rpc_client *c = calloc(1, sizeof(*c));
	pthread_condattr_t monotonic;
	int err;

	if (!c)
		return -ENOMEM;
	c->config = *config;
	c->config.target = strdup(config->target);
	c->config.method = strdup(config->method);
	err = tls_copy(&c->config.tls, &config->tls);
	c->config.backoff_first_ms = config->backoff_first_ms ?: BACKOFF_FIRST_MS;
	c->config.backoff_most_ms = config->backoff_most_ms ?: BACKOFF_MOST_MS;
	c->config.queue_max = config->queue_max ?: RPC_QUEUE_MAX;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (err || !c->config.target || !c->config.method) {
		err = -ENOMEM;
		goto free;
	}
	if ((err = pem_read(&c->pem, &c->config.tls)))
		goto free;
	library_start();
	c->queue = grpc_completion_queue_create_for_next(NULL);
	if ((err = -pthread_create(&c->thread, NULL, client_run, c)))
		goto stop;
	*out = c;
	return 0;
stop:
	drain(c->queue);
	library_stop();
free:
	client_free(c);
	return err;
}

void rpc_client_stop(struct rpc_client *client)
{
	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	client->stopping = true;
	pthread_cond_signal(&client->wake);
	if (client->attempt)
		grpc_call_cancel(client->attempt->call, NULL);
	pthread_mutex_unlock(&client->lock);
	pthread_join(client->thread, NULL);
	drain(client->queue);
	library_stop();
	client_free(client);
}

// ---- server

struct rpc_server {
	struct rpc_server_config config; // of its strings only method, and that is our own
	grpc_server *server;
	grpc_completion_queue *queue;
	unsigned int port;
	pthread_t thread;
	struct tag call_tag, shutdown_tag;

	// The thread's.
	grpc_call *coming;
	grpc_call_details coming_details;
	grpc_metadata_array coming_metadata;
	bool down; // no call comes any more
	struct rpc_stream *streams;
};

void rpc_stream_close(struct rpc_stream *stream, const char *why)
{
	pthread_mutex_lock(&stream->lock);
	if (stream->open) {
		stream->open = false;
		stream->closing = true;
		stream->why = strdup(why);
		go_on_sending(stream);
	}
	pthread_mutex_unlock(&stream->lock);
}

static void await_call(struct rpc_server *v)
{
	grpc_call_details_init(&v->coming_details);
	grpc_metadata_array_init(&v->coming_metadata);
	v->coming = NULL;
	if (grpc_server_request_call(v->server, &v->coming, &v->coming_details, &v->coming_metadata,
				     v->queue, v->queue, &v->call_tag) != GRPC_CALL_OK)
		fatalx("rpc: cannot wait for calls");
}

// The common name of the certificate that the caller showed, which TLS has checked already.
// Returns 0 and the caller frees *out, or -EACCES where there is not exactly one sensible name.
static int common_name(char **out, grpc_call *call)
{
	grpc_auth_context *context = grpc_call_auth_context(call);
	grpc_auth_property_iterator names;
	const grpc_auth_property *name, *another;
	int err = -EACCES;

	if (!context)
		return -EACCES;
	names = grpc_auth_context_find_properties_by_name(context, GRPC_X509_CN_PROPERTY_NAME);
	name = grpc_auth_property_iterator_next(&names);
	another = grpc_auth_property_iterator_next(&names);
	// A name with a zero byte inside is somebody's trick, not a name.
	if (grpc_auth_context_peer_is_authenticated(context) && name && !another &&
	    name->value_length && strlen(name->value) == name->value_length) {
		*out = strdup(name->value);
		err = *out ? 0 : -ENOMEM;
	}
	grpc_auth_context_release(context);
	return err;
}

static void refuse(struct rpc_stream *s, grpc_status_code code, const char *why)
{
	grpc_slice details = grpc_slice_from_copied_string(why);
	grpc_op ops[] = {
		{.op = GRPC_OP_SEND_INITIAL_METADATA},
		{.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
		 .data.send_status_from_server = {.status = code, .status_details = &details}},
	};

	start(s, EVENT_STATUS, ops, 2);
	grpc_slice_unref(details);
}

static void take(struct rpc_server *v, struct rpc_stream *s, const char *name)
{
	grpc_metadata taken = {.key = grpc_slice_from_static_string(TAKEN_KEY),
			       .value = grpc_slice_from_static_string("1")};
	grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA,
		      .data.send_initial_metadata = {.count = 1, .metadata = &taken}};
	int err;

	// The metadata goes first: opened may send.
	s->open = true;
	s->writing = true;
	err = v->config.opened(v->config.context, s, name, &s->user);
	pthread_mutex_lock(&s->lock);
	s->writing = false;
	if (err) {
		s->open = false;
		s->closing = false;
		drop_unsent(s);
		refuse(s, GRPC_STATUS_PERMISSION_DENIED, strerror(-err));
	} else {
		s->taken = true;
		start(s, EVENT_OPENED, &op, 1);
		start_receiving(s);
		go_on_sending(s);
	}
	pthread_mutex_unlock(&s->lock);
}

static void call_came(struct rpc_server *v)
{
	struct rpc_stream *s = stream_new(v->config.queue_max);
	grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
	auto_(freep) char *name = NULL;
	bool ours = !grpc_slice_str_cmp(v->coming_details.method, v->config.method);

	grpc_call_details_destroy(&v->coming_details);
	grpc_metadata_array_destroy(&v->coming_metadata);
	if (!s) {
		grpc_call_unref(v->coming);
		return;
	}
	s->call = v->coming;
	close.data.recv_close_on_server.cancelled = &s->cancelled;
	s->next = v->streams;
	s->previous = &v->streams;
	if (s->next)
		s->next->previous = &s->next;
	v->streams = s;

	start(s, EVENT_ENDED, &close, 1);
	if (!ours)
		refuse(s, GRPC_STATUS_UNIMPLEMENTED, "there is no such method");
	else if (common_name(&name, s->call))
		refuse(s, GRPC_STATUS_UNAUTHENTICATED, "the certificate has no common name");
	else
		take(v, s, name);
}

static void stream_over(struct rpc_server *v, struct rpc_stream *s)
{
	*s->previous = s->next;
	if (s->next)
		s->next->previous = s->previous;
	if (s->taken)
		v->config.closed(v->config.context, s, s->user);
	stream_end_call(s);
	rpc_stream_unref(s);
}

static void server_message(void *context, struct rpc_stream *s, const void *bytes, size_t size)
{
	struct rpc_server *v = context;

	v->config.message(v->config.context, s, s->user, bytes, size);
}

static void stream_event(struct rpc_server *v, struct rpc_stream *s, enum event event, bool success)
{
	switch (event) {
	case EVENT_RECEIVED:
		if (received(s, server_message, v))
			receive_more(s);
		else
			rpc_stream_close(s, "you said all");
		break;
	case EVENT_SENT:
		if (sent(s, success) && v->config.writable)
			v->config.writable(v->config.context, s, s->user);
		break;
	case EVENT_ENDED:
		stream_shut(s);
		break;
	default:
		break;
	}
	if (completed(s))
		stream_over(v, s);
}

static void *server_run(void *argument)
{
	struct rpc_server *v = argument;

	await_call(v);
	while (!v->down || v->streams) {
		grpc_event e = grpc_completion_queue_next(
			v->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
		struct tag *tag = e.tag;

		if (tag->event == EVENT_SHUTDOWN) {
			v->down = true;
		} else if (tag->event != EVENT_CALL) {
			stream_event(v, tag->stream, tag->event, e.success);
		} else if (e.success) {
			call_came(v);
			await_call(v);
		} else {
			grpc_call_details_destroy(&v->coming_details);
			grpc_metadata_array_destroy(&v->coming_metadata);
		}
	}
	return NULL;
}

static grpc_server *server_new(void)
{
	grpc_arg args[] = {
		number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_MAX),
		number(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_WAIT_MS),
		number(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		// Clients ping every KEEPALIVE_MS; gRPC's default takes that for an attack.
		number(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, KEEPALIVE_MS / 2),
		// Or a second server on the same port would share it in silence.
		number(GRPC_ARG_ALLOW_REUSEPORT, 0),
	};
	grpc_channel_args all = {sizeof(args) / sizeof(args[0]), args};

	return grpc_server_create(&all, NULL);
}

static int server_listen(struct rpc_server *v, const char *listen, const struct pem *pem)
{
	grpc_ssl_pem_key_cert_pair pair = {pem->key, pem->cert};
	grpc_server_credentials *credentials = grpc_ssl_server_credentials_create_ex(
		pem->ca, &pair, 1, GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
		NULL);
	int port;

	if (!credentials)
		return -EINVAL;
	port = grpc_server_add_http2_port(v->server, listen, credentials);
	grpc_server_credentials_release(credentials);
	if (port <= 0)
		return -EADDRINUSE;
	v->port = (unsigned int)port;
	return 0;
}

int rpc_server_start(struct rpc_server **out, const struct rpc_server_config *config)
{
	auto_(freep) char *method = strdup(config->method);
	auto_(freep) struct rpc_server *v = calloc(1, sizeof(*v));
	struct pem pem = {};
	int err;

	if (!v || !method)
		return -ENOMEM;
	if ((err = pem_read(&pem, &config->tls)))
		return err;
	v->config = *config;
	v->config.method = method;
	v->config.queue_max = config->queue_max ?: RPC_QUEUE_MAX;
	v->call_tag.event = EVENT_CALL;
	v->shutdown_tag.event = EVENT_SHUTDOWN;
	library_start();
	v->server = server_new();
	v->queue = grpc_completion_queue_create_for_next(NULL);
	grpc_server_register_completion_queue(v->server, v->queue, NULL);
	err = server_listen(v, config->listen, &pem);
	pem_free(&pem);
	if (err)
		goto stop;
	grpc_server_start(v->server);
	if ((err = -pthread_create(&v->thread, NULL, server_run, v)))
		goto stop;
	take_ptr(method);
	*out = take_ptr(v);
	return 0;
stop:
	grpc_server_shutdown_and_notify(v->server, v->queue, &v->shutdown_tag);
	drain(v->queue);
	grpc_server_destroy(v->server);
	library_stop();
	return err;
}

unsigned int rpc_server_port(const struct rpc_server *server)
{
	return server->port;
}

void rpc_server_stop(struct rpc_server *server)
{
	if (!server)
		return;
	grpc_server_shutdown_and_notify(server->server, server->queue, &server->shutdown_tag);
	grpc_server_cancel_all_calls(server->server);
	pthread_join(server->thread, NULL);
	drain(server->queue);
	grpc_server_destroy(server->server);
	library_stop();
	free((char *)server->config.method);
	free(server);
}
