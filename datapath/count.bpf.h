/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Every program's verdict is counted here, and here it becomes an action, whatever kind of program
// it is.
#pragma once

#include "datapath/packet.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, struct verdict_count);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} verdicts SEC(".maps");

inlined void count_packets(enum verdict v, __u32 packets, __u64 bytes)
{
	__u32 index = v;
	struct verdict_count *c = bpf_map_lookup_elem(&verdicts, &index);

	if (!c)
		return;
	c->packets += packets;
	c->bytes += bytes;
}

// The caller's action for the verdict's kind; unknown: for what is no verdict.
inlined int action_for(enum verdict v, int PASS_, int SENT_, int DROP_, int unknown)
{
	switch (v) {
#define VERDICT(name, kind, meaning)                                                               \
	case name:                                                                                 \
		return kind##_;
#include "shared/verdicts.def"
#undef VERDICT
	default:
		return unknown;
	}
}
