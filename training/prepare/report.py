"""Last lines of a preparation: what there is to learn from, and what was left out and why."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.prepare.scene import SNIPPET_LENGTHS, PreparedScene

EXIT_NO_SNIPPETS = 3
"""Exit code of a preparation that leaves nothing to learn from."""


def report(out: Path, scenes: Sequence[PreparedScene], width: int, height: int) -> int:
    """Prints scenes, frames and snippets, and why frames are in none; returns the exit code."""
    frames = sum(scene.frames for scene in scenes)
    snippets = {
        length: sum(scene.snippets[length] for scene in scenes) for length in SNIPPET_LENGTHS
    }
    # Say what there is, then why the rest is not.
    static = sum(scene.static for scene in scenes)
    of_them = f", {static} of them static and left out of snippets" if static else ""
    counts = ", ".join(f"{count} snippets of {length} frames" for length, count in snippets.items())
    reasons = _reasons(scenes)
    suffix = f"; lost: {', '.join(reasons)}" if reasons else ""
    print(
        f"{out}: {len(scenes)} scenes, {frames} frames of {width}x{height}{of_them}; "
        f"{counts}{suffix}"
    )
    # Nothing to learn from is an error.
    shortest = min(SNIPPET_LENGTHS)
    if snippets[shortest] == 0:
        why = _why_none(scenes, shortest)
        print(f"error: {out}: nothing to learn from, {why}", file=sys.stderr)
        return EXIT_NO_SNIPPETS
    for length in SNIPPET_LENGTHS:
        if snippets[length] == 0:
            print(f"{out}: no snippet of {length}: only training with fewer frames is possible")
    return 0


def _reasons(scenes: Sequence[PreparedScene]) -> list[str]:
    """Returns why frames were lost, or snippets by gaps between frames, each with its count."""
    lost = sum((scene.lost for scene in scenes), Counter[str]())
    reasons = [
        f"{count} frame{'s' * (count > 1)} {reason}" for reason, count in sorted(lost.items())
    ]
    gaps = sum(scene.gaps for scene in scenes)
    if gaps:
        reasons.append(f"snippets over {gaps} gap{'s' * (gaps > 1)} between frames")
    return reasons


def _why_none(scenes: Sequence[PreparedScene], length: int) -> str:
    """Returns why there is no snippet of `length` frames, in words."""
    longest = max(scene.frames for scene in scenes)
    if longest < length:
        return f"the longest scene has {longest} frames, expected {length} or more in a row"
    if sum(scene.static for scene in scenes):
        return f"no {length} frames in a row in which the camera moves"
    return f"there is a gap after every frame or two, expected {length} or more in a row"
