// SPDX-License-Identifier: Apache-2.0
// What every translation needs: refusing, and copying bytes only when there are as many as due.
#include "node/entries.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int entries_refuse(struct entries *entries, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(entries->why, sizeof(entries->why), format, args);
	va_end(args);
	return -EINVAL;
}

static int copy(struct entries *entries, const char *what, ProtobufCBinaryData bytes, void *out,
		size_t size)
{
	if (bytes.len != size)
		return entries_refuse(entries, "%s is %zu bytes, not %zu", what, bytes.len, size);
	memcpy(out, bytes.data, size);
	return 0;
}

int entries_ip(struct entries *entries, const char *what, ProtobufCBinaryData bytes,
	       struct in6_addr *out)
{
	return copy(entries, what, bytes, out, sizeof(*out));
}

int entries_mac(struct entries *entries, const char *what, ProtobufCBinaryData bytes, __u8 out[6])
{
	return copy(entries, what, bytes, out, 6);
}
