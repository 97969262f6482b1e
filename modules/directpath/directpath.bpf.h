/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The direct path: telling the sender's host where a flow may go without us.
#pragma once

#include "modules/entrance/entrance.bpf.h"
#include "modules/overlay/overlay.bpf.h"
#include "modules/session/session.bpf.h"
#include "shared/steps.h"
#include "wire/oam.h"

// Both devices a packet goes to when its sender's host is to be told (shared/steps.h).
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
	// Not pinned: the kernel adds a flag to device maps that libbpf then takes for a mismatch.
	// The loader fills it before it switches programs.
} clone SEC(".maps");

// Behind the Ethernet header; then the message.
struct oam_frame {
	struct iphdr ip;
	struct udphdr udp;
};
_Static_assert(sizeof(struct oam_frame) == 28, "20 + 8");

union oam_any {
	struct oam_inject four;
	struct oam_inject6 six;
};

// Whether a host could tell the packets of such a flow apart, and there may be more of them.
inlined int direct_flow(const struct flow *f)
{
	return !f->icmp_error && !f->fragment && !f->no_echo &&
	       !(f->tcp_flags & (TCP_FIN | TCP_RST));
}

// Whether the sender's host is to be told now. Frames may be lost, so it is told again while
// packets of the flow keep coming here; but not for each of them.
inlined int direct_due(struct cached *c, const struct flow *f, const struct decision *d)
{
	if (!(d->flags & DECISION_DIRECT) || !direct_flow(f))
		return 0;
	return cache_tell(c, tick_ms());
}

// Whom to tell what, from the session of the packet p, whose flow is f.
inlined void inject_write(struct oam_inject *o, const struct packet *p, const struct flow *f,
			  const struct decision *d)
{
	const struct in6_addr source = flow_source(f), destination = flow_destination(f);

	*o = (struct oam_inject){
		.flow =
			{
				.op = bpf_htonl(OAM_INJECT),
				.source = address_v4(&source),
				.destination = address_v4(&destination),
				.source_port = f->source_port,
				.destination_port = f->destination_port,
				.protocol = f->key.protocol,
			},
		.instance = address_v4(&destination),
		.host = address_v4(&d->host),
		.idle_timeout_s = bpf_htons(DIRECT_IDLE_S),
		.flags = bpf_htons(d->flags & DECISION_ROUTED ? OAM_ROUTED : 0),
	};
	vni_put(o->flow.vni, p->vni);
	__builtin_memcpy(o->instance_mac, d->to_mac, 6);
	__builtin_memcpy(o->host_mac, d->host_mac, 6);
}

// The same of IPv6.
inlined void inject6_write(struct oam_inject6 *o, const struct packet *p, const struct flow *f,
			   const struct decision *d)
{
	*o = (struct oam_inject6){
		.flow =
			{
				.op = bpf_htonl(OAM_INJECT6),
				.source = flow_source(f),
				.destination = flow_destination(f),
				.source_port = f->source_port,
				.destination_port = f->destination_port,
				.protocol = f->key.protocol,
			},
		.host = address_v4(&d->host),
		.idle_timeout_s = bpf_htons(DIRECT_IDLE_S),
		.flags = bpf_htons(d->flags & DECISION_ROUTED ? OAM_ROUTED : 0),
	};
	vni_put(o->flow.vni, p->vni);
	__builtin_memcpy(o->instance_mac, d->to_mac, 6);
	__builtin_memcpy(o->host_mac, d->host_mac, 6);
}
