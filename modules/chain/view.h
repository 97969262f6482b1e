/* SPDX-License-Identifier: Apache-2.0 */
// Computes a cluster's next view from its nodes and from what they report: who answers for which
// entrance, which nodes vote in which chain. Pure: no store, no I/O, no clock.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/config.h"
#include "shared/limits.h"

enum presence {
	PRESENCE_AWAITED = 0, // not there, but not for long
	PRESENCE_HERE,	      // connected, its programs loaded
	PRESENCE_GONE,	      // not there for longer than the cluster's repair_after_s
};

struct view_node {
	uint32_t index;	    // in the view, from 1; never given to another node
	unsigned int roles; // ROLE_*
	uint32_t boot;	    // of its last life that is known, 0: none is
	enum presence presence;
	bool drain;	  // it shall have nothing
	uint32_t cleared; // the move whose end left nothing here that is not this node's to have
	bool behind;	  // it is here, and has yet to hear of the view that is
};

struct view_cluster {
	uint32_t number; // of the cluster, from 1
	struct in6_addr entrance_first;
	struct in6_addr entrance_last; // at most MAX_ENTRANCES addresses
	unsigned int replicas;	       // 1 to MAX_REPLICAS
	unsigned int chains; // wanted; 0: one per flow table node that there is when they are
			     // founded, and then as many as there are
	bool held;	     // a VPC goes to it or comes from it: until it is there, they stay
};

struct view_entrance {
	struct in6_addr ip;
	uint8_t mac[6];
	uint32_t owner; // node index, 0: nobody
};

// A node in one of its lives (docs/dft.md M4).
struct view_name {
	uint32_t node;
	uint32_t boot;
};

struct view_chain {
	uint32_t epoch;	       // grows by one with each change of the voters; 0: not founded yet
	uint32_t founded;      // the epoch in which it began, with nothing
	uint32_t forced;       // the epoch in which its list last began by force; 0: never
	uint32_t forced_s;     // when, since 1970; the caller's to say
	unsigned int replicas; // so many voters, the first, are to hold its data
	unsigned int voters;
	struct view_name voter[MAX_VOTERS]; // not founded: whom it would take, boots unknown
};
_Static_assert(sizeof(struct view_chain) == 24 + MAX_VOTERS * sizeof(struct view_name),
	       "no padding: compared as bytes");

// What a chain's nodes report of it. Zeroed: nothing.
struct view_report {
	uint32_t settled;  // bits: voters here that have the chain's epoch in force
	uint32_t heard;	   // bits: voters here that report anything of the chain
	uint32_t epoch;	   // of the newest chosen term that anybody here knows; 0: of none
	uint32_t term;	   // its number
	unsigned int live; // in path[0 .. live), head first
	bool learner;	   // path[live]
	struct view_name path[MAX_CHAIN_LENGTH + 1];
	unsigned int voters; // in force in that term
	struct view_name voter[MAX_VOTERS];
	bool ripe; // the chain has needed force for long enough, and everybody reported since
	unsigned int left; // buckets that leave the chain and are not wholly their new one's yet
};

// Which chains have the buckets (docs/dft.md M7): the first so many.
struct view_spread {
	unsigned int chains;
	unsigned int before; // .. before the last move; 0: there was none
	uint32_t move;	     // number of the last move: the epoch of the view that began it
	bool moving;	     // it is under way
};

struct view {
	uint32_t epoch;
	unsigned int entrances;
	struct view_entrance entrance[MAX_ENTRANCES];
	unsigned int chains; // a chain's number is its place
	struct view_chain chain[MAX_CHAINS];
	struct view_spread spread;
};

// How many addresses there are from first to last, both counted. 0: last is below first, they are
// not of one family, or there are more than MAX_ENTRANCES.
unsigned int entrance_count(const struct in6_addr *first, const struct in6_addr *last);

const struct view_node *view_node_find(const struct view_node *nodes, size_t count, uint32_t index);
// Whether that life of the node is here, and whether it is over: the node is known to live another
// one, or was taken out of the cluster.
bool view_lives(const struct view_node *nodes, size_t count, struct view_name name);
bool view_is_over(const struct view_node *nodes, size_t count, struct view_name name);
// How many voters of the chain live.
unsigned int view_living_voters(const struct view_chain *chain, const struct view_node *nodes,
				size_t count);
// How many replicas each chain shall have: as asked, but no more than there are nodes for it.
unsigned int view_replicas(const struct view_cluster *cluster, const struct view_node *nodes,
			   size_t count);
// Whether a change of the chain is on its way: of its voters, or of who holds its data.
bool view_is_busy(const struct view_chain *chain, const struct view_report *report,
		  const struct view_node *nodes, size_t count);

// docs/dft.md M6, by force: what is to be done about a chain that cannot go on by itself.
enum view_force {
	FORCE_NONE = 0, // it can
	FORCE_WAITS,	// somebody is away who may know more, or have its data
	FORCE_LIST,	// those of its list that live begin anew, with what they have
	FORCE_EMPTY,	// nobody has its data any more
};
enum view_force view_force(const struct view_chain *chain, const struct view_report *report,
			   const struct view_node *nodes, size_t count);

// Fills *view with the successor of *before, which may be NULL: there was none. nodes are in order
// of index; reports has one for each chain of before, NULL: nothing is known.
//
// Entrances: a forwarder keeps what it owned while it is there, and gives away only as many as make
// the numbers differ by one at most, its last ones first; so one more node moves the fewest.
// Entrances of nodes that are gone or leave go to the forwarder with the fewest, the lowest index
// among equals.
//
// Chains are founded together, when nobody is awaited and there are nodes enough for every replica.
// None ever gets another number. Where another number of them is wanted, buckets move, in one move
// at a time: chains are added at the end and have to be whole before buckets come, and are taken
// away from the end when their buckets are gone. A move waits until nothing else is on its way, no
// member of any chain is missing, and nothing is left anywhere of the move before.
//
// Each changes at most one voter in a step, and only when what it was told last is in force and
// majorities of its voters live, before and after: they carry the change themselves (docs/dft.md
// M6). What has to be done for safety comes first, for all chains alike; what is planned (leaving
// nodes, spreading places evenly) is done for one chain at a time, when nothing is on its way. What
// cannot go on by itself is founded anew by force.
void view_build(struct view *view, const struct view *before, const struct view_cluster *cluster,
		const struct view_node *nodes, size_t count, const struct view_report *reports);

// Who is to answer for the entrance while all before are dead: the owner, then the other
// forwarders, such that an owner's entrances go to different ones; those that are gone come last.
// Fills order[count] and returns how many there are.
unsigned int view_preference(const struct view *view, unsigned int entrance,
			     const struct view_node *nodes, size_t count, uint32_t *order);
