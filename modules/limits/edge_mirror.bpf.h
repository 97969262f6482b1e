/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Copies of what a port sends and gets, for a collector. The kernel clones the packet into a pair
// of interfaces of ours, and at that one's way out the clone alone is cut and put into its tunnel:
// so the packet itself is never held up, nor is it another one afterwards.
#pragma once

#include "modules/limits/edge_limits.bpf.h"

// The end of the pair that copies are sent to; 0: there is none yet.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} mirror_end SEC(".maps");

// A copy of the workload's frame, which is all of skb, if the collector may have so much. Ends what
// was read of the frame.
inlined void edge_copy(struct __sk_buff *skb, const struct local_port *port, __u32 ifindex)
{
	struct port_buckets *b = buckets_of(ifindex);
	struct measure m = measure_of(skb, 0);
	const __u32 mark = skb->mark;
	const __u32 *end;
	__u32 only = 0;

	// What is cut is one packet, however many it was.
	if (skb->len > port->mirror.bytes)
		m = (struct measure){.packets = 1, .bytes = port->mirror.bytes};
	if (b &&
	    !rate_allows(&port->mirror.rate, &b->mirror, bpf_ktime_get_ns(), m.packets, m.bytes)) {
		count(skb, MIRROR_RATE);
		return;
	}
	end = bpf_map_lookup_elem(&mirror_end, &only);
	// Whose copy it is goes with it as its mark, which is the host's own otherwise.
	skb->mark = ifindex;
	if (!end || !*end || bpf_clone_redirect(skb, *end, 0) < 0)
		count(skb, MIRROR_FAILED);
	skb->mark = mark;
}
