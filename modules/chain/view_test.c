// SPDX-License-Identifier: Apache-2.0
// The view of a cluster as nodes come and go.
#include "modules/chain/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/address.h"

static struct view_cluster cluster_of(const char *first, const char *last, unsigned int replicas,
				      unsigned int chains)
{
	struct view_cluster cluster = {.number = 3, .replicas = replicas, .chains = chains};

	assert_int_equal(address_parse(first, &cluster.entrance_first), 0);
	assert_int_equal(address_parse(last, &cluster.entrance_last), 0);
	return cluster;
}

static unsigned int owned_by(const struct view *view, uint32_t node)
{
	unsigned int i, n = 0;

	for (i = 0; i < view->entrances; i++)
		n += view->entrance[i].owner == node;
	return n;
}

static void build(struct view *view, const struct view *before, const struct view_cluster *cluster,
		  const struct view_node *nodes, size_t count)
{
	view_build(view, before, cluster, nodes, count, NULL);
}

static unsigned int moved(const struct view *a, const struct view *b)
{
	unsigned int i, n = 0;

	for (i = 0; i < a->entrances; i++)
		n += a->entrance[i].owner != b->entrance[i].owner;
	return n;
}

static void test_entrance_count(void **state)
{
	struct view_cluster c = cluster_of("10.0.0.250", "10.0.1.5", 3, 0);

	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 12);
	assert_int_equal(entrance_count(&c.entrance_last, &c.entrance_first), 0);
	c = cluster_of("10.0.0.1", "10.0.0.64", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 64);
	c = cluster_of("10.0.0.1", "10.0.0.65", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 0);
	c = cluster_of("10.0.0.1", "fd00::1", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 0);
	c = cluster_of("fd00::1", "fd00::4", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 4);
}

static void test_nobody(void **state)
{
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.4", 3, 0);
	struct view *view = malloc(sizeof(*view));
	unsigned int i;

	build(view, NULL, &c, NULL, 0);
	assert_int_equal(view->epoch, 1);
	assert_int_equal(view->entrances, 4);
	assert_int_equal(view->chains, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(view->entrance[i].owner, 0);
	free(view);
}

static void test_entrance_macs(void **state)
{
	struct view_cluster c = cluster_of("10.1.2.255", "10.1.3.1", 3, 0);
	struct view *view = malloc(sizeof(*view));
	char text[ADDRESS_TEXT];

	build(view, NULL, &c, NULL, 0);
	assert_string_equal(mac_text(view->entrance[0].mac, text), "02:5a:03:01:02:ff");
	assert_string_equal(mac_text(view->entrance[1].mac, text), "02:5a:03:01:03:00");
	assert_string_equal(mac_text(view->entrance[2].mac, text), "02:5a:03:01:03:01");
	free(view);
}

static void test_entrances_stay(void **state)
{
	struct view_node nodes[] = {{.index = 1, .roles = ROLE_FWD},
				    {.index = 2, .roles = ROLE_FTN},
				    {.index = 5, .roles = ROLE_FWD},
				    {.index = 9, .roles = ROLE_FWD}};
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.4", 3, 0);
	struct view *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b)), *d = malloc(sizeof(*d));

	build(a, NULL, &c, nodes, 3);
	assert_int_equal(owned_by(a, 1), 2);
	assert_int_equal(owned_by(a, 5), 2);
	assert_int_equal(owned_by(a, 2), 0);

	// One more: it gets its share, and nothing else moves.
	build(b, a, &c, nodes, 4);
	assert_int_equal(b->epoch, 2);
	assert_int_equal(owned_by(b, 9), 1);
	assert_int_equal(moved(a, b), 1);

	// The first leaves: only what it owned moves.
	build(d, b, &c, nodes + 1, 3);
	assert_int_equal(d->epoch, 3);
	assert_int_equal(owned_by(d, 1), 0);
	assert_int_equal(moved(b, d), owned_by(b, 1));
	assert_int_equal(owned_by(d, 5), 2);
	assert_int_equal(owned_by(d, 9), 2);

	// It is no forwarder any more: the same.
	nodes[0].roles = ROLE_FTN;
	build(d, b, &c, nodes, 4);
	assert_int_equal(owned_by(d, 1), 0);
	assert_int_equal(moved(b, d), owned_by(b, 1));

	// Entrances are known by address: a longer range keeps the owners of the old ones.
	nodes[0].roles = ROLE_FWD;
	c = cluster_of("10.0.0.0", "10.0.0.4", 3, 0);
	build(d, b, &c, nodes, 4);
	assert_int_equal(d->entrance[1].owner, b->entrance[0].owner);
	assert_int_equal(d->entrance[4].owner, b->entrance[3].owner);
	free(a);
	free(b);
	free(d);
}

