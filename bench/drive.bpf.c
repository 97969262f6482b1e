/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Makes the packet of a random session and calls the program that is measured: the kernel repeats a
// run with what the last one left of its packet.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bench/sessions.h"

struct driving driving;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} target SEC(".maps");

SEC("xdp")
int run(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 i = bench_random(&driving), w;
	__u64 *to = data;
	__be32 *address = data + BENCH_INNER + 12;
	__be16 *port = data + BENCH_INNER + 20;
	// Packets go both ways.
	int back = driving.random & 1;

	if (data + BENCH_HEADERS > end)
		return XDP_ABORTED;
#pragma unroll
	for (w = 0; w < BENCH_HEADERS / 8; w++)
		to[w] = driving.frame[w];
	address[0] = back ? BENCH_B(i) : BENCH_A(i);
	address[1] = back ? BENCH_A(i) : BENCH_B(i);
	port[0] = back ? BENCH_B_PORT : BENCH_A_PORT(i);
	port[1] = back ? BENCH_A_PORT(i) : BENCH_B_PORT;
	bpf_tail_call(ctx, &target, 0);
	return XDP_ABORTED;
}

SEC("xdp")
int drop(struct xdp_md *ctx __attribute__((unused)))
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
