// SPDX-License-Identifier: Apache-2.0
// Objects by kind and id, entries by table and key, and a list of what to do for each table.
#include "node/desired.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/hash.h"
#include "lib/own.h"
#include "modules/acl/acl.h"
#include "modules/chain/chain.h"
#include "modules/entrance/entrance.h"
#include "modules/function/function.h"
#include "modules/health/health.h"
#include "modules/loadbalancer/loadbalancer.h"
#include "modules/nat/nat.h"
#include "modules/member/member.h"
#include "modules/port/port.h"
#include "modules/route/route.h"
#include "modules/securitygroup/securitygroup.h"
#include "modules/servicechain/servicechain.h"
#include "modules/shield/shield.h"
#include "modules/subnet/subnet.h"
#include "modules/uplink/uplink.h"
#include "modules/vpc/vpc.h"

#define KIND(name) ZETA__NODE__V1__OBJECT__KIND_##name

enum entry_state {
	ENTRY_DONE,   // the map holds it
	ENTRY_PUT,    // to be put: in puts
	ENTRY_REMOVE, // to be removed: in removals
	ENTRY_FAILED, // tried in vain: in failed
};

struct entry {
	struct hash_entry hash;
	TAILQ_ENTRY(entry) work; // by state
	LIST_ENTRY(entry) owned;
	struct object *owner; // NULL: unwanted
	enum entry_state state;
	int seen; // by the translation that is running
	size_t key_size;
	__u8 key[]; // one byte of table, the table's key, then its value
};
TAILQ_HEAD(work, entry);

struct object {
	struct hash_entry hash;
	LIST_HEAD(entry_list, entry) entries;
	Zeta__Node__V1__Object *message; // NULL: the lists of entrances that an edge has
	const char *id;			 // lent by the message
	unsigned int snapshot;		 // the last one that named it
	int refused;
	size_t key_size;
	__u8 key[]; // one byte of kind, then the id
};

// An update that waits for the rest of its step.
struct part {
	STAILQ_ENTRY(part) next;
	Zeta__Node__V1__Update *update;
};

struct desired {
	STAILQ_HEAD(parts, part) parts;
	struct hash objects;
	struct hash entries;
	struct object *edge_list;
	struct object *settings;
	struct work puts[TABLES];
	struct work removals[TABLES];
	struct work failed;
	size_t pending;
	size_t refusals;
	char refused[256]; // about one of them
	__u32 roles;
	unsigned int snapshot;
	struct health_checks *health; // lent; may be NULL

	// The batch that is under way: it is the head of this list.
	struct work *batch;
	size_t batched;
};

static struct entry *entry_find(const struct desired *desired, const __u8 *key, size_t size)
{
	struct hash_entry *at = hash_first(&desired->entries, hash_bytes(key, size, 0));
	struct entry *entry;

	for (; at; at = hash_next(at)) {
		entry = container_of_entry(at, struct entry, hash);
		if (entry->key_size == size && !memcmp(entry->key, key, size))
			return entry;
	}
	return NULL;
}

static struct object *object_find(const struct desired *desired, const __u8 *key, size_t size)
{
	struct hash_entry *at = hash_first(&desired->objects, hash_bytes(key, size, 0));
	struct object *object;

	for (; at; at = hash_next(at)) {
		object = container_of_entry(at, struct object, hash);
		if (object->key_size == size && !memcmp(object->key, key, size))
			return object;
	}
	return NULL;
}

static struct entry *entry_next(const struct desired *desired, struct hash_walk *walk)
{
	struct hash_entry *at = hash_walk(&desired->entries, walk);

	return at ? container_of_entry(at, struct entry, hash) : NULL;
}

static struct object *object_next(const struct desired *desired, struct hash_walk *walk)
{
	struct hash_entry *at = hash_walk(&desired->objects, walk);

	return at ? container_of_entry(at, struct object, hash) : NULL;
}

static enum table table_of(const struct entry *entry)
{
	return (enum table)entry->key[0];
}

