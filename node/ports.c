// SPDX-License-Identifier: Apache-2.0
// A port is in the maps before its program is attached: its first frame is known already.
#include "node/ports.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/own.h"

#define LINK_PREFIX "port_"

static const char *link_name(unsigned int ifindex, char text[32])
{
	snprintf(text, 32, LINK_PREFIX "%u", ifindex);
	return text;
}

static struct local_mac_key mac_key(const struct local_port *value)
{
	struct local_mac_key key = {.vni = value->vni};

	memcpy(key.mac, value->mac, sizeof(key.mac));
	return key;
}

// Another port may have taken over the MAC meanwhile.
static void forget_mac(const struct ports *ports, const struct local_port *value,
		       unsigned int ifindex)
{
	const struct local_mac_key key = mac_key(value);
	int map = ports->datapath->own[MAP_PORT_BY_MAC];
	struct local_place now;

	if (!bpf_map_lookup_elem(map, &key, &now) && now.ifindex == ifindex)
		bpf_map_delete_elem(map, &key);
}

// An interface that comes later may have the same number.
static void forget_interface(const struct ports *ports, unsigned int ifindex)
{
	bpf_map_delete_elem(ports->datapath->own[MAP_PORT_BY_IFINDEX], &ifindex);
	bpf_map_delete_elem(ports->datapath->own[MAP_PORT_BUCKETS], &ifindex);
}

// Frames of a detached interface would reach the host's own kernel: the entries go first, then the
// program drops them until it is gone too.
static void detach(struct ports *ports, struct port *port)
{
	char link[32];

	if (!port->ifindex)
		return;
	forget_interface(ports, port->ifindex);
	forget_mac(ports, &port->value, port->ifindex);
	link_drop(ports->datapath->dir, link_name(port->ifindex, link));
	port->ifindex = 0;
	ports->changes++;
}

static int write_maps(const struct ports *ports, const struct port *port, unsigned int ifindex)
{
	const struct local_mac_key key = mac_key(&port->value);
	const struct local_place place = {
		.ifindex = ifindex,
		.flags = (rate_limits(&port->value.ingress) ? PLACE_LIMITED : 0) |
			 (port->value.mirror.which & MIRROR_INGRESS ? PLACE_MIRRORED : 0),
	};

	if (bpf_map_update_elem(ports->datapath->own[MAP_PORT_BY_IFINDEX], &ifindex, &port->value,
				BPF_ANY) ||
	    bpf_map_update_elem(ports->datapath->own[MAP_PORT_BY_MAC], &key, &place, BPF_ANY))
		return -errno;
	return 0;
}

static int place(const struct ports *ports, unsigned int ifindex)
{
	int program = datapath_program(ports->datapath, "edge_egress");
	char link[32];

	return program < 0 ? program
			   : link_place(ports->datapath->dir, link_name(ifindex, link),
					HOOK_TCX_INGRESS, ifindex, program, ports->datapath->mode);
}

// Follows the interface of this name, wherever it is now.
static void follow(struct ports *ports, struct port *port)
{
	unsigned int ifindex = if_nametoindex(port->name.text);
	int err;

	if (ifindex == port->ifindex)
		return;
	detach(ports, port);
	// Programs come with the node's settings; without them there is nothing to attach yet.
	if (!ifindex || datapath_program(ports->datapath, "edge_egress") < 0)
		return;
	// There the workload's program would drop the host's own frames.
	err = ifindex == ports->datapath->tenant_ifindex ? -EPERM : 0;
	if (!err)
		err = write_maps(ports, port, ifindex);
	if (!err)
		err = place(ports, ifindex);
	if (!err) {
		port->ifindex = ifindex;
		port->complained = 0;
		ports->changes++;
		return;
	}
	forget_interface(ports, ifindex);
	forget_mac(ports, &port->value, ifindex);
	if (!port->complained && err != -ENODEV)
		log_warnx("local port %s cannot be attached, trying on: %s", port->name.text,
			  strerror(-err));
	port->complained = 1;
}

