// SPDX-License-Identifier: Apache-2.0
// One loop: a message, a signal, a change of interfaces, a little counting.
#include "node/loader.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/function/functions.h"
#include "modules/limits/limits.h"
#include "modules/term/wipe.h"
#include "node/datapath.h"
#include "node/messages.h"
#include "node/ports.h"
#include "node/rights.h"
#include "node/upkeep.h"
#include "node/veth.h"

// Interfaces are also looked up now and then: a notification may be lost, and attaching may fail
// for a while.
#define FOLLOW_MS 1000
#define NICENESS (-10)
#define GOODBYE_MS 5000 // for the agent to end when it is asked to

struct work {
	struct datapath datapath;
	struct ports ports;
	struct upkeep upkeep;
	struct limits limits;
	struct wipe wipe;
	struct functions functions;
	struct message message;
	__u32 loads_seen; // by the ports
	__u64 follow_ms;  // when interfaces are looked up even if nothing was heard of them
};

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	// libbpf's warnings carry what the verifier says, which is longer than a line of our log.
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

// Ports follow whenever programs were loaded, whoever asked for it.
static void reload_ports(struct work *work)
{
	if (work->loads_seen == work->datapath.loads)
		return;
	work->loads_seen = work->datapath.loads;
	ports_reload(&work->ports);
}

static void answer_done(struct message *message, int err, __u32 done, const char *why)
{
	memset(message, 0, MESSAGE_HEAD + sizeof(message->text));
	message->type = MESSAGE_DONE;
	message->error = err;
	message->count = done;
	snprintf(message->text, sizeof(message->text), "%s", why);
}

static void configure(struct work *work)
{
	const struct node_settings settings = work->message.settings;
	char why[DATAPATH_WHY] = "";
	const char *refusal;
	int err = node_settings_check(&settings, &refusal);

	if (err)
		snprintf(why, sizeof(why), "settings refused: %s", refusal);
	else
		err = datapath_configure(&work->datapath, &settings, why);
	reload_ports(work);
	answer_done(&work->message, err, 0, why);
}

static void change(struct work *work)
{
	int put = work->message.type == MESSAGE_PUT, err;
	enum table table = work->message.table;
	char why[DATAPATH_WHY] = "";
	__u32 done;

	if (tables[table].kind == TABLE_IS_FUNCTIONS)
		err = put ? functions_put(&work->functions, &work->message, &done)
			  : functions_remove(&work->functions, &work->message, &done);
	else if (tables[table].kind == TABLE_IS_PORTS)
		err = put ? ports_put(&work->ports, &work->message, &done)
			  : ports_remove(&work->ports, &work->message, &done);
	else
		err = put ? datapath_put(&work->datapath, &work->message, &done)
			  : datapath_remove(&work->datapath, &work->message, &done);
	if (err)
		snprintf(why, sizeof(why), "%s an entry of \"%s\": %s",
			 put ? "putting" : "removing", tables[table].map, strerror(-err));
	answer_done(&work->message, err, done, why);
}

static void tell_keys(struct work *work)
{
	int only_ready = work->message.type == MESSAGE_READY, err = 0;

	if (tables[work->message.table].kind == TABLE_IS_FUNCTIONS)
		functions_keys(&work->functions, &work->message);
	else if (tables[work->message.table].kind == TABLE_IS_PORTS)
		ports_keys(&work->ports, &work->message, only_ready);
	else
		err = datapath_keys(&work->datapath, &work->message);
	if (err)
		answer_done(&work->message, err, 0, "this node has no such table");
}

static void tell_status(struct work *work)
{
	struct node_status *status = &work->message.status;

	memset(&work->message, 0, MESSAGE_HEAD + sizeof(*status));
	work->message.type = MESSAGE_STATUS_IS;
	status->boot = work->datapath.boot;
	status->loads = work->datapath.loads;
	status->ports = work->ports.changes;
	status->sessions = work->upkeep.survey.sessions;
	status->session_digest = work->upkeep.survey.digest;
	status->cached = work->upkeep.survey.cached;
	status->swept = work->wipe.swept;
	datapath_verdicts(&work->datapath, status->verdicts);
	limits_tell(&work->limits, &work->datapath, status);
}

// Carries out one message and answers it. -EPROTO: the agent does not keep to the rules.
static int serve(struct work *work, int socket)
{
	size_t size;
	int err = message_receive(socket, &work->message, &size);

	if (err)
		return err;
	if (!message_is_request(&work->message, size))
		return -EPROTO;
	switch (work->message.type) {
	case MESSAGE_CONFIGURE:
		configure(work);
		break;
	case MESSAGE_PUT:
	case MESSAGE_REMOVE:
		change(work);
		break;
	case MESSAGE_KEYS:
	case MESSAGE_READY:
		tell_keys(work);
		break;
	case MESSAGE_FUNCTION:
		functions_tell(&work->functions, &work->message);
		break;
	default:
		tell_status(work);
	}
	return message_send(socket, &work->message);
}

static int tell_arrays(struct work *work, int socket)
{
	int fds[ARRAYS], err = datapath_arrays(&work->datapath, fds);

	if (err) {
		answer_done(&work->message, err, 0, "no programs are loaded");
		return message_send(socket, &work->message);
	}
	work->message.type = MESSAGE_ARRAYS_ARE;
	work->message.arrays = (struct node_arrays){work->datapath.boot, work->datapath.loads};
	err = message_send_arrays(socket, &work->message, fds);
	datapath_close_arrays(fds);
	return err;
}

