// SPDX-License-Identifier: Apache-2.0
// Events of one chain, each followed by settle(): written first, said afterwards.
#include "modules/term/members.h"

#include <stdlib.h>
#include <string.h>

#include "shared/config.h"

#define MS 1000000ull
#define STATIC_BEAT_MS 10	// without heartbeats nothing is timed, but intervals must not be 0
#define IDLE_NS (100 * MS)	// of a node that has no part in any chain
#define ROUND_NS (1000 * MS)	// how often a node tells another one what it knows
#define ASK_NS (100 * MS)	// how often a node asks that knows no term of a chain
#define FOUNDING_NS (5000 * MS) // in which those of a chain's first term may come up
#define LOCAL_MOST 32		// messages of this node to itself that one event may cause

// A place in the fence, and who has it, or had it lately.
struct holder {
	struct dft_name name; // boot 0: never anybody
	__u64 left_ns;	      // when it was taken out of the fence; 0: it is in it
};

struct membership {
	struct dft_member member;
	struct chain_wish wish; // without voters: none
	__u64 ask_ns;		// when it is asked again what is known of the chain
	struct holder holder[MAX_HOLDERS];

	// What was written last.
	struct register_value kept;
	struct fence_value fence;
	struct chain_value chain;
	int chain_there;

	int nothing; // it begins the active term with nothing
	int empty;   // no record of the chain is here, and none is being stored: it may join
	int wiping;  // its records are being removed
	int again;   // and are to be after that, as other buckets are its by now
};

struct members {
	struct members_host host;
	struct dft_name self;
	struct dft_times times;
	__u32 beat_ms;
	__u32 cluster;
	__u64 random;
	__u64 round_ns; // of the next round
	__u8 there[MAX_NODES];
	struct membership chain[MAX_CHAINS];
};

static __u64 word(struct dft_term term)
{
	return TERM_WORD(term.epoch, term.number);
}

// xorshift64*: for jitter, and for whom to tell; nothing depends on its being hard to guess.
static __u64 draw(struct members *s, __u64 below)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return (s->random * 0x2545F4914F6CDD1Dull >> 16) % below;
}

static __u64 now_of(const struct members *s)
{
	return s->host.now(s->host.context);
}

struct members *members_new(const struct members_host *host, struct dft_name self, __u32 beat_ms,
			    __u32 cluster)
{
	struct members *s = calloc(1, sizeof(*s));
	const __u64 beat = (beat_ms ? beat_ms : STATIC_BEAT_MS) * MS;
	__u32 i;

	if (!s)
		return NULL;
	s->host = *host;
	s->self = self;
	s->beat_ms = beat_ms;
	s->cluster = cluster;
	s->random = (__u64)self.boot << 32 | (self.node + 1);
	s->times = (struct dft_times){.beat = beat,
				      .lease = beat * LEASE_HALF_BEATS / 2,
				      .guard = beat * GUARD_BEATS,
				      .suspect = beat * SUSPECT_BEATS,
				      .turn = beat * 3 / 10,
				      .retry = beat,
				      .give_up = beat * BALLOT_BEATS};
	for (i = 0; i < MAX_CHAINS; i++)
		s->chain[i].member.self = self;
	return s;
}

void members_free(struct members *s)
{
	free(s);
}

// ---- what the kernel knows

static struct holder *holder_of(struct membership *c, struct dft_name name)
{
	int i;

	for (i = 0; i < MAX_HOLDERS; i++)
		if (c->holder[i].name.boot && dft_name_equal(c->holder[i].name, name))
			return &c->holder[i];
	return NULL;
}

static __u64 granted(const struct members *s, const struct membership *c, const struct holder *h)
{
	// The kernel writes it meanwhile.
	return __atomic_load_n(&s->host.grants[c - s->chain].granted_ns[h - c->holder],
			       __ATOMIC_ACQUIRE);
}

