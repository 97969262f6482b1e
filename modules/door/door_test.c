// SPDX-License-Identifier: Apache-2.0
// A pushed function asks its middlebox: real objects in a real node, a real AF_XDP socket got by
// the header that people build middleboxes with; and what no honest middlebox would send.
#include "modules/door/door.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "datapath/gateway_nodes.h"
#include "gateway.skel.h"
#include "lib/clock.h"
#include "lib/own.h"
#include "modules/door/doorkeeper.h"
#include "modules/function/pushing.h"
#include "shared/door.h"
#include "shared/limits.h"

#define VNI 0x0100A1
#define SLOT FUNCTION_FIRST_FREE
#define ASKED_PORT 80
#define OUTER 50 // bytes before the tenant's frame: Ethernet, IPv4, UDP, VXLAN
#define LOOPBACK 1
// Of a datagram that is asked about: behind Ethernet, IPv4 and UDP.
#define LONGEST (PAIR_MTU - (int)sizeof(struct zeta_question) - 28)
#define PATIENCE_MS 10000

struct world {
	struct node node;
	struct pushing pushing;
	const char *objects;
	uint32_t flat;
	char links[96];
	char dir[32]; // of the door's socket
	char path[64];
	struct doorkeeper keeper;
	struct target in; // program "door_in"
	struct verdict_count before[VERDICTS];
};

// ---- the node

static void put_vpc(const struct world *w, uint32_t policy, const uint8_t *function, uint8_t count)
{
	struct vpc_value vpc = {.policy = policy, .functions = count};
	uint32_t vni = VNI;

	memcpy(vpc.function, function, count);
	node_put(&w->node, "vpcs", &vni, &vpc);
}

static void chain_with(const struct world *w, uint32_t policy)
{
	const uint8_t chain[] = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, SLOT};

	put_vpc(w, policy, chain, 3);
}

// Sample ASK asks about ASKED_PORT. open: its p->unheard.
static void configure(const struct world *w, uint32_t slot, uint8_t open)
{
	const struct function_config_key key = {VNI, (uint16_t)slot, 0};
	struct function_config value = {};
	const uint16_t port = htons(ASKED_PORT);

	memcpy(value.bytes, &port, sizeof(port));
	value.bytes[2] = open;
	node_put(&w->node, "function_configs", &key, &value);
}

// So often SLOT in a chain of the subnet of both.
static void put_later(const struct world *w, uint32_t number, uint8_t times)
{
	const struct subnet_key key = {
		.prefix_bits = 32 + 120, .vni = htonl(VNI), .address = address_must("10.0.0.0")};
	const struct subnet_value subnet = {.subnet = 1, .bits = 120, .chain = number};
	struct service_chain_value value = {.functions = times};

	memset(value.function, SLOT, times);
	node_put(&w->node, "service_chains", &number, &value);
	node_put(&w->node, "subnets", &key, &subnet);
}

static void put_chain(const struct world *w, uint32_t tail)
{
	struct chain_value chain = {.epoch = 1, .term = 1, .live = tail ? 2 : 1, .node = {0, tail}};

	node_chain(&w->node, 0, &chain);
}

static void begin(struct world *w)
{
	struct entrance_value entrance = {
		.ip = address_must("192.168.0.201"), .mac = {2, 14, 0, 0, 0, 1}, .live = 1};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct node *n = &w->node;
	uint32_t zero = 0;
	int fd;

	node_load(n, &(struct node_wish){.name = "one",
					 .roles = ROLE_FWD | ROLE_FTN,
					 .flat = w->flat,
					 .questions = MAX_QUESTIONS,
					 .tenant_mtu = PAIR_MTU});
	node_peers(n, 2);
	put_chain(w, 0);
	node_entrance(n, 0, &entrance);
	node_put(n, "entrance_by_ip", &entrance.ip, &zero);
	node_buckets(n, 0);
	node_tenant(n, VNI, 3);
	pushing_begin(&w->pushing, "one", w->objects);
	w->pushing.datapath.objects[0] = n->gw->obj;
	w->pushing.datapath.settings.roles = NODE_FWD | NODE_FTN;
	snprintf(w->links, sizeof(w->links), "%s/links", w->pushing.datapath.dir);
	if (mkdir(w->links, 0700))
		exit(1);
	w->in = (struct target){.program = bpf_program__fd(n->gw->progs.door_in),
				.verdicts = n->entry.verdicts};
	snprintf(w->dir, sizeof(w->dir), "/tmp/zeta-door-XXXXXX");
	if (!mkdtemp(w->dir))
		exit(1);
	snprintf(w->path, sizeof(w->path), "%s/door", w->dir);
	memcpy(address.sun_path, w->path, strlen(w->path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) || listen(fd, 8))
		exit(1);
	doorkeeper_open(&w->keeper, fd);
	pushing_sample(&w->pushing, "ASK", SLOT, 0);
	pushing_runs(&w->pushing, SLOT, 0);
	configure(w, SLOT, 0);
	chain_with(w, 1);
}

