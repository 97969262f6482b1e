// SPDX-License-Identifier: Apache-2.0
// One chain in every order of events: requests and replications that are lost, repeated and
// overtaken, ballots of several proposers, accepts that come late, leases and guards that end,
// learners, views that change, nodes that die. Rules O1 to O8, M1 to M6.
//
// Time is choice: a lease and the guard against it end together, at any moment, the lease first. An
// answer to prepare is atomic with its question; an accept may reach a voter at any time later.
#include "dft/model.h"

#define NODES 5
#define KEYS 2
#define PROPOSALS 4 // founding included
#define MESSAGES 3
#define DECISIONS 4
#define NOW 1000

struct plan {
	uint8_t nodes, keys, voters[2][NODES], count[2], replicas[2]; // of epochs 1 and 2
	uint8_t list;						      // the first so many are live
	uint8_t looks, ballots, crashes, updates, deletes, pushes, doubles, fewer;
	bool views, forces, lossy;
	bool at_once;		    // all guards against a node end together
	bool whole;		    // a ballot's promises and its proposal are one event
	uint8_t proposers, victims; // bits of nodes that may begin ballots, die; 0: all
};

// Records, configurations and messages as bytes.
struct rec {
	uint8_t life, decision, state, floor, counter, inc_floor, inc_counter;
};

struct cfg {
	uint8_t epoch, number, live, learner, path[DFT_PATH_MOST];
};

struct node {
	uint8_t alive, promised_epoch, promised_number;
	uint8_t lease;	// bits of voters that granted it, and guard it
	uint8_t filled; // the learner of its active term is
	uint8_t given;	// it knows who votes in the next epoch
	struct cfg accepted, active;
	// Its ballot.
	uint8_t phase, epoch, number, promised;
	struct cfg best;
	uint8_t floor; // both keys are of one bucket
	struct rec rec[KEYS];
};

struct proposal {
	struct cfg cfg;
	uint8_t old, new; // epochs of the voters
	uint8_t fenced, accepted;
};

enum kind { NONE, INSERT, UPDATE, DELETE, COLLECT, COPY, READ, FLOOR, BULK };

struct message {
	uint8_t kind, to, key, packet;
	uint8_t epoch, number; // term
	uint8_t floor, seen_floor, seen_counter;
	struct rec rec;
};

struct truth {
	uint8_t released, dead; // decision that is in use; bits of those that have ended
	uint8_t inc_floor, inc_counter;
	uint8_t state;
};

struct state {
	struct node node[NODES];
	struct proposal proposal[PROPOSALS];
	uint8_t proposals;
	struct message message[MESSAGES];
	uint8_t looks, ballots, crashes, updates, deletes, pushes, doubles;
	uint8_t fewer; // messages than there is room for
	uint8_t decisions, forced_count, forced_replicas, forced[NODES];
	struct truth truth[KEYS];
	uint8_t sent[4]; // state that was told, of each generation
};

static const struct dft_times times = {.beat = 10,
				       .lease = 100,
				       .guard = 100,
				       .suspect = 100,
				       .turn = 1,
				       .retry = 1,
				       .give_up = 1000};

static struct dft_name name_of(uint8_t node)
{
	return (struct dft_name){node + 1, 1};
}

static struct dft_voters voters_of(const struct state *s, const struct plan *p, uint8_t epoch)
{
	struct dft_voters v = {.epoch = epoch};
	uint32_t i;

	if (epoch == 3) {
		v.count = s->forced_count;
		v.replicas = s->forced_replicas;
		for (i = 0; i < v.count; i++)
			v.voter[i] = name_of(s->forced[i]);
	} else if (epoch) {
		v.count = p->count[epoch - 1];
		v.replicas = p->replicas[epoch - 1];
		for (i = 0; i < v.count; i++)
			v.voter[i] = name_of(p->voters[epoch - 1][i]);
	}
	return v;
}

static struct dft_configuration cfg_out(const struct cfg *c)
{
	struct dft_configuration out = {{c->epoch, c->number}, c->live, c->learner, {{0, 0}}};
	uint8_t i;

	for (i = 0; i < c->live + c->learner; i++)
		out.path[i] = name_of(c->path[i]);
	return out;
}

static struct cfg cfg_in(const struct dft_configuration *c)
{
	struct cfg in = {c->term.epoch, c->term.number, c->live, c->learner, {0}};
	uint8_t i;

	for (i = 0; i < c->live + c->learner; i++)
		in.path[i] = c->path[i].node - 1;
	return in;
}

static struct dft_record rec_out(const struct rec *r)
{
	struct dft_record out = {{r->floor, r->counter},
				 {r->inc_floor, r->inc_counter},
				 0,
				 (r->state & 0x0F) | (r->state >> 4) << DFT_GENERATION_SHIFT,
				 r->life,
				 {{{.action = r->decision}}},
				 {}};

	return out;
}

static struct rec rec_in(const struct dft_record *r)
{
	return (struct rec){r->life,
			    r->towards[0].action,
			    (r->state & 0x0F) | dft_state_generation(r->state) << 4,
			    r->stamp.floor,
			    r->stamp.counter,
			    r->incarnation.floor,
			    r->incarnation.counter};
}

