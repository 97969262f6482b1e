// SPDX-License-Identifier: Apache-2.0
// A socket is bound before anybody else has it: who gets it can reach no other interface.
#include "modules/door/door.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "lib/hash.h"
#include "lib/own.h"
#include "node/veth.h"
#include "shared/door.h"
#include "shared/function.h"
#include "shared/limits.h"

#define MEMORY_BYTES ((size_t)DOOR_CHUNKS * DOOR_CHUNK_BYTES)

// The slot's number among the doors; -1: there is no such slot.
static int number_of(__u32 slot)
{
	const __u32 number = slot - FUNCTION_FIRST_FREE;

	return number < PUSHED_FUNCTIONS ? (int)number : -1;
}

// A name that no other node of this network namespace has.
static struct interface_name interface(const char *dir, int number, char end)
{
	struct interface_name name = {};

	snprintf(name.text, sizeof(name.text), "zd%08x%02u%c", (__u32)hash_text(dir, 0),
		 (unsigned int)number % 100, end);
	return name;
}

struct link_name {
	char text[16];
};

// in: of the link at the pair's first end.
static struct link_name link_of(int number, int in)
{
	struct link_name name;

	snprintf(name.text, sizeof(name.text), "door-%s-%02u", in ? "in" : "out",
		 (unsigned int)number % 100);
	return name;
}

static int place_programs(const char *dir, int number, int in, int out)
{
	const struct interface_name first = interface(dir, number, 'a');
	const struct interface_name second = interface(dir, number, 'b');
	const struct link_name at_first = link_of(number, 1), at_second = link_of(number, 0);
	int err = link_place(dir, at_second.text, HOOK_XDP, if_nametoindex(second.text), out,
			     XDP_MODE_NATIVE);

	return err ? err
		   : link_place(dir, at_first.text, HOOK_XDP, if_nametoindex(first.text), in,
				XDP_MODE_NATIVE);
}

static int make_way(const struct datapath *datapath, int number)
{
	const struct interface_name first = interface(datapath->dir, number, 'a');
	const struct interface_name second = interface(datapath->dir, number, 'b');
	int in = datapath_program(datapath, "door_in"),
	    out = datapath_program(datapath, "door_out");
	int err;

	if (!(datapath->settings.roles & NODE_FTN) || in < 0 || out < 0)
		return -EAGAIN;
	err = veth_make(&first, &second, PAIR_MTU);
	return err ? err : place_programs(datapath->dir, number, in, out);
}

// The memory of frames, which nobody can make smaller while the kernel writes there.
static int make_memory(void)
{
	auto_(closep) int fd = memfd_create("door", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, MEMORY_BYTES) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	return take_fd(fd);
}

static int register_memory(int socket, int memory)
{
	void *map = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	struct xdp_umem_reg umem = {.len = MEMORY_BYTES, .chunk_size = DOOR_CHUNK_BYTES};
	int err;

	if (map == MAP_FAILED)
		return -errno;
	umem.addr = (__u64)(unsigned long)map;
	err = setsockopt(socket, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)) ? -errno : 0;
	// The kernel keeps the pages, not the mapping.
	munmap(map, MEMORY_BYTES);
	return err;
}

static int make_socket(int memory, unsigned int ifindex)
{
	static const int rings[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING,
				    XDP_TX_RING};
	const struct sockaddr_xdp address = {
		.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = ifindex};
	const int entries = DOOR_CHUNKS;
	auto_(closep) int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	if ((err = register_memory(fd, memory)))
		return err;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++)
		if (setsockopt(fd, SOL_XDP, rings[i], &entries, sizeof(entries)))
			return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return take_fd(fd);
}

static int put(const char *dir, const char *map_name, int number, const void *value)
{
	auto_(closep) int map = pin_open(dir, map_name);
	const __u32 key = (__u32)number;

	if (map < 0)
		return map;
	return bpf_map_update_elem(map, &key, value, BPF_ANY) ? -errno : 0;
}

static void shut(const char *dir, int number)
{
	const unsigned int ifindex = if_nametoindex(interface(dir, number, 'a').text);
	const struct link_name at_first = link_of(number, 1), at_second = link_of(number, 0);
	const struct door_value none = {};

	put(dir, "doors", number, &none);
	// Before the programs at its ends: without them what the middlebox sends would come to this
	// machine's own kernel.
	if (ifindex)
		veth_delete(ifindex);
	link_drop(dir, at_first.text);
	link_drop(dir, at_second.text);
}

void door_keep(const char *dir, __u32 slot, __u64 function)
{
	auto_(closep) int map = pin_open(dir, "doors");
	const int number = number_of(slot);
	struct door_value door;

	if (number >= 0 && map >= 0 && !bpf_map_lookup_elem(map, &number, &door) && door.ifindex &&
	    door.function != function)
		shut(dir, number);
}

int door_is_open(const char *dir, __u32 slot)
{
	const int number = number_of(slot);

	return number >= 0 && if_nametoindex(interface(dir, number, 'a').text);
}

int door_open(const struct datapath *datapath, __u32 slot, __u64 function, int fds[DOOR_FDS])
{
	const int number = number_of(slot);
	struct door_value door = {.function = function};
	int err = number < 0 ? -EINVAL : 0;

	// A former function's middlebox may be there still.
	door_keep(datapath->dir, slot, function);
	if (!err)
		err = make_way(datapath, number);
	if (err)
		return err;
	auto_(closep) int memory = make_memory();

	if (memory < 0)
		return memory;
	auto_(closep) int fd =
		make_socket(memory, if_nametoindex(interface(datapath->dir, number, 'b').text));

	if (fd < 0)
		return fd;
	door.ifindex = if_nametoindex(interface(datapath->dir, number, 'a').text);
	if ((err = put(datapath->dir, "doors", number, &door)) ||
	    (err = put(datapath->dir, "door_sockets", number, &fd)))
		return err;
	fds[DOOR_SOCKET] = take_fd(fd);
	fds[DOOR_MEMORY] = take_fd(memory);
	return 0;
}

void door_shut(const char *dir, __u32 slot)
{
	const int number = number_of(slot);

	if (number >= 0)
		shut(dir, number);
}

void doors_shut(const char *dir)
{
	for (int number = 0; number < PUSHED_FUNCTIONS; number++)
		shut(dir, number);
}

int doors_follow(const char *dir, int in, int out)
{
	int err = 0;

	for (int number = 0; !err && number < PUSHED_FUNCTIONS; number++)
		if (if_nametoindex(interface(dir, number, 'a').text))
			err = place_programs(dir, number, in, out);
	return err;
}

void doors_sweep(const struct datapath *datapath)
{
	static const __u8 frame[64];
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 1);
	const int program = datapath_program(datapath, "door_sweep");

	if (datapath->settings.roles & NODE_FTN && program >= 0)
		bpf_prog_test_run_opts(program, &options);
}
