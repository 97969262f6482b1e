// SPDX-License-Identifier: Apache-2.0
// The simulator's time, network, faults, forwarders with their clients, and controller.
#include "dft/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// xorshift64*: all of a run follows from its seed.
uint64_t draw(struct world *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * 0x2545F4914F6CDD1Dull;
}

uint32_t pick(struct world *w, uint32_t below)
{
	return (uint32_t)(((draw(w) >> 32) * (below ? below : 1)) >> 32);
}

bool chance(struct world *w, unsigned thousandths)
{
	return pick(w, 1000) < thousandths;
}

// Monotonic, with a rate of its own, and begun at any time.
uint64_t clock_of(const struct world *w, uint32_t node)
{
	const struct node *n = &w->node[node];

	return n->offset + w->now + (int64_t)w->now * n->rate / 1000;
}

bool is_up(const struct world *w, struct dft_name name)
{
	return w->node[name.node].up && w->node[name.node].boot == name.boot;
}

uint32_t slot_of(const struct chain *c, uint32_t node)
{
	uint32_t i;

	for (i = 0; i + 1 < c->slots; i++)
		if (c->node[i] == node)
			break;
	return i;
}

// The events that wait, as a heap by time, then by order of sending.
static bool sooner(const struct message *a, const struct message *b)
{
	return a->when < b->when || (a->when == b->when && a->order < b->order);
}

static void heap_put(struct world *w, struct message *m)
{
	uint32_t i = w->waiting++;

	if (w->waiting > w->room) {
		w->room = w->room ? 2 * w->room : 1024;
		w->heap = realloc(w->heap, w->room * sizeof(*w->heap));
		if (!w->heap)
			abort();
	}
	while (i && sooner(m, w->heap[(i - 1) / 4])) {
		w->heap[i] = w->heap[(i - 1) / 4];
		i = (i - 1) / 4;
	}
	w->heap[i] = m;
}

static struct message *heap_take(struct world *w)
{
	struct message *first = w->heap[0], *last = w->heap[--w->waiting];
	uint32_t i = 0, child, j, best;

	for (;;) {
		child = 4 * i + 1;
		if (child >= w->waiting)
			break;
		best = child;
		for (j = child + 1; j < child + 4 && j < w->waiting; j++)
			if (sooner(w->heap[j], w->heap[best]))
				best = j;
		if (!sooner(w->heap[best], last))
			break;
		w->heap[i] = w->heap[best];
		i = best;
	}
	w->heap[i] = last;
	return first;
}

// Free ones are a list through where the op was.
static struct message *message_new(struct world *w)
{
	struct message *m = w->free;

	if (m) {
		memcpy(&w->free, &m->op, sizeof(w->free));
		return m;
	}
	m = malloc(sizeof(*m));
	if (!m)
		abort();
	return m;
}

static void message_free(struct world *w, struct message *m)
{
	memcpy(&m->op, &w->free, sizeof(w->free));
	w->free = m;
}

void at(struct world *w, uint64_t when, uint32_t kind, uint32_t to, uint32_t chain)
{
	struct message *m = message_new(w);

	m->when = when;
	m->order = w->order++;
	m->kind = kind;
	m->from = m->to = to;
	m->chain = chain;
	heap_put(w, m);
}

static bool severed(const struct world *w, uint32_t from, uint32_t to)
{
	if (w->deaf && from != CONTROLLER && to != CONTROLLER && (w->mute ? from : to) == w->deaf)
		return true;
	if (w->now < w->broken_link.until) {
		if (from == w->broken_link.from && to == w->broken_link.to)
			return true;
		if (w->broken_link.both && to == w->broken_link.from && from == w->broken_link.to)
			return true;
	}
	if (w->now >= w->heal_at || w->node[from].cut == w->node[to].cut)
		return false;
	return !w->split_one_way || w->node[from].cut;
}

// When a message that leaves now arrives; 0: never.
static uint64_t passage(struct world *w, uint32_t from, uint32_t to)
{
	uint64_t leaves = w->now;

	if (w->node[from].paused_until > leaves)
		leaves = w->node[from].paused_until;
	if (from == to)
		return leaves + 1;
	if (severed(w, from, to))
		return 0;
	if (!w->quiet) {
		if (chance(w, w->plan.lost)) {
			w->counters.lost++;
			return 0;
		}
		if (chance(w, w->plan.late)) {
			w->counters.late++;
			return leaves + 100 +
			       pick(w, chance(w, 100) ? 2 * w->plan.packet_life : 5 * MS);
		}
	}
	return leaves + 15 + pick(w, 45);
}

void send_op(struct world *w, uint32_t from, uint32_t to, const struct op *op)
{
	int copies = from != to && !w->quiet && chance(w, w->plan.doubled) ? 2 : 1;
	struct message *m;
	uint64_t when;

	w->counters.doubled += copies - 1;
	while (copies--) {
		when = passage(w, from, to);
		if (!when)
			continue;
		m = message_new(w);
		m->when = when;
		m->order = w->order++;
		m->kind = TO_TABLE;
		m->from = from;
		m->to = to;
		m->chain = op->chain;
		m->op = *op;
		heap_put(w, m);
	}
}

