// SPDX-License-Identifier: Apache-2.0
// Subnets of all VPCs share one prefix tree, which begins with the VNI.
#include "modules/subnet/subnet.h"

#include <arpa/inet.h>

#include "node/messages.h"

static int check_peers(const Zeta__Node__V1__Subnet *subnet, struct entries *entries)
{
	if (subnet->n_peer_vni > MAX_VPC_PEERINGS)
		return entries_refuse(entries, "%zu peers are more than %u", subnet->n_peer_vni,
				      MAX_VPC_PEERINGS);
	for (size_t i = 0; i < subnet->n_peer_vni; i++)
		if (!subnet->peer_vni[i] || subnet->peer_vni[i] >> 24)
			return entries_refuse(entries, "peer's VNI %u is not 1 to 16777215",
					      subnet->peer_vni[i]);
	return 0;
}

// Who decides about packets of a VPC that is peered with the subnet's has to know whose it is.
static int put_for_peers(const Zeta__Node__V1__Subnet *subnet, const struct subnet_key *own,
			 struct entries *entries)
{
	const struct peer_subnet_value value = {.vni = subnet->vni,
						.bits = (__u8)subnet->prefix_length};
	struct subnet_key key = *own;
	int err = 0;

	for (size_t i = 0; i < subnet->n_peer_vni && !err; i++) {
		key.vni = htonl(subnet->peer_vni[i]);
		err = entries->put(entries, TABLE_PEER_SUBNETS, &key, &value);
	}
	return err;
}

int subnet_entries(const Zeta__Node__V1__Subnet *subnet, struct entries *entries)
{
	struct subnet_key key = {
		.prefix_bits = 8 * sizeof(key.vni) + subnet->prefix_length,
		.vni = htonl(subnet->vni),
	};
	struct subnet_value value = {.subnet = subnet->number,
				     .acl = subnet->acl,
				     .chain = subnet->chain,
				     .bits = (__u8)subnet->prefix_length};
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
	if ((err = check_peers(subnet, entries)) ||
	    (err = entries->put(entries, TABLE_SUBNETS, &key, &value)))
		return err;
	return entries->roles & NODE_FTN ? put_for_peers(subnet, &key, entries) : 0;
}
