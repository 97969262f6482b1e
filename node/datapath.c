// SPDX-License-Identifier: Apache-2.0
// Loading, adopting and attaching. The order in load() and use() is the story of this file.
#include "node/datapath.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <arpa/inet.h>

#include "lib/hash.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/door/door.h"
#include "node/objects.h"
#include "node/offload.h"
#include "node/veth.h"
#include "shared/config.h"
#include "shared/door.h"
#include "shared/edge.h"
#include "shared/flat.h"
#include "shared/fragment.h"
#include "shared/health.h"
#include "shared/limits.h"
#include "shared/membership.h"
#include "shared/move.h"
#include "shared/nat.h"
#include "shared/outbox.h"
#include "shared/session.h"
#include "shared/shield.h"
#include "shared/steps.h"
#include "shared/tenant.h"

#define GATEWAY (NODE_FWD | NODE_FTN)

// IPv4, UDP, VXLAN or Geneve, and the tenant's Ethernet header: what a tunnel adds to an IP packet.
#define TUNNEL_BYTES (20 + 8 + 8 + 14)
#define ASK_AFTER_MS 50 // for the address of a node (ARP)

// Key and value of each, as shared/ declares them.
static const struct table_shape own_shapes[OWN_MAPS] = {
	[MAP_VERDICTS] = {"verdicts", sizeof(__u32), sizeof(struct verdict_count), 0},
	[MAP_SESSIONS] = {"sessions", sizeof(struct session_key), sizeof(struct session_value), 0},
	[MAP_CACHE] = {"cache", sizeof(struct session_key), sizeof(struct cache_value), 0},
	[MAP_DIRECT] = {"direct", sizeof(struct direct_key), sizeof(struct direct_value), 0},
	[MAP_FLAT_SESSIONS] = {"flat_sessions", sizeof(__u32), sizeof(union flat_page), 0},
	[MAP_FLAT_CACHE] = {"flat_cache", sizeof(__u32), sizeof(union flat_page), 0},
	[MAP_FLOORS] = {"floors", sizeof(__u32), sizeof(__u32), 0},
	[MAP_OUTBOX] = {"outbox", sizeof(__u32), sizeof(struct outbox_entry), 0},
	[MAP_OUTBOX_NEXT] = {"outbox_next", sizeof(__u32), sizeof(struct outbox_place), 0},
	[MAP_COPIES] = {"copies", sizeof(__u32), sizeof(struct copy_value), 0},
	[MAP_DEPARTURES] = {"departures", sizeof(__u32), sizeof(struct departure_value), 0},
	[MAP_PORT_BY_IFINDEX] = {"port_by_ifindex", sizeof(__u32), sizeof(struct local_port), 0},
	[MAP_PORT_BY_MAC] = {"port_by_mac", sizeof(struct local_mac_key),
			     sizeof(struct local_place), 0},
	[MAP_PORT_BUCKETS] = {"port_buckets", sizeof(__u32), sizeof(struct port_buckets), 0},
	[MAP_ASKING] = {"asking", sizeof(__u32), sizeof(struct asking_value), 0},
	[MAP_VPC_BUCKETS] = {"vpc_buckets", sizeof(__u32), sizeof(struct vpc_bucket), 0},
	[MAP_USAGE] = {"usage", sizeof(struct usage_key), sizeof(struct usage_value), 0},
	[MAP_RECORDS] = {"records", sizeof(__u32), sizeof(__s64), 0},
	[MAP_NAT_REFUSING] = {"nat_refusing", sizeof(struct endpoint_key),
			      sizeof(struct nat_refusing_value), 0},
};

static int refuse(char why[DATAPATH_WHY], int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(char why[DATAPATH_WHY], int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, DATAPATH_WHY, format, args);
	va_end(args);
	return err;
}

// A map's values may have changed their meaning with their size: never read one as another.
static int open_shaped(const struct datapath *datapath, const struct table_shape *shape)
{
	auto_(closep) int map = pin_open(datapath->dir, shape->map);
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (map < 0 || bpf_obj_get_info_by_fd(map, &info, &size) ||
	    info.key_size != shape->key_size || info.value_size != shape->value_size)
		return -1;
	return take_fd(map);
}

static void close_maps(struct datapath *datapath)
{
	int i;

	for (i = 0; i < TABLES; i++)
		closep(&datapath->tables[i]);
	for (i = 0; i < OWN_MAPS; i++)
		closep(&datapath->own[i]);
}

static int is_map(enum table table)
{
	return tables[table].kind != TABLE_IS_PORTS && tables[table].kind != TABLE_IS_WISHES &&
	       tables[table].kind != TABLE_IS_FUNCTIONS && tables[table].kind != TABLE_IS_UPLINKS;
}

static void open_maps(struct datapath *datapath)
{
	int i;

	close_maps(datapath);
	for (i = 0; i < TABLES; i++)
		if (is_map(i))
			datapath->tables[i] = open_shaped(datapath, &tables[i]);
	for (i = 0; i < OWN_MAPS; i++)
		datapath->own[i] = open_shaped(datapath, &own_shapes[i]);
}

static __u32 read_boot(const struct datapath *datapath)
{
	const struct table_shape shape = {"boot", sizeof(__u32), sizeof(__u32), TABLE_IS_ARRAY};
	auto_(closep) int map = open_shaped(datapath, &shape);
	const __u32 only = 0;
	__u32 boot;

	return map >= 0 && !bpf_map_lookup_elem(map, &only, &boot) ? boot : 0;
}

