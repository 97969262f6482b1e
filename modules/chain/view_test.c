// SPDX-License-Identifier: Apache-2.0
// The view of a cluster as nodes come and go.
#include "modules/chain/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/address.h"

static struct view_cluster cluster_of(const char *first, const char *last, unsigned int replicas,
				      unsigned int chains)
{
	struct view_cluster cluster = {.number = 3, .replicas = replicas, .chains = chains};

	assert_int_equal(address_parse(first, &cluster.entrance_first), 0);
	assert_int_equal(address_parse(last, &cluster.entrance_last), 0);
	return cluster;
}

static unsigned int owned_by(const struct view *view, uint32_t node)
{
	unsigned int i, n = 0;

	for (i = 0; i < view->entrances; i++)
		n += view->entrance[i].owner == node;
	return n;
}

static unsigned int moved(const struct view *a, const struct view *b)
{
	unsigned int i, n = 0;

	for (i = 0; i < a->entrances; i++)
		n += a->entrance[i].owner != b->entrance[i].owner;
	return n;
}

static void test_entrance_count(void **state)
{
	struct view_cluster c = cluster_of("10.0.0.250", "10.0.1.5", 3, 0);

	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 12);
	assert_int_equal(entrance_count(&c.entrance_last, &c.entrance_first), 0);
	c = cluster_of("10.0.0.1", "10.0.0.64", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 64);
	c = cluster_of("10.0.0.1", "10.0.0.65", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 0);
	c = cluster_of("10.0.0.1", "fd00::1", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 0);
	c = cluster_of("fd00::1", "fd00::4", 3, 0);
	assert_int_equal(entrance_count(&c.entrance_first, &c.entrance_last), 4);
}

static void test_nobody(void **state)
{
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.4", 3, 0);
	struct view *view = malloc(sizeof(*view));
	unsigned int i;

	view_build(view, NULL, &c, NULL, 0);
	assert_int_equal(view->epoch, 1);
	assert_int_equal(view->entrances, 4);
	assert_int_equal(view->chains, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(view->entrance[i].owner, 0);
	free(view);
}

static void test_entrance_macs(void **state)
{
	struct view_cluster c = cluster_of("10.1.2.255", "10.1.3.1", 3, 0);
	struct view *view = malloc(sizeof(*view));
	char text[ADDRESS_TEXT];

	view_build(view, NULL, &c, NULL, 0);
	assert_string_equal(mac_text(view->entrance[0].mac, text), "02:5a:03:01:02:ff");
	assert_string_equal(mac_text(view->entrance[1].mac, text), "02:5a:03:01:03:00");
	assert_string_equal(mac_text(view->entrance[2].mac, text), "02:5a:03:01:03:01");
	free(view);
}

static void test_entrances_stay(void **state)
{
	struct view_node nodes[] = {{1, ROLE_FWD}, {2, ROLE_FTN}, {5, ROLE_FWD}, {9, ROLE_FWD}};
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.4", 3, 0);
	struct view *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b)), *d = malloc(sizeof(*d));

	view_build(a, NULL, &c, nodes, 3);
	assert_int_equal(owned_by(a, 1), 2);
	assert_int_equal(owned_by(a, 5), 2);
	assert_int_equal(owned_by(a, 2), 0);

	// One more: it gets its share, and nothing else moves.
	view_build(b, a, &c, nodes, 4);
	assert_int_equal(b->epoch, 2);
	assert_int_equal(owned_by(b, 9), 1);
	assert_int_equal(moved(a, b), 1);

	// The first leaves: only what it owned moves.
	view_build(d, b, &c, nodes + 1, 3);
	assert_int_equal(d->epoch, 3);
	assert_int_equal(owned_by(d, 1), 0);
	assert_int_equal(moved(b, d), owned_by(b, 1));
	assert_int_equal(owned_by(d, 5), 2);
	assert_int_equal(owned_by(d, 9), 2);

	// It is no forwarder any more: the same.
	nodes[0].roles = ROLE_FTN;
	view_build(d, b, &c, nodes, 4);
	assert_int_equal(owned_by(d, 1), 0);
	assert_int_equal(moved(b, d), owned_by(b, 1));

	// Entrances are known by address: a longer range keeps the owners of the old ones.
	nodes[0].roles = ROLE_FWD;
	c = cluster_of("10.0.0.0", "10.0.0.4", 3, 0);
	view_build(d, b, &c, nodes, 4);
	assert_int_equal(d->entrance[1].owner, b->entrance[0].owner);
	assert_int_equal(d->entrance[4].owner, b->entrance[3].owner);
	free(a);
	free(b);
	free(d);
}

static void test_chains(void **state)
{
	const struct view_node nodes[] = {
		{1, ROLE_FWD}, {2, ROLE_FTN}, {4, ROLE_FTN}, {7, ROLE_FTN | ROLE_FWD}};
	struct view_cluster c = cluster_of("10.0.0.1", "10.0.0.1", 2, 0);
	struct view *view = malloc(sizeof(*view));

	view_build(view, NULL, &c, nodes, 4);
	assert_int_equal(view->chains, 3);
	assert_int_equal(view->chain[0].replicas, 2);
	assert_int_equal(view->chain[0].term, 1);
	assert_int_equal(view->chain[0].replica[0], 2);
	assert_int_equal(view->chain[0].replica[1], 4);
	assert_int_equal(view->chain[2].replica[0], 7);
	assert_int_equal(view->chain[2].replica[1], 2);

	// More replicas than nodes: each once. Chains as told.
	c.replicas = 8;
	c.chains = 5;
	view_build(view, NULL, &c, nodes, 4);
	assert_int_equal(view->chains, 5);
	assert_int_equal(view->chain[4].replicas, 3);
	assert_int_equal(view->chain[4].replica[0], 4);
	assert_int_equal(view->chain[4].replica[2], 2);
	free(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entrance_count), cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_entrance_macs),  cmocka_unit_test(test_entrances_stay),
		cmocka_unit_test(test_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
