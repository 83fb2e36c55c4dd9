"""Tree of frames: received transforms, and the transform between any two frames."""

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
from .rigid import IDENTITY, RigidTransform, normalized
from .time_cache import StaticCache, StoredTransform, TimeCache

DEFAULT_CACHE_TIME = Duration(seconds=10)


class BufferCore:
    """Stored transforms by child frame, safe to write in one thread and read in another."""

    def __init__(self, cache_time: Duration = DEFAULT_CACHE_TIME) -> None:
        self._cache_ns = cache_time.nanoseconds
        self._caches: dict[str, StaticCache | TimeCache] = {}
        self._frames: set[str] = set()
        self._lock = threading.RLock()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Store a transform that holds at its stamp.

        Invalid transforms are logged and dropped, as in the original.
        """
        self._store(transform, authority, TimeCache, self._cache_ns)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Store a transform that holds at all times."""
        self._store(transform, authority, StaticCache)

    def _store(
        self, message: TransformStamped, authority: str, cache_type: type, *arguments: int
    ) -> None:
        """Store a transform in its child's cache, made anew where it is of another type."""
        # Check the transform.
        parent = message.header.frame_id.removeprefix("/")
        child = message.child_frame_id.removeprefix("/")
        parent_from_child = from_message(message)
        reason = rejection_reason(parent, child, parent_from_child)
        if reason:
            get_logger("tf2_buffer").error(
                f"{reason}: ignoring the transform of child_frame_id '{child}' from '{authority}'"
            )
            return
        # Store it.
        with self._lock:
            self._frames |= {parent, child}
            if not isinstance(self._caches.get(child), cache_type):
                self._caches[child] = cache_type(*arguments)
            stored = self._caches[child].insert(
                StoredTransform(stamp_ns_of(message.header.stamp), parent, parent_from_child)
            )
        if not stored:
            get_logger("tf2_buffer").warning(
                f"TF_OLD_DATA ignoring data from the past for frame {child} from '{authority}'"
            )

    def clear(self) -> None:
        """Remove all but the static transforms."""
        with self._lock:
            for cache in self._caches.values():
                cache.clear()

    def lookup_transform_core(
        self, target_frame: str, source_frame: str, time: Time
    ) -> TransformStamped:
        """Transform target_from_source at a time; time 0 is the latest common to the whole path.

        Raises subclasses of TransformException.
        """
        with self._lock:
            # The transform of a frame to itself needs no other frame.
            stamp_ns = stamp_ns_of(time)
            if target_frame == source_frame:
                stamp_ns = stamp_ns or self._latest_ns(target_frame)
                return to_message(target_frame, source_frame, stamp_ns, IDENTITY)
            # Look it up along the tree.
            self._check_frame(target_frame, "target_frame")
            self._check_frame(source_frame, "source_frame")
            if stamp_ns == 0:
                stamp_ns = self._latest_common_ns(target_frame, source_frame)
            target_from_source = self._target_from_source(target_frame, source_frame, stamp_ns)
            return to_message(target_frame, source_frame, stamp_ns, target_from_source)

    def can_transform_core(
        self, target_frame: str, source_frame: str, time: Time
    ) -> tuple[bool, str]:
        """Whether the look-up succeeds, and the reason where it does not."""
        try:
            self.lookup_transform_core(target_frame, source_frame, time)
        except TransformException as error:
            return False, str(error)
        return True, ""

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """Latest time common to the whole path between two frames; 0 where all of it is static."""
        with self._lock:
            self._check_frame(target_frame, "target_frame")
            self._check_frame(source_frame, "source_frame")
            return Time(nanoseconds=self._latest_common_ns(target_frame, source_frame))

    def _check_frame(self, frame: str, argument: str) -> None:
        """Raise a TransformException where a frame name is invalid or unknown."""
        passed = f'"{frame}" passed to lookupTransform argument {argument}'
        if not frame:
            raise InvalidArgumentException(
                f"Invalid argument {passed} - in tf2 frame_ids cannot be empty"
            )
        if frame.startswith("/"):
            raise InvalidArgumentException(
                f"Invalid argument {passed} - in tf2 frame_ids cannot start with a '/'"
            )
        if frame not in self._frames:
            raise LookupException(f"{passed} does not exist. ")

    def _latest_ns(self, frame: str) -> int:
        """Stamp of a frame's newest transform; 0 where it has none."""
        cache = self._caches.get(frame)
        latest = cache.latest() if cache else None
        return latest.stamp_ns if latest else 0

    def _latest_common_ns(self, target: str, source: str) -> int:
        """Earliest of the latest stamps along the path, without static transforms."""
        from_source = self._latest_stamps(source, target)
        from_target = {target: 0} if target in from_source else self._latest_stamps(target, source)
        common = next((frame for frame in from_source if frame in from_target), None)
        if common is None:
            raise not_connected_error(target, source)
        stamps_ns = [
            latest_ns[frame]
            for latest_ns in (from_source, from_target)
            for frame in list(latest_ns)[: list(latest_ns).index(common)]
        ]
        return min((stamp_ns for stamp_ns in stamps_ns if stamp_ns), default=0)

    def _latest_stamps(self, frame: str, goal: str) -> dict[str, int]:
        """Latest stamp by frame, from a frame up to the goal or the last known ancestor."""
        latest_ns: dict[str, int] = {}
        while frame not in latest_ns:
            cache = self._caches.get(frame) if frame != goal else None
            latest = cache.latest() if cache else None
            if latest is None:
                return {**latest_ns, frame: 0}
            latest_ns[frame] = latest.stamp_ns
            frame = latest.parent
        raise loop_error(frame)

    def _target_from_source(self, target: str, source: str, stamp_ns: int) -> RigidTransform:
        """Transform between two frames at a time, over their common ancestor."""
        from_source, source_error = self._ancestors(source, stamp_ns, target)
        if target in from_source:
            return from_source[target]
        from_target, target_error = self._ancestors(target, stamp_ns, source)
        common = next((frame for frame in from_source if frame in from_target), None)
        if common is not None:
            return from_target[common].inverse() @ from_source[common]
        error = target_error or source_error
        if error is None:
            raise not_connected_error(target, source)
        raise ExtrapolationException(
            f"{error}, when looking up transform from frame [{source}] to frame [{target}]"
        )

    def _ancestors(
        self, frame: str, stamp_ns: int, goal: str
    ) -> tuple[dict[str, RigidTransform], ExtrapolationException | None]:
        """Transforms ancestor_from_frame by ancestor, up to the goal or the root.

        They end earlier, with the reason, at the first frame without a transform at that time.
        """
        # Climb from child to parent.
        start = frame
        ancestor_from_frame = IDENTITY
        ancestors = {frame: IDENTITY}
        while frame != goal and frame in self._caches:
            try:
                stored = self._caches[frame].at(stamp_ns)
            except ExtrapolationException as error:
                return ancestors, error
            ancestor_from_frame = stored.parent_from_child @ ancestor_from_frame
            frame = stored.parent
            if frame in ancestors:
                raise loop_error(start)
            ancestors[frame] = ancestor_from_frame
        return ancestors, None


