/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Membership of one chain: terms by vote of its voters, leases by heartbeats, fences, view changes.
// Rules M1 to M6 of docs/dft.md. Pure: a node's state, a message and the node's monotonic clock go
// in, messages come out. Bounded loops, fixed sizes.
//
// How a node uses it, for each chain:
//
//   dft_found           its controller says that the chain begins in this epoch: with nothing, or,
//   by
//                       force, with what is left of it
//   dft_view_given      its controller says who votes in the next epoch; the voters do the rest
//   dft_peer_heard      what its heartbeats tell of others: heard, both ways, ..
//   dft_peer_granted    .. and granted a lease; or dft_beat and DFT_BEAT do both, in the simulator
//   m->filled = 1       the learner of the active term has everything (the tail knows)
//   dft_term_handle     a message came; 1: the active term is another one now
//   dft_term_tick       some time passed, a few times per heartbeat
//
// After each of them: what promised, accepted, active, voters and next say is made to last, and the
// fence that the data path looks at is raised to promised; then the messages are sent, of which one
// may be to the node itself. Before each of them: what was granted is read again, after the fence
// that the call before it raised. So every grant either is seen here or sees the promise.
//
// Who restarts with what lasted sets since to its clock, so that it first hears of others.
#pragma once

#include "dft/bugs.h"
#include "shared/inlined.h"

#include <linux/types.h>

#define DFT_PATH_MOST 5	    // replicas and a learner; the data path carries up to MAX_CHAIN_LENGTH
#define DFT_VOTERS_MOST 5   // so that two may die
#define DFT_PARTIES_MOST 15 // of a ballot: voters of two epochs, and a path
#define DFT_PEERS_MOST 16   // voters, path, and those of a view that is going
#define DFT_OUT_MOST 24	    // messages that one event may cause

// A round of ballots and who holds it, so that two proposers never share a term. Round 0 of an
// epoch is its founding.
struct dft_term {
	__u32 epoch;  // of the view
	__u32 number; // round << DFT_ROUND_SHIFT, DFT_CHANGES or not, the proposer's place
};
#define DFT_ROUND_SHIFT 5
#define DFT_CHANGES 0x10   // proposed by a voter of the epoch before: M6
#define DFT_BY_MEMBER 0x08 // the place is in the path, not among the voters

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
	__u32 replicas; // the first of them are wanted as replicas, the others are witnesses
	__u32 founded;	// the epoch in which the chain began with nothing
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
	DFT_BEAT_ANSWER, // I hear you; with a term: and have promised nothing above it, your lease
	DFT_PREPARE,
	DFT_PROMISE,
	DFT_ACCEPT,
	DFT_ACCEPTED,
	DFT_CHOSEN,
	DFT_ASK_IN, // I am wanted as a replica, and am none
};

// Flags of a beat.
#define DFT_WANTS_LEASE 1 // I am in the path of this term
#define DFT_HEARS_YOU 2	  // I have heard you lately

struct dft_term_message {
	__u32 kind;
	__u32 flags;
	struct dft_name from, to;
	struct dft_term term;
	__u64 clock; // of a beat's sender; its answer brings it back
	struct dft_configuration
		configuration;		       // promise: accepted last; accept, chosen: the term's
	struct dft_voters voters;	       // prepare, accept, chosen: of the term's epoch
	struct dft_name fenced[DFT_PATH_MOST]; // accept: they go, and have promised this very term
};

// What a node knows of another that it shares the chain with.
struct dft_peer {
	struct dft_name name;
	__u64 received; // when anything came from it
	__u64 heard;	// when something came that says that it hears this node
	__u64 granted;	// when it was last granted a lease; 0: never
	__u64 asked;	// when it last asked in; 0: never
};

enum dft_phase { DFT_NO_BALLOT = 0, DFT_PREPARING, DFT_ACCEPTING };

struct dft_ballot {
	enum dft_phase phase;
	struct dft_term term;
	__u32 parties; // whom it asks: voters, and who may be named
	struct dft_name party[DFT_PARTIES_MOST];
	__u32 promised, accepted; // bits of parties
	__u64 begun, sent;
	struct dft_configuration best; // of those reported: accepted in the highest term
	struct dft_configuration proposal;
	struct dft_voters old, new; // the same but when a view changes
};

