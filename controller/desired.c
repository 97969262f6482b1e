// SPDX-License-Identifier: Apache-2.0
// Compiles stored objects to node messages, each for the group of members that it matters to.
#include "controller/desired.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/ledger.h"
#include "controller/store.h"
#include "lib/address.h"
#include "lib/base64.h"
#include "lib/hash.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/chain/buckets.h"
#include "modules/chain/view.h"
#include "modules/function/config.h"
#include "modules/function/function_controller.h"
#include "modules/nat/nat_controller.h"
#include "modules/uplink/uplink_controller.h"
#include "modules/vpc/transfer.h"
#include "node.pb-c.h"
#include "shared/config.h"
#include "shared/function.h"
#include "shared/move.h"
#include "shared/tenant.h"

#define MESSAGE_ID ((size_t)2 * OBJECT_ID) // "cluster/7" where an entrance needs one

typedef Zeta__Node__V1__Object Message;

// The kinds that matter to nodes, in the order in which a whole store is compiled: what is needed
// to compile others comes first.
enum kind {
	CLUSTERS,
	VIEWS,
	NODES,
	HOSTS,
	FUNCTIONS,
	VPCS,
	SERVICE_CHAINS,
	SECURITY_GROUPS,
	NETWORK_ACLS,
	SUBNETS,
	ROUTE_TABLES,
	PORTS,
	LOAD_BALANCERS,
	NATS,
	KINDS
};

static const char *const kind_name[KINDS] = {
	[CLUSTERS] = "clusters",
	[VIEWS] = "views",
	[NODES] = "nodes",
	[HOSTS] = "hosts",
	[FUNCTIONS] = "functions",
	[VPCS] = "vpcs",
	[SERVICE_CHAINS] = "service-chains",
	[SECURITY_GROUPS] = "security-groups",
	[NETWORK_ACLS] = "network-acls",
	[SUBNETS] = "subnets",
	[ROUTE_TABLES] = "route-tables",
	[PORTS] = "ports",
	[LOAD_BALANCERS] = "load-balancers",
	[NATS] = "nats",
};

// Whose messages depend on the facts of a kind; each of these refers to it.
static const struct dependence {
	enum kind on;
	enum kind dependent;
	enum kind reference; // what the dependent refers to, with the same id
} dependences[] = {
	{CLUSTERS, NODES, CLUSTERS},
	{CLUSTERS, HOSTS, CLUSTERS},
	{VIEWS, NODES, CLUSTERS},
	{VIEWS, HOSTS, CLUSTERS},
	{HOSTS, PORTS, HOSTS},
	{VPCS, SUBNETS, VPCS},
	{VPCS, SECURITY_GROUPS, VPCS},
	{VPCS, NETWORK_ACLS, VPCS},
	{VPCS, PORTS, VPCS},
	{CLUSTERS, VPCS, CLUSTERS},
	{FUNCTIONS, VPCS, FUNCTIONS},
	{VPCS, LOAD_BALANCERS, VPCS},
	{PORTS, LOAD_BALANCERS, PORTS},
	{VPCS, NATS, VPCS},
	{PORTS, NATS, PORTS},
	{VPCS, ROUTE_TABLES, VPCS},
	{VPCS, SERVICE_CHAINS, VPCS},
	{FUNCTIONS, SERVICE_CHAINS, FUNCTIONS},
};

// What the messages of other objects need to know of one. Zeroed before it is filled and without
// padding, so that memcmp() tells whether something changed.
struct facts {
	struct in6_addr ip; // hosts
	uint32_t number;
	uint32_t vni;	// vpcs
	uint32_t epoch; // views
	uint32_t overlay;
	uint32_t oam_port;
	uint32_t tenant_mtu;
	uint32_t beat_ms;
	uint32_t entrances;	 // clusters: how many
	uint32_t first_packets;	 // clusters: per second, of a VPC that does not say
	uint32_t sessions;	 // clusters: of a VPC that does not say
	uint32_t versions;	 // functions: a hash of what they are
	uint32_t roles;		 // nodes: ROLE_*
	uint32_t phase;		 // vpcs: enum transfer_phase
	uint32_t peers;		 // vpcs: a hash of who they are
	char name[OBJECT_ID];	 // nodes and hosts
	char cluster[OBJECT_ID]; // nodes, hosts, vpcs
	char from[OBJECT_ID];	 // vpcs: the cluster that it still comes from; or ""
	uint8_t mac[6];		 // hosts
	uint8_t edge;		 // hosts: it runs our edge
	uint8_t external;	 // vpcs: others have NATs to it
	uint8_t pad;
};
_Static_assert(sizeof(struct facts) == 16 + 14 * 4 + 3 * OBJECT_ID + 9, "no padding");

// One stored object.
struct source {
	struct hash_entry entry;   // by kind and id
	struct hash_entry by_name; // nodes and hosts with facts
	enum kind kind;
	bool seen;	     // while everything is compiled anew
	bool named;	     // by_name is in use
	struct facts *facts; // NULL: not known, or none for this kind
	json_t *others;	     // hosts: ids of the other clusters whose VPCs it carries; vpcs: ids of
			     // the VPCs that it is peered with; or NULL
	json_t *uplinks;     // hosts: {id of an uplink's port: its VPC's}; or NULL
	json_t *border;	     // ports: the id of the host that it is an uplink of; or NULL
	struct owner owner;  // of what it was compiled to
	char id[];
};

struct desired {
	struct store *store;
	uint64_t revision; // of the store, that this is
	bool whole;	   // compile_all() is at work
	bool broken;	   // an update ended half-way: only all of it can be trusted
	struct ledger *ledger;
	struct hash sources, names;
};

// For one member alone: its settings and local ports. kind is NODES or HOSTS.
static struct group *group_own(struct desired *d, enum kind kind, const char *id)
{
	return ledger_group(d->ledger, kind_name[kind], id);
}

static struct group *group_entrances(struct desired *d, const char *cluster)
{
	return ledger_group(d->ledger, "entrances", cluster);
}

static struct group *group_gateways(struct desired *d, const char *cluster)
{
	return ledger_group(d->ledger, "gateways", cluster);
}

// For hosts with an uplink of the VPC.
static struct group *group_outside(struct desired *d, const char *vpc)
{
	return ledger_group(d->ledger, "outside", vpc);
}

static struct group *group_flow_tables(struct desired *d, const char *cluster)
{
	return ledger_group(d->ledger, "flow-tables", cluster);
}

// emit_as(d, source, group, PORT, port, &p) sends a Port p.
#define emit_as(d, source, group, upper, lower, value)                                             \
	owner_put(d->ledger, &(source)->owner, group, ZETA__NODE__V1__OBJECT__KIND_##upper,        \
		  (value)->id,                                                                     \
		  &(Message){.base = PROTOBUF_C_MESSAGE_INIT(&zeta__node__v1__object__descriptor), \
			     .kind_case = ZETA__NODE__V1__OBJECT__KIND_##upper,                    \
			     .lower = (value)})

// The same of what a VPC has: to its cluster, and while it moves, until nobody asks there any more,
// to the one that it comes from.
#define emit_of_vpc(d, source, group_of, vpc, upper, lower, value)                                 \
	(emit_as(d, source, group_of(d, (vpc)->cluster), upper, lower, value)                      \
		 ?: !*(vpc)->from || (vpc)->phase == TRANSFER_CLEAR                                \
		    ? 0                                                                            \
		    : emit_as(d, source, group_of(d, (vpc)->from), upper, lower, value))

// ---- sources and their facts

static uint64_t source_hash(enum kind kind, const char *id)
{
	return hash_text(id, (uint64_t)kind + 1);
}

static struct source *source_find(const struct desired *d, enum kind kind, const char *id)
{
	struct hash_entry *entry = hash_first(&d->sources, source_hash(kind, id));
	struct source *source;

	for (; entry; entry = hash_next(entry)) {
		source = container_of_entry(entry, struct source, entry);
		if (source->kind == kind && !strcmp(source->id, id))
			return source;
	}
	return NULL;
}

static struct source *source_get(struct desired *d, enum kind kind, const char *id)
{
	struct source *source = source_find(d, kind, id);

	if (source)
		return source;
	source = calloc(1, sizeof(*source) + strlen(id) + 1);
	if (!source)
		return NULL;
	source->kind = kind;
	memcpy(source->id, id, strlen(id) + 1);
	if (hash_add(&d->sources, &source->entry, source_hash(kind, id))) {
		free(source);
		return NULL;
	}
	return source;
}

static uint32_t number(const json_t *json, const char *field)
{
	return (uint32_t)integer_in(json, field);
}

static uint32_t roles(const json_t *body)
{
	uint32_t result = 0;
	json_t *role;
	size_t i;

	json_array_foreach (json_object_get(body, "roles"), i, role) {
		if (!strcmp(json_string_value(role) ?: "", "fwd"))
			result |= ROLE_FWD;
		if (!strcmp(json_string_value(role) ?: "", "ftn"))
			result |= ROLE_FTN;
	}
	return result;
}

static uint32_t entrances(const json_t *body)
{
	struct in6_addr first, last;

	if (address_parse(text_or_empty(body, "entrance_first"), &first) ||
	    address_parse(text_or_empty(body, "entrance_last"), &last))
		return 0;
	return entrance_count(&first, &last);
}

static uint32_t versions_hash(const json_t *versions)
{
	json_t *version;
	uint64_t hash = 0;
	size_t i;

	json_array_foreach (versions, i, version)
		hash = hash_text(text_or_empty(version, "object"),
				 hash ^ (uint64_t)integer_in(version, "place"));
	return (uint32_t)hash;
}

static uint32_t peers_hash(const json_t *peers)
{
	uint64_t hash = 0;
	json_t *peer;
	size_t i;

	json_array_foreach (peers, i, peer)
		hash = hash_text(json_string_value(peer) ?: "", hash + i + 1);
	return (uint32_t)hash;
}