// The member's idea of another node is what the kernel heard of it and granted to it.
static void feed_peer(struct members *s, struct membership *c, struct dft_name name, __u64 now)
{
	const struct peer_value *heard = &s->host.peers[name.node];
	struct holder *h = holder_of(c, name);

	if (dft_name_equal(name, s->self))
		return;
	if (h)
		dft_peer_granted(&c->member, &s->times, name, granted(s, c, h), now);
	if (__atomic_load_n(&heard->boot, __ATOMIC_ACQUIRE) != name.boot)
		return;
	dft_peer_heard(&c->member, &s->times, name,
		       __atomic_load_n(&heard->received_ns, __ATOMIC_ACQUIRE), 0, now);
	dft_peer_heard(&c->member, &s->times, name,
		       __atomic_load_n(&heard->heard_ns, __ATOMIC_ACQUIRE), 1, now);
}

static void feed(struct members *s, struct membership *c)
{
	const struct copy_value *copy = &s->host.copies[c - s->chain];
	struct dft_member *m = &c->member;
	const __u64 now = now_of(s);
	__u32 i;

	for (i = 0; i < MAX_HOLDERS; i++)
		if (c->holder[i].name.boot)
			feed_peer(s, c, c->holder[i].name, now);
	for (i = 0; i < m->voters.count; i++)
		feed_peer(s, c, m->voters.voter[i], now);
	for (i = 0; m->next.epoch && i < m->next.count; i++)
		feed_peer(s, c, m->next.voter[i], now);
	for (i = 0; i < m->active.live + m->active.learner; i++)
		feed_peer(s, c, m->active.path[i], now);
	m->filled = __atomic_load_n(&copy->term, __ATOMIC_ACQUIRE) == word(m->active.term) &&
		    __atomic_load_n(&copy->complete, __ATOMIC_ACQUIRE);
}

// ---- writing, then saying

static void fill_fence(struct members *s, struct membership *c, struct fence_value *fence,
		       __u64 now)
{
	const struct dft_configuration *active = &c->member.active;
	struct holder *h;
	__u32 i, k;

	for (k = 0; k < MAX_HOLDERS; k++) {
		h = &c->holder[k];
		if (h->name.boot && !h->left_ns && dft_configuration_place(active, h->name) < 0)
			h->left_ns = now;
	}
	for (i = 0; i < active->live + active->learner; i++) {
		if (dft_name_equal(active->path[i], s->self))
			continue;
		h = holder_of(c, active->path[i]);
		// A place is given away when no lease can run any more that was granted in it, nor
		// is being granted by a program that read the fence before.
		for (k = 0; !h && k < MAX_HOLDERS; k++)
			if (!c->holder[k].name.boot ||
			    (c->holder[k].left_ns && now - c->holder[k].left_ns >= s->times.guard))
				h = &c->holder[k];
		if (h)
			*h = (struct holder){.name = active->path[i]};
	}
	fence->promised = word(c->member.promised);
	for (k = 0; k < MAX_HOLDERS; k++)
		fence->holder[k] = c->holder[k].name.boot && !c->holder[k].left_ns
					   ? c->holder[k].name.node + 1
					   : 0;
}

static void fill_chain(const struct dft_member *m, struct chain_value *chain)
{
	__u32 i;

	*chain = (struct chain_value){.epoch = m->active.term.epoch,
				      .term = m->active.term.number,
				      .live = (__u16)m->active.live,
				      .learner = (__u16)m->active.learner,
				      .voters = m->voters.count};
	for (i = 0; i < m->active.live + m->active.learner; i++) {
		chain->node[i] = m->active.path[i].node;
		chain->boot[i] = m->active.path[i].boot;
	}
	for (i = 0; i < m->voters.count; i++) {
		chain->voter[i].node = m->voters.voter[i].node;
		chain->voter[i].boot = m->voters.voter[i].boot;
	}
}

