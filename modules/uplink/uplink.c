// SPDX-License-Identifier: Apache-2.0
// The check is always the same one: whoever answers is our own agent.
#include "modules/uplink/uplink.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "modules/health/health.h"
#include "node/messages.h"
#include "shared/address.h"

static int read_ipv4(struct entries *entries, const char *what, ProtobufCBinaryData bytes,
		     struct in6_addr *out)
{
	int err = entries_ip(entries, what, bytes, out);

	if (!err && !address_is_v4(out))
		return entries_refuse(entries, "%s is not an IPv4 address", what);
	return err;
}

int uplink_entries(const Zeta__Node__V1__Uplink *uplink, struct entries *entries)
{
	struct uplink_value value = {.vni = uplink->vni, .table = uplink->table};
	struct interface_name name = {};
	int err;

	if (!uplink->vni || uplink->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", uplink->vni);
	if (!uplink->table)
		return entries_refuse(entries, "table is 0");
	if (strlen(uplink->interface) < sizeof(name.text))
		memcpy(name.text, uplink->interface, strlen(uplink->interface));
	if (interface_name_check(&name))
		return entries_refuse(entries, "\"%s\" cannot be an interface's name",
				      uplink->interface);
	if ((err = read_ipv4(entries, "ip", uplink->ip, &value.ip)) ||
	    (err = read_ipv4(entries, "gateway", uplink->gateway, &value.gateway)))
		return err;
	return entries->put(entries, TABLE_UPLINKS, &name, &value);
}

int announcement_entries(const Zeta__Node__V1__Announcement *announcement, struct entries *entries)
{
	struct endpoint_key key = {.vni = announcement->vni};
	const __u32 is = 1;
	size_t i;
	int err;

	if (!key.vni || key.vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", key.vni);
	for (i = 0; i < announcement->n_address; i++)
		if ((err = read_ipv4(entries, "address", announcement->address[i], &key.address)) ||
		    (err = entries->put(entries, TABLE_ANNOUNCED, &key, &is)))
			return err;
	return 0;
}

static int want_check(const Zeta__Node__V1__Port *port, struct entries *entries, __u32 *place,
		      struct checked_value *checked)
{
	struct health_target target = {
		.protocol = IPPROTO_TCP,
		.port = UPLINK_PORT,
		.check_port = UPLINK_PORT,
		.vni = port->vni,
		.check = {UPLINK_CHECK_MS, UPLINK_TIMEOUT_MS, UPLINK_UP_AFTER, UPLINK_DOWN_AFTER},
	};
	int err;

	if (!port->n_ip)
		return entries_refuse(entries, "an uplink without an address");
	if (strlen(port->id) >= sizeof(target.backend))
		return entries_refuse(entries, "its id is too long");
	memcpy(target.backend, port->id, strlen(port->id)); // NOLINT: the rest is zeros
	if ((err = entries_ip(entries, "ip", port->ip[0], &target.address)))
		return err;
	*checked = (struct checked_value){port->vni, target.address};
	return health_want(entries->health, &target, place);
}

int uplink_check_entries(const Zeta__Node__V1__Port *port, struct entries *entries)
{
	struct endpoint_key key = {.vni = port->vni};
	struct checked_value checked;
	const __u32 is = 1;
	__u32 place;
	int health, err;
	size_t i;

	if (!port->uplink || !entries->health)
		return 0;
	health_begin(entries->health, HEALTH_OF_UPLINK, port->id);
	health = want_check(port, entries, &place, &checked);
	health_end(entries->health);
	if (health == -ENOSPC) // others have all places
		return 0;
	if (health < 0)
		return health;
	if ((err = entries->put(entries, TABLE_CHECKED, &place, &checked)) || health != HEALTH_DOWN)
		return err;
	for (i = 0; i < port->n_ip; i++)
		if ((err = entries_ip(entries, "ip", port->ip[i], &key.address)) ||
		    (err = entries->put(entries, TABLE_ROUTERS_DOWN, &key, &is)))
			return err;
	return 0;
}

void uplink_forget(const Zeta__Node__V1__Port *port, struct health_checks *health)
{
	if (!health || !port->uplink)
		return;
	health_begin(health, HEALTH_OF_UPLINK, port->id);
	health_end(health);
}
