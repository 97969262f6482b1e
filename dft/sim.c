// SPDX-License-Identifier: Apache-2.0
// The flow table's simulator: runs worlds from seeds, says what broke, replays it, and looks for
// bugs that were put back on purpose.
#include "dft/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef DFT_BUGS
enum dft_bug dft_bug;

#define BUG_ROW(name, text) [DFT_BUG_##name] = {#name, text},
static const struct {
	const char *name, *text;
} bugs[] = {DFT_SIM_BUGS(BUG_ROW)};
#endif

struct options {
	uint64_t seed, seeds, ops;
	bool replay, every_bug, rates;
	const char *bug;
};

// Times as short as the rules allow: lives end and begin all the time.
static void short_lives(struct plan *p)
{
	p->refresh = 10 * MS;
	p->packet_life = 5 * MS;
	p->timeout = 2 * p->refresh + p->packet_life;
	p->drift = 0;
}

// Some worlds are made for what is rare in others.
static void themed(struct plan *p, struct world *dice)
{
	switch (pick(dice, 16)) {
	case 0: // long partitions
	case 1:
		p->favourite = FAULT_PARTITION;
		p->partitions = true;
		p->length *= 2;
		break;
	case 2: // single links, in a world that has no other faults
	case 3:
		p->favourite = FAULT_LINK;
		p->links = true;
		p->length *= 2;
		p->crashes = p->pauses = p->massacres = false;
		p->fault_every = 60 * MS;
		short_lives(p);
		break;
	case 4: // requests that come when the life that they are about has ended
	case 5:
		short_lives(p);
		p->sluggish = 100;
		p->chains = 1;
		p->keys = 2;
		p->crashes = p->partitions = p->links = p->massacres = false;
		p->capacity = p->keys;
		break;
	case 6: // the same, with aliases
	case 7:
		short_lives(p);
		p->sluggish = 60;
		p->lazy = 950;
		p->keys = 4;
		p->aliases = 2;
		p->capacity = p->keys;
		p->length *= 2;
		p->crashes = p->partitions = p->links = p->massacres = false;
		break;
	case 8: // terms that follow each other fast, and messages that come after
		p->late = 200;
		p->lost = 50;
		p->crashes = p->partitions = true;
		p->fault_every = 15 * MS;
		break;
	case 9: // learners, and a network that loses much
		p->lost = 150;
		p->crashes = true;
		p->favourite = FAULT_CRASH;
		p->fault_every = 30 * MS;
		p->length *= 2;
		break;
	case 10: // views that have little in common
	case 11:
		p->spares = SLOTS - DFT_VOTERS_MOST;
		p->nodes += p->spares;
		p->repair = p->drains = p->partitions = p->upheavals = true;
		p->controller_rests = false;
		p->favourite = FAULT_DRAIN;
		p->fault_every = 20 * MS;
		p->length *= 2;
		break;
	case 12: // majorities die
		p->repair = p->crashes = p->massacres = true;
		p->controller_rests = false;
		p->favourite = FAULT_MASSACRE;
		p->fault_every = 60 * MS;
		break;
	case 13: // a bucket moves
	case 14:
		p->chains = 2;
		p->move_at = 1 + pick(dice, 500) * MS;
		if (chance(dice, 500))
			short_lives(p);
		p->crashes = p->links = true;
		p->massacres = p->deaf = false;
		p->lost = pick(dice, 60);
		break;
	case 15: // a link that works one way, and nobody who repairs
		p->deaf = true;
		p->repair = p->drains = p->massacres = p->crashes = false;
		break;
	default:
		break;
	}
}

// What kind of world a seed is. Small ones, where everything meets; now and then a large one.
static struct plan plan_of(uint64_t seed)
{
	struct world dice = {.random = seed * 0xD1342543DE82EF95ull + 99};
	struct plan p = {.seed = seed};

