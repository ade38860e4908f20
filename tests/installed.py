"""What must work where the wheel alone is installed, with no extra: run by `make release-check`, in an empty folder.

Nothing of the source tree is used: this file is run by its path, and the package comes from the environment.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import amodal

AMODAL = Path(sys.executable).parent / "amodal"
SCENES = "--count 2 --size 64 64 --num-objects 2 3 --workers 1"
QUICK = "--iterations 1 --batch-size 1 --workers 0 --device cpu"
COMMANDS = [
    "--version",
    "predict {sample} --out seen",
    f"synth --out scenes {SCENES}",
    f"train eth80_mask_rcnn_small --train scenes --val scenes --out run {QUICK}",
    "evaluate run/model.safetensors scenes --workers 0 --device cpu --out report.json --html report.html",
    "complete scenes/annotations.json --out whole.json",
    "convert scenes/annotations.json kins.json --to kins",
]
REFUSED = {
    "cutouts scenes/images": "pip install 'amodal[cutouts]'",
    "bench figure5 run/model.safetensors": "pip install 'amodal[paper]'",
    "export completer completer.onnx": "pip install 'amodal[onnx]'",
    "demo": "pip install 'amodal[page]'",
}
"""What needs an extra, and what it says without."""


def run(words: str) -> subprocess.CompletedProcess[str]:
    print(f"amodal {words}", flush=True)
    return subprocess.run([AMODAL, *words.split()], capture_output=True, text=True, check=False)


def main() -> None:
    assert Path(amodal.__file__).is_relative_to(sys.prefix), f"{amodal.__file__} is not the installed package"
    there = [name for name in ("matplotlib", "sklearn", "cv2", "onnx", "gradio") if importlib.util.find_spec(name)]
    assert not there, f"extras are installed: {there}"
    for words in COMMANDS:
        done = run(words.format(sample=amodal.sample()))
        assert done.returncode == 0, done.stdout + done.stderr
    for words, remedy in REFUSED.items():
        done = run(words)
        assert done.returncode == 2 and remedy in done.stderr, done.stdout + done.stderr
    for name in ("seen/sheet.jpg", "report.html", "report.json", "whole.json"):
        assert Path(name).is_file(), name
    print(f"amodal {amodal.__version__} as installed: all is well")


if __name__ == "__main__":
    main()
