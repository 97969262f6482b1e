// SPDX-License-Identifier: Apache-2.0
#include "modules/chain/roles.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "shared/key.h"
#include "shared/view.h"

struct roles_room {
	union {
		struct {
			__u32 number[MAX_CHAINS];
			struct chain_value chain[MAX_CHAINS];
		};
		struct {
			__u32 bucket[BUCKETS];
			__u32 entry[BUCKETS];
		};
	};
};

int roles_open(struct roles *roles)
{
	struct roles_room *room = malloc(sizeof(*room));
	int i;

	if (!room)
		return -ENOMEM;
	*roles = (struct roles){.room = room};
	for (i = 0; i < BUCKETS; i++)
		roles->chain[i] = NO_CHAIN;
	return 0;
}

void roles_close(struct roles *roles)
{
	free(roles->room);
	roles->room = NULL;
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

void roles_read_chains(struct roles *roles, int chains, __u32 self, __u32 now_s)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct roles_room *room = roles->room;
	__u32 count = MAX_CHAINS, cursor, i;
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
	}
	for (i = 0; i < MAX_CHAINS; i++)
		if (!there[i])
			roles->role[i].term = 0;
}

void roles_read_buckets(struct roles *roles, int buckets)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct roles_room *room = roles->room;
	__u32 count = BUCKETS, cursor, i;

	if (buckets < 0 || (bpf_map_lookup_batch(buckets, NULL, &cursor, room->bucket, room->entry,
						 &count, &options) &&
			    errno != ENOENT))
		count = 0;
	for (i = 0; i < BUCKETS; i++)
		roles->chain[i] = i < count && room->entry[i] && room->entry[i] <= MAX_CHAINS
					  ? (__u16)(room->entry[i] - 1)
					  : NO_CHAIN;
}

__u16 roles_chain(const struct roles *roles, const struct session_key *key, __u32 *bucket)
{
	*bucket = (__u32)key_hash(key) % BUCKETS;
	return roles->chain[*bucket];
}
