#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what packages.txt lists and this machine lacks: all of it, or with "demo" what the demo
# needs. Quiet and quick when nothing is missing.
set -eu
list=$(sed "${1:+/^# Only for checking/q;}/^#/d" "$(dirname "$0")/../packages.txt" | sed '/^#/d')
missing=
for package in $list; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "missing packages, install them as root: $missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# Servers that come with a package are started by the lab in its own namespaces, never by the system.
RUNLEVEL=1 apt-get -qq update
RUNLEVEL=1 apt-get -qq install --no-install-recommends -y $missing >/dev/null