// A node's membership in one chain.
struct dft_member {
	struct dft_name self;
	struct dft_voters voters;	   // of the active term's epoch
	struct dft_voters next;		   // of the epoch to come; epoch 0: none is known
	struct dft_term promised;	   // register: handles and accepts nothing below
	struct dft_configuration accepted; // register
	struct dft_configuration active;   // the newest chosen term that it knows, member or not
	__u64 grants[DFT_VOTERS_MOST];	   // sending of the beat that each voter answered last
	struct dft_peer peer[DFT_PEERS_MOST];
	struct dft_ballot ballot;
	__u64 beaten; // when it last sent beats
	__u64 asked;  // when it last asked in
	__u64 promised_at;
	__u64 since;  // when the active term became active here
	__u64 uneasy; // since when it knows of something to be done that has time; 0: there is none
	__u32 founded; // register: what it holds is of the chain that began in this epoch
	__u32 filled;  // the learner of the active term has all: it may be promoted
	__u32 failed;  // ballots in a row that came to nothing
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
	return (__u32)__builtin_popcount(bits) * 2 > v->count ||
	       (BUGGY(TWO_SUFFICE) && __builtin_popcount(bits) == 2);
}

// How many replicas a list shall have, and whether a node is to be one of them.
inlined __u32 dft_wanted_most(const struct dft_voters *v)
{
	return v->replicas < v->count ? v->replicas : v->count;
}

inlined int dft_wanted(const struct dft_voters *v, struct dft_name name)
{
	int place = dft_voter_place(v, name);

	return place >= 0 && (__u32)place < v->replicas;
}

// Whether a term is one by which the voters of the epoch before change the view.
inlined int dft_term_changes(struct dft_term t)
{
	return !!(t.number & DFT_CHANGES);
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
		    (m->grants[i] && now - m->grants[i] < times->lease))
			bits |= 1u << i;
	}
	return dft_majority(&m->voters, bits);
}

// The entry of a peer; the one heard least recently gives way to a new one, but none to which a
// lease may still be running. NULL: no room, treat it as not heard.
inlined struct dft_peer *dft_peer(struct dft_member *m, const struct dft_times *times,
				  struct dft_name name, __u64 now)
{
	struct dft_peer *oldest = 0;
	__u32 i;

	for (i = 0; i < DFT_PEERS_MOST; i++)
		if (dft_name_equal(m->peer[i].name, name))
			return &m->peer[i];
	for (i = 0; i < DFT_PEERS_MOST; i++) {
		struct dft_peer *p = &m->peer[i];

		if (p->granted && now - p->granted < times->guard)
			continue;
		if (!oldest || p->received < oldest->received)
			oldest = p;
	}
	if (oldest)
		*oldest = (struct dft_peer){.name = name};
	return oldest;
}

// M3. Something came from a node at a time of this clock; both_ways: and it says that it hears this
// one. What is known already does not grow older.
inlined void dft_peer_heard(struct dft_member *m, const struct dft_times *times,
			    struct dft_name name, __u64 when, int both_ways, __u64 now)
{
	struct dft_peer *p = dft_peer(m, times, name, now);

	if (!p)
		return;
	if (p->received < when)
		p->received = when;
	if (p->heard < when && (both_ways || BUGGY(HEARS_ONE_WAY)))
		p->heard = when;
}

// M3. A node was granted a lease at a time of this clock.
inlined void dft_peer_granted(struct dft_member *m, const struct dft_times *times,
			      struct dft_name name, __u64 when, __u64 now)
{
	struct dft_peer *p = dft_peer(m, times, name, now);

