// SPDX-License-Identifier: Apache-2.0
// What an endpoint does while chaos goes on: serves, and asks others; see chaos_load.h.
//
//   chaos_load SECONDS VNI PATIENCE_S [stream=IP*COUNT] [short=IP*HZ] [open=IP*HZ]
//   [probe=IP:PORT:PERIOD_US:PHASE_US].. chaos_load hash VNI    reads flows, PROTOCOL IP PORT IP
//   PORT; prints their hashes
//
// It serves at once and says "ready"; standard input then says g: begin, s: bring it all to its end
// (it says "idle"), q or the end: sum up and go. After SECONDS it is dead in any case.
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

#include "lab/chaos_load.h"
#include "lib/log.h"
#include "lib/own.h"
#include "shared/key.h"

struct control {
	struct watched timer;
	struct watched input;
	int begun, quit;
	char **asked; // words of the command line
	int count;
};

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

void *zeroed(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		fatal("%zu bytes", size);
	return memory;
}

void watch(struct load *load, struct watched *watched, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watched};

	if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, watched->fd, &event) &&
	    epoll_ctl(load->epoll, EPOLL_CTL_ADD, watched->fd, &event))
		fatal("epoll_ctl");
}

struct sockaddr_in address_at(const char *ip, unsigned int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	if (inet_pton(AF_INET, ip, &address.sin_addr) != 1)
		fatalx("%s is no IPv4 address", ip);
	return address;
}

int udp_socket(unsigned int port)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int room = 4 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)))
		fatal("UDP port %u", port);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return fd;
}

static struct in6_addr mapped(const struct sockaddr_in *address)
{
	struct in6_addr out = {.s6_addr[10] = 0xFF, .s6_addr[11] = 0xFF};

	out.s6_addr32[3] = address->sin_addr.s_addr;
	return out;
}

uint32_t flow_hash(const struct load *load, uint8_t protocol, const struct sockaddr_in *one,
		   const struct sockaddr_in *other)
{
	struct session_key key = {
		.vni = {(__u8)(load->vni >> 16), (__u8)(load->vni >> 8), (__u8)load->vni},
		.protocol = protocol,
	};
	int order = memcmp(&one->sin_addr, &other->sin_addr, 4);
	const struct sockaddr_in *swap = one;

	if (!order)
		order = memcmp(&one->sin_port, &other->sin_port, 2);
	if (order > 0) {
		one = other;
		other = swap;
	}
	key.a = mapped(one);
	key.b = mapped(other);
	key.a_port = one->sin_port;
	key.b_port = other->sin_port;
	return (uint32_t)key_hash(&key);
}

static int print_hashes(const char *vni)
{
	struct load load = {.vni = (uint32_t)atoi(vni)};
	unsigned int protocol, port, other_port;
	char ip[64], other_ip[64];

	while (scanf("%u %63s %u %63s %u", &protocol, ip, &port, other_ip, &other_port) == 5) {
		struct sockaddr_in one = address_at(ip, port);
		struct sockaddr_in other = address_at(other_ip, other_port);

		printf("%u\n", flow_hash(&load, (uint8_t)protocol, &one, &other));
	}
	return 0;
}

static void begin_one(struct load *load, const char *word)
{
	unsigned int port, period_us, phase_us, count;
	char ip[64];
	double rate;

	if (sscanf(word, "probe=%63[^:]:%u:%u:%u", ip, &port, &period_us, &phase_us) == 4)
		probe_add(load, ip, port, period_us * UINT64_C(1000), phase_us * UINT64_C(1000));
	else if (sscanf(word, "stream=%63[^*]*%u", ip, &count) == 2)
		streams_add(load, ip, count);
	else if (sscanf(word, "short=%63[^*]*%lf", ip, &rate) == 2)
		shorts_add(load, ip, rate);
	else if (sscanf(word, "open=%63[^*]*%lf", ip, &rate) == 2)
		openings_add(load, ip, rate);
	else
		fatalx("what is %s?", word);
}

