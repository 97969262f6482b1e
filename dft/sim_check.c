// SPDX-License-Identifier: Apache-2.0
// The simulator's checks: what must hold after every step, seen from above.
#include "dft/sim.h"

#include <string.h>

// Where a line of the trace is to be written; NULL: nobody listens.
char *trace_line(struct world *w, uint32_t node, uint32_t chain, uint32_t key)
{
	struct trace *t;

	if (!w->trace)
		return NULL;
	t = &w->trace[w->traced++ % TRACE_MOST];
	t->when = w->now;
	t->node = node;
	t->chain = chain;
	t->key = key;
	return t->text;
}

// Where to say why an invariant broke; NULL: one broke before, which is what counts.
char *broken_line(struct world *w, const char *invariant, uint32_t chain, uint32_t key)
{
	if (w->broken)
		return NULL;
	w->broken = invariant;
	w->broken_chain = chain;
	w->broken_key = key;
	if (!w->alias_key)
		w->alias_chain = NOWHERE;
	return w->why;
}

uint32_t bucket_of(const struct world *w, uint32_t key)
{
	return key % SIM_BUCKETS + (w->plan.move_at && key >= GUEST ? SIM_BUCKETS : 0);
}

// How many entries of a replica are in use.
uint32_t keys_of(const struct world *w)
{
	return (w->plan.move_at ? GUEST : 0) + w->plan.keys + w->plan.aliases;
}

// Whether a key, as a chain calls it, is of the bucket that moves.
bool moves(const struct world *w, uint32_t chain, uint32_t key)
{
	if (!w->plan.move_at)
		return false;
	return chain == 0 ? key % SIM_BUCKETS == 0 : key >= GUEST;
}

// The last move that brought the key to the chain.
static uint32_t brought_by(const struct world *w, uint32_t chain, uint32_t key)
{
	return moves(w, chain, key) ? w->move - ((w->move ^ chain) & 1) : 0;
}

// What a chain calls a key of the bucket that moves.
uint32_t guest_key(uint32_t chain, uint32_t key)
{
	return chain ? key % GUEST + GUEST : key % GUEST;
}

// What the view says of the bucket to who knows nothing: the second chain gets it by the first
// move.
struct dft_bucket bucket_begun(const struct world *w, uint32_t chain)
{
	int guest = w->plan.move_at && chain == 1;

	return (struct dft_bucket){.move = guest, .guest = guest};
}

// Whether a chain has such a key: there are gaps before the guests.
static bool has_key(const struct world *w, uint32_t chain, uint32_t key)
{
	return key < w->plan.keys + w->plan.aliases ||
	       (w->plan.move_at && chain == 1 && key >= GUEST && key < keys_of(w));
}

// What a key is called where it is at home.
void home(const struct world *w, uint32_t *chain, uint32_t *key)
{
	if (!w->plan.move_at || *key < GUEST)
		return;
	*chain = 0;
	*key -= GUEST;
}

static struct key_facts *facts_of(struct world *w, uint32_t chain, uint32_t key)
{
	home(w, &chain, &key);
	return &w->chain[chain].facts[key];
}

// A decision is the number of the evaluation that made it, so that two are never the same by luck;
// and the alias that it rewrites to.
uint32_t decision_of(const struct dft_record *r)
{
	return r->towards[0].host.s6_addr32[3];
}

void decide(struct dft_record *r, uint32_t number, uint32_t alias_chain, uint32_t alias_key)
{
	memset(r->towards, 0, sizeof(r->towards));
	r->towards[0].action = DECIDE_FORWARD;
	r->towards[0].host.s6_addr32[3] = number;
	r->towards[0].host.s6_addr32[0] = alias_chain + 1;
	r->towards[0].host.s6_addr32[1] = alias_key;
	r->towards[1].host.s6_addr32[3] = ~number;
}

bool alias_of(const struct dft_record *r, uint32_t *chain, uint32_t *key)
{
	*chain = r->towards[0].host.s6_addr32[0] - 1;
	*key = r->towards[0].host.s6_addr32[1];
	return *chain != NOWHERE;
}

bool is_alias(const struct dft_record *r)
{
	return r->life != DFT_ABSENT && r->state & DFT_ALIAS;
}

