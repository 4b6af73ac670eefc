"""Message parts become content references (ledger.md section 5): one reference per part, in order.

Rules
- A `text` part is stored as its UTF-8 text, a `blob` part as its decoded bytes with its own media type, every other
  part as canonical JSON. A part that has no JSON form is stored as its `repr`: something odd is better than nothing.
- `SPANLEDGER_CONTENT`: `full` stores; `withheld` keeps the reference, class `withheld`; `none` keeps nothing at all.
- Redaction comes before the reference.
- One `Parts` serves one envelope: it collects the contents, and remembers whether a text had to be repaired.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from spanledger_exporter.ledger.canonical import canonical_json
from spanledger_exporter.ledger.content import Content, ContentClass, content_ref
from spanledger_exporter.normalise.shared_fields import quoted
from spanledger_exporter.redact.rules import Findings, Redactor
from spanledger_semconv.messages import TEXT_PARTS

TEXT_MEDIA: Final = "text/plain; charset=utf-8"
JSON_MEDIA: Final = "application/json"
BINARY_MEDIA: Final = "application/octet-stream"

TEXT_TYPES: Final = frozenset({"text", "query", "draft", "final", "diff", "rationale", "template"})
"""Types whose `content` is the whole part, and text."""

INSTRUCTING_ROLES: Final = frozenset({"system", "developer"})
"""Roles whose messages are instructions of whoever built the application: class `artifact`, as in ledger.md."""

MAX_RECENT_BYTES: Final = 4 * 2**20
MAX_RECENT_TEXT_BYTES: Final = 256 * 2**10
ENTRY_BYTES: Final = 1024  # what an entry weighs besides its text: short texts must not be many

Item = dict[str, Any]
Items = list[Item | str]
"""Items in order, some as canonical JSON already."""


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """What happens to content. `salt` is for class `payload` once an auditor key is configured."""

    mode: str = "full"
    redactor: Redactor = field(default_factory=Redactor)
    salt: bytes | None = None
    recent: RecentTexts = field(default_factory=lambda: RecentTexts())  # noqa: PLW0108 - defined below
    is_plain: bool = field(init=False)
    """True when a text is stored as it came, so that equal texts have equal items."""

    def __post_init__(self) -> None:
        """Look at mode and rules once, not for every part."""
        object.__setattr__(self, "is_plain", self.mode == "full" and not self.redactor)


Text = tuple[str, str, str, ContentClass]
"""A text as a part of a message, and what its item depends on besides: the part's type, the role, the class."""


class RecentText(NamedTuple):
    """A text seen lately: its content, and its item's canonical JSON before and behind `message`."""

    content: Content
    head: str
    tail: str

    @classmethod
    def of(cls, text: Text, ref: bytes, data: bytes) -> RecentText:
        """Put together what `data`, the encoded text, is referred to by."""
        _, kind, role, content_class = text
        said_role = f'"role":{quoted(role)},' if role else ""
        return cls(
            Content(ref, content_class, TEXT_MEDIA, len(data), data),
            f'{{"bytes":{len(data)},"class":"{content_class}","media":"{TEXT_MEDIA}",',
            f',"ref":"{ref.hex()}",{said_role}"type":{quoted(kind)}}}',
        )

    def at(self, message: int) -> str:
        """Return the JSON of the item at a place in the conversation."""
        return f'{self.head}"message":{message}{self.tail}'

    def item(self) -> Item:
        """Return the item, which has no place yet."""
        item: Item = orjson.loads(self.head[:-1] + self.tail)
        return item


class RecentTexts:
    """Texts seen lately: a conversation is sent again on every turn, its answers included.

    Bounded by the size of the texts; nothing but time depends on it.
    """

    __slots__ = ("_bytes", "known")

    def __init__(self) -> None:
        self.known: dict[Text, RecentText] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.known)

    def remember(self, text: Text, found: RecentText) -> None:
        """Remember one text; a full memory is emptied first."""
        size = found.content.size + ENTRY_BYTES
        if self._bytes + size > MAX_RECENT_BYTES:
            self.known.clear()
            self._bytes = 0
        if found.content.size <= MAX_RECENT_TEXT_BYTES:
            self._bytes += size
            self.known[text] = found


