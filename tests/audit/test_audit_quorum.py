"""Policies: the specification's example, every rule of its text, and when a quorum is met."""

from __future__ import annotations

import itertools
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.cosign import MLDSA_AVAILABLE, Cosigner, Kind
from app.audit.note import Signer
from app.audit.quorum import MOST, Policy, parse_policy, policy_text
from app.kernel.errors import BadInput


def key(name: str) -> str:
    return Cosigner(f"saksi.example/{name}", sha256(name.encode()).digest()).vkey


def log(name: str) -> str:
    return Signer(f"log.example/{name}", sha256(name.encode()).digest()).vkey


K = {name: key(name) for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3", "A", "B", "C")}
# The example of tlog-policy, with keys.
EXAMPLE = f"""log {log("1")}

witness X1 {K["X1"]}
witness X2 {K["X2"]} https://x2.example/w
witness X3 {K["X3"]}
group X-witnesses 2 X1 X2 X3

witness Y1 {K["Y1"]}
witness Y2 {K["Y2"]}
witness Y3 {K["Y3"]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""
A, B, C = (f"witness {name} {K[name]}\n" for name in "ABC")


def test_the_specifications_example_is_met_exactly_when_it_should() -> None:
    """Over all 64 sets of cosigners: two of X and one of Y."""
    policy = parse_policy(EXAMPLE)
    names = ("X1", "X2", "X3", "Y1", "Y2", "Y3")

    for bits in itertools.product((False, True), repeat=6):
        there = {name for name, bit in zip(names, bits, strict=True) if bit}
        wanted = len(there & {"X1", "X2", "X3"}) >= 2 and bool(there & {"Y1", "Y2", "Y3"})
        assert policy.met({K[name] for name in there}) == wanted
    assert policy.witnesses["X2"][1] == "https://x2.example/w"
    assert [(one.name, url) for one, url in policy.logs] == [("log.example/1", None)]


@pytest.mark.parametrize(
    ("text", "enough", "short"),
    [
        ("quorum none\n", [()], []),
        (A + "quorum none\n", [(), ("A",)], []),
        (A + "quorum A\n", [("A",), ("A", "B")], [(), ("B",)]),
        (A + B + "group g all A B\nquorum g\n", [("A", "B")], [("A",), ("B",), ()]),
        (A + B + "group g any A B\nquorum g\n", [("A",), ("B",)], [(), ("C",)]),
        (A + B + C + "group g 2 A B C\nquorum g\n", [("A", "C"), ("A", "B", "C")], [("A",), ("C",)]),
        (f"\t# catatan é\n \t\n\twitness \t A {K['A']}  \t\nquorum\tA\n{B}", [("A",)], [("B",)]),
    ],
)
def test_quorums(text: str, enough: list[tuple[str, ...]], short: list[tuple[str, ...]]) -> None:
    """Sets of cosigners that are enough, and sets that are not."""
    policy = parse_policy(text)

    assert all(policy.met({K[name] for name in names}) for names in enough)
    assert not any(policy.met({K[name] for name in names}) for names in short)


def test_a_name_is_no_key() -> None:
    """A quorum is asked with keys that were verified; the names of a policy count for nothing."""
    assert not parse_policy(A + "quorum A\n").met({"A"})


RENAMED = Cosigner("other.example", sha256(b"A").digest()).vkey
REFUSED = [
    ("", 1, "without a quorum"),
    (A, 2, "without a quorum"),
    (A + "quorum A", 2, "newline"),
    (A + "quorum A\r\n", 2, "0x0d"),
    (A + "quorum A\x00\n", 2, "0x00"),
    (A + "quorum A\x7f\n", 2, "0x7f"),
    (A + "quorum A\nquorum A\n", 3, "second quorum"),
    (A + "quorum\n", 2, "write: quorum"),
    (A + "quorum A B\n", 2, "write: quorum"),
    ("quorum A\n" + A, 1, "define it first"),
    (A + "quorum a\n", 2, "define it first"),
    (A + A + "quorum A\n", 2, "taken"),
    (A + f"witness Z {K['A']}\nquorum A\n", 2, "same public key"),
    (A + f"witness Z {RENAMED}\nquorum A\n", 2, "same public key"),
    (f"log {log('1')}\nlog {log('1')} https://x\nquorum none\n", 2, "same public key"),
    (f"witness none {K['A']}\nquorum none\n", 1, "taken"),
    (A + "group A any A\nquorum A\n", 2, "taken"),
    (A + "group g any none\nquorum g\n", 2, "define it first"),
    (A + "group g any g\nquorum g\n", 2, "define it first"),
    (A + "group g any\nquorum g\n", 2, "write: group"),
    (A + "group g any A A\nquorum g\n", 2, "member already"),
    (A + B + "group g any A\ngroup h all A B\nquorum h\n", 4, "member already"),
    *[(A + f"group g {k} A\nquorum g\n", 2, "the number of members") for k in ("0", "2", "-1", "01", "1.0", "some", "９", "9999")],
    (A + "witness B\nquorum A\n", 2, "write: witness"),
    (A + f"witness B {K['B']} https://x y\nquorum A\n", 2, "write: witness"),
    (A + "witness B b+00000000+AAAA\nquorum A\n", 2, "verifier key"),
    (f"witness L {log('1')}\nquorum L\n", 1, "0x01"),
    (f"log {K['A']}\nquorum none\n", 1, "0x04"),
    ("log\nquorum none\n", 1, "write: log"),
    ("Witness A x\nquorum none\n", 1, "begins with"),
    ("quorum none # nobody\n", 1, "write: quorum"),
    # U+00A0 and U+2003 are no white space here, as U+0085 and U+2028 end no line.
    (A + "quorum\u00a0A\n", 2, "begins with"),
    (A + "quorum A\u2003\n", 2, "define it first"),
    (A + "quorum none\u2028quorum A\n", 2, "write: quorum"),
    (A + "quorum \u212a\n", 2, "define it first"),
    ("x" * 1_000_001, 1, "1 MB"),
]


@pytest.mark.parametrize(("text", "line", "what"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_names_the_line(text: str, line: int, what: str) -> None:
    """The number of the line, what is wrong in it, as text and as a file's bytes."""
    for given_text in (text, text.encode()):
        with pytest.raises(BadInput, match=what) as refused:
            parse_policy(given_text)
        assert refused.value.field == "policy"
        assert refused.value.detail.startswith(f"policy, line {line}: ")


def test_names_are_opaque_octets() -> None:
    """What is not UTF-8 may name a witness; two such names stay two."""
    text = b"witness \xff %s\nwitness \xfe %s\ngroup g 2 \xff \xfe\nquorum g\n" % (K["A"].encode(), K["B"].encode())

    policy = parse_policy(text)

    assert len(policy.witnesses) == 2
    assert policy.met({K["A"], K["B"]}) and not policy.met({K["A"]})


@pytest.mark.parametrize("what", ["log", "witness", "group"])
def test_a_policy_may_have_many_of_each_but_not_any_number(what: str) -> None:
    """At least the 32 that the specification asks for; one over our limit names the line."""

    def text(count: int) -> str:
        witnesses = "".join(f"witness w{n} {key(f'w{n}')}\n" for n in range(count if what == "witness" else min(count, MOST)))
        lines = {
            "log": "".join(f"log {log(str(n))}\n" for n in range(count)),
            "witness": witnesses,
            "group": witnesses + "".join(f"group g{n} any {f'w{n}' if n < MOST else f'g{n - 1}'}\n" for n in range(count)),
        }
        return lines[what] + "quorum none\n"

    assert len(getattr(parse_policy(text(MOST)), f"{what}es" if what == "witness" else f"{what}s")) == MOST >= 32
    with pytest.raises(BadInput, match=rf"line {MOST + 1 + (MOST if what == 'group' else 0)}: more than {MOST}"):
        parse_policy(text(MOST + 1))


@pytest.mark.skipif(not MLDSA_AVAILABLE, reason="an older cryptography")
def test_post_quantum_keys_are_keys() -> None:
    """ML-DSA-44 for a log and for a witness."""
    mine, its = Cosigner("saksi.example", bytes(32), Kind.ML_DSA_44).vkey, Cosigner("log.example/1", bytes(31) + b"1", Kind.ML_DSA_44).vkey

    policy = parse_policy(f"log {its}\nwitness s {mine}\nquorum s\n")

    assert policy.met({mine})
    assert policy.verifiers[0].vkey == mine


@pytest.mark.parametrize("threshold", [None, 0, 1, 2])
def test_a_policy_is_written_as_it_is_read(threshold: int | None) -> None:
    """So many of two witnesses; with a name that the group would have liked."""
    witnesses = {"quorum": (K["A"], "https://a.example"), "b": (K["B"], None)}

    policy = parse_policy(policy_text(witnesses, threshold, [(log("1"), None)]))

    assert {name: (one.vkey, url) for name, (one, url) in policy.witnesses.items()} == witnesses
    enough = [policy.met(set()), policy.met({K["A"]}), policy.met({K["A"], K["B"]})]
    assert enough == [(2 if threshold is None else threshold) <= count for count in range(3)]


def test_one_witness_is_the_quorum_itself() -> None:
    assert policy_text({"bawaslu": (K["A"], None)}) == f"witness bawaslu {K['A']}\nquorum bawaslu\n"


@pytest.mark.parametrize(
    ("witnesses", "threshold"),
    [
        ({"a\nquorum none": (K["A"], None)}, None),
        ({"a b": (K["A"], None)}, None),
        ({"": (K["A"], None)}, None),
        ({"a": (K["A"], "https://x\nquorum none")}, None),
        ({"a": (K["A"], "")}, None),
        ({"none": (K["A"], None)}, None),
        ({"a": ("rubbish", None)}, None),
        ({"a": (K["A"], None), "b": (K["A"], None)}, None),
        ({"a": (K["A"], None)}, 2),
        ({"a": (K["A"], None)}, -1),
        ({"a": (K["A"], None), "b": (K["B"], None)}, 3),
        ({"a": (K["A"], None), "b": (K["B"], None)}, -1),
        ({}, 1),
    ],
)
def test_nothing_is_smuggled_into_a_written_policy(witnesses: dict[str, tuple[str, str | None]], threshold: int | None) -> None:
    """No line, word or weaker quorum than was asked for."""
    with pytest.raises(BadInput) as refused:
        policy_text(witnesses, threshold)
    assert refused.value.field == "policy"


@given(
    st.lists(
        st.sampled_from(["witness", "group", "quorum", "log", "A", "g", K["A"], "any", "2", "none", "\n", " ", "\t", "#", "\r", "\xa0"])
    )
)
def test_any_text_is_a_policy_or_refused(words: list[str]) -> None:
    """Never anything but a Policy or BadInput."""
    try:
        assert isinstance(parse_policy(" ".join(words)), Policy)
    except BadInput as refused:
        assert refused.field == "policy"
