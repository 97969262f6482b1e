/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What happens to a packet on a gateway node, in order. Read this file first; each step is one
// header away.
//
//   host --VXLAN/Geneve--> gateway: cached? ------------------------------> other host
//                             | no: lookup                        ^
//                             v                                   |
//   (tail of the chain)     table: recorded? -- yes: reply --> reply
//                             | no
//                             v
//                divider, bouncer, security group, ... (network functions)
//                             |
//                             v
//                          decided -- nothing to remember: reply
//                             | insert: to the head, down the chain, to its end, then reply
//                             v
//   (head ... end)          table
#include "datapath/packet.bpf.h"
#include "datapath/evaluation.bpf.h"
#include "datapath/finish.bpf.h"
#include "modules/arp/arp.bpf.h"
#include "modules/chain/chain.bpf.h"
#include "modules/chain/move.bpf.h"
#include "modules/chain/rights.bpf.h"
#include "modules/directpath/directpath.bpf.h"
#include "modules/door/door.bpf.h"
#include "modules/entrance/entrance.bpf.h"
#include "modules/fragment/fragment.bpf.h"
#include "modules/function/function.bpf.h"
#include "modules/health/health.bpf.h"
#include "modules/heartbeat/heartbeat.bpf.h"
#include "modules/heartbeat/side.bpf.h"
#include "modules/icmp/icmp.bpf.h"
#include "modules/limits/limits.bpf.h"
#include "modules/loadbalancer/loadbalancer.bpf.h"
#include "modules/nat/nat.bpf.h"
#include "modules/neighbor/neighbor.bpf.h"
#include "modules/overlay/overlay.bpf.h"
#include "modules/port/endpoint.bpf.h"
#include "modules/route/route.bpf.h"
#include "modules/session/emit.bpf.h"
#include "modules/session/session.bpf.h"
#include "modules/shield/shield.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "modules/term/term.bpf.h"
#include "modules/translation/choose.bpf.h"
#include "modules/translation/translation.bpf.h"
#include "modules/vpc/vpc.bpf.h"
#include "shared/mapping.h"

#include <linux/pkt_cls.h>

const volatile struct gateway_config cfg;

// To a host, as an entrance: the tenant's frame that begins at inner_offset, in a tunnel. six: it
// is IPv6.
inlined enum verdict send_to_host(struct xdp_md *ctx, __u32 inner_offset, const struct decision *d,
				  __u32 entrance, __u32 hash, int six, enum verdict v)
{
	const struct entrance_value *e = entrance_at(entrance);
	const int size = OUTER_BYTES;
	__u8 own_mac[6];
	struct packet p;
	struct outer_headers *o;

	if (!e || !e->live)
		return NOT_ENTRANCE;
	if ((int)inner_offset != size && bpf_xdp_adjust_head(ctx, (int)inner_offset - size))
		return NO_ROOM;
	p = packet_of(ctx);
	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	o = take(&p, sizeof(*o));
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.outer.eth || !o || !p.inner.eth)
		return BUG;
	__builtin_memcpy(p.inner.eth->h_dest, d->to_mac, 6);
	if (d->flags & DECISION_ROUTED) {
		__builtin_memcpy(p.inner.eth->h_source, d->from_mac, 6);
		if (six) {
			p.inner.ip6 = take(&p, sizeof(*p.inner.ip6));
			if (!p.inner.ip6)
				return BUG;
			p.inner.ip6->hops--;
		} else {
			p.inner.ip = take(&p, sizeof(*p.inner.ip));
			if (!p.inner.ip)
				return BUG;
			ttl_decrement(p.inner.ip);
		}
	}
	// Only the owner may use the entrance's MAC: switches learn from it.
	mac_of_config(own_mac, cfg.tenant_mac);
	overlay_write(p.outer.eth, o, cfg.overlay, vni_of(d->vni), address_v4(&e->ip),
		      e->owner == cfg.node ? e->mac : own_mac, address_v4(&d->host), d->host_mac,
		      hash, p.end - p.data - size);
	bpf_redirect(cfg.tenant_ifindex, 0);
	return v;
}

// Tells the sender why its packet does not go on. inner_offset as the packet is now.
inlined int complain(struct xdp_md *ctx, const struct packet *p, const struct flow *f,
		     const struct in6_addr *host, const __u8 host_mac[6], __u32 entrance,
		     enum verdict v, __u8 type, __u8 code)
{
	struct complaint *c;
	__u32 zero = 0;

	// RFC 1122 section 3.2.2: never about an ICMP error, nor about a later fragment.
	if (f->icmp_error || f->fragment == FRAGMENT_LATER)
		return finish(ctx, NOT_ANSWERED);
	c = bpf_map_lookup_elem(&complaints, &zero);
	if (!c)
		return finish(ctx, BUG);
	c->host = *host;
	__builtin_memcpy(c->host_mac, host_mac, 6);
	c->type = type;
	c->code = code;
	c->mtu = v == FRAGMENTATION_NEEDED ? cfg.tenant_mtu : 0;
	c->verdict = v;
	c->entrance = entrance;
	c->inner_offset = p->inner_offset;
	c->vni = p->vni;
	return go_to(ctx, p->inner.ip6 ? STEP_COMPLAINT6 : STEP_COMPLAINT);
}

// Whether a decision says something that can be carried out.
inlined int decision_valid(const struct decision *d)
{
	if (d->action == DECIDE_FORWARD)
		return 1;
	return (d->action == DECIDE_DROP || d->action == DECIDE_UNREACHABLE) && d->reason != BUG &&
	       action_of(d->reason) == XDP_DROP;
}

// Tells the sender of a packet that was decided about. back: the other direction's decision, whose
// host is the sender's; NULL: it is in the cache, and read into c.
inlined int complain_back(struct xdp_md *ctx, const struct packet *p, const struct flow *f,
			  const struct decision *back, struct cached *c, __u32 entrance, __u64 hash,
			  enum verdict v, __u8 type, __u8 code)
{
	if (!back) {
		if (!cache_find(&f->key, hash, f->from_b ? 0 : 1, c))
			return finish(ctx, FLOW_FORGOTTEN);
		back = &c->decision;
	}
	return complain(ctx, p, f, &back->host, back->host_mac, entrance, v, type, code);
}

// A packet that is going to a host, from the cache as c says: whether it goes twice, so that the
// flow table or the sender's host is told.
inlined void send_beside(struct cached *c, const struct flow *f, const struct decision *d,
			 __u64 hash)
{
	if (cache_refresh(c, f, hash, tick_ms()) || direct_due(c, f, d))
		bpf_redirect_map(&clone, 0, BPF_F_BROADCAST);
}

// What programs that are called on a packet's way to a host have to know.
inlined struct passage *passage_begin(const struct packet *p, const struct decision *d, int told,
				      __u32 entrance, __u64 hash, enum verdict v)
{
	struct passage *t = passage_now();

	if (!t)
		return NULL;
	t->decision = *d;
	t->hash = hash;
	t->vni = p->vni;
	t->entrance = entrance;
	t->verdict = v;
	t->inner_offset = p->inner_offset;
	t->told = told;
	t->later = 0;
	return t;
}

// Some functions see every packet of this flow: they first.
inlined int see_every(struct xdp_md *ctx, const struct packet *p, const struct decision *d,
		      int told, __u32 entrance, __u64 hash, enum verdict v)
{
	struct passage *t = passage_begin(p, d, told, entrance, hash, v);

	if (!t)
		return finish(ctx, BUG);
	return go_to(ctx, STEP_SEEN);
}

// Which code of ICMP_UNREACHABLE says why.
inlined __u8 unreachable_code(__u8 reason)
{
	if (reason == NO_ROUTE || reason == BLACKHOLE || reason == PEER_SOURCE ||
	    reason == PEER_IPV6)
		return ICMP_UNREACHABLE_NET;
	return reason == NO_LISTENER ? ICMP_UNREACHABLE_PORT : ICMP_UNREACHABLE_HOST;
}

// The packet is of a translated session. fresh: session_room()->reply says what that is, else the
// cache; final: the packet is translated already; beside: it went its way; changes: it says
// something of the session's state.
#define PASSES_FRESH 0x01
#define PASSES_FINAL 0x02
#define PASSES_BESIDE 0x04
#define PASSES_CHANGES 0x08

inlined int pass_translated(struct xdp_md *ctx, const struct packet *p, const struct decision *d,
			    int told, __u32 entrance, __u64 hash, enum verdict v, __u32 how)
{
	struct passage *t = passage_begin(p, d, told, entrance, hash, v);

	if (!t)
		return finish(ctx, BUG);
	t->fresh = !!(how & PASSES_FRESH);
	t->final = !!(how & PASSES_FINAL);
	t->beside = !!(how & PASSES_BESIDE);
	t->changes = !!(how & PASSES_CHANGES);
	return go_to(ctx, p->inner.ip6 ? STEP_TRANSLATE6 : STEP_TRANSLATE);
}

// Carries out what was decided for this packet's direction; back as above. told: the session in the
// cache, where the sender's host may be told the direct path. how: PASSES_*.
inlined int carry_out(struct xdp_md *ctx, const struct packet *p, const struct flow *f,
		      const struct decision *d, const struct decision *back, struct cached *told,
		      __u32 entrance, __u64 hash, enum verdict v, __u32 how)
{
	if (d->action == DECIDE_DROP)
		return finish(ctx, d->reason);
	if (d->action == DECIDE_UNREACHABLE)
		return complain_back(ctx, p, f, back, told, entrance, hash, UNREACHABLE,
				     ICMP_UNREACHABLE, unreachable_code(d->reason));
	if (d->action != DECIDE_FORWARD)
		return finish(ctx, BUG);
	if ((d->flags & DECISION_ROUTED) && hops_of(p) <= 1)
		return how & PASSES_FINAL ? finish(ctx, NOT_ANSWERED)
					  : complain_back(ctx, p, f, back, told, entrance, hash,
							  TIME_EXCEEDED, ICMP_TIME_EXCEEDED, 0);
	if (d->flags & DECISION_TRANSLATED)
		return pass_translated(ctx, p, d, told != NULL, entrance, hash, v, how);
	if (d->reason)
		return see_every(ctx, p, d, told != NULL, entrance, hash, v);
	v = send_to_host(ctx, p->inner_offset, d, entrance, hash, p->inner.ip6 != NULL, v);
	if ((v == FORWARDED || v == FORWARDED_FIRST) && told)
		send_beside(told, f, d, hash);
	return finish(ctx, v);
}

// The packet becomes an op that asks about it, on its way to where the op is handled. known: the
// record that is known; flags: DFT_REFRESH where the packet itself went its way, DFT_TRANSLATED.
inlined int ask(struct xdp_md *ctx, const struct packet *p, const struct session_key *key,
		enum dft_op op, enum dft_table table, __u32 entrance,
		const struct dft_record *known, __u16 state, __u8 flags)
{
	__u32 hash = key_hash(key), bucket = hash % BUCKETS, number, node;
	const struct chain_value *c = chain_of(bucket, &number);
	struct dft_packet *d;

	if (!c)
		return finish(ctx, NO_VIEW);
	node = chain_whom(c, op == DFT_LOOKUP, 0);
	d = op_begin(ctx, p->inner_offset, p->vni, hash);
	if (!d)
		return finish(ctx, NO_ROOM);
	d->op.flags = flags;
	if (known) {
		record_write(d, known);
		d->op.flags |= DFT_STATEFUL;
		// What was seen, was seen in the generation that is known.
		d->op.state = bpf_htons(DFT_LIVE << DFT_LIFE_SHIFT | state |
					(known->state & (DFT_GENERATION_BITS | DFT_BEGUN_BY_B)));
	}
	d->op.op = op;
	d->op.table = table;
	d->op.entrance = entrance;
	d->op.epoch = bpf_htonl(c->epoch);
	d->op.term = bpf_htonl(c->term);
	d->op.bucket = bpf_htonl(bucket);
	d->op.chain = bpf_htonl(number);
	d->op.clock_ms = bpf_htonl(clock_ms());
	d->op.boot = bpf_htonl(cfg.boot);
	address_of_config(&d->op.forwarder, &cfg.zgc_ip);
	mac_of_config(d->op.forwarder_mac, cfg.zgc_mac);
	return op_send_to_node(ctx, node,
			       flags & DFT_REFRESH ? REFRESHING
			       : op == DFT_LOOKUP  ? LOOKED_UP
						   : UPDATED);
}

// The frame was made the answer to whom it came from, in place: back to the host that sent it.
inlined int answer(struct xdp_md *ctx, const struct packet *p, __u32 entrance, enum verdict v)
{
	struct decision back = {.host = address_of_v4(p->outer.ip->saddr)};

	__builtin_memcpy(back.host_mac, p->outer.eth->h_source, 6);
	__builtin_memcpy(back.to_mac, p->inner.eth->h_dest, 6);
	vni_put(back.vni, p->vni);
	return finish(ctx, send_to_host(ctx, p->inner_offset, &back, entrance, 0, 0, v));
}

// An endpoint asks who has an address: its gateway we know, others the flow table nodes do.
inlined int tenant_arp(struct xdp_md *ctx, struct packet *p, const struct vpc_value *vpc,
		       __u32 entrance)
{
	struct arp_ipv4 *arp = take(p, sizeof(*arp));
	const struct subnet_value *subnet;
	struct session_key key = {};

	if (!arp || !arp_is_request(arp))
		return finish(ctx, ARP_MALFORMED);
	key.b = address_of_v4(arp->target_ip);
	subnet = subnet_of(p->vni, &key.b);
	if (!subnet || !address_equal(&subnet->gateway, &key.b)) {
		if (!ask_allowed(vpc, p->vni, entrance, ASKS_UNKNOWN))
			return finish(ctx, MISS_RATE);
		vni_put(key.vni, p->vni);
		return ask(ctx, p, &key, DFT_LOOKUP, DFT_ENDPOINTS, entrance, NULL, 0, 0);
	}
	arp_reply(p->inner.eth, arp, subnet->gateway_mac);
	return answer(ctx, p, entrance, GATEWAY_ARP);
}

// To the gateway's own address: an echo request is answered, and who answered a health check is
// heard.
inlined int tenant_gateway(struct xdp_md *ctx, struct packet *p, const struct flow *f,
			   const struct vpc_value *vpc, __u32 entrance)
{
	struct icmp_header *icmp;

	if (p->inner.ip->protocol == IPPROTO_TCP && !f->fragment)
		return ask_allowed(vpc, p->vni, entrance, ASKS_CHANGE) ? check_back(ctx, p, f)
								       : finish(ctx, MISS_RATE);

	p->at = (void *)p->inner.ip + sizeof(*p->inner.ip);
	icmp = take(p, sizeof(*icmp));
	if (p->inner.ip->protocol != IPPROTO_ICMP || f->fragment || !icmp ||
	    icmp->type != ICMP_ECHO_REQUEST)
		return finish(ctx, GATEWAY_PROTOCOL);
	echo_reply(p, icmp);
	return answer(ctx, p, entrance, GATEWAY_ECHO);
}

// O7: what a TCP packet says of its session's end.
inlined __u16 flow_ends(const struct flow *f)
{
	__u16 ends = f->tcp_flags & TCP_RST ? DFT_RST : 0;

	if (f->tcp_flags & TCP_FIN)
		ends |= f->from_b ? DFT_FIN_FROM_B : DFT_FIN_FROM_A;
	return ends;
}

// O7: whether the flow table need not hear yet of what this packet ends, and the cache remembers
// it. (Of a translated session the other side's packets may come to another forwarder.)
inlined int end_is_held(const struct flow *f, const struct decision *decision, __u64 hash)
{
	if (!(f->tcp_flags & TCP_FIN) || f->tcp_flags & (TCP_SYN | TCP_RST) ||
	    decision->flags & DECISION_TRANSLATED)
		return 0;
	return cache_half_closed(&f->key, hash, flow_ends(f));
}

// Of the tenant's frame, as an interface would count it.
inlined __u32 frame_bytes(const struct packet *p)
{
	return (__u32)(p->end - (void *)p->inner.eth);
}

// The same of IPv6.
inlined int tenant_gateway6(struct xdp_md *ctx, struct packet *p, const struct flow *f,
			    const struct vpc_value *vpc, __u32 entrance)
{
	struct icmpv6_header *icmp;

	if (p->inner.ip6->next == IPPROTO_TCP)
		return ask_allowed(vpc, p->vni, entrance, ASKS_CHANGE) ? check_back(ctx, p, f)
								       : finish(ctx, MISS_RATE);

	p->at = (void *)p->inner.ip6 + sizeof(*p->inner.ip6);
	icmp = take(p, sizeof(*icmp));
	if (p->inner.ip6->next != IPPROTO_ICMPV6 || f->fragment || !icmp ||
	    icmp->type != ICMPV6_ECHO_REQUEST)
		return finish(ctx, GATEWAY_PROTOCOL);
	echo_reply6(p, icmp);
	return answer(ctx, p, entrance, GATEWAY_ECHO);
}

// Whether a tenant's packet that was read is for the gateway itself.
inlined int to_gateway(const struct packet *p, const struct subnet_value *subnet, const int six)
{
	if (six)
		return address_equal(&subnet->gateway, &p->inner.ip6->destination);
	return address_v4(&subnet->gateway) == p->inner.ip->daddr;
}

// A tenant's packet that was read, IPv6 where six says so: its flow is *f. admitted: no shield has
// anything against it.
inlined int tenant_packet(struct xdp_md *ctx, struct packet *p, const struct flow *f,
			  const struct vpc_value *vpc, __u32 entrance, const int six,
			  const int admitted)
{
	const struct subnet_value *subnet;
	const struct dft_record *record;
	enum asks why = ASKS_UNKNOWN;
	struct cached c;
	__u64 hash;
	__u16 ends;

	if (tenant_bytes(p) > cfg.tenant_mtu) {
		struct in6_addr host = address_of_v4(p->outer.ip->saddr);

		return complain(ctx, p, f, &host, p->outer.eth->h_source, entrance,
				FRAGMENTATION_NEEDED, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED);
	}

	hash = key_hash(&f->key);
	if (cache_find(&f->key, hash, f->from_b ? 1 : 0, &c)) {
		why = asks_known(&c, f);
		if (cache_fresh(&c, tick_ms(), vpc->policy) &&
		    (!c.stateful || !(f->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) ||
		     f->icmp_error || f->tcp_flags == (TCP_SYN | TCP_ACK) ||
		     end_is_held(f, &c.decision, hash)))
			return carry_out(ctx, p, f, &c.decision, NULL, &c, entrance, hash,
					 FORWARDED, 0);
		if (!admitted && shield_asked(p->vni, f))
			return go_to(ctx, STEP_SHIELD);
		// What changes a session's state is for the flow table to know: the beginning of a
		// new one, or its end. Of that it hears also by who has not asked for long: the
		// head looks at the life that is named.
		ends = c.stateful ? flow_ends(f) : 0;
		if (ends && !ask_allowed(vpc, p->vni, entrance, ASKS_CHANGE))
			return finish(ctx, MISS_RATE);
		if (ends && c.decision.flags & DECISION_TRANSLATED)
			return pass_translated(ctx, p, &c.decision, 0, entrance, hash, UPDATED,
					       PASSES_CHANGES);
		record = ends ? cache_record(&f->key, hash) : NULL;
		if (record)
			return ask(ctx, p, &f->key, DFT_UPDATE, DFT_SESSIONS, entrance, record,
				   ends | (record->state & DFT_FINS), 0);
	} else if (!admitted && shield_asked(p->vni, f)) {
		return go_to(ctx, STEP_SHIELD);
	}

	subnet = subnet_of(p->vni, f->from_b ? &f->key.a : &f->key.b);
	if (subnet && to_gateway(p, subnet, six))
		return six ? tenant_gateway6(ctx, p, f, vpc, entrance)
			   : tenant_gateway(ctx, p, f, vpc, entrance);
	if (!ask_allowed(vpc, p->vni, entrance, why))
		return finish(ctx, MISS_RATE);
	if (cfg.beat_ms)
		heard_host_note(p->outer.ip->saddr, p->outer.eth->h_source);
	return ask(ctx, p, &f->key, DFT_LOOKUP, DFT_SESSIONS, entrance, NULL, 0, 0);
}

