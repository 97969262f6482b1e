// SPDX-License-Identifier: Apache-2.0
// A bucket that moves from a chain of a head and a tail, whose head may be replaced on the way, to
// a chain that is one node. One key. Rule M7.
#include "dft/model.h"

#define MESSAGES 3
#define DECISIONS 3

struct plan {
	uint8_t looks, deletes, doubles;
	bool replaces, back; // the new chain had the bucket before, and has an ended life of then
};

struct rec {
	uint8_t life, decision, floor, counter, inc_floor, inc_counter;
};

enum who { HEAD, TAIL, NEW };

struct node {
	struct rec rec;
	uint8_t floor, term; // of the old chain
	uint8_t fenced, owned, base, complete;
};

enum kind { NONE, LOOKUP, INSERT, COPY, FENCE, MOVED, PULL, PULLED, DELETE };

struct message {
	uint8_t kind, to, term, packet, pulled;
	uint8_t back;		// the new chain did not know that it has the bucket
	uint8_t floor, counter; // seen; named; the floor that was read
	struct rec rec;
};

struct state {
	struct node node[3];
	struct message message[MESSAGES];
	uint8_t looks, deletes, doubles, decisions, released, dead, told;
};

static struct dft_record rec_out(const struct rec *r)
{
	struct dft_record out = {.stamp = {r->floor, r->counter},
				 .incarnation = {r->inc_floor, r->inc_counter},
				 .life = r->life};

	out.towards[0].action = r->decision;
	return out;
}

static struct rec rec_in(const struct dft_record *r)
{
	if (!r->life)
		return (struct rec){0};
	return (struct rec){r->life,	      r->towards[0].action, r->stamp.floor,
			    r->stamp.counter, r->incarnation.floor, r->incarnation.counter};
}

static struct dft_bucket bucket_of(const struct state *s, uint8_t n)
{
	const struct node *x = &s->node[n];

	return (struct dft_bucket){.move = 1,
				   .fenced = x->fenced,
				   .guest = n == NEW,
				   .owned = {x->owned, 0},
				   .complete = x->complete,
				   .base = x->base};
}

// Term 1 of the old chain is head and tail; in term 2 the tail is alone.
static struct dft_member member_of(const struct state *s, uint8_t n)
{
	struct dft_member m = {.self = {n + 1, 1}};

	m.active.term = m.promised = (struct dft_term){s->node[n].term, 0};
	m.active.live = s->node[n].term == 1 ? 2 : 1;
	m.active.path[0] = (struct dft_name){s->node[n].term == 1 ? HEAD + 1 : TAIL + 1, 1};
	m.active.path[1] = (struct dft_name){s->node[n].term == 1 ? TAIL + 1 : 0, 1};
	if (n == NEW)
		m.active = (struct dft_configuration){{1, 0}, 1, 0, {{NEW + 1, 1}}};
	return m;
}

static bool send(struct state *s, struct message m)
{
	return message_put(s->message, MESSAGES, &m, sizeof(m));
}

static const char *release(struct state *s, uint8_t decision)
{
	if (s->dead >> decision & 1)
		return s->released && s->released != decision
			       ? "I5 an older life is released after a newer one"
			       : NULL;
	if (s->released && s->released != decision)
		return "I1 two decisions are released";
	s->released = decision;
	return NULL;
}

static void ended(struct state *s, const struct rec *r)
{
	s->dead |= 1 << r->decision;
	if (s->released == r->decision)
		s->released = 0;
}

static bool evaluate(struct state *s, uint8_t n, uint8_t pulled, uint8_t back)
{
	const struct node *x = &s->node[n];
	struct dft_record mine = rec_out(&x->rec);
	struct dft_stamp seen = dft_observe(&mine, x->floor);
	struct message m = {.kind = INSERT, .packet = 1, .pulled = pulled, .back = back};

	if (s->decisions == DECISIONS)
		return false;
	if (mine.life == DFT_TOMBSTONE)
		ended(s, &x->rec);
	m.floor = seen.floor;
	m.counter = seen.counter;
	m.rec.life = DFT_LIVE;
	m.rec.decision = ++s->decisions;
	m.to = n == NEW ? NEW : x->term == 1 ? HEAD : TAIL;
	return send(s, m);
}

