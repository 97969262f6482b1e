// SPDX-License-Identifier: Apache-2.0
// Capabilities, identity and a filter of system calls, with nothing but prctl and capset.
#include "node/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (1ull << (capability))

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "the system call filter does not know this architecture"
#endif

// Refused to both processes: ways to other rights, other namespaces, other processes' memory, the
// kernel's own configuration, and other programs. Last, what only the loader may do.
static const unsigned short refused[] = {
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_pidfd_getfd,
	SYS_mount,
	SYS_umount2,
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_pivot_root,
	SYS_chroot,
	SYS_setns,
	SYS_unshare,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_quotactl,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_open_by_handle_at,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_personality,
	SYS_kcmp,
#ifdef __x86_64__
	SYS_iopl,
	SYS_ioperm,
#endif
	SYS_bpf,
	SYS_perf_event_open,
};
#define REFUSED (sizeof(refused) / sizeof(*refused))
#define FOR_AGENT_ONLY 2

int rights_user(const char *name, struct user *user)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry)
		return -ENOENT;
	*user = (struct user){entry->pw_uid, entry->pw_gid};
	return 0;
}

// Afterwards no program started by us could ever have more than these. Needs CAP_SETPCAP, so it
// comes before the capabilities go.
static int bound(unsigned long long keep)
{
	int capability;

	for (capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		if (!(keep & BIT(capability)) && prctl(PR_CAPBSET_DROP, capability))
			return -errno;
	return 0;
}

static int keep_only(unsigned long long keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct data[2] = {
		{.effective = (unsigned int)keep, .permitted = (unsigned int)keep},
		{.effective = (unsigned int)(keep >> 32), .permitted = (unsigned int)(keep >> 32)},
	};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
	    syscall(SYS_capset, &header, data))
		return -errno;
	return 0;
}

static struct sock_filter answer(unsigned int what)
{
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what);
}

// The agent looks at the kernel's arrays through descriptors that could write: one that can only
// read cannot be mapped as shared. So what it maps as shared it may not map to write (nor make so
// later: such a mapping of a map stays as it is). Returns how many instructions; the accumulator
// has the call's number, and keeps it where the call is another.
static unsigned short refuse_shared_memory(struct sock_filter program[8])
{
	program[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 7);
	program[1] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, args[2]));
	program[2] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 4);
	program[3] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						  offsetof(struct seccomp_data, args[3]));
	program[4] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, MAP_TYPE);
	program[5] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_PRIVATE, 1, 0);
	program[6] = answer(SECCOMP_RET_ERRNO | EPERM);
	program[7] = answer(SECCOMP_RET_ALLOW);
	return 8;
}

static int filter_calls(size_t count)
{
	struct sock_filter program[2 * REFUSED + 24];
	struct sock_fprog whole = {.filter = program};
	unsigned short n = 0;
	size_t i;

	// Numbers mean other calls on another architecture (32-bit calls of a 64-bit process).
	program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						    offsetof(struct seccomp_data, arch));
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0);
	program[n++] = answer(SECCOMP_RET_KILL_PROCESS);
	program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						    offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	// The x32 calls: the same architecture, other numbers.
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
	program[n++] = answer(SECCOMP_RET_KILL_PROCESS);
#endif
	// Its flags are in memory, where a filter cannot look; the C library falls back to clone.
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	program[n++] = answer(SECCOMP_RET_ERRNO | ENOSYS);
	// A new user namespace would have every capability inside.
	program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
	program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						    offsetof(struct seccomp_data, args[0]));
	program[n++] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1);
	program[n++] = answer(SECCOMP_RET_ERRNO | EPERM);
	program[n++] = answer(SECCOMP_RET_ALLOW);
	if (count == REFUSED)
		n += refuse_shared_memory(program + n);
	for (i = 0; i < count; i++) {
		program[n++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i], 0, 1);
		program[n++] = answer(SECCOMP_RET_ERRNO | EPERM);
	}
	program[n++] = answer(SECCOMP_RET_ALLOW);
	whole.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole))
		return -errno;
	return 0;
}

static int keep_as_loader(unsigned long long keep)
{
	int err;

	if ((err = bound(keep)) || (err = keep_only(keep)))
		return err;
	return filter_calls(REFUSED - FOR_AGENT_ONLY);
}

int rights_loader(void)
{
	return keep_as_loader(BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON));
}

int rights_loader_with_doors(void)
{
	return keep_as_loader(BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON) |
			      BIT(CAP_NET_RAW));
}

int rights_agent(const struct user *user)
{
	int err;

	if ((err = bound(0)))
		return err;
	if (setgroups(0, NULL) || setresgid(user->gid, user->gid, user->gid) ||
	    setresuid(user->uid, user->uid, user->uid))
		return -errno;
	if ((err = keep_only(0)))
		return err;
	// After changing who it is, which resets both.
	if (prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	return filter_calls(REFUSED);
}
