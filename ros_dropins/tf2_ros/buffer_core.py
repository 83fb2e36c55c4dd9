"""The tree of frames: what was received, and the transform between any two frames of it."""

import math
import threading
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

from .exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from .rigid import IDENTITY, Rigid, normalized
from .time_cache import StaticCache, Stored, TimeCache

DEFAULT_CACHE_TIME = Duration(seconds=10)


class BufferCore:
    """Stored transforms by child frame. Safe to fill from one thread and to ask from another."""

    def __init__(self, cache_time: Duration = DEFAULT_CACHE_TIME) -> None:
        self._cache_ns = cache_time.nanoseconds
        self._caches: dict[str, StaticCache | TimeCache] = {}
        self._frames: set[str] = set()
        self._lock = threading.RLock()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Store a transform that holds at its stamp. Nonsense is logged and dropped, as the real
        buffer does."""
        self._store(transform, authority, TimeCache, self._cache_ns)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Store a transform that holds for good."""
        self._store(transform, authority, StaticCache)

    def _store(
        self, message: TransformStamped, authority: str, kind: type, *arguments: int
    ) -> None:
        parent, child = (
            message.header.frame_id.removeprefix("/"),
            message.child_frame_id.removeprefix("/"),
        )
        parent_from_child = from_message(message)
        problem = problem_with(parent, child, parent_from_child)
        if problem:
            get_logger("tf2_buffer").error(
                f"{problem}: ignoring the transform of child_frame_id '{child}' from '{authority}'"
            )
            return
        with self._lock:
            self._frames |= {parent, child}
            if not isinstance(self._caches.get(child), kind):
                self._caches[child] = kind(*arguments)
            stored = self._caches[child].insert(
                Stored(stamp_ns_of(message.header.stamp), parent, parent_from_child)
            )
        if not stored:
            get_logger("tf2_buffer").warning(
                f"TF_OLD_DATA ignoring data from the past for frame {child} from '{authority}'"
            )

    def clear(self) -> None:
        """Forget all but the static transforms."""
        with self._lock:
            for cache in self._caches.values():
                cache.clear()

    def lookup_transform_core(
        self, target_frame: str, source_frame: str, time: Time
    ) -> TransformStamped:
        """target_from_source at a time; time 0 is the latest at which the whole path is known.
        Raises children of TransformException."""
        with self._lock:
            stamp_ns = stamp_ns_of(time)
            if target_frame == source_frame:
                return to_message(
                    target_frame, source_frame, stamp_ns or self._latest_ns(target_frame), IDENTITY
                )
            self._check_frame(target_frame, "target_frame")
            self._check_frame(source_frame, "source_frame")
            if stamp_ns == 0:
                stamp_ns = self._latest_common_ns(target_frame, source_frame)
            return to_message(
                target_frame,
                source_frame,
                stamp_ns,
                self._target_from_source(target_frame, source_frame, stamp_ns),
            )

    def can_transform_core(
        self, target_frame: str, source_frame: str, time: Time
    ) -> tuple[bool, str]:
        """Whether the look-up would succeed, and the reason when not."""
        try:
            self.lookup_transform_core(target_frame, source_frame, time)
        except TransformException as error:
            return False, str(error)
        return True, ""

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """The latest time at which the path between two frames is known; 0 where all of it is
        static."""
        with self._lock:
            self._check_frame(target_frame, "target_frame")
            self._check_frame(source_frame, "source_frame")
            return Time(nanoseconds=self._latest_common_ns(target_frame, source_frame))

    def _check_frame(self, frame: str, argument: str) -> None:
        asked = f'"{frame}" passed to lookupTransform argument {argument}'
        if not frame:
            raise InvalidArgumentException(
                f"Invalid argument {asked} - in tf2 frame_ids cannot be empty"
            )
        if frame.startswith("/"):
            raise InvalidArgumentException(
                f"Invalid argument {asked} - in tf2 frame_ids cannot start with a '/'"
            )
        if frame not in self._frames:
            raise LookupException(f"{asked} does not exist. ")

    def _latest_ns(self, frame: str) -> int:
        cache = self._caches.get(frame)
        latest = cache.latest() if cache else None
        return latest.stamp_ns if latest else 0

    def _latest_common_ns(self, target: str, source: str) -> int:
        """The earliest of the latest stamps along the path, static ones aside."""
        from_source = self._latest_path(source, target)
        from_target = {target: 0} if target in from_source else self._latest_path(target, source)
        shared = next((frame for frame in from_source if frame in from_target), None)
        if shared is None:
            raise not_connected(target, source)
        path = [
            path[frame]
            for path in (from_source, from_target)
            for frame in list(path)[: list(path).index(shared)]
        ]
        return min((stamp_ns for stamp_ns in path if stamp_ns), default=0)

    def _latest_path(self, frame: str, goal: str) -> dict[str, int]:
        """Latest stamp by frame, from a frame up to the goal or the last ancestor whose place is
        known."""
        path: dict[str, int] = {}
        while frame not in path:
            cache = self._caches.get(frame) if frame != goal else None
            latest = cache.latest() if cache else None
            if latest is None:
                return {**path, frame: 0}
            path[frame] = latest.stamp_ns
            frame = latest.parent
        raise loop(frame)

    def _target_from_source(self, target: str, source: str, stamp_ns: int) -> Rigid:
        from_source, source_error = self._path(source, stamp_ns, target)
        if target in from_source:
            return from_source[target]
        from_target, target_error = self._path(target, stamp_ns, source)
        shared = next((frame for frame in from_source if frame in from_target), None)
        if shared is not None:
            return from_target[shared].inverse() @ from_source[shared]
        error = target_error or source_error
        if error is None:
            raise not_connected(target, source)
        raise ExtrapolationException(
            f"{error}, when looking up transform from frame [{source}] to frame [{target}]"
        )

    def _path(
        self, frame: str, stamp_ns: int, goal: str
    ) -> tuple[dict[str, Rigid], ExtrapolationException | None]:
        """ancestor_from_frame by ancestor, up to the goal, the root, or the first whose place is
        not known at that time (and why not)."""
        ancestor_from_frame, start = IDENTITY, frame
        path = {frame: IDENTITY}
        while frame != goal and frame in self._caches:
            try:
                stored = self._caches[frame].at(stamp_ns)
            except ExtrapolationException as error:
                return path, error
            ancestor_from_frame = stored.parent_from_child @ ancestor_from_frame
            frame = stored.parent
            if frame in path:
                raise loop(start)
            path[frame] = ancestor_from_frame
        return path, None


