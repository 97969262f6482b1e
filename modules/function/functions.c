// SPDX-License-Identifier: Apache-2.0
// An object comes in parts, is checked, linked with what stands around it, loaded, and put into its
// slot when it is to run. What fails leaves in the slot what was there.
#include "modules/function/functions.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/door/door.h"
#include "modules/function/object.h"
#include "node/objects.h"

#define PARTS (ZETA_OBJECT_BYTES / FUNCTION_PART)
#define LOG_ROOM (1 << 20) // of what the verifier says

// One version of a function.
struct function_loaded {
	__u8 bytes[ZETA_OBJECT_BYTES];
	struct function_version told; // size 0: not yet
	struct bpf_object *object;    // NULL: it is not loaded
	__u32 loads;		      // of the data path, when it was
	int every;
	char why[FUNCTION_WHY]; // it is not loaded
};

void functions_open(struct functions *functions, struct datapath *datapath)
{
	*functions = (struct functions){.datapath = datapath};
}

static void drop(struct function_loaded **version)
{
	if (*version)
		bpf_object__close((*version)->object);
	free(*version);
	*version = NULL;
}

void functions_close(struct functions *functions)
{
	int i, place;

	for (i = 0; i < PUSHED_FUNCTIONS; i++)
		for (place = 0; place < FUNCTION_PLACES; place++)
			drop(&functions->at[i][place]);
}

// NULL: there is no such slot or place.
static struct function_loaded **version_at(struct functions *functions, __u32 slot, __u32 place)
{
	__u32 i = slot - FUNCTION_FIRST_FREE;

	return i < PUSHED_FUNCTIONS && place < FUNCTION_PLACES ? &functions->at[i][place] : NULL;
}

// ---- loading

static int file_of(const void *bytes, size_t size, char path[32])
{
	auto_(closep) int fd = memfd_create("function", MFD_CLOEXEC);

	if (fd < 0 || (size && write(fd, bytes, size) != (ssize_t)size))
		return errno ? -errno : -EIO;
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return take_fd(fd);
}

// The function and what stands around it, as one object file. The caller owns the descriptor.
static int link_files(const char *function, const char *around, char path[32])
{
	auto_(closep) int out = file_of(NULL, 0, path);
	struct bpf_linker *linker = out < 0 ? NULL : bpf_linker__new(path, NULL);
	int err;

	if (!linker)
		return -errno;
	err = bpf_linker__add_file(linker, around, NULL);
	if (!err)
		err = bpf_linker__add_file(linker, function, NULL);
	if (!err)
		err = bpf_linker__finalize(linker);
	bpf_linker__free(linker);
	return err ? err : take_fd(out);
}

static int link_object(const struct function_loaded *v, char path[32])
{
	const struct embedded_object *around;
	char function_path[32], around_path[32];
	const void *bytes;
	size_t size;

	for (around = embedded_objects; around->name && strcmp(around->name, "function") != 0;)
		around++;
	if (!around->name)
		return -ENOENT;
	bytes = around->bytes(&size);
	auto_(closep) int function_file = file_of(v->bytes, v->told.size, function_path);
	auto_(closep) int around_file = file_of(bytes, size, around_path);

	if (function_file < 0 || around_file < 0)
		return function_file < 0 ? function_file : around_file;
	return link_files(function_path, around_path, path);
}

// Seconds of international atomic time beyond UTC, as far as this machine knows.
static __s64 tai_s(void)
{
	struct timespec tai, utc;

	if (clock_gettime(CLOCK_TAI, &tai) || clock_gettime(CLOCK_REALTIME, &utc))
		return 0;
	return tai.tv_sec - utc.tv_sec;
}

// The end of what the verifier said, whole lines: the reason is there.
static void keep_log(struct function_loaded *v, const char *log)
{
	const size_t room = sizeof(v->why) - 1;
	size_t length = strlen(log);
	const char *line;

	if (length > room) {
		log += length - room;
		line = strchr(log, '\n');
		log = line ? line + 1 : log;
	}
	length = strlen(log);
	memcpy(v->why, log, length);
	v->why[length] = 0;
	// It quotes lines of a stranger's source.
	for (char *c = v->why; *c; c++)
		if (*c != '\n' && !isprint((unsigned char)*c))
			*c = '?';
}

