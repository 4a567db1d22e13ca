//! The JUnit output of `test`, read by Python's XML parser.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    python,
    shop::{FAILING, shop},
};

#[test]
fn junit_output_is_valid() {
    let sandbox = shop();
    let odd = FAILING.replace("no output", r#"<nothing> & \"more\" \u0001 ]]>"#);
    sandbox.write("scripts/acme/shop.test.toml", odd);
    sandbox.write("scripts/site.test.toml", "[[tset]]\n");
    let ran = sandbox.binary(&["test", "--junit", sandbox.path("junit.xml").to_str().expect("text")]);
    assert_eq!(ran.code, Some(1));
    let script = "
import json, sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
suites = {suite.get('name'): suite for suite in root.findall('testsuite')}
cases = lambda suite: {c.get('name'): (c.find('failure').text if c.find('failure') is not None else None) for c in suite.findall('testcase')}
print(json.dumps({'root': root.attrib, 'suites': {name: {'cases': cases(suite), **suite.attrib} for name, suite in suites.items()}}))
";
    let xml = fs::read(sandbox.path("junit.xml")).expect("the document");
    let mut command = sandbox.command(python::python().to_str().expect("text"), &sandbox.path(""));
    let read = sandbox.run(command.args(["-c", script]), &xml);
    let read: Value = serde_json::from_str(&read.succeeded().stdout).expect("JSON");
    assert_eq!((&read["root"]["tests"], &read["root"]["failures"]), (&json!("9"), &json!("8")));
    let shop = &read["suites"]["acme/shop"];
    assert_eq!((&shop["tests"], &shop["failures"]), (&json!("8"), &json!("7")));
    assert_eq!(shop["cases"]["the guard refuses"], Value::Null);
    let failure = shop["cases"]["production is deployed"].as_str().expect("a failure");
    assert!(failure.contains("- service = \"search\"\n+ service = \"checkout\""), "{failure}");
    assert!(shop["cases"].get("<nothing> & \"more\" \u{fffd} ]]>").is_some(), "{shop}");
    let broken = read["suites"]["site"]["cases"]["the file can be read"].as_str().expect("a failure");
    assert!(broken.contains("site.test.toml:1:3: unknown field `tset`"), "{broken}");
}