struct dft_alias owner_of(const struct alias_use *use)
{
	struct dft_alias a = {.owner = use->life};

	memcpy(a.key, &use->session_chain, sizeof(use->session_chain));
	memcpy(a.key + 4, &use->session_key, sizeof(use->session_key));
	return a;
}

// What a chain's record of an alias says of it.
struct alias_use use_of(const struct world *w, uint32_t chain, uint32_t key,
			const struct dft_record *alias)
{
	struct alias_use use = {.chain = chain, .key = key, .life = alias->alias.owner};

	home(w, &use.chain, &use.key);
	memcpy(&use.session_chain, alias->alias.key, sizeof(use.session_chain));
	memcpy(&use.session_key, alias->alias.key + 4, sizeof(use.session_key));
	return use;
}

// Whether a session, be it as a tombstone, is translated so.
bool uses(const struct dft_record *session, const struct alias_use *use)
{
	uint32_t chain, key;

	return session->life != DFT_ABSENT && !is_alias(session) &&
	       alias_of(session, &chain, &key) && chain == use->chain && key == use->key;
}

static bool holds(const struct replica *r, uint32_t key, struct dft_stamp life)
{
	const struct dft_record *mine = &r->entry[key].record;

	return mine->life != DFT_ABSENT && !dft_stamp_compare(mine->incarnation, life);
}

static struct life *newest(struct key_facts *f)
{
	return f->lives ? &f->life[(f->lives - 1) % LIVES_MOST] : NULL;
}

// What a replica says of a key, as a stamp: where it has no record, as head of what follows it says
// that all below its floor is gone, as follower that it knows nothing.
static struct dft_stamp says(const struct world *w, const struct replica *r, uint32_t key,
			     bool ahead)
{
	if (r->entry[key].record.life != DFT_ABSENT)
		return r->entry[key].record.stamp;
	return (struct dft_stamp){ahead ? r->floor[bucket_of(w, key)] : 0, 0};
}

// Whether a node knows, or will, that the record was left by an earlier move.
static bool left_over(const struct world *w, uint32_t chain, uint32_t key,
		      const struct dft_record *r)
{
	const struct chain *c = &w->chain[chain];
	uint32_t i;

	for (i = 0; i < c->slots && moves(w, chain, key); i++)
		if (dft_bucket_left(&c->replica[i].bucket, r))
			return true;
	return false;
}

static void check_pair(struct world *w, uint32_t chain, uint32_t key, const struct replica *a,
		       const struct replica *b)
{
	const struct dft_record *x = &a->entry[key].record, *y = &b->entry[key].record;

	if (dft_stamp_compare(says(w, a, key, true), says(w, b, key, false)) < 0)
		broken(w, "I3 prefix", chain, key, "node %u has (%u,%u), node %u after it (%u,%u)",
		       a->member.self.node, x->stamp.floor, x->stamp.counter, b->member.self.node,
		       y->stamp.floor, y->stamp.counter);
	if (x->life && y->life && !dft_stamp_compare(x->stamp, y->stamp) && !dft_record_equal(x, y))
		broken(w, "I4 equal stamps", chain, key, "nodes %u and %u at (%u,%u)",
		       a->member.self.node, b->member.self.node, x->stamp.floor, x->stamp.counter);
	// Whoever begins a session's life knows that all of the path has seen the end of the last.
	// (Not of an alias: one that was lost on its way down the tail has never had.)
	if (!is_alias(y) && x->life == DFT_LIVE && y->life == DFT_LIVE &&
	    dft_stamp_compare(x->incarnation, y->incarnation) && !left_over(w, chain, key, y))
		broken(w, "I5 two lives", chain, key,
		       "node %u has (%u,%u), node %u after it still (%u,%u)", a->member.self.node,
		       x->incarnation.floor, x->incarnation.counter, b->member.self.node,
		       y->incarnation.floor, y->incarnation.counter);
}

static const struct replica *member_at(struct world *w, struct chain *c, uint32_t place)
{
	uint32_t slot;

	if (place >= c->latest.live + c->latest.learner)
		return NULL;
	if (!is_up(w, c->latest.path[place]))
		return NULL;
	slot = slot_of(c, c->latest.path[place].node);
	if (dft_term_compare(c->replica[slot].member.active.term, c->latest.term))
		return NULL;
	return &c->replica[slot];
}

