/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Ballots between the daemons of gateway nodes: who is in a chain (docs/dft.md M1 to M6). UDP,
// TERM_PORT of wire/beat.h, cluster network. Everything in network byte order; one datagram says
// one thing, and may be lost.
//
// Whoever can send on the cluster network from a node's address is believed, as with the flow
// table's own ops (wire/dft.h): the network is the cluster's alone.
#pragma once

#include <linux/types.h>

#define TERM_VERSION 1
#define TERM_PATH 5	    // DFT_PATH_MOST
#define TERM_VOTERS 5	    // DFT_VOTERS_MOST
#define TERM_KNOWN_MOST 100 // in one datagram, which then still fits an MTU of 1,280

// enum dft_term_kind goes up to 15.
#define TERM_KNOWN 16 // struct term_known: the terms that the sender knows; who knows newer says so

// A node in one of its lives. In a message's to, boot 0: whichever it is in (chosen only).
struct term_name {
	__be32 node; // index
	__be32 boot;
};

struct term_number {
	__be32 epoch;
	__be32 number;
};

//  0               1               2               3
//  +---------------+---------------+---------------+---------------+
//  |    version    |     kind      |     count     |       0       |
//  +---------------+---------------+---------------+---------------+
//  |                            cluster                            |
//  +---------------------------------------------------------------+
//  |                      from: node, boot (8)                     |
//  +---------------------------------------------------------------+
struct term_head {
	__u8 version;
	__u8 kind;  // enum dft_term_kind, or TERM_KNOWN
	__u8 count; // of entries in struct term_known; else 0
	__u8 zero;
	__be32 cluster;
	struct term_name from;
};

//  +---------------------------------------------------------------+
//  |                      epoch, number (8)                        |
//  +---------------+---------------+-------------------------------+
//  |     live      |    learner    |               0               |
//  +---------------+---------------+-------------------------------+
//  |          path: up to five of node, boot (40), rest 0          |
//  +---------------------------------------------------------------+
struct term_configuration {
	struct term_number term;
	__u8 live;
	__u8 learner;
	__u8 zero[2];
	struct term_name path[TERM_PATH];
};

//  +---------------------------------------------------------------+
//  |                            epoch                              |
//  +---------------+-----------------------------------------------+
//  |     count     |    replicas   |               0               |
//  +---------------+-----------------------------------------------+
//  |               founded: epoch of its beginning                 |
//  +---------------------------------------------------------------+
//  |         voter: up to five of node, boot (40), rest 0          |
//  +---------------------------------------------------------------+
struct term_voters {
	__be32 epoch;
	__u8 count;
	__u8 replicas;
	__u8 zero[2];
	__be32 founded;
	struct term_name voter[TERM_VOTERS];
};

//  | head (16) | chain | to: node, boot | epoch, number | configuration (52) | voters (48) | fenced
//  (40) |
struct term_message {
	struct term_head head;
	__be32 chain; // number
	struct term_name to;
	struct term_number term;
	struct term_configuration configuration;
	struct term_voters voters;
	struct term_name fenced[TERM_PATH]; // rest 0
};
_Static_assert(sizeof(struct term_message) == 180, "no padding");

//  | head (16) | head.count of: chain, epoch, number (12) |
struct term_known {
	struct term_head head;
	struct {
		__be32 chain;
		struct term_number term; // 0: none
	} chain[TERM_KNOWN_MOST];
};
_Static_assert(sizeof(struct term_known) == 1216, "no padding");
