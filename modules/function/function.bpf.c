/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What stands around a pushed network function (include/zeta/nf.h): the loader links the function's
// object with this one. The function is called with a copy of what it may know, comes back, and
// what it edited counts only as far as it was declared.
#include "modules/function/function.bpf.h"
#include "shared/key.h"

const volatile struct function_setup cfg;

// The function's own ones take the place of these, where it has them.
__attribute__((weak, noinline)) int zeta_first_packet(struct zeta_first_packet *p)
{
	return p ? ZETA_NEXT : 0;
}

__attribute__((weak, noinline)) int zeta_every_packet(struct zeta_packet *p)
{
	return p ? ZETA_NEXT : 0;
}

// What the function gets, and the same again, which it does not.
struct view {
	union {
		struct zeta_first_packet first;
		struct zeta_packet every;
	};
};

enum { VIEW_GIVEN, VIEW_KEPT, VIEWS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VIEWS);
	__type(key, __u32);
	__type(value, struct view);
} views SEC(".maps");

inlined struct view *view_at(__u32 which)
{
	return bpf_map_lookup_elem(&views, &which);
}

inlined struct function_count *count_of(void)
{
	__u32 index = FUNCTION_PLACES * cfg.slot + cfg.place;

	return bpf_map_lookup_elem(&function_counts, &index);
}

inlined int read_config(__u32 chain, __u8 to[ZETA_CONFIG_BYTES])
{
	const struct function_config_key key = {chain, cfg.slot, cfg.place};
	const struct function_config *c = bpf_map_lookup_elem(&function_configs, &key);

	if (c)
		__builtin_memcpy(to, c->bytes, ZETA_CONFIG_BYTES);
	else
		__builtin_memset(to, 0, ZETA_CONFIG_BYTES);
	return c ? ZETA_CONFIGURED : 0;
}

// Whose chain has the function see the packet: the one that was called last.
inlined __u32 seen_for(const struct passage *t)
{
	return t->chain[(t->next - 1u) % EVERY_FUNCTIONS];
}

// What the packet was when it was sent, whatever it is translated to.
inlined void tell_as_sent(const struct evaluation *e, struct zeta_first_packet *p)
{
	const struct session_key *k = &e->key;

	p->vni = vni_of(k->vni);
	p->source = e->from_b ? k->b : k->a;
	p->destination = e->from_b ? k->a : k->b;
	p->source_port = e->from_b ? k->b_port : k->a_port;
	p->destination_port = e->from_b ? k->a_port : k->b_port;
}

inlined __u64 clock_begin(struct function_count *count)
{
	return count->runs++ % FUNCTION_TIMED ? 0 : bpf_ktime_get_ns();
}

inlined void clock_end(struct function_count *count, __u64 begun_ns)
{
	__u64 ns;

	if (!begun_ns)
		return;
	ns = bpf_ktime_get_ns() - begun_ns;
	count->timed++;
	count->timed_ns += ns;
	if (ns > count->longest_ns)
		count->longest_ns = ns;
}

// Whether the first so many bytes, a multiple of 8, are the same.
#define SAME(a, b, size)                                                                           \
	({                                                                                         \
		__u64 other_ = 0;                                                                  \
		UNROLLED                                                                           \
		for (__u32 i_ = 0; i_ < (size) / 8; i_++)                                          \
			other_ |= ((const __u64 *)(a))[i_] ^ ((const __u64 *)(b))[i_];             \
		!other_;                                                                           \
	})
_Static_assert(__builtin_offsetof(struct zeta_first_packet, reason) % 8 == 0, "compared as words");
_Static_assert(__builtin_offsetof(struct zeta_packet, reason) % 8 == 0, "compared as words");

inlined int may(__u32 what)
{
	return (cfg.may & what) == what;
}

inlined int first_within(const struct zeta_first_packet *p, const struct zeta_first_packet *was,
			 int answer)
{
	if (!SAME(p, was, __builtin_offsetof(struct zeta_first_packet, reason)))
		return 0;
	if (p->reason >= ZETA_REASONS || (answer == ZETA_DROP && !may(ZETA_MAY_DROP)) ||
	    (answer == ZETA_DONE && !may(ZETA_MAY_END)))
		return 0;
	if (answer == ZETA_ASK &&
	    (!may(ZETA_MAY_ASK) || p->unheard == ZETA_DONE || p->unheard > ZETA_DROP))
		return 0;
	if (p->remember > 1 || (p->remember != was->remember && !may(ZETA_MAY_REMEMBER)))
		return 0;
	return p->hold <= 1 && (p->hold == was->hold || may(ZETA_MAY_HOLD));
}

inlined int every_within(const struct zeta_packet *p, const struct zeta_packet *was, int answer)
{
	if (!SAME(p, was, __builtin_offsetof(struct zeta_packet, reason)))
		return 0;
	if (p->reason >= ZETA_REASONS || (answer == ZETA_DROP && !may(ZETA_MAY_DROP)))
		return 0;
	return p->dscp < 64 && (p->dscp == was->dscp || may(ZETA_MAY_MARK));
}

inlined void count_drop(struct function_count *count, __u32 reason)
{
	count->dropped++;
	count->reason[reason % ZETA_REASONS]++;
}

// What is decided about this packet is the function's fault: nobody else's packets follow from it.
inlined int first_beyond(struct xdp_md *ctx, struct evaluation *e, struct function_count *count,
			 enum verdict v)
{
	count->beyond++;
	e->undecidable = 1;
	return function_refuse(ctx, e, DECIDE_DROP, v);
}

// Its middlebox is to say it. This function is called again with what that says.
inlined int first_asks(struct xdp_md *ctx, struct asked *a, const struct zeta_first_packet *p)
{
	a->slot = cfg.slot;
	a->place = cfg.place;
	__builtin_memcpy(&a->told, p, FUNCTION_TOLD);
	return go_to(ctx, STEP_HAND_OVER);
}

