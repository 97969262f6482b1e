/* SPDX-License-Identifier: Apache-2.0 */
// From the thread that receives to the thread that works: a queue with a descriptor to poll.
#pragma once

#include <stddef.h>

enum mail_kind {
	MAIL_CONNECTED,
	MAIL_MESSAGE,
	MAIL_LOST,
	MAIL_HEALTH, // of some backend
};

struct mail {
	struct mail *next;
	enum mail_kind kind;
	size_t size;
	unsigned char bytes[];
};

struct mailbox;

// NULL: no memory or descriptors.
struct mailbox *mailbox_new(void);
void mailbox_free(struct mailbox *mailbox);
// Readable while there is mail.
int mailbox_fd(const struct mailbox *mailbox);
// From any thread; copies. Mail about a lost stream takes the place of all mail before it. Returns
// 0 or -ENOMEM.
int mailbox_put(struct mailbox *mailbox, enum mail_kind kind, const void *bytes, size_t size);
// The oldest, which the caller then frees, or NULL.
struct mail *mailbox_take(struct mailbox *mailbox);
