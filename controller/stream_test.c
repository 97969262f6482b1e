// SPDX-License-Identifier: Apache-2.0
// The controller's stream, end to end: a real store in a file, real gRPC with TLS, nodes that keep
// what they are told as zetad would.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "controller/desired.h"
#include "controller/repair.h"
#include "controller/status.h"
#include "controller/store.h"
#include "controller/stream.h"
#include "lib/address.h"
#include "lib/own.h"
#include "lib/rpc.h"
#include "lib/test_certs.h"
#include "lib/test_wait.h"
#include "modules/chain/maglev.h"
#include "node.pb-c.h"
#include "shared/config.h"
#include "shared/tenant.h"

#define METHOD "/zeta.node.v1.Controller/Stream"

typedef Zeta__Node__V1__Update Update;
typedef Zeta__Node__V1__Object Message;
typedef Zeta__Node__V1__Report Report;

#define KIND(name) ZETA__NODE__V1__OBJECT__KIND_##name

static char directory[] = "/tmp/zeta-stream-XXXXXX";

// ---- a node

struct held {
	struct held *next;
	Message *message;
	char id[160];
};

struct node {
	struct node *next;
	const char *name;
	const char *report_name; // NULL: the same
	uint32_t boot;
	struct rpc_client *client;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int connected, lost, snapshots, deltas;
	unsigned int parts;	    // messages
	unsigned int puts, removes; // of the last update
	size_t bytes;		    // of the last update
	uint64_t revision;
	bool disordered;
	bool more;    // the last update said so
	bool telling; // a snapshot
	bool hold;    // reads nothing more while set
	char why[512];
	struct held *held; // of all kinds
	size_t count;
	unsigned int put_ever[32]; // per kind
};

static void changed(struct node *n)
{
	pthread_cond_broadcast(&n->changed);
	pthread_mutex_unlock(&n->lock);
}

// Every kind's message begins with its id, which protobuf-c puts right after the base.
static const char *id_of(const Message *m)
{
	return m->settings->id;
}

static struct held **place_of(struct node *n, uint32_t kind, const char *id)
{
	struct held **at = &n->held;

	while (*at && ((*at)->message->kind_case != kind || strcmp((*at)->id, id) != 0))
		at = &(*at)->next;
	return at;
}

static void drop(struct node *n, struct held **at)
{
	struct held *held = *at;

	*at = held->next;
	zeta__node__v1__object__free_unpacked(held->message, NULL);
	free(held);
	n->count--;
}

static void drop_all(struct node *n)
{
	while (n->held)
		drop(n, &n->held);
}

static const Message *find(struct node *n, uint32_t kind, const char *id)
{
	struct held **at = place_of(n, kind, id);

	return *at ? (*at)->message : NULL;
}

static const Message *get(struct node *n, uint32_t kind, const char *id)
{
	const Message *m = find(n, kind, id);

	if (!m)
		fail_msg("%s has no %u %s", n->name, kind, id);
	return m;
}

static unsigned int count_of(const struct node *n, uint32_t kind)
{
	unsigned int count = 0;

	for (const struct held *h = n->held; h; h = h->next)
		count += h->message->kind_case == kind;
	return count;
}

static void apply(struct node *n, Update *u)
{
	if (u->snapshot)
		drop_all(n);
	for (size_t i = 0; i < u->n_remove; i++) {
		struct held **at = place_of(n, u->remove[i]->kind, u->remove[i]->id);

		if (*at)
			drop(n, at);
	}
	for (size_t i = 0; i < u->n_put; i++) {
		struct held *held = calloc(1, sizeof(*held)), **at;

		held->message = u->put[i];
		u->put[i] = NULL;
		snprintf(held->id, sizeof(held->id), "%s", id_of(held->message));
		n->put_ever[held->message->kind_case]++;
		// A snapshot names nothing twice, and looking for it would be slow.
		at = n->telling ? &n->held : place_of(n, held->message->kind_case, held->id);
		if (*at && !n->telling)
			drop(n, at);
		held->next = *at;
		*at = held;
		n->count++;
	}
}

static void on_message(void *context, const void *bytes, size_t size)
{
	struct node *n = context;
	Update *u = zeta__node__v1__update__unpack(NULL, size, bytes);

	pthread_mutex_lock(&n->lock);
	if (!u) {
		n->disordered = true;
		changed(n);
		return;
	}
	if (u->revision < n->revision || (!u->snapshot && !n->more && u->revision == n->revision) ||
	    (n->more && u->snapshot))
		n->disordered = true;
	n->telling |= u->snapshot;
	n->snapshots += n->telling && !u->more;
	n->deltas += !n->telling && !u->more;
	n->parts++;
	n->puts = (unsigned int)u->n_put;
	n->removes = (unsigned int)u->n_remove;
	n->bytes = size;
	apply(n, u);
	n->more = u->more;
	n->telling = n->telling && u->more;
	if (!u->more)
		n->revision = u->revision;
	// What was taken out of the list must not be freed with it.
	if (u->n_put) {
		free(u->put);
		u->put = NULL;
		u->n_put = 0;
	}
	zeta__node__v1__update__free_unpacked(u, NULL);
	pthread_cond_broadcast(&n->changed);
	while (n->hold)
		pthread_cond_wait(&n->changed, &n->lock);
	pthread_mutex_unlock(&n->lock);
}

static int report(struct node *n, const Report *given)
{
	Report r = given ? *given : (Report)ZETA__NODE__V1__REPORT__INIT;
	auto_(freep) uint8_t *bytes = NULL;

	r.name = (char *)(n->report_name ?: n->name);
	r.boot = r.boot ?: n->boot;
	bytes = malloc(zeta__node__v1__report__get_packed_size(&r));
	return rpc_client_send(n->client, bytes, zeta__node__v1__report__pack(&r, bytes));
}

static void on_connected(void *context)
{
	struct node *n = context;

	pthread_mutex_lock(&n->lock);
	n->connected++;
	n->revision = 0;
	n->more = n->telling = false;
	changed(n);
	report(n, NULL);
}

static void on_lost(void *context, const char *why)
{
	struct node *n = context;

	pthread_mutex_lock(&n->lock);
	n->lost++;
	snprintf(n->why, sizeof(n->why), "%s", why);
	changed(n);
}

static void set_hold(struct node *n, bool hold)
{
	pthread_mutex_lock(&n->lock);
	n->hold = hold;
	changed(n);
}

// Those of the test that runs. They outlive a test that failed, whose end stops their threads.
static struct node *nodes;

static struct node *node_new(const char *name)
{
	struct node *n = calloc(1, sizeof(*n));

	n->name = name;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->changed, NULL);
	n->next = nodes;
	nodes = n;
	return n;
}

static void nodes_gone(void)
{
	struct node *n;

	while ((n = nodes)) {
		nodes = n->next;
		set_hold(n, false);
		rpc_client_stop(n->client);
		drop_all(n);
		free(n);
	}
}

// ---- the cloud: a store, a controller's stream, and what is stored in it

struct cloud {
	char path[CERT_PATH];
	struct store *store;
	struct status *status;
	struct stream *stream;
	struct repair *repair; // NULL: nobody watches over it
};

static void stream_restart(struct cloud *c)
{
	char ca[CERT_PATH], cert[CERT_PATH], key[CERT_PATH];

	stream_stop(&c->stream);
	assert_int_equal(stream_start(&c->stream, c->store, c->status,
				      &(struct stream_config){
					      .listen = "127.0.0.1:0",
					      .ca = cert_path(ca, directory, "ca", "pem"),
					      .cert = cert_path(cert, directory, "server", "pem"),
					      .key = cert_path(key, directory, "server", "key")}),
			 0);
}

static void node_start(struct node *n, struct cloud *c)
{
	char ca[CERT_PATH], cert[CERT_PATH], key[CERT_PATH], target[32];

	snprintf(target, sizeof(target), "127.0.0.1:%u", stream_port(c->stream));
	assert_int_equal(
		rpc_client_start(&n->client,
				 &(struct rpc_client_config){
					 .target = target,
					 .method = METHOD,
					 .tls = {cert_path(ca, directory, "ca", "pem"),
						 cert_path(cert, directory, n->name, "pem"),
						 cert_path(key, directory, n->name, "key")},
					 .backoff_first_ms = 10,
					 .backoff_most_ms = 100,
					 .connected = on_connected,
					 .message = on_message,
					 .lost = on_lost,
					 .context = n}),
		0);
}

static void node_stop(struct node *n)
{
	rpc_client_stop(n->client);
	n->client = NULL;
	assert_false(n->disordered);
	drop_all(n);
}

// Connects and waits for the snapshot.
static void node_join(struct node *n, struct cloud *c)
{
	node_start(n, c);
	wait_for(n, n->snapshots == 1);
}

static void begin(struct cloud *c)
{
	assert_int_equal(store_begin(c->store), 0);
}

static uint64_t commit(struct cloud *c)
{
	uint64_t revision = store_next_revision(c->store);

	assert_int_equal(store_commit(c->store), 0);
	return revision;
}

// Inside a transaction: stores body, which is taken over, and its references.
static void put(struct cloud *c, const char *kind, json_t *body)
{
	static const struct {
		const char *field, *kind;
	} references[] = {{"cluster", "clusters"}, {"vpc", "vpcs"}, {"host", "hosts"}};
	const char *id = json_string_value(json_object_get(body, "id"));
	const char *vpc = json_string_value(json_object_get(body, "vpc"));
	const char *to;

	assert_non_null(body);
	if (!json_object_get(body, "name"))
		json_object_set(body, "name", json_object_get(body, "id"));
	assert_int_equal(store_release(c->store, kind, id), 0);
	assert_int_equal(store_put(c->store, kind, vpc ?: "", body, NULL), 0);
	for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++)
		if ((to = json_string_value(json_object_get(body, references[i].field))))
			assert_int_equal(store_refer(c->store, kind, id, references[i].kind, to),
					 0);
	json_decref(body);
}

static uint64_t put_alone(struct cloud *c, const char *kind, json_t *body)
{
	begin(c);
	put(c, kind, body);
	return commit(c);
}

static uint64_t remove_alone(struct cloud *c, const char *kind, const char *id)
{
	begin(c);
	assert_int_equal(store_remove(c->store, kind, id), 0);
	return commit(c);
}

static json_t *host(const char *id, const char *cluster, const char *ip, const char *mac)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "cluster", cluster, "ip", ip,
			 "mac", mac, "interface", "underlay0", "kind", "edge");
}

static json_t *gateway_node(const char *id, const char *cluster, int number, const char *role,
			    const char *role2)
{
	char ip[ADDRESS_TEXT], mac[ADDRESS_TEXT], zgc_ip[ADDRESS_TEXT], zgc_mac[ADDRESS_TEXT];

	snprintf(ip, sizeof(ip), "10.0.0.%d", number);
	snprintf(mac, sizeof(mac), "02:00:00:00:00:%02x", number);
	snprintf(zgc_ip, sizeof(zgc_ip), "10.1.0.%d", number);
	snprintf(zgc_mac, sizeof(zgc_mac), "02:01:00:00:00:%02x", number);
	return json_pack("{s:s, s:s, s:[s,s*], s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}}", "id", id,
			 "cluster", cluster, "roles", role, role2, "tenant", "interface", "tenant0",
			 "ip", ip, "mac", mac, "zgc", "interface", "zgc0", "ip", zgc_ip, "mac",
			 zgc_mac);
}

static json_t *port(const char *id, const char *vpc, const char *host_id, int number)
{
	char ip[ADDRESS_TEXT], mac[ADDRESS_TEXT], interface[ADDRESS_TEXT];

	snprintf(ip, sizeof(ip), "192.168.%d.%d", number >> 8 & 255, number & 255);
	snprintf(mac, sizeof(mac), "02:02:00:%02x:%02x:%02x", number >> 16 & 255, number >> 8 & 255,
		 number & 255);
	snprintf(interface, sizeof(interface), "veth%d", number);
	return json_pack("{s:s, s:s, s:s, s:s, s:[s], s:s, s:[]}", "id", id, "vpc", vpc, "host",
			 host_id, "mac", mac, "ips", ip, "interface", interface, "security_groups");
}

static json_t *view_chain(int number, int epoch, int first, int second)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:[{s:i, s:i}, {s:i, s:i}, {s:i, s:i}]}", "number",
			 number, "epoch", epoch, "founded", 1, "replicas", 2, "voters", "node",
			 first, "boot", 10 + first, "node", second, "boot", 10 + second, "node", 1,
			 "boot", 11);
}

static json_t *view(const char *cluster, int epoch)
{
	return json_pack("{s:s, s:i, s:[{s:i, s:s, s:s, s:s, s:[s, s]},"
			 " {s:i, s:s, s:s, s:n, s:[]}], s:[o, o]}",
			 "id", cluster, "epoch", epoch, "entrances", "index", 0, "ip", "10.0.0.100",
			 "mac", "02:03:00:00:00:00", "owner", "fwd-1", "preference", "fwd-1",
			 "other", "index", 1, "ip", "10.0.0.101", "mac", "02:03:00:00:00:01",
			 "owner", "preference", "chains", view_chain(0, 4, 2, 3),
			 view_chain(1, 5, 3, 2));
}

