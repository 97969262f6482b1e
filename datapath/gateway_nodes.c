// SPDX-License-Identifier: Apache-2.0
// Gateway nodes for tests.
#include "datapath/gateway_nodes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway.skel.h"
#include "divider.skel.h"
#include "acl.skel.h"
#include "translator.skel.h"
#include "bouncer.skel.h"
#include "loadbalancer.skel.h"
#include "nat.skel.h"
#include "peering.skel.h"
#include "securitygroup.skel.h"
#include "datapath/translator.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/session/flat.h"
#include "shared/fragment.h"
#include "shared/limits.h"
#include "shared/steps.h"

#define LOOPBACK 1 // its ifindex, in any network namespace
#define SESSIONS 4096
#define CACHED 1024

void node_ip_text(uint32_t index, char out[16])
{
	snprintf(out, 16, "172.16.0.%u", (index + 1) % 256);
}

void node_mac_text(uint32_t index, char out[18])
{
	snprintf(out, 18, "02:0c:00:00:00:%02x", (index + 1) % 256);
}

void node_tenant_ip_text(uint32_t index, char out[16])
{
	snprintf(out, 16, "192.168.0.%u", (100 + index) % 256);
}

void node_tenant_mac_text(uint32_t index, char out[18])
{
	snprintf(out, 18, "02:0d:00:00:00:%02x", (1 + index) % 256);
}

uint32_t node_boot(uint32_t index)
{
	return 0xB0070000 + index;
}

// The programs' clock for sessions, where they are told no tick.
static uint32_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

// A page of a flat table as it is now, in memory of our own: programs do not run meanwhile.
static union flat_page *page_get(const struct node *n, const char *map, uint32_t index)
{
	union flat_page *page = aligned_alloc(64, sizeof(*page));

	if (!page || bpf_map_lookup_elem(node_map(n, map), &index, page))
		fatal("%s: %s has no page %u", n->name, map, index);
	return page;
}

static void page_put(const struct node *n, const char *map, uint32_t index,
		     const union flat_page *page)
{
	node_put(n, map, &index, page);
}

static const char *flat_map(const char *map)
{
	return !strcmp(map, "sessions") ? "flat_sessions"
	       : !strcmp(map, "cache")	? "flat_cache"
					: NULL;
}

static void configure(struct gateway_config *c, const struct node_wish *wish)
{
	char ip[16], mac[18];

	*c = (struct gateway_config){
		.roles = wish->roles,
		.overlay = wish->overlay,
		.node = wish->index,
		.boot = node_boot(wish->index),
		.tenant_ifindex = wish->tenant_ifindex ? wish->tenant_ifindex : LOOPBACK,
		.zgc_ifindex = wish->zgc_ifindex ? wish->zgc_ifindex : LOOPBACK,
		.tenant_mtu = wish->tenant_mtu ? wish->tenant_mtu : TENANT_MTU,
		.oam_port = htons(8300),
		.session_pages = wish->flat,
		.cache_pages = wish->flat,
		.tick_q10 = wish->tick_q10,
		.beat_ms = wish->beat_ms,
		.cluster = wish->cluster,
		.sessions = wish->sessions ? wish->sessions : SESSIONS,
	};
	node_ip_text(wish->index, ip);
	node_mac_text(wish->index, mac);
	c->zgc_ip = address_must(ip);
	mac_parse(mac, c->zgc_mac);
	node_tenant_ip_text(wish->index, ip);
	node_tenant_mac_text(wish->index, mac);
	c->tenant_ip = address_must(ip);
	mac_parse(mac, c->tenant_mac);
}

static enum verdict run(const struct node *n, const struct target *at, struct frame *f)
{
	struct verdict_count before[VERDICTS], after[VERDICTS];
	struct frame in = *f;
	uint32_t action;

	must(verdicts_read(n->entry.verdicts, before), "reading counters");
	must(target_run(at, &in, &action, f), n->name);
	must(verdicts_read(n->entry.verdicts, after), "reading counters");
	if (action != XDP_REDIRECT)
		f->length = 0;
	for (int v = 0; v < VERDICTS; v++)
		if (after[v].packets != before[v].packets)
			return v;
	return action == XDP_REDIRECT ? GO_ON : BUG;
}

