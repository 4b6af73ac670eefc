"""Registers prompts: an `artifact` row each, then the registry file.

The row comes first: if the process dies between the two, registering again writes the row a second time, which is
harmless; the other order could leave a prompt matched that no row says anything about.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spanledger_exporter.normalise.parts import ContentPolicy, Parts
from spanledger_exporter.prompts.prompt_file import Prompt
from spanledger_exporter.prompts.registry import load_prompts, new_prompts, save_prompts
from spanledger_exporter.recorder import Recorder, RowId


def register_prompts(recorder: Recorder, found: Sequence[Prompt], *, registry: Path, person: str) -> list[Prompt]:
    """Register those of `found` that are new or have another owner or labels, and return them.

    Raises PromptConflictError, before anything is written, when a name and version would get a second text.
    """
    registered = load_prompts(registry)
    fresh = new_prompts(registered, found)
    for prompt in fresh:
        record_prompt(recorder, prompt, person=person)
    if fresh:
        save_prompts(registry, list({(one.name, one.version): one for one in [*registered, *fresh]}.values()))
    return fresh


def record_prompt(recorder: Recorder, prompt: Prompt, *, person: str) -> RowId:
    """Write the `artifact` row of one prompt, with its template as content."""
    parts = Parts(ContentPolicy())
    items = parts.text(prompt.template, "template", role="system", content_class="artifact")
    artifact = {
        "kind": "prompt",
        "name": prompt.name,
        "version": prompt.version,
        "digest": prompt.digest,
        **({"owner": prompt.owner} if prompt.owner else {}),
        **({"labels": dict(prompt.other)} if prompt.other else {}),
    }
    envelope = {
        "event_type": "artifact",
        "name": f"register prompt {prompt.name} {prompt.version}",
        "actor": {"type": "user", "id": person},
        "artifact": artifact,
        "snapshot": {"prompt": {"name": prompt.name, "version": prompt.version}},
        "input": items,
        "outcome": "success",
    }
    return recorder.record(envelope, parts.contents)
