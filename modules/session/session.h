/* SPDX-License-Identifier: Apache-2.0 */
// Counting a node's sessions, and one number that says which they are.
#pragma once

#include "shared/session.h"

// What a record adds to the digest of its table: 64 bits of its key, incarnation and decisions. The
// digest is their sum, so it does not depend on the order, and equal tables have equal ones. 0 for
// a record that is not live.
__u64 session_digest(const struct session_key *key, const struct dft_record *record);
