#!/bin/sh
# Installs gitea-lightstep on a Gitea server: the binary, a configuration to fill in, the state directory, and a timer
# if it is wanted. The hook is put into Gitea by `gitea-lightstep install`, which this script ends with. Run it again to
# upgrade; what is as it should be is not touched.
#
# Nothing is changed by halves. A file is written beside its place and renamed, and what it replaces waits beside it
# until all is done, so that whatever ends the script early puts everything back. After a SIGKILL each piece is the old
# one or the new one, and the next run completes it.
#
# POSIX sh: dash and busybox ash run it, and busybox has all that it calls.
set -eu
umask 022
LC_ALL=C
export LC_ALL
unset CDPATH

usage() {
    cat <<'USAGE'
Usage: install.sh [OPTION]...
       install.sh --uninstall [--purge] [OPTION]...

Installs the binary, a configuration and the state directory, and puts the hook
into all repositories of a Gitea. Run it as root, or as the user that Gitea runs
as. Run it again to upgrade; the configuration and the state are kept.

What is installed, and where:
  --binary FILE        install FILE (default: the one beside this script, else
                       the newest release build of the checkout around it)
  --sha256 HEX         go on only if this is the binary's SHA-256
  --from-source        build the checkout with cargo, and install that
  --prefix DIR         install DIR/bin/gitea-lightstep (default: /usr/local)
  --config FILE        the configuration (default:
                       /etc/gitea-lightstep/config.toml)
  --state-dir DIR      the state (default: /var/lib/gitea-lightstep)
  --container          all of it on the data volume of Gitea's image, below
                       /data/gitea-lightstep or /var/lib/gitea/gitea-lightstep
  --data-dir DIR       all of it in DIR/gitea-lightstep
  --timer              send what waits every two minutes, and cover new
                       repositories every hour: a systemd timer, or cron
  --systemd-dir DIR    only write the units, into DIR
  --cron-dir DIR       use cron, with a file in DIR (default: /etc/cron.d, or
                       the user's file in /etc/crontabs)

What `gitea-lightstep install` is told:
  --gitea-config FILE  Gitea's app.ini (default: it looks for it)
  --run-user NAME      the user that Gitea runs as, or UID:GID (default: app.ini
                       says)
  --root DIR           the repositories, where there is no app.ini
  --git FILE           the git that Gitea runs
  --no-hook            leave the hook alone

  --uninstall          take out the hook, the timer and the binary; give the
                       options that it was installed with
  --purge              with --uninstall: the configuration and the state too
  --yes                with --purge: do not ask, even if markers wait
  --dry-run            print what would be done and do nothing
  --help               show this

Exit status: 0 done, 1 failed or found something to look at, 2 usage.
USAGE
}

say() { printf '%s\n' "$*"; }
tell() { printf 'install.sh: %s\n' "$*" >&2; }
fail() {
    is_told=true
    tell "$*"
    exit 1
}
misuse() {
    is_told=true
    is_misused=true
    tell "$*; install.sh --help shows the options"
    exit 2
}

# What to undo, newest first, a line each: what, by whom (`-`: us, `+`: the run user), and the path.
undo=''
line_feed='
'
# For the last words: what is being done, whether the reason was told and is wrong usage, and which signal came.
doing='read the options' is_told=false is_misused=false signal=''

# The one way out.
finish() {
    status=$?
    trap - EXIT
    # What is half undone is worse than a script that takes a moment to end.
    trap '' HUP INT TERM
    [ "$status" -ne 0 ] || exit 0
    if [ -n "$signal" ]; then
        tell "stopped by SIG$signal, on the way to $doing"
    else
        status=1
        ! $is_misused || status=2
        $is_told || tell "failed to $doing; what failed has said why above, if it had a reason to give"
    fi
    if [ -n "$undo" ]; then
        is_undone=true
        undo_all
        ! $is_undone || tell "everything is as it was before"
    fi
    exit "$status"
}
trap finish EXIT
trap 'signal=HUP; exit 129' HUP
trap 'signal=INT; exit 130' INT
trap 'signal=TERM; exit 143' TERM

# --- What is wanted ---

action=install
binary='' sha256='' is_from_source=false
prefix='' config='' state_dir='' data_dir='' is_container=false
is_timer=false systemd_dir='' cron_dir=''
gitea_config='' run_user='' root='' git='' is_hook=true
is_purge=false is_yes=false is_dry_run=false

# path_of OPTION VALUE: the value as an absolute path, in $path.
path_of() {
    case $2 in
        '') misuse "$1 needs a value" ;;
        *[[:cntrl:]]*) misuse "$1: a path must not have a newline or another control character in it" ;;
        /*) path=$2 ;;
        *) path=$PWD/$2 ;;
    esac
    while :; do
        case $path in
            ?*/) path=${path%/} ;;
            *) break ;;
        esac
    done
    case $path in *[[:cntrl:]]*) misuse "the name of this directory has a control character in it: give $1 from /" ;; esac
}

