#!/bin/sh
# Take Fairtime off this Mac, as an administrator: sudo sh uninstall.sh [--purge].  The record stays (policy, minutes, audit)
# unless --purge takes it, too.  Profiles are each person's to remove: System Settings, Device Management.
set -eu
purge=${1:-}
case $purge in '' | --purge) ;; *) echo "uninstall.sh: $purge is not known here" >&2; exit 2 ;; esac
root=${FAIRTIME_ROOT:-}
if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    echo "This needs an administrator.  Run it as: sudo sh $0" >&2
    exit 1
fi
support="$root/Library/Application Support/Fairtime"

# The tombstone first: the service writes it into its audit as its last line.
if [ -d "$support/state" ]; then
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${SUDO_USER:-root}" >"$support/state/removed"
fi
if [ -z "$root" ]; then
    launchctl bootout system/org.fairtime.Fairtime 2>/dev/null || true
    person=$(stat -f %u /dev/console)
    launchctl bootout "gui/$person/org.fairtime.Fairtime.tray" 2>/dev/null || true
fi
rm -f "$root/Library/LaunchDaemons/org.fairtime.Fairtime.plist" "$root/Library/LaunchAgents/org.fairtime.Fairtime.tray.plist" \
    "$root/etc/paths.d/fairtime"
rm -rf "$root/Library/Fairtime" "$root/var/run/fairtime" "$support/profiles"
if [ "$purge" = --purge ]; then rm -rf "$support" "$root/var/log/fairtime.log"; fi
if [ -z "$root" ]; then pkgutil --forget org.fairtime.Fairtime >/dev/null 2>&1 || true; fi
echo "Fairtime is gone.  Profiles that it wrote are removed in System Settings, Device Management, in each child's account."
