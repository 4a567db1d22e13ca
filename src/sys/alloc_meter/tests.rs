use super::*;

#[test]
fn allocations_and_frees_are_counted() {
    let before = held();
    let block: Vec<u8> = Vec::with_capacity(1 << 20);
    assert_eq!(held() - before, chunk(1 << 20));
    drop(block);
    assert_eq!(held(), before);

    let mut grown = vec![0u64; 10];
    grown.reserve_exact(1000);
    assert_eq!(held() - before, chunk(grown.capacity() * 8));
    drop(grown);
    assert_eq!(held(), before);
}

#[test]
fn counts_are_per_thread() {
    let before = held();
    let block = std::thread::spawn(|| {
        let mine = held();
        let block = vec![1u8; 1 << 20];
        assert!(held() - mine >= 1 << 20);
        block
    });
    let block = block.join().expect("the thread does not panic");
    let now = held();
    assert!(now - before < 1 << 20, "{now} {before}");
    drop(block);
    assert!(held() < now);
}
