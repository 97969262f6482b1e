// SPDX-License-Identifier: Apache-2.0
// The published Zeta gateway API over the same objects: zgcs are clusters, vpcs have no tenant,
// ports bring their host with them.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controller/api.h"
#include "lib/address.h"

#define PORTS_MAX 4096	 // in one request; a body of 1 MiB holds about as many
#define ADDRESSES_MAX 16 // of a port
#define VNI_MAX 0xFFFFFF

static const char *const overlays[] = {"vxlan", "geneve", NULL};

static const struct field zgc_fields[] = {
	{.name = "zgc_id", .type = FIELD_WORD},
	{.name = "name", .type = FIELD_WORD, .required = true},
	{.name = "description",
	 .type = FIELD_TEXT,
	 .max = 1024,
	 .nullable = true,
	 .fallback = "\"\""},
	{.name = "ip_start", .type = FIELD_ADDRESS, .required = true},
	{.name = "ip_end", .type = FIELD_ADDRESS, .required = true},
	{.name = "port_ibo", .type = FIELD_DIGITS, .min = 1, .max = 65535, .fallback = "8300"},
	{.name = "overlay_type",
	 .type = FIELD_CHOICE,
	 .choices = overlays,
	 .fallback = "\"vxlan\""},
	{}};

// The user and password of the node are for installers; here they are accepted and forgotten.
static const struct field node_fields[] = {
	{.name = "id", .type = FIELD_WORD},
	{.name = "zgc_id", .type = FIELD_WORD, .required = true},
	{.name = "name", .type = FIELD_WORD, .required = true},
	{.name = "description",
	 .type = FIELD_TEXT,
	 .max = 1024,
	 .nullable = true,
	 .fallback = "\"\""},
	{.name = "ip_control", .type = FIELD_ADDRESS, .required = true},
	{.name = "id_control", .type = FIELD_TEXT, .max = 1024, .nullable = true},
	{.name = "pwd_control", .type = FIELD_TEXT, .max = 1024, .nullable = true},
	{.name = "inf_tenant", .type = FIELD_INTERFACE, .required = true},
	{.name = "mac_tenant", .type = FIELD_MAC, .required = true},
	{.name = "ip_tenant", .type = FIELD_ADDRESS},
	{.name = "inf_zgc", .type = FIELD_INTERFACE, .required = true},
	{.name = "mac_zgc", .type = FIELD_MAC, .required = true},
	{.name = "ip_zgc", .type = FIELD_ADDRESS},
	{}};

static const struct field vpc_fields[] = {
	{.name = "vpc_id", .type = FIELD_WORD, .required = true},
	{.name = "vni", .type = FIELD_DIGITS, .min = 1, .max = VNI_MAX, .required = true},
	{.name = "name", .type = FIELD_WORD},
	{}};

static const struct field address_fields[] = {
	{.name = "ip", .type = FIELD_ADDRESS, .required = true},
	{.name = "vip", .type = FIELD_TEXT, .max = 64, .nullable = true, .fallback = "\"\""},
	{}};

static const struct field port_fields[] = {
	{.name = "port_id", .type = FIELD_WORD, .required = true},
	{.name = "vpc_id", .type = FIELD_WORD, .required = true},
	{.name = "ips_port",
	 .type = FIELD_OBJECT,
	 .fields = address_fields,
	 .required = true,
	 .list = true,
	 .min_items = 1,
	 .max_items = ADDRESSES_MAX},
	{.name = "mac_port", .type = FIELD_MAC, .required = true},
	{.name = "ip_node", .type = FIELD_ADDRESS, .required = true},
	{.name = "mac_node", .type = FIELD_MAC, .required = true},
	{}};

// Our words to the published ones, so that a refusal names what the client sent.
struct word {
	const char *ours;
	const char *theirs;
};

static const struct word zgc_words[] = {{"id", "zgc_id"},
					{"entrance_first", "ip_start"},
					{"entrance_last", "ip_end"},
					{"oam_port", "port_ibo"},
					{}};
