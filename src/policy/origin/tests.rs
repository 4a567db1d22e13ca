use super::*;

#[test]
fn script_hash_matches_sha256sum_and_round_trips() {
    // Output of `printf 'fn decide(update) { true }' | sha256sum`.
    let digits = "768d6c74b8ed76beecd9cd417370a2805e29eec97bba8f4df0d291f38434a0b4";
    let hash = ScriptHash::of(b"fn decide(update) { true }");
    assert_eq!(hash.to_string(), digits);
    assert_eq!(digits.parse(), Ok(hash));
    assert_eq!(hash.short(), digits[..12]);
    for wrong in ["", &digits[1..], &digits.replace('a', "x")] {
        wrong.parse::<ScriptHash>().expect_err(wrong);
    }
}
