/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Network functions for Zeta: all that one is built against. docs/nf-tutorial.md is the way in.
//
// A network function is one eBPF object with one or both of these entry points:
//
//   int zeta_first_packet(struct zeta_first_packet *p)
//       decides about a packet that belongs to no flow that is known, at the flow table node. What
//       is decided is kept, so that it runs once for a flow, or once in ten seconds where nobody
//       asked for a session.
//   int zeta_every_packet(struct zeta_packet *p)
//       sees every packet of the flows that are let through, at the forwarder.
//
// Both are written with the macros below:
//
//   #include <zeta/nf.h>
//
//   ZETA_FUNCTION("GPL", ZETA_MAY_DROP);
//
//   struct zeta_config {
//           __be16 port; // destination port that nobody may use
//   };
//
//   ZETA_FIRST_PACKET(p, config)
//   {
//           return p->destination_port == config->port ? ZETA_DROP : ZETA_NEXT;
//   }
//
// It is called as a function of ours is, and gets a copy of what there is to know: neither the
// packet nor the context that helpers want. So it always comes back, and what it writes elsewhere
// than in its own maps is looked at first. Where it edited what it had not declared, or what is not
// to be edited, the packet is dropped and counted (FUNCTION_BEYOND), as is one about which it
// answers none of enum zeta_answer (FUNCTION_ANSWER).
//
// What it cannot decide itself it may leave to a program in user space, which gets a copy of the
// packet: its middlebox (ZETA_ASK; docs/functions.md).
//
// The configuration is a struct zeta_config, whose fields the API learns from the object's BTF:
// unsigned integers (__u8 to __u64, host byte order), __be16 and __be32 (network byte order; the
// API takes and shows plain numbers), struct in6_addr (the API: an address, IPv4 v4-mapped), and
// arrays of these. At most ZETA_CONFIG_BYTES. What a chain does not say is 0.
//
// What may be used: the helpers below and no others, no kernel functions, global variables only if
// static, at most ZETA_MAPS maps of ZETA_MAP_BYTES in all. The longest way through may be at most
// ZETA_INSTRUCTIONS instructions, as the kernel's verifier counts all ways together. Loops need a
// bound that it can see.
#ifndef ZETA_NF_H
#define ZETA_NF_H

#include <linux/bpf.h>
#include <linux/in6.h>
#include <linux/types.h>

// Of everything below. It grows when something changes its meaning; what is only added goes where
// there are zeros now.
#define ZETA_NF_ABI 1

#define ZETA_CONFIG_BYTES 256
#define ZETA_OBJECT_BYTES 65536 // of the object file, without debugging information
#define ZETA_MAPS 8
// Keys and values of all maps together; per-CPU values count once for each CPU.
#define ZETA_MAP_BYTES 4194304
#define ZETA_INSTRUCTIONS 65536
#define ZETA_REASONS 8

enum zeta_answer {
	ZETA_NEXT = 1, // go on: with the next function of the service chain
	ZETA_DONE = 2, // first packet: decided as it stands, the functions after this one in its
		       // chain do not run, those of other chains do (docs/functions.md); needs
		       // ZETA_MAY_END. Before bouncer has run nothing is decided: the packet is
		       // dropped
	ZETA_DROP = 3, // not this one; p->reason may say why; needs ZETA_MAY_DROP
	ZETA_ASK = 4,  // first packet: the function's middlebox at this node says it
		       // (zeta/middlebox.h), and may do what the function may; needs ZETA_MAY_ASK
};

// What the function declares that it may do.
#define ZETA_MAY_DROP 0x01     // answer ZETA_DROP
#define ZETA_MAY_END 0x02      // answer ZETA_DONE
#define ZETA_MAY_REMEMBER 0x04 // edit p->remember
#define ZETA_MAY_HOLD 0x08     // edit p->hold
#define ZETA_MAY_MARK 0x10     // edit p->dscp
#define ZETA_MAY_ASK 0x20      // answer ZETA_ASK
#define ZETA_MAY_ALL 0x3F

// What a packet is (zeta_first_packet.what, zeta_packet.what):
// a fragment that says nothing itself: ports, TCP flags and ICMP type are 0. Of IPv4 that is none
// of the first packets, and of the others any fragment: its ports are those of its first one;
#define ZETA_FRAGMENT 0x01
// an ICMP error; addresses and ports are those of the flow that it is about, turned round, so that
// source is who the flow was meant for;
#define ZETA_ICMP_ERROR 0x02
// the VPC gives this function a configuration.
#define ZETA_CONFIGURED 0x04

