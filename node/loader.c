// SPDX-License-Identifier: Apache-2.0
// One loop: a message, a signal, a change of interfaces, a little counting. What takes the kernel
// long (to verify programs) another thread has it do, while the agent waits for the answer and
// ballots do not.
#include "node/loader.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/door/door.h"
#include "modules/function/functions.h"
#include "modules/limits/limits.h"
#include "modules/nat/refusals.h"
#include "modules/term/wipe.h"
#include "modules/uplink/uplinks.h"
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

struct work;

// What another thread has the kernel load. Until it is done the agent is not heard, nor are
// interfaces followed, and all that is not its own stays as it is.
struct job {
	void (*run)(struct work *work);
	pthread_t thread;
	int threaded; // it has a thread
	int done;     // eventfd: it is done
	int answers;  // the agent waits for it
	struct datapath_loading loading;
	__u32 count; // of entries that were done
	int err;
};

struct work {
	struct job job; // run NULL: there is none
	struct datapath datapath;
	struct ports ports;
	struct upkeep upkeep;
	struct limits limits;
	struct nat_refusals refusals;
	struct wipe wipe;
	struct functions functions;
	struct uplinks uplinks;
	struct message message; // the agent's, and the answer
	struct message ballot;	// the same of its ballots
	__u32 loads_seen;	// by the ports
	__u64 follow_ms;	// when interfaces are looked up even if nothing was heard of them
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

static void *job_thread(void *context)
{
	struct work *work = context;

	// Ballots come first.
	(void)!setpriority(PRIO_PROCESS, 0, 0);
	work->job.run(work);
	eventfd_write(work->job.done, 1);
	return NULL;
}

// answers: the agent is told when it is done.
static void job_begin(struct work *work, void (*run)(struct work *work), int answers)
{
	work->job.run = run;
	work->job.answers = answers;
	work->job.threaded = !pthread_create(&work->job.thread, NULL, job_thread, work);
	if (!work->job.threaded)
		job_thread(work);
}

static void job_load(struct work *work)
{
	datapath_load(&work->job.loading);
}

// Has programs for these settings loaded.
static void begin_loading(struct work *work, const struct node_settings *settings, int answers)
{
	datapath_begin(&work->datapath, settings, &work->job.loading);
	job_begin(work, job_load, answers);
}

static void finish_loading(struct work *work)
{
	int err = datapath_finish(&work->datapath, &work->job.loading);

	reload_ports(work);
	if (work->job.answers)
		answer_done(&work->message, err, 0, work->job.loading.why);
	else if (err)
		log_warnx("%s", work->job.loading.why);
}

static void configure(struct work *work)
{
	const struct node_settings settings = work->message.settings;
	char why[DATAPATH_WHY];
	const char *refusal;
	int err = node_settings_check(&settings, &refusal);

	if (!err) {
		begin_loading(work, &settings, 1);
		return;
	}
	snprintf(why, sizeof(why), "settings refused: %s", refusal);
	answer_done(&work->message, err, 0, why);
}

static void answer_change(struct message *message, int err, __u32 done)
{
	char why[DATAPATH_WHY] = "";

	if (err)
		snprintf(why, sizeof(why), "%s an entry of \"%s\": %s",
			 message->type == MESSAGE_PUT ? "putting" : "removing",
			 tables[message->table].map, strerror(-err));
	answer_done(message, err, done, why);
}

static void job_function(struct work *work)
{
	work->job.err = functions_put(&work->functions, &work->message, &work->job.count);
}

static void change(struct work *work, struct message *message)
{
	int put = message->type == MESSAGE_PUT, err;
	enum table table = message->table;
	__u32 done = 0;

	if (table == TABLE_FUNCTION_VERSIONS && put) {
		job_begin(work, job_function, 1);
		return;
	}
	if (tables[table].kind == TABLE_IS_FUNCTIONS)
		err = put ? functions_put(&work->functions, message, &done)
			  : functions_remove(&work->functions, message, &done);
	else if (tables[table].kind == TABLE_IS_PORTS)
		err = put ? ports_put(&work->ports, message, &done)
			  : ports_remove(&work->ports, message, &done);
	else if (tables[table].kind == TABLE_IS_UPLINKS)
		err = !put ? uplinks_remove(&work->uplinks, message, &done)
		      : work->datapath.settings.roles & NODE_EDGE
			      ? uplinks_put(&work->uplinks, message, &done)
			      : -ENOENT;
	else
		err = put ? datapath_put(&work->datapath, message, &done)
			  : datapath_remove(&work->datapath, message, &done);
	answer_change(message, err, done);
}

// Does what is left to do when the other thread has ended.
static void job_end(struct work *work)
{
	if (work->job.threaded)
		pthread_join(work->job.thread, NULL);
	if (work->job.run == job_load)
		finish_loading(work);
	else
		answer_change(&work->message, work->job.err, work->job.count);
	work->job.run = NULL;
}

// It is done. Where the agent has ended meanwhile, SIGCHLD says how.
static void job_done(struct work *work, int agent)
{
	eventfd_t times;

	if (eventfd_read(work->job.done, &times))
		return;
	job_end(work);
	if (work->job.answers)
		(void)!message_send(agent, &work->message);
}

// A gateway node has none: what is in the kernel is another zetad's.
static int tell_uplinks(struct work *work, int only_ready)
{
	if (work->datapath.settings.roles & (NODE_FWD | NODE_FTN))
		return -ENOENT;
	uplinks_keys(&work->uplinks, &work->message, only_ready);
	return 0;
}

static void tell_keys(struct work *work)
{
	int only_ready = work->message.type == MESSAGE_READY, err = 0;

	if (tables[work->message.table].kind == TABLE_IS_FUNCTIONS)
		functions_keys(&work->functions, &work->message);
	else if (tables[work->message.table].kind == TABLE_IS_PORTS)
		ports_keys(&work->ports, &work->message, only_ready);
	else if (tables[work->message.table].kind == TABLE_IS_UPLINKS)
		err = tell_uplinks(work, only_ready);
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
	status->uplinks = work->uplinks.count;
	datapath_verdicts(&work->datapath, status->verdicts);
	limits_tell(&work->limits, &work->datapath, status);
	nat_tell(&work->refusals, &work->datapath, status);
}

// A middlebox may come.
static int tell_door(struct work *work, int socket)
{
	const struct node_door door = work->message.door;
	int fds[DOOR_FDS];
	int err = work->datapath.doors ? door_open(&work->datapath, door.slot, door.function, fds)
				       : -EACCES;

	if (err) {
		answer_done(&work->message, err, 0, "");
		return message_send(socket, &work->message);
	}
	work->message.type = MESSAGE_DOOR_IS;
	work->message.door =
		(struct node_door){door.function, door.slot, DOOR_CHUNKS, DOOR_CHUNK_BYTES};
	err = message_send_door(socket, &work->message, fds);
	close(fds[DOOR_SOCKET]);
	close(fds[DOOR_MEMORY]);
	return err;
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
		change(work, &work->message);
		break;
	case MESSAGE_KEYS:
	case MESSAGE_READY:
		tell_keys(work);
		break;
	case MESSAGE_FUNCTION:
		functions_tell(&work->functions, &work->message);
		break;
	case MESSAGE_DOOR:
		return tell_door(work, socket);
	default:
		tell_status(work);
	}
	return work->job.run ? 0 : message_send(socket, &work->message);
}

