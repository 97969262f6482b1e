// SPDX-License-Identifier: Apache-2.0
// The simulator's world: nodes, chains, forwarders, a bad network, virtual time; and what is known
// of it that no node knows, for the checks.
//
//   sim.c        seeds, options, the search for bugs that were put back
//   sim_world.c  time, network, faults, clients and forwarders, the controller
//   sim_table.c  a flow table node: what gateway.bpf.c and zetad do, around dft/core.h, dft/term.h
//   sim_check.c  the invariants I1 to I9 of docs/dft.md, checked after every step
#pragma once

#include "dft/core.h"
#include "dft/move.h"
#include "dft/term.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SLOTS 8		// nodes of a chain that may become replicas, voters, spares
#define KEYS_MOST 16	// of a chain; few, so that they meet
#define SIM_BUCKETS 2	// of a chain: keys share floors
#define GUEST 8		// chain 0's first bucket moves to chain 1, where its keys begin here
#define REPLICAS 3	// that a chain shall have
#define LIVES_MOST 8	// of a key that the checks remember
#define TRACE_MOST 8192 // events that a failure can show
#define LINE_BYTES 144	// of what a trace says of an event
#define CONTROLLER 0	// node 0; flow table nodes and forwarders follow

#define US 1ull
#define MS 1000ull

// What a seed decides about its run.
struct plan {
	uint64_t seed;
	unsigned chains, keys, spares, forwarders, nodes;
	unsigned aliases;  // of the keys, the last ones, are what sessions are translated to
	unsigned capacity; // records of a replica in a chain
	uint64_t length, op_every;
	uint64_t refresh, packet_life, timeout;
	struct dft_times times;
	unsigned drift; // clocks' rates differ by up to this many thousandths
	// In thousandths: of messages lost, doubled, late.
	unsigned lost, doubled, late;
	unsigned sluggish; // of requests, which then arrive after lives have ended
	unsigned lazy;	   // of an ager's looks at a tombstone, which it then leaves for later
	bool upheavals;	   // views that have little in common
	bool crashes, pauses, partitions, one_way, links, repair, drains, deaf, massacres,
		controller_rests, forwarders_crash;
	uint64_t fault_every;
	uint64_t move_at; // when chain 0's bucket 0 moves to chain 1; 0: never
	unsigned moves;	  // then back, and so on: so many times
	int favourite;	  // the fault that this world sees most, -1: none
};

enum fault {
	FAULT_CRASH,
	FAULT_PAUSE = 2,
	FAULT_PARTITION,
	FAULT_FORWARDER = 5,
	FAULT_DRAIN,
	FAULT_MASSACRE,
	FAULT_LINK,
};

enum op_kind {
	OP_LOOKUP,
	OP_REPLY,
	OP_INSERT,
	OP_UPDATE,
	OP_DELETE,
	OP_COLLECT,
	OP_COPY,  // replication of a record
	OP_FLOOR, // replication of a floor, with or without the stamp of a tombstone
	OP_BULK,
	OP_BULK_TAKEN,
	OP_RESERVE,   // an alias, for a session that waits for it
	OP_VERIFY,    // is the alias' session there?
	OP_UNRESERVE, // it is gone for good
	OP_FENCE,     // controller to the old head
	OP_MOVED,     // all of the old live list is fenced, says the end of its path
	OP_PULL,      // what does the old head have?
	OP_PULLED,
	OP_ADOPTED, // all of the new path has what the old head answered
	OP_INQUIRE, // has the old head anything of an alias that is to be reserved?
	OP_KINDS
};

// A session's alias, as ops carry it; both by what their keys are called at home. chain NOWHERE:
// none.
#define NOWHERE 0xFFFFFFFFu
struct alias_use {
	uint32_t chain, key;
	uint32_t session_chain, session_key;
	struct dft_stamp life; // of the session
};

struct op {
	uint8_t kind, hops, packet, collect;
	uint8_t chosen;	    // the evaluator could choose another alias
	uint8_t reserves;   // a copy of an alias, for a session that waits for it
	uint8_t translated; // the packet came by op.alias
	uint8_t gone;	    // a floor: where all have it, op.alias' session is gone
	uint8_t pulled;	    // the old head had nothing
	uint8_t inquired;   // .. of the alias
	uint8_t report;	    // enum report
	uint8_t back;	    // the new chain did not know that it has the bucket
	uint8_t read;	    // of the tail's own table, for its learner
	uint16_t state;
	uint32_t chain, key;
	uint32_t forwarder, boot; // whose packet it is
	uint64_t asked;		  // on the forwarder's clock
	uint64_t born;		  // the same in the world's time, for the checks only
	struct dft_term term;
	struct dft_stamp stamp; // seen; named
	uint32_t floor;
	struct alias_use alias;
	struct dft_bucket bucket;
	struct dft_record record;
	// The session that waits for its alias, and what its evaluator saw.
	struct dft_record session;
	struct dft_stamp session_seen;
};

