/* SPDX-License-Identifier: Apache-2.0 */
// The BPF objects inside this executable, and which program goes into which slot.
#pragma once

#include <linux/types.h>
#include <stddef.h>

struct embedded_object {
	const char *name;
	__u32 roles;			    // NODE_*: a node with any of them loads it
	const void *(*bytes)(size_t *size); // of the ELF file
	__u32 slot; // not 0: the program of the object's name goes into "functions"
};

// Ends with a NULL name. The first of a role declares its maps, the others share them by name.
extern const struct embedded_object embedded_objects[];

// A program that the gateway object tail-calls, by its index in "steps". Ends with a NULL program.
struct step_program {
	__u32 index;
	const char *program;
};
extern const struct step_program step_programs[];
