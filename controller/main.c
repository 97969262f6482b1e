// SPDX-License-Identifier: Apache-2.0
// zeta-controller: keeps what should be true, answers people over REST and nodes over gRPC.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "controller/model.h"
#include "controller/repair.h"
#include "controller/rest.h"
#include "controller/status.h"
#include "controller/store.h"
#include "controller/stream.h"
#include "lib/log.h"

struct options {
	const char *store;
	int rest_tls;
	struct rest_config rest;
	struct stream_config stream;
};

static const char usage[] =
	"usage: zeta-controller --store FILE --ca FILE --cert FILE --key FILE\n"
	"                       [--rest ADDR:PORT] [--grpc ADDR:PORT] [--rest-tls]\n"
	"                       [--token-file FILE]\n"
	"       zeta-controller --version\n";

static _Noreturn void wrong_arguments(void)
{
	fputs(usage, stderr);
	exit(2);
}

static struct options parse(int argc, char **argv)
{
	static const struct option names[] = {{"store", required_argument, NULL, 's'},
					      {"rest", required_argument, NULL, 'r'},
					      {"grpc", required_argument, NULL, 'g'},
					      {"ca", required_argument, NULL, 'a'},
					      {"cert", required_argument, NULL, 'c'},
					      {"key", required_argument, NULL, 'k'},
					      {"rest-tls", no_argument, NULL, 't'},
					      {"token-file", required_argument, NULL, 'f'},
					      {"version", no_argument, NULL, 'v'},
					      {"help", no_argument, NULL, 'h'},
					      {}};
	struct options options = {.rest.listen = "127.0.0.1:8080", .stream.listen = "0.0.0.0:8443"};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 's':
			options.store = optarg;
			break;
		case 'r':
			options.rest.listen = optarg;
			break;
		case 'g':
			options.stream.listen = optarg;
			break;
		case 'a':
			options.stream.ca = optarg;
			break;
		case 'c':
			options.stream.cert = optarg;
			break;
		case 'k':
			options.stream.key = optarg;
			break;
		case 't':
			options.rest_tls = 1;
			break;
		case 'f':
			options.rest.token_file = optarg;
			break;
		case 'v':
			puts("zeta-controller " ZETA_VERSION);
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			wrong_arguments();
		}
	}
	if (optind < argc || !options.store || !options.stream.ca || !options.stream.cert ||
	    !options.stream.key)
		wrong_arguments();
	if (options.rest_tls) {
		options.rest.cert = options.stream.cert;
		options.rest.key = options.stream.key;
	}
	return options;
}

static void fail(int err, const char *what, const char *which)
{
	errno = -err;
	fatal("%s %s", what, which);
}

// Where port 0 was asked for, only this tells which it became.
static void print_ports(const struct options *options, const struct rest *rest,
			const struct stream *stream)
{
	const char *listen = options->stream.listen, *colon = strrchr(listen, ':');
	size_t length = colon ? (size_t)(colon - listen) : strlen(listen);

	printf("rest %s\n", rest_address(rest));
	printf("grpc %.*s:%u\n", (int)length, listen, stream_port(stream));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	struct store *store = NULL;
	struct status *status = NULL;
	struct stream *stream = NULL;
	struct repair *repair = NULL;
	struct rest *rest = NULL;
	struct model model;
	sigset_t signals;
	int err, signal_number;

	// Blocked before any thread exists, so that sigwait() below is the only one to get them.
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	if ((err = status_new(&status)))
		fail(err, "state of", "nodes");
	if ((err = store_open(&store, options.store)))
		fail(err, "store", options.store);
	model = (struct model){.store = store, .status = status};
	if ((err = stream_start(&stream, store, status, &options.stream)))
		fail(err, "gRPC at", options.stream.listen);
	if ((err = repair_start(&repair, store, status)))
		fail(err, "repair of", "clusters");
	if ((err = rest_start(&rest, &model, &options.rest)))
		fail(err, "REST at", options.rest.listen);
	print_ports(&options, rest, stream);

	sigwait(&signals, &signal_number);
	log_info("stopping");
	rest_stop(&rest);
	repair_stop(&repair);
	stream_stop(&stream);
	store_freep(&store);
	status_freep(&status);
	return 0;
}
