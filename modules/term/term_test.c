// SPDX-License-Identifier: Apache-2.0
// Real daemons on five nodes with real heartbeats, against a controller that this test plays.
// Question: does a chain go on within a moment when one of its nodes is cut off, without the
// controller, and is a daemon that is killed and starts again the same voter?
//
//   bridge "zgc": z0 of every node, 10.9.0.INDEX       bridge "ctl": c0 of every node, and the
//   test, each node is a network namespace                    198.18.0.1
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "api/node.pb-c.h"
#include "lib/own.h"
#include "lib/rpc.h"
#include "lib/test_certs.h"
#include "shared/membership.h"
#include "shared/view.h"

#define METHOD "/zeta.node.v1.Controller/Stream"
#define WAIT_MS 60000
#define NODES 6 // 1 to 5 are flow table nodes, 6 a forwarder
#define FORWARDER 6
#define REPLICAS 3
#define VOTERS 5
#define BEAT_MS 10
#define CHAIN 0

static struct node {
	char name[8];
	pid_t space; // whose network namespace it is in
	pid_t zetad;
	struct rpc_stream *stream;
	Zeta__Node__V1__Report *report; // the last one of this stream
} nodes[NODES + 1];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rpc_server *server;
static char target[64];
static const char directory[] = "/media", bpf[] = "/media/bpf/zeta";
static const char *program;

// ---- the controller

static struct node *node_of(const char *name)
{
	int i;

	for (i = 1; i <= NODES; i++)
		if (!strcmp(nodes[i].name, name))
			return &nodes[i];
	return NULL;
}

static void forget_report(struct node *n)
{
	if (n->report)
		zeta__node__v1__report__free_unpacked(n->report, NULL);
	n->report = NULL;
}

static int opened(void *context, struct rpc_stream *stream, const char *name, void **user)
{
	struct node *n = node_of(name);

	if (!n)
		return -EACCES;
	pthread_mutex_lock(&lock);
	if (n->stream)
		rpc_stream_unref(n->stream);
	n->stream = rpc_stream_ref(stream);
	forget_report(n);
	pthread_mutex_unlock(&lock);
	*user = n;
	return 0;
}

static void message(void *context, struct rpc_stream *stream, void *user, const void *bytes,
		    size_t size)
{
	Zeta__Node__V1__Report *report = zeta__node__v1__report__unpack(NULL, size, bytes);
	struct node *n = user;

	pthread_mutex_lock(&lock);
	if (n->stream == stream && report) {
		forget_report(n);
		n->report = take_ptr(report);
	}
	pthread_mutex_unlock(&lock);
	if (report)
		zeta__node__v1__report__free_unpacked(report, NULL);
}

static void closed(void *context, struct rpc_stream *stream, void *user)
{
	struct node *n = user;

	pthread_mutex_lock(&lock);
	if (n->stream == stream) {
		rpc_stream_unref(stream);
		n->stream = NULL;
		forget_report(n);
	}
	pthread_mutex_unlock(&lock);
}

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint32_t boot_of(int i)
{
	uint32_t boot;

	pthread_mutex_lock(&lock);
	boot = nodes[i].report ? nodes[i].report->boot : 0;
	pthread_mutex_unlock(&lock);
	return boot;
}

#define BYTES(array) ((ProtobufCBinaryData){sizeof(array), array})

static void address_of(int i, uint8_t ip[16], uint8_t mac[6])
{
	const uint8_t v4[16] = {[10] = 0xFF, 0xFF, 10, 9, 0, (uint8_t)i};
	const uint8_t local[6] = {2, 0, 0, 9, 0, (uint8_t)i};

	memcpy(ip, v4, 16);
	memcpy(mac, local, 6);
}

static void send_update(struct node *n, const Zeta__Node__V1__Update *update)
{
	size_t size = zeta__node__v1__update__get_packed_size(update);
	auto_(freep) uint8_t *bytes = malloc(size);
	int err = -ENOTCONN;

	zeta__node__v1__update__pack(update, bytes);
	pthread_mutex_lock(&lock);
	if (n->stream)
		err = rpc_stream_send(n->stream, bytes, size);
	pthread_mutex_unlock(&lock);
	assert_int_equal(err, 0);
}

// What the controller wants: a chain of five voters, where it knows what boot ids they have.
static struct wished {
	uint32_t epoch;
	uint32_t boot[VOTERS]; // 0: no chain yet
} wished;

