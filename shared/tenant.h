/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: what tenants own. Written by zetad, read by the gateway and its network functions.
// VPCs and subnets are on every gateway node, peers' subnets, routes, endpoints and security groups
// on flow table nodes.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/limits.h"
#include "shared/rate.h"

// A decision has a bit for each function that sees every packet.
#define EVERY_FUNCTIONS 8

// Map "vpcs": hash, key __u32 VNI.
struct vpc_value {
	__u32 policy;	// grows with every change that may alter a decision of this VPC
	__u8 functions; // length of the service chain
	__u8 function[MAX_SERVICE_CHAIN]; // slots in "functions", enum function_slot or higher
	__u8 pad[3];
	__u64 ask_ns;	// between two packets that ask the flow table through one entrance; 0: no
			// limit
	__u32 sessions; // that it may have in the cluster; 0: no quota
	__u32 pad_end;
	// Of its service chains beside this one, in order: who may see every packet. 0 ends.
	__u8 later[EVERY_FUNCTIONS];
	struct rate rate; // of all that it sends and gets through the cluster's forwarders
};
_Static_assert(sizeof(struct vpc_value) == 64, "no padding");

// Map "service_chains": hash, key __u32 number (unique within the cluster, never 0). Those beside
// the VPCs' own, which subnets, load balancers, floating IPs and forwards name.
struct service_chain_value {
	__u8 functions;
	__u8 function[MAX_LATER_CHAIN]; // slots, as a VPC's
	__u8 pad[3];
};
_Static_assert(sizeof(struct service_chain_value) == 8, "no padding");

// Map "asking": LRU hash, key __u32 VNI << 8 | entrance. What a VPC has used of its first packets.
// It is the kernel's alone, so that a new vpc_value gives nobody a fresh burst.
struct asking_value {
	__u64 until_ns; // bpf_ktime_get_coarse_ns() until which its packets are paid for
	__u64 refused;
};

// Map "vpc_buckets": hash, key __u32 VNI. What a VPC with a rate has used of this forwarder's share
// of it, which follows from who owns the entrances and is looked up anew when that may have
// changed.
struct vpc_bucket {
	struct bucket bucket;
	struct rate share;
	__u64 share_until_ns; // of the monotonic clock
	__u64 refused;
};
_Static_assert(sizeof(struct vpc_bucket) == 56, "no padding");

// Map "usage": hash. What a VPC has in one chain of which this node is a replica, whatever its
// place there, so that a new head knows. Counted with every change of a record, by the kernel
// alone.
struct usage_key {
	__u32 vni;
	__u32 chain;
};

struct usage_value {
	__s64 sessions;	 // live records
	__s64 half_open; // TCP sessions among them that nobody has answered yet
	__u64 refused;	 // over the quota, while this node was the head
	__u64 refused_half_open;
};

// Map "records": array of 1, value __s64: all records of this node's flow table, tombstones too.
// Mapped into memory, so that the loader can take off what it removes.

// Slots of the built-in network functions in the program array "functions".
enum function_slot {
	FUNCTION_DIVIDER = 1,
	FUNCTION_BOUNCER = 2,
	FUNCTION_SECURITY_GROUP = 3,
	FUNCTION_ACL = 4,
	FUNCTION_LOAD_BALANCER = 5,
	FUNCTION_NAT = 6,
	FUNCTION_PEERING = 7,
	FUNCTION_FIRST_FREE = 16,
};

// Map "subnets": LPM trie. prefix_bits counts from the VNI: 32 + 96 + IPv4 prefix length.
struct subnet_key {
	__u32 prefix_bits;
	__be32 vni;
	struct in6_addr address;
};

struct subnet_value {
	struct in6_addr gateway; // its own address; :: where the subnet has none
	__u8 gateway_mac[6];
	__u8 bits; // of its prefix, of 128
	__u8 pad;
	__u32 subnet; // unique within the cluster, never 0
	__u32 acl;    // number of its network ACL, 0: none
	__u32 chain;  // number of its service chain, 0: none
};
_Static_assert(sizeof(struct subnet_value) == 36, "no padding");

// Map "peer_subnets": LPM trie, key struct subnet_key: a VPC, and the prefix of a subnet of one
// that it is peered with.
struct peer_subnet_value {
	__u32 vni; // whose subnet it is
	__u8 bits; // of its prefix, of 128
	__u8 pad[3];
};
_Static_assert(sizeof(struct peer_subnet_value) == 8, "no padding");
_Static_assert(MAX_PEER_SUBNETS == MAX_SUBNETS * MAX_VPC_PEERINGS, "so nobody has to count them");

enum route_kind {
	ROUTE_BLACKHOLE = 1,
	ROUTE_VIA = 2,	  // an endpoint of the VPC, which is a router
	ROUTE_SHARED = 3, // one of several, for each connection
};

// Map "routes": LPM trie, key struct subnet_key.
struct route_value {
	struct in6_addr next_hop; // the endpoint's address; SHARED: the prefix
	__u8 kind;		  // enum route_kind
	__u8 bits;		  // of its prefix, of 128
	__u8 pad[2];
};
_Static_assert(sizeof(struct route_value) == 20, "no padding");

// Map "next_hops": hash, key struct subnet_key: the route's prefix.
struct next_hops_value {
	__u32 count;
	struct in6_addr hop[MAX_NEXT_HOPS]; // endpoints' addresses
};

// Map "routers_down": hash, key struct endpoint_key, value __u32. Addresses of uplinks that do not
// lead outside, as far as this node knows.

// Map "allowed": LPM trie. As whom a port may send beside its own addresses. prefix_bits counts
// from the VNI: 32 + 64 + 96 + IPv4 prefix length. Value: struct in6_addr, an address of the port.
struct allowed_key {
	__u32 prefix_bits;
	__be32 vni;
	__u8 mac[6];
	__u8 zero[2];
	struct in6_addr address;
};
_Static_assert(sizeof(struct allowed_key) == 32, "no padding");

// Map "endpoints": hash. One entry for each address of a port.
struct endpoint_key {
	__u32 vni;
	struct in6_addr address;
};

struct endpoint_value {
	struct in6_addr host;
	__u8 host_mac[6];
	__u8 mac[6];
	__u32 group[MAX_PORT_GROUPS]; // security group numbers, 0: none; any: its flows are
				      // stateful
};
_Static_assert(sizeof(struct endpoint_value) == 44, "no padding");
