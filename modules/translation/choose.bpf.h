/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Which source port a translated session gets: one whose alias nobody has. Who has it for certain
// only its chain's head says (docs/dft.md A1); what this node holds of the flow table is a good
// guess.
#pragma once

#include "modules/chain/chain.bpf.h"
#include "modules/nat/nat.bpf.h"
#include "modules/translation/translation.bpf.h"

#define CHOICES_MOST 2048 // ports that are looked at: with one in 15 free none of them is rarely

// Where none was found a moment ago none is looked for: to look at many costs as much as to handle
// many packets. Key: the alias without its port; the value: bpf_ktime_get_coarse_ns() until which.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_USED_UP);
	__type(key, struct session_key);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} used_up SEC(".maps");

struct choosing {
	__u32 start;
	__u32 found; // port; 0: none yet
	__u32 other; // of a chain that this node has nothing of; 0: none
};

// The translation gets the port, and room->other the packets that it makes.
inlined void choose_this(struct evaluation *e, struct session_room *room, __u32 port)
{
	e->translation.source_port = bpf_htons(port);
	if (e->protocol == IPPROTO_ICMP)
		e->translation.destination_port = bpf_htons(port);
	translation_flow(&e->translation, &e->key, &room->other);
}

// Whether the port leads inside by a NAT's word already.
inlined int choose_leads(const struct evaluation *e)
{
	struct nat_forward_key key = {.vni = vni_of(e->translation.vni),
				      .address = e->translation.source,
				      .port = e->translation.source_port,
				      .protocol = e->protocol};

	return bpf_map_lookup_elem(&nat_forwards, &key) != NULL;
}

static long choose_look(__u32 i, struct choosing *c)
{
	struct session_room *room = session_room();
	struct evaluation *e = evaluation_now();
	const struct chain_value *chain;
	__u32 number, port;
	__u64 hash;

	if (!room || !e || !e->choices)
		return 1;
	port = e->first_choice + (c->start + i) % e->choices;
	choose_this(e, room, port);
	hash = key_hash(&room->other.key);
	chain = chain_of((__u32)hash % BUCKETS, &number);
	if (!chain)
		return 0;
	if (chain_place(chain) < 0) {
		if (!c->other && !(e->begins_mapping && choose_leads(e)))
			c->other = port;
		return 0;
	}
	if (session_is_there(&room->other.key, hash) || (e->begins_mapping && choose_leads(e)))
		return 0;
	c->found = port;
	return 1;
}

enum choice { CHOSEN, NONE_FREE, NO_GUESSES };

// guesses: whether it may be one that perhaps is taken.
inlined enum choice choose_port(struct evaluation *e, int guesses)
{
	struct choosing c = {.start = bpf_get_prandom_u32() >> 8};
	struct session_room *room = session_room();
	__u64 now = bpf_ktime_get_coarse_ns(), until;
	const __u64 *seen;

	if (!room)
		return NONE_FREE;
	choose_this(e, room, 0);
	room->asked = room->other.key;
	seen = bpf_map_lookup_elem(&used_up, &room->asked);
	if (seen && now < *seen)
		return NONE_FREE;
	bpf_loop(CHOICES_MOST < e->choices ? CHOICES_MOST : e->choices, choose_look, &c, 0);
	if (!c.found && !c.other) {
		until = now + USED_UP_MS * 1000000ull;
		bpf_map_update_elem(&used_up, &room->asked, &until, BPF_ANY);
		return NONE_FREE;
	}
	if (!c.found && !guesses)
		return NO_GUESSES;
	choose_this(e, room, c.found ? c.found : c.other);
	e->choices = 0;
	return CHOSEN;
}
