/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The kernel's own clock: a frame circles in a pair of interfaces, once per cfg.beat_ms, and this
// runs each time. No daemon takes part.
//
//   pacemaker -- redirect --> qdisc of the first end, which waits --> second end: pacemaker
#include "modules/entrance/entrance.bpf.h"
#include "modules/heartbeat/heartbeat.bpf.h"
#include "modules/heartbeat/side.bpf.h"

#include <linux/pkt_cls.h>

const volatile struct gateway_config cfg;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct pulse_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} pulse SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BEATS);
	__type(key, __u32);
	__type(value, struct beat_to_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} beat_to SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct side_look);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} side_looks SEC(".maps");

struct announcement {
	struct ethhdr eth;
	struct arp_ipv4 arp;
	__u8 padding[18]; // to the 60 bytes that a frame has at least
} __attribute__((packed));
_Static_assert(sizeof(struct announcement) == 60, "");

#define CALL_BYTES (sizeof(struct ethhdr) + sizeof(struct call_packet))
_Static_assert(CALL_BYTES == 66, "room for an announcement, too");

// Frames as they are written, which no stack has room for.
struct pace_room {
	__u8 pad[2]; // so that the packet follows the header at once
	struct ethhdr eth;
	struct beat_packet packet;
	struct announcement announcement;
	__u8 pad_too[2];
	struct ethhdr call_eth;
	struct call_packet call;
};
_Static_assert(__builtin_offsetof(struct pace_room, call) ==
		       __builtin_offsetof(struct pace_room, call_eth) + sizeof(struct ethhdr),
	       "a frame");
_Static_assert(__builtin_offsetof(struct pace_room, packet) ==
		       __builtin_offsetof(struct pace_room, eth) + sizeof(struct ethhdr),
	       "a frame");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pace_room);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} pace_rooms SEC(".maps");

inlined struct pace_room *pace_room(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&pace_rooms, &only);
}

// How punctual the round is. Own lateness looks like others' silence.
inlined void pulse_count(struct pulse_value *p, __u64 now)
{
	__u64 gap = now - p->round_ns;
	__u32 missed = gap / BEAT_NS, late = p->late;

	if (!p->round_ns || gap > BEAT_NS * ASLEEP_BEATS) {
		p->awake_ns = now;
		late = 0;
	} else if (gap > BEAT_NS * 3 / 2) {
		late += missed;
	} else if (late && !(p->rounds & 7)) {
		late--;
	}
	p->late = late < LATE_MOST ? late : LATE_MOST;
	p->gap_ns = gap;
	p->round_ns = now;
	p->rounds++;
}

inlined int pulse_settled(const struct pulse_value *p)
{
	return p->round_ns - p->awake_ns >= BEAT_NS * SETTLE_BEATS;
}

// Half an interval less than so many: answers come just after a round, and the round in which the
// last of them is due must not miss its silence by a hair.
inlined __u64 suspect_ns(const struct pulse_value *p)
{
	return BEAT_NS * (SUSPECT_BEATS * 2 - 1) / 2 * (1 + p->late);
}

// The leases that this node asks for: of chains in which it acts and has promised nothing higher.
verified int beat_chains(struct beat *b, const struct beat_to_value *to)
{
	__u64 now = bpf_ktime_get_boot_ns();

	if (!b || !to)
		return 0;
	b->chains = 0;

	LOOPED
	for (__u32 i = 0; i < BEAT_CHAINS; i++) {
		__u32 number = to->chain[i];
		const struct fence_value *fence = bpf_map_lookup_elem(&fences, &number);
		const struct chain_value *c;

		if (i >= to->chains)
			break;
		c = chain_find(number);
		if (!c || !fence || !lease_wanted(c) ||
		    fence->promised > TERM_WORD(c->epoch, c->term))
			continue;
		if (to->node == cfg.node) {
			lease_answered(number, TERM_WORD(c->epoch, c->term),
				       TERM_WORD(cfg.node, cfg.boot), now, now);
			continue;
		}
		b->chain[b->chains & (BEAT_CHAINS - 1)] = (struct beat_chain){
			bpf_htonl(number), bpf_htonl(c->epoch), bpf_htonl(c->term)};
		b->chains++;
	}
	return 1;
}

