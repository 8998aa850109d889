"""Which names a misspelt one may mean: Jaro's similarity, as clap's suggestions use it."""

from __future__ import annotations

from collections.abc import Iterable

_LIKE = 0.7


def similar(text: str, names: Iterable[str]) -> list[str]:
    """Those of the names that are like the text, the most like last."""
    scored = [(jaro(text, name), name) for name in names]
    return [name for score, name in sorted(scored, key=lambda pair: pair[0]) if score > _LIKE]


def jaro(one: str, other: str) -> float:
    """Jaro's similarity of two texts, from 0 to 1."""
    if not one or not other:
        return float(one == other)
    reach = max(max(len(one), len(other)) // 2 - 1, 0)
    taken = [False] * len(other)
    matched = []
    for index, character in enumerate(one):
        for place in range(max(0, index - reach), min(len(other), index + reach + 1)):
            if not taken[place] and other[place] == character:
                taken[place] = True
                matched.append(character)
                break
    if not matched:
        return 0.0
    there = [character for character, is_taken in zip(other, taken, strict=True) if is_taken]
    transposed = sum(a != b for a, b in zip(matched, there, strict=True)) // 2
    count = len(matched)
    return (count / len(one) + count / len(other) + (count - transposed) / count) / 3
