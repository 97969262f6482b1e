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
#include "wire/icmpv6.h"
#include "wire/ipv6.h"

// Some compilers' <linux/ip.h> lack them.
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_OFFSET 0x1FFF
#define IPV4_MOST 65535 // bytes of a packet, whole

// A tenant's packet has one of the two; the outer one is IPv4.
struct frame {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct ipv6_header *ip6;
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
	__u8 fragment;	// any fragment: FRAGMENT_*
	__u8 icmp_error;
	__u8 icmp_type;
	__u8 no_echo;  // ICMP: no echo, or not known to be one
	__u8 portless; // a fragment of whose ports nothing is known: all such are one session
	__be16 source_port;
	__be16 destination_port;
};

#define FRAGMENT_FIRST 1 // IPv4: with the ports that its session has
#define FRAGMENT_LATER 2

// Of an ICMP error: of the flow it is about, reversed.
inlined struct in6_addr flow_source(const struct flow *f)
{
	if (f->from_b)
		return f->key.b;
	return f->key.a;
}

inlined struct in6_addr flow_destination(const struct flow *f)
{
	if (f->from_b)
		return f->key.a;
	return f->key.b;
}

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

// As 64 bits that sort as the bytes do; which 0 or 8.
inlined __u64 address_half(const struct in6_addr *a, __u32 which)
{
	__u64 half;

	__builtin_memcpy(&half, &a->in6_u.u6_addr8[which], sizeof(half));
	return __builtin_bswap64(half);
}

// As which no packet goes from an endpoint to another: unspecified, loopback, multicast, and what
// has IPv4 in its last 32 bits but for NAT64, so that no such packet has an IPv4 flow's key.
inlined int address_odd(const struct in6_addr *a)
{
	return !address_half(a, 0) || a->in6_u.u6_addr8[0] == 0xFF;
}

inlined int address_link_local(const struct in6_addr *a)
{
	return (address_half(a, 0) >> 54) == 0xFE80 >> 6;
}

// Tenants' IPv6: the header, and the length it says must be there, as above. Of the addresses
// nothing is said yet.
inlined enum verdict read_ipv6_header(struct packet *p, __u32 there)
{
	struct ipv6_header *ip = take(p, sizeof(*ip));

	if (!ip)
		return TRUNCATED;
	if ((ip->version_class[0] & 0xF0) != IPV6_VERSION)
		return INNER_MALFORMED;
	if (bpf_ntohs(ip->payload) + sizeof(*ip) > there)
		return TRUNCATED;
	p->inner.ip6 = ip;
	return GO_ON;
}

// Of a packet from endpoint to endpoint, or to its gateway's own address.
inlined enum verdict check_ipv6_addresses(const struct ipv6_header *ip)
{
	if (ip->destination.in6_u.u6_addr8[0] == 0xFF)
		return INNER_BROADCAST;
	if (address_odd(&ip->source) || address_odd(&ip->destination))
		return INNER_ADDRESS;
	if (address_link_local(&ip->source) || address_link_local(&ip->destination))
		return LINK_LOCAL;
	return GO_ON;
}

inlined __u32 ipv6_bytes(const struct ipv6_header *ip)
{
	return sizeof(*ip) + bpf_ntohs(ip->payload);
}

inlined __u8 ipv6_class(const struct ipv6_header *ip)
{
	return ip->version_class[0] << 4 | ip->version_class[1] >> 4;
}

inlined void ipv6_class_put(struct ipv6_header *ip, __u8 class)
{
	ip->version_class[0] = IPV6_VERSION | class >> 4;
	ip->version_class[1] = (ip->version_class[1] & 0x0F) | class << 4;
}

// Of a tenant's packet that was read. (Both are asked for: of a packet's bytes the verifier does
// not know that they are not at 0.)
inlined __u8 hops_of(const struct packet *p)
{
	if (p->inner.ip6)
		return p->inner.ip6->hops;
	return p->inner.ip ? p->inner.ip->ttl : 0;
}

inlined __u32 tenant_bytes(const struct packet *p)
{
	if (p->inner.ip6)
		return ipv6_bytes(p->inner.ip6);
	return p->inner.ip ? bpf_ntohs(p->inner.ip->tot_len) : 0;
}