// Whether the packet has come back with what this version's middlebox says. That counts once.
inlined int first_answered(struct asked *a)
{
	int resumed = a->state == ASKED_RESUMED;

	a->state = ASKED_NOTHING;
	return resumed && a->slot == cfg.slot && a->place == cfg.place;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	struct view *given = view_at(VIEW_GIVEN), *kept = view_at(VIEW_KEPT);
	struct function_count *count = count_of();
	struct evaluation *e = evaluation_now();
	struct asked *a = asked_now();
	struct zeta_first_packet *p;
	int answer, answered;
	__u64 begun_ns;

	if (!given || !kept || !count || !e || !a)
		return finish(ctx, BUG);
	p = &given->first;
	__builtin_memset(p, 0, __builtin_offsetof(struct zeta_first_packet, config));
	p->abi = ZETA_NF_ABI;
	p->vni = e->vni;
	p->source = e->source;
	p->destination = e->destination;
	p->source_port = e->source_port;
	p->destination_port = e->destination_port;
	if (e->as_sent && e->translated)
		tell_as_sent(e, p);
	p->protocol = e->protocol;
	p->tcp_flags = e->tcp_flags;
	p->icmp_type = e->icmp_type;
	p->what = (e->fragment ? ZETA_FRAGMENT : 0) | (e->icmp_error ? ZETA_ICMP_ERROR : 0) |
		  read_config(e->chain, p->config);
	__builtin_memcpy(p->source_mac, e->frame_from_mac, 6);
	__builtin_memcpy(p->destination_mac, e->frame_to_mac, 6);
	p->time_s = bpf_ktime_get_tai_ns() / 1000000000ull - cfg.tai_s;
	p->remember = e->stateful;
	p->hold = e->hold;
	__builtin_memcpy(&kept->first, p, __builtin_offsetof(struct zeta_first_packet, config));

	answered = first_answered(a);
	if (answered) {
		answer = a->answer;
		p->reason = a->told.reason;
		p->remember = a->told.remember;
		p->hold = a->told.hold;
	} else {
		begun_ns = clock_begin(count);
		answer = zeta_first_packet(p);
		clock_end(count, begun_ns);
	}
	if (answer != ZETA_NEXT && answer != ZETA_DONE && answer != ZETA_DROP &&
	    (answered || answer != ZETA_ASK))
		return first_beyond(ctx, e, count, answered ? ANSWER_WRONG : FUNCTION_ANSWER);
	if (!first_within(p, &kept->first, answer))
		return first_beyond(ctx, e, count, answered ? ANSWER_WRONG : FUNCTION_BEYOND);
	if (answer == ZETA_ASK)
		return first_asks(ctx, a, p);
	if (answer == ZETA_DROP) {
		count_drop(count, p->reason);
		return function_refuse(ctx, e, DECIDE_DROP, FUNCTION_DROPPED);
	}
	if (p->remember && !evaluation_begins(e)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	}
	e->stateful = p->remember;
	e->hold = p->hold;
	if (cfg.every && !(e->every >> (cfg.slot - FUNCTION_FIRST_FREE) & 1)) {
		e->every |= 1 << (cfg.slot - FUNCTION_FIRST_FREE);
		e->met++;
	}
	if (answer == ZETA_NEXT)
		return function_next(ctx, e);
	// It ends its own chain. In the VPC's own that means that rules do not count.
	if (!(e->chain & FUNCTION_LATER)) {
		e->forth.flags |= DECISION_FINAL;
		e->back.flags |= DECISION_FINAL;
	}
	e->functions = 0;
	return function_next(ctx, e);
}

SEC("xdp")
int every(struct xdp_md *ctx)
{
	struct view *given = view_at(VIEW_GIVEN), *kept = view_at(VIEW_KEPT);
	struct function_count *count = count_of();
	struct passage *t = passage_now();
	struct zeta_packet *p;
	__u64 begun_ns;
	int answer;

	if (!given || !kept || !count || !t)
		return finish(ctx, BUG);
	p = &given->every;
	__builtin_memset(p, 0, __builtin_offsetof(struct zeta_packet, config));
	p->abi = ZETA_NF_ABI;
	p->vni = t->vni;
	p->source = flow_source(&t->flow);
	p->destination = flow_destination(&t->flow);
	p->source_port = t->flow.source_port;
	p->destination_port = t->flow.destination_port;
	p->protocol = t->flow.key.protocol;
	p->tcp_flags = t->flow.tcp_flags;
	p->icmp_type = t->flow.icmp_type;
	p->what = (t->flow.fragment ? ZETA_FRAGMENT : 0) |
		  (t->flow.icmp_error ? ZETA_ICMP_ERROR : 0) | read_config(seen_for(t), p->config);
	p->bytes = t->bytes;
	p->ttl = t->ttl;
	p->dscp = t->dscp;
	__builtin_memcpy(&kept->every, p, __builtin_offsetof(struct zeta_packet, config));

	begun_ns = clock_begin(count);
	answer = zeta_every_packet(p);
	clock_end(count, begun_ns);

	if (answer != ZETA_NEXT && answer != ZETA_DROP) {
		count->beyond++;
		return finish(ctx, FUNCTION_ANSWER);
	}
	if (!every_within(p, &kept->every, answer)) {
		count->beyond++;
		return finish(ctx, FUNCTION_BEYOND);
	}
	if (answer == ZETA_DROP) {
		count_drop(count, p->reason);
		return finish(ctx, FUNCTION_DROPPED);
	}
	t->dscp = p->dscp;
	return passage_next(ctx, t);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
