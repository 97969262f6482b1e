/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The tunnel between hosts and entrances: VXLAN or Geneve, as the cluster has it.
#pragma once

#include "datapath/packet.bpf.h"
#include "wire/geneve.h"
#include "wire/vxlan.h"

// Between the Ethernet header and a tenant's frame, without options: both tunnels take the same.
struct outer_headers {
	struct iphdr ip;
	struct udphdr udp;
	union {
		struct vxlan_header vxlan;
		struct geneve_header geneve;
	};
};
_Static_assert(sizeof(struct outer_headers) == 36, "20 + 8 + 8");

#define OUTER_BYTES (sizeof(struct ethhdr) + sizeof(struct outer_headers))

// Steps over a host's Geneve options. A critical one that is not known stops the packet
// (RFC 8926 section 3.5.1).
inlined enum verdict skip_options(struct packet *p, const struct geneve_header *g)
{
	__u32 words = g->version_length & 0x3F;

	if (!words)
		return GO_ON;
	if (g->flags & GENEVE_CRITICAL)
		return TUNNEL_OPTION;
	if (p->at + words * 4 > p->end)
		return TRUNCATED;
	p->at += words * 4;
	return GO_ON;
}

// After the outer UDP header: the VNI, and where the tenant's frame begins.
inlined enum verdict overlay_open(struct packet *p, __u32 overlay)
{
	enum verdict v;

	if (overlay == OVERLAY_VXLAN) {
		struct vxlan_header *x = take(p, sizeof(*x));

		if (!x)
			return TRUNCATED;
		if (!(x->flags & VXLAN_HAS_VNI))
			return TUNNEL_MALFORMED;
		p->vni = vni_of(x->vni);
	} else {
		struct geneve_header *g = take(p, sizeof(*g));

		if (!g)
			return TRUNCATED;
		if (g->version_length >> 6 || (g->flags & GENEVE_CONTROL) ||
		    g->protocol != bpf_htons(GENEVE_ETHERNET))
			return TUNNEL_MALFORMED;
		p->vni = vni_of(g->vni);
		if ((v = skip_options(p, g)))
			return v;
	}
	p->inner_offset = p->at - p->data;
	p->inner.eth = take(p, sizeof(*p->inner.eth));
	return p->inner.eth ? GO_ON : TRUNCATED;
}

inlined __be16 overlay_port(__u32 overlay)
{
	return overlay == OVERLAY_VXLAN ? bpf_htons(VXLAN_PORT) : bpf_htons(GENEVE_PORT);
}

// An IPv4 and a UDP header in front of payload bytes (the UDP checksum may be 0: RFC 7348
// section 4.3, RFC 8926 section 4.3.1).
inlined void underlay_write(struct iphdr *ip, struct udphdr *udp, __be32 from, __be32 to,
			    __be16 source, __be16 destination, __u16 payload)
{
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(*ip) + sizeof(*udp) + payload),
		.frag_off = bpf_htons(IPV4_DONT_FRAGMENT),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = from,
		.daddr = to,
	};
	ip->check = ipv4_checksum(ip);
	*udp = (struct udphdr){
		.source = source,
		.dest = destination,
		.len = bpf_htons(sizeof(*udp) + payload),
	};
}

// RFC 7348 section 5, RFC 8926 section 3.3: the source port tells flows apart, in the dynamic
// range.
inlined __be16 entropy_port(__u32 hash)
{
	return bpf_htons(0xC000 | (hash & 0x3FFF));
}

// The tunnel's headers, in front of payload bytes that begin with the tenant's frame.
inlined void overlay_write(struct ethhdr *eth, struct outer_headers *o, __u32 overlay, __u32 vni,
			   __be32 from, const __u8 from_mac[6], __be32 to, const __u8 to_mac[6],
			   __u32 hash, __u16 payload)
{
	__builtin_memcpy(eth->h_dest, to_mac, 6);
	__builtin_memcpy(eth->h_source, from_mac, 6);
	eth->h_proto = bpf_htons(ETH_P_IP);
	underlay_write(&o->ip, &o->udp, from, to, entropy_port(hash), overlay_port(overlay),
		       sizeof(o->vxlan) + payload);
	if (overlay == OVERLAY_VXLAN) {
		o->vxlan = (struct vxlan_header){.flags = VXLAN_HAS_VNI};
		vni_put(o->vxlan.vni, vni);
	} else {
		o->geneve = (struct geneve_header){.protocol = bpf_htons(GENEVE_ETHERNET)};
		vni_put(o->geneve.vni, vni);
	}
}
