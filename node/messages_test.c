// SPDX-License-Identifier: Apache-2.0
// What the loader takes from the agent, and nothing else: every size, type, table and count around
// what is allowed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/messages.h"

static struct message message; // large: not on the stack

static void begin(enum message_type type, unsigned int table, __u32 count)
{
	memset(&message, 0, sizeof(message));
	message.type = (__u16)type;
	message.table = (__u16)table;
	message.count = count;
}

// Accepted at exactly this size and at no other.
static void assert_only_size(size_t size, int (*is_ok)(const struct message *, size_t))
{
	size_t other;

	assert_true(is_ok(&message, size));
	for (other = 0; other <= sizeof(message) + 1; other++)
		if (other != size)
			assert_false(is_ok(&message, other));
}

// Tables that are the ballots', or no map at all.
static int is_apart(unsigned int table)
{
	return tables[table].kind == TABLE_IS_KEPT || tables[table].kind == TABLE_IS_WISHES;
}

static void request_has_one_size(void **state)
{
	unsigned int table;

	begin(MESSAGE_STATUS, 0, 0);
	assert_only_size(MESSAGE_HEAD, message_is_request);
	begin(MESSAGE_CONFIGURE, 0, 0);
	assert_only_size(MESSAGE_HEAD + sizeof(struct node_settings), message_is_request);
	begin(MESSAGE_DOOR, 0, 0);
	message.door.slot = FUNCTION_FIRST_FREE;
	assert_only_size(MESSAGE_HEAD + sizeof(struct node_door), message_is_request);
	begin(MESSAGE_FUNCTION, 0, 0);
	assert_only_size(MESSAGE_HEAD + sizeof(struct function_state), message_is_request);
	for (table = 0; table < TABLES; table++) {
		size_t key = tables[table].key_size, both = key + tables[table].value_size;

		if (is_apart(table))
			continue;
		begin(MESSAGE_PUT, table, 2);
		assert_only_size(MESSAGE_HEAD + 2 * both, message_is_request);
		begin(MESSAGE_REMOVE, table, 3);
		assert_only_size(MESSAGE_HEAD + 3 * key, message_is_request);
		begin(MESSAGE_KEYS, table, 0);
		assert_only_size(MESSAGE_HEAD, message_is_request);
		begin(MESSAGE_KEYS, table, 1);
		assert_only_size(MESSAGE_HEAD + key, message_is_request);
	}
}

static void count_is_bounded(void **state)
{
	unsigned int table;

	for (table = 0; table < TABLES; table++) {
		__u32 most = (__u32)message_fits(MESSAGE_PUT, table);
		size_t both = tables[table].key_size + tables[table].value_size;

		assert_in_range(most, 1, MESSAGE_ROOM);
		if (is_apart(table))
			continue;
		begin(MESSAGE_PUT, table, most);
		assert_only_size(MESSAGE_HEAD + most * both, message_is_request);
		begin(MESSAGE_PUT, table, most + 1);
		assert_false(message_is_request(&message, MESSAGE_HEAD + (most + 1) * both));
		begin(MESSAGE_PUT, table, 0);
		assert_false(message_is_request(&message, MESSAGE_HEAD));
		begin(MESSAGE_REMOVE, table, 0);
		assert_false(message_is_request(&message, MESSAGE_HEAD));
		// A product that wraps around in 32 bits.
		begin(MESSAGE_PUT, table, 0x80000000u);
		assert_false(message_is_request(&message, MESSAGE_HEAD));
		begin(MESSAGE_KEYS, table, 2);
		assert_false(
			message_is_request(&message, MESSAGE_HEAD + 2 * tables[table].key_size));
	}
}