// An owner that leaves or is gone for long gives its entrances away, and gets its share again.
static void test_entrances_leave_the_gone(void **state)
{
	struct view_node nodes[] = {{.index = 1, .roles = ROLE_FWD},
				    {.index = 2, .roles = ROLE_FWD},
				    {.index = 3, .roles = ROLE_FWD}};
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.6", 3, 0);
	struct view *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));

	build(a, NULL, &c, nodes, 3);
	nodes[1].presence = PRESENCE_GONE;
	build(b, a, &c, nodes, 3);
	assert_int_equal(owned_by(b, 2), 0);
	assert_int_equal(moved(a, b), 2);
	nodes[1].presence = PRESENCE_HERE;
	build(a, b, &c, nodes, 3);
	assert_int_equal(owned_by(a, 2), 2);
	assert_int_equal(moved(a, b), 2);
	nodes[0].drain = true;
	build(b, a, &c, nodes, 3);
	assert_int_equal(owned_by(b, 1), 0);
	assert_int_equal(moved(a, b), 2);

	// Nobody but these: better than nobody at all.
	nodes[1].presence = nodes[2].presence = PRESENCE_GONE;
	build(a, b, &c, nodes, 3);
	assert_int_equal(owned_by(a, 0), 0);
	free(a);
	free(b);
}

static void test_preference(void **state)
{
	struct view_node nodes[] = {{.index = 1, .roles = ROLE_FWD},
				    {.index = 2, .roles = ROLE_FTN},
				    {.index = 4, .roles = ROLE_FWD},
				    {.index = 5, .roles = ROLE_FWD},
				    {.index = 6, .roles = ROLE_FWD}};
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.8", 3, 0);
	struct view *view = malloc(sizeof(*view));
	unsigned int entrance, i, heirs[7] = {};
	uint32_t order[5];

	build(view, NULL, &c, nodes, 5);
	for (entrance = 0; entrance < 8; entrance++) {
		unsigned int seen = 0;

		assert_int_equal(view_preference(view, entrance, nodes, 5, order), 4);
		assert_int_equal(order[0], view->entrance[entrance].owner);
		for (i = 0; i < 4; i++)
			seen |= 1u << order[i];
		assert_int_equal(seen, 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6);
		heirs[order[1]]++;
	}
	// Whoever dies: its two entrances go to two others, and nobody inherits more than that.
	for (i = 0; i < 5; i++)
		if (nodes[i].roles == ROLE_FWD)
			assert_int_equal(heirs[nodes[i].index], 2);
	nodes[0].presence = PRESENCE_GONE;
	nodes[4].drain = true;
	build(view, NULL, &c, nodes, 5);
	assert_int_equal(view_preference(view, 0, nodes, 5, order), 3);
	assert_int_equal(order[2], 1);
	free(view);
}

