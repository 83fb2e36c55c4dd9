"""Pairs of views: targets, and the sources from which they are synthesised."""

from dataclasses import dataclass
from typing import Literal

PairKind = Literal["star", "adjacent"]


@dataclass(frozen=True)
class ViewPairs:
    """P pairs of frames: pair k synthesises view targets[k] from view sources[k]."""

    targets: tuple[int, ...]
    """Index of the target frame of each pair."""
    sources: tuple[int, ...]
    """Index of the source frame of each pair."""

    def by_target(self) -> list[list[int]]:
        """Returns the indices of the pairs of each target, in order of the targets."""
        return [
            [index for index, other in enumerate(self.targets) if other == target]
            for target in sorted(set(self.targets))
        ]


def view_pairs(frames: int, kind: PairKind) -> ViewPairs:
    """Returns the pairs of a snippet with this number of frames.

    star: the middle frame from each other one, in order of time (Zhou et al. 2017). adjacent:
    neighbours, both ways (Mahjourian et al. 2018).
    """
    if kind == "star":
        sources = tuple(index for index in range(frames) if index != frames // 2)
        return ViewPairs((frames // 2,) * len(sources), sources)
    earlier = tuple(range(frames - 1))
    later = tuple(range(1, frames))
    return ViewPairs(earlier + later, later + earlier)
