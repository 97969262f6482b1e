/* SPDX-License-Identifier: Apache-2.0 */
// Gateway nodes for tests: each is a real load of the gateway and its network functions with pins,
// maps and configuration of its own. Frames between them are carried by the test.
#pragma once

#include <bpf/libbpf.h>

#include "datapath/testing.h"
#include "dft/record.h"
#include "modules/rules/rules.h"
#include "shared/config.h"
#include "shared/loadbalancer.h"
#include "shared/membership.h"
#include "shared/nat.h"
#include "shared/session.h"
#include "shared/tenant.h"
#include "shared/view.h"
#include "wire/dft.h"

struct gateway;
struct divider;
struct bouncer;
struct securitygroup;
struct acl;
struct loadbalancer;
struct nat;
struct peering;
struct translator;

struct node {
	const char *name;
	uint32_t index;
	struct gateway *gw;
	struct divider *divider;
	struct bouncer *bouncer;
	struct securitygroup *securitygroup;
	struct acl *acl;
	struct loadbalancer *loadbalancer;
	struct nat *nat;
	struct peering *peering;
	struct translator *translator;
	struct target entry; // program "gateway"
	struct target oam;
	struct target check; // program "check_out"
	struct target waited;
	uint32_t flat; // pages of each flat table; 0: kernel maps instead
};

// What differs between nodes; the rest follows from the index. sessions 0: room for 4096;
// cached 0: for 1024; zgc_ifindex 0: that of the tenants' side.
struct node_wish {
	const char *name;
	uint32_t index;
	uint32_t roles;
	enum overlay overlay;
	uint32_t sessions;
	uint32_t flat; // pages of each flat session table, a power of two; 0: kernel maps instead
	uint32_t cached;
	uint32_t tick_q10; // as in struct gateway_config
	uint32_t zgc_ifindex;
	uint32_t tenant_ifindex; // 0: the loopback's
	uint32_t beat_ms;	 // as in struct gateway_config
	uint32_t cluster;
	uint32_t questions;  // that may wait for middleboxes; 0: none is ever asked
	uint32_t tenant_mtu; // 0: TENANT_MTU
};

#define TENANT_MTU 1450

// Loads and fills steps, functions, clone; the rest of the maps is empty. A failure ends the
// process: nothing can be tested then.
void node_load(struct node *n, const struct node_wish *wish);
void node_free(struct node *n);
// How many instructions the verifier looked at for that one of the gateway's programs which took it
// most, whose name is *name.
uint32_t node_verified(const struct node *n, const char **name);

// Runs a frame at a node, in place: then it is what was sent, or empty. Returns the verdict that
// was counted; of several the first in verdicts.def.
enum verdict node_run(const struct node *n, struct frame *f);
// The same, as from a socket that checks backends.
enum verdict node_check(const struct node *n, struct frame *f);
// The same, as of a fragment that has waited. GO_ON: it goes on to, and nothing is counted.
enum verdict node_waited(const struct node *n, struct frame *f);
// To the end: runs a frame at the first of so many nodes, whose indices are their places, and then
// wherever it is sent. Returns the last verdict; *op (it may be NULL) becomes the last op that it
// was on the way.
enum verdict node_travel(const struct node *nodes, int count, int first, struct frame *f,
			 struct dft_packet *op);
// What a tail decides about a first packet, in the op as it leaves: *forth for its direction, and
// *back. Returns whether there is something; what says whose packet it is.
int node_decides(const struct node *fwd, const struct node *tail, struct frame *f, int from_b,
		 const char *what, struct decision *forth, struct decision *back);

// The file descriptor of one of the gateway object's maps.
int node_map(const struct node *n, const char *name);
// Writes an entry; a failure ends the process.
void node_put(const struct node *n, const char *map, const void *key, const void *value);
void node_remove(const struct node *n, const char *map, const void *key);
// Empties a hash; "sessions" and "cache" whatever implements them.
void node_clear(const struct node *n, const char *map);
unsigned int node_count(const struct node *n, const char *map);
// The rules of a security group; of: 0; of a network ACL: RULES_OF_ACL. They take the place of
// those that it had, as zetad would have it: at no time are they half there.
void node_rules(const struct node *n, uint32_t of, uint32_t number, const struct rule *rules,
		size_t count);
// An endpoint's security group, of one rule; 0: none.
void node_group(const struct node *n, const struct endpoint_key *endpoint, uint32_t group,
		const struct rule *rule);
// Tells the node of an entrance, and what it has to do for it, as the pacemaker would.
void node_entrance(const struct node *n, uint32_t index, const struct entrance_value *value);
// Tells the node of the cluster's first so many, itself among them: all are alive.
void node_peers(const struct node *n, uint32_t count);
// What the node has heard of one of them.
void node_heard(const struct node *n, uint32_t index, uint32_t boot, int alive);
// All buckets belong to this chain; -1: to none.
void node_buckets(const struct node *n, int chain);
// Endpoints of a VPC: "10.0.0.i" at host "192.168.0.(10 + i)", i from 1. The last has security
// group 1, which lets everything in.
void node_tenant(const struct node *n, uint32_t vni, uint8_t endpoints);
// Its term of a chain, whose members are meant in the life that node_boot() says where boot is 0.
// It has promised nothing above, holds a lease for ever, and if it is the tail, has been for an
// hour.
void node_chain(const struct node *n, uint32_t chain, const struct chain_value *value);
void node_promised(const struct node *n, uint32_t chain, uint64_t term);
void node_lease(const struct node *n, uint32_t chain, uint64_t term, uint64_t end_ns);
void node_tail(const struct node *n, uint32_t chain, uint64_t term, uint32_t since_s);

// A session's record. Returns 1, or 0 where the node has none.
int node_session(const struct node *n, const struct session_key *key, struct dft_record *out);
void node_session_put(const struct node *n, const struct session_key *key,
		      const struct dft_record *record); // unused for an hour
// As if it had been used so long ago, or (mark: session_mark(), 0: not) its end were under way.
void node_session_mark(const struct node *n, const struct session_key *key, uint32_t idle_s,
		       uint32_t mark);
// For how long it has not been used.
uint32_t node_session_idle_s(const struct node *n, const struct session_key *key);
// So that there is no room for another one.
void node_sessions_fill(const struct node *n, uint32_t room);
// What a forwarder caches. Returns 1, or 0 where it caches nothing. Of a flat table told_ms is a
// multiple of FLAT_TOLD_MS, and comes round in a minute.
int node_cached(const struct node *n, const struct session_key *key, struct cache_value *out);
void node_cached_put(const struct node *n, const struct session_key *key,
		     const struct cache_value *value);
// Has the lock of every page held, or free again: as if another CPU had it.
void node_sessions_lock(const struct node *n, uint32_t lock);

// Addresses of a node: "172.16.0.(1 + index)" and the MAC that goes with it.
void node_ip_text(uint32_t index, char out[16]);
void node_mac_text(uint32_t index, char out[18]);
// The same on the tenants' network: "192.168.0.(100 + index)".
void node_tenant_ip_text(uint32_t index, char out[16]);
void node_tenant_mac_text(uint32_t index, char out[18]);
uint32_t node_boot(uint32_t index);
