/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What an edge program does with a socket buffer: reading it as a struct packet, and the one exit.
#pragma once

#include <linux/pkt_cls.h>

#include "datapath/packet.bpf.h"
#include "shared/edge.h"
#include "shared/limits.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, struct verdict_count);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} verdicts SEC(".maps");

inlined void count(struct __sk_buff *skb, enum verdict v)
{
	__u32 index = v;
	struct verdict_count *c = bpf_map_lookup_elem(&verdicts, &index);

	if (!c)
		return;
	c->packets++;
	c->bytes += skb->len;
}

// A frame that is sent was handed to bpf_redirect() before. One that is passed meets the tc
// programs of others next.
inlined int edge_finish(struct __sk_buff *skb, enum verdict v)
{
	enum { PASS_ = TC_ACT_UNSPEC, SENT_ = TC_ACT_REDIRECT, DROP_ = TC_ACT_SHOT };

	count(skb, v);
	switch (v) {
#define VERDICT(name, kind, meaning)                                                               \
	case name:                                                                                 \
		return kind##_;
#include "shared/verdicts.def"
#undef VERDICT
	default:
		return TC_ACT_SHOT;
	}
}

// For frames that end here, whatever their verdict.
inlined int edge_consume(struct __sk_buff *skb, enum verdict v)
{
	count(skb, v);
	return TC_ACT_SHOT;
}

// The frame with at least its first bytes in linear memory, or all of a shorter one. The bytes
// after p.end may exist in fragments: lengths are compared with skb->len, never with p.end.
inlined struct packet packet_of_skb(struct __sk_buff *skb, __u32 bytes)
{
	struct packet p = {};

	if (bytes > skb->len)
		bytes = skb->len;
	if ((long)skb->data_end - (long)skb->data < bytes)
		bpf_skb_pull_data(skb, bytes); // where that fails, take() does
	p.data = p.at = (void *)(long)skb->data;
	p.end = (void *)(long)skb->data_end;
	return p;
}

// As read_inner_ipv4() of packet.bpf.h, but of a frame that may lie in fragments.
inlined enum verdict edge_read_ipv4(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr *ip = take(p, sizeof(*ip));

	if (!ip)
		return TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return INNER_MALFORMED;
	if (ip->ihl != 5)
		return INNER_OPTIONS;
	if (bpf_ntohs(ip->tot_len) < sizeof(*ip) || ETH_HLEN + bpf_ntohs(ip->tot_len) > skb->len)
		return TRUNCATED;
	if ((ip->daddr & bpf_htonl(0xF0000000)) == bpf_htonl(0xE0000000) || ip->daddr == 0xFFFFFFFF)
		return INNER_BROADCAST;
	p->inner.ip = ip;
	return GO_ON;
}