while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
        --*=*)
            set -- "${option#*=}" "$@"
            option=${option%%=*}
            has_value=true
            ;;
        *) has_value=false ;;
    esac
    case $option in
        --binary | --sha256 | --prefix | --config | --state-dir | --data-dir | --systemd-dir | --cron-dir | \
            --gitea-config | --run-user | --root | --git)
            [ $# -ge 1 ] || misuse "$option needs a value"
            value=$1
            shift
            ;;
        *) ! $has_value || misuse "there is no option $option=, or it takes no value" ;;
    esac
    case $option in
        --binary) path_of --binary "$value" && binary=$path ;;
        --sha256) sha256=$value ;;
        --from-source) is_from_source=true ;;
        --prefix) path_of --prefix "$value" && prefix=$path ;;
        --config) path_of --config "$value" && config=$path ;;
        --state-dir) path_of --state-dir "$value" && state_dir=$path ;;
        --data-dir) path_of --data-dir "$value" && data_dir=$path ;;
        --container) is_container=true ;;
        --timer) is_timer=true ;;
        --systemd-dir) path_of --systemd-dir "$value" && systemd_dir=$path ;;
        --cron-dir) path_of --cron-dir "$value" && cron_dir=$path ;;
        --gitea-config) path_of --gitea-config "$value" && gitea_config=$path ;;
        --run-user) run_user=$value ;;
        --root) path_of --root "$value" && root=$path ;;
        --git) path_of --git "$value" && git=$path ;;
        --no-hook) is_hook=false ;;
        --uninstall) action=uninstall ;;
        --purge) is_purge=true ;;
        --yes) is_yes=true ;;
        --dry-run) is_dry_run=true ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) misuse "there is no option $option" ;;
    esac
done

case $sha256 in
    '') ;;
    *[!0-9A-Fa-f]*) misuse "--sha256: expected 64 hexadecimal digits" ;;
    *) [ ${#sha256} -eq 64 ] || misuse "--sha256: expected 64 hexadecimal digits, and these are ${#sha256}" ;;
esac
case $run_user in *[!A-Za-z0-9._@:-]* | -*) misuse "--run-user: that is no name of a user, and no UID:GID" ;; esac
if $is_from_source && [ -n "$binary" ]; then misuse "--from-source and --binary exclude each other"; fi
if [ -n "$systemd_dir" ] && [ -n "$cron_dir" ]; then misuse "--systemd-dir and --cron-dir exclude each other"; fi
if [ -n "$gitea_config" ] && [ -n "$root" ]; then misuse "--gitea-config and --root exclude each other"; fi
if [ "$action" = install ] && { $is_purge || $is_yes; }; then misuse "--purge and --yes go with --uninstall"; fi
if [ -n "$systemd_dir$cron_dir" ]; then is_timer=true; fi

case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
here=$(cd -- "${here:-/}" && pwd -P)
uid=$(id -u)

if $is_container && [ -z "$data_dir" ]; then
    # Gitea's chart for Kubernetes mounts a /data into the rootless image too, which is why that one comes first.
    if [ -d /data ]; then
        data_dir=/data
    elif [ -d /var/lib/gitea ]; then
        data_dir=/var/lib/gitea
    else
        fail "--container: neither /data nor /var/lib/gitea is here; name the data volume with --data-dir"
    fi
fi
if [ -n "$data_dir" ]; then
    [ -d "$data_dir" ] || fail "--data-dir: $data_dir is no directory"
    is_container=true
    base=${data_dir%/}/gitea-lightstep
else
    base=''
fi
prefix=${prefix:-${base:-/usr/local}}
config=${config:-${base:-/etc/gitea-lightstep}/config.toml}
new_state_dir=${state_dir:-${base:+$base/state}}
new_state_dir=${new_state_dir:-/var/lib/gitea-lightstep}
installed=${prefix%/}/bin/gitea-lightstep

# --- Undoing ---

# note WHAT PATH: before it is done, so that no signal can come between; undoing what was not done yet does nothing.
note() {
    undo="$1 ${as:--} $2$line_feed$undo"
}

# at COMMAND...: runs it as whoever may write there.
at() {
    if [ "$as" = + ]; then become "$@"; else "$@"; fi
}

undo_all() {
    set +e
    set -f
    IFS=$line_feed
    for step in $undo; do
        path=${step#* }
        as=${path%% *}
        path=${path#* }
        kept=${path%/*}/.${path##*/}.install-$$-old
        case ${step%% *} in
            new) at rm -f "$path" ;;
            old)
                # shellcheck disable=SC3013 # POSIX has -ef since 2024, and dash and ash have it
                if [ "$kept" -ef "$path" ]; then
                    at rm -f "$kept"
                else
                    at mv -f "$kept" "$path"
                fi
                ;;
            taken) if [ -e "$kept" ] || [ -L "$kept" ]; then at mv -f "$kept" "$path"; fi ;;
            temporary) at rm -f "$path" ;;
            directory) if [ -d "$path" ]; then at rmdir "$path"; fi ;;
            mode) at chmod "${path%% *}" "${path#* }" ;;
            hook) if [ -x "$installed" ]; then hook_tool "$installed" uninstall --quiet; fi ;;
            no_hook) if [ -x "$installed" ]; then hook_tool "$installed" install --quiet; fi ;;
            timers) switch_timers disable ;;
            stopped) systemctl enable --quiet --now "$path" ;;
            units) systemctl daemon-reload ;;
        esac || {
            is_undone=false
            tell "could not be put back: $step"
        }
    done
}

