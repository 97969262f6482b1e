/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Network address translation (RFC 3022): what leaves a VPC for an external one has an address of
// that one's from here on, and what comes for such an address goes to whom it stands for; one
// packet may do both. All functions after this one see it so, and what goes back as well.
#include "datapath/evaluation.bpf.h"
#include "modules/nat/nat.bpf.h"
#include "modules/route/route.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "shared/key.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAT_INSIDE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, struct nat_floating_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nat_floating SEC(".maps");

// What is refused here is asked again with the next packet: the same key may be another's answer by
// then.
inlined int refuse_once(struct xdp_md *ctx, struct evaluation *e, enum verdict reason)
{
	e->undecidable = 1;
	return function_refuse(ctx, e, DECIDE_DROP, reason);
}

// Whether there is something in the packet that tells connections of one address apart.
inlined int has_port(const struct evaluation *e)
{
	return e->protocol == IPPROTO_TCP || e->protocol == IPPROTO_UDP ||
	       e->protocol == IPPROTO_ICMP;
}

// What a packet becomes on one of its ways.
enum way {
	STAYS,
	GOES,	// one address for another
	SHARES, // an address of several: by a port that is free
	NOBODYS,
	PORTLESS,
	ASKS, // what a mapping says: out, when the packet may go; in, first
	ENDS, // what its mapping says is over
};

