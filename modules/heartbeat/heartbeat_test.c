// SPDX-License-Identifier: Apache-2.0
// Heartbeats between real programs on a real wire, without any daemon: who is alive, who holds a
// lease, who owns an entrance, and how soon.
//
//   ===+=========+=== bridge "side", the tenants' network, where this test listens for ARP and is a
//   host
//      |         |
//   node 0 .. node 5: a network namespace each      node 5 is of another cluster
//      |         |
//   ===+=========+=== bridge "wire", the cluster's network
#include "datapath/gateway_nodes.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/log.h"
#include "lib/own.h"
#include "modules/heartbeat/pacemaker.h"
#include "node/messages.h"
#include "shared/heartbeat.h"
#include "shared/limits.h"
#include "shared/membership.h"
#include "wire/arp.h"
#include "wire/beat.h"

#include "gateway.skel.h"
#include "pacemaker.skel.h"

#define MEMBERS 5 // of the cluster
#define FOREIGN 5 // a node of another one, with an address that all take for one of theirs
#define HOST_IP "192.168.0.50" // of the bridge on the tenants' network
#define LIVE 6
#define ALONE 6 // on no wire: for frames one at a time
#define BEAT_MS 10
#define BEAT_NS (BEAT_MS * 1000000ull)
#define LEASE_NS (BEAT_NS * LEASE_HALF_BEATS / 2)
#define CLUSTER 7
#define CHAIN 3
#define LONELY 4 // a chain whose only voter and replica is node 0
#define EPOCH 2
#define TERM 5
#define PATIENCE_NS 100000000000ull

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

struct member {
	struct node node;
	struct pacemaker *clock;
	struct pacer pacer;
	char dir[64];
	int netns;
	int xdp;      // link of the program at its interface; -1: none
	int xdp_side; // the same on the tenants' network
	int cut;      // link of a program that drops what it sends there; -1: none
	// Of its maps.
	const volatile struct peer_value *peers;
	volatile struct fence_value *fences;
	const volatile struct grant_value *grants;
	const volatile struct lease_value *leases;
	const volatile struct pulse_value *pulse;
};

struct world {
	struct member member[LIVE + 1];
	int home; // network namespace with the bridges
	int wire; // a packet socket there, on the tenants' network
	int drop; // a program that drops all
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void pause_for(long ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void rest(void)
{
	pause_for(200000);
}

// Waits for it; a wait that takes very long has failed.
#define eventually(condition)                                                                      \
	({                                                                                         \
		uint64_t until_ = now_ns() + PATIENCE_NS;                                          \
		while (!(condition) && now_ns() < until_)                                          \
			rest();                                                                    \
		expect(condition);                                                                 \
	})
#define expect(condition) wrong_unless(condition, #condition, __LINE__)

static int wrong_unless(int so, const char *what, int line)
{
	if (!so)
		fprintf(stderr, "line %d: not so: %s\n", line, what);
	return !so;
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	// The namespaces have what they are named by the script alone.
	if (system(command)) // NOLINT(cert-env33-c)
		fatalx("failed: %s", command);
}

static void enter(int netns)
{
	if (setns(netns, CLONE_NEWNET))
		fatal("entering a network namespace");
}

static int own_netns(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fatal("opening a network namespace");
	return fd;
}

// ---- nodes

static void *map_memory(const struct member *m, const char *name, size_t size)
{
	void *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, node_map(&m->node, name), 0);

	if (memory == MAP_FAILED)
		fatal("mapping %s", name);
	return memory;
}

static void load(struct member *m, uint32_t index, uint32_t ifindex, uint32_t side)
{
	static const char *const names[] = {"n0", "n1", "n2", "n3", "n4", "n5", "n6"};
	const struct node_wish wish = {
		.name = names[index],
		.index = index,
		.roles = ROLE_FWD | ROLE_FTN,
		.zgc_ifindex = ifindex,
		.tenant_ifindex = side,
		.beat_ms = BEAT_MS,
		.cluster = index == FOREIGN ? CLUSTER + 1 : CLUSTER,
		.cached = 16,
		.sessions = 16,
	};
	LIBBPF_OPTS(bpf_object_open_opts, options,
		    .pin_root_path = testing_pins(wish.name, m->dir));
	char links[80];

	node_load(&m->node, &wish);
	m->clock = pacemaker__open_opts(&options);
	if (!m->clock)
		fatal("the pacemaker does not open");
	memcpy((void *)&m->clock->rodata->cfg, (const void *)&m->node.gw->rodata->cfg,
	       sizeof(m->clock->rodata->cfg));
	if (pacemaker__load(m->clock))
		fatal("the pacemaker does not load");
	snprintf(links, sizeof(links), "%s/links", m->dir);
	if (mkdir(links, 0700))
		fatal("cannot make %s", links);
	m->peers = map_memory(m, "peers", MAX_NODES * sizeof(*m->peers));
	m->fences = map_memory(m, "fences", MAX_CHAINS * sizeof(*m->fences));
	m->grants = map_memory(m, "grants", MAX_CHAINS * sizeof(*m->grants));
	m->leases = map_memory(m, "leases", MAX_CHAINS * sizeof(*m->leases));
	m->pulse = mmap(NULL, sizeof(*m->pulse), PROT_READ, MAP_SHARED,
			bpf_map__fd(m->clock->maps.pulse), 0);
	if (m->pulse == MAP_FAILED)
		fatal("mapping the pulse");
	m->pacer = (struct pacer){
		.dir = m->dir,
		.node = index,
		.boot = node_boot(index),
		.roles = NODE_FWD | NODE_FTN,
		.beat_ms = BEAT_MS,
	};
	snprintf(m->pacer.tenant.text, sizeof(m->pacer.tenant.text), "%s",
		 index == ALONE ? "lo" : "side");
	snprintf(m->pacer.zgc.text, sizeof(m->pacer.zgc.text), "%s",
		 index == ALONE ? "lo" : "wire");
}

static int attached(int program, const char *interface)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	int link = bpf_link_create(program, (int)if_nametoindex(interface), BPF_XDP, &options);

	if (link < 0)
		fatal("no program on %s", interface);
	return link;
}

static void program_on(struct member *m)
{
	enter(m->netns);
	m->xdp = attached(m->node.entry.program, "wire");
}

// It hears and answers nothing, and beats on.
static void program_off(struct member *m)
{
	closep(&m->xdp);
}

static void set_interface(struct world *w, int netns, const char *name, int up)
{
	struct ifreq request = {};
	auto_(closep) int any = -1;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	enter(netns);
	any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (any < 0 || ioctl(any, SIOCGIFFLAGS, &request))
		fatal("the flags of an interface");
	request.ifr_flags = (short)((request.ifr_flags & ~IFF_UP) | (up ? IFF_UP : 0));
	if (ioctl(any, SIOCSIFFLAGS, &request))
		fatal("the flags of an interface");
	enter(w->home);
}

static void set_wire(struct world *w, int i, int up)
{
	set_interface(w, w->member[i].netns, "wire", up);
}

enum direction { FROM, TO };

// On the tenants' network nothing comes from the node any more, or nothing to it.
static void cut(struct world *w, int i, enum direction direction)
{
	struct member *m = &w->member[i];
	char port[16];

	if (direction == TO) {
		closep(&m->xdp_side);
		return;
	}
	snprintf(port, sizeof(port), "side%d", i);
	enter(w->home);
	m->cut = attached(w->drop, port);
}

static void mend(struct world *w, int i)
{
	struct member *m = &w->member[i];

	closep(&m->cut);
	if (m->xdp_side >= 0)
		return;
	enter(m->netns);
	m->xdp_side = attached(m->node.entry.program, "side");
	enter(w->home);
}

// The view that all of them have. Entrance 0 is for nodes 0, 1, 2 in this order, 1 for 3 alone.
static void tell_view(const struct member *m)
{
	struct entrance_value entrance = {.live = 1, .mac = {2, 14, 0, 0, 0, 1}};
	struct chain_value chain = {.epoch = EPOCH, .term = TERM, .live = 2, .node = {0, 1}};
	uint32_t key;

	node_peers(&m->node, LIVE);
	for (key = 0; key < 2; key++)
		chain.boot[key] = node_boot(key);
	for (chain.voters = 0; chain.voters < MAX_VOTERS; chain.voters++) {
		chain.voter[chain.voters].node = chain.voters;
		chain.voter[chain.voters].boot = node_boot(chain.voters);
	}
	key = CHAIN;
	node_put(&m->node, "chains", &key, &chain);
	m->fences[CHAIN] = (struct fence_value){TERM_WORD(EPOCH, TERM), {1, 2}};
	chain.voters = chain.live = 1;
	key = LONELY;
	node_put(&m->node, "chains", &key, &chain);
	m->fences[LONELY] = (struct fence_value){TERM_WORD(EPOCH, TERM), {1}};

	for (key = 0; key < 2; key++) {
		char ip[16];

		snprintf(ip, sizeof(ip), "192.168.0.%u", 201 + key);
		entrance.ip = address_must(ip);
		entrance.mac[5] = (uint8_t)(1 + key);
		entrance.owner = key ? 3 : 0;
		entrance.preferences = key ? 0 : 3;
		for (uint32_t i = 0; i < entrance.preferences; i++)
			entrance.preference[i] = (uint16_t)i;
		node_put(&m->node, "entrances", &key, &entrance);
		node_put(&m->node, "entrance_by_ip", &entrance.ip, &key);
	}
}