// Writes what has changed: the registers, then the fence, then, where told, the chain.
static int write_changes(struct members *s, struct membership *c, int with_chain)
{
	const struct dft_member *m = &c->member;
	struct register_value kept = {.self = s->self,
				      .promised = m->promised,
				      .accepted = m->accepted,
				      .active = m->active,
				      .begun = c->kept.begun,
				      .nothing = (__u32)c->nothing,
				      .voters = m->voters,
				      .next = m->next,
				      .founded = m->founded};
	struct membership_change change = {};
	struct chain_value chain = {};
	struct fence_value fence = {};
	int err;

	if (with_chain) {
		kept.begun = m->active.term;
		fill_chain(m, &chain);
		if (!c->chain_there || memcmp(&chain, &c->chain, sizeof(chain)) != 0)
			change.chain = &chain;
	}
	fill_fence(s, c, &fence, now_of(s));
	if (memcmp(&kept, &c->kept, sizeof(kept)) != 0)
		change.kept = &kept;
	if (memcmp(&fence, &c->fence, sizeof(fence)) != 0)
		change.fence = &fence;
	if (!change.kept && !change.fence && !change.chain)
		return 0;
	err = s->host.write(s->host.context, (__u32)(c - s->chain), &change);
	if (err) {
		// It may be there or not: to be written again.
		memset(&c->fence, -1, sizeof(c->fence));
		memset(&c->kept.self, -1, sizeof(c->kept.self));
		c->chain_there = 0;
		return err;
	}
	c->kept = kept;
	c->fence = fence;
	if (change.chain) {
		c->chain = chain;
		c->chain_there = 1;
	}
	return 0;
}

// M5, M6. What a new term asks of the records that this node has: a learner begins empty in every
// term that names it, and everybody where the chain began anew since, however late he learns of it;
// who was to forget and has not yet does so all the same.
static void activated(struct members *s, struct membership *c,
		      const struct dft_configuration *before)
{
	const struct dft_configuration *active = &c->member.active;
	int place = dft_configuration_place(active, s->self);
	int due = c->nothing && dft_term_compare(c->kept.begun, before->term) != 0;

	due |= dft_begins_anew(&c->member);
	c->nothing = place >= 0 && (due || place == (int)active->live);
}

// A learner is told floors by the tail. A chain that began anew is above all that was before.
static __u32 floor_of(const struct members *s, const struct membership *c)
{
	const struct dft_configuration *active = &c->member.active;
	int is_live = dft_configuration_place(active, s->self) < (int)active->live;

	return c->nothing && is_live ? dft_founding_floor(c->member.founded) : 0;
}

// Has the kernel know the active term, and act in it. Who begins with nothing does so when nothing
// is left: until then the fence, which is at that term already, keeps it from acting in an older
// one, so nothing is stored meanwhile. That nothing is left is kept before the kernel is told, so
// that a daemon that starts again neither removes what was copied since nor lets stay what was not.
static int activate(struct members *s, struct membership *c)
{
	const struct dft_member *m = &c->member;
	const int begun = !dft_term_compare(c->kept.begun, m->active.term);
	const __u32 floor = floor_of(s, c);
	int err;

	if (!m->active.term.epoch)
		return write_changes(s, c, 0);
	if (begun && c->chain_there)
		return write_changes(s, c, 1);
	if (c->nothing && !begun && (!c->empty || floor)) {
		if ((err = write_changes(s, c, 0)))
			return err;
		c->wiping = 1;
		if (s->host.wipe(s->host.context, (__u32)(c - s->chain), floor))
			return 0;
	}
	if ((err = write_changes(s, c, 1)))
		return err;
	c->wiping = 0;
	if (dft_configuration_place(&m->active, s->self) >= 0)
		c->empty = 0;
	return 0;
}

static void send_to(struct members *s, struct membership *c, const struct dft_term_message *m)
{
	struct term_message bytes;

	message_write(&bytes, s->cluster, (__u32)(c - s->chain), m);
	s->host.send(s->host.context, m->to.node, &bytes, sizeof(bytes));
}