// The core's view of a node, and back.
static void member_out(const struct state *s, const struct plan *p, uint8_t n, struct dft_member *m)
{
	const struct node *x = &s->node[n];
	uint8_t q = 0;
	uint32_t i;

	memset(m, 0, sizeof(*m));
	m->self = name_of(n);
	m->voters = voters_of(s, p, x->active.epoch);
	if (x->given && x->active.epoch < 2)
		m->next = voters_of(s, p, 2);
	m->promised = (struct dft_term){x->promised_epoch, x->promised_number};
	m->accepted = cfg_out(&x->accepted);
	m->active = cfg_out(&x->active);
	m->filled = x->filled;
	for (i = 0; i < m->voters.count; i++)
		if (x->lease >> (m->voters.voter[i].node - 1) & 1)
			m->grants[i] = NOW;
	for (i = 0; i < p->nodes; i++) {
		if (i == n)
			continue;
		m->peer[q++] = (struct dft_peer){.name = name_of(i),
						 .received = NOW,
						 .heard = NOW,
						 .asked = s->node[i].alive ? NOW : 0,
						 .granted = s->node[i].lease >> n & 1 ? NOW : 0};
	}
	if (!x->phase)
		return;
	m->ballot.phase = x->phase;
	m->ballot.term = (struct dft_term){x->epoch, x->number};
	m->ballot.old = voters_of(s, p, dft_term_changes(m->ballot.term) ? x->epoch - 1 : x->epoch);
	m->ballot.new = voters_of(s, p, x->epoch);
	m->ballot.best = cfg_out(&x->best);
	for (i = 0; i < p->nodes; i++) {
		m->ballot.party[i] = name_of(i);
		m->ballot.promised |= (uint32_t)(x->promised >> i & 1) << i;
	}
	m->ballot.parties = p->nodes;
}

static void member_in(struct state *s, uint8_t n, const struct dft_member *m)
{
	struct node *x = &s->node[n];

	x->promised_epoch = m->promised.epoch;
	x->promised_number = m->promised.number;
	x->accepted = cfg_in(&m->accepted);
	x->active = cfg_in(&m->active);
	x->filled = m->filled;
	x->phase = m->ballot.phase;
	x->epoch = x->number = x->promised = 0;
	memset(&x->best, 0, sizeof(x->best));
	if (!x->phase)
		return;
	x->epoch = m->ballot.term.epoch;
	x->number = m->ballot.term.number;
	x->promised = m->ballot.promised;
	x->best = cfg_in(&m->ballot.best);
}

static bool leased(const struct dft_member *m)
{
	return dft_leased(m, &times, NOW);
}

static void send(struct state *s, struct message m, bool *lost)
{
	if (!message_put(s->message, MESSAGES - s->fewer, &m, sizeof(m)))
		*lost = true;
}

// Which proposals were chosen: by majorities of the voters before and after.
static bool chosen(const struct state *s, const struct plan *p, const struct proposal *q)
{
	struct dft_voters old = voters_of(s, p, q->old), new = voters_of(s, p, q->new);
	uint32_t a = 0, b = 0;
	uint32_t i;

	if (!q->cfg.number)
		return true; // a founding
	for (i = 0; i < old.count; i++)
		a |= (uint32_t)(q->accepted >> (old.voter[i].node - 1) & 1) << i;
	for (i = 0; i < new.count; i++)
		b |= (uint32_t)(q->accepted >> (new.voter[i].node - 1) & 1) << i;
	return (dft_majority(&old, a) || BUGGY(VIEW_BY_NEW)) &&
	       (dft_majority(&new, b) || BUGGY(VIEW_BY_OLD));
}

static int cfg_compare(const struct cfg *a, const struct cfg *b)
{
	return a->epoch != b->epoch ? a->epoch - b->epoch : a->number - b->number;
}

static const struct cfg *latest(const struct state *s, const struct plan *p)
{
	const struct cfg *best = NULL;
	uint8_t i;

	for (i = 0; i < s->proposals; i++)
		if (chosen(s, p, &s->proposal[i]) &&
		    (!best || cfg_compare(&s->proposal[i].cfg, best) > 0))
			best = &s->proposal[i].cfg;
	return best;
}

static int rec_compare(const struct rec *a, const struct rec *b)
{
	return dft_stamp_compare((struct dft_stamp){a->floor, a->counter},
				 (struct dft_stamp){b->floor, b->counter});
}

// O7: of a later generation than what was released, or of that one and no less.
static bool knows(uint8_t state, uint8_t released)
{
	return state >> 4 > released >> 4 ||
	       (state >> 4 == released >> 4 && !(released & ~state & 0x0F));
}

static bool holds(const struct node *n, uint8_t key, const struct truth *t)
{
	const struct rec *r = &n->rec[key];

	return r->life != DFT_ABSENT && r->inc_floor == t->inc_floor &&
	       r->inc_counter == t->inc_counter && r->decision == t->released &&
	       knows(r->state, t->state);
}

// I2 to I4, I7.
static const char *invariants(struct state *s, const struct plan *p)
{
	const struct cfg *now = latest(s, p), *before;
	uint8_t key, i, k, x;

	for (i = 0; i < s->proposals; i++) {
		const struct cfg *c = &s->proposal[i].cfg;

		if (!chosen(s, p, &s->proposal[i]) || !c->number)
			continue;
		before = NULL;
		for (k = 0; k < s->proposals; k++)
			if (chosen(s, p, &s->proposal[k]) &&
			    cfg_compare(&s->proposal[k].cfg, c) < 0 &&
			    (!before || cfg_compare(&s->proposal[k].cfg, before) > 0))
				before = &s->proposal[k].cfg;
		for (k = 0; before && k < c->live; k++) {
			for (x = 0; x < before->live + before->learner; x++)
				if (before->path[x] == c->path[k])
					break;
			if (x == before->live + before->learner)
				return "I7 a live list is no subset of the last";
		}
	}
	for (key = 0; key < p->keys; key++) {
		const struct truth *t = &s->truth[key];

		for (i = 0; t->released && i < now->live; i++)
			if (s->node[now->path[i]].alive && !holds(&s->node[now->path[i]], key, t))
				return "I2 released, and a live member does not have it";
		for (i = 0; i + 1 < now->live + now->learner; i++) {
			const struct node *a = &s->node[now->path[i]];
			const struct node *b = &s->node[now->path[i + 1]];
			const struct rec *ra = &a->rec[key], *rb = &b->rec[key];

			if (!a->alive || !b->alive || cfg_compare(&a->active, now) ||
			    cfg_compare(&b->active, now) || !rb->life)
				continue;
			if (!ra->life ? a->floor <= rb->floor : rec_compare(ra, rb) < 0)
				return "I3 newer further down";
			if (ra->life && !rec_compare(ra, rb) && memcmp(ra, rb, sizeof(*ra)))
				return "I4 equal stamps, different content";
			if (ra->life == DFT_LIVE && rb->life == DFT_LIVE &&
			    (ra->inc_floor != rb->inc_floor || ra->inc_counter != rb->inc_counter))
				return "I5 two lives in one path";
		}
	}
	return NULL;
}

