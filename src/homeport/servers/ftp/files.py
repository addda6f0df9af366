"""Commands about one file: DELE, RNFR, RNTO, SIZE, MDTM, MFMT, MFF, HASH and its kin, AVBL, COMB, and SITE's.

The one rule: each is one or two calls of `Home`; what may be done, and to what, is decided there.
"""

from __future__ import annotations

from homeport.core.home import Home
from homeport.core.paths import VirtualPath
from homeport.core.rights import Rights
from homeport.core.transfer import Stored
from homeport.protocols.ftp.arguments import DigestOf, Facts, FileMode, Parts, Times
from homeport.protocols.ftp.events import Request
from homeport.protocols.ftp.hashes import digest_reply, hash_reply
from homeport.protocols.ftp.replies import Reply, quote_path
from homeport.protocols.ftp.times import format_time
from homeport.servers.ftp.arguments import argument_of, text_of
from homeport.servers.ftp.errors import Refused
from homeport.servers.ftp.session import FtpSession

_BLOCK_BYTES = 1024 * 1024


async def delete(session: FtpSession, request: Request) -> None:
    """DELE."""
    await session.call(session.home.remove_file, session.path(text_of(request)))
    session.reply(250, "The file is deleted.")


async def rename_from(session: FtpSession, request: Request) -> None:
    """RNFR: what is there, a link itself included, may be renamed by RNTO."""
    path = session.path(text_of(request))
    await session.call(session.home.find, path, Rights.RENAME, follow=False)
    session.reply(350, "Now send RNTO with the new name.")


async def rename_to(session: FtpSession, request: Request) -> None:
    """RNTO. A file that has the new name is replaced."""
    source = session.path(session.settings.rename_from)
    target = session.path(text_of(request))
    await session.call(session.home.rename, source, target)
    session.reply(250, f"Renamed to {quote_path(str(target))}.")


async def size(session: FtpSession, request: Request) -> None:
    """SIZE: from where an upload may go on, which is the size of a whole file (RFC 3659 section 4)."""
    session.reply(213, str(await session.call(session.home.resume_size, session.path(text_of(request)))))


async def partial_size(session: FtpSession, request: Request) -> None:
    """SITE RESUME: from where an upload goes on that will replace a whole file, of which SIZE speaks instead."""
    kept = await session.call(session.home.partial_size, session.path(text_of(request)))
    session.reply(213, str(kept))


async def modified(session: FtpSession, request: Request) -> None:
    """MDTM (RFC 3659 section 3)."""
    entry = await session.call(session.home.stat, session.path(text_of(request)))
    session.reply(213, format_time(entry.mtime_ns))


async def set_modified(session: FtpSession, request: Request) -> None:
    """MFMT: the reply repeats what was set and where."""
    times = argument_of(request, Times)
    await session.call(session.home.set_modified, session.path(times.path), times.mtime_ns)
    session.reply(213, f"Modify={format_time(times.mtime_ns)}; {times.path}")


async def touch(session: FtpSession, request: Request) -> None:
    """SITE UTIME."""
    times = argument_of(request, Times)
    await session.call(session.home.set_modified, session.path(times.path), times.mtime_ns)
    session.reply(200, "The modification time is set.")


async def set_facts(session: FtpSession, request: Request) -> None:
    """MFF: the mode first, because setting it does not change the times."""
    facts = argument_of(request, Facts)
    path = session.path(facts.path)
    done: list[str] = []
    if facts.mode is not None:
        await session.call(session.home.set_mode, path, facts.mode)
        done.append(f"UNIX.mode={facts.mode:04o};")
    if facts.mtime_ns is not None:
        await session.call(session.home.set_modified, path, facts.mtime_ns)
        done.append(f"Modify={format_time(facts.mtime_ns)};")
    session.reply(213, f"{''.join(done)} {facts.path}")


async def set_mode(session: FtpSession, request: Request) -> None:
    """SITE CHMOD."""
    wanted = argument_of(request, FileMode)
    await session.call(session.home.set_mode, session.path(wanted.path), wanted.mode)
    session.reply(200, f"The mode is {wanted.mode:04o}.")


