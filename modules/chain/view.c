// SPDX-License-Identifier: Apache-2.0
// Spreads entrances over forwarders, replicas over flow table nodes, votes over all of them.
#include "modules/chain/view.h"

#include <arpa/inet.h>
#include <string.h>

unsigned int entrance_count(const struct in6_addr *first, const struct in6_addr *last)
{
	uint32_t low = ntohl(first->s6_addr32[3]), high = ntohl(last->s6_addr32[3]);

	// The range is short: only the last word may differ. This keeps families apart as well.
	if (memcmp(first, last, 12) || high < low || high - low >= MAX_ENTRANCES)
		return 0;
	return high - low + 1;
}

// 02:5a: locally administered. The cluster's number keeps clusters on one wire apart, the last
// three bytes of the address keep a cluster's entrances apart: there are at most 64, in a row.
static void set_mac(struct view_entrance *entrance, uint32_t cluster)
{
	const uint8_t mac[6] = {0x02,
				0x5a,
				(uint8_t)cluster,
				entrance->ip.s6_addr[13],
				entrance->ip.s6_addr[14],
				entrance->ip.s6_addr[15]};

	memcpy(entrance->mac, mac, sizeof(mac));
}

static uint32_t owner_before(const struct view *before, const struct in6_addr *ip)
{
	unsigned int i;

	for (i = 0; before && i < before->entrances; i++)
		if (!memcmp(&before->entrance[i].ip, ip, sizeof(*ip)))
			return before->entrance[i].owner;
	return 0;
}

static unsigned int owned_by(const struct view *view, uint32_t owner)
{
	unsigned int i, n = 0;

	for (i = 0; i < view->entrances; i++)
		n += view->entrance[i].owner == owner;
	return n;
}

const struct view_node *view_node_find(const struct view_node *nodes, size_t count, uint32_t index)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (nodes[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && nodes[low].index == index ? &nodes[low] : NULL;
}

bool view_lives(const struct view_node *nodes, size_t count, struct view_name name)
{
	const struct view_node *node = view_node_find(nodes, count, name.node);

	return node && node->presence == PRESENCE_HERE && node->boot == name.boot;
}

bool view_is_over(const struct view_node *nodes, size_t count, struct view_name name)
{
	const struct view_node *node = view_node_find(nodes, count, name.node);

	return !node || (node->boot && node->boot != name.boot);
}

unsigned int view_living_voters(const struct view_chain *chain, const struct view_node *nodes,
				size_t count)
{
	unsigned int i, n = 0;

	for (i = 0; i < chain->voters; i++)
		n += view_lives(nodes, count, chain->voter[i]);
	return n;
}

unsigned int view_replicas(const struct view_cluster *cluster, const struct view_node *nodes,
			   size_t count)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < count; i++)
		n += nodes[i].roles & ROLE_FTN && !nodes[i].drain;
	return n < cluster->replicas ? n : cluster->replicas;
}

static bool in_path(const struct view_report *report, unsigned int length, struct view_name name)
{
	unsigned int i;

	for (i = 0; i < length; i++)
		if (report->path[i].node == name.node && report->path[i].boot == name.boot)
			return true;
	return false;
}

static bool is_majority(const struct view_chain *chain, unsigned int voters)
{
	return voters * 2 > chain->voters;
}

// What was told last is in force, and nobody is left behind who would take the next for it.
static bool is_settled(const struct view_chain *chain, const struct view_report *report)
{
	return is_majority(chain, (unsigned int)__builtin_popcount(report->settled)) &&
	       !(report->heard & ~report->settled);
}

bool view_is_busy(const struct view_chain *chain, const struct view_report *report,
		  const struct view_node *nodes, size_t count)
{
	unsigned int i;

	if (!is_settled(chain, report) || report->learner || report->live > chain->replicas)
		return true;
	for (i = 0; i < chain->replicas; i++)
		if (view_lives(nodes, count, chain->voter[i]) &&
		    !in_path(report, report->live, chain->voter[i]))
			return true;
	return false;
}

// ---- by force

