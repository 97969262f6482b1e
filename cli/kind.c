// SPDX-License-Identifier: Apache-2.0
// One table: fields, references and columns of every kind. A new field of the API is one word here.
#include "cli/kind.h"

#include <stdlib.h>
#include <strings.h>

const struct kind kinds[] = {
	{
		.name = "Tenant",
		.word = "tenant",
		.path = "tenants",
		.field = {{"name"}, {"description"}},
		.column = {{"DESCRIPTION", "description"}},
	},
	{
		.name = "Cluster",
		.word = "cluster",
		.path = "clusters",
		.field = {{"name"},
			  {"description"},
			  {"overlay"},
			  {"entrance_first"},
			  {"entrance_last"},
			  {"oam_port"},
			  {"tenant_mtu"},
			  {"replicas"},
			  {"chains"}},
		.column = {{"OVERLAY", "overlay"},
			   {"ENTRANCES", "entrances.ip"},
			   {"TENANT-MTU", "tenant_mtu"},
			   {"REPLICAS", "replicas"},
			   {"CHAINS", "chains"},
			   {"OAM-PORT", "oam_port", 1}},
	},
	{
		.name = "Node",
		.word = "node",
		.path = "nodes",
		.field = {{"name"},
			  {"description"},
			  {"cluster", "clusters"},
			  {"roles"},
			  {"control_ip"},
			  {"tenant"},
			  {"zgc"}},
		.column = {{"CLUSTER", "cluster"},
			   {"ROLES", "roles"},
			   {"CONTROL-IP", "control_ip"},
			   {"TENANT-IP", "tenant.ip"},
			   {"ZGC-IP", "zgc.ip"},
			   {"TENANT-MAC", "tenant.mac", 1},
			   {"ZGC-MAC", "zgc.mac", 1},
			   {"CONNECTED", "status.connected"},
			   {"REVISION", "status.revision"}},
	},
	{
		.name = "Host",
		.word = "host",
		.path = "hosts",
		.field = {{"name"},
			  {"description"},
			  {"cluster", "clusters"},
			  {"ip"},
			  {"mac"},
			  {"interface"},
			  {"host_kind", NULL, "kind"}}, // in YAML "kind" is Host
		.column = {{"CLUSTER", "cluster"},
			   {"KIND", "kind"},
			   {"IP", "ip"},
			   {"MAC", "mac", 1},
			   {"INTERFACE", "interface"},
			   {"CONNECTED", "status.connected"},
			   {"REVISION", "status.revision"}},
	},
	{
		.name = "Vpc",
		.word = "vpc",
		.path = "vpcs",
		.field = {{"name"},
			  {"description"},
			  {"tenant", "tenants"},
			  {"cluster", "clusters"},
			  {"vni"}},
		.column = {{"TENANT", "tenant"},
			   {"CLUSTER", "cluster"},
			   {"VNI", "vni"},
			   {"FUNCTIONS", "functions"}},
	},
	{
		.name = "Subnet",
		.word = "subnet",
		.path = "subnets",
		.per_vpc = 1,
		.field = {{"name"},
			  {"description"},
			  {"vpc", "vpcs"},
			  {"cidr"},
			  {"gateway"},
			  {"gateway_mac"}},
		.column = {{"VPC", "vpc"},
			   {"CIDR", "cidr"},
			   {"GATEWAY", "gateway"},
			   {"GATEWAY-MAC", "gateway_mac", 1}},
	},
	{
		.name = "SecurityGroup",
		.word = "security-group",
		.path = "security-groups",
		.per_vpc = 1,
		.field = {{"name"},
			  {"description"},
			  {"vpc", "vpcs"},
			  {"rules"},
			  {"remote_group", "security-groups"}}, // inside a rule
		.column = {{"VPC", "vpc"}, {"RULES", "rules"}},
	},
	{
		.name = "Port",
		.word = "port",
		.path = "ports",
		.per_vpc = 1,
		.field = {{"name"},
			  {"description"},
			  {"vpc", "vpcs"},
			  {"host", "hosts"},
			  {"mac"},
			  {"ips"},
			  {"interface"},
			  {"security_groups", "security-groups"}},
		.column = {{"VPC", "vpc"},
			   {"IPS", "ips"},
			   {"HOST", "host"},
			   {"GROUPS", "security_groups"},
			   {"MAC", "mac", 1},
			   {"INTERFACE", "interface", 1},
			   {"READY", "status.ready"}},
	},
	{
		.name = "View",
		.word = "view",
		.path = "views",
		.read_only = 1,
		.column = {{"EPOCH", "epoch"},
			   {"ENTRANCES", "entrances.ip"},
			   {"CHAINS", "chains.number"}},
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
