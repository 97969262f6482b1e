/* SPDX-License-Identifier: Apache-2.0 */
// A pushed network function, as entries of tables that the loader makes programs of.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int function_entries(const Zeta__Node__V1__Function *function, struct entries *entries);
// What a chain tells a function goes with the chain. chain: as struct function_config_key has it.
int function_config_entry(__u32 chain, const Zeta__Node__V1__FunctionConfig *config,
			  struct entries *entries);
