/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The gateway's programs: who calls whom, and what the loader puts where.
#pragma once

// Map "steps": program array. Program NAME of the gateway object sits at STEP_<NAME>.
enum gateway_step {
	STEP_TABLE = 0,	      // flow table node: an op arrived
	STEP_DECIDED = 1,     // flow table node: the last network function said what to do
	STEP_REPLY = 2,	      // forwarder: a reply arrived
	STEP_COMPLAINT = 3,   // forwarder: tell the sender by ICMP
	STEP_MOVING = 4,      // flow table node: an op about a bucket that moves arrived
	STEP_BEAT = 5,	      // a heartbeat arrived, or the answer to one
	STEP_RELAY = 6,	      // an op goes back to whom this node does not hear, or was not for it
	STEP_REFUSAL = 7,     // flow table node: a replica has no room for a session
	STEP_SEEN = 8,	      // forwarder: functions want to see every packet of this flow
	STEP_PASSED = 9,      // forwarder: all functions that see every packet have seen this one
	STEP_SIDE = 10,	      // forwarder: another one's call arrived, or the answer to one
	STEP_COPY_OUT = 11,   // flow table node: the outbox has records for a learner
	STEP_COPY_IN = 12,    // flow table node: such records, or the answer to them, arrived
	STEP_ALIASES = 13,    // flow table node: an op about an alias arrived
	STEP_ALIASED = 14,    // flow table node: a packet's key is an alias
	STEP_TRANSLATE = 15,  // forwarder: a packet of a translated session
	STEP_RECALL = 16,     // forwarder: the copy of one asks the flow table
	STEP_CHOOSE = 17,     // flow table node: a source port for a session that begins
	STEP_CHECK_IN = 18,   // flow table node: a backend's answer to its health check
	STEP_TENANT6 = 19,    // forwarder: a tenant's IPv6 packet arrived
	STEP_COMPLAINT6 = 20, // forwarder: tell the sender by ICMPv6
	STEP_ADVERTISE = 21,  // forwarder: a solicitation of a neighbour or a router is answered
	STEP_FRAGMENT = 22,   // forwarder: a later fragment of a tenant's IPv4 packet arrived
	STEP_MAPPING = 23,    // flow table node: which mapping has the sender, or destination?
	STEP_MAPPED = 24,     // flow table node: the session is looked up, with its mapping
	STEP_UNMAPPED = 25,   // flow table node: a mapping begins
	STEP_TRANSLATE6 = 26, // forwarder: a packet of a translated session of IPv6
	STEP_SHIELD = 27,     // forwarder: a SYN or a reset to a protected address arrived
	STEP_ADMITTED = 28,   // forwarder: .. of which nobody has to prove anything
	STEP_ADMITTED6 = 29,  // .. and by IPv6
	STEP_HAND_OVER = 30,  // flow table node: a function's middlebox is asked about a packet
	STEPS,
};

// The loader makes a veth pair per forwarder and attaches program "oam" (XDP) to its second end. A
// packet whose sender's host shall learn the direct path is sent to both devices of map "clone"
// (DEVMAP_HASH, broadcast): as it is to the host, and to the first end of the pair; "oam" turns
// that copy into the OAM frame. XDP cannot make packets, but it can send one twice.
#define CLONE_TENANT 0 // key in "clone": value tenant_ifindex
#define CLONE_OAM 1    // key in "clone": value ifindex of the pair's first end

// And a pair for each function that asks a middlebox (shared/door.h): sent to its first end, a
// question comes to program "door_out" at its second one, and by it to the socket that is bound
// there; what that sends comes to program "door_in" at the first end.

// And a pair in which fragments wait (docs/fragments.md): sent to its first end by XDP, put back by
// program "wait_turn" (tcx) at its second one, through that one's queue, whose pace is the
// loader's, and looked at again by program "waited" (XDP) at the first one.
