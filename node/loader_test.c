// SPDX-License-Identifier: Apache-2.0
// The real loader and an agent that was taken over: whatever it sends, the loader answers or ends;
// it does nothing else, and what it is not asked for stays as it is.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/file.h"
#include "lib/hash.h"
#include "lib/own.h"
#include "node/loader.h"
#include "node/messages.h"
#include "shared/limits.h"

static const char dir[] = "/media/zeta/n1";
static struct message message; // large: not on the stack
static const char *object;     // file of a function
static pid_t loader_pid, agent_pid;
static int agent_socket = -1, ballot_socket = -1;

static void start(void)
{
	int sockets[2], ballots[2];
	sigset_t set;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ballots), 0);
	loader_pid = fork();
	assert_true(loader_pid >= 0);
	if (!loader_pid) {
		// The loader waits for its own child.
		pid_t agent;

		prctl(PR_SET_PDEATHSIG, SIGKILL); // also where the test fails
		agent = fork();
		if (!agent) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
			_exit(0);
		}
		close(sockets[1]);
		close(ballots[1]);
		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		sigaddset(&set, SIGINT);
		sigaddset(&set, SIGCHLD);
		sigprocmask(SIG_BLOCK, &set, NULL);
		// The first thing that comes through the socket is no message but the child's id.
		if (send(sockets[0], &agent, sizeof(agent), 0) != sizeof(agent))
			_exit(99);
		_exit(loader_run(&(struct loader){.dir = dir,
						  .mode = XDP_MODE_GENERIC,
						  .sessions = MIN_SESSIONS,
						  .socket = sockets[0],
						  .ballots = ballots[0],
						  .agent = agent}));
	}
	close(sockets[0]);
	close(ballots[0]);
	agent_socket = sockets[1];
	ballot_socket = ballots[1];
	assert_int_equal(recv(agent_socket, &agent_pid, sizeof(agent_pid), 0), sizeof(agent_pid));
}

