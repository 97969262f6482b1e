// SPDX-License-Identifier: Apache-2.0
// The bpf(2) call behind a tcx link.
#include "node/tcx.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

// enum bpf_attach_type of Linux 6.6; an enumerator cannot be asked for by #ifdef.
#define TCX_INGRESS 46
#define TCX_EGRESS 47

static int attach(int prog_fd, int ifindex, unsigned int type)
{
	union bpf_attr attr = {
		.link_create.prog_fd = prog_fd,
		.link_create.target_ifindex = ifindex,
		.link_create.attach_type = type,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr.link_create));

	// The kernel gives bpf file descriptors with O_CLOEXEC.
	return fd < 0 ? -errno : (int)fd;
}

int tcx_attach(int prog_fd, int ifindex)
{
	return attach(prog_fd, ifindex, TCX_INGRESS);
}

int tcx_attach_egress(int prog_fd, int ifindex)
{
	return attach(prog_fd, ifindex, TCX_EGRESS);
}
