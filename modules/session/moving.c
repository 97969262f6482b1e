// SPDX-License-Identifier: Apache-2.0
#include "modules/session/moving.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/clock.h"
#include "shared/key.h"
#include "wire/dft.h"

#define TOLD_BYTES (sizeof(struct departure_value) * MAX_CHAINS)

// Of the outbox: deletes and a learner's copy go on meanwhile.
#define WINDOW (MAX_OUTBOX / 4)

#define FOLLOW_MS 1000 // the view's buckets are half a megabyte, which mostly is as it was

// Of what is said of buckets, until it is confirmed. From when its fence is at the old head until
// the new chain knows, packets take a long way: that shall be for a round trip, not for the time
// that many wait in some queue, or until one that was dropped there is sent again.
#define AT_ONCE 64

#define SOON_MS 20 // the view is being written

#define BATCHES 16 // that are looked at in one step, where none has anything to hand over

struct moving_room {
	struct origin_value origin[PLACES]; // as the view was when it was followed last
	struct transfer transfer;	    // likewise: whose places from BUCKETS on are
	__u32 move[PLACES];		    // whose phase this is
	__u64 term[PLACES];		    // in which this node is the old chain's head
	__u64 head[MAX_CHAINS];		    // as the roles were when they were followed last
	__u8 phase[PLACES];		    // enum move_phase
	__u32 round[MOVE_AT_ONCE];
};

int moving_open(struct moving *moving, const struct roles *roles, struct outbox *outbox)
{
	int err;

	*moving = (struct moving){.roles = roles, .outbox = outbox, .kernel = -1, .flat = -1};
	moving->room = calloc(1, sizeof(*moving->room));
	if (!moving->room)
		return -ENOMEM;
	if ((err = scan_open(&moving->scan))) {
		free(moving->room);
		moving->room = NULL;
	}
	return err;
}

void moving_close(struct moving *moving)
{
	if (moving->scan.room)
		scan_close(&moving->scan);
	if (moving->told)
		munmap(moving->told, TOLD_BYTES);
	moving->told = NULL;
	free(moving->room);
	moving->room = NULL;
}

// What is on its way of a round does not count for the next.
static void end_round(struct moving *moving)
{
	moving->stage = MOVE_IDLE;
	moving->number++;
	moving->round = moving->due = moving->flight = moving->on_way = 0;
	moving->wanted = 1;
}

static void begin_anew(struct moving *moving)
{
	memset(moving->room->phase, MOVE_NOTHING, sizeof(moving->room->phase));
	end_round(moving);
	moving->follow_ms = 0;
	moving->followed = 0;
	scan_begin(&moving->scan, -1, -1);
}

// What was on its way is forgotten: the outbox was opened anew, too.
int moving_use(struct moving *moving, int departures, int kernel, int flat)
{
	struct departure_value *told =
		mmap(NULL, TOLD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, departures, 0);

	if (told == MAP_FAILED)
		return -errno;
	if (moving->told)
		munmap(moving->told, TOLD_BYTES);
	moving->told = told;
	moving->kernel = kernel;
	moving->flat = flat;
	begin_anew(moving);
	return 0;
}

// Says how many buckets of each chain are left, where this node is its head.
static void tell(struct moving *moving)
{
	const struct moving_room *r = moving->room;
	__u32 left[MAX_CHAINS] = {}, move[MAX_CHAINS] = {}, i;

	for (i = 0; i < PLACES; i++) {
		const __u32 chain = r->origin[i].from - 1u;

		if (chain >= MAX_CHAINS)
			continue;
		left[chain] += r->phase[i] != MOVE_DONE;
		if (r->origin[i].move > move[chain])
			move[chain] = r->origin[i].move;
	}
	for (i = 0; i < MAX_CHAINS; i++) {
		struct departure_value *told = &moving->told[i];

		// Nobody may take the word about one move for one about the next.
		__atomic_store_n(&told->term, 0, __ATOMIC_SEQ_CST);
		// Who reads the number first finds no count of an earlier one.
		told->left = left[i];
		__atomic_store_n(&told->move, move[i], __ATOMIC_SEQ_CST);
		__atomic_store_n(&told->term, r->head[i], __ATOMIC_SEQ_CST);
	}
}