// A tenant's frame, from the host that its sender lives on.
inlined int tenant(struct xdp_md *ctx, struct packet *p, __u32 entrance)
{
	const struct vpc_value *vpc;
	struct flow f = {};
	enum verdict v;

	if ((v = overlay_open(p, cfg.overlay)))
		return finish(ctx, v);
	vpc = bpf_map_lookup_elem(&vpcs, &p->vni);
	if (!vpc)
		return finish(ctx, NO_VPC);
	if (rate_limits(&vpc->rate) && !vpc_allowed(vpc, p->vni, frame_bytes(p)))
		return finish(ctx, VPC_RATE);

	if (p->inner.eth->h_proto == bpf_htons(ETH_P_ARP))
		return tenant_arp(ctx, p, vpc, entrance);
	if (p->inner.eth->h_proto == bpf_htons(ETH_P_8021Q) ||
	    p->inner.eth->h_proto == bpf_htons(ETH_P_8021AD))
		return finish(ctx, INNER_VLAN);
	if (p->inner.eth->h_proto == bpf_htons(ETH_P_IPV6))
		return go_to(ctx, STEP_TENANT6);
	if (p->inner.eth->h_proto != bpf_htons(ETH_P_IP))
		return finish(ctx, INNER_PROTOCOL);
	if ((v = read_inner_ipv4(p)))
		return finish(ctx, v);
	if (is_later(p->inner.ip))
		return go_to(ctx, STEP_FRAGMENT);
	if ((v = read_flow(p, &f)))
		return finish(ctx, v);
	if (f.fragment)
		fragment_remember(p, &f);
	return tenant_packet(ctx, p, &f, vpc, entrance, 0, 0);
}

// A later fragment goes where its session's packets go: *d. Nothing is asked beside it, as nobody
// else could tell whose it is.
inlined int follow(struct xdp_md *ctx, const struct packet *p, const struct flow *f,
		   const struct decision *d, __u32 entrance, __u64 hash)
{
	struct passage *t;

	if (d->action != DECIDE_FORWARD)
		return finish(ctx, d->reason);
	if ((d->flags & DECISION_ROUTED) && hops_of(p) <= 1)
		return finish(ctx, NOT_ANSWERED);
	if (!(d->flags & DECISION_TRANSLATED) && !d->reason)
		return finish(ctx,
			      send_to_host(ctx, p->inner_offset, d, entrance, hash, 0, FORWARDED));
	t = passage_begin(p, d, 0, entrance, hash, FORWARDED);
	if (!t)
		return finish(ctx, BUG);
	t->flow = *f;
	t->later = 1;
	t->fresh = t->final = t->beside = t->changes = 0;
	return go_to(ctx, d->flags & DECISION_TRANSLATED ? STEP_TRANSLATE : STEP_SEEN);
}

// A later fragment of a tenant's packet, in a tunnel as gateway() has read it. Its session is known
// by its packet's first one; until what was decided about that is known too, it waits.
inlined int later_fragment(struct xdp_md *ctx, const int waited)
{
	struct packet p = packet_of(ctx);
	const struct subnet_value *subnet;
	const struct vpc_value *vpc;
	struct in6_addr destination;
	struct flow f = {};
	struct cached c;
	enum verdict v;
	int entrance;
	__u64 hash;

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	p.outer.ip = take(&p, sizeof(*p.outer.ip));
	p.udp = take(&p, sizeof(*p.udp));
	if (!p.outer.eth || !p.outer.ip || !p.udp)
		return finish(ctx, BUG);
	entrance = entrance_of(p.outer.ip->daddr);
	if (entrance < 0 || (waited && !entrance_served(entrance)))
		return finish(ctx, NOT_ENTRANCE);
	if ((v = overlay_open(&p, cfg.overlay)) || (v = read_inner_ipv4(&p)) ||
	    (v = read_later(&p, &f)))
		return finish(ctx, v);
	vpc = bpf_map_lookup_elem(&vpcs, &p.vni);
	if (!vpc)
		return finish(ctx, NO_VPC);
	if (tenant_bytes(&p) > cfg.tenant_mtu)
		return finish(ctx, NOT_ANSWERED);
	destination = address_of_v4(p.inner.ip->daddr);
	subnet = subnet_of(p.vni, &destination);
	if (subnet && to_gateway(&p, subnet, 0))
		return finish(ctx, GATEWAY_PROTOCOL);
	if (!fragment_recall(&p, &f))
		return fragment_wait(ctx, &p, waited);
	hash = key_hash(&f.key);
	if (!cache_find(&f.key, hash, f.from_b ? 1 : 0, &c) ||
	    !cache_fresh(&c, tick_ms(), vpc->policy))
		return fragment_wait(ctx, &p, waited);
	return follow(ctx, &p, &f, &c.decision, entrance, hash);
}

SEC("xdp")
int fragment(struct xdp_md *ctx)
{
	return later_fragment(ctx, 0);
}

// The same of one that has waited.
SEC("xdp")
int waited(struct xdp_md *ctx)
{
	return later_fragment(ctx, 1);
}

// What waits goes round, at the pace of its queue.
SEC("tc")
int wait_turn(struct __sk_buff *skb)
{
	return (int)bpf_redirect(skb->ifindex, 0);
}

// An endpoint asks for a neighbour or a router, by IPv6: its gateway we know, others the flow table
// nodes do.
inlined int tenant_neighbor(struct xdp_md *ctx, struct packet *p, const struct vpc_value *vpc,
			    __u32 entrance)
{
	struct advertisement *a = advertisement_now();
	const struct neighbor_message *asked;
	const struct subnet_value *subnet;
	struct session_key key = {};
	enum verdict v;

	if (!a)
		return finish(ctx, BUG);
	if ((v = read_solicitation(p, &asked)))
		return finish(ctx, v);
	key.b = p->inner.ip6->source;
	if (asked->type == ICMPV6_NEIGHBOR_SOLICITATION) {
		if ((void *)(asked + 1) > p->end)
			return finish(ctx, BUG);
		key.b = asked->target;
		subnet = subnet_of(p->vni, &key.b);
		if (subnet && address_equal(&subnet->gateway, &key.b)) {
			a->host = address_of_v4(p->outer.ip->saddr);
			__builtin_memcpy(a->host_mac, p->outer.eth->h_source, 6);
			__builtin_memcpy(a->mac, subnet->gateway_mac, 6);
			a->router = 1;
			a->entrance = entrance;
			a->inner_offset = p->inner_offset;
			a->vni = p->vni;
			a->verdict = GATEWAY_NEIGHBOR;
			return go_to(ctx, STEP_ADVERTISE);
		}
	}
	if (!ask_allowed(vpc, p->vni, entrance, ASKS_UNKNOWN))
		return finish(ctx, MISS_RATE);
	vni_put(key.vni, p->vni);
	return ask(ctx, p, &key, DFT_LOOKUP, DFT_ENDPOINTS, entrance, NULL, 0, 0);
}

// The flow of the tenant's frame, of either family, that begins at so many bytes. It is looked at
// once: there are more ways through it than could be followed behind each that leads to it.
verified int flow_at(struct xdp_md *ctx, __u32 offset, __u32 vni, struct flow *f)
{
	struct packet p = packet_of(ctx);
	enum verdict v;

	if (!f || offset > 511)
		return BUG;
	p.vni = vni;
	p.at += offset & 511; // which the verifier believes
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.inner.eth)
		return TRUNCATED;
	if (p.inner.eth->h_proto == bpf_htons(ETH_P_IPV6))
		return read_inner_ipv6(&p, f);
	if (p.inner.eth->h_proto != bpf_htons(ETH_P_IP))
		return INNER_PROTOCOL;
	v = read_inner_ipv4(&p);
	return v ? v : read_flow(&p, f);
}

// From p->inner.eth on: the tenant's packet, which is IPv4 or IPv6, and its flow.
inlined enum verdict read_family(struct packet *p, struct flow *f, int six)
{
	enum verdict v = flow_at(p->ctx, (void *)p->inner.eth - p->data, p->vni, f);

	if (v)
		return v;
	if (six)
		p->inner.ip6 = take(p, sizeof(*p->inner.ip6));
	else
		p->inner.ip = take(p, sizeof(*p->inner.ip));
	return p->inner.ip || p->inner.ip6 ? GO_ON : BUG;
}

// The same of either family.
inlined enum verdict read_inner(struct packet *p, struct flow *f)
{
	return read_family(p, f, p->inner.eth->h_proto == bpf_htons(ETH_P_IPV6));
}

// The same where it can be IPv4 only: what has a NAT's mapping.
inlined enum verdict read_inner4(struct packet *p, struct flow *f)
{
	return p->inner.eth->h_proto == bpf_htons(ETH_P_IP) ? read_family(p, f, 0) : INNER_PROTOCOL;
}

// A SYN with this number to a protected address becomes what its sender has to prove by that it has
// sent it. six: it is IPv6.
inlined int shield_ask(struct xdp_md *ctx, __u32 inner_offset, __u32 vni, const struct flow *f,
		       __be32 number, __u32 entrance, const int six)
{
	const int bytes = sizeof(struct ethhdr) +
			  (six ? sizeof(struct ipv6_header) : sizeof(struct iphdr)) +
			  sizeof(struct tcphdr);
	const __u64 hash = shield_hash(f, number);
	__u64 at = inner_offset;
	struct tcphdr *tcp;
	struct packet p;
	__u8 mac[6];

	asm volatile("" : "+r"(at)); // the verifier has to see the next line
	if (at > 511)
		return finish(ctx, BUG);
	if (packet_resize(ctx, (int)at + bytes))
		return finish(ctx, NO_ROOM);
	p = packet_of(ctx);
	p.vni = vni;
	p.inner_offset = inner_offset;
	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	p.outer.ip = take(&p, sizeof(*p.outer.ip));
	if (!p.outer.eth || !p.outer.ip)
		return finish(ctx, BUG);
	p.at = p.data + at;
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.inner.eth)
		return finish(ctx, BUG);
	if (six) {
		p.inner.ip6 = take(&p, sizeof(*p.inner.ip6));
		if (!p.inner.ip6)
			return finish(ctx, BUG);
		shield_ipv6(p.inner.ip6, f);
	} else {
		p.inner.ip = take(&p, sizeof(*p.inner.ip));
		if (!p.inner.ip)
			return finish(ctx, BUG);
		shield_ipv4(p.inner.ip, f);
	}
	tcp = take(&p, sizeof(*tcp));
	if (!tcp || !hash)
		return finish(ctx, BUG);
	shield_tcp(tcp, f, number, hash);
	__builtin_memcpy(mac, p.inner.eth->h_source, 6);
	__builtin_memcpy(p.inner.eth->h_source, p.inner.eth->h_dest, 6);
	__builtin_memcpy(p.inner.eth->h_dest, mac, 6);
	return answer(ctx, &p, entrance, COOKIE_SENT);
}

// A tenant's packet of TCP, in a tunnel as gateway() has read it: its flow, and its number.
inlined enum verdict read_again(struct packet *p, struct flow *f, __be32 *number, __u32 *entrance)
{
	const struct tcphdr *tcp;
	__u8 protocol, fragment;
	enum verdict v;
	int found;

	p->outer.eth = take(p, sizeof(*p->outer.eth));
	p->outer.ip = take(p, sizeof(*p->outer.ip));
	p->udp = take(p, sizeof(*p->udp));
	if (!p->outer.eth || !p->outer.ip || !p->udp)
		return BUG;
	found = entrance_of(p->outer.ip->daddr);
	if (found < 0)
		return NOT_ENTRANCE;
	*entrance = found;
	if ((v = overlay_open(p, cfg.overlay)) || (v = flow_at(p->ctx, p->inner_offset, p->vni, f)))
		return v;
	p->inner.eth = p->data + (p->inner_offset & 511);
	p->at = p->inner.eth + 1;
	if (address_is_v4(&f->key.a)) {
		p->inner.ip = take(p, sizeof(*p->inner.ip));
	} else {
		p->inner.ip6 = take(p, sizeof(*p->inner.ip6));
		if (!p->inner.ip6)
			return BUG;
		protocol = p->inner.ip6->next;
		if ((v = skip_extensions(p, &protocol, &fragment)))
			return v;
	}
	tcp = take(p, sizeof(*tcp));
	if (!tcp)
		return BUG;
	*number = tcp->seq;
	return GO_ON;
}

// To a protected address: a SYN, or a reset, which the cache does not answer. six: it is IPv6.
inlined int shield_family(struct xdp_md *ctx, const struct packet *p, const struct flow *f,
			  __be32 number, __u32 entrance, const int six)
{
	const enum gateway_step on = six ? STEP_ADMITTED6 : STEP_ADMITTED;
	const struct shield_value *shield = shield_find(p->vni, f);
	struct cached c;

	if (!shield)
		return go_to(ctx, on);
	if (f->tcp_flags & TCP_SYN) {
		if (!shield_proven(f, number) && !shield_idle(shield, p->vni, f))
			return shield_ask(ctx, p->inner_offset, p->vni, f, number, entrance, six);
	} else if (shield_proves(f, number)) {
		return finish(ctx, COOKIE_PROVEN);
	} else if (!cache_find(&f->key, key_hash(&f->key), f->from_b ? 1 : 0, &c) &&
		   !shield_idle(shield, p->vni, f)) {
		return finish(ctx, COOKIE_WRONG);
	}
	return go_to(ctx, on);
}

SEC("xdp")
int shield(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct flow f = {};
	__u32 entrance;
	enum verdict v;
	__be32 number;

	if ((v = read_again(&p, &f, &number, &entrance)))
		return finish(ctx, v);
	return address_is_v4(&f.key.a) ? shield_family(ctx, &p, &f, number, entrance, 0)
				       : shield_family(ctx, &p, &f, number, entrance, 1);
}

// What the shield has nothing against.
SEC("xdp")
int admitted(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	const struct vpc_value *vpc;
	struct flow f = {};
	__u32 entrance;
	enum verdict v;
	__be32 number;

	if ((v = read_again(&p, &f, &number, &entrance)))
		return finish(ctx, v);
	if (!p.inner.ip)
		return finish(ctx, BUG);
	vpc = bpf_map_lookup_elem(&vpcs, &p.vni);
	if (!vpc)
		return finish(ctx, NO_VPC);
	return tenant_packet(ctx, &p, &f, vpc, entrance, 0, 1);
}

// An IPv6 packet of a tenant's, in a tunnel as gateway() has read it. admitted: as above.
inlined int tenant_six(struct xdp_md *ctx, const int admitted)
{
	struct packet p = packet_of(ctx);
	const struct vpc_value *vpc;
	struct flow f = {};
	enum verdict v;
	int entrance;

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	p.outer.ip = take(&p, sizeof(*p.outer.ip));
	p.udp = take(&p, sizeof(*p.udp));
	if (!p.outer.eth || !p.outer.ip || !p.udp)
		return finish(ctx, BUG);
	entrance = entrance_of(p.outer.ip->daddr);
	if (entrance < 0)
		return finish(ctx, NOT_ENTRANCE);
	if ((v = overlay_open(&p, cfg.overlay)))
		return finish(ctx, v);
	vpc = bpf_map_lookup_elem(&vpcs, &p.vni);
	if (!vpc)
		return finish(ctx, NO_VPC);
	if ((v = read_ipv6_header(&p, p.end - p.at)))
		return finish(ctx, v);
	if (is_neighbor(p))
		return tenant_neighbor(ctx, &p, vpc, entrance);
	if ((v = flow_at(ctx, p.inner_offset, p.vni, &f)))
		return finish(ctx, v);
	return tenant_packet(ctx, &p, &f, vpc, entrance, 1, admitted);
}

SEC("xdp")
int tenant6(struct xdp_md *ctx)
{
	return tenant_six(ctx, 0);
}

SEC("xdp")
int admitted6(struct xdp_md *ctx)
{
	return tenant_six(ctx, 1);
}

// A solicitation becomes the advertisement that answers it.
SEC("xdp")
int advertise(struct xdp_md *ctx)
{
	struct advertisement *a = advertisement_now();
	const struct subnet_value *subnet = NULL;
	struct decision back = {};
	struct neighbor_answer *n;
	struct router_answer *r;
	struct icmpv6_header *icmp;
	struct packet p;
	int router, bytes;

	if (!a || a->inner_offset > 512)
		return finish(ctx, BUG);
	p = packet_of(ctx);
	p.at += (a->inner_offset & 511) + sizeof(struct ethhdr) + sizeof(struct ipv6_header);
	icmp = take(&p, sizeof(*icmp));
	if (!icmp)
		return finish(ctx, TRUNCATED);
	router = icmp->type == ICMPV6_ROUTER_SOLICITATION;
	bytes = sizeof(struct ethhdr) + sizeof(struct ipv6_header) +
		(router ? sizeof(*r) : sizeof(*n));
	if (router) {
		subnet = subnet_of(a->vni, &a->about);
		if (!subnet || !subnet_has_gateway(subnet))
			return finish(ctx, NEIGHBOR_UNKNOWN);
	}
	if (packet_resize(ctx, (int)a->inner_offset + bytes))
		return finish(ctx, NO_ROOM);
	p = packet_of(ctx);
	p.at += a->inner_offset & 511;
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	p.inner.ip6 = take(&p, sizeof(*p.inner.ip6));
	if (!p.inner.eth || !p.inner.ip6)
		return finish(ctx, BUG);
	if (subnet) {
		r = take(&p, sizeof(*r));
		if (!r)
			return finish(ctx, BUG);
		router_answer(p.inner.eth, p.inner.ip6, r, a, subnet, cfg.tenant_mtu);
	} else {
		n = take(&p, sizeof(*n));
		if (!n)
			return finish(ctx, BUG);
		neighbor_answer(p.inner.eth, p.inner.ip6, n, a);
	}
	back.host = a->host;
	__builtin_memcpy(back.host_mac, a->host_mac, 6);
	__builtin_memcpy(back.to_mac, p.inner.eth->h_dest, 6);
	vni_put(back.vni, a->vni);
	return finish(ctx,
		      send_to_host(ctx, a->inner_offset, &back, a->entrance, 0, 0, a->verdict));
}

