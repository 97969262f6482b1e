/* SPDX-License-Identifier: Apache-2.0 */
// Middleboxes at the loader (shared/door.h): the pair of interfaces of each function that has one,
// and the socket that it gets.
#pragma once

#include "node/datapath.h"

#define DOOR_CHUNKS 512 // frames that a middlebox may have at once; a power of two
#define DOOR_CHUNK_BYTES 4096

// Opens the door of a function (as in struct function_run), which is in a slot, from
// FUNCTION_FIRST_FREE on, for one middlebox: an AF_XDP socket that is bound for good, and the
// memory of its frames. The caller owns what is in fds on success. Returns 0; -EAGAIN: no programs
// are loaded, or the node is no flow table node; -EBUSY: a middlebox is there, or has only just
// gone; or what the kernel says.
int door_open(const struct datapath *datapath, __u32 slot, __u64 function, int fds[DOOR_FDS]);
int door_is_open(const char *dir, __u32 slot);
// Takes it from whoever has it.
void door_shut(const char *dir, __u32 slot);
// The same where it is not this function's.
void door_keep(const char *dir, __u32 slot, __u64 function);
// The same of all functions.
void doors_shut(const char *dir);
// Programs were loaded: they take the place of those at the doors that are open. Returns 0 or a
// negative errno.
int doors_follow(const char *dir, int in, int out);
// Counts whom nobody has answered.
void doors_sweep(const struct datapath *datapath);
