"""Pieces of a page in Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from hack.generate.definitions import ANY_FIELDS, Schema, short_name


def page(title: str, source: str, *parts: str) -> str:
    """A page that says from what it was written."""
    notice = f"<!-- Written by `make generate` from {source}. Do not edit. -->"
    return "\n\n".join([f"# {title}", notice, *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells may hold any one line of text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def types(definitions: Mapping[str, Schema], *, level: int) -> Iterable[str]:
    """For each type a heading, what it is, and a table of its fields."""
    for name, schema in definitions.items():
        yield f"{'#' * level} {short_name(name)}"
        yield schema["description"]
        required = schema.get("required", ())
        yield table(
            ("field", "type", "meaning"),
            (
                (f"`{field}`" + (" *" if field in required else ""), type_of(of), of.get("description", ""))
                for field, of in schema["properties"].items()
            ),
        )


def type_of(schema: Schema) -> str:
    """A type in a word or two, with a link to what has a table of its own."""
    if reference := schema.get("$ref"):
        name = short_name(reference)
        return f"[{name}](#{name.lower()})"
    match schema.get("type"), schema.get("format"):
        case "array", _:
            return f"list of {type_of(schema['items'])}"
        case "object", _ if ANY_FIELDS in schema:
            return "any object"
        case "object", _:
            return f"map of string to {type_of(schema['additionalProperties'])}"
        case "string", str(form):
            return {"date-time": "time", "int-or-string": "integer or string"}.get(form, form)
        case "integer", "int32":
            return "integer (32 bits)"
        case str(word), _:
            return word
    return "anything"
