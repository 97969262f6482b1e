/* SPDX-License-Identifier: Apache-2.0 */
// Bidirectional streams of byte messages over gRPC with mutual TLS: a server, and a client that
// comes back by itself. One method path each; what the bytes mean is the caller's business.
//
// Threads: each server and each client has one thread of its own. All callbacks run there, one
// at a time, so a callback that waits holds up everything of that server or client. Sending,
// closing, referencing are allowed from any thread and from callbacks, and never wait. Starting
// and stopping are not allowed from callbacks. gRPC starts more threads inside: fork before, not
// after, the first start.
//
// Ownership: configurations and their strings are copied by the start functions. Bytes given to a
// send function are copied; bytes given to a callback are lent until it returns.
//
// Errors: 0 or a negative errno.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RPC_MESSAGE_MAX (16u << 20) // bytes of one message; a larger one ends the stream
#define RPC_QUEUE_MAX (32u << 20)   // default bound of the bytes that wait to be sent, per stream

// PEM files. The peer must show a certificate that ca signed, and gets to see cert, whose private
// key is key. They are read when starting; a client reads them again whenever it connects, so a
// renewed certificate is used from then on, and keeps what it has where it may not read any more.
struct rpc_tls {
	const char *ca;
	const char *cert;
	const char *key;
};

// ---- client

struct rpc_client;

struct rpc_client_config {
	const char
		*target; // "host:port", "[v6]:port". The server's certificate must name this host.
	const char *method; // "/zeta.node.v1.Controller/Stream"
	struct rpc_tls tls;
	unsigned int backoff_first_ms; // pause before the first new attempt; 0: 200
	unsigned int backoff_most_ms;  // it doubles up to this, give or take a fifth; 0: 10000
	size_t queue_max;	       // bytes; 0: RPC_QUEUE_MAX

	// The server took the stream: sending works from here on, and this callback is the place
	// for the first message.
	void (*connected)(void *context);
	void (*message)(void *context, const void *bytes, size_t size);
	// After connected, once: the stream is gone, what was not sent yet is dropped, and a new
	// attempt follows by itself. why is one sentence. Not called for attempts that fail (the
	// client logs these, once per reason), but called in rpc_client_stop() where connected.
	void (*lost)(void *context, const char *why);
	void *context;
};

// Starts the client, which connects and goes on connecting until stopped.
// Returns 0 and the caller owns *out; -ENOENT, -EACCES (or what file_read() says): a TLS file
// cannot be read; -EINVAL: the certificate and the key are of no use; -ENOMEM, -EAGAIN: no thread.
int rpc_client_start(struct rpc_client **out, const struct rpc_client_config *config);
// Queues a message on the stream there is now. -ENOTCONN: there is none; -EMSGSIZE: larger than
// RPC_MESSAGE_MAX; -EAGAIN: the queue is full, nothing was queued; -ENOMEM.
int rpc_client_send(struct rpc_client *client, const void *bytes, size_t size);
// Ends the stream at once, joins the thread, frees. No callback runs afterwards. NULL is allowed.
void rpc_client_stop(struct rpc_client *client);

// ---- server

struct rpc_server;
struct rpc_stream; // one client's stream, as the server sees it

struct rpc_server_config {
	const char *listen; // "address:port"; port 0: a free one, see rpc_server_port()
	const char *method; // calls of another are answered UNIMPLEMENTED
	struct rpc_tls tls; // a client without a certificate of this CA does not get through
	size_t queue_max;   // bytes per stream; 0: RPC_QUEUE_MAX

	// A client came; name is its certificate's common name, lent. Return 0 to take the stream
	// and store what the later callbacks get as user in *user; or a negative errno to refuse it
	// (the client sees PERMISSION_DENIED and tries again later; closed is not called then).
	int (*opened)(void *context, struct rpc_stream *stream, const char *name, void **user);
	void (*message)(void *context, struct rpc_stream *stream, void *user, const void *bytes,
			size_t size);
	// A send was refused with -EAGAIN, and now half of the queue is free. May be NULL.
	void (*writable)(void *context, struct rpc_stream *stream, void *user);
	// Last callback of a stream, once. It is freed after this, unless somebody refers to it.
	void (*closed)(void *context, struct rpc_stream *stream, void *user);
	void *context;
};

// Listens and serves. Returns 0 and the caller owns *out; what file_read() says of the TLS files;
// -EINVAL: they are of no use; -EADDRINUSE: cannot listen there; -ENOMEM; -EAGAIN.
int rpc_server_start(struct rpc_server **out, const struct rpc_server_config *config);
// The port that it listens on, host byte order.
unsigned int rpc_server_port(const struct rpc_server *server);
// Cancels every stream (closed is called for each), joins the thread, frees. NULL is allowed.
void rpc_server_stop(struct rpc_server *server);

// Queues a message. -EAGAIN: it does not fit into what is free of the queue (an empty queue takes
// any message), nothing was queued, and writable will be called; -ENOTCONN: the stream is closed
// or closing; -EMSGSIZE; -ENOMEM.
int rpc_stream_send(struct rpc_stream *stream, const void *bytes, size_t size);
// Ends the stream after what is queued was sent. The client sees why and tries again. Messages
// may still come until closed is called.
void rpc_stream_close(struct rpc_stream *stream, const char *why);
// A stream is valid until closed returns. To use it longer, or from another thread, refer to it;
// on a closed one every send returns -ENOTCONN.
struct rpc_stream *rpc_stream_ref(struct rpc_stream *stream);
void rpc_stream_unref(struct rpc_stream *stream);
