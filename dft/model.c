// SPDX-License-Identifier: Apache-2.0
// The explorer: visits every state of each small world, and says how many there are.
#include "dft/model.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define STATES_MOST 6000000u

#ifdef DFT_BUGS
enum dft_bug dft_bug;
#endif
#define BUG_NAME(name, text) [DFT_BUG_##name] = #name,
static const char *const bug_names[] = {"", DFT_SIM_BUGS(BUG_NAME) DFT_MODEL_BUGS(BUG_NAME)};

struct mark {
	uint64_t hash[2];
	uint32_t parent;
	uint16_t step; // which of its successors
};

struct level {
	uint8_t *states;
	uint32_t *marks;
	uint32_t count, room;
};

struct search {
	const struct model *model;
	struct mark *mark;
	uint32_t marks, room;
	uint32_t *table;
	uint64_t mask, steps;
	struct level now, next;
	uint32_t parent;
	uint16_t step;
	const char *wrong;
	uint32_t wrong_parent;
	uint16_t wrong_step;
	// When a trace is told: the step that is looked for, and the state behind it.
	bool tells;
	int wanted;
	void *found;
	char text[120], kept[120];
};

static void *grown(void *old, size_t bytes)
{
	void *new = realloc(old, bytes);

	if (!new) {
		fprintf(stderr, "model: out of memory\n");
		exit(1);
	}
	return new;
}

// Two rounds of multiply and xor over the words, with different odd constants.
static void hashed(const void *state, size_t bytes, uint64_t hash[2])
{
	const uint8_t *p = state;
	uint64_t a = 0x9E3779B97F4A7C15ull, b = 0xC2B2AE3D27D4EB4Full, word;
	size_t i;

	for (i = 0; i < bytes; i += sizeof(word)) {
		word = 0;
		memcpy(&word, p + i, bytes - i < sizeof(word) ? bytes - i : sizeof(word));
		a = (a ^ word) * 0xFF51AFD7ED558CCDull;
		a ^= a >> 32;
		b = (b + word) * 0xD6E8FEB86659FD93ull;
		b ^= b >> 29;
	}
	hash[0] = a ^ b >> 17;
	hash[1] = b ^ a << 7;
}

static bool marked(struct search *s, const uint64_t hash[2])
{
	uint64_t at = hash[0] & s->mask;
	uint32_t i;

	while (s->table[at]) {
		const struct mark *m = &s->mark[s->table[at] - 1];

		if (m->hash[0] == hash[0] && m->hash[1] == hash[1])
			return true;
		at = (at + 1) & s->mask;
	}
	if (s->marks == s->room) {
		s->room = s->room ? 2 * s->room : 1 << 16;
		s->mark = grown(s->mark, s->room * sizeof(*s->mark));
	}
	s->mark[s->marks] = (struct mark){{hash[0], hash[1]}, s->parent, s->step};
	s->table[at] = ++s->marks;
	if (s->marks * 2ull <= s->mask)
		return false;
	s->mask = s->mask * 2 + 1;
	s->table = grown(s->table, (s->mask + 1) * sizeof(*s->table));
	memset(s->table, 0, (s->mask + 1) * sizeof(*s->table));
	for (i = 0; i < s->marks; i++) {
		at = s->mark[i].hash[0] & s->mask;
		while (s->table[at])
			at = (at + 1) & s->mask;
		s->table[at] = i + 1;
	}
	return false;
}

bool telling(const struct search *s)
{
	return s->tells;
}

char *event_text(struct search *s)
{
	return s->text;
}

void came(struct search *s, const void *state, const char *wrong)
{
	size_t bytes = s->model->bytes;
	uint64_t hash[2];

	s->step++;
	if (s->tells) {
		if (s->wanted == s->step) {
			memcpy(s->found, state, bytes);
			memcpy(s->kept, s->text, sizeof(s->kept));
		}
		return;
	}
	s->steps++;
	if (wrong) {
		if (!s->wrong) {
			s->wrong = wrong;
			s->wrong_parent = s->parent;
			s->wrong_step = s->step;
		}
		return;
	}
	hashed(state, bytes, hash);
	if (marked(s, hash))
		return;
	if (s->next.count == s->next.room) {
		s->next.room = s->next.room ? 2 * s->next.room : 1024;
		s->next.states = grown(s->next.states, s->next.room * bytes);
		s->next.marks = grown(s->next.marks, s->next.room * sizeof(*s->next.marks));
	}
	memcpy(s->next.states + s->next.count * bytes, state, bytes);
	s->next.marks[s->next.count++] = s->marks - 1;
}

bool message_put(void *messages, size_t room, const void *message, size_t bytes)
{
	uint8_t *first = messages, *at = first, *end;
	int order = -1;

	while (at < first + room * bytes && *at && (order = memcmp(message, at, bytes)) < 0)
		at += bytes;
	for (end = at; end < first + room * bytes && *end;)
		end += bytes;
	if (at < end && !order)
		return true;
	if (end == first + room * bytes)
		return false;
	memmove(at + bytes, at, end - at);
	memcpy(at, message, bytes);
	return true;
}

