// SPDX-License-Identifier: Apache-2.0
// Every outcome of the edge's programs, in a real kernel, byte by byte: over VXLAN and Geneve, and
// each also as the same packet of another tenant, for whom nothing was learned.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "datapath/testing.h"
#include "lib/address.h"
#include "lib/log.h"
#include "shared/config.h"
#include "shared/edge.h"
#include "shared/limits.h"
#include "wire/oam.h"
#include "edge.skel.h"

#define HOST "192.0.2.1"
#define HOST_MAC "02:00:00:00:01:01"
#define OTHER_HOST "192.0.2.2"
#define OTHER_MAC "02:00:00:00:01:02"
#define ENTRANCE "192.0.2.100"
#define ENTRANCE_MAC "02:00:00:00:01:64"
#define CLUSTER 3 // which the entrance is of
#define OTHER_CLUSTER 4
#define OTHER_ENTRANCE "192.0.2.200" // of that
#define WORKLOAD "10.0.0.1"
#define WORKLOAD_MAC "02:00:00:00:00:01"
#define NEIGHBOUR "10.0.0.2" // on this host too
#define NEIGHBOUR_MAC "02:00:00:00:00:02"
#define PEER "10.0.1.3" // on the other host
#define PEER_MAC "02:00:00:00:00:03"
#define WORKLOAD6 "2001:db8::1"
#define PEER6 "2001:db8:1::3" // on the other host
#define GATEWAY_MAC "02:00:00:00:00:fe"

#define WORKLOAD_IFINDEX 1 // of a namespace's loopback: what a test run comes from
#define NEIGHBOUR_IFINDEX 7
#define UNDERLAY_IFINDEX 9
#define TENANT 0x000102
#define OTHER_TENANT 0xA1B2C3
#define TENANT_MTU 1450
#define OAM 8300
#define FLOW_PORT_AT 34 // of an outer UDP header

enum tcp_flag { FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10 };

// One load of the programs, and whose packet is run: what is learned is always TENANT's.
struct world {
	struct edge *edge;
	int overlay;
	uint32_t vni;
	struct target egress, ingress, mirror;
};

typedef void (*build)(struct frame *f, const struct world *w);
typedef void (*prepare)(const struct world *w);

struct row {
	const char *name;
	build in;
	build out;	// NULL: dropped
	prepare before; // NULL: nothing is learned
	build other_out;
	enum verdict verdict;
	enum verdict other; // of the other tenant's same packet; GO_ON: as verdict, out
	uint32_t gso_size;
	int ingress; // 1: from the underlay
};

// Set-up

static uint32_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#define put(map, key, value)                                                                       \
	must(bpf_map__update_elem(map, key, sizeof(*(key)), value, sizeof(*(value)), BPF_ANY),     \
	     "update of " #map)

// Those of a cluster, from the address on whose last number is first.
static void put_entrances(const struct world *w, uint32_t cluster, uint32_t first, uint32_t count)
{
	struct edge_entrances e = {.count = count};
	char text[32];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", first + i);
		e.entrance[i].ip = address_must(text);
		mac_must(e.entrance[i].mac, ENTRANCE_MAC);
		put(w->edge->maps.edge_entrance_by_ip, &e.entrance[i].ip, &cluster);
	}
	put(w->edge->maps.edge_entrances, &cluster, &e);
}

static void no_entrance(const struct world *w)
{
	uint32_t cluster = CLUSTER;
	struct in6_addr ip;

	while (!bpf_map__get_next_key(w->edge->maps.edge_entrance_by_ip, NULL, &ip, sizeof(ip)))
		must(bpf_map__delete_elem(w->edge->maps.edge_entrance_by_ip, &ip, sizeof(ip), 0),
		     "delete");
	must(bpf_map__delete_elem(w->edge->maps.edge_entrances, &cluster, sizeof(cluster), 0),
	     "delete");
}

static struct local_port workload(const struct world *w)
{
	struct local_port port = {.vni = w->vni, .cluster = CLUSTER};

	mac_must(port.mac, WORKLOAD_MAC);
	return port;
}

static void put_port(const struct world *w, uint32_t ifindex, struct local_port port)
{
	put(w->edge->maps.port_by_ifindex, &ifindex, &port);
}

static void put_mac(const struct world *w, const char *text, uint32_t ifindex, uint32_t flags)
{
	struct local_mac_key key = {.vni = TENANT};
	struct local_place place = {.ifindex = ifindex, .flags = flags};

	mac_must(key.mac, text);
	put(w->edge->maps.port_by_mac, &key, &place);
}

// Empties direct paths and gives ports and entrances back what rows may have changed.
static void reset(const struct world *w)
{
	struct direct_key key;

	while (!bpf_map__get_next_key(w->edge->maps.direct, NULL, &key, sizeof(key)))
		must(bpf_map__delete_elem(w->edge->maps.direct, &key, sizeof(key), 0), "delete");
	put_entrances(w, CLUSTER, 100, 1);
	put_entrances(w, OTHER_CLUSTER, 200, 1);
	put_port(w, WORKLOAD_IFINDEX, workload(w));
	put_mac(w, WORKLOAD_MAC, WORKLOAD_IFINDEX, 0);
	put_mac(w, NEIGHBOUR_MAC, NEIGHBOUR_IFINDEX, 0);
}

static struct world world_open(int overlay, const char *name)
{
	char pins[64];
	struct bpf_object_open_opts opts = {
		.sz = sizeof(opts),
		.pin_root_path = testing_pins(name, pins),
	};
	struct world w = {.overlay = overlay, .vni = TENANT};
	struct edge_config *cfg;

	w.edge = edge__open_opts(&opts);
	if (!w.edge)
		fatal("edge object");
	cfg = (struct edge_config *)&w.edge->rodata->cfg;
	cfg->overlay = overlay;
	cfg->underlay_ifindex = UNDERLAY_IFINDEX;
	cfg->tenant_mtu = TENANT_MTU;
	cfg->oam_port = htons(OAM);
	cfg->host_ip = address_must(HOST);
	mac_must(cfg->host_mac, HOST_MAC);
	must(bpf_map__set_max_entries(w.edge->maps.direct, 1024), "size");
	must(edge__load(w.edge), "load");
	w.egress.program = bpf_program__fd(w.edge->progs.edge_egress);
	w.ingress.program = bpf_program__fd(w.edge->progs.edge_ingress);
	w.mirror.program = bpf_program__fd(w.edge->progs.edge_mirror);
	w.egress.verdicts = bpf_map__fd(w.edge->maps.verdicts);
	w.ingress.verdicts = w.mirror.verdicts = w.egress.verdicts;
	return w;
}

// A direct path for the workload's flow 1000 -> 2000.
struct learned {
	uint8_t protocol;
	uint32_t flags, age_ms, unused_ms;
	const char *host, *instance_mac;
	int portless; // as flows of a protocol without ports are learned
};

static struct direct_key key_of(uint8_t protocol)
{
	struct direct_key key = {
		.source = address_must(WORKLOAD),
		.destination = address_must(PEER),
		.source_port = htons(1000),
		.destination_port = htons(protocol == IPPROTO_ICMP ? 1000 : 2000),
		.vni = {TENANT >> 16, TENANT >> 8 & 0xFF, TENANT & 0xFF},
		.protocol = protocol,
	};

	return key;
}

static void learn(const struct world *w, struct learned l)
{
	struct direct_key key = key_of(l.protocol);
	struct direct_value value = {
		.host = address_must(l.host ? l.host : OTHER_HOST),
		.learned_ms = now_ms() - l.age_ms,
		.used_ms = now_ms() - l.unused_ms,
		.idle_ms = 5000,
		.flags = l.flags,
	};

	if (l.portless)
		key.source_port = key.destination_port = 0;
	mac_must(value.host_mac, OTHER_MAC);
	mac_must(value.instance_mac, l.instance_mac ? l.instance_mac : PEER_MAC);
	put(w->edge->maps.direct, &key, &value);
}

static void learn_udp(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_UDP});
}

static void learn_tcp(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_TCP});
}

static void learn_icmp(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_ICMP});
}

static void learn_routed(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_UDP, .flags = OAM_ROUTED});
}

static void learn_long_ago(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_UDP, .age_ms = DIRECT_LIFE_MS + 1000});
}

static void learn_unused(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_UDP, .unused_ms = 6000});
}

// Another CPU's clock may be a tick ahead of the one that reads.
static void learn_in_future(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_UDP, .age_ms = -60000, .unused_ms = -60000});
}

static void learn_local(const struct world *w)
{
	learn(w, (struct learned){
			 .protocol = IPPROTO_UDP, .host = HOST, .instance_mac = NEIGHBOUR_MAC});
}

static void learn_local_unknown(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_UDP, .host = HOST});
}

static void learn_portless(const struct world *w)
{
	learn(w, (struct learned){.protocol = IPPROTO_UDP, .portless = 1});
}

static void of_other_cluster(const struct world *w)
{
	struct local_port port = workload(w);

	port.cluster = OTHER_CLUSTER;
	put_port(w, WORKLOAD_IFINDEX, port);
}

static void no_port(const struct world *w)
{
	uint32_t ifindex = WORKLOAD_IFINDEX;

	must(bpf_map__delete_elem(w->edge->maps.port_by_ifindex, &ifindex, sizeof(ifindex), 0),
	     "delete");
}

// What the workload sends

static struct ipv4_header header(uint8_t protocol)
{
	return (struct ipv4_header){.from = WORKLOAD, .to = PEER, .protocol = protocol};
}

static void sends(struct frame *f, struct ipv4_header h)
{
	frame_ipv4(f, h);
	frame_ethernet(f, GATEWAY_MAC, WORKLOAD_MAC, ETH_P_IP);
}

static void udp(struct frame *f, const struct world *w)
{
	frame_fill(f, 30);
	frame_udp(f, 1000, 2000, 0x1234);
	sends(f, header(IPPROTO_UDP));
}

static void udp_fits(struct frame *f, const struct world *w)
{
	frame_fill(f, TENANT_MTU - 28);
	frame_udp(f, 1000, 2000, 0x1234);
	sends(f, header(IPPROTO_UDP));
}

static void udp_too_large(struct frame *f, const struct world *w)
{
	frame_fill(f, TENANT_MTU - 27);
	frame_udp(f, 1000, 2000, 0x1234);
	sends(f, header(IPPROTO_UDP));
}

