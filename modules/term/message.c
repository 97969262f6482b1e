// SPDX-License-Identifier: Apache-2.0
// Fixed layouts, field by field. Reading: sizes, ranges, and what belongs together.
#include "modules/term/message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

_Static_assert(TERM_PATH == DFT_PATH_MOST && TERM_VOTERS == DFT_VOTERS_MOST, "as many on the wire");

static struct term_name name_write(struct dft_name name)
{
	return (struct term_name){htonl(name.node), htonl(name.boot)};
}

static struct dft_name name_read(struct term_name name)
{
	return (struct dft_name){ntohl(name.node), ntohl(name.boot)};
}

static struct term_number term_write(struct dft_term term)
{
	return (struct term_number){htonl(term.epoch), htonl(term.number)};
}

static struct dft_term term_read(struct term_number term)
{
	return (struct dft_term){ntohl(term.epoch), ntohl(term.number)};
}

static struct term_head head_write(__u32 kind, __u32 cluster, struct dft_name from)
{
	return (struct term_head){.version = TERM_VERSION,
				  .kind = (__u8)kind,
				  .cluster = htonl(cluster),
				  .from = name_write(from)};
}

void message_write(struct term_message *to, __u32 cluster, __u32 chain,
		   const struct dft_term_message *from)
{
	const struct dft_configuration *c = &from->configuration;
	const struct dft_voters *v = &from->voters;
	__u32 i;

	*to = (struct term_message){.head = head_write(from->kind, cluster, from->from),
				    .chain = htonl(chain),
				    .to = name_write(from->to),
				    .term = term_write(from->term)};
	to->configuration.term = term_write(c->term);
	to->configuration.live = (__u8)c->live;
	to->configuration.learner = (__u8)c->learner;
	for (i = 0; i < c->live + c->learner && i < TERM_PATH; i++)
		to->configuration.path[i] = name_write(c->path[i]);
	to->voters.epoch = htonl(v->epoch);
	to->voters.count = (__u8)v->count;
	to->voters.replicas = (__u8)v->replicas;
	to->voters.founded = htonl(v->founded);
	for (i = 0; i < v->count && i < TERM_VOTERS; i++)
		to->voters.voter[i] = name_write(v->voter[i]);
	for (i = 0; i < TERM_PATH && from->fenced[i].boot; i++)
		to->fenced[i] = name_write(from->fenced[i]);
}

// Copies count names out of most. Each is a node's in some life, none is there twice, and the rest
// is zero.
static int read_names(const struct term_name *from, size_t count, size_t most, struct dft_name *to)
{
	size_t i, k;

	if (count > most)
		return -EINVAL;
	for (i = 0; i < most; i++) {
		const struct dft_name name = name_read(from[i]);

		if (i >= count ? name.node || name.boot : name.node >= MAX_NODES || !name.boot)
			return -EINVAL;
		for (k = 0; k < i && i < count; k++)
			if (to[k].node == name.node)
				return -EINVAL;
		to[i] = name;
	}
	return 0;
}

static int read_configuration(const struct term_configuration *from, struct dft_configuration *to)
{
	to->term = term_read(from->term);
	to->live = from->live;
	to->learner = from->learner;
	if (from->learner > 1 || from->zero[0] || from->zero[1])
		return -EINVAL;
	return read_names(from->path, (size_t)from->live + from->learner, TERM_PATH, to->path);
}

static int read_voters(const struct term_voters *from, struct dft_voters *to)
{
	to->epoch = ntohl(from->epoch);
	to->count = from->count;
	to->replicas = from->replicas;
	to->founded = ntohl(from->founded);
	if (from->zero[0] || from->zero[1] || from->replicas >= TERM_PATH ||
	    to->founded > to->epoch || !from->replicas != !from->count)
		return -EINVAL;
	return read_names(from->voter, from->count, TERM_VOTERS, to->voter);
}