// A packet that begins a flow, or is of one that is not known any more.
struct zeta_first_packet {
	// To be read. Who edits these goes beyond what it may.
	__u32 abi;		// ZETA_NF_ABI of who calls
	__u32 vni;		// the VPC's, host byte order, 1 to 0xFFFFFF
	struct in6_addr source; // tenant addresses; IPv4 is v4-mapped (::ffff:10.0.0.1)
	struct in6_addr destination;
	__be16 source_port;	 // TCP and UDP; of an ICMP echo the identifier; else 0
	__be16 destination_port; // likewise
	__u8 protocol;		 // of IP: 6 is TCP
	__u8 tcp_flags;		 // as in the header: SYN is 0x02, ACK 0x10
	__u8 icmp_type;		 // 8 is an echo request
	__u8 what;		 // ZETA_FRAGMENT, ..
	__u8 source_mac[6];	 // of the tenant's frame
	__u8 destination_mac[6];
	__u32 zero;
	__u64 time_s; // seconds since 1970 began, UTC; leap seconds may make it wrong by one

	// To be edited, as declared.
	__u8 reason;   // with ZETA_DROP: 0 to ZETA_REASONS - 1, counted apart
	__u8 remember; // 1: the flow becomes a session: both directions keep what is decided now
		       // until it ends. 0: at any time a packet of either direction may be decided
		       // about anew
	__u8 hold; // 1: its packets go on coming through a forwarder, whatever other functions
		   // say; 0: hosts may learn the direct path
	// With ZETA_ASK: what counts where nobody can be asked, as no middlebox is there, or too
	// many packets wait: ZETA_NEXT, with what is edited above; or ZETA_DROP, which 0 is too.
	// (Where one is there and does not answer, the packet is lost in any case.)
	__u8 unheard;
	__u32 note; // with ZETA_ASK: for the middlebox, of the function's choice

	__u8 config[ZETA_CONFIG_BYTES]; // struct zeta_config, then zeros
};

// A packet that is about to be sent on.
struct zeta_packet {
	// To be read, as above.
	__u32 abi;
	__u32 vni;
	struct in6_addr source;
	struct in6_addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 what;
	__u16 bytes; // of the IP packet, host byte order
	__u8 ttl;    // as it came
	__u8 zero[5];

	// To be edited, as declared.
	__u8 reason; // with ZETA_DROP
	__u8 dscp;   // RFC 2474: 0 to 63, as the packet has it or the function before left it
	__u8 pad[6];

	__u8 config[ZETA_CONFIG_BYTES];
};

// What is said about the function as a whole; ZETA_FUNCTION writes it.
struct zeta_manifest {
	__u32 abi;
	__u32 may;	  // ZETA_MAY_*
	char license[32]; // one that Linux takes for compatible with the GPL
};

#ifdef __bpf__

#define ZETA_FUNCTION(license, may)                                                                \
	const struct zeta_manifest zeta_manifest                                                   \
		__attribute__((section(".zeta"), used)) = {ZETA_NF_ABI, (may), license}

// Each is followed by the body of a function that gets p and config, both never NULL.
#define ZETA_FIRST_PACKET(p, config)                                                               \
	ZETA_ENTRY(zeta_first_packet, struct zeta_first_packet, zeta_first, p, config)
#define ZETA_EVERY_PACKET(p, config)                                                               \
	ZETA_ENTRY(zeta_every_packet, struct zeta_packet, zeta_every, p, config)

// The body is a function of its own so that its type, which has the configuration's, is in the BTF.
#define ZETA_ENTRY(entry, view, body, p, config)                                                   \
	struct zeta_config;                                                                        \
	static __attribute__((noinline)) int body(view *p, const struct zeta_config *config);      \
	int entry(view *whole);                                                                    \
	int entry(view *whole)                                                                     \
	{                                                                                          \
		if (!whole)                                                                        \
			return 0;                                                                  \
		return body(whole, (const struct zeta_config *)whole->config);                     \
	}                                                                                          \
	static int body(view *p, const struct zeta_config *config)

// Maps of the function's own. They begin empty whenever a node loads the function, and each node
// has its own: ZETA_MAP(seen, BPF_MAP_TYPE_LRU_HASH, __u32, struct seen, 1024);
// The kinds are BPF_MAP_TYPE_HASH, _LRU_HASH, _ARRAY and the _PERCPU_ ones of these.
#define ZETA_MAP(name, kind, key_type, value_type, entries)                                        \
	struct {                                                                                   \
		int (*type)[kind];                                                                 \
		int (*max_entries)[entries];                                                       \
		key_type *key;                                                                     \
		value_type *value;                                                                 \
	} name __attribute__((section(".maps"), used))

// The kernel's helpers that a function may use; what they do is told in bpf-helpers(7).
static void *(*const zeta_map_lookup)(void *map, const void *key) = (void *)1;
static long (*const zeta_map_update)(void *map, const void *key, const void *value,
				     __u64 flags) = (void *)2;
static long (*const zeta_map_delete)(void *map, const void *key) = (void *)3;
static __u64 (*const zeta_time_ns)(void) = (void *)5; // since the machine started
static __u32 (*const zeta_random)(void) = (void *)7;
static __u32 (*const zeta_cpu)(void) = (void *)8;

#define ZETA_HOST16(x) __builtin_bswap16(x) // BPF here is little-endian, as the machines are
#define ZETA_HOST32(x) __builtin_bswap32(x)

#endif
#endif
