/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Which addresses of a VPC are load balancers'.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/loadbalancer.h"
#include "shared/tenant.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOAD_BALANCERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, struct load_balancer_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} load_balancers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_DIRECT_BACKENDS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct direct_backend_key);
	__type(value, struct in6_addr);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} direct_backends SEC(".maps");

inlined const struct load_balancer_value *load_balancer_find(__u32 vni,
							     const struct in6_addr *address)
{
	struct endpoint_key key = {.vni = vni, .address = *address};

	return bpf_map_lookup_elem(&load_balancers, &key);
}

// An address of the port that has this MAC, where it is a backend that answers as the load
// balancer; NULL: it is none.
inlined const struct in6_addr *direct_backend_find(__u32 vni, const struct in6_addr *address,
						   const __u8 mac[6])
{
	struct direct_backend_key key = {.address = *address, .vni = vni};

	__builtin_memcpy(key.mac, mac, sizeof(key.mac));
	return bpf_map_lookup_elem(&direct_backends, &key);
}
