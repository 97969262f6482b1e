// SPDX-License-Identifier: Apache-2.0
// The stream wrapper over real TLS on the loopback: what it promises in rpc.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "lib/rpc.h"
#include "lib/test_certs.h"
#include "lib/test_wait.h"

#define METHOD "/zeta.test/Stream"

// What the callbacks of both sides saw. Tests wait for it to become what they expect.
struct seen {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int connected, lost, client_messages;
	unsigned int opened, closed, server_messages, writable;
	size_t client_bytes;
	uint64_t client_sum; // of all bytes, with their place
	char name[64];	     // of the client that came last
	char why[512];	     // of the last loss
	char last[64];	     // client message
	int refuse;	     // what opened returns
	bool echo;
	bool hold;		   // the client's message callback waits while set
	struct rpc_stream *stream; // the last one
	unsigned int sequence;	   // client: numbers that came in order
};

static char directory[] = "/tmp/zeta-rpc-XXXXXX";

static void changed(struct seen *s)
{
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void on_connected(void *context)
{
	struct seen *s = context;

	pthread_mutex_lock(&s->lock);
	s->connected++;
	changed(s);
}

static uint64_t sum_of(const uint8_t *bytes, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = sum * 31 + bytes[i];
	return sum;
}

static void on_client_message(void *context, const void *bytes, size_t size)
{
	struct seen *s = context;
	unsigned int number;

	pthread_mutex_lock(&s->lock);
	s->client_messages++;
	s->client_bytes += size;
	s->client_sum = sum_of(bytes, size);
	snprintf(s->last, sizeof(s->last), "%.*s", (int)size, (const char *)bytes);
	if (size >= sizeof(number)) {
		memcpy(&number, bytes, sizeof(number));
		if (number == s->sequence)
			s->sequence++;
	}
	pthread_cond_broadcast(&s->changed);
	while (s->hold)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void on_lost(void *context, const char *why)
{
	struct seen *s = context;

	pthread_mutex_lock(&s->lock);
	s->lost++;
	snprintf(s->why, sizeof(s->why), "%s", why);
	changed(s);
}

static int on_opened(void *context, struct rpc_stream *stream, const char *name, void **user)
{
	struct seen *s = context;
	int err;

	pthread_mutex_lock(&s->lock);
	err = s->refuse;
	s->opened++;
	s->stream = stream;
	snprintf(s->name, sizeof(s->name), "%s", name);
	changed(s);
	*user = s;
	return err;
}

static void on_server_message(void *context, struct rpc_stream *stream, void *user,
			      const void *bytes, size_t size)
{
	struct seen *s = context;

	assert_ptr_equal(user, s);
	pthread_mutex_lock(&s->lock);
	s->server_messages++;
	if (s->echo)
		assert_int_equal(rpc_stream_send(stream, bytes, size), 0);
	changed(s);
}

static void on_writable(void *context, struct rpc_stream *stream, void *user)
{
	struct seen *s = context;

	pthread_mutex_lock(&s->lock);
	s->writable++;
	changed(s);
}

static void on_closed(void *context, struct rpc_stream *stream, void *user)
{
	struct seen *s = context;

	pthread_mutex_lock(&s->lock);
	s->closed++;
	if (s->stream == stream)
		s->stream = NULL;
	changed(s);
}

static struct rpc_tls tls(char paths[3][CERT_PATH], const char *ca, const char *name)
{
	return (struct rpc_tls){cert_path(paths[0], directory, ca, "pem"),
				cert_path(paths[1], directory, name, "pem"),
				cert_path(paths[2], directory, name, "key")};
}

static struct rpc_server *server_start(struct seen *s, unsigned int port, size_t queue_max)
{
	struct rpc_server *server = NULL;
	char paths[3][CERT_PATH], listen[32];

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", port);
	assert_int_equal(
		rpc_server_start(&server,
				 &(struct rpc_server_config){.listen = listen,
							     .method = METHOD,
							     .tls = tls(paths, "ca", "server"),
							     .queue_max = queue_max,
							     .opened = on_opened,
							     .message = on_server_message,
							     .writable = on_writable,
							     .closed = on_closed,
							     .context = s}),
		0);
	return server;
}

static struct rpc_client *client_start_as(struct seen *s, unsigned int port, const char *ca,
					  const char *name, const char *method)
{
	struct rpc_client *client = NULL;
	char paths[3][CERT_PATH], target[32];

	snprintf(target, sizeof(target), "127.0.0.1:%u", port);
	assert_int_equal(
		rpc_client_start(&client, &(struct rpc_client_config){.target = target,
								      .method = method,
								      .tls = tls(paths, ca, name),
								      .backoff_first_ms = 10,
								      .backoff_most_ms = 100,
								      .connected = on_connected,
								      .message = on_client_message,
								      .lost = on_lost,
								      .context = s}),
		0);
	return client;
}

static struct rpc_client *client_start(struct seen *s, unsigned int port)
{
	return client_start_as(s, port, "ca", "node-a", METHOD);
}

#define SEEN                                                                                       \
	&(struct seen)                                                                             \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER             \
	}

static void echo_and_names(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	struct rpc_client *client = client_start(s, rpc_server_port(server));

	s->echo = true;
	wait_for(s, s->connected == 1);
	assert_string_equal(s->name, "node-a");
	assert_int_equal(rpc_client_send(client, "hello", 5), 0);
	wait_for(s, s->client_messages == 1);
	assert_string_equal(s->last, "hello");
	// An empty message is a message.
	assert_int_equal(rpc_client_send(client, "", 0), 0);
	wait_for(s, s->client_messages == 2);
	assert_int_equal(s->client_bytes, 5);
	rpc_client_stop(client);
	assert_int_equal(s->lost, 1);
	wait_for(s, s->closed == 1);
	rpc_server_stop(server);
	assert_int_equal(s->opened, 1);
	assert_int_equal(s->closed, 1);
}

static void big_messages(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	struct rpc_client *client = client_start(s, rpc_server_port(server));
	uint8_t *big = malloc(RPC_MESSAGE_MAX + 1);

	assert_non_null(big);
	for (size_t i = 0; i <= RPC_MESSAGE_MAX; i++)
		big[i] = (uint8_t)(i * 2654435761u >> 24);
	s->echo = true;
	wait_for(s, s->connected == 1);
	assert_int_equal(rpc_client_send(client, big, RPC_MESSAGE_MAX + 1), -EMSGSIZE);
	assert_int_equal(rpc_client_send(client, big, RPC_MESSAGE_MAX), 0);
	wait_for(s, s->client_messages == 1);
	assert_int_equal(s->client_bytes, RPC_MESSAGE_MAX);
	assert_int_equal(s->client_sum, sum_of(big, RPC_MESSAGE_MAX));
	rpc_client_stop(client);
	rpc_server_stop(server);
	free(big);
}

// Tries for a while in vain, while one that may come in does.
static void refused(struct seen *s, struct rpc_server *server, struct rpc_client *bad)
{
	struct seen *good = SEEN;
	struct rpc_client *client;
	unsigned int before = s->opened;

	for (unsigned int i = 1; i <= 3; i++) {
		client = client_start(good, rpc_server_port(server));
		wait_for(good, good->connected == i);
		wait_for(s, s->opened >= before + i);
		rpc_client_stop(client);
	}
	assert_int_equal(rpc_client_send(bad, "x", 1), -ENOTCONN);
	assert_int_equal(s->opened, before + 3);
	rpc_client_stop(bad);
}

static void foreign_client_is_refused(void **state)
{
	struct seen *s = SEEN, *bad = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	unsigned int port = rpc_server_port(server);

	// It trusts the server, but the server does not know who signed it.
	refused(s, server, client_start_as(bad, port, "ca", "foreign", METHOD));
	assert_int_equal(bad->connected, 0);
	assert_int_equal(bad->lost, 0);
	rpc_server_stop(server);
}

static void foreign_server_is_refused(void **state)
{
	struct seen *s = SEEN, *bad = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	unsigned int port = rpc_server_port(server);

	// The server would take it, but it does not know who signed the server.
	refused(s, server, client_start_as(bad, port, "other-ca", "node-a", METHOD));
	assert_int_equal(bad->connected, 0);
	rpc_server_stop(server);
}

static void other_method_is_refused(void **state)
{
	struct seen *s = SEEN, *bad = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	unsigned int port = rpc_server_port(server);

	refused(s, server, client_start_as(bad, port, "ca", "node-a", "/zeta.test/Other"));
	assert_int_equal(bad->connected, 0);
	rpc_server_stop(server);
}

static void handler_refuses_then_takes(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server;
	struct rpc_client *client;

	s->refuse = -EPERM;
	server = server_start(s, 0, 0);
	client = client_start(s, rpc_server_port(server));
	wait_for(s, s->opened >= 3);
	assert_int_equal(s->connected, 0);
	pthread_mutex_lock(&s->lock);
	s->refuse = 0;
	pthread_mutex_unlock(&s->lock);
	wait_for(s, s->connected == 1);
	assert_int_equal(s->closed, 0); // not for the refused ones
	rpc_client_stop(client);
	rpc_server_stop(server);
	assert_int_equal(s->closed, 1);
}

static void comes_back_after_restart(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	unsigned int port = rpc_server_port(server);
	struct rpc_client *client = client_start(s, port);

	s->echo = true;
	for (unsigned int i = 1; i <= 3; i++) {
		wait_for(s, s->connected == i);
		assert_int_equal(rpc_client_send(client, "again", 5), 0);
		wait_for(s, s->client_messages == i);
		rpc_server_stop(server);
		wait_for(s, s->lost == i);
		assert_int_equal(rpc_client_send(client, "x", 1), -ENOTCONN);
		assert_int_equal(s->closed, i);
		server = server_start(s, port, 0);
	}
	wait_for(s, s->connected == 4);
	rpc_client_stop(client);
	rpc_server_stop(server);
}

static void server_says_why(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	struct rpc_client *client = client_start(s, rpc_server_port(server));
	struct rpc_stream *stream;

	wait_for(s, s->connected == 1 && s->stream);
	stream = rpc_stream_ref(s->stream);
	// What was queued before is delivered before.
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(rpc_stream_send(stream, &i, sizeof(i)), 0);
	rpc_stream_close(stream, "the node was renamed");
	assert_int_equal(rpc_stream_send(stream, "x", 1), -ENOTCONN);
	wait_for(s, s->lost == 1);
	assert_int_equal(s->sequence, 100);
	assert_string_equal(s->why, "the node was renamed");
	wait_for(s, s->connected == 2);
	assert_int_equal(rpc_stream_send(stream, "x", 1), -ENOTCONN);
	rpc_stream_unref(stream);
	rpc_client_stop(client);
	rpc_server_stop(server);
}

#define MANY 100

static void many_streams(void **state)
{
	struct seen *s = SEEN, *mine = calloc(MANY, sizeof(*mine));
	struct rpc_server *server = server_start(s, 0, 0);
	struct rpc_client *client[MANY];
	char text[32];

	s->echo = true;
	for (int i = 0; i < MANY; i++) {
		mine[i] = *(SEEN);
		client[i] = client_start(&mine[i], rpc_server_port(server));
	}
	for (int i = 0; i < MANY; i++) {
		wait_for(&mine[i], mine[i].connected);
		snprintf(text, sizeof(text), "number %d", i);
		assert_int_equal(rpc_client_send(client[i], text, strlen(text)), 0);
	}
	for (int i = 0; i < MANY; i++) {
		wait_for(&mine[i], mine[i].client_messages);
		snprintf(text, sizeof(text), "number %d", i);
		assert_string_equal(mine[i].last, text);
	}
	for (int i = 0; i < MANY; i += 2) {
		rpc_client_stop(client[i]);
		client[i] = NULL;
	}
	wait_for(s, s->closed >= MANY / 2);
	// The rest is stopped by the server.
	rpc_server_stop(server);
	assert_int_equal(s->closed, s->opened);
	for (int i = 1; i < MANY; i += 2) {
		wait_for(&mine[i], mine[i].lost);
		rpc_client_stop(client[i]);
	}
	free(mine);
}

static void backpressure(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 1 << 20);
	struct rpc_client *client = client_start(s, rpc_server_port(server));
	static uint8_t block[64 << 10];
	struct rpc_stream *stream;
	unsigned int sent, rounds = 0;
	int err;

	pthread_mutex_lock(&s->lock);
	s->hold = true;
	pthread_mutex_unlock(&s->lock);
	wait_for(s, s->connected == 1 && s->stream);
	stream = rpc_stream_ref(s->stream);
	// The client does not read: at some point the queue is full, and stays within its bound.
	for (sent = 0; sent < 100000; sent++) {
		memcpy(block, &sent, sizeof(sent));
		if ((err = rpc_stream_send(stream, block, sizeof(block))))
			break;
	}
	assert_int_equal(err, -EAGAIN);
	assert_true(sent >= (1 << 20) / sizeof(block));
	assert_int_equal(rpc_stream_send(stream, block, sizeof(block)), -EAGAIN);
	assert_int_equal(s->writable, 0);
	pthread_mutex_lock(&s->lock);
	s->hold = false;
	changed(s);
	// It reads again: we hear of the room, once, and everything comes in order.
	for (unsigned int target = sent + 200; sent < target;) {
		memcpy(block, &sent, sizeof(sent));
		err = rpc_stream_send(stream, block, sizeof(block));
		if (!err) {
			sent++;
			continue;
		}
		assert_int_equal(err, -EAGAIN);
		rounds++;
		wait_for(s, s->writable >= rounds);
	}
	wait_for(s, s->sequence == sent);
	rpc_stream_unref(stream);
	rpc_client_stop(client);
	rpc_server_stop(server);
}