	draw(&dice);
	draw(&dice);
	p.chains = 1 + pick(&dice, 2);
	p.keys = 2 + pick(&dice, 5);
	p.aliases = chance(&dice, 500) ? 2 + pick(&dice, 3) : 0;
	p.spares = pick(&dice, 3);
	p.forwarders = 2 + pick(&dice, 3);
	p.nodes = 1 + DFT_VOTERS_MOST + p.spares + pick(&dice, 3) + p.forwarders;
	p.capacity = chance(&dice, 200) ? 1 + p.keys / 2 : p.keys;
	p.length = 1000 * MS;
	p.op_every = 40 + pick(&dice, 100);
	p.refresh = (10 + pick(&dice, 40)) * MS;
	p.packet_life = (5 + pick(&dice, 15)) * MS;
	p.timeout = 2 * p.refresh + p.packet_life + pick(&dice, 40) * MS;
	p.times = (struct dft_times){.beat = 10 * MS,
				     .lease = 25 * MS,
				     .guard = 30 * MS,
				     .suspect = 30 * MS,
				     .turn = 3 * MS,
				     .retry = 3 * MS,
				     .give_up = 60 * MS};
	p.drift = chance(&dice, 500) ? 20 : 0;
	if (chance(&dice, 800)) {
		p.lost = pick(&dice, chance(&dice, 300) ? 200 : 50);
		p.doubled = pick(&dice, 50);
		p.late = pick(&dice, 100);
	}
	p.sluggish = chance(&dice, 600) ? pick(&dice, 50) : 0;
	p.crashes = chance(&dice, 600);
	p.pauses = chance(&dice, 500);
	p.partitions = chance(&dice, 600);
	p.one_way = chance(&dice, 500);
	p.links = chance(&dice, 400);
	p.repair = chance(&dice, 700);
	p.drains = p.repair && chance(&dice, 500);
	p.controller_rests = chance(&dice, 300);
	p.forwarders_crash = chance(&dice, 300);
	p.fault_every = (10 + pick(&dice, 100)) * MS;
	p.favourite = -1;
	p.massacres = p.repair && p.crashes && chance(&dice, 150);
	p.deaf = p.spares && chance(&dice, 150);
	themed(&p, &dice);
	if (p.chains == 2 && !p.massacres && chance(&dice, 400))
		p.move_at = 1 + pick(&dice, 700) * MS;
	p.moves = chance(&dice, 500) ? 4 : 1;
	if (p.move_at) {
		if (p.keys + p.aliases > GUEST)
			p.keys = GUEST - p.aliases;
		p.capacity = 2 * GUEST;
	}
	if (seed % 100 == 99) {
		p.move_at = 0;
		p.chains = 300;
		p.nodes = 2000;
		p.forwarders = 40;
		p.length = 60 * MS;
		p.op_every = 2;
		p.fault_every = 1 * MS;
	}
	return p;
}

// Of this process' own core: others may be busy beside it.
static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Runs one seed. Returns 0; -EPROTO: an invariant broke, and *w says which; -ENOMEM. The caller
// frees the world in any case.
static int run(struct world *w, uint64_t seed, struct trace *trace)
{
	struct plan plan = plan_of(seed);
	int err = world_new(w, &plan);

	if (err)
		return err;
	w->trace = trace;
	world_run(w);
	return w->broken ? -EPROTO : 0;
}

static void add_up(struct counters *sum, const struct counters *c)
{
	uint64_t *s = (uint64_t *)sum;
	const uint64_t *x = (const uint64_t *)c;
	size_t i;

	for (i = 0; i < sizeof(*sum) / sizeof(*s); i++)
		s[i] += x[i];
}

static bool concerns(const struct world *w, const struct trace *t)
{
	if (t->chain == w->alias_chain && t->key == w->alias_key)
		return true;
	// A key that moves has two names.
	if (w->plan.move_at && t->key < KEYS_MOST && w->broken_key < KEYS_MOST &&
	    w->broken_key % SIM_BUCKETS == 0)
		return t->key % GUEST == w->broken_key % GUEST;
	return (t->chain == w->broken_chain || t->chain == NOWHERE) &&
	       (t->key == w->broken_key || t->key == NOWHERE);
}

// What the nodes of a chain know of its terms.
static void tell_members(const struct world *w, uint32_t chain)
{
	const struct chain *c = &w->chain[chain];
	uint32_t i;

	for (i = 0; i < c->slots; i++) {
		const struct dft_member *m = &c->replica[i].member;

		printf("node %u%s: promised %u.%u, accepted %u.%u, active %u.%u of %u live, next view %u, "
		       "ballot %u.%u in phase %d\n",
		       c->node[i], w->node[c->node[i]].up ? "" : " (dead)", m->promised.epoch,
		       m->promised.number, m->accepted.term.epoch, m->accepted.term.number,
		       m->active.term.epoch, m->active.term.number, m->active.live, m->next.epoch,
		       m->ballot.term.epoch, m->ballot.term.number, m->ballot.phase);
	}
}

