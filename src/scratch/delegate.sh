#!/bin/sh
# Behaves like the hooks/post-receive that Gitea writes: passes all of standard input to each
# executable file of post-receive.d in turn, and exits with the first failure's status.
updates=$(cat)
status=0
for hook in "$GIT_DIR"/hooks/post-receive.d/*; do
    if [ -f "$hook" ] && [ -x "$hook" ]; then
        printf '%s\n' "$updates" | "$hook" || { failed=$?; [ "$status" -ne 0 ] || status=$failed; }
    fi
done
exit "$status"