// Each socket's messages are refused by the other, but for what both write.
static void ballots_are_apart(void **state)
{
	unsigned int table;

	for (table = 0; table < TABLES; table++) {
		size_t both = tables[table].key_size + tables[table].value_size;

		begin(MESSAGE_PUT, table, 2);
		if (tables[table].kind == TABLE_IS_KEPT || table == TABLE_CHAINS)
			assert_only_size(MESSAGE_HEAD + 2 * both, message_is_ballot);
		else
			assert_false(message_is_ballot(&message, MESSAGE_HEAD + 2 * both));
		if (is_apart(table))
			assert_false(message_is_request(&message, MESSAGE_HEAD + 2 * both));
		begin(MESSAGE_REMOVE, table, 1);
		assert_false(message_is_ballot(&message, message_size(&message)));
		begin(MESSAGE_KEYS, table, 0);
		assert_false(message_is_ballot(&message, message_size(&message)));
	}
	begin(MESSAGE_ARRAYS, 0, 0);
	assert_only_size(MESSAGE_HEAD, message_is_ballot);
	assert_false(message_is_request(&message, MESSAGE_HEAD));
	begin(MESSAGE_WIPE, 0, 0);
	assert_only_size(MESSAGE_HEAD + sizeof(message.wipe), message_is_ballot);
	assert_false(message_is_request(&message, message_size(&message)));
	message.wipe.chain = MAX_CHAINS;
	assert_false(message_is_ballot(&message, message_size(&message)));
	begin(MESSAGE_STATUS, 0, 0);
	assert_false(message_is_ballot(&message, MESSAGE_HEAD));
}

static void descriptors_travel_too(void **state)
{
	int sockets[2], fds[ARRAYS], got[ARRAYS], i;
	size_t size;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
	for (i = 0; i < ARRAYS; i++)
		fds[i] = dup(sockets[0]);
	begin(MESSAGE_ARRAYS_ARE, 0, 0);
	assert_int_equal(message_send_arrays(sockets[0], &message, fds), 0);
	assert_int_equal(message_receive_arrays(sockets[1], &message, &size, got), 0);
	assert_true(message_is_answer(&message, size));
	for (i = 0; i < ARRAYS; i++) {
		assert_true(got[i] >= 0);
		close(got[i]);
		close(fds[i]);
	}
	for (i = 0; i < DOOR_FDS; i++)
		fds[i] = dup(sockets[0]);
	begin(MESSAGE_DOOR_IS, 0, 0);
	assert_int_equal(message_send_door(sockets[0], &message, fds), 0);
	assert_int_equal(message_receive_door(sockets[1], &message, &size, got), 0);
	assert_true(message_is_answer(&message, size));
	for (i = 0; i < DOOR_FDS; i++) {
		assert_true(got[i] >= 0);
		close(got[i]);
		close(fds[i]);
	}
	// An answer without any.
	begin(MESSAGE_DONE, 0, 0);
	assert_int_equal(message_send(sockets[0], &message), 0);
	assert_int_equal(message_receive_arrays(sockets[1], &message, &size, got), 0);
	assert_int_equal(got[0], -1);
	close(sockets[0]);
	assert_int_equal(message_receive_arrays(sockets[1], &message, &size, got), -EPIPE);
	close(sockets[1]);
}

static void unknown_is_refused(void **state)
{
	unsigned int type;

	for (type = 0; type <= UINT16_MAX; type++) {
		begin(type, TABLES, 1);
		assert_int_equal(message_size(&message) > 0 && type != MESSAGE_DONE &&
					 message_is_request(&message, message_size(&message)),
				 0);
		begin(type, 0, 0);
		if (type != MESSAGE_STATUS && type != MESSAGE_CONFIGURE && type != MESSAGE_KEYS &&
		    type != MESSAGE_FUNCTION)
			assert_false(message_is_request(&message, message_size(&message)));
	}
	begin(MESSAGE_DOOR, 0, 0);
	message.door.slot = FUNCTION_FIRST_FREE + PUSHED_FUNCTIONS;
	assert_false(message_is_request(&message, message_size(&message)));
	begin(MESSAGE_READY, TABLE_NODES, 0);
	assert_false(message_is_request(&message, MESSAGE_HEAD));
	begin(MESSAGE_READY, TABLE_LOCAL_PORTS, 0);
	assert_true(message_is_request(&message, MESSAGE_HEAD));
	begin(MESSAGE_STATUS, 1, 0);
	assert_false(message_is_request(&message, MESSAGE_HEAD));
	begin(MESSAGE_STATUS, 0, 0);
	message.error = -1;
	assert_false(message_is_request(&message, MESSAGE_HEAD));
}

static void answer_is_checked_too(void **state)
{
	begin(MESSAGE_DONE, 0, 7);
	assert_only_size(MESSAGE_HEAD + MESSAGE_TEXT, message_is_answer);
	memset(message.text, 'x', sizeof(message.text));
	assert_false(message_is_answer(&message, MESSAGE_HEAD + MESSAGE_TEXT));
	begin(MESSAGE_STATUS_IS, 0, 0);
	assert_only_size(MESSAGE_HEAD + sizeof(struct node_status), message_is_answer);
	begin(MESSAGE_PUT, 0, 1);
	assert_false(message_is_answer(&message, message_size(&message)));
}

