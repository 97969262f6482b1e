// SPDX-License-Identifier: Apache-2.0
// Room for the text doubles as it comes: a pipe does not say how long it is.
#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>

#include "lib/own.h"

#define FIRST_ROOM 65536

int open_file_read(int fd, size_t most, char **text, size_t *length)
{
	size_t used = 0, room = FIRST_ROOM;
	auto_(freep) char *buffer = malloc(room);
	ssize_t got = 1;

	if (!buffer)
		return -ENOMEM;
	while (got) {
		// One byte stays free for the NUL.
		if (used + 1 == room) {
			char *grown = realloc(buffer, room * 2);

			if (!grown)
				return -ENOMEM;
			buffer = grown;
			room *= 2;
		}
		got = read(fd, buffer + used, room - used - 1);
		if (got < 0)
			return -errno;
		used += (size_t)got;
		if (used > most)
			return -EFBIG;
	}
	buffer[used] = '\0';
	if (length)
		*length = used;
	*text = take_ptr(buffer);
	return 0;
}

int file_read(const char *path, size_t most, char **text, size_t *length)
{
	auto_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : open_file_read(fd, most, text, length);
}