static json_t *vpc(const char *id, const char *cluster, int vni, int policy)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:[s, s]}", "id", id, "cluster", cluster, "vni", vni,
			 "policy", policy, "functions", "divider", "bouncer");
}

// One that has security groups.
static json_t *guarded_vpc(const char *id, const char *cluster, int vni, int policy)
{
	json_t *body = vpc(id, cluster, vni, policy);

	json_array_append_new(json_object_get(body, "functions"), json_string("security-group"));
	return body;
}

static json_t *limited_vpc(const char *id, int first_packets, int sessions)
{
	json_t *body = guarded_vpc(id, "zgc-1", 555, 5);

	json_object_set_new(body, "first_packets_per_s", json_integer(first_packets));
	json_object_set_new(body, "sessions", json_integer(sessions));
	json_object_set_new(
		body, "limit",
		json_pack("{s:n, s:i, s:i}", "bits_per_s", "packets_per_s", 700, "burst_ms", 20));
	return body;
}

// One forwarder, two flow table nodes, two edge hosts, VPC blue with security groups, VPC red
// without; and another cluster, whose members must hear nothing of it.
static void fill(struct cloud *c)
{
	begin(c);
	put(c, "clusters",
	    json_pack("{s:s, s:s, s:i, s:i, s:i, s:s, s:s, s:i, s:i}", "id", "zgc-1", "overlay",
		      "geneve", "oam_port", 8300, "tenant_mtu", 1450, "heartbeat_ms", 20,
		      "entrance_first", "10.0.0.100", "entrance_last", "10.0.0.101",
		      "vpc_first_packets_per_s", 4000, "vpc_sessions", 900));
	put(c, "clusters",
	    json_pack("{s:s, s:s, s:i, s:i}", "id", "zgc-2", "overlay", "vxlan", "oam_port", 8301,
		      "tenant_mtu", 1400));
	put(c, "nodes", gateway_node("fwd-1", "zgc-1", 1, "fwd", NULL));
	put(c, "nodes", gateway_node("ftn-1", "zgc-1", 2, "ftn", NULL));
	put(c, "nodes", gateway_node("ftn-2", "zgc-1", 3, "ftn", NULL));
	put(c, "nodes", gateway_node("other", "zgc-2", 4, "fwd", "ftn"));
	put(c, "views", view("zgc-1", 7));
	put(c, "hosts", host("host-a", "zgc-1", "10.0.0.21", "02:00:00:00:01:01"));
	put(c, "hosts", host("host-b", "zgc-1", "10.0.0.22", "02:00:00:00:01:02"));
	put(c, "vpcs", guarded_vpc("blue", "zgc-1", 100, 3));
	put(c, "vpcs", vpc("red", "zgc-1", 101, 1));
	put(c, "vpcs", vpc("green", "zgc-2", 102, 1));
	put(c, "subnets",
	    json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", "blue-1", "vpc", "blue", "cidr",
		      "192.168.0.0/16", "gateway", "192.168.0.1", "gateway_mac",
		      "02:04:00:00:00:01"));
	put(c, "subnets",
	    json_pack("{s:s, s:s, s:s, s:n, s:s}", "id", "red-1", "vpc", "red", "cidr",
		      "192.168.0.0/24", "gateway", "gateway_mac", "02:04:00:00:00:02"));
	put(c, "security-groups",
	    json_pack("{s:s, s:s, s:[{s:s, s:s, s:i, s:i, s:s, s:n},"
		      " {s:s, s:s, s:n, s:n, s:n, s:s}, {s:s, s:i}]}",
		      "id", "web", "vpc", "blue", "rules", "direction", "ingress", "protocol",
		      "tcp", "port_min", 80, "port_max", 443, "remote_cidr", "10.0.0.0/8",
		      "remote_group", "direction", "egress", "protocol", "any", "port_min",
		      "port_max", "remote_cidr", "remote_group", "db", "direction", "ingress",
		      "protocol", 47));
	put(c, "security-groups",
	    json_pack("{s:s, s:s, s:[]}", "id", "db", "vpc", "blue", "rules"));
	put(c, "ports", port("blue-a", "blue", "host-a", 10));
	put(c, "ports", port("red-b", "red", "host-b", 11));
	json_t *grouped = port("blue-b", "blue", "host-b", 12);
	json_object_set_new(grouped, "security_groups", json_pack("[s, s]", "db", "web"));
	put(c, "ports", grouped);
	commit(c);
}

static int cloud_empty(void **state)
{
	static unsigned int number;
	struct cloud *c = calloc(1, sizeof(*c));

	snprintf(c->path, sizeof(c->path), "%s/%u.db", directory, number++);
	if (store_open(&c->store, c->path) || status_new(&c->status))
		return -1;
	stream_restart(c);
	*state = c;
	return 0;
}

static int cloud_filled(void **state)
{
	if (cloud_empty(state))
		return -1;
	fill(*state);
	return 0;
}

static int cloud_gone(void **state)
{
	struct cloud *c = *state;

	nodes_gone();
	repair_stop(&c->repair);
	stream_stop(&c->stream);
	status_freep(&c->status);
	store_freep(&c->store);
	free(c);
	return 0;
}

// ---- what is in messages

static void assert_ip(ProtobufCBinaryData data, const char *expected)
{
	char got[ADDRESS_TEXT];

	if (!expected) {
		assert_int_equal(data.len, 0);
		return;
	}
	assert_int_equal(data.len, 16);
	assert_string_equal(address_text((const struct in6_addr *)data.data, got), expected);
}

static void assert_mac(ProtobufCBinaryData data, const char *expected)
{
	char got[ADDRESS_TEXT];

	assert_int_equal(data.len, 6);
	assert_string_equal(mac_text(data.data, got), expected);
}

static void gateway_parts(struct node *n)
{
	const Zeta__Node__V1__Member *member;
	const Zeta__Node__V1__Chain *chain;
	const Zeta__Node__V1__Buckets *buckets;
	const Zeta__Node__V1__Entrance *entrance;
	const Zeta__Node__V1__Vpc *v;
	const Zeta__Node__V1__Subnet *subnet;
	static uint16_t table[BUCKETS];

	assert_int_equal(count_of(n, KIND(SETTINGS)), 1);
	assert_int_equal(count_of(n, KIND(MEMBER)), 3);
	assert_int_equal(count_of(n, KIND(CHAIN)), 2);
	assert_int_equal(count_of(n, KIND(BUCKETS)), 1);
	assert_int_equal(count_of(n, KIND(ENTRANCE)), 2);
	assert_int_equal(count_of(n, KIND(VPC)), 2);
	assert_int_equal(count_of(n, KIND(SUBNET)), 2);
	assert_int_equal(count_of(n, KIND(LOCAL_PORT)), 0);

	member = get(n, KIND(MEMBER), "ftn-2")->member;
	assert_int_equal(member->index, 3);
	assert_ip(member->zgc_ip, "10.1.0.3");
	assert_mac(member->zgc_mac, "02:01:00:00:00:03");

	chain = get(n, KIND(CHAIN), "zgc-1/1")->chain;
	assert_int_equal(chain->number, 1);
	assert_int_equal(chain->epoch, 5);
	assert_int_equal(chain->founded, 1);
	assert_int_equal(chain->replicas, 2);
	assert_int_equal(chain->n_voter, 3);
	assert_int_equal(chain->voter[0]->node, 3);
	assert_int_equal(chain->voter[0]->boot, 13);
	assert_int_equal(chain->voter[2]->node, 1);
	assert_int_equal(chain->n_live, 2);
	assert_int_equal(chain->live[0], 3);
	assert_int_equal(chain->live[1], 2);
	assert_int_equal(chain->learner, 0);

	buckets = get(n, KIND(BUCKETS), "zgc-1")->buckets;
	assert_int_equal(buckets->chain.len, 2 * BUCKETS);
	maglev_fill(table, BUCKETS, (struct maglev_member[]){{"zgc-1/0", 0, 1}, {"zgc-1/1", 1, 1}},
		    2);
	for (size_t i = 0; i < BUCKETS; i++)
		assert_int_equal(buckets->chain.data[2 * i] << 8 | buckets->chain.data[2 * i + 1],
				 table[i]);

	entrance = get(n, KIND(ENTRANCE), "zgc-1/0")->entrance;
	assert_int_equal(entrance->index, 0);
	assert_ip(entrance->ip, "10.0.0.100");
	assert_mac(entrance->mac, "02:03:00:00:00:00");
	assert_int_equal(entrance->owner, 1);
	assert_int_equal(entrance->n_preference, 2);
	assert_int_equal(entrance->preference[0], 1);
	assert_int_equal(entrance->preference[1], 4);
	assert_int_equal(get(n, KIND(ENTRANCE), "zgc-1/1")->entrance->owner, 0);

	v = get(n, KIND(VPC), "blue")->vpc;
	assert_int_equal(v->vni, 100);
	assert_int_equal(v->policy, 3);
	assert_int_equal(v->n_functions, 3);
	assert_int_equal(v->functions[0], FUNCTION_DIVIDER);
	assert_int_equal(v->functions[1], FUNCTION_BOUNCER);
	assert_int_equal(v->functions[2], FUNCTION_SECURITY_GROUP);
	assert_int_equal(v->ask_ns, 500000); // of each of two entrances
	assert_int_equal(v->sessions, 900);
	assert_int_equal(get(n, KIND(VPC), "red")->vpc->n_functions, 2);

	subnet = get(n, KIND(SUBNET), "blue-1")->subnet;
	assert_int_equal(subnet->number, 1);
	assert_int_equal(subnet->vni, 100);
	assert_ip(subnet->prefix, "192.168.0.0");
	assert_int_equal(subnet->prefix_length, 112);
	assert_ip(subnet->gateway, "192.168.0.1");
	assert_mac(subnet->gateway_mac, "02:04:00:00:00:01");
	assert_ip(get(n, KIND(SUBNET), "red-1")->subnet->gateway, NULL);
}

static void forwarder_snapshot(void **state)
{
	struct node *n = node_new("fwd-1");
	const Zeta__Node__V1__NodeSettings *s;

	node_join(n, *state);
	gateway_parts(n);
	assert_int_equal(n->count, 1 + 3 + 2 + 1 + 2 + 2 + 2);
	s = get(n, KIND(SETTINGS), "fwd-1")->settings;
	assert_string_equal(s->name, "fwd-1");
	assert_string_equal(s->cluster, "zgc-1");
	assert_true(s->forwarder);
	assert_false(s->flow_table);
	assert_false(s->edge);
	assert_int_equal(s->overlay, OVERLAY_GENEVE);
	assert_int_equal(s->oam_port, 8300);
	assert_int_equal(s->tenant_mtu, 1450);
	assert_int_equal(s->beat_ms, 20);
	assert_int_equal(s->cluster_number, 1);
	assert_int_equal(s->index, 1);
	assert_int_equal(s->epoch, 7);
	assert_string_equal(s->tenant_interface, "tenant0");
	assert_ip(s->tenant_ip, "10.0.0.1");
	assert_mac(s->tenant_mac, "02:00:00:00:00:01");
	assert_string_equal(s->zgc_interface, "zgc0");
	assert_ip(s->zgc_ip, "10.1.0.1");
	assert_mac(s->zgc_mac, "02:01:00:00:00:01");
	node_stop(n);
}

static void flow_table_snapshot(void **state)
{
	struct node *n = node_new("ftn-1");
	const Zeta__Node__V1__Port *p;
	const Zeta__Node__V1__SecurityGroup *group;

	node_join(n, *state);
	gateway_parts(n);
	assert_int_equal(n->count, 1 + 3 + 2 + 1 + 2 + 2 + 2 + 3 + 2);
	assert_true(get(n, KIND(SETTINGS), "ftn-1")->settings->flow_table);
	assert_false(get(n, KIND(SETTINGS), "ftn-1")->settings->forwarder);
	p = get(n, KIND(PORT), "blue-b")->port;
	assert_int_equal(p->vni, 100);
	assert_int_equal(p->n_ip, 1);
	assert_ip(p->ip[0], "192.168.0.12");
	assert_mac(p->mac, "02:02:00:00:00:0c");
	assert_ip(p->host_ip, "10.0.0.22");
	assert_mac(p->host_mac, "02:00:00:00:01:02");
	assert_int_equal(p->n_group, 2);
	assert_int_equal(p->group[0], 2);
	assert_int_equal(p->group[1], 1);
	assert_int_equal(get(n, KIND(PORT), "red-b")->port->n_group, 0);

	assert_int_equal(count_of(n, KIND(SECURITY_GROUP)), 2);
	group = get(n, KIND(SECURITY_GROUP), "web")->security_group;
	assert_int_equal(group->number, 1);
	assert_int_equal(group->n_rule, 3);
	assert_false(group->rule[0]->egress);
	assert_int_equal(group->rule[0]->protocol, IPPROTO_TCP);
	assert_int_equal(group->rule[0]->port_min, 80);
	assert_int_equal(group->rule[0]->port_max, 443);
	assert_ip(group->rule[0]->remote, "10.0.0.0");
	assert_int_equal(group->rule[0]->remote_length, 104);
	assert_int_equal(group->rule[0]->remote_group, 0);
	assert_true(group->rule[1]->egress);
	assert_int_equal(group->rule[1]->protocol, 0);
	assert_int_equal(group->rule[1]->port_min, 0);
	assert_int_equal(group->rule[1]->port_max, 65535);
	assert_int_equal(group->rule[1]->remote_length, 0);
	assert_int_equal(group->rule[1]->remote_group, 2);
	assert_int_equal(group->rule[2]->protocol, 47);
	assert_int_equal(group->rule[2]->port_max, 65535);
	assert_int_equal(get(n, KIND(SECURITY_GROUP), "db")->security_group->n_rule, 0);
	node_stop(n);
}

