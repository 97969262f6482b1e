// SPDX-License-Identifier: Apache-2.0
// One line a message, written at once so that lines of several threads do not mix.
#include "lib/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void say(const char *level, int err, const char *format, va_list args)
{
	char line[1024], when[32];
	struct timespec now;
	struct tm tm;
	int used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	used = snprintf(line, sizeof(line), "%s.%03ldZ %s ", when, now.tv_nsec / 1000000, level);
	vsnprintf(line + used, sizeof(line) - (size_t)used, format, args);
	// What comes from a peer must not look like a line of ours, or move a terminal's cursor.
	for (char *at = line; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	if (err)
		fprintf(stderr, "%s: %s\n", line, strerror(err));
	else
		fprintf(stderr, "%s\n", line);
}

void log_debug(const char *format, ...)
{
	va_list args;

	if (!getenv("ZETA_DEBUG"))
		return;
	va_start(args, format);
	say("debug", 0, format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("info", 0, format, args);
	va_end(args);
}

void log_warn(const char *format, ...)
{
	int err = errno;
	va_list args;

	va_start(args, format);
	say("warn", err, format, args);
	va_end(args);
}

void log_warnx(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("warn", 0, format, args);
	va_end(args);
}

void fatal(const char *format, ...)
{
	int err = errno;
	va_list args;

	va_start(args, format);
	say("fatal", err, format, args);
	va_end(args);
	exit(1);
}

void fatalx(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("fatal", 0, format, args);
	va_end(args);
	exit(1);
}