// Whether it is of the forwarders among themselves, on the tenants' network.
inlined int is_call(struct packet p)
{
	const struct udphdr *udp = take(&p, sizeof(*udp));

	return (cfg.roles & ROLE_FWD) && cfg.beat_ms &&
	       p.outer.ip->daddr == cfg.tenant_ip.in6_u.u6_addr32[3] && p.outer.ip->ihl == 5 &&
	       !(p.outer.ip->frag_off & bpf_htons(IPV4_OFFSET)) && udp &&
	       udp->dest == bpf_htons(CALL_PORT);
}

// What arrives at a node.
SEC("xdp")
int gateway(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct in6_addr sender;
	struct dft_packet *d;
	const __u32 *node;
	int entrance;

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	if (!p.outer.eth)
		return finish(ctx, PASS);
	if ((cfg.roles & ROLE_FWD) && p.outer.eth->h_proto == bpf_htons(ETH_P_ARP))
		return finish(ctx, entrance_arp(&p));
	if (p.outer.eth->h_proto != bpf_htons(ETH_P_IP))
		return finish(ctx, PASS);

	p.outer.ip = take(&p, sizeof(*p.outer.ip));
	if (!p.outer.ip || p.outer.ip->protocol != IPPROTO_UDP || p.outer.ip->version != 4)
		return finish(ctx, PASS);
	entrance = cfg.roles & ROLE_FWD ? entrance_of(p.outer.ip->daddr) : -1;
	if (entrance < 0 && is_call(p))
		return go_to(ctx, STEP_SIDE);
	if (entrance < 0 && p.outer.ip->daddr != cfg.zgc_ip.in6_u.u6_addr32[3])
		return finish(ctx, PASS);
	if (p.outer.ip->ihl != 5 ||
	    (p.outer.ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_OFFSET)) ||
	    bpf_ntohs(p.outer.ip->tot_len) < sizeof(*p.outer.ip) + sizeof(*p.udp) ||
	    p.data + sizeof(*p.outer.eth) + bpf_ntohs(p.outer.ip->tot_len) > p.end)
		return finish(ctx, UNDERLAY_MALFORMED);
	p.udp = take(&p, sizeof(*p.udp));
	if (!p.udp)
		return finish(ctx, TRUNCATED);

	if (entrance >= 0) {
		if (p.udp->dest != overlay_port(cfg.overlay))
			return finish(ctx, PASS);
		// A switch that has not learned where an entrance is sends its packets everywhere:
		// only the owner serves them, or they would arrive twice.
		if (!entrance_served(entrance))
			return finish(ctx, NOT_ENTRANCE);
		return tenant(ctx, &p, entrance);
	}
	if (p.udp->dest != bpf_htons(GENEVE_PORT) &&
	    (!cfg.beat_ms || p.udp->dest != bpf_htons(BEAT_PORT)))
		return finish(ctx, PASS);

	// From another node: a heartbeat; or an op, with the tenant's packet that caused it. Where
	// nodes have a network of their own, hosts cannot speak for them.
	sender = address_of_v4(p.outer.ip->saddr);
	node = bpf_map_lookup_elem(&node_by_ip, &sender);
	if ((cfg.tenant_ifindex != cfg.zgc_ifindex && ctx->ingress_ifindex == cfg.tenant_ifindex) ||
	    p.outer.ip->saddr == cfg.zgc_ip.in6_u.u6_addr32[3] || !node)
		return finish(ctx,
			      p.udp->dest == bpf_htons(BEAT_PORT) ? BEAT_FOREIGN : DFT_FOREIGN);
	if (p.udp->dest == bpf_htons(BEAT_PORT))
		return go_to(ctx, STEP_BEAT);
	p.at = p.data;
	d = op_of(&p);
	if (!d || !op_valid(d))
		return finish(ctx, DFT_MALFORMED);
	if (*node & NODE_FOREIGN)
		move_mirror(&p, d);
	d->op.kept = 0; // what this node has kept was of another packet
	return op_enter(ctx, d);
}

// Behind an op: where the tenant's frame begins.
inlined enum verdict find_tenant(struct packet *p, const struct dft_packet *d)
{
	p->vni = vni_of(d->geneve.vni);
	p->inner_offset = DFT_HEADERS_BYTES;
	p->inner.eth = take(p, sizeof(*p->inner.eth));
	return p->inner.eth ? GO_ON : TRUNCATED;
}

// The tenant's packet there and its flow.
inlined enum verdict read_tenant(struct packet *p, const struct dft_packet *d, struct flow *f)
{
	enum verdict v = find_tenant(p, d);

	return v ? v : read_inner(p, f);
}

// The same where it can be IPv4 only: what has a NAT's mapping.
inlined enum verdict read_tenant4(struct packet *p, const struct dft_packet *d, struct flow *f)
{
	enum verdict v = find_tenant(p, d);

	return v ? v : read_inner4(p, f);
}

// Whose MAC answers for an address that no endpoint has: its gateway's where it is a load
// balancer's, a NAT's or a route's.
inlined const __u8 *mac_behind(__u32 vni, const struct in6_addr *address)
{
	const struct subnet_value *subnet = subnet_of(vni, address);

	if (!subnet || !subnet_has_gateway(subnet))
		return NULL;
	if (!load_balancer_find(vni, address) && !nat_address_find(vni, address) &&
	    !route_of(vni, address, subnet))
		return NULL;
	return subnet->gateway_mac;
}

// From here on it is the flow of the mapping of who sends.
inlined void mapping_flow(struct flow *f)
{
	const struct in6_addr inside = flow_source(f);
	const __be16 port = f->source_port;
	struct session_key key;

	mapping_key(&key, &inside, port, f->key.vni, f->key.protocol);
	f->key = key;
	f->from_b = 1;
	f->tcp_flags = 0;
	f->destination_port = 0;
}

// What an op is about, by its packet: that one's session, or the mapping of who sends.
inlined enum verdict flow_of_table(struct flow *f, __u8 table)
{
	if (table == DFT_MAPPINGS)
		mapping_flow(f);
	else if (mapping_key_is(&f->key))
		return INNER_MALFORMED;
	return GO_ON;
}

// As whom who has this MAC asks: that address' port must have it. Link-local addresses, and none,
// every port may have that has an IPv6 address: its first one is meant.
inlined const struct endpoint_value *asker_of(__u32 vni, const __u8 mac[6], struct in6_addr *as)
{
	const struct in6_addr *own;
	const struct endpoint_value *asker;

	if (address_link_local(as) || address_is_none(as)) {
		*as = (struct in6_addr){.in6_u.u6_addr8 = {0xFE, 0x80}};
		own = allowed_to(vni, mac, as);
		if (!own)
			return NULL;
		*as = *own;
	}
	asker = endpoint_find(vni, as);
	if (asker)
		return asker;
	// Who answers as a load balancer may ask as it, too.
	own = direct_backend_find(vni, as, mac);
	if (!own)
		return NULL;
	*as = *own;
	asker = endpoint_find(vni, as);
	return asker;
}

// Whose neighbour an endpoint asks for, where a forwarder does not know, or for a router: that
// makes the answer, of what it is told.
inlined int table_neighbor(struct xdp_md *ctx, struct packet *p, struct dft_packet *d)
{
	const struct endpoint_value *asked = NULL, *asker;
	const struct neighbor_message *m;
	const struct subnet_value *subnet;
	struct in6_addr address, as;
	const __u8 *mac = NULL;
	enum verdict v;

	if ((v = read_ipv6_header(p, p->end - p->at)))
		return finish(ctx, v);
	if (p->inner.ip6->next != IPPROTO_ICMPV6)
		return finish(ctx, NEIGHBOR_MALFORMED);
	if ((v = read_solicitation(p, &m)))
		return finish(ctx, v);
	as = p->inner.ip6->source;
	asker = asker_of(p->vni, p->inner.eth->h_source, &as);
	if (!asker)
		return finish(ctx, NO_SOURCE);
	if (!mac_equal(asker->mac, p->inner.eth->h_source))
		return finish(ctx, SPOOFED);
	subnet = subnet_of(p->vni, &as);
	if (m->type == ICMPV6_NEIGHBOR_SOLICITATION) {
		if ((void *)(m + 1) > p->end)
			return finish(ctx, BUG);
		address = m->target;
		if (subnet && subnet_has_gateway(subnet)) {
			struct in6_addr gateway = link_address(subnet->gateway_mac);

			if (address_equal(&gateway, &address))
				mac = subnet->gateway_mac;
		}
		if (!mac && subnet_number(p->vni, &address) == (subnet ? subnet->subnet : 0)) {
			asked = endpoint_find(p->vni, &address);
			mac = asked ? asked->mac : mac_behind(p->vni, &address);
		}
	} else if (subnet && subnet_has_gateway(subnet)) {
		mac = subnet->gateway_mac;
	}
	// Who makes sure that nobody else has his address wants no answer (RFC 4862 section 5.4.3).
	if (!mac || (asked && mac_equal(asked->mac, asker->mac)))
		return finish(ctx, NEIGHBOR_UNKNOWN);
	decide_for(&d->towards[0].decision, asker, p->vni);
	__builtin_memcpy(d->towards[0].decision.from_mac, mac, 6);
	d->towards[0].decision.action = DECIDE_FORWARD;
	d->towards[0].decision.flags = DECISION_UNCACHED;
	d->towards[0].decision.reason = asked ? 0 : 1;
	d->translation.translation.source = as;
	return op_release(ctx, d);
}

// Which endpoint has an address: answers an ARP request that a forwarder could not.
inlined int table_arp(struct xdp_md *ctx, struct packet *p, struct dft_packet *d)
{
	const struct endpoint_value *asked, *asker;
	const struct in6_addr *own;
	struct in6_addr address;
	struct arp_ipv4 *arp;
	const __u8 *mac;
	__u32 segment;

	p->vni = vni_of(d->geneve.vni);
	p->inner.eth = take(p, sizeof(*p->inner.eth));
	if (!p->inner.eth)
		return finish(ctx, TRUNCATED);
	if (p->inner.eth->h_proto == bpf_htons(ETH_P_IPV6))
		return table_neighbor(ctx, p, d);
	arp = take(p, sizeof(*arp));
	if (!arp || p->inner.eth->h_proto != bpf_htons(ETH_P_ARP) || !arp_is_request(arp))
		return finish(ctx, ARP_MALFORMED);
	address = address_of_v4(arp->target_ip);
	asked = endpoint_find(p->vni, &address);
	segment = subnet_number(p->vni, &address);
	mac = asked ? asked->mac : mac_behind(p->vni, &address);
	address = address_of_v4(arp->sender_ip);
	asker = endpoint_find(p->vni, &address);
	if (!asker) {
		// Who answers as a load balancer may ask as it, too.
		own = direct_backend_find(p->vni, &address, arp->sender_mac);
		asker = own ? endpoint_find(p->vni, own) : NULL;
		if (own)
			address = *own;
	}
	if (!asker)
		return finish(ctx, NO_SOURCE);
	if (!mac_equal(asker->mac, arp->sender_mac))
		return finish(ctx, SPOOFED);
	// Whoever asks for his own address wants no answer (RFC 5227 section 2.1.1). To other
	// subnets the way is the gateway.
	if (!mac || asked == asker || segment != subnet_number(p->vni, &address))
		return finish(ctx, ARP_UNKNOWN);
	decide_for(&d->towards[0].decision, asker, p->vni);
	d->towards[0].decision.action = DECIDE_FORWARD;
	d->towards[0].decision.flags = DECISION_UNCACHED;
	arp_reply(p->inner.eth, arp, mac);
	return op_release(ctx, d);
}

// Whether the packet's session was begun by the other side.
inlined int begun_by_other(const struct flow *f, const struct dft_record *record)
{
	return f->from_b != (record->state & DFT_BEGUN_BY_B ? 1 : 0);
}

// What a live session's first packet was: of the packet only whose session it is counts. What only
// a fragment can have for ports says that it was one.
inlined void evaluate_as_first(struct evaluation *e, const struct flow *f,
			       const struct dft_record *record)
{
	const __be16 no_echo = bpf_htons(0xFFFF);
	__u32 kept = 0;

	if (begun_by_other(f, record)) {
		e->source = flow_destination(f);
		e->destination = flow_source(f);
		e->source_port = f->destination_port;
		e->destination_port = f->source_port;
		e->from_b = !f->from_b;
	}
	// What people pushed has decided for good: only the rules are asked again.
	UNROLLED
	for (int i = 0; i < MAX_SERVICE_CHAIN; i++)
		if (i < e->functions && e->function[i] < FUNCTION_FIRST_FREE)
			e->function[kept++ % MAX_SERVICE_CHAIN] = e->function[i];
	e->functions = kept;
	e->again = 1;
	e->icmp_error = 0;
	e->icmp_type = e->protocol == IPPROTO_ICMPV6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO_REQUEST;
	e->tcp_flags = TCP_SYN;
	e->fragment = !address_is_v4(&f->key.a) && !f->key.a_port &&
		      (!f->key.b_port || f->key.b_port == no_echo);
}

// Whether a router may have sent what nobody of the VPC did, as its MAC says: then e->router is its
// address. As the VPC's gateways, load balancers and NATs nobody speaks.
called int sent_by_router(struct evaluation *e, const __u8 mac[6])
{
	const struct subnet_value *subnet = subnet_of(e->vni, &e->source);
	const struct in6_addr *router;

	if ((subnet && address_equal(&subnet->gateway, &e->source)) ||
	    load_balancer_find(e->vni, &e->source) || nat_address_find(e->vni, &e->source))
		return 0;
	router = allowed_to(e->vni, mac, &e->source);
	if (!router)
		return 0;
	e->router = *router;
	e->from_router = 1;
	return 1;
}

// Which mappings a session has, as its decisions say it.
inlined __u8 mapped_flags(__u8 flags)
{
	return (flags & DECISION_MAPS_SOURCE ? TRANSLATION_MAPS_SOURCE : 0) |
	       (flags & DECISION_MAPS_DESTINATION ? TRANSLATION_MAPS_DESTINATION : 0);
}

// The mapping that was asked for when the packet was let go is in e->mapping. What was decided then
// goes on with it; but where rules were told another address of the NAT, they are asked once more:
// what they have cost so far is in e->met. Returns whether it goes on.
called int resume(struct evaluation *e)
{
	__u32 now = EVALUATION_NOW, last = EVALUATION_KEPT;
	const struct evaluation *kept = bpf_map_lookup_elem(&evaluations, &last);
	__be16 port;

	if (!e || !kept)
		return 0;
	if (!address_equal(&kept->translation.source, &e->mapping.source)) {
		e->met = kept->met - MAPPING_CALLS;
		return 0;
	}
	port = e->mapping.source_port;
	bpf_map_update_elem(&evaluations, &now, kept, BPF_ANY);
	e->translation.source_port = port;
	e->mapping.flags |= TRANSLATION_MAPS_SOURCE;
	e->asks = 0;
	return 1;
}

// The VPC's service chain decides: about a packet of which nothing is recorded, or, again, about a
// live session, as recorded; anew: about a first packet, though what is recorded has only just
// ended. Who sends is checked before: what a liar sends must not decide about the packets of whom
// he claims to be.
inlined int evaluate(struct xdp_md *ctx, struct packet *p, const struct dft_packet *d,
		     const struct flow *f, const struct dft_record *recorded, int anew)
{
	const int again = recorded->life == DFT_LIVE && !anew;
	const struct endpoint_value *from;
	struct evaluation *e = evaluation_now();
	const struct vpc_value *vpc = bpf_map_lookup_elem(&vpcs, &p->vni);
	__u32 asked;

	if (!e)
		return finish(ctx, BUG);
	if (!vpc)
		return finish(ctx, NO_VPC);
	asked = d->op.kept == DFT_KEPT_ASKED && !again
			? question_resume(vpc->policy, &recorded->translation, anew)
			: 0;
	if (asked)
		return function_resume(ctx, asked);
	__builtin_memset(e, 0, sizeof(*e));
	e->key = f->key;
	e->source = flow_source(f);
	e->destination = flow_destination(f);
	e->source_port = f->source_port;
	e->destination_port = f->destination_port;
	e->protocol = f->key.protocol;
	e->tcp_flags = f->tcp_flags;
	e->from_b = f->from_b;
	e->icmp_error = f->icmp_error;
	e->icmp_type = f->icmp_type;
	e->fragment = f->portless;
	e->vni = p->vni;
	__builtin_memcpy(e->frame_from_mac, p->inner.eth->h_source, 6);
	__builtin_memcpy(e->frame_to_mac, p->inner.eth->h_dest, 6);
	e->chain = p->vni;
	e->functions = vpc->functions;
	__builtin_memcpy(e->function, vpc->function, sizeof(e->function));
	e->policy = vpc->policy;
	if (again) {
		e->translation = recorded->translation;
		e->mapping.flags = mapped_flags(recorded->towards[0].flags);
		evaluate_as_first(e, f, recorded);
	} else if (anew) {
		// Its mapping outlasts what is left of the session.
		e->mapping = recorded->translation;
		e->mapping.flags = mapped_flags(recorded->towards[0].flags);
	} else if (d->translation.translation.flags & TRANSLATION_MAPS) {
		e->mapping = d->translation.translation;
		if (d->op.kept == DFT_KEPT_MAPPING && e->mapping.flags & TRANSLATION_MAPS_SOURCE &&
		    resume(e))
			return go_to(ctx, STEP_DECIDED);
	}
	if (anew) {
		e->former = recorded->translation;
		e->anew = 1;
	}
	if (again || anew)
		__builtin_memcpy(e->forth.to_mac, recorded->towards[!!e->from_b].to_mac, 6);

	from = endpoint_find(p->vni, &e->source);
	if (!from &&
	    sent_by_router(e, again ? recorded->towards[!e->from_b].to_mac : e->frame_from_mac))
		from = endpoint_find(p->vni, &e->router);
	if (!from) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SOURCE);
	}
	// An ICMP error may come from a router on the way, not from the endpoint it speaks for.
	if (!again && !f->icmp_error && !mac_equal(from->mac, e->frame_from_mac)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, SPOOFED);
	}
	decide_for(&e->back, from, p->vni);
	__builtin_memcpy(e->source_group, from->group, sizeof(e->source_group));
	return function_run(ctx, e);
}

