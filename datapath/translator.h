/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map "translations" of the tests' network function.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/tenant.h"
#include "wire/dft.h"

#define FUNCTION_TRANSLATOR (FUNCTION_FIRST_FREE - 1)

struct translator_key {
	struct in6_addr address;
	__be16 port;
	__u8 protocol;
	__u8 zero;
};
