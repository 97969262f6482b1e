/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The search in a set of rules: its steps do not grow with how many rules there are.
#pragma once

#include "datapath/evaluation.bpf.h"
#include "shared/rules.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_RULE_PAGES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rule_page_key);
	__type(value, union rule_page);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} rule_pages SEC(".maps");

// A prefix is in at most 129 others, and of those few have services of more than one level.
#define RULE_STEPS 300
#define RULE_LEVELS 8
#define RULE_TRIES 4 // a set may change while it is searched

struct rule_search {
	struct rule_page_key key;
	__u32 remote[RULE_REMOTE_WORDS];
	__u32 service;
	__u32 at;      // next: a page of remotes, then a slice of services; 0: over
	__u32 outer;   // the slice after this range's
	__u32 outcome; // the best so far, 0: none
};

inlined int remote_after(const __u32 a[RULE_REMOTE_WORDS], const __u32 b[RULE_REMOTE_WORDS])
{
#pragma unroll
	for (int i = 0; i < RULE_REMOTE_WORDS - 1; i++)
		if (a[i] != b[i])
			return a[i] > b[i];
	return a[RULE_REMOTE_WORDS - 1] > b[RULE_REMOTE_WORDS - 1];
}

// One page nearer to the remote's innermost range. The first bound is never after it.
verified int rule_step_remotes(struct rule_search *s)
{
	const union rule_page *page;
	__u32 place = 0, next, step;

	if (!s)
		return 0;
	s->key.page = s->at;
	page = bpf_map_lookup_elem(&rule_pages, &s->key);
	s->at = 0;
	if (!page)
		return 0;
#pragma unroll
	for (step = RULE_REMOTES / 2; step; step /= 2) {
		next = (place + step) % RULE_REMOTES;
		if (!remote_after(page->remote[next].from, s->remote))
			place = next;
	}
	s->at = page->remote[place % RULE_REMOTES].to;
	return 0;
}

// One slice on: a level down, or the outcome of one range and on to the next outer one.
verified int rule_step_services(struct rule_search *s)
{
	const union rule_page *page;
	__u32 head, bounds, levels, place = 0, next, step, to;

	if (!s)
		return 0;
	s->key.page = s->at >> RULE_PAGE_SHIFT;
	head = s->at & ((1u << RULE_PAGE_SHIFT) - 1);
	page = bpf_map_lookup_elem(&rule_pages, &s->key);
	s->at = 0;
	if (!page || head >= RULE_SERVICES - 1)
		return 0;
	if (page->service[head].from)
		s->outer = page->service[head].from;
	bounds = page->service[head].to & ((1u << RULE_LEVEL_SHIFT) - 1);
	levels = page->service[head].to >> RULE_LEVEL_SHIFT;
#pragma unroll
	for (step = 64; step; step /= 2) {
		next = place + step;
		if (next < bounds && head + 1 + next < RULE_SERVICES &&
		    page->service[head + 1 + next].from <= s->service)
			place = next;
	}
	if (head + 1 + place >= RULE_SERVICES)
		return 0;
	to = page->service[head + 1 + place].to;
	if (levels) {
		s->at = to;
		return 0;
	}
	if (to && (!s->outcome || to < s->outcome))
		s->outcome = to;
	s->at = s->outer;
	s->outer = 0;
	return 0;
}

// The lowest outcome for s->remote and s->service, beside what is found already. root, levels: of
// the set.
verified int rules_search(struct rule_search *s, __u32 root, __u32 levels)
{
	__u32 i;

	if (!s || !root)
		return 0;
	s->at = root;
	s->outer = 0;
	LOOPED
	for (i = 0; i < RULE_LEVELS && i <= levels; i++)
		rule_step_remotes(s);
	LOOPED
	for (i = 0; i < RULE_STEPS && s->at; i++)
		rule_step_services(s);
	return 0;
}

// What an evaluation is about. An echo's key has its identifier for a port.
inlined __u32 rule_service_of(const struct evaluation *e)
{
	__u32 port = e->protocol == IPPROTO_ICMP || e->protocol == IPPROTO_ICMPV6
			     ? e->icmp_type
			     : bpf_ntohs(e->destination_port);

	return (__u32)e->protocol << RULE_SERVICE_SHIFT | (e->fragment ? RULE_FRAGMENT : port);
}

struct rule_answer {
	__u32 outcome;
	__u32 traits;
};

// Asks the set with this number in the map of sets, whose pages are those of `pages`, about the
// peer: the destination where direction is RULE_EGRESS_BIT, the source where it is 0. Returns 0
// where there is no such set (here, yet). A set that is changed meanwhile is asked again: as long
// as its version is the same afterwards, none of the pages was taken away.
inlined int rules_ask(void *sets, __u32 number, __u32 pages, const struct evaluation *e,
		      __u32 direction, struct rule_answer *answer)
{
	const struct in6_addr *peer = direction ? &e->destination : &e->source;
	const __u32 *group = direction ? e->destination_group : e->source_group;
	struct rule_search s = {.key = {.set = pages}, .service = rule_service_of(e)};
	__u32 tries, i;

	LOOPED
	for (tries = 0; tries < RULE_TRIES; tries++) {
		const struct rule_set *set = bpf_map_lookup_elem(sets, &number);

		if (!set)
			return 0;
		s.key.version = set->version;
		s.outcome = 0;
		answer->traits = set->traits;
		s.remote[0] = direction;
		UNROLLED
		for (i = 0; i < 4; i++)
			s.remote[1 + i] = bpf_ntohl(peer->in6_u.u6_addr32[i]);
		rules_search(&s, set->root, set->levels);
		__builtin_memset(&s.remote[1], 0, sizeof(s.remote) - sizeof(s.remote[0]));
		LOOPED
		for (i = 0; i < MAX_PORT_GROUPS && set->traits & RULES_GROUPS; i++) {
			if (!group[i])
				continue;
			s.remote[0] = direction | group[i];
			rules_search(&s, set->root, set->levels);
		}
		answer->outcome = s.outcome;
		set = bpf_map_lookup_elem(sets, &number);
		if (set && set->version == s.key.version)
			return 1;
	}
	return 0;
}
