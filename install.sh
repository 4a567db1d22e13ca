#!/bin/sh
# Installs gitea-lightstep on a Gitea server: finds and verifies the binary, and runs its `install --system`. Run it
# again to upgrade; correct files are not touched. If anything fails, everything is undone.
#
# POSIX sh: runs in dash and busybox ash, and calls only commands that busybox has.
set -eu
umask 022
# Root may have the environment of another user, for example after su.
callers_path=${PATH:-}
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
unset CDPATH ENV BASH_ENV TMPDIR GREP_OPTIONS GITEA_LIGHTSTEP_CONFIG

usage() {
    cat <<'USAGE'
Usage: install.sh [OPTION]...
       install.sh --uninstall [--purge] [OPTION]...

Installs the binary, a configuration and the state directory, and puts the hook
into all repositories of a Gitea. Run it as root, or as the user that Gitea runs
as. Run it again to upgrade; the configuration and the state are kept.

What to install, and where:
  --binary FILE        install FILE (default: the one beside this script, else
                       the newest release build of the checkout around it)
  --sha256 HEX         stop unless the binary has this SHA-256
  --from-source        build the checkout with cargo, and install the result
  --prefix DIR         install DIR/bin/gitea-lightstep (default: /usr/local)
  --config FILE        the configuration (default:
                       /etc/gitea-lightstep/config.toml)
  --state-dir DIR      the state (default: /var/lib/gitea-lightstep)
  --container          put everything on the data volume of Gitea's image, in
                       /data/gitea-lightstep or /var/lib/gitea/gitea-lightstep
  --data-dir DIR       put everything into DIR/gitea-lightstep
  --no-timer           do not install the timer of systemd or cron
  --timer              fail if there is no place for it, as in a container
  --systemd-dir DIR    write the systemd units into DIR, and do not enable them
  --cron-dir DIR       use cron, with a file in DIR (default: /etc/cron.d, or
                       the user's file in /etc/crontabs)

Options for `gitea-lightstep install`:
  --gitea-config FILE  Gitea's app.ini (default: the one that `install` finds)
  --run-user NAME      the user that Gitea runs as, or UID:GID (default: from
                       app.ini)
  --root DIR           the directory of the repositories, if there is no app.ini
  --git FILE           the git that Gitea runs
  --no-hook            neither install nor remove the hook
  --ref-hook           with an older git, also notice at once what is changed in
                       Gitea's pages
  --no-ref-hook        with git 2.54 or newer, hook only pushes

  --uninstall          remove the hook, the timer and the binary; give the same
                       options as for the installation
  --purge              with --uninstall: remove configuration and state too
  --yes                with --purge: do not ask, even if markers are queued
  --dry-run            print what would be done and do nothing
  --help               show this help

Exit status: 0 done, 1 failed or something needs attention, 2 usage.
USAGE
}

tell() { printf 'install.sh: %s\n' "$*" >&2; }
fail() {
    is_told=true
    tell "$*"
    exit 1
}
misuse() {
    is_told=true
    is_misused=true
    tell "$* (see install.sh --help)"
    exit 2
}

# For the last message: the current step, flags for a reason already printed and for wrong usage, and the signal.
doing='read the options' is_told=false is_misused=false signal=''

# Handles every exit but that of the binary. Nothing was changed until it runs.
finish() {
    status=$?
    trap - EXIT
    [ "$status" -ne 0 ] || exit 0
    if [ -n "$signal" ]; then
        tell "stopped by SIG$signal while trying to $doing"
    elif ! $is_misused; then
        status=1
        $is_told || tell "failed to $doing; see the error above"
    fi
    exit "$status"
}
trap finish EXIT
trap 'signal=HUP; exit 129' HUP
trap 'signal=INT; exit 130' INT
trap 'signal=TERM; exit 143' TERM

# --- Options: those that the binary takes too are moved to the end of "$@" ---

action=install
binary='' sha256='' prefix='' data_dir='' run_user=''
is_from_source=false is_container=false is_purge=false is_dry_run=false
has_app_ini=false has_root=false has_units=false has_cron=false

left=$#
while [ "$left" -gt 0 ]; do
    option=$1 value='' has_value=false
    shift
    left=$((left - 1))
    case $option in
        --*=*)
            value=${option#*=}
            option=${option%%=*}
            has_value=true
            ;;
    esac
    case $option in
        --binary | --sha256 | --prefix | --config | --state-dir | --data-dir | --systemd-dir | --cron-dir | \
            --gitea-config | --run-user | --root | --git)
            if ! $has_value && [ "$left" -gt 0 ]; then
                value=$1
                shift
                left=$((left - 1))
            fi
            [ -n "$value" ] || misuse "$option needs a value"
            case $value in *[[:cntrl:]]*) misuse "$option: the path must not contain a newline or another control character" ;; esac
            ;;
        *) ! $has_value || misuse "$option is unknown or does not take a value" ;;
    esac
    case $option in
        --binary) binary=$value && continue ;;
        --sha256) sha256=$value && continue ;;
        --from-source) is_from_source=true && continue ;;
        --container) is_container=true && continue ;;
        --data-dir) data_dir=$value && continue ;;
        --uninstall) action=uninstall && continue ;;
        --help | -h)
            usage
            exit 0
            ;;
        --prefix) prefix=$value ;;
        --run-user) run_user=$value ;;
        --gitea-config) has_app_ini=true ;;
        --root) has_root=true ;;
        --systemd-dir) has_units=true ;;
        --cron-dir) has_cron=true ;;
        --purge | --yes) is_purge=true ;;
        --dry-run) is_dry_run=true ;;
        --config | --state-dir | --git | --timer | --no-timer | --no-hook | --ref-hook | --no-ref-hook) ;;
        *) misuse "unknown option $option" ;;
    esac
    if [ -n "$value" ]; then set -- "$@" "$option=$value"; else set -- "$@" "$option"; fi
