// SPDX-License-Identifier: Apache-2.0
// An object is larger than a message to the loader: it goes in parts.
#include "modules/function/function.h"

#include <string.h>

#include "lib/hash.h"
#include "shared/function.h"

static int is_slot(__u32 slot)
{
	return slot >= FUNCTION_FIRST_FREE && slot < FUNCTION_FIRST_FREE + PUSHED_FUNCTIONS;
}

static int version_entries(__u32 slot, const Zeta__Node__V1__FunctionVersion *version,
			   struct entries *entries)
{
	const ProtobufCBinaryData *object = &version->object;
	const struct function_version_key key = {(__u16)slot, (__u16)version->place};
	struct function_version value = {.size = (__u32)object->len};
	struct function_part_key part_key = {(__u16)slot, (__u16)version->place, 0};
	struct function_part part;
	size_t at, some;
	int err;

	if (version->place >= FUNCTION_PLACES)
		return entries_refuse(entries, "a function has no place %u", version->place);
	if (!object->len || object->len > ZETA_OBJECT_BYTES)
		return entries_refuse(entries, "the object has %zu bytes, not 1 to %u", object->len,
				      ZETA_OBJECT_BYTES);
	for (at = 0; at < object->len; at += some, part_key.part++) {
		some = object->len - at < sizeof(part) ? object->len - at : sizeof(part);
		memset(&part, 0, sizeof(part));
		memcpy(part.bytes, object->data + at, some);
		err = entries->put(entries, TABLE_FUNCTION_PARTS, &part_key, &part);
		if (err)
			return err;
	}
	value.digest = hash_bytes(object->data, object->len, 0);
	return entries->put(entries, TABLE_FUNCTION_VERSIONS, &key, &value);
}

int function_entries(const Zeta__Node__V1__Function *function, struct entries *entries)
{
	const struct function_run run = {.place = function->running - 1,
					 .function = hash_text(function->id, 0)};
	size_t i;
	int err;

	if (!is_slot(function->slot))
		return entries_refuse(entries, "there is no slot %u for functions", function->slot);
	if (function->running > FUNCTION_PLACES)
		return entries_refuse(entries, "a function has no place %u", function->running - 1);
	for (i = 0; i < function->n_version; i++)
		if ((err = version_entries(function->slot, function->version[i], entries)))
			return err;
	if (!function->running)
		return 0;
	return entries->put(entries, TABLE_FUNCTION_RUNS, &function->slot, &run);
}

int function_config_entry(__u32 chain, const Zeta__Node__V1__FunctionConfig *config,
			  struct entries *entries)
{
	const struct function_config_key key = {chain, (__u16)config->slot, (__u16)config->place};
	struct function_config value = {};

	if (!is_slot(config->slot) || config->place >= FUNCTION_PLACES)
		return entries_refuse(entries, "there is no slot %u, place %u for functions",
				      config->slot, config->place);
	if (config->config.len > sizeof(value.bytes))
		return entries_refuse(entries, "a configuration of %zu bytes is too large",
				      config->config.len);
	if (config->config.len)
		memcpy(value.bytes, config->config.data, config->config.len);
	return entries->put(entries, TABLE_FUNCTION_CONFIGS, &key, &value);
}
