// SPDX-License-Identifier: Apache-2.0
// Flow table nodes run a chain's functions; forwarders have to know what those of them are told
// that see every packet, of which a VPC has each once.
#include "modules/servicechain/servicechain.h"

#include "modules/function/function.h"
#include "shared/function.h"
#include "shared/tenant.h"

static int may_see_every(__u32 slot)
{
	return slot >= FUNCTION_FIRST_FREE && slot < FUNCTION_FIRST_FREE + EVERY_FUNCTIONS;
}

int service_chain_entries(const Zeta__Node__V1__ServiceChain *chain, struct entries *entries)
{
	struct service_chain_value value = {.functions = (__u8)chain->n_functions};
	size_t i;
	int err;

	if (!chain->vni || chain->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", chain->vni);
	if (!chain->number || chain->number & FUNCTION_LATER)
		return entries_refuse(entries, "%u is no number of a service chain", chain->number);
	if (chain->n_functions > MAX_LATER_CHAIN)
		return entries_refuse(entries, "%zu functions are more than %u", chain->n_functions,
				      MAX_LATER_CHAIN);
	for (i = 0; i < chain->n_functions; i++) {
		if (!chain->functions[i] || chain->functions[i] >= MAX_FUNCTIONS)
			return entries_refuse(entries, "there is no function slot %u",
					      chain->functions[i]);
		value.function[i] = (__u8)chain->functions[i];
	}
	for (i = 0; i < chain->n_config; i++) {
		err = function_config_entry(chain->number | FUNCTION_LATER, chain->config[i],
					    entries);
		if (!err && may_see_every(chain->config[i]->slot))
			err = function_config_entry(chain->vni, chain->config[i], entries);
		if (err)
			return err;
	}
	return entries->put(entries, TABLE_SERVICE_CHAINS, &chain->number, &value);
}
