// SPDX-License-Identifier: Apache-2.0
// XDP cannot make packets, but the kernel runs it on frames that are given: "live frames", which go
// where the program sends them. Thousands go with one system call.
#include "modules/chain/outbox.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/clock.h"
#include "wire/dft.h"

#define AT_ONCE 512 // entries of one call: below a millisecond
#define BATCH 64    // of them until they are handed to the device, whose queue may be short
#define SAVED 2048  // that may be sent at once after a pause
#define LATER 2048  // entries: more than two queues of a learner may be apart
#define FRAME_BYTES (DFT_HEADERS_BYTES + sizeof(struct dft_keyed))

static void *map_array(int fd, __u32 entries, __u32 value_size, size_t bytes)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return MAP_FAILED;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.max_entries != entries ||
	    info.value_size != value_size || !(info.map_flags & BPF_F_MMAPABLE)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

int outbox_open(struct outbox *outbox, int map, int place, int program, __u32 tenant_mtu)
{
	const size_t bytes = sizeof(*outbox->entry) * MAX_OUTBOX;
	void *entries, *at;
	__u32 i;
	int err;

	entries = map_array(map, MAX_OUTBOX, sizeof(*outbox->entry), bytes);
	if (entries == MAP_FAILED)
		return -errno;
	at = map_array(place, 1, sizeof(*outbox->place), sizeof(*outbox->place));
	if (at == MAP_FAILED) {
		err = -errno;
		munmap(entries, bytes);
		return err;
	}
	outbox_close(outbox);
	outbox->entry = entries;
	outbox->place = at;
	outbox->program = program;
	outbox->together = outbox_together(tenant_mtu);
	for (i = 0; i < MAX_OUTBOX; i++)
		outbox->entry[i].state = OUTBOX_FREE;
	outbox->first = outbox->next = outbox->place->next;
	outbox->per_ms = OUTBOX_PER_MS;
	outbox->allowance = 0;
	outbox->allowed_ms = now_ms();
	return 0;
}

void outbox_close(struct outbox *outbox)
{
	if (outbox->entry)
		munmap(outbox->entry, sizeof(*outbox->entry) * MAX_OUTBOX);
	if (outbox->place)
		munmap(outbox->place, sizeof(*outbox->place));
	outbox->entry = NULL;
	outbox->place = NULL;
}

int outbox_is_open(const struct outbox *outbox)
{
	return outbox->entry != NULL;
}

__u32 outbox_room(const struct outbox *outbox)
{
	return MAX_OUTBOX - (outbox->next - outbox->first);
}

void outbox_add(struct outbox *outbox, const struct outbox_entry *entry, __u8 owner)
{
	const __u32 i = outbox->next % MAX_OUTBOX;
	struct outbox_entry *e = &outbox->entry[i];

	*e = *entry;
	e->serial = outbox->next++;
	outbox->owner[i] = owner;
	__atomic_store_n(&e->state, OUTBOX_TO_SEND, __ATOMIC_RELEASE);
}

static int run(const struct outbox *outbox, __u32 frames)
{
	static const __u8 frame[FRAME_BYTES];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .repeat = (int)frames,
		    .batch_size = BATCH);

	return bpf_prog_test_run_opts(outbox->program, &options) ? -errno : 0;
}

// Says which entries go in one frame. Returns how many frames they are.
static __u32 put_together(struct outbox *outbox, __u32 from, __u32 count)
{
	struct outbox_entry *first = NULL, *e;
	__u32 frames = 0, i;

	for (i = 0; i < count; i++) {
		e = &outbox->entry[(from + i) % MAX_OUTBOX];
		if (first && first->together < outbox->together && outbox_goes_with(e, first)) {
			first->together++;
			continue;
		}
		frames++;
		first = outbox_goes_with(e, e) ? e : NULL;
		if (first)
			first->together = 1;
	}
	return frames;
}

int outbox_send(struct outbox *outbox)
{
	const __u32 from = __atomic_load_n(&outbox->place->next, __ATOMIC_ACQUIRE);
	__u32 waiting = outbox->next - from, i;
	const __u64 now = now_ms();
	int err;

	outbox->allowance += (now - outbox->allowed_ms) * outbox->per_ms;
	outbox->allowed_ms = now;
	if (outbox->allowance > SAVED)
		outbox->allowance = SAVED;
	if (waiting > outbox->allowance)
		waiting = (__u32)outbox->allowance;
	if (waiting > AT_ONCE)
		waiting = AT_ONCE;
	if (!waiting)
		return 0;
	for (i = 0; i < waiting; i++)
		outbox->sent_ms[(from + i) % MAX_OUTBOX] = now;
	err = run(outbox, put_together(outbox, from, waiting));
	// Fewer may have gone: a signal came, or there was no memory.
	outbox->allowance -= __atomic_load_n(&outbox->place->next, __ATOMIC_ACQUIRE) - from;
	return err == -EINTR ? 0 : err;
}

int outbox_ready(const struct outbox *outbox)
{
	return outbox->allowance && !outbox_idle(outbox);
}

int outbox_idle(const struct outbox *outbox)
{
	return __atomic_load_n(&outbox->place->next, __ATOMIC_ACQUIRE) == outbox->next;
}

// What was sent is lost when nobody answers for too long, or one that was sent well after it is
// confirmed already.
static int is_lost(const struct outbox *outbox, __u32 serial, __u64 now)
{
	const __u32 later = serial + LATER;

	if (now - outbox->sent_ms[serial % MAX_OUTBOX] >= RESEND_MS)
		return 1;
	return outbox->place->next - serial > LATER &&
	       __atomic_load_n(&outbox->entry[later % MAX_OUTBOX].state, __ATOMIC_ACQUIRE) ==
		       OUTBOX_CONFIRMED;
}

void outbox_settle(struct outbox *outbox, outbox_told *told, void *context)
{
	const __u64 now = now_ms();
	const __u32 end = outbox->next;

	while (outbox->first != end && outbox->first != outbox->place->next) {
		const __u32 i = outbox->first % MAX_OUTBOX;
		const struct outbox_entry entry = outbox->entry[i];
		const __u32 state = __atomic_load_n(&outbox->entry[i].state, __ATOMIC_ACQUIRE);

		if (state == OUTBOX_SENT && !is_lost(outbox, outbox->first, now))
			return;
		__atomic_store_n(&outbox->entry[i].state, OUTBOX_FREE, __ATOMIC_RELEASE);
		outbox->first++;
		if (outbox_confirms(entry.op))
			told(context, &entry, outbox->owner[i], state == OUTBOX_CONFIRMED);
	}
}

int outbox_clock(const struct outbox *outbox, __u32 *now_s)
{
	__u8 frame[FRAME_BYTES] = {};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1);

	// Not where something waits to be sent: the frame of such a run goes nowhere. (Then the
	// time was told not long ago.)
	if (outbox_idle(outbox) && bpf_prog_test_run_opts(outbox->program, &options))
		return -errno;
	*now_s = __atomic_load_n(&outbox->place->now_s, __ATOMIC_RELAXED);
	return 0;
}