int datapath_open(struct datapath *datapath, const char *dir, enum xdp_mode mode,
		  enum session_table table, __u32 sessions)
{
	*datapath =
		(struct datapath){.dir = dir, .mode = mode, .table = table, .sessions = sessions};
	memset(datapath->tables, -1, sizeof(datapath->tables));
	memset(datapath->own, -1, sizeof(datapath->own));
	datapath->cpus = libbpf_num_possible_cpus();
	if (datapath->cpus < 0)
		return datapath->cpus;
	datapath->boot = read_boot(datapath);
	open_maps(datapath);
	return 0;
}

static void close_objects(struct bpf_object *objects[DATAPATH_OBJECTS])
{
	int i;

	for (i = 0; i < DATAPATH_OBJECTS; i++) {
		bpf_object__close(objects[i]);
		objects[i] = NULL;
	}
}

void datapath_close(struct datapath *datapath)
{
	close_maps(datapath);
	close_objects(datapath->objects);
}

int datapath_set(struct bpf_object *object, const char *variable_name, const void *value,
		 size_t size)
{
	const struct btf *btf = bpf_object__btf(object);
	const struct btf_var_secinfo *variables;
	const struct btf_type *section;
	struct bpf_map *map, *rodata = NULL;
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -ENOENT, i;
	size_t room;
	char *data;

	if (id < 0)
		return 0;
	section = btf__type_by_id(btf, (__u32)id);
	variables = btf_var_secinfos(section);
	for (i = 0; i < btf_vlen(section); i++) {
		const struct btf_type *variable = btf__type_by_id(btf, variables[i].type);

		// A static one is another file's business.
		if (btf_var(variable)->linkage == BTF_VAR_GLOBAL_ALLOCATED &&
		    !strcmp(btf__name_by_offset(btf, variable->name_off), variable_name))
			break;
	}
	if (i == btf_vlen(section))
		return 0;
	// Constants that the compiler shares are in maps beside it (.rodata.cst16).
	bpf_object__for_each_map(map, object)
	{
		const char *end = strstr(bpf_map__name(map), ".rodata");

		if (end && !strcmp(end, ".rodata"))
			rodata = map;
	}
	data = rodata ? (char *)bpf_map__initial_value(rodata, &room) : NULL;
	if (!data || variables[i].size != size || variables[i].offset + size > room)
		return -EPROTO;
	memcpy(data + variables[i].offset, value, size);
	return 0;
}

// A timer tick in 1/1024 ms, as the coarse clock goes by ticks. 0: no tick that programs could
// count.
static __u32 tick_q10(void)
{
	struct timespec tick;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_sec || tick.tv_nsec < 1000)
		return 0;
	return (__u32)((__u64)tick.tv_nsec * 1024 / 1000000);
}

// How large the tables of sessions are, which follows from what implements them.
static int size_tables(const struct datapath *datapath, struct bpf_object *object,
		       const struct node_settings *s)
{
	const int flat = datapath->table == SESSIONS_FLAT;
	const struct {
		const char *map;
		__u32 entries;
	} sizes[] = {
		{"sessions", flat ? flat_beside_for(datapath->sessions) : datapath->sessions},
		{"cache", !(s->roles & NODE_FWD) ? 1
			  : flat		 ? MAX_CACHED_UNFLAT
						 : MAX_CACHED},
		{"flat_sessions",
		 flat && s->roles & NODE_FTN ? flat_pages_for(datapath->sessions) : 1},
		{"flat_cache", flat && s->roles & NODE_FWD ? FLAT_PAGES : 1},
		{"usage", datapath->sessions},
		{"proven", s->roles & NODE_FWD ? MAX_PROVEN : 1},
		{"shield_paces", s->roles & NODE_FWD ? MAX_PACED : 1},
		{"questions", datapath->doors && s->roles & NODE_FTN ? MAX_QUESTIONS : 1},
	};
	struct bpf_map *map;
	size_t i;
	int err;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		map = bpf_object__find_map_by_name(object, sizes[i].map);
		if (map && (err = bpf_map__set_max_entries(map, sizes[i].entries)))
			return err;
	}
	return 0;
}

static int configure_object(const struct datapath *datapath, struct bpf_object *object,
			    const struct node_settings *s)
{
	if (s->roles & GATEWAY) {
		struct gateway_config config = {
			.roles = s->roles & GATEWAY,
			.overlay = s->overlay,
			.node = s->index,
			.boot = datapath->boot,
			.tenant_ifindex = datapath->tenant_ifindex,
			.zgc_ifindex = datapath->zgc_ifindex,
			.tenant_mtu = s->tenant_mtu,
			.oam_port = htons((__u16)s->oam_port),
			.tenant_ip = s->tenant_ip,
			.zgc_ip = s->zgc_ip,
			.tick_q10 = tick_q10(),
			.beat_ms = s->beat_ms,
			.cluster = s->cluster,
			.sessions = datapath->sessions,
		};

		if (datapath->table == SESSIONS_FLAT) {
			config.session_pages =
				s->roles & NODE_FTN ? flat_pages_for(datapath->sessions) : 0;
			config.cache_pages = s->roles & NODE_FWD ? FLAT_PAGES : 0;
		}

		memcpy(config.tenant_mac, s->tenant_mac, sizeof(config.tenant_mac));
		memcpy(config.zgc_mac, s->zgc_mac, sizeof(config.zgc_mac));
		return datapath_set(object, "cfg", &config, sizeof(config));
	}
	struct edge_config config = {
		.overlay = s->overlay,
		.underlay_ifindex = datapath->tenant_ifindex,
		.tenant_mtu = s->tenant_mtu,
		.oam_port = htons((__u16)s->oam_port),
		.host_ip = s->tenant_ip,
	};

	memcpy(config.host_mac, s->tenant_mac, sizeof(config.host_mac));
	return datapath_set(object, "cfg", &config, sizeof(config));
}