static __u8 *value_of(struct entry *entry)
{
	return entry->key + entry->key_size;
}

static struct work *list_of(struct desired *desired, const struct entry *entry)
{
	switch (entry->state) {
	case ENTRY_PUT:
		return &desired->puts[table_of(entry)];
	case ENTRY_REMOVE:
		return &desired->removals[table_of(entry)];
	case ENTRY_FAILED:
		return &desired->failed;
	default:
		return NULL;
	}
}

static void set_state(struct desired *desired, struct entry *entry, enum entry_state state)
{
	struct work *from = list_of(desired, entry), *to;

	if (from) {
		TAILQ_REMOVE(from, entry, work);
		desired->pending--;
	}
	entry->state = state;
	to = list_of(desired, entry);
	if (to) {
		TAILQ_INSERT_TAIL(to, entry, work);
		desired->pending++;
	}
}

static void own(struct entry *entry, struct object *owner)
{
	if (entry->owner)
		LIST_REMOVE(entry, owned);
	entry->owner = owner;
	if (owner)
		LIST_INSERT_HEAD(&owner->entries, entry, owned);
}

// What a translation writes to.
struct translation {
	struct entries entries; // first: modules see only this
	struct desired *desired;
	struct object *object;
};

static int put_entry(struct entries *entries, enum table table, const void *key, const void *value)
{
	struct translation *t = (struct translation *)entries;
	size_t key_size = 1 + tables[table].key_size, value_size = tables[table].value_size;
	__u8 full[1 + 64];
	struct entry *entry;
	int fresh;

	_Static_assert(sizeof(struct subnet_key) <= 64 && sizeof(struct endpoint_key) <= 64, "");
	full[0] = (__u8)table;
	memcpy(full + 1, key, key_size - 1);
	entry = entry_find(t->desired, full, key_size);
	fresh = !entry;
	if (fresh) {
		entry = calloc(1, sizeof(*entry) + key_size + value_size);
		if (!entry)
			return -ENOMEM;
		entry->key_size = key_size;
		memcpy(entry->key, full, key_size);
		if (hash_add(&t->desired->entries, &entry->hash, hash_bytes(full, key_size, 0))) {
			free(entry);
			return -ENOMEM;
		}
	}
	if (fresh || !entry->owner || memcmp(value_of(entry), value, value_size) != 0) {
		memcpy(value_of(entry), value, value_size);
		set_state(t->desired, entry, ENTRY_PUT);
	}
	own(entry, t->object);
	entry->seen = 1;
	return 0;
}

static void unwant(struct desired *desired, struct entry *entry)
{
	own(entry, NULL);
	set_state(desired, entry, ENTRY_REMOVE);
}

// Rules that are told in blocks, gathered. Returns 0 and *rules, which the caller frees; -EINVAL: a
// block is missing; -ENOMEM.
static int gather_rules(const struct desired *desired, struct entries *entries, const char *of,
			const char *id, __u32 blocks, Zeta__Node__V1__Rule ***rules, size_t *count)
{
	auto_(freep) Zeta__Node__V1__Rule **all = calloc(MAX_RULES + 1, sizeof(*all));
	struct object *object;
	char key[256];
	size_t n = 0;
	int length;
	__u32 i;

	if (!all)
		return -ENOMEM;
	key[0] = KIND(RULE_BLOCK);
	for (i = 0; i < blocks; i++) {
		const Zeta__Node__V1__RuleBlock *block;

		length = snprintf(key + 1, sizeof(key) - 1, "%s/%s/%u", of, id, i);
		object = (size_t)length < sizeof(key) - 1
				 ? object_find(desired, (const __u8 *)key, 1 + (size_t)length)
				 : NULL;
		if (!object)
			return entries_refuse(entries, "block %u of its rules is missing", i);
		block = object->message->rule_block;
		if (n + block->n_rule > MAX_RULES)
			return entries_refuse(entries, "more than %u rules", MAX_RULES);
		if (block->n_rule)
			memcpy(all + n, block->rule, block->n_rule * sizeof(*all));
		n += block->n_rule;
	}
	*rules = take_ptr(all);
	*count = n;
	return 0;
}

