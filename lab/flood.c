// SPDX-License-Identifier: Apache-2.0
// Connections of one tenant, one after the other, while another sends SYNs at a fixed rate: to an
// endpoint with random ports and sources (a flood), or as many, just as random, to its gateway's
// address, where they are refused for what they are. Both in turn, several times, and the ratio.
//
//   flood NETNS-OF-FLOODER NETNS-OF-CLIENT NETNS-OF-SERVER
//         [-r SYNs per second] [-c connections per turn] [-n rounds]
//
// Prints for each round both turns' connections per second and their median time, then
// "rate R time T failed N sent N": medians of the rounds' ratios of flood to control.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/own.h"

#define INTERFACE "eth0" // of every endpoint
#define FLOODER "10.0.1.10"
#define FLOODED "10.0.1.11"
#define GATEWAY "10.0.1.1" // answers nobody but pings
#define SERVER "10.0.1.11" // of the other tenant
#define PORT 7000
#define PATIENCE_MS 15000 // for one step of a connection
#define SLICES_PER_S 1000 // SYNs are sent in so many heaps per second
#define MOST_FAILED 5	  // in one turn; each takes PATIENCE_MS
#define MAX_CONNECTIONS 5000
#define MAX_ROUNDS 200

struct syn {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct flood {
	const char *netns;
	unsigned int rate; // per second
	atomic_int to_gateway;
	atomic_int stop;
	atomic_ulong sent;
};

struct result {
	double rate;	  // connections per second
	double median_us; // of one
	unsigned int failed;
};

static void enter(const char *netns)
{
	auto_(closep) int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fatal("%s", netns);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static uint32_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32);
}

static uint16_t checksum(const void *bytes, size_t length, uint32_t sum)
{
	const uint16_t *word = bytes;

	for (; length > 1; length -= 2)
		sum += *word++;
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t) ~((sum & 0xFFFF) + (sum >> 16));
}

// A packet socket on the flooder's interface, and the headers that its frames have in common.
static int open_flooder(struct syn *s)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = INTERFACE};

	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request))
		fatal("a packet socket on %s", INTERFACE);
	*s = (struct syn){.eth.ether_type = htons(ETH_P_IP),
			  .ip = {.version = 4,
				 .ihl = 5,
				 .tot_len = htons(sizeof(s->ip) + sizeof(s->tcp)),
				 .ttl = 64,
				 .protocol = IPPROTO_TCP},
			  .tcp = {.doff = 5, .syn = 1, .window = htons(1024)}};
	memcpy(s->eth.ether_shost, request.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(s->eth.ether_dhost, "\x02\0\0\0\0\1", ETH_ALEN);
	at.sll_ifindex = (int)if_nametoindex(INTERFACE);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		fatal("binding to %s", INTERFACE);
	return fd;
}

// Every second one lies about who sends it.
static void randomize(struct syn *s, uint64_t *state, int to_gateway)
{
	uint32_t ports = random_next(state);

	s->ip.saddr = inet_addr(FLOODER);
	if (ports & 1)
		s->ip.saddr = htonl(0x0A000000 | (random_next(state) & 0xFFFFFF));
	s->ip.daddr = inet_addr(to_gateway ? GATEWAY : FLOODED);
	s->ip.check = 0;
	s->ip.check = checksum(&s->ip, sizeof(s->ip), 0);
	s->tcp.source = (uint16_t)(ports >> 1);
	s->tcp.dest = (uint16_t)(ports >> 16 | 1);
	s->tcp.seq = ports;
}

