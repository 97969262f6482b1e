/* SPDX-License-Identifier: Apache-2.0 */
// Computes a cluster's view from its nodes: who owns which entrance, which nodes form which chain.
// Pure: no store, no I/O.
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/config.h"
#include "shared/limits.h"

struct view_node {
	uint32_t index;	    // in the view, from 1; never given to another node
	unsigned int roles; // ROLE_*
};

struct view_cluster {
	uint32_t number; // of the cluster, from 1
	struct in6_addr entrance_first;
	struct in6_addr entrance_last; // at most MAX_ENTRANCES addresses
	unsigned int replicas;	       // 1 to MAX_CHAIN_LENGTH
	unsigned int chains;	       // 0: one per flow table node
};

struct view_entrance {
	struct in6_addr ip;
	uint8_t mac[6];
	uint32_t owner; // node index, 0: nobody
};

struct view_chain {
	uint32_t term;
	unsigned int replicas;
	uint32_t replica[MAX_CHAIN_LENGTH]; // node indices, head first
};

struct view {
	uint32_t epoch;
	unsigned int entrances;
	struct view_entrance entrance[MAX_ENTRANCES];
	unsigned int chains; // a chain's number is its place
	struct view_chain chain[MAX_CHAINS];
};

// How many addresses there are from first to last, both counted. 0: last is below first, they are
// not of one family, or there are more than MAX_ENTRANCES.
unsigned int entrance_count(const struct in6_addr *first, const struct in6_addr *last);

// Fills *view with the successor of *before, which may be NULL: there was none. nodes are in order
// of index.
//
// Entrances: a forwarder keeps what it owned while it is there, and gives away only as many as make
// the numbers differ by one at most, its last ones first; so one more node moves the fewest.
// Entrances of nodes that left go to the forwarder with the fewest, the lowest index among equals.
// Chains: chain i is as many flow table nodes as there are replicas, in order of index and round
// again, from the i-th on. Replicas do not move by themselves in this version, so a change of
// the flow table nodes makes the chains anew, and the sessions of changed chains begin again.
void view_build(struct view *view, const struct view *before, const struct view_cluster *cluster,
		const struct view_node *nodes, size_t count);
