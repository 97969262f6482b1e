// SPDX-License-Identifier: Apache-2.0
// HTTP by libmicrohttpd: collects a bounded body, asks the API, answers.
#include "controller/rest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "controller/api.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

#define BODY_MAX (4 << 20) // MAX_RULES of a group, with all their fields
#define FILE_MAX (1 << 16) // token, certificate, key
#define TOKEN_MIN 16	   // shorter ones can be guessed
#define THREADS 4
#define CONNECTIONS 256		   // a multiple of THREADS
#define CONNECTION_IDLE 30	   // seconds without a byte
#define CONNECTION_ROOM (32 << 10) // bytes for the head of a request
#define REQUEST_MS 60000	   // a body must have come whole by then

struct rest {
	struct model *model;
	int socket; // the daemon's, once there is one
	struct MHD_Daemon *daemon;
	char *token;
	char *cert;
	char *key;
	char address[INET6_ADDRSTRLEN + 10];
};

// One request while its body comes in.
struct request {
	uint64_t begun_ms;
	char *body;
	size_t size;
};

// Takes as long whatever the text is: only its length may be found out.
static bool is_same_secret(const char *given, const char *secret)
{
	size_t i, length = strlen(secret), given_length = strlen(given);
	unsigned char different = given_length != length;

	for (i = 0; i < given_length && length; i++)
		different |= (unsigned char)(given[i] ^ secret[i % length]);
	return !different;
}

static bool is_authorised(const struct rest *rest, struct MHD_Connection *connection,
			  const char *path)
{
	const char *given;

	// Whoever watches that we live needs no secret.
	if (!rest->token || !strcmp(path, "/healthz"))
		return true;
	given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	return given && !strncasecmp(given, "Bearer ", 7) && is_same_secret(given + 7, rest->token);
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct api_answer *answer)
{
	struct MHD_Response *response;
	enum MHD_Result result = MHD_NO;

	response = MHD_create_response_from_buffer(answer->size, answer->text ? answer->text : "",
						   MHD_RESPMEM_MUST_COPY);
	if (response) {
		if (answer->text)
			MHD_add_response_header(response, "Content-Type", answer->type);
		if (answer->allow)
			MHD_add_response_header(response, "Allow", answer->allow);
		if (answer->status == 401)
			MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
		MHD_add_response_header(response, "Cache-Control", "no-store");
		result = MHD_queue_response(connection, (unsigned int)answer->status, response);
		MHD_destroy_response(response);
	}
	api_answer_free(answer);
	return result;
}

static enum MHD_Result send_refusal(struct MHD_Connection *connection, int status,
				    const char *message)
{
	struct api_answer answer = {};
	struct problem problem = {};

	refuse(&problem, status, NULL, "%s", message);
	api_refuse(&answer, &problem);
	return send_answer(connection, &answer);
}

static bool has_body(const char *method)
{
	return !strcmp(method, "POST") || !strcmp(method, "PUT");
}

static bool is_json(const char *type)
{
	size_t length = strlen("application/json");

	return type && !strncasecmp(type, "application/json", length) &&
	       (!type[length] || strchr("; ", type[length]));
}

// Decides from the head alone. Returns 0: go on; else the status to refuse with, and why.
static int check_head(struct rest *rest, struct MHD_Connection *connection, const char *path,
		      const char *method, const char **message)
{
	const char *length =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
	const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
	bool chunked =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding");

	*message = "the request needs the bearer token";
	if (!is_authorised(rest, connection, path))
		return 401;
	*message = "the request needs a Content-Length";
	if (chunked || (has_body(method) && !length))
		return 411;
	*message = "the body may have 1 MiB at most";
	// The server has checked that it is digits; more than nine are too many anyway.
	if (length && (strlen(length) > 9 || atol(length) > BODY_MAX))
		return 413;
	*message = "the body must be application/json";
	if (has_body(method) && !is_json(type))
		return 415;
	return 0;
}

