// SPDX-License-Identifier: Apache-2.0
// rtnetlink: routes written and removed, neighbours asked.
#include "modules/uplink/uplinks.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/netlink.h"
#include "lib/own.h"
#include "node/veth.h"
#include "shared/address.h"

// Where it is not known for so long whether a gateway answers it does not: who is there does at
// once. A bit less than what is between two looks.
#define SILENT_MS 900

// What a former zetad left is there beside what is said anew.
#define ADDRESSES ((size_t)2 * MAX_ANNOUNCED)

// ---- routes

// The routes of ours for one address of a table; to: who gets its packets, NULL: any.
static int ask_route(int netlink, uint16_t type, uint16_t flags, __u32 table, __be32 address,
		     const struct uplink *to)
{
	const __be32 gateway = to ? address_v4(&to->value.gateway) : 0;
	struct netlink_request request;
	struct rtmsg *route = netlink_begin(&request, type, flags, sizeof(*route));

	route->rtm_family = AF_INET;
	route->rtm_dst_len = 32;
	route->rtm_protocol = UPLINK_PROTOCOL;
	route->rtm_scope = to ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE;
	netlink_put(&request, RTA_DST, &address, sizeof(address));
	netlink_put_number(&request, RTA_TABLE, table);
	if (to) {
		route->rtm_type = RTN_UNICAST;
		// The gateway is its neighbour, whatever prefix the interface has.
		route->rtm_flags = RTNH_F_ONLINK;
		netlink_put(&request, RTA_GATEWAY, &gateway, sizeof(gateway));
		netlink_put_number(&request, RTA_OIF, to->ifindex);
	}
	return netlink_ask(netlink, &request);
}

static int add_route(int netlink, const struct uplink *uplink, __be32 address)
{
	return ask_route(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, uplink->value.table,
			 address, uplink);
}

static int remove_route(int netlink, __u32 table, __be32 address)
{
	int err = ask_route(netlink, RTM_DELROUTE, 0, table, address, NULL);

	return err == -ESRCH ? 0 : err;
}

struct found {
	struct uplinks *uplinks; // NULL: to be removed
	int netlink;
	__u32 table; // of the route that was read last
	__be32 address;
	int any;
};

static void read_route(const struct nlmsghdr *message, struct found *f)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct rtattr *table = netlink_find(message, sizeof(*route), RTA_TABLE);
	const struct rtattr *to = netlink_find(message, sizeof(*route), RTA_DST);

	f->table = route->rtm_table;
	f->address = 0;
	if (table && RTA_PAYLOAD(table) == sizeof(f->table))
		memcpy(&f->table, RTA_DATA(table), sizeof(f->table));
	if (to && RTA_PAYLOAD(to) == sizeof(f->address))
		memcpy(&f->address, RTA_DATA(to), sizeof(f->address));
}

// Routes of a table (0: of all) and a protocol (0: of any).
static int each_route(__u32 table, __u8 protocol,
		      int (*fn)(const struct nlmsghdr *message, void *arg), struct found *found)
{
	auto_(closep) int netlink = netlink_open();
	struct netlink_request request;
	struct rtmsg *route = netlink_begin(&request, RTM_GETROUTE, NLM_F_DUMP, sizeof(*route));
	const int on = 1;
	int err;

	if (netlink < 0)
		return netlink;
	// The kernel looks at what is asked for, and says only that.
	if (setsockopt(netlink, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)))
		return -errno;
	route->rtm_family = AF_INET;
	route->rtm_protocol = protocol;
	if (table)
		netlink_put_number(&request, RTA_TABLE, table);
	err = netlink_each(netlink, &request, fn, found);
	return err == -ENOENT ? 0 : err; // there is no such table
}

