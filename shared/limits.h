/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// How many of what. Each number has its reason here, and nowhere else.
#pragma once

#define MAX_CHAIN_LENGTH 8    // replicas of a bucket, learner included; an op crosses all of them
#define MAX_REPLICAS 4	      // asked for in a chain; docs/dft.md has no use for more
#define MAX_VOTERS 5	      // of a chain: its replicas and heard_hosts; two of five may die
#define MAX_HOLDERS 8	      // of leases in one chain: its path, and who just left it
#define MAX_CHAINS 1024	      // of a cluster
#define MAX_NODES 1024	      // of a cluster; a node index fits 16 bits
#define MAX_ENTRANCES 64      // an entrance index fits 8 bits; hosts keep the whole list
#define MAX_HOST_CLUSTERS 8   // whose VPCs one host carries, its own included
#define MAX_PREFERENCES 8     // forwarders that take over an entrance, one after the other
#define MAX_BEAT_MS 1000      // between heartbeats: who asks for more wants none
#define MAX_BEATS 256	      // heartbeats of a round: of 16 chains each
#define MAX_CALLS 8	      // forwarders that one calls: all would have to be deaf at once
#define MAX_HEARD_HOSTS 4     // a power of two: hosts that are asked, one may be gone
#define BUCKETS 65537	      // prime, far above MAX_CHAINS: Maglev spreads within 1 %
#define MAX_VPCS 65536	      // per cluster
#define MAX_SUBNETS 131072    // two for each VPC
#define MAX_PEERINGS 131072   // two for each VPC
#define MAX_VPC_PEERINGS 16   // of a VPC
#define MAX_ENDPOINTS 1048576 // 16 for each VPC; a flow table node has them all
#define MAX_PEER_SUBNETS 2097152 // each subnet for all peers that its VPC may have
#define DEFAULT_SESSIONS 1048576 // per node, where zetad is not told otherwise
#define MIN_SESSIONS 65536	 // what it may be told: for small machines
#define MAX_SESSIONS 67108864	 // .. and large ones: some 20 GB
#define MAX_CACHED 1048576	 // sessions a forwarder caches; older ones are evicted
#define FLAT_ROOM 7 // quarters of a flat table's slot for a session: 1 of 6,000 finds its page full
#define VERIFY_S 5  // how often an alias' owner is asked about
#define FLAT_PAGES 65536	   // of a forwarder's: 2 million slots, half full with MAX_CACHED
#define MAX_CACHED_UNFLAT 262144   // .. that its slots cannot have; older ones are evicted
#define MAX_DIRECT 262144	   // direct paths a host knows; older ones are evicted
#define MAX_LOCAL_PORTS 4096	   // per host
#define MAX_HOST_UPLINKS 8	   // per host
#define MAX_ANNOUNCED 65536	   // addresses of a host's uplinks: each a route of its kernel
#define MAX_SECURITY_GROUPS 65536  // one for each VPC
#define MAX_NETWORK_ACLS 65536	   // one for each VPC
#define MAX_LOAD_BALANCERS 65536   // one for each VPC
#define MAX_VPC_LISTENERS 64	   // of a VPC's load balancers: each is 5 KB on a flow table node
#define MAX_LISTENERS 131072	   // two for each load balancer
#define MAX_DIRECT_BACKENDS 262144 // that answer clients themselves
#define MAX_BACKENDS 64		   // of a listener: Maglev's slots are 64 for each, for even shares
#define MAX_WEIGHT 256		   // of a backend
#define MAX_ROUTES 1048576	   // of all VPCs; a flow table node has them
#define MAX_VPC_ROUTES 100000	   // of all route tables of a VPC
#define MAX_UPLINKS 65536	   // addresses of uplinks: as many as NATs
#define MAX_NEXT_HOPS 8		   // of a route: a packet may have to look at each
#define MAX_SHARED_ROUTES 65536	   // of all routes those of several next hops
#define MAX_TABLE_ROUTES 10000	   // of one route table: so many are less than a request may have
#define MAX_PORT_ALLOWED 16	   // prefixes that one port may send as
#define MAX_ALLOWED 1310720	   // four for each VPC, and one for each endpoint of IPv6
#define ROUTE_BLOCKS 256	   // that routes are told to nodes in, as rules are
#define MAX_CHECKED 16384  // backends that are checked: as many a second, by each flow table node
#define MAX_CHECK_PATH 128 // bytes of an HTTP check's path
#define MIN_CHECK_MS 100   // between checks: each is a connection from each flow table node
#define MAX_CHECK_MS 300000
#define MAX_CHECK_TIMES 10   // checks in a row that change what a backend is taken for
#define MAX_NAT_ADDRESSES 16 // a power of two: that one subnet shares; each is for 64,512 ports
#define MAX_SUBNETS_OF_NAT 64
#define MAX_FLOATING_IPS 64    // of a NAT
#define MAX_FORWARDS 64	       // of a NAT
#define MAX_NAT_INSIDE 131072  // two for each VPC: floating IPs, and as many forwards
#define MAX_NAT_SUBNETS 65536  // one for each VPC
#define MAX_NAT_OUTSIDE 131072 // two for each VPC: addresses of external VPCs
#define MAX_NATS 65536	       // one for each VPC
#define MAX_USED_UP 4096       // addresses and destinations for which no port is looked for
#define USED_UP_MS 200	       // .. for so long: a SYN is sent again after a second
#define MAX_NAT_REFUSING 1024  // addresses that had no port left lately: more nobody reads about
#define NAT_QUIET_MS 10000     // an address with no port left is named until so long after that
#define MAX_RULES 10000	       // of a VPC's security groups, and of its ACLs
#define RULE_BLOCKS 256	       // that rules are told to nodes in: of 40 each, where there are most
#define RULES_TOGETHER 64      // but so few are told as one; routes too
#define MAX_PRIORITY 65535     // of an ACL's rule: more than there may be
#define MAX_RULE_PAGES                                                                             \
	524288		    // two for each group, a million rules, and each twice while it changes
