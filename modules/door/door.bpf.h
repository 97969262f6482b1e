/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A function's question to its middlebox, and the answer. The packet is kept here: the middlebox
// gets a copy, and what comes back is only its answer, so that it can forge neither an op nor a
// tenant's packet. With the answer the packet is looked up again, as it was, so that all is checked
// that a lookup is (this node may decide still, nobody else has decided); but what was decided
// until it was asked about is kept as well, and goes on.
#pragma once

#include "include/zeta/middlebox.h"
#include "modules/chain/chain.bpf.h"
#include "modules/function/function.bpf.h"
#include "modules/session/session.bpf.h"
#include "shared/door.h"

// Of a frame: what gets through the pair behind a question.
#define ASKED_BYTES (PAIR_MTU + sizeof(struct ethhdr) - sizeof(struct zeta_question))

struct question {
	__u64 token; // or QUESTION_NONE, QUESTION_TAKEN
	__u64 until_ns;
	__u16 slot;
	__u16 place;
	__u32 bytes; // of the tenant's frame
	struct evaluation evaluation;
	struct zeta_question said;
	__u8 op[DFT_HEADERS_BYTES]; // what was before the frame
	__u8 frame[ASKED_BYTES];
};

#define SAID_FIRST __builtin_offsetof(struct zeta_question, abi)
_Static_assert(sizeof(struct zeta_question) - SAID_FIRST == FUNCTION_TOLD &&
		       __builtin_offsetof(struct zeta_question, time_s) - SAID_FIRST ==
			       __builtin_offsetof(struct zeta_first_packet, time_s) &&
		       __builtin_offsetof(struct zeta_question, note) - SAID_FIRST ==
			       __builtin_offsetof(struct zeta_first_packet, note),
	       "told as it is");
_Static_assert(sizeof(struct zeta_question) <= DFT_HEADERS_BYTES, "in the op's place");
_Static_assert(ZETA_ANSWER_MS == ANSWER_MS, "as people are told");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PUSHED_FUNCTIONS);
	__type(key, __u32);
	__type(value, struct door_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} doors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, PUSHED_FUNCTIONS);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} door_sockets SEC(".maps");

// MAX_QUESTIONS where the loader opens doors.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct question);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} questions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PUSHED_FUNCTIONS);
	__type(key, __u32);
	__type(value, struct questions_next);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} questions_next SEC(".maps");

inlined struct question *question_at(__u64 token)
{
	__u32 low = token;
	__u32 at = (low >> QUESTION_DOOR_SHIFT) * DOOR_QUESTIONS + low % DOOR_QUESTIONS;

	return bpf_map_lookup_elem(&questions, &at);
}

inlined __u64 question_token(const struct question *q)
{
	return *(const volatile __u64 *)&q->token;
}

// Whether the entry is this program's from now on, to be given back.
inlined int question_take(struct question *q, __u64 token)
{
	return __sync_val_compare_and_swap(&q->token, token, QUESTION_TAKEN) == token;
}

inlined void question_give(struct question *q, __u64 token)
{
	__sync_lock_test_and_set(&q->token, token);
}

// Ends one that nobody has answered in time. Returns whether it was that.
inlined int question_give_up(struct question *q, __u64 token, __u64 now_ns)
{
	__u32 bytes = q->bytes;

	if (token < QUESTION_FIRST || now_ns < q->until_ns || !question_take(q, token))
		return 0;
	count_packets(NO_ANSWER, 1, bytes);
	return 1;
}

// A free entry of that door, taken, and its token-to-be; NULL: as many wait as may.
inlined struct question *question_new(__u32 number, __u64 now_ns, __u64 *token)
{
	struct questions_next *next = bpf_map_lookup_elem(&questions_next, &number);
	__u32 low;
	struct question *q;
	__u64 was;

	if (!next)
		return NULL;
	low = __sync_fetch_and_add(&next->count, 1) % (1u << QUESTION_DOOR_SHIFT);
	low |= number << QUESTION_DOOR_SHIFT;
	q = question_at(low);
	if (!q)
		return NULL;
	*token = QUESTION_FIRST | (__u64)bpf_get_prandom_u32() << 32 | low;
	was = question_token(q);
	if (was == QUESTION_NONE ? question_take(q, QUESTION_NONE)
				 : question_give_up(q, was, now_ns))
		return q;
	return NULL;
}