static int tell_arrays(struct work *work, int socket)
{
	int fds[ARRAYS], err = datapath_arrays(&work->datapath, fds);

	if (err) {
		answer_done(&work->ballot, err, 0, "no programs are loaded");
		return message_send(socket, &work->ballot);
	}
	work->ballot.type = MESSAGE_ARRAYS_ARE;
	work->ballot.arrays = (struct node_arrays){work->datapath.boot, work->datapath.loads};
	err = message_send_arrays(socket, &work->ballot, fds);
	datapath_close_arrays(fds);
	return err;
}

// The same for what ballots need.
static int serve_ballot(struct work *work, int socket)
{
	size_t size;
	int err = message_receive(socket, &work->ballot, &size);

	if (err)
		return err;
	if (!message_is_ballot(&work->ballot, size))
		return -EPROTO;
	switch (work->ballot.type) {
	case MESSAGE_ARRAYS:
		return tell_arrays(work, socket);
	case MESSAGE_WIPE:
		err = wipe_chain(&work->wipe, work->ballot.wipe.chain, work->ballot.wipe.floor);
		answer_done(&work->ballot, err, 0, "");
		break;
	default:
		change(work, &work->ballot);
	}
	return message_send(socket, &work->ballot);
}

static void follow(struct work *work, int changed)
{
	const struct node_settings settings = work->datapath.settings;

	work->follow_ms = now_ms() + FOLLOW_MS;
	if (datapath_renewed(&work->datapath))
		begin_loading(work, &settings, 0);
	ports_follow(&work->ports);
	uplinks_follow(&work->uplinks, changed);
	if (work->datapath.doors)
		doors_sweep(&work->datapath);
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
		{.fd = loader->ballots, .events = POLLIN}, {.fd = signals, .events = POLLIN},
		{.fd = watch, .events = POLLIN},	   {.fd = loader->socket, .events = POLLIN},
		{.fd = work->job.done, .events = POLLIN},
	};
	struct signalfd_siginfo info;
	int agent = loader->socket, changed = 0, wait, status;

	for (;;) {
		polls[3].fd = work->job.run ? -1 : agent;
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
		changed |= interfaces_changed(watch);
		if (serve_socket(work, &polls[0], serve_ballot))
			return 1;
		if (polls[4].revents) {
			job_done(work, agent);
		} else if (!work->job.run) {
			if (serve_socket(work, &polls[3], serve))
				return 1;
			agent = polls[3].fd;
		}
		if (!work->job.run && (changed || now_ms() >= work->follow_ms)) {
			follow(work, changed);
			changed = 0;
		}
	}
}

static int open_work(struct work *work, const struct loader *loader)
{
	int err = datapath_open(&work->datapath, loader->dir, loader->mode, loader->table,
				loader->sessions);

	if (err)
		return err;
	work->datapath.doors = loader->doors;
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
	if ((err = loader->doors ? rights_loader_with_doors() : rights_loader())) {
		log_warnx("the loader cannot give up rights: %s", strerror(-err));
		// cppcheck-suppress memleak ; it does not know the cleanup attribute
		return 1;
	}
	if ((err = open_work(work, loader))) {
		log_warnx("the loader cannot start: %s", strerror(-err));
		return 1;
	}
	work->job.done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (work->job.done < 0) {
		log_warn("the loader cannot start");
		return 1;
	}
	functions_open(&work->functions, &work->datapath);
	uplinks_open(&work->uplinks);
	ports_adopt(&work->ports, &work->datapath);
	if (work->datapath.boot)
		log_info("adopted what is pinned, boot id %u", work->datapath.boot);
	status = loop(work, loader, signals, watch);
	if (work->job.run && work->job.threaded)
		pthread_join(work->job.thread, NULL);
	close(work->job.done);
	uplinks_close(&work->uplinks);
	functions_close(&work->functions);
	wipe_close(&work->wipe);
	upkeep_close(&work->upkeep);
	datapath_close(&work->datapath);
	return status;
}
