"""What requests do that only ask the core and answer: each a plain function from a home and arguments to a RESULT.

The one rule: they block and run in threads; nothing here knows a connection.
"""

from __future__ import annotations

from contextlib import suppress

from homeport.core.entries import Entry, Kind
from homeport.core.errors import AlreadyExists, NotFound
from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.transfer import Stored
from homeport.protocols.hptp.names import to_wire
from homeport.protocols.hptp.strict_json import JsonObject, nearest
from homeport.servers.hptp.arguments import Arguments


def facts(entry: Entry) -> JsonObject:
    """An entry's members but for its name."""
    changed = nearest(entry.mtime_ns)
    return {"kind": entry.kind.value, "size": entry.size, "mtime_ns": changed, "mode": entry.mode & 0o777}


def named(entry: Entry) -> JsonObject:
    """An entry as docs/hptp.md has it."""
    return {"name": to_wire(entry.name), **facts(entry)}


def stored_object(stored: Stored) -> JsonObject:
    """The answer to whoever stored something."""
    return {"size": stored.size, "sha256": stored.sha256}


def stat(home: Home, arguments: Arguments) -> JsonObject:
    """An entry, with its digest where one is kept."""
    path: VirtualPath = arguments["path"]
    found = named(home.stat(path))
    digest = home.kept_digest(path) if found["kind"] == "file" else None
    return found if digest is None else {**found, "sha256": digest}


def resume_size(home: Home, arguments: Arguments) -> JsonObject:
    """From which byte an upload may go on: the whole file's size, else that of what came of it."""
    return {"size": home.resume_size(arguments["path"])}


def make_directory(home: Home, arguments: Arguments) -> JsonObject:
    """`mkdir`."""
    path: VirtualPath = arguments["path"]
    if arguments["parents"]:
        make_parents(home, path)
    else:
        home.make_directory(path)
    return {}


def make_parents(home: Home, folder: VirtualPath) -> None:
    """Make `folder` and what is missing above it. Raises AlreadyExists when something else has one of the names."""
    if folder.is_root:
        return
    try:
        home.make_directory(folder)
    except NotFound:
        make_parents(home, folder.parent)
        with suppress(AlreadyExists):  # somebody else is making the same ones
            home.make_directory(folder)
    except AlreadyExists:
        if home.stat(folder).kind is not Kind.DIRECTORY:
            raise


def move(home: Home, arguments: Arguments) -> JsonObject:
    """Replaces a file in the same step."""
    home.rename(arguments["source"], arguments["target"])
    return {}


def copy(home: Home, arguments: Arguments) -> JsonObject:
    """Reads and stores the whole file."""
    return stored_object(home.copy(arguments["source"], arguments["target"]))


def remove(home: Home, arguments: Arguments) -> JsonObject:
    """A file, or an empty folder."""
    if arguments["kind"] == "directory":
        home.remove_directory(arguments["path"])
    else:
        home.remove_file(arguments["path"])
    return {}


def set_times(home: Home, arguments: Arguments) -> JsonObject:
    """When it was last changed."""
    return named(home.set_modified(arguments["path"], arguments["mtime_ns"]))


def set_mode(home: Home, arguments: Arguments) -> JsonObject:
    """Permission bits; set-uid, set-gid and sticky are dropped."""
    return named(home.set_mode(arguments["path"], arguments["mode"]))


def digest(home: Home, arguments: Arguments) -> JsonObject:
    """Of a range of bytes."""
    algorithm = arguments["algorithm"]
    value = home.digest(arguments["path"], algorithm, arguments["start"], arguments["end"])
    return {"algorithm": algorithm, "value": value}


def usage(home: Home, _: Arguments) -> JsonObject:
    """What the account uses and may use."""
    used = home.usage()
    return {
        "used_bytes": used.used_bytes,
        "quota_bytes": used.quota_bytes,
        "used_files": used.used_files,
        "max_files": used.max_files,
        "free_bytes": home.free_bytes(),
    }


def reserve(home: Home, arguments: Arguments) -> JsonObject:
    """Room for the session's next upload without a size."""
    home.reserve(arguments["size"])
    return {}
