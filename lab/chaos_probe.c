// SPDX-License-Identifier: Apache-2.0
// Probes: what one side sends at fixed times the other side misses by number, so that how late
// either program is woken makes no gap.
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lab/chaos_load.h"
#include "lib/log.h"

#define OPEN_GAPS 8		      // that a packet which was overtaken may still close
#define OVERTAKEN (300 * MILLISECOND) // how late that may be
#define SILENCE (2 * SECOND)	      // is said while it lasts
#define LATE (20 * MILLISECOND)
#define BATCH 32

struct message {
	uint64_t sent_ns;
	uint32_t number; // of those sent
	uint32_t slot;	 // of its time: those in which the sender was not woken are left out
};

// Packets between two that came.
struct gap {
	struct message before, after;
	uint32_t missing; // 0: there is none
};

struct probe {
	struct watched watched;
	struct probe *next;
	char name[64]; // own and other address, and the port
	uint64_t period_ns, next_ns, last_slot_ns;
	struct message sending; // the next one
	struct message first, last;
	uint64_t came, twice, overtaken, late, latest_ns;
	uint64_t silent_ns; // since when, if it was said
	struct gap gap[OPEN_GAPS];
};

static void say_gap(const struct probe *p, const struct gap *g)
{
	uint64_t slots = g->after.slot - g->before.slot;
	uint64_t numbers = g->after.number - g->before.number;

	say("\"what\":\"gap\",\"flow\":\"%s\",\"from\":%" PRIu64 ",\"to\":%" PRIu64
	    ",\"lost\":%u,\"not_sent\":%" PRIu64,
	    p->name, g->before.sent_ns, g->after.sent_ns, g->missing, slots - numbers);
}

static void gap_open(struct probe *p, const struct message *m)
{
	struct gap *oldest = &p->gap[0];

	for (struct gap *g = p->gap; g < p->gap + OPEN_GAPS; g++) {
		if (!g->missing)
			oldest = g;
		if (oldest->missing && g->after.sent_ns < oldest->after.sent_ns)
			oldest = g;
	}
	if (oldest->missing)
		say_gap(p, oldest);
	*oldest = (struct gap){p->last, *m, m->number - p->last.number - 1};
}

// A packet older than the last: it was overtaken, or came twice.
static void came_behind(struct probe *p, const struct message *m)
{
	for (struct gap *g = p->gap; g < p->gap + OPEN_GAPS; g++) {
		if (g->missing && (int32_t)(m->number - g->before.number) > 0 &&
		    (int32_t)(g->after.number - m->number) > 0) {
			g->missing--;
			p->came++;
			p->overtaken++;
			return;
		}
	}
	p->twice++;
}

static void came(struct probe *p, const struct message *m, uint64_t now)
{
	uint64_t delay = now > m->sent_ns ? now - m->sent_ns : 0; // now: since this turn began

	if (delay > LATE)
		p->late++;
	if (delay > p->latest_ns)
		p->latest_ns = delay;
	if (!p->came)
		p->first = *m;
	else if ((int32_t)(m->number - p->last.number) <= 0)
		return came_behind(p, m);
	else if (m->number != p->last.number + 1)
		gap_open(p, m);
	p->came++;
	p->last = *m;
	p->silent_ns = 0;
}

static void ready(struct load *load, struct watched *watched, uint32_t events)
{
	struct probe *p = (struct probe *)watched;
	struct message message[BATCH];
	struct mmsghdr header[BATCH];
	struct iovec part[BATCH];
	int count, i;

	for (i = 0; i < BATCH; i++) {
		part[i] = (struct iovec){&message[i], sizeof(message[i])};
		header[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &part[i], .msg_iovlen = 1}};
	}
	// An error is an ICMP message about an earlier packet: the numbers will tell.
	count = recvmmsg(p->watched.fd, header, BATCH, MSG_DONTWAIT, NULL);
	for (i = 0; i < count; i++)
		if (header[i].msg_len == sizeof(message[i]))
			came(p, &message[i], load->now_ns);
}

void probe_add(struct load *load, const char *ip, unsigned int port, uint64_t period_ns,
	       uint64_t phase_ns)
{
	struct sockaddr_in peer = address_at(ip, port), own;
	struct probe *p = zeroed(sizeof(*p));
	socklen_t length = sizeof(own);
	char from[32];
	p->watched = (struct watched){udp_socket(port), ready};
	if (connect(p->watched.fd, (struct sockaddr *)&peer, sizeof(peer)) ||
	    getsockname(p->watched.fd, (struct sockaddr *)&own, &length))
		fatal("probe of %s", ip);
	inet_ntop(AF_INET, &own.sin_addr, from, sizeof(from));
	// What came is told: from the other side to this one.
	snprintf(p->name, sizeof(p->name), "%s>%s:%u", ip, from, port);
	p->period_ns = period_ns;
	p->next_ns = (load->now_ns / period_ns + 1) * period_ns + phase_ns;
	p->next = load->probes;
	load->probes = p;
	watch(load, &p->watched, EPOLLIN);
}

int probes_flow(const struct load *load)
{
	for (const struct probe *p = load->probes; p; p = p->next)
		if (!p->came)
			return 0;
	return 1;
}

static void send_one(struct probe *p, uint64_t now)
{
	uint64_t slots = (now - p->next_ns) / p->period_ns;

	p->sending.slot += (uint32_t)slots;
	p->next_ns += (slots + 1) * p->period_ns;
	p->sending.sent_ns = clock_ns();
	// The first may only say what became of an earlier packet. What the system refuses to send
	// is lost like any other.
	if (send(p->watched.fd, &p->sending, sizeof(p->sending), 0) < 0)
		(void)!send(p->watched.fd, &p->sending, sizeof(p->sending), 0);
	p->sending.number++;
	p->sending.slot++;
}

static void look_back(struct probe *p, uint64_t now)
{
	for (struct gap *g = p->gap; g < p->gap + OPEN_GAPS; g++) {
		if (g->missing && now > g->after.sent_ns + OVERTAKEN) {
			say_gap(p, g);
			g->missing = 0;
		}
	}
	if (p->came && !p->silent_ns && now > p->last.sent_ns + SILENCE) {
		p->silent_ns = p->last.sent_ns;
		say("\"what\":\"silent\",\"flow\":\"%s\",\"from\":%" PRIu64, p->name, p->silent_ns);
	}
}

void probes_turn(struct load *load)
{
	for (struct probe *p = load->probes; p && !load->stopping; p = p->next) {
		if (load->now_ns >= p->next_ns)
			send_one(p, load->now_ns);
		look_back(p, load->now_ns);
	}
}

void probes_end(struct load *load)
{
	for (struct probe *p = load->probes; p; p = p->next) {
		for (struct gap *g = p->gap; g < p->gap + OPEN_GAPS; g++)
			if (g->missing)
				say_gap(p, g);
		say("\"what\":\"probe\",\"flow\":\"%s\",\"sent\":%u,\"sent_slots\":%u,\"came\":%" PRIu64
		    ",\"first\":%u,\"last\":%u,\"last_at\":%" PRIu64 ",\"twice\":%" PRIu64
		    ",\"overtaken\":%" PRIu64 ",\"late\":%" PRIu64 ",\"latest_ms\":%.1f",
		    p->name, p->sending.number, p->sending.slot, p->came, p->first.number,
		    p->last.number, p->last.sent_ns, p->twice, p->overtaken, p->late,
		    (double)p->latest_ns / (double)MILLISECOND);
	}
}