// Whether a pinned map is what the object declares. The kernel adds a flag of its own to device
// maps, over which libbpf's own comparison would stumble.
static int is_same_map(const struct bpf_map *map, const struct bpf_map_info *info)
{
	__u32 ignored = 0;

	if (info->type == BPF_MAP_TYPE_DEVMAP || info->type == BPF_MAP_TYPE_DEVMAP_HASH)
		ignored = BPF_F_RDONLY_PROG;
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->max_entries == bpf_map__max_entries(map) &&
	       (info->map_flags & ~ignored) == bpf_map__map_flags(map);
}

// Scratch space, counters, caches, packets that wait for an answer: nobody relies on what was in
// them.
static int is_expendable(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       bpf_map__type(map) == BPF_MAP_TYPE_LRU_HASH ||
	       !strcmp(bpf_map__name(map), "questions");
}

static int pinned_info(const struct datapath *datapath, const char *name, int *pinned,
		       struct bpf_map_info *info)
{
	__u32 size = sizeof(*info);

	*pinned = pin_open(datapath->dir, name);
	if (*pinned < 0)
		return *pinned;
	return bpf_obj_get_info_by_fd(*pinned, info, &size) ? -errno : 0;
}

// With a flow table goes what was counted of it.
static void drop_counts(const struct datapath *datapath, struct bpf_object *object)
{
	static const char *const tables[] = {"sessions", "flat_sessions"};
	struct bpf_map_info info = {};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct bpf_map *map = bpf_object__find_map_by_name(object, tables[i]);
		auto_(closep) int pinned = -1;

		if (!map || pinned_info(datapath, tables[i], &pinned, &info) ||
		    is_same_map(map, &info))
			continue;
		pin_drop(datapath->dir, "records");
		pin_drop(datapath->dir, "usage");
	}
}

// Has the object use the maps that are pinned already. One that is different now is forgotten, with
// the boot id: who lost such a map is not who it was.
static int adopt_maps(struct datapath *datapath, struct bpf_object *object)
{
	struct bpf_map *map;
	int err;

	drop_counts(datapath, object);
	bpf_object__for_each_map(map, object)
	{
		struct bpf_map_info info = {};
		auto_(closep) int pinned = -1;

		if (!bpf_map__pin_path(map))
			continue;
		err = pinned_info(datapath, bpf_map__name(map), &pinned, &info);
		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		if (!is_same_map(map, &info)) {
			log_warnx("map %s is made otherwise now: beginning with an empty one%s",
				  bpf_map__name(map),
				  is_expendable(map) ? "" : " and a new boot id");
			pin_drop(datapath->dir, bpf_map__name(map));
			datapath->reshaped |= !strcmp(bpf_map__name(map), "evaluations");
			if (!is_expendable(map))
				pin_drop(datapath->dir, "boot");
			continue;
		}
		if ((err = bpf_map__reuse_fd(map, pinned)) ||
		    (err = bpf_map__set_pin_path(map, NULL)))
			return err;
	}
	return 0;
}

// The boot id that the maps have, or a new one in a map of its own.
static int ensure_boot(struct datapath *datapath)
{
	char path[PIN_PATH];
	const __u32 only = 0;
	__u32 boot = read_boot(datapath);

	while (!boot) {
		auto_(closep) int map = -1;

		pin_drop(datapath->dir, "boot");
		map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "boot", sizeof(only), sizeof(boot), 1,
				     NULL);
		if (map < 0)
			return map;
		if (getrandom(&boot, sizeof(boot), 0) != sizeof(boot))
			return -EIO;
		snprintf(path, sizeof(path), "%s/boot", datapath->dir);
		if (bpf_map_update_elem(map, &only, &boot, BPF_ANY) || bpf_obj_pin(map, path))
			return -errno;
	}
	datapath->boot = boot;
	return 0;
}

static int map_of(struct bpf_object *object, const char *name)
{
	int map = bpf_object__find_map_fd_by_name(object, name);

	return map < 0 ? -ENOENT : map;
}

static int program_of(struct bpf_object *object, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	return program ? bpf_program__fd(program) : -ENOENT;
}

static int fill_slot(struct bpf_object *with_map, const char *array, __u32 slot,
		     struct bpf_object *with_program, const char *program)
{
	int map = map_of(with_map, array), fd = program_of(with_program, program);

	if (map < 0 || fd < 0)
		return -ENOENT;
	return bpf_map_update_elem(map, &slot, &fd, BPF_ANY) ? -errno : 0;
}