enum verdict node_run(const struct node *n, struct frame *f)
{
	return run(n, &n->entry, f);
}

enum verdict node_check(const struct node *n, struct frame *f)
{
	return run(n, &n->check, f);
}

enum verdict node_waited(const struct node *n, struct frame *f)
{
	return run(n, &n->waited, f);
}

enum verdict node_travel(const struct node *nodes, int count, int first, struct frame *f,
			 struct dft_packet *op)
{
	int at = first;

	for (;;) {
		enum verdict v = node_run(&nodes[at], f);
		struct dft_packet d;

		if (f->length < DFT_HEADERS_BYTES)
			return v;
		memcpy(&d, f->byte + sizeof(struct ethhdr), sizeof(d));
		if (d.udp.dest != htons(6081))
			return v;
		if (op)
			*op = d;
		at = (int)(ntohl(d.ip.daddr) & 0xFF) - 1;
		if (at < 0 || at >= count)
			return BUG;
	}
}

int node_decides(const struct node *fwd, const struct node *tail, struct frame *f, int from_b,
		 const char *what, struct decision *forth, struct decision *back)
{
	enum verdict v = node_run(fwd, f);
	struct dft_packet d;

	if (v == LOOKED_UP)
		v = node_run(tail, f);
	if (f->length < DFT_HEADERS_BYTES) {
		fprintf(stderr, "%s: %s\n", what, verdict_name(v));
		return 0;
	}
	memcpy(&d, f->byte + sizeof(struct ethhdr), sizeof(d));
	*forth = d.towards[from_b].decision;
	*back = d.towards[!from_b].decision;
	return 1;
}

int node_map(const struct node *n, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(n->gw->obj, name);

	if (fd < 0)
		fd = bpf_object__find_map_fd_by_name(n->securitygroup->obj, name);
	if (fd < 0)
		fd = bpf_object__find_map_fd_by_name(n->acl->obj, name);
	if (fd < 0)
		fd = bpf_object__find_map_fd_by_name(n->loadbalancer->obj, name);
	if (fd < 0)
		fd = bpf_object__find_map_fd_by_name(n->nat->obj, name);
	if (fd < 0)
		fd = bpf_object__find_map_fd_by_name(n->peering->obj, name);
	if (fd < 0)
		fd = bpf_object__find_map_fd_by_name(n->translator->obj, name);
	if (fd < 0)
		fatalx("%s has no map %s", n->name, name);
	return fd;
}

void node_put(const struct node *n, const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(node_map(n, map), key, value, BPF_ANY))
		fatal("%s: %s takes no entry", n->name, map);
}

void node_rules(const struct node *n, uint32_t of, uint32_t number, const struct rule *rules,
		size_t count)
{
	const char *map = of ? "network_acls" : "security_groups";
	struct rule_page_key key = {.set = number | of, .version = 1};
	struct rule_book book;
	struct rule_set was = {};

	bpf_map_lookup_elem(node_map(n, map), &number, &was);
	if (rules_compile(rules, count, &book))
		fatal("no memory");
	book.set.version = key.version = was.version + 1;
	for (key.page = 1; key.page <= book.pages; key.page++)
		node_put(n, "rule_pages", &key, &book.page[key.page - 1]);
	node_put(n, map, &number, &book.set);
	rule_book_free(&book);
	key.version = was.version;
	for (key.page = 1; !bpf_map_delete_elem(node_map(n, "rule_pages"), &key);)
		key.page++;
}

void node_group(const struct node *n, const struct endpoint_key *endpoint, uint32_t group,
		const struct rule *rule)
{
	struct endpoint_value value;

	must(bpf_map_lookup_elem(node_map(n, "endpoints"), endpoint, &value), "an endpoint");
	value.group[0] = group;
	if (group)
		node_rules(n, 0, group, rule, 1);
	node_put(n, "endpoints", endpoint, &value);
}

