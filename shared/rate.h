/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Token buckets for bytes and packets: what the kernel and the tests run, and how what people say
// becomes what is in the maps. A bucket is a point in time until which what passed is paid for
// (GCRA, ITU-T I.371), so nothing has to fill it, and two atomic additions take from it: CPUs need
// no lock, and nobody tries again.
#pragma once

#include <linux/types.h>

#include "shared/inlined.h"
#include "shared/limits.h"

// Time is counted in 2^-6 ns: the shortest frame at the highest rate takes 82 of them, so that what
// is cut off is 1 % there, and the clock lasts nine years from boot. What a byte takes has 14 bits
// more. All of it rounds down: who is limited gets what he may have, and never less.
#define RATE_TIME_BITS 6
#define RATE_BYTE_BITS 14

struct rate {
	__u64 per_byte;	  // 2^-20 ns; 0: bytes have no limit
	__u64 per_packet; // 2^-6 ns; 0: packets have none
	__u64 burst;	  // 2^-6 ns
};

struct bucket {
	__u64 bytes_until; // 2^-6 ns of the monotonic clock
	__u64 packets_until;
};

// bits_per_s, packets_per_s: 0, no limit, or within those of shared/limits.h.
inlined struct rate rate_of(__u64 bits_per_s, __u64 packets_per_s, __u32 burst_ms)
{
	const __u64 second = 1000000000ull << RATE_TIME_BITS;

	return (struct rate){
		.per_byte = bits_per_s ? (second * 8 << RATE_BYTE_BITS) / bits_per_s : 0,
		.per_packet = packets_per_s ? second / packets_per_s : 0,
		.burst = second / 1000 * burst_ms,
	};
}

inlined int rate_limits(const struct rate *rate)
{
	return rate->per_byte || rate->per_packet;
}

// So much of a bucket, if it is not ahead of the clock by more than the burst. So a packet passes
// however large it is, and those after it wait for longer. Who is refused gives back what he took:
// for that moment others may be refused too, which only happens where somebody is.
inlined int bucket_take(__u64 *until, __u64 now, __u64 cost, __u64 burst)
{
	__u64 then = *(volatile __u64 *)until;

	if (then < now) // what was not used is lost; another CPU may have seen to it
		__sync_val_compare_and_swap(until, then, now);
	then = __sync_fetch_and_add(until, cost);
	if ((__s64)(then - now) <= (__s64)burst)
		return 1;
	__sync_fetch_and_add(until, -cost);
	return 0;
}

// Whether packets of so many bytes together may pass; then they are paid for. bytes: below 2^20.
inlined int rate_allows(const struct rate *rate, struct bucket *bucket, __u64 now_ns, __u32 packets,
			__u32 bytes)
{
	__u64 now = now_ns << RATE_TIME_BITS;
	__u64 packet_cost = packets * rate->per_packet;
	__u64 byte_cost = bytes * rate->per_byte >> RATE_BYTE_BITS;

	if (packet_cost && !bucket_take(&bucket->packets_until, now, packet_cost, rate->burst))
		return 0;
	if (!byte_cost || bucket_take(&bucket->bytes_until, now, byte_cost, rate->burst))
		return 1;
	if (packet_cost)
		__sync_fetch_and_add(&bucket->packets_until, -packet_cost);
	return 0;
}
