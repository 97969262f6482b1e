/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Middleboxes for Zeta: programs in user space that a network function (zeta/nf.h) asks about first
// packets, at each flow table node. docs/functions.md tells when and why.
//
//   #include <zeta/middlebox.h>
//
//   int main(void)
//   {
//           struct zeta_middlebox box;
//           struct zeta_question *q;
//           int err = zeta_middlebox_open(&box, "/run/zeta/gw1.door", "gate");
//
//           while (!err && !(err = zeta_middlebox_next(&box, -1, &q)))
//                   zeta_middlebox_answer(&box, q, allowed(q) ? ZETA_NEXT : ZETA_DROP);
//           return 1;
//   }
//
// It needs no rights but to connect to zetad's socket (`zetad --door GROUP`), and no library: all
// is in this header. What it holds afterwards is an AF_XDP socket that leads to zetad's programs
// and nowhere else, and memory that it shares with the kernel.
//
// A question is a copy. The packet itself stays in the kernel, and goes on as it was: nothing of
// the question counts when it is answered but the token, reason, remember and hold.
#ifndef ZETA_MIDDLEBOX_H
#define ZETA_MIDDLEBOX_H

#ifndef __bpf__
#include <netinet/in.h> // before the kernel's own word on addresses
#endif

#include "nf.h"

// What a middlebox gets: this, then the tenant's frame, from its Ethernet header on. From abi to
// time_s it is what the function was told (struct zeta_first_packet), and what is after that is
// what the function said.
struct zeta_question {
	__u64 token; // of this question
	__u32 bytes; // of the frame, host byte order
	__u16 slot;  // the function's number at this node
	__u8 answer; // enum zeta_answer; zeta_middlebox_answer() writes it
	__u8 pad;

	__u32 abi;
	__u32 vni;
	struct in6_addr source;
	struct in6_addr destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 what;
	__u8 source_mac[6];
	__u8 destination_mac[6];
	__u32 zero;
	__u64 time_s;

	// To be edited, as the function has declared.
	__u8 reason; // with ZETA_DROP
	__u8 remember;
	__u8 hold;
	__u8 unheard; // of no meaning here
	__u32 note;   // the function's
};

// An answer that comes later is none (verdict ANSWER_LATE), and the packet is lost: TCP's comes
// again after a second. Where several functions ask about a packet in turn it is the time of all.
#define ZETA_ANSWER_MS 100

// What is said over zetad's socket (SOCK_SEQPACKET): one hello, one welcome.
#define ZETA_DOOR_VERSION 1
#define ZETA_DOOR_NAME 64

struct zeta_hello {
	__u32 version;
	char function[ZETA_DOOR_NAME]; // its name or id, NUL-terminated
};

// With it, where error is 0, come two descriptors: the AF_XDP socket, whose rings have chunks
// entries each, and the memory of so many chunks.
struct zeta_welcome {
	__u32 version;
	__s32 error; // a negative errno
	__u32 slot;
	__u32 chunks;
	__u32 chunk_bytes;
	char why[108]; // a sentence
};

// The frame: question->bytes bytes.
static inline const __u8 *zeta_question_frame(const struct zeta_question *question)
{
	return (const __u8 *)(question + 1);
}

#ifndef __bpf__

#include <errno.h>
#include <linux/if_xdp.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct zeta_ring {
	__u32 *producer;
	__u32 *consumer;
	void *entry;
	void *map;
	size_t size;
};

// One thread's. Its fields are nobody else's business.
struct zeta_middlebox {
	int socket; // to be polled: readable where a question may be there
	int memory;
	struct zeta_ring fill, completion, questions, answers;
	__u8 *chunk;
	struct zeta_welcome welcome; // where it is refused: why
};

static inline void zeta_ring_unmap(struct zeta_ring *ring)
{
	if (ring->map)
		munmap(ring->map, ring->size);
	memset(ring, 0, sizeof(*ring));
}

