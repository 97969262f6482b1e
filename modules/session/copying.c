// SPDX-License-Identifier: Apache-2.0
#include "modules/session/copying.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/clock.h"
#include "shared/move.h"

#define TOLD_BYTES (sizeof(struct copy_value) * MAX_CHAINS)

// Half of the outbox: a delete need not wait for a learner.
#define WINDOW (MAX_OUTBOX / 2)

#define COPIES_MOST 2 // of one key

#define ORDER_SHIFT 16 // above an index of what was seen
_Static_assert(SCAN_BATCH <= 1 << ORDER_SHIFT && !(SCAN_BATCH & (SCAN_BATCH - 1)), "");

#define BATCHES 16 // that are looked at in one step, where none has anything to copy

struct copy_floors {
	__u32 bucket[BUCKETS];
	__u32 floor[BUCKETS];
};

int copying_open(struct copying *copying, const struct roles *roles, struct outbox *outbox)
{
	int i, err;

	*copying = (struct copying){.roles = roles,
				    .outbox = outbox,
				    .floors = -1,
				    .kernel = -1,
				    .flat = -1,
				    .transfer = -1};
	copying->floor = malloc(sizeof(*copying->floor));
	if (!copying->floor)
		return -ENOMEM;
	for (i = 0; i < COPY_SCANS; i++)
		if ((err = scan_open(&copying->scan[i].scan))) {
			copying_close(copying);
			return err;
		}
	return 0;
}

void copying_close(struct copying *copying)
{
	int i;

	for (i = 0; i < COPY_SCANS; i++)
		if (copying->scan[i].scan.room)
			scan_close(&copying->scan[i].scan);
	if (copying->told)
		munmap(copying->told, TOLD_BYTES);
	copying->told = NULL;
	free(copying->floor);
	copying->floor = NULL;
}

// What was on its way is forgotten: the outbox was opened anew, too.
int copying_use(struct copying *copying, int copies, int floors, int kernel, int flat, int transfer)
{
	struct copy_value *told =
		mmap(NULL, TOLD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, copies, 0);
	int i;

	if (told == MAP_FAILED)
		return -errno;
	if (copying->told)
		munmap(copying->told, TOLD_BYTES);
	copying->told = told;
	copying->floors = floors;
	copying->kernel = kernel;
	copying->flat = flat;
	copying->transfer = transfer;
	copying->active = 0;
	memset(copying->copy, 0, sizeof(copying->copy));
	for (i = 0; i < COPY_SCANS; i++) {
		struct copy_scan *s = &copying->scan[i];

		scan_begin(&s->scan, -1, -1);
		s->learner = s->copies = s->on_way = 0;
	}
	return 0;
}

static void abandon(struct copying *copying, struct copy *copy)
{
	if (copy->state == COPY_READS)
		copying->scan[copy->scan].copies--;
	if (copy->state != COPY_NONE && copy->state != COPY_COMPLETE)
		copying->active--;
	*copy = (struct copy){};
}

static void begin(struct copying *copying, struct copy *copy, struct copy_value *told, __u64 term)
{
	copy->term = term;
	// A loader before this one may have done it.
	if (told->term == term && told->complete) {
		copy->state = COPY_COMPLETE;
		return;
	}
	// Nobody may take the word about the former term for one about this.
	__atomic_store_n(&told->complete, 0, __ATOMIC_SEQ_CST);
	told->done = told->all = 0;
	__atomic_store_n(&told->term, term, __ATOMIC_SEQ_CST);
	copy->state = COPY_WAITS;
	copying->active++;
}

void copying_follow(struct copying *copying)
{
	__u32 i;

	if (!copying->told)
		return;
	for (i = 0; i < MAX_CHAINS; i++) {
		const struct chain_role *role = &copying->roles->role[i];
		const __u64 term = role->term && role->learner ? role->term : 0;
		struct copy *copy = &copying->copy[i];

		if (copy->term == term)
			continue;
		abandon(copying, copy);
		if (term)
			begin(copying, copy, &copying->told[i], term);
	}
}