static void test_plan(void **state)
{
	struct view_node nodes[] = {{.index = 1, .roles = ROLE_FWD, .boot = 11},
				    {.index = 2, .roles = ROLE_FTN, .boot = 12},
				    {.index = 4, .roles = ROLE_FTN, .boot = 14},
				    {.index = 7, .roles = ROLE_FTN | ROLE_FWD, .boot = 17}};
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.1", 2, 0);
	struct view *view = malloc(sizeof(*view)), *next = malloc(sizeof(*next));
	size_t i;

	// Somebody is awaited: a plan, without boots.
	for (i = 0; i < 3; i++)
		nodes[i].presence = PRESENCE_HERE;
	build(view, NULL, &c, nodes, 4);
	assert_int_equal(view->chains, 3);
	assert_int_equal(view->chain[0].founded, 0);
	assert_int_equal(view->chain[0].replicas, 2);
	assert_int_equal(view->chain[0].voters, 3);
	assert_int_equal(view->chain[0].voter[0].node, 2);
	assert_int_equal(view->chain[0].voter[0].boot, 0);
	assert_int_equal(view->chain[0].voter[1].node, 4);
	assert_int_equal(view->chain[2].voter[0].node, 7);
	assert_int_equal(view->chain[2].voter[1].node, 2);

	// It does not come, but there are nodes enough.
	nodes[3].presence = PRESENCE_GONE;
	build(next, view, &c, nodes, 4);
	assert_int_equal(next->chains, 3);
	assert_int_equal(next->chain[2].founded, 1);
	assert_int_equal(next->chain[2].epoch, 1);
	assert_int_equal(next->chain[2].replicas, 2);
	assert_int_equal(next->chain[2].voters, 3);
	assert_int_equal(next->chain[2].voter[2].node, 1);
	assert_int_equal(next->chain[2].voter[2].boot, 11);

	// Too few: nothing is founded.
	c.replicas = 4;
	c.chains = 5;
	build(next, view, &c, nodes, 4);
	assert_int_equal(next->chains, 5);
	assert_int_equal(next->chain[4].founded, 0);
	nodes[3].presence = PRESENCE_HERE;
	build(next, view, &c, nodes, 4);
	assert_int_equal(next->chain[4].founded, 1);
	assert_int_equal(next->chain[4].replicas, 3);
	assert_int_equal(next->chain[4].voters, 3);

	// Once founded there are so many chains, whatever is asked for.
	c.chains = 0;
	build(view, next, &c, nodes, 3);
	assert_int_equal(view->chains, 5);
	assert_memory_equal(view->chain, next->chain, sizeof(view->chain));
	free(view);
	free(next);
}

// ---- histories: nodes that come, go, crash, forget and leave, and voters that carry out changes

#define WORLD_NODES 12
#define WORLD_CHAINS 7

struct world_chain {
	struct view_chain told;	   // the newest of the voters
	struct view_chain carried; // what they agreed on
	struct view_name live[MAX_CHAIN_LENGTH];
	unsigned int lives;
	struct view_name learner; // boot 0: none
};

struct world {
	uint64_t seed;
	struct view_cluster cluster;
	size_t count;
	struct view_node node[WORLD_NODES];
	uint32_t last_index, last_boot;
	struct view before, after;
	struct view_report report[MAX_CHAINS];
	struct world_chain chain[WORLD_CHAINS];
	unsigned int left; // buckets of the move that is under way
	unsigned int changes, anew, forced, moves;
	bool stuck;
};

static unsigned int below(struct world *w, unsigned int n)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(w->seed >> 33) % n;
}

static bool lives(const struct world *w, struct view_name name)
{
	return view_lives(w->node, w->count, name);
}

static bool is_in(const struct view_name *list, unsigned int count, struct view_name name)
{
	for (unsigned int i = 0; i < count; i++)
		if (list[i].node == name.node && list[i].boot == name.boot)
			return true;
	return false;
}

static bool carries(const struct world *w, const struct view_chain *chain)
{
	return view_living_voters(chain, w->node, w->count) * 2 > chain->voters;
}

// What the voters of a chain do by themselves, a step of it.
static void world_act(struct world *w, struct world_chain *c)
{
	unsigned int kept = 0, others = 0, i;

	if (c->told.forced != c->carried.forced || !c->carried.founded) {
		c->carried = c->told;
		c->lives = c->told.replicas;
		memcpy(c->live, c->told.voter, sizeof(c->told.voter));
		c->learner.boot = 0;
		return;
	}
	if (!carries(w, &c->carried))
		return;
	if (c->told.epoch == c->carried.epoch + 1 && carries(w, &c->told))
		c->carried = c->told;
	for (i = 0; i < c->lives; i++)
		if (lives(w, c->live[i]))
			c->live[kept++] = c->live[i];
	if (!kept)
		return; // stays as it is: nobody may say what it was
	c->lives = kept;
	if (c->learner.boot && !lives(w, c->learner))
		c->learner.boot = 0;
	if (c->learner.boot) {
		if (!below(w, 3)) {
			c->live[c->lives++] = c->learner;
			c->learner.boot = 0;
		}
		return;
	}
	for (i = 0; i < c->lives; i++)
		others += is_in(c->carried.voter, c->carried.replicas, c->live[i]);
	for (i = 0; i < c->lives && others >= c->carried.replicas; i++)
		if (!is_in(c->carried.voter, c->carried.replicas, c->live[i])) {
			memmove(&c->live[i], &c->live[i + 1], (--c->lives - i) * sizeof(*c->live));
			return;
		}
	for (i = 0; i < c->carried.replicas; i++)
		if (lives(w, c->carried.voter[i]) &&
		    !is_in(c->live, c->lives, c->carried.voter[i])) {
			c->learner = c->carried.voter[i];
			return;
		}
}

