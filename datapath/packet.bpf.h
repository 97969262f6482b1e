/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Reading headers. Every byte is taken through take(), so bounds are checked in one place.
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "shared/address.h"
#include "shared/config.h"
#include "shared/key.h"
#include "shared/session.h"
#include "shared/verdict.h"
#include "wire/icmp.h"

// Some compilers' <linux/ip.h> lack them.
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET 0x1FFF

struct frame {
	struct ethhdr *eth;
	struct iphdr *ip;
};

struct packet {
	struct xdp_md *ctx;
	void *data;
	void *at; // the next byte that take() gives
	void *end;
	struct frame outer;
	struct frame inner;
	struct udphdr *udp; // of the outer frame
	__u32 vni;
	__u32 inner_offset; // of the inner Ethernet header
};

// A tenant's packet as its session sees it.
struct flow {
	struct session_key key;
	__u8 from_b;	// its sender is the key's b
	__u8 tcp_flags; // as in the header: TCP_*
	__u8 fragment;	// any fragment; 2: not the first
	__u8 icmp_error;
	__u8 icmp_type;
	__u8 no_echo; // ICMP: no echo, or not known to be one
	__be16 source_port;
	__be16 destination_port;
	__be32 source; // IPv4; of an ICMP error: of the flow it is about, reversed
	__be32 destination;
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

inlined struct packet packet_of(struct xdp_md *ctx)
{
	struct packet p = {
		.ctx = ctx,
		.data = (void *)(long)ctx->data,
		.at = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};

	return p;
}

// Makes the packet so long, at its end. Pointers into it are void then. Returns 0 where it is.
inlined long packet_resize(struct xdp_md *ctx, int bytes)
{
	// As in count().
	const void *data = (const void *)(long)ctx->data;
	const void *end = (const void *)(long)ctx->data_end;

	asm volatile("" : "+r"(data), "+r"(end));
	return bpf_xdp_adjust_tail(ctx, bytes - (int)((const char *)end - (const char *)data));
}

// The next size bytes, or NULL where the packet ends before.
inlined void *take(struct packet *p, __u32 size)
{
	void *head = p->at;

	if (head + size > p->end)
		return NULL;
	p->at = head + size;
	return head;
}

inlined int mac_equal(const __u8 a[6], const __u8 b[6])
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) |
		 (a[5] ^ b[5]));
}

// From the load-time configuration, through its volatile: where that is cast away the compiler
// folds in the zeros of build time.
inlined void mac_of_config(__u8 to[6], const volatile __u8 from[6])
{
#pragma unroll
	for (int i = 0; i < 6; i++)
		to[i] = from[i];
}

inlined void address_of_config(struct in6_addr *to, const volatile struct in6_addr *from)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		to->in6_u.u6_addr32[i] = from->in6_u.u6_addr32[i];
}

inlined void vni_put(__u8 to[3], __u32 vni)
{
	to[0] = vni >> 16;
	to[1] = vni >> 8;
	to[2] = vni;
}

inlined __u16 fold(__u32 sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	return ~((sum & 0xFFFF) + (sum >> 16));
}

