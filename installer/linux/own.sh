# shellcheck shell=sh
# Fairtime's list of its own files on a Linux PC: what lies where, spare copies, and what was there before.  Read in by
# install.sh and by the packages' scripts; runs nothing by itself.
#
# The list is /var/lib/fairtime/own/manifest (agent/platforms/linux/ownlist.py reads it).  The service checks its files against
# it and puts them right.  No list, no checking: while files are exchanged the list is set aside.

tab=$(printf '\t')
state=/var/lib/fairtime
group=fairtime-children

places() { # ROOT PREFIX: where everything is
    root=$1 prefix=$2
    own=$root$state/own
    manifest=$own/manifest
    lib=$prefix/lib/fairtime
}

fail() { # WORDS ADVICE CODE
    printf '%s: %s\n' "${called:-fairtime}" "$1" >&2
    [ -z "${2:-}" ] || printf '  %s\n' "$2" >&2
    exit "${3:-1}"
}

there() { [ -e "$1" ] || [ -L "$1" ]; }

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

# ---- writing it ------------------------------------------------------------------------------------------------------

# Nothing is checked from here on, until `finish`.
aside() {
    mkdir -p -- "$root/var/lib"
    [ -d "$root$state" ] || mkdir -m 0700 -- "$root$state"
    [ -d "$own" ] || mkdir -m 0700 -- "$own"
    known | awk -F '\t' '!seen[$2]++' >"$own/manifest.all"
    mv -f -- "$own/manifest.all" "$own/manifest.aside"
    rm -f -- "$manifest"
    : >"$own/manifest.new"
    note fairtime-manifest 1
    note prefix - "$prefix"
}

# The new list holds; what an earlier version put in place and this one does not goes.
finish() {
    awk -F '\t' 'NR == FNR { new[$2] = 1; next } !($2 in new)' "$own/manifest.new" "$own/manifest.aside" >"$own/gone"
    undo "$own/gone"
    rm -- "$own/gone"
    mv -f -- "$own/manifest.new" "$manifest"
    rm -f -- "$own/manifest.aside"
}

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

# What SOURCE is at PATH: @prefix@ in a text becomes the prefix.
filled() {
    case $2 in
        *.png | *.gz) cat "$1" ;;
        *) sed "s|@prefix@|$prefix|g" "$1" ;;
    esac
}

# SOURCE becomes the spare copy of PATH, with MODE.
spare() {
    mkdir -p -- "$(dirname -- "$own/spare$2")"
    filled "$1" "$2" >"$own/spare$2.new"
    chmod "$3" "$own/spare$2.new"
    chown 0:0 "$own/spare$2.new"
    if cmp -s "$own/spare$2.new" "$own/spare$2"; then
        rm -- "$own/spare$2.new" # its time stays, so that nothing seems changed
    else
        mv -f -- "$own/spare$2.new" "$own/spare$2"
    fi
}

# A line about PATH with MODE, whose spare copy there is; WAS as `before` says.
note_file() {
    note file "$1" "$2" "$(stat -c %Y "$own/spare$1")" "$(sha256sum <"$own/spare$1" | cut -d ' ' -f 1)" "$3"
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
    ROOT=$root WAS=$1
    export ROOT WAS
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

# The group that polkit's, PAM's and the bus's rules are for.  groupadd(8) itself knows whether it is there: it ends with 9.
make_group() {
    command -v groupadd >/dev/null || return 0
    said='' code=0
    said=$(groupadd ${root:+-P "$root"} --system "$group" 2>&1) || code=$?
    case $code in
        0) note group "$group" ;;
        9) if [ "$(field "$group" 1)" = group ]; then note group "$group"; fi ;;
        *) fail "The group $group could not be made: $said" ;;
    esac
}

# Files of others with lines of ours: as a whole they are theirs, the lines are watched.
note_lines() {
    for stack in "$root"/etc/pam.d/common-*; do
        grep -q fairtime "$stack" 2>/dev/null || continue
        path=${stack#"$root"}
        mkdir -p -- "$(dirname -- "$own/spare$path")"
        cp -p -- "$stack" "$own/spare$path"
        note lines "$path" - - "$(sha256sum <"$stack" | cut -d ' ' -f 1)" theirs
    done
}

# ---- taking back -----------------------------------------------------------------------------------------------------

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