// The other chain serves. What that has sent back goes along with the fence, again from the head
// on.
static bool pass_over(struct state *s, const struct message *m)
{
	struct message next = {.kind = LOOKUP, .to = NEW, .packet = 1};

	if (m->to == NEW) {
		next.to = TAIL;
		next.back = 1;
	} else if (m->back) {
		next.kind = FENCE;
		next.to = s->node[m->to].term == 1 ? HEAD : TAIL;
	}
	return send(s, next);
}

static bool ask_old(struct state *s, struct message m)
{
	bool kept;

	m.kind = PULL;
	m.term = s->node[NEW].owned;
	// Whom it takes for the old head may be whoever was replaced: both are asked.
	m.to = HEAD;
	kept = send(s, m);
	m.to = TAIL;
	return send(s, m) && kept;
}

// What has passed the old path's end.
static const char *old_end(struct state *s, uint8_t n, const struct message *m, bool *kept)
{
	if (m->rec.life == DFT_TOMBSTONE) {
		ended(s, &m->rec);
		return NULL;
	}
	if (!m->packet)
		return NULL;
	if (s->node[n].fenced) {
		*kept = pass_over(s, m);
		return NULL;
	}
	return release(s, m->rec.decision);
}

static const char *deliver(struct state *s, struct message m, bool *kept)
{
	struct node *x = &s->node[m.to];
	struct dft_record mine = rec_out(&x->rec), op = rec_out(&m.rec);
	struct dft_bucket bucket = bucket_of(s, m.to), told;
	struct dft_member member = member_of(s, m.to);
	struct dft_stamp stamp = {m.floor, m.counter};
	struct message next;
	__u32 floor = x->floor;
	enum dft_outcome outcome;

	switch (m.kind) {
	case LOOKUP:
		if (!dft_bucket_serves(&bucket)) {
			*kept = pass_over(s, &m);
			return NULL;
		}
		if (!dft_is_tail(&member))
			return NULL;
		if (dft_bucket_must_ask(&bucket, &mine, 0)) {
			*kept = ask_old(s, m);
			return NULL;
		}
		if (mine.life == DFT_LIVE)
			return release(s, x->rec.decision);
		*kept = evaluate(s, m.to, 0, m.back);
		return NULL;
	case INSERT:
	case DELETE:
		if (!dft_is_head(&member))
			return NULL;
		if (!dft_bucket_serves(&bucket)) {
			if (m.packet)
				*kept = pass_over(s, &m);
			return NULL;
		}
		if (m.kind == INSERT && dft_bucket_must_ask(&bucket, &mine, m.pulled)) {
			m.rec = (struct rec){0};
			*kept = ask_old(s, m);
			return NULL;
		}
		outcome = m.kind == INSERT ? dft_insert_at_head(&mine, &floor, stamp, &op)
					   : dft_delete_at_head(&mine, floor, stamp, &op);
		if (m.kind == INSERT && outcome == DFT_STORED && s->dead >> m.rec.decision & 1)
			return "I5 a decision begins a life that was made before another ended";
		if (outcome == DFT_REFUSED || outcome == DFT_ENDED)
			return NULL;
		x->floor = floor;
		x->rec = m.rec = rec_in(&mine);
		m.floor = m.counter = 0;
		if (m.to == NEW) {
			if (mine.life == DFT_LIVE)
				return m.packet ? release(s, m.rec.decision) : NULL;
			ended(s, &m.rec);
			return NULL;
		}
		break;
	case COPY:
		if (x->term != m.term)
			return NULL;
		outcome = dft_copy(&mine, floor, &op);
		if (outcome == DFT_ENDED)
			return NULL;
		if (outcome == DFT_CONFLICT)
			return "I4 equal stamps, different content";
		x->rec = m.rec = rec_in(&mine);
		return old_end(s, m.to, &m, kept);
	case FENCE:
		// From the controller to the head; from it down its path.
		if (m.term ? x->term != m.term : !dft_is_head(&member))
			return NULL;
		x->fenced = 1;
		if (BUGGY(MOVE_UNFENCED) || x->term != 1 || m.to == TAIL) {
			next = (struct message){.kind = MOVED, .to = NEW, .term = x->term};
			next.floor = x->floor;
			next.packet = m.packet;
			*kept = send(s, next);
		}
		if (x->term == 1 && m.to == HEAD) {
			next = (struct message){.kind = FENCE, .to = TAIL, .term = 1};
			next.packet = m.packet;
			*kept = send(s, next) && *kept;
		}
		return NULL;
	case MOVED:
		told = dft_bucket_owned(1, (struct dft_term){m.term, 0}, m.floor);
		dft_bucket_learn(&bucket, &told);
		x->owned = bucket.owned.epoch;
		x->base = bucket.base;
		if (dft_bucket_left(&bucket, &mine))
			memset(&x->rec, 0, sizeof(x->rec));
		if (x->floor < x->base)
			x->floor = x->base;
		if (m.packet)
			*kept = send(s, (struct message){.kind = LOOKUP, .to = NEW, .packet = 1});
		return NULL;
	case PULL:
		if (!dft_bucket_answers(&bucket, &member, (struct dft_term){m.term, 0}))
			return NULL;
		next = (struct message){.kind = PULLED, .to = NEW, .packet = m.packet};
		next.rec = x->rec;
		next.floor = x->floor;
		*kept = send(s, next);
		return NULL;
	case PULLED:
		outcome = dft_adopt_at_head(&mine, &bucket, &floor, m.floor, &op);
		if (outcome == DFT_ENDED)
			return NULL;
		x->floor = floor;
		x->complete = 1; // there is but this key
		if (outcome == DFT_SAME) {
			if (m.packet)
				*kept = evaluate(s, NEW, 1, 0);
			return NULL;
		}
		x->rec = rec_in(&mine);
		if (mine.life == DFT_TOMBSTONE)
			ended(s, &x->rec);
		return mine.life == DFT_LIVE && m.packet ? release(s, x->rec.decision) : NULL;
	default:
		return NULL;
	}
	// From the old head down its path.
	if (x->term != 1)
		return old_end(s, m.to, &m, kept);
	m.kind = COPY;
	m.term = 1;
	m.to = TAIL;
	*kept = send(s, m);
	return NULL;
}

