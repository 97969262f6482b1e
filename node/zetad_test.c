// SPDX-License-Identifier: Apache-2.0
// The real zetad in a network namespace and on a bpffs of its own, against a controller that this
// test plays over the real stream. Question: do packets and state outlive the daemon, does what is
// in the maps follow what is desired, and has each process only the rights it needs?
//
//   [sender v1]==[v0 zetad]   the node's tenant interface
//   [z1]========[z0 zetad]    its cluster interface
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>

#include "api/node.pb-c.h"
#include "include/zeta/middlebox.h"
#include "lib/own.h"
#include "lib/rpc.h"
#include "lib/test_certs.h"
#include "modules/session/flat.h"
#include "modules/session/flat_map.h"
#include "modules/session/session.h"
#include "node/tables.h"
#include "shared/heartbeat.h"
#include "shared/limits.h"

#define METHOD "/zeta.node.v1.Controller/Stream"
#define WAIT_MS 150000
#define VNI 77

// The controller's side, and what it last heard.
static struct {
	pthread_mutex_t lock;
	struct rpc_server *server;
	struct rpc_stream *stream;
	Zeta__Node__V1__Report *report;
	unsigned int reports; // of this stream
} controller = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char directory[64], bpf[128], run[128], target[64];
static const char *program;
static const char *table; // what keeps sessions: "kernel" or "flat"
static pid_t daemon_pid;

// ---- the controller

static int opened(void *context, struct rpc_stream *stream, const char *name, void **user)
{
	pthread_mutex_lock(&controller.lock);
	if (controller.stream)
		rpc_stream_unref(controller.stream);
	controller.stream = rpc_stream_ref(stream);
	controller.reports = 0;
	pthread_mutex_unlock(&controller.lock);
	return 0;
}

static void message(void *context, struct rpc_stream *stream, void *user, const void *bytes,
		    size_t size)
{
	Zeta__Node__V1__Report *report = zeta__node__v1__report__unpack(NULL, size, bytes);

	pthread_mutex_lock(&controller.lock);
	if (controller.stream == stream) {
		if (controller.report)
			zeta__node__v1__report__free_unpacked(controller.report, NULL);
		controller.report = take_ptr(report);
		controller.reports++;
	}
	pthread_mutex_unlock(&controller.lock);
	if (report)
		zeta__node__v1__report__free_unpacked(report, NULL);
}

static void closed(void *context, struct rpc_stream *stream, void *user)
{
	pthread_mutex_lock(&controller.lock);
	if (controller.stream == stream) {
		rpc_stream_unref(stream);
		controller.stream = NULL;
	}
	pthread_mutex_unlock(&controller.lock);
}

// From here on only a stream that begins anew counts.
static void forget_stream(void)
{
	pthread_mutex_lock(&controller.lock);
	if (controller.stream)
		rpc_stream_unref(controller.stream);
	controller.stream = NULL;
	pthread_mutex_unlock(&controller.lock);
}

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

// Waits for a condition on the last report of the stream there is now.
static int reported(int (*is_so)(const Zeta__Node__V1__Report *, const void *), const void *what)
{
	int tries, so = 0;

	for (tries = 0; tries < WAIT_MS / 20 && !so; tries++, pause_a_little()) {
		pthread_mutex_lock(&controller.lock);
		so = controller.stream && controller.reports && is_so(controller.report, what);
		pthread_mutex_unlock(&controller.lock);
	}
	if (!so && controller.report)
		fprintf(stderr, "last report: revision %ju error \"%s\" ready %zu\n",
			(uintmax_t)controller.report->revision, controller.report->error,
			controller.report->n_ready_port);
	return so;
}

static int is_any(const Zeta__Node__V1__Report *report, const void *what)
{
	return 1;
}

static int has_applied(const Zeta__Node__V1__Report *report, const void *what)
{
	return report->revision >= *(const uint64_t *)what && !*report->error && report->boot;
}

static int has_no_boot(const Zeta__Node__V1__Report *report, const void *what)
{
	return !report->boot && !*report->error;
}

static int says(const Zeta__Node__V1__Report *report, const void *what)
{
	return strstr(report->error, what) != NULL;
}

static uint64_t packets_of(const Zeta__Node__V1__Report *report)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < report->n_verdicts; i++)
		sum += report->verdicts[i]->packets;
	return sum;
}

static int has_packets(const Zeta__Node__V1__Report *report, const void *what)
{
	return packets_of(report) >= *(const uint64_t *)what;
}

static int has_ready(const Zeta__Node__V1__Report *report, const void *what)
{
	return report->n_ready_port == *(const size_t *)what;
}

struct expected_sessions {
	uint64_t count, digest;
};

static int has_sessions(const Zeta__Node__V1__Report *report, const void *what)
{
	const struct expected_sessions *expected = what;

	return report->sessions == expected->count && report->session_digest == expected->digest;
}

static uint32_t boot(void)
{
	uint32_t value;

	pthread_mutex_lock(&controller.lock);
	value = controller.report->boot;
	pthread_mutex_unlock(&controller.lock);
	return value;
}

static int is_applied(uint64_t revision)
{
	int so;

	pthread_mutex_lock(&controller.lock);
	so = has_applied(controller.report, &revision);
	pthread_mutex_unlock(&controller.lock);
	return so;
}

static uint64_t packets(void)
{
	uint64_t value;

	pthread_mutex_lock(&controller.lock);
	value = packets_of(controller.report);
	pthread_mutex_unlock(&controller.lock);
	return value;
}