// The first port whose name is not before this one.
static __u32 place_of(const struct ports *ports, const struct interface_name *name)
{
	__u32 low = 0, high = ports->count, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (memcmp(&ports->port[middle].name, name, sizeof(*name)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct port *find(struct ports *ports, const struct interface_name *name)
{
	__u32 i = place_of(ports, name);

	return i < ports->count && !memcmp(&ports->port[i].name, name, sizeof(*name))
		       ? &ports->port[i]
		       : NULL;
}

// NULL: there are as many as there can be.
static struct port *insert(struct ports *ports, const struct interface_name *name)
{
	__u32 i = place_of(ports, name);
	struct port *port = &ports->port[i];

	if (ports->count == MAX_LOCAL_PORTS)
		return NULL;
	memmove(port + 1, port, (ports->count - i) * sizeof(*port));
	ports->count++;
	*port = (struct port){.name = *name};
	return port;
}

// A link without a port is at an interface that vanished, or was cut short between two steps.
static void drop_stray(void *context, const char *name)
{
	unsigned int ifindex = (unsigned int)strtoul(name + strlen(LINK_PREFIX), NULL, 10);
	const struct ports *ports = context;
	__u32 i;

	for (i = 0; i < ports->count; i++)
		if (ports->port[i].ifindex == ifindex)
			return;
	link_drop(ports->datapath->dir, name);
}

void ports_adopt(struct ports *ports, struct datapath *datapath)
{
	int map = datapath->own[MAP_PORT_BY_IFINDEX];
	unsigned int ifindex, gone[64];
	__u32 *before = NULL, key;
	struct local_port value;
	size_t strays, removed;
	char link[32];

	*ports = (struct ports){.datapath = datapath};
	if (map < 0)
		return;
	do {
		strays = 0;
		for (before = NULL; !bpf_map_get_next_key(map, before, &ifindex);
		     key = ifindex, before = &key) {
			struct interface_name name = {};
			struct port *port;

			if (bpf_map_lookup_elem(map, &ifindex, &value))
				continue;
			if (if_indextoname(ifindex, name.text) &&
			    link_ifindex(datapath->dir, link_name(ifindex, link)) == ifindex) {
				if (!find(ports, &name) && (port = insert(ports, &name))) {
					port->value = value;
					port->ifindex = ifindex;
				}
				continue;
			}
			forget_mac(ports, &value, ifindex);
			if (strays < sizeof(gone) / sizeof(*gone))
				gone[strays++] = ifindex;
		}
		// Removing while asking for the next key would begin at the front again.
		for (removed = 0; removed < strays; removed++)
			forget_interface(ports, gone[removed]);
	} while (strays == sizeof(gone) / sizeof(*gone));
	pins_each(datapath->dir, "links/", LINK_PREFIX, drop_stray, ports);
}

static int put(struct ports *ports, const struct interface_name *name,
	       const struct local_port *value)
{
	struct port *port;

	if (interface_name_check(name))
		return -EINVAL;
	// Elsewhere there is no program to attach.
	if (ports->datapath->own[MAP_PORT_BY_IFINDEX] < 0)
		return -ENOENT;
	port = find(ports, name);
	if (!port && !(port = insert(ports, name)))
		return -ENOSPC;
	if (memcmp(&port->value, value, sizeof(*value)) != 0) {
		const struct local_mac_key before = mac_key(&port->value), after = mac_key(value);

		if (port->ifindex && memcmp(&before, &after, sizeof(after)) != 0)
			forget_mac(ports, &port->value, port->ifindex);
		port->value = *value;
		if (port->ifindex && write_maps(ports, port, port->ifindex))
			detach(ports, port);
	}
	follow(ports, port);
	return 0;
}

int ports_put(struct ports *ports, struct message *message, __u32 *done)
{
	const __u8 *at;
	int err;

	for (*done = 0; *done < message->count; ++*done) {
		at = message_at(message, *done);
		err = put(ports, (const struct interface_name *)at,
			  (const struct local_port *)(at + sizeof(struct interface_name)));
		if (err)
			return err;
	}
	return 0;
}

int ports_remove(struct ports *ports, struct message *message, __u32 *done)
{
	struct port *port;

	for (*done = 0; *done < message->count; ++*done) {
		port = find(ports, message_at(message, *done));
		if (!port)
			continue;
		detach(ports, port);
		ports->count--;
		memmove(port, port + 1,
			(size_t)(ports->port + ports->count - port) * sizeof(*port));
	}
	return 0;
}

void ports_keys(const struct ports *ports, struct message *message, int only_ready)
{
	size_t most = message_fits(MESSAGE_SOME_KEYS, message->table);
	__u32 i = 0, count = 0;
	struct interface_name after;

	if (message->count) {
		memcpy(&after, message_at(message, 0), sizeof(after));
		i = place_of(ports, &after);
		if (i < ports->count && !memcmp(&ports->port[i].name, &after, sizeof(after)))
			i++;
	}
	message->type = MESSAGE_SOME_KEYS;
	for (; i < ports->count && count < most; i++)
		if (!only_ready || ports->port[i].ifindex)
			memcpy(message_at(message, count++), &ports->port[i].name, sizeof(after));
	message->count = count;
}

void ports_follow(struct ports *ports)
{
	__u32 i;

	for (i = 0; i < ports->count; i++)
		follow(ports, &ports->port[i]);
}

void ports_reload(struct ports *ports)
{
	struct port *port;
	int edge = ports->datapath->settings.roles & NODE_EDGE;
	__u32 i;

	for (i = 0; i < ports->count; i++) {
		port = &ports->port[i];
		// The maps may be new ones.
		if (port->ifindex && (!edge || write_maps(ports, port, port->ifindex) ||
				      place(ports, port->ifindex)))
			detach(ports, port);
	}
	if (!edge && ports->count) {
		ports->count = 0;
		ports->changes++;
	}
	ports_follow(ports);
}
