/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A network function that leaves it to a program in user space which connections may begin: to its
// middlebox, for example gatekeeper.c.
#include <zeta/nf.h>

ZETA_FUNCTION("Dual BSD/GPL", ZETA_MAY_ASK | ZETA_MAY_DROP | ZETA_MAY_REMEMBER);

struct zeta_config {
	__be16 port; // only connections to this port; 0: all
	__u8 open;   // not 0: where no middlebox is, all may begin; else none
};

ZETA_FIRST_PACKET(p, config)
{
	if (config->port && p->destination_port != config->port)
		return ZETA_NEXT;
	p->unheard = config->open ? ZETA_NEXT : ZETA_DROP;
	// Who was let in stays, and is answered, without being asked about again.
	p->remember = 1;
	return ZETA_ASK;
}
