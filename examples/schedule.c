/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A network function that lets connections begin at certain hours of the day only.
// docs/nf-tutorial.md goes through it line by line.
#include <zeta/nf.h>

ZETA_FUNCTION("Dual BSD/GPL", ZETA_MAY_DROP | ZETA_MAY_REMEMBER);

struct zeta_config {
	__u32 from_minute; // of the day, UTC
	__u32 to_minute;   // the first one at which it is over; below from_minute: over midnight
	__be16 port;	   // only connections to this port; 0: all
};

#define OUTSIDE 1 // p->reason

ZETA_FIRST_PACKET(p, config)
{
	__u32 now = p->time_s / 60 % 1440;
	int open = config->from_minute <= config->to_minute
			   ? now >= config->from_minute && now < config->to_minute
			   : now >= config->from_minute || now < config->to_minute;

	if (!(p->what & ZETA_CONFIGURED))
		return ZETA_NEXT;
	if (config->port && p->destination_port != config->port)
		return ZETA_NEXT;
	if (!open) {
		p->reason = OUTSIDE;
		return ZETA_DROP;
	}
	// Who came in time stays, and is answered at any hour.
	p->remember = 1;
	return ZETA_NEXT;
}
