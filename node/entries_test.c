// SPDX-License-Identifier: Apache-2.0
// Each concept's translation: the bytes that the data path will read, and every object that must be
// refused before it gets there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "modules/chain/chain.h"
#include "lib/hash.h"
#include "modules/entrance/entrance.h"
#include "modules/function/function.h"
#include "modules/health/health.h"
#include "modules/loadbalancer/loadbalancer.h"
#include "modules/nat/nat.h"
#include "modules/member/member.h"
#include "modules/port/port.h"
#include "modules/route/route.h"
#include "modules/securitygroup/securitygroup.h"
#include "modules/session/session.h"
#include "modules/servicechain/servicechain.h"
#include "modules/subnet/subnet.h"
#include "modules/shield/shield.h"
#include "modules/uplink/uplink.h"
#include "modules/vpc/vpc.h"
#include "node/messages.h"

#define VALUE_MOST sizeof(struct listener_value)
_Static_assert(VALUE_MOST > sizeof(union rule_page) && VALUE_MOST > sizeof(struct function_part),
	       "there is room for every value");

// What was put first, and last, and how many there were.
struct recorded {
	struct entries entries; // first
	size_t count;
	enum table table[4];
	uint8_t key[4][64];
	uint8_t value[4][VALUE_MOST];
	enum table last;
	uint8_t last_value[VALUE_MOST];
};

static int record(struct entries *entries, enum table table, const void *key, const void *value)
{
	struct recorded *r = (struct recorded *)entries;

	if (r->count < 4) {
		r->table[r->count] = table;
		memcpy(r->key[r->count], key, tables[table].key_size);
		memcpy(r->value[r->count], value, tables[table].value_size);
	}
	r->last = table;
	memcpy(r->last_value, value, tables[table].value_size);
	r->count++;
	return 0;
}

static struct recorded recorder(void)
{
	return (struct recorded){.entries = {.put = record, .roles = NODE_FWD | NODE_FTN}};
}

static uint8_t ip[16] = {[10] = 0xFF, 0xFF, 10, 1, 2, 3};
static uint8_t net[16] = {[10] = 0xFF, 0xFF, 10, 1, 0, 0};
static uint8_t mac[6] = {2, 0, 0, 0, 0, 9};

#define BYTES(array) ((ProtobufCBinaryData){sizeof(array), array})
#define SHORT(array) ((ProtobufCBinaryData){sizeof(array) - 1, array})

// The translation refuses, says something with this in it, and puts nothing.
#define REFUSES(call, about)                                                                       \
	do {                                                                                       \
		r = recorder();                                                                    \
		assert_int_equal(call, -EINVAL);                                                   \
		assert_non_null(strstr(r.entries.why, about));                                     \
		assert_int_equal(r.count, 0);                                                      \
	} while (0)

