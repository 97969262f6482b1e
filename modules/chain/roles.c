// SPDX-License-Identifier: Apache-2.0
#include "modules/chain/roles.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/clock.h"
#include "shared/key.h"
#include "shared/move.h"
#include "shared/view.h"

struct roles_room {
	__u32 number[KNOWN_CHAINS];
	struct chain_value chain[KNOWN_CHAINS];
};

// Values have 8 bytes each in the memory of an array.
#define PLACES_BYTES (sizeof(__u64) * (size_t)PLACES)
_Static_assert(sizeof(struct origin_value) == sizeof(__u64), "of this array, too");

int roles_open(struct roles *roles)
{
	struct roles_room *room = malloc(sizeof(*room));

	if (!room)
		return -ENOMEM;
	*roles = (struct roles){.room = room};
	return 0;
}

static void unmap(struct roles *roles)
{
	if (roles->buckets)
		munmap((void *)roles->buckets, PLACES_BYTES);
	if (roles->origins)
		munmap((void *)roles->origins, PLACES_BYTES);
	roles->buckets = NULL;
	roles->origins = NULL;
}

void roles_close(struct roles *roles)
{
	unmap(roles);
	free(roles->room);
	roles->room = NULL;
}

int roles_use(struct roles *roles, int buckets, int origins)
{
	void *of_buckets = mmap(NULL, PLACES_BYTES, PROT_READ, MAP_SHARED, buckets, 0);
	void *of_origins = mmap(NULL, PLACES_BYTES, PROT_READ, MAP_SHARED, origins, 0);
	const int err = -errno;

	if (of_buckets == MAP_FAILED || of_origins == MAP_FAILED) {
		if (of_buckets != MAP_FAILED)
			munmap(of_buckets, PLACES_BYTES);
		if (of_origins != MAP_FAILED)
			munmap(of_origins, PLACES_BYTES);
		return err;
	}
	unmap(roles);
	roles->buckets = of_buckets;
	roles->origins = of_origins;
	memset(roles->role, 0, sizeof(roles->role));
	memset(roles->head, 0, sizeof(roles->head));
	return 0;
}

static int is_tail(const struct chain_value *c, __u32 self)
{
	const __u32 last = c->live - 1u;

	return c->live && last < MAX_CHAIN_LENGTH && c->node[last] == self;
}

static void read_chain(struct chain_role *role, const struct chain_value *c, __u32 self,
		       __u32 now_s)
{
	const __u64 term = TERM_WORD(c->epoch, c->term);

	if (!is_tail(c, self)) {
		role->term = 0;
		return;
	}
	role->learner = c->learner && c->live <= MAX_CHAIN_LENGTH ? c->node[c->live] + 1 : 0;
	if (role->term == term)
		return;
	role->term = term;
	role->since_s = now_s;
	role->since_ms = now_ms();
}

static __u64 head_term(const struct chain_value *c, __u32 self)
{
	return c->live && c->node[0] == self ? TERM_WORD(c->epoch, c->term) : 0;
}

void roles_read(struct roles *roles, int chains, __u32 self, __u32 now_s)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct roles_room *room = roles->room;
	__u32 count = KNOWN_CHAINS, cursor, i;
	__u8 there[MAX_CHAINS] = {};

	if (chains < 0 || (bpf_map_lookup_batch(chains, NULL, &cursor, room->number, room->chain,
						&count, &options) &&
			   errno != ENOENT))
		count = 0;
	for (i = 0; i < count; i++) {
		if (room->number[i] >= MAX_CHAINS)
			continue;
		there[room->number[i]] = 1;
		read_chain(&roles->role[room->number[i]], &room->chain[i], self, now_s);
		roles->head[room->number[i]] = head_term(&room->chain[i], self);
	}
	for (i = 0; i < MAX_CHAINS; i++)
		if (!there[i])
			roles->role[i].term = roles->head[i] = 0;
}

__u32 roles_chain(const struct roles *roles, __u32 bucket)
{
	const __u32 entry = roles->buckets ? *(const volatile __u32 *)&roles->buckets[bucket] : 0;

	return entry && entry <= MAX_CHAINS ? entry - 1 : NO_CHAIN;
}

__u32 roles_origin(const struct roles *roles, __u32 bucket)
{
	const volatile struct origin_value *origin =
		roles->origins ? &roles->origins[bucket] : NULL;
	const __u32 entry = origin ? origin->from : 0;

	return entry && entry <= MAX_CHAINS ? entry - 1 : NO_CHAIN;
}

__u32 roles_bucket(const struct session_key *key)
{
	return (__u32)key_hash(key) % BUCKETS;
}

struct transfer roles_transfer(int map)
{
	const __u32 only = 0;
	__u64 word = 0;

	if (map < 0 || bpf_map_lookup_elem(map, &only, &word))
		word = 0;
	return transfer_unpack(word);
}