static void build(struct world *w)
{
	const struct sockaddr_ll arp = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP)};
	struct sockaddr_ll bound = arp;
	int i;

	const struct bpf_insn drop[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_DROP},
		{.code = BPF_JMP | BPF_EXIT},
	};

	w->home = own_netns();
	w->drop = bpf_prog_load(BPF_PROG_TYPE_XDP, "drop", "GPL", drop, COUNT(drop), NULL);
	if (w->drop < 0)
		fatal("a program that drops");
	shell("ip link add wire type bridge && ip link set wire up");
	shell("ip link add side type bridge && ip link set side up && "
	      "ip addr add 192.168.0.50/24 dev side");
	for (i = 0; i < LIVE; i++) {
		struct member *m = &w->member[i];
		char mac[18];

		node_mac_text((uint32_t)i, mac);
		if (unshare(CLONE_NEWNET))
			fatal("a network namespace");
		m->netns = own_netns();
		enter(w->home);
		shell("ip link add port%d type veth peer name wire address %s netns /proc/%d/fd/%d",
		      i, mac, (int)getpid(), m->netns);
		shell("ip link set port%d master wire up && ethtool -K port%d gro on", i, i);
		node_tenant_mac_text((uint32_t)i, mac);
		shell("ip link add side%d type veth peer name side address %s netns /proc/%d/fd/%d",
		      i, mac, (int)getpid(), m->netns);
		shell("ip link set side%d master side up && ethtool -K side%d gro on", i, i);
		enter(m->netns);
		shell("ip link set lo up && ip link set wire up && ip link set side up");
		load(m, (uint32_t)i, if_nametoindex("wire"), if_nametoindex("side"));
		program_on(m);
		m->cut = -1;
		m->xdp_side = attached(m->node.entry.program, "side");
	}
	enter(w->home);
	load(&w->member[ALONE], ALONE, 0, 0);
	w->wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP));
	bound.sll_ifindex = (int)if_nametoindex("side");
	if (w->wire < 0 || bind(w->wire, (const struct sockaddr *)&bound, sizeof(bound)))
		fatal("listening on the bridge");
}

static void start(struct world *w)
{
	for (int i = 0; i < LIVE; i++) {
		struct member *m = &w->member[i];

		tell_view(m);
		enter(m->netns);
		must(pacemaker_start(&m->pacer, m->clock->obj), "starting a pacemaker");
	}
	enter(w->home);
}

static int leased(const struct member *m, uint32_t chain)
{
	return m->leases[chain].end_ns > now_ns();
}

static int moves(const struct member *m)
{
	uint64_t before = m->pulse->rounds;

	return eventually(m->pulse->rounds > before + 3);
}

// ---- one frame at a time

struct row {
	const char *name;
	enum verdict verdict;
	int is_answer;
	size_t cut;		       // bytes off the end
	int64_t clock_ns;	       // of the beat, after now
	void (*change)(struct beat *); // NULL: a sound one
	uint64_t promised;
	uint32_t holder; // 0: node 0's
	int granted;	 // the first chain of the answer; -1: it has none
};

static void version(struct beat *b)
{
	b->version++;
}

static void kind(struct beat *b)
{
	b->kind = 3;
}

static void no_kind(struct beat *b)
{
	b->kind = 0;
}

static void chains(struct beat *b)
{
	b->chains = BEAT_CHAINS + 1;
}

static void no_node(struct beat *b)
{
	b->from = htonl(MAX_NODES);
}

static void other_node(struct beat *b)
{
	b->from = htonl(1);
}

static void self(struct beat *b)
{
	b->from = htonl(ALONE);
}

static void no_boot(struct beat *b)
{
	b->from_boot = 0;
}

static void to_other(struct beat *b)
{
	b->to = htonl(2);
}

static void cluster(struct beat *b)
{
	b->cluster = htonl(CLUSTER + 1);
}

static void to_boot(struct beat *b)
{
	b->to_boot = htonl(1);
}

static void far_chain(struct beat *b)
{
	b->chain[0].number = htonl(MAX_CHAINS);
}

static void far_news(struct beat *b)
{
	b->news[1] = (struct beat_news){.node = htons(MAX_NODES + 1), .boot = 1};
	b->news[2] = (struct beat_news){.node = htons(5), .state = 3, .rumour = htonl(9)};
	b->news[3] = (struct beat_news){.node = htons(5), .rumour = htonl(BEAT_RUMOURS)};
	b->news[4] = (struct beat_news){.node = 0xFFFF, .rumour = 0xFFFFFFFF, .state = 0xFF};
}

#define ACTIVE TERM_WORD(EPOCH, TERM)

static const struct row rows[] = {
	{"a heartbeat", BEAT_ANSWERED, .promised = ACTIVE, .granted = 1},
	{"of a lower promise", BEAT_ANSWERED, .promised = ACTIVE - 1, .granted = 1},
	{"a higher term promised", BEAT_ANSWERED, .promised = ACTIVE + 1},
	{"a higher epoch promised", BEAT_ANSWERED, .promised = TERM_WORD(EPOCH + 1, 0)},
	{"no holder", BEAT_ANSWERED, .promised = ACTIVE, .holder = 2},
	{"a chain that is none", BEAT_ANSWERED, .change = far_chain},
	{"news that are none", BEAT_ANSWERED, .change = far_news, .promised = ACTIVE, .granted = 1},
	{"an answer", BEAT_HEARD, .is_answer = 1},
	{"cut", BEAT_MALFORMED, .cut = 1},
	{"version", BEAT_MALFORMED, .change = version},
	{"kind", BEAT_MALFORMED, .change = kind},
	{"no kind", BEAT_MALFORMED, .change = no_kind},
	{"too many chains", BEAT_MALFORMED, .change = chains},
	{"from no node", BEAT_MALFORMED, .change = no_node},
	{"without a boot", BEAT_MALFORMED, .change = no_boot},
	{"from another's address", BEAT_FOREIGN, .change = other_node},
	{"from itself", BEAT_FOREIGN, .change = self},
	{"to another", BEAT_FOREIGN, .change = to_other},
	{"of another cluster", BEAT_FOREIGN, .change = cluster},
	{"an answer to a former life", STALE_BEAT, .is_answer = 1, .change = to_boot},
	{"an answer to the future", STALE_BEAT, .is_answer = 1, .clock_ns = 3600000000000},
	{"an answer to long ago", STALE_BEAT, .is_answer = 1, .clock_ns = -300000000},
};

static struct beat sound_beat(const struct row *row)
{
	struct beat b = {
		.version = BEAT_VERSION,
		.kind = row->is_answer ? BEAT_ANSWER : BEAT,
		.chains = 1,
		.from_boot = htonl(node_boot(0)),
		.to = htonl(ALONE),
		.to_boot = row->is_answer ? htonl(node_boot(ALONE)) : 0,
		.cluster = htonl(CLUSTER),
		.clock_ns = htobe64((uint64_t)((int64_t)now_ns() + row->clock_ns)),
		.chain[0] = {htonl(CHAIN), htonl(EPOCH), htonl(TERM)},
	};

	if (row->change)
		row->change(&b);
	return b;
}

static struct frame frame_of(const struct beat *b, size_t cut, const char *from)
{
	struct frame f = {};

	frame_append(&f, b, sizeof(*b) - cut);
	frame_udp(&f, BEAT_PORT, BEAT_PORT, 0);
	frame_ipv4(&f,
		   (struct ipv4_header){.from = from, .to = "172.16.0.7", .protocol = IPPROTO_UDP});
	frame_ethernet(&f, "02:0c:00:00:00:07", "02:0c:00:00:00:01", ETH_P_IP);
	return f;
}

// What the answer must be, but for the news.
static struct frame answer_of(struct beat b, int granted)
{
	struct frame f = {};

	b.kind = BEAT_ANSWER;
	b.heard = 0;
	b.to = b.from;
	b.to_boot = b.from_boot;
	b.from = htonl(ALONE);
	b.from_boot = htonl(node_boot(ALONE));
	if (!granted)
		b.chain[0].epoch = b.chain[0].term = 0;
	frame_append(&f, &b, sizeof(b));
	frame_udp(&f, BEAT_PORT, BEAT_PORT, 0);
	frame_ipv4(&f, (struct ipv4_header){.from = "172.16.0.7",
					    .to = "172.16.0.1",
					    .protocol = IPPROTO_UDP,
					    .fragment = 0x4000});
	frame_ethernet(&f, "02:0c:00:00:00:01", "02:0c:00:00:00:07", ETH_P_IP);
	return f;
}

