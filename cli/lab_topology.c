// SPDX-License-Identifier: Apache-2.0
// A topology speaks of machines and endpoints by name; what it leaves out (addresses of the
// underlay, MACs, interface names) is given out in the order of the file, so two runs are equal.
#include "cli/lab_topology.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "lib/address.h"
#include "lib/json.h"
#include "lib/own.h"
#include "wire/dft.h"
#include "wire/vxlan.h"

#define NAME_LIMIT 40

// What a tenant's largest packet grows by on its way between a host and an entrance.
#define TENANT_OVERHEAD                                                                            \
	(sizeof(struct iphdr) + sizeof(struct udphdr) + sizeof(struct vxlan_header) +              \
	 sizeof(struct ethhdr))
// And between gateway nodes: everything of an op but the frame's own Ethernet header, which the MTU
// does not count, and the tenant's, which it does.
#define ZGC_OVERHEAD sizeof(struct dft_packet)

static const char reserved_names[][12] = {"controller", "fabric"};

// Words that say where in the file something is wrong: "endpoints[3] (red-web)".
struct where {
	char text[96];
};

static struct where at(const char *section, size_t index, const json_t *item)
{
	const char *name = text_in(item, "name");
	struct where where;

	if (name)
		snprintf(where.text, sizeof(where.text), "%s[%zu] (%.40s)", section, index, name);
	else
		snprintf(where.text, sizeof(where.text), "%s[%zu]", section, index);
	return where;
}

static int known_fields(const char *where, const json_t *object, const char *const *names)
{
	const char *name;
	json_t *value;
	size_t i;

	if (!json_is_object(object))
		return sorry(-EINVAL, "%s: not a mapping of fields", where);
	json_object_foreach ((json_t *)object, name, value) {
		for (i = 0; names[i] && strcmp(names[i], name) != 0; i++)
			;
		if (!names[i])
			return sorry(-EINVAL, "%s: %s: no such field", where, name);
	}
	return 0;
}

static int text_field(const char **out, const char *where, const json_t *object, const char *field)
{
	const char *text = text_in(object, field);

	if (!text || !*text)
		return sorry(-EINVAL, "%s: %s: missing or not text", where, field);
	*out = text;
	return 0;
}

static int address_field(struct in6_addr *out, const char *where, const json_t *object,
			 const char *field)
{
	const char *text;
	int err;

	err = text_field(&text, where, object, field);
	if (err)
		return err;
	if (address_parse(text, out))
		return sorry(-EINVAL, "%s: %s: %s is no address", where, field, text);
	return 0;
}

// Names are those of files and of namespaces, and unique within a cloud.
static int check_name(const struct topology *topology, const char *where, const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.-";
	size_t i;

	if (strlen(name) > NAME_LIMIT || strspn(name, allowed) != strlen(name) || name[0] == '.' ||
	    name[0] == '-')
		return sorry(-EINVAL, "%s: name: %s is not 1 to %d letters, digits, . _ -", where,
			     name, NAME_LIMIT);
	for (i = 0; i < sizeof(reserved_names) / sizeof(reserved_names[0]); i++)
		if (!strcmp(name, reserved_names[i]))
			return sorry(-EINVAL, "%s: name: %s is the lab's own", where, name);
	for (i = 0; i < topology->machines; i++)
		if (!strcmp(name, topology->machine[i].name))
			return sorry(-EINVAL, "%s: name: %s is there twice", where, name);
	for (i = 0; i < topology->endpoints; i++)
		if (!strcmp(name, topology->endpoint[i].name))
			return sorry(-EINVAL, "%s: name: %s is there twice", where, name);
	return 0;
}

