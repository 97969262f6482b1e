// SPDX-License-Identifier: Apache-2.0
// HTTP by libcurl. What the API says about a refusal becomes one sentence.
#include "cli/rest.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/document.h"
#include "lib/json.h"
#include "lib/own.h"

#define ANSWER_LIMIT (256 << 20) // a list of every port of a full cluster, with room

struct rest {
	CURL *curl;
	struct curl_slist *headers;
	char *url;
	char message[768];
};

struct answer {
	char *text;
	size_t length;
	size_t room;
};

static size_t receive(char *data, size_t size, size_t count, void *context)
{
	struct answer *answer = context;
	size_t more = size * count;
	char *grown;

	if (answer->length + more > ANSWER_LIMIT)
		return 0;
	if (answer->length + more > answer->room) {
		answer->room = (answer->length + more) * 2;
		grown = realloc(answer->text, answer->room);
		if (!grown)
			return 0;
		answer->text = grown;
	}
	memcpy(answer->text + answer->length, data, more);
	answer->length += more;
	return more;
}

static int token_header(struct curl_slist **headers, const char *path)
{
	auto_(freep) char *text = NULL, *line = NULL;
	struct curl_slist *grown;
	int err;

	err = input_read(&text, NULL, path);
	if (err)
		return sorry(err, "cannot read the token file %s: %s", path, strerror(-err));
	if (asprintf(&line, "Authorization: Bearer %.*s", (int)strcspn(text, "\r\n"), text) < 0)
		return -ENOMEM;
	grown = curl_slist_append(*headers, line);
	if (!grown)
		return -ENOMEM;
	*headers = grown;
	return 0;
}

int rest_open(struct rest **out, const char *url, const char *token_file)
{
	auto_(rest_freep) struct rest *rest = calloc(1, sizeof(*rest));
	size_t length = strlen(url);
	int err;

	if (!rest)
		return sorry(-ENOMEM, "out of memory");
	while (length && url[length - 1] == '/')
		length--;
	rest->url = strndup(url, length);
	rest->curl = curl_easy_init();
	rest->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!rest->url || !rest->curl || !rest->headers)
		return sorry(-ENOMEM, "out of memory");
	if (token_file) {
		err = token_header(&rest->headers, token_file);
		if (err)
			return err;
	}
	*out = take_ptr(rest);
	return 0;
}

void rest_freep(struct rest **rest)
{
	if (!*rest)
		return;
	curl_easy_cleanup((*rest)->curl);
	curl_slist_free_all((*rest)->headers);
	free((*rest)->url);
	free(*rest);
	*rest = NULL;
}

const char *rest_message(const struct rest *rest)
{
	return rest->message;
}

char *rest_path(struct rest *rest, const char *kind, const char *id)
{
	char *escaped, *path = NULL;

	if (!id) {
		if (asprintf(&path, "/v1/%s", kind) < 0)
			return NULL;
		return path;
	}
	escaped = curl_easy_escape(rest->curl, id, 0);
	if (!escaped)
		return NULL;
	if (asprintf(&path, "/v1/%s/%s", kind, escaped) < 0)
		path = NULL;
	curl_free(escaped);
	return path;
}

static int refused(struct rest *rest, long status, const json_t *json)
{
	const json_t *error = json_object_get(json, "error");
	const char *field = text_in(error, "field");
	const char *message = text_in(error, "message");

	// Most messages begin with the field themselves.
	if (message && field && strncmp(message, field, strlen(field)) != 0)
		snprintf(rest->message, sizeof(rest->message), "%s: %s", field, message);
	else if (message)
		snprintf(rest->message, sizeof(rest->message), "%s", message);
	else
		snprintf(rest->message, sizeof(rest->message),
			 "the controller answered %ld without saying why", status);
	return status == 404 ? -ENOENT : status == 409 ? -EEXIST : -EPROTO;
}

static void prepare(struct rest *rest, const char *method, const char *url, const char *text,
		    struct answer *received)
{
	curl_easy_reset(rest->curl);
	curl_easy_setopt(rest->curl, CURLOPT_URL, url);
	curl_easy_setopt(rest->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(rest->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(rest->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(rest->curl, CURLOPT_HTTPHEADER, rest->headers);
	curl_easy_setopt(rest->curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(rest->curl, CURLOPT_WRITEDATA, received);
	curl_easy_setopt(rest->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(rest->curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(rest->curl, CURLOPT_TIMEOUT, 120L);
	if (text)
		curl_easy_setopt(rest->curl, CURLOPT_POSTFIELDS, text);
}

int rest_call(struct rest *rest, const char *method, const char *path, json_t *body,
	      json_t **answer)
{
	auto_(freep) char *url = NULL, *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct answer received = {};
	json_t *json = NULL;
	CURLcode code;
	long status = 0;
	int err = 0;

	if (answer)
		*answer = NULL;
	if (asprintf(&url, "%s%s", rest->url, path) < 0 || (body && !text)) {
		snprintf(rest->message, sizeof(rest->message), "out of memory");
		return -ENOMEM;
	}
	prepare(rest, method, url, text, &received);
	code = curl_easy_perform(rest->curl);
	if (code) {
		free(received.text);
		snprintf(rest->message, sizeof(rest->message), "no answer from %s: %s", rest->url,
			 curl_easy_strerror(code));
		return code == CURLE_COULDNT_CONNECT ? -ECONNREFUSED : -EPROTO;
	}
	curl_easy_getinfo(rest->curl, CURLINFO_RESPONSE_CODE, &status);
	if (received.length)
		json = json_loadb(received.text, received.length, JSON_DECODE_ANY, NULL);
	free(received.text);
	if (status < 200 || status > 299) {
		err = refused(rest, status, json);
	} else if (answer && !json) {
		snprintf(rest->message, sizeof(rest->message), "%s answered no JSON", url);
		err = -EPROTO;
	}
	if (answer && !err)
		*answer = json;
	else
		json_decref(json);
	return err;
}