inlined int can_be_mapped(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

// Out of the VPC.
inlined enum way go_out(const struct evaluation *e, struct translation *t)
{
	const struct endpoint_key inside = {.vni = e->vni, .address = e->source};
	const struct subnet_value *subnet = subnet_of(e->vni, &e->source);
	const struct nat_floating_value *floating;
	const struct nat_source_value *from;
	const struct in6_addr *address;
	__u32 number;

	if (!subnet || subnet_of(e->vni, &e->destination) ||
	    route_of(e->vni, &e->destination, NULL))
		return STAYS;
	floating = bpf_map_lookup_elem(&nat_floating, &inside);
	if (floating) {
		t->source = floating->address;
		vni_put(t->vni, floating->vni);
		return GOES;
	}
	number = subnet->subnet;
	from = bpf_map_lookup_elem(&nat_sources, &number);
	address = from ? nat_address_for(from, &e->source) : NULL;
	if (!address)
		return STAYS;
	if (!has_port(e))
		return PORTLESS;
	t->source = *address;
	vni_put(t->vni, from->vni);
	if (e->again) {
		t->source_port = e->translation.source_port;
		if (e->protocol == IPPROTO_ICMP)
			t->destination_port = t->source_port;
		if (nat_has_address(from, &e->translation.source))
			t->source = e->translation.source;
		return SHARES;
	}
	if (!from->maps || !can_be_mapped(e->protocol) || !e->source_port)
		return SHARES;
	if (!(e->mapping.flags & TRANSLATION_MAPS_SOURCE))
		return e->anew ? SHARES : ASKS;
	if (!nat_has_address(from, &e->mapping.source))
		return ENDS;
	t->source = e->mapping.source;
	t->source_port = e->mapping.source_port;
	return GOES;
}

// The destination, an address that is shared, is what a mapping says (or said when the session
// began), where one has it.
inlined enum way come_in_mapped(const struct evaluation *e, const struct nat_address_value *behind,
				struct translation *t)
{
	const struct translation *is = e->again ? &e->translation : &e->mapping;
	const struct nat_source_value *from;
	const struct subnet_value *subnet;
	__u32 number;

	if (!behind->open || !can_be_mapped(e->protocol))
		return NOBODYS;
	if (!(e->mapping.flags & TRANSLATION_MAPS_DESTINATION))
		return e->again || e->anew ? NOBODYS : ASKS;
	// The address may have been another VPC's when the mapping began.
	if (vni_of(is->vni) != behind->vni)
		return NOBODYS;
	// And whose it is may share it no more.
	subnet = subnet_of(behind->vni, &is->destination);
	number = subnet ? subnet->subnet : 0;
	from = subnet ? bpf_map_lookup_elem(&nat_sources, &number) : NULL;
	if (!from || !from->maps || !nat_has_address(from, &t->destination))
		return NOBODYS;
	t->destination = is->destination;
	t->destination_port = is->destination_port;
	return GOES;
}

// To whom an address of the external VPC stands for, which the translation has got to so far.
// *chain becomes the address' service chain.
inlined enum way come_in(const struct evaluation *e, struct translation *t, __u32 *chain)
{
	const __u32 vni = vni_of(t->vni);
	const struct nat_address_value *behind = nat_address_find(vni, &t->destination);
	struct nat_forward_key key = {.vni = vni,
				      .address = t->destination,
				      .port = t->destination_port,
				      .protocol = e->protocol};
	const struct nat_forward_value *forward;
	enum way way;

	if (!behind)
		return STAYS;
	if (address_is_v4(&behind->inside)) {
		t->destination = behind->inside;
		*chain = behind->chain;
	} else {
		forward = bpf_map_lookup_elem(&nat_forwards, &key);
		if (forward) {
			t->destination = forward->inside;
			t->destination_port = forward->port;
			*chain = forward->chain;
		} else if ((way = come_in_mapped(e, behind, t)) != GOES) {
			return way;
		}
	}
	vni_put(t->vni, behind->vni);
	return GOES;
}

// Whether the session's translation is the one that it would have now.
inlined int stands(const struct evaluation *e, const struct translation *t)
{
	const struct translation *was = &e->translation;

	return was->flags && address_equal(&was->source, &t->source) &&
	       address_equal(&was->destination, &t->destination) &&
	       was->source_port == t->source_port && was->destination_port == t->destination_port &&
	       vni_of(was->vni) == vni_of(t->vni);
}

// The kernel's calls that it takes to ask for mappings are missing for functions: where one node is
// all that is asked, up to so many, and, whose the destination is, the functions up to this one a
// second time.
inlined void charge(struct evaluation *e)
{
	if ((e->mapping.flags | e->asks) & TRANSLATION_MAPS_SOURCE)
		e->met += MAPPING_CALLS;
	if (e->mapping.flags & TRANSLATION_MAPS_DESTINATION)
		e->met += MAPPING_CALLS + e->next;
}

SEC("xdp")
int nat(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	enum way out, in;
	struct translation t;
	__u32 chain = 0;

	if (!e)
		return finish(ctx, BUG);
	// A load balancer's backend is in the VPC.
	if (e->translated)
		return function_next(ctx, e);
	t = (struct translation){
		.source = e->source,
		.destination = e->destination,
		.source_port = e->source_port,
		.destination_port = e->destination_port,
	};
	vni_put(t.vni, e->vni);
	out = go_out(e, &t);
	in = come_in(e, &t, &chain);
	if (out == STAYS && in == STAYS)
		return function_next(ctx, e);
	if (!e->again && !evaluation_begins(e))
		return refuse_once(ctx, e, NO_SESSION);
	if (out == PORTLESS)
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NAT_NO_PORT);
	if (in == NOBODYS)
		return refuse_once(ctx, e, NAT_UNSOLICITED);
	if (out == ENDS)
		return refuse_once(ctx, e, SESSION_ENDING);
	if (in == ASKS) {
		__builtin_memcpy(e->mapping.vni, t.vni, 3);
		return function_asks(ctx, e);
	}
	if (e->again && !stands(e, &t))
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	if (out == ASKS)
		e->asks = TRANSLATION_MAPS_SOURCE;
	charge(e);
	e->later[LATER_ADDRESS] = chain;
	evaluation_translate(e, &t);
	// Functions are told the port inside, also where the one outside is known already.
	if (e->mapping.flags & TRANSLATION_MAPS_SOURCE && !e->again)
		e->source_port = evaluation_origin_port(e);
	if (out == SHARES && !e->again)
		evaluation_choose(e, NAT_FIRST_PORT, NAT_PORTS);
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