static int check_row(struct member *m, const struct row *row)
{
	const struct beat b = sound_beat(row);
	const struct frame in = frame_of(&b, row->cut, "172.16.0.1");
	const struct frame out = answer_of(b, row->granted);
	const size_t news = in.length - sizeof(b.news);
	const struct expected want = {
		.name = row->name,
		.verdict = row->verdict,
		.action = row->verdict == BEAT_ANSWERED ? XDP_REDIRECT : XDP_DROP,
		.out = row->verdict == BEAT_ANSWERED ? &out : NULL,
		.any = {{news, sizeof(b.news)}},
	};
	const uint64_t before = now_ns();
	uint64_t granted;
	int wrong;

	m->fences[CHAIN] = (struct fence_value){row->promised, {row->holder ? row->holder : 1}};
	wrong = target_check(&m->node.entry, &in, &want, NULL);
	granted = m->grants[CHAIN].granted_ns[0];
	// A promise may have come after the grant was written: then it counts too.
	if (row->granted ? granted < before || granted > now_ns()
			 : row->promised > ACTIVE && granted >= before) {
		fprintf(stderr, "%s: granted at %ju\n", row->name, (uintmax_t)granted);
		wrong = 1;
	}
	return wrong;
}

static void deaf(struct beat *b)
{
	b->heard = AGE_LONG_AGO;
}

static void heard_lately(struct beat *b)
{
	b->heard = 2 * AGE_SHARE;
}

static void heard_before(struct beat *b)
{
	b->heard = 3 * AGE_SHARE;
}

// Both ways work up to when the sender heard this node, not until its heartbeat comes: else a
// broken direction is found by one end after the other.
static int check_heard(struct member *m)
{
	static const struct row rows[] = {
		{"hears nothing", BEAT_ANSWERED, .granted = 1, .change = deaf},
		{"heard us lately", BEAT_ANSWERED, .granted = 1, .change = heard_lately},
		{"heard us before", BEAT_ANSWERED, .granted = 1, .change = heard_before},
	};
	int wrong = check_row(m, &rows[0]) + expect(!m->peers[0].heard_ns);
	uint64_t heard_ns;

	wrong += check_row(m, &rows[1]);
	heard_ns = m->peers[0].heard_ns;
	wrong += expect(now_ns() - heard_ns >= 2 * BEAT_NS && now_ns() - heard_ns < PATIENCE_NS);
	wrong += check_row(m, &rows[2]);
	return wrong + expect(m->peers[0].heard_ns == heard_ns);
}

static int test_rows(struct world *w)
{
	struct member *m = &w->member[ALONE];
	struct pacer_value told = {.fit = 1};
	const struct row sound = {.name = "unfit", .verdict = NOT_FIT, .promised = ACTIVE};
	const struct row stranger = {.name = "from no address of ours", .verdict = BEAT_FOREIGN};
	const uint32_t only = 0;
	struct expected want = {.name = stranger.name, .verdict = BEAT_FOREIGN, .action = XDP_DROP};
	struct frame in;
	struct beat b;
	int wrong = 0;

	node_peers(&m->node, ALONE + 1);
	node_put(&m->node, "pacer", &only, &told);
	wrong += check_heard(m);
	for (size_t i = 0; i < COUNT(rows); i++)
		wrong += check_row(m, &rows[i]);
	b = sound_beat(&stranger);
	in = frame_of(&b, 0, "172.16.1.1");
	wrong += target_check(&m->node.entry, &in, &want, NULL);
	told.fit = 0;
	node_put(&m->node, "pacer", &only, &told);
	wrong += check_row(m, &sound);
	wrong += expect(m->peers[0].boot == node_boot(0) && m->peers[0].heard_ns);
	return wrong;
}

struct call_row {
	const char *name;
	enum verdict verdict;
	size_t cut;		       // bytes off the end
	void (*change)(struct call *); // NULL: a sound one
	const char *from;	       // NULL: node 0's address
};

static void call_version(struct call *c)
{
	c->version++;
}

static void call_kind(struct call *c)
{
	c->kind = 3;
}

static void call_no_node(struct call *c)
{
	c->from = htonl(MAX_NODES);
}

static void call_other(struct call *c)
{
	c->from = htonl(1);
}

static void call_self(struct call *c)
{
	c->from = htonl(ALONE);
}

static void call_to_other(struct call *c)
{
	c->to = htonl(2);
}

static void call_cluster(struct call *c)
{
	c->cluster = htonl(CLUSTER + 1);
}

static void call_answer(struct call *c)
{
	c->kind = CALL_ANSWER;
}

static void call_answer_before(struct call *c)
{
	c->kind = CALL_ANSWER;
	c->number++;
}

static void call_answer_forged(struct call *c)
{
	c->kind = CALL_ANSWER;
	c->number ^= 1ull << 40;
}

static void call_answer_zero(struct call *c)
{
	c->kind = CALL_ANSWER;
	c->number = 0;
	c->from = htonl(1); // who was never called
}

#define NUMBER 0x1122334455667788ull

static const struct call_row call_rows[] = {
	{.name = "a call", .verdict = BEAT_ANSWERED},
	{"an answer", BEAT_HEARD, .change = call_answer},
	{"an answer to the call before", BEAT_HEARD, .change = call_answer_before},
	{"a forged answer", STALE_BEAT, .change = call_answer_forged},
	{"an answer to no call", STALE_BEAT, .change = call_answer_zero, .from = "192.168.0.101"},
	{"a call cut", BEAT_MALFORMED, .cut = 1},
	{"a call's version", BEAT_MALFORMED, .change = call_version},
	{"a call's kind", BEAT_MALFORMED, .change = call_kind},
	{"a call from no node", BEAT_MALFORMED, .change = call_no_node},
	{"a call from another's address", BEAT_FOREIGN, .change = call_other},
	{"a call from no address of ours", BEAT_FOREIGN, .from = "192.168.0.50"},
	{"a call from itself", BEAT_FOREIGN, .change = call_self, .from = "192.168.0.106"},
	{"a call to another", BEAT_FOREIGN, .change = call_to_other},
	{"a call of another cluster", BEAT_FOREIGN, .change = call_cluster},
};

static struct frame call_frame(const struct call *c, size_t cut, const char *from, const char *to,
			       const char *from_mac, const char *to_mac, uint16_t fragment)
{
	struct frame f = {};

	frame_append(&f, c, sizeof(*c) - cut);
	frame_udp(&f, CALL_PORT, CALL_PORT, 0);
	frame_ipv4(&f,
		   (struct ipv4_header){
			   .from = from, .to = to, .protocol = IPPROTO_UDP, .fragment = fragment});
	frame_ethernet(&f, to_mac, from_mac, ETH_P_IP);
	return f;
}

static int check_call(const struct member *m, const struct call_row *row)
{
	const struct peer_value peer = {
		.number = {NUMBER, NUMBER + 1}, .called_ns = {4711, 4710}, .alive = 1};
	const struct peer_value never = {}, own = {.side = SIDE_CALLS};
	const uint32_t self = ALONE;
	const uint32_t caller = 0, another = 1;
	struct call c = {
		.version = CALL_VERSION,
		.kind = CALL,
		.from = htonl(0),
		.to = htonl(ALONE),
		.cluster = htonl(CLUSTER),
		.number = NUMBER,
	};
	const uint64_t heard = row->change == call_answer   ? 4711
			       : row->verdict == BEAT_HEARD ? 4710
							    : 0;
	struct expected want = {.name = row->name, .verdict = row->verdict, .action = XDP_DROP};
	struct frame in, out;
	int wrong;

	node_put(&m->node, "peers", &caller, &peer);
	node_put(&m->node, "peers", &another, &never);
	node_put(&m->node, "peers", &self, &own);
	if (row->change)
		row->change(&c);
	// The frame's sender is not whom the answer goes to.
	in = call_frame(&c, row->cut, row->from ? row->from : "192.168.0.100", "192.168.0.106",
			"02:99:00:00:00:01", "02:0d:00:00:00:07", 0);
	c.kind = CALL_ANSWER;
	c.to = c.from;
	c.from = htonl(ALONE);
	out = call_frame(&c, 0, "192.168.0.106", "192.168.0.100", "02:0d:00:00:00:07",
			 "02:0d:00:00:00:01", 0x4000);
	if (row->verdict == BEAT_ANSWERED) {
		want.action = XDP_REDIRECT;
		want.out = &out;
	}
	wrong = target_check(&m->node.entry, &in, &want, NULL);
	// Nothing but an answer with the number says anything, and that about nothing else.
	wrong += expect(m->peers[0].echo_ns == heard && m->peers[ALONE].answered_ns == heard);
	return wrong + expect(!m->peers[0].received_ns && !m->peers[0].heard_ns);
}

