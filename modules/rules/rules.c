// SPDX-License-Identifier: Apache-2.0
// From rules to pages. Remotes are sorted, outer ranges before what they hold; each gets a list of
// its own rules' services; bounds are what a walk over the ranges meets.
#include "modules/rules/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

#define REMOTE_BITS (32 * RULE_REMOTE_WORDS)
#define SERVICES_END (256u << RULE_SERVICE_SHIFT)
#define SLICE (RULE_SERVICES - 1) // bounds of the longest slice

struct remote {
	__u32 word[RULE_REMOTE_WORDS];
	__u32 bits;
};

struct ranked {
	struct remote remote;
	const struct rule *rule;
};

// What is made, and where it ends.
struct making {
	union rule_page *page;
	size_t pages, room;
	__u32 number, place; // of the next slice
};

void rule_book_free(struct rule_book *book)
{
	free(book->page);
	*book = (struct rule_book){};
}

static struct remote remote_of(const struct rule *rule)
{
	struct remote r = {.bits = 32};
	__u32 i, in_word;

	r.word[0] = (rule->direction == RULE_EGRESS ? RULE_EGRESS_BIT : 0) | rule->remote_group;
	if (rule->remote_group)
		return r;
	r.bits = 32 + rule->remote_bits;
	for (i = 1; i < RULE_REMOTE_WORDS; i++) {
		in_word = r.bits > 32 * i ? r.bits - 32 * i : 0;
		r.word[i] = ntohl(rule->remote.in6_u.u6_addr32[i - 1]) &
			    (in_word >= 32 ? ~0u
			     : in_word	   ? ~0u << (32 - in_word)
					   : 0);
	}
	return r;
}

