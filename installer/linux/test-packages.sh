#!/bin/sh
# Install the Debian packages named in a file ($1), when that can be done here; otherwise say what follows ($2).
set -eu
missing=
# shellcheck disable=SC2013  # a name a line
for package in $(cat "$1"); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$2, because these packages are not installed:$missing"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null
# shellcheck disable=SC2086  # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