// Of who is away, and was answered one interval ago.
static int check_side(struct member *m, const struct row *row)
{
	const struct expected want = {
		.name = row->name,
		.verdict = row->is_answer ? BEAT_HEARD : BEAT_ANSWERED,
		.action = row->is_answer ? XDP_DROP : XDP_REDIRECT,
	};
	struct beat b = sound_beat(row);
	struct frame in;
	int wrong;

	b.flags |= BEAT_AWAY;
	b.news[0] = (struct beat_news){.node = htons(1), .side = SIDE_CALLS + AGE_SHARE};
	in = frame_of(&b, 0, "172.16.0.1");
	wrong = target_check(&m->node.entry, &in, &want, NULL);
	return wrong + expect(m->peers[0].away && m->peers[0].side == SIDE_CALLS + AGE_SHARE);
}

static int test_call_rows(struct world *w)
{
	struct member *m = &w->member[ALONE];
	const struct pacer_value told = {.fit = 1};
	const struct row beat = {.name = "a heartbeat of who is away"};
	const struct row answer = {.name = "an answer of who is away",
				   .is_answer = 1,
				   .clock_ns = -(int64_t)BEAT_NS / 2};
	const struct row older = {.name = "an older answer of who is away",
				  .is_answer = 1,
				  .clock_ns = -(int64_t)BEAT_NS * 4};
	const uint32_t only = 0;
	uint64_t answered_ns;
	int wrong = 0;

	for (size_t i = 0; i < COUNT(call_rows); i++)
		wrong += check_call(m, &call_rows[i]);
	node_peers(&m->node, ALONE + 1);
	// What a heartbeat says of its sender's side: without a time, which an answer has.
	node_put(&m->node, "pacer", &only, &told);
	wrong += check_side(m, &beat);
	wrong += expect(!m->peers[0].answered_ns);
	wrong += check_side(m, &answer);
	answered_ns = m->peers[0].answered_ns;
	wrong += expect(now_ns() - answered_ns >= BEAT_NS * 3 / 2);
	wrong += expect(now_ns() - answered_ns < PATIENCE_NS);
	// It was known by then.
	wrong += check_side(m, &older);
	return wrong + expect(m->peers[0].answered_ns == answered_ns);
}

// Whatever the bytes are, the program gives one of the verdicts of a heartbeat, and no lease ends
// later than it may.
static int test_random_bytes(struct world *w)
{
	struct member *m = &w->member[ALONE];
	const struct row sound = {.name = "random"};
	const struct pacer_value told = {.fit = 1};
	const uint32_t only = 0;
	unsigned int seed = (unsigned int)now_ns();
	struct verdict_count before[VERDICTS], after[VERDICTS];
	struct frame in, out;
	uint32_t action;
	int wrong = 0;

	node_put(&m->node, "pacer", &only, &told);
	tell_view(m);
	must(verdicts_read(m->node.entry.verdicts, before), "reading verdicts");
	for (int i = 0; i < 20000 && !wrong; i++) {
		struct beat b = sound_beat(&sound);

		for (int changes = rand_r(&seed) % 8; changes >= 0; changes--)
			((uint8_t *)&b)[(unsigned int)rand_r(&seed) % sizeof(b)] =
				(uint8_t)rand_r(&seed);
		in = frame_of(&b, 0, "172.16.0.1");
		wrong += expect(!target_run(&m->node.entry, &in, &action, &out));
	}
	must(verdicts_read(m->node.entry.verdicts, after), "reading verdicts");
	wrong += expect(after[BUG].packets == before[BUG].packets);
	for (int i = 0; i < MAX_CHAINS; i++)
		wrong += m->leases[i].end_ns > now_ns() + LEASE_NS;
	if (wrong)
		fprintf(stderr, "seed %u\n", seed);
	return wrong;
}

// ---- the wire

static int test_alive(struct world *w)
{
	int wrong = 0;

	for (int i = 0; i < MEMBERS; i++)
		for (int j = 0; j < MEMBERS; j++) {
			const volatile struct peer_value *p = &w->member[i].peers[j];

			if (i != j)
				wrong += eventually(p->alive && p->boot == node_boot((uint32_t)j));
		}
	// Another cluster is on the wire, at an address that all know.
	for (int i = 0; i < MEMBERS; i++)
		wrong += expect(!w->member[i].peers[FOREIGN].received_ns);
	wrong += expect(!w->member[FOREIGN].peers[0].received_ns);
	return wrong;
}

// A lease runs without an interruption while voters answer.
static int test_lease_runs(struct world *w)
{
	const struct member *m = &w->member[0];
	uint64_t until, short_of = 0, samples = 0;
	int wrong = eventually(leased(m, CHAIN) && leased(m, LONELY));

	wrong += expect(m->leases[CHAIN].term == ACTIVE);
	for (until = now_ns() + 1000000000; now_ns() < until; rest(), samples++)
		short_of += !leased(m, CHAIN);
	printf("a lease ran out in %ju of %ju samples of a second\n", (uintmax_t)short_of,
	       (uintmax_t)samples);
	// Other work on this machine may keep everybody from running now and then.
	wrong += expect(short_of * 5 < samples);
	wrong += expect(!w->member[2].leases[CHAIN].end_ns);
	wrong += eventually(leased(&w->member[1], CHAIN));
	return wrong;
}

// Ends 25 ms after the last heartbeat that could be answered, however late that is seen.
static int lease_ends(const struct member *m, uint64_t stopped)
{
	int wrong = eventually(!leased(m, CHAIN));

	printf("a lease ended %.1f ms after the voters stopped\n",
	       (double)(int64_t)(m->leases[CHAIN].end_ns - stopped) / 1e6);
	return wrong + expect(m->leases[CHAIN].end_ns <= stopped + LEASE_NS);
}

static int test_lease_ends(struct world *w)
{
	struct member *m = &w->member[0];
	int wrong = eventually(leased(m, CHAIN)), i;

	// A minority of the voters.
	for (i = 2; i < 4; i++)
		program_off(&w->member[i]);
	wrong += eventually(!m->peers[2].alive && !m->peers[3].alive);
	wrong += eventually(leased(m, CHAIN));
	program_off(&w->member[4]);
	wrong += lease_ends(m, now_ns());
	// These still beat: it is one direction only that is lost.
	wrong += expect(now_ns() - m->peers[4].received_ns < PATIENCE_NS);
	wrong += eventually(!m->peers[4].alive && !w->member[4].peers[0].alive);
	wrong += eventually(m->peers[4].received_ns > m->peers[4].heard_ns + 5 * BEAT_NS);
	for (i = 2; i < 5; i++)
		program_on(&w->member[i]);
	enter(w->home);
	wrong += eventually(leased(m, CHAIN) && m->peers[4].alive);
	return wrong;
}

static int test_promise(struct world *w)
{
	struct member *m = &w->member[0];
	int wrong = eventually(leased(m, CHAIN)), i;

	for (i = 2; i < 5; i++)
		__atomic_store_n(&w->member[i].fences[CHAIN].promised, ACTIVE + 1,
				 __ATOMIC_SEQ_CST);
	wrong += lease_ends(m, now_ns());
	for (i = 2; i < 5; i++) {
		uint64_t granted = w->member[i].grants[CHAIN].granted_ns[0];

		rest();
		wrong += expect(w->member[i].grants[CHAIN].granted_ns[0] == granted);
	}
	// A lease is for its term: what was granted for another does not count.
	for (i = 0; i < MEMBERS; i++) {
		const uint32_t key = CHAIN;
		struct chain_value c;

		if (bpf_map_lookup_elem(node_map(&w->member[i].node, "chains"), &key, &c))
			fatal("no chain");
		c.term = TERM + 1;
		node_put(&w->member[i].node, "chains", &key, &c);
	}
	wrong += eventually(leased(m, CHAIN) && m->leases[CHAIN].term == ACTIVE + 1);
	// Who has promised more asks for nothing.
	m->fences[CHAIN].promised = ACTIVE + 2;
	wrong += eventually(!leased(m, CHAIN));
	for (i = 0; i < MEMBERS; i++) {
		m = &w->member[i];
		tell_view(m);
	}
	wrong += eventually(leased(&w->member[0], CHAIN) && leased(&w->member[1], CHAIN));
	return wrong;
}

// In a new term a lease is asked for at once, by nothing but the word of it: here no round comes.
static int test_hastened(struct world *w)
{
	struct member *m = &w->member[0];
	const int map = bpf_map__fd(m->clock->maps.pacer);
	const uint32_t key = CHAIN, only = 0;
	int wrong = eventually(leased(m, CHAIN));
	struct pacer_value told;
	struct chain_value c;

	enter(m->netns);
	if (bpf_map_lookup_elem(map, &only, &told) ||
	    bpf_map_lookup_elem(node_map(&m->node, "chains"), &key, &c))
		fatal("no pacer, or no chain");
	told.generation++;
	bpf_map_update_elem(map, &only, &told, BPF_ANY);
	wrong += eventually(!leased(m, CHAIN));
	for (int i = 0; i < MEMBERS; i++)
		w->member[i].fences[CHAIN].promised = ACTIVE + 1;
	c.term = TERM + 1;
	node_put(&m->node, "chains", &key, &c);
	pacemaker_hasten(&m->pacer, LONELY, &c);
	wrong += expect(!leased(m, CHAIN));
	pacemaker_hasten(&m->pacer, CHAIN, &c);
	wrong += eventually(m->leases[CHAIN].term == ACTIVE + 1 && m->leases[CHAIN].end_ns);
	// Whose path it is not in is none of its concern.
	wrong += eventually(!leased(m, CHAIN));
	c.boot[0]++;
	pacemaker_hasten(&m->pacer, CHAIN, &c);
	rest();
	wrong += expect(!leased(m, CHAIN));
	must(pacemaker_start(&m->pacer, m->clock->obj), "starting again");
	enter(w->home);
	for (int i = 0; i < MEMBERS; i++)
		tell_view(&w->member[i]);
	return wrong + eventually(leased(m, CHAIN));
}

