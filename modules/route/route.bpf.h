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

// subnet: which the address is in, or NULL. NULL: no route has it, or the subnet's prefix is as
// long.
inlined const struct route_value *route_of(__u32 vni, const struct in6_addr *address,
					   const struct subnet_value *subnet)
{
	struct subnet_key key = {
		.prefix_bits = 32 + 128,
		.vni = bpf_htonl(vni),
		.address = *address,
	};
	const struct route_value *route = bpf_map_lookup_elem(&routes, &key);

	if (!route)
		return NULL;
	// IPv6's default route is none of IPv4, whose addresses lie inside.
	if (route->bits < V4_MAPPED_BITS && address_is_v4(address))
		return NULL;
	return subnet && subnet->bits >= route->bits ? NULL : route;
}
