/* SPDX-License-Identifier: Apache-2.0 */
// A pushed network function, as entries of tables that the loader makes programs of.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int function_entries(const Zeta__Node__V1__Function *function, struct entries *entries);
// What a VPC tells a function is the VPC's: it goes with the chain that names the function.
int function_config_entry(__u32 vni, const Zeta__Node__V1__FunctionConfig *config,
			  struct entries *entries);