// I2 to I4, where a node's record of a key may have changed.
void check_touched(struct world *w, uint32_t chain, uint32_t slot, uint32_t key)
{
	struct chain *c = &w->chain[chain];
	const struct replica *r = &c->replica[slot], *other;
	struct key_facts *f = facts_of(w, chain, key);
	// (A bucket that came back since it was released here has been elsewhere.)
	const struct life *l =
		f->at == chain && f->move == brought_by(w, chain, key) ? newest(f) : NULL;
	int place = dft_configuration_place(&c->latest, r->member.self);

	if (place < 0 || !has_key(w, chain, key))
		return;
	if (l && !l->ended && place < (int)c->latest.live && !holds(r, key, l->stamp))
		broken(w, "I2 durability", chain, key, "node %u no longer has life (%u,%u)",
		       r->member.self.node, l->stamp.floor, l->stamp.counter);
	if (dft_term_compare(r->member.active.term, c->latest.term))
		return;
	if (place > 0 && (other = member_at(w, c, place - 1)))
		check_pair(w, chain, key, other, r);
	if ((other = member_at(w, c, place + 1)))
		check_pair(w, chain, key, r, other);
}

// Whether generation a comes after b: serial arithmetic, less than half a circle.
static bool is_later(uint32_t a, uint32_t b)
{
	return ((a - b) & DFT_GENERATION_MASK) - 1u < DFT_GENERATION_MASK / 2;
}

static void end_life(const struct world *w, struct life *l, uint32_t generation)
{
	if (!l->ended)
		l->ended_at = w->evaluations;
	if (!l->ended || is_later(generation, l->ended_in))
		l->ended_in = generation;
	l->ended = true;
}

// A head has just made a tombstone: the session was idle, and its life is over.
void check_tombstone(struct world *w, uint32_t chain, uint32_t slot, uint32_t key,
		     const struct dft_record *was)
{
	const struct chain *c = &w->chain[chain];
	struct key_facts *f = facts_of(w, chain, key);
	uint64_t idle = w->now - f->answered;
	uint32_t i;

	for (i = 0; i < f->lives && i < LIVES_MOST; i++)
		if (!dft_stamp_compare(f->life[i].stamp, was->incarnation))
			end_life(w, &f->life[i], dft_state_generation(was->state));
	// A head that does not know yet that it was replaced deletes what nobody will see.
	if (dft_term_compare(c->replica[slot].member.active.term, c->latest.term))
		return;
	// Clocks may differ by the plan's drift.
	if (f->answered &&
	    idle * 1000 < (2 * w->plan.refresh + w->plan.packet_life) * (1000 - 4 * w->plan.drift))
		broken(w, "O9 a busy session is deleted", chain, key, "answered for %llu us ago",
		       (unsigned long long)idle);
}

// Some head may have ended a life before it was first released.
static void end_early(const struct world *w, const struct chain *c, uint32_t key, struct life *l)
{
	uint32_t i;

	for (i = 0; i < c->slots; i++) {
		const struct dft_record *r = &c->replica[i].entry[key].record;

		if (r->life == DFT_TOMBSTONE && holds(&c->replica[i], key, l->stamp))
			end_life(w, l, dft_state_generation(r->state));
	}
}

