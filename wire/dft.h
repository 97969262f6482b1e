/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// How gateway nodes speak: Geneve with four options of ours in front of the tenant's frame.
// Every op has the same size, so that a flow table node edits it in place and never moves a byte.
#pragma once

#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/types.h>
#include <linux/udp.h>

#include "wire/geneve.h"

//   Ethernet | IPv4 | UDP 6081 | Geneve O=0 C=1 | DFT_OPTION_OP | DFT_OPTION_DECISION x 2
//   | DFT_OPTION_TRANSLATION | frame
//
// RFC 8926 section 10: classes 0xFF00 to 0xFFFF are for experiments.
#define DFT_CLASS 0xFF5A
#define DFT_VERSION 1

#define DFT_OPTION_OP (0x80 | 1) // critical: who does not know it must not forward the frame
#define DFT_OPTION_DECISION (0x80 | 2)
#define DFT_OPTION_TRANSLATION (0x80 | 3)

enum dft_op {
	DFT_LOOKUP = 1, // to the tail: what was decided for this packet's session?
	DFT_REPLY,	// to the forwarder: the packet with its session's decisions
	DFT_INSERT,	// a session to be created: request to the head, replication down the chain
	DFT_UPDATE,	// state of a session to be merged at the head, then replicated
	DFT_DELETE,	// a session to be ended; with a packet: which may then begin another one
	DFT_TOUCH,	// to the tail of a mapping: a session of its is there
	DFT_FULL,	// a replica has no room for this session: to the tail, by it to the head,
			// and down the path (docs/dft.md O11)
	DFT_COLLECT,	// a tombstone to be removed and the bucket's floor raised
	DFT_COPY,	// bulk: what the tail has of some keys, or of a bucket, to its learner
	DFT_COPIED,	// the learner's answer to that: it has it
	// A bucket that goes from an old chain to a new one (docs/dft.md M7):
	DFT_FENCE, // to the old head, down its path: answer for the bucket no more
	DFT_YOURS, // from the old path's end to the new head, down its path: it is yours
	DFT_ASK,   // from the new tail to the old head: what did you have of this key?
	DFT_TOLD,  // from the old head to the new one, down its path: that, or nothing
	DFT_WHOLE, // from the old head to the new one, down its path: you have all
	DFT_TAKEN, // from the new path's end to the old head: yours, told, whole are known to all
	// An alias (docs/dft.md A5); the key is the alias', and the record is its:
	DFT_VERIFY,   // to its owner's head: is that life there? Down the path, where it is not
	DFT_VERIFIED, // from the end of that path to the alias' head: it is not
	// A health check: to a forwarder, with where it goes as the first decision; or to the node
	// that checks, what the backend answered.
	DFT_CHECKED,
	DFT_OPS,
};

// What follows the options: geneve.protocol is GENEVE_ETHERNET, the tenant's frame that caused the
// op, whose headers are the key; DFT_KEYED: no packet, the key itself; or DFT_BULK: several keys
// with their records. Keyed are delete, touch, collect, copy, copied, verify and verified; nothing
// is released for them. A delete may come with a packet instead, which is looked up again at the
// end. What the head has that is newer than what a delete or collect names goes down the path as a
// delete's record, live or not; all that a delete of stamp 0 is for. Copy and copied of a bucket's
// floor are keyed, of records bulk.
#define DFT_KEYED 0x88B5 // IEEE 802 local experimental EtherType 1
struct dft_keyed {
	__u8 key[40];  // struct session_key, which has network order only
	__be32 serial; // copy: of the sender's choice, copied brings it back
};
_Static_assert(sizeof(struct dft_keyed) == 44, "");

// In the place of the key where an op is about a whole bucket: fence, yours, whole, and copy of a
// bucket's floor; in that of the first decision where a packet goes along with a fence, or yours.
// move 0: the bucket never moved.
struct dft_bucket_wire {
	__be32 move;	    // its number: a bucket's later moves have higher ones
	__be16 from;	    // the old chain + 1
	__be16 to;	    // the new chain + 1
	__u8 state;	    // enum move_state (shared/move.h)
	__u8 zero[3];	    // where a key is never 0: its protocol is in the last byte
	__be32 owned_epoch; // the old chain's term under which all of its list was fenced
	__be32 owned_term;
	__u8 asks; // DFT_LOOKUP or DFT_UPDATE: what a packet that goes along is about
	__u8 zeros[19];
};
_Static_assert(sizeof(struct dft_bucket_wire) == 40, "in the place of the key, or of a decision");