static void facts_read(struct facts *f, enum kind kind, const struct object *object)
{
	json_t *body = object->body;

	memset(f, 0, sizeof(*f));
	snprintf(f->cluster, sizeof(f->cluster), "%s", text_or_empty(body, "cluster"));
	f->number = object->number;
	switch (kind) {
	case CLUSTERS:
		f->overlay = strcmp(text_or_empty(body, "overlay"), "geneve") ? OVERLAY_VXLAN
									      : OVERLAY_GENEVE;
		f->oam_port = number(body, "oam_port");
		f->tenant_mtu = number(body, "tenant_mtu");
		f->beat_ms = number(body, "heartbeat_ms");
		f->entrances = entrances(body);
		f->first_packets = number(body, "vpc_first_packets_per_s");
		f->sessions = number(body, "vpc_sessions");
		break;
	case VIEWS:
		f->epoch = number(body, "epoch");
		break;
	case NODES:
		snprintf(f->name, sizeof(f->name), "%s", object->name);
		f->roles = roles(body);
		break;
	case HOSTS:
		snprintf(f->name, sizeof(f->name), "%s", object->name);
		f->edge = !strcmp(text_or_empty(body, "kind"), "edge");
		address_parse(text_or_empty(body, "ip"), &f->ip);
		mac_parse(text_or_empty(body, "mac"), f->mac);
		break;
	case FUNCTIONS:
		f->versions = versions_hash(json_object_get(body, "versions"));
		break;
	case VPCS:
		f->vni = number(body, "vni");
		f->phase = transfer_phase(body);
		f->peers = peers_hash(json_object_get(body, "peers"));
		f->external = json_is_true(json_object_get(body, "external"));
		snprintf(f->from, sizeof(f->from), "%s",
			 text_or_empty(json_object_get(body, "move"), "from"));
		break;
	default:
		break;
	}
}

static void source_unname(struct desired *d, struct source *source)
{
	if (source->named)
		hash_remove(&d->names, &source->by_name);
	source->named = false;
}

static int source_name(struct desired *d, struct source *source)
{
	int err;

	source_unname(d, source);
	if (source->kind != NODES && source->kind != HOSTS)
		return 0;
	err = hash_add(&d->names, &source->by_name, hash_text(source->facts->name, 0));
	source->named = !err;
	return err;
}

// Of subnets, route tables, load balancers and NATs nothing is compiled but their own messages; and
// there are too many ports to keep what few of these ask of them.
static bool has_facts(enum kind kind)
{
	return kind != SUBNETS && kind != ROUTE_TABLES && kind != PORTS && kind != LOAD_BALANCERS &&
	       kind != NATS;
}

// What a source has of others, beside facts.
static void source_set_others(struct source *source, const json_t *body)
{
	json_t *others = source->kind == HOSTS	? json_object_get(body, "other_clusters")
			 : source->kind == VPCS ? json_object_get(body, "peers")
						: NULL;

	json_decref(source->others);
	source->others = json_incref(others);
}

// Sets *changed where they are not what they were. Facts that are new are a change too (a cluster's
// first view comes after its first nodes), but not while everything is compiled, in order, anyway.
static int source_set_facts(struct desired *d, struct source *source, const struct object *object,
			    bool *changed)
{
	struct facts facts;

	*changed = source->kind == PORTS && !d->whole;
	source_set_others(source, object->body);
	if (!has_facts(source->kind))
		return 0;
	facts_read(&facts, source->kind, object);
	if (source->facts && !memcmp(source->facts, &facts, sizeof(facts)))
		return 0;
	*changed = source->facts || !d->whole;
	if (!source->facts && !(source->facts = malloc(sizeof(facts))))
		return -ENOMEM;
	memcpy(source->facts, &facts, sizeof(facts));
	return source_name(d, source);
}

static void source_free(struct desired *d, struct source *source)
{
	source_unname(d, source);
	hash_remove(&d->sources, &source->entry);
	json_decref(source->others);
	json_decref(source->uplinks);
	json_decref(source->border);
	free(source->facts);
	free(source);
}

struct loading {
	struct desired *d;
	struct source *source;
};

static int load_facts(const struct object *object, void *arg)
{
	struct loading *l = arg;
	bool changed;

	return source_set_facts(l->d, l->source, object, &changed);
}

// The facts of an object that another refers to; loads them where they are not known yet, because
// it changed later than the one that refers to it. Returns -ENOENT where there is no such object.
// Where they are known but about to change, that change compiles who depends on them once more.
static int facts_of(struct desired *d, enum kind kind, const char *id, const struct facts **out)
{
	struct source *source = source_find(d, kind, id);
	int err;

	if (!source || !source->facts) {
		source = source_get(d, kind, id);
		if (!source)
			return -ENOMEM;
		err = store_get(d->store, kind_name[kind], id, load_facts,
				&(struct loading){d, source});
		if (err) {
			if (!source->owner.items && !source->facts)
				source_free(d, source);
			return err;
		}
	}
	*out = source->facts;
	return 0;
}

// ---- compiling: one function per kind

// Both put the address into space, and are empty where there is none.
static ProtobufCBinaryData ip_bytes(const char *address, struct in6_addr *space)
{
	if (address_parse(address, space))
		return (ProtobufCBinaryData){};
	return (ProtobufCBinaryData){sizeof(*space), (uint8_t *)space};
}

static ProtobufCBinaryData mac_bytes(const char *mac, uint8_t space[6])
{
	if (mac_parse(mac, space))
		return (ProtobufCBinaryData){};
	return (ProtobufCBinaryData){6, space};
}

// What settings have of the cluster. Returns 0, or -ENOENT: no such cluster.
static int cluster_settings(struct desired *d, const char *cluster,
			    Zeta__Node__V1__NodeSettings *settings)
{
	const struct facts *c, *view;
	int err;

	if ((err = facts_of(d, CLUSTERS, cluster, &c)))
		return err;
	settings->cluster = (char *)cluster;
	settings->overlay = c->overlay;
	settings->oam_port = c->oam_port;
	settings->tenant_mtu = c->tenant_mtu;
	err = facts_of(d, VIEWS, cluster, &view);
	if (err && err != -ENOENT)
		return err;
	settings->epoch = err ? 0 : view->epoch;
	return 0;
}

static int compile_node(struct desired *d, struct source *source, const struct object *object)
{
	const json_t *tenant = json_object_get(object->body, "tenant");
	const json_t *zgc = json_object_get(object->body, "zgc");
	const char *cluster = source->facts->cluster;
	Zeta__Node__V1__NodeSettings settings = ZETA__NODE__V1__NODE_SETTINGS__INIT;
	Zeta__Node__V1__Member member = ZETA__NODE__V1__MEMBER__INIT;
	struct in6_addr tenant_ip, zgc_ip;
	uint8_t tenant_mac[6], zgc_mac[6];
	const struct facts *c;
	int err;

	if ((err = cluster_settings(d, cluster, &settings)))
		return err;
	settings.id = source->id;
	settings.name = source->facts->name;
	settings.forwarder = source->facts->roles & ROLE_FWD;
	settings.flow_table = !!(source->facts->roles & ROLE_FTN);
	settings.index = object->number;
	if ((err = facts_of(d, CLUSTERS, cluster, &c)))
		return err;
	settings.beat_ms = c->beat_ms;
	settings.cluster_number = c->number;
	settings.tenant_interface = (char *)text_or_empty(tenant, "interface");
	settings.tenant_ip = ip_bytes(text_or_empty(tenant, "ip"), &tenant_ip);
	settings.tenant_mac = mac_bytes(text_or_empty(tenant, "mac"), tenant_mac);
	settings.zgc_interface = (char *)text_or_empty(zgc, "interface");
	settings.zgc_ip = ip_bytes(text_or_empty(zgc, "ip"), &zgc_ip);
	settings.zgc_mac = mac_bytes(text_or_empty(zgc, "mac"), zgc_mac);
	member.id = source->id;
	member.index = object->number;
	member.zgc_ip = settings.zgc_ip;
	member.zgc_mac = settings.zgc_mac;
	member.forwarder = settings.forwarder;
	if (member.forwarder) {
		member.tenant_ip = settings.tenant_ip;
		member.tenant_mac = settings.tenant_mac;
	}
	if ((err = emit_as(d, source, group_own(d, NODES, source->id), SETTINGS, settings,
			   &settings)))
		return err;
	return emit_as(d, source, group_gateways(d, cluster), MEMBER, member, &member);
}

static int compile_host(struct desired *d, struct source *source, const struct object *object)
{
	Zeta__Node__V1__NodeSettings settings = ZETA__NODE__V1__NODE_SETTINGS__INIT;
	struct in6_addr ip;
	uint8_t mac[6];
	int err;

	if ((err = cluster_settings(d, source->facts->cluster, &settings)))
		return err;
	settings.id = source->id;
	settings.name = source->facts->name;
	settings.edge = source->facts->edge != 0;
	settings.tenant_interface = (char *)text_or_empty(object->body, "interface");
	settings.tenant_ip = ip_bytes(text_or_empty(object->body, "ip"), &ip);
	settings.tenant_mac = mac_bytes(text_or_empty(object->body, "mac"), mac);
	return emit_as(d, source, group_own(d, HOSTS, source->id), SETTINGS, settings, &settings);
}

// The index of a node by its id; 0, which no node has, for null and for one that is gone.
static int node_index(struct desired *d, const json_t *id, uint32_t *out)
{
	const struct facts *node;
	int err;

	*out = 0;
	if (!json_is_string(id))
		return 0;
	err = facts_of(d, NODES, json_string_value(id), &node);
	if (!err)
		*out = node->number;
	return err == -ENOENT ? 0 : err;
}