	if (p && p->granted < when)
		p->granted = when;
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

// M6. The voters of the next epoch, as the controller or a proposer says.
inlined void dft_view_given(struct dft_member *m, const struct dft_voters *v)
{
	if (v->epoch > m->voters.epoch && v->epoch > m->next.epoch)
		m->next = *v;
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
	if (m->next.epoch <= v->epoch)
		m->next.epoch = 0;
	// Who has promised higher knows the term now, but does not act in it (dft_active).
	if (dft_term_compare(c->term, m->promised) > 0)
		m->promised = c->term;
	m->beaten = 0;
	m->asked = 0;
	m->since = now;
	m->uneasy = 0;
	m->filled = 0;
	m->failed = 0;
	for (i = 0; i < DFT_VOTERS_MOST; i++)
		m->grants[i] = 0;
	if (m->ballot.phase && dft_term_compare(m->ballot.term, c->term) <= 0)
		m->ballot.phase = DFT_NO_BALLOT;
	return 1;
}

// M6. A chain begins in this epoch with the wanted voters as its list: the first time with nothing,
// founded is the epoch; later by force, because a majority of its voters is gone for good. The
// controller then names only who was live in the newest term that anyone reports who is left, after
// the time of a lease and of a ballot: founded stays, and they keep their records. Where nobody is
// left it is the epoch again. Returns 1 where the node did not know the term.
inlined int dft_found(struct dft_member *m, const struct dft_voters *v, __u64 now)
{
	struct dft_configuration c = {.term = {v->epoch, 0}};

	for (c.live = 0; c.live < dft_wanted_most(v) && c.live < DFT_PATH_MOST - 1; c.live++)
		c.path[c.live] = v->voter[c.live];
	if (!dft_activate(m, &c, v, now))
		return 0;
	if (dft_voter_place(v, m->self) >= 0 && dft_term_compare(c.term, m->accepted.term) > 0)
		m->accepted = c;
	return 1;
}

// M6. Whether what the node holds is of an earlier chain, however it learned of the new one: then
// all of that goes, and its floors are dft_founding_floor. To be asked when the active term
// changed.
inlined int dft_begins_anew(struct dft_member *m)
{
	if (m->founded == m->voters.founded)
		return 0;
	m->founded = m->voters.founded;
	return 1;
}

// M6. The floor of every bucket in a chain that began with nothing in this epoch: above all that
// were before, as an epoch does not see as many collections in one bucket.
#define DFT_FOUNDING_SHIFT 20
inlined __u32 dft_founding_floor(__u32 epoch)
{
	return epoch << DFT_FOUNDING_SHIFT;
}

// Parties of a ballot.

inlined int dft_party_place(const struct dft_ballot *b, struct dft_name name)
{
	int place = -1;
	__u32 i;

	for (i = 0; i < DFT_PARTIES_MOST; i++)
		if (i < b->parties && dft_name_equal(b->party[i], name))
			place = i;
	return place;
}

inlined void dft_party_add(struct dft_ballot *b, struct dft_name name)
{
	if (b->parties < DFT_PARTIES_MOST && dft_party_place(b, name) < 0)
		b->party[b->parties++] = name;
}

// How many voters of a view are among the parties of these bits, as bits.
inlined __u32 dft_party_voters(const struct dft_ballot *b, const struct dft_voters *v, __u32 bits)
{
	__u32 i, found = 0;
	int place;

	for (i = 0; i < DFT_PARTIES_MOST; i++) {
		if (i >= b->parties || !(bits >> i & 1))
			continue;
		place = dft_voter_place(v, b->party[i]);
		if (place >= 0)
			found |= 1u << place;
	}
	return found;
}

// M2, M6. Whether these parties suffice: a majority of the voters, before and after.
inlined int dft_party_majority(const struct dft_ballot *b, __u32 bits)
{
	return (dft_majority(&b->old, dft_party_voters(b, &b->old, bits)) || BUGGY(VIEW_BY_NEW)) &&
	       (dft_majority(&b->new, dft_party_voters(b, &b->new, bits)) || BUGGY(VIEW_BY_OLD));
}

// M6. Whether the voters before may be asked: not before those who are new are known to answer,
// with whom alone the view can come true once the old one is sealed.
inlined int dft_may_seal(const struct dft_ballot *b)
{
	__u32 i, old = 0;

	for (i = 0; i < DFT_PARTIES_MOST; i++)
		if (i < b->parties && dft_voter_place(&b->old, b->party[i]) >= 0)
			old |= 1u << i;
	return dft_majority(&b->new, dft_party_voters(b, &b->new, b->promised | old));
}

// Who has promised this ballot's term and is not in its proposal: no lease of theirs need be
// waited for.
static inline void dft_ballot_fenced(const struct dft_ballot *b, struct dft_term_message *o)
{
	__u32 i, n = 0;

	__builtin_memset(o->fenced, 0, sizeof(o->fenced));
	for (i = 0; i < b->parties && i < DFT_PARTIES_MOST && n < DFT_PATH_MOST; i++)
		if ((b->promised >> i & 1) &&
		    dft_configuration_place(&b->proposal, b->party[i]) < 0)
			o->fenced[n++] = b->party[i];
}

// Sends a ballot's present question to those that have not answered it yet.
static inline void dft_ballot_ask(struct dft_ballot *b, struct dft_name self, __u64 now,
				  struct dft_out *out)
{
	int seals = dft_may_seal(b);
	struct dft_term_message *o;
	__u32 i;

