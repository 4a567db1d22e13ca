"""Prints the attributes of the semantic conventions as JSON, as the package of PyPI has them.

{"version": "1.44.0", "attributes": {NAME: {"stable": BOOL, "deprecated": BOOL, "values": [TEXT, ...]}}}

What the package keeps outside of `_incubating` is stable. Types, and what is a release candidate, it does not say.
"""

import ast
import json
import pathlib
import re

import opentelemetry.semconv
import opentelemetry.semconv.schemas

ROOT = pathlib.Path(opentelemetry.semconv.__file__).parent


def squeezed(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read(directory, is_stable, attributes):
    for path in sorted(directory.glob("*_attributes.py")):
        enumerations = {}
        found = {}
        body = ast.parse(path.read_text()).body
        for node, after in zip(body, [*body[1:], None]):
            if isinstance(node, ast.ClassDef):
                values = [each.value for each in node.body if isinstance(each, (ast.Assign, ast.AnnAssign))]
                texts = [value.value for value in values if isinstance(value, ast.Constant)]
                enumerations[squeezed(node.name.removesuffix("Values"))] = texts
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
                says = ""
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    says = after.value.value.strip()
                found[node.value.value] = says
        for name, says in found.items():
            before = attributes.get(name, {"stable": False})
            attributes[name] = {
                "stable": is_stable or before["stable"],
                "deprecated": says.startswith("Deprecated"),
                "values": enumerations.get(squeezed(name), []),
            }


def main():
    attributes = {}
    read(ROOT / "_incubating" / "attributes", False, attributes)
    read(ROOT / "attributes", True, attributes)
    newest = list(opentelemetry.semconv.schemas.Schemas)[-1].value
    print(json.dumps({"version": newest.rsplit("/", 1)[-1], "attributes": attributes}))


main()