static const struct word node_words[] = {{"cluster", "zgc_id"},
					 {"tenant.ip", "ip_tenant"},
					 {"tenant.mac", "mac_tenant"},
					 {"zgc.ip", "ip_zgc"},
					 {"zgc.mac", "mac_zgc"},
					 {"control_ip", "ip_control"},
					 {}};
static const struct word vpc_words[] = {{"id", "vpc_id"}, {}};
static const struct word port_words[] = {
	{"id", "port_id"}, {"name", "port_id"}, {"vpc", "vpc_id"}, {"mac", "mac_port"}, {}};
static const struct word host_words[] = {
	{"ip", "ip_node"}, {"mac", "mac_node"}, {"name", "ip_node"}, {"id", "ip_node"}, {}};

// ips[2] is ips_port[2].ip; the other words stand for themselves.
static void translate(struct problem *problem, const struct word *words, const char *path)
{
	char ours[sizeof(problem->field)], theirs[sizeof(problem->field)];
	char message[sizeof(problem->message)];
	size_t length;
	int place;

	if (!problem->status || !*problem->field)
		return;
	snprintf(ours, sizeof(ours), "%s", problem->field);
	for (; words->ours && strcmp(words->ours, ours); words++)
		;
	if (sscanf(ours, "ips[%d]", &place) == 1)
		snprintf(theirs, sizeof(theirs), "%sips_port[%d].ip", path, place);
	else
		snprintf(theirs, sizeof(theirs), "%s%.64s", path,
			 words->ours ? words->theirs : ours);
	length = strlen(ours);
	if (!strncmp(problem->message, ours, length)) {
		snprintf(message, sizeof(message), "%.90s%s", theirs, problem->message + length);
		memcpy(problem->message, message, sizeof(message));
	}
	memcpy(problem->field, theirs, sizeof(theirs));
}

static const char *description_in(const json_t *given)
{
	const char *text = text_in(given, "description");

	return text ? text : "";
}

// zgcs

static json_t *zgc_gateways(struct model *model, const json_t *cluster)
{
	auto_(json_decrefp) json_t *answer = model_answer(model, &cluster_kind, cluster);
	auto_(json_decrefp) json_t *list = json_array();
	json_t *entrance;
	size_t i;

	json_array_foreach (json_object_get(answer, "entrances"), i, entrance) {
		json_array_append_new(list,
				      json_pack("{s:O, s:O}", "ip", json_object_get(entrance, "ip"),
						"mac", json_object_get(entrance, "mac")));
	}
	return answer ? take_ptr(list) : NULL;
}

static int add_id(const struct object *object, void *arg)
{
	return json_array_append_new(arg, json_string(object->id));
}

static json_t *ids_referring(struct model *model, const char *kind, const char *to_kind,
			     const char *to_id)
{
	auto_(json_decrefp) json_t *list = json_array();

	if (store_list_referring(model->store, kind, to_kind, to_id, add_id, list))
		return NULL;
	return take_ptr(list);
}

static json_t *digits(const json_t *object, const char *name)
{
	return json_sprintf("%lld", (long long)integer_in(object, name));
}

static json_t *zgc_answer(struct model *model, const json_t *cluster)
{
	const char *id = text_in(cluster, "id");

	return json_pack("{s:s, s:O, s:O, s:O, s:O, s:o, s:O, s:o, s:o, s:o}", "zgc_id", id, "name",
			 json_object_get(cluster, "name"), "description",
			 json_object_get(cluster, "description"), "ip_start",
			 json_object_get(cluster, "entrance_first"), "ip_end",
			 json_object_get(cluster, "entrance_last"), "port_ibo",
			 digits(cluster, "oam_port"), "overlay_type",
			 json_object_get(cluster, "overlay"), "gws", zgc_gateways(model, cluster),
			 "nodes", ids_referring(model, "nodes", "clusters", id), "vpcs",
			 ids_referring(model, "vpcs", "clusters", id));
}

