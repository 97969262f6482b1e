/* SPDX-License-Identifier: Apache-2.0 */
// Six ways to say something, all to standard error with time and level. The x: errno means nothing
// here. Secrets never go through these.
#pragma once

#define LOG_FORMAT(f) __attribute__((format(printf, f, (f) + 1)))

// Only where the environment has ZETA_DEBUG.
void log_debug(const char *format, ...) LOG_FORMAT(1);
void log_info(const char *format, ...) LOG_FORMAT(1);
void log_warn(const char *format, ...) LOG_FORMAT(1); // appends ": " and errno's words
void log_warnx(const char *format, ...) LOG_FORMAT(1);
_Noreturn void fatal(const char *format, ...)
	LOG_FORMAT(1); // exits 1; start-up and broken invariants
_Noreturn void fatalx(const char *format, ...) LOG_FORMAT(1);
