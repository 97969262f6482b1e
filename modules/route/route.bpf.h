/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// By which route of its VPC an address is reached. Flow table nodes have all of them.
#pragma once

#include "modules/subnet/subnet.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_ROUTES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct subnet_key);
	__type(value, struct route_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} routes SEC(".maps");

// The longest, whatever subnets there are.
inlined const struct route_value *route_longest(__u32 vni, const struct in6_addr *address)
{
	struct subnet_key key = {
		.prefix_bits = 32 + 128,
		.vni = bpf_htonl(vni),
		.address = *address,
	};
	const struct route_value *route = bpf_map_lookup_elem(&routes, &key);

	// IPv6's default route is none of IPv4, whose addresses lie inside.
	if (route && route->bits < V4_MAPPED_BITS && address_is_v4(address))
		return NULL;
	return route;
}

// subnet: which the address is in, or NULL. Its prefix counts where it is as long.
inlined int route_counts(const struct route_value *route, const struct subnet_value *subnet)
{
	return !subnet || subnet->bits < route->bits;
}

// NULL: no route has it, or none that counts.
inlined const struct route_value *route_of(__u32 vni, const struct in6_addr *address,
					   const struct subnet_value *subnet)
{
	const struct route_value *route = route_longest(vni, address);

	return route && route_counts(route, subnet) ? route : NULL;
}
