// SPDX-License-Identifier: Apache-2.0
// Any bytes as updates from a controller: what is refused is refused whole, what is accepted ends
// in messages that the loader takes, and a snapshot of nothing leaves nothing, even of an update
// that waited for more.
#include <stdint.h>
#include <stdlib.h>

#include "node/desired.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct message message; // large: not on the stack

static void flush(struct desired *desired)
{
	while (desired_batch(desired, &message)) {
		// Wishes are not for the loader.
		if (message.table != TABLE_WISHES &&
		    !message_is_request(&message, message_size(&message)))
			abort();
		// Every third entry fails.
		desired_done(desired, message.count > 2 ? 2 : message.count);
	}
	desired_retry(desired);
}

static void apply(struct desired *desired, const uint8_t *bytes, size_t size)
{
	Zeta__Node__V1__Update *update = zeta__node__v1__update__unpack(NULL, size, bytes);

	if (update && desired_update(desired, update))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct desired *desired = desired_new();
	static const uint8_t nothing[] = {0x10, 1}; // snapshot: true
	size_t half;

	if (!desired || !size)
		goto out;
	if (desired_reload(desired, bytes[0] & (NODE_FWD | NODE_FTN | NODE_EDGE)))
		abort();
	// The first byte says where the second update begins.
	half = 1 + bytes[0] * (size - 1) / 256;
	apply(desired, bytes + 1, half - 1);
	flush(desired);
	apply(desired, bytes + half, size - half);
	apply(desired, nothing, sizeof(nothing));
	if (desired_refused(desired))
		abort();
	while (desired_batch(desired, &message))
		desired_done(desired, message.count);
	// What an edge's one list is made of is gone, the list itself stays.
	if (desired_settings(desired) || desired_pending(desired) > 1)
		abort();
out:
	desired_free(desired);
	return 0;
}
