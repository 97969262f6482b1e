// SPDX-License-Identifier: Apache-2.0
// As messages would bring them.
#include "modules/function/pushing.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "datapath/testing.h"
#include "lib/file.h"
#include "lib/hash.h"
#include "lib/own.h"

void pushing_begin(struct pushing *p, const char *node, const char *objects)
{
	p->objects = objects;
	p->datapath = (struct datapath){
		.dir = testing_pins(node, p->pins), .cpus = libbpf_num_possible_cpus(), .loads = 1};
	functions_open(&p->functions, &p->datapath);
}

void pushing_end(struct pushing *p)
{
	functions_close(&p->functions);
}

size_t pushing_read(const struct pushing *p, const char *sample, uint8_t bytes[ZETA_OBJECT_BYTES])
{
	auto_(freep) char *text = NULL;
	char path[512];
	size_t size;

	snprintf(path, sizeof(path), "%s/sample_%s.o", p->objects, sample);
	must(file_read(path, ZETA_OBJECT_BYTES, &text, &size), path);
	memcpy(bytes, text, size);
	return size;
}

static void put(struct pushing *p, enum table table, const void *key, const void *value)
{
	struct message *m = &p->message;
	uint8_t *at;
	__u32 done;

	memset(m, 0, MESSAGE_HEAD);
	m->type = MESSAGE_PUT;
	m->table = table;
	m->count = 1;
	at = message_at(m, 0);
	memcpy(at, key, tables[table].key_size);
	memcpy(at + tables[table].key_size, value, tables[table].value_size);
	must(functions_put(&p->functions, m, &done), "putting");
}

void pushing_bytes(struct pushing *p, const uint8_t *bytes, size_t size, uint32_t slot,
		   uint32_t place)
{
	size_t at;
	struct function_part_key part = {slot, place, 0};
	struct function_version_key key = {slot, place};
	struct function_version version = {.digest = hash_bytes(bytes, size, 0), .size = size};

	for (at = 0; at < size; at += FUNCTION_PART, part.part++)
		put(p, TABLE_FUNCTION_PARTS, &part, bytes + at);
	put(p, TABLE_FUNCTION_VERSIONS, &key, &version);
}

void pushing_sample(struct pushing *p, const char *sample, uint32_t slot, uint32_t place)
{
	uint8_t bytes[ZETA_OBJECT_BYTES] = {};

	pushing_bytes(p, bytes, pushing_read(p, sample, bytes), slot, place);
}

void pushing_runs(struct pushing *p, uint32_t slot, uint32_t place)
{
	put(p, TABLE_FUNCTION_RUNS, &slot, &(struct function_run){.place = place});
}