inlined __u8 dscp_of(const struct packet *p)
{
	if (p->inner.ip6)
		return ipv6_class(p->inner.ip6) >> 2;
	return p->inner.ip ? p->inner.ip->tos >> 2 : 0;
}

// Where in its packet an IPv4 fragment lies, as its header has it; 0: it is all of it.
inlined __u32 fragment_place(const struct iphdr *ip)
{
	return bpf_ntohs(ip->frag_off) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET);
}

inlined int is_later(const struct iphdr *ip)
{
	return !!(ip->frag_off & bpf_htons(IPV4_OFFSET));
}

// Whether a fragment with so many bytes behind its header is what nobody needs to send: in other
// steps than 8 bytes, or past the end of any packet (RFC 791 section 3.2); without all of the L4
// header in the first one, or with a part of it in a later one (RFC 1858 section 3, RFC 3128).
verified int fragment_odd(__u32 place, __u32 bytes, __u32 protocol)
{
	__u32 begin = (place & IPV4_OFFSET) * 8;
	__u32 header = protocol == IPPROTO_TCP				     ? sizeof(struct tcphdr)
		       : protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP ? 8
									     : 0;

	if (!bytes || (place & IPV4_MORE_FRAGMENTS && bytes % 8) ||
	    begin + bytes > IPV4_MOST - sizeof(struct iphdr))
		return 1;
	return begin ? begin < header : bytes < header;
}

// What follows an IP header, for the key: ports, or what stands for them. Twice 0 is what an IPv6
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

// Of a flow that an IPv4 packet is of, or that an ICMP error is about.
struct ends {
	__be32 source;
	__be32 destination;
};