// A name for a helper interface that no other node of this network namespace has. what: 4 letters.
static struct interface_name own_interface(const struct datapath *datapath, const char *what,
					   char end)
{
	struct interface_name name = {};

	snprintf(name.text, sizeof(name.text), "%.4s%08x%c", what,
		 (__u32)hash_text(datapath->dir, 0), end);
	return name;
}

// XDP cannot make packets, but it can send one twice: the copy goes through a pair of interfaces,
// at whose other end it becomes the OAM frame (shared/steps.h).
static int make_oam_pair(struct datapath *datapath, const struct node_settings *settings,
			 struct bpf_object *gateway)
{
	const struct interface_name first = own_interface(datapath, "zoam", 'a');
	const struct interface_name second = own_interface(datapath, "zoam", 'b');
	int clone = map_of(gateway, "clone"), program = program_of(gateway, "oam");
	__u32 devices[] = {[CLONE_TENANT] = datapath->tenant_ifindex, [CLONE_OAM] = 0}, i;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int err;

	if (clone < 0 || program < 0)
		return -ENOENT;
	if (bpf_obj_get_info_by_fd(clone, &info, &size))
		return -errno;
	if ((err = veth_make(&first, &second, veth_mtu(&settings->tenant_interface))))
		return err;
	devices[CLONE_OAM] = if_nametoindex(first.text);
	// Before anything is sent there: a pair without XDP at its end swallows frames.
	err = link_place(datapath->dir, "oam", HOOK_XDP, if_nametoindex(second.text), program,
			 XDP_MODE_NATIVE);
	if (err)
		return err;
	for (i = 0; i < 2; i++) {
		struct bpf_devmap_val value = {.ifindex = devices[i]};

		if (info.value_size > sizeof(value))
			return -EPROTO;
		if (bpf_map_update_elem(clone, &i, &value, BPF_ANY))
			return -errno;
	}
	return 0;
}

// The pair in which fragments wait for their first ones (shared/steps.h). Its queue is never longer
// than those who are let in, so that nothing is lost there; each goes round before its time is
// over.
static int make_waiting_pair(struct datapath *datapath, const struct node_settings *settings,
			     struct bpf_object *gateway)
{
	const struct interface_name first = own_interface(datapath, "zfrg", 'a');
	const struct interface_name second = own_interface(datapath, "zfrg", 'b');
	int map = map_of(gateway, "waiting"), program = program_of(gateway, "waited");
	int turn = program_of(gateway, "wait_turn");
	struct waiting_value value = {};
	const __u32 only = 0;
	int err;

	if (map < 0 || program < 0 || turn < 0)
		return -ENOENT;
	if ((err = veth_make(&first, &second, veth_mtu(&settings->tenant_interface))) ||
	    (err = offload_socket(second.text)) ||
	    (err = veth_queue(&second, WAITING_BYTES / WAITING_MS * 1000, WAITING_OVERHEAD,
			      2 * WAITING_BYTES, WAITING_BURST)))
		return err;
	value.ifindex = if_nametoindex(first.text);
	if ((err = link_place(datapath->dir, "waited", HOOK_XDP, value.ifindex, program,
			      XDP_MODE_NATIVE)) ||
	    (err = link_place(datapath->dir, "wait-turn", HOOK_TCX_INGRESS,
			      if_nametoindex(second.text), turn, XDP_MODE_NATIVE)))
		return err;
	return bpf_map_update_elem(map, &only, &value, BPF_ANY) ? -errno : 0;
}

// The pair goes with the program at its end.
static void remove_pair(const struct datapath *datapath, const char *link)
{
	unsigned int ifindex = link_ifindex(datapath->dir, link);

	link_drop(datapath->dir, link);
	if (ifindex)
		veth_delete(ifindex);
}

// The same for that of health checks, with its second program.
static void remove_check_pair(const struct datapath *datapath)
{
	link_drop(datapath->dir, "check-room");
	remove_pair(datapath, "check");
}

// The same for that of fragments.
static void remove_waiting_pair(const struct datapath *datapath)
{
	link_drop(datapath->dir, "wait-turn");
	remove_pair(datapath, "waited");
}

static struct interface_name check_interface(const struct node_settings *settings, char end)
{
	struct interface_name name = {};

	snprintf(name.text, sizeof(name.text), CHECK_INTERFACE, settings->index, end);
	return name;
}

// The pair of interfaces through which the agent's sockets reach backends (shared/health.h).
static int make_check_pair(struct datapath *datapath, const struct node_settings *settings,
			   struct bpf_object *gateway)
{
	const struct interface_name first = check_interface(settings, 'a');
	const struct interface_name second = check_interface(settings, 'b');
	int map = map_of(gateway, "check_ends"), program = program_of(gateway, "check_out");
	int room = program_of(gateway, "check_room");
	struct check_ends_value ends = {};
	const __u32 only = 0;
	int err;

	if (map < 0 || program < 0 || room < 0)
		return -ENOENT;
	// That of another index.
	if (link_ifindex(datapath->dir, "check") != if_nametoindex(second.text))
		remove_check_pair(datapath);
	if ((err = veth_make(&first, &second, veth_mtu(&settings->tenant_interface))) ||
	    (err = offload_socket(first.text)) ||
	    (err = interface_address(&first, CHECK_OWN, CHECK_BITS)) ||
	    (err = interface_mac(&first, ends.first_mac)))
		return err;
	ends.second = if_nametoindex(second.text);
	if ((err = link_place(datapath->dir, "check", HOOK_XDP, ends.second, program,
			      XDP_MODE_NATIVE)) ||
	    (err = link_place(datapath->dir, "check-room", HOOK_TCX_EGRESS,
			      if_nametoindex(first.text), room, XDP_MODE_NATIVE)))
		return err;
	return bpf_map_update_elem(map, &only, &ends, BPF_ANY) ? -errno : 0;
}

