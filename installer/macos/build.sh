#!/bin/sh
# Make dist/Fairtime-VERSION.pkg from the program's folder, on a Mac: sh installer/macos/build.sh VERSION [dist/fairtime].
# It is not signed: to be handed on it needs a Developer ID (productsign) and Apple's notarisation (notarytool), which are
# whoever hands it on's to do.
set -eu
umask 022
version=${1:?"a version, for example 0.1.0"}
program=${2:-dist/fairtime}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ -x "$program/fairtime" ] || { echo "There is no program in $program: make package leaves it there" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/Library/LaunchDaemons" "$root/Library/LaunchAgents" "$root/etc/paths.d" "$root/Library/Fairtime"
cp -R "$program/." "$root/Library/Fairtime/"
cp "$here/uninstall.sh" "$root/Library/Fairtime/uninstall.sh"
cp "$here/org.fairtime.Fairtime.plist" "$root/Library/LaunchDaemons/"
cp "$here/org.fairtime.Fairtime.tray.plist" "$root/Library/LaunchAgents/"
echo /Library/Fairtime >"$root/etc/paths.d/fairtime"
chmod -R go-w "$root"
mkdir -p dist
pkgbuild --root "$root" --scripts "$here/scripts" --identifier org.fairtime.Fairtime --version "$version" \
    --ownership recommended "dist/Fairtime-$version-component.pkg"
productbuild --package "dist/Fairtime-$version-component.pkg" "dist/Fairtime-$version.pkg"
rm "dist/Fairtime-$version-component.pkg"
echo "dist/Fairtime-$version.pkg"