def rejection_reason(parent: str, child: str, transform: RigidTransform) -> str:
    """Reason for which a transform cannot be stored; empty where it can."""
    if not child or not parent:
        return "TF_NO_FRAME_ID"
    if parent == child:
        return "TF_SELF_TRANSFORM"
    if any(math.isnan(value) for value in (*transform.translation, *transform.rotation)):
        return "TF_NAN_INPUT"
    return ""


def not_connected_error(target: str, source: str) -> ConnectivityException:
    """Exception for frames of different trees."""
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' because they are not part "
        "of the same tree.Tf has two or more unconnected trees."
    )


def loop_error(frame: str) -> LookupException:
    """Exception for a frame that is its own ancestor."""
    return LookupException(
        f"The tf tree is invalid because it contains a loop, seen from '{frame}'."
    )


def stamp_ns_of(time: Any) -> int:
    """Nanoseconds of an rclpy Time or of a builtin_interfaces message.

    Raises TypeError for anything else.
    """
    if hasattr(time, "nanoseconds"):
        return int(time.nanoseconds)
    if hasattr(time, "sec") and hasattr(time, "nanosec"):
        return int(time.sec) * 10**9 + int(time.nanosec)
    raise TypeError("time must have sec and nanosec, or nanoseconds.")


def from_message(message: TransformStamped) -> RigidTransform:
    """Transform of a message, with a normalised rotation."""
    translation = message.transform.translation
    rotation = message.transform.rotation
    return RigidTransform(
        (translation.x, translation.y, translation.z),
        normalized((rotation.x, rotation.y, rotation.z, rotation.w)),
    )


def to_message(
    target: str, source: str, stamp_ns: int, target_from_source: RigidTransform
) -> TransformStamped:
    """Message of a transform."""
    message = TransformStamped(child_frame_id=source)
    message.header.frame_id = target
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    translation = message.transform.translation
    rotation = message.transform.rotation
    translation.x, translation.y, translation.z = target_from_source.translation
    rotation.x, rotation.y, rotation.z, rotation.w = target_from_source.rotation
    return message