// A request that may take its time: nothing bounds a stranger's delay but what the rules say of it.
void send_sluggish(struct world *w, uint32_t from, uint32_t to, const struct op *op)
{
	uint64_t was = w->node[from].paused_until;

	// Updates more than others: they are many, and few of a life's come after its end.
	if (!w->quiet && chance(w, op->kind == OP_UPDATE ? 5 * w->plan.sluggish : w->plan.sluggish))
		w->node[from].paused_until = w->now + pick(w, 3 * w->plan.timeout);
	send_op(w, from, to, op);
	w->node[from].paused_until = was;
}

void send_term(struct world *w, uint32_t chain, const struct dft_out *out)
{
	struct message *m;
	uint64_t when;
	uint32_t i;

	for (i = 0; i < out->count; i++) {
		const struct dft_term_message *t = &out->message[i];
		int copies = !w->quiet && chance(w, w->plan.doubled) ? 2 : 1;

		while (copies--) {
			when = passage(w, t->from.node, t->to.node);
			if (!when)
				continue;
			m = message_new(w);
			m->when = when;
			m->order = w->order++;
			m->kind = TO_TERM;
			m->from = t->from.node;
			m->to = t->to.node;
			m->chain = chain;
			m->term = *t;
			heap_put(w, m);
		}
	}
}

// Forwarders and their clients.

static struct cached *cached_of(struct world *w, uint32_t node, uint32_t chain, uint32_t key)
{
	uint32_t f = node - (w->plan.nodes - w->plan.forwarders);

	return &w->cache[((size_t)f * w->plan.chains + chain) * KEYS_MOST + key];
}

static void ask(struct world *w, uint32_t node, uint32_t chain, uint32_t key, struct op *op)
{
	const struct chain *c = &w->chain[chain];
	uint32_t f = node - (w->plan.nodes - w->plan.forwarders);
	struct outlook *o = &w->outlook[(size_t)f * w->plan.chains + chain];
	uint32_t to;

	// A forwarder's view is renewed now and then, unless it is cut off.
	if (!o->head || (chance(w, 50) && !severed(w, CONTROLLER, node))) {
		o->head = c->latest.path[0].node;
		o->tail = c->latest.path[c->latest.live - 1].node;
	}
	to = op->kind == OP_UPDATE ? o->head : o->tail;
	op->hops = 8;
	op->packet = 1;
	op->chain = chain;
	op->key = key;
	if (!op->translated)
		op->alias.chain = NOWHERE;
	op->forwarder = node;
	op->boot = w->node[node].boot;
	op->asked = clock_of(w, node);
	op->born = w->now;
	op->pulled = 0;
	// Being wrong about whom to ask costs a redirect.
	if (chance(w, 50))
		to = c->node[pick(w, c->slots)];
	send_sluggish(w, node, to, op);
}

static void apply(struct world *w, uint32_t chain, uint32_t key, const struct dft_record *r)
{
	uint32_t alias_chain, alias_key;

	alias_of(r, &alias_chain, &alias_key);
	check_applied(w, chain, key, r->incarnation, decision_of(r), alias_chain, alias_key);
}

// Remembers a reply under a key, the session's or its alias. Stamps are compared within one
// session.
static void remember(struct world *w, uint32_t node, uint32_t chain, uint32_t key,
		     const struct op *op)
{
	struct cached *c = cached_of(w, node, chain, key);
	bool known = c->valid && c->chain == op->chain && c->key == op->key;
	uint16_t state = op->record.state;

	if (known && dft_stamp_compare(op->record.stamp, c->record.stamp) < 0)
		return;
	// O7: what is still to be told is not forgotten.
	if (known && !dft_stamp_compare(op->record.incarnation, c->record.incarnation))
		state = dft_state_merge(state, c->record.state);
	c->valid = true;
	c->chain = op->chain;
	c->key = op->key;
	c->record = op->record;
	c->record.state = state;
	c->asked = op->asked;
}

void forwarder_reply(struct world *w, uint32_t node, const struct op *in)
{
	struct op at_home = *in;
	const struct op *op = &at_home;
	const struct cached *c;
	struct op again = {.kind = OP_LOOKUP, .translated = in->translated, .alias = in->alias};
	uint64_t since = clock_of(w, node) - op->asked;
	uint32_t alias_chain, alias_key;

	home(w, &at_home.chain, &at_home.key);
	c = cached_of(w, node, op->chain, op->key);
	w->counters.ops++;
	if (op->boot != w->node[node].boot)
		return;
	if (!dft_reply_applies(since, w->plan.packet_life)) {
		w->counters.old_reply++;
		ask(w, node, op->chain, op->key, &again);
		return;
	}
	if (c->valid && c->chain == op->chain && c->key == op->key &&
	    dft_stamp_compare(op->record.incarnation, c->record.incarnation) < 0) {
		ask(w, node, op->chain, op->key, &again);
		return;
	}
	remember(w, node, op->chain, op->key, op);
	if (alias_of(&op->record, &alias_chain, &alias_key))
		remember(w, node, alias_chain, alias_key, op);
	note(w, node, op->chain, op->key, "applies a reply: life (%u,%u) decision %u",
	     op->record.incarnation.floor, op->record.incarnation.counter,
	     decision_of(&op->record));
	check_came_by(w, op);
	apply(w, op->chain, op->key, &op->record);
}

