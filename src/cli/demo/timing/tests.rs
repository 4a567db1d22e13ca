use super::*;

#[test]
fn spread_handles_odd_even_and_empty_samples() {
    let ms = |times: &[u64]| times.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
    assert_eq!(spread(&ms(&[30, 10, 20])), (20.0, 10.0, 30.0));
    assert_eq!(spread(&ms(&[40, 10, 20, 30])), (25.0, 10.0, 40.0));
    assert_eq!(spread(&[]), (0.0, 0.0, 0.0));
}