static int in_round(__u8 phase)
{
	return phase != MOVE_NOTHING && phase != MOVE_WANTED && phase != MOVE_DONE;
}

// M8: before all of this cluster have heard of a transfer nothing goes.
static int is_to_move(const struct transfer *t, __u32 place, __u32 move)
{
	return place < BUCKETS || (t->begun && !t->over && t->number == move);
}

void moving_follow(struct moving *moving, int transfer)
{
	const struct origin_value *origins = moving->roles->origins;
	struct moving_room *r = moving->room;
	const __u64 now = now_ms();
	int disturbed = 0, others, early = 0;
	struct transfer t;
	__u32 i;

	if (!moving->told ||
	    (now < moving->follow_ms && !memcmp(r->head, moving->roles->head, sizeof(r->head))))
		return;
	moving->follow_ms = now + FOLLOW_MS;
	t = roles_transfer(transfer);
	others = memcmp(r->head, moving->roles->head, sizeof(r->head)) ||
		 transfer_pack(&t) != transfer_pack(&r->transfer);
	if (!others && moving->followed &&
	    (!origins || !memcmp(r->origin, origins, sizeof(r->origin))))
		return;
	memcpy(r->head, moving->roles->head, sizeof(r->head));
	if (origins)
		memcpy(r->origin, origins, sizeof(r->origin));
	r->transfer = t;
	moving->under_way = 0;
	for (i = 0; i < PLACES; i++) {
		const struct origin_value *o = &r->origin[i];
		const __u32 chain = o->from - 1u;
		__u64 term = chain < MAX_CHAINS && is_to_move(&t, i, o->move) ? r->head[chain] : 0;

		if (i < BUCKETS) {
			moving->move = o->move;
			moving->under_way |= o->from != 0;
		}
		// Where it goes to is told after where it comes from.
		if (term && roles_chain(moving->roles, i) == chain) {
			term = 0;
			early = 1;
		}
		if (r->phase[i] != MOVE_NOTHING && r->move[i] == o->move && r->term[i] == term)
			continue;
		disturbed |= in_round(r->phase[i]);
		r->phase[i] = term ? MOVE_WANTED : MOVE_NOTHING;
		r->move[i] = o->move;
		r->term[i] = term;
	}
	// A round is of buckets that go through it together. What was done of it is soon done
	// again.
	if (disturbed) {
		for (i = 0; i < PLACES; i++)
			if (in_round(r->phase[i]))
				r->phase[i] = MOVE_WANTED;
		end_round(moving);
	}
	moving->wanted = 1;
	moving->followed = !early;
	if (early)
		moving->follow_ms = now + SOON_MS;
	tell(moving);
}

static struct outbox_entry entry_of(const struct moving *moving, __u32 bucket, __u32 op)
{
	const struct moving_room *r = moving->room;

	return (struct outbox_entry){.op = op,
				     .chain = r->origin[bucket].from - 1u,
				     .bucket = bucket,
				     .epoch = (__u32)(r->term[bucket] >> 32),
				     .term = (__u32)r->term[bucket]};
}

static void enter(struct moving *moving, enum move_stage stage, __u32 due)
{
	moving->stage = stage;
	moving->due = due;
	moving->since_ms = now_ms();
}

static int begin_round(struct moving *moving)
{
	struct moving_room *r = moving->room;
	__u32 i;

	if (!moving->wanted)
		return 0;
	for (i = 0; i < PLACES && moving->round < MOVE_AT_ONCE; i++) {
		if (r->phase[i] != MOVE_WANTED)
			continue;
		r->phase[i] = MOVE_FENCE_DUE;
		r->round[moving->round++] = i;
	}
	moving->wanted = moving->round > 0;
	if (moving->round)
		enter(moving, MOVE_FENCES, moving->round);
	return moving->round > 0;
}

