// SPDX-License-Identifier: Apache-2.0
// Spreads entrances over forwarders and chains over flow table nodes.
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

static unsigned int owned(const struct view *view, uint32_t owner)
{
	unsigned int i, n = 0;

	for (i = 0; i < view->entrances; i++)
		n += view->entrance[i].owner == owner;
	return n;
}

static int is_forwarder(const struct view_node *nodes, size_t count, uint32_t index)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (nodes[i].index == index)
			return nodes[i].roles & ROLE_FWD;
	return 0;
}

static void find_extremes(const struct view *view, const struct view_node *nodes, size_t count,
			  uint32_t *least, uint32_t *most)
{
	unsigned int n, low = MAX_ENTRANCES + 1, high = 0;
	size_t i;

	*least = *most = 0;
	for (i = 0; i < count; i++) {
		if (!(nodes[i].roles & ROLE_FWD))
			continue;
		n = owned(view, nodes[i].index);
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

static void spread_entrances(struct view *view, const struct view_node *nodes, size_t count)
{
	uint32_t least, most;
	unsigned int i;

	for (i = 0; i < view->entrances; i++) {
		if (view->entrance[i].owner)
			continue;
		find_extremes(view, nodes, count, &least, &most);
		view->entrance[i].owner = least;
	}
	for (;;) {
		find_extremes(view, nodes, count, &least, &most);
		if (owned(view, most) <= owned(view, least) + 1)
			return;
		for (i = view->entrances; view->entrance[i - 1].owner != most; i--)
			;
		view->entrance[i - 1].owner = least;
	}
}

static void build_chains(struct view *view, const struct view_cluster *cluster,
			 const struct view_node *nodes, size_t count)
{
	uint32_t ftn[MAX_NODES];
	unsigned int ftns = 0, i, k;
	size_t n;

	for (n = 0; n < count && ftns < MAX_NODES; n++)
		if (nodes[n].roles & ROLE_FTN)
			ftn[ftns++] = nodes[n].index;
	if (!ftns)
		return;
	view->chains = cluster->chains ? cluster->chains : ftns;
	for (i = 0; i < view->chains; i++) {
		view->chain[i].term = 1;
		view->chain[i].replicas = cluster->replicas < ftns ? cluster->replicas : ftns;
		for (k = 0; k < view->chain[i].replicas; k++)
			view->chain[i].replica[k] = ftn[(i + k) % ftns];
	}
}

void view_build(struct view *view, const struct view *before, const struct view_cluster *cluster,
		const struct view_node *nodes, size_t count)
{
	struct view_entrance *entrance;
	unsigned int i;

	memset(view, 0, sizeof(*view));
	view->epoch = before ? before->epoch + 1 : 1;
	view->entrances = entrance_count(&cluster->entrance_first, &cluster->entrance_last);
	for (i = 0; i < view->entrances; i++) {
		entrance = &view->entrance[i];
		entrance->ip = cluster->entrance_first;
		entrance->ip.s6_addr32[3] = htonl(ntohl(entrance->ip.s6_addr32[3]) + i);
		set_mac(entrance, cluster->number);
		entrance->owner = owner_before(before, &entrance->ip);
		if (!is_forwarder(nodes, count, entrance->owner))
			entrance->owner = 0;
	}
	spread_entrances(view, nodes, count);
	build_chains(view, cluster, nodes, count);
}
