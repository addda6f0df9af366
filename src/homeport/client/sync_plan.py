"""What a sync would do, decided from two trees and nothing else.

The one rule: `--dry-run` shows the very plan that a real run executes. Without leave to delete, no name that exists on
the target is taken away, not even to make place for another kind of thing; what nobody could read is left alone.
"""

from __future__ import annotations

import enum
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from homeport.client.errors import SafetyRefused
from homeport.client.remote import Kind
from homeport.client.tree import Node, Problem, Segments, Tree, walk_up

MAX_DELETE_FILES = 50
MAX_DELETE_SHARE = 0.10


class Reason(enum.Enum):
    """Why something is done."""

    NEW = "new"
    SIZE = "size differs"
    TIME = "time differs"
    CONTENT = "content differs"
    GONE = "not in the source"
    KIND = "a file in one place, a folder in the other"


class Act(enum.Enum):
    """What is done on the target."""

    MAKE_FOLDER = "make folder"
    TRANSFER = "transfer"
    REMOVE_FILE = "remove file"
    REMOVE_FOLDER = "remove folder"


@dataclass(frozen=True, slots=True)
class Step:
    """One act on `target`, from `source` where there is one; `size` in bytes of what is transferred.

    The two differ only where the target spells the name otherwise (composed or decomposed accents).
    """

    act: Act
    target: Segments
    reason: Reason
    source: Segments | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The phases in their order; within one, the order means nothing but for folders: parents are made first and
    removed last. `blocked` are names that take no part, and why.
    """

    clear: tuple[Step, ...] = ()
    folders: tuple[Step, ...] = ()
    transfers: tuple[Step, ...] = ()
    removals: tuple[Step, ...] = ()
    blocked: tuple[Problem, ...] = ()
    unchanged: int = 0

    @property
    def steps(self) -> tuple[Step, ...]:
        return (*self.clear, *self.folders, *self.transfers, *self.removals)

    @property
    def bytes(self) -> int:
        """What is to be transferred."""
        return sum(step.size or 0 for step in self.transfers)

    @property
    def deletes(self) -> int:
        """How many files go."""
        return sum(step.act is Act.REMOVE_FILE for step in (*self.clear, *self.removals))


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRules:
    """`delete` removes what the source has not. `max_delete` files at most; None is the larger of 50 and 10 % of the
    target's files. Times within `time_slack_s` are equal; with `keeps_times` False the target cannot be given a time,
    so a file there that is not older is the same. `fold` is how the target makes names alike (None: it does not).
    """

    delete: bool = False
    max_delete: int | None = None
    time_slack_s: float = 1.0
    keeps_times: bool = True
    fold: Callable[[str], str] | None = None


Digests = Mapping[Segments, bool]
"""Whether the content of a source file equals its counterpart's, where somebody has looked."""


def make_plan(source: Tree, target: Tree, rules: SyncRules, digests: Digests | None = None) -> Plan:
    """The plan. Raises SafetyRefused for an empty source and for more deletions than allowed."""
    if not source.nodes and (rules.delete or target.nodes):
        raise SafetyRefused("the source is empty; to be safe nothing is done. Is it the right folder?")
    planner = _Planner(source, target, rules, digests or {})
    plan = planner.plan()
    _limit_deletions(plan, target, rules)
    return plan


def counterparts(source: Tree, target: Tree, rules: SyncRules) -> Iterator[tuple[Node, Node]]:
    """The files on both sides whose sizes are equal: those that only a digest can tell apart."""
    planner = _Planner(source, target, rules, {})
    for node in source.nodes.values():
        other = planner.counterpart(node)
        if other is not None and node.kind is Kind.FILE and other.kind is Kind.FILE and node.size == other.size:
            yield node, other


