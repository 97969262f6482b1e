/* SPDX-License-Identifier: Apache-2.0 */
// Attaching a tc program to an interface's ingress by a tcx link: libbpf 1.1 does not know tcx yet,
// the kernel (6.6 and later) does.
#pragma once

// Runs the program (type sched_cls, SEC("tc")) on every frame that enters at the interface, i.e. of
// a workload's host-side veth: on what the workload sends. Programs attached earlier run earlier.
// Returns the link: it detaches when its last file descriptor is closed, unless it is pinned with
// bpf_obj_pin(); the program behind it is replaced with bpf_link_update(). Errors: -ENODEV: no such
// interface; -EINVAL: not a tc program, or the kernel has no tcx; -EPERM: no right to.
int tcx_attach(int prog_fd, int ifindex);
// The same for what the interface sends.
int tcx_attach_egress(int prog_fd, int ifindex);