async def digest(session: FtpSession, request: Request) -> None:
    """HASH, by the algorithm that OPTS HASH chose, over the range that RANG gave (draft-bryan-ftpext-hash)."""
    path = session.path(text_of(request))
    wanted = session.engine.take_range()
    algorithm = session.settings.hash_algorithm
    session.engine.transfer_started()  # a large file takes long: NOOP and STAT are heard
    start, end = (wanted.first, wanted.end) if wanted else (0, None)
    if end is None:
        end = (await session.call(session.home.find, path, Rights.READ)).size
    found = await session.call(session.home.digest, path, algorithm, start, end)
    _send(session, hash_reply(algorithm, start, end, found, text_of(request)))


# verb -> the algorithm's name in core
DIGESTS = {
    "XCRC": "CRC32",
    "XMD5": "MD5",
    "MD5": "MD5",
    "XSHA1": "SHA-1",
    "XSHA256": "SHA-256",
    "XSHA512": "SHA-512",
}


async def old_digest(session: FtpSession, request: Request) -> None:
    """XCRC, XMD5 and so on."""
    wanted = argument_of(request, DigestOf)
    algorithm = DIGESTS[request.command.verb]
    session.engine.transfer_started()
    path = session.path(wanted.path)
    found = await session.call(session.home.digest, path, algorithm, wanted.start, wanted.end)
    _send(session, digest_reply(request.command.verb, found, wanted.path))


def _send(session: FtpSession, reply: Reply) -> None:
    session.reply(reply.code, reply.lines)


async def available(session: FtpSession, request: Request) -> None:  # noqa: ARG001 - every handler's arguments
    """AVBL: the same for every folder, because the quota is the account's."""
    session.reply(213, str(await session.call(session.home.free_bytes)))


async def copy_from(session: FtpSession, request: Request) -> None:
    """SITE CPFR."""
    await session.call(session.home.find, session.path(text_of(request)), Rights.READ)
    session.reply(350, "Now send SITE CPTO with the copy's name.")


async def copy_to(session: FtpSession, request: Request) -> None:
    """SITE CPTO."""
    source, target = session.path(session.settings.copy_from), session.path(text_of(request))
    session.engine.transfer_started()
    stored = await session.call(session.home.copy, source, target)
    session.reply(250, f"Copied {stored.size} bytes, SHA-256 {stored.sha256}")


async def combine(session: FtpSession, request: Request) -> None:
    """COMB: the parts stay, so that whoever doubts the result can look; they are deleted by DELE."""
    parts = argument_of(request, Parts)
    target = session.path(parts.target)
    sources = [session.path(name) for name in parts.parts]
    if target in sources:
        raise Refused(553, "The target cannot be one of the parts.")
    session.engine.transfer_started()
    stored = await session.call(_join, session.home, sources, target)
    session.reply(250, f"Stored {stored.size} bytes, SHA-256 {stored.sha256}")


def _join(home: Home, sources: list[VirtualPath], target: VirtualPath) -> Stored:
    """Store the bytes of all `sources` in order as `target`, which appears whole or not at all. Blocks."""
    block = memoryview(bytearray(_BLOCK_BYTES))
    with home.begin_upload(target) as upload:
        for source in sources:
            with home.begin_download(source) as download:
                while count := download.read_into(block):
                    upload.write(block[:count])
                download.finish()
        return upload.commit()


HANDLERS = {
    "DELE": delete,
    "RNFR": rename_from,
    "RNTO": rename_to,
    "SIZE": size,
    "MDTM": modified,
    "MFMT": set_modified,
    "MFF": set_facts,
    "HASH": digest,
    **dict.fromkeys(DIGESTS, old_digest),
    "AVBL": available,
    "COMB": combine,
    "SITE UTIME": touch,
    "SITE CHMOD": set_mode,
    "SITE RESUME": partial_size,
    "SITE CPFR": copy_from,
    "SITE CPTO": copy_to,
}