// A session is talked on for a while, then left alone until it ages.
static bool talks(const struct world *w, uint32_t node, uint32_t chain, uint32_t key)
{
	uint64_t phase = w->now * 2 / (3 * w->plan.timeout) * 31 + (uint64_t)chain * 17 + key;

	// On either side of a partition people have their own reasons.
	if (w->now < w->heal_at && w->node[node].cut)
		phase += 1000003;
	phase = (phase ^ w->plan.seed) * 0x9E3779B97F4A7C15ull;
	return phase >> 61 > 2;
}

// What a packet says of its session. Bits that one life has are not another's, nor those of another
// generation; none says that it is an alias.
static uint16_t news(struct world *w, const struct dft_record *r)
{
	static const uint16_t bits[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80};
	uint32_t generation = dft_state_generation(r->state);

	if (dft_state_closed(r->state) && chance(w, 300)) {
		w->counters.reopened++;
		return dft_state_reopened(r->state, chance(w, 500));
	}
	return (r->state & DFT_GENERATION_BITS) |
	       bits[(r->incarnation.floor * 5 + r->incarnation.counter * 3 + generation * 2 +
		     pick(w, 3)) %
		    (sizeof(bits) / sizeof(*bits))];
}

// O7: a packet says something of its session: the head is told, or the cache remembers it, if that
// closes nothing. Of a translated session either side's packets say something.
static void change(struct world *w, uint32_t node, uint32_t chain, uint32_t key, struct cached *c)
{
	struct op op = {.kind = OP_UPDATE, .stamp = c->record.incarnation};
	uint16_t state = news(w, &c->record);
	bool same = dft_state_generation(state) == dft_state_generation(c->record.state),
	     translated = alias_of(&c->record, &op.alias.chain, &op.alias.key);

	op.translated = translated && (c->chain != chain || c->key != key);
	op.alias.session_chain = c->chain;
	op.alias.session_key = c->key;
	op.alias.life = c->record.incarnation;
	check_sent(w, c->chain, c->key, op.stamp, state);
	if (!translated && same && !dft_state_closed(c->record.state | state) && chance(w, 300)) {
		w->counters.held++;
		c->record.state |= state;
		return;
	}
	op.state = same ? c->record.state | state : state;
	ask(w, node, c->chain, c->key, &op);
}

static void client(struct world *w)
{
	uint32_t node = w->plan.nodes - w->plan.forwarders + pick(w, w->plan.forwarders);
	uint32_t chain = pick(w, w->plan.chains), key = pick(w, w->plan.keys + w->plan.aliases);
	struct cached *c = cached_of(w, node, chain, key);
	uint64_t now = clock_of(w, node);
	struct op op = {.kind = OP_LOOKUP};
	uint32_t alias_chain, alias_key;
	bool translated;

	if (!talks(w, node, chain, key))
		return;
	if (c->told && w->now < c->told_until && chance(w, 300)) {
		w->counters.direct++;
		check_applied(w, chain, key, c->told_life, c->told_decision, NOWHERE, 0);
		return;
	}
	if (w->node[node].paused_until > w->now)
		return;
	// What it does not believe any more has a name still, which the head looks at.
	if (c->valid && !dft_cache_lives(now - c->asked, w->plan.refresh) && chance(w, 300)) {
		change(w, node, chain, key, c);
		return;
	}
	if (!c->valid || !dft_cache_lives(now - c->asked, w->plan.refresh) || chance(w, 100)) {
		ask(w, node, chain, key, &op);
		return;
	}
	w->counters.cached++;
	note(w, node, chain, key, "cache: life (%u,%u) decision %u", c->record.incarnation.floor,
	     c->record.incarnation.counter, decision_of(&c->record));
	apply(w, c->chain, c->key, &c->record);
	translated = alias_of(&c->record, &alias_chain, &alias_key);
	// Hosts do not translate.
	if (!translated && chance(w, 100)) {
		c->told = true;
		c->told_life = c->record.incarnation;
		c->told_decision = decision_of(&c->record);
		c->told_until = w->now + 100 + w->plan.refresh;
	}
	if (chance(w, 100))
		change(w, node, chain, key, c);
}

// The controller: says who votes in which epoch. The voters do the rest (M6).

// The newest term that a node reports which the controller reaches.
static const struct dft_member *reported(const struct world *w, const struct chain *c)
{
	const struct dft_member *newest = NULL;
	uint32_t i;

	for (i = 0; i < c->slots; i++) {
		const struct dft_member *m = &c->replica[i].member;

		if (!w->node[c->node[i]].up || !m->active.term.epoch ||
		    severed(w, c->node[i], CONTROLLER))
			continue;
		if (!newest || dft_term_compare(m->active.term, newest->active.term) > 0)
			newest = m;
	}
	return newest;
}

static void vote(struct dft_voters *v, struct dft_name name)
{
	if (v->count < DFT_VOTERS_MOST && dft_voter_place(v, name) < 0)
		v->voter[v->count++] = name;
}

