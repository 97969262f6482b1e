/* SPDX-License-Identifier: Apache-2.0 */
// Rules as nodes are told them, as map entries.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

// The entry of a set in its table, and its pages. pages: their first words.
int rules_entries(struct entries *entries, enum table table, __u32 number,
		  struct rule_page_key pages, Zeta__Node__V1__Rule *const *rules, size_t count);