// Said by what may find that nothing is recorded, or only what has to be decided again.
#define UNDECIDED (-1)

// O7. The record that the op has goes on in its next generation, under the op's policy.
inlined int begin_next(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
		       int from_b)
{
	d->op.op = DFT_UPDATE;
	d->op.state = bpf_htons(dft_state_reopened(bpf_ntohs(d->op.state), from_b) |
				DFT_LIVE << DFT_LIFE_SHIFT);
	if (chain_head(c) == cfg.node)
		return go_to(ctx, STEP_TABLE);
	return op_send_to_node(ctx, chain_head(c), UPDATED);
}

// O7: a session that is closed, or has ended lately, is begun again, by who began it: the next
// generation of the same life. Where there is a later policy than the one that it was decided by,
// that has to be asked first (UNDECIDED). For anybody else it must be over, which it is when it has
// not been answered for a while.
inlined int reopen(struct xdp_md *ctx, const struct packet *p, struct dft_packet *d,
		   const struct chain_value *c, const struct flow *f, __u32 floor,
		   struct session_change *change)
{
	const struct vpc_value *vpc = bpf_map_lookup_elem(&vpcs, &p->vni);
	const struct dft_record *record = &change->record;
	int begins = f->key.protocol == IPPROTO_TCP ? change->begins : !f->icmp_error;

	// The head would not take it.
	if (record->life != DFT_LIVE && record->stamp.floor < floor)
		begins = 0;
	if (!begins || !vpc || record->state & DFT_ALIAS || begun_by_other(f, record))
		return finish(ctx, SESSION_ENDING);
	if (policy_over(vpc->policy, &f->key, &record->translation, record->policy)) {
		change->anew = 1;
		return UNDECIDED;
	}
	return begin_next(ctx, d, c, f->from_b);
}

// O4: what the evaluator saw goes with what it will decide.
inlined int undecided(struct dft_packet *d, const struct dft_record *record, __u32 floor)
{
	stamp_write(&d->op.stamp, dft_observe(record, floor));
	return UNDECIDED;
}

// M5: what is answered or succeeded has passed the learner, or it would have holes.
inlined int pass_learner(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
			 __u32 floor)
{
	d->op.floor = bpf_htonl(floor);
	return op_replicate(ctx, d, c, c->live);
}

// A session's decision stays for its whole life, but where its packets are handed over is no part
// of it: an endpoint may have moved since, a route may name another router. began: the address is
// of who began, as whoever it was then: the endpoint that has it, or a router that sent as it, and
// still may; where its route is shared by several, any of those. Else it may be a load balancer's,
// and the MAC that of a backend that answers as it. hash: the session's.
// Returns 0 where nobody has it now.
verified int decide_where(struct decision *d, const struct in6_addr *address, __u32 vni, int began,
			  __u32 hash)
{
	const struct endpoint_value *to;
	const struct subnet_value *subnet;
	const struct route_value *route;
	const struct in6_addr *router;
	struct in6_addr hop;

	if (!d || !address || d->action != DECIDE_FORWARD)
		return 0;
	hop = *address;
	to = began ? endpoint_find(vni, address) : NULL;
	if (!began && d->flags & DECISION_ROUTED) {
		router = direct_backend_find(vni, address, d->to_mac);
		to = router ? endpoint_find(vni, router) : NULL;
	}
	if (to) {
		decide_for(d, to, vni);
		return 1;
	}
	route = route_longest(vni, address);
	// Not route_of(): most VPCs have no routes, and the subnet need not be looked for.
	if (route && !route_counts(route, subnet_of(vni, address)))
		route = NULL;
	router = began ? allowed_to(vni, d->to_mac, address) : NULL;
	if (router && !(route && route->kind == ROUTE_SHARED && route_leads_to(vni, route, router)))
		to = endpoint_find(vni, router);
	if (to) {
		decide_for(d, to, vni);
		return 1;
	}
	if (route && !route_hop(vni, route, hash, &hop))
		return 0;
	to = endpoint_find(vni, &hop);
	if (!to)
		return 0;
	decide_for(d, to, vni);
	if (!route)
		return 1;
	subnet = subnet_of(vni, &hop);
	if (subnet)
		__builtin_memcpy(d->from_mac, subnet->gateway_mac, 6);
	return 1;
}

// What was decided when a session began goes to whom asked now.
inlined int release_recorded(struct xdp_md *ctx, struct dft_packet *d,
			     const struct session_key *key)
{
	const struct translation *t = &d->translation.translation;
	struct decision *to_b = &d->towards[0].decision, *to_a = &d->towards[1].decision;
	int from_b = t->flags & TRANSLATION_FROM_B;
	int begun_by_b = d->op.state & bpf_htons(DFT_BEGUN_BY_B);
	__u32 vni = vni_of(key->vni), hash = (__u32)key_hash(key);

	decide_where(from_b ? to_a : to_b, t->flags ? &t->destination : &key->b,
		     t->flags ? vni_of(t->vni) : vni, !t->flags && begun_by_b, hash);
	decide_where(from_b ? to_b : to_a, from_b ? &key->b : &key->a, vni, t->flags || !begun_by_b,
		     hash);
	d->op.flags |= DFT_STATEFUL;
	return op_release(ctx, d);
}

// Whether something that decisions are made of has changed since the record's was made.
inlined int policy_moved(const struct session_key *key, const struct dft_record *record)
{
	const __u32 vni = vni_of(key->vni);
	const struct vpc_value *vpc = bpf_map_lookup_elem(&vpcs, &vni);

	return vpc && policy_over(vpc->policy, key, &record->translation, record->policy) &&
	       !(record->towards[0].flags & DECISION_FINAL);
}

// A lookup at the leased tail: what it has, or UNDECIDED.
inlined int look_up(struct xdp_md *ctx, struct packet *p, struct dft_packet *d,
		    const struct chain_value *c, const struct flow *f, __u64 hash,
		    const struct move *m, struct session_room *room)
{
	__u32 number = bpf_ntohl(d->op.chain), now = session_now_s(), tail, idle;
	struct session_change *change = &room->change;
	struct dft_record *record = &change->record;
	// What is read after the floor is at least as new.
	__u32 floor = session_floor(change->bucket);

	tail = now - chain_tail_since(number, c, now);
	switch (session_read(&f->key, hash, change->mark, room)) {
	case SESSION_DYING:
		return finish(ctx, SESSION_ENDING);
	case SESSION_NONE:
		if (move_incomplete(m, number) && !(d->op.flags & DFT_ASKED))
			return move_ask(ctx, d, m);
		*record = (struct dft_record){};
		break;
	default:
		idle = room->idle_s < tail ? room->idle_s : tail;
		// O10: no other life until no cache believes the former one any more.
		if (record->life == DFT_TOMBSTONE &&
		    dft_age(record, 0, (__u64)idle * 1000, 0, REFRESH_MS, PACKET_LIFE_MS) ==
			    DFT_SUCCEEDS) {
			if (!c->learner)
				break;
			record_write(d, record);
			return pass_learner(ctx, d, c, floor);
		}
		if (d->op.flags & DFT_TRANSLATED && !translated_for(d, record))
			return finish(ctx, NO_OWNER);
		record_write(d, record);
		if (!session_answers(room, record))
			return reopen(ctx, p, d, c, f, floor, change);
		if (record->state & DFT_ALIAS)
			return c->learner ? pass_learner(ctx, d, c, floor)
					  : go_to(ctx, STEP_ALIASED);
		if (policy_moved(&f->key, record))
			return UNDECIDED;
		return c->learner ? pass_learner(ctx, d, c, floor)
				  : release_recorded(ctx, d, &f->key);
	}
	return undecided(d, record, floor);
}

// What an op asks of this node's record. Returns GO_ON, or that it is malformed.
inlined enum verdict step_of(const struct dft_packet *d, int learner, struct session_change *change)
{
	int replication = d->op.flags & DFT_REPLICATION;
	const struct dft_record *record = &change->record;

	// Of a request stamps and life are not yet, or what they name.
	if (replication && record->life != DFT_LIVE && record->life != DFT_TOMBSTONE &&
	    d->op.op != DFT_COLLECT && d->op.op != DFT_INSERT)
		return DFT_MALFORMED;
	change->seen = record->stamp;
	change->step = SESSION_COPY;
	switch (d->op.op) {
	case DFT_INSERT:
		if (!replication) {
			change->step = SESSION_INSERT;
			return d->op.flags & DFT_OBSERVED ? GO_ON : DFT_MALFORMED;
		}
		if (record->life == DFT_LIVE || record->life == DFT_TOMBSTONE)
			return GO_ON;
		// Refused by the head, which has nothing at this floor.
		change->step = SESSION_REMOVE;
		change->floor = record->stamp.floor;
		change->seen = (struct dft_stamp){0, 0};
		return record->life == DFT_ABSENT && !record->stamp.counter ? GO_ON : DFT_MALFORMED;
	case DFT_UPDATE:
		if (!replication) {
			change->step = SESSION_UPDATE;
			change->seen = record->incarnation;
		}
		return GO_ON;
	case DFT_DELETE:
		if (!replication)
			change->step = SESSION_DELETE;
		return GO_ON;
	case DFT_COLLECT:
		change->step = replication ? SESSION_REMOVE : SESSION_COLLECT;
		change->floor = bpf_ntohl(d->op.floor);
		return GO_ON;
	case DFT_LOOKUP:
		change->step = SESSION_COPY_READ;
		change->floor = bpf_ntohl(d->op.floor);
		return learner ? GO_ON : DFT_MALFORMED;
	default:
		return DFT_MALFORMED;
	}
}

// The learner has what was copied: the tail is told.
inlined int copied(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c)
{
	d->op.op = DFT_COPIED;
	return op_send_to_node(ctx, chain_tail(c), COPY_TAKEN);
}

// O4 to O8: what follows from a change of this node's record, for the op that made it; or
// UNDECIDED.
inlined int pass_on(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
		    __u32 place, const struct session_key *key, const struct session_room *room)
{
	const struct session_change *change = &room->change;
	const struct dft_record *record = &change->record;
	enum dft_outcome outcome = room->outcome;
	int removes = change->step == SESSION_REMOVE || change->step == SESSION_COLLECT;
	// The tombstone over which the tail would decide, and now this learner has it.
	int over = d->op.op == DFT_LOOKUP && record->life == DFT_TOMBSTONE && outcome != DFT_OWN;
	__u32 elsewhere;
	struct move m;
	int found = 1;

	if (outcome == DFT_CONFLICT)
		return finish(ctx, STAMP_CONFLICT);
	if (outcome == DFT_ENDED) {
		if (change->step == SESSION_UPDATE ||
		    (change->step == SESSION_DELETE && !op_has_key(d)))
			return op_look_up_again(ctx, d);
		// What is to be deleted was collected already: perhaps not by all of the path.
		if (change->step != SESSION_DELETE || change->floor <= change->seen.floor)
			return finish(ctx, OLD_INCARNATION);
		removes = 1;
	}
	if (change->step == SESSION_COLLECT && outcome == DFT_OWN) {
		d->op.op = DFT_DELETE;
	} else if (removes) {
		if (d->op.op == DFT_DELETE)
			d->op.op = DFT_COLLECT;
		if (d->op.op == DFT_COLLECT)
			d->op.floor = bpf_htonl(change->floor);
		found = 0;
	}
	// Translated for what the old chain had; here it is another life (M7).
	if (d->op.op == DFT_INSERT && d->op.flags & DFT_TRANSLATED && !translated_for(d, record))
		return finish(ctx, NO_OWNER);
	if (found)
		record_write(d, record);
	// The end of a connection does not make it last: what is not allowed any more is asked
	// about.
	if (d->op.op == DFT_UPDATE && found && record->life == DFT_LIVE && place + 1 == c->live &&
	    policy_moved(key, record))
		return op_look_up_again(ctx, d);
	if (place + 1 < (__u32)c->live + c->learner)
		return op_replicate(ctx, d, c, place + 1);

	if (op_has_key(d))
		return finish(ctx, OP_DONE);
	// Nor has the tail answered for what it did not read. What a packet has ended it may begin.
	if (!found || d->op.op == DFT_DELETE || (record->life != DFT_LIVE && !over) ||
	    (d->op.op == DFT_LOOKUP && outcome == DFT_OWN))
		return op_look_up_again(ctx, d);
	// Fenced meanwhile: it is stored, but not this chain's to answer for.
	m = move_of(move_place(change->bucket, vni_of(d->geneve.vni)));
	elsewhere = m.number ? move_elsewhere(&m, bpf_ntohl(d->op.chain)) : 0;
	if (elsewhere)
		return move_over(ctx, d, &m, bpf_ntohl(d->op.chain), elsewhere - 1);
	// It is stored, and a new term's lease soon comes: until then it is a packet to ask about.
	if (!chain_leased(bpf_ntohl(d->op.chain), c))
		return op_look_up_again(ctx, d);
	if (over)
		return undecided(d, record, change->floor);
	if (d->op.table == DFT_MAPPINGS)
		return go_to(ctx, STEP_MAPPED);
	if (record->state & DFT_ALIAS)
		return go_to(ctx, STEP_ALIASED);
	return release_recorded(ctx, d, key);
}

// The service chain decides, where nothing is recorded, or again. Not about what was translated
// already: its session has ended.
inlined int decide(struct xdp_md *ctx, struct packet *p, const struct dft_packet *d,
		   const struct flow *f, const struct session_change *change)
{
	if (d->op.flags & DFT_TRANSLATED && (change->record.life != DFT_LIVE || change->anew))
		return finish(ctx, NO_OWNER);
	return evaluate(ctx, p, d, f, &change->record, change->anew);
}