static void edge_snapshot(void **state)
{
	struct node *n = node_new("host-b");
	const Zeta__Node__V1__NodeSettings *s;
	const Zeta__Node__V1__LocalPort *local;

	node_join(n, *state);
	assert_int_equal(n->count, 1 + 2 + 2);
	assert_int_equal(count_of(n, KIND(ENTRANCE)), 2);
	s = get(n, KIND(SETTINGS), "host-b")->settings;
	assert_true(s->edge);
	assert_false(s->forwarder);
	assert_false(s->flow_table);
	assert_string_equal(s->tenant_interface, "underlay0");
	assert_ip(s->tenant_ip, "10.0.0.22");
	assert_mac(s->tenant_mac, "02:00:00:00:01:02");
	assert_int_equal(s->overlay, OVERLAY_GENEVE);
	assert_int_equal(s->epoch, 7);
	local = get(n, KIND(LOCAL_PORT), "red-b")->local_port;
	assert_null(local->egress);
	assert_null(local->ingress);
	assert_int_equal(local->dscp, 0);
	assert_int_equal(local->connections_per_s, 0);
	assert_null(local->mirror);
	assert_int_equal(local->vni, 101);
	assert_mac(local->mac, "02:02:00:00:00:0b");
	assert_string_equal(local->interface, "veth11");
	get(n, KIND(LOCAL_PORT), "blue-b");
	node_stop(n);
}

// A host of two clusters knows the entrances of both, and which of them a port's VPC has.
static void host_of_two_clusters(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("host-b");
	uint64_t revision;
	json_t *both;

	node_join(n, c);
	assert_int_equal(get(n, KIND(ENTRANCE), "zgc-1/0")->entrance->cluster, 1);
	assert_int_equal(get(n, KIND(LOCAL_PORT), "red-b")->local_port->cluster, 1);
	begin(c);
	both = host("host-b", "zgc-1", "10.0.0.22", "02:00:00:00:01:02");
	json_object_set_new(both, "other_clusters", json_pack("[s]", "zgc-2"));
	put(c, "hosts", both);
	put(c, "views", view("zgc-2", 3));
	put(c, "ports", port("green-b", "green", "host-b", 13));
	revision = commit(c);
	wait_for(n, n->revision == revision);
	assert_int_equal(n->snapshots, 2);
	assert_int_equal(count_of(n, KIND(ENTRANCE)), 4);
	assert_int_equal(get(n, KIND(ENTRANCE), "zgc-1/1")->entrance->cluster, 1);
	assert_int_equal(get(n, KIND(ENTRANCE), "zgc-2/1")->entrance->cluster, 2);
	assert_int_equal(get(n, KIND(LOCAL_PORT), "green-b")->local_port->cluster, 2);
	assert_int_equal(get(n, KIND(LOCAL_PORT), "red-b")->local_port->cluster, 1);
	// What changes there, it hears as what changes in its own.
	both = view("zgc-2", 4);
	json_object_set_new(json_array_get(json_object_get(both, "entrances"), 0), "ip",
			    json_string("10.0.0.200"));
	revision = put_alone(c, "views", both);
	wait_for(n, n->revision == revision);
	assert_ip(get(n, KIND(ENTRANCE), "zgc-2/0")->entrance->ip, "10.0.0.200");
	begin(c);
	assert_int_equal(store_remove(c->store, "ports", "green-b"), 0);
	put(c, "hosts", host("host-b", "zgc-1", "10.0.0.22", "02:00:00:00:01:02"));
	revision = commit(c);
	wait_for(n, n->revision == revision);
	assert_int_equal(count_of(n, KIND(ENTRANCE)), 2);
	assert_null(find(n, KIND(LOCAL_PORT), "green-b"));
	node_stop(n);
}

static void other_cluster_is_apart(void **state)
{
	struct node *n = node_new("other");

	node_join(n, *state);
	assert_int_equal(n->count, 1 + 1 + 1);
	assert_int_equal(get(n, KIND(SETTINGS), "other")->settings->overlay, OVERLAY_VXLAN);
	assert_true(get(n, KIND(SETTINGS), "other")->settings->forwarder);
	assert_true(get(n, KIND(SETTINGS), "other")->settings->flow_table);
	get(n, KIND(MEMBER), "other");
	get(n, KIND(VPC), "green");
	node_stop(n);
}

// ---- deltas

struct all {
	struct node *fwd, *ftn1, *ftn2, *a, *b, *other;
};

#define ALL                                                                                        \
	{                                                                                          \
		node_new("fwd-1"), node_new("ftn-1"), node_new("ftn-2"), node_new("host-a"),       \
			node_new("host-b"), node_new("other")                                      \
	}

#define each_node(n, all)                                                                          \
	(struct node **n = (struct node **)(all); n < (struct node **)((all) + 1); n++)

static void join_all(struct all *all, struct cloud *c)
{
	for
		each_node(n, all) node_join(*n, c);
}

static void stop_all(struct all *all)
{
	for
		each_node(n, all) node_stop(*n);
}

// A change that everybody hears of, so that who heard of nothing else is known not to have.
static void heard_by_all(struct all *all, struct cloud *c)
{
	static int epoch = 100;
	uint64_t revision;

	begin(c);
	put(c, "views", view("zgc-1", ++epoch));
	json_t *elsewhere = view("zgc-2", epoch);
	json_object_set_new(elsewhere, "chains", json_array());
	put(c, "views", elsewhere);
	revision = commit(c);
	for
		each_node(n, all) wait_for(*n, (*n)->revision == revision);
}

static void new_port_reaches_whom_it_matters(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	revision = put_alone(c, "ports", port("blue-new", "blue", "host-a", 77));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.ftn2, all.ftn2->revision == revision);
	wait_for(all.a, all.a->revision == revision);
	assert_int_equal(all.ftn1->puts, 1);
	assert_int_equal(all.ftn1->removes, 0);
	assert_int_equal(all.a->puts, 1);
	assert_ip(get(all.ftn1, KIND(PORT), "blue-new")->port->ip[0], "192.168.0.77");
	assert_string_equal(get(all.a, KIND(LOCAL_PORT), "blue-new")->local_port->interface,
			    "veth77");
	heard_by_all(&all, c);
	assert_int_equal(all.fwd->deltas, 1);
	assert_int_equal(all.b->deltas, 1);
	assert_int_equal(all.other->deltas, 1);
	assert_null(find(all.fwd, KIND(PORT), "blue-new"));
	assert_null(find(all.b, KIND(LOCAL_PORT), "blue-new"));
	for
		each_node(n, &all) assert_int_equal((*n)->snapshots, 1);
	stop_all(&all);
}

static json_t *many_rules(size_t count)
{
	json_t *rules = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(rules, json_pack("{s:s, s:s, s:i, s:i}", "direction",
						       "ingress", "protocol", "tcp", "port_min",
						       (int)i, "port_max", (int)i));
	return json_pack("{s:s, s:s, s:o}", "id", "many", "vpc", "blue", "rules", rules);
}

static size_t rules_in_blocks(struct node *n)
{
	size_t rules = 0;
	char id[32];

	for (uint32_t i = 0; i < RULE_BLOCKS; i++) {
		snprintf(id, sizeof(id), "group/many/%u", i);
		rules += get(n, KIND(RULE_BLOCK), id)->rule_block->n_rule;
	}
	return rules;
}

// Of many rules one more, or one less, is a change of one block.
static void many_rules_in_blocks(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	revision = put_alone(c, "security-groups", many_rules(10000));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(count_of(all.ftn1, KIND(RULE_BLOCK)), RULE_BLOCKS);
	assert_int_equal(get(all.ftn1, KIND(SECURITY_GROUP), "many")->security_group->n_rule, 0);
	assert_int_equal(get(all.ftn1, KIND(SECURITY_GROUP), "many")->security_group->version,
			 revision);
	assert_int_equal(rules_in_blocks(all.ftn1), 10000);
	revision = put_alone(c, "security-groups", many_rules(9999));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(all.ftn1->puts, 2);
	assert_int_equal(all.ftn1->removes, 0);
	assert_int_equal(rules_in_blocks(all.ftn1), 9999);
	// Few are told as one.
	revision = put_alone(c, "security-groups", many_rules(RULES_TOGETHER));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(count_of(all.ftn1, KIND(RULE_BLOCK)), 0);
	assert_int_equal(get(all.ftn1, KIND(SECURITY_GROUP), "many")->security_group->n_rule,
			 RULES_TOGETHER);
	stop_all(&all);
}

static json_t *balancer(const char *first, const char *second)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:[{s:s, s:i, s:i, s:[{s:s, s:i}, {s:s, s:i}]}]}",
			 "id", "shop", "vpc", "blue", "ip", "192.168.0.100", "affinity", "source",
			 "listeners", "protocol", "udp", "port", 53, "backend_port", 5353,
			 "backends", "port", first, "weight", 2, "port", second, "weight", 0);
}

// What a forwarder is told when a load balancer is protected so, or NULL.
static const Zeta__Node__V1__Shield *protect(struct cloud *c, struct all *all, json_t *body,
					     const char *how)
{
	const Zeta__Node__V1__Object *told;
	uint64_t revision;

	json_object_set_new(body, "syn_protection", json_string(how));
	revision = put_alone(c, "load-balancers", body);
	wait_for(all->fwd, all->fwd->revision == revision);
	told = find(all->fwd, KIND(SHIELD), "shop");
	return told ? told->shield : NULL;
}

// Who decides hears of it, with its backends' addresses, and when one of these changes.
static void load_balancer(void **state)
{
	struct cloud *c = *state;
	const Zeta__Node__V1__LoadBalancer *shop;
	const Zeta__Node__V1__Shield *shield;
	const Zeta__Node__V1__Check *check;
	struct all all = ALL;
	uint64_t revision;
	json_t *moved, *checked;

	join_all(&all, c);
	begin(c);
	put(c, "load-balancers", balancer("blue-a", "blue-b"));
	assert_int_equal(store_refer(c->store, "load-balancers", "shop", "ports", "blue-a"), 0);
	revision = commit(c);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	shop = get(all.ftn1, KIND(LOAD_BALANCER), "shop")->load_balancer;
	assert_int_equal(shop->vni, 100);
	assert_true(shop->by_source);
	assert_ip(shop->ip, "192.168.0.100");
	assert_int_equal(shop->n_listener, 1);
	assert_int_equal(shop->listener[0]->protocol, 17);
	assert_int_equal(shop->listener[0]->port, 53);
	assert_int_equal(shop->listener[0]->backend_port, 5353);
	assert_int_equal(shop->listener[0]->n_backend, 2);
	assert_string_equal(shop->listener[0]->backend[0]->id, "blue-a");
	assert_int_equal(shop->listener[0]->backend[0]->weight, 2);
	assert_ip(shop->listener[0]->backend[0]->ip, "192.168.0.10");
	assert_int_equal(shop->listener[0]->backend[1]->weight, 0);
	assert_ip(shop->listener[0]->backend[1]->ip, "192.168.0.12");
	assert_null(shop->listener[0]->check);
	heard_by_all(&all, c);
	assert_null(find(all.fwd, KIND(LOAD_BALANCER), "shop"));
	assert_null(find(all.other, KIND(LOAD_BALANCER), "shop"));

	moved = port("blue-a", "blue", "host-a", 10);
	json_object_set_new(moved, "ips", json_pack("[s, s]", "fd00::5", "192.168.0.77"));
	revision = put_alone(c, "ports", moved);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	shop = get(all.ftn1, KIND(LOAD_BALANCER), "shop")->load_balancer;
	assert_ip(shop->listener[0]->backend[0]->ip, "192.168.0.77");
	// Of IPv6 it has backends that have such an address.
	checked = balancer("blue-a", "blue-b");
	json_object_set_new(checked, "ip", json_string("fd00::64"));
	revision = put_alone(c, "load-balancers", checked);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	shop = get(all.ftn1, KIND(LOAD_BALANCER), "shop")->load_balancer;
	assert_ip(shop->ip, "fd00::64");
	assert_int_equal(shop->listener[0]->n_backend, 1);
	assert_ip(shop->listener[0]->backend[0]->ip, "fd00::5");
	checked = balancer("blue-a", "blue-b");
	json_object_set_new(json_array_get(json_object_get(checked, "listeners"), 0), "check",
			    json_pack("{s:s, s:i, s:s, s:i, s:i, s:i, s:i}", "type", "http", "port",
				      81, "path", "/up", "interval_ms", 900, "timeout_ms", 200,
				      "up_after", 3, "down_after", 4));
	revision = put_alone(c, "load-balancers", json_deep_copy(checked));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	check = get(all.ftn1, KIND(LOAD_BALANCER), "shop")->load_balancer->listener[0]->check;
	assert_non_null(check);
	assert_true(check->http);
	assert_int_equal(check->port, 81);
	assert_string_equal(check->path, "/up");
	assert_int_equal(check->interval_ms, 900);
	assert_int_equal(check->timeout_ms, 200);
	assert_int_equal(check->up_after, 3);
	assert_int_equal(check->down_after, 4);
	json_object_set_new(checked, "syn_rate", json_integer(50));
	assert_int_equal(
		protect(c, &all, json_deep_copy(checked), "under-attack")->rate->packets_per_s, 50);
	shield = protect(c, &all, json_deep_copy(checked), "always");
	assert_int_equal(shield->vni, 100);
	assert_ip(shield->ip, "192.168.0.100");
	assert_null(shield->rate);
	assert_null(protect(c, &all, checked, "never"));
	assert_non_null(protect(c, &all, balancer("blue-a", "blue-b"), "always"));
	revision = remove_alone(c, "load-balancers", "shop");
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_null(find(all.ftn1, KIND(LOAD_BALANCER), "shop"));
	wait_for(all.fwd, all.fwd->revision == revision);
	assert_null(find(all.fwd, KIND(SHIELD), "shop"));
	stop_all(&all);
}

