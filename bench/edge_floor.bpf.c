// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// The edge's programs, and beside them what they cannot be cheaper than: a program that does
// nothing, one that reads what edge_egress reads and does nothing, and one for which the kernel
// makes the tunnel's room, with nothing written into it.
#include "datapath/edge.bpf.c"

SEC("tc")
int nothing(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_OK;
}

SEC("tc")
int parse(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb, EGRESS_BYTES);
	struct flow f = {};

	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.inner.eth || read_sent(skb, &p, &f))
		return TC_ACT_SHOT;
	return f.key.protocol == IPPROTO_UDP ? TC_ACT_OK : TC_ACT_SHOT;
}

SEC("tc")
int room(struct __sk_buff *skb)
{
	return bpf_skb_adjust_room(skb, OUTER_BYTES, BPF_ADJ_ROOM_MAC, ROOM_IN_TUNNEL) ? TC_ACT_SHOT
										       : TC_ACT_OK;
}
