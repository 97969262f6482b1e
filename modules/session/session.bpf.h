/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Sessions: the flow table of a node that holds one, and the cache of a forwarder. All access to
// either goes through here: cfg says what implements them. Kernel maps, which are the reference,
// or the flat table (flat.h), which keeps in the kernel map only what its pages cannot have.
#pragma once

#include "datapath/packet.bpf.h"
#include "dft/core.h"
#include "dft/move.h"
#include "modules/session/flat.h"
#include "shared/limits.h"
#include "shared/session.h"

extern const volatile struct gateway_config cfg;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DEFAULT_SESSIONS); // or cfg.sessions, by the loader
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct session_key);
	__type(value, struct session_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sessions SEC(".maps");

// The floor of each bucket (docs/dft.md): never falls.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUCKETS);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} floors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CACHED);
	__type(key, struct session_key);
	__type(value, struct cache_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} cache SEC(".maps");

// One page each, unless the loader gives them more (cfg.session_pages, cfg.cache_pages).
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, union flat_page);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flat_sessions SEC(".maps"), flat_cache SEC(".maps");

// What an op does to a key's record.
enum session_step {
	SESSION_INSERT,	   // at the head
	SESSION_UPDATE,	   // at the head
	SESSION_COPY,	   // at the others
	SESSION_DELETE,	   // at the head
	SESSION_COLLECT,   // at the head
	SESSION_REMOVE,	   // at the others: what was collected
	SESSION_COPY_READ, // at the learner: what the tail has
	SESSION_ADOPT,	   // at the head of a bucket's new chain: what the old one had
	SESSION_FENCE,	   // at the tail: what some replica has no room for never passes
	SESSION_TAKE_BACK, // at the head: that
	SESSION_RESERVE,   // at the head: an alias
	SESSION_UNRESERVE, // at the head: the same owner's alias ends
	SESSION_VERIFY,	   // at the head of the owner: is that life, so translated, still there?
};

struct session_change {
	enum session_step step;
	__u32 bucket;
	__u32 floor;	       // in: that the op says; out: the bucket's. Where neither matters, 0
	__u32 mark;	       // session_mark() of the term in which this node is the tail, or 0
	__u32 answers;	       // a packet comes with it: what the tail passes on is an answer
	__u32 begins;	       // which begins a session
	__u32 anew;	       // .. where one has ended, and it is decided as if nothing were known
	__u32 complete;	       // adopt: what is not there was collected here
	__u32 refuse;	       // insert, update: no session that is not there ..
	__u32 refused;	       // .. out: it was not
	__u32 wins;	       // insert: against one that has reserved this session's key, ..
	__u8 crosses[40];      // .. and whose own is this session's alias (docs/dft.md A7)
	struct dft_stamp seen; // insert: what the evaluator observed; update: the incarnation;
			       // delete, collect, remove: which record; verify: which life
	struct dft_record record; // in: what the op says; out: what goes on
};

// A value as it is built before it is put into the map: the lock's place is 0.
struct session_draft {
	__u32 lock;
	__u32 used_s;
	__u32 dying;
	__u32 check;
	struct dft_record record;
};
_Static_assert(sizeof(struct session_draft) == sizeof(struct session_value), "same layout");

// What does not fit on the stack.
struct session_room {
	struct flow flow; // of the packet that asks
	struct session_change change;
	enum dft_outcome outcome;
	__u32 before, after; // session_sort() of the key's record: what the change made of it
	__u32 dying;	     // its end is under way: it must not be answered
	__u32 idle_s;	     // of what was read: for how long it has not been used
	__u32 items; // of a frame of records: a bit for each that is, or was taken. (Here: in
		     // a variable the verifier would look at every set of bits.)
	struct session_draft draft;
	struct flat_content content;
	union flat_half half;
	struct cache_value reply;  // at a forwarder: what a reply says
	struct flow other;	   // of the session's packets on the other side of its translation
	struct translation turned; // .. and it as it is from there
	struct session_key asked;  // of an op without a packet
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct session_room);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} session_rooms SEC(".maps");

inlined struct session_room *session_room(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&session_rooms, &zero);
}

inlined __u32 session_floor(__u32 bucket)
{
	const __u32 *floor = bpf_map_lookup_elem(&floors, &bucket);

	return floor ? *floor : 0;
}

#define FLOOR_TRIES 64 // above how many others may raise one floor meanwhile

// It never falls, whoever else raises it at the same time.
inlined void session_raise_floor(__u32 *floor, __u32 to)
{
	__u32 was = flat_load(floor), found, tries;

	LOOPED
	for (tries = 0; tries < FLOOR_TRIES && was < to; tries++) {
		found = flat_swap(floor, was, to);
		if (found == was)
			return;
		was = found;
	}
}

// A record's life and state, for counting; 0: no record.
inlined __u32 session_sort(const struct dft_record *record)
{
	return record->life == DFT_ABSENT ? 0 : (__u32)record->life << 16 | record->state;
}

