use serde_json::json;

use super::*;

#[test]
fn old_marker_has_the_same_attributes_on_the_wire() {
    let file = include_str!("../../tests/fuzz/corpus/outbox/markers");
    let line = file.lines().nth(1).expect("a marker");
    let old: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let marker = Marker::from_old_json(line.as_bytes()).expect("a marker");
    assert_eq!(json!(marker.all_attributes()), old["attributes"]);
    assert_eq!(marker.push.to_string(), old["attributes"][name::PUSH_ID]);
    assert_eq!(marker.source.full_name().as_deref(), Some("acme/shop"));
    assert_eq!(marker.source.commit.as_deref(), old["attributes"][name::HEAD_REVISION].as_str());
    let new = serde_json::to_vec(&marker).expect("JSON");
    assert_eq!(serde_json::from_slice::<Marker>(&new).expect("a marker"), marker);
}

#[test]
fn attributes_of_a_policy_replace_the_source() {
    let some = |text: &str| Some(text.to_string());
    let mut source = MarkerSource { owner: some("acme"), pusher: some("ann"), ..MarkerSource::default() };
    let mut attributes: Attributes =
        [(name::USER_NAME.into(), "a person".into()), (name::OWNER.into(), Value::Int(5))].into();
    source.take_from(&mut attributes);
    assert_eq!((source.owner, source.pusher), (None, some("a person")));
    assert_eq!(attributes, [(name::OWNER.into(), Value::Int(5))].into());
}