// Tells a node, in whichever life it is, the term that this one knows.
static void tell_chosen(struct members *s, struct membership *c, __u32 node)
{
	struct dft_out out = {.count = 0};

	dft_say_chosen(&c->member, (struct dft_name){node, 0}, &out);
	if (out.count)
		send_to(s, c, &out.message[0]);
}

// Those that the ballot itself does not tell: forwarders, and the flow table nodes of other chains.
static void announce(struct members *s, struct membership *c)
{
	const struct dft_member *m = &c->member;
	__u8 told[MAX_NODES] = {};
	__u32 i;

	told[s->self.node] = 1;
	for (i = 0; i < m->voters.count; i++)
		told[m->voters.voter[i].node] = 1;
	for (i = 0; i < m->active.live + m->active.learner; i++)
		told[m->active.path[i].node] = 1;
	for (i = 0; i < MAX_NODES; i++)
		if (s->there[i] && !told[i])
			tell_chosen(s, c, i);
}

// M6. Who votes next; but a list that began by force was never voted for: who does not know it yet
// has no part in what follows, and learns it first.
static void give_view(struct membership *c)
{
	if (c->wish.listed <= c->member.voters.epoch)
		dft_view_given(&c->member, &c->wish.voters);
}

// Everything that an event leads to: it is written, and only then said (see members.h). What cannot
// be written is not said; a message that is not sent is as good as lost. What this node says to
// itself follows the same way.
static void settle(struct members *s, struct membership *c, const struct dft_term_message *in,
		   struct dft_out *out)
{
	struct dft_term_message local[LOCAL_MOST];
	struct dft_configuration before;
	__u32 count = 0, next = 0, i;
	int chosen = 0;

	if (in)
		local[count++] = *in;
	do {
		if (next < count) {
			const struct dft_term_message *m = &local[next++];

			feed(s, c);
			before = c->member.active;
			out->count = 0;
			if (dft_term_handle(&c->member, &s->times, m, now_of(s), out)) {
				activated(s, c, &before);
				give_view(c);
				chosen |= m->kind == DFT_ACCEPTED;
			}
		}
		if (activate(s, c))
			return;
		for (i = 0; i < out->count; i++) {
			if (out->message[i].to.node != s->self.node)
				send_to(s, c, &out->message[i]);
			else if (count < LOCAL_MOST)
				local[count++] = out->message[i];
		}
		out->count = 0;
	} while (next < count);
	// This node completed the ballot.
	if (chosen)
		announce(s, c);
}

// Others may know more of the chain.
static void ask_voters(struct members *s, struct membership *c)
{
	const struct known known = {.chain = (__u32)(c - s->chain), .term = c->member.active.term};
	struct term_known bytes;
	size_t size = known_write(&bytes, s->cluster, s->self, &known, 1);
	__u32 i;

	for (i = 0; i < c->wish.voters.count; i++)
		if (c->wish.voters.voter[i].node != s->self.node)
			s->host.send(s->host.context, c->wish.voters.voter[i].node, &bytes, size);
}

// Who knows no term of a chain asks until he is answered: a forwarder serves nobody so.
static void ask_again(struct members *s, struct membership *c, __u64 now)
{
	if (c->member.active.term.epoch || now < c->ask_ns)
		return;
	ask_voters(s, c);
	c->ask_ns = now + ASK_NS;
}

// ---- events

