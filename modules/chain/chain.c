// SPDX-License-Identifier: Apache-2.0
// A chain's term is one entry, so that a packet sees all of it or none. The bucket table is not:
// between two entries a packet may meet the old chain of its bucket, which passes it on.
#include "modules/chain/chain.h"

#define BUCKETS_BYTES ((size_t)BUCKETS * 2)

// Who votes about the chain's terms, for modules/term.
static int wish_entry(const Zeta__Node__V1__Chain *chain, struct entries *entries)
{
	struct chain_wish wish = {.move = chain->move,
				  .moving = chain->moving,
				  .voters = {.epoch = chain->epoch,
					     .count = (__u32)chain->n_voter,
					     .replicas = chain->replicas,
					     .founded = chain->founded},
				  .listed = chain->forced ?: chain->founded};
	size_t i, k;

	if (chain->n_voter > MAX_VOTERS)
		return entries_refuse(entries, "%zu voters, not 1 to %u", chain->n_voter,
				      MAX_VOTERS);
	if (!chain->epoch || !chain->founded || chain->founded > chain->epoch)
		return entries_refuse(entries, "epoch %u, founded in %u", chain->epoch,
				      chain->founded);
	if (chain->forced && (chain->forced < chain->founded || chain->forced > chain->epoch))
		return entries_refuse(entries, "epoch %u, founded in %u, forced in %u",
				      chain->epoch, chain->founded, chain->forced);
	// One place of the path is the learner's.
	if (!chain->replicas || chain->replicas >= DFT_PATH_MOST)
		return entries_refuse(entries, "%u replicas, not 1 to %u", chain->replicas,
				      DFT_PATH_MOST - 1);
	for (i = 0; i < chain->n_voter; i++) {
		const struct dft_name name = {chain->voter[i]->node, chain->voter[i]->boot};

		if (name.node >= MAX_NODES || !name.boot)
			return entries_refuse(entries, "voter %u with boot id %u", name.node,
					      name.boot);
		for (k = 0; k < i; k++)
			if (wish.voters.voter[k].node == name.node)
				return entries_refuse(entries, "voter %u is there twice",
						      name.node);
		wish.voters.voter[i] = name;
	}
	return entries->put(entries, TABLE_WISHES, &chain->number, &wish);
}

int chain_entries(const Zeta__Node__V1__Chain *chain, struct entries *entries)
{
	struct chain_value value = {
		.epoch = chain->epoch,
		.term = chain->term,
		.live = (__u16)chain->n_live,
		.learner = chain->learner > 0,
	};
	const __u32 most = chain->n_voter ? MAX_CHAINS : KNOWN_CHAINS;
	size_t i;

	if (chain->number >= most)
		return entries_refuse(entries, "number %u is beyond %u", chain->number, most);
	// Without voters the controller itself says what the term is; so of another cluster's.
	if (chain->n_voter)
		return wish_entry(chain, entries);
	if (!chain->n_live || chain->n_live + value.learner > MAX_CHAIN_LENGTH)
		return entries_refuse(entries, "%zu replicas, not 1 to %u", chain->n_live,
				      MAX_CHAIN_LENGTH);
	for (i = 0; i < chain->n_live; i++)
		value.node[i] = chain->live[i];
	if (value.learner)
		value.node[i++] = chain->learner - 1;
	while (i-- > 0)
		if (value.node[i] >= MAX_NODES)
			return entries_refuse(entries, "node index %u is beyond %u", value.node[i],
					      MAX_NODES);
	return entries->put(entries, TABLE_CHAINS, &chain->number, &value);
}

// The number of a chain + 1 in a table, 0: none.
static __u32 chain_in(const ProtobufCBinaryData *table, __u32 bucket)
{
	const __u8 *at = table->data + (size_t)2 * bucket;

	return (__u32)at[0] << 8 | at[1];
}

// M8.
int transfer_entries(const Zeta__Node__V1__Transfer *transfer, struct entries *entries)
{
	const struct transfer value = {.number = transfer->number,
				       .vni = transfer->vni,
				       .begun = transfer->begun != 0,
				       .over = transfer->over != 0};
	const __u64 word = transfer_pack(&value);
	const __u32 only = 0;
	__u32 bucket;
	int err;

	if (!value.number || !value.vni || value.vni >> 24)
		return entries_refuse(entries, "transfer %u of VNI %u", value.number, value.vni);
	if (!value.over &&
	    (transfer->chain.len != BUCKETS_BYTES || transfer->from.len != BUCKETS_BYTES))
		return entries_refuse(entries, "chain is %zu bytes, from %zu, not %zu",
				      transfer->chain.len, transfer->from.len, BUCKETS_BYTES);
	for (bucket = 0; bucket < BUCKETS && !value.over; bucket++) {
		const __u32 place = bucket + BUCKETS, to = chain_in(&transfer->chain, bucket);
		const struct origin_value origin = {
			.move = value.number, .from = (__u16)chain_in(&transfer->from, bucket)};

		if (!to || to > KNOWN_CHAINS || !origin.from || origin.from > KNOWN_CHAINS)
			return entries_refuse(entries, "bucket %u goes from chain %u to %u", bucket,
					      origin.from - 1u, to - 1);
		if ((err = entries->put(entries, TABLE_ORIGINS, &place, &origin)) ||
		    (err = entries->put(entries, TABLE_BUCKETS, &place, &to)))
			return err;
	}
	return entries->put(entries, TABLE_TRANSFER, &only, &word);
}

int buckets_entries(const Zeta__Node__V1__Buckets *buckets, struct entries *entries)
{
	const __u8 *bytes = buckets->chain.data, *from = buckets->from.data;
	__u32 bucket, chain, chains = 0, only = 0;
	__u8 seen[MAX_CHAINS + 1] = {1};
	struct origin_value origin;
	int err;

	if (buckets->chain.len != BUCKETS_BYTES)
		return entries_refuse(entries, "chain is %zu bytes, not %zu", buckets->chain.len,
				      BUCKETS_BYTES);
	if (buckets->from.len && (buckets->from.len != BUCKETS_BYTES || !buckets->move))
		return entries_refuse(entries, "from is %zu bytes, of move %u", buckets->from.len,
				      buckets->move);
	for (bucket = 0; bucket < BUCKETS; bucket++) {
		origin = (struct origin_value){.move = buckets->move};
		if (buckets->from.len) {
			origin.from = (__u16)(from[0] << 8 | from[1]);
			from += 2;
		}
		if (origin.from > MAX_CHAINS)
			return entries_refuse(entries, "bucket %u comes from chain %u", bucket,
					      origin.from - 1);
		chain = (__u32)bytes[0] << 8 | bytes[1];
		bytes += 2;
		if (chain > MAX_CHAINS)
			return entries_refuse(entries, "bucket %u names chain %u", bucket,
					      chain - 1);
		// Of those that stay, too: an earlier move of theirs is over.
		if (origin.move && (err = entries->put(entries, TABLE_ORIGINS, &bucket, &origin)))
			return err;
		chains += !seen[chain];
		seen[chain] = 1;
		if ((err = entries->put(entries, TABLE_BUCKETS, &bucket, &chain)))
			return err;
	}
	return entries->put(entries, TABLE_CHAIN_COUNT, &only, &chains);
}