void node_remove(const struct node *n, const char *map, const void *key)
{
	if (bpf_map_delete_elem(node_map(n, map), key) && errno != ENOENT)
		fatal("%s: %s loses no entry", n->name, map);
}

void node_clear(const struct node *n, const char *map)
{
	int fd = node_map(n, map);
	uint8_t key[64];

	while (!bpf_map_get_next_key(fd, NULL, key))
		if (bpf_map_delete_elem(fd, key))
			fatal("%s: %s cannot be emptied", n->name, map);
	if (!n->flat || !flat_map(map))
		return;
	for (uint32_t i = 0; i < n->flat; i++) {
		static const union flat_page empty;

		page_put(n, flat_map(map), i, &empty);
	}
}

unsigned int node_count(const struct node *n, const char *map)
{
	int fd = node_map(n, map);
	uint8_t key[64], next[64];
	unsigned int count = 0;

	for (int end = bpf_map_get_next_key(fd, NULL, next); !end;
	     end = bpf_map_get_next_key(fd, key, next)) {
		memcpy(key, next, sizeof(key));
		count++;
	}
	for (uint32_t i = 0; n->flat && flat_map(map) && i < n->flat; i++) {
		auto_(freep) union flat_page *page = page_get(n, flat_map(map), i);

		for (uint32_t slot = 1; slot <= FLAT_SLOTS; slot++)
			count += flat_is_held(page, slot) ? 1 : 0;
	}
	return count;
}

void node_buckets(const struct node *n, int chain)
{
	auto_(freep) uint32_t *key = calloc(BUCKETS, sizeof(*key));
	auto_(freep) uint32_t *value = calloc(BUCKETS, sizeof(*value));
	uint32_t count = BUCKETS;

	if (!key || !value)
		fatal("no memory");
	for (uint32_t i = 0; i < BUCKETS; i++) {
		key[i] = i;
		value[i] = chain + 1;
	}
	if (bpf_map_update_batch(node_map(n, "buckets"), key, value, &count, NULL))
		fatal("%s: buckets cannot be written", n->name);
}

// Reads a key out of a flat table. *slot is 0 where it has none.
static union flat_page *flat_get(const struct node *n, const char *map,
				 const struct session_key *key, uint32_t *slot,
				 struct dft_record *record, uint32_t *asked)
{
	uint64_t hash = key_hash(key);
	union flat_page *page = page_get(n, map, flat_page_of(hash, n->flat));
	union flat_key k = flat_key_of(key);
	union flat_half room;

	*slot = flat_find_locked(page, &k, flat_place_of(hash));
	if (*slot && !flat_read(page, *slot, &k, &room, record, asked))
		*slot = 0;
	return page;
}

// Writes a key into a flat table. Returns 0 where it has no room for it.
static int flat_put(const struct node *n, const char *map, const struct session_key *key,
		    struct flat_content *content, const struct dft_record *record)
{
	uint64_t hash = key_hash(key);
	struct flat_place place = flat_place_of(hash);
	auto_(freep) union flat_page *page = page_get(n, map, flat_page_of(hash, n->flat));
	union flat_half room;
	uint32_t slot;

	content->key = flat_key_of(key);
	content->tag = place.tag;
	slot = flat_find_locked(page, &content->key, place);
	if (!slot)
		slot = flat_free(page, place);
	if (!slot || !flat_fits(record))
		return 0;
	flat_write(page, slot, content, record, &room);
	page_put(n, map, flat_page_of(hash, n->flat), page);
	return 1;
}

// What is in the kernel map beside a flat table is looked for where the page says so.
static void spill(const struct node *n, const char *map, const struct session_key *key)
{
	uint32_t index = flat_page_of(key_hash(key), n->flat ? n->flat : 1);

	if (!n->flat)
		return;
	auto_(freep) union flat_page *page = page_get(n, map, index);

	page->head.spilled = 1;
	page_put(n, map, index, page);
}

