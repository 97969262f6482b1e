// SPDX-License-Identifier: Apache-2.0
// Any bytes as a tenant's frame in a tunnel: the data path's own reading functions, compiled for
// user space, must stay inside them (the address sanitizer watches), and must give a flow and its
// reverse one key.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "modules/chain/chain.bpf.h"
#include "modules/overlay/overlay.bpf.h"

const volatile struct gateway_config cfg;

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

static int same_record(const struct dft_packet *d)
{
	struct dft_packet again = *d;
	struct dft_record record, second;

	record_read(d, &record);
	record_write(&again, &record);
	record_read(&again, &second);
	return dft_record_equal(&record, &second);
}

// What chance does not write in time: the bytes that make an op one of ours.
static void dress(struct dft_packet *d)
{
	d->geneve.version_length = DFT_OPTIONS_BYTES / 4;
	d->geneve.flags = GENEVE_CRITICAL;
	d->geneve.protocol = bpf_htons(GENEVE_ETHERNET);
	option_write(&d->op.header, DFT_OPTION_OP, sizeof(d->op));
	option_write(&d->towards[0].header, DFT_OPTION_DECISION, sizeof(d->towards[0]));
	option_write(&d->towards[1].header, DFT_OPTION_DECISION, sizeof(d->towards[1]));
	d->op.version = DFT_VERSION;
	d->op.op = DFT_LOOKUP + d->op.op % DFT_INVALIDATE;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct dft_packet *d;
	struct packet p = {};
	struct flow f = {};
	uint8_t *copy;

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
	p.at = copy;
	d = op_of(&p);
	if (d && bytes[0] & 2)
		dress(d);
	if (d && op_valid(d) && !same_record(d))
		abort();
	if (d && bytes[0] & 2 && !op_valid(d))
		abort();
	free(copy);
	return 0;
}
