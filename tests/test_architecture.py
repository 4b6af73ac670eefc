"""The shape of the project, held by a few lines of `ast`: who may import whom, and what stands at the top."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "spanledger_semconv": ROOT / "semconv" / "spanledger_semconv",
    "spanledger": ROOT / "instrumentation" / "spanledger",
    "spanledger_exporter": ROOT / "exporter" / "spanledger_exporter",
}
MAY_IMPORT = {
    "spanledger_semconv": frozenset[str](),
    "spanledger": {"spanledger_semconv"},
    "spanledger_exporter": {"spanledger_semconv"},
}
TOP_LEVEL = {"semconv", "instrumentation", "exporter", "tests", "examples"}
TOP_LEVEL_FILES = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", ".gitattributes"}
CLIENT_LIBRARIES = {"openai", "anthropic", "google", "mcp", "mistralai", "cohere", "groq", "ollama", "litellm"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def modules(package: str) -> Iterator[Path]:
    """Every module of a package."""
    return PACKAGES[package].rglob("*.py")


def imports(module: Path, *, only_at_import: bool = False) -> set[str]:
    """Return the dotted names that a module imports: anywhere in it, or only when it is itself imported."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in _executed_at_import(tree) if only_at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def _executed_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Walk everything but the bodies of functions and of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _executed_at_import(child)


def top(name: str) -> str:
    """Return the first part of a dotted name."""
    return name.partition(".")[0]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_each_area_imports_no_area_but_semconv(package: str) -> None:
    """Instrumentation and exporter meet only through OpenTelemetry, and semconv knows nobody."""
    allowed = MAY_IMPORT[package] | {package}
    wrong = {
        str(module.relative_to(ROOT)): sorted(foreign)
        for module in modules(package)
        if (foreign := {top(name) for name in imports(module)} & set(PACKAGES) - allowed)
    }
    assert wrong == {}


def test_semconv_imports_neither_opentelemetry_nor_a_database() -> None:
    """Names and meanings are plain data."""
    imported = {top(name) for module in modules("spanledger_semconv") for name in imports(module, only_at_import=True)}
    assert not imported & {"opentelemetry", "clickhouse_connect", "chdb", *CLIENT_LIBRARIES}


def test_only_the_embedded_backend_imports_the_embedded_engine() -> None:
    """An application that forks after `import chdb` loses rows: the engine lives in one module, in one process."""
    importers = [
        str(module.relative_to(PACKAGES["spanledger_exporter"]))
        for package in PACKAGES
        for module in modules(package)
        if "chdb" in {top(name) for name in imports(module)}
    ]
    assert all(importer.startswith("store/") for importer in importers), importers
    assert len(importers) <= 1, importers


def test_no_client_library_is_imported_at_import_time() -> None:
    """Patches wait until the application imports its library: an import would cost it up to 0.7 seconds."""
    wrong = {
        str(module.relative_to(ROOT)): sorted(found)
        for module in modules("spanledger")
        if (found := {top(name) for name in imports(module, only_at_import=True)} & CLIENT_LIBRARIES)
    }
    assert wrong == {}


def test_the_instrumentation_does_not_import_the_sdk() -> None:
    """An application may have the OpenTelemetry API alone; then every call must cost next to nothing."""
    wrong = {
        str(module.relative_to(ROOT))
        for module in modules("spanledger")
        if any(name.startswith("opentelemetry.sdk") for name in imports(module, only_at_import=True))
    }
    assert wrong == set()


def test_the_top_level_is_closed() -> None:
    """Three areas, tests, examples, and the files that every project has."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    names = {Path(line).parts[0] for line in listed if line}
    if not names:
        pytest.skip("not a git checkout: the list of the project's own files is not known")
    assert names - {".ci"} <= TOP_LEVEL | TOP_LEVEL_FILES


def test_no_module_has_a_name_that_says_nothing() -> None:
    """An idea has a name; `utils` is none."""
    vague = [str(module) for package in PACKAGES for module in modules(package) if module.stem in VAGUE_NAMES]
    assert vague == []


def test_no_module_of_the_product_is_longer_than_500_lines() -> None:
    """A module has one noun; the generated table of attributes is the exception."""
    long = {
        str(module.relative_to(ROOT)): count
        for package in PACKAGES
        for module in modules(package)
        if module.name != "attributes.py" and (count := len(module.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert long == {}


def test_the_walk_sees_imports_at_any_depth_and_tells_them_from_lazy_ones(tmp_path: Path) -> None:
    """The rules above are only as good as the walk: it is tried on a module that breaks them."""
    module = tmp_path / "module.py"
    module.write_text("import a.b\ntry:\n    from c import d\nexcept ImportError: ...\ndef f():\n    import e\n")
    assert imports(module) == {"a.b", "c", "e"}
    assert imports(module, only_at_import=True) == {"a.b", "c"}
