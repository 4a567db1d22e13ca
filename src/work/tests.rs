use std::time::Duration;

use super::*;

#[test]
fn allowance_limits_work_and_time() {
    let allowance = Allowance::new(10, Deadline::never());
    assert_eq!((allowance.spend(9), allowance.spent()), (Ok(()), 9));
    assert_eq!([allowance.spend(1), allowance.spend(1)], [Err(Spent::Work); 2]);
    let late = Allowance::new(u64::MAX, Deadline::after(Duration::ZERO));
    assert_eq!([late.spend(1), late.spend(1)], [Err(Spent::Time); 2]);
}
