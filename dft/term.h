/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Membership of one chain: terms by vote of its voters, leases by heartbeats, fences, view changes.
// Rules M1 to M6 of docs/dft.md. Pure: a node's state, a message and the node's monotonic clock go
// in, messages come out. Bounded loops, fixed sizes: fit for XDP and for the daemons.
#pragma once

#include "dft/bugs.h"
#include "shared/inlined.h"

#include <linux/types.h>

#define DFT_PATH_MOST 5	  // replicas and a learner; the data path carries up to MAX_CHAIN_LENGTH
#define DFT_VOTERS_MOST 5 // so that two may die
#define DFT_PEERS_MOST 16 // voters, path, and those of a view that is going
#define DFT_OUT_MOST 16	  // messages that one event may cause

// A round of ballots and who holds it, so that two proposers never share a term. Round 0 of an
// epoch is the controller's.
struct dft_term {
	__u32 epoch;  // of the view
	__u32 number; // round * 8 + the proposer's place among the voters
};

// A node in one of its lives (M4): who lost his memory is somebody else.
struct dft_name {
	__u32 node;
	__u32 boot; // 0: nobody
};

// What a term means: the live list in chain order, head first, then perhaps a learner.
struct dft_configuration {
	struct dft_term term; // epoch 0: none
	__u32 live;
	__u32 learner; // 0, 1
	struct dft_name path[DFT_PATH_MOST];
};

struct dft_voters {
	__u32 epoch;
	__u32 count;
	struct dft_name voter[DFT_VOTERS_MOST];
};

// Intervals of a node's monotonic clock, in one unit of the caller's choice.
struct dft_times {
	__u64 beat;    // between heartbeats
	__u64 lease;   // of a node, from the sending of a heartbeat that was answered
	__u64 guard;   // of a voter, from an answer; above lease by more than clocks' rates differ
	__u64 suspect; // silence after which a ballot begins
	__u64 turn;    // by which each voter is more patient than the one before
	__u64 retry;   // of a ballot's messages
	__u64 give_up; // of a ballot
};

enum dft_term_kind {
	DFT_BEAT = 1,
	DFT_BEAT_ANSWER, // I hear you, and have promised nothing above your term
	DFT_PREPARE,
	DFT_PROMISE,
	DFT_ACCEPT,
	DFT_ACCEPTED,
	DFT_CHOSEN,
};

// Flags of a beat.
#define DFT_WANTS_LEASE 1 // I am in the path of this term
#define DFT_WANTS_IN 2	  // I could be a replica, and am not

struct dft_term_message {
	__u32 kind;
	__u32 flags;
	struct dft_name from, to;
	struct dft_term term;
	__u64 clock; // of a beat's sender; its answer brings it back
	struct dft_configuration
		configuration;	  // promise: accepted last; accept, chosen: the term's
	struct dft_voters voters; // accept, chosen: of the term's epoch
};

// What a node knows of another that it shares the chain with.
struct dft_peer {
	struct dft_name name;
	__u32 flags;	// of its last beat
	__u64 heard;	// when its last beat came
	__u64 answered; // when a beat that wanted a lease was last answered; 0: never
};

enum dft_phase { DFT_NO_BALLOT = 0, DFT_PREPARING, DFT_ACCEPTING };

struct dft_ballot {
	enum dft_phase phase;
	struct dft_term term;
	__u32 promised, accepted; // bits of old voters
	__u32 accepted_new;	  // bits of new voters
	__u64 begun, sent;
	struct dft_configuration best; // of those reported: accepted in the highest term
	struct dft_configuration proposal;
	struct dft_voters old, new; // the same but when a view changes
};

// A node's membership in one chain.
struct dft_member {
	struct dft_name self;
	struct dft_voters voters;
	struct dft_term promised;	   // register: handles and accepts nothing below
	struct dft_configuration accepted; // register
	struct dft_configuration active;   // the newest chosen term that it knows, member or not
	__u64 granted[DFT_VOTERS_MOST];	   // sending of the beat that each voter answered last
	struct dft_peer peer[DFT_PEERS_MOST];
	struct dft_ballot ballot;
	__u64 beaten; // when it last sent beats
	__u64 since;  // when the active term became active here
	__u32 filled; // the learner of the active term has all: it may be promoted
	__u32 failed; // ballots in a row that came to nothing
};

