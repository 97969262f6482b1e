/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Health checks between this node's own sockets and backends (shared/health.h).
#pragma once

#include "modules/chain/chain.bpf.h"
#include "modules/entrance/entrance.bpf.h"
#include "modules/port/endpoint.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "modules/translation/translation.bpf.h"
#include "shared/health.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CHECKED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct checked_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} checked SEC(".maps");

// What was asked, so that nothing else is taken for an answer.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CHECKED);
	__type(key, struct check_key);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} checks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct check_ends_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} check_ends SEC(".maps");

inlined int check_owned(__u32 index)
{
	const struct entrance_value *e = entrance_at(index);

	return e && e->live && e->owner < MAX_NODES;
}

// An entrance that somebody owns, by a hash; MAX_ENTRANCES: there is none. Where they are numbered
// from 0 on, as they are, all are as likely.
inlined __u32 check_entrance(__u64 hash)
{
	__u32 bits, i;

	UNROLLED
	for (bits = MAX_ENTRANCES - 1; bits; bits >>= 1)
		if (check_owned(hash & bits))
			return hash & bits;
	LOOPED
	for (i = 0; i < MAX_ENTRANCES; i++)
		if (check_owned(i))
			break;
	return i;
}

// Which node checks with this port; NODE_NOBODY: none.
inlined __u32 check_node(__be16 port)
{
	__u32 number = bpf_ntohs(port);

	return number < CHECK_FIRST_PORT ? NODE_NOBODY : (number - CHECK_FIRST_PORT) / CHECK_PORTS;
}

// A tenant's TCP packet to its gateway: what a backend answers, for the node that checks it.
inlined int check_back(struct xdp_md *ctx, const struct packet *p, const struct flow *f)
{
	__u32 node = check_node(f->destination_port);
	struct dft_packet *d;

	if (node == NODE_NOBODY)
		return finish(ctx, GATEWAY_PROTOCOL);
	d = op_begin(ctx, p->inner_offset, p->vni, key_hash(&f->key));
	if (!d)
		return finish(ctx, NO_ROOM);
	d->op.op = DFT_CHECKED;
	return op_send_to_node(ctx, node, CHECK_ANSWERED);
}

// What an IPv6 header has more than an IPv4 one.
#define CHECK_LONGER ((int)(sizeof(struct ipv6_header) - sizeof(struct iphdr)))

// The TCP packet gets these IPv4 addresses.
inlined enum verdict check_readdress(struct packet *p, const struct flow *f, __be32 from, __be32 to)
{
	const struct translation t = {
		.source = address_of_v4(from),
		.destination = address_of_v4(to),
		.source_port = f->source_port,
		.destination_port = f->destination_port,
	};

	return translate_packet4(p, f, &t);
}

// What the other family's addresses add to the sum of TCP behind p->at, and nothing else does: its
// length and protocol are in both pseudo headers.
inlined enum verdict check_sum(struct packet *p, __be32 from4, __be32 to4,
			       const struct in6_addr *from, const struct in6_addr *to, int six)
{
	const struct in6_addr source = {.in6_u.u6_addr32 = {from4}};
	const struct in6_addr destination = {.in6_u.u6_addr32 = {to4}};
	struct tcphdr *tcp = take(p, sizeof(*tcp));

	if (!tcp)
		return TRUNCATED;
	check_change(&tcp->check, six ? change128(&source, from) + change128(&destination, to)
				      : change128(from, &source) + change128(to, &destination));
	return GO_ON;
}

// The TCP packet, of IPv4, becomes one of IPv6 with these addresses. Its frame begins earlier then,
// where there is room for it.
inlined enum verdict check_to_six(struct packet *p, const struct in6_addr *from,
				  const struct in6_addr *to)
{
	const struct iphdr was = *p->inner.ip;
	enum verdict v;

	p->at = p->inner.ip + 1;
	if ((v = check_sum(p, was.saddr, was.daddr, from, to, 1)))
		return v;
	p->inner.eth = p->data + CHECK_ROOM - CHECK_LONGER;
	p->inner.ip6 = (void *)(p->inner.eth + 1);
	p->inner.eth->h_proto = bpf_htons(ETH_P_IPV6);
	*p->inner.ip6 = (struct ipv6_header){
		.version_class = {IPV6_VERSION},
		.payload = bpf_htons(bpf_ntohs(was.tot_len) - sizeof(was)),
		.next = IPPROTO_TCP,
		.hops = was.ttl,
		.source = *from,
		.destination = *to,
	};
	return GO_ON;
}

