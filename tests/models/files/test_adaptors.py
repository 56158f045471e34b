"""Adaptors as MST-KD's official classes save them: keys and shapes of the real size, values of our own, outputs by formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fairlab.errors import Damaged, FairLabError
from fairlab.models.base import ADAPTORS
from fairlab.models.files.adaptors import OURS, import_adaptor
from fairlab.settings.study import Adaptor

DIM, BLOCKS, HELD, MIDDLE = 512, 4, 128, 512
"""Of the paper: embedding, teachers, training batch (the fixed keys) and middle layer."""

GOLDEN = {
    "blocks": [
        [
            [0.667888849402, 0.711385523797, 0.218758134422],
            [-0.589447683508, -0.803419811204, -0.084071608591],
            [0.539456201311, 0.748677613723, 0.385316542049],
            [-0.368487237753, -0.85688398796, -0.360509343557],
        ],
        [
            [0.390270512103, 0.74924804904, 0.535085309454],
            [-0.093122932118, -0.806608551772, -0.583704346157],
            [0.224182816128, 0.713116469474, 0.664234119809],
            [0.195910421546, -0.662318487892, -0.723155119823],
        ],
    ],
    "sl": [[0.784773555073, 0.587943210826, 0.196094997646], [0.636904566426, 0.639167718577, 0.431065193207]],
    "dul": [[-0.937017638215, 0.0505807453784, -0.345600251549], [-0.828206541501, 0.291234877615, -0.478807028641]],
    "alphabetical": [
        [0.763950732683, 0.118683036205, -0.634266201961],
        [0.763524419354, 0.118272866308, -0.634855881398],
    ],
    "cosine": [0.544930788385, 0.288224114219],
}
"""G23: two images of four blocks in the order Asian, African, Caucasian, Indian; outputs of unit length."""


def fc_mapping(columns: int = DIM * BLOCKS, rows: int = DIM) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(1)
    return {
        "fc.weight": torch.randn(rows, columns, generator=draws) / columns**0.5,
        "fc.bias": torch.randn(rows, generator=draws) / 10,
    }


def dual_layer(columns: int = DIM * BLOCKS, middle: int = MIDDLE) -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(2)
    shapes = {
        "key_vector": (HELD, middle), "value_vector": (HELD, middle), "fc1.weight": (middle, columns), "fc1.bias": (middle,),
        "attention.in_proj_weight": (3 * middle, middle), "attention.in_proj_bias": (3 * middle,),
        "attention.out_proj.weight": (middle, middle), "attention.out_proj.bias": (middle,),
        "fc2.weight": (DIM, middle), "fc2.bias": (DIM,),
    }  # fmt: skip
    made = {key: torch.randn(shape, generator=draws) / shape[-1] ** 0.5 for key, shape in shapes.items()}
    unused = {"attention.in_proj_bias", "attention.out_proj.bias"}
    return {key: torch.zeros_like(value) if key in unused else value for key, value in made.items()}


def by_formula(state: dict[str, Tensor], inputs: np.ndarray) -> np.ndarray:
    """y = W x + b; of two layers y = W2 f(W1 x + b1) + b2, f(z) = z or .01 z below zero. In float64."""
    values = {key: value.double().numpy() for key, value in state.items()}
    if "fc.weight" in values:
        one: np.ndarray = inputs @ values["fc.weight"].T + values["fc.bias"]
        return one
    hidden = inputs @ values["fc1.weight"].T + values["fc1.bias"]
    two: np.ndarray = np.where(hidden > 0, hidden, 0.01 * hidden) @ values["fc2.weight"].T + values["fc2.bias"]
    return two


def unit_blocks(images: int, dims: tuple[int, ...] = (DIM,) * BLOCKS) -> np.ndarray:
    rng = np.random.default_rng(3)
    parts = [rng.standard_normal((images, dim)) for dim in dims]
    return np.concatenate([part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts], axis=1)


def saved(path: Path, state: dict[str, Tensor]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("state", "name", "numbers"),
    [(fc_mapping(), "sl", 1_049_088), (dual_layer(), "dul", 1_311_744), (dual_layer(), "dldpo", 1_311_744)],
)
def test_the_output_is_the_formulas(tmp_path: Path, state: dict[str, Tensor], name: str, numbers: int) -> None:
    found = import_adaptor(saved(tmp_path / "9757backbone.pth", state), name)
    assert found is not None
    assert (found.settings.name, found.settings.embedding_dim, found.columns) == (name, DIM, DIM * BLOCKS)
    assert found.parameters == numbers
    inputs = unit_blocks(50)
    with torch.inference_mode():
        made = found.network((DIM,) * BLOCKS)(torch.from_numpy(inputs).float())
    np.testing.assert_allclose(made.numpy(), by_formula(state, inputs), atol=1e-6, rtol=0)


def test_positioning_sees_the_own_block_alone(tmp_path: Path) -> None:
    state = fc_mapping()
    found = import_adaptor(saved(tmp_path / "positioning" / "1backbone.pth", state))
    assert found is not None
    assert found.settings.name == "positioning"
    assert "taken for positioning by its folder" in found.notes[0]
    inputs, own = unit_blocks(8), np.arange(8) % BLOCKS
    masked = np.zeros_like(inputs)
    for row, number in enumerate(own):
        masked[row, DIM * number : DIM * (number + 1)] = inputs[row, DIM * number : DIM * (number + 1)]
    taken = torch.from_numpy(np.concatenate([inputs, own[:, None]], axis=1)).float()
    with torch.inference_mode():
        made = found.network((DIM,) * BLOCKS)(taken)
    np.testing.assert_allclose(made.numpy(), by_formula(state, masked), atol=1e-6, rtol=0)


def test_encoding_is_known_by_its_shape(tmp_path: Path) -> None:
    state = fc_mapping(columns=DIM + 1)
    found = import_adaptor(saved(tmp_path / "1backbone.pth", state))
    assert found is not None
    assert (found.settings.name, found.parameters) == ("encoding", 263_168)
    inputs, own = unit_blocks(8), np.arange(8) % BLOCKS
    block = np.stack([inputs[row, DIM * number : DIM * (number + 1)] for row, number in enumerate(own)])
    taken = torch.from_numpy(np.concatenate([inputs, own[:, None]], axis=1)).float()
    with torch.inference_mode():
        made = found.network((DIM,) * BLOCKS)(taken)
    np.testing.assert_allclose(
        made.numpy(), by_formula(state, np.concatenate([own[:, None], block], axis=1)), atol=1e-6, rtol=0
    )


def golden_state(name: str, kind: torch.dtype) -> dict[str, Tensor]:
    """0.4 sin(k + o), k from 1 in storage order, o the number of the tensor."""
    shapes = {"sl": {"fc.weight": (3, 12), "fc.bias": (3,)}, "dul": {
        "fc1.weight": (3, 12), "fc1.bias": (3,), "fc2.weight": (3, 3), "fc2.bias": (3,)}}[name]  # fmt: skip
    return {
        key: 0.4 * torch.sin(1 + torch.arange(int(np.prod(shape)), dtype=kind) + number).reshape(shape)
        for number, (key, shape) in enumerate(shapes.items())
    }


def unit(values: Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(values).detach().numpy()


@pytest.mark.parametrize("name", ["sl", "dul", "dldpo"])
def test_g23_the_official_classes_outputs(name: str) -> None:
    kind = "dul" if name == "dldpo" else name
    network = ADAPTORS[name](Adaptor(name=name, embedding_dim=3), (3,) * 4).double().eval()
    network.load_state_dict({OURS[name][key]: value for key, value in golden_state(kind, torch.float64).items()})
    blocks = torch.tensor(GOLDEN["blocks"], dtype=torch.float64)
    np.testing.assert_allclose(unit(network(blocks.flatten(1))), GOLDEN[kind], atol=1e-9, rtol=0)


def test_g23_alphabetical_order_is_another_space(tmp_path: Path) -> None:
    found = import_adaptor(saved(tmp_path / "1backbone.pth", golden_state("sl", torch.float64)))
    assert found is not None
    network, blocks = found.network((3,) * 4), torch.tensor(GOLDEN["blocks"])
    right, other = (unit(network(blocks[:, order].flatten(1))) for order in ([0, 1, 2, 3], [1, 0, 2, 3]))
    np.testing.assert_allclose(right, GOLDEN["sl"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(other, GOLDEN["alphabetical"], atol=1e-6, rtol=0)
    np.testing.assert_allclose((right * other).sum(1), GOLDEN["cosine"], atol=1e-6, rtol=0)


def test_g23b_attention_that_was_never_used_has_zero_biases(tmp_path: Path) -> None:
    """torch's own layer, stepped by SGD with weight decay without a gradient, is taken; one with a gradient is refused."""
    layer = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    body = torch.nn.Linear(8, 8)
    both = [*layer.parameters(), *body.parameters()]
    optimiser = torch.optim.SGD(both, lr=0.1, momentum=0.9, weight_decay=5e-4)
    for used in (False, True):
        for _ in range(3):
            optimiser.zero_grad()
            out = body(torch.randn(4, 1, 8))
            (layer(out, out, out)[0] if used else out).square().sum().backward()
            optimiser.step()
        state = {f"attention.{key}": value.detach() for key, value in layer.state_dict().items()}
        state |= {"fc1.weight": torch.randn(8, 32), "fc1.bias": torch.randn(8)}
        state |= {"fc2.weight": torch.randn(8, 8), "fc2.bias": torch.randn(8)}
        path = saved(tmp_path / f"{used}.pth", state)
        if used:
            with pytest.raises(FairLabError, match=r"attention was trained.*has_attention off"):
                import_adaptor(path)
        else:
            assert float(layer.in_proj_bias.detach().abs().max()) == 0.0
            assert import_adaptor(path) is not None