// One heartbeat. Returns whether its receiver was heard in time.
verified int beat_send(struct __sk_buff *skb, __u32 i, __u64 suspect, int settled, int silent)
{
	const struct beat_to_value *to = bpf_map_lookup_elem(&beat_to, &i);
	struct pace_room *room = pace_room();
	const struct node_value *n;
	struct peer_value *peer;
	struct beat_packet *h;
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 node;

	if (!to || !room)
		return 0;
	node = to->node;
	h = &room->packet;
	if (node == cfg.node) {
		beat_chains(&h->beat, to);
		return 0;
	}
	n = bpf_map_lookup_elem(&nodes, &node);
	peer = bpf_map_lookup_elem(&peers, &node);
	if (!n || !peer || !address_is_v4(&n->zgc_ip))
		return 0;
	gossip_judge(node, peer, now, suspect, settled);
	if (silent)
		return 0;

	__builtin_memset(&h->beat, 0, offsetof(struct beat, news));
	beat_chains(&h->beat, to);
	h->beat.version = BEAT_VERSION;
	h->beat.kind = BEAT;
	h->beat.heard = beat_age(peer->received_ns, now);
	h->beat.from = bpf_htonl(cfg.node);
	h->beat.from_boot = bpf_htonl(cfg.boot);
	h->beat.to = bpf_htonl(node);
	h->beat.cluster = bpf_htonl(cfg.cluster);
	h->beat.clock_ns = bpf_cpu_to_be64(now);
	bulletin_copy(h->beat.news, node, peer->boot);
	side_say(&h->beat, now);
	__builtin_memcpy(room->eth.h_dest, n->zgc_mac, 6);
	mac_of_config(room->eth.h_source, cfg.zgc_mac);
	room->eth.h_proto = bpf_htons(ETH_P_IP);
	underlay_write(&h->ip, &h->udp, cfg.zgc_ip.in6_u.u6_addr32[3], address_v4(&n->zgc_ip),
		       bpf_htons(BEAT_PORT), bpf_htons(BEAT_PORT), sizeof(h->beat));
	if (!bpf_skb_store_bytes(skb, 0, &room->eth, PACE_BYTES, 0))
		bpf_clone_redirect(skb, cfg.zgc_ifindex, 0);
	return peer->alive;
}

// Gratuitous ARP (RFC 5227 section 3: the request form): switches learn where the entrance is now,
// and hosts its MAC. The frame is short for that time, so that it carries nothing else to hosts.
inlined int announce(struct __sk_buff *skb, const struct entrance_value *e)
{
	struct pace_room *room = pace_room();
	struct announcement *a;

	if (!room)
		return 0;
	a = &room->announcement;
	__builtin_memset(a, 0, sizeof(*a));
	__builtin_memset(a->eth.h_dest, 0xFF, 6);
	__builtin_memcpy(a->eth.h_source, e->mac, 6);
	a->eth.h_proto = bpf_htons(ETH_P_ARP);
	arp_request(&a->arp, address_v4(&e->ip), e->mac, address_v4(&e->ip));
	if (!bpf_skb_change_tail(skb, sizeof(*a), 0) &&
	    !bpf_skb_store_bytes(skb, 0, a, sizeof(*a), 0))
		bpf_clone_redirect(skb, cfg.tenant_ifindex, 0);
	return bpf_skb_change_tail(skb, PACE_BYTES, 0);
}

