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

// What a function's middlebox is asked (modules/door), and what it has answered.
enum asked_state {
	ASKED_NOTHING,
	ASKED_ANSWERED, // the packet has come back
	ASKED_RESUMED,	// the function is called for what its middlebox has said
};

struct asked {
	__u32 state;
	__u16 slot;
	__u16 place;
	__u8 answer;
	__u8 pad[3];
	struct zeta_first_packet
		told; // without the configuration; answered: reason, remember, hold
};
#define FUNCTION_TOLD __builtin_offsetof(struct zeta_first_packet, config)

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct asked);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} asked_packets SEC(".maps");

inlined struct asked *asked_now(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&asked_packets, &zero);
}

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
	__u8 function[EVERY_FUNCTIONS]; // each once
	__u32 chain[EVERY_FUNCTIONS];	// whose configuration it has, by VNI
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

// Of so many functions those that want to see the packet, each once. wanting: bits, as in a
// decision.
inlined void passage_add(struct passage *t, __u32 *wanting, const __u8 *function, __u32 count,
			 __u32 vni)
{
	for (__u32 i = 0; i < 8; i++) {
		__u32 number = i < count ? function[i] - FUNCTION_FIRST_FREE : EVERY_FUNCTIONS;

		if (number >= EVERY_FUNCTIONS || !(*wanting >> number & 1))
			continue;
		*wanting &= ~(1u << number);
		t->function[t->functions % EVERY_FUNCTIONS] = number;
		t->chain[t->functions++ % EVERY_FUNCTIONS] = vni;
	}
}
_Static_assert(MAX_SERVICE_CHAIN == 8 && EVERY_FUNCTIONS == 8, "as many as in the loop");

// Who is to see the packet: first who is in the service chain of its VPC, in order, then who is in
// other chains of that VPC's, then both of the other one, where it goes to another. One that left
// its chain sees nothing more.
inlined void passage_fill(struct passage *t, const struct vpc_value *vpc,
			  const struct vpc_value *to, __u32 to_vni)
{
	__u32 wanting = t->decision.reason;

	t->next = t->functions = 0;
	passage_add(t, &wanting, vpc->function, vpc->functions, t->vni);
	if (wanting)
		passage_add(t, &wanting, vpc->later, EVERY_FUNCTIONS, t->vni);
	if (wanting && to) {
		passage_add(t, &wanting, to->function, to->functions, to_vni);
		passage_add(t, &wanting, to->later, EVERY_FUNCTIONS, to_vni);
	}
}

// The last word of who has seen the packet: the next one, or, after the last, on to the host.
inlined int passage_next(struct xdp_md *ctx, struct passage *t)
{
	__u32 i = t->next;

	if (i >= t->functions || i >= EVERY_FUNCTIONS)
		return go_to(ctx, STEP_PASSED);
	t->next = i + 1;
	bpf_tail_call(ctx, &functions, FUNCTION_FIRST_EVERY + t->function[i]);
	return finish(ctx, NO_CHAIN_FUNCTION);
}
