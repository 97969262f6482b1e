/* SPDX-License-Identifier: Apache-2.0 */
// The HTTP server in front of api.h: sizes, time-outs, tokens, TLS.
#pragma once

#include "controller/model.h"

struct rest;

struct rest_config {
	const char *listen;	// ADDR:PORT, [ADDR]:PORT; port 0: any that is free
	const char *token_file; // requests must bear its first line; NULL: anyone may ask
	const char *cert;	// PEM files: HTTPS; NULL: plain HTTP
	const char *key;
};

// Listens and serves from threads of its own until rest_stop(). The caller owns *out; the model
// outlives it. Returns 0; -EINVAL: the address, or a file that cannot be used; -EADDRINUSE and
// other errors of bind(); -ENOMEM.
int rest_start(struct rest **out, struct model *model, const struct rest_config *config);
void rest_stop(struct rest **rest);

// Where it listens, as text for people: "127.0.0.1:8080". Lent.
const char *rest_address(const struct rest *rest);
