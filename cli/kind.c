// SPDX-License-Identifier: Apache-2.0
// One table: fields, references and columns of every kind, those that others refer to before them:
// in this order they are applied. A new field of the API is one word here.
#include "cli/kind.h"

#include <stdlib.h>
#include <strings.h>

#define FIELD(text)                                                                                \
	{                                                                                          \
		.name = (text)                                                                     \
	}
#define REFERENCE(text, kind)                                                                      \
	{                                                                                          \
		.name = (text), .refers = (kind)                                                   \
	}
#define RENAMED(text, theirs)                                                                      \
	{                                                                                          \
		.name = (text), .api = (theirs)                                                    \
	}
#define COLUMN(text, path)                                                                         \
	{                                                                                          \
		.title = (text), .field = (path)                                                   \
	}
#define WIDE(text, path)                                                                           \
	{                                                                                          \
		.title = (text), .field = (path), .wide = 1                                        \
	}

const struct kind kinds[] = {
	{
		.name = "Tenant",
		.word = "tenant",
		.path = "tenants",
		.field = {FIELD("name"), FIELD("description")},
		.column = {COLUMN("DESCRIPTION", "description")},
	},
	{
		.name = "Cluster",
		.word = "cluster",
		.path = "clusters",
		.field = {FIELD("name"), FIELD("description"), FIELD("overlay"),
			  FIELD("entrance_first"), FIELD("entrance_last"), FIELD("oam_port"),
			  FIELD("tenant_mtu"), FIELD("replicas"), FIELD("chains"),
			  FIELD("heartbeat_ms"), FIELD("repair_after_s"),
			  FIELD("vpc_first_packets_per_s"), FIELD("vpc_sessions")},
		.column = {COLUMN("OVERLAY", "overlay"), COLUMN("ENTRANCES", "entrances.ip"),
			   COLUMN("TENANT-MTU", "tenant_mtu"), COLUMN("REPLICAS", "replicas"),
			   COLUMN("CHAINS", "chains"), WIDE("OAM-PORT", "oam_port"),
			   WIDE("HEARTBEAT-MS", "heartbeat_ms"),
			   WIDE("REPAIR-AFTER-S", "repair_after_s"),
			   WIDE("VPC-FIRST-PACKETS", "vpc_first_packets_per_s"),
			   WIDE("VPC-SESSIONS", "vpc_sessions")},
	},
	{
		.name = "Node",
		.word = "node",
		.path = "nodes",
		.field = {FIELD("name"), FIELD("description"), REFERENCE("cluster", "clusters"),
			  FIELD("roles"), FIELD("control_ip"), FIELD("tenant"), FIELD("zgc"),
			  FIELD("drain")},
		.column = {COLUMN("CLUSTER", "cluster"), COLUMN("ROLES", "roles"),
			   COLUMN("CONTROL-IP", "control_ip"), COLUMN("TENANT-IP", "tenant.ip"),
			   COLUMN("ZGC-IP", "zgc.ip"), WIDE("TENANT-MAC", "tenant.mac"),
			   WIDE("ZGC-MAC", "zgc.mac"), COLUMN("DRAIN", "drain"),
			   COLUMN("CONNECTED", "status.connected"),
			   COLUMN("REVISION", "status.revision")},
	},
	{
		.name = "Host",
		.word = "host",
		.path = "hosts",
		.field = {FIELD("name"), FIELD("description"), REFERENCE("cluster", "clusters"),
			  REFERENCE("other_clusters", "clusters"), FIELD("ip"), FIELD("mac"),
			  FIELD("interface"),
			  RENAMED("host_kind", "kind")}, // in YAML "kind" is Host
		.column = {COLUMN("CLUSTER", "cluster"), WIDE("OTHER-CLUSTERS", "other_clusters"),
			   COLUMN("KIND", "kind"), COLUMN("IP", "ip"), WIDE("MAC", "mac"),
			   COLUMN("INTERFACE", "interface"),
			   COLUMN("CONNECTED", "status.connected"),
			   COLUMN("REVISION", "status.revision")},
	},
	{
		.name = "Vpc",
		.word = "vpc",
		.path = "vpcs",
		.field = {FIELD("name"), FIELD("description"), REFERENCE("tenant", "tenants"),
			  REFERENCE("cluster", "clusters"), FIELD("vni"),
			  FIELD("first_packets_per_s"), FIELD("sessions"), FIELD("limit"),
			  FIELD("external"), FIELD("service_chain")},
		.column = {COLUMN("TENANT", "tenant"), COLUMN("CLUSTER", "cluster"),
			   COLUMN("MOVE", "move.phase"), WIDE("MOVE-WAITS-FOR", "move.waiting"),
			   COLUMN("VNI", "vni"), COLUMN("FUNCTIONS", "functions"),
			   WIDE("EXTERNAL", "external"),
			   WIDE("FIRST-PACKETS", "first_packets_per_s"),
			   WIDE("SESSIONS", "sessions"), WIDE("BITS", "limit.bits_per_s"),
			   WIDE("PACKETS", "limit.packets_per_s")},
	},
	{
		.name = "NetworkAcl",
		.word = "network-acl",
		.path = "network-acls",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  FIELD("rules")},
		.column = {COLUMN("VPC", "vpc"), COLUMN("RULES", "rules")},
	},
	{
		.name = "ServiceChain",
		.word = "service-chain",
		.path = "service-chains",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  FIELD("functions")},
		.column = {COLUMN("VPC", "vpc"), COLUMN("FUNCTIONS", "functions.function")},
	},
	{
		.name = "Subnet",
		.word = "subnet",
		.path = "subnets",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  FIELD("cidr"), FIELD("gateway"), FIELD("gateway_mac"),
			  REFERENCE("network_acl", "network-acls"),
			  REFERENCE("service_chain", "service-chains")},
		.column = {COLUMN("VPC", "vpc"), COLUMN("CIDR", "cidr"),
			   COLUMN("GATEWAY", "gateway"), WIDE("GATEWAY-MAC", "gateway_mac"),
			   COLUMN("ACL", "network_acl"), WIDE("CHAIN", "service_chain")},
	},
	{
		.name = "SecurityGroup",
		.word = "security-group",
		.path = "security-groups",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  FIELD("rules"),
			  REFERENCE("remote_group", "security-groups")}, // inside a rule
		.column = {COLUMN("VPC", "vpc"), COLUMN("RULES", "rules")},
	},
	{
		.name = "Port",
		.word = "port",
		.path = "ports",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  REFERENCE("host", "hosts"), FIELD("mac"), FIELD("ips"),
			  FIELD("interface"), REFERENCE("security_groups", "security-groups"),
			  FIELD("allowed_prefixes"), FIELD("egress_limit"), FIELD("ingress_limit"),
			  FIELD("connections_per_s"), FIELD("dscp"), FIELD("mirror"),
			  FIELD("uplink")},
		.column = {COLUMN("VPC", "vpc"), COLUMN("IPS", "ips"), COLUMN("HOST", "host"),
			   COLUMN("GROUPS", "security_groups"), WIDE("MAC", "mac"),
			   WIDE("ALLOWED", "allowed_prefixes"), WIDE("INTERFACE", "interface"),
			   WIDE("EGRESS-BITS", "egress_limit.bits_per_s"),
			   WIDE("INGRESS-BITS", "ingress_limit.bits_per_s"), WIDE("DSCP", "dscp"),
			   WIDE("COLLECTOR", "mirror.collector"), COLUMN("READY", "status.ready")},
	},
	{
		.name = "RouteTable",
		.word = "route-table",
		.path = "route-tables",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  FIELD("routes")},
		.column = {COLUMN("VPC", "vpc"), COLUMN("ROUTES", "routes")},
	},
	{
		.name = "LoadBalancer",
		.word = "load-balancer",
		.path = "load-balancers",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  FIELD("ip"), FIELD("affinity"), FIELD("direct_return"),
			  FIELD("syn_protection"), FIELD("syn_rate"), FIELD("listeners"),
			  FIELD("check"), REFERENCE("service_chain", "service-chains"),
			  FIELD("backends"),	       // inside a listener
			  REFERENCE("port", "ports")}, // inside a backend
		.column = {COLUMN("VPC", "vpc"), COLUMN("IP", "ip"),
			   COLUMN("LISTENERS", "listeners.port"), COLUMN("UP", "status.up"),
			   COLUMN("DOWN", "status.down"), WIDE("AFFINITY", "affinity"),
			   WIDE("DIRECT", "direct_return"), WIDE("SYN", "syn_protection"),
			   WIDE("CHAIN", "service_chain")},
	},
	{
		.name = "Nat",
		.word = "nat",
		.path = "nats",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  REFERENCE("external_vpc", "vpcs"), FIELD("addresses"),
			  REFERENCE("subnets", "subnets"), FIELD("mapping"), FIELD("filtering"),
			  FIELD("floating_ips"), FIELD("forwards"),
			  REFERENCE("target", "ports"),			 // inside one of these
			  REFERENCE("service_chain", "service-chains")}, // as well
		.column = {COLUMN("VPC", "vpc"), COLUMN("EXTERNAL-VPC", "external_vpc"),
			   COLUMN("ADDRESSES", "addresses"), COLUMN("SUBNETS", "subnets"),
			   COLUMN("FLOATING-IPS", "floating_ips.ip"),
			   WIDE("FORWARDS", "forwards.port"), WIDE("MAPPING", "mapping"),
			   WIDE("FILTERING", "filtering"),
			   WIDE("CHAINS", "floating_ips.service_chain")},
	},
	{
		.name = "Peering",
		.word = "peering",
		.path = "peerings",
		.per_vpc = 1,
		.field = {FIELD("name"), FIELD("description"), REFERENCE("vpc", "vpcs"),
			  REFERENCE("peer", "vpcs")},
		.column = {COLUMN("VPC", "vpc"), COLUMN("PEER", "peer"), COLUMN("STATE", "state")},
	},
	{
		.name = "Function",
		.word = "function",
		.path = "functions",
		.field = {FIELD("name"), FIELD("description"), REFERENCE("cluster", "clusters"),
			  FIELD("running")},
		.column = {COLUMN("CLUSTER", "cluster"), COLUMN("RUNNING", "running"),
			   COLUMN("VERSIONS", "versions.version"), WIDE("SLOT", "slot")},
	},
	{
		.name = "View",
		.word = "view",
		.path = "views",
		.read_only = 1,
		.column = {COLUMN("EPOCH", "epoch"), COLUMN("ENTRANCES", "entrances.ip"),
			   COLUMN("CHAINS", "chains.number")},
	},
	{},
};

const struct kind *kind_find(const char *word)
{
	const struct kind *kind;

	for (kind = kinds; kind->name; kind++)
		if (!strcasecmp(word, kind->name) || !strcasecmp(word, kind->word) ||
		    !strcasecmp(word, kind->path))
			return kind;
	return NULL;
}

const struct kind *kind_of_path(const char *path)
{
	const struct kind *kind = kind_find(path);

	if (!kind)
		abort();
	return kind;
}

const struct field *kind_field(const struct kind *kind, const char *name)
{
	size_t i;

	for (i = 0; i < KIND_FIELDS && kind->field[i].name; i++)
		if (!strcasecmp(kind->field[i].name, name))
			return &kind->field[i];
	return NULL;
}

const char *field_api(const struct field *field)
{
	return field->api ? field->api : field->name;
}