# --- Writing, as whoever may ---

# become COMMAND...: runs it as the run user. Debian has runuser, Gitea's image su-exec, and busybox su.
become() {
    if [ "$uid" -ne 0 ] || [ "$run_uid" -eq 0 ]; then
        "$@"
    elif command -v su-exec >/dev/null; then
        su-exec "$run_user" "$@"
    elif ! $is_named; then
        setpriv --reuid "$run_uid" --regid "$run_gid" --clear-groups -- "$@"
    elif command -v runuser >/dev/null; then
        runuser -u "$run_user" -- "$@"
    else
        # shellcheck disable=SC2016 # the inner shell expands these
        su -s /bin/sh -c 'exec "$0" "$@"' -- "$run_user" "$@"
    fi
}

# nearest DIR: the nearest directory above it that is there, without links, in $near.
nearest() {
    near=$1
    while [ ! -d "${near:-/}" ]; do near=${near%/*}; done
    near=$(cd -- "${near:-/}" && pwd -P)
}

# writer_of DIR: who is to write into it, in $as. Where the run user may write, he may also plant a link, which root
# would follow; so there we write as him.
writer_of() {
    as=-
    nearest "$1"
    if [ "$uid" -ne 0 ]; then
        [ -w "$near" ] ||
            fail "$run_user may not write to $near; run this as root, or name other places with --prefix, --config, --state-dir or --container"
        return
    fi
    [ "$run_uid" -ne 0 ] || return 0
    # shellcheck disable=SC2016 # the inner shell expands these
    answer=$(become sh -c '
        dir=$1
        while :; do
            if [ -O "$dir" ]; then echo +; exit; fi
            # In a sticky directory what is another one'"'"'s cannot be replaced.
            if [ -w "$dir" ] && { [ "$dir" = "$1" ] || ! [ -k "$dir" ]; }; then echo +; exit; fi
            [ "$dir" != / ] || break
            dir=${dir%/*}
            dir=${dir:-/}
        done
        echo -
    ' sh "$near")
    case $answer in
        - | +) as=$answer ;;
        *) fail "failed to become $run_user, to see what $run_user may write to: neither runuser, su-exec nor su does it here" ;;
    esac
}

# sweep FILE: removes what a run that was killed left beside it.
sweep() {
    for stray in "${1%/*}/.${1##*/}.install-"*-new "${1%/*}/.${1##*/}.install-"*-old; do
        [ -e "$stray" ] || [ -L "$stray" ] || continue
        pid=${stray##*.install-}
        pid=${pid%-*}
        case $pid in
            '' | *[!0-9]*) continue ;;
            "$$") ;;
            # The number may be another process by now.
            *) ! grep -q install.sh "/proc/$pid/cmdline" 2>/dev/null || continue ;;
        esac
        doing="remove what a killed run left behind: $stray"
        writer_of "${stray%/*}"
        if [ -d "$stray" ] && [ ! -L "$stray" ]; then at rmdir "$stray"; else at rm -f "$stray"; fi
    done
}

# make_dir DIR: with those above it.
make_dir() {
    [ ! -d "${1:-/}" ] || return 0
    make_dir "${1%/*}"
    doing="make the directory $1"
    writer_of "$1"
    note directory "$1"
    at mkdir "$1"
}

# stage FILE MODE GROUP <CONTENT: writes the file beside its place, in $temporary. GROUP: `-` leaves it.
stage() {
    doing="write $1"
    [ ! -d "$1" ] || fail "$1 is a directory; remove it, or name another file"
    writer_of "${1%/*}"
    temporary=${1%/*}/.${1##*/}.install-$$-new
    note temporary "$temporary"
    # With -C it makes the file, and writes into none that is there.
    if [ "$as" = - ]; then
        (set -C && umask 077 && cat >"$temporary")
    else
        # shellcheck disable=SC2016 # the inner shell expands it
        become sh -c 'set -C; umask 077; cat >"$1"' sh "$temporary"
    fi
    if [ "$3" != - ] && [ "$as" = - ] && [ "$uid" -eq 0 ]; then at chgrp "$3" "$temporary"; fi
    at chmod "$2" "$temporary"
}

# keep FILE: what is there stays beside it until all is done.
keep() {
    kept=${1%/*}/.${1##*/}.install-$$-old
    all_kept="$as $kept$line_feed$all_kept"
}

# place FILE: what was staged takes its place.
place() {
    doing="put $1 in its place"
    if [ -e "$1" ] || [ -L "$1" ]; then
        keep "$1"
        note temporary "$kept"
        # Not every file system has links.
        at ln "$1" "$kept" 2>/dev/null || at cp -Pp "$1" "$kept"
        # Only now that it is there as a whole can it be put back.
        note old "$1"
    else
        note new "$1"
    fi
    at mv -f "$temporary" "$1"
}

# take FILE: removes it.
take() {
    sweep "$1"
    [ -e "$1" ] || [ -L "$1" ] || return 0
    doing="remove $1"
    writer_of "${1%/*}"
    note taken "$1"
    keep "$1"
    at mv -f "$1" "$kept"
    say "removed        $1"
}

