// SPDX-License-Identifier: Apache-2.0
// zetad: arguments, one instance per name, and the two processes it consists of.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/own.h"
#include "modules/door/door.h"
#include "modules/uplink/uplinks.h"
#include "node/agent.h"
#include "node/emitter.h"
#include "node/loader.h"
#include "node/veth.h"
#include "shared/limits.h"

#define NAME_MAX_LENGTH 64

struct options {
	const char *name;
	const char *controller;
	struct rpc_tls tls;
	const char *bpf;
	const char *run;
	const char *user;
	const char *door; // the group whose members may come as middleboxes; NULL: nobody may
	enum xdp_mode mode;
	enum session_table table;
	__u32 sessions;
	int unload;
};

static const char usage[] =
	"usage: zetad --name NAME --controller HOST:PORT --ca FILE --cert FILE --key FILE\n"
	"             [--bpf DIR] [--run DIR] [--user USER] [--mode native|generic]\n"
	"             [--sessions kernel|flat] [--max-sessions N] [--door GROUP]\n"
	"             [--foreground]\n"
	"       zetad --unload NAME [--bpf DIR] [--run DIR]\n"
	"       zetad --version\n";

// why: a sentence, or NULL where getopt_long() said it.
_Noreturn static void misused(const char *why)
{
	if (why)
		fprintf(stderr, "zetad: %s\n", why);
	fputs(usage, stderr);
	exit(2);
}

static enum xdp_mode mode_of(const char *text)
{
	if (!strcmp(text, "native"))
		return XDP_MODE_NATIVE;
	if (strcmp(text, "generic") != 0)
		misused("--mode is native or generic");
	return XDP_MODE_GENERIC;
}

static enum session_table table_of(const char *text)
{
	if (!strcmp(text, "kernel"))
		return SESSIONS_KERNEL;
	if (strcmp(text, "flat") != 0)
		misused("--sessions is kernel or flat");
	return SESSIONS_FLAT;
}

static __u32 sessions_of(const char *text)
{
	unsigned long long number;
	char *end, why[64];

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*text) || number < MIN_SESSIONS ||
	    number > MAX_SESSIONS) {
		snprintf(why, sizeof(why), "--max-sessions is a number from %d to %d", MIN_SESSIONS,
			 MAX_SESSIONS);
		misused(why);
	}
	return (__u32)number;
}

static int is_name(const char *name)
{
	size_t length = strlen(name);

	return length && length <= NAME_MAX_LENGTH && name[0] != '.' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
		       length;
}

static struct options parse(int argc, char **argv)
{
	static const struct option known[] = {
		{"name", required_argument, NULL, 'n'},
		{"controller", required_argument, NULL, 'c'},
		{"ca", required_argument, NULL, 'a'},
		{"cert", required_argument, NULL, 't'},
		{"key", required_argument, NULL, 'k'},
		{"bpf", required_argument, NULL, 'b'},
		{"run", required_argument, NULL, 'r'},
		{"user", required_argument, NULL, 'u'},
		{"mode", required_argument, NULL, 'm'},
		{"sessions", required_argument, NULL, 's'},
		{"max-sessions", required_argument, NULL, 'l'},
		{"door", required_argument, NULL, 'd'},
		{"foreground", no_argument, NULL, 'f'},
		{"unload", required_argument, NULL, 'x'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	struct options o = {.bpf = "/sys/fs/bpf/zeta",
			    .run = "/run/zeta",
			    .user = "nobody",
			    .sessions = DEFAULT_SESSIONS};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		switch (option) {
		case 'n':
			o.name = optarg;
			break;
		case 'c':
			o.controller = optarg;
			break;
		case 'a':
			o.tls.ca = optarg;
			break;
		case 't':
			o.tls.cert = optarg;
			break;
		case 'k':
			o.tls.key = optarg;
			break;
		case 'b':
			o.bpf = optarg;
			break;
		case 'r':
			o.run = optarg;
			break;
		case 'u':
			o.user = optarg;
			break;
		case 'm':
			o.mode = mode_of(optarg);
			break;
		case 's':
			o.table = table_of(optarg);
			break;
		case 'l':
			o.sessions = sessions_of(optarg);
			break;
		case 'd':
			o.door = optarg;
			break;
		case 'f':
			break;
		case 'x':
			o.name = optarg;
			o.unload = 1;
			break;
		case 'v':
			puts("zetad " ZETA_VERSION);
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			misused(NULL);
		}
	}
	if (optind < argc)
		misused("it takes options only");
	if (!o.name)
		misused("--name is missing");
	if (!is_name(o.name))
		misused("NAME is 1 to 64 of A-Z a-z 0-9 _ . -, and does not begin with a dot");
	if (!o.unload && (!o.controller || !o.tls.ca || !o.tls.cert || !o.tls.key))
		misused("--controller, --ca, --cert and --key are needed");
	return o;
}

// One instance per name: whoever holds the lock on the pid file. The file stays.
static int lock_name(const struct options *o)
{
	char path[PIN_PATH], text[32];
	int fd, length;

	if (mkdir(o->run, 0755) && errno != EEXIST)
		fatal("making %s", o->run);
	if (snprintf(path, sizeof(path), "%s/%s.pid", o->run, o->name) >= (int)sizeof(path))
		fatalx("the path of the pid file is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		fatal("opening %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		fatalx("zetad for %s runs already (%s is locked)", o->name, path);
	length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || write(fd, text, (size_t)length) != length)
		fatal("writing %s", path);
	return fd;
}

// A bpffs takes no dots in names; ':' is in no node's name.
static void pin_dir(const struct options *o, char dir[PIN_PATH])
{
	size_t start = strlen(o->bpf) + 1, i;

	if (snprintf(dir, PIN_PATH, "%s/%s", o->bpf, o->name) >= PIN_PATH / 2)
		fatalx("the path of the pins is too long");
	for (i = start; dir[i]; i++)
		if (dir[i] == '.')
			dir[i] = ':';
}

// 0: its path would be too long.
static int door_path(const struct options *o, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	return snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s.door", o->run,
			o->name) < (int)sizeof(address->sun_path);
}