// A frame of records: this, then, of a copy, items as far as the last bit. It is about those whose
// bit is set in which: bit i is item i's. Copied brings back the bits of those that are there now,
// and no items: one that was refused is copied again, and holds up no other.
#define DFT_BULK 0x88B6 // IEEE 802 local experimental EtherType 2
struct dft_bulk {
	__be32 serial; // of the sender's choice: item 0's, the others' follow
	__be16 which;
	__u8 zero[2];
};
_Static_assert(sizeof(struct dft_bulk) == 8, "");

enum dft_table {
	DFT_SESSIONS = 0,
	// Of an insert: the alias first. Bucket and chain are those of the key that the packet has
	// once it is translated; the stamp is the session's, as in its insert, and the incarnation,
	// down the path, the alias' stamp.
	DFT_ALIASES = 1,
	DFT_ENDPOINTS = 2,
	// The mapping of who sends the packet (docs/dft.md, Mappings): of a lookup, what is it? Of
	// an insert, an update, and what goes with them: its record, as a session's.
	DFT_MAPPINGS = 3,
	// As DFT_ALIASES, of such a mapping.
	DFT_MAPPING_ALIASES = 4,
	// Of a lookup: whose mapping is the packet's destination, in the VPC of the translation?
	DFT_MAPPED = 5,
};

// Flags of an op.
// Replication: node to next node of a chain, under exactly this term (as copy and copied are,
// without saying so).
#define DFT_REPLICATION 0x01
#define DFT_OBSERVED 0x02 // the stamp is what the evaluator saw: without it no insert
#define DFT_STATEFUL 0x04 // a record exists or shall exist for this decision
#define DFT_REFRESH 0x08  // the tenant's packet went its way already: the forwarder only asks
#define DFT_ASKED 0x10	  // the bucket's old chain had nothing of the key: it may be decided
#define DFT_BACK 0x20	  // the bucket's new chain did not know that it has it
// The responder's packet, translated already: it belongs to the life and the translation that the
// op names, or to nobody.
#define DFT_TRANSLATED 0x40
#define DFT_GUESSED 0x80 // the port that was chosen for the session was another's
// These go with the tenant's packet, wherever it is sent and whatever is asked.
#define DFT_OF_PACKET (DFT_REFRESH | DFT_TRANSLATED | DFT_GUESSED)

// Until a mapping was asked for; a function's middlebox.
#define DFT_KEPT_MAPPING 1
#define DFT_KEPT_ASKED 2

// Orders the lives and changes of one key: by floor, then by counter (docs/dft.md).
struct dft_stamp_wire {
	__be32 floor;
	__be32 counter;
};

// One direction's outcome. Bytes and network order only: the same struct is stored and sent.
struct decision {
	struct in6_addr host; // outer destination; IPv4 is v4-mapped
	__u8 host_mac[6];     // outer Ethernet destination
	__u8 to_mac[6];	      // inner Ethernet destination
	__u8 from_mac[6];     // inner Ethernet source, where DECISION_ROUTED
	__u8 action;	      // enum decision_action
	// With DECIDE_DROP or DECIDE_UNREACHABLE: the verdict (verdicts.def). With DECIDE_FORWARD:
	// a bit for each function that sees every packet.
	__u8 reason;
	__u8 vni[3]; // where the packet goes; differs from its own only between VPCs
	__u8 flags;  // DECISION_*
};
_Static_assert(sizeof(struct decision) == 40, "wire and map ABI");

enum decision_action {
	DECIDE_NOTHING = 0, // not decided: never applied
	DECIDE_FORWARD,
	DECIDE_DROP,
	DECIDE_UNREACHABLE, // drop, and tell the sender by ICMP (reason NO_ENDPOINT: host
			    // unreachable; SECURITY_GROUP: administratively prohibited)
};

#define DECISION_ROUTED 0x01	  // crosses subnets: TTL - 1, both MACs rewritten
#define DECISION_DIRECT 0x02	  // the sender's host may send later packets itself
#define DECISION_FINAL 0x08	  // a pushed function had the last word: no rule is asked about it
#define DECISION_UNCACHED 0x04	  // valid for this one packet (an answered ARP request)
#define DECISION_TRANSLATED 0x10  // of a session with a translation
#define DECISION_MAPS_SOURCE 0x20 // .. which a mapping of who began it says
#define DECISION_MAPS_DESTINATION 0x40 // .. or one of whom it leads to