// Messages that an event causes; addressed, to be sent over a network that may lose them.
struct dft_out {
	__u32 count;
	struct dft_term_message message[DFT_OUT_MOST];
};

inlined int dft_term_compare(struct dft_term a, struct dft_term b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return a.number == b.number ? 0 : a.number < b.number ? -1 : 1;
}

inlined int dft_name_equal(struct dft_name a, struct dft_name b)
{
	return a.node == b.node && a.boot == b.boot;
}

// Where a name stands in the path, or -1.
inlined int dft_configuration_place(const struct dft_configuration *c, struct dft_name name)
{
	int place = -1;
	__u32 i;

	for (i = 0; i < DFT_PATH_MOST; i++)
		if (i < c->live + c->learner && dft_name_equal(c->path[i], name))
			place = i;
	return place;
}

inlined int dft_voter_place(const struct dft_voters *v, struct dft_name name)
{
	int place = -1;
	__u32 i;

	for (i = 0; i < DFT_VOTERS_MOST; i++)
		if (i < v->count && dft_name_equal(v->voter[i], name))
			place = i;
	return place;
}

inlined int dft_majority(const struct dft_voters *v, __u32 bits)
{
	return (__u32)__builtin_popcount(bits) * 2 > v->count;
}

// M2. Whether the node acts in its active term: it has promised no higher.
inlined int dft_active(const struct dft_member *m)
{
	return m->active.term.epoch &&
	       (dft_term_compare(m->promised, m->active.term) <= 0 || BUGGY(NO_PROMISE_FENCE));
}

// Its place in the path of the term it acts in, or -1.
inlined int dft_member_place(const struct dft_member *m)
{
	return dft_active(m) ? dft_configuration_place(&m->active, m->self) : -1;
}

inlined int dft_is_head(const struct dft_member *m)
{
	return dft_member_place(m) == 0;
}

inlined int dft_is_tail(const struct dft_member *m)
{
	return m->active.live && dft_member_place(m) == (int)m->active.live - 1;
}

inlined int dft_is_end(const struct dft_member *m)
{
	return dft_member_place(m) == (int)(m->active.live + m->active.learner) - 1;
}

// O2. Whether a replication of this term is handled.
inlined int dft_admits(const struct dft_member *m, struct dft_term term)
{
	if (BUGGY(NO_TERM_FENCE))
		return m->active.term.epoch && dft_configuration_place(&m->active, m->self) >= 0;
	return dft_member_place(m) >= 0 && !dft_term_compare(m->active.term, term);
}

// M3. Whether a majority of voters answered a beat that was sent less than a lease ago.
inlined int dft_leased(const struct dft_member *m, const struct dft_times *times, __u64 now)
{
	__u32 i, bits = 0;

	if (BUGGY(NO_LEASE) || BUGGY(NO_PROMISE_FENCE))
		return 1;
	for (i = 0; i < DFT_VOTERS_MOST; i++) {
		if (i >= m->voters.count)
			break;
		if (dft_name_equal(m->voters.voter[i], m->self) ||
		    (m->granted[i] && now - m->granted[i] < times->lease))
			bits |= 1u << i;
	}
	return dft_majority(&m->voters, bits);
}

// The entry of a peer; the one heard least recently gives way to a new one, but none to which a
// lease may still be running. NULL: no room, treat it as not heard.
inlined struct dft_peer *dft_peer(struct dft_member *m, struct dft_name name, __u64 guard,
				  __u64 now)
{
	struct dft_peer *oldest = 0;
	__u32 i;

	for (i = 0; i < DFT_PEERS_MOST; i++)
		if (dft_name_equal(m->peer[i].name, name))
			return &m->peer[i];
	for (i = 0; i < DFT_PEERS_MOST; i++) {
		struct dft_peer *p = &m->peer[i];

		if (p->answered && now - p->answered < guard)
			continue;
		if (!oldest || p->heard < oldest->heard)
			oldest = p;
	}
	if (oldest)
		*oldest = (struct dft_peer){.name = name};
	return oldest;
}

