// SPDX-License-Identifier: Apache-2.0
// Any datagrams at a node that has a part in a chain: whatever comes, what was promised is not
// taken back, and nothing is said before it is written.
#include <stdint.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "modules/term/members.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define CLUSTER 1

static struct peer_value peers[MAX_NODES];
static struct grant_value grants[MAX_CHAINS];
static struct lease_value leases[MAX_CHAINS];
static struct copy_value copies[MAX_CHAINS];
static struct departure_value departures[MAX_CHAINS];
static __u64 promised, now;

static int host_write(void *context, __u32 chain, const struct membership_change *change)
{
	if (change->fence && change->fence->promised < promised)
		abort();
	if (change->fence)
		promised = change->fence->promised;
	if (change->chain &&
	    (!change->chain->live || change->chain->live + change->chain->learner > DFT_PATH_MOST))
		abort();
	return 0;
}

static int host_wipe(void *context, __u32 chain, __u32 floor)
{
	return 0;
}

static void host_send(void *context, __u32 node, const void *bytes, size_t size)
{
	struct dft_term_message m;
	__u32 chain;

	if (node >= MAX_NODES || node == 1)
		abort();
	if (!message_read(bytes, size, CLUSTER, &chain, &m) && m.kind != DFT_ASK_IN &&
	    TERM_WORD(m.term.epoch, m.term.number) > promised)
		abort();
}

static __u64 host_now(void *context)
{
	return now;
}

// Gives a datagram the beginning that lets it in, so that the rest is looked at.
static void let_in(unsigned char *datagram, __u32 from)
{
	struct term_message *m = (struct term_message *)datagram;

	m->head.version = TERM_VERSION;
	m->head.count = m->head.kind == TERM_KNOWN ? m->head.count : 0;
	m->head.zero = 0;
	m->head.cluster = htonl(CLUSTER);
	m->head.from = (struct term_name){htonl(from), htonl(from)};
	m->chain = 0;
	m->to = (struct term_name){htonl(1), htonl(1)};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	unsigned char datagram[sizeof(struct term_known)];
	const struct members_host host = {host_write, host_wipe, host_send, host_now, NULL,
					  peers,      grants,	 leases,    copies,   departures};
	const struct chain_wish wish = {.voters = {.epoch = 1,
						   .count = 3,
						   .replicas = 2,
						   .founded = 1,
						   .voter = {{1, 1}, {2, 2}, {3, 3}}},
					.listed = 1};
	struct members *members = members_new(&host, (struct dft_name){1, 1}, 10, CLUSTER);
	size_t length;

	if (!members)
		abort();
	promised = 0;
	now = 1000000000;
	members_node(members, 2, 1);
	members_node(members, 3, 1);
	members_wish(members, 0, &wish);
	// Each datagram begins with two bytes of its length, and of whom it is from.
	while (size > 2) {
		length = bytes[0] < size - 2 ? bytes[0] : size - 2;
		memset(datagram, 0, sizeof(datagram));
		memcpy(datagram, bytes + 2, length);
		if (bytes[1] & 8)
			let_in(datagram, bytes[1] & 3);
		members_take(members, bytes[1] & 3, datagram,
			     bytes[1] & 16 ? sizeof(struct term_message) : length);
		now += 1000000;
		if (bytes[1] & 4)
			members_tick(members);
		bytes += 2 + length;
		size -= 2 + length;
	}
	members_free(members);
	return 0;
}