static unsigned int count_over(const struct view_node *nodes, size_t count,
			       const struct view_name *names, unsigned int most)
{
	unsigned int i, n = 0;

	for (i = 0; i < most; i++)
		n += view_is_over(nodes, count, names[i]);
	return n;
}

static unsigned int count_lives(const struct view_node *nodes, size_t count,
				const struct view_name *names, unsigned int most)
{
	unsigned int i, n = 0;

	for (i = 0; i < most; i++)
		n += view_lives(nodes, count, names[i]);
	return n;
}

// Whether one of those names is away, and perhaps not for long.
static bool is_awaited(const struct view_node *nodes, size_t count, const struct view_name *names,
		       unsigned int most)
{
	const struct view_node *node;
	unsigned int i;

	for (i = 0; i < most; i++) {
		node = view_node_find(nodes, count, names[i].node);
		if (!view_is_over(nodes, count, names[i]) && node->presence == PRESENCE_AWAITED)
			return true;
	}
	return false;
}

// Whether a voter is here that has not said what it knows, or where away ones count, away.
static bool is_untold(const struct view_chain *chain, const struct view_report *report,
		      const struct view_node *nodes, size_t count, bool away)
{
	unsigned int i;

	for (i = 0; i < chain->voters; i++)
		if (!(report->heard >> i & 1) &&
		    (away ? !view_is_over(nodes, count, chain->voter[i])
			  : view_lives(nodes, count, chain->voter[i])))
			return true;
	return false;
}

enum view_force view_force(const struct view_chain *chain, const struct view_report *report,
			   const struct view_node *nodes, size_t count)
{
	// Who knows nothing since the list began was not told yet.
	bool is_old = report->epoch < (chain->forced ?: chain->founded);
	bool is_told = is_old || !report->voters;
	const struct view_name *voter = is_told ? chain->voter : report->voter;
	unsigned int voters = is_told ? chain->voters : report->voters;
	unsigned int live = is_old ? 0 : report->live;
	bool lost = live && count_over(nodes, count, report->path, live) == live;

	if (count_over(nodes, count, voter, voters) * 2 < voters && !lost)
		return FORCE_NONE;
	if (is_awaited(nodes, count, chain->voter, chain->voters) ||
	    is_awaited(nodes, count, voter, voters) ||
	    is_awaited(nodes, count, report->path, live) ||
	    is_untold(chain, report, nodes, count, false))
		return FORCE_WAITS;
	if (count_lives(nodes, count, report->path, live))
		return FORCE_LIST;
	if (is_untold(chain, report, nodes, count, true) || (report->heard && !lost))
		return FORCE_WAITS;
	return FORCE_EMPTY;
}

// ---- entrances

// Forwarders that may own entrances: those that are not gone and do not leave; where there are none
// of these, any is better than nobody.
static bool is_usable(const struct view_node *node)
{
	return node->roles & ROLE_FWD && !node->drain && node->presence != PRESENCE_GONE;
}

static bool is_any_usable(const struct view_node *nodes, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (is_usable(&nodes[i]))
			return true;
	return false;
}

static bool may_own(const struct view_node *node, bool any_usable)
{
	return any_usable ? is_usable(node) : node->roles & ROLE_FWD;
}

static void find_extremes(const struct view *view, const struct view_node *nodes, size_t count,
			  bool any_usable, uint32_t *least, uint32_t *most)
{
	unsigned int n, low = MAX_ENTRANCES + 1, high = 0;
	size_t i;

	*least = *most = 0;
	for (i = 0; i < count; i++) {
		if (!may_own(&nodes[i], any_usable))
			continue;
		n = owned_by(view, nodes[i].index);
		if (n < low) {
			low = n;
			*least = nodes[i].index;
		}
		if (!*most || n > high) {
			high = n;
			*most = nodes[i].index;
		}
	}
}

static void spread_entrances(struct view *view, const struct view_node *nodes, size_t count,
			     bool any_usable)
{
	uint32_t least, most;
	unsigned int i;

	for (i = 0; i < view->entrances; i++) {
		if (view->entrance[i].owner)
			continue;
		find_extremes(view, nodes, count, any_usable, &least, &most);
		view->entrance[i].owner = least;
	}
	for (;;) {
		find_extremes(view, nodes, count, any_usable, &least, &most);
		if (owned_by(view, most) <= owned_by(view, least) + 1)
			return;
		for (i = view->entrances; view->entrance[i - 1].owner != most; i--)
			;
		view->entrance[i - 1].owner = least;
	}
}

