// SPDX-License-Identifier: Apache-2.0
// A flow table node of the simulator: what the gateway's program and the daemon do with ops and
// with time, around the transitions of dft/core.h and dft/term.h.
#include "dft/sim.h"

#include <string.h>

static const char *const op_names[OP_KINDS] = {
	"lookup", "reply", "insert",	 "update",  "delete",  "collect",   "copy",
	"floor",  "bulk",  "bulk taken", "reserve", "verify",  "unreserve", "fence",
	"moved",  "pull",  "pulled",	 "adopted", "inquire",
};

static uint32_t guess(struct world *w, uint32_t chain, bool head)
{
	const struct chain *c = &w->chain[chain];

	// Whom to ask is free (O1): now and then a view is old.
	if (chance(w, 20))
		return c->node[pick(w, c->slots)];
	return c->latest.path[head ? 0 : c->latest.live - 1].node;
}

// Which chain has a key, of which it is known what it is called at home, as views say it.
static void find(struct world *w, uint32_t *chain, uint32_t *key)
{
	if (!moves(w, *chain, *key))
		return;
	*chain = chance(w, 200) ? pick(w, 2) : w->move % 2;
	*key = guest_key(*chain, *key);
}

static uint32_t live_records(const struct world *w, const struct replica *r)
{
	uint32_t i, n = 0;

	for (i = 0; i < keys_of(w); i++)
		n += r->entry[i].record.life == DFT_LIVE && !is_alias(&r->entry[i].record);
	return n;
}

// Quota and capacity count live sessions; tombstones have room of their own.
static bool full(struct world *w, const struct replica *r, uint32_t key,
		 const struct dft_record *record)
{
	if (is_alias(record) || r->entry[key].record.life == DFT_LIVE ||
	    live_records(w, r) < w->plan.capacity)
		return false;
	w->counters.full++;
	return true;
}

static void look_up_again(struct world *w, struct replica *r, struct op *op)
{
	const struct dft_configuration *c = &r->member.active;
	uint32_t to = c->path[c->live - 1].node;

	if (!op->packet || !op->hops--)
		return;
	// What waits for an alias is of another key.
	if (op->kind == OP_RESERVE || op->reserves) {
		op->chain = op->alias.session_chain;
		op->key = op->alias.session_key;
		find(w, &op->chain, &op->key);
		to = guess(w, op->chain, false);
	}
	op->kind = OP_LOOKUP;
	op->read = 0;
	op->reserves = 0;
	if (!op->translated)
		op->alias.chain = NOWHERE;
	send_op(w, r->member.self.node, to, op);
}

static void maybe_stall(struct world *w, uint32_t node)
{
	if (w->plan.pauses && !w->quiet && chance(w, 1)) {
		w->counters.pauses++;
		w->node[node].paused_until = w->now + 1 + pick(w, 3 * w->plan.packet_life);
		note(w, node, NOWHERE, NOWHERE, "stalls before it transmits");
	}
}

static void reply(struct world *w, struct replica *r, struct op *op)
{
	uint32_t node = r->member.self.node;

	note(w, node, op->chain, op->key, "releases life (%u,%u) decision %u to %u",
	     op->record.incarnation.floor, op->record.incarnation.counter, decision_of(&op->record),
	     op->forwarder);
	check_released(w, op);
	maybe_stall(w, node);
	op->kind = OP_REPLY;
	send_sluggish(w, node, op->forwarder, op);
}

// To the head of the chain that has op.alias.
static void to_alias(struct world *w, uint32_t from, enum op_kind kind, const struct alias_use *use)
{
	struct op op = {.kind = kind, .hops = 8, .chain = use->chain, .key = use->key};

	op.alias = *use;
	find(w, &op.chain, &op.key);
	send_op(w, from, guess(w, op.chain, true), &op);
}

// The packet's key is an alias: as its session knows it, it goes on to that one's tail.
static void aliased(struct world *w, struct replica *r, struct op *op)
{
	if (!op->packet || op->translated || !op->hops--)
		return;
	w->counters.aliased++;
	op->kind = OP_LOOKUP;
	op->read = 0;
	op->translated = 1;
	op->alias = use_of(w, op->chain, op->key, &op->record);
	op->chain = op->alias.session_chain;
	op->key = op->alias.session_key;
	find(w, &op->chain, &op->key);
	send_sluggish(w, r->member.self.node, guess(w, op->chain, false), op);
}

// Whether a session answers what came by an alias: this very life, by this very alias.
static bool translated_for(const struct dft_record *session, const struct alias_use *use)
{
	return uses(session, use) &&
	       (!dft_stamp_compare(session->incarnation, use->life) || BUGGY(ALIAS_ANY_LIFE));
}

static void down(struct world *w, struct replica *r, struct op *op);
static void evaluate(struct world *w, struct replica *r, struct op *op);

// M7.

// What is known of the bucket, and of what it left here when it moved away.
static void learn(struct world *w, struct replica *r, uint32_t chain, uint32_t slot,
		  const struct dft_bucket *told)
{
	uint32_t was = r->bucket.move, key, i;

	if (!w->plan.move_at)
		return;
	dft_bucket_learn(&r->bucket, told);
	if (r->bucket.move != was)
		r->pulled = 0;
	for (i = 0; i < w->plan.keys + w->plan.aliases; i += SIM_BUCKETS) {
		key = guest_key(chain, i);
		if (dft_bucket_left(&r->bucket, &r->entry[key].record))
			memset(&r->entry[key], 0, sizeof(r->entry[key]));
		if (r->floor[bucket_of(w, key)] < r->bucket.base)
			raise_floor(w, chain, slot, bucket_of(w, key), r->bucket.base);
	}
}