// A call to another forwarder. Returns when it was itself answered last, where that makes it one to
// give entrances to; of who has a carrier only, 1.
verified __u64 call_send(struct __sk_buff *skb, __u32 node, int silent)
{
	const struct node_value *n = bpf_map_lookup_elem(&nodes, &node);
	struct peer_value *peer = bpf_map_lookup_elem(&peers, &node);
	struct pace_room *room = pace_room();
	__u64 now = bpf_ktime_get_boot_ns();
	struct side_look *look;
	struct call_packet *h;
	__u32 only = 0;

	if (!n || !peer || !room || !n->forwarder || !address_is_v4(&n->tenant_ip))
		return 0;
	look = bpf_map_lookup_elem(&side_looks, &only);
	if (look && look->echo_ns < peer->echo_ns)
		look->echo_ns = peer->echo_ns;
	peer->number[1] = peer->number[0];
	peer->called_ns[1] = peer->called_ns[0];
	peer->number[0] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	peer->called_ns[0] = now;
	h = &room->call;
	h->call = (struct call){
		.version = CALL_VERSION,
		.kind = CALL,
		.from = bpf_htonl(cfg.node),
		.to = bpf_htonl(node),
		.cluster = bpf_htonl(cfg.cluster),
		.number = peer->number[0],
	};
	__builtin_memcpy(room->call_eth.h_dest, n->tenant_mac, 6);
	mac_of_config(room->call_eth.h_source, cfg.tenant_mac);
	room->call_eth.h_proto = bpf_htons(ETH_P_IP);
	underlay_write(&h->ip, &h->udp, cfg.tenant_ip.in6_u.u6_addr32[3], address_v4(&n->tenant_ip),
		       bpf_htons(CALL_PORT), bpf_htons(CALL_PORT), sizeof(h->call));
	if (!silent && !bpf_skb_store_bytes(skb, 0, &room->call_eth, CALL_BYTES, 0))
		bpf_clone_redirect(skb, cfg.tenant_ifindex, 0);
	if (!peer->alive || peer->away || peer->side == SIDE_DOWN)
		return 0;
	return peer->answered_ns ?: 1;
}

// A host is asked for its MAC, which it is known to have.
verified int heard_host_ask(struct __sk_buff *skb, __u32 i)
{
	struct heard_host *w = bpf_map_lookup_elem(&heard_hosts, &i);
	struct pace_room *room = pace_room();
	struct announcement *a;

	if (!w || !room || !w->ip)
		return 0;
	w->asked_ns = bpf_ktime_get_boot_ns();
	a = &room->announcement;
	__builtin_memset(a, 0, sizeof(*a));
	__builtin_memcpy(a->eth.h_dest, w->mac, 6);
	mac_of_config(a->eth.h_source, cfg.tenant_mac);
	a->eth.h_proto = bpf_htons(ETH_P_ARP);
	arp_request(&a->arp, cfg.tenant_ip.in6_u.u6_addr32[3], a->eth.h_source, w->ip);
	if (!bpf_skb_store_bytes(skb, 0, a, sizeof(*a), 0))
		bpf_clone_redirect(skb, cfg.tenant_ifindex, 0);
	return 0;
}

// Whether a call of this node's that nobody has answered was made between two of forwarders that
// were, soon one after the other: so it goes on for others what has ended here. Where it ends or
// begins for all, no call lies between two such ones, however late anybody is.
inlined int side_behind(struct side_look *look, __u64 answered, __u64 best, __u64 now, __u32 late)
{
	const __u64 beat = BEAT_NS * (1 + late);
	__u64 known = best > answered ? best : answered;

	if (look->asked_ns <= answered)
		look->asked_ns = 0;
	else if (best > look->asked_ns + beat / 8)
		return 1;
	if (!look->asked_ns || now - look->asked_ns > beat * 7 / 2)
		look->asked_ns = known && now - known < beat * 5 / 2 ? now : 0;
	return 0;
}

// Who gives his entrances away. He who was answered last of all never does, so that somebody
// serves. They are taken back when calls have been answered for some time, or when there is nobody
// better any more.
inlined int side_away(const struct peer_value *own, struct side_look *look, __u64 best,
		      const struct pulse_value *p, __u64 now)
{
	int behind = side_behind(look, own->answered_ns, best, now, p->late);

	if (own->side == SIDE_DOWN) {
		look->since_ns = 0;
		return best != 0;
	}
	if (!own->answered_ns || now - own->answered_ns >= suspect_ns(p)) {
		look->since_ns = 0;
		return behind;
	}
	if (!look->since_ns)
		look->since_ns = now;
	return own->away && best && now - look->since_ns < BEAT_NS * SETTLE_BEATS;
}

// Whether this node has yet to serve for the first time: it hears and answers, but follows no
// entrance, or does not know every chain. Who would take it for an owner would send hosts' packets
// nowhere.
inlined int pulse_begins(const struct pulse_value *p, const struct pacer_value *told)
{
	return !p->served && (!pulse_settled(p) || told->lacks);
}