static void stops_while_it_cannot_read(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 1 << 20);
	struct rpc_client *client = client_start(s, rpc_server_port(server));
	static uint8_t block[64 << 10];

	s->hold = true;
	wait_for(s, s->connected == 1 && s->stream);
	while (!rpc_stream_send(s->stream, block, sizeof(block)))
		;
	// A server that is full and closing too does not wait for a client that does not read.
	rpc_stream_close(s->stream, "going down");
	rpc_server_stop(server);
	assert_int_equal(s->closed, 1);
	pthread_mutex_lock(&s->lock);
	s->hold = false;
	changed(s);
	rpc_client_stop(client);
}

struct sender {
	struct rpc_client *client;
	pthread_t thread;
};

#define SENDERS 4
#define SENDER_SENT 2000

static void *send_many(void *argument)
{
	struct sender *sender = argument;

	for (int i = 0; i < SENDER_SENT; i++)
		assert_int_equal(rpc_client_send(sender->client, &i, sizeof(i)), 0);
	return NULL;
}

static void sends_from_many_threads(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	struct rpc_client *client = client_start(s, rpc_server_port(server));
	struct sender sender[SENDERS];

	wait_for(s, s->connected == 1);
	for (int i = 0; i < SENDERS; i++) {
		sender[i].client = client;
		pthread_create(&sender[i].thread, NULL, send_many, &sender[i]);
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(sender[i].thread, NULL);
	wait_for(s, s->server_messages == SENDERS * SENDER_SENT);
	rpc_client_stop(client);
	rpc_server_stop(server);
}

static void starting_fails_in_words(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0), *second = NULL;
	struct rpc_client *client = NULL;
	char paths[3][CERT_PATH], listen[32];
	struct rpc_server_config config = {.method = METHOD,
					   .tls = tls(paths, "ca", "server"),
					   .listen = listen,
					   .opened = on_opened,
					   .message = on_server_message,
					   .closed = on_closed,
					   .context = s};
	struct rpc_client_config client_config = {
		.target = "127.0.0.1:1", .method = METHOD, .tls = config.tls};
	char other[CERT_PATH];

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", rpc_server_port(server));
	assert_int_equal(rpc_server_start(&second, &config), -EADDRINUSE);
	rpc_server_stop(server);
	config.tls.key = cert_path(other, directory, "node-a", "key");
	client_config.tls.key = config.tls.key;
	assert_int_equal(rpc_server_start(&second, &config), -EINVAL);
	assert_int_equal(rpc_client_start(&client, &client_config), -EINVAL);
	config.tls.key = cert_path(other, directory, "nobody", "key");
	assert_int_equal(rpc_server_start(&second, &config), -ENOENT);
	assert_int_equal(rpc_client_start(&client, &client_config), -ENOENT);
	assert_null(second);
	assert_null(client);
}

