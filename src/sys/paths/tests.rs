use super::*;

#[test]
fn a_file_has_several_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("real/sub")).expect("directories");
    std::os::unix::fs::symlink(path("real"), path("link")).expect("a link");
    for (one, other, same) in [
        ("real/sub", "link/sub", true),
        ("real/sub", "link/sub/../sub/", true),
        ("real/none", "link/none", true),
        ("real/none/more", "link/./none/more", true),
        ("real/none", "link/other", false),
        ("real/none/../sub", "real/other/../sub", false),
    ] {
        assert_eq!(is_same(&path(one), &path(other)), same, "{one} {other}");
    }
}