#define MAX_PORT_GROUPS 4   // security groups of one port
#define MAX_SERVICE_CHAIN 8 // network functions of a VPC; bounded by tail calls (33) too
#define MAX_LATER_CHAIN 4   // .. of a chain beside the VPC's own, of which a packet meets three
#define MAX_MET 20	    // functions that a packet meets: what is left of the tail calls
#define MAPPING_CALLS 4	    // that a question for a NAT's mapping takes from these
#define UNHEARD_CALLS 2	    // .. and one whose middlebox cannot be asked, and that goes on
#define MAX_SERVICE_CHAINS 131072   // beside the VPCs' own; two for each
#define MAX_FUNCTIONS 64	    // slots for network functions on a node
#define MAX_FUNCTION_CONFIGS 524288 // eight for each VPC: 4 functions, each in both places
// Redirects of one op: longer is a loop. (A bucket that moves takes up to 8, a session's alias as
// well, and more where the port that was chosen is another's.)
#define MAX_HOPS 23
#define HOPS_BACK 4	   // of these: for the answer, when others were used up
#define MAX_OUTBOX 16384   // a power of two: what is on its way in 50 ms at full speed
#define DOOR_QUESTIONS 256 // packets that wait for one function's middlebox; a power of two
// .. for so long, for all that are asked about one packet, one after the other: with the way back
// it is below PACKET_LIFE_MS.
#define ANSWER_MS 100
// The MTU of pairs with native XDP. A frame is one page with room for headers and the kernel's own
// data: veth refuses programs where the other end has a larger one (3520 less 14 and some).
#define PAIR_MTU 3490

#define REFRESH_MS 10000      // R: a cached decision is used at most this long (dft.md O10)
#define DENIAL_MS 1000	      // a cached denial: a new endpoint changes it without a new policy
#define PACKET_LIFE_MS 200    // D: an older reply is not applied
#define REFRESH_DUE_MS 5000   // R / 2: from this age on the tail is asked beside using the decision
#define REFRESH_REPEAT_MS 200 // and again, where it does not answer
#define DIRECT_LIFE_MS 5000   // R / 2: a direct path ends, and its packets come while that goes on
#define DIRECT_IDLE_S 5	      // a direct path unused for so long is forgotten; not above that
#define DIRECT_REPEAT_MS 1000 // an OAM frame may be lost: told again at most this often

// Fragments of IPv4 (docs/fragments.md).
#define MAX_FRAGMENTED 32768  // packets whose fragments a forwarder knows: 10,000 a second
#define FRAGMENTED_MS 3000    // .. for so long: before their sender has used all numbers once more
#define WAITING_MS 64	      // that a fragment waits for its first one: some round trips
#define WAITING_BYTES 1048576 // .. and so many of them, frames as they are underlay's
#define WAITING_OVERHEAD 1024 // each counts for so many more: small ones cost the same time
#define WAITING_BURST 8192    // the longest frame in a pair of interfaces, and some
#define WAITING_SHARE 4	      // of which one VPC has a quarter at most
#define MAX_WAITING_VPCS 4096 // that have lately; older ones are forgotten

