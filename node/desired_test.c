// SPDX-License-Identifier: Apache-2.0
// Updates in, messages out: exactly what the maps lack, in an order in which nothing refers to
// what is not there yet. The loader is played by a list of what it was told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/desired.h"
#include "shared/function.h"

typedef Zeta__Node__V1__Object Object;
typedef Zeta__Node__V1__Update Update;

#define INIT(type, name)                                                                           \
	({                                                                                         \
		type *new_ = malloc(sizeof(type));                                                 \
		name##__init(new_);                                                                \
		new_;                                                                              \
	})

// What is unpacked is allocated, so what is built here is too.
static ProtobufCBinaryData bytes(size_t size, uint8_t last)
{
	ProtobufCBinaryData data = {size, calloc(1, size)};

	data.data[size - 1] = last;
	return data;
}

static void set_text(char **field, const char *text)
{
	*field = strdup(text);
}

static ProtobufCBinaryData address(uint8_t last)
{
	ProtobufCBinaryData data = bytes(16, last);

	data.data[10] = data.data[11] = 0xFF;
	return data;
}

static Object *port(const char *id, uint8_t ip, uint8_t host)
{
	Zeta__Node__V1__Port *p = INIT(Zeta__Node__V1__Port, zeta__node__v1__port);
	Object *object = INIT(Object, zeta__node__v1__object);

	set_text(&p->id, id);
	p->vni = 7;
	p->n_ip = 1;
	p->ip = malloc(sizeof(*p->ip));
	p->ip[0] = address(ip);
	p->mac = bytes(6, 1);
	p->host_ip = address(host);
	p->host_mac = bytes(6, 2);
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_PORT;
	object->port = p;
	return object;
}

static Object *vpc(const char *id, uint32_t vni, uint32_t policy)
{
	Zeta__Node__V1__Vpc *v = INIT(Zeta__Node__V1__Vpc, zeta__node__v1__vpc);
	Object *object = INIT(Object, zeta__node__v1__object);

	set_text(&v->id, id);
	v->vni = vni;
	v->policy = policy;
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_VPC;
	object->vpc = v;
	return object;
}

static Object *entrance(const char *id, uint32_t cluster, uint32_t index, uint8_t ip)
{
	Zeta__Node__V1__Entrance *e = INIT(Zeta__Node__V1__Entrance, zeta__node__v1__entrance);
	Object *object = INIT(Object, zeta__node__v1__object);

	set_text(&e->id, id);
	e->cluster = cluster;
	e->index = index;
	e->ip = address(ip);
	e->mac = bytes(6, ip);
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_ENTRANCE;
	object->entrance = e;
	return object;
}

static Object *buckets(uint16_t chain)
{
	Zeta__Node__V1__Buckets *b = INIT(Zeta__Node__V1__Buckets, zeta__node__v1__buckets);
	Object *object = INIT(Object, zeta__node__v1__object);
	size_t i;

	set_text(&b->id, "view");
	b->chain = bytes((size_t)BUCKETS * 2, 0);
	for (i = 0; i < BUCKETS; i++)
		b->chain.data[i * 2 + 1] = (uint8_t)chain;
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_BUCKETS;
	object->buckets = b;
	return object;
}

static Zeta__Node__V1__Rule **one_rule(uint32_t port)
{
	Zeta__Node__V1__Rule **rules = malloc(sizeof(*rules));

	rules[0] = INIT(Zeta__Node__V1__Rule, zeta__node__v1__rule);
	rules[0]->protocol = 6;
	rules[0]->port_min = rules[0]->port_max = port;
	return rules;
}

static Object *group(const char *id, uint32_t number, uint32_t version, uint32_t blocks)
{
	Object *object = INIT(Object, zeta__node__v1__object);
	Zeta__Node__V1__SecurityGroup *g =
		INIT(Zeta__Node__V1__SecurityGroup, zeta__node__v1__security_group);

	set_text(&g->id, id);
	g->number = number;
	g->version = version;
	g->blocks = blocks;
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_SECURITY_GROUP;
	object->security_group = g;
	return object;
}

static Object *block(const char *id, uint32_t port)
{
	Object *object = INIT(Object, zeta__node__v1__object);
	Zeta__Node__V1__RuleBlock *b = INIT(Zeta__Node__V1__RuleBlock, zeta__node__v1__rule_block);

	set_text(&b->id, id);
	b->rule = one_rule(port);
	b->n_rule = 1;
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_RULE_BLOCK;
	object->rule_block = b;
	return object;
}

enum flags { SNAPSHOT = 1, MORE = 2 };

