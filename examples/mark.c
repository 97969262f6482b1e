/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A network function that sees every packet: those from or to a port get a DSCP, so that routers
// treat them apart.
#include <zeta/nf.h>

ZETA_FUNCTION("Dual BSD/GPL", ZETA_MAY_MARK);

struct zeta_config {
	__be16 port; // 0: every packet
	__u8 dscp;   // RFC 2474: 46 is "expedited forwarding"
};

ZETA_EVERY_PACKET(p, config)
{
	if (config->port && p->source_port != config->port && p->destination_port != config->port)
		return ZETA_NEXT;
	p->dscp = config->dscp & 63;
	return ZETA_NEXT;
}
