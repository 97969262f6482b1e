/* SPDX-License-Identifier: Apache-2.0 */
// The tables that desired state is translated into, as one enum and one list of their sizes.
#pragma once

#include <net/if.h>
#include <stddef.h>

#include "modules/chain/wish.h"
#include "shared/edge.h"
#include "shared/function.h"
#include "shared/health.h"
#include "shared/loadbalancer.h"
#include "shared/nat.h"
#include "shared/membership.h"
#include "shared/move.h"
#include "shared/rules.h"
#include "shared/shield.h"
#include "shared/tenant.h"
#include "shared/uplink.h"
#include "shared/view.h"

// NUL-terminated and zeros after it: it is compared whole.
struct interface_name {
	char text[IF_NAMESIZE];
};

// struct node_settings, as the kernel keeps it for the next daemon.
struct kept_settings {
	__u8 bytes[SETTINGS_BYTES];
};

enum table {
#define TABLE(name, map, key, value, kind) TABLE_##name,
#include "node/tables.def"
#undef TABLE
	TABLES,
};

enum table_kind {
	TABLE_IS_HASH,
	TABLE_IS_ARRAY,
	TABLE_IS_PORTS,
	TABLE_IS_KEPT,
	TABLE_IS_WISHES,
	TABLE_IS_FUNCTIONS,
	TABLE_IS_UPLINKS,
};

struct table_shape {
	const char *map; // its name, also of its pin
	size_t key_size;
	size_t value_size;
	enum table_kind kind;
};

extern const struct table_shape tables[TABLES];
