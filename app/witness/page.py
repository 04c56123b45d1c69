"""The witness's page: who it is, how far each log has come, and in large letters whether one of them showed two histories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from html import escape
from urllib.parse import quote

from babel.dates import format_datetime, format_timedelta
from babel.numbers import format_decimal

from app.audit.cosign import CosignVerifier
from app.kernel.clock import rfc3339
from app.kernel.regions import zone_of
from app.witness.core import Doubt, Held
from app.witness.desk import Standing
from app.witness.evidence import HELD, SHOWN, Case

LANGUAGES = {"id": "Bahasa Indonesia", "en": "English"}
# Takes a sentence in Indonesian and in English, gives the one that is read.
Say = Callable[[str, str], str]
# Indonesian writes 11.30 (PUEBI), English 11:30.
_PATTERN = {"id": "d MMM y HH.mm.ss", "en": "d MMM y, HH:mm:ss"}

# Status by shape and word, never by colour: colours belong to parties.
STYLE = """\
:root { color-scheme: light dark; --paper: #f4f4f7; --surface: #fff; --ink: #23262f; --soft: #555a69; --line: #7d8294; --accent: #574b74; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171c; --surface: #1d2027; --ink: #e7e8ed; --soft: #abb0be; --line: #80869a; --accent: #c0b4dc; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 48rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.2; }
a { color: var(--accent); }
a, summary { padding: .25rem 0; display: inline-block; }
a:focus-visible, summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.verdict { font-size: clamp(1.5rem, 6vw, 2.5rem); line-height: 1.2; font-weight: 700; margin: 1rem 0; padding: 1rem;
  background: var(--surface); border: 2px solid var(--line); }
.verdict.fork { border: .5rem double var(--ink); }
.verdict.open { border-style: dashed; }
section { background: var(--surface); border: 1px solid var(--line); padding: 0 1rem 1rem; margin: 1rem 0; }
dt { color: var(--soft); margin-top: .75rem; }
dd { margin: 0; }
code, .root { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .875rem; }
"""


def render(verifier: CosignVerifier, standings: Sequence[Standing], now: datetime, language: str) -> str:
    """Return the page as HTML. *language*: ``id`` or ``en``."""

    def say(indonesian: str, english: str) -> str:
        return english if language == "en" else indonesian

    other = "id" if language == "en" else "en"
    title = say("Saksi jejak audit", "Witness of the audit trail")
    logs = "".join(_log(standing, now, say, language) for standing in standings)
    none = say("Saksi ini belum mengawasi log mana pun.", "This witness does not watch any log yet.")
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · {escape(verifier.name)}</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header>
<p><a href="/?lang={other}" hreflang="{other}" lang="{other}">{LANGUAGES[other]}</a></p>
<h1>{title}</h1>
<p>{say(*_PURPOSE)}</p>
</header>
<main>
{_verdict(standings, say)}
{logs or f"<p>{none}</p>"}
<section>
<h2>{say("Saksi ini", "This witness")}</h2>
<dl>
<dt>{say("Nama", "Name")}</dt><dd>{escape(verifier.name)}</dd>
<dt>{say("Kunci pemeriksa", "Verifier key")}</dt><dd><code>{escape(verifier.vkey)}</code></dd>
</dl>
<p><a href="/key">{say("Unduh kunci pemeriksa", "Download the verifier key")}</a></p>
<p>{say(*_LIMITS)}</p>
</section>
</main>
</body>
</html>
"""


_PURPOSE = (
    "Saksi menandatangani titik periksa log hanya setelah terbukti bahwa log itu hanya bertambah: tidak ada entri yang diubah, dihapus, atau diganti.",
    "A witness signs a log's checkpoint only once it is proved that the log has only grown: no entry was changed, removed or replaced.",
)
_LIMITS = (
    "Saksi ini tidak menyimpan data pemilih dan tidak melihat isi log. Ia tidak dapat mengetahui peristiwa yang tidak pernah dicatat.",
    "This witness holds no voter data and does not see what is in the log. It cannot know of an event that was never logged.",
)


def _verdict(standings: Sequence[Standing], say: Say) -> str:
    if any(standing.of(Doubt.FORK) for standing in standings):
        kind, mark, text = "fork", "✖", say("ADA BUKTI LOG BERCABANG", "THERE IS EVIDENCE OF A FORKED LOG")
    elif any(standing.of(Doubt.UNPROVEN) for standing in standings):
        kind, mark, text = (
            "open",
            "?",
            say("Tidak ada bukti log bercabang; ada yang belum terbukti", "No evidence of a fork; something is unproven"),
        )
    else:
        kind, mark, text = "good", "✓", say("Tidak ada bukti log bercabang", "No evidence of a forked log")
    return f'<p class="verdict {kind}" role="status"><span aria-hidden="true">{mark}</span> {text}</p>'


def _log(standing: Standing, now: datetime, say: Say, language: str) -> str:
    held = standing.held
    facts = _facts(held, now, say, language) if held else f"<p>{say('Belum ada titik periksa.', 'No checkpoint yet.')}</p>"
    forks = _cases(standing.of(Doubt.FORK), say(*_FORK), language)
    unproven = _cases(standing.of(Doubt.UNPROVEN), say(*_UNPROVEN), language)
    return f"<section>\n<h2>{escape(standing.origin)}</h2>\n{facts}\n{forks}{unproven}</section>"


_FORK = (
    "Log bercabang: kunci log menandatangani dua riwayat yang bertentangan, berukuran sama dengan akar yang berbeda",
    "Forked log: the log's key signed two histories that contradict each other, of one size with different roots",
)
_UNPROVEN = (
    "Belum terbukti: ada titik periksa yang lebih besar tanpa bukti yang sah. Ini belum bukti cabang; mintalah bukti konsistensi kepada pemilik log",
    "Unproven: a larger checkpoint came without a valid proof. This is not yet evidence of a fork; ask the owner of the log for a proof of consistency",
)


def _facts(held: Held, now: datetime, say: Say, language: str) -> str:
    size = format_decimal(held.checkpoint.size, locale=language)
    return f"""<dl>
<dt>{say("Jumlah entri", "Entries")}</dt><dd>{size}</dd>
<dt>{say("Ditandatangani saksi", "Cosigned")}</dt><dd>{_moment(held.at, language)} ({_ago(held.at, now, say, language)})</dd>
<dt>{say("Akar", "Root")}</dt><dd class="root">{held.checkpoint.root.hex()}</dd>
</dl>
<p><a href="/checkpoint/{quote(held.checkpoint.origin)}">{say("Titik periksa bertanda tangan", "Signed checkpoint")}</a></p>"""


def _cases(cases: Sequence[Case], heading: str, language: str) -> str:
    if not cases:
        return ""
    lines = "".join(
        f"<li>{_moment(case.at, language)}: "
        + " · ".join(
            f'<a href="/evidence/{case.name}/{file}">{file} ({format_decimal(size, locale=language)})</a>'
            for file, size in ((HELD, case.size_held), (SHOWN, case.size_shown))
        )
        + "</li>"
        for case in cases
    )
    return f"<h3>{heading}</h3>\n<ul>{lines}</ul>\n"


def _moment(at: datetime, language: str) -> str:
    # The witness stands in Jakarta, whatever it watches.
    return f'<time datetime="{rfc3339(at)}">{format_datetime(at, _PATTERN[language], tzinfo=zone_of("00"), locale=language)} WIB</time>'


def _ago(at: datetime, now: datetime, say: Say, language: str) -> str:
    if at > now + timedelta(minutes=1):
        return say("jam saksi ini mundur: periksa jamnya", "this witness's clock went back: check it")
    if now - at < timedelta(minutes=1):
        return say("baru saja", "just now")
    return str(format_timedelta(at - now, granularity="minute", add_direction=True, locale=language))
