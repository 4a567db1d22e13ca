use super::*;

#[test]
fn person_is_parsed_into_name_and_email() {
    let person = |text| ScenarioPerson::parse(text).map(|person| (person.name, person.email));
    assert_eq!(person("Ann <a@b>"), Ok(("Ann".into(), "a@b".into())));
    assert_eq!(person("Rita Release"), Ok(("Rita Release".into(), "ritarelease@example.org".into())));
    for wrong in ["", "<a@b>", "Ann <a@b", "A\nnn <a@b>", "Ann <a<b>"] {
        let said = person(wrong).expect_err(wrong).to_string();
        assert!(said.starts_with("expected a person such as `Ann Author <ann@example.org>`"), "{said}");
    }
}
