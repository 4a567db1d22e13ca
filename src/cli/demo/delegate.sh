#!/bin/sh
# What Gitea puts at hooks/post-receive, in behaviour: the whole of standard input goes to each
# executable file of post-receive.d in turn, and the first failure is the status of all.
updates=$(cat)
status=0
for hook in "$GIT_DIR"/hooks/post-receive.d/*; do
    if [ -f "$hook" ] && [ -x "$hook" ]; then
        printf '%s\n' "$updates" | "$hook" || { failed=$?; [ "$status" -ne 0 ] || status=$failed; }
    fi
done
exit "$status"