inlined const struct dft_peer *dft_peer_find(const struct dft_member *m, struct dft_name name)
{
	const struct dft_peer *found = 0;
	__u32 i;

	for (i = 0; i < DFT_PEERS_MOST; i++)
		if (name.boot && dft_name_equal(m->peer[i].name, name))
			found = &m->peer[i];
	return found;
}

inlined struct dft_term_message *dft_say(struct dft_out *out, enum dft_term_kind kind,
					 struct dft_name from, struct dft_name to,
					 struct dft_term term)
{
	struct dft_term_message *m;

	if (out->count >= DFT_OUT_MOST)
		return 0;
	m = &out->message[out->count++];
	m->kind = kind;
	m->flags = 0;
	m->from = from;
	m->to = to;
	m->term = term;
	m->clock = 0;
	return m;
}

// Tells one node the newest chosen term that this one knows.
inlined void dft_say_chosen(const struct dft_member *m, struct dft_name to, struct dft_out *out)
{
	struct dft_term_message *o;

	if (!m->active.term.epoch)
		return;
	o = dft_say(out, DFT_CHOSEN, m->self, to, m->active.term);
	if (!o)
		return;
	o->configuration = m->active;
	o->voters = m->voters;
}

// All whom a chosen term concerns: voters, path.
static inline void dft_announce(const struct dft_member *m, struct dft_out *out)
{
	__u32 i;

	for (i = 0; i < m->voters.count && i < DFT_VOTERS_MOST; i++)
		if (!dft_name_equal(m->voters.voter[i], m->self))
			dft_say_chosen(m, m->voters.voter[i], out);
	for (i = 0; i < m->active.live + m->active.learner && i < DFT_PATH_MOST; i++)
		if (dft_voter_place(&m->voters, m->active.path[i]) < 0 &&
		    !dft_name_equal(m->active.path[i], m->self))
			dft_say_chosen(m, m->active.path[i], out);
}

// M2 (c). The term was chosen by a majority. Returns 1 where this node did not know it; what
// that asks of the node's records is the caller's (a learner begins empty, a tail restarts timers).
inlined int dft_activate(struct dft_member *m, const struct dft_configuration *c,
			 const struct dft_voters *v, __u64 now)
{
	__u32 i;

	if (dft_term_compare(c->term, m->active.term) <= 0)
		return 0;
	m->active = *c;
	m->voters = *v;
	// Who has promised higher knows the term now, but does not act in it (dft_active).
	if (dft_term_compare(c->term, m->promised) > 0)
		m->promised = c->term;
	m->beaten = 0;
	m->since = now;
	m->filled = 0;
	m->failed = 0;
	for (i = 0; i < DFT_VOTERS_MOST; i++)
		m->granted[i] = 0;
	if (m->ballot.phase && dft_term_compare(m->ballot.term, c->term) <= 0)
		m->ballot.phase = DFT_NO_BALLOT;
	return 1;
}

// Sends a ballot's present question to those voters that have not answered it yet.
static inline void dft_ballot_ask(struct dft_ballot *b, struct dft_name self, __u64 now,
				  struct dft_out *out)
{
	struct dft_term_message *o;
	__u32 i;

	b->sent = now;
	for (i = 0; i < b->old.count && i < DFT_VOTERS_MOST; i++) {
		if (b->phase == DFT_PREPARING) {
			if (!(b->promised >> i & 1))
				dft_say(out, DFT_PREPARE, self, b->old.voter[i], b->term);
			continue;
		}
		if (b->accepted >> i & 1)
			continue;
		o = dft_say(out, DFT_ACCEPT, self, b->old.voter[i], b->term);
		if (o) {
			o->configuration = b->proposal;
			o->voters = b->new;
		}
	}
	if (b->phase != DFT_ACCEPTING)
		return;
	for (i = 0; i < b->new.count &&i < DFT_VOTERS_MOST; i++) {
		if (b->accepted_new >> i & 1 || dft_voter_place(&b->old, b->new.voter[i]) >= 0)
			continue;
		o = dft_say(out, DFT_ACCEPT, self, b->new.voter[i], b->term);
		if (o) {
			o->configuration = b->proposal;
			o->voters = b->new;
		}
	}
}