// What the end of a path is to tell.
enum report { NO_REPORT, REPORT_FENCE, REPORT_ADOPTED };

enum message_kind { TO_TABLE, TO_TERM, TICK, CLIENT, FAULT, CRASH, WAKE, REPAIR, MOVE, DEAFEN };

struct message {
	uint64_t when, order;
	uint32_t kind, from, to, chain;
	union {
		struct op op;
		struct dft_term_message term;
	};
};

struct entry {
	struct dft_record record;
	uint64_t used;	// this node's clock; of an alias: when its session was last asked about
	uint64_t asked; // when its delete or collection was last asked for
	bool deleting;
};

struct replica {
	struct dft_member member;
	struct entry entry[KEYS_MOST];
	uint32_t floor[2 * SIM_BUCKETS]; // its own, its guests'
	struct dft_bucket bucket;	 // the one that moves
	uint32_t pulled;		 // bits of guest keys that the old head answered for
	uint32_t copied;		 // bits of keys that the learner has confirmed
	uint32_t next_push;
	uint64_t timers; // when they were restarted
};

// Life of a session, as seen from above.
struct life {
	struct dft_stamp stamp;
	uint32_t decision;			// number of the evaluation
	bool ended;				// some head made it a tombstone,
	uint32_t ended_at;			// when this many evaluations had been made,
	uint16_t ended_in;			// in this generation, or a later one than others
	uint16_t sent[DFT_GENERATION_MASK + 1]; // state that forwarders have sent for it
	uint16_t generation;			// that was released last
};

struct key_facts {
	struct life life[LIVES_MOST]; // released ones, the newest last
	uint32_t lives;
	uint32_t at;		  // the chain that released it last
	struct dft_stamp applied; // newest life that a forwarder or host has used
	uint64_t forgiven;	  // until when lives from before a loss may be used beside others
	uint64_t answered;	  // when the op was asked that was answered last
	uint32_t move;		  // after which it was released last
	// Whose packets carried the key last, its own session's or an alias', and whose before.
	uint32_t user_chain, user_key;
	struct dft_stamp user_life;
	struct {
		uint32_t chain, key;
		struct dft_stamp life;
	} before[LIVES_MOST];
	uint32_t others;
};

struct chain {
	uint32_t node[SLOTS];
	uint32_t slots;
	struct replica replica[SLOTS];
	struct key_facts facts[KEYS_MOST];
	struct dft_configuration latest; // the newest term that is known chosen
	struct dft_voters latest_voters;
	// The controller's: the view that it published last, and who was given it, as bits of
	// slots.
	struct dft_voters voters;
	uint32_t given;
	bool forced, kept;	 // it is a founding by force; with records that were left
	struct dft_term checked; // of the last ballot whose proposal was looked at
	uint64_t ill_since, stuck_since;
};

struct node {
	uint32_t boot;
	bool up;
	uint64_t paused_until; // it stands still
	uint64_t daemon_until; // its daemon does: packets, beats and votes go on
	uint64_t offset;
	bool drained;
	int rate; // thousandths by which its clock is fast
	bool cut; // on the other side of the partition
};

struct cached {
	bool valid, told;
	uint32_t chain, key; // of the session: this one, or whose alias this is
	struct dft_record record;
	uint64_t asked;
	// The direct path, at the host that was told.
	struct dft_stamp told_life;
	uint32_t told_decision;
	uint64_t told_until;
};

// Whom a forwarder takes for head and tail of a chain.
struct outlook {
	uint32_t head, tail;
};

struct counters {
	uint64_t events, ops, terms, applied, cached, direct, evaluated, inserted, deleted,
		collected;
	uint64_t lost, doubled, late, crashes, pauses, partitions, links, views, drains, forced,
		reopened, held, reserved, asked_for, orphaned, aliased, promotions, fills, full;
	uint64_t moves, pulls, inquired;
	uint64_t no_lease, stale_term, old_reply, ballots;
};

struct trace {
	uint64_t when;
	uint32_t node, chain, key;
	char text[LINE_BYTES];
};

