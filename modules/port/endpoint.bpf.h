/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The directory: which host carries a tenant's address. Flow table nodes hold all of it.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/tenant.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} endpoints SEC(".maps");

inlined const struct endpoint_value *endpoint_find(__u32 vni, const struct in6_addr *address)
{
	struct endpoint_key key = {.vni = vni, .address = *address};

	return bpf_map_lookup_elem(&endpoints, &key);
}

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_ALLOWED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct allowed_key);
	__type(value, struct in6_addr);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} allowed SEC(".maps");

// An address of the port that has this MAC and may send as the address; NULL: none may.
inlined const struct in6_addr *allowed_to(__u32 vni, const __u8 mac[6],
					  const struct in6_addr *address)
{
	struct allowed_key key = {
		.prefix_bits = 32 + 64 + 128,
		.vni = bpf_htonl(vni),
		.address = *address,
	};
	const struct in6_addr *own;

	__builtin_memcpy(key.mac, mac, sizeof(key.mac));
	own = bpf_map_lookup_elem(&allowed, &key);
	// A prefix of IPv6 (::/0) allows no IPv4, whose addresses lie inside.
	return own && address_is_v4(own) == address_is_v4(address) ? own : NULL;
}

inlined void decide_for(struct decision *d, const struct endpoint_value *to, __u32 vni)
{
	d->host = to->host;
	__builtin_memcpy(d->host_mac, to->host_mac, 6);
	__builtin_memcpy(d->to_mac, to->mac, 6);
	vni_put(d->vni, vni);
}