static json_t *zgc_body(const json_t *given, const json_t *before)
{
	json_t *body = json_pack(
		"{s:O, s:s, s:O, s:O, s:O, s:O}", "name", json_object_get(given, "name"),
		"description", description_in(given), "entrance_first",
		json_object_get(given, "ip_start"), "entrance_last",
		json_object_get(given, "ip_end"), "oam_port", json_object_get(given, "port_ibo"),
		"overlay", json_object_get(given, "overlay_type"));

	if (body && text_in(given, "zgc_id"))
		json_object_set(body, "id", json_object_get(given, "zgc_id"));
	if (body && before) {
		json_object_set(body, "tenant_mtu", json_object_get(before, "tenant_mtu"));
		json_object_set(body, "replicas", json_object_get(before, "replicas"));
		json_object_set(body, "chains", json_object_get(before, "chains"));
		json_object_set(body, "heartbeat_ms", json_object_get(before, "heartbeat_ms"));
		json_object_set(body, "repair_after_s", json_object_get(before, "repair_after_s"));
		json_object_set(body, "vpc_first_packets_per_s",
				json_object_get(before, "vpc_first_packets_per_s"));
		json_object_set(body, "vpc_sessions", json_object_get(before, "vpc_sessions"));
	}
	return body;
}

// The cluster of a VPC, in the few words that hosts' agents read.
static int zgc_of_vpc(struct api_call *call, const char *ref)
{
	auto_(json_decrefp) json_t *vpc = NULL, *cluster = NULL;
	int err = model_find(call->model, &vpc_kind, NULL, ref, &call->problem, &vpc);

	if (err)
		return err;
	cluster = store_body(call->model->store, "clusters", text_in(vpc, "cluster"));
	if (!cluster)
		return -EIO;
	call->out = json_pack("{s:O, s:O, s:O, s:o, s:o}", "zgc_id", json_object_get(cluster, "id"),
			      "name", json_object_get(cluster, "name"), "description",
			      json_object_get(cluster, "description"), "gws",
			      zgc_gateways(call->model, cluster), "port_ibo",
			      digits(cluster, "oam_port"));
	return call->out ? 200 : -ENOMEM;
}

// nodes

static json_t *node_answer(struct model *model, const json_t *node)
{
	const json_t *tenant = json_object_get(node, "tenant"), *zgc = json_object_get(node, "zgc");

	return json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "id",
			 json_object_get(node, "id"), "zgc_id", json_object_get(node, "cluster"),
			 "name", json_object_get(node, "name"), "description",
			 json_object_get(node, "description"), "ip_control",
			 json_object_get(node, "control_ip"), "inf_tenant",
			 json_object_get(tenant, "interface"), "mac_tenant",
			 json_object_get(tenant, "mac"), "ip_tenant", json_object_get(tenant, "ip"),
			 "inf_zgc", json_object_get(zgc, "interface"), "mac_zgc",
			 json_object_get(zgc, "mac"), "ip_zgc", json_object_get(zgc, "ip"));
}

// An address that was set apart from the control address stays where a replacement is silent.
static json_t *side_ip(const json_t *given, const char *name, const json_t *before,
		       const char *side)
{
	const char *ip = text_in(given, name), *control = text_in(before, "control_ip");
	const char *old = text_in(json_object_get(before, side), "ip");

	if (!ip && old && (!control || strcmp(old, control)))
		ip = old;
	return json_string(ip ? ip : text_in(given, "ip_control"));
}

static json_t *node_body(const json_t *given, const json_t *before)
{
	json_t *roles = before ? json_incref(json_object_get(before, "roles"))
			       : json_pack("[ss]", "fwd", "ftn");
	json_t *body = json_pack("{s:O, s:s, s:O, s:o, s:O, s:{s:O, s:o, s:O}, s:{s:O, s:o, s:O}}",
				 "name", json_object_get(given, "name"), "description",
				 description_in(given), "cluster", json_object_get(given, "zgc_id"),
				 "roles", roles, "control_ip", json_object_get(given, "ip_control"),
				 "tenant", "interface", json_object_get(given, "inf_tenant"), "ip",
				 side_ip(given, "ip_tenant", before, "tenant"), "mac",
				 json_object_get(given, "mac_tenant"), "zgc", "interface",
				 json_object_get(given, "inf_zgc"), "ip",
				 side_ip(given, "ip_zgc", before, "zgc"), "mac",
				 json_object_get(given, "mac_zgc"));

	if (body && text_in(given, "id"))
		json_object_set(body, "id", json_object_get(given, "id"));
	if (body && before)
		json_object_set(body, "drain", json_object_get(before, "drain"));
	return body;
}