// Begins a ballot of a node that is a voter, above all that it knows.
static inline int dft_ballot_begin(struct dft_member *m, __u64 now, struct dft_out *out)
{
	int place = dft_voter_place(&m->voters, m->self);
	struct dft_term highest = m->promised;

	if (place < 0 || !m->voters.epoch)
		return 0;
	if (dft_term_compare(m->ballot.term, highest) > 0)
		highest = m->ballot.term;
	if (highest.epoch > m->voters.epoch)
		return 0; // sealed by a view change: its outcome is awaited
	__builtin_memset(&m->ballot, 0, sizeof(m->ballot));
	m->ballot.phase = DFT_PREPARING;
	m->ballot.term.epoch = m->voters.epoch;
	m->ballot.term.number = ((highest.epoch == m->voters.epoch ? highest.number >> 3 : 0) + 1)
					<< 3 |
				(__u32)place;
	m->ballot.begun = now;
	m->ballot.old = m->voters;
	m->ballot.new = m->voters;
	m->promised = m->ballot.term;
	dft_ballot_ask(&m->ballot, m->self, now, out);
	return 1;
}

// Whom a proposer takes for alive: itself, and who was heard.
inlined int dft_trusts(const struct dft_member *m, const struct dft_times *times,
		       struct dft_name name, __u64 now)
{
	const struct dft_peer *p = dft_peer_find(m, name);

	return dft_name_equal(name, m->self) || (p && p->heard && now - p->heard < times->suspect);
}

// M2 (b). Whom a proposer may name in a live list: a voter that has promised in this very ballot,
// so it lived after it began; of others it must have heard. (A list that shrinks to whom one has
// merely heard of lately may be a list of the dead.)
inlined int dft_may_name(const struct dft_member *m, const struct dft_times *times,
			 struct dft_name name, __u64 now)
{
	int place = dft_voter_place(&m->ballot.old, name);

	if (place >= 0 && !BUGGY(NAMES_THE_DEAD))
		return m->ballot.promised >> place & 1;
	return dft_trusts(m, times, name, now);
}

// Whether a proposer has all promises that it may expect: a majority, and a short while for those
// that it has heard lately.
inlined int dft_ballot_ready(const struct dft_member *m, const struct dft_times *times, __u64 now)
{
	const struct dft_configuration *best = &m->ballot.best;
	__u32 i;

	if (m->ballot.phase != DFT_PREPARING || !dft_majority(&m->ballot.old, m->ballot.promised))
		return 0;
	if (now - m->ballot.begun >= times->retry)
		return 1;
	for (i = 0; i < best->live && i < DFT_PATH_MOST; i++)
		if (dft_trusts(m, times, best->path[i], now) &&
		    !dft_may_name(m, times, best->path[i], now))
			return 0;
	return 1;
}

// M2 (b), M5. What a voter proposes when it has a majority of promises: those of the last accepted
// live list who promised; the learner, filled, as the last of it; a returning replica as learner.
// Leaves no live list where none of the last one promised: then there is nothing to propose.
static inline void dft_propose(struct dft_member *m, const struct dft_times *times, __u32 replicas,
			       __u64 now)
{
	const struct dft_configuration *best = &m->ballot.best;
	struct dft_configuration *c = &m->ballot.proposal;
	int promote = m->filled && best->learner && !dft_term_compare(best->term, m->active.term);
	__u32 i;

	__builtin_memset(c, 0, sizeof(*c));
	c->term = m->ballot.term;
	if (BUGGY(LEARNER_UNFILLED) && best->learner)
		promote = 1;
	for (i = 0; i < best->live && i < DFT_PATH_MOST; i++)
		if (dft_may_name(m, times, best->path[i], now))
			c->path[c->live++] = best->path[i];
	if (!c->live)
		return;
	if (best->learner && best->live < DFT_PATH_MOST &&
	    dft_may_name(m, times, best->path[best->live], now)) {
		c->path[c->live] = best->path[best->live];
		if (promote && BUGGY(LEARNER_AT_HEAD)) {
			for (i = c->live; i > 0; i--)
				c->path[i] = c->path[i - 1];
			c->path[0] = best->path[best->live];
		}
		if (promote)
			c->live++;
		else
			c->learner = 1;
	}
	for (i = 0; i < DFT_PEERS_MOST; i++) {
		const struct dft_peer *p = &m->peer[i];

		if (c->learner || c->live >= replicas || c->live + 1 > DFT_PATH_MOST)
			break;
		if (!(p->flags & DFT_WANTS_IN) || !dft_trusts(m, times, p->name, now) ||
		    dft_configuration_place(c, p->name) >= 0 ||
		    dft_voter_place(&m->voters, p->name) < 0)
			continue;
		c->path[c->live] = p->name;
		c->learner = BUGGY(NO_SUBSET) ? 0 : 1;
		c->live += BUGGY(NO_SUBSET) ? 1 : 0;
	}
}