static void end(struct world *w)
{
	doors_shut(w->pushing.datapath.dir);
	close(w->keeper.listening);
	unlink(w->path);
	rmdir(w->dir);
	rmdir(w->links);
	pushing_end(&w->pushing);
	node_free(&w->node);
	testing_unpin("one");
}

// ---- a middlebox comes

struct guest {
	const struct world *w;
	struct zeta_middlebox *box;
	const char *function;
	int err;
};

static void *guest_thread(void *context)
{
	struct guest *g = context;

	g->err = zeta_middlebox_open(g->box, g->w->path, g->function);
	return NULL;
}

// As the agent and the loader do it together.
static int come(struct world *w, struct zeta_middlebox *box, uint32_t slot)
{
	struct zeta_welcome welcome = {.version = ZETA_DOOR_VERSION,
				       .slot = slot,
				       .chunks = DOOR_CHUNKS,
				       .chunk_bytes = DOOR_CHUNK_BYTES};
	struct guest g = {w, box, "gate", 0};
	struct zeta_hello hello = {};
	int fds[DOOR_FDS] = {-1, -1};
	pthread_t thread;

	if (pthread_create(&thread, NULL, guest_thread, &g))
		exit(1);
	while (!doorkeeper_serve(&w->keeper, &hello))
		usleep(1000);
	welcome.error = door_open(&w->pushing.datapath, slot, 0, fds);
	doorkeeper_answer(&w->keeper, &welcome, welcome.error ? NULL : fds);
	closep(&fds[DOOR_SOCKET]);
	closep(&fds[DOOR_MEMORY]);
	pthread_join(thread, NULL);
	return strcmp(hello.function, "gate") != 0 ? -EPROTO : g.err;
}

// One that was there is gone when its socket is.
static void come_again(struct world *w, struct zeta_middlebox *box, uint32_t slot)
{
	uint64_t until = now_ms() + PATIENCE_MS;
	int err;

	while ((err = come(w, box, slot)) == -EBUSY && now_ms() < until)
		usleep(10000);
	must(err, "a middlebox comes");
}

static struct zeta_question *next_of(struct zeta_middlebox *box)
{
	struct zeta_question *q;

	must(zeta_middlebox_next(box, PATIENCE_MS, &q), "a question");
	if (!q)
		exit(1);
	return q;
}

// ---- packets

struct sent {
	uint16_t to;
	uint8_t back;
	uint16_t payload;
};

static void write_frame(struct frame *f, const struct sent *s)
{
	const char *ip[] = {"10.0.0.1", "10.0.0.2"};
	const char *mac[] = {"02:01:00:00:00:01", "02:01:00:00:00:02"};
	uint16_t source = s->back ? s->to : 5000, destination = s->back ? 5000 : s->to;

	frame_clear(f);
	frame_fill(f, s->payload ? s->payload : 10);
	frame_udp(f, source, destination, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = ip[s->back], .to = ip[!s->back], .protocol = IPPROTO_UDP});
	frame_ethernet(f, mac[!s->back], mac[s->back], ETH_P_IP);
	frame_vxlan(f, VNI);
	frame_udp(f, 50000, 4789, 0);
	frame_ipv4(f, (struct ipv4_header){.from = s->back ? "192.168.0.12" : "192.168.0.11",
					   .to = "192.168.0.201",
					   .protocol = IPPROTO_UDP});
	frame_ethernet(f, "02:0e:00:00:00:01", "02:0a:00:00:00:01", ETH_P_IP);
}

static struct session_key key_of(uint16_t port)
{
	return (struct session_key){.a = address_must("10.0.0.1"),
				    .b = address_must("10.0.0.2"),
				    .a_port = htons(5000),
				    .b_port = htons(port),
				    .vni = {VNI >> 16, VNI >> 8 & 0xFF, VNI & 0xFF},
				    .protocol = IPPROTO_UDP};
}

