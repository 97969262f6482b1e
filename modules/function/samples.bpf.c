/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Network functions for tests, one for each SAMPLE_: good ones, and every way to be a bad one.
#include <zeta/nf.h>

#define MAY 0

#if defined(SAMPLE_PORT) // refuses a port, remembers the rest
#undef MAY
#define MAY ZETA_MAY_DROP | ZETA_MAY_REMEMBER
struct zeta_config {
	__be16 port;
	__u8 small[3];
	__u32 number;
	__u64 large;
	struct in6_addr peer;
	__be32 network[2];
};
struct count {
	__u64 packets;
};
ZETA_MAP(counts, BPF_MAP_TYPE_LRU_HASH, __u32, struct count, 16);
ZETA_FIRST_PACKET(p, config)
{
	const struct count one = {1};

	zeta_map_update(&counts, &p->vni, &one, BPF_ANY);
	p->reason = config->small[2];
	if (p->destination_port == config->port)
		return ZETA_DROP;
	p->remember = 1;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_VIEW) // as port, unless something of what it is told is not so
#undef MAY
#define MAY ZETA_MAY_DROP
struct zeta_config {
	__u64 since_s;
	struct in6_addr source;
	struct in6_addr destination;
	__be16 source_port;
	__be16 destination_port;
};
ZETA_FIRST_PACKET(p, config)
{
	p->reason = p->abi != ZETA_NF_ABI					       ? 1
		    : p->vni != 0x0100A1					       ? 2
		    : p->protocol != 17						       ? 3
		    : p->what != ZETA_CONFIGURED				       ? 4
		    : p->time_s < config->since_s || p->time_s > config->since_s + 100 ? 5
		    : p->source.s6_addr32[3] != config->source.s6_addr32[3] ||
				    p->destination.s6_addr32[3] != config->destination.s6_addr32[3]
			    ? 6
		    : p->source_port != config->source_port ||
				    p->destination_port != config->destination_port ||
				    p->source_mac[5] != 1 || p->destination_mac[5] != 2
			    ? 7
			    : 0;
	return p->reason ? ZETA_DROP : ZETA_NEXT;
}
#elif defined(SAMPLE_END)
#undef MAY
#define MAY ZETA_MAY_END
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_DONE;
}
#elif defined(SAMPLE_ASK) // about one port; "open" says who goes on where nobody can be asked
#undef MAY
#define MAY ZETA_MAY_ASK | ZETA_MAY_DROP | ZETA_MAY_REMEMBER
struct zeta_config {
	__be16 port;
	__u8 open;
};
ZETA_FIRST_PACKET(p, config)
{
	if (p->destination_port != config->port)
		return ZETA_NEXT;
	p->unheard = config->open;
	p->note = 0x12345678;
	p->remember = 1;
	return ZETA_ASK;
}
#elif defined(SAMPLE_ASK_ONLY)
#undef MAY
#define MAY ZETA_MAY_ASK
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_ASK;
}
#elif defined(SAMPLE_UNDECLARED_ASK)
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_ASK;
}
#elif defined(SAMPLE_UNHEARD)
#undef MAY
#define MAY ZETA_MAY_ASK
ZETA_FIRST_PACKET(p, config)
{
	p->unheard = ZETA_DONE;
	return ZETA_ASK;
}
#elif defined(SAMPLE_HOLD)
#undef MAY
#define MAY ZETA_MAY_HOLD
ZETA_FIRST_PACKET(p, config)
{
	p->hold = 1;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_EVERY) // marks with 46, drops odd lengths
#undef MAY
#define MAY ZETA_MAY_DROP | ZETA_MAY_MARK
ZETA_EVERY_PACKET(p, config)
{
	p->reason = 2;
	if (p->bytes & 1)
		return ZETA_DROP;
	p->dscp = 46;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_MORE) // one more than it finds
#undef MAY
#define MAY ZETA_MAY_MARK
ZETA_EVERY_PACKET(p, config)
{
	p->dscp++;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_PARTS) // marks fragments of one flow, which is all that it lets pass
#undef MAY
#define MAY ZETA_MAY_DROP | ZETA_MAY_MARK
ZETA_EVERY_PACKET(p, config)
{
	if (p->source_port != __builtin_bswap16(5000) ||
	    p->destination_port != __builtin_bswap16(80) || p->protocol != 17)
		return ZETA_DROP;
	if (p->what & ZETA_FRAGMENT)
		p->dscp = 10;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_EDITS) // what may only be read
ZETA_FIRST_PACKET(p, config)
{
	p->vni++;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_UNDECLARED_DROP)
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_DROP;
}
#elif defined(SAMPLE_UNDECLARED_END)
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_DONE;
}
#elif defined(SAMPLE_UNDECLARED_REMEMBER)
ZETA_FIRST_PACKET(p, config)
{
	p->remember = 1;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_UNDECLARED_HOLD)
