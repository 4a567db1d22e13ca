use super::*;

#[test]
fn operation_limit_stops_the_script_after_grace_steps() {
    let meter = Meter::new(&Limits { operations: 1000, ..Limits::default() });
    meter.begin(Deadline::never());
    let stopped = (1..).find_map(|nth| meter.step().map(|used_up| (nth, used_up)));
    assert_eq!(stopped, Some((1001 + 64, UsedUp::Operations)));
    meter.begin(Deadline::never());
    assert!((0..1000).all(|_| meter.step().is_none() && meter.ending().is_none()));
    assert_eq!((meter.step(), meter.ending()), (None, Some(UsedUp::Operations)));
}

#[test]
fn memory_is_checked_every_step_and_clock_every_16th() {
    let meter = Meter::new(&Limits { memory: 1 << 20, ..Limits::default() });
    meter.begin(Deadline::never());
    let held = vec![0u8; 2 << 20];
    assert_eq!((meter.step(), meter.ending()), (None, Some(UsedUp::Memory)));
    drop(held);
    meter.begin(Deadline::after(Duration::ZERO));
    let stopped = (1..).find_map(|nth| meter.step().map(|used_up| (nth, used_up)));
    assert_eq!(stopped, Some((16 + 8, UsedUp::Time)));
}
