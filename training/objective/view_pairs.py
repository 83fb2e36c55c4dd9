"""Which views of a snippet are re-synthesised from which."""

from dataclasses import dataclass
from typing import Literal

PairKind = Literal["star", "adjacent"]


@dataclass(frozen=True)
class ViewPairs:
    """P pairs of frames: pair k re-synthesises view targets[k] from view sources[k]."""

    targets: tuple[int, ...]
    sources: tuple[int, ...]

    def by_target(self) -> list[list[int]]:
        """Indices of the pairs of each re-synthesised view."""
        return [
            [index for index, other in enumerate(self.targets) if other == target]
            for target in sorted(set(self.targets))
        ]


def view_pairs(frames: int, kind: PairKind) -> ViewPairs:
    """star: the middle frame from each other one, in order of time (Zhou et al.); adjacent:
    neighbours, both ways (Mahjourian et al.)."""
    if kind == "star":
        sources = tuple(index for index in range(frames) if index != frames // 2)
        return ViewPairs((frames // 2,) * len(sources), sources)
    earlier, later = tuple(range(frames - 1)), tuple(range(1, frames))
    return ViewPairs(earlier + later, later + earlier)
