use super::*;

#[test]
fn fuse_mount_names_its_provider_user() {
    let mounts = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
                       36 35 0:52 / /mnt rw,nosuid - fuse.sshfs host: rw,user_id=1000,group_id=1000,allow_other\n\
                       37 35 0:53 / /srv rw shared:7 - virtiofs share rw\n";
    let device = |minor| fs::makedev(0, minor);
    assert_eq!(provider_in(mounts, device(52)), Some(1000));
    assert_eq!(provider_in(mounts, device(53)), None);
    assert_eq!(provider_in(mounts, device(54)), None);
}

#[test]
fn ownership_covers_every_path_component() {
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path().canonicalize().expect("a path");
    std::fs::create_dir(here.join("sub")).expect("a directory");
    std::fs::write(here.join("file"), "").expect("a file");
    std::os::unix::fs::symlink("sub/../file", here.join("link")).expect("a link");
    let parts = |name: &str| {
        let ownership = Ownership::of(&here.join(name)).expect("the path exists");
        ownership.parts.into_iter().map(|part| part.path).collect::<Vec<_>>()
    };
    let parts = parts("link");
    for name in ["link", "sub", "file"] {
        assert!(parts.contains(&here.join(name)), "{parts:?}");
    }
    assert_eq!((parts.first(), parts.last()), (Some(&PathBuf::from("/")), Some(&here.join("file"))));
    std::os::unix::fs::symlink("loop", here.join("loop")).expect("a link");
    for name in ["loop", "none", "file/x"] {
        assert!(Ownership::of(&here.join(name)).is_err(), "{name}");
    }
    assert!(Ownership::open(&here.join("sub")).is_err(), "directories cannot be opened");
    assert_eq!(Ownership::of(Path::new("/")).expect("the path exists").owner(), (0, 0));
}
