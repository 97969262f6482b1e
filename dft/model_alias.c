// SPDX-License-Identifier: Apache-2.0
// Sessions and the aliases that their decisions use: two sessions, and aliases whose keys may also
// be sessions' own. A session's chain is one node (model_chain.c shows that a chain is one), an
// alias' is one or two, as who asks about it is of the path; or both are of one chain and bucket.
// Rules A1 to A5.
#include "dft/model.h"

#define SESSIONS 2
#define ALIASES 2
#define NODES 2
#define MESSAGES 4

struct plan {
	uint8_t aliases, nodes; // of an alias' chain: the head, the tail
	uint8_t evaluations, deletes, verifies, doubles, own;
	bool same; // one chain, of one node, and one bucket for all
};

// A record, of a session: its alias + 1 and which evaluation; of an alias: whose it is + 1; 0: of a
// session of that key's own.
struct rec {
	uint8_t life, floor, counter, inc_floor, inc_counter, what, number, owner_floor,
		owner_counter;
};

enum kind { NONE, RESERVE, RESERVED, INSERT, VERIFY, UNRESERVE, ALIAS_COPY, COLLECT, CAME_BY };

struct message {
	uint8_t kind, session, alias, number, floor, counter; // the life, or what was seen
	struct rec rec;
};

struct state {
	struct rec session[SESSIONS], alias[NODES][ALIASES];
	uint8_t floor;	     // one bucket for sessions
	uint8_t alias_floor; // aliases are in one of their own, or the plan says that all are in
			     // one
	struct message message[MESSAGES];
	uint8_t evaluations, deletes, verifies, doubles, own;
	uint8_t used[SESSIONS];	   // the evaluation that is released and not ended; 0: none
	uint8_t own_used[ALIASES]; // caches know of a session of the key's own
};

static struct dft_record rec_out(const struct rec *r, bool alias)
{
	struct dft_record out = {.stamp = {r->floor, r->counter},
				 .incarnation = {r->inc_floor, r->inc_counter},
				 .life = r->life};

	if (alias && r->what) {
		out.state = DFT_ALIAS;
		out.alias.key[0] = r->what;
		out.alias.owner = (struct dft_stamp){r->owner_floor, r->owner_counter};
	} else if (!alias) {
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
	if (!alias) {
		in.what = r->towards[0].action;
		in.number = r->towards[0].reason;
	} else if (r->state & DFT_ALIAS) {
		in.what = r->alias.key[0];
		in.owner_floor = r->alias.owner.floor;
		in.owner_counter = r->alias.owner.counter;
	}
	return in;
}

static struct dft_alias owner_of(uint8_t session, struct dft_stamp life)
{
	struct dft_alias a = {.owner = life};

