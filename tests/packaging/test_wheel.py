"""What a user gets: the contents of the wheel, and an installed package that Jupyter finds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = "jupyterlab_casa-{version}.data/data/"


def run(*command: str) -> str:
    """The output of ``python -m command``, both streams."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    target = tmp_path_factory.mktemp("wheel")
    run("pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), ".")
    (path,) = target.glob("*.whl")
    return zipfile.ZipFile(path)


def sources(package: str) -> set[str]:
    """All files of ``package`` that git knows or would add, relative to the folder that holds it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", package],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.splitlines()
    return {path.partition("/")[2] for path in listed if (ROOT / path).exists()}


@pytest.mark.parametrize(
    "package",
    ["python/casa_recompute", "python/jupyterlab_casa", "kernel/casa_kernel"],
    ids=os.path.basename,
)
def test_wheel_holds_each_package_whole(wheel: zipfile.ZipFile, package: str) -> None:
    expected = sources(package)
    assert f"{Path(package).name}/__init__.py" in expected
    assert expected <= set(wheel.namelist())


def test_wheel_holds_what_is_no_python(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert "casa_recompute/tasks/effects.toml" in names
    assert any(name.startswith("jupyterlab_casa/") and name.endswith(".ipynb") for name in names)


def test_wheel_brings_only_our_packages(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.startswith("jupyterlab_casa-")} == {
        "casa_recompute",
        "casa_kernel",
        "jupyterlab_casa",
    }


def test_wheel_brings_kernel_extension_and_configuration(wheel: zipfile.ZipFile) -> None:
    (version,) = re.findall(r"^Version: (.*)$", metadata(wheel), re.MULTILINE)
    assert version == json.loads((ROOT / "package.json").read_text())["version"]
    data = DATA.format(version=version)
    lab = f"{data}share/jupyter/labextensions/jupyterlab-casa/"
    kernel = f"{data}share/jupyter/kernels/casa/"

    spec = json.loads(wheel.read(f"{kernel}kernel.json"))
    assert spec["display_name"] == "CASA"
    assert spec["argv"] == ["python", "-m", "casa_kernel", "-f", "{connection_file}"]
    names = set(wheel.namelist())
    assert {f"{kernel}logo-svg.svg", f"{kernel}logo-32x32.png", f"{kernel}logo-64x64.png"} <= names

    assert json.loads(wheel.read(f"{lab}install.json"))["packageName"] == "jupyterlab-casa"
    built = json.loads(wheel.read(f"{lab}package.json"))["jupyterlab"]["_build"]
    schema = ROOT / "labextension" / "schema"
    schemas = {f"{lab}schemas/jupyterlab-casa/{path.name}" for path in schema.glob("*.json")}
    assert schemas and {f"{lab}{built['load']}"} | schemas <= names
    code = b"".join(wheel.read(name) for name in names if name.startswith(f"{lab}static/") and name.endswith(".js"))
    styles = [path.read_text() for path in (ROOT / "labextension" / "style").glob("*.css")]
    for style in filter(None, (re.search(r"^\.jp-[\w-]+", text, re.MULTILINE) for text in styles)):
        assert style[0].encode() in code
    config = json.loads(wheel.read(f"{data}etc/jupyter/jupyter_server_config.d/jupyterlab_casa.json"))
    assert config["ServerApp"]["jpserver_extensions"] == {"jupyterlab_casa": True}


FIND = """
import json
from jupyterlab_server.translation_utils import get_language_pack
data, message = get_language_pack("de_DE")
print(json.dumps({"ours": data.get("jupyterlab_casa"), "theirs": len(data.get("jupyterlab", ())), "message": message}))
"""


def test_jupyterlab_finds_the_german_texts_of_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """Beside its own; as the server answers them to the browser."""
    wheel.extractall(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", FIND], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["message"] == "" and found["theirs"] > 100
    assert found["ours"]["stale"] == ["veraltet"] and found["ours"]["%1 cell"] == ["%1 Zelle", "%1 Zellen"]


def test_wheel_pins_casa_and_brings_the_command(wheel: zipfile.ZipFile) -> None:
    text = metadata(wheel)
    for requirement in ("casatasks==6.7.0.31", "casatools==6.7.0.31", "casadata==2025.9.22", "numpy<2.4"):
        assert f"Requires-Dist: {requirement}" in text
    assert "jupyter-casa = jupyterlab_casa.cli:main" in entry_points(wheel)


def test_the_kernel_names_a_provisioner_that_comes_with_it(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("kernels/casa/kernel.json"))
    provisioner = json.loads(wheel.read(name))["metadata"]["kernel_provisioner"]["provisioner_name"]
    (_, found) = entry_points(wheel).split("[jupyter_client.kernel_provisioners]")
    assert f"{provisioner} = jupyterlab_casa.provisioner:CasaProvisioner" in found


def entry_points(wheel: zipfile.ZipFile) -> str:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    return wheel.read(name).decode()


def metadata(wheel: zipfile.ZipFile) -> str:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return wheel.read(name).decode()


def test_jupyter_finds_the_lab_extension() -> None:
    assert re.search(r"jupyterlab-casa v\S+ enabled +OK", run("jupyter", "labextension", "list"))


def test_jupyter_finds_the_server_extension() -> None:
    assert re.search(r"jupyterlab_casa \S+ OK", run("jupyter", "server", "extension", "list"))


def test_jupyter_finds_the_kernel() -> None:
    specs = json.loads(run("jupyter", "kernelspec", "list", "--json", "--log-level", "ERROR"))["kernelspecs"]
    assert specs["casa"]["spec"]["display_name"] == "CASA"
