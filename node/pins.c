// SPDX-License-Identifier: Apache-2.0
// Making, finding and removing pins, and links that change their program without a gap.
#include "node/pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/own.h"
#include "node/tcx.h"

// enum bpf_link_type of Linux 6.6, which older headers do not name.
#define LINK_TYPE_TCX 11

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int path_of(char path[PIN_PATH], const char *dir, const char *folder, const char *name)
{
	int length = snprintf(path, PIN_PATH, "%s/%s%s", dir, folder, name);

	return length < PIN_PATH ? 0 : -ENAMETOOLONG;
}

static int make_one(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

// Whether the path, or where it would be made, is on a bpffs.
static int is_on_bpffs(const char *path)
{
	char parent[PIN_PATH];
	struct statfs fs = {};
	char *slash;

	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (statfs(path, &fs) && slash && slash != parent) {
		*slash = 0;
		if (statfs(parent, &fs))
			return 0;
	}
	return fs.f_type == BPF_FS_MAGIC;
}

int pins_make(const char *dir)
{
	char parent[PIN_PATH], links[PIN_PATH];
	char *slash;
	int err;

	if (path_of(parent, dir, "", "") || path_of(links, dir, "links", ""))
		return -ENAMETOOLONG;
	parent[strlen(parent) - 1] = 0;
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return -EINVAL;
	*slash = 0;
	if (!is_on_bpffs(parent))
		return -ENOTSUP;
	if ((err = make_one(parent)) || (err = make_one(dir)))
		return err;
	return make_one(links);
}

static int remove_folder(const char *dir, const char *folder)
{
	char path[PIN_PATH], entry[PIN_PATH];
	const struct dirent *at;
	int err = path_of(path, dir, folder, "");

	if (err)
		return err;
	auto_(closedirp) DIR *open = opendir(path);

	if (!open)
		return errno == ENOENT ? 0 : -errno;
	while ((at = readdir(open))) {
		if (!strcmp(at->d_name, ".") || !strcmp(at->d_name, ".."))
			continue;
		if (!path_of(entry, path, "", at->d_name) && unlink(entry) && errno != EISDIR &&
		    errno != EPERM)
			err = -errno;
	}
	return rmdir(path) && !err ? -errno : err;
}

int pins_remove(const char *dir)
{
	int err;

	if (access(dir, F_OK))
		return errno == ENOENT ? 0 : -errno;
	// Whatever is elsewhere is somebody's files, not pins.
	if (!is_on_bpffs(dir))
		return -ENOTSUP;
	err = remove_folder(dir, "links/");
	return err ? err : remove_folder(dir, "");
}

void pin_drop(const char *dir, const char *name)
{
	char path[PIN_PATH];

	if (!path_of(path, dir, "", name) && unlink(path) && errno != ENOENT)
		log_warn("removing %s", path);
}

int pin_open(const char *dir, const char *name)
{
	char path[PIN_PATH];
	int err = path_of(path, dir, "", name);

	return err ? err : bpf_obj_get(path);
}

void link_drop(const char *dir, const char *name)
{
	char path[PIN_PATH];

	if (!path_of(path, dir, "links/", name) && unlink(path) && errno != ENOENT)
		log_warn("removing %s", path);
}

void pins_each(const char *dir, const char *folder, const char *prefix,
	       void (*each)(void *context, const char *name), void *context)
{
	const struct dirent *at;
	char path[PIN_PATH];

	if (path_of(path, dir, folder, ""))
		return;
	auto_(closedirp) DIR *open = opendir(path);

	while (open && (at = readdir(open)))
		if (at->d_name[0] != '.' && !strncmp(at->d_name, prefix, strlen(prefix)))
			each(context, at->d_name);
}

// Whether the link is at this interface. One whose interface is gone has ifindex 0.
static int is_at(int link, enum hook hook, unsigned int ifindex)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(link, &info, &size))
		return 0;
	// tcx has its ifindex where XDP has it.
	return info.type == (hook == HOOK_XDP ? BPF_LINK_TYPE_XDP : LINK_TYPE_TCX) &&
	       info.xdp.ifindex == ifindex;
}

unsigned int link_ifindex(const char *dir, const char *name)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	char path[PIN_PATH];

	if (path_of(path, dir, "links/", name))
		return 0;
	auto_(closep) int link = bpf_obj_get(path);

	// tcx has its ifindex where XDP has it.
	return link >= 0 && !bpf_obj_get_info_by_fd(link, &info, &size) ? info.xdp.ifindex : 0;
}

static int create(enum hook hook, unsigned int ifindex, int program, enum xdp_mode mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, options);
	char name[IF_NAMESIZE];
	int link;

	if (hook == HOOK_TCX_INGRESS)
		return tcx_attach(program, (int)ifindex);
	if (hook == HOOK_TCX_EGRESS)
		return tcx_attach_egress(program, (int)ifindex);
	options.flags = mode == XDP_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	link = bpf_link_create(program, (int)ifindex, BPF_XDP, &options);
	if (link >= 0 || mode != XDP_MODE_NATIVE_FIRST || link == -EBUSY || link == -EEXIST ||
	    link == -EPERM || link == -ENODEV)
		return link;
	log_warnx("interface %s refuses native XDP (%s): generic XDP, which is slower, instead",
		  if_indextoname(ifindex, name) ? name : "?", strerror(-link));
	options.flags = XDP_FLAGS_SKB_MODE;
	return bpf_link_create(program, (int)ifindex, BPF_XDP, &options);
}

int link_place(const char *dir, const char *name, enum hook hook, unsigned int ifindex, int program,
	       enum xdp_mode mode)
{
	char path[PIN_PATH];
	int err = path_of(path, dir, "links/", name);

	if (err)
		return err;
	auto_(closep) int link = bpf_obj_get(path);

	if (link >= 0 && is_at(link, hook, ifindex)) {
		err = bpf_link_update(link, program, NULL);
		if (err != -ENOLINK)
			return err;
	}
	link_drop(dir, name);
	closep(&link);
	link = create(hook, ifindex, program, mode);
	if (link < 0)
		return link;
	return bpf_obj_pin(link, path);
}
