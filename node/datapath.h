/* SPDX-License-Identifier: Apache-2.0 */
// The node's programs, maps and attachments in the kernel, as the loader handles them. Everything
// is pinned in one directory of a bpffs; what a former zetad left there is adopted.
#pragma once

#include <stddef.h>

#include "modules/heartbeat/pacemaker.h"
#include "node/messages.h"
#include "node/pins.h"

struct bpf_object;
struct embedded_object;

#define DATAPATH_OBJECTS 12
#define DATAPATH_WHY MESSAGE_TEXT

// Maps that the loader reads or fills itself, beside the tables.
enum own_map {
	MAP_VERDICTS,
	MAP_SESSIONS,
	MAP_CACHE,
	MAP_DIRECT,
	MAP_FLAT_SESSIONS,
	MAP_FLAT_CACHE,
	MAP_FLOORS,
	MAP_OUTBOX,
	MAP_OUTBOX_NEXT,
	MAP_COPIES,
	MAP_DEPARTURES,
	MAP_PORT_BY_IFINDEX,
	MAP_PORT_BY_MAC,
	MAP_PORT_BUCKETS,
	MAP_ASKING,
	MAP_VPC_BUCKETS,
	MAP_USAGE,
	MAP_RECORDS,
	MAP_NAT_REFUSING,
	OWN_MAPS,
};

// What implements a gateway's sessions and cache (modules/session/session.bpf.h).
enum session_table {
	SESSIONS_KERNEL, // kernel maps
	SESSIONS_FLAT,	 // the flat table
};

struct datapath {
	const char *dir; // lent
	enum xdp_mode mode;
	enum session_table table;
	__u32 sessions;		       // that the flow table has room for
	struct node_settings settings; // roles 0: none were carried out yet
	unsigned int tenant_ifindex;
	unsigned int zgc_ifindex;
	__u32 boot;  // lives as long as the maps; 0: there are none
	__u32 loads; // how often programs were loaded
	int cpus;
	int tables[TABLES]; // descriptors, -1: this node has no such map
	int own[OWN_MAPS];
	struct bpf_object *objects[DATAPATH_OBJECTS];
	int doors;    // middleboxes may come
	int reshaped; // map "evaluations" is another than before, since the last load
	struct pacer pacer;
};

// Opens what is pinned in dir, which exists and is lent for good. Returns 0 or a negative errno.
int datapath_open(struct datapath *datapath, const char *dir, enum xdp_mode mode,
		  enum session_table table, __u32 sessions);
// Closes; what is pinned goes on.
void datapath_close(struct datapath *datapath);

// Programs for checked settings, which are to run instead of those before, without a gap for
// packets. roles 0: everything is detached and removed. To load them takes up to a second or two,
// in which the datapath goes on as it is: another thread may do that.
struct datapath_loading {
	struct datapath next; // as it is to be; what it has open is lent
	struct node_settings settings;
	const struct embedded_object *embedded[DATAPATH_OBJECTS];
	struct bpf_object *objects[DATAPATH_OBJECTS];
	int err;
	char why[DATAPATH_WHY]; // one sentence
};
void datapath_begin(const struct datapath *datapath, const struct node_settings *settings,
		    struct datapath_loading *loading);
void datapath_load(struct datapath_loading *loading);
// Has them run. Returns 0; -EAGAIN: an interface does not exist yet; or what failed, also before:
// then what ran goes on, and loading->why says it.
int datapath_finish(struct datapath *datapath, struct datapath_loading *loading);

// Whether an interface was made anew under its name, so that its programs have to be loaded again.
int datapath_renewed(struct datapath *datapath);

// Each carries out a checked PUT, REMOVE or KEYS of a table that is a map. *done counts the entries
// that were; on an error the entry after them failed.
int datapath_put(struct datapath *datapath, struct message *message, __u32 *done);
int datapath_remove(struct datapath *datapath, struct message *message, __u32 *done);
// Turns the request into its answer. -ENOENT: no such map on this node.
int datapath_keys(struct datapath *datapath, struct message *message);

// Sets a read-only global variable of an opened object before it is loaded. 0 also where the object
// has none of that name.
int datapath_set(struct bpf_object *object, const char *variable, const void *value, size_t size);
// The descriptor of a loaded program, lent. -ENOENT: it is not loaded.
int datapath_program(const struct datapath *datapath, const char *name);
// Descriptors of the arrays that ballots look at; the caller closes them. -ENOENT:
// there are none.
int datapath_arrays(const struct datapath *datapath, int fds[ARRAYS]);
void datapath_close_arrays(int fds[ARRAYS]);
// Verdict counters, summed over CPUs.
void datapath_verdicts(const struct datapath *datapath, struct verdict_count out[VERDICTS]);
