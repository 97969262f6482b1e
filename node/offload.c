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

#define MAX_FEATURES 256UL // far above what any kernel has
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
	union {
		struct ethtool_sset_info info;
		uint32_t word[sizeof(struct ethtool_sset_info) / 4 + 1]; // the last: the answer
	} sets = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
	int err = ethtool(s, interface, &sets);

	if (err)
		return err;
	if (!sets.info.sset_mask || sets.info.data[0] > MAX_FEATURES)
		return -EOPNOTSUPP;
	return (int)sets.info.data[0];
}

// The feature's number, or -errno; -EOPNOTSUPP: this kernel has no such feature.
static int find_feature(int s, const char *interface, int features, const char *name)
{
	union {
		struct ethtool_gstrings names;
		uint8_t room[sizeof(struct ethtool_gstrings) + MAX_FEATURES * ETH_GSTRING_LEN];
	} all = {.names = {
			 .cmd = ETHTOOL_GSTRINGS,
			 .string_set = ETH_SS_FEATURES,
			 .len = features,
		 }};
	int err = ethtool(s, interface, &all);

	if (err)
		return err;
	for (int i = 0; i < features; i++)
		if (!strncmp((char *)all.names.data + (size_t)i * ETH_GSTRING_LEN, name,
			     ETH_GSTRING_LEN))
			return i;
	return -EOPNOTSUPP;
}

static int clear_feature(int s, const char *interface, int features, int feature)
{
	union {
		struct ethtool_sfeatures set;
		uint8_t room[sizeof(struct ethtool_sfeatures) +
			     MAX_FEATURES / 32 * sizeof(struct ethtool_set_features_block)];
	} change = {.set = {.cmd = ETHTOOL_SFEATURES, .size = (features + 31) / 32}};
	int err;

	change.set.features[feature / 32].valid = 1U << feature % 32;
	err = ethtool(s, interface, &change);
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
	if (err || strcmp(driver.driver, "veth") != 0)
		return err == -EOPNOTSUPP ? 0 : err;
	features = count_features(s, interface);
	if (features < 0)
		return features;
	feature = find_feature(s, interface, features, UDP_SEGMENTATION);
	if (feature < 0)
		return feature;
	return clear_feature(s, interface, features, feature);
}

int offload_socket(const char *interface)
{
	auto_(closep) int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_value checksums = {.cmd = ETHTOOL_STXCSUM, .data = 0};
	// Without it a veth has no queue that XDP could put frames into.
	struct ethtool_value merging = {.cmd = ETHTOOL_SGRO, .data = 1};
	int err;

	if (s < 0)
		return -errno;
	err = ethtool(s, interface, &checksums);
	return err ? err : ethtool(s, interface, &merging);
}
