/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The session tables without a gateway around them: one op at a time, for a test that compares what
// implements them, and many, for measurements.
#include "bench/sessions.h"
#include "modules/session/probe.h"
#include "modules/session/session.bpf.h"

const volatile struct gateway_config cfg;
struct driving driving;

// One op; the packet is a struct probe.
SEC("xdp")
int probe(struct xdp_md *ctx)
{
	struct session_room *room = session_room();
	struct packet p = packet_of(ctx);
	struct probe *probe = take(&p, sizeof(*probe));
	struct cache_value *value;
	const struct dft_record *record;
	struct session_key key;
	struct cached c;
	__u32 *floor;
	__u64 hash;

	if (!probe || !room)
		return XDP_ABORTED;
	key = probe->key;
	hash = key_hash(&key);
	__builtin_memset(&room->change, 0, sizeof(room->change));
	room->outcome = 0;
	switch (probe->op) {
	case PROBE_READ:
		probe->result = session_read(&key, hash, 0, room);
		if (probe->result)
			probe->record = room->change.record;
		return XDP_PASS;
	case PROBE_INSERT:
	case PROBE_UPDATE:
	case PROBE_COPY:
	case PROBE_DELETE:
	case PROBE_COLLECT:
	case PROBE_REMOVE:
	case PROBE_COPY_READ:
		floor = session_floor_of(0);
		if (!floor)
			return XDP_ABORTED;
		*floor = probe->floor;
		room->change.step = probe->op - PROBE_INSERT;
		room->change.floor = probe->told;
		room->change.seen = probe->seen;
		room->change.record = probe->record;
		probe->result = session_change(&key, hash, room);
		probe->outcome = room->outcome;
		probe->before = room->before;
		probe->after = room->after;
		probe->floor = room->change.floor;
		probe->record = room->change.record;
		return XDP_PASS;
	case PROBE_STORE:
		value = &room->reply;
		__builtin_memset(value, 0, sizeof(*value));
		value->record = probe->record;
		value->asked_ms = probe->asked_ms;
		value->stateful = probe->stateful;
		cache_store(&key, hash, value);
		return XDP_PASS;
	case PROBE_FIND:
		probe->result = cache_find(&key, hash, probe->direction & 1, &c);
		if (!probe->result)
			return XDP_PASS;
		probe->record.towards[0] = c.decision;
		probe->record.policy = c.policy;
		probe->asked_ms = c.asked_ms;
		probe->stateful = c.stateful | (c.news ? 2 : 0);
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

// What is recorded for a session that is measured with.
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

	bench_key(&key, bench_random(&driving));
	return key_hash(&key) ? XDP_DROP : XDP_ABORTED;
}

SEC("xdp")
int time_read(struct xdp_md *ctx __attribute__((unused)))
{
	struct session_room *room = session_room();
	struct session_key key;

	bench_key(&key, bench_random(&driving));
	return room && session_read(&key, key_hash(&key), 0, room) ? XDP_DROP : XDP_ABORTED;
}

// A session that is not there yet, at the head. They end when all are.
SEC("xdp")
int time_insert(struct xdp_md *ctx __attribute__((unused)))
{
	struct session_room *room = session_room();
	struct session_key key;

	if (!room || driving.next >= driving.sessions)
		return XDP_ABORTED;
	// An odd factor: all of them once, where there is a power of two of them, and in no order.
	bench_key(&key, driving.next++ * 2654435761u & (driving.sessions - 1));
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
	bench_key(&key, bench_random(&driving));
	__builtin_memset(&room->change, 0, sizeof(room->change));
	room->change.step = SESSION_COPY;
	record_of_number(&room->change.record);
	room->change.record.stamp.counter = ++driving.next + 1;
	room->change.record.incarnation.counter = 1;
	return session_change(&key, key_hash(&key), room) == GO_ON && room->outcome == DFT_STORED
		       ? XDP_DROP
		       : XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