// vpcs

static json_t *vpc_answer(struct model *model, const json_t *vpc)
{
	auto_(json_decrefp) json_t *cluster =
		store_body(model->store, "clusters", text_in(vpc, "cluster"));
	const char *id = text_in(vpc, "id");

	if (!cluster)
		return NULL;
	return json_pack("{s:s, s:s, s:o, s:O, s:O, s:o, s:o, s:o}", "id", id, "vpc_id", id, "vni",
			 digits(vpc, "vni"), "zgc_id", json_object_get(cluster, "id"), "name",
			 json_object_get(vpc, "name"), "gws", zgc_gateways(model, cluster),
			 "port_ibo", digits(cluster, "oam_port"), "ports",
			 ids_referring(model, "ports", "vpcs", id));
}

static json_t *vpc_body(const json_t *given, const json_t *before)
{
	json_t *body = json_pack("{s:O, s:O}", "id", json_object_get(given, "vpc_id"), "vni",
				 json_object_get(given, "vni"));

	if (body && text_in(given, "name"))
		json_object_set(body, "name", json_object_get(given, "name"));
	if (body && before) {
		json_object_set(body, "cluster", json_object_get(before, "cluster"));
		json_object_set(body, "tenant", json_object_get(before, "tenant"));
		json_object_set(body, "description", json_object_get(before, "description"));
		json_object_set(body, "first_packets_per_s",
				json_object_get(before, "first_packets_per_s"));
		json_object_set(body, "sessions", json_object_get(before, "sessions"));
		json_object_set(body, "limit", json_object_get(before, "limit"));
	}
	return body;
}

static int keep_first(const struct object *object, void *arg)
{
	*(json_t **)arg = json_string(object->id);
	return 1;
}

// The published API has no word for the cluster of a VPC: it is the first that was made.
static int settle_cluster(struct api_call *call, json_t *body)
{
	json_t *id = NULL;
	int err;

	if (json_object_get(body, "cluster"))
		return 0;
	err = store_list(call->model->store, "clusters", NULL, keep_first, &id);
	if (err < 0)
		return err;
	if (!id)
		return refuse(&call->problem, 409, NULL, "there is no zgc yet to carry a vpc");
	return json_object_set_new(body, "cluster", id) ||
			       json_object_set_new(body, "tenant", json_null())
		       ? -ENOMEM
		       : 0;
}

// zgcs, nodes and vpcs differ in their tables and translations only.
struct collection {
	const char *name;
	const struct kind *kind;
	const struct field *fields;
	const struct word *words;
	const char *id; // the field that names the object
	json_t *(*body)(const json_t *given, const json_t *before);
	json_t *(*answer)(struct model *model, const json_t *object);
	int (*settle)(struct api_call *call, json_t *body);
};

static json_t *port_answer(struct model *model, const json_t *port);

static const struct collection collections[] = {
	{"zgcs", &cluster_kind, zgc_fields, zgc_words, "zgc_id", zgc_body, zgc_answer, NULL},
	{"nodes", &node_kind, node_fields, node_words, "id", node_body, node_answer, NULL},
	{"vpcs", &vpc_kind, vpc_fields, vpc_words, "vpc_id", vpc_body, vpc_answer, settle_cluster},
	{"ports", &port_kind, port_fields, port_words, "port_id", NULL, port_answer, NULL},
	{}};

static const struct collection *find_collection(const char *name)
{
	const struct collection *collection;

	for (collection = collections; collection->name; collection++)
		if (!strcmp(collection->name, name))
			return collection;
	return NULL;
}

unsigned int zeta_methods(const char *name, int is_item)
{
	const struct collection *collection = find_collection(name);

	if (!collection)
		return 0;
	if (collection->kind == &port_kind)
		return is_item ? API_GET | API_DELETE : API_GET | API_POST | API_PUT;
	return is_item ? API_GET | API_PUT | API_DELETE : API_GET | API_POST;
}

struct listing {
	struct model *model;
	const struct collection *collection;
	json_t *out;
};

