/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What nodes tell each other of those they do not exchange heartbeats with: SWIM (Das et al. 2002).
// A node is suspected by who no longer hears it, refutes that with a higher number, or is dead.
#pragma once

#include "modules/chain/rights.bpf.h"
#include "modules/heartbeat/lease.bpf.h"
#include "shared/heartbeat.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NODES);
	__type(key, __u32);
	__type(value, struct gossip_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} gossip SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bulletin_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} bulletin SEC(".maps");

inlined struct bulletin_value *bulletin_now(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&bulletin, &only);
}

inlined void news_write(struct beat_news *n, __u32 node, __u64 word)
{
	n->node = bpf_htons(node + 1);
	n->state = NEWS_STATE(word);
	n->side = SIDE_UNKNOWN;
	n->boot = bpf_htonl(NEWS_BOOT(word));
	n->rumour = bpf_htonl(NEWS_RUMOUR(word));
}

inlined __u64 news_read(const struct beat_news *n)
{
	__u32 rumour = bpf_ntohl(n->rumour);

	if (rumour >= BEAT_RUMOURS || n->state > BEAT_DEAD)
		return 0;
	return NEWS_WORD(rumour, (__u32)n->state, bpf_ntohl(n->boot));
}

// It goes with the next heartbeats.
inlined void news_push(__u32 node, __u64 now)
{
	struct bulletin_value *b = bulletin_now();
	__u32 place;

	if (!b)
		return;
	place = __sync_fetch_and_add(&b->pushed, 1) % FRESH;
	b->fresh[place].node = node;
	b->fresh[place].at_ns = now;
}

inlined void peer_set_alive(struct peer_value *p, __u32 alive)
{
	if (p->alive == alive)
		return;
	p->alive = alive;
	__sync_fetch_and_add(&p->loads, 1);
}

inlined void peer_set_boot(struct peer_value *p, __u32 boot)
{
	if (p->boot == boot)
		return;
	p->boot = boot;
	__sync_fetch_and_add(&p->loads, 1);
}

// Somebody says this of a node, perhaps of this one, which will refute it with its next round.
// Where two CPUs hear something at once, one of them may lose it: it will be told again.
verified int gossip_hear(__u32 node, __u64 word, __u64 now)
{
	struct gossip_value *g = bpf_map_lookup_elem(&gossip, &node);
	struct peer_value *p = bpf_map_lookup_elem(&peers, &node);
	__u64 known;

	if (!g || !p)
		return 0;
	known = *(volatile __u64 *)&g->told;
	if (word <= known)
		return 0;
	if (__sync_val_compare_and_swap(&g->told, known, word) != known)
		return 0;
	p->rumour = NEWS_RUMOUR(word);
	news_push(node, now);
	if (node == cfg.node || now - g->beaten_ns < BEAT_NS * DEAD_BEATS)
		return 0;
	peer_set_boot(p, NEWS_BOOT(word));
	peer_set_alive(p, NEWS_STATE(word) == BEAT_ALIVE);
	return 0;
}

// Of a node that heartbeats are exchanged with: whether it has been silent for too long. settled:
// so that its silence counts.
inlined void gossip_judge(__u32 node, struct peer_value *p, __u64 now, __u64 suspect_ns,
			  int settled)
{
	struct gossip_value *g = bpf_map_lookup_elem(&gossip, &node);
	__u64 heard = *(volatile __u64 *)&p->heard_ns, silence = now > heard ? now - heard : 0;
	__u64 known, word;
	__u32 worse;

	if (!g)
		return;
	g->beaten_ns = now;
	if (heard && silence < suspect_ns) {
		peer_set_alive(p, 1);
		return;
	}
	if (!settled)
		return;
	peer_set_alive(p, 0);
	known = g->told;
	worse = silence < suspect_ns + BEAT_NS * DEAD_BEATS ? BEAT_SUSPECTED : BEAT_DEAD;
	if (!known || NEWS_STATE(known) >= worse)
		return;
	word = NEWS_WORD((__u64)NEWS_RUMOUR(known), worse, NEWS_BOOT(known));
	if (__sync_val_compare_and_swap(&g->told, known, word) == known)
		news_push(node, now);
}

// What this round's heartbeats say, to everybody: this node's own word, then what is fresh, then
// what there is in turn.
verified int bulletin_compose(__u64 now)
{
	__u32 node = cfg.node, next, used = 1, i;
	struct gossip_value *g = bpf_map_lookup_elem(&gossip, &node);
	struct bulletin_value *b = bulletin_now();

	if (!g || !b)
		return 0;
	next = (b->current + 1) & 1;
	// What others say of this node is refuted with a higher number.
	if (NEWS_BOOT(g->told) != cfg.boot || NEWS_STATE(g->told) != BEAT_ALIVE)
		g->told = NEWS_WORD((__u64)NEWS_RUMOUR(g->told) + 1, BEAT_ALIVE, cfg.boot);
	__builtin_memset(b->news[next], 0, sizeof(b->news[0]));
	news_write(&b->news[next][0], node, g->told);
	LOOPED
	for (i = 1; i <= FRESH && used < BEAT_NEWS - 1; i++) {
		__u32 place = (b->pushed - i) % FRESH;

		node = b->fresh[place].node;
		if (!b->fresh[place].at_ns || now - b->fresh[place].at_ns > BEAT_NS * FRESH_BEATS)
			break;
		g = bpf_map_lookup_elem(&gossip, &node);
		if (g)
			news_write(&b->news[next][used++ & (BEAT_NEWS - 1)], node, g->told);
	}
	LOOPED
	for (i = 0; i < BEAT_NEWS && used < BEAT_NEWS - 1; i++) {
		node = b->cursor++ % MAX_NODES;
		g = bpf_map_lookup_elem(&gossip, &node);
		if (g && g->told)
			news_write(&b->news[next][used++ & (BEAT_NEWS - 1)], node, g->told);
	}
	// An answer that is being written meanwhile reads the other half.
	__sync_lock_test_and_set(&b->current, (__u64)next);
	return 0;
}

// The news of a heartbeat or answer to this node.
inlined void bulletin_copy(struct beat_news news[BEAT_NEWS], __u32 to, __u32 to_boot)
{
	struct gossip_value *g = bpf_map_lookup_elem(&gossip, &to);
	struct bulletin_value *b = bulletin_now();

	if (!b || !g)
		return;
	__builtin_memcpy(news, b->news[b->current & 1], sizeof(b->news[0]));
	if (g->told && (NEWS_STATE(g->told) != BEAT_ALIVE || NEWS_BOOT(g->told) != to_boot))
		news_write(&news[BEAT_NEWS - 1], to, g->told);
}
