#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh CLANG STRIP INCLUDE MULTIARCH SOURCE OBJECT DEPFILE [-D..]: a network function's object.
set -e
clang=$1 strip=$2 include=$3 multiarch=$4 source=$5 object=$6 depfile=$7
shift 7
"$clang" -target bpf -mcpu=v3 -std=gnu17 -g -O2 -Wall -Wextra -Wno-unused-parameter -Werror \
	-I"$include" -idirafter "$multiarch" -MD -MF "$depfile" "$@" -c "$source" -o "$object"
"$strip" -g "$object"