static void member(void **state)
{
	Zeta__Node__V1__Member m = ZETA__NODE__V1__MEMBER__INIT;
	struct recorded r = recorder();
	const struct node_value *node = (const void *)r.value[0];

	m.index = 5;
	m.zgc_ip = BYTES(ip);
	m.zgc_mac = BYTES(mac);
	assert_int_equal(member_entries(&m, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.table[0], TABLE_NODES);
	assert_int_equal(*(uint32_t *)r.key[0], 5);
	assert_memory_equal(&node->zgc_ip, ip, 16);
	assert_memory_equal(node->zgc_mac, mac, 6);
	assert_int_equal(r.table[1], TABLE_NODE_BY_IP);
	assert_memory_equal(r.key[1], ip, 16);
	assert_int_equal(*(uint32_t *)r.value[1], 5);
	assert_int_equal(node->foreign, 0);
	m.foreign = 1;
	r = recorder();
	assert_int_equal(member_entries(&m, &r.entries), 0);
	assert_int_equal(node->foreign, 1);
	assert_int_equal(*(uint32_t *)r.value[1], 5 | NODE_FOREIGN);
	assert_int_equal(node->forwarder, 0);
	m.foreign = 0;
	m.forwarder = 1;
	REFUSES(member_entries(&m, &r.entries), "tenant_ip");
	m.tenant_ip = BYTES(ip);
	m.tenant_mac = SHORT(mac);
	REFUSES(member_entries(&m, &r.entries), "tenant_mac");
	m.tenant_mac = BYTES(mac);
	r = recorder();
	assert_int_equal(member_entries(&m, &r.entries), 0);
	assert_int_equal(node->forwarder, 1);
	assert_memory_equal(&node->tenant_ip, ip, 16);
	assert_memory_equal(node->tenant_mac, mac, 6);
	m.zgc_mac = SHORT(mac);
	REFUSES(member_entries(&m, &r.entries), "zgc_mac");
	m.index = MAX_NODES;
	REFUSES(member_entries(&m, &r.entries), "index");
}

static void chain(void **state)
{
	Zeta__Node__V1__Chain c = ZETA__NODE__V1__CHAIN__INIT;
	uint32_t live[MAX_CHAIN_LENGTH + 1] = {7, 8, 9};
	struct recorded r = recorder();
	const struct chain_value *value = (const void *)r.value[0];

	c.number = 3;
	c.epoch = 2;
	c.term = 4;
	c.live = live;
	c.n_live = 3;
	c.learner = 13;
	assert_int_equal(chain_entries(&c, &r.entries), 0);
	assert_int_equal(r.table[0], TABLE_CHAINS);
	assert_int_equal(*(uint32_t *)r.key[0], 3);
	assert_int_equal(value->epoch, 2);
	assert_int_equal(value->term, 4);
	assert_int_equal(value->live, 3);
	assert_int_equal(value->learner, 1);
	assert_int_equal(value->node[0], 7);
	assert_int_equal(value->node[2], 9);
	assert_int_equal(value->node[3], 12);
	c.n_live = MAX_CHAIN_LENGTH;
	REFUSES(chain_entries(&c, &r.entries), "replicas");
	c.learner = 0;
	r = recorder();
	assert_int_equal(chain_entries(&c, &r.entries), 0);
	c.n_live = 0;
	REFUSES(chain_entries(&c, &r.entries), "replicas");
	c.n_live = 1;
	live[0] = MAX_NODES;
	REFUSES(chain_entries(&c, &r.entries), "node index");
	// Another cluster's.
	live[0] = 7;
	c.number = KNOWN_CHAINS - 1;
	r = recorder();
	assert_int_equal(chain_entries(&c, &r.entries), 0);
	assert_int_equal(*(uint32_t *)r.key[0], KNOWN_CHAINS - 1);
	c.number = KNOWN_CHAINS;
	REFUSES(chain_entries(&c, &r.entries), "number");
}

// A chain with voters is for the ballots.
static void chain_wish(void **state)
{
	Zeta__Node__V1__Chain c = ZETA__NODE__V1__CHAIN__INIT;
	Zeta__Node__V1__Name names[MAX_VOTERS + 1], *voters[MAX_VOTERS + 1];
	struct recorded r = recorder();
	const struct chain_wish *wish = (const void *)r.value[0];
	uint32_t i;

	for (i = 0; i <= MAX_VOTERS; i++) {
		zeta__node__v1__name__init(&names[i]);
		names[i].node = 10 + i;
		names[i].boot = 100 + i;
		voters[i] = &names[i];
	}
	c.number = 3;
	c.epoch = 4;
	c.founded = 2;
	c.replicas = 3;
	c.voter = voters;
	c.n_voter = MAX_VOTERS;
	c.move = 7;
	c.moving = 1;
	assert_int_equal(chain_entries(&c, &r.entries), 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.table[0], TABLE_WISHES);
	assert_int_equal(*(uint32_t *)r.key[0], 3);
	assert_int_equal(wish->listed, 2);
	assert_int_equal(wish->voters.founded, 2);
	assert_int_equal(wish->move, 7);
	assert_int_equal(wish->moving, 1);
	assert_int_equal(wish->voters.epoch, 4);
	assert_int_equal(wish->voters.replicas, 3);
	assert_int_equal(wish->voters.count, MAX_VOTERS);
	assert_int_equal(wish->voters.voter[4].node, 14);
	assert_int_equal(wish->voters.voter[4].boot, 104);
	// Its list began later, by force.
	c.forced = 3;
	r.count = 0;
	assert_int_equal(chain_entries(&c, &r.entries), 0);
	assert_int_equal(wish->listed, 3);
	assert_int_equal(wish->voters.founded, 2);
	c.n_voter++;
	REFUSES(chain_entries(&c, &r.entries), "voters");
	c.n_voter = 2;
	c.forced = 1;
	REFUSES(chain_entries(&c, &r.entries), "forced");
	c.forced = 5;
	REFUSES(chain_entries(&c, &r.entries), "forced");
	c.forced = 0;
	c.founded = 5;
	REFUSES(chain_entries(&c, &r.entries), "founded");
	c.founded = 0;
	REFUSES(chain_entries(&c, &r.entries), "founded");
	c.founded = 4;
	c.replicas = 5;
	REFUSES(chain_entries(&c, &r.entries), "replicas");
	c.replicas = 2;
	names[1].node = 10;
	REFUSES(chain_entries(&c, &r.entries), "twice");
	names[1].boot = 0;
	REFUSES(chain_entries(&c, &r.entries), "boot id");
	// Nobody votes about another cluster's.
	c.number = MAX_CHAINS;
	REFUSES(chain_entries(&c, &r.entries), "number");
}

static void transfer(void **state)
{
	static uint8_t to[BUCKETS * 2], from[BUCKETS * 2];
	Zeta__Node__V1__Transfer t = ZETA__NODE__V1__TRANSFER__INIT;
	struct recorded r = recorder();
	const struct origin_value *origin = (const void *)r.value[2];
	struct transfer got;

	for (size_t i = 0; i < BUCKETS; i++) {
		to[2 * i + 1] = 1;
		from[2 * i] = 4;
		from[2 * i + 1] = 2;
	}
	t.number = 77;
	t.vni = 9;
	t.chain = BYTES(to);
	t.from = BYTES(from);
	assert_int_equal(transfer_entries(&t, &r.entries), 0);
	// Whose keys they are is known last.
	assert_int_equal(r.count, 2 * BUCKETS + 1);
	assert_int_equal(r.table[2], TABLE_ORIGINS);
	assert_int_equal(*(uint32_t *)r.key[2], BUCKETS + 1);
	assert_int_equal(origin->move, 77);
	assert_int_equal(origin->from, MAX_CHAINS + 2);
	assert_int_equal(r.table[1], TABLE_BUCKETS);
	assert_int_equal(*(uint32_t *)r.key[1], BUCKETS);
	assert_int_equal(*(uint32_t *)r.value[1], 1);
	assert_int_equal(r.last, TABLE_TRANSFER);
	got = transfer_unpack(*(uint64_t *)r.last_value);
	assert_int_equal(got.number, 77);
	assert_int_equal(got.vni, 9);
	assert_int_equal(got.begun | got.over, 0);
	t.begun = 1;
	r = recorder();
	assert_int_equal(transfer_entries(&t, &r.entries), 0);
	assert_true(transfer_unpack(*(uint64_t *)r.last_value).begun);
	from[1] = 0;
	from[0] = 0;
	REFUSES(transfer_entries(&t, &r.entries), "bucket 0");
	from[0] = 8;
	from[1] = 1;
	REFUSES(transfer_entries(&t, &r.entries), "bucket 0");
	t.from = SHORT(from);
	REFUSES(transfer_entries(&t, &r.entries), "from");
	// When it is over nothing is anywhere else.
	t.chain.len = t.from.len = 0;
	t.over = 1;
	r = recorder();
	assert_int_equal(transfer_entries(&t, &r.entries), 0);
	assert_int_equal(r.count, 1);
	t.vni = 0;
	REFUSES(transfer_entries(&t, &r.entries), "VNI 0");
	t.vni = 1 << 24;
	REFUSES(transfer_entries(&t, &r.entries), "VNI");
	t.vni = 9;
	t.number = 0;
	REFUSES(transfer_entries(&t, &r.entries), "transfer 0");
}

static void buckets(void **state)
{
	static uint8_t table[BUCKETS * 2] = {0, 0, 0, 1, 4, 0}, from[BUCKETS * 2] = {0, 0, 0, 2};
	Zeta__Node__V1__Buckets b = ZETA__NODE__V1__BUCKETS__INIT;
	struct recorded r = recorder();
	const struct origin_value *origin = (const void *)r.value[2];

	b.chain = BYTES(table);
	assert_int_equal(buckets_entries(&b, &r.entries), 0);
	assert_int_equal(r.count, BUCKETS + 1);
	assert_int_equal(*(uint32_t *)r.key[1], 1);
	assert_int_equal(*(uint32_t *)r.value[0], 0);
	assert_int_equal(*(uint32_t *)r.value[1], 1);
	assert_int_equal(*(uint32_t *)r.value[2], 1024);
	assert_int_equal(r.last, TABLE_CHAIN_COUNT);
	assert_int_equal(*(uint32_t *)r.last_value, 2);
	b.chain = SHORT(table);
	REFUSES(buckets_entries(&b, &r.entries), "chain is");
	b.chain = BYTES(table);
	// Where buckets come from is known before they are their new chain's.
	b.from = BYTES(from);
	REFUSES(buckets_entries(&b, &r.entries), "move 0");
	b.move = 9;
	r = recorder();
	assert_int_equal(buckets_entries(&b, &r.entries), 0);
	assert_int_equal(r.count, 2 * BUCKETS + 1);
	assert_int_equal(r.table[2], TABLE_ORIGINS);
	assert_int_equal(*(uint32_t *)r.key[2], 1);
	assert_int_equal(origin->move, 9);
	assert_int_equal(origin->from, 2);
	assert_int_equal(r.table[3], TABLE_BUCKETS);
	assert_int_equal(*(uint32_t *)r.key[3], 1);
	// With its end nothing comes from anywhere.
	b.from.len = 0;
	r = recorder();
	assert_int_equal(buckets_entries(&b, &r.entries), 0);
	assert_int_equal(r.table[2], TABLE_ORIGINS);
	assert_int_equal(origin->move, 9);
	assert_int_equal(origin->from, 0);
	b.from = BYTES(from);
	from[0] = 0xFF;
	REFUSES(buckets_entries(&b, &r.entries), "comes from");
	b.from = SHORT(from);
	REFUSES(buckets_entries(&b, &r.entries), "from is");
	b.from.len = 0;
	table[0] = 0xFF;
	REFUSES(buckets_entries(&b, &r.entries), "bucket 0");
}

static void vpc(void **state)
{
	Zeta__Node__V1__Vpc v = ZETA__NODE__V1__VPC__INIT;
	Zeta__Node__V1__Rate limit = ZETA__NODE__V1__RATE__INIT;
	uint32_t functions[MAX_SERVICE_CHAIN + 1] = {1, 2, 3};
	uint32_t later[EVERY_FUNCTIONS + 1] = {FUNCTION_FIRST_FREE};
	struct rate want = rate_of(0, 500, 20);
	struct recorded r = recorder();
	const struct vpc_value *value = (const void *)r.value[0];

	v.vni = 0xFFFFFF;
	v.policy = 6;
	v.functions = functions;
	v.n_functions = 3;
	v.ask_ns = 40000;
	v.sessions = 1000;
	assert_int_equal(vpc_entries(&v, &r.entries), 0);
	assert_int_equal(*(uint32_t *)r.key[0], 0xFFFFFF);
	assert_int_equal(value->policy, 6);
	assert_int_equal(value->functions, 3);
	assert_int_equal(value->function[2], 3);
	assert_int_equal(value->ask_ns, 40000);
	assert_int_equal(value->sessions, 1000);
	assert_false(rate_limits(&value->rate));
	v.limit = &limit;
	limit.packets_per_s = 500;
	limit.burst_ms = 20;
	r = recorder();
	assert_int_equal(vpc_entries(&v, &r.entries), 0);
	assert_memory_equal(&value->rate, &want, sizeof(want));
	limit.burst_ms = 0;
	REFUSES(vpc_entries(&v, &r.entries), "a limit has a burst of 0");
	v.limit = NULL;
	v.later = later;
	v.n_later = 1;
	r = recorder();
	assert_int_equal(vpc_entries(&v, &r.entries), 0);
	assert_int_equal(value->later[0], FUNCTION_FIRST_FREE);
	later[0] = FUNCTION_FIRST_FREE + EVERY_FUNCTIONS;
	REFUSES(vpc_entries(&v, &r.entries), "slot 24");
	v.n_later = EVERY_FUNCTIONS + 1;
	REFUSES(vpc_entries(&v, &r.entries), "9 functions");
	v.n_later = 0;
	v.ask_ns = 3600000000001;
	REFUSES(vpc_entries(&v, &r.entries), "first packets");
	v.ask_ns = 0;
	v.n_functions = 4;
	REFUSES(vpc_entries(&v, &r.entries), "slot 0");
	functions[3] = MAX_FUNCTIONS;
	REFUSES(vpc_entries(&v, &r.entries), "slot");
	v.n_functions = MAX_SERVICE_CHAIN + 1;
	REFUSES(vpc_entries(&v, &r.entries), "functions");
	v.vni = 1 << 24;
	REFUSES(vpc_entries(&v, &r.entries), "VNI");
	v.vni = 0;
	REFUSES(vpc_entries(&v, &r.entries), "VNI");
}

static void function(void **state)
{
	static uint8_t object[FUNCTION_PART + 5] = {[0] = 7, [FUNCTION_PART + 4] = 9};
	static uint8_t large[ZETA_OBJECT_BYTES + 1];
	Zeta__Node__V1__FunctionVersion version = ZETA__NODE__V1__FUNCTION_VERSION__INIT,
					*versions[] = {&version};
	Zeta__Node__V1__Function f = ZETA__NODE__V1__FUNCTION__INIT;
	struct recorded r = recorder();
	const struct function_part_key *second = (const void *)r.key[1];
	const struct function_version *told = (const void *)r.value[2];
	const struct function_run *run = (const void *)r.value[3];

	version.place = 1;
	version.object = BYTES(object);
	f.id = "f";
	f.slot = FUNCTION_FIRST_FREE;
	f.running = 2;
	f.version = versions;
	f.n_version = 1;
	assert_int_equal(function_entries(&f, &r.entries), 0);
	assert_int_equal(r.count, 4);
	assert_int_equal(r.table[0], TABLE_FUNCTION_PARTS);
	assert_int_equal(r.value[0][0], 7);
	assert_int_equal(second->place, 1);
	assert_int_equal(second->part, 1);
	assert_int_equal(r.value[1][4], 9);
	assert_int_equal(r.table[2], TABLE_FUNCTION_VERSIONS);
	assert_int_equal(told->size, sizeof(object));
	assert_int_equal(told->digest, hash_bytes(object, sizeof(object), 0));
	assert_int_equal(r.table[3], TABLE_FUNCTION_RUNS);
	assert_int_equal(run->place, 1);
	assert_int_equal(run->function, hash_text("f", 0));

	f.running = 3;
	REFUSES(function_entries(&f, &r.entries), "place 2");
	f.running = 0;
	version.place = 2;
	REFUSES(function_entries(&f, &r.entries), "place 2");
	version.place = 0;
	version.object.len = 0;
	REFUSES(function_entries(&f, &r.entries), "0 bytes");
	version.object = BYTES(large);
	REFUSES(function_entries(&f, &r.entries), "bytes");
	f.slot = FUNCTION_FIRST_FREE - 1;
	REFUSES(function_entries(&f, &r.entries), "slot 15");
	f.slot = FUNCTION_FIRST_FREE + PUSHED_FUNCTIONS;
	REFUSES(function_entries(&f, &r.entries), "slot");
}

static void function_config(void **state)
{
	static uint8_t bytes[ZETA_CONFIG_BYTES + 1] = {5};
	Zeta__Node__V1__FunctionConfig c = ZETA__NODE__V1__FUNCTION_CONFIG__INIT;
	struct recorded r = recorder();
	const struct function_config_key *key = (const void *)r.key[0];

	c.slot = FUNCTION_FIRST_FREE;
	c.place = 1;
	c.config = SHORT(bytes);
	assert_int_equal(function_config_entry(9, &c, &r.entries), 0);
	assert_int_equal(r.table[0], TABLE_FUNCTION_CONFIGS);
	assert_int_equal(key->chain, 9);
	assert_int_equal(key->place, 1);
	assert_int_equal(r.value[0][0], 5);
	c.config = BYTES(bytes);
	REFUSES(function_config_entry(9, &c, &r.entries), "too large");
	c.place = 2;
	REFUSES(function_config_entry(9, &c, &r.entries), "place 2");
}

static void service_chain(void **state)
{
	static uint8_t bytes[] = {5};
	Zeta__Node__V1__FunctionConfig first = ZETA__NODE__V1__FUNCTION_CONFIG__INIT,
				       every = ZETA__NODE__V1__FUNCTION_CONFIG__INIT,
				       *configs[] = {&first, &every};
	uint32_t functions[MAX_LATER_CHAIN + 1] = {FUNCTION_FIRST_FREE + EVERY_FUNCTIONS,
						   FUNCTION_FIRST_FREE, FUNCTION_ACL};
	Zeta__Node__V1__ServiceChain c = ZETA__NODE__V1__SERVICE_CHAIN__INIT;
	struct recorded r = recorder();
	const struct function_config_key *key[] = {(void *)r.key[0], (void *)r.key[1],
						   (void *)r.key[2]};
	const struct service_chain_value *value = (const void *)r.value[3];

	first.slot = functions[0];
	every.slot = functions[1];
	first.config = every.config = BYTES(bytes);
	c.number = 4;
	c.vni = 258;
	c.functions = functions;
	c.n_functions = 3;
	c.config = configs;
	c.n_config = 2;
	assert_int_equal(service_chain_entries(&c, &r.entries), 0);
	// Who sees every packet is asked by the VPC.
	assert_int_equal(r.table[3], TABLE_SERVICE_CHAINS);
	assert_int_equal(key[0]->chain, 4 | FUNCTION_LATER);
	assert_int_equal(key[1]->chain, 4 | FUNCTION_LATER);
	assert_int_equal(key[2]->chain, 258);
	assert_int_equal(key[2]->slot, FUNCTION_FIRST_FREE);
	assert_int_equal(*(uint32_t *)r.key[3], 4);
	assert_int_equal(value->functions, 3);
	assert_int_equal(value->function[2], FUNCTION_ACL);
	functions[1] = MAX_FUNCTIONS;
	REFUSES(service_chain_entries(&c, &r.entries), "slot 64");
	c.n_functions = MAX_LATER_CHAIN + 1;
	REFUSES(service_chain_entries(&c, &r.entries), "5 functions");
	c.number = FUNCTION_LATER | 1;
	REFUSES(service_chain_entries(&c, &r.entries), "no number");
	c.number = 0;
	REFUSES(service_chain_entries(&c, &r.entries), "0 is no number");
	c.vni = 0;
	REFUSES(service_chain_entries(&c, &r.entries), "VNI");
}

static void subnet(void **state)
{
	Zeta__Node__V1__Subnet s = ZETA__NODE__V1__SUBNET__INIT;
	uint32_t peers[MAX_VPC_PEERINGS + 1] = {7, 0xFFFFFF};
	struct recorded r = recorder();
	const struct subnet_key *key = (const void *)r.key[0];
	const struct subnet_value *value = (const void *)r.value[0];

	s.number = 4;
	s.vni = 258;
	s.prefix = BYTES(net);
	s.prefix_length = 96 + 16;
	s.chain = 6;
	assert_int_equal(subnet_entries(&s, &r.entries), 0);
	assert_int_equal(key->prefix_bits, 32 + 96 + 16);
	assert_int_equal(key->vni, htonl(258));
	assert_memory_equal(&key->address, net, 16);
	assert_int_equal(value->subnet, 4);
	assert_int_equal(value->bits, 96 + 16);
	assert_int_equal(value->chain, 6);
	s.gateway = BYTES(ip);
	REFUSES(subnet_entries(&s, &r.entries), "gateway_mac");
	s.gateway_mac = BYTES(mac);
	r = recorder();
	assert_int_equal(subnet_entries(&s, &r.entries), 0);
	assert_memory_equal(&value->gateway, ip, 16);
	assert_memory_equal(value->gateway_mac, mac, 6);
	// Who reaches it by a peering; forwarders do not decide.
	s.peer_vni = peers;
	s.n_peer_vni = 2;
	r = recorder();
	assert_int_equal(subnet_entries(&s, &r.entries), 0);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.table[0], TABLE_SUBNETS);
	for (int i = 1; i < 3; i++) {
		const struct subnet_key *reached = (const void *)r.key[i];
		const struct peer_subnet_value *whose = (const void *)r.value[i];

		assert_int_equal(r.table[i], TABLE_PEER_SUBNETS);
		assert_int_equal(reached->vni, htonl(peers[i - 1]));
		assert_int_equal(reached->prefix_bits, 32 + 96 + 16);
		assert_memory_equal(&reached->address, net, 16);
		assert_int_equal(whose->vni, 258);
		assert_int_equal(whose->bits, 96 + 16);
	}
	r = recorder();
	r.entries.roles = NODE_FWD;
	assert_int_equal(subnet_entries(&s, &r.entries), 0);
	assert_int_equal(r.count, 1);
	peers[1] = 0;
	REFUSES(subnet_entries(&s, &r.entries), "peer's VNI");
	s.n_peer_vni = MAX_VPC_PEERINGS + 1;
	REFUSES(subnet_entries(&s, &r.entries), "peers");
	s.n_peer_vni = 0;
	s.prefix_length = 96 + 15;
	REFUSES(subnet_entries(&s, &r.entries), "host bits");
	s.prefix_length = 129;
	REFUSES(subnet_entries(&s, &r.entries), "prefix length");
	s.number = 0;
	REFUSES(subnet_entries(&s, &r.entries), "number");
}

