/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The ports of this host: whose interface a frame comes from, and whom it is delivered to.
#pragma once

#include "datapath/edge_packet.bpf.h"
#include "modules/limits/edge_limits.bpf.h"
#include "modules/limits/edge_mirror.bpf.h"
#include "modules/overlay/edge_overlay.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOCAL_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct local_port);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} port_by_ifindex SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOCAL_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct local_mac_key);
	__type(value, struct local_place);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} port_by_mac SEC(".maps");

// The workload whose interface this is: its port, and only its own source MAC. An interface without
// a port is one whose port was just removed: its frames must not reach the host's own kernel.
inlined enum verdict edge_port_sender(struct __sk_buff *skb, struct packet *p,
				      const struct local_port **out)
{
	__u32 ifindex = skb->ifindex;
	const struct local_port *port = bpf_map_lookup_elem(&port_by_ifindex, &ifindex);
	struct ethhdr *eth = take(p, sizeof(*eth));

	if (!port)
		return NO_SOURCE;
	if (!eth)
		return TRUNCATED;
	if (!mac_equal(eth->h_source, port->mac))
		return SPOOFED;
	p->vni = port->vni;
	p->inner.eth = eth;
	*out = port;
	return GO_ON;
}

// The kernel takes the outermost tag out of the frame before tc programs run.
inlined int edge_tagged(const struct __sk_buff *skb, const struct ethhdr *eth)
{
	return skb->vlan_present || eth->h_proto == bpf_htons(ETH_P_8021Q) ||
	       eth->h_proto == bpf_htons(ETH_P_8021AD);
}

// Where this host's port is that has the MAC in the VPC; NULL: nowhere.
inlined const struct local_place *edge_port_find(__u32 vni, const __u8 mac[6])
{
	struct local_mac_key key = {.vni = vni};

	__builtin_memcpy(key.mac, mac, sizeof(key.mac));
	return bpf_map_lookup_elem(&port_by_mac, &key);
}

// Whether the workload there may get the frame that begins at this offset.
inlined enum verdict edge_port_receives(struct __sk_buff *skb, const struct local_place *place,
					__u32 offset)
{
	const struct local_port *port;

	if (!(place->flags & PLACE_LIMITED))
		return GO_ON;
	port = bpf_map_lookup_elem(&port_by_ifindex, &place->ifindex);
	if (!port)
		return NO_LOCAL_PORT;
	return edge_ingress_allowed(skb, port, place->ifindex, offset);
}

// The frame to the workload there. Ends what was read of it.
inlined enum verdict edge_hand_over(struct __sk_buff *skb, const struct local_place *place)
{
	const struct local_port *port;

	if (place->flags & PLACE_MIRRORED) {
		port = bpf_map_lookup_elem(&port_by_ifindex, &place->ifindex);
		if (port && port->mirror.which & MIRROR_INGRESS)
			edge_copy(skb, port, place->ifindex);
	}
	return bpf_redirect(place->ifindex, 0) == TC_ACT_REDIRECT ? EDGE_DELIVERED : BUG;
}

// The frame inside the tunnel, to the port of the VPC that has its destination MAC. Broadcasts are
// nobody's: the cluster answers ARP, so that none has to reach a host.
inlined enum verdict edge_deliver(struct __sk_buff *skb, const struct packet *p)
{
	const struct local_place *place;
	struct ethhdr inner;
	enum verdict v;

	if (bpf_skb_load_bytes(skb, p->inner_offset, &inner, sizeof(inner)))
		return TRUNCATED;
	if (inner.h_proto == bpf_htons(ETH_P_8021Q) || inner.h_proto == bpf_htons(ETH_P_8021AD))
		return INNER_VLAN;
	if (inner.h_proto != bpf_htons(ETH_P_IP) && inner.h_proto != bpf_htons(ETH_P_ARP) &&
	    inner.h_proto != bpf_htons(ETH_P_IPV6))
		return INNER_PROTOCOL;
	// Less than an IP header the kernel would not leave after cutting.
	if (skb->len < p->inner_offset + ETH_HLEN +
			       (inner.h_proto == bpf_htons(ETH_P_IPV6) ? sizeof(struct ipv6_header)
								       : sizeof(struct iphdr)))
		return TRUNCATED;
	place = edge_port_find(p->vni, inner.h_dest);
	if (!place)
		return NO_LOCAL_PORT;
	if ((v = edge_port_receives(skb, place, p->inner_offset)) ||
	    (v = edge_strip(skb, p, &inner)))
		return v;
	return edge_hand_over(skb, place);
}
