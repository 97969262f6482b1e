// SPDX-License-Identifier: Apache-2.0
// The kernel has an uplink's routes while its gateway, in another network namespace, answers; and
// the agent's answer to who asks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/own.h"
#include "modules/uplink/answer.h"
#include "modules/uplink/uplinks.h"
#include "shared/address.h"

#define VNI 9
#define TABLE 100
#define PATIENCE 3000 // looks, 50 ms each

static pid_t gateway; // a process in its namespace
static struct uplinks uplinks;
static struct message message;

// Shell words, here or at the gateway's.
__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
	char command[256];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0); // NOLINT: words of this test's own
}

static void at_gateway(const char *words)
{
	run("nsenter --net=/proc/%d/ns/net %s", (int)gateway, words);
}

static struct in6_addr address(const char *text)
{
	return address_of_v4(inet_addr(text));
}

// How many routes of ours the table has for the address; "": for any.
static int routes_for(const char *text)
{
	char command[128], line[256];
	FILE *routes;
	int count = 0;

	snprintf(command, sizeof(command), "ip route show table %d proto %d %s 2>/dev/null", TABLE,
		 UPLINK_PROTOCOL, text);
	routes = popen(command, "r"); // NOLINT: as above
	assert_non_null(routes);
	while (fgets(line, sizeof(line), routes))
		count++;
	pclose(routes);
	return count;
}

// A packet for the gateway: the kernel begins anew to ask for one that it has given up.
static void send_one(void)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(9),
				       .sin_addr.s_addr = inet_addr("198.51.100.1")};
	auto_(closep) int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	(void)!sendto(fd, "", 1, 0, (const struct sockaddr *)&to, sizeof(to));
}

// As the loader does, only more often, while there is traffic and interfaces come and go.
static void until_routes(int count)
{
	for (int i = 0; i < PATIENCE; i++) {
		send_one();
		uplinks_follow(&uplinks, i % 2);
		send_one();
		if (routes_for("") == count)
			return;
		usleep(50000);
	}
	fail_msg("%d routes, not %d", routes_for(""), count);
}

static void change(enum message_type type, enum table table, const void *key, const void *value)
{
	const size_t key_size = tables[table].key_size;
	__u8 *at;
	__u32 done;

	memset(&message, 0, MESSAGE_HEAD);
	message.type = (__u16)type;
	message.table = (__u16)table;
	message.count = 1;
	at = message_at(&message, 0);
	memcpy(at, key, key_size);
	if (type == MESSAGE_PUT)
		memcpy(at + key_size, value, tables[table].value_size);
	assert_int_equal(type == MESSAGE_PUT ? uplinks_put(&uplinks, &message, &done)
					     : uplinks_remove(&uplinks, &message, &done),
			 0);
	assert_int_equal(done, 1);
}

static void announce(uint32_t vni, const char *text)
{
	const struct endpoint_key key = {vni, address(text)};
	const __u32 is = 1;

	change(MESSAGE_PUT, TABLE_ANNOUNCED, &key, &is);
}

static void withdraw(uint32_t vni, const char *text)
{
	const struct endpoint_key key = {vni, address(text)};

	change(MESSAGE_REMOVE, TABLE_ANNOUNCED, &key, NULL);
}

// How many keys of the table there are, or are ready; the first is left in the message.
static __u32 keys(enum table table, int only_ready)
{
	memset(&message, 0, MESSAGE_HEAD);
	message.type = MESSAGE_KEYS;
	message.table = (__u16)table;
	uplinks_keys(&uplinks, &message, only_ready);
	return message.count;
}

static const struct interface_name up0 = {"up0"};

static void put_uplink_at(const struct interface_name *name, __u32 table)
{
	const struct uplink_value value = {VNI, table, address("198.51.100.2"),
					   address("198.51.100.1")};

	change(MESSAGE_PUT, TABLE_UPLINKS, name, &value);
}

static void put_uplink(void)
{
	put_uplink_at(&up0, TABLE);
}

static void follows_what_is_said(void **state)
{
	uplinks_open(&uplinks);
	announce(VNI, "203.0.113.1");
	put_uplink();
	until_routes(1);
	assert_int_equal(routes_for("203.0.113.1 via 198.51.100.1 dev up0"), 1);
	announce(VNI, "203.0.113.2");
	announce(VNI + 1, "203.0.113.3"); // another VPC's
	assert_int_equal(routes_for(""), 2);
	withdraw(VNI, "203.0.113.1");
	assert_int_equal(routes_for(""), 1);
	assert_int_equal(routes_for("203.0.113.2"), 1);
	change(MESSAGE_REMOVE, TABLE_UPLINKS, &up0, NULL);
	assert_int_equal(routes_for(""), 0);
	put_uplink();
	until_routes(1);
	withdraw(VNI + 1, "203.0.113.3");
}

