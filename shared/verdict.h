/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The enum made from verdicts.def, and the counter each verdict has (per CPU, index = verdict).
#pragma once

#include <linux/types.h>

enum verdict {
	GO_ON = 0, // not an outcome: the next step runs
#define VERDICT(name, kind, meaning) name,
#include "shared/verdicts.def"
#undef VERDICT
	VERDICTS,
};

// Map ABI: map "verdicts", per-CPU array.
struct verdict_count {
	__u64 packets;
	__u64 bytes; // of the whole frame as the program saw it last
};
