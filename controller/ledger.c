// SPDX-License-Identifier: Apache-2.0
// Messages by audience, in order of their last change, and the updates made of them.
#include "controller/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/hash.h"
#include "lib/own.h"

#define GROUP_NAME 128

struct group {
	struct hash_entry entry;
	struct item *oldest, *newest; // by last change
	char name[];
};

// One message for one group, or the memory of one that was removed.
struct item {
	struct hash_entry entry; // by group, kind and id
	struct group *group;
	struct item *older, *newer;    // in the group
	struct item *next, **previous; // of the same owner, or among the removed
	uint64_t revision;	       // of the last change
	uint64_t pass;		       // of the owner, when it was put last
	uint32_t kind;		       // field number in Object
	uint32_t size;		       // 0: removed
	uint8_t *bytes;		       // as it stands in an Update: tag, length, Object
	char id[];
};

struct ledger {
	uint64_t revision; // of changes that are made now
	uint64_t pass;	   // counts owner_begin()
	struct hash groups, items;
	struct item *removed, **removed_last; // oldest first
};

// ---- encoding of Update, by hand: an item's bytes go into it as they are, and encoding a
// hundred thousand messages anew for every node that connects would be what a snapshot costs.

#define TAG_REVISION 0x08 // field 1, varint
#define TAG_SNAPSHOT 0x10 // field 2, varint
#define TAG_PUT 0x1A	  // field 3, bytes
#define TAG_REMOVE 0x22	  // field 4, bytes
#define TAG_MORE 0x28	  // field 5, varint
#define TAG_KIND 0x08	  // Key: field 1, varint
#define TAG_ID 0x12	  // Key: field 2, bytes
#define VARINT_MAX 10
#define HEADER_MAX (1 + VARINT_MAX + 2 + 2)

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (uint8_t)value | 0x80;
	*at++ = (uint8_t)value;
	return at;
}

static size_t varint_size(uint64_t value)
{
	uint8_t bytes[VARINT_MAX];

	return (size_t)(put_varint(bytes, value) - bytes);
}

static size_t key_size(const struct item *item)
{
	size_t length = strlen(item->id);

	return 1 + varint_size(item->kind) + 1 + varint_size(length) + length;
}

static size_t encoded_size(const struct item *item)
{
	size_t key;

	if (item->size)
		return item->size;
	key = key_size(item);
	return 1 + varint_size(key) + key;
}

static uint8_t *put_item(uint8_t *at, const struct item *item)
{
	size_t length = strlen(item->id);

	if (item->size)
		return mempcpy(at, item->bytes, item->size);
	*at++ = TAG_REMOVE;
	at = put_varint(at, key_size(item));
	*at++ = TAG_KIND;
	at = put_varint(at, item->kind);
	*at++ = TAG_ID;
	at = put_varint(at, length);
	return mempcpy(at, item->id, length);
}

static uint8_t *put_header(uint8_t *at, uint64_t revision, bool snapshot, bool more)
{
	*at++ = TAG_REVISION;
	at = put_varint(at, revision);
	if (snapshot) {
		*at++ = TAG_SNAPSHOT;
		*at++ = 1;
	}
	if (more) {
		*at++ = TAG_MORE;
		*at++ = 1;
	}
	return at;
}

// The oldest item of the group that changed after the revision.
static const struct item *first_since(const struct group *group, uint64_t since)
{
	const struct item *item = group->newest, *first = NULL;

	for (; item && item->revision > since; item = item->older)
		first = item;
	return first;
}

// The items that an update is about, group after group.
struct walk {
	const struct membership *membership;
	bool snapshot; // all but the removed ones; else those that changed after since
	uint64_t since;
	int group; // of the membership
	const struct item *item;
};

// Moves on to the item that is next, where the walk does not stand on one. Returns NULL at the end.
static const struct item *walk_here(struct walk *w)
{
	const struct group *group;

	while (!w->item || (w->snapshot && !w->item->size)) {
		if (w->item) {
			w->item = w->item->newer;
			continue;
		}
		if (!w->membership || w->group + 1 >= MEMBER_GROUPS ||
		    !(group = w->membership->group[w->group + 1]))
			return NULL;
		w->group++;
		w->item = w->snapshot ? group->oldest : first_since(group, w->since);
	}
	return w->item;
}