// Another interface has an uplink's table, or two change theirs: what comes is said before what
// goes.
static void keeps_what_another_has(void **state)
{
	const struct interface_name none = {"none0"};

	put_uplink_at(&up0, TABLE + 1);
	assert_int_equal(routes_for(""), 0);
	put_uplink_at(&none, TABLE);
	put_uplink();
	until_routes(1);
	change(MESSAGE_REMOVE, TABLE_UPLINKS, &none, NULL);
	assert_int_equal(routes_for(""), 1);
	put_uplink_at(&none, TABLE + 1);
	put_uplink_at(&up0, TABLE + 1);
	put_uplink_at(&none, TABLE);
	assert_int_equal(routes_for(""), 0);
	put_uplink_at(&none, TABLE + 1);
	put_uplink();
	until_routes(1);
	change(MESSAGE_REMOVE, TABLE_UPLINKS, &none, NULL);
	assert_int_equal(routes_for(""), 1);
}

static void follows_the_gateway(void **state)
{
	at_gateway("ip address del 198.51.100.1/24 dev zup0");
	until_routes(0);
	announce(VNI, "203.0.113.4");
	assert_int_equal(routes_for(""), 0);
	at_gateway("ip address add 198.51.100.1/24 dev zup0");
	until_routes(2);
	withdraw(VNI, "203.0.113.4");
}

// The kernel says nothing of routes that it takes with an interface.
static void follows_the_interface(void **state)
{
	run("ip link set up0 down");
	run("ip link set up0 up");
	assert_int_equal(routes_for(""), 0);
	for (int i = 0; i < PATIENCE && !routes_for(""); i++) {
		uplinks_follow(&uplinks, 1);
		usleep(50000);
	}
	assert_int_equal(routes_for(""), 1);
	run("ip link set up0 down");
	uplinks_follow(&uplinks, 1);
	assert_int_equal(keys(TABLE_UPLINKS, 0), 1);
	run("ip link set up0 up");
	until_routes(1);
	// So soon that nobody has seen it down.
	run("ip route flush table %d proto %d", TABLE, UPLINK_PROTOCOL);
	uplinks_follow(&uplinks, 1);
	assert_int_equal(routes_for(""), 1);
}

static void is_ready_with_a_way_out(void **state)
{
	const __u32 changes = uplinks.changes;

	uplinks_follow(&uplinks, 0);
	assert_int_equal(keys(TABLE_UPLINKS, 1), 0);
	// Others' routes in the table are none.
	run("ip route add 192.0.2.0/24 dev lo table %d", TABLE);
	uplinks_follow(&uplinks, 0);
	assert_int_equal(keys(TABLE_UPLINKS, 1), 0);
	run("ip route add unreachable default metric 9 table %d", TABLE);
	uplinks_follow(&uplinks, 0);
	assert_int_equal(keys(TABLE_UPLINKS, 1), 0);
	run("ip route add default dev lo table %d", TABLE);
	uplinks_follow(&uplinks, 0);
	assert_int_equal(keys(TABLE_UPLINKS, 1), 1);
	assert_memory_equal(message_at(&message, 0), &up0, sizeof(up0));
	assert_int_equal(uplinks.changes, changes + 1);
	run("ip route del default dev lo table %d", TABLE);
	uplinks_follow(&uplinks, 0);
	assert_int_equal(keys(TABLE_UPLINKS, 1), 0);
	assert_int_equal(uplinks.changes, changes + 2);
}

static void expect_ready(__u32 count)
{
	for (int i = 0; i < PATIENCE; i++) {
		uplinks_follow(&uplinks, 0);
		if (keys(TABLE_UPLINKS, 1) == count)
			return;
		usleep(50000);
	}
	fail_msg("%u uplinks are ready, not %u", keys(TABLE_UPLINKS, 1), count);
}

// A static route stays where the cable is gone.
static void is_not_ready_without_a_carrier(void **state)
{
	run("ip link add prov0 type veth peer name far0");
	run("ip link add prov1 type veth peer name far1");
	run("ip address add 192.0.2.1/24 dev prov0");
	run("ip address add 192.0.3.1/24 dev prov1");
	for (int i = 0; i < 2; i++) {
		run("ip link set prov%d up", i);
		run("ip link set far%d up", i);
	}
	run("ip route add default via 192.0.2.2 dev prov0 metric 1 table %d", TABLE);
	expect_ready(1);
	run("ip link set far0 down");
	expect_ready(0);
	// The kernel would take that route still, unless it is told not to.
	run("ip route add default via 192.0.3.2 dev prov1 metric 2 table %d", TABLE);
	expect_ready(0);
	run("sysctl -q -w net.ipv4.conf.prov0.ignore_routes_with_linkdown=1");
	expect_ready(1);
	run("ip route del default metric 2 table %d", TABLE);
	expect_ready(0);
	run("ip route replace default metric 1 table %d nexthop via 192.0.2.2 dev prov0 "
	    "nexthop via 192.0.3.2 dev prov1",
	    TABLE);
	expect_ready(1);
	run("ip link set far1 down");
	expect_ready(0);
	run("ip link set far1 up");
	expect_ready(1);
	run("ip link del prov0");
	run("ip link del prov1");
	expect_ready(0);
}