// Who decides hears of it: of both VPCs, and of the subnets by number.
static void nat(void **state)
{
	struct cloud *c = *state;
	const Zeta__Node__V1__Nat *out;
	struct all all = ALL;
	uint64_t revision;
	json_t *moved;

	join_all(&all, c);
	begin(c);
	put(c, "nats",
	    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:[s], s:[s], s:[{s:s, s:s}], "
		      "s:[{s:s, s:s, s:i, s:s, s:i}]}",
		      "mapping", "endpoint-independent", "filtering", "endpoint-independent", "id",
		      "out", "name", "out", "vpc", "blue", "external_vpc", "red", "addresses",
		      "198.51.100.7", "subnets", "blue-1", "floating_ips", "ip", "198.51.100.8",
		      "target", "blue-a", "forwards", "protocol", "udp", "ip", "198.51.100.7",
		      "port", 53, "target", "blue-b", "target_port", 5353));
	assert_int_equal(store_refer(c->store, "nats", "out", "ports", "blue-a"), 0);
	revision = commit(c);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	out = get(all.ftn1, KIND(NAT), "out")->nat;
	assert_int_equal(out->vni, 100);
	assert_int_equal(out->external_vni, 101);
	assert_true(out->maps && out->open);
	assert_int_equal(out->n_address, 1);
	assert_ip(out->address[0], "198.51.100.7");
	assert_int_equal(out->n_subnet, 1);
	assert_int_equal(out->subnet[0], get(all.ftn1, KIND(SUBNET), "blue-1")->subnet->number);
	assert_int_equal(out->n_floating_ip, 1);
	assert_ip(out->floating_ip[0]->address, "198.51.100.8");
	assert_ip(out->floating_ip[0]->inside, "192.168.0.10");
	assert_int_equal(out->n_forward, 1);
	assert_int_equal(out->forward[0]->protocol, 17);
	assert_ip(out->forward[0]->address, "198.51.100.7");
	assert_int_equal(out->forward[0]->port, 53);
	assert_ip(out->forward[0]->inside, "192.168.0.12");
	assert_int_equal(out->forward[0]->inside_port, 5353);
	heard_by_all(&all, c);
	assert_null(find(all.fwd, KIND(NAT), "out"));
	assert_null(find(all.other, KIND(NAT), "out"));

	moved = port("blue-a", "blue", "host-a", 10);
	json_object_set_new(moved, "ips", json_pack("[s]", "192.168.0.77"));
	revision = put_alone(c, "ports", moved);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	out = get(all.ftn1, KIND(NAT), "out")->nat;
	assert_ip(out->floating_ip[0]->inside, "192.168.0.77");
	revision = remove_alone(c, "nats", "out");
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_null(find(all.ftn1, KIND(NAT), "out"));
	stop_all(&all);
}

static json_t *peered_vpc(const char *id, int vni, int policy, const char *peer)
{
	json_t *body = vpc(id, "zgc-1", vni, policy);

	json_object_set_new(body, "peers", peer ? json_pack("[s]", peer) : json_array());
	return body;
}

static uint64_t put_peers(struct cloud *c, int policy, bool peered)
{
	begin(c);
	put(c, "vpcs", peered_vpc("blue", 100, policy, peered ? "red" : NULL));
	put(c, "vpcs", peered_vpc("red", 101, policy, peered ? "blue" : NULL));
	return commit(c);
}

// Subnets are told with the VPCs that reach them, where they have a gateway.
static void peering(void **state)
{
	struct cloud *c = *state;
	const Zeta__Node__V1__Subnet *subnet;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	revision = put_peers(c, 9, true);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	subnet = get(all.ftn1, KIND(SUBNET), "blue-1")->subnet;
	assert_int_equal(subnet->n_peer_vni, 1);
	assert_int_equal(subnet->peer_vni[0], 101);
	assert_int_equal(get(all.ftn1, KIND(SUBNET), "red-1")->subnet->n_peer_vni, 0);
	assert_int_equal(get(all.ftn1, KIND(VPC), "red")->vpc->policy, 9);
	// A subnet that comes later, too.
	revision = put_alone(c, "subnets",
			     json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", "red-2", "vpc", "red",
				       "cidr", "10.9.0.0/24", "gateway", "10.9.0.1", "gateway_mac",
				       "02:04:00:00:00:03"));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	subnet = get(all.ftn1, KIND(SUBNET), "red-2")->subnet;
	assert_int_equal(subnet->n_peer_vni, 1);
	assert_int_equal(subnet->peer_vni[0], 100);
	heard_by_all(&all, c);
	assert_null(find(all.other, KIND(SUBNET), "red-2"));

	revision = put_peers(c, 10, false);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(get(all.ftn1, KIND(SUBNET), "blue-1")->subnet->n_peer_vni, 0);
	assert_int_equal(get(all.ftn1, KIND(SUBNET), "red-2")->subnet->n_peer_vni, 0);
	stop_all(&all);
}

static json_t *route_table(const char *id, int first, int count)
{
	json_t *routes = json_array();
	char prefix[24];

	for (int i = first; i < first + count; i++) {
		snprintf(prefix, sizeof(prefix), "20.%d.%d.0/24", i / 256, i % 256);
		json_array_append_new(routes, i % 2 ? json_pack("{s:s, s:n, s:b}", "prefix", prefix,
								"next_hop", "blackhole", 1)
						    : json_pack("{s:s, s:s, s:b}", "prefix", prefix,
								"next_hop", "192.168.0.10",
								"blackhole", 0));
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "id", id, "name", id, "vpc", "blue", "routes",
			 routes);
}

// Of the table that is told in blocks.
static size_t routes_in_blocks(struct node *n)
{
	const Message *block;
	size_t count = 0;
	char id[32];

	for (uint32_t i = 0; i < ROUTE_BLOCKS; i++) {
		snprintf(id, sizeof(id), "many/%u", i);
		block = find(n, KIND(ROUTE_BLOCK), id);
		count += block ? block->route_block->n_route : 0;
	}
	return count;
}

// Few in one block, many in blocks of which a change is one; to who decides alone.
static void routes(void **state)
{
	struct cloud *c = *state;
	const Zeta__Node__V1__RouteBlock *block;
	const Zeta__Node__V1__Port *sender;
	struct all all = ALL;
	uint64_t revision;
	json_t *router;

	join_all(&all, c);
	revision = put_alone(c, "route-tables", route_table("few", 0, 2));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(count_of(all.ftn1, KIND(ROUTE_BLOCK)), 1);
	block = get(all.ftn1, KIND(ROUTE_BLOCK), "few/0")->route_block;
	assert_int_equal(block->vni, 100);
	assert_int_equal(block->n_route, 2);
	assert_ip(block->route[0]->prefix, "20.0.0.0");
	assert_int_equal(block->route[0]->prefix_length, 96 + 24);
	assert_ip(block->route[0]->next_hop, "192.168.0.10");
	assert_int_equal(block->route[1]->next_hop.len, 0);
	heard_by_all(&all, c);
	assert_int_equal(count_of(all.fwd, KIND(ROUTE_BLOCK)), 0);
	assert_int_equal(count_of(all.other, KIND(ROUTE_BLOCK)), 0);
	revision = put_alone(c, "route-tables", route_table("many", 1000, MAX_TABLE_ROUTES));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(routes_in_blocks(all.ftn1), MAX_TABLE_ROUTES);
	revision = put_alone(c, "route-tables", route_table("many", 1000, MAX_TABLE_ROUTES - 1));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(all.ftn1->puts, 1);
	assert_int_equal(all.ftn1->removes, 0);
	assert_int_equal(routes_in_blocks(all.ftn1), MAX_TABLE_ROUTES - 1);
	router = port("blue-a", "blue", "host-a", 10);
	json_object_set_new(router, "allowed_prefixes", json_pack("[s]", "20.0.0.0/8"));
	revision = put_alone(c, "ports", router);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	sender = get(all.ftn1, KIND(PORT), "blue-a")->port;
	assert_int_equal(sender->n_allowed, 1);
	assert_ip(sender->allowed[0]->address, "20.0.0.0");
	assert_int_equal(sender->allowed[0]->length, 96 + 8);
	revision = remove_alone(c, "route-tables", "many");
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(count_of(all.ftn1, KIND(ROUTE_BLOCK)), 1);
	stop_all(&all);
}

// A port's limits are told to its host alone.
static void limits_of_a_port(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	const Zeta__Node__V1__LocalPort *local;
	json_t *limited = port("blue-b", "blue", "host-b", 12);
	uint64_t revision;

	join_all(&all, c);
	json_object_set_new(limited, "security_groups", json_pack("[s, s]", "db", "web"));
	json_object_set_new(limited, "egress_limit",
			    json_pack("{s:I, s:n, s:i}", "bits_per_s", (json_int_t)40000000000,
				      "packets_per_s", "burst_ms", 20));
	json_object_set_new(limited, "ingress_limit", json_null());
	json_object_set_new(limited, "dscp", json_integer(0));
	json_object_set_new(limited, "connections_per_s", json_integer(30));
	json_object_set_new(limited, "mirror",
			    json_pack("{s:s, s:i, s:s, s:i, s:i}", "collector", "10.0.0.77", "vni",
				      5, "direction", "egress", "bytes", 96, "bits_per_s",
				      1000000));
	revision = put_alone(c, "ports", limited);
	wait_for(all.b, all.b->revision == revision);
	local = get(all.b, KIND(LOCAL_PORT), "blue-b")->local_port;
	assert_non_null(local->egress);
	assert_null(local->ingress);
	assert_int_equal(local->egress->bits_per_s, 40000000000);
	assert_int_equal(local->egress->packets_per_s, 0);
	assert_int_equal(local->egress->burst_ms, 20);
	assert_int_equal(local->dscp, 1);
	assert_int_equal(local->connections_per_s, 30);
	assert_ip(local->mirror->collector, "10.0.0.77");
	assert_int_equal(local->mirror->vni, 5);
	assert_int_equal(local->mirror->bytes, 96);
	assert_true(local->mirror->egress);
	assert_false(local->mirror->ingress);
	assert_int_equal(local->mirror->rate->bits_per_s, 1000000);
	assert_true(all.ftn1->revision < revision);
	stop_all(&all);
}

// A chain beside the VPC's own is every gateway node's; who names it has its number.
static void service_chains(void **state)
{
	struct cloud *c = *state;
	json_t *shop = balancer("blue-a", "blue-b");
	const Zeta__Node__V1__ServiceChain *chain;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	put_alone(c, "service-chains",
		  json_pack("{s:s, s:s, s:s, s:[{s:s, s:n}, {s:s, s:n}]}", "id", "strict", "name",
			    "strict", "vpc", "blue", "functions", "function", "acl", "config",
			    "function", "security-group", "config"));
	put_alone(c, "subnets",
		  json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", "blue-1", "vpc", "blue", "cidr",
			    "192.168.0.0/16", "gateway", "192.168.0.1", "gateway_mac",
			    "02:04:00:00:00:01", "service_chain", "strict"));
	json_object_set_new(shop, "service_chain", json_string("strict"));
	revision = put_alone(c, "load-balancers", shop);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	chain = get(all.ftn1, KIND(SERVICE_CHAIN), "strict")->service_chain;
	assert_int_equal(chain->number, 1);
	assert_int_equal(chain->vni, 100);
	assert_int_equal(chain->n_functions, 2);
	assert_int_equal(chain->functions[0], FUNCTION_ACL);
	assert_int_equal(chain->functions[1], FUNCTION_SECURITY_GROUP);
	assert_int_equal(get(all.ftn1, KIND(SUBNET), "blue-1")->subnet->chain, 1);
	assert_int_equal(get(all.ftn1, KIND(LOAD_BALANCER), "shop")->load_balancer->chain, 1);
	assert_int_equal(get(all.ftn1, KIND(SUBNET), "red-1")->subnet->chain, 0);
	heard_by_all(&all, c);
	get(all.fwd, KIND(SERVICE_CHAIN), "strict");
	assert_null(find(all.a, KIND(SERVICE_CHAIN), "strict"));
	assert_null(find(all.other, KIND(SERVICE_CHAIN), "strict"));
	revision = remove_alone(c, "service-chains", "strict");
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_null(find(all.ftn1, KIND(SERVICE_CHAIN), "strict"));
	stop_all(&all);
}