// M7. What is known here already goes down the path again: all of it shall have it.
inlined enum dft_outcome session_adopt(struct dft_record *mine, struct session_change *c,
				       __u32 *floor)
{
	const struct dft_bucket bucket = {.complete = c->complete};
	enum dft_outcome outcome = dft_adopt_at_head(mine, &bucket, floor, c->floor, &c->record);

	if (outcome == DFT_OWN)
		return DFT_STORED;
	if (outcome == DFT_ENDED && mine->life != DFT_ABSENT)
		return dft_push_at_head(mine, *floor, &c->record);
	return outcome;
}

// O11. Nobody was told of it, so there is nothing to wait for: it goes as a tombstone that is
// collected. ENDED: what the head has is another.
inlined enum dft_outcome session_take_back(struct dft_record *mine, struct session_change *c,
					   __u32 *floor)
{
	enum dft_outcome outcome;

	if (mine->life != DFT_ABSENT) {
		if (mine->life != DFT_LIVE || dft_stamp_compare(mine->stamp, c->seen))
			return DFT_ENDED;
		mine->life = DFT_TOMBSTONE;
	}
	outcome = dft_collect_at_head(mine, floor, c->seen, &c->record);
	if (*floor < c->floor)
		*floor = c->floor;
	return outcome;
}

inlined int translation_equal(const struct translation *a, const struct translation *b)
{
	const __u32 *x = (const void *)a, *y = (const void *)b;
	__u32 differ = 0, i;

	UNROLLED
	for (i = 0; i < sizeof(*a) / sizeof(*x); i++)
		differ |= x[i] ^ y[i];
	return !differ;
}

// A5. Found gone (ENDED), the floor is above it.
inlined enum dft_outcome session_verify(const struct dft_record *mine, struct session_change *c,
					__u32 *floor)
{
	int uses = !(mine->state & DFT_ALIAS) &&
		   translation_equal(&mine->translation, &c->record.translation);

	return dft_verify_at_head(mine, floor, c->seen, uses) == DFT_SAME ? DFT_SAME : DFT_ENDED;
}

// The floor is read after the record, and raised before a record goes: who finds none finds the
// floor that is above it.
inlined enum dft_outcome session_step(struct dft_record *mine, struct session_change *c,
				      __u32 *floors_at)
{
	__u32 floor = flat_load(floors_at), was = floor;
	enum dft_outcome outcome;

	switch (c->step) {
	case SESSION_INSERT:
		if (c->refuse && mine->life != DFT_LIVE) {
			c->refused = 1;
			return DFT_REFUSED;
		}
		if (c->wins && dft_crosses(mine, c->crosses)) {
			outcome = dft_insert_crossing_at_head(mine, floor, c->seen, &c->record);
			break;
		}
		// What the tail's floor is above would never pass it.
		if (mine->life == DFT_LIVE && floor < c->seen.floor)
			floor = c->seen.floor;
		// A3: what has an alias begins as its owner, or not.
		if (c->record.translation.flags && mine->life != DFT_LIVE &&
		    !dft_promise_holds(mine, floor, c->seen))
			outcome = DFT_REFUSED;
		else
			outcome = dft_insert_at_head(mine, &floor, c->seen, &c->record);
		// O4: refused, it goes down the path with what the head knows better.
		if (outcome == DFT_REFUSED && mine->life == DFT_TOMBSTONE)
			outcome = dft_push_at_head(mine, floor, &c->record);
		else if (outcome == DFT_REFUSED) {
			__builtin_memset(&c->record, 0, sizeof(c->record));
			c->record.stamp.floor = floor;
		}
		break;
	case SESSION_UPDATE:
		if (c->refuse && dft_revives(mine, floor, c->seen, c->record.state)) {
			c->refused = 1;
			return DFT_REFUSED;
		}
		outcome = dft_update_at_head(mine, floor, c->seen, c->record.state,
					     c->record.policy, &c->record);
		break;
	case SESSION_DELETE:
		outcome = dft_delete_at_head(mine, floor, c->seen, &c->record);
		break;
	case SESSION_COLLECT:
		outcome = dft_collect_at_head(mine, &floor, c->seen, &c->record);
		break;
	case SESSION_REMOVE:
		outcome = dft_collect(mine, &floor, c->seen, c->floor);
		break;
	case SESSION_COPY_READ:
		outcome = dft_copy_read(mine, &floor, c->floor, &c->record);
		break;
	case SESSION_ADOPT:
		outcome = session_adopt(mine, c, &floor);
		break;
	case SESSION_FENCE:
		if (mine->life != DFT_ABSENT)
			return DFT_ENDED;
		if (floor <= c->seen.floor)
			floor = c->seen.floor + 1;
		outcome = DFT_SAME;
		break;
	case SESSION_TAKE_BACK:
		outcome = session_take_back(mine, c, &floor);
		break;
	case SESSION_RESERVE:
		if (c->refuse && mine->life != DFT_LIVE) {
			c->refused = 1;
			return DFT_REFUSED;
		}
		outcome = dft_alias_insert_at_head(mine, floor, &c->record);
		break;
	case SESSION_UNRESERVE:
		outcome = dft_alias_delete_at_head(mine, floor, &c->record.alias, &c->record);
		break;
	case SESSION_VERIFY:
		outcome = session_verify(mine, c, &floor);
		break;
	default:
		outcome = dft_copy(mine, floor, &c->record);
	}
	if (floor != was)
		session_raise_floor(floors_at, floor);
	c->floor = floor;
	return outcome;
}

