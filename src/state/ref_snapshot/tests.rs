use super::*;

fn snapshot(dir: &Path, git_dir: &Path) -> (RefSnapshots, RefSnapshot) {
    let git_dir = GitDir::resolve(None, git_dir);
    let stamps = RefStamps::parse([&b"1 2 3 4 refs/heads/\xff"[..], b"0 0 0 0 packed-refs"].into_iter());
    let name = |name: &[u8]| RefName::new(name).expect("a name");
    let id = ObjectId::from_raw(&[7; 32]).expect("32 bytes");
    let head = SnapshotHead {
        directory: DirectoryId(1, 2, 3),
        repository: RepositoryIdentity { id: Some(42), ..RepositoryIdentity::of_dir(&git_dir) },
        root_url: Some("https://git.example.org/".into()),
        as_of: Timestamp::from_second(1_700_000_000).expect("a time"),
        boot: "5b8efff7".into(),
        stamps: stamps.expect("stamps"),
        git_dir,
    };
    let refs = vec![(name(b"refs/heads/main"), id), (name(b"refs/tags/\xfe"), id)];
    (RefSnapshots::at(dir.into()), RefSnapshot { head, refs })
}

#[test]
fn snapshot_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let (snapshots, snapshot) = snapshot(dir.path(), Path::new("/srv/acme/shop.git"));
    let name = RefSnapshots::name_of(snapshot.head.git_dir.as_path());
    assert_eq!(snapshots.read(&name).expect("no error"), None);
    for is_durable in [false, true] {
        snapshots.write(&snapshot, is_durable).expect("no error");
        assert_eq!(snapshots.read(&name).expect("no error").as_ref(), Some(&snapshot));
        assert_eq!(snapshots.head(&name).expect("no error").as_ref(), Some(&snapshot.head));
        assert!(snapshots.has(snapshot.head.git_dir.as_path()));
    }
    assert_eq!(snapshots.list().expect("no error"), (vec![name.clone()], vec![]));
    snapshots.put_away(&name).expect("no error");
    assert_eq!(snapshots.list().expect("no error"), (vec![], vec![format!("{name}.gone")]));
    assert!(snapshots.take_back(&name).expect("no error"));
    assert!(!snapshots.take_back(&name).expect("no error"));
}

#[test]
fn every_damaged_byte_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (snapshots, snapshot) = snapshot(dir.path(), Path::new("/srv/acme/shop.git"));
    let name = RefSnapshots::name_of(snapshot.head.git_dir.as_path());
    snapshots.write(&snapshot, false).expect("no error");
    let path = dir.path().join(&name);
    let bytes = std::fs::read(&path).expect("the snapshot");
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        std::fs::write(&path, &damaged).expect("the snapshot");
        assert!(snapshots.read(&name).is_err(), "byte {at}");
        std::fs::write(&path, &bytes[..at]).expect("the snapshot");
        assert!(snapshots.read(&name).is_err(), "cut at {at}");
    }
}

#[test]
fn name_of_a_directory_is_no_path() {
    for dir in ["/srv/../etc", "/a/b.git", "/\u{1f600}"] {
        let name = RefSnapshots::name_of(Path::new(dir));
        assert!(name.len() == 32 && name.bytes().all(|digit| digit.is_ascii_hexdigit()), "{name}");
    }
}
