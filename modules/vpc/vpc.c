// SPDX-License-Identifier: Apache-2.0
// A VPC's policy version and service chain are one entry: they change together.
#include "modules/vpc/vpc.h"

#include "modules/function/function.h"

#define MAX_ASK_NS 3600000000000ull

int vpc_entries(const Zeta__Node__V1__Vpc *vpc, struct entries *entries)
{
	struct vpc_value value = {
		.policy = vpc->policy,
		.functions = (__u8)vpc->n_functions,
		.ask_ns = vpc->ask_ns,
		.sessions = vpc->sessions,
	};
	size_t i;
	int err;

	if (!vpc->vni || vpc->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", vpc->vni);
	if (vpc->n_functions > MAX_SERVICE_CHAIN)
		return entries_refuse(entries, "%zu functions are more than %u", vpc->n_functions,
				      MAX_SERVICE_CHAIN);
	// Below one packet in an hour nobody limits, and what follows from it fits 64 bits.
	if (vpc->ask_ns > MAX_ASK_NS)
		return entries_refuse(entries, "%llu ns between first packets are more than %llu",
				      (unsigned long long)vpc->ask_ns, MAX_ASK_NS);
	if ((err = entries_rate(entries, "a limit", vpc->limit, &value.rate)))
		return err;
	for (i = 0; i < vpc->n_functions; i++) {
		if (!vpc->functions[i] || vpc->functions[i] >= MAX_FUNCTIONS)
			return entries_refuse(entries, "there is no function slot %u",
					      vpc->functions[i]);
		value.function[i] = (__u8)vpc->functions[i];
	}
	if (vpc->n_later > EVERY_FUNCTIONS)
		return entries_refuse(entries,
				      "%zu functions that see every packet are more than %u",
				      vpc->n_later, EVERY_FUNCTIONS);
	for (i = 0; i < vpc->n_later; i++) {
		if (vpc->later[i] < FUNCTION_FIRST_FREE ||
		    vpc->later[i] >= FUNCTION_FIRST_FREE + EVERY_FUNCTIONS)
			return entries_refuse(entries, "function slot %u never sees every packet",
					      vpc->later[i]);
		value.later[i] = (__u8)vpc->later[i];
	}
	for (i = 0; i < vpc->n_config; i++)
		if ((err = function_config_entry(vpc->vni, vpc->config[i], entries)))
			return err;
	return entries->put(entries, TABLE_VPCS, &vpc->vni, &value);
}
