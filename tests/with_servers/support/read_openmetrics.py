"""Reads metrics from standard input with prometheus_client's parsers, of OpenMetrics and of Prometheus'
older text format, which is what node_exporter's textfile collector reads. Prints every sample as
{"name{label=value,...}": value}; both must have read the same."""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

text = sys.stdin.read()


def read(families):
    samples = {}
    for family in families:
        assert family.documentation, f"{family.name} has no HELP"
        assert family.type == "gauge", f"{family.name} is of type {family.type}"
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = sample.name + (f"{{{labels}}}" if labels else "")
            assert key not in samples, f"{key} appears twice"
            samples[key] = sample.value
    return samples


families = list(openmetrics_parser.text_string_to_metric_families(text))
for family in families:
    for unit in ["seconds", "bytes"]:
        assert family.name.endswith("_" + unit) == (family.unit == unit), f"{family.name} has unit {family.unit!r}"
samples = read(families)
older = read(parser.text_string_to_metric_families(text))
assert samples == older, f"the parsers disagree: {samples}, {older}"
print(json.dumps(samples))