static int segment_read(struct segment *out, const json_t *underlay, const char *name,
			const char *cidr, unsigned int mtu)
{
	static const char *const fields[] = {"cidr", "mtu", NULL};
	const json_t *given = json_object_get(underlay, name);
	const json_t *number = json_object_get(given, "mtu");
	struct segment segment = {.mtu = mtu, .next = 1};
	int err;

	if (given) {
		err = known_fields(name, given, fields);
		if (err)
			return err;
	}
	if (json_object_get(given, "cidr")) {
		err = text_field(&cidr, name, given, "cidr");
		if (err)
			return err;
	}
	if (prefix_parse(cidr, &segment.prefix, &segment.bits))
		return sorry(-EINVAL, "underlay.%s: cidr: %s is no prefix", name, cidr);
	if (number) {
		if (json_integer_value(number) < 1280 || json_integer_value(number) > 3500)
			return sorry(-EINVAL, "underlay.%s: mtu: must be 1280 to 3500", name);
		segment.mtu = (unsigned int)json_integer_value(number);
	}
	*out = segment;
	return 0;
}

// The next free address. Counts in the last 64 bits, far more than a segment has.
static int give_address(struct in6_addr *out, const char *name, struct segment *segment)
{
	unsigned int host_bits = 128 - segment->bits;
	uint64_t low;

	// The last one is a broadcast address.
	if (host_bits < 63 && segment->next >= (UINT64_C(1) << host_bits) - 1)
		return sorry(-EINVAL, "underlay.%s: cidr: too small for all that is in it", name);
	*out = segment->prefix;
	memcpy(&low, &out->s6_addr[8], sizeof(low));
	low = htobe64(be64toh(low) + segment->next++);
	memcpy(&out->s6_addr[8], &low, sizeof(low));
	return 0;
}

// Locally administered; kind tells in a trace what one looks at.
static void give_mac(uint8_t out[6], uint8_t kind, size_t number)
{
	const uint8_t mac[6] = {
		0x02, 0x5A, kind, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};

	memcpy(out, mac, sizeof(mac));
}

static void add_object(struct topology *topology, json_t *value)
{
	struct documents *objects = &topology->objects;
	struct document *grown;

	grown = realloc(objects->document, (objects->count + 1) * sizeof(*grown));
	if (!grown)
		abort(); // some hundred bytes for a program that is about to start a cloud
	objects->document = grown;
	grown[objects->count++] = (struct document){value, 0};
}

static json_t *text_of(const struct in6_addr *address)
{
	char text[ADDRESS_TEXT];

	return json_string(address_text(address, text));
}

static json_t *mac_of(const uint8_t mac[6])
{
	char text[ADDRESS_TEXT];

	return json_string(mac_text(mac, text));
}

static const char *first_cluster(const struct topology *topology)
{
	return text_in(json_array_get(topology->clusters, 0), "name");
}

// Only the lab's own machines have to be of a cluster of the file: vpcs may be anybody's.
static int check_cluster(const struct topology *topology, const char *where, const char *field,
			 const json_t *name)
{
	json_t *cluster;
	size_t i;

	json_array_foreach (topology->clusters, i, cluster)
		if (json_equal(json_object_get(cluster, "name"), name))
			return 0;
	return sorry(-EINVAL, "%s: %s: there is no cluster %s", where, field,
		     json_is_string(name) ? json_string_value(name) : "of such a name");
}

// The clusters that a machine says it is of, or knows.
static int cluster_fields(struct topology *topology, const char *where, const json_t *item,
			  struct machine *machine)
{
	const json_t *cluster = json_object_get(item, "cluster"), *other;
	size_t i;
	int err;

	machine->cluster = cluster ? json_string_value(cluster) : first_cluster(topology);
	if (cluster && (err = check_cluster(topology, where, "cluster", cluster)))
		return err;
	machine->other_clusters = json_object_get(item, "other_clusters");
	if (machine->other_clusters && !json_is_array(machine->other_clusters))
		return sorry(-EINVAL, "%s: other_clusters: not a list", where);
	json_array_foreach (machine->other_clusters, i, other) {
		err = check_cluster(topology, where, "other_clusters", other);
		if (err)
			return err;
	}
	return 0;
}

