"""What the documentation says is what the program does: nothing undocumented, nothing documented that is not there."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path, PurePath

import click
import pytest

from app import settings
from app.cli.main import main
from app.factory import CREDENTIAL, House, web_app
from app.identity import gate
from app.kernel.errors import BadInput, GarduError
from app.kernel.fields import Action, Outcome, Role
from app.mandates.rules import RULES as MANDATE_RULES
from app.policy import decide, engine
from app.touch import fresh, record
from app.touch.change import RULES as CHANGE_RULES
from app.voters.routes import READERS as READING_ROLES
from app.voters.undo import RULES as UNDO_RULES
from app.web import csrf, errors

ROOT = Path(__file__).parent.parent.parent
APP, DOCS = ROOT / "app", ROOT / "docs"
PAGES = [
    path
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "policies" / "README.md", *sorted(DOCS.glob("*.md")))
    if path.is_file()
]
COMMON = {"--data", "--json"}
# No variable overrides these.
IN_THE_FILE_ONLY = {"demo", "keys", "keys_old"}
# Flask's configuration, not a variable of the environment.
NO_VARIABLES = {"GARDU_CSRF_KEY"}
# These read an action's name; everything else that names one writes it.
READERS = {APP / "kernel" / "fields.py", APP / "identity" / "labels.py", APP / "custody" / "storecheck.py", APP / "audit" / "siem_ocsf.py"}
# Made by `make`, not kept.
MADE = ("bench/results", "docs/shots")


# ---- reading a page ----


@cache
def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def rows(text: str, head: str) -> list[list[str]]:
    """Return the rows of every table whose first column is headed *head*."""
    found: list[list[str]] = []
    wanted, last = False, ""
    for line in text.splitlines():
        if line.startswith("|") and not last.startswith("|"):
            wanted = cells(line)[0] == head
        elif line.startswith("|") and wanted and not re.fullmatch(r"[|\-: ]+", line):
            found.append(cells(line))
        last = line
    return found


def words(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def first(row: list[str]) -> str:
    return words(row[0])[0]


def unique(names: list[str]) -> set[str]:
    assert len(set(names)) == len(names), sorted(names)
    return set(names)


# ---- commands ----


def commands(group: click.Command = main, path: tuple[str, ...] = ("gardu",)) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its full name."""
    if isinstance(group, click.Group):
        for name in sorted(group.commands):
            yield from commands(group.commands[name], (*path, name))
    else:
        yield " ".join(path), group


COMMANDS = dict(commands())


@cache
def sections() -> dict[str, str]:
    """Return the text of docs/commands.md under each command's heading."""
    parts = re.split(r"^## `(gardu [^`]+)`$", page("commands.md"), flags=re.M)
    assert len(set(parts[1::2])) == len(parts[1::2])
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def spoken(param: click.Parameter) -> str:
    """Return how a person writes *param*: ``--out`` or ``FILE``."""
    if isinstance(param, click.Argument):
        return str(param.metavar or param.name).upper()
    return max(param.opts, key=len)


