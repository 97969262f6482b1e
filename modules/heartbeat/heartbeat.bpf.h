/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A heartbeat or its answer arrives at a node. What XDP does with it needs no daemon.
#pragma once

#include "datapath/finish.bpf.h"
#include "modules/heartbeat/gossip.bpf.h"
#include "modules/heartbeat/lease.bpf.h"
#include "modules/heartbeat/side.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pacer_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} pacer SEC(".maps");

// Behind the Ethernet header.
struct beat_packet {
	struct iphdr ip;
	struct udphdr udp;
	struct beat beat;
};
_Static_assert(sizeof(struct ethhdr) + sizeof(struct beat_packet) == PACE_BYTES, "one size");

// What does not depend on what this node knows.
inlined int beat_valid(const struct beat_packet *h)
{
	const struct beat *b = &h->beat;

	return h->udp.len == bpf_htons(sizeof(h->udp) + sizeof(*b)) &&
	       h->ip.tot_len == bpf_htons(sizeof(*h)) && b->version == BEAT_VERSION &&
	       (b->kind == BEAT || b->kind == BEAT_ANSWER) && b->chains <= BEAT_CHAINS &&
	       bpf_ntohl(b->from) < MAX_NODES && b->from_boot;
}

// Whether it is of this cluster, for this node, and from whom it says.
inlined int beat_ours(const struct beat_packet *h)
{
	__u32 from = bpf_ntohl(h->beat.from);
	const struct node_value *n = bpf_map_lookup_elem(&nodes, &from);

	return n && address_is_v4(&n->zgc_ip) && address_v4(&n->zgc_ip) == h->ip.saddr &&
	       from != cfg.node && h->beat.cluster == bpf_htonl(cfg.cluster) &&
	       h->beat.to == bpf_htonl(cfg.node);
}

inlined __u64 beat_term(const struct beat_chain *c)
{
	return TERM_WORD(bpf_ntohl(c->epoch), bpf_ntohl(c->term));
}

// The heartbeat becomes its answer, in place.
inlined void beat_answer(struct ethhdr *eth, struct beat_packet *h, __u64 now)
{
	struct beat *b = &h->beat;
	__u32 from = bpf_ntohl(b->from), boot = bpf_ntohl(b->from_boot);

	LOOPED
	for (__u32 i = 0; i < BEAT_CHAINS; i++) {
		if (i >= b->chains)
			break;
		if (lease_grant(bpf_ntohl(b->chain[i].number), beat_term(&b->chain[i]), from, now))
			continue;
		b->chain[i].epoch = 0;
		b->chain[i].term = 0;
	}
	b->kind = BEAT_ANSWER;
	b->flags = 0;
	b->heard = 0;
	b->to = b->from;
	b->to_boot = b->from_boot;
	b->from = bpf_htonl(cfg.node);
	b->from_boot = bpf_htonl(cfg.boot);
	bulletin_copy(b->news, from, boot);
	side_say(b, now);
	__builtin_memcpy(eth->h_dest, eth->h_source, 6);
	mac_of_config(eth->h_source, cfg.zgc_mac);
	underlay_write(&h->ip, &h->udp, h->ip.daddr, h->ip.saddr, bpf_htons(BEAT_PORT),
		       bpf_htons(BEAT_PORT), sizeof(*b));
}

inlined int heartbeat(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	__u64 now = bpf_ktime_get_boot_ns(), sent;
	__u32 only = 0, from, boot;
	struct pacer_value *told = bpf_map_lookup_elem(&pacer, &only);
	struct beat_packet *h;
	struct peer_value *peer;
	struct beat *b;

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	h = take(&p, sizeof(*h));
	if (!p.outer.eth || !h || !beat_valid(h))
		return finish(ctx, BEAT_MALFORMED);
	if (!beat_ours(h))
		return finish(ctx, BEAT_FOREIGN);
	b = &h->beat;
	from = bpf_ntohl(b->from);
	boot = bpf_ntohl(b->from_boot);
	peer = bpf_map_lookup_elem(&peers, &from);
	if (!peer || !told)
		return finish(ctx, BUG);
	sent = bpf_be64_to_cpu(b->clock_ns);
	// What is not the answer to what this very node sent lately says nothing about now. (What
	// claims to be sent later than now is old by as much as fits the number.)
	if (b->kind == BEAT_ANSWER &&
	    (b->to_boot != bpf_htonl(cfg.boot) || now - sent > PACKET_LIFE_MS * 1000000ull))
		return finish(ctx, STALE_BEAT);

	peer_set_boot(peer, boot);
	peer->received_ns = now;
	if (b->heard < AGE_LONG_AGO && peer->heard_ns < now - beat_age_ns(b->heard))
		peer->heard_ns = now - beat_age_ns(b->heard);
	side_heard(peer, b, b->kind == BEAT_ANSWER ? sent : 0);
	LOOPED
	for (__u32 i = 0; i < BEAT_NEWS; i++)
		if (b->news[i].node)
			gossip_hear(bpf_ntohs(b->news[i].node) - 1u, news_read(&b->news[i]), now);

	if (b->kind == BEAT) {
		if (!told->fit)
			return finish(ctx, NOT_FIT);
		beat_answer(p.outer.eth, h, now);
		bpf_redirect(ctx->ingress_ifindex, 0);
		return finish(ctx, BEAT_ANSWERED);
	}
	LOOPED
	for (__u32 i = 0; i < BEAT_CHAINS; i++) {
		if (i >= b->chains)
			break;
		if (b->chain[i].epoch)
			lease_answered(bpf_ntohl(b->chain[i].number), beat_term(&b->chain[i]),
				       TERM_WORD(from, boot), sent, now);
	}
	return finish(ctx, BEAT_HEARD);
}
