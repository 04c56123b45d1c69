"""The function for programs, which pages call with what a person pasted; and what is said in which language."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import verifier
from tests.verifier.verifier_kit import BAWASLU, NOW, SIGNER, Check, entries, export_of, note_of, policy_of, proof_of

FILE = Path(verifier.__file__)
BODIES = entries(5)
NOTE = note_of(BODIES, BAWASLU)
TEXTS = {"receipt": proof_of(BODIES, 3, NOTE), "checkpoint": NOTE, "export": export_of(BODIES, NOTE).decode()}


# ---- check_text ----


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("wrap", ["{}", "\r\n  {}\r\n\r\n", "{}\t", "\n{}"])
def test_pasted_text_is_recognised_and_checked(kind: str, wrap: str) -> None:
    """Its kind is found, forms' line ends and the white space around it do not matter."""
    text = wrap.format(TEXTS[kind].strip()).replace("\n", "\r\n")

    for asked in ("auto", kind):
        report = verifier.check_text(asked, text, key=SIGNER.vkey, policy=policy_of("bawaslu"), now=NOW)
        assert (report.code, report.result, report.verdict, report.facts["kind"]) == (0, "good", "BAIK", kind)
        assert report.steps[-1] == (True, "Kuorum tercapai (bawaslu, 1/2 saksi).")


def test_the_four_results() -> None:
    """Good, coherent, tampered, unchecked; each with its exit code and its sentence."""

    def of(text: str, **more: str) -> tuple[str, int, str]:
        report = verifier.check_text("auto", text, english=True, now=NOW, **more)  # type: ignore[arg-type]
        return report.result, report.code, report.verdict

    assert of(NOTE, key=SIGNER.vkey) == ("good", 0, "GOOD")
    assert of(NOTE) == ("coherent", 0, "COHERENT, BUT NOT PROVEN: signature not checked")
    assert of(NOTE.replace("\n5\n", "\n6\n"), key=SIGNER.vkey) == ("tampered", 1, "TAMPERED OR BROKEN")
    assert of("hello", key=SIGNER.vkey) == ("unchecked", 2, "COULD NOT CHECK")


@pytest.mark.parametrize(
    ("kind", "text", "more"),
    [
        ("auto", "", {}),
        ("auto", "\x00", {}),
        ("auto", "\ud800", {}),
        ("receipt", "\ud800" * 9, {}),
        ("tiles", "x", {}),
        ("release", "gardu-release@1\n", {}),
        ("", NOTE, {}),
        ("auto", "c2sp.org/tlog-proof@v1\n" + "A" * 1_000_000, {}),
        ("auto", NOTE + " " * 3_000_000, {}),
        ("auto", NOTE, {"policy": "#\n" * 1001 + "quorum none\n"}),
        ("auto", NOTE, {"key": ""}),
        ("auto", NOTE, {"key": "/etc/hostname"}),
        ("auto", NOTE, {"key": "\ud800"}),
        ("auto", NOTE, {"policy": ""}),
        ("auto", NOTE, {"policy": "/etc/hostname"}),
        ("auto", NOTE, {"policy": "\ud800quorum none\n"}),
        ("auto", NOTE, {"policy": "quorum none\n", "hours": float("nan")}),
    ],
)
def test_what_cannot_be_checked_is_a_report(kind: str, text: str, more: dict[str, object]) -> None:
    """No text, key or policy makes it raise, and none of them is ever taken for the name of a file."""
    report = verifier.check_text(kind, text, **more)  # type: ignore[arg-type]

    assert (report.code, report.result) == (2, "unchecked")
    assert report.steps[-1][0] is False and "hostname" not in report.steps[-1][1]


@given(kind=st.sampled_from(["auto", *TEXTS]), start=st.sampled_from(sorted(TEXTS)), cut=st.integers(0, 900), junk=st.text(max_size=200))
@settings(deadline=None, max_examples=300)
def test_any_text_ends_in_a_report(kind: str, start: str, cut: int, junk: str) -> None:
    """Any text after any good beginning: a report, and never a good one."""
    text = TEXTS[start][:cut] + junk
    if text.strip() == TEXTS[start].strip():
        return

    report = verifier.check_text(kind, text, key=SIGNER.vkey)

    # A whole checkpoint with further lines of unknown keys is still the log's.
    assert report.code in {1, 2} or text.startswith(TEXTS[start].rpartition("—")[0])


@given(name=st.sampled_from(sorted(TEXTS)), data=st.data())
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_bit_counts(name: str, data: st.DataObject) -> None:
    """A bit turned in a receipt, checkpoint or export is refused; only the witness's line is a stranger's without a policy."""
    good = TEXTS[name].strip().encode()
    at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
    bent = (good[:at] + bytes([good[at] ^ (1 << bit)]) + good[at + 1 :]).decode("utf-8", "replace")

    report = verifier.check_text("auto", bent, key=SIGNER.vkey, policy=policy_of("bawaslu"), now=NOW)

    assert report.code in {1, 2}, bent


