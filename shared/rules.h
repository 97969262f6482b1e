/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: sets of rules, as security groups and network ACLs have them, made ready to be searched.
// Written by zetad (modules/rules/rules.c), read by network functions (modules/rules/rules.bpf.h).
//
// A rule is a rectangle: remotes times services. Remotes are numbers of 160 bits, so that a prefix,
// and a group, is a range of them. Two ranges are disjoint or one holds the other, so the remotes
// between two bounds have one innermost range. A first search tree leads there. Each range has a
// tree of its own for the services, with what is best of its own rules; and it names the next outer
// range. So a search takes steps for each range around a remote, and none for the other rules.
//
// Both trees lie in pages. A page never changes: who changes a set writes all pages anew, under
// another version, then the set's entry, and then removes the old ones. So a packet meets all of a
// set or all of the next.
#pragma once

#include <linux/types.h>

// A remote: direction and group number, or 0; then the address, host byte order.
#define RULE_EGRESS_BIT 0x80000000u
#define RULE_REMOTE_WORDS 5

// A service: protocol, then the destination port, host byte order (of ICMP the type) or, of an IPv6
// fragment, whose ports nobody knows, the number above all ports.
#define RULE_SERVICE_SHIFT 17
#define RULE_FRAGMENT 0x10000u

#define RULE_REMOTES 32	 // a page's: a page has room for a bound's 24 bytes so many times
#define RULE_SERVICES 96 // with the same size

// From this one up to the next. In a leaf it leads to a slice of services, 0: none; else to a page.
struct rule_remote {
	__u32 from[RULE_REMOTE_WORDS]; // ascending; what is not used is all ones
	__u32 to;
};

// Services lie in slices, numbered by page << RULE_PAGE_SHIFT | place: first a head, then at least
// one bound. A head's from is the next outer range's slice, 0: none; its to is how many bounds
// follow and, shifted, how many levels lie below. A leaf's bound leads to an outcome, else to a
// slice.
struct rule_service {
	__u32 from;
	__u32 to;
};
#define RULE_LEVEL_SHIFT 16
#define RULE_PAGE_SHIFT 7

union rule_page {
	struct rule_remote remote[RULE_REMOTES];
	struct rule_service service[RULE_SERVICES];
};
_Static_assert(sizeof(union rule_page) == 768, "no padding");

// Map "rule_pages": hash.
struct rule_page_key {
	__u32 set;     // number of the group, or of the ACL with RULES_OF_ACL
	__u32 version; // never the same for another content
	__u32 page;    // from 1
};
#define RULES_OF_ACL 0x80000000u

// Maps "security_groups" and "network_acls": hash, key __u32 number (unique within the cluster,
// never 0).
struct rule_set {
	__u32 version;
	__u32 root;   // page of remotes; 0: there is no rule
	__u32 levels; // of pages below it
	__u32 traits; // RULES_*
};
#define RULES_EGRESS 0x1 // some rule is about what is sent
#define RULES_GROUPS 0x2 // some remote is a group

// The best rule's outcome is the lowest one; 0: no rule says anything. A security group's is always
// RULE_ALLOW; an ACL's comes from rule_outcome(): by priority, and of one priority denials first.
#define RULE_ALLOW 1u
#define RULE_DENIES(outcome) (!((outcome)&1))