// The same for what ballots need.
static int serve_ballot(struct work *work, int socket)
{
	size_t size;
	int err = message_receive(socket, &work->message, &size);

	if (err)
		return err;
	if (!message_is_ballot(&work->message, size))
		return -EPROTO;
	switch (work->message.type) {
	case MESSAGE_ARRAYS:
		return tell_arrays(work, socket);
	case MESSAGE_WIPE:
		err = wipe_chain(&work->wipe, work->message.wipe.chain, work->message.wipe.floor);
		answer_done(&work->message, err, 0, "");
		break;
	default:
		change(work);
	}
	return message_send(socket, &work->message);
}

static void follow(struct work *work)
{
	work->follow_ms = now_ms() + FOLLOW_MS;
	datapath_follow(&work->datapath);
	reload_ports(work);
	ports_follow(&work->ports);
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

// Says how the agent ended. Returns the exit status that follows from it.
static int agent_ended(int status)
{
	if (WIFSIGNALED(status))
		log_warnx("the agent was ended by signal %d (%s)", WTERMSIG(status),
			  strsignal(WTERMSIG(status)));
	else
		log_warnx("the agent ended with status %d", WEXITSTATUS(status));
	return 1;
}

// The agent ends when its socket does. If it does not, it is killed with us.
static void see_off_agent(const struct loader *loader, int signals)
{
	struct pollfd poll_signals = {.fd = signals, .events = POLLIN};
	struct signalfd_siginfo info;
	int status;

	close(loader->socket);
	close(loader->ballots);
	while (!waitpid(loader->agent, &status, WNOHANG)) {
		if (poll(&poll_signals, 1, GOODBYE_MS) <= 0) {
			log_warnx("the agent does not end");
			return;
		}
		if (read(signals, &info, sizeof(info)) < 0)
			return;
	}
}

static int sooner(int a, int b)
{
	return a < b ? a : b;
}

// What one of the agent's sockets asks. Returns -EPROTO where no agent asks so.
static int serve_socket(struct work *work, struct pollfd *poll,
			int (*serve_one)(struct work *, int))
{
	int err = poll->revents ? serve_one(work, poll->fd) : 0;

	// It may be ending just now; SIGCHLD says how.
	if (err == -EPIPE)
		poll->fd = -1;
	else if (err)
		log_warnx("the agent sent what no agent sends: %s", strerror(-err));
	return err == -EPIPE ? 0 : err;
}

static int loop(struct work *work, const struct loader *loader, int signals, int watch)
{
	struct pollfd polls[] = {
		{.fd = loader->ballots, .events = POLLIN},
		{.fd = signals, .events = POLLIN},
		{.fd = watch, .events = POLLIN},
		{.fd = loader->socket, .events = POLLIN},
	};
	struct signalfd_siginfo info;
	int wait, status;

	for (;;) {
		wait = sooner(upkeep_step(&work->upkeep), FOLLOW_MS);
		wait = sooner(wipe_step(&work->wipe), wait);
		wait = sooner(pacemaker_step(&work->datapath.pacer), wait);
		if (poll(polls, sizeof(polls) / sizeof(polls[0]), wait) < 0 && errno != EINTR) {
			log_warn("poll");
			return 1;
		}
		if (polls[1].revents && read(signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo != SIGCHLD) {
				log_info("stopping, packets go on");
				see_off_agent(loader, signals);
				return 0;
			}
			if (waitpid(loader->agent, &status, WNOHANG) == loader->agent)
				return agent_ended(status);
		}
		if (interfaces_changed(watch) || now_ms() >= work->follow_ms)
			follow(work);
		if (serve_socket(work, &polls[0], serve_ballot) ||
		    serve_socket(work, &polls[3], serve))
			return 1;
	}
}

static int open_work(struct work *work, const struct loader *loader)
{
	int err = datapath_open(&work->datapath, loader->dir, loader->mode, loader->table,
				loader->sessions);

	if (err)
		return err;
	if ((err = upkeep_open(&work->upkeep, &work->datapath)) ||
	    (err = wipe_open(&work->wipe, &work->datapath)))
		datapath_close(&work->datapath);
	return err;
}

int loader_run(const struct loader *loader)
{
	auto_(freep) struct work *work = calloc(1, sizeof(*work));
	auto_(closep) int signals = open_signals();
	auto_(closep) int watch = interfaces_watch();
	int err, status;

	if (!work || signals < 0 || watch < 0) {
		log_warn("the loader cannot start");
		return 1;
	}
	libbpf_set_print(print_libbpf);
	// Ballots wait for what it writes. Where it may not, they wait longer.
	(void)!setpriority(PRIO_PROCESS, 0, NICENESS);
	if ((err = rights_loader())) {
		log_warnx("the loader cannot give up rights: %s", strerror(-err));
		// cppcheck-suppress memleak ; it does not know the cleanup attribute
		return 1;
	}
	if ((err = open_work(work, loader))) {
		log_warnx("the loader cannot start: %s", strerror(-err));
		return 1;
	}
	functions_open(&work->functions, &work->datapath);
	ports_adopt(&work->ports, &work->datapath);
	if (work->datapath.boot)
		log_info("adopted what is pinned, boot id %u", work->datapath.boot);
	status = loop(work, loader, signals, watch);
	functions_close(&work->functions);
	wipe_close(&work->wipe);
	upkeep_close(&work->upkeep);
	datapath_close(&work->datapath);
	return status;
}
