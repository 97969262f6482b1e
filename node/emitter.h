/* SPDX-License-Identifier: Apache-2.0 */
// Has the kernel run program "emit" on live frames without delay. Before and after such a run it
// rewrites its jump table of XDP programs, and waits for all CPUs, some 10 ms each time: but not
// for a program that is attached somewhere. So this one is, to a pair of interfaces that nobody
// sends to.
#pragma once

// Makes the pair and attaches the program; what is there already stays, with the new program. The
// link is pinned in dir as links/emit. Returns 0 or a negative errno.
int emitter_start(const char *dir, int program);
// Removes both. Harmless where there is nothing.
void emitter_stop(const char *dir);
