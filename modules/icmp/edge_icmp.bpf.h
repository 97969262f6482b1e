/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Too large for the tunnel: the workload is told, so that its path MTU discovery works.
#pragma once

#include "datapath/edge_packet.bpf.h"

// RFC 792, type 3 code 4: IPv4 header, ICMP header, and of the packet its header and 8 bytes.
#define ICMP_ERROR_BYTES (2 * sizeof(struct iphdr) + sizeof(struct icmp_header) + 8)

// The largest IP packet on the wire: of a super-packet, one of its segments.
inlined __u32 segment_bytes(const struct __sk_buff *skb, const struct packet *p)
{
	const struct iphdr *ip = p->inner.ip;
	const struct tcphdr *tcp = (void *)(ip + 1);

	if (!skb->gso_size)
		return bpf_ntohs(ip->tot_len);
	if (ip->protocol != IPPROTO_TCP || (void *)(tcp + 1) > p->end)
		return sizeof(*ip) + sizeof(struct udphdr) + skb->gso_size;
	return sizeof(*ip) + tcp->doff * 4 + skb->gso_size;
}

// Turns the frame around into the ICMP error. It comes from the address the packet was for: which
// of the subnets' gateways lies between, the host does not know.
inlined enum verdict tell_mtu(struct __sk_buff *skb, const struct packet *p)
{
	struct ethhdr eth = *p->inner.eth, *to;
	struct {
		struct iphdr ip;
		__u8 payload[8];
	} was;
	struct icmp_header *icmp;
	struct iphdr *ip;
	__u32 sum = 0;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &was, sizeof(was)))
		return TRUNCATED;
	// Sums of partially checksummed packets are left as they are: the field is not in what is
	// quoted of a TCP packet, and a receiver does not verify it in a UDP one.
	if (bpf_skb_change_tail(skb, ETH_HLEN + ICMP_ERROR_BYTES, 0))
		return NO_ROOM;
	bpf_skb_pull_data(skb, ETH_HLEN + ICMP_ERROR_BYTES);
	to = (void *)(long)skb->data;
	ip = (void *)(to + 1);
	icmp = (void *)(ip + 1);
	if ((void *)to + ETH_HLEN + ICMP_ERROR_BYTES > (void *)(long)skb->data_end)
		return BUG;

	__builtin_memcpy(to->h_dest, eth.h_source, ETH_ALEN);
	__builtin_memcpy(to->h_source, eth.h_dest, ETH_ALEN);
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(ICMP_ERROR_BYTES),
		.ttl = 64,
		.protocol = IPPROTO_ICMP,
		.saddr = was.ip.daddr,
		.daddr = was.ip.saddr,
	};
	ip->check = ipv4_checksum(ip);
	*icmp = (struct icmp_header){.type = ICMP_UNREACHABLE, .code = ICMP_FRAGMENTATION_NEEDED};
	icmp->too_big.mtu = bpf_htons(cfg.tenant_mtu);
	__builtin_memcpy(icmp + 1, &was, sizeof(was));
#pragma unroll
	for (__u32 i = 0; i < (sizeof(*icmp) + sizeof(was)) / 2; i++)
		sum += ((const __u16 *)icmp)[i];
	icmp->checksum = fold(sum);
	return bpf_redirect(skb->ifindex, 0) == TC_ACT_REDIRECT ? FRAGMENTATION_NEEDED : BUG;
}

// GO_ON: it fits.
inlined enum verdict edge_too_large(struct __sk_buff *skb, const struct packet *p,
				    const struct flow *f)
{
	if (segment_bytes(skb, p) <= cfg.tenant_mtu)
		return GO_ON;
	if (f->icmp_error || f->fragment == 2) // RFC 1122, 3.2.2: no answer to these
		return NOT_ANSWERED;
	return tell_mtu(skb, p);
}
