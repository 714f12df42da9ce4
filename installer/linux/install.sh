#!/bin/sh
# Put Fairtime in place on a Linux PC (as root), or take it away again.  Running it again repairs and upgrades.
#
#   install.sh [--program FOLDER] [--prefix /usr] [--root DIR]    put in place
#   install.sh --uninstall [--root DIR]                           everything back as it was, byte for byte
#
# The program itself is a folder with the command in it: --program copies it (`make package` leaves dist/fairtime) to
# PREFIX/lib/fairtime; without it, what lies there is used, which may be a virtual environment.  --root works on another
# system's files (an image) and starts and stops nothing.
#
# What was written is listed in /var/lib/fairtime/own/manifest, with a spare copy of each file and what was there before.
# The service checks its files against that list and puts them right.  No list, no checking: while this script works the
# list is set aside.
set -eu
umask 022
LC_ALL=C
export LC_ALL

root=''
prefix=/usr
program=''
uninstall=''
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
assets=$here/../../assets/icons
tab=$(printf '\t')

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '  %s\n' "$2" >&2
    exit "${3:-1}"
}

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
    case $1 in
        --root | --prefix | --program)
            [ $# -ge 2 ] || fail "$1 wants a folder" "" 2
            case $1 in
                --root) root=${2%/} ;;
                --prefix) prefix=${2%/} ;;
                --program) program=${2%/} ;;
            esac
            shift
            ;;
        --uninstall) uninstall=yes ;;
        -h | --help) usage; exit 0 ;;
        *) fail "$1 is not known here" "$(usage)" 2 ;;
    esac
    shift
done

