// SPDX-License-Identifier: Apache-2.0
// Any bytes as a tenant's frame in a tunnel: the data path's own reading functions, compiled for
// user space, must stay inside them (the address sanitizer watches), and must give a flow and its
// reverse one key.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "modules/overlay/overlay.bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int same_key(const struct flow *f, __u32 vni)
{
	struct flow back = {
		.source = f->destination,
		.destination = f->source,
		.source_port = f->destination_port,
		.destination_port = f->source_port,
	};

	make_key(&back, vni, f->key.protocol);
	return !memcmp(&back.key, &f->key, sizeof(back.key)) &&
	       key_hash(&back.key) == key_hash(&f->key);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t *copy;
	struct packet p = {};
	struct flow f = {};

	if (size < 1)
		return 0;
	// A copy of exactly that size, so that one byte too many is seen.
	copy = malloc(size - 1);
	if (!copy)
		return 0;
	memcpy(copy, bytes + 1, size - 1);
	p.data = copy;
	p.at = copy;
	p.end = copy + size - 1;
	if (!overlay_open(&p, bytes[0] & 1 ? OVERLAY_GENEVE : OVERLAY_VXLAN) &&
	    p.inner.eth->h_proto == bpf_htons(ETH_P_IP) && !read_inner_ipv4(&p) &&
	    !read_flow(&p, &f) && !same_key(&f, p.vni))
		abort();
	free(copy);
	return 0;
}
