// SPDX-License-Identifier: Apache-2.0
// Sessions and the aliases that their decisions use: two sessions, two aliases. In two chains, each
// a record that one node holds (model_chain.c shows that a chain is one), or in one chain of two
// nodes, where both go together. Rules A1 to A5.
#include "dft/model.h"

#define SESSIONS 2
#define ALIASES 2
#define MESSAGES 4
#define LIVES 6

struct plan {
	uint8_t evaluations, deletes, verifies, doubles;
	bool pairs;
};

// A record, of a session: its alias + 1 and which evaluation; of an alias: whose it is + 1.
struct rec {
	uint8_t life, floor, counter, inc_floor, inc_counter, what, number, owner_floor,
		owner_counter;
};

enum kind { NONE, ALIAS_INSERT, INSERT, ALIAS_DELETE, VERIFY, COLLECT, PAIR, COPY, ALIAS_COPY };

struct message {
	uint8_t kind, session, alias, number, floor, counter; // the life, or what was seen
	struct rec rec, with;
};

struct chain {
	struct rec session[SESSIONS], alias[ALIASES];
	uint8_t floor; // one bucket for sessions; aliases are in one of their own
	uint8_t alias_floor;
};

struct state {
	struct chain chain[2]; // the head; and, with pairs, the tail
	struct message message[MESSAGES];
	uint8_t evaluations, deletes, verifies, doubles;
	uint8_t used[SESSIONS]; // the evaluation that is released and not ended; 0: none
	uint8_t owner[ALIASES]; // .. and whose packets carry the alias; session + 1
};

static struct dft_record rec_out(const struct rec *r, bool alias)
{
	struct dft_record out = {.stamp = {r->floor, r->counter},
				 .incarnation = {r->inc_floor, r->inc_counter},
				 .life = r->life};

	if (alias) {
		out.alias.key[0] = r->what;
		out.alias.owner = (struct dft_stamp){r->owner_floor, r->owner_counter};
	} else {
		out.towards[0].action = r->what;
		out.towards[0].reason = r->number;
	}
	return out;
}

static struct rec rec_in(const struct dft_record *r, bool alias)
{
	struct rec in = {.life = r->life};

	if (!r->life)
		return in;
	in.floor = r->stamp.floor;
	in.counter = r->stamp.counter;
	in.inc_floor = r->incarnation.floor;
	in.inc_counter = r->incarnation.counter;
	in.what = alias ? r->alias.key[0] : r->towards[0].action;
	if (alias) {
		in.owner_floor = r->alias.owner.floor;
		in.owner_counter = r->alias.owner.counter;
	} else {
		in.number = r->towards[0].reason;
	}
	return in;
}

static struct dft_alias owner_of(uint8_t session, struct dft_stamp life)
{
	struct dft_alias a = {.owner = life};

	a.key[0] = session + 1;
	return a;
}

static bool send(struct state *s, struct message m)
{
	return message_put(s->message, MESSAGES, &m, sizeof(m));
}

// I6: who is released and lives has its alias, at every node, and no other session shares it.
static const char *invariants(const struct state *s, const struct plan *p)
{
	uint8_t i, k, n;

	for (i = 0; i < SESSIONS; i++)
		for (n = 0; s->used[i] && n < (p->pairs ? 2 : 1); n++) {
			const struct rec *r = &s->chain[n].session[i];
			struct dft_stamp life = {r->inc_floor, r->inc_counter};
			struct dft_alias owner = owner_of(i, life);
			struct dft_record alias;

			if (r->life == DFT_ABSENT || r->number != s->used[i])
				return "I2 a released session is not there";
			alias = rec_out(&s->chain[n].alias[r->what - 1], true);
			if (!dft_alias_owned(&alias, &owner))
				return "I6 a released session's alias is not its own";
			for (k = 0; k < i; k++)
				if (s->used[k] && s->chain[n].session[k].what == r->what)
					return "I6 two sessions share an alias";
		}
	return NULL;
}

static void alias_delete(struct state *s, uint8_t session, uint8_t alias, struct dft_stamp life,
			 bool *kept)
{
	struct message m = {.kind = ALIAS_DELETE, .session = session, .alias = alias};

	m.floor = life.floor;
	m.counter = life.counter;
	*kept = send(s, m) && *kept;
}

// A2: the session goes down with its alias, which is stored first.
static void down(struct state *s, uint8_t session, bool *kept)
{
	const struct rec *r = &s->chain[0].session[session];
	struct message m = {.kind = COPY, .session = session, .rec = *r};

	if (r->life == DFT_LIVE && r->what && !BUGGY(PAIR_SPLIT))
		m.with = s->chain[0].alias[r->what - 1];
	*kept = send(s, m) && *kept;
}

static void alias_down(struct state *s, uint8_t alias, bool *kept)
{
	struct message m = {.kind = ALIAS_COPY, .alias = alias, .rec = s->chain[0].alias[alias]};

	*kept = send(s, m) && *kept;
}

