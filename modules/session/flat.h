/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The flat table's algorithm on one page (shared/flat.h). It is compiled for eBPF and, for tests
// with threads in place of CPUs, for user space. Reading takes no lock and never returns parts of
// two contents. Changing a page takes the page's lock, so that no key is ever there twice; only
// flat_remove() needs none. All waiting is bounded.
//
// The kernel offers eBPF no load-acquire or store-release that our compilers know, so in eBPF the
// order of plain accesses is what x86-64 keeps by itself. On other machines use the kernel maps.
#pragma once

#ifdef __bpf__
#include <linux/in.h>
#else
#include <netinet/in.h>
#endif

#include "dft/core.h"
#include "shared/address.h"
#include "shared/flat.h"
#include "shared/inlined.h"
#include "shared/key.h"

// What is searched for seldom is a function that the verifier looks at once, not once for each way
// to it: those ways times the turns of its loops would be too many.
#ifdef __bpf__
#define flat_function __attribute__((__noinline__))
#define flat_load(from) (*(const volatile __typeof__(*(from)) *)(from))
#define flat_store(to, value) (*(volatile __typeof__(*(to)) *)(to) = (value))
#else
#define flat_function static inline
#define flat_load(from) __atomic_load_n(from, __ATOMIC_ACQUIRE)
#define flat_store(to, value) __atomic_store_n(to, value, __ATOMIC_RELEASE)
#endif
// Without it compilers keep the words that they have just copied, to pick bytes out of them: in
// more registers than there are.
#define flat_settle() __asm__ volatile("" ::: "memory")
#define flat_swap(at, from, to) __sync_val_compare_and_swap(at, from, to)

#define FLAT_TRIES 8   // of reading a half that is written meanwhile: a write takes some 50 ns
#define FLAT_WAITS 512 // for a page's lock

// Where a key may be: at home, at its second place, or elsewhere in its page under its tag.
struct flat_place {
	__u32 home;
	__u32 second;
	__u8 tag;
};

inlined struct flat_place flat_place_of(__u64 hash)
{
	struct flat_place place = {
		.home = 1 + ((__u32)(hash & 0xFFFF) * FLAT_SLOTS >> 16),
		.second = 1 + ((__u32)(hash >> 16 & 0xFFFF) * FLAT_SLOTS >> 16),
		.tag = hash >> 32,
	};

	if (!place.tag)
		place.tag = 1;
	return place;
}

// By the hash's upper bits, so that there may be any number of pages; its tag is of lower ones.
inlined __u32 flat_page_of(__u64 hash, __u32 pages)
{
	return (hash >> 32) * pages >> 32;
}

// Whether the flat table can have such a key at all.
inlined int flat_key_fits(const struct session_key *key)
{
	return address_is_v4(&key->a) && address_is_v4(&key->b);
}

inlined union flat_key flat_key_of(const struct session_key *key)
{
	union flat_key k;

	k.a = address_v4(&key->a);
	k.b = address_v4(&key->b);
	__builtin_memcpy(&k.word[1], &key->a_port, sizeof(k.word[1]));
	return k;
}

inlined struct session_key flat_key_back(const union flat_key *k)
{
	struct session_key key = {};

	key.a = address_of_v4(k->a);
	key.b = address_of_v4(k->b);
	__builtin_memcpy(&key.a_port, &k->word[1], sizeof(k->word[1]));
	return key;
}

inlined struct flat_slot *flat_slot_of(union flat_page *page, __u32 i)
{
#ifdef __bpf__
	__u64 at = i;

	// Said so that the compiler cannot leave out what it, but not the verifier, knows already.
	__asm__ volatile("%0 &= 31" : "+r"(at));
	return &page->slot[at];
#else
	return &page->slot[i & FLAT_SLOTS];
#endif
}

// Whether the slot's key is this one, racing with writers: only a hint.
inlined int flat_is_at(union flat_page *page, __u32 i, __u32 direction, const union flat_key *key)
{
	const union flat_half *half = &flat_slot_of(page, i)->half[direction & 1];

	return !((flat_load(&half->word[1]) ^ key->word[0]) |
		 (flat_load(&half->word[2]) ^ key->word[1]));
}

inlined int flat_is_held(union flat_page *page, __u32 i)
{
	return flat_load(&flat_slot_of(page, i)->half[0].version) & FLAT_HELD;
}

