"""From a selector's text to its tree.

list   := either ("," either)*        no `or` beside a comma without parentheses
either := both ("or" both)*
both   := one ("and" one)*
one    := ("not" | "!") one | "(" list ")" | "all" | term
term   := key | key ("=" | "==" | "!=" | "~" | "!~" | "<" | "<=" | ">" | ">=") value
        | key ("in" | "notin" | "not" "in") "(" value ("," value)* ")"
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from myx_kit.errors import InvalidArgument
from myx_registry.domain.names import is_id, is_name
from myx_registry.domain.selector import (
    FACTS,
    OF_SERVERS,
    SHORT_FACTS,
    STATUSES,
    All,
    And,
    Attribute,
    Compare,
    Exists,
    In,
    Kind,
    Like,
    Not,
    Or,
    Selector,
    Source,
)
from myx_registry.domain.selector_words import Word, WordKind, selector_invalid, split
from myx_registry.domain.servers import checked_address, is_label_key, is_label_value

# People write up to 4,096 characters; what somebody may see and what a token may are joined to that.
MAX_LENGTH: Final = 16_384
MAX_DEPTH: Final = 50
# Each is a condition for every server; values of `in` are no terms.
MAX_TERMS: Final = 400
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", re.ASCII)
_EQUAL: Final = ("=", "==", "!=")
_LIKE: Final = ("~", "!~")
_ORDER: Final = ("<", "<=", ">", ">=")
_KEYWORDS: Final = ("and", "or", "not", "in", "notin", "all")
_TERM: Final = "a key, 'not', 'all' or '('"


def parse(text: str) -> Selector:
    """The tree of a selector. Raises InvalidArgument `SELECTOR_INVALID` with the fields `position` (characters from 1)
    and `expected`; an empty text is an error too."""
    if len(text) > MAX_LENGTH:
        raise selector_invalid(MAX_LENGTH + 1, f"at most {MAX_LENGTH} characters", f"{len(text)}")
    return _Parser(split(text)).whole()


class _Parser:
    def __init__(self, words: list[Word]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0
        self._terms = 0

    @property
    def _here(self) -> Word:
        return self._words[self._at]

    def whole(self) -> Selector:
        tree = self._list()
        if self._here.kind is not WordKind.END:
            raise self._wrong("'and', 'or', ',' or the end")
        return tree

    def _list(self) -> Selector:
        found, mixed = [], None
        while True:
            term, place_of_or = self._either()
            found.append(term)
            mixed = mixed or place_of_or
            if mixed is not None and (len(found) > 1 or self._here.sign == ","):
                raise selector_invalid(mixed.position, "parentheses around 'or' beside a comma", mixed.shown)
            if not self._took_sign(","):
                return _joined(And, found)

    def _either(self) -> tuple[Selector, Word | None]:
        found, first = [self._both()], None
        while self._here.keyword == "or":
            first = first or self._here
            self._at += 1
            found.append(self._both())
        return _joined(Or, found), first

    def _both(self) -> Selector:
        found = [self._one()]
        while self._took_keyword("and"):
            found.append(self._one())
        return _joined(And, found)

    def _one(self) -> Selector:
        if self._here.keyword == "not" or self._here.sign == "!":
            return self._deeper(lambda: Not(self._one()))
        if self._here.sign == "(":
            return self._deeper(self._group)
        if self._here.keyword == "all":
            return self._all()
        return self._term()

    def _deeper(self, read: Callable[[], Selector]) -> Selector:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"at most {MAX_DEPTH} levels of 'not' and parentheses")
        self._at += 1
        tree = read()
        self._depth -= 1
        return tree

    def _group(self) -> Selector:
        tree = self._list()
        if not self._took_sign(")"):
            raise self._wrong("'and', 'or', ',' or ')'")
        return tree

    def _all(self) -> Selector:
        self._at += 1
        if self._here.sign in (*_EQUAL, *_LIKE, *_ORDER) or self._here.keyword in ("in", "notin"):
            raise self._wrong("nothing to compare 'all' with (a label of this name is label.all)")
        return All()

    def _term(self) -> Selector:
        key = self._here
        if key.kind is not WordKind.WORD or key.keyword in _KEYWORDS:
            raise self._wrong(_TERM)
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self._wrong(f"at most {MAX_TERMS} terms (many values of one key are one term with 'in')")
        attribute = _attribute(key)
        self._at += 1
        word = self._here
        if word.sign in (*_EQUAL, *_LIKE, *_ORDER):
            self._at += 1
            return _comparison(attribute, word, self._value())
        if self._took_set_operator():
            tree = _joined(Or, [_equal(attribute, value) for value in self._values()])
            return Not(tree) if word.keyword != "in" else tree
        if attribute.source is Source.SERVER:
            raise self._wrong(f"an operator: every server has {attribute.name}")
        return Exists(attribute)

    def _took_set_operator(self) -> bool:
        following = self._words[self._at + 1].keyword if self._here.keyword == "not" else ""
        if following == "in":
            self._at += 1
        return self._took_keyword("in") or self._took_keyword("notin")

    def _values(self) -> list[Word]:
        if not self._took_sign("("):
            raise self._wrong("'(' and a list of values")
        found = [self._value()]
        while self._took_sign(","):
            found.append(self._value())
        if not self._took_sign(")"):
            raise self._wrong("',' or ')'")
        return found

    def _value(self) -> Word:
        word = self._here
        if word.kind not in (WordKind.WORD, WordKind.QUOTED):
            raise self._wrong("a value")
        self._at += 1
        return word

    def _took_sign(self, sign: str) -> bool:
        took = self._here.sign == sign
        self._at += took
        return took

    def _took_keyword(self, keyword: str) -> bool:
        took = self._here.keyword == keyword
        self._at += took
        return took

    def _wrong(self, expected: str) -> InvalidArgument:
        return selector_invalid(self._here.position, expected, self._here.shown)


def _joined(kind: type[And] | type[Or], terms: list[Selector]) -> Selector:
    if len(terms) == 1:
        return terms[0]
    if kind is Or and all(isinstance(term, In) for term in terms):
        sets = [term for term in terms if isinstance(term, In)]
        if len({term.attribute for term in sets}) == 1:
            return In(sets[0].attribute, tuple(value for term in sets for value in term.values))
    return kind(tuple(terms))


def _attribute(key: Word) -> Attribute:
    source, dot, name = key.text.partition(".")
    if dot and source == "label":
        return _label(key, name)
    if dot and source == "fact":
        if name not in FACTS:
            raise selector_invalid(key.position, f"a fact: {', '.join(sorted(FACTS))}", key.shown)
        return FACTS[name]
    if key.text in OF_SERVERS:
        return OF_SERVERS[key.text]
    return FACTS[key.text] if key.text in SHORT_FACTS else _label(key, key.text)


def _label(key: Word, name: str) -> Attribute:
    if not is_label_key(name):
        raise selector_invalid(key.position, "a label's key", key.shown)
    return Attribute(Source.LABEL, name)


def _comparison(attribute: Attribute, sign: Word, value: Word) -> Selector:
    if sign.sign in _ORDER:
        if attribute.kind is not Kind.NUMBER:
            raise selector_invalid(sign.position, f"=, != or in: {attribute.name} is no number", sign.shown)
        return Compare(attribute, sign.sign, _number(value))
    if sign.sign in _LIKE:
        if attribute.kind is not Kind.TEXT:
            raise selector_invalid(sign.position, f"another operator: {attribute.name} has no patterns", sign.shown)
        like = Like(attribute, value.text)
        return like if sign.sign == "~" else Not(like)
    equal = _equal(attribute, value)
    return Not(equal) if sign.sign == "!=" else equal


def _equal(attribute: Attribute, value: Word) -> Selector:
    if attribute.kind is Kind.NUMBER:
        return Compare(attribute, "=", _number(value))
    return In(attribute, (_checked(attribute, value),))


def _checked(attribute: Attribute, value: Word) -> str:
    """A value that a server can have. One that none can have is refused: with `!=` it would mean all of them."""
    text, name = value.text, attribute.name
    if value.kind is WordKind.WORD and ("*" in text or "?" in text):
        raise selector_invalid(value.position, "a whole value ('~' compares with a pattern)", value.shown)
    if attribute.source is Source.LABEL:
        if not is_label_value(text):
            raise selector_invalid(value.position, "a value that a label can have", value.shown)
    elif name == "status" and text not in STATUSES:
        raise selector_invalid(value.position, f"one of {', '.join(STATUSES)}", value.shown)
    elif name == "id" and not is_id(text):
        raise selector_invalid(value.position, "the id of a server", value.shown)
    elif name == "name" and not is_name(text):
        raise selector_invalid(value.position, "a server's name (a-z, 0-9, '-', '_', '.')", value.shown)
    elif name == "address":
        return _address(value)
    return text


def _address(value: Word) -> str:
    try:
        return checked_address(value.text)
    except InvalidArgument:
        raise selector_invalid(value.position, "a host name or an IP address", value.shown) from None


def _number(value: Word) -> Decimal:
    if not _NUMBER.fullmatch(value.text):
        raise selector_invalid(value.position, "a number", value.shown)
    return Decimal(value.text)
