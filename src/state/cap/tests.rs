use super::*;

#[test]
fn excess_frees_more_than_the_minimum() {
    let cap = SpoolCap { files: 100, bytes: 1000 };
    let weight = |files, bytes| Weight { files, bytes };
    assert_eq!(Excess::of(weight(100, 1000), cap), None);
    assert_eq!(Excess::of(weight(101, 10), cap), Some(Excess { files: 6, bytes: 0, on_credit: 0 }));
    assert_eq!(Excess::of(weight(1, 1500), cap), Some(Excess { files: 0, bytes: 550, on_credit: 0 }));
    let mut excess = Excess { files: 1, bytes: 10, on_credit: 0 };
    excess.free(weight(5, 4));
    assert!(excess.is_left());
    excess.free(weight(0, 6));
    assert!(!excess.is_left());
}