static void mark_counts(struct world *w)
{
	must(verdicts_read(w->node.entry.verdicts, w->before), "reading counters");
}

static uint64_t counted(const struct world *w, enum verdict v)
{
	struct verdict_count now[VERDICTS];

	must(verdicts_read(w->node.entry.verdicts, now), "reading counters");
	return now[v].packets - w->before[v].packets;
}

// The last verdict of a run, beside what it was told on the way; the frame becomes what came out.
static enum verdict run(struct world *w, const struct target *at, struct frame *f)
{
	const struct frame in = *f;
	uint32_t action;
	int v;

	mark_counts(w);
	must(target_run(at, &in, &action, f), "running");
	for (v = 0; v < VERDICTS; v++)
		if (v != LOOKED_UP && v != REPLIED && v != INSERTED && v != FUNCTION_ANSWERED &&
		    counted(w, v))
			return v;
	return BUG;
}

static enum verdict carry(struct world *w, const struct sent *s, struct frame *f)
{
	write_frame(f, s);
	return run(w, &w->node.entry, f);
}

static int ends(struct world *w, const char *what, const struct sent *s, enum verdict want)
{
	struct frame f;

	return is_verdict(what, carry(w, s, &f), want);
}

static void forget(struct world *w)
{
	node_clear(&w->node, "cache");
	node_clear(&w->node, "sessions");
}

// Really on its way: what it is redirected to gets it.
static void send_live(struct world *w, const struct sent *s)
{
	struct frame f;
	LIBBPF_OPTS(bpf_test_run_opts, options, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .repeat = 1);

	write_frame(&f, s);
	options.data_in = f.byte;
	options.data_size_in = f.length;
	mark_counts(w);
	must(bpf_prog_test_run_opts(w->node.entry.program, &options), "sending");
}

static int comes_to(const struct world *w, const char *what, enum verdict v)
{
	uint64_t until = now_ms() + PATIENCE_MS;

	while (!counted(w, v) && now_ms() < until)
		usleep(1000);
	if (counted(w, v) == 1)
		return 0;
	fprintf(stderr, "%s: %s %" PRIu64 " times\n", what, verdict_name(v), counted(w, v));
	for (int i = 0; i < VERDICTS; i++)
		if (counted(w, i))
			fprintf(stderr, "  %s %" PRIu64 "\n", verdict_name(i), counted(w, i));
	return 1;
}

// The socket's frames are at the door of the loopback, as those of a test run.
static void ask_by_loopback(struct world *w, uint32_t slot)
{
	const struct door_value door = {.ifindex = LOOPBACK};
	const uint32_t number = slot - FUNCTION_FIRST_FREE;

	node_put(&w->node, "doors", &number, &door);
}

static void let_pass(unsigned int ms)
{
	usleep(ms * 1000);
}

// ---- tests

static int told_well(const struct zeta_question *q, const struct sent *s)
{
	struct frame f;
	int wrong = 0;

	write_frame(&f, s);
	wrong += is_number("bytes", q->bytes, f.length - OUTER);
	wrong += is_number("frame", memcmp(zeta_question_frame(q), f.byte + OUTER, q->bytes) != 0,
			   0);
	wrong += is_number("token", q->token >= QUESTION_FIRST, 1);
	wrong += is_number("slot", q->slot, SLOT);
	wrong += is_number("answer", q->answer, 0);
	wrong += is_number("abi", q->abi, ZETA_NF_ABI);
	wrong += is_number("vni", q->vni, VNI);
	wrong += is_number("source", q->source.s6_addr32[3], htonl(0x0A000001));
	wrong += is_number("destination", q->destination.s6_addr32[3], htonl(0x0A000002));
	wrong += is_number("source port", q->source_port, htons(5000));
	wrong += is_number("destination port", q->destination_port, htons(ASKED_PORT));
	wrong += is_number("protocol", q->protocol, IPPROTO_UDP);
	wrong += is_number("what", q->what, ZETA_CONFIGURED);
	wrong += is_number("source MAC", q->source_mac[5], 1);
	wrong += is_number("destination MAC", q->destination_mac[5], 2);
	wrong += is_number("remember", q->remember, 1);
	wrong += is_number("hold", q->hold, 0);
	wrong += is_number("note", q->note, 0x12345678);
	return wrong;
}

