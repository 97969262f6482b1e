/* SPDX-License-Identifier: Apache-2.0 */
// A client of the controller's REST API: one connection, kept open, JSON both ways.
#pragma once

#include <jansson.h>

#define REST_DEFAULT "http://127.0.0.1:8080"

struct rest;

// Gives a client of the controller at url. token_file, if not NULL, holds a bearer token on its
// first line. The caller frees it with rest_freep(). Says what was wrong. Returns 0 or -errno.
int rest_open(struct rest **out, const char *url, const char *token_file);
void rest_freep(struct rest **rest);

// Calls method on path ("/v1/vpcs"). body: JSON to send or NULL; not consumed. answer: NULL, or
// where the answer goes (the caller's; NULL where there was none).
// Returns 0; -ENOENT: 404; -EEXIST: 409; -ECONNREFUSED: nobody there; -EPROTO: any other failure.
// Whatever is not 0 has its sentence in rest_message() until the next call.
int rest_call(struct rest *rest, const char *method, const char *path, json_t *body,
	      json_t **answer);
const char *rest_message(const struct rest *rest);

// "/v1/KIND" or "/v1/KIND/ID", escaped. The caller frees it. NULL: no memory.
char *rest_path(struct rest *rest, const char *kind, const char *id);