// RTNH_F_DEAD and RTNH_F_LINKDOWN, as far as all next hops of a route have them.
static unsigned int ways_lost(const struct nlmsghdr *message)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct rtattr *ways = netlink_find(message, sizeof(*route), RTA_MULTIPATH);
	const struct rtnexthop *way = ways ? RTA_DATA(ways) : NULL;
	unsigned int lost = ways ? ~0u : route->rtm_flags;
	int left = ways ? (int)RTA_PAYLOAD(ways) : 0;

	while (left >= (int)sizeof(*way) && RTNH_OK(way, left)) {
		lost &= way->rtnh_flags;
		left -= (int)RTNH_ALIGN(way->rtnh_len);
		way = RTNH_NEXT(way);
	}
	return lost & (RTNH_F_DEAD | RTNH_F_LINKDOWN);
}

// Default routes are a table's first: tables are in the order of addresses. The kernel takes the
// first of them that is not dead, be its interface without a carrier.
static int look_at_default(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	struct found *f = arg;

	if (route->rtm_dst_len)
		return 1;
	if (ways_lost(message) & RTNH_F_DEAD)
		return 0;
	f->any = route->rtm_type == RTN_UNICAST && !ways_lost(message);
	return 1;
}

static int has_way_out(const struct uplink *uplink)
{
	struct found f = {};

	each_route(uplink->value.table, 0, look_at_default, &f);
	return f.any;
}

// ---- the gateway

struct neighbour {
	__u16 state;
};

static int read_neighbour(const struct nlmsghdr *message, void *arg)
{
	const struct ndmsg *neighbour = NLMSG_DATA(message);

	((struct neighbour *)arg)->state = neighbour->ndm_state;
	return 0;
}

static void begin_neighbour(struct netlink_request *request, uint16_t type, uint16_t flags,
			    const struct uplink *uplink, __u16 state, __u8 neighbour_flags)
{
	struct ndmsg *neighbour = netlink_begin(request, type, flags, sizeof(*neighbour));
	const __be32 gateway = address_v4(&uplink->value.gateway);

	neighbour->ndm_family = AF_INET;
	neighbour->ndm_ifindex = (int)uplink->ifindex;
	neighbour->ndm_state = state;
	neighbour->ndm_flags = neighbour_flags;
	netlink_put(request, NDA_DST, &gateway, sizeof(gateway));
}

// Whether the gateway answers, and has the kernel ask it again. -1: that is not known yet; or it is
// not any more, as traffic has the kernel begin anew to ask for what it has just given up.
static int ask_gateway(const struct uplink *uplink)
{
	auto_(closep) int netlink = netlink_open();
	struct neighbour neighbour = {NUD_NONE};
	struct netlink_request request;

	if (netlink < 0)
		return -1;
	begin_neighbour(&request, RTM_GETNEIGH, 0, uplink, 0, 0);
	netlink_each(netlink, &request, read_neighbour, &neighbour);
	if (neighbour.state & (NUD_PERMANENT | NUD_NOARP))
		return 1;
	if (neighbour.state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY)) {
		// Without waiting for packets, or for what the kernel knows to become old.
		begin_neighbour(&request, RTM_NEWNEIGH, NLM_F_REPLACE, uplink, NUD_PROBE, 0);
		netlink_ask(netlink, &request);
		return 1;
	}
	if (neighbour.state & NUD_PROBE)
		return 1;
	if (!(neighbour.state & NUD_INCOMPLETE)) {
		begin_neighbour(&request, RTM_NEWNEIGH, NLM_F_CREATE, uplink, 0, NTF_USE);
		netlink_ask(netlink, &request);
	}
	return neighbour.state & NUD_FAILED ? 0 : -1;
}

// ---- what uplinks have

