/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Reading an OAM message: what an entrance tells a host.
#pragma once

#include "datapath/packet.bpf.h"
#include "wire/oam.h"

struct oam_message {
	const struct oam_flow *flow;
	const struct oam_inject *inject; // NULL: a delete
};

// The UDP payload that follows, of length bytes: exactly as long as its op says, and an injection
// that can be carried out. A flow whose destination is rewritten on the way would need more than
// another host.
inlined enum verdict oam_read(struct packet *p, __u32 length, struct oam_message *m)
{
	const struct oam_inject *inject = p->at;

	m->flow = take(p, sizeof(*m->flow));
	m->inject = NULL;
	if (!m->flow)
		return OAM_MALFORMED;
	if (m->flow->op == bpf_htonl(OAM_DELETE))
		return length == sizeof(*m->flow) ? GO_ON : OAM_MALFORMED;
	if (m->flow->op != bpf_htonl(OAM_INJECT) || length != sizeof(*inject) ||
	    !take(p, sizeof(*inject) - sizeof(*m->flow)))
		return OAM_MALFORMED;
	if (inject->instance != inject->flow.destination || !inject->host ||
	    inject->instance_mac[0] & 1 || inject->host_mac[0] & 1)
		return OAM_MALFORMED;
	m->inject = inject;
	return GO_ON;
}