// The pair of interfaces in which a clone of a port's packet becomes a copy for its collector; one
// end is enough, but there are no others.
static int make_mirror_pair(struct datapath *datapath, const struct node_settings *settings,
			    struct bpf_object *edge)
{
	const struct interface_name first = own_interface(datapath, "zmir", 'a');
	const struct interface_name second = own_interface(datapath, "zmir", 'b');
	int map = map_of(edge, "mirror_end"), program = program_of(edge, "edge_mirror");
	const __u32 only = 0;
	__u32 end;
	int err;

	if (map < 0 || program < 0)
		return -ENOENT;
	if ((err = veth_make(&first, &second, veth_mtu(&settings->tenant_interface))))
		return err;
	end = if_nametoindex(first.text);
	err = link_place(datapath->dir, "mirror", HOOK_TCX_EGRESS, end, program, XDP_MODE_NATIVE);
	if (err)
		return err;
	return bpf_map_update_elem(map, &only, &end, BPF_ANY) ? -errno : 0;
}

// Its programs are in an object of their own, which every gateway node has.
static int start_pacemaker(struct datapath *datapath, const struct node_settings *settings,
			   struct bpf_object *objects[DATAPATH_OBJECTS], char why[DATAPATH_WHY])
{
	struct pacer pacer = {
		.dir = datapath->dir,
		.node = settings->index,
		.boot = datapath->boot,
		.roles = settings->roles,
		.beat_ms = settings->roles & GATEWAY ? settings->beat_ms : 0,
		.tenant = settings->tenant_interface,
		.zgc = settings->zgc_interface,
	};
	int err = -ENOENT, i;

	if (!pacer.beat_ms)
		pacemaker_stop(datapath->dir);
	for (i = 0; pacer.beat_ms && i < DATAPATH_OBJECTS && objects[i]; i++)
		if (!strcmp(bpf_object__name(objects[i]), "pacemaker"))
			err = pacemaker_start(&pacer, objects[i]);
	if (pacer.beat_ms && err)
		return refuse(why, err, "the pacemaker cannot be started: %s", strerror(-err));
	datapath->pacer = pacer;
	return 0;
}

// What cookies of SYN protection are made with (shared/shield.h): this node's own, for as long as
// it has its maps. Nobody else has to know it, so it is nowhere else.
static int make_secret(struct bpf_object *gateway)
{
	struct shield_secret secret = {};
	int map = map_of(gateway, "shield_secret");
	const __u32 only = 0;

	if (map < 0)
		return map;
	if (bpf_map_lookup_elem(map, &only, &secret))
		return -errno;
	if (secret.key[0] | secret.key[1])
		return 0;
	if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret))
		return -EIO;
	return bpf_map_update_elem(map, &only, &secret, BPF_ANY) ? -errno : 0;
}

static int fill_arrays(struct datapath *datapath, const struct node_settings *settings,
		       struct bpf_object *objects[DATAPATH_OBJECTS],
		       const struct embedded_object *const embedded[DATAPATH_OBJECTS],
		       char why[DATAPATH_WHY])
{
	const struct step_program *step;
	__u32 slot;
	int err, i;

	// What decides about packets has another shape now: functions that are loaded again soon
	// must not read it as the old one.
	for (slot = FUNCTION_FIRST_FREE; datapath->reshaped && slot < MAX_FUNCTIONS; slot++)
		bpf_map_delete_elem(map_of(objects[0], "functions"), &slot);
	datapath->reshaped = 0;
	for (step = step_programs; step->program; step++)
		if ((err = fill_slot(objects[0], "steps", step->index, objects[0], step->program)))
			return refuse(why, err, "program %s does not go into its slot: %s",
				      step->program, strerror(-err));
	for (i = 1; i < DATAPATH_OBJECTS && objects[i]; i++)
		if (embedded[i]->slot &&
		    (err = fill_slot(objects[0], "functions", embedded[i]->slot, objects[i],
				     embedded[i]->name)))
			return refuse(why, err, "function %s does not go into its slot: %s",
				      embedded[i]->name, strerror(-err));
	err = settings->roles & NODE_FTN ? make_check_pair(datapath, settings, objects[0]) : 0;
	if (err)
		return refuse(why, err, "the pair of interfaces for health checks: %s",
			      strerror(-err));
	if (!(settings->roles & NODE_FWD))
		return 0;
	err = make_secret(objects[0]);
	if (err)
		return refuse(why, err, "the secret of SYN protection: %s", strerror(-err));
	err = make_oam_pair(datapath, settings, objects[0]);
	if (err)
		return refuse(why, err, "the pair of interfaces for OAM frames: %s",
			      strerror(-err));
	err = make_waiting_pair(datapath, settings, objects[0]);
	return err ? refuse(why, err, "the pair of interfaces for fragments: %s", strerror(-err))
		   : 0;
}

