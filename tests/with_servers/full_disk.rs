//! A state directory on a file system that is full, and then read-only.

use std::fs;

use crate::support::{
    backend::Backend,
    host::is_root,
    spool::{Ended, Ground, Push, Spool, faulty},
};

/// Mounts a separate file system for the state. It is full except for some pages, then read-only,
/// then normal again.
const REAL: &str = r#"
    bin=$0 config=$1 dir=$2 free=$3
    mount -t tmpfs -o size=256k,mode=700 state "$dir/state"
    hook() { GITEA_PUSHER_NAME=pusher-$1 "$bin" hook --config "$config" <"$dir/pusher-$1.stdin" 2>"$dir/said-$1"; }
    hook 0
    dd if=/dev/zero of="$dir/state/filler" bs=4096 2>/dev/null || :
    truncate -s -"$((free * 4096))" "$dir/state/filler"
    hook 1
    "$bin" deliver --config "$config" >"$dir/full" 2>&1 || :
    rm "$dir/state/filler"
    mount -o remount,ro "$dir/state"
    hook 2
    "$bin" deliver --config "$config" >"$dir/read-only" 2>&1 && exit 9
    mount -o remount,rw "$dir/state"
    hook 3
    "$bin" deliver --config "$config"
    # Outside of this mount nobody sees it.
    cp -r "$dir/state" "$dir/seen"
"#;

/// Runs [`REAL`] in its own mount namespace, so that it can mount over the state directory. The script
/// finds the standard input of each push beside that directory.
fn with_own_mounts(ground: &Ground, spool: &Spool<'_>, pushes: &[Push], free: usize) -> Ended {
    pushes.iter().for_each(|push| drop(spool.stdin(push)));
    fs::create_dir(spool.state()).expect("a directory");
    let mut command = ground.sandbox.command("unshare", &ground.sandbox.bare());
    command.args([if is_root() { "-m" } else { "-rm" }, "sh", "-ec", REAL, &faulty()]);
    command.arg(spool.config()).arg(spool.dir()).arg(free.to_string());
    command.env("GIT_DIR", ".").env("GIT_PUSH_OPTION_COUNT", "1").env("GIT_PUSH_OPTION_0", "deploy=prod");
    spool.begin(&mut command, "").end()
}

#[test]
fn full_and_read_only_file_system_loses_no_accepted_push() {
    let (ground, backend) = (Ground::new(), Backend::start());
    for free in 0..6 {
        backend.forget();
        let spool = ground.spool(&format!("real-{free}"), &backend);
        let pushes: Vec<_> = (0..4).map(|nth| ground.typical(nth)).collect();
        let ended = with_own_mounts(&ground, &spool, &pushes, free);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let said = |name: &str| fs::read_to_string(spool.dir().join(name)).expect("the output");
        assert_eq!((&*said("said-0"), &*said("said-3")), ("", ""));
        for (nth, why) in [(1, "No space left on device"), (2, "Read-only file system")] {
            let said = said(&format!("said-{nth}"));
            assert!(said.lines().count() <= 1 && (said.is_empty() || said.contains(why)), "{said}");
        }
        assert!(said("read-only").contains("Read-only file system"), "{}", said("read-only"));
        assert!(!said("full").contains("panic"), "{}", said("full"));
        let ids = backend.ids();
        let is_there = |nth: usize| pushes[nth].markers.iter().all(|key| ids.contains_key(key));
        assert!(
            is_there(0) && !is_there(2) && is_there(3),
            "{free} pages: {}\n{ids:#?}\n{}",
            said("said-1"),
            said("full")
        );
        // A capture is accepted if it fits on the disk. The reason for a refusal may fit in the
        // last page of the journal.
        let journal = fs::read_dir(spool.dir().join("seen/journal")).expect("the journal");
        let mut report = said("said-1");
        for month in journal {
            report += &fs::read_to_string(month.expect("an entry").path()).expect("text");
        }
        let is_refused = report.contains("this push has no markers: failed to ");
        assert!(is_there(1) != is_refused && (is_there(1) || free == 0), "{free} pages: {report}");
    }
}