// An op at a flow table node.
SEC("xdp")
int table(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	struct session_change *change;
	const struct chain_value *c;
	__u32 number, elsewhere, where, serial = 0;
	struct flow *f;
	int place, acts, keyed, done;
	struct move m = {};
	__u64 hash, owned;
	enum verdict v;

	if (!d || !room)
		return finish(ctx, BUG);
	f = &room->flow;
	__builtin_memset(f, 0, sizeof(*f));
	change = &room->change;
	__builtin_memset(change, 0, sizeof(*change));
	change->bucket = bpf_ntohl(d->op.bucket);
	number = bpf_ntohl(d->op.chain);
	c = chain_find(number);
	if (!c)
		return finish(ctx, NO_VIEW);
	place = chain_place(c);
	acts = place >= 0 && !chain_fenced(number, c);

	if (d->op.flags & DFT_REPLICATION || d->op.op >= DFT_COPY) {
		if ((v = op_admitted(d, c, number, place)))
			return finish(ctx, v);
	} else if (d->op.op == DFT_LOOKUP) {
		// O3. (The directory is no part of a chain: who has it may say what is in it.)
		if (d->op.table == DFT_ENDPOINTS && place >= 0)
			return table_arp(ctx, &p, d);
		if (!acts || place + 1 != c->live || !chain_leased(number, c))
			return op_redirect(ctx, d, chain_whom(c, 1, 1), REDIRECTED);
	} else if (!acts || place) {
		return op_redirect(ctx, d, chain_whom(c, 0, 1), REDIRECTED);
	} else if (d->op.op == DFT_DELETE && !op_of_term(d, c)) {
		// O9: the ager of another term does not know who has been answered since.
		return finish(ctx, STALE_TERM);
	}
	where = change->bucket;
	if (op_of_bucket(d))
		change->bucket = move_bucket_of(where);
	else
		where = move_place(where, vni_of(d->geneve.vni));
	if ((d->op.table != DFT_SESSIONS && d->op.table != DFT_MAPPINGS) ||
	    change->bucket >= BUCKETS)
		return finish(ctx, DFT_MALFORMED);
	// M7.
	if (!(d->op.flags & DFT_REPLICATION) && d->op.op < DFT_COPY) {
		m = move_of(where);
		if ((elsewhere = move_elsewhere(&m, number)))
			return d->op.table == DFT_MAPPINGS
				       ? finish(ctx, BUCKET_MOVES)
				       : move_over(ctx, d, &m, number, elsewhere - 1);
		if (move_incomplete(&m, number)) {
			if (d->op.op == DFT_COLLECT)
				return finish(ctx, UPKEEP_WAITS);
			if (d->op.op == DFT_INSERT && !(d->op.flags & DFT_ASKED))
				return op_look_up_again(ctx, d);
		}
	}
	keyed = op_has_key(d);
	// The verifier must see it where the compiler knows it from the op.
	asm volatile("" : "+r"(keyed));
	v = keyed ? op_key(&p, d, &f->key, &serial) : read_tenant(&p, d, f);
	if (v)
		return finish(ctx, v);
	if (d->op.op == DFT_COPIED)
		return finish(ctx, outbox_confirm(serial));
	if (!keyed && (v = flow_of_table(f, d->op.table)))
		return finish(ctx, v);
	hash = key_hash(&f->key);
	change->answers = !keyed;
	change->begins = (f->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && !f->icmp_error;
	if (place + 1 == c->live)
		change->mark = session_mark(c->epoch, c->term);
	if (!keyed && d->op.op == DFT_LOOKUP && !(d->op.flags & DFT_REPLICATION)) {
		done = look_up(ctx, &p, d, c, f, hash, &m, room);
		return done == UNDECIDED ? decide(ctx, &p, d, f, change) : done;
	}

	record_read(d, &change->record);
	if (d->op.op == DFT_COPY) {
		__u32 *floor = session_floor_of(change->bucket);

		if (!floor || place != c->live)
			return finish(ctx, DFT_MALFORMED);
		session_raise_floor(floor, bpf_ntohl(d->op.floor));
		// M7: and what is known of the bucket's moves.
		if (move_read((const struct dft_bucket_wire *)&f->key, &m, &owned)) {
			if (!move_place_known(where, m.number))
				return finish(ctx, BUCKET_MOVES);
			move_learn(where, move_pack(&m), owned);
		}
		return copied(ctx, d, c);
	}
	if ((v = step_of(d, place == c->live, change)))
		return finish(ctx, v);
	if (change->step == SESSION_INSERT || change->step == SESSION_UPDATE)
		change->refuse = quota_refuses(&f->key, number);
	if (change->step == SESSION_INSERT && change->record.translation.flags) {
		// A7: any order will do that both heads know.
		translation_flow(&change->record.translation, &f->key, &room->other);
		change->wins = hash < key_hash(&room->other.key);
		__builtin_memcpy(change->crosses, &room->other.key, sizeof(change->crosses));
	}
	if ((v = session_change(&f->key, hash, room))) {
		// O11: a learner is not of the list yet, and who is has to wait for it.
		if (v == TABLE_FULL && change->step == SESSION_COPY && change->answers &&
		    place < c->live) {
			d->op.op = DFT_FULL;
			d->op.flags &= ~DFT_REPLICATION;
			if (place + 1 == c->live)
				return go_to(ctx, STEP_REFUSAL);
			return op_send_to_node(ctx, chain_tail(c), REPLICA_FULL);
		}
		return finish(ctx, v);
	}
	if (change->refused)
		return finish(ctx, quota_refused(&f->key, number, change->refuse));
	usage_change(&f->key, number, room->before, room->after);
	if (room->dying)
		return finish(ctx, SESSION_ENDING);
	done = pass_on(ctx, d, c, place, &f->key, room);
	if (done == UNDECIDED && d->op.table == DFT_MAPPINGS)
		return go_to(ctx, STEP_UNMAPPED);
	return done == UNDECIDED && !keyed ? decide(ctx, &p, d, f, change) : done;
}

// M5: at the learner, a record that was copied, as it is in the room. Returns GO_ON where the
// learner has it now.
verified int take_copy(struct session_room *room, __u32 number)
{
	struct session_change *change;
	struct session_key *key;
	enum verdict v;
	struct move m;
	__u64 hash;

	if (!room)
		return BUG;
	change = &room->change;
	key = &room->flow.key;
	if (!key_canonical(key) ||
	    (change->record.life != DFT_LIVE && change->record.life != DFT_TOMBSTONE))
		return DFT_MALFORMED;
	hash = key_hash(key);
	change->bucket = (__u32)hash % BUCKETS;
	change->step = SESSION_COPY_READ;
	// M7: what the old chain's learner has is the new chain's, whole, and that may have
	// collected this.
	m = move_of(move_place(change->bucket, vni_of(key->vni)));
	if (m.from == number + 1 && m.state & MOVE_COMPLETE)
		return GO_ON;
	if ((v = session_change(key, hash, room)))
		return v;
	usage_change(key, number, room->before, room->after);
	return room->outcome == DFT_CONFLICT ? STAMP_CONFLICT
	       : room->outcome == DFT_ENDED  ? OLD_INCARNATION
					     : GO_ON;
}

// The learner has these of the records: the tail is told, without them.
inlined int copied_some(struct xdp_md *ctx, struct dft_bulk *bulk, __u32 there,
			const struct chain_value *c)
{
	const int bytes = DFT_HEADERS_BYTES + sizeof(*bulk);
	struct dft_packet *d;
	struct packet p;

	bulk->which = bpf_htons(there);
	if (packet_resize(ctx, bytes))
		return finish(ctx, NO_ROOM);
	p = packet_of(ctx);
	d = op_of(&p);
	return d ? copied(ctx, d, c) : finish(ctx, BUG);
}

// Records that the tail copies to this learner, or, at the tail, which of them are there.
SEC("xdp")
int copy_in(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	enum verdict v, why = OLD_INCARNATION;
	__u32 number, serial, which, i;
	const struct chain_value *c;
	struct dft_item *item;
	struct dft_bulk *bulk;
	int place;

	if (!d || !room)
		return finish(ctx, BUG);
	bulk = take(&p, sizeof(*bulk));
	if (!bulk)
		return finish(ctx, TRUNCATED);
	serial = bpf_ntohl(bulk->serial);
	which = bpf_ntohs(bulk->which);
	number = bpf_ntohl(d->op.chain);
	c = chain_find(number);
	if (!c)
		return finish(ctx, NO_VIEW);
	place = chain_place(c);
	if ((v = op_admitted(d, c, number, place)))
		return finish(ctx, v);
	if (d->op.op == DFT_COPIED) {
		LOOPED
		for (i = 0; i < DFT_BULK_MOST; i++)
			if (which >> i & 1 && outbox_confirm(serial + i) == COPY_CONFIRMED)
				why = COPY_CONFIRMED;
		return finish(ctx, why);
	}
	if (place != c->live || !which)
		return finish(ctx, DFT_MALFORMED);
	room->items = 0;
	LOOPED
	for (i = 0; i < DFT_BULK_MOST && which >> i; i++) {
		item = take(&p, sizeof(*item));
		if (!item)
			return finish(ctx, TRUNCATED);
		if (!(which >> i & 1))
			continue;
		__builtin_memset(&room->change, 0, sizeof(room->change));
		__builtin_memcpy(&room->flow.key, item->key, sizeof(item->key));
		room->change.floor = bpf_ntohl(item->floor);
		item_read(item, &room->change.record);
		v = take_copy(room, number);
		if (v)
			count(ctx, why = v);
		else
			room->items |= 1u << i;
	}
	return room->items ? copied_some(ctx, bulk, room->items, c) : action_of(why);
}

// O11: a replica has no room for a session. The tail, if it has none of it either, sees to it that
// it never will, by its floor: so nobody was told of it, nor will be. Then the head takes it back,
// and with it all of the path.
SEC("xdp")
int refusal(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	struct session_change *change;
	const struct chain_value *c;
	struct flow f = {};
	enum verdict v;
	__u32 number;
	struct move m;
	int place;

	if (!d || !room)
		return finish(ctx, BUG);
	change = &room->change;
	__builtin_memset(change, 0, sizeof(*change));
	change->bucket = bpf_ntohl(d->op.bucket);
	if ((d->op.table != DFT_SESSIONS && d->op.table != DFT_MAPPINGS) ||
	    change->bucket >= BUCKETS)
		return finish(ctx, DFT_MALFORMED);
	number = bpf_ntohl(d->op.chain);
	c = chain_find(number);
	if (!c)
		return finish(ctx, NO_VIEW);
	place = chain_place(c);
	if ((v = op_admitted(d, c, number, place)))
		return finish(ctx, v);
	if ((v = read_tenant(&p, d, &f)) || (v = flow_of_table(&f, d->op.table)))
		return finish(ctx, v);
	change->seen = stamp_read(&d->op.stamp);
	change->floor = bpf_ntohl(d->op.floor);
	change->step = d->op.flags & DFT_REPLICATION ? SESSION_REMOVE
		       : place			     ? SESSION_FENCE
						     : SESSION_TAKE_BACK;
	if (change->step == SESSION_FENCE && place + 1 != c->live)
		return finish(ctx, NOT_MEMBER);
	if (change->step != SESSION_REMOVE) {
		// M7: as what is collected.
		m = move_of(move_place(change->bucket, vni_of(d->geneve.vni)));
		if (move_elsewhere(&m, number) || move_incomplete(&m, number))
			return finish(ctx, BUCKET_MOVES);
	}
	if ((v = session_change(&f.key, key_hash(&f.key), room)))
		return finish(ctx, v);
	usage_change(&f.key, number, room->before, room->after);
	// It is there by now, or is another: what the head has it keeps, and pushes.
	if (room->outcome == DFT_ENDED)
		return finish(ctx, TABLE_FULL);
	d->op.floor = bpf_htonl(change->floor);
	if (change->step == SESSION_FENCE)
		return op_send_to_node(ctx, chain_head(c), REPLICA_FULL);
	if (place + 1 < c->live + c->learner)
		return op_replicate(ctx, d, c, place + 1);
	return finish(ctx, TABLE_FULL);
}

// TOLD: the new chain adopts what the old one had.
inlined int adopt(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
		  __u32 place, const struct session_key *key, int keyed, struct session_room *room)
{
	struct session_change *change = &room->change;
	__u32 number = bpf_ntohl(d->op.chain);
	struct move m = move_of(move_place(change->bucket, vni_of(d->geneve.vni)));
	enum verdict v;

	record_read(d, &change->record);
	change->step = SESSION_COPY;
	if (!(d->op.flags & DFT_REPLICATION)) {
		if (number + 1 != m.to || !(m.state & MOVE_OWNED))
			return finish(ctx, BUCKET_MOVES);
		change->step = SESSION_ADOPT;
		change->floor = bpf_ntohl(d->op.floor);
		change->complete = m.state & MOVE_COMPLETE;
	}
	if ((v = session_change(key, key_hash(key), room)))
		return finish(ctx, v);
	usage_change(key, number, room->before, room->after);
	if (room->outcome == DFT_CONFLICT)
		return finish(ctx, STAMP_CONFLICT);
	// Below this replica's floor: told again, until the head stamps it above.
	if (room->outcome == DFT_ENDED && change->step == SESSION_COPY)
		return finish(ctx, OLD_INCARNATION);
	if (room->outcome == DFT_ENDED ||
	    (change->step == SESSION_ADOPT && room->outcome == DFT_SAME)) {
		if (keyed)
			return op_taken(ctx, d);
		// There was nothing, and as the old chain is fenced that stays so.
		d->op.op = DFT_LOOKUP;
		d->op.flags = (d->op.flags & DFT_OF_PACKET) | DFT_ASKED;
		return op_redirect(ctx, d, chain_whom(c, 1, 0), LOOKED_UP_AGAIN);
	}
	if (!keyed) {
		d->op.op = DFT_INSERT;
		return pass_on(ctx, d, c, place, key, room);
	}
	record_write(d, &change->record);
	if (place + 1 < (__u32)c->live + c->learner)
		return op_replicate(ctx, d, c, place + 1);
	return op_taken(ctx, d);
}

// The session is looked up again: the function chooses another alias, or asks for the same one.
inlined int choose_again(struct xdp_md *ctx, struct dft_packet *d,
			 const struct session_key *session)
{
	d->op.table = DFT_SESSIONS;
	return op_point(d, session) ? op_look_up_again(ctx, d) : finish(ctx, NO_VIEW);
}

// A1: the alias is another's.
inlined int alias_taken(struct xdp_md *ctx, struct dft_packet *d, const struct session_key *session)
{
	const int mapped =
		mapped_flags(d->towards[0].decision.flags) && !(d->op.flags & DFT_GUESSED);

	// Of a mapped session the other side may have begun it meanwhile: then it is there.
	if (!(d->translation.translation.flags & TRANSLATION_CHOSEN) && !mapped)
		return finish(ctx, ALIAS_TAKEN);
	d->op.flags |= DFT_GUESSED;
	return choose_again(ctx, d, session);
}

// A reservation goes to the head of another chain, as what it is, or as a question or an answer.
inlined int reserve_send(struct xdp_md *ctx, struct dft_packet *d, __u8 op, __u32 chain,
			 enum verdict v)
{
	const struct chain_value *c = chain_find(chain);

	if (!c)
		return finish(ctx, NO_VIEW);
	d->op.op = op;
	d->op.chain = bpf_htonl(chain);
	return op_redirect(ctx, d, chain_whom(c, 0, 0), v);
}

// M7: at the old chain's head: has it anything of an alias that the new one lacks? Nothing stays
// nothing, as it is fenced.
inlined int reserve_answer(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
			   const struct move *m, __u32 number, __u64 hash,
			   struct session_room *room)
{
	int found;

	if (!move_answers(m, number, c, stamp_read(&d->op.incarnation)))
		return finish(ctx, BUCKET_MOVES);
	found = session_peek(&room->other.key, hash, &room->draft.record);
	if (found)
		return found < 0 ? finish(ctx, TABLE_BUSY) : alias_taken(ctx, d, &room->asked);
	return reserve_send(ctx, d, DFT_TOLD, m->to - 1u, MOVE_TOLD);
}

// M7: at the new chain's head: what has the old one?
inlined int reserve_ask(struct xdp_md *ctx, struct dft_packet *d, const struct move *m, __u64 owned)
{
	stamp_write(&d->op.incarnation, (struct dft_stamp){owned >> 32, (__u32)owned});
	return reserve_send(ctx, d, DFT_ASK, m->from - 1u, MOVE_ASKED);
}

// A1, A3: an alias for the packet's session, of the life that will begin if it is accepted: at the
// head of its own key's chain and down that path, whose end sends the session's insert on. The
// packet is as it came.
inlined int reserve(struct xdp_md *ctx, struct packet *p, struct dft_packet *d,
		    const struct chain_value *c, __u32 number, __u32 place,
		    struct session_room *room)
{
	const struct dft_stamp life = dft_promised_life(stamp_read(&d->op.stamp));
	const __u8 table = d->op.table == DFT_MAPPING_ALIASES ? DFT_MAPPINGS : DFT_SESSIONS;
	const struct translation *t = &d->translation.translation;
	struct session_change *change = &room->change;
	struct flow *f = &room->flow, *other = &room->other;
	struct dft_record *alias = &change->record;
	__u32 elsewhere, where;
	struct dft_stamp named;
	__u64 hash, owned;
	struct move m;
	enum verdict v;
	int told;

	__builtin_memset(f, 0, sizeof(*f));
	if ((v = read_tenant(p, d, f)))
		return finish(ctx, v);
	// Whose packet it is, whatever is reserved.
	room->asked = f->key;
	if ((v = flow_of_table(f, table)))
		return finish(ctx, v);
	translation_flow(t, &f->key, other);
	hash = key_hash(&other->key);
	if (!(d->op.flags & DFT_OBSERVED) || !translation_valid(t, &f->key, other) ||
	    !translation_is_of(t, f) || (__u32)hash % BUCKETS != change->bucket)
		return finish(ctx, DFT_MALFORMED);
	alias->life = DFT_LIVE;
	alias->state = DFT_ALIAS;
	alias->incarnation = life;
	__builtin_memcpy(alias->alias.key, &f->key, sizeof(f->key));
	alias->alias.owner = life;
	translation_turn(t, &f->key, other, &room->turned);
	alias->translation = room->turned;
	where = move_place(change->bucket, vni_of(other->key.vni));
	m = move_of(where);
	elsewhere = m.number ? move_elsewhere(&m, number) : 0;
	change->step = SESSION_COPY;
	if (!(d->op.flags & DFT_REPLICATION)) {
		if (d->op.op == DFT_ASK)
			return reserve_answer(ctx, d, c, &m, number, hash, room);
		if (elsewhere) {
			if (number + 1 != m.from)
				d->op.flags |= DFT_BACK;
			else if (d->op.flags & DFT_BACK)
				return move_along(ctx, d, &m, number, where, DFT_INSERT);
			return reserve_send(ctx, d, DFT_INSERT, elsewhere - 1, REDIRECTED);
		}
		owned = move_owned(where);
		named = stamp_read(&d->op.incarnation);
		told = d->op.op == DFT_TOLD && TERM_WORD(named.floor, named.counter) == owned;
		d->op.op = DFT_INSERT;
		if (move_incomplete(&m, number) && !told && !session_is_there(&other->key, hash))
			return reserve_ask(ctx, d, &m, owned);
		change->step = SESSION_RESERVE;
		change->refuse = quota_refuses(&other->key, number);
	} else if (d->op.op != DFT_INSERT) {
		return finish(ctx, DFT_MALFORMED);
	} else {
		alias->stamp = stamp_read(&d->op.incarnation);
	}
	if ((v = session_change(&other->key, hash, room)))
		return finish(ctx, v);
	if (change->refused)
		return finish(ctx, quota_refused(&other->key, number, change->refuse));
	usage_change(&other->key, number, room->before, room->after);
	if (room->outcome == DFT_CONFLICT)
		return finish(ctx, STAMP_CONFLICT);
	if (room->outcome == DFT_REFUSED || room->outcome == DFT_ENDED ||
	    !(alias->state & DFT_ALIAS) || alias->life != DFT_LIVE ||
	    dft_stamp_compare(alias->incarnation, life) ||
	    !translation_equal(&alias->translation, &room->turned))
		return alias_taken(ctx, d, &room->asked);
	stamp_write(&d->op.incarnation, alias->stamp);
	if (place + 1 < (__u32)c->live + c->learner)
		return op_replicate(ctx, d, c, place + 1);
	// The old chain has it, and has been fenced. (The new chain's end may not know yet what its
	// head does.)
	if (elsewhere && number + 1 == m.from)
		return t->flags & TRANSLATION_CHOSEN ? choose_again(ctx, d, &room->asked)
						     : finish(ctx, BUCKET_MOVES);
	if (!chain_leased(number, c))
		return finish(ctx, NO_LEASE);
	d->op.table = table;
	d->op.flags &= ~(DFT_REPLICATION | DFT_BACK);
	d->translation.translation.flags &= ~TRANSLATION_CHOSEN;
	stamp_write(&d->op.incarnation, (struct dft_stamp){0, 0});
	c = op_point(d, &f->key);
	if (!c)
		return finish(ctx, NO_VIEW);
	return op_send_to_node(ctx, chain_whom(c, 0, 0), INSERTED);
}

// A5: whether an alias' owner is there, asked of that session's head. Where it is not, the floor of
// all of its path rises, so that it never will be; then the alias' head ends it.
inlined int verify(struct xdp_md *ctx, struct packet *p, struct dft_packet *d,
		   const struct chain_value *c, __u32 number, __u32 place,
		   struct session_room *room)
{
	const struct dft_keyed *keyed = take(p, sizeof(*keyed));
	struct session_change *change = &room->change;
	struct session_key *owner = &room->flow.key, *alias = &room->asked, *about;
	__u32 *floor = session_floor_of(change->bucket);
	const int gone = d->op.op == DFT_VERIFIED;
	enum verdict v;
	struct move m;

	if (!keyed || !floor)
		return finish(ctx, TRUNCATED);
	record_read(d, &change->record);
	__builtin_memcpy(owner, change->record.alias.key, sizeof(*owner));
	__builtin_memcpy(alias, keyed->key, sizeof(*alias));
	about = gone ? alias : owner;
	if (!(change->record.state & DFT_ALIAS) || !change->record.translation.flags ||
	    !key_canonical(owner) || !key_canonical(alias) ||
	    (__u32)key_hash(about) % BUCKETS != change->bucket)
		return finish(ctx, DFT_MALFORMED);
	if (d->op.flags & DFT_REPLICATION) {
		session_raise_floor(floor, bpf_ntohl(d->op.floor));
	} else {
		m = move_of(move_place(change->bucket, vni_of(about->vni)));
		if (move_elsewhere(&m, number) || move_incomplete(&m, number))
			return finish(ctx, UPKEEP_WAITS);
		change->step = gone ? SESSION_UNRESERVE : SESSION_VERIFY;
		change->seen = change->record.incarnation;
		if (!gone) {
			// What the session's packets become, if it is so.
			translation_flow(&change->record.translation, alias, &room->other);
			translation_turn(&change->record.translation, alias, &room->other,
					 &room->turned);
			change->record.translation = room->turned;
		}
		if ((v = session_change(about, key_hash(about), room)))
			return finish(ctx, v);
		if (gone) {
			usage_change(alias, number, room->before, room->after);
			if (room->outcome != DFT_STORED && room->outcome != DFT_OWN)
				return finish(ctx, OP_DONE);
			record_write(d, &change->record);
			d->op.op = DFT_DELETE;
		} else if (room->outcome == DFT_SAME) {
			return finish(ctx, ALIAS_KEPT);
		} else {
			d->op.floor = bpf_htonl(change->floor);
		}
	}
	if (place + 1 < (__u32)c->live + c->learner)
		return op_replicate(ctx, d, c, place + 1);
	if (gone)
		return finish(ctx, OP_DONE);
	d->op.op = DFT_VERIFIED;
	d->op.flags = 0;
	c = op_point(d, alias);
	if (!c)
		return finish(ctx, NO_VIEW);
	return op_send_to_node(ctx, chain_whom(c, 0, 0), ALIAS_ORPHANED);
}

// An op about an alias.
SEC("xdp")
int aliases(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	const struct chain_value *c;
	enum verdict v;
	__u32 number;
	int place;

	if (!d || !room)
		return finish(ctx, BUG);
	__builtin_memset(&room->change, 0, sizeof(room->change));
	room->change.bucket = bpf_ntohl(d->op.bucket);
	if (room->change.bucket >= BUCKETS)
		return finish(ctx, DFT_MALFORMED);
	number = bpf_ntohl(d->op.chain);
	c = chain_find(number);
	if (!c)
		return finish(ctx, NO_VIEW);
	place = chain_place(c);
	if (d->op.flags & DFT_REPLICATION) {
		if ((v = op_admitted(d, c, number, place)))
			return finish(ctx, v);
	} else if (place || chain_fenced(number, c)) {
		return op_redirect(ctx, d, chain_whom(c, 0, 1), REDIRECTED);
	}
	return d->op.op == DFT_VERIFY || d->op.op == DFT_VERIFIED
		       ? verify(ctx, &p, d, c, number, place, room)
		       : reserve(ctx, &p, d, c, number, place, room);
}

// The packet is looked up at the tail of this key.
inlined int look_up_by(struct xdp_md *ctx, struct dft_packet *d, const struct session_key *key,
		       enum verdict v)
{
	const struct chain_value *c = op_point(d, key);

	if (!c)
		return finish(ctx, NO_VIEW);
	d->op.op = DFT_LOOKUP;
	return op_redirect(ctx, d, chain_whom(c, 1, 0), v);
}

// The key of the op's packet is an alias, whose record is in session_room(): as its session knows
// it the packet goes on to that one's tail.
SEC("xdp")
int aliased(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	const struct dft_record *alias;
	struct flow f = {};
	enum verdict v;

	if (!d || !room)
		return finish(ctx, BUG);
	alias = &room->change.record;
	if ((v = read_tenant(&p, d, &f)))
		return finish(ctx, v);
	if (!translation_is_of(&alias->translation, &f))
		return finish(ctx, WRONG_SIDE);
	translation_flow(&alias->translation, &f.key, &room->other);
	translation_turn(&alias->translation, &f.key, &room->other, &d->translation.translation);
	if ((v = translate_packet(&p, &f, &alias->translation)))
		return finish(ctx, v);
	stamp_write(&d->op.incarnation, alias->incarnation);
	__builtin_memcpy(d->geneve.vni, alias->translation.vni, 3);
	d->op.flags = (d->op.flags & DFT_REFRESH) | DFT_TRANSLATED;
	return look_up_by(ctx, d, &room->other.key, ALIASED);
}

// The packet's session is looked up, with what mappings have said of it so far.
inlined int map_session(struct xdp_md *ctx, struct dft_packet *d, const struct session_key *session)
{
	d->op.table = DFT_SESSIONS;
	d->op.flags &= DFT_OF_PACKET;
	if (d->translation.translation.flags & TRANSLATION_MAPS_ASKED)
		d->op.flags |= DFT_ASKED;
	return look_up_by(ctx, d, session, MAPPING_KNOWN);
}

// The op has the record of its sender's mapping, and all of that one's path has it.
SEC("xdp")
int mapped(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	enum verdict v;

	if (!d || !room)
		return finish(ctx, BUG);
	__builtin_memset(&room->flow, 0, sizeof(room->flow));
	if ((v = read_tenant4(&p, d, &room->flow)))
		return finish(ctx, v);
	d->translation.translation.flags = TRANSLATION_MAPS_SOURCE;
	return map_session(ctx, d, &room->flow.key);
}

// Which of a NAT's addresses an inside address has, as far as it is mapped. NULL: none.
inlined const struct nat_source_value *maps_of(__u32 vni, const struct in6_addr *inside)
{
	const struct subnet_value *subnet = subnet_of(vni, inside);
	const struct nat_source_value *from;
	__u32 number;

	if (!subnet)
		return NULL;
	number = subnet->subnet;
	from = bpf_map_lookup_elem(&nat_sources, &number);
	return from && from->maps && from->addresses ? from : NULL;
}

// A mapping's record at its leased tail, where it is live or nobody may forget it yet.
inlined int mapping_found(struct xdp_md *ctx, struct dft_packet *d, const struct chain_value *c,
			  struct session_room *room, __u32 floor, __u64 hash)
{
	const struct dft_record *record = &room->change.record;
	struct translation *t = &d->translation.translation;
	const struct nat_source_value *from;

	if (record->state & DFT_ALIAS)
		return finish(ctx, NO_OWNER);
	from = maps_of(vni_of(room->other.key.vni), &room->other.key.b);
	if (!from || from->vni != vni_of(record->translation.vni) ||
	    !nat_has_address(from, &record->translation.source)) {
		// The NAT is another now: first this one has to be over.
		session_condemn(&room->other.key, hash, &record->stamp, USED_OR_NOT,
				room->change.mark);
		return finish(ctx, SESSION_ENDING);
	}
	if (record->life != DFT_LIVE) {
		// O7.
		if (record->stamp.floor < floor)
			return finish(ctx, SESSION_ENDING);
		record_write(d, record);
		d->op.op = DFT_UPDATE;
		d->op.state = bpf_htons(dft_state_reopened(record->state, 1) | DFT_ANSWERED |
					DFT_LIVE << DFT_LIFE_SHIFT);
		return op_send_to_node(ctx, chain_whom(c, 0, 0), UPDATED);
	}
	if (c->learner) {
		record_write(d, record);
		return pass_learner(ctx, d, c, floor);
	}
	t->source = record->translation.source;
	t->source_port = record->translation.source_port;
	t->flags |= TRANSLATION_MAPS_SOURCE;
	return map_session(ctx, d, &room->flow.key);
}

// Nobody inside has the packet's destination, now: its forwarder is told.
inlined int mapped_by_nobody(struct xdp_md *ctx, struct dft_packet *d, const struct flow *f)
{
	const struct decision no = {
		.action = DECIDE_DROP, .reason = NAT_UNSOLICITED, .flags = DECISION_UNCACHED};

	__builtin_memset(&d->translation.translation, 0, sizeof(struct translation));
	__builtin_memset(&d->towards[0].decision, 0, sizeof(no));
	__builtin_memset(&d->towards[1].decision, 0, sizeof(no));
	if (f->from_b)
		d->towards[1].decision = no;
	else
		d->towards[0].decision = no;
	d->op.state = 0;
	return op_release(ctx, d);
}

// Whom the packet's destination stands for, by the alias of a mapping. That needs no learner: an
// alias was on all of its path before its mapping began, so a learner has it, or will be told.
inlined int mapped_found(struct xdp_md *ctx, struct dft_packet *d, struct session_room *room)
{
	const struct dft_record *alias = &room->change.record;
	struct translation *t = &d->translation.translation;

	if (!(alias->state & DFT_ALIAS) || alias->life != DFT_LIVE)
		return mapped_by_nobody(ctx, d, &room->flow);
	t->destination = alias->translation.destination;
	t->destination_port = alias->translation.destination_port;
	__builtin_memcpy(t->vni, alias->translation.vni, 3);
	t->flags |= TRANSLATION_MAPS_DESTINATION;
	return map_session(ctx, d, &room->flow.key);
}

// A session of a mapping is there: so that one is in use.
inlined int mapping_touched(struct xdp_md *ctx, struct packet *p, const struct dft_packet *d,
			    struct session_room *room)
{
	enum verdict v;
	__u32 serial;

	if ((v = op_key(p, d, &room->other.key, &serial)))
		return finish(ctx, v);
	session_read(&room->other.key, key_hash(&room->other.key), room->change.mark, room);
	return finish(ctx, MAPPING_USED);
}

// An op that asks for a mapping, or says that one is in use: at its leased tail.
SEC("xdp")
int mapping(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	struct session_change *change;
	const struct chain_value *c, *to;
	__u32 number, elsewhere, floor, tail, now = session_now_s();
	enum session_found found;
	enum verdict v;
	struct flow *f;
	struct move m;
	int place, theirs;
	__u64 hash;

	if (!d || !room)
		return finish(ctx, BUG);
	change = &room->change;
	__builtin_memset(change, 0, sizeof(*change));
	change->bucket = bpf_ntohl(d->op.bucket);
	if (change->bucket >= BUCKETS)
		return finish(ctx, DFT_MALFORMED);
	number = bpf_ntohl(d->op.chain);
	c = chain_find(number);
	if (!c)
		return finish(ctx, NO_VIEW);
	place = chain_place(c);
	if (place < 0 || place + 1 != c->live || chain_fenced(number, c) ||
	    !chain_leased(number, c))
		return op_redirect(ctx, d, chain_whom(c, 1, 1), REDIRECTED);
	change->mark = session_mark(c->epoch, c->term);
	if (d->op.op == DFT_TOUCH)
		return mapping_touched(ctx, &p, d, room);
	f = &room->flow;
	__builtin_memset(f, 0, sizeof(*f));
	if ((v = read_tenant4(&p, d, f)))
		return finish(ctx, v);
	theirs = d->op.table == DFT_MAPPED;
	if (theirs) {
		const struct in6_addr outside = flow_destination(f);

		mapping_key(&room->other.key, &outside, f->destination_port,
			    d->translation.translation.vni, f->key.protocol);
	} else {
		room->other = *f;
		mapping_flow(&room->other);
	}
	hash = key_hash(&room->other.key);
	if ((__u32)hash % BUCKETS != change->bucket)
		return finish(ctx, DFT_MALFORMED);
	m = move_of(move_place(change->bucket, vni_of(room->other.key.vni)));
	if ((elsewhere = move_elsewhere(&m, number))) {
		to = chain_find(elsewhere - 1);
		if (!to)
			return finish(ctx, NO_VIEW);
		d->op.chain = bpf_htonl(elsewhere - 1);
		return op_redirect(ctx, d, chain_whom(to, 1, 0), REDIRECTED);
	}
	change->answers = 1;
	floor = session_floor(change->bucket);
	tail = now - chain_tail_since(number, c, now);
	found = session_read(&room->other.key, hash, change->mark, room);
	if (found == SESSION_DYING)
		return finish(ctx, SESSION_ENDING);
	if (theirs && found == SESSION_NONE)
		return move_incomplete(&m, number) ? finish(ctx, BUCKET_MOVES)
						   : mapped_by_nobody(ctx, d, f);
	if (theirs)
		return mapped_found(ctx, d, room);
	if (found == SESSION_NONE) {
		if (move_incomplete(&m, number) && !(d->op.flags & DFT_ASKED))
			return move_ask(ctx, d, &m);
		__builtin_memset(&change->record, 0, sizeof(change->record));
	} else {
		tail = room->idle_s < tail ? room->idle_s : tail;
		if (change->record.life == DFT_LIVE ||
		    dft_age(&change->record, 0, (__u64)tail * 1000, 0, REFRESH_MS,
			    PACKET_LIFE_MS) != DFT_SUCCEEDS)
			return mapping_found(ctx, d, c, room, floor, hash);
		if (c->learner) {
			record_write(d, &change->record);
			return pass_learner(ctx, d, c, floor);
		}
	}
	stamp_write(&d->op.stamp, dft_observe(&change->record, floor));
	return go_to(ctx, STEP_UNMAPPED);
}

// The packet's sender has no mapping, as the op observed it: one begins, as a session of its own.
// Then the packet is looked up again.
SEC("xdp")
int unmapped(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct evaluation *e = evaluation_now();
	const struct nat_source_value *from;
	const struct endpoint_value *sender;
	const struct in6_addr *address;
	const struct vpc_value *vpc;
	struct session_room *room = session_room();
	struct translation *t;
	enum verdict v;
	struct flow *f;

	if (!d || !e || !room)
		return finish(ctx, BUG);
	f = &room->flow;
	__builtin_memset(f, 0, sizeof(*f));
	if ((v = read_tenant4(&p, d, f)))
		return finish(ctx, v);
	vpc = bpf_map_lookup_elem(&vpcs, &p.vni);
	if (!vpc)
		return finish(ctx, NO_VPC);
	__builtin_memset(e, 0, sizeof(*e));
	e->source = flow_source(f);
	e->source_port = f->source_port;
	e->protocol = f->key.protocol;
	e->from_b = f->from_b;
	e->vni = p.vni;
	e->policy = vpc->policy;
	e->begins_mapping = 1;
	mapping_key(&e->key, &e->source, f->source_port, f->key.vni, e->protocol);
	from = maps_of(e->vni, &e->source);
	address = from ? nat_address_for(from, &e->source) : NULL;
	if (!address)
		return finish(ctx, NO_SESSION);
	sender = endpoint_find(e->vni, &e->source);
	if (!sender && sent_by_router(e, p.inner.eth->h_source))
		sender = endpoint_find(e->vni, &e->router);
	if (!sender)
		return finish(ctx, NO_SOURCE);
	decide_for(&e->back, sender, e->vni);
	t = &e->translation;
	t->source = *address;
	t->destination = e->key.a;
	vni_put(t->vni, from->vni);
	t->flags = TRANSLATION_IS | TRANSLATION_FROM_B;
	evaluation_choose(e, NAT_FIRST_PORT, NAT_PORTS);
	e->stateful = 1;
	e->forth.action = DECIDE_FORWARD;
	return go_to(ctx, STEP_CHOOSE);
}

// An op about a bucket that moves (M7).
SEC("xdp")
int moving(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	const struct chain_value *c;
	__u32 number, serial = 0;
	struct flow *f;
	int place, keyed, done;
	enum verdict v;

	if (!d || !room)
		return finish(ctx, BUG);
	f = &room->flow;
	__builtin_memset(f, 0, sizeof(*f));
	__builtin_memset(&room->change, 0, sizeof(room->change));
	room->change.bucket = bpf_ntohl(d->op.bucket);
	if (room->change.bucket >= (d->op.op == DFT_ASK || d->op.op == DFT_TOLD ? BUCKETS : PLACES))
		return finish(ctx, DFT_MALFORMED);
	if (d->op.op == DFT_TAKEN) {
		struct dft_keyed *taken = take(&p, sizeof(*taken));

		return finish(ctx, taken ? outbox_confirm(bpf_ntohl(taken->serial)) : TRUNCATED);
	}
	number = bpf_ntohl(d->op.chain);
	c = chain_find(number);
	if (!c)
		return finish(ctx, NO_VIEW);
	place = chain_place(c);
	if (d->op.flags & DFT_REPLICATION) {
		if ((v = op_admitted(d, c, number, place)))
			return finish(ctx, v);
	} else if (place || chain_fenced(number, c)) {
		return op_redirect(ctx, d, chain_whom(c, 0, 1), REDIRECTED);
	}
	if (d->op.op != DFT_ASK && d->op.op != DFT_TOLD) {
		done = move_bucket(ctx, d, &p, c, place);
		if (done != MOVE_WAITED)
			return done;
		v = read_tenant(&p, d, f);
		return v ? finish(ctx, v) : choose_again(ctx, d, &f->key);
	}
	keyed = d->geneve.protocol == bpf_htons(DFT_KEYED);
	v = keyed ? op_key(&p, d, &f->key, &serial) : read_tenant(&p, d, f);
	if (!keyed && !v)
		v = flow_of_table(f, d->op.table);
	if (v)
		return finish(ctx, v);
	if (d->op.op == DFT_ASK)
		return move_answer(ctx, d, c, &f->key, room);
	return adopt(ctx, d, c, place, &f->key, keyed, room);
}

// A frame of the loader's becomes the next op of the outbox.
SEC("xdp")
int emit(struct xdp_md *ctx)
{
	return emit_next(ctx);
}

// The same of several, where they are records for a learner.
SEC("xdp")
int copy_out(struct xdp_md *ctx)
{
	return emit_copies(ctx);
}

// O7. The service chain has decided again about a live session, whose record the op has. It stands:
// then it does so under this policy, which all of the chain shall know. Or it ends.
inlined int decided_again(struct xdp_md *ctx, struct dft_packet *d, const struct evaluation *e,
			  const struct chain_value *c)
{
	// Somebody has to stand for its translation still: the rules were asked about that.
	int stands = e->forth.action == DECIDE_FORWARD;
	int meant = !d->translation.translation.flags == !e->translated;
	const struct decision no = {.action = DECIDE_DROP,
				    .reason = stands ? NO_SESSION : e->forth.reason};
	struct dft_stamp stamp = stamp_read(&d->op.stamp);

	if (stands && meant) {
		d->op.policy = bpf_htonl(policy_with(e->policy, &e->key, &e->translation));
		d->op.op = DFT_UPDATE;
		if (chain_head(c) == cfg.node)
			return go_to(ctx, STEP_TABLE);
		return op_send_to_node(ctx, chain_head(c), UPDATED);
	}
	session_condemn(&e->key, key_hash(&e->key), &stamp, USED_OR_NOT,
			session_mark(c->epoch, c->term));
	d->op.policy = bpf_htonl(e->policy);
	d->towards[0].decision = d->towards[1].decision = no;
	__builtin_memset(&d->translation.translation, 0, sizeof(struct translation));
	d->op.state = 0;
	d->op.flags &= ~DFT_STATEFUL;
	return op_release(ctx, d);
}

// Who begins a session anew keeps the source port of the former one, of those that he may have: he
// has its alias already.
inlined void keep_port(struct evaluation *e)
{
	const struct translation *was = &e->former;
	__u16 port = bpf_ntohs(was->source_port);

	if (!e->choices || !was->flags || (__u16)(port - e->first_choice) >= e->choices)
		return;
	e->translation.source_port = was->source_port;
	if (e->protocol == IPPROTO_ICMP)
		e->translation.destination_port = was->source_port;
	e->translation.flags &= ~TRANSLATION_CHOSEN;
	e->choices = 0;
}

// Whether a decision says what is recorded, in all that is the session's: where its packets are
// handed over is not. Who was never told a direct path needs none.
inlined int decision_same(const struct decision *is, const struct decision *was)
{
	__u8 differ = is->flags ^ was->flags;

	if (is->flags & DECISION_DIRECT)
		differ &= ~DECISION_DIRECT;
	return is->action == was->action && is->reason == was->reason && !differ;
}

// O7. The service chain has let a session begin whose key had one, which the op has, and which is
// closed or has ended lately. The same decision: then it is that one's next generation, under this
// policy. Another one: no other life of the key before no cache believes this one any more (O10);
// where it is live, its end begins now.
inlined int decided_anew(struct xdp_md *ctx, struct dft_packet *d, const struct evaluation *e,
			 const struct chain_value *c)
{
	const struct translation *was = &d->translation.translation;
	const struct decision *forth = &d->towards[e->from_b ? 1 : 0].decision;
	const struct decision *back = &d->towards[e->from_b ? 0 : 1].decision;
	struct dft_stamp stamp = stamp_read(&d->op.stamp);

	if (!e->choices && !e->otherwise && translation_equal(&e->translation, was) &&
	    decision_same(&e->forth, forth) && decision_same(&e->back, back)) {
		d->op.policy = bpf_htonl(policy_with(e->policy, &e->key, was));
		return begin_next(ctx, d, c, e->from_b);
	}
	if (bpf_ntohs(d->op.state) >> DFT_LIFE_SHIFT != DFT_LIVE)
		return finish(ctx, SESSION_OTHERWISE);
	session_condemn(&e->key, key_hash(&e->key), &stamp, USED_OR_NOT,
			session_mark(c->epoch, c->term));
	d->op.op = DFT_DELETE;
	d->op.epoch = bpf_htonl(c->epoch);
	d->op.term = bpf_htonl(c->term);
	if (chain_head(c) == cfg.node)
		return go_to(ctx, STEP_TABLE);
	return op_send_to_node(ctx, chain_head(c), UPDATED);
}

// A3: a session that is translated begins with its alias, the key that its packets have then.
inlined int decided_translated(struct xdp_md *ctx, struct dft_packet *d, const struct evaluation *e,
			       struct session_room *room)
{
	struct translation *t = &d->translation.translation;
	const struct chain_value *c;

	*t = e->translation;
	translation_flow(t, &e->key, &room->other);
	if (!translation_valid(t, &e->key, &room->other))
		return finish(ctx, TRANSLATION_INVALID);
	d->op.table = e->begins_mapping ? DFT_MAPPING_ALIASES : DFT_ALIASES;
	d->op.flags &= ~DFT_BACK; // that was of the session's bucket
	c = op_point(d, &room->other.key);
	if (!c)
		return finish(ctx, NO_VIEW);
	return op_send_to_node(ctx, chain_whom(c, 0, 0), RESERVED);
}

inlined __u8 decision_mapped(__u8 flags)
{
	return (flags & TRANSLATION_MAPS_SOURCE ? DECISION_MAPS_SOURCE : 0) |
	       (flags & TRANSLATION_MAPS_DESTINATION ? DECISION_MAPS_DESTINATION : 0);
}

// A mapping is asked for, at the tail of its key or of its alias: of the destination, before the
// service chain can decide; of who sends, when it lets the packet go, so that what is denied takes
// no port. The packet comes back with what it says, to be looked up again.
inlined int decided_first(struct xdp_md *ctx, struct dft_packet *d, const struct evaluation *e)
{
	const int theirs = e->asks == TRANSLATION_MAPS_DESTINATION;
	const struct in6_addr origin = evaluation_origin(e);
	struct translation *t = &d->translation.translation;
	struct session_key key;

	*t = e->mapping;
	if (d->op.flags & DFT_ASKED)
		t->flags |= TRANSLATION_MAPS_ASKED;
	if (theirs) {
		mapping_key(&key, &e->destination, e->destination_port, t->vni, e->protocol);
	} else {
		mapping_key(&key, &origin, evaluation_origin_port(e), e->key.vni, e->protocol);
		evaluation_keep(e);
		d->op.kept = DFT_KEPT_MAPPING;
	}
	d->op.table = theirs ? DFT_MAPPED : DFT_MAPPINGS;
	d->op.flags &= DFT_OF_PACKET;
	return look_up_by(ctx, d, &key, MAPPING_ASKED);
}

// The service chain has decided about the op's packet.
SEC("xdp")
int decided(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	struct evaluation *e = evaluation_now();
	const struct chain_value *c;
	__u32 direction;

	if (!d || !e || !room)
		return finish(ctx, BUG);
	if (e->asks == TRANSLATION_MAPS_DESTINATION ||
	    (e->asks && e->forth.action == DECIDE_FORWARD))
		return decided_first(ctx, d, e);
	if (e->forth.action == DECIDE_NOTHING)
		return finish(ctx, NO_CHAIN_FUNCTION);
	c = chain_find(bpf_ntohl(d->op.chain));
	if (!c)
		return finish(ctx, NO_VIEW);
	if (e->again)
		return decided_again(ctx, d, e, c);
	if (e->anew)
		keep_port(e);
	else if (e->choices && e->forth.action == DECIDE_FORWARD)
		return go_to(ctx, STEP_CHOOSE);
	if (e->undecidable || e->icmp_error)
		e->forth.flags |= DECISION_UNCACHED;
	if (e->translation.flags && e->forth.action == DECIDE_FORWARD) {
		e->forth.flags |= DECISION_TRANSLATED;
		e->back.flags |= DECISION_TRANSLATED;
		e->forth.flags |= decision_mapped(e->mapping.flags);
		e->back.flags |= decision_mapped(e->mapping.flags);
		e->hold = 1;
	}
	if (e->hold || e->every) {
		e->forth.flags &= ~DECISION_DIRECT;
		e->back.flags &= ~DECISION_DIRECT;
	}
	if (e->forth.action == DECIDE_FORWARD) {
		e->forth.reason = e->every;
		e->back.reason = e->every;
	}
	if (e->anew && e->forth.action == DECIDE_FORWARD)
		return decided_anew(ctx, d, e, c);
	// What the op brought may be a former life's.
	__builtin_memset(&d->translation.translation, 0, sizeof(struct translation));
	direction = e->from_b ? 1 : 0;
	if (direction) {
		d->towards[1].decision = e->forth;
		d->towards[0].decision = e->back;
	} else {
		d->towards[0].decision = e->forth;
		d->towards[1].decision = e->back;
	}
	d->op.policy = bpf_htonl(e->forth.flags & DECISION_TRANSLATED
					 ? policy_with(e->policy, &e->key, &e->translation)
					 : e->policy);
	if (!e->stateful) {
		d->op.state = 0;
		return op_release(ctx, d);
	}

	d->op.op = DFT_INSERT;
	d->op.flags = DFT_OBSERVED | (d->op.flags & (DFT_REFRESH | DFT_ASKED | DFT_BACK |
						     (e->mapping.flags ? DFT_GUESSED : 0)));
	// A mapping is none that somebody has to answer.
	d->op.state = bpf_htons(DFT_LIVE << DFT_LIFE_SHIFT | (direction ? DFT_BEGUN_BY_B : 0) |
				(e->begins_mapping ? DFT_ANSWERED : 0));
	if (e->forth.flags & DECISION_TRANSLATED)
		return decided_translated(ctx, d, e, room);
	if (chain_head(c) == cfg.node)
		return go_to(ctx, STEP_TABLE);
	return op_send_to_node(ctx, chain_head(c), INSERTED);
}

// The session that begins gets a source port, of those that a function lets it have.
SEC("xdp")
int choose(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	const struct dft_packet *d = op_of(&p);
	struct evaluation *e = evaluation_now();

	if (!d || !e)
		return finish(ctx, BUG);
	// A guess that is wrong costs a hop, and the way back may take some.
	switch (choose_port(e, d->op.hops > HOPS_BACK)) {
	case CHOSEN:
		return go_to(ctx, STEP_DECIDED);
	case NO_GUESSES:
		if (!(d->op.flags & DFT_GUESSED))
			return finish(ctx, HOPS_EXCEEDED);
		break;
	case NONE_FREE:
		break;
	}
	nat_refused(vni_of(e->translation.vni), &e->translation.source);
	return function_refuse(ctx, e, DECIDE_UNREACHABLE, NAT_EXHAUSTED);
}

// A reply to a solicitation at the forwarder that asked.
inlined int reply_neighbor(struct xdp_md *ctx, const struct packet *p,
			   const struct cache_value *value, __u32 entrance)
{
	const struct decision *forth = &value->record.towards[0];
	struct advertisement *a = advertisement_now();

	if (!a)
		return finish(ctx, BUG);
	if (forth->action != DECIDE_FORWARD)
		return finish(ctx, DFT_MALFORMED);
	a->host = forth->host;
	__builtin_memcpy(a->host_mac, forth->host_mac, 6);
	__builtin_memcpy(a->mac, forth->from_mac, 6);
	a->about = value->record.translation.source;
	a->router = forth->reason;
	a->entrance = entrance;
	a->inner_offset = p->inner_offset;
	a->vni = p->vni;
	a->verdict = ENDPOINT_NEIGHBOR;
	return go_to(ctx, STEP_ADVERTISE);
}

// A reply at the forwarder that asked: remember it, carry it out.
SEC("xdp")
int reply(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	struct session_room *room = session_room();
	struct cache_value *value;
	struct decision *forth, *back;
	__u32 entrance, direction, took, how = PASSES_FRESH;
	struct flow f = {};
	const struct dft_record *old;
	struct cached c;
	enum verdict v;
	__u64 hash;
	int known, beside;

	if (!d || !room)
		return finish(ctx, BUG);
	value = &room->reply;
	__builtin_memset(value, 0, sizeof(*value));
	if (bpf_ntohl(d->op.boot) != cfg.boot)
		return finish(ctx, STALE_REPLY);
	took = clock_ms() - bpf_ntohl(d->op.clock_ms);
	if (took > PACKET_LIFE_MS && d->op.flags & DFT_REFRESH)
		return finish(ctx, REFRESH_LATE);
	// O10: what took longer than a packet may live says nothing about now. (An answered ARP
	// request is cached nowhere, and cannot be asked again: it has become the reply.)
	if (d->op.table != DFT_ENDPOINTS && took > PACKET_LIFE_MS) {
		d->op.clock_ms = bpf_htonl(clock_ms());
		return op_look_up_again(ctx, d);
	}
	entrance = d->op.entrance;
	record_read(d, &value->record);
	value->stateful = d->op.flags & DFT_STATEFUL ? 1 : 0;
	if (d->op.table == DFT_ENDPOINTS) {
		forth = &value->record.towards[0];
		if ((v = find_tenant(&p, d)))
			return finish(ctx, v);
		if (p.inner.eth->h_proto == bpf_htons(ETH_P_IPV6))
			return reply_neighbor(ctx, &p, value, entrance);
		p.at = p.inner.eth;
		if (!take(&p, sizeof(struct ethhdr) + sizeof(struct arp_ipv4)))
			return finish(ctx, TRUNCATED);
		if (forth->action != DECIDE_FORWARD || (forth->flags & DECISION_ROUTED))
			return finish(ctx, DFT_MALFORMED);
		return finish(ctx, send_to_host(ctx, DFT_HEADERS_BYTES, forth, entrance,
						d->udp.source, 0, ENDPOINT_ARP));
	}
	if ((v = read_tenant(&p, d, &f)))
		return finish(ctx, v);
	direction = f.from_b ? 1 : 0;
	forth = &value->record.towards[direction];
	back = &value->record.towards[!direction];
	if (!decision_valid(forth) || (back->action != DECIDE_NOTHING && !decision_valid(back)))
		return finish(ctx, DFT_MALFORMED);
	hash = key_hash(&f.key);
	beside = d->op.flags & DFT_REFRESH;
	if (beside && forth->flags & DECISION_UNCACHED)
		return finish(ctx, REFRESHED);
	if (forth->flags & DECISION_UNCACHED)
		return carry_out(ctx, &p, &f, forth, back, NULL, entrance, hash, FORWARDED_FIRST,
				 0);
	// O10: a former life of the session is not carried out. (An alias that had the key says
	// nothing of that: its stamps are its owner's.)
	old = value->stateful ? cache_record(&f.key, hash) : NULL;
	if (old && !(old->state & DFT_ALIAS) &&
	    dft_stamp_compare(value->record.incarnation, old->incarnation) < 0)
		return beside ? finish(ctx, REFRESH_LATE) : op_look_up_again(ctx, d);
	// The age counts, not the clock.
	value->asked_ms = tick_ms() - took;
	cache_store(&f.key, hash, value);
	if (d->op.flags & DFT_TRANSLATED)
		how |= PASSES_FINAL;
	if (beside)
		return forth->flags & DECISION_TRANSLATED
			       ? pass_translated(ctx, &p, forth, 0, entrance, hash, REFRESHED,
						 how | PASSES_BESIDE)
			       : finish(ctx, REFRESHED);
	// A FIN that was looked up: the other side's is told with it.
	if (value->stateful)
		end_is_held(&f, forth, hash);
	known = cache_find(&f.key, hash, direction, &c);
	return carry_out(ctx, &p, &f, forth, back, known ? &c : NULL, entrance, hash,
			 FORWARDED_FIRST, how);
}

// An op on its way back whose last node does not hear whom it is for, or that came here from such a
// node: straight, or through a voter of the chain, which may hear it. Each try takes one from the
// hop budget; the last one goes straight.
SEC("xdp")
int relay(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	const struct chain_value *c;
	__u32 *node, whom = NODE_NOBODY;
	struct in6_addr to;
	__u8 mac[6];

	if (!d)
		return finish(ctx, BUG);
	to = d->op.forwarder;
	node = bpf_map_lookup_elem(&node_by_ip, &to);
	if (!node)
		return finish(ctx, DFT_FOREIGN);
	c = chain_find(bpf_ntohl(d->op.chain));
	if (c && d->op.hops && !node_straight(*node))
		whom = chain_relay(c, *node, d->op.hops);
	if (whom != NODE_NOBODY)
		return op_redirect(ctx, d, whom, RELAYED);
	__builtin_memcpy(mac, d->op.forwarder_mac, 6);
	return op_send(ctx, &to, mac, d->op.op == DFT_REPLY ? REPLIED : MOVE_TAKEN);
}

// A packet of a flow of which some functions see every one: what they are told of it.
SEC("xdp")
int seen(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct passage *t = passage_now();
	const struct vpc_value *vpc;
	struct flow f = {};
	enum verdict v;
	__u32 vni;

	if (!t || t->inner_offset > 512)
		return finish(ctx, BUG);
	p.vni = t->vni;
	vpc = bpf_map_lookup_elem(&vpcs, &p.vni);
	if (!vpc)
		return finish(ctx, NO_VPC);
	p.at += t->inner_offset & 511; // which the verifier believes
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.inner.eth)
		return finish(ctx, TRUNCATED);
	if (t->later) {
		if ((v = read_inner_ipv4(&p)))
			return finish(ctx, v);
	} else if ((v = read_inner(&p, &f))) {
		return finish(ctx, v);
	} else {
		t->flow = f;
	}
	t->bytes = tenant_bytes(&p);
	t->ttl = hops_of(&p);
	t->dscp = t->dscp_before = dscp_of(&p);
	t->next = 0;
	vni = vni_of(t->decision.vni);
	passage_fill(t, vpc, vni == p.vni ? NULL : bpf_map_lookup_elem(&vpcs, &vni), vni);
	return passage_next(ctx, t);
}

