#!/usr/bin/env python3
"""A provider for Terraform that has the schema of AWS's and does nothing: `terraform validate` and `terraform test` with a mocked
provider need no more of it.

In: POSTERN_AWS_BINDINGS, the unpacked npm package; POSTERN_AWS_KINDS, what the module uses (`aws_vpc data.aws_ami`). Out: the
plugin protocol, version 6. Refused: kinds that AWS's provider does not have.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from schema import Argument, Bindings, Block  # noqa: E402
from tf import runner, types  # noqa: E402
from tf.blocks import SetNestedBlock  # noqa: E402
from tf.gen import tfplugin_pb2 as pb  # noqa: E402
from tf.iface import DataSource, Resource  # noqa: E402
from tf.schema import Attribute, NestedBlock, Schema  # noqa: E402
from tf.schema import Block as TfBlock  # noqa: E402

BINDINGS = Bindings(Path(os.environ["POSTERN_AWS_BINDINGS"]))
KINDS = os.environ["POSTERN_AWS_KINDS"].split()
MODES = {"list": pb.Schema.NestedBlock.LIST, "set": pb.Schema.NestedBlock.SET, "single": pb.Schema.NestedBlock.SINGLE}


class Nested(SetNestedBlock):
    """A block of any nesting; the library knows sets alone."""

    def __init__(self, name: str, block: TfBlock, nesting: str):
        super().__init__(name, block)
        self.nesting = nesting

    def to_pb(self) -> pb.Schema.NestedBlock:
        return pb.Schema.NestedBlock(type_name=self.type_name, block=self.block.to_pb(), nesting=MODES[self.nesting])

    def decode(self, value):
        return value

    def encode(self, value):
        return value


def tf_type(text: str) -> types.TfType:
    simple = {"string": types.String, "number": types.Number, "bool": types.Bool}
    if text in simple:
        return simple[text]()
    outer, inner = text.rstrip(")").split("(")
    return {"list": types.List, "set": types.Set, "map": types.Map}[outer](simple[inner]())


def attribute(name: str, argument: Argument) -> Attribute:
    # The bindings do not tell which optional arguments the provider fills in where they are left out: any may be.
    return Attribute(
        name,
        tf_type(argument.type),
        required=argument.is_required,
        optional=not argument.is_required,
        computed=not argument.is_required,
    )


def parts(block: Block) -> tuple[list[Attribute], list[NestedBlock]]:
    attributes = [attribute(name, argument) for name, argument in block.arguments.items()]
    attributes += [Attribute(name, tf_type(kind), computed=True) for name, kind in block.computed.items()]
    nested = [Nested(name, TfBlock(*parts(inner)), inner.nesting) for name, inner in block.blocks.items()]
    return attributes, nested


def schema(kind: str, is_data: bool) -> Schema:
    attributes, nested = parts(BINDINGS.block(kind, is_data))
    return Schema(attributes=attributes, block_types=nested)


def kind_class(kind: str, is_data: bool) -> type:
    known = schema(kind, is_data)

    def never(*_):
        raise NotImplementedError("this provider makes nothing")

    members = {
        "get_name": classmethod(lambda _: kind.removeprefix("aws_")),
        "get_schema": classmethod(lambda _: known),
        "validate": lambda *_: None,
        "__init__": lambda self, *_: None,
        **{name: never for name in ("create", "read", "update", "delete")},
    }
    return type(kind, (DataSource if is_data else Resource,), members)


class Aws:
    """The provider."""

    def full_name(self):
        return "registry.terraform.io/hashicorp/aws"

    def get_model_prefix(self):
        return "aws_"

    def get_provider_schema(self, _):
        return schema("provider", False)

    def validate_config(self, *_):
        pass

    def configure_provider(self, *_):
        pass

    def get_functions(self):
        return []

    def get_data_sources(self):
        return [kind_class(kind.removeprefix("data."), True) for kind in KINDS if kind.startswith("data.")]

    def get_resources(self):
        return [kind_class(kind, False) for kind in KINDS if not kind.startswith("data.")]

    def new_resource(self, klass):
        return klass()

    def new_data_source(self, klass):
        return klass()


if __name__ == "__main__":
    runner.run_provider(Aws())
