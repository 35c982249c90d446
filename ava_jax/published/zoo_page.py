"""The table of published files as Markdown, for docs/model_zoo.md."""

from collections.abc import Iterable

from ava_jax.published.table import PublishedFile, all_files, get

_MAIN = "python -m ava_jax.main"
# Whose features MMAction2's feature banks have.
_FEATURES = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"


def tables() -> str:
    """Detectors with their commands, what they start from, and other files."""
    files = all_files()
    detectors = [file for file in files if file.config]
    starts = [f for f in files if f.kind == "pretrained" and not f.unsupported]
    others = [f for f in files if f.kind not in ("detector", "pretrained")]
    parts = [
        "## Detectors",
        _table(
            ("name and commands", "data set", "published mAP", "published by"),
            (
                (_section_link(f), f.dataset, _mean_ap(f), f"[{f.release}]({f.url})")
                for f in detectors
            ),
        ),
        *map(_detector, detectors),
        "## What training starts from",
        _table(
            ("name", "data set", "published by"),
            ((f"`{f.name}`", f.dataset, f"[{f.release}]({f.url})") for f in starts),
        ),
        "## Other files",
        _table(
            ("name", "what it is", "source"),
            ((f"`{f.name}`", _kind(f), f"[{f.file_name}]({f.url})") for f in others),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _section_link(file: PublishedFile) -> str:
    """A link to the detector's commands: GitHub's anchors have no dots."""
    return f"[`{file.name}`](#{file.name.lower().replace('.', '')})"


def _detector(file: PublishedFile) -> str:
    digits = (
        f"a SHA-256 that begins with {file.sha256}" if file.sha256 else "no checksum"
    )
    # MMAction2 1.x has other recipes for the same networks: continue from the result.
    is_own_recipe = get(file.config.partition(":")[2]) == file
    start = "" if is_own_recipe else f" --config.init_from={file.name}"
    lines = [
        f"### {file.name}",
        "",
        f"{file.dataset}, {file.metric or 'mAP'} {_mean_ap(file)}. Published by "
        f"{file.release} as [{file.file_name}]({file.url}), with {digits}; trained "
        f"from [`{file.init_from}`]({get(file.init_from).url}).",
        "",
        "```",
        _demo(file),
        f"{_MAIN} --mode eval --config {file.config} --config.init_from={file.name} "
        f"--workdir runs/eval",
        f"{_MAIN} --config {file.config}{start} --workdir runs/train",
        "```",
    ]
    return "\n".join(lines)


def _demo(file: PublishedFile) -> str:
    command = f"ava-jax predict VIDEO --checkpoint {file.name} --out result.mp4"
    needs_features = file.config.startswith("configs/lfb.py")
    return command + (f" --features {_FEATURES}" if needs_features else "")


def _mean_ap(file: PublishedFile) -> str:
    return "" if file.mean_ap is None else f"{file.mean_ap:.2f}"


def _kind(file: PublishedFile) -> str:
    text = f"{file.kind.replace('_', ' ')}, {file.dataset}"
    return text + "".join(f"; alias `{alias}`" for alias in file.aliases)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