// That function's last word, which its middlebox has said.
inlined int function_resume(struct xdp_md *ctx, __u32 slot)
{
	struct asked *a = asked_now();

	bpf_tail_call(ctx, &functions, slot);
	// Nobody takes it.
	if (a)
		a->state = ASKED_NOTHING;
	return finish(ctx, NO_CHAIN_FUNCTION);
}

// Nobody can be asked. What then counts the function has said.
inlined int unheard(struct xdp_md *ctx, struct evaluation *e, struct asked *a, enum verdict v)
{
	if (a->told.unheard == ZETA_NEXT) {
		a->answer = ZETA_NEXT;
		a->state = ASKED_RESUMED;
		e->met += UNHEARD_CALLS;
		return function_resume(ctx, a->slot);
	}
	e->undecidable = 1;
	return function_refuse(ctx, e, DECIDE_DROP, v);
}

// The packet becomes the question about it, and goes to the middlebox.
inlined int question_send(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct evaluation *e = evaluation_now();
	struct asked *a = asked_now();
	const struct door_value *door;
	const __u64 now_ns = bpf_ktime_get_ns();
	struct question *q;
	__u32 number;
	__u64 bytes, token;

	if (!d || !e || !a)
		return finish(ctx, BUG);
	number = a->slot - FUNCTION_FIRST_FREE;
	door = bpf_map_lookup_elem(&doors, &number);
	if (!door || !door->ifindex || !bpf_map_lookup_elem(&door_sockets, &number))
		return unheard(ctx, e, a, NO_MIDDLEBOX);
	// One that is asked about again and again is on its way for ever.
	if (!d->op.hops)
		return finish(ctx, HOPS_EXCEEDED);
	bytes = p.end - p.at;
	if (bytes > ASKED_BYTES)
		return unheard(ctx, e, a, TOO_LONG_TO_ASK);
	q = question_new(number, now_ns, &token);
	if (!q)
		return unheard(ctx, e, a, TOO_MANY_ASKED);
	if (!e->answers_ns)
		e->answers_ns = now_ns + ANSWER_MS * 1000000ull;
	// With the answer it is looked up; what this node has kept of it is in the entry.
	d->op.hops--;
	d->op.op = DFT_LOOKUP;
	d->op.flags &= DFT_OF_PACKET | DFT_ASKED | DFT_BACK;
	d->op.kept = DFT_KEPT_ASKED;
	q->until_ns = e->answers_ns;
	q->slot = a->slot;
	q->place = a->place;
	q->bytes = bytes;
	__builtin_memcpy(&q->evaluation, e, sizeof(*e));
	__builtin_memset(&q->said, 0, SAID_FIRST);
	q->said.token = token;
	q->said.bytes = bytes;
	q->said.slot = a->slot;
	__builtin_memcpy(&q->said.abi, &a->told, FUNCTION_TOLD);
	asm volatile("" : "+r"(bytes)); // the verifier has to see the next line
	if (!bytes || bytes > ASKED_BYTES || bpf_xdp_load_bytes(ctx, 0, q->op, sizeof(q->op)) ||
	    bpf_xdp_load_bytes(ctx, DFT_HEADERS_BYTES, q->frame, bytes) ||
	    bpf_xdp_adjust_head(ctx, (int)DFT_HEADERS_BYTES - (int)sizeof(q->said)) ||
	    bpf_xdp_store_bytes(ctx, 0, &q->said, sizeof(q->said))) {
		question_give(q, QUESTION_NONE);
		return finish(ctx, NO_ROOM);
	}
	question_give(q, token);
	bpf_redirect(door->ifindex, 0);
	return finish(ctx, FUNCTION_ASKS);
}

// At the pair's second end: on to the socket. Without one it is as if it had never been asked.
inlined int question_hand_out(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	const struct zeta_question *said = take(&p, sizeof(*said));
	struct question *q;
	__u64 token;
	__u32 number;
	long action;

	if (!said)
		return finish(ctx, TRUNCATED);
	token = said->token;
	number = said->slot - FUNCTION_FIRST_FREE;
	action = bpf_redirect_map(&door_sockets, number, XDP_DROP);
	if (action == XDP_REDIRECT) // counted before: FUNCTION_ASKS
		return action;
	q = question_at(token);
	if (q && token >= QUESTION_FIRST && question_take(q, token))
		question_give(q, QUESTION_NONE);
	return finish(ctx, NO_MIDDLEBOX);
}

