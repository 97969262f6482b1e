// SPDX-License-Identifier: Apache-2.0
// Interface features, by the ethtool interface of the kernel.
#include "node/offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/own.h"

#define UDP_SEGMENTATION "tx-udp-segmentation"

// command: one of the structs of <linux/ethtool.h>, which the kernel fills in.
static int ethtool(int s, const char *interface, void *command)
{
	struct ifreq request = {.ifr_data = command};

	strncpy(request.ifr_name, interface, sizeof(request.ifr_name) - 1);
	return ioctl(s, SIOCETHTOOL, &request) ? -errno : 0;
}

// How many features the kernel knows, or -errno.
static int count_features(int s, const char *interface)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} sets = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
	int err = ethtool(s, interface, &sets);

	return err ? err : sets.info.sset_mask ? (int)sets.count : -EOPNOTSUPP;
}

// The feature's number, or -errno; -EOPNOTSUPP: this kernel has no such feature.
static int find_feature(int s, const char *interface, int features, const char *name)
{
	auto_(freep) struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + (size_t)features * ETH_GSTRING_LEN);
	int err;

	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = features;
	err = ethtool(s, interface, names);
	if (err)
		return err;
	for (int i = 0; i < features; i++)
		if (!strncmp((char *)names->data + (size_t)i * ETH_GSTRING_LEN, name,
			     ETH_GSTRING_LEN))
			return i;
	return -EOPNOTSUPP;
}

static int clear_feature(int s, const char *interface, int features, int feature)
{
	size_t blocks = (features + 31) / 32;
	auto_(freep) struct ethtool_sfeatures *set =
		calloc(1, sizeof(*set) + blocks * sizeof(set->features[0]));
	int err;

	if (!set)
		return -ENOMEM;
	set->cmd = ETHTOOL_SFEATURES;
	set->size = blocks;
	set->features[feature / 32].valid = 1U << feature % 32;
	err = ethtool(s, interface, set);
	return err < 0 ? err : 0;
}

int offload_underlay(const char *interface)
{
	auto_(closep) int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	int err, features, feature;

	if (s < 0)
		return -errno;
	err = ethtool(s, interface, &driver);
	if (err || strcmp(driver.driver, "veth"))
		return err == -EOPNOTSUPP ? 0 : err;
	features = count_features(s, interface);
	if (features < 0)
		return features;
	feature = find_feature(s, interface, features, UDP_SEGMENTATION);
	if (feature < 0)
		return feature;
	return clear_feature(s, interface, features, feature);
}