// Applies an update of these objects (NULL ends them) and the removal of one key (kind 0: none).
static void update(struct desired *d, unsigned int flags, Object **objects, uint32_t kind,
		   const char *id)
{
	Update *u = INIT(Update, zeta__node__v1__update);

	u->snapshot = !!(flags & SNAPSHOT);
	u->more = !!(flags & MORE);
	while (objects[u->n_put])
		u->n_put++;
	u->put = malloc((u->n_put + 1) * sizeof(*u->put));
	memcpy(u->put, objects, u->n_put * sizeof(*u->put));
	if (kind) {
		Zeta__Node__V1__Key *key = INIT(Zeta__Node__V1__Key, zeta__node__v1__key);

		key->kind = kind;
		set_text(&key->id, id);
		u->n_remove = 1;
		u->remove = malloc(sizeof(*u->remove));
		u->remove[0] = key;
	}
	assert_int_equal(desired_update(d, u), 0);
}

#define UPDATE(d, ...) update(d, 0, (Object *[]){__VA_ARGS__, NULL}, 0, "")
#define SNAPSHOT(d, ...) PART(d, SNAPSHOT, __VA_ARGS__)
#define PART(d, flags, ...) update(d, flags, (Object *[]){__VA_ARGS__, NULL}, 0, "")
#define REMOVE(d, kind, id) update(d, 0, (Object *[]){NULL}, kind, id)

// What the loader was told since the last time, as "+endpoints:1 -vpcs:2": the last byte of each
// key. It does all of it.
static const char *told(struct desired *d)
{
	static char text[4096];
	static struct message m;
	size_t used = 0;
	__u32 i;

	*text = 0;
	while (desired_batch(d, &m)) {
		assert_true(message_is_request(&m, message_size(&m)));
		for (i = 0; i < m.count; i++) {
			const uint8_t *key = message_at(&m, i);
			size_t size = tables[m.table].key_size;

			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%c%s:%u",
						 used ? " " : "", m.type == MESSAGE_PUT ? '+' : '-',
						 tables[m.table].map,
						 key[size == 4 ? 0 : size - 1]);
			assert_in_range(used, 0, sizeof(text) - 1);
		}
		desired_done(d, m.count);
	}
	return text;
}

static struct desired *gateway(void)
{
	struct desired *d = desired_new();

	assert_non_null(d);
	assert_int_equal(desired_reload(d, NODE_FWD | NODE_FTN), 0);
	return d;
}

static void puts_what_is_new(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, port("a", 1, 1), vpc("v", 7, 1));
	assert_int_equal(desired_pending(d), 2);
	// The VPC last, however they came: nothing is decided under a policy number that is ahead
	// of what it stands for.
	assert_string_equal(told(d), "+endpoints:1 +vpcs:7");
	assert_int_equal(desired_pending(d), 0);
	// The same again is nothing.
	SNAPSHOT(d, port("a", 1, 1), vpc("v", 7, 1));
	assert_string_equal(told(d), "");
	UPDATE(d, vpc("v", 7, 2));
	assert_string_equal(told(d), "+vpcs:7");
	UPDATE(d, vpc("v", 7, 3), port("a", 1, 2));
	assert_string_equal(told(d), "+endpoints:1 +vpcs:7");
	// What goes is gone by then, too: what is decided again stands under the new number.
	update(d, 0, (Object *[]){vpc("v", 7, 4), NULL}, ZETA__NODE__V1__OBJECT__KIND_PORT, "a");
	assert_string_equal(told(d), "-endpoints:1 +vpcs:7");
	desired_free(d);
}

static Object *function(const char *id, uint32_t slot)
{
	Zeta__Node__V1__Function *f = INIT(Zeta__Node__V1__Function, zeta__node__v1__function);
	Object *object = INIT(Object, zeta__node__v1__object);

	set_text(&f->id, id);
	f->slot = slot;
	f->running = 1;
	f->n_version = 1;
	f->version = malloc(sizeof(*f->version));
	f->version[0] = INIT(Zeta__Node__V1__FunctionVersion, zeta__node__v1__function_version);
	f->version[0]->object = bytes(1, 1);
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_FUNCTION;
	object->function = f;
	return object;
}

static Object *service_chain(const char *id, uint32_t number, uint32_t slot)
{
	Zeta__Node__V1__ServiceChain *c =
		INIT(Zeta__Node__V1__ServiceChain, zeta__node__v1__service_chain);
	Object *object = INIT(Object, zeta__node__v1__object);

	set_text(&c->id, id);
	c->number = number;
	c->vni = 7;
	c->n_functions = 1;
	c->functions = malloc(sizeof(*c->functions));
	c->functions[0] = slot;
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_SERVICE_CHAIN;
	object->service_chain = c;
	return object;
}

