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

int entries_prefix(struct entries *entries, const char *what, ProtobufCBinaryData bytes,
		   __u32 length, struct in6_addr *out)
{
	struct in6_addr prefix;
	int err;

	if (length > 128)
		return entries_refuse(entries, "prefix length %u is above 128", length);
	if ((err = entries_ip(entries, what, bytes, &prefix)))
		return err;
	for (__u32 bit = length; bit < 128; bit++)
		if (prefix.s6_addr[bit / 8] & (0x80 >> bit % 8))
			return entries_refuse(entries, "%s has host bits", what);
	*out = prefix;
	return 0;
}

int entries_mac(struct entries *entries, const char *what, ProtobufCBinaryData bytes, __u8 out[6])
{
	return copy(entries, what, bytes, out, 6);
}

int entries_rate(struct entries *entries, const char *what, const Zeta__Node__V1__Rate *rate,
		 struct rate *out)
{
	if (!rate)
		return 0;
	if (rate->bits_per_s &&
	    (rate->bits_per_s < MIN_BITS_PER_S || rate->bits_per_s > MAX_BITS_PER_S))
		return entries_refuse(entries, "%s of %llu bits per second", what,
				      (unsigned long long)rate->bits_per_s);
	if (rate->packets_per_s > MAX_PACKETS_PER_S)
		return entries_refuse(entries, "%s of %llu packets per second", what,
				      (unsigned long long)rate->packets_per_s);
	if (!rate->burst_ms || rate->burst_ms > MAX_BURST_MS)
		return entries_refuse(entries, "%s has a burst of %u ms", what, rate->burst_ms);
	*out = rate_of(rate->bits_per_s, rate->packets_per_s, rate->burst_ms);
	return 0;
}
