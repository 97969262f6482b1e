/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Functions in headers that eBPF and user space share. A BPF-to-BPF call costs more than most of
// them do, so they are inlined, always.
#pragma once

// Where a stack of 512 bytes would be too small for all that is inlined, or the verifier would look
// at the same again and again.
#define called static __attribute__((__noinline__, __unused__))

#define inlined static inline __attribute__((__always_inline__, __unused__))

// What the verifier looks at once, whoever calls it and with what. Its pointers may be NULL, for
// all that the verifier knows, and point to memory of their types' sizes.
//
// UNROLLED, LOOPED: in front of a loop. eBPF wants some written out, and others not, or the
// verifier has more to look at.
#ifdef __bpf__
#define verified __attribute__((__noinline__))
#define UNROLLED _Pragma("unroll")
#define LOOPED _Pragma("clang loop unroll(disable)")
#else
#define verified called
#define UNROLLED
#define LOOPED
#endif
