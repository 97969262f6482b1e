/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The one exit: counts the verdict and gives the action that goes with it.
#pragma once

#include "datapath/count.bpf.h"

inlined int action_of(enum verdict v)
{
	return action_for(v, XDP_PASS, XDP_REDIRECT, XDP_DROP, XDP_ABORTED);
}

inlined void count(struct xdp_md *ctx, enum verdict v)
{
	// As pointers: the verifier wants none that is put aside in half of its bytes.
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;

	asm volatile("" : "+r"(data), "+r"(end));
	count_packets(v, 1, (const char *)end - (const char *)data);
}

// A packet that is sent was handed to bpf_redirect() before.
inlined int finish(struct xdp_md *ctx, enum verdict v)
{
	count(ctx, v);
	return action_of(v);
}