case $root in '' | /*) ;; *) fail "--root wants a full path" "For example --root /mnt/pc" 2 ;; esac
case $prefix in /*) ;; *) fail "--prefix wants a full path" "For example --prefix /usr" 2 ;; esac
[ -z "$root" ] || [ -d "$root" ] || fail "There is no folder $root" "" 2
[ "$(id -u)" = 0 ] || fail "This needs an administrator" "Run it as: sudo sh $0"

state=/var/lib/fairtime
own=$root$state/own
manifest=$own/manifest
lib=$prefix/lib/fairtime
group=fairtime-children

# ---- what the list says ----------------------------------------------------------------------------------------------

# Lines of the list as it was, the oldest first: an interrupted run's count, too, for its "before" copies are the true ones.
known() {
    for list in "$own/manifest.aside" "$manifest" "$own/manifest.new"; do
        [ ! -f "$list" ] || cat "$list"
    done
}

field() { # PATH NUMBER: a column of the first line about PATH
    known | awk -F '\t' -v path="$1" -v n="$2" '$2 == path { print $n; exit }'
}

note() { # columns of a line
    line=$1
    shift
    for column; do line=$line$tab$column; done
    printf '%s\n' "$line" >>"$own/manifest.new"
}

there() { [ -e "$1" ] || [ -L "$1" ]; }

folder() { # PATH: make it and the folders above it, and remember those that were not there
    if [ ! -d "$root$1" ]; then
        folder "$(dirname -- "$1")"
        mkdir -m 0755 -- "$root$1"
    elif [ "$(field "$1" 1)" = folder ]; then
        folder "$(dirname -- "$1")"
    else
        return 0
    fi
    grep -qxF "folder$tab$1" "$own/manifest.new" || note folder "$1"
}

# Keep what lies at PATH, unless an earlier run has.  Prints `new` (nothing was there), `was` (kept) or `same` (it is ours
# to watch, not to remove).
before() {
    said=$(field "$1" 6)
    [ -z "$said" ] || {
        printf '%s' "$said"
        return 0
    }
    there "$root$1" || {
        printf new
        return 0
    }
    mkdir -p -- "$(dirname -- "$own/before$1")"
    rm -f -- "$own/before$1"
    cp -pP -- "$root$1" "$own/before$1"
    printf was
}

# Put SOURCE at PATH with MODE, whole or not at all, with a spare copy.  @prefix@ in it becomes the prefix.
put() {
    folder "$(dirname -- "$2")"
    was=$(before "$2")
    mkdir -p -- "$(dirname -- "$own/spare$2")"
    case $2 in
        *.png) cat "$1" ;;
        *) sed "s|@prefix@|$prefix|g" "$1" ;;
    esac >"$own/spare$2.new"
    chmod "$3" "$own/spare$2.new"
    chown 0:0 "$own/spare$2.new"
    if cmp -s "$own/spare$2.new" "$own/spare$2"; then
        rm -- "$own/spare$2.new" # its time stays, so that nothing seems changed
    else
        mv -f -- "$own/spare$2.new" "$own/spare$2"
    fi
    cp -pP -- "$own/spare$2" "$root$2.fairtime-new"
    mv -fT -- "$root$2.fairtime-new" "$root$2"
    note file "$2" "$3" "$(stat -c %Y "$own/spare$2")" "$(sha256sum <"$own/spare$2" | cut -d ' ' -f 1)" "$was"
}

link() { # TARGET PATH
    folder "$(dirname -- "$2")"
    if [ -z "$(field "$2" 6)" ] && [ "$(readlink -- "$root$2" || true)" = "$1" ]; then
        was=same
    else
        was=$(before "$2")
    fi
    ln -sfnT -- "$1" "$root$2"
    note link "$2" "$1" - - "$was"
}

# Every file of the program, as it lies there; WAS says whether it is ours to remove.
list_program() {
    find "$root$lib" -name '*[[:cntrl:]\\]*' | grep -q . && fail "A file of the program has a name with control characters"
    rm -rf -- "$own/spare$lib"
    mkdir -p -- "$own/spare$prefix/lib"
    cp -a -- "$root$lib" "$own/spare$lib"
    # Taking away goes through the list backwards: folders are listed before what is in them.
    if [ "$1" != same ]; then
        find "$root$lib" -type d -exec sh -c 'for one; do printf "folder\t%s\n" "${one#"$ROOT"}"; done' sh {} + \
            >>"$own/manifest.new"
    fi
    find "$root$lib" -type f -exec stat -c "%a$tab%Y$tab%n" {} + >"$own/stats.new"
    find "$root$lib" -type f -exec sha256sum {} + | awk -v skip="${#root}" -v was="$1" '
        BEGIN { FS = "\t"; OFS = "\t" }
        NR == FNR { mode[$3] = $1; time[$3] = $2; next }
        { sha = substr($0, 1, 64); path = substr($0, 67)
          print "file", substr(path, skip + 1), mode[path], time[path], sha, was }' "$own/stats.new" - >>"$own/manifest.new"
    rm -- "$own/stats.new"
    find "$root$lib" -type l -exec sh -c '
        for one; do printf "link\t%s\t%s\t-\t-\t%s\n" "${one#"$ROOT"}" "$(readlink -- "$one")" "$WAS"; done' sh {} + \
        >>"$own/manifest.new"
}

# Take back the lines of a list, the last first.
undo() {
    sed '1!G;h;$!d' "$1" >"$own/undoing"
    while IFS=$tab read -r kind path _ _ _ was; do
        case $kind:${was:-} in
            file:was | link:was)
                cp -pP -- "$own/before$path" "$root$path.fairtime-new"
                mv -fT -- "$root$path.fairtime-new" "$root$path"
                ;;
            file:new | link:new) rm -f -- "$root$path" ;;
            # pam-auth-update leaves a file alone that was changed by hand; ours are lines that nothing else jumps over.
            lines:*) if grep -q fairtime "$root$path" 2>/dev/null; then sed -i '/fairtime/d' "$root$path"; fi ;;
            folder:)
                rm -rf -- "$root$path/__pycache__"        # Python's own
                rmdir -- "$root$path" 2>/dev/null || true # somebody else's files may lie there by now
                ;;
            group:) groupdel ${root:+-P "$root"} "$path" || true ;;
            *) ;;
        esac
    done <"$own/undoing"
    rm -- "$own/undoing"
}

booted() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

# ---- uninstall -------------------------------------------------------------------------------------------------------

take_away() {
    known | grep -q . || fail "Fairtime's list of its files is not there: $manifest" "Nothing was taken away."
    if booted; then
        systemctl disable --now --quiet fairtime.service || true
        systemctl stop --quiet fairtime-resolver.socket 'fairtime-resolver@*.service' || true
        for frozen in /sys/fs/cgroup/user.slice/user-*.slice/cgroup.freeze; do
            [ ! -w "$frozen" ] || echo 0 >"$frozen"
        done
    else
        rm -f -- "$root/etc/systemd/system/multi-user.target.wants/fairtime.service"
    fi
    open_sites
    if [ -f "$root$prefix/share/pam-configs/fairtime" ]; then pam --remove; fi
    known | awk -F '\t' '!seen[$2]++' >"$own/taking"
    undo "$own/taking"
    rm -rf -- "$own"
    # A tombstone: whoever installs again is told when limits ended, and by whom.
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "${SUDO_USER:-root}" >"$root$state/removed"
    if booted; then systemctl daemon-reload; fi
    printf 'Fairtime is removed.  What it recorded is still in %s; remove that folder to forget it.\n' "$root$state"
}

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

if [ -n "$uninstall" ]; then
    set_prefix=$(known | awk -F '\t' '$1 == "prefix" { print $3; exit }')
    prefix=${set_prefix:-$prefix}
    take_away
    exit 0
fi

# ---- install ---------------------------------------------------------------------------------------------------------

[ -z "$program" ] || { [ -f "$program/fairtime" ] && [ -x "$program/fairtime" ]; } ||
    fail "There is no program in $program" "make package leaves one in dist/fairtime"
[ -n "$program" ] || [ -x "$root$lib/fairtime" ] || [ -x "$root$lib/bin/fairtime" ] ||
    fail "There is no program in $root$lib" "Give the folder with it: --program dist/fairtime"

mkdir -p -- "$root/var/lib"
[ -d "$root$state" ] || mkdir -m 0700 -- "$root$state"
[ -d "$own" ] || mkdir -m 0700 -- "$own"
known | awk -F '\t' '!seen[$2]++' >"$own/manifest.all"
mv -f -- "$own/manifest.all" "$own/manifest.aside"
rm -f -- "$manifest"
: >"$own/manifest.new"
note fairtime-manifest 1
note prefix - "$prefix"

ours=$(field "$lib/bin/fairtime" 6)
ours=${ours:-$(field "$lib/fairtime" 6)}
if [ -n "$program" ] && [ -d "$root$lib" ] && [ "$ours" != new ]; then
    mv -f -- "$own/manifest.aside" "$manifest"
    [ -s "$manifest" ] || rm -f -- "$manifest"
    rm -f -- "$own/manifest.new"
    fail "In $root$lib lies a program that this script did not put there" "Move it away first, or leave --program out."
fi
folder "$prefix/lib"
if [ -n "$program" ]; then
    rm -rf -- "$root$lib.fairtime-new" "$root$lib.fairtime-old"
    cp -a -- "$program" "$root$lib.fairtime-new"
    chown -R 0:0 "$root$lib.fairtime-new"
    chmod -R go-w "$root$lib.fairtime-new"
    [ ! -d "$root$lib" ] || mv -T -- "$root$lib" "$root$lib.fairtime-old"
    mv -T -- "$root$lib.fairtime-new" "$root$lib"
    rm -rf -- "$root$lib.fairtime-old"
    ours=${ours:-new}
fi
ROOT=$root WAS=${ours:-same}
export ROOT WAS
list_program "$WAS"
if [ -x "$root$lib/bin/fairtime" ]; then link "$lib/bin/fairtime" "$prefix/bin/fairtime"; else link "$lib/fairtime" "$prefix/bin/fairtime"; fi

put "$here/fairtime.service" "$prefix/lib/systemd/system/fairtime.service" 644
for unit in fairtime-resolver.socket fairtime-resolver@.service; do
    put "$here/$unit" "$prefix/lib/systemd/system/$unit" 644
done
put "$here/fairtime.slice" "$prefix/lib/systemd/system/fairtime.slice" 644
put "$here/sysusers.conf" "$prefix/lib/sysusers.d/fairtime.conf" 644
put "$here/fairtime-tray.desktop" /etc/xdg/autostart/fairtime-tray.desktop 644
for rules in "$here"/polkit/*.rules; do
    [ ! -f "$rules" ] || put "$rules" "$prefix/share/polkit-1/rules.d/${rules##*/}" 644
