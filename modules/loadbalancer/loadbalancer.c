// SPDX-License-Identifier: Apache-2.0
// Every node makes the Maglev tables itself. They follow from ids and weights, and from who of them
// is there, so that whichever node decides about a connection, it would have been the same backend.
#include "modules/loadbalancer/loadbalancer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "lib/own.h"
#include "modules/chain/maglev.h"
#include "modules/health/health.h"

static int read_check(const Zeta__Node__V1__Check *check, struct entries *entries,
		      struct health_target *target)
{
	size_t length = strlen(check->path);

	if (!check->port || check->port > 65535)
		return entries_refuse(entries, "port %u of a check is not 1 to 65535", check->port);
	if (length > MAX_CHECK_PATH)
		return entries_refuse(entries, "a check's path is longer than %u", MAX_CHECK_PATH);
	if (check->interval_ms < MIN_CHECK_MS || check->interval_ms > MAX_CHECK_MS ||
	    !check->timeout_ms || !check->up_after || !check->down_after ||
	    check->down_after > MAX_CHECK_TIMES ||
	    (__u64)check->timeout_ms * check->down_after >= check->interval_ms)
		return entries_refuse(entries, "a check's times make no sense");
	target->http = check->http;
	target->check_port = (__u16)check->port;
	target->check = (struct check){check->interval_ms, check->timeout_ms, check->up_after,
				       check->down_after};
	memcpy(target->path, check->path, length); // NOLINT: the rest is zeros
	return 0;
}

// Has the listener's backends checked, and says what they are taken for.
static int want_checks(const Zeta__Node__V1__LoadBalancer *balancer,
		       const Zeta__Node__V1__Listener *listener, struct entries *entries,
		       int health[MAX_BACKENDS])
{
	struct checked_value checked = {.vni = balancer->vni};
	struct health_target target = {
		.protocol = (__u8)listener->protocol,
		.port = (__u16)listener->port,
		.vni = balancer->vni,
	};
	__u32 place;
	size_t i;
	int err;

	if ((err = read_check(listener->check, entries, &target)))
		return err;
	for (i = 0; i < listener->n_backend; i++) {
		const Zeta__Node__V1__Backend *backend = listener->backend[i];

		if (strlen(backend->id) >= sizeof(target.backend))
			return entries_refuse(entries, "a backend's id is too long");
		memset(target.backend, 0, sizeof(target.backend));
		memcpy(target.backend, backend->id, strlen(backend->id)); // NOLINT: .. zeros
		if ((err = entries_ip(entries, "backend", backend->ip, &target.address)))
			return err;
		health[i] = health_want(entries->health, &target, &place);
		// Others have all places. Nobody's load balancer ends for that.
		if (health[i] == -ENOSPC) {
			health[i] = HEALTH_UP;
			continue;
		}
		if (health[i] < 0)
			return health[i];
		checked.address = target.address;
		if ((err = entries->put(entries, TABLE_CHECKED, &place, &checked)))
			return err;
	}
	return 0;
}

// Where all are down that is as good as knowing nothing: checks may be what is broken.
int loadbalancer_takes(const Zeta__Node__V1__Listener *listener, const int health[MAX_BACKENDS])
{
	int best = HEALTH_DOWN;
	size_t i;

	for (i = 0; i < listener->n_backend; i++) {
		if (!listener->backend[i]->weight)
			continue;
		if (health[i] == HEALTH_UP)
			return HEALTH_UP;
		if (health[i] == HEALTH_UNKNOWN)
			best = HEALTH_UNKNOWN;
	}
	return best;
}

