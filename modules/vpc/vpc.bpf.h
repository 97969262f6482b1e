/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// VPCs by their VNI.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/key.h"
#include "shared/tenant.h"
#include "wire/dft.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_VPCS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct vpc_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} vpcs SEC(".maps");

// The number of the policy that a session's decision follows from: its VPC's, and where it goes on
// in another one, of both: a sum, which grows with either.
inlined __u32 policy_with(__u32 policy, const struct session_key *key, const struct translation *t)
{
	const __u32 vni = vni_of(t->vni);
	const struct vpc_value *other;

	if (!t->flags || vni == vni_of(key->vni))
		return policy;
	other = bpf_map_lookup_elem(&vpcs, &vni);
	return policy + (other ? other->policy : 0);
}

// Whether a session's decision follows from a policy that is over: there is a later one, or the
// other VPC is gone, and its number with it.
inlined int policy_over(__u32 policy, const struct session_key *key, const struct translation *t,
			__u32 recorded)
{
	const __u32 vni = vni_of(t->vni);

	if (t->flags && !bpf_map_lookup_elem(&vpcs, &vni))
		return 1;
	return (__s32)(policy_with(policy, key, t) - recorded) > 0;
}