static void udp_ttl(struct frame *f, uint8_t ttl)
{
	struct ipv4_header h = header(IPPROTO_UDP);

	h.ttl = ttl;
	frame_fill(f, 30);
	frame_udp(f, 1000, 2000, 0x1234);
	sends(f, h);
}

static void udp_ttl_1(struct frame *f, const struct world *w)
{
	udp_ttl(f, 1);
}

static void udp_ttl_2(struct frame *f, const struct world *w)
{
	udp_ttl(f, 2);
}

static void tcp(struct frame *f, uint8_t flags)
{
	frame_fill(f, 11);
	frame_tcp(f, 1000, 2000, flags);
	sends(f, header(IPPROTO_TCP));
}

static void tcp_ack(struct frame *f, const struct world *w)
{
	tcp(f, ACK);
}

static void tcp_syn(struct frame *f, const struct world *w)
{
	tcp(f, SYN);
}

static void tcp_fin(struct frame *f, const struct world *w)
{
	tcp(f, FIN | ACK);
}

static void tcp_rst(struct frame *f, const struct world *w)
{
	tcp(f, RST);
}

static void tcp_syn_ack(struct frame *f, const struct world *w)
{
	tcp(f, SYN | ACK);
}

static void tcp_fragment(struct frame *f, uint16_t bits, uint8_t flags)
{
	struct ipv4_header h = header(IPPROTO_TCP);

	h.fragment = bits;
	frame_fill(f, 36);
	frame_tcp(f, 1000, 2000, flags);
	sends(f, h);
}

static void tcp_first_fragment(struct frame *f, const struct world *w)
{
	tcp_fragment(f, 0x2000, SYN);
}

static void tcp_other_fragment(struct frame *f, const struct world *w)
{
	tcp_fragment(f, 0x2000, ACK);
}

static void tcp_later_fragment(struct frame *f, const struct world *w)
{
	tcp_fragment(f, 5, SYN);
}

static void tcp_over_flags(struct frame *f, const struct world *w)
{
	tcp_fragment(f, 1, SYN);
}

static void tcp_tiny_fragment(struct frame *f, const struct world *w)
{
	struct ipv4_header h = header(IPPROTO_TCP);

	h.fragment = 0x2000;
	frame_fill(f, 16);
	sends(f, h);
}

static void tcp_cut(struct frame *f, const struct world *w)
{
	frame_fill(f, 19);
	sends(f, header(IPPROTO_TCP));
}

static void tcp_large(struct frame *f, const struct world *w)
{
	frame_fill(f, 3000);
	frame_tcp(f, 1000, 2000, ACK);
	sends(f, header(IPPROTO_TCP));
}

static void echo(struct frame *f, const struct world *w)
{
	frame_fill(f, 56);
	frame_icmp(f, 8, 0, 1000 << 16 | 1);
	sends(f, header(IPPROTO_ICMP));
}

static void fragment(struct frame *f, uint16_t bits, size_t length)
{
	struct ipv4_header h = header(IPPROTO_UDP);

	h.fragment = bits;
	frame_fill(f, length);
	frame_udp(f, 1000, 2000, 0);
	sends(f, h);
}

static void first_fragment(struct frame *f, const struct world *w)
{
	fragment(f, 0x2000, 32);
}

static void later_fragment(struct frame *f, const struct world *w)
{
	fragment(f, 5, 32);
}

static void large_fragment(struct frame *f, const struct world *w)
{
	fragment(f, 5, TENANT_MTU);
}

// Port unreachable, about a packet of the peer.
static void icmp_error(struct frame *f, size_t length)
{
	frame_fill(f, length);
	frame_udp(f, 2000, 1000, 0);
	frame_ipv4(f, (struct ipv4_header){.from = PEER, .to = WORKLOAD, .protocol = IPPROTO_UDP});
	frame_icmp(f, 3, 3, 0);
	sends(f, header(IPPROTO_ICMP));
}

static void small_icmp_error(struct frame *f, const struct world *w)
{
	icmp_error(f, 20);
}

static void large_icmp_error(struct frame *f, const struct world *w)
{
	icmp_error(f, TENANT_MTU);
}

static void arp_request(struct frame *f, const struct world *w)
{
	frame_arp(f, (struct arp_message){.to = "ff:ff:ff:ff:ff:ff",
					  .from = WORKLOAD_MAC,
					  .operation = 1,
					  .sender_mac = WORKLOAD_MAC,
					  .sender = WORKLOAD,
					  .target_mac = "00:00:00:00:00:00",
					  .target = PEER});
}

static void arp_cut(struct frame *f, const struct world *w)
{
	arp_request(f, w);
	f->length--;
}

static void spoofed(struct frame *f, const struct world *w)
{
	frame_fill(f, 30);
	frame_udp(f, 1000, 2000, 0);
	frame_ipv4(f, header(IPPROTO_UDP));
	frame_ethernet(f, GATEWAY_MAC, NEIGHBOUR_MAC, ETH_P_IP);
}

static void ipx(struct frame *f, const struct world *w)
{
	frame_fill(f, 60);
	frame_ethernet(f, GATEWAY_MAC, WORKLOAD_MAC, ETH_P_IPX);
}

// IPv6 in name only.
static void no_ipv6(struct frame *f, const struct world *w)
{
	frame_fill(f, 60);
	frame_ethernet(f, GATEWAY_MAC, WORKLOAD_MAC, ETH_P_IPV6);
}

static void sends6(struct frame *f, const char *to, uint8_t next, uint8_t hops)
{
	frame_ipv6(f, (struct ipv6_start){WORKLOAD6, to, next, hops});
	frame_ethernet(f, GATEWAY_MAC, WORKLOAD_MAC, ETH_P_IPV6);
}

static void udp6(struct frame *f, const struct world *w)
{
	frame_fill(f, 60);
	frame_udp(f, 1000, 2000, 0);
	sends6(f, PEER6, IPPROTO_UDP, 0);
}

static void udp6_hops_1(struct frame *f, const struct world *w)
{
	frame_fill(f, 60);
	frame_udp(f, 1000, 2000, 0);
	sends6(f, PEER6, IPPROTO_UDP, 1);
}

// A destination option in front of it.
static void udp6_options(struct frame *f, const struct world *w)
{
	static const uint8_t options[8] = {IPPROTO_UDP, 0, 1, 4};

	frame_fill(f, 60);
	frame_udp(f, 1000, 2000, 0);
	frame_prepend(f, options, sizeof(options));
	sends6(f, PEER6, 60, 0);
}

static void udp6_fits(struct frame *f, const struct world *w)
{
	frame_fill(f, TENANT_MTU - 48);
	frame_udp(f, 1000, 2000, 0);
	sends6(f, PEER6, IPPROTO_UDP, 0);
}

static void udp6_too_large(struct frame *f, const struct world *w)
{
	frame_fill(f, TENANT_MTU - 47);
	frame_udp(f, 1000, 2000, 0);
	sends6(f, PEER6, IPPROTO_UDP, 0);
}

static void tcp6_large(struct frame *f, const struct world *w)
{
	frame_fill(f, 3000);
	frame_tcp(f, 1000, 2000, ACK);
	sends6(f, PEER6, IPPROTO_TCP, 0);
}

static void tcp6_syn(struct frame *f, const struct world *w)
{
	frame_fill(f, 11);
	frame_tcp(f, 1000, 2000, SYN);
	sends6(f, PEER6, IPPROTO_TCP, 0);
}

static void tcp6_syn_ack(struct frame *f, const struct world *w)
{
	frame_fill(f, 11);
	frame_tcp(f, 1000, 2000, SYN | ACK);
	sends6(f, PEER6, IPPROTO_TCP, 0);
}

static void neighbor6(struct frame *f, uint8_t type)
{
	frame_fill(f, 24);
	frame_icmpv6(f, type, 0, 0, WORKLOAD6, "ff02::1:ff00:3");
	sends6(f, "ff02::1:ff00:3", IPPROTO_ICMPV6, 255);
}

static void solicitation6(struct frame *f, const struct world *w)
{
	neighbor6(f, 135);
}

static void advertisement6(struct frame *f, const struct world *w)
{
	neighbor6(f, 136);
}

static void multicast6(struct frame *f, const struct world *w)
{
	frame_fill(f, 60);
	frame_udp(f, 5353, 5353, 0);
	sends6(f, "ff02::fb", IPPROTO_UDP, 0);
}

static void vlan(struct frame *f, const struct world *w)
{
	static const uint8_t tag[] = {0x00, 0x05, 0x08, 0x00};

	udp(f, w);
	memmove(f->byte, f->byte + ETH_HLEN, f->length -= ETH_HLEN);
	frame_prepend(f, tag, sizeof(tag));
	frame_ethernet(f, GATEWAY_MAC, WORKLOAD_MAC, ETH_P_8021Q);
}

static void multicast(struct frame *f, const struct world *w)
{
	frame_fill(f, 30);
	frame_ipv4(f, (struct ipv4_header){.from = WORKLOAD, .to = "239.1.2.3", .protocol = 17});
	frame_ethernet(f, "01:00:5e:01:02:03", WORKLOAD_MAC, ETH_P_IP);
}

static void broadcast(struct frame *f, const struct world *w)
{
	frame_fill(f, 30);
	frame_ipv4(f, (struct ipv4_header){
			      .from = "0.0.0.0", .to = "255.255.255.255", .protocol = 17});
	frame_ethernet(f, "ff:ff:ff:ff:ff:ff", WORKLOAD_MAC, ETH_P_IP);
}

static void wrong_version(struct frame *f, const struct world *w)
{
	udp(f, w);
	f->byte[ETH_HLEN] = 0x55;
}

static void short_header(struct frame *f, const struct world *w)
{
	udp(f, w);
	f->byte[ETH_HLEN] = 0x44;
}

static void options(struct frame *f, const struct world *w)
{
	udp(f, w);
	f->byte[ETH_HLEN] = 0x46;
}

static void longer_than_frame(struct frame *f, const struct world *w)
{
	udp(f, w);
	f->length--;
}

static void shorter_than_header(struct frame *f, const struct world *w)
{
	udp(f, w);
	f->byte[ETH_HLEN + 2] = 0;
	f->byte[ETH_HLEN + 3] = 19;
}