// Of one listener. Those of weight 0, and those that are not there, have what they have, and get
// nothing new.
static int fill_listener(const Zeta__Node__V1__Listener *listener, struct entries *entries,
			 const int health[MAX_BACKENDS], struct listener_value *value)
{
	const int best = loadbalancer_takes(listener, health);
	struct maglev_member members[MAX_BACKENDS];
	uint16_t slots[LISTENER_SLOTS];
	size_t i;
	int err;

	for (i = 0; i < listener->n_backend; i++) {
		const Zeta__Node__V1__Backend *backend = listener->backend[i];
		__u16 place = value->backends;

		if (backend->weight > MAX_WEIGHT)
			return entries_refuse(entries, "weight %u is above %u", backend->weight,
					      MAX_WEIGHT);
		if ((err = entries_ip(entries, "backend", backend->ip, &value->backend[place])))
			return err;
		if (!backend->weight || health[i] != best) {
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

// Those of weight 0, too: what they have goes on.
static int put_direct(const Zeta__Node__V1__LoadBalancer *balancer,
		      const Zeta__Node__V1__Listener *listener, const struct in6_addr *ip,
		      struct entries *entries)
{
	struct direct_backend_key key = {.vni = balancer->vni, .address = *ip};
	struct in6_addr own;
	size_t i;
	int err;

	if (listener->backend_port != listener->port)
		return entries_refuse(entries, "backend port %u is not the port %u",
				      listener->backend_port, listener->port);
	for (i = 0; i < listener->n_backend; i++) {
		const Zeta__Node__V1__Backend *backend = listener->backend[i];

		if ((err = entries_ip(entries, "backend", backend->ip, &own)) ||
		    (err = entries_mac(entries, "backend's mac", backend->mac, key.mac)) ||
		    (err = entries->put(entries, TABLE_DIRECT_BACKENDS, &key, &own)))
			return err;
	}
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
	int health[MAX_BACKENDS] = {};
	int err;

	if (!value)
		return -ENOMEM;
	if (listener->n_backend > MAX_BACKENDS)
		return entries_refuse(entries, "%zu backends are more than %u", listener->n_backend,
				      MAX_BACKENDS);
	if (listener->protocol != IPPROTO_TCP && listener->protocol != IPPROTO_UDP)
		return entries_refuse(entries, "protocol %u is neither TCP nor UDP",
				      listener->protocol);
	if (!listener->port || listener->port > 65535)
		return entries_refuse(entries, "port %u is not 1 to 65535", listener->port);
	if (!listener->backend_port || listener->backend_port > 65535)
		return entries_refuse(entries, "backend port %u is not 1 to 65535",
				      listener->backend_port);
	value->backend_port = htons((uint16_t)listener->backend_port);
	if (listener->check && entries->health &&
	    (err = want_checks(balancer, listener, entries, health)))
		return err;
	if ((err = entries_ip(entries, "ip", balancer->ip, &key.address)) ||
	    (err = fill_listener(listener, entries, health, value)))
		return err;
	if (balancer->direct && (err = put_direct(balancer, listener, &key.address, entries)))
		return err;
	return entries->put(entries, TABLE_LISTENERS, &key, value);
}

static int put_listeners(const Zeta__Node__V1__LoadBalancer *balancer, struct entries *entries)
{
	size_t i;
	int err = 0;

	if (entries->health)
		health_begin(entries->health, HEALTH_OF_BALANCER, balancer->id);
	for (i = 0; i < balancer->n_listener && !err; i++)
		err = put_listener(balancer, balancer->listener[i], entries);
	if (entries->health)
		health_end(entries->health);
	return err;
}

int loadbalancer_entries(const Zeta__Node__V1__LoadBalancer *balancer, struct entries *entries)
{
	struct load_balancer_value value = {.by_source = balancer->by_source,
					    .direct = balancer->direct,
					    .chain = balancer->chain};
	struct endpoint_key key = {.vni = balancer->vni};
	int err;

	if (!balancer->vni || balancer->vni >> 24)
		return entries_refuse(entries, "VNI %u is not 1 to 16777215", balancer->vni);
	if (balancer->n_listener > MAX_VPC_LISTENERS)
		return entries_refuse(entries, "%zu listeners are more than %u",
				      balancer->n_listener, MAX_VPC_LISTENERS);
	if ((err = entries_ip(entries, "ip", balancer->ip, &key.address)))
		return err;
	if ((err = put_listeners(balancer, entries)))
		return err;
	return entries->put(entries, TABLE_LOAD_BALANCERS, &key, &value);
}

void loadbalancer_forget(const Zeta__Node__V1__LoadBalancer *balancer, struct health_checks *health)
{
	if (!health)
		return;
	health_begin(health, HEALTH_OF_BALANCER, balancer->id);
	health_end(health);
}