// Frees what it has. Questions that were not answered are lost.
static inline void zeta_middlebox_close(struct zeta_middlebox *box)
{
	zeta_ring_unmap(&box->fill);
	zeta_ring_unmap(&box->completion);
	zeta_ring_unmap(&box->questions);
	zeta_ring_unmap(&box->answers);
	if (box->chunk)
		munmap(box->chunk, (size_t)box->welcome.chunks * box->welcome.chunk_bytes);
	box->chunk = NULL;
	if (box->socket >= 0)
		close(box->socket);
	if (box->memory >= 0)
		close(box->memory);
	box->socket = box->memory = -1;
}

static inline int zeta_ring_map(const struct zeta_middlebox *box, const struct xdp_ring_offset *at,
				size_t entry_size, off_t which, struct zeta_ring *ring)
{
	size_t size = at->desc + box->welcome.chunks * entry_size;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, box->socket,
			 which);

	if (map == MAP_FAILED)
		return -errno;
	ring->map = map;
	ring->size = size;
	ring->producer = (__u32 *)((char *)map + at->producer);
	ring->consumer = (__u32 *)((char *)map + at->consumer);
	ring->entry = (char *)map + at->desc;
	return 0;
}

// The kernel may put a question into this chunk.
static inline void zeta_chunk_give(struct zeta_middlebox *box, __u64 address)
{
	__u32 at = *box->fill.producer;

	((__u64 *)box->fill.entry)[at & (box->welcome.chunks - 1)] =
		address & ~(__u64)(box->welcome.chunk_bytes - 1);
	__atomic_store_n(box->fill.producer, at + 1, __ATOMIC_RELEASE);
}

static inline int zeta_middlebox_map(struct zeta_middlebox *box)
{
	const struct zeta_welcome *w = &box->welcome;
	const size_t size = (size_t)w->chunks * w->chunk_bytes;
	struct xdp_mmap_offsets at;
	socklen_t length = sizeof(at);
	void *memory;
	__u32 i;
	int err;

	if (getsockopt(box->socket, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length))
		return -errno;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, box->memory, 0);
	if (memory == MAP_FAILED)
		return -errno;
	box->chunk = (__u8 *)memory;
	if ((err = zeta_ring_map(box, &at.fr, sizeof(__u64), XDP_UMEM_PGOFF_FILL_RING,
				 &box->fill)) ||
	    (err = zeta_ring_map(box, &at.cr, sizeof(__u64), XDP_UMEM_PGOFF_COMPLETION_RING,
				 &box->completion)) ||
	    (err = zeta_ring_map(box, &at.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING,
				 &box->questions)) ||
	    (err = zeta_ring_map(box, &at.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING,
				 &box->answers)))
		return err;
	for (i = 0; i < w->chunks; i++)
		zeta_chunk_give(box, (__u64)i * w->chunk_bytes);
	return 0;
}

static inline int zeta_welcomed(struct zeta_middlebox *box, int door)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec bytes = {&box->welcome, sizeof(box->welcome)};
	struct msghdr message = {.msg_iov = &bytes,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	const struct cmsghdr *header;
	int fds[2] = {-1, -1};
	ssize_t got = recvmsg(door, &message, MSG_CMSG_CLOEXEC);

	if (got < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(fds)))
		memcpy(fds, CMSG_DATA(header), sizeof(fds));
	box->socket = fds[0];
	box->memory = fds[1];
	if (got != (ssize_t)sizeof(box->welcome) || box->welcome.version != ZETA_DOOR_VERSION)
		return -EPROTO;
	box->welcome.why[sizeof(box->welcome.why) - 1] = 0;
	if (box->welcome.error)
		return box->welcome.error < 0 ? box->welcome.error : -EPROTO;
	return fds[1] < 0 || !box->welcome.chunks ? -EPROTO : 0;
}