static int attach(struct datapath *datapath, const struct node_settings *settings,
		  struct bpf_object *object, const char *link, const struct interface_name *name,
		  unsigned int ifindex, char why[DATAPATH_WHY])
{
	int edge = settings->roles & NODE_EDGE;
	const char *program = edge ? "edge_ingress" : "gateway";
	int fd = program_of(object, program);
	int err = edge ? offload_underlay(name->text) : 0;

	if (err)
		return refuse(why, err, "offloads of %s cannot be set: %s", name->text,
			      strerror(-err));
	err = fd < 0 ? fd
		     : link_place(datapath->dir, link, edge ? HOOK_TCX_INGRESS : HOOK_XDP, ifindex,
				  fd, datapath->mode);

	return err ? refuse(why, err, "program %s cannot be attached to %s: %s", program,
			    name->text, strerror(-err))
		   : 0;
}

static int attach_all(struct datapath *datapath, const struct node_settings *settings,
		      struct bpf_object *object, char why[DATAPATH_WHY])
{
	int err = attach(datapath, settings, object, "tenant", &settings->tenant_interface,
			 datapath->tenant_ifindex, why);

	if (err)
		return err;
	if (!(settings->roles & GATEWAY) || datapath->zgc_ifindex == datapath->tenant_ifindex) {
		link_drop(datapath->dir, "zgc");
		return 0;
	}
	return attach(datapath, settings, object, "zgc", &settings->zgc_interface,
		      datapath->zgc_ifindex, why);
}

static int open_objects(struct datapath *datapath, const struct node_settings *settings,
			struct bpf_object *objects[DATAPATH_OBJECTS],
			const struct embedded_object *embedded[DATAPATH_OBJECTS],
			char why[DATAPATH_WHY])
{
	const struct embedded_object *e;
	int count = 0, err;

	for (e = embedded_objects; e->name; e++) {
		LIBBPF_OPTS(bpf_object_open_opts, options);
		const void *bytes;
		size_t size;

		if (!(e->roles & settings->roles)) // also what is loaded later
			continue;
		if (count == DATAPATH_OBJECTS)
			return refuse(why, -E2BIG, "object %s is one too many", e->name);
		options.object_name = e->name;
		options.pin_root_path = datapath->dir;
		bytes = e->bytes(&size);
		objects[count] = bpf_object__open_mem(bytes, size, &options);
		if (!objects[count])
			return refuse(why, -errno, "object %s: %s", e->name, strerror(errno));
		embedded[count] = e;
		err = size_tables(datapath, objects[count], settings);
		if (!err)
			err = adopt_maps(datapath, objects[count]);
		count++;
		if (err)
			return refuse(why, err, "the maps of %s cannot be adopted: %s", e->name,
				      strerror(-err));
	}
	return count ? 0 : refuse(why, -ENOENT, "this zetad has no programs for the node's roles");
}

struct declared {
	struct datapath *datapath;
	struct bpf_object *const *objects;
};

static void drop_undeclared(void *context, const char *name)
{
	const struct declared *declared = context;
	int i;

	if (!strcmp(name, "boot") || !strcmp(name, "links"))
		return;
	for (i = 0; i < DATAPATH_OBJECTS && declared->objects[i]; i++)
		if (bpf_object__find_map_by_name(declared->objects[i], name))
			return;
	pin_drop(declared->datapath->dir, name);
}

static int load(struct datapath_loading *l)
{
	struct datapath *datapath = &l->next;
	int err, i;

	// Adopting comes before any loading: it decides on the boot id, which programs contain.
	if ((err = open_objects(datapath, &l->settings, l->objects, l->embedded, l->why)))
		return err;
	if ((err = ensure_boot(datapath)))
		return refuse(l->why, err, "the boot id cannot be kept: %s", strerror(-err));
	for (i = 0; i < DATAPATH_OBJECTS && l->objects[i]; i++)
		if ((err = configure_object(datapath, l->objects[i], &l->settings)) ||
		    (err = bpf_object__load(l->objects[i])))
			return refuse(l->why, err, "object %s cannot be loaded: %s",
				      l->embedded[i]->name, strerror(-err));
	return 0;
}

// What is loaded runs from now on.
static int use(struct datapath *datapath, struct datapath_loading *l)
{
	const struct node_settings *settings = &l->settings;
	struct bpf_object **objects = l->objects;
	int err;

	// A packet that is under way in the old programs may call one of the new. Both know the
	// same maps and packet formats, or the maps would not have been adopted.
	if (settings->roles & GATEWAY &&
	    (err = fill_arrays(datapath, settings, objects, l->embedded, l->why)))
		return err;
	if (settings->roles & NODE_EDGE && (err = make_mirror_pair(datapath, settings, objects[0])))
		return refuse(l->why, err, "the pair of interfaces for mirrors: %s",
			      strerror(-err));
	if (!(settings->roles & NODE_EDGE))
		remove_pair(datapath, "mirror");
	if (!(settings->roles & NODE_FWD)) {
		remove_pair(datapath, "oam");
		remove_waiting_pair(datapath);
	}
	if (!(settings->roles & NODE_FTN))
		remove_check_pair(datapath);
	if (!(settings->roles & NODE_FTN) || !datapath->doors)
		doors_shut(datapath->dir);
	else if ((err = doors_follow(datapath->dir, program_of(objects[0], "door_in"),
				     program_of(objects[0], "door_out"))))
		return refuse(l->why, err, "the interfaces of middleboxes: %s", strerror(-err));
	if ((err = attach_all(datapath, settings, objects[0], l->why)) ||
	    (err = start_pacemaker(datapath, settings, objects, l->why)))
		return err;
	// What a node in another role had, or an older zetad.
	pins_each(datapath->dir, "", "", drop_undeclared, &(struct declared){datapath, objects});
	close_objects(datapath->objects);
	memcpy(datapath->objects, l->objects, sizeof(l->objects));
	memset(l->objects, 0, sizeof(l->objects));
	return 0;
}

