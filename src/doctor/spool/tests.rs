use super::*;

#[test]
fn lock_holder_is_found_in_proc_locks() {
    let locks = "1: POSIX  ADVISORY  WRITE 11 fe:00:1572 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 734 fe:00:1572 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 735 fe:00:1572 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 9 fe:01:1572 0 EOF\n";
    let device = rustix::fs::makedev(0xfe, 0);
    assert_eq!(holder_of(locks, device, 1572), Some(734));
    assert_eq!(holder_of(locks, device, 1573), None);
    assert_eq!(holder_of(locks, rustix::fs::makedev(0xfe, 1), 1572), Some(9));
    assert_eq!(holder_of("garbage\n1:\n", device, 1572), None);
}