static void release(struct state *s, uint8_t session, uint8_t number)
{
	s->used[session] = number;
}

static void deliver(struct state *s, const struct plan *p, const struct message *m, bool *kept)
{
	struct chain *head = &s->chain[0], *tail = &s->chain[1];
	struct rec *r = &head->session[m->session], *a = &head->alias[m->alias];
	struct dft_record mine = rec_out(r, false), alias = rec_out(a, true), op, other;
	struct dft_stamp stamp = {m->floor, m->counter};
	struct dft_alias owner = owner_of(m->session, stamp);
	__u32 floor = head->floor, alias_floor = head->alias_floor;
	struct message next = *m;
	enum dft_outcome outcome;

	switch (m->kind) {
	case ALIAS_INSERT: // the stamp is what the evaluator saw
		op = (struct dft_record){.life = DFT_LIVE};
		op.alias = owner_of(m->session, dft_promised_life(stamp));
		if (dft_alias_insert_at_head(&alias, alias_floor, &op) == DFT_REFUSED)
			return;
		*a = rec_in(&alias, true);
		next.kind = INSERT;
		*kept = send(s, next);
		return;
	case INSERT:
		op = (struct dft_record){.life = DFT_LIVE};
		op.towards[0].action = m->alias + 1;
		op.towards[0].reason = m->number;
		outcome = dft_insert_promised_at_head(&mine, &floor, stamp, &op);
		*r = rec_in(&mine, false);
		head->floor = floor;
		stamp = dft_promised_life(stamp);
		if (outcome == DFT_STORED)
			release(s, m->session, m->number);
		else if (r->life == DFT_ABSENT || r->what != m->alias + 1 ||
			 dft_stamp_compare(mine.incarnation, stamp))
			alias_delete(s, m->session, m->alias, stamp, kept);
		return;
	case ALIAS_DELETE:
		if (dft_alias_delete_at_head(&alias, alias_floor, &owner, &op) != DFT_STORED)
			return;
		*a = rec_in(&alias, true);
		if (p->pairs)
			alias_down(s, m->alias, kept);
		return;
	case VERIFY:
		outcome = dft_verify_at_head(&mine, &floor, stamp,
					     r->life && r->what == m->alias + 1);
		head->floor = floor;
		if (outcome == DFT_STORED)
			alias_delete(s, m->session, m->alias, stamp, kept);
		return;
	case COLLECT:
		outcome = dft_collect_at_head(&mine, &floor, stamp, &op);
		head->floor = floor;
		if (outcome != DFT_STORED)
			return;
		if (p->pairs) {
			struct dft_record at_tail = rec_out(&tail->session[m->session], false);
			__u32 low = tail->floor;

			// The floor's way down is not what is looked at here.
			dft_collect(&at_tail, &low, stamp, floor);
			tail->floor = low;
			tail->session[m->session] = rec_in(&at_tail, false);
		}
		next.alias = r->what - 1;
		stamp = (struct dft_stamp){r->inc_floor, r->inc_counter};
		memset(r, 0, sizeof(*r));
		alias_delete(s, m->session, next.alias, stamp, kept);
		return;
	case PAIR:
		op = (struct dft_record){.life = DFT_LIVE};
		op.towards[0].action = m->alias + 1;
		op.towards[0].reason = m->number;
		other = (struct dft_record){.life = DFT_LIVE};
		other.alias = owner_of(m->session, (struct dft_stamp){0, 0});
		outcome = dft_insert_pair_at_head(&mine, &floor, stamp, &op, &alias, &alias_floor,
						  &other);
		*r = rec_in(&mine, false);
		*a = rec_in(&alias, true);
		head->floor = floor;
		if (outcome != DFT_REFUSED)
			down(s, m->session, kept);
		return;
	case COPY:
		r = &tail->session[m->session];
		if (m->with.life) {
			alias = rec_out(&tail->alias[m->rec.what - 1], true);
			op = rec_out(&m->with, true);
			if (dft_copy(&alias, tail->alias_floor, &op) == DFT_ENDED)
				return;
			tail->alias[m->rec.what - 1] = rec_in(&alias, true);
		}
		mine = rec_out(r, false);
		op = rec_out(&m->rec, false);
		outcome = dft_copy(&mine, tail->floor, &op);
		*r = rec_in(&mine, false);
		if (outcome == DFT_ENDED)
			return;
		if (r->life == DFT_LIVE)
			release(s, m->session, r->number);
		return;
	case ALIAS_COPY:
		a = &tail->alias[m->alias];
		alias = rec_out(a, true);
		op = rec_out(&m->rec, true);
		dft_copy(&alias, tail->alias_floor, &op);
		*a = rec_in(&alias, true);
		return;
	}
}

static const char *const kinds[] = {"",	       "alias insert",	"insert", "alias delete", "verify",
				    "collect", "pair's insert", "copy",	  "alias's copy"};