static int instructions_of(const struct bpf_program *program)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		return -errno;
	return (int)info.verified_insns;
}

static int check_length(struct function_loaded *v, struct bpf_object *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
	{
		int count = bpf_program__autoload(program) ? instructions_of(program) : 0;

		if (count >= 0 && count <= ZETA_INSTRUCTIONS)
			continue;
		snprintf(v->why, sizeof(v->why),
			 "all ways through the function have %d instructions together, %d are "
			 "allowed",
			 count, ZETA_INSTRUCTIONS);
		return -E2BIG;
	}
	return 0;
}

static int load_linked(const struct functions *functions, struct function_loaded *v,
		       const struct function_version_key *key, const struct function_object *read,
		       const char *path)
{
	const struct function_setup setup = {
		.slot = key->slot,
		.place = key->place,
		.may = read->may,
		.every = (__u32)read->every,
		.tai_s = tai_s(),
	};
	auto_(freep) char *log = calloc(1, LOG_ROOM);
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "function",
		    .pin_root_path = functions->datapath->dir, .kernel_log_buf = log,
		    .kernel_log_size = LOG_ROOM);
	struct bpf_object *object = log ? bpf_object__open_file(path, &options) : NULL;
	int err;

	if (!object)
		return log ? -errno : -ENOMEM;
	err = datapath_set(object, "cfg", &setup, sizeof(setup));
	if (!err)
		err = bpf_program__set_autoload(bpf_object__find_program_by_name(object, "every"),
						read->every);
	if (!err && (err = bpf_object__load(object)))
		keep_log(v, log);
	if (!err)
		err = check_length(v, object);
	if (err) {
		bpf_object__close(object);
		return err;
	}
	bpf_object__close(v->object);
	v->object = object;
	v->every = read->every;
	v->loads = functions->datapath->loads;
	return 0;
}

static void clear_counts(const struct functions *functions, const struct function_version_key *key)
{
	const size_t cpus = (size_t)functions->datapath->cpus;
	auto_(freep) struct function_count *none = calloc(cpus, sizeof(*none));
	auto_(closep) int map = pin_open(functions->datapath->dir, "function_counts");
	const __u32 index = FUNCTION_PLACES * key->slot + key->place;

	if (none && map >= 0)
		bpf_map_update_elem(map, &index, none, BPF_ANY);
}

static void load(const struct functions *functions, struct function_loaded *v,
		 const struct function_version_key *key)
{
	struct function_object read;
	char path[32];
	int err;

	v->why[0] = 0;
	if (v->told.size > sizeof(v->bytes) ||
	    hash_bytes(v->bytes, v->told.size, 0) != v->told.digest) {
		snprintf(v->why, sizeof(v->why), "the object has not come whole");
		return;
	}
	err = object_read(v->bytes, v->told.size, (unsigned int)functions->datapath->cpus, &read,
			  v->why);
	if (!err) {
		auto_(closep) int file = link_object(v, path);

		err = file < 0 ? file : load_linked(functions, v, key, &read, path);
	}
	if (err && !v->why[0])
		snprintf(v->why, sizeof(v->why), "the function cannot be linked or loaded: %s",
			 strerror(-err));
	if (err)
		log_warnx("function %u, place %u: not loaded", key->slot, key->place);
	else
		clear_counts(functions, key);
}

// ---- slots

static int set_slot(int map, __u32 slot, const struct function_loaded *v, const char *name)
{
	const struct bpf_program *program =
		v ? bpf_object__find_program_by_name(v->object, name) : NULL;
	int fd = program ? bpf_program__fd(program) : -1;

	if (fd < 0)
		return bpf_map_delete_elem(map, &slot) && errno != ENOENT ? -errno : 0;
	return bpf_map_update_elem(map, &slot, &fd, BPF_ANY) ? -errno : 0;
}