static void world_report(struct world *w)
{
	unsigned int i, k;

	memset(w->report, 0, sizeof(w->report));
	if (!w->before.spread.moving)
		w->left = 1 + below(w, 5);
	else if (w->left)
		w->left -= below(w, 2);
	w->report[below(w, w->before.spread.chains + 1)].left = w->before.spread.moving * w->left;
	for (i = 0; i < w->before.chains; i++) {
		struct view_report *r = &w->report[i];
		struct world_chain *c = &w->chain[i];

		r->ripe = below(w, 2);
		for (k = 0; k < c->told.voters; k++) {
			if (!lives(w, c->told.voter[k]) || below(w, 4) == 0)
				continue;
			r->heard |= 1u << k;
			r->settled |= (uint32_t)(c->carried.epoch == c->told.epoch) << k;
		}
		for (k = 0; k < c->lives && !lives(w, c->live[k]);)
			k++;
		if (!r->heard && k == c->lives)
			continue;
		r->epoch = c->carried.epoch;
		r->live = c->lives;
		memcpy(r->path, c->live, sizeof(c->live));
		r->voters = c->carried.voters;
		memcpy(r->voter, c->carried.voter, sizeof(c->carried.voter));
		if (c->learner.boot) {
			r->learner = true;
			r->path[r->live] = c->learner;
		}
	}
}

static void add_node(struct world *w)
{
	if (w->count == WORLD_NODES)
		return;
	w->node[w->count++] = (struct view_node){.index = ++w->last_index,
						 .roles = below(w, 3) ? ROLE_FTN : ROLE_FWD,
						 .boot = ++w->last_boot,
						 .presence = PRESENCE_HERE};
}

static void world_fault(struct world *w)
{
	size_t n = w->count ? below(w, (unsigned int)w->count) : 0;
	struct view_node *node = &w->node[n];

	switch (below(w, 10)) {
	case 9:
		w->cluster.chains = 1 + below(w, WORLD_CHAINS);
		return;
	case 0:
		add_node(w);
		return;
	case 1: // what is gone is taken out for good
		if (w->count > 4 && node->presence == PRESENCE_GONE)
			memmove(node, node + 1, (--w->count - n) * sizeof(*node));
		return;
	case 2:
		node->drain = !node->drain;
		return;
	case 3:
		w->cluster.replicas = 1 + below(w, MAX_REPLICAS);
		return;
	case 4: // forgets
		node->boot = ++w->last_boot;
		node->presence = PRESENCE_HERE;
		return;
	case 5:
		if (node->presence == PRESENCE_HERE)
			node->presence = PRESENCE_AWAITED;
		return;
	case 6:
		if (node->presence == PRESENCE_AWAITED)
			node->presence = PRESENCE_GONE;
		return;
	default:
		node->presence = PRESENCE_HERE;
	}
}

static unsigned int missing(const struct view_chain *a, const struct view_chain *b)
{
	unsigned int i, n = 0;

	for (i = 0; i < a->voters; i++)
		n += !is_in(b->voter, b->voters, a->voter[i]);
	return n;
}

// A list begins by force: nobody else can go on, and whoever is left of the list keeps what he has.
static void check_force(struct world *w, struct world_chain *c, const struct view_chain *b)
{
	// What was forced last is in force, whoever knows it.
	const struct view_chain *in_force =
		c->told.forced > c->carried.epoch ? &c->told : &c->carried;
	unsigned int i, over = 0, left = 0;

	for (i = 0; i < in_force->voters; i++)
		over += view_is_over(w->node, w->count, in_force->voter[i]);
	for (i = 0; i < c->lives; i++)
		left += lives(w, c->live[i]);
	assert_int_equal(b->forced, b->epoch);
	assert_true(over * 2 >= in_force->voters || in_force == &c->carried);
	if (b->founded == b->epoch) {
		for (i = 0; i < c->lives; i++)
			assert_false(lives(w, c->live[i]));
		w->anew++;
		return;
	}
	assert_true(over * 2 >= in_force->voters);
	assert_int_equal(b->replicas, left);
	for (i = 0; i < b->replicas; i++)
		assert_true(is_in(c->live, c->lives, b->voter[i]) && lives(w, b->voter[i]));
	w->forced++;
}