// A reply about a live session leaves the chain. I1, I2, I5, I6.
void check_released(struct world *w, const struct op *op)
{
	uint32_t chain = op->chain, key = op->key;
	const struct dft_record *r = &op->record;
	struct chain *c = &w->chain[chain];
	struct key_facts *f = facts_of(w, chain, key);
	struct life *l = NULL, *last = newest(f);
	uint32_t i, slot, generation, move;

	move = brought_by(w, chain, key);
	if (f->move > move)
		broken(w, "M7 two chains", chain, key, "the old chain releases after the new one");
	f->move = move;
	if (w->plan.move_at)
		f->at = chain;
	// An answer counts from the asking: a cache ends by that, and a late one is not applied.
	if (f->answered < op->born)
		f->answered = op->born;
	for (i = 0; i < f->lives && i < LIVES_MOST; i++)
		if (!dft_stamp_compare(f->life[i].stamp, r->incarnation))
			l = &f->life[i];
	if (l && l->decision != decision_of(r))
		broken(w, "I1 agreement", chain, key, "life (%u,%u): decisions %u and %u",
		       r->incarnation.floor, r->incarnation.counter, l->decision, decision_of(r));
	if (!l) {
		if (last && !last->ended)
			broken(w, "I1 agreement", chain, key,
			       "life (%u,%u) released, (%u,%u) was never deleted",
			       r->incarnation.floor, r->incarnation.counter, last->stamp.floor,
			       last->stamp.counter);
		// Older than a life that was released: what a forwarder's D and stamps are for.
		if (last && dft_stamp_compare(r->incarnation, last->stamp) < 0)
			return;
		if (last && decision_of(r) <= last->ended_at)
			broken(w, "I5 resurrection", chain, key,
			       "life (%u,%u) begins with decision %u, older than the end of the last",
			       r->incarnation.floor, r->incarnation.counter, decision_of(r));
		l = &f->life[f->lives++ % LIVES_MOST];
		memset(l->sent, 0, sizeof(l->sent));
		l->generation = 0;
		l->stamp = r->incarnation;
		l->decision = decision_of(r);
		l->ended = false;
		end_early(w, c, key, l);
	}
	generation = dft_state_generation(r->state);
	if (r->state & ~(l->sent[generation] | DFT_GENERATION_BITS))
		broken(w, "I1 agreement", chain, key,
		       "life (%u,%u) has state %x, was sent %x in that generation", l->stamp.floor,
		       l->stamp.counter, r->state, l->sent[generation]);
	if (is_later(l->generation, generation))
		broken(w, "I1 agreement", chain, key, "life (%u,%u): generation %u after %u",
		       l->stamp.floor, l->stamp.counter, generation, l->generation);
	// Opened again after its end.
	if (l->ended && is_later(generation, l->ended_in))
		l->ended = false;
	l->generation = generation;
	if (l->ended)
		return;
	for (i = 0; i < c->latest.live; i++) {
		slot = slot_of(c, c->latest.path[i].node);
		if (is_up(w, c->latest.path[i]) && !holds(&c->replica[slot], key, l->stamp))
			broken(w, "I2 durability", chain, key,
			       "released life (%u,%u), which node %u does not have", l->stamp.floor,
			       l->stamp.counter, c->latest.path[i].node);
	}
	check_translated(w, chain, key, r);
}

// I6. A session that is released has its alias: all of that one's path have it as this life's.
void check_translated(struct world *w, uint32_t chain, uint32_t key, const struct dft_record *r)
{
	struct alias_use use = {.session_chain = chain, .session_key = key, .life = r->incarnation};
	uint32_t at, name, i, slot;
	struct dft_alias owner;
	struct chain *c;

	if (!alias_of(r, &use.chain, &use.key))
		return;
	home(w, &use.session_chain, &use.session_key);
	owner = owner_of(&use);
	at = use.chain;
	name = use.key;
	if (moves(w, at, name)) {
		const struct dft_bucket *b;

		at = w->move % 2;
		name = guest_key(at, name);
		c = &w->chain[at];
		b = &c->replica[slot_of(c, c->latest.path[0].node)].bucket;
		// Until the new chain has all of it, either may have it.
		if (w->move && (b->move != w->move || !b->complete))
			return;
	}
	c = &w->chain[at];
	w->alias_chain = at;
	w->alias_key = name;
	for (i = 0; i < c->latest.live; i++) {
		slot = slot_of(c, c->latest.path[i].node);
		if (is_up(w, c->latest.path[i]) &&
		    (!is_alias(&c->replica[slot].entry[name].record) ||
		     !dft_alias_owned(&c->replica[slot].entry[name].record, &owner)))
			broken(w, "I6 alias", chain, key,
			       "released, alias %u/%u is another's at %u", at, name,
			       c->latest.path[i].node);
	}
}