static int add_answer(const struct object *object, void *arg)
{
	struct listing *listing = arg;

	return json_array_append_new(listing->out,
				     listing->collection->answer(listing->model, object->body))
		       ? -ENOMEM
		       : 0;
}

static int read_all(struct api_call *call, const struct collection *collection)
{
	auto_(json_decrefp) json_t *out = json_array();
	struct listing listing = {call->model, collection, out};
	const char *vpc = api_argument(call->request, "vpc");
	int err;

	if (vpc && collection->kind == &cluster_kind)
		return zgc_of_vpc(call, vpc);
	if ((err = store_list(call->model->store, collection->kind->name, NULL, add_answer,
			      &listing)))
		return err;
	call->out = take_ptr(out);
	return 200;
}

// One zgc, node or vpc, created or replaced.
static int write_one(struct api_call *call, const struct collection *collection,
		     const json_t *before, const json_t *raw)
{
	struct model *model = call->model;
	auto_(json_decrefp) json_t *given =
		field_check(collection->fields, raw, "", &call->problem);
	auto_(json_decrefp) json_t *body = NULL, *after = NULL, *extra = NULL;
	const char *id = text_in(before, "id");
	int err;

	if (!given)
		return call->problem.status ? -EINVAL : -ENOMEM;
	body = collection->body(given, before);
	if (!body)
		return -ENOMEM;
	if (collection->settle && (err = collection->settle(call, body)))
		return err;
	if (before) {
		extra = store_extra(model->store, collection->kind->name, id);
		err = model_replace(model, collection->kind, id, body, extra, &call->problem,
				    &after);
	} else {
		err = model_create(model, collection->kind, body, NULL, &call->problem, &after);
	}
	if (err) {
		translate(&call->problem, collection->words, "");
		return err;
	}
	call->out = collection->answer(model, after);
	if (!call->out)
		return -ENOMEM;
	return before ? 200 : 201;
}

// ports

static json_t *port_answer(struct model *model, const json_t *port)
{
	const char *id = text_in(port, "id");
	auto_(json_decrefp) json_t *vpc = store_body(model->store, "vpcs", text_in(port, "vpc"));
	auto_(json_decrefp) json_t *host = store_body(model->store, "hosts", text_in(port, "host"));
	auto_(json_decrefp) json_t *extra = store_extra(model->store, "ports", id);
	auto_(json_decrefp) json_t *ips = json_array();
	json_t *ip, *vip;
	size_t i;

	if (!vpc || !host)
		return NULL;
	json_array_foreach (json_object_get(port, "ips"), i, ip) {
		vip = json_object_get(json_object_get(extra, "vips"), json_string_value(ip));
		if (json_array_append_new(ips, json_pack("{s:O, s:o}", "ip", ip, "vip",
							 vip ? json_incref(vip) : json_string(""))))
			return NULL;
	}
	return json_pack("{s:s, s:O, s:O, s:O, s:O, s:O, s:O}", "port_id", id, "vpc_id",
			 json_object_get(port, "vpc"), "zgc_id", json_object_get(vpc, "cluster"),
			 "ips_port", ips, "mac_port", json_object_get(port, "mac"), "ip_node",
			 json_object_get(host, "ip"), "mac_node", json_object_get(host, "mac"));
}

// What only this API remembers of a port: {vips: {ip: vip}}, or NULL where there is none.
static int read_vips(struct api_call *call, const json_t *given, const char *path, json_t **extra)
{
	auto_(json_decrefp) json_t *vips = json_object();
	char field[64], text[ADDRESS_TEXT];
	struct in6_addr address;
	const char *vip;
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(given, "ips_port"), i, item) {
		vip = text_in(item, "vip");
		if (!vip || !*vip)
			continue;
		snprintf(field, sizeof(field), "%sips_port[%zu].vip", path, i);
		if (address_parse(vip, &address))
			return refuse(&call->problem, 400, field, "%s must be an address or empty",
				      field);
		json_object_set_new(vips, text_in(item, "ip"),
				    json_string(address_text(&address, text)));
	}
	*extra = json_object_size(vips) ? json_pack("{s:O}", "vips", vips) : NULL;
	return 0;
}