// An ICMP error belongs to the flow whose packet it embeds (RFC 5508 section 4): as if it were
// sent by that packet's destination.
inlined enum verdict read_embedded(struct packet *p, struct flow *f, struct ends *ends,
				   __u8 *protocol)
{
	struct iphdr *ip = take(p, sizeof(*ip));
	__be32 *ports;

	if (!ip || ip->version != 4 || ip->ihl != 5 || ip->saddr != p->inner.ip->daddr)
		return INNER_MALFORMED;
	ports = take(p, 8); // RFC 792: at least that much of the datagram is there
	if (!ports)
		return INNER_MALFORMED;
	ends->source = ip->daddr;
	ends->destination = ip->saddr;
	*protocol = ip->protocol;
	// RFC 1122 section 3.2.2: there are no errors about later fragments.
	if (is_later(ip))
		return INNER_MALFORMED;
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
inlined void make_key(struct flow *f, struct ends ends, __u32 vni, __u8 protocol)
{
	__u64 source = (__u64)bpf_ntohl(ends.source) << 16 | bpf_ntohs(f->source_port);
	__u64 destination =
		(__u64)bpf_ntohl(ends.destination) << 16 | bpf_ntohs(f->destination_port);

	f->from_b = source > destination;
	if (f->from_b) {
		f->key.a = address_of_v4(ends.destination);
		f->key.b = address_of_v4(ends.source);
		f->key.a_port = f->destination_port;
		f->key.b_port = f->source_port;
	} else {
		f->key.a = address_of_v4(ends.source);
		f->key.b = address_of_v4(ends.destination);
		f->key.a_port = f->source_port;
		f->key.b_port = f->destination_port;
	}
	// An echo may have the identifier 0.
	if (f->no_echo)
		f->key.b_port = bpf_htons(0xFFFF);
	vni_put(f->key.vni, vni);
	f->key.protocol = protocol;
}

// The flow of a tenant's IPv4 packet whose header was read. A later fragment has none by itself:
// who takes those asks before.
inlined enum verdict read_flow(struct packet *p, struct flow *f)
{
	struct iphdr *ip = p->inner.ip;
	__u32 place = fragment_place(ip);
	__u8 protocol = ip->protocol;
	struct ends ends = {ip->saddr, ip->daddr};
	enum verdict v;

	// Reckoned, so that the verifier does not look at all that follows twice.
	f->fragment = (place + IPV4_MORE_FRAGMENTS + IPV4_OFFSET) / (2 * IPV4_MORE_FRAGMENTS);
	if (place && fragment_odd(place, bpf_ntohs(ip->tot_len) - sizeof(*ip), protocol))
		return FRAGMENT_ODD;
	if (place & IPV4_OFFSET)
		return NO_FIRST_FRAGMENT;
	if ((v = read_ports(p, protocol, f)))
		return v;
	if (f->icmp_error) {
		if (place) // RFC 1812 section 4.3.2.3: it is not that long
			return FRAGMENT_ODD;
		if ((v = read_embedded(p, f, &ends, &protocol)))
			return v;
	}
	make_key(f, ends, p->vni, protocol);
	return GO_ON;
}

// Of a later fragment all that it says itself.
inlined enum verdict read_later(const struct packet *p, struct flow *f)
{
	const struct iphdr *ip = p->inner.ip;

	f->fragment = FRAGMENT_LATER;
	f->portless = 1;
	if (fragment_odd(fragment_place(ip), bpf_ntohs(ip->tot_len) - sizeof(*ip), ip->protocol))
		return FRAGMENT_ODD;
	make_key(f, (struct ends){ip->saddr, ip->daddr}, p->vni, ip->protocol);
	return GO_ON;
}

// The same of IPv6.
inlined void make_key6(struct flow *f, const struct in6_addr *source,
		       const struct in6_addr *destination, __u32 vni, __u8 protocol)
{
	__u64 s = address_half(source, 0), d = address_half(destination, 0);

	if (s == d) {
		s = address_half(source, 8);
		d = address_half(destination, 8);
	}
	if (s == d) {
		s = bpf_ntohs(f->source_port);
		d = bpf_ntohs(f->destination_port);
	}
	f->from_b = s > d;
	if (f->from_b) {
		f->key.a = *destination;
		f->key.b = *source;
		f->key.a_port = f->destination_port;
		f->key.b_port = f->source_port;
	} else {
		f->key.a = *source;
		f->key.b = *destination;
		f->key.a_port = f->source_port;
		f->key.b_port = f->destination_port;
	}
	if (f->no_echo)
		f->key.b_port = bpf_htons(0xFFFF);
	vni_put(f->key.vni, vni);
	f->key.protocol = protocol;
}

#define EXTENSIONS_MOST 4  // before TCP and the like
#define EXTENSION_BYTES 64 // of all of them: what a host does not put into them by mistake

inlined int is_extension(__u8 next)
{
	return next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_FRAGMENT ||
	       next == IPV6_DESTINATION;
}

// Behind an IPv6 header: over the extension headers (RFC 8200 section 4), to what *protocol is
// then. Of a fragment that is what the fragment header says, so that all of a packet's say the
// same; *fragment as flow.fragment. One that is all of its packet (RFC 6946) is none.
inlined enum verdict skip_extensions(struct packet *p, __u8 *protocol, __u8 *fragment)
{
	const struct ipv6_extension *e;
	void *first = p->at;
	__u32 at = 0, i;
	__u16 place;

	*fragment = 0;
	UNROLLED
	for (i = 0; i <= EXTENSIONS_MOST; i++) {
		__u8 is = *protocol;

		if (*fragment || !is_extension(is))
			break;
		if (i == EXTENSIONS_MOST || (is == IPV6_HOP_BY_HOP && i))
			return INNER_EXTENSION;
		e = first + at;
		if ((void *)(e + 1) > p->end)
			return INNER_MALFORMED;
		*protocol = e->next;
		at += sizeof(*e);
		if (is == IPV6_FRAGMENT) {
			place = bpf_ntohs(((const struct ipv6_fragment *)e)->place);
			if (place & IPV6_FRAGMENT_OFFSET)
				*fragment = FRAGMENT_LATER;
			else if (place & IPV6_FRAGMENT_MORE)
				*fragment = FRAGMENT_FIRST;
		} else {
			// Whoever is still to be passed through a gateway does not ask (RFC 5095).
			if (is == IPV6_ROUTING && e->left)
				return INNER_EXTENSION;
			at += e->length * sizeof(*e);
		}
		if (at > EXTENSION_BYTES)
			return INNER_EXTENSION;
		// So that the verifier takes all ways here for the same.
		asm volatile("" : "+r"(at));
		at &= 2 * EXTENSION_BYTES - 1;
	}
	// Of a fragment what it says it carries is all that rules have.
	if (*fragment && is_extension(*protocol))
		return INNER_EXTENSION;
	if (first + at > p->end)
		return INNER_MALFORMED;
	p->at = first + at;
	return GO_ON;
}

// A neighbour's and a router's words go to the gateway, and to no endpoint: it would believe them.
inlined int icmpv6_is_neighbor(__u8 type)
{
	return type >= ICMPV6_ROUTER_SOLICITATION && type <= ICMPV6_REDIRECT;
}

inlined enum verdict read_icmpv6(struct packet *p, struct flow *f)
{
	const struct icmpv6_header *icmp = take(p, sizeof(*icmp));

	if (!icmp)
		return INNER_MALFORMED;
	f->icmp_type = icmp->type;
	if (icmpv6_is_neighbor(icmp->type))
		return NEIGHBOR_MALFORMED;
	if (icmp->type == ICMPV6_ECHO_REQUEST || icmp->type == ICMPV6_ECHO_REPLY) {
		f->source_port = icmp->echo.identifier;
		f->destination_port = icmp->echo.identifier;
	} else if (icmp->type >= ICMPV6_UNREACHABLE && icmp->type <= ICMPV6_PARAMETER) {
		f->icmp_error = 1;
	} else {
		f->no_echo = 1;
	}
	return GO_ON;
}

// As read_embedded(), RFC 4443 section 3.
inlined enum verdict read_embedded6(struct packet *p, struct flow *f)
{
	const struct ipv6_header *ip = take(p, sizeof(*ip));
	__u8 protocol, fragment;
	const __be16 *ports;
	enum verdict v;

	if (!ip || (ip->version_class[0] & 0xF0) != IPV6_VERSION ||
	    !address_equal(&ip->source, &p->inner.ip6->destination) ||
	    address_odd(&ip->destination) || address_link_local(&ip->destination))
		return INNER_MALFORMED;
	protocol = ip->next;
	if ((v = skip_extensions(p, &protocol, &fragment)))
		return v;
	ports = fragment == FRAGMENT_LATER ? NULL : take(p, 8);
	if (!ports && fragment != FRAGMENT_LATER)
		return INNER_MALFORMED;
	if (fragment) {
		f->no_echo = protocol == IPPROTO_ICMPV6;
	} else if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
		f->source_port = ports[1];
		f->destination_port = ports[0];
	} else if (protocol == IPPROTO_ICMPV6) {
		__u8 type = *(const __u8 *)ports;

		f->no_echo = type != ICMPV6_ECHO_REQUEST && type != ICMPV6_ECHO_REPLY;
		if (!f->no_echo) {
			f->source_port = ports[2]; // the identifier
			f->destination_port = ports[2];
		}
	}
	make_key6(f, &ip->destination, &ip->source, p->vni, protocol);
	return GO_ON;
}

