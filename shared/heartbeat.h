/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: the pacemaker, which runs once per interval in the kernel and needs no daemon for it.
// Times are bpf_ktime_get_boot_ns(), 0: never.
#pragma once

#include <linux/if_ether.h>
#include <linux/types.h>

#include "shared/limits.h"
#include "wire/beat.h"

// The frame that circles in a pair of interfaces: through the qdisc of the first end, which lets
// one pass per interval, into the program at the second. It has the size of a heartbeat in its
// headers, because the program writes each of them over it.
#define PACE_PROTOCOL 0x88B5 // IEEE 802 local experimental EtherType 1
#define PACE_BYTES (14 + 20 + 8 + sizeof(struct beat))

// What it begins with between two rounds; what follows is left from the last heartbeat.
struct pace_frame {
	struct ethhdr eth;
	__u8 pad[2];
	__u32 generation;
};

// Map "pacer": array of one. Written by the loader.
struct pacer_value {
	__u32 generation;      // of the frame; another one that comes by is dropped
	__u32 ifindex;	       // of the pair's first end
	__u32 beats;	       // entries of "beat_to" that are used
	__u32 others;	       // nodes that they are for, without this one
	__u32 fit;	       // 1: this node has what it needs to serve. Else it is silent
	__u32 lacks;	       // 1: it has yet to learn of a chain that buckets name
	__u32 side;	       // enum beat_side; SIDE_CALLS: it calls other forwarders
	__u32 calls;	       // used in call[]
	__u32 call[MAX_CALLS]; // node indices
};

// Map "pulse": array of one. Written by the kernel.
struct pulse_value {
	__u64 rounds;
	__u64 round_ns; // the last one
	__u64 gap_ns;	// between the last two
	__u64 awake_ns; // rounds go on since then: the first one, or the one after a long gap
	__u32 late;	// how late rounds came lately, 0 to LATE_MOST
	__u32 heard;	// heartbeats that were for whom is alive
	__u32 served;	// 1: rounds have gone on for long enough to follow entrances, once
	__u32 pad;
};

// Map "beat_to": array of MAX_BEATS. Written by the loader: one heartbeat of every round each. The
// node itself may be among them, for chains in which it is a voter and a replica.
struct beat_to_value {
	__u32 node;
	__u32 chains;		  // in chain[]: leases to be asked for
	__u32 chain[BEAT_CHAINS]; // numbers
};

// Map "gossip": array, index node index. Written by the kernel.
struct gossip_value {
	__u64 told;	 // NEWS_WORD; 0: nothing
	__u64 beaten_ns; // the last heartbeat to it: of such nodes our own ears count
};

// News in one word, which is compared as a number: the higher one replaces the lower.
#define NEWS_WORD(rumour, state, boot) ((__u64)((rumour) << 2 | (state)) << 32 | (boot))
#define NEWS_RUMOUR(word) ((__u32)((word) >> 34))
#define NEWS_STATE(word) ((__u32)((word) >> 32) & 3)
#define NEWS_BOOT(word) ((__u32)(word))

// Map "bulletin": array of one. Written by the kernel: what heartbeats carry.
#define FRESH 16 // a power of two
struct bulletin_value {
	__u32 pushed;  // into fresh[], from its beginning again
	__u32 cursor;  // node that is told of when nothing is fresh
	__u64 current; // news[] of the last round: 0 or 1
	struct {
		__u64 at_ns;
		__u32 node;
		__u32 pad;
	} fresh[FRESH];
	struct beat_news news[2][BEAT_NEWS];
};

// Map "duties": array of MAX_ENTRANCES of struct entrance_value. Written by the kernel: entrances
// as this node has to do with them now. Their MAC is what it sends from, `owner` the first node of
// the list that is alive, or this one until that one has announced itself, `serves` whether it
// takes what comes for them.

// Map "side_looks": array of one. Written by the kernel: what a forwarder made of its calls.
struct side_look {
	__u64 echo_ns;	// its last call that another forwarder answered
	__u64 since_ns; // its calls are answered without a break since then; 0: they are not
	__u64 asked_ns; // a call soon after one that was answered, itself not answered yet; 0: none
};

// Map "heard_hosts": array of MAX_HEARD_HOSTS. Written by the kernel: hosts, by the last bits of
// their address, that a forwarder asks by ARP where no other forwarder answers it.
struct heard_host {
	__be32 ip; // 0: none
	__u8 mac[6];
	__u8 pad[6];
	__u64 asked_ns;
};

// Map "handovers": array of MAX_ENTRANCES. Written by the kernel: how an entrance changes hands.
struct handover_value {
	__u64 since_ns;	 // of the owner
	__u64 next_ns;	 // announcement
	__u32 again;	 // it has announced itself since the last occasion
	__u32 occasions; // that there were to announce itself at once, modulo 2^32
	__u32 alive;	 // bit i: preference[i] was, at the last round
	__u32 claimed;	 // 1: another node has announced it since this one was to own it
};