// The host that carries the port: who has this address already, or a new one.
static int settle_host(struct api_call *call, const char *cluster, const json_t *given,
		       const char *path, char id[OBJECT_ID])
{
	struct model *model = call->model;
	const char *ip = text_in(given, "ip_node"), *mac = text_in(given, "mac_node");
	auto_(json_decrefp) json_t *host = NULL, *after = NULL;
	auto_(json_decrefp) json_t *extra = json_pack("{s:b}", "implicit", 1);
	char what[OBJECT_ID + 16], name[OBJECT_ID], field[64], *colon;
	struct holder holder;
	int err;

	snprintf(what, sizeof(what), "underlay:%s", cluster);
	err = store_holder(model->store, what, ip, &holder);
	if (err && err != -ENOENT)
		return err;
	if (!err && !strcmp(holder.kind, "hosts")) {
		host = store_body(model->store, "hosts", holder.id);
		if (!host)
			return -EIO;
		snprintf(field, sizeof(field), "%smac_node", path);
		if (strcmp(text_in(host, "mac"), mac))
			return refuse(&call->problem, 409, field,
				      "%s: host \"%s\" at %s has mac %s", field, holder.name, ip,
				      text_in(host, "mac"));
		snprintf(id, OBJECT_ID, "%s", holder.id);
		return 0;
	}
	snprintf(name, sizeof(name), "%s", ip);
	while ((colon = strchr(name, ':')))
		*colon = '-';
	host = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name, "cluster", cluster, "ip", ip,
			 "mac", mac, "kind", "ovs");
	if (!host || !extra)
		return -ENOMEM;
	if ((err = model_create(model, &host_kind, host, extra, &call->problem, &after))) {
		translate(&call->problem, host_words, path);
		return err;
	}
	snprintf(id, OBJECT_ID, "%s", text_in(after, "id"));
	return 0;
}

// A host that came with its ports goes with the last of them.
static int drop_host(struct api_call *call, const char *id)
{
	struct store *store = call->model->store;
	auto_(json_decrefp) json_t *extra = store_extra(store, "hosts", id);
	struct holder holder;
	int err;

	if (!json_is_true(json_object_get(extra, "implicit")))
		return 0;
	err = store_referrer(store, "hosts", id, &holder);
	if (err != -ENOENT)
		return err;
	return model_remove(call->model, &host_kind, id, &call->problem);
}

// Of what this API does not know, a port that is replaced keeps what it has.
static json_t *port_body(const json_t *given, const json_t *before, const char *host)
{
	static const char *const kept[] = {"description",	"interface",	"security_groups",
					   "allowed_prefixes",	"egress_limit", "ingress_limit",
					   "connections_per_s", "dscp",		"mirror"};
	auto_(json_decrefp) json_t *ips = json_array();
	json_t *body, *item;
	size_t i;

	json_array_foreach (json_object_get(given, "ips_port"), i, item) {
		json_array_append(ips, json_object_get(item, "ip"));
	}
	body = json_pack("{s:O, s:O, s:O, s:O, s:s}", "id", json_object_get(given, "port_id"),
			 "vpc", json_object_get(given, "vpc_id"), "mac",
			 json_object_get(given, "mac_port"), "ips", ips, "host", host);
	for (i = 0; body && before && i < sizeof(kept) / sizeof(kept[0]); i++)
		json_object_set(body, kept[i], json_object_get(before, kept[i]));
	return body;
}

