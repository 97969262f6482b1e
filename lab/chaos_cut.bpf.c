// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// One direction of a cable that is cut: nothing passes; or all but what is for one UDP port; or all
// but what one machine sent.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __u16 port;	      // 0: any
const volatile __u8 sender[ETH_ALEN]; // all zeros: any

#define DROP 2 // TCX_DROP of Linux 6.6
#define PASS 0 // TCX_PASS

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
} __attribute__((packed));

static __always_inline int is_from_sender(const struct ethhdr *eth)
{
	for (int i = 0; i < ETH_ALEN; i++)
		if (eth->h_source[i] != sender[i])
			return 0;
	return 1;
}

static __always_inline int is_to_port(const struct frame *frame)
{
	return frame->eth.h_proto == bpf_htons(ETH_P_IP) && frame->ip.ihl == 5 &&
	       frame->ip.protocol == IPPROTO_UDP && frame->udp.dest == bpf_htons(port);
}

SEC("tc")
int cut(struct __sk_buff *skb)
{
	struct frame frame = {};

	if (bpf_skb_load_bytes(skb, 0, &frame.eth, sizeof(frame.eth)))
		return PASS;
	if ((sender[0] || sender[5]) && !is_from_sender(&frame.eth))
		return PASS;
	if (port && (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) || !is_to_port(&frame)))
		return PASS;
	return DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
