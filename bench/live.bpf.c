/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Both ends of a live measurement: makes packets of random sessions and counts what arrives.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include "bench/sessions.h"
#include "datapath/packet.bpf.h"

struct driving driving;
__u32 out_ifindex;     // where generated packets are sent
__u32 forward_ifindex; // where those go that are forwarded
__u32 in_turn;	       // sessions in order instead of at random
__u64 came;

inlined __u32 choose(void)
{
	__u32 i;

	if (!in_turn)
		return bench_random(&driving);
	i = driving.next++;
	if (driving.next >= driving.sessions)
		driving.next = 0;
	return i;
}

// In a tunnel, to the gateway.
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 i = choose(), w;
	__u64 *to = data;
	__be32 *address = data + BENCH_INNER + 12;
	__be16 *port = data + BENCH_INNER + 20;

	if (data + BENCH_HEADERS > end)
		return XDP_ABORTED;
#pragma unroll
	for (w = 0; w < BENCH_HEADERS / 8; w++)
		to[w] = driving.frame[w];
	address[0] = BENCH_A(i);
	address[1] = BENCH_B(i);
	port[0] = BENCH_A_PORT(i);
	port[1] = BENCH_B_PORT;
	return bpf_redirect(out_ifindex, 0);
}

// The tenant's packet itself, to a router. What the driving frame begins with is its MACs.
SEC("xdp")
int generate_plain(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct ethhdr *eth = take(&p, sizeof(*eth));
	struct iphdr *ip = take(&p, sizeof(*ip));
	struct tcphdr *tcp = take(&p, sizeof(*tcp));
	__u32 i = choose();

	if (!eth || !ip || !tcp)
		return XDP_ABORTED;
	__builtin_memcpy(eth, &driving.frame, 12);
	eth->h_proto = __builtin_bswap16(ETH_P_IP);
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = __builtin_bswap16(sizeof(*ip) + sizeof(*tcp) + 6),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = BENCH_A(i),
		.daddr = BENCH_B(i),
	};
	ip->check = ipv4_checksum(ip);
	*tcp = (struct tcphdr){.doff = 5, .ack = 1, .window = 0xFFFF};
	tcp->source = BENCH_A_PORT(i);
	tcp->dest = BENCH_B_PORT;
	return bpf_redirect(out_ifindex, 0);
}

SEC("xdp")
int forward(struct xdp_md *ctx __attribute__((unused)))
{
	return bpf_redirect(forward_ifindex, 0);
}

SEC("xdp")
int pass(struct xdp_md *ctx __attribute__((unused)))
{
	return XDP_PASS;
}

// All on one core.
SEC("xdp")
int sink(struct xdp_md *ctx __attribute__((unused)))
{
	came++;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
