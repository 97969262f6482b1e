/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Putting a workload's frame into the tunnel and taking it out, super-packets (GSO) in one piece.
#pragma once

#include <stddef.h>

#include "datapath/edge_packet.bpf.h"
#include "wire/geneve.h"
#include "wire/vxlan.h"

// VXLAN's and Geneve's header have the same size: everything in front of the inner Ethernet header.
#define TUNNEL_BYTES (sizeof(struct iphdr) + sizeof(struct udphdr) + sizeof(struct vxlan_header))
#define OUTER_BYTES (ETH_HLEN + TUNNEL_BYTES)
_Static_assert(sizeof(struct vxlan_header) == sizeof(struct geneve_header), "");

#define FLOW_PORT_FIRST 49152 // RFC 7348 and 8926: source ports of the dynamic range
#define FLOW_PORT_MASK 0x3FFF
#define UNDERLAY_TTL 64

inlined __be16 tunnel_port_of(__u32 overlay)
{
	return overlay == OVERLAY_GENEVE ? bpf_htons(GENEVE_PORT) : bpf_htons(VXLAN_PORT);
}

inlined __be16 tunnel_port(void)
{
	return tunnel_port_of(cfg.overlay);
}

// How the kernel is to segment a super-packet inside the tunnel.
#define ROOM_IN_TUNNEL                                                                             \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |   \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN))

#define ROOM_TO_IPV6 (1ULL << 8) // BPF_F_ADJ_ROOM_DECAP_L3_IPV6, which older headers lack

// Room for the outer headers in front of the frame.
inlined int make_room(struct __sk_buff *skb, const struct packet *p)
{
	const int ip = p->inner.ip || p->inner.ip6;
	const int tcp = p->inner.ip6  ? p->inner.ip6->next == IPPROTO_TCP
			: p->inner.ip ? p->inner.ip->protocol == IPPROTO_TCP
				      : 0;

	if (ip && !bpf_skb_adjust_room(skb, OUTER_BYTES, BPF_ADJ_ROOM_MAC, ROOM_IN_TUNNEL))
		return 0;
	// That knows IP only, and refuses what is marked as a tunnel's: what the workload itself
	// encapsulated, and what came whole through our tunnel to a workload that routes. Each can
	// go as plain bytes, but a super-packet could then not be segmented. Of the second kind,
	// the marks are where our headers are put now, so that they hold again; it alone can be
	// TCP.
	if (!skb->gso_size)
		return bpf_skb_change_head(skb, OUTER_BYTES, 0);
	if (tcp)
		return bpf_skb_adjust_room(skb, OUTER_BYTES, BPF_ADJ_ROOM_MAC,
					   BPF_F_ADJ_ROOM_FIXED_GSO);
	return -1;
}

// Where a frame goes through the tunnel. MAC all zero: the kernel's neighbour table tells.
struct tunnel_end {
	__be32 ip;
	__u8 mac[ETH_ALEN];
	__u8 tos;	      // of the outer header
	enum verdict verdict; // of a frame that is sent there
};

// To where the kernel knows the way to. It asks for the neighbour's MAC if it must, but only where
// it takes the frame for an IPv4 packet, by what it noted on arrival (tunnelled ARP: not so); it
// looks at the frame's own type again only when a second VLAN tag is taken from it.
inlined int redirect_by_route(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_IP) &&
	    (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) ||
	     bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) || bpf_skb_vlan_pop(skb) ||
	     bpf_skb_vlan_pop(skb)))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(cfg.underlay_ifindex, NULL, 0, 0);
}

// The frame through a tunnel of that kind. Ends what was read of it.
inlined enum verdict edge_send_by(struct __sk_buff *skb, const struct packet *p,
				  const struct tunnel_end *to, __u32 hash, __u32 overlay)
{
	const struct ethhdr inner = *p->inner.eth;
	const __u32 vni = p->vni;
	struct vxlan_header *tunnel;
	struct ethhdr *eth, *inside;
	struct udphdr *udp;
	struct iphdr *ip;
	__u32 length;
	int action;

	if (make_room(skb, p))
		return NO_ROOM;
	eth = (void *)(long)skb->data;
	ip = (void *)(eth + 1);
	udp = (void *)(ip + 1);
	tunnel = (void *)(udp + 1);
	inside = (void *)(tunnel + 1);
	if ((void *)(inside + 1) > (void *)(long)skb->data_end)
		return BUG;

	*inside = inner;
	__builtin_memcpy(eth->h_dest, to->mac, ETH_ALEN);
	for (int i = 0; i < ETH_ALEN; i++)
		eth->h_source[i] = cfg.host_mac[i];
	eth->h_proto = bpf_htons(ETH_P_IP);

	// A super-packet may grow past what the field holds; the kernel writes it anew in every
	// segment.
	length = skb->len - ETH_HLEN;
	if (length > 0xFFFF)
		length = 0xFFFF;
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tos = to->tos,
		.tot_len = bpf_htons(length),
		.frag_off = bpf_htons(IPV4_DONT_FRAGMENT),
		.ttl = UNDERLAY_TTL,
		.protocol = IPPROTO_UDP,
		.saddr = cfg.host_ip.s6_addr32[3],
		.daddr = to->ip,
	};
	ip->check = ipv4_checksum(ip);
	*udp = (struct udphdr){
		.source = bpf_htons(FLOW_PORT_FIRST + (hash & FLOW_PORT_MASK)),
		.dest = tunnel_port_of(overlay),
		.len = bpf_htons(length - sizeof(*ip)),
	};
	if (overlay == OVERLAY_GENEVE) {
		struct geneve_header *geneve = (void *)tunnel;

		*geneve = (struct geneve_header){.protocol = bpf_htons(GENEVE_ETHERNET)};
		vni_put(geneve->vni, vni);
	} else {
		*tunnel = (struct vxlan_header){.flags = VXLAN_HAS_VNI};
		vni_put(tunnel->vni, vni);
	}

	if (to->mac[0] | to->mac[1] | to->mac[2] | to->mac[3] | to->mac[4] | to->mac[5])
		action = bpf_redirect(cfg.underlay_ifindex, 0);
	else
		action = redirect_by_route(skb);
	return action == TC_ACT_REDIRECT ? to->verdict : BUG;
}

