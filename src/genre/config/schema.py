"""The JSON Schema of configs, for editors, made from the same dataclass fields that check them."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from genre.config.experiment import Experiment
from genre.config.sections import SECTIONS, base_of, is_list, is_nested, is_optional, kinds_of, resolve
from genre.config.writing import to_dict
from genre.options import option_docs, type_hints

Schema = dict[str, Any]


def schema() -> Schema:
    """Build the schema of a whole config.

    Returns:
        JSON Schema; each built-in `kind` is a definition of its own.
    """
    definitions: Schema = {}
    body = _closed(_options(Experiment, definitions))
    del body["properties"]["labels"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "GENRE", **body, "$defs": definitions}


def _options(cls: type, definitions: Schema) -> Schema:
    """Return the schema of an object whose properties are the options of a dataclass."""
    docs, hints = option_docs(cls), type_hints(cls)
    properties, required = {}, []
    for option in dataclasses.fields(cls):
        if option.name not in hints:
            continue
        value = _value(hints[option.name], definitions)
        if option.name in docs:
            value["description"] = docs[option.name]
        if option.default is not dataclasses.MISSING and not is_nested(hints[option.name]):
            value["default"] = to_dict(option.default)
        elif option.default_factory is dataclasses.MISSING and option.default is dataclasses.MISSING:
            required.append(option.name)
        properties[option.name] = value
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    return {"type": "object", "description": summary, "properties": properties, "required": required}


def _value(hint: Any, definitions: Schema) -> Schema:
    """Return the schema of one option."""
    if not is_nested(hint):
        rules = ConfigDict(arbitrary_types_allowed=True)
        return TypeAdapter(hint, config=rules).json_schema()
    base = base_of(hint)
    value = _reference(base, definitions) if base in SECTIONS else _closed(_options(base, definitions))
    if is_list(hint):
        return {"type": "array", "items": value}
    return {"anyOf": [value, {"type": "null"}]} if is_optional(hint) else value


def _reference(base: type, definitions: Schema) -> Schema:
    """Return a `$ref` to the kinds of a section, which are defined once, since kinds may nest."""
    section = SECTIONS[base]
    if section not in definitions:
        definitions[section] = {}
        names = kinds_of(base)
        own = {"type": "string", "pattern": ":", "description": "a class of your own: package.module:Class"}
        choices: list[Schema] = []
        for name in names:
            body = _options(resolve(base, name), definitions)
            body["properties"] = {"kind": {"const": name}, **body["properties"]}
            if section == "recommenders":
                body["properties"]["name"] = {"type": "string", "description": "the name in tables and folders"}
            definitions[f"{section}.{name}"] = _closed({**body, "required": ["kind", *body["required"]]})
            choices.append({"$ref": f"#/$defs/{section}.{name}"})
        other = {"type": "object", "properties": {"kind": own}, "required": ["kind"]}
        definitions[section] = {"anyOf": [{"enum": names}, own, *choices, other]}
    return {"$ref": f"#/$defs/{section}"}


def _closed(body: Schema) -> Schema:
    """Forbid other properties."""
    return {**body, "additionalProperties": False}