// A voter's answer to prepare (M2 a). From the same proposer the same question may come twice.
inlined void dft_on_prepare(struct dft_member *m, const struct dft_term_message *in,
			    struct dft_out *out)
{
	struct dft_term_message *o;

	if (dft_term_compare(in->term, m->promised) < 0) {
		dft_say_chosen(m, in->from, out);
		// So that a proposer who fell behind knows where to begin again.
		o = dft_say(out, DFT_PROMISE, m->self, in->from, m->promised);
		if (o)
			o->configuration = m->accepted;
		return;
	}
	m->promised = in->term;
	o = dft_say(out, DFT_PROMISE, m->self, in->from, in->term);
	if (o)
		o->configuration = m->accepted;
}

// M3. Whether a node that may hold a lease of this voter's is not in the configuration.
inlined int dft_guarded(const struct dft_member *m, const struct dft_times *times,
			const struct dft_configuration *c, __u64 now)
{
	int guarded = 0;
	__u32 i;

	if (BUGGY(NO_GUARD))
		return 0;
	for (i = 0; i < DFT_PEERS_MOST; i++) {
		const struct dft_peer *p = &m->peer[i];

		if (p->name.boot && p->answered && now - p->answered < times->guard &&
		    dft_configuration_place(c, p->name) < 0)
			guarded = 1;
	}
	return guarded;
}

// M2 (c), M3. A proposer asks again while a voter says nothing because of its guard.
inlined void dft_on_accept(struct dft_member *m, const struct dft_times *times,
			   const struct dft_term_message *in, __u64 now, struct dft_out *out)
{
	if (dft_term_compare(in->term, m->promised) < 0) {
		dft_say_chosen(m, in->from, out);
		return;
	}
	if (dft_guarded(m, times, &in->configuration, now))
		return;
	m->promised = in->term;
	m->accepted = in->configuration;
	dft_say(out, DFT_ACCEPTED, m->self, in->from, in->term);
}

// Counts a voter's answer in a ballot. Returns 1 where that completes a majority of the phase.
inlined int dft_ballot_count(struct dft_ballot *b, const struct dft_term_message *in)
{
	int old = dft_voter_place(&b->old, in->from), new = dft_voter_place(&b->new, in->from);

	if (!b->phase || dft_term_compare(b->term, in->term))
		return 0;
	if (in->kind == DFT_PROMISE) {
		if (b->phase != DFT_PREPARING || old < 0)
			return 0;
		b->promised |= 1u << old;
		if (dft_term_compare(in->configuration.term, b->best.term) > 0)
			b->best = in->configuration;
		return dft_majority(&b->old, b->promised);
	}
	if (b->phase != DFT_ACCEPTING)
		return 0;
	if (old >= 0)
		b->accepted |= 1u << old;
	if (new >= 0)
		b->accepted_new |= 1u << new;
	return dft_majority(&b->old, b->accepted) && dft_majority(&b->new, b->accepted_new);
}