// The chain's end gives an answer to a forwarder. I1, I2, I5, O7.
static const char *released(struct state *s, uint8_t key, const struct rec *r)
{
	struct truth *t = &s->truth[key];
	uint8_t generation = r->state >> 4;

	if (generation < 4 && ((r->state & 0x0F) & ~s->sent[generation]))
		return "O7 state that nobody told in that generation";
	if (t->dead >> r->decision & 1)
		return t->released && t->released != r->decision
			       ? "I5 an older life is released after a newer one"
			       : NULL;
	if (t->released && (t->released != r->decision || t->inc_floor != r->inc_floor ||
			    t->inc_counter != r->inc_counter))
		return "I1 two decisions are released";
	if (t->released && generation < t->state >> 4)
		return "O7 a generation goes back";
	t->released = r->decision;
	t->inc_floor = r->inc_floor;
	t->inc_counter = r->inc_counter;
	t->state = r->state;
	return NULL;
}

static void ended(struct truth *t, uint8_t decision)
{
	t->dead |= 1 << decision;
	if (t->released == decision)
		t->released = t->inc_floor = t->inc_counter = t->state = 0;
}

// What a service chain decides, for the head.
static struct message evaluated(struct state *s, uint8_t key, struct dft_stamp seen)
{
	struct message msg = {.kind = INSERT, .key = key, .packet = 1};

	msg.rec.life = DFT_LIVE;
	msg.rec.decision = ++s->decisions;
	msg.seen_floor = seen.floor;
	msg.seen_counter = seen.counter;
	return msg;
}

// From a node to the next in the path of its active term, or out at the end.
static const char *down(struct state *s, const struct dft_member *m, struct message msg, bool *lost)
{
	int place = dft_configuration_place(&m->active, m->self);

	if (!BUGGY(NO_TERM_FENCE) || !place) {
		msg.epoch = m->active.term.epoch;
		msg.number = m->active.term.number;
	}
	if (place + 1 < (int)(m->active.live + m->active.learner)) {
		msg.to = m->active.path[place + 1].node - 1;
		send(s, msg, lost);
		return NULL;
	}
	if (msg.kind == FLOOR)
		return NULL;
	if (msg.rec.life == DFT_TOMBSTONE) {
		ended(&s->truth[msg.key], msg.rec.decision);
		if (msg.kind == READ && s->decisions < DECISIONS) {
			struct dft_record record = rec_out(&msg.rec);
			struct dft_stamp seen = dft_observe(&record, msg.floor);

			msg = evaluated(s, msg.key, seen);
			msg.to = m->active.path[0].node - 1;
			send(s, msg, lost);
		}
		return NULL;
	}
	if (!msg.packet || !leased(m))
		return NULL;
	return released(s, msg.key, &msg.rec);
}

static void to_heads(struct search *s, const struct state *was, const struct plan *p,
		     struct message msg, const char *what)
{
	uint8_t h;

	for (h = 0; h < p->nodes; h++) {
		struct state next = *was;
		struct dft_member m;
		bool lost = false;

		if (!was->node[h].alive)
			continue;
		member_out(was, p, h, &m);
		if (!dft_is_head(&m))
			continue;
		msg.to = h;
		send(&next, msg, &lost);
		event(s, "%s, to %u", what, h);
		if (!lost)
			came(s, &next, NULL);
	}
}

static const char *const kinds[] = {"",	    "insert", "update", "delete", "collect",
				    "copy", "read",   "floor",	"bulk"};

