// SPDX-License-Identifier: Apache-2.0
// Everything of a cloud hangs below one mount, so taking it away is one system call; and every
// process of a cloud is in one of its network namespaces, so none can be missed, recorded or not.
#include "cli/lab_cloud.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/cli.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/own.h"

#define STOP_MS 3000 // how long a process may take to end before it is killed

static int make_dir(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

static void dir_closep(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

char *cloud_path(const struct cloud *cloud, char text[CLOUD_PATH], const char *folder,
		 const char *file)
{
	snprintf(text, CLOUD_PATH, "%s/%s%s%s", cloud->dir, folder, file ? "/" : "",
		 file ? file : "");
	return text;
}

static void name_it(struct cloud *cloud, const char *name)
{
	*cloud = (struct cloud){.name = name, .lock = -1};
	snprintf(cloud->dir, sizeof(cloud->dir), LAB_DIR "/%s", name);
}

static int check_name(const char *name)
{
	if (!*name || strlen(name) > 64 || strchr(name, '/') || name[0] == '.')
		return sorry(-EINVAL, "%s is no name of a cloud", name);
	return 0;
}

// Waits for the lock. Who held it may have removed its file: then a new one is what counts.
static int lock_file(const char *path)
{
	struct stat held, now;
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		while (flock(fd, LOCK_EX)) {
			if (errno != EINTR)
				return -errno;
		}
		if (!fstat(fd, &held) && !stat(path, &now) && held.st_ino == now.st_ino)
			return fd;
		close(fd);
	}
}

int cloud_lock(struct cloud *cloud, const char *name)
{
	char path[CLOUD_PATH];
	int err;

	err = check_name(name);
	if (err)
		return err;
	name_it(cloud, name);
	if ((err = make_dir("/run/zeta")) || (err = make_dir(LAB_DIR)))
		return sorry(err, "cannot make " LAB_DIR ": %s", strerror(-err));
	snprintf(path, sizeof(path), "%s.lock", cloud->dir);
	cloud->lock = lock_file(path);
	if (cloud->lock < 0)
		return sorry(cloud->lock, "cannot lock %s: %s", path, strerror(-cloud->lock));
	return 0;
}

static int load_state(struct cloud *cloud)
{
	char path[CLOUD_PATH];

	json_decref(cloud->state);
	cloud->state = json_load_file(cloud_path(cloud, path, "state.json", NULL), 0, NULL);
	return cloud->state ? 0 : -ENOENT;
}

int cloud_load(struct cloud *cloud)
{
	return load_state(cloud) ? sorry(-ENOENT, "there is no cloud %s", cloud->name) : 0;
}

int cloud_exists(struct cloud *cloud, const char *name)
{
	name_it(cloud, name);
	return load_state(cloud);
}

int cloud_open(struct cloud *cloud, const char *name)
{
	int err;

	err = check_name(name);
	if (err)
		return err;
	name_it(cloud, name);
	return cloud_load(cloud);
}

// The lock's file goes with its cloud.
void cloud_close(struct cloud *cloud)
{
	char path[CLOUD_PATH];

	if (cloud->lock >= 0 && access(cloud->dir, F_OK)) {
		snprintf(path, sizeof(path), "%s.lock", cloud->dir);
		unlink(path);
	}
	closep(&cloud->lock);
	json_decref(cloud->state);
	cloud->state = NULL;
}

int cloud_save(struct cloud *cloud)
{
	char path[CLOUD_PATH], fresh[CLOUD_PATH];

	cloud_path(cloud, fresh, "state.json.new", NULL);
	if (json_dump_file(cloud->state, fresh, JSON_INDENT(1)) ||
	    rename(fresh, cloud_path(cloud, path, "state.json", NULL)))
		return sorry(-EIO, "cannot write %s", path);
	return 0;
}

// Mounts propagate where the machine's own do, and so do their removals: nothing is left behind in
// other mount namespaces.
int cloud_create(struct cloud *cloud)
{
	static const char folders[][8] = {"net", "bpf", "certs", "log", "run", "store"};
	char path[CLOUD_PATH];
	size_t i;
	int err;

	err = make_dir(cloud->dir);
	if (!err && mount("zeta-lab", cloud->dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"))
		err = -errno;
	for (i = 0; !err && i < sizeof(folders) / sizeof(folders[0]); i++)
		err = make_dir(cloud_path(cloud, path, folders[i], NULL));
	if (!err && mount("zeta-lab", cloud_path(cloud, path, "bpf", NULL), "bpf",
			  MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		err = -errno;
	if (err)
		return sorry(err, "cannot set up %s: %s", cloud->dir, strerror(-err));
	cloud->state = json_pack("{s:s, s:s, s:[]}", "name", cloud->name, "state", "starting",
				 "processes");
	return cloud_save(cloud);
}

// When a process started, in clock ticks since boot; 0: there is none, or it is a zombie. With its
// pid this names a process for ever, which the pid alone does not.
static unsigned long long start_of(pid_t pid)
{
	char path[64], text[1024], state;
	unsigned long long start;
	const char *rest;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = 0;
	// The command's name may contain anything; the last ")" ends it.
	rest = strrchr(text, ')');
	if (!rest ||
	    sscanf(rest,
		   ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		   &state, &start) != 2 ||
	    state == 'Z' || state == 'X')
		return 0;
	return start;
}

int process_lives(const json_t *process)
{
	pid_t pid = (pid_t)integer_in(process, "pid");
	json_int_t start = integer_in(process, "start");

	return pid > 0 && start && start_of(pid) == (unsigned long long)start;
}

static json_t *process_of(const struct cloud *cloud, const char *name)
{
	json_t *processes = json_object_get(cloud->state, "processes"), *process;
	size_t i;

	json_array_foreach (processes, i, process) {
		const char *is = text_in(process, "name");

		if (is && !strcmp(is, name))
			return process;
	}
	return NULL;
}

// In the child: never returns. Only system calls between fork and exec.
static void become(int net, int log, const char *const *argv)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	if (!argv[0] || setsid() < 0 || setns(net, CLONE_NEWNET) || null < 0 || dup2(null, 0) < 0 ||
	    dup2(log, 1) < 0 || dup2(log, 2) < 0 || sigprocmask(SIG_SETMASK, &none, NULL))
		_exit(126);
	signal(SIGPIPE, SIG_DFL);
	execv(argv[0], (char *const *)argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int spawn(const struct cloud *cloud, const char *name, int net, const char *const *argv,
		 json_t *process)
{
	char path[CLOUD_PATH], file[128];
	auto_(closep) int log = -1;
	pid_t pid;

	snprintf(file, sizeof(file), "%s.log", name);
	log = open(cloud_path(cloud, path, "log", file), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
		   0644);
	if (log < 0)
		return sorry(-errno, "cannot open %s: %s", path, strerror(errno));
	pid = fork();
	if (pid < 0)
		return sorry(-errno, "cannot start %s: %s", name, strerror(errno));
	if (!pid)
		become(net, log, argv);
	json_object_set_new(process, "pid", json_integer(pid));
	json_object_set_new(process, "start", json_integer((json_int_t)start_of(pid)));
	return 0;
}

int cloud_start(struct cloud *cloud, const char *name, const struct netns *netns,
		const char *const *argv)
{
	json_t *process = json_pack("{s:s, s:[]}", "name", name, "argv");
	size_t i;
	int err;

	for (i = 0; argv[i]; i++)
		json_array_append_new(json_object_get(process, "argv"), json_string(argv[i]));
	err = spawn(cloud, name, netns->fd, argv, process);
	if (err) {
		json_decref(process);
		return err;
	}
	json_array_append_new(json_object_get(cloud->state, "processes"), process);
	return cloud_save(cloud);
}

// A process that is to end, held by a pidfd: its number cannot come to mean another.
struct ending {
	int pidfd;
	pid_t pid;
};

// Children of this process become zombies; others' do not concern it.
static void end_all(struct ending *ending, size_t count)
{
	uint64_t deadline = now_ms() + STOP_MS;
	size_t i;

	for (i = 0; i < count; i++)
		pidfd_send_signal(ending[i].pidfd, SIGTERM, NULL, 0);
	for (i = 0; i < count; i++) {
		struct pollfd gone = {ending[i].pidfd, POLLIN, 0};
		int64_t left = (int64_t)(deadline - now_ms());

		if (poll(&gone, 1, left > 0 ? (int)left : 0) <= 0) {
			pidfd_send_signal(ending[i].pidfd, SIGKILL, NULL, 0);
			poll(&gone, 1, STOP_MS);
		}
		waitpid(ending[i].pid, NULL, WNOHANG);
		close(ending[i].pidfd);
	}
}

static int stop(const json_t *process)
{
	struct ending ending = {.pid = (pid_t)integer_in(process, "pid")};

	if (!process_lives(process))
		return 0;
	ending.pidfd = pidfd_open(ending.pid, 0);
	if (ending.pidfd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (process_lives(process)) // still the one that was meant
		end_all(&ending, 1);
	else
		close(ending.pidfd);
	return 0;
}

int cloud_restart(struct cloud *cloud, const char *name)
{
	json_t *process = process_of(cloud, name), *argv, *word;
	auto_(closep) int net = -1;
	const char *words[64] = {};
	char path[CLOUD_PATH];
	size_t i;
	int err;

	if (!process)
		return sorry(-ENOENT, "cloud %s has no daemon %s", cloud->name, name);
	err = stop(process);
	if (err)
		return sorry(err, "cannot stop %s: %s", name, strerror(-err));
	argv = json_object_get(process, "argv");
	json_array_foreach (argv, i, word)
		if (i + 1 < sizeof(words) / sizeof(words[0]))
			words[i] = json_string_value(word);
	net = open(cloud_path(cloud, path, "net", name), O_RDONLY | O_CLOEXEC);
	if (net < 0 || !words[0])
		return sorry(-EINVAL, "cloud %s is damaged: no namespace of %s", cloud->name, name);
	err = spawn(cloud, name, net, words, process);
	return err ? err : cloud_save(cloud);
}

// The identities of a cloud's network namespaces.
struct namespaces {
	ino_t *inode;
	size_t count;
};

static void namespaces_free(struct namespaces *namespaces)
{
	free(namespaces->inode);
}

static void namespaces_of(const struct cloud *cloud, struct namespaces *out)
{
	char path[CLOUD_PATH];
	auto_(dir_closep) DIR *dir = opendir(cloud_path(cloud, path, "net", NULL));
	struct dirent *entry;
	struct stat tmpfs, is;

	if (!dir || fstat(dirfd(dir), &tmpfs))
		return;
	while ((entry = readdir(dir))) {
		ino_t *grown;

		// A file that nothing was bound to yet is on the tmpfs itself.
		if (fstatat(dirfd(dir), entry->d_name, &is, 0) || is.st_dev == tmpfs.st_dev ||
		    S_ISDIR(is.st_mode))
			continue;
		grown = realloc(out->inode, (out->count + 1) * sizeof(*grown));
		if (!grown)
			return;
		out->inode = grown;
		grown[out->count++] = is.st_ino;
	}
}

static int is_inside(const struct namespaces *namespaces, pid_t pid)
{
	char path[64];
	struct stat is;
	size_t i;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(path, &is))
		return 0;
	for (i = 0; i < namespaces->count; i++)
		if (namespaces->inode[i] == is.st_ino)
			return 1;
	return 0;
}

// One round over all processes. Returns how many were found inside and ended.
static size_t end_inside(const struct namespaces *namespaces)
{
	auto_(dir_closep) DIR *dir = opendir("/proc");
	auto_(freep) struct ending *ending = NULL;
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir))) {
		pid_t pid = (pid_t)atoi(entry->d_name);
		struct ending *grown;
		int pidfd;

		if (pid <= 1 || pid == getpid() || !is_inside(namespaces, pid))
			continue;
		pidfd = pidfd_open(pid, 0);
		if (pidfd < 0)
			continue;
		grown = realloc(ending, (count + 1) * sizeof(*ending));
		if (!grown || !is_inside(namespaces, pid)) { // gone meanwhile, the number reused
			close(pidfd);
			ending = grown ? grown : ending;
			continue;
		}
		ending = grown;
		ending[count++] = (struct ending){pidfd, pid};
	}
	end_all(ending, count);
	return count;
}

int cloud_destroy(struct cloud *cloud, int *found)
{
	auto_(namespaces_free) struct namespaces namespaces = {};
	struct stat is;
	int rounds = 0;

	if (found)
		*found = !stat(cloud->dir, &is);
	namespaces_of(cloud, &namespaces);
	// What is being ended may just have started something: until a round finds nothing.
	while (namespaces.count && end_inside(&namespaces) && rounds++ < 10)
		;
	while (!umount2(cloud->dir, MNT_DETACH | UMOUNT_NOFOLLOW))
		;
	if (errno != EINVAL && errno != ENOENT)
		return sorry(-errno, "cannot unmount %s: %s", cloud->dir, strerror(errno));
	if (rmdir(cloud->dir) && errno != ENOENT)
		return sorry(-errno, "cannot remove %s: %s", cloud->dir, strerror(errno));
	json_decref(cloud->state);
	cloud->state = NULL;
	return 0;
}