// Who shall vote next: those of the list, then others; none that is drained, if there are enough.
static void publish(struct world *w, struct chain *c, const struct dft_configuration *known)
{
	struct dft_voters v = {
		.epoch = c->voters.epoch + 1, .replicas = REPLICAS, .founded = c->voters.founded};
	uint32_t i, drained;

	// Whoever is new comes first.
	for (i = 0; w->plan.upheavals && i < c->slots; i++)
		if (w->node[c->node[i]].up && chance(w, 500) &&
		    dft_voter_place(&c->voters,
				    (struct dft_name){c->node[i], w->node[c->node[i]].boot}) < 0)
			vote(&v, (struct dft_name){c->node[i], w->node[c->node[i]].boot});

	for (drained = 0; drained < 2; drained++) {
		for (i = 0; i < known->live + known->learner; i++)
			if (is_up(w, known->path[i]) &&
			    w->node[known->path[i].node].drained == drained)
				vote(&v, known->path[i]);
		for (i = 0; i < c->slots; i++)
			if (w->node[c->node[i]].up && w->node[c->node[i]].drained == drained)
				vote(&v, (struct dft_name){c->node[i], w->node[c->node[i]].boot});
	}
	c->voters = v;
	c->given = 0;
	c->forced = false;
	w->counters.views++;
	note(w, CONTROLLER, (uint32_t)(c - w->chain), NOWHERE, "view %u: voters %u %u %u %u %u",
	     v.epoch, v.voter[0].node, v.voter[1].node, v.voter[2].node, v.voter[3].node,
	     v.voter[4].node);
}

static bool survives(const struct world *w, const struct dft_configuration *c, uint32_t victim)
{
	uint32_t i;

	if (!c->term.epoch)
		return true;
	for (i = 0; i < c->live; i++)
		if (c->path[i].node != victim && is_up(w, c->path[i]) &&
		    (!w->deaf || c->path[i].node != w->deaf))
			return true;
	return false;
}

static bool quorate(const struct world *w, const struct dft_voters *v, uint32_t victim)
{
	uint32_t i, alive = 0;

	for (i = 0; i < v->count; i++)
		alive += v->voter[i].node != victim && is_up(w, v->voter[i]) &&
			 (!w->deaf || v->voter[i].node != w->deaf);
	return !v->count || alive * 2 > v->count;
}

static bool ill(const struct world *w, const struct chain *c)
{
	uint32_t i, rested = 0;

	for (i = 0; i < c->slots; i++)
		rested += w->node[c->node[i]].up && !w->node[c->node[i]].drained;
	if (c->voters.replicas < REPLICAS)
		return true;
	for (i = 0; i < c->voters.count; i++)
		if (!is_up(w, c->voters.voter[i]) ||
		    (w->node[c->voters.voter[i].node].drained && rested >= DFT_VOTERS_MOST))
			return true;
	// Too few voters, or too few replicas and nobody among the voters comes back by himself.
	if (c->voters.count < DFT_VOTERS_MOST)
		for (i = 0; i < c->slots; i++)
			if (w->node[c->node[i]].up &&
			    dft_voter_place(
				    &c->voters,
				    (struct dft_name){c->node[i], w->node[c->node[i]].boot}) < 0)
				return true;
	return false;
}

// M7: asks the old head to fence the bucket until the new chain's head has it. When that has all of
// it, it may go back.
static void move(struct world *w)
{
	struct op op = {.kind = OP_FENCE, .hops = 8};
	const struct chain *old, *new = &w->chain[w->move % 2];
	const struct dft_bucket *b = &new->replica[slot_of(new, new->latest.path[0].node)].bucket;
	bool begins = !w->move || (!w->quiet && w->move < w->plan.moves && b->move == w->move &&
				   b->complete && chance(w, 500));

	w->move += begins;
	new = &w->chain[w->move % 2];
	old = &w->chain[!(w->move % 2)];
	b = &new->replica[slot_of(new, new->latest.path[0].node)].bucket;
	// The worst moment: the head that is fenced first loses its chain, and does not hear of it.
	if (begins && chance(w, 700)) {
		w->broken_link.from = old->latest.path[0].node;
		w->broken_link.to = old->latest.path[1].node;
		w->broken_link.both = true;
		w->broken_link.until = w->now + 120 * MS + pick(w, 4 * w->plan.timeout);
		w->node[w->broken_link.from].daemon_until = w->broken_link.until;
		note(w, w->broken_link.from, NOWHERE, NOWHERE, "has no link to %u, nor back",
		     w->broken_link.to);
	}
	at(w, w->now + 5 * MS + pick(w, w->quiet ? 1 : 120 * MS), MOVE, CONTROLLER, 0);
	if (b->move == w->move && b->owned.epoch)
		return;
	op.chain = (uint32_t)(old - w->chain);
	op.key = guest_key(op.chain, 0);
	op.bucket.move = w->move;
	op.alias.chain = NOWHERE;
	send_op(w, CONTROLLER, old->latest.path[0].node, &op);
}

// Whether everybody who could tell is reached, and nobody has the records.
static bool lost(const struct world *w, const struct chain *c, const struct dft_configuration *list)
{
	uint32_t i;

	for (i = 0; i < c->slots; i++)
		if (w->node[c->node[i]].up && severed(w, c->node[i], CONTROLLER))
			return false;
	return !survives(w, list, CONTROLLER);
}

