/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// SYN protection at a forwarder: who wants to begin a connection to a protected address has to
// prove first that it gets what is sent to it. Until then nothing is remembered of it.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/cookie.h"
#include "shared/tenant.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LOAD_BALANCERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, struct shield_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shields SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PACED);
	__type(key, struct endpoint_key);
	__type(value, struct bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shield_paces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct shield_secret);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shield_secret SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PROVEN);
	__type(key, struct proven_key);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} proven SEC(".maps");

inlined const struct shield_value *shield_find(__u32 vni, const struct flow *f)
{
	struct endpoint_key key = {.vni = vni, .address = flow_destination(f)};

	return bpf_map_lookup_elem(&shields, &key);
}

verified int shield_has(__u32 vni, const struct flow *f)
{
	return f && shield_find(vni, f);
}

// Whether a packet that the cache does not answer is for the shield to look at: what may begin a
// session (as evaluation_begins() has it), and what may be the answer to a cookie.
inlined int shield_asked(__u32 vni, const struct flow *f)
{
	return f->tcp_flags & (TCP_SYN | TCP_RST) && !(f->tcp_flags & TCP_ACK) &&
	       shield_has(vni, f);
}

// Whether a SYN passes without proof, as there are few.
inlined int shield_idle(const struct shield_value *shield, __u32 vni, const struct flow *f)
{
	struct endpoint_key key = {.vni = vni, .address = flow_destination(f)};
	const struct bucket none = {};
	struct bucket *b;

	if (!shield->rate.per_packet)
		return 0;
	b = bpf_map_lookup_elem(&shield_paces, &key);
	if (!b) {
		bpf_map_update_elem(&shield_paces, &key, &none, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&shield_paces, &key);
	}
	return b && bucket_take(&b->packets_until, bpf_ktime_get_coarse_ns() << RATE_TIME_BITS,
				shield->rate.per_packet, shield->rate.burst);
}

// Whether who sends this SYN has proven that he does. number: the SYN's, as the header has it.
inlined int shield_proven(const struct flow *f, __be32 number)
{
	struct proven_key key = {.session = f->key, .isn = cookie_isn(bpf_ntohl(number))};
	const __u32 *since_ms = bpf_map_lookup_elem(&proven, &key);

	return since_ms && clock_ms() - *since_ms < PROVEN_MS;
}

// A reset: whether it has the cookie of a SYN, which then may be repeated.
inlined int shield_proves(const struct flow *f, __be32 number)
{
	const __u32 shown = bpf_ntohl(number), zero = 0;
	const struct shield_secret *secret = bpf_map_lookup_elem(&shield_secret, &zero);
	struct proven_key key = {.session = f->key, .isn = cookie_isn_shown(shown)};
	__u32 now_ms = clock_ms(), slot = cookie_slot(now_ms);

	if (!secret)
		return 0;
	if (!cookie_right(secret, &f->key, shown, slot) &&
	    !cookie_right(secret, &f->key, shown, slot - 1))
		return 0;
	bpf_map_update_elem(&proven, &key, &now_ms, BPF_ANY);
	return 1;
}

// The cookie of a SYN with this number, and 32 bits more; 0: this node has no secret.
inlined __u64 shield_hash(const struct flow *f, __be32 number)
{
	const __u32 zero = 0;
	const struct shield_secret *secret = bpf_map_lookup_elem(&shield_secret, &zero);

	if (!secret)
		return 0;
	return cookie_hash(secret, &f->key, cookie_isn(bpf_ntohl(number)), cookie_slot(clock_ms()));
}

// Of TCP without options behind either family's header: what stands before an IPv4 address in a key
// adds nothing.
inlined __sum16 shield_checksum(const struct session_key *key, const struct tcphdr *tcp)
{
	const __u16 *word = (const void *)tcp, *address = (const void *)key;
	__u32 sum = bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(*tcp));

	UNROLLED
	for (int i = 0; i < 16; i++)
		sum += address[i];
	UNROLLED
	for (int i = 0; i < 10; i++)
		sum += word[i];
	return fold(sum);
}

// What a SYN with this number is answered with. It has no options, as the client looks no further
// than at its acknowledgment. The window lets firewalls on the way believe the reset that follows.
inlined void shield_tcp(struct tcphdr *tcp, const struct flow *f, __be32 number, __u64 hash)
{
	tcp->source = f->destination_port;
	tcp->dest = f->source_port;
	tcp->seq = bpf_htonl(hash >> 32);
	tcp->ack_seq = bpf_htonl(cookie_number(hash, cookie_isn(bpf_ntohl(number))));
	((__u8 *)tcp)[12] = sizeof(*tcp) / 4 << 4;
	((__u8 *)tcp)[13] = TCP_SYN | TCP_ACK;
	tcp->window = 0xFFFF;
	tcp->check = 0;
	tcp->urg_ptr = 0;
	tcp->check = shield_checksum(&f->key, tcp);
}

inlined void shield_ipv4(struct iphdr *ip, const struct flow *f)
{
	const struct in6_addr from = flow_destination(f), to = flow_source(f);

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct tcphdr));
	ip->id = 0;
	ip->frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = address_v4(&from);
	ip->daddr = address_v4(&to);
	ip->check = 0;
	ip->check = ipv4_checksum(ip);
}

inlined void shield_ipv6(struct ipv6_header *ip, const struct flow *f)
{
	ip->version_class[0] = IPV6_VERSION;
	ip->version_class[1] = 0;
	ip->label = 0;
	ip->payload = bpf_htons(sizeof(struct tcphdr));
	ip->next = IPPROTO_TCP;
	ip->hops = 64;
	ip->source = flow_destination(f);
	ip->destination = flow_source(f);
}