static int compile_entrance(struct desired *d, struct source *source, const json_t *entry)
{
	const json_t *preference = json_object_get(entry, "preference");
	Zeta__Node__V1__Entrance entrance = ZETA__NODE__V1__ENTRANCE__INIT;
	auto_(freep) uint32_t *order = calloc(json_array_size(preference) + 1, sizeof(*order));
	const struct facts *cluster;
	char id[MESSAGE_ID];
	struct in6_addr ip;
	uint8_t mac[6];
	json_t *node;
	size_t i;
	int err;

	if (!order)
		return -ENOMEM;
	if ((err = facts_of(d, CLUSTERS, source->id, &cluster)))
		return err;
	entrance.cluster = cluster->number;
	entrance.index = number(entry, "index");
	snprintf(id, sizeof(id), "%s/%u", source->id, entrance.index);
	entrance.id = id;
	entrance.ip = ip_bytes(text_or_empty(entry, "ip"), &ip);
	entrance.mac = mac_bytes(text_or_empty(entry, "mac"), mac);
	if ((err = node_index(d, json_object_get(entry, "owner"), &entrance.owner)))
		return err;
	entrance.preference = order;
	json_array_foreach (preference, i, node) {
		if ((err = node_index(d, node, &order[entrance.n_preference])))
			return err;
		entrance.n_preference += order[entrance.n_preference] != 0;
	}
	return emit_as(d, source, group_entrances(d, source->id), ENTRANCE, entrance, &entrance);
}

// Not before it is founded: until then there is nothing to act on.
static int compile_chain(struct desired *d, struct source *source, const json_t *entry,
			 const json_t *spread)
{
	Zeta__Node__V1__Chain chain = ZETA__NODE__V1__CHAIN__INIT;
	Zeta__Node__V1__Name names[MAX_VOTERS], *voters[MAX_VOTERS];
	uint32_t live[MAX_VOTERS];
	char id[CHAIN_ID];
	json_t *voter;
	size_t i;

	chain.founded = number(entry, "founded");
	if (!chain.founded)
		return 0;
	chain.number = number(entry, "number");
	chain_id(id, source->id, chain.number);
	chain.id = id;
	chain.epoch = number(entry, "epoch");
	chain.forced = number(entry, "forced");
	chain.replicas = number(entry, "replicas");
	chain.move = number(spread, "move");
	chain.moving = json_is_true(json_object_get(spread, "moving"));
	chain.voter = voters;
	chain.live = live;
	json_array_foreach (json_object_get(entry, "voters"), i, voter) {
		if (i == MAX_VOTERS)
			return -EINVAL;
		voters[i] = &names[i];
		zeta__node__v1__name__init(voters[i]);
		voters[i]->node = number(voter, "node");
		voters[i]->boot = number(voter, "boot");
		chain.n_voter++;
		if (i < chain.replicas)
			live[chain.n_live++] = voters[i]->node;
	}
	return emit_as(d, source, group_gateways(d, source->id), CHAIN, chain, &chain);
}

static ProtobufCBinaryData table_bytes(uint16_t table[BUCKETS])
{
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		table[i] = htons(table[i]);
	return (ProtobufCBinaryData){BUCKETS * sizeof(*table), (uint8_t *)table};
}

// The table is large, and changes with a move only: it does not say of which view it is.
static int compile_buckets(struct desired *d, struct source *source, const json_t *view)
{
	const json_t *spread = json_object_get(view, "spread");
	Zeta__Node__V1__Buckets buckets = ZETA__NODE__V1__BUCKETS__INIT;
	auto_(freep) uint16_t *table = calloc(2, BUCKETS * sizeof(*table));
	uint16_t *from = table ? table + BUCKETS : NULL;
	int err;

	if (!table)
		return -ENOMEM;
	if ((err = view_buckets(view, table)))
		return err;
	buckets.id = source->id;
	buckets.epoch = 1;
	buckets.move = number(spread, "move");
	if (json_is_true(json_object_get(spread, "moving"))) {
		if ((err = view_origins(view, table, from)))
			return err;
		buckets.from = table_bytes(from);
	}
	buckets.chain = table_bytes(table);
	return emit_as(d, source, group_gateways(d, source->id), BUCKETS, buckets, &buckets);
}

// A view's id is its cluster's.
static int compile_view(struct desired *d, struct source *source, const struct object *object)
{
	json_t *entrance, *chain;
	size_t i;
	int err;

	json_array_foreach (json_object_get(object->body, "entrances"), i, entrance) {
		if ((err = compile_entrance(d, source, entrance)))
			return err;
	}
	json_array_foreach (json_object_get(object->body, "chains"), i, chain) {
		if ((err = compile_chain(d, source, chain,
					 json_object_get(object->body, "spread"))))
			return err;
	}
	return compile_buckets(d, source, object->body);
}

struct version_bytes {
	Zeta__Node__V1__FunctionVersion version[FUNCTION_PLACES], *pointers[FUNCTION_PLACES];
	uint8_t *object[FUNCTION_PLACES];
};

static void free_versions(struct version_bytes *v)
{
	for (size_t i = 0; i < FUNCTION_PLACES; i++)
		free(v->object[i]);
}

static int compile_function(struct desired *d, struct source *source, const struct object *object)
{
	Zeta__Node__V1__Function function = ZETA__NODE__V1__FUNCTION__INIT;
	const char *running = text_in(object->body, "running");
	auto_(free_versions) struct version_bytes v = {};
	json_t *version;
	size_t i, size;
	int err;

	function.id = source->id;
	function.slot = number(object->body, "slot");
	function.name = (char *)text_in(object->body, "name");
	function.version = v.pointers;
	json_array_foreach (json_object_get(object->body, "versions"), i, version) {
		if (i == FUNCTION_PLACES)
			return -EINVAL;
		if ((err = base64_decode(text_or_empty(version, "object"), &v.object[i], &size)))
			return err;
		v.pointers[i] = &v.version[i];
		zeta__node__v1__function_version__init(v.pointers[i]);
		v.version[i].place = number(version, "place");
		v.version[i].object = (ProtobufCBinaryData){size, v.object[i]};
		function.n_version++;
		if (running && !strcmp(running, text_or_empty(version, "version")))
			function.running = v.version[i].place + 1;
	}
	return emit_as(d, source, group_gateways(d, source->facts->cluster), FUNCTION, function,
		       &function);
}

// What a chain tells functions, lent to its message.
struct configs {
	size_t count;
	Zeta__Node__V1__FunctionConfig config[MAX_SERVICE_CHAIN * FUNCTION_PLACES];
	Zeta__Node__V1__FunctionConfig *pointers[MAX_SERVICE_CHAIN * FUNCTION_PLACES];
	uint8_t bytes[MAX_SERVICE_CHAIN * FUNCTION_PLACES][ZETA_CONFIG_BYTES];
};

// For each version that takes it: the one that does not cannot be rolled out.
static void compile_config(const json_t *function, const json_t *said, struct configs *configs)
{
	struct function_object read;
	char why[OBJECT_WHY];
	json_t *version;
	size_t i;

	json_array_foreach (json_object_get(function, "versions"), i, version) {
		Zeta__Node__V1__FunctionConfig *config = &configs->config[configs->count];
		uint8_t *bytes = configs->bytes[configs->count];

		if (i == FUNCTION_PLACES || function_read(version, &read, NULL, NULL, why) ||
		    config_bytes(&read, said, bytes, why))
			continue;
		zeta__node__v1__function_config__init(config);
		config->slot = number(function, "slot");
		config->place = number(version, "place");
		config->config = (ProtobufCBinaryData){read.config_size, bytes};
		configs->pointers[configs->count++] = config;
	}
}

// The slot of a function that was pushed, and what the chain tells it. 0: there is none.
static uint32_t compile_pushed(struct desired *d, const json_t *chain, const char *name,
			       struct configs *configs)
{
	auto_(json_decrefp) json_t *function = function_named(d->store, name);
	const json_t *said = NULL;
	json_t *entry;
	size_t i;

	if (!function)
		return 0;
	json_array_foreach (chain, i, entry)
		if (!strcmp(text_or_empty(entry, "function"), name))
			said = json_object_get(entry, "config");
	if (json_is_object(said))
		compile_config(function, said, configs);
	return number(function, "slot");
}

