"""Files of VideoMAE's authors and of Hugging Face become the same detectors."""

import re

import checkpoint_data
import flax.traverse_util
import numpy as np
import pytest
import safetensors.numpy

from ava_jax.checkpoints.pytorch import matching_recipes, source_state
from ava_jax.checkpoints.pytorch.converter import convert_state_dict
from ava_jax.checkpoints.pytorch.reader import read_file
from ava_jax.errors import UserError
from ava_jax.models import vit
from configs import mini, videomae

NORM = ("backbone/norm/scale", "backbone/norm/bias")
HEAD = ("roi_head/bbox_head/fc_cls/kernel", "roi_head/bbox_head/fc_cls/bias")
# MMAction2's names of modules -> those of VideoMAE's authors, and of Hugging Face.
AUTHORS = {
    r"backbone\.": "",
    r"patch_embed\.projection": "patch_embed.proj",
    r"mlp\.layers\.0\.0": "mlp.fc1",
    r"mlp\.layers\.1": "mlp.fc2",
    r"roi_head\.bbox_head\.fc_cls": "head",
}
HUGGING_FACE = {
    r"backbone\.patch_embed\.": "embeddings.patch_embeddings.",
    r"backbone\.blocks\.": "encoder.layer.",
    r"backbone\.norm": "layernorm",
    r"norm1": "layernorm_before",
    r"norm2": "layernorm_after",
    r"attn\.proj": "attention.output.dense",
    r"attn\.": "attention.attention.",
    r"mlp\.layers\.0\.0": "intermediate.dense",
    r"mlp\.layers\.1": "output.dense",
}


def renamed(state, names):
    result = {}
    for key, value in state.items():
        for pattern, name in names.items():
            key = re.sub(pattern, name, key)
        result[key] = value
    return result


@pytest.fixture(scope="module")
def state():
    """MMAction2's state dict of a small detector."""
    return checkpoint_data.state_of(mini_model())


def mini_model(**fields):
    model = mini.get_config("vit").model
    model.update(fields)
    return model


def backbone(state):
    return {k: v for k, v in state.items() if k.startswith("backbone.")}


def without(state, *endings):
    return {k: v for k, v in state.items() if not k.endswith(endings)}


def authors_classifier(state):
    """Fine-tuned on Kinetics: normalises after its pooling."""
    names = {r"backbone\.norm": "fc_norm", **AUTHORS}
    kept = renamed(without(backbone(state), "pos_embed"), names)
    return kept | {"head.weight": np.ones((400, 64), np.float32)}


def authors_pretraining(state):
    """Before any labels: an encoder and a decoder."""
    kept = renamed(without(backbone(state), "pos_embed"), AUTHORS)
    encoder = {f"encoder.{key}": value for key, value in kept.items()}
    mask = np.zeros((1, 1, 32), np.float32)
    return encoder | {"mask_token": mask, "decoder.norm.weight": mask[0, 0]}


def hugging_face(state):
    """A `VideoMAEModel` with its final normalisation."""
    kept = renamed(without(backbone(state), "pos_embed"), HUGGING_FACE)
    for key in [key for key in kept if key.endswith("qkv.weight")]:
        parts = np.split(kept.pop(key), 3)
        for name, part in zip(("query", "key", "value"), parts, strict=True):
            kept[key.replace("qkv", name)] = part
    return kept


def hugging_face_5(state):
    """A state dict of transformers 5, whose projections have their own biases."""
    names = {"attention.q_bias": "attention.query.bias"}
    names["attention.v_bias"] = "attention.value.bias"
    return renamed(hugging_face(state), names)


def hugging_face_classifier(state):
    """A `VideoMAEForVideoClassification`."""
    kept = without(hugging_face(state), "layernorm.weight", "layernorm.bias")
    kept = {f"videomae.{key}": value for key, value in kept.items()}
    fc_norm = {
        f"fc_norm.{name}": np.ones(64, np.float32) for name in ("weight", "bias")
    }
    return kept | fc_norm | {"classifier.bias": np.ones(400, np.float32)}


@pytest.mark.parametrize(
    ("convert", "family", "fresh"),
    [
        (authors_classifier, "VideoMAE", HEAD + NORM),
        (authors_pretraining, "VideoMAE", HEAD),
        (hugging_face, "Hugging Face's VideoMAE", HEAD),
        (hugging_face_5, "Hugging Face's VideoMAE", HEAD),
        (hugging_face_classifier, "Hugging Face's VideoMAE", HEAD + NORM),
    ],
)
def test_pretrained_files_give_mmaction2s_backbone(state, convert, family, fresh):
    expected, _ = convert_state_dict(state, mini_model())
    variables, report = convert_state_dict(convert(state), mini_model())

    assert report.family == family
    assert set(report.initialised) == {name.replace("/", ".") for name in fresh}
    found, wanted = (
        flax.traverse_util.flatten_dict(v["params"], sep="/")
        for v in (variables, expected)
    )
    for path in wanted.keys() - set(fresh):
        np.testing.assert_array_equal(found[path], wanted[path], path)
    # The authors' files have no table of positions: it is always the same one.
    table = variables["batch_stats"]["backbone"]["pos_embed"]
    np.testing.assert_array_equal(table, vit.position_table(64))


@pytest.fixture
def detector_file(state):
    """A detector of VideoMAE's authors, of 16 classes and none reserved."""
    classes = {k: v[1:] for k, v in state.items() if "fc_cls" in k}
    return renamed(without(state | classes, "pos_embed"), AUTHORS)


def test_detectors_of_videomaes_authors(state, detector_file):
    conventions = videomae.get_config("videomae_vit_base_k400_pretrain+finetune").model
    fields = ("roi_resolution", "roi_aligned", "roi_extension", "vit_pad")
    model = mini_model(**{field: conventions[field] for field in fields})
    variables, report = convert_state_dict(detector_file, model)

    assert report.family == "VideoMAE-Action-Detection"
    assert not report.initialised and not report.unused
    head = variables["params"]["roi_head"]["bbox_head"]["fc_cls"]
    np.testing.assert_array_equal(head["kernel"][:, 0], 0)
    np.testing.assert_array_equal(head["kernel"][:, 1:].T, detector_file["head.weight"])
    np.testing.assert_array_equal(head["bias"][1:], detector_file["head.bias"])


def test_their_rois_are_not_mmaction2s(detector_file):
    with pytest.raises(UserError, match="roi_resolution is 8, the checkpoint has 7"):
        convert_state_dict(detector_file, mini_model())


def test_their_recipe_is_found_by_the_shapes():
    recipe = "configs/videomae.py:videomae_vit_small_k400_pretrain+finetune"
    model = videomae.get_config(recipe.split(":")[1]).model
    state = checkpoint_data.state_of(model)
    state |= {k: v[1:] for k, v in state.items() if "fc_cls" in k}
    source = source_state.rename(renamed(without(state, "pos_embed"), AUTHORS))
    assert matching_recipes.find_recipe("checkpoint-29.pth", source).name == recipe


def test_safetensors_hold_the_same_tensors(tmp_path, state):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(state, path, {"format": "pt"})
    file = read_file(path)
    assert (file.layout, file.metadata) == ("safetensors", {"format": "pt"})
    assert file.tensors.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(file.tensors[key], value, key)


@pytest.mark.parametrize("size", [9, 100, -4])
def test_damaged_safetensors_are_named(tmp_path, state, size):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(state, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="model.safetensors.*cut short or damaged"):
        read_file(path)
