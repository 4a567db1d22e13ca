use super::*;
use crate::push::{GitDir, RepositoryIdentity, Source};

/// Returns the source of pushes to a repository outside of Gitea.
fn source(dir: &str) -> Source {
    let git_dir = GitDir::resolve(Some(dir.as_ref()), Path::new("/srv"));
    let repository = RepositoryIdentity::of_dir(&git_dir);
    Source::unknown(git_dir, repository)
}

fn deployed(push: PushId, version: &str) -> Deployed {
    let commit = "9d59409acf479dfa0df1aa568182e43e43df8bbe".parse().expect("an id");
    Deployed { push, time: Timestamp::UNIX_EPOCH, commit, version: version.into() }
}

#[test]
fn last_deployment_is_the_newest_before_the_push() {
    let dir = tempfile::tempdir().expect("a directory");
    let memory = DeploymentStore::at(dir.path());
    let mut pushed = source("acme/shop.git");
    pushed.repository.id = Some(7);
    let place = DeploymentTarget::new(&pushed, "pay", "production");
    let pushes: Vec<PushId> = (0..40).map(|nth| PushId::at(Timestamp::constant(nth, 0))).collect();
    // Decided in another order than captured, and one of them twice.
    for at in [1, 0, 2, 2] {
        let note = (place.clone(), deployed(pushes[at], &at.to_string()));
        memory.remember(&[note], false).expect("stored");
    }
    let version = |push| memory.last_deployment(&place, push).map(|deployed| deployed.version);
    assert_eq!(version(pushes[0]), None);
    assert_eq!(version(pushes[2]).as_deref(), Some("1"));
    assert_eq!(version(pushes[3]).as_deref(), Some("2"));
    let other = DeploymentTarget::new(&pushed, "pay", "staging");
    assert!(memory.last_deployment(&other, pushes[3]).is_none());
    let mut renamed = source("bank/till.git");
    renamed.repository.id = Some(7);
    let same = DeploymentTarget::new(&renamed, "pay", "production");
    assert!(memory.last_deployment(&same, pushes[3]).is_some());
    for push in &pushes {
        memory.remember(&[(place.clone(), deployed(*push, "n"))], false).expect("stored");
    }
    assert!(version(pushes[pushes.len() - KEPT]).is_none(), "the oldest deployments are dropped");
}

#[test]
fn surplus_is_removed_from_the_largest_repository() {
    let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let name = |repository: &str, environment: String| {
        file_name(&DeploymentTarget::new(&source(repository), "pay", &environment))
    };
    let kept: Vec<String> = (0..3).map(|n| name("acme/pay", format!("e{n}"))).collect();
    let flood: Vec<String> = (0..100).map(|n| name("evil/x", format!("e{n}"))).collect();
    let mut dated: Vec<_> = kept.iter().map(|name| (at(0), name.clone())).collect();
    dated.extend((1..).zip(&flood).map(|(n, name)| (at(n), name.clone())));
    assert_eq!(surplus(dated, 10), flood[..10]);
}

#[test]
fn address_key_is_created_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys: Vec<_> = std::thread::scope(|scope| {
        let make = || DeploymentStore::at(dir.path()).address_key().map(|key| key.hash("ann@example.org"));
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread finishes")).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    let empty = AddressKey::new(&[0; 32]).hash("ann@example.org");
    assert!(keys[0].as_ref().is_some_and(|key| *key != empty));
}
