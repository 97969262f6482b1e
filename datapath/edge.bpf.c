// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// What happens to a packet at an edge host, in order. Read this after gateway.bpf.c; each step is
// one header away.
#include "datapath/packet.bpf.h"

const volatile struct edge_config cfg;

#include "datapath/edge_packet.bpf.h"
#include "modules/limits/edge_limits.bpf.h"
#include "modules/limits/edge_mark.bpf.h"
#include "modules/limits/edge_mirror.bpf.h"
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

// What is read of a workload's frame.
inlined __u32 egress_bytes(const struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(ETH_P_IPV6) ? EGRESS6_BYTES : EGRESS_BYTES;
}

// Behind this the verifier knows no more of a flow than that there is one: else it would look at
// all that follows once for each way in which an IPv6 packet can be read.
verified int any_flow(struct flow *f)
{
	asm volatile("" : : : "memory");
	return f != NULL;
}

inlined enum verdict read_sent6(struct __sk_buff *skb, struct packet *p, struct flow *f)
{
	enum verdict v;

	if ((v = read_ipv6_header(p, skb->len - ETH_HLEN)))
		return v;
	if (!edge_read_neighbor(p, f, &v))
		v = read_flow6(p, f);
	if (v)
		return v;
	return any_flow(f) ? edge_too_large(skb, p, f) : BUG;
}

// ARP, IPv4 or IPv6 that fits the tunnel, and the flow it belongs to.
inlined enum verdict read_sent(struct __sk_buff *skb, struct packet *p, struct flow *f)
{
	enum verdict v;

	if (p->inner.eth->h_proto == bpf_htons(ETH_P_ARP))
		return edge_read_arp(p, f);
	if (p->inner.eth->h_proto == bpf_htons(ETH_P_IPV6))
		return read_sent6(skb, p, f);
	if (p->inner.eth->h_proto != bpf_htons(ETH_P_IP))
		return INNER_PROTOCOL;
	if ((v = read_ipv4(p, skb->len - ETH_HLEN)) ||
	    (v = is_later(p->inner.ip) ? read_later(p, f) : read_flow(p, f)))
		return v;
	return edge_too_large(skb, p, f);
}

// Reads what edge_egress() goes on with once more.
inlined int edge_again(struct __sk_buff *skb, struct packet *p)
{
	const struct frame was = p->inner;
	const __u32 vni = p->vni;

	*p = packet_of_skb(skb, egress_bytes(skb));
	p->vni = vni;
	p->inner.eth = take(p, sizeof(*p->inner.eth));
	if (was.ip)
		p->inner.ip = take(p, sizeof(*p->inner.ip));
	if (was.ip6)
		p->inner.ip6 = take(p, sizeof(*p->inner.ip6));
	return p->inner.eth && !p->inner.ip == !was.ip && !p->inner.ip6 == !was.ip6;
}

// By what flows are spread, over entrances and otherwise. All fragments of a packet go one way, so
// of any of them the addresses count alone.
inlined __u32 spread(const struct flow *f)
{
	struct session_key key = f->key;

	if (f->fragment)
		key.a_port = key.b_port = 0;
	return (__u32)key_hash(&key);
}

// A workload of this host sent a frame: straight to the other host where the cluster said so, else
// to the cluster. Attached (tcx ingress) to the host's side of the workload's interface.
SEC("tc")
int edge_egress(struct __sk_buff *skb)
{
	struct packet p = packet_of_skb(skb, egress_bytes(skb));
	const struct local_port *port;
	struct tunnel_end to = {};
	struct flow f = {};
	enum verdict v;
	__u32 hash;

	if ((v = edge_port_sender(skb, &p, &port)))
		return edge_finish(skb, v);
	if (edge_tagged(skb, p.inner.eth))
		return edge_finish(skb, INNER_VLAN);
	if ((v = read_sent(skb, &p, &f)) || (v = edge_connection_allowed(skb, port, &f)) ||
	    (v = edge_egress_allowed(skb, port)))
		return edge_finish(skb, v);
	edge_mark(&p, port);
	to.tos = outer_tos(port);
	if (port->mirror.which & MIRROR_EGRESS) {
		edge_copy(skb, port, skb->ifindex);
		if (!edge_again(skb, &p))
			return edge_finish(skb, BUG);
	}

	hash = spread(&f);
	if ((v = edge_direct(skb, &p, &f, &to)) ||
	    (!to.ip && (v = edge_entrance(&to, port->cluster, hash))))
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

// A copy of a port's packet, for its collector. Attached (tcx egress) to an end of a pair of
// interfaces that has no other use.
SEC("tc")
int edge_mirror(struct __sk_buff *skb)
{
	__u32 ifindex = skb->mark;
	const struct local_port *port = bpf_map_lookup_elem(&port_by_ifindex, &ifindex);
	struct tunnel_end to = {.verdict = MIRRORED};
	struct packet p;

	if (!port || !port->mirror.which)
		return edge_finish(skb, NO_LOCAL_PORT);
	skb->mark = 0;
	if (skb->len > port->mirror.bytes && bpf_skb_change_tail(skb, port->mirror.bytes, 0))
		return edge_finish(skb, NO_ROOM);
	p = packet_of_skb(skb, EGRESS_BYTES);
	p.vni = port->mirror.vni;
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.inner.eth)
		return edge_finish(skb, TRUNCATED);
	if (p.inner.eth->h_proto == bpf_htons(ETH_P_IP))
		p.inner.ip = take(&p, sizeof(*p.inner.ip));
	else if (p.inner.eth->h_proto == bpf_htons(ETH_P_IPV6))
		p.inner.ip6 = take(&p, sizeof(*p.inner.ip6));
	to.ip = address_v4(&port->mirror.collector);
	return edge_finish(skb,
			   edge_send_by(skb, &p, &to, bpf_get_hash_recalc(skb), OVERLAY_VXLAN));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
