// SPDX-License-Identifier: Apache-2.0
// The harness of the data path's tests.
#include "datapath/testing.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "wire/geneve.h"
#include "wire/ipv6.h"
#include "wire/vxlan.h"

#define SKIPPED 77
#define BPFFS "/sys/fs/bpf"

void must(int err, const char *what)
{
	if (err)
		fatalx("%s: %s", what, strerror(-err));
}

struct in6_addr address_must(const char *text)
{
	struct in6_addr out;

	if (address_parse(text, &out))
		fatalx("%s is not an address", text);
	return out;
}

void mac_must(uint8_t out[6], const char *text)
{
	if (mac_parse(text, out))
		fatalx("%s is not a MAC", text);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

static int loopback_up(void)
{
	auto_(closep) int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return s < 0 || ioctl(s, SIOCSIFFLAGS, &request) ? -errno : 0;
}

void testing_begin(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET)) {
		log_warn("cannot make namespaces");
		exit(SKIPPED);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", BPFFS, "bpf", 0, NULL)) {
		log_warn("cannot mount a bpffs");
		exit(SKIPPED);
	}
	if (loopback_up())
		fatal("loopback does not come up");
	libbpf_set_print(quiet);
}

const char *testing_pins(const char *name, char path[64])
{
	snprintf(path, 64, BPFFS "/%s", name);
	if (mkdir(path, 0700) && errno != EEXIST)
		fatal("cannot make %s", path);
	return path;
}

void testing_unpin(const char *name)
{
	char path[64], entry[64 + NAME_MAX + 2];
	const struct dirent *at;
	DIR *dir;

	snprintf(path, sizeof(path), BPFFS "/%s", name);
	dir = opendir(path);
	if (!dir)
		fatal("cannot open %s", path);
	while ((at = readdir(dir))) {
		if (at->d_name[0] == '.')
			continue;
		snprintf(entry, sizeof(entry), "%s/%s", path, at->d_name);
		unlink(entry);
	}
	closedir(dir);
	if (rmdir(path))
		fatal("cannot remove %s", path);
}

void frame_clear(struct frame *f)
{
	f->length = 0;
}

static void must_fit(const struct frame *f, size_t more)
{
	if (more > sizeof(f->byte) - f->length)
		fatalx("a frame of more than %d bytes", FRAME_ROOM);
}

void frame_append(struct frame *f, const void *bytes, size_t length)
{
	must_fit(f, length);
	memcpy(f->byte + f->length, bytes, length);
	f->length += length;
}

void frame_fill(struct frame *f, size_t length)
{
	must_fit(f, length);
	for (size_t i = 0; i < length; i++)
		f->byte[f->length++] = i;
}

void frame_prepend(struct frame *f, const void *bytes, size_t length)
{
	must_fit(f, length);
	memmove(f->byte + length, f->byte, f->length);
	memcpy(f->byte, bytes, length);
	f->length += length;
}

static uint32_t ipv4_of(const char *text)
{
	struct in_addr address;

	if (inet_pton(AF_INET, text, &address) != 1)
		fatalx("%s is not an IPv4 address", text);
	return address.s_addr;
}

uint16_t checksum_of(const void *bytes, size_t length)
{
	const uint8_t *b = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? b[i] : b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return htons(~sum);
}

void frame_ethernet(struct frame *f, const char *to, const char *from, uint16_t protocol)
{
	struct ethhdr eth = {.h_proto = htons(protocol)};

	mac_must(eth.h_dest, to);
	mac_must(eth.h_source, from);
	frame_prepend(f, &eth, sizeof(eth));
}

void frame_ipv4(struct frame *f, struct ipv4_header h)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(ip) + f->length),
		.id = htons(h.id),
		.frag_off = htons(h.fragment),
		.ttl = h.ttl ? h.ttl : 64,
		.protocol = h.protocol,
		.saddr = ipv4_of(h.from),
		.daddr = ipv4_of(h.to),
	};

	ip.check = checksum_of(&ip, sizeof(ip));
	frame_prepend(f, &ip, sizeof(ip));
}

void frame_udp(struct frame *f, uint16_t from, uint16_t to, uint16_t checksum)
{
	struct udphdr udp = {
		.source = htons(from),
		.dest = htons(to),
		.len = htons(sizeof(udp) + f->length),
		.check = htons(checksum),
	};

	frame_prepend(f, &udp, sizeof(udp));
}

void frame_tcp(struct frame *f, uint16_t from, uint16_t to, uint8_t flags)
{
	struct tcphdr tcp = {.source = htons(from), .dest = htons(to), .doff = 5};

	((uint8_t *)&tcp)[13] = flags;
	frame_prepend(f, &tcp, sizeof(tcp));
}

