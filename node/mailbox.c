// SPDX-License-Identifier: Apache-2.0
// A list under a mutex, and an eventfd that counts what is in it.
#include "node/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
	pthread_mutex_t lock;
	struct mail *first;
	struct mail **last;
	int fd;
};

struct mailbox *mailbox_new(void)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));

	if (!mailbox)
		return NULL;
	mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mailbox->fd < 0) {
		free(mailbox);
		return NULL;
	}
	pthread_mutex_init(&mailbox->lock, NULL);
	mailbox->last = &mailbox->first;
	return mailbox;
}

static void drop_all(struct mailbox *mailbox)
{
	struct mail *mail;

	while ((mail = mailbox->first)) {
		mailbox->first = mail->next;
		free(mail);
	}
	mailbox->last = &mailbox->first;
}

void mailbox_free(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	drop_all(mailbox);
	close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
}

int mailbox_fd(const struct mailbox *mailbox)
{
	return mailbox->fd;
}

int mailbox_put(struct mailbox *mailbox, enum mail_kind kind, const void *bytes, size_t size)
{
	struct mail *mail = malloc(sizeof(*mail) + size);

	if (!mail)
		return -ENOMEM;
	mail->next = NULL;
	mail->kind = kind;
	mail->size = size;
	if (size)
		memcpy(mail->bytes, bytes, size);
	pthread_mutex_lock(&mailbox->lock);
	if (kind == MAIL_LOST)
		drop_all(mailbox);
	*mailbox->last = mail;
	mailbox->last = &mail->next;
	eventfd_write(mailbox->fd, 1);
	pthread_mutex_unlock(&mailbox->lock);
	return 0;
}

struct mail *mailbox_take(struct mailbox *mailbox)
{
	struct mail *mail;
	eventfd_t count;

	pthread_mutex_lock(&mailbox->lock);
	mail = mailbox->first;
	if (mail)
		mailbox->first = mail->next;
	if (!mailbox->first) {
		mailbox->last = &mailbox->first;
		eventfd_read(mailbox->fd, &count);
	}
	pthread_mutex_unlock(&mailbox->lock);
	return mail;
}