	b->sent = now;
	for (i = 0; i < b->parties && i < DFT_PARTIES_MOST; i++) {
		int old = dft_voter_place(&b->old, b->party[i]) >= 0;
		int new = dft_voter_place(&b->new, b->party[i]) >= 0;

		if (b->phase == DFT_PREPARING) {
			if ((b->promised >> i & 1) || (!seals && (old || !new)))
				continue;
			o = dft_say(out, DFT_PREPARE, self, b->party[i], b->term);
			if (o)
				o->voters = b->new;
			continue;
		}
		if ((b->accepted >> i & 1) || (!old && !new))
			continue;
		o = dft_say(out, DFT_ACCEPT, self, b->party[i], b->term);
		if (o) {
			o->configuration = b->proposal;
			o->voters = b->new;
			dft_ballot_fenced(b, o);
		}
	}
}

// All whom the chosen term concerns: the voters, the path; of the node's own ballot also those who
// are no longer of it.
static inline void dft_announce(const struct dft_member *m, struct dft_out *out)
{
	struct dft_ballot all = {.parties = 0};
	__u32 i;

	for (i = 0; i < m->voters.count && i < DFT_VOTERS_MOST; i++)
		dft_party_add(&all, m->voters.voter[i]);
	for (i = 0; i < m->active.live + m->active.learner && i < DFT_PATH_MOST; i++)
		dft_party_add(&all, m->active.path[i]);
	if (!dft_term_compare(m->ballot.term, m->active.term))
		for (i = 0; i < m->ballot.parties && i < DFT_PARTIES_MOST; i++)
			dft_party_add(&all, m->ballot.party[i]);
	for (i = 0; i < all.parties; i++)
		if (!dft_name_equal(all.party[i], m->self))
			dft_say_chosen(m, all.party[i], out);
}

// Begins a ballot above all that the node knows: of its epoch, or, by one of its voters, of the
// next. Returns 0 where it may not.
static inline int dft_ballot_begin(struct dft_member *m, int changes, __u64 now,
				   struct dft_out *out)
{
	const struct dft_voters *new = changes ? &m->next : &m->voters;
	int place = dft_voter_place(&m->voters, m->self);
	struct dft_term highest = m->promised;
	struct dft_ballot *b = &m->ballot;
	__u32 i;

	if (place < 0 && !changes && dft_configuration_place(&m->active, m->self) >= 0)
		place = DFT_BY_MEMBER | dft_configuration_place(&m->active, m->self);
	if (place < 0 || !m->voters.epoch)
		return 0;
	if (dft_term_compare(b->term, highest) > 0)
		highest = b->term;
	if (highest.epoch > new->epoch)
		return 0; // sealed by a view change: its outcome is awaited
	__builtin_memset(b, 0, sizeof(*b));
	b->phase = DFT_PREPARING;
	b->term.epoch = new->epoch;
	if (highest.epoch == new->epoch)
		b->term.number = highest.number >> DFT_ROUND_SHIFT;
	b->term.number = (b->term.number + 1) << DFT_ROUND_SHIFT | (__u32)place;
	if (changes)
		b->term.number |= DFT_CHANGES;
	b->begun = now;
	b->old = m->voters;
	b->new = *new;
	for (i = 0; i < m->voters.count && i < DFT_VOTERS_MOST; i++)
		dft_party_add(b, m->voters.voter[i]);
	for (i = 0; i < new->count &&i < DFT_VOTERS_MOST; i++)
		dft_party_add(b, new->voter[i]);
	for (i = 0; i < m->active.live + m->active.learner && i < DFT_PATH_MOST; i++)
		dft_party_add(b, m->active.path[i]);
	m->promised = b->term;
	m->promised_at = now;
	dft_ballot_ask(b, m->self, now, out);
	return 1;
}

// Whom a node takes for alive: itself, and who was heard lately to hear it.
inlined int dft_trusts(const struct dft_member *m, const struct dft_times *times,
		       struct dft_name name, __u64 now)
{
	const struct dft_peer *p = dft_peer_find(m, name);

	return dft_name_equal(name, m->self) || (p && p->heard && now - p->heard < times->suspect);
}

inlined int dft_trusts_majority(const struct dft_member *m, const struct dft_times *times,
				const struct dft_voters *v, __u64 now)
{
	__u32 i, bits = 0;

	for (i = 0; i < DFT_VOTERS_MOST; i++)
		if (i < v->count && dft_trusts(m, times, v->voter[i], now))
			bits |= 1u << i;
	return dft_majority(v, bits);
}

// M2 (b). Whom a proposer may name in a live list: who has promised in this very ballot, so it
// lived after it began. (A list that shrinks to whom one has merely heard of lately may be a list
// of the dead.)
inlined int dft_may_name(const struct dft_member *m, const struct dft_times *times,
			 struct dft_name name, __u64 now)
{
	int place = dft_party_place(&m->ballot, name);

