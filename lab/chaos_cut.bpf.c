// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// One direction of a cable that is cut: nothing passes; or all but what is for one UDP port.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

const volatile __u16 port; // 0: nothing passes

#define DROP 2 // TCX_DROP of Linux 6.6
#define PASS 0 // TCX_PASS

SEC("tc")
int cut(struct __sk_buff *skb)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
		struct udphdr udp;
	} __attribute__((packed)) frame;

	if (!port)
		return DROP;
	if (bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) ||
	    frame.eth.h_proto != bpf_htons(ETH_P_IP) || frame.ip.ihl != 5 ||
	    frame.ip.protocol != IPPROTO_UDP)
		return PASS;
	return frame.udp.dest == bpf_htons(port) ? DROP : PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