static const char *delivered(struct state *s, const struct plan *p, struct message msg, bool *lost)
{
	struct node *x = &s->node[msg.to];
	uint8_t *floor = &x->floor;
	struct dft_record mine = rec_out(&x->rec[msg.key]), op = rec_out(&msg.rec);
	struct dft_term term = {msg.epoch, msg.number};
	enum dft_outcome outcome;
	uint32_t raised = *floor;
	struct dft_member m;

	member_out(s, p, msg.to, &m);
	switch (msg.kind) {
	case INSERT:
		if (!dft_is_head(&m))
			return NULL;
		outcome = dft_insert_at_head(
			&mine, &raised, (struct dft_stamp){msg.seen_floor, msg.seen_counter}, &op);
		if (outcome == DFT_STORED && s->truth[msg.key].dead >> msg.rec.decision & 1)
			return "I5 a decision begins a life that was made before another ended";
		if (outcome == DFT_REFUSED)
			return NULL;
		msg.kind = COPY;
		break;
	case UPDATE:
		if (!dft_is_head(&m))
			return NULL;
		outcome = dft_update_at_head(&mine, raised,
					     (struct dft_stamp){msg.seen_floor, msg.seen_counter},
					     rec_out(&msg.rec).state, 0, &op);
		if (outcome == DFT_ENDED)
			return NULL;
		if (op.towards[0].action != msg.rec.decision)
			return "O7 an update of another life";
		msg.kind = COPY;
		break;
	case DELETE:
		if (!dft_is_head(&m) || dft_term_compare(term, m.active.term))
			return NULL;
		outcome = dft_delete_at_head(
			&mine, raised, (struct dft_stamp){msg.seen_floor, msg.seen_counter}, &op);
		if (outcome == DFT_ENDED)
			return NULL;
		if (outcome == DFT_STORED)
			ended(&s->truth[msg.key], op.towards[0].action);
		msg.kind = COPY;
		break;
	case COLLECT:
		if (!dft_is_head(&m))
			return NULL;
		outcome = dft_collect_at_head(
			&mine, &raised, (struct dft_stamp){msg.seen_floor, msg.seen_counter}, &op);
		msg.kind = outcome == DFT_OWN ? COPY : FLOOR;
		break;
	case FLOOR:
		if (!dft_admits(&m, term))
			return NULL;
		outcome = dft_collect(&mine, &raised,
				      (struct dft_stamp){msg.seen_floor, msg.seen_counter},
				      msg.floor);
		break;
	case BULK:
		if (dft_member_place(&m) != (int)m.active.live ||
		    dft_term_compare(m.active.term, term))
			return NULL;
		outcome = dft_copy_read(&mine, &raised, msg.floor, &op);
		if (outcome != DFT_ENDED && outcome != DFT_CONFLICT) {
			struct node *tail = &s->node[m.active.path[m.active.live - 1].node - 1];

			if (tail->active.epoch == msg.epoch && tail->active.number == msg.number)
				tail->filled = 1;
		}
		break;
	default:
		if (!dft_admits(&m, term))
			return NULL;
		if (msg.kind == READ)
			outcome = dft_copy_read(&mine, &raised, msg.floor, &op);
		else
			outcome = dft_copy(&mine, raised, &op);
		// What goes on is not what the tail read.
		if (outcome == DFT_OWN)
			msg.kind = COPY;
		break;
	}
	if (outcome == DFT_CONFLICT)
		return "I4 equal stamps, different content";
	if (raised < *floor)
		return "I8 a floor falls";
	*floor = raised;
	if (mine.life == DFT_ABSENT)
		memset(&mine, 0, sizeof(mine));
	x->rec[msg.key] = rec_in(&mine);
	if (outcome == DFT_ENDED || msg.kind == BULK)
		return NULL;
	msg.floor = raised;
	msg.rec = rec_in(&op);
	if (msg.kind == FLOOR) {
		memset(&msg.rec, 0, sizeof(msg.rec));
	} else {
		msg.seen_floor = msg.seen_counter = 0;
		msg.floor = msg.kind == READ ? msg.floor : 0;
	}
	return down(s, &m, msg, lost);
}

static void step_messages(struct search *s, const struct state *was, const struct plan *p)
{
	uint8_t i;

	for (i = 0; i < MESSAGES && was->message[i].kind; i++) {
		const struct message *m = &was->message[i];
		struct state next = *was;
		const char *wrong;
		bool lost = false;

		message_take(next.message, MESSAGES, i, sizeof(*m));
		event(s, "%s for key %u is lost", kinds[m->kind], m->key);
		if (p->lossy)
			came(s, &next, NULL);
		if (!was->node[m->to].alive) {
			if (!p->lossy)
				came(s, &next, NULL);
			continue;
		}
		wrong = delivered(&next, p, *m, &lost);
		event(s, "%s of %u at %u.%u, seen %u.%u, key %u, term %u.%u comes to %u",
		      kinds[m->kind], m->rec.decision, m->rec.floor, m->rec.counter, m->seen_floor,
		      m->seen_counter, m->key, m->epoch, m->number, m->to);
		if (!lost || wrong)
			came(s, &next, wrong ? wrong : invariants(&next, p));
		if (was->doubles == p->doubles)
			continue;
		next = *was;
		lost = false;
		next.doubles++;
		wrong = delivered(&next, p, *m, &lost);
		event(s, "%s of %u, key %u comes to %u, and once more later", kinds[m->kind],
		      m->rec.decision, m->key, m->to);
		if (!lost || wrong)
			came(s, &next, wrong ? wrong : invariants(&next, p));
	}
}

// What reaches or is begun by a tail, and what forwarders and heads send.
static void step_ops(struct search *s, const struct state *was, const struct plan *p, uint8_t n,
		     const struct dft_member *m)
{
	struct message msg;
	struct state next;
	const char *wrong;
	uint8_t key;
	bool lost;

	for (key = 0; key < p->keys; key++) {
		const struct rec *r = &was->node[n].rec[key];
		struct dft_record record = rec_out(r);
		uint8_t floor = was->node[n].floor;
		bool tail = dft_is_tail(m) && leased(m);

		if (tail && was->looks < p->looks) {
			next = *was;
			next.looks++;
			lost = false;
			if (m->active.learner &&
			    ((r->life == DFT_LIVE && !BUGGY(LEARNER_PASSED_BY)) ||
			     (r->life == DFT_TOMBSTONE && !BUGGY(TOMBSTONE_PASSED_BY)))) {
				msg = (struct message){
					.kind = READ, .key = key, .packet = 1, .rec = *r};
				msg.floor = floor;
				wrong = down(&next, m, msg, &lost);
				event(s, "tail %u reads key %u for the learner", n, key);
				if (!lost)
					came(s, &next, wrong);
			} else if (r->life == DFT_LIVE) {
				wrong = released(&next, key, r);
				event(s, "tail %u answers key %u: %u", n, key, r->decision);
				came(s, &next, wrong ? wrong : invariants(&next, p));
			} else if (was->decisions < DECISIONS) {
				struct dft_stamp seen = dft_observe(&record, floor);

				if (r->life == DFT_TOMBSTONE)
					ended(&next.truth[key], r->decision);
				msg = evaluated(&next, key, seen);
				to_heads(s, &next, p, msg, "a tail evaluates: insert");
			}
		}
		if (tail && was->deletes < p->deletes && r->life == DFT_LIVE) {
			next = *was;
			next.deletes++;
			msg = (struct message){.kind = DELETE, .key = key};
			msg.seen_floor = r->floor;
			msg.seen_counter = r->counter;
			msg.epoch = m->active.term.epoch;
			msg.number = m->active.term.number;
			to_heads(s, &next, p, msg, "the ager deletes");
		}
		if (tail && p->deletes && r->life == DFT_TOMBSTONE && !m->active.learner) {
			msg = (struct message){.kind = COLLECT, .key = key};
			msg.seen_floor = r->floor;
			msg.seen_counter = r->counter;
			to_heads(s, was, p, msg, "the ager collects");
		}
		if (dft_is_head(m) && was->pushes < p->pushes && r->life) {
			struct dft_record op;

			next = *was;
			next.pushes++;
			lost = false;
			dft_push_at_head(&record, floor, &op);
			next.node[n].rec[key] = rec_in(&record);
			msg = (struct message){.kind = COPY, .key = key, .rec = rec_in(&op)};
			wrong = down(&next, m, msg, &lost);
			event(s, "head %u pushes key %u", n, key);
			if (!lost)
				came(s, &next, wrong ? wrong : invariants(&next, p));
		}
		if (dft_is_tail(m) && m->active.learner && !m->filled) {
			next = *was;
			lost = false;
			msg = (struct message){.kind = BULK, .key = key, .rec = *r};
			msg.floor = floor;
			msg.epoch = m->active.term.epoch;
			msg.number = m->active.term.number;
			msg.to = m->active.path[m->active.live].node - 1;
			send(&next, msg, &lost);
			event(s, "tail %u reads key %u for the bulk copy", n, key);
			if (!lost)
				came(s, &next, NULL);
		}
	}
}

