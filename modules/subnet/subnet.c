// SPDX-License-Identifier: Apache-2.0
// Subnets of all VPCs share one prefix tree, which begins with the VNI.
#include "modules/subnet/subnet.h"

#include <arpa/inet.h>

int subnet_entries(const Zeta__Node__V1__Subnet *subnet, struct entries *entries)
{
	struct subnet_key key = {
		.prefix_bits = 8 * sizeof(key.vni) + subnet->prefix_length,
		.vni = htonl(subnet->vni),
	};
	struct subnet_value value = {
		.subnet = subnet->number, .acl = subnet->acl, .bits = (__u8)subnet->prefix_length};
	int err;

	if (!subnet->vni || subnet->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", subnet->vni);
	if (!subnet->number)
		return entries_refuse(entries, "number is 0");
	if ((err = entries_prefix(entries, "prefix", subnet->prefix, subnet->prefix_length,
				  &key.address)))
		return err;
	if (subnet->gateway.len &&
	    ((err = entries_ip(entries, "gateway", subnet->gateway, &value.gateway)) ||
	     (err = entries_mac(entries, "gateway_mac", subnet->gateway_mac, value.gateway_mac))))
		return err;
	return entries->put(entries, TABLE_SUBNETS, &key, &value);
}
