// SPDX-License-Identifier: Apache-2.0
// What a node daemon and an entrance do for an edge host, by hand, for the live test.
//
//   edge_tool PINS load vxlan|geneve INTERFACE IP MAC MTU   programs, maps, the underlay's link
//   edge_tool PINS port INTERFACE VNI MAC                   a workload
//   edge_tool PINS entrance IP MAC                          the only one
//   edge_tool PINS verdicts                                 NAME PACKETS BYTES, what was counted
//   edge_tool IP burst PORT SIZE COUNT                      one super-packet of COUNT datagrams
//   edge_tool - sink PORT                                   NUMBER SIZE of what arrives, one a line
//   edge_tool INTERFACE pages FROM_MAC TO_MAC FROM TO       a frame of 5000 bytes, all but the
//       Ethernet header outside of the socket buffer's linear part, for UDP port 9001
//   edge_tool INTERFACE tunnel vxlan|geneve VNI HOST_MAC HOST FROM_MAC TO_MAC FROM TO   in a tunnel
//   edge_tool IP inject|routed VNI PROTOCOL FROM PORT TO PORT HOST HOST_MAC MAC   an OAM frame
//   edge_tool IP delete VNI PROTOCOL FROM PORT TO PORT
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/types.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "datapath/testing.h"
#include "lib/address.h"
#include "lib/log.h"
#include "lib/own.h"
#include "node/offload.h"
#include "node/tcx.h"
#include "shared/config.h"
#include "shared/edge.h"
#include "shared/limits.h"
#include "wire/geneve.h"
#include "wire/oam.h"
#include "wire/vxlan.h"
#include "edge.skel.h"

#define PATH 256

static uint32_t ipv4(const char *text)
{
	return address_must(text).s6_addr32[3];
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (*end || end == text || n > UINT32_MAX)
		fatalx("%s is not a number", text);
	return n;
}

static int interface(const char *name)
{
	int ifindex = if_nametoindex(name);

	if (!ifindex)
		fatal("%s", name);
	return ifindex;
}

static int pinned(const char *pins, const char *name)
{
	char path[PATH];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		fatal("%s", path);
	return fd;
}

static void pin(int fd, const char *pins, const char *name)
{
	char path[PATH];

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	must(bpf_obj_pin(fd, path), path);
}

static void attach(const char *pins, int program, const char *name)
{
	auto_(closep) int link = tcx_attach(program, interface(name));

	if (link < 0)
		must(link, name);
	pin(link, pins, name);
}

static void put(const char *pins, const char *map, const void *key, const void *value)
{
	auto_(closep) int fd = pinned(pins, map);

	must(bpf_map_update_elem(fd, key, value, BPF_ANY), map);
}

static void load(const char *pins, char **a)
{
	struct bpf_object_open_opts opts = {.sz = sizeof(opts), .pin_root_path = pins};
	struct edge_config *cfg;
	struct edge *edge;

	if (mkdir(pins, 0700))
		fatal("%s", pins);
	must(offload_underlay(a[1]), a[1]);
	edge = edge__open_opts(&opts);
	if (!edge)
		fatal("edge object");
	cfg = (struct edge_config *)&edge->rodata->cfg;
	cfg->overlay = strcmp(a[0], "geneve") != 0 ? OVERLAY_VXLAN : OVERLAY_GENEVE;
	cfg->underlay_ifindex = interface(a[1]);
	cfg->host_ip = address_must(a[2]);
	must(mac_parse(a[3], cfg->host_mac), a[3]);
	cfg->tenant_mtu = number(a[4]);
	cfg->oam_port = htons(OAM_PORT);
	must(bpf_map__set_max_entries(edge->maps.direct, 1024), "size");
	must(edge__load(edge), "load");
	pin(bpf_program__fd(edge->progs.edge_egress), pins, "edge_egress");
	attach(pins, bpf_program__fd(edge->progs.edge_ingress), a[1]);
	edge__destroy(edge);
}

static void port(const char *pins, char **a)
{
	auto_(closep) int program = pinned(pins, "edge_egress");
	struct local_port value = {.vni = number(a[1])};
	struct local_mac_key key = {.vni = value.vni};
	uint32_t ifindex = interface(a[0]);
	struct local_place place = {.ifindex = ifindex};

	must(mac_parse(a[2], value.mac), a[2]);
	memcpy(key.mac, value.mac, sizeof(key.mac));
	put(pins, "port_by_ifindex", &ifindex, &value);
	put(pins, "port_by_mac", &key, &place);
	attach(pins, program, a[0]);
}

static void entrance(const char *pins, char **a)
{
	struct edge_entrances value = {.count = 1};
	uint32_t cluster = 0;

	value.entrance[0].ip = address_must(a[0]);
	must(mac_parse(a[1], value.entrance[0].mac), a[1]);
	put(pins, "edge_entrances", &cluster, &value);
	put(pins, "edge_entrance_by_ip", &value.entrance[0].ip, &cluster);
}

static void verdicts(const char *pins, char **a)
{
	auto_(closep) int fd = pinned(pins, "verdicts");
	struct verdict_count sum[VERDICTS];

	must(verdicts_read(fd, sum), "verdicts");
	for (int v = 1; v < VERDICTS; v++)
		if (sum[v].packets)
			printf("%s %llu %llu\n", verdict_name(v), sum[v].packets, sum[v].bytes);
}

static struct oam_flow flow_of(uint32_t op, char **a)
{
	uint32_t vni = number(a[0]);

