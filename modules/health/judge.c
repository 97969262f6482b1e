// SPDX-License-Identifier: Apache-2.0
// Counting, and one line of HTTP.
#include "modules/health/judge.h"

#include <string.h>

int judge(struct judgement *j, const struct check *check, int passed)
{
	const enum health before = j->health, is = passed ? HEALTH_UP : HEALTH_DOWN;
	uint32_t *row = passed ? &j->passed : &j->failed;

	*(passed ? &j->failed : &j->passed) = 0;
	if (*row < UINT32_MAX)
		++*row;
	if (before == HEALTH_UNKNOWN || *row >= (passed ? check->up_after : check->down_after))
		j->health = is;
	return j->health != before;
}

uint32_t judge_pause_ms(const struct judgement *j, const struct check *check)
{
	const uint32_t left = check->interval_ms - check->down_after * check->timeout_ms;

	if (j->failed && j->health == HEALTH_UP)
		return check->timeout_ms;
	// Some of it is for what it takes to carry it out.
	return left - left / 8;
}

int judge_http(const char *bytes, size_t count)
{
	static const char version[] = "HTTP/1.";
	const size_t known = sizeof(version) - 1;

	if (memcmp(bytes, version, count < known ? count : known) != 0)
		return 0;
	if (count < HTTP_STATUS_BYTES)
		return -1;
	return bytes[known + 1] == ' ' && (bytes[known + 2] == '2' || bytes[known + 2] == '3');
}
