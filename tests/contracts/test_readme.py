"""The README's own words: its example of a defense, its commands, its example file."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import torch

from leakboard.diffusion import Parts, Schedule
from leakboard.oracles import Empirical, draw

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_defense_of_the_readme_keeps_the_contract(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "blur.py").write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("blur", tmp_path / "blur.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["blur"] = module
    spec.loader.exec_module(module)
    model = Empirical(draw(10), Schedule.linear())
    x, t = torch.randn(4, 1, 8, 8), torch.tensor(300)
    plain = model(x, t, step=0)
    weak, strong = (module.Defense(share=s).guard(Parts([model])) for s in (0.0, 0.5))
    assert torch.equal(weak(x, t, step=0), plain)
    assert not torch.allclose(strong(x, t, step=0), plain)
    torch.testing.assert_close(strong(x, t, step=0)[2:3], strong(x[2:3], t, step=0))


def test_every_make_target_that_pages_name_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"(?:`|^)make ([a-z]+)", (ROOT / page).read_text(), re.MULTILINE))
        assert named, page
        assert named <= targets, page


def test_every_file_that_the_readme_links_exists():
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_example_runs_and_shows_the_defense_at_work():
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^(\w+) +copies +([\d.]+)%", done.stdout, re.MULTILINE))
    assert float(rows["none"]) > 90
    assert float(rows["cpsample"]) < 10


def test_the_command_line_lists_what_is_there():
    done = subprocess.run(
        [sys.executable, "-m", "leakboard.cli", "list"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name in ("cpsample", "secmi", "random-labels", "digits", "descriptor"):
        assert f"  {name} " in done.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "leakboard.cli", "list", "defences"], capture_output=True, text=True
    )
    assert wrong.returncode == 1
    assert "did you mean 'defenses'" in wrong.stderr
