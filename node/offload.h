/* SPDX-License-Identifier: Apache-2.0 */
// What an interface may leave to the one at its other end.
#pragma once

// Readies an underlay interface for the edge's tunnels. Between two ends of a veth pair a
// super-packet of UDP stays whole, and the kernel does not forget that it came through a tunnel
// when the edge takes it out: the receiver would cut it as a tunnel's, i.e. into rubbish. So a veth
// cuts UDP before it sends. TCP is not affected, and a network card cuts everything anyway:
// nothing is done to other interfaces. Returns 0; -ENODEV: no such interface; -EPERM: no right to.
int offload_underlay(const char *interface);
// Readies a veth's end for this machine's sockets, whose packets XDP programs read at the other
// end: their checksums are reckoned here, and what is redirected to the other end arrives. Returns
// as above.
int offload_socket(const char *interface);
