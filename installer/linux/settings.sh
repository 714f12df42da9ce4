# shellcheck shell=sh
# What Fairtime changes on a Linux PC besides its own files, and how it goes back: the service and its units, PAM's stacks,
# browsers' rules, the firewall's table, the system's bus.  Read in by install.sh and by the packages' scripts, after own.sh.

: "${root:=}" "${state:=}"

booted() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

# ---- the service -----------------------------------------------------------------------------------------------------

end_service() {
    if booted; then
        systemctl disable --now --quiet fairtime.service || true
        systemctl stop --quiet fairtime-resolver.socket 'fairtime-resolver@*.service' || true
        for frozen in /sys/fs/cgroup/user.slice/user-*.slice/cgroup.freeze; do
            [ ! -w "$frozen" ] || echo 0 >"$frozen"
        done
    else
        rm -f -- "$root/etc/systemd/system/multi-user.target.wants/fairtime.service"
    fi
}

renew_service() {
    booted || return 0
    systemctl daemon-reload
    # An earlier version's resolver goes with it: the service has the next one started.
    systemctl try-restart fairtime-resolver.socket
    if systemctl is-active --quiet fairtime.service; then hand_over; fi
}

main_pid() { systemctl show --property=MainPID --value fairtime.service; }

# The running service makes room: it saves and ends (SIGHUP), the gate, the firewall and frozen sessions stay as they are
# until the next one takes them over.  One of a version that does not know the signal ends by it, which comes to the same.
hand_over() {
    old=$(main_pid)
    [ "${old:-0}" = 0 ] || kill -HUP "$old" || true
    waited=0
    while [ "${old:-0}" != 0 ] && [ -d "/proc/$old" ] && [ "$waited" -lt 100 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    # It is started at once, not after RestartSec=.  One that did not end is ended by this.
    if [ "$waited" -ge 100 ]; then systemctl restart fairtime.service; else systemctl start fairtime.service; fi
}

# Into force with what lies there now; nothing where it runs from that already.
start_or_hand_over() {
    booted || return 0
    systemctl daemon-reload
    systemctl start fairtime-resolver.socket || true
    if ! systemctl is-active --quiet fairtime.service; then
        systemctl start fairtime.service
    else
        case $(readlink "/proc/$(main_pid)/exe") in *' (deleted)') hand_over ;; *) ;; esac
    fi
}

# The bus knows a group when it reads a rule for it, and the rule may have come before the group.
read_bus_rules() {
    if booted && command -v busctl >/dev/null; then
        busctl --quiet call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig || true
    fi
}

# A tombstone: whoever installs again is told when limits ended, and by whom.
tombstone() {
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${SUDO_USER:-root}" >"$root$state/removed"
}

# ---- what the service changed ----------------------------------------------------------------------------------------

# Browsers' rules and the firewall's table are the service's own doing and in no list.
open_sites() {
    for folder in "$root"/etc/*/policies/managed "$root"/etc/opt/*/policies/managed \
        "$root"/var/lib/flatpak/extension/*.fairtime/*/*/policies/managed; do
        [ -d "$folder" ] || continue
        rm -f -- "$folder"/zz-fairtime-*.json
        rmdir -p --ignore-fail-on-non-empty -- "$folder"
    done
    for folder in "$root"/etc/firefox/policies \
        "$root"/var/lib/flatpak/extension/org.mozilla.firefox.systemconfig/*/*/policies; do
        grep -q '"fairtime": true' "$folder/policies.json" 2>/dev/null || continue
        rm -f -- "$folder/policies.json"
        [ ! -e "$folder/policies.json.before-fairtime" ] ||
            mv -f -- "$folder/policies.json.before-fairtime" "$folder/policies.json"
        # A folder of its own again: this one is closed to guardians by an ACL, and not every PC has setfacl.
        mkdir -m 0755 -- "$folder.fairtime-new"
        find "$folder" -mindepth 1 -maxdepth 1 -exec mv -- {} "$folder.fairtime-new/" \;
        rmdir -- "$folder"
        mv -T -- "$folder.fairtime-new" "$folder"
        rmdir -p --ignore-fail-on-non-empty -- "$folder"
    done
    if [ -z "$root" ] && command -v nft >/dev/null; then nft 'table inet fairtime; delete table inet fairtime' || true; fi
}

# pam-auth-update(8) writes the common files of PAM from profiles, and takes its own lines out again.
pam() {
    if [ -z "$root" ]; then
        if command -v pam-auth-update >/dev/null; then DEBIAN_FRONTEND=noninteractive pam-auth-update --package "$@" fairtime; fi
    elif [ -x "$root/usr/sbin/pam-auth-update" ]; then
        DEBIAN_FRONTEND=noninteractive chroot "$root" pam-auth-update --package "$@" fairtime
    fi
}
