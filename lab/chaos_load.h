/* SPDX-License-Identifier: Apache-2.0 */
// The load of one endpoint while chaos goes on around it (chaos_load.c): one thread, one loop,
// which turns at every millisecond. What happened is said in lines of JSON; times are
// CLOCK_MONOTONIC in nanoseconds, which all endpoints of a machine share.
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#define STREAM_PORT 7001
#define SHORT_PORT 7002
#define OPENING_PORT 7003
#define MILLISECOND UINT64_C(1000000)
#define SECOND (1000 * MILLISECOND)

struct load {
	int epoll;
	int stopping;	 // what is under way comes to its end, nothing begins
	uint32_t vni;	 // of the endpoint
	uint64_t now_ns; // at the beginning of this turn
	// A connection without a byte for so long is broken; one that is not open after it, not
	// opened.
	uint64_t patience_ns;
	struct probe *probes;
	struct openings *openings;
	struct tcp *tcp;
};

// A descriptor in the loop.
struct watched {
	int fd;
	void (*ready)(struct load *load, struct watched *watched, uint32_t events);
};

#define say(format, ...) printf("{" format "}\n", __VA_ARGS__)

uint64_t clock_ns(void);
void *zeroed(size_t size); // memory, or the end
void watch(struct load *load, struct watched *watched, uint32_t events);
struct sockaddr_in address_at(const char *ip, unsigned int port);
// A UDP socket that does not block and has room for a long stop of this process. port 0: any.
int udp_socket(unsigned int port);
// Of the session between a socket's two ends (shared/key.h), the 32 bits that place it.
uint32_t flow_hash(const struct load *load, uint8_t protocol, const struct sockaddr_in *one,
		   const struct sockaddr_in *other);

// UDP both ways between two endpoints that both call this, numbered and timed; every gap is said.
void probe_add(struct load *load, const char *ip, unsigned int port, uint64_t period_ns,
	       uint64_t phase_ns);
int probes_flow(const struct load *load); // whether all have heard the other side
void probes_turn(struct load *load);
void probes_end(struct load *load);

// UDP flows that are new each: a packet, repeated until it is answered.
void openings_serve(struct load *load);
void openings_add(struct load *load, const char *ip, double each_second);
size_t openings_open(const struct load *load);
void openings_turn(struct load *load);
void openings_end(struct load *load);

// TCP: streams that stay, and short connections; every byte is checked.
void tcp_serve(struct load *load);
void streams_add(struct load *load, const char *ip, unsigned int count);
void shorts_add(struct load *load, const char *ip, double each_second);
int streams_flow(const struct load *load); // whether all are open and heard the other side
size_t clients_open(const struct load *load);
void tcp_stop(struct load *load);
void tcp_turn(struct load *load);
void tcp_bury(struct load *load); // frees what was closed: events of this turn may have named it
void tcp_end(struct load *load);
