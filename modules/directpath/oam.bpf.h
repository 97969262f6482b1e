/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Reading an OAM message: what an entrance tells a host.
#pragma once

#include "datapath/packet.bpf.h"
#include "shared/edge.h"
#include "wire/oam.h"

struct oam_message {
	struct direct_key flow;
	int inject;  // else it is to be forgotten, and the rest means nothing
	__be32 host; // where the flow goes
	__u8 host_mac[6];
	__u8 instance_mac[6];
	__u16 idle_timeout_s;
	__u16 flags;
};

inlined void oam_flow(struct direct_key *key, __be16 source_port, __be16 destination_port,
		      __u8 protocol, const __u8 vni[3])
{
	key->source_port = source_port;
	key->destination_port = destination_port;
	key->protocol = protocol;
	__builtin_memcpy(key->vni, vni, sizeof(key->vni));
}

// Where the flow goes; the same behind both kinds of flows.
inlined enum verdict oam_way(struct oam_message *m, __be32 host, const __u8 host_mac[6],
			     const __u8 instance_mac[6], __be16 idle_timeout_s, __be16 flags)
{
	if (!host || instance_mac[0] & 1 || host_mac[0] & 1)
		return OAM_MALFORMED;
	m->inject = 1;
	m->host = host;
	__builtin_memcpy(m->host_mac, host_mac, sizeof(m->host_mac));
	__builtin_memcpy(m->instance_mac, instance_mac, sizeof(m->instance_mac));
	m->idle_timeout_s = bpf_ntohs(idle_timeout_s);
	m->flags = bpf_ntohs(flags);
	return GO_ON;
}

// The UDP payload that follows, of length bytes: exactly as long as its op says, and an injection
// that can be carried out. A flow whose destination is rewritten on the way would need more than
// another host.
inlined enum verdict oam_read4(struct packet *p, __u32 length, struct oam_message *m)
{
	const struct oam_inject *inject = p->at;
	const struct oam_flow *flow = take(p, sizeof(*flow));

	if (!flow)
		return OAM_MALFORMED;
	m->flow.source = address_of_v4(flow->source);
	m->flow.destination = address_of_v4(flow->destination);
	oam_flow(&m->flow, flow->source_port, flow->destination_port, flow->protocol, flow->vni);
	if (flow->op == bpf_htonl(OAM_DELETE))
		return length == sizeof(*flow) ? GO_ON : OAM_MALFORMED;
	if (length != sizeof(*inject) || !take(p, sizeof(*inject) - sizeof(*flow)) ||
	    inject->instance != flow->destination)
		return OAM_MALFORMED;
	return oam_way(m, inject->host, inject->host_mac, inject->instance_mac,
		       inject->idle_timeout_s, inject->flags);
}

inlined enum verdict oam_read6(struct packet *p, __u32 length, struct oam_message *m)
{
	const struct oam_inject6 *inject = p->at;
	const struct oam_flow6 *flow = take(p, sizeof(*flow));

	if (!flow)
		return OAM_MALFORMED;
	m->flow.source = flow->source;
	m->flow.destination = flow->destination;
	oam_flow(&m->flow, flow->source_port, flow->destination_port, flow->protocol, flow->vni);
	if (flow->op == bpf_htonl(OAM_DELETE6))
		return length == sizeof(*flow) ? GO_ON : OAM_MALFORMED;
	if (length != sizeof(*inject) || !take(p, sizeof(*inject) - sizeof(*flow)))
		return OAM_MALFORMED;
	return oam_way(m, inject->host, inject->host_mac, inject->instance_mac,
		       inject->idle_timeout_s, inject->flags);
}

inlined enum verdict oam_read(struct packet *p, __u32 length, struct oam_message *m)
{
	const __be32 *first = p->at, *op = take(p, sizeof(*op));

	*m = (struct oam_message){};
	if (!op)
		return OAM_MALFORMED;
	p->at = (void *)first;
	if (*op == bpf_htonl(OAM_INJECT) || *op == bpf_htonl(OAM_DELETE))
		return oam_read4(p, length, m);
	if (*op == bpf_htonl(OAM_INJECT6) || *op == bpf_htonl(OAM_DELETE6))
		return oam_read6(p, length, m);
	return OAM_MALFORMED;
}
