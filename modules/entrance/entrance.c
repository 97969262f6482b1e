// SPDX-License-Identifier: Apache-2.0
// Gateways look an entrance up; edges choose one of the list by flow hash.
#include "modules/entrance/entrance.h"

#include <string.h>

#include "node/messages.h"

static int read_entrance(const Zeta__Node__V1__Entrance *entrance, struct entries *entries,
			 struct entrance_value *value)
{
	size_t i;
	int err;

	*value = (struct entrance_value){.live = 1, .owner = entrance->owner};
	if (entrance->index >= MAX_ENTRANCES)
		return entries_refuse(entries, "index %u is beyond %u", entrance->index,
				      MAX_ENTRANCES);
	if (entrance->owner >= MAX_NODES)
		return entries_refuse(entries, "owner %u is beyond %u", entrance->owner, MAX_NODES);
	// Who is further down than there is room for is never needed: all before would have to be
	// dead at once.
	for (i = 0; i < entrance->n_preference && i < MAX_PREFERENCES; i++) {
		if (entrance->preference[i] >= MAX_NODES)
			return entries_refuse(entries, "preference %u is beyond %u",
					      entrance->preference[i], MAX_NODES);
		value->preference[value->preferences++] = (__u16)entrance->preference[i];
	}
	err = entries_ip(entries, "ip", entrance->ip, &value->ip);
	return err ? err : entries_mac(entries, "mac", entrance->mac, value->mac);
}

int entrance_entries(const Zeta__Node__V1__Entrance *entrance, struct entries *entries)
{
	struct entrance_value value;
	int err = read_entrance(entrance, entries, &value);

	if (err || !(entries->roles & (NODE_FWD | NODE_FTN)))
		return err;
	err = entries->put(entries, TABLE_ENTRANCES, &entrance->index, &value);
	return err ? err : entries->put(entries, TABLE_ENTRANCE_BY_IP, &value.ip, &entrance->index);
}

static int cluster_entries(const Zeta__Node__V1__Entrance *const *all, size_t count, __u32 cluster,
			   struct entries *entries)
{
	struct entrance_value by_index[MAX_ENTRANCES] = {}, value;
	struct edge_entrances list = {};
	size_t i;
	int err;

	_Static_assert(MAX_ENTRANCES <= MAX_EDGE_ENTRANCES, "an edge knows every entrance");
	for (i = 0; i < count; i++)
		if (all[i]->cluster == cluster && !read_entrance(all[i], entries, &value))
			by_index[all[i]->index] = value;
	for (i = 0; i < MAX_ENTRANCES; i++) {
		if (!by_index[i].live)
			continue;
		if ((err = entries->put(entries, TABLE_EDGE_ENTRANCE_BY_IP, &by_index[i].ip,
					&cluster)))
			return err;
		list.entrance[list.count].ip = by_index[i].ip;
		memcpy(list.entrance[list.count++].mac, by_index[i].mac, 6);
	}
	return list.count ? entries->put(entries, TABLE_EDGE_ENTRANCES, &cluster, &list) : 0;
}

int entrance_edge_entries(const Zeta__Node__V1__Entrance *const *all, size_t count,
			  struct entries *entries)
{
	size_t i, before;
	int err;

	if (!(entries->roles & NODE_EDGE))
		return 0;
	for (i = 0; i < count; i++) {
		for (before = 0; all[before]->cluster != all[i]->cluster; before++)
			;
		if (before == i && (err = cluster_entries(all, count, all[i]->cluster, entries)))
			return err;
	}
	return 0;
}
