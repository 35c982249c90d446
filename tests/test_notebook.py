"""The notebook of docs/, as Jupyter runs it."""

import pathlib

import nbclient
import nbformat
import pytest

NOTEBOOK = pathlib.Path(__file__).parents[1] / "docs/quickstart.ipynb"


@pytest.mark.slow  # trains for an epoch
def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=place).execute()
    told = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert "is complete: mAP" in "".join(out.get("text", "") for out in told[1])
    shown = [outputs[-1].get("data", {}) for outputs in told if outputs]
    pictures = [
        data["text/html"].count("<img ") for data in shown if "text/html" in data
    ]
    assert pictures == [12, 1]
    assert (tmp_path / "runs/quickstart/actions.vtt").is_file()
    # Of one epoch, with which 0.43 and 0.54 were measured.
    assert float(shown[-1]["text/plain"].rpartition("'mAP': ")[2][:-1]) > 0.3


def test_the_notebook_has_no_outputs_and_no_paths():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert not any("/home/" in cell.source for cell in notebook.cells)