// What a former zetad wrote stays until it is known whether somebody wants it.
static void adopts(void **state)
{
	struct endpoint_key key;

	announce(VNI, "203.0.113.5");
	uplinks_close(&uplinks);
	assert_int_equal(routes_for(""), 2);
	uplinks_open(&uplinks);
	assert_int_equal(keys(TABLE_ANNOUNCED, 0), 2);
	memcpy(&key, message_at(&message, 0), sizeof(key));
	assert_int_equal(key.vni, 0);
	announce(VNI, "203.0.113.2");
	put_uplink();
	uplinks_follow(&uplinks, 0);
	assert_int_equal(routes_for(""), 2);
	// Nobody wants any of VNI 0, as the agent finds.
	withdraw(0, "203.0.113.2");
	withdraw(0, "203.0.113.5");
	assert_int_equal(routes_for("203.0.113.2"), 1);
	assert_int_equal(routes_for("203.0.113.5"), 0);
	assert_int_equal(keys(TABLE_ANNOUNCED, 0), 1);
}

static void unloads(void **state)
{
	uplinks_unload();
	assert_int_equal(routes_for(""), 0);
	assert_int_equal(system("ip route show table 100 | grep -q 192.0.2.0"), 0); // NOLINT
	uplinks_close(&uplinks);
}

// Whether somebody answers at the address.
static int is_answered(const char *text)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(UPLINK_PORT),
				       .sin_addr.s_addr = inet_addr(text)};
	auto_(closep) int fd = socket(AF_INET, SOCK_STREAM, 0);

	return !connect(fd, (const struct sockaddr *)&to, sizeof(to));
}

static void answers(void **state)
{
	const struct in6_addr ip = address("127.0.0.1"), other = address("127.0.0.2");
	const struct interface_name lo = {"lo"}, none = {"none"};
	struct pollfd polls[MAX_HOST_UPLINKS];
	struct answers said = {};

	answers_begin(&said);
	assert_int_equal(answers_want(&said, &lo, &ip), 0);
	assert_int_equal(answers_want(&said, &lo, &other), 0);
	assert_int_equal(answers_want(&said, &none, &ip), -ENODEV);
	answers_end(&said);
	assert_int_equal(answers_polls(&said, polls), 2);
	assert_true(is_answered("127.0.0.1"));
	assert_true(is_answered("127.0.0.2"));
	assert_int_equal(poll(polls, 2, 1000), 2);
	answers_serve(&said);
	assert_int_equal(poll(polls, 2, 0), 0);
	answers_begin(&said);
	assert_int_equal(answers_want(&said, &lo, &other), 0);
	answers_end(&said);
	assert_false(is_answered("127.0.0.1"));
	assert_true(is_answered("127.0.0.2"));
	answers_begin(&said);
	answers_end(&said);
	assert_false(is_answered("127.0.0.2"));
}

static int begin(void **state)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		return -1;
	gateway = fork();
	if (!gateway) {
		byte = !unshare(CLONE_NEWNET);
		(void)!write(ready[1], &byte, 1);
		pause();
		_exit(0);
	}
	if (read(ready[0], &byte, 1) != 1 || !byte)
		return -1;
	run("ip link set lo up");
	run("ip link add up0 type veth peer name zup0 netns %d", (int)gateway);
	run("ip address add 198.51.100.2/24 dev up0");
	run("ip link set up0 up");
	// So that who is silent is found soon.
	run("sysctl -q -w net.ipv4.neigh.up0.retrans_time_ms=50");
	at_gateway("ip address add 198.51.100.1/24 dev zup0");
	at_gateway("ip link set zup0 up");
	return 0;
}

static int end(void **state)
{
	kill(gateway, SIGKILL);
	waitpid(gateway, NULL, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_what_is_said),
		cmocka_unit_test(keeps_what_another_has),
		cmocka_unit_test(follows_the_gateway),
		cmocka_unit_test(follows_the_interface),
		cmocka_unit_test(is_ready_with_a_way_out),
		cmocka_unit_test(is_not_ready_without_a_carrier),
		cmocka_unit_test(adopts),
		cmocka_unit_test(unloads),
		cmocka_unit_test(answers),
	};

	if (unshare(CLONE_NEWNET)) {
		puts("needs the right to make network namespaces");
		return 77;
	}
	return cmocka_run_group_tests(tests, begin, end);
}