// A forwarder tells what it saw of a session that it was answered for.
static void step_updates(struct search *s, const struct state *was, const struct plan *p)
{
	const uint8_t fins = DFT_FIN_FROM_A | DFT_FIN_FROM_B;
	uint8_t key, told[3], i;

	for (key = 0; key < p->keys && was->updates < p->updates; key++) {
		const struct truth *t = &was->truth[key];
		uint16_t wide = (t->state & 0x0F) | (t->state >> 4) << DFT_GENERATION_SHIFT;

		if (!t->released)
			continue;
		told[0] = (t->state & 0xF0) | DFT_FIN_FROM_A;
		told[1] = (t->state & 0xF0) | fins;
		told[2] = 0;
		if (dft_state_closed(wide))
			told[2] = dft_state_generation(dft_state_reopened(wide, 1)) << 4 |
				  DFT_BEGUN_BY_B;
		for (i = 0; i < 3; i++) {
			struct message msg = {.kind = UPDATE, .key = key, .packet = 1};
			struct state next = *was;

			if (!told[i] || told[i] >> 4 > 3)
				continue;
			next.updates++;
			next.sent[told[i] >> 4] |= told[i] & 0x0F;
			msg.rec.state = told[i];
			msg.rec.decision = t->released;
			msg.seen_floor = t->inc_floor;
			msg.seen_counter = t->inc_counter;
			to_heads(s, &next, p, msg,
				 i == 2 ? "a forwarder opens again" : "a forwarder updates");
		}
	}
}

// Membership.

// A voter is asked to promise a ballot, and its answer comes. Returns 0 where nothing comes of it.
static bool promised(struct state *s, const struct plan *p, uint8_t n, uint8_t v)
{
	struct dft_member m, voter;
	struct dft_term_message in = {.kind = DFT_PREPARE, .from = name_of(n), .to = name_of(v)};
	const struct node *proposer = &s->node[n];
	const struct dft_term_message *answer;
	struct dft_out out;

	if (!s->node[v].alive || proposer->phase != DFT_PREPARING || (proposer->promised >> v & 1))
		return false;
	member_out(s, p, n, &m);
	if (dft_voter_place(&m.ballot.old, name_of(v)) < 0 &&
	    dft_voter_place(&m.ballot.new, name_of(v)) < 0 &&
	    dft_configuration_place(&m.active, name_of(v)) < 0 &&
	    dft_configuration_place(&m.ballot.best, name_of(v)) < 0)
		return false;
	in.term = m.ballot.term;
	in.voters = m.ballot.new;
	member_out(s, p, v, &voter);
	out.count = 0;
	dft_on_prepare(&voter, &in, NOW, &out);
	member_in(s, v, &voter);
	if (!out.count)
		return false;
	answer = &out.message[out.count - 1];
	if (answer->kind != DFT_PROMISE || dft_term_compare(answer->term, in.term))
		return false;
	member_out(s, p, n, &m);
	dft_ballot_count(&m.ballot, answer);
	member_in(s, n, &m);
	return true;
}

