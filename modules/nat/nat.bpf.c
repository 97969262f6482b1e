/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Network address translation (RFC 3022): what leaves a VPC for an external one has an address of
// that one's from here on. All functions after this one see it so, and what goes back as well.
#include "datapath/evaluation.bpf.h"
#include "modules/nat/nat.bpf.h"
#include "modules/subnet/subnet.bpf.h"
#include "shared/key.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAT_SUBNETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct nat_source_value);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} nat_sources SEC(".maps");

// What is refused here is asked again with the next packet: the same key may be another's answer by
// then.
inlined int refuse_once(struct xdp_md *ctx, struct evaluation *e, enum verdict reason)
{
	e->undecidable = 1;
	return function_refuse(ctx, e, DECIDE_DROP, reason);
}

// All connections of an endpoint have one of the addresses (RFC 4787 REQ-2).
inlined const struct in6_addr *address_for(const struct nat_source_value *from,
					   const struct in6_addr *inside)
{
	struct session_key key = {.a = *inside};
	__u32 place;

	if (!from->addresses)
		return NULL;
	place = (__u32)(key_hash(&key) >> 32) % from->addresses;
	asm volatile("" : "+r"(place)); // the verifier has to see the next line
	return &from->address[place & (MAX_NAT_ADDRESSES - 1)];
}

// Whether an address is one of those still.
inlined int has_address(const struct nat_source_value *from, const struct in6_addr *address)
{
	__u32 i;

	LOOPED
	for (i = 0; i < MAX_NAT_ADDRESSES; i++)
		if (i < from->addresses && address_equal(&from->address[i], address))
			return 1;
	return 0;
}

// Whether there is something in the packet that tells connections of one address apart.
inlined int has_port(const struct evaluation *e)
{
	if (e->fragment)
		return 0;
	return e->protocol == IPPROTO_TCP || e->protocol == IPPROTO_UDP ||
	       e->protocol == IPPROTO_ICMP;
}

// Where a NAT has what leaves the VPC come from. NULL: it does not leave, or there is none.
inlined const struct nat_source_value *leaves_by(const struct evaluation *e)
{
	const struct subnet_value *from = subnet_of(e->vni, &e->source);
	__u32 number;

	if (!from || subnet_of(e->vni, &e->destination))
		return NULL;
	number = from->subnet;
	return bpf_map_lookup_elem(&nat_sources, &number);
}

SEC("xdp")
int nat(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	const struct nat_source_value *from;
	const struct in6_addr *address;
	struct translation t;

	if (!e)
		return finish(ctx, BUG);
	// A load balancer's backend is in the VPC.
	if (e->translated)
		return function_next(ctx, e);
	if (nat_address_find(e->vni, &e->destination))
		return refuse_once(ctx, e, NAT_UNSOLICITED);
	from = leaves_by(e);
	if (!from)
		return function_next(ctx, e);
	if (e->again) {
		t = e->translation;
		if (!t.flags || vni_of(t.vni) != from->vni || !has_address(from, &t.source))
			return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
		evaluation_translate(e, &t);
		return function_next(ctx, e);
	}
	if (!evaluation_begins(e))
		return refuse_once(ctx, e, NO_SESSION);
	if (!has_port(e))
		return function_refuse(ctx, e, DECIDE_UNREACHABLE, NAT_NO_PORT);
	address = address_for(from, &e->source);
	if (!address)
		return function_next(ctx, e);
	t = (struct translation){
		.source = *address,
		.destination = e->destination,
		.source_port = e->source_port,
		.destination_port = e->destination_port,
	};
	vni_put(t.vni, from->vni);
	evaluation_translate(e, &t);
	evaluation_choose(e, NAT_FIRST_PORT, NAT_PORTS);
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
