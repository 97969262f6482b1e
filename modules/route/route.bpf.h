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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SHARED_ROUTES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct subnet_key);
	__type(value, struct next_hops_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} next_hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_UPLINKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} routers_down SEC(".maps");

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

inlined const struct next_hops_value *route_hops(__u32 vni, const struct route_value *route)
{
	struct subnet_key key = {
		.prefix_bits = 32 + route->bits,
		.vni = bpf_htonl(vni),
		.address = route->next_hop,
	};

	return bpf_map_lookup_elem(&next_hops, &key);
}

// Whether the route, which is no blackhole, leads to the router.
verified int route_leads_to(__u32 vni, const struct route_value *route,
			    const struct in6_addr *router)
{
	const struct next_hops_value *hops;
	__u32 i;

	if (!route || !router)
		return 0;
	if (route->kind == ROUTE_VIA)
		return address_equal(&route->next_hop, router);
	hops = route->kind == ROUTE_SHARED ? route_hops(vni, route) : NULL;
	if (!hops)
		return 0;
	LOOPED
	for (i = 0; i < MAX_NEXT_HOPS; i++)
		if (i < hops->count && address_equal(&hops->hop[i], router))
			return 1;
	return 0;
}

// Whom the route, which is no blackhole, hands a connection's packets to: of several one that the
// hash says, or, while that one is down, the next that is not. Where all are, that is as good as
// knowing nothing. Any of them does for any packet: routers remember nothing of connections.
// Returns 0, and *hop is as it was: nobody.
verified int route_hop(__u32 vni, const struct route_value *route, __u32 hash, struct in6_addr *hop)
{
	struct endpoint_key key = {.vni = vni};
	const struct next_hops_value *hops;
	__u32 i, at;

	if (!route || !hop)
		return 0;
	if (route->kind == ROUTE_VIA) {
		*hop = route->next_hop;
		return 1;
	}
	hops = route->kind == ROUTE_SHARED ? route_hops(vni, route) : NULL;
	if (!hops || !hops->count)
		return 0;
	at = hash % hops->count;
	asm volatile("" : "+r"(at)); // the verifier has to see the next line
	*hop = hops->hop[at % MAX_NEXT_HOPS];
	LOOPED
	for (i = 0; i < MAX_NEXT_HOPS; i++) {
		at = (hash + i) % hops->count;
		asm volatile("" : "+r"(at));
		key.address = hops->hop[at % MAX_NEXT_HOPS];
		if (i < hops->count && !bpf_map_lookup_elem(&routers_down, &key)) {
			*hop = key.address;
			return 1;
		}
	}
	return 1;
}
