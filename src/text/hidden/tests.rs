use regex_syntax::{
    Parser,
    hir::{Class, HirKind},
};

use super::*;

#[test]
fn hidden_table_matches_unicode_properties() {
    let rule = r"[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]";
    let parsed = Parser::new().parse(rule).expect("the rule").into_kind();
    let HirKind::Class(Class::Unicode(class)) = parsed else { panic!("{parsed:?}") };
    let expected = |c: char| {
        let after = class.ranges().partition_point(|range| range.start() <= c);
        after.checked_sub(1).is_some_and(|at| c <= class.ranges()[at].end())
    };
    let wrong: Vec<char> = ('\0'..=char::MAX).filter(|c| is_hidden(*c) != expected(*c)).collect();
    assert_eq!(wrong, [' '; 0]);
}

#[test]
fn emoji_keeps_one_variation_selector() {
    let shown = |text: &str| {
        let mut previous = None;
        let kept = text.chars().filter(|c| !is_hidden_after(previous.replace(*c), *c));
        kept.collect::<String>()
    };
    assert_eq!(shown("\u{2764}\u{fe0f}\u{fe0f} ok"), "\u{2764}\u{fe0f} ok");
    assert_eq!(shown("pay\u{fe0f}ments\u{fe01}\u{e0101}"), "payments");
}
