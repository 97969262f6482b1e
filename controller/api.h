/* SPDX-License-Identifier: Apache-2.0 */
// Requests to answers, without HTTP: routes of the logical API and of the published Zeta API.
#pragma once

#include <stddef.h>

#include "controller/model.h"

#define API_ARGUMENTS 16

struct api_argument {
	const char *name;
	const char *value; // "" where there is none
};

struct api_request {
	const char *method; // "GET"; HEAD is told as GET
	const char *path;   // decoded, without the query
	size_t arguments;   // of the query
	struct api_argument argument[API_ARGUMENTS];
	const char *body;
	size_t size;
};

struct api_answer {
	int status;	   // of HTTP
	const char *type;  // of the content
	const char *allow; // methods, where status is 405; else NULL
	char *text;	   // owned, NULL: no content
	size_t size;
};

// Fills *answer, whatever happens; api_answer_free() releases what it holds. Any thread.
void api_handle(struct model *model, const struct api_request *request, struct api_answer *answer);
// For what is refused before it is a request.
void api_refuse(struct api_answer *answer, const struct problem *problem);
void api_answer_free(struct api_answer *answer);

// For the routes: what a handler gives back is the JSON to answer, NULL: none. It returns the
// HTTP status, or a negative errno with *problem filled as by refuse().
struct api_call {
	struct model *model;
	const struct api_request *request;
	const char *id; // rest of the path; NULL: none
	struct problem problem;
	json_t *out;
};

// The value of an argument of the query, NULL: it is not there.
const char *api_argument(const struct api_request *request, const char *name);
// Refuses arguments other than these (a list that NULL ends). Returns 0 or -EINVAL.
int api_check_arguments(struct api_call *call, const char *const *names);

enum api_method { API_GET = 1, API_POST = 2, API_PUT = 4, API_DELETE = 8 };

// The published Zeta API. collection: "zgcs", "nodes", "vpcs", "ports". zeta_methods() returns what
// may be done with it or, where is_item is 1, with one of it; 0: there is no such collection.
// zeta_call() runs within a transaction for all but API_GET; it gets the parsed body or NULL.
unsigned int zeta_methods(const char *collection, int is_item);
int zeta_call(struct api_call *call, const char *collection, enum api_method method,
	      const json_t *body);