static int translate_group(const struct desired *desired,
			   const Zeta__Node__V1__SecurityGroup *group, struct entries *entries)
{
	Zeta__Node__V1__SecurityGroup whole = *group;
	auto_(freep) Zeta__Node__V1__Rule **rules = NULL;
	int err;

	if (!group->blocks)
		return securitygroup_entries(group, entries);
	err = gather_rules(desired, entries, "group", group->id, group->blocks, &rules,
			   &whole.n_rule);
	whole.rule = rules;
	return err ? err : securitygroup_entries(&whole, entries);
}

static int translate_acl(const struct desired *desired, const Zeta__Node__V1__NetworkAcl *acl,
			 struct entries *entries)
{
	Zeta__Node__V1__NetworkAcl whole = *acl;
	auto_(freep) Zeta__Node__V1__Rule **rules = NULL;
	int err;

	if (!acl->blocks)
		return acl_entries(acl, entries);
	err = gather_rules(desired, entries, "acl", acl->id, acl->blocks, &rules, &whole.n_rule);
	whole.rule = rules;
	return err ? err : acl_entries(&whole, entries);
}

static int translate_message(const struct desired *desired, const Zeta__Node__V1__Object *object,
			     struct entries *entries)
{
	switch (object->kind_case) {
	case KIND(MEMBER):
		return member_entries(object->member, entries);
	case KIND(CHAIN):
		return chain_entries(object->chain, entries);
	case KIND(BUCKETS):
		return buckets_entries(object->buckets, entries);
	case KIND(TRANSFER):
		return transfer_entries(object->transfer, entries);
	case KIND(ENTRANCE):
		return entrance_entries(object->entrance, entries);
	case KIND(VPC):
		return vpc_entries(object->vpc, entries);
	case KIND(SERVICE_CHAIN):
		return service_chain_entries(object->service_chain, entries);
	case KIND(SUBNET):
		return subnet_entries(object->subnet, entries);
	case KIND(PORT):
		return port_entries(object->port, entries);
	case KIND(SECURITY_GROUP):
		return translate_group(desired, object->security_group, entries);
	case KIND(NETWORK_ACL):
		return translate_acl(desired, object->network_acl, entries);
	case KIND(LOAD_BALANCER):
		return loadbalancer_entries(object->load_balancer, entries);
	case KIND(SHIELD):
		return shield_entries(object->shield, entries);
	case KIND(NAT):
		return nat_entries(object->nat, entries);
	case KIND(ROUTE_BLOCK):
		return route_block_entries(object->route_block, entries);
	case KIND(LOCAL_PORT):
		return local_port_entries(object->local_port, entries);
	case KIND(UPLINK):
		return uplink_entries(object->uplink, entries);
	case KIND(ANNOUNCEMENT):
		return announcement_entries(object->announcement, entries);
	case KIND(FUNCTION):
		return function_entries(object->function, entries);
	default:
		return 0; // the settings, blocks of rules: no entries of their own
	}
}

static int translate_edge_list(struct desired *desired, struct entries *entries)
{
	const Zeta__Node__V1__Entrance *all[MAX_HOST_CLUSTERS * MAX_ENTRANCES];
	struct hash_walk walk = {};
	struct object *object;
	size_t count = 0;

	while ((object = object_next(desired, &walk)) && count < sizeof(all) / sizeof(all[0]))
		if (object->message && object->message->kind_case == KIND(ENTRANCE))
			all[count++] = object->message->entrance;
	return entrance_edge_entries(all, count, entries);
}