// Whether a view can still become true by the voters in force: not by who has accepted one that was
// passed over (M6). (Of who is not reached nobody knows.)
static bool may_change(const struct world *w, const struct chain *c, const struct dft_voters *v)
{
	uint32_t i, bits = 0;

	for (i = 0; i < v->count; i++) {
		uint32_t epoch =
			c->replica[slot_of(c, v->voter[i].node)].member.accepted.term.epoch;

		if (epoch > v->epoch && epoch < c->voters.epoch &&
		    !severed(w, v->voter[i].node, CONTROLLER))
			continue;
		if (is_up(w, v->voter[i]) && v->voter[i].node != w->deaf)
			bits |= 1u << i;
	}
	return dft_majority(v, bits);
}

// Whether so many voters were told of the founding that it does not end with one of them.
static bool founded(const struct world *w, const struct chain *c)
{
	uint32_t i, bits = 0;

	for (i = 0; i < c->voters.count; i++)
		if (is_up(w, c->voters.voter[i]) &&
		    c->replica[slot_of(c, c->voters.voter[i].node)].member.voters.epoch ==
			    c->voters.epoch)
			bits |= 1u << i;
	return dft_majority(&c->voters, bits);
}

// A majority of the voters is gone for good, or all of the list: what is left of the list that is
// known begins alone, and becomes whole by the next view. Nothing is lost, unless nobody is left,
// or who knew of a later list is gone too.
static void force(struct world *w, struct chain *c, const struct dft_configuration *known)
{
	struct dft_voters v = {.epoch = c->voters.epoch + 1};
	uint32_t i;

	for (i = 0; i < known->live; i++)
		if (is_up(w, known->path[i]))
			vote(&v, known->path[i]);
	if (BUGGY(FORCE_KEEPS) && known->learner && is_up(w, known->path[known->live]))
		vote(&v, known->path[known->live]);
	v.founded = v.count ? c->voters.founded : v.epoch;
	v.replicas = v.count ? v.count : REPLICAS;
	for (i = 0; i < c->slots; i++)
		if (w->node[c->node[i]].up)
			vote(&v, (struct dft_name){c->node[i], w->node[c->node[i]].boot});
	if (v.count < 3)
		return;
	c->voters = v;
	c->given = 0;
	c->forced = true;
	w->counters.forced++;
	note(w, CONTROLLER, (uint32_t)(c - w->chain), NOWHERE,
	     "view %u, forced: %u replicas: %u %u %u", v.epoch, v.replicas, v.voter[0].node,
	     v.voter[1].node, v.voter[2].node);
}

// Whoever is reached and does not know the view yet is told.
static void give(struct world *w, uint32_t chain)
{
	struct chain *c = &w->chain[chain];
	uint32_t i;

	for (i = 0; i < c->slots; i++) {
		struct node *n = &w->node[c->node[i]];

		if ((c->given >> i & 1) || !n->up || n->paused_until > w->now ||
		    n->daemon_until > w->now || severed(w, CONTROLLER, c->node[i]) ||
		    (!w->quiet && chance(w, 300)))
			continue;
		c->given |= 1u << i;
		if (!c->forced) {
			dft_view_given(&c->replica[i].member, &c->voters);
			continue;
		}
		if (dft_found(&c->replica[i].member, &c->voters, clock_of(w, c->node[i])))
			table_founded(w, chain, i);
	}
}

static void repair(struct world *w, uint32_t chain)
{
	struct chain *c = &w->chain[chain];
	const struct dft_member *known;
	const struct dft_configuration *list;
	const struct dft_voters *in_force;
	bool stuck;

	at(w, w->now + 10 * MS + pick(w, 5 * MS), REPAIR, CONTROLLER, chain);
	if (w->plan.controller_rests && !w->quiet && w->now / (300 * MS) % 2)
		return;
	give(w, chain);
	known = reported(w, c);
	list = known ? &known->active : &c->latest;
	in_force = known ? &known->voters : &c->latest_voters;
	stuck = !may_change(w, c, in_force) || lost(w, c, list);
	if (!stuck)
		c->stuck_since = 0;
	else if (!c->stuck_since)
		c->stuck_since = w->now;
	if (!ill(w, c) && !stuck) {
		c->ill_since = 0;
		return;
	}
	if (!c->ill_since)
		c->ill_since = w->now;
	// By then their leases have ended, and ballots that they began.
	if (stuck) {
		if (w->now - c->stuck_since < 2 * w->plan.times.guard + w->plan.times.give_up)
			return;
		// Who knew better is gone as well: what was written since is lost, and no test.
		if (dft_term_compare(list->term, c->latest.term) < 0)
			w->abandoned = true;
		force(w, c, list);
		c->ill_since = c->stuck_since = 0;
		return;
	}
	if (c->forced && quorate(w, &c->voters, CONTROLLER) && !founded(w, c))
		return;
	// One view after the other, unless the last one cannot come true any more.
	if (in_force->epoch < c->voters.epoch && quorate(w, &c->voters, CONTROLLER))
		return;
	// A chain may heal itself; a node may be about to come back.
	if (!known || w->now - c->ill_since < 30 * MS + pick(w, 100 * MS))
		return;
	publish(w, c, &known->active);
	c->ill_since = 0;
}

// Faults.

