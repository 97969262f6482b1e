/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Which addresses of an external VPC are a NAT's.
#pragma once

#include "datapath/packet.bpf.h"
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
