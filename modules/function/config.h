/* SPDX-License-Identifier: Apache-2.0 */
// What a VPC tells a function: JSON by the names of struct zeta_config's fields, and its bytes.
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "modules/function/object.h"

// Fields that are absent are 0. config NULL or null: nothing. Returns 0; -EINVAL: why is a
// sentence.
int config_bytes(const struct function_object *object, const json_t *config,
		 uint8_t out[ZETA_CONFIG_BYTES], char why[OBJECT_WHY]);
// [{name, type, count}]: what there is to be said. A new reference; NULL: no memory.
json_t *config_fields(const struct function_object *object);