// This machine's clock for the ages of what is kept here. A timer tick counts, so it costs nothing
// beside the coarse clock, which the kernel adds up from several words.
inlined __u32 tick_ms(void)
{
	return cfg.tick_q10 ? bpf_jiffies64() * cfg.tick_q10 >> 10 : clock_ms();
}

// The same in seconds, which go on for as long as one can think.
inlined __u32 session_now_s(void)
{
	__u64 ms = cfg.tick_q10 ? bpf_jiffies64() * cfg.tick_q10 >> 10
				: bpf_ktime_get_coarse_ns() / 1000000;

	return ms / 1000;
}

inlined union flat_page *flat_sessions_page(__u64 hash)
{
	__u32 page = flat_page_of(hash, cfg.session_pages);

	return bpf_map_lookup_elem(&flat_sessions, &page);
}

inlined union flat_page *flat_cache_page(__u64 hash)
{
	__u32 page = flat_page_of(hash, cfg.cache_pages);

	return bpf_map_lookup_elem(&flat_cache, &page);
}

enum session_found {
	SESSION_NONE,
	SESSION_FOUND,
	SESSION_DYING, // its end is under way: it must not be answered
};

// Part of a key's hash that its value has as well. The kernel may give an element that was removed
// to another key at once, while a program still has a pointer to it.
inlined __u32 session_check(__u64 hash)
{
	return hash >> 32;
}

// Under the lock: whether the element is (still) the key's. One that is being removed says so.
inlined int session_is(const struct session_value *s, __u32 check)
{
	return s->check == check && s->record.life != DFT_ABSENT;
}

// Whether a record answers the packet that it is read for. Who begins a session that is closed
// needs another one, or the next generation of this one.
inlined int session_answers(const struct session_room *room, const struct dft_record *record)
{
	return record->life == DFT_LIVE &&
	       !(room->change.begins && dft_state_closed(record->state));
}

// A5: an alias ends whoever sends to it, so a packet is no use of it; that it is asked about is.
inlined int session_uses(const struct session_room *room, const struct dft_record *record)
{
	return session_answers(room, record) &&
	       !(room->change.answers && record->state & DFT_ALIAS);
}

called enum session_found session_read_kernel(const struct session_key *key, __u32 check,
					      __u32 mark, struct session_room *room)
{
	struct session_value *s = bpf_map_lookup_elem(&sessions, key);
	enum session_found found = SESSION_NONE;
	__u32 now = session_now_s(), idle = 0;

	if (!s || !room)
		return SESSION_NONE;
	bpf_spin_lock(&s->lock);
	if (session_is(s, check)) {
		found = mark && s->dying == mark ? SESSION_DYING : SESSION_FOUND;
		room->change.record = s->record;
		idle = now - s->used_s;
		if (found == SESSION_FOUND && session_uses(room, &s->record))
			s->used_s = now;
	}
	bpf_spin_unlock(&s->lock);
	room->idle_s = idle;
	return found;
}

// The slot's session is in use. Returns SESSION_DYING where it is too late for that.
inlined enum session_found session_touch(struct flat_slot *slot, __u32 asked, __u32 mark)
{
	__u16 now = session_now_s();
	__u32 tries;

	LOOPED
	for (tries = 0; tries < FLAT_TRIES; tries++) {
		__u32 was = asked;

		if (mark && asked >> FLAT_DYING_SHIFT == mark)
			return SESSION_DYING;
		// A line that is only read stays with every CPU that reads it.
		if ((__u16)asked == now)
			return SESSION_FOUND;
		asked = flat_swap(&slot->half[0].asked, was, (was & ~FLAT_DYING & ~0xFFFFu) | now);
		if (asked == was)
			return SESSION_FOUND;
	}
	return SESSION_FOUND;
}

// Copies a record into room->change.record, to answer for it: a live one is in use then. hash:
// key_hash(key); mark: session_mark() of the term in which this node is the tail, or 0.
// SESSION_NONE: there is none. (Where others write it all the time, too: then it is decided anew,
// and the head knows better.)
called enum session_found session_read(const struct session_key *key, __u64 hash, __u32 mark,
				       struct session_room *room)
{
	struct flat_place place = flat_place_of(hash);
	union flat_page *page;
	union flat_key k;
	__u32 i, asked;