static int unload(struct datapath *datapath, char why[DATAPATH_WHY])
{
	int err;

	close_maps(datapath);
	close_objects(datapath->objects);
	remove_pair(datapath, "oam");
	remove_pair(datapath, "mirror");
	remove_check_pair(datapath);
	remove_waiting_pair(datapath);
	doors_shut(datapath->dir);
	pacemaker_stop(datapath->dir);
	datapath->pacer = (struct pacer){};
	err = pins_remove(datapath->dir);
	if (!err)
		err = pins_make(datapath->dir);
	if (err)
		return refuse(why, err, "what is pinned cannot be removed: %s", strerror(-err));
	datapath->settings = (struct node_settings){};
	datapath->boot = 0;
	datapath->loads++;
	return 0;
}

// Packets that become too large on the way would be lost without a word.
static void check_mtu(const struct interface_name *name, unsigned int needed)
{
	unsigned int mtu = interface_mtu(name);

	if (mtu < needed)
		log_warnx("interface %s has MTU %u: tenants' largest packets need %u there",
			  name->text, mtu, needed);
}

// Ballots go by the kernel's UDP. Where an address was asked for while a cable was pulled, the
// kernel asks again after a second only, which is longer than all that ballots decide takes.
static void hasten_addresses(const struct node_settings *settings)
{
	int err =
		settings->beat_ms ? interface_ask_after(&settings->zgc_interface, ASK_AFTER_MS) : 0;

	if (err)
		log_warnx("interface %s asks for addresses as slowly as before: %s",
			  settings->zgc_interface.text, strerror(-err));
}

void datapath_begin(const struct datapath *datapath, const struct node_settings *settings,
		    struct datapath_loading *l)
{
	const int gateway = settings->roles & GATEWAY;

	*l = (struct datapath_loading){.next = *datapath, .settings = *settings};
	if (!settings->roles)
		return;
	l->next.tenant_ifindex = if_nametoindex(settings->tenant_interface.text);
	l->next.zgc_ifindex = gateway ? if_nametoindex(settings->zgc_interface.text) : 0;
	if (!l->next.tenant_ifindex)
		l->err = refuse(l->why, -EAGAIN, "waiting for interface %s",
				settings->tenant_interface.text);
	else if (gateway && !l->next.zgc_ifindex)
		l->err = refuse(l->why, -EAGAIN, "waiting for interface %s",
				settings->zgc_interface.text);
}

void datapath_load(struct datapath_loading *l)
{
	if (!l->err && l->settings.roles)
		l->err = load(l);
}

int datapath_finish(struct datapath *datapath, struct datapath_loading *l)
{
	const struct node_settings *settings = &l->settings;
	const int gateway = settings->roles & GATEWAY;
	const unsigned int tenant_before = datapath->tenant_ifindex;
	const unsigned int zgc_before = datapath->zgc_ifindex;

	if (!settings->roles)
		return unload(datapath, l->why);
	// Also where it fails: it is what is pinned.
	datapath->boot = l->next.boot;
	datapath->reshaped = l->next.reshaped;
	datapath->tenant_ifindex = l->next.tenant_ifindex;
	datapath->zgc_ifindex = l->next.zgc_ifindex;
	if (!l->err)
		l->err = use(datapath, l);
	if (l->err) {
		close_objects(l->objects);
		datapath->tenant_ifindex = tenant_before;
		datapath->zgc_ifindex = zgc_before;
		return l->err;
	}
	datapath->settings = *settings;
	datapath->loads++;
	open_maps(datapath);
	check_mtu(&settings->tenant_interface, settings->tenant_mtu + TUNNEL_BYTES);
	if (gateway) {
		check_mtu(&settings->zgc_interface,
			  settings->tenant_mtu + TUNNEL_BYTES + DFT_OPTIONS_BYTES);
		hasten_addresses(settings);
	}
	log_info("programs are loaded and attached to %s%s%s, boot id %u",
		 settings->tenant_interface.text, gateway ? " and " : "",
		 settings->zgc_interface.text, datapath->boot);
	return 0;
}

// Whether the interface is there, and another one than before.
static int is_renewed(const struct interface_name *name, unsigned int before)
{
	unsigned int now = before ? if_nametoindex(name->text) : 0;

	return now && now != before;
}

int datapath_renewed(struct datapath *datapath)
{
	const struct node_settings *settings = &datapath->settings;

	if (!is_renewed(&settings->tenant_interface, datapath->tenant_ifindex) &&
	    !is_renewed(&settings->zgc_interface, datapath->zgc_ifindex)) {
		pacemaker_changed(&datapath->pacer);
		return 0;
	}
	log_info("an interface of this node was made anew: loading its programs again");
	return 1;
}

