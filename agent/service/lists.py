"""The lists of hosts of this PC: handed in by guardians, compiled by jobs, never made smaller by accident."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.clock import Millis
from agent.errors import FairtimeError, ListError, NotFound, Refused, StoreError
from agent.model.sitelist import (
    MOST_NAMES,
    NAMES_A_TRIE,
    Bound,
    ListFormat,
    Reading,
    Source,
    ToBind,
    ToRead,
)
from agent.platforms.base import Finding
from agent.resources import folder as own_files
from agent.service import jobs
from agent.service.editions import Edition, Index, Listed, counted, group_of, hosts_words, shrinks, shrunk_words
from agent.service.listfiles import ListFiles
from agent.trust.listing import Said, Signed, Statement

log = logging.getLogger(__name__)

MOST_LISTS = 64
MOST_PUBLISHERS = 32


@dataclass(slots=True)
class Lists:
    """The lists of one folder.  ``changed`` is told of each new book; ``own`` holds the groups that come with the program."""

    folder: Path
    changed: Callable[[], None] = lambda: None
    own: Path | None = None
    trouble: tuple[str, str] | None = None
    """What is wrong with all of them, and what to do; ``None`` when all is well."""
    busy: str = ""
    """What is being done now."""
    _files: ListFiles = field(init=False)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._files = ListFiles(self.folder)
        if self._files.damaged:
            self.trouble = ("What is known of the site lists is damaged", "Hand them in again: “fairtime lists add”.")

    @property
    def book(self) -> Path | None:
        """The compiled lists in force; ``None`` before the first time."""
        return self._files.book

    @property
    def lists(self) -> Mapping[str, Listed]:
        """Every list that was handed in."""
        return self._files.index.lists

    @property
    def publishers(self) -> Mapping[str, str]:
        """Publishers whose signatures are known here, and their keys."""
        return self._files.index.publishers

    def findings(self) -> tuple[Finding, ...]:
        """What guardians should know: what is wrong, and what waits for them."""
        found = [Finding("lists", "weak", *self.trouble)] if self.trouble else []
        for name, one in self.lists.items():
            if one.waiting is not None:
                found.append(Finding(f"list-waits:{name}", "note", f"The list {name} waits", shrunk_words(name, one)))
            if one.trouble:
                found.append(Finding(f"list:{name}", "weak", f"The list {name} could not be updated", one.trouble))
        return tuple(found)

    def document(self) -> dict[str, object]:
        """Everything, for a guardian to read."""
        index = self._files.index
        return {
            "lists": {name: msgspec.to_builtins(one) for name, one in sorted(index.lists.items())},
            "own": index.starter.groups if index.starter else {},
            "publishers": index.publishers,
            "names": index.names,
            "book_bytes": index.book_size,
            "busy": self.busy,
            "troubles": [f"{found.title}. {found.advice}" for found in self.findings()],
        }

    # ---- changes -------------------------------------------------------------------------------------------------

    async def ensure(self) -> None:
        """Compile what comes with the program, where that was not done yet.  Sets ``trouble`` rather than raise."""
        async with self._one:
            try:
                await self._ensure()
            except FairtimeError as error:
                self.trouble = (error.title, error.advice)
                log.error("the lists cannot be compiled: %s", error)

    async def rebuild(self) -> None:
        """Compile again, because the book was found damaged."""
        async with self._one:
            self.trouble = None
            await self._take(self._files.index, self._files.index.lists)

    async def put(
        self, name: str, path: str, uid: int, at: Millis, form: ListFormat | None = None, publisher: str | None = None
    ) -> str:
        """Read a list, or read it again, with the rights of account ``uid``; the sentence that says what became of it.

        ``form`` and ``publisher`` are as before when ``None``; ``""`` is no publisher.
        """
        async with self._doing(f"reading {name}"):
            await self._ensure()
            before = self.lists.get(name)
            one = before or self._new(name)
            one = replace(
                one,
                path=path or one.path,
                format=form if form is not None else one.format,
                publisher=publisher if publisher is not None else one.publisher,
                trouble="",
            )
            if not one.path:
                raise NotFound(f"There is no list “{name}” yet", "Say where it lies: “fairtime lists add NAME PATH”.")
            if one.publisher and one.publisher not in self.publishers:
                raise NotFound(
                    f"There is no publisher “{one.publisher}” here",
                    "Make its key known: “fairtime lists trust NAME KEY”.",
                )
            try:
                edition = await self._read(name, one, uid, at)
                return await self._offer(name, one, edition)
            except FairtimeError as error:
                self._failed(name, before, error)
                raise

    async def accept(self, name: str) -> str:
        """Put in force what waits."""
        async with self._doing(f"taking {name}"):
            one = self._known(name)
            if one.waiting is None:
                raise Refused(f"Nothing of the list “{name}” waits", "“fairtime lists show” tells what does.")
            taken = replace(one, now=one.waiting, waiting=None, trouble="")
            await self._take(self._files.index, {**self.lists, name: taken})
            return f"{name} has {hosts_words(self.lists[name].now)} from now on."

    async def remove(self, name: str) -> str:
        """Take a list away; its groups are in the book no more."""
        async with self._doing(f"removing {name}"):
            one = self._known(name)
            left = {other: kept for other, kept in self.lists.items() if other != name}
            await self._take(self._files.index, left)
            return f"{name} is gone, and its {hosts_words(one.now)} with it."

    def trust(self, publisher: str, key: str) -> str:
        """Know a publisher by its key; an empty key forgets one that no list needs."""
        known = dict(self.publishers)
        if not key:
            if publisher not in known:
                raise NotFound(f"There is no publisher “{publisher}” here", "“fairtime lists show” names them.")
            needing = [name for name, one in self.lists.items() if one.publisher == publisher]
            if needing:
                raise Refused(
                    f"The lists {', '.join(needing)} must be signed by {publisher}",
                    "Remove them first, or name another publisher for them.",
                )
            del known[publisher]
            self._files.save(replace(self._files.index, publishers=known))
            return f"{publisher}'s signature says nothing here any more."
        if known.get(publisher, key) != key:
            raise Refused(
                f"{publisher} is known by another key",
                f"If it has a new one: “fairtime lists distrust {publisher}” first.",
            )
        if len(known) >= MOST_PUBLISHERS and publisher not in known:
            raise Refused("There are too many publishers", "Forget one that no list needs.")
        self._files.save(replace(self._files.index, publishers={**known, publisher: key}))
        return f"{publisher} is known by this key."

    # ---- steps ---------------------------------------------------------------------------------------------------

    async def _read(self, name: str, one: Listed, uid: int, at: Millis) -> Edition:
        file, answer = await self._names(name, ToRead(path=one.path, out=0, format=one.format), uid)
        try:
            statement = await self._statement(one, answer)
        except FairtimeError:
            self._files.drop(file)
            raise
        return Edition(
            file=file,
            at=at,
            format=answer.format,
            groups=dict.fromkeys(answer.groups, 0),
            names=answer.names,
            lines=answer.lines,
            skipped=answer.skipped,
            title=statement.list if statement else "",
            version=statement.version if statement else 0,
        )

    async def _names(self, name: str, wanted: ToRead, uid: int | None) -> tuple[str, Reading]:
        """Have a list read into a new file."""
        file = f"{name}-{self._files.number()}.names"
        descriptor = self._files.create(file)
        try:
            try:
                request = msgspec.json.encode(replace(wanted, out=descriptor))
                data = await jobs.run("list", request, files=(descriptor,), uid=uid)
            finally:
                os.close(descriptor)
            answer = msgspec.json.decode(data, type=Reading)
            if answer.title:
                raise ListError(answer.title, answer.advice)
        except FairtimeError:
            self._files.drop(file)
            raise
        return file, answer

    async def _statement(self, one: Listed, answer: Reading) -> Statement | None:
        """What the list's publisher signed of it.  ``ListError`` when a signature is needed and does not hold."""
        if not one.publisher:
            return None
        by = f"It is not the list that {one.publisher} signed"
        stays = "The list before stays in force." if one.now else "It was not taken."
        if not answer.statement:
            raise ListError(f"{by}: there is no statement beside it ({one.path}.dsse.json)", stays)
        request = Signed(envelope=answer.statement, key=self.publishers[one.publisher])
        said = msgspec.json.decode(await jobs.run("publisher", msgspec.json.encode(request)), type=Said)
        found = said.statement
        if found is None:
            raise ListError(f"{by}: {said.why}", stays)
        if found.files != answer.files:
            raise ListError(f"{by}: its files are others", stays)
        now = one.now if one.now and one.now.title else None
        if now and found.list != now.title:
            raise ListError(f"{by}: this is “{found.list}”, not “{now.title}”", stays)
        if now and found.version < now.version:
            raise ListError(f"{by}: version {found.version} is older than {now.version}", stays)
        return found

    async def _offer(self, name: str, one: Listed, edition: Edition) -> str:
        """Put an edition in force, or let it wait where it is less than half of the one before."""
        if name not in self.lists and len(self.lists) >= MOST_LISTS:
            self._files.drop(edition.file)
            raise Refused(f"There are {MOST_LISTS} lists already", "Remove one that no rule names.")
        offered = replace(one, now=edition, waiting=None)
        lists = {**self.lists, name: offered}
        try:
            book, bound = await self._bind(lists, self._files.index.starter)
        except FairtimeError:
            self._files.drop(edition.file)
            raise
        sized = counted(lists, bound)
        new = sized[name].now
        assert new is not None
        if one.now is not None and shrinks(one.now, new):
            self._files.drop(book)
            asked = replace(one, waiting=new)
            self._files.save(replace(self._files.index, lists={**self.lists, name: asked}))
            return shrunk_words(name, asked)
        self._commit(self._files.index, sized, book, bound)
        left = sum(skip.count for skip in new.skipped)
        more = f"  {left} of {new.lines} lines were left out; “fairtime lists show {name}” says why." if left else ""
        return f"{name} has {hosts_words(new)} from now on.{more}"

    async def _take(self, index: Index, lists: Mapping[str, Listed]) -> None:
        """Compile these lists and put them in force."""
        book, bound = await self._bind(lists, index.starter)
        self._commit(index, counted(lists, bound), book, bound)

    async def _ensure(self) -> None:
        own = self.own or own_files("policies") / "sites"
        total = await asyncio.to_thread(_sum, own)
        book = self.book
        whole = book is not None and book.exists() and book.stat().st_size == self._files.index.book_size
        if whole and self._files.index.starter_sum == total:
            return
        index = self._files.index
        if index.starter_sum != total or not self._files.has(index.starter):
            file, answer = await self._names("own", ToRead(path=str(own), out=0), None)
            starter = Edition(
                file=file,
                at=0,
                format=answer.format,
                groups=dict.fromkeys(answer.groups, 0),
                names=answer.names,
                lines=answer.lines,
                skipped=answer.skipped,
            )
            index = replace(index, starter=starter, starter_sum=total)
        await self._take(index, index.lists)

    async def _bind(self, lists: Mapping[str, Listed], starter: Edition | None) -> tuple[str, Bound]:
        """Have a book made; its file and what is in it."""
        editions = [("", starter)] if starter else []
        editions += [(name, one.now) for name, one in sorted(lists.items()) if one.now]
        total = sum(edition.names for _, edition in editions)
        if total > MOST_NAMES:
            raise ListError(
                f"The lists would have more than {MOST_NAMES // 1_000_000} million names together",
                "Remove one that no rule names.",
            )
        book = f"book-{self._files.number()}"
        try:
            with ExitStack() as stack:
                sources = []
                for name, edition in editions:
                    descriptor = self._files.open(name, edition.file)
                    stack.callback(os.close, descriptor)
                    sources.append(Source(names=descriptor, groups={g: group_of(name, g) for g in edition.groups}))
                scratch = tuple(self._files.scratch(stack) for _ in range(max(1, -(-total // NAMES_A_TRIE))))
                out = self._files.create(book)
                stack.callback(os.close, out)
                request = ToBind(sources=tuple(sources), scratch=scratch, out=out)
                files = (*(source.names for source in sources), *scratch, out)
                data = await jobs.run("book", msgspec.json.encode(request), files=files)
            bound = msgspec.json.decode(data, type=Bound)
            if bound.title:
                raise ListError(bound.title, bound.advice)
        except FairtimeError:
            self._files.drop(book)
            raise
        return book, bound

    def _commit(self, index: Index, lists: Mapping[str, Listed], book: str, bound: Bound) -> None:
        starter = index.starter
        if starter is not None:
            starter = replace(starter, groups={group: bound.groups.get(group, 0) for group in starter.groups})
        self._files.save(
            replace(
                index,
                serial=self._files.index.serial,
                lists=dict(lists),
                starter=starter,
                book=book,
                book_size=bound.bytes,
                names=bound.names,
            )
        )
        self.trouble = None
        self._files.sweep()
        self.changed()

    def _failed(self, name: str, before: Listed | None, error: FairtimeError) -> None:
        """Remember why an update changed nothing, for whoever was not there."""
        if before is not None:
            place = f"{error.title}. {error.advice}".strip()
            with contextlib.suppress(StoreError):  # the error itself is on its way to whoever asked
                self._files.save(replace(self._files.index, lists={**self.lists, name: replace(before, trouble=place)}))

    def _new(self, name: str) -> Listed:
        own = self._files.index.starter.groups if self._files.index.starter else {}
        if name in own or name == "own":
            raise Refused(f"A group called “{name}” comes with Fairtime", "Give the list another name.")
        return Listed(path="")

    def _known(self, name: str) -> Listed:
        if name not in self.lists:
            known = ", ".join(self.lists) or "none yet"
            raise NotFound(f"There is no list “{name}”", f"There are: {known}.")
        return self.lists[name]

    @contextlib.asynccontextmanager
    async def _doing(self, what: str) -> AsyncIterator[None]:
        """One thing at a time."""
        async with self._one:
            self.busy = what
            try:
                yield
            finally:
                self.busy = ""


def _sum(own: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(own.glob("*.txt")):
        data = path.read_bytes()
        digest.update(b"%s %d\n" % (path.name.encode(), len(data)) + data)
    return digest.hexdigest()