void message_take(void *messages, size_t room, size_t at, size_t bytes)
{
	uint8_t *first = messages;

	memmove(first + at * bytes, first + (at + 1) * bytes, (room - at - 1) * bytes);
	memset(first + (room - 1) * bytes, 0, bytes);
}

// Goes the way again, and says what happened.
static void tell(struct search *s)
{
	uint16_t way[1024];
	uint32_t at = s->wrong_parent;
	int length = 0;
	void *state = grown(NULL, s->model->bytes), *next = grown(NULL, s->model->bytes);

	for (way[length++] = s->wrong_step; at && length < 1024; at = s->mark[at].parent)
		way[length++] = s->mark[at].step;
	s->tells = true;
	s->found = next;
	s->model->begin(state, s->model->plan);
	while (length--) {
		s->wanted = way[length];
		s->step = 0;
		s->model->step(s, state, s->model->plan);
		memcpy(state, next, s->model->bytes);
		printf("    %s\n", s->kept);
	}
	printf("    %s\n", s->wrong);
	free(state);
	free(next);
}

static void explored(struct search *s)
{
	uint8_t *state = grown(NULL, s->model->bytes);
	uint64_t hash[2];
	uint32_t i;

	s->mask = (1 << 16) - 1;
	s->table = calloc(s->mask + 1, sizeof(*s->table));
	if (!s->table)
		exit(1);
	s->model->begin(state, s->model->plan);
	hashed(state, s->model->bytes, hash);
	marked(s, hash);
	came(s, state, NULL);
	s->next.count = 1;
	s->next.states = grown(s->next.states, 1024 * s->model->bytes);
	s->next.marks = grown(s->next.marks, 1024 * sizeof(*s->next.marks));
	s->next.room = 1024;
	memcpy(s->next.states, state, s->model->bytes);
	s->next.marks[0] = 0;
	while (s->next.count && !s->wrong && s->marks < STATES_MOST) {
		struct level was = s->now;

		s->now = s->next;
		s->next = was;
		s->next.count = 0;
		for (i = 0; i < s->now.count && !s->wrong; i++) {
			s->parent = s->now.marks[i];
			s->step = 0;
			s->model->step(s, s->now.states + i * s->model->bytes, s->model->plan);
		}
	}
	free(state);
}

static void ended(struct search *s)
{
	free(s->mark);
	free(s->table);
	free(s->now.states);
	free(s->now.marks);
	free(s->next.states);
	free(s->next.marks);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Returns 1 where an invariant broke.
static int run(const struct model *m, const char *bug, bool tells)
{
	struct search s = {.model = m};
	double began = seconds();
	int wrong;

	explored(&s);
	wrong = s.wrong != NULL;
	printf("%-34s %-16s %9u states %10llu steps %6.2f s  %s\n", m->name, bug, s.marks,
	       (unsigned long long)s.steps, seconds() - began,
	       s.wrong			? s.wrong
	       : s.marks >= STATES_MOST ? "NOT ALL SEEN"
					: "all seen, nothing broken");
	if (s.wrong && tells)
		tell(&s);
	if (s.marks >= STATES_MOST)
		wrong = 1;
	fflush(stdout);
	ended(&s);
	return wrong;
}

// Whether a model is to find a bug.
static bool finds(const struct model *m, const char *bug)
{
	char name[40];

	snprintf(name, sizeof(name), "%s ", bug);
	return m->bugs && strstr(m->bugs, name);
}

static int run_bugs(const struct model *m, const char *only)
{
	int missed = 0;

#ifdef DFT_BUGS
	enum dft_bug b;

	for (b = DFT_BUG_NONE + 1; b < DFT_BUGS_KNOWN; b++) {
		if (only ? strcmp(only, bug_names[b]) != 0 : !finds(m, bug_names[b]))
			continue;
		dft_bug = b;
		if (!run(m, bug_names[b], only != NULL)) {
			printf("NOT FOUND\n");
			missed += !only;
		}
		dft_bug = DFT_BUG_NONE;
	}
#else
	(void)m;
	(void)only;
	(void)bug_names;
	(void)finds;
#endif
	return missed;
}

int main(int argc, char **argv)
{
	const struct model *const lists[] = {chain_models, alias_models, move_models};
	const char *name = NULL, *bug = NULL;
	bool bugs = false;
	int wrong = 0, i;
	size_t l;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--bugs"))
			bugs = true;
		else if (!strcmp(argv[i], "--bug") && i + 1 < argc)
			bug = argv[++i];
		else if (!strcmp(argv[i], "--world") && i + 1 < argc)
			name = argv[++i];
		else
			return 2;
	}
	for (l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
		for (i = 0; lists[l][i].name; i++) {
			if (name && !strstr(lists[l][i].name, name))
				continue;
			if (bugs || bug)
				wrong += run_bugs(&lists[l][i], bug);
			else
				wrong += run(&lists[l][i], "", true);
		}
	printf("%.1f s of CPU\n", seconds());
	return wrong ? 1 : 0;
}