// What comes of it

// The frame in this world's tunnel.
static void tunnel(struct frame *f, const struct world *w, const char *from, const char *from_mac,
		   const char *to, const char *to_mac)
{
	if (w->overlay == OVERLAY_GENEVE)
		frame_geneve(f, w->vni, 0, "", 0);
	else
		frame_vxlan(f, w->vni);
	frame_udp(f, 50000, w->overlay == OVERLAY_GENEVE ? 6081 : 4789, 0);
	frame_ipv4(f, (struct ipv4_header){
			      .from = from, .to = to, .protocol = IPPROTO_UDP, .fragment = 0x4000});
	frame_ethernet(f, to_mac, from_mac, ETH_P_IP);
}

static void to_entrance(struct frame *f, const struct world *w)
{
	tunnel(f, w, HOST, HOST_MAC, ENTRANCE, ENTRANCE_MAC);
}

static void to_other_cluster(struct frame *f, const struct world *w)
{
	tunnel(f, w, HOST, HOST_MAC, OTHER_ENTRANCE, ENTRANCE_MAC);
}

static void set_mac(struct frame *f, size_t at, const char *text)
{
	mac_must(f->byte + at, text);
}

static void direct(struct frame *f, const struct world *w)
{
	set_mac(f, 0, PEER_MAC);
	tunnel(f, w, HOST, HOST_MAC, OTHER_HOST, OTHER_MAC);
}

// Of the outermost IPv4 header, with a sum of its own.
static void set_tos(struct frame *f, uint8_t tos)
{
	uint16_t sum;

	f->byte[ETH_HLEN + 1] = tos;
	memset(f->byte + ETH_HLEN + 10, 0, 2);
	sum = checksum_of(f->byte + ETH_HLEN, 20);
	memcpy(f->byte + ETH_HLEN + 10, &sum, sizeof(sum));
}

// Sums anew instead of as the program does it.
static void one_less_ttl(struct frame *f)
{
	uint16_t sum;

	f->byte[ETH_HLEN + 8]--;
	memset(f->byte + ETH_HLEN + 10, 0, 2);
	sum = checksum_of(f->byte + ETH_HLEN, 20);
	memcpy(f->byte + ETH_HLEN + 10, &sum, sizeof(sum));
}

static void direct_routed(struct frame *f, const struct world *w)
{
	one_less_ttl(f);
	set_mac(f, ETH_ALEN, GATEWAY_MAC);
	direct(f, w);
}

static void across(struct frame *f, const struct world *w)
{
	set_mac(f, 0, NEIGHBOUR_MAC);
}

// The ICMP error that the workload gets for its packet.
static void too_large(struct frame *f, const struct world *w)
{
	memmove(f->byte, f->byte + ETH_HLEN, 28);
	f->length = 28;
	frame_icmp(f, 3, 4, TENANT_MTU);
	frame_ipv4(f, (struct ipv4_header){.from = PEER, .to = WORKLOAD, .protocol = IPPROTO_ICMP});
	frame_ethernet(f, WORKLOAD_MAC, GATEWAY_MAC, ETH_P_IP);
}

static void direct6_routed(struct frame *f, const struct world *w)
{
	f->byte[ETH_HLEN + 7]--;
	set_mac(f, ETH_ALEN, GATEWAY_MAC);
	direct(f, w);
}

static void too_large6(struct frame *f, const struct world *w)
{
	memmove(f->byte, f->byte + ETH_HLEN, 128);
	f->length = 128;
	frame_icmpv6(f, 2, 0, TENANT_MTU, PEER6, WORKLOAD6);
	frame_ipv6(f, (struct ipv6_start){PEER6, WORKLOAD6, IPPROTO_ICMPV6, 0});
	frame_ethernet(f, WORKLOAD_MAC, GATEWAY_MAC, ETH_P_IPV6);
}

static void unchanged(struct frame *f, const struct world *w)
{
}

// What the underlay brings

static void for_workload(struct frame *f, const char *to_mac)
{
	frame_fill(f, 30);
	frame_udp(f, 2000, 1000, 0x1234);
	frame_ipv4(f, (struct ipv4_header){.from = PEER, .to = WORKLOAD, .protocol = IPPROTO_UDP});
	frame_ethernet(f, to_mac, GATEWAY_MAC, ETH_P_IP);
}

static void arrives(struct frame *f, const struct world *w)
{
	tunnel(f, w, OTHER_HOST, OTHER_MAC, HOST, HOST_MAC);
}

static void delivered(struct frame *f, const struct world *w)
{
	for_workload(f, WORKLOAD_MAC);
	arrives(f, w);
}

static void inside(struct frame *f, const struct world *w)
{
	memmove(f->byte, f->byte + 50, f->length -= 50);
}

static void arp_reply(struct frame *f, const struct world *w)
{
	frame_arp(f, (struct arp_message){.to = WORKLOAD_MAC,
					  .from = PEER_MAC,
					  .operation = 2,
					  .sender_mac = PEER_MAC,
					  .sender = PEER,
					  .target_mac = WORKLOAD_MAC,
					  .target = WORKLOAD});
	arrives(f, w);
}

static void for_nobody(struct frame *f, const struct world *w)
{
	for_workload(f, PEER_MAC);
	arrives(f, w);
}

static void for_everybody(struct frame *f, const struct world *w)
{
	arp_request(f, w);
	arrives(f, w);
}

static void inner_vlan(struct frame *f, const struct world *w)
{
	vlan(f, w);
	arrives(f, w);
}

static void inner_ipx(struct frame *f, const struct world *w)
{
	ipx(f, w);
	arrives(f, w);
}

static void delivered6(struct frame *f, const struct world *w)
{
	frame_fill(f, 30);
	frame_udp(f, 2000, 1000, 0x1234);
	frame_ipv6(f, (struct ipv6_start){PEER6, WORKLOAD6, IPPROTO_UDP, 0});
	frame_ethernet(f, WORKLOAD_MAC, GATEWAY_MAC, ETH_P_IPV6);
	arrives(f, w);
}

static void inner_short6(struct frame *f, const struct world *w)
{
	frame_fill(f, 39);
	frame_ethernet(f, WORKLOAD_MAC, GATEWAY_MAC, ETH_P_IPV6);
	arrives(f, w);
}

static void inner_cut(struct frame *f, const struct world *w)
{
	for_workload(f, WORKLOAD_MAC);
	f->length = 13;
	arrives(f, w);
}

static void inner_short(struct frame *f, const struct world *w)
{
	for_workload(f, WORKLOAD_MAC);
	f->length = ETH_HLEN + 19;
	arrives(f, w);
}

static void no_vni(struct frame *f, const struct world *w)
{
	delivered(f, w);
	f->byte[42] = w->overlay == OVERLAY_GENEVE ? 0x40 : 0; // version 1; no I flag
}

static void tunnel_cut(struct frame *f, const struct world *w)
{
	frame_fill(f, 7);
	frame_udp(f, 50000, w->overlay == OVERLAY_GENEVE ? 6081 : 4789, 0);
	frame_ipv4(f,
		   (struct ipv4_header){.from = OTHER_HOST, .to = HOST, .protocol = IPPROTO_UDP});
	frame_ethernet(f, HOST_MAC, OTHER_MAC, ETH_P_IP);
}

static void udp_to_host(struct frame *f, const struct ipv4_header *h, uint16_t port)
{
	frame_fill(f, 30);
	frame_udp(f, 50000, port, 0);
	frame_ipv4(f, *h);
	frame_ethernet(f, HOST_MAC, OTHER_MAC, ETH_P_IP);
}

static void other_port(struct frame *f, const struct world *w)
{
	udp_to_host(f, &(struct ipv4_header){.from = OTHER_HOST, .to = HOST, .protocol = 17}, 53);
}

static void other_overlay(struct frame *f, const struct world *w)
{
	udp_to_host(f, &(struct ipv4_header){.from = OTHER_HOST, .to = HOST, .protocol = 17},
		    w->overlay == OVERLAY_GENEVE ? 4789 : 6081);
}

static void other_address(struct frame *f, const struct world *w)
{
	udp_to_host(f, &(struct ipv4_header){.from = OTHER_HOST, .to = "192.0.2.9", .protocol = 17},
		    OAM);
}

static void other_protocol(struct frame *f, const struct world *w)
{
	udp_to_host(f, &(struct ipv4_header){.from = OTHER_HOST, .to = HOST, .protocol = 6}, OAM);
}

static void host_fragment(struct frame *f, const struct world *w)
{
	udp_to_host(f,
		    &(struct ipv4_header){
			    .from = OTHER_HOST, .to = HOST, .protocol = 17, .fragment = 9},
		    OAM);
}

static void host_arp(struct frame *f, const struct world *w)
{
	arp_request(f, w);
}

static void host_cut(struct frame *f, const struct world *w)
{
	delivered(f, w);
	f->length = ETH_HLEN + 20;
}

static void outer_fragment(struct frame *f, const struct world *w)
{
	delivered(f, w);
	f->byte[ETH_HLEN + 6] = 0x20;
}

static void outer_options(struct frame *f, const struct world *w)
{
	static const uint8_t nops[4] = {1, 1, 1, 0};

	delivered(f, w);
	memmove(f->byte, f->byte + ETH_HLEN + 20, f->length -= ETH_HLEN + 20);
	frame_prepend(f, nops, sizeof(nops));
	frame_ipv4(f, (struct ipv4_header){.from = OTHER_HOST, .to = HOST, .protocol = 17});
	f->byte[0] = 0x46;
	frame_ethernet(f, HOST_MAC, OTHER_MAC, ETH_P_IP);
}

static void outer_longer(struct frame *f, const struct world *w)
{
	delivered(f, w);
	f->length--;
}

static void outer_udp_longer(struct frame *f, const struct world *w)
{
	delivered(f, w);
	f->byte[39]++;
}

static void outer_udp_short(struct frame *f, const struct world *w)
{
	delivered(f, w);
	f->byte[38] = 0;
	f->byte[39] = 7;
}

// OAM