// Several next hops of a route.
static void shared_routes(void **state)
{
	struct cloud *c = *state;
	const Zeta__Node__V1__Route *route;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	revision = put_alone(c, "route-tables",
			     json_pack("{s:s, s:s, s:s, s:[{s:s, s:n, s:[s, s], s:b}]}", "id", "up",
				       "name", "up", "vpc", "blue", "routes", "prefix", "0.0.0.0/0",
				       "next_hop", "next_hops", "192.168.0.10", "192.168.0.12",
				       "blackhole", 0));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	route = get(all.ftn1, KIND(ROUTE_BLOCK), "up/0")->route_block->route[0];
	assert_int_equal(route->next_hop.len, 0);
	assert_int_equal(route->n_next_hops, 2);
	assert_ip(route->next_hops[0], "192.168.0.10");
	assert_ip(route->next_hops[1], "192.168.0.12");
	stop_all(&all);
}

static json_t *uplink(const char *host)
{
	json_t *body = port("up", "red", host, 253);

	json_object_set_new(body, "uplink",
			    json_pack("{s:s, s:i}", "interface", "up0", "table", 100));
	return body;
}

// A border host hears of its uplinks, and of what NATs and load balancers have in their VPCs;
// others do not.
static void uplinks(void **state)
{
	struct cloud *c = *state;
	json_t *external = vpc("red", "zgc-1", 101, 1), *shop = balancer("blue-a", "blue-b");
	const Zeta__Node__V1__Announcement *announcement;
	const Zeta__Node__V1__Uplink *up;
	struct all all = ALL;
	uint64_t revision;

	json_object_set_new(external, "external", json_true());
	json_object_set_new(shop, "vpc", json_string("red"));
	join_all(&all, c);
	begin(c);
	put(c, "vpcs", external);
	put(c, "subnets",
	    json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", "red-2", "vpc", "red", "cidr",
		      "192.168.0.0/24", "gateway", "192.168.0.1", "gateway_mac",
		      "02:03:00:00:00:09"));
	put(c, "nats",
	    json_pack("{s:s, s:s, s:s, s:s, s:[s, s], s:[s], s:[{s:s, s:s}], s:[]}", "id", "out",
		      "name", "out", "vpc", "blue", "external_vpc", "red", "addresses",
		      "198.51.100.7", "198.51.100.9", "subnets", "blue-1", "floating_ips", "ip",
		      "198.51.100.8", "target", "blue-a", "forwards"));
	assert_int_equal(store_refer(c->store, "nats", "out", "vpcs", "red"), 0);
	revision = commit(c);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	heard_by_all(&all, c);
	assert_int_equal(count_of(all.a, KIND(ANNOUNCEMENT)), 0);
	assert_false(get(all.ftn1, KIND(PORT), "red-b")->port->uplink);

	revision = put_alone(c, "ports", uplink("host-a"));
	wait_for(all.a, all.a->revision == revision && find(all.a, KIND(ANNOUNCEMENT), "nat/out"));
	up = get(all.a, KIND(UPLINK), "up")->uplink;
	assert_int_equal(up->vni, 101);
	assert_int_equal(up->table, 100);
	assert_string_equal(up->interface, "up0");
	assert_ip(up->ip, "192.168.0.253");
	assert_ip(up->gateway, "192.168.0.1");
	announcement = get(all.a, KIND(ANNOUNCEMENT), "nat/out")->announcement;
	assert_int_equal(announcement->vni, 101);
	assert_int_equal(announcement->n_address, 3);
	assert_ip(announcement->address[0], "198.51.100.7");
	assert_ip(announcement->address[1], "198.51.100.9");
	assert_ip(announcement->address[2], "198.51.100.8");
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_true(get(all.ftn1, KIND(PORT), "up")->port->uplink);
	heard_by_all(&all, c);
	assert_null(find(all.ftn1, KIND(ANNOUNCEMENT), "nat/out"));
	assert_null(find(all.ftn1, KIND(UPLINK), "up"));
	assert_int_equal(count_of(all.b, KIND(ANNOUNCEMENT)), 0);

	revision = put_alone(c, "load-balancers", shop);
	wait_for(all.a, all.a->revision == revision);
	announcement = get(all.a, KIND(ANNOUNCEMENT), "balancer/shop")->announcement;
	assert_int_equal(announcement->n_address, 1);
	assert_ip(announcement->address[0], "192.168.0.100");
	revision = remove_alone(c, "nats", "out");
	wait_for(all.a, all.a->revision == revision);
	assert_null(find(all.a, KIND(ANNOUNCEMENT), "nat/out"));

	// The other host now, and then nobody.
	revision = put_alone(c, "ports", uplink("host-b"));
	wait_for(all.b,
		 all.b->revision == revision && find(all.b, KIND(ANNOUNCEMENT), "balancer/shop"));
	wait_for(all.a, all.a->revision == revision && !find(all.a, KIND(UPLINK), "up"));
	assert_null(find(all.a, KIND(ANNOUNCEMENT), "balancer/shop"));
	revision = remove_alone(c, "ports", "up");
	wait_for(all.b, all.b->revision == revision && !find(all.b, KIND(UPLINK), "up"));
	assert_null(find(all.b, KIND(ANNOUNCEMENT), "balancer/shop"));
	stop_all(&all);
}

static void removed_objects(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	revision = remove_alone(c, "ports", "blue-b");
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.b, all.b->revision == revision);
	assert_int_equal(all.ftn1->removes, 1);
	assert_int_equal(all.ftn1->puts, 0);
	assert_null(find(all.ftn1, KIND(PORT), "blue-b"));
	assert_null(find(all.b, KIND(LOCAL_PORT), "blue-b"));
	get(all.b, KIND(LOCAL_PORT), "red-b");
	remove_alone(c, "security-groups", "web");
	revision = remove_alone(c, "subnets", "blue-1");
	wait_for(all.ftn2, all.ftn2->revision == revision);
	wait_for(all.fwd, all.fwd->revision == revision);
	assert_null(find(all.ftn2, KIND(SECURITY_GROUP), "web"));
	assert_null(find(all.ftn2, KIND(SUBNET), "blue-1"));
	assert_null(find(all.fwd, KIND(SUBNET), "blue-1"));
	heard_by_all(&all, c);
	assert_int_equal(all.a->deltas, 1);
	assert_int_equal(all.other->deltas, 1);
	// The same id again is a new object.
	revision = put_alone(c, "ports", port("blue-b", "blue", "host-a", 12));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.a, all.a->revision == revision);
	get(all.ftn1, KIND(PORT), "blue-b");
	get(all.a, KIND(LOCAL_PORT), "blue-b");
	stop_all(&all);
}

static void smaller_view(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;
	json_t *smaller = view("zgc-1", 8);

	join_all(&all, c);
	json_array_remove(json_object_get(smaller, "chains"), 1);
	json_array_remove(json_object_get(smaller, "entrances"), 1);
	revision = put_alone(c, "views", smaller);
	for
		each_node(n, &all) if (*n != all.other) wait_for(*n, (*n)->revision == revision);
	assert_null(find(all.fwd, KIND(CHAIN), "zgc-1/1"));
	assert_null(find(all.fwd, KIND(ENTRANCE), "zgc-1/1"));
	assert_null(find(all.a, KIND(ENTRANCE), "zgc-1/1"));
	assert_int_equal(get(all.ftn1, KIND(SETTINGS), "ftn-1")->settings->epoch, 8);
	assert_int_equal(get(all.a, KIND(SETTINGS), "host-a")->settings->epoch, 8);
	for (size_t i = 0; i < BUCKETS; i++)
		assert_int_equal(
			get(all.fwd, KIND(BUCKETS), "zgc-1")->buckets->chain.data[2 * i + 1], 1);
	// The entrance that stayed as it was is not sent again.
	assert_int_equal(all.a->put_ever[KIND(ENTRANCE)], 2);
	stop_all(&all);
}

static json_t *spread(int before, int move, bool moving)
{
	return json_pack("{s:i, s:i, s:i, s:b}", "chains", 2, "before", before, "move", move,
			 "moving", moving);
}

// Nodes are told where each bucket comes from while it moves, and that nobody joins a chain.
static void buckets_move(void **state)
{
	static const uint8_t nowhere[2], first[2] = {0, 1}, second[2] = {0, 2};
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;
	json_t *next = view("zgc-1", 8);
	const Zeta__Node__V1__Buckets *b;
	size_t left = 0;

	join_all(&all, c);
	json_object_set_new(next, "spread", spread(1, 8, true));
	revision = put_alone(c, "views", next);
	wait_for(all.fwd, all.fwd->revision == revision);
	b = get(all.fwd, KIND(BUCKETS), "zgc-1")->buckets;
	assert_int_equal(b->move, 8);
	assert_int_equal(b->from.len, 2 * BUCKETS);
	for (size_t i = 0; i < BUCKETS; i++) {
		// Chain 0 had all; what it has now did not move.
		bool moves = !memcmp(b->chain.data + 2 * i, second, 2);

		left += moves;
		assert_memory_equal(b->from.data + 2 * i, moves ? first : nowhere, 2);
	}
	assert_int_equal(left, BUCKETS / 2);
	assert_int_equal(get(all.fwd, KIND(CHAIN), "zgc-1/1")->chain->move, 8);
	assert_true(get(all.fwd, KIND(CHAIN), "zgc-1/1")->chain->moving);
	next = view("zgc-1", 9);
	json_object_set_new(next, "spread", spread(1, 8, false));
	revision = put_alone(c, "views", next);
	wait_for(all.fwd, all.fwd->revision == revision);
	b = get(all.fwd, KIND(BUCKETS), "zgc-1")->buckets;
	assert_int_equal(b->move, 8);
	assert_int_equal(b->from.len, 0);
	assert_int_equal(get(all.fwd, KIND(CHAIN), "zgc-1/1")->chain->move, 8);
	assert_false(get(all.fwd, KIND(CHAIN), "zgc-1/1")->chain->moving);
	stop_all(&all);
}

static void port_moves(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	for (int i = 0; i < 4; i++) {
		struct node *to = i & 1 ? all.a : all.b, *from = i & 1 ? all.b : all.a;

		revision = put_alone(c, "ports", port("blue-a", "blue", to->name, 10));
		wait_for(all.ftn1, all.ftn1->revision == revision);
		wait_for(to, to->revision == revision);
		wait_for(from, from->revision == revision);
		assert_null(find(from, KIND(LOCAL_PORT), "blue-a"));
		get(to, KIND(LOCAL_PORT), "blue-a");
		assert_ip(get(all.ftn1, KIND(PORT), "blue-a")->port->host_ip,
			  i & 1 ? "10.0.0.21" : "10.0.0.22");
	}
	stop_all(&all);
}

// What others' messages say of a host, a VPC, a cluster follows it.
static void dependents_follow(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	revision = put_alone(c, "hosts", host("host-b", "zgc-1", "10.0.0.99", "02:00:00:00:01:99"));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.b, all.b->revision == revision);
	assert_int_equal(all.ftn1->puts, 2);
	assert_ip(get(all.ftn1, KIND(PORT), "blue-b")->port->host_ip, "10.0.0.99");
	assert_mac(get(all.ftn1, KIND(PORT), "red-b")->port->host_mac, "02:00:00:00:01:99");
	assert_ip(get(all.ftn1, KIND(PORT), "blue-a")->port->host_ip, "10.0.0.21");
	assert_ip(get(all.b, KIND(SETTINGS), "host-b")->settings->tenant_ip, "10.0.0.99");

	revision = put_alone(c, "vpcs", guarded_vpc("blue", "zgc-1", 555, 4));
	for
		each_node(n, &all) if (*n != all.other) wait_for(*n, (*n)->revision == revision);
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->vni, 555);
	assert_int_equal(get(all.fwd, KIND(SUBNET), "blue-1")->subnet->vni, 555);
	assert_int_equal(get(all.ftn1, KIND(PORT), "blue-a")->port->vni, 555);
	assert_int_equal(get(all.a, KIND(LOCAL_PORT), "blue-a")->local_port->vni, 555);

	// A policy that grew is the VPC's message alone.
	revision = put_alone(c, "vpcs", guarded_vpc("blue", "zgc-1", 555, 5));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	assert_int_equal(all.ftn1->puts, 1);

	revision = put_alone(c, "clusters",
			     json_pack("{s:s, s:s, s:i, s:i}", "id", "zgc-1", "overlay", "vxlan",
				       "oam_port", 8400, "tenant_mtu", 1500));
	for
		each_node(n, &all)
		{
			if (*n == all.other)
				continue;
			wait_for(*n, (*n)->revision == revision);
			assert_int_equal(get(*n, KIND(SETTINGS), (*n)->name)->settings->oam_port,
					 8400);
			assert_int_equal(get(*n, KIND(SETTINGS), (*n)->name)->settings->overlay,
					 OVERLAY_VXLAN);
		}
	// The cluster's word for VPCs that say nothing of their own.
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->ask_ns, 0);
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->sessions, 0);
	assert_null(get(all.fwd, KIND(VPC), "blue")->vpc->limit);
	revision = put_alone(c, "vpcs", limited_vpc("blue", 1000, 50));
	wait_for(all.fwd, all.fwd->revision == revision);
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->ask_ns, 1000000);
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->sessions, 50);
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->limit->packets_per_s, 700);
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->limit->bits_per_s, 0);
	assert_int_equal(get(all.fwd, KIND(VPC), "blue")->vpc->limit->burst_ms, 20);
	stop_all(&all);
}

