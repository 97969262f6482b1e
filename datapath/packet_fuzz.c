// SPDX-License-Identifier: Apache-2.0
// Any bytes as a tenant's frame in a tunnel, as an op between nodes and as an OAM message: the data
// path's own reading functions, compiled for user space, must stay inside them (the address
// sanitizer watches). A flow and its reverse must have one key; a record must come out of an op as
// it was put in.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "modules/chain/chain.bpf.h"
#include "modules/directpath/oam.bpf.h"
#include "modules/overlay/overlay.bpf.h"

const volatile struct gateway_config cfg;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int same_key(const struct flow *f, __u32 vni, int six)
{
	const struct in6_addr source = flow_source(f), destination = flow_destination(f);
	struct flow back = {
		.source_port = f->destination_port,
		.destination_port = f->source_port,
		.no_echo = f->no_echo,
	};

	if (six)
		make_key6(&back, &destination, &source, vni, f->key.protocol);
	else
		make_key(&back, (struct ends){address_v4(&destination), address_v4(&source)}, vni,
			 f->key.protocol);
	// No IPv6 flow has the key of an IPv4 one.
	if (six && (address_is_v4(&f->key.a) || address_is_v4(&f->key.b)))
		return 0;
	return !memcmp(&back.key, &f->key, sizeof(back.key)) && key_canonical(&f->key) &&
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
	d->op.op = DFT_LOOKUP + d->op.op % (DFT_OPS - DFT_LOOKUP);
	d->geneve.protocol = bpf_htons(op_keyed(d->op.op) ? DFT_KEYED : GENEVE_ETHERNET);
	option_write(&d->op.header, DFT_OPTION_OP, sizeof(d->op));
	option_write(&d->towards[0].header, DFT_OPTION_DECISION, sizeof(d->towards[0]));
	option_write(&d->towards[1].header, DFT_OPTION_DECISION, sizeof(d->towards[1]));
	option_write(&d->translation.header, DFT_OPTION_TRANSLATION, sizeof(d->translation));
	d->op.version = DFT_VERSION;
}

// A key that an op names is one that a packet could have, in the op's bucket.
static int sound_key(struct packet *p, struct dft_packet *d)
{
	struct session_key key = {}, swapped;
	__u32 serial;

	// What chance does not write in time either.
	if (p->end - p->at >= (long)sizeof(struct dft_keyed)) {
		memcpy(&key, p->at, sizeof(key));
		memcpy(d->geneve.vni, key.vni, sizeof(key.vni));
		d->op.bucket = bpf_htonl((__u32)key_hash(&key) % BUCKETS);
	}
	if (op_key(p, d, &key, &serial))
		return 1;
	swapped = key;
	swapped.a = key.b;
	swapped.b = key.a;
	swapped.a_port = key.b_port;
	swapped.b_port = key.a_port;
	return !memcmp(&swapped, &key, sizeof(key)) || !key_canonical(&swapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct oam_message m;
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
	    !read_flow(&p, &f) && !same_key(&f, p.vni, 0))
		abort();
	// Chance writes few IPv6 headers that are one: the same bytes as such a packet too.
	p.at = copy;
	memset(&f, 0, sizeof(f));
	if (size > sizeof(struct ipv6_header))
		*copy = IPV6_VERSION | (*copy & 0x0F);
	if (!read_inner_ipv6(&p, &f) && !same_key(&f, p.vni, 1))
		abort();
	if (size > 1)
		*copy = bytes[1];
	p.at = copy;
	d = op_of(&p);
	if (d && bytes[0] & 2)
		dress(d);
	if (d && op_valid(d) && !same_record(d))
		abort();
	if (d && bytes[0] & 2 && !op_valid(d))
		abort();
	if (d && op_valid(d) && op_has_key(d) && !op_of_bucket(d) && !sound_key(&p, d))
		abort();
	p.at = copy;
	if (!oam_read(&p, size - 1, &m) && m.inject &&
	    (!m.host ||
	     (size - 1 != sizeof(struct oam_inject) && size - 1 != sizeof(struct oam_inject6))))
		abort();
	free(copy);
	return 0;
}