static uint32_t function_slot_of(const char *name)
{
	static const struct {
		const char *name;
		uint32_t slot;
	} functions[] = {
		{"divider", FUNCTION_DIVIDER},
		{"bouncer", FUNCTION_BOUNCER},
		{"acl", FUNCTION_ACL},
		{"security-group", FUNCTION_SECURITY_GROUP},
		{"load-balancer", FUNCTION_LOAD_BALANCER},
		{"nat", FUNCTION_NAT},
		{"peering", FUNCTION_PEERING},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (!strcmp(functions[i].name, name))
			return functions[i].slot;
	return 0;
}

static Zeta__Node__V1__Rate *compile_rate(const json_t *limit, Zeta__Node__V1__Rate *space)
{
	if (!json_is_object(limit))
		return NULL;
	zeta__node__v1__rate__init(space);
	space->bits_per_s = (uint64_t)integer_in(limit, "bits_per_s");
	space->packets_per_s = (uint64_t)integer_in(limit, "packets_per_s");
	space->burst_ms = number(limit, "burst_ms");
	return space;
}

// What a VPC may cost the others (modules/limits). Hosts spread flows evenly over the entrances.
static int vpc_limits(struct desired *d, const char *cluster, const json_t *body,
		      Zeta__Node__V1__Rate *limit, Zeta__Node__V1__Vpc *vpc)
{
	uint64_t first_packets = number(body, "first_packets_per_s");
	const struct facts *c;
	int err;

	if ((err = facts_of(d, CLUSTERS, cluster, &c)))
		return err;
	if (!first_packets)
		first_packets = c->first_packets;
	if (first_packets)
		vpc->ask_ns = 1000000000ull * (c->entrances ?: 1) / first_packets;
	// What is translated counts as the inner VPC's.
	if (!json_is_true(json_object_get(body, "external")))
		vpc->sessions = number(body, "sessions") ?: c->sessions;
	vpc->limit = compile_rate(json_object_get(body, "limit"), limit);
	return 0;
}

// What a cluster's gateway nodes have to know of another, while a VPC goes between them (M8).
struct foreign {
	struct desired *d;
	struct source *source; // the VPC
	struct group *group;   // theirs
};

static int compile_foreign_node(const struct object *node, void *arg)
{
	const json_t *zgc = json_object_get(node->body, "zgc");
	Zeta__Node__V1__Member member = ZETA__NODE__V1__MEMBER__INIT;
	const struct foreign *f = arg;
	struct in6_addr ip;
	uint8_t mac[6];

	member.id = (char *)node->id;
	member.index = node->number;
	member.zgc_ip = ip_bytes(text_or_empty(zgc, "ip"), &ip);
	member.zgc_mac = mac_bytes(text_or_empty(zgc, "mac"), mac);
	member.foreign = 1;
	return emit_as(f->d, f->source, f->group, MEMBER, member, &member);
}

// list: as it was reported; NULL: as it was founded, or is wanted. Whom they ask in vain redirects
// them.
static int compile_foreign_chain(const struct foreign *f, const json_t *view, const json_t *entry,
				 const json_t *list)
{
	const json_t *voters = json_object_get(entry, "voters");
	const size_t count = list ? json_array_size(list) : number(entry, "replicas");
	Zeta__Node__V1__Chain chain = ZETA__NODE__V1__CHAIN__INIT;
	uint32_t live[MAX_CHAIN_LENGTH];
	char id[CHAIN_ID];

	chain.number = number(entry, "number");
	chain_id(id, text_in(view, "id"), chain.number);
	chain.id = id;
	chain.number += MAX_CHAINS;
	chain.epoch = number(entry, "epoch");
	chain.live = live;
	for (size_t i = 0; i < count && i < MAX_CHAIN_LENGTH; i++)
		if (list || i < json_array_size(voters))
			live[chain.n_live++] =
				list ? (uint32_t)json_integer_value(json_array_get(list, i))
				     : number(json_array_get(voters, i), "node");
	return emit_as(f->d, f->source, f->group, CHAIN, chain, &chain);
}

// To the nodes of one of the two clusters, of the other. tables: to, then from, as they number.
static int compile_side(struct desired *d, struct source *source, const char *cluster,
			const json_t *other, const json_t *lists, const uint16_t *tables,
			Zeta__Node__V1__Transfer *transfer)
{
	const struct foreign f = {d, source, group_gateways(d, cluster)};
	json_t *chain;
	char key[16];
	size_t i;
	int err;

	transfer->chain = (ProtobufCBinaryData){BUCKETS * sizeof(*tables), (uint8_t *)tables};
	transfer->from =
		(ProtobufCBinaryData){BUCKETS * sizeof(*tables), (uint8_t *)(tables + BUCKETS)};
	if ((err = store_list_referring(d->store, "nodes", "clusters", text_in(other, "id"),
					compile_foreign_node, (void *)&f)))
		return err;
	lists = json_object_get(lists, text_in(other, "id"));
	json_array_foreach (json_object_get(other, "chains"), i, chain) {
		snprintf(key, sizeof(key), "%u", number(chain, "number"));
		if ((err = compile_foreign_chain(&f, other, chain, json_object_get(lists, key))))
			return err;
	}
	return emit_as(d, source, f.group, TRANSFER, transfer, transfer);
}

// Puts the table of the view into out, as others know it or as its own nodes do.
static int fill_table(const json_t *view, bool foreign, uint16_t *out)
{
	int err = view_buckets(view, out);
	size_t i;

	for (i = 0; i < BUCKETS && !err; i++)
		out[i] = out[i] ? htons(out[i] + (foreign ? MAX_CHAINS : 0)) : 0;
	return err;
}

static int compile_transfer(struct desired *d, struct source *source, const struct object *object)
{
	const struct facts *vpc = source->facts;
	const json_t *lists = json_object_get(json_object_get(object->body, "move"), "lists");
	auto_(json_decrefp) json_t *from = NULL, *to = NULL;
	auto_(freep) uint16_t *tables = NULL;
	Zeta__Node__V1__Transfer transfer = ZETA__NODE__V1__TRANSFER__INIT;
	int err;

	if (vpc->phase == TRANSFER_NONE)
		return 0;
	transfer.id = source->id;
	transfer.vni = vpc->vni;
	transfer.number = number(json_object_get(object->body, "move"), "number");
	if (vpc->phase == TRANSFER_CLEAR) {
		transfer.over = 1;
		return emit_as(d, source, group_gateways(d, vpc->from), TRANSFER, transfer,
			       &transfer);
	}
	from = store_body(d->store, "views", vpc->from);
	to = store_body(d->store, "views", vpc->cluster);
	if (!from || !to)
		return -ENOENT;
	tables = calloc(2, BUCKETS * sizeof(*tables));
	if (!tables)
		return -ENOMEM;
	if ((err = fill_table(to, false, tables)) ||
	    (err = fill_table(from, true, tables + BUCKETS)) ||
	    (err = compile_side(d, source, vpc->cluster, from, lists, tables, &transfer)) ||
	    (err = fill_table(to, true, tables)) ||
	    (err = fill_table(from, false, tables + BUCKETS)))
		return err;
	transfer.begun = vpc->phase >= TRANSFER_HAND_OVER;
	return compile_side(d, source, vpc->from, to, lists, tables, &transfer);
}

// Who may see every packet, of the chains that a VPC has beside its own.
struct later {
	struct desired *d;
	uint32_t slot[EVERY_FUNCTIONS];
	size_t count;
};

static int add_later(const struct object *chain, void *arg)
{
	struct later *later = arg;
	json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(chain->body, "functions"), i, entry) {
		auto_(json_decrefp) json_t *function =
			function_named(later->d->store, text_or_empty(entry, "function"));
		uint32_t slot = function ? number(function, "slot") : 0;

		if (slot >= FUNCTION_FIRST_FREE && slot < FUNCTION_FIRST_FREE + EVERY_FUNCTIONS &&
		    later->count < EVERY_FUNCTIONS)
			later->slot[later->count++] = slot;
	}
	return 0;
}

// Subnets and addresses that name it are told its number.
static int compile_service_chain(struct desired *d, struct source *source,
				 const struct object *object)
{
	const json_t *entries = json_object_get(object->body, "functions");
	Zeta__Node__V1__ServiceChain chain = ZETA__NODE__V1__SERVICE_CHAIN__INIT;
	auto_(freep) struct configs *configs = calloc(1, sizeof(*configs));
	uint32_t slots[MAX_LATER_CHAIN], slot;
	const struct facts *vpc;
	json_t *entry;
	size_t i;
	int err;

	if (!configs)
		return -ENOMEM;
	if ((err = facts_of(d, VPCS, text_or_empty(object->body, "vpc"), &vpc)))
		return err;
	chain.id = source->id;
	chain.number = object->number;
	chain.vni = vpc->vni;
	chain.functions = slots;
	json_array_foreach (entries, i, entry) {
		const char *name = text_or_empty(entry, "function");

		slot = function_slot_of(name) ?: compile_pushed(d, entries, name, configs);
		if (!slot || i == MAX_LATER_CHAIN)
			return -EINVAL;
		slots[chain.n_functions++] = slot;
	}
	chain.config = configs->pointers;
	chain.n_config = configs->count;
	return emit_of_vpc(d, source, group_gateways, vpc, SERVICE_CHAIN, service_chain, &chain);
}

// The number of the service chain that an object names; 0: none.
static int chain_named(struct desired *d, const json_t *body, uint32_t *out)
{
	const char *id = text_in(body, "service_chain");
	const struct facts *chain;
	int err = id ? facts_of(d, SERVICE_CHAINS, id, &chain) : 0;

	if (id && !err)
		*out = chain->number;
	return err;
}

static int compile_vpc(struct desired *d, struct source *source, const struct object *object)
{
	Zeta__Node__V1__Vpc vpc = ZETA__NODE__V1__VPC__INIT;
	auto_(freep) struct configs *configs = calloc(1, sizeof(*configs));
	struct later later = {.d = d};
	uint32_t slots[MAX_SERVICE_CHAIN];
	Zeta__Node__V1__Rate limit;
	json_t *function;
	size_t i;
	int err;

	if (!configs)
		return -ENOMEM;
	if ((err = vpc_limits(d, source->facts->cluster, object->body, &limit, &vpc)))
		return err;
	vpc.config = configs->pointers;
	vpc.id = source->id;
	vpc.vni = source->facts->vni;
	vpc.policy = number(object->body, "policy");
	vpc.functions = slots;
	json_array_foreach (json_object_get(object->body, "functions"), i, function) {
		const char *name = json_string_value(function) ?: "";
		uint32_t slot = function_slot_of(name);

		if (!slot && vpc.n_functions < MAX_SERVICE_CHAIN)
			slot = compile_pushed(d, json_object_get(object->body, "service_chain"),
					      name, configs);

		// A VPC whose functions we cannot all name must not work without one of them.
		if (!slot || vpc.n_functions == MAX_SERVICE_CHAIN)
			return -EINVAL;
		slots[vpc.n_functions++] = slot;
	}
	vpc.n_config = configs->count;
	if ((err = store_list(d->store, "service-chains", source->id, add_later, &later)) ||
	    (err = compile_transfer(d, source, object)))
		return err;
	vpc.later = later.slot;
	vpc.n_later = later.count;
	return emit_of_vpc(d, source, group_gateways, source->facts, VPC, vpc, &vpc);
}

// Who decides about packets of the VPCs that it is peered with has to know of its subnets: those
// that lead anywhere.
static int subnet_peers(struct desired *d, const char *vpc, uint32_t vni[MAX_VPC_PEERINGS],
			Zeta__Node__V1__Subnet *subnet)
{
	const struct source *source = source_find(d, VPCS, vpc);
	const struct facts *facts;
	json_t *peer;
	size_t i;
	int err;

	subnet->peer_vni = vni;
	json_array_foreach (source && subnet->gateway.len ? source->others : NULL, i, peer) {
		if (i == MAX_VPC_PEERINGS)
			return -EINVAL;
		if ((err = facts_of(d, VPCS, json_string_value(peer), &facts)))
			return err;
		vni[subnet->n_peer_vni++] = facts->vni;
	}
	return 0;
}