// The same seed again, this time remembering; what concerns the key that broke is told.
static void tell(uint64_t seed)
{
	struct trace *trace = calloc(TRACE_MOST, sizeof(*trace));
	struct world w;
	uint64_t i, first, shown = 0;
	const struct trace *t;

	if (!trace)
		return;
	run(&w, seed, trace);
	if (!w.broken) {
		printf("seed %llu: nothing is broken\n", (unsigned long long)seed);
	} else {
		printf("seed %llu: %s: chain %d key %d: %s\n", (unsigned long long)seed, w.broken,
		       (int)w.broken_chain, (int)w.broken_key, w.why);
		printf("%u chains, %u keys and %u for aliases each, %u nodes of which %u forwarders, "
		       "%u spares; lost %u doubled %u late %u of 1000;%s%s%s%s\n",
		       w.plan.chains, w.plan.keys, w.plan.aliases, w.plan.nodes, w.plan.forwarders,
		       w.plan.spares, w.plan.lost, w.plan.doubled, w.plan.late,
		       w.plan.crashes ? " crashes" : "", w.plan.pauses ? " pauses" : "",
		       w.plan.partitions ? " partitions" : "", w.plan.repair ? " repair" : "");
		first = w.traced > TRACE_MOST ? w.traced - TRACE_MOST : 0;
		for (i = w.traced; i-- > first && shown < 2000;) {
			shown += concerns(&w, &trace[i % TRACE_MOST]);
		}
		for (i++; i < w.traced; i++) {
			t = &trace[i % TRACE_MOST];
			if (!concerns(&w, t))
				continue;
			printf("%10.3f ms  %2d/%-2d node %3u  %s\n", (double)t->when / 1000.0,
			       (int)t->chain, (int)t->key, t->node, t->text);
		}
	}
	if (w.broken)
		tell_members(&w, w.broken_chain < w.plan.chains ? w.broken_chain : 0);
	world_free(&w);
	free(trace);
}

static void summary(const struct counters *c, uint64_t seeds, double took)
{
	printf("%llu seeds, %.1f s of CPU: %llu ops, %.2f million ops/s; %llu events\n",
	       (unsigned long long)seeds, took, (unsigned long long)c->ops,
	       (double)c->ops / took / 1e6, (unsigned long long)c->events);
	printf("packets decided %llu (from caches %llu, direct %llu), evaluated %llu, inserted %llu, "
	       "deleted %llu, collected %llu\n",
	       (unsigned long long)c->applied, (unsigned long long)c->cached,
	       (unsigned long long)c->direct, (unsigned long long)c->evaluated,
	       (unsigned long long)c->inserted, (unsigned long long)c->deleted,
	       (unsigned long long)c->collected);
	printf("messages lost %llu, doubled %llu, late %llu; crashes %llu, pauses %llu, partitions "
	       "%llu, broken links %llu\n",
	       (unsigned long long)c->lost, (unsigned long long)c->doubled,
	       (unsigned long long)c->late, (unsigned long long)c->crashes,
	       (unsigned long long)c->pauses, (unsigned long long)c->partitions,
	       (unsigned long long)c->links);
	printf("buckets moved %llu, keys asked of their old chain %llu times, aliases %llu times; aliases reserved %llu, "
	       "came by %llu times, asked about %llu times, orphaned %llu\n",
	       (unsigned long long)c->moves, (unsigned long long)c->pulls,
	       (unsigned long long)c->inquired, (unsigned long long)c->reserved,
	       (unsigned long long)c->aliased, (unsigned long long)c->asked_for,
	       (unsigned long long)c->orphaned);
	printf("terms %llu, views %llu, drains %llu, forced lists %llu, reopened %llu, changes held back %llu, learners filled %llu, promoted %llu; stopped by: lease %llu, "
	       "term %llu, age of reply %llu, full %llu\n",
	       (unsigned long long)c->terms, (unsigned long long)c->views,
	       (unsigned long long)c->drains, (unsigned long long)c->forced,
	       (unsigned long long)c->reopened, (unsigned long long)c->held,
	       (unsigned long long)c->fills, (unsigned long long)c->promotions,
	       (unsigned long long)c->no_lease, (unsigned long long)c->stale_term,
	       (unsigned long long)c->old_reply, (unsigned long long)c->full);
}

static int sweep(const struct options *o)
{
	struct counters sum = {0};
	double began = seconds(), said = began;
	uint64_t i;
	struct world w;
	int err = 0;

	printf("seeds from %llu\n", (unsigned long long)o->seed);
	fflush(stdout);
	for (i = 0; !err && (o->ops ? sum.ops < o->ops : i < o->seeds); i++) {
		err = run(&w, o->seed + i, NULL);
		if (err != -ENOMEM)
			add_up(&sum, &w.counters);
		world_free(&w);
		if (seconds() - said > 5) {
			said = seconds();
			printf("  %llu seeds, %llu ops\n", (unsigned long long)i + 1,
			       (unsigned long long)sum.ops);
			fflush(stdout);
		}
	}
	summary(&sum, i, seconds() - began);
	if (err == -EPROTO) {
		tell(o->seed + i - 1);
		printf("replay: make sim SEED=%llu\n", (unsigned long long)o->seed + i - 1);
	}
	return err;
}

