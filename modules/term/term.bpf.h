/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What ballots keep for the daemon that comes after: here because a node's maps are those that its
// programs declare. No program reads it.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "shared/membership.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CHAINS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct register_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} registers SEC(".maps");