static void *flood(void *argument)
{
	struct flood *f = argument;
	uint64_t state = 0x9E3779B97F4A7C15;
	unsigned int heap = f->rate / SLICES_PER_S;
	struct timespec next;
	struct syn s;
	int fd;

	enter(f->netns);
	fd = open_flooder(&s);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!f->stop) {
		for (unsigned int i = 0; i < heap; i++) {
			randomize(&s, &state, f->to_gateway);
			// What the interface cannot take now is part of the flood that never was.
			f->sent += send(fd, &s, sizeof(s), MSG_DONTWAIT) == sizeof(s);
		}
		next.tv_nsec += 1000000000 / SLICES_PER_S;
		if (next.tv_nsec >= 1000000000) {
			next.tv_sec++;
			next.tv_nsec -= 1000000000;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	close(fd);
	return NULL;
}

// Answers a byte with a byte, and closes.
static void *serve(void *argument)
{
	int server = *(int *)argument;

	for (;;) {
		auto_(closep) int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		char byte;

		if (fd < 0)
			return NULL; // it is over
		if (poll(&ready, 1, PATIENCE_MS) == 1 && recv(fd, &byte, 1, 0) == 1)
			send(fd, &byte, 1, MSG_NOSIGNAL);
	}
}

static int wait_for(int fd, short events)
{
	struct pollfd ready = {.fd = fd, .events = events};

	return poll(&ready, 1, PATIENCE_MS) == 1 && ready.revents & events ? 0 : -1;
}

// One connection: a byte there, a byte back.
static int connect_once(void)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_port = htons(PORT),
				       .sin_addr.s_addr = inet_addr(SERVER)};
	auto_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(int);
	char byte = 'z';
	int err = 0;

	if (fd < 0)
		fatal("a socket");
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		return -1;
	if (wait_for(fd, POLLOUT) || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) || err ||
	    send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || wait_for(fd, POLLIN) ||
	    recv(fd, &byte, 1, 0) != 1)
		return -1;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int count)
{
	qsort(values, count, sizeof(*values), ascending);
	return values[count / 2];
}

static struct result connect_all(unsigned int connections)
{
	static double us[MAX_CONNECTIONS];
	struct result r = {};
	double begin = now_us();

	for (unsigned int i = 0; i < connections; i++) {
		double since = now_us();

		r.failed += connect_once() != 0;
		if (r.failed > MOST_FAILED)
			fatalx("connections fail, flood or not");
		us[i] = now_us() - since;
	}
	r.rate = connections / (now_us() - begin) * 1e6;
	r.median_us = median(us, connections);
	return r;
}

static int listen_in(const char *netns)
{
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd, one = 1;

	enter(netns);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) || listen(fd, 128))
		fatal("listening");
	return fd;
}

int main(int argc, char **argv)
{
	static struct flood f = {.rate = 20000};
	static double rates[MAX_ROUNDS], times[MAX_ROUNDS];
	unsigned int connections = 300, rounds = 8, failed = 0;
	pthread_t flooder, server;
	int option, listening;

	while ((option = getopt(argc, argv, "r:c:n:")) != -1)
		if (option == 'r')
			f.rate = (unsigned int)atoi(optarg);
		else if (option == 'c')
			connections = (unsigned int)atoi(optarg);
		else if (option == 'n')
			rounds = (unsigned int)atoi(optarg);
	if (argc - optind != 3 || !connections || connections > MAX_CONNECTIONS || !rounds ||
	    rounds > MAX_ROUNDS || f.rate < SLICES_PER_S)
		fatalx("usage: flood NETNS NETNS NETNS [-r rate] [-c connections] [-n rounds]");
	f.netns = argv[optind];
	f.to_gateway = 1;
	listening = listen_in(argv[optind + 2]);
	if (pthread_create(&server, NULL, serve, &listening) ||
	    pthread_create(&flooder, NULL, flood, &f))
		fatal("no thread");
	enter(argv[optind + 1]);
	connect_all(connections); // warms up, and shows nothing
	for (unsigned int i = 0; i < rounds; i++) {
		struct result r[2]; // flood, control

		// Who is first alternates: what changes slowly is in both.
		for (unsigned int turn = 0; turn < 2; turn++) {
			int control = (int)((turn + i) % 2);

			f.to_gateway = control;
			r[control] = connect_all(connections);
			failed += r[control].failed;
		}
		rates[i] = r[0].rate / r[1].rate;
		times[i] = r[0].median_us / r[1].median_us;
		printf("control %6.0f/s %6.0f us   flood %6.0f/s %6.0f us\n", r[1].rate,
		       r[1].median_us, r[0].rate, r[0].median_us);
	}
	f.stop = 1;
	shutdown(listening, SHUT_RDWR);
	pthread_join(flooder, NULL);
	pthread_join(server, NULL);
	close(listening);
	printf("rate %.3f time %.3f failed %u sent %lu\n", median(rates, rounds),
	       median(times, rounds), failed, (unsigned long)f.sent);
	return 0;
}