// The lists of heartbeats are made of these.
static void follow_table(struct datapath *datapath, enum table table)
{
	if (table == TABLE_NODES || table == TABLE_CHAINS || table == TABLE_CHAIN_COUNT ||
	    table == TABLE_ENTRANCES || table == TABLE_ENTRANCE_BY_IP)
		pacemaker_changed(&datapath->pacer);
}

// What comes to a tail in a term for which it has no lease yet is lost.
static void hasten_lease(const struct datapath *datapath, const __u8 *key)
{
	struct chain_value chain;
	__u32 number;

	memcpy(&number, key, sizeof(number));
	memcpy(&chain, key + sizeof(number), sizeof(chain));
	pacemaker_hasten(&datapath->pacer, number, &chain);
}

int datapath_put(struct datapath *datapath, struct message *message, __u32 *done)
{
	int map = datapath->tables[message->table];
	__u8 *key;

	for (*done = 0; *done < message->count; ++*done) {
		key = message_at(message, *done);
		if (map < 0)
			return -ENOENT;
		if (bpf_map_update_elem(map, key, key + tables[message->table].key_size, BPF_ANY))
			return -errno;
		if (message->table == TABLE_CHAINS)
			hasten_lease(datapath, key);
	}
	follow_table(datapath, message->table);
	return 0;
}

int datapath_remove(struct datapath *datapath, struct message *message, __u32 *done)
{
	static const __u8 zeros[sizeof(struct entrance_value)]; // the largest value of an array
	int map = datapath->tables[message->table], err;

	for (*done = 0; *done < message->count; ++*done) {
		// What is in no map is removed.
		if (map < 0)
			continue;
		if (tables[message->table].kind == TABLE_IS_ARRAY)
			err = bpf_map_update_elem(map, message_at(message, *done), zeros, BPF_ANY);
		else
			err = bpf_map_delete_elem(map, message_at(message, *done));
		if (err && errno != ENOENT)
			return -errno;
	}
	follow_table(datapath, message->table);
	return 0;
}

int datapath_keys(struct datapath *datapath, struct message *message)
{
	int map = datapath->tables[message->table];
	size_t most = message_fits(MESSAGE_SOME_KEYS, message->table);
	__u8 after[64];
	const __u8 *before = NULL;
	__u32 count = 0;

	if (map < 0)
		return -ENOENT;
	if (message->count) {
		memcpy(after, message_at(message, 0), tables[message->table].key_size);
		before = after;
	}
	message->type = MESSAGE_SOME_KEYS;
	// A key that is gone makes the kernel begin at the front again: only who removes keys while
	// it asks for them meets that, and the agent does not.
	for (; count < most; count++) {
		if (bpf_map_get_next_key(map, before, message_at(message, count)))
			break;
		before = message_at(message, count);
	}
	message->count = count;
	return 0;
}

int datapath_program(const struct datapath *datapath, const char *name)
{
	return datapath->objects[0] ? program_of(datapath->objects[0], name) : -ENOENT;
}

int datapath_arrays(const struct datapath *datapath, int fds[ARRAYS])
{
	static const struct table_shape shapes[ARRAYS] = {
		[ARRAY_PEERS] = {"peers", sizeof(__u32), sizeof(struct peer_value), 0},
		[ARRAY_GRANTS] = {"grants", sizeof(__u32), sizeof(struct grant_value), 0},
		[ARRAY_LEASES] = {"leases", sizeof(__u32), sizeof(struct lease_value), 0},
		[ARRAY_COPIES] = {"copies", sizeof(__u32), sizeof(struct copy_value), 0},
		[ARRAY_DEPARTURES] = {"departures", sizeof(__u32), sizeof(struct departure_value),
				      0},
		[ARRAY_REGISTERS] = {"registers", sizeof(__u32), sizeof(struct register_value), 0},
		[ARRAY_FENCES] = {"fences", sizeof(__u32), sizeof(struct fence_value), 0},
		[ARRAY_SETTINGS] = {"settings", sizeof(__u32), SETTINGS_BYTES, 0},
		[ARRAY_ADDRESSES] = {"addresses", sizeof(__u32), sizeof(struct in6_addr), 0},
	};
	int i;

	memset(fds, -1, sizeof(int) * ARRAYS);
	if (!datapath->boot)
		return -ENOENT;
	for (i = 0; i < ARRAYS; i++) {
		fds[i] = open_shaped(datapath, &shapes[i]);
		if (fds[i] < 0) {
			datapath_close_arrays(fds);
			return -ENOENT;
		}
	}
	return 0;
}

void datapath_close_arrays(int fds[ARRAYS])
{
	int i;

	for (i = 0; i < ARRAYS; i++)
		closep(&fds[i]);
}

void datapath_verdicts(const struct datapath *datapath, struct verdict_count out[VERDICTS])
{
	auto_(freep) struct verdict_count *each = calloc((size_t)datapath->cpus, sizeof(*each));
	int map = datapath->own[MAP_VERDICTS], cpu;
	__u32 i;

	memset(out, 0, VERDICTS * sizeof(*out));
	if (map < 0 || !each)
		return;
	for (i = 0; i < VERDICTS; i++) {
		if (bpf_map_lookup_elem(map, &i, each))
			continue;
		for (cpu = 0; cpu < datapath->cpus; cpu++) {
			out[i].packets += each[cpu].packets;
			out[i].bytes += each[cpu].bytes;
		}
	}
}