ZETA_FIRST_PACKET(p, config)
{
	p->hold = 1;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_REASON)
#undef MAY
#define MAY ZETA_MAY_DROP
ZETA_FIRST_PACKET(p, config)
{
	p->reason = ZETA_REASONS;
	return ZETA_DROP;
}
#elif defined(SAMPLE_ANSWER)
ZETA_FIRST_PACKET(p, config)
{
	return 7;
}
#elif defined(SAMPLE_EVERY_EDITS)
ZETA_EVERY_PACKET(p, config)
{
	p->ttl++;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_EVERY_MARKS) // undeclared
ZETA_EVERY_PACKET(p, config)
{
	p->dscp = 1;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_EVERY_DSCP)
#undef MAY
#define MAY ZETA_MAY_MARK
ZETA_EVERY_PACKET(p, config)
{
	p->dscp = 64;
	return ZETA_NEXT;
}
#elif defined(SAMPLE_EVERY_ANSWER)
ZETA_EVERY_PACKET(p, config)
{
	return ZETA_DONE;
}
#elif defined(SAMPLE_OUTSIDE) // the verifier does not like it
ZETA_FIRST_PACKET(p, config)
{
	return ((__u8 *)p)[p->destination_port];
}
#elif defined(SAMPLE_LONG)    // the verifier does, but it is too long
ZETA_FIRST_PACKET(p, config)
{
	__u32 sum = p->vni;

	for (__u32 i = 0; i < 30000; i++)
		sum = sum * 31 + zeta_random();
	return sum == 5 ? ZETA_NEXT : ZETA_DONE;
}
#elif defined(SAMPLE_HELPER)
static long (*const print)(const char *format, __u32 size) = (void *)6;
ZETA_FIRST_PACKET(p, config)
{
	print((const char *)p->config, 8);
	return ZETA_NEXT;
}
#elif defined(SAMPLE_GLOBAL)
int visible;
ZETA_FIRST_PACKET(p, config)
{
	return visible ? ZETA_NEXT : ZETA_DONE;
}
#elif defined(SAMPLE_UNDEFINED) // one of the gateway's own maps
extern struct {
	int (*type)[BPF_MAP_TYPE_PERCPU_ARRAY];
} evaluations __attribute__((section(".maps")));
ZETA_FIRST_PACKET(p, config)
{
	__u32 zero = 0;

	return zeta_map_lookup(&evaluations, &zero) ? ZETA_NEXT : ZETA_DONE;
}
#elif defined(SAMPLE_WEAK)
__attribute__((weak)) ZETA_MAP(evaluations, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);
ZETA_FIRST_PACKET(p, config)
{
	__u32 zero = 0;

	return zeta_map_lookup(&evaluations, &zero) ? ZETA_NEXT : ZETA_DONE;
}
#elif defined(SAMPLE_SAME_MAP) // of the same name as one of the gateway's
ZETA_MAP(evaluations, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);
ZETA_FIRST_PACKET(p, config)
{
	__u32 zero = 0;

	return zeta_map_lookup(&evaluations, &zero) ? ZETA_NEXT : ZETA_DONE;
}
#elif defined(SAMPLE_PINNED)
struct {
	int (*type)[BPF_MAP_TYPE_PERCPU_ARRAY];
	int (*max_entries)[1];
	__u32 *key;
	__u64 *value;
	int (*pinning)[1];
} mine __attribute__((section(".maps"), used));
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_NEXT;
}
#elif defined(SAMPLE_KIND)
ZETA_MAP(programs, BPF_MAP_TYPE_PROG_ARRAY, __u32, __u32, 4);
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_NEXT;
}
#elif defined(SAMPLE_MEMORY)
ZETA_MAP(much, BPF_MAP_TYPE_HASH, __u64, __u64, 1 << 20);
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_NEXT;
}
#elif defined(SAMPLE_PROGRAM)
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_NEXT;
}
__attribute__((section("xdp"))) int program(struct xdp_md *ctx)
{
	return XDP_PASS;
}
#elif defined(SAMPLE_CONFIG)
struct zeta_config {
	int negative;
};
ZETA_FIRST_PACKET(p, config)
{
	return config->negative ? ZETA_NEXT : ZETA_DONE;
}
#elif defined(SAMPLE_NO_ENTRY)
#elif defined(SAMPLE_LICENSE)
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_NEXT;
}
#define LICENSE "Proprietary"
#elif defined(SAMPLE_NOTHING)
ZETA_FIRST_PACKET(p, config)
{
	return ZETA_NEXT;
}
#else
#error "which sample?"
#endif

#ifndef LICENSE
#define LICENSE "GPL"
#endif
ZETA_FUNCTION(LICENSE, MAY);
