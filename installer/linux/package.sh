# shellcheck shell=sh
# What happens on a PC when the package comes, changes and goes; deb and rpm call these at their own moments (packages.py
# puts the scripts together: own.sh, settings.sh, this, the list of files as `files`, and the calls).
#
# The program that runs is never without limits longer than a restart takes, and what was begun can be begun again: each of
# these may run twice, and starts from whatever an interrupted one has left.

umask 022
LC_ALL=C
export LC_ALL
places '' /usr
tab=${tab:-} own=${own:-} lib=${lib:-} manifest=${manifest:-} state=${state:-} # (own.sh)

# ---- before the files come -------------------------------------------------------------------------------------------

# Nothing is touched yet: whoever cannot go on says so here.
check() { # FIRST: `yes` when no version of this package is there
    for folder in /usr /etc /var/lib; do
        [ -w "$folder" ] ||
            fail "$folder is mounted read-only, so Fairtime cannot be put there" \
                "Make it writable first, for example: sudo mount -o remount,rw $folder"
    done
    if [ "$1" = yes ] && there "$lib" && [ "$(field "$lib/fairtime" 6)" != new ] && [ "$(field "$lib/bin/fairtime" 6)" != new ]; then
        fail "In $lib lies a program that is not this package's" \
            "If it is a Fairtime of yours, take it away with its installer/linux/install.sh --uninstall; else move it away."
    fi
}

# From here on nothing is put right, and what lies where ours will lie is kept for the day when Fairtime goes.
make_way() { # FIRST
    aside
    [ "$1" = yes ] || return 0
    for path in $(files | cut -f 1); do
        was=$(before "$path")
        [ "$was" != was ] || note file "$path" - - - was
    done
    # An installation by install.sh becomes this package's: what it brought and the package does not goes with `finish`.
    if [ -d "$lib" ] && ! there "$own/program"; then mv -T -- "$lib" "$own/program"; fi
}

# It did not come after all.
abandon() {
    if [ -d "$own/program" ]; then
        rm -rf -- "$lib"
        mv -T -- "$own/program" "$lib"
    fi
    rm -f -- "$own/manifest.new"
    if [ -s "$own/manifest.aside" ]; then mv -f -- "$own/manifest.aside" "$manifest"; else rm -rf -- "$own"; fi
    rmdir -- "$state" 2>/dev/null || true
}

# ---- when they are there ---------------------------------------------------------------------------------------------

settle() {
    # An interrupted run may have left it half written; what it kept is known from the lines that count.
    aside
    rm -rf -- "$own/program"
    find "$lib" -name __pycache__ -prune -exec rm -rf -- {} + # of an administrator's own tray
    make_group
    list_program same
    for path in $(files | cut -f 1); do
        [ -f "$path" ] || continue # left out on purpose (dpkg's path-exclude)
        mkdir -p -- "$(dirname -- "$own/spare$path")"
        cmp -s "$path" "$own/spare$path" || cp -pP -- "$path" "$own/spare$path"
        was=$(field "$path" 6)
        [ "$was" = was ] || was=same
        note_file "$path" "$(files | awk -F '\t' -v path="$path" '$1 == path { print $2 }')" "$was"
    done
    link ../lib/fairtime/fairtime /usr/bin/fairtime
    pam
    note_lines
    finish
}

# A household that was founded gets its limits; a new one is told how to begin.
begin() {
    read_bus_rules
    if [ ! -e "$state/root.json" ]; then
        if booted; then systemctl daemon-reload; fi
        printf 'Fairtime is in place.  Now: sudo fairtime setup\n'
    elif command -v systemctl >/dev/null; then
        { systemctl enable --quiet fairtime.service && start_or_hand_over; } ||
            printf 'fairtime: the service did not start, and limits do not hold until it does: systemctl status fairtime\n' >&2
    fi
}

# ---- when they go ----------------------------------------------------------------------------------------------------

leave() {
    [ -d "$state" ] || return 0
    tombstone
    end_service
    open_sites
    pam --remove
}

# The program is gone; what lay in its place comes back.  The record stays.
undo_all() {
    rm -rf -- "$lib"
    if [ -d "$own" ]; then
        known | awk -F '\t' '!seen[$2]++' >"$own/taking"
        undo "$own/taking"
        rm -rf -- "$own"
    fi
    # Where no household was founded there is no record to keep.
    if [ -d "$state" ] && ! there "$state/root.json"; then
        rm -f -- "$state/removed"
        rmdir -- "$state" 2>/dev/null || true
    elif [ -d "$state" ]; then
        printf 'Fairtime is removed.  Its record and policy are kept in %s and /etc/fairtime.\n' "$state"
    fi
    if booted; then systemctl daemon-reload; fi
}

forget() {
    if [ -e "$state/root.json" ]; then printf 'The record and the policy of Fairtime are removed, too.\n'; fi
    rm -rf -- "$state" /etc/fairtime
}
