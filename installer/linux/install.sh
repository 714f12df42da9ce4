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

called=install.sh
root=''
prefix=/usr
program=''
uninstall=''
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=installer/linux/own.sh
. "$here/own.sh"
# shellcheck source=installer/linux/settings.sh
. "$here/settings.sh"

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
places "$root" "$prefix"

# ---- uninstall -------------------------------------------------------------------------------------------------------

take_away() {
    known | grep -q . || fail "Fairtime's list of its files is not there: $manifest" "Nothing was taken away."
    tombstone
    end_service
    open_sites
    if [ -f "$root$prefix/share/pam-configs/fairtime" ]; then pam --remove; fi
    known | awk -F '\t' '!seen[$2]++' >"$own/taking"
    undo "$own/taking"
    rm -rf -- "$own"
    if booted; then systemctl daemon-reload; fi
    printf 'Fairtime is removed.  What it recorded is still in %s; remove that folder to forget it.\n' "$root$state"
}

if [ -n "$uninstall" ]; then
    set_prefix=$(known | awk -F '\t' '$1 == "prefix" { print $3; exit }')
    places "$root" "${set_prefix:-$prefix}"
    take_away
    exit 0
fi

# ---- install ---------------------------------------------------------------------------------------------------------

if [ "$prefix" = /usr ] && grep -qs '^Package: fairtime$' "$root/var/lib/dpkg/status" &&
    [ -f "$root/var/lib/dpkg/info/fairtime.list" ]; then
    fail "Fairtime is installed as a package" "Use the system's tool for it, or remove it first: sudo apt remove fairtime"
fi
[ -z "$program" ] || { [ -f "$program/fairtime" ] && [ -x "$program/fairtime" ]; } ||
    fail "There is no program in $program" "make package leaves one in dist/fairtime"
[ -n "$program" ] || [ -x "$root$lib/fairtime" ] || [ -x "$root$lib/bin/fairtime" ] ||
    fail "There is no program in $root$lib" "Give the folder with it: --program dist/fairtime"

# Put SOURCE at PATH with MODE, whole or not at all, with a spare copy.
put() {
    folder "$(dirname -- "$2")"
    was=$(before "$2")
    spare "$1" "$2" "$3"
    cp -pP -- "$own/spare$2" "$root$2.fairtime-new"
    mv -fT -- "$root$2.fairtime-new" "$root$2"
    note_file "$2" "$3" "$was"
}

aside
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
list_program "${ours:-same}"
if [ -x "$root$lib/bin/fairtime" ]; then start=bin/fairtime; else start=fairtime; fi
link "../lib/fairtime/$start" "$prefix/bin/fairtime"

make_group # before the rules for it: the bus knows a group when it reads a rule
while read -r source place mode; do
    case $source in '' | '#'*) continue ;; esac
    source=$here/../../$source
    [ -f "$source" ] || case $source in */build/share/*) continue ;; *) fail "A part is missing: $source" ;; esac
    case $place in @prefix@/*) place=$prefix${place#@prefix@} ;; esac
    put "$source" "$place" "$mode"
done <"$here/files.txt"
if [ -f "$root$prefix/share/pam-configs/fairtime" ]; then pam; fi
note_lines
finish
renew_service
printf 'Fairtime is in place.  Now: sudo fairtime setup\n'
