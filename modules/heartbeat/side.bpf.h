/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Whether a forwarder still reaches hosts, and they it: each calls others on the tenants' network,
// and says on the cluster's when it was answered last. Who was not, while others were, gives its
// entrances away. Hosts can forge answers, so nothing else follows from these.
#pragma once

#include "datapath/finish.bpf.h"
#include "modules/chain/chain.bpf.h"
#include "modules/heartbeat/lease.bpf.h"
#include "shared/heartbeat.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_HEARD_HOSTS);
	__type(key, __u32);
	__type(value, struct heard_host);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} heard_hosts SEC(".maps");

// Behind the Ethernet header.
struct call_packet {
	struct iphdr ip;
	struct udphdr udp;
	struct call call;
};

inlined struct peer_value *side_own(void)
{
	__u32 self = cfg.node;

	return bpf_map_lookup_elem(&peers, &self);
}

// What goes with a heartbeat, or an answer to one.
inlined void side_say(struct beat *b, __u64 now)
{
	const struct peer_value *own = side_own();
	__u32 age;

	if (!own)
		return;
	if (own->away)
		b->flags |= BEAT_AWAY;
	b->news[0].side = own->side;
	if (own->side != SIDE_CALLS)
		return;
	age = SIDE_CALLS + beat_age(own->answered_ns, now);
	b->news[0].side = age < SIDE_LONG_AGO ? age : SIDE_LONG_AGO;
}

// What another one says, in the answer to what this node sent then; 0: in no answer. The age that
// it tells counts from there: the call was no earlier, however long this was on its way.
inlined void side_heard(struct peer_value *p, const struct beat *b, __u64 sent)
{
	__u8 side = b->news[0].side;
	__u64 answered = 0;

	p->side = side;
	p->away = !!(b->flags & BEAT_AWAY);
	// Who has one interface is on it as he is heard.
	if (side == SIDE_SAME)
		answered = sent;
	else if (side >= SIDE_CALLS && side < SIDE_LONG_AGO)
		answered = sent - beat_age_ns(side - SIDE_CALLS);
	if (sent && p->answered_ns < answered)
		p->answered_ns = answered;
}

inlined void side_answered(struct peer_value *own, __u64 called_ns)
{
	if (own->answered_ns < called_ns)
		own->answered_ns = called_ns;
}

// A host that has sent something may be asked whether it hears.
inlined void heard_host_note(__be32 ip, const __u8 mac[6])
{
	__u32 place = bpf_ntohl(ip) & (MAX_HEARD_HOSTS - 1);
	struct heard_host *w = bpf_map_lookup_elem(&heard_hosts, &place);

	if (!w || w->ip == ip)
		return;
	__builtin_memcpy(w->mac, mac, 6);
	w->ip = ip;
}

// It answers.
inlined void heard_host_answered(__be32 ip, __u64 now)
{
	__u32 place = bpf_ntohl(ip) & (MAX_HEARD_HOSTS - 1);
	const struct heard_host *w = bpf_map_lookup_elem(&heard_hosts, &place);
	struct peer_value *own = side_own();

	if (w && own && w->ip == ip && w->asked_ns && now - w->asked_ns < BEAT_NS)
		side_answered(own, w->asked_ns);
}

inlined int call_valid(const struct call_packet *h)
{
	const struct call *c = &h->call;

	return h->ip.version == 4 && h->ip.ihl == 5 &&
	       !(h->ip.frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_OFFSET)) &&
	       h->udp.len == bpf_htons(sizeof(h->udp) + sizeof(*c)) &&
	       h->ip.tot_len == bpf_htons(sizeof(*h)) && c->version == CALL_VERSION &&
	       (c->kind == CALL || c->kind == CALL_ANSWER) && bpf_ntohl(c->from) < MAX_NODES;
}

// A call, or the answer to one of this node's, arrives at a forwarder.
inlined int call_arrived(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	const struct node_value *n;
	struct peer_value *peer, *own = side_own();
	struct call_packet *h;
	__u32 from;

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	h = take(&p, sizeof(*h));
	if (!p.outer.eth || !h || !call_valid(h))
		return finish(ctx, BEAT_MALFORMED);
	from = bpf_ntohl(h->call.from);
	n = bpf_map_lookup_elem(&nodes, &from);
	if (!n || !n->forwarder || !address_is_v4(&n->tenant_ip) ||
	    address_v4(&n->tenant_ip) != h->ip.saddr || from == cfg.node ||
	    h->call.cluster != bpf_htonl(cfg.cluster) || h->call.to != bpf_htonl(cfg.node) ||
	    ctx->ingress_ifindex != cfg.tenant_ifindex)
		return finish(ctx, BEAT_FOREIGN);
	peer = bpf_map_lookup_elem(&peers, &from);
	if (!peer || !own)
		return finish(ctx, BUG);
	if (h->call.kind == CALL_ANSWER) {
		UNROLLED
		for (int i = 0; i < 2; i++) {
			if (!peer->called_ns[i] || peer->number[i] != h->call.number)
				continue;
			peer->echo_ns = peer->called_ns[i];
			side_answered(own, peer->echo_ns);
			return finish(ctx, BEAT_HEARD);
		}
		return finish(ctx, STALE_BEAT);
	}
	// To whom it is from by the view, whoever sent it.
	h->call.kind = CALL_ANSWER;
	h->call.to = h->call.from;
	h->call.from = bpf_htonl(cfg.node);
	__builtin_memcpy(p.outer.eth->h_dest, n->tenant_mac, 6);
	mac_of_config(p.outer.eth->h_source, cfg.tenant_mac);
	underlay_write(&h->ip, &h->udp, h->ip.daddr, h->ip.saddr, bpf_htons(CALL_PORT),
		       bpf_htons(CALL_PORT), sizeof(h->call));
	bpf_redirect(ctx->ingress_ifindex, 0);
	return finish(ctx, BEAT_ANSWERED);
}