// By a socket, there and back.
static int test_asked(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT}, other = {.to = 81},
			  answer = {.to = ASKED_PORT, .back = 1};
	struct session_key key = key_of(ASKED_PORT);
	struct zeta_middlebox box = {};
	struct zeta_question *q;
	struct dft_record record;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	wrong += ends(w, "not asked about", &other, FORWARDED_FIRST);
	send_live(w, &web);
	q = next_of(&box);
	wrong += is_number("asked", counted(w, FUNCTION_ASKS), 1);
	wrong += told_well(q, &web);
	wrong += is_number("undecided", node_session(&w->node, &key, &record), 0);
	must(zeta_middlebox_answer(&box, q, ZETA_NEXT), "answering");
	wrong += comes_to(w, "allowed", FORWARDED_FIRST);
	wrong += is_number("answered", counted(w, FUNCTION_ANSWERED), 1);
	wrong += is_number("a session", node_session(&w->node, &key, &record), 1);
	wrong += ends(w, "known", &web, FORWARDED);
	wrong += ends(w, "and its answers", &answer, FORWARDED);
	forget(w);
	// Not to be remembered, says the middlebox.
	send_live(w, &web);
	q = next_of(&box);
	q->remember = 0;
	must(zeta_middlebox_answer(&box, q, ZETA_NEXT), "answering");
	wrong += comes_to(w, "allowed", FORWARDED_FIRST);
	wrong += is_number("no session", node_session(&w->node, &key, &record), 0);
	forget(w);
	send_live(w, &web);
	q = next_of(&box);
	q->reason = 5;
	must(zeta_middlebox_answer(&box, q, ZETA_DROP), "answering");
	wrong += comes_to(w, "denied", FUNCTION_DROPPED);
	wrong += ends(w, "denied, cached", &web, FUNCTION_DROPPED);
	wrong += is_number("nothing more", zeta_middlebox_next(&box, 0, &q), -EAGAIN);
	zeta_middlebox_close(&box);
	return wrong;
}

// Many at once, answered from the last to the first, more in all than there are chunks.
static int test_many(struct world *w)
{
	enum { AT_ONCE = 64, ROUNDS = 10 };
	static struct zeta_question *held[AT_ONCE];
	struct zeta_middlebox box = {};
	uint64_t until;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < AT_ONCE; i++) {
			send_live(w, &(struct sent){.to = ASKED_PORT, .payload = 10 + i});
			held[i] = next_of(&box);
		}
		mark_counts(w);
		for (int i = AT_ONCE; i--;)
			must(zeta_middlebox_answer(&box, held[i], ZETA_NEXT), "answering");
		until = now_ms() + PATIENCE_MS;
		while (counted(w, FUNCTION_ANSWERED) + counted(w, ANSWER_LATE) < AT_ONCE &&
		       now_ms() < until)
			usleep(1000);
		wrong += is_number("all", counted(w, FUNCTION_ANSWERED) + counted(w, ANSWER_LATE),
				   AT_ONCE);
		forget(w);
	}
	zeta_middlebox_close(&box);
	return wrong;
}

// It dies, and another one comes in its place.
static int test_absent(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	struct session_key key = key_of(ASKED_PORT);
	struct zeta_middlebox box = {}, second = {};
	struct cache_value cached;
	struct zeta_question *q;
	int wrong = 0;

	wrong += ends(w, "none", &web, NO_MIDDLEBOX);
	wrong += is_number("not cached", node_cached(&w->node, &key, &cached), 0);
	configure(w, SLOT, ZETA_NEXT);
	wrong += ends(w, "none, and open", &web, FORWARDED_FIRST);
	forget(w);
	configure(w, SLOT, 0);
	must(come(w, &box, SLOT), "a middlebox comes");
	wrong += is_number("only one", come(w, &second, SLOT), -EBUSY);
	send_live(w, &web);
	q = next_of(&box);
	zeta_middlebox_close(&box);
	wrong += ends(w, "gone", &web, NO_MIDDLEBOX);
	come_again(w, &box, SLOT);
	send_live(w, &web);
	q = next_of(&box);
	must(zeta_middlebox_answer(&box, q, ZETA_NEXT), "answering");
	wrong += comes_to(w, "back", FORWARDED_FIRST);
	// Its function's slot may be another one's soon.
	door_shut(w->pushing.datapath.dir, SLOT);
	forget(w);
	wrong += ends(w, "shut", &web, NO_MIDDLEBOX);
	wrong += is_number("told so", zeta_middlebox_next(&box, PATIENCE_MS, &q), -EPIPE);
	zeta_middlebox_close(&box);
	come_again(w, &box, SLOT);
	zeta_middlebox_close(&box);
	return wrong;
}

