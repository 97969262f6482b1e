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
	unsigned int bit;
	int err;

	if (!subnet->vni || subnet->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", subnet->vni);
	if (!subnet->number)
		return entries_refuse(entries, "number is 0");
	if (subnet->prefix_length > 128)
		return entries_refuse(entries, "prefix length %u is above 128",
				      subnet->prefix_length);
	if ((err = entries_ip(entries, "prefix", subnet->prefix, &key.address)))
		return err;
	for (bit = subnet->prefix_length; bit < 128; bit++)
		if (key.address.s6_addr[bit / 8] & (0x80 >> bit % 8))
			return entries_refuse(entries, "prefix has host bits");
	if (subnet->gateway.len &&
	    ((err = entries_ip(entries, "gateway", subnet->gateway, &value.gateway)) ||
	     (err = entries_mac(entries, "gateway_mac", subnet->gateway_mac, value.gateway_mac))))
		return err;
	return entries->put(entries, TABLE_SUBNETS, &key, &value);
}
