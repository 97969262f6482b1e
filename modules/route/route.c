// SPDX-License-Identifier: Apache-2.0
// Routes of all VPCs share one prefix tree, which begins with the VNI, as subnets do.
#include "modules/route/route.h"

#include <arpa/inet.h>

static int put_next_hops(const Zeta__Node__V1__Route *route, const struct subnet_key *key,
			 struct entries *entries)
{
	struct next_hops_value value = {};
	int err;

	if (route->n_next_hops > MAX_NEXT_HOPS)
		return entries_refuse(entries, "%zu next hops are more than %u", route->n_next_hops,
				      MAX_NEXT_HOPS);
	for (; value.count < route->n_next_hops; value.count++)
		if ((err = entries_ip(entries, "next_hops", route->next_hops[value.count],
				      &value.hop[value.count])))
			return err;
	return entries->put(entries, TABLE_NEXT_HOPS, key, &value);
}

static int route_entry(const Zeta__Node__V1__Route *route, struct subnet_key *key,
		       struct entries *entries)
{
	struct route_value value = {.kind = ROUTE_BLACKHOLE, .bits = (__u8)route->prefix_length};
	int err;

	if ((err = entries_prefix(entries, "prefix", route->prefix, route->prefix_length,
				  &key->address)))
		return err;
	key->prefix_bits = 8 * sizeof(key->vni) + route->prefix_length;
	if (route->n_next_hops) {
		value.kind = ROUTE_SHARED;
		value.next_hop = key->address;
		if ((err = put_next_hops(route, key, entries)))
			return err;
	} else if (route->next_hop.len) {
		value.kind = ROUTE_VIA;
		if ((err = entries_ip(entries, "next_hop", route->next_hop, &value.next_hop)))
			return err;
	}
	return entries->put(entries, TABLE_ROUTES, key, &value);
}

int route_block_entries(const Zeta__Node__V1__RouteBlock *block, struct entries *entries)
{
	struct subnet_key key = {.vni = htonl(block->vni)};
	size_t i;
	int err;

	if (!block->vni || block->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", block->vni);
	for (i = 0; i < block->n_route; i++)
		if ((err = route_entry(block->route[i], &key, entries)))
			return err;
	return 0;
}