static void routes(void **state)
{
	Zeta__Node__V1__RouteBlock b = ZETA__NODE__V1__ROUTE_BLOCK__INIT;
	Zeta__Node__V1__Route via = ZETA__NODE__V1__ROUTE__INIT, hole = via,
			      *routes[] = {&via, &hole};
	struct recorded r = recorder();
	const struct subnet_key *key = (const void *)r.key[0];
	const struct route_value *value = (const void *)r.value[0],
				 *other = (const void *)r.value[1];

	b.vni = 258;
	b.route = routes;
	b.n_route = 2;
	via.prefix = hole.prefix = BYTES(net);
	via.prefix_length = 96 + 16;
	via.next_hop = BYTES(ip);
	hole.prefix_length = 128;
	assert_int_equal(route_block_entries(&b, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.table[0], TABLE_ROUTES);
	assert_int_equal(key->prefix_bits, 32 + 96 + 16);
	assert_int_equal(key->vni, htonl(258));
	assert_memory_equal(&key->address, net, 16);
	assert_int_equal(value->kind, ROUTE_VIA);
	assert_int_equal(value->bits, 96 + 16);
	assert_memory_equal(&value->next_hop, ip, 16);
	assert_int_equal(other->kind, ROUTE_BLACKHOLE);
	assert_int_equal(other->bits, 128);
	via.prefix_length = 129;
	REFUSES(route_block_entries(&b, &r.entries), "prefix length");
	via.prefix_length = 96 + 15;
	REFUSES(route_block_entries(&b, &r.entries), "host bits");
	via.prefix = SHORT(net);
	REFUSES(route_block_entries(&b, &r.entries), "prefix is 15");
	b.vni = 0;
	REFUSES(route_block_entries(&b, &r.entries), "VNI");
}

static void shared_route(void **state)
{
	Zeta__Node__V1__RouteBlock b = ZETA__NODE__V1__ROUTE_BLOCK__INIT;
	Zeta__Node__V1__Route shared = ZETA__NODE__V1__ROUTE__INIT, *routes[] = {&shared};
	ProtobufCBinaryData hops[MAX_NEXT_HOPS + 1];
	struct recorded r = recorder();
	const struct next_hops_value *next = (const void *)r.value[0];
	const struct route_value *value = (const void *)r.value[1];

	for (size_t i = 0; i < MAX_NEXT_HOPS + 1; i++)
		hops[i] = BYTES(ip);
	b.vni = 258;
	b.route = routes;
	b.n_route = 1;
	shared.prefix = BYTES(net);
	shared.prefix_length = 96 + 16;
	shared.next_hops = hops;
	shared.n_next_hops = 2;
	assert_int_equal(route_block_entries(&b, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.table[0], TABLE_NEXT_HOPS);
	assert_int_equal(r.table[1], TABLE_ROUTES);
	// By the route's own prefix the data path finds them.
	assert_memory_equal(r.key[0], r.key[1], sizeof(struct subnet_key));
	assert_memory_equal(&value->next_hop, net, 16);
	assert_int_equal(value->kind, ROUTE_SHARED);
	assert_int_equal(next->count, 2);
	assert_memory_equal(&next->hop[1], ip, 16);
	shared.n_next_hops = MAX_NEXT_HOPS + 1;
	REFUSES(route_block_entries(&b, &r.entries), "next hops");
	shared.n_next_hops = 2;
	hops[1] = SHORT(ip);
	REFUSES(route_block_entries(&b, &r.entries), "next_hops is 15");
}

static void uplink(void **state)
{
	Zeta__Node__V1__Uplink u = ZETA__NODE__V1__UPLINK__INIT;
	struct recorded r = recorder();
	const struct uplink_value *value = (const void *)r.value[0];

	u.vni = 9;
	u.table = 100;
	u.ip = BYTES(ip);
	u.gateway = BYTES(net);
	u.interface = (char *)"up0";
	assert_int_equal(uplink_entries(&u, &r.entries), 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.table[0], TABLE_UPLINKS);
	assert_string_equal((const char *)r.key[0], "up0");
	assert_int_equal(value->vni, 9);
	assert_int_equal(value->table, 100);
	assert_memory_equal(&value->ip, ip, 16);
	assert_memory_equal(&value->gateway, net, 16);
	u.interface = (char *)"a/b";
	REFUSES(uplink_entries(&u, &r.entries), "a/b");
	u.table = 0;
	REFUSES(uplink_entries(&u, &r.entries), "table");
	u.table = 1;
	u.vni = 1 << 24;
	REFUSES(uplink_entries(&u, &r.entries), "VNI");
	u.vni = 1;
	u.interface = (char *)"up0";
	u.gateway = SHORT(net);
	REFUSES(uplink_entries(&u, &r.entries), "gateway is 15");
	u.gateway = (ProtobufCBinaryData){16, (uint8_t[16]){0xfd}};
	REFUSES(uplink_entries(&u, &r.entries), "gateway is not an IPv4 address");
}

static void announcement(void **state)
{
	Zeta__Node__V1__Announcement a = ZETA__NODE__V1__ANNOUNCEMENT__INIT;
	ProtobufCBinaryData address[] = {BYTES(ip), BYTES(net)};
	struct recorded r = recorder();
	const struct endpoint_key *key = (const void *)r.key[1];

	a.vni = 9;
	a.address = address;
	a.n_address = 2;
	assert_int_equal(announcement_entries(&a, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.table[1], TABLE_ANNOUNCED);
	assert_int_equal(key->vni, 9);
	assert_memory_equal(&key->address, net, 16);
	address[0].data = (uint8_t[16]){0xfd};
	REFUSES(announcement_entries(&a, &r.entries), "not an IPv4 address");
	a.vni = 0;
	REFUSES(announcement_entries(&a, &r.entries), "VNI");
}

static void nothing(void *context)
{
}

// Flow table nodes ask whether it leads outside, until it is no uplink any more.
static void uplink_check(void **state)
{
	Zeta__Node__V1__Port p = ZETA__NODE__V1__PORT__INIT;
	ProtobufCBinaryData ips[2] = {BYTES(ip), BYTES(net)};
	struct health_checks *health = health_start(nothing, NULL);
	struct health_state told[4];
	struct recorded r = recorder();
	const struct checked_value *checked = (const void *)r.value[0];

	assert_non_null(health);
	r.entries.health = health;
	p.id = (char *)"up";
	p.vni = 9;
	p.ip = ips;
	p.n_ip = 2;
	assert_int_equal(uplink_check_entries(&p, &r.entries), 0);
	assert_int_equal(r.count, 0);
	p.uplink = 1;
	assert_int_equal(uplink_check_entries(&p, &r.entries), 0);
	// Of which nothing is known yet is not down.
	assert_int_equal(r.count, 1);
	assert_int_equal(r.table[0], TABLE_CHECKED);
	assert_int_equal(checked->vni, 9);
	assert_memory_equal(&checked->address, ip, 16);
	assert_int_equal(health_tell(health, told, 4), 1);
	assert_string_equal(told[0].balancer, "");
	assert_string_equal(told[0].backend, "up");
	assert_int_equal(told[0].port, UPLINK_PORT);
	uplink_forget(&p, health);
	assert_int_equal(health_tell(health, told, 4), 0);
}

static void port(void **state)
{
	Zeta__Node__V1__Port p = ZETA__NODE__V1__PORT__INIT;
	ProtobufCBinaryData ips[2] = {BYTES(ip), BYTES(net)};
	uint32_t groups[MAX_PORT_GROUPS + 1] = {21, 22};
	struct recorded r = recorder();
	const struct endpoint_key *key = (const void *)r.key[1];
	const struct endpoint_value *value = (const void *)r.value[1];

	p.vni = 9;
	p.ip = ips;
	p.n_ip = 2;
	p.mac = BYTES(mac);
	p.host_ip = BYTES(ip);
	p.host_mac = BYTES(mac);
	p.group = groups;
	p.n_group = 2;
	assert_int_equal(port_entries(&p, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(key->vni, 9);
	assert_memory_equal(&key->address, net, 16);
	assert_memory_equal(&value->host, ip, 16);
	assert_memory_equal(value->mac, mac, 6);
	assert_int_equal(value->group[1], 22);
	assert_int_equal(value->group[2], 0);
	p.n_group = MAX_PORT_GROUPS + 1;
	REFUSES(port_entries(&p, &r.entries), "security groups");
	p.n_group = 0;
	ips[0].len = 4;
	REFUSES(port_entries(&p, &r.entries), "ip is 4");
	p.host_mac.len = 0;
	REFUSES(port_entries(&p, &r.entries), "host_mac");
}

static void allowed_prefixes(void **state)
{
	static uint8_t six[16] = {0x20, 1, 0xd, 0xb8, [15] = 7}, link[16] = {0xfe, 0x80};
	Zeta__Node__V1__Port p = ZETA__NODE__V1__PORT__INIT;
	Zeta__Node__V1__Prefix prefix = ZETA__NODE__V1__PREFIX__INIT, *prefixes[] = {&prefix};
	ProtobufCBinaryData ips[2] = {BYTES(ip)};
	struct recorded r = recorder();
	const struct allowed_key *key = (const void *)r.key[0];

	p.vni = 258;
	p.ip = ips;
	p.n_ip = 1;
	p.mac = BYTES(mac);
	p.host_ip = BYTES(ip);
	p.host_mac = BYTES(mac);
	p.allowed = prefixes;
	p.n_allowed = 1;
	prefix.address = BYTES(net);
	prefix.length = 96 + 16;
	assert_int_equal(port_entries(&p, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.table[0], TABLE_ALLOWED);
	assert_int_equal(key->prefix_bits, 32 + 64 + 96 + 16);
	assert_int_equal(key->vni, htonl(258));
	assert_memory_equal(key->mac, mac, 6);
	assert_memory_equal(&key->address, net, 16);
	assert_memory_equal(r.value[0], ip, 16);
	// Of two families: each by an address of its own, and the link's.
	ips[1] = BYTES(six);
	p.n_ip = 2;
	r = recorder();
	assert_int_equal(port_entries(&p, &r.entries), 0);
	assert_int_equal(r.count, 4);
	assert_int_equal(r.table[0], TABLE_ALLOWED);
	assert_int_equal(key->prefix_bits, 32 + 64 + 64);
	assert_memory_equal(key->mac, mac, 6);
	assert_memory_equal(&key->address, link, 16);
	assert_memory_equal(r.value[0], six, 16);
	assert_memory_equal(r.value[1], ip, 16);
	prefix.address = BYTES(link);
	prefix.length = 64;
	r = recorder();
	assert_int_equal(port_entries(&p, &r.entries), 0);
	assert_memory_equal(r.value[1], six, 16);
	p.n_ip = 1;
	REFUSES(port_entries(&p, &r.entries), "no address of its kind");
	prefix.address = BYTES(net);
	prefix.length = 96 + 15;
	REFUSES(port_entries(&p, &r.entries), "host bits");
	prefix.length = 129;
	REFUSES(port_entries(&p, &r.entries), "prefix length");
	p.n_allowed = MAX_PORT_ALLOWED + 1;
	REFUSES(port_entries(&p, &r.entries), "allowed prefixes");
}

static void local_port(void **state)
{
	Zeta__Node__V1__LocalPort p = ZETA__NODE__V1__LOCAL_PORT__INIT;
	struct recorded r = recorder();
	const struct local_port *value = (const void *)r.value[0];

	p.vni = 9;
	p.mac = BYTES(mac);
	p.interface = "veth-a";
	assert_int_equal(local_port_entries(&p, &r.entries), 0);
	assert_string_equal((char *)r.key[0], "veth-a");
	assert_int_equal(value->vni, 9);
	assert_memory_equal(value->mac, mac, 6);
	assert_false(rate_limits(&value->egress));
	assert_false(rate_limits(&value->ingress));
	assert_int_equal(value->marks, 0);
	r = recorder();
	p.dscp = 1;
	assert_int_equal(local_port_entries(&p, &r.entries), 0);
	assert_int_equal(value->marks, 1);
	assert_int_equal(value->dscp, 0);
	p.dscp = 65;
	REFUSES(local_port_entries(&p, &r.entries), "DSCP 64");
	p.dscp = 0;
	r = recorder();
	p.connections_per_s = 4;
	assert_int_equal(local_port_entries(&p, &r.entries), 0);
	assert_true(value->connections.per_packet == 250000000ull << RATE_TIME_BITS);
	assert_true(value->connections.burst == 16 * value->connections.per_packet);
	p.connections_per_s = MAX_CONNECTIONS_PER_S + 1;
	REFUSES(local_port_entries(&p, &r.entries), "connections per second");
	p.connections_per_s = 0;
	p.interface = "a-name-that-is-too-long";
	REFUSES(local_port_entries(&p, &r.entries), "a-name-that");
	p.interface = "../x";
	REFUSES(local_port_entries(&p, &r.entries), "interface");
	p.interface = "";
	REFUSES(local_port_entries(&p, &r.entries), "interface");
}

static void local_port_rates(void **state)
{
	Zeta__Node__V1__LocalPort p = ZETA__NODE__V1__LOCAL_PORT__INIT;
	Zeta__Node__V1__Rate rate = ZETA__NODE__V1__RATE__INIT;
	struct recorded r = recorder();
	const struct local_port *value = (const void *)r.value[0];
	struct rate want = rate_of(1000000, 500, 20);

	p.vni = 9;
	p.mac = BYTES(mac);
	p.interface = "veth-a";
	p.egress = &rate;
	rate.bits_per_s = 1000000;
	rate.packets_per_s = 500;
	rate.burst_ms = 20;
	assert_int_equal(local_port_entries(&p, &r.entries), 0);
	assert_memory_equal(&value->egress, &want, sizeof(want));
	assert_false(rate_limits(&value->ingress));
	p.egress = NULL;
	p.ingress = &rate;
	r = recorder();
	assert_int_equal(local_port_entries(&p, &r.entries), 0);
	assert_memory_equal(&value->ingress, &want, sizeof(want));
	assert_false(rate_limits(&value->egress));
	rate.burst_ms = 0;
	REFUSES(local_port_entries(&p, &r.entries), "burst of 0");
	rate.burst_ms = MAX_BURST_MS + 1;
	REFUSES(local_port_entries(&p, &r.entries), "burst of");
	rate.burst_ms = 1;
	rate.bits_per_s = MIN_BITS_PER_S - 1;
	REFUSES(local_port_entries(&p, &r.entries), "999 bits");
	rate.bits_per_s = MAX_BITS_PER_S + 1;
	REFUSES(local_port_entries(&p, &r.entries), "bits per second");
	rate.bits_per_s = 0;
	rate.packets_per_s = MAX_PACKETS_PER_S + 1;
	REFUSES(local_port_entries(&p, &r.entries), "packets per second");
}

static void local_port_mirror(void **state)
{
	Zeta__Node__V1__LocalPort p = ZETA__NODE__V1__LOCAL_PORT__INIT;
	Zeta__Node__V1__Mirror mirror = ZETA__NODE__V1__MIRROR__INIT;
	Zeta__Node__V1__Rate rate = ZETA__NODE__V1__RATE__INIT;
	struct recorded r = recorder();
	const struct local_port *value = (const void *)r.value[0];
	struct rate want = rate_of(1000000, 0, 100);
	uint8_t other[16] = {0x20, 1};

	p.vni = 9;
	p.mac = BYTES(mac);
	p.interface = "veth-a";
	p.mirror = &mirror;
	mirror.collector = BYTES(ip);
	mirror.vni = 77;
	mirror.bytes = 128;
	mirror.ingress = 1;
	mirror.rate = &rate;
	rate.bits_per_s = 1000000;
	rate.burst_ms = 100;
	assert_int_equal(local_port_entries(&p, &r.entries), 0);
	assert_memory_equal(&value->mirror.collector, ip, 16);
	assert_int_equal(value->mirror.vni, 77);
	assert_int_equal(value->mirror.bytes, 128);
	assert_int_equal(value->mirror.which, MIRROR_INGRESS);
	assert_memory_equal(&value->mirror.rate, &want, sizeof(want));
	mirror.ingress = 0;
	REFUSES(local_port_entries(&p, &r.entries), "of nothing");
	mirror.egress = 1;
	mirror.rate = NULL;
	REFUSES(local_port_entries(&p, &r.entries), "without a limit");
	mirror.rate = &rate;
	mirror.bytes = MIN_MIRROR_BYTES - 1;
	REFUSES(local_port_entries(&p, &r.entries), "63 bytes");
	mirror.bytes = MAX_MIRROR_BYTES + 1;
	REFUSES(local_port_entries(&p, &r.entries), "65536 bytes");
	mirror.bytes = MAX_MIRROR_BYTES;
	mirror.vni = 1 << 24;
	REFUSES(local_port_entries(&p, &r.entries), "VNI 16777216");
	mirror.vni = 0;
	mirror.collector = BYTES(other);
	REFUSES(local_port_entries(&p, &r.entries), "no IPv4 address");
	mirror.collector.len = 4;
	REFUSES(local_port_entries(&p, &r.entries), "collector is 4");
}

static void security_group(void **state)
{
	Zeta__Node__V1__SecurityGroup g = ZETA__NODE__V1__SECURITY_GROUP__INIT;
	Zeta__Node__V1__Rule rule = ZETA__NODE__V1__RULE__INIT, out = ZETA__NODE__V1__RULE__INIT;
	static Zeta__Node__V1__Rule *rules[MAX_RULES + 1];
	struct recorded r = recorder();
	const struct rule_page_key *page = (const void *)r.key[0];
	const struct rule_set *set = (const void *)r.last_value;

	rules[0] = &rule;
	rules[1] = &out;
	rule.protocol = 6;
	rule.port_min = 80;
	rule.port_max = 65535;
	rule.remote = BYTES(net);
	rule.remote_length = 112;
	out.egress = 1;
	out.port_max = 65535;
	out.remote_group = 31;
	g.number = 30;
	g.version = 7;
	g.rule = rules;
	g.n_rule = 2;
	assert_int_equal(securitygroup_entries(&g, &r.entries), 0);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.table[0], TABLE_RULE_PAGES);
	assert_int_equal(page->set, 30);
	assert_int_equal(page->version, 7);
	assert_int_equal(page->page, 1);
	// The set comes after its pages.
	assert_int_equal(r.last, TABLE_SECURITY_GROUPS);
	assert_int_equal(*(uint32_t *)r.key[2], 30);
	assert_int_equal(set->version, 7);
	assert_int_equal(set->root, 2);
	assert_int_equal(set->traits, RULES_EGRESS | RULES_GROUPS);
	out.port_max = 65536;
	REFUSES(securitygroup_entries(&g, &r.entries), "ports");
	out.port_max = 1;
	out.port_min = 2;
	REFUSES(securitygroup_entries(&g, &r.entries), "ports");
	out.port_min = 0;
	out.protocol = 256;
	REFUSES(securitygroup_entries(&g, &r.entries), "protocol");
	out.protocol = 0;
	REFUSES(securitygroup_entries(&g, &r.entries), "of no protocol");
	out.port_max = 65535;
	out.remote_group = RULES_OF_ACL;
	REFUSES(securitygroup_entries(&g, &r.entries), "remote group");
	out.remote_group = 31;
	out.remote_length = 1;
	REFUSES(securitygroup_entries(&g, &r.entries), "remote is 0");
	g.n_rule = MAX_RULES + 1;
	REFUSES(securitygroup_entries(&g, &r.entries), "rules");
	g.number = 0;
	REFUSES(securitygroup_entries(&g, &r.entries), "number");
}

static void entrance(void **state)
{
	Zeta__Node__V1__Entrance e = ZETA__NODE__V1__ENTRANCE__INIT;
	struct recorded r = recorder();
	const struct entrance_value *value = (const void *)r.value[0];
	uint32_t preference[MAX_PREFERENCES + 1] = {2, 5};

	e.index = 6;
	e.ip = BYTES(ip);
	e.mac = BYTES(mac);
	e.owner = 2;
	assert_int_equal(entrance_entries(&e, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(*(uint32_t *)r.key[0], 6);
	assert_int_equal(value->live, 1);
	assert_int_equal(value->owner, 2);
	assert_memory_equal(&value->ip, ip, 16);
	assert_memory_equal(r.key[1], ip, 16);
	assert_int_equal(value->preferences, 0);
	// As many as there is room for, in their order.
	e.preference = preference;
	e.n_preference = MAX_PREFERENCES + 1;
	assert_int_equal(entrance_entries(&e, &r.entries), 0);
	value = (const void *)r.value[2];
	assert_int_equal(value->preferences, MAX_PREFERENCES);
	assert_int_equal(value->preference[0], 2);
	assert_int_equal(value->preference[1], 5);
	preference[1] = MAX_NODES;
	REFUSES(entrance_entries(&e, &r.entries), "preference");
	e.owner = MAX_NODES;
	REFUSES(entrance_entries(&e, &r.entries), "owner");
	e.index = MAX_ENTRANCES;
	REFUSES(entrance_entries(&e, &r.entries), "index");
}

// Replicas agree although stamps and states are under way, and differ in all that was decided.
static void digest(void **state)
{
	struct session_key key = {.vni = {0, 0, 1}};
	struct dft_record record = {.life = DFT_LIVE, .incarnation.counter = 1}, other = record;

	other.stamp.counter = 9;
	other.state = DFT_FIN_FROM_A;
	other.policy = 9;
	assert_int_equal(session_digest(&key, &record), session_digest(&key, &other));
	other.towards[1].to_mac[5] = 1;
	assert_int_not_equal(session_digest(&key, &record), session_digest(&key, &other));
	other = record;
	other.incarnation.floor = 1;
	assert_int_not_equal(session_digest(&key, &record), session_digest(&key, &other));
	other = record;
	other.life = DFT_TOMBSTONE;
	assert_int_equal(session_digest(&key, &other), 0);
	key.b_port = 1;
	assert_int_not_equal(session_digest(&key, &record),
			     session_digest(&(struct session_key){.vni = {0, 0, 1}}, &record));
}

// Of what place so many slots are.
static size_t slots_of(const struct listener_value *value, uint8_t place)
{
	size_t slots = 0;

	for (size_t i = 0; i < LISTENER_SLOTS; i++)
		slots += value->slot[i] == place;
	return slots;
}

// Only a forwarder has it.
static void shield(void **state)
{
	Zeta__Node__V1__Shield s = ZETA__NODE__V1__SHIELD__INIT;
	Zeta__Node__V1__Rate rate = ZETA__NODE__V1__RATE__INIT;
	struct recorded r = recorder();
	const struct endpoint_key *key = (const void *)r.key[0];
	const struct shield_value *value = (const void *)r.value[0];

	s.vni = 9;
	s.ip = BYTES(ip);
	assert_int_equal(shield_entries(&s, &r.entries), 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.table[0], TABLE_SHIELDS);
	assert_int_equal(key->vni, 9);
	assert_memory_equal(&key->address, ip, 16);
	assert_int_equal(value->rate.per_packet, 0);
	rate.packets_per_s = 1000000;
	rate.burst_ms = SHIELD_BURST_MS;
	s.rate = &rate;
	r = recorder();
	assert_int_equal(shield_entries(&s, &r.entries), 0);
	assert_int_equal(value->rate.per_packet, 1000 << RATE_TIME_BITS);
	assert_int_equal(value->rate.burst, SHIELD_BURST_MS * 1000000ull << RATE_TIME_BITS);
	// Where they are few, some come at once nevertheless.
	rate.packets_per_s = 1;
	r = recorder();
	assert_int_equal(shield_entries(&s, &r.entries), 0);
	assert_int_equal(value->rate.burst, value->rate.per_packet * SHIELD_BURST);
	r = recorder();
	r.entries.roles = NODE_FTN;
	assert_int_equal(shield_entries(&s, &r.entries), 0);
	assert_int_equal(r.count, 0);
	rate.burst_ms = 0;
	REFUSES(shield_entries(&s, &r.entries), "burst");
	s.ip = SHORT(ip);
	REFUSES(shield_entries(&s, &r.entries), "ip");
	s.vni = 1 << 24;
	REFUSES(shield_entries(&s, &r.entries), "VNI");
}

static void load_balancer(void **state)
{
	Zeta__Node__V1__LoadBalancer b = ZETA__NODE__V1__LOAD_BALANCER__INIT;
	Zeta__Node__V1__Listener l = ZETA__NODE__V1__LISTENER__INIT, *listeners[] = {&l};
	static uint8_t ips[MAX_BACKENDS + 1][16];
	static char ids[MAX_BACKENDS + 1][8];
	static Zeta__Node__V1__Backend backend[MAX_BACKENDS + 1], *backends[MAX_BACKENDS + 1];
	static struct listener_value before;
	struct recorded r = recorder();
	const struct listener_key *key = (const void *)r.key[0];
	const struct listener_value *value = (const void *)r.value[0];
	const struct load_balancer_value *flags = (const void *)r.value[1];
	size_t i, moved;

	for (i = 0; i <= MAX_BACKENDS; i++) {
		zeta__node__v1__backend__init(&backend[i]);
		memcpy(ips[i], net, 16);
		ips[i][15] = (uint8_t)i;
		snprintf(ids[i], sizeof(ids[i]), "b%zu", i);
		backend[i].id = ids[i];
		backend[i].ip = BYTES(ips[i]);
		backend[i].weight = 1;
		backends[i] = &backend[i];
	}
	b.vni = 9;
	b.ip = BYTES(ip);
	b.listener = listeners;
	b.n_listener = 1;
	l.protocol = 6;
	l.port = 80;
	l.backend_port = 8080;
	l.backend = backends;
	l.n_backend = 4;
	backend[0].weight = 2;
	backend[1].weight = 0;
	assert_int_equal(loadbalancer_entries(&b, &r.entries), 0);
	assert_int_equal(r.count, 2);
	// The address comes after what it leads to.
	assert_int_equal(r.table[0], TABLE_LISTENERS);
	assert_int_equal(key->vni, 9);
	assert_memory_equal(&key->address, ip, 16);
	assert_int_equal(key->port, htons(80));
	assert_int_equal(key->protocol, 6);
	assert_int_equal(value->backend_port, htons(8080));
	// Who drains has no place, and its weight counts for nobody.
	assert_int_equal(value->backends, 3);
	assert_memory_equal(&value->backend[0], ips[0], 16);
	assert_memory_equal(&value->backend[1], ips[2], 16);
	assert_memory_equal(&value->backend[2], ips[3], 16);
	assert_in_range(slots_of(value, 0), LISTENER_SLOTS / 2 - 1, LISTENER_SLOTS / 2 + 1);
	assert_in_range(slots_of(value, 1), LISTENER_SLOTS / 4 - 1, LISTENER_SLOTS / 4 + 1);
	assert_int_equal(r.table[1], TABLE_LOAD_BALANCERS);
	assert_memory_equal(r.key[1] + 4, ip, 16);
	assert_int_equal(flags->by_source, 0);
	// One more gets its part, and few others another one than before.
	before = *value;
	backend[1].weight = 1;
	b.by_source = 1;
	r = recorder();
	assert_int_equal(loadbalancer_entries(&b, &r.entries), 0);
	assert_int_equal(flags->by_source, 1);
	assert_int_equal(value->backends, 4);
	for (i = moved = 0; i < LISTENER_SLOTS; i++)
		moved += value->slot[i] != 1 && memcmp(&value->backend[value->slot[i]],
						       &before.backend[before.slot[i]], 16) != 0;
	assert_in_range(moved, 0, LISTENER_SLOTS / 20);
	// With as many as there may be all have a part; with none there is none.
	l.n_backend = MAX_BACKENDS;
	backend[0].weight = 1;
	r = recorder();
	assert_int_equal(loadbalancer_entries(&b, &r.entries), 0);
	for (i = 0; i < MAX_BACKENDS; i++)
		assert_in_range(slots_of(value, (uint8_t)i), 63, 64);
	l.n_backend = 0;
	r = recorder();
	assert_int_equal(loadbalancer_entries(&b, &r.entries), 0);
	assert_int_equal(value->backends, 0);

	l.n_backend = MAX_BACKENDS + 1;
	REFUSES(loadbalancer_entries(&b, &r.entries), "backends");
	// Who answers clients itself is known by its MAC, whatever its weight.
	b.direct = 1;
	l.n_backend = 2;
	REFUSES(loadbalancer_entries(&b, &r.entries), "backend port 8080 is not the port 80");
	l.backend_port = 80;
	REFUSES(loadbalancer_entries(&b, &r.entries), "backend's mac");
	backend[0].mac = backend[1].mac = BYTES(mac);
	backend[0].weight = 0;
	r = recorder();
	assert_int_equal(loadbalancer_entries(&b, &r.entries), 0);
	assert_int_equal(r.count, 4);
	assert_int_equal(r.table[1], TABLE_DIRECT_BACKENDS);
	assert_memory_equal(r.key[1], ip, 16);
	assert_memory_equal(r.key[1] + 20, mac, 6);
	assert_memory_equal(r.value[1], ips[1], 16);
	b.direct = 0;
	l.backend_port = 8080;
	l.n_backend = 1;
	backend[0].weight = MAX_WEIGHT + 1;
	REFUSES(loadbalancer_entries(&b, &r.entries), "weight");
	backend[0].weight = 1;
	backend[0].ip = SHORT(ips[0]);
	REFUSES(loadbalancer_entries(&b, &r.entries), "backend is 15");
	l.backend_port = 65536;
	REFUSES(loadbalancer_entries(&b, &r.entries), "backend port");
	l.port = 0;
	REFUSES(loadbalancer_entries(&b, &r.entries), "port 0");
	l.protocol = 1;
	REFUSES(loadbalancer_entries(&b, &r.entries), "protocol 1");
	b.ip = SHORT(ip);
	REFUSES(loadbalancer_entries(&b, &r.entries), "ip is 15");
	b.n_listener = MAX_VPC_LISTENERS + 1;
	REFUSES(loadbalancer_entries(&b, &r.entries), "listeners");
	b.vni = 0;
	REFUSES(loadbalancer_entries(&b, &r.entries), "VNI");
}

static void nat(void **state)
{
	Zeta__Node__V1__Nat n = ZETA__NODE__V1__NAT__INIT;
	uint32_t subnets[] = {5, 7};
	uint8_t second[16];
	ProtobufCBinaryData addresses[MAX_NAT_ADDRESSES + 1];
	struct recorded r = recorder();
	const struct endpoint_key *address = (const void *)r.key[1];
	const struct nat_address_value *behind = (const void *)r.value[1];
	const struct nat_source_value *pool = (const void *)r.value[3];

	memcpy(second, ip, sizeof(second));
	second[15]++;
	for (size_t i = 0; i <= MAX_NAT_ADDRESSES; i++)
		addresses[i] = BYTES(ip);
	addresses[1] = BYTES(second);
	n.vni = 9;
	n.external_vni = 10;
	n.address = addresses;
	n.n_address = 2;
	n.subnet = subnets;
	n.n_subnet = 2;
	assert_int_equal(nat_entries(&n, &r.entries), 0);
	assert_int_equal(r.count, 4);
	assert_int_equal(r.table[1], TABLE_NAT_ADDRESSES);
	assert_int_equal(address->vni, 10);
	assert_memory_equal(&address->address, second, 16);
	assert_int_equal(behind->vni, 9);
	assert_int_equal(r.table[2], TABLE_NAT_SOURCES);
	assert_memory_equal(r.key[2], &subnets[0], 4);
	assert_memory_equal(r.key[3], &subnets[1], 4);
	assert_int_equal(pool->vni, 10);
	assert_int_equal(pool->addresses, 2);
	assert_memory_equal(&pool->address[0], ip, 16);
	assert_memory_equal(&pool->address[1], second, 16);
	// Without an address nothing is translated.
	n.n_address = 0;
	r = recorder();
	assert_int_equal(nat_entries(&n, &r.entries), 0);
	assert_int_equal(r.count, 0);

	n.n_address = 2;
	n.maps = n.open = 1;
	r = recorder();
	assert_int_equal(nat_entries(&n, &r.entries), 0);
	assert_true(behind->open && pool->maps);
	n.open = 0;
	r = recorder();
	assert_int_equal(nat_entries(&n, &r.entries), 0);
	assert_true(!behind->open && pool->maps);

	n.n_address = MAX_NAT_ADDRESSES + 1;
	REFUSES(nat_entries(&n, &r.entries), "addresses");
	n.n_address = 1;
	addresses[0] = SHORT(ip);
	REFUSES(nat_entries(&n, &r.entries), "address is 15");
	subnets[0] = 0;
	REFUSES(nat_entries(&n, &r.entries), "subnet");
	n.maps = 0;
	n.open = 1;
	REFUSES(nat_entries(&n, &r.entries), "open, without mappings");
	n.external_vni = 1 << 24;
	REFUSES(nat_entries(&n, &r.entries), "external VNI");
	n.vni = 0;
	REFUSES(nat_entries(&n, &r.entries), "VNI");
}

static void nat_ways_in(void **state)
{
	Zeta__Node__V1__FloatingIp f = ZETA__NODE__V1__FLOATING_IP__INIT, *floating[] = {&f};
	Zeta__Node__V1__Forward w = ZETA__NODE__V1__FORWARD__INIT, *forwards[] = {&w};
	Zeta__Node__V1__Nat n = ZETA__NODE__V1__NAT__INIT;
	struct recorded r = recorder();
	const struct endpoint_key *inside = (const void *)r.key[0];
	const struct nat_floating_value *goes = (const void *)r.value[0];
	const struct nat_address_value *behind = (const void *)r.value[1];
	const struct nat_forward_key *port = (const void *)r.key[2];
	const struct nat_forward_value *leads = (const void *)r.value[2];

	n.vni = 9;
	n.external_vni = 10;
	n.floating_ip = floating;
	n.n_floating_ip = 1;
	n.forward = forwards;
	n.n_forward = 1;
	f.address = BYTES(ip);
	f.inside = BYTES(net);
	w.protocol = 6;
	w.address = BYTES(ip);
	w.port = 80;
	w.inside = BYTES(net);
	w.inside_port = 8080;
	assert_int_equal(nat_entries(&n, &r.entries), 0);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.table[0], TABLE_NAT_FLOATING);
	assert_int_equal(inside->vni, 9);
	assert_memory_equal(&inside->address, net, 16);
	assert_int_equal(goes->vni, 10);
	assert_memory_equal(&goes->address, ip, 16);
	assert_int_equal(r.table[1], TABLE_NAT_ADDRESSES);
	assert_int_equal(behind->vni, 9);
	assert_memory_equal(&behind->inside, net, 16);
	assert_int_equal(r.table[2], TABLE_NAT_FORWARDS);
	assert_int_equal(port->vni, 10);
	assert_int_equal(port->port, htons(80));
	assert_int_equal(port->protocol, 6);
	assert_memory_equal(&leads->inside, net, 16);
	assert_int_equal(leads->port, htons(8080));

	n.n_floating_ip = 0;
	w.inside = SHORT(net);
	REFUSES(nat_entries(&n, &r.entries), "inside is 15");
	w.inside_port = 65536;
	REFUSES(nat_entries(&n, &r.entries), "65536");
	w.protocol = 1;
	REFUSES(nat_entries(&n, &r.entries), "protocol 1");
	n.n_floating_ip = 1;
	f.address = SHORT(ip);
	REFUSES(nat_entries(&n, &r.entries), "floating IP is 15");
}

static void takes_what_is_best(void **state)
{
	Zeta__Node__V1__Backend backend[3], *backends[] = {&backend[0], &backend[1], &backend[2]};
	Zeta__Node__V1__Listener l = ZETA__NODE__V1__LISTENER__INIT;
	int health[MAX_BACKENDS] = {HEALTH_DOWN, HEALTH_UNKNOWN, HEALTH_UP};

	for (size_t i = 0; i < 3; i++) {
		zeta__node__v1__backend__init(&backend[i]);
		backend[i].weight = 1;
	}
	l.backend = backends;
	l.n_backend = 3;
	assert_int_equal(loadbalancer_takes(&l, health), HEALTH_UP);
	// Who drains would not take them either.
	backend[2].weight = 0;
	assert_int_equal(loadbalancer_takes(&l, health), HEALTH_UNKNOWN);
	health[1] = HEALTH_DOWN;
	assert_int_equal(loadbalancer_takes(&l, health), HEALTH_DOWN);
}

// A load balancer whose backends, one or two, are checked.
struct shop {
	Zeta__Node__V1__LoadBalancer balancer;
	Zeta__Node__V1__Listener listener, *listeners[1];
	Zeta__Node__V1__Backend one, two, *backends[2];
	Zeta__Node__V1__Check check;
};

// second: the other backend's address, or NULL.
static void shop_open(struct shop *s, uint8_t *first, uint8_t *second)
{
	zeta__node__v1__load_balancer__init(&s->balancer);
	zeta__node__v1__listener__init(&s->listener);
	zeta__node__v1__backend__init(&s->one);
	zeta__node__v1__backend__init(&s->two);
	zeta__node__v1__check__init(&s->check);
	s->listeners[0] = &s->listener;
	s->backends[0] = &s->one;
	s->backends[1] = &s->two;
	s->balancer.id = (char *)"shop";
	s->balancer.vni = 9;
	s->balancer.ip = BYTES(ip);
	s->balancer.listener = s->listeners;
	s->balancer.n_listener = 1;
	s->listener.protocol = 6;
	s->listener.port = 80;
	s->listener.backend_port = 8080;
	s->listener.backend = s->backends;
	s->listener.n_backend = second ? 2 : 1;
	s->listener.check = &s->check;
	s->one.id = (char *)"one";
	s->one.ip = (ProtobufCBinaryData){16, first};
	s->two.id = (char *)"two";
	s->two.ip = (ProtobufCBinaryData){second ? 16 : 0, second};
	s->one.weight = s->two.weight = 1;
	s->check.port = 8081;
	s->check.interval_ms = 2000;
	s->check.timeout_ms = 500;
	s->check.up_after = s->check.down_after = 2;
}

// All places are taken: who has none is taken for healthy.
static void checks_most(void **state)
{
	struct shop shop;
	struct health_checks *health = health_start(nothing, NULL);
	struct health_target other = {.protocol = 6, .vni = 8};
	const struct listener_value *value;
	struct recorded r = recorder();
	uint32_t place, i;

	assert_non_null(health);
	health_begin(health, HEALTH_OF_BALANCER, "others");
	for (i = 0; i < MAX_CHECKED; i++) {
		other.port = (uint16_t)i;
		assert_int_equal(health_want(health, &other, &place), HEALTH_UNKNOWN);
	}
	health_end(health);
	shop_open(&shop, ip, NULL);
	r.entries.health = health;
	assert_int_equal(loadbalancer_entries(&shop.balancer, &r.entries), 0);
	assert_int_equal(r.count, 2);
	assert_int_equal(r.table[0], TABLE_LISTENERS);
	value = (const void *)r.value[0];
	assert_int_equal(value->backends, 1);
	assert_int_equal(r.table[1], TABLE_LOAD_BALANCERS);
}

static void checks(void **state)
{
	static uint8_t ips[2][16] = {{[10] = 0xFF, 0xFF, 10, 1, 0, 1},
				     {[10] = 0xFF, 0xFF, 10, 1, 0, 2}};
	struct shop shop;
	struct health_checks *health = health_start(nothing, NULL);
	struct health_state told[4];
	struct recorded r = recorder();
	const struct checked_value *first = (const void *)r.value[0];
	char path[MAX_CHECK_PATH + 2];
	uint32_t place, moved, again;

	assert_non_null(health);
	shop_open(&shop, ips[0], ips[1]);
	r = recorder();
	r.entries.health = health;
	assert_int_equal(loadbalancer_entries(&shop.balancer, &r.entries), 0);
	assert_int_equal(r.count, 4);
	assert_int_equal(r.table[0], TABLE_CHECKED);
	assert_int_equal(first->vni, 9);
	assert_memory_equal(&first->address, ips[0], 16);
	assert_int_equal(r.table[1], TABLE_CHECKED);
	assert_memory_not_equal(r.key[0], r.key[1], sizeof(place));
	memcpy(&place, r.key[0], sizeof(place));
	memcpy(&moved, r.key[1], sizeof(moved));
	assert_int_equal(health_tell(health, told, 4), 2);
	assert_string_equal(told[0].balancer, "shop");
	assert_int_equal(told[0].port, 80);
	assert_int_equal(told[0].health, HEALTH_UNKNOWN);
	// Who is checked as before keeps what is known of it, and its place; who moved does not.
	ips[1][15] = 3;
	r = recorder();
	r.entries.health = health;
	assert_int_equal(loadbalancer_entries(&shop.balancer, &r.entries), 0);
	memcpy(&again, r.key[0], sizeof(again));
	assert_int_equal(again, place);
	assert_memory_not_equal(r.key[1], &moved, sizeof(moved));
	assert_int_equal(health_tell(health, told, 4), 2);
	// Who is no backend any more is not checked, nor is anybody without the load balancer.
	shop.listener.n_backend = 1;
	r = recorder();
	r.entries.health = health;
	assert_int_equal(loadbalancer_entries(&shop.balancer, &r.entries), 0);
	assert_int_equal(health_tell(health, told, 4), 1);
	assert_string_equal(told[0].backend, "one");
	loadbalancer_forget(&shop.balancer, health);
	assert_int_equal(health_tell(health, told, 4), 0);

#define CHECK_REFUSED(about)                                                                       \
	do {                                                                                       \
		r = recorder();                                                                    \
		r.entries.health = health;                                                         \
		assert_int_equal(loadbalancer_entries(&shop.balancer, &r.entries), -EINVAL);       \
		assert_non_null(strstr(r.entries.why, about));                                     \
	} while (0)
	shop.check.timeout_ms = 1000;
	CHECK_REFUSED("times");
	shop.check.timeout_ms = 0;
	CHECK_REFUSED("times");
	shop.check.timeout_ms = 500;
	shop.check.down_after = 0;
	CHECK_REFUSED("times");
	shop.check.down_after = 2;
	shop.check.interval_ms = MAX_CHECK_MS + 1;
	CHECK_REFUSED("times");
	shop.check.interval_ms = 2000;
	memset(path, '/', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	shop.check.path = path;
	CHECK_REFUSED("path");
	shop.check.path = (char *)"/";
	shop.check.port = 0;
	CHECK_REFUSED("port 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(member),
		cmocka_unit_test(chain),
		cmocka_unit_test(chain_wish),
		cmocka_unit_test(transfer),
		cmocka_unit_test(buckets),
		cmocka_unit_test(vpc),
		cmocka_unit_test(function),
		cmocka_unit_test(function_config),
		cmocka_unit_test(subnet),
		cmocka_unit_test(service_chain),
		cmocka_unit_test(port),
		cmocka_unit_test(local_port),
		cmocka_unit_test(local_port_rates),
		cmocka_unit_test(local_port_mirror),
		cmocka_unit_test(security_group),
		cmocka_unit_test(load_balancer),
		cmocka_unit_test(shield),
		cmocka_unit_test(checks_most),
		cmocka_unit_test(entrance),
		cmocka_unit_test(nat),
		cmocka_unit_test(nat_ways_in),
		cmocka_unit_test(digest),
		cmocka_unit_test(takes_what_is_best),
		cmocka_unit_test(checks),
		cmocka_unit_test(routes),
		cmocka_unit_test(shared_route),
		cmocka_unit_test(uplink),
		cmocka_unit_test(announcement),
		cmocka_unit_test(uplink_check),
		cmocka_unit_test(allowed_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