static struct oam_inject inject_udp(void)
{
	struct oam_inject i = {
		.flow = {.op = htonl(OAM_INJECT),
			 .source = address_must(WORKLOAD).s6_addr32[3],
			 .destination = address_must(PEER).s6_addr32[3],
			 .source_port = htons(1000),
			 .destination_port = htons(2000),
			 .protocol = IPPROTO_UDP,
			 .vni = {TENANT >> 16, TENANT >> 8 & 0xFF, TENANT & 0xFF}},
		.instance = address_must(PEER).s6_addr32[3],
		.host = address_must(OTHER_HOST).s6_addr32[3],
		.idle_timeout_s = htons(5),
		.flags = htons(OAM_ROUTED),
	};

	mac_must(i.instance_mac, PEER_MAC);
	mac_must(i.host_mac, OTHER_MAC);
	return i;
}

static void oam(struct frame *f, const void *message, size_t length, const char *from)
{
	frame_append(f, message, length);
	frame_udp(f, 40000, OAM, 0);
	frame_ipv4(f, (struct ipv4_header){.from = from, .to = HOST, .protocol = IPPROTO_UDP});
	frame_ethernet(f, HOST_MAC, ENTRANCE_MAC, ETH_P_IP);
}

static void oam_inject(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	oam(f, &i, sizeof(i), ENTRANCE);
}

static void oam_other_cluster(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	oam(f, &i, sizeof(i), OTHER_ENTRANCE);
}

static void oam_delete(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	i.flow.op = htonl(OAM_DELETE);
	oam(f, &i.flow, sizeof(i.flow), ENTRANCE);
}

static void oam_foreign(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	oam(f, &i, sizeof(i), OTHER_HOST);
}

static void oam_short(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	oam(f, &i, sizeof(i) - 1, ENTRANCE);
}

static void oam_long(struct frame *f, const struct world *w)
{
	struct oam_inject i[2] = {inject_udp()};

	oam(f, i, sizeof(*i) + 1, ENTRANCE);
}

static void oam_no_flow(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	oam(f, &i, sizeof(i.flow) - 1, ENTRANCE);
}

static void oam_long_delete(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	i.flow.op = htonl(OAM_DELETE);
	oam(f, &i, sizeof(i), ENTRANCE);
}

static void oam_unknown(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	i.flow.op = htonl(4);
	oam(f, &i, sizeof(i), ENTRANCE);
}

static struct oam_inject6 inject6_udp(void)
{
	struct oam_inject6 i = {
		.flow = {.op = htonl(OAM_INJECT6),
			 .source = address_must(WORKLOAD6),
			 .destination = address_must(PEER6),
			 .source_port = htons(1000),
			 .destination_port = htons(2000),
			 .protocol = IPPROTO_UDP,
			 .vni = {TENANT >> 16, TENANT >> 8 & 0xFF, TENANT & 0xFF}},
		.host = address_must(OTHER_HOST).s6_addr32[3],
		.idle_timeout_s = htons(5),
		.flags = htons(OAM_ROUTED),
	};

	mac_must(i.instance_mac, PEER_MAC);
	mac_must(i.host_mac, OTHER_MAC);
	return i;
}

static void oam_inject6(struct frame *f, const struct world *w)
{
	struct oam_inject6 i = inject6_udp();

	oam(f, &i, sizeof(i), ENTRANCE);
}

static void oam_delete6(struct frame *f, const struct world *w)
{
	struct oam_inject6 i = inject6_udp();

	i.flow.op = htonl(OAM_DELETE6);
	oam(f, &i.flow, sizeof(i.flow), ENTRANCE);
}

static void oam_short6(struct frame *f, const struct world *w)
{
	struct oam_inject6 i = inject6_udp();

	oam(f, &i, sizeof(struct oam_inject), ENTRANCE);
}

static void oam_no_host6(struct frame *f, const struct world *w)
{
	struct oam_inject6 i = inject6_udp();

	i.host = 0;
	oam(f, &i, sizeof(i), ENTRANCE);
}

// As an entrance tells it.
static void told(const struct world *w, build message)
{
	struct frame f = {}, out;
	uint32_t action;

	message(&f, w);
	must(target_run(&w->ingress, &f, &action, &out), "an OAM frame");
}

static void told6(const struct world *w)
{
	told(w, oam_inject6);
}

static void told6_otherwise(const struct world *w)
{
	told(w, oam_inject6);
	told(w, oam_delete6);
}

static void oam_rewrite(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	i.instance = address_must(NEIGHBOUR).s6_addr32[3];
	oam(f, &i, sizeof(i), ENTRANCE);
}

static void oam_no_host(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	i.host = 0;
	oam(f, &i, sizeof(i), ENTRANCE);
}

static void oam_group_mac(struct frame *f, const struct world *w)
{
	struct oam_inject i = inject_udp();

	i.host_mac[0] |= 1;
	oam(f, &i, sizeof(i), ENTRANCE);
}

#define UNKNOWN_TO_OTHER .other = EDGE_TO_ENTRANCE, .other_out = to_entrance
#define NOT_THE_OTHERS .other = NO_LOCAL_PORT

#define SENDS(title, frame, outcome, ...)                                                          \
	{                                                                                          \
		.name = (title), .in = (frame), .verdict = (outcome), ##__VA_ARGS__                \
	}
#define GETS(title, frame, outcome, ...) SENDS(title, frame, outcome, .ingress = 1, ##__VA_ARGS__)

