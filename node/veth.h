/* SPDX-License-Identifier: Apache-2.0 */
// The pair of virtual interfaces through which a forwarder makes OAM frames (shared/steps.h), and
// word of interfaces that come and go: the loader's rtnetlink.
#pragma once

#include "node/tables.h"

// Has a pair of these names exist, both ends up and without ARP, with the MTU of a third interface
// as far as native XDP can have it. Returns 0 or a negative errno.
int veth_make(const struct interface_name *first, const struct interface_name *second,
	      const struct interface_name *like);
// Deletes the pair that the interface belongs to. -ENODEV: there is none.
int veth_delete(unsigned int ifindex);

// The largest packet that the interface sends, bytes; 0: there is no such interface.
unsigned int interface_mtu(const struct interface_name *name);
// A socket that is readable when interfaces changed. The caller owns it. Negative errno.
int interfaces_watch(void);
// Reads all that waits there. Returns whether there was anything.
int interfaces_changed(int watch);
