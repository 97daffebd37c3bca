"""The tree of an expression, as `formula` parses it and `value` evaluates it."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


class Node(NamedTuple):
    """One part of an expression.

    Args:
        op: number, symbol, `+ * /`, power, root, binomial, factorial, abs, or a function's name.
        args: its operands.
        value: the value of a number, or the index of a root.
        name: the name of a symbol.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""


def number(value: Fraction | int) -> Node:
    """Return the node of an exact number."""
    return Node("number", value=Fraction(value))


def symbols(node: Node) -> set[str]:
    """Return the names of the symbols in a tree."""
    found = {node.name} if node.op == "symbol" else set()
    return found.union(*(symbols(arg) for arg in node.args))


def with_symbol(node: Node, name: str, value: Node) -> Node:
    """Return a tree with a symbol replaced."""
    if node.op == "symbol" and node.name == name:
        return value
    return node._replace(args=tuple(with_symbol(arg, name, value) for arg in node.args))
