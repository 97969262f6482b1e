/* SPDX-License-Identifier: Apache-2.0 */
// Rules, and how a set of them is made ready for the data path's search (shared/rules.h).
#pragma once

#include <linux/in6.h>
#include <linux/types.h>
#include <stddef.h>

#include "shared/rules.h"

enum rule_direction {
	RULE_INGRESS = 0, // to the port or subnet
	RULE_EGRESS = 1,  // from it
};

struct rule {
	__u8 direction;	  // enum rule_direction
	__u8 protocol;	  // IP protocol, 0: any, then the ports are 0..65535
	__u8 remote_bits; // prefix length of remote, 0 to 128; IPv4: 96 + length
	__u16 port_min;	  // destination port; ICMP: type; 0..65535: any, also an IPv6 fragment's
	__u16 port_max;
	__u32 remote_group; // not 0: the peer must be in this group, and remote does not count
	__u32 outcome;	    // RULE_ALLOW or rule_outcome()
	struct in6_addr remote;
};

// Of an ACL's rule. Lower priorities count before higher ones.
static inline __u32 rule_outcome(__u32 priority, int denies)
{
	return (priority + 1) * 2 + !denies;
}

// A set that is ready: page[i] is page number i + 1.
struct rule_book {
	union rule_page *page;
	__u32 pages;
	struct rule_set set; // but for its version
};

// On success the caller owns what is in *out. Returns 0 or -ENOMEM.
int rules_compile(const struct rule *rules, size_t count, struct rule_book *out);
void rule_book_free(struct rule_book *book);