// The other chain serves: the request goes there. Where that has sent it back already, it goes
// along with the fence, once more from the head on.
static void pass_over(struct world *w, struct replica *r, struct op *op)
{
	// What the new chain does not own it has not decided either: the old one has.
	bool insert = op->kind == OP_INSERT && !r->bucket.fenced;

	if (!op->packet || !op->hops--)
		return;
	op->read = 0;
	if (op->kind == OP_INSERT && !insert)
		op->kind = OP_LOOKUP;
	if (!op->translated && !insert)
		op->alias.chain = NOWHERE;
	if (r->bucket.fenced && op->back) {
		op->back = 0;
		op->kind = OP_FENCE;
		op->bucket = (struct dft_bucket){.move = r->bucket.move};
		send_op(w, r->member.self.node, guess(w, op->chain, true), op);
		return;
	}
	op->back = !r->bucket.fenced;
	op->chain = !op->chain;
	op->key = guest_key(op->chain, op->key);
	send_op(w, r->member.self.node, guess(w, op->chain, op->kind != OP_LOOKUP), op);
}

// To the new chain's head: under this term all of the old live list is fenced.
static void report(struct world *w, struct replica *r, const struct op *fence, struct dft_term term)
{
	struct op op = {.hops = 8};

	if (fence->packet) {
		op = *fence;
		op.report = NO_REPORT;
	}
	op.kind = OP_MOVED;
	op.chain = !fence->chain;
	op.term = term;
	op.key = guest_key(op.chain, fence->key);
	op.floor = fence->floor;
	op.bucket.move = fence->bucket.move;
	if (!op.translated)
		op.alias.chain = NOWHERE;
	send_op(w, r->member.self.node, guess(w, op.chain, true), &op);
}

static void report_adopted(struct world *w, struct replica *r, const struct op *op)
{
	struct op done = {.kind = OP_ADOPTED, .hops = 8, .chain = op->chain, .key = op->key};

	done.term = op->term;
	done.bucket.move = r->bucket.move;
	done.alias.chain = NOWHERE;
	send_op(w, r->member.self.node, r->member.active.path[0].node, &done);
}

// Asks the old head; op may bring a packet along.
static void ask_old(struct world *w, struct replica *r, struct op *op)
{
	uint32_t old = !op->chain, to = guess(w, old, true);

	w->counters.pulls++;
	op->kind = OP_PULL;
	op->term = r->bucket.owned;
	op->bucket.move = r->bucket.move;
	op->chain = old;
	op->key = guest_key(old, op->key);
	if (!op->translated)
		op->alias.chain = NOWHERE;
	// Whom it takes for the old head may be whoever was just replaced.
	if (chance(w, 200))
		to = w->chain[old].node[pick(w, w->chain[old].slots)];
	else if (w->now < w->broken_link.until && chance(w, 500))
		to = w->broken_link.from;
	if (w->chain[old].node[slot_of(&w->chain[old], to)] != to)
		return;
	send_sluggish(w, r->member.self.node, to, op);
}

// The old head's answer to the new one.
static void answer_new(struct world *w, struct replica *r, struct op *op)
{
	const struct dft_record *mine = &r->entry[op->key].record;

	if (r->bucket.move != op->bucket.move ||
	    !dft_bucket_answers(&r->bucket, &r->member, op->term))
		return;
	op->record = *mine;
	op->floor = r->floor[bucket_of(w, op->key)];
	op->kind = OP_PULLED;
	op->chain = !op->chain;
	op->key = guest_key(op->chain, op->key);
	send_op(w, r->member.self.node, guess(w, op->chain, true), op);
}

// The worst moment: nobody but the new head hears what was adopted.
static void keep_apart(struct world *w, const struct replica *r)
{
	const struct dft_configuration *c = &r->member.active;

	if (w->quiet || !w->plan.crashes || w->now < w->broken_link.until || c->live < 2 ||
	    !chance(w, 500))
		return;
	w->broken_link.from = r->member.self.node;
	w->broken_link.to = c->path[1].node;
	w->broken_link.both = true;
	w->broken_link.until = w->now + pick(w, 3 * MS);
	note(w, w->broken_link.from, NOWHERE, NOWHERE, "has no link to %u, nor back",
	     w->broken_link.to);
}

// The new head pulls what nobody asks for, until it has asked for all.
static void pull(struct world *w, struct replica *r, uint32_t chain)
{
	struct op op = {.hops = 8, .chain = chain};
	uint32_t key, missing = 0;

	if (!r->bucket.owned.epoch || r->bucket.complete)
		return;
	for (key = 0; key < w->plan.keys + w->plan.aliases; key += SIM_BUCKETS)
		if (!(r->pulled >> key & 1)) {
			missing++;
			op.key = guest_key(chain, key);
		}
	if (!missing) {
		r->bucket.complete = 1;
		w->counters.moves++;
		note(w, r->member.self.node, chain, NOWHERE, "has all of the bucket");
		op.kind = OP_FLOOR;
		op.key = guest_key(chain, 0);
		op.floor = r->floor[bucket_of(w, op.key)];
		op.alias.chain = NOWHERE;
		down(w, r, &op);
		// The worst moment: now it depends on who else has it.
		if (w->plan.crashes && chance(w, 700))
			at(w, w->now + pick(w, 5 * MS), CRASH, r->member.self.node, 0);
		return;
	}
	if (!w->quiet && !chance(w, 40))
		return;
	if (r->entry[op.key].record.life == DFT_ABSENT) {
		ask_old(w, r, &op);
		return;
	}
	// Adopted, but perhaps by this node alone.
	op.kind = OP_COPY;
	op.report = REPORT_ADOPTED;
	op.alias.chain = NOWHERE;
	dft_push_at_head(&r->entry[op.key].record, r->floor[bucket_of(w, op.key)], &op.record);
	down(w, r, &op);
}