struct world {
	struct plan plan;
	uint64_t now, random, order;
	struct node *node;
	struct chain *chain;
	struct cached *cache;	 // forwarder by chain by key
	struct outlook *outlook; // forwarder by chain
	struct message **heap;
	uint32_t waiting, room;
	struct message *free;
	uint32_t evaluations;
	bool quiet; // faults are over, clients have stopped
	bool split_one_way;
	uint32_t
		deaf; // node that sends and receives nothing, or the other way round, to the end; 0
	bool mute;
	uint64_t heal_at;
	uint32_t move; // number of the bucket's last move
	struct {
		uint32_t from, to;
		bool both;
		uint64_t until;
	} broken_link;
	unsigned ruthless; // crashes: 1: may take majorities of voters; 2: and whole lists
	bool abandoned;	   // what was lost was to be lost: no test any more
	uint32_t unsettled, unsettled_key; // the chain that is not at rest, perhaps a key
	const char *broken;		   // the invariant, once one is
	char why[LINE_BYTES];
	uint32_t broken_chain, broken_key;
	uint32_t alias_chain, alias_key; // that it is about
	struct counters counters;
	struct trace *trace;
	uint64_t traced;
};

// sim_world.c
uint64_t draw(struct world *w);
uint32_t pick(struct world *w, uint32_t below);
bool chance(struct world *w, unsigned thousandths);
uint64_t clock_of(const struct world *w, uint32_t node);
bool is_up(const struct world *w, struct dft_name name);
uint32_t slot_of(const struct chain *c, uint32_t node);
void at(struct world *w, uint64_t when, uint32_t kind, uint32_t to, uint32_t chain);
void send_op(struct world *w, uint32_t from, uint32_t to, const struct op *op);
void send_sluggish(struct world *w, uint32_t from, uint32_t to, const struct op *op);
void send_term(struct world *w, uint32_t chain, const struct dft_out *out);
void world_run(struct world *w);
int world_new(struct world *w, const struct plan *plan);
void world_free(struct world *w);
void forwarder_reply(struct world *w, uint32_t node, const struct op *op);

// sim_table.c
void table_op(struct world *w, uint32_t node, const struct op *op);
void table_tick(struct world *w, uint32_t chain, uint32_t slot);
void table_founded(struct world *w, uint32_t chain, uint32_t slot);
void table_term(struct world *w, uint32_t chain, uint32_t slot, const struct dft_term_message *m);

// sim_check.c
char *trace_line(struct world *w, uint32_t node, uint32_t chain, uint32_t key);
char *broken_line(struct world *w, const char *invariant, uint32_t chain, uint32_t key);

#define note(w, node, chain, key, ...)                                                             \
	do {                                                                                       \
		char *line_ = trace_line(w, node, chain, key);                                     \
		if (line_)                                                                         \
			snprintf(line_, LINE_BYTES, __VA_ARGS__);                                  \
	} while (0)
#define broken(w, invariant, chain, key, ...)                                                      \
	do {                                                                                       \
		char *line_ = broken_line(w, invariant, chain, key);                               \
		if (line_)                                                                         \
			snprintf(line_, LINE_BYTES, __VA_ARGS__);                                  \
	} while (0)

uint32_t bucket_of(const struct world *w, uint32_t key);
uint32_t keys_of(const struct world *w);
bool is_alias(const struct dft_record *r);
bool moves(const struct world *w, uint32_t chain, uint32_t key);
uint32_t guest_key(uint32_t chain, uint32_t key);
struct dft_bucket bucket_begun(const struct world *w, uint32_t chain);
void home(const struct world *w, uint32_t *chain, uint32_t *key);
uint32_t decision_of(const struct dft_record *r);
void decide(struct dft_record *r, uint32_t number, uint32_t alias_chain, uint32_t alias_key);
bool alias_of(const struct dft_record *r, uint32_t *chain, uint32_t *key);
struct dft_alias owner_of(const struct alias_use *use);
struct alias_use use_of(const struct world *w, uint32_t chain, uint32_t key,
			const struct dft_record *alias);
bool uses(const struct dft_record *session, const struct alias_use *use);
void check_touched(struct world *w, uint32_t chain, uint32_t slot, uint32_t key);
void check_tombstone(struct world *w, uint32_t chain, uint32_t slot, uint32_t key,
		     const struct dft_record *was);
void check_released(struct world *w, const struct op *op);
void check_sent(struct world *w, uint32_t chain, uint32_t key, struct dft_stamp life,
		uint16_t state);
void check_applied(struct world *w, uint32_t chain, uint32_t key, struct dft_stamp life,
		   uint32_t decision, uint32_t alias_chain, uint32_t alias_key);
void check_translated(struct world *w, uint32_t chain, uint32_t key, const struct dft_record *r);
void check_came_by(struct world *w, const struct op *op);
void check_ballot(struct world *w, uint32_t chain, uint32_t slot);
void check_chosen(struct world *w, uint32_t chain, const struct dft_configuration *c,
		  const struct dft_voters *v);
void raise_floor(struct world *w, uint32_t chain, uint32_t slot, uint32_t bucket, uint32_t to);
bool settled(struct world *w, char *why, size_t room);