static void build_entrances(struct view *view, const struct view *before,
			    const struct view_cluster *cluster, const struct view_node *nodes,
			    size_t count)
{
	bool any_usable = is_any_usable(nodes, count);
	struct view_entrance *entrance;
	const struct view_node *owner;
	unsigned int i;

	view->entrances = entrance_count(&cluster->entrance_first, &cluster->entrance_last);
	for (i = 0; i < view->entrances; i++) {
		entrance = &view->entrance[i];
		entrance->ip = cluster->entrance_first;
		entrance->ip.s6_addr32[3] = htonl(ntohl(entrance->ip.s6_addr32[3]) + i);
		set_mac(entrance, cluster->number);
		entrance->owner = owner_before(before, &entrance->ip);
		owner = view_node_find(nodes, count, entrance->owner);
		if (!owner || !may_own(owner, any_usable))
			entrance->owner = 0;
	}
	spread_entrances(view, nodes, count, any_usable);
}

unsigned int view_preference(const struct view *view, unsigned int entrance,
			     const struct view_node *nodes, size_t count, uint32_t *order)
{
	uint32_t owner = view->entrance[entrance].owner;
	unsigned int length = 0, usable, rank = 0, i, k;
	bool any_usable = is_any_usable(nodes, count);
	size_t n;

	if (!owner)
		return 0;
	// The owner's first entrance goes to the next one, its second to the one after that.
	for (i = 0; i < entrance; i++)
		rank += view->entrance[i].owner == owner;
	order[length++] = owner;
	for (n = 0; n < count; n++)
		if (may_own(&nodes[n], any_usable) && nodes[n].index != owner)
			order[length++] = nodes[n].index;
	usable = length - 1;
	for (i = 1; i <= usable && order[i] < owner; i++)
		rank++;
	for (k = usable ? rank % usable : 0; k; k--) {
		uint32_t first = order[1];

		memmove(&order[1], &order[2], (usable - 1) * sizeof(*order));
		order[usable] = first;
	}
	for (n = 0; any_usable && n < count; n++)
		if (nodes[n].roles & ROLE_FWD && !nodes[n].drain && !is_usable(&nodes[n]))
			order[length++] = nodes[n].index;
	return length;
}

// ---- chains

// How many places a node has, over all chains.
struct load {
	unsigned int heads; // first of the voters: the head, as long as nothing happens
	unsigned int data;
	unsigned int votes;
};

struct work {
	struct view *view;
	const struct view_node *nodes;
	size_t count;
	const struct view_report *reports;
	unsigned int replicas; // that each chain shall have
	unsigned int voters;   // that there are nodes for
	bool may_plan;	       // nothing planned is on its way
	struct load load[MAX_NODES];
};

enum place { PLACE_HEAD, PLACE_DATA, PLACE_VOTE };

static void count_places(struct work *w, const struct view_chain *chain, unsigned int sign)
{
	const struct view_node *node;
	struct load *load;
	unsigned int i;

	for (i = 0; i < chain->voters; i++) {
		node = view_node_find(w->nodes, w->count, chain->voter[i].node);
		if (!node)
			continue;
		load = &w->load[node - w->nodes];
		load->heads += i == 0 ? sign : 0;
		load->data += i < chain->replicas ? sign : 0;
		load->votes += sign;
	}
}

static unsigned int load_of(const struct work *w, const struct view_node *node, enum place place)
{
	const struct load *load = &w->load[node - w->nodes];

	return place == PLACE_HEAD ? load->heads : place == PLACE_DATA ? load->data : load->votes;
}

static int place_among(const struct view_chain *chain, unsigned int voters, uint32_t node)
{
	unsigned int i;

	for (i = 0; i < voters; i++)
		if (chain->voter[i].node == node)
			return (int)i;
	return -1;
}

static struct view_name name_of(const struct view_node *node)
{
	return (struct view_name){node->index, node->boot};
}