// A proposer that has a majority of promises proposes, and waits for no more.
static void propose(struct search *s, const struct state *was, const struct plan *p, uint8_t n)
{
	struct dft_term_message ask = {.kind = DFT_ACCEPT};
	struct dft_member m, b;
	struct proposal *q;
	struct state next;
	uint8_t i;
	int place;

	if (was->node[n].phase != DFT_PREPARING || was->proposals == PROPOSALS)
		return;
	member_out(was, p, n, &m);
	if (!dft_party_majority(&m.ballot, m.ballot.promised))
		return;
	b = m;
	dft_propose(&b, &times, NOW);
	if (!b.ballot.proposal.live)
		return;
	b.ballot.phase = DFT_ACCEPTING;
	dft_ballot_fenced(&b.ballot, &ask);
	next = *was;
	q = &next.proposal[next.proposals++];
	q->cfg = cfg_in(&b.ballot.proposal);
	q->old = m.ballot.old.epoch;
	q->new = m.ballot.new.epoch;
	for (i = 0; i < DFT_PATH_MOST; i++)
		if (ask.fenced[i].boot)
			q->fenced |= 1 << (ask.fenced[i].node - 1);
	// What was to be known of the ballot is in the proposal.
	b.ballot.phase = DFT_NO_BALLOT;
	member_in(&next, n, &b);
	event(s, "%u proposes %u.%u, promised by %x: %u live, learner %u: %u %u %u %u", n,
	      q->cfg.epoch, q->cfg.number, m.ballot.promised, q->cfg.live, q->cfg.learner,
	      q->cfg.path[0], q->cfg.path[1], q->cfg.path[2], q->cfg.path[3]);
	for (i = 0; p->at_once && i < p->nodes; i++) {
		struct dft_term_message in = {.kind = DFT_ACCEPT, .to = name_of(i)};
		struct dft_member voter;
		struct dft_out out;
		uint8_t k;

		if (!(m.ballot.promised >> i & 1))
			continue;
		for (k = 0; k < p->nodes; k++)
			if (dft_configuration_place(&b.ballot.proposal, name_of(k)) < 0)
				next.node[k].lease = 0; // it waited for that
		in.term = m.ballot.term;
		in.configuration = b.ballot.proposal;
		in.voters = m.ballot.new;
		member_out(&next, p, i, &voter);
		out.count = 0;
		dft_on_accept(&voter, &times, &in, NOW, &out);
		member_in(&next, i, &voter);
		if (out.count && out.message[0].kind == DFT_ACCEPTED)
			q->accepted |= 1 << i;
	}
	for (i = 0; i < m.ballot.best.live && q->cfg.live < dft_wanted_most(&m.ballot.new); i++) {
		place = dft_party_place(&m.ballot, m.ballot.best.path[i]);
		if (place >= 0 && (m.ballot.promised >> place & 1) &&
		    dft_configuration_place(&b.ballot.proposal, m.ballot.best.path[i]) < 0) {
			came(s, &next, "M6 a member leaves that is needed");
			return;
		}
	}
	came(s, &next, invariants(&next, p));
}

static void step_ballot(struct search *s, const struct state *was, const struct plan *p, uint8_t n)
{
	struct state next;
	uint8_t v;

	if (was->node[n].phase != DFT_PREPARING)
		return;
	for (v = 0; v < p->nodes; v++) {
		next = *was;
		if (!promised(&next, p, n, v))
			continue;
		event(s, "%u promises to %u", v, n);
		came(s, &next, invariants(&next, p));
	}
	propose(s, was, p, n);
}

static void step_begin(struct search *s, const struct state *was, const struct plan *p, uint8_t n,
		       const struct dft_member *m)
{
	int changes;

	if (was->ballots == p->ballots || was->proposals == PROPOSALS ||
	    (p->proposers && !(p->proposers >> n & 1)))
		return;
	for (changes = 0; changes < 2; changes++) {
		struct state next, all;
		struct dft_member b;
		struct dft_out out;
		uint32_t set;
		uint8_t v;

		if (changes && !m->next.epoch)
			continue;
		b = *m;
		out.count = 0;
		// Only who knows something to be done begins: here it always may.
		if (!dft_ballot_begin(&b, changes, NOW, &out) || b.ballot.term.number > 255)
			continue;
		next = *was;
		next.ballots++;
		b.ballot.promised = 0;
		member_in(&next, n, &b);
		if (!p->whole) {
			event(s, "%u begins ballot %u.%u", n, b.ballot.term.epoch,
			      b.ballot.term.number);
			came(s, &next, invariants(&next, p));
			continue;
		}
		for (set = 1; set < 1u << p->nodes; set++) {
			all = next;
			for (v = 0; v < p->nodes; v++)
				if ((set >> v & 1) && !promised(&all, p, n, v))
					break;
			if (v == p->nodes)
				propose(s, &all, p, n);
		}
	}
}

static bool concerned(const struct plan *p, const struct proposal *q, uint8_t n)
{
	uint8_t i;

	for (i = 0; i < q->cfg.live + q->cfg.learner; i++)
		if (q->cfg.path[i] == n)
			return true;
	return !p->proposers || (p->proposers >> n & 1);
}

// A voter gets an accept, be it an old one; a node learns what was chosen.
static void step_proposals(struct search *s, const struct state *was, const struct plan *p,
			   uint8_t n, const struct dft_member *m)
{
	uint8_t i, k;

	for (i = 0; i < was->proposals; i++) {
		const struct proposal *q = &was->proposal[i];
		struct dft_voters old = voters_of(was, p, q->old), new = voters_of(was, p, q->new);
		struct dft_term_message in;
		struct dft_member v;
		struct dft_out out;
		struct state next;
		const char *wrong;
		int place;

		// Who is not in its path and begins nothing might as well not know it.
		if (cfg_compare(&q->cfg, &was->node[n].active) > 0 && concerned(p, q, n) &&
		    chosen(was, p, q)) {
			struct dft_configuration c = cfg_out(&q->cfg);

			v = *m;
			next = *was;
			if (!q->cfg.number)
				dft_found(&v, &new, NOW);
			else
				dft_activate(&v, &c, &new, NOW);
			member_in(&next, n, &v);
			next.node[n].lease = 0;
			if (q->cfg.epoch >= 2)
				next.node[n].given = 0;
			place = dft_configuration_place(&c, m->self);
			if (place == (int)c.live && !BUGGY(NO_WIPE)) {
				memset(next.node[n].rec, 0, sizeof(next.node[n].rec));
				next.node[n].floor = 0;
			}
			event(s, "%u learns %u.%u", n, q->cfg.epoch, q->cfg.number);
			wrong = invariants(&next, p);
			came(s, &next, wrong);
		}
		// A list by force comes when what was under way has come to its end.
		if ((q->accepted >> n & 1) || !q->cfg.number || p->at_once ||
		    (was->forced_count && q->cfg.epoch < 3) ||
		    (dft_voter_place(&old, m->self) < 0 && dft_voter_place(&new, m->self) < 0))
			continue;
		in = (struct dft_term_message){.kind = DFT_ACCEPT,
					       .to = m->self,
					       .term = {q->cfg.epoch, q->cfg.number},
					       .configuration = cfg_out(&q->cfg),
					       .voters = new};
		for (k = 0, place = 0; k < p->nodes && place < DFT_PATH_MOST; k++)
			if (q->fenced >> k & 1)
				in.fenced[place++] = name_of(k);
		if (dft_term_compare(in.term, m->promised) < 0)
			continue;
		v = *m;
		next = *was;
		out.count = 0;
		dft_on_accept(&v, &times, &in, NOW, &out);
		member_in(&next, n, &v);
		if (!dft_term_compare(v.accepted.term, in.term))
			next.proposal[i].accepted |= 1 << n;
		event(s, "%u %s %u.%u", n,
		      next.proposal[i].accepted >> n & 1 ? "accepts"
							 : "may not yet accept, promises",
		      q->cfg.epoch, q->cfg.number);
		came(s, &next, invariants(&next, p));
	}
}

