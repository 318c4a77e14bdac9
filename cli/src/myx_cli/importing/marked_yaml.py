"""YAML with the line of every mapping."""

from typing import Any

from myx_cli.errors import UsageError
from myx_cli.text import clean
from myx_cli.yaml_files import problem

_MAX_MAPPINGS = 200_000


class Marked(dict[str, Any]):
    """A mapping that knows the line it began in, and those of its names."""

    line = 0

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def load_marked(content: bytes, where: str) -> Any:
    """The document in `content`, its mappings Marked. UsageError for no YAML and for names that come twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        mappings = 0

    def mapping_of(loader: Loader, node: Any) -> Marked:
        loader.mappings += 1
        if loader.mappings > _MAX_MAPPINGS:
            raise UsageError(f"{where} is too large")
        loader.flatten_mapping(node)
        mapping = Marked()
        mapping.line = node.start_mark.line + 1
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node, deep=True))
            if key in mapping:
                raise UsageError(f"{where}:{key_node.start_mark.line + 1}: {clean(key)} comes twice")
            mapping.lines[key] = key_node.start_mark.line + 1
            mapping[key] = loader.construct_object(value_node, deep=True)
        return mapping

    Loader.add_constructor("tag:yaml.org,2002:map", mapping_of)
    # A vault or another tag: seen as a template, which is refused where it is needed.
    Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: "{{ }}")
    try:
        return yaml.load(content, Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{where} is not YAML: {problem(error)}") from None