static int write_port(struct api_call *call, const json_t *given, const char *path, bool replace)
{
	struct model *model = call->model;
	auto_(json_decrefp) json_t *vpc = NULL, *before = NULL, *extra = NULL;
	auto_(json_decrefp) json_t *body = NULL, *after = NULL, *answer = NULL;
	const char *id = text_in(given, "port_id");
	struct problem missing = {};
	char host[OBJECT_ID], field[64];
	int err;

	snprintf(field, sizeof(field), "%svpc_id", path);
	if (model_find(model, &vpc_kind, NULL, text_in(given, "vpc_id"), &missing, &vpc))
		return refuse(&call->problem, 404, field, "%s: %s", field, missing.message);
	if (replace)
		before = store_body(model->store, "ports", id);
	snprintf(field, sizeof(field), "%sport_id", path);
	if (replace && !before)
		return refuse(&call->problem, 404, field, "%s: there is no port \"%s\"", field, id);
	if ((err = read_vips(call, given, path, &extra)) ||
	    (err = settle_host(call, text_in(vpc, "cluster"), given, path, host)))
		return err;
	body = port_body(given, before, host);
	if (!body)
		return -ENOMEM;
	err = replace ? model_replace(model, &port_kind, id, body, extra, &call->problem, &after)
		      : model_create(model, &port_kind, body, extra, &call->problem, &after);
	if (err) {
		translate(&call->problem, port_words, path);
		return err;
	}
	if (before && (err = drop_host(call, text_in(before, "host"))))
		return err;
	answer = port_answer(model, after);
	return !answer || json_array_append(call->out, answer) ? -ENOMEM : 0;
}

static int check_ports(struct api_call *call, const json_t *raw, json_t *checked)
{
	auto_(json_decrefp) json_t *seen = json_object();
	char path[32], field[48];
	json_t *item;
	size_t i;

	if (!json_is_array(raw) || !json_array_size(raw) || json_array_size(raw) > PORTS_MAX)
		return refuse(&call->problem, 400, "body", "body must be a list of 1 to %d ports",
			      PORTS_MAX);
	json_array_foreach ((json_t *)raw, i, item) {
		snprintf(path, sizeof(path), "[%zu].", i);
		item = field_check(port_fields, item, path, &call->problem);
		if (!item || json_array_append_new(checked, item))
			return call->problem.status ? -EINVAL : -ENOMEM;
		snprintf(field, sizeof(field), "[%zu].port_id", i);
		if (json_object_get(seen, text_in(item, "port_id")))
			return refuse(&call->problem, 400, field, "%s is there twice", field);
		if (json_object_set_new(seen, text_in(item, "port_id"), json_true()))
			return -ENOMEM;
	}
	return 0;
}

static int write_ports(struct api_call *call, const json_t *raw, bool replace)
{
	auto_(json_decrefp) json_t *checked = json_array();
	char path[32];
	json_t *item;
	size_t i;
	int err;

	if ((err = check_ports(call, raw, checked)))
		return err;
	// All that the ports hold is let go first: what counts is that nobody holds the same in the
	// end, so two ports may exchange their addresses.
	json_array_foreach (checked, i, item) {
		if (replace &&
		    (err = store_release(call->model->store, "ports", text_in(item, "port_id"))))
			return err;
	}
	call->out = json_array();
	json_array_foreach (checked, i, item) {
		snprintf(path, sizeof(path), "[%zu].", i);
		if ((err = write_port(call, item, path, replace)))
			return err;
	}
	return replace ? 200 : 201;
}

static int remove_one(struct api_call *call, const struct collection *collection,
		      const json_t *before)
{
	const char *host = text_in(before, "host");
	int err =
		model_remove(call->model, collection->kind, text_in(before, "id"), &call->problem);

	if (!err && collection->kind == &port_kind)
		err = drop_host(call, host);
	return err ? err : 204;
}

int zeta_call(struct api_call *call, const char *name, enum api_method method, const json_t *body)
{
	static const char *const vpc[] = {"vpc", NULL}, *const none[] = {NULL};
	const struct collection *collection = find_collection(name);
	bool filters = method == API_GET && !call->id && collection->kind == &cluster_kind;
	auto_(json_decrefp) json_t *object = NULL;
	int err = api_check_arguments(call, filters ? vpc : none);

	if (err)
		return err;
	if (!call->id && method == API_GET)
		return read_all(call, collection);
	if (!call->id && collection->kind == &port_kind)
		return write_ports(call, body, method == API_PUT);
	if (!call->id)
		return write_one(call, collection, NULL, body);
	if ((err = model_find(call->model, collection->kind, NULL, call->id, &call->problem,
			      &object)))
		return err;
	if (method == API_DELETE)
		return remove_one(call, collection, object);
	if (method == API_PUT)
		return write_one(call, collection, object, body);
	call->out = collection->answer(call->model, object);
	return call->out ? 200 : -ENOMEM;
}