// Ops that no packet causes. What the loader has sent in a millisecond: a million sessions are
// copied in some 4 s, and a node's network carries a third of a gigabit more meanwhile. Where its
// processors have no time to spare packets shall have most of it, and a million takes below 7 s.
#define OUTBOX_PER_MS 250
#define OUTBOX_SHORT_PER_MS 150
#define RESEND_MS 200 // a copy is sent again: a learner whose table is full stays unasked so long

// When a session ends that nobody uses, in seconds; never below 2 R + D (dft.md O10).
#define TCP_ESTABLISHED_S 7440 // RFC 5382 REQ-5: not below 2 hours and 4 minutes
#define TCP_TRANSITORY_S 30    // beginning or closed: a SYN is sent again within that (RFC 6298)
#define UDP_S 300	       // RFC 4787 REQ-5
#define UDP_UNANSWERED_S 30    // a scan or a mistake: what is answered asks again within seconds
#define ICMP_S 60	       // RFC 5508 REQ-2
#define OTHER_S 600	       // of a protocol that says nothing about itself
// What a head sends down its chain once more: what nobody has changed for its time-out and so much
// longer, by when a tail that has looked at all of its table has asked for its end; and all it has.
#define PUSH_AFTER_S 30
#define PUSH_S 1800 // as often, in case that is lost, too: of a million sessions 600 a second
// A NAT's mapping, after the last word of a session of its.
#define TOUCH_S 20	  // how often that is said
#define MAPPING_UDP_S 120 // RFC 4787 REQ-5: not below 2 minutes from the last packet
// Longer than a closed session is remembered, 30 s, from where it may be begun again; and two words
// may be lost after that.
#define MAPPING_TCP_S 100

// What a VPC may cost the others (modules/limits).
#define MAX_FIRST_PACKETS 100000000 // per second and VPC: more than any cluster handles
#define MAX_QUOTA 1073741824	    // sessions per VPC: all that MAX_NODES have room for
#define MAX_ASKING 65536 // VPCs times entrances in use at a forwarder; idle ones are forgotten
#define ASK_BURST_MS 250 // of a VPC's first packets at once: short connections come in heaps
#define ASK_BURST 16	 // but so many packets in any case, where few are allowed per second
#define MAX_USAGE                                                                                  \
	DEFAULT_SESSIONS  // or cfg.sessions: VPCs times chains of a node, each with a session
#define HALF_OPEN_SHARE 4 // of a quota: a SYN flood leaves the rest of it to who is answered
#define HEAD_RESERVE 16	  // a part of its records that a node takes from heads, but not as one
#define ASK_RESERVE 4 // the last quarter is for sessions that are known: a flood holds up no FIN

// SYN protection of load balancers (docs/loadbalancer.md), at each forwarder.
#define MAX_PROVEN 65536 // SYNs whose senders have proven themselves: each comes again in a second
#define PROVEN_MS 30000	 // .. for so long: as the session that begins then may stay unanswered
#define SHIELD_BURST_MS 250 // as of a VPC's first packets: short connections come in heaps
#define SHIELD_BURST 16	    // .. and so many in any case
#define MAX_PACED 16384	    // protected addresses that count their SYNs; older ones begin again

// Rates of a port, and of a VPC (modules/limits, docs/limits.md).
#define MIN_BITS_PER_S 1000	       // below, a packet would take seconds
#define MAX_BITS_PER_S 400000000000ull // a fast interface; bytes are told apart that well
#define MAX_PACKETS_PER_S 100000000    // more than such an interface gets small ones of
#define MAX_BURST_MS 10000	       // more is another rate
#define DEFAULT_BURST_MS 100	       // some round trips of TCP across a country
#define MAX_CONNECTIONS_PER_S 1000000  // that one workload begins
#define SHARE_MS 100 // who has taken entrances over gives a VPC its larger share that late
#define CONNECTION_BURST_MS 250 // as of a VPC's first packets: short ones come in heaps
#define CONNECTION_BURST 16	// .. and so many in any case
#define MIN_MIRROR_BYTES 64	// of each packet: its headers
#define MAX_MIRROR_BYTES 65535
