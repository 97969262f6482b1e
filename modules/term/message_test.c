// SPDX-License-Identifier: Apache-2.0
// Ballot messages there and back, and each single thing that makes one unacceptable.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "modules/term/message.h"

#define CLUSTER 9

static struct dft_term_message accept_of(void)
{
	return (struct dft_term_message){
		.kind = DFT_ACCEPT,
		.from = {1, 11},
		.to = {2, 12},
		.term = {4, 64},
		.configuration = {{4, 64}, 2, 1, {{1, 11}, {2, 12}, {3, 13}}},
		.voters = {4, 3, 2, 1, {{1, 11}, {2, 12}, {5, 15}}},
		.fenced = {{6, 16}},
	};
}

static struct term_message bytes;

static int reads(struct dft_term_message *out)
{
	__u32 chain;

	return message_read(&bytes, sizeof(bytes), CLUSTER, &chain, out);
}

static void write_accept(void)
{
	struct dft_term_message m = accept_of();

	message_write(&bytes, CLUSTER, 7, &m);
}

static void comes_as_it_went(void **state)
{
	struct dft_term_message in = accept_of(), out;
	size_t size;
	__u32 chain;

	message_write(&bytes, CLUSTER, 7, &in);
	assert_int_equal(message_read(&bytes, sizeof(bytes), CLUSTER, &chain, &out), 0);
	assert_int_equal(chain, 7);
	assert_memory_equal(&in, &out, sizeof(in));
	for (size = 0; size < sizeof(bytes); size++)
		assert_int_equal(message_read(&bytes, size, CLUSTER, &chain, &out), -EINVAL);
	assert_int_equal(message_read(&bytes, sizeof(bytes), CLUSTER + 1, &chain, &out), -EINVAL);
}

// Writes it, has one thing changed, and sees it refused.
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct dft_term_message out_;                                                      \
		write_accept();                                                                    \
		change;                                                                            \
		assert_int_equal(reads(&out_), -EINVAL);                                           \
	} while (0)

static void one_fault_is_enough(void **state)
{
	REFUSED(bytes.head.version++);
	REFUSED(bytes.head.kind = DFT_BEAT);
	REFUSED(bytes.head.kind = DFT_ASK_IN + 1);
	REFUSED(bytes.head.count = 1);
	REFUSED(bytes.head.zero = 1);
	REFUSED(bytes.head.from.node = htonl(MAX_NODES));
	REFUSED(bytes.head.from.boot = 0);
	REFUSED(bytes.chain = htonl(MAX_CHAINS));
	REFUSED(bytes.to.node = htonl(MAX_NODES));
	REFUSED(bytes.to.boot = 0);
	REFUSED(bytes.term.epoch = htonl(3));
	REFUSED(bytes.configuration.live = 0);
	REFUSED(bytes.configuration.live = 3);
	REFUSED(bytes.configuration.live = 1);
	REFUSED(bytes.configuration.live = 255);
	REFUSED(bytes.configuration.learner = 2);
	REFUSED(bytes.configuration.zero[0] = 1);
	REFUSED(bytes.configuration.path[1] = bytes.configuration.path[0]);
	REFUSED(bytes.configuration.path[1].node = htonl(MAX_NODES));
	REFUSED(bytes.configuration.path[1].boot = 0);
	REFUSED(bytes.configuration.path[4].node = 1);
	REFUSED(bytes.configuration.term.number = 0);
	REFUSED(bytes.voters.count = 0);
	REFUSED(bytes.voters.count = 6);
	REFUSED(bytes.voters.replicas = 0);
	REFUSED(bytes.voters.replicas = 5);
	REFUSED(bytes.voters.epoch = htonl(5));
	REFUSED(bytes.voters.zero[1] = 1);
	REFUSED(bytes.fenced[2] = bytes.fenced[0]);
	REFUSED(bytes.fenced[0].node = htonl(MAX_NODES));
	// A promise of less than was accepted.
	REFUSED(bytes.head.kind = DFT_PROMISE; bytes.term.epoch = htonl(3));
}

static void known_comes_as_it_went(void **state)
{
	struct known in[TERM_KNOWN_MOST], out[TERM_KNOWN_MOST];
	struct term_known k;
	struct dft_name from;
	size_t size, other;
	__u32 i;

	for (i = 0; i < TERM_KNOWN_MOST; i++)
		in[i] = (struct known){i, {i, i * 32}};
	for (i = 0; i <= TERM_KNOWN_MOST; i++) {
		size = known_write(&k, CLUSTER, (struct dft_name){3, 5}, in, i);
		assert_int_equal(known_read(&k, size, CLUSTER, &from, out), i);
		assert_int_equal(from.node, 3);
		assert_memory_equal(in, out, i * sizeof(in[0]));
		for (other = 0; other <= sizeof(k); other++)
			if (other != size)
				assert_int_equal(known_read(&k, other, CLUSTER, &from, out),
						 -EINVAL);
	}
	assert_int_equal(known_read(&k, size, CLUSTER + 1, &from, out), -EINVAL);
	k.chain[4].chain = htonl(MAX_CHAINS);
	assert_int_equal(known_read(&k, size, CLUSTER, &from, out), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_as_it_went),
		cmocka_unit_test(one_fault_is_enough),
		cmocka_unit_test(known_comes_as_it_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