	if (!room)
		return SESSION_NONE;
	if (!cfg.session_pages || !flat_key_fits(key))
		return session_read_kernel(key, session_check(hash), mark, room);
	page = flat_sessions_page(hash);
	if (!page)
		return SESSION_NONE;
	k = flat_key_of(key);
	i = flat_find(page, &k, place, 0);
	if (i && flat_read(page, i, &k, &room->half, &room->change.record, &asked)) {
		room->idle_s = (__u16)(session_now_s() - asked);
		if (!session_answers(room, &room->change.record))
			return SESSION_FOUND;
		return session_touch(flat_slot_of(page, i), asked, mark);
	}
	return flat_load(&page->head.spilled)
		       ? session_read_kernel(key, session_check(hash), mark, room)
		       : SESSION_NONE;
}

// Whether the table has anything of a key. Others may change that at any time.
inlined int session_is_there(const struct session_key *key, __u64 hash)
{
	union flat_page *page;
	union flat_key k;
	__u32 i;

	if (cfg.session_pages && flat_key_fits(key)) {
		page = flat_sessions_page(hash);
		if (!page)
			return 0;
		k = flat_key_of(key);
		i = flat_find(page, &k, flat_place_of(hash), 0);
		if (i && flat_is_held(page, i)) // what was removed keeps its key
			return 1;
		if (!flat_load(&page->head.spilled))
			return 0;
	}
	return bpf_map_lookup_elem(&sessions, key) != NULL;
}

called int session_peek_kernel(const struct session_key *key, __u32 check, struct dft_record *out)
{
	struct session_value *s = bpf_map_lookup_elem(&sessions, key);
	int found;

	if (!s)
		return 0;
	bpf_spin_lock(&s->lock);
	found = session_is(s, check);
	*out = s->record;
	bpf_spin_unlock(&s->lock);
	return found;
}

// What the table has of a key, for certain, and not because somebody uses it. Returns 1; 0: it has
// nothing; -1: it cannot be told now.
called int session_peek(const struct session_key *key, __u64 hash, struct dft_record *out)
{
	struct session_room *room = session_room();
	union flat_page *page;
	union flat_key k;
	__u32 i, asked;
	int found;

	if (!cfg.session_pages || !flat_key_fits(key))
		return session_peek_kernel(key, session_check(hash), out);
	page = flat_sessions_page(hash);
	if (!page || !room || !flat_lock(page))
		return -1;
	k = flat_key_of(key);
	i = flat_find_locked(page, &k, flat_place_of(hash));
	found = i && flat_read(page, i, &k, &room->half, out, &asked);
	flat_unlock(page);
	if (found || !flat_load(&page->head.spilled))
		return found;
	return session_peek_kernel(key, session_check(hash), out);
}

#define USED_OR_NOT 0xFFFFFFFFu // no session_now_s()

called int session_condemn_kernel(const struct session_key *key, __u32 check,
				  const struct dft_stamp *stamp, __u32 used_s, __u32 mark)
{
	struct session_value *s = bpf_map_lookup_elem(&sessions, key);
	const struct dft_stamp named = *stamp;
	int unused;

	if (!s)
		return 0;
	bpf_spin_lock(&s->lock);
	unused = session_is(s, check) && (used_s == USED_OR_NOT || s->used_s == used_s) &&
		 s->record.life == DFT_LIVE && !dft_stamp_compare(s->record.stamp, named);
	if (unused)
		s->dying = mark;
	bpf_spin_unlock(&s->lock);
	return unused;
}

// O9. The end of this very record is going to be asked for, unless it was used since used_s: from
// now on it is not answered. USED_OR_NOT: in any case. mark: session_mark() of the term. Returns 0
// where it was, or is gone.
called int session_condemn(const struct session_key *key, __u64 hash, const struct dft_stamp *stamp,
			   __u32 used_s, __u32 mark)
{
	struct session_room *room = session_room();
	struct dft_record *record;
	union flat_page *page;
	int unused = 0;
	union flat_key k;
	__u32 i, asked;

	if (!cfg.session_pages || !flat_key_fits(key))
		return session_condemn_kernel(key, session_check(hash), stamp, used_s, mark);
	page = flat_sessions_page(hash);
	if (!page || !room || !flat_lock(page))
		return 0;
	record = &room->draft.record;
	k = flat_key_of(key);
	i = flat_find_locked(page, &k, flat_place_of(hash));
	if (i && flat_read(page, i, &k, &room->half, record, &asked))
		unused = (used_s == USED_OR_NOT || (__u16)asked == (__u16)used_s) &&
			 record->life == DFT_LIVE && !dft_stamp_compare(record->stamp, *stamp) &&
			 flat_swap(&flat_slot_of(page, i)->half[0].asked, asked,
				   (asked & ~FLAT_DYING) | mark << FLAT_DYING_SHIFT) == asked;
	else
		i = 0;
	flat_unlock(page);
	if (i || !flat_load(&page->head.spilled))
		return unused;
	return session_condemn_kernel(key, session_check(hash), stamp, used_s, mark);
}

