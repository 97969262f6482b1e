/* SPDX-License-Identifier: Apache-2.0 */
// Ballot messages as bytes. What a stranger sends is checked whole before anything is done with it.
#pragma once

#include <stddef.h>

#include "dft/term.h"
#include "shared/limits.h"
#include "wire/term.h"

// A term that somebody knows of a chain.
struct known {
	__u32 chain;
	struct dft_term term; // epoch 0: none
};

void message_write(struct term_message *to, __u32 cluster, __u32 chain,
		   const struct dft_term_message *from);
// Returns 0, or -EINVAL: it is no message of this cluster's that a node could have sent.
int message_read(const void *bytes, size_t size, __u32 cluster, __u32 *chain,
		 struct dft_term_message *to);

// Returns the size of what was written. count is at most TERM_KNOWN_MOST.
size_t known_write(struct term_known *to, __u32 cluster, struct dft_name from,
		   const struct known *known, size_t count);
// Returns how many there are, or -EINVAL.
int known_read(const void *bytes, size_t size, __u32 cluster, struct dft_name *from,
	       struct known known[TERM_KNOWN_MOST]);
