"""Decodes a raw OTLP request with the classes of opentelemetry-proto, and is strict about it.

    decode_otlp.py logs|traces < body

Standard input is the protobuf body, already gunzipped. Prints one JSON object a record or span on
a line. Exits 1 with the reason when the body is not exactly what a careful sender writes: an
unknown field, a byte that a re-serialised copy does not have, an id of the wrong length, or a key
that is given twice. It is the second opinion beside rotel, which takes all of these.

An attribute keeps its type: a string, bool, int, double (always with a fraction or exponent),
array or map is the same in JSON, bytes are {"bytes": "00ff"}, a value that is not set is null.
"""

import json
import sys

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8


class Flaw(Exception):
    """The body is not what a careful sender writes."""


def main(arguments):
    readers = {
        "logs": (ExportLogsServiceRequest, log_records),
        "traces": (ExportTraceServiceRequest, spans),
    }
    if len(arguments) != 1 or arguments[0] not in readers:
        print("usage: decode_otlp.py logs|traces < body", file=sys.stderr)
        return 2
    request_class, rows = readers[arguments[0]]
    try:
        # Everything is checked before anything is printed.
        lines = [as_json(row) for row in rows(parse(request_class, sys.stdin.buffer.read()))]
    except Flaw as flaw:
        print(f"decode_otlp.py: {arguments[0]}: {flaw}", file=sys.stderr)
        return 1
    for line in lines:
        print(line)
    return 0


def parse(request_class, body):
    request = request_class()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise Flaw(f"not a {request_class.DESCRIPTOR.name}: {error}") from error
    refuse_unknown_fields(request, request_class.DESCRIPTOR.name)
    # The order of fields is the sender's choice, so only the length is compared: it is longer
    # for a default written out, a field given twice or an integer padded with zeros.
    again = len(request.SerializeToString())
    if again != len(body):
        raise Flaw(f"the message has {len(body)} bytes, but encodes to {again}")
    return request


def refuse_unknown_fields(message, path):
    unknown = sorted({field.field_number for field in UnknownFieldSet(message)})
    if unknown:
        raise Flaw(f"unknown field {', '.join(map(str, unknown))} in {path}")
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        inner = f"{path}.{descriptor.name}"
        if hasattr(value, "ListFields"):
            refuse_unknown_fields(value, inner)
        else:
            for index, element in enumerate(value):
                refuse_unknown_fields(element, f"{inner}[{index}]")


def log_records(request):
    for group in request.resource_logs:
        for scope_group in group.scope_logs:
            for record in scope_group.log_records:
                yield {
                    **origin(group, scope_group),
                    "event_name": record.event_name,
                    "time_unix_nano": record.time_unix_nano,
                    "observed_time_unix_nano": record.observed_time_unix_nano,
                    "severity_number": record.severity_number,
                    "severity_text": record.severity_text,
                    "body": value_of(record.body),
                    "attributes": flat(record.attributes, "the record's attributes"),
                    "flags": record.flags,
                    "trace_id": identifier(record.trace_id, TRACE_ID_BYTES, "trace_id"),
                    "span_id": identifier(record.span_id, SPAN_ID_BYTES, "span_id"),
                }


def spans(request):
    for group in request.resource_spans:
        for scope_group in group.scope_spans:
            for span in scope_group.spans:
                yield {
                    **origin(group, scope_group),
                    "name": span.name,
                    "kind": name_in(Span.SpanKind, span.kind),
                    "start_time_unix_nano": span.start_time_unix_nano,
                    "end_time_unix_nano": span.end_time_unix_nano,
                    "trace_id": identifier(span.trace_id, TRACE_ID_BYTES, "trace_id"),
                    "span_id": identifier(span.span_id, SPAN_ID_BYTES, "span_id"),
                    "parent_span_id": identifier(
                        span.parent_span_id, SPAN_ID_BYTES, "parent_span_id"
                    ),
                    "trace_state": span.trace_state,
                    "flags": span.flags,
                    "links": [link_of(link) for link in span.links],
                    "events": [event_of(event) for event in span.events],
                    "status": {
                        "code": name_in(Status.StatusCode, span.status.code),
                        "message": span.status.message,
                    },
                    "attributes": flat(span.attributes, "the span's attributes"),
                }


def origin(group, scope_group):
    return {
        "resource": flat(group.resource.attributes, "the resource"),
        "resource_schema_url": group.schema_url,
        "scope": {"name": scope_group.scope.name, "version": scope_group.scope.version},
        "scope_schema_url": scope_group.schema_url,
    }


def link_of(link):
    return {
        "trace_id": identifier(link.trace_id, TRACE_ID_BYTES, "a link's trace_id"),
        "span_id": identifier(link.span_id, SPAN_ID_BYTES, "a link's span_id"),
        "trace_state": link.trace_state,
        "flags": link.flags,
        "attributes": flat(link.attributes, "a link's attributes"),
    }


def event_of(event):
    return {
        "name": event.name,
        "time_unix_nano": event.time_unix_nano,
        "attributes": flat(event.attributes, "an event's attributes"),
    }


def flat(pairs, place):
    attributes = {}
    for pair in pairs:
        if not pair.key:
            raise Flaw(f"an empty key in {place}")
        if pair.key in attributes:
            raise Flaw(f"duplicate key {pair.key} in {place}")
        attributes[pair.key] = value_of(pair.value)
    return attributes


def value_of(value):
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [value_of(element) for element in value.array_value.values]
        case "kvlist_value":
            return flat(value.kvlist_value.values, "a map")
        case "bytes_value":
            return {"bytes": value.bytes_value.hex()}
        case "string_value" | "bool_value" | "int_value" | "double_value" as plain:
            return getattr(value, plain)
        case other:
            raise Flaw(f"unexpected kind of value: {other}")


def identifier(raw, length, what):
    if raw and (len(raw) != length or not any(raw)):
        raise Flaw(f"{what} is {raw.hex()}, expected {length} bytes that are not all zero")
    return raw.hex()


def name_in(enum, number):
    return enum.Name(number) if number in enum.values() else number


def as_json(row):
    try:
        return json.dumps(row, allow_nan=False)
    except ValueError as error:
        raise Flaw(f"cannot be written as JSON: {error}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
