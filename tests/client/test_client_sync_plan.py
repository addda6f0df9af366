from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest

from homeport.client.errors import SafetyRefused
from homeport.client.remote import Kind
from homeport.client.sync_plan import Act, Plan, Reason, SyncRules, counterparts, fold_case, make_plan
from homeport.client.tree import Node, Problem, Tree

RULES = SyncRules()
DELETE = SyncRules(delete=True)


def tree(*names: str, size: int = 1, mtime: float | None = 100.0) -> Tree:
    """Names that end in `/` are folders, in `@` links; `name=size` tells the size."""
    made = Tree()
    for text in names:
        name, _, told = text.partition("=")
        segments = tuple(name.rstrip("/@").split("/"))
        for length in range(1, len(segments)):
            made.nodes.setdefault(segments[:length], Node(segments[:length], Kind.DIRECTORY))
        if name.endswith("/"):
            made.add(Node(segments, Kind.DIRECTORY))
        elif name.endswith("@"):
            made.add(Node(segments, Kind.LINK))
        else:
            made.add(Node(segments, Kind.FILE, int(told or size), mtime))
    return made


def shown(plan: Plan) -> list[str]:
    return [f"{step.act.value} {'/'.join(step.target)}: {step.reason.value}" for step in plan.steps]


@pytest.mark.parametrize(
    ("source", "target", "rules", "steps"),
    [
        (tree(), tree(), RULES, []),
        (tree("a", "d/b"), tree("a", "d/b"), DELETE, []),
        (tree("a"), tree(), RULES, ["transfer a: new"]),
        (tree("d/e/"), tree(), RULES, ["make folder d: new", "make folder d/e: new"]),
        (tree("d/b"), tree("d/"), RULES, ["transfer d/b: new"]),
        (tree("a=2"), tree("a=3"), RULES, ["transfer a: size differs"]),
        (tree("a"), tree("a", mtime=98.0), RULES, ["transfer a: time differs"]),
        (tree("a"), tree("a", mtime=99.0), RULES, []),
        (tree("a"), tree("a", mtime=None), RULES, []),
        (tree("a"), tree("a", mtime=170.0), replace(RULES, time_slack_s=60), ["transfer a: time differs"]),
        (tree("a"), tree("a", mtime=5000.0), replace(RULES, keeps_times=False), []),
        (tree("a"), tree("a", mtime=50.0), replace(RULES, keeps_times=False), ["transfer a: time differs"]),
        (tree("a"), tree("a", "b", "d/c"), RULES, []),
        (
            tree("a"),
            tree("a", "b", "d/c"),
            DELETE,
            [f"remove {name}: not in the source" for name in ("file d/c", "file b", "folder d")],
        ),
        (tree("a", "x@"), tree("a", "x"), DELETE, []),
    ],
)
def test_plans(source: Tree, target: Tree, rules: SyncRules, steps: list[str]) -> None:
    assert shown(make_plan(source, target, rules)) == steps


def test_totals() -> None:
    plan = make_plan(tree("a=5", "b=7", "same"), tree("same", "gone", "g/h"), DELETE)
    assert (plan.bytes, plan.deletes, plan.unchanged) == (12, 2, 1)


# --- digests ---


def test_digests_decide_over_times() -> None:
    source, target = tree("a", "b", "c=2"), tree("a", "b", "c=3", mtime=5.0)
    assert [node.segments for node, _ in counterparts(source, target, RULES)] == [("a",), ("b",)]
    plan = make_plan(source, target, RULES, {("a",): True, ("b",): False})
    assert shown(plan) == ["transfer b: content differs", "transfer c: size differs"]


# --- kinds ---


def test_a_file_where_a_folder_is_needs_leave_to_delete() -> None:
    source, target = tree("x"), tree("x/a", "x/d/b")
    plan = make_plan(source, target, RULES)
    assert shown(plan) == []
    assert plan.blocked == (Problem(("x",), "the target has a folder of that name; --delete replaces it"),)
    assert shown(make_plan(source, target, DELETE)) == [
        "remove file x/d/b: a file in one place, a folder in the other",
        "remove file x/a: a file in one place, a folder in the other",
        "remove folder x/d: a file in one place, a folder in the other",
        "remove folder x: a file in one place, a folder in the other",
        "transfer x: a file in one place, a folder in the other",
    ]


def test_a_folder_where_a_file_is_needs_leave_to_delete() -> None:
    source, target = tree("x/a", "x/d/b"), tree("x")
    plan = make_plan(source, target, RULES)
    assert shown(plan) == []
    assert plan.blocked == (Problem(("x",), "the target has a file of that name; --delete replaces it"),)
    assert shown(make_plan(source, target, DELETE)) == [
        "remove file x: a file in one place, a folder in the other",
        "make folder x: a file in one place, a folder in the other",
        "make folder x/d: new",
        "transfer x/a: new",
        "transfer x/d/b: new",
    ]