// A scan that has nobody's records to read, for this learner; its own if it has one. NULL: it is
// under way, or there is none.
static struct copy_scan *scan_for(struct copying *copying, __u32 learner)
{
	struct copy_scan *free = NULL;
	int i;

	for (i = 0; i < COPY_SCANS; i++) {
		struct copy_scan *s = &copying->scan[i];

		if (s->learner == learner)
			return s->copies ? NULL : s;
		if (!s->copies && !free)
			free = s;
	}
	return free;
}

// Where they cannot be read, any may have risen.
static void read_floors(struct copying *copying)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	struct copy_floors *f = copying->floor;
	__u32 count = BUCKETS, cursor;

	if (bpf_map_lookup_batch(copying->floors, NULL, &cursor, f->bucket, f->floor, &count,
				 &options) &&
	    errno != ENOENT)
		memset(f->floor, 0xFF, sizeof(f->floor));
}

// Where there is none of another cluster, the places from BUCKETS on say nothing (M8).
static __u32 places(const struct copying *copying)
{
	return roles_transfer(copying->transfer).number ? PLACES : BUCKETS;
}

static void begin_scan(struct copying *copying, struct copy_scan *s, __u32 learner)
{
	s->learner = learner;
	s->bucket = s->at = 0;
	s->places = places(copying);
	read_floors(copying);
	scan_begin(&s->scan, copying->kernel, copying->flat);
}

// Has waiting copies begin. Whoever began to handle a packet under the former term, and does not
// pass it to the learner, has forwarders that do not apply what is answered after PACKET_LIFE_MS.
static int begin_scans(struct copying *copying, __u64 now)
{
	struct copy_scan *begun[COPY_SCANS] = {};
	int wait = INT_MAX, count = 0, k;
	__u32 i;

	for (i = 0; i < MAX_CHAINS; i++) {
		const struct chain_role *role = &copying->roles->role[i];
		struct copy *copy = &copying->copy[i];
		struct copy_scan *s = NULL;

		if (copy->state != COPY_WAITS)
			continue;
		if (now - role->since_ms <= PACKET_LIFE_MS) {
			wait = 1;
			continue;
		}
		for (k = 0; k < count && !s; k++)
			if (begun[k]->learner == role->learner)
				s = begun[k];
		if (!s && (s = scan_for(copying, role->learner))) {
			begin_scan(copying, s, role->learner);
			begun[count++] = s;
		}
		if (!s)
			continue;
		copy->state = COPY_READS;
		copy->scan = (__u8)(s - copying->scan);
		s->copies++;
	}
	return wait;
}

static void complete(struct copying *copying, __u32 chain)
{
	struct copy_value *told = &copying->told[chain];

	copying->copy[chain].state = COPY_COMPLETE;
	copying->active--;
	__atomic_store_n(&told->complete, 1, __ATOMIC_SEQ_CST);
}

static void end_scan(struct copying *copying, struct copy_scan *s)
{
	const __u8 number = (__u8)(s - copying->scan);
	__u32 i;

	for (i = 0; i < MAX_CHAINS; i++) {
		struct copy *copy = &copying->copy[i];

		if (copy->state != COPY_READS || copy->scan != number)
			continue;
		copy->state = COPY_SENT;
		if (!copy->unconfirmed)
			complete(copying, i);
	}
	s->copies = 0;
}