// Has this version run, or none (NULL), from one packet to the next. What decides about a flow
// comes last: it says who sees every packet of it.
static int run(const struct functions *functions, __u32 slot, const struct function_loaded *v)
{
	const __u32 number = slot - FUNCTION_FIRST_FREE;
	auto_(closep) int map = pin_open(functions->datapath->dir, "functions");
	int err = 0;

	if (map < 0)
		return map;
	if (number < EVERY_FUNCTIONS)
		err = set_slot(map, FUNCTION_FIRST_EVERY + number, v && v->every ? v : NULL,
			       "every");
	return err ? err : set_slot(map, slot, v, "first");
}

static int is_running(const struct functions *functions, __u32 slot)
{
	auto_(closep) int map = pin_open(functions->datapath->dir, "functions");
	__u32 id;

	return map >= 0 && !bpf_map_lookup_elem(map, &slot, &id);
}

// ---- messages

static int put_part(struct functions *functions, const struct function_part_key *key,
		    const struct function_part *part)
{
	struct function_loaded **v = version_at(functions, key->slot, key->place);

	if (!v || key->part >= PARTS)
		return -EINVAL;
	if (!*v && !(*v = calloc(1, sizeof(**v))))
		return -ENOMEM;
	memcpy((*v)->bytes + (size_t)key->part * FUNCTION_PART, part->bytes, FUNCTION_PART);
	return 0;
}

static int put_version(struct functions *functions, const struct function_version_key *key,
		       const struct function_version *told)
{
	struct function_loaded **v = version_at(functions, key->slot, key->place);

	if (!v)
		return -EINVAL;
	if (!*v && !(*v = calloc(1, sizeof(**v))))
		return -ENOMEM;
	if ((*v)->object && (*v)->loads == functions->datapath->loads &&
	    (*v)->told.digest == told->digest)
		return 0;
	bpf_object__close((*v)->object);
	(*v)->object = NULL;
	(*v)->told = *told;
	load(functions, *v, key);
	return 0;
}

static int put_run(struct functions *functions, __u32 slot, const struct function_run *which)
{
	struct function_loaded **v = version_at(functions, slot, which->place);

	if (!v)
		return -EINVAL;
	// A former function may have gone without a word: puts come before removals.
	door_keep(functions->datapath->dir, slot, which->function);
	// One that cannot be loaded is told of; what ran before goes on.
	return *v && (*v)->object ? run(functions, slot, *v) : 0;
}

int functions_put(struct functions *functions, struct message *message, __u32 *done)
{
	const struct table_shape *shape = &tables[message->table];
	auto_(closep) int slots = pin_open(functions->datapath->dir, "functions");
	int err = 0;

	*done = 0;
	if (slots < 0)
		return -ENOENT;
	for (*done = 0; *done < message->count; ++*done) {
		const __u8 *key = message_at(message, *done), *value = key + shape->key_size;
		struct function_version told;
		struct function_run which;

		switch (message->table) {
		case TABLE_FUNCTION_PARTS:
			err = put_part(functions, (const void *)key, (const void *)value);
			break;
		case TABLE_FUNCTION_VERSIONS:
			memcpy(&told, value, sizeof(told));
			err = put_version(functions, (const void *)key, &told);
			break;
		default:
			memcpy(&which, value, sizeof(which));
			err = put_run(functions, *(const __u32 *)key, &which);
		}
		if (err)
			return err;
	}
	return 0;
}

static int is_empty(struct functions *functions, __u32 slot)
{
	for (__u32 place = 0; place < FUNCTION_PLACES; place++) {
		struct function_loaded **v = version_at(functions, slot, place);

		if (v && *v)
			return 0;
	}
	return 1;
}

// Whose slot may soon be another function's has no middlebox any more.
int functions_remove(struct functions *functions, struct message *message, __u32 *done)
{
	for (*done = 0; *done < message->count; ++*done) {
		const void *key = message_at(message, *done);
		const struct function_version_key *version = key;
		struct function_loaded **v;
		int err = 0;

		if (message->table == TABLE_FUNCTION_RUNS) {
			if (version_at(functions, *(const __u32 *)key, 0)) {
				err = run(functions, *(const __u32 *)key, NULL);
				door_shut(functions->datapath->dir, *(const __u32 *)key);
			}
		} else if (message->table == TABLE_FUNCTION_VERSIONS) {
			v = version_at(functions, version->slot, version->place);
			if (v)
				drop(v);
			if (is_empty(functions, version->slot))
				door_shut(functions->datapath->dir, version->slot);
		}
		if (err && err != -ENOENT)
			return err;
	}
	return 0;
}