// Of the nodes (here: of those that are here) that may have the place and are not among the first
// `among` voters, the one with the fewest such places; among equals the first from start on, and
// round again. NULL: there is none.
static const struct view_node *choose(const struct work *w, const struct view_chain *chain,
				      unsigned int among, enum place place, bool here, size_t start)
{
	const struct view_node *best = NULL, *node;
	size_t i;

	for (i = 0; i < w->count; i++) {
		node = &w->nodes[(start + i) % w->count];
		if (node->drain || (place != PLACE_VOTE && !(node->roles & ROLE_FTN)) ||
		    (here && node->presence != PRESENCE_HERE) ||
		    place_among(chain, among, node->index) >= 0)
			continue;
		if (!best || load_of(w, node, place) < load_of(w, best, place))
			best = node;
	}
	return best;
}

static void add_witnesses(struct work *w, struct view_chain *chain, size_t start, bool here)
{
	const struct view_node *node;

	while (chain->replicas && chain->voters < w->voters) {
		node = choose(w, chain, chain->voters, PLACE_VOTE, here, start);
		if (!node)
			break;
		start = (size_t)(node - w->nodes) + 1;
		chain->voter[chain->voters++] = name_of(node);
	}
}

// Voters for a chain that has none: heads and replicas spread evenly, then witnesses.
static void plan_chain(struct work *w, struct view_chain *chain, unsigned int number, bool here)
{
	const struct view_node *node;
	size_t start = number;

	chain->voters = chain->replicas = 0;
	for (; chain->replicas < w->replicas; chain->replicas++) {
		node = choose(w, chain, chain->voters, chain->voters ? PLACE_DATA : PLACE_HEAD,
			      here, start);
		if (!node)
			break;
		start = (size_t)(node - w->nodes) + 1;
		chain->voter[chain->voters++] = name_of(node);
	}
	add_witnesses(w, chain, start, here);
	count_places(w, chain, 1);
}

static void swap_voters(struct view_chain *chain, unsigned int a, unsigned int b)
{
	struct view_name name = chain->voter[a];

	chain->voter[a] = chain->voter[b];
	chain->voter[b] = name;
}

static void drop_voter(struct view_chain *chain, unsigned int place)
{
	chain->voters--;
	memmove(&chain->voter[place], &chain->voter[place + 1],
		(chain->voters - place) * sizeof(*chain->voter));
}

// The node takes the place of a replica; where it is a witness already, they change places.
static void take_place(struct view_chain *chain, unsigned int place, const struct view_node *node)
{
	int witness = place_among(chain, chain->voters, node->index);

	if (witness >= 0)
		swap_voters(chain, place, (unsigned int)witness);
	else
		chain->voter[place] = name_of(node);
}

// The following are what may be changed in a chain, one of them in a step, in this order. Each
// returns whether it changed something.

// A node that lives another life is another one: it takes the place of the one it was.
static bool rename_voter(struct work *w, struct view_chain *chain)
{
	const struct view_node *node;
	unsigned int i;

	for (i = 0; i < chain->voters; i++) {
		node = view_node_find(w->nodes, w->count, chain->voter[i].node);
		if (node && node->presence == PRESENCE_HERE && node->boot != chain->voter[i].boot) {
			chain->voter[i] = name_of(node);
			return true;
		}
	}
	return false;
}

static bool is_lost(const struct view_node *node)
{
	return !node || node->presence == PRESENCE_GONE;
}

// A spare takes the place of a replica that is gone, or leaves, or is not of this role any more.
static bool replace_replica(struct work *w, struct view_chain *chain)
{
	const struct view_node *node, *spare;
	unsigned int i;
	bool leaves;

	for (i = 0; i < chain->replicas; i++) {
		node = view_node_find(w->nodes, w->count, chain->voter[i].node);
		leaves = node && (node->drain || !(node->roles & ROLE_FTN));
		if (!is_lost(node) && !(leaves && w->may_plan))
			continue;
		spare = choose(w, chain, chain->replicas, PLACE_DATA, true, i);
		if (!spare)
			continue;
		take_place(chain, i, spare);
		return true;
	}
	return false;
}