int node_session(const struct node *n, const struct session_key *key, struct dft_record *out)
{
	struct session_value value;

	if (n->flat && flat_key_fits(key)) {
		uint32_t slot, asked;
		auto_(freep) union flat_page *page =
			flat_get(n, "flat_sessions", key, &slot, out, &asked);

		if (page && slot)
			return 1;
	}
	if (bpf_map_lookup_elem(node_map(n, "sessions"), key, &value))
		return 0;
	*out = value.record;
	return 1;
}

void node_session_put(const struct node *n, const struct session_key *key,
		      const struct dft_record *record)
{
	struct session_value value = {
		.record = *record, .used_s = now_s() - 3600, .check = key_hash(key) >> 32};
	struct flat_content content = {.asked = (uint32_t)record->state << 16 |
						(uint16_t)value.used_s,
				       .life = record->life,
				       .second = record->policy};

	if (n->flat && flat_key_fits(key) && !record->translation.flags) {
		if (!flat_put(n, "flat_sessions", key, &content, record))
			fatalx("%s: no room for a session", n->name);
		return;
	}
	spill(n, "flat_sessions", key);
	node_put(n, "sessions", key, &value);
}

// What both tables have beside a key's record: *used_s and *dying are read, then written.
static void session_edit(const struct node *n, const struct session_key *key, uint32_t *used_s,
			 uint32_t *dying)
{
	struct session_value value;
	struct dft_record record;
	uint32_t slot, asked, page_of = flat_page_of(key_hash(key), n->flat ? n->flat : 1);
	int edits = *used_s || *dying;

	if (n->flat && flat_key_fits(key)) {
		auto_(freep) union flat_page *page =
			flat_get(n, "flat_sessions", key, &slot, &record, &asked);

		if (slot) {
			if (edits)
				page->slot[slot].half[0].asked = *dying << FLAT_DYING_SHIFT |
								 (asked & ~(FLAT_DYING | 0xFFFF)) |
								 (uint16_t)*used_s;
			*used_s = (now_s() & ~0xFFFFu) | (uint16_t)asked;
			*dying = asked >> FLAT_DYING_SHIFT;
			page_put(n, "flat_sessions", page_of, page);
			return;
		}
	}
	if (bpf_map_lookup_elem(node_map(n, "sessions"), key, &value))
		fatalx("%s has no such session", n->name);
	if (edits) {
		value.used_s = *used_s;
		value.dying = *dying;
		node_put(n, "sessions", key, &value);
	}
	*used_s = value.used_s;
	*dying = value.dying;
}

void node_session_mark(const struct node *n, const struct session_key *key, uint32_t idle_s,
		       uint32_t mark)
{
	uint32_t used_s = now_s() - idle_s;

	session_edit(n, key, &used_s, &mark);
}

uint32_t node_session_idle_s(const struct node *n, const struct session_key *key)
{
	uint32_t used_s = 0, dying = 0;

	session_edit(n, key, &used_s, &dying);
	return n->flat ? (uint16_t)(now_s() - used_s) : now_s() - used_s;
}

void node_sessions_fill(const struct node *n, uint32_t room)
{
	struct session_value value = {};
	struct session_key key = {.protocol = 99};

	for (uint32_t i = 0; i < room; i++) {
		key.a_port = i;
		node_put(n, "sessions", &key, &value);
	}
	for (uint32_t i = 0; n->flat && i < n->flat; i++) {
		auto_(freep) union flat_page *page = page_get(n, "flat_sessions", i);

		for (uint32_t slot = 1; slot <= FLAT_SLOTS; slot++) {
			page->slot[slot].half[0].version |= FLAT_HELD;
			page->slot[slot].half[1].version |= FLAT_HELD;
			page->head.tag[slot] = 1;
		}
		page_put(n, "flat_sessions", i, page);
	}
}

void node_sessions_lock(const struct node *n, uint32_t lock)
{
	for (uint32_t i = 0; i < n->flat; i++) {
		auto_(freep) union flat_page *page = page_get(n, "flat_sessions", i);

		page->head.lock = lock;
		page_put(n, "flat_sessions", i, page);
	}
}