static int compile_subnet(struct desired *d, struct source *source, const struct object *object)
{
	Zeta__Node__V1__Subnet subnet = ZETA__NODE__V1__SUBNET__INIT;
	const char *acl_id = text_in(object->body, "network_acl");
	const struct facts *vpc, *acl;
	struct in6_addr prefix, gateway;
	uint32_t peers[MAX_VPC_PEERINGS];
	uint8_t gateway_mac[6];
	int err;

	if ((err = facts_of(d, VPCS, text_or_empty(object->body, "vpc"), &vpc)) ||
	    (err = prefix_parse(text_or_empty(object->body, "cidr"), &prefix,
				&subnet.prefix_length)))
		return err;
	subnet.id = source->id;
	subnet.number = object->number;
	subnet.vni = vpc->vni;
	subnet.prefix = (ProtobufCBinaryData){sizeof(prefix), (uint8_t *)&prefix};
	subnet.gateway = ip_bytes(text_or_empty(object->body, "gateway"), &gateway);
	subnet.gateway_mac = mac_bytes(text_or_empty(object->body, "gateway_mac"), gateway_mac);
	if (acl_id && (err = facts_of(d, NETWORK_ACLS, acl_id, &acl)))
		return err;
	if (acl_id)
		subnet.acl = acl->number;
	if ((err = chain_named(d, object->body, &subnet.chain)) ||
	    (err = subnet_peers(d, text_or_empty(object->body, "vpc"), peers, &subnet)))
		return err;
	return emit_of_vpc(d, source, group_gateways, vpc, SUBNET, subnet, &subnet);
}

#define BLOCKS RULE_BLOCKS
_Static_assert(ROUTE_BLOCKS == BLOCKS, "routes and rules are sorted alike");

// For things that are in these blocks: where each block begins, [BLOCKS] being the end, and where
// the next of it goes.
static void blocks_sort(const uint32_t *block, size_t count, size_t first[BLOCKS + 1],
			size_t next[BLOCKS])
{
	memset(first, 0, (BLOCKS + 1) * sizeof(*first));
	for (size_t i = 0; i < count; i++)
		first[block[i] + 1]++;
	for (size_t b = 0; b < BLOCKS; b++) {
		first[b + 1] += first[b];
		next[b] = first[b];
	}
}

// Of a route that several share.
struct next_hops {
	ProtobufCBinaryData hop[MAX_NEXT_HOPS];
	struct in6_addr space[MAX_NEXT_HOPS];
};

// The routes of a table: each with what its message borrows.
struct routes {
	Zeta__Node__V1__Route *route;
	Zeta__Node__V1__Route **pointer; // sorted by block
	struct in6_addr *space;		 // two for each
	struct next_hops *hops;
	uint32_t *block;	  // of route[i]
	size_t first[BLOCKS + 1]; // in pointer, of each block
};

static void routes_free(struct routes *routes)
{
	free(routes->route);
	free(routes->pointer);
	free(routes->space);
	free(routes->hops);
	free(routes->block);
}

static int compile_route(const json_t *body, Zeta__Node__V1__Route *route, struct in6_addr space[2],
			 struct next_hops *hops)
{
	json_t *hop;
	size_t i;
	int err;

	zeta__node__v1__route__init(route);
	if ((err = prefix_parse(text_or_empty(body, "prefix"), &space[0], &route->prefix_length)))
		return err;
	route->prefix = (ProtobufCBinaryData){sizeof(space[0]), (uint8_t *)&space[0]};
	route->next_hop = ip_bytes(text_or_empty(body, "next_hop"), &space[1]);
	route->next_hops = hops->hop;
	json_array_foreach (json_object_get(body, "next_hops"), i, hop)
		if (i < MAX_NEXT_HOPS)
			hops->hop[route->n_next_hops++] =
				ip_bytes(json_string_value(hop) ?: "", &hops->space[i]);
	return 0;
}

// In which block a route is follows from its prefix, so that it is there whatever others are.
static int compile_routes(const json_t *bodies, struct routes *routes)
{
	size_t count = json_array_size(bodies), next[BLOCKS];
	int err;

	routes->route = calloc(count + 1, sizeof(*routes->route));
	routes->pointer = calloc(count + 1, sizeof(*routes->pointer));
	routes->space = calloc(count + 1, 2 * sizeof(*routes->space));
	routes->hops = calloc(count + 1, sizeof(*routes->hops));
	routes->block = calloc(count + 1, sizeof(*routes->block));
	if (!routes->route || !routes->pointer || !routes->space || !routes->hops || !routes->block)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const json_t *body = json_array_get(bodies, i);

		if ((err = compile_route(body, &routes->route[i], &routes->space[2 * i],
					 &routes->hops[i])))
			return err;
		routes->block[i] =
			(uint32_t)(hash_text(text_or_empty(body, "prefix"), 0) % ROUTE_BLOCKS);
		if (count <= RULES_TOGETHER)
			routes->block[i] = 0;
	}
	blocks_sort(routes->block, count, routes->first, next);
	for (size_t i = 0; i < count; i++)
		routes->pointer[next[routes->block[i]]++] = &routes->route[i];
	return 0;
}

static int compile_route_table(struct desired *d, struct source *source,
			       const struct object *object)
{
	auto_(routes_free) struct routes routes = {};
	const struct facts *vpc;
	char id[MESSAGE_ID];
	int err;

	if ((err = facts_of(d, VPCS, text_or_empty(object->body, "vpc"), &vpc)) ||
	    (err = compile_routes(json_object_get(object->body, "routes"), &routes)))
		return err;
	for (uint32_t i = 0; i < ROUTE_BLOCKS; i++) {
		Zeta__Node__V1__RouteBlock block = ZETA__NODE__V1__ROUTE_BLOCK__INIT;

		block.n_route = routes.first[i + 1] - routes.first[i];
		if (!block.n_route)
			continue;
		snprintf(id, sizeof(id), "%s/%u", source->id, i);
		block.id = id;
		block.vni = vpc->vni;
		block.route = routes.pointer + routes.first[i];
		err = emit_of_vpc(d, source, group_flow_tables, vpc, ROUTE_BLOCK, route_block,
				  &block);
		if (err)
			return err;
	}
	return 0;
}

struct mirror_space {
	Zeta__Node__V1__Mirror mirror;
	Zeta__Node__V1__Rate rate;
	struct in6_addr collector;
};

static Zeta__Node__V1__Mirror *compile_mirror(const json_t *mirror, struct mirror_space *space)
{
	const char *direction = text_or_empty(mirror, "direction");

	if (!json_is_object(mirror))
		return NULL;
	zeta__node__v1__mirror__init(&space->mirror);
	zeta__node__v1__rate__init(&space->rate);
	space->rate.bits_per_s = (uint64_t)integer_in(mirror, "bits_per_s");
	space->rate.burst_ms = DEFAULT_BURST_MS;
	space->mirror.collector = ip_bytes(text_or_empty(mirror, "collector"), &space->collector);
	space->mirror.vni = number(mirror, "vni");
	space->mirror.bytes = number(mirror, "bytes");
	space->mirror.egress = strcmp(direction, "ingress") != 0;
	space->mirror.ingress = strcmp(direction, "egress") != 0;
	space->mirror.rate = &space->rate;
	return &space->mirror;
}

// To the host itself too, where our edge attaches the port.
static int compile_local_port(struct desired *d, struct source *source, const struct object *object,
			      const struct facts *vpc)
{
	Zeta__Node__V1__LocalPort local = ZETA__NODE__V1__LOCAL_PORT__INIT;
	Zeta__Node__V1__Rate egress, ingress;
	struct mirror_space mirror;
	const struct facts *cluster;
	uint8_t mac[6];
	int err;

	// Hosts turn when the new cluster has all of it: their flows are new to its forwarders.
	if ((err = facts_of(d, CLUSTERS,
			    *vpc->from && vpc->phase < TRANSFER_TURN ? vpc->from : vpc->cluster,
			    &cluster)))
		return err;
	local.cluster = cluster->number;
	local.id = source->id;
	local.vni = vpc->vni;
	local.mac = mac_bytes(text_or_empty(object->body, "mac"), mac);
	local.interface = (char *)text_or_empty(object->body, "interface");
	local.egress = compile_rate(json_object_get(object->body, "egress_limit"), &egress);
	local.ingress = compile_rate(json_object_get(object->body, "ingress_limit"), &ingress);
	local.connections_per_s = number(object->body, "connections_per_s");
	if (json_is_integer(json_object_get(object->body, "dscp")))
		local.dscp = 1 + number(object->body, "dscp");
	local.mirror = compile_mirror(json_object_get(object->body, "mirror"), &mirror);
	return emit_as(d, source, group_own(d, HOSTS, text_or_empty(object->body, "host")),
		       LOCAL_PORT, local_port, &local);
}

// Has the host hear of what is announced in the uplink's VPC, and no other one. host: its id, NULL:
// the port is no uplink.
static int follow_uplink(struct desired *d, struct source *source, const char *host,
			 const char *vpc)
{
	const char *before = json_string_value(source->border);
	struct source *border;

	if (!host && !before)
		return 0;
	if (host && before && !strcmp(before, host))
		return 0;
	border = before ? source_find(d, HOSTS, before) : NULL;
	if (border)
		json_object_del(border->uplinks, source->id);
	json_decref(source->border);
	source->border = NULL;
	if (!host)
		return 0;
	border = source_get(d, HOSTS, host);
	if (!border || (!border->uplinks && !(border->uplinks = json_object())) ||
	    json_object_set_new(border->uplinks, source->id, json_string(vpc)))
		return -ENOMEM;
	source->border = json_string(host);
	return source->border ? 0 : -ENOMEM;
}

