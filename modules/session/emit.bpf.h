/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Ops that no packet causes: the loader runs a program on frames of its own (live frames of
// BPF_PROG_TEST_RUN), each of which becomes the next op of the outbox. What the op says is read
// here, in the kernel, when it is sent.
#pragma once

#include "modules/chain/chain.bpf.h"
#include "modules/chain/move.bpf.h"
#include "modules/chain/outbox.bpf.h"
#include "modules/session/session.bpf.h"

#define LOOPBACK 1 // ifindex of every network namespace's

// O9. Whether what a head has of a key may go down its path: not what may be another chain's, nor
// of a VPC that is in another cluster by now, of which others have removed all.
inlined int emit_pushes(const struct outbox_entry *e, const struct move *m)
{
	const struct transfer t = transfer_now();

	return !move_elsewhere(m, e->chain) && !move_incomplete(m, e->chain) &&
	       !(t.over && !t.swept && t.vni == vni_of(e->key.vni));
}

// Whether this node may speak as the tail under the entry's term, or as the head about what it has
// alone, or a bucket that leaves the chain: of another term it is void.
inlined int emit_permitted(const struct outbox_entry *e, const struct chain_value *c,
			   const struct move *m)
{
	int place = chain_place(c);

	if (e->epoch != c->epoch || e->term != c->term || chain_fenced(e->chain, c))
		return 0;
	// A5: the head has whatever any of its path has.
	if (e->op == DFT_VERIFY)
		return !place && !move_elsewhere(m, e->chain);
	if (outbox_pushes(e))
		return !place && emit_pushes(e, m);
	if (e->op >= DFT_FENCE)
		return !place && m->from == e->chain + 1;
	// M7: what the new chain lacks the old one still has, so it must not be forgotten here.
	if ((e->op == DFT_DELETE || e->op == DFT_COLLECT) && move_elsewhere(m, e->chain))
		return 0;
	if (e->op == DFT_COLLECT && move_incomplete(m, e->chain))
		return 0;
	return place + 1 == c->live && chain_leased(e->chain, c);
}

// What an op of this node's own says, whatever it is about.
inlined void emit_head(struct dft_packet *d, __u8 op, __u32 chain, __u32 epoch, __u32 term)
{
	d->op.op = op;
	d->op.table = DFT_SESSIONS;
	d->op.epoch = bpf_htonl(epoch);
	d->op.term = bpf_htonl(term);
	d->op.chain = bpf_htonl(chain);
	address_of_config(&d->op.forwarder, &cfg.zgc_ip);
	mac_of_config(d->op.forwarder_mac, cfg.zgc_mac);
}

// The frame becomes the op of the entry; what is told says what was read.
inlined struct dft_packet *emit_write(struct xdp_md *ctx, const struct outbox_entry *e,
				      const struct session_key *key, __u32 floor,
				      const struct dft_record *read, const struct move *m,
				      __u32 place)
{
	__u32 chain = e->op == DFT_TOLD || e->op == DFT_WHOLE ? m->to - 1u : e->chain;
	struct dft_keyed *keyed;
	struct dft_packet *d;
	struct packet p;

	if (!op_begin(ctx, DFT_HEADERS_BYTES, vni_of(key->vni), key_hash(key)))
		return NULL;
	p = packet_of(ctx);
	d = op_of(&p);
	keyed = take(&p, sizeof(*keyed));
	if (!d || !keyed)
		return NULL;
	d->geneve.protocol = bpf_htons(DFT_KEYED);
	emit_head(d, e->op, chain, e->epoch, e->term);
	if (e->op == DFT_TOLD || e->op == DFT_VERIFY)
		record_write(d, read);
	else
		stamp_write(&d->op.stamp, e->stamp);
	d->op.floor = bpf_htonl(floor);
	d->op.bucket = bpf_htonl(key->protocol ? move_bucket_of(place) : place);
	__builtin_memcpy(keyed->key, key, sizeof(keyed->key));
	if (!key->protocol && m->number)
		move_write((struct dft_bucket_wire *)keyed->key, m, move_owned(place));
	keyed->serial = bpf_htonl(e->serial);
	return d;
}

// What this head has of a key; nothing, for the bucket alone. Returns 0 where there is nothing to
// send.
inlined int emit_read(struct outbox_entry *e, const struct session_key *key, struct dft_record *out)
{
	int found;

	__builtin_memset(out, 0, sizeof(*out));
	if (!key->protocol)
		return 1;
	found = session_peek(key, key_hash(key), out);
	// It was removed on all of the path: nobody lacks it.
	if (!found)
		e->state = OUTBOX_CONFIRMED;
	return found == 1;
}

// A5: asks the head of an alias' owner. That it is asked about counts as its use: for some seconds
// it is not asked about again.
inlined int emit_verify(struct xdp_md *ctx, struct outbox_entry *e, const struct session_key *key,
			const struct move *m, __u32 where, struct session_room *room)
{
	const struct dft_record *alias = &room->change.record;
	const struct chain_value *c;
	struct dft_packet *d;

	room->change.begins = room->change.answers = 0;
	if (session_read(key, key_hash(key), 0, room) != SESSION_FOUND ||
	    !(alias->state & DFT_ALIAS))
		return finish(ctx, EMIT_VOID);
	__builtin_memcpy(&room->asked, alias->alias.key, sizeof(room->asked));
	d = emit_write(ctx, e, key, 0, alias, m, where);
	if (!d)
		return finish(ctx, NO_ROOM);
	c = op_point(d, &room->asked);
	if (!c)
		return finish(ctx, NO_VIEW);
	return op_send_to_node(ctx, chain_whom(c, 0, 0), EMITTED_VERIFY);
}

// Says to a mapping's tail, of whichever chain, that a session of its is in this one.
inlined int emit_touch(struct xdp_md *ctx, const struct outbox_entry *e,
		       const struct session_key *key, const struct move *m, __u32 where)
{
	struct dft_packet *d = emit_write(ctx, e, key, 0, NULL, m, where);
	const struct chain_value *c;

	if (!d)
		return finish(ctx, NO_ROOM);
	c = op_point(d, key);
	if (!c)
		return finish(ctx, NO_VIEW);
	return op_send_to_node(ctx, chain_whom(c, 1, 0), EMITTED_TOUCH);
}

// Sends the next op of the outbox. One that is void by now is taken all the same.
inlined int emit_next(struct xdp_md *ctx)
{
	struct session_room *room = session_room();
	enum verdict v = EMITTED_COLLECT;
	const struct chain_value *c;
	struct outbox_place *place;
	__u32 at = 0, node, floor, where;
	struct outbox_entry *e;
	struct session_key key;
	struct move m;

	// A live frame seems to come from there. To where the program is attached as well
	// (node/emitter.h) the kernel may send something of its own accord.
	if (ctx->ingress_ifindex != LOOPBACK)
		return XDP_DROP;
	place = bpf_map_lookup_elem(&outbox_next, &at);
	if (!room || !place)
		return finish(ctx, BUG);
	place->now_s = session_now_s();
	e = outbox_at(place->next);
	if (!e)
		return finish(ctx, BUG);
	// The loader asks for the time: this is no frame that goes anywhere.
	if (*(volatile __u32 *)&e->state != OUTBOX_TO_SEND)
		return XDP_DROP;
	if (e->op == DFT_COPY && e->key.protocol)
		return go_to(ctx, STEP_COPY_OUT);
	__sync_fetch_and_add(&place->next, 1);
	// A copy is as good as lost until the learner says otherwise.
	e->state = outbox_confirms(e->op) ? OUTBOX_SENT : OUTBOX_FREE;
	key = e->key;
	c = chain_find(e->chain);
	where = e->bucket;
	if (key.protocol)
		where = move_place(move_bucket_of(where), vni_of(key.vni));
	m = move_of(where);
	if (!c || !emit_permitted(e, c, &m))
		return finish(ctx, EMIT_VOID);
	node = chain_head(c);
	// Before the record: what is read is then at least as new.
	floor = session_floor(move_bucket_of(where));
	if (e->op == DFT_COPY) {
		__u32 live = c->live;

		if (!c->learner || live > MAX_CHAIN_LENGTH)
			return finish(ctx, EMIT_VOID);
		node = c->node[live];
		// M8: of a transfer that is over here: a learner to which it is, too, takes
		// nothing.
		if (!move_place_known(where, m.number)) {
			e->state = OUTBOX_CONFIRMED;
			return finish(ctx, EMIT_VOID);
		}
		v = EMITTED_COPY;
	} else if (outbox_pushes(e)) {
		v = EMITTED_PUSH;
	} else if (e->op == DFT_DELETE) {
		if (!session_condemn(&key, key_hash(&key), &e->stamp, e->used_s,
				     session_mark(e->epoch, e->term)))
			return finish(ctx, EMIT_VOID);
		v = EMITTED_DELETE;
	}
	if (e->op == DFT_TOUCH)
		return emit_touch(ctx, e, &key, &m, where);
	if (e->op == DFT_VERIFY)
		return emit_verify(ctx, e, &key, &m, where, room);
	if (e->op == DFT_TOLD || e->op == DFT_WHOLE) {
		const struct chain_value *to = chain_find(m.to - 1u);

		if (!to || (e->op == DFT_TOLD && !emit_read(e, &key, &room->draft.record)))
			return finish(ctx, EMIT_VOID);
		node = chain_whom(to, 0, 0);
	}
	if (e->op >= DFT_FENCE)
		v = EMITTED_MOVE;
	if (!emit_write(ctx, e, &key, floor, &room->draft.record, &m, where))
		return finish(ctx, NO_ROOM);
	return op_send_to_node(ctx, node, v);
}

// M5. Item i of the frame says what this tail has of the key of an entry. Returns 0 where there is
// nothing to say.
verified int emit_item(struct xdp_md *ctx, struct outbox_entry *e, __u32 i)
{
	struct session_room *room = session_room();
	struct packet p = packet_of(ctx);
	struct session_key *key;
	struct dft_item *item;
	__u32 floor;

	p.at += DFT_HEADERS_BYTES + sizeof(struct dft_bulk) + i % DFT_BULK_MOST * sizeof(*item);
	item = take(&p, sizeof(*item));
	if (!room || !e || !item)
		return 0;
	key = &room->flow.key;
	*key = e->key;
	// Before the record: what is read is then at least as new.
	floor = session_floor((__u32)key_hash(key) % BUCKETS);
	if (!emit_read(e, key, &room->draft.record))
		return 0;
	__builtin_memcpy(item->key, key, sizeof(item->key));
	item->floor = bpf_htonl(floor);
	item_write(item, &room->draft.record);
	return 1;
}

// M5. Records of the next entries of the outbox: as many as its loader says go in one frame.
inlined int emit_copies(struct xdp_md *ctx)
{
	const int bytes = DFT_HEADERS_BYTES + sizeof(struct dft_bulk);
	struct session_room *room = session_room();
	__u32 zero = 0, serial, count, live, node, i;
	struct outbox_entry *first, *e;
	const struct chain_value *c;
	struct outbox_place *place;
	struct session_key *key;
	struct dft_bulk *bulk;
	struct dft_packet *d;
	struct move m = {};
	struct packet p;

	place = bpf_map_lookup_elem(&outbox_next, &zero);
	if (!room || !place)
		return finish(ctx, BUG);
	key = &room->flow.key;
	serial = place->next;
	first = outbox_at(serial);
	if (!first)
		return finish(ctx, BUG);
	count = first->together;
	if (!count || count > DFT_BULK_MOST)
		count = 1;
	__sync_fetch_and_add(&place->next, count);
	LOOPED
	for (i = 0; i < DFT_BULK_MOST && i < count; i++)
		if ((e = outbox_at(serial + i)))
			e->state = OUTBOX_SENT;
	c = chain_find(first->chain);
	if (!c || !emit_permitted(first, c, &m))
		return finish(ctx, EMIT_VOID);
	live = c->live;
	if (!c->learner || live > MAX_CHAIN_LENGTH)
		return finish(ctx, EMIT_VOID);
	node = c->node[live];

	room->items = 0;
	*key = first->key;
	if (packet_resize(ctx, bytes + (int)(count * sizeof(struct dft_item))) ||
	    !op_begin(ctx, DFT_HEADERS_BYTES, vni_of(key->vni), key_hash(key)))
		return finish(ctx, NO_ROOM);
	p = packet_of(ctx);
	d = op_of(&p);
	bulk = take(&p, sizeof(*bulk));
	if (!d || !bulk)
		return finish(ctx, BUG);
	d->geneve.protocol = bpf_htons(DFT_BULK);
	emit_head(d, DFT_COPY, first->chain, first->epoch, first->term);
	LOOPED
	for (i = 0; i < DFT_BULK_MOST && i < count; i++) {
		e = outbox_at(serial + i);
		if (e && outbox_goes_with(e, first) && emit_item(ctx, e, i))
			room->items |= 1u << i;
	}
	if (!room->items)
		return finish(ctx, EMIT_VOID);
	bulk->serial = bpf_htonl(serial);
	bulk->which = bpf_htons(room->items);
	__builtin_memset(bulk->zero, 0, sizeof(bulk->zero));
	return op_send_to_node(ctx, node, EMITTED_COPY);
}