static void heard(struct load *load, struct watched *watched, uint32_t events)
{
	struct control *control = (void *)((char *)watched - offsetof(struct control, input));
	char what;
	int i;

	if (read(watched->fd, &what, 1) != 1)
		what = 'q';
	if (what == 'g' && !control->begun) {
		for (i = 0; i < control->count; i++)
			begin_one(load, control->asked[i]);
		control->begun = 1;
	} else if (what == 's') {
		load->stopping = 1;
		tcp_stop(load);
	} else if (what == 'q') {
		control->quit = 1;
	}
}

static void ticked(struct load *load, struct watched *watched, uint32_t events)
{
	uint64_t times;

	if (read(watched->fd, &times, sizeof(times)) != sizeof(times))
		return;
	probes_turn(load);
	openings_turn(load);
	tcp_turn(load);
}

// Before all else of its priority where that is allowed: it is to measure the network, not who else
// wants this machine's processors.
static void hurry(void)
{
	struct sched_param first = {.sched_priority = 1};
	struct rlimit files = {65536, 65536};

	sched_setscheduler(0, SCHED_RR, &first);
	setrlimit(RLIMIT_NOFILE, &files);
}

static void start_timer(struct load *load, struct control *control)
{
	struct itimerspec each = {{0, (long)MILLISECOND}, {0, (long)MILLISECOND}};

	control->timer = (struct watched){timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), ticked};
	if (control->timer.fd < 0 || timerfd_settime(control->timer.fd, 0, &each, NULL))
		fatal("timer");
	watch(load, &control->timer, EPOLLIN);
}

// Says each of these once, when it has become true.
static void say_where(struct load *load, const struct control *control, int *said)
{
	if (*said == 0 && control->begun && streams_flow(load) && probes_flow(load)) {
		say("\"what\":\"flowing\",\"at\":%ju", (uintmax_t)load->now_ns);
		*said = 1;
	}
	if (*said < 2 && load->stopping && !clients_open(load) && !openings_open(load)) {
		say("\"what\":\"idle\",\"at\":%ju", (uintmax_t)load->now_ns);
		*said = 2;
	}
}

static void run(struct load *load, struct control *control)
{
	struct epoll_event events[64];
	int count, i, said = 0;

	while (!control->quit) {
		count = epoll_wait(load->epoll, events, 64, -1);
		if (count < 0 && errno != EINTR)
			fatal("epoll_wait");
		load->now_ns = clock_ns();
		for (i = 0; i < count; i++) {
			struct watched *watched = events[i].data.ptr;

			// An earlier one of this turn may have closed it.
			if (watched->fd >= 0)
				watched->ready(load, watched, events[i].events);
		}
		tcp_bury(load);
		say_where(load, control, &said);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct load load = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
	struct control control = {.input = {0, heard}};

	if (argc == 3 && !strcmp(argv[1], "hash"))
		return print_hashes(argv[2]);
	if (argc < 4 || load.epoll < 0)
		fatalx("usage: chaos_load SECONDS VNI PATIENCE_S WHAT..");
	alarm((unsigned int)atoi(argv[1]));
	signal(SIGPIPE, SIG_IGN);
	load.vni = (uint32_t)atoi(argv[2]);
	load.patience_ns = (uint64_t)atoi(argv[3]) * SECOND;
	control.asked = argv + 4;
	control.count = argc - 4;
	hurry();
	tcp_serve(&load);
	openings_serve(&load);
	watch(&load, &control.input, EPOLLIN);
	start_timer(&load, &control);
	say("\"what\":\"ready\",\"at\":%ju", (uintmax_t)clock_ns());
	fflush(stdout);
	run(&load, &control);
	probes_end(&load);
	openings_end(&load);
	tcp_end(&load);
	say("\"what\":\"end\",\"at\":%ju", (uintmax_t)load.now_ns);
	return 0;
}
