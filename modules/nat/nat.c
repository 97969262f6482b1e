// SPDX-License-Identifier: Apache-2.0
// Each subnet has all that its connections need in one entry, so that a packet sees one state of
// it.
#include "modules/nat/nat.h"

#include <arpa/inet.h>
#include <errno.h>

// All of the message's addresses.
static int read_addresses(const Zeta__Node__V1__Nat *nat, struct entries *entries,
			  struct nat_source_value *pool)
{
	int err;

	if (nat->n_address > MAX_NAT_ADDRESSES)
		return entries_refuse(entries, "%zu addresses are more than %u", nat->n_address,
				      MAX_NAT_ADDRESSES);
	for (; pool->addresses < nat->n_address; pool->addresses++)
		if ((err = entries_ip(entries, "address", nat->address[pool->addresses],
				      &pool->address[pool->addresses])))
			return err;
	return 0;
}

static int check(const Zeta__Node__V1__Nat *nat, struct entries *entries)
{
	if (!nat->vni || nat->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", nat->vni);
	if (!nat->external_vni || nat->external_vni >> 24)
		return entries_refuse(entries, "external VNI %u is not 1 to 16777215",
				      nat->external_vni);
	if (nat->open && !nat->maps)
		return entries_refuse(entries, "open, without mappings");
	for (size_t i = 0; i < nat->n_subnet; i++)
		if (!nat->subnet[i])
			return entries_refuse(entries, "subnet is 0");
	return 0;
}

static int put_floating(const Zeta__Node__V1__Nat *nat, const Zeta__Node__V1__FloatingIp *floating,
			struct entries *entries)
{
	struct nat_floating_value value = {.vni = nat->external_vni};
	struct nat_address_value behind = {.vni = nat->vni, .chain = floating->chain};
	struct endpoint_key inside = {.vni = nat->vni}, outside = {.vni = nat->external_vni};
	int err;

	if ((err = entries_ip(entries, "inside", floating->inside, &inside.address)) ||
	    (err = entries_ip(entries, "floating IP", floating->address, &outside.address)))
		return err;
	value.address = outside.address;
	behind.inside = inside.address;
	err = entries->put(entries, TABLE_NAT_FLOATING, &inside, &value);
	return err ? err : entries->put(entries, TABLE_NAT_ADDRESSES, &outside, &behind);
}

static int put_forward(const Zeta__Node__V1__Nat *nat, const Zeta__Node__V1__Forward *forward,
		       struct entries *entries)
{
	struct nat_forward_key key = {.vni = nat->external_vni,
				      .port = htons((uint16_t)forward->port),
				      .protocol = (__u8)forward->protocol};
	struct nat_forward_value value = {.port = htons((uint16_t)forward->inside_port),
					  .chain = forward->chain};
	int err;

	if (forward->protocol != IPPROTO_TCP && forward->protocol != IPPROTO_UDP)
		return entries_refuse(entries, "protocol %u is neither TCP nor UDP",
				      forward->protocol);
	if (!forward->port || forward->port > 65535 || !forward->inside_port ||
	    forward->inside_port > 65535)
		return entries_refuse(entries, "port %u or %u is not 1 to 65535", forward->port,
				      forward->inside_port);
	if ((err = entries_ip(entries, "forward's address", forward->address, &key.address)) ||
	    (err = entries_ip(entries, "forward's inside", forward->inside, &value.inside)))
		return err;
	return entries->put(entries, TABLE_NAT_FORWARDS, &key, &value);
}

int nat_entries(const Zeta__Node__V1__Nat *nat, struct entries *entries)
{
	const struct nat_address_value behind = {.vni = nat->vni, .open = nat->open};
	struct nat_source_value pool = {.vni = nat->external_vni, .maps = nat->maps};
	struct endpoint_key key = {.vni = nat->external_vni};
	size_t i;
	int err;

	if ((err = check(nat, entries)) || (err = read_addresses(nat, entries, &pool)))
		return err;
	for (i = 0; i < nat->n_floating_ip; i++)
		if ((err = put_floating(nat, nat->floating_ip[i], entries)))
			return err;
	for (i = 0; i < nat->n_forward; i++)
		if ((err = put_forward(nat, nat->forward[i], entries)))
			return err;
	for (i = 0; i < pool.addresses; i++) {
		key.address = pool.address[i];
		if ((err = entries->put(entries, TABLE_NAT_ADDRESSES, &key, &behind)))
			return err;
	}
	for (i = 0; i < nat->n_subnet && pool.addresses; i++)
		if ((err = entries->put(entries, TABLE_NAT_SOURCES, &nat->subnet[i], &pool)))
			return err;
	return 0;
}
