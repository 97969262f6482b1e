// SPDX-License-Identifier: Apache-2.0
// Peerings: a VPC agrees to be peered with another one. Where both do, their endpoints reach each
// other, and so no subnet may overlap another that is reached from the same VPC.
#include "modules/peering/peering_controller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "modules/function/function_controller.h"
#include "modules/vpc/transfer.h"
#include "modules/vpc/vpc_controller.h"
#include "shared/limits.h"

static const struct field fields[] = {
	{.name = "vpc", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{.name = "peer", .type = FIELD_REFERENCE, .kind = "vpcs", .required = true, .fixed = true},
	{}};

// ---- whom a VPC is peered with

// Who agrees holds claim "peering:<its id>" of the other one's id. Returns 1, 0 or -EIO.
static int agrees(struct store *store, const char *vpc, const char *peer)
{
	char what[OBJECT_ID + 16];
	struct holder holder;
	int err;

	snprintf(what, sizeof(what), "peering:%s", vpc);
	err = store_holder(store, what, peer, &holder);
	return err == -ENOENT ? 0 : err ? err : 1;
}

struct gathering {
	struct store *store;
	const char *vpc;
	size_t count;
	char id[MAX_VPC_PEERINGS][OBJECT_ID];
};

static int gather(const char *peer, const char *kind, const char *id, void *arg)
{
	struct gathering *g = arg;
	int both = agrees(g->store, peer, g->vpc);

	if (both <= 0 || g->count == MAX_VPC_PEERINGS)
		return both < 0 ? both : 0;
	snprintf(g->id[g->count++], OBJECT_ID, "%s", peer);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

int peering_peers(struct store *store, const char *vpc, json_t **out)
{
	struct gathering g = {.store = store, .vpc = vpc};
	auto_(json_decrefp) json_t *peers = json_array();
	char what[OBJECT_ID + 16];
	int err;

	snprintf(what, sizeof(what), "peering:%s", vpc);
	if ((err = store_claims(store, what, gather, &g)))
		return err;
	qsort(g.id, g.count, OBJECT_ID, by_text);
	for (size_t i = 0; i < g.count; i++)
		if (json_array_append_new(peers, json_string(g.id[i])))
			return -ENOMEM;
	*out = take_ptr(peers);
	return *out ? 0 : -ENOMEM;
}

// ---- what may not overlap

struct span {
	struct in6_addr first, last;
	char name[OBJECT_ID];
	char cidr[ADDRESS_TEXT + 4];
};

// Of one VPC, in order; they do not overlap each other.
struct spans {
	struct span *item;
	size_t count, room;
};

static void spans_free(struct spans *spans)
{
	free(spans->item);
	*spans = (struct spans){};
}

static int span_read(struct span *span, const char *name, const char *cidr)
{
	unsigned int bits;

	snprintf(span->name, sizeof(span->name), "%s", name);
	snprintf(span->cidr, sizeof(span->cidr), "%s", cidr);
	if (prefix_parse(cidr, &span->first, &bits))
		return -EIO;
	span->last = span->first;
	for (; bits < 128; bits++)
		span->last.s6_addr[bits / 8] |= 0x80 >> bits % 8;
	return 0;
}

static int add_span(const struct object *subnet, void *arg)
{
	struct spans *spans = arg;
	size_t room = spans->room ? 2 * spans->room : 16;
	struct span *more;

	if (spans->count == spans->room) {
		if (!(more = realloc(spans->item, room * sizeof(*more))))
			return -ENOMEM;
		spans->item = more;
		spans->room = room;
	}
	return span_read(&spans->item[spans->count++], subnet->name,
			 text_or_empty(subnet->body, "cidr"));
}

static int compare(const struct in6_addr *a, const struct in6_addr *b)
{
	return memcmp(a, b, sizeof(*a));
}

static int by_place(const void *a, const void *b)
{
	return compare(&((const struct span *)a)->first, &((const struct span *)b)->first);
}

static int spans_of(struct store *store, const char *vpc, struct spans *out)
{
	int err = store_list(store, "subnets", vpc, add_span, out);

	if (!err && out->count)
		qsort(out->item, out->count, sizeof(*out->item), by_place);
	return err;
}

// The first pair of subnets that overlap; returns whether there is one.
static bool overlap(const struct spans *a, const struct spans *b, const struct span **of_a,
		    const struct span **of_b)
{
	size_t i = 0, k = 0;

	while (i < a->count && k < b->count) {
		if (compare(&a->item[i].last, &b->item[k].first) < 0) {
			i++;
		} else if (compare(&b->item[k].last, &a->item[i].first) < 0) {
			k++;
		} else {
			*of_a = &a->item[i];
			*of_b = &b->item[k];
			return true;
		}
	}
	return false;
}

static const char *name_of(const json_t *vpc)
{
	return text_or_empty(vpc, "name");
}

// Whether subnets of `mine`, which `near` has or will have, overlap those of the VPC `far`. both:
// the VPC that reaches them all, where it is neither; else NULL.
static int check_apart(struct change *change, const char *field, const struct spans *mine,
		       const json_t *near, const json_t *far, const json_t *both)
{
	auto_(spans_free) struct spans theirs = {};
	const struct span *a, *b;
	int err = spans_of(change->store, text_in(far, "id"), &theirs);

	if (err || !overlap(mine, &theirs, &a, &b))
		return err;
	return refuse(
		change->problem, 409, field,
		"subnet \"%s\" (%s) of vpc \"%s\" overlaps subnet \"%s\" (%s) of vpc \"%s\"%s%s%s",
		a->name, a->cidr, name_of(near), b->name, b->cidr, name_of(far),
		both ? ", and both are peered with vpc \"" : "", both ? name_of(both) : "",
		both ? "\"" : "");
}

// The same of all that reach them from `by`, which is peered with near, or will be; but near.
static int check_peers_of(struct change *change, const char *field, const struct spans *mine,
			  const json_t *near, const json_t *by)
{
	const json_t *peers = json_object_get(by, "peers");
	json_t *peer;
	size_t i;
	int err;

	json_array_foreach (peers, i, peer) {
		auto_(json_decrefp) json_t *far =
			store_body(change->store, "vpcs", json_string_value(peer));

		if (!far)
			return -EIO;
		if (strcmp(text_in(far, "id"), text_in(near, "id")) != 0 &&
		    (err = check_apart(change, field, mine, near, far, by)))
			return err;
	}
	return 0;
}

int peering_admits_subnet(struct change *subnet)
{
	auto_(json_decrefp) json_t *vpc =
		store_body(subnet->store, "vpcs", text_in(subnet->after, "vpc"));
	struct span span;
	const struct spans mine = {&span, 1, 1};
	json_t *peer;
	size_t i;
	int err;

	if (!vpc)
		return -EIO;
	if ((err = span_read(&span, text_in(subnet->after, "name"),
			     text_in(subnet->after, "cidr"))))
		return err;
	json_array_foreach (json_object_get(vpc, "peers"), i, peer) {
		auto_(json_decrefp) json_t *far =
			store_body(subnet->store, "vpcs", json_string_value(peer));

		if (!far)
			return -EIO;
		if ((err = check_apart(subnet, "cidr", &mine, vpc, far, NULL)) ||
		    (err = check_peers_of(subnet, "cidr", &mine, vpc, far)))
			return err;
	}
	return 0;
}

int peering_subnets_changed(struct store *store, const char *vpc)
{
	auto_(json_decrefp) json_t *body = store_body(store, "vpcs", vpc);
	json_t *peer;
	size_t i;
	int err;

	if (!body)
		return -EIO;
	json_array_foreach (json_object_get(body, "peers"), i, peer)
		if ((err = vpc_policy_changed(store, json_string_value(peer))))
			return err;
	return 0;
}

// ---- the kind's rules

static int check_vpc(struct change *change, const char *field, const json_t *vpc)
{
	if (json_is_true(json_object_get(vpc, "external")))
		return refuse(change->problem, 409, field,
			      "vpc \"%s\" is external: the way there is a nat", name_of(vpc));
	if (transfer_phase(vpc) && !change->before)
		return refuse(change->problem, 409, field,
			      "vpc \"%s\" moves to another cluster: not before it is there",
			      name_of(vpc));
	return 0;
}

static int check_vpcs(struct change *change, const json_t *vpc, const json_t *peer)
{
	int err;

	if (!strcmp(text_in(vpc, "id"), text_in(peer, "id")))
		return refuse(change->problem, 400, "peer", "peer is the vpc itself");
	if ((err = check_vpc(change, "vpc", vpc)) || (err = check_vpc(change, "peer", peer)))
		return err;
	if (!json_equal(json_object_get(vpc, "cluster"), json_object_get(peer, "cluster")))
		return refuse(change->problem, 409, "peer",
			      "vpcs \"%s\" and \"%s\" are of two clusters: peerings are within one",
			      name_of(vpc), name_of(peer));
	if (json_is_array(json_object_get(vpc, "service_chain")) &&
	    !service_chain_has(vpc, "peering"))
		return refuse(change->problem, 409, "vpc",
			      "the service_chain of vpc \"%s\" has no peering", name_of(vpc));
	return 0;
}

static int count_one(const char *value, const char *kind, const char *id, void *arg)
{
	++*(unsigned int *)arg;
	return 0;
}

// One for each pair in this direction.
static int take_peer(struct change *change, const json_t *vpc, const json_t *peer)
{
	char what[OBJECT_ID + 16];
	unsigned int count = 0;
	struct holder holder;
	int err;

	snprintf(what, sizeof(what), "peering:%s", text_in(vpc, "id"));
	err = store_claim(change->store, what, text_in(peer, "id"), change->kind->name, change->id,
			  &holder);
	if (err == -EEXIST)
		return refuse(change->problem, 409, "peer",
			      "peering \"%s\" of vpc \"%s\" has peer \"%s\" already", holder.name,
			      name_of(vpc), name_of(peer));
	if (err || (err = store_claims(change->store, what, count_one, &count)))
		return err;
	if (count > MAX_VPC_PEERINGS)
		return refuse(change->problem, 409, "vpc",
			      "vpc \"%s\" has %u peerings already, there can be no more",
			      name_of(vpc), count - 1);
	return 0;
}

// Also where the other side does not agree yet: whoever comes first hears of it.
static int check_subnets(struct change *change, const json_t *vpc, const json_t *peer)
{
	auto_(spans_free) struct spans mine = {}, theirs = {};
	int err;

	if ((err = spans_of(change->store, text_in(vpc, "id"), &mine)) ||
	    (err = spans_of(change->store, text_in(peer, "id"), &theirs)) ||
	    (err = check_apart(change, "peer", &mine, vpc, peer, NULL)) ||
	    (err = check_peers_of(change, "peer", &mine, vpc, peer)))
		return err;
	return check_peers_of(change, "peer", &theirs, peer, vpc);
}

static int complete(struct change *change)
{
	auto_(json_decrefp) json_t *vpc =
		store_body(change->store, "vpcs", text_in(change->after, "vpc"));
	auto_(json_decrefp) json_t *peer =
		store_body(change->store, "vpcs", text_in(change->after, "peer"));
	int err;

	if (!vpc || !peer)
		return -EIO;
	if ((err = check_vpcs(change, vpc, peer)) || (err = take_peer(change, vpc, peer)))
		return err;
	return check_subnets(change, vpc, peer);
}

// What only one side wants changes nothing, least of all for the other one.
static int changed(struct change *change)
{
	const json_t *peering = change->after ? change->after : change->before;
	const char *vpc = text_in(peering, "vpc"), *peer = text_in(peering, "peer");
	int both = agrees(change->store, peer, vpc), err;

	if (both <= 0 || (change->before && change->after))
		return both < 0 ? both : 0;
	err = vpc_policy_changed(change->store, vpc);
	return err ? err : vpc_policy_changed(change->store, peer);
}

static int answer(struct model *model, json_t *body)
{
	int both = agrees(model->store, text_in(body, "peer"), text_in(body, "vpc"));

	return both < 0 ? both
			: json_object_set_new(body, "state",
					      json_string(both ? "active" : "waiting"));
}

const struct kind peering_kind = {
	.name = "peerings",
	.one = "peering",
	.fields = fields,
	.in_vpc = true,
	.limit = MAX_PEERINGS,
	.complete = complete,
	.changed = changed,
	.answer = answer,
};