def test_nothing_of_an_entry_that_does_not_hold_is_shown(run: Check, tmp_path: Path) -> None:
    """Who is shown a file that was changed should not read in it."""
    (tmp_path / "receipt").write_text(proof_of(BODIES, 3, note_of(BODIES[:4])), "utf-8")

    code, out = run("receipt", tmp_path / "receipt", "--key", SIGNER.vkey)

    assert code == 1 and "host:3" not in out


# ---- words ----

# The same word in both languages.
SAME = {"hash ", "Checkpoint ()"}


def said() -> list[ast.Call]:
    """Return every call in the verifier's source that says something to people."""
    calls = [node for node in ast.walk(ast.parse(FILE.read_text("utf-8"))) if isinstance(node, ast.Call)]
    words = {"step", "Tampered", "CannotCheck", "unbase64", "number", "check_note"}
    return [call for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) in words]


def test_every_message_stands_in_both_languages() -> None:
    """Two strings each, with the same values in them, and not the same words."""
    values = 0
    for call in said():
        pair = [one for one in call.args if isinstance(one, ast.JoinedStr | ast.Constant) and isinstance(getattr(one, "value", ""), str)]
        if not pair:  # handed on from where it was said
            assert ast.unparse(call) == "self.step(wrong.args[0], wrong.args[1], False)"
            continue
        told = [text for text in pair if not isinstance(text, ast.Constant) or text.value]
        assert len(told) == 2, ast.unparse(call)
        held = [sorted(ast.unparse(one.value) for one in ast.walk(text) if isinstance(one, ast.FormattedValue)) for text in told]
        words = ["".join(one.value for one in getattr(text, "values", [text]) if isinstance(one, ast.Constant)) for text in told]
        assert [name.replace("indonesian", "english") for name in held[0]] == held[1], ast.unparse(call)
        assert words[0] != words[1] or words[0] in SAME, ast.unparse(call)
        values += bool(held[0])
    assert len(said()) > 90 and values > 40


def test_indonesian_is_what_one_gets_unless_asked(run: Check, tmp_path: Path) -> None:
    """On the command line and in the function."""
    (tmp_path / "note").write_text(NOTE, "utf-8")
    plain, english = run("checkpoint", tmp_path / "note"), run("checkpoint", tmp_path / "note", "--lang", "en")

    assert "terbaca" in plain[1] and "UTUH" in plain[1] and "read" in english[1] and "COHERENT" in english[1]
    assert verifier.check_text("auto", NOTE).english is False


def test_help_and_usage_speak_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command's and option's help has two halves."""
    with pytest.raises(SystemExit) as left:
        verifier.main(["--help"])
    shown = capsys.readouterr().out

    assert left.value.code == 0
    for name, (_, told, _, _) in verifier.COMMANDS.items():
        assert name in shown and " / " in told


# ---- the file itself ----


def test_it_says_which_file_it_is(tmp_path: Path) -> None:
    """--version prints the SHA-256 of the very file that runs."""
    copy = tmp_path / "verify.py"
    copy.write_bytes(FILE.read_bytes())

    done = subprocess.run([sys.executable, "-I", copy, "--version"], capture_output=True, text=True, check=True)

    piped = subprocess.run([sys.executable, "-I", "-", "--version"], input=copy.read_bytes(), capture_output=True, check=False)

    assert done.stdout == f"verify.py SHA-256 {hashlib.sha256(copy.read_bytes()).hexdigest()}\n"
    assert piped.returncode == 2 and b"Traceback" not in piped.stderr


@pytest.mark.parametrize("words", [(), ("nothing",), ("receipt",), ("record", "x"), ("checkpoint", "x", "--max-age", "soon")])
def test_a_misspelt_command_is_exit_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """With a usage line and no traceback."""
    with pytest.raises(SystemExit) as left:
        verifier.main(list(words))

    assert left.value.code == 2 and "usage" in capsys.readouterr().err


def test_a_time_stamp_is_named_and_left_to_openssl(run: Check, tmp_path: Path) -> None:
    """Stamped is the note before any witness signed; the command line checks its imprint."""
    (tmp_path / "note").write_text(NOTE, "utf-8")
    published = note_of(BODIES)

    code, out = run("checkpoint", tmp_path / "note", "--key", SIGNER.vkey, "--stamp", "to ken.tsr", "--json")

    found = json.loads(out)
    assert (code, found["result"], found["imprint"]) == (0, "good", hashlib.sha256(published.encode()).hexdigest())
    assert f"openssl ts -verify -digest {found['imprint']} -in 'to ken.tsr' -CAfile ROOTS.pem" in found["steps"][-1]["text"]