// And back: its frame begins so much later.
inlined enum verdict check_to_four(struct packet *p, __be32 from, __be32 to)
{
	const struct ipv6_header was = *p->inner.ip6;
	enum verdict v;

	p->at = p->inner.ip6 + 1;
	if ((v = check_sum(p, from, to, &was.source, &was.destination, 0)))
		return v;
	p->inner.eth = (void *)p->inner.eth + CHECK_LONGER;
	p->inner.ip = (void *)(p->inner.eth + 1);
	p->inner.eth->h_proto = bpf_htons(ETH_P_IP);
	*p->inner.ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(bpf_ntohs(was.payload) + sizeof(struct iphdr)),
		.ttl = was.hops,
		.protocol = IPPROTO_TCP,
		.saddr = from,
		.daddr = to,
	};
	p->inner.ip->check = ipv4_checksum(p->inner.ip);
	return GO_ON;
}

// A check's packet, from one of this node's sockets, that begins at p: whom it is for. GO_ON: it
// has the addresses that it has there, and begins at p->inner.eth.
inlined enum verdict check_address(struct packet *p, struct decision *to, __u64 *hash)
{
	const struct checked_value *backend;
	const struct endpoint_value *at;
	const struct subnet_value *subnet;
	struct in6_addr to_place, own;
	struct check_key key = {};
	struct flow f = {};
	enum verdict v;
	__u32 place;

	p->inner.eth = take(p, sizeof(*p->inner.eth));
	if (!p->inner.eth || p->inner.eth->h_proto != bpf_htons(ETH_P_IP))
		return INNER_PROTOCOL;
	if ((v = read_inner_ipv4(p)) || (v = read_flow(p, &f)))
		return v;
	to_place = flow_destination(&f);
	own = flow_source(&f);
	place = bpf_ntohl(address_v4(&to_place)) - (CHECK_NETWORK + CHECK_FIRST);
	backend = bpf_map_lookup_elem(&checked, &place);
	if (!backend || p->inner.ip->protocol != IPPROTO_TCP || f.fragment ||
	    address_v4(&own) != bpf_htonl(CHECK_OWN))
		return CHECK_UNKNOWN;
	at = endpoint_find(backend->vni, &backend->address);
	if (!at)
		return NO_ENDPOINT;
	subnet = subnet_of(backend->vni, &backend->address);
	if (!subnet || !subnet_has_gateway(subnet))
		return NO_ROUTE;
	key.vni = backend->vni;
	key.address = backend->address;
	key.port = f.destination_port;
	key.own_port = f.source_port;
	if (bpf_map_update_elem(&checks, &key, &place, BPF_ANY))
		return TABLE_FULL;
	v = address_is_v4(&key.address)
		    ? check_readdress(p, &f, address_v4(&subnet->gateway), address_v4(&key.address))
		    : check_to_six(p, &subnet->gateway, &key.address);
	if (v)
		return v;
	__builtin_memcpy(p->inner.eth->h_source, subnet->gateway_mac, 6);
	__builtin_memcpy(p->inner.eth->h_dest, at->mac, 6);
	decide_for(to, at, backend->vni);
	to->action = DECIDE_FORWARD;
	*hash = key_hash(&f.key);
	return GO_ON;
}

// What a backend answered, behind the headers of p: GO_ON: it is one of this node's sockets', and
// begins at p->inner.eth.
inlined enum verdict check_answer(struct packet *p, const struct flow *f,
				  const struct check_ends_value *ends)
{
	const struct endpoint_value *from;
	struct check_key key = {};
	const __u32 *place;
	enum verdict v;
	__be32 own, it;
	__u8 to_mac[6];
	int tcp;

	key.vni = p->vni;
	key.address = flow_source(f);
	key.port = f->source_port;
	key.own_port = f->destination_port;
	place = bpf_map_lookup_elem(&checks, &key);
	tcp = p->inner.ip ? p->inner.ip->protocol == IPPROTO_TCP
			  : p->inner.ip6 && p->inner.ip6->next == IPPROTO_TCP;
	if (!place || !tcp || f->fragment)
		return CHECK_UNKNOWN;
	from = endpoint_find(p->vni, &key.address);
	if (!from)
		return NO_SOURCE;
	if (!mac_equal(from->mac, p->inner.eth->h_source))
		return SPOOFED;
	own = bpf_htonl(CHECK_OWN);
	it = bpf_htonl(CHECK_NETWORK + CHECK_FIRST + *place);
	__builtin_memcpy(to_mac, p->inner.eth->h_dest, 6);
	v = p->inner.ip	   ? check_readdress(p, f, it, own)
	    : p->inner.ip6 ? check_to_four(p, it, own)
			   : BUG;
	if (v)
		return v;
	__builtin_memcpy(p->inner.eth->h_source, to_mac, 6);
	__builtin_memcpy(p->inner.eth->h_dest, ends->first_mac, 6);
	return GO_ON;
}