# commit: all is done. What was kept goes with one command, so that it can be put back as long as it has not gone.
commit() {
    doing="remove what was kept of the files that were replaced"
    # After this there is nothing to stop.
    trap '' HUP INT TERM
    set -f
    IFS=$line_feed
    for as in - +; do
        set --
        for entry in $all_kept; do
            if [ "${entry%% *}" = "$as" ]; then set -- "$@" "${entry#* }"; fi
        done
        [ $# -gt 0 ] || continue
        at rm -f "$@"
        undo=''
    done
    unset IFS
    set +f
    undo=''
}

# --- Words in other languages ---

# swap TEXT FROM TO: with TO for every FROM, in $swapped.
swap() {
    swapped=''
    rest=$1
    while :; do
        case $rest in
            *"$2"*)
                swapped=$swapped${rest%%"$2"*}$3
                rest=${rest#*"$2"}
                ;;
            *) break ;;
        esac
    done
    swapped=$swapped$rest
}

# in_toml TEXT, in_sh TEXT, in_unit TEXT: quoted, in $quoted.
in_toml() {
    swap "$1" "\\" "\\\\"
    swap "$swapped" '"' '\"'
    quoted=\"$swapped\"
}
in_sh() {
    swap "$1" "'" "'\\''"
    quoted="'$swapped'"
}
in_unit() {
    swap "$1" "\\" "\\\\"
    swap "$swapped" '"' '\"'
    swap "$swapped" '%' '%%'
    swap "$swapped" '$' '$$'
    quoted=\"$swapped\"
}

# --- The binary ---

find_binary() {
    doing="find the binary"
    if $is_from_source; then
        [ -f "$here/Cargo.toml" ] || fail "--from-source: $here is no checkout; run the install.sh of one"
        if $is_dry_run; then
            say "would build    cargo build --release --locked, in $here"
        else
            command -v cargo >/dev/null ||
                fail "--from-source: cargo is not in PATH; build it as yourself, with cargo build --release --locked, and run this again without --from-source"
            doing="build $here with cargo"
            built=$(cd -- "$here" && cargo build --release --locked --message-format=json-render-diagnostics)
            binary=$(printf '%s\n' "$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
            [ -n "$binary" ] || fail "cargo did not say where it put the binary; name it with --binary"
        fi
    elif [ -z "$binary" ] && [ -f "$here/gitea-lightstep" ]; then
        binary=$here/gitea-lightstep
    fi
    if [ -z "$binary" ]; then
        for candidate in "$here/target/release/gitea-lightstep" "$here"/target/*/release/gitea-lightstep; do
            [ -f "$candidate" ] || continue
            # shellcheck disable=SC3013 # as above
            if [ -z "$binary" ] || [ "$candidate" -nt "$binary" ]; then binary=$candidate; fi
        done
    fi
    [ -n "$binary" ] ||
        fail "there is no binary beside $here/install.sh, and no release build; name one with --binary, or build one with --from-source"
    [ -f "$binary" ] || fail "$binary is not there, or no file"
}

# check_sum FILE
check_sum() {
    [ -n "$sha256" ] || return 0
    doing="compute the SHA-256 of $1"
    sum=$(sha256sum <"$1")
    sum=${sum%% *}
    wanted=$(printf '%s' "$sha256" | tr A-F a-f)
    [ "$sum" = "$wanted" ] || fail "$binary is not the binary that was asked for: its SHA-256 is $sum; nothing was changed"
}

check_binary() {
    check_sum "$binary"
    doing="run $binary"
    [ -x "$binary" ] || fail "$binary is not executable: chmod +x it"
    version=$("$binary" --version) ||
        fail "$binary does not run here: it is for another machine, or where it lies nothing may be run (a noexec mount)"
    case $version in
        gitea-lightstep\ *) ;;
        *) fail "$binary is not gitea-lightstep" ;;
    esac
}

# run PROGRAM ARGUMENT...: what the run user can replace, root does not run.
run() {
    if $is_theirs && [ "$1" = "$installed" ]; then become "$@"; else "$@"; fi
}

# hook_tool PROGRAM install|uninstall [OPTION]...: the binary's own, told what we were told.
hook_tool() {
    tool=$1
    shift
    set -- "$@" --config "$config"
    [ "$1" != install ] || set -- "$@" --binary "$installed"
    [ -z "$gitea_config" ] || set -- "$@" --gitea-config "$gitea_config"
    [ -z "$told_run_user" ] || set -- "$@" --run-user "$told_run_user"
    [ -z "$root" ] || set -- "$@" --root "$root"
    [ -z "$git" ] || set -- "$@" --git "$git"
    run "$tool" "$@"
}

# find_run_user PROGRAM: whom Gitea runs as, in $run_user, $run_uid, $run_gid and $run_group; and whether the installed
# binary is in that user's hands.
find_run_user() {
    doing="find the user that Gitea runs as"
    told_run_user=$run_user
    is_named=true
    is_theirs=false
    if [ "$uid" -ne 0 ]; then
        # In a container a user may have no name.
        run_user=$(id -un 2>/dev/null) || run_user=$uid
        run_uid=$uid
        run_gid=$(id -g)
        run_group=$(id -gn 2>/dev/null) || run_group=$run_gid
        return
    fi
    if [ -z "$run_user" ] && [ "$1" = "$installed" ]; then
        # It may be in the hands of its owner, and then that is the run user.
        run_user=$(stat -L -c %U "$installed")
        [ "$run_user" != root ] || run_user=''
    fi
    if [ -z "$run_user" ] && [ -n "$1" ]; then
        answer=$(hook_tool "$1" uninstall --dry-run --json) || true
        run_user=$(printf '%s\n' "$answer" | sed -n 's/.*"run_user": *"\([^"\\]*\)".*/\1/p')
    fi
    if [ -z "$run_user" ] && [ "$action" = uninstall ] && [ -d "$new_state_dir" ]; then
        run_user=$(stat -L -c %U "$new_state_dir")
    fi
    case $run_user in
        '') fail "who Gitea runs as is not known; say it with --run-user, or name its app.ini with --gitea-config" ;;
        [0-9]*:[0-9]*)
            is_named=false
            run_uid=${run_user%:*}
            run_gid=${run_user#*:}
            run_group=$run_gid
            ;;
        *)
            run_uid=$(id -u "$run_user" 2>/dev/null) ||
                fail "there is no user $run_user; name the one that Gitea runs as with --run-user"
            run_gid=$(id -g "$run_user")
            run_group=$(id -gn "$run_user")
            # The binary knows the users of that file only.
            if [ -n "$told_run_user" ] && ! grep -q "^$run_user:" /etc/passwd; then told_run_user=$run_uid:$run_gid; fi
            ;;
    esac
    writer_of "${installed%/*}"
    [ "$as" = - ] || is_theirs=true
}