// At its first end: the answer. The question's packet takes the place of the frame, whatever that
// has.
inlined int question_answered(struct xdp_md *ctx)
{
	const __u64 now_ns = bpf_ktime_get_ns();
	struct packet p = packet_of(ctx);
	const struct zeta_question *said = take(&p, sizeof(*said));
	__u32 asked_at = EVALUATION_ASKED, number;
	struct asked *a = asked_now();
	const struct door_value *door;
	struct question *q;
	__u64 token, bytes;
	enum verdict v;

	// Nothing that a middlebox sends may go on to this machine's own kernel.
	if (!said)
		return finish(ctx, ANSWER_WRONG);
	if (!a)
		return finish(ctx, BUG);
	token = said->token;
	a->state = ASKED_NOTHING;
	a->answer = said->answer;
	a->told.reason = said->reason;
	a->told.remember = said->remember;
	a->told.hold = said->hold;
	q = question_at(token);
	if (!q || token < QUESTION_FIRST || question_token(q) != token)
		return finish(ctx, ANSWER_LATE);
	// Who may answer is who was asked.
	number = q->slot - FUNCTION_FIRST_FREE;
	door = bpf_map_lookup_elem(&doors, &number);
	if (!door || door->ifindex != ctx->ingress_ifindex)
		return finish(ctx, ANSWER_WRONG);
	if (question_give_up(q, token, now_ns)) {
		question_give(q, QUESTION_NONE);
		return finish(ctx, ANSWER_LATE);
	}
	if (!question_take(q, token))
		return finish(ctx, ANSWER_LATE);
	v = GO_ON;
	bytes = q->bytes;
	a->slot = q->slot;
	a->place = q->place;
	asm volatile("" : "+r"(bytes)); // the verifier has to see the next line
	if (!bytes || bytes > ASKED_BYTES || p.end - p.at != (long)bytes)
		v = ANSWER_WRONG;
	else if (bpf_xdp_adjust_head(ctx, (int)sizeof(*said) - (int)DFT_HEADERS_BYTES) ||
		 bpf_xdp_store_bytes(ctx, 0, q->op, sizeof(q->op)) ||
		 bpf_xdp_store_bytes(ctx, DFT_HEADERS_BYTES, q->frame, bytes) ||
		 bpf_map_update_elem(&evaluations, &asked_at, &q->evaluation, BPF_ANY))
		v = NO_ROOM;
	question_give(q, QUESTION_NONE);
	if (v)
		return finish(ctx, v);
	a->state = ASKED_ANSWERED;
	count(ctx, FUNCTION_ANSWERED);
	return go_to(ctx, STEP_TABLE);
}

// Of a packet that has come back with an answer (DFT_KEPT_ASKED) and is to be decided about:
// whether what was decided until it was asked about holds still. Then that goes on, and the number
// of the function whose word the answer is comes back; else 0. former: what of the session's last
// life counts.
verified int question_resume(__u32 policy, const struct translation *former, int anew)
{
	__u32 now = EVALUATION_NOW, asked = EVALUATION_ASKED;
	struct asked *a = asked_now();
	const struct evaluation *kept = bpf_map_lookup_elem(&evaluations, &asked);

	if (!former || !a || !kept || a->state != ASKED_ANSWERED)
		return 0;
	a->state = ASKED_NOTHING;
	// Another version of the function, or of rules before it, has another question.
	if (kept->policy != policy || kept->anew != anew ||
	    (anew && !translation_equal(&kept->former, former)))
		return 0;
	bpf_map_update_elem(&evaluations, &now, kept, BPF_ANY);
	a->state = ASKED_RESUMED;
	return a->slot;
}

static long question_sweep_one(__u32 i, void *context)
{
	const __u64 *now_ns = context;
	struct question *q = bpf_map_lookup_elem(&questions, &i);

	if (q && question_give_up(q, question_token(q), *now_ns))
		question_give(q, QUESTION_NONE);
	return 0;
}

// Run by the loader, now and then: counts whom nobody has answered.
inlined void question_sweep(void)
{
	__u64 now_ns = bpf_ktime_get_ns();

	bpf_loop(MAX_QUESTIONS, question_sweep_one, &now_ns, 0);
}
