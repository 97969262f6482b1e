/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: what a node knows of others and of its own right to act in a term (docs/dft.md M1 to
// M4). All maps here are arrays that may be mapped into memory; each has one writer, kernel or
// daemon, so that neither overwrites the other. Times are bpf_ktime_get_boot_ns(), 0: never.
#pragma once

#include <linux/types.h>

#include "dft/term.h"
#include "shared/limits.h"

// A term in one word, which is compared as a number and written at once.
#define TERM_WORD(epoch, number) ((__u64)(epoch) << 32 | (number))

// Map "peers": index node index. Written by the kernel's programs.
struct peer_value {
	__u32 boot;	   // of the life that was heard last
	__u32 loads;	   // grows with every change of boot or of alive
	__u64 received_ns; // any heartbeat or answer came
	__u64 heard_ns;	   // until then it has heard us, and we have heard of that: both ways work
	__u32 alive;	   // 1: heard within the cluster's suspect time, or gossip says so
	__u32 rumour;	   // SWIM's incarnation number of what gossip says
	// The tenants' network, of forwarders (modules/heartbeat/side.bpf.h). The first three are
	// of this node itself, too.
	__u8 side; // enum beat_side, what it says; of this node SIDE_CALLS stands for all after
	__u8 away; // 1: it has no entrances
	__u8 pad[6];
	__u64 answered_ns;  // the last call of its that anybody answered
	__u64 echo_ns;	    // the last call of this node's that it answered
	__u64 number[2];    // of the last two calls to it
	__u64 called_ns[2]; // when they were sent
};

// Map "fences": index chain number. Written by the daemon: what this node promised as a voter. It
// handles nothing of a lower term, and its kernel side grants no lease for one.
struct fence_value {
	__u64 promised;		   // TERM_WORD
	__u32 holder[MAX_HOLDERS]; // node index + 1 of who may be granted a lease; 0: free
};

// Map "grants": index chain number. Written by the kernel: when holder[i] of the fence was last
// granted a lease. A voter accepts no term without that node for the guard time after.
struct grant_value {
	__u64 granted_ns[MAX_HOLDERS];
};

// Map "leases": index chain number. Written by the kernel: this node's own lease.
struct lease_value {
	__u64 term;		      // TERM_WORD that it is for; of another one it says nothing
	__u64 end_ns;		      // it runs until then
	__u64 granted_ns[MAX_VOTERS]; // sending of the heartbeat that each voter answered last
};

// Map "tails": index chain number. Written by the kernel: since when this node is the tail. Its
// timers begin anew with every term (docs/dft.md O9).
struct tail_value {
	__u64 term;    // TERM_WORD in which it is
	__u32 since_s; // session_now_s() when it was first asked in that term
	__u32 pad;
};

// Map "registers": index chain number. Written by the daemon before anybody hears of what is in it:
// what this node promised and accepted as a voter, and who votes. A daemon that starts again with
// the same boot id is so the same voter; what another boot id left is nobody's (M4).
struct register_value {
	struct dft_name self; // whose it is
	struct dft_term promised;
	struct dft_configuration accepted;
	struct dft_configuration active; // the newest chosen term that it knew
	struct dft_term
		begun; // the term that the kernel was told; who begins with nothing had nothing
	__u32 nothing; // 1: this node begins the active term with nothing (M5, M6)
	struct dft_voters voters, next;
	__u32 founded; // what this node holds is of the chain that began in this epoch (M6)
};

// Map "settings": array of one, what the node is, for its daemon alone.
#define SETTINGS_BYTES 104

// Map "copies": index chain number. Written by the daemon: the bulk copy to a learner.
struct copy_value {
	__u64 term;	// TERM_WORD of the learner's term that it is for
	__u64 complete; // 1: the learner has everything that was there when that term began
	__u64 done;	// records that the learner confirmed
	__u64 all;	// records that there were to copy
};
