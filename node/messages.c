// SPDX-License-Identifier: Apache-2.0
// The sizes of messages, and what makes one acceptable.
#include "node/messages.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/config.h"

_Static_assert(sizeof(struct node_settings) == SETTINGS_BYTES, "as the map has it");
_Static_assert(NODE_FWD == ROLE_FWD && NODE_FTN == ROLE_FTN, "roles are passed on as they are");

static size_t unit(enum message_type type, enum table table)
{
	return tables[table].key_size + (type == MESSAGE_PUT ? tables[table].value_size : 0);
}

size_t message_fits(enum message_type type, enum table table)
{
	return MESSAGE_ROOM / unit(type, table);
}

void *message_at(struct message *message, size_t i)
{
	return message->room + i * unit(message->type, message->table);
}

size_t message_size(const struct message *message)
{
	__u32 count = message->count;
	int has_table = 0;
	size_t size;

	switch (message->type) {
	case MESSAGE_CONFIGURE:
		size = count ? 0 : MESSAGE_HEAD + sizeof(message->settings);
		break;
	case MESSAGE_STATUS:
	case MESSAGE_ARRAYS:
		size = count ? 0 : MESSAGE_HEAD;
		break;
	case MESSAGE_STATUS_IS:
		size = count ? 0 : MESSAGE_HEAD + sizeof(message->status);
		break;
	case MESSAGE_FUNCTION:
	case MESSAGE_FUNCTION_IS:
		size = count ? 0 : MESSAGE_HEAD + sizeof(message->function);
		break;
	case MESSAGE_DOOR:
	case MESSAGE_DOOR_IS:
		size = count ? 0 : MESSAGE_HEAD + sizeof(message->door);
		break;
	case MESSAGE_ARRAYS_ARE:
		size = count ? 0 : MESSAGE_HEAD + sizeof(message->arrays);
		break;
	case MESSAGE_WIPE:
		size = count ? 0 : MESSAGE_HEAD + sizeof(message->wipe);
		break;
	case MESSAGE_DONE:
		size = MESSAGE_HEAD + sizeof(message->text);
		break;
	case MESSAGE_PUT:
	case MESSAGE_REMOVE:
	case MESSAGE_KEYS:
	case MESSAGE_READY:
	case MESSAGE_SOME_KEYS:
		has_table = 1;
		if (message->table >= TABLES || count > message_fits(message->type, message->table))
			return 0;
		size = MESSAGE_HEAD + count * unit(message->type, message->table);
		break;
	default:
		return 0;
	}
	return has_table || !message->table ? size : 0;
}

// Tables that the main thread of the agent has to do with; the ballots write theirs, and CHAINS.
static int is_desired(enum table table)
{
	return tables[table].kind != TABLE_IS_KEPT && tables[table].kind != TABLE_IS_WISHES;
}

int message_is_ballot(const struct message *message, size_t size)
{
	if (size < MESSAGE_HEAD || message->error || size != message_size(message))
		return 0;
	switch (message->type) {
	case MESSAGE_ARRAYS:
		return 1;
	case MESSAGE_WIPE:
		return message->wipe.chain < MAX_CHAINS;
	case MESSAGE_PUT:
		return message->count > 0 && (tables[message->table].kind == TABLE_IS_KEPT ||
					      message->table == TABLE_CHAINS);
	default:
		return 0;
	}
}

int message_is_request(const struct message *message, size_t size)
{
	if (size < MESSAGE_HEAD || message->error || size != message_size(message))
		return 0;
	switch (message->type) {
	case MESSAGE_CONFIGURE:
	case MESSAGE_STATUS:
	case MESSAGE_FUNCTION:
		return 1;
	case MESSAGE_DOOR:
		return message->door.slot - FUNCTION_FIRST_FREE < PUSHED_FUNCTIONS;
	case MESSAGE_PUT:
	case MESSAGE_REMOVE:
		return message->count > 0 && is_desired(message->table);
	case MESSAGE_KEYS:
		return message->count <= 1 && is_desired(message->table);
	case MESSAGE_READY:
		return message->count <= 1 &&
		       (message->table == TABLE_LOCAL_PORTS || message->table == TABLE_UPLINKS);
	default:
		return 0;
	}
}

int message_is_answer(const struct message *message, size_t size)
{
	if (size < MESSAGE_HEAD || size != message_size(message))
		return 0;
	switch (message->type) {
	case MESSAGE_DONE:
		return message->error <= 0 && !message->text[sizeof(message->text) - 1];
	case MESSAGE_FUNCTION_IS:
		return !message->error && !message->function.why[FUNCTION_WHY - 1];
	case MESSAGE_SOME_KEYS:
	case MESSAGE_STATUS_IS:
	case MESSAGE_ARRAYS_ARE:
	case MESSAGE_DOOR_IS:
		return !message->error;
	default:
		return 0;
	}
}

