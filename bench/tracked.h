/* SPDX-License-Identifier: Apache-2.0 */
// What this kernel's conntrack takes for a connection, in a network namespace of the caller's own.
#pragma once

// Bytes per connection with NAT, of count that are made for it, its part of the hash table
// included. 0: this kernel tracks fewer, or none.
double tracked_bytes(unsigned int count);