static unsigned int last_witness(const struct work *w, const struct view_chain *chain)
{
	unsigned int i;

	for (i = chain->voters; i > chain->replicas; i--)
		if (!view_lives(w->nodes, w->count, chain->voter[i - 1]))
			return i - 1;
	return chain->voters - 1;
}

static bool add_replica(struct work *w, struct view_chain *chain)
{
	const struct view_node *node;
	int witness;

	if (chain->replicas >= w->replicas)
		return false;
	node = choose(w, chain, chain->replicas, PLACE_DATA, true, chain->voters);
	if (!node)
		return false;
	witness = place_among(chain, chain->voters, node->index);
	if (witness < 0 && chain->voters == MAX_VOTERS)
		drop_voter(chain, last_witness(w, chain));
	if (witness < 0) {
		witness = (int)chain->voters++;
		chain->voter[witness] = name_of(node);
	}
	swap_voters(chain, chain->replicas++, (unsigned int)witness);
	return true;
}

// Fewer are wanted, or there are not nodes for so many: who is lost goes first, then who leaves.
static bool drop_replica(struct work *w, struct view_chain *chain)
{
	unsigned int i, worst = 0, rank, most = 0;
	const struct view_node *node;

	if (chain->replicas <= w->replicas || chain->replicas == 1)
		return false;
	for (i = 0; i < chain->replicas; i++) {
		node = view_node_find(w->nodes, w->count, chain->voter[i].node);
		rank = is_lost(node) ? 3 : node->drain ? 2 : !(node->roles & ROLE_FTN) ? 2 : 1;
		if (rank >= most) {
			most = rank;
			worst = i;
		}
	}
	if (most < 3 && !w->may_plan)
		return false;
	chain->replicas--;
	while (worst < chain->replicas) {
		swap_voters(chain, worst, worst + 1);
		worst++;
	}
	return true;
}

static bool replace_witness(struct work *w, struct view_chain *chain)
{
	const struct view_node *node, *spare;
	unsigned int i;

	for (i = chain->replicas; i < chain->voters; i++) {
		node = view_node_find(w->nodes, w->count, chain->voter[i].node);
		if (!is_lost(node) && !(node->drain && w->may_plan))
			continue;
		spare = choose(w, chain, chain->voters, PLACE_VOTE, true, i);
		if (spare)
			chain->voter[i] = name_of(spare);
		else if (!node || node->drain)
			drop_voter(chain, i);
		else
			continue; // it may come back
		return true;
	}
	return false;
}

static bool fit_voters(struct work *w, struct view_chain *chain)
{
	const struct view_node *node;

	if (chain->voters > w->voters && chain->voters > chain->replicas) {
		drop_voter(chain, last_witness(w, chain));
		return true;
	}
	if (chain->voters >= w->voters)
		return false;
	node = choose(w, chain, chain->voters, PLACE_VOTE, true, chain->voters);
	if (!node)
		return false;
	chain->voter[chain->voters++] = name_of(node);
	return true;
}

// One place goes from who has the most to who has the fewest, where that makes them more equal.
static bool even_out(struct work *w, struct view_chain *chain)
{
	const struct view_node *node, *most = NULL, *least;
	unsigned int i, place = 0;

	if (!w->may_plan)
		return false;
	least = choose(w, chain, chain->replicas, PLACE_DATA, true, chain->voters);
	for (i = 0; i < chain->replicas; i++) {
		node = view_node_find(w->nodes, w->count, chain->voter[i].node);
		if (node &&
		    (!most || load_of(w, node, PLACE_DATA) > load_of(w, most, PLACE_DATA))) {
			most = node;
			place = i;
		}
	}
	if (!least || !most || load_of(w, most, PLACE_DATA) < load_of(w, least, PLACE_DATA) + 2)
		return false;
	take_place(chain, place, least);
	return true;
}

// Those of the list that are left, as the only replicas: the steps after it make it whole.
static void list_left(struct work *w, struct view_chain *next, unsigned int number,
		      const struct view_report *report)
{
	unsigned int i;

	for (i = 0; i < report->live && next->replicas < MAX_REPLICAS; i++)
		if (view_lives(w->nodes, w->count, report->path[i])) {
			next->voter[next->voters++] = report->path[i];
			next->replicas++;
		}
	add_witnesses(w, next, number, true);
	count_places(w, next, 1);
}