static json_t *interface_of(const char *name, const struct in6_addr *ip, const uint8_t mac[6])
{
	json_t *interface = json_object();

	json_object_set_new(interface, "interface", json_string(name));
	json_object_set_new(interface, "ip", text_of(ip));
	json_object_set_new(interface, "mac", mac_of(mac));
	return interface;
}

static void node_object(struct topology *topology, const struct machine *machine,
			const json_t *roles)
{
	json_t *object = json_object();

	json_object_set_new(object, "kind", json_string("Node"));
	json_object_set_new(object, "name", json_string(machine->name));
	json_object_set_new(object, "cluster", json_string(machine->cluster));
	json_object_set_new(object, "roles", json_deep_copy(roles));
	json_object_set_new(object, "control_ip", text_of(&machine->control_ip));
	json_object_set_new(object, "tenant",
			    interface_of("tenant0", &machine->tenant_ip, machine->tenant_mac));
	json_object_set_new(object, "zgc",
			    interface_of("zgc0", &machine->zgc_ip, machine->zgc_mac));
	add_object(topology, object);
}

static void host_object(struct topology *topology, const struct machine *machine)
{
	json_t *object = json_object();

	json_object_set_new(object, "kind", json_string("Host"));
	json_object_set_new(object, "name", json_string(machine->name));
	json_object_set_new(object, "cluster", json_string(machine->cluster));
	json_object_set_new(object, "other_clusters",
			    machine->other_clusters ? json_deep_copy(machine->other_clusters)
						    : json_array());
	json_object_set_new(object, "ip", text_of(&machine->tenant_ip));
	json_object_set_new(object, "mac", mac_of(machine->tenant_mac));
	json_object_set_new(object, "interface", json_string("eth0"));
	json_object_set_new(object, "host_kind", json_string("edge"));
	add_object(topology, object);
}

static int options_field(const json_t **out, const char *where, const json_t *object)
{
	const json_t *options = json_object_get(object, "options");
	size_t i;

	if (!options)
		return 0;
	if (!json_is_array(options) || json_array_size(options) > MAX_OPTIONS)
		return sorry(-EINVAL, "%s: options: not a list of at most %d", where, MAX_OPTIONS);
	for (i = 0; i < json_array_size(options); i++)
		if (!json_is_string(json_array_get(options, i)))
			return sorry(-EINVAL, "%s: options: [%zu] is not text", where, i);
	*out = options;
	return 0;
}

static int machine_read(struct topology *topology, const char *section, size_t index,
			const json_t *item, int is_host)
{
	static const char *const node_fields[] = {"name", "cluster", "roles", "options", NULL};
	static const char *const host_fields[] = {"name", "cluster", "other_clusters", "options",
						  NULL};
	struct machine *machine = &topology->machine[topology->machines];
	struct where where = at(section, index, item);
	size_t number = topology->machines + 1;
	int err;

	*machine = (struct machine){.is_host = is_host};
	err = known_fields(where.text, item, is_host ? host_fields : node_fields);
	if (err || (err = text_field(&machine->name, where.text, item, "name")) ||
	    (err = check_name(topology, where.text, machine->name)) ||
	    (err = options_field(&machine->options, where.text, item)) ||
	    (err = cluster_fields(topology, where.text, item, machine)) ||
	    (err = give_address(&machine->tenant_ip, "tenant", &topology->tenant)) ||
	    (err = give_address(&machine->control_ip, "control", &topology->control)))
		return err;
	give_mac(machine->tenant_mac, is_host ? 0x01 : 0x02, number);
	if (is_host) {
		host_object(topology, machine);
	} else {
		err = give_address(&machine->zgc_ip, "zgc", &topology->zgc);
		if (err)
			return err;
		give_mac(machine->zgc_mac, 0x03, number);
		if (!json_is_array(json_object_get(item, "roles")))
			return sorry(-EINVAL, "%s: roles: missing or not a list", where.text);
		node_object(topology, machine, json_object_get(item, "roles"));
	}
	topology->machines++;
	return 0;
}

