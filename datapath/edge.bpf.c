// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// What happens to a packet at an edge host, in order. Read this after gateway.bpf.c; each step is
// one header away.
#include "datapath/packet.bpf.h"

const volatile struct edge_config cfg;

#include "datapath/edge_packet.bpf.h"
#include "modules/port/edge_port.bpf.h"
#include "modules/arp/edge_arp.bpf.h"
#include "modules/neighbor/edge_neighbor.bpf.h"
#include "modules/icmp/edge_icmp.bpf.h"
#include "modules/directpath/edge_directpath.bpf.h"
#include "modules/entrance/edge_entrance.bpf.h"
#include "modules/overlay/edge_overlay.bpf.h"

// Ethernet, IPv4, and an ICMP error with what it quotes; TCP's header is shorter.
#define EGRESS_BYTES (ETH_HLEN + 20 + 8 + 20 + 8)
// The same of IPv6, with as many extension headers as are read.
#define EGRESS6_BYTES (ETH_HLEN + 40 + EXTENSION_BYTES + 8 + 40 + EXTENSION_BYTES + 8)
// The outer headers, and an OAM message; a tunnel's header is shorter.
#define INGRESS_BYTES (ETH_HLEN + 20 + 8 + sizeof(struct oam_inject6))

// ARP, IPv4 or IPv6 that fits the tunnel, and the flow it belongs to.
inlined enum verdict read_sent(struct __sk_buff *skb, struct packet *p, struct flow *f)
{
	enum verdict v;

	if (p->inner.eth->h_proto == bpf_htons(ETH_P_ARP))
		return edge_read_arp(p, f);
	if (p->inner.eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((v = read_ipv6_header(p, skb->len - ETH_HLEN)) ||
		    edge_read_neighbor(p, f, &v) || (v = read_flow6(p, f)))
			return v;
		return edge_too_large(skb, p, f);
	}
	if (p->inner.eth->h_proto != bpf_htons(ETH_P_IP))
		return INNER_PROTOCOL;
	if ((v = read_ipv4(p, skb->len - ETH_HLEN)) || (v = read_flow(p, f)))
		return v;
	return edge_too_large(skb, p, f);
}

// A workload of this host sent a frame: straight to the other host where the cluster said so, else
// to the cluster. Attached (tcx ingress) to the host's side of the workload's interface.
SEC("tc")
int edge_egress(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb, skb->protocol == bpf_htons(ETH_P_IPV6) ? EGRESS6_BYTES
										    : EGRESS_BYTES);
	struct tunnel_end to = {};
	struct flow f = {};
	enum verdict v;
	__u32 hash, cluster;

	if ((v = edge_port_sender(skb, &p, &cluster)))
		return edge_finish(skb, v);
	if (edge_tagged(skb, p.inner.eth))
		return edge_finish(skb, INNER_VLAN);
	if ((v = read_sent(skb, &p, &f)))
		return edge_finish(skb, v);

	hash = key_hash(&f.key);
	if ((v = edge_direct(skb, &p, &f, &to)) ||
	    (!to.ip && (v = edge_entrance(&to, cluster, hash))))
		return edge_finish(skb, v);
	return edge_finish(skb, edge_send(skb, &p, &to, hash));
}

// The underlay brought a packet: a tenant's frame for a workload of this host, a word from an
// entrance, or the host's own. Attached (tcx ingress) to the underlay interface.
SEC("tc")
int edge_ingress(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb, INGRESS_BYTES);
	enum verdict v;

	if ((v = edge_underlay(skb, &p)))
		return edge_finish(skb, v);
	if (p.udp->dest == cfg.oam_port)
		return edge_consume(skb, edge_oam(&p));
	if ((v = edge_open(&p)))
		return edge_finish(skb, v);
	return edge_finish(skb, edge_deliver(skb, &p));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