int node_cached(const struct node *n, const struct session_key *key, struct cache_value *out)
{
	uint32_t slot;

	if (!n->flat || !flat_key_fits(key))
		return !bpf_map_lookup_elem(node_map(n, "cache"), key, out);
	auto_(freep) union flat_page *page =
		flat_get(n, "flat_cache", key, &slot, &out->record, &out->asked_ms);

	if (!slot)
		return !bpf_map_lookup_elem(node_map(n, "cache"), key, out);
	out->record.life = 0;
	out->stateful = page->slot[slot].half[0].what >> FLAT_LIFE_SHIFT & FLAT_STATEFUL;
	out->record.state = out->stateful ? page->slot[slot].half[1].policy & DFT_STATE_BITS : 0;
	for (int i = 0; i < 2; i++)
		out->told_ms[i] = (uint32_t)page->slot[slot].half[i].told * FLAT_TOLD_MS;
	return 1;
}

void node_cached_put(const struct node *n, const struct session_key *key,
		     const struct cache_value *value)
{
	struct flat_content content = {.asked = value->asked_ms,
				       .life = value->stateful ? FLAT_STATEFUL : 0};

	if (!n->flat || !flat_key_fits(key) || value->record.translation.flags) {
		spill(n, "flat_cache", key);
		node_put(n, "cache", key, value);
		return;
	}
	content.second = value->stateful ? value->record.state : value->record.policy;
	for (int i = 0; i < 2; i++) {
		content.told[i] = value->told_ms[i] ? flat_told(value->told_ms[i]) : 0;
		content.news[i] = value->stateful && session_news(key, value->record.state, i)
					  ? FLAT_NEWS
					  : 0;
	}
	if (!flat_put(n, "flat_cache", key, &content, &value->record))
		fatalx("%s: no room in the cache", n->name);
}

void node_entrance(const struct node *n, uint32_t index, const struct entrance_value *value)
{
	struct entrance_value duty = *value;

	duty.serves = value->owner == n->index;
	node_put(n, "entrances", &index, value);
	node_put(n, "duties", &index, &duty);
}

void node_peers(const struct node *n, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct node_value value = {};
		char ip[16], mac[18];

		node_ip_text(i, ip);
		node_mac_text(i, mac);
		value.zgc_ip = address_must(ip);
		mac_must(value.zgc_mac, mac);
		value.forwarder = 1;
		node_tenant_ip_text(i, ip);
		node_tenant_mac_text(i, mac);
		value.tenant_ip = address_must(ip);
		mac_must(value.tenant_mac, mac);
		node_put(n, "nodes", &i, &value);
		node_put(n, "node_by_ip", &value.zgc_ip, &i);
		node_heard(n, i, node_boot(i), 1);
	}
}

void node_heard(const struct node *n, uint32_t index, uint32_t boot, int alive)
{
	struct peer_value value = {.boot = boot, .alive = alive};

	node_put(n, "peers", &index, &value);
}

void node_promised(const struct node *n, uint32_t chain, uint64_t term)
{
	struct fence_value value = {.promised = term};

	node_put(n, "fences", &chain, &value);
}

void node_lease(const struct node *n, uint32_t chain, uint64_t term, uint64_t end_ns)
{
	struct lease_value value = {.term = term, .end_ns = end_ns};

	node_put(n, "leases", &chain, &value);
}

void node_tenant(const struct node *n, uint32_t vni, uint8_t endpoints)
{
	const struct rule open = {.port_max = 65535, .outcome = RULE_ALLOW};
	const uint32_t group = 1;

	for (uint8_t i = 1; i <= endpoints; i++) {
		char ip[16];
		struct endpoint_key key = {.vni = vni};
		struct endpoint_value value = {
			.host_mac = {2, 10, 0, 0, 0, i},
			.mac = {2, 1, 0, 0, 0, i},
			.group = {i == endpoints ? group : 0},
		};

		snprintf(ip, sizeof(ip), "192.168.0.%u", 10u + i);
		value.host = address_must(ip);
		snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		key.address = address_must(ip);
		node_put(n, "endpoints", &key, &value);
	}
	node_rules(n, 0, group, &open, 1);
}