// Asks by a test run; the frame is the question then. Returns what is wrong.
static int ask(struct world *w, const struct sent *s, struct frame *f)
{
	return is_verdict("asking", carry(w, s, f), FUNCTION_ASKS);
}

static struct zeta_question *question_in(struct frame *f)
{
	return (struct zeta_question *)f->byte;
}

static int answers(struct world *w, const char *what, const struct frame *said, enum verdict want)
{
	struct frame f = *said;

	return is_verdict(what, run(w, &w->in, &f), want);
}

// Whatever is in what comes back, the packet that goes on is the one that came.
static int test_forged_frame(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	struct frame want, got, f;
	struct zeta_middlebox box = {};
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	memset(f.byte + sizeof(struct zeta_question), 0xA5,
	       f.length - sizeof(struct zeta_question));
	question_in(&f)->source_port = htons(9);
	question_in(&f)->vni = 9;
	got = f;
	wrong += is_verdict("answered", run(w, &w->in, &got), FORWARDED_FIRST);
	write_frame(&want, &web);
	wrong += is_number("length", got.length, want.length);
	wrong +=
		is_number("the tenant's",
			  memcmp(got.byte + OUTER, want.byte + OUTER, want.length - OUTER) != 0, 0);
	wrong += answers(w, "twice", &f, ANSWER_LATE);
	zeta_middlebox_close(&box);
	return wrong;
}

static int test_wrong(struct world *w)
{
	static const struct {
		const char *what;
		uint8_t answer, reason, remember, hold;
	} rows[] = {
		{"none", 0, 0, 1, 0},
		{"asks in turn", ZETA_ASK, 0, 1, 0},
		{"not known", 9, 0, 1, 0},
		{"undeclared end", ZETA_DONE, 0, 1, 0},
		{"undeclared hold", ZETA_NEXT, 0, 1, 1},
		{"a reason beyond", ZETA_DROP, ZETA_REASONS, 1, 0},
		{"remember 2", ZETA_NEXT, 0, 2, 0},
	};
	const struct sent web = {.to = ASKED_PORT};
	struct session_key key = key_of(ASKED_PORT);
	struct cache_value cached;
	struct zeta_middlebox box = {};
	struct frame f;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		wrong += ask(w, &web, &f);
		question_in(&f)->answer = rows[i].answer;
		question_in(&f)->reason = rows[i].reason;
		question_in(&f)->remember = rows[i].remember;
		question_in(&f)->hold = rows[i].hold;
		wrong += answers(w, rows[i].what, &f, ANSWER_WRONG);
		wrong += is_number(rows[i].what, node_cached(&w->node, &key, &cached), 0);
		wrong += answers(w, "it is used up", &f, ANSWER_LATE);
	}
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	f.length--;
	wrong += answers(w, "shorter", &f, ANSWER_WRONG);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	frame_append(&f, "", 1);
	wrong += answers(w, "longer", &f, ANSWER_WRONG);
	// Guesses, of its own and of entries that nobody has.
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	question_in(&f)->token += 1ull << 32;
	wrong += answers(w, "forged", &f, ANSWER_LATE);
	question_in(&f)->token = QUESTION_NONE;
	wrong += answers(w, "free", &f, ANSWER_LATE);
	question_in(&f)->token = QUESTION_TAKEN;
	wrong += answers(w, "taken", &f, ANSWER_LATE);
	f.length = sizeof(struct zeta_question) - 1;
	wrong += answers(w, "no question", &f, ANSWER_WRONG);
	zeta_middlebox_close(&box);
	return wrong;
}

// By another function's door.
static int test_door(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	const struct door_value elsewhere = {.ifindex = LOOPBACK + 1000};
	const uint32_t number = 0;
	struct zeta_middlebox box = {};
	struct frame f;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	node_put(&w->node, "doors", &number, &elsewhere);
	wrong += answers(w, "by another door", &f, ANSWER_WRONG);
	ask_by_loopback(w, SLOT);
	wrong += answers(w, "who was asked may still", &f, FORWARDED_FIRST);
	zeta_middlebox_close(&box);
	return wrong;
}

