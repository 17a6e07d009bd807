"""Networks that are the same whatever their sites are called and in whatever order they are listed."""

from __future__ import annotations

from supernet import NetSpec, Node
from supernet.blocks import Conv, Head, Identity, Zero
from supernet.isomorphism import network_key

CONV = Conv(4, 3)


def key(*nodes: Node) -> object:
    return network_key(NetSpec((*nodes, Node("head", Head(2), (nodes[-1].site,)))))


def test_names_and_order_do_not_matter():
    a, b = Node("a", Conv(4, 1), ("input",)), Node("b", Conv(4, 3), ("input",))
    assert key(a, b, Node("c", CONV, ("a", "b"))) == key(b, a, Node("c", CONV, ("b", "a")))
    renamed = Node("z", Conv(4, 1), ("input",)), Node("y", Conv(4, 3), ("input",)), Node("x", CONV, ("y", "z"))
    assert key(*renamed) == key(a, b, Node("c", CONV, ("a", "b")))
    assert key(a, b, Node("c", CONV, ("a", "b"), "concat")) != key(a, b, Node("c", CONV, ("b", "a"), "concat"))
    assert key(a, b, Node("c", CONV, ("a", "b"), "concat")) != key(a, b, Node("c", CONV, ("a", "b")))


def test_what_nothing_reads_does_not_matter():
    a, b = Node("a", Conv(4, 1), ("input",)), Node("b", Conv(4, 3), ("input",))
    assert key(b, a) == key(a)


def test_own_weights_are_not_one_weight():
    """The sum of two convolutions of the image is not twice one convolution."""
    a, b = Node("a", CONV, ("input",)), Node("b", CONV, ("input",))
    assert key(a, b, Node("c", Conv(4), ("a", "b"))) != key(a, Node("c", Conv(4), ("a", "a")))
    assert key(a, Node("c", Conv(4), ("a", "a"))) != key(a, Node("c", Conv(4), ("a",)))


def test_zeros_are_not_added():
    a, zero = Node("a", CONV, ("input",)), Node("zero", Zero(), ("input",))
    assert key(a, zero, Node("c", Identity(), ("a", "zero"))) == key(a)
    assert key(zero, a, Node("c", Conv(4), ("zero", "a"))) == key(a, Node("c", Conv(4), ("a",)))
    # Concatenated, they keep their channels.
    assert key(a, zero, Node("c", Conv(4), ("a", "zero"), "concat")) != key(a, Node("c", Conv(4), ("a",)))


def test_mirrored_branches_are_the_same_whichever_comes_first():
    """Colours alone cannot order these four; naming the first of a tie must not matter."""

    def mirrored(order: tuple[int, ...]) -> object:
        nodes = [Node(f"a{i}", CONV, ("input",)) for i in order]
        nodes += [Node(f"b{i}", CONV, (f"a{i}", f"a{(i + 1) % 4}")) for i in reversed(order)]
        return key(*nodes, Node("c", Conv(4), tuple(f"b{i}" for i in order), "sum"))

    assert len({mirrored(order) for order in ((0, 1, 2, 3), (2, 0, 3, 1), (3, 2, 1, 0))}) == 1


# ---- architectures as people write them