static Object *subnet(const char *id, uint32_t number, uint32_t chain)
{
	Zeta__Node__V1__Subnet *s = INIT(Zeta__Node__V1__Subnet, zeta__node__v1__subnet);
	Object *object = INIT(Object, zeta__node__v1__object);

	set_text(&s->id, id);
	s->number = number;
	s->vni = 7;
	s->prefix = address(9);
	s->prefix_length = 128;
	s->chain = chain;
	object->kind_case = ZETA__NODE__V1__OBJECT__KIND_SUBNET;
	object->subnet = s;
	return object;
}

// Loading a function holds up what comes after: no more than what needs it.
static void chains_find_their_functions(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, vpc("v", 7, 1), subnet("s", 1, 0), port("a", 1, 1));
	told(d);
	UPDATE(d, subnet("s", 1, 4), port("a", 1, 2), service_chain("c", 4, FUNCTION_FIRST_FREE),
	       function("f", FUNCTION_FIRST_FREE), vpc("v", 7, 2));
	assert_null(desired_refused(d));
	assert_string_equal(told(d), "+parts of functions:0 +functions:16 +functions that run:16 "
				     "+service_chains:4 +subnets:9 +endpoints:1 +vpcs:7");
	UPDATE(d, subnet("s", 1, 0), function("g", FUNCTION_FIRST_FREE + 1), vpc("v", 7, 3));
	assert_string_equal(told(d), "+subnets:9 +parts of functions:0 +functions:17 "
				     "+functions that run:17 +vpcs:7");
	desired_free(d);
}

static void functions_have_names(void **state)
{
	struct desired *d = gateway();
	Object *named = function("f", FUNCTION_FIRST_FREE + 3);
	__u64 hash = 0;

	named->function->name = strdup("gate");
	SNAPSHOT(d, named, vpc("v", 7, 1));
	assert_int_equal(desired_function(d, "gate", &hash), FUNCTION_FIRST_FREE + 3);
	assert_int_equal(desired_function(d, "f", &hash), FUNCTION_FIRST_FREE + 3);
	assert_int_equal(desired_function(d, "v", &hash), 0);
	assert_int_equal(desired_function(d, "", &hash), 0);
	desired_free(d);
}

// The pages of a set are there before it names them, and go after it named others.
static void rules_come_in_blocks(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, group("g", 4, 1, 2), block("group/g/0", 80), block("group/g/1", 90));
	assert_null(desired_refused(d));
	assert_string_equal(told(d), "+rule_pages:0 +rule_pages:0 +security_groups:4");
	UPDATE(d, group("g", 4, 2, 2), block("group/g/1", 91));
	assert_string_equal(told(d), "+rule_pages:0 +rule_pages:0 +security_groups:4 "
				     "-rule_pages:0 -rule_pages:0");
	// Not without all of them.
	UPDATE(d, group("g", 4, 3, 3));
	assert_non_null(strstr(desired_refused(d), "block 2 of its rules is missing"));
	desired_free(d);
}

static void snapshot_removes_the_rest(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, port("a", 1, 1), port("b", 2, 1), vpc("v", 7, 1));
	told(d);
	UPDATE(d, port("c", 3, 1));
	assert_string_equal(told(d), "+endpoints:3");
	SNAPSHOT(d, port("b", 2, 1), port("c", 3, 1), vpc("w", 8, 1));
	// A VPC goes before its endpoints: then nobody has to be told that they are unknown.
	assert_string_equal(told(d), "-vpcs:7 -endpoints:1 +vpcs:8");
	assert_true(desired_wants(d, TABLE_VPCS, &(__u32){8}));
	assert_false(desired_wants(d, TABLE_VPCS, &(__u32){7}));
	desired_free(d);
}

static void snapshot_comes_in_parts(void **state)
{
	struct desired *d = gateway();

	PART(d, SNAPSHOT | MORE, port("a", 1, 1), vpc("v", 7, 1));
	PART(d, MORE, port("b", 2, 1));
	assert_string_equal(told(d), "");
	UPDATE(d, port("c", 3, 1));
	assert_string_equal(told(d), "+endpoints:1 +endpoints:2 +endpoints:3 +vpcs:7");
	// What only a later part names is not removed in between, and what none names is at the
	// end.
	PART(d, SNAPSHOT | MORE, port("c", 3, 1));
	assert_string_equal(told(d), "");
	assert_true(desired_wants(d, TABLE_VPCS, &(__u32){7}));
	UPDATE(d, port("a", 1, 1), vpc("v", 7, 1));
	assert_string_equal(told(d), "-endpoints:2");
	desired_free(d);
}

