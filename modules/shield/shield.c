// SPDX-License-Identifier: Apache-2.0
// All of it is the data path's: see shield.bpf.h.
#include "modules/shield/shield.h"

#include "node/messages.h"
#include "shared/shield.h"

int shield_entries(const Zeta__Node__V1__Shield *shield, struct entries *entries)
{
	struct endpoint_key key = {.vni = shield->vni};
	struct shield_value value = {};
	int err;

	// Who decides about first packets gets only those that a forwarder has let pass.
	if (!(entries->roles & NODE_FWD))
		return 0;
	if (!shield->vni || shield->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", shield->vni);
	if ((err = entries_ip(entries, "ip", shield->ip, &key.address)) ||
	    (err = entries_rate(entries, "rate", shield->rate, &value.rate)))
		return err;
	if (value.rate.burst < value.rate.per_packet * SHIELD_BURST)
		value.rate.burst = value.rate.per_packet * SHIELD_BURST;
	return entries->put(entries, TABLE_SHIELDS, &key, &value);
}
