// SPDX-License-Identifier: Apache-2.0
// Three bytes are four letters.
#include "lib/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const uint8_t *bytes, size_t size)
{
	char *text = malloc((size + 2) / 3 * 4 + 1), *at = text;
	uint32_t word;

	for (size_t i = 0; text && i < size; i += 3) {
		word = (uint32_t)bytes[i] << 16 | (i + 1 < size ? bytes[i + 1] << 8 : 0) |
		       (i + 2 < size ? bytes[i + 2] : 0);
		*at++ = letters[word >> 18];
		*at++ = letters[word >> 12 & 63];
		*at++ = i + 1 < size ? letters[word >> 6 & 63] : '=';
		*at++ = i + 2 < size ? letters[word & 63] : '=';
	}
	if (text)
		*at = 0;
	return text;
}

int base64_decode(const char *text, uint8_t **out, size_t *size)
{
	size_t length = strlen(text), padding = 0, i;
	auto_(freep) uint8_t *bytes = malloc(length / 4 * 3 + 1);
	const char *letter;
	uint32_t word = 0;

	if (!bytes)
		return -ENOMEM;
	if (length % 4)
		return -EINVAL;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	for (i = 0; i < length; i++) {
		letter = i < length - padding ? strchr(letters, text[i]) : letters;
		if (!letter)
			return -EINVAL;
		word = word << 6 | (uint32_t)(letter - letters);
		if (i % 4 != 3)
			continue;
		bytes[i / 4 * 3] = (uint8_t)(word >> 16);
		bytes[i / 4 * 3 + 1] = (uint8_t)(word >> 8);
		bytes[i / 4 * 3 + 2] = (uint8_t)word;
		word = 0;
	}
	*size = length / 4 * 3 - padding;
	*out = take_ptr(bytes);
	return 0;
}