static void snapshot_begins_again(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, port("a", 1, 1), port("b", 2, 1));
	told(d);
	PART(d, SNAPSHOT | MORE, port("a", 1, 1));
	PART(d, MORE, port("c", 3, 1));
	PART(d, SNAPSHOT | MORE, port("b", 2, 1));
	assert_string_equal(told(d), "");
	UPDATE(d, port("d", 4, 1));
	assert_string_equal(told(d), "+endpoints:4 -endpoints:1");
	// Whole at once, too.
	PART(d, SNAPSHOT | MORE, port("e", 5, 1));
	SNAPSHOT(d, port("b", 2, 1));
	assert_string_equal(told(d), "-endpoints:4");
	desired_free(d);
}

static void broken_off_step_is_nothing(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, vpc("v", 7, 1), port("a", 1, 1));
	told(d);
	PART(d, SNAPSHOT | MORE, port("c", 3, 1));
	desired_break_off(d);
	assert_string_equal(told(d), "");
	assert_int_equal(desired_reload(d, NODE_FWD | NODE_FTN), 0);
	assert_string_equal(told(d), "+endpoints:1 +vpcs:7");
	// The next one knows nothing of it.
	SNAPSHOT(d, vpc("v", 7, 1));
	assert_string_equal(told(d), "-endpoints:1");
	// And one that never ends is freed with the rest.
	PART(d, SNAPSHOT | MORE, port("c", 3, 1));
	desired_free(d);
}

// An address that moves from one port to another, in two parts of one step.
static void delta_comes_in_parts(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, port("a", 1, 1), port("b", 2, 1));
	told(d);
	update(d, MORE, (Object *[]){NULL}, ZETA__NODE__V1__OBJECT__KIND_PORT, "a");
	PART(d, MORE, port("c", 3, 1));
	assert_string_equal(told(d), "");
	UPDATE(d, port("d", 1, 2));
	assert_string_equal(told(d), "+endpoints:3 +endpoints:1");
	desired_free(d);
}

static void removes_by_key(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, port("a", 1, 1));
	told(d);
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_PORT, "unknown");
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_VPC, "a");
	assert_string_equal(told(d), "");
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_PORT, "a");
	assert_string_equal(told(d), "-endpoints:1");
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_PORT, "a");
	assert_string_equal(told(d), "");
	desired_free(d);
}

// An address that moves from one port to another is never away in between.
static void address_changes_its_port(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, port("a", 1, 1));
	told(d);
	update(d, 0, (Object *[]){port("b", 1, 2), NULL}, ZETA__NODE__V1__OBJECT__KIND_PORT, "a");
	assert_string_equal(told(d), "+endpoints:1");
	// The port itself gets another address.
	UPDATE(d, port("b", 5, 2));
	assert_string_equal(told(d), "+endpoints:5 -endpoints:1");
	// Put again before its removal was carried out: no removal at all.
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_PORT, "b");
	UPDATE(d, port("c", 5, 2));
	assert_string_equal(told(d), "+endpoints:5");
	desired_free(d);
}

static void refused_object_is_named(void **state)
{
	struct desired *d = gateway();
	Object *bad = port("bad", 1, 1);

	assert_null(desired_refused(d));
	SNAPSHOT(d, port("bad", 9, 1));
	told(d);
	bad->port->mac.len = 5;
	UPDATE(d, bad, port("good", 2, 1));
	assert_string_equal(desired_refused(d), "object bad of kind 8: mac is 5 bytes, not 6");
	// Nothing of it stays, the others are not held up.
	assert_string_equal(told(d), "+endpoints:2 -endpoints:9");
	UPDATE(d, port("bad", 1, 1));
	assert_null(desired_refused(d));
	assert_string_equal(told(d), "+endpoints:1");
	bad = port("worse", 1, 1);
	bad->port->vni = 1 << 24;
	UPDATE(d, bad);
	assert_non_null(desired_refused(d));
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_PORT, "worse");
	assert_null(desired_refused(d));
	desired_free(d);
}