static bool is_late(const struct request *request)
{
	return now_ms() - request->begun_ms > REQUEST_MS;
}

static enum MHD_Result take_body(struct request *request, const char *data, size_t *size)
{
	char *grown;

	// Content-Length was within bounds, so this is only a second lock on the same door.
	if (is_late(request) || request->size + *size > BODY_MAX)
		return MHD_NO;
	grown = realloc(request->body, request->size + *size);
	if (!grown)
		return MHD_NO;
	memcpy(grown + request->size, data, *size);
	request->body = grown;
	request->size += *size;
	*size = 0;
	return MHD_YES;
}

struct arguments {
	struct api_request *request;
	bool too_many;
};

static enum MHD_Result add_argument(void *arg, enum MHD_ValueKind kind, const char *name,
				    const char *value)
{
	struct arguments *arguments = arg;
	struct api_request *request = arguments->request;

	if (request->arguments == API_ARGUMENTS) {
		arguments->too_many = true;
		return MHD_NO;
	}
	request->argument[request->arguments++] =
		(struct api_argument){.name = name, .value = value ? value : ""};
	return MHD_YES;
}

static enum MHD_Result serve(struct rest *rest, struct MHD_Connection *connection, const char *path,
			     const char *method, struct request *request)
{
	struct api_request asked = {
		.method = strcmp(method, "HEAD") ? method : "GET",
		.path = path,
		.body = request->body,
		.size = request->size,
	};
	struct arguments arguments = {.request = &asked};
	struct api_answer answer;

	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_argument, &arguments);
	if (arguments.too_many)
		return send_refusal(connection, 400, "the query has too many arguments");
	api_handle(rest->model, &asked, &answer);
	log_debug("%s %s: %d", method, path, answer.status);
	return send_answer(connection, &answer);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *data,
			      size_t *size, void **state)
{
	struct request *request = *state;
	struct rest *rest = arg;
	const char *message;
	int status;

	if (request && *size)
		return take_body(request, data, size);
	if (request)
		return serve(rest, connection, path, method, request);
	status = check_head(rest, connection, path, method, &message);
	if (status)
		return send_refusal(connection, status, message);
	request = calloc(1, sizeof(*request));
	if (!request)
		return MHD_NO;
	request->begun_ms = now_ms();
	*state = request;
	return MHD_YES;
}

static void finish(void *arg, struct MHD_Connection *connection, void **state,
		   enum MHD_RequestTerminationCode code)
{
	struct request *request = *state;

	if (!request)
		return;
	free(request->body);
	free(request);
	*state = NULL;
}

static void log_server(void *arg, const char *format, va_list args)
{
	char line[512];

	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\r\n")] = 0;
	log_debug("http: %s", line);
}

// "127.0.0.1:8080" or "[::1]:8080".
static int parse_listen(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in *four = (struct sockaddr_in *)out;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t length;
	long port;
	char *end;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return -EINVAL;
	port = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end || port < 0 || port > 65535)
		return -EINVAL;
	length = (size_t)(colon - text);
	memcpy(host, text, length);
	host[length] = 0;
	memset(out, 0, sizeof(*out));
	if (host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = 0;
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &four->sin_addr) == 1 ? 0 : -EINVAL;
}

// Returns the socket or -errno; writes where it listens.
static int listen_on(const char *text, char *address, size_t size)
{
	struct sockaddr_storage at;
	struct sockaddr_in *four = (struct sockaddr_in *)&at;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&at;
	socklen_t length = sizeof(at);
	auto_(closep) int fd = -1;
	char host[INET6_ADDRSTRLEN];
	int one = 1;

	if (parse_listen(text, &at))
		return -EINVAL;
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	length = at.ss_family == AF_INET ? sizeof(*four) : sizeof(*six);
	if (bind(fd, (struct sockaddr *)&at, length) || listen(fd, CONNECTIONS))
		return -errno;
	length = sizeof(at);
	if (getsockname(fd, (struct sockaddr *)&at, &length))
		return -errno;
	if (at.ss_family == AF_INET)
		snprintf(address, size, "%s:%u",
			 inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host)),
			 ntohs(four->sin_port));
	else
		snprintf(address, size, "[%s]:%u",
			 inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host)),
			 ntohs(six->sin6_port));
	return take_fd(fd);
}

