// SPDX-License-Identifier: Apache-2.0
// Two maps, summed by VPC: what the forwarder refused, and what the flow table node holds as head.
#include "modules/limits/limits.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/own.h"
#include "shared/tenant.h"
#include "shared/view.h"

#define BATCH 512
#define REST_MS 1000
#define REST_TIMES 9 // as long as reading took

struct usage {
	struct hash_entry entry; // by VNI
	struct vpc_usage sum;
};

static struct vpc_usage *sum_of(struct hash *sums, __u32 vni)
{
	__u64 hash = hash_bytes(&vni, sizeof(vni), 0);
	struct hash_entry *entry = hash_first(sums, hash);
	struct usage *usage;

	for (; entry; entry = hash_next(entry)) {
		usage = container_of_entry(entry, struct usage, entry);
		if (usage->sum.vni == vni)
			return &usage->sum;
	}
	usage = calloc(1, sizeof(*usage));
	if (!usage)
		return NULL;
	usage->sum.vni = vni;
	if (hash_add(sums, &usage->entry, hash)) {
		free(usage);
		return NULL;
	}
	return &usage->sum;
}

static int is_head(const struct datapath *datapath, __u32 chain)
{
	int map = datapath->tables[TABLE_CHAINS];
	struct chain_value value;

	return map >= 0 && !bpf_map_lookup_elem(map, &chain, &value) && value.live &&
	       value.node[0] == datapath->settings.index;
}

static void add_asking(const struct datapath *datapath, struct hash *sums, const void *key,
		       const void *value)
{
	const struct asking_value *asking = value;
	__u32 vni = *(const __u32 *)key >> 8;
	struct vpc_usage *sum = asking->refused ? sum_of(sums, vni) : NULL;

	if (sum)
		sum->refused_first_packets += asking->refused;
}

static __u64 at_least_none(__s64 count)
{
	return count > 0 ? (__u64)count : 0;
}

// Every replica counts sessions, and the head's count is told. What it refused it refused.
static void add_usage(const struct datapath *datapath, struct hash *sums, const void *key,
		      const void *value)
{
	int vpcs = datapath->tables[TABLE_VPCS], usages = datapath->own[MAP_USAGE];
	const struct usage_key *k = key;
	const struct usage_value *usage = value;
	struct vpc_value vpc;
	struct vpc_usage *sum;

	if (usage->sessions <= 0 && vpcs >= 0 && bpf_map_lookup_elem(vpcs, &k->vni, &vpc) &&
	    errno == ENOENT) {
		bpf_map_delete_elem(usages, k);
		return;
	}
	sum = sum_of(sums, k->vni);
	if (!sum)
		return;
	sum->refused_sessions += usage->refused;
	sum->refused_half_open += usage->refused_half_open;
	if (!is_head(datapath, k->chain))
		return;
	sum->sessions += at_least_none(usage->sessions);
	sum->half_open += at_least_none(usage->half_open);
}

static void each(const struct datapath *datapath, enum own_map own, size_t key_size,
		 size_t value_size, struct hash *sums,
		 void (*add)(const struct datapath *, struct hash *, const void *, const void *))
{
	auto_(freep) __u8 *keys = malloc(BATCH * key_size);
	auto_(freep) __u8 *values = malloc(BATCH * value_size);
	int map = datapath->own[own], err = 0, begun = 0;
	__u64 cursor = 0; // as large as any key
	__u32 count, i;

	if (map < 0 || !keys || !values)
		return;
	while (!err) {
		count = BATCH;
		err = bpf_map_lookup_batch(map, begun ? &cursor : NULL, &cursor, keys, values,
					   &count, NULL);
		if (err && errno != ENOENT)
			return;
		begun = 1;
		for (i = 0; i < count; i++)
			add(datapath, sums, keys + i * key_size, values + i * value_size);
	}
}

static __u64 refusals(const struct vpc_usage *usage)
{
	return usage->refused_first_packets + usage->refused_sessions + usage->refused_half_open;
}

static int is_before(const struct vpc_usage *a, const struct vpc_usage *b)
{
	if (refusals(a) != refusals(b))
		return refusals(a) > refusals(b);
	return a->sessions != b->sessions ? a->sessions > b->sessions : a->vni < b->vni;
}

static void insert(struct limits *limits, const struct vpc_usage *usage)
{
	__u32 at = limits->vpcs < VPCS_TOLD ? limits->vpcs++ : VPCS_TOLD;

	for (; at > 0 && is_before(usage, &limits->vpc[at - 1]); at--)
		if (at < VPCS_TOLD)
			limits->vpc[at] = limits->vpc[at - 1];
	if (at < VPCS_TOLD)
		limits->vpc[at] = *usage;
}

static void read_all(struct limits *limits, const struct datapath *datapath)
{
	struct hash_walk walk = {};
	struct hash_entry *entry;
	struct hash sums = {};

	each(datapath, MAP_ASKING, sizeof(__u32), sizeof(struct asking_value), &sums, add_asking);
	each(datapath, MAP_USAGE, sizeof(struct usage_key), sizeof(struct usage_value), &sums,
	     add_usage);
	limits->vpcs = 0;
	while ((entry = hash_walk(&sums, &walk))) {
		struct usage *usage = container_of_entry(entry, struct usage, entry);

		insert(limits, &usage->sum);
		hash_remove(&sums, entry);
		free(usage);
	}
	hash_free(&sums);
}

void limits_tell(struct limits *limits, const struct datapath *datapath, struct node_status *status)
{
	__u64 began = now_ms(), took;

	if (began >= limits->next_ms) {
		read_all(limits, datapath);
		took = now_ms() - began;
		limits->next_ms =
			began + took + (took * REST_TIMES > REST_MS ? took * REST_TIMES : REST_MS);
	}
	status->vpcs = limits->vpcs;
	memcpy(status->vpc, limits->vpc, sizeof(status->vpc));
}