// A crash that nobody could survive is no test: the last of a live list, or of a majority of
// voters, in any term that may be chosen.
static bool may_crash(const struct world *w, uint32_t victim)
{
	uint32_t i, s;

	// Also what a proposer asked for before it died, and may still be accepted.
	for (i = 0; i < w->waiting; i++) {
		const struct message *m = w->heap[i];

		if (w->ruthless < 2 && m->kind == TO_TERM && m->term.kind == DFT_ACCEPT &&
		    dft_term_compare(m->term.term, w->chain[m->chain].latest.term) > 0 &&
		    !survives(w, &m->term.configuration, victim))
			return false;
	}
	for (i = 0; i < w->plan.chains; i++) {
		const struct chain *c = &w->chain[i];

		if (c->node[slot_of(c, victim)] != victim)
			continue;
		if (!w->ruthless &&
		    (!quorate(w, &c->voters, victim) || !quorate(w, &c->latest_voters, victim)))
			return false;
		if (w->ruthless < 2 && !survives(w, &c->latest, victim))
			return false;
		for (s = 0; s < c->slots; s++) {
			const struct dft_member *m = &c->replica[s].member;

			if (!w->ruthless && (!quorate(w, &m->voters, victim) ||
					     (m->next.epoch && !quorate(w, &m->next, victim))))
				return false;
			if (w->ruthless == 2)
				continue;
			if (!survives(w, &m->accepted, victim))
				return false;
			// It promised, and may be the only one to be named for it.
			if (m->ballot.phase == DFT_PREPARING && m->ballot.promised &&
			    !BUGGY(NAMES_THE_DEAD))
				return false;
			if (m->ballot.phase == DFT_ACCEPTING &&
			    !survives(w, &m->ballot.proposal, victim))
				return false;
		}
	}
	return true;
}

static void forget(struct world *w, uint32_t node)
{
	uint32_t i, slot;

	for (i = 0; i < w->plan.chains; i++) {
		struct chain *c = &w->chain[i];

		slot = slot_of(c, node);
		if (c->node[slot] != node)
			continue;
		memset(&c->replica[slot], 0, sizeof(c->replica[slot]));
		c->replica[slot].member.self = (struct dft_name){node, w->node[node].boot};
		c->replica[slot].member.founded = 1;
		c->replica[slot].bucket = bucket_begun(w, i);
	}
}

static void crash(struct world *w, uint32_t victim)
{
	struct node *n = &w->node[victim];

	if (!n->up || !may_crash(w, victim))
		return;
	w->counters.crashes++;
	note(w, victim, NOWHERE, NOWHERE, "crashes");
	n->up = false;
	if (!BUGGY(AMNESIA))
		n->boot++;
	forget(w, victim);
	at(w, w->now + 2 * MS + pick(w, 150 * MS), WAKE, victim, 0);
}

// A majority of a chain's voters dies at once; now and then all of its list, in a world where
// nothing else depends on that.
static void massacre(struct world *w)
{
	uint32_t chain = pick(w, w->plan.chains), i, victim;
	struct chain *c = &w->chain[chain];
	bool all = !w->plan.aliases && !w->plan.move_at && chance(w, 300);

	if (c->forced || c->latest_voters.epoch != c->voters.epoch)
		return;
	w->ruthless = all ? 2 : 1;
	for (i = 0; i < c->slots; i++) {
		victim = c->node[(i + chain) % c->slots];
		if (all || quorate(w, &c->latest_voters, CONTROLLER))
			crash(w, victim);
	}
	w->ruthless = 0;
}

static void forwarder_crash(struct world *w)
{
	uint32_t f = pick(w, w->plan.forwarders);
	size_t each = (size_t)w->plan.chains * KEYS_MOST, i;

	w->counters.crashes++;
	w->node[w->plan.nodes - w->plan.forwarders + f].boot++;
	// The hosts keep the direct paths that they were told.
	for (i = 0; i < each; i++)
		w->cache[f * each + i].valid = false;
}

// A node shall leave its chains, or may come again.
static void drain(struct world *w)
{
	const struct chain *c = &w->chain[pick(w, w->plan.chains)];
	uint32_t i = c->latest.path[pick(w, c->latest.live)].node;

	if (w->deaf)
		return;
	if (chance(w, 300))
		i = c->node[pick(w, c->slots)];
	w->node[i].drained = !w->node[i].drained;
	w->counters.drains++;
	note(w, i, NOWHERE, NOWHERE, w->node[i].drained ? "is drained" : "is used again");
}

// From now on to the end a node's links work one way only.
static void deafen(struct world *w)
{
	const struct chain *c = &w->chain[0];
	uint32_t i;

	// Who has everything alone cannot be done without, nor whose vote decides.
	w->deaf = c->latest.path[pick(w, c->latest.live)].node;
	if (!may_crash(w, w->deaf)) {
		w->deaf = 0;
		return;
	}
	// There are enough without it.
	for (i = 0; i < w->plan.nodes; i++)
		w->node[i].drained = false;
	w->mute = chance(w, 300);
	w->node[w->deaf].drained = true; // the controller sees that it does not come along
	note(w, w->deaf, NOWHERE, NOWHERE, w->mute ? "is mute" : "is deaf");
}