void members_wish(struct members *s, __u32 chain, const struct chain_wish *wish)
{
	struct membership *c = &s->chain[chain];
	const struct dft_configuration before = c->member.active;
	struct dft_out out = {.count = 0};

	// M7: what was another chain's may be this one's now, and still be here.
	if (!wish->moving && (c->wish.moving || c->wish.move != wish->move)) {
		c->empty = 0;
		c->again = c->wiping;
	}
	c->wish = *wish;
	// The first term follows from what the controller says: everybody takes it as known.
	if (wish->voters.epoch != wish->listed)
		give_view(c);
	else if (dft_found(&c->member, &wish->voters, now_of(s)))
		activated(s, c, &before);
	settle(s, c, NULL, &out);
	if (c->member.active.term.epoch >= wish->voters.epoch)
		return;
	ask_voters(s, c);
	c->ask_ns = now_of(s) + ASK_NS;
}

void members_forget(struct members *s, __u32 chain)
{
	struct membership *c = &s->chain[chain];
	const struct register_value none = {};
	const struct fence_value nobody = {};
	const struct membership_change change = {.kept = &none, .fence = &nobody};

	if (!c->wish.voters.count)
		return;
	s->host.write(s->host.context, chain, &change);
	*c = (struct membership){.member.self = s->self};
}

void members_node(struct members *s, __u32 node, int there)
{
	if (node < MAX_NODES)
		s->there[node] = (__u8)there;
}

void members_restore(struct members *s, __u32 chain, const struct register_value *kept,
		     const struct fence_value *fence)
{
	struct membership *c = &s->chain[chain];
	struct dft_member *m = &c->member;
	const __u64 now = now_of(s);
	__u32 i, k;

	// M4: who lost what he promised is somebody else, and whoever has this boot id lost
	// nothing.
	if (!dft_name_equal(kept->self, s->self))
		return;
	m->promised = kept->promised;
	m->promised_at = now;
	m->accepted = kept->accepted;
	m->active = kept->active;
	m->voters = kept->voters;
	m->next = kept->next;
	m->founded = kept->founded;
	m->since = now;
	c->nothing = (int)kept->nothing;
	c->kept = *kept;
	c->fence = *fence;
	// Leases may run that were granted while nobody looked.
	for (k = 0; k < MAX_HOLDERS; k++) {
		struct holder *h = &c->holder[k];

		if (!fence->holder[k])
			continue;
		*h = (struct holder){{fence->holder[k] - 1, ~0u}, now};
		for (i = 0; i < m->active.live + m->active.learner; i++)
			if (m->active.path[i].node == h->name.node)
				*h = (struct holder){m->active.path[i], 0};
	}
}

void members_resume(struct members *s, __u32 chain)
{
	struct membership *c = &s->chain[chain];
	struct dft_out out = {.count = 0};

	if (!c->member.active.term.epoch)
		return;
	c->wish.voters = c->member.next.epoch ? c->member.next : c->member.voters;
	settle(s, c, NULL, &out);
}

static void take_known(struct members *s, __u32 node, const void *bytes, size_t size)
{
	struct known known[TERM_KNOWN_MOST], newer[TERM_KNOWN_MOST];
	struct term_known answer;
	struct dft_name from;
	size_t count = 0;
	int i, n = known_read(bytes, size, s->cluster, &from, known);

	if (n < 0 || from.node != node)
		return;
	for (i = 0; i < n; i++) {
		struct membership *c = &s->chain[known[i].chain];
		int compared = dft_term_compare(known[i].term, c->member.active.term);

		if (!c->wish.voters.count)
			continue;
		if (compared < 0)
			tell_chosen(s, c, node);
		else if (compared > 0)
			newer[count++] = (struct known){known[i].chain, c->member.active.term};
	}
	if (count)
		s->host.send(s->host.context, node, &answer,
			     known_write(&answer, s->cluster, s->self, newer, count));
}

