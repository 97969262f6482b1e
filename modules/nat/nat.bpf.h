/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Which addresses of an external VPC are a NAT's, and who has them.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/key.h"
#include "shared/nat.h"
#include "shared/tenant.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAT_OUTSIDE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, struct nat_address_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nat_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAT_SUBNETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct nat_source_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nat_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAT_INSIDE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct nat_forward_key);
	__type(value, struct nat_forward_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nat_forwards SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_NAT_REFUSING);
	__type(key, struct endpoint_key);
	__type(value, struct nat_refusing_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nat_refusing SEC(".maps");

// No port of this address is free for a connection.
inlined void nat_refused(__u32 vni, const struct in6_addr *address)
{
	struct endpoint_key key = {.vni = vni, .address = *address};
	struct nat_refusing_value *r = bpf_map_lookup_elem(&nat_refusing, &key);

	if (!r) {
		bpf_map_update_elem(&nat_refusing, &key, &(struct nat_refusing_value){},
				    BPF_NOEXIST);
		r = bpf_map_lookup_elem(&nat_refusing, &key);
	}
	if (!r)
		return;
	r->last_ns = bpf_ktime_get_coarse_ns();
	__sync_fetch_and_add(&r->refused, 1);
}

inlined const struct nat_address_value *nat_address_find(__u32 vni, const struct in6_addr *address)
{
	struct endpoint_key key = {.vni = vni, .address = *address};

	return bpf_map_lookup_elem(&nat_addresses, &key);
}

// All connections of an endpoint have one of the addresses (RFC 4787 REQ-2).
inlined const struct in6_addr *nat_address_for(const struct nat_source_value *from,
					       const struct in6_addr *inside)
{
	struct session_key key = {.a = *inside};
	__u32 place;

	if (!from->addresses)
		return NULL;
	place = (__u32)(key_hash(&key) >> 32) % from->addresses;
	asm volatile("" : "+r"(place)); // the verifier has to see the next line
	return &from->address[place & (MAX_NAT_ADDRESSES - 1)];
}

// Whether an address is one of those still.
inlined int nat_has_address(const struct nat_source_value *from, const struct in6_addr *address)
{
	__u32 i;

	LOOPED
	for (i = 0; i < MAX_NAT_ADDRESSES; i++)
		if (i < from->addresses && address_equal(&from->address[i], address))
			return 1;
	return 0;
}
