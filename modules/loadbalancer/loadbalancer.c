// SPDX-License-Identifier: Apache-2.0
// Every node makes the Maglev tables itself. They follow from ids and weights alone, so that
// whichever node decides about a connection, it would have been the same backend.
#include "modules/loadbalancer/loadbalancer.h"

#include <arpa/inet.h>
#include <errno.h>

#include "lib/own.h"
#include "modules/chain/maglev.h"

// Of one listener. Those of weight 0 have what they have, and get nothing new.
static int fill_listener(const Zeta__Node__V1__Listener *listener, struct entries *entries,
			 struct listener_value *value)
{
	struct maglev_member members[MAX_BACKENDS];
	uint16_t slots[LISTENER_SLOTS];
	size_t i;
	int err;

	if (listener->n_backend > MAX_BACKENDS)
		return entries_refuse(entries, "%zu backends are more than %u", listener->n_backend,
				      MAX_BACKENDS);
	for (i = 0; i < listener->n_backend; i++) {
		const Zeta__Node__V1__Backend *backend = listener->backend[i];
		__u16 place = value->backends;

		if (backend->weight > MAX_WEIGHT)
			return entries_refuse(entries, "weight %u is above %u", backend->weight,
					      MAX_WEIGHT);
		if ((err = entries_ip(entries, "backend", backend->ip, &value->backend[place])))
			return err;
		if (!backend->weight) {
			value->backend[place] = (struct in6_addr){};
			continue;
		}
		members[place] = (struct maglev_member){backend->id, place, backend->weight};
		value->backends++;
	}
	if ((err = maglev_fill(slots, LISTENER_SLOTS, members, value->backends)))
		return err;
	for (i = 0; i < LISTENER_SLOTS; i++)
		value->slot[i] = slots[i] ? (__u8)(slots[i] - 1) : 0;
	return 0;
}

static int put_listener(const Zeta__Node__V1__LoadBalancer *balancer,
			const Zeta__Node__V1__Listener *listener, struct entries *entries)
{
	auto_(freep) struct listener_value *value = calloc(1, sizeof(*value));
	struct listener_key key = {
		.vni = balancer->vni,
		.port = htons((uint16_t)listener->port),
		.protocol = (__u8)listener->protocol,
	};
	int err;

	if (!value)
		return -ENOMEM;
	if (listener->protocol != IPPROTO_TCP && listener->protocol != IPPROTO_UDP)
		return entries_refuse(entries, "protocol %u is neither TCP nor UDP",
				      listener->protocol);
	if (!listener->port || listener->port > 65535)
		return entries_refuse(entries, "port %u is not 1 to 65535", listener->port);
	if (!listener->backend_port || listener->backend_port > 65535)
		return entries_refuse(entries, "backend port %u is not 1 to 65535",
				      listener->backend_port);
	value->backend_port = htons((uint16_t)listener->backend_port);
	if ((err = entries_ip(entries, "ip", balancer->ip, &key.address)) ||
	    (err = fill_listener(listener, entries, value)))
		return err;
	return entries->put(entries, TABLE_LISTENERS, &key, value);
}

int loadbalancer_entries(const Zeta__Node__V1__LoadBalancer *balancer, struct entries *entries)
{
	struct load_balancer_value value = {.by_source = balancer->by_source};
	struct endpoint_key key = {.vni = balancer->vni};
	size_t i;
	int err;

	if (!balancer->vni || balancer->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", balancer->vni);
	if (balancer->n_listener > MAX_VPC_LISTENERS)
		return entries_refuse(entries, "%zu listeners are more than %u",
				      balancer->n_listener, MAX_VPC_LISTENERS);
	if ((err = entries_ip(entries, "ip", balancer->ip, &key.address)))
		return err;
	for (i = 0; i < balancer->n_listener; i++)
		if ((err = put_listener(balancer, balancer->listener[i], entries)))
			return err;
	return entries->put(entries, TABLE_LOAD_BALANCERS, &key, &value);
}
