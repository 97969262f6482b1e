// SPDX-License-Identifier: Apache-2.0
// One endpoint entry per address of a port: packets are found by address, whatever the port.
#include "modules/port/port.h"

#include <arpa/inet.h>
#include <string.h>

#include "modules/uplink/uplink.h"
#include "node/messages.h"
#include "shared/address.h"

#define LINK_LOCAL_BITS 64

static int allowed_entries(const Zeta__Node__V1__Port *port, const __u8 mac[6],
			   struct entries *entries)
{
	struct allowed_key key = {.vni = htonl(port->vni)};
	struct in6_addr own[2];
	int has[2] = {}; // an address of IPv4, of IPv6
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

		if ((err = entries_prefix(entries, "allowed prefix", prefix->address,
					  prefix->length, &key.address)))
			return err;
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
	    (err = allowed_entries(port, value.mac, entries)) ||
	    (err = uplink_check_entries(port, entries)))
		return err;
	for (i = 0; i < port->n_ip; i++)
		if ((err = entries_ip(entries, "ip", port->ip[i], &key.address)) ||
		    (err = entries->put(entries, TABLE_ENDPOINTS, &key, &value)))
			return err;
	return 0;
}

// Few per second come in heaps too.
static struct rate connection_rate(__u32 per_s)
{
	struct rate rate = rate_of(0, per_s, per_s ? CONNECTION_BURST_MS : 0);

	if (rate.burst < CONNECTION_BURST * rate.per_packet)
		rate.burst = CONNECTION_BURST * rate.per_packet;
	return rate;
}

static int read_mirror(const Zeta__Node__V1__Mirror *mirror, struct entries *entries,
		       struct mirror *out)
{
	struct in6_addr collector;
	int err;

	if (!mirror)
		return 0;
	if ((err = entries_ip(entries, "collector", mirror->collector, &collector)))
		return err;
	if (!address_is_v4(&collector))
		return entries_refuse(entries, "a collector that has no IPv4 address");
	if (mirror->vni >> 24)
		return entries_refuse(entries, "a mirror's VNI %u is above 16777215", mirror->vni);
	if (mirror->bytes < MIN_MIRROR_BYTES || mirror->bytes > MAX_MIRROR_BYTES)
		return entries_refuse(entries, "a mirror of %u bytes of each packet",
				      mirror->bytes);
	if (!mirror->egress && !mirror->ingress)
		return entries_refuse(entries, "a mirror of nothing");
	if (!mirror->rate)
		return entries_refuse(entries, "a mirror without a limit");
	if ((err = entries_rate(entries, "a mirror's limit", mirror->rate, &out->rate)))
		return err;
	out->collector = collector;
	out->vni = mirror->vni;
	out->bytes = (__u16)mirror->bytes;
	out->which = (mirror->egress ? MIRROR_EGRESS : 0) | (mirror->ingress ? MIRROR_INGRESS : 0);
	return 0;
}

int local_port_entries(const Zeta__Node__V1__LocalPort *port, struct entries *entries)
{
	struct interface_name name = {};
	struct local_port value = {.vni = port->vni, .cluster = port->cluster};
	int err;

	if (!port->vni || port->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", port->vni);
	if ((err = entries_mac(entries, "mac", port->mac, value.mac)) ||
	    (err = entries_rate(entries, "an egress limit", port->egress, &value.egress)) ||
	    (err = entries_rate(entries, "an ingress limit", port->ingress, &value.ingress)) ||
	    (err = read_mirror(port->mirror, entries, &value.mirror)))
		return err;
	if (port->connections_per_s > MAX_CONNECTIONS_PER_S)
		return entries_refuse(entries, "%u connections per second",
				      port->connections_per_s);
	value.connections = connection_rate(port->connections_per_s);
	if (port->dscp > MAX_DSCP + 1)
		return entries_refuse(entries, "DSCP %u is above %u", port->dscp - 1, MAX_DSCP);
	value.marks = port->dscp != 0;
	value.dscp = port->dscp ? (__u8)(port->dscp - 1) : 0;
	if (strlen(port->interface) < sizeof(name.text))
		memcpy(name.text, port->interface, strlen(port->interface));
	if (interface_name_check(&name))
		return entries_refuse(entries, "\"%s\" cannot be an interface's name",
				      port->interface);
	return entries->put(entries, TABLE_LOCAL_PORTS, &name, &value);
}
