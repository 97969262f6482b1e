// SPDX-License-Identifier: Apache-2.0
// Gateway clusters: the entrances that hosts know, and how many chains and replicas there are.
#include "modules/cluster/cluster_controller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "lib/address.h"
#include "modules/chain/chain_controller.h"
#include "modules/chain/view.h"
#include "shared/limits.h"
#include "wire/geneve.h"
#include "wire/vxlan.h"

static const char *const overlays[] = {"vxlan", "geneve", NULL};

static const struct field fields[] = {
	{.name = "overlay", .type = FIELD_CHOICE, .choices = overlays, .fallback = "\"vxlan\""},
	{.name = "entrance_first", .type = FIELD_UNDERLAY, .required = true},
	{.name = "entrance_last", .type = FIELD_UNDERLAY, .required = true},
	{.name = "oam_port", .type = FIELD_INTEGER, .min = 1, .max = 65535, .fallback = "8300"},
	// IPv4 asks for 576; above 9000 no encapsulated packet fits a jumbo frame.
	{.name = "tenant_mtu", .type = FIELD_INTEGER, .min = 576, .max = 9000, .fallback = "1450"},
	{.name = "replicas", .type = FIELD_INTEGER, .min = 1, .max = MAX_REPLICAS, .fallback = "3"},
	{.name = "chains", .type = FIELD_INTEGER, .max = MAX_CHAINS, .fallback = "0"},
	// Below, a machine's own pauses look like death; above, failover is no failover.
	{.name = "heartbeat_ms",
	 .type = FIELD_INTEGER,
	 .min = 5,
	 .max = MAX_BEAT_MS,
	 .fallback = "10"},
	{.name = "repair_after_s", .type = FIELD_INTEGER, .min = 1, .max = 3600, .fallback = "5"},
	// A first packet costs our programs 2 us at all nodes together (gateway_bench), so that one
	// tenant takes a tenth of one core of the cluster with them.
	{.name = "vpc_first_packets_per_s",
	 .type = FIELD_INTEGER,
	 .max = MAX_FIRST_PACKETS,
	 .fallback = "50000"},
	// A quarter of what one flow table node holds (DEFAULT_SESSIONS).
	{.name = "vpc_sessions", .type = FIELD_INTEGER, .max = MAX_QUOTA, .fallback = "262144"},
	{}};

static bool entrances_overlap(const json_t *one, const json_t *other)
{
	struct in6_addr first, last, other_first, other_last;

	if (address_parse(text_in(one, "entrance_first"), &first) ||
	    address_parse(text_in(one, "entrance_last"), &last) ||
	    address_parse(text_in(other, "entrance_first"), &other_first) ||
	    address_parse(text_in(other, "entrance_last"), &other_last))
		return true;
	return memcmp(&first, &other_last, sizeof(first)) <= 0 &&
	       memcmp(&other_first, &last, sizeof(last)) <= 0;
}

int clusters_agree(struct problem *problem, const char *field, const json_t *one,
		   const json_t *other)
{
	static const char *const same[] = {"overlay", "oam_port", "tenant_mtu"};
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (!json_equal(json_object_get(one, same[i]), json_object_get(other, same[i])))
			return refuse(problem, 409, field ? field : same[i],
				      "%s of clusters \"%s\" and \"%s\" differs: a host cannot "
				      "carry VPCs of both",
				      same[i], text_in(one, "name"), text_in(other, "name"));
	if (entrances_overlap(one, other))
		return refuse(problem, 409, field ? field : "entrance_first",
			      "clusters \"%s\" and \"%s\" have an entrance in common: a host "
			      "cannot carry VPCs of both",
			      text_in(one, "name"), text_in(other, "name"));
	return 0;
}

// Of the host, with all other clusters that it knows.
static int agrees_at_host(const struct object *host, void *arg)
{
	auto_(json_decrefp) json_t *ids = json_copy(json_object_get(host->body, "other_clusters"));
	struct change *change = arg;
	json_t *id;
	size_t i;
	int err = 0;

	if (!ids || json_array_append(ids, json_object_get(host->body, "cluster")))
		return -ENOMEM;
	json_array_foreach (ids, i, id) {
		auto_(json_decrefp) json_t *other = NULL;

		if (!strcmp(json_string_value(id), change->id))
			continue;
		other = store_body(change->store, "clusters", json_string_value(id));
		if (!other)
			return -EIO;
		if ((err = clusters_agree(change->problem, NULL, change->after, other)))
			break;
	}
	return err;
}

static int complete(struct change *change)
{
	json_int_t oam_port = integer_in(change->after, "oam_port");
	struct in6_addr first, last;
	char text[ADDRESS_TEXT];
	unsigned int i, count;
	int err;

	if (oam_port == VXLAN_PORT || oam_port == GENEVE_PORT)
		return refuse(change->problem, 400, "oam_port",
			      "oam_port must not be a port of VXLAN or Geneve");
	if (address_parse(text_in(change->after, "entrance_first"), &first) ||
	    address_parse(text_in(change->after, "entrance_last"), &last))
		return -EINVAL;
	count = entrance_count(&first, &last);
	if (!count)
		return refuse(
			change->problem, 400, "entrance_last",
			"entrance_last must be the first entrance or one of the %d addresses after it",
			MAX_ENTRANCES - 1);
	for (i = 0; i < count; i++) {
		if ((err = change_claim(change, "entrance_first", "underlay", change->id,
					address_text(&first, text))))
			return err;
		first.s6_addr32[3] = htonl(ntohl(first.s6_addr32[3]) + 1);
	}
	return store_list_referring(change->store, "hosts", "clusters", change->id, agrees_at_host,
				    change);
}

static int changed(struct change *change)
{
	return view_rewrite(change->store, change->status, change->id);
}

static int answer(struct model *model, json_t *body)
{
	return json_object_set_new(body, "entrances",
				   view_entrances(model->store, text_in(body, "id")));
}

const struct kind cluster_kind = {
	.name = "clusters",
	.one = "cluster",
	.fields = fields,
	.complete = complete,
	.changed = changed,
	.answer = answer,
};
