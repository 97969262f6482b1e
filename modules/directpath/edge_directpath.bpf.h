/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The direct path: what an entrance told of a flow, and using it while it is fresh.
#pragma once

#include "modules/directpath/oam.bpf.h"
#include "modules/entrance/edge_entrance.bpf.h"
#include "modules/overlay/edge_overlay.bpf.h"
#include "modules/port/edge_port.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_DIRECT);
	__type(key, struct direct_key);
	__type(value, struct direct_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} direct SEC(".maps");

// Another CPU may have read the clock after us and have written already: a negative age is young.
inlined int older(__u32 now_ms, __u32 then_ms, __u32 limit_ms)
{
	return (__s32)(now_ms - then_ms) > (__s32)limit_ms;
}

// The fresh entry for a flow, or NULL. Who begins or ends a connection is not sent past the
// cluster, which keeps the state; of a fragment we do not know the flow, nor of ICMP but echoes; a
// TTL that ends on the way is answered by the cluster, like all ARP.
inlined struct direct_value *direct_find(const struct packet *p, const struct flow *f)
{
	struct direct_key key = {
		.source = flow_source(f),
		.destination = flow_destination(f),
		.source_port = f->source_port,
		.destination_port = f->destination_port,
		.protocol = f->key.protocol,
	};
	struct direct_value *path;
	__u32 now;

	if (!f->key.protocol || f->fragment || f->icmp_error || f->no_echo ||
	    f->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST))
		return NULL;
	vni_put(key.vni, p->vni);
	path = bpf_map_lookup_elem(&direct, &key);
	if (!path || (path->flags & OAM_ROUTED && hops_of(p) <= 1))
		return NULL;
	now = clock_ms();
	if (older(now, path->learned_ms, DIRECT_LIFE_MS) ||
	    older(now, path->used_ms, path->idle_ms)) {
		bpf_map_delete_elem(&direct, &key);
		return NULL;
	}
	if (path->used_ms != now)
		path->used_ms = now;
	return path;
}

// Readies the frame for its direct path, if it has one: *to is where it goes. Where both ends of
// the flow live on this host, it is sent across at once.
inlined enum verdict edge_direct(struct __sk_buff *skb, const struct packet *p,
				 const struct flow *f, struct tunnel_end *to)
{
	struct direct_value *path = direct_find(p, f);
	const struct local_place *local = NULL;
	struct ethhdr *eth = p->inner.eth;
	enum verdict v;

	if (!path)
		return GO_ON;
	if (address_v4(&path->host) == cfg.host_ip.s6_addr32[3]) {
		local = edge_port_find(p->vni, path->instance_mac);
		if (!local) // it has just left: the cluster knows to where
			return GO_ON;
		if ((v = edge_port_receives(skb, local, 0)))
			return v;
	}
	__sync_fetch_and_add(&path->packets, 1);
	__sync_fetch_and_add(&path->bytes, skb->len);
	if (path->flags & OAM_ROUTED) {
		__builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
		if (p->inner.ip6)
			p->inner.ip6->hops--;
		else if (p->inner.ip)
			ttl_decrement(p->inner.ip);
	}
	__builtin_memcpy(eth->h_dest, path->instance_mac, ETH_ALEN);
	if (local)
		return edge_hand_over(skb, local);
	to->ip = address_v4(&path->host);
	__builtin_memcpy(to->mac, path->host_mac, sizeof(to->mac));
	to->verdict = EDGE_DIRECT;
	return GO_ON;
}

inlined enum verdict direct_learn(const struct oam_message *m)
{
	const struct direct_key key = m->flow;
	const struct direct_value *known = bpf_map_lookup_elem(&direct, &key);
	struct direct_value value = {
		.host = address_of_v4(m->host),
		.learned_ms = clock_ms(),
		.idle_ms = m->idle_timeout_s * 1000,
		.flags = m->flags & OAM_ROUTED,
	};

	// An idle timeout of 0 is none, as in OpenFlow, for which the layout was made.
	if (!m->idle_timeout_s)
		value.idle_ms = DIRECT_LIFE_MS;
	value.used_ms = value.learned_ms;
	__builtin_memcpy(value.host_mac, m->host_mac, sizeof(value.host_mac));
	__builtin_memcpy(value.instance_mac, m->instance_mac, sizeof(value.instance_mac));
	if (known) {
		value.packets = known->packets;
		value.bytes = known->bytes;
	}
	return bpf_map_update_elem(&direct, &key, &value, BPF_ANY) ? TABLE_FULL : FLOW_INJECTED;
}

// An OAM frame: from an entrance only.
inlined enum verdict edge_oam(struct packet *p)
{
	struct oam_message m;
	enum verdict v;

	if (!edge_is_entrance(p->outer.ip->saddr))
		return OAM_FOREIGN;
	if ((v = oam_read(p, bpf_ntohs(p->udp->len) - sizeof(*p->udp), &m)))
		return v;
	if (m.inject)
		return direct_learn(&m);
	bpf_map_delete_elem(&direct, &m.flow); // it may have expired: the outcome is the same
	return FLOW_DELETED;
}
