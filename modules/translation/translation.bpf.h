/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Sessions that are translated: what their packets become, what a record is from the other side,
// and packets themselves (RFC 3022; ICMP errors: RFC 5508 section 4). Of either family, both sides
// of the same.
#pragma once

#include "datapath/packet.bpf.h"
#include "modules/session/session.bpf.h"

// The packets that a translation makes: their flow, which has the session's other key. key: of the
// packets before.
inlined void translation_flow(const struct translation *t, const struct session_key *key,
			      struct flow *out)
{
	const int icmp = key->protocol == IPPROTO_ICMP || key->protocol == IPPROTO_ICMPV6;

	__builtin_memset(out, 0, sizeof(*out));
	out->source_port = t->source_port;
	out->destination_port = t->destination_port;
	out->no_echo = icmp && !key->a_port && key->b_port == bpf_htons(0xFFFF);
	make_key6(out, &t->source, &t->destination, vni_of(t->vni), key->protocol);
}

// The same seen from there: what the packets that go back become. to: the flow of above.
inlined void translation_turn(const struct translation *t, const struct session_key *key,
			      const struct flow *to, struct translation *out)
{
	int from_b = t->flags & TRANSLATION_FROM_B;

	out->source = from_b ? key->a : key->b;
	out->destination = from_b ? key->b : key->a;
	out->source_port = to->no_echo ? 0 : from_b ? key->a_port : key->b_port;
	out->destination_port = to->no_echo ? 0 : from_b ? key->b_port : key->a_port;
	__builtin_memcpy(out->vni, key->vni, 3);
	out->flags = TRANSLATION_IS | (to->from_b ? 0 : TRANSLATION_FROM_B);
}

// Whether there can be such packets, and another key for them. What has no ports where others have
// is an IPv6 fragment, whose checksum is in another one: nobody translates it.
inlined int translation_valid(const struct translation *t, const struct session_key *key,
			      const struct flow *to)
{
	const __u64 *was = (const void *)key, *is = (const void *)&to->key;
	const int six = !address_is_v4(&key->a);
	__u64 differ = 0;
	__u32 i;

	UNROLLED
	for (i = 0; i < sizeof(*key) / sizeof(*was); i++)
		differ |= was[i] ^ is[i];
	if (!differ || address_is_v4(&t->source) == six || address_is_v4(&t->destination) == six)
		return 0;
	if (key->protocol == IPPROTO_TCP || key->protocol == IPPROTO_UDP)
		return (t->source_port | t->destination_port) && (key->a_port | key->b_port);
	if (key->protocol == IPPROTO_ICMPV6)
		return t->source_port == t->destination_port && key->a_port == key->b_port;
	return key->protocol == IPPROTO_ICMP ? t->source_port == t->destination_port
					     : !(t->source_port | t->destination_port);
}

// Whether a flow is in the direction whose packets are translated under their key.
inlined int translation_is_of(const struct translation *t, const struct flow *f)
{
	return f->from_b == (t->flags & TRANSLATION_FROM_B ? 1 : 0);
}

// A state, by a key whose a is this one's b.
inlined __u16 state_swapped(__u16 state)
{
	__u16 from_a = state & DFT_FIN_FROM_A, from_b = state & DFT_FIN_FROM_B;

	state &= ~DFT_FINS;
	state |= (from_a ? DFT_FIN_FROM_B : 0) | (from_b ? DFT_FIN_FROM_A : 0);
	return state ^ DFT_BEGUN_BY_B;
}

// A session's record as it is under its other key; *to is then the flow of above. DFT_ALIAS says
// which of the two it is.
inlined void record_turn(struct dft_record *r, const struct session_key *key, struct flow *to)
{
	struct translation turned;
	__u32 *forth = (void *)&r->towards[0], *back = (void *)&r->towards[1], i, word;
	int swaps;

	translation_flow(&r->translation, key, to);
	translation_turn(&r->translation, key, to, &turned);
	swaps = !translation_is_of(&r->translation, to);
	r->translation = turned;
	r->state ^= DFT_ALIAS;
	if (!swaps)
		return;
	r->state = state_swapped(r->state);
	LOOPED
	for (i = 0; i < sizeof(struct decision) / sizeof(*forth); i++) {
		word = forth[i];
		forth[i] = back[i];
		back[i] = word;
	}
}

// What a change of a field adds to a checksum's sum (RFC 1624 equation 3).
inlined __u32 change16(__u16 from, __u16 to)
{
	return (__u16)~from + to;
}

