/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: network functions that people push (include/zeta/nf.h).
#pragma once

#include <linux/types.h>

#include "include/zeta/nf.h"
#include "shared/tenant.h"

// Pushed functions have the slots from FUNCTION_FIRST_FREE on; the first of them may see every
// packet, for which the same function has a second slot.
#define PUSHED_FUNCTIONS 24
#define FUNCTION_FIRST_EVERY (FUNCTION_FIRST_FREE + PUSHED_FUNCTIONS)
_Static_assert(FUNCTION_FIRST_EVERY + EVERY_FUNCTIONS <= MAX_FUNCTIONS, "there are slots for all");

// A function has at most two versions on a node: the one that runs, and one that may.
#define FUNCTION_PLACES 2

// Map "function_configs": hash. What a service chain tells one version of a function.
struct function_config_key {
	__u32 chain; // the VPC's own: its VNI; else the number of the chain and FUNCTION_LATER
	__u16 slot;
	__u16 place;
};

#define FUNCTION_LATER 0x80000000u

struct function_config {
	__u8 bytes[ZETA_CONFIG_BYTES];
};

// Map "function_counts": per-CPU array, index FUNCTION_PLACES * slot + place. Since it was loaded.
struct function_count {
	__u64 runs;
	__u64 dropped;
	__u64 beyond; // FUNCTION_BEYOND and FUNCTION_ANSWER
	__u64 timed;  // so many of the runs
	__u64 timed_ns;
	__u64 longest_ns;	    // of these
	__u64 reason[ZETA_REASONS]; // of those dropped
};
#define FUNCTION_TIMED 64 // one run in so many is timed: reading the clock costs as much as a run

// What the loader fixes in each program of a function.
struct function_setup {
	__u32 slot; // FUNCTION_FIRST_FREE and higher
	__u32 place;
	__u32 may;   // ZETA_MAY_*
	__u32 every; // it has that entry point
	__s64 tai_s; // international atomic time minus UTC
};

// How the loader is told. Keys and values of tables that are no maps (node/tables.def).
#define FUNCTION_PART 2048 // bytes of an object in one entry

struct function_part_key {
	__u16 slot;
	__u16 place;
	__u32 part; // 0 to ZETA_OBJECT_BYTES / FUNCTION_PART - 1
};

struct function_part {
	__u8 bytes[FUNCTION_PART]; // of the last one zeros after its end
};

struct function_version_key {
	__u16 slot;
	__u16 place;
};

struct function_version {
	__u64 digest; // hash_bytes() of the object
	__u32 size;
	__u32 pad;
};

struct function_run {
	__u32 place; // of the version that runs
	__u32 pad;
	__u64 function; // whose it is: hash_text() of its id, as slots are used again
};