static int test_late(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	struct zeta_middlebox box = {};
	struct frame f;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	let_pass(ANSWER_MS + 10);
	mark_counts(w);
	wrong += is_number("runs", target_run(&w->in, &f, &(uint32_t){0}, &(struct frame){}), 0);
	wrong += is_number("late", counted(w, ANSWER_LATE), 1);
	wrong += is_number("and so there was none", counted(w, NO_ANSWER), 1);
	wrong += ask(w, &web, &f);
	doors_sweep(&w->pushing.datapath);
	wrong += is_number("it may come yet", counted(w, NO_ANSWER), 0);
	let_pass(ANSWER_MS + 10);
	doors_sweep(&w->pushing.datapath);
	wrong += is_number("never", counted(w, NO_ANSWER), 1);
	doors_sweep(&w->pushing.datapath);
	wrong += is_number("once", counted(w, NO_ANSWER), 1);
	question_in(&f)->answer = ZETA_NEXT;
	wrong += answers(w, "after that", &f, ANSWER_LATE);
	zeta_middlebox_close(&box);
	return wrong;
}

static int test_too_many(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	const uint8_t chain[] = {FUNCTION_DIVIDER, FUNCTION_BOUNCER, SLOT + 1};
	struct zeta_middlebox box = {}, other = {};
	uint64_t asked = 0;
	struct frame f;
	int wrong = 0;

	pushing_sample(&w->pushing, "ASK", SLOT + 1, 0);
	pushing_runs(&w->pushing, SLOT + 1, 0);
	configure(w, SLOT + 1, 0);
	must(come(w, &box, SLOT), "a middlebox comes");
	must(come(w, &other, SLOT + 1), "another middlebox comes");
	ask_by_loopback(w, SLOT);
	ask_by_loopback(w, SLOT + 1);
	// On a machine with better things to do the first ones may be over before the last.
	for (int i = 0; i < 8 * DOOR_QUESTIONS && !wrong; i++) {
		enum verdict v = carry(w, &web, &f);

		asked += v == FUNCTION_ASKS;
		if (v == TOO_MANY_ASKED)
			break;
		wrong += is_verdict("so many", v, FUNCTION_ASKS);
	}
	wrong += is_number("as many as may", asked >= DOOR_QUESTIONS, 1);
	// They take nothing from another function.
	put_vpc(w, 1, chain, 3);
	for (int i = 0; i < DOOR_QUESTIONS / 2; i++)
		wrong += is_verdict("another's", carry(w, &web, &f), FUNCTION_ASKS);
	chain_with(w, 1);
	let_pass(ANSWER_MS + 10);
	wrong += ends(w, "when they are over", &web, FUNCTION_ASKS);
	zeta_middlebox_close(&box);
	zeta_middlebox_close(&other);
	return wrong;
}

// What has changed while it was asked.
static int test_changes(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	struct session_key key = key_of(ASKED_PORT);
	struct zeta_middlebox box = {};
	struct dft_record record;
	struct frame f, first;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	put_chain(w, 1);
	wrong += answers(w, "another one is the tail", &f, REDIRECTED);
	put_chain(w, 0);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	chain_with(w, 2);
	wrong += is_verdict("the rules: asked anew", run(w, &w->in, &f), FUNCTION_ASKS);
	question_in(&f)->answer = ZETA_NEXT;
	wrong += answers(w, "and that counts", &f, FORWARDED_FIRST);
	forget(w);
	// Two packets of one flow; the second answer finds what the first has begun.
	wrong += ask(w, &web, &first);
	wrong += ask(w, &web, &f);
	question_in(&first)->answer = ZETA_NEXT;
	question_in(&f)->answer = ZETA_DROP;
	wrong += answers(w, "the first", &first, FORWARDED_FIRST);
	wrong += answers(w, "the second", &f, FORWARDED_FIRST);
	wrong += is_number("a session", node_session(&w->node, &key, &record), 1);
	forget(w);
	// The function is gone.
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	node_remove(&w->node, "functions", &(uint32_t){SLOT});
	wrong += answers(w, "no function", &f, NO_CHAIN_FUNCTION);
	// Nobody takes that answer for his own.
	pushing_runs(&w->pushing, SLOT, 0);
	wrong += ends(w, "the next one", &web, FUNCTION_ASKS);
	zeta_middlebox_close(&box);
	return wrong;
}