static int list_of(const json_t **out, const json_t *source, const char *section, int needed)
{
	const json_t *list = json_object_get(source, section);

	if (list && !json_is_null(list) && !json_is_array(list))
		return sorry(-EINVAL, "%s: not a list", section);
	if (needed && !json_array_size(list))
		return sorry(-EINVAL, "%s: missing", section);
	*out = list;
	return 0;
}

static int machines_read(struct topology *topology)
{
	const json_t *nodes, *hosts;
	size_t i;
	int err;

	if ((err = list_of(&nodes, topology->source, "nodes", 1)) ||
	    (err = list_of(&hosts, topology->source, "hosts", 1)))
		return err;
	topology->machine =
		calloc(json_array_size(nodes) + json_array_size(hosts), sizeof(*topology->machine));
	if (!topology->machine)
		return -ENOMEM;
	for (i = 0; i < json_array_size(nodes); i++) {
		err = machine_read(topology, "nodes", i, json_array_get(nodes, i), 0);
		if (err)
			return err;
	}
	for (i = 0; i < json_array_size(hosts); i++) {
		err = machine_read(topology, "hosts", i, json_array_get(hosts, i), 1);
		if (err)
			return err;
	}
	return 0;
}

// One cluster need not have a name, several do.
static int clusters_find(struct topology *topology)
{
	const json_t *one = json_object_get(topology->source, "cluster"), *several;
	json_t *cluster;
	const char *name;
	size_t i, k;
	int err;

	err = list_of(&several, topology->source, "clusters", 0);
	if (err)
		return err;
	if (one && several)
		return sorry(-EINVAL, "clusters: there is cluster, too");
	if (one && !json_is_object(one))
		return sorry(-EINVAL, "cluster: not a mapping of fields");
	if (several && !json_array_size(several))
		return sorry(-EINVAL, "clusters: there is none");
	topology->clusters = several ? json_deep_copy(several) : json_array();
	if (!several) {
		cluster = one ? json_deep_copy(one) : json_object();
		json_array_append_new(topology->clusters, cluster);
		if (!json_is_string(json_object_get(cluster, "name")))
			json_object_set_new(cluster, "name", json_string("main"));
	}
	json_array_foreach (topology->clusters, i, cluster) {
		struct where where = at("clusters", i, cluster);

		if (!json_is_object(cluster))
			return sorry(-EINVAL, "%s: not a mapping of fields", where.text);
		err = text_field(&name, where.text, cluster, "name");
		if (err)
			return err;
		for (k = 0; k < i; k++)
			if (!strcmp(text_in(json_array_get(topology->clusters, k), "name"), name))
				return sorry(-EINVAL, "%s: name: %s is there twice", where.text,
					     name);
	}
	return 0;
}

// Entrances get the addresses after the machines': `entrances: 4` is how many.
static int cluster_read(struct topology *topology, size_t index)
{
	const json_t *given = json_array_get(topology->clusters, index);
	struct where where = at("clusters", index, given);
	json_int_t entrances = 1, i;
	unsigned int tenant_mtu = 1450;
	struct in6_addr first, last;
	json_t *object;
	int err;

	object = json_deep_copy(given);
	if (json_object_get(object, "entrances"))
		entrances = integer_in(object, "entrances");
	json_object_del(object, "entrances");
	add_object(topology, object);
	if (entrances < 1 || entrances > 64)
		return sorry(-EINVAL, "%s: entrances: must be 1 to 64", where.text);
	for (i = 0; i < entrances; i++) {
		err = give_address(i ? &last : &first, "tenant", &topology->tenant);
		if (err)
			return err;
	}
	json_object_set_new(object, "kind", json_string("Cluster"));
	json_object_set_new(object, "entrance_first", text_of(&first));
	json_object_set_new(object, "entrance_last", text_of(entrances > 1 ? &last : &first));
	if (json_is_integer(json_object_get(object, "tenant_mtu")))
		tenant_mtu = (unsigned int)integer_in(object, "tenant_mtu");
	// It is the workloads' MTU, too, whoever serves them.
	if (index && tenant_mtu != topology->tenant_mtu)
		return sorry(-EINVAL, "%s: tenant_mtu: %u is not that of %s", where.text,
			     tenant_mtu, first_cluster(topology));
	topology->tenant_mtu = tenant_mtu;
	return 0;
}