static int read_token(struct rest *rest, const char *path)
{
	int err = file_read(path, FILE_MAX, &rest->token, NULL);

	if (!rest->token)
		return err;
	rest->token[strcspn(rest->token, "\r\n")] = 0;
	return strlen(rest->token) < TOKEN_MIN ? -EINVAL : 0;
}

static int read_secrets(struct rest *rest, const struct rest_config *config)
{
	int err;

	if (config->token_file && (err = read_token(rest, config->token_file))) {
		errno = -err;
		log_warn("%s: no token of at least %d characters", config->token_file, TOKEN_MIN);
		return -EINVAL;
	}
	if (config->cert && ((err = file_read(config->cert, FILE_MAX, &rest->cert, NULL)) ||
			     (err = file_read(config->key, FILE_MAX, &rest->key, NULL)))) {
		errno = -err;
		log_warn("%s, %s", config->cert, config->key);
		return -EINVAL;
	}
	return 0;
}

// Said, not refused: a lab, or a proxy in front, may know better.
static void warn_of_exposure(const struct rest *rest)
{
	if (!strncmp(rest->address, "127.", 4) || !strncmp(rest->address, "[::1]", 5))
		return;
	if (!rest->token)
		log_warnx("REST at %s needs no token: whoever reaches it rules", rest->address);
	else if (!rest->cert)
		log_warnx("REST at %s is not encrypted: the token can be read on the way",
			  rest->address);
}

static struct MHD_Daemon *start_daemon(struct rest *rest)
{
	const struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, rest->cert},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, rest->key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{MHD_OPTION_END, 0, NULL}};
	const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

	// poll, not epoll: edge-triggered, the server may miss a client that closes right after a
	// part of its request, and keeps the connection until it is idle.
	return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ERROR_LOG |
					(rest->cert ? MHD_USE_TLS : 0),
				0, NULL, NULL, handle, rest, MHD_OPTION_EXTERNAL_LOGGER, log_server,
				NULL, MHD_OPTION_LISTEN_SOCKET, rest->socket,
				MHD_OPTION_THREAD_POOL_SIZE, (unsigned int)THREADS,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)CONNECTION_IDLE,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_ROOM,
				MHD_OPTION_NOTIFY_COMPLETED, finish, NULL, MHD_OPTION_ARRAY,
				rest->cert ? tls : none, MHD_OPTION_END);
}

int rest_start(struct rest **out, struct model *model, const struct rest_config *config)
{
	auto_(rest_stop) struct rest *rest = calloc(1, sizeof(*rest));
	int err;

	if (!rest)
		return -ENOMEM;
	rest->socket = -1;
	rest->model = model;
	if ((err = read_secrets(rest, config)))
		return err;
	rest->socket = listen_on(config->listen, rest->address, sizeof(rest->address));
	if (rest->socket < 0)
		return rest->socket;
	rest->daemon = start_daemon(rest);
	if (!rest->daemon)
		return -EINVAL;
	warn_of_exposure(rest);
	*out = take_ptr(rest);
	return 0;
}

void rest_stop(struct rest **pointer)
{
	struct rest *rest = *pointer;

	if (!rest)
		return;
	if (rest->daemon)
		MHD_stop_daemon(rest->daemon);
	else
		closep(&rest->socket);
	if (rest->key)
		explicit_bzero(rest->key, strlen(rest->key));
	free(rest->key);
	free(rest->cert);
	free(rest->token);
	free(rest);
	*pointer = NULL;
}

const char *rest_address(const struct rest *rest)
{
	return rest->address;
}