static void fault(struct world *w)
{
	bool long_ones = w->plan.favourite == FAULT_PARTITION;
	const struct chain *c;
	uint32_t i, one, kind;

	if (w->quiet)
		return;
	at(w, w->now + w->plan.fault_every / 2 + pick(w, w->plan.fault_every), FAULT, 0, 0);
	kind = pick(w, w->plan.links ? FAULT_LINK + 3 : FAULT_LINK);
	if (w->plan.favourite >= 0 && chance(w, 700))
		kind = (unsigned)w->plan.favourite;
	switch (kind) {
	case FAULT_CRASH:
	case FAULT_CRASH + 1:
		if (w->plan.crashes)
			crash(w, 1 + pick(w, w->plan.nodes - w->plan.forwarders - 1));
		return;
	case FAULT_PAUSE:
		if (!w->plan.pauses)
			return;
		i = 1 + pick(w, w->plan.nodes - 1);
		w->counters.pauses++;
		w->node[i].paused_until = w->now + 5 * MS + pick(w, 120 * MS);
		note(w, i, NOWHERE, NOWHERE, "is paused");
		return;
	case FAULT_PARTITION:
	case FAULT_PARTITION + 1:
		if (!w->plan.partitions || w->now < w->heal_at)
			return;
		w->counters.partitions++;
		one = long_ones || chance(w, 600)
			      ? 1 + pick(w, w->plan.nodes - w->plan.forwarders - 1)
			      : 0;
		c = &w->chain[pick(w, w->plan.chains)];
		if (one && chance(w, long_ones ? 900 : 600))
			one = c->latest.path[c->latest.live - 1].node;
		for (i = 0; i < w->plan.nodes; i++)
			w->node[i].cut =
				one ? i == one || (i >= w->plan.nodes - w->plan.forwarders &&
						   chance(w, 500))
				    : chance(w, 350);
		w->split_one_way = w->plan.one_way && !long_ones && chance(w, 400);
		w->heal_at =
			w->now + 15 * MS +
			pick(w, chance(w, long_ones ? 900 : 300) ? 8 * w->plan.timeout : 80 * MS);
		// A daemon that stands still does not begin ballots, which would fence its node.
		if (one && chance(w, 500))
			w->node[one].daemon_until = w->heal_at;
		note(w, one, NOWHERE, NOWHERE, "partition%s", w->split_one_way ? ", one way" : "");
		return;
	case FAULT_FORWARDER:
		if (w->plan.forwarders_crash)
			forwarder_crash(w);
		return;
	case FAULT_MASSACRE:
		if (w->plan.massacres)
			massacre(w);
		return;
	case FAULT_DRAIN:
		if (w->plan.drains)
			drain(w);
		return;
	default:
		c = &w->chain[pick(w, w->plan.chains)];
		w->broken_link.from = chance(w, 600) ? c->latest.path[c->latest.live - 1].node
						     : c->node[pick(w, DFT_VOTERS_MOST)];
		w->broken_link.to = c->voters.voter[pick(w, c->voters.count)].node;
		w->broken_link.both = chance(w, 700);
		w->broken_link.until = w->now + 30 * MS + pick(w, 100 * MS);
		w->counters.links++;
		if (chance(w, 800))
			w->node[w->broken_link.from].daemon_until = w->broken_link.until;
		note(w, w->broken_link.from, NOWHERE, NOWHERE, "has no link to %u%s",
		     w->broken_link.to, w->broken_link.both ? ", nor back" : "");
		return;
	}
}

static void dispatch(struct world *w, struct message *m)
{
	struct node *n = &w->node[m->to];

	switch (m->kind) {
	case CLIENT:
		if (w->quiet)
			break;
		client(w);
		at(w, w->now + 1 + pick(w, 2 * w->plan.op_every), CLIENT, 0, 0);
		break;
	case FAULT:
		fault(w);
		break;
	case CRASH:
		if (!w->quiet)
			crash(w, m->to);
		break;
	case WAKE:
		n->up = true;
		note(w, m->to, NOWHERE, NOWHERE, "is back, empty, boot %u", n->boot);
		break;
	case MOVE:
		move(w);
		break;
	case DEAFEN:
		deafen(w);
		break;
	case REPAIR:
		repair(w, m->chain);
		break;
	case TICK:
		at(w, w->now + w->plan.times.beat / 2 - 500 + pick(w, 1000), TICK, m->to, m->chain);
		if (n->up && n->paused_until <= w->now)
			table_tick(w, m->chain, slot_of(&w->chain[m->chain], m->to));
		break;
	case TO_TERM:
		if (n->up)
			table_term(w, m->chain, slot_of(&w->chain[m->chain], m->to), &m->term);
		break;
	case TO_TABLE:
		if (!n->up)
			break;
		if (m->op.kind == OP_REPLY)
			forwarder_reply(w, m->to, &m->op);
		else
			table_op(w, m->to, &m->op);
		break;
	}
}

static void step(struct world *w)
{
	struct message *m = heap_take(w);

	w->now = m->when;
	w->counters.events++;
	// What arrives at a node that stands still waits for it.
	if ((m->kind == TO_TABLE || m->kind == TO_TERM) && w->node[m->to].paused_until > w->now) {
		m->when = w->node[m->to].paused_until + pick(w, 10);
		heap_put(w, m);
		return;
	}
	if (m->kind == TO_TERM && w->node[m->to].daemon_until > w->now &&
	    (m->term.kind == DFT_CHOSEN || m->term.kind == DFT_PROMISE ||
	     m->term.kind == DFT_ACCEPTED)) {
		m->when = w->node[m->to].daemon_until + pick(w, 10);
		heap_put(w, m);
		return;
	}
	dispatch(w, m);
	message_free(w, m);
}