static int clusters_read(struct topology *topology)
{
	size_t i;
	int err;

	for (i = 0; i < json_array_size(topology->clusters); i++)
		if ((err = cluster_read(topology, i)))
			return err;
	return 0;
}

// Sections that are the API's objects but for their kind: passed on as they are.
static int objects_read(struct topology *topology, const char *section, const char *kind)
{
	const json_t *list;
	json_t *object;
	size_t i;
	int err;

	err = list_of(&list, topology->source, section, 0);
	if (err)
		return err;
	for (i = 0; i < json_array_size(list); i++) {
		if (!json_is_object(json_array_get(list, i)))
			return sorry(-EINVAL, "%s[%zu]: not a mapping of fields", section, i);
		object = json_deep_copy(json_array_get(list, i));
		json_object_set_new(object, "kind", json_string(kind));
		if (!strcmp(kind, "Vpc") && !json_object_get(object, "cluster"))
			json_object_set_new(object, "cluster",
					    json_string(first_cluster(topology)));
		add_object(topology, object);
	}
	return 0;
}

static const json_t *subnet_find(const struct topology *topology, const char *vpc, const char *name)
{
	const json_t *list = json_object_get(topology->source, "subnets"), *item;
	size_t i;

	for (i = 0; i < json_array_size(list); i++) {
		item = json_array_get(list, i);
		if (json_is_string(json_object_get(item, "vpc")) &&
		    json_is_string(json_object_get(item, "name")) &&
		    !strcmp(text_in(item, "vpc"), vpc) && !strcmp(text_in(item, "name"), name))
			return item;
	}
	return NULL;
}

static int attach_to_subnet(struct endpoint *endpoint, const char *where, const json_t *subnet)
{
	const json_t *gateway = json_object_get(subnet, "gateway");
	struct in6_addr prefix;
	const char *cidr;
	int err;

	err = text_field(&cidr, where, subnet, "cidr");
	if (err)
		return err;
	if (prefix_parse(cidr, &prefix, &endpoint->bits))
		return sorry(-EINVAL, "%s: its subnet's cidr %s is no prefix", where, cidr);
	if (!prefix_covers(&prefix, endpoint->bits, &endpoint->ip))
		return sorry(-EINVAL, "%s: ip: not in its subnet %s", where, cidr);
	endpoint->has_gateway = !gateway || !json_is_null(gateway);
	if (json_is_string(gateway))
		return address_field(&endpoint->gateway, where, subnet, "gateway");
	endpoint->gateway = prefix;
	endpoint->gateway.s6_addr[15] |= 1;
	return 0;
}

static const struct machine *host_find(const struct topology *topology, const char *name)
{
	size_t i;

	for (i = 0; i < topology->machines; i++)
		if (topology->machine[i].is_host && !strcmp(topology->machine[i].name, name))
			return &topology->machine[i];
	return NULL;
}