// A3: all of the path has the alias, its session may follow.
static void begin_session(struct world *w, struct replica *r, const struct op *op)
{
	struct op next = *op;

	w->counters.reserved++;
	next.kind = OP_INSERT;
	next.reserves = 0;
	next.chain = op->alias.session_chain;
	next.key = op->alias.session_key;
	find(w, &next.chain, &next.key);
	next.stamp = op->session_seen;
	next.record = op->session;
	send_sluggish(w, r->member.self.node, guess(w, next.chain, true), &next);
}

// A1: the key is another's: the evaluator chooses again, if it can.
static void taken(struct world *w, struct replica *r, struct op *op)
{
	if (op->chosen)
		look_up_again(w, r, op);
}

// The op has passed all of the path.
static void finish(struct world *w, struct replica *r, struct op *op)
{
	uint32_t node = r->member.self.node;
	struct op next;

	// A5: all of the live list know now that this life does not, or will never, have it.
	if (op->gone) {
		w->counters.orphaned++;
		to_alias(w, node, OP_UNRESERVE, &op->alias);
		return;
	}
	if (op->kind == OP_COPY && op->collect && op->record.life == DFT_TOMBSTONE) {
		next = (struct op){.kind = OP_COLLECT, .hops = 8, .chain = op->chain};
		next.key = op->key;
		next.stamp = op->record.stamp;
		next.alias.chain = NOWHERE;
		send_op(w, node, r->member.active.path[0].node, &next);
	}
	if (op->report == REPORT_FENCE) {
		report(w, r, op, op->term);
		return;
	}
	if (op->report == REPORT_ADOPTED)
		report_adopted(w, r, op);
	op->report = NO_REPORT;
	if (!op->packet)
		return;
	if (moves(w, op->chain, op->key) && !dft_bucket_serves(&r->bucket)) {
		if (!op->reserves) {
			op->kind = OP_LOOKUP;
			pass_over(w, r, op);
			return;
		}
		// The new chain's end may not know yet what its head does.
		if (r->bucket.fenced) {
			taken(w, r, op);
			return;
		}
	}
	if (!dft_leased(&r->member, &w->plan.times, clock_of(w, node))) {
		w->counters.no_lease++;
		look_up_again(w, r, op);
		return;
	}
	if (op->reserves) {
		begin_session(w, r, op);
		return;
	}
	// Over this tombstone the tail would decide, and here it is now.
	if (op->kind == OP_COPY && op->read && op->record.life == DFT_TOMBSTONE) {
		evaluate(w, r, op);
		return;
	}
	if (op->kind != OP_COPY || op->record.life != DFT_LIVE)
		look_up_again(w, r, op);
	else if (is_alias(&op->record))
		aliased(w, r, op);
	else if (!op->translated || translated_for(&op->record, &op->alias))
		reply(w, r, op);
}

static void down(struct world *w, struct replica *r, struct op *op)
{
	const struct dft_configuration *c = &r->member.active;
	int place = dft_configuration_place(c, r->member.self);
	struct op early;

	if (BUGGY(ALIAS_HASTY) && place == 0 && op->reserves) {
		begin_session(w, r, op);
		op->packet = op->reserves = 0;
	}
	if ((BUGGY(EARLY_RELEASE) && place == 0) || (BUGGY(MIDDLE_RELEASE) && place > 0)) {
		if (op->kind == OP_COPY && op->packet && op->record.life == DFT_LIVE &&
		    !is_alias(&op->record) && place + 1 < (int)(c->live + c->learner)) {
			early = *op;
			reply(w, r, &early);
			op->packet = 0;
		}
	}
	if (!BUGGY(NO_TERM_FENCE) || place == 0)
		op->term = c->term;
	if (op->kind == OP_FLOOR && place == 0)
		op->bucket = r->bucket;
	if (place + 1 < (int)(c->live + c->learner))
		send_op(w, r->member.self.node, c->path[place + 1].node, op);
	else
		finish(w, r, op);
}

// To the head of the term that this node knows.
static void to_head(struct world *w, struct replica *r, struct op *op)
{
	op->term = r->member.active.term;
	send_sluggish(w, r->member.self.node, r->member.active.path[0].node, op);
}

static void ask_delete(struct world *w, struct replica *r, uint32_t chain, uint32_t key)
{
	struct op op = {.kind = OP_DELETE, .hops = 8, .chain = chain, .key = key};

	op.alias.chain = NOWHERE;
	op.stamp = r->entry[key].record.stamp;
	r->entry[key].deleting = true;
	r->entry[key].asked = clock_of(w, r->member.self.node);
	to_head(w, r, &op);
}

// A3: the alias first, as the life that will begin if its session is accepted.
static void reserve(struct world *w, struct replica *r, struct op *op)
{
	op->kind = OP_RESERVE;
	op->inquired = 0;
	op->chosen = chance(w, 500);
	op->session = op->record;
	op->session_seen = op->stamp;
	op->alias.life = dft_promised_life(op->stamp);
	op->chain = op->alias.chain;
	op->key = op->alias.key;
	find(w, &op->chain, &op->key);
	memset(&op->record, 0, sizeof(op->record));
	op->record.life = DFT_LIVE;
	op->record.state = DFT_ALIAS;
	op->record.alias = owner_of(&op->alias);
	send_sluggish(w, r->member.self.node, guess(w, op->chain, true), op);
}

// What a session is translated to, if it is. Returns false where that is nothing.
static bool translate(struct world *w, const struct op *op, struct alias_use *use)
{
	const struct plan *p = &w->plan;

	use->session_chain = op->chain;
	use->session_key = op->key;
	home(w, &use->session_chain, &use->session_key);
	use->chain = NOWHERE;
	if (!p->aliases || !chance(w, 400))
		return false;
	use->key = chance(w, 100) ? pick(w, p->keys) : p->keys + pick(w, p->aliases);
	use->chain = pick(w, p->chains);
	if (use->chain == use->session_chain && use->key == use->session_key)
		use->chain = NOWHERE;
	return use->chain != NOWHERE;
}

