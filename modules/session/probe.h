/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What session_probe.bpf.c is asked, in place of a packet, and answers there.
#pragma once

#include "shared/session.h"

enum probe_op {
	PROBE_READ,
	PROBE_INSERT, // session_step of session.bpf.h, in its order
	PROBE_UPDATE,
	PROBE_COPY,
	PROBE_DELETE,
	PROBE_COLLECT,
	PROBE_REMOVE,
	PROBE_COPY_READ,
	PROBE_STORE,
	PROBE_FIND,
	PROBE_RECORD,
};

struct probe {
	struct session_key key;
	__u32 op;
	__u32 result; // verdict, or whether it was found
	__u32 outcome;
	__u32 floor; // in: the bucket's; out: as it goes on
	__u32 told;  // the floor that the op says
	__u32 asked_ms;
	__u32 stateful;
	__u32 direction;
	__u32 before, after; // session_sort() of the key's record
	struct dft_stamp seen;
	struct dft_record record; // of PROBE_FIND: towards[0] is the decision
};
