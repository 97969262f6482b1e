/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Functions in headers that eBPF and user space share. A BPF-to-BPF call costs more than most of
// them do, so they are inlined, always.
#pragma once

#define inlined static inline __attribute__((__always_inline__, __unused__))
