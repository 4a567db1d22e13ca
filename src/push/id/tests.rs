use super::*;
use crate::push::{ObjectId, RefName};

#[test]
fn derived_id_is_uuid_v7_and_unique_per_ref_change() {
    let id = |digit: &str| ObjectId::from_hex(digit.repeat(40).as_bytes()).expect("an id");
    let update = |name: &str, new| {
        Update::new(RefName::new(name.as_bytes()).expect("a name"), id("1"), id(new)).expect("an update")
    };
    let time: Timestamp = "2026-11-22T10:00:00.123Z".parse().expect("a time");
    let main = PushId::derived(time, "acme/shop", &[update("refs/heads/main", "2")]);
    // Computed independently, with another program.
    assert_eq!(main.to_string(), "01a202b2-c57b-74e9-a135-ec070becf157");
    assert_eq!(main.time(), Some(time));
    assert_eq!(PushId::derived(time, "Acme/Shop", &[update("refs/heads/main", "2")]), main);
    for other in [
        PushId::derived(time, "acme/other", &[update("refs/heads/main", "2")]),
        PushId::derived(time, "acme/shop", &[update("refs/heads/prod", "2")]),
        PushId::derived(time, "acme/shop", &[update("refs/heads/main", "3")]),
    ] {
        assert_ne!(other, main);
    }
    let (first, last) = (PushId::at(Timestamp::MIN), PushId::at(Timestamp::MAX));
    assert_eq!((first.time(), first < main, main < last), (Some(Timestamp::UNIX_EPOCH), true, true));
    let before_all_time = PushId::derived(Timestamp::MIN, "a", &[update("refs/heads/main", "2")]);
    assert_eq!(before_all_time.time(), Some(Timestamp::UNIX_EPOCH));
}
