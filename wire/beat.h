/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Heartbeats between gateway nodes: one UDP datagram per direction and interval, answered at once
// by the peer's XDP program. It serves the chains that the two share, and carries gossip.
#pragma once

#include <linux/types.h>

#define BEAT_PORT 8301 // UDP, cluster network
#define TERM_PORT 8302 // UDP, cluster network: ballots between daemons (modules/term)
#define BEAT_VERSION 2
#define BEAT_CHAINS 16 // that two nodes share; for more there are more heartbeats
#define BEAT_NEWS 8    // things heard of other nodes

enum beat_kind {
	BEAT = 1,
	BEAT_ANSWER = 2, // the same bytes, with what is granted
};

#define BEAT_AWAY 0x01 // no entrance is the sender's: its side towards hosts is broken

// How long ago: so many sixteenths of an interval.
#define AGE_SHARE 16
#define AGE_LONG_AGO 255 // or more, or never

// Beat: the sender's active term in a chain in whose path it is: it wants a lease. Answer: epoch 0
// where none is granted.
struct beat_chain {
	__be32 number; // of the chain
	__be32 epoch;
	__be32 term;
};

// What the sender believes of another node (SWIM, Das et al. 2002).
struct beat_news {
	__be16 node; // index + 1; 0: no news
	__u8 state;  // enum beat_state
	__u8 side;   // of the sender itself: enum beat_side
	__be32 boot;
	__be32 rumour; // incarnation number: the higher one counts; the same: the worse state
};
#define BEAT_RUMOURS (1 << 30) // its limit: state and number fit 32 bits together

enum beat_state { BEAT_ALIVE = 0, BEAT_SUSPECTED = 1, BEAT_DEAD = 2 };

// How a forwarder is on the tenants' network. From SIDE_CALLS on: the age of its last call there
// that was answered.
enum beat_side {
	SIDE_UNKNOWN = 0, // it says nothing: no forwarder
	SIDE_DOWN = 1,	  // its interface there has no carrier
	SIDE_SAME = 2,	  // its interface there is that of the cluster's network
	SIDE_CALLS = 3,
	SIDE_LONG_AGO = 255, // or never
};

//   Ethernet | IPv4 | UDP 8301 | beat (324 bytes)
struct beat {
	__u8 version;
	__u8 kind; // enum beat_kind
	__u8 flags;
	__u8 chains; // used in chain[]
	__u8 heard;  // age of the last thing that the sender has received from the receiver
	__u8 reserved[3];
	__be32 from; // node index
	__be32 from_boot;
	__be32 to;	// node index
	__be32 to_boot; // answers: of whom is answered; beats: 0
	__be32 cluster; // number of the cluster: two may share a wire
	// Of the beat's sender, echoed. Behind the headers nothing is aligned to more than 4.
	__be64 clock_ns __attribute__((packed, aligned(4)));
	struct beat_chain chain[BEAT_CHAINS];
	// The first is the sender's of itself; the last what it has heard of the receiver, if that
	// is not what the receiver says: it can only be refuted by whom it is about.
	struct beat_news news[BEAT_NEWS];
};
_Static_assert(sizeof(struct beat) == 324 && _Alignof(struct beat) == 4, "36 + 192 + 96");

// On the tenants' network, where hosts can speak for anybody, forwarders only call each other: the
// answer is the call with its number, which nobody guesses.
#define CALL_PORT 8303 // UDP, tenants' network
#define CALL_VERSION 1

enum call_kind {
	CALL = 1,
	CALL_ANSWER = 2,
};

//   Ethernet | IPv4 | UDP 8303 | call (24 bytes)
struct call {
	__u8 version;
	__u8 kind; // enum call_kind
	__be16 reserved;
	__be32 from;	// node index
	__be32 to;	// node index
	__be32 cluster; // number of the cluster
	// Of the caller. Behind the headers nothing is aligned to more than 4.
	__be64 number __attribute__((packed, aligned(4)));
};
_Static_assert(sizeof(struct call) == 24 && _Alignof(struct call) == 4, "no padding");
