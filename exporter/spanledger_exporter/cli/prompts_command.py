"""`spanledger prompts`: register prompt files, list the prompts in use and those that nobody registered.

Exit status: 0 done · 64 a file is wrong, or a version would get a second text: nothing was registered.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from spanledger_exporter.cli.output import add_output_arguments, output_options, print_records
from spanledger_exporter.cli.reading import add_reading_arguments, opened
from spanledger_exporter.cli.talk import say
from spanledger_exporter.config import load_settings
from spanledger_exporter.errors import UsageError
from spanledger_exporter.prompts.prompt_file import Prompt, PromptFileError, find_prompt_files, read_prompt_file
from spanledger_exporter.prompts.registering import register_prompts
from spanledger_exporter.prompts.registry import FILE_NAME, conflicts, format_conflict, load_prompts
from spanledger_exporter.prompts.template import parse_template
from spanledger_exporter.read.access import login_name
from spanledger_exporter.read.inventory import in_use
from spanledger_exporter.recorder import open_recorder

EPILOG = """examples:
  spanledger prompts register prompts/
  spanledger prompts list
  spanledger prompts list --unmatched --format json

A prompt file is front matter and a template:

  ---
  name: triage
  version: 1.2.0
  owner: team-risk
  ---
  Sort this alert: {alert}

From then on calls made from that template carry its name and version, with no change to the application."""

COLUMNS = ("prompt_name", "prompt_version", "owner", "registered", "first_used", "last_used", "calls", "cost_usd")
UNMATCHED_COLUMNS = ("prompt_hash", "called_from", "first_used", "last_used", "calls", "example")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    register = actions.add_parser("register", help="register every prompt file under a directory")
    register.add_argument("directory", metavar="DIR", type=Path, help="where the prompt files are")
    listing = actions.add_parser("list", help="list registered prompts and prompts in use")
    listing.add_argument("--unmatched", action="store_true", help="only what calls used without a registered prompt")
    add_reading_arguments(listing)
    add_output_arguments(listing)


def run(arguments: argparse.Namespace) -> int:
    """Do one action."""
    if arguments.action == "register":
        return _register(arguments.directory)
    return _list_unmatched(arguments) if arguments.unmatched else _list(arguments)


def _register(directory: Path) -> int:
    settings = load_settings()
    registry = settings.directory / FILE_NAME
    found = _read_all(directory, registry)
    with open_recorder(settings, role="cli") as recorder:
        fresh = register_prompts(recorder, [prompt for _, prompt in found], registry=registry, person=login_name())
    for path, prompt in found:
        say(f"{prompt.name} {prompt.version}: {'registered' if prompt in fresh else 'known'} ({path})", by="")
        if not parse_template(prompt.template).is_specific:
            say(f"{prompt.name} {prompt.version}: too little fixed text to recognise calls by", by="")
    return 0


def _read_all(directory: Path, registry: Path) -> list[tuple[Path, Prompt]]:
    """Return the files' prompts. Raises UsageError that names every file that is wrong or would change a version."""
    if not directory.is_dir():
        raise UsageError(f"expected a directory of prompt files, got {directory}")
    found: list[tuple[Path, Prompt]] = []
    wrong: list[str] = []
    for path in find_prompt_files(directory):
        try:
            found.append((path, read_prompt_file(path)))
        except PromptFileError as error:
            wrong.append(str(error))
    clashing = {id(prompt) for prompt in conflicts(load_prompts(registry), [prompt for _, prompt in found])}
    wrong += [f"{path}: {format_conflict(prompt)}" for path, prompt in found if id(prompt) in clashing]
    if wrong:
        files = len(found) + len(wrong) - len(clashing)
        raise UsageError("\n".join([*wrong, f"{len(wrong)} of {files} prompt files are wrong: nothing was registered"]))
    if not found:
        raise UsageError(f"expected prompt files (.md, .txt, .prompt, .j2) under {directory}, found none")
    return found


def _list_unmatched(arguments: argparse.Namespace) -> int:
    with opened(arguments, "prompts", {"unmatched": True}) as (_, store):
        records = in_use(store, "unmatched", tenant=arguments.tenant)
    print_records(records, output_options(arguments), columns=UNMATCHED_COLUMNS)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with opened(arguments, "prompts", {}) as (settings, store):
        used = in_use(store, "prompts", tenant=arguments.tenant)
    registered = load_prompts(settings.directory / FILE_NAME)
    print_records(_joined(used, registered), output_options(arguments), columns=COLUMNS)
    return 0


def _joined(used: list[dict[str, Any]], registered: list[Prompt]) -> list[dict[str, Any]]:
    """Return a line per prompt in use, and one per registered prompt that nothing used yet."""
    known = {(prompt.name, prompt.version): prompt for prompt in registered}
    lines: list[dict[str, Any]] = []
    for record in used:
        prompt = known.pop((str(record["prompt_name"]), str(record["prompt_version"])), None)
        lines.append({**record, "owner": prompt.owner if prompt else "", "registered": prompt is not None})
    lines += [
        {
            "prompt_name": prompt.name,
            "prompt_version": prompt.version,
            "calls": 0,
            "owner": prompt.owner,
            "registered": True,
        }
        for prompt in known.values()
    ]
    return lines