static void alias_step(struct search *s, const void *state, const void *with)
{
	const struct state *was = state;
	const struct plan *p = with;
	const struct chain *head = &was->chain[0], *last = &was->chain[p->pairs ? 1 : 0];
	struct state next;
	uint8_t i, k;
	bool kept;

	for (i = 0; i < MESSAGES && was->message[i].kind; i++) {
		const struct message *m = &was->message[i];

		next = *was;
		message_take(next.message, MESSAGES, i, sizeof(*m));
		event(s, "%s is lost", kinds[m->kind]);
		came(s, &next, NULL);
		kept = true;
		deliver(&next, p, m, &kept);
		event(s, "%s of session %u, alias %u, number %u, at %u.%u", kinds[m->kind],
		      m->session, m->alias, m->number, m->floor, m->counter);
		if (kept)
			came(s, &next, invariants(&next, p));
		if (was->doubles == p->doubles)
			continue;
		next = *was;
		next.doubles++;
		kept = true;
		deliver(&next, p, m, &kept);
		event(s, "%s of session %u, alias %u comes, and once more later", kinds[m->kind],
		      m->session, m->alias);
		if (kept)
			came(s, &next, invariants(&next, p));
	}
	for (i = 0; i < SESSIONS; i++) {
		struct dft_record mine = rec_out(&last->session[i], false), op;
		struct dft_stamp seen = dft_observe(&mine, last->floor);

		// An answer, at the tail.
		if (p->pairs && mine.life == DFT_LIVE && !was->used[i] &&
		    head->session[i].life == DFT_LIVE) {
			next = *was;
			release(&next, i, last->session[i].number);
			event(s, "the tail answers session %u", i);
			came(s, &next, invariants(&next, p));
		}
		// A tombstone is succeeded when caches have ended, like its collection.
		for (k = 0;
		     k < ALIASES && mine.life != DFT_LIVE && was->evaluations < p->evaluations;
		     k++) {
			struct message m = {.kind = p->pairs ? PAIR : ALIAS_INSERT};

			next = *was;
			m.session = i;
			m.alias = k;
			m.number = ++next.evaluations;
			if (mine.life == DFT_TOMBSTONE)
				next.used[i] = 0;
			m.floor = seen.floor;
			m.counter = seen.counter;
			event(s, "session %u is evaluated, alias %u, saw %u.%u", i, k, seen.floor,
			      seen.counter);
			if (send(&next, m))
				came(s, &next, NULL);
		}
		mine = rec_out(&head->session[i], false);
		if (mine.life == DFT_LIVE && was->deletes < p->deletes) {
			next = *was;
			next.deletes++;
			dft_delete_at_head(&mine, head->floor, mine.stamp, &op);
			next.chain[0].session[i] = rec_in(&mine, false);
			// All of the path has the tombstone; its packets go on until caches end.
			if (p->pairs)
				next.chain[1].session[i] = rec_in(&mine, false);
			kept = true;
			if (BUGGY(ALIAS_EARLY))
				alias_delete(&next, i, head->session[i].what - 1, mine.incarnation,
					     &kept);
			event(s, "session %u is deleted", i);
			if (kept)
				came(s, &next, invariants(&next, p));
		}
		if (head->session[i].life == DFT_TOMBSTONE) {
			struct message m = {.kind = COLLECT, .session = i};

			next = *was;
			next.used[i] = 0; // caches have ended
			m.floor = head->session[i].floor;
			m.counter = head->session[i].counter;
			event(s, "session %u is to be collected", i);
			if (send(&next, m))
				came(s, &next, NULL);
		}
	}
	for (k = 0; k < ALIASES && was->verifies < p->verifies; k++) {
		const struct rec *a = &last->alias[k];
		struct message m = {.kind = BUGGY(ALIAS_AGED) ? ALIAS_DELETE : VERIFY};

		if (a->life != DFT_LIVE)
			continue;
		next = *was;
		next.verifies++;
		m.session = a->what - 1;
		m.alias = k;
		m.floor = a->owner_floor;
		m.counter = a->owner_counter;
		event(s, "alias %u asks for session %u", k, m.session);
		if (send(&next, m))
			came(s, &next, NULL);
	}
}

static void alias_begin(void *state, const void *with)
{
	(void)with;
	memset(state, 0, sizeof(struct state));
}

static const struct plan two = {.evaluations = 3, .deletes = 1, .verifies = 1, .doubles = 1};
static const struct plan one = {
	.evaluations = 3, .deletes = 1, .verifies = 1, .doubles = 0, .pairs = true};

const struct model alias_models[] = {
	{"aliases in another chain", sizeof(struct state), alias_begin, alias_step, &two,
	 "ALIAS_ADOPTS ALIAS_NO_FENCE ALIAS_AGED ALIAS_EARLY "},
	{"aliases in the same chain", sizeof(struct state), alias_begin, alias_step, &one,
	 "PAIR_HALF PAIR_SPLIT "},
	{0},
};