// Becomes the middlebox of a function at the node whose zetad listens at path. Returns 0, then
// zeta_middlebox_close() ends it; or a negative errno, and box->welcome.why may say more:
// -ENOENT, -ECONNREFUSED: no zetad is there, or it has no door; -EACCES: the socket is not for this
// user; -ESRCH: the node has no such function; -EBUSY: it has a middlebox, or its former one has
// only just ended: try again; -EAGAIN: zetad is not ready yet.
static inline int zeta_middlebox_open(struct zeta_middlebox *box, const char *path,
				      const char *function)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct zeta_hello hello = {.version = ZETA_DOOR_VERSION};
	const size_t path_length = strlen(path), length = strlen(function);
	int door, err;

	memset(box, 0, sizeof(*box));
	box->socket = box->memory = -1;
	if (path_length >= sizeof(address.sun_path) || length >= sizeof(hello.function))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, path_length);
	memcpy(hello.function, function, length);
	door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (door < 0)
		return -errno;
	if (connect(door, (const struct sockaddr *)&address, sizeof(address)) ||
	    send(door, &hello, sizeof(hello), MSG_NOSIGNAL) != (ssize_t)sizeof(hello))
		err = -errno;
	else
		err = zeta_welcomed(box, door);
	close(door);
	if (!err)
		err = zeta_middlebox_map(box);
	if (err)
		zeta_middlebox_close(box);
	return err;
}

// Has the kernel send what is to be sent. -EPIPE: the door is shut.
static inline int zeta_middlebox_kick(const struct zeta_middlebox *box)
{
	if (sendto(box->socket, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0 || errno == EAGAIN ||
	    errno == EBUSY || errno == ENOBUFS)
		return 0;
	return errno == ENXIO || errno == ENETDOWN ? -EPIPE : -errno;
}

// The next question, which is the caller's until it is answered, in any order; frame and all of it
// may be read. Waits for so many milliseconds, -1: for ever. Returns 0; -EAGAIN: there is none;
// -EINTR; -EPIPE: zetad has closed the door, as the function is gone or its way to here was made
// anew: open it again.
static inline int zeta_middlebox_next(struct zeta_middlebox *box, int wait_ms,
				      struct zeta_question **question)
{
	struct zeta_ring *ring = &box->questions;
	struct pollfd polled = {.fd = box->socket, .events = POLLIN};
	const int look_ms = 1000; // nobody is woken when the door is shut
	const struct xdp_desc *entry;
	int ready, some_ms;
	__u32 at;

	*question = NULL;
	if (!ring->map || !ring->consumer) // it was closed
		return -EPIPE;
	at = *ring->consumer;
	while (__atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) == at) {
		some_ms = wait_ms < 0 || wait_ms > look_ms ? look_ms : wait_ms;
		ready = poll(&polled, 1, some_ms);
		if (ready < 0)
			return -errno;
		if (ready)
			continue;
		if (zeta_middlebox_kick(box) == -EPIPE)
			return -EPIPE;
		if (wait_ms >= 0 && !(wait_ms -= some_ms))
			return -EAGAIN;
	}
	entry = (const struct xdp_desc *)ring->entry + (at & (box->welcome.chunks - 1));
	*question = (struct zeta_question *)(box->chunk + entry->addr);
	__atomic_store_n(ring->consumer, at + 1, __ATOMIC_RELEASE);
	return 0;
}

// Answers: ZETA_NEXT, ZETA_DONE or ZETA_DROP, with reason, remember and hold as they are in the
// question. The question is no longer the caller's. Returns 0, or a negative errno: the packet is
// lost.
static inline int zeta_middlebox_answer(struct zeta_middlebox *box, struct zeta_question *question,
					enum zeta_answer answer)
{
	struct zeta_ring *ring = &box->completion;
	__u32 mask = box->welcome.chunks - 1, at = *ring->consumer, next = *box->answers.producer;
	struct xdp_desc *entry = (struct xdp_desc *)box->answers.entry + (next & mask);

	// What was sent before may be used again. (There are as many entries as chunks: of what is
	// sent one is always free.)
	for (; at != __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE); at++)
		zeta_chunk_give(box, ((const __u64 *)ring->entry)[at & mask]);
	__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);

	question->answer = (__u8)answer;
	*entry = (struct xdp_desc){.addr = (__u64)((__u8 *)question - box->chunk),
				   .len = (__u32)(sizeof(*question) + question->bytes)};
	__atomic_store_n(box->answers.producer, next + 1, __ATOMIC_RELEASE);
	return zeta_middlebox_kick(box);
}

#endif
#endif