// Whether a voter may not accept a proposal yet because of a node's lease.
static bool awaits(const struct state *s, const struct proposal *q, uint8_t n, uint8_t v)
{
	uint8_t i;

	if ((q->accepted >> v & 1) || !q->cfg.number || (q->fenced >> n & 1))
		return false;
	for (i = 0; i < q->cfg.live + q->cfg.learner; i++)
		if (q->cfg.path[i] == n)
			return false;
	return q->cfg.epoch == s->node[v].promised_epoch &&
	       q->cfg.number == s->node[v].promised_number;
}

static void step_leases(struct search *s, const struct state *was, const struct plan *p, uint8_t n,
			const struct dft_member *m)
{
	bool acts = dft_is_tail(m) || dft_is_end(m);
	struct state granted = *was;
	uint8_t v, i;

	for (v = 0; v < p->nodes; v++) {
		struct dft_term_message in;
		struct dft_member voter;
		struct dft_out out;
		struct state next;

		if (was->node[n].lease >> v & 1) {
			// It matters only to an accept that waits for it, and to a list by force.
			for (i = 0; i < was->proposals; i++)
				if (awaits(was, &was->proposal[i], n, v))
					break;
			if (i == was->proposals && !(p->forces && was->crashes))
				continue;
			next = *was;
			next.node[n].lease &= ~(1 << v);
			event(s, "the lease of %u by %u ends, and its guard", n, v);
			came(s, &next, NULL);
			continue;
		}
		if (v == n || !acts || !was->node[v].alive || leased(m) ||
		    dft_voter_place(&m->voters, name_of(v)) < 0)
			continue;
		member_out(was, p, v, &voter);
		in = (struct dft_term_message){.kind = DFT_BEAT,
					       .flags = DFT_WANTS_LEASE,
					       .from = m->self,
					       .to = voter.self,
					       .term = m->active.term};
		out.count = 0;
		dft_on_beat(&voter, &times, &in, NOW, &out);
		if (out.count && out.message[out.count - 1].term.epoch)
			granted.node[n].lease |= 1 << v;
	}
	// Whoever may grants it at once: fewer grants are fewer leases that hold.
	if (granted.node[n].lease == was->node[n].lease)
		return;
	event(s, "%u is granted its lease by %x", n, granted.node[n].lease);
	came(s, &granted, NULL);
}

static void crashed(struct state *s, uint8_t n)
{
	memset(&s->node[n], 0, sizeof(s->node[n]));
	s->node[n].alive = BUGGY(AMNESIA) ? 1 : 0;
	s->crashes++;
}

// M6. A majority of the voters in force is gone and every lease has ended: a list by force.
static void step_force(struct search *s, const struct state *was, const struct plan *p)
{
	const struct cfg *known = NULL, *now = latest(was, p);
	struct dft_voters v;
	struct state next = *was;
	struct proposal *q;
	uint8_t alive = 0, kept;
	uint32_t i;

	if (!p->forces || was->forced_count || was->proposals == PROPOSALS)
		return;
	for (i = 0; i < p->nodes; i++) {
		if (was->node[i].lease)
			return;
		if (was->node[i].alive && was->node[i].active.epoch &&
		    (!known || cfg_compare(&was->node[i].active, known) > 0))
			known = &was->node[i].active;
	}
	// Who knew of a later list is gone too: what was written since is lost, and no test.
	if (!known || cfg_compare(known, now))
		return;
	v = voters_of(was, p, known->epoch);
	for (i = 0; i < v.count; i++)
		alive += was->node[v.voter[i].node - 1].alive;
	if (alive * 2 > v.count)
		return;
	kept = known->live + (BUGGY(FORCE_KEEPS) ? known->learner : 0);
	for (i = 0; i < kept; i++)
		if (was->node[known->path[i]].alive)
			next.forced[next.forced_count++] = known->path[i];
	if (!next.forced_count)
		return;
	next.forced_replicas = next.forced_count;
	q = &next.proposal[next.proposals++];
	q->cfg = (struct cfg){.epoch = 3, .live = next.forced_count};
	memcpy(q->cfg.path, next.forced, next.forced_count);
	q->old = q->new = 3;
	event(s, "a list of %u by force", next.forced_count);
	came(s, &next, invariants(&next, p));
}

static void chain_step(struct search *s, const void *state, const void *with)
{
	const struct state *was = state;
	const struct plan *p = with;
	uint8_t n;

	step_messages(s, was, p);
	step_updates(s, was, p);
	step_force(s, was, p);
	for (n = 0; n < p->nodes; n++) {
		struct dft_member m;
		struct state next;

		if (!was->node[n].alive)
			continue;
		member_out(was, p, n, &m);
		step_ops(s, was, p, n, &m);
		step_begin(s, was, p, n, &m);
		step_ballot(s, was, p, n);
		step_proposals(s, was, p, n, &m);
		step_leases(s, was, p, n, &m);
		if (was->crashes < p->crashes && (!p->victims || (p->victims >> n & 1))) {
			next = *was;
			crashed(&next, n);
			event(s, "%u dies", n);
			came(s, &next, NULL);
		}
	}
}