// The session's slot, by the tags; its key's words are these. 0: none.
flat_function __u32 flat_elsewhere(union flat_page *page, __u64 first, __u64 second, __u32 tag)
{
	const __u64 ones = 0x0101010101010101ull, tops = ones << 7;
	const union flat_key key = {.word = {first, second}};
	__u64 found = 0;
	__u32 i;

	if (!page)
		return 0;
	// Whether a byte of them is the tag. It may see one too many, never one too few.
	UNROLLED
	for (i = 0; i < (FLAT_SLOTS + 1) / 8; i++) {
		__u64 word = flat_load(&page->head.tags[i]) ^ (ones * (__u8)tag);

		found |= (word - ones) & ~word & tops;
	}
	if (!found)
		return 0;
	LOOPED
	for (i = 1; i <= FLAT_SLOTS; i++)
		if (flat_load(&page->head.tag[i]) == (__u8)tag && flat_is_at(page, i, 0, &key) &&
		    flat_is_held(page, i))
			return i;
	return 0;
}

// The slot that has the key, as far as one can tell without a lock. 0: none. Both places are read
// before either is looked at, so that the processor waits for them at the same time.
inlined __u32 flat_find(union flat_page *page, const union flat_key *key, struct flat_place place,
			__u32 direction)
{
	const union flat_half *home = &flat_slot_of(page, place.home)->half[direction & 1];
	const union flat_half *second = &flat_slot_of(page, place.second)->half[direction & 1];
	__u64 home_first = flat_load(&home->word[1]), second_first = flat_load(&second->word[1]);

	if (!((home_first ^ key->word[0]) | (flat_load(&home->word[2]) ^ key->word[1])))
		return place.home;
	if (!((second_first ^ key->word[0]) | (flat_load(&second->word[2]) ^ key->word[1])))
		return place.second;
	return flat_elsewhere(page, key->word[0], key->word[1], place.tag);
}

// Copies one direction out in one piece. Returns 0 where the slot has another key, or none, or is
// being written all the time.
inlined int flat_read_half(union flat_page *page, __u32 i, __u32 direction,
			   const union flat_key *key, union flat_half *out)
{
	const union flat_half *half = &flat_slot_of(page, i)->half[direction & 1];
	__u32 version, tries, w;

	LOOPED
	for (tries = 0; tries < FLAT_TRIES; tries++) {
		version = flat_load(&half->version);
		out->asked = flat_load(&half->asked);
		UNROLLED
		for (w = 1; w < 8; w++)
			out->word[w] = flat_load(&half->word[w]);
		if (flat_load(&half->version) != version || version & FLAT_BUSY)
			continue;
		out->version = version;
		flat_settle();
		return version & FLAT_HELD && out->word[1] == key->word[0] &&
		       out->word[2] == key->word[1];
	}
	return 0;
}

inlined void flat_decision_of(const union flat_half *half, struct decision *out)
{
	out->host.s6_addr32[0] = out->host.s6_addr32[1] = 0;
	out->host.s6_addr32[2] = half->host ? __builtin_bswap32(V4_MAPPED_WORD) : 0;
	out->host.s6_addr32[3] = half->host;
	__builtin_memcpy(out->host_mac, half->host_mac, 6);
	__builtin_memcpy(out->to_mac, half->to_mac, 6);
	__builtin_memcpy(out->from_mac, half->from_mac, 6);
	out->action = half->what & FLAT_ACTION;
	out->flags = half->what >> FLAT_FLAGS_SHIFT & FLAT_FLAGS;
	out->reason = half->reason;
	__builtin_memcpy(out->vni, half->to_vni, 3);
}

// Both directions in one piece, by way of room, which an eBPF stack has not. The record's state and
// life are the flow table's. *asked: half 0's.
inlined int flat_read(union flat_page *page, __u32 i, const union flat_key *key,
		      union flat_half *room, struct dft_record *out, __u32 *asked)
{
	struct flat_slot *slot = flat_slot_of(page, i);
	__u32 version, tries, direction, w;

