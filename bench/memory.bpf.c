/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// One cache line read at random from as much memory as a table has: in an array that can be mapped,
// which the kernel puts together of single pages, and in arrays so small that they come from its
// own, contiguous memory, which large pages map.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench/sessions.h"

#define PIECE 28672 // with its head at most 32 KiB, or it is put together of pages too
#define LINE 64

struct driving driving; // sessions: how many lines
__u64 misplaced;	// of a piece's first byte, from the beginning of a line

struct line {
	__u64 word[LINE / 8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct line);
} mapped SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, PIECE);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} pieces SEC(".maps");

inlined int sum(const struct line *line)
{
	const volatile __u64 *word = line->word;
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < LINE / 8; i++)
		sum |= word[i];
	return sum ? XDP_ABORTED : XDP_DROP;
}

SEC("xdp")
int read_nothing(struct xdp_md *ctx __attribute__((unused)))
{
	return bench_random(&driving) == ~0u ? XDP_ABORTED : XDP_DROP;
}

SEC("xdp")
int read_mapped(struct xdp_md *ctx __attribute__((unused)))
{
	__u32 i = bench_random(&driving);
	const struct line *line = bpf_map_lookup_elem(&mapped, &i);

	return line ? sum(line) : XDP_ABORTED;
}

SEC("xdp")
int read_pieces(struct xdp_md *ctx __attribute__((unused)))
{
	// The last line of a piece is left out: lines begin where memory's do.
	__u32 i = bench_random(&driving), lines = PIECE / LINE - 1, piece = i / lines, zero = 0;
	void *inner = bpf_map_lookup_elem(&pieces, &piece);
	const void *from;
	__u64 at;

	if (!inner)
		return XDP_ABORTED;
	from = bpf_map_lookup_elem(inner, &zero);
	if (!from)
		return XDP_ABORTED;
	at = i % lines;
	// The verifier does not see it.
	__asm__ volatile("" : "+r"(at));
	if (at >= lines)
		return XDP_ABORTED;
	return sum(from + at * LINE + (-misplaced & (LINE - 1)));
}

// Finds out where lines begin.
SEC("xdp")
int place(struct xdp_md *ctx __attribute__((unused)))
{
	__u32 zero = 0;
	void *inner = bpf_map_lookup_elem(&pieces, &zero);
	void *from;

	if (!inner)
		return XDP_ABORTED;
	from = bpf_map_lookup_elem(inner, &zero);
	if (!from)
		return XDP_ABORTED;
	misplaced = (__u64)from;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