static bool found_anew(struct work *w, struct view_chain *chain, unsigned int number,
		       const struct view_report *report)
{
	enum view_force force = view_force(chain, report, w->nodes, w->count);
	struct view_chain next = {.epoch = chain->epoch + 1, .forced = chain->epoch + 1};

	if (!report->ripe || (force != FORCE_LIST && force != FORCE_EMPTY))
		return false;
	next.founded = force == FORCE_LIST ? chain->founded : next.epoch;
	count_places(w, chain, -1u);
	if (force == FORCE_LIST)
		list_left(w, &next, number, report);
	else
		plan_chain(w, &next, number, true);
	if (!next.replicas) {
		count_places(w, chain, 1);
		return false;
	}
	*chain = next;
	return true;
}

static void step_chain(struct work *w, unsigned int number)
{
	static bool (*const changes[])(struct work *, struct view_chain *) = {
		rename_voter,	 replace_replica, add_replica, drop_replica,
		replace_witness, fit_voters,	  even_out,
	};
	struct view_chain *chain = &w->view->chain[number], next;
	const struct view_report *report = &w->reports[number];
	size_t i;

	if (found_anew(w, chain, number, report) || !is_settled(chain, report))
		return;
	for (i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		next = *chain;
		if (!changes[i](w, &next) ||
		    !is_majority(&next, view_living_voters(&next, w->nodes, w->count)))
			continue;
		count_places(w, chain, -1u);
		count_places(w, &next, 1);
		next.epoch++;
		*chain = next;
		w->may_plan = false;
		return;
	}
}

// Whether there is nobody to wait for, and nodes for all replicas.
static bool may_found(const struct work *w)
{
	unsigned int here = 0;
	size_t i;

	for (i = 0; i < w->count; i++) {
		if (w->nodes[i].presence == PRESENCE_AWAITED)
			return false;
		here += w->nodes[i].presence == PRESENCE_HERE && !w->nodes[i].drain &&
			w->nodes[i].roles & ROLE_FTN;
	}
	return here && here >= w->replicas;
}

// Chains are added up to this number, of this epoch; 0: they cannot be founded yet.
static void add_chains(struct work *w, unsigned int chains, uint32_t epoch)
{
	struct view_chain *chain;
	unsigned int i, k;

	for (i = w->view->chains; i < chains; i++) {
		chain = &w->view->chain[i];
		plan_chain(w, chain, i, epoch != 0);
		chain->epoch = chain->founded = epoch;
		for (k = 0; !epoch && k < chain->voters; k++)
			chain->voter[k].boot = 0;
	}
	w->view->chains = chains;
}

// Whether entrances change hands, now or by the view that is, of which some node has yet to hear.
// Their flows are new to the next owners, and ask chains about all of their packets until these
// have answered. So no ballot is planned then, in which they could not.
static bool gives_entrances(const struct work *w, const struct view *before)
{
	unsigned int i;
	size_t n;

	for (n = 0; n < w->count; n++)
		if (w->nodes[n].behind)
			return true;
	for (i = 0; i < w->view->entrances && i < before->entrances; i++)
		if (w->view->entrance[i].owner != before->entrance[i].owner)
			return true;
	return false;
}

static void step_chains(struct work *w, const struct view *before)
{
	unsigned int i, living;

	if (!w->reports)
		return;
	w->may_plan = !before->spread.moving && !gives_entrances(w, before);
	for (i = 0; i < before->chains; i++) {
		count_places(w, &before->chain[i], 1);
		// Who waits for a majority to come back may wait for ever.
		living = view_living_voters(&before->chain[i], w->nodes, w->count);
		if (is_majority(&before->chain[i], living) &&
		    view_is_busy(&before->chain[i], &w->reports[i], w->nodes, w->count))
			w->may_plan = false;
	}
	for (i = 0; i < before->chains; i++)
		step_chain(w, i);
}

// ---- how many chains

