/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The one exit: counts the verdict and gives the action that goes with it.
#pragma once

#include "datapath/packet.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, struct verdict_count);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} verdicts SEC(".maps");

inlined int action_of(enum verdict v)
{
	enum { PASS_ = XDP_PASS, SENT_ = XDP_REDIRECT, DROP_ = XDP_DROP };

	switch (v) {
#define VERDICT(name, kind, meaning)                                                               \
	case name:                                                                                 \
		return kind##_;
#include "shared/verdicts.def"
#undef VERDICT
	default:
		return XDP_ABORTED;
	}
}

inlined void count(struct xdp_md *ctx, enum verdict v)
{
	__u32 index = v;
	struct verdict_count *c = bpf_map_lookup_elem(&verdicts, &index);

	if (!c)
		return;
	c->packets++;
	c->bytes += ctx->data_end - ctx->data;
}

// A packet that is sent was handed to bpf_redirect() before.
inlined int finish(struct xdp_md *ctx, enum verdict v)
{
	count(ctx, v);
	return action_of(v);
}