static void vpc_moves_to_another_cluster(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	uint64_t revision;

	join_all(&all, c);
	revision = put_alone(c, "vpcs", guarded_vpc("blue", "zgc-2", 100, 4));
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.fwd, all.fwd->revision == revision);
	wait_for(all.other, all.other->revision == revision);
	assert_null(find(all.fwd, KIND(VPC), "blue"));
	assert_null(find(all.fwd, KIND(SUBNET), "blue-1"));
	assert_null(find(all.ftn1, KIND(PORT), "blue-a"));
	assert_null(find(all.ftn1, KIND(SECURITY_GROUP), "web"));
	get(all.other, KIND(VPC), "blue");
	get(all.other, KIND(SUBNET), "blue-1");
	get(all.other, KIND(PORT), "blue-a");
	get(all.other, KIND(SECURITY_GROUP), "web");
	stop_all(&all);
}

static json_t *moving_vpc(const char *phase)
{
	json_t *body = guarded_vpc("blue", "zgc-2", 100, 4);

	json_object_set_new(body, "move",
			    json_pack("{s:s, s:i, s:s, s:i}", "from", "zgc-1", "number", 7, "phase",
				      phase, "since_ms", 0));
	return body;
}

// Of the other cluster a node has the members and the chains, by numbers of their own.
static void assert_foreign(struct node *n, const char *member, const char *chain,
			   unsigned int first)
{
	const Zeta__Node__V1__Chain *c = get(n, KIND(CHAIN), chain)->chain;

	assert_true(get(n, KIND(MEMBER), member)->member->foreign);
	assert_int_equal(c->number, MAX_CHAINS);
	assert_int_equal(c->n_voter, 0);
	assert_int_equal(c->n_live, 2);
	assert_int_equal(c->live[0], first);
}

static unsigned int entry_of(const ProtobufCBinaryData *table)
{
	assert_int_equal(table->len, BUCKETS * 2);
	return (unsigned int)table->data[0] << 8 | table->data[1];
}

// M8: both clusters have all of the VPC and know each other, then the old one's chains may begin
// and hosts turn, then the old one forgets.
static void vpc_moves_under_traffic(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	const Zeta__Node__V1__Transfer *t;
	struct holder holder;
	uint64_t revision;
	json_t *elsewhere;

	join_all(&all, c);
	begin(c);
	put(c, "views", view("zgc-2", 3));
	put(c, "vpcs", moving_vpc("prepare"));
	assert_int_equal(store_claim(c->store, "moving", "zgc-2", "vpcs", "blue", &holder), 0);
	revision = commit(c);
	wait_for(all.fwd, all.fwd->revision == revision);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.other, all.other->revision == revision);
	get(all.fwd, KIND(VPC), "blue");
	get(all.ftn1, KIND(PORT), "blue-a");
	get(all.other, KIND(VPC), "blue");
	get(all.other, KIND(SUBNET), "blue-1");
	get(all.other, KIND(PORT), "blue-a");
	get(all.other, KIND(SECURITY_GROUP), "web");
	assert_foreign(all.fwd, "other", "zgc-2/0", 2);
	assert_foreign(all.other, "fwd-1", "zgc-1/0", 2);
	assert_false(get(all.other, KIND(MEMBER), "other")->member->foreign);
	t = get(all.fwd, KIND(TRANSFER), "blue")->transfer;
	assert_int_equal(t->number, 7);
	assert_int_equal(t->vni, 100);
	assert_false(t->begun || t->over);
	assert_in_range(entry_of(&t->chain), MAX_CHAINS + 1, MAX_CHAINS + 2);
	assert_in_range(entry_of(&t->from), 1, 2);
	t = get(all.other, KIND(TRANSFER), "blue")->transfer;
	assert_in_range(entry_of(&t->chain), 1, 2);
	assert_in_range(entry_of(&t->from), MAX_CHAINS + 1, MAX_CHAINS + 2);
	assert_int_equal(get(all.a, KIND(LOCAL_PORT), "blue-a")->local_port->cluster, 1);

	// What changes of one the other's nodes hear of.
	elsewhere = view("zgc-2", 4);
	json_object_set_new(elsewhere, "chains",
			    json_pack("[o, o]", view_chain(0, 4, 3, 2), view_chain(1, 5, 3, 2)));
	revision = put_alone(c, "views", elsewhere);
	wait_for(all.fwd, all.fwd->revision == revision);
	assert_foreign(all.fwd, "other", "zgc-2/0", 3);

	// Who is in a chain by now is not who was wanted.
	elsewhere = moving_vpc("hand-over");
	json_object_set_new(json_object_get(elsewhere, "move"), "lists",
			    json_pack("{s:{s:[i, i], s:[i]}}", "zgc-2", "0", 8, 7, "1", 6));
	revision = put_alone(c, "vpcs", elsewhere);
	wait_for(all.fwd, all.fwd->revision == revision);
	assert_foreign(all.fwd, "other", "zgc-2/0", 8);
	assert_true(get(all.fwd, KIND(TRANSFER), "blue")->transfer->begun);
	assert_int_equal(get(all.a, KIND(LOCAL_PORT), "blue-a")->local_port->cluster, 1);
	revision = put_alone(c, "vpcs", moving_vpc("turn"));
	wait_for(all.a, all.a->revision == revision);
	assert_int_equal(get(all.a, KIND(LOCAL_PORT), "blue-a")->local_port->cluster, 2);

	revision = put_alone(c, "vpcs", moving_vpc("clear"));
	wait_for(all.fwd, all.fwd->revision == revision);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.other, all.other->revision == revision);
	assert_null(find(all.fwd, KIND(VPC), "blue"));
	assert_null(find(all.fwd, KIND(MEMBER), "other"));
	assert_null(find(all.fwd, KIND(CHAIN), "zgc-2/0"));
	assert_null(find(all.ftn1, KIND(PORT), "blue-a"));
	assert_true(get(all.ftn1, KIND(TRANSFER), "blue")->transfer->over);
	assert_null(find(all.other, KIND(TRANSFER), "blue"));
	assert_null(find(all.other, KIND(MEMBER), "fwd-1"));
	get(all.other, KIND(VPC), "blue");

	revision = put_alone(c, "vpcs", guarded_vpc("blue", "zgc-2", 100, 4));
	wait_for(all.fwd, all.fwd->revision == revision);
	assert_null(find(all.fwd, KIND(TRANSFER), "blue"));
	stop_all(&all);
}

static void service_chain_is_the_stored_one(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("fwd-1");
	uint64_t revision;

	node_join(n, c);
	assert_int_equal(get(n, KIND(VPC), "red")->vpc->n_functions, 2);
	revision = put_alone(c, "vpcs", guarded_vpc("red", "zgc-1", 101, 2));
	wait_for(n, n->revision == revision);
	assert_int_equal(get(n, KIND(VPC), "red")->vpc->n_functions, 3);
	revision = put_alone(c, "vpcs", vpc("red", "zgc-1", 101, 3));
	wait_for(n, n->revision == revision);
	assert_int_equal(get(n, KIND(VPC), "red")->vpc->n_functions, 2);
	assert_int_equal(get(n, KIND(VPC), "red")->vpc->policy, 3);
	node_stop(n);
}

// ---- coming, going, being nobody

static void new_roles_are_a_snapshot(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("fwd-1");

	node_join(n, c);
	assert_int_equal(count_of(n, KIND(PORT)), 0);
	put_alone(c, "nodes", gateway_node("fwd-1", "zgc-1", 1, "fwd", "ftn"));
	wait_for(n, n->snapshots == 2);
	assert_int_equal(count_of(n, KIND(PORT)), 3);
	put_alone(c, "nodes", gateway_node("fwd-1", "zgc-1", 1, "fwd", NULL));
	wait_for(n, n->snapshots == 3);
	assert_int_equal(count_of(n, KIND(PORT)), 0);
	node_stop(n);
}

static void reconnect_is_a_snapshot(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("ftn-1");

	node_join(n, c);
	node_stop(n);
	put_alone(c, "ports", port("while-away", "red", "host-a", 99));
	remove_alone(c, "ports", "red-b");
	node_start(n, c);
	wait_for(n, n->snapshots == 2);
	get(n, KIND(PORT), "while-away");
	assert_null(find(n, KIND(PORT), "red-b"));
	assert_int_equal(count_of(n, KIND(PORT)), 3);
	node_stop(n);

	// The controller restarts: the same from what is stored.
	stream_restart(c);
	node_start(n, c);
	wait_for(n, n->snapshots == 3);
	assert_int_equal(count_of(n, KIND(PORT)), 3);
	assert_int_equal(n->revision, store_revision(c->store));
	node_stop(n);
}

static void unknown_node_waits(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("late");
	struct node *other = node_new("fwd-1");
	uint64_t revision;

	node_start(n, c);
	wait_for(n, n->connected == 1);
	node_join(other, c);
	revision = put_alone(c, "vpcs", vpc("yellow", "zgc-1", 200, 1));
	wait_for(other, other->revision == revision);
	assert_int_equal(n->snapshots + n->deltas, 0);
	put_alone(c, "nodes", gateway_node("late", "zgc-1", 5, "fwd", NULL));
	wait_for(n, n->snapshots == 1);
	get(n, KIND(SETTINGS), "late");
	get(n, KIND(VPC), "yellow");
	assert_int_equal(n->connected, 1);
	node_stop(n);
	node_stop(other);
}

static void deleted_node_is_emptied(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("fwd-1"), *other = node_new("ftn-1");

	node_join(n, c);
	node_join(other, c);
	remove_alone(c, "nodes", "fwd-1");
	wait_for(n, n->snapshots == 2);
	assert_int_equal(n->count, 0);
	wait_for(other, other->deltas == 1);
	assert_null(find(other, KIND(MEMBER), "fwd-1"));
	node_stop(n);

	// It was away when it was deleted, and still has programs loaded.
	n->boot = 42;
	node_start(n, c);
	wait_for(n, n->snapshots == 3);
	assert_int_equal(n->count, 0);
	// And is wanted again.
	put_alone(c, "nodes", gateway_node("fwd-1", "zgc-1", 1, "fwd", NULL));
	wait_for(n, n->snapshots == 4);
	get(n, KIND(SETTINGS), "fwd-1");
	node_stop(n);
	node_stop(other);
}

// A controller whose store is lost must not take the data plane down.
static void empty_store_empties_nobody(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("fwd-1");

	n->boot = 42;
	node_start(n, c);
	wait_for(n, n->connected == 1);
	fill(c);
	wait_for(n, n->snapshots == 1);
	assert_int_not_equal(n->count, 0);
	node_stop(n);
}

static void foreign_name_is_refused(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("host-a");

	n->report_name = "ftn-1";
	node_start(n, c);
	wait_for(n, n->lost >= 2);
	assert_int_equal(n->snapshots + n->deltas, 0);
	assert_non_null(strstr(n->why, "the certificate is for \"host-a\""));
	node_stop(n);
}

static void renamed_node(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("fwd-1");
	json_t *renamed = gateway_node("fwd-1", "zgc-1", 1, "fwd", NULL);

	node_join(n, c);
	json_object_set_new(renamed, "name", json_string("late"));
	put_alone(c, "nodes", renamed);
	wait_for(n, n->snapshots == 2);
	assert_int_equal(n->count, 0);
	node_stop(n);
	n->name = "late";
	node_start(n, c);
	wait_for(n, n->snapshots == 3);
	assert_string_equal(get(n, KIND(SETTINGS), "fwd-1")->settings->name, "late");
	node_stop(n);
}

