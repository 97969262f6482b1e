// SPDX-License-Identifier: Apache-2.0
// Three maps, summed by VPC: what the forwarder refused, and what the flow table node holds as
// head.
#include "modules/limits/limits.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/log.h"
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

struct reading {
	const struct datapath *datapath;
	struct hash sums;
};

static void add_asking(void *context, const void *key, const void *value)
{
	struct reading *r = context;
	const struct asking_value *asking = value;
	__u32 vni = *(const __u32 *)key >> 8;
	struct vpc_usage *sum = asking->refused ? sum_of(&r->sums, vni) : NULL;

	if (sum)
		sum->refused_first_packets += asking->refused;
}

static int is_gone(const struct datapath *datapath, __u32 vni)
{
	int vpcs = datapath->tables[TABLE_VPCS];
	struct vpc_value vpc;

	return vpcs >= 0 && bpf_map_lookup_elem(vpcs, &vni, &vpc) && errno == ENOENT;
}

static void add_bucket(void *context, const void *key, const void *value)
{
	struct reading *r = context;
	const struct vpc_bucket *bucket = value;
	__u32 vni = *(const __u32 *)key;
	struct vpc_usage *sum;

	if (is_gone(r->datapath, vni)) {
		bpf_map_delete_elem(r->datapath->own[MAP_VPC_BUCKETS], &vni);
		return;
	}
	sum = bucket->refused ? sum_of(&r->sums, vni) : NULL;
	if (sum)
		sum->refused_packets += bucket->refused;
}

static __u64 at_least_none(__s64 count)
{
	return count > 0 ? (__u64)count : 0;
}

// Every replica counts sessions, and the head's count is told. What it refused it refused.
static void add_usage(void *context, const void *key, const void *value)
{
	struct reading *r = context;
	const struct usage_key *k = key;
	const struct usage_value *usage = value;
	struct vpc_usage *sum;

	if (usage->sessions <= 0 && is_gone(r->datapath, k->vni)) {
		bpf_map_delete_elem(r->datapath->own[MAP_USAGE], k);
		return;
	}
	sum = sum_of(&r->sums, k->vni);
	if (!sum)
		return;
	sum->refused_sessions += usage->refused;
	sum->refused_half_open += usage->refused_half_open;
	if (!is_head(r->datapath, k->chain))
		return;
	sum->sessions += at_least_none(usage->sessions);
	sum->half_open += at_least_none(usage->half_open);
}

static void each(const struct datapath *datapath, enum own_map own, size_t key_size,
		 size_t value_size, void (*fn)(void *context, const void *key, const void *value),
		 void *context)
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
			fn(context, keys + i * key_size, values + i * value_size);
	}
}

void limits_each_usage(const struct datapath *datapath,
		       void (*fn)(void *context, const void *key, const void *value), void *context)
{
	each(datapath, MAP_USAGE, sizeof(struct usage_key), sizeof(struct usage_value), fn,
	     context);
}

static __u64 refusals(const struct vpc_usage *usage)
{
	return usage->refused_first_packets + usage->refused_sessions + usage->refused_half_open +
	       usage->refused_packets;
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
	struct reading r = {.datapath = datapath};
	struct hash_walk walk = {};
	struct hash_entry *entry;

	each(datapath, MAP_ASKING, sizeof(__u32), sizeof(struct asking_value), add_asking, &r);
	each(datapath, MAP_VPC_BUCKETS, sizeof(__u32), sizeof(struct vpc_bucket), add_bucket, &r);
	limits_each_usage(datapath, add_usage, &r);
	limits->vpcs = 0;
	while ((entry = hash_walk(&r.sums, &walk))) {
		struct usage *usage = container_of_entry(entry, struct usage, entry);

		insert(limits, &usage->sum);
		hash_remove(&r.sums, entry);
		free(usage);
	}
	hash_free(&r.sums);
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

struct wiping {
	const struct datapath *datapath;
	int (*is_wiped)(const void *context, const struct usage_key *key);
	const void *context;
};

static void forget(void *context, const void *key, const void *value)
{
	const struct wiping *w = context;

	if (w->is_wiped(w->context, key))
		bpf_map_delete_elem(w->datapath->own[MAP_USAGE], key);
}

void limits_wiped(const struct datapath *datapath, __u64 removed,
		  int (*is_wiped)(const void *context, const struct usage_key *key),
		  const void *context)
{
	struct wiping w = {datapath, is_wiped, context};
	int map = datapath->own[MAP_RECORDS];
	void *records;

	limits_each_usage(datapath, forget, &w);
	if (map < 0)
		return;
	records = mmap(NULL, sizeof(__s64), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (records == MAP_FAILED) {
		log_warn("the number of records cannot be set right");
		return;
	}
	__atomic_fetch_sub((__s64 *)records, (__s64)removed, __ATOMIC_RELAXED);
	munmap(records, sizeof(__s64));
}
