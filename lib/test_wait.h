/* SPDX-License-Identifier: Apache-2.0 */
// For tests in which other threads are at work: waiting until they have done it. Within a cmocka
// test.
#pragma once

#include <pthread.h>
#include <time.h>

#define PATIENCE_S 60 // a wait that takes this long has failed; nothing depends on it otherwise

// Waits until the condition holds, with the lock held; the test fails where it never does. what has
// a lock of this name, and a condition variable named changed.
#define wait_for(what, condition)                                                                  \
	do {                                                                                       \
		struct timespec until_;                                                            \
		int err_ = 0;                                                                      \
		clock_gettime(CLOCK_REALTIME, &until_);                                            \
		until_.tv_sec += PATIENCE_S;                                                       \
		pthread_mutex_lock(&(what)->lock);                                                 \
		while (!(condition) && !err_)                                                      \
			err_ = pthread_cond_timedwait(&(what)->changed, &(what)->lock, &until_);   \
		pthread_mutex_unlock(&(what)->lock);                                               \
		assert_int_equal(err_, 0);                                                         \
	} while (0)
