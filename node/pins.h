/* SPDX-License-Identifier: Apache-2.0 */
// The directory of a bpffs that holds a node's maps and links: what outlives the daemon.
#pragma once

#include <linux/types.h>
#include <stddef.h>

#define PIN_PATH 512

// A network interface's mode of XDP.
enum xdp_mode {
	XDP_MODE_NATIVE_FIRST, // generic, with a warning, where native is refused
	XDP_MODE_NATIVE,
	XDP_MODE_GENERIC,
};

enum hook {
	HOOK_XDP,
	HOOK_TCX_INGRESS,
	HOOK_TCX_EGRESS,
};

// Makes dir (and its parent) with its folder of links. Returns 0; -ENOTSUP: not on a bpffs; or what
// mkdir() says.
int pins_make(const char *dir);
// Detaches and removes everything in dir, links first, and dir itself. 0 where there is nothing.
int pins_remove(const char *dir);
// Removes one pin. What is not there is removed.
void pin_drop(const char *dir, const char *name);
// Opens a pinned map. The caller owns the descriptor. Negative errno.
int pin_open(const char *dir, const char *name);

// Has the program run at the interface, by a link pinned as links/<name>. A link that is there
// already is given the new program in one step, so no packet goes without. Returns 0; -ENODEV;
// -EBUSY: somebody else's program is attached there; or what the kernel says.
int link_place(const char *dir, const char *name, enum hook hook, unsigned int ifindex, int program,
	       enum xdp_mode mode);
// Detaches. What is not there is detached.
void link_drop(const char *dir, const char *name);
// The interface that the pinned link is at. 0: no such link, or its interface is gone.
unsigned int link_ifindex(const char *dir, const char *name);
// Calls each with the name of every pin in the folder ("" or "links/") that begins with prefix.
void pins_each(const char *dir, const char *folder, const char *prefix,
	       void (*each)(void *context, const char *name), void *context);