// A session that has ended lately begins again, after the rules have changed.
static int test_anew(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	struct session_key key = key_of(ASKED_PORT);
	struct zeta_middlebox box = {};
	struct dft_record record = {};
	struct frame f;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	wrong += answers(w, "begun", &f, FORWARDED_FIRST);
	wrong += is_number("a session", node_session(&w->node, &key, &record), 1);
	record.life = DFT_TOMBSTONE;
	node_session_put(&w->node, &key, &record);
	node_session_mark(&w->node, &key, 0, 0);
	node_clear(&w->node, "cache");
	chain_with(w, 2);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	wrong += answers(w, "begun anew", &f, FORWARDED_FIRST);
	wrong += is_number("a session", node_session(&w->node, &key, &record), 1);
	wrong += is_number("that lives", record.life, DFT_LIVE);
	wrong += is_number("by the new rules", record.policy, 2);
	zeta_middlebox_close(&box);
	return wrong;
}

// Who is asked about for ever is lost in the end.
static int test_hops(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	struct zeta_middlebox box = {};
	enum verdict v = FUNCTION_ASKS;
	uint32_t policy = 1;
	struct frame f;
	int wrong = 0;

	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	wrong += ask(w, &web, &f);
	while (v == FUNCTION_ASKS && policy < 2 * MAX_HOPS) {
		question_in(&f)->answer = ZETA_NEXT;
		chain_with(w, ++policy);
		v = run(w, &w->in, &f);
	}
	wrong += is_verdict("in the end", v, HOPS_EXCEEDED);
	zeta_middlebox_close(&box);
	return wrong;
}

// Until when it may be answered.
static uint64_t until_of(const struct world *w, const struct zeta_question *q)
{
	const uint32_t low = (uint32_t)q->token,
		       at = (low >> QUESTION_DOOR_SHIFT) * DOOR_QUESTIONS + low % DOOR_QUESTIONS;
	uint64_t entry[1024]; // that is its second field

	must(bpf_map_lookup_elem(node_map(&w->node, "questions"), &at, entry), "the question");
	return entry[1];
}

// Two functions that ask, each its own middlebox, and one after them.
static int test_two(struct world *w)
{
	const uint8_t chain[] = {FUNCTION_DIVIDER, SLOT, FUNCTION_BOUNCER, SLOT + 1, SLOT + 2};
	const struct sent web = {.to = ASKED_PORT};
	struct zeta_middlebox box = {}, other = {};
	const uint16_t refused = htons(ASKED_PORT);
	const struct function_config_key key = {VNI, SLOT + 2, 0};
	struct function_config value = {};
	struct frame f;
	uint64_t until;
	int wrong = 0;

	pushing_sample(&w->pushing, "ASK", SLOT + 1, 0);
	pushing_runs(&w->pushing, SLOT + 1, 0);
	configure(w, SLOT + 1, 0);
	pushing_sample(&w->pushing, "PORT", SLOT + 2, 0);
	pushing_runs(&w->pushing, SLOT + 2, 0);
	put_vpc(w, 1, chain, 5);
	must(come(w, &box, SLOT), "a middlebox comes");
	must(come(w, &other, SLOT + 1), "another middlebox comes");
	ask_by_loopback(w, SLOT);
	ask_by_loopback(w, SLOT + 1);
	wrong += ask(w, &web, &f);
	wrong += is_number("the first", question_in(&f)->slot, SLOT);
	until = until_of(w, question_in(&f));
	question_in(&f)->answer = ZETA_NEXT;
	wrong += is_verdict("then", run(w, &w->in, &f), FUNCTION_ASKS);
	wrong += is_number("the second", question_in(&f)->slot, SLOT + 1);
	wrong += is_number("both have one time", until_of(w, question_in(&f)), until);
	question_in(&f)->answer = ZETA_NEXT;
	wrong += answers(w, "both", &f, FORWARDED_FIRST);
	forget(w);
	memcpy(value.bytes, &refused, sizeof(refused));
	node_put(&w->node, "function_configs", &key, &value);
	wrong += ask(w, &web, &f);
	question_in(&f)->answer = ZETA_NEXT;
	wrong += is_verdict("then", run(w, &w->in, &f), FUNCTION_ASKS);
	question_in(&f)->answer = ZETA_NEXT;
	wrong += answers(w, "who comes after them", &f, FUNCTION_DROPPED);
	zeta_middlebox_close(&box);
	zeta_middlebox_close(&other);
	return wrong;
}