static int compile_uplink(struct desired *d, struct source *source, const struct object *object,
			  const struct facts *vpc)
{
	const json_t *body = json_object_get(object->body, "uplink");
	const char *host = text_or_empty(object->body, "host");
	Zeta__Node__V1__Uplink uplink = ZETA__NODE__V1__UPLINK__INIT;
	struct in6_addr ip, gateway;
	int err;

	if (!json_is_object(body))
		return follow_uplink(d, source, NULL, NULL);
	if ((err = uplink_addresses(d->store, object->body, &ip, &gateway)) ||
	    (err = follow_uplink(d, source, host, text_or_empty(object->body, "vpc"))))
		return err;
	uplink.id = source->id;
	uplink.vni = vpc->vni;
	uplink.ip = (ProtobufCBinaryData){sizeof(ip), (uint8_t *)&ip};
	uplink.gateway = (ProtobufCBinaryData){sizeof(gateway), (uint8_t *)&gateway};
	uplink.interface = (char *)text_or_empty(body, "interface");
	uplink.table = number(body, "table");
	return emit_as(d, source, group_own(d, HOSTS, host), UPLINK, uplink, &uplink);
}

static int compile_port(struct desired *d, struct source *source, const struct object *object)
{
	const json_t *ips = json_object_get(object->body, "ips");
	const json_t *groups = json_object_get(object->body, "security_groups");
	size_t count = json_array_size(ips);
	auto_(freep) struct in6_addr *ip = calloc(count + 1, sizeof(*ip));
	auto_(freep) ProtobufCBinaryData *ip_data = calloc(count + 1, sizeof(*ip_data));
	Zeta__Node__V1__Port port = ZETA__NODE__V1__PORT__INIT;
	const json_t *prefixes = json_object_get(object->body, "allowed_prefixes");
	Zeta__Node__V1__Prefix prefix[MAX_PORT_ALLOWED], *allowed[MAX_PORT_ALLOWED];
	struct in6_addr space[MAX_PORT_ALLOWED];
	uint32_t numbers[MAX_PORT_GROUPS];
	const struct facts *vpc, *host, *group;
	uint8_t mac[6];
	size_t i;
	int err;

	if (!ip || !ip_data)
		return -ENOMEM;
	if ((err = facts_of(d, HOSTS, text_or_empty(object->body, "host"), &host)) ||
	    (err = facts_of(d, VPCS, text_or_empty(object->body, "vpc"), &vpc)))
		return err;
	port.id = source->id;
	port.vni = vpc->vni;
	port.ip = ip_data;
	for (i = 0; i < count; i++) {
		if ((err = address_parse(json_string_value(json_array_get(ips, i)) ?: "", &ip[i])))
			return err;
		ip_data[port.n_ip++] = (ProtobufCBinaryData){sizeof(ip[i]), (uint8_t *)&ip[i]};
	}
	port.mac = mac_bytes(text_or_empty(object->body, "mac"), mac);
	port.host_ip = (ProtobufCBinaryData){sizeof(host->ip), (uint8_t *)&host->ip};
	port.host_mac = (ProtobufCBinaryData){sizeof(host->mac), (uint8_t *)host->mac};
	port.group = numbers;
	for (i = 0; i < json_array_size(groups); i++) {
		if (port.n_group == MAX_PORT_GROUPS)
			return -EINVAL;
		if ((err = facts_of(d, SECURITY_GROUPS,
				    json_string_value(json_array_get(groups, i)) ?: "", &group)))
			return err;
		numbers[port.n_group++] = group->number;
	}
	port.allowed = allowed;
	for (i = 0; i < json_array_size(prefixes) && i < MAX_PORT_ALLOWED; i++) {
		zeta__node__v1__prefix__init(&prefix[i]);
		err = prefix_parse(json_string_value(json_array_get(prefixes, i)) ?: "", &space[i],
				   &prefix[i].length);
		if (err)
			return err;
		prefix[i].address = (ProtobufCBinaryData){sizeof(space[i]), (uint8_t *)&space[i]};
		allowed[port.n_allowed++] = &prefix[i];
	}
	if (host->edge && (err = compile_local_port(d, source, object, vpc)))
		return err;
	if ((err = compile_uplink(d, source, object, vpc)))
		return err;
	port.uplink = source->border != NULL;
	return emit_of_vpc(d, source, group_flow_tables, vpc, PORT, port, &port);
}

static uint32_t protocol_of(const json_t *protocol)
{
	static const struct {
		const char *name;
		uint32_t number;
	} protocols[] = {{"icmp", IPPROTO_ICMP},
			 {"icmpv6", IPPROTO_ICMPV6},
			 {"tcp", IPPROTO_TCP},
			 {"udp", IPPROTO_UDP}};

	if (json_is_integer(protocol))
		return (uint32_t)json_integer_value(protocol);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcmp(protocols[i].name, json_string_value(protocol) ?: ""))
			return protocols[i].number;
	return 0;
}

// space holds the prefix.
static int compile_rule(struct desired *d, const json_t *body, Zeta__Node__V1__Rule *rule,
			struct in6_addr *space)
{
	const json_t *port_max = json_object_get(body, "port_max");
	const char *cidr = text_in(body, "remote_cidr");
	const char *remote = text_in(body, "remote_group");
	const struct facts *group;
	int err;

	zeta__node__v1__rule__init(rule);
	rule->egress = !strcmp(text_or_empty(body, "direction"), "egress");
	rule->priority = number(body, "priority");
	rule->deny = !strcmp(text_or_empty(body, "action"), "deny");
	rule->protocol = protocol_of(json_object_get(body, "protocol"));
	rule->port_min = number(body, "port_min");
	rule->port_max = json_is_integer(port_max) ? (uint32_t)json_integer_value(port_max) : 65535;
	*space = (struct in6_addr){};
	if (cidr && (err = prefix_parse(cidr, space, &rule->remote_length)))
		return err;
	rule->remote = (ProtobufCBinaryData){sizeof(*space), (uint8_t *)space};
	if (!remote)
		return 0;
	if ((err = facts_of(d, SECURITY_GROUPS, remote, &group)))
		return err;
	rule->remote_group = group->number;
	return 0;
}

// Of a security group or a network ACL.
struct rules {
	Zeta__Node__V1__Rule **pointer; // sorted by block
	size_t count;
	Zeta__Node__V1__Rule *rule;
	struct in6_addr *remote;
	uint32_t *block;	  // of rule[i]
	size_t first[BLOCKS + 1]; // in pointer, of each block
};

static void rules_free(struct rules *rules)
{
	free(rules->pointer);
	free(rules->rule);
	free(rules->remote);
	free(rules->block);
}

// In which block a rule is follows from what it says, so that it is there whatever others are.
static uint32_t block_of(const Zeta__Node__V1__Rule *rule)
{
	uint8_t bytes[128];
	size_t size = zeta__node__v1__rule__get_packed_size(rule);

	if (size > sizeof(bytes))
		return 0;
	zeta__node__v1__rule__pack(rule, bytes);
	return (uint32_t)(hash_bytes(bytes, size, 0) % RULE_BLOCKS);
}

static int compile_rules(struct desired *d, const struct object *object, struct rules *rules)
{
	const json_t *bodies = json_object_get(object->body, "rules");
	size_t count = json_array_size(bodies), next[BLOCKS];
	int err;

	rules->pointer = calloc(count + 1, sizeof(*rules->pointer));
	rules->rule = calloc(count + 1, sizeof(*rules->rule));
	rules->remote = calloc(count + 1, sizeof(*rules->remote));
	rules->block = calloc(count + 1, sizeof(*rules->block));
	if (!rules->pointer || !rules->rule || !rules->remote || !rules->block)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if ((err = compile_rule(d, json_array_get(bodies, i), &rules->rule[i],
					&rules->remote[i])))
			return err;
		rules->block[i] = count > RULES_TOGETHER ? block_of(&rules->rule[i]) : 0;
	}
	blocks_sort(rules->block, count, rules->first, next);
	for (size_t i = 0; i < count; i++)
		rules->pointer[next[rules->block[i]]++] = &rules->rule[i];
	rules->count = count;
	return 0;
}

// Many rules are told in blocks, each a message of its own. Returns 0 and how many blocks; or an
// error.
static int emit_blocks(struct desired *d, struct source *source, const struct facts *vpc,
		       const char *of, const struct rules *rules, uint32_t *blocks)
{
	char id[MESSAGE_ID];
	uint32_t i;
	int err = 0;

	*blocks = rules->count > RULES_TOGETHER ? RULE_BLOCKS : 0;
	for (i = 0; i < *blocks && !err; i++) {
		Zeta__Node__V1__RuleBlock block = ZETA__NODE__V1__RULE_BLOCK__INIT;

		snprintf(id, sizeof(id), "%s/%s/%u", of, source->id, i);
		block.id = id;
		block.rule = rules->pointer + rules->first[i];
		block.n_rule = rules->first[i + 1] - rules->first[i];
		err = emit_of_vpc(d, source, group_flow_tables, vpc, RULE_BLOCK, rule_block,
				  &block);
	}
	return err;
}

// The object's revision is its version: it grows with every change of the object.
// What security groups and network ACLs have in common: the object's rules, and its VPC. Where they
// are many they are told in blocks, ahead of it.
static int compile_ruled(struct desired *d, struct source *source, const struct object *object,
			 const char *of, const struct facts **vpc, struct rules *rules,
			 uint32_t *blocks)
{
	int err;

	if ((err = facts_of(d, VPCS, text_or_empty(object->body, "vpc"), vpc)) ||
	    (err = compile_rules(d, object, rules)))
		return err;
	return emit_blocks(d, source, *vpc, of, rules, blocks);
}

static int compile_security_group(struct desired *d, struct source *source,
				  const struct object *object)
{
	Zeta__Node__V1__SecurityGroup group = ZETA__NODE__V1__SECURITY_GROUP__INIT;
	auto_(rules_free) struct rules rules = {};
	const struct facts *vpc;
	int err;

	if ((err = compile_ruled(d, source, object, "group", &vpc, &rules, &group.blocks)))
		return err;
	group.id = source->id;
	group.number = object->number;
	group.version = (uint32_t)object->revision;
	group.rule = rules.pointer;
	group.n_rule = group.blocks ? 0 : rules.count;
	return emit_of_vpc(d, source, group_flow_tables, vpc, SECURITY_GROUP, security_group,
			   &group);
}