static void send_update(const Zeta__Node__V1__Update *update)
{
	size_t size = zeta__node__v1__update__get_packed_size(update);
	auto_(freep) uint8_t *bytes = malloc(size);
	int err = -ENOTCONN;

	zeta__node__v1__update__pack(update, bytes);
	pthread_mutex_lock(&controller.lock);
	if (controller.stream)
		err = rpc_stream_send(controller.stream, bytes, size);
	pthread_mutex_unlock(&controller.lock);
	assert_int_equal(err, 0);
}

// ---- what is desired

static uint8_t ip_a[16] = {[10] = 0xFF, 0xFF, 10, 0, 0, 1};
static uint8_t ip_b[16] = {[10] = 0xFF, 0xFF, 10, 0, 0, 2};
static uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1};
#define BYTES(array) ((ProtobufCBinaryData){sizeof(array), array})

static Zeta__Node__V1__NodeSettings settings_of(int edge)
{
	Zeta__Node__V1__NodeSettings s = ZETA__NODE__V1__NODE_SETTINGS__INIT;

	s.id = "n1";
	s.name = "n1";
	s.forwarder = s.flow_table = !edge;
	s.edge = edge;
	s.oam_port = 8300;
	s.tenant_mtu = 1450;
	s.index = 1;
	s.tenant_interface = "v0";
	s.tenant_ip = BYTES(ip_a);
	s.tenant_mac = BYTES(mac_a);
	if (!edge) {
		s.zgc_interface = "z0";
		s.zgc_ip = BYTES(ip_b);
		s.zgc_mac = BYTES(mac_a);
		s.beat_ms = 10;
		s.cluster_number = 1;
	}
	return s;
}

enum part { WHOLE, FIRST, LAST };

// A snapshot of the settings, a VPC and the ports of these addresses; or its first half, which has
// the settings and the first port, or its last one.
static void send_part(enum part part, uint64_t revision, uint8_t (*ips)[16], size_t count)
{
	const size_t first = 3;
	Zeta__Node__V1__NodeSettings settings = settings_of(0);
	Zeta__Node__V1__Vpc vpc = ZETA__NODE__V1__VPC__INIT;
	Zeta__Node__V1__Update update = ZETA__NODE__V1__UPDATE__INIT;
	Zeta__Node__V1__Port ports[8];
	ProtobufCBinaryData ip[8];
	Zeta__Node__V1__Object objects[10], *put[10];
	char ids[8][8];
	size_t i;

	for (i = 0; i < count + 2; i++) {
		zeta__node__v1__object__init(&objects[i]);
		put[i] = &objects[i];
	}
	objects[0].kind_case = ZETA__NODE__V1__OBJECT__KIND_SETTINGS;
	objects[0].settings = &settings;
	vpc.id = "vpc";
	vpc.vni = VNI;
	objects[1].kind_case = ZETA__NODE__V1__OBJECT__KIND_VPC;
	objects[1].vpc = &vpc;
	for (i = 0; i < count; i++) {
		zeta__node__v1__port__init(&ports[i]);
		snprintf(ids[i], sizeof(ids[i]), "p%zu", i);
		ports[i].id = ids[i];
		ports[i].vni = VNI;
		ip[i] = (ProtobufCBinaryData){16, ips[i]};
		ports[i].n_ip = 1;
		ports[i].ip = &ip[i];
		ports[i].mac = BYTES(mac_a);
		ports[i].host_ip = BYTES(ip_b);
		ports[i].host_mac = BYTES(mac_a);
		objects[i + 2].kind_case = ZETA__NODE__V1__OBJECT__KIND_PORT;
		objects[i + 2].port = &ports[i];
	}
	update.revision = revision;
	update.snapshot = part != LAST;
	update.more = part == FIRST;
	update.n_put = part == FIRST ? first : count + 2;
	update.put = put;
	if (part == LAST) {
		update.put += first;
		update.n_put -= first;
	}
	send_update(&update);
}

static void send_snapshot(uint64_t revision, uint8_t (*ips)[16], size_t count)
{
	send_part(WHOLE, revision, ips, count);
}

// ---- the machine

static int map_of(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/n1/%s", bpf, name);
	return bpf_obj_get(path);
}

static int has_endpoint(const uint8_t ip[16])
{
	auto_(closep) int map = map_of("endpoints");
	struct endpoint_key key = {.vni = VNI};
	struct endpoint_value value;

	memcpy(&key.address, ip, sizeof(key.address));
	return !bpf_map_lookup_elem(map, &key, &value);
}

// Frames that no part of Zeta knows: every one has a verdict all the same.
static void send_frames(const char *interface, int count)
{
	auto_(closep) int raw = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	const struct sockaddr_ll to = {.sll_family = AF_PACKET,
				       .sll_ifindex = (int)if_nametoindex(interface)};
	uint8_t frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x88, 0xB5};

	while (count-- > 0)
		assert_int_equal(sendto(raw, frame, sizeof(frame), 0, (const struct sockaddr *)&to,
					sizeof(to)),
				 sizeof(frame));
}

// Until the programs are attached, frames are for the kernel only.
static int sends_until(const uint64_t *expected)
{
	int tries;

	for (tries = 0; tries < WAIT_MS / 20; tries++, pause_a_little()) {
		send_frames("v1", 1);
		if (packets() >= *expected)
			return 1;
	}
	return 0;
}

static int has_vpc(void)
{
	auto_(closep) int map = map_of("vpcs");
	const uint32_t vni = VNI;
	struct vpc_value value;

	return !bpf_map_lookup_elem(map, &vni, &value);
}

static void shell(const char *command)
{
	assert_int_equal(run_silent((char *[]){"sh", "-c", (char *)command, NULL}), 0);
}

