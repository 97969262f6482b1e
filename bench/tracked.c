// SPDX-License-Identifier: Apache-2.0
// What this kernel's conntrack takes for a connection: what its caches of records, and those of
// what hangs on them, have more when so many were made. Others allocate meanwhile, so that of each
// cache whole pieces per connection are counted.
#include "bench/tracked.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/own.h"

#define MOST_CACHES 128
#define PAGE_BYTES 4096
#define NETWORK 0xC6120000u // 198.18.0.0/15, for measurements (RFC 2544)
#define HOSTS 100000u

// One of the kernel's caches of memory, as /proc/slabinfo has it.
struct cache {
	char name[64];
	double used;
	double bytes; // of each piece, with what its pages have left over
};

static int caches_read(struct cache caches[MOST_CACHES])
{
	unsigned int size, pieces, pages;
	char line[256];
	int count = 0;
	FILE *f = fopen("/proc/slabinfo", "re");

	while (f && count < MOST_CACHES && fgets(line, sizeof(line), f)) {
		struct cache *c = &caches[count];

		if (sscanf(line, "%63s %lf %*u %u %u %u", c->name, &c->used, &size, &pieces,
			   &pages) != 5 ||
		    (strcmp(c->name, "nf_conntrack") != 0 &&
		     strncmp(c->name, "kmalloc-", strlen("kmalloc-")) != 0))
			continue;
		c->bytes = (double)pages * PAGE_BYTES / pieces;
		count++;
	}
	if (f)
		fclose(f);
	return count;
}

#define TRACKING "/proc/sys/net/netfilter/nf_conntrack_"

static double tracked(const char *what)
{
	char path[128];
	double value = 0;
	FILE *f;

	snprintf(path, sizeof(path), TRACKING "%s", what);
	f = fopen(path, "re");
	if (f && fscanf(f, "%lf", &value) != 1)
		value = 0;
	if (f)
		fclose(f);
	return value;
}

// One packet each, to nobody.
static void begin_connections(int udp, uint32_t count)
{
	struct sockaddr_in to = {.sin_family = AF_INET};

	for (uint32_t i = 0; i < count; i++) {
		to.sin_addr.s_addr = htonl(NETWORK + 2 + i % HOSTS);
		to.sin_port = htons((uint16_t)(9 + i / HOSTS));
		if (sendto(udp, "", 1, 0, (struct sockaddr *)&to, sizeof(to)) != 1)
			fatal("connection %u", i);
	}
}

double tracked_bytes(unsigned int count)
{
	auto_(closep) int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	static struct cache before[MOST_CACHES], after[MOST_CACHES];
	double bytes = 0, entries;
	int caches;

	// NOLINTNEXTLINE(cert-env33-c): the commands are this file's own
	if (system("ip link add tracked arp off type veth peer name other && "
		   "ip address add 198.18.0.1/15 dev tracked && ip link set other up && "
		   "ip link set tracked up && nft add table ip tracked && "
		   "nft 'add chain ip tracked out { type nat hook postrouting priority 100 ; }' && "
		   "nft add rule ip tracked out oifname tracked masquerade") ||
	    tracked("max") < count)
		return 0;
	caches = caches_read(before);
	entries = tracked("count");
	begin_connections(udp, count);
	entries = tracked("count") - entries;
	if (entries < count * 0.99)
		fatalx("of %u connections %.0f were tracked", count, entries);
	if (!caches || caches_read(after) != caches)
		return 0;
	for (int i = 0; i < caches; i++)
		bytes += after[i].bytes * round((after[i].used - before[i].used) / entries);
	// NOLINTNEXTLINE(cert-env33-c)
	if (system("nft delete table ip tracked && ip link delete tracked"))
		fatalx("what tracks connections does not go");
	return bytes + tracked("buckets") * sizeof(void *) / tracked("max");
}
