/* SPDX-License-Identifier: Apache-2.0 */
// The pairs of virtual interfaces through which a forwarder makes OAM frames and fragments
// wait (shared/steps.h), the pacemaker's frame circles (shared/heartbeat.h) and an edge makes
// copies for collectors (shared/edge.h), and word of interfaces that come and go: the loader's
// rtnetlink.
#pragma once

#include "node/tables.h"

// The MTU of an interface, as far as a pair with native XDP can have it. 0: there is none.
unsigned int veth_mtu(const struct interface_name *like);
// Has a pair of these names exist, both ends up and without ARP. Returns 0 or a negative errno.
int veth_make(const struct interface_name *first, const struct interface_name *second,
	      unsigned int mtu);
// From now on what the interface sends waits in a queue of at most limit bytes, which so many leave
// per second, each frame counting overhead more; a burst, which no frame is larger than, at once.
// Returns 0 or a negative errno.
int veth_queue(const struct interface_name *name, unsigned int bytes_per_s, unsigned int overhead,
	       unsigned int limit, unsigned int burst);
// From now on one frame of so many bytes leaves the interface per interval. Returns 0 or a negative
// errno.
int veth_pace(const struct interface_name *name, unsigned int bytes, unsigned int interval_ms);
// Gives the interface an IPv4 address (host byte order) in a network of so many bits, to which it
// is the way. Returns 0, also where it has it; or a negative errno.
int interface_address(const struct interface_name *name, __u32 address, unsigned int bits);
// Returns 0 and its MAC, or a negative errno.
int interface_mac(const struct interface_name *name, __u8 mac[6]);
// Deletes the pair that the interface belongs to. -ENODEV: there is none.
int veth_delete(unsigned int ifindex);

// Whether it is up and has a carrier.
int interface_runs(const struct interface_name *name);
// How long an address there is asked for (ARP) before it is asked for again, milliseconds; the
// kernel's own default is 1000. Returns 0 or -errno.
int interface_ask_after(const struct interface_name *name, unsigned int ms);
// The largest packet that the interface sends, bytes; 0: there is no such interface.
unsigned int interface_mtu(const struct interface_name *name);
// A socket that is readable when interfaces changed. The caller owns it. Negative errno.
int interfaces_watch(void);
// Reads all that waits there. Returns whether there was anything.
int interfaces_changed(int watch);