// The IPv4 header checksum (RFC 1071) of 20 bytes whose checksum field is 0.
inlined __sum16 ipv4_checksum(const struct iphdr *ip)
{
	const __u16 *word = (const void *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	return fold(sum);
}

// One less, and the checksum with it (RFC 1624 equation 3, folded as RFC 1141 allows for +1).
inlined void ttl_decrement(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = (__sum16)(check + (check >= 0xFFFF));
	ip->ttl--;
}

// Tenants' IPv4: no options, and the length it says must be there: of the packet there are that
// many bytes from this header on, in linear memory or not.
inlined enum verdict read_ipv4(struct packet *p, __u32 there)
{
	struct iphdr *ip = take(p, sizeof(*ip));

	if (!ip)
		return TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return INNER_MALFORMED;
	if (ip->ihl != 5)
		return INNER_OPTIONS;
	if (bpf_ntohs(ip->tot_len) < sizeof(*ip) || bpf_ntohs(ip->tot_len) > there)
		return TRUNCATED;
	if ((ip->daddr & bpf_htonl(0xF0000000)) == bpf_htonl(0xE0000000) || ip->daddr == 0xFFFFFFFF)
		return INNER_BROADCAST;
	p->inner.ip = ip;
	return GO_ON;
}

// Of a packet that is all in linear memory.
inlined enum verdict read_inner_ipv4(struct packet *p)
{
	return read_ipv4(p, p->end - p->at);
}

// What follows an IPv4 header, for the key: ports, or what stands for them. Twice 0 is what a
// fragment has for ports: nobody may begin the session of all fragments with such a packet.
inlined enum verdict read_ports(struct packet *p, __u8 protocol, struct flow *f)
{
	if (protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = take(p, sizeof(*tcp));

		if (!tcp)
			return INNER_MALFORMED;
		f->source_port = tcp->source;
		f->destination_port = tcp->dest;
		f->tcp_flags = ((__u8 *)tcp)[13];
		if (!tcp->source && !tcp->dest)
			return INNER_MALFORMED;
	} else if (protocol == IPPROTO_UDP) {
		struct udphdr *udp = take(p, sizeof(*udp));

		if (!udp)
			return INNER_MALFORMED;
		f->source_port = udp->source;
		f->destination_port = udp->dest;
		if (!udp->source && !udp->dest)
			return INNER_MALFORMED;
	} else if (protocol == IPPROTO_ICMP) {
		struct icmp_header *icmp = take(p, sizeof(*icmp));

		if (!icmp)
			return INNER_MALFORMED;
		f->icmp_type = icmp->type;
		if (icmp->type == ICMP_ECHO_REQUEST || icmp->type == ICMP_ECHO_REPLY) {
			f->source_port = icmp->echo.identifier;
			f->destination_port = icmp->echo.identifier;
		} else if (icmp->type == ICMP_UNREACHABLE || icmp->type == ICMP_TIME_EXCEEDED ||
			   icmp->type == ICMP_PARAMETER) {
			f->icmp_error = 1;
		} else {
			f->no_echo = 1;
		}
	}
	return GO_ON;
}

// An ICMP error belongs to the flow whose packet it embeds (RFC 5508 section 4): as if it were
// sent by that packet's destination.
inlined enum verdict read_embedded(struct packet *p, struct flow *f, __u8 *protocol)
{
	struct iphdr *ip = take(p, sizeof(*ip));
	__be32 *ports;

	if (!ip || ip->version != 4 || ip->ihl != 5 || ip->saddr != p->inner.ip->daddr)
		return INNER_MALFORMED;
	ports = take(p, 8); // RFC 792: at least that much of the datagram is there
	if (!ports)
		return INNER_MALFORMED;
	f->source = ip->daddr;
	f->destination = ip->saddr;
	*protocol = ip->protocol;
	if (ip->frag_off & bpf_htons(IPV4_OFFSET | IPV4_MORE_FRAGMENTS)) {
		f->no_echo = ip->protocol == IPPROTO_ICMP;
		return GO_ON;
	}
	if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) {
		f->source_port = ((__be16 *)ports)[1];
		f->destination_port = ((__be16 *)ports)[0];
	} else if (ip->protocol == IPPROTO_ICMP) {
		__u8 type = *(__u8 *)ports;

		f->no_echo = type != ICMP_ECHO_REQUEST && type != ICMP_ECHO_REPLY;
		if (!f->no_echo) {
			f->source_port = ((__be16 *)ports)[2]; // the identifier
			f->destination_port = ((__be16 *)ports)[2];
		}
	}
	return GO_ON;
}

// Both directions get one key: the endpoint that sorts first is a.
inlined void make_key(struct flow *f, __u32 vni, __u8 protocol)
{
	__u64 source = (__u64)bpf_ntohl(f->source) << 16 | bpf_ntohs(f->source_port);
	__u64 destination = (__u64)bpf_ntohl(f->destination) << 16 | bpf_ntohs(f->destination_port);

	f->from_b = source > destination;
	if (f->from_b) {
		f->key.a = address_of_v4(f->destination);
		f->key.b = address_of_v4(f->source);
		f->key.a_port = f->destination_port;
		f->key.b_port = f->source_port;
	} else {
		f->key.a = address_of_v4(f->source);
		f->key.b = address_of_v4(f->destination);
		f->key.a_port = f->source_port;
		f->key.b_port = f->destination_port;
	}
	// An echo may have the identifier 0.
	if (f->no_echo)
		f->key.b_port = bpf_htons(0xFFFF);
	vni_put(f->key.vni, vni);
	f->key.protocol = protocol;
}

// The flow of a tenant's IPv4 packet whose header was read.
inlined enum verdict read_flow(struct packet *p, struct flow *f)
{
	struct iphdr *ip = p->inner.ip;
	__u8 protocol = ip->protocol;
	enum verdict v;

	f->source = ip->saddr;
	f->destination = ip->daddr;
	if (ip->frag_off & bpf_htons(IPV4_OFFSET | IPV4_MORE_FRAGMENTS)) {
		f->fragment = ip->frag_off & bpf_htons(IPV4_OFFSET) ? 2 : 1;
		f->no_echo = protocol == IPPROTO_ICMP;
	} else {
		if ((v = read_ports(p, protocol, f)))
			return v;
		if (f->icmp_error && (v = read_embedded(p, f, &protocol)))
			return v;
	}
	make_key(f, p->vni, protocol);
	return GO_ON;
}

// This machine's clock, coarse (a tick): for ages, never for order between machines.
inlined __u32 clock_ms(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000;
}