inlined __u32 change32(__u32 from, __u32 to)
{
	return change16(from, to) + change16(from >> 16, to >> 16);
}

inlined __u32 change128(const struct in6_addr *from, const struct in6_addr *to)
{
	__u32 change = 0, i;

	UNROLLED
	for (i = 0; i < 4; i++)
		change += change32(from->in6_u.u6_addr32[i], to->in6_u.u6_addr32[i]);
	return change;
}

inlined void check_change(__sum16 *check, __u32 change)
{
	*check = (__sum16)fold((__u16) ~*check + change);
}

// Of UDP 0 is no checksum, and what reckons to 0 is sent as its complement (RFC 768).
inlined void check_change_udp(__sum16 *check, __u32 change)
{
	if (!*check)
		return;
	check_change(check, change);
	if (!*check)
		*check = 0xFFFF;
}

// RFC 792: what an ICMP error embeds, at least.
struct icmp_embedding {
	struct icmp_header icmp;
	struct iphdr ip;
	__be16 word[4];
};
_Static_assert(sizeof(struct icmp_embedding) == 36, "8 + 20 + 8");

// The packet in an ICMP error went the other way.
inlined enum verdict translate_embedded(struct packet *p, const struct translation *t)
{
	struct icmp_embedding *e = take(p, sizeof(*e));
	__be32 source = address_v4(&t->destination), destination = address_v4(&t->source);
	__u32 addresses, ports, change;
	struct iphdr *ip;
	__be16 *word;
	__sum16 was;

	if (!e)
		return TRUNCATED;
	ip = &e->ip;
	word = e->word;
	addresses = change32(ip->saddr, source) + change32(ip->daddr, destination);
	ip->saddr = source;
	ip->daddr = destination;
	was = ip->check;
	check_change(&ip->check, addresses);
	change = addresses + change16(was, ip->check);
	if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP) {
		ports = change16(word[0], t->destination_port) + change16(word[1], t->source_port);
		word[0] = t->destination_port;
		word[1] = t->source_port;
		change += ports;
		if (ip->protocol == IPPROTO_UDP) {
			was = word[3];
			check_change_udp(&word[3], addresses + ports);
			change += change16(was, word[3]);
		}
	} else if (ip->protocol == IPPROTO_ICMP) {
		__u8 type = *(__u8 *)word;

		if (type == ICMP_ECHO_REQUEST || type == ICMP_ECHO_REPLY) {
			ports = change16(word[2], t->source_port);
			word[2] = t->source_port;
			was = word[1];
			check_change(&word[1], ports);
			change += ports + change16(was, word[1]);
		}
	}
	check_change(&e->icmp.checksum, change);
	return GO_ON;
}

// The same of IPv6: RFC 4443 section 3. p->at is behind the packet's headers, whose addresses have
// changed so much.
inlined enum verdict translate_embedded6(struct packet *p, const struct translation *t,
					 __u32 change)
{
	struct icmpv6_header *icmp = take(p, sizeof(*icmp));
	struct ipv6_header *ip = take(p, sizeof(*ip));
	__u8 protocol, fragment;
	__u32 addresses, ports = 0;
	enum verdict v;
	__be16 *word;
	__sum16 was;

	if (!icmp || !ip)
		return TRUNCATED;
	addresses =
		change128(&ip->source, &t->destination) + change128(&ip->destination, &t->source);
	ip->source = t->destination;
	ip->destination = t->source;
	change += addresses;
	protocol = ip->next;
	if ((v = skip_extensions(p, &protocol, &fragment)))
		return v;
	word = take(p, 8);
	if (!word)
		return TRUNCATED;
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) {
		ports = change16(word[0], t->destination_port) + change16(word[1], t->source_port);
		word[0] = t->destination_port;
		word[1] = t->source_port;
		change += ports;
		if (protocol == IPPROTO_UDP) {
			was = word[3];
			check_change_udp(&word[3], addresses + ports);
			change += change16(was, word[3]);
		}
	} else if (protocol == IPPROTO_ICMPV6) {
		// An echo: nothing else of it is translated.
		ports = change16(word[2], t->source_port);
		word[2] = t->source_port;
		was = word[1];
		check_change(&word[1], addresses + ports);
		change += ports + change16(was, word[1]);
	}
	check_change(&icmp->checksum, change);
	return GO_ON;
}