// Has the object's entries follow from what it says now. One that is refused has none.
static int translate(struct desired *desired, struct object *object)
{
	struct translation t = {{put_entry, desired->roles, "", desired->health}, desired, object};
	struct entry *entry, *next;
	int err;

	for (entry = LIST_FIRST(&object->entries); entry; entry = LIST_NEXT(entry, owned))
		entry->seen = 0;
	err = object->message ? translate_message(desired, object->message, &t.entries)
			      : translate_edge_list(desired, &t.entries);
	for (entry = LIST_FIRST(&object->entries); entry; entry = next) {
		next = LIST_NEXT(entry, owned);
		if (err || !entry->seen)
			unwant(desired, entry);
	}
	desired->refusals -= (size_t)object->refused;
	object->refused = err == -EINVAL;
	desired->refusals += (size_t)object->refused;
	if (err == -EINVAL)
		snprintf(desired->refused, sizeof(desired->refused), "object %s of kind %u: %s",
			 object->id, object->key[0], t.entries.why);
	return err == -EINVAL ? 0 : err;
}

static struct object *object_new(__u8 kind, const char *id)
{
	size_t length = strlen(id);
	struct object *object = calloc(1, sizeof(*object) + 1 + length);

	if (!object)
		return NULL;
	LIST_INIT(&object->entries);
	object->key_size = 1 + length;
	object->key[0] = kind;
	memcpy(object->key + 1, id, length); // NOLINT: a key has no NUL
	return object;
}

static void object_free(struct object *object)
{
	if (object->message)
		zeta__node__v1__object__free_unpacked(object->message, NULL);
	free(object);
}

struct desired *desired_new(void)
{
	struct desired *desired = calloc(1, sizeof(*desired));
	int i;

	if (!desired)
		return NULL;
	for (i = 0; i < TABLES; i++) {
		TAILQ_INIT(&desired->puts[i]);
		TAILQ_INIT(&desired->removals[i]);
	}
	TAILQ_INIT(&desired->failed);
	STAILQ_INIT(&desired->parts);
	desired->edge_list = object_new(KIND(ENTRANCE), "");
	if (!desired->edge_list) {
		free(desired);
		return NULL;
	}
	desired->edge_list->id = "all";
	return desired;
}

void desired_free(struct desired *desired)
{
	struct hash_walk walk = {};
	struct object *object;
	struct entry *entry;

	if (!desired)
		return;
	desired_break_off(desired);
	while ((entry = entry_next(desired, &walk)))
		free(entry);
	walk = (struct hash_walk){};
	while ((object = object_next(desired, &walk)))
		object_free(object);
	object_free(desired->edge_list);
	hash_free(&desired->entries);
	hash_free(&desired->objects);
	free(desired);
}

void desired_freep(struct desired **desired)
{
	desired_free(*desired);
	*desired = NULL;
}

static const char *id_of(const Zeta__Node__V1__Object *object)
{
	// Every kind's message begins with its id; NULL: a kind that we do not know.
	switch (object->kind_case) {
	case KIND(SETTINGS):
		return object->settings->id;
	case KIND(MEMBER):
		return object->member->id;
	case KIND(CHAIN):
		return object->chain->id;
	case KIND(BUCKETS):
		return object->buckets->id;
	case KIND(TRANSFER):
		return object->transfer->id;
	case KIND(ENTRANCE):
		return object->entrance->id;
	case KIND(VPC):
		return object->vpc->id;
	case KIND(SERVICE_CHAIN):
		return object->service_chain->id;
	case KIND(SUBNET):
		return object->subnet->id;
	case KIND(PORT):
		return object->port->id;
	case KIND(SECURITY_GROUP):
		return object->security_group->id;
	case KIND(NETWORK_ACL):
		return object->network_acl->id;
	case KIND(RULE_BLOCK):
		return object->rule_block->id;
	case KIND(LOAD_BALANCER):
		return object->load_balancer->id;
	case KIND(SHIELD):
		return object->shield->id;
	case KIND(NAT):
		return object->nat->id;
	case KIND(ROUTE_BLOCK):
		return object->route_block->id;
	case KIND(LOCAL_PORT):
		return object->local_port->id;
	case KIND(UPLINK):
		return object->uplink->id;
	case KIND(ANNOUNCEMENT):
		return object->announcement->id;
	case KIND(FUNCTION):
		return object->function->id;
	default:
		return NULL;
	}
}