	return (struct oam_flow){
		.op = htonl(op),
		.source = ipv4(a[2]),
		.destination = ipv4(a[4]),
		.source_port = htons(number(a[3])),
		.destination_port = htons(number(a[5])),
		.protocol = number(a[1]),
		.vni = {vni >> 16, vni >> 8, vni},
	};
}

static int udp_socket(void)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		fatal("socket");
	return s;
}

static struct sockaddr_in place(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = ip,
	};
}

static void send_oam(const char *host, const void *message, size_t length)
{
	struct sockaddr_in to = place(ipv4(host), OAM_PORT);
	auto_(closep) int s = udp_socket();

	if (sendto(s, message, length, 0, (void *)&to, sizeof(to)) != (ssize_t)length)
		fatal("OAM to %s", host);
}

static void inject_with(const char *host, char **a, uint16_t flags)
{
	struct oam_inject inject = {
		.flow = flow_of(OAM_INJECT, a),
		.instance = ipv4(a[4]),
		.host = ipv4(a[6]),
		.idle_timeout_s = htons(DIRECT_IDLE_S),
		.flags = htons(flags),
	};

	must(mac_parse(a[7], inject.host_mac), a[7]);
	must(mac_parse(a[8], inject.instance_mac), a[8]);
	send_oam(host, &inject, sizeof(inject));
}

static void inject(const char *host, char **a)
{
	inject_with(host, a, 0);
}

static void routed(const char *host, char **a)
{
	inject_with(host, a, OAM_ROUTED);
}

static void forget(const char *host, char **a)
{
	struct oam_flow flow = flow_of(OAM_DELETE, a);

	send_oam(host, &flow, sizeof(flow));
}

static void burst(const char *host, char **a)
{
	struct sockaddr_in to = place(ipv4(host), number(a[0]));
	auto_(closep) int s = udp_socket();
	int size = number(a[1]);
	size_t length = (size_t)size * number(a[2]);
	static char bytes[65536];

	if (length > sizeof(bytes) || setsockopt(s, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) ||
	    sendto(s, bytes, length, 0, (void *)&to, sizeof(to)) != (ssize_t)length)
		fatal("burst");
}

static void sink(const char *unused, char **a)
{
	struct sockaddr_in here = place(INADDR_ANY, number(a[0]));
	auto_(closep) int s = udp_socket();
	static char bytes[65536];

	if (bind(s, (void *)&here, sizeof(here)))
		fatal("port %s", a[0]);
	for (int n = 1;; n++) {
		ssize_t length = recv(s, bytes, sizeof(bytes), 0);

		if (length < 0)
			fatal("receive");
		printf("%d %zd\n", n, length);
		fflush(stdout);
	}
}

#define PAGED_BYTES 5000 // more than a page: less is put into the linear part in any case
#define PAGED_PORT 9001

static void build_frame(struct frame *f, char **a)
{
	frame_clear(f);
	frame_fill(f, PAGED_BYTES - ETH_HLEN - 28);
	frame_udp(f, 5000, PAGED_PORT, 0);
	frame_ipv4(f, (struct ipv4_header){.from = a[2], .to = a[3], .protocol = IPPROTO_UDP});
	frame_ethernet(f, a[1], a[0], ETH_P_IP);
}

// The kernel puts as much into the linear part as the header in front says: Ethernet's alone.
static void send_paged(const char *interface_name, const struct frame *f)
{
	auto_(closep) int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	struct virtio_net_hdr header = {.hdr_len = ETH_HLEN};
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = interface(interface_name)};
	struct iovec parts[] = {{&header, sizeof(header)}, {(void *)f->byte, f->length}};
	struct msghdr message = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = parts,
		.msg_iovlen = 2,
	};
	int on = 1;

	if (s < 0 || setsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
	    sendmsg(s, &message, 0) < 0)
		fatal("%s", interface_name);
}

static void pages(const char *interface_name, char **a)
{
	struct frame f;

	build_frame(&f, a);
	send_paged(interface_name, &f);
}

static void tunnel(const char *interface_name, char **a)
{
	const int geneve = !strcmp(a[0], "geneve");
	struct frame f;

	build_frame(&f, a + 4);
	if (geneve)
		frame_geneve(&f, number(a[1]), 0, "", 0);
	else
		frame_vxlan(&f, number(a[1]));
	frame_udp(&f, 50000, geneve ? GENEVE_PORT : VXLAN_PORT, 0);
	frame_ipv4(&f, (struct ipv4_header){.from = a[3], .to = a[3], .protocol = IPPROTO_UDP});
	frame_ethernet(&f, a[2], a[2], ETH_P_IP);
	send_paged(interface_name, &f);
}

static const struct {
	const char *name;
	int arguments;
	void (*run)(const char *where, char **arguments);
} commands[] = {
	{"load", 5, load},	   {"port", 3, port},	  {"entrance", 2, entrance},
	{"verdicts", 0, verdicts}, {"inject", 9, inject}, {"routed", 9, routed},
	{"delete", 6, forget},	   {"burst", 3, burst},	  {"sink", 1, sink},
	{"pages", 4, pages},	   {"tunnel", 8, tunnel},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(argv[2], commands[i].name) != 0 || argc != 3 + commands[i].arguments)
			continue;
		commands[i].run(argv[1], argv + 3);
		return 0;
	}
	fatalx("no such command: see the head of edge_tool.c");
}
