"""What mutate_derivatives.py and mutate_kernels.py share: a copy of the tree with all mutants in it, built once."""
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def put(path, content):
    """Touches the file only where it changes, so that little is built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def copy_tree(copy, changed):
    """Makes `copy` the tree that git knows, with the sources of {name: source} in the place of its own and
    without what else is there, but for its folder build."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    names = [name for name in listed.decode().split("\0") if (ROOT / name).is_file()]
    for name in names:
        put(copy / name, changed[name].encode() if name in changed else (ROOT / name).read_bytes())
        shutil.copymode(ROOT / name, copy / name)
    for name in changed.keys() - set(names):
        put(copy / name, changed[name].encode())
    for path in [path for path in copy.rglob("*") if path.is_file()]:
        name = str(path.relative_to(copy))
        if name not in changed and name not in names and not name.startswith("build"):
            path.unlink()


def build_copy(copy, options, targets):
    configure = ["cmake", "-S", copy, "-B", copy / "build", *options]
    make = ["cmake", "--build", copy / "build", "--parallel", "2", "--target", *targets]
    with open(copy / "build.log", "w") as log:
        if any(subprocess.run(step, stdout=log, stderr=log).returncode for step in (configure, make)):
            raise SystemExit(f"does not build: see {copy / 'build.log'}")


def wanted(mutants, words):
    """Those whose file or text holds one of the words; without words, all."""
    return [m for m in mutants if any(word in m.file or word in m.text for word in words or [""])]
