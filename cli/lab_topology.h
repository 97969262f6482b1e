/* SPDX-License-Identifier: Apache-2.0 */
// What a topology file describes, checked and with every address given out.
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "cli/document.h"

struct segment {
	struct in6_addr prefix;
	unsigned int bits; // of 128
	unsigned int mtu;
	uint64_t next; // the next address to give out, counted from prefix
};

// A machine of the underlay: a gateway node or a host. Strings are the topology's.
#define MAX_OPTIONS 16 // of one machine

struct machine {
	const char *name;
	const char *cluster;
	const json_t *other_clusters; // hosts, or NULL
	int is_host;
	const json_t *options; // list of text: what its zetad is told beside the rest; or NULL
	struct in6_addr tenant_ip;
	struct in6_addr zgc_ip; // gateway nodes only
	struct in6_addr control_ip;
	uint8_t tenant_mac[6];
	uint8_t zgc_mac[6];
};

struct endpoint {
	const char *name;
	const char *vpc;
	const struct machine *host;
	struct in6_addr ip;
	unsigned int bits; // of its subnet, of 128
	struct in6_addr gateway;
	int has_gateway;
	uint8_t mac[6];
	char interface[16]; // on the host
};

struct topology {
	json_t *source;	  // the file; names below point into it
	json_t *clusters; // of it: `clusters`, or the one of `cluster`, each with its name
	const char *name;
	struct segment tenant, zgc, control;
	struct in6_addr controller_ip;
	unsigned int tenant_mtu;
	struct machine *machine;
	size_t machines;
	struct endpoint *endpoint;
	size_t endpoints;
	struct documents objects; // what the controller is to be told, as `zetactl apply` takes it
};

// Reads and checks the file. Says what is wrong and where. The caller frees *out with
// topology_free(). Returns 0 or -errno.
int topology_read(struct topology *out, const char *path);
// The same of a text; name is what the text is called in what is said.
int topology_parse(struct topology *out, const char *name, const char *text, size_t length);
void topology_free(struct topology *topology);