inlined enum verdict edge_send(struct __sk_buff *skb, const struct packet *p,
			       const struct tunnel_end *to, __u32 hash)
{
	return edge_send_by(skb, p, to, hash, cfg.overlay);
}

// UDP to this host's underlay address, whole and without IP options; all else is the kernel's.
inlined enum verdict edge_underlay(struct __sk_buff *skb, struct packet *p)
{
	struct ethhdr *eth = take(p, sizeof(*eth));
	struct iphdr *ip;
	__u32 length;
	__be16 port;

	if (!eth || eth->h_proto != bpf_htons(ETH_P_IP) || skb->vlan_present)
		return PASS;
	ip = take(p, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_UDP ||
	    ip->daddr != cfg.host_ip.s6_addr32[3])
		return PASS;
	if (ip->frag_off & bpf_htons(IPV4_OFFSET)) // no ports: the first fragment is judged
		return PASS;
	// To which port, even where options of any length come first.
	if (bpf_skb_load_bytes(skb, ETH_HLEN + ip->ihl * 4 + offsetof(struct udphdr, dest), &port,
			       sizeof(port)) ||
	    (port != tunnel_port() && port != cfg.oam_port))
		return PASS;

	p->udp = take(p, sizeof(*p->udp));
	if (!p->udp)
		return UNDERLAY_MALFORMED;
	length = bpf_ntohs(ip->tot_len);
	if (ip->ihl != 5 || ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS) ||
	    length < sizeof(*ip) + sizeof(*p->udp) || length + ETH_HLEN > skb->len ||
	    bpf_ntohs(p->udp->len) < sizeof(*p->udp) ||
	    bpf_ntohs(p->udp->len) > length - sizeof(*ip))
		return UNDERLAY_MALFORMED;
	p->outer.eth = eth;
	p->outer.ip = ip;
	return GO_ON;
}

// The tunnel header: p->vni, and where the inner frame begins. Of Geneve's options we know none:
// one that must be understood (RFC 8926 section 3.5) stops the frame, the others are skipped.
inlined enum verdict edge_open(struct packet *p)
{
	struct geneve_header *geneve;
	struct vxlan_header *vxlan;

	p->inner_offset = OUTER_BYTES;
	if (cfg.overlay != OVERLAY_GENEVE) {
		vxlan = take(p, sizeof(*vxlan));
		if (!vxlan || !(vxlan->flags & VXLAN_HAS_VNI))
			return TUNNEL_MALFORMED;
		p->vni = vni_of(vxlan->vni);
		return GO_ON;
	}
	geneve = take(p, sizeof(*geneve));
	if (!geneve || geneve->version_length >> 6 || geneve->flags & GENEVE_CONTROL ||
	    geneve->protocol != bpf_htons(GENEVE_ETHERNET))
		return TUNNEL_MALFORMED;
	if (geneve->flags & GENEVE_CRITICAL)
		return TUNNEL_OPTION;
	p->vni = vni_of(geneve->vni);
	p->inner_offset += (geneve->version_length & 0x3F) * 4;
	return GO_ON;
}

// Takes the outer headers away; what remains begins with *inner. Ends what was read of the frame.
inlined enum verdict edge_strip(struct __sk_buff *skb, const struct packet *p,
				const struct ethhdr *inner)
{
	struct ethhdr *eth;

	// The kernel removes bytes behind the outer Ethernet header, which is then overwritten. It
	// segments by what it takes the frame for.
	if (bpf_skb_adjust_room(skb, -(__s32)p->inner_offset, BPF_ADJ_ROOM_MAC,
				inner->h_proto == bpf_htons(ETH_P_IPV6)
					? BPF_F_ADJ_ROOM_FIXED_GSO | ROOM_TO_IPV6
					: BPF_F_ADJ_ROOM_FIXED_GSO))
		return NO_ROOM;
	eth = (void *)(long)skb->data;
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return BUG;
	*eth = *inner;
	return GO_ON;
}