// I6. What came by an alias is answered by its own session, in the life that it was for.
void check_came_by(struct world *w, const struct op *op)
{
	if (!op->translated)
		return;
	w->alias_chain = op->alias.chain;
	w->alias_key = op->alias.key;
	if (!uses(&op->record, &op->alias) ||
	    dft_stamp_compare(op->record.incarnation, op->alias.life))
		broken(w, "I6 alias", op->chain, op->key,
		       "alias %u/%u of life (%u,%u) leads to (%u,%u)", op->alias.chain,
		       op->alias.key, op->alias.life.floor, op->alias.life.counter,
		       op->record.incarnation.floor, op->record.incarnation.counter);
}

// A forwarder reports state of a life (O7).
void check_sent(struct world *w, uint32_t chain, uint32_t key, struct dft_stamp life,
		uint16_t state)
{
	struct key_facts *f = &w->chain[chain].facts[key];
	uint32_t i;

	for (i = 0; i < f->lives && i < LIVES_MOST; i++)
		if (!dft_stamp_compare(f->life[i].stamp, life))
			f->life[i].sent[dft_state_generation(state)] |= state;
}

// I6. A packet of a session's life carried a key, its own or its alias: that never goes back to
// whom it was taken from.
static void check_carried(struct world *w, uint32_t chain, uint32_t key, uint32_t user_chain,
			  uint32_t user_key, struct dft_stamp life)
{
	struct key_facts *a = &w->chain[chain].facts[key];
	uint32_t i;

	if (a->user_chain == user_chain && a->user_key == user_key &&
	    !dft_stamp_compare(a->user_life, life))
		return;
	w->alias_chain = chain;
	w->alias_key = key;
	for (i = 0; i < a->others && i < LIVES_MOST; i++)
		if (a->before[i].chain == user_chain && a->before[i].key == user_key &&
		    !dft_stamp_compare(a->before[i].life, life))
			broken(w, "I6 alias", user_chain, user_key,
			       "carries %u/%u, which session %u/%u has carried since", chain, key,
			       a->user_chain, a->user_key);
	i = a->others++ % LIVES_MOST;
	a->before[i].chain = a->user_chain;
	a->before[i].key = a->user_key;
	a->before[i].life = a->user_life;
	a->user_chain = user_chain;
	a->user_key = user_key;
	a->user_life = life;
}

// A packet was treated by a decision, wherever that was kept. A connection never sees an older life
// of its key after a newer one (I1, I5, I6).
void check_applied(struct world *w, uint32_t chain, uint32_t key, struct dft_stamp life,
		   uint32_t decision, uint32_t alias_chain, uint32_t alias_key)
{
	struct key_facts *f = &w->chain[chain].facts[key];
	uint32_t i;

	w->counters.applied++;
	if (w->now < f->forgiven) {
		f->applied = life;
		return;
	}
	if (dft_stamp_compare(life, f->applied) < 0)
		broken(w, "I5 resurrection", chain, key,
		       "life (%u,%u) is used, (%u,%u) was used before", life.floor, life.counter,
		       f->applied.floor, f->applied.counter);
	f->applied = life;
	for (i = 0; i < f->lives && i < LIVES_MOST; i++)
		if (!dft_stamp_compare(f->life[i].stamp, life) && f->life[i].decision != decision)
			broken(w, "I1 agreement", chain, key, "life (%u,%u) is used as %u, was %u",
			       life.floor, life.counter, decision, f->life[i].decision);
	if (!w->plan.aliases)
		return;
	check_carried(w, chain, key, chain, key, life);
	if (alias_chain != NOWHERE)
		check_carried(w, alias_chain, alias_key, chain, key, life);
}

// M6. A proposal leaves out who has promised it only where there are enough without.
void check_ballot(struct world *w, uint32_t chain, uint32_t slot)
{
	struct chain *c = &w->chain[chain];
	const struct dft_ballot *b = &c->replica[slot].member.ballot;
	uint32_t i;
	int place;

	if (b->phase != DFT_ACCEPTING || !dft_term_compare(b->term, c->checked))
		return;
	c->checked = b->term;
	for (i = 0; i < b->best.live && b->proposal.live < dft_wanted_most(&b->new); i++) {
		place = dft_party_place(b, b->best.path[i]);
		if (place >= 0 && (b->promised >> place & 1) &&
		    dft_configuration_place(&b->proposal, b->best.path[i]) < 0)
			broken(w, "M6 redundancy", chain, 0,
			       "%u.%u drops node %u and leaves %u of %u", b->term.epoch,
			       b->term.number, b->best.path[i].node, b->proposal.live,
			       dft_wanted_most(&b->new));
	}
}