// What a step meant for the record's use; was: its life before. O9: what passes the tail with a
// packet is an answer, so the session is in use, unless its end is under way. What only the head
// made of it is none.
inlined void session_used(struct session_room *room, const struct dft_record *mine, __u16 was,
			  __u32 now, __u32 *used_s, __u32 *dying)
{
	const struct session_change *c = &room->change;

	room->dying = 0;
	if (room->outcome == DFT_STORED || *dying != c->mark)
		*dying = 0;
	if (room->outcome == DFT_STORED && (!c->mark || was == DFT_ABSENT))
		*used_s = now;
	if (!c->mark || !c->answers || mine->life != DFT_LIVE || mine->state & DFT_ALIAS ||
	    (room->outcome != DFT_STORED && room->outcome != DFT_SAME && room->outcome != DFT_OWN))
		return;
	if (*dying)
		room->dying = 1;
	else
		*used_s = now;
}

inlined __u32 *session_floor_of(__u32 bucket)
{
	return bpf_map_lookup_elem(&floors, &bucket);
}

// Takes away what this program has just put, unless it is another by now.
called int session_undo(const struct session_key *key, __u32 check, const struct dft_stamp *put)
{
	struct session_value *s = bpf_map_lookup_elem(&sessions, key);
	const struct dft_stamp named = *put;
	int removed;

	if (!s)
		return 0;
	bpf_spin_lock(&s->lock);
	removed = session_is(s, check) && !dft_stamp_compare(s->record.stamp, named);
	if (removed)
		s->record.life = DFT_ABSENT;
	bpf_spin_unlock(&s->lock);
	if (removed)
		bpf_map_delete_elem(&sessions, key);
	return removed;
}

// Each carries room->change out, and says in room->outcome what became of it. Returns GO_ON, or a
// verdict that the op ends with.
called enum verdict session_change_kernel(const struct session_key *key, __u32 check,
					  struct session_room *room)
{
	__u32 *floor = session_floor_of(room->change.bucket), now = session_now_s();
	struct session_value *s = bpf_map_lookup_elem(&sessions, key);
	struct session_draft *draft = &room->draft;
	int is, removed;
	long err;

	if (!floor)
		return BUG;
	room->before = room->after = 0;
	if (!s) {
		__builtin_memset(draft, 0, sizeof(*draft));
		draft->check = check;
		draft->used_s = now;
		room->dying = 0;
		room->outcome = session_step(&draft->record, &room->change, floor);
		if (room->outcome != DFT_STORED) {
			// Another CPU may have looked at the floor before: either it sees the new
			// one when it has put the record, or we see that.
			if (room->change.step == SESSION_FENCE &&
			    bpf_map_lookup_elem(&sessions, key))
				room->outcome = DFT_ENDED;
			if (room->change.step == SESSION_VERIFY &&
			    bpf_map_lookup_elem(&sessions, key))
				room->outcome = DFT_SAME;
			return GO_ON;
		}
		err = bpf_map_update_elem(&sessions, key, draft, BPF_NOEXIST);
		if (!err &&
		    (room->change.step == SESSION_COPY ||
		     (room->change.step == SESSION_INSERT && draft->record.translation.flags)) &&
		    flat_swap(floor, 0, 0) > draft->record.stamp.floor) {
			session_undo(key, check, &draft->record.stamp);
			room->outcome = DFT_ENDED;
			return GO_ON;
		}
		if (!err) {
			room->after = session_sort(&draft->record);
			return GO_ON;
		}
		// Another CPU put the key meanwhile: its record is what counts.
		s = bpf_map_lookup_elem(&sessions, key);
		if (!s)
			return TABLE_FULL;
	}
	bpf_spin_lock(&s->lock);
	is = session_is(s, check);
	removed = 0;
	if (is) {
		__u16 was = s->record.life;

		room->before = session_sort(&s->record);
		room->outcome = session_step(&s->record, &room->change, floor);
		room->after = session_sort(&s->record);
		session_used(room, &s->record, was, now, &s->used_s, &s->dying);
		removed = s->record.life == DFT_ABSENT;
	}
	bpf_spin_unlock(&s->lock);
	// Who has removed the record, and nobody else, removes the element: until then its key has
	// no other.
	if (removed)
		bpf_map_delete_elem(&sessions, key);
	return is ? GO_ON : TABLE_BUSY;
}

// Under the page's lock: what the page has of the key, into room->draft. Returns its slot; 0: none.
called __u32 session_fetch(union flat_page *page, const struct session_key *key, __u64 hash,
			   struct session_room *room)
{
	union flat_key k = flat_key_of(key);
	__u32 i = flat_find_locked(page, &k, flat_place_of(hash)), asked = 0;
	struct session_draft *draft = &room->draft;
	__u32 now = session_now_s();