static void failed_entry_waits(void **state)
{
	static struct message m;
	struct desired *d = gateway();

	SNAPSHOT(d, port("a", 1, 1), port("b", 2, 1), port("c", 3, 1));
	assert_true(desired_batch(d, &m));
	assert_int_equal(m.count, 3);
	desired_done(d, 1); // the second failed
	assert_true(desired_batch(d, &m));
	assert_int_equal(m.count, 1);
	desired_done(d, 1);
	assert_false(desired_batch(d, &m));
	assert_int_equal(desired_pending(d), 1);
	desired_retry(d);
	assert_string_equal(told(d), "+endpoints:2");
	assert_int_equal(desired_pending(d), 0);
	// One that failed and is not wanted any more is removed all the same: it may be there.
	UPDATE(d, port("d", 4, 1));
	assert_true(desired_batch(d, &m));
	desired_done(d, 0);
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_PORT, "d");
	assert_string_equal(told(d), "-endpoints:4");
	desired_free(d);
}

static void reload_puts_everything(void **state)
{
	struct desired *d = gateway();

	SNAPSHOT(d, vpc("v", 7, 1), entrance("e", 3, 2, 9));
	assert_string_equal(told(d), "+vpcs:7 +entrances:2 +entrance_by_ip:9");
	assert_int_equal(desired_reload(d, NODE_FWD), 0);
	assert_string_equal(told(d), "+vpcs:7 +entrances:2 +entrance_by_ip:9");
	// Another role has other entries.
	assert_int_equal(desired_reload(d, NODE_EDGE), 0);
	assert_string_equal(
		told(d),
		"+vpcs:7 +edge_entrances:3 +edge_entrance_by_ip:9 -entrance_by_ip:9 -entrances:2");
	desired_free(d);
}

static void edge_has_a_list_for_each_cluster(void **state)
{
	static struct message m;
	struct desired *d = desired_new();
	struct edge_entrances list;

	assert_int_equal(desired_reload(d, NODE_EDGE), 0);
	told(d);
	SNAPSHOT(d, entrance("7/3", 7, 3, 30), entrance("7/1", 7, 1, 10),
		 entrance("7/2", 7, 2, 20));
	assert_true(desired_batch(d, &m));
	assert_int_equal(m.table, TABLE_EDGE_ENTRANCES);
	assert_int_equal(m.count, 1);
	memcpy(&list, (__u8 *)message_at(&m, 0) + sizeof(__u32), sizeof(list));
	desired_done(d, 1);
	// In the order of their indices.
	assert_int_equal(list.count, 3);
	assert_int_equal(list.entrance[0].mac[5], 10);
	assert_int_equal(list.entrance[1].mac[5], 20);
	assert_int_equal(list.entrance[2].mac[5], 30);
	assert_string_equal(told(d), "+edge_entrance_by_ip:10 +edge_entrance_by_ip:20 "
				     "+edge_entrance_by_ip:30");
	UPDATE(d, entrance("8/1", 8, 1, 40));
	assert_string_equal(told(d), "+edge_entrances:8 +edge_entrance_by_ip:40");
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_ENTRANCE, "7/1");
	assert_string_equal(told(d), "+edge_entrances:7 -edge_entrance_by_ip:10");
	REMOVE(d, ZETA__NODE__V1__OBJECT__KIND_ENTRANCE, "8/1");
	assert_string_equal(told(d), "-edge_entrance_by_ip:40 -edge_entrances:8");
	desired_free(d);
}

static void large_tables_take_many_messages(void **state)
{
	static struct message m;
	struct desired *d = gateway();
	size_t count = 0, batches = 0;

	SNAPSHOT(d, buckets(1));
	for (; desired_batch(d, &m); batches++) {
		assert_true(message_is_request(&m, message_size(&m)));
		count += m.count;
		desired_done(d, m.count);
	}
	assert_int_equal(count, BUCKETS + 1); // and how many chains there are
	assert_true(batches > 1);
	SNAPSHOT(d, buckets(2));
	assert_int_equal(desired_pending(d), BUCKETS);
	desired_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_what_is_new),
		cmocka_unit_test(rules_come_in_blocks),
		cmocka_unit_test(chains_find_their_functions),
		cmocka_unit_test(functions_have_names),
		cmocka_unit_test(snapshot_removes_the_rest),
		cmocka_unit_test(snapshot_comes_in_parts),
		cmocka_unit_test(snapshot_begins_again),
		cmocka_unit_test(broken_off_step_is_nothing),
		cmocka_unit_test(delta_comes_in_parts),
		cmocka_unit_test(removes_by_key),
		cmocka_unit_test(address_changes_its_port),
		cmocka_unit_test(refused_object_is_named),
		cmocka_unit_test(failed_entry_waits),
		cmocka_unit_test(reload_puts_everything),
		cmocka_unit_test(edge_has_a_list_for_each_cluster),
		cmocka_unit_test(large_tables_take_many_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
