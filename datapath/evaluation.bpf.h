/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What the network functions of a service chain share while they decide about a first packet, and
// how they hand it on. Each function is a program of its own, called by tail call.
#pragma once

#include "datapath/finish.bpf.h"
#include "shared/function.h"
#include "shared/steps.h"
#include "shared/tenant.h"

// Whose service chains a packet meets after the VPC's own, in order.
enum later {
	LATER_SENDER,  // its subnet
	LATER_ADDRESS, // the load balancer, floating IP or forward that it was sent to
	LATER_TAKER,   // the subnet of who gets it
	LATERS,
};

struct evaluation {
	struct session_key key;
	struct in6_addr source;
	struct in6_addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 from_b;
	__u8 icmp_error; // about the flow source -> destination; never begins a session
	__u8 icmp_type;
	__u8 fragment; // of IPv6, any: ports, flags and ICMP type are 0
	__u32 vni;
	__u8 frame_from_mac[6]; // as the packet has them
	__u8 frame_to_mac[6];

	__u8 functions; // the service chain that runs, and its next one
	__u8 next;
	__u8 function[MAX_SERVICE_CHAIN];
	__u8 stateful;	  // some function wants the session remembered
	__u8 undecidable; // valid for this packet only, whatever is decided
	__u8 again;	  // of a live session: what is above is as its first packet had it
	__u8 anew;	  // a first packet, where one session of the key has ended, which is known
	__u8 otherwise;	  // anew: and not as that one was decided, though it looks the same
	__u8 hold;	  // some function wants later packets to come through the forwarders
	__u8 translated;  // a function stands for its translation
	__u8 routed;	  // by a route of the VPC, or a function's word, to next_hop
	__u8 from_router; // the source is no endpoint's: it came through router
	__u8 every;	  // functions that want to see every packet: bits of decision.reason
	__u32 policy;
	__u16 first_choice;  // of the source ports that the translation may have ..
	__u16 choices;	     // .. so many; 0: it has the one that it says
	__u32 chain;	     // the one that runs, as struct function_config_key has it
	__u32 later[LATERS]; // the numbers of those that are still to run, 0: none
	__u8 as_sent;	     // functions are told of the packet what it was before translation
	__u8 met;	     // functions, those that see every packet twice
	__u64 answers_ns;    // until then all middleboxes that it asks have to answer; 0: none yet

	// What is being decided: towards the destination, and back. The sender's host is in back
	// from the start; again, anew: the MAC that the session's packets go to is in forth.
	struct decision forth;
	struct decision back;
	// All 0: the packets stay as they are. Set by evaluation_translate(). Again: the session's,
	// from the start.
	struct translation translation;
	struct translation former; // anew: of the session that has ended
	struct in6_addr next_hop;  // routed: the endpoint that gets it in the destination's place
	struct in6_addr router;	   // from_router: an address of the port that sent it
	// TRANSLATION_MAPS_*: what mappings said, or, in asks, shall say yet. Of a live session
	// only the flags: which have said what its translation is.
	struct translation mapping;
	__u8 asks;
	__u8 begins_mapping; // it is no session: what is above is of the mapping that key names

	__u32 source_group[MAX_PORT_GROUPS];
	__u32 destination_group[MAX_PORT_GROUPS];
};

// The one that programs work on; and what was decided, while a mapping is asked for.
// EVALUATION_ASKED: what was decided until a middlebox was asked, which has answered.
enum { EVALUATION_NOW, EVALUATION_KEPT, EVALUATION_ASKED, EVALUATIONS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVALUATIONS);
	__type(key, __u32);
	__type(value, struct evaluation);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} evaluations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, STEPS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} steps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, MAX_FUNCTIONS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} functions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SERVICE_CHAINS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct service_chain_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} service_chains SEC(".maps");

inlined struct evaluation *evaluation_now(void)
{
	__u32 now = EVALUATION_NOW;

	return bpf_map_lookup_elem(&evaluations, &now);
}

inlined void evaluation_keep(const struct evaluation *e)
{
	__u32 kept = EVALUATION_KEPT;

	bpf_map_update_elem(&evaluations, &kept, e, BPF_ANY);
}

