/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The session tables without a gateway around them: one op at a time, for a test that compares what
// implements them, and many, for measurements.
#include "modules/session/session.bpf.h"
#include "modules/session/probe.h"

const volatile struct gateway_config cfg;
struct probe_load load;

// One op; the packet is a struct probe.
SEC("xdp")
int probe(struct xdp_md *ctx)
{
	struct session_room *room = session_room();
	struct packet p = packet_of(ctx);
	struct probe *probe = take(&p, sizeof(*probe));
	struct cache_value value = {};
	const struct dft_record *record;
	struct session_key key;
	struct cached c;
	__u64 hash;

	if (!probe || !room)
		return XDP_ABORTED;
	key = probe->key;
	hash = key_hash(&key);
	__builtin_memset(&room->change, 0, sizeof(room->change));
	room->outcome = 0;
	switch (probe->op) {
	case PROBE_READ:
		probe->result = session_read(&key, hash, &room->change.record);
		if (probe->result)
			probe->record = room->change.record;
		return XDP_PASS;
	case PROBE_INSERT:
	case PROBE_UPDATE:
	case PROBE_COPY:
		room->change.step = probe->op == PROBE_INSERT	? SESSION_INSERT
				    : probe->op == PROBE_UPDATE ? SESSION_UPDATE
								: SESSION_COPY;
		room->change.floor = probe->floor;
		room->change.seen = probe->seen;
		room->change.record = probe->record;
		probe->result = session_change(&key, hash, room);
		probe->outcome = room->outcome;
		probe->floor = room->change.floor;
		probe->record = room->change.record;
		return XDP_PASS;
	case PROBE_STORE:
		value.record = probe->record;
		value.asked_ms = probe->asked_ms;
		value.stateful = probe->stateful;
		cache_store(&key, hash, &value);
		return XDP_PASS;
	case PROBE_FIND:
		probe->result = cache_find(&key, hash, probe->direction & 1, &c);
		if (!probe->result)
			return XDP_PASS;
		probe->record.towards[0] = c.decision;
		probe->record.policy = c.policy;
		probe->asked_ms = c.asked_ms;
		probe->stateful = c.stateful;
		return XDP_PASS;
	case PROBE_RECORD:
		record = cache_record(&key, hash);
		probe->result = record ? 1 : 0;
		if (record)
			probe->record = *record;
		return XDP_PASS;
	default:
		return XDP_ABORTED;
	}
}

// The key of a session of a measurement, and what is recorded for it.
inlined void key_of_number(struct session_key *key, __u32 i)
{
	key->a = address_of_v4(bpf_htonl(0x0A010000 | (i & 0xFFFF)));
	key->b = address_of_v4(bpf_htonl(0x0A020000 | i >> 16));
	key->a_port = bpf_htons(1024 + (i & 0x3FFF));
	key->b_port = bpf_htons(80);
	vni_put(key->vni, 1);
	key->protocol = IPPROTO_TCP;
}

inlined __u32 random_number(void)
{
	load.random ^= load.random << 13;
	load.random ^= load.random >> 7;
	load.random ^= load.random << 17;
	return (load.random >> 32) * load.sessions >> 32;
}

inlined void record_of_number(struct dft_record *r)
{
	r->life = DFT_LIVE;
	r->towards[0].action = r->towards[1].action = DECIDE_FORWARD;
	r->towards[0].host = r->towards[1].host = address_of_v4(bpf_htonl(0xC0A80001));
}

// What each of them costs without a table.
SEC("xdp")
int time_nothing(struct xdp_md *ctx __attribute__((unused)))
{
	struct session_key key;

	key_of_number(&key, random_number());
	return key_hash(&key) ? XDP_DROP : XDP_ABORTED;
}

SEC("xdp")
int time_read(struct xdp_md *ctx __attribute__((unused)))
{
	struct session_room *room = session_room();
	struct session_key key;

	key_of_number(&key, random_number());
	return room && session_read(&key, key_hash(&key), &room->change.record) ? XDP_DROP
										: XDP_ABORTED;
}

// A session that is not there yet, at the head. They end when all are.
SEC("xdp")
int time_insert(struct xdp_md *ctx __attribute__((unused)))
{
	struct session_room *room = session_room();
	struct session_key key;

	if (!room || load.next >= load.sessions)
		return XDP_ABORTED;
	// An odd factor: all of them once, where there is a power of two of them, and in no order.
	key_of_number(&key, load.next++ * 2654435761u & (load.sessions - 1));
	__builtin_memset(&room->change, 0, sizeof(room->change));
	room->change.step = SESSION_INSERT;
	record_of_number(&room->change.record);
	return session_change(&key, key_hash(&key), room) == GO_ON && room->outcome == DFT_STORED
		       ? XDP_DROP
		       : XDP_ABORTED;
}

// A newer record of a session that is there, at a replica.
SEC("xdp")
int time_copy(struct xdp_md *ctx __attribute__((unused)))
{
	struct session_room *room = session_room();
	struct session_key key;

	if (!room)
		return XDP_ABORTED;
	key_of_number(&key, random_number());
	__builtin_memset(&room->change, 0, sizeof(room->change));
	room->change.step = SESSION_COPY;
	record_of_number(&room->change.record);
	room->change.record.stamp.counter = ++load.next + 1;
	room->change.record.incarnation.counter = 1;
	return session_change(&key, key_hash(&key), room) == GO_ON && room->outcome == DFT_STORED
		       ? XDP_DROP
		       : XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