// Takes the message in any case.
static int put_object(struct desired *desired, Zeta__Node__V1__Object *message)
{
	const char *id = id_of(message);
	struct object *object, *old;

	// A newer controller may speak of kinds that this node has no use for.
	if (!id) {
		zeta__node__v1__object__free_unpacked(message, NULL);
		return 0;
	}
	object = object_new((__u8)message->kind_case, id);
	if (!object) {
		zeta__node__v1__object__free_unpacked(message, NULL);
		return -ENOMEM;
	}
	old = object_find(desired, object->key, object->key_size);
	if (old) {
		free(object);
		object = old;
		if (message->kind_case == KIND(PORT) && !message->port->uplink)
			uplink_forget(object->message->port, desired->health);
		zeta__node__v1__object__free_unpacked(object->message, NULL);
	} else if (hash_add(&desired->objects, &object->hash,
			    hash_bytes(object->key, object->key_size, 0))) {
		zeta__node__v1__object__free_unpacked(message, NULL);
		free(object);
		return -ENOMEM;
	}
	object->message = message;
	object->id = id;
	object->snapshot = desired->snapshot;
	if (message->kind_case == KIND(SETTINGS))
		desired->settings = object;
	return translate(desired, object);
}

static void remove_object(struct desired *desired, struct object *object)
{
	struct entry *entry;

	while ((entry = LIST_FIRST(&object->entries)))
		unwant(desired, entry);
	if (object->message->kind_case == KIND(LOAD_BALANCER))
		loadbalancer_forget(object->message->load_balancer, desired->health);
	if (object->message->kind_case == KIND(PORT))
		uplink_forget(object->message->port, desired->health);
	desired->refusals -= (size_t)object->refused;
	if (desired->settings == object)
		desired->settings = NULL;
	hash_remove(&desired->objects, &object->hash);
	object_free(object);
}

static void remove_key(struct desired *desired, const Zeta__Node__V1__Key *key)
{
	struct object *object;
	__u8 full[1 + 256];
	size_t length = strlen(key->id);

	if (key->kind > 255 || length >= sizeof(full))
		return;
	full[0] = (__u8)key->kind;
	memcpy(full + 1, key->id, length);
	object = object_find(desired, full, 1 + length);
	if (object)
		remove_object(desired, object);
}

// Removes what the snapshot did not name.
static void sweep_objects(struct desired *desired)
{
	struct hash_walk walk = {};
	struct object *object;

	while ((object = object_next(desired, &walk)))
		if (object->snapshot != desired->snapshot)
			remove_object(desired, object);
}

static void drop_part(struct desired *desired)
{
	struct part *part = STAILQ_FIRST(&desired->parts);

	STAILQ_REMOVE_HEAD(&desired->parts, next);
	zeta__node__v1__update__free_unpacked(part->update, NULL);
	free(part);
}

void desired_break_off(struct desired *desired)
{
	while (!STAILQ_EMPTY(&desired->parts))
		drop_part(desired);
}

// Blocks of rules: what has them comes with them, perhaps before, and is translated after them.
static int apply_blocks(struct desired *desired, Zeta__Node__V1__Update *update)
{
	size_t i;
	int err = 0;

	for (i = 0; i < update->n_put && !err; i++)
		if (update->put[i]->kind_case == KIND(RULE_BLOCK))
			err = put_object(desired, take_ptr(update->put[i]));
	return err;
}

static int apply_part(struct desired *desired, Zeta__Node__V1__Update *update)
{
	size_t i;
	int err = 0;

	for (i = 0; i < update->n_put && !err; i++)
		if (update->put[i])
			err = put_object(desired, take_ptr(update->put[i]));
	for (i = 0; i < update->n_remove && !err; i++)
		remove_key(desired, update->remove[i]);
	return err;
}