@pytest.mark.parametrize(
    ("folder", "state", "name", "note"),
    [
        ("fusion", fc_mapping(12, 3), "sl", "taken for sl by its folder"),
        ("dropout_dual_layer_512/iresnet34/lr_1_ep_26/fusion", dual_layer(12, 8), "dldpo", "taken for dldpo"),
        ("dual_layer_512/iresnet34/lr_1_ep_26/fusion", dual_layer(12, 8), "dul", "taken for dul by its folder"),
        ("some", dual_layer(12, 8), "dul", "dul is assumed"),
        ("some", fc_mapping(12, 3), "sl", "sl is assumed"),
    ],
)
def test_what_the_file_does_not_say_is_noted(
    tmp_path: Path, folder: str, state: dict[str, Tensor], name: str, note: str
) -> None:
    found = import_adaptor(saved(tmp_path / folder / "9757backbone.pth", state))
    assert found is not None
    assert found.settings.name == name
    assert note in found.notes[0]
    assert (len(found.notes) == 2) == (name in ("dul", "dldpo"))
    assert all("is_dual_leaky" in text for text in found.notes[1:])


def test_a_middle_layer_of_its_own_width_is_read_from_the_shapes(tmp_path: Path) -> None:
    state = dual_layer(columns=24, middle=40)
    found = import_adaptor(saved(tmp_path / "1backbone.pth", state))
    assert found is not None
    assert (found.settings.hidden_dim, found.settings.embedding_dim, found.columns) == (40, DIM, 24)
    inputs = unit_blocks(5, (8, 8, 8))
    with torch.inference_mode():
        made = found.network((8, 8, 8))(torch.from_numpy(inputs).float())
    np.testing.assert_allclose(made.numpy(), by_formula(state, inputs), atol=1e-6, rtol=0)