// Sends what is due of the round, a message per bucket.
static void send_round(struct moving *moving, __u8 due, __u8 sent, __u32 op)
{
	struct moving_room *r = moving->room;
	struct outbox_entry e;
	__u32 i;

	for (i = 0;
	     i < moving->round && moving->flight < AT_ONCE && outbox_room(moving->outbox) > WINDOW;
	     i++) {
		const __u32 bucket = r->round[i];

		if (r->phase[bucket] != due)
			continue;
		r->phase[bucket] = sent;
		moving->flight++;
		e = entry_of(moving, bucket, op);
		outbox_add(moving->outbox, &e, moving->number);
	}
}

static void turn_round(struct moving *moving, __u8 to)
{
	__u32 i;

	for (i = 0; i < moving->round; i++)
		moving->room->phase[moving->room->round[i]] = to;
}

static void send_record(struct moving *moving, __u32 bucket, const struct session_key *key)
{
	struct outbox_entry e = entry_of(moving, bucket, DFT_TOLD);

	e.key = *key;
	outbox_add(moving->outbox, &e, moving->number);
}

// Reads on. Returns 0 when the table is read and all of it is confirmed.
static int read_records(struct moving *moving)
{
	int batches = 0, more;
	__u32 bucket;

	for (;;) {
		for (; moving->at < moving->scan.count; moving->at++) {
			const struct session_key *key = &moving->scan.seen[moving->at].key;

			if (moving->on_way >= WINDOW || outbox_room(moving->outbox) <= WINDOW)
				return 1;
			bucket = roles_bucket(key);
			if (moving->room->transfer.vni &&
			    vni_of(key->vni) == moving->room->transfer.vni)
				bucket += BUCKETS;
			if (moving->room->phase[bucket] != MOVE_READ)
				continue;
			send_record(moving, bucket, key);
			moving->on_way++;
		}
		if (batches++ == BATCHES)
			return 1;
		moving->at = 0;
		more = scan_next(&moving->scan);
		if (more < 0)
			scan_begin(&moving->scan, moving->kernel, moving->flat);
		else if (!more)
			return moving->on_way > 0;
	}
}

int moving_step(struct moving *moving)
{
	if (!moving->told || (moving->stage == MOVE_IDLE && !begin_round(moving)))
		return INT_MAX;
	switch (moving->stage) {
	case MOVE_FENCES:
		send_round(moving, MOVE_FENCE_DUE, MOVE_FENCE_SENT, DFT_FENCE);
		if (!moving->due) {
			turn_round(moving, MOVE_READ);
			enter(moving, MOVE_WAITS, 0);
		}
		return 1;
	case MOVE_WAITS:
		// A program that had begun before the fence may still store something.
		if (now_ms() - moving->since_ms <= PACKET_LIFE_MS)
			return 10;
		scan_begin(&moving->scan, moving->kernel, moving->flat);
		moving->at = 0;
		enter(moving, MOVE_READS, 0);
		return 0;
	case MOVE_READS:
		if (read_records(moving))
			return 1;
		turn_round(moving, MOVE_WHOLE_DUE);
		enter(moving, MOVE_WHOLES, moving->round);
		return 0;
	default:
		send_round(moving, MOVE_WHOLE_DUE, MOVE_WHOLE_SENT, DFT_WHOLE);
		if (!moving->due) {
			end_round(moving);
			tell(moving);
		}
		return 1;
	}
}

static void settle(struct moving *moving, __u32 bucket, __u8 due, __u8 then, int confirmed)
{
	moving->room->phase[bucket] = confirmed ? then : due;
	moving->flight--;
	if (confirmed)
		moving->due--;
}

void moving_told(struct moving *moving, const struct outbox_entry *entry, __u8 owner, int confirmed)
{
	const __u32 bucket = entry->bucket;

	if (owner != moving->number)
		return;
	switch (entry->op) {
	case DFT_FENCE:
		settle(moving, bucket, MOVE_FENCE_DUE, MOVE_READ, confirmed);
		return;
	case DFT_WHOLE:
		settle(moving, bucket, MOVE_WHOLE_DUE, MOVE_DONE, confirmed);
		return;
	default:
		if (!confirmed)
			send_record(moving, bucket, &entry->key);
		else if (moving->on_way)
			moving->on_way--;
	}
}