// Only the first part says whether they are a snapshot.
static int apply_parts(struct desired *desired)
{
	int snapshot = STAILQ_FIRST(&desired->parts)->update->snapshot, err = 0;

	struct part *part;

	desired->snapshot += (unsigned int)snapshot;
	STAILQ_FOREACH(part, &desired->parts, next)
	if (!err)
		err = apply_blocks(desired, part->update);
	for (; !STAILQ_EMPTY(&desired->parts) && !err; drop_part(desired))
		err = apply_part(desired, STAILQ_FIRST(&desired->parts)->update);
	if (!err && snapshot)
		sweep_objects(desired);
	return err ? err : translate(desired, desired->edge_list);
}

int desired_update(struct desired *desired, Zeta__Node__V1__Update *update)
{
	struct part *part = malloc(sizeof(*part));

	if (!part) {
		zeta__node__v1__update__free_unpacked(update, NULL);
		return -ENOMEM;
	}
	if (update->snapshot)
		desired_break_off(desired);
	part->update = update;
	STAILQ_INSERT_TAIL(&desired->parts, part, next);
	return update->more ? 0 : apply_parts(desired);
}

const Zeta__Node__V1__NodeSettings *desired_settings(const struct desired *desired)
{
	return desired->settings ? desired->settings->message->settings : NULL;
}

const char *desired_refused(const struct desired *desired)
{
	return desired->refusals ? desired->refused : NULL;
}

static struct entry *find(const struct desired *desired, enum table table, const void *key)
{
	__u8 full[1 + 64];

	full[0] = (__u8)table;
	memcpy(full + 1, key, tables[table].key_size);
	return entry_find(desired, full, 1 + tables[table].key_size);
}

const char *desired_local_port(const struct desired *desired, const struct interface_name *name)
{
	const struct entry *entry = find(desired, TABLE_LOCAL_PORTS, name);

	return entry && entry->owner ? entry->owner->id : NULL;
}

const struct uplink_value *desired_uplink(const struct desired *desired,
					  const struct interface_name *name)
{
	struct entry *entry = find(desired, TABLE_UPLINKS, name);

	return entry && entry->owner ? (const struct uplink_value *)value_of(entry) : NULL;
}

__u32 desired_function(const struct desired *desired, const char *function, __u64 *hash)
{
	const Zeta__Node__V1__Function *f;
	struct hash_walk walk = {};
	const struct object *object;

	while ((object = object_next(desired, &walk))) {
		if (!object->message || object->message->kind_case != KIND(FUNCTION))
			continue;
		f = object->message->function;
		if (*function && (!strcmp(f->id, function) || !strcmp(f->name, function))) {
			*hash = hash_text(f->id, 0);
			return f->slot;
		}
	}
	return 0;
}

int desired_wants(const struct desired *desired, enum table table, const void *key)
{
	const struct entry *entry = find(desired, table, key);

	return entry && entry->owner;
}

void desired_check(struct desired *desired, struct health_checks *health)
{
	desired->health = health;
}

int desired_follow_health(struct desired *desired)
{
	struct object *object;
	char id[1 + HEALTH_NAME];
	int changes = 0, err = 0;
	enum health_of of;

	while (!err && desired->health && health_changed(desired->health, &of, id + 1)) {
		id[0] = of == HEALTH_OF_UPLINK ? KIND(PORT) : KIND(LOAD_BALANCER);
		object = object_find(desired, (const __u8 *)id, 1 + strlen(id + 1));
		if (object)
			err = translate(desired, object);
		changes++;
	}
	return err ? err : changes;
}

