// SPDX-License-Identifier: Apache-2.0
// Text to address and back.
#include "lib/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int address_parse(const char *text, struct in6_addr *out)
{
	struct in6_addr six = {};
	struct in_addr four;

	if (inet_pton(AF_INET, text, &four) == 1) {
		six.s6_addr32[2] = htonl(0xFFFF);
		six.s6_addr32[3] = four.s_addr;
	} else if (inet_pton(AF_INET6, text, &six) != 1) {
		return -EINVAL;
	}
	*out = six;
	return 0;
}

int prefix_parse(const char *text, struct in6_addr *out, unsigned int *bits)
{
	const char *slash = strchr(text, '/');
	struct in6_addr address;
	char host[ADDRESS_TEXT];
	unsigned long length;
	unsigned int bit;
	char *end;

	if (!slash || (size_t)(slash - text) >= sizeof(host) || !isdigit((unsigned char)slash[1]))
		return -EINVAL;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = 0;
	length = strtoul(slash + 1, &end, 10);
	if (*end || address_parse(host, &address))
		return -EINVAL;
	if (!strchr(host, ':')) {
		if (length > 32)
			return -EINVAL;
		length += V4_PREFIX_BITS;
	}
	if (length > 128)
		return -EINVAL;
	for (bit = (unsigned int)length; bit < 128; bit++)
		if (address.s6_addr[bit / 8] & (0x80 >> bit % 8))
			return -EINVAL;
	*out = address;
	*bits = (unsigned int)length;
	return 0;
}

int mac_parse(const char *text, uint8_t out[6])
{
	uint8_t mac[6];
	int i;

	if (strlen(text) != 17)
		return -EINVAL;
	for (i = 0; i < 6; i++, text += 3) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
		    text[2] != (i < 5 ? ':' : 0))
			return -EINVAL;
		mac[i] = (uint8_t)strtoul(text, NULL, 16);
	}
	memcpy(out, mac, sizeof(mac));
	return 0;
}

char *address_text(const struct in6_addr *address, char text[ADDRESS_TEXT])
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr32[3], text, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, address, text, ADDRESS_TEXT);
	return text;
}

char *prefix_text(const struct in6_addr *address, unsigned int bits, char text[ADDRESS_TEXT])
{
	size_t used = strlen(address_text(address, text));

	if (IN6_IS_ADDR_V4MAPPED(address) && bits >= V4_PREFIX_BITS)
		bits -= V4_PREFIX_BITS;
	snprintf(text + used, ADDRESS_TEXT - used, "/%u", bits);
	return text;
}

char *mac_text(const uint8_t mac[6], char text[ADDRESS_TEXT])
{
	snprintf(text, ADDRESS_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return text;
}

int prefix_covers(const struct in6_addr *prefix, unsigned int bits, const struct in6_addr *address)
{
	unsigned int whole = bits / 8;

	if (memcmp(prefix, address, whole))
		return 0;
	return bits % 8 == 0 ||
	       !((prefix->s6_addr[whole] ^ address->s6_addr[whole]) >> (8 - bits % 8));
}

const char *address_odd_name(const struct in6_addr *address)
{
	static const uint8_t zero[8];

	if (IN6_IS_ADDR_V4MAPPED(address))
		return NULL;
	if (IN6_IS_ADDR_LINKLOCAL(address))
		return "link-local";
	if (IN6_IS_ADDR_MULTICAST(address))
		return "multicast";
	return memcmp(address, zero, sizeof(zero)) ? NULL : "of a reserved range";
}
