/* SPDX-License-Identifier: Apache-2.0 */
// For how long a session may be unused.
#pragma once

#include <netinet/in.h>

#include "dft/core.h"
#include "shared/limits.h"
#include "shared/mapping.h"
#include "shared/session.h"

// Seconds, by the session's protocol and state.
static inline __u32 session_timeout_s(const struct session_key *key, __u16 state)
{
	if (mapping_key_is(key))
		return key->protocol == IPPROTO_TCP ? MAPPING_TCP_S : MAPPING_UDP_S;
	switch (key->protocol) {
	case IPPROTO_TCP:
		return dft_state_closed(state) || !(state & DFT_ANSWERED) ? TCP_TRANSITORY_S
									  : TCP_ESTABLISHED_S;
	case IPPROTO_UDP:
		return state & DFT_ANSWERED ? UDP_S : UDP_UNANSWERED_S;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return ICMP_S;
	default:
		return OTHER_S;
	}
}