done

case $sha256 in
    '') ;;
    *[!0-9A-Fa-f]*) misuse "--sha256: expected 64 hexadecimal digits" ;;
    *) [ ${#sha256} -eq 64 ] || misuse "--sha256: expected 64 hexadecimal digits, found ${#sha256}" ;;
esac
case $run_user in *[!A-Za-z0-9._@:-]* | -*) misuse "--run-user: expected a user name or UID:GID" ;; esac
if $is_from_source && [ -n "$binary" ]; then misuse "--from-source and --binary cannot be used together"; fi
if $has_units && $has_cron; then misuse "--systemd-dir and --cron-dir cannot be used together"; fi
if $has_app_ini && $has_root; then misuse "--gitea-config and --root cannot be used together"; fi
if $is_purge && [ "$action" = install ]; then misuse "--purge and --yes require --uninstall"; fi

if $is_container && [ -z "$data_dir" ]; then
    # /data comes first, because Gitea's chart for Kubernetes mounts it into the rootless image too.
    if [ -d /data ]; then
        data_dir=/data
    elif [ -d /var/lib/gitea ]; then
        data_dir=/var/lib/gitea
    else
        fail "--container: neither /data nor /var/lib/gitea exists; name the data volume with --data-dir"
    fi
fi
[ -z "$data_dir" ] || set -- "$@" "--data-dir=$data_dir"
prefix=${prefix:-${data_dir:+$data_dir/gitea-lightstep}}
installed=${prefix:-/usr/local}/bin/gitea-lightstep
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
here=$(cd -- "${here:-/}" && pwd -P)
uid=$(id -u)

# --- The binary ---

# build: builds the checkout and puts the path of the binary into $binary.
build() {
    [ -f "$here/Cargo.toml" ] || fail "--from-source: $here is not a checkout; run install.sh from a checkout of the source"
    if $is_dry_run; then
        printf '%s\n' "would build    cargo build --release --locked, in $here"
        return
    fi
    # Root runs no program from the caller's PATH.
    cargo_path=$PATH
    [ "$uid" -eq 0 ] || cargo_path=$callers_path
    (PATH=$cargo_path && command -v cargo >/dev/null) ||
        fail "--from-source: cargo is not in $cargo_path; run (cd '$here' && cargo build --release --locked) as your own user, then this script without --from-source"
    doing="build $here with cargo"
    built=$(PATH=$cargo_path && cd -- "$here" && cargo build --release --locked --message-format=json-render-diagnostics)
    binary=$(printf '%s\n' "$built" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    [ -n "$binary" ] || fail "cargo did not report the path of the binary; name it with --binary"
}

# find_binary: puts the path of the binary into $binary, if there is one.
find_binary() {
    doing="find the binary" is_named=true by_hand=''
    if $is_from_source; then build; elif [ -z "$binary" ]; then is_named=false; fi
    if [ -z "$binary" ]; then
        for candidate in "$here/target/release/gitea-lightstep" "$here"/target/*/release/gitea-lightstep "$here/gitea-lightstep"; do
            [ -f "$candidate" ] || continue
            # shellcheck disable=SC3013 # POSIX has -nt since 2024, and dash and ash have it
            if [ -z "$binary" ] || [ "$candidate" = "$here/gitea-lightstep" ] || [ "$candidate" -nt "$binary" ]; then binary=$candidate; fi
        done
    fi
    if ! $is_named && [ -n "$binary" ] && [ "$uid" -eq 0 ]; then
        # Another user may have put it into a directory like /tmp. Root already trusts the owner of this script.
        doing="find the owner of $binary"
        owner=$(stat -L -c %u "$binary")
        [ "$owner" = 0 ] || [ "$owner" = "$(stat -L -c %u "$here/${0##*/}" 2>/dev/null)" ] ||
            fail "$binary belongs to $(stat -L -c %U "$binary"), which is neither root nor the owner of this script; if it is the right binary, name it with --binary"
    fi
}