static void reports_reach_the_status(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("host-a"), *twin = node_new("host-a");
	Zeta__Node__V1__VerdictCount verdict = ZETA__NODE__V1__VERDICT_COUNT__INIT, *verdicts[1];
	Zeta__Node__V1__VpcUsage usage = ZETA__NODE__V1__VPC_USAGE__INIT, *vpcs[] = {&usage};
	Report r = ZETA__NODE__V1__REPORT__INIT;
	Zeta__Node__V1__NatRefusal nat = ZETA__NODE__V1__NAT_REFUSAL__INIT, *nats[] = {&nat};
	struct in6_addr address;
	char *ready[] = {"blue-a"};
	json_t *got, *count;

	assert_int_equal(address_parse("198.51.100.10", &address), 0);

	node_join(n, c);
	verdict.name = "NO_ENDPOINT";
	verdict.packets = 3;
	verdict.bytes = 4294967296;
	verdicts[0] = &verdict;
	r.boot = 99;
	r.version = "1.2.3";
	r.revision = 12;
	r.error = "no such interface";
	r.verdicts = verdicts;
	r.n_verdicts = 1;
	usage.vni = 100;
	usage.sessions = 7;
	usage.refused_first_packets = 4294967297;
	usage.refused_packets = 4294967298;
	r.vpc = vpcs;
	r.n_vpc = 1;
	nat.vni = 300;
	nat.address = (ProtobufCBinaryData){sizeof(address), (uint8_t *)&address};
	nat.refused = 4294967299;
	r.nat = nats;
	r.n_nat = 1;
	r.sessions = 5;
	r.session_digest = 0xfedcba9876543210;
	r.cached = 6;
	r.ready_port = ready;
	r.n_ready_port = 1;
	assert_int_equal(report(n, &r), 0);
	while (!status_port_ready(c->status, "host-a", "blue-a"))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	got = status_get(c->status, "host-a");
	assert_true(json_is_true(json_object_get(got, "connected")));
	assert_int_equal(json_integer_value(json_object_get(got, "boot")), 99);
	assert_string_equal(json_string_value(json_object_get(got, "version")), "1.2.3");
	assert_int_equal(json_integer_value(json_object_get(got, "revision")), 12);
	assert_string_equal(json_string_value(json_object_get(got, "error")), "no such interface");
	assert_int_equal(json_integer_value(json_object_get(got, "sessions")), 5);
	assert_int_equal(json_integer_value(json_object_get(got, "cached")), 6);
	assert_string_equal(json_string_value(json_object_get(got, "session_digest")),
			    "fedcba9876543210");
	count = json_object_get(json_object_get(got, "verdicts"), "NO_ENDPOINT");
	assert_int_equal(json_integer_value(json_object_get(count, "packets")), 3);
	assert_int_equal(json_integer_value(json_object_get(count, "bytes")), 4294967296);
	count = json_array_get(json_object_get(got, "vpcs"), 0);
	assert_int_equal(json_integer_value(json_object_get(count, "vni")), 100);
	assert_int_equal(json_integer_value(json_object_get(count, "sessions")), 7);
	assert_int_equal(json_integer_value(json_object_get(count, "refused_first_packets")),
			 4294967297);
	assert_int_equal(json_integer_value(json_object_get(count, "refused_packets")), 4294967298);
	json_decref(got);
	got = status_nats(c->status, "host-a");
	count = json_array_get(got, 0);
	assert_int_equal(json_array_size(got), 1);
	assert_int_equal(json_integer_value(json_object_get(count, "vni")), 300);
	assert_string_equal(json_string_value(json_object_get(count, "address")), "198.51.100.10");
	assert_int_equal(json_integer_value(json_object_get(count, "refused")), 4294967299);
	json_decref(got);

	// It comes anew before the old stream is known to be dead.
	node_join(twin, c);
	wait_for(n, n->lost >= 1);
	node_stop(n);
	node_stop(twin);
	for (bool connected = true; connected; json_decref(got)) {
		got = status_get(c->status, "host-a");
		connected = json_is_true(json_object_get(got, "connected"));
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static void await_revision(struct cloud *c, const char *name, uint64_t revision)
{
	json_int_t got = -1;

	while (got != (json_int_t)revision) {
		json_t *status = status_get(c->status, name);

		got = json_integer_value(json_object_get(status, "revision"));
		json_decref(status);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

// Whom a change does not concern has what it needs of it. Who has not applied what does, has not.
static void revision_of_others(void **state)
{
	struct cloud *c = *state;
	struct node *a = node_new("host-a"), *b = node_new("host-b");
	Report r = ZETA__NODE__V1__REPORT__INIT;
	uint64_t before, revision;

	node_join(a, c);
	node_join(b, c);
	before = r.revision = a->revision;
	assert_int_equal(report(a, &r), 0);
	assert_int_equal(report(b, &r), 0);
	await_revision(c, "host-a", before);
	revision = put_alone(c, "ports", port("red-c", "red", "host-b", 14));
	await_revision(c, "host-a", revision);
	assert_int_equal(a->revision, before);
	wait_for(b, b->revision == revision);
	await_revision(c, "host-b", before);
	revision = put_alone(c, "ports", port("red-d", "red", "host-a", 15));
	wait_for(a, a->revision == revision);
	await_revision(c, "host-b", before);
	r.revision = revision - 1;
	assert_int_equal(report(b, &r), 0);
	await_revision(c, "host-b", revision);
	await_revision(c, "host-a", before);
	node_stop(a);
	node_stop(b);
}

static void nonsense_is_refused(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("fwd-1");
	Report r = ZETA__NODE__V1__REPORT__INIT;

	node_join(n, c);
	r.version = "\xff\xfe";
	assert_int_equal(report(n, &r), 0);
	wait_for(n, n->lost == 1);
	assert_string_equal(n->why, "the report makes no sense");
	wait_for(n, n->snapshots == 2);
	assert_int_equal(rpc_client_send(n->client, "\xff\xff\xff", 3), 0);
	wait_for(n, n->lost == 2);
	assert_string_equal(n->why, "the report cannot be read");
	node_stop(n);
}

// Sends a report that has too much of something, and sees it refused; nothing of it is kept.
static void too_much(struct cloud *c, struct node *n, const Report *r)
{
	unsigned int lost;
	json_t *got;

	pthread_mutex_lock(&n->lock);
	lost = n->lost;
	pthread_mutex_unlock(&n->lock);
	assert_int_equal(report(n, r), 0);
	wait_for(n, n->lost == lost + 1);
	assert_string_equal(n->why, "the report makes no sense");
	wait_for(n, n->connected == lost + 2);
	got = status_get(c->status, n->name);
	assert_string_equal(json_string_value(json_object_get(got, "version")) ?: "", "");
	json_decref(got);
}

static void too_much_is_refused(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("fwd-1");
	Report r = ZETA__NODE__V1__REPORT__INIT;
	Zeta__Node__V1__ChainState chain = ZETA__NODE__V1__CHAIN_STATE__INIT;
	Zeta__Node__V1__ChainState *chains[MAX_CHAINS + 1];
	Zeta__Node__V1__PeerState peer = ZETA__NODE__V1__PEER_STATE__INIT, *peers[MAX_NODES + 1];
	Zeta__Node__V1__Name name = ZETA__NODE__V1__NAME__INIT, *live[MAX_CHAIN_LENGTH + 1];
	Zeta__Node__V1__VerdictCount verdict = ZETA__NODE__V1__VERDICT_COUNT__INIT, *verdicts[257];
	char long_text[5000], *port[] = {long_text};

	node_join(n, c);
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = 0;
	for (int i = 0; i <= MAX_CHAINS; i++)
		chains[i] = &chain;
	for (int i = 0; i <= MAX_NODES; i++)
		peers[i] = &peer;
	for (int i = 0; i <= MAX_CHAIN_LENGTH; i++)
		live[i] = &name;
	for (int i = 0; i < 257; i++)
		verdicts[i] = &verdict;
	r.version = long_text;
	too_much(c, n, &r);
	r.version = "too much";
	r.error = long_text;
	too_much(c, n, &r);
	r.error = "";
	r.chain = chains;
	r.n_chain = MAX_CHAINS + 1;
	too_much(c, n, &r);
	r.n_chain = 1;
	chain.number = MAX_CHAINS;
	too_much(c, n, &r);
	chain.number = 0;
	chain.live = live;
	chain.n_live = MAX_CHAIN_LENGTH + 1;
	too_much(c, n, &r);
	r.n_chain = 0;
	r.peer = peers;
	r.n_peer = MAX_NODES + 1;
	too_much(c, n, &r);
	r.n_peer = 0;
	r.ready_port = port;
	r.n_ready_port = 1;
	too_much(c, n, &r);
	r.n_ready_port = 0;
	r.verdicts = verdicts;
	r.n_verdicts = 257;
	too_much(c, n, &r);
	r.n_verdicts = 1;
	verdict.name = long_text;
	too_much(c, n, &r);
	node_stop(n);
}

// ---- what the controller does by itself

static const Zeta__Node__V1__Chain *chain_of(struct node *n)
{
	const Message *m = find(n, KIND(CHAIN), "zgc-1/0");

	return m ? m->chain : NULL;
}

// Says that the chain's voters are in force, and that who is wanted has its sessions.
static void settle(struct node *n)
{
	Zeta__Node__V1__ChainState state = ZETA__NODE__V1__CHAIN_STATE__INIT, *states[] = {&state};
	Zeta__Node__V1__Name wanted = ZETA__NODE__V1__NAME__INIT, *live[] = {&wanted};
	Report r = ZETA__NODE__V1__REPORT__INIT;

	pthread_mutex_lock(&n->lock);
	r.revision = n->revision;
	state.epoch = state.voters_epoch = chain_of(n)->epoch;
	wanted.node = chain_of(n)->voter[0]->node;
	wanted.boot = chain_of(n)->voter[0]->boot;
	pthread_mutex_unlock(&n->lock);
	state.live = live;
	state.n_live = 1;
	r.chain = states;
	r.n_chain = 1;
	assert_int_equal(report(n, &r), 0);
}

// Two flow table nodes and a forwarder, with boot ids from 40 on, of a cluster with one chain of
// one replica. It is founded when all have come.
static void three_nodes(struct cloud *c, struct node *all[3])
{
	begin(c);
	put(c, "clusters",
	    json_pack("{s:s, s:s, s:s, s:i, s:i, s:i}", "id", "zgc-1", "entrance_first",
		      "10.0.0.100", "entrance_last", "10.0.0.100", "replicas", 1, "chains", 1,
		      "repair_after_s", 600));
	put(c, "nodes", gateway_node("ftn-1", "zgc-1", 1, "ftn", NULL));
	put(c, "nodes", gateway_node("ftn-2", "zgc-1", 2, "ftn", NULL));
	put(c, "nodes", gateway_node("fwd-1", "zgc-1", 3, "fwd", NULL));
	commit(c);
	assert_int_equal(repair_start(&c->repair, c->store, c->status), 0);
	for (uint32_t i = 0; i < 3; i++) {
		all[i]->boot = 40 + i;
		node_start(all[i], c);
	}
	for (int i = 0; i < 3; i++)
		wait_for(all[i], chain_of(all[i]) != NULL);
}

static void chains_follow_their_nodes(void **state)
{
	struct cloud *c = *state;
	struct node *all[] = {node_new("ftn-1"), node_new("ftn-2"), node_new("fwd-1")};
	json_t *leaves = gateway_node("ftn-1", "zgc-1", 1, "ftn", NULL);

	three_nodes(c, all);
	pthread_mutex_lock(&all[2]->lock);
	assert_int_equal(chain_of(all[2])->founded, 1);
	assert_int_equal(chain_of(all[2])->n_voter, 3);
	assert_int_equal(chain_of(all[2])->voter[0]->node, 1);
	assert_int_equal(chain_of(all[2])->voter[0]->boot, 40);
	assert_int_equal(get(all[2], KIND(ENTRANCE), "zgc-1/0")->entrance->owner, 3);
	pthread_mutex_unlock(&all[2]->lock);
	// What leaves gives its place to the witness that can have it: the same voters, so another
	// epoch, which comes when this one is in force.
	json_object_set_new(leaves, "drain", json_true());
	put_alone(c, "nodes", leaves);
	for (int i = 0; i < 3; i++)
		settle(all[i]);
	wait_for(all[2], chain_of(all[2])->epoch == 2);
	pthread_mutex_lock(&all[2]->lock);
	assert_int_equal(chain_of(all[2])->voter[0]->node, 2);
	assert_int_equal(chain_of(all[2])->voter[0]->boot, 41);
	assert_int_equal(chain_of(all[2])->founded, 1);
	pthread_mutex_unlock(&all[2]->lock);
	// A stream that ends is seen at once.
	node_stop(all[1]);
	for (struct sighting s = {.connected = true}; s.connected;)
		status_sighting(c->status, "ftn-2", &s);
	node_stop(all[0]);
	node_stop(all[2]);
}

// Two of three voters forget: the third has the chain begun anew with what it has.
static void lists_are_forced(void **state)
{
	struct cloud *c = *state;
	struct node *all[] = {node_new("ftn-1"), node_new("ftn-2"), node_new("fwd-1")};
	Zeta__Node__V1__ChainState states = ZETA__NODE__V1__CHAIN_STATE__INIT, *told = &states;
	Zeta__Node__V1__Name voter[3], *voters[3];
	Report r = ZETA__NODE__V1__REPORT__INIT;
	uint32_t forced = 0;

	three_nodes(c, all);
	for (uint32_t i = 0; i < 3; i++) {
		zeta__node__v1__name__init(&voter[i]);
		voter[i].node = i + 1;
		voter[i].boot = 40 + i;
		voters[i] = &voter[i];
	}
	states.epoch = states.voters_epoch = 1;
	states.live = states.voter = voters;
	states.n_live = 1;
	states.n_voter = 3;
	r.chain = &told;
	r.n_chain = 1;
	for (int i = 0; i < 3; i++)
		report(all[i], &r);
	for (uint32_t i = 1; i < 3; i++) {
		node_stop(all[i]);
		all[i]->boot = 50 + i;
		node_start(all[i], c);
	}
	while (!forced) {
		report(all[0], &r);
		report(all[1], NULL);
		report(all[2], NULL);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		pthread_mutex_lock(&all[0]->lock);
		forced = chain_of(all[0])->forced;
		pthread_mutex_unlock(&all[0]->lock);
	}
	wait_for(all[2], chain_of(all[2]) && chain_of(all[2])->forced);
	pthread_mutex_lock(&all[2]->lock);
	assert_int_equal(chain_of(all[2])->forced, 2);
	assert_int_equal(chain_of(all[2])->epoch, 2);
	assert_int_equal(chain_of(all[2])->founded, 1);
	assert_int_equal(chain_of(all[2])->replicas, 1);
	assert_int_equal(chain_of(all[2])->n_voter, 3);
	assert_int_equal(chain_of(all[2])->voter[0]->node, 1);
	assert_int_equal(chain_of(all[2])->voter[0]->boot, 40);
	assert_in_range(chain_of(all[2])->voter[1]->boot, 51, 52);
	pthread_mutex_unlock(&all[2]->lock);
	for (int i = 0; i < 3; i++)
		node_stop(all[i]);
}

// ---- under load

struct writer {
	struct cloud *cloud;
	int number;
	pthread_t thread;
};

#define WRITERS 4
#define WRITES 100

static void *write_ports(void *argument)
{
	struct writer *w = argument;
	char id[32];

	for (int i = 0; i < WRITES; i++) {
		snprintf(id, sizeof(id), "w%d-%d", w->number, i / 2);
		if (i % 2)
			remove_alone(w->cloud, "ports", id);
		else
			put_alone(w->cloud, "ports",
				  port(id, "red", "host-a", 1000 * w->number + i));
		snprintf(id, sizeof(id), "kept%d-%d", w->number, i);
		put_alone(w->cloud, "ports", port(id, "red", "host-a", 1000 * w->number + i));
	}
	return NULL;
}

static void order_under_concurrent_changes(void **state)
{
	struct cloud *c = *state;
	struct all all = ALL;
	struct writer writers[WRITERS];
	uint64_t revision;

	join_all(&all, c);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.cloud = c, .number = i + 1};
		pthread_create(&writers[i].thread, NULL, write_ports, &writers[i]);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	revision = store_revision(c->store);
	wait_for(all.ftn1, all.ftn1->revision == revision);
	wait_for(all.ftn2, all.ftn2->revision == revision);
	wait_for(all.a, all.a->revision == revision);
	assert_int_equal(count_of(all.ftn1, KIND(PORT)), 3 + WRITERS * WRITES);
	assert_int_equal(count_of(all.ftn2, KIND(PORT)), 3 + WRITERS * WRITES);
	assert_int_equal(count_of(all.a, KIND(LOCAL_PORT)), 1 + WRITERS * WRITES);
	assert_int_equal(all.fwd->deltas, 0);
	stop_all(&all); // which also looks whether revisions ever fell
}

// A node that does not read does not make the controller keep what it misses, nor hold up others.
static void slow_node_gets_the_sum(void **state)
{
	struct cloud *c = *state;
	struct node *slow = node_new("ftn-1"), *quick = node_new("ftn-2");
	uint64_t revision = 0;

	node_join(slow, c);
	node_join(quick, c);
	set_hold(slow, true);
	// Other chains have another bucket table, of 128 KiB: this is four times what may wait.
	for (int i = 0; i < 4 * (int)(RPC_QUEUE_MAX / (2 * BUCKETS)); i++) {
		json_t *other_chains = view("zgc-1", 1000 + i);

		if (i % 2 == 0)
			json_array_remove(json_object_get(other_chains, "chains"), 1);
		revision = put_alone(c, "views", other_chains);
		wait_for(quick, quick->revision == revision);
	}
	revision = remove_alone(c, "ports", "blue-a");
	wait_for(quick, quick->revision == revision);
	set_hold(slow, false);
	wait_for(slow, slow->revision == revision);
	assert_null(find(slow, KIND(PORT), "blue-a"));
	assert_int_equal(get(slow, KIND(SETTINGS), "ftn-1")->settings->epoch,
			 get(quick, KIND(SETTINGS), "ftn-2")->settings->epoch);
	assert_true(slow->deltas < quick->deltas);
	assert_int_equal(slow->snapshots, 1);
	assert_int_equal(slow->lost, 0);
	node_stop(slow);
	node_stop(quick);
}

// However small the parts: together they are the whole, once, and each is a message of its own.
static void parts_are_the_whole(void **state)
{
	struct cloud *c = *state;
	struct desired *d = NULL;
	struct membership ftn;

	assert_int_equal(desired_new(&d, c->store), 0);
	assert_int_equal(desired_membership(d, "ftn-1", &ftn), 0);
	for (size_t most = 1; most < 300000; most = most * 3 / 2 + 1) {
		struct update *updates = NULL;
		size_t puts = 0;

		assert_int_equal(desired_snapshot(d, &ftn, most, &updates), 0);
		for (const struct update *part = updates; part; part = part->next) {
			Update *u = zeta__node__v1__update__unpack(NULL, part->size, part->bytes);

			assert_non_null(u);
			assert_int_equal(u->revision, desired_revision(d));
			assert_int_equal(u->snapshot, part == updates);
			assert_int_equal(u->more, part->next != NULL);
			assert_int_equal(u->n_remove, 0);
			assert_true(part->size <= most || u->n_put == 1);
			puts += u->n_put;
			zeta__node__v1__update__free_unpacked(u, NULL);
		}
		assert_int_equal(puts, 1 + 3 + 2 + 1 + 2 + 2 + 2 + 3 + 2);
		updates_freep(&updates);
	}
	desired_freep(&d);
}

#define LARGE_PORTS 10000
#define LARGE_IPS 200

// More than one message can carry, and more than the queue may hold.
static void state_larger_than_a_message(void **state)
{
	struct cloud *c = *state;
	struct node *n = node_new("ftn-1"), *slow = node_new("ftn-2");
	uint64_t revision = 0;
	char id[OBJECT_ID], ip[ADDRESS_TEXT];

	begin(c);
	for (int i = 0; i < LARGE_PORTS; i++) {
		json_t *body, *ips;

		snprintf(id, sizeof(id), "large-%d", i);
		body = port(id, "red", "host-a", i);
		ips = json_object_get(body, "ips");
		for (int k = 1; k < LARGE_IPS; k++) {
			snprintf(ip, sizeof(ip), "fd00::%x:%x", i, k);
			json_array_append_new(ips, json_string(ip));
		}
		put(c, "ports", body);
	}
	commit(c);
	node_join(n, c);
	assert_true(n->parts > 1);
	assert_int_equal(count_of(n, KIND(PORT)), 3 + LARGE_PORTS);
	assert_int_equal(get(n, KIND(PORT), "large-0")->port->n_ip, LARGE_IPS);

	// One that stops reading in the middle of it, while more happens, ends up with the same.
	slow->hold = true;
	node_start(slow, c);
	wait_for(slow, slow->parts == 1);
	assert_int_equal(slow->snapshots, 0);
	remove_alone(c, "ports", "large-1");
	revision = put_alone(c, "ports", port("last", "red", "host-a", 7));
	wait_for(n, n->revision == revision);
	set_hold(slow, false);
	wait_for(slow, slow->revision == revision);
	assert_int_equal(count_of(slow, KIND(PORT)), 3 + LARGE_PORTS);
	assert_null(find(slow, KIND(PORT), "large-1"));
	node_stop(slow);
	node_stop(n);
}

static double seconds_since(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

// What a created port costs must not depend on how many there are. Times are printed for whoever
// measures (ZETA_PORTS=100000); bytes are asserted.
static void cost_of_a_port(void **state)
{
	struct cloud *c = *state;
	const char *given = getenv("ZETA_PORTS");
	int most = given ? atoi(given) : 2000, have = 0;
	size_t delta_bytes = 0;
	char id[OBJECT_ID];

	for (int want = most / 100; want <= most; want *= 10) {
		struct desired *d = NULL;
		struct membership ftn;
		struct timespec begin_at;
		double load, snapshot, update = 0, delta = 0;
		struct update *updates;
		size_t size, snapshot_size;
		const int rounds = 100;

		begin(c);
		for (; have < want; have++) {
			snprintf(id, sizeof(id), "0d3cbd52-0000-0000-0000-%06d", have);
			put(c, "ports", port(id, "red", have % 2 ? "host-a" : "host-b", have));
		}
		commit(c);
		clock_gettime(CLOCK_MONOTONIC, &begin_at);
		assert_int_equal(desired_new(&d, c->store), 0);
		load = seconds_since(&begin_at);
		assert_int_equal(desired_membership(d, "ftn-1", &ftn), 0);
		clock_gettime(CLOCK_MONOTONIC, &begin_at);
		assert_int_equal(desired_snapshot(d, &ftn, RPC_MESSAGE_MAX, &updates), 0);
		snapshot = seconds_since(&begin_at);
		snapshot_size = updates->size;
		updates_freep(&updates);
		for (int i = 0; i < rounds; i++) {
			uint64_t since = desired_revision(d);

			put_alone(c, "ports", port("one-more", "red", "host-a", 70000 + i));
			clock_gettime(CLOCK_MONOTONIC, &begin_at);
			assert_int_equal(desired_update(d), 0);
			update += seconds_since(&begin_at);
			clock_gettime(CLOCK_MONOTONIC, &begin_at);
			assert_int_equal(desired_delta(d, &ftn, since, RPC_MESSAGE_MAX, &updates),
					 0);
			delta += seconds_since(&begin_at);
			assert_non_null(updates);
			size = updates->size;
			assert_null(updates->next);
			updates_freep(&updates);
			assert_in_range(size, 1, 200);
			if (i == rounds - 1) {
				// The revision's varint may grow by a byte or two.
				if (delta_bytes)
					assert_in_range(size, delta_bytes - 2, delta_bytes + 2);
				delta_bytes = size;
			}
		}
		print_message("%6d ports: load %.3f s, snapshot %.3f ms (%zu bytes),"
			      " one port: update %.1f us, delta %.2f us\n",
			      want, load, snapshot * 1e3, snapshot_size, update / rounds * 1e6,
			      delta / rounds * 1e6);
		desired_freep(&d);
	}
}

static int certificates(void **state)
{
	static const char *const names[] = {"server", "fwd-1",	"ftn-1", "ftn-2",
					    "host-a", "host-b", "other", "late"};

	if (!mkdtemp(directory) || cert_make(directory, "ca", NULL))
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (cert_make(directory, names[i], "ca"))
			return -1;
	return 0;
}

static int remove_directory(void **state)
{
	directory_remove(directory);
	return 0;
}

#define FILLED(test) cmocka_unit_test_setup_teardown(test, cloud_filled, cloud_gone)
#define EMPTY(test) cmocka_unit_test_setup_teardown(test, cloud_empty, cloud_gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILLED(forwarder_snapshot),
		FILLED(flow_table_snapshot),
		FILLED(edge_snapshot),
		FILLED(host_of_two_clusters),
		FILLED(other_cluster_is_apart),
		FILLED(new_port_reaches_whom_it_matters),
		FILLED(many_rules_in_blocks),
		FILLED(load_balancer),
		FILLED(routes),
		FILLED(shared_routes),
		FILLED(service_chains),
		FILLED(uplinks),
		FILLED(nat),
		FILLED(limits_of_a_port),
		FILLED(peering),
		FILLED(removed_objects),
		FILLED(smaller_view),
		FILLED(buckets_move),
		FILLED(port_moves),
		FILLED(dependents_follow),
		FILLED(vpc_moves_to_another_cluster),
		FILLED(vpc_moves_under_traffic),
		FILLED(service_chain_is_the_stored_one),
		FILLED(new_roles_are_a_snapshot),
		FILLED(reconnect_is_a_snapshot),
		FILLED(unknown_node_waits),
		FILLED(deleted_node_is_emptied),
		EMPTY(empty_store_empties_nobody),
		FILLED(foreign_name_is_refused),
		FILLED(renamed_node),
		FILLED(reports_reach_the_status),
		FILLED(revision_of_others),
		FILLED(nonsense_is_refused),
		FILLED(too_much_is_refused),
		EMPTY(chains_follow_their_nodes),
		EMPTY(lists_are_forced),
		FILLED(order_under_concurrent_changes),
		FILLED(slow_node_gets_the_sum),
		FILLED(parts_are_the_whole),
		FILLED(state_larger_than_a_message),
		FILLED(cost_of_a_port),
	};

	return cmocka_run_group_tests(tests, certificates, remove_directory);
}