static int words_compare(const __u32 *a, const __u32 *b)
{
	for (int i = 0; i < RULE_REMOTE_WORDS; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

static int remotes_compare(const struct remote *a, const struct remote *b)
{
	int order = words_compare(a->word, b->word);

	return order ?: a->bits < b->bits ? -1 : a->bits > b->bits;
}

// By remote, outer ones first; of one remote the best rules first.
static int ranked_compare(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;
	int order = remotes_compare(&a->remote, &b->remote);

	if (order)
		return order;
	return a->rule->outcome < b->rule->outcome ? -1 : a->rule->outcome > b->rule->outcome;
}

static int remote_holds(const struct remote *outer, const struct remote *inner)
{
	__u32 i, bits, mask;

	for (i = 0; i < RULE_REMOTE_WORDS; i++) {
		bits = outer->bits > 32 * i ? outer->bits - 32 * i : 0;
		mask = bits >= 32 ? ~0u : bits ? ~0u << (32 - bits) : 0;
		if ((outer->word[i] ^ inner->word[i]) & mask)
			return 0;
	}
	return outer->bits <= inner->bits;
}

// The first one behind it. Never past the last: no group has all ones.
static void remote_end(const struct remote *r, __u32 out[RULE_REMOTE_WORDS])
{
	__u32 word = (r->bits - 1) / 32;

	memcpy(out, r->word, sizeof(r->word));
	out[word] += 1u << (31 - (r->bits - 1) % 32);
	while (!out[word] && word)
		out[--word]++;
}

static union rule_page *page_at(struct making *m, size_t number)
{
	if (number > m->room) {
		size_t room = number * 2;
		union rule_page *page = realloc(m->page, room * sizeof(*page));

		if (!page)
			return NULL;
		m->page = page;
		m->room = room;
	}
	for (; m->pages < number; m->pages++)
		memset(&m->page[m->pages], 0, sizeof(*m->page));
	return &m->page[number - 1];
}

// Writes one slice, all in one page. Returns its number; 0: no memory.
static __u32 slice_write(struct making *m, const struct rule_service *bounds, __u32 count,
			 __u32 outer, __u32 levels)
{
	union rule_page *page;
	__u32 slice;

	if (m->place + 1 + count > RULE_SERVICES) {
		m->number++;
		m->place = 0;
	}
	page = page_at(m, m->number);
	if (!page)
		return 0;
	page->service[m->place] = (struct rule_service){outer, count | levels << RULE_LEVEL_SHIFT};
	memcpy(&page->service[m->place + 1], bounds, count * sizeof(*bounds));
	slice = m->number << RULE_PAGE_SHIFT | m->place;
	m->place += 1 + count;
	return slice;
}

// A tree over the bounds, which it uses up. Returns its root's slice; 0: no memory.
static __u32 services_write(struct making *m, struct rule_service *bounds, __u32 count, __u32 outer)
{
	__u32 levels = 0, parents, i, part, slice;

	for (; count > SLICE; count = parents, levels++) {
		for (i = parents = 0; i < count; i += part, parents++) {
			part = count - i < SLICE ? count - i : SLICE;
			slice = slice_write(m, bounds + i, part, 0, levels);
			if (!slice)
				return 0;
			bounds[parents] = (struct rule_service){bounds[i].from, slice};
		}
	}
	return slice_write(m, bounds, count, outer, levels);
}

static void services_of(const struct rule *rule, __u32 *from, __u32 *end)
{
	__u32 protocol = (__u32)rule->protocol << RULE_SERVICE_SHIFT;

	*from = protocol + rule->port_min;
	*end = protocol + rule->port_max + 1;
	if (!rule->port_min && rule->port_max == 65535)
		*end = protocol + (1u << RULE_SERVICE_SHIFT);
	if (!rule->protocol)
		*end = SERVICES_END;
}

static int bounds_compare(const void *x, const void *y)
{
	const struct rule_service *a = x, *b = y;

	return a->from < b->from ? -1 : a->from > b->from;
}

static __u32 bound_find(const struct rule_service *bounds, __u32 count, __u32 from)
{
	const struct rule_service key = {.from = from}, *at;

	at = bsearch(&key, bounds, count, sizeof(key), bounds_compare);
	return (__u32)(at - bounds);
}

// Which bound at or behind this one has no outcome yet; next_free[] remembers the way.
static __u32 bound_free(__u32 *next_free, __u32 at)
{
	__u32 to = at, next;

	while (next_free[to] != to)
		to = next_free[to];
	for (; next_free[at] != to; at = next) {
		next = next_free[at];
		next_free[at] = to;
	}
	return to;
}

// The bounds of what the rules of one remote say, best rules first: what a better one has said
// stays. bounds and next_free have room for 2 * count + 2. Returns how many they are.
static __u32 services_paint(const struct ranked *rules, size_t count, struct rule_service *bounds,
			    __u32 *next_free)
{
	__u32 bound = 0, from, end, at, i, kept = 0;
	size_t r;

	bounds[bound++] = (struct rule_service){0, 0};
	for (r = 0; r < count; r++) {
		services_of(rules[r].rule, &from, &end);
		bounds[bound++] = (struct rule_service){from, 0};
		bounds[bound++] = (struct rule_service){end, 0};
	}
	qsort(bounds, bound, sizeof(*bounds), bounds_compare);
	for (i = 1; i < bound; i++)
		if (bounds[i].from != bounds[kept].from)
			bounds[++kept] = bounds[i];
	bound = kept + 1;
	for (i = 0; i <= bound; i++)
		next_free[i] = i;
	for (r = 0; r < count; r++) {
		services_of(rules[r].rule, &from, &end);
		end = bound_find(bounds, bound, end);
		for (at = bound_free(next_free, bound_find(bounds, bound, from)); at < end;
		     at = bound_free(next_free, at)) {
			bounds[at].to = rules[r].rule->outcome;
			next_free[at] = at + 1;
		}
	}
	for (i = 1, kept = 0; i < bound; i++)
		if (bounds[i].to != bounds[kept].to)
			bounds[++kept] = bounds[i];
	return kept + 1;
}

// From here on counts what is given.
static __u32 remote_bound(struct rule_remote *bounds, __u32 count, const __u32 *from, __u32 to)
{
	if (count && !words_compare(bounds[count - 1].from, from))
		count--;
	bounds[count].to = to;
	memcpy(bounds[count].from, from, sizeof(bounds[count].from));
	return count + 1;
}

struct open_range {
	struct remote remote;
	__u32 slice;
};

// All ranges, and the bounds between them. bounds has room for 2 * count + 1. Returns how many they
// are, or -ENOMEM.
static int ranges_write(struct making *m, const struct ranked *rules, size_t count,
			struct rule_remote *bounds)
{
	auto_(freep) struct rule_service *services = calloc(2 * count + 2, sizeof(*services));
	auto_(freep) __u32 *next_free = calloc(2 * count + 3, sizeof(*next_free));
	struct open_range open[REMOTE_BITS + 1] = {};
	__u32 depth = 0, bound, end[RULE_REMOTE_WORDS] = {};
	size_t i, next;

	if (!services || !next_free)
		return -ENOMEM;
	bound = remote_bound(bounds, 0, end, 0);
	for (i = 0; i < count; i = next) {
		const struct remote *remote = &rules[i].remote;

		for (next = i; next < count && !remotes_compare(&rules[next].remote, remote);)
			next++;
		for (; depth && !remote_holds(&open[depth].remote, remote); depth--) {
			remote_end(&open[depth].remote, end);
			bound = remote_bound(bounds, bound, end, open[depth - 1].slice);
		}
		open[depth + 1].slice = services_write(
			m, services, services_paint(rules + i, next - i, services, next_free),
			open[depth].slice);
		open[++depth].remote = *remote;
		if (!open[depth].slice)
			return -ENOMEM;
		bound = remote_bound(bounds, bound, remote->word, open[depth].slice);
	}
	for (; depth; depth--) {
		remote_end(&open[depth].remote, end);
		bound = remote_bound(bounds, bound, end, open[depth - 1].slice);
	}
	return (int)bound;
}

static int remotes_write(struct making *m, struct rule_remote *bounds, __u32 count,
			 struct rule_set *set)
{
	__u32 parents, i, part;
	union rule_page *page;

	for (set->levels = 0;; set->levels++, count = parents) {
		for (i = parents = 0; i < count; i += part, parents++) {
			part = count - i < RULE_REMOTES ? count - i : RULE_REMOTES;
			page = page_at(m, m->pages + 1);
			if (!page)
				return -ENOMEM;
			memset(page, 0xFF, sizeof(*page));
			memcpy(page->remote, bounds + i, part * sizeof(*bounds));
			memmove(&bounds[parents], &bounds[i], sizeof(*bounds));
			bounds[parents].to = (__u32)m->pages;
		}
		if (parents == 1)
			break;
	}
	set->root = (__u32)m->pages;
	return 0;
}

int rules_compile(const struct rule *rules, size_t count, struct rule_book *out)
{
	auto_(freep) struct ranked *ranked = calloc(count + 1, sizeof(*ranked));
	auto_(freep) struct rule_remote *bounds = calloc(2 * count + 1, sizeof(*bounds));
	struct making m = {.number = 1};
	struct rule_set set = {};
	size_t i;
	int err;

	if (!ranked || !bounds)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		ranked[i] = (struct ranked){remote_of(&rules[i]), &rules[i]};
		set.traits |= rules[i].direction == RULE_EGRESS ? RULES_EGRESS : 0;
		set.traits |= rules[i].remote_group ? RULES_GROUPS : 0;
	}
	qsort(ranked, count, sizeof(*ranked), ranked_compare);
	err = count ? ranges_write(&m, ranked, count, bounds) : 0;
	if (err > 0)
		err = remotes_write(&m, bounds, (__u32)err, &set);
	if (err) {
		free(m.page);
		return err;
	}
	*out = (struct rule_book){m.page, (__u32)m.pages, set};
	return 0;
}
