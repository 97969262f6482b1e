/* SPDX-License-Identifier: Apache-2.0 */
// The nodes' side of the controller: desired state down, reported state up (api/node.proto).
#pragma once

struct status;
struct store;
struct stream;

struct stream_config {
	const char *listen; // ADDR:PORT; port 0: a free one
	const char *ca;	    // PEM files
	const char *cert;
	const char *key;
};

// Listens and serves from threads of its own until stream_stop(). The caller owns *out; store and
// status outlive it. Returns 0; -EINVAL or what open() says: TLS files of no use; -EADDRINUSE;
// -ENOMEM; what the store says.
int stream_start(struct stream **out, struct store *store, struct status *status,
		 const struct stream_config *config);
// The port that it listens on.
unsigned int stream_port(const struct stream *stream);
// Call when no commit is under way. NULL inside is allowed; leaves NULL.
void stream_stop(struct stream **stream);
