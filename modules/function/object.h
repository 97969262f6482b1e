/* SPDX-License-Identifier: Apache-2.0 */
// A pushed function's object file, read without trusting it: the controller does so when it is
// pushed, and the loader again before it gives it to libbpf and the kernel.
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "include/zeta/nf.h"

#define OBJECT_FIELDS 64
#define OBJECT_WHY 200

enum object_type {
	OBJECT_INTEGER, // host byte order
	OBJECT_NETWORK, // integer in network byte order
	OBJECT_ADDRESS, // struct in6_addr
};

// A field of struct zeta_config.
struct object_field {
	char name[64];
	enum object_type type;
	__u32 offset;
	__u32 size;  // of one
	__u32 count; // 0: no array
};

struct function_object {
	__u32 may;	  // ZETA_MAY_*
	int first, every; // it has that entry point
	__u32 config_size;
	__u32 fields;
	struct object_field field[OBJECT_FIELDS];
};

// cpus: how often a per-CPU value counts. Returns 0; -EINVAL: why is a sentence; -ENOMEM.
int object_read(const void *bytes, size_t size, unsigned int cpus, struct function_object *out,
		char why[OBJECT_WHY]);