void world_run(struct world *w)
{
	uint64_t until;
	uint32_t i;
	char why[128] = "";

	while (!w->broken && !w->abandoned && w->now < w->plan.length)
		step(w);
	if (w->broken || w->abandoned)
		return;
	// I9: faults are over.
	w->quiet = true;
	w->heal_at = 0;
	w->broken_link.until = 0;
	note(w, 0, NOWHERE, NOWHERE, "faults are over");
	for (i = 0; i < w->plan.nodes; i++) {
		if (w->node[i].paused_until > w->now)
			w->node[i].paused_until = w->now;
		w->node[i].daemon_until = 0;
	}
	for (until = w->now + 3000 * MS; !w->broken && w->now < until;) {
		uint64_t next = w->now + 20 * MS;

		while (!w->broken && w->now < next)
			step(w);
		if (w->abandoned)
			return;
		if (settled(w, why, sizeof(why)))
			return;
	}
	if (!w->broken)
		broken(w, "I9 rest", w->unsettled, w->unsettled_key, "3 s after the last fault: %s",
		       why);
}

static int chains_new(struct world *w)
{
	uint32_t tables = w->plan.nodes - w->plan.forwarders - 1, i, s, t;

	for (i = 0; i < w->plan.chains; i++) {
		struct chain *c = &w->chain[i];
		c->slots = DFT_VOTERS_MOST + w->plan.spares;
		for (s = 0; s < c->slots; s++) {
			do {
				c->node[s] = 1 + pick(w, tables);
				for (t = 0; t < s && c->node[t] != c->node[s]; t++)
					;
			} while (t < s);
		}
		c->voters.epoch = 1;
		c->voters.count = DFT_VOTERS_MOST;
		c->voters.replicas = REPLICAS;
		c->voters.founded = 1;
		for (s = 0; s < DFT_VOTERS_MOST; s++)
			c->voters.voter[s] = (struct dft_name){c->node[s], 1};
		for (s = 0; s < c->slots; s++) {
			struct dft_member *m = &c->replica[s].member;

			m->self = (struct dft_name){c->node[s], 1};
			dft_found(m, &c->voters, clock_of(w, c->node[s]));
			c->replica[s].timers = m->since;
			m->founded = 1;
			at(w, 1 + pick(w, w->plan.times.beat / 2), TICK, c->node[s], i);
		}
		c->latest = c->replica[0].member.active;
		c->latest_voters = c->voters;
		if (w->plan.repair)
			at(w, 1 + pick(w, 10 * MS), REPAIR, CONTROLLER, i);
	}
	return 0;
}

int world_new(struct world *w, const struct plan *plan)
{
	uint32_t i, key;

	memset(w, 0, sizeof(*w));
	w->plan = *plan;
	w->random = plan->seed * 0x9E3779B97F4A7C15ull + 0x1234567;
	if (!w->random)
		w->random = 1;
	for (i = 0; i < 8; i++)
		draw(w);
	w->node = calloc(plan->nodes, sizeof(*w->node));
	w->chain = calloc(plan->chains, sizeof(*w->chain));
	w->cache = calloc((size_t)plan->forwarders * plan->chains * KEYS_MOST, sizeof(*w->cache));
	w->outlook = calloc((size_t)plan->forwarders * plan->chains, sizeof(*w->outlook));
	if (!w->node || !w->chain || !w->cache || !w->outlook) {
		world_free(w);
		return -ENOMEM;
	}
	for (i = 0; i < plan->nodes; i++) {
		w->node[i].boot = 1;
		w->node[i].up = true;
		w->node[i].offset = 1000 * MS + pick(w, 1000 * MS);
		w->node[i].rate = (int)pick(w, 2 * plan->drift + 1) - (int)plan->drift;
	}
	chains_new(w);
	at(w, 1, CLIENT, 0, 0);
	at(w, plan->fault_every, FAULT, 0, 0);
	if (plan->deaf)
		at(w, plan->length - 1 - pick(w, plan->repair ? 200 * MS : 2), DEAFEN, 0, 0);
	for (i = 0; i < plan->chains; i++)
		for (key = 0; key < KEYS_MOST; key++)
			w->chain[i].facts[key].at = i;
	for (i = 0; plan->move_at && i < w->chain[1].slots; i++)
		w->chain[1].replica[i].bucket = bucket_begun(w, 1);
	if (plan->move_at)
		at(w, plan->move_at, MOVE, CONTROLLER, 0);
	return 0;
}

void world_free(struct world *w)
{
	struct message *m;

	while (w->waiting)
		free(w->heap[--w->waiting]);
	while ((m = w->free)) {
		memcpy(&w->free, &m->op, sizeof(w->free));
		free(m);
	}
	free(w->heap);
	free(w->cache);
	free(w->outlook);
	free(w->chain);
	free(w->node);
	w->heap = NULL;
	w->cache = NULL;
	w->outlook = NULL;
	w->chain = NULL;
	w->node = NULL;
}