done
for icon in "$assets"/fairtime-*.png; do
    size=${icon##*-} size=${size%.png}
    [ ! -f "$icon" ] || put "$icon" "$prefix/share/icons/hicolor/${size}x$size/apps/fairtime.png" 644
done
[ ! -f "$assets/fairtime.svg" ] || put "$assets/fairtime.svg" "$prefix/share/icons/hicolor/scalable/apps/fairtime.svg" 644

if grep -q "^$group:" "$root/etc/group" 2>/dev/null; then
    [ "$(field "$group" 1)" != group ] || note group "$group"
elif command -v groupadd >/dev/null; then
    groupadd ${root:+-P "$root"} --system "$group"
    note group "$group"
fi

# The bus knows a group when it reads a rule for it.
put "$here/dbus/fairtime.conf" "$prefix/share/dbus-1/system.d/fairtime.conf" 644

# What PAM runs, before the lines that run it.
put "$here/../../agent/platforms/linux/logincheck.py" "$prefix/libexec/fairtime/login-check" 755
put "$here/pam/refuse.conf" "$prefix/libexec/fairtime/refuse.conf" 644
for profile in "$here"/pam/pam-configs/*; do
    [ ! -f "$profile" ] || put "$profile" "$prefix/share/pam-configs/${profile##*/}" 644
done
for service in "$here"/pam/pam.d/*; do
    [ ! -f "$service" ] || put "$service" "/etc/pam.d/${service##*/}" 644
done
if [ -f "$root$prefix/share/pam-configs/fairtime" ]; then pam; fi
# Files of others with lines of ours: as a whole they are theirs, the lines are watched.
for stack in "$root"/etc/pam.d/common-*; do
    grep -q fairtime "$stack" 2>/dev/null || continue
    path=${stack#"$root"}
    mkdir -p -- "$(dirname -- "$own/spare$path")"
    cp -p -- "$stack" "$own/spare$path"
    note lines "$path" - - "$(sha256sum <"$stack" | cut -d ' ' -f 1)" theirs
done

# What an earlier version put in place and this one does not.
awk -F '\t' 'NR == FNR { new[$2] = 1; next } !($2 in new)' "$own/manifest.new" "$own/manifest.aside" >"$own/gone"
undo "$own/gone"
rm -- "$own/gone"
mv -f -- "$own/manifest.new" "$manifest"
rm -f -- "$own/manifest.aside"
if booted; then
    systemctl daemon-reload
    # An earlier version's resolver goes with it: the service has the next one started.
    systemctl try-restart fairtime-resolver.socket
    systemctl try-restart fairtime.service
fi
printf 'Fairtime is in place.  Now: sudo fairtime setup\n'