// Whether the packet may begin a session. What claims to be in the middle of one has none; of ICMP
// it is an echo request, so that a rule for it lets nothing else in.
inlined int evaluation_begins(const struct evaluation *e)
{
	if (e->icmp_error)
		return 0;
	if (e->protocol == IPPROTO_ICMP)
		return e->fragment || e->icmp_type == ICMP_ECHO_REQUEST;
	if (e->protocol == IPPROTO_ICMPV6)
		return e->fragment || e->icmp_type == ICMPV6_ECHO_REQUEST;
	return e->protocol != IPPROTO_TCP || (e->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

// A network function's word: the session's packets become these; for all functions after this one
// they are these already. What is decided again (e->again) has a translation that stays: the same
// function says e->translation again. flags: TRANSLATION_CHOSEN or 0.
inlined void evaluation_translate(struct evaluation *e, const struct translation *t)
{
	e->source = t->source;
	e->destination = t->destination;
	e->source_port = t->source_port;
	e->destination_port = t->destination_port;
	e->vni = vni_of(t->vni);
	e->translation = *t;
	e->translated = 1;
	e->translation.flags &= TRANSLATION_CHOSEN;
	e->translation.flags |= TRANSLATION_IS | (e->from_b ? TRANSLATION_FROM_B : 0);
	e->stateful = 1;
}

// A network function's word: the session's packets go on in another VPC, as they are. A function
// after this one may translate them there; what is decided again has what that one said.
inlined void evaluation_enter(struct evaluation *e, __u32 vni)
{
	struct translation t = {
		.source = e->source,
		.destination = e->destination,
		.source_port = e->source_port,
		.destination_port = e->destination_port,
	};

	if (e->again) {
		e->vni = vni;
		e->translated = 1;
		e->stateful = 1;
		return;
	}
	vni_put(t.vni, vni);
	evaluation_translate(e, &t);
}

// With it: the session's packets get a source port that is free, of so many from first on (an echo
// request: its identifier). Which one is chosen when all functions have run.
inlined void evaluation_choose(struct evaluation *e, __u16 first, __u16 count)
{
	e->first_choice = first;
	e->choices = count;
	e->translation.flags |= TRANSLATION_CHOSEN;
}

// Where the packet comes from, in the VPC of its key, whatever it was translated to.
inlined struct in6_addr evaluation_origin(const struct evaluation *e)
{
	return e->from_b ? e->key.b : e->key.a;
}

inlined __be16 evaluation_origin_port(const struct evaluation *e)
{
	return e->from_b ? e->key.b_port : e->key.a_port;
}

// A step never returns where the loader has filled its slot.
inlined int go_to(struct xdp_md *ctx, enum gateway_step step)
{
	bpf_tail_call(ctx, &steps, step);
	return finish(ctx, BUG);
}

// Begins with the next of the chains after the VPC's own; one that is both subnets' runs once.
// Returns 0 where this node has not been told of it.
inlined int later_chain(struct evaluation *e)
{
	const __u32 whose = e->later[LATER_SENDER]    ? LATER_SENDER
			    : e->later[LATER_ADDRESS] ? LATER_ADDRESS
						      : LATER_TAKER;
	const struct service_chain_value *c;
	__u32 number = e->later[whose], kept = 0;

	UNROLLED
	for (int i = 0; i < LATERS; i++)
		if (e->later[i] == number)
			e->later[i] = 0;
	c = bpf_map_lookup_elem(&service_chains, &number);
	if (!c)
		return 0;
	UNROLLED
	for (int i = 0; i < MAX_LATER_CHAIN; i++)
		// What people pushed has decided for good, as in the VPC's own chain.
		if (i < c->functions && !(e->again && c->function[i] >= FUNCTION_FIRST_FREE))
			e->function[kept++ % MAX_SERVICE_CHAIN] = c->function[i];
	e->functions = kept;
	e->next = 0;
	e->chain = number | FUNCTION_LATER;
	e->as_sent = whose != LATER_TAKER;
	return 1;
}

// The next function of the chain that runs, or the decision as it stands.
inlined int function_run(struct xdp_md *ctx, struct evaluation *e)
{
	__u32 i = e->next;

	asm volatile("" : "+r"(i)); // the verifier has to see the next line
	if (i >= MAX_SERVICE_CHAIN || i >= e->functions)
		return go_to(ctx, STEP_DECIDED);
	if (e->met++ >= MAX_MET)
		return finish(ctx, TOO_MANY_FUNCTIONS);
	e->next = i + 1;
	bpf_tail_call(ctx, &functions, e->function[i]);
	return finish(ctx, NO_CHAIN_FUNCTION);
}

// A function's last word: the next one of its chain, or of the chains that are still to run.
inlined int function_next(struct xdp_md *ctx, struct evaluation *e)
{
	LOOPED
	for (int i = 0; i < LATERS && e->next >= e->functions; i++) {
		if (!(e->later[LATER_SENDER] | e->later[LATER_ADDRESS] | e->later[LATER_TAKER]))
			break;
		if (!later_chain(e))
			return finish(ctx, NO_SERVICE_CHAIN);
	}
	return function_run(ctx, e);
}

// A function's last word: no. The functions after it do not run.
inlined int function_refuse(struct xdp_md *ctx, struct evaluation *e, enum decision_action action,
			    enum verdict reason)
{
	e->forth.action = action;
	e->forth.reason = reason;
	e->back.action = DECIDE_NOTHING;
	e->stateful = 0;
	return go_to(ctx, STEP_DECIDED);
}

// A function's last word for now: first it is asked which mapping has the destination, in the VPC
// that e->mapping says; then all functions run again, with what that says in e->mapping. (Of who
// sends it is asked when all have let the packet go: that takes no more than e->asks.)
inlined int function_asks(struct xdp_md *ctx, struct evaluation *e)
{
	e->asks = TRANSLATION_MAPS_DESTINATION;
	return go_to(ctx, STEP_DECIDED);
}
