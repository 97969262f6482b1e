/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: addresses with SYN protection, at forwarders (docs/loadbalancer.md).
#pragma once

#include "shared/rate.h"

// Map "shields": hash, key struct endpoint_key: the protected address.
struct shield_value {
	struct rate rate; // of SYNs that pass without proof; no packets' limit: none does
};

// Map "shield_paces": LRU hash, key struct endpoint_key, value struct bucket: what was used of it.

// Map "shield_secret": one entry, made by the loader when the map is new, known to nobody else.
struct shield_secret {
	__u64 key[2];
};