// Where an address is, or would be.
static __u32 place_of(const struct uplinks *uplinks, const struct endpoint_key *key)
{
	__u32 low = 0, high = uplinks->announced, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (memcmp(&uplinks->address[middle], key, sizeof(*key)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int is_announced(const struct uplinks *uplinks, const struct endpoint_key *key)
{
	__u32 at = place_of(uplinks, key);

	return at < uplinks->announced && !memcmp(&uplinks->address[at], key, sizeof(*key));
}

static int insert(struct uplinks *uplinks, const struct endpoint_key *key)
{
	__u32 at = place_of(uplinks, key);

	if (is_announced(uplinks, key))
		return 0;
	if (uplinks->announced == ADDRESSES)
		return -ENOSPC;
	if (!uplinks->address && !(uplinks->address = calloc(ADDRESSES, sizeof(*uplinks->address))))
		return -ENOMEM;
	memmove(&uplinks->address[at + 1], &uplinks->address[at],
		(uplinks->announced - at) * sizeof(*key));
	uplinks->address[at] = *key;
	uplinks->announced++;
	return 0;
}

// Has all the routes of an uplink be there, or none of them.
static void write_all(const struct uplinks *uplinks, struct uplink *uplink, int there)
{
	auto_(closep) int netlink = netlink_open();
	int err = netlink < 0 ? netlink : 0;
	__u32 i;

	for (i = 0; i < uplinks->announced && !err; i++) {
		const struct endpoint_key *key = &uplinks->address[i];

		if (key->vni == uplink->value.vni)
			err = there ? add_route(netlink, uplink, address_v4(&key->address))
				    : remove_route(netlink, uplink->value.table,
						   address_v4(&key->address));
	}
	uplink->written = err ? -1 : there;
	if (err && !uplink->complained)
		log_warnx("routes of uplink %s, table %u, cannot be written, trying on: %s",
			  uplink->name.text, uplink->value.table, strerror(-err));
	uplink->complained = err != 0;
}

static int is_wanted(const struct uplinks *uplinks, __u32 table, const struct in6_addr *address)
{
	struct endpoint_key key = {.address = *address};
	__u32 i;

	for (i = 0; i < uplinks->count; i++) {
		key.vni = uplinks->uplink[i].value.vni;
		if (uplinks->uplink[i].value.table == table && is_announced(uplinks, &key))
			return 1;
	}
	return 0;
}

// What an uplink has been: its routes go, but for those of who has its table now.
static void remove_all(const struct uplinks *uplinks, const struct uplink *was)
{
	auto_(closep) int netlink = netlink_open();
	int err = netlink < 0 ? netlink : 0;
	__u32 i;

	for (i = 0; i < uplinks->announced && !err; i++) {
		const struct endpoint_key *key = &uplinks->address[i];

		if (key->vni == was->value.vni &&
		    !is_wanted(uplinks, was->value.table, &key->address))
			err = remove_route(netlink, was->value.table, address_v4(&key->address));
	}
	if (err)
		log_warnx("routes of uplink %s stay in table %u: %s", was->name.text,
			  was->value.table, strerror(-err));
}

static void follow(struct uplinks *uplinks, struct uplink *uplink, int changed)
{
	unsigned int ifindex =
		interface_runs(&uplink->name) ? if_nametoindex(uplink->name.text) : 0;
	const int led = uplink->leads, was_ready = uplink->ready;
	int answers;

	if (ifindex != uplink->ifindex || changed)
		uplink->written = -1;
	uplink->ifindex = ifindex;
	answers = ifindex ? ask_gateway(uplink) : 0;
	if (answers >= 0)
		uplink->unknown_ms = 0;
	else if (!uplink->unknown_ms)
		uplink->unknown_ms = now_ms();
	if (answers >= 0 || now_ms() - uplink->unknown_ms >= SILENT_MS)
		uplink->leads = answers > 0;
	if (uplink->leads != led)
		log_info("uplink %s %s: its addresses are %s table %u", uplink->name.text,
			 uplink->leads ? "reaches the cluster"
			 : ifindex     ? "does not reach the cluster"
				       : "is down, or not there",
			 uplink->leads ? "in" : "not in", uplink->value.table);
	if (uplink->leads >= 0 && uplink->written != uplink->leads)
		write_all(uplinks, uplink, uplink->leads);
	uplink->ready = uplink->leads > 0 && has_way_out(uplink);
	uplinks->changes += uplink->ready != was_ready;
}

void uplinks_follow(struct uplinks *uplinks, int changed)
{
	__u32 i;

	for (i = 0; i < uplinks->count; i++)
		follow(uplinks, &uplinks->uplink[i], changed);
}

// ---- what the agent says

static __u32 uplink_of(const struct uplinks *uplinks, const struct interface_name *name)
{
	__u32 i = 0;

	while (i < uplinks->count && memcmp(&uplinks->uplink[i].name, name, sizeof(*name)) < 0)
		i++;
	return i;
}

static int is_uplink(const struct uplinks *uplinks, __u32 i, const struct interface_name *name)
{
	return i < uplinks->count && !memcmp(&uplinks->uplink[i].name, name, sizeof(*name));
}

static int put_uplink(struct uplinks *uplinks, const struct interface_name *name,
		      const struct uplink_value *value)
{
	__u32 i = uplink_of(uplinks, name);
	struct uplink *uplink = &uplinks->uplink[i], was = {};

	if (interface_name_check(name) || !value->table)
		return -EINVAL;
	if (!is_uplink(uplinks, i, name)) {
		if (uplinks->count == MAX_HOST_UPLINKS)
			return -ENOSPC;
		memmove(uplink + 1, uplink, (uplinks->count - i) * sizeof(*uplink));
		uplinks->count++;
	} else if (!memcmp(&uplink->value, value, sizeof(*value))) {
		return 0;
	} else {
		was = *uplink;
		uplinks->changes += uplink->ready;
	}
	*uplink = (struct uplink){.name = *name, .value = *value, .leads = -1, .written = -1};
	if (was.value.table)
		remove_all(uplinks, &was);
	follow(uplinks, uplink, 0);
	return 0;
}

static void remove_uplink(struct uplinks *uplinks, const struct interface_name *name)
{
	__u32 i = uplink_of(uplinks, name);
	struct uplink *uplink = &uplinks->uplink[i], was;

	if (!is_uplink(uplinks, i, name))
		return;
	was = *uplink;
	uplinks->changes += uplink->ready;
	uplinks->count--;
	memmove(uplink, uplink + 1, (uplinks->count - i) * sizeof(*uplink));
	remove_all(uplinks, &was);
}

static int put_address(struct uplinks *uplinks, int netlink, const struct endpoint_key *key)
{
	__u32 i;
	int err;

	if (!key->vni || !address_is_v4(&key->address))
		return -EINVAL;
	if ((err = insert(uplinks, key)))
		return err;
	for (i = 0; i < uplinks->count; i++) {
		struct uplink *uplink = &uplinks->uplink[i];

		// What fails here all are written for, in a second.
		if (uplink->value.vni == key->vni && uplink->written > 0 &&
		    add_route(netlink, uplink, address_v4(&key->address)))
			uplink->written = -1;
	}
	return 0;
}

static int remove_address(struct uplinks *uplinks, int netlink, const struct endpoint_key *key)
{
	__u32 i, at = place_of(uplinks, key);
	int err = 0;

	if (!is_announced(uplinks, key))
		return 0;
	memmove(&uplinks->address[at], &uplinks->address[at + 1],
		(--uplinks->announced - at) * sizeof(*key));
	for (i = 0; i < uplinks->count && !err; i++)
		if (uplinks->uplink[i].value.vni == key->vni)
			err = remove_route(netlink, uplinks->uplink[i].value.table,
					   address_v4(&key->address));
	// Of what was found nobody knows which VPC's it was.
	for (i = 0; i < uplinks->tables && !key->vni && !err; i++)
		if (!is_wanted(uplinks, uplinks->table[i], &key->address))
			err = remove_route(netlink, uplinks->table[i], address_v4(&key->address));
	return err;
}

int uplinks_put(struct uplinks *uplinks, struct message *message, __u32 *done)
{
	const size_t key_size = tables[message->table].key_size;
	auto_(closep) int netlink = netlink_open();
	int err = netlink < 0 ? netlink : 0;
	const __u8 *at;

	for (*done = 0; !err && *done < message->count; *done += !err) {
		at = message_at(message, *done);
		err = message->table == TABLE_UPLINKS
			      ? put_uplink(uplinks, (const void *)at, (const void *)(at + key_size))
			      : put_address(uplinks, netlink, (const void *)at);
	}
	return err;
}

int uplinks_remove(struct uplinks *uplinks, struct message *message, __u32 *done)
{
	auto_(closep) int netlink = netlink_open();
	int err = netlink < 0 ? netlink : 0;

	for (*done = 0; !err && *done < message->count; *done += !err) {
		if (message->table == TABLE_UPLINKS)
			remove_uplink(uplinks, message_at(message, *done));
		else
			err = remove_address(uplinks, netlink, message_at(message, *done));
	}
	return err;
}

static void tell_uplinks(const struct uplinks *uplinks, struct message *message, int only_ready)
{
	struct interface_name after = {};
	__u32 i = 0, count = 0;

	if (message->count) {
		memcpy(&after, message_at(message, 0), sizeof(after));
		i = uplink_of(uplinks, &after);
		i += (__u32)is_uplink(uplinks, i, &after);
	}
	message->type = MESSAGE_SOME_KEYS;
	for (; i < uplinks->count; i++)
		if (!only_ready || uplinks->uplink[i].ready)
			memcpy(message_at(message, count++), &uplinks->uplink[i].name,
			       sizeof(after));
	message->count = count;
}

void uplinks_keys(const struct uplinks *uplinks, struct message *message, int only_ready)
{
	size_t most = message_fits(MESSAGE_SOME_KEYS, message->table);
	struct endpoint_key after;
	__u32 i = 0, count = 0;

	if (message->table == TABLE_UPLINKS) {
		tell_uplinks(uplinks, message, only_ready);
		return;
	}
	if (message->count) {
		memcpy(&after, message_at(message, 0), sizeof(after));
		i = place_of(uplinks, &after);
		i += (__u32)is_announced(uplinks, &after);
	}
	message->type = MESSAGE_SOME_KEYS;
	for (; i < uplinks->announced && count < most; i++)
		memcpy(message_at(message, count++), &uplinks->address[i], sizeof(after));
	message->count = count;
}

// ---- beginning and end

static int adopt(const struct nlmsghdr *message, void *arg)
{
	struct endpoint_key key = {.address.s6_addr = {[10] = 0xFF, 0xFF}};
	struct found *f = arg;
	__u32 i = 0;

	read_route(message, f);
	key.address.s6_addr32[3] = f->address;
	while (i < f->uplinks->tables && f->uplinks->table[i] != f->table)
		i++;
	if (i == MAX_HOST_UPLINKS)
		return 0;
	if (i == f->uplinks->tables)
		f->uplinks->table[f->uplinks->tables++] = f->table;
	return insert(f->uplinks, &key);
}

void uplinks_open(struct uplinks *uplinks)
{
	struct found f = {.uplinks = uplinks};
	int err;

	*uplinks = (struct uplinks){};
	err = each_route(0, UPLINK_PROTOCOL, adopt, &f);
	if (err)
		log_warnx("routes that a former zetad wrote may stay: %s", strerror(-err));
}

void uplinks_close(struct uplinks *uplinks)
{
	free(uplinks->address);
	*uplinks = (struct uplinks){};
}

static int remove_found(const struct nlmsghdr *message, void *arg)
{
	struct found *f = arg;

	read_route(message, f);
	remove_route(f->netlink, f->table, f->address);
	return 0;
}

void uplinks_unload(void)
{
	auto_(closep) int netlink = netlink_open();
	struct found f = {.netlink = netlink};

	if (netlink >= 0)
		each_route(0, UPLINK_PROTOCOL, remove_found, &f);
}
