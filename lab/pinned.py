# SPDX-License-Identifier: Apache-2.0
"""Reads a pinned map of the kernel's, many times a second: without a process for each look, whose
time would be missing to what is measured."""
import ctypes
import os
import platform
import struct

CALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOOKUP, GET = 1, 7
MOST = 4096  # bytes of a value

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    room = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    done = libc.syscall(CALL, command, room, 128)
    if done < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return done


class PinnedMap:
    def __init__(self, path):
        name = ctypes.create_string_buffer(path.encode())
        self.fd = bpf(GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))

    def look(self, number):
        """The value of a key that is a number of 32 bits."""
        key = ctypes.c_uint32(number)
        value = ctypes.create_string_buffer(MOST)
        bpf(LOOKUP, struct.pack("=IxxxxQQQ", self.fd, ctypes.addressof(key),
                                ctypes.addressof(value), 0))
        return value.raw

    def close(self):
        os.close(self.fd)