	LOOPED
	for (tries = 0; tries < FLAT_TRIES; tries++) {
		version = flat_load(&slot->half[0].version);
		if (version & FLAT_BUSY)
			continue;
		LOOPED
		for (direction = 0; direction < 2; direction++) {
			room->asked = flat_load(&slot->half[direction].asked);
			UNROLLED
			for (w = 1; w < 8; w++)
				room->word[w] = flat_load(&slot->half[direction].word[w]);
			flat_settle();
			flat_decision_of(room, &out->towards[direction]);
			if (!direction) {
				out->stamp = room->stamp;
				out->policy = room->policy;
				out->state = room->state & FLAT_STATE;
				out->life = room->what >> FLAT_LIFE_SHIFT;
				*asked = room->asked;
			} else {
				out->incarnation = room->stamp;
			}
		}
		// A writer marks half 0 first and clears it last: that one speaks for both.
		if (flat_load(&slot->half[0].version) != version)
			continue;
		out->translation = (struct translation){};
		return version & FLAT_HELD && room->word[1] == key->word[0] &&
		       room->word[2] == key->word[1];
	}
	return 0;
}

inlined int flat_decision_fits(const struct decision *d)
{
	int host = (address_is_v4(&d->host) && address_v4(&d->host)) ||
		   !(d->host.s6_addr32[0] | d->host.s6_addr32[1] | d->host.s6_addr32[2] |
		     d->host.s6_addr32[3]);

	return host && d->action <= FLAT_ACTION && d->flags <= FLAT_FLAGS;
}

// Whether nothing of the record is lost in a slot. One that does not fit goes to the kernel map.
inlined int flat_fits(const struct dft_record *record)
{
	return record->life <= DFT_TOMBSTONE && !record->translation.flags &&
	       flat_decision_fits(&record->towards[0]) && flat_decision_fits(&record->towards[1]);
}

// Takes the page's lock. 0: it was held all the time.
flat_function __u32 flat_lock(union flat_page *page)
{
	__u32 waits;

	if (!page)
		return 0;
	LOOPED
	for (waits = 0; waits < FLAT_WAITS; waits++)
		if (!flat_load(&page->head.lock) && !flat_swap(&page->head.lock, 0, 1))
			return 1;
	return 0;
}

inlined void flat_unlock(union flat_page *page)
{
	flat_store(&page->head.lock, 0);
}

// Under the lock: the slot that has the key, for certain. 0: none.
inlined __u32 flat_find_locked(union flat_page *page, const union flat_key *key,
			       struct flat_place place)
{
	// What was removed keeps its key, perhaps in front of where the key is now.
	if (flat_is_at(page, place.home, 0, key) && flat_is_held(page, place.home))
		return place.home;
	if (flat_is_at(page, place.second, 0, key) && flat_is_held(page, place.second))
		return place.second;
	return flat_elsewhere(page, key->word[0], key->word[1], place.tag);
}

// Under the lock: any slot without a session. 0: none.
flat_function __u32 flat_free_elsewhere(union flat_page *page)
{
	__u32 i;

	if (!page)
		return 0;
	LOOPED
	for (i = 1; i <= FLAT_SLOTS; i++)
		if (!flat_load(&page->head.tag[i]))
			return i;
	// Those that were removed without the lock have their tags still.
	LOOPED
	for (i = 1; i <= FLAT_SLOTS; i++)
		if (!flat_is_held(page, i))
			return i;
	return 0;
}

// Under the lock: a slot without a session, as near to home as there is. 0: the page is full.
inlined __u32 flat_free(union flat_page *page, struct flat_place place)
{
	if (!flat_is_held(page, place.home))
		return place.home;
	if (!flat_is_held(page, place.second))
		return place.second;
	return flat_free_elsewhere(page);
}

// Under the lock, of a cache's page that is full: the slot to give up. Of four that change from
// time to time it is the one whose answer is the oldest: who is in use is asked about every
// REFRESH_MS.
inlined __u32 flat_victim(union flat_page *page, struct flat_place place, __u32 now)
{
	__u32 hand = page->head.hand, oldest = place.home, most = 0, i;

	page->head.hand = hand + 2;
	UNROLLED
	for (i = 0; i < 4; i++) {
		__u32 at = i == 0   ? place.home
			   : i == 1 ? place.second
				    : 1 + (hand + i) % FLAT_SLOTS;
		__u32 age = now - flat_load(&flat_slot_of(page, at)->half[0].asked);

		if (age > most) {
			most = age;
			oldest = at;
		}
	}
	return oldest;
}

