/* SPDX-License-Identifier: Apache-2.0 */
// What each of the two processes may do: as little as its work needs, given up for good.
#pragma once

struct user {
	unsigned int uid;
	unsigned int gid;
};

// Looks a user up by name. Returns 0; -ENOENT: there is none.
int rights_user(const char *name, struct user *user);

// The loader: stays who it is, keeps CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (the verifier lets
// programs use pointers freely only with it), and can neither gain rights nor start programs.
// Returns 0 or a negative errno.
int rights_loader(void);
// The same, which keeps CAP_NET_RAW too: AF_XDP sockets for middleboxes need it.
int rights_loader_with_doors(void);
// The agent: becomes the user, keeps no capability, and has no way to the calls that matter: bpf,
// mount, ptrace, modules, keys, other programs. Ends with the process that started it. Call it
// before starting threads. Returns 0 or a negative errno.
int rights_agent(const struct user *user);