// Nothing is recorded: network functions decide. Not about what was translated already: its session
// has ended.
static void evaluate(struct world *w, struct replica *r, struct op *op)
{
	uint32_t node = r->member.self.node, number;
	bool translated;

	if (op->translated)
		return;
	number = ++w->evaluations;
	w->counters.evaluated++;
	op->read = 0;
	translated = translate(w, op, &op->alias);
	memset(&op->record, 0, sizeof(op->record));
	op->record.life = DFT_LIVE;
	op->record.policy = 1;
	decide(&op->record, number, op->alias.chain, op->alias.key);
	op->stamp = dft_observe(&r->entry[op->key].record, r->floor[bucket_of(w, op->key)]);
	op->kind = OP_INSERT;
	note(w, node, op->chain, op->key, "evaluates: decision %u, alias %d/%u, saw (%u,%u)",
	     number, (int)op->alias.chain, op->alias.key, op->stamp.floor, op->stamp.counter);
	maybe_stall(w, node);
	if (translated)
		reserve(w, r, op);
	else
		to_head(w, r, op);
}

// M5. What is answered or succeeded has passed the learner, or it would have holes.
static void pass_learner(struct world *w, struct replica *r, struct op *op)
{
	op->kind = OP_COPY;
	op->read = 1;
	op->floor = r->floor[bucket_of(w, op->key)];
	down(w, r, op);
}

static void lookup(struct world *w, struct replica *r, struct op *op)
{
	struct entry *e = &r->entry[op->key];
	uint64_t now = clock_of(w, r->member.self.node);
	uint64_t last = e->used > r->timers ? e->used : r->timers;

	if (!dft_leased(&r->member, &w->plan.times, now)) {
		w->counters.no_lease++;
		return;
	}
	if (moves(w, op->chain, op->key) &&
	    dft_bucket_must_ask(&r->bucket, &e->record, op->pulled)) {
		ask_old(w, r, op);
		return;
	}
	if (e->record.life == DFT_ABSENT) {
		evaluate(w, r, op);
		return;
	}
	if (e->record.life == DFT_LIVE && is_alias(&e->record)) {
		op->record = e->record;
		if (op->translated)
			return;
		if (r->member.active.learner && !BUGGY(LEARNER_PASSED_BY))
			pass_learner(w, r, op);
		else
			aliased(w, r, op);
		return;
	}
	switch (dft_age(&e->record, e->deleting, now - last, w->plan.timeout, w->plan.refresh,
			w->plan.packet_life)) {
	case DFT_SUCCEEDS:
		op->record = e->record;
		if (r->member.active.learner && !BUGGY(TOMBSTONE_PASSED_BY))
			pass_learner(w, r, op);
		else
			evaluate(w, r, op);
		return;
	case DFT_LINGERS:
		if (op->translated || chance(w, 500))
			return; // not by who began it
		if (e->record.stamp.floor < r->floor[bucket_of(w, op->key)])
			return;
		w->counters.reopened++;
		op->kind = OP_UPDATE;
		op->stamp = e->record.incarnation;
		op->state = dft_state_reopened(e->record.state, 0);
		to_head(w, r, op);
		return;
	case DFT_DYING:
		ask_delete(w, r, op->chain, op->key);
		return;
	case DFT_IN_USE:
		e->used = now;
		if (op->translated && !translated_for(&e->record, &op->alias))
			return;
		op->record = e->record;
		if (r->member.active.learner && !BUGGY(LEARNER_PASSED_BY)) {
			pass_learner(w, r, op);
			return;
		}
		reply(w, r, op);
		return;
	}
}

// A refused insert goes down the path with what the head knows better, and is looked up again at
// the end, where the observation is then another.
static void refuse(struct world *w, struct replica *r, struct op *op)
{
	struct entry *e = &r->entry[op->key];

	if (e->record.life == DFT_TOMBSTONE) {
		op->kind = OP_COPY;
		dft_push_at_head(&e->record, r->floor[bucket_of(w, op->key)], &op->record);
	} else {
		op->kind = OP_FLOOR;
		op->stamp = (struct dft_stamp){0, 0};
		op->floor = r->floor[bucket_of(w, op->key)];
	}
	down(w, r, op);
}

// O9. What passes the tail with a packet, be it also the head, is an answer: the session is in use.
// Returns 0 where a delete is under way: then there is no answer.
static bool touches(struct world *w, struct replica *r, const struct op *op)
{
	struct entry *e = &r->entry[op->key];

	if (!op->packet || e->record.life != DFT_LIVE || is_alias(&e->record) ||
	    !dft_is_tail(&r->member))
		return true;
	if (e->deleting)
		return false;
	e->used = clock_of(w, r->member.self.node);
	return true;
}

// To the head of a bucket's other chain.
static void to_other(struct world *w, const struct replica *r, struct op *op)
{
	op->chain = !op->chain;
	op->key = guest_key(op->chain, op->key);
	send_op(w, r->member.self.node, guess(w, op->chain, true), op);
}

// M7: the new head lacks an alias that is to be reserved: what has the old one of it?
static void inquire(struct world *w, struct replica *r, struct op *op)
{
	op->kind = OP_INQUIRE;
	op->term = r->bucket.owned;
	op->bucket.move = r->bucket.move;
	w->counters.inquired++;
	to_other(w, r, op);
}

// The old head's answer: nothing, as it is fenced for good.
static void answer_reserve(struct world *w, struct replica *r, struct op *op)
{
	if (r->bucket.move != op->bucket.move ||
	    !dft_bucket_answers(&r->bucket, &r->member, op->term))
		return;
	op->kind = OP_RESERVE;
	if (r->entry[op->key].record.life != DFT_ABSENT && !BUGGY(ALIAS_UNASKED)) {
		taken(w, r, op);
		return;
	}
	op->inquired = 1;
	to_other(w, r, op);
}

