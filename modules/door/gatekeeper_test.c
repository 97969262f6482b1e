// SPDX-License-Identifier: Apache-2.0
// The example's reading of DNS queries: whatever stands before the name, it is found, and what is
// not understood does not pass.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int gatekeeper(int argc, char **argv);

#define main gatekeeper
#include "examples/gatekeeper.c" // NOLINT(bugprone-suspicious-include)
#undef main

#define HEADERS (14 + 40)

struct asked {
	struct zeta_question question;
	__u8 frame[512];
};

static char denied[][LINE] = {"denied.example", "10.0.0.9"};
static const struct list list = {.count = 2, .line = denied};

static void add(struct asked *a, const void *bytes, size_t size)
{
	memcpy(a->frame + a->question.bytes, bytes, size);
	a->question.bytes += size;
}

// Behind an IPv6 header with this next one, and these bytes.
static struct asked begin(__u8 next, const void *between, size_t size)
{
	struct asked a = {.question = {.protocol = IPPROTO_UDP,
				       .destination_port = htons(DNS),
				       .bytes = HEADERS}};

	a.frame[14] = 6 << 4;
	a.frame[14 + 6] = next;
	add(&a, between, size);
	return a;
}

static enum zeta_answer answered(struct asked *a, __u8 questions, const char *name, size_t size)
{
	const __u8 udp[8] = {0}, query[12] = {[5] = questions};

	add(a, udp, sizeof(udp));
	add(a, query, sizeof(query));
	add(a, name, size);
	return decide(&list, &a->question);
}

#define SAID(a, name) answered(a, 1, name, sizeof(name))
#define DENIED "\6denied\7example"
#define ALLOWED "\7allowed\7example"

static void reads_names(void **state)
{
	struct asked a = begin(IPPROTO_UDP, "", 0), b = a, c = a, d = a, e = a, f = a;

	assert_int_equal(SAID(&a, DENIED), ZETA_DROP);
	assert_int_equal(SAID(&b, "\3www" DENIED), ZETA_DROP);
	assert_int_equal(SAID(&c, ALLOWED), ZETA_NEXT);
	assert_int_equal(SAID(&d, ""), ZETA_NEXT); // the root
	assert_int_equal(answered(&e, 2, ALLOWED, sizeof(ALLOWED)), ZETA_DROP);
	assert_int_equal(answered(&f, 1, ALLOWED, 9), ZETA_DROP);
}

static void walks_headers(void **state)
{
	const __u8 options[] = {IPPROTO_UDP, 1, [15] = 0};
	const __u8 fragment[] = {IPPROTO_DSTOPTS, 0, 0, 1, 0, 0, 0, 7, IPPROTO_UDP, [15] = 0};
	const __u8 signature[] = {IPPROTO_UDP, 4, [23] = 0};
	struct asked a = begin(IPPROTO_HOPOPTS, options, 16), b = a;
	struct asked c = begin(IPPROTO_FRAGMENT, fragment, 16), d = c;
	struct asked e = begin(IPPROTO_AH, signature, 24), f = e;
	struct asked unknown = begin(IPPROTO_SCTP, options, 16);
	struct asked short_one = begin(IPPROTO_ROUTING, options, 4);

	assert_int_equal(SAID(&a, DENIED), ZETA_DROP);
	assert_int_equal(SAID(&b, ALLOWED), ZETA_NEXT);
	assert_int_equal(SAID(&c, DENIED), ZETA_DROP);
	assert_int_equal(SAID(&d, ALLOWED), ZETA_NEXT);
	assert_int_equal(SAID(&e, DENIED), ZETA_DROP);
	assert_int_equal(SAID(&f, ALLOWED), ZETA_NEXT);
	assert_int_equal(SAID(&unknown, ALLOWED), ZETA_DROP);
	assert_int_equal(decide(&list, &short_one.question), ZETA_DROP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_names),
		cmocka_unit_test(walks_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