static void port_object(struct topology *topology, const struct endpoint *endpoint,
			const json_t *item)
{
	const json_t *groups = json_object_get(item, "groups");
	static const char *const as_given[] = {"allowed_prefixes",  "egress_limit", "ingress_limit",
					       "connections_per_s", "dscp",	    "mirror"};
	json_t *object = json_object(), *ips = json_array();

	json_array_append_new(ips, text_of(&endpoint->ip));
	json_object_set_new(object, "kind", json_string("Port"));
	json_object_set_new(object, "name", json_string(endpoint->name));
	json_object_set_new(object, "vpc", json_string(endpoint->vpc));
	json_object_set_new(object, "host", json_string(endpoint->host->name));
	json_object_set_new(object, "mac", mac_of(endpoint->mac));
	json_object_set_new(object, "ips", ips);
	json_object_set_new(object, "interface", json_string(endpoint->interface));
	json_object_set_new(object, "security_groups",
			    groups ? json_deep_copy(groups) : json_array());
	for (size_t i = 0; i < sizeof(as_given) / sizeof(as_given[0]); i++)
		if (json_object_get(item, as_given[i]))
			json_object_set_new(object, as_given[i],
					    json_deep_copy(json_object_get(item, as_given[i])));
	add_object(topology, object);
}

static int endpoint_read(struct topology *topology, size_t index, const json_t *item)
{
	static const char *const fields[] = {"name",
					     "vpc",
					     "subnet",
					     "ip",
					     "host",
					     "groups",
					     "mac",
					     "allowed_prefixes",
					     "egress_limit",
					     "ingress_limit",
					     "connections_per_s",
					     "dscp",
					     "mirror",
					     NULL};
	struct endpoint *endpoint = &topology->endpoint[topology->endpoints];
	struct where where = at("endpoints", index, item);
	const char *host, *subnet_name, *mac;
	const json_t *subnet;
	int err;

	*endpoint = (struct endpoint){};
	err = known_fields(where.text, item, fields);
	if (err || (err = text_field(&endpoint->name, where.text, item, "name")) ||
	    (err = check_name(topology, where.text, endpoint->name)) ||
	    (err = text_field(&endpoint->vpc, where.text, item, "vpc")) ||
	    (err = text_field(&subnet_name, where.text, item, "subnet")) ||
	    (err = text_field(&host, where.text, item, "host")) ||
	    (err = address_field(&endpoint->ip, where.text, item, "ip")))
		return err;
	endpoint->host = host_find(topology, host);
	if (!endpoint->host)
		return sorry(-EINVAL, "%s: host: there is no host %s", where.text, host);
	subnet = subnet_find(topology, endpoint->vpc, subnet_name);
	if (!subnet)
		return sorry(-EINVAL, "%s: subnet: vpc %s has no subnet %s", where.text,
			     endpoint->vpc, subnet_name);
	err = attach_to_subnet(endpoint, where.text, subnet);
	if (err)
		return err;
	give_mac(endpoint->mac, 0x10, index + 1);
	mac = text_in(item, "mac");
	if (json_object_get(item, "mac") && (!mac || mac_parse(mac, endpoint->mac)))
		return sorry(-EINVAL, "%s: mac: not a MAC address", where.text);
	if (strlen(endpoint->name) < sizeof(endpoint->interface))
		memcpy(endpoint->interface, endpoint->name, strlen(endpoint->name) + 1);
	else
		snprintf(endpoint->interface, sizeof(endpoint->interface), "port%u",
			 (unsigned int)index % 1000000);
	port_object(topology, endpoint, item);
	topology->endpoints++;
	return 0;
}

static int endpoints_read(struct topology *topology)
{
	const json_t *list;
	size_t i;
	int err;

	err = list_of(&list, topology->source, "endpoints", 0);
	if (err)
		return err;
	topology->endpoint = calloc(json_array_size(list) + 1, sizeof(*topology->endpoint));
	if (!topology->endpoint)
		return -ENOMEM;
	for (i = 0; i < json_array_size(list); i++) {
		err = endpoint_read(topology, i, json_array_get(list, i));
		if (err)
			return err;
	}
	return 0;
}