// Whether all who are to have a chain's data do, and are here.
static bool is_whole(const struct work *w, unsigned int number)
{
	const struct view_chain *chain = &w->view->chain[number];
	const struct view_report *report = &w->reports[number];
	unsigned int i;

	if (report->epoch < chain->founded || view_is_busy(chain, report, w->nodes, w->count) ||
	    report->live != chain->replicas)
		return false;
	for (i = 0; i < chain->replicas; i++)
		if (!view_lives(w->nodes, w->count, chain->voter[i]))
			return false;
	return true;
}

// How many nodes may know nothing yet of the last move's end, or have something left of it.
static unsigned int count_behind(const struct work *w)
{
	unsigned int behind = 0;
	size_t i;

	for (i = 0; i < w->count; i++)
		behind += w->nodes[i].presence != PRESENCE_HERE ||
			  w->nodes[i].cleared < w->view->spread.move;
	return behind;
}

static unsigned int count_gone(const struct work *w)
{
	unsigned int gone = 0;
	size_t i;

	for (i = 0; i < w->count; i++)
		gone += w->nodes[i].presence == PRESENCE_GONE;
	return gone;
}

static bool has_moved(const struct work *w)
{
	unsigned int i;

	for (i = 0; i < w->view->chains; i++)
		if (w->reports[i].left)
			return false;
	return true;
}

// One step towards the wanted number, where nothing else has changed.
static void step_spread(struct work *w, const struct view *before, unsigned int wanted)
{
	struct view_spread *spread = &w->view->spread;
	unsigned int behind, i;

	if (spread->moving) {
		spread->moving = !has_moved(w);
		return;
	}
	if (!wanted)
		wanted = spread->chains;
	if ((w->view->chains == wanted && spread->chains == wanted) ||
	    memcmp(w->view->chain, before->chain, before->chains * sizeof(*before->chain)) != 0)
		return;
	behind = count_behind(w);
	if (w->view->chains > wanted && w->view->chains > spread->chains) {
		// Who does not know better asks there, and is told where to ask.
		if (!behind)
			w->view->chains = wanted > spread->chains ? wanted : spread->chains;
		return;
	}
	if (behind > count_gone(w))
		return;
	for (i = 0; i < w->view->chains; i++)
		if (!is_whole(w, i))
			return;
	if (w->view->chains < wanted) {
		if (may_found(w))
			add_chains(w, wanted, w->view->epoch);
		return;
	}
	*spread = (struct view_spread){
		.chains = wanted, .before = spread->chains, .move = w->view->epoch, .moving = true};
}

static void build_chains(struct view *view, const struct view *before,
			 const struct view_cluster *cluster, const struct view_node *nodes,
			 size_t count, const struct view_report *reports)
{
	struct work w = {.view = view, .nodes = nodes, .count = count, .reports = reports};
	unsigned int ftns = 0;
	bool found;
	size_t i;

	for (i = 0; i < count; i++) {
		ftns += (nodes[i].roles & ROLE_FTN) != 0;
		w.voters += !nodes[i].drain;
	}
	w.replicas = view_replicas(cluster, nodes, count);
	if (w.voters > MAX_VOTERS)
		w.voters = MAX_VOTERS;
	// An even number tolerates no more deaths than the odd one below it.
	if (w.voters % 2 == 0 && w.voters > w.replicas)
		w.voters--;
	if (!before || !before->chains || !before->chain[0].founded) {
		found = may_found(&w);
		if (ftns)
			add_chains(&w, cluster->chains ? cluster->chains : ftns, found);
		view->spread.chains = view->chains;
		return;
	}
	view->chains = before->chains;
	view->spread = before->spread;
	memcpy(view->chain, before->chain, before->chains * sizeof(*before->chain));
	step_chains(&w, before);
	if (reports)
		step_spread(&w, before, cluster->held ? 0 : cluster->chains);
}

void view_build(struct view *view, const struct view *before, const struct view_cluster *cluster,
		const struct view_node *nodes, size_t count, const struct view_report *reports)
{
	memset(view, 0, sizeof(*view));
	view->epoch = before ? before->epoch + 1 : 1;
	build_entrances(view, before, cluster, nodes, count);
	build_chains(view, before, cluster, nodes, count, reports);
}
