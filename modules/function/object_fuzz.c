// SPDX-License-Identifier: Apache-2.0
// Any bytes for an object file: refused with a sentence, or read; never more.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modules/function/object.h"

int LLVMFuzzerTestOneInput(const __u8 *bytes, size_t size);

int LLVMFuzzerTestOneInput(const __u8 *bytes, size_t size)
{
	struct function_object object;
	char why[OBJECT_WHY] = "";
	int err = object_read(bytes, size, 2, &object, why);

	if (err && err != -ENOMEM && (!why[0] || strlen(why) >= sizeof(why)))
		abort();
	if (!err && (object.fields > OBJECT_FIELDS || object.config_size > ZETA_CONFIG_BYTES))
		abort();
	return 0;
}