def problem_with(parent: str, child: str, transform: Rigid) -> str:
    """Why a transform cannot be stored, or ""."""
    if not child or not parent:
        return "TF_NO_FRAME_ID"
    if parent == child:
        return "TF_SELF_TRANSFORM"
    if any(math.isnan(value) for value in (*transform.translation, *transform.rotation)):
        return "TF_NAN_INPUT"
    return ""


def not_connected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' because they are not part of the same tree."
        "Tf has two or more unconnected trees."
    )


def loop(frame: str) -> LookupException:
    return LookupException(
        f"The tf tree is invalid because it contains a loop, seen from '{frame}'."
    )


def stamp_ns_of(time: Any) -> int:
    """Nanoseconds of an rclpy Time or of a builtin_interfaces message. Raises TypeError for
    anything else."""
    if hasattr(time, "nanoseconds"):
        return int(time.nanoseconds)
    if hasattr(time, "sec") and hasattr(time, "nanosec"):
        return int(time.sec) * 10**9 + int(time.nanosec)
    raise TypeError("time must have sec and nanosec, or nanoseconds.")


def from_message(message: TransformStamped) -> Rigid:
    translation, rotation = message.transform.translation, message.transform.rotation
    return Rigid(
        (translation.x, translation.y, translation.z),
        normalized((rotation.x, rotation.y, rotation.z, rotation.w)),
    )


def to_message(
    target: str, source: str, stamp_ns: int, target_from_source: Rigid
) -> TransformStamped:
    message = TransformStamped(child_frame_id=source)
    message.header.frame_id = target
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = target_from_source.translation
    rotation.x, rotation.y, rotation.z, rotation.w = target_from_source.rotation
    return message