static int compile_network_acl(struct desired *d, struct source *source,
			       const struct object *object)
{
	Zeta__Node__V1__NetworkAcl acl = ZETA__NODE__V1__NETWORK_ACL__INIT;
	auto_(rules_free) struct rules rules = {};
	const struct facts *vpc;
	int err;

	if ((err = compile_ruled(d, source, object, "acl", &vpc, &rules, &acl.blocks)))
		return err;
	acl.id = source->id;
	acl.number = object->number;
	acl.version = (uint32_t)object->revision;
	acl.rule = rules.pointer;
	acl.n_rule = acl.blocks ? 0 : rules.count;
	return emit_of_vpc(d, source, group_flow_tables, vpc, NETWORK_ACL, network_acl, &acl);
}

// A listener and its backends, lent to their message.
struct listener {
	Zeta__Node__V1__Listener message;
	Zeta__Node__V1__Check check;
	Zeta__Node__V1__Backend backend[MAX_BACKENDS];
	Zeta__Node__V1__Backend *pointer[MAX_BACKENDS];
	struct in6_addr ip[MAX_BACKENDS];
	uint8_t mac[MAX_BACKENDS][6];
	char id[MAX_BACKENDS][OBJECT_ID];
};

// The first of the port's addresses that a packet to ip can be sent on to.
static int backend_ip(struct desired *d, const char *port, const struct in6_addr *ip,
		      struct in6_addr *out)
{
	auto_(json_decrefp) json_t *body = store_body(d->store, "ports", port);
	json_t *address;
	size_t i;

	json_array_foreach (json_object_get(body, "ips"), i, address)
		if (!address_parse(json_string_value(address) ?: "", out) &&
		    !IN6_IS_ADDR_V4MAPPED(out) == !IN6_IS_ADDR_V4MAPPED(ip))
			return 0;
	return -ENOENT;
}

static ProtobufCBinaryData backend_mac(struct desired *d, const char *port, uint8_t space[6])
{
	auto_(json_decrefp) json_t *body = store_body(d->store, "ports", port);

	return mac_bytes(text_or_empty(body, "mac"), space);
}

// check: JSON null where there is none.
static void compile_check(const json_t *check, struct listener *l)
{
	if (!json_is_object(check))
		return;
	zeta__node__v1__check__init(&l->check);
	l->check.http = !strcmp(text_or_empty(check, "type"), "http");
	l->check.port = number(check, "port");
	l->check.path = (char *)text_or_empty(check, "path");
	l->check.interval_ms = number(check, "interval_ms");
	l->check.timeout_ms = number(check, "timeout_ms");
	l->check.up_after = number(check, "up_after");
	l->check.down_after = number(check, "down_after");
	l->message.check = &l->check;
}

static void compile_listener(struct desired *d, const json_t *body, const struct in6_addr *ip,
			     struct listener *l)
{
	json_t *backend;
	size_t i;

	zeta__node__v1__listener__init(&l->message);
	l->message.protocol = protocol_of(json_object_get(body, "protocol"));
	l->message.port = number(body, "port");
	l->message.backend_port = number(body, "backend_port");
	l->message.backend = l->pointer;
	compile_check(json_object_get(body, "check"), l);
	json_array_foreach (json_object_get(body, "backends"), i, backend) {
		size_t n = l->message.n_backend;

		if (n == MAX_BACKENDS)
			break;
		snprintf(l->id[n], sizeof(l->id[n]), "%s", text_or_empty(backend, "port"));
		if (backend_ip(d, l->id[n], ip, &l->ip[n]))
			continue;
		zeta__node__v1__backend__init(&l->backend[n]);
		l->backend[n].id = l->id[n];
		l->backend[n].ip = (ProtobufCBinaryData){sizeof(l->ip[n]), (uint8_t *)&l->ip[n]};
		l->backend[n].weight = number(backend, "weight");
		l->backend[n].mac = backend_mac(d, l->id[n], l->mac[n]);
		l->pointer[l->message.n_backend++] = &l->backend[n];
	}
}

// To uplinks of the VPC: what the cluster answers for there. of: "nat" or "balancer".
static int compile_announcement(struct desired *d, struct source *source, const char *of,
				const char *vpc_id, const struct facts *vpc,
				ProtobufCBinaryData *address, size_t count)
{
	Zeta__Node__V1__Announcement announcement = ZETA__NODE__V1__ANNOUNCEMENT__INIT;
	char id[MESSAGE_ID];

	if (!vpc->external || !count)
		return 0;
	snprintf(id, sizeof(id), "%s/%s", of, source->id);
	announcement.id = id;
	announcement.vni = vpc->vni;
	announcement.address = address;
	announcement.n_address = count;
	return emit_as(d, source, group_outside(d, vpc_id), ANNOUNCEMENT, announcement,
		       &announcement);
}

// To forwarders: whose clients have to prove themselves.
static int compile_shield(struct desired *d, struct source *source, const struct object *object,
			  const struct facts *vpc, ProtobufCBinaryData ip)
{
	const char *protection = text_or_empty(object->body, "syn_protection");
	Zeta__Node__V1__Shield shield = ZETA__NODE__V1__SHIELD__INIT;
	Zeta__Node__V1__Rate rate = ZETA__NODE__V1__RATE__INIT;

	if (strcmp(protection, "always") != 0 && strcmp(protection, "under-attack") != 0)
		return 0;
	rate.packets_per_s = number(object->body, "syn_rate");
	rate.burst_ms = SHIELD_BURST_MS;
	shield.id = source->id;
	shield.vni = vpc->vni;
	shield.ip = ip;
	shield.rate = strcmp(protection, "always") ? &rate : NULL;
	return emit_of_vpc(d, source, group_gateways, vpc, SHIELD, shield, &shield);
}

static int compile_load_balancer(struct desired *d, struct source *source,
				 const struct object *object)
{
	const json_t *bodies = json_object_get(object->body, "listeners");
	size_t count = json_array_size(bodies);
	auto_(freep) struct listener *listeners = calloc(count + 1, sizeof(*listeners));
	auto_(freep) Zeta__Node__V1__Listener **pointers = calloc(count + 1, sizeof(*pointers));
	Zeta__Node__V1__LoadBalancer balancer = ZETA__NODE__V1__LOAD_BALANCER__INIT;
	const struct facts *vpc;
	struct in6_addr ip;
	json_t *body;
	size_t i;
	int err;

	if (!listeners || !pointers)
		return -ENOMEM;
	if ((err = facts_of(d, VPCS, text_or_empty(object->body, "vpc"), &vpc)) ||
	    (err = address_parse(text_or_empty(object->body, "ip"), &ip)) ||
	    (err = chain_named(d, object->body, &balancer.chain)))
		return err;
	balancer.id = source->id;
	balancer.vni = vpc->vni;
	balancer.ip = (ProtobufCBinaryData){sizeof(ip), (uint8_t *)&ip};
	balancer.by_source = !strcmp(text_or_empty(object->body, "affinity"), "source");
	balancer.direct = json_is_true(json_object_get(object->body, "direct_return"));
	balancer.listener = pointers;
	json_array_foreach (bodies, i, body) {
		compile_listener(d, body, &ip, &listeners[i]);
		pointers[balancer.n_listener++] = &listeners[i].message;
	}
	err = compile_announcement(d, source, "balancer", text_or_empty(object->body, "vpc"), vpc,
				   &balancer.ip, 1)
		      ?: compile_shield(d, source, object, vpc, balancer.ip);
	if (err)
		return err;
	return emit_of_vpc(d, source, group_flow_tables, vpc, LOAD_BALANCER, load_balancer,
			   &balancer);
}

static int keep_number(const struct object *object, void *arg)
{
	*(uint32_t *)arg = object->number;
	return 0;
}

// What a NAT's message lends.
struct nat {
	Zeta__Node__V1__Nat message;
	ProtobufCBinaryData address[MAX_NAT_ADDRESSES];
	struct in6_addr ip[MAX_NAT_ADDRESSES];
	uint32_t subnet[MAX_SUBNETS_OF_NAT];
	Zeta__Node__V1__FloatingIp floating[MAX_FLOATING_IPS];
	Zeta__Node__V1__FloatingIp *floating_pointer[MAX_FLOATING_IPS];
	struct in6_addr floating_ip[MAX_FLOATING_IPS][2]; // outside, inside
	Zeta__Node__V1__Forward forward[MAX_FORWARDS];
	Zeta__Node__V1__Forward *forward_pointer[MAX_FORWARDS];
	struct in6_addr forward_ip[MAX_FORWARDS][2];
};

// An address outside, and that of the port that it leads to.
static int nat_target(struct desired *d, const json_t *body, struct in6_addr ip[2],
		      ProtobufCBinaryData *outside, ProtobufCBinaryData *inside)
{
	*outside = ip_bytes(text_or_empty(body, "ip"), &ip[0]);
	*inside = (ProtobufCBinaryData){sizeof(ip[1]), (uint8_t *)&ip[1]};
	return backend_ip(d, text_or_empty(body, "target"), &ip[0], &ip[1]);
}

// Ports without an IPv4 address are left out.
static int compile_ways_in(struct desired *d, const json_t *body, struct nat *nat)
{
	Zeta__Node__V1__Nat *m = &nat->message;
	json_t *item;
	size_t i;
	int err;

	m->floating_ip = nat->floating_pointer;
	m->forward = nat->forward_pointer;
	json_array_foreach (json_object_get(body, "floating_ips"), i, item) {
		Zeta__Node__V1__FloatingIp *f = &nat->floating[i];

		if (i == MAX_FLOATING_IPS)
			break;
		zeta__node__v1__floating_ip__init(f);
		if ((err = chain_named(d, item, &f->chain)))
			return err;
		if (!nat_target(d, item, nat->floating_ip[i], &f->address, &f->inside))
			m->floating_ip[m->n_floating_ip++] = f;
	}
	json_array_foreach (json_object_get(body, "forwards"), i, item) {
		Zeta__Node__V1__Forward *f = &nat->forward[i];

		if (i == MAX_FORWARDS)
			break;
		zeta__node__v1__forward__init(f);
		f->protocol = protocol_of(json_object_get(item, "protocol"));
		f->port = number(item, "port");
		f->inside_port = number(item, "target_port");
		if ((err = chain_named(d, item, &f->chain)))
			return err;
		if (!nat_target(d, item, nat->forward_ip[i], &f->address, &f->inside))
			m->forward[m->n_forward++] = f;
	}
	return 0;
}