void node_chain(const struct node *n, uint32_t chain, const struct chain_value *value)
{
	struct chain_value copy = *value;

	for (int i = 0; i < copy.live + copy.learner; i++)
		if (!copy.boot[i])
			copy.boot[i] = node_boot(copy.node[i]);
	node_put(n, "chains", &chain, &copy);
	node_promised(n, chain, TERM_WORD(copy.epoch, copy.term));
	node_lease(n, chain, TERM_WORD(copy.epoch, copy.term), UINT64_MAX);
	node_tail(n, chain, TERM_WORD(copy.epoch, copy.term), 3600);
}

void node_tail(const struct node *n, uint32_t chain, uint64_t term, uint32_t since_s)
{
	struct tail_value value = {.term = term, .since_s = now_s() - since_s};

	node_put(n, "tails", &chain, &value);
}

static void step_put(const struct node *n, uint32_t step, const struct bpf_program *program)
{
	int fd = bpf_program__fd(program);

	node_put(n, "steps", &step, &fd);
}

static void function_put(const struct node *n, uint32_t slot, const struct bpf_program *program)
{
	int fd = bpf_program__fd(program);

	node_put(n, "functions", &slot, &fd);
}

void node_load(struct node *n, const struct node_wish *wish)
{
	char pins[64];
	LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = testing_pins(wish->name, pins));
	uint32_t loopback = LOOPBACK, key;

	*n = (struct node){.name = wish->name, .index = wish->index, .flat = wish->flat};
	n->gw = gateway__open_opts(&options);
	n->divider = divider__open_opts(&options);
	n->bouncer = bouncer__open_opts(&options);
	n->securitygroup = securitygroup__open_opts(&options);
	n->acl = acl__open_opts(&options);
	n->loadbalancer = loadbalancer__open_opts(&options);
	n->nat = nat__open_opts(&options);
	n->peering = peering__open_opts(&options);
	n->translator = translator__open_opts(&options);
	if (!n->gw || !n->divider || !n->bouncer || !n->securitygroup || !n->acl ||
	    !n->loadbalancer || !n->nat || !n->peering || !n->translator)
		fatal("%s does not open", wish->name);
	configure((struct gateway_config *)&n->gw->rodata->cfg, wish);
	// The real sizes are for a machine of its own, not for a dozen nodes in one test.
	bpf_map__set_max_entries(n->gw->maps.cache, wish->cached ? wish->cached : CACHED);
	bpf_map__set_max_entries(n->gw->maps.sessions, wish->sessions ? wish->sessions : SESSIONS);
	if (wish->questions)
		bpf_map__set_max_entries(n->gw->maps.questions, wish->questions);
	if (wish->flat) {
		bpf_map__set_max_entries(n->gw->maps.flat_sessions, wish->flat);
		bpf_map__set_max_entries(n->gw->maps.flat_cache, wish->flat);
	}
	if (gateway__load(n->gw) || divider__load(n->divider) || bouncer__load(n->bouncer) ||
	    securitygroup__load(n->securitygroup) || acl__load(n->acl) ||
	    loadbalancer__load(n->loadbalancer) || nat__load(n->nat) || peering__load(n->peering) ||
	    translator__load(n->translator))
		fatal("%s does not load", wish->name);

	step_put(n, STEP_TABLE, n->gw->progs.table);
	step_put(n, STEP_DECIDED, n->gw->progs.decided);
	step_put(n, STEP_REPLY, n->gw->progs.reply);
	step_put(n, STEP_COMPLAINT, n->gw->progs.complaint);
	step_put(n, STEP_MOVING, n->gw->progs.moving);
	step_put(n, STEP_BEAT, n->gw->progs.beat);
	step_put(n, STEP_RELAY, n->gw->progs.relay);
	step_put(n, STEP_REFUSAL, n->gw->progs.refusal);
	step_put(n, STEP_SEEN, n->gw->progs.seen);
	step_put(n, STEP_PASSED, n->gw->progs.passed);
	step_put(n, STEP_SIDE, n->gw->progs.side);
	step_put(n, STEP_COPY_OUT, n->gw->progs.copy_out);
	step_put(n, STEP_COPY_IN, n->gw->progs.copy_in);
	step_put(n, STEP_ALIASES, n->gw->progs.aliases);
	step_put(n, STEP_ALIASED, n->gw->progs.aliased);
	step_put(n, STEP_TRANSLATE, n->gw->progs.translate);
	step_put(n, STEP_RECALL, n->gw->progs.recall);
	step_put(n, STEP_CHOOSE, n->gw->progs.choose);
	step_put(n, STEP_CHECK_IN, n->gw->progs.check_in);
	step_put(n, STEP_MAPPING, n->gw->progs.mapping);
	step_put(n, STEP_MAPPED, n->gw->progs.mapped);
	step_put(n, STEP_UNMAPPED, n->gw->progs.unmapped);
	step_put(n, STEP_TRANSLATE6, n->gw->progs.translate6);
	step_put(n, STEP_HAND_OVER, n->gw->progs.hand_over);
	step_put(n, STEP_TENANT6, n->gw->progs.tenant6);
	step_put(n, STEP_COMPLAINT6, n->gw->progs.complaint6);
	step_put(n, STEP_ADVERTISE, n->gw->progs.advertise);
	step_put(n, STEP_FRAGMENT, n->gw->progs.fragment);
	step_put(n, STEP_SHIELD, n->gw->progs.shield);
	step_put(n, STEP_ADMITTED, n->gw->progs.admitted);
	step_put(n, STEP_ADMITTED6, n->gw->progs.admitted6);
	function_put(n, FUNCTION_DIVIDER, n->divider->progs.divider);
	function_put(n, FUNCTION_BOUNCER, n->bouncer->progs.bouncer);
	function_put(n, FUNCTION_SECURITY_GROUP, n->securitygroup->progs.securitygroup);
	function_put(n, FUNCTION_ACL, n->acl->progs.acl);
	function_put(n, FUNCTION_LOAD_BALANCER, n->loadbalancer->progs.loadbalancer);
	function_put(n, FUNCTION_NAT, n->nat->progs.nat);
	function_put(n, FUNCTION_PEERING, n->peering->progs.peering);
	function_put(n, FUNCTION_TRANSLATOR, n->translator->progs.translator);
	key = CLONE_TENANT;
	node_put(n, "clone", &key, &loopback);
	key = CLONE_OAM;
	node_put(n, "clone", &key, &loopback);

	key = 0;
	node_put(n, "waiting", &key, &(struct waiting_value){.ifindex = LOOPBACK});

	n->entry.program = bpf_program__fd(n->gw->progs.gateway);
	n->oam.program = bpf_program__fd(n->gw->progs.oam);
	n->check.program = bpf_program__fd(n->gw->progs.check_out);
	n->waited.program = bpf_program__fd(n->gw->progs.waited);
	n->entry.verdicts = n->oam.verdicts = n->check.verdicts = n->waited.verdicts =
		node_map(n, "verdicts");
}

uint32_t node_verified(const struct node *n, const char **name)
{
	struct bpf_program *program;
	uint32_t most = 0;

	bpf_object__for_each_program(program, n->gw->obj)
	{
		struct bpf_prog_info info = {};
		uint32_t size = sizeof(info);

		must(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size), "info");
		if (info.verified_insns <= most)
			continue;
		most = info.verified_insns;
		*name = bpf_program__name(program);
	}
	return most;
}

void node_free(struct node *n)
{
	loadbalancer__destroy(n->loadbalancer);
	nat__destroy(n->nat);
	peering__destroy(n->peering);
	translator__destroy(n->translator);
	acl__destroy(n->acl);
	securitygroup__destroy(n->securitygroup);
	bouncer__destroy(n->bouncer);
	divider__destroy(n->divider);
	gateway__destroy(n->gw);
	*n = (struct node){};
}