	__builtin_memset(draft, 0, sizeof(*draft));
	if (i && !flat_read(page, i, &k, &room->half, &draft->record, &asked))
		__builtin_memset(draft, 0, sizeof(*draft)); // just removed
	draft->used_s = now - (__u16)(now - asked);
	draft->dying = asked >> FLAT_DYING_SHIFT;
	draft->check = session_check(hash);
	return i;
}

called int session_step_fetched(struct session_room *room)
{
	__u32 *floor = session_floor_of(room->change.bucket);
	struct session_draft *draft = &room->draft;
	__u16 was = draft->record.life;

	if (!floor)
		return 0;
	room->before = session_sort(&draft->record);
	room->outcome = session_step(&draft->record, &room->change, floor);
	room->after = session_sort(&draft->record);
	session_used(room, &draft->record, was, session_now_s(), &draft->used_s, &draft->dying);
	return 1;
}

// Under the page's lock: room->draft is what the key's record is from now on; the page has it in
// slot i, or 0. In the page goes what fits, the rest into the kernel map; then the page says so.
called enum verdict session_store(union flat_page *page, const struct session_key *key, __u64 hash,
				  __u32 i, struct session_room *room)
{
	struct flat_place place = flat_place_of(hash);
	struct flat_content *content = &room->content;
	struct session_draft *draft = &room->draft;
	__u32 to = i;

	if (draft->record.life == DFT_ABSENT) {
		if (i)
			flat_remove(page, i, flat_load(&flat_slot_of(page, i)->half[0].version));
		return GO_ON;
	}
	if (!to)
		to = flat_free(page, place);
	if (to && flat_fits(&draft->record)) {
		content->key = flat_key_of(key);
		content->asked = draft->dying << FLAT_DYING_SHIFT |
				 (draft->record.state & FLAT_STATE) << 16 | (__u16)draft->used_s;
		content->life = draft->record.life;
		content->news[0] = content->news[1] = 0;
		content->second = draft->record.policy;
		content->tag = place.tag;
		content->told[0] = content->told[1] = 0;
		if (flat_write(page, to, content, &draft->record, &room->half))
			return GO_ON;
	}
	if (bpf_map_update_elem(&sessions, key, draft, BPF_ANY))
		return TABLE_FULL;
	page->head.spilled = 1;
	if (i)
		flat_remove(page, i, flat_load(&flat_slot_of(page, i)->half[0].version));
	return GO_ON;
}

// Carries room->change out, in one piece, whatever other CPUs do to the key. Returns GO_ON and
// room->outcome; TABLE_FULL: there was no record, and no room for one; TABLE_BUSY.
verified int session_change(const struct session_key *key, __u64 hash, struct session_room *room)
{
	enum verdict v = GO_ON;
	union flat_page *page;
	__u32 i;

	if (!key || !room)
		return BUG;

	if (!cfg.session_pages || !flat_key_fits(key))
		return session_change_kernel(key, session_check(hash), room);
	page = flat_sessions_page(hash);
	if (!page)
		return BUG;
	if (!flat_lock(page))
		return TABLE_BUSY;
	if (page->head.spilled && bpf_map_lookup_elem(&sessions, key)) {
		v = session_change_kernel(key, session_check(hash), room);
	} else {
		i = session_fetch(page, key, hash, room);
		if (!session_step_fetched(room))
			v = BUG;
		else if (room->outcome == DFT_STORED || room->outcome == DFT_OWN)
			v = session_store(page, key, hash, i, room);
		else if (i && room->draft.record.life == DFT_LIVE && room->change.mark &&
			 room->change.answers && !room->dying)
			session_touch(flat_slot_of(page, i),
				      flat_load(&flat_slot_of(page, i)->half[0].asked), 0);
		if (v)
			room->after = room->before;
	}
	flat_unlock(page);
	return v;
}

// What a forwarder knows about one direction of a session.
struct cached {
	struct decision decision;
	__u32 asked_ms; // tick_ms() when the op was sent that this answers
	__u32 policy;	// of a decision that the flow table does not hold
	__u32 stateful; // the flow table holds a record
	__u32 news;	// a packet of this direction tells it something new
	__u32 *told_ms; // kernel map: when the sender's host was last told the direct path
	__u8 *told;	// flat table: the same
};

// Returns 0 where nothing is known. direction 0: packets to b, 1: to a.
inlined int cache_find(const struct session_key *key, __u64 hash, __u32 direction,
		       struct cached *out)
{
	struct flat_place place = flat_place_of(hash);
	struct cache_value *c;
	union flat_page *page;
	union flat_half half;
	union flat_key k;
	__u32 i;

