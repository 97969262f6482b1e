// SPDX-License-Identifier: Apache-2.0
// What the kernel has counted since it was read last.
#include "lib/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"

#define PART 8	     // of all time, that shall be left
#define READ_MS 100  // the kernel counts in hundredths of a second
#define STALE_MS 500 // what was read before says nothing about now
#define TIMES 8	     // what follows is part of the first two already

int spare_parse(const char *text, uint64_t *idle, uint64_t *all)
{
	uint64_t time[TIMES], sum = 0;
	int i;

	if (strncmp(text, "cpu ", 4) != 0 ||
	    sscanf(text,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64,
		   &time[0], &time[1], &time[2], &time[3], &time[4], &time[5], &time[6],
		   &time[7]) != TIMES)
		return -EINVAL;
	for (i = 0; i < TIMES; i++)
		sum += time[i];
	*idle = time[3] + time[4];
	*all = sum;
	return 0;
}

void spare_open(struct spare *spare)
{
	*spare = (struct spare){.stat = open("/proc/stat", O_RDONLY | O_CLOEXEC), .is_short = true};
}

void spare_close(struct spare *spare)
{
	if (spare->stat >= 0)
		close(spare->stat);
	spare->stat = -1;
}

// The first line is all that is looked at.
static int read_now(const struct spare *spare, uint64_t *idle, uint64_t *all)
{
	char text[256];
	ssize_t n = spare->stat < 0 ? -1 : pread(spare->stat, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -EIO;
	text[n] = 0;
	return spare_parse(text, idle, all);
}

bool spare_is_short(struct spare *spare)
{
	const uint64_t now = now_ms(), since = now - spare->at_ms;
	uint64_t idle, all;

	if (since < READ_MS)
		return spare->is_short;
	spare->at_ms = now;
	if (read_now(spare, &idle, &all)) {
		spare->is_short = true;
		return true;
	}
	// A processor's idle time may fall back by a tick or two.
	spare->is_short = since > STALE_MS || idle < spare->idle ||
			  (idle - spare->idle) * PART < all - spare->all;
	spare->idle = idle;
	spare->all = all;
	return spare->is_short;
}