// One key, if it is of a copy that this scan is for.
static void send_for(struct copying *copying, struct copy_scan *s, const struct session_key *key,
		     __u32 bucket, __u32 chain)
{
	struct copy *copy;

	if (chain == NO_CHAIN)
		return;
	copy = &copying->copy[chain];
	if (copy->state != COPY_READS || copy->scan != s - copying->scan)
		return;
	outbox_add(copying->outbox,
		   &(struct outbox_entry){
			   .op = DFT_COPY,
			   .chain = chain,
			   .bucket = bucket,
			   .epoch = (__u32)(copy->term >> 32),
			   .term = (__u32)copy->term,
			   .key = *key,
		   },
		   copy->scan);
	copy->unconfirmed++;
	copying->told[chain].all++;
	s->on_way++;
}

// M7: a bucket that moves is of two chains, and this node may be the tail of either.
static void send(struct copying *copying, struct copy_scan *s, const struct session_key *key,
		 __u32 bucket)
{
	send_for(copying, s, key, bucket, roles_chain(copying->roles, bucket));
	send_for(copying, s, key, bucket, roles_origin(copying->roles, bucket));
}

static int compare(const void *a, const void *b)
{
	const __u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

// In which order what the scan has seen is sent: a frame is of one chain.
static void sort_seen(const struct copying *copying, struct copy_scan *s)
{
	__u32 i;

	for (i = 0; i < s->scan.count; i++)
		s->order[i] = i;
	if (s->copies < 2)
		return;
	for (i = 0; i < s->scan.count; i++)
		s->order[i] |= roles_chain(copying->roles, roles_bucket(&s->scan.seen[i].key))
			       << ORDER_SHIFT;
	qsort(s->order, s->scan.count, sizeof(*s->order), compare);
}

// Returns whether the scan goes on: 0: it has seen everything.
static int read_some(struct copying *copying, struct copy_scan *s, __u32 window)
{
	static const struct session_key none;
	const struct session_key *key;
	__u32 batches = BATCHES, bucket;
	int more;

	for (; s->on_way < window && outbox_room(copying->outbox) >= COPIES_MOST;) {
		if (s->bucket < s->places) {
			bucket = s->bucket++;
			// Of one that moves the learner has to know how far that is.
			if (bucket >= BUCKETS || copying->floor->floor[bucket] ||
			    roles_origin(copying->roles, bucket) != NO_CHAIN)
				send(copying, s, &none, bucket);
			continue;
		}
		if (s->at == s->scan.count) {
			if (!batches--)
				return 1;
			s->at = 0;
			more = scan_next(&s->scan);
			if (more < 0) {
				// From the beginning: this one has not seen everything.
				begin_scan(copying, s, s->learner);
				return 1;
			}
			if (!more)
				return 0;
			sort_seen(copying, s);
			continue;
		}
		key = &s->scan.seen[s->order[s->at++] % SCAN_BATCH].key;
		send(copying, s, key, roles_bucket(key));
	}
	return 1;
}

int copying_step(struct copying *copying)
{
	__u32 reading = 0;
	int wait, i;

	if (!copying->active)
		return INT_MAX;
	wait = begin_scans(copying, now_ms());
	for (i = 0; i < COPY_SCANS; i++)
		reading += copying->scan[i].copies != 0;
	for (i = 0; i < COPY_SCANS; i++) {
		struct copy_scan *s = &copying->scan[i];

		if (s->copies && !read_some(copying, s, WINDOW / reading))
			end_scan(copying, s);
	}
	return copying->active ? 1 : wait;
}

void copying_told(struct copying *copying, const struct outbox_entry *entry, __u8 owner,
		  int confirmed)
{
	struct copy_scan *s = &copying->scan[owner];
	struct copy *copy = &copying->copy[entry->chain];
	const int ours = copy->term == TERM_WORD(entry->epoch, entry->term) && copy->unconfirmed;

	if (ours && !confirmed) {
		outbox_add(copying->outbox, entry, owner);
		return;
	}
	if (s->on_way)
		s->on_way--;
	if (!ours)
		return;
	copy->unconfirmed--;
	copying->told[entry->chain].done++;
	if (copy->state == COPY_SENT && !copy->unconfirmed)
		complete(copying, entry->chain);
}