static int test_another_life(struct world *w)
{
	struct member *m = &w->member[0];
	const uint32_t key = CHAIN;
	struct chain_value c;
	int wrong = eventually(leased(m, CHAIN));

	// The voters' answers are of other lives than those that the chain names.
	if (bpf_map_lookup_elem(node_map(&m->node, "chains"), &key, &c))
		fatal("no chain");
	for (int i = 2; i < 5; i++)
		c.voter[i].boot++;
	node_put(&m->node, "chains", &key, &c);
	wrong += lease_ends(m, now_ns());
	tell_view(m);
	wrong += eventually(leased(m, CHAIN));
	// It is itself another one than the path names.
	c.boot[0]++;
	node_put(&m->node, "chains", &key, &c);
	wrong += lease_ends(m, now_ns());
	tell_view(m);
	return wrong + eventually(leased(m, CHAIN));
}

// ---- entrances

static struct entrance_value duty(const struct member *m, uint32_t entrance)
{
	struct entrance_value value;

	if (bpf_map_lookup_elem(node_map(&m->node, "duties"), &entrance, &value))
		fatal("no duties");
	return value;
}

static struct handover_value handover(const struct member *m, uint32_t entrance)
{
	struct handover_value value;

	if (bpf_map_lookup_elem(bpf_map__fd(m->clock->maps.handovers), &entrance, &value))
		fatal("no handovers");
	return value;
}

static void drain(struct world *w)
{
	uint8_t frame[128];

	while (recv(w->wire, frame, sizeof(frame), 0) > 0)
		;
}

// When the next announcement of entrance 0 is on the wire. 0: none came.
static uint64_t announced(struct world *w, int *wrong)
{
	static const uint8_t mac[6] = {2, 14, 0, 0, 0, 1}, all[6] = {255, 255, 255, 255, 255, 255};
	const in_addr_t ip = inet_addr("192.168.0.201");
	const uint64_t until = now_ns() + PATIENCE_NS;
	struct pollfd poll_wire = {.fd = w->wire, .events = POLLIN};
	struct {
		struct ethhdr eth;
		struct arp_ipv4 arp;
		uint8_t more[128];
	} __attribute__((packed)) f;
	ssize_t got;

	for (;;) {
		if (now_ns() > until || poll(&poll_wire, 1, (int)(PATIENCE_NS / 1000000)) <= 0)
			return 0;
		got = recv(w->wire, &f, sizeof(f), 0);
		if (got < 42 || f.arp.sender_ip != ip)
			continue;
		*wrong +=
			expect(got == 60 && !memcmp(f.eth.h_source, mac, 6) &&
			       !memcmp(f.eth.h_dest, all, 6) && !memcmp(f.arp.sender_mac, mac, 6) &&
			       f.arp.target_ip == ip && f.arp.op == htons(ARP_REQUEST));
		for (int i = 0; i < 18; i++)
			*wrong += expect(!f.more[i]);
		return now_ns();
	}
}

static int is_owner(const struct world *w, int i)
{
	struct entrance_value d = duty(&w->member[i], 0);

	return d.live && d.serves && d.owner == (uint32_t)i && d.mac[1] == 14;
}

// Of times in order, the one that so many of a hundred do not exceed, in ms.
static double percentile(const uint64_t *times, uint64_t count, uint64_t percent)
{
	uint64_t place = (count - 1) * percent / 100;

	return (double)times[place] / 1e6;
}

static int compare_times(const void *a, const void *b)
{
	return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1;
}

#define TRIALS 20

static int told_takeover(const char *from, uint64_t gap[TRIALS])
{
	qsort(gap, TRIALS, sizeof(gap[0]), compare_times);
	printf("takeover of an entrance, from %s to the announcement: p50 %.1f ms, p99 %.1f ms (of "
	       "%d)\n",
	       from, percentile(gap, TRIALS, 50), percentile(gap, TRIALS, 100), TRIALS);
	return expect(gap[TRIALS / 2] < 2000000000);
}

static void lose_wire(struct world *w, int lost)
{
	set_wire(w, 0, !lost);
}

static void lose_what_comes(struct world *w, int lost)
{
	if (lost)
		program_off(&w->member[0]);
	else
		program_on(&w->member[0]);
	enter(w->home);
}

static int take_over(struct world *w, void (*lose)(struct world *, int lost), uint64_t *gap)
{
	const struct member *m = &w->member[0];
	uint64_t began;
	int wrong = eventually(is_owner(w, 0) && duty(&w->member[1], 0).owner == 0 &&
			       !m->pulse->late && !w->member[1].pulse->late);

	drain(w);
	began = now_ns();
	lose(w, 1);
	// Until it knows better its owner goes on to say who it is.
	do
		*gap = announced(w, &wrong) - began;
	while (!is_owner(w, 1) && now_ns() - began < PATIENCE_NS);
	wrong += eventually(is_owner(w, 1));
	// Who hears nobody of several others owns nothing.
	wrong += eventually(!duty(m, 0).serves);
	drain(w);
	lose(w, 0);
	return wrong + eventually(is_owner(w, 0) && duty(&w->member[1], 0).owner == 0);
}

static int test_takeover(struct world *w)
{
	static const struct {
		const char *from;
		void (*lose)(struct world *w, int lost);
	} ways[] = {
		{"the link down", lose_wire},
		{"nothing coming to its owner on the cluster's network", lose_what_comes},
	};
	uint64_t gap[TRIALS];
	int wrong = 0;

	for (size_t k = 0; k < COUNT(ways); k++) {
		for (int i = 0; i < TRIALS && !wrong; i++)
			wrong += take_over(w, ways[k].lose, &gap[i]);
		if (wrong)
			return wrong;
		wrong += told_takeover(ways[k].from, gap);
	}
	return wrong;
}

// Given back, the former owner serves for a while, with a MAC of its own, and then no longer.
static int test_handover(struct world *w)
{
	struct entrance_value d;
	uint32_t occasions;
	int wrong = 0, i;

	set_wire(w, 0, 0);
	wrong += eventually(is_owner(w, 1));
	wrong += expect(!duty(&w->member[2], 0).serves);
	drain(w);
	set_wire(w, 0, 1);
	// It comes back by itself, announces itself again and again, and only it: nobody knows when
	// the last one hears that it is no owner any more.
	for (i = 0; i < 6 && !wrong; i++)
		wrong += expect(announced(w, &wrong));
	wrong += eventually(is_owner(w, 0));
	set_wire(w, 0, 0);
	wrong += eventually(is_owner(w, 1));
	set_wire(w, 0, 1);
	wrong += eventually(duty(&w->member[1], 0).owner == 0);
	d = duty(&w->member[1], 0);
	wrong += expect(d.serves && d.mac[1] != 14);
	wrong += eventually(!duty(&w->member[1], 0).serves);
	wrong += expect(duty(&w->member[1], 0).live);
	// Whoever comes back may have taken the entrance over meanwhile, for all its owner knows.
	wrong += eventually(is_owner(w, 0));
	set_wire(w, 1, 0);
	wrong += eventually(!w->member[0].peers[1].alive);
	occasions = handover(&w->member[0], 0).occasions;
	set_wire(w, 1, 1);
	wrong += eventually(handover(&w->member[0], 0).occasions > occasions);
	drain(w);
	wrong += expect(announced(w, &wrong) && is_owner(w, 0));
	// One without a list stays where it is.
	wrong += expect(duty(&w->member[3], 1).serves && duty(&w->member[0], 1).owner == 3 &&
			!duty(&w->member[0], 1).serves);
	return wrong;
}

// What a controller's connection does: the node's view of entrance 0 is another one from now on.
// The kernel follows within a round.
static void tell_entrance(const struct member *m, const uint16_t *preference, uint32_t count)
{
	const int map = node_map(&m->node, "entrances");
	const uint32_t key = 0;
	struct entrance_value entrance;

	if (bpf_map_lookup_elem(map, &key, &entrance))
		fatal("no entrances");
	entrance.owner = preference[0];
	entrance.preferences = (uint8_t)count;
	memcpy(entrance.preference, preference, count * sizeof(*preference));
	node_put(&m->node, "entrances", &key, &entrance);
}

