"""`gardu policy`: check the policies, print the matrix, explain one decision. Needs no installation."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.cli.shell import FOUND, Shell, command
from app.kernel.clock import SystemClock
from app.kernel.fields import Element, Purpose, Role, Stage
from app.kernel.regions import parse_region
from app.policy.check import check, matrix_of
from app.policy.decide import Policies
from app.policy.explain import Explanation
from app.policy.matrix import matrix_csv
from app.policy.visit import Visit
from app.settings import shipped
from app.web.i18n import translator


def register(group: click.Group) -> None:
    """Add `policy` to *group*."""

    @group.group("policy")
    def policy() -> None:
        """The policies: who may see which view of which element."""

    @command(policy, "check")
    @click.option("--policies", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Another policy folder.")
    def check_folder(shell: Shell, policies: Path | None) -> None:
        """Check format, schema, lint, fixtures, matrix and mutation, in this order (exit 1 when a step fails)."""
        steps = check(policies or shipped("policies"), SystemClock().now(), progress=lambda name: shell.say(f"… {name}"))
        for step in steps:
            shell.say(f"{'ok' if step.ok else '!!'} {step.name}")
            for message in step.messages:
                shell.say(f"     {message}")
        shell.result(steps=[{"name": step.name, "ok": step.ok, "messages": step.messages} for step in steps])
        if not all(step.ok for step in steps):
            sys.exit(FOUND)

    @command(policy, "matrix")
    @click.option("--policies", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Another policy folder.")
    def print_matrix(shell: Shell, policies: Path | None) -> None:
        """Print the complete decision matrix as CSV; it must equal policies/matrix.csv."""
        text = matrix_csv(matrix_of(policies or shipped("policies"), SystemClock().now()))
        click.echo(text, nl=False) if not shell.as_json else shell.result(matrix=text)

    _explain(policy)


def _explain(policy: click.Group) -> None:
    @command(policy, "explain")
    @click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
    @click.option("--office-region", required=True, help="Jurisdiction of the person's office, e.g. 51.71.")
    @click.option("--region", help="The region asked [default: the office's].")
    @click.option("--stage", required=True, type=click.Choice([stage.value for stage in Stage]))
    @click.option("--purpose", type=click.Choice([purpose.value for purpose in Purpose]), help="[default: the role's]")
    @click.option(
        "--element", "elements", multiple=True, type=click.Choice([element.value for element in Element]), help="[default: all 13]"
    )
    @click.option("--factor-age", type=click.IntRange(0, 10**9), default=0, show_default=True, help="Seconds since the last code.")
    @click.option("--lang", type=click.Choice(["id", "en"]), default="id", show_default=True)
    def explain(
        shell: Shell, role: str, office_region: str, region: str | None, stage: str, purpose: str | None,
        elements: tuple[str, ...], factor_age: int, lang: str,
    ) -> None:  # fmt: skip
        """Say which rule decides each element for one visit, on which basis, and how to see more."""
        now = SystemClock().now()
        policies = Policies.load(shipped("policies"), now)
        entry = policies.catalog.roles[Role(role)]
        chosen = Purpose(purpose) if purpose else entry.purpose
        if chosen is None:
            raise click.UsageError(f"role {role} never visits voter data; name a --purpose to see why")
        visit = Visit(
            person="contoh", office="contoh", unit="data", role=Role(role), roles=frozenset({Role(role)}),
            jurisdiction=parse_region(office_region), region=parse_region(region or office_region), purpose=chosen, basis=entry.basis,
            election="contoh", stage=Stage(stage), moment=now, factor_age=factor_age,
        )  # fmt: skip
        found = [policies.explain_visit(visit, Element(word)) for word in elements or tuple(Element)]
        words = translator(lang)
        for one in found:
            shell.say(f"{one.element.value:14} {one.view.word:8} {', '.join(one.rules)}")
            shell.say(f"{'':14} {(one.title_en if lang == 'en' else words(one.title))}. {one.basis}")
            shell.say(f"{'':14} {_more(one, lang)}")
        shell.result(policy=policies.hash, elements={one.element.value: {"view": one.view.word, "rules": one.rules} for one in found})


def _more(one: Explanation, lang: str) -> str:
    return translator(lang)(one.sentence) % one.params[lang]
