// SPDX-License-Identifier: Apache-2.0
// `zetactl sessions`: the flow table of a node of this machine, read from its pinned map.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "lib/address.h"
#include "lib/own.h"
#include "modules/session/flat_map.h"
#include "shared/limits.h"
#include "shared/session.h"

static json_t *address_of(const struct in6_addr *address, __be16 port, __u8 protocol)
{
	char text[ADDRESS_TEXT];

	address_text(address, text);
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		return json_sprintf(IN6_IS_ADDR_V4MAPPED(address) ? "%s:%u" : "[%s]:%u", text,
				    be16toh(port));
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return json_sprintf("%s id %u", text, be16toh(port));
	return json_string(text);
}

static json_t *protocol_of(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return json_string("tcp");
	case IPPROTO_UDP:
		return json_string("udp");
	case IPPROTO_ICMP:
		return json_string("icmp");
	case IPPROTO_ICMPV6:
		return json_string("icmpv6");
	default:
		return json_sprintf("%u", protocol);
	}
}

static const char *life_of(const struct dft_record *record)
{
	return record->life == DFT_LIVE	       ? "live"
	       : record->life == DFT_TOMBSTONE ? "tombstone"
					       : "absent";
}

static json_t *state_of(const struct dft_record *record)
{
	json_t *state = json_array();

	if (record->state & DFT_FIN_FROM_A)
		json_array_append_new(state, json_string("fin-from-a"));
	if (record->state & DFT_FIN_FROM_B)
		json_array_append_new(state, json_string("fin-from-b"));
	if (record->state & DFT_RST)
		json_array_append_new(state, json_string("rst"));
	return state;
}

// "forward to 172.16.0.6", "drop".
static json_t *decision_of(const struct decision *decision)
{
	char host[ADDRESS_TEXT];

	switch (decision->action) {
	case DECIDE_FORWARD:
		return json_sprintf("to %s%s", address_text(&decision->host, host),
				    decision->flags & DECISION_DIRECT ? " direct" : "");
	case DECIDE_DROP:
		return json_string("drop");
	case DECIDE_UNREACHABLE:
		return json_string("unreachable");
	default:
		return json_string("-");
	}
}

// An alias has an owner in the place of decisions.
static json_t *towards_of(const struct dft_record *record, int direction)
{
	return record->state & DFT_ALIAS ? json_string("alias")
					 : decision_of(&record->towards[direction]);
}

static json_t *session_of(const struct session_key *key, const struct dft_record *record)
{
	return json_pack(
		"{s:i, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "vni",
		key->vni[0] << 16 | key->vni[1] << 8 | key->vni[2], "protocol",
		protocol_of(key->protocol), "a", address_of(&key->a, key->a_port, key->protocol),
		"b", address_of(&key->b, key->b_port, key->protocol), "life", life_of(record),
		"state", state_of(record), "stamp",
		json_sprintf("%u.%u", record->stamp.floor, record->stamp.counter), "incarnation",
		json_sprintf("%u.%u", record->incarnation.floor, record->incarnation.counter),
		"towards_b", towards_of(record, 0), "towards_a", towards_of(record, 1));
}

// The map changes meanwhile: a session that ended is left out, and where the key from which to go
// on is gone the kernel begins anew, so what was seen is not counted on to be complete.
static void collect(int map, json_t *sessions)
{
	struct session_key key, *last = NULL;
	struct session_value value;
	size_t most = MAX_SESSIONS;

	while (most-- && !bpf_map_get_next_key(map, last, &key)) {
		if (!bpf_map_lookup_elem(map, &key, &value))
			json_array_append_new(sessions, session_of(&key, &value.record));
		last = &key;
	}
}

static void collect_flat(const struct flat_map *map, json_t *sessions)
{
	struct flat_session session;
	__u32 page, slot;

	for (page = 0; page < map->pages; page++)
		for (slot = 1; slot <= FLAT_SLOTS; slot++)
			if (flat_map_get(map, page, slot, &session))
				json_array_append_new(sessions,
						      session_of(&session.key, &session.record));
}

static int check_map(int map, const char *path)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(map, &info, &length))
		return sorry(-errno, "cannot examine %s: %s", path, strerror(errno));
	if (info.key_size != sizeof(struct session_key) ||
	    info.value_size != sizeof(struct session_value))
		return sorry(-EINVAL, "%s is of another version of the data path", path);
	return 0;
}

static void print_sessions(const json_t *sessions)
{
	static const char *const fields[] = {"vni",   "protocol",  "a",		"b", "life",
					     "stamp", "towards_a", "towards_b", NULL};
	static const char *const titles[] = {"VNI",   "PROTOCOL",  "A",		"B", "LIFE",
					     "STAMP", "TOWARDS A", "TOWARDS B", NULL};
	struct table *table = table_new();
	json_t *session, *value;
	size_t i, f;

	for (f = 0; titles[f]; f++)
		table_cell(table, "%s", titles[f]);
	json_array_foreach (sessions, i, session) {
		table_row(table);
		for (f = 0; fields[f]; f++) {
			value = json_object_get(session, fields[f]);
			if (json_is_integer(value))
				table_number(table, json_integer_value(value));
			else
				table_cell(table, "%s", json_string_value(value));
		}
	}
	table_print(&table, stdout, 0);
}

int command_sessions(struct cli *cli)
{
	auto_(flat_map_close) struct flat_map flat = {};
	auto_(closep) int map = -1, pages = -1;
	json_t *sessions;
	char path[512];

	if (!cli->bpf) {
		complain("whose sessions? --bpf DIR, where a node's maps are pinned");
		return USAGE;
	}
	snprintf(path, sizeof(path), "%s/sessions", cli->bpf);
	map = bpf_obj_get(path);
	if (map < 0) {
		complain("cannot open %s: %s", path, strerror(errno));
		return FAILED;
	}
	if (check_map(map, path))
		return FAILED;
	snprintf(path, sizeof(path), "%s/flat_sessions", cli->bpf);
	pages = bpf_obj_get(path);
	if (pages >= 0 && flat_map_open(&flat, pages)) {
		complain("%s is of another version of the data path", path);
		return FAILED;
	}
	sessions = json_array();
	collect(map, sessions);
	collect_flat(&flat, sessions);
	if (cli->output == OUTPUT_JSON)
		print_json(sessions, stdout);
	else if (cli->output == OUTPUT_YAML)
		print_yaml(sessions, stdout);
	else
		print_sessions(sessions);
	json_decref(sessions);
	return DONE;
}