static void check_chain(struct world *w, unsigned int number)
{
	const struct view_chain *a = &w->before.chain[number], *b = &w->after.chain[number];
	struct world_chain *c = &w->chain[number];
	unsigned int i;

	assert_in_range(b->replicas, 1, MAX_REPLICAS);
	assert_in_range(b->voters, b->replicas, MAX_VOTERS);
	for (i = 0; i < b->voters; i++)
		for (unsigned int k = 0; k < i; k++)
			assert_int_not_equal(b->voter[i].node, b->voter[k].node);
	if (!memcmp(a, b, sizeof(*a)))
		return;
	assert_int_equal(b->epoch, a->epoch + 1);
	if (b->forced != a->forced) {
		assert_true(w->report[number].ripe);
		check_force(w, c, b);
	} else {
		assert_int_equal(b->founded, a->founded);
		// One at a time, carried by majorities before and after, when the last is done.
		assert_in_range(missing(a, b), 0, 1);
		assert_in_range(missing(b, a), 0, 1);
		assert_true(carries(w, a));
		assert_true(carries(w, b));
		assert_int_equal(c->carried.epoch, a->epoch);
		w->changes++;
	}
	c->told = *b;
}

static bool has_cleared(const struct world *w, const struct view_node *node)
{
	return node->presence == PRESENCE_HERE && node->cleared >= w->before.spread.move;
}

// One move at a time, and none while anything else is on its way; chains come whole, and go when
// nobody knows them any more.
static void check_spread(struct world *w)
{
	const struct view *a = &w->before, *b = &w->after;
	unsigned int left = 0, i, k;
	size_t n;

	for (i = 0; i < a->chains; i++)
		left += w->report[i].left;
	for (i = a->chains; i < b->chains; i++) {
		assert_int_equal(b->chain[i].founded, b->epoch);
		assert_int_equal(b->chain[i].epoch, b->epoch);
		memset(&w->chain[i], 0, sizeof(w->chain[i]));
		w->chain[i].told = b->chain[i];
	}
	assert_in_range(b->spread.chains, 1, b->chains);
	for (n = 0; n < w->count && b->chains < a->chains; n++)
		assert_true(has_cleared(w, &w->node[n]));
	if (a->spread.moving) {
		assert_int_equal(b->chains, a->chains);
		assert_int_equal(b->spread.chains, a->spread.chains);
		assert_int_equal(b->spread.move, a->spread.move);
		assert_int_equal(b->spread.moving, left != 0);
		return;
	}
	if (!b->spread.moving) {
		assert_int_equal(b->spread.chains, a->spread.chains);
		assert_true(!w->cluster.held || b->chains == a->chains);
		return;
	}
	assert_false(w->cluster.held);
	w->moves++;
	assert_int_equal(b->spread.move, b->epoch);
	assert_int_equal(b->spread.before, a->spread.chains);
	assert_int_equal(b->chains, a->chains);
	assert_memory_equal(b->chain, a->chain, a->chains * sizeof(*a->chain));
	for (i = 0; i < a->chains; i++) {
		const struct world_chain *c = &w->chain[i];

		assert_int_equal(c->carried.epoch, a->chain[i].epoch);
		assert_false(c->learner.boot);
		assert_int_equal(c->lives, a->chain[i].replicas);
		for (k = 0; k < c->lives; k++)
			assert_true(lives(w, c->live[k]));
	}
	for (n = 0; n < w->count; n++)
		assert_true(w->node[n].presence == PRESENCE_GONE || has_cleared(w, &w->node[n]));
}