def test_a_link_on_the_target_is_something_else() -> None:
    plan = make_plan(tree("x"), tree("x@"), RULES)
    assert plan.blocked[0].reason == "the target has something else of that name; --delete replaces it"
    assert [step.act for step in make_plan(tree("x"), tree("x@"), DELETE).steps] == [Act.REMOVE_FILE, Act.TRANSFER]


# --- what cannot be read ---


def test_what_the_source_could_not_read_stays_on_the_target() -> None:
    source = tree("a", "d/")
    source.cannot_read(("d",), "cannot be read")
    plan = make_plan(source, tree("a", "d/b", "d/e/f", "gone"), DELETE)
    assert shown(plan) == ["remove file gone: not in the source"]
    assert plan.blocked == (Problem(("d",), "cannot be read"),)


def test_what_the_target_could_not_read_is_left_alone() -> None:
    target = tree("d/", "e/")
    target.cannot_read(("d",), "cannot be read")
    target.cannot_read(("e",), "cannot be read")
    plan = make_plan(tree("d/a", "d/s/b", "e"), target, DELETE)
    assert shown(plan) == []
    assert [problem.reason for problem in plan.blocked[2:]] == [
        "the target has a folder of that name which cannot be read, so it is not removed",
        "the target's folder cannot be read",
        "the target's folder cannot be read",
    ]


def test_a_folder_that_holds_something_unread_is_not_removed() -> None:
    target = tree("gone/d/", "gone/x")
    target.cannot_read(("gone", "d"), "cannot be read")
    assert shown(make_plan(tree("a"), target, DELETE)) == [
        "transfer a: new",
        "remove file gone/x: not in the source",
    ]


# --- spelling ---

COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")


def test_another_spelling_of_the_accents_is_the_same_name() -> None:
    plan = make_plan(tree(f"{COMPOSED}/{COMPOSED}=2"), tree(f"{DECOMPOSED}/{DECOMPOSED}=3"), DELETE)
    (step,) = plan.steps
    assert (step.source, step.target) == ((COMPOSED, COMPOSED), (DECOMPOSED, DECOMPOSED))


def test_two_spellings_side_by_side_stay_two_names() -> None:
    both = tree(COMPOSED, DECOMPOSED)
    assert shown(make_plan(both, both, DELETE)) == []
    assert shown(make_plan(both, tree(DECOMPOSED), DELETE)) == [f"transfer {COMPOSED}: new"]


def test_names_that_differ_in_case_are_two_where_the_target_can_tell() -> None:
    assert shown(make_plan(tree("a", "A"), tree(), RULES)) == ["transfer A: new", "transfer a: new"]


def test_names_that_differ_in_case_are_one_too_many_where_it_cannot() -> None:
    rules = replace(DELETE, fold=fold_case)
    plan = make_plan(tree("a", "A", "d/x", "D/y"), tree(), rules)
    assert shown(plan) == ["make folder D: new", "transfer A: new", "transfer D/y: new"]
    assert {problem.segments for problem in plan.blocked} == {("a",), ("d",)}
    assert plan.blocked[0].reason == "differs from 'A' in spelling alone, and the target cannot hold both"


def test_another_case_is_the_same_name_where_the_target_cannot_tell() -> None:
    plan = make_plan(tree("A=2"), tree("a=3"), replace(DELETE, fold=fold_case))
    (step,) = plan.steps
    assert (step.source, step.target, step.reason) == (("A",), ("a",), Reason.SIZE)


# --- safety ---


def test_an_empty_source_is_refused() -> None:
    for rules in (RULES, DELETE):
        with pytest.raises(SafetyRefused, match="the source is empty; to be safe nothing is done"):
            make_plan(tree(), tree("a"), rules)


@pytest.mark.parametrize(
    ("existing", "gone", "limit", "is_refused"),
    [
        (0, 50, None, False),
        (0, 51, None, True),
        (900, 100, None, False),
        (900, 101, None, True),
        (10, 1, 0, True),
        (10, 1, 1, False),
        (10, 60, 60, False),
    ],
)
def test_too_many_deletions_are_refused(existing: int, gone: int, limit: int | None, is_refused: bool) -> None:
    kept = [f"kept{number}" for number in range(existing)] or ["a"]
    target = tree(*(kept if existing else []), *(f"gone{number}" for number in range(gone)))
    rules = replace(DELETE, max_delete=limit)
    if is_refused:
        with pytest.raises(SafetyRefused) as caught:
            make_plan(tree(*kept), target, rules)
        assert f"{gone} of {existing + gone} files would be removed" in str(caught.value)
        assert str(caught.value).endswith(f"--max-delete {gone}")
    else:
        assert make_plan(tree(*kept), target, rules).deletes == gone


def test_what_makes_way_counts_as_a_deletion() -> None:
    target = tree(*(f"x/{number}" for number in range(51)))
    with pytest.raises(SafetyRefused, match="51 of 51 files"):
        make_plan(tree("x"), target, DELETE)
