/* SPDX-License-Identifier: Apache-2.0 */
// Whether this machine's processors have time to spare, for what can wait a little.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct spare {
	int stat;	// descriptor of /proc/stat; -1: nothing is known
	uint64_t at_ms; // when it was read last
	uint64_t idle, all;
	bool is_short;
};

void spare_open(struct spare *spare);
void spare_close(struct spare *spare);
// Whether they lately had less than an eighth of their time left; also where that is not known. To
// be asked often while it matters: after a while without a question nothing is known.
bool spare_is_short(struct spare *spare);

// What is in /proc/stat: the time of all processors, and what of it they were idle. Returns 0 or
// -EINVAL.
int spare_parse(const char *text, uint64_t *idle, uint64_t *all);
