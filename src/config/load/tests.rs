use std::fs;

use super::*;

#[test]
fn state_dir_is_recovered_from_a_broken_config() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.toml");
    for (content, expected) in [
        ("state_dir = \"here\"\nnonsense", dir.path().join("here")),
        ("[unclosed\nstate_dir = \"/there\" # so", "/there".into()),
        ("state_dir = 7", DEFAULT_STATE_DIR.into()),
    ] {
        fs::write(&path, content).expect("written");
        assert_eq!(state_dir_of_broken(Some(&path), None), expected, "{content}");
        let known = state_dir_of_broken(Some(&path), Some("/known".into()));
        assert_eq!(known == Path::new("/known"), expected == Path::new(DEFAULT_STATE_DIR), "{content}");
    }
    fs::write(&path, "nonsense = 1").expect("written");
    assert_eq!(state_dir_meant(&path).as_deref(), Some(Path::new(DEFAULT_STATE_DIR)));
    fs::write(&path, "nonsense").expect("written");
    assert_eq!(state_dir_meant(&path), None);
    assert_eq!(state_dir_of_broken(None, None), Path::new(DEFAULT_STATE_DIR));
    assert_eq!(state_dir_of_broken(None, Some("/known".into())), Path::new("/known"));
}