// A3, A5, M7: whether this head serves an op about an alias.
static bool serves_aliases(struct world *w, struct replica *r, struct op *op)
{
	const struct dft_record *mine = &r->entry[op->key].record;
	int known;

	if (!moves(w, op->chain, op->key))
		return true;
	if (!dft_bucket_serves(&r->bucket)) {
		if (op->kind == OP_RESERVE && op->hops--)
			to_other(w, r, op);
		return false;
	}
	if (op->kind != OP_RESERVE)
		return !r->bucket.guest || r->bucket.complete;
	known = op->inquired && op->bucket.move == r->bucket.move;
	if (!dft_bucket_must_ask(&r->bucket, mine, known))
		return true;
	if (op->hops--)
		inquire(w, r, op);
	return false;
}

static void request_at_head(struct world *w, struct replica *r, uint32_t slot, struct op *op)
{
	struct entry *e = &r->entry[op->key];
	uint32_t node = r->member.self.node, bucket = bucket_of(w, op->key);
	uint32_t floor = r->floor[bucket];
	struct dft_record was = e->record;
	struct dft_alias owner = owner_of(&op->alias);
	enum dft_outcome outcome = DFT_ENDED;

	if (op->kind >= OP_RESERVE && op->kind <= OP_UNRESERVE && !serves_aliases(w, r, op))
		return;

	if (moves(w, op->chain, op->key) && op->kind <= OP_COLLECT) {
		if (!dft_bucket_serves(&r->bucket)) {
			pass_over(w, r, op);
			return;
		}
		if (dft_bucket_must_ask(&r->bucket, &e->record, op->pulled)) {
			if (op->packet)
				ask_old(w, r, op);
			return;
		}
		if (op->kind == OP_COLLECT && !dft_bucket_collects(&r->bucket))
			return;
	}
	switch (op->kind) {
	case OP_INSERT:
		if (full(w, r, op->key, &op->record))
			return;
		if (op->alias.chain == NOWHERE)
			outcome = dft_insert_at_head(&e->record, &floor, op->stamp, &op->record);
		else
			outcome = dft_insert_promised_at_head(&e->record, &floor, op->stamp,
							      &op->record);
		w->counters.inserted += outcome == DFT_STORED;
		break;
	case OP_UPDATE:
		outcome = dft_update_at_head(&e->record, floor, op->stamp, op->state,
					     e->record.policy, &op->record);
		if (outcome == DFT_ENDED) {
			look_up_again(w, r, op);
			return;
		}
		break;
	case OP_DELETE:
		// The ager of another term may not know who has been answered since.
		if (dft_term_compare(op->term, r->member.active.term) && !BUGGY(AGER_FORGETS))
			return;
		outcome = dft_delete_at_head(&e->record, floor, op->stamp, &op->record);
		if (outcome == DFT_STORED) {
			w->counters.deleted++;
			check_tombstone(w, op->chain, slot, op->key, &was);
		}
		if (outcome == DFT_ENDED && floor > op->stamp.floor) {
			op->kind = OP_FLOOR;
			op->floor = floor;
			down(w, r, op);
			return;
		}
		break;
	case OP_COLLECT:
		outcome = dft_collect_at_head(&e->record, &floor, op->stamp, &op->record);
		raise_floor(w, op->chain, slot, bucket, floor);
		if (outcome == DFT_OWN)
			break;
		if (outcome == DFT_STORED) {
			w->counters.collected++;
			memset(e, 0, sizeof(*e));
		}
		note(w, node, op->chain, op->key, "collects (%u,%u), floor %u", op->stamp.floor,
		     op->stamp.counter, floor);
		op->kind = OP_FLOOR;
		op->floor = floor;
		down(w, r, op);
		check_touched(w, op->chain, slot, op->key);
		return;
	case OP_RESERVE:
		outcome = dft_alias_insert_at_head(&e->record, floor, &op->record);
		if (outcome == DFT_REFUSED) {
			taken(w, r, op);
			return;
		}
		op->reserves = 1;
		break;
	case OP_UNRESERVE:
		outcome = dft_alias_delete_at_head(&e->record, floor, &owner, &op->record);
		break;
	case OP_VERIFY:
		w->counters.asked_for++;
		outcome = dft_verify_at_head(&e->record, &floor, op->alias.life,
					     uses(&e->record, &op->alias));
		if (outcome == DFT_SAME)
			return;
		raise_floor(w, op->chain, slot, bucket, floor);
		note(w, node, op->chain, op->key, "life (%u,%u) is gone for good, floor %u",
		     op->alias.life.floor, op->alias.life.counter, floor);
		op->kind = OP_FLOOR;
		op->gone = 1;
		op->stamp = (struct dft_stamp){0, 0};
		op->floor = floor;
		if (BUGGY(ALIAS_NO_FENCE))
			finish(w, r, op);
		else
			down(w, r, op);
		return;
	case OP_FENCE:
		if (!r->bucket.fenced)
			note(w, node, op->chain, NOWHERE, "fences the bucket");
		if (op->bucket.move < r->bucket.move)
			return;
		op->bucket.fenced = 1;
		learn(w, r, op->chain, slot, &op->bucket);
		op->kind = OP_FLOOR;
		op->report = REPORT_FENCE;
		op->stamp = (struct dft_stamp){0, 0};
		op->floor = floor;
		if (BUGGY(MOVE_UNFENCED))
			report(w, r, op, r->member.active.term);
		down(w, r, op);
		return;
	case OP_MOVED:
		if (!r->bucket.owned.epoch)
			note(w, node, op->chain, NOWHERE, "owns the bucket, fenced in %u.%u",
			     op->term.epoch, op->term.number);
		op->bucket = dft_bucket_owned(op->bucket.move, op->term, op->floor);
		learn(w, r, op->chain, slot, &op->bucket);
		op->kind = OP_FLOOR;
		op->stamp = (struct dft_stamp){0, 0};
		op->floor = r->floor[bucket];
		down(w, r, op);
		return;
	case OP_PULL:
		answer_new(w, r, op);
		return;
	case OP_INQUIRE:
		answer_reserve(w, r, op);
		return;
	case OP_ADOPTED:
		if (!dft_term_compare(op->term, r->member.active.term) &&
		    op->bucket.move == r->bucket.move)
			r->pulled |= 1u << op->key % GUEST;
		return;
	case OP_PULLED:
		if (!r->bucket.owned.epoch || op->bucket.move != r->bucket.move)
			return;
		outcome = dft_adopt_at_head(&e->record, &r->bucket, &floor, op->floor, &op->record);
		if (outcome == DFT_ENDED) {
			look_up_again(w, r, op);
			return;
		}
		op->report = REPORT_ADOPTED;
		keep_apart(w, r);
		if (BUGGY(MOVE_HASTY))
			r->pulled |= 1u << op->key % GUEST;
		if (outcome == DFT_SAME) {
			raise_floor(w, op->chain, slot, bucket, floor);
			op->pulled = 1;
			op->kind = OP_FLOOR;
			op->stamp = (struct dft_stamp){0, 0};
			op->floor = floor;
			down(w, r, op);
			return;
		}
		break;
	default:
		return;
	}
	raise_floor(w, op->chain, slot, bucket, floor);
	note(w, node, op->chain, op->key,
	     "head, %s: outcome %d, now %u (%u,%u) of (%u,%u) floor %u", op_names[op->kind],
	     outcome, e->record.life, e->record.stamp.floor, e->record.stamp.counter,
	     e->record.incarnation.floor, e->record.incarnation.counter, floor);
	// M7: of what is adopted the old chain's tail may have answered until just now.
	if (outcome == DFT_STORED || (outcome == DFT_OWN && was.life == DFT_ABSENT)) {
		e->used = clock_of(w, node);
		e->deleting = false;
	}
	if (outcome == DFT_REFUSED) {
		refuse(w, r, op);
	} else if (outcome == DFT_STORED || outcome == DFT_OWN || outcome == DFT_SAME) {
		op->kind = OP_COPY;
		if (touches(w, r, op))
			down(w, r, op);
	}
	check_touched(w, op->chain, slot, op->key);
}

