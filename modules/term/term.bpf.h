/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What ballots keep for the daemon that comes after, which may find no controller: here because a
// node's maps are those that its programs declare. No program reads it.
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

// What the node is (struct node_settings of node/messages.h).
struct settings_bytes {
	__u8 byte[SETTINGS_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct settings_bytes);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} settings SEC(".maps");

// Where the daemons of other nodes are: by node index, :: where there is no such node.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NODES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct in6_addr);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} addresses SEC(".maps");
