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

inlined const struct nat_address_value *nat_address_find(__u32 vni, const struct in6_addr *address)
{
	struct endpoint_key key = {.vni = vni, .address = *address};

	return bpf_map_lookup_elem(&nat_addresses, &key);
}
