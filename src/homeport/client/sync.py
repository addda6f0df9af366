"""Make a folder on one side like a folder on the other: scan, plan, and carry the plan out through the engine.

The one rule: what is carried out is a Plan, the one that was shown. Nothing is decided here a second time.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from homeport.client.engine import Engine
from homeport.client.errors import ServerRefused, Stopped
from homeport.client.events import Scanned, Summary
from homeport.client.items import Deed, Item, Known, Phase, Side
from homeport.client.local_names import safe_descendant
from homeport.client.remote import Abilities, Kind, Remote, RemoteEntry
from homeport.client.sync_plan import Act, Plan, Reason, Step, SyncRules, counterparts, fold_case, make_plan
from homeport.client.task import Outcome
from homeport.client.tree import Heard, Node, RemoteScan, Segments, Tree, folds_names, join_remote, scan_local
from homeport.client.walking import tree_remote

_UNSURE_OF_SECONDS_S = 60.0  # listings without MLSD tell minutes


class Direction(enum.Enum):
    """Which way it goes."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """See `SyncRules`; `checksum` compares contents by digest where the sizes are equal, whatever the times say."""

    delete: bool = False
    max_delete: int | None = None
    checksum: bool = False


class Sync:
    """One sync of the folder `local` and the server's folder `remote`.

    sync = Sync(engine, Path("photos"), "/photos", Direction.UP, SyncOptions(delete=True))
    plan = sync.plan()            # show it, ask
    summary = sync.execute(plan)
    """

    def __init__(
        self, engine: Engine, local: Path, remote: str, direction: Direction, options: SyncOptions | None = None
    ) -> None:
        self._engine = engine
        self._local = local
        self._remote = remote
        self._direction = direction
        self._options = options or SyncOptions()
        self._here = Tree()
        self._there = Tree()
        self._missing: list[str] = []

    # --- planning ---

    def plan(self) -> Plan:
        """Scan both sides and decide; nothing is changed.

        Raises SafetyRefused, LocalFailed, and what the server's refusal of the source means.
        """
        rules = self._rules(self._engine.attempt(lambda remote: remote.abilities))
        self._missing = []
        if self._direction is Direction.UP:
            self._here = scan_local(self._local, heard=self._heard)
            self._there = self._remote_target()
        else:
            self._there = self._scan_remote(self._heard)
            self._here = self._local_target()
        source, target = self._sides()
        self._engine.notify(Scanned(source.files, source.bytes, finished=True))
        digests = self._compare(source, target, rules) if self._options.checksum else None
        return make_plan(source, target, rules, digests)

    def _sides(self) -> tuple[Tree, Tree]:
        return (self._here, self._there) if self._direction is Direction.UP else (self._there, self._here)

    def _scan_remote(self, heard: Heard = lambda _files, _bytes: None) -> Tree:
        walked = self._engine.attempt(partial(self._walk, heard=heard))
        if walked is not None:
            return walked
        scan = RemoteScan(self._remote, heard=heard)
        while folders := scan.take_open():
            by_path = {join_remote(self._remote, folder): folder for folder in folders}
            items = [Item(deed=Deed.LIST, name=path, local=Path(), remote=path) for path in by_path]
            summary = self._engine.inquire(items, partial(_put_in, scan, by_path))
            self._raise_if_cut_short(summary)
            for failure in summary.failures:
                scan.refused(by_path[failure.item.remote], failure.error)
        return scan.tree

    def _walk(self, remote: Remote, heard: Heard) -> Tree | None:
        """The tree from a server that tells it in one answer."""
        knows_trees = tree_remote(remote)
        if knows_trees is None:
            return None
        scan = RemoteScan(self._remote, heard=heard)
        scan.walked(knows_trees.walk(self._remote))
        return scan.tree

    def _raise_if_cut_short(self, summary: Summary) -> None:
        if summary.error is not None:
            raise summary.error
        if summary.stopped:
            raise Stopped("stopped; nothing was changed")

    def _remote_target(self) -> Tree:
        try:
            tree = self._scan_remote()
        except ServerRefused as refused:
            self._missing = self._engine.attempt(self._missing_folders)
            if not self._missing:
                raise refused from None
            return Tree()
        if not tree.nodes and not tree.problems:  # some servers list what is not there as an empty folder
            self._missing = self._engine.attempt(self._missing_folders)
        return tree

    def _missing_folders(self, remote: Remote) -> list[str]:
        """The target and the folders above it that are not there yet, topmost first."""
        missing: list[str] = []
        path = self._remote.rstrip("/")
        while path and not _is_there(remote, path):
            missing.insert(0, path)
            path = path.rpartition("/")[0]
        return missing

    def _local_target(self) -> Tree:
        if not os.path.lexists(self._local):
            self._missing = [self._remote]  # one step, with all folders above it
            return Tree()
        return scan_local(self._local)

    def _rules(self, abilities: Abilities) -> SyncRules:
        rules = SyncRules(
            delete=self._options.delete,
            max_delete=self._options.max_delete,
            time_slack_s=1.0 if abilities.machine_listing else _UNSURE_OF_SECONDS_S,
        )
        if self._direction is Direction.UP:
            return replace(rules, keeps_times=abilities.set_mtime)
        existing = next(folder for folder in (self._local, *self._local.absolute().parents) if folder.is_dir())
        return replace(rules, fold=fold_case if folds_names(existing) else None)

    def _heard(self, files: int, size: int) -> None:
        self._engine.notify(Scanned(files, size, finished=False))

    def _compare(self, source: Tree, target: Tree, rules: SyncRules) -> dict[Segments, bool]:
        same: dict[Segments, bool] = {}
        by_item: dict[tuple[Path, str], Segments] = {}
        items = []
        for ours, theirs in counterparts(source, target, rules):
            here, there = (ours, theirs) if self._direction is Direction.UP else (theirs, ours)
            item = self._item(Deed.COMPARE, here.segments, there.segments)
            by_item[item.local, item.remote] = ours.segments
            items.append(item)

        def heard(item: Item, outcome: Outcome) -> None:
            same[by_item[item.local, item.remote]] = outcome.already_complete

        summary = self._engine.inquire(items, heard)
        self._raise_if_cut_short(summary)
        if summary.failures:
            raise summary.failures[0].error
        return same

    # --- carrying out ---

    def execute(self, plan: Plan) -> Summary:
        """Do what `plan` says; it comes from this object's `plan`. Deletions are left out when something has failed."""
        return self._engine.run_phases(self.phases(plan))

    def phases(self, plan: Plan) -> Iterator[Phase]:
        """The plan as the engine is given it: one item a step, in phases that may not overlap."""
        for path in self._missing if plan.steps else ():
            yield Phase([replace(self._item(Deed.MAKE_FOLDER, (), (), side=self._target_side), name=path, remote=path)])
        yield from self._removal_phases(plan.clear)
        for _, steps in groupby(plan.folders, key=lambda step: len(step.target)):
            yield self._phase(steps)
        yield self._phase(plan.transfers)
        yield from self._removal_phases(plan.removals)

    def _removal_phases(self, steps: Iterable[Step]) -> Iterator[Phase]:
        """All files at once, then folders level by level from the leaves up."""
        for _, level in groupby(steps, key=_level):
            yield self._phase(level, only_if_clean=True)

    def _phase(self, steps: Iterable[Step], *, only_if_clean: bool = False) -> Phase:
        return Phase([self._item_of(step) for step in steps], only_if_clean)

    def _item_of(self, step: Step) -> Item:
        if step.act is not Act.TRANSFER:
            return self._item(_DEEDS[step.act], step.target, step.target, side=self._target_side)
        assert step.source is not None
        if self._direction is Direction.UP:
            # What had the name before is cleared away by now if it was another kind of thing.
            there = None if step.reason in (Reason.NEW, Reason.KIND) else self._there.nodes[step.target]
            known = Known(_entry(there))
            return self._item(Deed.UPLOAD, step.source, step.target, known=known, size=step.size)
        known = Known(_entry(self._there.nodes[step.source]))
        return self._item(Deed.DOWNLOAD, step.target, step.source, known=known, size=step.size)

    @property
    def _target_side(self) -> Side:
        return Side.REMOTE if self._direction is Direction.UP else Side.LOCAL

    def _item(
        self,
        deed: Deed,
        here: Segments,
        there: Segments,
        *,
        known: Known | None = None,
        size: int | None = None,
        side: Side = Side.REMOTE,
    ) -> Item:
        local = safe_descendant(self._local, here)
        name = "/".join(here) or self._local.name
        return Item(
            deed=deed,
            name=name,
            local=local,
            remote=join_remote(self._remote, there),
            size=size,
            known=known,
            side=side,
        )


_DEEDS = {
    Act.MAKE_FOLDER: Deed.MAKE_FOLDER,
    Act.REMOVE_FILE: Deed.REMOVE_FILE,
    Act.REMOVE_FOLDER: Deed.REMOVE_FOLDER,
}


def _put_in(scan: RemoteScan, by_path: Mapping[str, Segments], item: Item, outcome: Outcome) -> None:
    scan.listed(by_path[item.remote], outcome.listing)


def _is_there(remote: Remote, path: str) -> bool:
    try:
        return remote.stat(path).is_directory
    except ServerRefused:
        return False


def _level(step: Step) -> int:
    return 0 if step.act is Act.REMOVE_FILE else -len(step.target)


def _entry(node: Node | None) -> RemoteEntry | None:
    if node is None:
        return None
    return RemoteEntry(node.segments[-1], node.kind, node.size if node.kind is Kind.FILE else None, node.mtime)
