/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Pushed network functions: their configurations and counts, and a packet on its way through those
// that see every packet of its flow.
#pragma once

#include "datapath/evaluation.bpf.h"
#include "shared/function.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FUNCTION_CONFIGS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct function_config_key);
	__type(value, struct function_config);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} function_configs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_FUNCTIONS *FUNCTION_PLACES);
	__type(key, __u32);
	__type(value, struct function_count);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} function_counts SEC(".maps");

// A packet that is decided about and goes to a host, after the functions that are still to see it.
struct passage {
	struct flow flow;
	struct decision decision;
	__u64 hash;
	__u32 vni;
	__u32 entrance;
	__u32 verdict;
	__u32 inner_offset;
	__u16 bytes;
	__u8 ttl;
	__u8 dscp;
	__u8 dscp_before;
	__u8 told;    // its session is in the cache
	__u8 later;   // a later fragment: its flow is known already
	__u8 fresh;   // of a translated session: what is known of it is in session_room()->reply
	__u8 final;   // .. the packet is translated already
	__u8 beside;  // .. it went its way already
	__u8 changes; // .. it changes the session's state
	__u8 functions;
	__u8 next;
	__u8 function[MAX_SERVICE_CHAIN];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct passage);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} passages SEC(".maps");

inlined struct passage *passage_now(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&passages, &zero);
}

// The last word of who has seen the packet: the next one that wants to, in the order of the VPC's
// service chain, or, after the last, on to the host. One that left the chain sees nothing more.
inlined int passage_next(struct xdp_md *ctx, struct passage *t)
{
	UNROLLED
	for (__u32 i = 0; i < MAX_SERVICE_CHAIN; i++) {
		__u32 number = t->function[i] - FUNCTION_FIRST_FREE;

		if (i < t->next || i >= t->functions || number >= EVERY_FUNCTIONS ||
		    !(t->decision.reason >> number & 1))
			continue;
		t->next = i + 1;
		bpf_tail_call(ctx, &functions, FUNCTION_FIRST_EVERY + number);
		return finish(ctx, NO_CHAIN_FUNCTION);
	}
	return go_to(ctx, STEP_PASSED);
}