static const struct row rows[] = {
	// The workload's frames: to an entrance
	SENDS("ARP", arp_request, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("UDP, nothing learned", udp, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("TCP, nothing learned", tcp_ack, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("echo, nothing learned", echo, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("as large as may be", udp_fits, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("another cluster's VPC", udp, EDGE_TO_ENTRANCE, .out = to_other_cluster,
	      .before = of_other_cluster),
	SENDS("another cluster's ARP", arp_request, EDGE_TO_ENTRANCE, .out = to_other_cluster,
	      .before = of_other_cluster),
	SENDS("another protocol's flow", tcp_ack, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = learn_udp),
	SENDS("SYN", tcp_syn, EDGE_TO_ENTRANCE, .out = to_entrance, .before = learn_tcp),
	SENDS("FIN", tcp_fin, EDGE_TO_ENTRANCE, .out = to_entrance, .before = learn_tcp),
	SENDS("RST", tcp_rst, EDGE_TO_ENTRANCE, .out = to_entrance, .before = learn_tcp),
	SENDS("first fragment", first_fragment, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = learn_portless),
	SENDS("later fragment", later_fragment, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = learn_portless),
	SENDS("ICMP error", small_icmp_error, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = learn_udp),
	SENDS("TTL 1, routed", udp_ttl_1, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = learn_routed),
	SENDS("learned long ago", udp, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = learn_long_ago),
	SENDS("unused for long", udp, EDGE_TO_ENTRANCE, .out = to_entrance, .before = learn_unused),
	SENDS("on this host, port gone", udp, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = learn_local_unknown),
	// straight to the other host
	SENDS("UDP direct", udp, EDGE_DIRECT, .out = direct, .before = learn_udp, UNKNOWN_TO_OTHER),
	SENDS("TCP direct", tcp_ack, EDGE_DIRECT, .out = direct, .before = learn_tcp,
	      UNKNOWN_TO_OTHER),
	SENDS("echo direct", echo, EDGE_DIRECT, .out = direct, .before = learn_icmp,
	      UNKNOWN_TO_OTHER),
	SENDS("TTL 1, not routed", udp_ttl_1, EDGE_DIRECT, .out = direct, .before = learn_udp,
	      UNKNOWN_TO_OTHER),
	SENDS("routed", udp, EDGE_DIRECT, .out = direct_routed, .before = learn_routed,
	      UNKNOWN_TO_OTHER),
	SENDS("routed, TTL 2", udp_ttl_2, EDGE_DIRECT, .out = direct_routed, .before = learn_routed,
	      UNKNOWN_TO_OTHER),
	SENDS("stamped ahead", udp, EDGE_DIRECT, .out = direct, .before = learn_in_future,
	      UNKNOWN_TO_OTHER),
	SENDS("on this host", udp, EDGE_DELIVERED, .out = across, .before = learn_local,
	      UNKNOWN_TO_OTHER),
	// answered
	SENDS("too large", udp_too_large, FRAGMENTATION_NEEDED, .out = too_large),
	SENDS("too large, direct", udp_too_large, FRAGMENTATION_NEEDED, .out = too_large,
	      .before = learn_udp),
	SENDS("segments too large", tcp_large, FRAGMENTATION_NEEDED, .out = too_large,
	      .gso_size = 1411),
	// dropped
	SENDS("large ICMP error", large_icmp_error, NOT_ANSWERED),
	SENDS("large later fragment", large_fragment, NOT_ANSWERED),
	SENDS("first fragment without its header", tcp_tiny_fragment, FRAGMENT_ODD),
	SENDS("later fragment over the first's header", tcp_over_flags, FRAGMENT_ODD),
	SENDS("not its MAC", spoofed, SPOOFED),
	SENDS("no port", udp, NO_SOURCE, .before = no_port),
	SENDS("no entrance", udp, NO_ENTRANCE, .before = no_entrance),
	SENDS("no entrance for ARP", arp_request, NO_ENTRANCE, .before = no_entrance),
	SENDS("IPX", ipx, INNER_PROTOCOL),
	SENDS("no IPv6", no_ipv6, INNER_MALFORMED),
	// IPv6
	SENDS("UDP, IPv6", udp6, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("as large as may be, IPv6", udp6_fits, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("direct, IPv6", udp6, EDGE_DIRECT, .out = direct6_routed, .before = told6,
	      UNKNOWN_TO_OTHER),
	SENDS("direct with options, IPv6", udp6_options, EDGE_DIRECT, .out = direct6_routed,
	      .before = told6, UNKNOWN_TO_OTHER),
	SENDS("hop limit 1, IPv6", udp6_hops_1, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = told6),
	SENDS("no longer direct, IPv6", udp6, EDGE_TO_ENTRANCE, .out = to_entrance,
	      .before = told6_otherwise),
	SENDS("too large, IPv6", udp6_too_large, FRAGMENTATION_NEEDED, .out = too_large6),
	SENDS("segments too large, IPv6", tcp6_large, FRAGMENTATION_NEEDED, .out = too_large6,
	      .gso_size = 1391),
	SENDS("solicitation", solicitation6, EDGE_TO_ENTRANCE, .out = to_entrance),
	SENDS("advertisement", advertisement6, NEIGHBOR_MALFORMED),
	SENDS("multicast, IPv6", multicast6, INNER_BROADCAST),
	SENDS("VLAN", vlan, INNER_VLAN),
	SENDS("multicast", multicast, INNER_BROADCAST),
	SENDS("broadcast", broadcast, INNER_BROADCAST),
	SENDS("IP version", wrong_version, INNER_MALFORMED),
	SENDS("IP header length", short_header, INNER_MALFORMED),
	SENDS("no TCP header", tcp_cut, INNER_MALFORMED),
	SENDS("IP options", options, INNER_OPTIONS),
	SENDS("shorter than it says", longer_than_frame, TRUNCATED),
	SENDS("length below the header's", shorter_than_header, TRUNCATED),
	SENDS("no ARP", arp_cut, TRUNCATED),
	// A test run cannot say of what kind the super-packet is, so the kernel refuses to grow it.
	SENDS("no room", tcp_large, NO_ROOM, .gso_size = 1410),
	// From the underlay: delivered
	GETS("to a workload", delivered, EDGE_DELIVERED, .out = inside, NOT_THE_OTHERS),
	GETS("ARP reply", arp_reply, EDGE_DELIVERED, .out = inside, NOT_THE_OTHERS),
	// the kernel's
	GETS("another port", other_port, PASS, .out = unchanged),
	GETS("the other overlay", other_overlay, PASS, .out = unchanged),
	GETS("another address", other_address, PASS, .out = unchanged),
	GETS("another protocol", other_protocol, PASS, .out = unchanged),
	GETS("the host's fragment", host_fragment, PASS, .out = unchanged),
	GETS("the host's ARP", host_arp, PASS, .out = unchanged),
	GETS("no UDP header", host_cut, PASS, .out = unchanged),
	// learned and forgotten
	GETS("inject", oam_inject, FLOW_INJECTED, .out = unchanged),
	GETS("inject, another cluster", oam_other_cluster, FLOW_INJECTED, .out = unchanged),
	GETS("inject again", oam_inject, FLOW_INJECTED, .out = unchanged, .before = learn_udp),
	GETS("delete", oam_delete, FLOW_DELETED, .out = unchanged, .before = learn_udp),
	GETS("delete what is not there", oam_delete, FLOW_DELETED, .out = unchanged),
	// dropped
	GETS("no such MAC", for_nobody, NO_LOCAL_PORT),
	GETS("broadcast inside", for_everybody, NO_LOCAL_PORT),
	GETS("VLAN inside", inner_vlan, INNER_VLAN),
	GETS("IPX inside", inner_ipx, INNER_PROTOCOL),
	GETS("IPv6 to a workload", delivered6, EDGE_DELIVERED, .out = inside, NOT_THE_OTHERS),
	GETS("no IPv6 inside", inner_short6, TRUNCATED),
	GETS("inject, IPv6", oam_inject6, FLOW_INJECTED, .out = unchanged),
	GETS("delete, IPv6", oam_delete6, FLOW_DELETED, .out = unchanged),
	GETS("OAM, short, IPv6", oam_short6, OAM_MALFORMED),
	GETS("OAM, no host, IPv6", oam_no_host6, OAM_MALFORMED),
	GETS("no Ethernet inside", inner_cut, TRUNCATED),
	GETS("no IP inside", inner_short, TRUNCATED),
	GETS("bad tunnel header", no_vni, TUNNEL_MALFORMED),
	GETS("no tunnel header", tunnel_cut, TUNNEL_MALFORMED),
	GETS("outer fragment", outer_fragment, UNDERLAY_MALFORMED),
	GETS("outer options", outer_options, UNDERLAY_MALFORMED),
	GETS("outer IP longer", outer_longer, UNDERLAY_MALFORMED),
	GETS("outer UDP longer", outer_udp_longer, UNDERLAY_MALFORMED),
	GETS("outer UDP short", outer_udp_short, UNDERLAY_MALFORMED),
	GETS("OAM, not an entrance", oam_foreign, OAM_FOREIGN),
	GETS("OAM, nobody is", oam_inject, OAM_FOREIGN, .before = no_entrance),
	GETS("OAM, short", oam_short, OAM_MALFORMED),
	GETS("OAM, long", oam_long, OAM_MALFORMED),
	GETS("OAM, no flow", oam_no_flow, OAM_MALFORMED),
	GETS("OAM, long delete", oam_long_delete, OAM_MALFORMED),
	GETS("OAM, unknown op", oam_unknown, OAM_MALFORMED),
	GETS("OAM, rewritten destination", oam_rewrite, OAM_MALFORMED),
	GETS("OAM, no host", oam_no_host, OAM_MALFORMED),
	GETS("OAM, group MAC", oam_group_mac, OAM_MALFORMED),
};

static uint32_t action_for(enum verdict v)
{
	enum { PASS_ = TC_ACT_UNSPEC, SENT_ = TC_ACT_REDIRECT, DROP_ = TC_ACT_SHOT };
	static const int action[VERDICTS] = {
#define VERDICT(name, kind, meaning) [name] = kind##_,
#include "shared/verdicts.def"
#undef VERDICT
	};

	// OAM ends here.
	return v == FLOW_INJECTED || v == FLOW_DELETED ? TC_ACT_SHOT : action[v];
}

// The outer source port is a hash, whose spread has a test of its own; here it need only be one.
static int check_beside(const struct world *w, const struct target *t, const char *name,
			const struct frame *in, enum verdict verdict, const struct frame *out,
			enum verdict beside)
{
	int tunnelled =
		verdict == EDGE_TO_ENTRANCE || verdict == EDGE_DIRECT || verdict == MIRRORED;
	char full[128];
	struct expected want = {
		.name = full,
		.verdict = verdict,
		.beside = beside,
		.action = action_for(verdict),
		.out = out,
		// The rows' super-packet is three.
		.packets = in->length > 3000 && verdict == NO_ROOM ? 3 : 1,
	};
	struct frame got = {0};
	int wrong;

	snprintf(full, sizeof(full), "%s, VNI %x, %s", w->overlay ? "Geneve" : "VXLAN", w->vni,
		 name);
	if (tunnelled)
		want.any[0] = (struct span){FLOW_PORT_AT, 2};
	wrong = target_check(t, in, &want, &got);
	if (!wrong && tunnelled && got.byte[FLOW_PORT_AT] < 49152 >> 8) {
		fprintf(stderr, "%s: source port below 49152\n", full);
		wrong = 1;
	}
	return wrong;
}

static int check(const struct world *w, const struct target *t, const char *name,
		 const struct frame *in, enum verdict verdict, const struct frame *out)
{
	return check_beside(w, t, name, in, verdict, out, GO_ON);
}

static int run_row(const struct world *w, const struct row *row)
{
	struct __sk_buff ctx = {.gso_size = row->gso_size, .gso_segs = row->gso_size ? 3 : 0};
	struct target t = row->ingress ? w->ingress : w->egress;
	enum verdict verdict = row->verdict;
	build make_out = row->out;
	struct frame in, out;

	reset(w);
	if (row->before)
		row->before(w);
	if (w->vni != TENANT && row->other) {
		verdict = row->other;
		make_out = row->other_out;
	}
	frame_clear(&in);
	row->in(&in, w);
	out = in;
	if (make_out)
		make_out(&out, w);
	t.ctx = &ctx;
	t.ctx_size = sizeof(ctx);
	return check(w, &t, row->name, &in, verdict, make_out ? &out : NULL);
}

// What no single frame shows

static int expect(int holds, const char *what)
{
	if (!holds)
		fprintf(stderr, "%s\n", what);
	return !holds;
}

static int direct_known(const struct world *w, struct direct_value *value)
{
	struct direct_key key = key_of(IPPROTO_UDP);

	return !bpf_map__lookup_elem(w->edge->maps.direct, &key, sizeof(key), value, sizeof(*value),
				     0);
}

// Learned by an OAM frame, used, counted, told again, and forgotten by another.
static int test_learning(const struct world *w)
{
	struct direct_value value, later;
	struct frame in, out, told;
	int wrong = 0;

	reset(w);
	frame_clear(&told);
	oam_inject(&told, w);
	wrong += check(w, &w->ingress, "learning", &told, FLOW_INJECTED, &told);
	wrong += expect(direct_known(w, &value) && !value.packets && !value.bytes &&
				value.idle_ms == 5000 && value.flags == OAM_ROUTED &&
				value.learned_ms == value.used_ms,
			"the injected flow is not as told");

	frame_clear(&in);
	udp(&in, w);
	out = in;
	direct_routed(&out, w);
	for (int i = 0; i < 3; i++)
		wrong += check(w, &w->egress, "learned", &in, EDGE_DIRECT, &out);
	wrong += expect(direct_known(w, &value) && value.packets == 3 &&
				value.bytes == 3 * in.length &&
				(int32_t)(value.used_ms - value.learned_ms) >= 0,
			"the direct flow is not counted");

	wrong += check(w, &w->ingress, "told again", &told, FLOW_INJECTED, &told);
	wrong += expect(direct_known(w, &later) && later.packets == 3 &&
				(int32_t)(later.learned_ms - value.learned_ms) >= 0,
			"told again, the flow lost its count");

	frame_clear(&told);
	oam_delete(&told, w);
	wrong += check(w, &w->ingress, "forgetting", &told, FLOW_DELETED, &told);
	wrong += expect(!direct_known(w, &value), "a deleted flow is still known");
	out = in;
	to_entrance(&out, w);
	return wrong + check(w, &w->egress, "forgotten", &in, EDGE_TO_ENTRANCE, &out);
}

// No idle timeout still ends with the entry's life; expired entries are removed by who finds them.
static int test_expiry(const struct world *w)
{
	struct oam_inject i = inject_udp();
	struct direct_value value;
	struct frame in, out;
	int wrong = 0;

	reset(w);
	i.idle_timeout_s = 0;
	i.flags = htons(0xFFFF & ~OAM_ROUTED);
	frame_clear(&in);
	oam(&in, &i, sizeof(i), ENTRANCE);
	wrong += check(w, &w->ingress, "no idle timeout", &in, FLOW_INJECTED, &in);
	wrong += expect(direct_known(w, &value) && value.idle_ms == DIRECT_LIFE_MS && !value.flags,
			"no idle timeout is not the longest, or unknown flags are kept");

	frame_clear(&in);
	udp(&in, w);
	out = in;
	to_entrance(&out, w);
	learn_long_ago(w);
	wrong += check(w, &w->egress, "long ago", &in, EDGE_TO_ENTRANCE, &out);
	wrong += expect(!direct_known(w, &value), "an old flow is not forgotten");
	learn_unused(w);
	wrong += check(w, &w->egress, "unused", &in, EDGE_TO_ENTRANCE, &out);
	return wrong + expect(!direct_known(w, &value), "an unused flow is not forgotten");
}

static uint64_t counted(const struct world *w, enum verdict v)
{
	struct verdict_count sum[VERDICTS];

	must(verdicts_read(w->egress.verdicts, sum), "verdicts");
	return sum[v].packets;
}

static void buckets_are(const struct world *w, uint32_t ifindex, struct bucket egress,
			struct bucket ingress)
{
	struct port_buckets buckets = {.egress = egress, .ingress = ingress};

	put(w->edge->maps.port_buckets, &ifindex, &buckets);
}

static struct port_buckets buckets_of(const struct world *w, uint32_t ifindex)
{
	struct port_buckets buckets = {0};

	must(bpf_map__lookup_elem(w->edge->maps.port_buckets, &ifindex, sizeof(ifindex), &buckets,
				  sizeof(buckets), 0),
	     "buckets");
	return buckets;
}

static uint64_t clock_units(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000 + t.tv_nsec) << RATE_TIME_BITS;
}

static int is_near(uint64_t until, uint64_t from, uint64_t cost)
{
	return until - from >= cost && until - from < cost + cost / 2;
}

#define SECOND (1000000000ull << RATE_TIME_BITS)
#define SLOW 10 // bits per second: a frame of these tests is a minute of them
#define MINUTE (60 * SECOND)

static struct rate slow_rate(void)
{
	return (struct rate){
		.per_byte = rate_of(SLOW, 0, 1).per_byte,
		.per_packet = MINUTE,
		.burst = 1,
	};
}

// What a port sends: paid for in bytes of Ethernet frames and in packets; refused where either is
// used up, and then nothing is taken of the other.
static int test_egress_rate(const struct world *w)
{
	const uint64_t far = clock_units() + 60 * MINUTE;
	struct local_port port = workload(w);
	struct port_buckets b;
	struct frame in, out;
	uint64_t now;
	int wrong = 0;

	reset(w);
	port.egress = slow_rate();
	put_port(w, WORKLOAD_IFINDEX, port);
	frame_clear(&in);
	udp(&in, w);
	out = in;
	to_entrance(&out, w);
	buckets_are(w, WORKLOAD_IFINDEX, (struct bucket){0}, (struct bucket){0});
	now = clock_units();
	wrong += check(w, &w->egress, "first of its rate", &in, EDGE_TO_ENTRANCE, &out);
	b = buckets_of(w, WORKLOAD_IFINDEX);
	wrong += expect(is_near(b.egress.bytes_until, now, in.length * 8 * SECOND / SLOW) &&
				is_near(b.egress.packets_until, now, MINUTE),
			"a frame sent is paid for otherwise");
	wrong += expect(!b.ingress.bytes_until && !b.ingress.packets_until,
			"a frame sent is paid for as one that came");
	wrong += check(w, &w->egress, "over its rate", &in, PORT_EGRESS_RATE, NULL);
	buckets_are(w, WORKLOAD_IFINDEX, (struct bucket){.bytes_until = far}, (struct bucket){0});
	wrong += check(w, &w->egress, "over its bytes", &in, PORT_EGRESS_RATE, NULL);
	b = buckets_of(w, WORKLOAD_IFINDEX);
	wrong += expect(b.egress.bytes_until == far && b.egress.packets_until <= clock_units(),
			"a refused frame is paid for");
	buckets_are(w, WORKLOAD_IFINDEX, (struct bucket){.packets_until = far}, (struct bucket){0});
	wrong += check(w, &w->egress, "over its packets", &in, PORT_EGRESS_RATE, NULL);
	learn_udp(w);
	wrong += check(w, &w->egress, "over its packets, direct", &in, PORT_EGRESS_RATE, NULL);
	buckets_are(w, WORKLOAD_IFINDEX, (struct bucket){0},
		    (struct bucket){.bytes_until = far, .packets_until = far});
	out = in;
	direct(&out, w);
	return wrong + check(w, &w->egress, "other way full", &in, EDGE_DIRECT, &out);
}

// SYNs are counted, also where they hide in a fragment; and nothing else is.
static int test_connection_rate(const struct world *w)
{
	static const struct {
		const char *name;
		build in;
		enum verdict verdict;
	} then[] = {
		{"a SYN too many", tcp_syn, PORT_CONNECTION_RATE},
		{"a fragment that has one", tcp_first_fragment, PORT_CONNECTION_RATE},
		{"a fragment that has none", tcp_other_fragment, EDGE_TO_ENTRANCE},
		{"its other one", tcp_later_fragment, EDGE_TO_ENTRANCE},
		{"an answer to one", tcp_syn_ack, EDGE_TO_ENTRANCE},
		{"a SYN too many, IPv6", tcp6_syn, PORT_CONNECTION_RATE},
		{"an answer to one, IPv6", tcp6_syn_ack, EDGE_TO_ENTRANCE},
		{"no TCP, IPv6", udp6, EDGE_TO_ENTRANCE},
		{"in the middle of one", tcp_ack, EDGE_TO_ENTRANCE},
		{"no TCP", udp, EDGE_TO_ENTRANCE},
		{"ARP", arp_request, EDGE_TO_ENTRANCE},
	};
	struct local_port port = workload(w);
	struct frame in, out;
	int wrong = 0;

	reset(w);
	buckets_are(w, WORKLOAD_IFINDEX, (struct bucket){0}, (struct bucket){0});
	port.connections = (struct rate){.per_packet = MINUTE, .burst = 1};
	put_port(w, WORKLOAD_IFINDEX, port);
	frame_clear(&in);
	tcp_syn(&in, w);
	out = in;
	to_entrance(&out, w);
	wrong += check(w, &w->egress, "a SYN", &in, EDGE_TO_ENTRANCE, &out);
	for (size_t i = 0; i < sizeof(then) / sizeof(*then); i++) {
		frame_clear(&in);
		then[i].in(&in, w);
		out = in;
		to_entrance(&out, w);
		wrong += check(w, &w->egress, then[i].name, &in, then[i].verdict,
			       then[i].verdict == EDGE_TO_ENTRANCE ? &out : NULL);
	}
	return wrong;
}

#define COLLECTOR "192.0.2.77"
#define COLLECTOR_VNI 0x00BEEF

static struct local_port mirrored(const struct world *w, uint16_t bytes)
{
	struct local_port port = workload(w);

	port.mirror = (struct mirror){
		.collector = address_must(COLLECTOR),
		.vni = COLLECTOR_VNI,
		.bytes = bytes,
		.which = MIRROR_EGRESS | MIRROR_INGRESS,
		.rate = slow_rate(),
	};
	return port;
}

// What becomes of a clone: VXLAN to the collector, whatever the overlay is, whole or its beginning.
static int test_copies(const struct world *w)
{
	struct __sk_buff ctx = {.mark = WORKLOAD_IFINDEX};
	static const uint16_t sizes[] = {MAX_MIRROR_BYTES, MIN_MIRROR_BYTES, 71};
	static const struct {
		const char *name;
		build in;
	} frames[] = {{"copy", udp}, {"copy of IPv6", udp6}, {"copy of ARP", arp_request}};
	struct target t = w->mirror;
	struct frame in, out;
	int wrong = 0;

	reset(w);
	t.ctx = &ctx;
	t.ctx_size = sizeof(ctx);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		put_port(w, WORKLOAD_IFINDEX, mirrored(w, sizes[i]));
		for (size_t n = 0; n < sizeof(frames) / sizeof(*frames); n++) {
			frame_clear(&in);
			frames[n].in(&in, w);
			out = in;
			if (out.length > sizes[i])
				out.length = sizes[i];
			frame_vxlan(&out, COLLECTOR_VNI);
			frame_udp(&out, 50000, 4789, 0);
			frame_ipv4(&out, (struct ipv4_header){.from = HOST,
							      .to = COLLECTOR,
							      .protocol = IPPROTO_UDP,
							      .fragment = 0x4000});
			frame_ethernet(&out, "00:00:00:00:00:00", HOST_MAC, ETH_P_IP);
			wrong += check(w, &t, frames[n].name, &in, MIRRORED, &out);
		}
	}
	put_port(w, WORKLOAD_IFINDEX, workload(w));
	wrong += check(w, &t, "copy of who is no longer mirrored", &in, NO_LOCAL_PORT, NULL);
	ctx.mark = 4711;
	return wrong + check(w, &t, "copy of nobody", &in, NO_LOCAL_PORT, NULL);
}

// Whatever becomes of the copy, the packet goes its way.
static int test_mirrored_goes_on(const struct world *w)
{
	struct port_buckets far = {.mirror = {.packets_until = clock_units() + 60 * MINUTE}};
	uint32_t ifindex = WORKLOAD_IFINDEX, only = 0, nowhere = 4711;
	struct frame in, out;
	int wrong = 0;

	reset(w);
	put(w->edge->maps.mirror_end, &only, &nowhere);
	buckets_are(w, ifindex, (struct bucket){0}, (struct bucket){0});
	put_port(w, ifindex, mirrored(w, 128));
	frame_clear(&in);
	udp(&in, w);
	out = in;
	to_entrance(&out, w);
	wrong +=
		check_beside(w, &w->egress, "mirrored", &in, EDGE_TO_ENTRANCE, &out, MIRROR_FAILED);
	wrong += check_beside(w, &w->egress, "mirrored, over its rate", &in, EDGE_TO_ENTRANCE, &out,
			      MIRROR_RATE);
	put(w->edge->maps.port_buckets, &ifindex, &(struct port_buckets){0});
	learn_routed(w);
	out = in;
	direct_routed(&out, w);
	wrong += check_beside(w, &w->egress, "mirrored, routed", &in, EDGE_DIRECT, &out,
			      MIRROR_FAILED);
	put(w->edge->maps.port_buckets, &ifindex, &(struct port_buckets){0});
	told6(w);
	frame_clear(&in);
	udp6(&in, w);
	out = in;
	direct6_routed(&out, w);
	wrong += check_beside(w, &w->egress, "mirrored, routed, IPv6", &in, EDGE_DIRECT, &out,
			      MIRROR_FAILED);

	put(w->edge->maps.port_buckets, &ifindex, &far);
	put_mac(w, WORKLOAD_MAC, WORKLOAD_IFINDEX, PLACE_MIRRORED);
	frame_clear(&in);
	delivered(&in, w);
	out = in;
	inside(&out, w);
	return wrong + check_beside(w, &w->ingress, "mirrored, delivered", &in, EDGE_DELIVERED,
				    &out, MIRROR_RATE);
}

// Marked as the port says, but for the bits of congestion; and the tunnel, with none of these.
static int test_marks(const struct world *w)
{
	struct local_port port = workload(w);
	struct frame in, out;
	int wrong = 0;

	reset(w);
	port.marks = 1;
	for (int class = 0; class < 64; class ++) {
		port.dscp = class;
		put_port(w, WORKLOAD_IFINDEX, port);
		for (int tos = class % 5; tos < 256; tos += 5) {
			frame_clear(&in);
			frame_udp(&in, 1000, 2000, 0);
			sends(&in, (struct ipv4_header){.from = WORKLOAD,
							.to = PEER,
							.protocol = IPPROTO_UDP,
							.id = class * 1021 + tos});
			set_tos(&in, tos);
			out = in;
			set_tos(&out, class << 2 | (tos & 3));
			to_entrance(&out, w);
			set_tos(&out, class << 2);
			wrong += check(w, &w->egress, "marked", &in, EDGE_TO_ENTRANCE, &out);
		}
	}
	learn_udp(w);
	frame_clear(&in);
	udp(&in, w);
	set_tos(&in, 0x03);
	out = in;
	set_tos(&out, 63 << 2 | 3);
	direct(&out, w);
	set_tos(&out, 63 << 2);
	wrong += check(w, &w->egress, "marked, direct", &in, EDGE_DIRECT, &out);
	frame_clear(&in);
	arp_request(&in, w);
	out = in;
	to_entrance(&out, w);
	set_tos(&out, 63 << 2);
	return wrong + check(w, &w->egress, "ARP of who is marked", &in, EDGE_TO_ENTRANCE, &out);
}

static uint8_t class_of(const struct frame *f)
{
	return (uint8_t)(f->byte[ETH_HLEN] << 4 | f->byte[ETH_HLEN + 1] >> 4);
}

static void set_class(struct frame *f, uint8_t class)
{
	f->byte[ETH_HLEN] = 0x60 | class >> 4;
	f->byte[ETH_HLEN + 1] = (uint8_t)(class << 4 | (f->byte[ETH_HLEN + 1] & 0x0F));
}

// The same of IPv6: its traffic class, and not the flow label beside it.
static int test_marks6(const struct world *w)
{
	static const build frames[] = {udp6, solicitation6};
	struct local_port port = workload(w);
	struct frame in, out;
	int wrong = 0;

	reset(w);
	port.marks = 1;
	for (int class = 0; class < 64; class ++) {
		port.dscp = class;
		put_port(w, WORKLOAD_IFINDEX, port);
		for (int tos = class % 5; tos < 256; tos += 5) {
			frame_clear(&in);
			frames[tos % 2](&in, w);
			in.byte[ETH_HLEN + 1] = 0x0A;
			in.byte[ETH_HLEN + 2] = tos;
			set_class(&in, tos);
			out = in;
			set_class(&out, class << 2 | (class_of(&in) & 3));
			to_entrance(&out, w);
			set_tos(&out, class << 2);
			wrong += check(w, &w->egress, "marked, IPv6", &in, EDGE_TO_ENTRANCE, &out);
		}
	}
	return wrong;
}

// A workload's own mark stays inside.
static int test_own_mark(const struct world *w)
{
	struct frame in, out;

	reset(w);
	frame_clear(&in);
	udp(&in, w);
	set_tos(&in, 0xBA);
	out = in;
	to_entrance(&out, w);
	return check(w, &w->egress, "its own mark", &in, EDGE_TO_ENTRANCE, &out);
}

// Three frames in one: three packets, and headers thrice, of so many bytes.
static int test_super_packet(const struct world *w, build frame, size_t headers)
{
	struct __sk_buff ctx = {.gso_size = 400, .gso_segs = 3};
	struct local_port port = workload(w);
	struct target t = w->egress;
	struct frame in, got = {0};
	struct port_buckets b;
	uint32_t action;
	uint64_t now;

	reset(w);
	port.egress = slow_rate();
	put_port(w, WORKLOAD_IFINDEX, port);
	buckets_are(w, WORKLOAD_IFINDEX, (struct bucket){0}, (struct bucket){0});
	frame_clear(&in);
	frame(&in, w);
	t.ctx = &ctx;
	t.ctx_size = sizeof(ctx);
	now = clock_units();
	must(target_run(&t, &in, &action, &got), "run");
	b = buckets_of(w, WORKLOAD_IFINDEX);
	return expect(is_near(b.egress.packets_until, now, 3 * MINUTE) &&
			      b.egress.bytes_until - now >=
				      (in.length + 2 * headers) * 8 * SECOND / SLOW &&
			      b.egress.bytes_until - now <
				      (in.length + 2 * headers + headers / 4) * 8 * SECOND / SLOW,
		      "a super-packet is paid for otherwise than its frames");
}

static void tcp_super(struct frame *f, const struct world *w)
{
	frame_fill(f, 1200);
	frame_tcp(f, 1000, 2000, ACK);
	sends(f, header(IPPROTO_TCP));
}

static void tcp6_super(struct frame *f, const struct world *w)
{
	frame_fill(f, 1200);
	frame_tcp(f, 1000, 2000, ACK);
	sends6(f, PEER6, IPPROTO_TCP, 0);
}

static int test_super_packet_rate(const struct world *w)
{
	return test_super_packet(w, tcp_super, 14 + 20 + 20) +
	       test_super_packet(w, tcp6_super, 14 + 40 + 20);
}

// What a port gets, from the underlay or from another one of its host.
static int test_ingress_rate(const struct world *w)
{
	const uint64_t far = clock_units() + 60 * MINUTE;
	const struct bucket full = {.bytes_until = far, .packets_until = far};
	struct local_port port = workload(w);
	struct port_buckets b;
	struct frame in, out;
	uint64_t now;
	int wrong = 0;

	reset(w);
	port.ingress = slow_rate();
	put_port(w, WORKLOAD_IFINDEX, port);
	put_mac(w, WORKLOAD_MAC, WORKLOAD_IFINDEX, PLACE_LIMITED);
	buckets_are(w, WORKLOAD_IFINDEX, (struct bucket){0}, (struct bucket){0});
	frame_clear(&in);
	delivered(&in, w);
	out = in;
	inside(&out, w);
	now = clock_units();
	wrong += check(w, &w->ingress, "first of its rate", &in, EDGE_DELIVERED, &out);
	b = buckets_of(w, WORKLOAD_IFINDEX);
	wrong += expect(is_near(b.ingress.bytes_until, now, out.length * 8 * SECOND / SLOW) &&
				is_near(b.ingress.packets_until, now, MINUTE),
			"a frame that came is paid for otherwise");
	wrong += check(w, &w->ingress, "over its rate", &in, PORT_INGRESS_RATE, NULL);
	frame_clear(&in);
	udp(&in, w);
	out = in;
	to_entrance(&out, w);
	wrong += check(w, &w->egress, "sends, and gets no more", &in, EDGE_TO_ENTRANCE, &out);

	port.ingress = slow_rate();
	port.ingress.per_byte = 0;
	mac_must(port.mac, NEIGHBOUR_MAC);
	put_port(w, NEIGHBOUR_IFINDEX, port);
	put_mac(w, NEIGHBOUR_MAC, NEIGHBOUR_IFINDEX, PLACE_LIMITED);
	buckets_are(w, NEIGHBOUR_IFINDEX, (struct bucket){0}, (struct bucket){0});
	learn_local(w);
	out = in;
	across(&out, w);
	wrong += check(w, &w->egress, "across, first of its rate", &in, EDGE_DELIVERED, &out);
	wrong += check(w, &w->egress, "across, over its rate", &in, PORT_INGRESS_RATE, NULL);
	buckets_are(w, NEIGHBOUR_IFINDEX, full, (struct bucket){.bytes_until = far});
	return wrong + check(w, &w->egress, "across, no limit is full", &in, EDGE_DELIVERED, &out);
}

// Every value of the sum, so that every carry of the incremental update is met.
static int test_ttl(const struct world *w)
{
	struct ipv4_header h = header(IPPROTO_UDP);
	struct frame in, out, got = {0};
	uint32_t action;

	reset(w);
	learn_routed(w);
	for (uint32_t id = 0; id < 0x10000; id++) {
		h.id = id;
		frame_clear(&in);
		frame_udp(&in, 1000, 2000, 0);
		sends(&in, h);
		out = in;
		direct_routed(&out, w);
		must(target_run(&w->egress, &in, &action, &got), "run");
		memcpy(out.byte + FLOW_PORT_AT, got.byte + FLOW_PORT_AT, 2);
		if (frames_compare("TTL", &out, &got))
			return 1;
	}
	return 0;
}

#define ENTRANCES 4
#define FLOWS 1000

static void flow_frame(struct frame *f, const char *from, const char *to, int from_port,
		       int to_port)
{
	frame_clear(f);
	frame_udp(f, from_port, to_port, 0);
	sends(f, (struct ipv4_header){.from = from, .to = to, .protocol = IPPROTO_UDP});
}

// All fragments between two addresses have one entrance and source port, as the later ones have
// nothing else to be known by; those between others have others.
static int fragments_spread(const struct world *w)
{
	static const struct {
		uint16_t port, bits;
	} parts[] = {{1000, 0x2000}, {1000, 5}, {1001, 0x2000}, {2000, 0x2000}, {2000, 9}};
	char peer[16];
	struct frame in, out, first = {0};
	uint8_t entrances = 0;
	int wrong = 0;

	for (int i = 0; i < FLOWS; i++) {
		snprintf(peer, sizeof(peer), "10.7.%d.%d", i / 256 % 256, i % 256);
		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++) {
			uint32_t action;

			frame_clear(&in);
			frame_fill(&in, 32);
			frame_udp(&in, parts[k].port, 80, 0);
			sends(&in, (struct ipv4_header){.from = WORKLOAD,
							.to = peer,
							.protocol = IPPROTO_UDP,
							.fragment = parts[k].bits});
			must(target_run(&w->egress, &in, &action, &out), "run");
			if (k == 0)
				first = out;
			wrong |= memcmp(out.byte, first.byte, FLOW_PORT_AT + 2) != 0;
		}
		entrances |= 1 << (out.byte[ETH_HLEN + 19] - 100) % ENTRANCES;
	}
	return expect(!wrong, "fragments of a packet differ") +
	       expect(entrances == (1 << ENTRANCES) - 1, "all fragments go to one entrance");
}

// Flows spread over the entrances and over source ports; both directions of one agree.
static int test_spread(const struct world *w)
{
	int used[ENTRANCES] = {0}, wrong = 0;
	static uint8_t seen[0x10000];
	struct frame in, out = {0}, back = {0};
	int distinct = 0;

	reset(w);
	memset(seen, 0, sizeof(seen));
	put_entrances(w, CLUSTER, 100, ENTRANCES);
	for (int flow = 0; flow < FLOWS; flow++) {
		uint32_t action;
		uint16_t port;

		flow_frame(&in, WORKLOAD, PEER, 1000 + flow, 80);
		must(target_run(&w->egress, &in, &action, &out), "run");
		flow_frame(&in, PEER, WORKLOAD, 80, 1000 + flow);
		must(target_run(&w->egress, &in, &action, &back), "run");
		wrong |= memcmp(out.byte, back.byte, FLOW_PORT_AT + 2) != 0;
		port = out.byte[FLOW_PORT_AT] << 8 | out.byte[FLOW_PORT_AT + 1];
		distinct += !seen[port];
		seen[port] = 1;
		used[(out.byte[ETH_HLEN + 19] - 100) % ENTRANCES]++;
	}
	wrong = expect(!wrong, "the two directions of a flow differ");
	wrong += fragments_spread(w);
	wrong += expect(distinct > FLOWS * 9 / 10, "flows share source ports");
	for (int i = 0; i < ENTRANCES; i++)
		wrong += expect(used[i] > FLOWS / ENTRANCES * 2 / 3, "an entrance is left out");
	return wrong;
}

// Geneve's header and its options: what need not be understood is skipped, at any length.
static int test_geneve(const struct world *w)
{
	static const uint8_t option[252] = {0x12, 0x34, 0x01};
	struct frame in, out, payload;
	int wrong = 0;

	reset(w);
	frame_clear(&payload);
	for_workload(&payload, WORKLOAD_MAC);
	for (size_t length = 0; length <= sizeof(option); length += 4) {
		in = out = payload;
		frame_geneve(&in, w->vni, 0, option, length);
		frame_udp(&in, 50000, 6081, 0);
		frame_ipv4(&in,
			   (struct ipv4_header){.from = OTHER_HOST, .to = HOST, .protocol = 17});
		frame_ethernet(&in, HOST_MAC, OTHER_MAC, ETH_P_IP);
		wrong += check(w, &w->ingress, "Geneve options", &in,
			       w->vni == TENANT ? EDGE_DELIVERED : NO_LOCAL_PORT,
			       w->vni == TENANT ? &out : NULL);
		in.byte[43] = 0x40;
		wrong += check(w, &w->ingress, "critical option", &in, TUNNEL_OPTION, NULL);
		in.byte[43] = 0x80;
		wrong += check(w, &w->ingress, "control frame", &in, TUNNEL_MALFORMED, NULL);
		in.byte[43] = 0;
		in.byte[45]++;
		wrong += check(w, &w->ingress, "other protocol", &in, TUNNEL_MALFORMED, NULL);
	}
	// Options that go on past the frame.
	in = payload;
	in.length = 20;
	frame_geneve(&in, w->vni, 0, "", 0);
	in.byte[0] = 0x3F;
	frame_udp(&in, 50000, 6081, 0);
	frame_ipv4(&in, (struct ipv4_header){.from = OTHER_HOST, .to = HOST, .protocol = 17});
	frame_ethernet(&in, HOST_MAC, OTHER_MAC, ETH_P_IP);
	return wrong + check(w, &w->ingress, "options past the end", &in, TRUNCATED, NULL);
}

// Frames that nobody would send: the rows' own, with bytes changed, cut and repeated at random.

#define MUTATIONS 20000
#define RUN_ROOM 2048 // a test run takes frames of less than a page

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void mutate(struct frame *f, uint64_t *state)
{
	static const uint8_t edges[] = {0, 1, 0x3F, 0x40, 0x45, 0x4F, 0x7F, 0x80, 0xFF};
	uint64_t changes = 1 + random_next(state) % 6;

	while (changes--) {
		uint64_t r = random_next(state);
		// Mostly in the headers, where it matters.
		size_t at = (r >> 8) % (r & 7 && f->length > 110 ? 110 : f->length);

		switch (r >> 56 & 31) {
		case 0:
			f->length = at > ETH_HLEN ? at : ETH_HLEN;
			break;
		case 1:
			if (2 * f->length <= RUN_ROOM)
				frame_append(f, f->byte, f->length);
			break;
		case 2 ... 12:
			f->byte[at] = edges[(r >> 32) % sizeof(edges)];
			break;
		case 13 ... 20:
			f->byte[at] ^= 1 << (r >> 32 & 7);
			break;
		default:
			f->byte[at] = r >> 32;
		}
	}
}

static uint64_t packets_of(const struct world *w)
{
	struct verdict_count sum[VERDICTS];
	uint64_t packets = 0;

	must(verdicts_read(w->egress.verdicts, sum), "verdicts");
	for (int v = 1; v < VERDICTS; v++)
		packets += sum[v].packets;
	return packets;
}

// A frame that left through a tunnel carries the VNI of the port it came from, whatever was in it.
static int wrong_tenant(const struct world *w, const struct frame *in, const struct frame *out)
{
	size_t at = ETH_HLEN + 20 + 8 + 4;

	return out->length == in->length + 50 &&
	       (out->byte[at] != w->vni >> 16 || out->byte[at + 1] != (w->vni >> 8 & 0xFF) ||
		out->byte[at + 2] != (w->vni & 0xFF));
}

// Each is counted exactly once, gets one of three actions, and none reaches what must not be.
static int test_mutations(struct world *w, uint64_t seed)
{
	uint64_t state = seed, runs = 0, before = packets_of(w);
	uint64_t delivered_before, delivered_after;
	static struct frame in, out;
	int wrong = 0;

	reset(w);
	learn_udp(w);
	learn_tcp(w);
	learn_icmp(w);
	delivered_before = counted(w, EDGE_DELIVERED);
	for (int i = 0; i < MUTATIONS && !wrong; i++) {
		const struct row *row = &rows[random_next(&state) % (sizeof(rows) / sizeof(*rows))];
		const struct target *t = row->ingress ? &w->ingress : &w->egress;
		uint32_t action;
		int err;

		frame_clear(&in);
		row->in(&in, w);
		mutate(&in, &state);
		err = target_run(t, &in, &action, &out);
		// The kernel itself refuses what ends before the IP header that its type promises.
		if (err == -EINVAL && in.length < ETH_HLEN + 40)
			continue;
		must(err, "mutated frame");
		runs++;
		wrong += expect(action == (uint32_t)TC_ACT_UNSPEC || action == TC_ACT_REDIRECT ||
					action == TC_ACT_SHOT,
				"a mutated frame got an action of no verdict");
		if (!row->ingress && action == TC_ACT_REDIRECT)
			wrong += expect(!wrong_tenant(w, &in, &out),
					"a mutated frame left in another tenant's name");
	}
	delivered_after = counted(w, EDGE_DELIVERED);
	wrong += expect(packets_of(w) - before == runs, "mutated frames are not counted once each");
	wrong += expect(runs > MUTATIONS * 9 / 10, "too few mutated frames were run");
	wrong += expect(!counted(w, BUG), "a mutated frame reached what cannot happen");
	wrong += expect(w->vni != TENANT || delivered_after > delivered_before,
			"mutations leave no frame intact enough");
	if (wrong)
		fprintf(stderr, "overlay %d, VNI %x, seed %ju\n", w->overlay, w->vni,
			(uintmax_t)seed);
	return wrong;
}

static int mutate_world(struct world *w, uint64_t seed)
{
	int wrong;

	w->vni = TENANT;
	wrong = test_mutations(w, seed);
	w->vni = OTHER_TENANT;
	return wrong + test_mutations(w, seed + 1);
}

static int test_world(struct world *w)
{
	static const uint32_t vnis[] = {TENANT, OTHER_TENANT};
	int wrong = 0;

	for (size_t v = 0; v < sizeof(vnis) / sizeof(*vnis); v++) {
		w->vni = vnis[v];
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
			wrong += run_row(w, &rows[i]);
		if (w->overlay == OVERLAY_GENEVE)
			wrong += test_geneve(w);
	}
	w->vni = TENANT;
	wrong += test_learning(w);
	wrong += test_expiry(w);
	wrong += test_egress_rate(w);
	wrong += test_super_packet_rate(w);
	wrong += test_connection_rate(w);
	wrong += test_copies(w);
	wrong += test_mirrored_goes_on(w);
	wrong += test_marks(w);
	wrong += test_marks6(w);
	wrong += test_own_mark(w);
	wrong += test_ingress_rate(w);
	wrong += test_ttl(w);
	wrong += test_spread(w);
	return wrong;
}

// Without argument the table; "mutate [SEED]": the random frames.
int main(int argc, char **argv)
{
	static const char *const names[] = {"vxlan", "geneve"};
	int mutations = argc > 1 && !strcmp(argv[1], "mutate");
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 20260101;
	int wrong = 0;

	testing_begin();
	for (int overlay = 0; overlay < 2; overlay++) {
		struct world w = world_open(overlay, names[overlay]);

		wrong += mutations ? mutate_world(&w, seed) : test_world(&w);
		edge__destroy(w.edge);
	}
	if (wrong)
		fprintf(stderr, "%d of the edge's outcomes are wrong\n", wrong);
	return wrong != 0;
}
