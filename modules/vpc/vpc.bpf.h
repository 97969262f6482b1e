/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// VPCs by their VNI.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/tenant.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VPCS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct vpc_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} vpcs SEC(".maps");
