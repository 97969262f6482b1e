/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Too large for the tunnel: the workload is told, so that its path MTU discovery works.
#pragma once

#include "datapath/edge_packet.bpf.h"

// RFC 792, type 3 code 4: IPv4 header, ICMP header, and of the packet its header and 8 bytes.
#define ICMP_ERROR_BYTES (2 * sizeof(struct iphdr) + sizeof(struct icmp_header) + 8)

// The largest IP packet on the wire: of a super-packet, one of its segments.
inlined __u32 segment_bytes6(const struct __sk_buff *skb, const struct packet *p)
{
	const struct ipv6_header *ip = p->inner.ip6;
	const struct tcphdr *tcp = (void *)(ip + 1);

	if (!skb->gso_size)
		return ipv6_bytes(ip);
	if (ip->next != IPPROTO_TCP || (void *)(tcp + 1) > p->end)
		return sizeof(*ip) + sizeof(struct udphdr) + skb->gso_size;
	return sizeof(*ip) + tcp->doff * 4 + skb->gso_size;
}

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

// The same of IPv6: RFC 4443 section 3.2.
#define ICMPV6_QUOTED 128
#define ICMPV6_ERROR_BYTES                                                                         \
	(sizeof(struct ipv6_header) + sizeof(struct icmpv6_header) + ICMPV6_QUOTED)

inlined enum verdict tell_mtu6(struct __sk_buff *skb, const struct packet *p)
{
	const struct ethhdr eth = *p->inner.eth;
	const struct ipv6_header was = *p->inner.ip6;
	const int more = sizeof(struct ipv6_header) + sizeof(struct icmpv6_header);
	struct icmpv6_header *icmp;
	struct ipv6_header *ip;
	struct ethhdr *to;
	__u32 sum, i;

	// What is quoted stays; the rest is cut off, and the new headers come before it. (Sums that
	// are partial stay: as in tell_mtu().)
	if (bpf_skb_change_tail(skb, ETH_HLEN + ICMPV6_QUOTED, 0) ||
	    bpf_skb_change_head(skb, more, 0))
		return NO_ROOM;
	bpf_skb_pull_data(skb, ETH_HLEN + ICMPV6_ERROR_BYTES);
	to = (void *)(long)skb->data;
	ip = (void *)(to + 1);
	icmp = (void *)(ip + 1);
	if ((void *)to + ETH_HLEN + ICMPV6_ERROR_BYTES > (void *)(long)skb->data_end)
		return BUG;

	__builtin_memcpy(to->h_dest, eth.h_source, ETH_ALEN);
	__builtin_memcpy(to->h_source, eth.h_dest, ETH_ALEN);
	to->h_proto = bpf_htons(ETH_P_IPV6);
	*ip = (struct ipv6_header){
		.version_class = {IPV6_VERSION},
		.payload = bpf_htons(sizeof(*icmp) + ICMPV6_QUOTED),
		.next = IPPROTO_ICMPV6,
		.hops = 64,
		.source = was.destination,
		.destination = was.source,
	};
	*icmp = (struct icmpv6_header){.type = ICMPV6_TOO_BIG, .mtu = bpf_htonl(cfg.tenant_mtu)};
	sum = ip->payload + bpf_htons(IPPROTO_ICMPV6);
	UNROLLED
	for (i = 0; i < 16; i++)
		sum += ((const __u16 *)&ip->source)[i];
	icmp->checksum =
		fold(bpf_csum_diff(NULL, 0, (__be32 *)icmp, sizeof(*icmp) + ICMPV6_QUOTED, sum));
	return bpf_redirect(skb->ifindex, 0) == TC_ACT_REDIRECT ? FRAGMENTATION_NEEDED : BUG;
}

// GO_ON: it fits.
inlined enum verdict edge_too_large(struct __sk_buff *skb, const struct packet *p,
				    const struct flow *f)
{
	if ((p->inner.ip6 ? segment_bytes6(skb, p) : segment_bytes(skb, p)) <= cfg.tenant_mtu)
		return GO_ON;
	if (f->icmp_error || f->fragment == FRAGMENT_LATER) // RFC 1122, 3.2.2: no answer to these
		return NOT_ANSWERED;
	return p->inner.ip6 ? tell_mtu6(skb, p) : tell_mtu(skb, p);
}
