"""The house: which module may import which, and what no start-up may wait for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "conv_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))

ALLOWED = {
    "errors": set(),
    "borders": {"errors"},
    "colormaps": set(),
    "notebooks": set(),
    "colors": {"errors"},
    "io": {"errors"},
    "parallel": {"errors", "io"},
    "kernels": {"errors", "io", "notebooks"},
    "correlation": {"errors", "borders", "parallel"},
    "layers": {"errors", "borders", "correlation"},
    "finding": {"correlation", "errors", "parallel"},
    "images": {"errors", "io", "notebooks", "parallel"},
    "networks": {"colors", "borders", "correlation", "errors", "io", "kernels", "layers"},
    "pipeline": {
        "borders", "colormaps", "colors", "correlation", "errors", "finding", "images", "io", "kernels", "networks", "parallel",
    },
    "filtering": {"borders", "correlation", "errors", "images", "kernels", "layers", "pipeline"},
    "fitting": {
        "borders", "colors", "correlation", "errors", "images", "io", "kernels", "layers", "notebooks", "parallel",
    },
    "probing": {
        "borders", "colors", "correlation", "errors", "fitting", "images", "io", "kernels", "layers", "pipeline",
    },
    "report": {
        "borders", "colormaps", "correlation", "errors", "fitting", "images", "io", "kernels", "networks", "pipeline", "probing",
    },
    "lesson": {
        "borders", "colormaps", "correlation", "errors", "filtering", "finding", "fitting", "images", "kernels", "layers", "networks", "pipeline", "report",
    },
    "cli": {
        "borders", "colormaps", "correlation", "errors", "fitting", "images", "io", "kernels", "lesson", "networks", "parallel", "pipeline", "probing", "report",
    },
    "__main__": {"cli"},
    "__init__": {"filtering", "finding", "fitting", "images", "kernels", "layers", "networks"},
}  # fmt: skip
"""Room -> the rooms it may import. Every arrow goes one way: a room may only name rooms above it."""


def room_of(module):
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(module):
    """Yield the dotted names that a module imports, those inside functions too."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_rooms(module):
    """Return the rooms of conv_cli that a module imports from, its own left out."""
    names = [n.split(".") for n in imports_of(module) if n.split(".")[0] == "conv_cli"]
    return {parts[1] for parts in names} - {room_of(module)}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_go_one_way(module):
    assert own_rooms(module) <= ALLOWED[room_of(module)]


def test_allowed_imports_have_no_circle():
    order = list(ALLOWED)
    for room in order[:-2]:
        assert all(order.index(other) < order.index(room) for other in ALLOWED[room])


def module_name(module):
    parts = module.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_imports_itself_by_a_detour_lazy_or_not():
    names = {module_name(module) for module in MODULES}
    graph = {
        module_name(module): {
            max((n for n in names if f"{name}.".startswith(f"{n}.")), key=len)
            for name in imports_of(module)
            if name.split(".")[0] == "conv_cli"
        }
        for module in MODULES
        if module_name(module) != "conv_cli"  # its public names are loaded when they are asked for
    }
    done = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in graph.get(name, ()):
                if other != name:
                    visit(other, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("click", "cli"),
        ("PIL", "images"),
        ("tifffile", "images"),
        ("zarr", "images"),
        ("onnx", "networks"),
        ("distributed", "parallel"),
    ],
)
def test_library_has_one_importer(library, home):
    importers = {
        room_of(module)
        for module in MODULES
        if library in {name.split(".")[0] for name in imports_of(module)}
    }
    assert importers == {home}


def test_engines_do_not_know_each_other():
    engines = {"direct", "gemm", "columns", "separable", "fft"}
    for module in (PACKAGE / "correlation").glob("*.py"):
        if module.stem in engines | {"plan"}:
            imported = {
                name.split(".")[2] for name in imports_of(module) if ".correlation." in name
            }
            assert not imported & (engines - {module.stem}) - {"plan", "scratch"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["apply", "--help"], ["kernels", "--help"]]
    + [["kernels", name, "--help"] for name in ("list", "show", "convert", "compose", "rotate")]
    + [["explain", "--help"], ["find", "--help"], ["guide", "--help"]]
    + [["net", "--help"], ["net", "fit", "--help"]]
    + [["net", "audit", "--help"], ["kernels", "dense", "--help"]],
)
def test_help_does_not_wait_for_numpy_and_pillow(arguments):
    code = (
        "import sys; from conv_cli import __main__ as main\n"
        f"sys.argv = ['conv-cli', *{arguments!r}]\n"
        "try: main.main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "late = {'numpy', 'PIL'} & set(sys.modules)\n"
        "assert not late, late"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    import conv_cli

    for name in conv_cli.__all__:
        assert getattr(conv_cli, name).__doc__
    assert set(conv_cli.__all__) <= set(dir(conv_cli))
    with pytest.raises(AttributeError, match="no attribute 'corr3d'"):
        _ = conv_cli.corr3d