// What a packet of a translated session says of its state, to the session's head.
inlined int tell_change(struct xdp_md *ctx, struct packet *p, const struct flow *f,
			const struct passage *t, const struct dft_record *known,
			struct session_room *room)
{
	struct dft_record *record = &room->draft.record;
	__u8 flags = 0;
	enum verdict v;

	*record = *known;
	room->other = *f;
	if (record->state & DFT_ALIAS) {
		if ((v = translate_packet(p, f, &record->translation)))
			return finish(ctx, v);
		p->vni = vni_of(record->translation.vni);
		record_turn(record, &f->key, &room->other);
		flags = DFT_TRANSLATED;
	}
	room->other.tcp_flags = f->tcp_flags;
	return ask(ctx, p, &room->other.key, DFT_UPDATE, DFT_SESSIONS, t->entrance, record,
		   flow_ends(&room->other), flags);
}

// A packet of a translated session becomes what it is on the other side, and goes on. six: it is
// IPv6.
inlined int translate_session(struct xdp_md *ctx, const int six)
{
	struct packet p = packet_of(ctx);
	struct session_room *room = session_room();
	struct passage *t = passage_now();
	const struct cache_value *c;
	const struct vpc_value *to;
	struct dft_record *record;
	struct flow f = {};
	enum verdict v;
	__u32 vni;

	if (!t || !room || t->inner_offset > 512)
		return finish(ctx, BUG);
	p.vni = t->vni;
	p.inner_offset = t->inner_offset;
	p.at += t->inner_offset & 511; // which the verifier believes
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.inner.eth)
		return finish(ctx, TRUNCATED);
	v = six ? read_family(&p, &f, 1) : read_inner_ipv4(&p);
	if (v)
		return finish(ctx, v);
	if (t->later)
		f = t->flow;
	else if (!six && (v = read_flow(&p, &f)))
		return finish(ctx, v);
	t->flow = f;
	record = &room->reply.record;
	if (!t->fresh) {
		c = bpf_map_lookup_elem(&cache, &f.key);
		if (!c || !c->record.translation.flags)
			return finish(ctx, FLOW_FORGOTTEN);
		room->reply = *c;
	}
	if (translation_is_of(&record->translation, &f) == t->final)
		return finish(ctx, WRONG_SIDE);
	if (t->changes)
		return tell_change(ctx, &p, &f, t, record, room);
	if (!t->final && (v = translate_packet(&p, &f, &record->translation)))
		return finish(ctx, v);
	if (t->fresh) {
		record_turn(record, &f.key, &room->other);
		cache_store(&room->other.key, key_hash(&room->other.key), &room->reply);
	}
	if (t->beside)
		return finish(ctx, REFRESHED);
	vni = vni_of(t->decision.vni);
	to = vni == t->vni ? NULL : bpf_map_lookup_elem(&vpcs, &vni);
	if (to && rate_limits(&to->rate) && !vpc_allowed(to, vni, frame_bytes(&p)))
		return finish(ctx, VPC_RATE);
	// What cannot be read again.
	if (t->later) {
		translation_flow(&record->translation, &f.key, &t->flow);
		t->flow.fragment = FRAGMENT_LATER;
	}
	if (t->decision.reason)
		return go_to(ctx, STEP_SEEN);
	t->dscp = t->dscp_before = 0;
	return go_to(ctx, STEP_PASSED);
}