void members_take(struct members *s, __u32 node, const void *bytes, size_t size)
{
	struct dft_term_message m;
	struct dft_out out = {.count = 0};
	struct membership *c;
	__u32 chain;

	if (size >= sizeof(struct term_head) &&
	    ((const struct term_head *)bytes)->kind == TERM_KNOWN) {
		take_known(s, node, bytes, size);
		return;
	}
	if (message_read(bytes, size, s->cluster, &chain, &m) || m.from.node != node ||
	    m.to.node != s->self.node)
		return;
	c = &s->chain[chain];
	// What is of before its list began is over.
	if (!c->wish.voters.count || (m.term.epoch && m.term.epoch < c->wish.listed))
		return;
	// What was chosen is true for each life of a node.
	if (m.kind == DFT_CHOSEN)
		m.to = s->self;
	if (!dft_name_equal(m.to, s->self))
		return;
	settle(s, c, &m, &out);
}

static int has_part(const struct membership *c)
{
	return dft_voter_place(&c->member.voters, c->member.self) >= 0 ||
	       dft_voter_place(&c->wish.voters, c->member.self) >= 0 ||
	       dft_configuration_place(&c->member.active, c->member.self) >= 0;
}

// A replica that is none any more, or not yet: what it has is of no use, and in the way of joining.
static void clear_out(struct members *s, struct membership *c)
{
	if (c->empty || !c->chain_there || dft_configuration_place(&c->member.active, s->self) >= 0)
		return;
	c->wiping = 1;
	if (s->host.wipe(s->host.context, (__u32)(c - s->chain), 0))
		return;
	c->wiping = 0;
	c->empty = !c->again;
	c->again = 0;
}

// Nodes that are told of a new chain come up one after the other: nobody is taken for lost before
// he was there once.
static int is_assembling(const struct members *s, const struct membership *c, __u64 now)
{
	const struct dft_configuration *active = &c->member.active;
	const struct dft_peer *p;
	__u32 i;

	if (active->term.number || now - c->member.since >= FOUNDING_NS)
		return 0;
	for (i = 0; i < active->live; i++) {
		p = dft_peer_find(&c->member, active->path[i]);
		if (!dft_name_equal(active->path[i], s->self) && (!p || !p->heard || !p->granted))
			return 1;
	}
	return 0;
}

// Two that do not hear each other, while others hear both, would remove each other by turns. So who
// is not in the path and does not hear one of it leaves that to those whom it hears there: any of
// them who could be named can begin a ballot itself, if they all are voters. Nor does it ask in: it
// would be a hole in the path.
static int is_left_to_path(const struct members *s, const struct membership *c, __u64 now)
{
	const struct dft_configuration *active = &c->member.active;
	int unheard = 0, judges = 0;
	__u32 i;

	if (dft_configuration_place(active, s->self) >= 0)
		return 0;
	for (i = 0; i < active->live + active->learner; i++) {
		if (!dft_trusts(&c->member, &s->times, active->path[i], now))
			unheard = 1;
		else if (dft_voter_place(&c->member.voters, active->path[i]) < 0)
			return 0;
		else if (i < active->live)
			judges = 1;
	}
	return unheard && judges;
}

static void tick(struct members *s, struct membership *c)
{
	struct dft_out out = {.count = 0};
	__u64 now;

	clear_out(s, c);
	if (s->beat_ms) {
		feed(s, c);
		// Not before: what the kernel heard meanwhile would lie ahead, and seem long ago.
		now = now_of(s);
		// Who still has what it had asks to be taken in when it has nothing. M7: nobody
		// joins while buckets move: of what he has of them could not be told whose it is.
		if (!c->empty || c->wish.moving)
			c->member.asked = now;
		if (!is_assembling(s, c, now) &&
		    (c->member.ballot.phase || !is_left_to_path(s, c, now)))
			dft_term_tick(&c->member, &s->times, draw(s, s->times.suspect), now, &out);
	}
	settle(s, c, NULL, &out);
}

