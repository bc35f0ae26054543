"""What the site adds to MkDocs: files of the repository that pages link to, notebooks, and formulas as MathML.

So a page is written as it reads in the repository, with links to any file of it, and the site still needs nothing but
itself. A text becomes a page, a table a table, a folder a list; pictures, PDF and HTML files are copied. A notebook is
shown with the output that it was saved with.
"""

import base64
import csv
import json
import os
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)\s#]+)(#[^)\s]*)?(?=[)\s])")
PLACE = "repository"
COPIED = (".png", ".svg", ".pdf", ".html", ".npy", ".npz", ".pt")
KEPT = ("__pycache__", ".egg-info")
"""What no list of a folder shows."""
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n"
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def source(uri: str) -> Path:
    """Which file of the repository the page of the site, or the copy in it, is made of."""
    if not uri.startswith(f"{PLACE}/"):
        return ROOT / "docs" / uri
    path = uri.removeprefix(f"{PLACE}/")
    return ROOT / (path if path.endswith(COPIED) or (ROOT / path).exists() else path.removesuffix(".md"))


def place(path: Path) -> str:
    """Where the site has a file of the repository."""
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix()
    name = f"{PLACE}/{path.relative_to(ROOT).as_posix()}"
    return name if path.suffix in (".md", *COPIED) else f"{name}.md"


def targets(text: str, path: Path) -> list[Path]:
    """The files of the repository that a page, made of the file ``path``, links to."""
    here = path if path.is_dir() else path.parent
    found = [Path(os.path.normpath(here / link)) for link, _ in LINK.findall(text)]
    return [target for target in found if target.exists() and target.is_relative_to(ROOT)]


def shown(path: Path) -> str:
    """The page of a file or folder."""
    title = f"# {path.relative_to(ROOT).as_posix()}\n\n"
    if path.is_dir():
        names = sorted(f"{entry.name}{'/' * entry.is_dir()}" for entry in path.iterdir())
        return UNSEARCHED + title + "\n".join(f"- [{name}]({name})" for name in names if not name.endswith(KEPT))
    text = path.read_text()
    if path.suffix == ".md":
        return text
    if path.suffix == ".csv":
        head, *rows = csv.reader(text.splitlines())
        lines = ["|".join(row) for row in (head, ["---"] * len(head), *rows)]
        return UNSEARCHED + title + "\n".join(f"|{line}|" for line in lines)
    languages = {".py": "python", ".yaml": "yaml", ".cff": "yaml", ".toml": "toml", ".json": "json"}
    language = languages.get(path.suffix, "text")
    return f"{UNSEARCHED}{title}```{language}\n{text}\n```\n"


def notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """The page of an executed notebook, and the pictures in it, by name."""
    parts, pictures = [], {}
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":  # what a machine's own packages have to say
                continue
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}_{len(pictures)}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![Output of the cell above]({name})")
            elif "text/html" in data:
                parts.append(
                    f"<div style='overflow-x: auto'>{re.sub(chr(10) + ' *', '', ''.join(data['text/html']))}</div>"
                )
            else:
                printed = output.get("text") or data.get("text/plain", [])
                parts.append(f"```text\n{''.join(printed).rstrip()}\n```")
    return "\n\n".join(parts), pictures


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds notebooks, what pages link to, and what that links to."""
    for path in sorted((ROOT / "docs").rglob("*.ipynb")):
        folder = path.parent.relative_to(ROOT / "docs")
        page, pictures = notebook(path)
        for name, content in {f"{path.stem}.md": page, **pictures}.items():
            files.append(File.generated(config, (folder / name).as_posix(), content=content))
    todo = [(page.content_string, source(page.src_uri)) for page in files.documentation_pages()]
    while todo:
        for target in targets(*todo.pop()):
            uri = place(target)
            if files.get_file_from_path(uri) or target.is_relative_to(ROOT / "docs"):
                continue
            if target.suffix in COPIED:
                files.append(File.generated(config, uri, abs_src_path=str(target)))
                continue
            files.append(File.generated(config, uri, content=shown(target)))
            # A file that is shown as it is has no links, whatever its text looks like.
            todo += [(shown(target), target)] if target.is_dir() or target.suffix == ".md" else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links within the repository into links within the site; what is not there is left, and MkDocs warns."""
    path = source(page.file.src_uri)
    here = path if path.is_dir() else path.parent

    def moved(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(here / link[1]))
        if not (target.exists() and target.is_relative_to(ROOT)):
            return link[0]
        return os.path.relpath(place(target), os.path.dirname(page.file.src_uri)) + (link[2] or "")

    return LINK.sub(moved, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns TeX into MathML, which browsers draw themselves."""

    def drawn(formula: re.Match[str]) -> str:
        tex = re.sub(r"&(lt|gt|amp);", lambda sign: {"lt": "<", "gt": ">", "amp": "&"}[sign[1]], formula[2])
        return convert(tex, display="block" if formula[1] == "div" else "inline")

    return FORMULA.sub(drawn, html)