// Nobody is left of a list: what was known is lost, and forgiven.
static void forgive(struct world *w, uint32_t chain)
{
	uint32_t key, i;

	for (key = 0; key < w->plan.keys + w->plan.aliases; key++) {
		struct key_facts *f = &w->chain[chain].facts[key];

		f->forgiven = w->now + 3 * w->plan.refresh + w->plan.packet_life;
		for (i = 0; i < f->lives && i < LIVES_MOST; i++)
			end_life(w, &f->life[i], f->life[i].generation);
	}
}

// A term is known to be chosen. I7; I2 for all keys.
void check_chosen(struct world *w, uint32_t chain, const struct dft_configuration *c,
		  const struct dft_voters *v)
{
	struct chain *k = &w->chain[chain];
	uint32_t i, key, slot, left = 0;
	int place;

	if (dft_term_compare(c->term, k->latest.term) <= 0) {
		if (!dft_term_compare(c->term, k->latest.term) &&
		    memcmp(c, &k->latest, sizeof(*c)) != 0)
			broken(w, "I7 terms", chain, 0, "term %u.%u means two things",
			       c->term.epoch, c->term.number);
		return;
	}
	w->counters.terms++;
	note(w, 0, chain, NOWHERE, "term %u.%u chosen: %u live, %u learner: %u %u %u %u",
	     c->term.epoch, c->term.number, c->live, c->learner, c->path[0].node, c->path[1].node,
	     c->path[2].node, c->path[3].node);
	for (i = 0; i < k->latest.live; i++)
		left += is_up(w, k->latest.path[i]);
	if (!left && !c->term.number)
		forgive(w, chain);
	for (i = 0; i < c->live && k->latest.term.epoch && left; i++) {
		place = dft_configuration_place(&k->latest, c->path[i]);
		if (place < 0)
			broken(w, "I7 terms", chain, 0,
			       "node %u is live in %u.%u and was not a member before",
			       c->path[i].node, c->term.epoch, c->term.number);
		else if (place >= (int)k->latest.live)
			w->counters.promotions++;
	}
	k->latest = *c;
	k->latest_voters = *v;
	for (key = 0; key < keys_of(w); key++) {
		struct key_facts *f;
		const struct life *l;

		if (!has_key(w, chain, key))
			continue;
		f = facts_of(w, chain, key);
		l = newest(f);
		if (!l || l->ended || f->at != chain || f->move != brought_by(w, chain, key))
			continue;
		for (i = 0; i < c->live; i++) {
			slot = slot_of(k, c->path[i].node);
			if (is_up(w, c->path[i]) && !holds(&k->replica[slot], key, l->stamp))
				broken(w, "I2 durability", chain, key,
				       "node %u, live in %u.%u, does not have life (%u,%u)",
				       c->path[i].node, c->term.epoch, c->term.number,
				       l->stamp.floor, l->stamp.counter);
		}
	}
}

// I8.
void raise_floor(struct world *w, uint32_t chain, uint32_t slot, uint32_t bucket, uint32_t to)
{
	struct replica *r = &w->chain[chain].replica[slot];

	if (to < r->floor[bucket])
		broken(w, "I8 floor", chain, bucket, "node %u: %u after %u", r->member.self.node,
		       to, r->floor[bucket]);
	r->floor[bucket] = to;
}