static void walk_on(struct walk *w)
{
	w->item = w->item->newer;
}

// One update of what comes next; the walk stands on what did not fit.
static struct update *encode_part(struct walk *w, uint64_t revision, bool snapshot, size_t most)
{
	struct walk begin = *w;
	const struct item *item;
	struct update *update;
	size_t size = 0, count = 0;
	uint8_t *at;

	for (; (item = walk_here(w)); walk_on(w), count++) {
		if (count && HEADER_MAX + size + encoded_size(item) > most)
			break;
		size += encoded_size(item);
	}
	update = malloc(sizeof(*update) + HEADER_MAX + size);
	if (!update)
		return NULL;
	update->next = NULL;
	at = put_header(update->bytes, revision, snapshot, item != NULL);
	for (; count; count--, walk_on(&begin))
		at = put_item(at, walk_here(&begin));
	update->size = (size_t)(at - update->bytes);
	return update;
}

static int encode(struct walk *w, uint64_t revision, size_t most, struct update **out)
{
	auto_(updates_freep) struct update *updates = NULL;
	struct update **last = &updates;

	if (w->snapshot || walk_here(w)) {
		do {
			*last = encode_part(w, revision, w->snapshot && !updates, most);
			if (!*last)
				return -ENOMEM;
			last = &(*last)->next;
		} while (walk_here(w));
	}
	*out = take_ptr(updates);
	return 0;
}

int membership_snapshot(const struct membership *membership, uint64_t revision, size_t most,
			struct update **out)
{
	return encode(&(struct walk){.membership = membership, .snapshot = true, .group = -1},
		      revision, most, out);
}

int membership_delta(const struct membership *membership, uint64_t since, uint64_t revision,
		     size_t most, struct update **out)
{
	return encode(&(struct walk){.membership = membership, .since = since, .group = -1},
		      revision, most, out);
}

void updates_freep(struct update **updates)
{
	struct update *update;

	while ((update = *updates)) {
		*updates = update->next;
		free(update);
	}
}

// ---- groups and items

struct group *ledger_group(struct ledger *l, const char *kind, const char *id)
{
	char name[GROUP_NAME];
	struct hash_entry *entry;
	struct group *group;
	uint64_t hash;

	snprintf(name, sizeof(name), "%s/%s", kind, id);
	hash = hash_text(name, 0);
	for (entry = hash_first(&l->groups, hash); entry; entry = hash_next(entry)) {
		group = container_of_entry(entry, struct group, entry);
		if (!strcmp(group->name, name))
			return group;
	}
	group = calloc(1, sizeof(*group) + strlen(name) + 1);
	if (!group)
		return NULL;
	memcpy(group->name, name, strlen(name) + 1);
	if (hash_add(&l->groups, &group->entry, hash)) {
		free(group);
		return NULL;
	}
	return group;
}

static uint64_t item_hash(const struct group *group, uint32_t kind, const char *id)
{
	return hash_text(id, group->entry.hash + kind);
}

static struct item *item_find(struct ledger *l, const struct group *group, uint32_t kind,
			      const char *id)
{
	struct hash_entry *entry = hash_first(&l->items, item_hash(group, kind, id));
	struct item *item;

	for (; entry; entry = hash_next(entry)) {
		item = container_of_entry(entry, struct item, entry);
		if (item->group == group && item->kind == kind && !strcmp(item->id, id))
			return item;
	}
	return NULL;
}

static void group_leave(struct item *item)
{
	*(item->older ? &item->older->newer : &item->group->oldest) = item->newer;
	*(item->newer ? &item->newer->older : &item->group->newest) = item->older;
}

static void group_join(struct item *item)
{
	item->older = item->group->newest;
	item->newer = NULL;
	*(item->older ? &item->older->newer : &item->group->oldest) = item;
	item->group->newest = item;
}

