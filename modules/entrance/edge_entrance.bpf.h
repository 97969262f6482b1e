/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A cluster as a host sees it: a list of entrances, one of which serves a flow.
#pragma once

#include "modules/overlay/edge_overlay.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HOST_CLUSTERS);
	__type(key, __u32);
	__type(value, struct edge_entrances);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} edge_entrances SEC(".maps");

// Of which cluster an address is an entrance.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HOST_CLUSTERS *MAX_EDGE_ENTRANCES);
	__type(key, struct in6_addr);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} edge_entrance_by_ip SEC(".maps");

// Both directions of a flow have the same hash, hence the same entrance, on whatever host they
// begin, if the hosts know the same list.
inlined enum verdict edge_entrance(struct tunnel_end *to, __u32 cluster, __u32 hash)
{
	const struct edge_entrances *entrances = bpf_map_lookup_elem(&edge_entrances, &cluster);
	__u32 index;

	if (!entrances || !entrances->count)
		return NO_ENTRANCE;
	index = hash % entrances->count;
	if (index >= MAX_EDGE_ENTRANCES)
		return NO_ENTRANCE;
	to->ip = address_v4(&entrances->entrance[index].ip);
	__builtin_memcpy(to->mac, entrances->entrance[index].mac, sizeof(to->mac));
	to->verdict = EDGE_TO_ENTRANCE;
	return GO_ON;
}

inlined int edge_is_entrance(__be32 ip)
{
	const struct in6_addr address = address_of_v4(ip);

	return bpf_map_lookup_elem(&edge_entrance_by_ip, &address) != NULL;
}