// I2: what is released is where it will be looked for.
static const char *invariants(const struct state *s)
{
	const struct node *t = &s->node[TAIL], *n = &s->node[NEW];

	if (s->released && !n->complete && t->rec.decision != s->released)
		return "I2 released, and the old chain does not have it";
	if (s->released && n->complete && n->rec.decision != s->released)
		return "I2 released, and the new chain does not have it";
	return NULL;
}

static const char *const kinds[] = {"",	     "lookup", "insert", "copy",  "fence",
				    "moved", "pull",   "pulled", "delete"};
static const char *const names[] = {"the head", "the tail", "the new chain"};

static void move_step(struct search *s, const void *state, const void *with)
{
	const struct state *was = state;
	const struct plan *p = with;
	struct state next;
	const char *wrong;
	bool kept;
	uint32_t i;

	for (i = 0; i < MESSAGES && was->message[i].kind; i++) {
		struct message m = was->message[i];

		next = *was;
		message_take(next.message, MESSAGES, i, sizeof(m));
		event(s, "%s is lost", kinds[m.kind]);
		came(s, &next, NULL);
		kept = true;
		wrong = deliver(&next, m, &kept);
		event(s, "%s comes to %s", kinds[m.kind], names[m.to]);
		if (kept || wrong)
			came(s, &next, wrong ? wrong : invariants(&next));
		if (was->doubles == p->doubles)
			continue;
		next = *was;
		next.doubles++;
		kept = true;
		wrong = deliver(&next, m, &kept);
		event(s, "%s comes to %s, and once more later", kinds[m.kind], names[m.to]);
		if (kept || wrong)
			came(s, &next, wrong ? wrong : invariants(&next));
	}
	for (i = TAIL; i <= NEW && was->looks < p->looks; i++) {
		struct message m = {.kind = LOOKUP, .to = i, .packet = 1};

		next = *was;
		next.looks++;
		event(s, "a forwarder asks %s", names[i]);
		if (send(&next, m))
			came(s, &next, NULL);
	}
	for (i = HEAD; i <= TAIL && was->told < 2; i++) {
		struct message m = {.kind = FENCE, .to = i};

		next = *was;
		next.told++;
		event(s, "%s is told to fence", names[i]);
		if (send(&next, m))
			came(s, &next, NULL);
	}
	for (i = TAIL; i <= NEW && was->deletes < p->deletes; i++) {
		const struct node *x = &was->node[i];
		struct dft_bucket bucket = bucket_of(was, i);
		struct message m = {.kind = DELETE, .to = i};

		if (x->rec.life != DFT_LIVE || !dft_bucket_serves(&bucket))
			continue;
		if (i == TAIL && x->term == 1)
			m.to = HEAD;
		next = *was;
		next.deletes++;
		m.floor = x->rec.floor;
		m.counter = x->rec.counter;
		event(s, "%s deletes", names[i]);
		if (send(&next, m))
			came(s, &next, NULL);
	}
	// A tombstone is collected when caches have ended: in the new chain not before it has all.
	for (i = TAIL; i <= NEW; i++) {
		const struct node *x = &was->node[i];
		struct dft_bucket bucket = bucket_of(was, i);
		struct dft_record mine = rec_out(&x->rec), op;
		__u32 floor = x->floor;

		if (x->rec.life != DFT_TOMBSTONE || !dft_bucket_serves(&bucket) ||
		    !dft_bucket_collects(&bucket) || (i == TAIL && x->term == 1))
			continue;
		next = *was;
		dft_collect_at_head(&mine, &floor, mine.stamp, &op);
		next.node[i].rec = rec_in(&mine);
		next.node[i].floor = floor;
		event(s, "%s collects", names[i]);
		came(s, &next, NULL);
	}
	if (p->replaces && was->node[TAIL].term == 1) {
		next = *was;
		next.node[TAIL].term = 2;
		event(s, "the tail is alone from now on; the head does not know");
		came(s, &next, invariants(&next));
	}
}

static void move_begin(void *state, const void *with)
{
	const struct plan *p = with;
	struct state *s = state;

	memset(s, 0, sizeof(*s));
	s->node[HEAD].term = s->node[TAIL].term = 1;
	if (!p->back)
		return;
	s->node[HEAD].floor = s->node[TAIL].floor = 1;
	s->node[NEW].rec = (struct rec){DFT_LIVE, DECISIONS + 1, 0, 1, 0, 1};
	ended(s, &s->node[NEW].rec);
}

static const struct plan moves = {.looks = 3, .deletes = 1, .doubles = 1};
static const struct plan back = {.looks = 3, .deletes = 1, .back = true};
static const struct plan replaced = {.looks = 3, .deletes = 1, .replaces = true};

const struct model move_models[] = {
	{"a bucket moves", sizeof(struct state), move_begin, move_step, &moves,
	 "MOVE_UNFENCED MOVE_NO_ASK "},
	{"a bucket comes back", sizeof(struct state), move_begin, move_step, &back, "MOVE_KEEPS "},
	{"a bucket moves, the head goes", sizeof(struct state), move_begin, move_step, &replaced,
	 "MOVE_FORMER_HEAD MOVE_ANY_ANSWERS "},
	{0},
};
