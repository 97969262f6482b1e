/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Entrances: the addresses of the cluster that hosts know.
#pragma once

#include "modules/arp/arp.bpf.h"
#include "modules/heartbeat/side.bpf.h"
#include "shared/view.h"

extern const volatile struct gateway_config cfg;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_ENTRANCES);
	__type(key, __u32);
	__type(value, struct entrance_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} entrances SEC(".maps");

// With heartbeats what is read instead: who owns an entrance is then for the pacemaker to say
// (modules/heartbeat), which follows what should be within an interval.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_ENTRANCES);
	__type(key, __u32);
	__type(value, struct entrance_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} duties SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_ENTRANCES);
	__type(key, __u32);
	__type(value, struct handover_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} handovers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENTRANCES);
	__type(key, struct in6_addr);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} entrance_by_ip SEC(".maps");

// Which entrance an address was when it was last looked up, by the address' last bits. Only a hint:
// the entrance itself has the address. Two array lookups cost a tenth of one in a hash.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_ENTRANCES);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} entrance_hints SEC(".maps");

inlined const struct entrance_value *entrance_at(__u32 index)
{
	return cfg.beat_ms ? bpf_map_lookup_elem(&duties, &index)
			   : bpf_map_lookup_elem(&entrances, &index);
}

// The index of the entrance with this address, or -1.
inlined int entrance_of(__be32 ip)
{
	__u32 place = bpf_ntohl(ip) % MAX_ENTRANCES;
	__u32 *hint = bpf_map_lookup_elem(&entrance_hints, &place);
	const struct entrance_value *e;
	struct in6_addr address;
	const __u32 *index;
	__u32 hinted;

	if (!hint)
		return -1;
	hinted = *hint;
	e = entrance_at(hinted);
	if (e && address_is_v4(&e->ip) && address_v4(&e->ip) == ip)
		return hinted;
	address = address_of_v4(ip);
	index = bpf_map_lookup_elem(&entrance_by_ip, &address);
	if (!index || *index >= MAX_ENTRANCES)
		return -1;
	*hint = *index;
	return *index;
}

// Whether this node takes what comes for the entrance: its owner, and for a while who was it.
inlined int entrance_served(__u32 index)
{
	const struct entrance_value *e = entrance_at(index);

	return e && e->live && (cfg.beat_ms ? e->serves : e->owner == cfg.node);
}

// Whether it is an entrance's announcement, which is another node's where it arrives. The pacemaker
// hears of it, and looks where the entrance is another one's.
inlined int entrance_claimed(const struct arp_ipv4 *arp, __u32 index,
			     const struct entrance_value *e)
{
	struct handover_value *hand = bpf_map_lookup_elem(&handovers, &index);

	if (!hand || arp->sender_ip != arp->target_ip || !mac_equal(arp->sender_mac, e->mac))
		return 0;
	hand->claimed = 1;
	return 1;
}

// On the underlay a host asks for an entrance: its owner answers.
inlined enum verdict entrance_arp(struct packet *p)
{
	struct arp_ipv4 *arp = take(p, sizeof(*arp));
	const struct entrance_value *e;
	__u32 index;
	int found;

	if (arp && cfg.beat_ms && arp_is_reply(arp) &&
	    p->ctx->ingress_ifindex == cfg.tenant_ifindex &&
	    arp->target_ip == cfg.tenant_ip.in6_u.u6_addr32[3])
		heard_host_answered(arp->sender_ip, bpf_ktime_get_boot_ns());
	if (!arp || !arp_is_request(arp))
		return PASS;
	found = entrance_of(arp->target_ip);
	if (found < 0)
		return PASS;
	index = found;
	e = entrance_at(index);
	if (!e || !e->live || e->owner != cfg.node)
		return PASS;
	// The answer would turn switches back to who answers.
	if (cfg.beat_ms && p->ctx->ingress_ifindex == cfg.tenant_ifindex &&
	    entrance_claimed(arp, index, e))
		return PASS;
	arp_reply(p->outer.eth, arp, e->mac);
	bpf_redirect(p->ctx->ingress_ifindex, 0);
	return ENTRANCE_ARP;
}
