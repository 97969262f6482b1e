/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Ops that the loader has the kernel send: the maps of shared/outbox.h.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "shared/inlined.h"
#include "shared/outbox.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_OUTBOX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct outbox_entry);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} outbox SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct outbox_place);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} outbox_next SEC(".maps");

inlined struct outbox_entry *outbox_at(__u32 serial)
{
	__u32 at = serial % MAX_OUTBOX;

	return bpf_map_lookup_elem(&outbox, &at);
}