#ifdef DFT_BUGS
// Whether the seed breaks nothing without the bug.
static bool innocent(uint64_t seed)
{
	enum dft_bug was = dft_bug;
	struct world w;
	int err;

	dft_bug = DFT_BUG_NONE;
	err = run(&w, seed, NULL);
	world_free(&w);
	dft_bug = was;
	return !err;
}

// Looks for a bug that was put back. Returns how many seeds it took; 0: more than there were.
static uint64_t search(const struct options *o, uint64_t *seed, char *how, size_t room)
{
	struct world w;
	uint64_t i;
	int err;

	for (i = 0; i < o->seeds; i++) {
		*seed = o->seed + i;
		err = run(&w, *seed, NULL);
		if (err == -EPROTO)
			snprintf(how, room, "%s", w.broken);
		world_free(&w);
		if (err == -EPROTO && innocent(*seed))
			return i + 1;
	}
	return 0;
}

// How many of the seeds find each bug: rare ones are what to shape worlds for.
static void rates(const struct options *o)
{
	uint64_t i, found;
	enum dft_bug b;
	struct world w;

	for (b = DFT_BUG_NONE + 1; b < DFT_BUGS_OF_SIM; b++) {
		if (o->bug && strcmp(o->bug, bugs[b].name) != 0)
			continue;
		dft_bug = b;
		for (found = i = 0; i < o->seeds; i++) {
			found += run(&w, o->seed + i, NULL) == -EPROTO;
			world_free(&w);
		}
		printf("%-18s %5llu of %llu\n", bugs[b].name, (unsigned long long)found,
		       (unsigned long long)o->seeds);
		fflush(stdout);
	}
}

static int search_all(const struct options *o)
{
	uint64_t took, seed = 0;
	double began;
	char how[64];
	int missed = 0;
	enum dft_bug b;

	printf("seeds from %llu\n", (unsigned long long)o->seed);
	for (b = DFT_BUG_NONE + 1; b < DFT_BUGS_OF_SIM; b++) {
		if (o->bug && strcmp(o->bug, bugs[b].name) != 0)
			continue;
		dft_bug = b;
		began = seconds();
		how[0] = 0;
		took = search(o, &seed, how, sizeof(how));
		printf("%-18s %-72s ", bugs[b].name, bugs[b].text);
		if (took)
			printf("%4llu seeds, %5.2f s: %s\n", (unsigned long long)took,
			       seconds() - began, how);
		else
			printf("NOT FOUND in %llu seeds\n", (unsigned long long)o->seeds);
		fflush(stdout);
		missed += !took;
		if (took && o->bug && o->replay)
			tell(seed);
	}
	return missed ? -EPROTO : 0;
}
#endif

static int usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [--seeds N] [--seed FIRST] [--ops N] [--replay]"
#ifdef DFT_BUGS
		" [--bugs] [--rates] [--bug NAME]"
#endif
		"\n",
		name);
	return 2;
}

int main(int argc, char **argv)
{
	struct options o = {.seeds = 300};
	struct timespec now;
	int i, err;

	clock_gettime(CLOCK_REALTIME, &now);
	// Fresh ones each time; the first is printed.
	o.seed =
		((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) % 1000000000 * 1000;
	for (i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (!strcmp(argv[i], "--seeds") && more)
			o.seeds = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--seed") && more)
			o.seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--ops") && more)
			o.ops = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--replay"))
			o.replay = true;
#ifdef DFT_BUGS
		else if (!strcmp(argv[i], "--bugs"))
			o.every_bug = true;
		else if (!strcmp(argv[i], "--rates"))
			o.rates = true;
		else if (!strcmp(argv[i], "--bug") && more)
			o.bug = argv[++i];
#endif
		else
			return usage(argv[0]);
	}
#ifdef DFT_BUGS
	if (o.rates) {
		rates(&o);
		return 0;
	}
	if (o.every_bug || o.bug) {
		err = search_all(&o);
		return err ? 1 : 0;
	}
#endif
	if (o.replay) {
		tell(o.seed);
		return 0;
	}
	err = sweep(&o);
	if (err == -ENOMEM)
		fprintf(stderr, "sim: out of memory\n");
	return err ? 1 : 0;
}