// Of a zetad that has gone: nobody listens there.
static void remove_door(const struct options *o)
{
	struct sockaddr_un address;

	if (door_path(o, &address) && unlink(address.sun_path) && errno != ENOENT)
		fatal("removing %s", address.sun_path);
}

static void unload(const struct options *o, const char *dir)
{
	const unsigned int pairs[] = {link_ifindex(dir, "oam"), link_ifindex(dir, "clock"),
				      link_ifindex(dir, "check"), link_ifindex(dir, "mirror"),
				      link_ifindex(dir, "waited")};
	int err, i;

	// Before their pins, which keep the programs there.
	doors_shut(dir);
	remove_door(o);
	err = pins_remove(dir);
	emitter_stop(dir);
	uplinks_unload();
	if (err)
		fatalx("%s cannot be removed: %s", dir, strerror(-err));
	for (i = 0; i < 5; i++)
		if (pairs[i])
			veth_delete(pairs[i]);
}

// Where middleboxes come, while there are rights to give it to its group. -1: nowhere.
static int open_door(const struct options *o)
{
	struct sockaddr_un address;
	const struct group *group;
	const gid_t own = getegid();
	mode_t mask;
	int fd;

	remove_door(o);
	if (!o->door)
		return -1;
	group = getgrnam(o->door);
	if (!group)
		fatalx("there is no group %s", o->door);
	if (!door_path(o, &address))
		fatalx("the path of the door is too long");
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mask = umask(0117);
	if (fd < 0 || setegid(group->gr_gid) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) || setegid(own) ||
	    listen(fd, 8))
		fatal("opening %s", address.sun_path);
	umask(mask);
	return fd;
}

static pid_t start_agent(const struct options *o, int lock, struct loader *loader)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	struct agent agent = {
		.name = o->name, .controller = o->controller, .tls = o->tls, .door = open_door(o)};
	int sockets[2], ballots[2];
	sigset_t none;
	pid_t pid;

	if (rights_user(o->user, &agent.user))
		fatalx("there is no user %s", o->user);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ballots))
		fatal("socketpair");
	pid = fork();
	if (pid < 0)
		fatal("fork");
	if (pid) {
		close(sockets[1]);
		close(ballots[1]);
		// The kernel holds on to the memory of middleboxes' frames, which the loader makes.
		// Where there may not be more of that there is as much as may be.
		if (agent.door >= 0)
			(void)!setrlimit(RLIMIT_MEMLOCK, &all);
		closep(&agent.door);
		loader->socket = sockets[0];
		loader->ballots = ballots[0];
		return pid;
	}
	close(sockets[0]);
	close(ballots[0]);
	close(lock);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	agent.socket = sockets[1];
	agent.ballots = ballots[1];
	exit(agent_run(&agent));
}

int main(int argc, char **argv)
{
	const struct options o = parse(argc, argv);
	struct loader loader = {
		.mode = o.mode, .table = o.table, .sessions = o.sessions, .doors = o.door != NULL};
	int lock, err;
	char dir[PIN_PATH];
	sigset_t set;

	pin_dir(&o, dir);
	lock = lock_name(&o);
	if (o.unload) {
		unload(&o, dir);
		return 0;
	}
	err = pins_make(dir);
	if (err == -ENOTSUP)
		fatalx("%s is not on a BPF file system: mount one, for example "
		       "\"mount -t bpf bpf /sys/fs/bpf\"",
		       o.bpf);
	if (err)
		fatalx("%s cannot be made: %s", dir, strerror(-err));
	// Before there is a child that could end.
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	loader.dir = dir;
	loader.agent = start_agent(&o, lock, &loader);
	return loader_run(&loader);
}