static const char *room = "131072"; // sessions of its flow table
static const char *door;	    // who may come as a middlebox; NULL: nobody

static void start_zetad(void)
{
	char ca[CERT_PATH], cert[CERT_PATH], key[CERT_PATH];

	cert_path(ca, directory, "ca", "pem");
	cert_path(cert, directory, "n1", "pem");
	cert_path(key, directory, "n1", "key");
	forget_stream();
	daemon_pid = fork();
	assert_true(daemon_pid >= 0);
	if (daemon_pid)
		return;
	// Its leak check would need ptrace, which neither process may use any more.
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execl(program, program, "--name", "n1", "--controller", target, "--ca", ca, "--cert", cert,
	      "--key", key, "--bpf", bpf, "--run", run, "--sessions", table, "--max-sessions", room,
	      door ? "--door" : NULL, door, NULL);
	_exit(127);
}

// Returns the exit status, or -signal.
static int wait_zetad(void)
{
	int status;

	assert_int_equal(waitpid(daemon_pid, &status, 0), daemon_pid);
	daemon_pid = 0;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void stop_zetad(void)
{
	kill(daemon_pid, SIGTERM);
	assert_int_equal(wait_zetad(), 0);
}

static pid_t agent_pid(void)
{
	char path[64];
	pid_t pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", daemon_pid, daemon_pid);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

static void status_line(pid_t pid, const char *field, char *out, size_t size)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	assert_non_null(file);
	*out = 0;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			snprintf(out, size, "%s", line + strlen(field) + 1);
	fclose(file);
}

static unsigned long long status_hex(pid_t pid, const char *field)
{
	char text[256];

	status_line(pid, field, text, sizeof(text));
	return strtoull(text, NULL, 16);
}

// ---- tests

static void fills_the_maps(void **state)
{
	uint64_t revision = 5;

	start_zetad();
	assert_true(reported(is_any, NULL));
	assert_int_equal(boot(), 0);
	send_snapshot(revision, (uint8_t[][16]){{1}, {2}, {3}}, 3);
	assert_true(reported(has_applied, &revision));
	assert_int_not_equal(boot(), 0);
	assert_true(has_endpoint((uint8_t[16]){1}));
	assert_true(has_endpoint((uint8_t[16]){3}));
	assert_false(has_endpoint((uint8_t[16]){4}));
}

static int has_reports(const Zeta__Node__V1__Report *report, const void *what)
{
	return controller.reports >= *(const unsigned int *)what;
}

// Waits until what was sent must have been seen: every update is followed by a report, and another
// one may have been under way.
static void wait_reports(void)
{
	unsigned int expected;

	pthread_mutex_lock(&controller.lock);
	expected = controller.reports + 3;
	pthread_mutex_unlock(&controller.lock);
	assert_true(reported(has_reports, &expected));
}

static void takes_a_snapshot_in_parts(void **state)
{
	uint8_t ips[][16] = {{1}, {3}, {6}};
	uint64_t former = 5, revision = 6;

	// Half of it comes: nothing that the rest may name goes, and nothing is said to be applied.
	send_part(FIRST, revision, ips, 3);
	wait_reports();
	assert_true(has_endpoint((uint8_t[16]){2}));
	assert_true(has_endpoint((uint8_t[16]){3}));
	assert_false(is_applied(revision));
	assert_true(is_applied(former));

	// The connection ends in the middle: so it stays.
	pthread_mutex_lock(&controller.lock);
	rpc_stream_close(controller.stream, "in the middle of a snapshot");
	pthread_mutex_unlock(&controller.lock);
	forget_stream();
	assert_true(reported(has_applied, &former));
	wait_reports();
	assert_true(has_endpoint((uint8_t[16]){2}));
	assert_true(has_endpoint((uint8_t[16]){3}));
	// What comes on the next stream is not the rest of it.
	send_part(LAST, revision, ips, 3);
	wait_reports();
	assert_false(is_applied(revision));
	assert_true(has_endpoint((uint8_t[16]){2}));
	assert_false(has_endpoint((uint8_t[16]){6}));

	// It begins again, twice, and is whole.
	send_part(FIRST, revision, ips, 3);
	send_part(FIRST, revision, ips, 3);
	wait_reports();
	assert_true(has_endpoint((uint8_t[16]){3}));
	assert_false(is_applied(revision));
	send_part(LAST, revision, ips, 3);
	assert_true(reported(has_applied, &revision));
	assert_true(has_endpoint((uint8_t[16]){1}));
	assert_false(has_endpoint((uint8_t[16]){2}));
	assert_true(has_endpoint((uint8_t[16]){3}));
	assert_true(has_endpoint((uint8_t[16]){6}));
}

static void counts_packets(void **state)
{
	uint64_t expected = packets() + 10;

	send_frames("v1", 10);
	assert_true(reported(has_packets, &expected));
}

static void has_few_rights(void **state)
{
	pid_t agent = agent_pid();
	char uids[256];

	// CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF.
	assert_int_equal(status_hex(daemon_pid, "CapEff"), 1ull << 12 | 1ull << 38 | 1ull << 39);
	assert_int_equal(status_hex(daemon_pid, "CapPrm"), 1ull << 12 | 1ull << 38 | 1ull << 39);
	assert_int_equal(status_hex(daemon_pid, "CapBnd"), 1ull << 12 | 1ull << 38 | 1ull << 39);
	assert_int_equal(status_hex(daemon_pid, "Seccomp"), 2);
	assert_int_equal(status_hex(agent, "CapEff"), 0);
	assert_int_equal(status_hex(agent, "CapPrm"), 0);
	assert_int_equal(status_hex(agent, "CapBnd"), 0);
	assert_int_equal(status_hex(agent, "CapAmb"), 0);
	assert_int_equal(status_hex(agent, "Seccomp"), 2);
	assert_int_equal(status_hex(agent, "NoNewPrivs"), 1);
	status_line(agent, "Uid", uids, sizeof(uids));
	assert_string_equal(uids, "\t65534\t65534\t65534\t65534\n");
	status_line(agent, "Groups", uids, sizeof(uids));
	assert_string_equal(uids, "\t \n");
}

// The pacemaker's rounds, which need no daemon.
static uint64_t rounds(void)
{
	auto_(closep) int map = map_of("pulse");
	struct pulse_value pulse = {};
	const uint32_t only = 0;

	if (bpf_map_lookup_elem(map, &only, &pulse))
		return 0;
	return pulse.rounds;
}

static int rounds_go_on(void)
{
	uint64_t before = rounds();
	int tries;

	for (tries = 0; tries < WAIT_MS / 20 && rounds() < before + 5; tries++)
		pause_a_little();
	return rounds() >= before + 5;
}

static void goes_on_without_daemon(void **state)
{
	uint64_t expected = packets() + 20, revision = 9;
	pid_t agent = agent_pid();
	uint32_t former = boot();
	int tries;

	kill(agent, SIGKILL);
	kill(daemon_pid, SIGKILL);
	assert_int_equal(wait_zetad(), -SIGKILL);
	assert_true(rounds_go_on());
	send_frames("v1", 20);
	start_zetad();
	// From the pinned maps, before the controller said anything.
	assert_true(reported(has_packets, &expected));
	assert_int_equal(boot(), former);
	// One endpoint less, another one more: what is left over from before is swept.
	send_snapshot(revision, (uint8_t[][16]){{1}, {4}}, 2);
	// All the while, and not one frame is missed while programs are replaced.
	for (tries = 0; tries < WAIT_MS / 20 && !is_applied(revision); tries++, pause_a_little())
		send_frames("v1", 10);
	expected += (uint64_t)tries * 10;
	assert_true(reported(has_packets, &expected));
	assert_int_equal(boot(), former);
	assert_true(has_endpoint((uint8_t[16]){1}));
	assert_true(has_endpoint((uint8_t[16]){4}));
	assert_false(has_endpoint((uint8_t[16]){2}));
	assert_false(has_endpoint((uint8_t[16]){3}));
	expected += 5;
	send_frames("v1", 5);
	assert_true(reported(has_packets, &expected));
	shell("ip link show | grep -q zoam");
	shell("ip link show | grep -q zfrg");
	shell("ip link show | grep -q zemit");
	shell("ip link show | grep -q zclk");
	assert_true(rounds_go_on());
	// What is lost without anybody's word is made anew by the daemon.
	shell("ip link del $(ip -o link show | grep -o 'zclk[0-9a-f]*b' | head -1)");
	assert_true(rounds_go_on());
}

// Puts a session between IPv4 addresses where they are, and counts what the report must say.
static void put_flat(struct flat_map *map, uint8_t i, struct expected_sessions *expected)
{
	struct session_key key = {.a = address_of_v4(i), .b = address_of_v4(2), .vni = {0, 0, VNI}};
	struct dft_record record = {.life = i % 2 ? DFT_LIVE : DFT_TOMBSTONE,
				    .incarnation.counter = i};
	struct flat_place place = flat_place_of(key_hash(&key));
	struct flat_content content = {
		.key = flat_key_of(&key), .life = record.life, .tag = place.tag};
	union flat_page *page = &map->page[flat_page_of(key_hash(&key), map->pages)];
	union flat_half room;

	assert_true(flat_write(page, flat_free(page, place), &content, &record, &room));
	expected->count += record.life == DFT_LIVE;
	expected->digest += session_digest(&key, &record);
}

static void sessions_are_counted(void **state)
{
	struct session_key key = {.vni = {0, 0, VNI}, .protocol = 6};
	struct session_value value = {.record.life = DFT_LIVE};
	auto_(closep) int map = map_of("sessions");
	auto_(closep) int pages = map_of("flat_sessions");
	auto_(flat_map_close) struct flat_map flat = {};
	struct expected_sessions expected = {};
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);
	uint8_t i;

	assert_int_equal(flat_map_open(&flat, pages), 0);
	assert_int_equal(flat.pages, strcmp(table, "flat") ? 1 : flat_pages_for(131072));
	assert_int_equal(bpf_obj_get_info_by_fd(map, &info, &size), 0);
	assert_int_equal(info.max_entries, 131072);
	if (flat.pages > 1)
		for (i = 1; i <= 50; i++)
			put_flat(&flat, i, &expected);
	for (i = 1; i <= 100; i++) {
		key.a.s6_addr[15] = i;
		value.record.incarnation.counter = i;
		value.record.towards[0].action = DECIDE_FORWARD;
		value.record.stamp.counter = i * 2; // differs between replicas for a while
		value.record.life = i <= 90 ? DFT_LIVE : DFT_TOMBSTONE;
		assert_int_equal(bpf_map_update_elem(map, &key, &value, BPF_ANY), 0);
		expected.count += i <= 90;
		expected.digest += session_digest(&key, &value.record);
	}
	assert_true(reported(has_sessions, &expected));
	key.a.s6_addr[15] = 90;
	assert_int_equal(bpf_map_delete_elem(map, &key), 0);
	value.record = (struct dft_record){.incarnation.counter = 90, .life = DFT_LIVE};
	value.record.towards[0].action = DECIDE_FORWARD;
	expected.count--;
	expected.digest -= session_digest(&key, &value.record);
	assert_true(reported(has_sessions, &expected));
}