// When a host was told, in what a half has for it; 0 is never.
inlined __u8 flat_told(__u32 now_ms)
{
	__u8 told = now_ms / FLAT_TOLD_MS;

	return told ? told : 1;
}

// O7: whether a packet of this direction says what the flow table does not know: that the session
// is answered. By TCP who began it says so, with what follows the SYN; else the other side does.
inlined int session_news(const struct session_key *key, __u16 state, __u32 direction)
{
	__u32 begun_by_b = state & DFT_BEGUN_BY_B ? 1 : 0;

	if (state & DFT_ANSWERED || dft_state_closed(state))
		return 0;
	if (key->protocol == IPPROTO_TCP)
		return direction == begun_by_b;
	return key->protocol == IPPROTO_UDP && direction != begun_by_b;
}

_Static_assert(sizeof(struct dft_record) == 144,
	       "a half has a place for each of its fields, but for a translation");

// What is put into a slot. life: enum dft_life, or in a cache FLAT_STATEFUL.
struct flat_content {
	union flat_key key;
	__u32 asked; // as in the half: for a flow table state << 16 | used_s
	__u32 life;
	__u32 news[2]; // cache: FLAT_NEWS or 0, per direction
	__u32 second;  // half 1's policy
	__u8 tag;
	__u8 told[2];
};

inlined void flat_write_half(union flat_half *half, const struct flat_content *c,
			     const struct dft_record *record, __u32 direction,
			     union flat_half *room)
{
	const struct decision *d = &record->towards[direction];
	__u32 w;

	room->key = c->key;
	room->stamp = direction ? record->incarnation : record->stamp;
	room->policy = direction ? c->second : record->policy;
	room->host = address_v4(&d->host);
	__builtin_memcpy(room->host_mac, d->host_mac, 6);
	__builtin_memcpy(room->to_mac, d->to_mac, 6);
	__builtin_memcpy(room->from_mac, d->from_mac, 6);
	room->told = c->told[direction];
	room->what = (d->action & FLAT_ACTION) | (d->flags & FLAT_FLAGS) << FLAT_FLAGS_SHIFT |
		     (c->life | c->news[direction]) << FLAT_LIFE_SHIFT;
	__builtin_memcpy(room->to_vni, d->vni, 3);
	room->reason = d->reason;
	flat_settle();
	flat_store(&half->asked, c->asked);
	UNROLLED
	for (w = 1; w < 8; w++)
		flat_store(&half->word[w], room->word[w]);
}

// Under the lock: the slot's session is this one from now on. Returns 0 where it could not be
// taken: user space removes a session there right now, again and again.
inlined int flat_write(union flat_page *page, __u32 i, const struct flat_content *c,
		       const struct dft_record *record, union flat_half *room)
{
	struct flat_slot *slot = flat_slot_of(page, i);
	__u32 version, tries, new;

	LOOPED
	for (tries = 0; tries < FLAT_TRIES; tries++) {
		version = flat_load(&slot->half[0].version);
		if (flat_swap(&slot->half[0].version, version, version | FLAT_BUSY) == version)
			break;
	}
	if (tries == FLAT_TRIES)
		return 0;
	flat_store(&slot->half[1].version, version | FLAT_BUSY);
	flat_write_half(&slot->half[0], c, record, 0, room);
	flat_write_half(&slot->half[1], c, record, 1, room);
	flat_store(&page->head.tag[i & FLAT_SLOTS], c->tag);
	new = ((version & ~(FLAT_BUSY | FLAT_HELD)) + FLAT_STEP) | FLAT_HELD;
	flat_store(&slot->half[1].version, new);
	flat_store(&slot->half[0].version, new);
	return 1;
}

// Removes what the slot had when half 0 had this version, and nothing else. Needs no lock: who is
// stopped in the middle of it holds up nobody. Returns whether it was there still.
inlined int flat_remove(union flat_page *page, __u32 i, __u32 version)
{
	struct flat_slot *slot = flat_slot_of(page, i);
	__u32 freed = (version & ~FLAT_HELD) + FLAT_STEP;

	if ((version & (FLAT_BUSY | FLAT_HELD)) != FLAT_HELD ||
	    flat_swap(&slot->half[0].version, version, freed) != version)
		return 0;
	// Both halves have one version, unless somebody has the slot already.
	flat_swap(&slot->half[1].version, version, freed);
	return 1;
}