void frame_icmp(struct frame *f, uint8_t type, uint8_t code, uint32_t rest)
{
	uint8_t header[8] = {type, code};
	uint32_t word = htonl(rest);
	uint16_t sum;

	memcpy(header + 4, &word, sizeof(word));
	frame_prepend(f, header, sizeof(header));
	sum = checksum_of(f->byte, f->length);
	memcpy(f->byte + 2, &sum, sizeof(sum));
}

void frame_ipv6(struct frame *f, struct ipv6_start h)
{
	struct ipv6_header ip = {
		.version_class = {IPV6_VERSION},
		.payload = htons(f->length),
		.next = h.next,
		.hops = h.hops ? h.hops : 64,
		.source = address_must(h.from),
		.destination = address_must(h.to),
	};

	frame_prepend(f, &ip, sizeof(ip));
}

uint16_t icmpv6_check(const uint8_t *ipv6, size_t message)
{
	// RFC 8200 section 8.1: addresses, length, next header.
	uint8_t sum[40 + FRAME_ROOM] = {};
	uint32_t length = htonl(message);

	memcpy(sum, ipv6 + 8, 32);
	memcpy(sum + 32, &length, sizeof(length));
	sum[39] = IPPROTO_ICMPV6;
	memcpy(sum + 40, ipv6 + sizeof(struct ipv6_header), message);
	return checksum_of(sum, 40 + message);
}

void frame_icmpv6(struct frame *f, uint8_t type, uint8_t code, uint32_t rest, const char *from,
		  const char *to)
{
	uint8_t header[8] = {type, code};
	uint32_t word = htonl(rest);
	struct frame whole;
	uint16_t sum;

	memcpy(header + 4, &word, sizeof(word));
	frame_prepend(f, header, sizeof(header));
	whole = *f;
	frame_ipv6(&whole, (struct ipv6_start){from, to, IPPROTO_ICMPV6, 0});
	sum = icmpv6_check(whole.byte, f->length);
	memcpy(f->byte + 2, &sum, sizeof(sum));
}

void frame_vxlan(struct frame *f, uint32_t vni)
{
	struct vxlan_header vxlan = {
		.flags = VXLAN_HAS_VNI,
		.vni = {vni >> 16, vni >> 8, vni},
	};

	frame_prepend(f, &vxlan, sizeof(vxlan));
}

void frame_geneve(struct frame *f, uint32_t vni, uint8_t flags, const void *options, size_t length)
{
	struct geneve_header geneve = {
		.version_length = length / 4,
		.flags = flags,
		.protocol = htons(GENEVE_ETHERNET),
		.vni = {vni >> 16, vni >> 8, vni},
	};

	frame_prepend(f, options, length);
	frame_prepend(f, &geneve, sizeof(geneve));
}

void frame_arp(struct frame *f, struct arp_message m)
{
	struct arphdr arp = {
		.ar_hrd = htons(ARPHRD_ETHER),
		.ar_pro = htons(ETH_P_IP),
		.ar_hln = ETH_ALEN,
		.ar_pln = 4,
		.ar_op = htons(m.operation),
	};
	uint8_t mac[ETH_ALEN];
	uint32_t ip;

	frame_append(f, &arp, sizeof(arp));
	mac_must(mac, m.sender_mac);
	frame_append(f, mac, sizeof(mac));
	ip = ipv4_of(m.sender);
	frame_append(f, &ip, sizeof(ip));
	mac_must(mac, m.target_mac);
	frame_append(f, mac, sizeof(mac));
	ip = ipv4_of(m.target);
	frame_append(f, &ip, sizeof(ip));
	frame_ethernet(f, m.to, m.from, ETH_P_ARP);
}

int target_run(const struct target *t, const struct frame *in, uint32_t *action, struct frame *out)
{
	uint8_t ctx[256]; // the kernel writes it back, and a run must not change the next one's
	struct bpf_test_run_opts run = {
		.sz = sizeof(run),
		.data_in = in->byte,
		.data_size_in = in->length,
		.data_out = out->byte,
		.data_size_out = sizeof(out->byte),
		.ctx_in = t->ctx,
		.ctx_size_in = t->ctx_size,
		.repeat = 1,
	};
	int err;

	if (t->ctx) {
		run.ctx_out = ctx;
		run.ctx_size_out = sizeof(ctx);
	}
	err = bpf_prog_test_run_opts(t->program, &run);
	if (err)
		return err;
	out->length = run.data_size_out;
	*action = run.retval;
	return 0;
}