// The round on the tenants' network. The frame is short for that time, so that it carries nothing
// else to hosts.
verified int side_round(struct __sk_buff *skb, const struct pacer_value *told,
			const struct pulse_value *p)
{
	__u64 now = bpf_ktime_get_boot_ns(), best = 0, theirs;
	struct peer_value *own = side_own();
	__u32 only = 0, i;
	struct side_look *look = bpf_map_lookup_elem(&side_looks, &only);

	if (!told || !p || !own || !look)
		return 0;
	own->side = told->side;
	if (told->side == SIDE_UNKNOWN || told->side == SIDE_SAME) {
		own->away = pulse_begins(p, told);
		return 0;
	}
	if (bpf_skb_change_tail(skb, CALL_BYTES, 0))
		return -1;
	LOOPED
	for (i = 0; i < MAX_CALLS; i++) {
		if (i >= told->calls)
			break;
		theirs = call_send(skb, told->call[i], !told->fit);
		best = theirs > best ? theirs : best;
	}
	if (told->fit && told->calls && now - look->echo_ns >= BEAT_NS * 3 / 2) {
		LOOPED
		for (i = 0; i < MAX_HEARD_HOSTS; i++)
			heard_host_ask(skb, i);
	}
	if (pulse_begins(p, told))
		own->away = 1;
	else if (pulse_settled(p))
		own->away = side_away(own, look, best, p, now);
	return bpf_skb_change_tail(skb, PACE_BYTES, 0);
}

// Who of an entrance's list is alive, as bits; this node is, if it may serve at all. Who is away
// counts only where there is nobody else.
inlined __u32 entrance_alive(const struct entrance_value *e, int able)
{
	__u32 alive = 0, away = 0;

	LOOPED
	for (__u32 i = 0; i < MAX_PREFERENCES; i++) {
		__u32 node = e->preference[i];
		const struct peer_value *p = bpf_map_lookup_elem(&peers, &node);

		if (i < e->preferences && p && (node == cfg.node ? able : p->alive))
			*(p->away ? &away : &alive) |= 1 << i;
	}
	return alive ?: away;
}

// Who owns the entrance now. MAX_NODES: nobody.
inlined __u32 entrance_owner(const struct entrance_value *e, __u32 alive, int able)
{
	if (!e->preferences)
		return e->owner != cfg.node || able ? e->owner : MAX_NODES;
	LOOPED
	for (__u32 i = 0; i < MAX_PREFERENCES; i++)
		if (alive & 1 << i)
			return e->preference[i];
	return MAX_NODES;
}

// Whether the entrance that is to be another node's stays this one's, which has owned it until now:
// that other one may have yet to hear of it. It ends when an announcement is heard from there.
inlined int entrance_kept(const struct entrance_value *e, const struct entrance_value *duty,
			  const struct handover_value *hand, int able)
{
	const struct peer_value *own = side_own();

	return e->live && duty->live && duty->owner == cfg.node &&
	       address_equal(&e->ip, &duty->ip) && able && own && !own->away && !hand->claimed;
}

// What this node has to do with one entrance from now on.
verified int entrance_follow(struct __sk_buff *skb, __u32 i, int able, int awoke)
{
	const struct entrance_value *e = bpf_map_lookup_elem(&entrances, &i);
	struct entrance_value *duty = bpf_map_lookup_elem(&duties, &i);
	struct handover_value *hand = bpf_map_lookup_elem(&handovers, &i);
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 owner, alive;
	int mine;

	if (!e || !duty || !hand || (!e->live && !duty->live))
		return 0;
	alive = entrance_alive(e, able);
	owner = e->live ? entrance_owner(e, alive, able) : MAX_NODES;
	if (owner == cfg.node)
		hand->claimed = 0;
	else if (entrance_kept(e, duty, hand, able))
		owner = cfg.node;
	mine = owner == cfg.node;
	// Who was taken for dead may have been replaced meanwhile, and switches have learned that.
	if (mine && (duty->owner != owner || !duty->live || alive & ~hand->alive || awoke)) {
		hand->occasions++;
		hand->again = 0;
		hand->next_ns = now;
	}
	hand->alive = alive;
	if (duty->owner != owner || !duty->live)
		hand->since_ns = now;
	// The former owner serves what still reaches it, so that nothing is lost where an entrance
	// is handed over. Who never served it has nothing of the kind.
	duty->serves = mine || (e->live && able && duty->serves &&
				now - hand->since_ns < HANDOVER_MS * 1000000ull);
	duty->ip = e->ip;
	// Only the owner may use the entrance's MAC: switches learn from it.
	if (mine)
		__builtin_memcpy(duty->mac, e->mac, 6);
	else
		mac_of_config(duty->mac, cfg.tenant_mac);
	duty->owner = owner;
	duty->live = e->live;
	if (!mine || now < hand->next_ns)
		return 0;
	// At once, soon, for what was on its way then, and from then on.
	hand->next_ns =
		now + (hand->again ? ANNOUNCE_MS * 1000000ull : BEAT_NS * SUSPECT_BEATS * 2);
	hand->again = 1;
	return announce(skb, e);
}

