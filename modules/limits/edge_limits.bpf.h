/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What a port may send and get: where its host's edge sees all of it, also what takes the direct
// path.
#pragma once

#include "datapath/edge_packet.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOCAL_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct port_buckets);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} port_buckets SEC(".maps");

inlined struct port_buckets *buckets_of(__u32 ifindex)
{
	struct port_buckets *b = bpf_map_lookup_elem(&port_buckets, &ifindex);

	if (b)
		return b;
	bpf_map_update_elem(&port_buckets, &ifindex, &(struct port_buckets){}, BPF_NOEXIST);
	return bpf_map_lookup_elem(&port_buckets, &ifindex);
}

struct measure {
	__u32 packets;
	__u32 bytes;
};

// Of a super-packet: the headers that each of its frames has.
inlined __u32 super_headers(struct __sk_buff *skb, __u32 offset)
{
	const __u32 at = offset + ETH_HLEN;
	struct tcphdr tcp;
	struct iphdr ip;
	__u8 next;
	__u32 bytes;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)))
		return ETH_HLEN;
	bytes = sizeof(ip);
	next = ip.protocol;
	if (ip.version == 6) {
		bytes = sizeof(struct ipv6_header);
		next = ((const struct ipv6_header *)&ip)->next;
	}
	if (next == IPPROTO_TCP && !bpf_skb_load_bytes(skb, at + bytes, &tcp, sizeof(tcp)))
		return ETH_HLEN + bytes + tcp.doff * 4;
	return ETH_HLEN + bytes + sizeof(struct udphdr);
}

// The workload's frame that begins at this offset, as an interface would count it: Ethernet header
// and what follows. A super-packet is the frames that the kernel makes of it, each with headers of
// its own.
inlined struct measure measure_of(struct __sk_buff *skb, __u32 offset)
{
	struct measure m = {.packets = 1, .bytes = skb->len - offset};
	__u32 headers, size = skb->gso_size;

	if (!size)
		return m;
	headers = super_headers(skb, offset);
	if (m.bytes <= headers)
		return m;
	m.packets = (m.bytes - headers - 1) / size + 1;
	m.bytes += (m.packets - 1) * headers;
	return m;
}

inlined int port_allowed(struct __sk_buff *skb, const struct rate *rate, struct bucket *bucket,
			 __u32 offset)
{
	struct measure m = measure_of(skb, offset);

	return rate_allows(rate, bucket, bpf_ktime_get_ns(), m.packets, m.bytes);
}

// What the workload of this interface sends.
inlined enum verdict edge_egress_allowed(struct __sk_buff *skb, const struct local_port *port)
{
	struct port_buckets *b;

	if (!rate_limits(&port->egress))
		return GO_ON;
	b = buckets_of(skb->ifindex);
	return !b || port_allowed(skb, &port->egress, &b->egress, 0) ? GO_ON : PORT_EGRESS_RATE;
}

// A connection that the workload of this interface begins: TCP's, as it says so itself. Nobody
// sends a SYN in fragments but to hide it, so an IPv6 packet that begins with one is taken for
// that.
inlined enum verdict edge_connection_allowed(struct __sk_buff *skb, const struct local_port *port,
					     const struct flow *f)
{
	struct port_buckets *b;

	if (!port->connections.per_packet || f->key.protocol != IPPROTO_TCP ||
	    f->fragment == FRAGMENT_LATER ||
	    (!f->portless && (f->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN))
		return GO_ON;
	b = buckets_of(skb->ifindex);
	return !b || rate_allows(&port->connections, &b->connections, bpf_ktime_get_ns(), 1, 0)
		       ? GO_ON
		       : PORT_CONNECTION_RATE;
}

// What the port of that interface gets.
inlined enum verdict edge_ingress_allowed(struct __sk_buff *skb, const struct local_port *port,
					  __u32 ifindex, __u32 offset)
{
	struct port_buckets *b;

	if (!rate_limits(&port->ingress))
		return GO_ON;
	b = buckets_of(ifindex);
	return !b || port_allowed(skb, &port->ingress, &b->ingress, offset) ? GO_ON
									    : PORT_INGRESS_RATE;
}