# --- The pieces ---

put_binary() {
    how=new
    if [ -e "$installed" ]; then
        how=replaced
        doing="look at $installed"
        mode=$(stat -L -c %a "$installed")
        if [ "$mode" = 755 ] && cmp -s "$binary" "$installed"; then how='as it was'; fi
    fi
    if $is_dry_run; then
        say "would install  $installed ($how)"
        return
    fi
    sweep "$installed"
    had_check=false
    if [ "$how" = replaced ] && become "$installed" check --config "$config" >/dev/null 2>&1; then had_check=true; fi
    if [ "$how" != 'as it was' ]; then
        make_dir "${installed%/*}"
        stage "$installed" 755 - <"$binary"
        check_sum "$temporary"
        place "$installed"
    fi
    say "binary         $installed ($how)"
    if ! $is_container && { $is_theirs || [ "$uid" -ne 0 ]; }; then
        tell "note: $run_user may write to ${installed%/*}, so that whoever breaks into Gitea can replace the binary; installed by root into /usr/local it is out of reach"
    fi
}

# read_config PROGRAM: where the configuration that is there has the state, in $state, or nothing if it does not say.
read_config() {
    doing="read $config"
    answer=$(run "$1" status --json --config "$config" 2>/dev/null) || true
    swap "$answer" '\"' '"'
    state=${swapped#*\"state_dir\": \"}
    state=${state%%\","$line_feed"*}
    case $state in
        /*\\* | [!/]* | '') state='' ;;
    esac
}

# put_config: and where the state is, in $state_dir, or nothing if the configuration does not say.
put_config() {
    if [ -e "$config" ]; then
        $is_dry_run || sweep "$config"
        read_config "$binary"
        if [ -n "$state_dir" ] && [ -n "$state" ] && [ "$state" != "$state_dir" ]; then
            tell "note: $config is kept, and there state_dir is another one; --state-dir is for a configuration that is made"
        fi
        state_dir=$state
        say "configuration  $config (kept)"
        return
    fi
    state_dir=$new_state_dir
    if $is_dry_run; then
        say "would write    $config (new)"
        return
    fi
    sweep "$config"
    doing="ask $binary for a configuration to begin with"
    sample=$("$binary" check --sample)
    in_toml "$state_dir"
    text=$(
        printf '%s\n' "$sample" | while IFS= read -r line; do
            case $line in
                'state_dir = "'*'"'*)
                    printf 'state_dir = %s%s\n' "$quoted" "${line##*\"}"
                    ;;
                *) printf '%s\n' "$line" ;;
            esac
        done
    )
    make_dir "${config%/*}"
    stage "$config" 640 "$run_gid" <<TEXT
$text
TEXT
    place "$config"
    say "configuration  $config (new: name a destination in it)"
}

put_state() {
    [ -n "$state_dir" ] || return 0
    if [ -d "$state_dir" ]; then
        doing="look at $state_dir"
        owner=$(stat -L -c %u "$state_dir")
        mode=$(stat -L -c %a "$state_dir")
        [ "$owner" = "$run_uid" ] ||
            fail "$state_dir belongs to the user with the id $owner, and $run_user could not write to it; give it to $run_user (chown -R), or name another one"
        if [ "$mode" != 700 ]; then
            if $is_dry_run; then
                say "would change   $state_dir (mode $mode to 700)"
            else
                as=+
                doing="give $state_dir the mode 700"
                note mode "$mode $state_dir"
                at chmod 700 "$state_dir"
            fi
        fi
    elif $is_dry_run; then
        say "would make     $state_dir"
    else
        sweep "$state_dir"
        make_dir "${state_dir%/*}"
        doing="make the directory $state_dir"
        writer_of "${state_dir%/*}"
        # Under its name it is there with its owner, or not at all.
        temporary=${state_dir%/*}/.${state_dir##*/}.install-$$-new
        note directory "$temporary"
        at mkdir -m 700 "$temporary"
        if [ "$as" = - ] && [ "$uid" -eq 0 ]; then at chown "$run_uid:$run_gid" "$temporary"; fi
        note directory "$state_dir"
        at mv -f "$temporary" "$state_dir"
    fi
    $is_dry_run || say "state          $state_dir"
}

# check_config: the new binary may not take what the old one took, and that is to be known before it is needed.
check_config() {
    doing="check $config"
    if ! become "$installed" --version >/dev/null 2>&1; then
        runs=false
        tell "$run_user cannot run $installed: its file system is mounted noexec, or a directory above it is closed to $run_user; pushes go on, without markers. Put it elsewhere with --prefix, or open the way and run this again"
        return
    fi
    runs=true
    if answer=$(become "$installed" check --config "$config" 2>&1); then return; fi
    if $had_check; then
        fail "the new binary does not take $config as the one before did:$line_feed$answer"
    fi
    found=true
    tell "$config needs attention:$line_feed$answer"
}

# --- The timer ---

made_by='# gitea-lightstep: made by install.sh --timer; install.sh --uninstall takes it out.'
block_begin='# gitea-lightstep: begin. Made by install.sh --timer; install.sh --uninstall takes it out.'
block_end='# gitea-lightstep: end.'

# find_timer: where it is or would be, in $units_dir, $cron_file or $crontab.
find_timer() {
    units_dir='' cron_file='' crontab='' has_systemd=false
    install_timer=''
    ! $is_hook || install_timer=gitea-lightstep-install.timer
    if [ -n "$systemd_dir" ]; then
        units_dir=$systemd_dir
    elif [ -n "$cron_dir" ]; then
        cron_file=$cron_dir/gitea-lightstep
    elif $is_container || [ "$uid" -ne 0 ]; then
        return 0
    elif [ -d /run/systemd/system ]; then
        units_dir=/etc/systemd/system
        has_systemd=true
    elif [ -d /etc/cron.d ]; then
        cron_file=/etc/cron.d/gitea-lightstep
    elif [ -d /etc/crontabs ]; then
        crontab=/etc/crontabs/$run_user
    fi
}

# switch_timers enable|disable
switch_timers() {
    systemctl "$1" --quiet --now gitea-lightstep-deliver.timer ${install_timer:+"$install_timer"}
}

# finding_options QUOTER: what the timer's `install` is told, quoted, in $options.
finding_options() {
    "$1" "$config"
    options="--config $quoted"
    "$1" "$installed"
    options="$options --binary $quoted"
    if [ -n "$gitea_config" ]; then "$1" "$gitea_config" && options="$options --gitea-config $quoted"; fi
    if [ -n "$root" ]; then "$1" "$root" && options="$options --root $quoted"; fi
    if [ -n "$git" ]; then "$1" "$git" && options="$options --git $quoted"; fi
}

# put_text FILE MODE TEXT: unless that is what it holds.
put_text() {
    $is_dry_run || sweep "$1"
    if [ -f "$1" ]; then
        doing="read $1"
        there=$(cat "$1")
        if [ "$there" = "$3" ]; then
            say "timer          $1 (as it was)"
            return
        fi
    fi
    if $is_dry_run; then
        say "would write    $1"
        return
    fi
    make_dir "${1%/*}"
    stage "$1" "$2" - <<TEXT
$3
TEXT
    place "$1"
    say "timer          $1"
}

# is_ours FILE
is_ours() {
    IFS= read -r first <"$1" && [ "$first" = "$made_by" ]
}

# put_unit NAME TEXT
put_unit() {
    file=$units_dir/gitea-lightstep-$1
    if [ -e "$file" ] && ! is_ours "$file"; then fail "$file is not ours; move it away, or do without --timer"; fi
    put_text "$file" 644 "$made_by$line_feed$2"
}

put_units() {
    # systemd takes no quotes in the name of a program, but in what a program is given.
    case $installed in
        *[\"\'\\]*) program=/usr/bin/env' ' ;;
        *) program='' ;;
    esac
    if [ -n "$program" ]; then
        in_unit "$installed"
    else
        # Nor does it replace variables there.
        swap "$installed" '%' '%%'
        quoted=\"$swapped\"
    fi
    program=$program$quoted
    in_unit "$config"
    config_quoted=$quoted
    # Here quotes are taken away, and nothing else is.
    writes=''
    case $state_dir in
        '' | *[\"\\]*) ;;
        *)
            swap "$state_dir" '%' '%%'
            writes="ProtectSystem=strict
ReadWritePaths=\"-$swapped\""
            ;;
    esac
    unit_user=User=$run_user
    $is_named || unit_user="User=$run_uid${line_feed}Group=$run_gid"
    hardening='UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
LockPersonality=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service'
    put_unit deliver.service "[Unit]
Description=Send the deployment markers that wait (gitea-lightstep)
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
$unit_user
ExecStart=$program deliver --quiet --config $config_quoted
TimeoutStartSec=10min
Nice=10
$hardening
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
PrivateTmp=yes
ProtectHome=read-only
${writes:-ProtectSystem=full}"
    put_unit deliver.timer "[Unit]
Description=Send the deployment markers that wait, every two minutes (gitea-lightstep)

[Timer]
OnBootSec=2min
OnUnitInactiveSec=2min
AccuracySec=15s

[Install]
WantedBy=timers.target"
    $is_hook || return 0
    finding_options in_unit
    # It writes into Gitea's repositories, wherever these are.
    put_unit install.service "[Unit]
Description=Put the hook into repositories that do not have it (gitea-lightstep)

[Service]
Type=oneshot
$unit_user
ExecStart=$program install --quiet $options
TimeoutStartSec=10min
Nice=10
$hardening
RestrictAddressFamilies=AF_UNIX
PrivateNetwork=yes
ProtectSystem=full"
    put_unit install.timer "[Unit]
Description=Put the hook into repositories that do not have it, every hour (gitea-lightstep)

[Timer]
OnCalendar=hourly
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target"
}

# cron_lines USER: USER is a column in /etc/cron.d; in $lines.
cron_lines() {
    in_sh "$installed"
    program=$quoted
    in_sh "$config"
    lines="*/2 * * * * $1$program deliver --quiet --config $quoted >/dev/null 2>&1"
    $is_hook || return 0
    finding_options in_sh
    lines="$lines${line_feed}17 * * * * $1$program install --quiet $options"
}

# without_block FILE: its text without our lines, in $text.
without_block() {
    doing="read $1"
    there=$(cat "$1")
    text=$(
        is_inside=false
        printf '%s\n' "$there" | while IFS= read -r line; do
            case $line in
                "$block_begin") is_inside=true ;;
                "$block_end") is_inside=false ;;
                *) $is_inside || printf '%s\n' "$line" ;;
            esac
        done
    )
}