static void chain_begin(void *state, const void *with)
{
	const struct plan *p = with;
	struct state *s = state;
	uint8_t n, i;

	memset(s, 0, sizeof(*s));
	s->proposals = 1;
	s->fewer = p->fewer;
	s->proposal[0].cfg.epoch = 1;
	s->proposal[0].cfg.live = p->list;
	s->proposal[0].old = s->proposal[0].new = 1;
	for (i = 0; i < p->list; i++)
		s->proposal[0].cfg.path[i] = p->voters[0][i];
	for (n = 0; n < p->nodes; n++) {
		struct node *x = &s->node[n];

		x->alive = 1;
		x->given = p->views;
		for (i = 0; i < p->count[0]; i++)
			if (p->voters[0][i] == n)
				break;
		if (i == p->count[0])
			continue; // comes with a later view
		x->active = x->accepted = s->proposal[0].cfg;
		x->promised_epoch = 1;
		s->proposal[0].accepted |= 1 << n;
		if (n == p->voters[0][p->list - 1])
			for (i = 0; i < p->count[0]; i++)
				if (p->voters[0][i] != n)
					x->lease |= 1 << p->voters[0][i];
	}
}

#define CHAIN_OF(n, r, l)                                                                          \
	.nodes = n, .keys = 1, .voters = {{0, 1, 2, 3, 4}}, .count = {n}, .replicas = {r}, .list = l

static const struct plan race = {CHAIN_OF(3, 3, 3), .looks = 3, .deletes = 1, .pushes = 1,
				 .doubles = 1};
static const struct plan updates = {CHAIN_OF(2, 2, 2), .looks = 2, .updates = 4, .deletes = 1,
				    .doubles = 1};
static const struct plan floors = {.nodes = 2,
				   .keys = 2,
				   .voters = {{0, 1}},
				   .count = {2},
				   .replicas = {2},
				   .list = 2,
				   .looks = 3,
				   .deletes = 2,
				   .pushes = 1};
static const struct plan term = {CHAIN_OF(3, 3, 3), .looks = 2, .ballots = 1, .crashes = 1};
static const struct plan removed = {CHAIN_OF(3, 3, 3), .looks = 3, .deletes = 1,     .ballots = 1,
				    .whole = true,     .fewer = 2, .proposers = 0x02};
static const struct plan terms = {CHAIN_OF(3, 3, 3), .looks = 1,     .ballots = 2,
				  .crashes = 1,	     .whole = true,  .fewer = 2,
				  .proposers = 0x06, .victims = 0x05};
static const struct plan crashes = {CHAIN_OF(5, 3, 3), .looks = 1,	  .ballots = 2,
				    .crashes = 2,      .whole = true,	  .at_once = true,
				    .fewer = 2,	       .proposers = 0x08, .victims = 0x05};
static const struct plan learner = {CHAIN_OF(3, 3, 2), .looks = 1, .ballots = 2, .whole = true,
				    .proposers = 0x02};
static const struct plan tombstone = {CHAIN_OF(3, 2, 1), .looks = 3,	   .deletes = 1,
				      .ballots = 2,	 .fewer = 2,	   .lossy = true,
				      .whole = true,	 .proposers = 0x01};
static const struct plan one = {CHAIN_OF(3, 2, 1), .looks = 1, .ballots = 2,	 .updates = 1,
				.whole = true,	   .fewer = 1, .proposers = 0x01};
#define VIEWS                                                                                      \
	.nodes = 4, .keys = 1, .voters = {{0, 1, 2}, {0, 3, 1}}, .count = {3, 3},                  \
	.replicas = {2, 2}, .list = 2, .views = true, .whole = true
static const struct plan views = {VIEWS, .ballots = 2, .proposers = 0x0A};
static const struct plan view = {VIEWS,	       .looks = 1, .ballots = 1,
				 .crashes = 1, .fewer = 2, .proposers = 0x02};
static const struct plan force = {CHAIN_OF(3, 3, 2), .looks = 2, .ballots = 1, .crashes = 2,
				  .forces = true};

#define CHAIN(text, which, find)                                                                   \
	{                                                                                          \
		text, sizeof(struct state), chain_begin, chain_step, &which, find                  \
	}
const struct model chain_models[] = {
	CHAIN("inserts race", race, "NO_OBSERVATION "),
	CHAIN("updates, opened again", updates, "ANY_UPDATE ANY_GENERATION "),
	CHAIN("two keys, one floor", floors, "NO_FLOOR "),
	CHAIN("a term, a crash", term, "NO_TERM_FENCE "),
	CHAIN("a tail is removed", removed, "NO_PROMISE_FENCE NO_GUARD NO_LEASE "),
	CHAIN("two terms, a crash", terms, "PROMISE_FORGETS "),
	CHAIN("two crashes, two terms", crashes, "TWO_SUFFICE AMNESIA "),
	CHAIN("a learner", learner, "LEARNER_UNFILLED LEARNER_AT_HEAD NO_SUBSET "),
	CHAIN("a learner, a tombstone", tombstone, "TOMBSTONE_PASSED_BY "),
	CHAIN("a list of one", one, "BULK_OVERWRITES "),
	CHAIN("a view changes", view, "DRAIN_HASTY "),
	CHAIN("two change the view", views, "VIEW_BY_NEW VIEW_BY_OLD "),
	CHAIN("a list by force", force, "FORCE_KEEPS "),
	{0},
};
