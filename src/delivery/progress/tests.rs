use super::*;

#[test]
fn progress_sums_destinations_and_counts_new_files() {
    let progress = Progress::default();
    let (mut one, mut two) = (progress.share(), progress.share());
    one.leaves(10);
    two.leaves(5);
    one.delivers(20);
    one.leaves(4);
    two.leaves(7);
    assert_eq!(progress.now(), Moment { delivered: 20, files: 17, left: 11 });
    two.merged(3);
    assert_eq!(progress.now(), Moment { delivered: 20, files: 14, left: 8 });
    one.leaves(0);
    drop(two);
    assert_eq!(progress.now(), Moment { delivered: 20, files: 10, left: 0 });
}
