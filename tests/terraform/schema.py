"""The schema of the AWS provider, out of the bindings that HashiCorp generates from it (npm, @cdktf/provider-aws).

In: the unpacked package. Out: for each kind of resource and data source its arguments (with type, and whether one must be given),
its blocks, and the attributes that the provider computes. A kind that the package does not have is an error.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

ARGUMENT = re.compile(r"#(?P<name>\w+) \w+#\w+\}\s*(?:\*[^/]*)*\*/\s*readonly (?P<camel>\w+)(?P<optional>\?)?: (?P<type>[^;]+);")
ATTRIBUTE = re.compile(
    r"^            (?P<name>\w+): \{\n.*?isBlock: (?P<block>true|false),\n\s*type: \"(?P<type>\w+)\",\n\s*storageClassType: \"(?P<storage>\w+)\"",
    re.S | re.M,
)
COMPUTED = re.compile(r"return this\.get(?P<type>\w+)Attribute\('(?P<name>\w+)'\)")
FLAGS = re.compile(r"// (?P<name>\w+) - computed: (?P<computed>true|false), optional: \w+, required: \w+")
SIMPLE = {"string": "string", "boolean": "bool", "number": "number"}


@dataclass
class Argument:
    """What may, or must, be given; `is_computed` where the provider chooses otherwise."""

    type: str
    is_required: bool
    is_computed: bool


@dataclass
class Block:
    """Arguments and blocks; `nesting` is None for the resource itself."""

    nesting: str | None = None
    arguments: dict[str, "Argument"] = field(default_factory=dict)
    blocks: dict[str, "Block"] = field(default_factory=dict)
    computed: dict[str, str] = field(default_factory=dict)


class Bindings:
    """The unpacked package."""

    def __init__(self, package: Path):
        self.library = package / "lib"
        self.folders = {folder.name.replace("-", ""): folder for folder in self.library.iterdir() if folder.is_dir()}

    def block(self, kind: str, is_data: bool) -> Block:
        """The schema of `aws_instance`, or of the data source `aws_ami`; of the provider for `provider`."""
        name = kind.removeprefix("aws_").replace("_", "")
        folder = self.folders.get(f"dataaws{name}" if is_data else name)
        if folder is None:
            raise SystemExit(f"schema: the AWS provider has no {'data source' if is_data else 'resource'} {kind}")
        code = (folder / "index.js").read_text()
        types = (folder / "index.d.ts").read_text()
        config = re.search(r"export interface (\w+Config) ", types)
        block = self._arguments(code, types, config.group(1), code[code.rindex("synthesizeHclAttributes()") :])
        main = code[code.rindex("extends cdktf.Terraform") :]
        for found in COMPUTED.finditer(main):
            if found["name"] not in block.arguments:
                block.computed[found["name"]] = _computed_type(found["type"])
        return block

    def _arguments(self, code: str, types: str, interface: str, synthesis: str) -> Block:
        start = types.index(f"export interface {interface} ")
        body = types[start : types.index("\n}", start)]
        known = {found["name"]: found for found in ARGUMENT.finditer(body)}
        chosen = {found["name"] for found in FLAGS.finditer(code) if found["computed"] == "true"}
        block = Block()
        end = synthesis.index("};\n        // remove") if "};\n        // remove" in synthesis else synthesis.index("\n    };")
        for found in ATTRIBUTE.finditer(_normal(synthesis[:end])):
            name = found["name"]
            if name not in known:
                continue
            required = known[name]["optional"] is None
            if found["block"] == "false":
                block.arguments[name] = Argument(_type(found["type"], found["storage"]), required, name in chosen)
            elif f"export interface {_base(found['storage'])} " in types:
                block.blocks[name] = self._nested(code, types, found["type"], _base(found["storage"]))
            else:
                raise SystemExit(f"schema: {interface}.{name} is not understood")
        return block

    def _nested(self, code: str, types: str, nesting: str, interface: str) -> Block:
        function = f"function {interface[0].lower()}{interface[1:]}ToHclTerraform("
        start = code.index(function)
        block = self._arguments(code, types, interface, code[start : code.index("\n}", start)])
        block.nesting = {"struct": "single", "list": "list", "set": "set"}[nesting]
        return block


def _base(storage: str) -> str:
    return storage.removesuffix("List")


def _normal(synthesis: str) -> str:
    """Arguments stand at one depth in resources and at another in blocks."""
    depth = re.search(r"const attrs = \{\n( +)\w", synthesis)
    if depth is None:
        return ""
    return re.sub(rf"^{depth.group(1)}(?=\w)", " " * 12, synthesis, flags=re.M)


def _type(kind: str, storage: str) -> str:
    if kind == "simple":
        return SIMPLE[storage]
    element = {"string": "string", "number": "number", "boolean": "bool"}
    base = next((element[name] for name in element if storage.startswith(name)), "string")
    return f"{kind}({base})"


def _computed_type(getter: str) -> str:
    return {"String": "string", "Boolean": "bool", "Number": "number", "List": "list(string)", "StringMap": "map(string)",
            "NumberList": "list(number)", "NumberMap": "map(number)", "BooleanMap": "map(bool)"}.get(getter, "string")