put_timer() {
    $is_timer || return 0
    if [ -n "$units_dir" ]; then
        is_first=false
        [ -e "$units_dir/gitea-lightstep-deliver.timer" ] || is_first=true
        as=-
        if $has_systemd && ! $is_dry_run; then note units -; fi
        put_units
        if ! $has_systemd; then
            tell "next, where these units are: systemctl daemon-reload; systemctl enable --now gitea-lightstep-deliver.timer${install_timer:+ $install_timer}"
        elif ! $is_dry_run; then
            doing="have systemd read its units"
            systemctl daemon-reload
            doing="start the timers"
            as=-
            if $is_first; then note timers -; fi
            switch_timers enable
        fi
        return
    fi
    [ -n "$cron_file$crontab" ] ||
        fail "--timer: there is no systemd that root may tell, and no /etc/cron.d or /etc/crontabs; name a place with --systemd-dir or --cron-dir, or do without --timer (in a container, the host's timer can do it: docs/containers.md)"
    $is_named || fail "--timer: cron wants the name of the user; name it with --run-user, or do without --timer"
    case $installed$config$gitea_config$root$git in
        *%*) fail "--timer: cron takes no percent sign in a path; use other paths, or do without --timer" ;;
    esac
    if [ -n "$cron_file" ]; then
        if [ -e "$cron_file" ] && ! is_ours "$cron_file"; then
            fail "$cron_file is not ours; move it away, or do without --timer"
        fi
        cron_lines "$run_user "
        put_text "$cron_file" 644 "$made_by$line_feed$lines"
    else
        mode=600
        text=''
        if [ -e "$crontab" ]; then
            without_block "$crontab"
            mode=$(stat -L -c %a "$crontab")
        fi
        cron_lines ''
        put_text "$crontab" "$mode" "$text${text:+$line_feed}$block_begin$line_feed$lines$line_feed$block_end"
    fi
}