static int segments_read(struct topology *topology)
{
	static const char *const names[] = {"tenant", "zgc", "control", NULL};
	const json_t *underlay = json_object_get(topology->source, "underlay");
	int err;

	if (underlay && (err = known_fields("underlay", underlay, names)))
		return err;
	if ((err = segment_read(&topology->tenant, underlay, "tenant", "172.16.0.0/22", 1500)) ||
	    (err = segment_read(&topology->zgc, underlay, "zgc", "172.16.4.0/22", 1800)) ||
	    (err = segment_read(&topology->control, underlay, "control", "100.64.0.0/16", 1500)))
		return err;
	return give_address(&topology->controller_ip, "control", &topology->control);
}

static int mtu_check(const struct topology *topology)
{
	if (topology->tenant.mtu < topology->tenant_mtu + TENANT_OVERHEAD)
		return sorry(-EINVAL,
			     "underlay.tenant: mtu: %u is too small for a tenant_mtu of %u, "
			     "which needs %zu",
			     topology->tenant.mtu, topology->tenant_mtu,
			     topology->tenant_mtu + TENANT_OVERHEAD);
	if (topology->zgc.mtu < topology->tenant_mtu + ZGC_OVERHEAD)
		return sorry(-EINVAL,
			     "underlay.zgc: mtu: %u is too small for a tenant_mtu of %u, "
			     "which needs %zu",
			     topology->zgc.mtu, topology->tenant_mtu,
			     topology->tenant_mtu + ZGC_OVERHEAD);
	return 0;
}

static int fill(struct topology *topology)
{
	static const char *const sections[] = {"name",
					       "underlay",
					       "cluster",
					       "clusters",
					       "nodes",
					       "hosts",
					       "tenants",
					       "vpcs",
					       "network_acls",
					       "subnets",
					       "security_groups",
					       "endpoints",
					       "load_balancers",
					       "nats",
					       "route_tables",
					       "peerings",
					       NULL};
	int err;

	if ((err = known_fields("topology", topology->source, sections)) ||
	    (err = text_field(&topology->name, "topology", topology->source, "name")) ||
	    (err = check_name(topology, "topology", topology->name)) ||
	    (err = segments_read(topology)) || (err = clusters_find(topology)) ||
	    (err = machines_read(topology)) || (err = clusters_read(topology)) ||
	    (err = mtu_check(topology)) || (err = objects_read(topology, "tenants", "Tenant")) ||
	    (err = objects_read(topology, "vpcs", "Vpc")) ||
	    (err = objects_read(topology, "network_acls", "NetworkAcl")) ||
	    (err = objects_read(topology, "subnets", "Subnet")) ||
	    (err = objects_read(topology, "security_groups", "SecurityGroup")))
		return err;
	// After the ports that they name.
	return endpoints_read(topology)
		       ?: objects_read(topology, "load_balancers", "LoadBalancer")
		       ?: objects_read(topology, "nats", "Nat")
		       ?: objects_read(topology, "route_tables", "RouteTable")
		       ?: objects_read(topology, "peerings", "Peering");
}

int topology_parse(struct topology *out, const char *name, const char *text, size_t length)
{
	auto_(topology_free) struct topology topology = {};
	auto_(documents_free) struct documents documents = {};
	struct document_error error;
	int err;

	err = documents_parse(&documents, text, length, &error);
	if (err)
		return sorry(err, "%s: line %zu: %s", name, error.line, error.text);
	if (documents.count != 1)
		return sorry(-EINVAL, "%s: a topology is one document, here are %zu", name,
			     documents.count);
	topology.source = json_incref(documents.document[0].value);
	err = fill(&topology);
	if (err)
		return err;
	*out = topology;
	topology = (struct topology){};
	return 0;
}

int topology_read(struct topology *out, const char *path)
{
	auto_(freep) char *text = NULL;
	size_t length;
	int err;

	err = input_read(&text, &length, path);
	if (err)
		return sorry(err, "%s: %s", path, strerror(-err));
	return topology_parse(out, path, text, length);
}

void topology_free(struct topology *topology)
{
	json_decref(topology->source);
	json_decref(topology->clusters);
	free(topology->machine);
	free(topology->endpoint);
	documents_free(&topology->objects);
	*topology = (struct topology){};
}