SEC("xdp")
int translate(struct xdp_md *ctx)
{
	return translate_session(ctx, 0);
}

// The same of IPv6.
SEC("xdp")
int translate6(struct xdp_md *ctx)
{
	return translate_session(ctx, 1);
}

// The tenant's packet that is behind a tunnel's headers gets this DSCP.
inlined int mark(struct xdp_md *ctx, __u8 dscp)
{
	struct packet p = packet_of(ctx);

	p.at += OUTER_BYTES;
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	if (!p.inner.eth)
		return -1;
	if (p.inner.eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		p.inner.ip6 = take(&p, sizeof(*p.inner.ip6));
		if (!p.inner.ip6)
			return -1;
		ipv6_class_put(p.inner.ip6, (dscp << 2) | (ipv6_class(p.inner.ip6) & 3));
		return 0;
	}
	p.inner.ip = take(&p, sizeof(*p.inner.ip));
	if (!p.inner.ip)
		return -1;
	p.inner.ip->tos = (dscp << 2) | (p.inner.ip->tos & 3);
	p.inner.ip->check = 0;
	p.inner.ip->check = ipv4_checksum(p.inner.ip);
	return 0;
}

// Every function that wants to has seen the packet: on to the host.
SEC("xdp")
int passed(struct xdp_md *ctx)
{
	struct passage *t = passage_now();
	struct cached c;
	enum verdict v;

	if (!t || t->inner_offset > 512)
		return finish(ctx, BUG);
	v = send_to_host(ctx, t->inner_offset, &t->decision, t->entrance, t->hash,
			 !address_is_v4(&t->flow.key.a), t->verdict);
	if (v != FORWARDED && v != FORWARDED_FIRST)
		return finish(ctx, v);
	if (t->dscp != t->dscp_before && mark(ctx, t->dscp))
		return finish(ctx, BUG);
	if (t->told && cache_find(&t->flow.key, t->hash, t->flow.from_b ? 1 : 0, &c))
		send_beside(&c, &t->flow, &t->decision, t->hash);
	return finish(ctx, v);
}