static void replication(struct world *w, struct replica *r, uint32_t slot, struct op *op)
{
	struct entry *e = &r->entry[op->key];
	uint32_t node = r->member.self.node, bucket = bucket_of(w, op->key);
	uint32_t floor = r->floor[bucket];
	enum dft_outcome outcome;
	struct dft_alias owner;
	uint16_t was;

	if (!dft_admits(&r->member, op->term)) {
		w->counters.stale_term++;
		note(w, node, op->chain, op->key, "%s of term %u.%u: fenced off",
		     op_names[op->kind], op->term.epoch, op->term.number);
		return;
	}
	if (op->kind == OP_FLOOR) {
		learn(w, r, op->chain, slot, &op->bucket);
		floor = r->floor[bucket];
		outcome = dft_collect(&e->record, &floor, op->stamp, op->floor);
		raise_floor(w, op->chain, slot, bucket, floor);
		if (outcome == DFT_STORED)
			memset(e, 0, sizeof(*e));
		note(w, node, op->chain, op->key, "floor %u, collecting (%u,%u): outcome %d", floor,
		     op->stamp.floor, op->stamp.counter, outcome);
		down(w, r, op);
		check_touched(w, op->chain, slot, op->key);
		return;
	}
	if (op->record.life == DFT_LIVE && full(w, r, op->key, &op->record)) {
		if (BUGGY(FULL_FORGETS))
			down(w, r, op);
		return;
	}
	if (BUGGY(REPLICA_EVALUATES) && e->record.life == DFT_ABSENT &&
	    op->record.life == DFT_LIVE && !is_alias(&op->record))
		decide(&op->record, ++w->evaluations, NOWHERE, 0);
	was = e->record.life;
	if (op->read)
		outcome = dft_copy_read(&e->record, &floor, op->floor, &op->record);
	else
		outcome = dft_copy(&e->record, floor, &op->record);
	raise_floor(w, op->chain, slot, bucket, floor);
	note(w, node, op->chain, op->key, "copy: outcome %d, now %u (%u,%u) of (%u,%u)", outcome,
	     e->record.life, e->record.stamp.floor, e->record.stamp.counter,
	     e->record.incarnation.floor, e->record.incarnation.counter);
	if (outcome == DFT_CONFLICT)
		broken(w, "I4 equal stamps", op->chain, op->key, "node %u at (%u,%u)", node,
		       e->record.stamp.floor, e->record.stamp.counter);
	if (outcome == DFT_STORED && e->deleting && e->record.life == DFT_LIVE)
		e->deleting = false;
	check_touched(w, op->chain, slot, op->key);
	owner = owner_of(&op->alias);
	if (op->reserves && !BUGGY(ALIAS_ADOPTS) &&
	    (outcome == DFT_ENDED || !dft_alias_owned(&op->record, &owner))) {
		taken(w, r, op);
		return;
	}
	if (outcome == DFT_ENDED || outcome == DFT_CONFLICT)
		return;
	// What the learner has is not what the tail read: nor has the tail answered for it.
	if (op->read && outcome == DFT_OWN) {
		look_up_again(w, r, op);
		return;
	}
	// M7: the old chain's tail may have answered until just now for a key that is new here, or
	// was left here by an earlier stay of the bucket.
	if (outcome == DFT_STORED &&
	    (!dft_is_tail(&r->member) || was == DFT_ABSENT ||
	     (moves(w, op->chain, op->key) &&
	      (r->bucket.fenced || (r->bucket.guest && !r->bucket.complete)))))
		e->used = clock_of(w, node);
	if (touches(w, r, op))
		down(w, r, op);
}