// The flow of a tenant's IPv6 packet whose header was read.
inlined enum verdict read_flow6(struct packet *p, struct flow *f)
{
	const struct ipv6_header *ip = p->inner.ip6;
	__u8 protocol = ip->next;
	enum verdict v;

	if ((v = check_ipv6_addresses(ip)))
		return v;
	// A jumbogram (RFC 2675), or nothing.
	if (!ip->payload)
		return INNER_MALFORMED;
	if ((v = skip_extensions(p, &protocol, &f->fragment)))
		return v;
	if (f->fragment) {
		f->portless = 1;
		f->no_echo = protocol == IPPROTO_ICMPV6;
		// RFC 6980: such words do not come in pieces either.
		if (f->no_echo && f->fragment == FRAGMENT_FIRST) {
			const struct icmpv6_header *icmp = take(p, sizeof(*icmp));

			if (!icmp)
				return INNER_MALFORMED;
			if (icmpv6_is_neighbor(icmp->type))
				return NEIGHBOR_MALFORMED;
		}
	} else if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
		if ((v = read_ports(p, protocol, f)))
			return v;
	} else if (protocol == IPPROTO_ICMPV6) {
		if ((v = read_icmpv6(p, f)))
			return v;
		if (f->icmp_error)
			return read_embedded6(p, f);
	}
	make_key6(f, &ip->source, &ip->destination, p->vni, protocol);
	return GO_ON;
}

// Of a packet that is all in linear memory.
inlined enum verdict read_inner_ipv6(struct packet *p, struct flow *f)
{
	enum verdict v = read_ipv6_header(p, p->end - p->at);

	return v ? v : read_flow6(p, f);
}

// This machine's clock, coarse (a tick): for ages, never for order between machines.
inlined __u32 clock_ms(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000;
}