int message_send(int socket, const struct message *message)
{
	size_t size = message_size(message);
	ssize_t sent;

	do
		sent = send(socket, message, size, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int message_receive(int socket, struct message *message, size_t *size)
{
	ssize_t got;

	do
		got = recv(socket, message, sizeof(*message), 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (!got)
		return -EPIPE;
	*size = (size_t)got;
	return 0;
}

#define FDS_MOST ((int)ARRAYS > (int)DOOR_FDS ? (int)ARRAYS : (int)DOOR_FDS)

union descriptors {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int) * FDS_MOST)];
};

static int send_with(int socket, const struct message *message, const int *fds, size_t count)
{
	union descriptors control = {.header = {.cmsg_level = SOL_SOCKET,
						.cmsg_type = SCM_RIGHTS,
						.cmsg_len = CMSG_LEN(sizeof(int) * count)}};
	struct iovec bytes = {(void *)message, message_size(message)};
	const struct msghdr whole = {.msg_iov = &bytes,
				     .msg_iovlen = 1,
				     .msg_control = &control,
				     .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	ssize_t sent;

	memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
	do
		sent = sendmsg(socket, &whole, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static int receive_with(int socket, struct message *message, size_t *size, int *fds, size_t count)
{
	union descriptors control;
	struct iovec bytes = {message, sizeof(*message)};
	struct msghdr whole = {.msg_iov = &bytes,
			       .msg_iovlen = 1,
			       .msg_control = &control,
			       .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	const struct cmsghdr *header;
	ssize_t got;

	memset(fds, -1, sizeof(int) * count);
	do
		got = recvmsg(socket, &whole, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (!got)
		return -EPIPE;
	header = CMSG_FIRSTHDR(&whole);
	if (header && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int) * count))
		memcpy(fds, CMSG_DATA(header), sizeof(int) * count);
	*size = (size_t)got;
	return 0;
}

int message_send_arrays(int socket, const struct message *message, const int fds[ARRAYS])
{
	return send_with(socket, message, fds, ARRAYS);
}

int message_receive_arrays(int socket, struct message *message, size_t *size, int fds[ARRAYS])
{
	return receive_with(socket, message, size, fds, ARRAYS);
}

int message_send_door(int socket, const struct message *message, const int fds[DOOR_FDS])
{
	return send_with(socket, message, fds, DOOR_FDS);
}

int message_receive_door(int socket, struct message *message, size_t *size, int fds[DOOR_FDS])
{
	return receive_with(socket, message, size, fds, DOOR_FDS);
}

static int is_interface(const struct interface_name *name)
{
	size_t length = strnlen(name->text, sizeof(name->text)), i;

	if (!length || length == sizeof(name->text) || !strcmp(name->text, ".") ||
	    !strcmp(name->text, ".."))
		return 0;
	for (i = 0; i < length; i++)
		if (name->text[i] <= ' ' || name->text[i] == '/' || name->text[i] == 0x7F)
			return 0;
	for (; i < sizeof(name->text); i++)
		if (name->text[i])
			return 0;
	return 1;
}

int interface_name_check(const struct interface_name *name)
{
	return is_interface(name) ? 0 : -EINVAL;
}

static int is_mac(const __u8 mac[6])
{
	static const __u8 zero[6];

	return memcmp(mac, zero, sizeof(zero)) != 0 && !(mac[0] & 1);
}

int node_settings_check(const struct node_settings *settings, const char **why)
{
	static const struct interface_name none;
	int gateway = settings->roles & (NODE_FWD | NODE_FTN);

	*why = NULL;
	if (!settings->roles)
		return 0;
	if (settings->roles & ~(__u32)(NODE_FWD | NODE_FTN | NODE_EDGE))
		*why = "a role that is not known";
	else if (settings->overlay > OVERLAY_GENEVE)
		*why = "an overlay that is not known";
	else if (settings->tenant_mtu < 576 || settings->tenant_mtu > 65535)
		*why = "a tenant MTU outside 576 to 65535";
	else if (!settings->oam_port || settings->oam_port > 65535)
		*why = "an OAM port outside 1 to 65535";
	else if (settings->beat_ms > MAX_BEAT_MS)
		*why = "an interval of heartbeats beyond the limit";
	else if (!is_interface(&settings->tenant_interface))
		*why = "no usable name of the tenant interface";
	else if (!is_mac(settings->tenant_mac))
		*why = "no usable MAC of the tenant interface";
	else if (gateway && settings->roles & NODE_EDGE)
		*why = "one node is a gateway or an edge, never both";
	else if (gateway && settings->index >= MAX_NODES)
		*why = "a node index beyond the limit";
	else if (gateway && !is_interface(&settings->zgc_interface))
		*why = "no usable name of the cluster interface";
	else if (gateway && !is_mac(settings->zgc_mac))
		*why = "no usable MAC of the cluster interface";
	else if (!gateway && memcmp(&settings->zgc_interface, &none, sizeof(none)) != 0)
		*why = "an edge has no cluster interface";
	return *why ? -EINVAL : 0;
}
