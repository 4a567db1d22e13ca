use std::cell::Cell;

use super::*;

fn stop(may_be_content: bool) -> Suspended {
    Suspended { after: None, why: "HTTP 500".into(), may_be_content }
}

/// Searches the numbers from 0 to `count`. Those with `is_bad` fail. Returns the result and the
/// number of requests.
fn search_among(
    count: u32,
    others: u32,
    is_bad: impl Fn(u32) -> bool,
) -> (Result<SearchOutcome<u32>, Suspended>, usize) {
    let requests = Cell::new(0);
    let mut request = |some: &mut [u32]| {
        requests.set(requests.get() + 1);
        if some.iter().any(|one| is_bad(*one)) { Err(stop(true)) } else { Ok(()) }
    };
    let found = search((0..count).collect(), (count..count + others).collect(), &mut request, &stop(true));
    (found, requests.get())
}

#[test]
fn bad_marker_is_found_in_few_requests() {
    for (count, most) in [(2, 3), (3, 4), (16, 7), (512, 12)] {
        for bad in [0, 1, count / 2, count - 1] {
            let (found, requests) = search_among(count, 0, |one| one == bad);
            assert_eq!(found, Ok(SearchOutcome::Bad(bad, "HTTP 500".into())), "{bad} of {count}");
            assert!(requests <= most, "{bad} of {count}: {requests}");
        }
    }
    assert_eq!(search_among(1, 5, |one| one == 0), (Ok(SearchOutcome::Bad(0, "HTTP 500".into())), 1));
}

#[test]
fn search_with_several_bad_markers_finds_one_or_gives_up() {
    let mut found_one = 0;
    for _ in 0..100 {
        match search_among(64, 0, |one| one < 4) {
            (Ok(SearchOutcome::Bad(bad, _)), _) => {
                assert!(bad < 4);
                found_one += 1;
            }
            (other, requests) => assert_eq!((other, requests), (Err(stop(true)), 2)),
        }
    }
    assert!(found_one > 50, "{found_one}");
}

#[test]
fn unavailable_destination_gets_at_most_two_more_requests() {
    for count in [2, 512] {
        assert_eq!(search_among(count, 100, |_| true), (Err(stop(true)), 2));
    }
    assert_eq!(search_among(1, 100, |_| true), (Err(stop(true)), 1));
    assert_eq!(search_among(1, 0, |_| true), (Ok(SearchOutcome::Unknown), 0));
    let mut gone = |_: &mut [u32]| Err(stop(false));
    assert_eq!(search((0..9).collect(), vec![], &mut gone, &stop(true)), Err(stop(false)));
}

#[test]
fn search_finds_nothing_if_all_requests_now_succeed() {
    assert_eq!(search_among(16, 0, |_| false).0, Ok(SearchOutcome::None));
}