// Active replication of what the tail has to the learner behind it.
static void bulk(struct world *w, struct replica *r, uint32_t slot, struct op *op)
{
	struct entry *e = &r->entry[op->key];
	uint32_t bucket = bucket_of(w, op->key), floor = r->floor[bucket];
	struct op taken = *op;
	enum dft_outcome outcome;

	if (dft_member_place(&r->member) != (int)r->member.active.live ||
	    dft_term_compare(op->term, r->member.active.term))
		return;
	if (op->record.life == DFT_LIVE && full(w, r, op->key, &op->record))
		return;
	outcome = dft_copy_read(&e->record, &floor, op->floor, &op->record);
	raise_floor(w, op->chain, slot, bucket, floor);
	if (outcome == DFT_CONFLICT)
		broken(w, "I4 equal stamps", op->chain, op->key, "bulk at node %u",
		       r->member.self.node);
	if (outcome == DFT_ENDED && !BUGGY(READ_BY_STAMP))
		return;
	learn(w, r, op->chain, slot, &op->bucket);
	note(w, r->member.self.node, op->chain, op->key, "bulk: now %u (%u,%u) floor %u",
	     e->record.life, e->record.stamp.floor, e->record.stamp.counter, r->floor[bucket]);
	check_touched(w, op->chain, slot, op->key);
	taken.kind = OP_BULK_TAKEN;
	send_op(w, r->member.self.node, r->member.active.path[r->member.active.live - 1].node,
		&taken);
}

void table_op(struct world *w, uint32_t node, const struct op *in)
{
	struct chain *c = &w->chain[in->chain];
	uint32_t slot = slot_of(c, node);
	struct replica *r = &c->replica[slot];
	struct op op = *in;

	w->counters.ops++;
	switch (op.kind) {
	case OP_COPY:
	case OP_FLOOR:
		replication(w, r, slot, &op);
		return;
	case OP_BULK:
		bulk(w, r, slot, &op);
		return;
	case OP_BULK_TAKEN:
		if (dft_is_tail(&r->member) && r->member.active.learner &&
		    !dft_term_compare(op.term, r->member.active.term)) {
			r->copied |= 1u << op.key;
			if (r->copied == (1u << keys_of(w)) - 1 && !r->member.filled) {
				r->member.filled = 1;
				w->counters.fills++;
			}
		}
		return;
	case OP_LOOKUP:
		if (moves(w, op.chain, op.key) && dft_active(&r->member) &&
		    !dft_bucket_serves(&r->bucket) && dft_member_place(&r->member) >= 0) {
			pass_over(w, r, &op);
			return;
		}
		if (dft_is_tail(&r->member)) {
			lookup(w, r, &op);
			return;
		}
		if (r->member.active.live && op.hops--)
			send_op(w, node, r->member.active.path[r->member.active.live - 1].node,
				&op);
		return;
	default:
		if (dft_is_head(&r->member) || (op.kind == OP_PULL && BUGGY(MOVE_ANY_ANSWERS))) {
			request_at_head(w, r, slot, &op);
			return;
		}
		if (r->member.active.live && op.hops--)
			send_op(w, node, r->member.active.path[0].node, &op);
	}
}

static void ask_for_session(struct world *w, uint32_t from, const struct alias_use *use)
{
	struct op op = {.kind = OP_VERIFY, .hops = 8};

	op.alias = *use;
	op.chain = use->session_chain;
	op.key = use->session_key;
	find(w, &op.chain, &op.key);
	send_op(w, from, guess(w, op.chain, true), &op);
}

// A5: an alias' head asks for its session, also where it has a tombstone that is not collected:
// somebody behind it may have missed that.
static void verify(struct world *w, struct replica *r, uint32_t chain, uint64_t now)
{
	uint32_t key;

	if (BUGGY(ALIAS_TAIL_ASKS) ? !dft_is_tail(&r->member) : !dft_is_head(&r->member))
		return;
	for (key = 0; key < keys_of(w); key++) {
		struct entry *e = &r->entry[key];
		struct alias_use use;

		if (e->record.life == DFT_ABSENT || !is_alias(&e->record) ||
		    now - e->used < w->plan.timeout / 2 ||
		    (moves(w, chain, key) && !dft_bucket_serves(&r->bucket)))
			continue;
		if (e->record.life == DFT_TOMBSTONE && BUGGY(ALIAS_END_LEFT))
			continue;
		use = use_of(w, chain, key, &e->record);
		if (BUGGY(ALIAS_AGED))
			to_alias(w, r->member.self.node, OP_UNRESERVE, &use);
		else
			ask_for_session(w, r->member.self.node, &use);
		if (e->record.life == DFT_LIVE)
			e->used = now;
	}
}

// The leased tail's part of time: ends sessions, collects tombstones.
static void age(struct world *w, struct replica *r, uint32_t chain, uint64_t now)
{
	struct op op;
	uint32_t key;

	for (key = 0; key < keys_of(w); key++) {
		struct entry *e = &r->entry[key];
		uint64_t last = e->used > r->timers ? e->used : r->timers;
		uint64_t idle = now > last ? now - last : 0;
		enum dft_age age;

		if (e->record.life == DFT_ABSENT || now - e->asked < 10 * MS)
			continue;
		if (moves(w, chain, key) && !dft_bucket_serves(&r->bucket))
			continue;
		if (e->record.life == DFT_LIVE && is_alias(&e->record))
			continue;
		age = dft_age(&e->record, e->deleting, idle, w->plan.timeout, w->plan.refresh,
			      w->plan.packet_life);
		if (age == DFT_DYING) {
			ask_delete(w, r, chain, key);
		} else if (age == DFT_SUCCEEDS && !(w->plan.lazy && chance(w, w->plan.lazy)) &&
			   (!moves(w, chain, key) || dft_bucket_collects(&r->bucket))) {
			// Only what the end of the path has may be collected.
			memset(&op, 0, sizeof(op));
			op.hops = 8;
			op.chain = chain;
			op.key = key;
			op.alias.chain = NOWHERE;
			op.stamp = e->record.stamp;
			e->asked = now;
			if (r->member.active.learner) {
				op.kind = OP_COPY;
				op.collect = 1;
				op.record = e->record;
				down(w, r, &op);
			} else {
				op.kind = OP_COLLECT;
				to_head(w, r, &op);
			}
		}
	}
}