int verdicts_read(int map, struct verdict_count sum[VERDICTS])
{
	int cpus = libbpf_num_possible_cpus();
	auto_(freep) struct verdict_count *each = NULL;

	if (cpus < 0)
		return cpus;
	each = calloc(cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	memset(sum, 0, VERDICTS * sizeof(*sum));
	for (uint32_t v = 0; v < VERDICTS; v++) {
		int err = bpf_map_lookup_elem(map, &v, each);

		if (err)
			return err;
		for (int cpu = 0; cpu < cpus; cpu++) {
			sum[v].packets += each[cpu].packets;
			sum[v].bytes += each[cpu].bytes;
		}
	}
	return 0;
}

const char *verdict_name(enum verdict v)
{
	switch (v) {
#define VERDICT(name, kind, meaning)                                                               \
	case name:                                                                                 \
		return #name;
#include "shared/verdicts.def"
#undef VERDICT
	case GO_ON:
		return "GO_ON";
	default:
		return "no verdict";
	}
}

int is_verdict(const char *what, enum verdict got, enum verdict want)
{
	if (got == want)
		return 0;
	fprintf(stderr, "%s: %s, not %s\n", what, verdict_name(got), verdict_name(want));
	return 1;
}

int is_number(const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return 0;
	fprintf(stderr, "%s: %" PRIu64 ", not %" PRIu64 "\n", what, got, want);
	return 1;
}

#define LINE 16

static void print_line(char sign, const struct frame *f, size_t at)
{
	fprintf(stderr, "  %c %04zx ", sign, at);
	for (size_t i = at; i < at + LINE && i < f->length; i++)
		fprintf(stderr, "%s%02x", i % 2 ? "" : " ", f->byte[i]);
	fputc('\n', stderr);
}

static int line_differs(const struct frame *a, const struct frame *b, size_t at)
{
	for (size_t i = at; i < at + LINE; i++)
		if ((i < a->length) != (i < b->length) ||
		    (i < a->length && a->byte[i] != b->byte[i]))
			return 1;
	return 0;
}

int frames_compare(const char *name, const struct frame *want, const struct frame *got)
{
	size_t longest = want->length > got->length ? want->length : got->length;

	if (want->length == got->length && !memcmp(want->byte, got->byte, want->length))
		return 0;
	fprintf(stderr, "%s: %zu bytes came out, %zu expected (- expected, + came out)\n", name,
		got->length, want->length);
	for (size_t at = 0; at < longest; at += LINE) {
		if (!line_differs(want, got, at))
			continue;
		if (at < want->length)
			print_line('-', want, at);
		if (at < got->length)
			print_line('+', got, at);
	}
	return 1;
}

// Compares after copying what may be anything from what came out.
static int compare_all_but(const struct expected *want, const struct frame *got)
{
	struct frame expected = *want->out;

	for (size_t i = 0; i < MAX_SPANS; i++)
		if (want->any[i].at + want->any[i].length <= got->length)
			memcpy(expected.byte + want->any[i].at, got->byte + want->any[i].at,
			       want->any[i].length);
	return frames_compare(want->name, &expected, got);
}

int target_check(const struct target *t, const struct frame *in, const struct expected *want,
		 struct frame *got)
{
	struct verdict_count before[VERDICTS], after[VERDICTS];
	struct frame local = {0}, *out = got ? got : &local;
	uint32_t action = 0;
	int err, wrong = 0;

	err = verdicts_read(t->verdicts, before);
	if (!err)
		err = target_run(t, in, &action, out);
	if (!err)
		err = verdicts_read(t->verdicts, after);
	if (err) {
		fprintf(stderr, "%s: cannot run: %s\n", want->name, strerror(-err));
		return 1;
	}
	for (int v = 1; v < VERDICTS; v++) {
		uint64_t packets = after[v].packets - before[v].packets;
		uint64_t bytes = after[v].bytes - before[v].bytes;
		uint32_t expected = v != (int)want->verdict ? 0 : want->packets ? want->packets : 1;

		if (v == (int)want->beside) {
			wrong |= is_number(want->name, packets, 1);
			continue;
		}
		if (packets == expected && bytes == (expected ? out->length : 0))
			continue;
		fprintf(stderr, "%s: %s counted %ju packets, %ju bytes; expected %u, %zu\n",
			want->name, verdict_name(v), (uintmax_t)packets, (uintmax_t)bytes, expected,
			expected ? out->length : 0);
		wrong = 1;
	}
	if (action != want->action) {
		fprintf(stderr, "%s: action %d, expected %d\n", want->name, (int)action,
			(int)want->action);
		wrong = 1;
	}
	if (want->out)
		wrong |= compare_all_but(want, out);
	return wrong;
}