	if (BUGGY(NAMES_THE_DEAD))
		return dft_trusts(m, times, name, now);
	return place >= 0 && (m->ballot.promised >> place & 1);
}

// M5. Whether a node may become the learner: it is wanted, is no replica, and asks in.
inlined int dft_comes_in(const struct dft_member *m, const struct dft_times *times,
			 const struct dft_configuration *c, const struct dft_voters *v,
			 const struct dft_peer *p, __u64 now)
{
	return p->name.boot && p->asked && now - p->asked < 4 * times->suspect &&
	       dft_wanted(v, p->name) && dft_configuration_place(c, p->name) < 0 &&
	       dft_trusts(m, times, p->name, now);
}

// Whether a proposer has all promises that it may expect: a majority, and a short while for those
// that it has heard lately, the learner and who comes in too: they would have to begin again.
inlined int dft_ballot_ready(const struct dft_member *m, const struct dft_times *times, __u64 now)
{
	const struct dft_configuration *best = &m->ballot.best;
	__u32 i;

	if (m->ballot.phase != DFT_PREPARING || !dft_party_majority(&m->ballot, m->ballot.promised))
		return 0;
	if (now - m->ballot.begun >= times->retry)
		return 1;
	for (i = 0; i < best->live + best->learner && i < DFT_PATH_MOST; i++)
		if (dft_trusts(m, times, best->path[i], now) &&
		    !dft_may_name(m, times, best->path[i], now))
			return 0;
	for (i = 0; i < DFT_PEERS_MOST && !best->learner; i++)
		if (dft_comes_in(m, times, best, &m->ballot.new, &m->peer[i], now) &&
		    !dft_may_name(m, times, m->peer[i].name, now))
			return 0;
	return 1;
}

// M6. Who leaves the list next, or -1: the last who is no longer wanted, once there are enough
// without it.
inlined int dft_unneeded(const struct dft_configuration *c, const struct dft_voters *v)
{
	int place = -1;
	__u32 i;

	if (c->live <= dft_wanted_most(v) && !BUGGY(DRAIN_HASTY))
		return -1;
	for (i = 0; i < DFT_PATH_MOST; i++)
		if (i < c->live && !dft_wanted(v, c->path[i]))
			place = i;
	return place;
}

inlined void dft_configuration_drop(struct dft_configuration *c, __u32 place)
{
	__u32 i;

	for (i = 0; i + 1 < DFT_PATH_MOST; i++)
		if (i >= place)
			c->path[i] = c->path[i + 1];
	c->path[DFT_PATH_MOST - 1] = (struct dft_name){0, 0};
	c->live--;
}

// M2 (b), M5, M6. What is proposed on a majority of promises: those of the last accepted live list
// who promised; the learner, filled, as the last of it; who is no longer needed leaves; who is
// wanted comes as learner. Leaves no live list where none of the last one promised: then there is
// nothing to propose.
static inline void dft_propose(struct dft_member *m, const struct dft_times *times, __u64 now)
{
	const struct dft_configuration *best = &m->ballot.best;
	const struct dft_voters *v = &m->ballot.new;
	struct dft_configuration *c = &m->ballot.proposal;
	int promote = m->filled && best->learner && !dft_term_compare(best->term, m->active.term);
	struct dft_name learner = best->path[best->live < DFT_PATH_MOST ? best->live : 0];
	int unneeded;
	__u32 i;

	__builtin_memset(c, 0, sizeof(*c));
	c->term = m->ballot.term;
	if (BUGGY(LEARNER_UNFILLED) && best->learner)
		promote = 1;
	// M6: a view that is passed over may have come true, and its voters may have gone on: they
	// were not asked. Where none of a majority accepted it, it never will.
	if (best->term.epoch > m->ballot.old.epoch && best->term.epoch < m->ballot.new.epoch)
		return;
	for (i = 0; i < best->live && i < DFT_PATH_MOST; i++)
		if (dft_may_name(m, times, best->path[i], now))
			c->path[c->live++] = best->path[i];
	if (!c->live)
		return;
	if (best->learner && best->live < DFT_PATH_MOST && dft_wanted(v, learner) &&
	    dft_may_name(m, times, learner, now)) {
		c->path[c->live] = learner;
		if (promote && BUGGY(LEARNER_AT_HEAD)) {
			for (i = c->live; i > 0; i--)
				c->path[i] = c->path[i - 1];
			c->path[0] = learner;
		}
		if (promote)
			c->live++;
		else
			c->learner = 1;
	}
	while ((unneeded = dft_unneeded(c, v)) >= 0 && c->live > 1)
		dft_configuration_drop(c, unneeded);
	for (i = 0; i < DFT_PEERS_MOST; i++) {
		if (c->learner || c->live + 1 > DFT_PATH_MOST)
			break;
		if (!dft_comes_in(m, times, c, v, &m->peer[i], now) ||
		    !dft_may_name(m, times, m->peer[i].name, now))
			continue;
		c->path[c->live] = m->peer[i].name;
		c->learner = BUGGY(NO_SUBSET) ? 0 : 1;
		c->live += BUGGY(NO_SUBSET) ? 1 : 0;
	}
}

// A voter's answer to prepare (M2 a). From the same proposer the same question may come twice.
inlined void dft_on_prepare(struct dft_member *m, const struct dft_term_message *in, __u64 now,
			    struct dft_out *out)
{
	int changed = dft_term_changes(in->term) && m->active.term.epoch >= in->term.epoch;
	struct dft_term_message *o;

