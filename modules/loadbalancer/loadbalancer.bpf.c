/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Load balancer: a connection to an address that no endpoint has goes to one of its listener's
// backends, by a Maglev table. Runs first, so that all functions after it see the backend. Which
// one it is stays with the session, whatever becomes of the listener; only without the load
// balancer it ends. Where backends answer clients themselves nothing is translated.
#include "datapath/evaluation.bpf.h"
#include "modules/loadbalancer/loadbalancer.bpf.h"
#include "shared/key.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LISTENERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct listener_key);
	__type(value, struct listener_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} listeners SEC(".maps");

_Static_assert(!(MAX_BACKENDS & (MAX_BACKENDS - 1)), "a place is cut to it by a mask");

// What decides which backend it is: the connection, or where it comes from. Its upper half: the
// lower one has decided about the bucket.
inlined __u32 hash_of(const struct evaluation *e, const struct load_balancer_value *balancer)
{
	struct session_key key = e->key;

	if (balancer->by_source) {
		key = (struct session_key){.a = e->source};
		vni_put(key.vni, e->vni);
	}
	return key_hash(&key) >> 32;
}

// The place of the backend; the listener has some.
inlined __u32 choose(const struct listener_value *listener, __u32 hash,
		     const struct in6_addr *source)
{
	__u32 slot = hash % LISTENER_SLOTS, place;

	asm volatile("" : "+r"(slot)); // the verifier has to see the next line
	if (slot >= LISTENER_SLOTS)
		return 0;
	place = listener->slot[slot] & (MAX_BACKENDS - 1);
	// Nobody would answer himself: one of the others then.
	if (listener->backends > 1 && address_equal(&listener->backend[place], source))
		place = (place + 1 + hash % (listener->backends - 1)) % listener->backends;
	return place;
}

// The packet goes to the backend as it is, which answers the client as the load balancer.
inlined int hand_over(struct xdp_md *ctx, struct evaluation *e, const struct in6_addr *backend)
{
	e->next_hop = *backend;
	e->routed = 1;
	e->stateful = 1;
	return function_next(ctx, e);
}

verified int gets_new(const struct listener_value *listener, const struct in6_addr *backend)
{
	__u32 i;

	if (!listener || !backend)
		return 0;
	LOOPED
	for (i = 0; i < MAX_BACKENDS; i++)
		if (i < listener->backends && address_equal(&listener->backend[i], backend))
			return 1;
	return 0;
}

SEC("xdp")
int loadbalancer(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct load_balancer_value *balancer;
	const struct listener_value *listener;
	const struct in6_addr *former = NULL;
	struct listener_key key = {};
	struct translation t;
	__u32 place;

	if (!e)
		return finish(ctx, BUG);
	balancer = load_balancer_find(e->vni, &e->destination);
	if (!balancer)
		return function_next(ctx, e);
	e->later[LATER_ADDRESS] = balancer->chain;
	t = e->translation;
	if (balancer->direct && (e->again || e->anew))
		former = direct_backend_find(e->vni, &e->destination, e->forth.to_mac);
	if (e->again && balancer->direct) {
		// Of who is no backend any more, or was none. (Between two VPCs there is a
		// translation that changes no address.)
		if (!former || (t.flags && !address_equal(&t.destination, &e->destination)))
			return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
		return hand_over(ctx, e, former);
	}
	if (e->again) {
		// Of who had the address before it was a load balancer's.
		if (!t.flags)
			return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	} else {
		if (!evaluation_begins(e)) {
			e->undecidable = 1;
			return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
		}
		key.vni = e->vni;
		key.address = e->destination;
		key.port = e->destination_port;
		key.protocol = e->protocol;
		listener = bpf_map_lookup_elem(&listeners, &key);
		if (!listener)
			return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_LISTENER);
		if (!listener->backends)
			return function_refuse(ctx, e, DECIDE_UNREACHABLE, NO_BACKEND);
		place = choose(listener, hash_of(e, balancer), &e->source) & (MAX_BACKENDS - 1);
		t = (struct translation){
			.source = e->source,
			.destination = listener->backend[place],
			.source_port = e->source_port,
			.destination_port = listener->backend_port,
		};
		vni_put(t.vni, e->vni);
		if (!balancer->direct && e->anew && e->former.flags &&
		    e->former.destination_port == listener->backend_port)
			former = &e->former.destination;
		// Who begins anew where a session of his has just ended has its backend while that
		// gets new connections: with another one he would have to wait until no cache knows
		// that session. By source all of a client's go to the same one.
		if (former && !balancer->by_source && gets_new(listener, former))
			t.destination = *former;
		if (address_equal(&t.destination, &t.source))
			return function_refuse(ctx, e, DECIDE_UNREACHABLE, HAIRPIN);
		if (balancer->direct) {
			e->otherwise =
				e->anew && !(former && address_equal(former, &t.destination));
			return hand_over(ctx, e, &t.destination);
		}
	}
	evaluation_translate(e, &t);
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
