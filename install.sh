#!/bin/sh
# Installs gitea-lightstep on a Gitea server: the binary, a configuration to fill in, the state directory,
# and the hook in the repositories that are named. Run it again after an upgrade or for new repositories;
# what is there already is replaced only if it is ours.
set -eu

usage() {
    cat <<'USAGE'
Usage: install.sh [OPTION]... [REPOSITORY.git]...

Installs the binary, a configuration and the state directory, and puts the hook into
each REPOSITORY.git. Run it as root, or as the user that Gitea runs as.

  --binary FILE   the binary to install (default: the one beside this script, else the
                  release build)
  --prefix DIR    install DIR/bin/gitea-lightstep (default: /usr/local)
  --config FILE   the configuration (default: /etc/gitea-lightstep/config.toml)
  --state DIR     the state directory (default: /var/lib/gitea-lightstep)
  --user NAME     the user that Gitea runs as (default: git)
  --all ROOT      put the hook into every repository below Gitea's repository root
  --uninstall     take the hook out of the repositories and remove the binary; the
                  configuration and the state stay
  --dry-run       print what would be done and do nothing
  --help          show this
USAGE
}

here=$(cd "$(dirname "$0")" && pwd)
binary=''
prefix=/usr/local
config=/etc/gitea-lightstep/config.toml
state=/var/lib/gitea-lightstep
user=git
root=''
action=install
dry_run=false
mark='# gitea-lightstep: '

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --binary | --prefix | --config | --state | --user | --all)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in
                --binary) binary=$2 ;;
                --prefix) prefix=$2 ;;
                --config) config=$2 ;;
                --state) state=$2 ;;
                --user) user=$2 ;;
                --all) root=$2 ;;
            esac
            shift
            ;;
        --uninstall) action=uninstall ;;
        --dry-run) dry_run=true ;;
        --help | -h) usage && exit 0 ;;
        --) shift && break ;;
        -*)
            usage >&2
            printf 'install.sh: unknown option %s\n' "$1" >&2
            exit 2
            ;;
        *) break ;;
    esac
    shift
done

id "$user" >/dev/null 2>&1 || fail "there is no user $user; name the one that Gitea runs as with --user"
for path in "$prefix" "$config" "$state"; do
    # The wrapper quotes with single quotes, and a relative path means nothing to a hook.
    case $path in
        *\'* | *"
"*) fail "a path must not have a quote or a newline in it: $path" ;;
        /*) ;;
        *) fail "a path must begin with /: $path" ;;
    esac
done
[ -z "$root" ] || [ -d "$root" ] || fail "$root is no directory"
installed=$prefix/bin/gitea-lightstep

# Repositories are written to by Gitea's user, who could plant links there: root must not follow them, and
# a file of root's among Gitea's stops `gitea admin regenerate hooks`.
as_user() {
    if [ "$(id -un)" = "$user" ]; then
        "$@"
    elif [ "$(id -u)" -ne 0 ]; then
        fail "run this as root or as $user"
    elif command -v runuser >/dev/null 2>&1; then
        runuser -u "$user" -- "$@"
    elif command -v su-exec >/dev/null 2>&1; then
        su-exec "$user" "$@"
    else
        fail "neither runuser nor su-exec is here; run this as $user"
    fi
}

run() {
    if $dry_run; then say "would run: $*"; else "$@"; fi
}

each_repository() {
    if [ -n "$root" ]; then
        find "$root" -mindepth 2 -maxdepth 2 -type d -name '*.git' | sort
    fi
    for repository; do printf '%s\n' "$repository"; done
}

# The content comes on standard input; the name begins with a dot until the file is whole, because Gitea
# runs every executable file in the directory that it sees.
put_hook() {
    # shellcheck disable=SC2016 # the inner shell expands these
    as_user sh -c '
        set -eu
        hidden=$1/.gitea-lightstep.$$
        trap "rm -f \"\$hidden\"" EXIT
        umask 022
        cat >"$hidden"
        chmod 755 "$hidden"
        mv -f "$hidden" "$1/gitea-lightstep"
    ' put_hook "$1"
}

is_foreign() {
    [ -e "$1" ] && ! head -n 2 "$1" | grep -qF "$mark"
}

install_binary() {
    if [ -z "$binary" ]; then
        for candidate in "$here/gitea-lightstep" "$here"/target/*/release/gitea-lightstep "$here/target/release/gitea-lightstep"; do
            if [ -f "$candidate" ] && [ -x "$candidate" ]; then
                binary=$candidate
                break
            fi
        done
    fi
    [ -n "$binary" ] || fail "there is no binary to install; run cargo build --release, or name one with --binary"
    "$binary" --version >/dev/null || fail "$binary does not run here"
    run mkdir -p "$prefix/bin"
    run cp "$binary" "$installed.new"
    run chmod 755 "$installed.new"
    run mv -f "$installed.new" "$installed"
    say "binary         $installed"
}

install_config() {
    run mkdir -p "$(dirname "$config")" "$state"
    if [ "$(id -u)" -eq 0 ]; then run chown "$user" "$state"; fi
    run chmod 700 "$state"
    if [ -e "$config" ]; then
        say "configuration  $config (kept)"
    elif $dry_run; then
        say "would write: $config"
    else
        umask 027
        sed "s|^state_dir = .*|state_dir = \"$state\"|" "$here/docs/config.toml" >"$config"
        if [ "$(id -u)" -eq 0 ]; then chgrp "$(id -gn "$user")" "$config"; fi
        say "configuration  $config (new: name a destination in it)"
    fi
    say "state          $state"
}

install_hook() {
    hooks=$1/hooks/post-receive.d
    if [ ! -d "$hooks" ]; then
        say "skipped        $1: no hooks/post-receive.d, so Gitea runs no hook there"
    elif is_foreign "$hooks/gitea-lightstep"; then
        say "skipped        $1: hooks/post-receive.d/gitea-lightstep is not ours"
    elif $dry_run; then
        say "would write: $hooks/gitea-lightstep"
    else
        sed -e "s|^bin=.*|bin='$installed'|" -e "s|^config=.*|config='$config'|" "$here/hooks/gitea-lightstep" |
            put_hook "$hooks"
        say "hook           $1"
    fi
}

uninstall_hook() {
    hook=$1/hooks/post-receive.d/gitea-lightstep
    if [ -e "$hook" ] && ! is_foreign "$hook"; then
        run as_user rm -f "$hook"
        say "removed        $hook"
    fi
}

if [ "$action" = uninstall ]; then
    each_repository "$@" | while IFS= read -r repository; do uninstall_hook "$repository"; done
    run rm -f "$installed"
    say "removed        $installed"
    say "kept           $config and $state"
else
    install_binary
    install_config
    each_repository "$@" | while IFS= read -r repository; do install_hook "$repository"; done
    if ! $dry_run; then
        as_user "$installed" check --config "$config" || fail "$config needs attention"
    fi
fi
