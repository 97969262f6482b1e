// SPDX-License-Identifier: Apache-2.0
// Replicas of a chain hold the same sessions: their digests say so without comparing records.
#include "modules/session/session.h"

#include "lib/hash.h"

__u64 session_digest(const struct session_key *key, const struct dft_record *record)
{
	struct {
		struct session_key key;
		struct dft_stamp incarnation;
		struct decision towards[2];
	} said = {*key, record->incarnation, {record->towards[0], record->towards[1]}};

	_Static_assert(sizeof(said) == 40 + 8 + 80, "hashed whole: no padding");
	// The stamp and the state are left out: they may be under way between replicas.
	return record->life == DFT_LIVE ? hash_bytes(&said, sizeof(said), 0) : 0;
}
