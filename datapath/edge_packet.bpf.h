/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What an edge program does with a socket buffer: reading it as a struct packet, and the one exit.
#pragma once

#include <linux/pkt_cls.h>

#include "datapath/count.bpf.h"
#include "shared/edge.h"
#include "shared/limits.h"

// Headers of a tenant's TCP packet in a tunnel, with options as they usually are.
#define HEADERS 128

// How many packets the kernel makes of it: so many a gateway counts. The kernel's own number is
// lost where a tunnel's headers were added; this one is too small by one where the last is next to
// empty.
inlined __u32 segments(const struct __sk_buff *skb)
{
	if (!skb->gso_size || skb->len <= HEADERS)
		return 1;
	return (skb->len - HEADERS - 1) / skb->gso_size + 1;
}

inlined void count(struct __sk_buff *skb, enum verdict v)
{
	count_packets(v, segments(skb), skb->len);
}

// A frame that is sent was handed to bpf_redirect() before. One that is passed meets the tc
// programs of others next.
inlined int edge_finish(struct __sk_buff *skb, enum verdict v)
{
	count(skb, v);
	return action_for(v, TC_ACT_UNSPEC, TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_SHOT);
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