// What the packets of one direction of a session become. The other direction's have another key,
// and its record, or what is cached of it, says what they become: what the first were, turned
// round. All 0: none. Bytes and network order only, as a decision.
struct translation {
	struct in6_addr source; // IPv4 is v4-mapped
	struct in6_addr destination;
	__be16 source_port; // ICMP echo: both are the identifier; what has no ports: 0
	__be16 destination_port;
	__u8 vni[3]; // where those addresses are
	__u8 flags;  // TRANSLATION_*
};
_Static_assert(sizeof(struct translation) == 40, "wire and map ABI");

#define TRANSLATION_IS 0x01	// there is one
#define TRANSLATION_FROM_B 0x02 // of packets that the key's b sends; else its a
#define TRANSLATION_CHOSEN 0x04 // if it is another session's, another one may be chosen
// Of a lookup, what mappings have said so far: the source that the packet will have, or the
// destination and its VPC; and that the session's bucket was asked about (DFT_ASKED).
#define TRANSLATION_MAPS_SOURCE 0x08
#define TRANSLATION_MAPS_DESTINATION 0x10
#define TRANSLATION_MAPS_ASKED 0x20
#define TRANSLATION_MAPS                                                                           \
	(TRANSLATION_MAPS_SOURCE | TRANSLATION_MAPS_DESTINATION | TRANSLATION_MAPS_ASKED)

struct dft_op_option {
	struct geneve_option header;
	__u8 version;
	__u8 op;
	__u8 table;
	__u8 flags;
	__u8 hops;     // redirects left; at 0 the op is dropped
	__u8 entrance; // the forwarder's, echoed: whose address the packet leaves with
	__u8 service_chain;
	__u8 kept; // of what is at one node: that has kept what it decided about the packet:
		   // DFT_KEPT_*
	__be32 epoch;
	__be32 term;
	__be32 bucket;
	__be32 chain;
	struct dft_stamp_wire stamp; // the record's; in an insert request what the evaluator saw
	struct dft_stamp_wire incarnation; // the record's stamp when this life of the key began
	__be32 clock_ms;		   // the forwarder's own clock, echoed
	__be32 boot;			   // the forwarder's boot id, echoed
	struct in6_addr forwarder;	   // its cluster address
	__u8 forwarder_mac[6];
	__be16 state;  // DFT_LIFE_*, DFT_FIN_* ..: dft/record.h
	__be32 policy; // the VPC's policy version that the decision follows from
	__be32 floor;  // the bucket's: copy, and a hit for the learner: of the tail as it read;
		       // collect replicated, and full from the tail on: the new one
};
_Static_assert(sizeof(struct dft_op_option) == 84, "header and 80 bytes of data");

struct dft_decision_option {
	struct geneve_option header;
	struct decision decision;
};
_Static_assert(sizeof(struct dft_decision_option) == 44, "header and 40 bytes of data");

// A key and its record, as in the fields of the same names of an op with one key.
struct dft_item {
	__u8 key[40];
	__be32 floor;
	struct dft_stamp_wire stamp;
	struct dft_stamp_wire incarnation;
	__be32 policy;
	__be16 state;
	__u8 zero[2];
	struct decision towards[2];
	struct translation translation;
};

struct dft_translation_option {
	struct geneve_option header;
	struct translation translation;
};
_Static_assert(sizeof(struct dft_translation_option) == 44, "header and 40 bytes of data");

// What is between the Ethernet header and the tenant's frame, IPv4 underlay. (Without Ethernet's 14
// bytes all fields have their natural alignment: no packed struct, no access byte by byte.)
struct dft_packet {
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct dft_op_option op;
	struct dft_decision_option towards[2]; // [0]: to the key's b; [1]: to its a
	struct dft_translation_option translation;
};
_Static_assert(sizeof(struct dft_packet) == 252, "20 + 8 + 8 + 216");

#define DFT_HEADERS_BYTES (sizeof(struct ethhdr) + sizeof(struct dft_packet))

#define DFT_BULK_MOST 16 // items: a bit each

#define DFT_OPTIONS_BYTES 216 // of the 252 that RFC 8926 allows
_Static_assert(sizeof(struct dft_op_option) + 2 * sizeof(struct dft_decision_option) +
			       sizeof(struct dft_translation_option) ==
		       DFT_OPTIONS_BYTES,
	       "");