static void travels_whole(void **state)
{
	int sockets[2];
	size_t size;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
	begin(MESSAGE_PUT, TABLE_BUCKETS, (__u32)message_fits(MESSAGE_PUT, TABLE_BUCKETS));
	memset(message.room, 0x5A, sizeof(message.room));
	assert_int_equal(message_send(sockets[0], &message), 0);
	begin(0, 0, 0);
	assert_int_equal(message_receive(sockets[1], &message, &size), 0);
	assert_true(message_is_request(&message, size));
	assert_int_equal(message.room[MESSAGE_ROOM - 8], 0x5A);
	close(sockets[0]);
	assert_int_equal(message_receive(sockets[1], &message, &size), -EPIPE);
	close(sockets[1]);
}

static struct node_settings gateway(void)
{
	struct node_settings s = {
		.roles = NODE_FWD,
		.tenant_mtu = 1450,
		.oam_port = 8300,
		.tenant_interface = {"eth0"},
		.zgc_interface = {"eth1"},
		.tenant_mac = {2, 0, 0, 0, 0, 1},
		.zgc_mac = {2, 0, 0, 0, 0, 2},
	};

	return s;
}

static void assert_refused(struct node_settings s, const char *about)
{
	const char *why;

	assert_int_equal(node_settings_check(&s, &why), -EINVAL);
	assert_non_null(strstr(why, about));
}

static void settings_are_checked(void **state)
{
	struct node_settings s = gateway();
	const char *why;

	assert_int_equal(node_settings_check(&s, &why), 0);
	s.roles |= NODE_FTN;
	assert_int_equal(node_settings_check(&s, &why), 0);
	s.roles |= NODE_EDGE;
	assert_refused(s, "never both");
	s.roles = 8;
	assert_refused(s, "role");
	s = gateway();
	s.overlay = 2;
	assert_refused(s, "overlay");
	s = gateway();
	s.oam_port = 65536;
	assert_refused(s, "OAM port");
	s = gateway();
	s.beat_ms = MAX_BEAT_MS;
	assert_int_equal(node_settings_check(&s, &why), 0);
	s.beat_ms++;
	assert_refused(s, "heartbeats");
	s = gateway();
	s.tenant_mtu = 575;
	assert_refused(s, "MTU");
	s = gateway();
	s.index = MAX_NODES;
	assert_refused(s, "index");
	s = gateway();
	s.tenant_mac[0] = 1;
	assert_refused(s, "MAC of the tenant");
	s = gateway();
	memset(s.zgc_mac, 0, 6);
	assert_refused(s, "MAC of the cluster");
	s = gateway();
	memset(&s.tenant_interface, 'a', sizeof(s.tenant_interface));
	assert_refused(s, "name of the tenant");
	s = gateway();
	snprintf(s.zgc_interface.text, sizeof(s.zgc_interface.text), "../x");
	assert_refused(s, "name of the cluster");
	s.roles = NODE_EDGE;
	assert_refused(s, "no cluster interface");
	memset(&s.zgc_interface, 0, sizeof(s.zgc_interface));
	assert_int_equal(node_settings_check(&s, &why), 0);
	s = (struct node_settings){};
	assert_int_equal(node_settings_check(&s, &why), 0);
}

static void interface_names_are_checked(void **state)
{
	const struct interface_name good = {"veth-a.100"}, empty = {""}, dot = {".."},
				    slash = {"a/b"}, space = {"a b"};
	struct interface_name tail = {"a"};

	assert_int_equal(interface_name_check(&good), 0);
	assert_int_equal(interface_name_check(&empty), -EINVAL);
	assert_int_equal(interface_name_check(&dot), -EINVAL);
	assert_int_equal(interface_name_check(&slash), -EINVAL);
	assert_int_equal(interface_name_check(&space), -EINVAL);
	// Names are compared whole: what is behind the end counts.
	tail.text[5] = 'x';
	assert_int_equal(interface_name_check(&tail), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_has_one_size),
		cmocka_unit_test(count_is_bounded),
		cmocka_unit_test(ballots_are_apart),
		cmocka_unit_test(descriptors_travel_too),
		cmocka_unit_test(unknown_is_refused),
		cmocka_unit_test(answer_is_checked_too),
		cmocka_unit_test(travels_whole),
		cmocka_unit_test(settings_are_checked),
		cmocka_unit_test(interface_names_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