// Tells a random node all terms that this one knows; it answers with those that it knows better.
static void tell_known(struct members *s)
{
	struct known known[TERM_KNOWN_MOST];
	struct term_known bytes;
	__u32 i, nodes = 0, node, count = 0;
	__u64 pick;

	for (i = 0; i < MAX_NODES; i++)
		nodes += s->there[i] && i != s->self.node;
	if (!nodes)
		return;
	pick = draw(s, nodes);
	for (node = 0; node < MAX_NODES; node++)
		if (s->there[node] && node != s->self.node && !pick--)
			break;
	for (i = 0; i < MAX_CHAINS; i++) {
		if (s->chain[i].wish.voters.count)
			known[count++] = (struct known){i, s->chain[i].member.active.term};
		if (count && (count == TERM_KNOWN_MOST || i == MAX_CHAINS - 1)) {
			s->host.send(s->host.context, node, &bytes,
				     known_write(&bytes, s->cluster, s->self, known, count));
			count = 0;
		}
	}
}

void members_tick(struct members *s)
{
	const __u64 now = now_of(s);
	__u32 i;

	for (i = 0; i < MAX_CHAINS; i++) {
		struct membership *c = &s->chain[i];

		if (!c->wish.voters.count)
			continue;
		ask_again(s, c, now);
		if (has_part(c) || c->wiping || !c->chain_there || !c->empty)
			tick(s, c);
	}
	if (now < s->round_ns)
		return;
	s->round_ns = now + ROUND_NS / 2 + draw(s, ROUND_NS);
	tell_known(s);
}

__u64 members_pace(const struct members *s)
{
	__u32 i;

	for (i = 0; i < MAX_CHAINS; i++)
		if (s->chain[i].wish.voters.count && has_part(&s->chain[i]))
			return s->beat_ms ? s->times.beat / 3 : IDLE_NS;
	return IDLE_NS;
}

// What the loader says of buckets that leave the chain, where it says it of this term.
static void read_departure(const struct departure_value *told, __u64 term, struct member_state *out)
{
	__u32 move, left;

	if (__atomic_load_n(&told->term, __ATOMIC_SEQ_CST) != term)
		return;
	move = __atomic_load_n(&told->move, __ATOMIC_SEQ_CST);
	left = __atomic_load_n(&told->left, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&told->term, __ATOMIC_SEQ_CST) != term)
		return;
	out->move = move;
	out->to_move = left;
}

size_t members_states(const struct members *s, struct member_state *out, size_t most)
{
	const __u64 now = now_of(s);
	size_t n = 0;
	__u32 i;

	for (i = 0; i < MAX_CHAINS && n < most; i++) {
		const struct membership *c = &s->chain[i];
		const struct lease_value *lease = &s->host.leases[i];
		const struct copy_value *copy = &s->host.copies[i];
		const __u64 term = word(c->member.active.term);
		int acts;

		if (!c->wish.voters.count || !has_part(c))
			continue;
		acts = dft_member_place(&c->member) >= 0 && c->chain_there;
		out[n] = (struct member_state){
			.chain = i,
			.active = c->member.active,
			.voters = c->member.voters,
			.acts = acts,
			.leased =
				acts && (!s->beat_ms ||
					 (__atomic_load_n(&lease->term, __ATOMIC_ACQUIRE) == term &&
					  now < __atomic_load_n(&lease->end_ns, __ATOMIC_ACQUIRE))),
		};
		if (__atomic_load_n(&copy->term, __ATOMIC_ACQUIRE) == term) {
			out[n].copied = copy->done;
			out[n].to_copy = copy->all;
		}
		read_departure(&s->host.departures[i], term, &out[n]);
		n++;
	}
	return n;
}

__u32 members_cleared(const struct members *s)
{
	__u32 move = 0, i;

	for (i = 0; i < MAX_CHAINS; i++) {
		const struct membership *c = &s->chain[i];

		if (!c->wish.voters.count)
			continue;
		if (c->wish.moving ||
		    (!c->empty && dft_configuration_place(&c->member.active, s->self) < 0) ||
		    (move && c->wish.move != move))
			return 0;
		move = c->wish.move;
	}
	return move;
}