// An ARP request of the host's that is no announcement of entrance 0 by a forwarder.
static void say(struct world *w, const char *sender, const char *sender_mac)
{
	struct frame f = {};

	frame_arp(&f, (struct arp_message){.to = "ff:ff:ff:ff:ff:ff",
					   .from = "02:0a:00:00:00:0b",
					   .operation = ARP_REQUEST,
					   .sender_mac = sender_mac,
					   .sender = sender,
					   .target_mac = "00:00:00:00:00:00",
					   .target = "192.168.0.201"});
	if (send(w->wire, f.byte, f.length, 0) != (ssize_t)f.length)
		fatal("sending on the bridge");
}

// An entrance is given to a node that has not heard of it yet: its owner goes on until that one
// claims it.
static int test_claim(struct world *w)
{
	static const uint16_t before[] = {0, 1, 2}, after[] = {2, 1};
	const struct member *former = &w->member[0], *next = &w->member[2];
	uint64_t until;
	int wrong = eventually(is_owner(w, 0) && handover(former, 0).again), i;

	for (i = 0; i < 2; i++)
		tell_entrance(&w->member[i], after, COUNT(after));
	until = now_ns() + 2000000ull * HANDOVER_MS;
	wrong += moves(former);
	drain(w);
	// It goes on to announce it, too: for longer than it serves what it has given away.
	while (now_ns() < until && !wrong) {
		wrong += expect(announced(w, &wrong) && is_owner(w, 0));
		// Of another address or MAC it is no claim.
		say(w, HOST_IP, "02:0e:00:00:00:01");
		say(w, "192.168.0.201", "02:0a:00:00:00:0b");
		drain(w);
	}
	wrong += expect(!duty(&w->member[1], 0).serves && !duty(next, 0).serves);
	tell_entrance(next, after, COUNT(after));
	wrong += eventually(is_owner(w, 2));
	wrong += eventually(duty(former, 0).owner == 2);
	wrong += expect(duty(former, 0).serves && duty(former, 0).mac[1] != 14);
	wrong += eventually(!duty(former, 0).serves);
	// Who is told first takes it from who is not: nothing is left to nobody.
	tell_entrance(former, before, COUNT(before));
	wrong += eventually(is_owner(w, 0));
	wrong += moves(next);
	wrong += expect(is_owner(w, 2));
	for (i = 1; i < 3; i++)
		tell_entrance(&w->member[i], before, COUNT(before));
	wrong += eventually(duty(next, 0).owner == 0 && duty(&w->member[1], 0).owner == 0);
	// What it cannot serve it does not keep.
	for (i = 0; i < 2; i++)
		tell_entrance(&w->member[i], after, COUNT(after));
	wrong += moves(former);
	wrong += expect(is_owner(w, 0));
	set_wire(w, 0, 0);
	wrong += eventually(!duty(former, 0).serves);
	set_wire(w, 0, 1);
	for (i = 0; i < 2; i++)
		tell_entrance(&w->member[i], before, COUNT(before));
	return wrong + eventually(is_owner(w, 0) && duty(next, 0).owner == 0);
}

// ---- the tenants' network

static int is_away(const struct world *w, int i)
{
	return w->member[i].peers[i].away;
}

// What a loader does when its interfaces change. An interface that comes up has its carrier later.
static int follows(struct world *w, int i, int down)
{
	const int map = bpf_map__fd(w->member[i].clock->maps.pacer);
	const uint32_t only = 0;
	struct pacer_value told;

	enter(w->member[i].netns);
	must(pacemaker_follow(&w->member[i].pacer), "lists");
	enter(w->home);
	if (bpf_map_lookup_elem(map, &only, &told))
		fatal("no pacer");
	return (told.side == SIDE_DOWN) == down;
}

// Each as it was at the beginning: what it calls follows from the view.
static int sides_whole(struct world *w)
{
	int wrong = 0, i;

	for (i = 0; i < MEMBERS; i++)
		wrong += eventually(follows(w, i, 0));
	for (i = 0; i < MEMBERS; i++)
		wrong += eventually(!is_away(w, i) &&
				    now_ns() - w->member[i].peers[i].answered_ns < 5 * BEAT_NS);
	return wrong + eventually(is_owner(w, 0) && duty(&w->member[1], 0).owner == 0);
}

// Whose side is broken gives its entrance away, and nothing else.
static int lose_side(struct world *w, enum direction direction, uint64_t *gap)
{
	const struct member *m = &w->member[0];
	uint64_t began, lost = 0;
	int wrong = sides_whole(w);

	wrong += eventually(handover(m, 0).again && leased(m, CHAIN));
	wrong += eventually(!w->member[0].pulse->late && !w->member[1].pulse->late);
	drain(w);
	began = now_ns();
	cut(w, 0, direction);
	// Until it knows better its owner goes on to say who it is.
	do
		*gap = announced(w, &wrong) - began;
	while (!is_owner(w, 1) && now_ns() - began < PATIENCE_NS);
	wrong += eventually(is_owner(w, 1));
	wrong += expect(is_away(w, 0) && duty(m, 0).owner == 1);
	for (int i = 1; i < MEMBERS; i++)
		wrong += expect(!is_away(w, i) && w->member[i].peers[0].alive);
	wrong += expect(duty(&w->member[3], 1).serves);
	for (began = now_ns(); now_ns() < began + 20 * BEAT_NS; rest())
		lost += !leased(m, CHAIN);
	wrong += expect(lost < 10);
	drain(w);
	mend(w, 0);
	// Given back, and who gives it back serves what still comes.
	wrong += eventually(duty(&w->member[1], 0).owner == 0);
	wrong += expect(duty(&w->member[1], 0).serves && announced(w, &wrong));
	return wrong;
}

static int test_side_lost(struct world *w)
{
	static const char *const from[] = {
		[FROM] = "nothing coming from its owner on the tenants' network",
		[TO] = "nothing coming to its owner on the tenants' network",
	};
	uint64_t gap[TRIALS];
	int wrong = 0;

	for (int direction = FROM; direction <= TO; direction++) {
		for (int i = 0; i < TRIALS && !wrong; i++)
			wrong += lose_side(w, direction, &gap[i]);
		if (wrong)
			return wrong;
		wrong += told_takeover(from[direction], gap);
	}
	return wrong;
}

// Nobody gives anything away for so long.
static int all_stay(struct world *w, const char *what)
{
	const uint32_t occasions = handover(&w->member[0], 0).occasions;
	uint64_t until = now_ns() + 40 * BEAT_NS;
	int wrong = 0;

	drain(w);
	while (now_ns() < until && !wrong) {
		for (int i = 0; i < MEMBERS; i++)
			wrong += expect(!is_away(w, i));
		rest();
	}
	if (wrong)
		fprintf(stderr, "%s\n", what);
	return wrong + expect(is_owner(w, 0) && duty(&w->member[1], 0).owner == 0 &&
			      handover(&w->member[0], 0).occasions == occasions);
}

// What ends for all costs nobody an entrance.
static int test_sides_all_lost(struct world *w)
{
	int wrong = 0;

	for (int i = 0; i < 5 && !wrong; i++) {
		wrong += sides_whole(w);
		wrong += eventually(handover(&w->member[0], 0).again);
		set_interface(w, w->home, "side", 0);
		wrong += all_stay(w, "all are deaf");
		set_interface(w, w->home, "side", 1);
		wrong += all_stay(w, "all hear again");
	}
	return wrong;
}

// Two that do not hear each other, while a third hears both.
static int test_side_between_two(struct world *w)
{
	const struct member *m = &w->member[0];
	int wrong = sides_whole(w);
	struct node_value value;

	for (uint32_t other = 1; other < 4; other++) {
		if (bpf_map_lookup_elem(node_map(&m->node, "nodes"), &other, &value))
			fatal("no node");
		value.tenant_ip = address_must("192.168.0.99");
		node_put(&m->node, "nodes", &other, &value);
	}
	wrong += eventually(now_ns() - m->peers[1].echo_ns > 10 * BEAT_NS);
	wrong += all_stay(w, "some do not hear each other");
	tell_view(m);
	return wrong;
}

// Only these two call each other.
static void two(struct world *w)
{
	const uint32_t only = 0;
	struct pacer_value told;

	for (uint32_t i = 0; i < MEMBERS; i++) {
		const int map = bpf_map__fd(w->member[i].clock->maps.pacer);

		bpf_map_lookup_elem(map, &only, &told);
		told.calls = i < 2;
		told.call[0] = 1 - i;
		node_put(&w->member[i].node, "pacer", &only, &told);
	}
}

static void tell_heard_host(struct world *w, int i)
{
	const uint32_t place = 50 & (MAX_HEARD_HOSTS - 1);
	struct heard_host value = {.ip = inet_addr(HOST_IP)};
	struct ifreq request = {.ifr_name = "side"};

	if (ioctl(w->wire, SIOCGIFHWADDR, &request))
		fatal("the MAC of an interface");
	memcpy(value.mac, request.ifr_hwaddr.sa_data, 6);
	node_put(&w->member[i].node, "heard_hosts", &place, &value);
}

