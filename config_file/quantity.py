"""Numbers of things for people: "no images", "1 image", "1,150 images"."""


def quantity(number: float, noun: str, plural: str | None = None) -> str:
    """A number with its noun, in the singular where it is one; `plural`: where it is not the noun with an s."""
    many = plural or f"{noun}s"
    return f"no {many}" if number == 0 else f"{number:,} {noun if number == 1 else many}"


def millions(number: float) -> str:
    """A large number in three digits or more, as "12.3 M" or, where millions would be next to nothing, "34,567"."""
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number:,.0f}"