// An ICMP error to the sender of the tenant's packet, which is cut to what the error embeds.
SEC("xdp")
int complaint(struct xdp_md *ctx)
{
	const int outer = OUTER_BYTES;
	const int headers = sizeof(struct ethhdr) + sizeof(struct icmp_error_headers);
	const struct subnet_value *subnet;
	struct icmp_error_headers *h;
	struct decision back = {};
	struct in6_addr sender;
	struct complaint *c;
	struct packet p;
	__be32 from;
	__u8 mac[6], from_mac[6];
	__u32 zero = 0;
	int excess;

	c = bpf_map_lookup_elem(&complaints, &zero);
	if (!c || c->inner_offset > 512)
		return finish(ctx, BUG);

	// So that behind the new headers the old packet begins where it is now.
	if (bpf_xdp_adjust_head(ctx, (int)c->inner_offset + (int)sizeof(struct ethhdr) - headers -
					     outer))
		return finish(ctx, NO_ROOM);
	p = packet_of(ctx);
	excess = p.end - p.data - (outer + headers + EMBEDDED);
	if (excess < 0)
		return finish(ctx, NOT_ANSWERED);
	// The old Ethernet header lies just before the old packet.
	p.at += outer + headers - (int)sizeof(struct ethhdr);
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	p.inner.ip = take(&p, sizeof(*p.inner.ip));
	if (!p.inner.eth || !p.inner.ip)
		return finish(ctx, BUG);
	__builtin_memcpy(mac, p.inner.eth->h_source, 6);
	__builtin_memcpy(from_mac, p.inner.eth->h_dest, 6);
	from = p.inner.ip->daddr;
	sender = address_of_v4(p.inner.ip->saddr);
	subnet = subnet_of(c->vni, &sender);
	if (subnet && address_is_v4(&subnet->gateway)) {
		from = address_v4(&subnet->gateway);
		__builtin_memcpy(from_mac, subnet->gateway_mac, 6);
	}
	if (bpf_xdp_adjust_tail(ctx, -excess))
		return finish(ctx, NO_ROOM);

	p = packet_of(ctx);
	p.at += outer;
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	h = take(&p, sizeof(*h));
	if (!p.inner.eth || !h || !take(&p, EMBEDDED))
		return finish(ctx, BUG);
	__builtin_memcpy(p.inner.eth->h_source, from_mac, 6);
	p.inner.eth->h_proto = bpf_htons(ETH_P_IP);
	h->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(h->ip) + sizeof(h->icmp) + EMBEDDED),
		.ttl = 64,
		.protocol = IPPROTO_ICMP,
		.saddr = from,
		.daddr = address_v4(&sender),
	};
	h->ip.check = ipv4_checksum(&h->ip);
	h->icmp = (struct icmp_header){.type = c->type, .code = c->code};
	h->icmp.too_big.mtu = bpf_htons(c->mtu);
	h->icmp.checksum = icmp_error_checksum(h);

	back.host = c->host;
	__builtin_memcpy(back.host_mac, c->host_mac, 6);
	__builtin_memcpy(back.to_mac, mac, 6);
	vni_put(back.vni, c->vni);
	return finish(ctx, send_to_host(ctx, outer, &back, c->entrance, 0, 0, c->verdict));
}

// The same of an IPv6 packet: an ICMPv6 error.
SEC("xdp")
int complaint6(struct xdp_md *ctx)
{
	const int outer = OUTER_BYTES;
	const int headers = sizeof(struct ethhdr) + sizeof(struct icmpv6_error_headers);
	const struct subnet_value *subnet;
	struct icmpv6_error_headers *h;
	struct decision back = {};
	struct in6_addr sender, from;
	struct complaint *c;
	struct packet p;
	__u8 mac[6], from_mac[6];
	__u32 zero = 0;
	int there, most;

	c = bpf_map_lookup_elem(&complaints, &zero);
	if (!c || c->inner_offset > 512)
		return finish(ctx, BUG);

	// As in complaint().
	if (bpf_xdp_adjust_head(ctx, (int)c->inner_offset + (int)sizeof(struct ethhdr) - headers -
					     outer))
		return finish(ctx, NO_ROOM);
	p = packet_of(ctx);
	there = p.end - p.data - (outer + headers);
	if (there < EMBEDDED6_LEAST)
		return finish(ctx, NOT_ANSWERED);
	most = there >= EMBEDDED6;
	p.at += outer + headers - (int)sizeof(struct ethhdr);
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	p.inner.ip6 = take(&p, sizeof(*p.inner.ip6));
	if (!p.inner.eth || !p.inner.ip6)
		return finish(ctx, BUG);
	__builtin_memcpy(mac, p.inner.eth->h_source, 6);
	__builtin_memcpy(from_mac, p.inner.eth->h_dest, 6);
	from = p.inner.ip6->destination;
	sender = p.inner.ip6->source;
	subnet = subnet_of(c->vni, &sender);
	if (subnet && subnet_has_gateway(subnet)) {
		from = subnet->gateway;
		__builtin_memcpy(from_mac, subnet->gateway_mac, 6);
	}
	if (bpf_xdp_adjust_tail(ctx, (most ? EMBEDDED6 : EMBEDDED6_LEAST) - there))
		return finish(ctx, NO_ROOM);

	p = packet_of(ctx);
	p.at += outer;
	p.inner.eth = take(&p, sizeof(*p.inner.eth));
	h = take(&p, sizeof(*h));
	if (!p.inner.eth || !h || !take(&p, EMBEDDED6_LEAST))
		return finish(ctx, BUG);
	__builtin_memcpy(p.inner.eth->h_source, from_mac, 6);
	p.inner.eth->h_proto = bpf_htons(ETH_P_IPV6);
	h->ip = (struct ipv6_header){
		.version_class = {IPV6_VERSION},
		.payload = bpf_htons(sizeof(h->icmp) + (most ? EMBEDDED6 : EMBEDDED6_LEAST)),
		.next = IPPROTO_ICMPV6,
		.hops = 64,
		.source = from,
		.destination = sender,
	};
	icmpv6_error(&h->icmp, c);
	if (most && !take(&p, EMBEDDED6 - EMBEDDED6_LEAST))
		return finish(ctx, BUG);
	h->icmp.checksum =
		most ? icmpv6_checksum(&h->ip, &h->icmp, sizeof(h->icmp) + EMBEDDED6)
		     : icmpv6_checksum(&h->ip, &h->icmp, sizeof(h->icmp) + EMBEDDED6_LEAST);

	back.host = c->host;
	__builtin_memcpy(back.host_mac, c->host_mac, 6);
	__builtin_memcpy(back.to_mac, mac, 6);
	vni_put(back.vni, c->vni);
	return finish(ctx, send_to_host(ctx, outer, &back, c->entrance, 0, 0, c->verdict));
}

// The copy of a packet that went to a host asks the flow table about it, or tells it what is new.
// forth: its direction's decision, back: the other's, by which the tenant's frame is as it was.
inlined int refresh(struct xdp_md *ctx, struct packet *p, const struct flow *f,
		    const struct cached *forth, const struct cached *back, __u64 hash)
{
	const struct dft_record *known = cache_record(&f->key, hash);
	int entrance = entrance_of(p->outer.ip->saddr);
	const struct subnet_value *subnet;
	__u16 state = forth->news ? DFT_ANSWERED : 0;

	// Half closed for so long: that it is told late is told now.
	if (known && !dft_state_closed(known->state))
		state |= known->state & DFT_FINS;
	if (!state)
		known = NULL;
	if (entrance < 0)
		return finish(ctx, FLOW_FORGOTTEN);
	if (forth->decision.flags & DECISION_ROUTED) {
		__builtin_memcpy(p->inner.eth->h_source, back->decision.to_mac, 6);
		subnet = subnet_of(p->vni, f->from_b ? &f->key.b : &f->key.a);
		if (subnet)
			__builtin_memcpy(p->inner.eth->h_dest, subnet->gateway_mac, 6);
	}
	return ask(ctx, p, &f->key, known ? DFT_UPDATE : DFT_LOOKUP, DFT_SESSIONS, entrance, known,
		   state, DFT_REFRESH);
}

// The copy of a packet that went to a host: it refreshes what is cached of its session, where that
// is due, or becomes the OAM frame to the host that sent it.
SEC("xdp")
int oam(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	const struct vpc_value *vpc;
	struct cached forth, back;
	union oam_any inject;
	struct oam_frame *o;
	struct flow f = {};
	__u8 from_mac[6], to_mac[6];
	__be32 from, to;
	int six, bytes;
	enum verdict v;
	__u64 hash;

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	p.outer.ip = take(&p, sizeof(*p.outer.ip));
	p.udp = take(&p, sizeof(*p.udp));
	if (!p.outer.eth || !p.outer.ip || !p.udp || p.udp->dest != overlay_port(cfg.overlay))
		return finish(ctx, PASS);
	if ((v = overlay_open(&p, cfg.overlay)) || (v = read_inner(&p, &f)))
		return finish(ctx, v);
	six = p.inner.ip6 != NULL;
	hash = key_hash(&f.key);
	if (!cache_find(&f.key, hash, f.from_b ? 1 : 0, &forth) ||
	    !cache_find(&f.key, hash, f.from_b ? 0 : 1, &back))
		return finish(ctx, FLOW_FORGOTTEN);
	// Decided anew since the packet was sent twice, perhaps otherwise.
	if (forth.decision.action != DECIDE_FORWARD)
		return finish(ctx, FLOW_FORGOTTEN);
	if (cache_tells(&forth, &f, tick_ms()) && forth.decision.flags & DECISION_TRANSLATED)
		return go_to(ctx, STEP_RECALL);
	if (cache_tells(&forth, &f, tick_ms()))
		return refresh(ctx, &p, &f, &forth, &back, hash);
	if (!(forth.decision.flags & DECISION_DIRECT) || !direct_flow(&f))
		return finish(ctx, FLOW_FORGOTTEN);
	vpc = bpf_map_lookup_elem(&vpcs, &p.vni);
	if (!vpc || rate_limits(&vpc->rate))
		return finish(ctx, vpc ? FLOW_LIMITED : NO_VPC);
	if (six)
		inject6_write(&inject.six, &p, &f, &forth.decision);
	else
		inject_write(&inject.four, &p, &f, &forth.decision);
	from = p.outer.ip->saddr;
	to = address_v4(&back.decision.host);
	__builtin_memcpy(from_mac, p.outer.eth->h_source, 6);
	__builtin_memcpy(to_mac, back.decision.host_mac, 6);

	bytes = sizeof(*p.outer.eth) + sizeof(*o) +
		(six ? sizeof(struct oam_inject6) : sizeof(struct oam_inject));
	if (bpf_xdp_adjust_tail(ctx, bytes - (int)(p.end - p.data)))
		return finish(ctx, NO_ROOM);
	p = packet_of(ctx);
	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	o = take(&p, sizeof(*o));
	if (!p.outer.eth || !o)
		return finish(ctx, BUG);
	__builtin_memcpy(p.outer.eth->h_dest, to_mac, 6);
	__builtin_memcpy(p.outer.eth->h_source, from_mac, 6);
	p.outer.eth->h_proto = bpf_htons(ETH_P_IP);
	underlay_write(&o->ip, &o->udp, from, to, cfg.oam_port, cfg.oam_port,
		       six ? sizeof(inject.six) : sizeof(inject.four));
	if (six) {
		struct oam_inject6 *told = take(&p, sizeof(*told));

		if (!told)
			return finish(ctx, BUG);
		*told = inject.six;
	} else {
		struct oam_inject *told = take(&p, sizeof(*told));

		if (!told)
			return finish(ctx, BUG);
		*told = inject.four;
	}
	bpf_redirect(cfg.tenant_ifindex, 0);
	return finish(ctx, FLOW_TOLD);
}

// The copy of a translated session's packet, which went to a host, is made what its session knows,
// and asks the flow table.
SEC("xdp")
int recall(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct session_room *room = session_room();
	const struct subnet_value *subnet;
	const struct cache_value *c;
	struct dft_record *record;
	struct translation back;
	__u8 flags = DFT_REFRESH | DFT_TRANSLATED;
	struct flow f = {};
	int entrance, news;
	enum verdict v;

	p.outer.eth = take(&p, sizeof(*p.outer.eth));
	p.outer.ip = take(&p, sizeof(*p.outer.ip));
	p.udp = take(&p, sizeof(*p.udp));
	if (!room || !p.outer.eth || !p.outer.ip || !p.udp)
		return finish(ctx, BUG);
	if ((v = overlay_open(&p, cfg.overlay)) || (v = read_inner(&p, &f)))
		return finish(ctx, v);
	entrance = entrance_of(p.outer.ip->saddr);
	c = bpf_map_lookup_elem(&cache, &f.key);
	if (entrance < 0 || !c || !c->record.translation.flags ||
	    translation_is_of(&c->record.translation, &f))
		return finish(ctx, FLOW_FORGOTTEN);
	record = &room->draft.record;
	*record = c->record;
	room->other = f;
	news = session_news(&f.key, record->state, f.from_b ? 1 : 0);
	if (record->state & DFT_ALIAS) {
		const struct translation *t = &c->record.translation;
		const struct decision *home = &c->record.towards[f.from_b ? 0 : 1];

		back.source = t->destination;
		back.destination = t->source;
		back.source_port = t->destination_port;
		back.destination_port = t->source_port;
		if ((v = translate_packet(&p, &f, &back)))
			return finish(ctx, v);
		p.vni = vni_of(t->vni);
		// As in refresh().
		__builtin_memcpy(p.inner.eth->h_source, home->to_mac, 6);
		subnet = subnet_of(p.vni, &back.source);
		if (subnet && home->flags & DECISION_ROUTED)
			__builtin_memcpy(p.inner.eth->h_dest, subnet->gateway_mac, 6);
		record_turn(record, &f.key, &room->other);
		flags = DFT_REFRESH;
	}
	return ask(ctx, &p, &room->other.key, news ? DFT_UPDATE : DFT_LOOKUP, DFT_SESSIONS,
		   entrance, news || flags & DFT_TRANSLATED ? record : NULL, DFT_ANSWERED, flags);
}

// A heartbeat of another node, or its answer to ours: who is alive, and who may act.
SEC("xdp")
int beat(struct xdp_md *ctx)
{
	return heartbeat(ctx);
}

// Another forwarder's call on the tenants' network, answered in place; or the answer to ours.
SEC("xdp")
int side(struct xdp_md *ctx)
{
	return call_arrived(ctx);
}

// A health check, from one of this node's own sockets: to a forwarder, as all that goes to hosts.
SEC("xdp")
int check_out(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	const struct entrance_value *e;
	struct decision to = {};
	struct dft_packet *d;
	__u32 entrance, owner;
	enum verdict v;
	__u64 hash;

	p.at += CHECK_ROOM;
	if ((v = check_address(&p, &to, &hash)))
		return finish(ctx, v);
	entrance = check_entrance(hash);
	e = entrance_at(entrance);
	if (!e)
		return finish(ctx, NO_ENTRANCE);
	owner = e->owner;
	d = op_begin(ctx, CHECK_ROOM - (p.inner.ip6 ? CHECK_LONGER : 0), vni_of(to.vni), hash);
	if (!d)
		return finish(ctx, NO_ROOM);
	d->op.op = DFT_CHECKED;
	d->op.entrance = entrance;
	d->towards[0].decision = to;
	return op_send_to_node(ctx, owner, CHECK_SENT);
}

// What XDP has of room in front of a packet is not enough for an op.
SEC("tc")
int check_room(struct __sk_buff *skb)
{
	return bpf_skb_change_head(skb, CHECK_ROOM, 0) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

// A health check at a forwarder: to the backend's host. What the backend answered, at the node that
// checks it: to its socket.
SEC("xdp")
int check_in(struct xdp_md *ctx)
{
	struct packet p = packet_of(ctx);
	struct dft_packet *d = op_of(&p);
	const struct check_ends_value *ends;
	struct decision to;
	struct flow f = {};
	__u32 only = 0;
	enum verdict v;

	ends = bpf_map_lookup_elem(&check_ends, &only);
	if (!d || !ends)
		return finish(ctx, BUG);
	to = d->towards[0].decision;
	if (to.action == DECIDE_FORWARD)
		return finish(ctx, send_to_host(ctx, DFT_HEADERS_BYTES, &to, d->op.entrance,
						bpf_ntohs(d->udp.source), 0, CHECK_PASSED));
	if (!ends->second)
		return finish(ctx, CHECK_UNKNOWN);
	if ((v = read_tenant(&p, d, &f)) || (v = check_answer(&p, &f, ends)))
		return finish(ctx, v);
	if (bpf_xdp_adjust_head(ctx, (int)DFT_HEADERS_BYTES + (p.inner.ip6 ? CHECK_LONGER : 0)))
		return finish(ctx, NO_ROOM);
	bpf_redirect(ends->second, 0);
	return finish(ctx, CHECK_TAKEN);
}

// A function has asked its middlebox: the packet goes to that, and comes back with what it says.
SEC("xdp")
int hand_over(struct xdp_md *ctx)
{
	return question_send(ctx);
}

SEC("xdp")
int door_out(struct xdp_md *ctx)
{
	return question_hand_out(ctx);
}

SEC("xdp")
int door_in(struct xdp_md *ctx)
{
	return question_answered(ctx);
}

// The loader looks after those who are not answered.
SEC("xdp")
int door_sweep(struct xdp_md *ctx __attribute__((unused)))
{
	question_sweep();
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