static int test_side_of_two(struct world *w)
{
	int wrong = sides_whole(w), i, direction;

	two(w);
	wrong += eventually(handover(&w->member[0], 0).again);
	// Nobody can tell whose side it is.
	cut(w, 0, FROM);
	wrong += eventually(now_ns() - w->member[1].peers[0].echo_ns > 5 * BEAT_NS);
	wrong += all_stay(w, "two, and nobody else");
	mend(w, 0);
	// A host can.
	tell_heard_host(w, 0);
	tell_heard_host(w, 1);
	for (i = 0; i < 2; i++) {
		for (direction = FROM; direction <= TO && !wrong; direction++) {
			cut(w, i, direction);
			wrong += eventually(is_away(w, i) && is_owner(w, 1 - i));
			wrong += expect(!is_away(w, 1 - i));
			mend(w, i);
			wrong += eventually(!is_away(w, i) && is_owner(w, 0) &&
					    duty(&w->member[1], 0).owner == 0);
		}
	}
	// A call of each is answered by nobody, and both reach the host.
	cut(w, 0, FROM);
	wrong += eventually(is_away(w, 0) && is_owner(w, 1));
	// Who is away takes all back when there is nobody else.
	set_wire(w, 1, 0);
	wrong += eventually(!is_away(w, 0) && is_owner(w, 0));
	set_wire(w, 1, 1);
	wrong += eventually(is_away(w, 0) && is_owner(w, 1));
	mend(w, 0);
	return wrong + sides_whole(w);
}

static int side_down(struct world *w, int i)
{
	set_interface(w, w->member[i].netns, "side", 0);
	return eventually(follows(w, i, 1));
}

// No carrier: that needs no silence.
static int test_side_down(struct world *w)
{
	struct member *m = &w->member[0];
	int wrong = sides_whole(w), i;

	wrong += side_down(w, 0);
	wrong += eventually(is_away(w, 0) && is_owner(w, 1));
	wrong += expect(w->member[1].peers[0].side == SIDE_DOWN && w->member[1].peers[0].alive);
	wrong += eventually(leased(m, CHAIN));
	// Where all of a list are away, its first one owns the entrance all the same.
	wrong += side_down(w, 1);
	wrong += eventually(is_away(w, 1) && is_owner(w, 2));
	wrong += side_down(w, 2);
	wrong += eventually(is_away(w, 2) && is_owner(w, 0) && is_away(w, 0));
	wrong += eventually(duty(&w->member[3], 0).owner == 0);
	for (i = 0; i < 3; i++)
		set_interface(w, w->member[i].netns, "side", 1);
	wrong += sides_whole(w);
	// One interface for both networks: as it is heard.
	m->pacer.tenant = m->pacer.zgc;
	enter(m->netns);
	must(pacemaker_follow(&m->pacer), "lists");
	enter(w->home);
	wrong += eventually(w->member[1].peers[0].side == SIDE_SAME && !is_away(w, 0));
	wrong += eventually(handover(m, 0).again);
	wrong += all_stay(w, "one interface");
	snprintf(m->pacer.tenant.text, sizeof(m->pacer.tenant.text), "side");
	return wrong + sides_whole(w);
}

// ---- the pacemaker

static int test_seeded_anew(struct world *w)
{
	struct member *m = &w->member[2];
	const int map = bpf_map__fd(m->clock->maps.pacer);
	const uint32_t only = 0;
	struct pacer_value told;
	uint64_t rounds;
	int wrong = moves(m);

	enter(m->netns);
	pacemaker_look(&m->pacer);
	if (bpf_map_lookup_elem(map, &only, &told))
		fatal("no pacer");
	// The frame is of an older generation now, and dies at its next turn.
	told.generation++;
	bpf_map_update_elem(map, &only, &told, BPF_ANY);
	do {
		rounds = m->pulse->rounds;
		pause_for(5 * BEAT_NS);
	} while (m->pulse->rounds != rounds);
	pacemaker_look(&m->pacer); // the first look sees what went on before the loss
	pacemaker_look(&m->pacer);
	wrong += moves(m);
	// The pair itself is gone.
	pacemaker_look(&m->pacer);
	pacemaker_stop(m->dir);
	pacemaker_look(&m->pacer);
	pacemaker_look(&m->pacer);
	wrong += moves(m);
	// Started where it runs already, there is still one frame.
	must(pacemaker_start(&m->pacer, m->clock->obj), "starting again");
	must(pacemaker_start(&m->pacer, m->clock->obj), "starting again");
	pause_for(3 * BEAT_NS);
	rounds = m->pulse->rounds;
	pause_for(500000000);
	wrong += expect(m->pulse->rounds - rounds < 500 / BEAT_MS * 3 / 2);
	enter(w->home);
	return wrong;
}

// Who answers, and does not follow entrances yet, is no owner of one. Rounds that never settle are
// those of a machine that is too busy.
static int test_unsettled(struct world *w)
{
	struct member *m = &w->member[0];
	const int map = bpf_map__fd(m->clock->maps.pulse);
	const uint32_t only = 0;
	struct pulse_value pulse;
	int wrong = eventually(!w->member[1].peers[0].away);

	wrong += eventually(duty(&w->member[1], 0).owner == 0);
	wrong += eventually(({
		pulse = *m->pulse;
		pulse.awake_ns = now_ns();
		pulse.served = 0;
		bpf_map_update_elem(map, &only, &pulse, BPF_ANY);
		w->member[1].peers[0].away &&duty(&w->member[1], 0).owner == 1;
	}));
	wrong += expect(w->member[1].peers[0].alive);
	return wrong + eventually(!w->member[1].peers[0].away && duty(&w->member[1], 0).owner == 0);
}

// Who has yet to learn of a chain is no owner, until he has served: then it is a new one.
static int test_lacks(struct world *w)
{
	struct member *m = &w->member[0];
	const int map = bpf_map__fd(m->clock->maps.pulse);
	const uint32_t only = 0, known = 2, more = 3;
	struct pulse_value pulse = *m->pulse;
	int wrong = eventually(!w->member[1].peers[0].away && duty(&w->member[1], 0).owner == 0);

	node_put(&m->node, "chain_count", &only, &more);
	must(pacemaker_follow(&m->pacer), "following what it lacks");
	pause_for(20 * BEAT_NS);
	wrong += expect(!w->member[1].peers[0].away && duty(&w->member[1], 0).owner == 0);

	pulse.served = 0;
	bpf_map_update_elem(map, &only, &pulse, BPF_ANY);
	wrong += eventually(w->member[1].peers[0].away && duty(&w->member[1], 0).owner == 1);
	pause_for(20 * BEAT_NS);
	wrong += expect(w->member[1].peers[0].away && w->member[1].peers[0].alive);

	node_put(&m->node, "chain_count", &only, &known);
	must(pacemaker_follow(&m->pacer), "following what it knows");
	return wrong + eventually(!w->member[1].peers[0].away && duty(&w->member[1], 0).owner == 0);
}

// Who comes late himself suspects later; who did not run at all begins with listening.
static int test_late(struct world *w)
{
	const struct member *m = &w->member[ALONE];
	const struct target target = {.program = bpf_program__fd(m->clock->progs.pacemaker)};
	const struct pace_frame pace = {.eth.h_proto = htons(PACE_PROTOCOL)};
	struct frame in = {}, out;
	uint32_t action = 0;
	uint64_t awake;
	int wrong = 0, turns;

	frame_append(&in, &pace, sizeof(pace));
	frame_fill(&in, PACE_BYTES - sizeof(pace));
	wrong += expect(!target_run(&target, &in, &action, &out));
	wrong += expect(action == TC_ACT_REDIRECT && m->pulse->rounds == 1);
	wrong += expect(m->pulse->awake_ns == m->pulse->round_ns && !m->pulse->late);
	awake = m->pulse->awake_ns;
	// Unless this machine sleeps too long, it is late by so many rounds.
	for (turns = 0; turns < 100 && !m->pulse->late; turns++) {
		pause_for(25000000);
		wrong += expect(!target_run(&target, &in, &action, &out));
	}
	wrong += expect(m->pulse->late > 1 && m->pulse->late <= LATE_MOST);
	wrong += expect(turns > 1 || m->pulse->awake_ns == awake);
	pause_for(150000000);
	wrong += expect(!target_run(&target, &in, &action, &out));
	wrong += expect(m->pulse->awake_ns == m->pulse->round_ns && !m->pulse->late);
	// A frame of another generation, and what is none.
	in.byte[offsetof(struct pace_frame, generation)] ^= 1;
	wrong += expect(!target_run(&target, &in, &action, &out) && action == TC_ACT_SHOT);
	in.byte[offsetof(struct pace_frame, generation)] ^= 1;
	in.length--;
	wrong += expect(!target_run(&target, &in, &action, &out) && action == TC_ACT_SHOT);
	return wrong;
}

#define ROUNDS 300

