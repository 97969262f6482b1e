/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// A network function for tests: what is sent to an address and port of map "translations" goes to
// others, and from others. What a translation has as 0 stays as it is.
#include "datapath/evaluation.bpf.h"
#include "datapath/translator.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct translator_key);
	__type(value, struct translation);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} translations SEC(".maps");

inlined int is_set(const struct in6_addr *address)
{
	return address->in6_u.u6_addr32[3];
}

SEC("xdp")
int translator(struct xdp_md *ctx)
{
	struct evaluation *e = evaluation_now();
	struct translator_key key = {};
	const struct translation *found;
	struct translation t;

	if (!e)
		return finish(ctx, BUG);
	key.address = e->destination;
	key.port = e->destination_port;
	key.protocol = e->protocol;
	found = bpf_map_lookup_elem(&translations, &key);
	if (!found)
		return function_next(ctx, e);
	if (!evaluation_begins(e)) {
		e->undecidable = 1;
		return function_refuse(ctx, e, DECIDE_DROP, NO_SESSION);
	}
	if (e->again) {
		t = e->translation;
	} else {
		t = *found;
		if (!is_set(&t.source))
			t.source = e->source;
		if (!is_set(&t.destination))
			t.destination = e->destination;
		if (!t.source_port)
			t.source_port = e->source_port;
		if (!t.destination_port)
			t.destination_port = e->destination_port;
		vni_put(t.vni, e->vni);
	}
	evaluation_translate(e, &t);
	return function_next(ctx, e);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
