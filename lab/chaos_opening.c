// SPDX-License-Identifier: Apache-2.0
// Openings: how long until the first packet of a new flow gets through, i.e. whether the flow table
// answers now. What goes well is counted; what took long is said, with the place of its session.
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lab/chaos_load.h"
#include "lib/log.h"
#include "lib/own.h"

#define AGAIN (5 * MILLISECOND) // until the packet is repeated; later a tenth of the time it took
#define LONG (10 * MILLISECOND)
#define MAX_OPENINGS 4096 // at once

struct opening {
	struct watched watched; // fd -1: free
	const struct asker *asker;
	uint64_t began_ns, again_ns;
	unsigned int tries;
};

// One that opens flows, so many a second.
struct asker {
	struct sockaddr_in to;
	uint64_t period_ns, next_ns;
	char ip[32];
};

struct openings {
	struct watched server;
	struct asker asker[8];
	size_t askers, open, most; // opening[most ..) were never used
	uint64_t begun, answered, failed, unmade;
	struct opening opening[MAX_OPENINGS];
};

// Sends back what comes.
static void serve(struct load *load, struct watched *watched, uint32_t events)
{
	struct sockaddr_in from = {};
	socklen_t length = sizeof(from);
	char bytes[64];
	ssize_t got;

	while ((got = recvfrom(watched->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from,
			       &length)) >= 0)
		sendto(watched->fd, bytes, (size_t)got, 0, (struct sockaddr *)&from, length);
}

void openings_serve(struct load *load)
{
	struct openings *o = zeroed(sizeof(*o));

	o->server = (struct watched){udp_socket(OPENING_PORT), serve};
	load->openings = o;
	watch(load, &o->server, EPOLLIN);
}

void openings_add(struct load *load, const char *ip, double each_second)
{
	struct openings *o = load->openings;
	struct asker *asker = &o->asker[o->askers++];

	if (o->askers > sizeof(o->asker) / sizeof(o->asker[0]) || each_second <= 0)
		fatalx("too many that open flows");
	asker->to = address_at(ip, OPENING_PORT);
	asker->period_ns = (uint64_t)((double)SECOND / each_second);
	asker->next_ns = load->now_ns;
	snprintf(asker->ip, sizeof(asker->ip), "%s", ip);
}

size_t openings_open(const struct load *load)
{
	return load->openings->open;
}

static void end_one(struct load *load, struct opening *opening, const char *how)
{
	struct sockaddr_in own = {};
	socklen_t length = sizeof(own);
	char from[32];

	if (load->now_ns - opening->began_ns > LONG) {
		getsockname(opening->watched.fd, (struct sockaddr *)&own, &length);
		inet_ntop(AF_INET, &own.sin_addr, from, sizeof(from));
		say("\"what\":\"opening\",\"how\":\"%s\",\"flow\":\"%s>%s:%u\",\"from\":%" PRIu64
		    ",\"to\":%" PRIu64 ",\"tries\":%u,\"hash\":%u",
		    how, from, opening->asker->ip, ntohs(own.sin_port), opening->began_ns,
		    load->now_ns, opening->tries,
		    flow_hash(load, IPPROTO_UDP, &own, &opening->asker->to));
	}
	closep(&opening->watched.fd);
	load->openings->open--;
}

static void answered(struct load *load, struct watched *watched, uint32_t events)
{
	struct opening *opening = (struct opening *)watched;
	char byte;

	// Refused: it came through, and so did the answer.
	if (recv(watched->fd, &byte, 1, 0) < 0)
		return;
	load->openings->answered++;
	end_one(load, opening, "answered");
}

static struct opening *room(struct openings *o)
{
	for (struct opening *at = o->opening; at < o->opening + o->most; at++)
		if (at->watched.fd < 0)
			return at;
	return o->most < MAX_OPENINGS ? &o->opening[o->most++] : NULL;
}

static void begin_one(struct load *load, const struct asker *asker)
{
	struct openings *o = load->openings;
	struct opening *opening = room(o);

	if (!opening) {
		o->unmade++;
		return;
	}
	*opening = (struct opening){.watched = {udp_socket(0), answered},
				    .asker = asker,
				    .began_ns = load->now_ns,
				    .again_ns = load->now_ns};
	if (connect(opening->watched.fd, (const struct sockaddr *)&asker->to, sizeof(asker->to)))
		fatal("opening to %s", asker->ip);
	watch(load, &opening->watched, EPOLLIN);
	o->begun++;
	o->open++;
}

static void push(struct load *load, struct opening *opening)
{
	if (load->now_ns - opening->began_ns > load->patience_ns) {
		load->openings->failed++;
		end_one(load, opening, "failed");
	} else if (load->now_ns >= opening->again_ns) {
		opening->again_ns = load->now_ns + AGAIN + (load->now_ns - opening->began_ns) / 10;
		opening->tries++;
		send(opening->watched.fd, &opening->tries, sizeof(opening->tries), 0);
	}
}

void openings_turn(struct load *load)
{
	struct openings *o = load->openings;

	for (struct asker *asker = o->asker; asker < o->asker + o->askers; asker++) {
		if (load->stopping || load->now_ns < asker->next_ns)
			continue;
		// After a stop of this process it goes on at its pace.
		asker->next_ns += asker->period_ns;
		if (load->now_ns > asker->next_ns)
			asker->next_ns = load->now_ns;
		begin_one(load, asker);
	}
	for (struct opening *at = o->opening; at < o->opening + o->most; at++)
		if (at->watched.fd >= 0)
			push(load, at);
}

void openings_end(struct load *load)
{
	const struct openings *o = load->openings;

	say("\"what\":\"openings\",\"begun\":%" PRIu64 ",\"answered\":%" PRIu64
	    ",\"failed\":%" PRIu64 ",\"unmade\":%" PRIu64,
	    o->begun, o->answered, o->failed, o->unmade);
}