static void world_view(struct world *w)
{
	unsigned int i;
	bool is_first;

	world_report(w);
	is_first = !w->before.chains || !w->before.chain[0].founded;
	view_build(&w->after, &w->before, &w->cluster, w->node, w->count, w->report);
	for (i = 0; i < w->after.chains && w->after.chain[0].founded; i++) {
		if (!is_first) {
			if (i < w->before.chains)
				check_chain(w, i);
			continue;
		}
		assert_int_equal(w->after.chain[i].founded, 1);
		w->chain[i].told = w->after.chain[i];
	}
	if (!is_first)
		check_spread(w);
	for (i = 0; i < w->count; i++)
		if (!w->after.spread.moving && below(w, 2))
			w->node[i].cleared = w->after.spread.move;
	w->before = w->after;
	for (i = 0; i < w->after.chains; i++)
		if (w->after.chain[0].founded && below(w, 2))
			world_act(w, &w->chain[i]);
}

// Faults are over: every chain is whole, places are even, who leaves has nothing.
static void world_settle(struct world *w)
{
	unsigned int data[WORLD_NODES] = {}, votes[WORLD_NODES] = {}, low = ~0u, high = 0, i, k;
	unsigned int replicas;
	size_t n;

	for (n = 0; n < w->count; n++)
		w->node[n].presence = PRESENCE_HERE;
	for (i = 0; i < 1500; i++)
		world_view(w);
	replicas = view_replicas(&w->cluster, w->node, w->count);
	// New voters have forgotten before they were in force: nobody publishes a view in their
	// place yet, and nothing is planned meanwhile.
	for (i = 0; i < w->before.chains; i++)
		if (!carries(w, &w->chain[i].told)) {
			assert_true(carries(w, &w->chain[i].carried));
			w->stuck = true;
			return;
		}
	if (replicas) {
		assert_int_equal(w->before.chains, w->cluster.chains);
		assert_int_equal(w->before.spread.chains, w->cluster.chains);
	}
	for (i = 0; i < w->before.chains; i++) {
		const struct view_chain *chain = &w->before.chain[i];
		struct world_chain *c = &w->chain[i];

		if (replicas)
			assert_int_equal(chain->replicas, replicas);
		assert_int_equal(c->lives, chain->replicas);
		for (k = 0; k < chain->voters; k++) {
			n = (size_t)(view_node_find(w->node, w->count, chain->voter[k].node) -
				     w->node);
			assert_true(lives(w, chain->voter[k]));
			votes[n]++;
			data[n] += k < chain->replicas;
			if (k < chain->replicas)
				assert_true(is_in(c->live, c->lives, chain->voter[k]));
		}
	}
	for (n = 0; n < w->count && replicas; n++) {
		if (w->node[n].drain) {
			assert_int_equal(votes[n], 0);
			continue;
		}
		if (!(w->node[n].roles & ROLE_FTN))
			continue;
		low = data[n] < low ? data[n] : low;
		high = data[n] > high ? data[n] : high;
	}
	if (replicas)
		assert_in_range(high - low, 0, 1);
}

static void test_histories(void **state)
{
	struct world *w = malloc(sizeof(*w));
	unsigned int changes = 0, anew = 0, forced = 0, moves = 0, whole = 0;

	for (uint64_t seed = 1; seed <= 100; seed++) {
		memset(w, 0, sizeof(*w));
		w->seed = seed;
		w->cluster = cluster_of("10.0.0.1", "10.0.0.4", 3, WORLD_CHAINS);
		for (int i = 0; i < 6; i++)
			add_node(w);
		for (int i = 0; i < 400; i++) {
			if (!below(w, 4))
				world_fault(w);
			// A VPC goes elsewhere, while the number of chains does not change.
			if (!below(w, 8))
				w->cluster.held = !w->cluster.held && !w->before.spread.moving &&
						  w->before.chains == w->before.spread.chains;
			world_view(w);
		}
		w->cluster.held = false;
		if (w->before.chains && w->before.chain[0].founded)
			world_settle(w);
		changes += w->changes;
		anew += w->anew;
		forced += w->forced;
		moves += w->moves;
		whole += !w->stuck;
	}
	print_message("%u changes of voters, %u lists by force, %u chains founded anew, %u moves, "
		      "%u of 100 worlds whole\n",
		      changes, forced, anew, moves, whole);
	assert_true(moves > 20);
	assert_true(changes > 1000);
	assert_true(anew > 10);
	assert_true(forced > 10);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entrance_count),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_entrance_macs),
		cmocka_unit_test(test_entrances_stay),
		cmocka_unit_test(test_entrances_leave_the_gone),
		cmocka_unit_test(test_preference),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_histories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
