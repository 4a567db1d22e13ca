use super::*;

fn ranges(updates: &Updates) -> &[(usize, usize)] {
    &updates.0
}

#[test]
fn failed_updates_are_kept_as_ranges() {
    let mut updates = Updates::default();
    assert!(updates.replace(&(0..10), &[2, 3, 4, 9]));
    assert_eq!(ranges(&updates), [(2, 5), (9, 10)]);
    assert!(updates.replace(&(10..20), &[10, 11]));
    assert_eq!(ranges(&updates), [(2, 5), (9, 12)]);
    assert!(!updates.replace(&(20..30), &[]));
    assert!(updates.replace(&(3..4), &[]), "update 3 is now decided");
    assert_eq!(ranges(&updates), [(2, 3), (4, 5), (9, 12)]);
    assert_eq!(updates.within(&(4..10)), [4..5, 9..10]);
    assert!(updates.replace(&(0..12), &[]));
    assert!(updates.is_empty());
}
