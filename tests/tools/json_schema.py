"""A validator for the part of JSON Schema that our schemas and SARIF's use. Unknown keywords that
would constrain something are refused, so that nothing is silently not checked. Standard library
only."""
import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
REMARKS = {"$schema", "$id", "id", "title", "description", "default", "definitions", "$defs",
           "format", "$comment", "examples"}
KNOWN = {"type", "enum", "const", "required", "properties", "additionalProperties", "items",
         "minItems", "maxItems", "uniqueItems", "minimum", "maximum", "minLength", "pattern",
         "anyOf", "oneOf", "allOf", "$ref", "minProperties"}


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def complaints(value, schema, root=None, at="$"):
    """What is wrong, as texts; none when it fits."""
    root = schema if root is None else root
    if schema is True or schema is False:
        return [] if schema else [f"{at}: not allowed"]
    unknown = set(schema) - KNOWN - REMARKS
    if unknown:
        raise ValueError(f"the validator does not know {sorted(unknown)}")
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].split("/")[1:]:
            target = target[part]
        return complaints(value, target, root, at)
    out = []
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(is_type(value, n) for n in names):
            return [f"{at}: {value!r:.60} is no {' or '.join(names)}"]
    if "enum" in schema and value not in schema["enum"]:
        out.append(f"{at}: {value!r} is none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        out.append(f"{at}: {value!r} is not {schema['const']!r}")
    if isinstance(value, dict):
        out += of_object(value, schema, root, at)
    elif isinstance(value, list):
        out += of_array(value, schema, root, at)
    elif isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            out.append(f"{at}: too short")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            out.append(f"{at}: {value!r} does not match {schema['pattern']}")
    elif is_type(value, "number"):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            out.append(f"{at}: {value} is out of range")
    for key, least, most in (("anyOf", 1, None), ("oneOf", 1, 1), ("allOf", None, None)):
        if key in schema:
            good = sum(not complaints(value, s, root, at) for s in schema[key])
            least = len(schema[key]) if least is None else least
            if good < least or (most is not None and good > most):
                out.append(f"{at}: {good} alternatives of {key} fit")
    return out


def of_object(value, schema, root, at):
    out = [f"{at}: lacks {key}" for key in schema.get("required", []) if key not in value]
    if len(value) < schema.get("minProperties", 0):
        out.append(f"{at}: too few members")
    known, other = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, item in value.items():
        out += complaints(item, known.get(key, other), root, f"{at}.{key}")
    return out


def of_array(value, schema, root, at):
    out = []
    if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
        out.append(f"{at}: {len(value)} items")
    if schema.get("uniqueItems") and len({repr(v) for v in value}) < len(value):
        out.append(f"{at}: items are not unique")
    for i, item in enumerate(value):
        out += complaints(item, schema.get("items", True), root, f"{at}[{i}]")
    return out