// A door that was open before this loader, of a slot that nobody has used since.
static int has_door_alone(struct functions *functions, __u32 slot)
{
	return is_empty(functions, slot) && door_is_open(functions->datapath->dir, slot);
}

// Parts are never told: they go with their version. A door alone is told as if both versions were
// there, so that it goes where neither is wanted.
void functions_keys(struct functions *functions, struct message *message)
{
	__u32 slot = FUNCTION_FIRST_FREE, place = 0;

	if (message->count && message->table == TABLE_FUNCTION_RUNS) {
		slot = *(const __u32 *)message_at(message, 0) + 1;
	} else if (message->count && message->table == TABLE_FUNCTION_VERSIONS) {
		const struct function_version_key *last = message_at(message, 0);

		slot = last->slot;
		place = last->place + 1u;
	}
	if (slot < FUNCTION_FIRST_FREE) {
		slot = FUNCTION_FIRST_FREE;
		place = 0;
	}
	message->type = MESSAGE_SOME_KEYS;
	message->count = 0;
	for (; slot < FUNCTION_FIRST_FREE + PUSHED_FUNCTIONS; slot++, place = 0) {
		if (message->table == TABLE_FUNCTION_RUNS && is_running(functions, slot))
			*(__u32 *)message_at(message, message->count++) = slot;
		for (; message->table == TABLE_FUNCTION_VERSIONS && place < FUNCTION_PLACES;
		     place++)
			if (*version_at(functions, slot, place) || has_door_alone(functions, slot))
				*(struct function_version_key *)message_at(message,
									   message->count++) =
					(struct function_version_key){(__u16)slot, (__u16)place};
	}
}

static void add_counts(const struct functions *functions, __u32 index, struct function_count *out)
{
	const int cpus = functions->datapath->cpus;
	auto_(freep) struct function_count *each = calloc((size_t)cpus, sizeof(*each));
	auto_(closep) int map = pin_open(functions->datapath->dir, "function_counts");
	int cpu, i;

	if (!each || map < 0 || bpf_map_lookup_elem(map, &index, each))
		return;
	for (cpu = 0; cpu < cpus; cpu++) {
		out->runs += each[cpu].runs;
		out->dropped += each[cpu].dropped;
		out->beyond += each[cpu].beyond;
		out->timed += each[cpu].timed;
		out->timed_ns += each[cpu].timed_ns;
		if (each[cpu].longest_ns > out->longest_ns)
			out->longest_ns = each[cpu].longest_ns;
		for (i = 0; i < ZETA_REASONS; i++)
			out->reason[i] += each[cpu].reason[i];
	}
}

void functions_tell(struct functions *functions, struct message *message)
{
	__u32 at = message->function.next, i = at / FUNCTION_PLACES, place = at % FUNCTION_PLACES;
	struct function_state *state = &message->function;
	const struct function_loaded *v = NULL;

	memset(message, 0, MESSAGE_HEAD + sizeof(*state));
	message->type = MESSAGE_FUNCTION_IS;
	for (; i < PUSHED_FUNCTIONS && !v; i++, place = 0)
		for (; place < FUNCTION_PLACES && !v; place++)
			if ((v = functions->at[i][place]) && v->told.size)
				*state = (struct function_state){
					.next = i * FUNCTION_PLACES + place + 1,
					.slot = FUNCTION_FIRST_FREE + i,
					.place = place,
					.digest = v->told.digest,
					.loaded = v->object != NULL,
				};
			else
				v = NULL;
	if (!v)
		return;
	memcpy(state->why, v->why, sizeof(state->why));
	add_counts(functions, FUNCTION_PLACES * state->slot + state->place, &state->count);
}