// Everything there is to know for a node.
static void send_snapshot(int i, uint64_t revision)
{
	Zeta__Node__V1__NodeSettings settings = ZETA__NODE__V1__NODE_SETTINGS__INIT;
	Zeta__Node__V1__Chain chain = ZETA__NODE__V1__CHAIN__INIT;
	Zeta__Node__V1__Update update = ZETA__NODE__V1__UPDATE__INIT;
	Zeta__Node__V1__Object objects[NODES + 2], *put[NODES + 2];
	Zeta__Node__V1__Member members[NODES + 1];
	Zeta__Node__V1__Name names[VOTERS], *voters[VOTERS];
	uint8_t ip[NODES + 1][16], mac[NODES + 1][6];
	uint8_t tenant_ip[16] = {[10] = 0xFF, 0xFF, 10, 7, 0, (uint8_t)i};
	uint8_t tenant_mac[6] = {2, 0, 0, 7, 0, (uint8_t)i};
	char ids[NODES + 1][8];
	int k;

	for (k = 0; k < NODES + 2; k++) {
		zeta__node__v1__object__init(&objects[k]);
		put[k] = &objects[k];
	}
	for (k = 1; k <= NODES; k++) {
		address_of(k, ip[k], mac[k]);
		snprintf(ids[k], sizeof(ids[k]), "n%d", k);
		zeta__node__v1__member__init(&members[k]);
		members[k].id = ids[k];
		members[k].index = (uint32_t)k;
		members[k].zgc_ip = BYTES(ip[k]);
		members[k].zgc_mac = BYTES(mac[k]);
		objects[k].kind_case = ZETA__NODE__V1__OBJECT__KIND_MEMBER;
		objects[k].member = &members[k];
	}
	settings.id = settings.name = nodes[i].name;
	settings.forwarder = i == FORWARDER;
	settings.flow_table = i != FORWARDER;
	settings.oam_port = 8300;
	settings.tenant_mtu = 1450;
	settings.index = (uint32_t)i;
	settings.tenant_interface = "v0";
	settings.tenant_ip = BYTES(tenant_ip);
	settings.tenant_mac = BYTES(tenant_mac);
	settings.zgc_interface = "z0";
	settings.zgc_ip = BYTES(ip[i]);
	settings.zgc_mac = BYTES(mac[i]);
	settings.beat_ms = BEAT_MS;
	settings.cluster_number = 1;
	objects[0].kind_case = ZETA__NODE__V1__OBJECT__KIND_SETTINGS;
	objects[0].settings = &settings;
	for (k = 0; k < VOTERS; k++) {
		zeta__node__v1__name__init(&names[k]);
		names[k].node = (uint32_t)k + 1;
		names[k].boot = wished.boot[k];
		voters[k] = &names[k];
	}
	chain.id = "chain";
	chain.number = CHAIN;
	chain.epoch = wished.epoch;
	chain.founded = 1;
	chain.replicas = REPLICAS;
	chain.voter = voters;
	chain.n_voter = VOTERS;
	objects[NODES + 1].kind_case = ZETA__NODE__V1__OBJECT__KIND_CHAIN;
	objects[NODES + 1].chain = &chain;
	update.revision = revision;
	update.snapshot = 1;
	update.n_put = wished.epoch ? NODES + 2 : NODES + 1;
	update.put = put;
	send_update(&nodes[i], &update);
}

// Waits for a condition on a node's last report.
static int reported(int i, int (*is_so)(const Zeta__Node__V1__Report *, const void *),
		    const void *what)
{
	const uint64_t until = now_ms() + WAIT_MS;
	int so = 0;

	while (!so && now_ms() < until) {
		pthread_mutex_lock(&lock);
		so = nodes[i].report && is_so(nodes[i].report, what);
		pthread_mutex_unlock(&lock);
		if (!so)
			pause_a_little();
	}
	if (!so && nodes[i].report)
		fprintf(stderr, "last report of %s: revision %ju error \"%s\"\n", nodes[i].name,
			(uintmax_t)nodes[i].report->revision, nodes[i].report->error);
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

// ---- the nodes

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(run_silent((char *[]){"sh", "-c", command, NULL}), 0);
}

