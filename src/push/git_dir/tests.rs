use super::*;

#[test]
fn relative_git_dir_becomes_absolute() {
    let cwd = Path::new("/data/git/acme/shop.git");
    assert_eq!(GitDir::resolve(Some(OsStr::new(".")), cwd).as_path(), cwd);
    assert_eq!(GitDir::resolve(None, cwd).as_path(), cwd);
    assert_eq!(GitDir::resolve(Some(OsStr::new("/x/y.git")), cwd).as_path(), Path::new("/x/y.git"));
}

#[test]
fn repository_name_comes_from_the_directory() {
    for (path, name) in [("/srv/shop.git", "shop"), ("/srv/shop", "shop"), ("/home/me/shop/.git", "shop")] {
        assert_eq!(GitDir::resolve(None, Path::new(path)).repository_name(), name);
    }
}

#[test]
fn non_utf8_path_round_trips_through_json() {
    let dir = GitDir(OsString::from_vec(b"/srv/caf\xe9.git".to_vec()).into());
    let json = serde_json::to_string(&dir).expect("serialises");
    assert_eq!(serde_json::from_str::<GitDir>(&json).expect("parses"), dir);
}
