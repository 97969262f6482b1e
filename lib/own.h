/* SPDX-License-Identifier: Apache-2.0 */
// Ownership in the open: what a scope frees when it ends, and how it gives something away.
#pragma once

#include <stdlib.h>
#include <unistd.h>

// auto_(freep) char *text = strdup(..): freep(&text) runs when the scope ends. An analyser that
// does not know the attribute defines the word first (devtools/cppcheck.cfg).
#ifndef auto_
#define auto_(release) __attribute__((cleanup(release)))
#endif

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
	*(void **)pointer = NULL;
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

// Gives the pointer away: the variable is NULL afterwards, so its cleanup does nothing.
#define take_ptr(pointer)                                                                          \
	({                                                                                         \
		__typeof__(pointer) t_ = (pointer);                                                \
		(pointer) = NULL;                                                                  \
		t_;                                                                                \
	})

#define take_fd(fd)                                                                                \
	({                                                                                         \
		int t_ = (fd);                                                                     \
		(fd) = -1;                                                                         \
		t_;                                                                                \
	})
