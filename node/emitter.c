// SPDX-License-Identifier: Apache-2.0
#include "node/emitter.h"

#include <net/if.h>
#include <stdio.h>

#include "lib/hash.h"
#include "node/pins.h"
#include "node/veth.h"

#define LINK "emit"

// A name that no other node of this network namespace has.
static struct interface_name interface(const char *dir, char end)
{
	struct interface_name name = {};

	snprintf(name.text, sizeof(name.text), "zemit%08x%c", (__u32)hash_text(dir, 0), end);
	return name;
}

int emitter_start(const char *dir, int program)
{
	const struct interface_name first = interface(dir, 'a'), second = interface(dir, 'b');
	const struct interface_name like = {"lo"};
	int err = veth_make(&first, &second, veth_mtu(&like));

	if (err)
		return err;
	return link_place(dir, LINK, HOOK_XDP, if_nametoindex(first.text), program,
			  XDP_MODE_NATIVE);
}

void emitter_stop(const char *dir)
{
	const struct interface_name first = interface(dir, 'a');
	const unsigned int ifindex = if_nametoindex(first.text);

	link_drop(dir, LINK);
	if (ifindex)
		veth_delete(ifindex);
}