// The frame is as it was, for the next round.
inlined int pace_on(struct __sk_buff *skb, const struct pacer_value *told)
{
	struct pace_frame frame = {
		.eth.h_proto = bpf_htons(PACE_PROTOCOL),
		.generation = told->generation,
	};

	if (bpf_skb_store_bytes(skb, 0, &frame, sizeof(frame), 0))
		return TC_ACT_SHOT;
	return bpf_redirect(told->ifindex, 0);
}

SEC("tc")
int pacemaker(struct __sk_buff *skb)
{
	const struct pace_frame *frame = (void *)(long)skb->data;
	__u32 only = 0, heard = 0, i;
	const struct pacer_value *told = bpf_map_lookup_elem(&pacer, &only);
	struct pulse_value *p = bpf_map_lookup_elem(&pulse, &only);
	int settled, able;
	__u64 now = bpf_ktime_get_boot_ns();

	if (!told || !p || skb->len != PACE_BYTES ||
	    (void *)(frame + 1) > (void *)(long)skb->data_end ||
	    frame->eth.h_proto != bpf_htons(PACE_PROTOCOL) || frame->generation != told->generation)
		return TC_ACT_SHOT;
	settled = pulse_settled(p);
	pulse_count(p, now);
	bulletin_compose(now);
	if (side_round(skb, told, p))
		return TC_ACT_SHOT;
	LOOPED
	for (i = 0; i < MAX_BEATS; i++) {
		if (i >= told->beats)
			break;
		heard += beat_send(skb, i, suspect_ns(p), pulse_settled(p), !told->fit);
	}
	// A node that hears none of several others is cut off itself, and would take entrances from
	// those who serve them. Who hears somebody again may hear the others a round later.
	able = told->fit && (cfg.roles & ROLE_FWD) && ((heard && p->heard) || told->others < 2);
	p->heard = heard;
	if (!pulse_settled(p))
		return pace_on(skb, told);
	p->served |= told->fit && !told->lacks;
	LOOPED
	for (i = 0; i < MAX_ENTRANCES; i++)
		if (entrance_follow(skb, i, able, !settled))
			return TC_ACT_SHOT;
	return pace_on(skb, told);
}

// Run once by the loader, with a frame: has it circle.
SEC("tc")
int seed(struct __sk_buff *skb)
{
	__u32 only = 0;
	const struct pacer_value *told = bpf_map_lookup_elem(&pacer, &only);

	return told ? bpf_clone_redirect(skb, told->ifindex, 0) : TC_ACT_SHOT;
}

verified int beat_is_of(__u32 i, __u32 chain)
{
	const struct beat_to_value *to = bpf_map_lookup_elem(&beat_to, &i);
	int is = 0;

	LOOPED
	for (__u32 k = 0; to && k < BEAT_CHAINS; k++)
		is |= k < to->chains && to->chain[k] == chain;
	return is;
}

// Run by the loader when a chain that this node is in has another term, with a frame whose
// generation is its number: the lease is asked for at once. Until the next round comes this node
// could answer nothing.
SEC("tc")
int hasten(struct __sk_buff *skb)
{
	const struct pace_frame *frame = (void *)(long)skb->data;
	__u32 only = 0, chain, i;
	const struct pacer_value *told = bpf_map_lookup_elem(&pacer, &only);
	const struct pulse_value *p = bpf_map_lookup_elem(&pulse, &only);

	if (!told || !p || (void *)(frame + 1) > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	chain = frame->generation;
	LOOPED
	for (i = 0; i < MAX_BEATS; i++) {
		if (i >= told->beats)
			break;
		if (beat_is_of(i, chain))
			beat_send(skb, i, suspect_ns(p), 0, !told->fit);
	}
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
