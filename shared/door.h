/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: what a function's middlebox is asked (include/zeta/middlebox.h), and by which way.
//
// For each function that has a middlebox the loader makes a pair of interfaces. A question is sent
// to the first end and comes out of the second one, where the middlebox's AF_XDP socket is bound;
// what that socket sends comes out of the first end.
#pragma once

#include <linux/types.h>

#include "shared/function.h"
#include "shared/limits.h"

// Map "doors": array of PUSHED_FUNCTIONS, by slot from FUNCTION_FIRST_FREE on. Map "door_sockets"
// (XSKMAP), by the same: the socket, as long as somebody has it open.
struct door_value {
	__u32 ifindex; // of the pair's first end; 0: there is none
	__u32 pad;
	__u64 function; // for whom it was opened, as in struct function_run
};

// Map "questions": array, DOOR_QUESTIONS for each door, so that one that stands still takes nothing
// from another. Where it has only one entry nobody is ever asked.
//
// A token is chance in its upper half; its lower one has the door's number (the slot's, from
// FUNCTION_FIRST_FREE on) and counts.
#define MAX_QUESTIONS (PUSHED_FUNCTIONS * DOOR_QUESTIONS)
#define QUESTION_DOOR_SHIFT 24
#define QUESTION_NONE 0			     // the entry is free
#define QUESTION_TAKEN 1		     // a program is at work on it
#define QUESTION_FIRST 0x8000000000000000ull // tokens have this bit

// Map "questions_next": array of PUSHED_FUNCTIONS.
struct questions_next {
	__u32 count; // of the next token
};