int desired_reload(struct desired *desired, __u32 roles)
{
	struct hash_walk walk = {};
	struct object *object;
	struct entry *entry;
	int err;

	desired->roles = roles;
	desired->batch = NULL;
	while ((object = object_next(desired, &walk)))
		if ((err = translate(desired, object)))
			return err;
	if ((err = translate(desired, desired->edge_list)))
		return err;
	walk = (struct hash_walk){};
	while ((entry = entry_next(desired, &walk)))
		set_state(desired, entry, entry->owner ? ENTRY_PUT : ENTRY_REMOVE);
	return 0;
}

static void fill(struct desired *desired, struct message *message, struct work *list,
		 enum message_type type, enum table table)
{
	size_t most = message_fits(type, table), key_size = tables[table].key_size;
	struct entry *entry;

	memset(message, 0, MESSAGE_HEAD);
	message->type = (__u16)type;
	message->table = (__u16)table;
	for (entry = TAILQ_FIRST(list); entry; entry = TAILQ_NEXT(entry, work)) {
		__u8 *at;

		if (message->count == most)
			break;
		at = message_at(message, message->count++);
		memcpy(at, entry->key + 1, key_size);
		if (type == MESSAGE_PUT)
			memcpy(at + key_size, value_of(entry), tables[table].value_size);
	}
	desired->batch = list;
	desired->batched = message->count;
}

// Of tables from first on, before end. Returns whether there is something.
static int next_put(struct desired *desired, struct message *message, int first, int end)
{
	for (int table = first; table < end; table++)
		if (!TAILQ_EMPTY(&desired->puts[table])) {
			fill(desired, message, &desired->puts[table], MESSAGE_PUT, table);
			return 1;
		}
	return 0;
}

static int next_removal(struct desired *desired, struct message *message, int first, int end)
{
	for (int table = end - 1; table >= first; table--)
		if (!TAILQ_EMPTY(&desired->removals[table])) {
			fill(desired, message, &desired->removals[table], MESSAGE_REMOVE, table);
			return 1;
		}
	return 0;
}

// What decisions are made of. Functions are loaded last of this, as that takes long; but where
// chains come with them, before these: until then whoever names a chain is what he was.
static int next_put_to_decide(struct desired *desired, struct message *message)
{
	if (next_put(desired, message, 0, TABLE_SERVICE_CHAINS))
		return 1;
	if (!TAILQ_EMPTY(&desired->puts[TABLE_SERVICE_CHAINS]) &&
	    next_put(desired, message, TABLE_FUNCTION_PARTS, TABLE_FUNCTION_RUNS + 1))
		return 1;
	return next_put(desired, message, TABLE_SERVICE_CHAINS, TABLE_VPCS);
}

int desired_batch(struct desired *desired, struct message *message)
{
	// What decisions were made of goes before the policy number that says so: what is decided
	// again in between would stand.
	return next_put_to_decide(desired, message) ||
	       next_removal(desired, message, TABLE_VPCS, TABLE_VPCS + 1) ||
	       next_removal(desired, message, TABLE_NETWORK_ACLS, TABLE_NAT_ADDRESSES + 1) ||
	       next_put(desired, message, TABLE_VPCS, TABLES) ||
	       next_removal(desired, message, 0, TABLES);
}

void desired_done(struct desired *desired, size_t done)
{
	struct entry *entry;
	size_t i;

	if (!desired->batch)
		return;
	for (i = 0; i < desired->batched && i <= done; i++) {
		entry = TAILQ_FIRST(desired->batch);
		if (i == done) {
			set_state(desired, entry, ENTRY_FAILED);
		} else if (entry->owner) {
			set_state(desired, entry, ENTRY_DONE);
		} else {
			set_state(desired, entry, ENTRY_DONE);
			hash_remove(&desired->entries, &entry->hash);
			free(entry);
		}
	}
	desired->batch = NULL;
}

void desired_retry(struct desired *desired)
{
	struct entry *entry;

	while ((entry = TAILQ_FIRST(&desired->failed)))
		set_state(desired, entry, entry->owner ? ENTRY_PUT : ENTRY_REMOVE);
}

size_t desired_pending(const struct desired *desired)
{
	return desired->pending;
}
