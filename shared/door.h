/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: what a function's middlebox is asked (include/zeta/middlebox.h), and by which way.
//
// For each function that has a middlebox the loader makes a pair of interfaces. A question is sent
// to the first end and comes out of the second one, where the middlebox's AF_XDP socket is bound;
// what that socket sends comes out of the first end.
#pragma once

#include <linux/types.h>

// Map "doors": array of PUSHED_FUNCTIONS, by slot from FUNCTION_FIRST_FREE on. Map "door_sockets"
// (XSKMAP), by the same: the socket, as long as somebody has it open.
struct door_value {
	__u32 ifindex; // of the pair's first end; 0: there is none
	__u32 pad;
	__u64 function; // for whom it was opened, as in struct function_run
};

// Map "questions": array. Where it has only one entry nobody is ever asked.
//
// A token is chance in its upper half and counts in its lower half: entry (token % MAX_QUESTIONS).
#define QUESTION_NONE 0			     // the entry is free
#define QUESTION_TAKEN 1		     // a program is at work on it
#define QUESTION_FIRST 0x8000000000000000ull // tokens have this bit

// Map "questions_next": array of one.
struct questions_next {
	__u32 count; // lower half of the next token
};
