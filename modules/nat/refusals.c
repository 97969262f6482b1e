// SPDX-License-Identifier: Apache-2.0
#include "modules/nat/refusals.h"

#include <bpf/bpf.h>
#include <string.h>

#include "lib/clock.h"
#include "shared/nat.h"
#include "shared/tenant.h"

#define REST_MS 1000

struct refusing {
	__u64 last_ns[NATS_TOLD];
	struct nat_refusals *to;
};

static void insert(struct refusing *r, const struct endpoint_key *key,
		   const struct nat_refusing_value *value)
{
	struct nat_refusal *told = r->to->told;
	__u32 at = r->to->count < NATS_TOLD ? r->to->count++ : NATS_TOLD;

	for (; at > 0 && value->last_ns > r->last_ns[at - 1]; at--) {
		if (at < NATS_TOLD) {
			told[at] = told[at - 1];
			r->last_ns[at] = r->last_ns[at - 1];
		}
	}
	if (at == NATS_TOLD)
		return;
	told[at] = (struct nat_refusal){
		.address = key->address, .vni = key->vni, .refused = value->refused};
	r->last_ns[at] = value->last_ns;
}

static void read_all(struct nat_refusals *refusals, const struct datapath *datapath, __u64 now)
{
	const int map = datapath->own[MAP_NAT_REFUSING];
	struct refusing r = {.to = refusals};
	struct nat_refusing_value value;
	struct endpoint_key key;
	__u32 i;

	refusals->count = 0;
	if (map < 0 || bpf_map_get_next_key(map, NULL, &key))
		return;
	// Who takes places while they are read may send the walk back to its beginning.
	for (i = 0; i < MAX_NAT_REFUSING; i++) {
		if (!bpf_map_lookup_elem(map, &key, &value) &&
		    value.last_ns / 1000000 + NAT_QUIET_MS > now)
			insert(&r, &key, &value);
		if (bpf_map_get_next_key(map, &key, &key))
			return;
	}
}

void nat_tell(struct nat_refusals *refusals, const struct datapath *datapath,
	      struct node_status *status)
{
	__u64 now = now_ms();

	if (now >= refusals->next_ms) {
		read_all(refusals, datapath, now);
		refusals->next_ms = now + REST_MS;
	}
	status->nats = refusals->count;
	memcpy(status->nat, refusals->told, sizeof(status->nat));
}