def _one_text(message: Any) -> Text | None:
    """Return the text that a message consists of; None for any other message."""
    try:
        (part,) = message["parts"]
        if type(message) is not dict or type(part) is not dict or len(part) != 2 or message.get("name") is not None:
            return None
        text, kind, role = part["content"], part["type"], message["role"]
    except (KeyError, TypeError, ValueError):
        return None
    if type(text) is str and type(kind) is str and type(role) is str and (kind in TEXT_TYPES or kind in TEXT_PARTS):
        return text, kind, role, _CLASS_OF_ROLE.get(role, "payload")
    return None


_CLASS_OF_ROLE: Final[Mapping[str, ContentClass]] = dict.fromkeys(INSTRUCTING_ROLES, "artifact")


class Parts:
    """Collects the contents of one envelope and gives the items that refer to them."""

    __slots__ = ("contents", "policy", "sanitized")

    def __init__(self, policy: ContentPolicy) -> None:
        self.policy = policy
        self.contents: list[Content] = []
        self.sanitized = False

    def messages(self, messages: Iterable[Any], *, content_class: ContentClass = "payload") -> list[Item]:
        """Return one item per part of every message; `message` counts the messages from 0."""
        if self.policy.mode == "none":
            return []
        items: list[Item] = []
        for index, message in enumerate(messages):
            for item in self._message(message, content_class):
                item["message"] = index
                items.append(item)
        return items

    def message_list(self, messages: Iterable[Any]) -> Items:
        """Return what `messages` returns; texts seen lately are JSON already.

        One flat loop, because every call of every conversation goes through it with all its messages.
        """
        if not self.policy.is_plain:
            return [*self.messages(messages)]
        recent, contents = self.policy.recent.known, self.contents
        items: Items = []
        for index, message in enumerate(messages):
            text = _one_text(message)
            if text is None:
                items += [{**item, "message": index} for item in self._message(message, "payload")]
            else:
                found = recent.get(text) or self._new_text(text)
                contents.append(found.content)
                items.append(found.at(index))
        return items

    def _message(self, message: Any, content_class: ContentClass) -> list[Item]:
        if not _is_mapping(message) or not isinstance(message.get("parts"), (list, tuple)):
            return self.part(message, role=_role(message), content_class=content_class)
        role, name = message.get("role"), message.get("name")
        role = role if isinstance(role, str) else ""
        if role in INSTRUCTING_ROLES:
            content_class = "artifact"
        if isinstance(name, str):
            parts = [self.part(part, role=role, content_class=content_class, name=name) for part in message["parts"]]
        else:
            parts = [self.part(part, role=role, content_class=content_class) for part in message["parts"]]
        return parts[0] if len(parts) == 1 else [item for items in parts for item in items]

    def part(self, part: Any, *, role: str = "", content_class: ContentClass = "payload", **more: str) -> list[Item]:
        """Return the item of one part, as a list: empty when content is not kept at all."""
        if not _is_mapping(part):
            kind, text = "text", part
        else:
            kind, text = part.get("type", "message"), part.get("content")
            kind = kind if type(kind) is str else str(kind)
        if isinstance(text, str) and (kind in TEXT_TYPES or (kind in TEXT_PARTS and len(part) == 2)):
            if self.policy.is_plain and not more:
                return self._plain_text((text, kind, role, content_class))
            return self.text(text, kind, role=role, content_class=content_class, **more)
        if kind == "blob" and (blob := _blob_bytes(text)) is not None:
            media = str(part.get("mime_type") or BINARY_MEDIA)
            return self._item(blob, media, kind, role=role, content_class=content_class, findings=None, **more)
        return self.document(part, kind, role=role, content_class=content_class, **more)

    def _plain_text(self, text: Text) -> list[Item]:
        """Return the item of a text that nothing is done to."""
        found = self.policy.recent.known.get(text) or self._new_text(text)
        self.contents.append(found.content)
        return [found.item()]

    def _new_text(self, text: Text) -> RecentText:
        """Return what a text that nothing is done to is referred to by, and remember it."""
        was_sanitized, self.sanitized = self.sanitized, False
        data = self._encoded(text[0])
        salt = None if text[3] == "artifact" else self.policy.salt
        found = RecentText.of(text, content_ref(TEXT_MEDIA, data, salt=salt), data)
        if not self.sanitized:  # a text that was repaired has to say so each time
            self.policy.recent.remember(text, found)
        self.sanitized = self.sanitized or was_sanitized
        return found

    def text(
        self, text: str, kind: str, *, role: str = "", content_class: ContentClass = "payload", **more: str
    ) -> list[Item]:
        """Return the item of one text."""
        if self.policy.mode == "none":
            return []
        findings = Findings([]) if self.policy.redactor else None
        data = self._encoded(self._redacted(text, findings))
        return self._item(data, TEXT_MEDIA, kind, role=role, content_class=content_class, findings=findings, **more)

    def document(
        self, value: Any, kind: str, *, role: str = "", content_class: ContentClass = "payload", **more: str
    ) -> list[Item]:
        """Return the item of one JSON value."""
        if self.policy.mode == "none":
            return []
        findings = Findings([]) if self.policy.redactor else None
        try:
            if findings is not None:
                redacted = self.policy.redactor.value(value, findings)
                value = value if findings.is_withheld else redacted
            data, media = canonical_json(value), JSON_MEDIA
        except Exception:  # cycles, and objects with code of their own that raises anything
            self.sanitized = True
            data, media = self._redacted(_repr_of(value), findings).encode("utf-8", "backslashreplace"), TEXT_MEDIA
        return self._item(data, media, kind, role=role, content_class=content_class, findings=findings, **more)

    def _redacted(self, text: str, findings: Findings | None) -> str:
        """Return what is to be referred to: of a text that is withheld, all of it, for it will not be stored."""
        if findings is None:
            return text
        redacted = self.policy.redactor.text(text, findings)
        return text if findings.is_withheld else redacted

    def _encoded(self, text: str) -> bytes:
        try:
            return text.encode()
        except UnicodeEncodeError:  # a lone surrogate
            self.sanitized = True
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()

    def _item(
        self,
        data: bytes,
        media: str,
        kind: str,
        *,
        role: str,
        content_class: ContentClass,
        findings: Findings | None,
        **more: str,
    ) -> list[Item]:
        is_withheld = self.policy.mode == "withheld" or (findings is not None and findings.is_withheld)
        salt = None if content_class == "artifact" else self.policy.salt
        ref = content_ref(media, data, salt=salt)
        stored: ContentClass = "withheld" if is_withheld else content_class
        self.contents.append(Content(ref, stored, media, len(data), None if is_withheld else data))
        item: Item = {"type": kind, "ref": ref.hex(), "bytes": len(data), "media": media, "class": stored, **more}
        if role:
            item["role"] = role
        if findings is not None and findings.names:
            item["redacted"] = findings.names
        return [item]


def _is_mapping(value: Any) -> bool:
    return type(value) is dict or isinstance(value, Mapping)


def _role(message: Any) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    return role if isinstance(role, str) else ""


def _blob_bytes(content: Any) -> bytes | None:
    if isinstance(content, (bytes, bytearray)):
        return bytes(content)
    try:
        return b64decode(content, validate=True) if isinstance(content, str) else None
    except (binascii.Error, ValueError):
        return None


def _repr_of(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a value whose own repr raises: its type is what there is to keep
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