	a.key[0] = session + 1;
	return a;
}

static uint8_t *floor_of_aliases(struct state *s, const struct plan *p)
{
	return p->same ? &s->floor : &s->alias_floor;
}

static bool send(struct state *s, struct message m)
{
	return message_put(s->message, MESSAGES, &m, sizeof(m));
}

// I6: who is released and lives has its alias, at every node, and no other session carries it.
static const char *invariants(const struct state *s, const struct plan *p)
{
	uint8_t i, k, n;

	for (i = 0; i < SESSIONS; i++) {
		const struct rec *r = &s->session[i];
		struct dft_stamp life = {r->inc_floor, r->inc_counter};
		struct dft_alias owner = owner_of(i, life);

		if (!s->used[i])
			continue;
		if (r->life == DFT_ABSENT || r->number != s->used[i])
			return "I2 a released session is not there";
		for (n = 0; n < p->nodes; n++) {
			struct dft_record alias = rec_out(&s->alias[n][r->what - 1], true);

			if (!dft_alias_owned(&alias, &owner))
				return "I6 a released session's alias is not its own";
		}
		for (k = 0; k < i; k++)
			if (s->used[k] && s->session[k].what == r->what)
				return "I6 two sessions share an alias";
		if (s->own_used[r->what - 1])
			return "I6 an alias is a session's own key";
	}
	return NULL;
}

// A replication to the tail; where there is one node, that is it.
static void down(struct state *s, const struct plan *p, struct message m, bool *kept)
{
	if (p->nodes > 1)
		*kept = send(s, m) && *kept;
}

static void begin(struct state *s, struct message m, bool *kept)
{
	m.kind = INSERT;
	memset(&m.rec, 0, sizeof(m.rec));
	*kept = send(s, m) && *kept;
}

static void reserve(struct state *s, const struct plan *p, const struct message *m, bool *kept)
{
	struct rec *a = &s->alias[0][m->alias];
	struct dft_record alias = rec_out(a, true), op = {.life = DFT_LIVE, .state = DFT_ALIAS};
	struct message next = *m;

	op.alias =
		owner_of(m->session, dft_promised_life((struct dft_stamp){m->floor, m->counter}));
	if (dft_alias_insert_at_head(&alias, *floor_of_aliases(s, p), &op) == DFT_REFUSED)
		return;
	*a = rec_in(&alias, true);
	next.kind = RESERVED;
	next.rec = *a;
	if (p->nodes == 1 || BUGGY(ALIAS_HASTY))
		begin(s, *m, kept);
	down(s, p, next, kept);
}

// At the tail; a session that waits for it follows.
static void alias_copy(struct state *s, const struct message *m, bool *kept)
{
	struct rec *a = &s->alias[1][m->alias];
	struct dft_record mine = rec_out(a, true), op = rec_out(&m->rec, true);
	struct dft_alias owner =
		owner_of(m->session, dft_promised_life((struct dft_stamp){m->floor, m->counter}));

	if (dft_copy(&mine, s->alias_floor, &op) == DFT_ENDED)
		return;
	*a = rec_in(&mine, true);
	if (m->kind == RESERVED && !BUGGY(ALIAS_HASTY) && dft_alias_owned(&op, &owner))
		begin(s, *m, kept);
}

static const char *came_by(const struct state *s, const struct message *m)
{
	const struct rec *r = &s->session[m->session];
	bool life = r->inc_floor == m->floor && r->inc_counter == m->counter;

	if (r->life != DFT_LIVE || r->what != m->alias + 1 || (!life && !BUGGY(ALIAS_ANY_LIFE)))
		return NULL;
	return life ? NULL : "I6 an alias leads to another life";
}

static const char *deliver(struct state *s, const struct plan *p, const struct message *m,
			   bool *kept)
{
	struct rec *r = &s->session[m->session], *a = &s->alias[0][m->alias];
	struct dft_record mine = rec_out(r, false), alias = rec_out(a, true), op;
	struct dft_stamp stamp = {m->floor, m->counter};
	struct dft_alias owner = owner_of(m->session, stamp);
	struct message next = *m;
	__u32 floor = s->floor;
	enum dft_outcome outcome;

	switch (m->kind) {
	case RESERVE: // the stamp is what the evaluator saw
		reserve(s, p, m, kept);
		return NULL;
	case RESERVED:
	case ALIAS_COPY:
		alias_copy(s, m, kept);
		return NULL;
	case INSERT:
		op = (struct dft_record){.life = DFT_LIVE};
		op.towards[0].action = m->alias + 1;
		op.towards[0].reason = m->number;
		outcome = dft_insert_promised_at_head(&mine, &floor, stamp, &op);
		*r = rec_in(&mine, false);
		s->floor = floor;
		if (outcome == DFT_STORED)
			s->used[m->session] = m->number;
		return NULL;
	case UNRESERVE:
		outcome = dft_alias_delete_at_head(&alias, *floor_of_aliases(s, p), &owner, &op);
		if (outcome == DFT_ENDED)
			return NULL;
		*a = rec_in(&alias, true);
		next = (struct message){.kind = ALIAS_COPY, .alias = m->alias, .rec = *a};
		down(s, p, next, kept);
		return NULL;
	case VERIFY:
		outcome = dft_verify_at_head(&mine, &floor, stamp,
					     r->life && r->what == m->alias + 1);
		s->floor = floor;
		next.kind = UNRESERVE;
		if (outcome == DFT_STORED)
			*kept = send(s, next) && *kept;
		return NULL;
	case COLLECT:
		outcome = dft_collect_at_head(&mine, &floor, stamp, &op);
		s->floor = floor;
		if (outcome == DFT_STORED)
			memset(r, 0, sizeof(*r));
		return NULL;
	case CAME_BY:
		return came_by(s, m);
	}
	return NULL;
}

// What the tail has the tombstone of, all have: it is collected.
static void alias_collect(struct state *s, const struct plan *p, uint8_t k)
{
	struct dft_record mine = rec_out(&s->alias[0][k], true), op;
	__u32 floor = *floor_of_aliases(s, p);
	uint8_t n;

	if (dft_collect_at_head(&mine, &floor, mine.stamp, &op) != DFT_STORED)
		return;
	*floor_of_aliases(s, p) = floor;
	for (n = 0; n < p->nodes; n++)
		memset(&s->alias[n][k], 0, sizeof(s->alias[n][k]));
}

// A5: an alias' head asks for its session.
static bool asks(const struct state *s, const struct plan *p, uint8_t k, struct message *m)
{
	const struct rec *a = &s->alias[BUGGY(ALIAS_TAIL_ASKS) ? p->nodes - 1 : 0][k];

	if (a->life == DFT_ABSENT || !a->what)
		return false;
	if (a->life == DFT_TOMBSTONE && BUGGY(ALIAS_END_LEFT))
		return false;
	*m = (struct message){.kind = BUGGY(ALIAS_AGED) ? UNRESERVE : VERIFY};
	m->session = a->what - 1;
	m->alias = k;
	m->floor = a->owner_floor;
	m->counter = a->owner_counter;
	return true;
}

// I9: whatever was lost, when nothing is any more every alias has its session, and what has ended
// goes.
static const char *settles(const struct state *now, const struct plan *p)
{
	struct state s = *now;
	struct message m;
	uint8_t k, n;
	bool kept = true;

	memset(s.message, 0, sizeof(s.message));
	for (k = 0; k < p->aliases; k++) {
		if (asks(&s, p, k, &m))
			send(&s, m);
		while (s.message[0].kind) {
			m = s.message[0];
			message_take(s.message, MESSAGES, 0, sizeof(m));
			deliver(&s, p, &m, &kept);
		}
		if (s.alias[p->nodes - 1][k].life == DFT_TOMBSTONE && s.alias[p->nodes - 1][k].what)
			alias_collect(&s, p, k);
	}
	for (k = 0; k < p->aliases; k++)
		for (n = 0; n < p->nodes; n++) {
			const struct rec *a = &s.alias[n][k], *r;

			if (a->life == DFT_ABSENT || !a->what)
				continue;
			r = &s.session[a->what - 1];
			if (a->life != DFT_LIVE || !r->life || r->what != k + 1 ||
			    r->inc_floor != a->owner_floor || r->inc_counter != a->owner_counter)
				return "I9 an alias is left";
		}
	return NULL;
}

static const char *const kinds[] = {"",
				    "reserve",
				    "reserved, a copy",
				    "insert",
				    "verify",
				    "unreserve",
				    "alias' copy",
				    "collect",
				    "packet by an alias"};

static void next_state(struct search *s, const struct state *next, const struct plan *p,
		       const char *wrong)
{
	if (!wrong)
		wrong = invariants(next, p);
	came(s, next, wrong ? wrong : settles(next, p));
}

static void session_step(struct search *s, const struct state *was, const struct plan *p, uint8_t i)
{
	struct dft_record mine = rec_out(&was->session[i], false), op;
	struct dft_stamp seen = dft_observe(&mine, was->floor);
	struct state next;
	uint8_t k;

	// A tombstone is succeeded when caches have ended, like its collection.
	for (k = 0; k < p->aliases && mine.life != DFT_LIVE && was->evaluations < p->evaluations;
	     k++) {
		struct message m = {.kind = RESERVE, .session = i, .alias = k};

		next = *was;
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
	if (mine.life == DFT_LIVE && was->deletes < p->deletes) {
		next = *was;
		next.deletes++;
		dft_delete_at_head(&mine, was->floor, mine.stamp, &op);
		next.session[i] = rec_in(&mine, false);
		event(s, "session %u is deleted", i);
		next_state(s, &next, p, NULL);
	}
	if (was->session[i].life == DFT_TOMBSTONE) {
		struct message m = {.kind = COLLECT, .session = i};

		next = *was;
		next.used[i] = 0; // caches have ended
		m.floor = was->session[i].floor;
		m.counter = was->session[i].counter;
		event(s, "session %u is to be collected", i);
		if (send(&next, m))
			came(s, &next, NULL);
	}
}

// The key of an alias is a session's own; all of its path is as one node for that.
static void own_step(struct search *s, const struct state *was, const struct plan *p, uint8_t k)
{
	const struct rec *tail = &was->alias[p->nodes - 1][k];
	struct dft_record mine = rec_out(&was->alias[0][k], true), op = {.life = DFT_LIVE};
	struct state next = *was;
	__u32 floor = *floor_of_aliases(&next, p);
	struct rec r;
	uint8_t n;

	if (tail->life == DFT_ABSENT && was->own < p->own) {
		next.own++;
		if (dft_insert_at_head(&mine, &floor, (struct dft_stamp){floor, 0}, &op) !=
		    DFT_STORED)
			return;
		next.own_used[k] = 1;
		event(s, "a session of %u's own begins", k);
	} else if (tail->life == DFT_LIVE && !tail->what) {
		if (dft_delete_at_head(&mine, floor, mine.stamp, &op) != DFT_STORED)
			return;
		event(s, "the session of %u's own is deleted", k);
	} else if (tail->life == DFT_TOMBSTONE && !tail->what) {
		next.own_used[k] = 0;
		alias_collect(&next, p, k);
		event(s, "the session of %u's own is collected", k);
		next_state(s, &next, p, NULL);
		return;
	} else {
		return;
	}
	r = rec_in(&mine, true);
	for (n = 0; n < p->nodes; n++)
		next.alias[n][k] = r;
	next_state(s, &next, p, NULL);
}

static void alias_events(struct search *s, const struct state *was, const struct plan *p, uint8_t k)
{
	const struct rec *tail = &was->alias[p->nodes - 1][k];
	struct state next;
	struct message m;

	if (was->verifies < p->verifies && asks(was, p, k, &m)) {
		next = *was;
		next.verifies++;
		event(s, "alias %u asks for session %u", k, m.session);
		if (send(&next, m))
			came(s, &next, NULL);
	}
	if (tail->life == DFT_LIVE && tail->what) {
		m = (struct message){.kind = CAME_BY, .session = tail->what - 1, .alias = k};
		next = *was;
		m.floor = tail->owner_floor;
		m.counter = tail->owner_counter;
		event(s, "a packet comes by alias %u", k);
		if (send(&next, m))
			came(s, &next, NULL);
	}
	if (tail->life == DFT_TOMBSTONE && tail->what) {
		next = *was;
		alias_collect(&next, p, k);
		event(s, "alias %u is collected", k);
		next_state(s, &next, p, NULL);
	}
}

static void alias_step(struct search *s, const void *state, const void *with)
{
	const struct state *was = state;
	const struct plan *p = with;
	const char *wrong;
	struct state next;
	bool kept;
	uint8_t i;

	for (i = 0; i < MESSAGES && was->message[i].kind; i++) {
		const struct message *m = &was->message[i];

		next = *was;
		message_take(next.message, MESSAGES, i, sizeof(*m));
		event(s, "%s is lost", kinds[m->kind]);
		came(s, &next, NULL);
		kept = true;
		wrong = deliver(&next, p, m, &kept);
		event(s, "%s of session %u, alias %u, number %u, at %u.%u", kinds[m->kind],
		      m->session, m->alias, m->number, m->floor, m->counter);
		if (kept)
			next_state(s, &next, p, wrong);
		if (was->doubles == p->doubles)
			continue;
		next = *was;
		next.doubles++;
		kept = true;
		wrong = deliver(&next, p, m, &kept);
		event(s, "%s of session %u, alias %u comes, and once more later", kinds[m->kind],
		      m->session, m->alias);
		if (kept)
			next_state(s, &next, p, wrong);
	}
	for (i = 0; i < SESSIONS; i++)
		session_step(s, was, p, i);
	for (i = 0; i < p->aliases; i++) {
		own_step(s, was, p, i);
		alias_events(s, was, p, i);
	}
}

static void alias_begin(void *state, const void *with)
{
	(void)with;
	memset(state, 0, sizeof(struct state));
}

static const struct plan two = {
	.aliases = 2, .nodes = 1, .evaluations = 3, .deletes = 1, .verifies = 1, .doubles = 0};
static const struct plan path = {.aliases = 1,
				 .nodes = 2,
				 .evaluations = 3,
				 .deletes = 1,
				 .verifies = 2,
				 .doubles = 0,
				 .own = 1};

static const struct plan same = {.aliases = 1,
				 .nodes = 1,
				 .evaluations = 3,
				 .deletes = 1,
				 .verifies = 2,
				 .doubles = 0,
				 .own = 1,
				 .same = true};

const struct model alias_models[] = {
	{"two aliases", sizeof(struct state), alias_begin, alias_step, &two,
	 "ALIAS_ADOPTS ALIAS_NO_FENCE ALIAS_AGED ALIAS_EARLY ALIAS_ANY_LIFE "},
	{"an alias and its path", sizeof(struct state), alias_begin, alias_step, &path,
	 "ALIAS_OVER ALIAS_HASTY ALIAS_TAIL_ASKS ALIAS_END_LEFT "},
	{"an alias in its session's chain", sizeof(struct state), alias_begin, alias_step, &same,
	 "ALIAS_ADOPTS ALIAS_OVER ALIAS_NO_FENCE ALIAS_ANY_LIFE "},
	{0},
};