inlined void dft_on_beat(struct dft_member *m, const struct dft_times *times,
			 const struct dft_term_message *in, __u64 now, struct dft_out *out)
{
	struct dft_peer *p = dft_peer(m, in->from, times->guard, now);
	struct dft_term_message *o;

	if (p) {
		p->heard = now;
		p->flags = in->flags;
	}
	if (dft_term_compare(in->term, m->active.term) < 0)
		dft_say_chosen(m, in->from, out);
	// Who hears of a term that it does not know says so, by what it does know.
	if (dft_term_compare(in->term, m->active.term) > 0)
		dft_say(out, DFT_BEAT, m->self, in->from, m->active.term);
	if (!p || !(in->flags & DFT_WANTS_LEASE))
		return;
	if (dft_term_compare(m->promised, in->term) > 0 && !BUGGY(LEASE_BLIND))
		return;
	p->answered = now;
	o = dft_say(out, DFT_BEAT_ANSWER, m->self, in->from, in->term);
	if (o)
		o->clock = in->clock;
}

// Proposes, once there are promises enough.
static inline void dft_ballot_go_on(struct dft_member *m, const struct dft_times *times,
				    __u32 replicas, __u64 now, struct dft_out *out)
{
	if (!dft_ballot_ready(m, times, now))
		return;
	dft_propose(m, times, replicas, now);
	if (!m->ballot.proposal.live) {
		m->ballot.phase = DFT_NO_BALLOT;
		m->failed++;
		return;
	}
	m->ballot.phase = DFT_ACCEPTING;
	dft_ballot_ask(&m->ballot, m->self, now, out);
}

// A message at a node. replicas: how many the chain shall have. Returns 1 where the node's active
// term changed.
static inline int dft_term_handle(struct dft_member *m, const struct dft_times *times,
				  __u32 replicas, const struct dft_term_message *in, __u64 now,
				  struct dft_out *out)
{
	int place;

	// M4: what was meant for another life of this node is not for it.
	if (!dft_name_equal(in->to, m->self))
		return 0;
	switch (in->kind) {
	case DFT_BEAT:
		dft_on_beat(m, times, in, now, out);
		return 0;
	case DFT_BEAT_ANSWER:
		place = dft_voter_place(&m->voters, in->from);
		if (place >= 0 && !dft_term_compare(in->term, m->active.term) &&
		    in->clock > m->granted[place])
			m->granted[place] = in->clock;
		return 0;
	case DFT_PREPARE:
		dft_on_prepare(m, in, out);
		return 0;
	case DFT_ACCEPT:
		dft_on_accept(m, times, in, now, out);
		return 0;
	case DFT_PROMISE:
		if (m->ballot.phase && dft_term_compare(in->term, m->ballot.term) > 0) {
			// Beaten: let the other finish, then try again above it.
			m->ballot.phase = DFT_NO_BALLOT;
			m->ballot.term = in->term;
			m->failed++;
			return 0;
		}
		dft_ballot_count(&m->ballot, in);
		dft_ballot_go_on(m, times, replicas, now, out);
		return 0;
	case DFT_ACCEPTED:
		if (!dft_ballot_count(&m->ballot, in))
			return 0;
		m->ballot.phase = DFT_NO_BALLOT;
		if (!dft_activate(m, &m->ballot.proposal, &m->ballot.new, now))
			return 0;
		dft_announce(m, out);
		return 1;
	case DFT_CHOSEN:
		return dft_activate(m, &in->configuration, &in->voters, now);
	}
	return 0;
}

// Beats to everybody in the chain.
static inline void dft_beat(struct dft_member *m, __u64 now, struct dft_out *out, __u32 flags)
{
	struct dft_term_message *o;
	__u32 i;

	m->beaten = now;
	if (dft_configuration_place(&m->active, m->self) >= 0)
		flags = DFT_WANTS_LEASE;
	for (i = 0; i < m->voters.count && i < DFT_VOTERS_MOST; i++) {
		if (dft_name_equal(m->voters.voter[i], m->self))
			continue;
		o = dft_say(out, DFT_BEAT, m->self, m->voters.voter[i], m->active.term);
		if (o) {
			o->clock = now;
			o->flags = flags;
		}
	}
	for (i = 0; i < m->active.live + m->active.learner && i < DFT_PATH_MOST; i++) {
		if (dft_voter_place(&m->voters, m->active.path[i]) >= 0 ||
		    dft_name_equal(m->active.path[i], m->self))
			continue;
		o = dft_say(out, DFT_BEAT, m->self, m->active.path[i], m->active.term);
		if (o) {
			o->clock = now;
			o->flags = 0;
		}
	}
}