// I9: the head pushes what it has, a little at a time: it asks itself for the end of no record, as
// if somebody had missed what is there.
static void push(struct world *w, struct replica *r, uint32_t chain, uint32_t slot)
{
	const uint32_t in_bucket[] = {GUEST, GUEST + 1};
	uint32_t keys = keys_of(w), buckets = w->plan.move_at && chain == 1 ? 2 : 0;
	uint32_t key = r->next_push++ % (keys + buckets);
	struct op op = {.kind = OP_DELETE, .hops = 8, .chain = chain, .key = key};

	if (!w->quiet && !chance(w, 300))
		return;

	op.alias.chain = NOWHERE;
	// M7: what is known of the bucket.
	if (key >= keys) {
		op.kind = OP_FLOOR;
		op.key = in_bucket[key - keys];
		op.bucket = r->bucket;
		op.floor = r->floor[bucket_of(w, op.key)];
		down(w, r, &op);
		return;
	}
	// Of aliases nothing is pushed: A5 alone has to end what was lost. Nor while a bucket
	// moves.
	if (r->entry[key].record.life == DFT_ABSENT || is_alias(&r->entry[key].record) ||
	    (moves(w, chain, key) && r->bucket.guest && !r->bucket.complete) || BUGGY(NO_PUSH))
		return;
	op.term = r->member.active.term;
	request_at_head(w, r, slot, &op);
}

static void fill(struct world *w, struct replica *r, uint32_t chain)
{
	uint32_t keys = keys_of(w), key, sent = 0;
	struct op op;

	for (key = 0; key < keys && sent < 8; key++) {
		if (r->copied >> key & 1)
			continue;
		memset(&op, 0, sizeof(op));
		op.kind = OP_BULK;
		op.chain = chain;
		op.key = key;
		op.term = r->member.active.term;
		op.floor = r->floor[bucket_of(w, key)];
		op.record = r->entry[key].record;
		op.bucket = r->bucket;
		op.alias.chain = NOWHERE;
		send_op(w, r->member.self.node, r->member.active.path[r->member.active.live].node,
			&op);
		sent++;
	}
}

// What a new term asks of a node's records.
static void activated(struct world *w, uint32_t chain, uint32_t slot)
{
	struct replica *r = &w->chain[chain].replica[slot];
	const struct dft_configuration *c = &r->member.active;
	int place = dft_configuration_place(c, r->member.self);
	uint32_t key;

	note(w, r->member.self.node, chain, NOWHERE, "learns term %u.%u, place %d, lease %d",
	     c->term.epoch, c->term.number, place, dft_leased(&r->member, &w->plan.times, 1));
	r->copied = 0;
	r->timers = clock_of(w, r->member.self.node);
	for (key = 0; key < KEYS_MOST; key++) {
		r->entry[key].deleting = false;
		r->entry[key].asked = 0;
	}
	if (dft_begins_anew(&r->member)) {
		memset(r->entry, 0, sizeof(r->entry));
		for (key = 0; key < SIM_BUCKETS; key++)
			r->floor[key] = dft_founding_floor(r->member.founded);
	}
	if (place == (int)c->live && c->learner && !BUGGY(NO_WIPE)) {
		memset(r->entry, 0, sizeof(r->entry));
		memset(r->floor, 0, sizeof(r->floor));
		r->bucket = bucket_begun(w, chain);
	}
	r->pulled = 0;
	check_chosen(w, chain, c, &r->member.voters);
}

void table_founded(struct world *w, uint32_t chain, uint32_t slot)
{
	activated(w, chain, slot);
}

void table_term(struct world *w, uint32_t chain, uint32_t slot, const struct dft_term_message *m)
{
	struct replica *r = &w->chain[chain].replica[slot];
	struct dft_out out;

	out.count = 0;
	if (dft_term_handle(&r->member, &w->plan.times, m, clock_of(w, r->member.self.node), &out))
		activated(w, chain, slot);
	send_term(w, chain, &out);
}

void table_tick(struct world *w, uint32_t chain, uint32_t slot)
{
	struct replica *r = &w->chain[chain].replica[slot];
	uint64_t now = clock_of(w, r->member.self.node);
	struct dft_out out;
	uint32_t key;

	out.count = 0;
	dft_beat(&r->member, &w->plan.times, now, &out);
	send_term(w, chain, &out);
	if (w->node[r->member.self.node].daemon_until > w->now)
		return;
	out.count = 0;
	dft_term_tick(&r->member, &w->plan.times, pick(w, w->plan.times.suspect), now, &out);
	check_ballot(w, chain, slot);
	for (key = 0; key < out.count; key++)
		w->counters.ballots += out.message[key].kind == DFT_PREPARE;
	send_term(w, chain, &out);
	if (dft_member_place(&r->member) < 0)
		return;
	verify(w, r, chain, now);
	if (dft_is_tail(&r->member) && dft_leased(&r->member, &w->plan.times, now)) {
		age(w, r, chain, now);
		if (r->member.active.learner && !r->member.filled)
			fill(w, r, chain);
	}
	if (BUGGY(AGER_EVERYWHERE) && !dft_is_tail(&r->member))
		for (key = 0; key < keys_of(w); key++)
			if (r->entry[key].record.life == DFT_LIVE &&
			    !is_alias(&r->entry[key].record) &&
			    now - r->entry[key].used > w->plan.timeout)
				ask_delete(w, r, chain, key);
	if (dft_is_head(&r->member)) {
		push(w, r, chain, slot);
		pull(w, r, chain);
	}
}