// Who goes on unheard has taken calls that the kernel counts.
static int test_unheard(struct world *w)
{
	const struct sent web = {.to = ASKED_PORT};
	const struct sent longest = {.to = ASKED_PORT, .payload = LONGEST},
			  longer = {.to = ASKED_PORT, .payload = LONGEST + 1};
	uint8_t chain[MAX_SERVICE_CHAIN] = {FUNCTION_DIVIDER, FUNCTION_BOUNCER};
	struct zeta_middlebox box = {};
	int wrong = 0;

	configure(w, SLOT, ZETA_NEXT);
	memset(chain + 2, SLOT, sizeof(chain) - 2);
	put_vpc(w, 1, chain, MAX_SERVICE_CHAIN);
	wrong += ends(w, "six", &web, FORWARDED_FIRST);
	forget(w);
	must(come(w, &box, SLOT), "a middlebox comes");
	ask_by_loopback(w, SLOT);
	wrong += ends(w, "the longest", &longest, FUNCTION_ASKS);
	wrong += ends(w, "too long to be asked about", &longer, FORWARDED_FIRST);
	zeta_middlebox_close(&box);
	forget(w);
	put_later(w, 5, 4);
	return wrong + ends(w, "and more than there is room for", &web, TOO_MANY_FUNCTIONS);
}

// Who comes to the door with something else than a hello is told so, and holds up nobody.
static int test_doorkeeper(struct world *w)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct zeta_welcome welcome = {};
	struct zeta_hello hello;
	struct zeta_middlebox box = {};
	struct pollfd polls[DOORKEEPER_POLLS];
	struct rlimit limit, few;
	int silent = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int rude = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), wrong = 0;

	memcpy(address.sun_path, w->path, strlen(w->path));
	must(connect(rude, (const struct sockaddr *)&address, sizeof(address)), "connecting");
	memset(&hello, 'x', sizeof(hello));
	hello.version = ZETA_DOOR_VERSION;
	wrong += is_number("sent", send(rude, &hello, sizeof(hello), 0), sizeof(hello));
	wrong += is_number("no end", doorkeeper_serve(&w->keeper, &hello), 0);
	wrong += is_number("answered", recv(rude, &welcome, sizeof(welcome), 0), sizeof(welcome));
	wrong += is_number("refused", welcome.error, -EPROTO);
	must(connect(silent, (const struct sockaddr *)&address, sizeof(address)), "connecting");
	// No descriptor is free for him.
	must(getrlimit(RLIMIT_NOFILE, &limit), "the limit");
	few = limit;
	few.rlim_cur = 0;
	wrong += is_number("polled", doorkeeper_polls(&w->keeper, polls), 1);
	must(setrlimit(RLIMIT_NOFILE, &few), "no more descriptors");
	wrong += is_number("nobody", doorkeeper_serve(&w->keeper, &hello), 0);
	must(setrlimit(RLIMIT_NOFILE, &limit), "descriptors");
	wrong += is_number("not polled", doorkeeper_polls(&w->keeper, polls), 0);
	wrong += is_number("silent", doorkeeper_serve(&w->keeper, &hello), 0);
	must(come(w, &box, SLOT), "a middlebox comes after it");
	zeta_middlebox_close(&box);
	close(silent);
	close(rude);
	return wrong;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct world *w);
	} tests[] = {
		{"asked", test_asked},	       {"many", test_many},
		{"absent", test_absent},       {"a forged frame", test_forged_frame},
		{"wrong answers", test_wrong}, {"another door", test_door},
		{"late", test_late},	       {"too many", test_too_many},
		{"changes", test_changes},     {"anew", test_anew},
		{"hops", test_hops},	       {"two", test_two},
		{"unheard", test_unheard},     {"doorkeeper", test_doorkeeper},
	};
	static struct world w;
	int failed = 0;

	if (argc < 2)
		return 2;
	testing_begin();
	w.objects = argv[1];
	w.flat = argc > 2 && !strcmp(argv[2], "flat") ? 256 : 0;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		int wrong;

		begin(&w);
		wrong = tests[i].run(&w);
		end(&w);
		if (wrong)
			fprintf(stderr, "%s: %d wrong\n", tests[i].name, wrong);
		failed += wrong != 0;
	}
	return failed != 0;
}
