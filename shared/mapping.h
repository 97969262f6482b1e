/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Mappings of NATs (docs/dft.md): what an inside address and port are outside, towards everybody.
// Each is a record as a session's, translated as that, whose other side is nobody: 0.0.0.0, port 0.
#pragma once

#include "shared/inlined.h"
#include "shared/session.h"

#define MAPPING_NOBODY __builtin_bswap64(0xFFFF00000000ull) // second half of ::ffff:0.0.0.0

// Nobody sorts before all others. address: IPv4, v4-mapped, and not 0.0.0.0.
inlined void mapping_key(struct session_key *key, const struct in6_addr *address, __be16 port,
			 const __u8 vni[3], __u8 protocol)
{
	const __u64 nobody[2] = {0, MAPPING_NOBODY};

	*key = (struct session_key){.b = *address, .b_port = port, .protocol = protocol};
	__builtin_memcpy(&key->a, nobody, sizeof(key->a));
	__builtin_memcpy(key->vni, vni, 3);
}

// No packet has such a key: who sends as nobody, or to nobody, from port 0 or to it, is refused.
inlined int mapping_key_is(const struct session_key *key)
{
	__u64 word[2];

	__builtin_memcpy(word, &key->a, sizeof(word));
	return !word[0] && word[1] == MAPPING_NOBODY && !key->a_port;
}
