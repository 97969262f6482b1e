// SPDX-License-Identifier: Apache-2.0
// Each subnet has all that its connections need in one entry, so that a packet sees one state of
// it.
#include "modules/nat/nat.h"

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
	for (size_t i = 0; i < nat->n_subnet; i++)
		if (!nat->subnet[i])
			return entries_refuse(entries, "subnet is 0");
	return 0;
}

int nat_entries(const Zeta__Node__V1__Nat *nat, struct entries *entries)
{
	const struct nat_address_value behind = {.vni = nat->vni};
	struct nat_source_value pool = {.vni = nat->external_vni};
	struct endpoint_key key = {.vni = nat->external_vni};
	size_t i;
	int err;

	if ((err = check(nat, entries)) || (err = read_addresses(nat, entries, &pool)))
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