check_binary() {
    [ -f "$binary" ] || fail "$binary does not exist or is not a file"
    case $binary in /*) ;; *) binary=$PWD/$binary ;; esac
    if [ -n "$sha256" ]; then
        doing="compute the SHA-256 of $binary"
        sum=$(sha256sum <"$binary")
        sum=${sum%% *}
        [ "$sum" = "$(printf '%s' "$sha256" | tr A-F a-f)" ] ||
            fail "$binary does not match --sha256: its SHA-256 is $sum; nothing was changed"
    fi
    doing="run $binary"
    [ -x "$binary" ] || fail "$binary is not executable; run chmod +x '$binary'"
    version=$("$binary" --version) ||
        fail "$binary does not run here: it was built for another machine, or its file system is mounted noexec"
    case $version in
        gitea-lightstep\ *) ;;
        *) fail "$binary is not gitea-lightstep" ;;
    esac
}

# owner_of FILE: puts the first user but root who can replace FILE into $owner: 0 if there is none, and nothing
# if a group or everybody can, or if FILE is a link. FILE has no link above its last component.
owner_of() {
    doing="find who can change $1" path=$1
    while :; do
        owner=$(stat -c '%u %A' "$path")
        mode=${owner#* }
        owner=${owner%% *}
        [ "$owner" = 0 ] || return 0
        case $mode in
            d????????[tT]) ;;
            # The bit of the group is set too if an ACL lets anybody else write.
            l* | ????????w? | ?????w*) owner='' && return ;;
        esac
        [ "$path" != / ] || return 0
        path=${path%/*}
        path=${path:-/}
    done
}

# run_as USER PROGRAM ARGUMENT...: Debian has runuser, Gitea's image su-exec, and busybox su.
run_as() {
    user=$1
    shift
    doing="run $1 as $user"
    if command -v su-exec >/dev/null; then
        exec su-exec "$user" "$@"
    elif command -v runuser >/dev/null; then
        exec runuser -u "$user" -- "$@"
    fi
    # shellcheck disable=SC2016 # the inner shell expands these
    exec su -s /bin/sh -c 'exec "$0" "$@"' -- "$user" "$@"
}

if [ "$action" = uninstall ]; then
    set -- uninstall --system "$@"
    if [ -z "$binary" ] && [ -x "$installed" ]; then
        # What is checked is what is run.
        binary=$(cd -- "${installed%/*}" && pwd -P)/${installed##*/}
        owner=$uid
        [ "$uid" -ne 0 ] || owner_of "$binary"
        doing="run $binary"
        [ -n "$owner" ] || fail "$binary is a link, or users other than root can replace it, so root does not run it; name a binary with --binary"
        if [ "$owner" != "$uid" ]; then run_as "$(stat -c %U "$path")" "$binary" "$@"; fi
    else
        find_binary
        ! $is_purge || by_hand=', or remove the configuration and the state by hand with rm -r'
        [ -n "$binary" ] || fail "$installed does not exist; if the hook is still in Gitea, it does nothing; to remove what is left, name another binary with --binary$by_hand"
        check_binary
    fi
else
    find_binary
    [ -n "$binary" ] ||
        fail "found no binary beside $here/install.sh and no release build; name one with --binary, or build one with --from-source"
    check_binary
    [ -z "$sha256" ] || set -- "$@" "--sha256=$sha256"
    set -- install --system "--source=$binary" "$@"
fi
doing="run $binary"
exec "$binary" "$@"