// Whether the chain's membership should change, as this voter sees it.
static inline int dft_discontent(const struct dft_member *m, const struct dft_times *times,
				 __u32 replicas, __u64 now)
{
	__u32 i;

	if (now - m->since < times->suspect)
		return 0;
	// A promise that led to nothing blocks the chain.
	if (dft_term_compare(m->promised, m->active.term) > 0)
		return 1;
	for (i = 0; i < m->active.live + m->active.learner && i < DFT_PATH_MOST; i++)
		if (!dft_trusts(m, times, m->active.path[i], now))
			return 1;
	if (m->active.learner)
		return (m->filled || BUGGY(LEARNER_UNFILLED)) && dft_is_tail(m);
	if (m->active.live >= replicas || !dft_is_head(m))
		return 0;
	for (i = 0; i < DFT_PEERS_MOST; i++)
		if (m->peer[i].name.boot && (m->peer[i].flags & DFT_WANTS_IN) &&
		    dft_trusts(m, times, m->peer[i].name, now) &&
		    dft_voter_place(&m->voters, m->peer[i].name) >= 0 &&
		    dft_configuration_place(&m->active, m->peer[i].name) < 0)
			return 1;
	return 0;
}

// To be called often (a few times per beat). flags: DFT_WANTS_IN where this node may be a replica.
// jitter: a random time below suspect, for which it waits after a ballot that came to nothing.
static inline void dft_term_tick(struct dft_member *m, const struct dft_times *times,
				 __u32 replicas, __u32 flags, __u64 jitter, __u64 now,
				 struct dft_out *out)
{
	struct dft_times patient = *times;
	int place;

	if (!m->voters.epoch)
		return;
	if (now - m->beaten >= times->beat)
		dft_beat(m, now, out, flags);
	if (m->ballot.phase) {
		if (now - m->ballot.begun >= times->give_up) {
			m->ballot.phase = DFT_NO_BALLOT;
			m->failed++;
		} else if (now - m->ballot.sent >= times->retry) {
			dft_ballot_ask(&m->ballot, m->self, now, out);
			dft_ballot_go_on(m, times, replicas, now, out);
		}
		return;
	}
	place = dft_voter_place(&m->voters, m->self);
	if (place < 0)
		return;
	patient.suspect += (__u64)place * times->turn;
	if (!dft_discontent(m, &patient, replicas, now))
		return;
	// Not sooner than its turn; the more has failed, the longer the turns.
	if (now - m->ballot.begun < jitter * (1 + (m->failed < 8 ? m->failed : 8)))
		return;
	dft_ballot_begin(m, now, out);
}

// M6. The controller's ballot: seal the epoch of old, then have its configuration accepted by a
// majority of the old voters, under their guards, and of the new. It keeps what it proposed until
// that is chosen; asking again is harmless.
inlined void dft_view_begin(struct dft_ballot *b, const struct dft_voters *old,
			    struct dft_name self, __u64 now, struct dft_out *out)
{
	__builtin_memset(b, 0, sizeof(*b));
	b->phase = DFT_PREPARING;
	b->old = *old;
	b->term.epoch = old->epoch + 1;
	b->begun = now;
	dft_ballot_ask(b, self, now, out);
}

// When the seal is complete: of the last accepted live list those who still live (gone: bits by
// place in best's path), and one learner, if it has a name.
inlined void dft_view_propose(struct dft_ballot *b, __u32 gone, struct dft_name learner,
			      const struct dft_voters *voters)
{
	struct dft_configuration *c = &b->proposal;
	__u32 i;

	__builtin_memset(c, 0, sizeof(*c));
	c->term = b->term;
	for (i = 0; i < b->best.live && i < DFT_PATH_MOST; i++)
		if (!(gone >> i & 1))
			c->path[c->live++] = b->best.path[i];
	if (learner.boot && c->live < DFT_PATH_MOST) {
		c->path[c->live] = learner;
		c->learner = 1;
	}
	b->new = *voters;
	b->new.epoch = b->term.epoch;
	b->phase = DFT_ACCEPTING;
}