// An IPv4 packet, whose header was read and whose flow is f, becomes what the translation says.
inlined enum verdict translate_packet4(struct packet *p, const struct flow *f,
				       const struct translation *t)
{
	struct iphdr *ip = p->inner.ip;
	__be32 source = address_v4(&t->source), destination = address_v4(&t->destination);
	const struct in6_addr speaker = flow_source(f);
	__u32 addresses, ports = 0;

	// A router on the way speaks for itself.
	if (f->icmp_error && ip->saddr != address_v4(&speaker))
		source = ip->saddr;
	addresses = change32(ip->saddr, source) + change32(ip->daddr, destination);
	ip->saddr = source;
	ip->daddr = destination;
	check_change(&ip->check, addresses);
	p->at = ip + 1;
	if (f->icmp_error)
		return translate_embedded(p, t);
	if (f->fragment == FRAGMENT_LATER)
		return GO_ON;
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = take(p, sizeof(*tcp));

		if (!tcp)
			return TRUNCATED;
		ports = change16(tcp->source, t->source_port) +
			change16(tcp->dest, t->destination_port);
		tcp->source = t->source_port;
		tcp->dest = t->destination_port;
		check_change(&tcp->check, addresses + ports);
	} else if (ip->protocol == IPPROTO_UDP) {
		struct udphdr *udp = take(p, sizeof(*udp));

		if (!udp)
			return TRUNCATED;
		ports = change16(udp->source, t->source_port) +
			change16(udp->dest, t->destination_port);
		udp->source = t->source_port;
		udp->dest = t->destination_port;
		check_change_udp(&udp->check, addresses + ports);
	} else if (ip->protocol == IPPROTO_ICMP && !f->no_echo) {
		struct icmp_header *icmp = take(p, sizeof(*icmp));

		if (!icmp)
			return TRUNCATED;
		ports = change16(icmp->echo.identifier, t->source_port);
		icmp->echo.identifier = t->source_port;
		check_change(&icmp->checksum, ports);
	}
	return GO_ON;
}

// The same of IPv6, of the frame that begins at so many bytes. Where there is a checksum it is of
// the addresses, too (RFC 8200 section 8.1).
verified int translate_at6(struct xdp_md *ctx, __u32 offset, const struct flow *f,
			   const struct translation *t)
{
	struct packet p = packet_of(ctx);
	struct in6_addr source;
	struct ipv6_header *ip;
	__u8 protocol, fragment;
	enum verdict v;
	__u32 change;

	if (!f || !t || offset > 511)
		return BUG;
	p.at += (offset & 511) + sizeof(struct ethhdr); // which the verifier believes
	ip = take(&p, sizeof(*ip));
	if (!ip)
		return TRUNCATED;
	source = flow_source(f);
	// A router on the way speaks for itself.
	if (f->icmp_error && !address_equal(&ip->source, &source))
		source = ip->source;
	else
		source = t->source;
	change = change128(&ip->source, &source) + change128(&ip->destination, &t->destination);
	ip->source = source;
	ip->destination = t->destination;
	protocol = ip->next;
	if ((v = skip_extensions(&p, &protocol, &fragment)))
		return v;
	if (f->icmp_error)
		return translate_embedded6(&p, t, change);
	if (protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = take(&p, sizeof(*tcp));

		if (!tcp)
			return TRUNCATED;
		change += change16(tcp->source, t->source_port) +
			  change16(tcp->dest, t->destination_port);
		tcp->source = t->source_port;
		tcp->dest = t->destination_port;
		check_change(&tcp->check, change);
	} else if (protocol == IPPROTO_UDP) {
		struct udphdr *udp = take(&p, sizeof(*udp));

		if (!udp)
			return TRUNCATED;
		change += change16(udp->source, t->source_port) +
			  change16(udp->dest, t->destination_port);
		udp->source = t->source_port;
		udp->dest = t->destination_port;
		check_change_udp(&udp->check, change);
	} else if (protocol == IPPROTO_ICMPV6) { // an echo
		struct icmpv6_header *icmp = take(&p, sizeof(*icmp));

		if (!icmp)
			return TRUNCATED;
		change += change16(icmp->echo.identifier, t->source_port);
		icmp->echo.identifier = t->source_port;
		check_change(&icmp->checksum, change);
	}
	return GO_ON;
}

// The packet, whose flow is f, becomes what the translation says. It was read.
inlined enum verdict translate_packet(struct packet *p, const struct flow *f,
				      const struct translation *t)
{
	if (!p->inner.ip)
		return translate_at6(p->ctx, (void *)p->inner.eth - p->data, f, t);
	return translate_packet4(p, f, t);
}