static void start_zetad(struct node *n)
{
	char ca[CERT_PATH], cert[CERT_PATH], key[CERT_PATH], run[64], path[64];
	pid_t pid;

	cert_path(ca, directory, "ca", "pem");
	cert_path(cert, directory, n->name, "pem");
	cert_path(key, directory, n->name, "key");
	snprintf(run, sizeof(run), "%s/run", directory);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", n->space);
	pthread_mutex_lock(&lock);
	if (n->stream)
		rpc_stream_unref(n->stream);
	n->stream = NULL;
	forget_report(n);
	pthread_mutex_unlock(&lock);
	pid = fork();
	assert_true(pid >= 0);
	if (pid) {
		n->zetad = pid;
		return;
	}
	// Its leak check would need ptrace, which neither process may use any more.
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!setns(open(path, O_RDONLY | O_CLOEXEC), CLONE_NEWNET))
		execl(program, program, "--name", n->name, "--controller", target, "--ca", ca,
		      "--cert", cert, "--key", key, "--bpf", bpf, "--run", run, NULL);
	_exit(127);
}

static pid_t agent_of(const struct node *n)
{
	char path[64];
	pid_t pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", n->zetad, n->zetad);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

static void kill_zetad(struct node *n)
{
	// The loader first: it would say that its agent ended.
	pid_t agent = agent_of(n);

	kill(n->zetad, SIGKILL);
	kill(agent, SIGKILL);
	waitpid(n->zetad, NULL, 0);
	n->zetad = 0;
}

static void cut(int i)
{
	shell("ip link set zp%d down", i);
}

static void join(int i)
{
	shell("ip link set zp%d up", i);
}

// ---- what their kernels hold

static void read_map(int i, const char *name, void *value)
{
	char path[128];
	const __u32 chain = CHAIN;

	snprintf(path, sizeof(path), "%s/%s/%s", bpf, nodes[i].name, name);
	auto_(closep) int map = bpf_obj_get(path);

	// An entry that is being replaced is there all the same.
	if (map < 0 || bpf_map_lookup_elem(map, &chain, value))
		memset(value, 0, 8);
}

static struct chain_value chain_of(int i)
{
	struct chain_value value = {};

	read_map(i, "chains", &value);
	return value;
}

static struct register_value register_of(int i)
{
	struct register_value value = {};

	read_map(i, "registers", &value);
	return value;
}

static int leased(int i)
{
	const struct chain_value chain = chain_of(i);
	struct lease_value lease = {};
	struct timespec now;

	read_map(i, "leases", &lease);
	clock_gettime(CLOCK_BOOTTIME, &now);
	return chain.epoch && lease.term == TERM_WORD(chain.epoch, chain.term) &&
	       (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec < lease.end_ns;
}

// Which nodes are live, as digits: 123.
static int live_of(int i)
{
	const struct chain_value chain = chain_of(i);
	int live = 0, k;

	for (k = 0; k < chain.live && k < MAX_CHAIN_LENGTH; k++)
		live = live * 10 + (int)chain.node[k];
	return live;
}

// Waits until this node knows a live list of these nodes, in this order. Returns after how many
// milliseconds, or -1.
static int becomes(int i, int live)
{
	const uint64_t begun = now_ms();

	while (live_of(i) != live) {
		if (now_ms() - begun > WAIT_MS)
			return -1;
		pause_a_little();
	}
	return (int)(now_ms() - begun);
}

// Waits until this node knows a live list without that one. On a machine that is busy with other
// things more nodes may be taken for dead than are: so no more is asked of the list. Returns how
// many milliseconds after since, or -1.
static int without_since(int i, int gone, uint64_t since)
{
	int live, k;

	for (;;) {
		live = live_of(i);
		for (k = live; k && k % 10 != gone; k /= 10)
			;
		if (live && !k)
			return (int)(now_ms() - since);
		if (now_ms() - since > WAIT_MS)
			return -1;
		pause_a_little();
	}
}

static int is_leased(int i)
{
	const uint64_t begun = now_ms();

	while (!leased(i)) {
		if (now_ms() - begun > WAIT_MS)
			return -1;
		pause_a_little();
	}
	return (int)(now_ms() - begun);
}

// ---- tests

static uint64_t revision;

static void is_founded(void **state)
{
	int i;

	revision = 1;
	for (i = 1; i <= NODES; i++)
		start_zetad(&nodes[i]);
	for (i = 1; i <= NODES; i++) {
		assert_true(reported(i, is_any, NULL));
		send_snapshot(i, revision);
	}
	for (i = 1; i <= NODES; i++)
		assert_true(reported(i, has_applied, &revision));
	wished.epoch = 1;
	for (i = 0; i < VOTERS; i++)
		wished.boot[i] = boot_of(i + 1);
	revision++;
	for (i = 1; i <= NODES; i++)
		send_snapshot(i, revision);
	for (i = 1; i <= NODES; i++) {
		assert_true(reported(i, has_applied, &revision));
		assert_true(becomes(i, 123) >= 0);
	}
	for (i = 1; i <= REPLICAS; i++)
		assert_true(is_leased(i) >= 0);
	assert_int_equal(chain_of(1).epoch, 1);
}

struct expected_state {
	const char *live; // digits
	uint32_t learner;
	int leased;
};

static int has_state(const Zeta__Node__V1__Report *report, const void *what)
{
	const struct expected_state *expected = what;
	const Zeta__Node__V1__ChainState *c;
	size_t i;

	if (report->n_chain != 1)
		return 0;
	c = report->chain[0];
	if (c->n_live != strlen(expected->live) || c->leased != expected->leased ||
	    c->acts != expected->leased || (c->learner ? c->learner->node : 0) != expected->learner)
		return 0;
	for (i = 0; i < c->n_live; i++)
		if (c->live[i]->node != (uint32_t)(expected->live[i] - '0'))
			return 0;
	return 1;
}

static int hears_all(const Zeta__Node__V1__Report *report, const void *what)
{
	size_t i, hears = 0;

	for (i = 0; i < report->n_peer; i++)
		hears += report->peer[i]->alive && report->peer[i]->hears_us &&
			 report->peer[i]->silent_ms < 1000;
	return hears >= VOTERS - 1;
}

static void reports_what_it_knows(void **state)
{
	const struct expected_state replica = {"123", 0, 1}, witness = {"123", 0, 0};

	assert_true(reported(1, has_state, &replica));
	assert_true(reported(3, has_state, &replica));
	assert_true(reported(4, has_state, &witness));
	assert_true(reported(1, hears_all, NULL));
}

static void goes_on_without_tail(void **state)
{
	const uint64_t begun = now_ms();
	int took, everywhere;

	cut(3);
	took = without_since(4, 3, begun);
	assert_true(took >= 0);
	everywhere = without_since(FORWARDER, 3, begun);
	assert_true(everywhere >= 0);
	assert_true(is_leased(live_of(FORWARDER) % 10) >= 0);
	printf("the tail cut off: a new term after %d ms, at the forwarder after %d ms\n", took,
	       everywhere);
	// It knows no better, but has no lease.
	assert_int_equal(live_of(3), 123);
	assert_false(leased(3));
}

// Until there are so many replicas: asked in, filled, promoted.
static int refills(__u32 replicas)
{
	const uint64_t begun = now_ms();
	struct chain_value chain;

	for (;;) {
		chain = chain_of(4);
		if (chain.live == replicas && !chain.learner)
			return 1;
		if (now_ms() - begun > WAIT_MS)
			return 0;
		pause_a_little();
	}
}

static void comes_back_as_learner(void **state)
{
	struct expected_state replica = {"", 0, 1};
	char live[8];

	join(3);
	assert_true(refills(REPLICAS));
	assert_true(is_leased(3) >= 0);
	snprintf(live, sizeof(live), "%d", live_of(4));
	replica.live = live;
	assert_true(reported(3, has_state, &replica));
}

// Killed while its chain changes hands, again and again: it never takes back what it promised.
static void remembers_when_killed(void **state)
{
	struct register_value before, after;
	int round, i;

	for (round = 0; round < 3; round++) {
		cut(3);
		// Until it promised, which is before it accepts, or just after.
		before = register_of(1);
		for (i = 0; i < 500; i++) {
			after = register_of(1);
			if (dft_term_compare(after.promised, before.promised) > 0)
				break;
			pause_a_little();
		}
		kill_zetad(&nodes[1]);
		before = register_of(1);
		start_zetad(&nodes[1]);
		assert_true(reported(1, is_any, NULL));
		send_snapshot(1, revision);
		assert_true(reported(1, has_applied, &revision));
		after = register_of(1);
		assert_true(dft_name_equal(after.self, before.self));
		assert_true(dft_term_compare(after.promised, before.promised) >= 0);
		assert_true(dft_term_compare(after.accepted.term, before.accepted.term) >= 0);
		assert_true(dft_term_compare(after.active.term, before.active.term) >= 0);
		join(3);
		assert_true(refills(REPLICAS));
	}
}

static void needs_no_controller(void **state)
{
	int took, tail, gone, i;
	uint64_t begun;

	rpc_server_stop(server);
	server = NULL;
	tail = live_of(5) % 10;
	begun = now_ms();
	cut(tail);
	// The forwarder hears of it too.
	took = without_since(FORWARDER, tail, begun);
	for (i = 1; i <= NODES; i++)
		if (i != tail)
			assert_true(chain_of(i).live > 0);
	printf("without a controller: a new term after %d ms\n", took);
	assert_true(took >= 0);
	// Nor does a daemon that starts: of five voters two are cut off, so that nothing goes on
	// without this one.
	kill_zetad(&nodes[4]);
	start_zetad(&nodes[4]);
	assert_true(refills(REPLICAS - 1));
	gone = live_of(5) % 10;
	cut(gone);
	assert_true(without_since(5, gone, now_ms()) >= 0);
	assert_true(without_since(4, gone, now_ms()) >= 0);
}

// ---- around them

static int set_up(void **state)
{
	struct rpc_server_config config = {
		.listen = "0.0.0.0:0",
		.method = METHOD,
		.opened = opened,
		.message = message,
		.closed = closed,
	};
	char ca[CERT_PATH], cert[CERT_PATH], key[CERT_PATH];
	int i;

	shell("ip link set lo up && ip link add zgc type bridge && ip link add ctl type bridge && "
	      "ip link set zgc mtu 1800 up && ip link set ctl up && "
	      "ip addr add 198.18.0.1/16 dev ctl");
	if (cert_make(directory, "ca", NULL) || cert_make(directory, "server", "ca"))
		return -1;
	for (i = 1; i <= NODES; i++) {
		struct node *n = &nodes[i];

		snprintf(n->name, sizeof(n->name), "n%d", i);
		if (cert_make(directory, n->name, "ca"))
			return -1;
		// XDP sends through a pair only where the other end takes frames in batches.
		shell("ip link add zp%d mtu 1800 type veth peer name z0 netns %d mtu 1800 && "
		      "ip link set zp%d master zgc up && ethtool -K zp%d gro on && "
		      "ip link add cp%d type veth peer name c0 netns %d && "
		      "ip link set cp%d master ctl up",
		      i, n->space, i, i, i, n->space, i);
		shell("nsenter -t %d -n sh -c 'ip link set lo up && "
		      "ip link set z0 address 02:00:00:09:00:0%d up && "
		      "ip addr add 10.9.0.%d/24 dev z0 && ip link set c0 up && "
		      "ip addr add 198.18.1.%d/16 dev c0 && "
		      "ip link add v0 address 02:00:00:07:00:0%d type veth peer name v1 && "
		      "ip link set v0 up && ip link set v1 up'",
		      n->space, i, i, i, i);
	}
	config.tls.ca = cert_path(ca, directory, "ca", "pem");
	config.tls.cert = cert_path(cert, directory, "server", "pem");
	config.tls.key = cert_path(key, directory, "server", "key");
	if (rpc_server_start(&server, &config))
		return -1;
	snprintf(target, sizeof(target), "198.18.0.1:%u", rpc_server_port(server));
	return 0;
}

static int tear_down(void **state)
{
	int i;

	for (i = 1; i <= NODES; i++) {
		if (nodes[i].zetad > 0) {
			kill(nodes[i].zetad, SIGTERM);
			waitpid(nodes[i].zetad, NULL, 0);
		}
		if (nodes[i].stream)
			rpc_stream_unref(nodes[i].stream);
		forget_report(&nodes[i]);
		kill(nodes[i].space, SIGKILL);
	}
	rpc_server_stop(server);
	return 0;
}

// Everything lives in namespaces that end with this process, whatever happens.
static int isolate(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("term-test", directory, "tmpfs", 0, "mode=0755") || mkdir("/media/bpf", 0755) ||
	    mount("bpf", "/media/bpf", "bpf", 0, NULL))
		return -errno;
	return 0;
}

// A process that does nothing but be in a network namespace, for as long as this one lives.
static int make_space(struct node *n)
{
	int ready[2];
	char one;

	if (pipe(ready))
		return -errno;
	n->space = fork();
	if (!n->space) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (n->space < 0 || read(ready[0], &one, 1) != 1)
		return -ECHILD;
	close(ready[0]);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_founded),
		cmocka_unit_test(reports_what_it_knows),
		cmocka_unit_test(goes_on_without_tail),
		cmocka_unit_test(comes_back_as_learner),
		cmocka_unit_test(remembers_when_killed),
		cmocka_unit_test(needs_no_controller),
	};
	int i;

	if (argc != 2) {
		fprintf(stderr, "usage: term_test ZETAD\n");
		return 2;
	}
	program = argv[1];
	if (geteuid() || isolate()) {
		fprintf(stderr, "skipped: needs root and namespaces\n");
		return 77;
	}
	for (i = 1; i <= NODES; i++)
		if (make_space(&nodes[i]))
			return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
