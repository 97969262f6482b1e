// SPDX-License-Identifier: Apache-2.0
// A process that gave up its rights tries to use them: every call must be refused, by the filter
// and not only for want of a capability.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/rights.h"

#define NOBODY 65534

// Without the filter the kernel would say EINVAL of this, and EFAULT of the bad addresses below;
// EPERM of a sensible call could also be for want of a capability.
#define NO_COMMAND 9999

// Runs it in a child; returns the first line at which it was not satisfied, or 0. The filter stays
// for ever, so each test has a process of its own.
static int in_child(int (*run)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		// Lines are larger than an exit status.
		int line = run();

		if (line)
			fprintf(stderr, "not satisfied in line %d\n", line);
		_exit(line != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define REFUSED(call)                                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((call) != -1 || errno != EPERM)                                                \
			return __LINE__;                                                           \
	} while (0)

static int try_both(void)
{
	char *const argv[] = {"true", NULL};

	REFUSED(execv("/bin/true", argv));
	REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	REFUSED(syscall(SYS_mount, 1, 1, 1, 0, 0));
	REFUSED(unshare(CLONE_NEWUSER));
	REFUSED(syscall(SYS_clone, CLONE_NEWUSER | 17, NULL, NULL, NULL, NULL));
	REFUSED(syscall(SYS_init_module, "", 0, ""));
	REFUSED(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
	errno = 0;
	if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
		return __LINE__;
	return 0;
}

static int be_agent(void)
{
	const struct user nobody = {NOBODY, NOBODY};
	uid_t uids[3];
	int line;

	if (rights_agent(&nobody))
		return __LINE__;
	if (getresuid(&uids[0], &uids[1], &uids[2]) || uids[0] != NOBODY || uids[1] != NOBODY ||
	    uids[2] != NOBODY || !setuid(0) || !setgid(0))
		return __LINE__;
	REFUSED(syscall(SYS_bpf, NO_COMMAND, NULL, 0));
	REFUSED(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	if ((line = try_both()))
		return line;
	REFUSED((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	REFUSED((long)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
	// What it needs still works: memory, and looking at the kernel's.
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ||
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED)
		return __LINE__;
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? __LINE__
		       : 0;
}

static int be_loader(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

	if (rights_loader())
		return __LINE__;
	if (syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) < 0)
		return __LINE__;
	// Without CAP_NET_RAW.
	REFUSED(socket(AF_XDP, SOCK_RAW, 0));
	// Root without CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_SETUID.
	REFUSED(chown("/", 1, 1));
	REFUSED(setuid(1));
	return try_both();
}

static int be_loader_with_doors(void)
{
	if (rights_loader_with_doors())
		return __LINE__;
	if (socket(AF_XDP, SOCK_RAW, 0) < 0)
		return __LINE__;
	REFUSED(chown("/", 1, 1));
	return try_both();
}

static void agent_can_do_nothing(void **state)
{
	assert_int_equal(in_child(be_agent), 0);
}

static void loader_can_do_little(void **state)
{
	assert_int_equal(in_child(be_loader), 0);
}

static void loader_may_open_doors(void **state)
{
	assert_int_equal(in_child(be_loader_with_doors), 0);
}

static void unknown_user_is_said(void **state)
{
	struct user user;

	assert_int_equal(rights_user("nobody", &user), 0);
	assert_int_equal(user.uid, NOBODY);
	assert_int_equal(rights_user("no such user", &user), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agent_can_do_nothing),
		cmocka_unit_test(loader_can_do_little),
		cmocka_unit_test(loader_may_open_doors),
		cmocka_unit_test(unknown_user_is_said),
	};

	if (geteuid()) {
		fprintf(stderr, "skipped: needs root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