static int test_jitter(struct world *w)
{
	const volatile struct pulse_value *p = w->member[1].pulse;
	uint64_t gap[ROUNDS], last = p->round_ns, first = last, seen = 0, sum = 0;

	while (seen < ROUNDS && now_ns() < first + PATIENCE_NS) {
		uint64_t round = p->round_ns;

		if (round != last) {
			gap[seen++] = round - last;
			last = round;
		}
		rest();
	}
	for (uint64_t i = 0; i < seen; i++)
		sum += gap[i];
	if (!seen)
		return expect(seen);
	qsort(gap, seen, sizeof(gap[0]), compare_times);
	printf("%ju rounds: mean %.3f ms, p1 %.3f, p50 %.3f, p99 %.3f, most %.3f\n",
	       (uintmax_t)seen, (double)sum / (double)seen / 1e6, percentile(gap, seen, 1),
	       percentile(gap, seen, 50), percentile(gap, seen, 99), percentile(gap, seen, 100));
	// Never sooner than due, or there are two frames.
	return expect(gap[seen / 2] > BEAT_NS * 9 / 10 && gap[seen / 2] < BEAT_NS * 2);
}

// ---- gossip

// Who beats to whom in a ring of the first five: news of who is not next must come by others.
static void ring(struct world *w, int on)
{
	for (uint32_t i = 0; i < MEMBERS; i++) {
		struct member *m = &w->member[i];
		const uint32_t only = 0;
		struct pacer_value told;

		if (!on) {
			enter(m->netns);
			must(pacemaker_follow(&m->pacer), "lists");
			continue;
		}
		for (uint32_t j = 0; j < 2; j++) {
			struct beat_to_value beat = {.node = (i + (j ? 1 : MEMBERS - 1)) % MEMBERS};

			if (bpf_map_update_elem(bpf_map__fd(m->clock->maps.beat_to), &j, &beat,
						BPF_ANY))
				fatal("no list");
		}
		bpf_map_lookup_elem(bpf_map__fd(m->clock->maps.pacer), &only, &told);
		told.beats = told.others = 2;
		node_put(&m->node, "pacer", &only, &told);
	}
	enter(w->home);
}

static uint64_t gossip_of(const struct member *m, uint32_t node)
{
	struct gossip_value value;

	if (bpf_map_lookup_elem(bpf_map__fd(m->clock->maps.gossip), &node, &value))
		fatal("no gossip");
	return value.told;
}

static int test_gossip(struct world *w)
{
	const struct member *far = &w->member[2];
	struct gossip_value lie = {};
	const uint32_t node = 0;
	uint64_t began;
	int wrong = 0;

	ring(w, 1);
	// Node 2 does not hear node 0 any more: it is alive as nodes 1, 3 and 4 say.
	wrong += eventually(now_ns() - far->peers[0].heard_ns > BEAT_NS * 2 * DEAD_BEATS);
	wrong += expect(far->peers[0].alive);
	began = now_ns();
	set_wire(w, 0, 0);
	wrong += eventually(!far->peers[0].alive);
	printf("a death is known to who has it by gossip after %.1f ms\n",
	       (double)(now_ns() - began) / 1e6);
	wrong += eventually(NEWS_STATE(gossip_of(far, 0)) == BEAT_DEAD);
	set_wire(w, 0, 1);
	// It hears what is said of it, and refutes it.
	wrong += eventually(far->peers[0].alive && NEWS_STATE(gossip_of(far, 0)) == BEAT_ALIVE);
	// A false suspicion goes round, and is refuted with a higher number.
	lie.told = gossip_of(&w->member[3], 0);
	lie.told = NEWS_WORD((uint64_t)NEWS_RUMOUR(lie.told), BEAT_SUSPECTED, NEWS_BOOT(lie.told));
	if (bpf_map_update_elem(bpf_map__fd(w->member[3].clock->maps.gossip), &node, &lie, BPF_ANY))
		fatal("no gossip");
	wrong += eventually(gossip_of(far, 0) > lie.told &&
			    NEWS_STATE(gossip_of(far, 0)) == BEAT_ALIVE);
	wrong += expect(NEWS_BOOT(gossip_of(far, 0)) == node_boot(0));
	ring(w, 0);
	return wrong + eventually(leased(&w->member[0], CHAIN));
}

// ---- figures

static uint64_t run_ns(int program, uint64_t *runs)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &size))
		fatal("no figures of a program");
	*runs = info.run_cnt;
	return info.run_time_ns;
}

static void print_cost(const char *what, int program, uint64_t ns, uint64_t runs)
{
	uint64_t now_runs, spent = run_ns(program, &now_runs) - ns;

	if (now_runs > runs)
		printf("%s: %ju ns (of %ju)\n", what, (uintmax_t)(spent / (now_runs - runs)),
		       (uintmax_t)(now_runs - runs));
}

#define RUNS 20000

// The programs alone, as the kernel counts their time.
static int test_cost(struct world *w)
{
	struct member *m = &w->member[ALONE];
	const struct pacer_value told = {.fit = 1};
	const uint32_t only = 0;
	const int entry = m->node.entry.program;
	auto_(closep) int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	uint64_t ns, runs;
	struct frame in, out;
	uint32_t action;
	int wrong = 0;

	if (stats < 0)
		fatal("the kernel counts no time");
	node_put(&m->node, "pacer", &only, &told);
	for (int is_answer = 0; is_answer < 2; is_answer++) {
		const struct row row = {.is_answer = is_answer};

		tell_view(m);
		ns = run_ns(entry, &runs);
		for (int i = 0; i < RUNS; i++) {
			struct beat b = sound_beat(&row);

			in = frame_of(&b, 0, "172.16.0.1");
			wrong += !!target_run(&m->node.entry, &in, &action, &out);
		}
		print_cost(is_answer ? "an answer at its receiver" : "a heartbeat at its receiver",
			   entry, ns, runs);
	}
	// In a network namespace where they go to the bridge, which has no such MACs.
	m = &w->member[0];
	for (uint32_t j = 0; j < 8; j++) {
		struct beat_to_value beat = {.node = 1 + j % 4, .chains = 1, .chain = {CHAIN}};

		bpf_map_update_elem(bpf_map__fd(m->clock->maps.beat_to), &j, &beat, BPF_ANY);
	}
	{
		struct pacer_value more;
		uint64_t before = m->pulse->rounds;
		const int program = bpf_program__fd(m->clock->progs.pacemaker);

		bpf_map_lookup_elem(bpf_map__fd(m->clock->maps.pacer), &only, &more);
		more.beats = 8;
		node_put(&m->node, "pacer", &only, &more);
		ns = run_ns(program, &runs);
		wrong += eventually(m->pulse->rounds > before + 200);
		print_cost("a round with 8 heartbeats", program, ns, runs);
	}
	enter(m->netns);
	must(pacemaker_follow(&m->pacer), "lists");
	enter(w->home);
	return wrong;
}

static const struct test {
	const char *name;
	int (*run)(struct world *w);
} tests[] = {
	{"rows", test_rows},
	{"rows of calls", test_call_rows},
	{"random bytes", test_random_bytes},
	{"who is alive", test_alive},
	{"a lease runs", test_lease_runs},
	{"a lease ends", test_lease_ends},
	{"a promise", test_promise},
	{"a new term", test_hastened},
	{"another life", test_another_life},
	{"a frame is lost", test_seeded_anew},
	{"who has not settled", test_unsettled},
	{"who does not know every chain", test_lacks},
	{"late rounds", test_late},
	{"jitter", test_jitter},
	{"a takeover", test_takeover},
	{"a handover", test_handover},
	{"a claim", test_claim},
	{"a tenant side is lost", test_side_lost},
	{"all tenant sides are lost", test_sides_all_lost},
	{"a tenant side between two", test_side_between_two},
	{"a tenant side of two", test_side_of_two},
	{"a tenant side has no carrier", test_side_down},
	{"gossip", test_gossip},
	{"cost", test_cost},
};

// What the nodes did, where something is wrong.
static void tell(const struct world *w)
{
	struct verdict_count sum[VERDICTS];

	for (int i = 0; i <= LIVE; i++) {
		const struct member *m = &w->member[i];

		fprintf(stderr, "node %d: %ju rounds, late %u, heard %u;", i,
			(uintmax_t)m->pulse->rounds, m->pulse->late, m->pulse->heard);
		must(verdicts_read(m->node.entry.verdicts, sum), "reading verdicts");
		for (int v = 0; v < VERDICTS; v++)
			if (sum[v].packets)
				fprintf(stderr, " %s %ju", verdict_name(v),
					(uintmax_t)sum[v].packets);
		fputc('\n', stderr);
	}
}

int main(void)
{
	static struct world w;
	int failed = 0;

	testing_begin();
	build(&w);
	start(&w);
	for (size_t i = 0; i < COUNT(tests) && !failed; i++) {
		int wrong = tests[i].run(&w);

		printf("%s %s\n", wrong ? "FAILED" : "ok    ", tests[i].name);
		fflush(stdout);
		failed += wrong;
	}
	if (failed)
		tell(&w);
	return failed ? 1 : 0;
}