	// M6: who does not know that the view has changed learns it, and disturbs nobody.
	if (changed || dft_term_compare(in->term, m->promised) < 0)
		dft_say_chosen(m, in->from, out);
	if (changed)
		return;
	if (dft_term_compare(in->term, m->promised) > 0) {
		m->promised = in->term;
		m->promised_at = now;
		if (dft_term_changes(in->term))
			dft_view_given(m, &in->voters);
	}
	// Where it has promised higher, it says so: the proposer knows then where to begin again.
	o = dft_say(out, DFT_PROMISE, m->self, in->from, m->promised);
	if (o)
		o->configuration = BUGGY(PROMISE_FORGETS) ? m->active : m->accepted;
}

// M3. Whether a node that may act as this voter granted it is not in the configuration, and has not
// promised its term either.
inlined int dft_guarded(const struct dft_member *m, const struct dft_times *times,
			const struct dft_term_message *in, __u64 now)
{
	int guarded = 0, fenced;
	__u32 i, k;

	if (BUGGY(NO_GUARD))
		return 0;
	for (i = 0; i < DFT_PEERS_MOST; i++) {
		const struct dft_peer *p = &m->peer[i];

		fenced = 0;
		for (k = 0; k < DFT_PATH_MOST; k++)
			if (dft_name_equal(in->fenced[k], p->name))
				fenced = 1;
		if (p->name.boot && p->granted && now - p->granted < times->guard && !fenced &&
		    dft_configuration_place(&in->configuration, p->name) < 0)
			guarded = 1;
	}
	return guarded;
}

// M2 (c), M3. A voter accepts what it has promised before: then it has granted nobody anything
// since. A proposer asks again while it says nothing, because of that or of its guard.
inlined void dft_on_accept(struct dft_member *m, const struct dft_times *times,
			   const struct dft_term_message *in, __u64 now, struct dft_out *out)
{
	int order = dft_term_compare(in->term, m->promised);

	if (order < 0) {
		dft_say_chosen(m, in->from, out);
		return;
	}
	if (dft_term_changes(in->term))
		dft_view_given(m, &in->voters);
	if (order > 0) {
		m->promised = in->term;
		m->promised_at = now;
		return;
	}
	if (dft_guarded(m, times, in, now))
		return;
	m->accepted = in->configuration;
	dft_say(out, DFT_ACCEPTED, m->self, in->from, in->term);
}

// Counts an answer in a ballot. Returns 1 where that completes the majorities of the phase.
inlined int dft_ballot_count(struct dft_ballot *b, const struct dft_term_message *in)
{
	int place = dft_party_place(b, in->from);
	__u32 i;

	if (!b->phase || place < 0 || dft_term_compare(b->term, in->term))
		return 0;
	if (in->kind == DFT_PROMISE) {
		if (b->phase != DFT_PREPARING)
			return 0;
		b->promised |= 1u << place;
		if (dft_term_compare(in->configuration.term, b->best.term) > 0)
			b->best = in->configuration;
		for (i = 0; i < b->best.live + b->best.learner && i < DFT_PATH_MOST; i++)
			dft_party_add(b, b->best.path[i]);
		return dft_party_majority(b, b->promised);
	}
	if (b->phase != DFT_ACCEPTING)
		return 0;
	b->accepted |= 1u << place;
	return dft_party_majority(b, b->accepted);
}

// Proposes, once there are promises enough. Returns 1 where the ballot's question is another one.
static inline int dft_ballot_go_on(struct dft_member *m, const struct dft_times *times, __u64 now,
				   struct dft_out *out)
{
	if (!dft_ballot_ready(m, times, now))
		return 0;
	dft_propose(m, times, now);
	if (!m->ballot.proposal.live) {
		m->ballot.phase = DFT_NO_BALLOT;
		m->failed++;
		return 1;
	}
	m->ballot.phase = DFT_ACCEPTING;
	dft_ballot_ask(&m->ballot, m->self, now, out);
	return 1;
}

inlined void dft_on_promise(struct dft_member *m, const struct dft_times *times,
			    const struct dft_term_message *in, __u64 now, struct dft_out *out)
{
	struct dft_ballot *b = &m->ballot;
	__u32 parties = b->parties;
	int sealed = dft_may_seal(b);

	if (b->phase && dft_term_compare(in->term, b->term) > 0) {
		// Beaten: let the other finish, then try again above it.
		b->phase = DFT_NO_BALLOT;
		b->term = in->term;
		m->failed++;
		return;
	}
	dft_ballot_count(b, in);
	if (dft_ballot_go_on(m, times, now, out))
		return;
	// Others may or must be asked now.
	if (b->phase == DFT_PREPARING && (b->parties > parties || (!sealed && dft_may_seal(b))))
		dft_ballot_ask(b, m->self, now, out);
}

// Heartbeats, where nothing outside does them.

// M3. A lease is granted per chain: not to whom a higher term is promised already.
inlined void dft_on_beat(struct dft_member *m, const struct dft_times *times,
			 const struct dft_term_message *in, __u64 now, struct dft_out *out)
{
	struct dft_peer *p = dft_peer(m, times, in->from, now);
	int grants = p && (in->flags & DFT_WANTS_LEASE) &&
		     (dft_term_compare(m->promised, in->term) <= 0 || BUGGY(LEASE_BLIND));
	struct dft_term_message *o;

	dft_peer_heard(m, times, in->from, now, in->flags & DFT_HEARS_YOU, now);
	if (dft_term_compare(in->term, m->active.term) < 0)
		dft_say_chosen(m, in->from, out);
	if (grants)
		p->granted = now;
	o = dft_say(out, DFT_BEAT_ANSWER, m->self, in->from,
		    grants ? in->term : (struct dft_term){0, 0});
	if (o)
		o->clock = in->clock;
}

// Whoever answers has heard.
inlined void dft_on_beat_answer(struct dft_member *m, const struct dft_times *times,
				const struct dft_term_message *in, __u64 now)
{
	int place = dft_voter_place(&m->voters, in->from);

	dft_peer_heard(m, times, in->from, now, 1, now);
	if (place >= 0 && m->active.term.epoch && !dft_term_compare(in->term, m->active.term) &&
	    in->clock > m->grants[place])
		m->grants[place] = in->clock;
}

// Beats to everybody in the chain, each interval.
static inline void dft_beat(struct dft_member *m, const struct dft_times *times, __u64 now,
			    struct dft_out *out)
{
	int leases = dft_configuration_place(&m->active, m->self) >= 0;
	struct dft_ballot all = {.parties = 0};
	struct dft_term_message *o;
	const struct dft_peer *p;
	__u32 i;