	if (!cfg.cache_pages || !flat_key_fits(key)) {
kernel:
		c = bpf_map_lookup_elem(&cache, key);
		if (!c)
			return 0;
		out->decision = c->record.towards[direction & 1];
		out->asked_ms = c->asked_ms;
		out->stateful = c->stateful;
		out->policy = c->stateful ? 0 : c->record.policy;
		out->news = c->stateful && session_news(key, c->record.state, direction & 1);
		out->told_ms = &c->told_ms[direction & 1];
		out->told = NULL;
		return 1;
	}
	page = flat_cache_page(hash);
	if (!page)
		return 0;
	k = flat_key_of(key);
	i = flat_find(page, &k, place, direction);
	if (!i || !flat_read_half(page, i, direction, &k, &half)) {
		if (flat_load(&page->head.spilled))
			goto kernel;
		return 0;
	}
	flat_decision_of(&half, &out->decision);
	out->asked_ms = half.asked;
	out->stateful = half.what >> FLAT_LIFE_SHIFT & FLAT_STATEFUL;
	out->policy = out->stateful ? 0 : half.policy;
	out->news = half.what >> FLAT_LIFE_SHIFT & FLAT_NEWS;
	out->told_ms = NULL;
	out->told = &flat_slot_of(page, i)->half[direction & 1].told;
	return 1;
}

// The whole record of a session that the flow table holds, for an op that changes it. Its life is
// not the cache's to say. Lent until the next call here; NULL: it is not there (any more).
inlined const struct dft_record *cache_record(const struct session_key *key, __u64 hash)
{
	struct flat_place place = flat_place_of(hash);
	struct session_room *room;
	struct cache_value *c;
	union flat_page *page;
	union flat_key k;
	__u32 i, asked;

	if (!cfg.cache_pages || !flat_key_fits(key)) {
kernel:
		c = bpf_map_lookup_elem(&cache, key);
		return c && c->stateful ? &c->record : NULL;
	}
	room = session_room();
	page = flat_cache_page(hash);
	if (!room || !page)
		return NULL;
	k = flat_key_of(key);
	i = flat_find(page, &k, place, 0);
	if (!i || !flat_read(page, i, &k, &room->half, &room->draft.record, &asked)) {
		if (flat_load(&page->head.spilled))
			goto kernel;
		return NULL;
	}
	room->draft.record.state = room->half.policy & DFT_STATE_BITS;
	return room->half.what >> FLAT_LIFE_SHIFT & FLAT_STATEFUL ? &room->draft.record : NULL;
}

// O10: within one key an older stamp never replaces a newer one. That there is none, the tail
// knows; but its word may have been overtaken by that of a tail which knew of one, for D.
inlined int cache_replaces(const struct cache_value *new, int old_stateful, struct dft_stamp old,
			   __u32 old_asked_ms)
{
	if (!old_stateful)
		return 1;
	return new->stateful ? dft_stamp_compare(new->record.stamp, old) >= 0
			     : (__s32)(new->asked_ms - old_asked_ms) > PACKET_LIFE_MS;
}

// O7: what was seen of the same life and not told yet is not forgotten.
inlined void cache_keep_state(struct cache_value *new, int old_stateful, struct dft_stamp old,
			      __u16 old_state)
{
	if (new->stateful && old_stateful && !dft_stamp_compare(new->record.incarnation, old))
		new->record.state = dft_state_merge(new->record.state, old_state);
}

inlined void cache_store_kernel(const struct session_key *key, struct cache_value *value)
{
	const struct cache_value *old = bpf_map_lookup_elem(&cache, key);

	if (old) {
		if (!value->record.translation.flags)
			cache_keep_state(value, old->stateful, old->record.incarnation,
					 old->record.state);
		value->told_ms[0] = old->told_ms[0];
		value->told_ms[1] = old->told_ms[1];
	}
	// Stamps are compared within one key; under an alias' they are its owner's.
	if (!old || !translation_equal(&old->record.translation, &value->record.translation) ||
	    cache_replaces(value, old->stateful, old->record.stamp, old->asked_ms))
		bpf_map_update_elem(&cache, key, value, BPF_ANY);
}

// Under the page's lock.
inlined void cache_store_flat(union flat_page *page, const struct session_key *key, __u64 hash,
			      struct cache_value *value, struct session_room *room)
{
	struct flat_place place = flat_place_of(hash);
	struct flat_content *content = &room->content;
	__u32 i, d;

	content->key = flat_key_of(key);
	i = flat_find_locked(page, &content->key, place);
	content->told[0] = content->told[1] = 0;
	if (i) {
		const struct flat_slot *old = flat_slot_of(page, i);

		// As in the kernel's map: what has a translation is of another session, or life.
		if (!flat_fits(&value->record)) {
			flat_remove(page, i, flat_load(&old->half[0].version));
			return;
		}
		if (!cache_replaces(value, old->half[0].what >> FLAT_LIFE_SHIFT & FLAT_STATEFUL,
				    old->half[0].stamp, old->half[0].asked))
			return;
		cache_keep_state(value, old->half[0].what >> FLAT_LIFE_SHIFT & FLAT_STATEFUL,
				 old->half[1].stamp, old->half[1].policy & DFT_STATE_BITS);
		content->told[0] = flat_load(&old->half[0].told);
		content->told[1] = flat_load(&old->half[1].told);
	} else if (flat_fits(&value->record)) {
		i = flat_free(page, place);
		if (!i)
			i = flat_victim(page, place, tick_ms());
	} else {
		return;
	}
	content->asked = value->asked_ms;
	content->life = value->stateful ? FLAT_STATEFUL : 0;
	content->second = value->stateful ? value->record.state : value->record.policy;
	for (d = 0; d < 2; d++)
		content->news[d] = value->stateful && session_news(key, value->record.state, d)
					   ? FLAT_NEWS
					   : 0;
	content->tag = place.tag;
	flat_write(page, i, content, &value->record, &room->half);
}

