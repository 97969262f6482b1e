/* SPDX-License-Identifier: Apache-2.0 */
// What a backend is taken for, by how its checks end, and when it is checked next. Pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum health {
	HEALTH_UNKNOWN, // no check has ended yet
	HEALTH_UP,
	HEALTH_DOWN,
};

// interval_ms: within which a backend that died is taken for down, and at least as often it is
// checked. timeout_ms times down_after is less.
struct check {
	uint32_t interval_ms;
	uint32_t timeout_ms;
	uint32_t up_after; // checks in a row
	uint32_t down_after;
};

struct judgement {
	enum health health;
	uint32_t passed, failed; // in a row
};

// A check has ended. Returns whether the backend is taken for something else now. The first one
// decides at once: until then there is nothing that it could be an exception from.
int judge(struct judgement *j, const struct check *check, int passed);
// How long after one check begins the next one does. While it is not known whether a failure is the
// exception that is as long as a check may take.
uint32_t judge_pause_ms(const struct judgement *j, const struct check *check);

// What a server's answer so far says: 1: it serves (RFC 9110: status 200 to 399); 0: it does not;
// -1: more is needed. Of the status line the first 12 bytes count.
#define HTTP_STATUS_BYTES 12
int judge_http(const char *bytes, size_t count);
