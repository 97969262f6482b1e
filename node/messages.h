/* SPDX-License-Identifier: Apache-2.0 */
// What the agent asks of the loader, and what the loader answers: one SOCK_SEQPACKET datagram each
// way, the agent first. There are two sockets: one for desired state and reports, one for ballots
// (modules/term), which never wait for the other. A message's type, table and count fix its exact
// size; anything else is refused before it is looked at.
#pragma once

#include <linux/in6.h>
#include <linux/types.h>
#include <stddef.h>

#include "node/tables.h"
#include "shared/verdict.h"

enum message_type {
	// From the agent.
	MESSAGE_CONFIGURE = 1, // settings: load and attach programs. Answer: DONE
	MESSAGE_PUT,	       // count entries of table, key and value each. Answer: DONE
	MESSAGE_REMOVE,	       // count keys of table; what is not there is removed. Answer: DONE
	MESSAGE_KEYS,	// count 0: the first keys of table; 1: those after it. Answer: SOME_KEYS
	MESSAGE_READY,	// as KEYS: the local ports that are attached, or the uplinks that lead
			// outside. Answer: SOME_KEYS
	MESSAGE_STATUS, // Answer: STATUS_IS
	MESSAGE_ARRAYS, // Answer: ARRAYS_ARE; DONE with -ENOENT: no programs are loaded
	MESSAGE_WIPE,	// wipe: no record of this chain shall be left here. Answer: DONE, at once;
			// -EINPROGRESS: not yet, ask again

	MESSAGE_FUNCTION, // function.next: the first pushed function from there on. Answer:
			  // FUNCTION_IS
	MESSAGE_DOOR, // door.slot: a middlebox of this function has come. Answer: DOOR_IS, or DONE

	// From the loader.
	MESSAGE_DONE,	     // error, count of entries that were done, and one sentence
	MESSAGE_SOME_KEYS,   // count keys of table; 0: no more
	MESSAGE_STATUS_IS,   // status
	MESSAGE_ARRAYS_ARE,  // arrays, and a descriptor of each (enum array)
	MESSAGE_FUNCTION_IS, // function; next 0: there is none any more
	MESSAGE_DOOR_IS,     // door, and a descriptor of each (enum door_fd)
};

// What a node is (NodeSettings of api/node.proto) in fixed sizes. roles 0: nothing; the loader
// then detaches everything and forgets the maps.
#define NODE_FWD 0x1 // as ROLE_FWD
#define NODE_FTN 0x2 // as ROLE_FTN
#define NODE_EDGE 0x4

struct node_settings {
	__u32 roles;
	__u32 overlay;
	__u32 index;
	__u32 tenant_mtu;
	__u32 oam_port; // host byte order
	__u32 beat_ms;	// between heartbeats; 0: none
	__u32 cluster;	// number of the cluster
	struct interface_name tenant_interface;
	struct interface_name zgc_interface; // gateway roles only; else empty
	struct in6_addr tenant_ip;
	struct in6_addr zgc_ip;
	__u8 tenant_mac[6];
	__u8 zgc_mac[6];
};

// What a VPC uses of what it may have (modules/limits): sessions in chains whose head this node is;
// refusals since boot.
struct vpc_usage {
	__u32 vni;
	__u32 pad;
	__u64 sessions;
	__u64 half_open;
	__u64 refused_first_packets;
	__u64 refused_sessions;
	__u64 refused_half_open;
	__u64 refused_packets;
};
#define VPCS_TOLD 32

// An address of a NAT that had no port left lately (modules/nat): so many packets that would have
// begun a connection were refused.
struct nat_refusal {
	struct in6_addr address;
	__u32 vni; // of the external VPC
	__u32 pad;
	__u64 refused;
};
#define NATS_TOLD 16

