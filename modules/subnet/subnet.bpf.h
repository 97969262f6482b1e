/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Which subnet of a VPC an address is in.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/tenant.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_SUBNETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct subnet_key);
	__type(value, struct subnet_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} subnets SEC(".maps");

inlined const struct subnet_value *subnet_of(__u32 vni, const struct in6_addr *address)
{
	struct subnet_key key = {
		.prefix_bits = 32 + 128,
		.vni = bpf_htonl(vni),
		.address = *address,
	};

	return bpf_map_lookup_elem(&subnets, &key);
}

inlined int subnet_has_gateway(const struct subnet_value *subnet)
{
	const struct in6_addr *a = &subnet->gateway;

	return (a->in6_u.u6_addr32[0] | a->in6_u.u6_addr32[1] | a->in6_u.u6_addr32[2] |
		a->in6_u.u6_addr32[3]) != 0;
}

// Its number; 0: none, as everywhere in a VPC that is a single segment.
inlined __u32 subnet_number(__u32 vni, const struct in6_addr *address)
{
	const struct subnet_value *s = subnet_of(vni, address);

	return s ? s->subnet : 0;
}