	if (m->beaten && now - m->beaten < times->beat)
		return;
	m->beaten = now;
	for (i = 0; i < m->voters.count && i < DFT_VOTERS_MOST; i++)
		dft_party_add(&all, m->voters.voter[i]);
	for (i = 0; m->next.epoch && i < m->next.count && i < DFT_VOTERS_MOST; i++)
		dft_party_add(&all, m->next.voter[i]);
	for (i = 0; i < m->active.live + m->active.learner && i < DFT_PATH_MOST; i++)
		dft_party_add(&all, m->active.path[i]);
	for (i = 0; i < all.parties; i++) {
		if (dft_name_equal(all.party[i], m->self))
			continue;
		o = dft_say(out, DFT_BEAT, m->self, all.party[i], m->active.term);
		if (!o)
			continue;
		p = dft_peer_find(m, all.party[i]);
		o->clock = now;
		if (leases && dft_voter_place(&m->voters, all.party[i]) >= 0)
			o->flags |= DFT_WANTS_LEASE;
		if (p && p->received && now - p->received < times->suspect)
			o->flags |= DFT_HEARS_YOU;
	}
}

// A message at a node. Returns 1 where the node's active term changed.
static inline int dft_term_handle(struct dft_member *m, const struct dft_times *times,
				  const struct dft_term_message *in, __u64 now, struct dft_out *out)
{
	struct dft_peer *p;

	// M4: what was meant for another life of this node is not for it.
	if (!dft_name_equal(in->to, m->self))
		return 0;
	switch (in->kind) {
	case DFT_BEAT:
		dft_on_beat(m, times, in, now, out);
		return 0;
	case DFT_BEAT_ANSWER:
		dft_on_beat_answer(m, times, in, now);
		return 0;
	case DFT_PREPARE:
		dft_on_prepare(m, in, now, out);
		return 0;
	case DFT_ACCEPT:
		dft_on_accept(m, times, in, now, out);
		return 0;
	case DFT_PROMISE:
		dft_on_promise(m, times, in, now, out);
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
	case DFT_ASK_IN:
		p = dft_peer(m, times, in->from, now);
		if (p)
			p->asked = now;
		return 0;
	}
	return 0;
}

// M6. Whether the view may change now: who is to vote then is known, and a majority is alive.
inlined int dft_change_due(const struct dft_member *m, const struct dft_times *times, __u64 now)
{
	return m->next.epoch > m->voters.epoch && dft_voter_place(&m->voters, m->self) >= 0 &&
	       dft_trusts_majority(m, times, &m->next, now);
}

// Whether something is to be done that has time: nobody waits for it.
inlined int dft_uneasy(const struct dft_member *m, const struct dft_times *times, __u64 now)
{
	__u32 i;

	if (dft_voter_place(&m->voters, m->self) < 0)
		return 0;
	if (dft_change_due(m, times, now))
		return 1;
	if (m->active.learner)
		return 0;
	if (dft_unneeded(&m->active, &m->voters) >= 0)
		return 1;
	if (m->active.live >= DFT_PATH_MOST)
		return 0;
	for (i = 0; i < DFT_PEERS_MOST; i++)
		if (dft_comes_in(m, times, &m->active, &m->voters, &m->peer[i], now))
			return 1;
	return 0;
}

// M2. Whether a member of the path is lost to the term: not heard, or, though it is, it does not
// ask for a lease, so it does not act in it: nobody may have told it, or its daemon is dead.
inlined int dft_lost(const struct dft_member *m, const struct dft_times *times,
		     struct dft_name name, __u64 now)
{
	const struct dft_peer *p = dft_peer_find(m, name);
	__u64 patience = times->give_up + times->suspect;