// Remembers a reply, unless what is known is newer. It is a cache: where it cannot be done now, the
// next packet asks again.
inlined void cache_store(const struct session_key *key, __u64 hash, struct cache_value *value)
{
	struct session_room *room;
	union flat_page *page;

	if (!cfg.cache_pages || !flat_key_fits(key)) {
		cache_store_kernel(key, value);
		return;
	}
	room = session_room();
	page = flat_cache_page(hash);
	if (!room || !page || !flat_lock(page))
		return;
	cache_store_flat(page, key, hash, value, room);
	if (value->record.translation.flags) {
		page->head.spilled = 1;
		cache_store_kernel(key, value);
	}
	flat_unlock(page);
}

// O7: one side's FIN, which is remembered here. Returns whether the session is open all the same,
// as far as is known: then nobody has to hear of it before the other side's.
called int cache_half_closed(const struct session_key *key, __u64 hash, __u32 fin)
{
	__u32 was = DFT_FINS, i;
	struct cache_value *c;
	union flat_page *page;
	union flat_key k;

	if (!cfg.cache_pages || !flat_key_fits(key)) {
kernel:
		c = bpf_map_lookup_elem(&cache, key);
		if (!c || !c->stateful)
			return 0;
		// The word that begins with the state. Where both sides' come at once, one of them
		// finds the other's.
		was = __sync_fetch_and_or((__u32 *)(void *)&c->record.state, fin);
		return !dft_state_closed(was | fin);
	}
	page = flat_cache_page(hash);
	if (!page || !flat_lock(page))
		return 0;
	k = flat_key_of(key);
	i = flat_find_locked(page, &k, flat_place_of(hash));
	if (i && flat_slot_of(page, i)->half[0].what >> FLAT_LIFE_SHIFT & FLAT_STATEFUL) {
		was = flat_load(&flat_slot_of(page, i)->half[1].policy);
		flat_store(&flat_slot_of(page, i)->half[1].policy, was | fin);
	}
	flat_unlock(page);
	if (!i && flat_load(&page->head.spilled))
		goto kernel;
	return !dft_state_closed(was | fin);
}

// Whether the sender's host was not told for DIRECT_REPEAT_MS; then it is from now on.
inlined int cache_tell(struct cached *c, __u32 now)
{
	if (c->told_ms) {
		if (*c->told_ms && now - *c->told_ms < DIRECT_REPEAT_MS)
			return 0;
		*c->told_ms = now ? now : 1;
		return 1;
	}
	// 8 bits come round in a minute: then a host is told up to DIRECT_REPEAT_MS late.
	if (*c->told && (__u8)(flat_told(now) - *c->told) < DIRECT_REPEAT_MS / FLAT_TOLD_MS)
		return 0;
	*c->told = flat_told(now);
	return 1;
}

// When the tail was last asked beside using a cached decision, by the key's hash: where two share a
// place, one of them is asked about a little later.
#define REFRESHES 65536

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REFRESHES);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} refreshes SEC(".maps");

// Whether the flow table has to hear of this flow: before its decision ends, so that packets never
// wait for the table, or because the packet is news. (Its end says as much.)
inlined int cache_tells(const struct cached *c, const struct flow *f, __u32 now)
{
	if (f->icmp_error)
		return 0;
	return now - c->asked_ms >= REFRESH_DUE_MS ||
	       (c->news && !(f->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)));
}

// The same, and not for each packet.
inlined int cache_refresh(const struct cached *c, const struct flow *f, __u64 hash, __u32 now)
{
	__u32 at = hash % REFRESHES, *last;

	if (!cache_tells(c, f, now))
		return 0;
	last = bpf_map_lookup_elem(&refreshes, &at);
	if (!last || (*last && now - *last < REFRESH_REPEAT_MS))
		return 0;
	*last = now ? now : 1;
	return 1;
}

// Whether a cached decision for one direction may still be used (O10).
inlined int cache_fresh(const struct cached *c, __u32 now, __u32 policy)
{
	__u32 life = c->decision.action == DECIDE_FORWARD ? REFRESH_MS : DENIAL_MS;

	return c->decision.action != DECIDE_NOTHING && now - c->asked_ms < life &&
	       (c->stateful || c->policy >= policy);
}
