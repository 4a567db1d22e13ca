use super::*;

#[test]
fn placeholders_expand_to_ids_and_abbreviate_them() {
    let id = "9d59409acf479dfa0df1aa568182e43e43df8bbe";
    let names =
        Placeholders::new([("commit_id".to_string(), id.to_string()), ("pay".to_string(), id.to_string())]);
    assert_eq!(names.expand("revert {pay}, {commit_id}, {other}"), format!("revert {id}, {id}, {{other}}"));
    assert_eq!(names.abbreviate(&format!("at {id}")), "at {commit_id}");
}