def said(module: ast.Module, name: str, seen: set[str]) -> set[str]:
    """Return the keys of the object that function *name* of *module*, or one it calls there, prints under --json."""
    known = {node.name: node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}
    if name in seen or name not in known:
        return set()
    seen.add(name)
    keys: set[str] = set()
    for node in ast.walk(known[name]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "result":
            keys |= {keyword.arg for keyword in node.keywords if keyword.arg}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            keys |= said(module, node.func.id, seen)
    return keys


def test_every_command_is_documented_and_no_other() -> None:
    """docs/commands.md has a section and a line in its list for each command, and links them."""
    listed = unique([first(row) for row in rows(page("commands.md"), "Command")])

    assert set(sections()) == set(COMMANDS) == listed


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_commands_options_are_documented(name: str) -> None:
    """Each option and argument stands in the command's table with its default, and no other does."""
    command, text = COMMANDS[name], sections()[name]
    table = {first(row).split()[0]: row for row in rows(text, "Option")}
    params = {spoken(param): param for param in command.params}

    assert set(table) == set(params) - COMMON
    assert ("neither `--data` nor `--json`" in text) == (not COMMON & set(params))
    for word in set(params) - COMMON:
        default = params[word].to_info_dict()["default"]
        assert ("required" in table[word][1]) == params[word].required, word
        if isinstance(default, int | str) and not isinstance(default, bool):
            assert str(default) in table[word][1], word


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_commands_json_keys_are_documented(name: str) -> None:
    """Each key of the object that --json prints is named in the command's section."""
    function = inspect.unwrap(COMMANDS[name].callback or (lambda: None))
    module = ast.parse(inspect.getsource(inspect.getmodule(function) or function))
    keys = said(module, function.__name__, set())
    noted = "".join(re.findall(r"^JSON keys:.*?(?:\n\n|\Z)", sections()[name], flags=re.M | re.S))

    assert keys <= set(words(noted)), name
    assert bool(keys) == ("JSON keys: `" in noted), name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_has_an_example(name: str) -> None:
    assert re.search(rf"^```\n{name}(?: |$)", sections()[name], flags=re.M)


def blocks(text: str) -> Iterator[str]:
    """Yield the lines of fenced code, continued lines joined."""
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```", text, flags=re.M | re.S):
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of every ``gardu`` called in a line of shell."""
    try:
        tokens = shlex.split(line, comments=True)
    except ValueError:
        assert not line.startswith("gardu"), line
        return
    for at, token in enumerate(tokens[:-1]):
        if PurePath(token).name == "gardu" and re.fullmatch(r"[a-z][a-z-]*;?", tokens[at + 1]):
            ends = (end for end in range(at, len(tokens)) if re.match(r"\d?[<>|;&]|\)", tokens[end]))
            yield [token.rstrip(";)") for token in tokens[at + 1 : next(ends, len(tokens))]]


def check_call(arguments: list[str], *, whole: bool) -> None:
    """Fail unless these arguments name a command and its options; *whole*: they could be typed as they stand."""
    command: click.Command = main
    rest = list(arguments)
    while isinstance(command, click.Group) and rest:
        if not whole and rest[0] in {"…", "*"}:
            return
        assert rest[0] in command.commands, arguments
        command = command.commands[rest.pop(0)]
    context = click.Context(command)
    known = {option for param in command.params for option in param.opts} | {"-h", "--help"}
    assert {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)} <= known, arguments
    if whole:
        given, _, _ = command.make_parser(context).parse_args(rest)
        assert [param.name for param in command.params if param.required and not given.get(str(param.name))] == [], arguments


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_could_be_typed(path: Path) -> None:
    """Every gardu command in a page is a real one with real options; those in code blocks are complete."""
    text = path.read_text("utf-8")
    for line in blocks(text):
        for arguments in calls(line):
            check_call(arguments, whole=True)
    for span in re.findall(r"`(gardu [a-z][^`]*)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)):
        for arguments in calls(" ".join(span.split())):
            check_call(arguments, whole=False)


# ---- pages ----


def _roles(allowed: frozenset[Role]) -> str:
    """Return whom a page lets in, as docs/pages.md writes it: role ids in alphabetical order, or the word for all who read the roll."""
    if allowed == set(READING_ROLES):
        return "readers"
    return ", ".join(f"`{role.value}`" for role in sorted(allowed))


def test_every_route_is_documented_and_no_other(sqlite_house: House) -> None:
    """docs/pages.md lists each method and address, and whom it lets in."""
    app = web_app(sqlite_house)
    who = {"public": "anybody", "half": "half", "full": "signed in"}
    found = {}
    for rule in app.url_map.iter_rules():
        access = gate.access_of(app, rule.endpoint)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            found[method, re.sub(r"<[^:>]+:", "<", rule.rule)] = _roles(access.roles) if access.roles else who[access.level.value]
    table = rows(page("pages.md"), "Method")

    assert {(row[0], first(row[1:])): row[2] for row in table} == found
    assert len(table) == len(found)


REQUEST = {"form", "args", "files", "values"}


def fields_read(source: str) -> set[str]:
    """Return the names that a module reads by word from a form, an address or a file sent in."""
    tree, found = ast.parse(source), set[str]()
    holders = {"form"}

    def holds(node: ast.expr) -> bool:
        return (isinstance(node, ast.Attribute) and node.attr in REQUEST) or (isinstance(node, ast.Name) and node.id in holders)

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else node.targets
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            holders |= {str(getattr(to, "id", "")) for to, value in zip(targets, values, strict=False) if holds(value)}
    for node in ast.walk(tree):
        asked: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "getlist"}:
            asked = node.args[0] if holds(node.func.value) else None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_number":
            asked = node.args[0]
        elif isinstance(node, ast.Subscript) and holds(node.value):
            asked = node.slice
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn) and holds(node.comparators[0]):
            asked = node.left
        if isinstance(asked, ast.Constant) and isinstance(asked.value, str):
            found.add(asked.value)
    return found


def test_every_field_is_documented() -> None:
    """Whatever a page reads from a form or an address is named in docs/pages.md."""
    read: set[str] = {csrf.FIELD}
    for path in APP.rglob("*routes.py"):
        read |= fields_read(path.read_text("utf-8"))
    read |= set(
        re.findall(r"for name in \(((?:\"\w+\"(?:, )?)+)\)", (APP / "identity" / "routes.py").read_text("utf-8"))[0]
        .replace('"', "")
        .split(", ")
    )

    assert {"file", "diam", "after", "ground", "decision", "desa", "limit"} <= read
    assert read - set(words(page("pages.md"))) == set()


def test_every_stable_name_in_the_html_is_documented() -> None:
    """data-label only feeds the narrow layout; every other data attribute is a name that scripts use."""
    used = {name for path in APP.rglob("*.html") for name in re.findall(r"\b(data-[a-z-]+)=", path.read_text("utf-8"))} - {"data-label"}

    assert used == {first(row) for row in rows(page("pages.md"), "Attribute")} - {'name="csrf_token"'}


def leaves(kind: type[GarduError] = GarduError) -> Iterator[type[GarduError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from leaves(below)


def test_every_error_code_is_documented_with_its_status() -> None:
    """The codes of the error tree and of the error pages, and no other."""
    found = {leaf.code: str(leaf.status) for leaf in leaves() if leaf.__module__.startswith("app.")}
    found |= {one.code: str(one.status) for one in (*errors.PAGES.values(), errors.page_for(BadInput(field=csrf.FIELD)))}

    assert {first(row): row[1] for row in rows(page("pages.md"), "Code")} == {**found, "unsafe-start": "–"}


# ---- settings ----


def test_every_setting_is_documented() -> None:
    """Each with its default and the variable that overrides it; no other."""
    table = {first(row): row for row in rows(page("settings.md"), "Setting")}
    assert set(table) == {field.name for field in fields(settings.Settings)}
    for field in fields(settings.Settings):
        row = table[field.name]
        variable = "–" if field.name in IN_THE_FILE_ONLY else f"`GARDU_{field.name.upper()}`"
        default = field.default.provider if isinstance(field.default, settings.Keys) else field.default

        assert row[3] == variable, field.name
        if default is not MISSING:
            assert row[2] == str(default).lower(), field.name


def test_every_setting_of_a_key_provider_is_documented() -> None:
    """docs/keys.md has each name of the table [keys], for whom it is, and whether it must be there; no other."""
    table = {first(row): row for row in rows(page("keys.md"), "Name")}
    every = {
        name: {provider for provider, (known, _) in settings.PROVIDERS.items() if name in known} for name in table if name != "provider"
    }

    assert set(table) == {field.name for field in fields(settings.Keys)}
    assert {name: set(row[1].split(", ")) for name, row in table.items() if name != "provider"} == every
    for name, providers in every.items():
        must = any(name in settings.PROVIDERS[provider][1] for provider in providers)
        assert ("required" in table[name][2]) == must, name


def test_every_variable_of_the_environment_is_documented() -> None:
    found = {"CREDENTIALS_DIRECTORY"}
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"GARDU_[A-Z_]+", node.value):
                found.add(node.value)

    assert {name for name in found - NO_VARIABLES if name not in page("settings.md")} == set()


def test_the_service_file_starts_what_it_says() -> None:
    """The unit calls a real command and hands over the credential under the name the program looks for."""
    unit = (ROOT / "deploy" / "gardu.service").read_text("utf-8")
    [start] = re.findall(r"^ExecStart=(.+)$", unit, flags=re.M)
    [arguments] = calls(start)

    check_call(arguments, whole=True)
    assert f"LoadCredentialEncrypted={CREDENTIAL}:" in unit
    assert f"--name={CREDENTIAL} " in page("settings.md")


def test_the_proxy_sample_keeps_addresses_and_bodies_to_itself() -> None:
    """No path or query in a log line, nothing on disk, no header of ours overwritten, no address believed."""
    conf = re.sub(r"#.*", "", (ROOT / "deploy" / "nginx.conf").read_text("utf-8"))
    formats = " ".join(re.findall(r"log_format (.*?);", conf, flags=re.S))

    assert not re.search(r"\$(request\b|request_uri|uri|args|query_string|arg_|http_referer|remote_addr)", formats)
    assert {one.split()[-1] for one in re.findall(r"access_log ([^;]+);", conf)} == {"off", "gardu"}
    assert {"proxy_request_buffering off;", "proxy_max_temp_file_size 0;", "proxy_set_header X-Forwarded-For $remote_addr;"} <= {
        line.strip() for line in conf.splitlines()
    }
    assert "add_header" not in conf
    # What costs time and asks for no login has a rate.
    assert re.search(r"location = /log/verify \{[^}]*limit_req zone=gardu_verify", conf)


# ---- the log and the rules ----


def test_every_action_and_outcome_is_documented() -> None:
    """docs/actions.md has each action, each outcome once, and no pair twice."""
    table = [(first(row), row[1].strip("`")) for row in rows(page("actions.md"), "Action")]

    assert {action for action, _ in table} == {action.value for action in Action}
    assert unique([first(row) for row in rows(page("actions.md"), "Outcome")]) == {outcome.value for outcome in Outcome}
    assert {outcome for _, outcome in table} <= {"–", *(outcome.value for outcome in Outcome)}
    assert len(set(table)) == len(table)


def test_an_action_is_reserved_exactly_when_nothing_writes_it() -> None:
    source = "\n".join(path.read_text("utf-8") for path in APP.rglob("*.py") if path not in READERS)
    written = {Action[name].value for name in re.findall(r"\bAction\.([A-Z_]+)\b", source)}
    reserved = {first(row) for row in rows(page("actions.md"), "Action") if row[1] == "–" and row[2].startswith("reserved")}

    assert reserved == {action.value for action in Action} - written


RULES_OF_ROOMS = frozenset(rule for rules in (CHANGE_RULES, MANDATE_RULES, UNDO_RULES) for rule in rules)


def test_every_policy_rule_is_documented_with_its_title() -> None:
    """docs/rules.md has each @id of the access files and the ids the code adds, and no other."""
    found = {}
    for path in sorted((ROOT / "policies" / "access").glob("*.cedar")):
        for block in path.read_text("utf-8").split("@id(")[1:]:
            title = re.search(r'@title\("([^"]+)"\)', block)
            found[block.split('"')[1]] = title[1] if title else ""
    table = rows(page("rules.md"), "Id")
    # A room that names rules of its own lists them in RULES.
    added = {decide.WRONG_LEVEL, decide.SEARCH_NEEDS_FULL, engine.NO_RULE, record.ENGINE_FAILED, record.UNSEEN_POLICY, fresh.STALE_WITNESS}
    added |= RULES_OF_ROOMS

    assert unique([first(row) for row in table]) == set(found) | added
    assert {first(row): row[1] for row in table if first(row) in found} == found


# ---- links, versions, targets ----


def slugs(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text("utf-8"), flags=re.M | re.S)
    heads = re.findall(r"^#+ +(.+?) *$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    """Relative links name a file that is there, and a heading in it."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text("utf-8"), flags=re.M | re.S)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (anchor and anchor not in slugs(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_named_is_there(path: Path) -> None:
    """A path in backticks below app/, docs/, tests/ … exists."""
    named = re.findall(r"`((?:app|bench|deploy|docs|migrations|policies|requirements|tests)/[\w./-]*)`", path.read_text("utf-8"))

    assert [name for name in named if not name.startswith(MADE) and not (ROOT / name).exists()] == []


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", page("README.md")))

    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= linked


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_make_target_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.M))
    text = path.read_text("utf-8")
    named = {line.split()[1] for line in blocks(text) if re.match(r"make [a-z]", line)} | set(re.findall(r"`make ([a-z]+)", text))

    assert named <= targets


def test_one_version_everywhere() -> None:
    """The program, the distribution and the changelog speak of the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["version"] == settings.VERSION
    assert re.search(rf"^## {re.escape(settings.VERSION)}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.M)
