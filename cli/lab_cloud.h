/* SPDX-License-Identifier: Apache-2.0 */
// One cloud's things: a directory, everything in it, and the processes that live there.
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "cli/lab_net.h"

#define LAB_DIR "/run/zeta/lab"

//   /run/zeta/lab/NAME            tmpfs of its own; unmounting it takes all of the following away
//     state.json                  what was started, in which order
//     net/MACHINE                 network namespaces, bound
//     bpf/                        bpffs: what zetad pins
//     certs/ log/ run/ store/
//   /run/zeta/lab/NAME.lock       held while the cloud is brought up or taken down
struct cloud {
	const char *name;
	char dir[256];
	int lock;      // -1: not held
	json_t *state; // {"state", "topology", "controller", "processes": [..], "endpoints": [..]}
};

// Says what was wrong, all of these. They return 0 or -errno.

// The directory's name, and the lock: another zetactl that changes this cloud is waited for.
int cloud_lock(struct cloud *cloud, const char *name);
// An existing cloud, as its state.json tells; not locked. -ENOENT: there is none.
int cloud_open(struct cloud *cloud, const char *name);
int cloud_exists(struct cloud *cloud, const char *name); // the same, without a word
int cloud_load(struct cloud *cloud);			 // the same, of one that is locked
void cloud_close(struct cloud *cloud);

// Makes the directory and mounts what belongs to it. There must be none.
int cloud_create(struct cloud *cloud);
// Ends every process in it and takes everything away, whatever state it is in. *found, if not NULL:
// whether there was anything.
int cloud_destroy(struct cloud *cloud, int *found);
int cloud_save(struct cloud *cloud);

// DIR/FILE; text holds it and is returned.
#define CLOUD_PATH 512
char *cloud_path(const struct cloud *cloud, char text[CLOUD_PATH], const char *folder,
		 const char *file);

// Starts argv in a network namespace, its output going to log/NAME.log, and records it.
int cloud_start(struct cloud *cloud, const char *name, const struct netns *netns,
		const char *const *argv);
// Ends a recorded process and starts it again as it was.
int cloud_restart(struct cloud *cloud, const char *name);
// Whether a recorded process lives: 1 or 0.
int process_lives(const json_t *process);
