use std::collections::BTreeSet;

use super::*;

#[test]
fn often_read_lists_properties_used_by_the_built_in_policy() {
    let script = include_str!("../../../scripts/built-in.rhai");
    let uses = regex_lite::Regex::new(r"\b(?:update|push)\.(\w+)").expect("valid");
    let read: BTreeSet<&str> =
        uses.captures_iter(script).filter_map(|found| found.get(1)).map(|word| word.as_str()).collect();
    assert!(read.into_iter().eq(OFTEN_READ), "{OFTEN_READ:?}");
}