static int compile_pool(struct desired *d, const json_t *body, struct nat *nat)
{
	Zeta__Node__V1__Nat *m = &nat->message;
	json_t *item;
	size_t i;
	int err;

	m->address = nat->address;
	m->subnet = nat->subnet;
	json_array_foreach (json_object_get(body, "addresses"), i, item) {
		if (i == MAX_NAT_ADDRESSES)
			return -EINVAL;
		nat->address[m->n_address++] = ip_bytes(json_string_value(item), &nat->ip[i]);
	}
	json_array_foreach (json_object_get(body, "subnets"), i, item) {
		if (i == MAX_SUBNETS_OF_NAT)
			return -EINVAL;
		if ((err = store_get(d->store, "subnets", json_string_value(item), keep_number,
				     &nat->subnet[m->n_subnet++])))
			return err;
	}
	return 0;
}

static int compile_nat(struct desired *d, struct source *source, const struct object *object)
{
	struct nat told = {.message = ZETA__NODE__V1__NAT__INIT};
	Zeta__Node__V1__Nat *nat = &told.message;
	ProtobufCBinaryData outside[MAX_NAT_ADDRESSES + MAX_FLOATING_IPS];
	const struct facts *inner, *outer;
	size_t i;
	int err;

	if ((err = facts_of(d, VPCS, text_or_empty(object->body, "vpc"), &inner)) ||
	    (err = facts_of(d, VPCS, text_or_empty(object->body, "external_vpc"), &outer)) ||
	    (err = compile_pool(d, object->body, &told)) ||
	    (err = compile_ways_in(d, object->body, &told)))
		return err;
	nat->id = source->id;
	nat->vni = inner->vni;
	nat->external_vni = outer->vni;
	nat->maps = nat_maps(object->body);
	nat->open = nat_is_open(object->body);
	// Floating IPs whose port could not be told are nobody's.
	memcpy(outside, nat->address, nat->n_address * sizeof(*outside));
	for (i = 0; i < nat->n_floating_ip; i++)
		outside[nat->n_address + i] = nat->floating_ip[i]->address;
	err = compile_announcement(d, source, "nat", text_or_empty(object->body, "external_vpc"),
				   outer, outside, nat->n_address + nat->n_floating_ip);
	if (err)
		return err;
	return emit_of_vpc(d, source, group_flow_tables, inner, NAT, nat, nat);
}

static int compile_cluster(struct desired *d, struct source *source, const struct object *object)
{
	return 0; // nobody gets it as such; it is in the settings of its members
}

typedef int (*compile_fn)(struct desired *d, struct source *source, const struct object *object);

static const compile_fn compilers[KINDS] = {
	[FUNCTIONS] = compile_function,
	[CLUSTERS] = compile_cluster,
	[VIEWS] = compile_view,
	[NODES] = compile_node,
	[HOSTS] = compile_host,
	[VPCS] = compile_vpc,
	[SERVICE_CHAINS] = compile_service_chain,
	[SECURITY_GROUPS] = compile_security_group,
	[NETWORK_ACLS] = compile_network_acl,
	[SUBNETS] = compile_subnet,
	[ROUTE_TABLES] = compile_route_table,
	[PORTS] = compile_port,
	[LOAD_BALANCERS] = compile_load_balancer,
	[NATS] = compile_nat,
};

// ---- from the store

struct compiling {
	struct desired *d;
	enum kind kind;
};

static int compile_object(const struct object *object, void *arg);
static int compile_dependents(struct desired *d, const struct source *source);

static int compile(struct desired *d, enum kind kind, const struct object *object)
{
	struct source *source = source_get(d, kind, object->id);
	bool facts_changed;
	int err;

	if (!source)
		return -ENOMEM;
	source->seen = true;
	if ((err = source_set_facts(d, source, object, &facts_changed)))
		return err;
	owner_begin(d->ledger);
	err = compilers[kind](d, source, object);
	if (err == -EINVAL || err == -ENOENT) {
		// The store's writer promises that this does not happen. One object that makes no
		// sense must not stop the others; nodes go without it.
		log_warnx("%s %s cannot be told to nodes: %s", kind_name[kind], object->id,
			  strerror(-err));
		owner_begin(d->ledger);
	} else if (err) {
		return err;
	}
	owner_end(d->ledger, &source->owner);
	if (facts_changed && (err = compile_dependents(d, source)))
		return err;
	// M8: what the other cluster's nodes are told of a cluster is a VPC's.
	return (kind == VIEWS || kind == NODES) && !d->whole
		       ? transfer_list(d->store, compile_object, &(struct compiling){d, VPCS})
		       : 0;
}

static int compile_object(const struct object *object, void *arg)
{
	struct compiling *c = arg;

	return compile(c->d, c->kind, object);
}

static int compile_dependents(struct desired *d, const struct source *source)
{
	int err;

	for (size_t i = 0; i < sizeof(dependences) / sizeof(dependences[0]); i++) {
		const struct dependence *on = &dependences[i];

		if (on->on != source->kind)
			continue;
		err = store_list_referring(d->store, kind_name[on->dependent],
					   kind_name[on->reference], source->id, compile_object,
					   &(struct compiling){d, on->dependent});
		if (err)
			return err;
	}
	return 0;
}

static void drop_source(struct desired *d, struct source *source)
{
	follow_uplink(d, source, NULL, NULL);
	owner_begin(d->ledger);
	owner_end(d->ledger, &source->owner);
	source_free(d, source);
}

static int apply_change(uint64_t revision, const char *name, const char *id, bool removed,
			void *arg)
{
	struct desired *d = arg;
	struct source *source;
	enum kind kind = 0;

	while (kind < KINDS && strcmp(kind_name[kind], name) != 0)
		kind++;
	if (kind == KINDS)
		return 0;
	if (!removed)
		return store_get(d->store, name, id, compile_object, &(struct compiling){d, kind});
	source = source_find(d, kind, id);
	if (source)
		drop_source(d, source);
	return 0;
}

// Calls fn for every source, which it may free.
static void each_source(struct desired *d, void (*fn)(struct desired *, struct source *))
{
	struct hash_walk walk = {};
	struct hash_entry *entry;

	while ((entry = hash_walk(&d->sources, &walk)))
		fn(d, container_of_entry(entry, struct source, entry));
}

static void unsee(struct desired *d, struct source *source)
{
	source->seen = false;
}

static void drop_unseen(struct desired *d, struct source *source)
{
	if (!source->seen)
		drop_source(d, source);
}

// Everything anew. What is the same as before stays as it was, and costs nobody a message.
static int compile_all(struct desired *d)
{
	int err = 0;

	each_source(d, unsee);
	d->whole = true;
	for (enum kind kind = 0; kind < KINDS && !err; kind++)
		err = store_list(d->store, kind_name[kind], NULL, compile_object,
				 &(struct compiling){d, kind});
	d->whole = false;
	if (!err)
		each_source(d, drop_unseen);
	return err;
}

int desired_update(struct desired *d)
{
	uint64_t next;
	int err = -ESTALE;

	store_lock(d->store);
	next = store_revision(d->store);
	ledger_set_revision(d->ledger, next);
	if (d->revision && !d->broken)
		err = store_changes_since(d->store, d->revision, &next, apply_change, d);
	if (err == -ESTALE)
		err = compile_all(d);
	store_unlock(d->store);
	d->broken = err != 0;
	if (!err)
		d->revision = next;
	return err;
}

uint64_t desired_revision(const struct desired *d)
{
	return d->revision;
}

int desired_membership(struct desired *d, const char *name, struct membership *out)
{
	struct hash_entry *entry = hash_first(&d->names, hash_text(name, 0));
	const struct facts *f;
	struct source *source;
	json_t *other;
	const char *port;
	size_t i;
	int count = 0;

	for (; entry; entry = hash_next(entry)) {
		source = container_of_entry(entry, struct source, by_name);
		if (!strcmp(source->facts->name, name))
			break;
	}
	if (!entry)
		return -ENOENT;
	f = source->facts;
	*out = (struct membership){};
	out->group[count++] = group_own(d, source->kind, source->id);
	out->group[count++] = group_entrances(d, f->cluster);
	json_array_foreach (source->others, i, other)
		if (count < MEMBER_GROUPS)
			out->group[count++] = group_entrances(d, json_string_value(other));
	json_object_foreach (source->uplinks, port, other) {
		if (count < MEMBER_GROUPS)
			out->group[count++] = group_outside(d, json_string_value(other));
	}
	if (source->kind == NODES && f->roles)
		out->group[count++] = group_gateways(d, f->cluster);
	if (source->kind == NODES && f->roles & ROLE_FTN)
		out->group[count++] = group_flow_tables(d, f->cluster);
	for (int g = 0; g < count; g++)
		if (!out->group[g])
			return -ENOMEM;
	return 0;
}

int desired_snapshot(const struct desired *d, const struct membership *membership, size_t most,
		     struct update **out)
{
	return membership_snapshot(membership, d->revision, most, out);
}

int desired_delta(const struct desired *d, const struct membership *membership, uint64_t since,
		  size_t most, struct update **out)
{
	return membership_delta(membership, since, d->revision, most, out);
}

void desired_forget(struct desired *d, uint64_t revision)
{
	ledger_forget(d->ledger, revision);
}

int desired_new(struct desired **out, struct store *store)
{
	auto_(desired_freep) struct desired *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->store = store;
	if ((err = ledger_new(&d->ledger)) || (err = desired_update(d)))
		return err;
	*out = take_ptr(d);
	return 0;
}

void desired_freep(struct desired **pointer)
{
	struct desired *d = *pointer;

	if (!d)
		return;
	each_source(d, drop_source);
	ledger_freep(&d->ledger);
	hash_free(&d->sources);
	hash_free(&d->names);
	free(d);
	*pointer = NULL;
}