static int read_fenced(const struct term_name from[TERM_PATH], struct dft_name to[DFT_PATH_MOST])
{
	size_t count = 0;

	while (count < TERM_PATH && from[count].boot)
		count++;
	return read_names(from, count, TERM_PATH, to);
}

static int read_head(const struct term_head *head, __u32 cluster, struct dft_name *from)
{
	*from = name_read(head->from);
	return head->version == TERM_VERSION && ntohl(head->cluster) == cluster &&
			       from->node < MAX_NODES && from->boot
		       ? 0
		       : -EINVAL;
}

// Whether the parts of a message say one thing. What a term means is its configuration; whom it is
// a majority of, its voters.
static int is_whole(const struct dft_term_message *m)
{
	switch (m->kind) {
	case DFT_ACCEPT:
	case DFT_CHOSEN:
		return m->term.epoch && m->configuration.live && m->voters.count &&
		       m->voters.epoch == m->term.epoch &&
		       !dft_term_compare(m->term, m->configuration.term);
	case DFT_PREPARE:
		return m->term.epoch && m->voters.count && m->voters.epoch == m->term.epoch;
	case DFT_ACCEPTED:
		return m->term.epoch != 0;
	case DFT_PROMISE:
		// What was accepted last, if anything was, is of no higher term than was promised.
		return m->term.epoch &&
		       (m->configuration.term.epoch
				? m->configuration.live &&
					  dft_term_compare(m->configuration.term, m->term) <= 0
				: !m->configuration.live);
	default:
		return 1;
	}
}

int message_read(const void *bytes, size_t size, __u32 cluster, __u32 *chain,
		 struct dft_term_message *to)
{
	struct dft_term_message m = {};
	struct term_message from;

	if (size != sizeof(from))
		return -EINVAL;
	memcpy(&from, bytes, sizeof(from));
	m.kind = from.head.kind;
	m.to = name_read(from.to);
	m.term = term_read(from.term);
	// Heartbeats are the kernel's.
	if (read_head(&from.head, cluster, &m.from) || from.head.count || from.head.zero ||
	    ntohl(from.chain) >= MAX_CHAINS || m.kind < DFT_PREPARE || m.kind > DFT_ASK_IN ||
	    m.to.node >= MAX_NODES || (!m.to.boot && m.kind != DFT_CHOSEN) ||
	    read_configuration(&from.configuration, &m.configuration) ||
	    read_voters(&from.voters, &m.voters) || read_fenced(from.fenced, m.fenced) ||
	    !is_whole(&m))
		return -EINVAL;
	*chain = ntohl(from.chain);
	*to = m;
	return 0;
}

size_t known_write(struct term_known *to, __u32 cluster, struct dft_name from,
		   const struct known *known, size_t count)
{
	size_t i;

	to->head = head_write(TERM_KNOWN, cluster, from);
	to->head.count = (__u8)count;
	for (i = 0; i < count; i++) {
		to->chain[i].chain = htonl(known[i].chain);
		to->chain[i].term = term_write(known[i].term);
	}
	return offsetof(struct term_known, chain) + count * sizeof(to->chain[0]);
}

int known_read(const void *bytes, size_t size, __u32 cluster, struct dft_name *from,
	       struct known known[TERM_KNOWN_MOST])
{
	struct term_known m;
	struct dft_name name;
	size_t i;

	if (size < sizeof(m.head) || size > sizeof(m))
		return -EINVAL;
	memcpy(&m, bytes, size);
	if (m.head.kind != TERM_KNOWN || m.head.zero || m.head.count > TERM_KNOWN_MOST ||
	    size != offsetof(struct term_known, chain) + m.head.count * sizeof(m.chain[0]) ||
	    read_head(&m.head, cluster, &name))
		return -EINVAL;
	for (i = 0; i < m.head.count; i++)
		if (ntohl(m.chain[i].chain) >= MAX_CHAINS)
			return -EINVAL;
	for (i = 0; i < m.head.count; i++)
		known[i] = (struct known){ntohl(m.chain[i].chain), term_read(m.chain[i].term)};
	*from = name;
	return m.head.count;
}