struct node_status {
	__u32 boot;    // 0: nothing is loaded
	__u32 loads;   // grows with every CONFIGURE that was carried out and every one redone
	__u32 ports;   // grows when a local port becomes ready or stops being ready
	__u32 vpcs;    // in vpc[0 .. vpcs)
	__u32 swept;   // of the last transfer of which no record is left here
	__u32 uplinks; // how many
	__u32 nats;    // in nat[0 .. nats)
	__u32 pad;
	__u64 sessions;
	__u64 session_digest;
	__u64 cached;
	struct verdict_count verdicts[VERDICTS];
	struct vpc_usage vpc[VPCS_TOLD];
	struct nat_refusal nat[NATS_TOLD];
};

// Arrays that the ballots read in memory (shared/membership.h).
enum array {
	ARRAY_PEERS,
	ARRAY_GRANTS,
	ARRAY_LEASES,
	ARRAY_COPIES,
	ARRAY_DEPARTURES,
	ARRAY_REGISTERS,
	ARRAY_FENCES,
	ARRAY_SETTINGS,
	ARRAY_ADDRESSES,
	ARRAYS,
};

struct node_arrays {
	__u32 boot;
	__u32 loads; // as in struct node_status: when it has changed, the arrays may be others
};

// What a middlebox gets (modules/door).
enum door_fd {
	DOOR_SOCKET,
	DOOR_MEMORY,
	DOOR_FDS,
};

struct node_door {
	__u64 function; // as in struct function_run
	__u32 slot;
	__u32 chunks;
	__u32 chunk_bytes;
};

// One version of a pushed function, as the loader has it.
#define FUNCTION_WHY 4096
struct function_state {
	__u32 next;
	__u32 slot;
	__u32 place;
	__u32 loaded;
	__u64 digest;
	struct function_count count;
	char why[FUNCTION_WHY]; // it is not loaded: what the verifier says, or a sentence
};

#define MESSAGE_TEXT 200
#define MESSAGE_ROOM 16384 // bytes of entries or keys in one message

struct message {
	__u16 type;  // enum message_type
	__u16 table; // enum table, 0 where the type has none
	__u32 count;
	__s32 error; // DONE: 0 or a negative errno; else 0
	union {
		char text[MESSAGE_TEXT]; // NUL-terminated
		struct node_settings settings;
		struct node_status status;
		struct node_arrays arrays;
		struct function_state function;
		struct node_door door;
		struct {
			__u32 chain, floor;
		} wipe;
		__u8 room[MESSAGE_ROOM];
	};
};
#define MESSAGE_HEAD offsetof(struct message, text)

// The size that a message of this type, table and count has. 0: there is no such message.
size_t message_size(const struct message *message);
// Whether size received bytes are a message that the agent may send to the loader; that it may
// send for its ballots.
int message_is_request(const struct message *message, size_t size);
int message_is_ballot(const struct message *message, size_t size);
// Whether size received bytes are what the loader may answer.
int message_is_answer(const struct message *message, size_t size);
// How many entries (PUT) or keys (REMOVE, SOME_KEYS) of a table fit into one message.
size_t message_fits(enum message_type type, enum table table);
// Where entry i of a PUT or key i of the others begins.
void *message_at(struct message *message, size_t i);

// Each returns 0 or a negative errno. Receiving: -EPIPE, the other side is gone.
int message_send(int socket, const struct message *message);
int message_receive(int socket, struct message *message, size_t *size);
// The same with descriptors. Who receives owns what came, and is given
// either all or none of them: then they are -1.
int message_send_arrays(int socket, const struct message *message, const int fds[ARRAYS]);
int message_receive_arrays(int socket, struct message *message, size_t *size, int fds[ARRAYS]);

int message_send_door(int socket, const struct message *message, const int fds[DOOR_FDS]);
int message_receive_door(int socket, struct message *message, size_t *size, int fds[DOOR_FDS]);

// Whether it can be an interface's name: 0 or -EINVAL.
int interface_name_check(const struct interface_name *name);

// Whether the settings describe a node that can exist. Returns 0; -EINVAL, and *why says it.
int node_settings_check(const struct node_settings *settings, const char **why);