def test_wrapped_keys_and_other_files(tmp_path: Path) -> None:
    wrapped = {f"module.{key}": value for key, value in fc_mapping(12, 3).items()}
    assert import_adaptor(saved(tmp_path / "1.pth", wrapped)) is not None
    assert import_adaptor(saved(tmp_path / "2.pth", {"state_dict": wrapped})) is not None
    assert import_adaptor(saved(tmp_path / "3.pth", {**fc_mapping(12, 3), "conv1.weight": torch.ones(3, 3)})) is None
    assert import_adaptor(saved(tmp_path / "4.pth", {"kernel": torch.ones(512, 7)})) is None


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        ({"fc1.bias": None}, "", "without fc1.bias"),
        ({"fc9.weight": torch.ones(3, 3)}, "", "not known: fc9.weight"),
        ({"fc2.weight": torch.ones(512, 9)}, "", "do not fit an adaptor"),
        ({"fc2.bias": torch.ones(512).long()}, "", "do not fit an adaptor"),
        ({}, "sl", "two layers, not sl; choose dul or dldpo"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: dict[str, Tensor | None], name: str, said: str) -> None:
    state = {key: value for key, value in {**dual_layer(24, 8), **change}.items() if value is not None}
    with pytest.raises(FairLabError, match=said):
        import_adaptor(saved(tmp_path / "1.pth", state), name)


def test_one_layer_is_not_two_and_values_are_finite(tmp_path: Path) -> None:
    with pytest.raises(FairLabError, match="one layer, not dldpo"):
        import_adaptor(saved(tmp_path / "1.pth", fc_mapping(12, 3)), "dldpo")
    broken = fc_mapping(12, 3)
    broken["fc.weight"][1, 2] = float("nan")
    with pytest.raises(Damaged, match=r"not finite: fc.weight"):
        import_adaptor(saved(tmp_path / "2.pth", broken))
