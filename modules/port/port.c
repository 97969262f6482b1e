// SPDX-License-Identifier: Apache-2.0
// One endpoint entry per address of a port: packets are found by address, whatever the port.
#include "modules/port/port.h"

#include <arpa/inet.h>
#include <string.h>

#include "node/messages.h"
#include "shared/address.h"

#define LINK_LOCAL_BITS 64

static int allowed_entries(const Zeta__Node__V1__Port *port, const __u8 mac[6],
			   struct entries *entries)
{
	struct allowed_key key = {.vni = htonl(port->vni)};
	struct in6_addr own[2];
	int has[2] = {}; // an address of IPv4, of IPv6
	unsigned int bit;
	size_t i;
	int err, six;

	if (port->n_allowed > MAX_PORT_ALLOWED || (port->n_allowed && !port->n_ip))
		return entries_refuse(entries, "%zu allowed prefixes", port->n_allowed);
	memcpy(key.mac, mac, sizeof(key.mac));
	for (i = port->n_ip; i--;) {
		struct in6_addr address;

		if ((err = entries_ip(entries, "ip", port->ip[i], &address)))
			return err;
		six = !address_is_v4(&address);
		own[six] = address;
		has[six] = 1;
	}
	// As whom it speaks on the link: so it is known by its MAC.
	if (has[1]) {
		key.address = (struct in6_addr){.s6_addr = {0xFE, 0x80}};
		key.prefix_bits = 32 + 64 + LINK_LOCAL_BITS;
		if ((err = entries->put(entries, TABLE_ALLOWED, &key, &own[1])))
			return err;
	}
	for (i = 0; i < port->n_allowed; i++) {
		const Zeta__Node__V1__Prefix *prefix = port->allowed[i];

		if (prefix->length > 128)
			return entries_refuse(entries, "prefix length %u is above 128",
					      prefix->length);
		if ((err = entries_ip(entries, "allowed", prefix->address, &key.address)))
			return err;
		for (bit = prefix->length; bit < 128; bit++)
			if (key.address.s6_addr[bit / 8] & (0x80 >> bit % 8))
				return entries_refuse(entries, "allowed prefix has host bits");
		six = prefix->length < V4_MAPPED_BITS || !address_is_v4(&key.address);
		if (!has[six])
			return entries_refuse(entries,
					      "allowed prefix, and no address of its kind");
		key.prefix_bits = 32 + 64 + prefix->length;
		if ((err = entries->put(entries, TABLE_ALLOWED, &key, &own[six])))
			return err;
	}
	return 0;
}

int port_entries(const Zeta__Node__V1__Port *port, struct entries *entries)
{
	struct endpoint_value value = {};
	struct endpoint_key key = {.vni = port->vni};
	size_t i;
	int err;

	if (!port->vni || port->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", port->vni);
	if (port->n_group > MAX_PORT_GROUPS)
		return entries_refuse(entries, "%zu security groups are more than %u",
				      port->n_group, MAX_PORT_GROUPS);
	for (i = 0; i < port->n_group; i++)
		value.group[i] = port->group[i];
	if ((err = entries_mac(entries, "mac", port->mac, value.mac)) ||
	    (err = entries_ip(entries, "host_ip", port->host_ip, &value.host)) ||
	    (err = entries_mac(entries, "host_mac", port->host_mac, value.host_mac)) ||
	    (err = allowed_entries(port, value.mac, entries)))
		return err;
	for (i = 0; i < port->n_ip; i++)
		if ((err = entries_ip(entries, "ip", port->ip[i], &key.address)) ||
		    (err = entries->put(entries, TABLE_ENDPOINTS, &key, &value)))
			return err;
	return 0;
}

int local_port_entries(const Zeta__Node__V1__LocalPort *port, struct entries *entries)
{
	struct interface_name name = {};
	struct local_port value = {.vni = port->vni, .cluster = port->cluster};
	int err;

	if (!port->vni || port->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", port->vni);
	if ((err = entries_mac(entries, "mac", port->mac, value.mac)))
		return err;
	if (strlen(port->interface) < sizeof(name.text))
		memcpy(name.text, port->interface, strlen(port->interface));
	if (interface_name_check(&name))
		return entries_refuse(entries, "\"%s\" cannot be an interface's name",
				      port->interface);
	return entries->put(entries, TABLE_LOCAL_PORTS, &name, &value);
}