	if (dft_name_equal(name, m->self))
		return 0;
	if (!dft_trusts(m, times, name, now))
		return 1;
	return now - m->since >= patience && dft_voter_place(&m->voters, m->self) >= 0 &&
	       (!p->granted || now - p->granted >= patience);
}

// Whether the chain's membership should change, as this node sees it. Each voter is more patient
// than the one before it: with what is urgent by a turn, with what is not by a whole ballot.
static inline int dft_discontent(struct dft_member *m, const struct dft_times *times, __u64 now)
{
	int place = dft_voter_place(&m->voters, m->self);
	struct dft_times patient = *times;
	__u32 i;

	if (m->filled && m->active.learner && dft_is_tail(m) && now - m->since >= times->suspect)
		return 1;
	if (place < 0)
		return 0;
	patient.suspect += (__u64)place * times->turn;
	if (now - m->since < patient.suspect)
		return 0;
	// A promise that led to nothing blocks the chain. The ballot may still wait for guards.
	if (dft_term_compare(m->promised, m->active.term) > 0)
		return now - m->promised_at >= times->give_up + patient.suspect;
	if (BUGGY(LEARNER_UNFILLED) && m->active.learner && dft_is_tail(m))
		return 1;
	for (i = 0; i < m->active.live + m->active.learner && i < DFT_PATH_MOST; i++)
		if (dft_lost(m, &patient, m->active.path[i], now))
			return 1;
	if (!dft_uneasy(m, times, now)) {
		m->uneasy = 0;
		return 0;
	}
	if (!m->uneasy)
		m->uneasy = now;
	return now - m->uneasy >= (__u64)place * (times->give_up + times->suspect);
}

// M5, M6. Who is wanted as a replica and is none says so.
static inline void dft_ask_in(struct dft_member *m, const struct dft_times *times, __u64 now,
			      struct dft_out *out)
{
	const struct dft_voters *v = m->next.epoch ? &m->next : &m->voters;
	__u32 i;

	if (!dft_wanted(v, m->self) || dft_configuration_place(&m->active, m->self) >= 0 ||
	    (m->asked && now - m->asked < times->suspect))
		return;
	m->asked = now;
	for (i = 0; i < v->count && i < DFT_VOTERS_MOST; i++)
		if (!dft_name_equal(v->voter[i], m->self))
			dft_say(out, DFT_ASK_IN, m->self, v->voter[i], m->active.term);
}

// To be called a few times per beat. jitter: a random time below suspect, for which it waits after
// a ballot that came to nothing.
static inline void dft_term_tick(struct dft_member *m, const struct dft_times *times, __u64 jitter,
				 __u64 now, struct dft_out *out)
{
	int changes;

	dft_ask_in(m, times, now, out);
	if (!m->voters.epoch)
		return;
	if (m->ballot.phase) {
		if (now - m->ballot.begun >= times->give_up) {
			m->ballot.phase = DFT_NO_BALLOT;
			m->failed++;
		} else if (now - m->ballot.sent >= times->retry &&
			   !dft_ballot_go_on(m, times, now, out)) {
			dft_ballot_ask(&m->ballot, m->self, now, out);
		}
		return;
	}
	if (!dft_discontent(m, times, now))
		return;
	// Who is not heard by a majority would only keep the others from their work.
	if (!dft_trusts_majority(m, times, &m->voters, now))
		return;
	// Not sooner than its turn; the more has failed, the longer the turns.
	if (now - m->ballot.begun < jitter * (1 + (m->failed < 8 ? m->failed : 8)))
		return;
	changes = dft_change_due(m, times, now);
	if (m->promised.epoch > m->voters.epoch && !changes)
		return;
	dft_ballot_begin(m, changes, now, out);
}