take_timer() {
    for unit in deliver.timer install.timer deliver.service install.service; do
        file=$units_dir/gitea-lightstep-$unit
        [ -n "$units_dir" ] || break
        $is_dry_run || sweep "$file"
        if [ ! -e "$file" ] || ! is_ours "$file"; then continue; fi
        if $is_dry_run; then
            say "would remove   $file"
            continue
        fi
        as=-
        case $unit in
            *.timer)
                if $has_systemd; then
                    doing="stop gitea-lightstep-$unit"
                    note stopped "gitea-lightstep-$unit"
                    systemctl disable --quiet --now "gitea-lightstep-$unit"
                fi
                ;;
        esac
        take "$file"
    done
    if $has_systemd && ! $is_dry_run; then
        doing="have systemd read its units again"
        systemctl daemon-reload
    fi
    for file in "$cron_file" "$crontab"; do
        if [ -n "$file" ] && ! $is_dry_run; then sweep "$file"; fi
    done
    if [ -n "$cron_file" ] && [ -e "$cron_file" ] && is_ours "$cron_file"; then
        if $is_dry_run; then say "would remove   $cron_file"; else take "$cron_file"; fi
    fi
    if [ -n "$crontab" ] && [ -e "$crontab" ] && grep -qxF "$block_begin" "$crontab"; then
        if $is_dry_run; then
            say "would change   $crontab"
            return
        fi
        without_block "$crontab"
        if [ -z "$text" ]; then
            take "$crontab"
        else
            mode=$(stat -L -c %a "$crontab")
            put_text "$crontab" "$mode" "$text"
        fi
    fi
}

