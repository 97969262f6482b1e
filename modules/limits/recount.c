// SPDX-License-Identifier: Apache-2.0
#include "modules/limits/recount.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "dft/core.h"
#include "lib/log.h"
#include "modules/limits/limits.h"
#include "shared/tenant.h"

enum recount_wanted {
	RECOUNT_DONE,
	RECOUNT_QUIET, // of what nothing changed while it was counted
	RECOUNT_ALL,
};

struct count {
	struct hash_entry entry; // by key
	struct usage_key key;
	__s64 sessions, half_open; // seen in this round
	struct usage_value before; // as the kernel had it when the round began
	int there;		   // .. and does
};

static struct count *count_of(struct recount *r, const struct usage_key *key)
{
	const uint64_t hash = hash_bytes(key, sizeof(*key), 0);
	struct hash_entry *entry = hash_first(&r->counts, hash);
	struct count *count;

	for (; entry; entry = hash_next(entry)) {
		count = container_of_entry(entry, struct count, entry);
		if (count->key.vni == key->vni && count->key.chain == key->chain)
			return count;
	}
	count = calloc(1, sizeof(*count));
	if (!count)
		return NULL;
	count->key = *key;
	if (!hash_add(&r->counts, &count->entry, hash))
		return count;
	free(count);
	return NULL;
}

static void forget(struct recount *r)
{
	struct hash_walk walk = {};
	struct hash_entry *entry;

	while ((entry = hash_walk(&r->counts, &walk))) {
		hash_remove(&r->counts, entry);
		free(container_of_entry(entry, struct count, entry));
	}
	hash_free(&r->counts);
	r->begun = 0;
}

void recount_close(struct recount *r)
{
	forget(r);
}

void recount_follow(struct recount *r, __u32 move, int under_way)
{
	if (under_way) {
		forget(r);
		r->wanted = RECOUNT_DONE;
		r->move = 0;
	} else if (move != r->move) {
		forget(r);
		r->wanted = move ? RECOUNT_ALL : RECOUNT_DONE;
		r->move = move;
		r->fresh = 0;
	}
}

static void add_before(void *context, const void *key, const void *value)
{
	struct count *count = count_of(context, key);

	if (!count)
		return;
	count->before = *(const struct usage_value *)value;
	count->there = 1;
}

static void begin(struct recount *r)
{
	limits_each_usage(r->datapath, add_before, r);
	r->begun = 1;
}

// Half of what came meanwhile came before its place was read, as good as any guess. Returns whether
// something did come.
static int set_right(struct recount *r, const struct count *count)
{
	const int usages = r->datapath->own[MAP_USAGE];
	const struct usage_value *before = &count->before;
	struct usage_value now = {};
	__s64 sessions, half_open;
	int busy;

	if (bpf_map_lookup_elem(usages, &count->key, &now))
		now = (struct usage_value){};
	busy = now.sessions != before->sessions || now.half_open != before->half_open;
	if (busy && r->wanted == RECOUNT_QUIET)
		return 1;
	sessions = count->sessions - (before->sessions + now.sessions) / 2;
	half_open = count->half_open - (before->half_open + now.half_open) / 2;
	if (!sessions && !half_open)
		return busy;
	now.sessions += sessions;
	now.half_open += half_open;
	if (bpf_map_update_elem(usages, &count->key, &now, BPF_ANY))
		log_warn("the sessions of VPC %u cannot be counted anew", count->key.vni);
	return busy;
}

static void finish(struct recount *r)
{
	struct hash_walk walk = {};
	struct hash_entry *entry;
	int busy = 0;

	while ((entry = hash_walk(&r->counts, &walk)))
		busy |= set_right(r, container_of_entry(entry, struct count, entry));
	forget(r);
	r->wanted = busy ? RECOUNT_QUIET : RECOUNT_DONE;
}

void recount_look(struct recount *r, const struct session_key *key, const struct dft_record *record)
{
	struct usage_key of;
	struct count *count;

	if (!r->wanted)
		return;
	if (r->fresh)
		begin(r);
	r->fresh = !key;
	if (!r->begun)
		return;
	if (!key) {
		finish(r);
		return;
	}
	if (record->life != DFT_LIVE)
		return;
	of.vni = (__u32)key->vni[0] << 16 | (__u32)key->vni[1] << 8 | key->vni[2];
	of.chain = roles_chain(r->roles, roles_bucket(key));
	count = of.chain == NO_CHAIN ? NULL : count_of(r, &of);
	if (!count)
		return;
	count->sessions++;
	count->half_open += key->protocol == IPPROTO_TCP && !(record->state & DFT_ALIAS) &&
			    !dft_state_answered(record->state);
}
