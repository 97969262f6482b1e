/* SPDX-License-Identifier: Apache-2.0 */
// Running a program of ours in the kernel on one frame, and comparing what comes out: every byte,
// the action, and which verdict was counted. Failures are printed; a test adds up what is returned.
#pragma once

#include <linux/types.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/verdict.h"

// Gives the process mount and network namespaces of its own, with an empty bpffs at /sys/fs/bpf and
// loopback up: what is pinned vanishes with the process. Exits 77 where there is no right to.
void testing_begin(void);

// A directory of its own on that bpffs, for bpf_object_open_opts.pin_root_path: objects opened with
// the same one share their pinned maps, as the programs of one node do. Into the caller's path[64].
const char *testing_pins(const char *name, char path[64]);
// Removes it with all that is pinned there, so that its memory is free again.
void testing_unpin(const char *name);

// What cannot fail in a test that is sound: these end the process where it does.
void must(int err, const char *what);
struct in6_addr address_must(const char *text);
void mac_must(uint8_t out[6], const char *text);

#define FRAME_ROOM 8192

// Bytes on a wire, from the outermost header on.
struct frame {
	size_t length;
	uint8_t byte[FRAME_ROOM];
};

// Frames are written from the inside out: payload, then each header in front of it.
void frame_clear(struct frame *f);
void frame_append(struct frame *f, const void *bytes, size_t length); // at the end
void frame_fill(struct frame *f, size_t length);		      // counting bytes at the end
void frame_prepend(struct frame *f, const void *bytes, size_t length);

// Addresses as text: "02:00:00:00:00:01", "10.0.0.1"; a wrong one exits. Numbers in host order.
void frame_ethernet(struct frame *f, const char *to, const char *from, uint16_t protocol);
// Length and checksum follow from the frame. fragment: flags and offset as in the header.
struct ipv4_header {
	const char *from, *to;
	uint8_t protocol, ttl; // ttl 0: 64
	uint16_t fragment, id;
};
void frame_ipv4(struct frame *f, struct ipv4_header h);
// The checksum fields of these are as given, or 0: no program of ours reads them.
void frame_udp(struct frame *f, uint16_t from, uint16_t to, uint16_t checksum);
void frame_tcp(struct frame *f, uint16_t from, uint16_t to, uint8_t flags);
// With its checksum; rest is the header's second word.
void frame_icmp(struct frame *f, uint8_t type, uint8_t code, uint32_t rest);
// Length follows from the frame. hops 0: 64.
struct ipv6_start {
	const char *from, *to;
	uint8_t next, hops;
};
void frame_ipv6(struct frame *f, struct ipv6_start h);
// With its checksum, which the addresses are in; in front of it comes the header with those.
void frame_icmpv6(struct frame *f, uint8_t type, uint8_t code, uint32_t rest, const char *from,
		  const char *to);
// What an ICMPv6 message behind that header has for a checksum, its own field counted: 0 where that
// is right.
uint16_t icmpv6_check(const uint8_t *ipv6, size_t message);
void frame_vxlan(struct frame *f, uint32_t vni);
void frame_geneve(struct frame *f, uint32_t vni, uint8_t flags, const void *options, size_t length);
// Ethernet and an ARP message for IPv4; operation 1: request, 2: reply. The frame was empty.
struct arp_message {
	const char *to, *from; // the frame's MACs
	uint16_t operation;
	const char *sender_mac, *sender, *target_mac, *target;
};
void frame_arp(struct frame *f, struct arp_message m);

// RFC 1071, over bytes: what the checksum field must hold.
uint16_t checksum_of(const void *bytes, size_t length);

// A loaded program and the "verdicts" map it counts in.
struct target {
	int program;
	int verdicts;
	void *ctx; // struct xdp_md or struct __sk_buff that a run begins with; NULL: none
	size_t ctx_size;
};

// Runs the frame through the program. Returns 0, or the kernel's -errno.
int target_run(const struct target *t, const struct frame *in, uint32_t *action, struct frame *out);

// Bytes that are not compared, because the test does not know them: a clock, a hash.
struct span {
	size_t at, length;
};

#define MAX_SPANS 4

// What one run must give. out NULL: the bytes do not matter, i.e. the frame is dropped.
struct expected {
	const char *name;
	enum verdict verdict;
	uint32_t action;
	const struct frame *out;
	struct span any[MAX_SPANS]; // unused ones have length 0
	uint32_t packets;	    // as which it is counted; 0: one
	enum verdict beside;	    // counted once too, of something else; GO_ON: none
};

// Returns 0, or 1 after printing what was different. Exactly one verdict must be counted, with as
// many bytes as came out, beside that other one.
// got, unless NULL, receives the frame that came out, if the program could be run.
int target_check(const struct target *t, const struct frame *in, const struct expected *want,
		 struct frame *got);

// The counters, summed over the CPUs. Returns 0 or -errno.
int verdicts_read(int map, struct verdict_count sum[VERDICTS]);
const char *verdict_name(enum verdict v);

// Return 0 where it is what it should be, else 1 after printing both.
int is_verdict(const char *what, enum verdict got, enum verdict want);
int is_number(const char *what, uint64_t got, uint64_t want);

// Returns 0 where both are the same, else 1 after printing the lines that differ.
int frames_compare(const char *name, const struct frame *want, const struct frame *got);