# --- The hook ---

# tell_hook VERB: what the binary said of it, in $answer. Whoever did nothing says nothing; whoever could not do everything
# says what is done, and the exit status is not 0.
tell_hook() {
    if [ -n "$answer" ]; then say "$answer"; else fail "the hook could not be $1 Gitea, for the reason above; --no-hook leaves it alone"; fi
    found=true
}

# look_for_hook PROGRAM: whether something of ours is in Gitea, which is what could be taken out, in $is_hooked.
look_for_hook() {
    doing="see whether the hook is in Gitea"
    answer=$(hook_tool "$1" uninstall --dry-run --json) || [ -n "$answer" ] ||
        fail "what is in Gitea cannot be seen, for the reason above; --no-hook leaves it alone"
    case $answer in
        *'"changed":true'* | *'"changed":'[1-9]*) is_hooked=true ;;
        *) is_hooked=false ;;
    esac
}

put_hook() {
    $is_hook || return 0
    if $is_dry_run; then
        hook_tool "$binary" install --dry-run || found=true
        return
    fi
    look_for_hook "$installed"
    doing="put the hook into Gitea"
    as=-
    $is_hooked || note hook -
    if answer=$(hook_tool "$installed" install); then say "$answer"; else tell_hook "put into"; fi
}

install() {
    find_binary
    check_binary
    find_run_user "$binary"
    find_timer
    is_config_new=false
    [ -e "$config" ] || is_config_new=true
    put_binary
    put_config
    put_state
    if ! $is_dry_run; then check_config; fi
    put_timer
    if $is_dry_run || $runs; then put_hook; else found=true; fi
    commit
    if $is_dry_run; then return; fi
    if $is_config_new; then
        in_sh "$config"
        options=" --config $quoted"
        [ "$config" != /etc/gitea-lightstep/config.toml ] || options=''
        say ""
        say "Next: name a destination in the configuration. A token belongs into a file of its own, which"
        say "$run_user must be able to read: ${config%/*}/token, group $run_group, mode 640."
        program=gitea-lightstep
        if [ "$prefix" != /usr/local ]; then
            in_sh "$installed"
            program=$quoted
        fi
        [ -z "$gitea_config" ] || { in_sh "$gitea_config" && gitea_options=" --gitea-config $quoted"; }
        say "Then \`$program check$options\` and \`$program doctor$options${gitea_options:-}\` say whether all is well."
    fi
}

uninstall() {
    doing="find the binary"
    program=''
    if [ -x "$installed" ]; then
        program=$installed
    elif [ -n "$binary" ]; then
        check_binary
        program=$binary
    elif [ -x "$here/gitea-lightstep" ]; then
        program=$here/gitea-lightstep
    fi
    find_run_user "$program"
    find_timer
    state=''
    if [ -n "$program" ] && [ -e "$config" ]; then read_config "$program"; fi
    state_dir=${state:-$new_state_dir}
    take_timer
    if $is_hook; then
        if [ -n "$program" ]; then
            set -- uninstall
            ! $is_purge || set -- "$@" --purge
            ! $is_yes || set -- "$@" --yes
            ! $is_dry_run || set -- "$@" --dry-run
            look_for_hook "$program"
            doing="take the hook out of Gitea"
            as=-
            if $is_hooked && ! $is_dry_run; then note no_hook -; fi
            if answer=$(hook_tool "$program" "$@"); then say "$answer"; else tell_hook "taken out of"; fi
        else
            found=true
            tell "$installed is not there; if the hook is still in Gitea, it does nothing, and another binary, named with --binary, takes it out"
        fi
    fi
    for file in "$installed" "$config"; do
        [ "$file" = "$installed" ] || $is_purge || continue
        if ! $is_dry_run; then
            take "$file"
        elif [ -e "$file" ]; then
            say "would remove   $file"
        fi
    done
    commit
    if $is_dry_run; then return; fi
    # Those that were made here, if nothing else is in them; who made them is not written down anywhere.
    set -- "${installed%/*}" "$prefix"
    ! $is_purge || set -- "$@" "${config%/*}" "$state_dir" "${state_dir%/*}"
    for dir; do
        case $dir in
            '' | / | /bin | /data | /etc | /home | /opt | /root | /srv | /tmp | /usr | /usr/bin | /usr/local | /usr/local/bin | \
                /var | /var/lib | /var/lib/gitea | "${data_dir:-/}") ;;
            *)
                [ -d "$dir" ] || continue
                if (writer_of "${dir%/*}" && at rmdir "$dir") 2>/dev/null; then say "removed        $dir"; fi
                ;;
        esac
    done
    if $is_purge; then
        for dir in "${config%/*}" "$state_dir"; do
            [ ! -d "$dir" ] || say "kept           what else is in $dir"
        done
    else
        say "kept           $config and the state; --purge removes them too"
    fi
}

found=false
all_kept=''
as=-
cd /
$action
if $found; then
    is_told=true
    exit 1
fi