// Whether an alias has its session, and none is left of one that has ended.
static bool alias_settled(struct world *w, uint32_t chain, uint32_t key, const struct replica *head,
			  char *why, size_t room)
{
	const struct dft_record *a = &head->entry[key].record, *s;
	struct alias_use use;
	struct chain *c;

	// Of a bucket that has gone elsewhere nothing is collected any more.
	if (!is_alias(a) || (head->bucket.fenced && moves(w, chain, key)))
		return true;
	use = use_of(w, chain, key, a);
	w->alias_chain = chain;
	w->alias_key = key;
	if (a->life == DFT_TOMBSTONE) {
		snprintf(why, room, "alias %u/%u has ended, and is left", chain, key);
		return false;
	}
	if (moves(w, use.session_chain, use.session_key)) {
		use.session_chain = w->move % 2;
		use.session_key = guest_key(use.session_chain, use.session_key);
	}
	c = &w->chain[use.session_chain];
	s = &c->replica[slot_of(c, c->latest.path[0].node)].entry[use.session_key].record;
	use.chain = chain;
	use.key = key;
	home(w, &use.chain, &use.key);
	if (uses(s, &use) && !dft_stamp_compare(s->incarnation, use.life))
		return true;
	snprintf(why, room, "alias %u/%u belongs to nobody: %u/%u (%u,%u)", chain, key,
		 use.session_chain, use.session_key, use.life.floor, use.life.counter);
	return false;
}

// I9. Faults are over: every chain has its term, active at all members, with no learner left to
// fill; all of the live list say the same; every alias has its session, every session its alias.
bool settled(struct world *w, char *why, size_t room)
{
	uint32_t i, key, place, slot;

	for (i = 0; i < w->plan.chains; i++) {
		struct chain *c = &w->chain[i];
		const struct replica *head = NULL;

		w->unsettled = i;
		w->unsettled_key = NOWHERE;
		if (c->latest.learner ||
		    (w->plan.repair &&
		     (c->latest.live != REPLICAS || c->latest.term.epoch != c->voters.epoch))) {
			snprintf(why, room, "chain %u: term %u.%u of view %u, %u live, %u learner",
				 i, c->latest.term.epoch, c->latest.term.number, c->voters.epoch,
				 c->latest.live, c->latest.learner);
			return false;
		}
		for (place = 0; place < c->latest.live; place++) {
			const struct replica *r;

			if (w->plan.repair && !dft_wanted(&c->voters, c->latest.path[place])) {
				snprintf(why, room, "chain %u: node %u is not wanted", i,
					 c->latest.path[place].node);
				return false;
			}

			slot = slot_of(c, c->latest.path[place].node);
			r = &c->replica[slot];
			if (w->deaf && c->latest.path[place].node == w->deaf) {
				snprintf(why, room, "chain %u: node %u is in the path, %s", i,
					 w->deaf, w->mute ? "mute" : "deaf");
				return false;
			}
			if (!is_up(w, c->latest.path[place]) || !dft_active(&r->member) ||
			    dft_term_compare(r->member.active.term, c->latest.term)) {
				snprintf(why, room, "chain %u: node %u is not in its term", i,
					 c->latest.path[place].node);
				return false;
			}
			if (!head)
				head = r;
			if (w->move && i == w->move % 2 &&
			    (r->bucket.move != w->move || !r->bucket.complete)) {
				snprintf(why, room, "the moved bucket is not complete at %u",
					 r->member.self.node);
				return false;
			}
			for (key = 0; key < keys_of(w); key++) {
				const struct dft_record *x = &r->entry[key].record;
				const struct dft_record *y = &head->entry[key].record;

				// Of a fenced bucket nothing is collected any more, nor collected
				// again where that was lost, nor pushed; nor do aliases end.
				if (head->bucket.fenced && moves(w, i, key))
					continue;
				if (x->life == y->life && (!x->life || dft_record_equal(x, y)))
					continue;
				w->unsettled_key = key;
				snprintf(why, room, "chain %u key %u: nodes %u and %u differ", i,
					 key, head->member.self.node, r->member.self.node);
				return false;
			}
			for (key = 0; key < sizeof(r->floor) / sizeof(r->floor[0]); key++) {
				// Below it who missed a collection may stay, until it matters.
				if (r->floor[key] <= head->floor[key])
					continue;
				snprintf(why, room, "chain %u: node %u has a higher floor than %u",
					 i, r->member.self.node, head->member.self.node);
				return false;
			}
		}
		for (key = 0; head && key < keys_of(w); key++)
			if (!alias_settled(w, i, key, head, why, room))
				return false;
	}
	return true;
}