def fold_case(name: str) -> str:
    """Names as a system takes them that tells neither case nor accents' spelling apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _limit_deletions(plan: Plan, target: Tree, rules: SyncRules) -> None:
    limit = rules.max_delete
    if limit is None:
        limit = max(MAX_DELETE_FILES, int(target.files * MAX_DELETE_SHARE))
    if plan.deletes > limit:
        raise SafetyRefused(
            f"{plan.deletes} of {target.files} files would be removed, more than {limit}; nothing was done. "
            f"If that is meant: --max-delete {plan.deletes}"
        )


@dataclass(slots=True)
class _Planner:
    source: Tree
    target: Tree
    rules: SyncRules
    digests: Digests
    _spelled: dict[Segments, Segments] = field(default_factory=dict)  # source path -> the target's spelling of it
    _alike: dict[tuple[Segments, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _clear: list[Step] = field(default_factory=list)
    _folders: list[Step] = field(default_factory=list)
    _transfers: list[Step] = field(default_factory=list)
    _blocked: list[Problem] = field(default_factory=list)
    _shut: set[Segments] = field(default_factory=set)  # source folders that nothing may be put into
    _cleared: set[Segments] = field(default_factory=set)
    _kept: set[Segments] = field(default_factory=set)  # target paths that are left alone with all below them
    _wanted: set[Segments] = field(default_factory=set)  # target paths that stay
    _unchanged: int = 0

    def __post_init__(self) -> None:
        for segments in self.target.nodes:
            self._alike[segments[:-1], self._key(segments[-1])].append(segments[-1])
        # Folders first, so that every name finds its folder's spelling; in order, so that twins fall out the same way.
        for segments in sorted(self.source.nodes, key=lambda path: (len(path), path)):
            self._spelled[segments] = self._spelling(segments)

    def plan(self) -> Plan:
        taken: dict[Segments, Segments] = {}
        for segments in self._spelled:
            self._decide(self.source.nodes[segments], taken)
        removals = self._removals() if self.rules.delete else []
        return Plan(
            tuple(_deepest_first(self._clear)),
            tuple(self._folders),
            tuple(self._transfers),
            tuple(removals),
            (*self.source.problems, *self.target.problems, *self._blocked),
            self._unchanged,
        )

    def counterpart(self, node: Node) -> Node | None:
        """What the target has under the node's name."""
        return self.target.nodes.get(self._spelled[node.segments])

    # --- spelling ---

    def _key(self, name: str) -> str:
        return self.rules.fold(name) if self.rules.fold else unicodedata.normalize("NFC", name)

    def _spelling(self, segments: Segments) -> Segments:
        """Exactly so if the target has it; else as the target spells it; else as it is."""
        folder = self._spelled.get(segments[:-1], segments[:-1])
        exact = (*folder, segments[-1])
        if exact in self.target.nodes:
            return exact
        for other in self._alike.get((folder, self._key(segments[-1])), ()):
            if self.rules.fold is not None or (*segments[:-1], other) not in self.source.nodes:
                return (*folder, other)
        return exact

    # --- one name of the source ---

    def _decide(self, node: Node, taken: dict[Segments, Segments]) -> None:
        place = self._spelled[node.segments]
        self._wanted.add(place)
        if node.segments[:-1] in self._shut:
            self._shut.add(node.segments)
            return
        if node.kind not in (Kind.FILE, Kind.DIRECTORY):
            return  # the scan has said why
        key = (*place[:-1], self._key(place[-1]))
        twin = taken.setdefault(key, node.segments) if self.rules.fold else node.segments
        if twin != node.segments:
            self._block(node, f"differs from {twin[-1]!r} in spelling alone, and the target cannot hold both")
            return
        if place[:-1] in self.target.unread or any(folder in self.target.unread for folder in walk_up(place)):
            self._block(node, "the target's folder cannot be read")
            return
        (self._decide_folder if node.is_folder else self._decide_file)(node, place)

    def _decide_folder(self, node: Node, place: Segments) -> None:
        there = self._there(place)
        if there is not None and not there.is_folder and not self._make_way(node, there):
            return
        if there is None or not there.is_folder:
            self._folders.append(
                Step(Act.MAKE_FOLDER, place, Reason.NEW if there is None else Reason.KIND, node.segments)
            )

    def _decide_file(self, node: Node, place: Segments) -> None:
        there = self._there(place)
        if there is None:
            self._transfer(node, place, Reason.NEW)
        elif there.kind is not Kind.FILE:
            if self._make_way(node, there):
                self._transfer(node, place, Reason.KIND)
        elif (reason := self._difference(node, there)) is not None:
            self._transfer(node, place, reason)
        else:
            self._unchanged += 1

    def _there(self, place: Segments) -> Node | None:
        if any(folder in self._cleared for folder in walk_up(place)):
            return None
        return self.target.nodes.get(place)

    def _transfer(self, node: Node, place: Segments, reason: Reason) -> None:
        self._transfers.append(Step(Act.TRANSFER, place, reason, node.segments, node.size))

    def _block(self, node: Node, reason: str) -> None:
        self._blocked.append(Problem(node.segments, reason))
        self._shut.add(node.segments)
        self._kept.add(self._spelled[node.segments])

    def _difference(self, node: Node, there: Node) -> Reason | None:
        if node.size != there.size:
            return Reason.SIZE
        same = self.digests.get(node.segments)
        if same is not None:
            return None if same else Reason.CONTENT
        if node.mtime is None or there.mtime is None:
            return None  # size is all that there is to go by
        slack = self.rules.time_slack_s
        late = there.mtime - node.mtime
        is_same = late >= -slack if not self.rules.keeps_times else abs(late) <= slack
        return None if is_same else Reason.TIME

    # --- taking away ---

    def _make_way(self, node: Node, there: Node) -> bool:
        """Clear the target's other kind of thing away, if that is allowed."""
        if not self.rules.delete:
            self._block(node, f"the target has {_kind_text(there)} of that name; --delete replaces it")
            return False
        doomed = [there, *(other for other in self.target.nodes.values() if _is_below(other.segments, there.segments))]
        if any(segments == there.segments or _is_below(segments, there.segments) for segments in self.target.unread):
            self._block(node, "the target has a folder of that name which cannot be read, so it is not removed")
            return False
        self._clear += [_removal(other, Reason.KIND) for other in doomed]
        self._cleared.add(there.segments)
        return True

    def _removals(self) -> list[Step]:
        """What the source has not, deepest first. Nothing below a folder that one side could not read."""
        unread = {self._spelled.get(segments, segments) for segments in self.source.unread}
        kept = unread | self.target.unread | self._kept
        steps = []
        for segments, node in self.target.nodes.items():
            above = (segments, *walk_up(segments))
            if segments in self._wanted or any(folder in kept or folder in self._cleared for folder in above):
                continue
            if node.is_folder and any(_is_below(folder, segments) for folder in kept):
                continue
            steps.append(_removal(node, Reason.GONE))
        return _deepest_first(steps)


def _removal(node: Node, reason: Reason) -> Step:
    return Step(Act.REMOVE_FOLDER if node.is_folder else Act.REMOVE_FILE, node.segments, reason)


def _deepest_first(steps: list[Step]) -> list[Step]:
    """Files before folders, and folders from the leaves up."""
    return sorted(steps, key=lambda step: (step.act is Act.REMOVE_FOLDER, -len(step.target), step.target))


def _is_below(segments: Segments, folder: Segments) -> bool:
    return len(segments) > len(folder) and segments[: len(folder)] == folder


def _kind_text(node: Node) -> str:
    return {Kind.DIRECTORY: "a folder", Kind.FILE: "a file"}.get(node.kind, "something else")