// Leaves the list of its owner, or that of the removed.
static void list_leave(struct ledger *l, struct item *item)
{
	*item->previous = item->next;
	if (item->next)
		item->next->previous = item->previous;
	else if (l->removed_last == &item->next)
		l->removed_last = item->previous;
}

static void owner_join(struct item *item, struct owner *owner)
{
	item->next = owner->items;
	item->previous = &owner->items;
	if (item->next)
		item->next->previous = &item->next;
	owner->items = item;
}

static struct item *item_new(struct ledger *l, struct group *group, uint32_t kind, const char *id,
			     struct owner *owner)
{
	struct item *item = calloc(1, sizeof(*item) + strlen(id) + 1);

	if (!item)
		return NULL;
	memcpy(item->id, id, strlen(id) + 1);
	item->group = group;
	item->kind = kind;
	if (hash_add(&l->items, &item->entry, item_hash(group, kind, id))) {
		free(item);
		return NULL;
	}
	group_join(item);
	owner_join(item, owner);
	return item;
}

static void item_changed(struct ledger *l, struct item *item)
{
	item->revision = l->revision;
	group_leave(item);
	group_join(item);
}

static void item_free(struct ledger *l, struct item *item)
{
	list_leave(l, item);
	group_leave(item);
	hash_remove(&l->items, &item->entry);
	free(item->bytes);
	free(item);
}

// Keeps its key, for those who have it.
static void item_remove(struct ledger *l, struct item *item)
{
	freep(&item->bytes);
	item->size = 0;
	item_changed(l, item);
	list_leave(l, item);
	item->next = NULL;
	item->previous = l->removed_last;
	*l->removed_last = item;
	l->removed_last = &item->next;
}

void ledger_forget(struct ledger *l, uint64_t revision)
{
	while (l->removed && l->removed->revision <= revision)
		item_free(l, l->removed);
}

int owner_put(struct ledger *l, struct owner *owner, struct group *group, uint32_t kind,
	      const char *id, Zeta__Node__V1__Object *message)
{
	auto_(freep) uint8_t *bytes = NULL;
	struct item *item;
	size_t packed, size;
	uint8_t *at;

	if (!group)
		return -ENOMEM;
	packed = zeta__node__v1__object__get_packed_size(message);
	size = 1 + varint_size(packed) + packed;
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	bytes[0] = TAG_PUT;
	at = put_varint(bytes + 1, packed);
	zeta__node__v1__object__pack(message, at);

	item = item_find(l, group, kind, id);
	if (!item && !(item = item_new(l, group, kind, id, owner)))
		return -ENOMEM;
	item->pass = l->pass;
	if (item->size == size && !memcmp(item->bytes, bytes, size))
		return 0;
	if (!item->size) {
		// Among the removed, or new: it is this owner's now.
		list_leave(l, item);
		owner_join(item, owner);
	}
	free(item->bytes);
	item->bytes = take_ptr(bytes);
	item->size = (uint32_t)size;
	item_changed(l, item);
	return 0;
}

void owner_begin(struct ledger *l)
{
	l->pass++;
}

void owner_end(struct ledger *l, struct owner *owner)
{
	for (struct item *item = owner->items, *next; item; item = next) {
		next = item->next;
		if (item->pass != l->pass)
			item_remove(l, item);
	}
}

// ---- the whole

int ledger_new(struct ledger **out)
{
	struct ledger *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->removed_last = &l->removed;
	*out = l;
	return 0;
}

void ledger_freep(struct ledger **pointer)
{
	struct ledger *l = *pointer;
	struct hash_walk walk = {};
	struct hash_entry *entry;

	if (!l)
		return;
	ledger_forget(l, UINT64_MAX);
	while ((entry = hash_walk(&l->groups, &walk)))
		free(container_of_entry(entry, struct group, entry));
	hash_free(&l->groups);
	hash_free(&l->items);
	free(l);
	*pointer = NULL;
}

void ledger_set_revision(struct ledger *l, uint64_t revision)
{
	l->revision = revision;
}