// Returns the loader's exit status.
static int wait_loader(void)
{
	int status;

	assert_int_equal(waitpid(loader_pid, &status, 0), loader_pid);
	kill(agent_pid, SIGKILL);
	close(agent_socket);
	close(ballot_socket);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void begin(enum message_type type, unsigned int table, __u32 count)
{
	memset(&message, 0, sizeof(message));
	message.type = (__u16)type;
	message.table = (__u16)table;
	message.count = count;
}

// Sends the message and has its answer in its place.
static void ask_on(int socket)
{
	size_t size;

	assert_int_equal(message_send(socket, &message), 0);
	assert_int_equal(message_receive(socket, &message, &size), 0);
	assert_true(message_is_answer(&message, size));
}

static void ask(void)
{
	ask_on(agent_socket);
}

static int is_desired(unsigned int table)
{
	return tables[table].kind != TABLE_IS_KEPT && tables[table].kind != TABLE_IS_WISHES;
}

static void ask_status(void)
{
	begin(MESSAGE_STATUS, 0, 0);
	ask();
	assert_int_equal(message.type, MESSAGE_STATUS_IS);
}

static void end_on(const void *bytes, size_t size)
{
	start();
	assert_int_equal(send(agent_socket, bytes, size, 0), size);
	assert_int_equal(wait_loader(), 1);
	start();
	assert_int_equal(send(ballot_socket, bytes, size, 0), size);
	assert_int_equal(wait_loader(), 1);
}

static void ends_on_nonsense(void **state)
{
	end_on("x", 1);
	begin(0, 0, 0);
	end_on(&message, MESSAGE_HEAD);
	begin(MESSAGE_DONE, 0, 0);
	end_on(&message, message_size(&message));
	begin(MESSAGE_PUT, TABLES, 1);
	end_on(&message, MESSAGE_HEAD + 8);
	begin(MESSAGE_PUT, TABLE_VPCS, 0xFFFFFFFF);
	end_on(&message, sizeof(message));
	begin(MESSAGE_PUT, TABLE_VPCS, 2);
	end_on(&message, message_size(&message) - 1);
	begin(MESSAGE_STATUS, 0, 0);
	end_on(&message, MESSAGE_HEAD + 1);
}

static void does_nothing_before_settings(void **state)
{
	unsigned int table;

	start();
	ask_status();
	assert_int_equal(message.status.boot, 0);
	for (table = 0; table < TABLES; table++) {
		if (!is_desired(table))
			continue;
		begin(MESSAGE_PUT, table, 1);
		memcpy(message.room, "any", 3);
		ask();
		assert_int_equal(message.error, -ENOENT);
		assert_int_equal(message.count, 0);
		begin(MESSAGE_REMOVE, table, 3);
		ask();
		assert_int_equal(message.error, 0);
	}
	begin(MESSAGE_KEYS, TABLE_VPCS, 0);
	ask();
	assert_int_equal(message.error, -ENOENT);
	begin(MESSAGE_PUT, TABLE_FENCES, 1);
	ask_on(ballot_socket);
	assert_int_equal(message.error, -ENOENT);
	begin(MESSAGE_ARRAYS, 0, 0);
	ask_on(ballot_socket);
	assert_int_equal(message.error, -ENOENT);
	begin(MESSAGE_CONFIGURE, 0, 0);
	memset(&message.settings, 0xFF, sizeof(message.settings));
	ask();
	assert_int_equal(message.error, -EINVAL);
	ask_status();
	assert_int_equal(message.status.loads, 0);
	kill(loader_pid, SIGTERM);
	kill(agent_pid, SIGKILL);
	assert_int_equal(wait_loader(), 0);
}

static void survives_any_content(void **state)
{
	struct node_settings settings = {
		.roles = NODE_EDGE,
		.tenant_mtu = 1450,
		.oam_port = 8300,
		.tenant_interface = {"lo"},
		.tenant_mac = {2, 0, 0, 0, 0, 1},
	};
	static const enum message_type types[] = {MESSAGE_PUT, MESSAGE_REMOVE, MESSAGE_KEYS,
						  MESSAGE_READY, MESSAGE_CONFIGURE};
	unsigned int round, seed = 7;
	size_t i, size;
	__u32 boot;

	start();
	begin(MESSAGE_CONFIGURE, 0, 0);
	message.settings = settings;
	ask();
	assert_int_equal(message.error, 0);
	ask_status();
	boot = message.status.boot;
	assert_int_not_equal(boot, 0);
	for (round = 0; round < 3000; round++) {
		seed = seed * 1103515245 + 12345;
		begin(types[(seed >> 16) % 5], 0, 0);
		if (message.type != MESSAGE_CONFIGURE)
			do
				message.table = (__u16)(((seed += 1 << 20) >> 20) % TABLES);
			while (!is_desired(message.table));
		if (message.type == MESSAGE_PUT || message.type == MESSAGE_REMOVE)
			message.count = 1 + (seed >> 24) % 3;
		else if (message.type != MESSAGE_CONFIGURE)
			message.count = (seed >> 24) % 2;
		if (message.type == MESSAGE_READY)
			message.table = TABLE_LOCAL_PORTS;
		size = message_size(&message);
		for (i = MESSAGE_HEAD; i < size; i++) {
			seed = seed * 1103515245 + 12345;
			((__u8 *)&message)[i] = (__u8)(seed >> 16);
		}
		ask();
	}
	// No random settings are valid ones.
	ask_status();
	assert_int_equal(message.status.boot, boot);
	assert_int_equal(message.status.loads, 1);
	kill(agent_pid, SIGKILL);
	assert_int_equal(wait_loader(), 1);
}

static int is_answered(int socket)
{
	struct pollfd poll_socket = {.fd = socket, .events = POLLIN};

	return poll(&poll_socket, 1, 0) > 0;
}

// How many ballots are decided until the answer to what the agent has asked is here.
static unsigned int ballots_until_answered(void)
{
	struct fence_value fence = {};
	unsigned int ballots = 0;
	const __u32 chain = 0;
	size_t size;

	while (!is_answered(agent_socket)) {
		begin(MESSAGE_PUT, TABLE_FENCES, 1);
		memcpy(message_at(&message, 0), &chain, sizeof(chain));
		fence.promised = ++ballots;
		memcpy((__u8 *)message_at(&message, 0) + sizeof(chain), &fence, sizeof(fence));
		ask_on(ballot_socket);
		assert_int_equal(message.error, 0);
	}
	assert_int_equal(message_receive(agent_socket, &message, &size), 0);
	assert_int_equal(message.type, MESSAGE_DONE);
	return ballots;
}

static void put(enum table table, const void *key, const void *value)
{
	__u8 *at;

	begin(MESSAGE_PUT, table, 1);
	at = message_at(&message, 0);
	memcpy(at, key, tables[table].key_size);
	memcpy(at + tables[table].key_size, value, tables[table].value_size);
}

// Pushes a function, up to the message that has it verified, which is left to be sent.
static void push_function(__u32 slot)
{
	struct function_part_key part = {.slot = slot};
	struct function_version_key key = {.slot = slot};
	struct function_version version = {};
	static __u8 bytes[ZETA_OBJECT_BYTES];
	auto_(freep) char *text = NULL;
	size_t size, at;

	assert_int_equal(file_read(object, sizeof(bytes), &text, &size), 0);
	memcpy(bytes, text, size);
	for (at = 0; at < size; at += FUNCTION_PART, part.part++) {
		put(TABLE_FUNCTION_PARTS, &part, bytes + at);
		ask();
		assert_int_equal(message.error, 0);
	}
	version.digest = hash_bytes(bytes, size, 0);
	version.size = (__u32)size;
	put(TABLE_FUNCTION_VERSIONS, &key, &version);
}

// Who waits for the kernel decides a few: those that are here before and after.
#define FEW 10

static void decides_ballots_while_it_loads(void **state)
{
	struct node_settings settings = {
		.roles = NODE_FTN,
		.tenant_mtu = 1450,
		.oam_port = 8300,
		.index = 1,
		.tenant_interface = {"lo"},
		.tenant_mac = {2, 0, 0, 0, 0, 1},
		.zgc_interface = {"lo"},
		.zgc_mac = {2, 0, 0, 0, 0, 1},
	};
	unsigned int ballots = 0;
	__u32 boot, slot;

	settings.tenant_ip.s6_addr32[2] = settings.zgc_ip.s6_addr32[2] = htonl(0xFFFF);
	settings.tenant_ip.s6_addr32[3] = settings.zgc_ip.s6_addr32[3] = htonl(0x7F000001);
	start();
	begin(MESSAGE_CONFIGURE, 0, 0);
	message.settings = settings;
	ask();
	assert_string_equal(message.text, "");
	assert_int_equal(message.error, 0);
	ask_status();
	boot = message.status.boot;
	begin(MESSAGE_CONFIGURE, 0, 0);
	message.settings = settings;
	message.settings.tenant_mtu = 1400;
	assert_int_equal(message_send(agent_socket, &message), 0);
	assert_true(ballots_until_answered() > FEW);
	assert_int_equal(message.error, 0);
	ask_status();
	assert_int_equal(message.status.boot, boot);
	assert_int_equal(message.status.loads, 2);
	// And while a function is verified, which is over soon: perhaps before our next turn.
	for (slot = FUNCTION_FIRST_FREE; slot < FUNCTION_FIRST_EVERY && ballots <= FEW; slot++) {
		push_function(slot);
		assert_int_equal(message_send(agent_socket, &message), 0);
		ballots = ballots_until_answered();
		assert_int_equal(message.error, 0);
		begin(MESSAGE_FUNCTION, 0, 0);
		message.function.next = (slot - FUNCTION_FIRST_FREE) * FUNCTION_PLACES;
		ask();
		assert_int_equal(message.function.slot, slot);
		assert_string_equal(message.function.why, "");
		assert_true(message.function.loaded);
	}
	assert_true(ballots > FEW);
	// It is asked to end in the middle of it.
	begin(MESSAGE_CONFIGURE, 0, 0);
	message.settings = settings;
	assert_int_equal(message_send(agent_socket, &message), 0);
	kill(loader_pid, SIGTERM);
	kill(agent_pid, SIGKILL);
	assert_int_equal(wait_loader(), 0);
}

// In namespaces that end with this process, over a directory that every system has.
static int isolate(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/media", "bpf", 0, NULL))
		return -errno;
	return pins_make(dir);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_on_nonsense),
		cmocka_unit_test(does_nothing_before_settings),
		cmocka_unit_test(survives_any_content),
		cmocka_unit_test(decides_ballots_while_it_loads),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: loader_test FUNCTION\n");
		return 2;
	}
	object = argv[1];
	if (geteuid() || isolate()) {
		fprintf(stderr, "skipped: needs root, namespaces and a BPF file system\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