// A zetad whose maps are made otherwise cannot go on with the old ones.
static void other_map_is_a_new_boot(void **state)
{
	uint32_t former = boot();
	uint64_t revision = 12;
	char path[256];

	stop_zetad();
	snprintf(path, sizeof(path), "%s/n1/vpcs", bpf);
	assert_int_equal(unlink(path), 0);
	auto_(closep) int map = bpf_map_create(BPF_MAP_TYPE_HASH, "vpcs", 4, 8, 10, NULL);

	assert_int_equal(bpf_obj_pin(map, path), 0);
	start_zetad();
	assert_true(reported(is_any, NULL));
	send_snapshot(revision, (uint8_t[][16]){{1}}, 1);
	assert_true(reported(has_applied, &revision));
	assert_int_not_equal(boot(), former);
	assert_int_not_equal(boot(), 0);
	// The others were kept, and follow what is desired.
	assert_true(has_endpoint((uint8_t[16]){1}));
	assert_false(has_endpoint((uint8_t[16]){4}));
	assert_true(has_vpc());
}

// With the flow table goes what was counted of it, or it would be full for ever.
static void other_room_is_counted_anew(void **state)
{
	const uint32_t only = 0;
	uint64_t revision = 13;
	int64_t records = 77;
	int map = map_of("records");

	assert_int_equal(bpf_map_update_elem(map, &only, &records, BPF_ANY), 0);
	close(map);
	stop_zetad();
	room = "262144";
	start_zetad();
	assert_true(reported(is_any, NULL));
	send_snapshot(revision, (uint8_t[][16]){{1}}, 1);
	assert_true(reported(has_applied, &revision));
	map = map_of("records");
	assert_int_equal(bpf_map_lookup_elem(map, &only, &records), 0);
	close(map);
	assert_int_equal(records, 0);
}

