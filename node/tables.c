// SPDX-License-Identifier: Apache-2.0
// The shapes of the tables, made from their list.
#include "node/tables.h"

const struct table_shape tables[TABLES] = {
#define TABLE(name, map, key, value, kind)                                                         \
	[TABLE_##name] = {map, sizeof(key), sizeof(value), TABLE_IS_##kind},
#include "node/tables.def"
#undef TABLE
};