// Nobody listens: the client goes on trying, and stops at once when told to.
static void stops_while_connecting(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	unsigned int port = rpc_server_port(server);
	struct rpc_client *client;

	rpc_server_stop(server);
	client = client_start(s, port);
	assert_int_equal(rpc_client_send(client, "x", 1), -ENOTCONN);
	rpc_client_stop(client);
	assert_int_equal(s->connected, 0);
}

static void renewed_certificate_is_used(void **state)
{
	struct seen *s = SEEN;
	struct rpc_server *server = server_start(s, 0, 0);
	struct rpc_client *client;
	char from[CERT_PATH], to[CERT_PATH];

	assert_int_equal(cert_make(directory, "renewing", "ca"), 0);
	client = client_start_as(s, rpc_server_port(server), "ca", "renewing", METHOD);
	wait_for(s, s->connected == 1);
	assert_string_equal(s->name, "renewing");
	// Gone: what was read at the start serves.
	assert_int_equal(unlink(cert_path(from, directory, "renewing", "pem")), 0);
	rpc_stream_close(s->stream, "once more");
	wait_for(s, s->connected == 2);
	assert_string_equal(s->name, "renewing");
	assert_int_equal(rename(cert_path(from, directory, "node-b", "key"),
				cert_path(to, directory, "renewing", "key")),
			 0);
	assert_int_equal(rename(cert_path(from, directory, "node-b", "pem"),
				cert_path(to, directory, "renewing", "pem")),
			 0);
	wait_for(s, s->stream);
	rpc_stream_close(s->stream, "once more");
	wait_for(s, s->connected == 3);
	assert_string_equal(s->name, "node-b");
	rpc_client_stop(client);
	rpc_server_stop(server);
}

static int certificates(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	return cert_make(directory, "ca", NULL) || cert_make(directory, "other-ca", NULL) ||
	       cert_make(directory, "server", "ca") || cert_make(directory, "node-a", "ca") ||
	       cert_make(directory, "node-b", "ca") || cert_make(directory, "foreign", "other-ca");
}

static int remove_certificates(void **state)
{
	directory_remove(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_and_names),
		cmocka_unit_test(big_messages),
		cmocka_unit_test(foreign_client_is_refused),
		cmocka_unit_test(foreign_server_is_refused),
		cmocka_unit_test(other_method_is_refused),
		cmocka_unit_test(handler_refuses_then_takes),
		cmocka_unit_test(comes_back_after_restart),
		cmocka_unit_test(server_says_why),
		cmocka_unit_test(many_streams),
		cmocka_unit_test(backpressure),
		cmocka_unit_test(stops_while_it_cannot_read),
		cmocka_unit_test(sends_from_many_threads),
		cmocka_unit_test(starting_fails_in_words),
		cmocka_unit_test(stops_while_connecting),
		cmocka_unit_test(renewed_certificate_is_used),
	};

	return cmocka_run_group_tests(tests, certificates, remove_certificates);
}