// What is at the end of an interface's name may change: the node's programs follow.
static void follows_its_interfaces(void **state)
{
	uint64_t expected = packets() + 3;

	shell("ip link del v0");
	shell("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	assert_true(sends_until(&expected));
}

static int is_gone(pid_t pid)
{
	int tries;

	for (tries = 0; tries < WAIT_MS / 20; tries++, pause_a_little())
		if (kill(pid, 0) && errno == ESRCH)
			return 1;
	return 0;
}

static void ends_together(void **state)
{
	pid_t agent = agent_pid();

	kill(daemon_pid, SIGKILL);
	assert_int_equal(wait_zetad(), -SIGKILL);
	assert_true(is_gone(agent));
	start_zetad();
	assert_true(reported(is_any, NULL));
	kill(agent_pid(), SIGKILL);
	assert_int_equal(wait_zetad(), 1);
	start_zetad();
	assert_true(reported(is_any, NULL));
}

static void says_what_is_wrong(void **state)
{
	Zeta__Node__V1__Port port = ZETA__NODE__V1__PORT__INIT;
	Zeta__Node__V1__Object object = ZETA__NODE__V1__OBJECT__INIT, *put = &object;
	Zeta__Node__V1__Update update = ZETA__NODE__V1__UPDATE__INIT;
	uint64_t revision = 20;

	send_snapshot(revision, (uint8_t[][16]){{1}}, 1);
	assert_true(reported(has_applied, &revision));
	port.id = "bad";
	port.vni = VNI;
	port.mac = (ProtobufCBinaryData){5, mac_a};
	object.kind_case = ZETA__NODE__V1__OBJECT__KIND_PORT;
	object.port = &port;
	update.revision = ++revision;
	update.n_put = 1;
	update.put = &put;
	send_update(&update);
	assert_true(reported(says, "object bad of kind 8: mac is 5 bytes, not 6"));
	assert_int_equal(controller.report->revision, 20);
	update.n_put = 0;
	update.n_remove = 1;
	update.remove = &(Zeta__Node__V1__Key *){&(Zeta__Node__V1__Key){
		.base = PROTOBUF_C_MESSAGE_INIT(&zeta__node__v1__key__descriptor),
		.kind = 8,
		.id = "bad"}};
	update.revision = ++revision;
	send_update(&update);
	assert_true(reported(has_applied, &revision));
}

static int is_waiting(const Zeta__Node__V1__Report *report, const void *what)
{
	return says(report, what) && !report->boot;
}

static void waits_for_interfaces(void **state)
{
	uint64_t revision = 40;

	shell("ip link del z0");
	start_zetad();
	assert_true(reported(is_any, NULL));
	send_snapshot(revision, (uint8_t[][16]){{1}}, 1);
	assert_true(reported(is_waiting, "waiting for interface z0"));
	shell("ip link add z0 type veth peer name z1 && ip link set z0 up && ip link set z1 up");
	assert_true(reported(has_applied, &revision));
	assert_true(has_endpoint((uint8_t[16]){1}));
}

// An interface that has no native XDP gets the generic one.
static void falls_back_to_generic(void **state)
{
	Zeta__Node__V1__NodeSettings settings = settings_of(0);
	Zeta__Node__V1__Object object = ZETA__NODE__V1__OBJECT__INIT, *put = &object;
	Zeta__Node__V1__Update update = ZETA__NODE__V1__UPDATE__INIT;
	uint64_t revision = 50;

	settings.zgc_interface = "lo";
	object.kind_case = ZETA__NODE__V1__OBJECT__KIND_SETTINGS;
	object.settings = &settings;
	update.revision = revision;
	update.n_put = 1;
	update.put = &put;
	send_update(&update);
	assert_true(reported(has_applied, &revision));
	shell("ip link show lo | grep -q xdpgeneric");
	shell("ip link show v0 | grep -q 'xdp '");
	shell("! ip link show z0 | grep -q xdp");
}

// A node that its controller does not know (any more) is nothing.
static void forgotten_node_is_nothing(void **state)
{
	Zeta__Node__V1__Update update = ZETA__NODE__V1__UPDATE__INIT;

	update.revision = 60;
	update.snapshot = 1;
	send_update(&update);
	assert_true(reported(has_no_boot, NULL));
	shell("! ip link show | grep -q xdp");
	assert_int_equal(map_of("endpoints"), -ENOENT);
	stop_zetad();
}

// Runs zetad with these arguments after the first; returns its exit status.
static int run_zetad(const char *bpf_dir, const char *name)
{
	return run_silent((char *[]){(char *)program, "--name", (char *)name, "--controller",
				     target, "--ca", "x", "--cert", "x", "--key", "x", "--bpf",
				     (char *)bpf_dir, "--run", run, NULL});
}

static void refuses_to_start(void **state)
{
	const char *const numbers[] = {"", "many", "-65536", "65535", "67108865", "65536 "};
	char path[128];

	assert_int_equal(run_silent((char *[]){(char *)program, NULL}), 2);
	assert_int_equal(run_silent((char *[]){(char *)program, "--nonsense", NULL}), 2);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		assert_int_equal(run_silent((char *[]){(char *)program, "--max-sessions",
						       (char *)numbers[i], NULL}),
				 2);
	assert_int_equal(run_zetad(bpf, "a/b"), 2);
	// One of this name runs.
	assert_int_equal(run_zetad(bpf, "n1"), 1);
	assert_int_equal(run_silent((char *[]){(char *)program, "--unload", "n1", "--bpf", bpf,
					       "--run", run, NULL}),
			 1);
	// No bpffs, and nothing is left behind there.
	snprintf(path, sizeof(path), "%s/nowhere", directory);
	assert_int_equal(run_zetad(path, "n2"), 1);
	assert_int_equal(access(path, F_OK), -1);
	// Nor is anything removed there.
	snprintf(path, sizeof(path), "%s/n2", directory);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(run_silent((char *[]){(char *)program, "--unload", "n2", "--bpf",
					       directory, "--run", run, NULL}),
			 1);
	assert_int_equal(rmdir(path), 0);
	// No such files.
	assert_int_equal(run_zetad(bpf, "n2"), 1);
}

// A snapshot with a function in it, or none (NULL), always in the same slot.
static void send_function(uint64_t revision, const char *id, int running)
{
	static uint8_t none_such[] = "no object";
	Zeta__Node__V1__NodeSettings settings = settings_of(0);
	Zeta__Node__V1__FunctionVersion version = ZETA__NODE__V1__FUNCTION_VERSION__INIT;
	Zeta__Node__V1__FunctionVersion *versions[] = {&version};
	Zeta__Node__V1__Function function = ZETA__NODE__V1__FUNCTION__INIT;
	Zeta__Node__V1__Update update = ZETA__NODE__V1__UPDATE__INIT;
	Zeta__Node__V1__Object objects[] = {ZETA__NODE__V1__OBJECT__INIT,
					    ZETA__NODE__V1__OBJECT__INIT};
	Zeta__Node__V1__Object *put[] = {&objects[0], &objects[1]};

	objects[0].kind_case = ZETA__NODE__V1__OBJECT__KIND_SETTINGS;
	objects[0].settings = &settings;
	version.object = BYTES(none_such);
	function.id = (char *)id;
	function.name = "gate";
	function.slot = FUNCTION_FIRST_FREE + 2;
	function.n_version = 1;
	function.version = versions;
	function.running = (uint32_t)running;
	objects[1].kind_case = ZETA__NODE__V1__OBJECT__KIND_FUNCTION;
	objects[1].function = &function;
	update.revision = revision;
	update.snapshot = 1;
	update.n_put = id ? 2 : 1;
	update.put = put;
	send_update(&update);
}

// Comes as this user and group, without any capability. Returns what came of it.
static int comes_as(unsigned int uid, unsigned int gid)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct zeta_middlebox box;
		struct zeta_question *q;
		int err;

		// Nobody may see the directory above.
		if (chdir(run) || setgroups(0, NULL) || setresgid(gid, gid, gid) ||
		    setresuid(uid, uid, uid))
			_exit(127);
		err = zeta_middlebox_open(&box, "n1.door", "gate");
		if (!err)
			err = zeta_middlebox_next(&box, 0, &q) == -EAGAIN ? 0 : -EPROTO;
		_exit(-err);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

// The kernel may take a little to forget one that has gone.
static int comes_in_the_end(struct zeta_middlebox *box, const char *path)
{
	int tries, err = -EBUSY;

	for (tries = 0; tries < WAIT_MS / 20 && err == -EBUSY; tries++, pause_a_little())
		err = zeta_middlebox_open(box, path, "gate");
	return err;
}

static void opens_doors(void **state)
{
	struct zeta_middlebox box = {}, other = {};
	struct zeta_question *q;
	uint64_t revision = 300;
	char path[256];

	snprintf(path, sizeof(path), "%s/n1.door", run);
	door = "no such group";
	start_zetad();
	assert_int_equal(wait_zetad(), 1);
	door = "nogroup";
	start_zetad();
	assert_true(reported(is_any, NULL));
	send_function(revision, "f", 0);
	assert_true(reported(has_applied, &revision));
	// CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_BPF.
	assert_int_equal(status_hex(daemon_pid, "CapEff"), 3ull << 12 | 3ull << 38);
	assert_int_equal(status_hex(agent_pid(), "CapEff"), 0);
	assert_int_equal(zeta_middlebox_open(&box, path, "gates"), -ESRCH);
	assert_string_equal(box.welcome.why, "this node has no function gates");
	assert_int_equal(comes_as(65534, 1), -EACCES);
	assert_int_equal(comes_as(65534, 65534), 0);
	assert_int_equal(comes_in_the_end(&box, path), 0);
	assert_int_equal(box.welcome.slot, FUNCTION_FIRST_FREE + 2);
	assert_int_equal(zeta_middlebox_open(&other, path, "f"), -EBUSY);
	assert_int_equal(zeta_middlebox_next(&box, 0, &q), -EAGAIN);

	// It outlives zetad.
	stop_zetad();
	assert_int_equal(zeta_middlebox_next(&box, 1, &q), -EAGAIN);
	start_zetad();
	assert_true(reported(is_any, NULL));
	revision++;
	send_function(revision, "f", 0);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(zeta_middlebox_next(&box, 1, &q), -EAGAIN);
	// It goes with its function.
	revision++;
	send_function(revision, NULL, 0);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(zeta_middlebox_next(&box, 1, &q), -EPIPE);
	zeta_middlebox_close(&box);

	// Also where the next one has its slot already, in one step.
	revision++;
	send_function(revision, "f", 1);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(comes_in_the_end(&box, path), 0);
	revision++;
	send_function(revision, "f", 1);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(zeta_middlebox_next(&box, 1, &q), -EAGAIN);
	revision++;
	send_function(revision, "g", 1);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(zeta_middlebox_next(&box, 1, &q), -EPIPE);
	// .. or runs not yet, and its own middlebox comes.
	assert_int_equal(comes_in_the_end(&other, path), 0);
	zeta_middlebox_close(&box);
	revision++;
	send_function(revision, "h", 0);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(comes_in_the_end(&box, path), 0);
	assert_int_equal(zeta_middlebox_next(&other, 1, &q), -EPIPE);
	zeta_middlebox_close(&other);
	// And where it went, and had never run, while there was no zetad.
	stop_zetad();
	start_zetad();
	assert_true(reported(is_any, NULL));
	revision++;
	send_function(revision, NULL, 0);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(zeta_middlebox_next(&box, 1, &q), -EPIPE);
	zeta_middlebox_close(&box);

	// And with the doors.
	revision++;
	send_function(revision, "f", 0);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(comes_in_the_end(&box, path), 0);
	stop_zetad();
	door = NULL;
	start_zetad();
	assert_true(reported(is_any, NULL));
	revision++;
	send_function(revision, "f", 0);
	assert_true(reported(has_applied, &revision));
	assert_int_equal(zeta_middlebox_next(&box, 1, &q), -EPIPE);
	assert_int_equal(zeta_middlebox_open(&other, path, "gate"), -ENOENT);
	zeta_middlebox_close(&box);
	stop_zetad();
	assert_int_equal(run_silent((char *[]){(char *)program, "--unload", "n1", "--bpf", bpf,
					       "--run", run, NULL}),
			 0);
}

static void stops_and_unloads(void **state)
{
	char path[256];

	stop_zetad();
	assert_true(has_endpoint((uint8_t[16]){1}));
	assert_int_equal(run_silent((char *[]){(char *)program, "--unload", "n1", "--bpf", bpf,
					       "--run", run, NULL}),
			 0);
	snprintf(path, sizeof(path), "%s/n1", bpf);
	assert_int_equal(access(path, F_OK), -1);
	shell("! ip link show | grep -q 'zoam\\|zfrg\\|zemit\\|zclk'");
}

static void send_edge_port(uint64_t revision, size_t count, char *interface)
{
	Zeta__Node__V1__NodeSettings settings = settings_of(1);
	Zeta__Node__V1__LocalPort port = ZETA__NODE__V1__LOCAL_PORT__INIT;
	Zeta__Node__V1__Object objects[2], *put[2] = {&objects[0], &objects[1]};
	Zeta__Node__V1__Update update = ZETA__NODE__V1__UPDATE__INIT;

	zeta__node__v1__object__init(&objects[0]);
	zeta__node__v1__object__init(&objects[1]);
	objects[0].kind_case = ZETA__NODE__V1__OBJECT__KIND_SETTINGS;
	objects[0].settings = &settings;
	port.id = "local";
	port.vni = VNI;
	port.mac = BYTES(mac_a);
	port.interface = interface;
	objects[1].kind_case = ZETA__NODE__V1__OBJECT__KIND_LOCAL_PORT;
	objects[1].local_port = &port;
	update.revision = revision;
	update.snapshot = 1;
	update.n_put = 1 + count;
	update.put = put;
	send_update(&update);
}

static void send_edge(uint64_t revision, size_t count)
{
	send_edge_port(revision, count, "w0");
}

// From edge to gateway in one step, both ways: nothing of the other role stays.
static void changes_its_role(void **state)
{
	const size_t one = 1;
	uint64_t revision = 70;

	start_zetad();
	assert_true(reported(is_any, NULL));
	send_edge(revision, 1);
	assert_true(reported(has_applied, &revision));
	assert_true(reported(has_ready, &one));
	send_snapshot(++revision, (uint8_t[][16]){{1}}, 1);
	assert_true(reported(has_applied, &revision));
	assert_true(has_endpoint((uint8_t[16]){1}));
	shell("ip link show v0 | grep -q 'xdp '");
	shell("! ip link show | grep -q zmir");
	assert_int_equal(map_of("port_by_ifindex"), -ENOENT);
	send_edge(++revision, 1);
	assert_true(reported(has_applied, &revision));
	assert_true(reported(has_ready, &one));
	assert_int_equal(map_of("endpoints"), -ENOENT);
	shell("! ip link show | grep -q 'xdp\\|zoam\\|zfrg\\|zemit\\|zclk'");
	stop_zetad();
}

static int has_port(const char *interface)
{
	auto_(closep) int map = map_of("port_by_ifindex");
	uint32_t ifindex = if_nametoindex(interface);
	struct local_port port;

	return !bpf_map_lookup_elem(map, &ifindex, &port) && port.vni == VNI;
}

static size_t entries_of(const char *name)
{
	auto_(closep) int map = map_of(name);
	uint32_t key, before;
	size_t count = 0;

	while (!bpf_map_get_next_key(map, count ? &before : NULL, &key)) {
		before = key;
		count++;
	}
	return count;
}

static void follows_local_ports(void **state)
{
	const size_t none = 0, one = 1;
	uint64_t revision = 30;

	start_zetad();
	assert_true(reported(is_any, NULL));
	send_edge(revision, 1);
	assert_true(reported(has_applied, &revision));
	assert_true(reported(has_ready, &none));
	shell("ip link add w0 type veth peer name w1 && ip link set w0 up && ip link set w1 up");
	assert_true(reported(has_ready, &one));
	assert_true(has_port("w0"));
	shell("ip link del w0");
	assert_true(reported(has_ready, &none));
	shell("ip link add w0 type veth peer name w1 && ip link set w0 up && ip link set w1 up");
	assert_true(reported(has_ready, &one));
	assert_true(has_port("w0"));
	assert_int_equal(entries_of("port_by_ifindex"), 1);

	// Still attached after a restart, and gone once it is not desired.
	stop_zetad();
	start_zetad();
	assert_true(reported(is_any, NULL));
	assert_true(has_port("w0"));
	send_edge(++revision, 1);
	assert_true(reported(has_applied, &revision));
	assert_true(reported(has_ready, &one));
	send_edge(++revision, 0);
	assert_true(reported(has_applied, &revision));
	assert_true(reported(has_ready, &none));
	assert_int_equal(entries_of("port_by_ifindex"), 0);

	// Never at the host's own interface, whoever says so.
	send_edge_port(++revision, 1, "v0");
	assert_true(reported(has_applied, &revision));
	assert_true(reported(has_ready, &none));
	assert_int_equal(entries_of("port_by_ifindex"), 0);
	stop_zetad();
}

// ---- around them

static int set_up(void **state)
{
	char path[CERT_PATH], key[CERT_PATH];
	struct rpc_server_config config = {
		.listen = "127.0.0.1:0",
		.method = METHOD,
		.opened = opened,
		.message = message,
		.closed = closed,
	};
	char ca[CERT_PATH];

	shell("ip link set lo up && ip link add v0 type veth peer name v1 &&"
	      "ip link add z0 type veth peer name z1 &&"
	      "for i in v0 v1 z0 z1; do"
	      "  ip link set $i up || exit; done");
	snprintf(bpf, sizeof(bpf), "%s/bpf/zeta", directory);
	snprintf(run, sizeof(run), "%s/run", directory);
	if (cert_make(directory, "ca", NULL) || cert_make(directory, "server", "ca") ||
	    cert_make(directory, "n1", "ca"))
		return -1;
	config.tls.ca = cert_path(ca, directory, "ca", "pem");
	config.tls.cert = cert_path(path, directory, "server", "pem");
	config.tls.key = cert_path(key, directory, "server", "key");
	if (rpc_server_start(&controller.server, &config))
		return -1;
	snprintf(target, sizeof(target), "127.0.0.1:%u", rpc_server_port(controller.server));
	return 0;
}

static int tear_down(void **state)
{
	if (daemon_pid > 0) {
		kill(daemon_pid, SIGTERM);
		waitpid(daemon_pid, NULL, 0);
	}
	forget_stream();
	rpc_server_stop(controller.server);
	if (controller.report)
		zeta__node__v1__report__free_unpacked(controller.report, NULL);
	return 0;
}

// Everything lives in namespaces that end with this process, whatever happens: its files on a file
// system that nobody else sees, over a directory that every system has.
static int isolate(void)
{
	char mount_point[128];

	snprintf(directory, sizeof(directory), "/media");
	snprintf(mount_point, sizeof(mount_point), "%s/bpf", directory);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("zetad-test", directory, "tmpfs", 0, "mode=0700") || mkdir(mount_point, 0755) ||
	    mount("bpf", mount_point, "bpf", 0, NULL))
		return -errno;
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_the_maps),
		cmocka_unit_test(takes_a_snapshot_in_parts),
		cmocka_unit_test(counts_packets),
		cmocka_unit_test(has_few_rights),
		cmocka_unit_test(goes_on_without_daemon),
		cmocka_unit_test(sessions_are_counted),
		cmocka_unit_test(other_map_is_a_new_boot),
		cmocka_unit_test(other_room_is_counted_anew),
		cmocka_unit_test(follows_its_interfaces),
		cmocka_unit_test(ends_together),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(refuses_to_start),
		cmocka_unit_test(stops_and_unloads),
		cmocka_unit_test(opens_doors),
		cmocka_unit_test(waits_for_interfaces),
		cmocka_unit_test(falls_back_to_generic),
		cmocka_unit_test(forgotten_node_is_nothing),
		cmocka_unit_test(follows_local_ports),
		cmocka_unit_test(changes_its_role),
	};
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: zetad_test ZETAD [flat]\n");
		return 2;
	}
	program = argv[1];
	table = argc == 3 ? argv[2] : "kernel";
	if (geteuid() || isolate()) {
		fprintf(stderr, "skipped: needs root and namespaces\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
