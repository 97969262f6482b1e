/* SPDX-License-Identifier: Apache-2.0 */
// Workloads' interfaces on an edge host: attached when they appear, and again when they are made
// anew. The loader keeps them, because an interface may come and go while the agent is away.
#pragma once

#include "node/datapath.h"

struct port {
	struct interface_name name;
	struct local_port value;
	unsigned int ifindex; // where it is attached and in the maps; 0: not (yet)
	int complained;	      // about why it is not
};

// Sorted by name.
struct ports {
	struct datapath *datapath; // lent
	__u32 count;
	__u32 changes; // grows when a port becomes ready or stops being ready
	struct port port[MAX_LOCAL_PORTS];
};

// Takes over what a former zetad left attached; the datapath is lent for good.
void ports_adopt(struct ports *ports, struct datapath *datapath);
// Each carries out a checked PUT, REMOVE, KEYS or READY of TABLE_LOCAL_PORTS, as their namesakes
// in node/datapath.h. A port whose interface does not exist yet is put, but not ready.
int ports_put(struct ports *ports, struct message *message, __u32 *done);
int ports_remove(struct ports *ports, struct message *message, __u32 *done);
void ports_keys(const struct ports *ports, struct message *message, int only_ready);
// Attaches what can be attached now. Call it when interfaces changed, and now and then.
void ports_follow(struct ports *ports);
// The programs were loaded anew: attaches the new ones everywhere.
void ports_reload(struct ports *ports);
