/* SPDX-License-Identifier: Apache-2.0 */
// What a concept's translation sees: where its map entries go, and how to refuse an object.
//
// Each modules/<concept>/<concept>.h declares <concept>_entries(): given one object of
// api/node.proto it gives the entries that the maps should hold because of it. They return 0;
// -EINVAL: refused, entries->why says what is wrong with it; -ENOMEM.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>
#include <protobuf-c/protobuf-c.h>

#include "api/node.pb-c.h"
#include "node/tables.h"
#include "shared/rate.h"

struct health_checks;

struct entries {
	// Copies key and value, of the table's sizes. Returns 0 or -ENOMEM.
	int (*put)(struct entries *entries, enum table table, const void *key, const void *value);
	__u32 roles; // NODE_*: of the node that this is for
	char why[160];
	struct health_checks *health; // that find out which backends are there; NULL: nobody does
};

// Fills why and returns -EINVAL.
int entries_refuse(struct entries *entries, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

// Checked copies out of a message: 0, or -EINVAL with why set. what names the field.
int entries_ip(struct entries *entries, const char *what, ProtobufCBinaryData bytes,
	       struct in6_addr *out);
// A prefix: of at most 128 bits, and no bit behind them.
int entries_prefix(struct entries *entries, const char *what, ProtobufCBinaryData bytes,
		   __u32 length, struct in6_addr *out);
int entries_mac(struct entries *entries, const char *what, ProtobufCBinaryData bytes, __u8 out[6]);
// NULL: no limit, and *out stays as it is.
int entries_rate(struct entries *entries, const char *what, const Zeta__Node__V1__Rate *rate,
		 struct rate *out);
