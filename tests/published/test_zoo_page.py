"""docs/model_zoo.md is what the table says."""

import pathlib
import re

from ava_jax import published
from ava_jax.published import zoo_page

PAGE = pathlib.Path(__file__).parents[2] / "docs/model_zoo.md"


def test_the_page_is_made_from_the_table():
    text = PAGE.read_text()
    made = text[text.index("## Detectors\n") :]
    assert made == zoo_page.tables()  # scripts/published.py list --markdown


def test_every_file_is_on_the_page():
    text = zoo_page.tables()
    for file in published.all_files():
        assert f"`{file.name}`" in text or f"### {file.name}\n" in text


def test_every_file_has_its_link_and_every_link_its_section():
    text = zoo_page.tables()
    for file in published.all_files():
        assert f"]({file.url})" in text
    headings = re.findall(r"^### (.*)$", text, re.M)
    anchors = {re.sub(r"[^\w-]", "", heading.lower()) for heading in headings}
    assert set(re.findall(r"\]\(#(.*?)\)", text)) == anchors
    assert len(anchors) == len(headings)


def test_the_commands_name_recipes_and_files():
    text = PAGE.read_text()
    commands = re.findall(
        r"^(?:python|ava-jax) .*$", text[text.index("## Detectors") :], re.M
    )
    recipes = {file.config for file in published.all_files()}
    detectors = [file.config for file in published.all_files() if file.config]
    assert len(commands) == 3 * len(detectors)
    text = "\n".join(commands)
    names = re.findall(r"(?:init_from=|--checkpoint |--features )(\S+)", text)
    assert {published.find(name).kind for name in names} == {"detector"}
    assert set(re.findall(r"--config (\S+)", "\n".join(commands))) <= recipes
